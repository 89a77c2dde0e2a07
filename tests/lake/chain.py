"""The records of a synthetic chain as a sink gets them from Kafka, and the rows of a lake."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from store.synthetic import decode, raw_slot

from mevstream.codecs.headers import RecordHeaders
from mevstream.topologies.chain import CHAIN, MESSAGES, PARSED
from mevstream.topologies.features.stage import FeatureStage
from mevstream.topologies.parsed.stage import parse
from mevstream.topologies.sinks.lake.manifest import Manifest
from mevstream.topologies.sinks.lake.storage import Storage
from mevstream.topologies.sinks.stream import Delivery

PARTITIONS = 2
# What differs between two writes of the same row.
VOLATILE = ("run_id", "version", "ingested_at", "seen")

Log = dict[tuple[str, int], list[Delivery]]
"""Topic and partition → records, at the offsets that they have in the list."""


def chain_log(raw: Iterable[bytes]) -> Log:
    """The topics after `raw` went through the first link, parted by market."""
    log: Log = {}
    open_split = CHAIN[0].open_split
    assert open_split is not None
    split = open_split()
    stages = [FeatureStage() for _ in range(PARTITIONS)]
    for batch in raw:
        for record in parse(batch, decode):
            values = split(record.value, PARTITIONS) if record.topic == PARSED else [record.value]
            for partition, value in enumerate(values):
                append(log, record.topic, partition, value)
                if record.topic == PARSED:
                    for feature in stages[partition](value):
                        append(log, feature.topic, partition, feature.value)
    return log


def append(log: Log, topic: str, partition: int, value: bytes) -> None:
    records = log.setdefault((topic, partition), [])
    headers = RecordHeaders(schema=MESSAGES[topic])
    records.append(Delivery(topic, partition, len(records), value, headers))


def synthetic_raw(slots: int = 6, *, first: int = 1000, transactions: int = 12) -> list[bytes]:
    """Every fifth slot is of single transactions without a block; one record is no batch."""
    raw: list[bytes] = []
    for slot in range(first, first + slots):
        raw += raw_slot(slot, transactions, batch_size=4, known_block=slot % 5 != 0)
    return [*raw, b"\xff no batch"]


def synthetic_log(slots: int = 6, *, first: int = 1000, transactions: int = 12) -> Log:
    return chain_log(synthetic_raw(slots, first=first, transactions=transactions))


def everything(log: Log) -> list[Delivery]:
    return [delivery for records in log.values() for delivery in records]


def table_rows(storage: Storage) -> dict[str, list[str]]:
    """Every row of the files that count, as it lies there, without what tells of the write."""
    rows: dict[str, list[str]] = {}
    for file in Manifest(storage).load().files.values():
        with storage.open(file.path) as data:
            rows.setdefault(file.table, []).extend(texts(pq.read_table(data)))
    return {table: sorted(lines) for table, lines in rows.items()}


def texts(table: pa.Table) -> list[str]:
    names = [name for name in table.schema.names if name not in VOLATILE]
    return [str([row[name] for name in names]) for row in table.select(names).to_pylist()]


def counts(rows: dict[str, list[Any]]) -> dict[str, int]:
    return {table: len(lines) for table, lines in rows.items()}
