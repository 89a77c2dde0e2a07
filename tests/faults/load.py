"""The simulated chain, paced, into mev.raw, with a ledger of everything that was sent.

What a slot holds is taken from the simulator and from protobuf's own reading of its block, never
from the decoder under test.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, Message, Producer
from solders.hash import Hash

from mevstream.cext.split import split
from mevstream.codecs.headers import Header, RecordHeaders, pack_record
from mevstream.infra.kafka_errors import has_place
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock
from mevstream.topologies.chain import MESSAGES, RAW
from mevstream.topologies.raw.batches import BatchWriter, SlotHeader
from mevstream.topologies.raw.simulator import Block, Simulator, SimulatorConfig

_TRANSACTIONS, _REWARDS = 4, 5
_REMEMBERED = 64
POISON = b"poison:"
"""How the payload of everything begins that the load sends and nobody can decode."""

Batch = tuple[int, int]
"""slot, seq."""


@dataclass(slots=True)
class SlotTruth:
    """What was sent of a slot.

    rows: transactions that are no votes, which the tables hold; digest: the sum, modulo 2^64, of
    the first 8 bytes of their signatures as little-endian numbers. swaps: legs of successful
    transactions. sent: monotonic seconds when the broker had batch `seq`.
    """

    slot: int
    blockhash: bytes
    batches: int
    transactions: int
    votes: int
    failed: int
    rows: int
    digest: int
    swaps: int
    sent: dict[int, float] = field(default_factory=dict[int, float])

    @property
    def complete_at(self) -> float | None:
        """When the last of its batches was with the broker; None: not yet."""
        return max(self.sent.values()) if len(self.sent) == self.batches else None


@dataclass(frozen=True, slots=True)
class _Raw:
    batch: Batch | None
    partition: int
    value: bytes
    headers: list[tuple[str, str | bytes | None]]


class Ledger:
    """What was sent. Read it when the load has ended, or one item at a time."""

    def __init__(self) -> None:
        self.slots: dict[int, SlotTruth] = {}
        # What is in `payload` of the dead letter that has to come of it, by when it was sent.
        self.poison: dict[bytes, float] = {}
        self.repeated: dict[Batch, int] = {}
        self.out_of_order: set[Batch] = set()
        self.failures: list[str] = []

    @property
    def transactions(self) -> int:
        return sum(truth.transactions for truth in list(self.slots.values()))

    @property
    def batches(self) -> int:
        return sum(truth.batches for truth in list(self.slots.values()))


class Load:
    """Sends slot after slot until it is stopped, `rate` transactions a second."""

    def __init__(
        self,
        servers: str,
        *,
        partitions: int,
        rate: float,
        seed: int,
        batch_size: int = 64,
        config: SimulatorConfig | None = None,
    ) -> None:
        self.ledger = Ledger()
        self.rate = rate
        self._partitions = partitions
        self._random = random.Random(seed)
        self._simulator = Simulator(config or SimulatorConfig(seed=seed))
        self._batch_size = batch_size
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 0,
                "message.max.bytes": 4 << 20,
                # A broker may be away for a while, and what was taken has to arrive.
                "delivery.timeout.ms": 600_000,
                "log_level": 0,
            }
        )
        self._next_partition = 0
        self._recent: deque[_Raw] = deque(maxlen=_REMEMBERED)
        self._held: list[_Raw] = []
        self._holding = 0
        self._requests: deque[Callable[[], None]] = deque()
        self._stopping = threading.Event()
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the slot under way; returns when the broker has all of it.

        Raises what went wrong, if anything did.
        """
        self._stopping.set()
        self._thread.join()
        if self._broken is not None:
            raise self._broken

    def poison(self) -> None:
        """Sends a record of each kind that no stage can read."""
        self._requests.append(self._send_poison)

    def repeat(self, count: int) -> None:
        """Sends the last `count` batches once more, as a source does that begins again."""
        self._requests.append(lambda: self._send_again(count))

    def shuffle(self, count: int) -> None:
        """Sends the next `count` batches in another order than theirs."""

        def hold() -> None:
            self._holding = count

        self._requests.append(hold)

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            due = time.monotonic()
            for block in self._simulator.blocks(None):
                for raw, transactions in self._records(block):
                    while self._requests:
                        self._requests.popleft()()
                    self._pass_on(raw)
                    due += transactions / self.rate
                    self._wait(due)
                if self._stopping.is_set():
                    break
            self._release()
            if self._producer.flush(120):
                self.ledger.failures.append("the broker did not take everything within 120 s")
        except BaseException as error:
            self._broken = error

    def _wait(self, due: float) -> None:
        self._producer.poll(0)
        while (ahead := due - time.monotonic()) > 0:
            self._producer.poll(min(ahead, 0.05))

    def _records(self, block: Block) -> Iterator[tuple[_Raw, int]]:
        truth = truth_of(block, self._batch_size)
        self.ledger.slots[block.slot] = truth
        for seq, value in enumerate(raw_batches(block, self._batch_size)):
            last = seq == truth.batches - 1
            headers = RecordHeaders(
                schema=MESSAGES[RAW],
                slot=block.slot,
                seq=seq,
                last=last,
                first_seen_ns=time.time_ns(),
            )
            packed, listed = pack_record(value, headers)
            raw = _Raw((block.slot, seq), self._next_partition, packed, [*listed])
            self._next_partition = (self._next_partition + 1) % self._partitions
            full = truth.transactions - seq * self._batch_size
            yield raw, min(self._batch_size, full)

    def _pass_on(self, raw: _Raw) -> None:
        if not self._holding:
            self._send(raw)
            return
        self._held.append(raw)
        if len(self._held) == self._holding:
            self._release()

    def _release(self) -> None:
        held, self._held, self._holding = self._held, [], 0
        order = list(range(len(held)))
        self._random.shuffle(order)
        self.ledger.out_of_order.update(raw.batch for raw in held if raw.batch)
        for i in order:
            self._send(held[i])

    def _send(self, raw: _Raw) -> None:
        self._recent.append(raw)
        self._produce(raw)

    def _send_again(self, count: int) -> None:
        for raw in list(self._recent)[-count:]:
            if raw.batch is not None:
                self.ledger.repeated[raw.batch] = self.ledger.repeated.get(raw.batch, 0) + 1
                self._produce(raw)

    def _send_poison(self) -> None:
        def name(kind: str) -> bytes:
            return POISON + f"{kind}:{self._random.randbytes(12).hex()}".encode()

        head = RecordHeaders(schema=MESSAGES[RAW], first_seen_ns=time.time_ns())
        partition = self._random.randrange(self._partitions)
        # No zstd frame; no protobuf message in it; no headers; the headers of another topic.
        no_frame, no_message, bare, foreign = map(
            name, ("no-frame", "no-message", "bare", "foreign")
        )
        _, frame_headers = pack_record(b"", head)
        records: list[tuple[bytes, bytes, list[Header]]] = [
            (no_frame, no_frame, frame_headers),
            (no_message, *pack_record(no_message, head)),
            (bare, bare, []),
            (foreign, foreign, [("mev.schema", b"mevstream.v1.Strange")]),
        ]
        for payload, value, headers in records:
            self.ledger.poison[payload] = time.monotonic()
            self._produce(_Raw(None, partition, value, [*headers]))

    def _produce(self, raw: _Raw) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None and not has_place(message):
                self._produce(raw)
            elif error is not None:
                self.ledger.failures.append(f"a raw record was not taken: {error.str()}")
            elif raw.batch is not None:
                slot, seq = raw.batch
                self.ledger.slots[slot].sent.setdefault(seq, time.monotonic())

        while True:
            try:
                self._producer.produce(
                    RAW,
                    raw.value,
                    partition=raw.partition,
                    headers=raw.headers,
                    on_delivery=delivered,
                )
                return
            except BufferError:
                self._producer.poll(0.1)


