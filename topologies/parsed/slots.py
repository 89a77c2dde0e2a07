"""Counts of a slot: those of one ParsedBatch, and their sum over the batches of the slot."""

from collections.abc import Iterator
from typing import cast

import numpy as np

from mevstream.codecs.parsed import (
    DECODED_IN_PART,
    EVENT_DIFFERS,
    LOG_TRUNCATED,
    ROUTER_EVENT_DIFFERS,
    SUCCESS,
    UNKNOWN_VENUE,
    VOTE,
    ParsedView,
)
from mevstream.schemas.raw_pb2 import Commitment
from mevstream.schemas.slots_pb2 import SlotStatus

SUMMED = (
    "batches",
    "transactions",
    "votes",
    "failed",
    "succeeded",
    "decoded",
    "unknown",
    "dead_lettered",
    "swaps",
    "unknown_venue_swaps",
    "failed_swap_attempts",
    "logs_truncated",
    "event_mismatches",
    "router_event_mismatches",
    "tipped",
    "tip_lamports",
    "fee_lamports",
    "compute_units",
)


def batch_status(view: ParsedView, dead_lettered: int) -> SlotStatus:
    """The SlotStatus of one batch: `batches` is 1, `batches_total` known from the last one only.

    Counted are the rows at home: over the parts of a batch, every count but `batches` adds up to
    that of the whole. failed and succeeded leave votes out; failed_swap_attempts are those of
    transactions that failed; tips count where the transaction succeeded (the decoder reports 0
    elsewhere).
    """
    home = view.tx_replica == 0
    flags = view.tx_flags[home]
    vote = (flags & VOTE) != 0
    success = (flags & SUCCESS) != 0
    transactions = len(flags)
    votes = int(np.count_nonzero(vote))
    failed = int(np.count_nonzero(~(vote | success)))
    unknown = int(np.count_nonzero(flags & DECODED_IN_PART))
    tips = view.tx_tip[home]
    swap_flags = view.swap_flags[view.swap_replica == 0]
    status = SlotStatus(
        chain=view.chain,
        slot=view.slot,
        parent_slot=view.parent_slot,
        blockhash=view.blockhash,
        parent_blockhash=view.parent_blockhash,
        block_time=view.block_time,
        block_height=view.block_height,
        commitment=cast("Commitment", view.commitment),
        source=view.source,
        batches=1,
        batches_total=min(view.seq + 1, 0xFFFFFFFF) if view.last else 0,
        transactions=transactions,
        votes=votes,
        failed=failed,
        succeeded=transactions - votes - failed,
        decoded=transactions - unknown,
        unknown=unknown,
        dead_lettered=dead_lettered,
        swaps=len(swap_flags),
        failed_swap_attempts=int(view.tx_swap_attempts[home][~success].sum()),
        logs_truncated=int(np.count_nonzero(flags & LOG_TRUNCATED)),
        tipped=int(np.count_nonzero(tips)),
        tip_lamports=int(tips.sum()),
        fee_lamports=int(view.tx_fee[home].sum()),
        compute_units=int(view.tx_compute_units[home].sum()),
        first_seen_ns=view.received_ns,
        seq=view.seq,
    )
    if len(swap_flags):
        status.event_mismatches = int(np.count_nonzero(swap_flags & EVENT_DIFFERS))
        status.router_event_mismatches = int(np.count_nonzero(swap_flags & ROUTER_EVENT_DIFFERS))
        if UNKNOWN_VENUE in view.names:
            venues = view.swap_venue[view.swap_replica == 0]
            name = view.names.index(UNKNOWN_VENUE)
            status.unknown_venue_swaps = int(np.count_nonzero(venues == name))
    return status


class SlotLedger:
    """Adds up the batches of each slot and says when a slot is complete, or will not be.

    A slot closes when all its batches are in. One that waits for a batch is given up, with
    batches < batches_total (or batches_total 0: the last batch never came), as soon as
    `max_open` later slots have begun, or at the end: a gap is reported, never ignored.
    """

    def __init__(self, max_open: int = 64) -> None:
        self._open: dict[tuple[str, int, bytes], SlotStatus] = {}
        self._max_open = max_open

    def add(self, status: SlotStatus) -> Iterator[SlotStatus]:
        """Takes the status of one batch, yields the slots that are closed by it."""
        key = (status.chain, status.slot, status.blockhash)
        total = self._open.get(key)
        if total is None:
            total = self._open[key] = SlotStatus()
            total.CopyFrom(status)
            total.ClearField("seq")
        else:
            for name in SUMMED:
                setattr(total, name, getattr(total, name) + getattr(status, name))
            total.batches_total = max(total.batches_total, status.batches_total)
            total.first_seen_ns = min(total.first_seen_ns, status.first_seen_ns)
        if total.batches >= total.batches_total > 0:
            yield self._open.pop(key)
        elif len(self._open) > self._max_open:
            yield self._open.pop(next(iter(self._open)))

    def close(self) -> Iterator[SlotStatus]:
        """Yields the slots that are still open, in the order in which they began."""
        while self._open:
            yield self._open.pop(next(iter(self._open)))
