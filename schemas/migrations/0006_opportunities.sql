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
    kind LowCardinality(String) COMMENT 'arbitrage, backrun, sandwich, liquidation, jit_liquidity',
    origin LowCardinality(String) COMMENT 'observed, predicted',
    first_slot UInt64 CODEC(Delta, LZ4) COMMENT 'of its first transaction, as the four that follow',
    tx_index UInt32 CODEC(T64, LZ4),
    ix_outer UInt32 CODEC(T64, LZ4),
    ix_inner Int32 CODEC(T64, LZ4) COMMENT '-1: top level',
    signature FixedString(64) CODEC(NONE),
    actor FixedString(32),
    profit_mint FixedString(32),
    decimals UInt8 COMMENT 'of the profit mint; 255: not told',
    profit Int64 CODEC(T64, LZ4) COMMENT 'base units of the profit mint, before fees and tips',
    net_lamports Int64 CODEC(T64, LZ4) COMMENT 'after fees and tips, where reason 16 is set',
    fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the actor''s transactions',
    tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the actor''s transactions',
    tip_payer FixedString(32),
    transactions UInt32 CODEC(T64, LZ4) COMMENT 'of the actor',
    victims UInt32 CODEC(T64, LZ4) COMMENT 'legs of victims, or of the target of a backrun',
    victim_loss UInt64 CODEC(T64, LZ4) COMMENT 'base units of what the victims got',
    exactness UInt8 COMMENT 'of the loss: 0 there is none, 1 exact, 2 in range, 3 approximate',
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
    base58Encode(profit_mint) AS profit_mint,
    opportunities.profit / unit AS profit,
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
        if(bitTest(opportunities.reasons, 20), 'decoded in part', '')
    ]) AS reasons,
    opportunities.profit AS profit_raw,
    blockhash,
    ingested_at
FROM opportunities FINAL;

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
    base58Encode(mint_in) AS mint_in,
    base58Encode(mint_out) AS mint_out,
    opportunity_legs.trader_in / unit_in AS trader_in,
    opportunity_legs.trader_out / unit_out AS trader_out,
    opportunity_legs.amount_in AS amount_in_raw,
    opportunity_legs.amount_out AS amount_out_raw,
    opportunity_legs.trader_in AS trader_in_raw,
    opportunity_legs.trader_out AS trader_out_raw,
    blockhash
FROM opportunity_legs FINAL;

CREATE VIEW IF NOT EXISTS v_opportunity_legs AS
SELECT * EXCEPT blockhash
FROM v_opportunity_legs_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

-- A backrun is an arbitrage that followed a swap: `followed` is that transaction.
CREATE VIEW IF NOT EXISTS v_arbitrages AS
SELECT
    o.* EXCEPT (victims, victim_loss_raw, exactness, origin, transactions),
    l.hops AS hops,
    l.venues AS venues,
    l.pools AS pools,
    l.route AS route,
    nullIf(l.followed, '') AS followed
FROM (SELECT * FROM v_opportunities WHERE kind IN ('arbitrage', 'backrun') AND origin = 'observed') AS o
LEFT JOIN
(
    SELECT
        chain,
        slot,
        id,
        countIf(role = 'hop') AS hops,
        arrayMap(x -> x.2, arraySort(groupArrayIf((number, venue), role = 'hop'))) AS venues,
        arrayMap(x -> x.2, arraySort(groupArrayIf((number, assumeNotNull(pool)), role = 'hop'))) AS pools,
        arrayMap(x -> x.2, arraySort(groupArrayIf((number, mint_in), role = 'hop'))) AS route,
        anyIf(signature, role = 'target') AS followed
    FROM v_opportunity_legs
    GROUP BY chain, slot, id
) AS l USING (chain, slot, id);

CREATE VIEW IF NOT EXISTS v_sandwiches AS
SELECT
    o.* EXCEPT origin,
    l.pool AS pool,
    l.venue AS venue,
    l.wallets AS wallets,
    l.fronts AS fronts,
    l.backs AS backs,
    toUInt64(o.slot - o.first_slot) AS slots_apart
FROM (SELECT * FROM v_opportunities WHERE kind = 'sandwich' AND origin = 'observed') AS o
LEFT JOIN
(
    SELECT
        chain,
        slot,
        id,
        any(pool) AS pool,
        any(venue) AS venue,
        arraySort(groupUniqArrayIf(fee_payer, role IN ('front', 'back'))) AS wallets,
        arrayMap(x -> x.2, arraySort(groupArrayIf((number, signature), role = 'front'))) AS fronts,
        arrayMap(x -> x.2, arraySort(groupArrayIf((number, signature), role = 'back'))) AS backs
    FROM v_opportunity_legs
    GROUP BY chain, slot, id
) AS l USING (chain, slot, id);

CREATE VIEW IF NOT EXISTS v_liquidations AS
SELECT
    o.* EXCEPT (victims, victim_loss_raw, exactness, origin),
    l.protocol AS protocol,
    l.repaid_mint AS repaid_mint,
    l.repaid AS repaid,
    l.seized_mint AS seized_mint,
    l.seized AS seized
