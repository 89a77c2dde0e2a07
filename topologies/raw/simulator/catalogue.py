"""What can happen on the simulated chain: choices with their templates, and how often.

A choice is a pool, a route or a cycle in a fixed style. It has four templates: success and
failure, in one direction and the other. Templates are built when first drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from mevstream.errors import InputError
from mevstream.topologies.raw.simulator import transactions
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.template import LegTruth, Template, Version
from mevstream.topologies.raw.simulator.transactions import BY_ATA, BY_SEED, KEPT, Hop, Style
from mevstream.topologies.raw.simulator.world import NATIVE, PERSISTENT, Pool, World

MENU_SIZE = 4096
VARIANTS = {Venue.RAYDIUM_V4: 3, Venue.RAYDIUM_CLMM: 2, Venue.WHIRLPOOL: 2, Venue.DLMM: 2}
STYLES_PER_POOL = 2
# Pools of a venue by popularity: the k-th most traded has weight 1 / k.
ZIPF = 1.0
SPARE_TEMPLATES = 1 << 15

Maker = Callable[[], Template]


class Catalogue:
    """All choices of a world. `choices`: rows of four template numbers and the pool whose price
    steers the direction (-1 none); `menus`: per kind the choices, as often as they are drawn."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.config = world.config
        self.random = random.Random(f"catalogue {self.config.seed}")  # noqa: S311 - repeatable on purpose
        self._makers: list[Maker] = []
        self.truths: dict[int, list[LegTruth]] = {}
        self.choices: list[tuple[int, int, int, int, int]] = []
        self.vote_templates = [
            self._add(lambda: transactions.vote(world, separate_authority=False))
        ] * 9 + [self._add(lambda: transactions.vote(world, separate_authority=True))]
        self.menus = [
            self._transfers(),
            self._token_transfers(),
            self._swaps(),
            self._routes(),
            self._arbitrages(),
        ]
        # How many templates there are, built or not, without those that agents add.
        self.n_templates = len(self._makers)

    def add(self, maker: Maker) -> int:
        """Number of a further template, made when it is first used."""
        if len(self._makers) >= self.n_templates + SPARE_TEMPLATES:
            raise ValueError("agents ask for too many kinds of transactions")
        return self._add(maker)

    def build(self, number: int) -> Template:
        """Builds a template and remembers the truth of its legs."""
        template = self._makers[number]()
        self.truths[number] = template.truths
        return template

    # -- kinds -----------------------------------------------------------------------------------

    def _transfers(self) -> list[int]:
        out: list[int] = []
        for style in (
            Style(Version(-1), cu_limit=0, priced=False),
            Style(Version(-1), cu_limit=1_450),
            Style(Version(0), cu_limit=1_450),
            Style(Version(1), cu_limit=1_450),
        ):
            number = self._add(lambda s=style: transactions.sol_transfer(self.world, s))
            self.choices.append((number, number, number, number, -1))
            out.append(len(self.choices) - 1)
        v1, legacy = self.config.v1_share, 0.6 - self.config.v1_share
        return self._menu(out, [legacy / 2, legacy / 2, 1 - v1 - legacy, v1])

    def _token_transfers(self) -> list[int]:
        out: list[int] = []
        # One or two groups' users hold a mint; hub mints go between users of any one group.
        plain = [m for m in self.world.mints if m.fee_bps == 0]
        for mint in [self.world.usdc] * self.config.user_groups + plain:
            group = mint.group if mint.group >= 0 else len(out) % self.config.user_groups
            style = replace(
                self._style(group, self.random.choice((PERSISTENT, NATIVE))),
                tip=None,
                cu_limit=60_000,
            )
            numbers = [
                self._add(
                    lambda s=style, m=mint, f=failing: transactions.plain_token_transfer(
                        self.world, s, m, failing=f
                    )
                )
                for failing in (False, True)
            ]
            self.choices.append((*numbers, *numbers, -1))  # pyright: ignore[reportArgumentType]
            out.append(len(self.choices) - 1)
        return out

    def _swaps(self) -> list[int]:
        out: list[int] = []
        weights: list[float] = []
        for number, weight in self._ranked():
            pool = self.world.pools[number]
            for _ in range(STYLES_PER_POOL):
                style = self._style_for([pool])
                variant = self.variant(pool)
                buy = Hop(number, pool.hub_side, variant)
                out.append(
                    self._pair(
                        lambda hop, failing, s=style: transactions.direct_swap(
                            self.world, s, hop[0], failing=failing
                        ),
                        [buy],
                        number,
                    )
                )
                weights.append(weight)
        return self._menu(out, weights)

    def _routes(self) -> list[int]:
        out: list[int] = []
        weights: list[float] = []
        ranked = self._ranked()
        for number, weight in ranked:
            out.append(self._route([Hop(number, self.world.pools[number].hub_side,
                                        self.variant(self.world.pools[number]))]))  # fmt: skip
            weights.append(weight)
        total = sum(weights)
        two_hops = self._two_hops()
        multi = [self._multi_route() for _ in range(self.config.routes)]
        made = [m for m in multi if m is not None]
        out += made
        weights += [0.45 * total / max(len(made), 1)] * len(made)
        out += two_hops
        weights += [0.05 * total / max(len(two_hops), 1)] * len(two_hops)
        return self._menu(out, weights)

    def _arbitrages(self) -> list[int]:
        """Cycles from wrapped SOL through two pools of one mint."""
        by_mint: dict[int, list[int]] = {}
        for number, pool in enumerate(self.world.pools):
            if pool.hub_is_sol and pool.venue is not Venue.PUMP_FUN and not pool.token.fee_bps:
                by_mint.setdefault(pool.token.account, []).append(number)
        pairs = [
            (one, two)
            for numbers in by_mint.values()
            for i, one in enumerate(numbers)
            for two in numbers[i + 1 :]
        ]
        if not pairs:
            raise InputError(
                "simulator: no two pools trade one mint for SOL, so there is no arbitrage; "
                "more pools_per_venue or fewer mints are needed"
            )
        self.random.shuffle(pairs)
        return [self._arbitrage(*pair) for pair in pairs[: self.config.arbitrage_routes]]

    # -- choices ---------------------------------------------------------------------------------

    def _pair(self, make: Callable[[list[Hop], bool], Template], hops: list[Hop], pool: int) -> int:
        """A choice: make(hops, failing) forward and backward."""
        back = [replace(h, side_in=1 - h.side_in) for h in reversed(hops)]
        numbers = [
            self._add(lambda h=direction, f=failing: make(h, f))
            for direction in (hops, back)
            for failing in (False, True)
        ]
        self.choices.append((*numbers, pool))  # pyright: ignore[reportArgumentType]
        return len(self.choices) - 1

    def _route(self, hops: list[Hop]) -> int:
        world, rng = self.world, self.random
        pools = [world.pools[h.pool] for h in hops]
        pumps = any(p.venue in (Venue.PUMP_SWAP, Venue.PUMP_FUN) for p in pools)
        fees = any(m.fee_bps for p in pools for m in p.mints)
        shared = not pumps and not fees and rng.random() < 0.35
        style = self._style_for(pools)
        if any(p.venue is Venue.PUMP_FUN for p in pools):
            # What the curve pays is wrapped into an account that has to be there.
            style = replace(style, user_class=PERSISTENT, wrap=KEPT)
        style = replace(
            style,
            version=style.version if style.version.number == 1 else Version(0, tables=True),
            cu_limit=rng.choice((250_000, 400_000, 600_000)) + 90_000 * (len(hops) - 1),
        )
        failing_leg = rng.choice((None, None, 0, len(hops) - 1))

        def make(chosen: list[Hop], failing: bool) -> Template:
            first = world.pools[chosen[0].pool]
            if first.venue is Venue.PUMP_FUN and chosen[0].side_in == 1:
                return transactions.direct_swap(world, style, chosen[0], failing=failing)
            return transactions.route(
                world, style, chosen, shared=shared, failing_leg=failing_leg, failing=failing
            )

        return self._pair(make, hops, hops[0].pool if len(hops) == 1 else -1)

    def _multi_route(self) -> int | None:
        """Two or three pools in a row, by mints that the same users hold."""
        rng, pools = self.random, self.world.pools
        usable = [
            n
            for n, p in enumerate(pools)
            if p.venue is not Venue.PUMP_FUN and p.token is not self.world.wsol
        ]
        bridges = [n for n, p in enumerate(pools) if p.token is self.world.wsol]
        start = rng.choice(usable)
        first = pools[start]
        hops = [Hop(start, 1 - first.hub_side, self.variant(first))]
        hub = first.hub
        if rng.random() < 0.5:
            bridge = rng.choice(bridges)
            side = 0 if hub is self.world.wsol else 1
            hops.append(Hop(bridge, side, self.variant(pools[bridge])))
            hub = pools[bridge].mints[1 - side]
        if len(hops) == 1 or rng.random() < 0.4:
            ends = [
                n
                for n in usable
                if pools[n].hub is hub
                and pools[n].token.group == first.token.group
                and pools[n].token is not first.token
            ]
            if ends:
                end = rng.choice(ends)
                hops.append(Hop(end, pools[end].hub_side, self.variant(pools[end])))
        return self._route(hops) if len(hops) > 1 else None

    def _two_hops(self) -> list[int]:
        """Pairs of Whirlpools with a common hub, by the program's own two-hop instructions."""
        pools = self.world.pools
        whirlpools = [
            n for n, p in enumerate(pools)
            if p.venue is Venue.WHIRLPOOL and p.token is not self.world.wsol
        ]  # fmt: skip
        out: list[int] = []
        for one in whirlpools:
            for two in whirlpools:
                a, b = pools[one], pools[two]
                if one >= two or a.hub is not b.hub or a.token.group != b.token.group:
                    continue
                if a.token is b.token:
                    continue
                v2 = bool(a.token.fee_bps or b.token.fee_bps or self.random.random() < 0.5)
                style = replace(self._style(a.token.group, PERSISTENT), cu_limit=400_000)
                out.append(
                    self._pair(
                        lambda hops, failing, s=style, v=v2: transactions.two_hop_swap(
                            self.world, s, hops, v2=v, failing=failing
                        ),
                        [Hop(one, 1 - a.hub_side), Hop(two, b.hub_side)],
                        -1,
                    )
                )
        return out

    def _arbitrage(self, one: int, two: int) -> int:
        world, rng, pools = self.world, self.random, self.world.pools
        style = replace(
            self._style(pools[one].token.group, PERSISTENT),
            version=Version(0, tables=True),
            tip=rng.choice(world.tip_accounts) if rng.random() < 0.5 else None,
            cu_limit=rng.choice((350_000, 500_000)),
        )
        hops = [
            Hop(one, pools[one].hub_side, self.variant(pools[one])),
            Hop(two, 1 - pools[two].hub_side, self.variant(pools[two])),
        ]
        by_router, bot, early = rng.random() < 0.3, rng.randrange(4), rng.random() < 0.5

        def make(chosen: list[Hop], failing: bool) -> Template:
            if by_router:
                return transactions.route(
                    world, style, chosen, shared=False, failing_leg=None, failing=failing
                )
            return transactions.bot_arbitrage(
                world, style, chosen, bot=bot, failing=failing, early=early
            )

        return self._pair(make, hops, -1)

    # -- styles ----------------------------------------------------------------------------------

    def _style(self, group: int, user_class: int) -> Style:
        rng, config = self.random, self.config
        draw = rng.random()
        if draw < config.v1_share:
            version = Version(1)
        elif draw < config.v1_share + config.legacy_share:
            version = Version(-1)
        else:
            version = Version(0, tables=rng.random() < 0.6)
        tips = rng.random() < config.tipped_share
        return Style(
            version,
            group=group,
            user_class=user_class,
            cu_limit=rng.choice((200_000, 250_000, 300_000, 400_000)),
            tip=rng.choice(self.world.tip_accounts) if tips else None,
            tip_first=rng.random() < 0.3,
        )

    def _style_for(self, pools: Sequence[Pool]) -> Style:
        groups = [p.token.group for p in pools if p.token.group >= 0]
        group = groups[0] if groups else self.random.randrange(self.config.user_groups)
        # A pool of two hub mints moves wrapped SOL between accounts that stay.
        hubs = any(p.token is self.world.wsol for p in pools)
        user_class = PERSISTENT if hubs else self.random.choice((PERSISTENT, NATIVE))
        style = self._style(group, user_class)
        if user_class == NATIVE:
            style = replace(style, wrap=self.random.choice((BY_SEED, BY_ATA)))
        return style

    def variant(self, pool: Pool) -> int:
        """One of the venue's instructions that the pool takes."""
        if pool.venue is Venue.WHIRLPOOL and any(m.fee_bps for m in pool.mints):
            return 1
        return self.random.randrange(VARIANTS.get(pool.venue, 1))

    # -- how often -------------------------------------------------------------------------------

    def _ranked(self) -> list[tuple[int, float]]:
        """(pool, weight): the venue's share spread over its pools by rank."""
        shares = self.config.venue_shares
        by_venue: dict[Venue, list[int]] = {}
        for number, pool in enumerate(self.world.pools):
            by_venue.setdefault(pool.venue, []).append(number)
        out: list[tuple[int, float]] = []
        names = transactions.programs.VENUE_NAMES
        for venue, numbers in by_venue.items():
            ranks = [1 / (k + 1) ** ZIPF for k in range(len(numbers))]
            out += [
                (n, shares[names[venue]] * rank / sum(ranks))
                for n, rank in zip(numbers, ranks, strict=True)
            ]
        return out

    def _menu(self, choices: Sequence[int], weights: Sequence[float]) -> list[int]:
        """MENU_SIZE entries; each choice as often as its weight says, at least once."""
        total = sum(weights)
        out: list[int] = []
        for choice, weight in zip(choices, weights, strict=True):
            if weight > 0:
                out += [choice] * max(1, round(MENU_SIZE * weight / total))
        return out

    def _add(self, maker: Maker) -> int:
        self._makers.append(maker)
        return len(self._makers) - 1
