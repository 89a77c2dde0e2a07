"""The lake's sink: runs of records become Parquet files, and a commit makes them count.

Exactly once: the files of a run are written first and the commit names them together with the
records that they hold, so both are there or neither. What comes again, because offsets were not
committed or because a stage repeated itself, is found in the manifest and passed over. Records
that two sinks store at the same moment, or that come again so late that the manifest no longer
knows their contents, are stored twice and told apart by the key of their rows: the views of
`mevstream query --lake` show one, and compaction keeps one.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from mevstream.topologies.chain import PARSED
from mevstream.topologies.sinks.columns import Run
from mevstream.topologies.sinks.lake.coverage import Span
from mevstream.topologies.sinks.lake.files import FileWriter
from mevstream.topologies.sinks.lake.manifest import Commit, DataFile, Manifest
from mevstream.topologies.sinks.lake.storage import LakeError, Storage
from mevstream.topologies.sinks.lake.tables import TABLES, TOPICS, Part, Place
from mevstream.topologies.sinks.stream import Delivery, StreamSink

_CHECKPOINT_AFTER = 500
"""Commits that no checkpoint has summed up; reading each of them takes a request."""


class LakeSink(StreamSink[Part]):
    """Writes to `storage`.

    votes: vote transactions become rows, too. grace_seconds: compaction takes a file that no
    commit names for a dead writer's after this time; what takes half as long is begun anew.
    """

    name = "lake"
    topics = tuple(TOPICS)

    default_seconds = 60.0
    # Twice this, with what numpy needs to look at it, and the columns: 450 MB at most.
    default_bytes = 64 << 20
    default_records = 1 << 18

    def __init__(
        self,
        storage: Storage,
        *,
        votes: bool = False,
        grace_seconds: float = 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._votes = votes
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._manifest = Manifest(storage)
        self._last: dict[Place, int] = {}
        self._run_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"

    def open(self) -> None:
        self._storage.check()
        self._manifest.load()

    def read(self, delivery: Delivery) -> Part:
        return TOPICS[delivery.topic].read(delivery)

    def transactions(self, item: Part) -> int:
        return item.payload.n_home if item.topic == PARSED else 0

    def store(self, items: Sequence[Part]) -> None:
        begun = self._clock()
        coverage = self._manifest.refresh().coverage
        commit = Commit("append")
        last: dict[Place, int] = {}
        new: list[Part] = []
        for place, parts in _by_place(items).items():
            last[place] = parts[-1].offset
            missing, uncovered = coverage.missing(place, parts)
            new += missing
            if uncovered:
                commit.spans[place] = Span.of(parts, after=self._last.get(place, -1))
        if commit.spans:
            run = Run(self._run_id, version=time.time_ns())
            for hour in _by_hour(new).values():
                commit.add += self._write(hour, run)
            if self._clock() - begun > self._grace_seconds / 2:
                raise LakeError(
                    f"lake {self._storage.url}: writing {len(commit.add)} files took too long"
                )
            self._manifest.commit(commit)
            if len(self._manifest.state.folded) > _CHECKPOINT_AFTER:
                self._manifest.checkpoint(grace_seconds=self._grace_seconds)
        self._last |= last

    def close(self) -> None:
        pass

    def _write(self, parts: Sequence[Part], run: Run) -> list[DataFile]:
        """The files with the rows of some records of one topic, chain and hour."""
        chain, hour = parts[0].chain, parts[0].hour
        offsets: dict[str, tuple[int, int]] = {}
        for part in parts:
            place = f"{part.topic}/{part.partition}"
            first, last = offsets.get(place, (part.offset, part.offset))
            offsets[place] = min(first, part.offset), max(last, part.offset)
        writers: dict[str, FileWriter] = {}
        with ExitStack() as stack:
            for table, rows in TOPICS[parts[0].topic].rows(parts, run, self._votes):
                if table not in writers:
                    writer = FileWriter(self._storage, TABLES[table], chain, hour)
                    writers[table] = stack.enter_context(writer)
                writers[table].write(rows)
            files = [w.finish(written_ns=run.version, offsets=offsets) for w in writers.values()]
        return [file for file in files if file is not None]


def _by_place(parts: Sequence[Part]) -> dict[Place, list[Part]]:
    result: dict[Place, list[Part]] = {}
    for part in parts:
        result.setdefault(part.place, []).append(part)
    return result


def _by_hour(parts: Sequence[Part]) -> dict[tuple[str, str, int], list[Part]]:
    result: dict[tuple[str, str, int], list[Part]] = {}
    for part in parts:
        result.setdefault((part.topic, part.chain, part.hour), []).append(part)
    return result