FROM (SELECT * FROM v_opportunities WHERE kind = 'liquidation' AND origin = 'observed') AS o
LEFT JOIN
(
    SELECT
        chain,
        slot,
        id,
        any(venue) AS protocol,
        anyIf(mint_in, role = 'repay') AS repaid_mint,
        sumIf(trader_in, role = 'repay') AS repaid,
        anyIf(mint_out, role = 'seize') AS seized_mint,
        sumIf(trader_out, role = 'seize') AS seized
    FROM v_opportunity_legs
    GROUP BY chain, slot, id
) AS l USING (chain, slot, id);

-- Who lost to whom. The swaps that backruns followed are not among them: nothing was taken there.
CREATE VIEW IF NOT EXISTS v_victims AS
SELECT
    v.chain AS chain,
    v.slot AS slot,
    o.block_time AS block_time,
    o.id AS id,
    o.kind AS kind,
    base58Encode(v.wallet) AS wallet,
    base58Encode(v.signature) AS signature,
    base58Encode(v.mint) AS mint,
    v.got / if(v.decimals = 255, NULL, exp10(v.decimals)) AS got,
    v.expected / if(v.decimals = 255, NULL, exp10(v.decimals)) AS expected,
    v.loss / if(v.decimals = 255, NULL, exp10(v.decimals)) AS loss,
    if(v.expected = 0, NULL, v.loss / v.expected) AS loss_share,
    v.loss AS loss_raw,
    transform(v.exactness, [1, 2, 3], ['exact', 'in range', 'approximate'], NULL) AS exactness,
    o.actor AS actor,
    o.confidence AS confidence
FROM (SELECT *, lower(hex(id)) AS hex_id FROM opportunity_victims FINAL WHERE loss > 0) AS v
INNER JOIN v_opportunities AS o ON v.chain = o.chain AND v.slot = o.slot AND v.hex_id = o.id;

-- Per actor; profits are summed where they are in SOL. `share`: of all that was observed, by count.
CREATE VIEW IF NOT EXISTS v_searchers AS
SELECT
    chain,
    actor,
    count() AS opportunities,
    countIf(kind = 'arbitrage') AS arbitrages,
    countIf(kind = 'backrun') AS backruns,
    countIf(kind = 'sandwich') AS sandwiches,
    countIf(kind = 'liquidation') AS liquidations,
    countIf(kind = 'jit_liquidity') AS jit_liquidity,
    sumIf(v_opportunities.profit, v_opportunities.net_sol IS NOT NULL) AS profit_sol,
    sum(v_opportunities.net_sol) AS net_sol,
    sum(v_opportunities.fee_sol) AS fees_sol,
    sum(v_opportunities.tip_sol) AS tips_sol,
    if(profit_sol > 0, tips_sol / profit_sol, NULL) AS tip_share,
    count() / sum(count()) OVER (PARTITION BY chain) AS share,
    min(slot) AS first_slot,
    max(slot) AS last_slot
FROM v_opportunities
WHERE origin = 'observed'
GROUP BY chain, actor;

-- Tips of a hundred slots: what was paid, and what of it was paid for opportunities.
CREATE VIEW IF NOT EXISTS v_tips AS
SELECT
    t.chain AS chain,
    t.from_slot AS from_slot,
    t.slots AS slots,
    t.tips AS tips,
    t.sum_sol AS sum_sol,
    t.p25_sol AS p25_sol,
    t.p50_sol AS p50_sol,
    t.p75_sol AS p75_sol,
    t.p95_sol AS p95_sol,
    t.p99_sol AS p99_sol,
    t.max_sol AS max_sol,
    o.tips AS opportunity_tips,
    o.sum_sol AS opportunity_sum_sol,
    o.p50_sol AS opportunity_p50_sol
FROM
(
    SELECT
        chain,
        intDiv(slot, 100) * 100 AS from_slot,
        uniqExact(slot) AS slots,
        count() AS tips,
        sum(v_transactions.tip_sol) AS sum_sol,
        quantileExact(0.25)(v_transactions.tip_sol) AS p25_sol,
        quantileExact(0.5)(v_transactions.tip_sol) AS p50_sol,
        quantileExact(0.75)(v_transactions.tip_sol) AS p75_sol,
        quantileExact(0.95)(v_transactions.tip_sol) AS p95_sol,
        quantileExact(0.99)(v_transactions.tip_sol) AS p99_sol,
        max(v_transactions.tip_sol) AS max_sol
    FROM v_transactions
    WHERE v_transactions.tip_sol > 0
    GROUP BY chain, from_slot
) AS t
LEFT JOIN
(
    SELECT
        chain,
        intDiv(slot, 100) * 100 AS from_slot,
        count() AS tips,
        sum(v_opportunities.tip_sol) AS sum_sol,
        quantileExact(0.5)(v_opportunities.tip_sol) AS p50_sol
    FROM v_opportunities
    WHERE v_opportunities.tip_sol > 0 AND origin = 'observed'
    GROUP BY chain, from_slot
) AS o USING (chain, from_slot);
