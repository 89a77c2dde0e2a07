"""Which files of a lake count, and which records they hold.

Every change is one commit: an object in `_manifest/commits/` of its own name, never changed, whose
appearance makes the change happen. Commits of different writers do not touch each other, so nobody
waits for anybody. A checkpoint in `_manifest/checkpoints/` is the sum of the commits that it
names; readers take the newest one and add the commits that it does not name.

- `append`: a sink adds files, and the ranges of offsets that they hold.
- `replace`: compaction puts files in the place of others. It counts only if all of those were
  still there; of two compactions of the same files the later one has no effect.
- `remove`: expiry takes files away.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from mevstream.codecs.frames import compress, decompress
from mevstream.errors import InputError
from mevstream.topologies.sinks.lake.coverage import Coverage, Span
from mevstream.topologies.sinks.lake.storage import LakeError, NotThereError, Storage
from mevstream.topologies.sinks.lake.tables import Place

FORMAT = 1
COMMITS, CHECKPOINTS = "_manifest/commits", "_manifest/checkpoints"
_MAX_OBJECT = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A Parquet file of the lake.

    hour: hours since the epoch. slots: the lowest and the highest. offsets: 'topic/partition' →
    the first and the last record of which it holds rows. written_ns: when its youngest rows were
    stored, nanoseconds since the epoch. merged: the compaction that made it, '' for none; the
    files of one compaction have no row in common.
    """

    table: str
    path: str
    chain: str
    hour: int
    rows: int
    bytes: int
    sha256: str
    slots: tuple[int, int]
    written_ns: int
    offsets: dict[str, tuple[int, int]]
    merged: str = ""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        values["slots"] = tuple(values["slots"])
        values["offsets"] = {place: tuple(ends) for place, ends in values["offsets"].items()}
        return cls(**values)


@dataclass(slots=True)
class Commit:
    kind: str
    add: list[DataFile] = field(default_factory=list[DataFile])
    drop: list[str] = field(default_factory=list[str])
    spans: dict[Place, Span] = field(default_factory=dict[Place, Span])

    def to_json(self) -> bytes:
        return orjson.dumps(
            {
                "format": FORMAT,
                "kind": self.kind,
                "add": [file.to_json() for file in self.add],
                "drop": self.drop,
                "spans": [
                    [topic, partition, *span.to_json()]
                    for (topic, partition), span in self.spans.items()
                ],
            },
            option=orjson.OPT_INDENT_2 if len(self.add) < 10 else None,
        )

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        values = orjson.loads(data)
        _check_format(values)
        return cls(
            kind=values["kind"],
            add=[DataFile.from_json(file) for file in values["add"]],
            drop=values["drop"],
            spans={
                (topic, partition): Span.from_json(*span)
                for topic, partition, *span in values["spans"]
            },
        )


@dataclass(slots=True)
class State:
    """The sum of commits. `removed`: files that no longer count → when that was decided, in
    nanoseconds; they are still there for readers that came before."""

    files: dict[str, DataFile] = field(default_factory=dict[str, DataFile])
    removed: dict[str, int] = field(default_factory=dict[str, int])
    coverage: Coverage = field(default_factory=Coverage)
    folded: set[str] = field(default_factory=set[str])

    def apply(self, name: str, commit: Commit) -> None:
        now = commit_time(name)
        self.folded.add(name)
        if commit.kind == "replace" and not all(path in self.files for path in commit.drop):
            self.removed.update((file.path, now) for file in commit.add)
            return
        for path in commit.drop:
            if self.files.pop(path, None) is not None:
                self.removed[path] = now
        self.files.update((file.path, file) for file in commit.add)
        for place, span in commit.spans.items():
            self.coverage.add(place, span)

    def hours(self) -> Iterator[tuple[tuple[str, str, int], list[DataFile]]]:
        """(table, chain, hour) and its files, in this order."""
        groups: dict[tuple[str, str, int], list[DataFile]] = {}
        for file in self.files.values():
            groups.setdefault((file.table, file.chain, file.hour), []).append(file)
        for key in sorted(groups):
            yield key, sorted(groups[key], key=lambda file: (file.slots, file.path))

    def to_bytes(self) -> bytes:
        values = {
            "format": FORMAT,
            "files": [file.to_json() for file in self.files.values()],
            "removed": self.removed,
            "coverage": self.coverage.to_json(),
            "folded": sorted(self.folded),
        }
        return compress(orjson.dumps(values))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        values = orjson.loads(decompress(data, _MAX_OBJECT))
        _check_format(values)
        files = [DataFile.from_json(file) for file in values["files"]]
        return cls(
            files={file.path: file for file in files},
            removed=values["removed"],
            coverage=Coverage.from_json(values["coverage"]),
            folded=set(values["folded"]),
        )


