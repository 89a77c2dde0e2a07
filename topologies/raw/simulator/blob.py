"""Protobuf bytes with holes that the engine fills: keys, amounts, signatures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class U64:
    """Eight bytes little-endian of a register."""

    register: int


@dataclass(frozen=True, slots=True)
class U32:
    """Four bytes little-endian of a register."""

    register: int


@dataclass(frozen=True, slots=True)
class Key:
    """The 32 bytes of an account's address."""

    account: int


@dataclass(frozen=True, slots=True)
class Signature:
    """64 random bytes."""


Piece = bytes | U64 | U32 | Key | Signature


class PatchKind(IntEnum):
    """How the engine fills a hole."""

    KEY = 0
    U64 = 1
    U32 = 2
    BASE64 = 3
    DECIMAL = 4
    SIGNATURE = 5


def varint(value: int) -> bytes:
    """Protobuf varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Blob:
    """Bytes with holes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.patches: list[tuple[int, ...]] = []

    def add(self, *pieces: Piece) -> Blob:
        """Appends pieces; the holes are zero until filled."""
        for piece in pieces:
            at = len(self.data)
            match piece:
                case bytes():
                    self.data += piece
                case U64(register):
                    self.patches.append((PatchKind.U64, at, register, 0, 0))
                    self.data += bytes(8)
                case U32(register):
                    self.patches.append((PatchKind.U32, at, register, 0, 0))
                    self.data += bytes(4)
                case Key(account):
                    self.patches.append((PatchKind.KEY, at, account, 0, 0))
                    self.data += bytes(32)
                case Signature():
                    self.patches.append((PatchKind.SIGNATURE, at, 0, 0, 0))
                    self.data += bytes(64)
        return self

    def field(self, number: int, inner: Blob | bytes) -> Blob:
        """Appends a length-delimited field."""
        data = inner if isinstance(inner, bytes) else bytes(inner.data)
        self.data += varint(number << 3 | 2) + varint(len(data))
        if isinstance(inner, Blob):
            shift = len(self.data)
            self.patches += [(kind, at + shift, *rest) for kind, at, *rest in inner.patches]
        self.data += data
        return self

    def number(self, number: int, value: int) -> Blob:
        """Appends a varint field, nothing where it is zero (proto3)."""
        if value:
            self.data += varint(number << 3) + varint(value)
        return self
