"""The records of a synthetic chain as a sink gets them from Kafka, and the rows of a lake."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from opportunities.scene import Chain, Tx, new_stage, pool
from store.synthetic import decode, raw_slot

from mevstream.codecs.headers import RecordHeaders
from mevstream.topologies.chain import CHAIN, MESSAGES, OPPORTUNITIES, PARSED
from mevstream.topologies.parsed.stage import parse
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.lake.manifest import Manifest
from mevstream.topologies.sinks.lake.storage import Storage
from mevstream.topologies.sinks.stream import Delivery

PARTITIONS = 2
# What differs between two writes of the same row.
VOLATILE = ("run_id", "version", "ingested_at", "seen")

Log = dict[tuple[str, int], list[Delivery]]
"""Topic and partition → records, at the offsets that they have in the list."""


def chain_log(
    raw: Iterable[bytes],
    decode: Callable[[bytes], bytes] = decode,
    partitions: int = PARTITIONS,
) -> Log:
    """The topics after `raw` went through the chain, parted by market."""
    log: Log = {}
    open_split = CHAIN[0].open_split
    assert open_split is not None
    split = open_split()
    stages = [[link.open_stage() for link in CHAIN if link.stateful] for _ in range(partitions)]
    for batch in raw:
        for record in parse(batch, decode):
            values = split(record.value, partitions) if record.topic == PARSED else [record.value]
            for partition, value in enumerate(values):
                append(log, record.topic, partition, value)
                for stage in stages[partition] if record.topic == PARSED else ():
                    for result in stage(value):
                        append(log, result.topic, partition, result.value)
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
    log = chain_log(synthetic_raw(slots, first=first, transactions=transactions))
    # Random swaps make no opportunities: these are of other slots.
    for number, value in enumerate(_opportunities(first)):
        append(log, OPPORTUNITIES, number % PARTITIONS, value)
    return log


def _opportunities(first: int) -> list[bytes]:
    """Backruns, a sandwich and its victim in three slots."""
    chain = Chain()
    for slot in range(first - first % 4, first - first % 4 + 3):
        one = pool(f"one {slot}", "SOL", "X", 10**12, 10**14)
        two = pool(f"two {slot}", "SOL", "X", 10**12, 10**14)
        chain.add(slot, Tx("user", [one.swap("SOL", 4 * 10**10)]))
        buy = two.swap("SOL", 10**9)
        chain.add(slot, Tx("bot", [buy, one.swap("X", buy.amount_out)]))
        front = one.swap("SOL", 2 * 10**10)
        chain.add(slot, Tx("attacker", [front]), Tx("victim", [one.swap("SOL", 5 * 10**10)]))
        chain.add(slot, Tx("attacker", [one.swap("X", front.amount_out)]))
    stage = new_stage()
    records = [record for batch in chain.batches([2]) for record in stage(batch)]
    return [record.value for record in records if record.topic == OPPORTUNITIES]


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


def agents_raw(folder: Path, slots: int = 24) -> list[bytes]:
    """Raw batches of a simulated chain with every kind of opportunity."""
    mev = MevConfig(look_alikes_per_slot=0.5, jit_per_slot=0.5, liquidations_per_slot=0.5)
    config = SimulatorConfig(
        seed=3, transactions_per_slot=300, sandwiches_per_slot=0.5, first_slot=1000, mev=mev
    )
    for block in Simulator(config).blocks(slots):
        (folder / f"{block.slot}.pb").write_bytes(block.data)
    return list(open_sources([str(folder)], batch_size=128))
