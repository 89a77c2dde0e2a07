-- The warm store's tables. Units, sentinels and examples: docs/schema.md.
--
-- Common to all: keys are 32 raw bytes (32 zero bytes: none), signatures 64; amounts are base
-- units, lamports for SOL. `version` grows with every write, so of two rows with one sorting key
-- the later stays. Rows carry the blockhash of their slot; `slots` holds the one that counts.
-- Partitions follow the day of ingestion, so that the TTL drops whole parts and a replayed old
-- block lives as long as a new one. The deduplication window lets a writer repeat an insert of
-- which it does not know the fate.

CREATE TABLE IF NOT EXISTS slots
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    parent_slot UInt64 CODEC(Delta, LZ4),
    blockhash FixedString(32) CODEC(NONE),
    parent_blockhash FixedString(32) CODEC(NONE),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    block_height UInt64 CODEC(Delta, LZ4) COMMENT '0: not told',
    commitment Enum8('unknown' = 0, 'processed' = 1, 'confirmed' = 2, 'finalized' = 3, 'dead' = 4),
    source LowCardinality(String),
    batches UInt32 CODEC(T64, LZ4) COMMENT 'raw batches seen',
    batches_total UInt32 CODEC(T64, LZ4) COMMENT '0: the last one was never seen',
    transactions UInt32 CODEC(T64, LZ4) COMMENT '= votes + failed + succeeded = decoded + unknown',
    votes UInt32 CODEC(T64, LZ4),
    failed UInt32 CODEC(T64, LZ4) COMMENT 'without votes',
    succeeded UInt32 CODEC(T64, LZ4) COMMENT 'without votes',
    decoded UInt32 CODEC(T64, LZ4),
    unknown UInt32 CODEC(T64, LZ4) COMMENT 'decoded only in part',
    dead_lettered UInt32 CODEC(T64, LZ4) COMMENT 'no transactions at all; not among transactions',
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
ORDER BY (chain, slot)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- The signature closes the key: single transactions (getTransaction) do not tell their position.
CREATE TABLE IF NOT EXISTS transactions
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    tx_index UInt32 CODEC(Delta, LZ4),
    signature FixedString(64) CODEC(NONE),
    blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    fee_payer FixedString(32),
    flags UInt16 CODEC(T64, LZ4) COMMENT '1 success, 2 vote, 4 decoded only in part, 8 log truncated, 16 dontfront marker, 32 compute units known',
    message_version Int32 CODEC(T64, LZ4) COMMENT '0 legacy, 1 v0, 2 v1, -1 unknown',
    error Int32 CODEC(T64, LZ4) COMMENT 'TransactionError variant, -1 none',
    error_instruction Int32 CODEC(T64, LZ4) COMMENT '-1 none',
    error_detail Int32 CODEC(T64, LZ4) COMMENT 'InstructionError variant, -1 none',
    error_custom Int64 CODEC(T64, LZ4) COMMENT 'program error code, -1 none',
    fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, base and priority',
    tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports to the Jito tip accounts',
    tip_payer FixedString(32),
    payer_pre UInt64 CODEC(T64, LZ4) COMMENT 'lamports of the fee payer before',
    payer_post UInt64 CODEC(T64, LZ4) COMMENT 'lamports of the fee payer after',
    compute_units UInt64 CODEC(T64, LZ4) COMMENT '0 and flag 32 unset: not told',
    compute_unit_limit UInt32 CODEC(T64, LZ4) COMMENT '4294967295: not set',
    compute_unit_price UInt64 CODEC(T64, LZ4) COMMENT 'micro-lamports a unit',
    instructions UInt32 CODEC(T64, LZ4),
    inner_instructions UInt32 CODEC(T64, LZ4),
    signatures UInt32 CODEC(T64, LZ4),
    accounts UInt32 CODEC(T64, LZ4),
    bytes UInt32 CODEC(T64, LZ4) COMMENT 'serialised ConfirmedTransaction',
    swaps UInt32 CODEC(T64, LZ4) COMMENT 'legs in the table swaps',
    swap_attempts UInt32 CODEC(T64, LZ4),
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    success Bool ALIAS bitTest(flags, 0),
    is_vote Bool ALIAS bitTest(flags, 1),
    decoded_in_part Bool ALIAS bitTest(flags, 2),
    log_truncated Bool ALIAS bitTest(flags, 3),
    dontfront Bool ALIAS bitTest(flags, 4),
    INDEX by_signature signature TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_fee_payer fee_payer TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot, tx_index)
