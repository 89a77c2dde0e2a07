"""A transaction template: the wire form of one kind of transaction, with holes.

Accounts are numbers: those of the world from 0 up; -1 - (64 * party + column) for the columns of
the user, the other user and the validator, which differ from transaction to transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from mevstream.topologies.raw.simulator.blob import Piece

NONE = -1


class EffectKind(IntEnum):
    """How the engine moves balances."""

    LAMPORTS = 0
    TOKENS = 1
    SYNC = 2
    CLOSE = 3
    RENT = 4
    BURN = 5


@dataclass(frozen=True, slots=True)
class Meta:
    """An instruction's account in the list: may it be written, must it sign."""

    account: int
    writable: bool = False
    signer: bool = False


def w(account: int) -> Meta:
    """Writable."""
    return Meta(account, writable=True)


def r(account: int) -> Meta:
    """Read-only."""
    return Meta(account)


def s(account: int) -> Meta:
    """Signer, read-only."""
    return Meta(account, signer=True)


def ws(account: int) -> Meta:
    """Signer, writable."""
    return Meta(account, writable=True, signer=True)


@dataclass(slots=True)
class Instruction:
    """One instruction; inner ones carry their stack height."""

    program: int
    accounts: list[int]
    data: tuple[Piece, ...]
    height: int = 1
    inner: list[Instruction] = field(default_factory=list["Instruction"])


@dataclass(frozen=True, slots=True)
class LegTruth:
    """What is known of a leg before its amounts are."""

    ix_path: str
    program: str
    venue: str
    router: str | None
    pool: str
    mint_in: str
    mint_out: str


@dataclass(slots=True)
class Template:
    """The wire form with holes; fields as cext/synth.pyx reads them."""

    failed: bool
    wrapped: bool
    group: int
    user_class: int
    n_signatures: int
    cu_limit: int
    cu_base: int
    cu_jitter: int
    cost_base: int
    fixed_priority: int
    n_accounts: int
    accounts: list[int]
    tokens: list[tuple[int, int, int]]
    legs: list[tuple[int, ...]]
    effects: list[tuple[int, ...]]
    events: bytes
    event_patches: list[tuple[int, ...]]
    message: bytes
    message_patches: list[tuple[int, ...]]
    meta: bytes
    meta_patches: list[tuple[int, ...]]
    tail: bytes
    error: bytes
    truths: list[LegTruth]


@dataclass(frozen=True, slots=True)
class Version:
    """How the message is laid out: -1 legacy, 0 (with or without lookup tables), 1."""

    number: int
    tables: bool = False


class TooLarge(ValueError):
    """The transaction does not fit its packet."""


class WidthChanged(ValueError):
    """A number in the log would change its number of digits with the jitter."""
