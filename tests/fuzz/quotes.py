"""Target: the programs' quotes, with numbers of any size, against the same arithmetic over Python's
integers (tests/curves/twin.py)."""

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from curves import twin

from fuzz.dictionary import INTEGERS
from fuzz.oracle import Finding
from mevstream.cext import curves

AMOUNT, WIDE, RATE, TICK, FLAG = range(5)
BOUNDS = (0, 1, 2**64 - 1, 2**64, 2**127, 2**128 - 1, 4295048016, 79226673521066979257578248091)
TICKS = (0, 1, 443636, -443636, 443637, 2**31 - 1, -(2**31), 0x7FFFF, 0x80000)
UNITS = (0, 1, 10_000, 10**6, 10**9)

# What each takes: its arguments by position, then by name; three rates in a row are Pump's.
CALLS: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "raydium_v4_out": ((AMOUNT,) * 3 + (RATE,) * 2, {}),
    "raydium_v4_in": ((AMOUNT,) * 3 + (RATE,) * 2, {}),
    "cpmm_out": ((AMOUNT,) * 3 + (RATE,) * 2 + (FLAG,), {}),
    "cpmm_in": ((AMOUNT,) * 3 + (RATE,) * 2 + (FLAG,), {}),
    "token_swap_out": ((AMOUNT,) * 3 + (RATE,) * 3, {}),
    "pump_swap_sell": ((AMOUNT,) * 3 + (RATE,) * 3, {}),
    "pump_swap_buy": ((AMOUNT,) * 3 + (RATE,) * 3, {}),
    "pump_swap_buy_for": ((AMOUNT,) * 3 + (RATE,) * 3, {}),
    "pump_fun_sell": ((AMOUNT,) * 3 + (RATE,) * 2, {}),
    "pump_fun_buy": ((AMOUNT,) * 3 + (RATE,) * 2, {}),
    "pump_fun_buy_for": ((AMOUNT,) * 3 + (RATE,) * 2, {}),
    "range_swap_step": (
        (WIDE, WIDE, WIDE, AMOUNT, RATE),
        {"zero_in": FLAG, "exact_in": FLAG, "fee_on_input": FLAG},
    ),
    "damm_v2_out": ((WIDE, WIDE, AMOUNT, RATE), {"a_in": FLAG, "fee_on_input": FLAG}),
    "tick_root": ((TICK,), {"orca": FLAG}),
    "tick_at": ((WIDE,), {"orca": FLAG}),
    "bin_price": ((TICK, RATE), {}),
    "bin_swap_out": ((WIDE, AMOUNT, RATE), {"x_in": FLAG, "fee_on_input": FLAG}),
    "bin_swap_in": ((WIDE, AMOUNT, RATE), {"x_in": FLAG}),
    "dlmm_fee_rate": ((RATE,) * 5, {}),
}
# The same by the programs' sources; rates beyond their unit are what no program takes.
TWINS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "raydium_v4_out": (twin.fee_out, {}),
    "raydium_v4_in": (twin.fee_in, {}),
    "token_swap_out": (twin.token_swap, {}),
    "pump_swap_sell": (twin.pump_sell, {}),
    "pump_swap_buy": (twin.pump_buy, {"curve": False}),
    "pump_swap_buy_for": (twin.pump_buy_for, {"curve": False}),
    "range_swap_step": (twin.step, {}),
}


class QuotesTarget:
    """Quotes refuse in one way, or give numbers that fit; where there is a twin, its numbers."""

    name = "quotes"
    inputs_a_turn = 32

    def __init__(self, random: Random) -> None:
        self.random = random

    def generate(self) -> bytes:
        """One call, as JSON: name, arguments by position, by name."""
        name = self.random.choice(list(CALLS))
        places, named = CALLS[name]
        calm = self.random.random() < 0.5
        arguments: list[Any] = [self._number(kind, calm) for kind in places]
        if name.startswith("pump"):
            arguments[3:] = [arguments[3:]]
        more = {key: self._number(kind, calm) for key, kind in named.items()}
        return json.dumps([name, arguments, more]).encode()

    def _number(self, kind: int, calm: bool) -> int:
        random = self.random
        if kind == FLAG:
            return random.randrange(2)
        if kind == TICK:
            return random.choice((*TICKS, random.randrange(-443636, 443637)))
        if kind == RATE:
            if calm:
                return random.choice((0, 1, 25, 100, 2_500, 10_000))
            return random.choice((*UNITS, random.getrandbits(random.randrange(1, 33))))
        bits = 128 if kind == WIDE else 64
        if calm:
            return random.getrandbits(random.randrange(20, bits))
        chosen = random.choice((*INTEGERS, *BOUNDS, random.getrandbits(random.randrange(1, bits))))
        # One more than fits is refused before anything is computed.
        return min(chosen, 2**bits - (random.random() < 0.99))

    def check(self, data: bytes) -> int:
        name, arguments, more = json.loads(data)
        found = self.answer(name, arguments, more)
        for number in numbers(found):
            if not -443636 <= number < 2**128:
                raise Finding(f"{name}: a number that no program has", data, str(number))
        if name in TWINS:
            self._compare(name, found, arguments, more, data)
        return 1

    def answer(self, name: str, arguments: list[Any], more: dict[str, Any]) -> Any:
        """None where it is refused."""
        try:
            return getattr(curves, name)(*arguments, **more)
        except (ValueError, OverflowError):
            return None

    def _compare(
        self, name: str, found: Any, arguments: list[Any], more: dict[str, Any], data: bytes
    ) -> None:
        if any(not 0 <= number < 2**128 for number in numbers(arguments)):
            return
        twin_of, options = TWINS[name]
        try:
            self._no_such_rate(name, arguments)
            wanted = twin_of(*arguments, **more, **options)
        except twin.Refused:
            wanted = None
        if found != wanted:
            raise Finding(f"{name} is not what its twin gives", data, f"{found}, not {wanted}")

    def _no_such_rate(self, name: str, arguments: list[Any]) -> None:
        """What the twins leave to their callers: numbers that the program's types do not hold, and
        rates of more than all."""
        amounts = arguments[3:4] if name == "range_swap_step" else arguments[:3]
        if name.startswith("pump"):
            rates, unit = arguments[3], 10_000
        elif name == "range_swap_step":
            rates, unit = arguments[4:], 10**6
        else:
            *rates, unit = arguments[3:]
        if max(amounts) >= 2**64 or unit == 0 or max(rates) > unit:
            raise twin.Refused


def numbers(found: Any) -> Iterable[int]:
    """All there are in an answer, or in arguments."""
    if isinstance(found, int):
        yield found
    elif found is not None:
        for one in found:
            yield from numbers(one)
