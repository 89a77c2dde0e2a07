"""mev.parsed → mev.opportunities for one market partition: what was taken, by the swaps of a leader
group, and what could be taken, by the state of the pools.

It reads mev.parsed and not mev.features, which has neither transactions nor what traders paid.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from mevstream.cext.base58 import decode_sized
from mevstream.cext.detect import Window
from mevstream.codecs.columns import NONE
from mevstream.codecs.envelope import ENVELOPE
from mevstream.codecs.opportunities import Kind, encode_opportunities
from mevstream.codecs.parsed import KEY_COLUMNS, SCHEMA, ParsedView, encode_parsed, view_parsed
from mevstream.errors import InputError
from mevstream.schemas.opportunities_pb2 import OpportunityState, SlotTips
from mevstream.settings import load_settings
from mevstream.topologies.chain import OPPORTUNITIES, PARSED, Record
from mevstream.topologies.giving_up import give_up
from mevstream.topologies.observe import metrics
from mevstream.topologies.opportunities.observed.arbitrage import Cycle, arbitrage
from mevstream.topologies.opportunities.observed.backrun import LOOK_BACK, Target, find_target
from mevstream.topologies.opportunities.observed.jit import just_in_time
from mevstream.topologies.opportunities.observed.liquidation import liquidations
from mevstream.topologies.opportunities.observed.marks import Marks
from mevstream.topologies.opportunities.observed.model import WRAPPED_SOL, Found, Leg
from mevstream.topologies.opportunities.observed.sandwich import sandwiches
from mevstream.topologies.opportunities.pools import Pools
from mevstream.topologies.opportunities.predicted.cycles import (
    Exposed,
    Predicted,
    Rules,
    exposed,
    predicted,
    tips_between_hubs,
)
from mevstream.topologies.opportunities.predicted.tips import TipFloor
from mevstream.topologies.opportunities.records import columns_of

NAME = "opportunities"

STATE_VERSION = 2

LEADER_SLOTS = 4
"""Slots in a row that one leader has; they begin at a multiple of it."""

_SOL = decode_sized(WRAPPED_SOL, 32)

MARK = 64
"""Bytes of a pool in OpportunityState.marks."""

Block = tuple[str, int, bytes]
"""Chain, slot, blockhash."""


class Detected(NamedTuple):
    """What a batch completes."""

    found: list[Found]
    predicted: list[Predicted]
    exposed: list[Exposed]


def open_stage() -> "OpportunityStage":
    """The stage as the settings have it."""
    settings = load_settings()
    hubs = (decode_sized(mint, 32) for mint in settings.hub_mints)
    return OpportunityStage(hubs, pools=settings.pools, rules=Rules.of(settings))


class OpportunityStage:
    """One OpportunityBatch for each ParsedBatch.

    Batches come in the order of (slot, seq). What is complete with a transaction is told by its
    batch; sandwiches by the batch that ends the slot: its last one, or the first of another
    block. Transactions whose block nobody knows (no blockhash) have no order among them:
    only what is complete within one of them is told.

    hubs: mints, 32 bytes each, that are no market of their own; pools: how many are remembered.
    """

    def __init__(
        self, hubs: Iterable[bytes], *, pools: int = 1 << 16, rules: Rules | None = None
    ) -> None:
        self._hubs = frozenset(hubs)
        self._rules = rules or Rules()
        # Wrapped SOL first: what it has none of is measured by it.
        ranking = sorted(self._hubs, key=lambda mint: (mint != _SOL, mint))
        self.pools = Pools(pools, ranking if _SOL in self._hubs else ())
        self._meter = metrics.stage(NAME)
        self._tips = TipFloor(self._rules.tip_percentile, self._rules.tip)
        self._window = Window()
        self._batches: list[ParsedView] = []
        self._marks = Marks()
        self._open: Block | None = None
        # The batch that came last: its seq, and whether it was the block's last.
        self._seq = 0
        self._ended = False
        # Legs of slots that have ended.
        self._since = 0

    def __call__(self, value: bytes, /) -> list[Record]:
        try:
            view = view_parsed(value)
            view.validate()
            detected = self.detect(view)
        except (InputError, ValueError) as error:
            return [give_up(NAME, PARSED, value, error)]
        return [Record(OPPORTUNITIES, _encode(view, detected))]

    def detect(self, view: ParsedView) -> Detected:
        """What the next batch completes; it must have passed `ParsedView.validate`. Raises
        ValueError for legs that are out of order; then nothing has changed but that a slot may
        have ended."""
        if not view.blockhash:
            cycles = self._window.take(view, False)
            found = [
                *(arbitrage(view, cycle, None, _SOL) for cycle in cycles),
                *liquidations(view, self._hubs, _SOL),
            ]
            return Detected(found, [], [])
        found: list[Found] = []
        cycles: list[Cycle] = []
        could: list[Predicted] = []
        risks: list[Exposed] = []
        block = (view.chain, view.slot, view.blockhash)
        if self._open is not None and not self._continues(self._open, view):
            self.pools.forget_places()
        if self._open is not None and self._open != block:
            found += self._close()
            self._begin(self._open, block)
        self._open, self._seq, self._ended = block, view.seq, view.last
        if view.n_swaps or view.n_liquidity or view.n_links:
            cycles = self._window.take(view, True)
            self._batches.append(view)
        if view.n_swaps or view.n_liquidity:
            arbitrages = [self._arbitrage(view, cycle) for cycle in cycles]
            found += [one for one in arbitrages if one is not None]
            of_slot = [batch for batch in self._batches if batch.slot == view.slot]
            found += just_in_time(of_slot, self._hubs, _SOL)
            could, risks = self._predict(view)
        found += liquidations(view, self._hubs, _SOL)
        if view.last:
            found += self._close()
            self._count()
        return Detected(found, could, risks)

    def _continues(self, open_: Block, view: ParsedView) -> bool:
        """Whether nothing can have moved a pool between the batch that came last and this one."""
        chain, slot, blockhash = open_
        if (view.chain, view.slot, view.blockhash) == open_:
            return view.seq == self._seq + 1
        return (
            self._ended
            and view.seq == 0
            and (view.chain, view.parent_slot) == (chain, slot)
            and view.parent_blockhash in (b"", blockhash)
        )

    def _predict(self, view: ParsedView) -> tuple[list[Predicted], list[Exposed]]:
        rules, tip = self._rules, self._tips.at(view.slot)
        applied = self.pools.apply(view, rules.least(tip), rules.least_exposure(tip))
        if applied.between_hubs.any():
            self._tips.add(view.slot, tips_between_hubs(view, applied.between_hubs))
        could = predicted(view, applied.predictions, rules, tip, _SOL)
        risks = exposed(view, applied.exposures, tip)
        for one in could:
            self._meter.foretold(one.kind.name)
        for _ in risks:
            self._meter.foretold(Kind.exposure.name)
        return could, risks

    def _count(self) -> None:
        for venue, new in self.pools.newly_quoted().items():
            exact = new.told_exact + new.tracked_exact
            close = new.told_close + new.tracked_close - exact
            off = new.told + new.tracked - exact - close
            self._meter.quoted(venue, exact, close, off, new.drifted)

    def _begin(self, before: Block, block: Block) -> None:
        """What the first batch of another block leaves: of another leader group nothing, of one
        that takes the place of slots before it what was before those."""
        chain, slot, _ = block
        if before[0] != chain or before[1] // LEADER_SLOTS != slot // LEADER_SLOTS:
            self._marks.note(self._batches)
            self._refill([])
        elif slot <= before[1]:
            self._refill([batch for batch in self._batches if batch.slot < slot])

    def _refill(self, batches: list[ParsedView]) -> None:
        self._window.clear()
        for batch in batches:
            self._window.take(batch, True)
        self._batches = batches
        self._since = len(self._window)

    def _close(self) -> list[Found]:
        """The open slot has ended."""
        found: list[Found] = []
        for legs in self._window.suspects(self._since):
            pool = [Leg(*leg) for leg in legs]
            found += [
                sandwich
                for sandwich in sandwiches(
                    pool, self._since, self._batches, _SOL, self._marks, self._window.wallets
                )
                if not sandwich.legs[0].is_replica
            ]
        self._since = len(self._window)
        return found

    # -- arbitrage ------------------------------------------------------------------------------

    def _arbitrage(self, view: ParsedView, cycle: Cycle) -> Found | None:
        """What this partition tells of it: all at the home of its first leg in a market (else of
        its first leg), elsewhere whom it ran behind in a pool whose home this is."""
        _, first, n, *_ = cycle
        rows = range(first, first + n)
        if not view.swap_replica.any():  # at home are all of them
            target = self._target(view, rows, rows)
            return arbitrage(view, cycle, target, _SOL)
        between_hubs = [row for row in rows if self._is_between_hubs(view, row)]
        anchor = next((row for row in rows if row not in between_hubs), first)
        at_home = [row for row in rows if not view.swap_replica[row] and row not in between_hubs]
        is_home = not view.swap_replica[anchor]
        # Swaps between hubs are seen everywhere.
        seen = sorted((*at_home, *between_hubs)) if is_home else at_home
        target = self._target(view, rows, seen)
        return arbitrage(view, cycle, target, _SOL) if is_home or target else None

    def _is_between_hubs(self, view: ParsedView, row: int) -> bool:
        mints = (view.swap_mint_in[row], view.swap_mint_out[row])
        return all(mint != NONE and view.keys[mint].tobytes() in self._hubs for mint in mints)

    def _target(self, view: ParsedView, rows: range, seen: Iterable[int]) -> Target | None:
        """Whom the arbitrage of these legs ran behind: looked for in the pools of those that are
        `seen`, of which every swap is in the window."""
        batch = len(self._batches) - 1
        legs = {row: Leg(*self._window.leg_at(batch, row)) for row in rows}
        wallets = {leg.payer for leg in legs.values()}
        wallets |= {leg.trader for leg in legs.values() if not leg.routed}
        for row in seen:
            before = [Leg(*leg) for leg in self._window.before(legs[row].number, LOOK_BACK)]
            target = find_target(legs[row], before, self._batches, wallets - {NONE})
            if target is not None:
                return target
        return None

    # -- state ----------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """An OpportunityState message: the transactions of the leader group that have swaps or
        liquidity changes, its links, where pools stood before it, the pools, and the tips of
        late."""
        state = OpportunityState(version=STATE_VERSION, since=self._since)
        state.seq, state.ended = self._seq, self._ended
        state.pools = self.pools.snapshot()
        state.tips.extend(SlotTips(slot=slot, tips=tips) for slot, tips in self._tips.slots())
        if self._open is not None:
            state.open = True
            state.chain, state.slot, state.blockhash = self._open
        state.batches.extend(_with_rows(batch) for batch in self._batches)
        state.marks = b"".join(
            pool + root.to_bytes(16, "little") + liquidity.to_bytes(16, "little")
            for pool, (root, liquidity) in self._marks.of.items()
        )
        return state.SerializeToString()

    def restore(self, snapshot: bytes) -> None:
        try:
            state = OpportunityState.FromString(snapshot)
        except DecodeError:
            raise InputError("not an OpportunityState message") from None
        if state.version != STATE_VERSION:
            raise InputError(f"OpportunityState: version {state.version} is not known here")
        batches = [ParsedView(batch) for batch in state.batches]
        window = Window()
        try:
            for batch in batches:
                batch.validate()
                window.take(batch, True)
        except ValueError as error:
            raise InputError(f"OpportunityState: {error}") from None
        if len(state.marks) % MARK:
            raise InputError("OpportunityState: marks are cut off")
        if state.since > len(window):
            raise InputError("OpportunityState: more legs have ended than there are")
        self.pools.restore(state.pools)  # the last thing that may raise
        self._tips.put((one.slot, one.tips) for one in state.tips)
        self._seq, self._ended = state.seq, state.ended
        self._window, self._batches, self._since = window, batches, state.since
        marks = (state.marks[i : i + MARK] for i in range(0, len(state.marks), MARK))
        self._marks = Marks(
            {
                mark[:32]: (
                    int.from_bytes(mark[32:48], "little"),
                    int.from_bytes(mark[48:], "little"),
                )
                for mark in marks
            }
        )
        self._open = (state.chain, state.slot, state.blockhash) if state.open else None


def _encode(view: ParsedView, detected: Detected) -> bytes:
    envelope = {name: getattr(view, name) for name in ENVELOPE}
    if not any(detected):
        return encode_opportunities(envelope, {})
    names, columns = columns_of(*detected)
    return encode_opportunities({**envelope, "names": names}, columns)


def _with_rows(view: ParsedView) -> bytes:
    """The batch with the transactions that have swaps or liquidity changes, and with the links of
    all, as a message of its own."""
    rows = np.union1d(view.swap_tx, view.liquidity_tx)
    columns = {
        name: getattr(view, name)
        for name in SCHEMA.columns
        if name.startswith(("swap_", "liquidity_", "link_"))
    }
    columns |= {
        name: getattr(view, name)[rows] for name in SCHEMA.columns if name.startswith("tx_")
    }
    for name in ("swap_tx", "liquidity_tx"):
        columns[name] = _places(rows, columns[name])
    of_keys = [name for name in KEY_COLUMNS if name in columns]
    used = np.unique(np.concatenate([columns[name] for name in of_keys]))
    used = used[used != NONE]
    for name in of_keys:
        column = columns[name]
        columns[name] = np.where(column == NONE, np.uint32(NONE), _places(used, column))
    envelope = {name: getattr(view, name) for name in ENVELOPE}
    return encode_parsed({**envelope, "names": view.names}, {**columns, "keys": view.keys[used]})


def _places(keys: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """Where they are among the keys, or rows, which are in order."""
    return np.searchsorted(keys, wanted).astype(np.uint32)
