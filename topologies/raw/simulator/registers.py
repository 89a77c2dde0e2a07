"""Registers of cext/synth.pyx: where an amount of a transaction is found when it is filled in."""

from enum import IntEnum


class Register(IntEnum):
    """Amounts of the whole transaction (u64)."""

    TIP = 0
    PRICE = 1
    AMOUNT = 2
    WRAP = 3
    TIME = 4
    ROOT = 5
    QUOTED = 6
    RECEIVED = 7
    # Whoever sends the transaction fills these.
    EXTRA = 8


class LegField(IntEnum):
    """Amounts of one leg (u64; the square roots and the liquidity take two)."""

    IN = 0
    OUT = 1
    IN_NET = 2
    OUT_NET = 3
    IN_FEE = 4
    OUT_FEE = 5
    RESERVE_IN = 6
    RESERVE_OUT = 7
    SOURCE = 8
    DESTINATION = 9
    FEE = 10
    PROTOCOL = 11
    CREATOR = 12
    LIMIT = 13
    SQRT_BEFORE = 14
    SQRT_AFTER = 16
    LIQUIDITY = 18
    TICK = 20
    VIRTUAL_SOL = 21
    VIRTUAL_TOKEN = 22
    REAL_SOL = 23
    REAL_TOKEN = 24
    TOTAL_IN = 25
    RECEIVED = 26
    QUOTE = 27
    QUOTE_WITH_LP = 28
    RESERVE_0 = 29
    RESERVE_1 = 30
    LP = 31
    BIN_BEFORE = 32
    BIN_AFTER = 33
    GROWTH = 34
    LIQUIDITY_AFTER = 36
    SEGMENT = 37
    GROWTH_2 = 38


_FIRST_LEG = 16
_LEG_SIZE = 40
MAX_LEGS = 4


def leg_register(leg: int, field: LegField) -> int:
    """The register of a leg's field."""
    return _FIRST_LEG + _LEG_SIZE * leg + field
