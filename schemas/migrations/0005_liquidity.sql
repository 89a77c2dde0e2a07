-- Changes of liquidity positions, and liquidations of loans and positions. What is common to all
-- tables: 0001_tables.sql; what the columns mean: docs/schema.md.

CREATE TABLE IF NOT EXISTS liquidity
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    tx_index UInt32 CODEC(Delta, LZ4),
    ix_outer UInt32 CODEC(T64, LZ4),
    ix_inner Int32 CODEC(T64, LZ4) COMMENT '-1: a top-level instruction',
    leg UInt32 CODEC(T64, LZ4) COMMENT 'of one instruction, from 0: one that moves a position removes and adds',
    signature FixedString(64),
    blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    kind LowCardinality(String) COMMENT 'add, remove, open, close, collect (fees alone)',
    venue LowCardinality(String),
    program FixedString(32),
    pool FixedString(32),
    position FixedString(32) COMMENT 'account of the position; none where shares of the pool are tokens',
    owner FixedString(32) COMMENT 'who may change the position',
    fee_payer FixedString(32),
    mint_a FixedString(32),
    mint_b FixedString(32),
    decimals_a UInt8 COMMENT '255: not told',
    decimals_b UInt8 COMMENT '255: not told',
    amount_a UInt64 CODEC(T64, LZ4) COMMENT 'into or out of the pool, collected fees included',
    amount_b UInt64 CODEC(T64, LZ4) COMMENT 'into or out of the pool, collected fees included',
    fee_a UInt64 CODEC(T64, LZ4) COMMENT 'collected trading fees in amount_a, where flag 32 is set',
    fee_b UInt64 CODEC(T64, LZ4) COMMENT 'collected trading fees in amount_b, where flag 32 is set',
    delta_low UInt64 CODEC(T64, LZ4) COMMENT 'lower half of delta, where flag 256 is set',
    delta_high UInt64 CODEC(T64, LZ4) COMMENT 'upper half of delta, where flag 256 is set',
    lower Int32 CODEC(T64, LZ4) COMMENT 'first tick or bin; -2147483648: none',
    upper Int32 CODEC(T64, LZ4) COMMENT 'last bin, or the tick after the last; -2147483648: none',
    tick Int32 CODEC(T64, LZ4) COMMENT 'current tick or active bin of the pool; -2147483648: not told',
    reserve_a UInt64 CODEC(T64, LZ4) COMMENT 'vault after the instruction, where flag 16 is set',
    reserve_b UInt64 CODEC(T64, LZ4) COMMENT 'vault after the instruction, where flag 16 is set',
    tx_fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    tx_tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    flags UInt16 CODEC(T64, LZ4) COMMENT '1 event confirms, 2 event differs, 16 reserves known, 32 fees told, 128 amounts from the event, 256 delta told',
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    delta UInt128 ALIAS bitOr(bitShiftLeft(toUInt128(delta_high), 64), toUInt128(delta_low)),
    event_confirmed Bool ALIAS bitTest(flags, 0),
    event_differs Bool ALIAS bitTest(flags, 1),
    reserves_known Bool ALIAS bitTest(flags, 4),
    fees_told Bool ALIAS bitTest(flags, 5),
    amounts_from_event Bool ALIAS bitTest(flags, 7),
    delta_told Bool ALIAS bitTest(flags, 8),
    INDEX by_pool pool TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_position position TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_owner owner TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot, tx_index)
ORDER BY (chain, slot, tx_index, ix_outer, ix_inner, leg, signature)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS liquidations
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    tx_index UInt32 CODEC(Delta, LZ4),
    ix_outer UInt32 CODEC(T64, LZ4),
    ix_inner Int32 CODEC(T64, LZ4) COMMENT '-1: a top-level instruction',
    leg UInt32 CODEC(T64, LZ4) COMMENT 'of one liquidation, from 0: several mints repaid or taken',
    signature FixedString(64),
    blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    kind LowCardinality(String) COMMENT 'loan, perp, borrow_for_perp_pnl, perp_pnl_for_deposit',
    protocol LowCardinality(String),
    program FixedString(32),
    liquidator FixedString(32),
    account FixedString(32) COMMENT 'obligation or margin account that is liquidated; a vault of Jupiter Lend',
    owner FixedString(32) COMMENT 'of the account, where it is told',
    fee_payer FixedString(32),
    repay_mint FixedString(32),
    collateral_mint FixedString(32),
    repay_decimals UInt8 COMMENT '255: not told',
    collateral_decimals UInt8 COMMENT '255: not told',
    repay_market Int32 CODEC(T64, LZ4) COMMENT 'market number of Drift, -1 elsewhere',
    collateral_market Int32 CODEC(T64, LZ4) COMMENT 'market number of Drift, -1 elsewhere',
    repay_amount UInt64 CODEC(T64, LZ4) COMMENT 'debt that is repaid',
    collateral_amount UInt64 CODEC(T64, LZ4) COMMENT 'collateral that is taken, before the fee',
    fee UInt64 CODEC(T64, LZ4) COMMENT 'of the protocol, where flag 32 is set; of collateral_mint where flag 64 is set, else of repay_mint and on top',
    tx_fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    tx_tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction',
    flags UInt16 CODEC(T64, LZ4) COMMENT '1 event confirms, 2 event differs, 32 fee told, 64 fee of collateral_mint, 128 amounts from the event, 256 collateral is the share token, 512 amounts not known',
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    event_confirmed Bool ALIAS bitTest(flags, 0),
    event_differs Bool ALIAS bitTest(flags, 1),
    fee_told Bool ALIAS bitTest(flags, 5),
    fee_in_collateral Bool ALIAS bitTest(flags, 6),
    amounts_from_event Bool ALIAS bitTest(flags, 7),
    share_tokens Bool ALIAS bitTest(flags, 8),
    amounts_unknown Bool ALIAS bitTest(flags, 9),
    INDEX by_liquidator liquidator TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_account account TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot, tx_index)
