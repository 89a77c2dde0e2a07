"""Liquidity that comes for one swap and goes with it; and such that stays, or helps nobody."""

from __future__ import annotations

from collections.abc import Callable

from mevstream.topologies.raw.simulator import positions
from mevstream.topologies.raw.simulator.agents.curves import amounts
from mevstream.topologies.raw.simulator.agents.desk import DIRECT, ROUTER, Agent, Desk
from mevstream.topologies.raw.simulator.agents.sandwiches import depth
from mevstream.topologies.raw.simulator.agents.truth import LookAlike, Opportunity, Sent
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.market import TICKS_EACH_SIDE, Pool
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.registers import Register
from mevstream.topologies.raw.simulator.template import Template
from mevstream.topologies.raw.simulator.transactions import WALLET, build
from mevstream.topologies.raw.simulator.venues.base import system_transfer

# Slots that other liquidity stays.
PATIENCE = (9, 30)


def _suits(pool: Pool) -> bool:
    """Positions of mints with a transfer fee are left out."""
    return pool.venue in (Venue.RAYDIUM_CLMM, Venue.WHIRLPOOL) and not any(pool.transfer_fee_bps)


class _Position:
    """A range of a pool around its price, `width` spacings to each side of the current one."""

    def __init__(self, desk: Desk, number: int, user: int, which: int, width: int) -> None:
        self.desk, self.number, self.user, self.which = desk, number, user, which
        pool = self.pool = desk.world.pools[number]
        tick = self._tick()
        spacing = pool.spacing
        self.lower = tick // spacing * spacing - width * spacing
        self.upper = self.lower + (2 * width + 1) * spacing
        self.liquidity = 0
        self.put_in = (0, 0)

    def _tick(self) -> int:
        return int(self.desk.engine.state(self.number)["tick"])

    @property
    def fits(self) -> bool:
        """Whether the range is within what the pool's tables know."""
        last = self.pool.first_tick + 2 * TICKS_EACH_SIDE
        return self.pool.first_tick < self.lower and self.upper < last

    def _prices(self) -> tuple[int, int]:
        engine = self.desk.engine
        return (
            engine.tick_price(self.number, self.lower),
            engine.tick_price(self.number, self.upper),
        )

    def open(self, factor: float, *, tip: int = 0) -> Sent | None:
        """Opens it with `factor` times the pool's liquidity, or what the wallet has."""
        desk, low_high = self.desk, self._prices()
        state = desk.engine.state(self.number)
        liquidity = int(state["liquidity"] * factor)
        held = [desk.held(self.user, mint) // 4 for mint in self.pool.mints]
        wanted = amounts(liquidity, *low_high, state["sqrt_price"], up=True)
        while any(a > b for a, b in zip(wanted, held, strict=True)):
            liquidity //= 2
            wanted = amounts(liquidity, *low_high, state["sqrt_price"], up=True)
        if liquidity < 1000 or min(wanted) == 0:
            return None
        self.liquidity, self.put_in = liquidity, wanted
        before = state["liquidity"]
        extras = [
            self.lower % 2**32, self.upper % 2**32, liquidity, *wanted, 0, 0, 0, 0,
            state["tick"] % 2**32, before, before + liquidity,
        ]  # fmt: skip
        sent = desk.send(self._template(positions.open_position, tip), self.user, 0,
                         tip=tip, extras=extras)  # fmt: skip
        if sent is not None:
            desk.engine.move_liquidity(self.number, self.lower, self.upper, liquidity)
            desk.engine.watch(self.number, self.which, self.lower, self.upper)
        return sent

    def close(self, *, tip: int = 0) -> tuple[Sent, tuple[int, int], tuple[int, int]] | None:
        """Closes it: (transaction, tokens taken out with fees, fees)."""
        desk, state = self.desk, self.desk.engine.state(self.number)
        out = amounts(self.liquidity, *self._prices(), state["sqrt_price"], up=False)
        grown = desk.engine.watched(self.number, self.which)
        fees = (self.liquidity * grown[0] >> 64, self.liquidity * grown[1] >> 64)
        whole = (out[0] + fees[0], out[1] + fees[1])
        before = state["liquidity"]
        inside = self.lower <= state["tick"] < self.upper
        extras = [
            self.lower % 2**32, self.upper % 2**32, self.liquidity, *out, *fees, *whole,
            state["tick"] % 2**32, before, before - self.liquidity if inside else before,
        ]  # fmt: skip
        sent = desk.send(self._template(positions.close_position, tip), self.user, 0,
                         tip=tip, extras=extras)  # fmt: skip
        if sent is None:
            return None
        desk.engine.move_liquidity(self.number, self.lower, self.upper, -self.liquidity)
        return sent, whole, fees

    def _template(self, what: Callable[[TemplateBuilder, Pool], None], tip: int) -> int:
        desk, pool = self.desk, self.pool
        style = desk.style(desk.group_of(pool), tipped=tip > 0, limit=500_000)

        def body(tx: TemplateBuilder) -> None:
            what(tx, pool)
            if style.tip is not None:
                system_transfer(tx, WALLET, style.tip, Register.TIP)

        def make() -> Template:
            return build(desk.world, style, body)

        return desk.template((what.__name__, self.number, tip > 0), make)


class Providers:
    """Those who provide liquidity. The first of a group's comes and goes, the others stay."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        # Wallets and pools of those that stay.
        self._staying: set[int] = set()
        self._filled: set[int] = set()

    def just_in_time(self) -> Agent:
        """A narrow position before a swap, and out again behind it, for its fees."""
        yield from self._come_and_go(swap=True)

    def for_nobody(self) -> Agent:
        """The same without a swap between."""
        yield from self._come_and_go(swap=False)

    def _come_and_go(self, *, swap: bool) -> Agent:
        desk, rng = self.desk, self.desk.random
        number = desk.pick_pool(_suits)
        if number is None:
            return
        pool = desk.world.pools[number]
        group = desk.group_of(pool)
        user = desk.world.agents["provider"][group][0]
        position = _Position(desk, number, user, 0, rng.choice((0, 0, 1)))
        if not position.fits:
            return
        with desk.keep([number]):
            opened = position.open(rng.uniform(5, 60))
            if opened is None:
                return
            parts = [("add", opened)]
            if swap:
                side = int(desk.engine.above(number))
                side = side if rng.random() < 0.2 else 1 - side
                share = rng.uniform(0.002, 0.02)
                taker = desk.wallets("taker", group, 1)[0]
                amount = min(
                    int(depth(desk.model(number), side) * share / 20),
                    desk.held(taker, pool.mints[side]) // 3,
                )
                swapped = desk.swap(taker, number, side, amount, via=rng.choice((DIRECT, ROUTER)))
                if swapped is not None:
                    parts.append(("target", swapped))
            tip = rng.randrange(10_000, 400_000) if rng.random() < 0.5 else 0
            closed = position.close(tip=tip)
            if closed is None:
                raise RuntimeError("a position cannot be closed")
            sent, out, fees = closed
            parts.append(("remove", sent))
            self._tell(position, parts, out, fees)
        yield from ()

    def _tell(
        self, position: _Position, parts: list[tuple[str, Sent]], out: tuple[int, int],
        fees: tuple[int, int],
    ) -> None:  # fmt: skip
        desk, pool = self.desk, position.pool
        address = [desk.address(position.number)]
        if not any(fees):
            desk.tell(LookAlike("liquidity_for_nobody", [s for _, s in parts], address))
            return
        changes = {
            mint.address: out[i] - position.put_in[i] for i, mint in enumerate(pool.mints)
        }  # fmt: skip
        also: dict[str, object] = {
            "changes": changes,
            "fees": {mint.address: fees[i] for i, mint in enumerate(pool.mints)},
            "range": [position.lower, position.upper],
            "liquidity": position.liquidity,
        }
        desk.tell(
            Opportunity("jit", pool.venue.name.lower(), parts, address, pool.hub.address, None,
                        native=False, also=also)
        )  # fmt: skip

    def staying(self) -> Agent:
        """Liquidity that stays for many slots, and earns on whatever trades."""
        desk, rng = self.desk, self.desk.random
        number = desk.pick_pool(_suits)
        if number is None or number in self._filled:
            return
        group = desk.group_of(desk.world.pools[number])
        user = desk.world.agents["provider"][group][1]
        if user in self._staying:
            return
        position = _Position(desk, number, user, 1, rng.randrange(2, 6))
        opened = position.open(rng.uniform(0.1, 1)) if position.fits else None
        if opened is None:
            return
        self._staying.add(user)
        self._filled.add(number)
        for _ in range(rng.randrange(*PATIENCE)):
            yield
        # Nobody is disturbed who has the pool for himself.
        while not desk.engine.is_free(number, False):
            yield
        closed = position.close()
        if closed is None:
            raise RuntimeError("a position cannot be closed")
        self._staying.discard(user)
        self._filled.discard(number)
        desk.tell(LookAlike("staying_liquidity", [opened, closed[0]], [desk.address(number)]))
