"""The tip floor: what transactions have paid lately to be taken.

Every market partition has to come to the same number, so only those transactions count that every
partition sees, the ones with a swap between hubs (docs/partitioning.md); and only those of earlier
slots, so that it is the same however a slot is cut into batches.
"""

from collections.abc import Iterable

LEAST_TIP = 1_000
"""Lamports: the least that Jito's block engine takes of a bundle."""

WINDOW = 150
"""Slots that count: about a minute."""


class TipFloor:
    """percentile: of the tips of the last WINDOW slots, above 0 up to 100, by nearest rank; fixed:
    lamports that are always the floor, instead."""

    def __init__(self, percentile: float = 50, fixed: int | None = None) -> None:
        self._percentile = percentile
        self._fixed = fixed
        self._tips: dict[int, list[int]] = {}
        self._known: tuple[int, int] | None = None

    def at(self, slot: int) -> int:
        """The floor in a slot, lamports."""
        if self._fixed is not None:
            return self._fixed
        if self._known is None or self._known[0] != slot:
            self._known = (slot, self._find(slot))
        return self._known[1]

    def _find(self, slot: int) -> int:
        tips = sorted(
            tip for at, tips in self._tips.items() if slot - WINDOW <= at < slot for tip in tips
        )
        if not tips:
            return LEAST_TIP
        rank = -int(-self._percentile * len(tips) // 100)
        return max(LEAST_TIP, tips[max(rank, 1) - 1])

    def add(self, slot: int, tips: Iterable[int]) -> None:
        """Tips, above 0, that transactions of this slot paid."""
        self._tips.setdefault(slot, []).extend(tips)
        for old in [at for at in self._tips if at < slot - WINDOW]:
            del self._tips[old]

    # -- state ----------------------------------------------------------------------------------

    def slots(self) -> list[tuple[int, list[int]]]:
        """What is known, by slot, in the order in which slots came, for `put`."""
        return list(self._tips.items())

    def put(self, slots: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Puts back what `slots` gave, in place of what there is."""
        self._tips = {slot: list(tips) for slot, tips in slots}
        self._known = None
