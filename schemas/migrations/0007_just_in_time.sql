-- Liquidity just in time, and liquidations. A leg of theirs has one side, the mint of the other is
-- ''; a profit that is the change of one mint while another one is kept is not told as one.

CREATE OR REPLACE VIEW v_opportunities_all AS
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

CREATE OR REPLACE VIEW v_opportunity_legs_all AS
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
    blockhash
FROM opportunity_legs FINAL;

-- What is repaid and seized is told of the first mint of each side (few liquidations have more), and
-- is NULL where nobody told the amount; `repaid` and `seized` also where nobody told the decimals,
-- as no token is moved where all stays in accounts with the lending program.
CREATE OR REPLACE VIEW v_liquidations AS
SELECT
    o.* EXCEPT (victims, victim_loss_raw, exactness, origin),
    l.protocol AS protocol,
    l.account AS account,
    l.liquidator AS liquidator,
    l.repaid_mint AS repaid_mint,
    l.repaid AS repaid,
    l.seized_mint AS seized_mint,
    l.seized AS seized,
    nullIf(l.repaid_raw, 0) AS repaid_raw,
    nullIf(l.seized_raw, 0) AS seized_raw,
    l.swaps_back AS swaps_back
FROM (SELECT * FROM v_opportunities WHERE kind = 'liquidation' AND origin = 'observed') AS o
LEFT JOIN
(
    SELECT
        chain,
        slot,
        id,
        anyIf(venue, role = 'repay') AS protocol,
        anyIf(pool, role = 'repay') AS account,
        anyIf(trader, role = 'repay') AS liquidator,
        argMinIf(mint_in, number, role = 'repay') AS repaid_mint,
        nullIf(
            arraySum(arrayMap(
                side -> if(side.1 = repaid_mint, ifNull(side.2, 0), 0),
                groupArrayIf((mint_in, trader_in), role = 'repay')
            )),
            0
        ) AS repaid,
        arraySum(arrayMap(
            side -> if(side.1 = repaid_mint, side.2, 0),
            groupArrayIf((mint_in, toUInt128(trader_in_raw)), role = 'repay')
        )) AS repaid_raw,
        argMinIf(mint_out, number, role = 'seize') AS seized_mint,
        nullIf(
            arraySum(arrayMap(
                side -> if(side.1 = seized_mint, ifNull(side.2, 0), 0),
                groupArrayIf((mint_out, trader_out), role = 'seize')
            )),
            0
        ) AS seized,
        arraySum(arrayMap(
            side -> if(side.1 = seized_mint, side.2, 0),
            groupArrayIf((mint_out, toUInt128(trader_out_raw)), role = 'seize')
        )) AS seized_raw,
        countIf(role = 'hop') AS swaps_back
    FROM v_opportunity_legs
    GROUP BY chain, slot, id
) AS l USING (chain, slot, id);

-- `changes`: what the owner has more of each mint, base units, fees of the position in it.
CREATE VIEW IF NOT EXISTS v_jit_liquidity AS
SELECT
    o.* EXCEPT (victims, victim_loss_raw, exactness, origin),
    l.pool AS pool,
    l.venue AS venue,
    l.owner AS owner,
    l.changes AS changes,
    l.swaps AS swaps
FROM (SELECT * FROM v_opportunities WHERE kind = 'jit_liquidity' AND origin = 'observed') AS o
LEFT JOIN
(
    SELECT
        chain,
        slot,
        id,
        any(pool) AS pool,
        any(venue) AS venue,
        anyIf(trader, role = 'add') AS owner,
        sumMapIf(
            map(
                if(role = 'add', mint_in, mint_out),
                if(role = 'add', -toInt128(trader_in_raw), toInt128(trader_out_raw))
            ),
            role IN ('add', 'remove')
        ) AS changes,
        arrayMap(x -> x.2, arraySort(groupArrayIf((number, signature), role = 'target'))) AS swaps
    FROM v_opportunity_legs
    GROUP BY chain, slot, id
) AS l USING (chain, slot, id);
