"""Sandwiches: a front that moves the price, victims behind it, a back that takes the difference.

Each is planned on a model of the pool first, so that it pays; what is told is what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mevstream.topologies.raw.simulator.agents.curves import Fill, PoolModel
from mevstream.topologies.raw.simulator.agents.desk import DIRECT, PROGRAM, ROUTER, Agent, Desk
from mevstream.topologies.raw.simulator.agents.told import Seen
from mevstream.topologies.raw.simulator.agents.truth import LookAlike, Opportunity, Sent, Victim
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.transactions import Hop, swap_and_send
from mevstream.topologies.raw.simulator.world import Mint, Pool

# A loss of less than one part in so many is rounding, some say.
_LEAST_SHARE = 100_000
# Gains below this are not worth an attacker's fees (lamports).
LEAST_GAIN = 3_000_000
SHAPES = ("classic", "several_victims", "several_wallets", "multi_leg", "wrapper", "sell_side")


@dataclass(frozen=True, slots=True)
class Plan:
    """A sandwich of a pool that pays: side of the front, what it and each victim put in."""

    pool: int
    side: int
    front: int
    victims: tuple[int, ...]
    gain: int


def plan(desk: Desk, number: int, side: int, n_victims: int) -> Plan | None:
    """Sizes for a pool at which the attacker gains, small ones first."""
    now, rng = desk.model(number), desk.random
    whole = depth(now, side)
    for share in (0.004, 0.01, 0.025, 0.05, 0.09):
        victims = tuple(
            int(whole * share * rng.uniform(0.7, 1.3) / n_victims) for _ in range(n_victims)
        )
        front = int(whole * share * rng.uniform(0.4, 1.2))
        if min(*victims, front) < 1000:
            continue
        gain = rehearse(now.copy(), side, front, victims)
        mint = now.pool.mints[side]
        if gain is not None and desk.lamports_of(mint, gain) > LEAST_GAIN:
            return Plan(number, side, front, victims, gain)
    return None


def depth(model: PoolModel, side: int) -> int:
    """What may go in from a side: its reserve, or what concentrated liquidity takes for some
    per cent of the price."""
    if model.pool.venue is Venue.DLMM:
        total = sum(b[1 - side] for b in model.bins)
        price = model.bins[model.active][2]
        return (total << 64) // price if side == 0 else total * price >> 64
    if model.pool.venue in (Venue.RAYDIUM_CLMM, Venue.WHIRLPOOL):
        if side == 1:
            return model.liquidity * model.price >> 64
        return (model.liquidity << 64) // model.price
    return model.reserves[side]


def rehearse(model: PoolModel, side: int, front: int, victims: Sequence[int]) -> int | None:
    """The attacker's gain in the mint of `side`."""
    first = model.swap(side, front)
    if first is None:
        return None
    for amount in victims:
        if model.swap(side, amount) is None:
            return None
    last = model.swap(1 - side, first.received)
    return None if last is None else last.received - first.paid


def find_plan(desk: Desk, n_victims: int, *, sell: bool, plain: bool) -> Plan | None:
    """A plan for some fresh pool, in the direction that brings its price back. plain: no transfer
    fees; sell: the token goes in first."""
    for _ in range(6):
        number = desk.pick_pool(lambda p: _suits(p, sell=sell, plain=plain))
        if number is None:
            return None
        pool = desk.world.pools[number]
        side = 1 - pool.hub_side if sell else pool.hub_side
        # The victims push the price: back to where it was, rather than away.
        if desk.engine.above(number) == (side == 1) and desk.random.random() < 0.9:
            continue
        found = plan(desk, number, side, n_victims)
        if found is not None:
            return found
    return None


def _suits(pool: Pool, *, sell: bool, plain: bool) -> bool:
    fees = any(pool.transfer_fee_bps)
    return not (plain and fees) and not (sell and pool.venue is Venue.PUMP_FUN)


def bundle(desk: Desk, shape: str) -> Agent:
    """A sandwich whose transactions stand one behind the other in one slot."""
    rng = desk.random
    n_victims = rng.choice((2, 3)) if shape == "several_victims" else 1
    found = find_plan(
        desk, n_victims, sell=shape == "sell_side", plain=shape in ("several_wallets", "multi_leg")
    )
    if found is None:
        return
    with desk.keep([found.pool]):
        attack = _Attack(
            desk, found, shape, tipped=rng.random() < desk.config.sandwich_bundled_share
        )
        if attack.front() and attack.victims(range(n_victims)):
            attack.back()
        attack.tell()
    yield from ()


