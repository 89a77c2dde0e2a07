"""Opportunities as the columns of an OpportunityBatch."""

import hashlib
import struct
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
    LEG_COLUMNS,
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

_NUMBERS = struct.Struct("<5Q")

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
    numbers = _NUMBERS.pack(slot, outer, inner, kind, origin)
    return hashlib.blake2b(signature + numbers + chain.encode() + market, digest_size=16).digest()


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


def _fitting(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return value
    limits = np.iinfo(dtype)
    return max(limits.min, min(value, limits.max)) if limits.min else min(value, limits.max)


class _Layout:
    """The rows of one table as they are collected: packed one by one, in this order of columns."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        types = [SCHEMA.columns[f"{table}_{column}"] for column in columns]
        self._pack = struct.Struct("<" + "".join(_CODES[type_] for type_ in types)).pack
        self._types = types
        self._names = [f"{table}_{column}" for column in columns]
        self._row = np.dtype(list(zip(self._names, types, strict=True)))
        missing = {name for name in SCHEMA.columns if name.startswith(f"{table}_")}
        missing -= {*self._names, "opp_id", "tx_signature"}
        if missing:
            raise ValueError(f"no {', '.join(sorted(missing))}")

    def pack(self, *values: Any) -> bytes:
        """A row. Of sums that a column has no room for, and that no real amounts come to, it tells
        the largest number that it has."""
        try:
            return self._pack(*values)
        except struct.error:
            return self._pack(*map(_fitting, values, self._types))

    def columns(self, rows: Iterable[bytes]) -> Columns:
        table = np.frombuffer(b"".join(rows), self._row)
        return {name: table[name] for name in self._names}


_CODES = {
    np.dtype("<u4"): "I",
    np.dtype("<u8"): "Q",
    np.dtype("<i8"): "q",
    np.dtype("<f4"): "f",
}

_OPP = _Layout(
    "opp",
    (
        *("kind", "origin", "actor", "profit_mint", "decimals", "reasons", "exactness"),
        *("first_tx", "last_tx", "outer", "inner", "transactions", "tip_payer", "precedence"),
        *("profit", "net_lamports", "fee", "tip", "victim_loss", "confidence"),
        *("market", "input", "opened", "expiry"),
    ),
)
_LEG = _Layout("leg", ("opp", "tx", "role", *LEG_COLUMNS))
_VICTIM = _Layout(
    "victim", ("opp", "leg", "wallet", "mint", "exactness", "got", "expected", "loss")
)
_TX = _Layout("tx", ("slot", "index", "payer", "fee", "tip", "blockhash"))

# Places in LEG_COLUMNS.
_POOL, _MINT_IN, _MINT_OUT, _DECIMALS_IN = 5, 7, 8, 9
_AMOUNT_IN, _AMOUNT_OUT = 11, 12


class _Source:
    """One batch that rows are taken from: where its keys, names and transactions are in the tables
    that are being made."""

    __slots__ = ("_keys", "_legs", "_names", "_tables", "_txs", "view")

    def __init__(self, tables: "_Tables", view: ParsedView) -> None:
        self.view = view
        self._tables = tables
        self._legs = [getattr(view, f"swap_{column}").item for column in LEG_COLUMNS]
        self._keys = {NONE: NONE}
        self._names = {NONE: NONE}
        self._txs: dict[int, int] = {}

    def key(self, index: int) -> int:
        row = self._keys.get(index)
        if row is None:
            row = self._keys[index] = self._tables.key(self.view.keys[index].tobytes())
        return row

    def name(self, index: int) -> int:
        row = self._names.get(index)
        if row is None:
            row = self._names[index] = self._tables.name(self.view.names[index])
        return row

    def leg(self, piece: Piece) -> list[int]:
        """LEG_COLUMNS, with rows of the batch's own keys and names."""
        if isinstance(piece, Place):
            row = piece.row
            return [item(row) for item in self._legs]
        columns = piece.columns()
        return [columns[name] for name in LEG_COLUMNS]

    def tx(self, tx: int) -> int:
        row = self._txs.get(tx)
        if row is None:
            row = self._txs[tx] = self._tables.add_tx(self, tx)
        return row

    def payer(self, tx: int) -> int:
        return self.key(self.view.tx_payer.item(tx))


class _Tables:
    def __init__(self) -> None:
        self._keys: dict[bytes, int] = {}
        self._names: dict[str, int] = {}
        self._opps: list[bytes] = []
        self._legs: list[bytes] = []
        self._victims: list[bytes] = []
        self._txs: list[bytes] = []
        self._signatures: list[bytes] = []
        self._ids: list[bytes] = []
        # By the address of their view, which they keep.
        self._sources: dict[int, _Source] = {}

    def key(self, key: bytes) -> int:
        return self._keys.setdefault(key, len(self._keys))

    def name(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def _source(self, view: ParsedView) -> _Source:
        source = self._sources.get(id(view))
        if source is None:
            source = self._sources[id(view)] = _Source(self, view)
        return source

    def add_tx(self, source: _Source, tx: int) -> int:
        view = source.view
        self._txs.append(
            _TX.pack(
                view.slot,
                view.tx_index.item(tx),
                source.payer(tx),
                view.tx_fee.item(tx),
                view.tx_tip.item(tx),
                self.key(view.blockhash) if view.blockhash else NONE,
            )
        )
        self._signatures.append(view.tx_signature[tx].tobytes())
        return len(self._txs) - 1

    def _leg(self, number: int, piece: Piece) -> list[int]:
        """Gives its columns as its batch has them."""
        source = self._source(piece.view)
        told = source.leg(piece)
        key = source.key
        outer, inner, leg, venue, router, pool, trader, mint_in, mint_out, *rest = told
        self._legs.append(
            _LEG.pack(
                number,
                source.tx(piece.tx),
                piece.role,
                outer,
                inner,
                leg,
                source.name(venue),
                source.name(router),
                key(pool),
                key(trader),
                key(mint_in),
                key(mint_out),
                *rest,
            )
        )
        return told

    # -- what happened ----------------------------------------------------------------------------

    def add(self, found: Found) -> None:
        number, start = len(self._ids), len(self._legs)
        told = [self._leg(number, piece) for piece in found.legs]
        first = found.legs[found.own]
        outer, inner, *_ = told[found.own]
        own = transactions(found.legs, OWN_ROLES)
        costs = costs_of(own)
        source = self._source(first.view)
        reasons, victims = found.reasons, found.victims
        self._opps.append(
            _OPP.pack(
                found.kind,
                found.origin,
                source.payer(first.tx),
                source.key(found.mint),
                found.decimals,
                reasons,
                max((victim.exactness for victim in victims), default=Exactness.none),
                self._source(own[0][0]).tx(own[0][1]),
                self._source(own[-1][0]).tx(own[-1][1]),
                outer,
                inner,
                len(own),
                self._tip_payer(own),
                found.precedence,
                found.profit,
                found.net_lamports or 0,
                costs.fee,
                costs.tip,
                sum(victim.loss for victim in victims),
                confidence(found.kind, reasons),
                NONE,
                0,
                0,
                0,
            )
        )
        kind = Kind.arbitrage if found.kind == Kind.backrun else found.kind
        self._id(first.view, first.tx, outer, inner, kind, found.origin)
        for victim in victims:
            piece = found.legs[victim.leg]
            source = self._source(piece.view)
            self._victims.append(
                _VICTIM.pack(
                    number,
                    start + victim.leg,
                    source.payer(piece.tx),
                    source.key(told[victim.leg][_MINT_OUT]),
                    victim.exactness,
                    victim.got,
                    victim.expected,
                    victim.loss,
                )
            )

    def _tip_payer(self, own: Iterable[tuple[ParsedView, int]]) -> int:
        for view, tx in own:
            if view.tx_tip[tx]:
                return self._source(view).key(view.tx_tip_payer.item(tx))
        return NONE

    def _id(
        self,
        view: ParsedView,
        tx: int,
        outer: int,
        inner: int,
        kind: Kind,
        origin: Origin,
        of: bytes = b"",
    ) -> None:
        signature = view.tx_signature[tx].tobytes()
        self._ids.append(
            opportunity_id(view.chain, view.slot, signature, outer, inner, kind, origin, of)
        )

    # -- what nobody has done ---------------------------------------------------------------------

    def predict(self, cycle: Predicted) -> None:
        number, first = len(self._ids), cycle.hops[0]
        target = Place(Role.target, cycle.view, cycle.row)
        told = self._leg(number, target)
        outer, inner, *_ = told
        tx = self._source(cycle.view).tx(target.tx)
        self._foreseen(
            tx,
            told,
            cycle.kind,
            self.key(first.mint_in),
            first.decimals_in,
            cycle.exactness,
            *(cycle.gross, cycle.net, cycle.fee, cycle.tip, 0),
            market=self.key(cycle.market) if cycle.market else NONE,
            amount=cycle.amount,
            opened=cycle.opened,
            expiry=cycle.expiry,
        )
        self._id(
            cycle.view, target.tx, outer, inner, Kind.arbitrage, Origin.predicted, cycle.market
        )
        for place, hop in enumerate(cycle.hops):
            self._legs.append(
                _LEG.pack(
                    number,
                    tx,
                    Role.hop,
                    outer,
                    inner,
                    place,
                    self.name(VENUES[hop.venue]) if hop.venue < len(VENUES) else NONE,
                    NONE,
                    self.key(hop.pool),
                    NONE,
                    self.key(hop.mint_in),
                    self.key(hop.mint_out),
                    hop.decimals_in,
                    hop.decimals_out,
                    *(hop.amount_in, hop.amount_out, hop.amount_in, hop.amount_out),
                )
            )

    def expose(self, exposed: Exposed) -> None:
        number, leg = len(self._ids), len(self._legs)
        view = exposed.view
        place = Place(Role.victim, view, exposed.row)
        source, tx = self._source(view), place.tx
        told = self._leg(number, place)
        outer, inner, *_ = told
        got = told[_AMOUNT_OUT]
        self._foreseen(
            source.tx(tx),
            told,
            Kind.exposure,
            source.key(told[_MINT_IN]),
            told[_DECIMALS_IN],
            exposed.exactness,
            *(exposed.gain, exposed.net, exposed.fee, exposed.tip, exposed.loss),
            market=NONE,
            amount=told[_AMOUNT_IN],
            opened=0,
            expiry=view.slot,
        )
        pool = view.keys[told[_POOL]].tobytes()
        self._id(view, tx, outer, inner, Kind.exposure, Origin.predicted, pool)
        self._victims.append(
            _VICTIM.pack(
                number,
                leg,
                source.payer(tx),
                source.key(told[_MINT_OUT]),
                exposed.exactness,
                max(0, got - exposed.loss),
                got,
                exposed.loss,
            )
        )

    def _foreseen(
        self,
        tx: int,
        told: list[int],
        kind: Kind,
        mint: int,
        decimals: int,
        exactness: Exactness,
        profit: int,
        net: int,
        fee: int,
        tip: int,
        loss: int,
        *,
        market: int,
        amount: int,
        opened: int,
        expiry: int,
    ) -> None:
        """The row of what hangs on a swap, whose leg has the columns `told`."""
        self._opps.append(
            _OPP.pack(
                kind,
                Origin.predicted,
                NONE,
                mint,
                decimals,
                bits.ONE_SLOT | bits.NET_TOLD | bits.NET_POSITIVE,
                exactness,
                tx,
                tx,
                told[0],
                told[1],
                0,
                NONE,
                0,
                profit,
                net,
                fee,
                tip,
                loss,
                _PREDICTED[exactness],
                market,
                amount,
                opened,
                expiry,
            )
        )

    def finish(self) -> tuple[list[str], Columns]:
        return list(self._names), {
            "keys": _fixed(self._keys, 32),
            "opp_id": _fixed(self._ids, 16),
            "tx_signature": _fixed(self._signatures, 64),
            **_OPP.columns(self._opps),
            **_LEG.columns(self._legs),
            **_VICTIM.columns(self._victims),
            **_TX.columns(self._txs),
        }


def _fixed(items: Iterable[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(items), np.uint8).reshape(-1, width)
