"""The fuzzer itself: repeatable, and near enough to real input to get past the first check."""

import json
from collections import Counter
from random import Random

import pytest
from fuzz import chains
from fuzz.graphs import GraphTarget
from fuzz.mutate import Mutator
from fuzz.oracle import Finding, parse
from fuzz.quotes import QuotesTarget
from fuzz.seeds import made_transactions
from fuzz.stages import OpportunitiesTarget
from fuzz.worker import TARGETS, Target, attempt
from reference import compiled
from reference.decoder import decode

from mevstream.codecs.opportunities import Kind, OpportunityView, Origin
from mevstream.topologies.chain import OPPORTUNITIES

SEEDS = made_transactions()


def mutants(seed: int, count: int) -> list[bytes]:
    mutator = Mutator(SEEDS, Random(seed))
    return [mutator.mutant() for _ in range(count)]


def test_seeds_are_what_is_decoded() -> None:
    messages = [message for message in map(parse, SEEDS) if message is not None]
    assert len(messages) == len(SEEDS)
    swaps = [message for message in messages if decode(message).legs]
    assert len(swaps) > 150
    others = [message for message in messages if message not in swaps]
    assert sum(bool(compiled.changes(one) or compiled.liquidations(one)) for one in others) > 150


def test_the_same_seed_gives_the_same_mutants() -> None:
    assert mutants(1, 200) == mutants(1, 200)
    assert mutants(1, 200) != mutants(2, 200)


def test_mutants_are_read_and_refused_in_fair_parts() -> None:
    made = mutants(3, 1000)
    read = sum(parse(mutant) is not None for mutant in made)
    assert 300 < read < 950
    assert sum(mutant in SEEDS for mutant in made) < 200


class Broken(Target):
    name = "broken"
    inputs_a_turn = 1

    def __init__(self, random: Random) -> None:
        self.random = random

    def generate(self) -> bytes:
        return b"input"

    def check(self, data: bytes) -> int:
        if data == b"wrong":
            raise Finding("wrong", data[:1])
        return len(data) // 0


def test_what_is_wrong_is_a_finding_and_so_is_what_nobody_announced() -> None:
    target = Broken(Random(0))
    count, finding = attempt(target, b"wrong")
    assert (count, finding and (finding.what, finding.data)) == (1, ("wrong", b"w"))
    count, finding = attempt(target, target.generate())
    assert finding is not None
    assert "ZeroDivisionError" in finding.what
    assert finding.data == b"input"


@pytest.mark.parametrize("made", TARGETS)
def test_the_same_seed_gives_the_same_inputs(made: type[Target]) -> None:
    one, two = made(Random(4)), made(Random(4))
    assert [one.generate() for _ in range(3)] == [two.generate() for _ in range(3)]


def test_changed_chains_still_have_opportunities() -> None:
    """Half of the batches and more are read, with opportunities of every kind, observed and
    predicted; and some snapshots are refused."""
    target = OpportunitiesTarget(Random(5))
    made: Counter[int] = Counter()
    kinds: dict[int, set[int]] = {Origin.observed: set(), Origin.predicted: set()}
    read = refused = 0
    for _ in range(60):
        data = target.generate()
        stage = target.new_stage()
        for kind, part in chains.parts(data):
            made[kind] += 1
            if kind == chains.CHANGED_SNAPSHOT:
                refused += target.changed(stage.snapshot(), part, data) is None
            if kind != chains.BATCH:
                continue
            (record,) = stage(part)
            if record.topic == OPPORTUNITIES:
                read += 1
                view = OpportunityView(record.value)
                for origin, there in kinds.items():
                    there.update(view.opp_kind[view.opp_origin == origin].tolist())
    assert read > 0.6 * made[chains.BATCH]
    assert 0 < refused < made[chains.CHANGED_SNAPSHOT] / 2
    assert kinds[Origin.observed] == {*Kind} - {Kind.exposure}
    assert kinds[Origin.predicted] == {Kind.arbitrage, Kind.backrun, Kind.exposure}


def test_graphs_have_cycles() -> None:
    target = GraphTarget(Random(6))
    found = [target.cycles(json.loads(target.generate()), b"") for _ in range(100)]
    assert sum(map(bool, found)) > 50


def test_calls_are_answered_and_refused_in_fair_parts() -> None:
    target = QuotesTarget(Random(7))
    answered = Counter(target.answer(*json.loads(target.generate())) is None for _ in range(2000))
    assert 500 < answered[True] < 1500
