"""The schema as it is released, and the runner's answers to a history that does not fit."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mevstream.errors import MevstreamError
from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.columns import PARSED_TABLES

SNAPSHOT = Path(__file__).with_name("schema.txt")

# duneanalytics/spellbook, model dex_solana_trades.
DUNE = [
    "blockchain",
    "project",
    "version",
    "block_month",
    "block_date",
    "block_time",
    "block_slot",
    "trade_source",
    "token_bought_symbol",
    "token_sold_symbol",
    "token_pair",
    "token_bought_amount",
    "token_sold_amount",
    "token_bought_amount_raw",
    "token_sold_amount_raw",
    "amount_usd",
    "fee_tier",
    "fee_usd",
    "token_bought_mint_address",
    "token_sold_mint_address",
    "token_bought_vault",
    "token_sold_vault",
    "project_program_id",
    "project_main_id",
    "trader_id",
    "tx_id",
    "outer_instruction_index",
    "inner_instruction_index",
    "tx_index",
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ChdbEngine]:
    engine = ChdbEngine(tmp_path / "warm")
    yield engine
    engine.close()


def test_schema_is_the_released_one(engine: ChdbEngine) -> None:
    """A released table changes by a new migration only; then write schema.txt anew."""
    migrations.migrate(engine)
    lines = [
        f"{table}.{column} {kind}"
        for table, column, kind in engine.rows(
            "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
            " ORDER BY table, position"
        )
    ]
    lines += [
        f"{table} ORDER BY {key}"
        for table, key in engine.rows(
            "SELECT name, sorting_key FROM system.tables WHERE database = currentDatabase()"
            " AND sorting_key != '' ORDER BY name"
        )
    ]
    assert lines == SNAPSHOT.read_text().splitlines()


def test_trades_have_the_columns_of_dune(engine: ChdbEngine) -> None:
    migrations.migrate(engine)
    assert [name for name, *_ in engine.rows("DESCRIBE TABLE dex_solana_trades")] == DUNE


@pytest.mark.parametrize("table", PARSED_TABLES)
def test_every_column_is_written(engine: ChdbEngine, table: str) -> None:
    migrations.migrate(engine)
    columns = engine.rows(
        f"SELECT name FROM system.columns WHERE table = '{table}' AND default_kind = ''"
        " AND database = currentDatabase()"
    )
    names = [getattr(column, "name", None) for column in PARSED_TABLES[table][1]]
    assert sorted(names, key=str) == sorted(name for (name,) in columns)


def test_applies_once_and_goes_on_after_a_kill(engine: ChdbEngine) -> None:
    known = migrations.load()
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    # Killed after the statements and before the record of the first one:
    for statement in known[0].statements:
        engine.execute(statement)
    assert migrations.migrate(engine) == known
    assert migrations.migrate(engine) == []


def test_refuses_another_history(engine: ChdbEngine) -> None:
    known = migrations.load()
    migrations.migrate(engine)
    changed = [dataclasses.replace(known[0], sql=known[0].sql + "\n"), *known[1:]]
    with pytest.raises(MevstreamError, match=r"0001_tables\.sql has changed"):
        migrations.migrate(engine, changed)
    with pytest.raises(MevstreamError, match="newer version"):
        migrations.migrate(engine, known[:-1])
    late = dataclasses.replace(known[0], number=0, name="0000_late.sql")
    with pytest.raises(MevstreamError, match=r"0000_late\.sql is missing"):
        migrations.migrate(engine, [late, *known])


def test_one_process_a_folder(engine: ChdbEngine, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mevstream.errors import MevstreamError\n"
        "from mevstream.topologies.sinks.chdb_engine import ChdbEngine\n"
        "try: ChdbEngine(Path(sys.argv[1]))\n"
        "except MevstreamError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "warm")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith(f"data directory {tmp_path / 'warm'} is in use by another")


def test_a_path_that_the_engine_would_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MevstreamError, match=r"no '\?' in its path"):
        ChdbEngine(tmp_path / "what?")
    assert list(tmp_path.iterdir()) == []
