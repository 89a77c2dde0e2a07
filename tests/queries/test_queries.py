"""What docs/queries.md says comes out of its queries, and whether it is right."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from queries import independent
from queries.document import BLOCKS, DOCUMENT, Question, answer, fill, questions, rewrite, simulate
from queries.independent import Records

QUESTIONS = questions()
STORES = ("simulated", "real")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def simulated(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("simulated") / "warm", chain)


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    blocks = [shared_data / "blocks" / name for name in BLOCKS]
    return fill(tmp_path_factory.mktemp("real") / "warm", *blocks)


@pytest.fixture(scope="module")
def printed(chain: Path) -> Records:
    return independent.read(chain)


def test_there_are_ten() -> None:
    assert [question.number for question in QUESTIONS] == list(range(1, 11))
    for question in QUESTIONS:
        assert "simulated" in question.outputs, question.title
        assert not question.outputs.keys() - {*STORES}
        # Nothing of a row is left out by chance.
        assert "ORDER BY" in question.sql
    text = DOCUMENT.read_text()
    assert rewrite(text, _output) == text


def _output(sql: str, store: str) -> str:
    (question,) = [question for question in QUESTIONS if question.sql == sql]
    return question.outputs[store]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"{question.number}")
@pytest.mark.parametrize("store", STORES)
def test_the_output_is_what_comes_out(
    question: Question, store: str, request: pytest.FixtureRequest
) -> None:
    if store in question.outputs:
        assert answer(question.sql, request.getfixturevalue(store)) == question.outputs[store]


def rounding(sql: str) -> dict[str, float]:
    """By how much a column that the query rounds may differ."""
    return {name: 0.51 * 10 ** -int(n) for n, name in re.findall(r", (\d)\) AS (\w+)", sql)}


# What the printed lines tell only nearly, and in which share it may differ.
NEAR = {"lost_sol": 0.02}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"{question.number}")
def test_the_answer_is_right(question: Question, simulated: Path, printed: Records) -> None:
    """Every figure, by Python over what `mevstream inspect` prints of the same blocks."""
    text = answer(question.sql, simulated, "--format", "jsonl")
    found: list[dict[str, Any]] = [orjson.loads(line) for line in text.splitlines()]
    wanted = independent.ANSWERS[question.number](printed)
    assert len(found) == len(wanted) > 0
    within = rounding(question.sql)
    for row, right in zip(found, wanted, strict=True):
        if "repaid_raw" in right:
            # A fee is paid on top of the debt, or taken out of the collateral.
            fee, repaid, seized = (right.pop(name) for name in ("fee", "repaid_raw", "seized_raw"))
            paid = row["repaid_raw"] - repaid, seized - row["seized_raw"]
            assert paid in ((fee, 0), (0, fee))
        for name, value in right.items():
            if isinstance(value, float):
                near = NEAR.get(name, 1e-12) * abs(value) + within.get(name, 0)
                assert row[name] == pytest.approx(value, rel=0, abs=near), (name, row, right)
            else:
                assert row[name] == value, (name, row, right)
    # What is not checked above: what the lines do not tell, and tokens beside their base units.
    named = {
        "worst_share",
        "told",
        "repaid",
        "seized",
        "repaid_raw",
        "seized_raw",
        "profit",
        "venue",
    }
    assert {*found[0]} - {*wanted[0]} <= named


def test_every_view_that_is_named_is_there(tmp_path: Path) -> None:
    engine = ChdbEngine(tmp_path)
    migrations.migrate(engine)
    views = {name for (name,) in engine.rows("SHOW TABLES")}
    engine.close()
    used = {name for question in QUESTIONS for name in re.findall(r"\bv_\w+", question.sql)}
    assert used <= views
    assert len(used) >= 9
