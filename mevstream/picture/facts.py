"""What the picture shows, asked of the views of a store: nothing is counted anywhere else.

Amounts are whole tokens, SOL unless a field says otherwise; None is what the views do not know.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from mevstream.errors import MevstreamError

LISTED = 50
"""Rows of a list at most: the longest of them would be thousands."""

TOP = 12
"""The same of a ranking."""


class Engine(Protocol):
    """A store that answers, as Python values: an embedded one, a server or a lake."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...


class Totals(NamedTuple):
    """Sums over the slots whose block counts; times are ISO's, UTC, without it."""

    slots: int
    first_slot: int
    last_slot: int
    first_time: str | None
    last_time: str | None
    incomplete: int
    transactions: int
    votes: int
    failed: int
    succeeded: int
    decoded_in_part: int
    dead_lettered: int
    swaps: int
    failed_swap_attempts: int
    tipped: int
    tips: float
    fees: float


class SlotCounts(NamedTuple):
    slot: int
    votes: int
    failed: int
    succeeded: int
    swaps: int
    tips: float


class SlotProfit(NamedTuple):
    """Opportunities of one kind that were completed in the slot."""

    slot: int
    kind: str
    found: int
    net: float | None


class Venue(NamedTuple):
    """volume: of the side in SOL, or in dollars at the rate; of swaps that have such a side."""

    venue: str
    swaps: int
    routed: int
    pools: int
    traders: int
    volume: float | None


class Tips(NamedTuple):
    """Of transactions that tip."""

    tips: int
    sum: float
    p25: float
    p50: float
    p75: float
    p95: float
    p99: float
    max: float


class Kind(NamedTuple):
    """Opportunities of one kind. told: of how many `profit` and `net` are the sum, because theirs
    is in SOL."""

    kind: str
    found: int
    actors: int
    told: int
    profit: float | None
    fees: float
    tips: float
    net: float | None
    victims: int
    loss: float | None


class Sums(NamedTuple):
    """Over all observed opportunities, the costs of a transaction once. loss: as Kind has it."""

    found: int
    told: int
    net: float | None
    fees: float
    tips: float
    victims: int
    loss: float | None


class Gain(NamedTuple):
    """Profit in a mint, before fees and tips."""

    kind: str
    mint: str
    found: int
    profit: float


class Searcher(NamedTuple):
    actor: str
    found: int
    arbitrages: int
    backruns: int
    sandwiches: int
    liquidations: int
    jit_liquidity: int
    profit: float | None
    fees: float
    tips: float
    net: float | None


class Victim(NamedTuple):
    """One leg of a victim. loss_sol: where it paid or got SOL, at its own price."""

    slot: int
    id: str
    kind: str
    wallet: str
    signature: str
    mint: str
    got: float | None
    expected: float | None
    loss: float | None
    loss_share: float | None
    loss_sol: float | None
    exactness: str | None
    actor: str


class Opportunity(NamedTuple):
    """transactions: of the actor. followed: of a backrun, the transaction behind which it came."""

    slot: int
    tx_index: int
    id: str
    kind: str
    actor: str
    signature: str
    profit_mint: str
    profit: float | None
    net: float | None
    fee: float
    tip: float
    confidence: float
    transactions: int


