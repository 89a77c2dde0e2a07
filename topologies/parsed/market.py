"""Parting of mev.parsed by market: which rows of a batch go to which partition.

The rules, and what a reader of one partition may rely on, are in docs/partitioning.md.
"""

from collections.abc import Iterable

from mevstream.cext.base58 import decode_sized
from mevstream.cext.partition import Splitter
from mevstream.codecs.parsed import KEY_COLUMNS, NAME_COLUMNS, SCHEMA
from mevstream.errors import InputError
from mevstream.settings import load_settings
from mevstream.topologies.chain import Split


def open_split(hubs: Iterable[bytes] | None = None) -> Split:
    """What parts a ParsedBatch message among the market partitions; threads may share it.

    hubs: mints, 32 bytes each, that are no market of their own; by default those of the setting
    `hub_mints`. The split raises InputError for what is no ParsedBatch, values that point outside
    their table, a part of a batch, and fewer than one partition.
    """
    if hubs is None:
        hubs = [decode_sized(mint, 32) for mint in load_settings().hub_mints]
    splitter = Splitter(SCHEMA.layout, SCHEMA.envelope, KEY_COLUMNS, NAME_COLUMNS, hubs)

    def split(message: bytes, partitions: int) -> list[bytes]:
        try:
            return splitter.split(message, partitions)
        except ValueError as error:
            raise InputError(f"ParsedBatch: {error}") from None

    return split
