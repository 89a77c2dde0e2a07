"""What a swap gives, computed a second time: pools of the simulated chain in Python integers.

The engine prices swaps in C (cext/synth_math.h); this is for the truth beside the chain, such as
what a victim would have got had nobody been before it. Formulas: protocol facts 2.3 to 2.7, 2.10
and 2.11.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.world import Pool

_ONE = 1 << 64


@dataclass(frozen=True, slots=True)
class Fill:
    """A swap: what the trader paid and received, and what the pool took in and gave out."""

    paid: int
    received: int
    pool_in: int
    pool_out: int


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def transfer_fee(amount: int, bps: int) -> int:
    """What a Token-2022 mint withholds of a transfer."""
    return _ceil(amount * bps, 10_000)


def amounts(
    liquidity: int, low: int, high: int, price: int, *, up: bool
) -> tuple[int, int]:  # fmt: skip
    """Both tokens of a position between two Q64.64 square roots of prices at a price between,
    below or above them; up: as they are deposited, else as they are withdrawn."""
    at = min(max(price, low), high)
    return _delta_0(liquidity, at, high, up=up), _delta_1(liquidity, low, at, up=up)


def _delta_0(liquidity: int, low: int, high: int, *, up: bool) -> int:
    if up:
        return _ceil(_ceil((liquidity << 64) * (high - low), high), low)
    return ((liquidity << 64) * (high - low) // high) // low


def _delta_1(liquidity: int, low: int, high: int, *, up: bool) -> int:
    product = liquidity * (high - low)
    return _ceil(product, _ONE) if up else product // _ONE


class PoolModel:
    """A pool from a state of the engine (`Agents.state`) on. Swaps move it; None means that the
    pool cannot do it, and then nothing moved."""

    def __init__(self, pool: Pool, state: dict[str, Any]) -> None:
        self.pool = pool
        self.reserves: list[int] = list(state["reserves"])
        self.price: int = state["sqrt_price"]
        self.liquidity: int = state["liquidity"]
        self.edges: list[tuple[int, int]] = state["edges"]
        self.segment: int = state["segment"]
        self.bins: list[tuple[int, int, int]] = list(state["bins"])
        self.active: int = state["active"]

    def copy(self) -> PoolModel:
        """Another pool in the same state."""
        new = copy(self)
        new.reserves, new.bins = list(self.reserves), list(self.bins)
        return new

    @property
    def exact_out(self) -> bool:
        """Whether buying names the tokens that come out."""
        return self.pool.venue in (Venue.PUMP_SWAP, Venue.PUMP_FUN)

    def swap(self, side: int, amount: int) -> Fill | None:
        """`amount` of the trader's tokens of `side` go in (at most so many where tokens are
        bought by what comes out)."""
        if self.exact_out:
            return self._buy_for(amount) if side == 1 else self._sell(amount)
        pool = self.pool
        net = amount - transfer_fee(amount, pool.transfer_fee_bps[side])
        match pool.venue:
            case Venue.RAYDIUM_V4:
                out = self._product(side, net - _ceil(net * 25, 10_000), net)
            case Venue.RAYDIUM_CPMM:
                fee = _ceil(net * pool.fee_rate, 1_000_000)
                owed = fee * pool.protocol_rate // 1_000_000
                owed += fee * pool.fund_rate // 1_000_000
                out = self._product(side, net - fee, net - owed)
            case Venue.DLMM:
                out = self._bins(side, net)
            case _:
                out = self._ticks(side, net)
        if not out:
            return None
        received = out - transfer_fee(out, pool.transfer_fee_bps[1 - side])
        return Fill(amount, received, amount, out)

    def again(self, side: int, fill: Fill) -> tuple[Fill, int] | None:
        """The same instruction in this state, and what its input would have bought here: for a
        purchase by tokens out that is another number than what it receives."""
        if self.exact_out and side == 1:
            quote = self._cost(fill.pool_out)
            # As the programs' purchases for an exact amount: the curve takes a lamport more.
            spent = self._net_of(fill.paid) - (self.pool.venue is Venue.PUMP_FUN)
            expected = self.reserves[0] * spent // (self.reserves[1] + spent)
            if quote is None:
                return None
            return self._take(fill.pool_out, quote), expected
        done = self.swap(side, fill.paid)
        return None if done is None else (done, done.received)

    # -- constant product ------------------------------------------------------------------------

    def _product(self, side: int, net: int, kept: int) -> int:
        out = self.reserves[1 - side] * net // (self.reserves[side] + net)
        self.reserves[side] += kept
        self.reserves[1 - side] -= out
        return out

    def _fees(self, quote: int) -> tuple[int, int, int]:
        pool = self.pool
        return (
            _ceil(quote * pool.lp_bps, 10_000),
            _ceil(quote * pool.protocol_bps, 10_000),
            _ceil(quote * pool.creator_bps, 10_000),
        )

    def _net_of(self, paid: int) -> int:
        """The largest quote whose fees and itself are within `paid`."""
        pool = self.pool
        quote = paid * 10_000 // (10_000 + pool.lp_bps + pool.protocol_bps + pool.creator_bps)
        while quote + sum(self._fees(quote)) > paid:
            quote -= 1
        while quote + 1 + sum(self._fees(quote + 1)) <= paid:
            quote += 1
        return quote

    def _cost(self, tokens: int) -> int | None:
        if tokens >= self.reserves[0]:
            return None
        product, rest = self.reserves[1] * tokens, self.reserves[0] - tokens
        return product // rest + 1 if self.pool.venue is Venue.PUMP_FUN else _ceil(product, rest)

    def _take(self, tokens: int, quote: int) -> Fill:
        lp, protocol, creator = self._fees(quote)
        pool_in = quote + lp
        self.reserves[0] -= tokens
        self.reserves[1] += pool_in
        return Fill(pool_in + protocol + creator, tokens, pool_in, tokens)

    def _buy_for(self, budget: int) -> Fill | None:
        pool = self.pool
        bps = pool.lp_bps + pool.protocol_bps + pool.creator_bps
        size = budget * 10_000 // (10_000 + bps)
        if size < 16:
            return None
        # A buyer leaves some units for rounding.
        tokens = self.reserves[0] * (size - 8) // (self.reserves[1] + size - 8)
        quote = self._cost(tokens)
        if not tokens or quote is None or quote + sum(self._fees(quote)) > budget:
            return None
        return self._take(tokens, quote)

    def _sell(self, tokens: int) -> Fill | None:
        quote = self.reserves[1] * tokens // (self.reserves[0] + tokens)
        lp, protocol, creator = self._fees(quote)
        if quote <= lp + protocol + creator:
            return None
        self.reserves[0] += tokens
        self.reserves[1] -= quote - lp
        return Fill(tokens, quote - lp - protocol - creator, tokens, quote - lp)

    # -- concentrated liquidity ------------------------------------------------------------------

    def _ticks(self, side: int, amount: int) -> int | None:
        price, liquidity, segment, out = self.price, self.liquidity, self.segment, 0
        rate, down = self.pool.fee_rate, side == 0
        while amount:
            edge = segment - 1 if down else segment
            if not 0 <= edge < len(self.edges) or not liquidity:
                return None
            target, net = self.edges[edge]
            usable = amount * (1_000_000 - rate) // 1_000_000
            if down:
                whole = _delta_0(liquidity, target, price, up=True)
            else:
                whole = _delta_1(liquidity, price, target, up=True)
            if usable >= whole:
                amount -= whole + _ceil(whole * rate, 1_000_000 - rate)
                after = target
                segment, liquidity = (
                    (edge, liquidity - net) if down else (edge + 1, liquidity + net)
                )
                used = liquidity + net if down else liquidity - net
            else:
                amount, used = 0, liquidity
                if down:
                    wide = liquidity << 64
                    after = _ceil(wide * price, wide + usable * price)
                else:
                    after = price + (usable << 64) // liquidity
            if down:
                out += _delta_1(used, after, price, up=False)
            else:
                out += _delta_0(used, price, after, up=False)
            price = after
        self.price, self.liquidity, self.segment = price, liquidity, segment
        return out

    # -- bins ------------------------------------------------------------------------------------

    def _bins(self, side: int, amount: int) -> int | None:
        bins, at, out, rate = list(self.bins), self.active, 0, self.pool.fee_rate
        while True:
            x, y, price = bins[at]
            most = x if side else y
            if most:
                whole = _ceil(most * price, _ONE) if side else _ceil(most << 64, price)
                fee = _ceil(whole * rate, 1_000_000_000 - rate)
                if amount <= whole + fee:
                    whole = amount - _ceil(amount * rate, 1_000_000_000)
                    most = min(most, (whole << 64) // price if side else whole * price // _ONE)
                    fee = amount - whole
                bins[at] = (x - most, y + whole, price) if side else (x + whole, y - most, price)
                out += most
                amount -= whole + fee
                if not amount:
                    break
            at += 1 if side else -1
            if not 0 <= at < len(bins):
                return None
        self.bins, self.active = bins, at
        return out
