-- What happened, by kind and by who was part of it. Of observed opportunities alone.

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

-- What is repaid and seized is told of the first mint of each side (few liquidations have more), and
-- is NULL where nobody told the amount; `repaid` and `seized` also where nobody told the decimals,
-- as no token is moved where all stays in accounts with the lending program.
CREATE VIEW IF NOT EXISTS v_liquidations AS
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

-- Who lost to whom. The swaps that backruns followed are not among them: nothing was taken there.
-- `loss_sol`: in SOL, where the victim paid or got it, what is missing at the price that it would
-- have had.
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
    multiIf(
        v.mint = v.sol, v.loss / 1e9,
        l.mint_in = base58Encode(v.sol), l.trader_in * loss_share,
        NULL
    ) AS loss_sol,
    transform(v.exactness, [1, 2, 3], ['exact', 'in range', 'approximate'], NULL) AS exactness,
    o.actor AS actor,
    o.confidence AS confidence
FROM
(
    SELECT
        *,
        lower(hex(id)) AS hex_id,
        base58Decode('So11111111111111111111111111111111111111112') AS sol
    FROM opportunity_victims FINAL
    WHERE loss > 0
) AS v
INNER JOIN (SELECT * FROM v_opportunities WHERE origin = 'observed') AS o
    ON v.chain = o.chain AND v.slot = o.slot AND v.hex_id = o.id
LEFT JOIN v_opportunity_legs AS l
    ON v.chain = l.chain AND v.slot = l.slot AND v.hex_id = l.id AND v.number = l.number;

-- Per actor. Profit and net are summed where they are in SOL; fees and tips are those of its
-- transactions, `net_sol` has each of them once. `tip_share`: of the profit in SOL, the tips that
-- were paid for it. `share`: of all that was observed, by count.
CREATE VIEW IF NOT EXISTS v_searchers AS
SELECT
    o.chain AS chain,
    o.actor AS actor,
    o.opportunities AS opportunities,
    o.arbitrages AS arbitrages,
    o.backruns AS backruns,
    o.sandwiches AS sandwiches,
    o.liquidations AS liquidations,
    o.jit_liquidity AS jit_liquidity,
    o.profit_sol AS profit_sol,
    o.net_sol + t.counted_again AS net_sol,
    t.fees_sol AS fees_sol,
    t.tips_sol AS tips_sol,
    if(profit_sol > 0, t.told_tips_sol / profit_sol, NULL) AS tip_share,
    o.share AS share,
    o.first_slot AS first_slot,
    o.last_slot AS last_slot
FROM
(
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
        count() / sum(count()) OVER (PARTITION BY chain) AS share,
        min(slot) AS first_slot,
        max(slot) AS last_slot
    FROM v_opportunities
    WHERE origin = 'observed'
    GROUP BY chain, actor
) AS o
LEFT JOIN
(
    SELECT
        chain,
        actor,
        sum(fee_sol) AS fees_sol,
        sum(tip_sol) AS tips_sol,
        sumIf(tip_sol, told > 0) AS told_tips_sol,
        sum(greatest(toInt64(told) - 1, 0) * (fee_sol + tip_sol)) AS counted_again
    FROM v_opportunity_transactions
    ARRAY JOIN actors AS actor
    GROUP BY chain, actor
) AS t USING (chain, actor);

-- Tips of a hundred slots: what was paid, and what of it was paid for opportunities. `slots`: those
-- that are stored, with and without tips.
CREATE VIEW IF NOT EXISTS v_tips AS
SELECT
    s.chain AS chain,
    s.from_slot AS from_slot,
    s.slots AS slots,
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
    SELECT chain, intDiv(slot, 100) * 100 AS from_slot, count() AS slots
    FROM current_blocks
    GROUP BY chain, from_slot
) AS s
INNER JOIN
(
    SELECT
        chain,
        intDiv(slot, 100) * 100 AS from_slot,
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
) AS t USING (chain, from_slot)
LEFT JOIN
(
    SELECT
        chain,
        intDiv(slot, 100) * 100 AS from_slot,
        count() AS tips,
        sum(v_opportunity_transactions.tip_sol) AS sum_sol,
        quantileExact(0.5)(v_opportunity_transactions.tip_sol) AS p50_sol
    FROM v_opportunity_transactions
    WHERE v_opportunity_transactions.tip_sol > 0
    GROUP BY chain, from_slot
) AS o USING (chain, from_slot);
