-- MEV: what was taken, the swaps that it is made of, and who lost. What is common to all tables:
-- 0001_tables.sql; the meaning of a column: schemas/opportunities.proto, docs/schema.md. A row is
-- stored with the slot that completed the opportunity.

CREATE TABLE IF NOT EXISTS opportunities
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4) COMMENT 'of its last transaction',
    id FixedString(16) CODEC(NONE),
    blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    kind LowCardinality(String) COMMENT 'arbitrage, backrun, sandwich, liquidation, jit_liquidity, exposure',
    origin LowCardinality(String) COMMENT 'observed, predicted',
    first_slot UInt64 CODEC(Delta, LZ4) COMMENT 'of its first transaction, as the four that follow',
    tx_index UInt32 CODEC(T64, LZ4),
    ix_outer UInt32 CODEC(T64, LZ4),
    ix_inner Int32 CODEC(T64, LZ4) COMMENT '-1: top level',
    signature FixedString(64) CODEC(NONE),
    actor FixedString(32),
    market FixedString(32) COMMENT 'of a predicted cycle; of one between hubs none',
    profit_mint FixedString(32),
    decimals UInt8 COMMENT 'of the profit mint; 255: not told',
    input UInt64 CODEC(T64, LZ4) COMMENT 'of a predicted one: base units of the profit mint that go in',
    profit Int64 CODEC(T64, LZ4) COMMENT 'base units of the profit mint, before fees and tips',
    opened UInt64 CODEC(T64, LZ4) COMMENT 'by how much the transaction before raised its profit; 0: not known',
    net_lamports Int64 CODEC(T64, LZ4) COMMENT 'after fees and tips, where reason 16 is set',
    fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the actor''s transactions, of a predicted one of one signature',
    tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the actor''s transactions, of a predicted one the tip floor',
    tip_payer FixedString(32),
    transactions UInt32 CODEC(T64, LZ4) COMMENT 'of the actor',
    expiry_slot UInt64 CODEC(Delta, LZ4) COMMENT 'the last slot that a predicted one is told for',
    victims UInt32 CODEC(T64, LZ4) COMMENT 'legs of victims, or of the target of a backrun',
    victim_loss UInt64 CODEC(T64, LZ4) COMMENT 'base units of what the victims got',
    exactness UInt8 COMMENT 'of the loss, of a predicted one of its quotes: 0 there is none, 1 exact, 2 in range, 3 approximate',
    reasons UInt32 CODEC(T64, LZ4),
    confidence Float32,
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    INDEX by_actor actor TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_signature signature TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot)
ORDER BY (chain, slot, id)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS opportunity_legs
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4) COMMENT 'of the opportunity',
    id FixedString(16) CODEC(NONE) COMMENT 'of the opportunity',
    blockhash FixedString(32),
    number UInt32 CODEC(T64, LZ4) COMMENT 'from 0, in chain order',
    role LowCardinality(String) COMMENT 'hop, front, victim, back, target, add, remove, repay, seize',
    origin LowCardinality(String) COMMENT 'observed, predicted',
    tx_slot UInt64 CODEC(Delta, LZ4),
    tx_index UInt32 CODEC(T64, LZ4),
    signature FixedString(64) CODEC(NONE),
    fee_payer FixedString(32),
    ix_outer UInt32 CODEC(T64, LZ4),
    ix_inner Int32 CODEC(T64, LZ4) COMMENT '-1: top level',
    leg UInt32 CODEC(T64, LZ4),
    venue LowCardinality(String),
    router LowCardinality(String),
    pool FixedString(32),
    trader FixedString(32),
    mint_in FixedString(32),
    mint_out FixedString(32),
    decimals_in UInt8 COMMENT '255: not told',
    decimals_out UInt8 COMMENT '255: not told',
    amount_in UInt64 CODEC(T64, LZ4) COMMENT 'the pool''s side',
    amount_out UInt64 CODEC(T64, LZ4),
    trader_in UInt64 CODEC(T64, LZ4) COMMENT 'the trader''s side',
    trader_out UInt64 CODEC(T64, LZ4),
    tx_fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    tx_tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    INDEX by_signature signature TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot)
