"""run, query and migrate as a user meets them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

ROOT = Path(__file__).parents[2]


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "mevstream", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "chain"
    done = command("simulate", folder, "--slots", "6", "--transactions", "200")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, chain: Path) -> Path:
    folder = tmp_path_factory.mktemp("store") / "warm"
    done = command("run", chain, "--data", folder)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    text = done.stdout.decode()
    for word in ("slots", "votes", "swaps", "largest swaps", f" query --data {folder}"):
        assert word in text
    return folder


def ask(warm: Path, sql: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    return command("query", sql, "--data", warm, *options)


def test_second_run_says_what_it_skipped(warm: Path, chain: Path) -> None:
    done = command("run", chain, "--data", warm)
    assert b"6 were stored already" in done.stdout
    quiet = command("run", chain, "--data", warm, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")


def test_data_folder_may_come_from_the_environment_or_a_file(warm: Path, tmp_path: Path) -> None:
    sql = "SELECT count() > 0 AS filled FROM swaps"
    by_variable = command("query", sql, "--format", "csv", MEVSTREAM_STORE=str(warm))
    assert by_variable.stdout == b'"filled"\n1\n'
    config = tmp_path / "mevstream.toml"
    config.write_text(f"store = '{warm}'\n")
    by_file = command("query", sql, "--format", "csv", MEVSTREAM_CONFIG=str(config))
    assert by_file.stdout == b'"filled"\n1\n'
    config.write_text("batch_sise = 7\n")
    wrong = command("query", sql, MEVSTREAM_CONFIG=str(config))
    assert (wrong.returncode, wrong.stderr.count(b"\n")) == (1, 1)
    assert b"batch_sise" in wrong.stderr


def test_formats_agree_and_keys_are_base58(warm: Path) -> None:
    sql = (
        "SELECT slot, tx_index, program, amount_in, nullIf(router, '') AS router FROM swaps"
        " ORDER BY ALL"
    )
    rows = [json.loads(line) for line in ask(warm, sql, "--format", "jsonl").stdout.splitlines()]
    assert len(rows) > 20
    assert "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc" in {row["program"] for row in rows}
    assert json.loads(ask(warm, sql, "--format", "json").stdout) == rows
    arrow = pa.ipc.open_stream(ask(warm, sql, "--format", "arrow").stdout).read_all()
    assert arrow["amount_in"].to_pylist() == [row["amount_in"] for row in rows]
    lines = ask(warm, sql, "--format", "csv").stdout.decode().splitlines()
    assert lines[0] == '"slot","tx_index","program","amount_in","router"'
    assert len(lines) == len(rows) + 1
    table = ask(warm, sql).stdout.decode()
    assert all(row["program"] in table for row in rows)


def test_long_results_are_one_document(warm: Path) -> None:
    sql = "SELECT number AS n, 'a\"b\nc' AS text FROM numbers(200000)"
    as_json = json.loads(ask(warm, sql, "--format", "json").stdout)
    assert [row["n"] for row in as_json] == list(range(200_000))
    as_csv = ask(warm, "SELECT number AS n FROM numbers(200000)", "--format", "csv").stdout
    assert as_csv.split() == [b'"n"', *(b"%d" % n for n in range(200_000))]
    as_arrow = pa.ipc.open_stream(ask(warm, sql, "--format", "arrow").stdout).read_all()
    assert as_arrow.num_rows == 200_000
    assert b"the first 1000 rows" in ask(warm, sql).stdout


def test_empty_results_keep_their_form(warm: Path) -> None:
    sql = "SELECT venue FROM swaps WHERE 0"
    assert ask(warm, sql, "--format", "csv").stdout == b'"venue"\n'
    assert json.loads(ask(warm, sql, "--format", "json").stdout) == []
    assert ask(warm, sql, "--format", "jsonl").stdout == b""
    assert pa.ipc.open_stream(ask(warm, sql, "--format", "arrow").stdout).read_all().num_rows == 0


def test_statements_from_a_file(warm: Path, tmp_path: Path) -> None:
    file = tmp_path / "query.sql"
    file.write_text("SELECT 40 + 2 AS n -- the answer\n;\n")
    done = command("query", "--file", file, "--data", warm, "--format", "csv")
    assert done.stdout == b'"n"\n42\n'
    assert b"v_swaps" in ask(warm, "SHOW TABLES", "--format", "csv").stdout


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC 1", "Syntax error"),
        ("SELECT nothing FROM swaps", "nothing"),
        ("SELECT 1 FROM nowhere", "nowhere"),
        ("SELECT throwIf(1)", "throwIf"),
        ("DROP TABLE swaps", "--write"),
        ("INSERT INTO slots (slot) VALUES (1)", "--write"),
        ("", "empty"),
    ],
)
def test_errors_are_one_line(warm: Path, sql: str, words: str) -> None:
    done = ask(warm, sql)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1
    assert words in done.stderr.decode()


def test_write_has_to_be_asked_for(chain: Path, tmp_path: Path) -> None:
    command("run", chain, "--data", tmp_path, "--quiet")
    assert ask(tmp_path, "DELETE FROM swaps WHERE 1", "--write").returncode == 0
    assert ask(tmp_path, "SELECT count() FROM swaps", "--format", "csv").stdout.endswith(b"\n0\n")


def test_no_store_no_input_no_answer(tmp_path: Path) -> None:
    for arguments, words in (
        (("query", "SELECT 1", "--data", tmp_path / "nowhere"), "no store in"),
        (("run", tmp_path / "missing.json", "--data", tmp_path), "missing.json: no such file"),
        (("query", "--data", tmp_path), "one SQL statement"),
        (("query", "--file", tmp_path / "no.sql", "--data", tmp_path), "no.sql"),
    ):
        done = command(*arguments)
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1
        assert words in done.stderr.decode()


def test_migrate_tells_what_is_applied(tmp_path: Path) -> None:
    folder = tmp_path / "warm"
    assert b"0001_tables.sql  pending" in command("migrate", "--status", "--data", folder).stdout
    assert b"0001_tables.sql  applied now" in command("migrate", "--data", folder).stdout
    assert b"0001_tables.sql  applied\n" in command("migrate", "--data", folder).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    """While it waits for more on standard input, with a cut-off update already read."""
    stream = subprocess.run(
        [sys.executable, "-m", "mevstream", "simulate", "-", "--slots", "40"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    process = subprocess.Popen(
        [sys.executable, "-m", "mevstream", "run", "-", "--data", str(tmp_path / "warm")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(stream[:-100])
    process.stdin.flush()
    # The pipe holds 64 KiB: once all of this is written, the command is deep in its loop.
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert b"what came in" in out
    done = ask(
        tmp_path / "warm",
        "SELECT count() > 0, sum(batches != batches_total) FROM slots",
        "--format",
        "csv",
    )
    assert done.stdout.splitlines()[1] == b"1,0"


def piped(*arguments: str | Path, to: str) -> bytes:
    """What is said on standard error, with the exit code, when output goes to a shell's `to`."""
    words = [sys.executable, "-m", "mevstream", *map(str, arguments)]
    script = f'{{ "$@"; echo "code $?" >&2; }} {to}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words], cwd=ROOT, capture_output=True, timeout=60
    )
    return done.stderr


