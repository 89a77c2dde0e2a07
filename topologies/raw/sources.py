"""Brings every accepted input (docs/inputs.md) to RawBatch bytes. What an input is, its content
says; its name only gives the slot where nothing else does."""

import glob
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from mevstream.codecs.raw import BATCH_SIZE
from mevstream.errors import InputError
from mevstream.topologies.raw.batches import BatchWriter
from mevstream.topologies.raw.geyser import read_updates
from mevstream.topologies.raw.json_rpc import JsonReader
from mevstream.topologies.raw.slots import SlotAssembler
from mevstream.topologies.raw.storage import stored_block
from mevstream.topologies.raw.streams import STDIN, ByteStream, open_stream

# A block is some 5 MB of protobuf or 15 MB of JSON. Parsed JSON may take 20 times its text.
MAX_BYTES = 128 << 20
_BOM = b"\xef\xbb\xbf"
# 285000037.json.gz, block-285000037.json, slot_285000037.pb.zst
_SLOT_NAME = re.compile(r"(?:(?:block|slot)[-_]?)?(\d{1,20})(?:\..*)?", re.IGNORECASE)


def open_sources(
    paths: Sequence[str],
    *,
    slot: int | None = None,
    chain: str = "solana",
    batch_size: int = BATCH_SIZE,
    max_bytes: int = MAX_BYTES,
    counts: Counter[str] | None = None,
) -> Iterator[bytes]:
    """Yields RawBatch message bytes of files, folders, globs and standard input ("-").

    Inputs are read in the order given, those of a folder or glob in natural order of their paths.
    Batches of a slot follow each other, seq from 0, the last one flagged.

    slot: the one to take where neither the data nor the file name tells it.
    batch_size: transactions a batch, 1 to 256.
    max_bytes: limit on one block, line or message once decompressed.
    counts: receives what was seen: `inputs`, `transactions`, `malformed` (passed on as they came,
        for the decoder to dead-letter), `duplicates`, `absent` (skipped slots and unknown
        transactions among other answers), `updates.<kind>`, `slots.<status>`.

    Raises InputError: at once for a path that is not there, and from the iterator for an input
    that is not what it should be. What was read before such an input is yielded first.
    """
    if not 1 <= batch_size <= BATCH_SIZE:
        raise InputError(f"batch size {batch_size} is not within 1 to {BATCH_SIZE}")
    if slot is not None and not 0 <= slot < 1 << 64:
        raise InputError(f"slot {slot} is no unsigned integer of 64 bits")
    files = [file for path in paths for file in _expand(path)]
    if not files:
        raise InputError("no input is given")
    counts = Counter() if counts is None else counts
    return _read_all(files, slot, BatchWriter(chain, batch_size, time.time_ns), max_bytes, counts)


def _read_all(
    files: Sequence[str],
    slot: int | None,
    writer: BatchWriter,
    max_bytes: int,
    counts: Counter[str],
) -> Iterator[bytes]:
    assembler = SlotAssembler(writer, counts)
    file = ""
    try:
        for file in files:
            counts["inputs"] += 1
            with open_stream(file) as stream:
                yield from _read(stream, slot, writer, assembler, max_bytes, counts)
    except InputError as error:
        assembler.close_all(last=False)
        yield from assembler.drain()
        # Readers know the file's name only, and folders hold many of one name.
        folder, name = os.path.split(file)
        if folder and str(error).startswith(f"{name}:"):
            raise InputError(os.path.join(folder, str(error))) from None
        raise
    assembler.close_all()
    yield from assembler.drain()


def _read(
    stream: ByteStream,
    slot: int | None,
    writer: BatchWriter,
    assembler: SlotAssembler,
    max_bytes: int,
    counts: Counter[str],
) -> Iterator[bytes]:
    named = _slot_of_name(stream.name)
    slot = slot if named is None else named
    if _is_json(stream):
        reader = JsonReader(stream.name, slot, writer, assembler, counts)
        yield from reader.read(stream, max_bytes)
    elif stream.start(1) < b"\x08":
        # No protobuf message begins so (field 0); the length of an update within MAX_BYTES does.
        yield from read_updates(stream, assembler, counts, slot=slot, max_bytes=max_bytes)
    else:
        data = stream.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise InputError(
                f"{stream.name}: more than the limit of {max_bytes} bytes once decompressed"
            )
        yield from stored_block(data, slot, stream.name, writer, assembler, counts)


def _is_json(stream: ByteStream) -> bool:
    size = 16
    while True:
        start = stream.start(size)
        text = start.removeprefix(_BOM).lstrip(b" \t\r\n")
        if text or len(start) < size:
            return not text or text.startswith((b"{", b"[", b"null"))
        size *= 16


def _slot_of_name(name: str) -> int | None:
    match = _SLOT_NAME.fullmatch(name)
    slot = int(match[1]) if match else None
    return slot if slot is not None and slot < 1 << 64 else None


def _expand(path: str) -> list[str]:
    if path == STDIN:
        return [path]
    if os.path.isdir(path):
        return _files_below(path)
    if os.path.lexists(path) or not glob.has_magic(path):
        if not os.path.exists(path):
            raise InputError(f"{path}: no such file or folder")
        return [path]
    found = sorted(glob.glob(path, recursive=True), key=_natural)
    files = [
        file for each in found for file in (_files_below(each) if os.path.isdir(each) else [each])
    ]
    if not files:
        raise InputError(f"{path}: matches no file")
    return list(dict.fromkeys(files))


def _files_below(folder: str) -> list[str]:
    def unreadable(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}")

    files: list[str] = []
    for path, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [os.path.join(path, name) for name in names if not name.startswith(".")]
    # A link that leads nowhere stays, to be told when its turn comes.
    files = [file for file in files if os.path.isfile(file) or not os.path.exists(file)]
    if not files:
        raise InputError(f"{folder}: holds no files")
    return sorted(files, key=_natural)


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts 99.json before 100.json."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path)]
