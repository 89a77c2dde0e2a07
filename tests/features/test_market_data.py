"""Candles as rows of the warm store, against the plain twin."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features import twin
from features.batches import chain, huge
from features.test_stage import run
from mevstream.codecs.features import FeatureView
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.features.stage import FeatureStage
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink
from mevstream.topologies.sinks.columns import Run
from mevstream.topologies.sinks.market import market_rows

RUN = Run("test", 7)


def expected(candles: list[twin.Row]) -> list[str]:
    """In the names of the table."""
    rows: list[twin.Row] = []
    for candle in candles:
        row = {**candle, "block_time": 1_700_000_000 + candle["slot"], "run_id": "test"}
        row |= {"mint_base": row.pop("base"), "mint_quote": row.pop("quote")}
        rows.append(row | {"schema_version": 1, "version": 7})
    return twin.text(rows)


def test_rows_are_the_candles_of_the_twin() -> None:
    batches = chain(5, slots=20)
    views = [FeatureView(told) for told in run(FeatureStage(), batches)]
    rows = market_rows(views, RUN)
    read = rows.to_pylist()
    for row in read:
        row |= {name: int(row[name]) for name in ("volume_base", "volume_quote")}
    candles = twin.candles(batches)
    assert twin.text(read) == expected(candles)
    # In portions, whatever their bounds; and of some slots only.
    parts = [market_rows(views[i : i + 3], RUN) for i in range(0, len(views), 3)]
    assert sum(part.num_rows for part in parts) == len(candles)
    slots = {candle["slot"] for candle in candles if candle["slot"] % 2}
    odd = market_rows(views, RUN, lambda slot: slot.slot % 2 == 1)
    assert odd.column("slot").to_pylist() == [c["slot"] for c in candles if c["slot"] in slots]
    assert market_rows([], RUN).num_rows == 0
    assert market_rows([], RUN).schema.names == rows.schema.names


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ChdbEngine]:
    engine = ChdbEngine(tmp_path / "warm")
    yield engine
    engine.close()


def test_every_column_arrives(engine: ChdbEngine) -> None:
    batches = [*chain(5, slots=20), huge(5)]
    rows = market_rows([FeatureView(told) for told in run(FeatureStage(), batches)], RUN)
    migrations.migrate(engine)
    columns = engine.rows(
        "SELECT name FROM system.columns WHERE table = 'market_data' AND default_kind = ''"
        " AND database = currentDatabase()"
    )
    names = sorted(name for (name,) in columns)
    assert names == sorted(rows.schema.names)
    engine.insert("market_data", rows, "token")
    volumes = ("volume_base", "volume_quote")
    selected = ", ".join(f"toString({n}) AS {n}" if n in volumes else n for n in names)
    read: list[dict[str, Any]] = [
        dict(zip(names, row, strict=True))
        for row in engine.rows(f"SELECT {selected} FROM market_data")
    ]
    for row in read:
        row |= {name: int(row[name]) for name in volumes}
    # Of two blocks of one slot the later stays.
    last = {(c["slot"], c["pool"], c["base"], c["quote"]): c for c in twin.candles(batches)}
    assert sorted(twin.text(read)) == sorted(expected(list(last.values())))
    assert max(row["volume_base"] for row in read) > 2**64


def test_a_run_over_real_blocks_fills_the_views(shared_data: Path, tmp_path: Path) -> None:
    with ClickHouseSink(engine := ChdbEngine(tmp_path)) as sink:
        EmbeddedRuntime(sink).run(open_sources([str(shared_data / "blocks")]))
        assert sink.stored.candles == 186
        # Every swap is in a candle, under the names and in the tokens of v_swaps.
        sums = engine.rows(
            "SELECT slot, pool, mint_base, swaps, volume_base, volume_quote FROM v_market_data"
            " ORDER BY slot, pool, mint_base"
        )
        legs = engine.rows(
            "SELECT slot, pool, if(buy, mint_out, mint_in) AS mint_base, count(),"
            " sum(if(buy, amount_out, amount_in)), sum(if(buy, amount_in, amount_out)) FROM"
            " (SELECT s.*, (s.slot, s.pool, s.mint_in) IN"
            "   (SELECT slot, pool, mint_quote FROM v_market_data) AS buy FROM v_swaps AS s)"
            " GROUP BY slot, pool, mint_base ORDER BY slot, pool, mint_base"
        )
        assert len(sums) == len(legs) == 186
        for candle, of_legs in zip(sums, legs, strict=True):
            assert candle[:4] == of_legs[:4]
            for told, summed in zip(candle[4:], of_legs[4:], strict=True):
                assert (told is None) == (summed is None)
                assert told is None or math.isclose(told, summed, rel_tol=1e-9)
        # SOL in USDC on that day, by the pool that traded most of it.
        [(price,)] = engine.rows(
            "SELECT close FROM v_market_data WHERE slot = 316719544"
            " AND mint_base = 'So11111111111111111111111111111111111111112'"
            " AND mint_quote = 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v'"
            " ORDER BY volume_quote DESC LIMIT 1"
        )
        assert 200 < price < 260
        candles = engine.rows("SELECT sum(swaps), min(low <= open AND open <= high) FROM v_candles")
        assert candles == [(461, 1)]
