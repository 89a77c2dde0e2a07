"""Parted by market or not, the candles are the same."""

from pathlib import Path

import pytest

from features import twin
from features.batches import chain
from features.test_stage import run
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.features import FeatureView
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.topologies.features.pairs import QUOTE_MINTS
from mevstream.topologies.features.stage import FeatureStage
from mevstream.topologies.parsed.market import open_split
from mevstream.topologies.raw.sources import open_sources


def parted(batches: list[bytes], partitions: int) -> list[list[bytes]]:
    """What each market partition gets."""
    split = open_split(QUOTE_MINTS)
    return [list(part) for part in zip(*(split(b, partitions) for b in batches), strict=True)]


def whole(message: bytes) -> bytes:
    """As a decoder makes it: for no partition, and all rows at home."""
    batch = ParsedBatch.FromString(message)
    batch.ClearField("partition")
    batch.ClearField("partitions")
    batch.ClearField("swap_replica")
    return batch.SerializeToString()


def candles(batches: list[bytes], partitions: int) -> list[str]:
    rows: list[twin.Row] = []
    for number, part in enumerate(parted(batches, partitions)):
        told = run(FeatureStage(), part)
        assert {(v.partition, v.partitions) for v in map(FeatureView, told)} == {
            (number, partitions)
        }
        rows += twin.told_candles(told)
    return sorted(twin.text(rows))


@pytest.mark.parametrize("partitions", [1, 2, 3, 4])
def test_random_chains(partitions: int) -> None:
    batches = [whole(message) for message in chain(8, slots=8, markets=30)]
    assert candles(batches, partitions) == sorted(twin.text(twin.candles(batches)))


@pytest.mark.parametrize("partitions", [1, 2, 3, 4])
def test_real_blocks(shared_data: Path, partitions: int) -> None:
    decoder = BatchDecoder()
    batches = [decoder.decode(raw) for raw in open_sources([str(shared_data / "blocks")])]
    assert candles(batches, partitions) == sorted(twin.text(twin.candles(batches)))