class Leg(NamedTuple):
    id: str
    number: int
    role: str
    slot: int
    tx_index: int
    ix_path: str
    venue: str
    pool: str | None
    trader: str | None
    mint_in: str
    mint_out: str
    amount_in: float | None
    amount_out: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it. `opportunities` are the LISTED with the largest net of each kind, `legs` theirs
    by id; `kinds` count all. rate: dollars per SOL, by the swaps between them."""

    totals: Totals
    slots: list[SlotCounts]
    profits: list[SlotProfit]
    rate: float | None
    venues: list[Venue]
    tips: Tips | None
    kinds: list[Kind]
    sums: Sums
    gains: list[Gain]
    searchers: list[Searcher]
    victims: list[Victim]
    opportunities: list[Opportunity]
    legs: dict[str, list[Leg]]
    symbols: dict[str, str]


def take(engine: Engine, first: int | None = None, last: int | None = None) -> Picture:
    """The picture of the slots `first` to `last` (inclusive), of all without them.

    Raises EngineError, and MevstreamError where no block of such a slot counts.
    """
    span = f"slot BETWEEN {first or 0} AND {2**64 - 1 if last is None else last}"
    [totals] = _rows(Totals, engine, _TOTALS, span)
    if not totals.slots:
        asked = "" if first is None and last is None else f" in the range {first} to {last}"
        raise MevstreamError(f"there is no slot{asked}")
    [(rate,)] = engine.rows(_filled(_RATE, span))
    tips = _rows(Tips, engine, _TIPS, span)
    opportunities = _rows(Opportunity, engine, _OPPORTUNITIES, span)
    return Picture(
        totals=totals,
        slots=_rows(SlotCounts, engine, _SLOTS, span),
        profits=_rows(SlotProfit, engine, _PROFITS, span),
        rate=rate,
        venues=_rows(Venue, engine, _VENUES, span, rate="NULL" if rate is None else repr(rate)),
        tips=tips[0] if tips else None,
        kinds=_rows(Kind, engine, _KINDS, span),
        sums=_rows(Sums, engine, _SUMS, span)[0],
        gains=_rows(Gain, engine, _GAINS, span),
        searchers=_rows(Searcher, engine, _SEARCHERS, span),
        victims=_rows(Victim, engine, _VICTIMS, span),
        opportunities=opportunities,
        legs=_legs(engine, span, [one.id for one in opportunities]),
        symbols=dict(engine.rows(_filled(_SYMBOLS, span))),
    )


_RowT = TypeVar("_RowT", bound=tuple[Any, ...])


def _rows(kind: type[_RowT], engine: Engine, sql: str, span: str, **more: str) -> list[_RowT]:
    make: Any = kind
    return [make(*row) for row in engine.rows(_filled(sql, span, **more))]


def _filled(sql: str, span: str, **more: str) -> str:
    return sql.format(span=span, dollars=_DOLLARS, top=TOP, listed=LISTED, **more)


def _legs(engine: Engine, span: str, ids: Sequence[str]) -> dict[str, list[Leg]]:
    legs: dict[str, list[Leg]] = {}
    among = _among(ids)
    if ids:
        for leg in _rows(Leg, engine, _LEGS, span, among=among):
            legs.setdefault(leg.id, []).append(leg)
    return legs


def _among(texts: Iterable[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


# A block counts once it is confirmed: what is only processed, or dead, is in no other view either.
_TOTALS = """
SELECT
    count(), min(slot), max(slot), formatDateTime(min(block_time), '%F %T'),
    formatDateTime(max(block_time), '%F %T'), countIf(NOT complete),
    sum(transactions), sum(votes), sum(failed), sum(succeeded), sum(unknown), sum(dead_lettered),
    sum(swaps), sum(failed_swap_attempts), sum(tipped), sum(tip_sol), sum(fee_sol)
FROM v_slots
WHERE {span} AND commitment NOT IN ('processed', 'dead')
"""

_SLOTS = """
SELECT slot, votes, failed, succeeded, swaps, tip_sol
FROM v_slots
WHERE {span} AND commitment NOT IN ('processed', 'dead')
ORDER BY slot
"""

_PROFITS = """
SELECT slot, kind, count(), sum(net_sol)
FROM v_opportunities
WHERE {span} AND origin = 'observed'
GROUP BY slot, kind
ORDER BY slot, kind
"""

_DOLLARS = "('USDC', 'USDT')"

_RATE = """
SELECT if(count() = 0, NULL, quantileExact(0.5)(if(symbol_in = 'SOL', price, 1 / price)))
FROM v_swaps
WHERE {span} AND price > 0
    AND (symbol_in = 'SOL' AND symbol_out IN {dollars}
        OR symbol_out = 'SOL' AND symbol_in IN {dollars})
"""

_VENUES = """
SELECT
    venue, count() AS n, countIf(router IS NOT NULL), uniqExact(pool), uniqExact(trader),
    sum(multiIf(
        symbol_in = 'SOL', amount_in,
        symbol_out = 'SOL', amount_out,
        symbol_in IN {dollars}, amount_in / {rate},
        symbol_out IN {dollars}, amount_out / {rate},
        NULL
    ))
FROM v_swaps
WHERE {span}
GROUP BY venue
ORDER BY n DESC, venue
"""

_TIPS = """
SELECT
    count() AS n, sum(tip_sol),
    quantileExact(0.25)(tip_sol), quantileExact(0.5)(tip_sol), quantileExact(0.75)(tip_sol),
    quantileExact(0.95)(tip_sol), quantileExact(0.99)(tip_sol), max(tip_sol)
