"""Every knob of the simulator, with the statistics that its defaults come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mevstream.errors import InputError
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.simulator.programs import VENUE_NAMES


def _venue_shares() -> Mapping[str, float]:
    return {
        "raydium_amm_v4": 0.14,
        "raydium_cpmm": 0.08,
        "raydium_clmm": 0.10,
        "orca_whirlpool": 0.12,
        "meteora_dlmm": 0.12,
        "pump_swap": 0.26,
        "pump_fun": 0.18,
    }


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """What the simulated chain looks like. Shares are 0 … 1; defaults follow mainnet of 2025/26.

    Two chains of equal configuration are equal byte for byte.
    """

    seed: int = 1
    # The chain.
    first_slot: int = 400_000_000
    start_time: int = 1_790_000_000
    slot_ms: int = 250
    transactions_per_slot: int = 1290
    vote_share: float = 0.52
    # What transactions that are no votes do.
    failed_share: float = 0.45
    arbitrage_share: float = 0.30
    arbitrage_failed_share: float = 0.96
    transfer_share: float = 0.12
    token_transfer_share: float = 0.08
    route_share: float = 0.25
    sandwiches_per_slot: float = 0.05
    # Tips: share of swap templates that tip, log-normal by its median and 95th percentile.
    tipped_share: float = 0.30
    tip_median_lamports: int = 10_000
    tip_p95_lamports: int = 1_450_000
    # Compute-unit price and trade size, log-normal by median and sigma (of the logarithm).
    priority_median_microlamports: int = 30_000
    priority_sigma: float = 1.6
    trade_median_lamports: int = 250_000_000
    trade_sigma: float = 1.7
    # Message versions of what is no vote; the rest is v0.
    legacy_share: float = 0.17
    v1_share: float = 0.01
    # The world.
    users: int = 1024
    user_groups: int = 8
    mints_per_group: int = 8
    token_2022_share: float = 0.15
    validators: int = 673
    pools_per_venue: int = 24
    hub_pools: int = 4
    routes: int = 160
    arbitrage_routes: int = 96
    venue_shares: Mapping[str, float] = field(default_factory=_venue_shares)
    # How often a trade goes against the drift of its pool, so that prices stay near the start.
    reversion: float = 0.62
    # Real ed25519 signatures (slow); else 64 random bytes each.
    sign: bool = False
    # Agents that make MEV, and what only looks like it, with the truth beside it; and pools of
    # several ranges and bins. None: cycles and sandwiches happen, and nobody keeps book.
    mev: MevConfig | None = None

    def __post_init__(self) -> None:
        """Raises InputError where a value makes no sense."""
        for name in self.__slots__:
            value = getattr(self, name)
            if name.endswith("_share") and not 0 <= value <= 1:
                raise InputError(f"simulator: {name} is {value}, which is not within 0 and 1")
        for name, least in (
            ("first_slot", 1000),
            ("slot_ms", 1),
            ("transactions_per_slot", 1),
            ("tip_median_lamports", 1),
            ("priority_median_microlamports", 1),
            ("trade_median_lamports", 1000),
            ("user_groups", 1),
            ("validators", 1),
            ("pools_per_venue", 1),
            ("hub_pools", 1),
            ("routes", 1),
            ("arbitrage_routes", 1),
        ):
            if getattr(self, name) < least:
                raise InputError(f"simulator: {name} is {getattr(self, name)}, less than {least}")
        if self.first_slot >= 2**63:
            raise InputError(f"simulator: first_slot {self.first_slot} is 2**63 or more")
        if not 0 <= self.seed < 2**64:
            raise InputError(f"simulator: seed {self.seed} is not an unsigned 64-bit number")
        if not 1 <= self.mints_per_group <= 32:
            raise InputError("simulator: mints_per_group has to be 1 … 32")
        if self.users < 4 * self.user_groups + 16:
            raise InputError("simulator: users have to be at least 4 * user_groups + 16")
        if self.tip_p95_lamports < self.tip_median_lamports:
            raise InputError("simulator: tip_p95_lamports is below the median")
        kinds = self.arbitrage_share + self.transfer_share + self.token_transfer_share
        if kinds + self.route_share > 1:
            raise InputError(
                "simulator: arbitrage, transfer, token_transfer and route shares exceed 1"
            )
        if set(self.venue_shares) != set(VENUE_NAMES) or sum(self.venue_shares.values()) <= 0:
            raise InputError(f"simulator: venue_shares has to name {', '.join(VENUE_NAMES)}")
