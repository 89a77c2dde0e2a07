"""Opportunities as the columns of an OpportunityBatch."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mevstream.codecs import opportunities as bits
from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import SCHEMA, Exactness, Kind, Origin, Role
from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.observed.costs import costs_of
from mevstream.topologies.opportunities.observed.model import (
    Found,
    Piece,
    Place,
    transactions,
)
from mevstream.topologies.opportunities.pools import VENUES
from mevstream.topologies.opportunities.predicted.cycles import Exposed, Predicted

OWN_ROLES = tuple(role for role in Role if role not in (Role.victim, Role.target))

# What each bit of opp_reasons makes of a label that is otherwise sure, or as sure as its kind is.
_START = {
    Kind.arbitrage: 0.99,
    Kind.backrun: 0.9,
    Kind.sandwich: 0.9,
    Kind.liquidation: 1.0,
    Kind.jit_liquidity: 0.95,
}
_DOUBTS = {
    bits.UNKNOWN_VENUE: 0.9,
    bits.ROUTED: 0.8,
    bits.WIDE: 0.85,
    bits.OTHERS_BETWEEN: 0.85,
    bits.IN_PART: 0.9,
    bits.LINKED_WALLETS: 0.85,
}
_SUPPORT = bits.NEIGHBOURS | bits.SAME_TOKENS | bits.EXACT_LOSS | bits.FROM_BALANCES

# How sure a predicted one is, by how its pools are quoted: somebody may always come first.
_PREDICTED = {Exactness.exact: 0.9, Exactness.in_range: 0.7, Exactness.approximate: 0.3}

Columns = dict[str, NDArray[Any]]


def opportunity_id(
    chain: str,
    slot: int,
    signature: bytes,
    outer: int,
    inner: int,
    kind: int,
    origin: int,
    market: bytes = b"",
) -> bytes:
    """16 bytes: BLAKE2b of the signature, then slot, outer, inner, kind and origin as little-endian
    u64, the chain's name, and where it is predicted the key of the market, of an exposure that of
    the pool. The same opportunity has the same id whenever it is found."""
    digest = hashlib.blake2b(signature, digest_size=16)
    for number in (slot, outer, inner, kind, origin):
        digest.update(number.to_bytes(8, "little"))
    digest.update(chain.encode())
    digest.update(market)
    return digest.digest()


def confidence(kind: Kind, reasons: int) -> float:
    """0 … 1. Each doubt takes a share of it; what supports the label halves what is missing."""
    sure = _START[kind]
    for bit, share in _DOUBTS.items():
        if reasons & bit:
            sure *= share
    if reasons & _SUPPORT:
        sure += (1 - sure) / 2
    return sure


def columns_of(
    found: Sequence[Found], predicted: Sequence[Predicted] = (), exposed: Sequence[Exposed] = ()
) -> tuple[list[str], Columns]:
    """(names, columns): the tables of an OpportunityBatch, of one row or more."""
    tables = _Tables()
    for opportunity in found:
        tables.add(opportunity)
    for cycle in predicted:
        tables.predict(cycle)
    for one in exposed:
        tables.expose(one)
    return tables.finish()


class _Keys:
    """The key table that is being made."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}

    def row(self, key: bytes) -> int:
        return self.rows.setdefault(key, len(self.rows))

    def of(self, view: ParsedView, index: int) -> int:
        return NONE if index == NONE else self.row(view.keys[index].tobytes())


# Columns of a leg that refer to the keys of its batch, and to the names.
_KEYS = ("pool", "trader", "mint_in", "mint_out")
_NAMES = ("venue", "router")


