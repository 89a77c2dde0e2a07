"""The lake in a bucket of a real S3 server."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from pyarrow import fs

from lake.chain import counts, everything, synthetic_log, table_rows
from lake.conftest import S3Server
from lake.test_exactly_once import open_sink, store
from mevstream.infra.stack.s3 import BUCKET
from mevstream.topologies.sinks.lake.storage import Bucket, Folder, LakeError, open_storage
from mevstream.topologies.sinks.lake.upkeep import clear, compact
from mevstream.topologies.sinks.lake.verify import verify

Answer = TypeVar("Answer")


def test_round_trip_with_the_server_away(s3: S3Server, tmp_path) -> None:
    url = f"s3://{BUCKET}/main"
    storage = open_storage(url, endpoint=s3.endpoint)
    assert isinstance(storage, Bucket)
    log = synthetic_log()
    reference = Folder(tmp_path / "reference")
    store(open_sink(reference), everything(log))
    expected = table_rows(reference)

    sink = open_sink(storage)
    parts = [sink.read(delivery) for delivery in everything(log)]
    half = len(parts) // 2
    sink.store(parts[:half])
    before = counts(table_rows(storage))
    s3.kill()
    begun = time.monotonic()
    with pytest.raises(LakeError, match=f"^lake {url}: ") as told:
        sink.store(parts[half:])
    assert "\n" not in str(told.value)
    assert time.monotonic() - begun < 60
    s3.start()
    assert _when_it_answers(lambda: counts(table_rows(storage))) == before
    sink.store(parts[half:])
    assert table_rows(storage) == expected
    store(open_sink(storage), everything(log))  # nothing was committed
    assert table_rows(storage) == expected

    done = list(compact(storage, settle_seconds=0))
    assert done
    assert table_rows(storage) == expected
    clear(storage, grace_seconds=-1)
    findings = verify(storage)
    assert findings.sound
    assert (findings.orphans, findings.removed, findings.unsettled) == ([], 0, 0)
    assert findings.rows == sum(map(len, expected.values()))

    for sql, answer in (
        ("SELECT count() FROM transactions", len(expected["transactions"])),
        ("SELECT count() FROM swaps", len(expected["swaps"])),
        ("SELECT sum(batches) FROM slots WHERE batches = batches_total", 18),
    ):
        result = subprocess.run(
            [
                *(sys.executable, "-m", "mevstream", "query", "--format", "csv"),
                *("--lake-url", url, sql),
            ],
            env={**os.environ, "MEVSTREAM_LAKE_ENDPOINT": s3.endpoint},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        assert int(result.stdout.splitlines()[1]) == answer


def test_credentials_that_are_wrong(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open sesame")
    with pytest.raises(LakeError) as told:
        open_sink(open_storage(f"s3://{BUCKET}/main", endpoint=s3.endpoint))
    assert "sesame" not in str(told.value)
    with pytest.raises(LakeError, match=r"no bucket 'nowhere'|ACCESS_DENIED"):
        open_sink(open_storage("s3://nowhere/main", endpoint=s3.endpoint))


def test_a_draft_that_is_given_up_leaves_nothing(s3: S3Server) -> None:
    """Also one that is large enough to go in several pieces."""
    storage = open_storage(f"s3://{BUCKET}/main", endpoint=s3.endpoint)
    with storage.draft() as draft:
        for _ in range(24):
            draft.write(bytes(1 << 20))
    assert storage.list("") == []
    with storage.draft() as draft:
        for _ in range(24):
            draft.write(bytes(1 << 20))
        storage.publish(draft, "a/large")
    assert [(found.path, found.size) for found in storage.list("")] == [("a/large", 24 << 20)]
    assert s3.files().get_file_info(f"{BUCKET}/main/a/large").type == fs.FileType.File


def _when_it_answers(ask: Callable[[], Answer]) -> Answer:
    """SeaweedFS lists objects some seconds before it gives them out again."""
    end = time.monotonic() + 60
    while True:
        try:
            return ask()
        except LakeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
