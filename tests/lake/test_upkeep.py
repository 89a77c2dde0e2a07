"""Merging, expiry, clearing and verifying, through the functions and by the commands."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake.chain import everything, synthetic_log, table_rows
from lake.test_exactly_once import open_sink, store
from mevstream.topologies.sinks.lake import upkeep
from mevstream.topologies.sinks.lake.manifest import COMMITS, DataFile, Manifest
from mevstream.topologies.sinks.lake.storage import Folder, LakeError, open_storage
from mevstream.topologies.sinks.lake.tables import TABLES
from mevstream.topologies.sinks.lake.upkeep import clear, compact, expire
from mevstream.topologies.sinks.lake.verify import verify
from mevstream.topologies.sinks.stream import Delivery


def many_files(folder: Path, *, runs: int = 6) -> Folder:
    """A lake of small files."""
    storage = Folder(folder)
    sink = open_sink(storage)
    deliveries = everything(synthetic_log(slots=12))
    for i in range(runs):
        store(sink, deliveries[i::runs])
    return storage


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mevstream", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name != "MEVSTREAM_LAKE"},
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "lake"
    many_files(folder)
    return folder


@pytest.fixture
def storage(template: Path, tmp_path: Path) -> Folder:
    shutil.copytree(template, tmp_path / "lake")
    return Folder(tmp_path / "lake")


def files_of(storage: Folder, table: str) -> list[DataFile]:
    return [file for file in Manifest(storage).load().files.values() if file.table == table]


def test_merging_keeps_every_row(storage: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_PIECE", 20)  # several row groups
    before = table_rows(storage)
    assert len(files_of(storage, "swaps")) > 1
    done = list(compact(storage, settle_seconds=0))
    assert {hour.table for hour in done} == set(TABLES)
    assert all(hour.copies == 0 for hour in done)
    assert table_rows(storage) == before
    for table in TABLES.values():
        [file] = files_of(storage, table.name)
        with storage.open(file.path) as data:
            parquet = pq.ParquetFile(data)
            rows = parquet.read()
            assert rows.schema == table.schema
            order: list[Any] = [(name, "ascending") for name in table.order]
            assert rows.column("slot") == rows.sort_by(order).column("slot")
            if table.name == "transactions":
                assert parquet.metadata.num_row_groups > 1
    # Readers that began before still find what they knew.
    assert verify(storage).removed > 0
    assert list(compact(storage, settle_seconds=0)) == []
    clear(storage, grace_seconds=-1)
    # Whoever knows of no manifest sees the same rows.
    for name in TABLES:
        folder = f"{storage.url}/{name}"
        found = pq.read_table(folder)
        assert found.num_rows == len(before[name])
        assert set(found.column("chain").to_pylist()) == {"solana"}
    assert verify(storage).sound


def test_files_have_the_target_size(storage: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_PIECE", 20)
    before = table_rows(storage)
    list(compact(storage, settle_seconds=0, target_bytes=2_000))
    files = files_of(storage, "transactions")
    assert len(files) > 1
    ends = sorted(file.slots for file in files)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(ends))
    assert table_rows(storage) == before
    # They are settled: of one compaction, without a row in common.
    assert list(compact(storage, settle_seconds=0)) == []


def test_an_hour_at_work_is_left_alone(storage: Folder) -> None:
    assert list(compact(storage, settle_seconds=3600)) == []


def test_two_compactions_at_once(storage: Folder) -> None:
    before = table_rows(storage)
    threads = [
        threading.Thread(target=lambda: list(compact(storage, settle_seconds=0))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert table_rows(storage) == before
    clear(storage, grace_seconds=-1)
    assert table_rows(storage) == before
    findings = verify(storage)
    assert (findings.sound, findings.orphans, findings.unsettled) == (True, [], 0)


def test_late_rows_are_merged_into_a_settled_hour(storage: Folder) -> None:
    list(compact(storage, settle_seconds=0))
    store(open_sink(storage), everything(synthetic_log(first=1012, slots=2)))
    before = table_rows(storage)
    assert verify(storage).unsettled
    list(compact(storage, settle_seconds=0))
    assert table_rows(storage) == before
    assert not verify(storage).unsettled


def test_checkpoints_replace_commits(storage: Folder) -> None:
    commits = len(storage.list(COMMITS))
    assert commits == 6
    before = table_rows(storage)
    for _ in range(3):
        Manifest(storage).checkpoint(grace_seconds=-1)
        assert table_rows(storage) == before
    assert storage.list(COMMITS) == []
    assert verify(storage).sound
    # Sinks go on from it: nothing is stored again.
    deliveries = everything(synthetic_log(slots=12))
    for i in range(6):
        store(open_sink(storage), deliveries[i::6])
    assert table_rows(storage) == before


def test_a_sink_sums_up_its_own_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mevstream.topologies.sinks.lake.sink._CHECKPOINT_AFTER", 3)
    storage = many_files(tmp_path / "lake", runs=8)
    assert storage.list("_manifest/checkpoints")
    assert verify(storage).sound


def test_expiry_counts_from_the_later_of_block_and_writing(storage: Folder) -> None:
    """The blocks are of 2023; what was written now stays."""
    assert expire(storage, days=90) == []
    time.sleep(0.05)
    old = expire(storage, days=0.01 / 86400)
    assert {file.table for file in old} >= {"transactions", "swaps"}
    # Dead letters have the hour in which they were seen: this one.
    assert table_rows(storage).keys() <= {"dead_letters"}
    assert list(Path(storage.url).rglob("swaps/**/*.parquet"))
    clear(storage, grace_seconds=-1)
    assert not list(Path(storage.url).rglob("swaps/**/*.parquet"))
    # Offsets are still known: what has expired does not come back with a replay.
    store(open_sink(storage), everything(synthetic_log(slots=12)))


def test_what_verify_finds(storage: Folder) -> None:
    swaps, transactions = (files_of(storage, name) for name in ("swaps", "transactions"))
    root = Path(storage.url)
    (root / swaps[0].path).unlink()
    longer = root / swaps[1].path
    longer.write_bytes(longer.read_bytes() + b"\0")
    flipped = root / transactions[0].path
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    orphan = f"swaps/chain=solana/date=2023-11-14/hour=22/{'0' * 12}.parquet"
    shutil.copy(root / transactions[1].path, root / orphan)

    findings = verify(storage)
    assert {path: problem.split(":")[0] for path, problem in findings.damage.items()} == {
        swaps[0].path: "is missing",
        swaps[1].path: f"has {swaps[1].bytes + 1:,} bytes, not {swaps[1].bytes:,}",
        transactions[0].path: "its content has changed",
    }
    assert findings.orphans == [orphan]
    assert not findings.sound
    assert len(verify(storage, quick=True).damage) == 2

    result = command("lake", "verify", storage.url)
    assert result.returncode == 1
    assert result.stderr == "error: the lake is damaged: 3 files, 0 holes\n"
    assert f"{swaps[0].path} is missing\n" in result.stdout
    assert f"{orphan} is named by no commit\n" in result.stdout
    # Compaction does not build on damage.
    with pytest.raises(LakeError):
        list(compact(storage, settle_seconds=0))


def test_orphans_are_cleared_once_they_are_old(storage: Folder) -> None:
    root = Path(storage.url)
    path = root / "swaps" / "chain=solana" / "orphan.parquet"
    shutil.copy(root / files_of(storage, "swaps")[0].path, path)
    draft = root / ".0123.tmp"
    draft.write_bytes(b"half")
    assert clear(storage, grace_seconds=60) == upkeep.Cleared()
    for left in (path, draft):
        os.utime(left, (time.time() - 100, time.time() - 100))
    assert clear(storage, grace_seconds=60) == upkeep.Cleared(orphans=1, drafts=1)
    assert not path.exists()
    assert not draft.exists()


def test_offsets_that_nobody_stored_are_holes(tmp_path: Path) -> None:
    log = synthetic_log(slots=8)
    [place] = [place for place in log if place == ("mev.parsed", 1)]
    records = log[place]
    storage = Folder(tmp_path)
    sink = open_sink(storage)
    store(sink, records[:4])
    # The same consumer goes on: what it was not given is no record (an aborted transaction).
    store(sink, records[8:10])
    assert verify(storage).holes == []
    # Another one begins one later: a transaction's marker. And then far later.
    store(open_sink(storage), records[11:14])
    assert verify(storage).holes == []
    store(open_sink(storage), records[17:])
    [hole] = verify(storage).holes
    assert (hole.place, hole.first, hole.last) == (place, 14, 16)
    result = command("lake", "verify", str(tmp_path))
    assert result.returncode == 1
    assert "mev.parsed/1: offsets 14 to 16 are in no commit" in result.stdout


def test_a_half_written_object_is_never_visible(storage: Folder) -> None:
    def walk() -> set[str]:
        return {found.path for found in storage.list("")}

    before = walk()
    with storage.draft() as draft:
        draft.write(b"half")
        assert walk() == before
    assert walk() == before
    assert not list(Path(storage.url).glob(".*.tmp"))


def test_a_commit_that_is_damaged_is_told(storage: Folder) -> None:
    commit = storage.list(COMMITS)[2].path
    (Path(storage.url) / commit).write_bytes(b'{"format": 1, "kind"')
    result = command("lake", "verify", storage.url)
    assert result.returncode == 1
    assert re.fullmatch(rf"error: lake \S+: {re.escape(commit)} is damaged: .*\n", result.stderr)
    with pytest.raises(LakeError, match="is damaged"):
        open_sink(storage)


def test_commands(storage: Folder, tmp_path: Path) -> None:
    sql = "SELECT venue, count() AS n FROM v_swaps GROUP BY venue ORDER BY n DESC, venue"
    query = ("query", "--lake-url", storage.url, "--format", "csv")
    before = command(*query, sql)
    assert before.returncode == 0, before.stderr
    assert len(before.stdout.splitlines()) > 2
    merged = command("lake", "compact", storage.url, "--settle", "0")
    assert merged.returncode == 0, merged.stderr
    assert "swaps" in merged.stdout
    assert "nothing to merge" in command("lake", "compact", storage.url, "--settle", "0").stdout
    assert command(*query, sql).stdout == before.stdout
    verified = command("lake", "verify", storage.url)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "0 hours to compact" in verified.stdout
    expired = command("lake", "expire", storage.url)
    assert expired.stdout.startswith("0 files expired")

    for arguments, told in (
        ((*query, "DROP TABLE swaps"), "error: a query can neither change the lake nor read"),
        ((*query, "SELECT * FROM file('/etc/hostname', LineAsString)"), "error: a query can"),
        (("query", "--lake-url", storage.url, "--write", "SELECT 1"), "error: --write, --data and"),
        (("lake", "verify", str(tmp_path / "no")), "error: there is no lake in"),
        (("lake", "compact", "gs://bucket/x"), "error: lake gs://bucket/x: neither a path"),
        (("lake", "compact", "s3://user:secret@bucket/x"), "error: a lake's URL holds no"),
    ):
        result = command(*arguments)
        assert result.returncode == 1, arguments
        assert result.stderr.startswith(told), result.stderr
        assert result.stderr.count("\n") == 1
        assert "secret" not in result.stderr


def test_a_row_of_an_older_version_gets_the_columns_of_this_one(storage: Folder) -> None:
    """And one of a newer version is refused, not cut."""
    table = TABLES["swaps"]
    file = files_of(storage, "swaps")[0]
    with storage.open(file.path) as data:
        rows = pq.read_table(data)
    older = rows.drop_columns(["fee", "router", "block_time", "vault_in"])
    conformed = upkeep._conform(older, table)
    assert conformed.schema == table.schema
    assert set(conformed.column("fee").to_pylist()) == {0}
    assert set(conformed.column("router").to_pylist()) == {""}
    assert set(conformed.column("vault_in").to_pylist()) == {bytes(32)}
    assert set(conformed.column("block_time").to_pylist()) == {None}
    newer = rows.append_column("colour", pa.array(["red"] * rows.num_rows))
    with pytest.raises(LakeError, match="newer version: colour"):
        upkeep._conform(newer, table)


def test_urls(tmp_path: Path) -> None:
    assert open_storage(f"file://{tmp_path}/a%20b").url == f"{tmp_path}/a b"
    assert open_storage(str(tmp_path)).url == str(tmp_path)
    for url in ("s3://", "s3://bucket?x=1", "http://host/x", "file://host/x", "file:///"):
        with pytest.raises(LakeError):
            open_storage(url)
    with pytest.raises(LakeError, match="endpoint"):
        open_storage("s3://bucket/x", endpoint="ftp://host")


def test_a_delivery_that_is_none(tmp_path: Path) -> None:
    from mevstream.codecs.headers import RecordHeaders
    from mevstream.errors import InputError

    sink = open_sink(Folder(tmp_path))
    for topic in sink.topics:
        with pytest.raises(InputError):
            sink.read(Delivery(topic, 0, 0, b"\xff\xff", RecordHeaders(schema="x")))