def raw_batches(block: Block, batch_size: int) -> Iterator[bytes]:
    """RawBatch messages of a simulated block, as a source makes them."""
    header = SlotHeader(
        block.slot,
        parent_slot=block.parent_slot,
        block_time=block.block_time,
        blockhash=bytes(Hash.from_string(block.blockhash)),
        parent_blockhash=bytes(Hash.from_string(block.parent_blockhash)),
        block_height=block.block_height,
    )
    writer = BatchWriter("solana", batch_size, time.time_ns)
    return writer.block(header, "simulator", split(block.data, _TRANSACTIONS, (_REWARDS,)))


def truth_of(block: Block, batch_size: int) -> SlotTruth:
    """What a slot holds, read without the project's decoder."""
    signatures = [
        one.transaction.signatures[0] for one in ConfirmedBlock.FromString(block.data).transactions
    ]
    rows = [signatures[i] for i, vote in enumerate(block.votes.tolist()) if not vote]
    return SlotTruth(
        slot=block.slot,
        blockhash=bytes(Hash.from_string(block.blockhash)),
        batches=max(-(-len(signatures) // batch_size), 1),
        transactions=len(signatures),
        votes=block.counts["votes"],
        failed=block.counts["failed"],
        rows=len(rows),
        digest=sum(int.from_bytes(one[:8], "little") for one in rows) % 2**64,
        swaps=block.n_swaps,
    )
