-- What a store that is fed from Kafka knows of the parts of a slot: there a raw batch comes as one
-- record per market partition, through several writers, in any order and more than once.
--
-- A part's rows are in `swaps` and `transactions` before its row here is, and `slots` is made from
-- these rows: it tells what is stored, whoever stored it.

CREATE TABLE IF NOT EXISTS slot_parts
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    blockhash FixedString(32),
    seq UInt32 CODEC(T64, LZ4) COMMENT 'raw batch in its slot',
    partitions UInt32 CODEC(T64, LZ4) COMMENT 'parts of the batch',
    partition UInt32 CODEC(T64, LZ4),
    stored Bool COMMENT 'false: another block of this slot counts, and no rows of this part are there',
    began UInt64 CODEC(T64, LZ4) COMMENT 'when the block came, nanoseconds since the epoch: of the blocks of a slot the one that began last counts',
    parent_slot UInt64 CODEC(Delta, LZ4),
    parent_blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    block_height UInt64 CODEC(Delta, LZ4) COMMENT '0: not told',
    commitment Enum8('unknown' = 0, 'processed' = 1, 'confirmed' = 2, 'finalized' = 3, 'dead' = 4),
    source LowCardinality(String),
    batches UInt32 CODEC(T64, LZ4) COMMENT '1',
    batches_total UInt32 CODEC(T64, LZ4) COMMENT '0: not the last batch',
    transactions UInt32 CODEC(T64, LZ4) COMMENT 'this and what follows: at home in this part',
    votes UInt32 CODEC(T64, LZ4),
    failed UInt32 CODEC(T64, LZ4),
    succeeded UInt32 CODEC(T64, LZ4),
    decoded UInt32 CODEC(T64, LZ4),
    unknown UInt32 CODEC(T64, LZ4),
    dead_lettered UInt32 CODEC(T64, LZ4),
    swaps UInt32 CODEC(T64, LZ4),
    unknown_venue_swaps UInt32 CODEC(T64, LZ4),
    failed_swap_attempts UInt32 CODEC(T64, LZ4),
    logs_truncated UInt32 CODEC(T64, LZ4),
    event_mismatches UInt32 CODEC(T64, LZ4),
    router_event_mismatches UInt32 CODEC(T64, LZ4),
    tipped UInt32 CODEC(T64, LZ4),
    tip_lamports UInt64 CODEC(T64, LZ4),
    fee_lamports UInt64 CODEC(T64, LZ4),
    compute_units UInt64 CODEC(T64, LZ4),
    first_seen DateTime64(9, 'UTC') CODEC(Delta, LZ4),
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
ORDER BY (chain, slot, blockhash, seq, partitions, partition)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- What the parsing stage counted of each raw batch, before it was parted.
CREATE TABLE IF NOT EXISTS slot_batches
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    blockhash FixedString(32),
    seq UInt32 CODEC(T64, LZ4),
    parent_slot UInt64 CODEC(Delta, LZ4),
    parent_blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4),
    block_height UInt64 CODEC(Delta, LZ4),
    commitment Enum8('unknown' = 0, 'processed' = 1, 'confirmed' = 2, 'finalized' = 3, 'dead' = 4),
    source LowCardinality(String),
    batches UInt32 CODEC(T64, LZ4),
    batches_total UInt32 CODEC(T64, LZ4),
    transactions UInt32 CODEC(T64, LZ4),
    votes UInt32 CODEC(T64, LZ4),
    failed UInt32 CODEC(T64, LZ4),
    succeeded UInt32 CODEC(T64, LZ4),
    decoded UInt32 CODEC(T64, LZ4),
    unknown UInt32 CODEC(T64, LZ4),
    dead_lettered UInt32 CODEC(T64, LZ4),
    swaps UInt32 CODEC(T64, LZ4),
    unknown_venue_swaps UInt32 CODEC(T64, LZ4),
    failed_swap_attempts UInt32 CODEC(T64, LZ4),
    logs_truncated UInt32 CODEC(T64, LZ4),
    event_mismatches UInt32 CODEC(T64, LZ4),
    router_event_mismatches UInt32 CODEC(T64, LZ4),
    tipped UInt32 CODEC(T64, LZ4),
    tip_lamports UInt64 CODEC(T64, LZ4),
    fee_lamports UInt64 CODEC(T64, LZ4),
    compute_units UInt64 CODEC(T64, LZ4),
    first_seen DateTime64(9, 'UTC') CODEC(Delta, LZ4),
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
ORDER BY (chain, slot, blockhash, seq)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- Batches that a stateful stage waited for in vain.
CREATE TABLE IF NOT EXISTS slot_gaps
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    blockhash FixedString(32) COMMENT '32 zero bytes: not known',
    seq Int64 CODEC(T64, LZ4) COMMENT '-1: nothing of the slot came',
    reporter LowCardinality(String) COMMENT 'stage/partition',
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
ORDER BY (chain, slot, blockhash, seq, reporter)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- `stored`: the batch was late for that stage, and is in the store all the same.
CREATE VIEW IF NOT EXISTS v_slot_gaps AS
SELECT
    chain,
    slot,
    if(blockhash = toFixedString('', 32), NULL, base58Encode(blockhash)) AS blockhash,
    nullIf(seq, -1) AS seq,
    reporter,
    toBool(if(gaps.seq < 0,
        (chain, slot) IN (SELECT chain, slot FROM slot_parts),
        (chain, slot, gaps.seq) IN (SELECT chain, slot, toInt64(seq) FROM slot_parts)
    )) AS stored,
    ingested_at
