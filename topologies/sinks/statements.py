"""What the sinks of the warm store ask ClickHouse, wherever it runs."""

from collections.abc import Collection, Iterable

from mevstream.codecs.parsed import UNKNOWN_VENUE
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.sinks.engine import Engine
from mevstream.topologies.sinks.rows import letter_id

Slot = tuple[str, int]
"""chain, slot."""

Block = tuple[str, int, bytes]
"""chain, slot, blockhash (32 bytes; NO_KEY: not told)."""

Transaction = tuple[str, int, bytes]
"""chain, slot, signature."""

SINGLE = "blockhash = toFixedString('', 32)"

_TRANSACTION_COUNTS = {
    "transactions": "count()",
    "votes": "countIf(is_vote)",
    "failed": "countIf(NOT is_vote AND NOT success)",
    "succeeded": "countIf(NOT is_vote AND success)",
    "decoded": "countIf(NOT decoded_in_part)",
    "unknown": "countIf(decoded_in_part)",
    "failed_swap_attempts": "sumIf(swap_attempts, NOT success)",
    "logs_truncated": "countIf(log_truncated)",
    "tipped": "countIf(tip > 0)",
    "tip_lamports": "sum(tip)",
    "fee_lamports": "sum(fee)",
    "compute_units": "sum(compute_units)",
}
_SWAP_COUNTS = {
    "swaps": "count()",
    "unknown_venue_swaps": f"countIf(venue = '{UNKNOWN_VENUE}')",
    "event_mismatches": "countIf(event_differs)",
    "router_event_mismatches": "countIf(router_event_differs)",
}
_LETTER_COUNTS = {"dead_lettered": "countIf(position >= 0)"}


def among(slots: Collection[Slot]) -> str:
    """The condition that a row is of one of these slots, of which there must be one."""
    pairs = ", ".join(f"('{_escape(chain)}', {slot})" for chain, slot in slots)
    return f"(chain, slot) IN ({pairs})"


def new_letters(engine: Engine, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Those that the store does not have, each once."""
    by_id = {letter_id(letter): letter for letter in letters}
    if by_id:
        ids = ", ".join(f"unhex('{id_.hex()}')" for id_ in by_id)
        for (known,) in engine.rows(f"SELECT id FROM dead_letters WHERE id IN ({ids})"):
            by_id.pop(known, None)
    return list(by_id.values())


def count_single(engine: Engine, slots: dict[Slot, SlotStatus]) -> None:
    """Sets the counts of slots that gather single transactions from all that they have."""
    if not slots:
        return
    single = f"{among(slots)} AND {SINGLE}"
    for table, columns, condition in (
        ("transactions", _TRANSACTION_COUNTS, single),
        ("swaps", _SWAP_COUNTS, single),
        ("dead_letters", _LETTER_COUNTS, among(slots)),
    ):
        counts = ", ".join(columns.values())
        for chain, slot, *values in engine.rows(
            f"SELECT chain, slot, {counts} FROM {table} FINAL WHERE {condition} "
            "GROUP BY chain, slot"
        ):
            for name, value in zip(columns, values, strict=True):
                setattr(slots[chain, slot], name, value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
