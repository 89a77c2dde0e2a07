"""What agents work with: wallets, transactions, pools that they keep to themselves."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import replace

from mevstream.cext.synth_agents import Agents
from mevstream.topologies.raw.simulator import programs, transactions
from mevstream.topologies.raw.simulator.agents.curves import Fill, PoolModel
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.simulator.agents.truth import LookAlike, Opportunity, Sent
from mevstream.topologies.raw.simulator.catalogue import Catalogue
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.template import Template, Version
from mevstream.topologies.raw.simulator.transactions import Hop, Style
from mevstream.topologies.raw.simulator.world import COLUMN_WALLET, Mint, Pool, World

LEADER_SLOTS = 4
# How a swap is called.
DIRECT, PROGRAM, ROUTER = "direct", "program", "router"
# Lamports that an agent leaves in a wallet.
_RESERVE = 50_000_000_000

Agent = Generator[None, None, None]


class Desk:
    """One chain's agents share it. `slot` is the one that is being made."""

    def __init__(
        self, world: World, catalogue: Catalogue, engine: Agents, config: MevConfig
    ) -> None:
        self.world = world
        self.engine = engine
        self.config = config
        self.random = random.Random(f"agents {world.config.seed}")  # noqa: S311 - repeatable on purpose
        self.slot = 0
        self.sent: list[Sent] = []
        self.told: list[Opportunity | LookAlike] = []
        self._catalogue = catalogue
        self._templates: dict[Hashable, int] = {}
        self._kept: dict[int, int] = {}
        self._sides: dict[tuple[int, int], tuple[int, int]] = {}

    @property
    def group(self) -> int:
        """Number of the leader's slots."""
        return self.slot // LEADER_SLOTS

    @property
    def slots_left(self) -> int:
        """Slots of the same leader after this one."""
        return LEADER_SLOTS - 1 - self.slot % LEADER_SLOTS

    def tell(self, what: Opportunity | LookAlike) -> None:
        """For the truth file, with the block that is being made."""
        self.told.append(what)

    # -- wallets ---------------------------------------------------------------------------------

    def group_of(self, pool: Pool) -> int:
        """A group of users who hold the pool's tokens."""
        if pool.token.group >= 0:
            return pool.token.group
        return self.random.randrange(self.world.config.user_groups)

    def wallets(self, role: str, group: int, n: int) -> list[int]:
        """n different wallets of a role, as rows of the users."""
        return self.random.sample(self.world.agents[role][group], n)

    def steady(self, role: str, group: int, hops: Sequence[tuple[int, int]]) -> int | None:
        """A wallet of a role that has not traded any of these pools the other way while this leader
        has the slots (and will not): whoever reverses might sandwich somebody by chance."""
        for user in self.random.sample(self.world.agents[role][group], 4):
            if all(self._sides.get((user, p), (-1, 0)) in ((self.group, side), (-1, 0))
                   or self._sides[user, p][0] != self.group for p, side in hops):  # fmt: skip
                for pool, side in hops:
                    self._sides[user, pool] = (self.group, side)
                return user
        return None

    def held(self, user: int, mint: Mint) -> int:
        """What a wallet has of a mint."""
        return self.engine.held(user, mint.column)

    def can_pay(self, user: int, pool: Pool, side: int, amount: int) -> bool:
        """Whether a wallet has what a swap takes."""
        if pool.venue is Venue.PUMP_FUN and side == 1:
            return self.engine.held(user, COLUMN_WALLET) > amount + _RESERVE
        return self.held(user, pool.mints[side]) >= amount

    # -- pools -----------------------------------------------------------------------------------

    def model(self, pool: int) -> PoolModel:
        """The pool as it is now."""
        return PoolModel(self.world.pools[pool], self.engine.state(pool))

    @contextmanager
    def keep(self, pools: Sequence[int]) -> Generator[None]:
        """Nobody else trades these pools meanwhile, and no other agent while the leader lasts."""
        for pool in pools:
            self.engine.lock(pool, True)
            self._kept[pool] = self.group
        try:
            yield
        finally:
            for pool in pools:
                self.engine.lock(pool, False)

    def fresh(self, pool: int) -> bool:
        """Whether no agent has kept the pool while this leader has the slots or the one before."""
        return self._kept.get(pool, -9) < self.group - 1 and self.engine.is_free(pool, False)

    def pick_pool(self, wanted: Callable[[Pool], bool]) -> int | None:
        """A fresh pool that is wanted."""
        for _ in range(24):
            number = self.random.randrange(len(self.world.pools))
            if wanted(self.world.pools[number]) and self.fresh(number):
                return number
        return None

    # -- transactions ----------------------------------------------------------------------------

    def style(self, group: int, *, tipped: bool, limit: int = 300_000) -> Style:
        """How agents' transactions look."""
        tip = self.world.tip_accounts[group % 8] if tipped else None
        return Style(Version(0, tables=True), group=group, cu_limit=limit, tip=tip)

    def template(self, key: Hashable, make: Callable[[], Template]) -> int:
        """Number of a template, the same for the same key."""
        number = self._templates.get(key)
        if number is None:
            number = self._templates[key] = self._catalogue.add(make)
        return number

    def swap_template(
        self, pool: int, side: int, group: int, *, via: str = DIRECT, tipped: bool = False,
        program: int = 0,
    ) -> int:  # fmt: skip
        """A swap of one pool: by its own instruction, through an agent's program, or Jupiter."""
        world, what = self.world, self.world.pools[pool]
        if what.venue is Venue.PUMP_FUN:
            via = DIRECT
        variant = 1 if what.venue is Venue.WHIRLPOOL and any(m.fee_bps for m in what.mints) else 0
        hop, style = Hop(pool, side, variant), self.style(group, tipped=tipped)

        def make() -> Template:
            if via == PROGRAM:
                return transactions.bot_arbitrage(
                    world, style, [hop], bot=program, failing=False, early=False
                )
            if via == ROUTER:
                return transactions.route(
                    world, style, [hop], shared=False, failing_leg=None, failing=False
                )
            return transactions.direct_swap(world, style, hop, failing=False)

        return self.template(("swap", pool, side, group, via, tipped, program), make)

    def swap(
        self, user: int, pool: int, side: int, amount: int, *, via: str = DIRECT, tip: int = 0,
        program: int = 0, failing: bool = False,
    ) -> Sent | None:  # fmt: skip
        """A swap of one pool."""
        group = self.group_of(self.world.pools[pool])
        number = self.swap_template(pool, side, group, via=via, tipped=tip > 0, program=program)
        return self.send(number, user, amount, hops=((pool, side),), tip=tip)

    def failed_swap(self, user: int, pool: int, side: int, amount: int) -> Sent | None:
        """One that ends in the venue's slippage error."""
        group = self.group_of(self.world.pools[pool])
        style = self.style(group, tipped=False)
        hop = Hop(pool, side, 1 if any(m.fee_bps for m in self.world.pools[pool].mints) else 0)
        number = self.template(
            ("failed", pool, side, group),
            lambda: transactions.direct_swap(self.world, style, hop, failing=True),
        )
        return self.send(number, user, amount, hops=((pool, side),))

    def send_tokens(self, user: int, to: int, mint: Mint, amount: int) -> Sent | None:
        """Tokens from wallet to wallet."""
        style = replace(self.style(max(mint.group, 0), tipped=False), cu_limit=60_000)
        number = self.template(
            ("tokens", mint.address),
            lambda: transactions.plain_token_transfer(self.world, style, mint, failing=False),
        )
        return self.send(number, user, amount, other=to)

    def send_lamports(self, user: int, to: int, amount: int) -> Sent | None:
        """SOL from wallet to wallet."""
        style = replace(self.style(0, tipped=False), cu_limit=1_450)
        number = self.template(
            "lamports", lambda: transactions.sol_transfer(self.world, style)
        )  # fmt: skip
        return self.send(number, user, amount, other=to)

    def price(self) -> int:
        """Micro-lamports a compute unit."""
        return round(self.random.lognormvariate(9.8, 0.9)) + 1

    def send(
        self, number: int, user: int, amount: int, *, hops: Sequence[tuple[int, int]] = (),
        other: int | None = None, tip: int = 0, price: int | None = None,
        extras: Sequence[int] = (),
    ) -> Sent | None:  # fmt: skip
        """Sends a transaction of a template; None where it cannot be done."""
        price = self.price() if price is None else price
        done = self.engine.send(
            number, user, user if other is None else other, amount, tip, price, extras
        )
        if done is None:
            return None
        index, at, fee, legs = done
        fills = tuple(Fill(paid, got, into, out) for into, out, paid, got, _ in legs)
        wallet = self.world.name(int(self.world.users[user, COLUMN_WALLET]))
        sent = Sent(self.slot, index, at, user, wallet, fee, tip, tuple(hops), fills)
        self.sent.append(sent)
        return sent

    def address(self, pool: int) -> str:
        """Of a pool."""
        return self.world.name(self.world.pools[pool].account)

    def lamports_of(self, mint: Mint, amount: int) -> int:
        """About what an amount of a mint is worth."""
        return int(amount * mint.price)

    def is_sol(self, mint: Mint) -> bool:
        """Whether base units are lamports."""
        return mint.address == programs.WSOL

    def tip_of(self, gain: int, share: float) -> int:
        """A tip that takes about `share` of a gain in lamports, 1,000 at least."""
        return max(1_000, int(gain * share))
