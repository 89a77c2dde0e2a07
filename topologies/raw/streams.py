"""Opens inputs: files and standard input, plain, gzip or zstd, told by their first bytes.

Reading never holds more than was asked for, whatever a compressed input expands to.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import PurePath
from typing import BinaryIO, cast

import zstandard

from mevstream.errors import InputError

STDIN = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BUFFER = 1 << 16
_CHUNK = 1 << 20
# zstd's decompressor gives all that its input expands to: 128 KiB at most for a block of 4 bytes.
_ZSTD_CHUNK = 1024
_UNREADABLE = (EOFError, OSError, zlib.error, zstandard.ZstdError)


class ByteStream:
    """Decompressed bytes of one input. `name` is its file name, `-` for standard input.

    Every method raises InputError where the input cannot be read or is cut off.
    """

    def __init__(self, name: str, raw: io.BufferedReader) -> None:
        self.name = name
        self._raw = raw
        self._start = b""

    def start(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end, without moving on."""
        if len(self._start) < size:
            self._start = self.read(size)
        return self._start[:size]

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        parts = [self._start[:size]]
        self._start = self._start[size:]
        size -= len(parts[0])
        try:
            while size > 0:
                # Asked for piece by piece, since a buffer is made for all that is asked for.
                part = self._raw.read(min(size, _CHUNK))
                if not part:
                    break
                parts.append(part)
                size -= len(part)
        except _UNREADABLE as error:
            raise self._refusal(error) from None
        return b"".join(parts)

    def read_line(self, size: int) -> bytes:
        """The next line with its end, or `size` bytes of it."""
        start = self._start[:size]
        end = start.find(b"\n") + 1
        if end or len(start) == size:
            end = end or size
            self._start = self._start[end:]
            return start[:end]
        self._start = b""
        try:
            return start + self._raw.readline(size - len(start))
        except _UNREADABLE as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> InputError:
        match error:
            case EOFError():
                cause = "gzip data is cut off"
            case gzip.BadGzipFile() | zlib.error():
                cause = f"damaged gzip data: {error}"
            case OSError():
                cause = error.strerror or str(error)
            case _:
                cause = str(error)
        return InputError(f"{self.name}: {cause}")


@contextmanager
def open_stream(path: str) -> Generator[ByteStream]:
    """Opens `path`, or standard input for "-". Raises InputError, also where nothing is in it."""
    if path == STDIN:
        buffered = _buffered(sys.stdin.buffer)
        try:
            yield _decompressed(STDIN, buffered)
        finally:
            # Else standard input is closed along with the reader.
            buffered.detach()
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 (only opening is guarded here)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    with file, _buffered(file) as buffered:
        # A name need not be UTF-8, but the records it is written to are.
        name = PurePath(path).name.encode(errors="replace").decode()
        yield _decompressed(name, buffered)


def _buffered(raw: object) -> io.BufferedReader:
    # Typed for raw files only, it takes whatever has `readinto`.
    return io.BufferedReader(cast("io.RawIOBase", raw), _BUFFER)


def _decompressed(name: str, file: io.BufferedReader) -> ByteStream:
    stream = ByteStream(name, file)
    start = stream.start(4)
    if not start:
        raise InputError(f"{name}: is empty")
    if start.startswith(_GZIP_MAGIC):
        unpacked: io.IOBase = gzip.GzipFile(fileobj=cast("BinaryIO", _Rejoined(start, file)))
    elif start.startswith(_ZSTD_MAGIC):
        unpacked = _ZstdReader(start, file)
    else:
        return stream
    stream = ByteStream(name, _buffered(unpacked))
    if not stream.start(1):
        raise InputError(f"{name}: is empty once decompressed")
    return stream


class _Rejoined(io.RawIOBase):
    """`start`, which was read off `rest` already, and then the rest of it."""

    def __init__(self, start: bytes, rest: io.BufferedReader) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if self._start:
            size = len(self._start) if size < 0 else size
            start, self._start = self._start[:size], self._start[size:]
            return start
        return self._rest.read1(size)


class _ZstdReader(io.RawIOBase):
    """Frames of zstd, one after the other, as bytes. The library's own reader takes a frame that
    is cut off for one that ended."""

    def __init__(self, start: bytes, rest: io.BufferedReader) -> None:
        self._input = start
        self._rest = rest
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        target = memoryview(cast("bytearray", buffer)).cast("B")
        while not self._output:
            data = self._input or self._rest.read1(_ZSTD_CHUNK)
            self._input = b""
            if not data:
                if self._frame is not None:
                    raise zstandard.ZstdError("zstd data is cut off")
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._output = memoryview(self._frame.decompress(data))
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = None
        size = min(len(target), len(self._output))
        target[:size] = self._output[:size]
        self._output = self._output[size:]
        return size
