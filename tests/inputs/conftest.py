"""Real blocks, read once; a clock that stands still, so that whole batches can be compared."""

import gzip
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.sources import open_sources

from .conversions import parse


class Block(NamedTuple):
    slot: int
    # Of the first batch.
    header: RawBatch
    payloads: Sequence[bytes]


def read_block(path: Path) -> Block:
    batches = parse(open_sources([str(path)]))
    payloads = [payload for batch in batches for payload in batch.transactions]
    return Block(batches[0].slot, batches[0], payloads)


@pytest.fixture(scope="session")
def blocks(shared_data: Path) -> list[Block]:
    """The three real blocks, two read from JSON and one from protobuf."""
    return [read_block(path) for path in sorted((shared_data / "blocks").iterdir())]


@pytest.fixture(scope="session")
def stored_block(shared_data: Path) -> bytes:
    """The real stored block 332254908."""
    return gzip.decompress((shared_data / "blocks" / "332254908.pb.gz").read_bytes())


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Writes a file and gives its path."""

    def write(name: str, data: bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    return write
