"""The compiled code is what runs: no stale build, no pure-Python twin in its place."""

import importlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import mevstream.cext

SOURCES = sorted(Path(mevstream.cext.__file__).parent.glob("*.pyx"))


def test_there_is_something_to_compile() -> None:
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_extension_is_compiled(source: Path) -> None:
    module = importlib.import_module(f"mevstream.cext.{source.stem}")
    assert module.__file__ is not None
    assert module.__file__.endswith(tuple(EXTENSION_SUFFIXES))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_extension_has_a_typed_surface(source: Path) -> None:
    assert source.with_suffix(".pyi").is_file()
