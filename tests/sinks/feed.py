"""Records of the chain as the warm sink's consumer would get them, and what the store then has."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.headers import RecordHeaders
from mevstream.topologies.chain import CHAIN, FEATURES, MESSAGES, OPPORTUNITIES, PARSED
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.parsed.market import open_split
from mevstream.topologies.parsed.stage import parse
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink
from mevstream.topologies.sinks.columns import PARSED_TABLES
from mevstream.topologies.sinks.opportunities import TABLES as OPPORTUNITY_TABLES
from mevstream.topologies.sinks.stream import Delivery
from mevstream.topologies.sinks.warm import WarmItem, WarmSink

VIEWS = (
    *("v_slots", "v_transactions_all", "v_transactions", "v_swaps_all", "v_swaps"),
    *("v_liquidity_all", "v_liquidity", "v_liquidation_events_all", "v_liquidation_events"),
)
_OF_STATE = ("market_data", *OPPORTUNITY_TABLES)
TABLES = ("slots", *PARSED_TABLES, *_OF_STATE, "dead_letters")


class Feed:
    """Parses raw batches, parts them by market and numbers the records as Kafka would."""

    def __init__(self, partitions: int = 1, decode: Callable[[bytes], bytes] | None = None) -> None:
        self._partitions = partitions
        self._decode = decode or BatchDecoder().decode
        self._split = open_split()
        self._after = [link for link in CHAIN if link.input == PARSED and decode is None]
        self._offsets = count()

    def deliveries(self, raw: Iterable[bytes]) -> Iterator[Delivery]:
        # A stage with state for each market partition, new each time: links drop a repeated batch
        # before it reaches one.
        stages = [[link.open_stage() for link in self._after] for _ in range(self._partitions)]
        for message in raw:
            for record in parse(message, self._decode):
                if record.topic == PARSED:
                    parts = self._split(record.value, self._partitions)
                else:
                    parts = [record.value]
                for partition, value in enumerate(parts):
                    yield self.delivery(record.topic, partition, value)
                    if record.topic == PARSED:
                        for stage in stages[partition]:
                            for made in stage(value):
                                if made.topic in (FEATURES, OPPORTUNITIES):
                                    yield self.delivery(made.topic, partition, made.value)

    def delivery(self, topic: str, partition: int, value: bytes) -> Delivery:
        headers = RecordHeaders(schema=MESSAGES[topic])
        return Delivery(topic, partition, next(self._offsets), value, headers)


def items(sink: WarmSink, deliveries: Iterable[Delivery]) -> list[WarmItem]:
    return [sink.read(delivery) for delivery in deliveries]


def portions(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[at : at + size] for at in range(0, len(values), size))


def contents(engine: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the views and, as it lies there, of the tables, but for when it was written."""
    sql = {
        view: f"SELECT hex(toString(tuple(* EXCEPT (ingested_at)))) FROM {view}" for view in VIEWS
    }
    sql["v_slots"] = "SELECT toString(tuple(* EXCEPT (ingested_at, first_seen))) FROM v_slots"
    for table in TABLES:
        left_out = "run_id, version, ingested_at"
        left_out += {"slots": ", first_seen", "dead_letters": ", seen"}.get(table, "")
        final = " FINAL" if table in ("slots", *_OF_STATE) else ""
        sql[table] = f"SELECT hex(toString(tuple(* EXCEPT ({left_out})))) FROM {table}{final}"
    return {name: sorted(engine.rows(text)) for name, text in sql.items()}


def embedded(folder: Path, raw: Iterable[bytes], **options: Any) -> dict[str, list[Any]]:
    """What an embedded run over the same batches leaves."""
    with ClickHouseSink(ChdbEngine(folder)) as sink:
        EmbeddedRuntime(sink, **options).run(raw)
    engine = ChdbEngine(folder, read_only=True)
    try:
        return contents(engine)
    finally:
        engine.close()
