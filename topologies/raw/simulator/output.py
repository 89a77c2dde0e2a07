"""Simulated blocks into files, one a slot, or as a recorded Yellowstone stream.

A file appears under its name when it is whole: it is written under another name and renamed.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal

import orjson
import zstandard
from solders.hash import Hash

from mevstream.cext.split import split
from mevstream.cext.synth_stream import block_entries
from mevstream.errors import InputError
from mevstream.schemas.confirmed_block_pb2 import BlockHeight, ConfirmedBlock, UnixTimestamp
from mevstream.schemas.geyser_pb2 import SubscribeUpdate, SubscribeUpdateBlock
from mevstream.topologies.raw.batches import BatchWriter, SlotHeader
from mevstream.topologies.raw.simulator.blob import varint
from mevstream.topologies.raw.simulator.get_block import get_block
from mevstream.topologies.raw.simulator.simulator import Block

Format = Literal["pb", "pb.zst", "pb.gz", "json", "base64.json"]
_UPDATE_BLOCK = varint(5 << 3 | 2)
_PARTIAL = ".partial"
_REWARDS = ConfirmedBlock.REWARDS_FIELD_NUMBER


def encode(block: Block, form: Format) -> bytes:
    """The content of a block's file."""
    match form:
        case "pb":
            return block.data
        case "pb.zst":
            return zstandard.ZstdCompressor(level=3).compress(block.data)
        case "pb.gz":
            # No time of writing inside: equal blocks are equal files.
            return gzip.compress(block.data, 6, mtime=0)
        case "json":
            return orjson.dumps(get_block(block.data, "json"))
        case "base64.json":
            return orjson.dumps(get_block(block.data, "base64"))


def yellowstone_update(block: Block) -> bytes:
    """A SubscribeUpdate with the whole block (schemas/geyser.proto)."""
    head = SubscribeUpdateBlock(
        slot=block.slot,
        blockhash=block.blockhash,
        block_time=UnixTimestamp(timestamp=block.block_time),
        block_height=BlockHeight(block_height=block.block_height),
    )
    tail = SubscribeUpdateBlock(
        parent_slot=block.parent_slot,
        parent_blockhash=block.parent_blockhash,
        executed_transaction_count=block.counts["transactions"],
    )
    entries = block_entries(block.data, block.start, block.ends, block.votes)
    parts = (head.SerializeToString(), entries, tail.SerializeToString())
    update = SubscribeUpdate(filters=["simulator"])
    update.created_at.FromSeconds(block.block_time)
    size = varint(sum(map(len, parts)))
    return b"".join((_UPDATE_BLOCK, size, *parts, update.SerializeToString()))


def raw_batches(block: Block, writer: BatchWriter) -> Iterator[bytes]:
    """The RawBatches of a block as it happens: its time, and that of each batch, is the clock's
    when it is asked for."""
    header = SlotHeader(
        block.slot,
        parent_slot=block.parent_slot,
        block_time=writer.clock() // 1_000_000_000,
        blockhash=bytes(Hash.from_string(block.blockhash)),
        parent_blockhash=bytes(Hash.from_string(block.parent_blockhash)),
        block_height=block.block_height,
    )
    transactions = split(block.data, ConfirmedBlock.TRANSACTIONS_FIELD_NUMBER, (_REWARDS,))
    yield from writer.block(header, "simulator", transactions)


def paced(blocks: Iterable[Block], rate: float | None) -> Iterator[Block]:
    """Blocks no faster than `rate` transactions a second; None: as they come."""
    started, passed = time.monotonic(), 0
    for block in blocks:
        if rate is not None:
            passed += block.counts["transactions"]
            ahead = started + passed / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        yield block


class TruthFile:
    """JSON lines: the swap records of each slot, what its agents completed, then a `slot` record
    with its counts.

    A context manager. The file gets its name when the block ends, be it by an interrupt; after
    an error nothing is left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # A pipe, a device or a link is written to as it is: a new file must not take its place.
        special = path.is_symlink() or (path.exists() and not path.is_file())
        self._partial = path if special else path.with_name(path.name + _PARTIAL)

    def __enter__(self) -> TruthFile:
        with _told(self._partial):
            self._file = self._partial.open("wb")
        return self

    def add(self, block: Block) -> None:
        """Writes a block's records."""
        with _told(self._path):
            self._file.writelines(orjson.dumps(t) + b"\n" for t in block.truth)
            self._file.writelines(orjson.dumps(t) + b"\n" for t in block.opportunities)
            counts = {"record": "slot", "slot": block.slot, **block.counts}
            self._file.write(orjson.dumps(counts) + b"\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _told(self._path):
            self._file.close()
            if self._partial == self._path:
                return
            if kind is None or not issubclass(kind, Exception):
                self._partial.replace(self._path)
            else:
                self._partial.unlink(missing_ok=True)


def prepare_folder(folder: Path, *, force: bool) -> None:
    """Makes the folder. Raises InputError where it holds anything and force is not given."""
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not force and any(folder.iterdir()):
            raise InputError(f"{folder}: the folder is not empty; --force writes into it anyway")


def file_writer(folder: Path, form: Format) -> Callable[[Block], None]:
    """A function that writes a block as `{slot}.{form}` in folder."""

    def write(block: Block) -> None:
        path = folder / f"{block.slot}.{form}"
        partial = path.with_name(path.name + _PARTIAL)
        content = encode(block, form)
        with _told(path):
            try:
                partial.write_bytes(content)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    return write


def stream_writer(out: BinaryIO) -> Callable[[Block], None]:
    """A function that writes a block as one update after its length (u32 big-endian)."""

    def write(block: Block) -> None:
        update = yellowstone_update(block)
        out.write(len(update).to_bytes(4, "big"))
        out.write(update)
        out.flush()

    return write


@contextmanager
def _told(path: Path) -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {os.strerror(error.errno or 0)}") from None