FROM v_transactions
WHERE {span} AND tip_sol > 0
HAVING n > 0
"""

_KINDS = """
SELECT o.kind, o.n, o.actors, o.told, o.profit, t.fees, t.tips, o.net, v.legs, v.loss
FROM
(
    SELECT
        kind, count() AS n, uniqExact(actor) AS actors, countIf(net_sol IS NOT NULL) AS told,
        sumIf(profit, net_sol IS NOT NULL) AS profit, sum(net_sol) AS net
    FROM v_opportunities
    WHERE {span} AND origin = 'observed'
    GROUP BY kind
) AS o
LEFT JOIN
(
    SELECT kind, sum(fee_sol) AS fees, sum(tip_sol) AS tips
    FROM v_opportunity_transactions
    ARRAY JOIN kinds AS kind
    WHERE arrayExists(slot -> {span}, opportunity_slots)
    GROUP BY kind
) AS t USING (kind)
LEFT JOIN
(
    SELECT kind, count() AS legs, sum(loss_sol) AS loss FROM v_victims WHERE {span} GROUP BY kind
) AS v USING (kind)
ORDER BY o.n DESC, o.kind
"""

_SUMS = """
SELECT o.n, o.told, o.net + t.counted_again, t.fees, t.tips, v.legs, v.loss
FROM
(
    SELECT count() AS n, countIf(net_sol IS NOT NULL) AS told, sum(net_sol) AS net
    FROM v_opportunities
    WHERE {span} AND origin = 'observed'
) AS o
CROSS JOIN
(
    SELECT
        sum(fee_sol) AS fees, sum(tip_sol) AS tips,
        sum(greatest(toInt64(told) - 1, 0) * (fee_sol + tip_sol)) AS counted_again
    FROM v_opportunity_transactions
    WHERE arrayExists(slot -> {span}, opportunity_slots)
) AS t
CROSS JOIN
(SELECT count() AS legs, sum(loss_sol) AS loss FROM v_victims WHERE {span}) AS v
"""

_GAINS = """
SELECT kind, profit_mint, count() AS n, sum(profit)
FROM v_opportunities
WHERE {span} AND origin = 'observed' AND profit IS NOT NULL
GROUP BY kind, profit_mint
ORDER BY kind, n DESC, profit_mint
"""

_SEARCHERS = """
SELECT
    o.actor, o.n, o.arbitrages, o.backruns, o.sandwiches, o.liquidations, o.jit, o.profit,
    t.fees, t.tips, o.net + t.counted_again AS net
FROM
(
    SELECT
        actor, count() AS n, countIf(kind = 'arbitrage') AS arbitrages,
        countIf(kind = 'backrun') AS backruns, countIf(kind = 'sandwich') AS sandwiches,
        countIf(kind = 'liquidation') AS liquidations, countIf(kind = 'jit_liquidity') AS jit,
        sumIf(profit, net_sol IS NOT NULL) AS profit, sum(net_sol) AS net
    FROM v_opportunities
    WHERE {span} AND origin = 'observed'
    GROUP BY actor
) AS o
LEFT JOIN
(
    SELECT
        actor, sum(fee_sol) AS fees, sum(tip_sol) AS tips,
        sum(greatest(toInt64(told) - 1, 0) * (fee_sol + tip_sol)) AS counted_again
    FROM v_opportunity_transactions
    ARRAY JOIN actors AS actor
    WHERE arrayExists(slot -> {span}, opportunity_slots)
    GROUP BY actor
) AS t USING (actor)
ORDER BY net DESC NULLS LAST, o.n DESC, o.actor
LIMIT {top}
"""

_VICTIMS = """
SELECT
    slot, id, kind, wallet, signature, mint, got, expected, loss, loss_share, loss_sol, exactness,
    actor
FROM v_victims
WHERE {span}
ORDER BY loss_sol DESC NULLS LAST, loss_share DESC NULLS LAST, slot, signature
LIMIT {listed}
"""

_OPPORTUNITIES = """
SELECT
    slot, tx_index, id, kind, actor, signature, profit_mint, profit, net_sol, fee_sol, tip_sol,
    confidence, transactions
FROM v_opportunities
WHERE {span} AND origin = 'observed'
ORDER BY kind, net_sol DESC NULLS LAST, slot, tx_index, id
LIMIT {listed} BY kind
"""

_LEGS = """
SELECT
    id, number, role, tx_slot, tx_index, ix_path, venue, pool, trader, mint_in, mint_out,
    trader_in, trader_out
FROM v_opportunity_legs
WHERE {span} AND id IN ({among})
ORDER BY id, number
"""

_SYMBOLS = """
SELECT DISTINCT mint, symbol
FROM
(
    SELECT mint_in AS mint, symbol_in AS symbol FROM v_swaps WHERE {span}
    UNION ALL
    SELECT mint_out AS mint, symbol_out AS symbol FROM v_swaps WHERE {span}
)
WHERE symbol IS NOT NULL
"""