FROM (SELECT * FROM slot_gaps FINAL) AS gaps;

-- For every raw batch what the parsing stage counted and what is stored of it. `differs` of a batch
-- that was told a while ago means loss, or rows that no parsing told of.
CREATE VIEW IF NOT EXISTS v_slot_check AS
SELECT
    chain,
    slot,
    base58Encode(blockhash) AS blockhash,
    seq,
    toBool(sum(told) > 0) AS parsed,
    sum(parts_stored) AS parts,
    max(parts_total) AS parts_total,
    sumIf(transactions, told > 0) AS transactions_parsed,
    sumIf(transactions, told = 0) AS transactions_stored,
    sumIf(swaps, told > 0) AS swaps_parsed,
    sumIf(swaps, told = 0) AS swaps_stored,
    toBool(
        NOT parsed OR parts != parts_total
        OR transactions_parsed != transactions_stored OR swaps_parsed != swaps_stored
    ) AS differs
FROM
(
    SELECT chain, slot, blockhash, seq, 1 AS told, 0 AS parts_stored, 0 AS parts_total, transactions, swaps
    FROM slot_batches FINAL
    UNION ALL
    SELECT chain, slot, blockhash, seq, 0 AS told, toUInt8(1) AS parts_stored, partitions AS parts_total, transactions, swaps
    FROM slot_parts FINAL
    WHERE stored
)
GROUP BY chain, slot, blockhash, seq
HAVING blockhash != toFixedString('', 32);

-- As before, but for a slot that has come in parts of batches so far and has no whole one.
CREATE OR REPLACE VIEW v_slots AS
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    if(blockhash = toFixedString('', 32), NULL, base58Encode(blockhash)) AS blockhash,
    parent_slot,
    nullIf(block_height, 0) AS block_height,
    commitment,
    toBool(batches > 0 AND batches = batches_total) AS complete,
    transactions,
    votes,
    failed,
    succeeded,
    decoded,
    unknown,
    dead_lettered,
    swaps,
    unknown_venue_swaps,
    failed_swap_attempts,
    logs_truncated,
    event_mismatches,
    router_event_mismatches,
    tipped,
    tip_lamports / 1e9 AS tip_sol,
    fee_lamports / 1e9 AS fee_sol,
    compute_units,
    source,
    first_seen,
    ingested_at
FROM slots FINAL;
