"""The process that fuzzes: started by __main__.py, with the sanitizers preloaded."""

import argparse
import json
import time
import traceback
from pathlib import Path
from random import Random
from typing import Protocol

import mevstream
from fuzz.columns import ColumnsTarget, PartsTarget
from fuzz.decoder import DecoderTarget
from fuzz.graphs import GraphTarget
from fuzz.journal import Journal, save, target_of
from fuzz.oracle import Finding
from fuzz.quotes import QuotesTarget
from fuzz.sources import FramesTarget, SourcesTarget
from fuzz.splitter import Base58Target, SplitTarget, TransactionInfoTarget
from fuzz.stages import FeaturesTarget, OpportunitiesTarget

# Findings of one kind that are written out: more of the same tell nothing new.
KEPT_PER_KIND = 3


class Target(Protocol):
    """One entry to fuzz."""

    name: str
    # So that quick targets and slow ones get about the same time.
    inputs_a_turn: int

    def __init__(self, random: Random) -> None: ...

    def generate(self) -> bytes:
        """The next input; it may hold many executions."""
        ...

    def check(self, data: bytes) -> int:
        """Tries the input, returns the number of executions. Raises Finding."""
        ...


TARGETS: list[type[Target]] = [
    DecoderTarget,
    ColumnsTarget,
    PartsTarget,
    SplitTarget,
    TransactionInfoTarget,
    Base58Target,
    FramesTarget,
    SourcesTarget,
    OpportunitiesTarget,
    FeaturesTarget,
    GraphTarget,
    QuotesTarget,
]
# Turns out of a hundred that the decoder gets; the others share the rest.
DECODER_SHARE = 60


def attempt(target: Target, data: bytes) -> tuple[int, Finding | None]:
    """Executions done, and what was found. An exception nobody announced is a finding."""
    try:
        return target.check(data), None
    except Finding as finding:
        return 1, finding
    except Exception:
        text = traceback.format_exc(limit=-4)
        return 1, Finding(text.splitlines()[-1], data, text)


def fuzz(
    seed: int, seconds: float, executions: int, names: list[str], journal: Journal, folder: Path
) -> None:
    """Runs until the time or the executions are used up; prints the outcome as JSON lines."""
    chosen = [cls for cls in TARGETS if not names or cls.name in names]
    targets = [cls(Random(f"{seed} {cls.__name__}")) for cls in chosen]
    others = [target for target in targets if target.name != DecoderTarget.name]
    turns = Random(seed)
    done = {target.name: 0 for target in targets}
    kinds: dict[str, int] = {}
    start = time.monotonic()
    while time.monotonic() - start < seconds and not 0 < executions <= sum(done.values()):
        is_decoder = turns.randrange(100) < DECODER_SHARE and len(others) < len(targets)
        target = targets[0] if is_decoder or not others else turns.choice(others)
        for _ in range(target.inputs_a_turn):
            data = target.generate()
            journal.write(sum(done.values()), target.name, data)
            count, finding = attempt(target, data)
            done[target.name] += count
            if finding is None:
                continue
            kind = f"{target.name}: {finding.what}"
            kinds[kind] = kinds.get(kind, 0) + 1
            if kinds[kind] <= KEPT_PER_KIND:
                _report(kind, finding, folder)
    print(json.dumps({"done": done, "kinds": kinds}))


def _report(kind: str, finding: Finding, folder: Path) -> None:
    text = f"{kind}\n{finding.detail}".strip()
    path = save(folder, kind.partition(":")[0], text, finding.data)
    print(json.dumps({"found": text, "file": str(path)}), flush=True)


def replay(path: Path, journal: Journal) -> None:
    """Tries one saved input again."""
    name = target_of(path)
    target = next(cls for cls in TARGETS if cls.name == name)(Random(0))
    data = path.read_bytes()
    journal.write(0, name, data)
    count, finding = attempt(target, data)
    if finding is not None:
        print(json.dumps({"found": f"{finding.what}\n{finding.detail}", "file": str(path)}))
    print(json.dumps({"done": {name: count}, "kinds": {}}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--executions", type=int, default=0)
    parser.add_argument("--target", action="append", choices=[cls.name for cls in TARGETS])
    parser.add_argument("--replay", type=Path)
    arguments = parser.parse_args()
    # The sanitized build is what counts, not the one that is installed.
    assert Path(mevstream.__file__).is_relative_to(arguments.package), mevstream.__file__
    journal = Journal(arguments.journal)
    if arguments.replay:
        replay(arguments.replay, journal)
    else:
        names = arguments.target or []
        fuzz(
            *(arguments.seed, arguments.seconds, arguments.executions, names),
            *(journal, arguments.findings),
        )


if __name__ == "__main__":
    main()
