"""Snapshots of stateful stages in mev.checkpoints: written in parts, read back whole or not at all.

The order that keeps them safe: the parts of a snapshot, then its manifest once they are delivered,
then the commit of the offsets it names. Two generations take turns, so whatever is cut off leaves
the one before it untouched.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from google.protobuf.message import DecodeError

from mevstream.codecs.frames import compress
from mevstream.codecs.headers import RecordHeaders, unpack_record, write_headers
from mevstream.errors import InputError, MevstreamError
from mevstream.schemas.checkpoint_pb2 import Checkpoint, CheckpointState
from mevstream.topologies.chain import CHECKPOINTS, MESSAGES
from mevstream.topologies.worker.records import Outgoing

PART_BYTES = 1 << 20
"""The most bytes of state that one record holds."""

_MANIFEST = b"manifest"
_SENT = b"sent"
_READ_SECONDS = 60.0
_SCHEMA = MESSAGES[CHECKPOINTS]


@dataclass(frozen=True, slots=True)
class Sent:
    """What a worker that delivers exactly once has sent: all that follows from the first `batches`
    batches of the lane, and the dead letters of what it read before `offset`."""

    batches: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of one market partition of a stage (or of several, fused: `stages`).

    offsets: partition of the input of `group` → from where to read on. order: of a SlotOrder.
    sent: not part of it, but what it was up to date.
    """

    number: int
    group: str
    offsets: Mapping[int, int]
    order: bytes
    stages: Sequence[bytes]
    sent: Sent = Sent()


def write_snapshot(
    stage: str, partition: int, snapshot: Snapshot
) -> tuple[list[Outgoing], Outgoing]:
    """The records of a snapshot: its parts, and the manifest that is sent after they are safe."""
    state = CheckpointState(order=snapshot.order, stages=snapshot.stages).SerializeToString()
    pieces = [state[start : start + PART_BYTES] for start in range(0, len(state), PART_BYTES)]
    parts = [
        _record(
            Checkpoint(
                stage=stage, partition=partition, number=snapshot.number, part=part, data=piece
            ),
            b"%d" % part,
        )
        for part, piece in enumerate(pieces)
    ]
    manifest = Checkpoint(
        stage=stage,
        partition=partition,
        number=snapshot.number,
        parts=len(parts),
        size=len(state),
        checksum=_checksum(state),
        group=snapshot.group,
        offsets=snapshot.offsets,
        taken_ns=time.time_ns(),
    )
    return parts, _record(manifest, _MANIFEST)


def write_sent(stage: str, partition: int, sent: Sent) -> Outgoing:
    """The record that tells what was sent; the newest one counts."""
    told = Checkpoint(
        stage=stage, partition=partition, sent_batches=sent.batches, sent_offset=sent.offset
    )
    return _keyed(told, _SENT)


def _record(checkpoint: Checkpoint, part: bytes) -> Outgoing:
    return _keyed(checkpoint, b"%d/" % (checkpoint.number % 2) + part)


def _keyed(checkpoint: Checkpoint, key: bytes) -> Outgoing:
    return Outgoing(
        CHECKPOINTS,
        checkpoint.partition,
        f"{checkpoint.stage}/{checkpoint.partition}/".encode() + key,
        compress(checkpoint.SerializeToString()),
        write_headers(RecordHeaders(schema=_SCHEMA)),
    )


def _checksum(state: bytes) -> bytes:
    return hashlib.blake2b(state, digest_size=16).digest()


@dataclass(slots=True)
class _Generation:
    manifest: Checkpoint | None = None
    parts: dict[int, Checkpoint] = field(default_factory=dict[int, Checkpoint])

    def take(self, checkpoint: Checkpoint, part: bytes) -> None:
        if part == _MANIFEST:
            self.manifest = checkpoint
        else:
            self.parts[checkpoint.part] = checkpoint

    def snapshot(self) -> Snapshot | None:
        """The snapshot, if all of it is here and is what was written."""
        manifest = self.manifest
        if manifest is None:
            return None
        parts = [self.parts.get(number) for number in range(manifest.parts)]
        whole = [part for part in parts if part and part.number == manifest.number]
        state = b"".join(part.data for part in whole)
        if len(whole) < manifest.parts or _checksum(state) != manifest.checksum:
            return None
        read = CheckpointState.FromString(state)
        return Snapshot(
            number=manifest.number,
            group=manifest.group,
            offsets=dict(manifest.offsets),
            order=read.order,
            stages=list(read.stages),
        )


def read_snapshot(servers: str, stage: str, partition: int) -> Snapshot | None:
    """The newest snapshot that is whole, None if there is none.

    Reads the partition of mev.checkpoints to the end that it has now, and waits for transactions
    that are open there. Raises MevstreamError if
    the broker does not answer.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            # Nothing is committed: no group of that name ever exists.
            "group.id": "mevstream-checkpoints",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([TopicPartition(CHECKPOINTS, partition, 0)])
        prefix = f"{stage}/{partition}/".encode()
        generations, sent = _read_generations(consumer, prefix, _end(servers, partition))
    except KafkaException as error:
        raise MevstreamError(f"Kafka at {servers}: {error.args[0].str()}") from None
    finally:
        consumer.close()
    found = [snapshot for generation in generations if (snapshot := generation.snapshot())]
    newest = max(found, key=lambda snapshot: snapshot.number, default=None)
    return newest and replace(newest, sent=sent)


def _end(servers: str, partition: int) -> int:
    """The end of a partition of mev.checkpoints, with transactions that are still open. What the
    last owner of a lane committed a moment ago may not be readable yet."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "mevstream-checkpoints",
            "isolation.level": "read_uncommitted",
            "log_level": 0,
        }
    )
    try:
        place = TopicPartition(CHECKPOINTS, partition)
        return consumer.get_watermark_offsets(place, _READ_SECONDS)[1]
    finally:
        consumer.close()


def _read_generations(
    consumer: Consumer, prefix: bytes, behind: int
) -> tuple[list[_Generation], Sent]:
    sent = Sent()
    generations: dict[bytes, _Generation] = {}
    end = time.monotonic() + _READ_SECONDS
    while time.monotonic() < end:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                if (message.offset() or 0) >= behind:
                    return list(generations.values()), sent
                continue
            if not error.retriable():
                raise KafkaException(error)
            continue
        key, value = message.key() or b"", message.value()
        if not key.startswith(prefix) or value is None:
            continue
        generation, _, part = key.removeprefix(prefix).partition(b"/")
        try:
            headers = message.headers() or []
            read, _ = unpack_record(value, headers, schema=_SCHEMA)  # pyright: ignore[reportArgumentType]
            checkpoint = Checkpoint.FromString(read)
        except (InputError, DecodeError):
            # A part that is damaged leaves its snapshot without it.
            continue
        if generation == _SENT:
            sent = Sent(checkpoint.sent_batches, checkpoint.sent_offset)
            continue
        generations.setdefault(generation, _Generation()).take(checkpoint, part)
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # pyright: ignore[reportPrivateUsage]
