"""How often agents of the simulated chain make MEV, and how: knobs with their statistics."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mevstream.errors import InputError


@dataclass(frozen=True, slots=True)
class MevConfig:
    """The agents' knobs. Shares are 0 … 1; defaults follow mainnet of 2024 to 2026.

    How many atomic arbitrages land follows from SimulatorConfig (transactions, `vote_share`,
    `arbitrage_share`, `arbitrage_failed_share`), how many sandwiches from `sandwiches_per_slot`.
    """

    # Of the arbitrages: follow a large swap; are a bundle with a tip, whose part of the gain
    # is about Beta(5, 5); start and end in USDC; cost more than they gain.
    backrun_share: float = 0.4
    bundled_share: float = 0.34
    break_even_share: float = 0.05
    # Behind an arbitrage: share of them that others try as well, how many times at the median
    # (log-normal, sigma 1.2), and at most.
    burst_share: float = 0.5
    burst_median: int = 4
    burst_largest: int = 300
    # Of the sandwiches: over several slots of a leader; with a tip.
    wide_share: float = 0.4
    sandwich_bundled_share: float = 0.6
    jit_per_slot: float = 0.01
    liquidations_per_slot: float = 0.02
    # What looks like MEV and is none; each kind equally often.
    look_alikes_per_slot: float = 0.1
    # Wallets of a volume-bot fleet, and of the agents in all, per group of users.
    fleet: int = 24

    def __post_init__(self) -> None:
        """Raises InputError where a value makes no sense."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_share") and not 0 <= value <= 1:
                raise InputError(f"simulator: {field.name} is {value}, not within 0 and 1")
            if not 0 <= value < 1 << 20:
                raise InputError(f"simulator: {field.name} is {value}, not within 0 and 2**20")
        if self.burst_median < 1 or self.burst_largest < 1:
            raise InputError("simulator: bursts have at least one transaction")
        if not 6 <= self.fleet <= 200:
            raise InputError("simulator: a fleet has 6 to 200 wallets")
