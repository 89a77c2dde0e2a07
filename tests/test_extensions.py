"""The compiled code is what runs: no stale build, no pure-Python twin in its place."""

import importlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import mevstream.cext

FOLDER = Path(mevstream.cext.__file__).parent
SOURCES = sorted(path.relative_to(FOLDER).with_suffix("") for path in FOLDER.rglob("*.pyx"))


def test_there_is_something_to_compile() -> None:
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_extension_is_compiled(source: Path) -> None:
    module = importlib.import_module(".".join(("mevstream.cext", *source.parts)))
    assert module.__file__ is not None
    assert module.__file__.endswith(tuple(EXTENSION_SUFFIXES))
