-- Candles: a row per slot, pool and pair of mints that was traded there. What is common to all
-- tables: 0001_tables.sql; the rest: docs/schema.md.

CREATE TABLE IF NOT EXISTS market_data
(
    chain LowCardinality(String),
    slot UInt64 CODEC(Delta, LZ4),
    pool FixedString(32),
    mint_base FixedString(32),
    mint_quote FixedString(32) COMMENT 'what prices are told in',
    blockhash FixedString(32),
    block_time DateTime('UTC') CODEC(Delta, LZ4) COMMENT '1970-01-01 00:00:00: not told',
    venue LowCardinality(String),
    decimals_base UInt8 COMMENT '255: not told',
    decimals_quote UInt8 COMMENT '255: not told',
    open Float64 COMMENT 'executed, base units of the quote per base unit of the base; NaN: no swap has a price',
    high Float64,
    low Float64,
    close Float64,
    price_after Float64 COMMENT 'marginal price after the last swap that tells it; NaN: none does',
    volume_base UInt128 COMMENT 'exact sum of the pool''s side',
    volume_quote UInt128 COMMENT 'exact sum of the pool''s side',
    swaps UInt32 CODEC(T64, LZ4),
    buys UInt32 CODEC(T64, LZ4) COMMENT 'swaps that took the base out of the pool',
    reserve_base UInt64 CODEC(T64, LZ4) COMMENT 'after the last swap that tells it, where flag 16 is set',
    reserve_quote UInt64 CODEC(T64, LZ4) COMMENT 'after the last swap that tells it, where flag 16 is set',
    impact_max Float64 COMMENT 'largest amount_in / reserve_in before the swap; NaN: not told',
    impact_mean Float64 COMMENT 'the same, mean weighted by the quote amount; NaN: not told',
    flags UInt8 COMMENT '16 reserves known',
    schema_version UInt16,
    run_id LowCardinality(String),
    version UInt64 CODEC(Delta, LZ4),
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, LZ4),
    sells UInt32 ALIAS toUInt32(swaps - buys),
    liquidity UInt64 ALIAS reserve_quote,
    reserves_known Bool ALIAS bitTest(flags, 4),
    INDEX by_pool pool TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_mint_base mint_base TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(ingested_at)
PRIMARY KEY (chain, slot)
ORDER BY (chain, slot, pool, mint_base, mint_quote)
TTL ingested_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE VIEW IF NOT EXISTS v_market_data_all AS
WITH
    if(decimals_base = 255, NULL, exp10(decimals_base)) AS unit_base,
    if(decimals_quote = 255, NULL, exp10(decimals_quote)) AS unit_quote,
    unit_base / unit_quote AS unit_price
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    venue,
    base58Encode(pool) AS pool,
    base58Encode(mint_base) AS mint_base,
    base58Encode(mint_quote) AS mint_quote,
    if(isNaN(market_data.open), NULL, market_data.open * unit_price) AS open,
    if(isNaN(market_data.high), NULL, market_data.high * unit_price) AS high,
    if(isNaN(market_data.low), NULL, market_data.low * unit_price) AS low,
    if(isNaN(market_data.close), NULL, market_data.close * unit_price) AS close,
    if(isNaN(market_data.price_after), NULL, market_data.price_after * unit_price) AS price_after,
    toFloat64(market_data.volume_base) / unit_base AS volume_base,
    toFloat64(market_data.volume_quote) / unit_quote AS volume_quote,
    swaps,
    buys,
    toUInt32(swaps - buys) AS sells,
    if(bitTest(flags, 4), market_data.reserve_base / unit_base, NULL) AS reserve_base,
    if(bitTest(flags, 4), market_data.reserve_quote / unit_quote, NULL) AS reserve_quote,
    if(isNaN(market_data.impact_max), NULL, market_data.impact_max) AS impact_max,
    if(isNaN(market_data.impact_mean), NULL, market_data.impact_mean) AS impact_mean,
    market_data.volume_base AS volume_base_raw,
    market_data.volume_quote AS volume_quote_raw,
    blockhash,
    ingested_at
FROM market_data FINAL;

CREATE VIEW IF NOT EXISTS v_market_data AS
SELECT * EXCEPT blockhash
FROM v_market_data_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

-- Candles of a minute of block time, per pool and pair.
CREATE VIEW IF NOT EXISTS v_candles AS
SELECT
    chain,
    toStartOfMinute(assumeNotNull(block_time)) AS minute,
    argMax(venue, slot) AS venue,
    pool,
    mint_base,
    mint_quote,
    argMin(v_market_data.open, slot) AS open,
    max(v_market_data.high) AS high,
    min(v_market_data.low) AS low,
    argMax(v_market_data.close, slot) AS close,
    sum(v_market_data.volume_base) AS volume_base,
    sum(v_market_data.volume_quote) AS volume_quote,
    sum(v_market_data.swaps) AS swaps,
    sum(v_market_data.buys) AS buys,
    sum(v_market_data.sells) AS sells,
    argMax(v_market_data.reserve_quote, slot) AS liquidity,
    max(v_market_data.impact_max) AS impact_max
FROM v_market_data
WHERE block_time IS NOT NULL
GROUP BY chain, minute, pool, mint_base, mint_quote;
