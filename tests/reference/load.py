"""The real transactions, and what the reference decoder makes of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.sources import open_sources
from reference import decoder


class Decoded(NamedTuple):
    """A transaction, where it is from (`file[index]`), and the reference decoder's word on it."""

    name: str
    message: ConfirmedTransaction
    decoded: decoder.Transaction


def file(path: Path) -> list[ConfirmedTransaction]:
    """Transactions of one file, in the order of the block; InputError if it is broken."""
    # Not every file names its slot, and nothing here depends on it.
    batches = [RawBatch.FromString(batch) for batch in open_sources([str(path)], slot=1)]
    return [ConfirmedTransaction.FromString(tx) for batch in batches for tx in batch.transactions]


def everything(data: Path) -> Iterator[Decoded]:
    """All that the data folder holds in a readable form, blocks first."""
    singles = [*data.glob("transactions/*/*.json.gz"), *data.glob("golden/transactions/*.json")]
    for path in [*sorted((data / "blocks").iterdir()), *sorted(singles)]:
        if not path.name.startswith("broken"):
            for index, message in enumerate(file(path)):
                yield Decoded(f"{path.name}[{index}]", message, decoder.decode(message))
