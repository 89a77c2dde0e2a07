"""Real blocks through the whole chain on Kafka, by its commands: what a reader gets in the end has
to be what the embedded run gives, byte for byte."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hot.conftest import Valkey
from kafka.broker import Kafka
from sinks.conftest import Front
from worker.harness import Field

from mevstream.topologies.chain import FEATURES, OPPORTUNITIES, PARSED, RAW, SLOTS
from mevstream.topologies.sinks.hot import connect

ROOT = Path(__file__).parents[2]
# When something was seen and written, and by whom, is all that may differ.
QUERIES = {
    "v_slots": "SELECT * EXCEPT (source, first_seen, ingested_at) FROM v_slots ORDER BY ALL",
    "v_transactions_all": "SELECT * EXCEPT ingested_at FROM v_transactions_all ORDER BY ALL",
    "v_swaps": "SELECT * EXCEPT ingested_at FROM v_swaps ORDER BY ALL",
    "v_liquidity": "SELECT * EXCEPT ingested_at FROM v_liquidity ORDER BY ALL",
    "v_market_data": "SELECT * EXCEPT ingested_at FROM v_market_data ORDER BY ALL",
    "v_opportunities": "SELECT * EXCEPT ingested_at FROM v_opportunities ORDER BY ALL",
    "v_opportunity_legs": "SELECT * FROM v_opportunity_legs ORDER BY ALL",
    "v_arbitrages": "SELECT * EXCEPT ingested_at FROM v_arbitrages ORDER BY ALL",
    "v_predicted": "SELECT * EXCEPT ingested_at FROM v_predicted ORDER BY ALL",
    "v_exposures": "SELECT * EXCEPT ingested_at FROM v_exposures ORDER BY ALL",
}
SINKS = {
    "clickhouse": (PARSED, FEATURES, OPPORTUNITIES, SLOTS),
    "lake": (PARSED, FEATURES, OPPORTUNITIES, SLOTS),
    "hot": (FEATURES,),
}


def stored(field: Field, group: str, topic: str) -> bool:
    return field.lag(group, topic) == 0


def command(*arguments: str, **environment: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "mevstream", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def field(kafka: Kafka, tmp_path: Path) -> Iterator[Field]:
    field = Field(kafka, tmp_path)
    try:
        yield field
    finally:
        field.close()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    front = Front(tmp_path / "front")
    yield front
    front.process.stop()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path / "valkey")
    yield valkey
    valkey.process.stop()


def test_every_store_has_what_the_embedded_run_has(
    shared_data: Path, field: Field, front: Front, valkey: Valkey, tmp_path: Path
) -> None:
    blocks, warm, lake = (str(p) for p in (shared_data / "blocks", tmp_path / "warm", tmp_path))
    server = f"127.0.0.1:{front.port}"
    command("run", blocks, "--data", warm, "--votes", "--quiet")

    field.topics(raw=2, market=2)
    command("ingest", blocks, "--kafka", field.kafka.servers, "--quiet")
    workers = [
        # The last batches of a partition wait for others to come before them for as long.
        field.worker("all", MEVSTREAM_ORDER_IDLE_SECONDS="3", MEVSTREAM_CHECKPOINT_SECONDS="1"),
        *(
            field.worker(*arguments, program="mevstream")
            for arguments in (
                ("sink", "clickhouse", server, "--votes", "--seconds", "1"),
                ("sink", "lake", f"{lake}/lake", "--votes", "--seconds", "1"),
                ("sink", "hot", valkey.server.url),
            )
        ),
    ]
    field.wait(partial(stored, field, "parsed", RAW), "all blocks decoded")
    for link in ("features", "opportunities"):
        field.wait(partial(stored, field, link, PARSED), f"{link} of all batches")
    for sink, topics in SINKS.items():
        for topic in topics:
            field.wait(partial(stored, field, sink, topic), f"{topic} in {sink}")
    for worker in workers:
        assert worker.terminate()[0] == 0, worker.said()

    def read(sql: str, *where: str) -> bytes:
        return command("query", sql, "--format", "csv", *where)

    for view, sql in QUERIES.items():
        rows = read(sql, "--data", warm)
        assert rows.count(b"\n") > 3, view
        assert read(sql, "--server", server) == rows, view
        assert read(sql, "--lake-url", f"{lake}/lake") == rows, view

    # The last state of a pool is where the last candle of its pair closed.
    candles = command("query", QUERIES["v_market_data"], "--format", "jsonl", "--data", warm)
    closed = {(c["pool"], c["slot"]): c for c in map(orjson.loads, candles.splitlines())}
    client: Any = connect(valkey.server)
    keys = [key.decode() for key in client.scan_iter("mev:pool:*")]
    assert {key.rpartition(":")[2] for key in keys} == {pool for pool, _ in closed}
    compared = 0
    for key in keys:
        state = {name.decode(): value.decode() for name, value in client.hgetall(key).items()}
        pool = key.rpartition(":")[2]
        assert int(state["slot"]) == max(slot for other, slot in closed if other == pool)
        candle = closed[pool, int(state["slot"])]
        pair = state["base"], state["quote"]
        if pair == (candle["mint_base"], candle["mint_quote"]) and candle["close"] is not None:
            unit = 10.0 ** (int(state["decimals_base"]) - int(state["decimals_quote"]))
            assert math.isclose(float(state["price"]) * unit, candle["close"], rel_tol=1e-9)
            compared += 1
    assert compared > 100
