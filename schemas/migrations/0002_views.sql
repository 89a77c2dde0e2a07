-- What an analyst reads: keys as base58, amounts in whole tokens, NULL where nothing is known.
--
-- A view shows a row if its block is the one that `slots` names for the slot and that block is
-- confirmed or better. Stored blocks whose commitment nobody told (`unknown`) count as confirmed:
-- no archive serves anything less. The `_all` views show every row, also of slots that are only
-- processed, dead or not yet completely stored, with its blockhash.

CREATE VIEW IF NOT EXISTS current_blocks AS
SELECT chain, slot, blockhash
FROM slots FINAL
WHERE commitment NOT IN ('processed', 'dead');

CREATE VIEW IF NOT EXISTS v_slots AS
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    if(blockhash = toFixedString('', 32), NULL, base58Encode(blockhash)) AS blockhash,
    parent_slot,
    nullIf(block_height, 0) AS block_height,
    commitment,
    toBool(batches = batches_total) AS complete,
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

CREATE VIEW IF NOT EXISTS v_transactions_all AS
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    tx_index,
    base58Encode(signature) AS signature,
    base58Encode(fee_payer) AS fee_payer,
    toBool(bitTest(flags, 0)) AS success,
    toBool(bitTest(flags, 1)) AS is_vote,
    transform(message_version, [0, 1, 2], ['legacy', '0', '1'], 'unknown') AS version,
    nullIf(error, -1) AS error,
    nullIf(error_instruction, -1) AS error_instruction,
    nullIf(error_detail, -1) AS error_detail,
    nullIf(error_custom, -1) AS error_custom,
    fee / 1e9 AS fee_sol,
    tip / 1e9 AS tip_sol,
    if(tip_payer = toFixedString('', 32), NULL, base58Encode(tip_payer)) AS tip_payer,
    (toInt128(payer_post) - toInt128(payer_pre)) / 1e9 AS payer_change_sol,
    if(bitTest(flags, 5), compute_units, NULL) AS compute_units,
    nullIf(compute_unit_limit, 4294967295) AS compute_unit_limit,
    compute_unit_price,
    instructions,
    inner_instructions,
    signatures,
    accounts,
    bytes,
    swaps,
    swap_attempts,
    toBool(bitTest(flags, 2)) AS decoded_in_part,
    toBool(bitTest(flags, 3)) AS log_truncated,
    toBool(bitTest(flags, 4)) AS dontfront,
    blockhash,
    ingested_at
FROM transactions FINAL;

CREATE VIEW IF NOT EXISTS v_transactions AS
SELECT * EXCEPT blockhash
FROM v_transactions_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

CREATE VIEW IF NOT EXISTS v_swaps_all AS
WITH
    toFixedString('', 32) AS none,
    ['SOL', 'USDC', 'USDT', 'PYUSD', 'USDS', 'USDG', 'jitoSOL', 'mSOL', 'bSOL', 'stSOL', 'JUP', 'RAY', 'JTO', 'BONK', 'WIF'] AS symbols,
    [
        'So11111111111111111111111111111111111111112',
        'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
        'Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB',
        '2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo',
        'USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA',
        '2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH',
        'J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn',
        'mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So',
        'bSo13r4TkiE4KumL71LsHTPpL2euBYLFx6h9HP3piy1',
        '7dHbWXmci3dT8UFYWYZweBLXgycu7Y3iL6trKn1Y7ARj',
        'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN',
        '4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R',
        'jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL',
        'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263',
        'EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm'
    ] AS mints,
    if(decimals_in = 255, NULL, exp10(decimals_in)) AS unit_in,
    if(decimals_out = 255, NULL, exp10(decimals_out)) AS unit_out