OUTPUTS = ["table", "csv", "json", "jsonl", "arrow"]
MUCH = "SELECT number, repeat('much', 9) AS text FROM numbers(200000)"


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_reader_that_goes_away_is_no_error(warm: Path, output: str) -> None:
    """ends at once: a result that is given up must end before the engine does."""
    told = piped("query", MUCH, "--data", warm, "--format", output, to="| head -c 100")
    assert told == b"code 0\n"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_full_disk_is_told(warm: Path, output: str) -> None:
    told = piped("query", MUCH, "--data", warm, "--format", output, to=">/dev/full")
    assert told == b"error: output: No space left on device\ncode 1\n"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_is_told_by_every_command(warm: Path, chain: Path) -> None:
    for arguments in (("--version",), ("inspect", chain), ("run", chain, "--data", warm)):
        told = piped(*arguments, to=">/dev/full")
        assert told == b"error: output: No space left on device\ncode 1\n"


def test_closed_streams(warm: Path, chain: Path) -> None:
    assert piped("inspect", chain, to=">&-") == b"code 0\n"
    assert piped("query", MUCH, "--data", warm, to=">&-") == b"code 0\n"
    assert piped("inspect", "-", to="<&-") == b"error: -: is empty\ncode 1\n"


@pytest.mark.parametrize("name", ["file:store", ":memory:", "a b%20&c=d#e"])
def test_a_store_lies_where_it_was_told_to(chain: Path, tmp_path: Path, name: str) -> None:
    """whatever the name would mean in a connection string."""
    words = [sys.executable, "-m", "mevstream", "run", str(chain), "--data", name, "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, timeout=60)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "store").is_dir()


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        (b"what?", b"the store takes no '?' in its path"),
        (b"\xff", b"its path must be UTF-8"),
    ],
)
def test_a_store_cannot_lie_there(chain: Path, tmp_path: Path, name: bytes, cause: bytes) -> None:
    folder = os.fsencode(tmp_path) + b"/" + name
    done = command("run", chain, "--data", os.fsdecode(folder))
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert cause in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_long_query_ends_by_an_interrupt(warm: Path) -> None:
    sql = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
    words = [sys.executable, "-m", "mevstream", "query", sql, "--data", str(warm)]
    running = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(4)  # by then the engine is at it
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=20)
    finally:
        running.kill()
    assert (running.returncode, told) == (-signal.SIGINT, b"")


def test_a_terminal_without_unicode(warm: Path, chain: Path) -> None:
    sql = "SELECT 'ü…' AS text"
    done = command("query", sql, "--data", warm, PYTHONIOENCODING="ascii")
    assert b"\\xfc\\u2026" in done.stdout
    assert (done.returncode, done.stderr) == (0, b"")
    report = command("run", chain, "--data", warm, PYTHONIOENCODING="latin-1")
    assert b"largest swaps" in report.stdout
    assert (report.returncode, report.stderr) == (0, b"")
