-- MEV that could be taken (origin predicted): cycles that a transaction left, and what swaps stood to
-- lose (kind exposure). The views of what happened leave both out.

-- Predicted cycles. A backrun is one that gained nothing before the transaction of its target, the
-- swap that it follows; `opened`: by how much that transaction raised the profit.
CREATE VIEW IF NOT EXISTS v_predicted_all AS
WITH if(o.decimals = 255, NULL, exp10(o.decimals)) AS unit
SELECT
    o.chain AS chain,
    o.slot AS slot,
    nullIf(o.block_time, toDateTime(0, 'UTC')) AS block_time,
    lower(hex(o.id)) AS id,
    o.kind AS kind,
    if(o.market = toFixedString('', 32), NULL, base58Encode(o.market)) AS market,
    base58Encode(o.profit_mint) AS profit_mint,
    o.input / unit AS input,
    o.profit / unit AS profit,
    o.opened / unit AS opened,
    o.net_lamports / 1e9 AS net_sol,
    o.fee / 1e9 AS fee_sol,
    o.tip / 1e9 AS tip_sol,
    transform(o.exactness, [1, 2, 3], ['exact', 'in range', 'approximate'], NULL) AS exactness,
    o.confidence AS confidence,
    o.expiry_slot AS expiry_slot,
    base58Encode(o.signature) AS followed,
    o.tx_index AS tx_index,
    if(o.ix_inner < 0, toString(o.ix_outer), concat(toString(o.ix_outer), '.', toString(o.ix_inner))) AS ix_path,
    l.hops AS hops,
    l.venues AS venues,
    l.pools AS pools,
    l.route AS route,
    l.amounts AS amounts_raw,
    o.input AS input_raw,
    o.profit AS profit_raw,
    o.opened AS opened_raw,
    o.blockhash AS blockhash,
    o.ingested_at AS ingested_at
FROM (SELECT * FROM opportunities FINAL WHERE origin = 'predicted' AND kind != 'exposure') AS o
LEFT JOIN
(
    SELECT
        chain,
        slot,
        id,
        count() AS hops,
        arrayMap(x -> x.2, arraySort(groupArray((number, toString(venue))))) AS venues,
        arrayMap(x -> x.2, arraySort(groupArray((number, base58Encode(pool))))) AS pools,
        arrayMap(x -> x.2, arraySort(groupArray((number, base58Encode(mint_in))))) AS route,
        arrayMap(x -> x.2, arraySort(groupArray((number, amount_in)))) AS amounts
    FROM opportunity_legs FINAL
    WHERE origin = 'predicted' AND role = 'hop'
    GROUP BY chain, slot, id
) AS l ON o.chain = l.chain AND o.slot = l.slot AND o.id = l.id;

CREATE VIEW IF NOT EXISTS v_predicted AS
SELECT * EXCEPT blockhash
FROM v_predicted_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);

-- What a swap stood to lose had somebody bought as much right before it and sold that behind it.
CREATE VIEW IF NOT EXISTS v_exposures_all AS
WITH
    if(l.decimals_in = 255, NULL, exp10(l.decimals_in)) AS unit_in,
    if(l.decimals_out = 255, NULL, exp10(l.decimals_out)) AS unit_out
SELECT
    o.chain AS chain,
    o.slot AS slot,
    nullIf(o.block_time, toDateTime(0, 'UTC')) AS block_time,
    lower(hex(o.id)) AS id,
    o.tx_index AS tx_index,
    if(o.ix_inner < 0, toString(o.ix_outer), concat(toString(o.ix_outer), '.', toString(o.ix_inner))) AS ix_path,
    base58Encode(o.signature) AS signature,
    base58Encode(l.fee_payer) AS wallet,
    l.venue AS venue,
    nullIf(l.router, '') AS router,
    base58Encode(l.pool) AS pool,
    base58Encode(l.mint_in) AS mint_in,
    base58Encode(l.mint_out) AS mint_out,
    l.amount_in / unit_in AS amount_in,
    l.amount_out / unit_out AS amount_out,
    o.victim_loss / unit_out AS loss,
    if(l.amount_out = 0, NULL, o.victim_loss / l.amount_out) AS loss_share,
    o.profit / unit_in AS gain,
    o.net_lamports / 1e9 AS net_sol,
    transform(o.exactness, [1, 2, 3], ['exact', 'in range', 'approximate'], NULL) AS exactness,
    o.victim_loss AS loss_raw,
    o.profit AS gain_raw,
    o.blockhash AS blockhash,
    o.ingested_at AS ingested_at
FROM (SELECT * FROM opportunities FINAL WHERE kind = 'exposure') AS o
LEFT JOIN (SELECT * FROM opportunity_legs FINAL WHERE origin = 'predicted' AND role = 'victim') AS l
    ON o.chain = l.chain AND o.slot = l.slot AND o.id = l.id;

CREATE VIEW IF NOT EXISTS v_exposures AS
SELECT * EXCEPT blockhash
FROM v_exposures_all
WHERE (chain, slot, blockhash) IN (SELECT chain, slot, blockhash FROM current_blocks);
