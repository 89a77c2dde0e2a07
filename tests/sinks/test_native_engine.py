"""The engine of a server, held against the embedded one; and what it says when things break."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.parsed import ParsedView
from mevstream.errors import MevstreamError
from mevstream.settings import load_settings
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.columns import Flush, Rows, Run
from mevstream.topologies.sinks.engine import EngineError
from mevstream.topologies.sinks.migrations import applied, keep, kept_days, load, migrate
from mevstream.topologies.sinks.native_columns import write_column
from mevstream.topologies.sinks.native_engine import NativeEngine, Server, configured_server
from sinks.conftest import Front


def test_migrations_run_unchanged_on_a_server(engine: NativeEngine) -> None:
    assert [migration.number for migration in migrate(engine)] == [m.number for m in load()]
    assert migrate(engine) == []
    assert applied(engine) == {m.number: (m.name, m.checksum) for m in load()}


def test_rows_are_kept_as_long_as_is_set(engine: NativeEngine, tmp_path: Path) -> None:
    embedded = ChdbEngine(tmp_path / "store")
    try:
        for one in (engine, embedded):
            migrate(one)
            tables = list(kept_days(one))
            assert {"slots", "swaps", "transactions", "market_data"} < set(tables)
            assert set(kept_days(one).values()) == {7}
            assert keep(one, 30) == tables
            one.execute(
                "INSERT INTO slot_gaps (chain, slot, ingested_at) SELECT 'c', 1, now() - 864000"
            )
            for days, left in ((12, 1), (9, 0)):
                assert keep(one, days) == tables
                assert keep(one, days) == []
                assert set(kept_days(one).values()) == {days}
                one.execute("OPTIMIZE TABLE slot_gaps FINAL")
                assert one.rows("SELECT count() FROM slot_gaps") == [(left,)]
    finally:
        embedded.close()


def test_a_block_of_every_column_is_the_same_as_in_the_embedded_engine(
    engine: NativeEngine, tmp_path: Path
) -> None:
    chain = tmp_path / "chain"
    chain.mkdir()
    for block in Simulator(SimulatorConfig(seed=3)).blocks(3):
        (chain / f"{block.slot}.pb").write_bytes(block.data)
    decoder = BatchDecoder()
    views = [ParsedView(decoder.decode(raw)) for raw in open_sources([str(chain)])]
    rows: list[Rows] = ["all"] * len(views)
    flush = Flush(views, rows, Run("run", version=7))
    embedded = ChdbEngine(tmp_path / "store")
    try:
        for one in (engine, embedded):
            migrate(one)
            one.insert("transactions", flush.transactions(), "t")
            one.insert("swaps", flush.swaps(), "s")
            one.insert("swaps", flush.swaps(), "s")
        for table in ("transactions", "swaps"):
            sql = f"SELECT hex(toString(tuple(* EXCEPT (ingested_at)))) FROM {table} ORDER BY ALL"
            stored = engine.rows(sql)
            assert stored == embedded.rows(sql)
            assert len(stored) == (flush.n_swaps if table == "swaps" else flush.n_transactions)
        values = "SELECT chain, slot, blockhash, signature, venue FROM swaps ORDER BY ALL"
        assert engine.rows(values) == embedded.rows(values)
    finally:
        embedded.close()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_536, 65_537])
def test_dictionaries_of_every_key_width(engine: NativeEngine, size: int) -> None:
    engine.execute("CREATE TABLE names (id UInt32, name LowCardinality(String)) ENGINE = Memory")
    codes = np.arange(size, dtype=np.int32)
    rows = pa.record_batch(
        {
            "id": pa.array(codes.tolist(), pa.uint32()),
            "name": pa.DictionaryArray.from_arrays(
                pa.array(codes.tolist(), pa.int32()),
                pa.array([f"name {code}" if code else "" for code in codes]),
            ),
        }
    )
    engine.insert("names", rows.slice(size // 3), "x")
    told = engine.rows(
        "SELECT count(), countIf(name = if(id = 0, '', concat('name ', toString(id)))) FROM names"
    )
    assert told == [(size - size // 3, size - size // 3)]


def test_columns_that_do_not_fit_are_refused_and_the_connection_goes_on(
    engine: NativeEngine,
) -> None:
    engine.execute("CREATE TABLE narrow (key FixedString(4)) ENGINE = MergeTree ORDER BY key")
    for values in (
        pa.array([b"abc"], pa.binary(3)),
        pa.array([b"abcd", None], pa.binary(4)),
        pa.array(["abcd"]),
    ):
        with pytest.raises(EngineError):
            engine.insert("narrow", pa.record_batch({"key": values}), "t")
    with pytest.raises(EngineError, match="nope"):
        engine.insert("narrow", pa.record_batch({"nope": pa.array([1])}), "t")
    assert engine.rows("SELECT count() FROM narrow") == [(0,)]
    with pytest.raises(EngineError, match="not written here"):
        write_column(lambda data: None, "Array(UInt8)", pa.array([1]))


def test_values_that_may_be_missing_are_those_of_the_others(engine: NativeEngine) -> None:
    text, key = "'a'", "toFixedString('k', 3)"
    [row] = engine.rows(
        f"SELECT toNullable({text}), CAST(NULL, 'Nullable(String)'), toNullable({key}), "
        f"CAST({text}, 'LowCardinality(Nullable(String))'), toNullable(1)"
    )
    assert row == ("a", None, b"k\0\0", "a", 1)


def test_errors_are_one_line(engine: NativeEngine) -> None:
    with pytest.raises(EngineError) as told:
        engine.rows("SELECT nope")
    assert "nope" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_server_that_comes_back_is_found_again(
    front: Front, connect: Callable[[], NativeEngine]
) -> None:
    engine = connect()
    assert engine.rows("SELECT 1") == [(1,)]
    front.kill()
    for _ in range(2):
        with pytest.raises(
            EngineError, match=rf"ClickHouse at 127\.0\.0\.1:{front.port}: .*refused"
        ):
            engine.rows("SELECT 1")
    front.start()
    assert engine.rows("SELECT 1") == [(1,)]


def test_a_server_that_hangs_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = threading.Event()

        def hang() -> None:
            with listener.accept()[0]:
                done.wait(30)

        thread = threading.Thread(target=hang)
        thread.start()
        engine = NativeEngine(Server(port=port, answer_timeout=0.2))
        with pytest.raises(EngineError, match=f"{port}: "):
            engine.rows("SELECT 1")
        engine.close()
        done.set()
        thread.join()


def test_where_the_server_is_comes_from_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert configured_server(load_settings(clickhouse_port=1234)).address == "127.0.0.1:1234"
    assert configured_server(load_settings(clickhouse="db")).address == "db:9000"
    secure = load_settings(clickhouse="[::1]", clickhouse_secure=True)
    assert configured_server(secure).address == "[::1]:9440"
    monkeypatch.setenv("MEVSTREAM_CLICKHOUSE_PASSWORD", "hunter2")
    settings = load_settings()
    server = configured_server(settings)
    assert server.password in ("hunter2",)
    assert "hunter2" not in f"{settings!r}{server!r}"
    (tmp_path / "password").write_text("secret\n")
    settings = load_settings(clickhouse_password_file=tmp_path / "password")
    assert configured_server(settings).password in ("secret",)
    for bad in ("db:x", "db:0", "db:65536", "a:b:c", "http://db"):
        with pytest.raises(MevstreamError, match="ClickHouse address"):
            configured_server(load_settings(clickhouse=bad))
    with pytest.raises(MevstreamError, match="No such file"):
        configured_server(load_settings(clickhouse_password_file=tmp_path / "none"))
