"""Counts of a slot: those of one ParsedBatch, and their sum over the batches of the slot."""

from collections.abc import Iterable, Iterator, Sequence
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
    ParsedMessage,
    open_parsed,
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


def batch_status(batch: ParsedMessage, dead_lettered: int) -> SlotStatus:
    """The SlotStatus of one batch: `batches` is 1, `batches_total` known from the last one only.

    Counted are the rows at home: over the parts of a batch, every count but `batches` adds up to
    that of the whole. failed and succeeded leave votes out; failed_swap_attempts are those of
    transactions that failed; tips count where the transaction succeeded (the decoder reports 0
    elsewhere). Raises InputError where an index column points outside its table.
    """
    return batch_statuses([batch], [dead_lettered])[0]


def batch_statuses(
    batches: Sequence[ParsedMessage], dead_lettered: Iterable[int]
) -> list[SlotStatus]:
    """`batch_status` of each of many batches, counted in one go."""
    counts = _counts(batches)
    return [
        SlotStatus(
            chain=batch.chain,
            slot=batch.slot,
            parent_slot=batch.parent_slot,
            blockhash=batch.blockhash,
            parent_blockhash=batch.parent_blockhash,
            block_time=batch.block_time,
            block_height=batch.block_height,
            commitment=cast("Commitment", batch.commitment),
            source=batch.source,
            batches=1,
            batches_total=min(batch.seq + 1, 0xFFFFFFFF) if batch.last else 0,
            dead_lettered=dead,
            first_seen_ns=batch.received_ns,
            seq=batch.seq,
            **dict(zip(counts, values, strict=True)),
        )
        for batch, dead, *values in zip(batches, dead_lettered, *counts.values(), strict=True)
    ]


def _counts(batches: Sequence[ParsedMessage]) -> dict[str, list[int]]:
    """The counts of each batch's rows at home, by the name that they have in SlotStatus."""
    rows = open_parsed(batches).rows()
    transactions = rows.n_rows["tx"].astype(np.uint64)
    votes = rows.count("tx_flags", VOTE, VOTE)
    failed = rows.count("tx_flags", VOTE | SUCCESS, 0)
    unknown = rows.count("tx_flags", DECODED_IN_PART, DECODED_IN_PART)
    venues = [
        batch.names.index(UNKNOWN_VENUE) if UNKNOWN_VENUE in batch.names else _NO_NAME
        for batch in batches
    ]
    counts = {
        "transactions": transactions,
        "votes": votes,
        "failed": failed,
        "succeeded": transactions - votes - failed,
        "decoded": transactions - unknown,
        "unknown": unknown,
        "swaps": rows.n_rows["swap"],
        "unknown_venue_swaps": rows.count("swap_venue", _ALL, np.array(venues, dtype=np.uint64)),
        # The field has 32 bits, and a forged batch may claim more.
        "failed_swap_attempts": np.minimum(
            rows.total("tx_swap_attempts", "tx_flags", SUCCESS, 0), 0xFFFFFFFF
        ),
        "logs_truncated": rows.count("tx_flags", LOG_TRUNCATED, LOG_TRUNCATED),
        "event_mismatches": rows.count("swap_flags", EVENT_DIFFERS, EVENT_DIFFERS),
        "router_event_mismatches": rows.count(
            "swap_flags", ROUTER_EVENT_DIFFERS, ROUTER_EVENT_DIFFERS
        ),
        "tipped": transactions - rows.count("tx_tip", _ALL, 0),
        "tip_lamports": rows.total("tx_tip"),
        "fee_lamports": rows.total("tx_fee"),
        "compute_units": rows.total("tx_compute_units"),
    }
    return {name: values.tolist() for name, values in counts.items()}


_ALL = 0xFFFF_FFFF_FFFF_FFFF
# No row of a 32-bit column has it.
_NO_NAME = 1 << 32


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