ORDER BY (chain, slot, tx_index, signature)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS swaps
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    tx_index UInt32 CODEC(Delta, LZ4),
    ix_outer UInt32 CODEC(T64, LZ4),
    ix_inner Int32 CODEC(T64, LZ4) COMMENT '-1: a top-level instruction',
    leg UInt32 CODEC(T64, LZ4) COMMENT 'of one instruction, from 0',
    signature FixedString(64),
    blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    venue LowCardinality(String) COMMENT 'unknown: recognised by balance flow only',
    router LowCardinality(String) COMMENT 'empty: called directly',
    program FixedString(32),
    pool FixedString(32),
    trader FixedString(32),
    fee_payer FixedString(32),
    mint_in FixedString(32),
    mint_out FixedString(32),
    vault_in FixedString(32),
    vault_out FixedString(32),
    decimals_in UInt8 COMMENT '255: not told',
    decimals_out UInt8 COMMENT '255: not told',
    amount_in UInt64 CODEC(T64, LZ4) COMMENT 'into the pool',
    amount_out UInt64 CODEC(T64, LZ4) COMMENT 'out of the pool',
    trader_in UInt64 CODEC(T64, LZ4) COMMENT 'paid by the trader, fees included',
    trader_out UInt64 CODEC(T64, LZ4) COMMENT 'received by the trader, fees deducted',
    reserve_in UInt64 CODEC(T64, LZ4) COMMENT 'vault after the leg, where flag 16 is set',
    reserve_out UInt64 CODEC(T64, LZ4) COMMENT 'vault after the leg, where flag 16 is set',
    fee UInt64 CODEC(T64, LZ4) COMMENT 'pool fee, where flag 32 is set; of mint_out where flag 64 is set, else of mint_in',
    price_after Float64 COMMENT 'base units of mint_out per base unit of mint_in, NaN: not told',
    tx_fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    tx_tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    flags UInt16 CODEC(T64, LZ4) COMMENT '1 event confirms, 2 event differs, 4 router event confirms, 8 router event differs, 16 reserves known, 32 fee told, 64 fee of mint_out, 128 amounts from the event',
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    event_confirmed Bool ALIAS bitTest(flags, 0),
    event_differs Bool ALIAS bitTest(flags, 1),
    router_event_confirmed Bool ALIAS bitTest(flags, 2),
    router_event_differs Bool ALIAS bitTest(flags, 3),
    reserves_known Bool ALIAS bitTest(flags, 4),
    fee_told Bool ALIAS bitTest(flags, 5),
    fee_in_output Bool ALIAS bitTest(flags, 6),
    amounts_from_event Bool ALIAS bitTest(flags, 7),
    INDEX by_signature signature TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trader trader TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_pool pool TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_mint_in mint_in TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_mint_out mint_out TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot, tx_index)
ORDER BY (chain, slot, tx_index, ix_outer, ix_inner, leg, signature)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- `id` is a digest of what identifies the record and of its bytes: a second copy is the same row.
CREATE TABLE IF NOT EXISTS dead_letters
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4) COMMENT '0: not known',
    seq Int64 CODEC(T64, LZ4) COMMENT 'raw batch in its slot, -1 not known',
    position Int64 CODEC(T64, LZ4) COMMENT 'of the transaction in its batch, -1: the record is a whole batch',
    id FixedString(16),
    stage LowCardinality(String),
    error String,
    topic LowCardinality(String),
    kafka_partition Int32 COMMENT '-1: not from Kafka',
    kafka_offset Int64 COMMENT '-1: not from Kafka',
    payload String CODEC(ZSTD(1)),
    seen DateTime64(9, 'UTC') CODEC(Delta, LZ4),
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
ORDER BY (chain, slot, seq, position, id)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
