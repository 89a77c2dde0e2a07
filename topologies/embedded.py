"""The chain in one process, without a broker: source → stages → sink, with bounded memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mevstream.errors import InputError
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.chain import CHAIN, DEAD_LETTER, RAW, SLOTS, Link, Record, Stage
from mevstream.topologies.parsed.slots import SlotLedger
from mevstream.topologies.sinks.base import Sink


@dataclass(slots=True)
class Totals:
    """What came in, summed over the slots that were closed (and over open ones for progress)."""

    batches: int = 0
    first_slot: int = 0
    last_slot: int = 0
    slots: int = 0
    incomplete_slots: int = 0
    transactions: int = 0
    votes: int = 0
    failed: int = 0
    succeeded: int = 0
    unknown: int = 0
    dead_letters: int = 0
    swaps: int = 0
    failed_swap_attempts: int = 0
    tipped: int = 0
    tip_lamports: int = 0
    stopped: bool = False

    def add_batch(self, status: SlotStatus) -> None:
        self.first_slot = min(self.first_slot, status.slot) if self.batches else status.slot
        self.last_slot = max(self.last_slot, status.slot)
        self.batches += 1
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(status, name))

    def add_slot(self, status: SlotStatus) -> None:
        self.slots += 1
        self.incomplete_slots += status.batches != status.batches_total


_COUNTS = (
    "transactions",
    "votes",
    "failed",
    "succeeded",
    "unknown",
    "swaps",
    "failed_swap_attempts",
    "tipped",
    "tip_lamports",
)


class EmbeddedRuntime:
    """Runs `chain` over raw batches into `sink`, which must be open.

    Nothing waits between source and sink: a batch goes through all stages before the next is
    read, so what is held is one batch and the sink's buffer. The per-batch counts of mev.slots
    are added up here; the sink gets one SlotStatus for a slot, after all its other records.
    """

    def __init__(self, sink: Sink, chain: Sequence[Link] = CHAIN) -> None:
        self._sink = sink
        self._stages: dict[str, list[Stage]] = {}
        for link in chain:
            self._stages.setdefault(link.input, []).append(link.open_stage())
        self._ledger = SlotLedger()
        self.totals = Totals()

    def run(
        self,
        source: Iterable[bytes],
        *,
        progress: Callable[[Totals], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Totals:
        """Takes RawBatch messages until the source ends or `stop` says so between two batches,
        then flushes. `progress` is called after every batch.

        Slots that still miss a batch when the source ends are written as they are and counted
        as incomplete; when the run was stopped they are left out. An InputError of the source
        passes through after all that came before it was stored. Errors of the sink pass through
        at once: then everything up to its last flush is stored.
        """
        broken: InputError | None = None
        batches = iter(source)
        while not self.totals.stopped:
            try:
                raw = next(batches, None)
            except InputError as error:
                broken = error
                break
            if raw is None:
                break
            self._take(Record(RAW, raw))
            if progress is not None:
                progress(self.totals)
            self.totals.stopped = stop()
        self.totals.stopped = self.totals.stopped or stop()
        if not self.totals.stopped:
            for status in self._ledger.close():
                self._write_slot(status)
        self._sink.flush()
        if self.totals.stopped:
            self._sink.abandon()
        if broken is not None:
            raise broken
        return self.totals

    def _take(self, record: Record) -> None:
        if record.topic == SLOTS:
            status = SlotStatus.FromString(record.value)
            self.totals.add_batch(status)
            for closed in self._ledger.add(status):
                self._write_slot(closed)
        elif record.topic in self._sink.topics:
            self.totals.dead_letters += record.topic == DEAD_LETTER
            self._sink.write(record)
        for stage in self._stages.get(record.topic, ()):
            for result in stage(record.value):
                self._take(result)

    def _write_slot(self, status: SlotStatus) -> None:
        self.totals.add_slot(status)
        self._sink.write(Record(SLOTS, status.SerializeToString()))
