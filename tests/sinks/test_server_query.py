"""mevstream query --server: the same bytes as from the embedded engine."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mevstream.cli import app
from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.native_engine import NativeEngine
from sinks.conftest import Front

STATEMENTS = (
    "SELECT 1 AS one, 'a\"b,c' AS text, NULL AS nothing, [1, 2] AS list, map('k', 0.1) AS map",
    "SELECT number, toDateTime64(number, 9, 'UTC'), toDecimal64(1.50, 4) FROM numbers(20000) "
    "ORDER BY number DESC",
    "SELECT toFixedString(unhex(repeat('ab', 32)), 32) AS key, toFixedString('', 64) AS signature",
    "SELECT 1 AS `a \"quoted\" name`, 'line\nend' AS text WHERE 0",
    "/* a comment */ WITH 2 AS x SELECT x, toUInt128(1) + x, true",
    "SELECT name, type FROM system.columns WHERE table = 'v_swaps' "
    "AND database = currentDatabase() ORDER BY position",
)


def query(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["query", *arguments])
    return result.exit_code, result.stdout, str(result.exception or "")


@pytest.fixture(scope="module")
def places(front: Front, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A server and a folder with the same tables."""
    folder: Path = tmp_path_factory.mktemp("embedded")
    server, embedded = NativeEngine(front.server()), ChdbEngine(folder)
    migrations.migrate(server)
    migrations.migrate(embedded)
    server.close()
    embedded.close()
    return f"127.0.0.1:{front.port}", str(folder)


@pytest.mark.parametrize("format", ["table", "csv", "json", "jsonl"])
@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_server_answers_like_the_embedded_engine(
    places: tuple[str, str], sql: str, format: str
) -> None:
    server, folder = places
    code, told, _ = query(sql, "--server", server, "--format", format)
    assert code == 0
    assert (code, told, "") == query(sql, "--data", folder, "--format", format)


def test_what_is_no_query_is_answered_too(places: tuple[str, str]) -> None:
    code, told, _ = query("SHOW TABLES", "--server", places[0], "--format", "csv")
    assert code == 0
    assert '"swaps"' in told.splitlines()


def test_changes_need_write(places: tuple[str, str]) -> None:
    make = "CREATE TABLE t (a UInt8) ENGINE = Memory"
    assert "--write" in query(make, "--server", places[0])[2]
    assert "--write" in query(f"/* SELECT */ {make}", "--server", places[0])[2]
    assert query(make, "--server", places[0], "--write")[0] == 0
    assert query("SELECT count() FROM t", "--server", places[0], "--format", "csv")[1].endswith(
        "\n0\n"
    )


@pytest.mark.parametrize(
    "sql", ["SELECT nothing", "SELEC", "SELECT throwIf(number = 9000) FROM numbers(10000)"]
)
def test_errors_are_one_line(places: tuple[str, str], sql: str) -> None:
    code, _, error = query(sql, "--server", places[0])
    assert code == 1
    assert error
    assert "\n" not in error


def test_arrow_is_refused(places: tuple[str, str]) -> None:
    assert "arrow" in query("SELECT 1", "--server", places[0], "--format", "arrow")[2]


def test_a_server_that_is_away_is_told() -> None:
    code, _, error = query("SELECT 1", "--server", "127.0.0.1:1")
    assert code == 1
    assert error.startswith("ClickHouse at 127.0.0.1:1")
