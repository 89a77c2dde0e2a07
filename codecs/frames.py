"""zstd frames: one frame a record, with its content size, and never more output than allowed."""

import threading

import zstandard

from mevstream.errors import InputError

LEVEL = 3
MAX_SIZE = 64 << 20
"""The largest record that is decompressed unless told otherwise, in bytes."""

_MAGIC = b"\x28\xb5\x2f\xfd"
# Four bytes can stand for a block of 128 KiB: a piece gives at most 16 MiB.
_PIECE = 512


class _Contexts(threading.local):
    """zstd contexts cost more to make than a record to compress, and belong to one thread."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def compress(data: bytes | bytearray | memoryview, level: int = LEVEL) -> bytes:
    """One zstd frame that tells its content size. `level` is zstd's (more is smaller, slower)."""
    compressor = _contexts.compressors.get(level)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(level=level)
        _contexts.compressors[level] = compressor
    return compressor.compress(data)


def decompress(data: bytes | bytearray | memoryview, max_size: int = MAX_SIZE) -> bytes:
    """The content of exactly one zstd frame, if it has at most `max_size` bytes.

    A frame that does not tell its content size is read within the same bound. Raises InputError
    for what is no zstd frame, is cut off, damaged, followed by more bytes, or larger than allowed.
    """
    if data[:4] != _MAGIC:
        raise InputError("zstd: the data is no zstd frame")
    try:
        size = zstandard.get_frame_parameters(data).content_size
        # The one-shot call does not look at what follows a header that tells of no content.
        if size in (0, zstandard.CONTENTSIZE_UNKNOWN):
            return _decompress_stream(data, max_size)
        if size > max_size:
            raise InputError(f"zstd: {size} bytes of content are above the limit of {max_size}")
        return _contexts.decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise InputError(f"zstd: {error}") from None


def _decompress_stream(data: bytes | bytearray | memoryview, max_size: int) -> bytes:
    stream = _contexts.decompressor.decompressobj()
    parts: list[bytes] = []
    size = 0
    for start in range(0, len(data), _PIECE):
        parts.append(stream.decompress(data[start : start + _PIECE]))
        size += len(parts[-1])
        if size > max_size:
            raise InputError(f"zstd: the content is above the limit of {max_size} bytes")
        if stream.eof:
            after = len(stream.unused_data) + max(len(data) - start - _PIECE, 0)
            if after:
                raise InputError(f"zstd: {after} bytes follow the frame")
            return b"".join(parts)
    raise InputError("zstd: the frame is cut off")
