-- Opportunities for those who add up. A transaction that is part of several opportunities (two
-- liquidations in one, say) pays its fee and tip once, so legs tell them, and sums go over
-- transactions. A victim's loss is told in SOL, too.

ALTER TABLE opportunity_legs
    ADD COLUMN IF NOT EXISTS tx_fee UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction' AFTER trader_out,
    ADD COLUMN IF NOT EXISTS tx_tip UInt64 CODEC(T64, LZ4) COMMENT 'lamports, of the whole transaction' AFTER tx_fee;

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
    tx_fee / 1e9 AS tx_fee_sol,
    tx_tip / 1e9 AS tx_tip_sol,
    blockhash
FROM opportunity_legs FINAL
WHERE origin = 'observed';

CREATE OR REPLACE VIEW v_opportunity_legs AS
SELECT * EXCEPT blockhash
FROM v_opportunity_legs_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

-- The transactions that observed opportunities are made of, without those of victims and targets,
-- each once. `told`: of how many of its opportunities the net is told. `opportunity_slots`: where
-- these are complete.
CREATE OR REPLACE VIEW v_opportunity_transactions AS
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

-- Who lost to whom. The swaps that backruns followed are not among them: nothing was taken there.
-- `loss_sol`: in SOL, where the victim paid or got it, what is missing at the price that it would
-- have had.
CREATE OR REPLACE VIEW v_victims AS
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
CREATE OR REPLACE VIEW v_searchers AS
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
CREATE OR REPLACE VIEW v_tips AS
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
