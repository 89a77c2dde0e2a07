"""Base58 block hashes, as every input names them."""

from mevstream.cext.base58 import decode_sized
from mevstream.errors import InputError


def parse_hash(text: str, place: str) -> bytes:
    """32 bytes of a base58 hash, or none of an empty one. Raises InputError."""
    if not text:
        return b""
    try:
        return decode_sized(text, 32)
    except ValueError:
        raise InputError(f"{place} is no base58 of 32 bytes") from None
