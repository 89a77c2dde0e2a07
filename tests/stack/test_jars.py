"""The broker's jars: the bytes of the lock file or an error."""

import os
import shutil
from pathlib import Path

import pytest

from mevstream.errors import MevstreamError
from mevstream.infra.stack import jars
from mevstream.settings import load_settings


@pytest.fixture(scope="module")
def cached() -> Path:
    return jars.ensure_jars(load_settings().cache)


def test_jgo_alone_brings_the_same_bytes(tmp_path: Path) -> None:
    locked = jars.locked_jars()
    jars.verify(jars.fetch_with_jgo(locked, tmp_path), locked)


def test_the_lock_file_names_one_version_of_kafka() -> None:
    locked = jars.locked_jars()
    version = jars.kafka_version(locked)
    assert {jar.version for jar in locked if jar.group == "org.apache.kafka"} == {version}
    assert len({jar.file_name for jar in locked}) == len(locked)


@pytest.mark.parametrize("damage", ["flip", "remove", "add"])
def test_other_bytes_are_refused(cached: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "jars"
    shutil.copytree(cached, folder)
    jar = sorted(folder.iterdir())[3]
    if damage == "flip":
        data = bytearray(jar.read_bytes())
        data[len(data) // 2] ^= 1
        jar.write_bytes(data)
    elif damage == "remove":
        jar.unlink()
    else:
        jar = folder / "foreign.jar"
        jar.write_bytes(b"")
    with pytest.raises(MevstreamError, match=jar.name):
        jars.verify(folder, jars.locked_jars())


def test_every_way_that_failed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An mvn that fails, then a jgo that asks for what does not exist; nothing is left behind."""
    mvn = tmp_path / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text("#!/bin/sh\necho '[ERROR] no such luck'\nexit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", f"{mvn.parent}{os.pathsep}{os.environ['PATH']}")
    lock_file = tmp_path / "jars.lock"
    lock_file.write_text(f"{'0' * 64}  org.apache.kafka:kafka_2.13:0.0.0-never\n")
    monkeypatch.setattr(jars, "LOCK_FILE", lock_file)
    monkeypatch.setattr(jars.locked_jars, "__defaults__", (lock_file,))
    reports: list[str] = []
    with pytest.raises(MevstreamError, match=r"mvn: \[ERROR\] no such luck; jgo: kafka_2\.13"):
        jars.ensure_jars(tmp_path / "cache", report=reports.append)
    assert [line.split(" with ")[1].split()[0] for line in reports] == ["Maven", "jgo"]
    assert list((tmp_path / "cache").iterdir()) == []