class Manifest:
    """The manifest of a lake, as it was at the last `refresh`. One thread at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.state = State()
        self._checkpoint: str | None = None

    def load(self) -> State:
        """Reads all of it: every commit that was there when this was called, in their order."""
        for _ in range(5):
            try:
                return self._load()
            except NotThereError:
                # A newer checkpoint has made a commit superfluous in the meantime.
                continue
        raise LakeError(f"lake {self._storage.url}: its manifest changes faster than it is read")

    def existing(self) -> State:
        """The same, for those who do not want to begin a lake where there is none (LakeError)."""
        state = self.load()
        if not (self._checkpoint or state.folded):
            raise LakeError(f"there is no lake in {self._storage.url}")
        return state

    def _load(self) -> State:
        # In this order: what a checkpoint names may be removed once that checkpoint is there.
        commits = self._names(COMMITS)
        checkpoints = self._names(CHECKPOINTS)
        state = State()
        newest = checkpoints[-1] if checkpoints else ""
        if newest:
            state = self._read(f"{CHECKPOINTS}/{newest}", State.from_bytes)
        for name in commits:
            if name not in state.folded:
                state.apply(name, self._read(f"{COMMITS}/{name}", Commit.from_json))
        state.folded &= set(commits)
        self.state, self._checkpoint = state, newest
        return state

    def refresh(self) -> State:
        """Adds what others have committed since. Cheaper than `load`, and enough to know which
        records are stored; which files count is told by `load` alone."""
        commits = self._names(COMMITS)
        if self._checkpoint != max(self._names(CHECKPOINTS), default=""):
            return self.load()
        for name in commits:
            if name not in self.state.folded:
                self.state.apply(name, self._read(f"{COMMITS}/{name}", Commit.from_json))
        self.state.folded &= set(commits)
        return self.state

    def commit(self, commit: Commit) -> str:
        """Makes a change happen; its name. After an error it may or may not have happened."""
        name = f"{new_name()}.json"
        self._storage.put(f"{COMMITS}/{name}", commit.to_json())
        self.state.apply(name, commit)
        return name

    def checkpoint(self, *, grace_seconds: float, gone: Iterable[str] = ()) -> None:
        """Writes the sum of all commits, and removes commits that an earlier checkpoint already
        named and that are older than the grace period. gone: removed files that have been
        deleted since."""
        # Not .zst: SeaweedFS takes such objects for its own compression and gives out other bytes.
        name = f"{new_name()}.checkpoint"
        before = self._names(CHECKPOINTS)
        folded: set[str] = set()
        if before:
            folded = self._read(f"{CHECKPOINTS}/{before[-1]}", State.from_bytes).folded
        state = self.load()
        for path in gone:
            state.removed.pop(path, None)
        self._storage.put(f"{CHECKPOINTS}/{name}", state.to_bytes())
        oldest = time.time_ns() - int(grace_seconds * 1e9)
        for commit in state.folded & folded:
            if commit_time(commit) < oldest:
                self._storage.delete(f"{COMMITS}/{commit}")
        for checkpoint in before[:-1]:
            if commit_time(checkpoint) < oldest:
                self._storage.delete(f"{CHECKPOINTS}/{checkpoint}")
        self._checkpoint = None

    def _names(self, folder: str) -> list[str]:
        return [stored.path.rpartition("/")[2] for stored in self._storage.list(folder)]

    def _read(self, path: str, parse: Any) -> Any:
        data = self._storage.get(path)
        try:
            return parse(data)
        except (ValueError, KeyError, TypeError, InputError) as error:
            raise LakeError(f"lake {self._storage.url}: {path} is damaged: {error}") from None


def new_name() -> str:
    """Names sort by the time at which they were made, to the skew between clocks."""
    return f"{time.time_ns():020d}-{secrets.token_hex(4)}"


def commit_time(name: str) -> int:
    """Nanoseconds since the epoch."""
    return int(name.partition("-")[0])


def total(files: Iterable[DataFile]) -> tuple[int, int]:
    """(rows, bytes)."""
    rows = size = 0
    for file in files:
        rows += file.rows
        size += file.bytes
    return rows, size


def _check_format(values: dict[str, Any]) -> None:
    if values.get("format") != FORMAT:
        raise ValueError(f"format {values.get('format')!r} is one of a newer version")
