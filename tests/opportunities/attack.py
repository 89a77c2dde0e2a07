"""A sandwich, put together leg by leg."""

from __future__ import annotations

from opportunities.scene import SOL, Chain, Pool, Told, Tx, found, pool


def deep(name: str = "pool", **more: bool | str | int) -> Pool:
    return pool(name, SOL, "X", 100_000_000_000, 10_000_000_000_000, **more)


class Attack:
    """A front and a back around whatever is between, all in one pool."""

    def __init__(self, *, told: bool = True, size: int = 2_000_000_000) -> None:
        self.pool = deep(told=told)
        self.without = deep()
        self.chain = Chain()
        self.size = size
        self.bought = self.spent = 0

    def front(
        self, slot: int = 4, payer: str = "attacker", trader: str | None = None, **more: object
    ) -> None:
        swap = self.pool.swap(SOL, self.size, trader)
        self.bought += swap.amount_out
        self.spent += swap.amount_in
        self.chain.add(slot, Tx(payer, [swap], **more))  # pyright: ignore[reportArgumentType]

    def victim(self, slot: int = 4, name: str = "victim", size: int = 5_000_000_000) -> None:
        self.chain.add(slot, Tx(name, [self.pool.swap(SOL, size)]))
        self.without.swap(SOL, size)

    def back(
        self,
        slot: int = 4,
        payer: str = "attacker",
        trader: str | None = None,
        amount: int | None = None,
        **more: object,
    ) -> None:
        swap = self.pool.swap("X", self.bought if amount is None else amount, trader)
        self.chain.add(slot, Tx(payer, [swap], **more))  # pyright: ignore[reportArgumentType]

    @property
    def found(self) -> list[Told]:
        return found(self.chain)

    @property
    def one(self) -> Told:
        (one,) = self.found
        return one