SELECT
    chain,
    slot,
    nullIf(block_time, toDateTime(0, 'UTC')) AS block_time,
    tx_index,
    if(ix_inner < 0, toString(ix_outer), concat(toString(ix_outer), '.', toString(ix_inner))) AS ix_path,
    leg,
    base58Encode(signature) AS signature,
    venue,
    nullIf(router, '') AS router,
    base58Encode(program) AS program,
    if(pool = none, NULL, base58Encode(pool)) AS pool,
    if(trader = none, NULL, base58Encode(trader)) AS trader,
    base58Encode(fee_payer) AS fee_payer,
    base58Encode(mint_in) AS mint_in,
    base58Encode(mint_out) AS mint_out,
    nullIf(transform(mint_in, mints, symbols, ''), '') AS symbol_in,
    nullIf(transform(mint_out, mints, symbols, ''), '') AS symbol_out,
    swaps.amount_in / unit_in AS amount_in,
    swaps.amount_out / unit_out AS amount_out,
    if(swaps.amount_in = 0, NULL, amount_out / amount_in) AS price,
    if(isNaN(swaps.price_after), NULL, swaps.price_after * unit_in / unit_out) AS price_after,
    swaps.trader_in / unit_in AS trader_in,
    swaps.trader_out / unit_out AS trader_out,
    if(bitTest(flags, 4), swaps.reserve_in / unit_in, NULL) AS reserve_in,
    if(bitTest(flags, 4), swaps.reserve_out / unit_out, NULL) AS reserve_out,
    if(bitTest(flags, 5), swaps.fee / if(bitTest(flags, 6), unit_out, unit_in), NULL) AS fee,
    if(bitTest(flags, 5), if(bitTest(flags, 6), 'out', 'in'), NULL) AS fee_side,
    swaps.amount_in AS amount_in_raw,
    swaps.amount_out AS amount_out_raw,
    swaps.trader_in AS trader_in_raw,
    swaps.trader_out AS trader_out_raw,
    if(vault_in = none, NULL, base58Encode(vault_in)) AS vault_in,
    if(vault_out = none, NULL, base58Encode(vault_out)) AS vault_out,
    tx_fee / 1e9 AS tx_fee_sol,
    tx_tip / 1e9 AS tx_tip_sol,
    multiIf(bitTest(flags, 1), 'differs', bitTest(flags, 0), 'confirmed', NULL) AS event,
    multiIf(bitTest(flags, 3), 'differs', bitTest(flags, 2), 'confirmed', NULL) AS router_event,
    ix_outer,
    ix_inner,
    blockhash,
    ingested_at
FROM swaps FINAL;

CREATE VIEW IF NOT EXISTS v_swaps AS
SELECT * EXCEPT blockhash
FROM v_swaps_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

-- The columns of Dune's dex_solana.trades, in its order and with its counting of instructions
-- from 1. What cannot be known here (prices in USD, fee tiers) is NULL; the venues that Dune
-- groups as one project have Dune's project and version; trade_source is the router's name where
-- Dune has its program id.
CREATE VIEW IF NOT EXISTS dex_solana_trades AS
SELECT
    chain AS blockchain,
    transform(
        venue,
        ['raydium_amm_v4', 'raydium_clmm', 'raydium_cpmm', 'orca_whirlpool', 'meteora_damm_v1', 'meteora_dlmm', 'meteora_damm_v2', 'meteora_dbc', 'pump_fun', 'pump_swap', 'lifinity_v2'],
        ['raydium', 'raydium', 'raydium', 'whirlpool', 'meteora', 'meteora', 'meteora', 'meteora', 'pumpdotfun', 'pumpswap', 'lifinity'],
        venue
    ) AS project,
    transform(
        venue,
        ['raydium_amm_v4', 'raydium_clmm', 'raydium_cpmm', 'meteora_damm_v1', 'meteora_dlmm', 'meteora_damm_v2', 'meteora_dbc', 'lifinity_v2', 'openbook_v2'],
        [4, 3, 5, 1, 2, 3, 4, 2, 2],
        1
    ) AS version,
    toStartOfMonth(block_time) AS block_month,
    toDate(block_time) AS block_date,
    block_time,
    slot AS block_slot,
    ifNull(router, 'direct') AS trade_source,
    symbol_out AS token_bought_symbol,
    symbol_in AS token_sold_symbol,
    if(lower(symbol_out) > lower(symbol_in), concat(symbol_out, '-', symbol_in), concat(symbol_in, '-', symbol_out)) AS token_pair,
    amount_out AS token_bought_amount,
    amount_in AS token_sold_amount,
    amount_out_raw AS token_bought_amount_raw,
    amount_in_raw AS token_sold_amount_raw,
    CAST(NULL, 'Nullable(Float64)') AS amount_usd,
    CAST(NULL, 'Nullable(Float64)') AS fee_tier,
    CAST(NULL, 'Nullable(Float64)') AS fee_usd,
    mint_out AS token_bought_mint_address,
    mint_in AS token_sold_mint_address,
    vault_out AS token_bought_vault,
    vault_in AS token_sold_vault,
    program AS project_program_id,
    pool AS project_main_id,
    trader AS trader_id,
    signature AS tx_id,
    ix_outer + 1 AS outer_instruction_index,
    if(ix_inner < 0, NULL, ix_inner + 1) AS inner_instruction_index,
    tx_index
FROM v_swaps;