ORDER BY (chain, slot, tx_index, ix_outer, ix_inner, leg, signature)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- The views follow the rules of 0002_views.sql.
CREATE VIEW IF NOT EXISTS v_liquidity_all AS
WITH
    toFixedString('', 32) AS none,
    if(decimals_a = 255, NULL, exp10(decimals_a)) AS unit_a,
    if(decimals_b = 255, NULL, exp10(decimals_b)) AS unit_b
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    tx_index,
    if(ix_inner < 0, toString(ix_outer), concat(toString(ix_outer), '.', toString(ix_inner))) AS ix_path,
    leg,
    base58Encode(signature) AS signature,
    kind,
    venue,
    base58Encode(program) AS program,
    if(pool = none, NULL, base58Encode(pool)) AS pool,
    if(position = none, NULL, base58Encode(position)) AS position,
    if(owner = none, NULL, base58Encode(owner)) AS owner,
    base58Encode(fee_payer) AS fee_payer,
    if(mint_a = none, NULL, base58Encode(mint_a)) AS mint_a,
    if(mint_b = none, NULL, base58Encode(mint_b)) AS mint_b,
    liquidity.amount_a / unit_a AS amount_a,
    liquidity.amount_b / unit_b AS amount_b,
    if(bitTest(flags, 5), liquidity.fee_a / unit_a, NULL) AS fee_a,
    if(bitTest(flags, 5), liquidity.fee_b / unit_b, NULL) AS fee_b,
    if(bitTest(flags, 8), bitOr(bitShiftLeft(toUInt128(delta_high), 64), toUInt128(delta_low)), NULL) AS delta,
    nullIf(lower, -2147483648) AS lower,
    nullIf(upper, -2147483648) AS upper,
    nullIf(tick, -2147483648) AS tick,
    if(bitTest(flags, 4), liquidity.reserve_a / unit_a, NULL) AS reserve_a,
    if(bitTest(flags, 4), liquidity.reserve_b / unit_b, NULL) AS reserve_b,
    liquidity.amount_a AS amount_a_raw,
    liquidity.amount_b AS amount_b_raw,
    tx_fee / 1e9 AS tx_fee_sol,
    tx_tip / 1e9 AS tx_tip_sol,
    toBool(bitTest(flags, 0)) AS event_confirmed,
    toBool(bitTest(flags, 1)) AS event_differs,
    blockhash,
    ingested_at
FROM liquidity FINAL;

CREATE VIEW IF NOT EXISTS v_liquidity AS
SELECT * EXCEPT blockhash
FROM v_liquidity_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

CREATE VIEW IF NOT EXISTS v_liquidation_events_all AS
WITH
    toFixedString('', 32) AS none,
    if(repay_decimals = 255, NULL, exp10(repay_decimals)) AS unit_repay,
    if(collateral_decimals = 255, NULL, exp10(collateral_decimals)) AS unit_collateral,
    bitTest(flags, 9) AS unknown
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    tx_index,
    if(ix_inner < 0, toString(ix_outer), concat(toString(ix_outer), '.', toString(ix_inner))) AS ix_path,
    leg,
    base58Encode(signature) AS signature,
    kind,
    protocol,
    base58Encode(program) AS program,
    if(liquidator = none, NULL, base58Encode(liquidator)) AS liquidator,
    if(account = none, NULL, base58Encode(account)) AS account,
    if(owner = none, NULL, base58Encode(owner)) AS owner,
    base58Encode(fee_payer) AS fee_payer,
    if(repay_mint = none, NULL, base58Encode(repay_mint)) AS repay_mint,
    if(collateral_mint = none, NULL, base58Encode(collateral_mint)) AS collateral_mint,
    nullIf(repay_market, -1) AS repay_market,
    nullIf(collateral_market, -1) AS collateral_market,
    if(unknown, NULL, liquidations.repay_amount / unit_repay) AS repay_amount,
    if(unknown, NULL, liquidations.collateral_amount / unit_collateral) AS collateral_amount,
    if(bitTest(flags, 5), liquidations.fee / if(bitTest(flags, 6), unit_collateral, unit_repay), NULL) AS fee,
    if(bitTest(flags, 5), if(bitTest(flags, 6), 'collateral', 'repay'), NULL) AS fee_side,
    if(unknown, NULL, liquidations.repay_amount) AS repay_amount_raw,
    if(unknown, NULL, liquidations.collateral_amount) AS collateral_amount_raw,
    toBool(bitTest(flags, 8)) AS share_tokens,
    tx_fee / 1e9 AS tx_fee_sol,
    tx_tip / 1e9 AS tx_tip_sol,
    toBool(bitTest(flags, 0)) AS event_confirmed,
    toBool(bitTest(flags, 1)) AS event_differs,
    blockhash,
    ingested_at
FROM liquidations FINAL;

CREATE VIEW IF NOT EXISTS v_liquidation_events AS
SELECT * EXCEPT blockhash
FROM v_liquidation_events_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);
