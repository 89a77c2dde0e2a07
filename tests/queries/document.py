"""docs/queries.md: its questions, their SQL and what it says that comes out.

`python -m queries.document`, in tests/, writes what comes out into it anew.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from mevstream.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "queries.md"
SIMULATE = "mevstream simulate chain --slots 200 --seed 42"
BLOCKS = ("285000037.json.gz", "316719544.json.gz", "332254908.pb.gz")

_QUESTION = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)
_SQL = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r"(?<=^```text )(\w+)\n(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """outputs: by the store that they are of, "simulated" or "real"."""

    number: int
    title: str
    sql: str
    outputs: dict[str, str]


def questions(text: str | None = None) -> list[Question]:
    text = DOCUMENT.read_text() if text is None else text
    heads = list(_QUESTION.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    found: list[Question] = []
    for head, end in zip(heads, ends, strict=True):
        part = text[head.end() : end]
        (sql,) = _SQL.findall(part)
        outputs = dict(_OUTPUT.findall(part))
        found.append(Question(int(head[1]), head[2], sql, outputs))
    return found


def answer(sql: str, store: Path, *options: str) -> str:
    """What `mevstream query` prints, without the blanks at the ends of lines."""
    done = CliRunner().invoke(app, ["query", sql, "--data", str(store), *options])
    assert done.exit_code == 0, done.exception
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return "".join(f"{line}\n" for line in lines if line)


def simulate(folder: Path) -> Path:
    """Blocks of the chain that the document names."""
    assert SIMULATE in DOCUMENT.read_text()
    _mevstream(SIMULATE.split()[1:], folder)
    return folder / "chain"


def fill(store: Path, *sources: Path) -> Path:
    _mevstream(["run", *map(str, sources), "--data", str(store), "--quiet"], store.parent)
    return store


def _mevstream(arguments: Sequence[str], folder: Path) -> None:
    command = [sys.executable, "-m", "mevstream", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)


def rewrite(text: str, told: Callable[[str, str], str]) -> str:
    """The document with its outputs as `told` gives them for (SQL, store)."""
    by_title = {question.title: question for question in questions(text)}
    parts = re.split(r"(?=^## \d+\. )", text, flags=re.MULTILINE)
    for number, part in enumerate(parts):
        if head := _QUESTION.match(part):
            sql = by_title[head[2]].sql
            parts[number] = _OUTPUT.sub(lambda m, sql=sql: f"{m[1]}\n{told(sql, m[1])}", part)
    return "".join(parts)


def main(data: str = "../shared/data") -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        stores = {
            "simulated": fill(place / "simulated", simulate(place)),
            "real": fill(place / "real", *(Path(data).absolute() / "blocks" / b for b in BLOCKS)),
        }
        text = rewrite(DOCUMENT.read_text(), lambda sql, store: answer(sql, stores[store]))
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