ORDER BY (chain, slot, id, number)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS opportunity_victims
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4) COMMENT 'of the opportunity',
    id FixedString(16) CODEC(NONE) COMMENT 'of the opportunity',
    blockhash FixedString(32),
    number UInt32 CODEC(T64, LZ4) COMMENT 'of the leg',
    signature FixedString(64) CODEC(NONE),
    wallet FixedString(32),
    mint FixedString(32) COMMENT 'what it got less of',
    decimals UInt8 COMMENT '255: not told',
    got UInt64 CODEC(T64, LZ4),
    expected UInt64 CODEC(T64, LZ4) COMMENT 'without the front',
    loss UInt64 CODEC(T64, LZ4) COMMENT 'max(0, expected - got)',
    exactness UInt8 COMMENT '0 there is no loss, 1 exact, 2 in range, 3 approximate',
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    INDEX by_wallet wallet TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot)
ORDER BY (chain, slot, id, number)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- A leg of a liquidation or of liquidity has one side, the mint of the other is ''; a profit that is
-- the change of one mint while another one is kept is not told as one.
CREATE VIEW IF NOT EXISTS v_opportunities_all AS
WITH if(decimals = 255, NULL, exp10(decimals)) AS unit
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    lower(hex(id)) AS id,
    kind,
    origin,
    base58Encode(actor) AS actor,
    if(profit_mint = toFixedString('', 32), '', base58Encode(profit_mint)) AS profit_mint,
    if(bitTest(opportunities.reasons, 21), NULL, opportunities.profit / unit) AS profit,
    if(bitTest(opportunities.reasons, 4), net_lamports / 1e9, NULL) AS net_sol,
    opportunities.fee / 1e9 AS fee_sol,
    opportunities.tip / 1e9 AS tip_sol,
    if(tip_payer = toFixedString('', 32), NULL, base58Encode(tip_payer)) AS tip_payer,
    base58Encode(signature) AS signature,
    first_slot,
    tx_index,
    if(ix_inner < 0, toString(ix_outer), concat(toString(ix_outer), '.', toString(ix_inner))) AS ix_path,
    transactions,
    victims,
    opportunities.victim_loss AS victim_loss_raw,
    transform(opportunities.exactness, [1, 2, 3], ['exact', 'in range', 'approximate'], NULL) AS exactness,
    confidence,
    arrayFilter(reason -> reason != '', [
        if(bitTest(opportunities.reasons, 0), 'tipped', ''),
        if(bitTest(opportunities.reasons, 1), 'neighbours', ''),
        if(bitTest(opportunities.reasons, 2), 'one slot', ''),
        if(bitTest(opportunities.reasons, 3), 'even', ''),
        if(bitTest(opportunities.reasons, 5), 'net positive', ''),
        if(bitTest(opportunities.reasons, 6), 'same wallet', ''),
        if(bitTest(opportunities.reasons, 7), 'linked wallets', ''),
        if(bitTest(opportunities.reasons, 8), 'same tokens', ''),
        if(bitTest(opportunities.reasons, 9), 'exact loss', ''),
        if(bitTest(opportunities.reasons, 10), 'from balances', ''),
        if(bitTest(opportunities.reasons, 11), 'several wallets', ''),
        if(bitTest(opportunities.reasons, 16), 'unknown venue', ''),
        if(bitTest(opportunities.reasons, 17), 'routed', ''),
        if(bitTest(opportunities.reasons, 18), 'wide', ''),
        if(bitTest(opportunities.reasons, 19), 'others between', ''),
        if(bitTest(opportunities.reasons, 20), 'decoded in part', ''),
        if(bitTest(opportunities.reasons, 21), 'another mint kept', '')
    ]) AS reasons,
    opportunities.profit AS profit_raw,
    blockhash,
    ingested_at
FROM opportunities FINAL
WHERE origin = 'observed';

CREATE VIEW IF NOT EXISTS v_opportunities AS
SELECT * EXCEPT blockhash
FROM v_opportunities_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

CREATE VIEW IF NOT EXISTS v_opportunity_legs_all AS
WITH
    if(decimals_in = 255, NULL, exp10(decimals_in)) AS unit_in,
    if(decimals_out = 255, NULL, exp10(decimals_out)) AS unit_out
SELECT
    chain,
    slot,
    lower(hex(id)) AS id,
    number,
    role,
    tx_slot,
    tx_index,
    if(ix_inner < 0, toString(ix_outer), concat(toString(ix_outer), '.', toString(ix_inner))) AS ix_path,
    leg,
    base58Encode(signature) AS signature,
    base58Encode(fee_payer) AS fee_payer,
    venue,
    nullIf(router, '') AS router,
    if(pool = toFixedString('', 32), NULL, base58Encode(pool)) AS pool,
    if(trader = toFixedString('', 32), NULL, base58Encode(trader)) AS trader,
    if(mint_in = toFixedString('', 32), '', base58Encode(mint_in)) AS mint_in,
    if(mint_out = toFixedString('', 32), '', base58Encode(mint_out)) AS mint_out,
    opportunity_legs.trader_in / unit_in AS trader_in,
    opportunity_legs.trader_out / unit_out AS trader_out,
    opportunity_legs.amount_in AS amount_in_raw,
    opportunity_legs.amount_out AS amount_out_raw,
    opportunity_legs.trader_in AS trader_in_raw,
    opportunity_legs.trader_out AS trader_out_raw,
    tx_fee / 1e9 AS tx_fee_sol,
    tx_tip / 1e9 AS tx_tip_sol,
    blockhash
FROM opportunity_legs FINAL
WHERE origin = 'observed';

CREATE VIEW IF NOT EXISTS v_opportunity_legs AS
SELECT * EXCEPT blockhash
FROM v_opportunity_legs_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

-- The transactions that observed opportunities are made of, without those of victims and targets,
-- each once. `told`: of how many of its opportunities the net is told. `opportunity_slots`: where
-- these are complete.
CREATE VIEW IF NOT EXISTS v_opportunity_transactions AS
SELECT
    l.chain AS chain,
    l.tx_slot AS slot,
    any(l.tx_index) AS tx_index,
    l.signature AS signature,
    any(l.fee_payer) AS fee_payer,
    any(l.tx_fee_sol) AS fee_sol,
    any(l.tx_tip_sol) AS tip_sol,
    arraySort(groupUniqArray(o.kind)) AS kinds,
    arraySort(groupUniqArray(o.actor)) AS actors,
    uniqExact(o.id) AS opportunities,
    uniqExactIf(o.id, o.net_sol IS NOT NULL) AS told,
    arraySort(groupUniqArray(o.slot)) AS opportunity_slots
FROM (SELECT * FROM v_opportunity_legs WHERE role NOT IN ('victim', 'target')) AS l
INNER JOIN (SELECT * FROM v_opportunities WHERE origin = 'observed') AS o USING (chain, slot, id)
GROUP BY l.chain, l.tx_slot, l.signature;
