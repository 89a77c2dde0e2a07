"""What the worker is trying right now, readable from outside, and the folder of findings."""

import mmap
import struct
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

# Number of the input, executions before it, its length, name of the target; then the input.
_HEADER = struct.Struct("<QQQ32s")
_BYTES = 64 << 20


class Entry(NamedTuple):
    """The input that is being tried; `number` is 0 before the first one."""

    number: int
    executions: int
    target: str
    data: bytes


class Journal:
    """The worker's side: every input is written here before it is tried."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(_BYTES)
            self._map = mmap.mmap(file.fileno(), _BYTES)
        self._number = 0

    def write(self, executions: int, target: str, data: bytes) -> None:
        self._number += 1
        self._map[_HEADER.size : _HEADER.size + len(data)] = data
        _HEADER.pack_into(self._map, 0, self._number, executions, len(data), target.encode())


def read(path: Path) -> Entry:
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return Entry(0, 0, "", b"")
        number, executions, length, name = _HEADER.unpack(header)
        return Entry(number, executions, name.rstrip(b"\0").decode(), file.read(length))


def save(folder: Path, target: str, what: str, data: bytes) -> Path:
    """Writes a finding: the input, and beside it what is wrong with it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target}-{sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(what + "\n")
    return path


def target_of(path: Path) -> str:
    """The target that a saved finding belongs to."""
    return path.name.rpartition("-")[0]