def wide(desk: Desk) -> Agent:
    """A sandwich over several slots of one leader, with others' trades between."""
    if desk.slots_left == 0:
        return
    n_victims = desk.random.choice((1, 1, 2))
    found = find_plan(desk, n_victims, sell=False, plain=False)
    if found is None:
        return
    with desk.keep([found.pool]):
        attack = _Attack(desk, found, "wide", tipped=False)
        if not attack.front():
            return
        together = desk.random.random() < 0.3
        if together and not attack.victims(range(n_victims)):
            return
        yield
        for i in range(0 if together else n_victims):
            attack.victims([i])
            if desk.slots_left > 1 and desk.random.random() < 0.4:
                yield
        if desk.random.random() < 0.3:
            attack.bystander()
        attack.back()
        attack.tell()


class _Attack:
    """One sandwich in the making."""

    def __init__(self, desk: Desk, found: Plan, shape: str, *, tipped: bool) -> None:
        self.desk, self.plan, self.shape, self.tipped = desk, found, shape, tipped
        self.pool: Pool = desk.world.pools[found.pool]
        rng, group = desk.random, desk.group_of(self.pool)
        self.group = group
        self.attacker = desk.wallets("attacker", group, 1)[0]
        self.partner = desk.wallets("partner", group, 1)[0]
        self.takers = desk.wallets("taker", group, len(found.victims) + 1)
        self.via = PROGRAM if shape == "wrapper" else DIRECT
        self.program = rng.randrange(len(desk.world.bots))
        self.before = desk.model(found.pool)
        self.parts: list[tuple[str, Sent]] = []
        self.bought = 0
        self.holder = self.attacker

    @property
    def mint(self) -> Mint:
        """In which the attacker gains."""
        return self.pool.mints[self.plan.side]

    @property
    def token(self) -> Mint:
        """Which the front buys."""
        return self.pool.mints[1 - self.plan.side]

    def _swap(self, user: int, side: int, amount: int, tip: int = 0) -> Sent | None:
        return self.desk.swap(
            user, self.plan.pool, side, amount, via=self.via, tip=tip, program=self.program
        )

    def front(self) -> bool:
        """Whether the front was sent, whole."""
        amounts = [self.plan.front]
        if self.shape == "multi_leg":
            part = int(self.plan.front * self.desk.random.uniform(0.3, 0.7))
            amounts = [part, self.plan.front - part]
        for amount in amounts:
            if self.shape == "several_wallets" and self.desk.random.random() < 0.5:
                sent = self._front_and_send(amount)
            else:
                sent = self._swap(self.attacker, self.plan.side, amount)
            if sent is None:
                return False
            self.parts.append(("front", sent))
            self.bought += sent.received
        if self.shape == "several_wallets" and self.holder == self.attacker:
            moved = self.desk.send_tokens(self.attacker, self.partner, self.token, self.bought)
            if moved is not None:
                self.parts.append(("transfer", moved))
                self.holder = self.partner
        return True

    def _front_and_send(self, amount: int) -> Sent | None:
        """The front passes on what it bought within its transaction."""
        if self.token is self.desk.world.wsol or self.pool.venue is Venue.PUMP_FUN:
            return self._swap(self.attacker, self.plan.side, amount)
        desk, pool, side = self.desk, self.plan.pool, self.plan.side
        style, variant = desk.style(self.group, tipped=False), 0
        number = desk.template(
            ("swap_and_send", pool, side, self.group),
            lambda: swap_and_send(desk.world, style, Hop(pool, side, variant)),
        )
        sent = desk.send(number, self.attacker, amount, hops=((pool, side),), other=self.partner)
        if sent is not None:
            self.holder = self.partner
        return sent

    def victims(self, which: Sequence[int] | range) -> bool:
        """Whether victims of these numbers were sent."""
        desk, done = self.desk, False
        for i in which:
            via = desk.random.choice((DIRECT, ROUTER))
            sent = desk.swap(
                self.takers[i], self.plan.pool, self.plan.side, self.plan.victims[i], via=via
            )
            if sent is not None:
                self.parts.append(("victim", sent))
                done = True
        return done

    def bystander(self) -> None:
        """Somebody trades the other way meanwhile, a little."""
        amount = depth(self.desk.model(self.plan.pool), 1 - self.plan.side) // 2000
        sent = self.desk.swap(self.takers[-1], self.plan.pool, 1 - self.plan.side, amount)
        if sent is not None:
            self.parts.append(("bystander", sent))

    def back(self) -> None:
        """Sells what the front bought."""
        tip, left = 0, self.bought
        if self.tipped:
            model = self.desk.model(self.plan.pool)
            rest = model.swap(1 - self.plan.side, left)
            gain = rest.received - self._spent() if rest is not None else 0
            # Sandwiches leave a fifth of their gain as tips.
            worth = self.desk.lamports_of(self.mint, gain)
            tip = self.desk.tip_of(worth, self.desk.random.uniform(0.1, 0.25)) if gain > 0 else 1000
        amounts = [left]
        if self.shape == "multi_leg" and self.desk.random.random() < 0.5:
            part = int(left * self.desk.random.uniform(0.3, 0.7))
            amounts = [part, left - part]
        for i, amount in enumerate(amounts):
            last = i == len(amounts) - 1
            sent = self._swap(self.holder, 1 - self.plan.side, amount, tip if last else 0)
            if sent is not None:
                self.parts.append(("back", sent))

    def _spent(self) -> int:
        return sum(sent.paid for role, sent in self.parts if role == "front")

    def tell(self) -> None:
        """What it came to: a sandwich if it hurt somebody and left the attacker no worse in both
        mints and better in one, else only the look of one. (A back of several swaps of which one
        failed keeps tokens, and may have got all back that the front spent.)"""
        if not self.parts:
            return
        backs = [sent for role, sent in self.parts if role == "back"]
        received, spent = sum(sent.received for sent in backs), self._spent()
        sold = sum(sent.paid for sent in backs)
        gain, left = received - spent, self.bought - sold
        victims = [victim for victim in self._victims() if victim.loss > 0]
        # Whom it did not hurt is none.
        hurt = {id(victim.sent) for victim in victims}
        self.parts = [
            ("bystander" if role == "victim" and id(sent) not in hurt else role, sent)
            for role, sent in self.parts
        ]
        slight = all(v.loss * _LEAST_SHARE < v.expected for v in victims)
        pools = [self.desk.address(self.plan.pool)]
        # A purchase by tokens out leaves some units of what it may cost.
        even = left == 0 or (self.before.exact_out and left > 0)
        gained = gain > 0 if even else left > 0 and gain >= 0
        if gained and victims:
            # In which mint, as a share of what went through.
            in_mint = even or gain * self.bought >= left * spent
            both = {self.mint.address: gain, self.token.address: left}
            self.desk.tell(
                Opportunity(
                    "sandwich",
                    self.shape,
                    self.parts,
                    pools,
                    (self.mint if in_mint else self.token).address,
                    gain if in_mint else left,
                    victims,
                    native=self.desk.is_sol(self.mint if in_mint else self.token),
                    # Who keeps more than a rest of both holds a position, some say.
                    optional=slight
                    or (not even and gain * 1000 > received and left * 1000 > self.bought),
                    also={} if even else {"changes": both},
                )
            )
        else:
            self.desk.tell(LookAlike("sandwich_without_gain", [s for _, s in self.parts], pools))

    def _victims(self) -> list[Victim]:
        """The chain once more without the attacker."""
        model, out = self.before.copy(), list[Victim]()
        seen = Seen(
            self.before, [(sent.hops[0][1], sent.fills[0]) for _, sent in self.parts if sent.hops]
        )
        for role, sent in self.parts:
            if role not in ("victim", "bystander"):
                continue
            side = sent.hops[0][1]
            told = seen.tells(model)
            done = model.again(side, sent.fills[0])
            if role == "victim" and done is not None:
                fill: Fill = sent.fills[0]
                out.append(
                    Victim(sent, self.desk.address(self.plan.pool), self.token.address,
                           fill.received, done[1], told and seen.tells(model))
                )  # fmt: skip
        return out
