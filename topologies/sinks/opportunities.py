"""OpportunityBatch messages as rows of `opportunities`, `opportunity_legs`, `opportunity_victims`.

A row is stored with the block that completed the opportunity: that of its last transaction.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import Kind, OpportunityView, Origin, Role
from mevstream.topologies.sinks.columns import (
    KEY,
    NAME,
    NO_KEY,
    SCHEMA_VERSION,
    SIGNATURE,
    Array,
    Run,
    Values,
    block_time,
    items,
    record_batch,
)
from mevstream.topologies.sinks.statements import Block

ID = pa.binary(16)

TABLES = ("opportunity_victims", "opportunity_legs", "opportunities")
"""In the order in which they are written: an opportunity that is stored has its legs."""

VERSION_BITS = 54
"""A row's version is that of its run (nanoseconds since the epoch) and opp_precedence, at most 256,
times two to this: days between two runs are less than a step of it."""

Columns = dict[str, tuple[pa.DataType, Values]]

# Columns that are stored as they are, under the name that they have in the message.
_OF_OPPORTUNITY: dict[str, pa.DataType] = {
    "decimals": pa.uint8(),
    "profit": pa.int64(),
    "net_lamports": pa.int64(),
    "fee": pa.uint64(),
    "tip": pa.uint64(),
    "victim_loss": pa.uint64(),
    "transactions": pa.uint32(),
    "exactness": pa.uint8(),
    "reasons": pa.uint32(),
    "confidence": pa.float32(),
    "input": pa.uint64(),
    "opened": pa.uint64(),
}
_OF_LEG: dict[str, pa.DataType] = {
    "decimals_in": pa.uint8(),
    "decimals_out": pa.uint8(),
    "amount_in": pa.uint64(),
    "amount_out": pa.uint64(),
    "trader_in": pa.uint64(),
    "trader_out": pa.uint64(),
}
_OF_VICTIM: dict[str, pa.DataType] = {
    "got": pa.uint64(),
    "expected": pa.uint64(),
    "loss": pa.uint64(),
    "exactness": pa.uint8(),
}


def opportunity_rows(
    views: Sequence[OpportunityView],
    run: Run,
    keep: Callable[[Block], bool] = lambda _: True,
    known: Collection[bytes] = frozenset(),
) -> dict[str, pa.RecordBatch]:
    """The rows of each of TABLES, in the order of the batches, for the blocks that `keep` tells,
    without those whose ids are `known`.

    The views must have passed `OpportunityView.validate`. Keys are 32 bytes, ids 16.
    """
    flush = _Flush(views, run, keep, known)
    return {
        "opportunity_victims": record_batch(_victims(flush)),
        "opportunity_legs": record_batch(_legs(flush)),
        "opportunities": record_batch(_opportunities(flush)),
    }


def completing_blocks(view: OpportunityView) -> list[Block]:
    """For each opportunity the block that its last transaction is in."""
    last = view.opp_last_tx
    hashes = view.tx_blockhash[last].tolist()
    return [
        (view.chain, slot, NO_KEY if key == NONE else view.keys[key].tobytes())
        for slot, key in zip(view.tx_slot[last].tolist(), hashes, strict=True)
    ]


class _Flush:
    """The batches that are written together. Rows of a table are those of the opportunities that
    are kept; a column that refers to another table is followed to it."""

    def __init__(
        self,
        views: Sequence[OpportunityView],
        run: Run,
        keep: Callable[[Block], bool],
        known: Collection[bytes],
    ) -> None:
        self.run = run
        self._views = [view for view in views if view.n_opportunities]
        self.blocks = [block for view in self._views for block in completing_blocks(view)]
        ids = [id_.tobytes() for view in self._views for id_ in view.opp_id]
        self.kept = np.array(
            [keep(block) and id_ not in known for block, id_ in zip(self.blocks, ids, strict=True)],
            dtype=bool,
        )
        self._keys = items(
            np.concatenate([view.keys for view in self._views] + [np.zeros((1, 32), np.uint8)])
        )
        self._names = [name for view in self._views for name in view.names]
        # Of two rows with one id the one with more precedence counts, whichever came later.
        precedence = self.column("opp_precedence").astype(np.uint64)
        self._versions = (precedence << np.uint64(VERSION_BITS)) + np.uint64(run.version)
        self.of_leg = self.reference("leg_opp", "n_opportunities")
        self.of_victim = self.reference("victim_opp", "n_opportunities")

    def column(self, name: str) -> Array:
        """A column of all batches."""
        dtype = np.uint32 if not self._views else None
        parts = [getattr(view, name) for view in self._views]
        return np.concatenate(parts) if parts else np.empty(0, dtype)

    def fixed(self, name: str, width: int) -> Array:
        """A column of bytes, as items of that width."""
        parts = [getattr(view, name) for view in self._views]
        return items(np.concatenate([np.zeros((0, width), np.uint8), *parts]))

    def reference(self, name: str, size: str) -> Array:
        """A column of rows of another table, as rows of that table over all batches."""
        return self._shifted(name, [int(getattr(view, size)) for view in self._views])

    def _shifted(self, name: str, sizes: list[int]) -> Array:
        starts: list[int] = np.cumsum([0, *sizes])[:-1].tolist()
        parts = [
            np.where((column := getattr(view, name)) == NONE, -1, column.astype(np.int64) + start)
            for view, start in zip(self._views, starts, strict=True)
        ]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def key(self, name: str) -> Array:
        """A key column as 32-byte items; 32 zero bytes for none."""
        # The last item stands for -1.
        return self._keys[self._shifted(name, [len(view.keys) for view in self._views])]

    def name(self, name: str) -> tuple[Array, list[str]]:
        """A name column as (int32 codes, names); the empty name for none."""
        unique: dict[str, int] = {}
        texts = [*self._names, ""]
        codes = np.array([unique.setdefault(t, len(unique)) for t in texts], np.int32)
        rows = self._shifted(name, [len(view.names) for view in self._views])
        return codes[rows], list(unique)

    def of_view(self, value: Callable[[OpportunityView, int], int]) -> Array:
        """A number for each opportunity, from its batch and its row there."""
        return np.array(
            [value(view, row) for view in self._views for row in range(view.n_opportunities)],
            np.uint64,
        )

    def common(self, rows: Array) -> Columns:
        """Columns of all three tables; `rows` has the opportunity of each row."""
        n = len(rows)
        chains: dict[str, int] = {}
        codes = np.array([chains.setdefault(chain, len(chains)) for chain, *_ in self.blocks], "i4")
        slots = np.array([slot for _, slot, _ in self.blocks], np.uint64)
        hashes = np.array([blockhash for *_, blockhash in self.blocks], "V32")
        return {
            "chain": (NAME, (codes[rows], list(chains))),
            "slot": (pa.uint64(), slots[rows]),
            "id": (ID, self.fixed("opp_id", 16)[rows]),
            "blockhash": (KEY, hashes[rows]),
            "schema_version": (pa.uint16(), np.full(n, SCHEMA_VERSION, np.uint16)),
            "run_id": (NAME, (np.zeros(n, np.int32), [self.run.run_id])),
            "version": (pa.uint64(), self._versions[rows]),
        }


def _opportunities(flush: _Flush) -> Columns:
    rows = np.flatnonzero(flush.kept)
    first = flush.reference("opp_first_tx", "n_tx")[rows]
    times = flush.of_view(_block_time).astype(np.uint32)
    victims = np.bincount(flush.of_victim, minlength=len(flush.kept))
    return {
        **flush.common(rows),
        "block_time": (pa.uint32(), times[rows]),
        "kind": _enumerated(flush, "opp_kind", Kind, rows),
        "origin": _enumerated(flush, "opp_origin", Origin, rows),
        "first_slot": (pa.uint64(), flush.column("tx_slot").astype(np.uint64)[first]),
        "tx_index": (pa.uint32(), flush.column("tx_index")[first]),
        "ix_outer": (pa.uint32(), flush.column("opp_outer")[rows]),
        "ix_inner": (pa.int32(), flush.column("opp_inner")[rows]),
        "signature": (SIGNATURE, flush.fixed("tx_signature", 64)[first]),
        "actor": (KEY, flush.key("opp_actor")[rows]),
        "profit_mint": (KEY, flush.key("opp_profit_mint")[rows]),
        "tip_payer": (KEY, flush.key("opp_tip_payer")[rows]),
        "victims": (pa.uint32(), victims.astype(np.uint32)[rows]),
        "market": (KEY, flush.key("opp_market")[rows]),
        "expiry_slot": (pa.uint64(), flush.column("opp_expiry").astype(np.uint64)[rows]),
        **{n: (type_, flush.column(f"opp_{n}")[rows]) for n, type_ in _OF_OPPORTUNITY.items()},
    }


def _legs(flush: _Flush) -> Columns:
    rows = np.flatnonzero(flush.kept[flush.of_leg])
    tx = flush.reference("leg_tx", "n_tx")[rows]
    return {
        **flush.common(flush.of_leg[rows]),
        "number": (pa.uint32(), _within(flush.of_leg)[rows]),
        "role": _enumerated(flush, "leg_role", Role, rows),
        "origin": _enumerated(flush, "opp_origin", Origin, flush.of_leg[rows]),
        "tx_slot": (pa.uint64(), flush.column("tx_slot").astype(np.uint64)[tx]),
        "tx_index": (pa.uint32(), flush.column("tx_index")[tx]),
        "signature": (SIGNATURE, flush.fixed("tx_signature", 64)[tx]),
        "fee_payer": (KEY, flush.key("tx_payer")[tx]),
        "ix_outer": (pa.uint32(), flush.column("leg_outer")[rows]),
        "ix_inner": (pa.int32(), flush.column("leg_inner")[rows]),
        "leg": (pa.uint32(), flush.column("leg_leg")[rows]),
        **{n: (NAME, _some(flush.name(f"leg_{n}"), rows)) for n in ("venue", "router")},
        **{
            name: (KEY, flush.key(f"leg_{name}")[rows])
            for name in ("pool", "trader", "mint_in", "mint_out")
        },
        **{name: (type_, flush.column(f"leg_{name}")[rows]) for name, type_ in _OF_LEG.items()},
        "tx_fee": (pa.uint64(), flush.column("tx_fee")[tx]),
        "tx_tip": (pa.uint64(), flush.column("tx_tip")[tx]),
    }


def _victims(flush: _Flush) -> Columns:
    rows = np.flatnonzero(flush.kept[flush.of_victim])
    leg = flush.reference("victim_leg", "n_legs")[rows]
    tx = flush.reference("leg_tx", "n_tx")[leg]
    return {
        **flush.common(flush.of_victim[rows]),
        "number": (pa.uint32(), _within(flush.of_leg)[leg]),
        "signature": (SIGNATURE, flush.fixed("tx_signature", 64)[tx]),
        "wallet": (KEY, flush.key("victim_wallet")[rows]),
        "mint": (KEY, flush.key("victim_mint")[rows]),
        "decimals": (pa.uint8(), flush.column("leg_decimals_out")[leg]),
        **{n: (type_, flush.column(f"victim_{n}")[rows]) for n, type_ in _OF_VICTIM.items()},
    }


def _block_time(view: OpportunityView, row: int) -> int:
    """The batch's, if that is of the block that completed the opportunity; else not told."""
    own = view.slot == int(view.tx_slot[view.opp_last_tx[row]])
    return block_time(view.block_time if own else None)


def _within(owners: Array) -> Array:
    """Of rows in the order of their owners: which one of its owner's each is, from 0."""
    n = np.arange(len(owners))
    starts = np.searchsorted(owners, owners)
    return (n - starts).astype(np.uint32)


def _some(values: tuple[Array, list[str]], rows: Array) -> tuple[Array, list[str]]:
    return values[0][rows], values[1]


def _enumerated(
    flush: _Flush, name: str, names: Collection[Any], rows: Array
) -> tuple[pa.DataType, Values]:
    """Names for the numbers of a column; what only a newer version knows is its number."""
    known = {int(member): member.name for member in names}
    unique: dict[str, int] = {}
    codes = [
        unique.setdefault(known.get(number, str(number)), len(unique))
        for number in flush.column(name)[rows].tolist()
    ]
    return NAME, (np.array(codes, np.int32), list(unique) or [""])