class _Tables:
    def __init__(self) -> None:
        self._keys = _Keys()
        self._names: dict[str, int] = {}
        self._rows: dict[str, list[Any]] = {}
        self._txs: dict[tuple[int, int], int] = {}
        self._signatures: list[bytes] = []
        self._ids: list[bytes] = []
        self._legs = 0
        # The views, that what is told by their addresses stays theirs.
        self._views: list[ParsedView] = []

    def _put(self, table: str, **values: Any) -> None:
        for name, value in values.items():
            self._rows.setdefault(f"{table}_{name}", []).append(value)

    def add(self, found: Found) -> None:
        number = len(self._ids)
        first = found.legs[found.own]
        view, path = first.view, first.columns()
        own = transactions(found.legs, OWN_ROLES)
        costs = costs_of(own)
        start = self._legs
        for place in found.legs:
            self._leg(number, place)
        reasons = found.reasons
        self._put(
            "opp",
            kind=found.kind,
            origin=found.origin,
            actor=self._keys.of(view, int(view.tx_payer[first.tx])),
            profit_mint=self._keys.of(view, found.mint),
            decimals=found.decimals,
            reasons=reasons,
            exactness=max((v.exactness for v in found.victims), default=Exactness.none),
            first_tx=self._tx(*own[0]),
            last_tx=self._tx(*own[-1]),
            outer=path["outer"],
            inner=path["inner"],
            transactions=len(own),
            tip_payer=self._tip_payer(own),
            precedence=found.precedence,
            profit=found.profit,
            net_lamports=found.net_lamports or 0,
            fee=costs.fee,
            tip=costs.tip,
            victim_loss=sum(victim.loss for victim in found.victims),
            confidence=confidence(found.kind, reasons),
            market=NONE,
            input=0,
            opened=0,
            expiry=0,
        )
        self._ids.append(self._id(found, first, path))
        for victim in found.victims:
            place = found.legs[victim.leg]
            self._put(
                "victim",
                opp=number,
                leg=start + victim.leg,
                wallet=self._keys.of(place.view, int(place.view.tx_payer[place.tx])),
                mint=self._keys.of(place.view, place.columns()["mint_out"]),
                exactness=victim.exactness,
                got=victim.got,
                expected=victim.expected,
                loss=victim.loss,
            )

    def predict(self, cycle: Predicted) -> None:
        number = len(self._ids)
        target = Place(Role.target, cycle.view, cycle.row)
        first = cycle.hops[0]
        path = target.columns()
        tx = self._foreseen(
            target,
            path,
            Kind.arbitrage,
            cycle.market,
            kind=cycle.kind,
            profit_mint=self._keys.row(first.mint_in),
            decimals=first.decimals_in,
            reasons=bits.ONE_SLOT | bits.NET_TOLD | bits.NET_POSITIVE,
            exactness=cycle.exactness,
            profit=cycle.gross,
            net_lamports=cycle.net,
            fee=cycle.fee,
            tip=cycle.tip,
            victim_loss=0,
            market=self._keys.row(cycle.market) if cycle.market else NONE,
            input=cycle.amount,
            opened=cycle.opened,
            expiry=cycle.expiry,
        )
        for place, hop in enumerate(cycle.hops):
            self._put(
                "leg",
                opp=number,
                tx=tx,
                role=Role.hop,
                outer=path["outer"],
                inner=path["inner"],
                leg=place,
                venue=self._named(VENUES[hop.venue]) if hop.venue < len(VENUES) else NONE,
                router=NONE,
                pool=self._keys.row(hop.pool),
                trader=NONE,
                mint_in=self._keys.row(hop.mint_in),
                mint_out=self._keys.row(hop.mint_out),
                decimals_in=hop.decimals_in,
                decimals_out=hop.decimals_out,
                amount_in=hop.amount_in,
                amount_out=hop.amount_out,
                trader_in=hop.amount_in,
                trader_out=hop.amount_out,
            )
            self._legs += 1

    def expose(self, exposed: Exposed) -> None:
        number, leg = len(self._ids), self._legs
        place = Place(Role.victim, exposed.view, exposed.row)
        view, swap = exposed.view, place.columns()
        got = swap["amount_out"]
        self._foreseen(
            place,
            swap,
            Kind.exposure,
            view.keys[swap["pool"]].tobytes(),
            kind=Kind.exposure,
            profit_mint=self._keys.of(view, swap["mint_in"]),
            decimals=swap["decimals_in"],
            reasons=bits.ONE_SLOT | bits.NET_TOLD | bits.NET_POSITIVE,
            exactness=exposed.exactness,
            profit=exposed.gain,
            net_lamports=exposed.net,
            fee=exposed.fee,
            tip=exposed.tip,
            victim_loss=exposed.loss,
            market=NONE,
            input=swap["amount_in"],
            opened=0,
            expiry=view.slot,
        )
        self._put(
            "victim",
            opp=number,
            leg=leg,
            wallet=self._keys.of(view, int(view.tx_payer[place.tx])),
            mint=self._keys.of(view, swap["mint_out"]),
            exactness=exposed.exactness,
            got=max(0, got - exposed.loss),
            expected=got,
            loss=exposed.loss,
        )

    def _foreseen(
        self, place: Place, path: dict[str, int], id_kind: Kind, of: bytes, **values: Any
    ) -> int:
        """The row of what nobody has done, with the swap that it hangs on as its first leg (`path`
        has its columns); gives the row of that swap's transaction."""
        view, tx = place.view, self._tx(place.view, place.tx)
        number = len(self._ids)
        self._put(
            "opp",
            origin=Origin.predicted,
            actor=NONE,
            first_tx=tx,
            last_tx=tx,
            outer=path["outer"],
            inner=path["inner"],
            transactions=0,
            tip_payer=NONE,
            precedence=0,
            confidence=_PREDICTED[values["exactness"]],
            **values,
        )
        signature = view.tx_signature[place.tx].tobytes()
        where = (path["outer"], path["inner"], id_kind, Origin.predicted)
        self._ids.append(opportunity_id(view.chain, view.slot, signature, *where, of))
        self._leg(number, place, path)
        return tx

    def _id(self, found: Found, first: Piece, path: dict[str, int]) -> bytes:
        view = first.view
        return opportunity_id(
            view.chain,
            view.slot,
            view.tx_signature[first.tx].tobytes(),
            path["outer"],
            path["inner"],
            Kind.arbitrage if found.kind == Kind.backrun else found.kind,
            found.origin,
        )

    def _leg(self, number: int, place: Piece, columns: dict[str, int] | None = None) -> None:
        values = dict(columns or place.columns())
        values |= {name: self._keys.of(place.view, values[name]) for name in _KEYS}
        values |= {name: self._name(place.view, values[name]) for name in _NAMES}
        self._put("leg", opp=number, tx=self._tx(place.view, place.tx), role=place.role, **values)
        self._legs += 1

    def _name(self, view: ParsedView, index: int) -> int:
        return NONE if index == NONE else self._named(view.names[index])

    def _named(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def _tx(self, view: ParsedView, tx: int) -> int:
        row = self._txs.get((id(view), tx))
        if row is not None:
            return row
        self._views.append(view)
        row = self._txs[id(view), tx] = len(self._txs)
        self._put(
            "tx",
            slot=view.slot,
            index=int(view.tx_index[tx]),
            payer=self._keys.of(view, int(view.tx_payer[tx])),
            fee=int(view.tx_fee[tx]),
            tip=int(view.tx_tip[tx]),
            blockhash=self._keys.row(view.blockhash) if view.blockhash else NONE,
        )
        self._signatures.append(view.tx_signature[tx].tobytes())
        return row

    def _tip_payer(self, own: Iterable[tuple[ParsedView, int]]) -> int:
        for view, tx in own:
            if view.tx_tip[tx]:
                return self._keys.of(view, int(view.tx_tip_payer[tx]))
        return NONE

    def finish(self) -> tuple[list[str], Columns]:
        return list(self._names), {
            "keys": _fixed(list(self._keys.rows), 32),
            "opp_id": _fixed(self._ids, 16),
            "tx_signature": _fixed(self._signatures, 64),
            **{name: _array(v, SCHEMA.columns[name]) for name, v in self._rows.items()},
        }


def _array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A column. Of sums that it has no room for, and that no real amounts come to, it tells the
    largest number that it has."""
    try:
        return np.array(values, dtype)
    except OverflowError:
        limits = np.iinfo(dtype)
        least = limits.min if limits.min else min(values)
        return np.array([max(least, min(value, limits.max)) for value in values], dtype)


def _fixed(items: list[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), width)
