"""The fuzzer itself: repeatable, and near enough to real input to get past the first check."""

from random import Random

from fuzz.mutate import Mutator
from fuzz.oracle import Finding, parse
from fuzz.seeds import made_transactions
from fuzz.worker import Target, attempt
from reference import compiled
from reference.decoder import decode

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
