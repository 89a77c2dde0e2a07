"""The ClickHouse of the stack, by the driver that the sinks use."""

import datetime
import decimal
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from clickhouse_driver import Client  # pyright: ignore[reportMissingTypeStubs]
from clickhouse_driver.errors import Error  # pyright: ignore[reportMissingTypeStubs]

from mevstream.infra.stack.native_blocks import NativeReader, split_type
from stack.clickhouse import FrontProcess

COLUMNS = {
    "id": "UInt64",
    "key": "FixedString(3)",
    "text": "String",
    "venue": "LowCardinality(String)",
    "router": "LowCardinality(Nullable(String))",
    "price": "Float64",
    "kind": "Enum8('a, (b' = 1, 'c' = 2)",
    "names": "Array(Array(String))",
    "at": "DateTime64(3)",
    "maybe": "Nullable(UInt8)",
    "pair": "Tuple(x UInt8, `y z` LowCardinality(String))",
    "map": "Map(String, UInt16)",
    "exact": "Decimal(19, 3)",
}
ROWS = [
    (
        i,
        f"{i:03d}",
        "x" * (i * 7),
        str(i % 3),
        None if i % 2 else "q",
        i / 4,
        "c" if i % 2 else "a, (b",
        [["a"] * (i % 3), []],
        datetime.datetime(2025, 1, 1, 0, 0, i % 60),
        None if i % 5 else i % 256,
        (i % 256, "k"),
        {"a": i, "b": 1},
        decimal.Decimal(i) / 8,
    )
    for i in range(700)
]


class Server(FrontProcess):
    def client(self, **options: Any) -> Any:
        return Client("127.0.0.1", self.port, send_receive_timeout=60, **options)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("clickhouse"))
    yield server
    server.process.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    client = server.client()
    yield client
    client.disconnect()


def test_rows_of_every_kind_of_column_come_back_as_they_went_in(client: Any) -> None:
    columns = ", ".join(f"`{name}` {kind}" for name, kind in COLUMNS.items())
    client.execute(f"CREATE TABLE kinds ({columns}) ENGINE = MergeTree ORDER BY id")
    assert client.execute("INSERT INTO kinds VALUES", ROWS) == len(ROWS)
    rows = client.execute("SELECT * FROM kinds ORDER BY id", with_column_types=True)
    assert [tuple(row) for row in rows[0]] == ROWS
    assert [name for name, _ in rows[1]] == list(COLUMNS)


def test_numpy_columns_both_ways(server: Server) -> None:
    client = server.client(settings={"use_numpy": True})
    n = 100_000
    ids, prices = np.arange(n, dtype=np.uint64), np.random.default_rng(3).random(n)
    client.execute("CREATE TABLE numbers (id UInt64, price Float64) ENGINE = MergeTree ORDER BY id")
    client.execute("INSERT INTO numbers (id, price) VALUES", [ids, prices], columnar=True)
    read = client.execute("SELECT id, price FROM numbers ORDER BY id", columnar=True)
    client.disconnect()
    assert (read[0] == ids).all()
    assert (read[1] == prices).all()


def test_an_insert_with_the_same_token_counts_once(client: Any) -> None:
    client.execute(
        "CREATE TABLE once (id UInt64) ENGINE = MergeTree ORDER BY id "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    for token, expected in (("mev.parsed/0/1'\\", 1), ("mev.parsed/0/1'\\", 1), ("other", 2)):
        settings = {"insert_deduplication_token": token}
        client.execute("INSERT INTO once VALUES", [(1,)], settings=settings)
        assert client.execute("SELECT count() FROM once") == [(expected,)]


@pytest.mark.parametrize(
    ("sql", "rows", "code"),
    [
        ("SELECT nope", None, 47),
        ("SELEC 1", None, 62),
        ("SELECT throwIf(number = 5) FROM numbers(10)", None, 395),
        ("SELECT * FROM nowhere", None, 60),
        ("INSERT INTO nowhere VALUES", [(1,)], 60),
        ("INSERT INTO narrow (id, nope) VALUES", [(1, 2)], 16),
        ("INSERT INTO narrow VALUES", [(1,), (2,)], 469),
    ],
)
def test_an_error_has_the_engines_code_and_the_connection_goes_on(
    client: Any, sql: str, rows: list[tuple[int, ...]] | None, code: int
) -> None:
    client.execute(
        "CREATE TABLE IF NOT EXISTS narrow (id UInt64, CONSTRAINT one CHECK id = 1) "
        "ENGINE = MergeTree ORDER BY id"
    )
    with pytest.raises(Error) as failure:
        client.execute(sql, rows)
    assert failure.value.code == code
    assert client.execute("SELECT count() FROM narrow") == [(0,)]


def test_what_is_not_the_protocol_ends_that_connection_only(server: Server, client: Any) -> None:
    for rubbish in (
        b"\xff" * 64,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01" * 9,
        b"\x00\xff\xff\xff\xff\x0f",
    ):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert client.execute("SELECT 1") == [(1,)]


def test_acked_rows_are_there_after_a_kill(server: Server) -> None:
    client = server.client()
    client.execute("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id")
    client.execute("INSERT INTO kept VALUES", [(i,) for i in range(1000)])
    client.disconnect()
    server.kill()
    server.start()
    client = server.client()
    assert client.execute("SELECT count(), sum(id) FROM kept") == [(1000, 499_500)]
    client.disconnect()


def test_types_are_split_at_their_own_commas() -> None:
    assert split_type("UInt8") == ("UInt8", [])
    assert split_type("Map(String, Array(Tuple(a UInt8, b String)))") == (
        "Map",
        ["String", "Array(Tuple(a UInt8, b String))"],
    )
    assert split_type("Tuple(a UInt8, `b c` Map(String, UInt8))")[1] == [
        "UInt8",
        "Map(String, UInt8)",
    ]


def test_an_unknown_type_and_a_cut_block_are_errors() -> None:
    def reader(data: bytes) -> NativeReader:
        pieces = iter([data])
        return NativeReader(lambda _: next(pieces, b""))

    with pytest.raises(ValueError, match="Geo"):
        reader(b"\x01\x01\x01a\x03Geo").block()
    whole = b"\x01\x02\x01a\x06String\x01x\x02yz"
    assert reader(whole).block() == ([("a", "String")], 2)
    for end in range(len(whole)):
        with pytest.raises(EOFError):
            reader(whole[:end]).block()
