"""Whether a lake is whole: every file that counts is there as it was written, no offset is missing,
and what is there beside that."""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from mevstream.topologies.chain import SLOTS
from mevstream.topologies.sinks.lake.coverage import Span
from mevstream.topologies.sinks.lake.manifest import DataFile, Manifest
from mevstream.topologies.sinks.lake.storage import NotThereError, Storage
from mevstream.topologies.sinks.lake.tables import TABLES, Place
from mevstream.topologies.sinks.lake.upkeep import is_orphan, is_settled

# Kafka removes records from these itself: offsets that are missing tell nothing.
_COMPACTED = frozenset({SLOTS})


@dataclass(slots=True)
class Hole:
    """Offsets of a partition, both included, of which no commit tells."""

    place: Place
    first: int
    last: int


@dataclass(slots=True)
class Findings:
    """damage: path → what is wrong with it. orphans: objects that no commit names (of a writer at
    work, or of one that died). unsettled: hours whose files may hold a row twice."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    damage: dict[str, str] = field(default_factory=dict[str, str])
    holes: list[Hole] = field(default_factory=list[Hole])
    orphans: list[str] = field(default_factory=list[str])
    removed: int = 0
    unsettled: int = 0
    offsets: dict[Place, tuple[int, int]] = field(default_factory=dict[Place, tuple[int, int]])

    @property
    def sound(self) -> bool:
        return not (self.damage or self.holes)


def verify(
    storage: Storage, *, quick: bool = False, progress: Callable[[int, int], None] | None = None
) -> Findings:
    """Looks at everything. quick: sizes only, without reading the files. `progress` is called
    with (files done, files) after each."""
    # Listed before the manifest is read: what was committed in between is no orphan.
    objects = {stored.path: stored.size for table in TABLES for stored in storage.list(table)}
    state = Manifest(storage).existing()
    findings = Findings(removed=len(state.removed))
    for number, file in enumerate(state.files.values(), 1):
        findings.files += 1
        findings.rows += file.rows
        findings.bytes += file.bytes
        if problem := _problem(storage, file, objects.get(file.path), quick):
            findings.damage[file.path] = problem
        if progress is not None:
            progress(number, len(state.files))
    findings.orphans = [path for path in objects if is_orphan(path, state)]
    findings.unsettled = sum(not is_settled(files) for _, files in state.hours())
    for place in state.coverage.places():
        spans = state.coverage.spans(place)
        findings.offsets[place] = spans[0].first, max(span.last for span in spans)
        if place[0] not in _COMPACTED:
            findings.holes += _holes(place, spans)
    return findings


def _problem(storage: Storage, file: DataFile, size: int | None, quick: bool) -> str | None:
    # A file that was committed after the objects were listed is not in the list.
    if size is not None and size != file.bytes:
        return f"has {size:,} bytes, not {file.bytes:,}"
    if size is not None and quick:
        return None
    try:
        if storage.sha256(file.path) != file.sha256:
            return "its content has changed: SHA-256 differs"
        with storage.open(file.path) as data:
            rows = pq.ParquetFile(data).metadata.num_rows
    except NotThereError:
        return "is missing"
    except pa.ArrowInvalid as error:
        return f"is no Parquet file: {error}"
    return None if rows == file.rows else f"has {rows:,} rows, not {file.rows:,}"


def _holes(place: Place, spans: Sequence[Span]) -> list[Hole]:
    """What lies between spans, unless the consumer of the later one came straight from the
    earlier one. A single offset is the marker of a transaction."""
    holes: list[Hole] = []
    last = spans[0].first - 1
    for span in spans:
        if span.first > last + 2 and span.after < last:
            holes.append(Hole(place, last + 1, span.first - 1))
        last = max(last, span.last)
    return holes
