"""What has the shape of MEV and is none: whoever labels it is wrong (protocol facts 6.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mevstream.topologies.raw.simulator import transactions
from mevstream.topologies.raw.simulator.agents.arbitrage import Cycle
from mevstream.topologies.raw.simulator.agents.curves import PoolModel
from mevstream.topologies.raw.simulator.agents.desk import DIRECT, ROUTER, Agent, Desk
from mevstream.topologies.raw.simulator.agents.liquidity import Providers
from mevstream.topologies.raw.simulator.agents.sandwiches import depth, rehearse
from mevstream.topologies.raw.simulator.agents.truth import LookAlike, Sent
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.template import Template
from mevstream.topologies.raw.simulator.transactions import Hop
from mevstream.topologies.raw.simulator.world import Pool


def _costly(pool: Pool) -> bool:
    """Where a round trip costs half a per cent at least, and no mint has a transfer fee."""
    if any(pool.transfer_fee_bps):
        return False
    match pool.venue:
        case Venue.RAYDIUM_CPMM | Venue.RAYDIUM_CLMM | Venue.WHIRLPOOL:
            return pool.fee_rate >= 2500
        case Venue.DLMM:
            return pool.fee_rate >= 2_500_000
        case _:
            return True


class Impostors:
    """Every kind of look-alike, each as an agent."""

    def __init__(self, desk: Desk, cycles: Sequence[Cycle], providers: Providers) -> None:
        self.desk, self.cycles = desk, cycles
        pools = desk.world.pools
        tokens = [n for n, p in enumerate(pools) if any(p.transfer_fee_bps)]
        self.fee_pools = tokens
        # Two pools of one mint with a transfer fee and one hub.
        self.fee_pairs = [
            (a, b) for a in tokens for b in tokens
            if a != b and pools[a].token is pools[b].token and pools[a].hub is pools[b].hub
        ]  # fmt: skip
        self.kinds: tuple[Callable[[], Agent], ...] = (
            self.volume_bots,
            self.wash_trades,
            self.market_maker,
            self.split_route,
            self.shared_router,
            self.losing_cycle,
            self.token_2022_cycle,
            self.token_2022_sandwich,
            self.self_sandwich,
            self.failed_back,
            self.late_trade,
            providers.for_nobody,
            providers.staying,
        )

    def any(self) -> Agent:
        """One of them."""
        return self.desk.random.choice(self.kinds)()

    def _tell(self, kind: str, sent: list[Sent], *pools: int) -> None:
        if sent:
            self.desk.tell(LookAlike(kind, sent, [self.desk.address(p) for p in pools]))

    def _pool(self, wanted: Callable[[Pool], bool] = _costly) -> tuple[int, Pool, int] | None:
        number = self.desk.pick_pool(wanted)
        if number is None:
            return None
        pool = self.desk.world.pools[number]
        return number, pool, self.desk.group_of(pool)

    # -- fleets and washers ----------------------------------------------------------------------

    def volume_bots(self) -> Agent:
        """Many wallets of one operator trade one pool, each in and out again, with equal fees and
        sizes; what they move the price by is less than what they pay."""
        desk, rng = self.desk, self.desk.random
        found = self._pool()
        if found is None:
            return
        number, pool, group = found
        fleet = desk.world.agents["fleet"][group]
        side, price = pool.hub_side, desk.price()
        amount = depth(desk.model(number), side) // (900 * len(fleet))
        sent: list[Sent] = []
        held: dict[int, int] = {}
        waiting = list(fleet)
        rng.shuffle(waiting)
        buy = desk.swap_template(number, side, group)
        sell = desk.swap_template(number, 1 - side, group)
        with desk.keep([number]):
            pause = rng.randrange(2 * len(fleet)) if desk.slots_left else -1
            while waiting or held:
                if waiting and (not held or rng.random() < 0.55):
                    user = waiting.pop()
                    one = desk.send(buy, user, amount, hops=((number, side),), price=price)
                    if one is not None:
                        held[user] = one.received
                else:
                    user = rng.choice(list(held))
                    one = desk.send(
                        sell, user, held.pop(user), hops=((number, 1 - side),), price=price
                    )
                if one is not None:
                    sent.append(one)
                if len(sent) == pause:
                    yield
            self._tell("volume_bots", sent, number)

    def wash_trades(self) -> Agent:
        """One operator buys and sells the same amount again and again, by one wallet or by two."""
        desk, rng = self.desk, self.desk.random
        found = self._pool(lambda p: _costly(p) and p.venue is not Venue.DLMM)
        if found is None:
            return
        number, pool, group = found
        one, two = desk.wallets("maker", group, 2)
        if rng.random() < 0.5:
            two = one
        side = pool.hub_side
        amount = depth(desk.model(number), side) // rng.randrange(800, 4000)
        sent: list[Sent] = []
        with desk.keep([number]):
            for _ in range(rng.randrange(3, 9)):
                bought = desk.swap(one, number, side, amount)
                if bought is None:
                    break
                sent.append(bought)
                sold = desk.swap(two, number, 1 - side, bought.received)
                if sold is not None:
                    sent.append(sold)
            self._tell("wash_trades", sent, number)
        yield from ()

    def market_maker(self) -> Agent:
        """A market maker on both sides of others' trades, whose stock does not come out even."""
        desk, rng = self.desk, self.desk.random
        found = self._pool()
        if found is None:
            return
        number, pool, group = found
        (maker,), takers = desk.wallets("maker", group, 1), desk.wallets("taker", group, 3)
        side = pool.hub_side if rng.random() < 0.5 else 1 - pool.hub_side
        if pool.venue is Venue.PUMP_FUN:
            side = 1
        amount = depth(desk.model(number), side) // rng.randrange(100, 400)
        sent: list[Sent | None] = []
        with desk.keep([number]):
            first = desk.swap(maker, number, side, amount)
            if first is not None:
                sent.append(first)
                parts = [1.0, 0.0]
                while abs(sum(parts) - 1) < 0.1:  # both together bring it back
                    parts = [
                        rng.choice((rng.uniform(0.2, 0.6), rng.uniform(1.6, 3))) for _ in range(2)
                    ]
                for taker, part in zip(takers[:2], parts, strict=True):
                    sent.append(desk.swap(taker, number, side, int(amount * rng.uniform(2, 6))))
                    sent.append(desk.swap(maker, number, 1 - side, int(first.received * part)))
                back = int(first.received * rng.uniform(1, 4))
                sent.append(desk.swap(takers[2], number, 1 - side, back))
            self._tell("market_maker", [s for s in sent if s is not None], number)
        yield from ()

    # -- routers ---------------------------------------------------------------------------------

    def split_route(self) -> Agent:
        """A trade that Jupiter splits over two pools of a pair, and one the other way after it."""
        desk, rng = self.desk, self.desk.random
        pairs = [c for c in self.cycles if len(c.hops) == 2]
        for _ in range(12 if pairs else 0):
            cycle = rng.choice(pairs)
            (one, side), (two, _) = cycle.hops
            pools = desk.world.pools
            if not (desk.fresh(one) and desk.fresh(two)):
                continue
            group = desk.group_of(pools[one]) if pools[one].token.group >= 0 else cycle.group
            other_side = 0 if pools[two].mints[0] is pools[one].mints[side] else 1
            takers = desk.wallets("taker", group, 2)
            share = rng.randrange(40, 216)
            amount = min(depth(desk.model(one), side), depth(desk.model(two), other_side)) // 150
            there = (Hop(one, side), Hop(two, other_side))
            back = (Hop(one, 1 - side), Hop(two, 1 - other_side))
            sent: list[Sent] = []
            with desk.keep([one, two]):
                for taker, hops in zip(takers, (there, back), strict=True):
                    number = self._split(group, hops, share)
                    passed = tuple((h.pool, h.side_in) for h in hops)
                    done = desk.send(number, taker, amount, hops=passed)
                    if done is None:
                        break
                    sent.append(done)
                    amount = int(sum(f.received for f in done.fills) * rng.uniform(0.6, 0.95))
                self._tell("split_route", sent, one, two)
            return
        yield from ()

    def _split(self, group: int, hops: tuple[Hop, Hop], share: int) -> int:
        desk = self.desk
        style = desk.style(group, tipped=False, limit=500_000)
        # Few shares, so that few templates are made.
        share -= share % 32

        def make() -> Template:
            return transactions.route(
                desk.world, style, hops, shared=False, failing_leg=None, failing=False,
                split=(share,),
            )  # fmt: skip

        return desk.template(("split", hops, share, group), make)

    def shared_router(self) -> Agent:
        """Three people trade through one router, the last the other way: a router is no actor."""
        desk, rng = self.desk, self.desk.random
        found = self._pool(lambda p: _costly(p) and p.venue is not Venue.PUMP_FUN)
        if found is None:
            return
        number, pool, group = found
        users = desk.wallets("taker", group, 3)
        side = rng.choice((pool.hub_side, 1 - pool.hub_side))
        amount = depth(desk.model(number), side) // rng.randrange(60, 200)
        sent: list[Sent] = []
        with desk.keep([number]):
            for user, way, factor in zip(users, (side, side, 1 - side), (1, 3, 0), strict=True):
                if not factor:
                    amount = int(sent[0].received * rng.choice((0.93, 0.97, 1.04, 1.08)))
                done = desk.swap(user, number, way, amount * (factor or 1), via=ROUTER)
                if done is None:
                    break
                sent.append(done)
            self._tell("shared_router", sent, number)
        yield from ()

    # -- what loses ------------------------------------------------------------------------------

    def losing_cycle(self) -> Agent:
        """A round trip through two to four pools that comes back with less."""
        desk, rng = self.desk, self.desk.random
        for _ in range(12 if self.cycles else 0):
            at = rng.randrange(len(self.cycles))
            cycle = self.cycles[at]
            if not all(desk.engine.is_free(p, False) for p, _ in cycle.hops):
                continue
            first, side = cycle.hops[0]
            amount = depth(desk.model(first), side) // 2000
            if not -amount < desk.engine.gain_of(at, amount) < 0:
                continue
            bot = desk.steady("bot", cycle.group, cycle.hops)
            if bot is None:
                continue
            number = self._unchecked(at, cycle)
            sent = desk.send(number, bot, amount, hops=cycle.hops)
            if sent is not None:
                self._tell("losing_cycle", [sent], *(p for p, _ in cycle.hops))
            return
        yield from ()

    def _unchecked(self, at: int, cycle: Cycle) -> int:
        desk, hops = self.desk, [Hop(pool, way) for pool, way in cycle.hops]
        style = desk.style(cycle.group, tipped=False, limit=200_000 + 100_000 * len(hops))
        return desk.template(
            ("losing", at),
            lambda: transactions.bot_arbitrage(
                desk.world, style, hops, bot=at % 4, failing=False, early=False
            ),
        )

    def token_2022_cycle(self) -> Agent:
        """From a token with a transfer fee to it again: the pools give more than they took, the
        trader gets less than it gave."""
        desk, rng = self.desk, self.desk.random
        for _ in range(12 if self.fee_pairs else 0):
            one, two = rng.choice(self.fee_pairs)
            pools = desk.world.pools
            if not (desk.fresh(one) and desk.fresh(two)):
                continue
            side, group = 1 - pools[one].hub_side, desk.group_of(pools[one])
            taker, trader = desk.wallets("taker", group, 1)[0], desk.wallets("bot", group, 1)[0]
            hops = ((one, side), (two, pools[two].hub_side))
            amount = depth(desk.model(one), side) // 5000
            push = self._opening(hops, amount)
            if push is None:
                continue
            with desk.keep([one, two]):
                if push and desk.swap(taker, one, 1 - side, push) is None:
                    continue
                done = self._fee_cycle(group, hops, trader, amount)
                if done is not None:
                    self._tell("token_2022_cycle", [done], one, two)
            return
        yield from ()

    def _opening(self, hops: tuple[tuple[int, int], ...], amount: int) -> int | None:
        """How much has to buy the token in the first pool, so that a cycle of `amount` gives the
        pools' side more than it took and the trader less; None where nothing does."""
        (one, side), (two, back) = hops
        push = 0
        while push < depth(self.desk.model(one), 1 - side) // 12:
            first, second = self.desk.model(one), self.desk.model(two)
            if push:
                first.swap(1 - side, push)
            sold = first.swap(side, amount)
            bought = sold and second.swap(back, sold.received)
            if bought and bought.pool_out > amount > bought.received:
                return push
            push += push // 8 + 1 if push else depth(first, 1 - side) // 1000 + 1
        return None

    def _fee_cycle(
        self, group: int, hops: tuple[tuple[int, int], ...], user: int, amount: int
    ) -> Sent | None:
        desk = self.desk
        style = desk.style(group, tipped=False, limit=500_000)
        pools = desk.world.pools
        way = [Hop(p, s, int(pools[p].venue is Venue.WHIRLPOOL)) for p, s in hops]
        number = desk.template(
            ("fee cycle", hops),
            lambda: transactions.bot_arbitrage(
                desk.world, style, way, bot=0, failing=False, early=False
            ),
        )
        return desk.send(number, user, amount, hops=hops)

    def token_2022_sandwich(self) -> Agent:
        """A sandwich that would pay, were it not for the token's transfer fee."""
        desk, rng = self.desk, self.desk.random
        for number in rng.sample(self.fee_pools, len(self.fee_pools)):
            if not desk.fresh(number):
                continue
            pool = desk.world.pools[number]
            side, now = pool.hub_side, desk.model(number)
            without = PoolModel(replace(pool, transfer_fee_bps=(0, 0)), desk.engine.state(number))
            for share in (0.01, 0.02, 0.03, 0.04, 0.06):
                victim = int(depth(now, side) * share)
                front = int(victim * rng.uniform(0.3, 1))
                real = rehearse(now.copy(), side, front, [victim])
                free = rehearse(without.copy(), side, front, [victim])
                if real is not None and free is not None and real < 0 < free:
                    self._around(number, side, front, victim, "token_2022_sandwich")
                    return
        yield from ()

    def _around(self, number: int, side: int, front: int, victim: int, kind: str) -> None:
        desk = self.desk
        group = desk.group_of(desk.world.pools[number])
        (attacker,), (taker,) = desk.wallets("attacker", group, 1), desk.wallets("taker", group, 1)
        with desk.keep([number]):
            sent = [desk.swap(attacker, number, side, front)]
            if sent[0] is None:
                return
            sent.append(desk.swap(taker, number, side, victim))
            sent.append(desk.swap(attacker, number, 1 - side, sent[0].received))
            self._tell(kind, [s for s in sent if s is not None], number)

    def failed_back(self) -> Agent:
        """A front and its victim, and a back that fails."""
        desk = self.desk
        found = self._pool()
        if found is None:
            return
        number, pool, group = found
        side = pool.hub_side
        (attacker,), (taker,) = desk.wallets("attacker", group, 1), desk.wallets("taker", group, 1)
        amount = depth(desk.model(number), side) // 120
        with desk.keep([number]):
            sent = [desk.swap(attacker, number, side, amount)]
            if sent[0] is not None:
                sent.append(desk.swap(taker, number, side, 2 * amount))
                sent.append(desk.failed_swap(attacker, number, 1 - side, sent[0].received))
            self._tell("failed_back", [s for s in sent if s is not None], number)
        yield from ()

    # -- no victim -------------------------------------------------------------------------------

    def self_sandwich(self) -> Agent:
        """The one in the middle is the attacker itself, or a wallet of its own."""
        desk, rng = self.desk, self.desk.random
        found = self._pool(lambda p: _costly(p) and p.venue is not Venue.PUMP_FUN)
        if found is None:
            return
        number, pool, group = found
        side, token = pool.hub_side, pool.mints[1 - pool.hub_side]
        (attacker,), (partner,) = (desk.wallets(r, group, 1) for r in ("attacker", "partner"))
        alone = rng.random() < 0.4
        middle = attacker if alone else partner
        amount = depth(desk.model(number), side) // 150
        sent: list[Sent | None] = []
        with desk.keep([number]):
            if not alone:
                sent.append(desk.send_lamports(attacker, partner, rng.randrange(1, 9) * 10**8))
            front = desk.swap(attacker, number, side, amount)
            inside = desk.swap(middle, number, side, int(amount * rng.uniform(2, 4)))
            sent += [front, inside]
            if front is not None and inside is not None:
                if not alone:
                    sent.append(desk.swap(attacker, number, 1 - side, front.received))
                    sent.append(desk.send_tokens(partner, attacker, token, inside.received))
                    front = None
                both = inside.received + (front.received if front else 0)
                sent.append(desk.swap(attacker, number, 1 - side, both))
            self._tell("self_sandwich", [s for s in sent if s is not None], number)
        yield from ()

    def late_trade(self) -> Agent:
        """A large swap, and behind it another's in the other direction that closes no cycle."""
        desk, rng = self.desk, self.desk.random
        found = self._pool()
        if found is None:
            return
        number, pool, group = found
        one, two = desk.wallets("taker", group, 2)
        side = rng.choice((0, 1))
        if pool.venue is Venue.PUMP_FUN:
            side = 1
        with desk.keep([number]):
            amount = depth(desk.model(number), side) // rng.randrange(40, 120)
            sent = [desk.swap(one, number, side, amount, via=DIRECT)]
            if sent[0] is not None:
                part = int(sent[0].received * rng.uniform(0.3, 0.9))
                sent.append(desk.swap(two, number, 1 - side, part))
            self._tell("late_trade", [s for s in sent if s is not None], number)
        yield from ()
