"""The features stage once more, in plain Python over the ordinary protobuf classes."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mevstream.schemas.features_pb2 import FeatureBatch
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.topologies.features.pairs import QUOTE_MINTS

NONE = 0xFFFFFFFF
NAN = math.nan

Key = bytes | None
Row = dict[str, Any]


def oriented(mint_in: bytes, mint_out: bytes) -> tuple[bytes, bytes]:
    """(base, quote)"""
    one, other = sorted((mint_in, mint_out))
    ranks = {mint: rank for rank, mint in enumerate(QUOTE_MINTS)}
    if ranks.get(one, math.inf) < ranks.get(other, math.inf):
        return other, one
    return one, other


@dataclass
class Leg:
    """One leg of a ParsedBatch, oriented; base and quote are None where they are not known."""

    slot: int
    replica: bool
    venue: str | None
    pool: Key
    base: Key = None
    quote: Key = None
    buy: bool = False
    told: bool = False
    decimals: tuple[int, int] = (255, 255)
    amounts: tuple[int, int] = (0, 0)
    reserves: tuple[int, int] = (0, 0)
    price: float = NAN
    price_after: float = NAN
    impact: float = NAN

    @property
    def paired(self) -> bool:
        return self.pool is not None and self.base is not None

    def sides(self, in_: int, out: int) -> tuple[int, int]:
        """(base, quote)"""
        return (out, in_) if self.buy else (in_, out)


def legs(batch: ParsedBatch) -> Iterator[Leg]:
    def key(index: int) -> Key:
        return None if index == NONE else batch.keys[32 * index : 32 * index + 32]

    for i in range(len(batch.swap_tx)):
        venue = batch.swap_venue[i]
        leg = Leg(
            slot=batch.slot,
            replica=bool(batch.swap_replica) and batch.swap_replica[i] != 0,
            venue=None if venue == NONE else batch.names[venue],
            pool=key(batch.swap_pool[i]),
            told=bool(batch.swap_flags[i] & 16),
        )
        mint_in, mint_out = key(batch.swap_mint_in[i]), key(batch.swap_mint_out[i])
        if mint_in is None or mint_out is None or mint_in == mint_out:
            yield leg
            continue
        leg.base, leg.quote = oriented(mint_in, mint_out)
        leg.buy = mint_in == leg.quote
        leg.decimals = leg.sides(batch.swap_decimals_in[i], batch.swap_decimals_out[i])
        leg.amounts = leg.sides(batch.swap_amount_in[i], batch.swap_amount_out[i])
        if leg.told:
            leg.reserves = leg.sides(batch.swap_reserve_in[i], batch.swap_reserve_out[i])
            before = batch.swap_reserve_in[i] - batch.swap_amount_in[i]
            if before > 0:
                leg.impact = float(batch.swap_amount_in[i]) / float(before)
        if all(leg.amounts):
            leg.price = float(leg.amounts[1]) / float(leg.amounts[0])
        after = batch.swap_price_after[i]
        if after > 0:
            leg.price_after = 1 / after if leg.buy else after
        yield leg


def candle(of: list[Leg]) -> Row:
    """A row of the market data from the legs of one pool and pair in one slot."""
    prices = [leg.price for leg in of if not math.isnan(leg.price)]
    impacts = [leg for leg in of if not math.isnan(leg.impact)]
    weight = sum(float(leg.amounts[1]) for leg in impacts)
    told = [leg.reserves for leg in of if leg.told]
    after = [leg.price_after for leg in of if not math.isnan(leg.price_after)]
    return {
        "pool": of[0].pool,
        "base": of[0].base,
        "quote": of[0].quote,
        "venue": [leg.venue for leg in of if leg.venue is not None][-1],
        "decimals_base": ([255] + [d for leg in of if (d := leg.decimals[0]) != 255])[-1],
        "decimals_quote": ([255] + [d for leg in of if (d := leg.decimals[1]) != 255])[-1],
        "swaps": len(of),
        "buys": sum(leg.buy for leg in of),
        "flags": 16 if told else 0,
        "volume_base": sum(leg.amounts[0] for leg in of),
        "volume_quote": sum(leg.amounts[1] for leg in of),
        "reserve_base": told[-1][0] if told else 0,
        "reserve_quote": told[-1][1] if told else 0,
        "open": prices[0] if prices else NAN,
        "high": max(prices, default=NAN),
        "low": min(prices, default=NAN),
        "close": prices[-1] if prices else NAN,
        "price_after": after[-1] if after else NAN,
        "impact_max": max((leg.impact for leg in impacts), default=NAN),
        "impact_mean": (
            sum(leg.impact * float(leg.amounts[1]) for leg in impacts) / weight if weight else NAN
        ),
    }


@dataclass
class Slot:
    block: tuple[str, int, bytes]
    legs: list[Leg] = field(default_factory=list[Leg])

    def candles(self) -> list[Row]:
        pairs: dict[tuple[Key, Key, Key], list[Leg]] = {}
        for leg in self.legs:
            if leg.paired and not leg.replica:
                pairs.setdefault((leg.pool, leg.base, leg.quote), []).append(leg)
        head = dict(zip(("chain", "slot", "blockhash"), self.block, strict=True))
        return [{**head, **candle(group)} for group in pairs.values()]


def candles(batches: Iterable[bytes]) -> list[Row]:
    """Of all closed slots, in their order."""
    rows: list[Row] = []
    open_: Slot | None = None
    for message in batches:
        batch = ParsedBatch.FromString(message)
        block = (batch.chain or "solana", batch.slot, batch.blockhash)
        if open_ is not None and open_.block != block:
            rows += open_.candles()
            open_ = None
        if not batch.blockhash:
            continue
        open_ = open_ or Slot(block)
        open_.legs += legs(batch)
        if batch.last:
            rows += open_.candles()
            open_ = None
    return rows


def swaps(batches: Iterable[bytes]) -> list[Row]:
    """The rows of the table swap_*."""
    pools: dict[tuple[Key, Key, Key], Row] = {}
    rows: list[Row] = []
    for message in batches:
        for leg in legs(ParsedBatch.FromString(message)):
            state = {"reserves": (0, 0), "reserve_slot": 0, "slot": 0, "count": 0, "flags": 0}
            if leg.paired:
                state = pools.setdefault((leg.pool, leg.base, leg.quote), state)
            row = {"previous_slot": state["slot"]}
            if leg.paired:
                if leg.told:
                    state |= {"reserves": leg.reserves, "reserve_slot": leg.slot, "flags": 32}
                state |= {"slot": leg.slot, "count": state["count"] + 1}
            row |= {
                "flags": leg.buy + 2 * leg.paired + 16 * leg.told | state["flags"],
                "replica": int(leg.replica),
                "venue": leg.venue,
                "pool": leg.pool,
                "base": leg.base,
                "quote": leg.quote,
                "decimals_base": leg.decimals[0],
                "decimals_quote": leg.decimals[1],
                "amount_base": leg.amounts[0],
                "amount_quote": leg.amounts[1],
                "reserve_base": state["reserves"][0],
                "reserve_quote": state["reserves"][1],
                "reserve_slot": state["reserve_slot"],
                "count": state["count"],
                "price": leg.price,
                "price_after": leg.price_after,
            }
            rows.append(row)
    return rows


# -- what the stage told, in the same form ---------------------------------------------------------


def told_candles(batches: Iterable[bytes]) -> list[Row]:
    rows: list[Row] = []
    for message in batches:
        batch = FeatureBatch.FromString(message)
        first = 0
        for closed in batch.closed:
            for i in range(first, first + closed.candles):
                head = {"chain": closed.chain, "slot": closed.slot, "blockhash": closed.blockhash}
                row = _row(batch, "candle", i)
                for side in ("base", "quote"):
                    row[f"volume_{side}"] += row.pop(f"volume_{side}_high") << 64
                rows.append(head | row)
            first += closed.candles
    return rows


def told_swaps(batches: Iterable[bytes]) -> list[Row]:
    rows: list[Row] = []
    for message in batches:
        batch = FeatureBatch.FromString(message)
        for i in range(len(batch.swap_tx_index)):
            row = _row(batch, "swap", i)
            rows.append({k: v for k, v in row.items() if k not in _PLACE})
    return rows


_PLACE = ("tx_index", "outer", "inner", "leg")


def _row(batch: FeatureBatch, table: str, i: int) -> Row:
    row: Row = {}
    for descriptor in FeatureBatch.DESCRIPTOR.fields:
        name = descriptor.name.removeprefix(f"{table}_")
        if name == descriptor.name:
            continue
        values = getattr(batch, descriptor.name)
        value: Any = values[i] if len(values) else 0
        if name in ("pool", "base", "quote"):
            value = None if value == NONE else batch.keys[32 * value : 32 * value + 32]
        elif name == "venue":
            value = None if value == NONE else batch.names[value]
        row[name] = value
    return row


def text(rows: Iterable[Row]) -> list[str]:
    """For comparison: NaN equals itself there, and every bit of a number tells."""
    return [repr(sorted(row.items())) for row in rows]
