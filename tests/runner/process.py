"""A sink process for the tests: records of decimal numbers into files, as long as it is let.

    python -m runner.process '{"servers": …, "topic": …, "group": …, "folder": …}'

Files in the folder tell what its store does: `away` (it raises), `refuse` (it raises for the number
inside), `broken` (it raises what no sink should), `hang` (it does not return while the file is
there), `slow` (the seconds inside that it takes). Each run of records that it took lies in `stored`
as a file of its own, which appears whole.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from mevstream.errors import InputError, MevstreamError
from mevstream.interrupts import Interruption
from mevstream.topologies.observe import health, logging
from mevstream.topologies.sinks import consumer as consumers
from mevstream.topologies.sinks import runner as runners
from mevstream.topologies.sinks.buffer import Bounds
from mevstream.topologies.sinks.commits import CommitWatch
from mevstream.topologies.sinks.runner import SinkRunner
from mevstream.topologies.sinks.stream import Delivery, StreamSink

SCHEMA = "test.Number"


@dataclass(frozen=True, slots=True)
class Number:
    partition: int
    offset: int
    number: int
    # What a real item keeps of its record.
    value: bytes


class FileSink(StreamSink[Number]):
    name = "test"
    topics = ()

    def __init__(self, topics: Sequence[str], folder: Path) -> None:
        type(self).topics = tuple(topics)
        self._folder = folder
        self._stored = folder / "stored"

    def open(self) -> None:
        if (self._folder / "away").exists():
            raise MevstreamError("store: it is away")
        self._stored.mkdir(exist_ok=True)

    def read(self, delivery: Delivery) -> Number:
        text = delivery.value.split(b" ", 1)[0]
        if text == b"bug":
            raise KeyError("a defect of the sink")
        if not text.isdigit():
            raise InputError(f"{text!r} is no number")
        return Number(delivery.partition, delivery.offset, int(text), delivery.value)

    def store(self, items: Sequence[Number]) -> None:
        while (self._folder / "hang").exists():
            time.sleep(0.01)
        if (self._folder / "away").exists():
            raise MevstreamError("store: it is away")
        if (self._folder / "broken").exists():
            raise RuntimeError("nobody expected this")
        if (refuse := self._folder / "refuse").exists():
            number = int(refuse.read_text())
            if any(item.number == number for item in items):
                raise MevstreamError(f"store: {number} breaks a rule")
        if (slow := self._folder / "slow").exists():
            time.sleep(float(slow.read_text()))
        name = f"{time.time_ns()}-{uuid.uuid4().hex}"
        lines = [json.dumps([os.getpid(), i.partition, i.offset, i.number]) for i in items]
        partial = self._folder / name
        partial.write_text("\n".join(lines))
        partial.rename(self._stored / name)

    def close(self) -> None:
        (self._folder / "closed").touch()


class Refused(Consumer):
    """The first member is as librdkafka 2.16 sometimes leaves one: it reads, and waits for its
    coordinator."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._refuses = not type(self)._refused
        type(self)._refused = True

    _refused = False

    def commit(self, *arguments: Any, **options: Any) -> Any:
        if self._refuses:
            raise KafkaException(KafkaError(KafkaError._WAIT_COORD))
        return super().commit(*arguments, **options)


class Dying(Consumer):
    """The first of them gets a fatal error and does nothing any more."""

    _first = True

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._dies_at = time.monotonic() + 6 if Dying._first else None
        self._dead = False
        Dying._first = False

    def poll(self, *arguments: Any, **options: Any) -> Any:
        if self._dies_at is not None and time.monotonic() > self._dies_at and not self._dead:
            self._dead = True
            return Message(error=KafkaError(KafkaError._FATAL, "the group id does not exist"))
        return None if self._dead else super().poll(*arguments, **options)

    def commit(self, *arguments: Any, **options: Any) -> Any:
        if self._dead:
            raise KafkaException(KafkaError(KafkaError._FATAL))
        return super().commit(*arguments, **options)


def main() -> None:
    given = json.loads(sys.argv[1])
    logging.configure()
    folder = Path(given["folder"])
    dead = given["dead"]
    if seconds := given.get("refuse_commits"):
        consumers.Consumer = Refused  # pyright: ignore[reportAttributeAccessIssue]
        runners.CommitWatch = partial(CommitWatch, seconds)  # pyright: ignore[reportAttributeAccessIssue]
    if given.get("dies"):
        consumers.Consumer = Dying  # pyright: ignore[reportAttributeAccessIssue]
    runner = SinkRunner(
        FileSink([given["topic"], *([dead] if given.get("read_dead") else [])], folder),
        given["servers"],
        group=given["group"],
        bounds=Bounds(
            given.get("seconds", 0.05), given.get("bytes", 16 << 20), given.get("records", 100)
        ),
        drain_seconds=given.get("drain", 20),
        schemas={given["topic"]: SCHEMA, dead: "mevstream.v1.DeadLetter"},
        dead_letters=dead,
    )
    if port := given.get("port"):
        health.serve("127.0.0.1", port).__enter__()
    with Interruption() as interruption:
        try:
            drained = runner.run(interruption)
        except MevstreamError as error:
            sys.exit(f"error: {error}")
    sys.exit(0 if drained else 3)


if __name__ == "__main__":
    main()
