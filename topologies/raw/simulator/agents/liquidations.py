"""Liquidations: a debt is repaid for collateral that is worth more."""

from __future__ import annotations

import struct
from dataclasses import replace

from mevstream.topologies.raw.simulator import lending, venues
from mevstream.topologies.raw.simulator.agents.desk import Agent, Desk
from mevstream.topologies.raw.simulator.agents.truth import Opportunity
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.lending import Liquidation
from mevstream.topologies.raw.simulator.loans import MARKETS, OBLIGATIONS, SOL, USDC, WITH_SHARES
from mevstream.topologies.raw.simulator.registers import Register
from mevstream.topologies.raw.simulator.template import Template
from mevstream.topologies.raw.simulator.transactions import WALLET, Hop, build, make_legs
from mevstream.topologies.raw.simulator.venues.base import system_transfer
from mevstream.topologies.raw.simulator.world import user

# What the liquidator gets beyond the debt's worth, and the protocol of that.
BONUS = (0.02, 0.08)
PROTOCOL_SHARE = 0.1
INSURANCE = 0.025


def _bits(value: float) -> int:
    return int.from_bytes(struct.pack("<d", value), "little")


class Liquidators:
    """Every kind of liquidation."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        world = desk.world
        self.bridges = [n for n, p in enumerate(world.pools) if p.token is world.wsol]

    def any(self) -> Agent:
        """One of them."""
        desk, rng = self.desk, self.desk.random
        lenders = desk.world.lending
        if lenders is None:
            return
        name = rng.choice(MARKETS)
        market, obligation = lenders.markets[name], rng.randrange(OBLIGATIONS)
        debt, collateral = rng.choice(((USDC, SOL), (SOL, USDC)))
        group = rng.randrange(desk.world.config.user_groups)
        (who,) = desk.wallets("liquidator", group, 1)
        world = desk.world
        paid, taken = market.reserves[debt], market.reserves[collateral]
        redeem = name != "save" or rng.random() < 0.7
        share = f"{name}_{collateral}"
        what = Liquidation(
            market, obligation, debt, collateral,
            source=user(paid.mint.column),
            target=user(taken.mint.column),
            shares=user(world.column(share)) if name in WITH_SHARES else WALLET,
            margin=(
                (user(world.column("margin")), WALLET)
                if name == "marginfi"
                else (user(world.column("drift_user")), user(world.column("drift_stats")))
            ),
            redeem=redeem,
        )  # fmt: skip
        # Sizes as trades have them, some much larger.
        worth = rng.lognormvariate(21, 1.8)
        repaid = int(min(worth / paid.mint.price, desk.held(who, paid.mint) // 4)) + 1000
        bonus = rng.uniform(*BONUS)
        seized = int(repaid * paid.mint.price * (1 + bonus) / taken.mint.price)
        kept = int(seized * bonus * PROTOCOL_SHARE)
        extras = [repaid, int(seized * 0.87), seized, kept]
        if name == "marginfi":
            kept = int(repaid * INSURANCE)
            extras = [repaid, 0, seized, kept, *self._balances(repaid, seized)]
        elif name == "drift":
            kept = int(repaid * INSURANCE)
            extras[3] = kept
        bridge = None
        if redeem and name in WITH_SHARES and rng.random() < 0.35:
            bridge = self._bridge()
        tip = rng.randrange(10_000, 5_000_000) if rng.random() < 0.4 else 0
        hops = ()
        if bridge is not None:
            pool = desk.world.pools[bridge]
            side = 0 if pool.mints[0] is taken.mint else 1
            hops = ((bridge, side),)
        sent = desk.send(
            self._template(what, hops, tip=tip), who,
            seized - kept if hops else 0, hops=hops, tip=tip, extras=extras,
        )  # fmt: skip
        if sent is None:
            return
        mint = taken.mint if redeem or taken.share is None else taken.share
        got = extras[1] if not redeem else seized - (kept if name in WITH_SHARES else 0)
        changes = {paid.mint.address: -repaid, mint.address: got}
        gain = None
        if hops:
            changes[paid.mint.address] += sent.received
            changes[mint.address] -= sent.paid
            gain = changes[paid.mint.address]
        obligated, owner, _ = market.obligations[obligation]
        native = gain is not None and desk.is_sol(paid.mint)
        desk.tell(
            Opportunity(
                "liquidation",
                name + ("_and_swap" if hops else ""),
                [("liquidation", sent)],
                [desk.address(pool) for pool, _ in hops],
                paid.mint.address,
                gain,
                native=native,
                also={
                    "protocol": name,
                    "account": world.name(obligated),
                    "owner": world.name(owner) if name == "marginfi" else None,
                    "repay_mint": paid.mint.address,
                    "repay_amount": repaid,
                    "collateral_mint": mint.address,
                    "collateral_amount": extras[1] if not redeem else seized,
                    "protocol_fee": kept if redeem else 0,
                    "changes": changes,
                },
            )
        )
        yield from ()

    def _balances(self, repaid: int, seized: int) -> list[int]:
        """marginfi's event: health before and after, balances before and after."""
        rng = self.desk.random
        assets, debts, mine = (float(rng.randrange(1, 9)) for _ in range(3))
        before = (seized * (1 + assets), repaid * (1 + debts), seized * mine, 0.0)
        after = (before[0] - seized, before[1] - repaid, before[2] + seized, float(repaid))
        return [_bits(v) for v in (-0.05, 0.01, *before, *after)]

    def _bridge(self) -> int | None:
        """A free pool of SOL and USDC."""
        free = [n for n in self.bridges if self.desk.engine.is_free(n, False)]
        return self.desk.random.choice(free) if free else None

    def _template(
        self, what: Liquidation, hops: tuple[tuple[int, int], ...], *, tip: int
    ) -> int:  # fmt: skip
        desk = self.desk
        style = replace(desk.style(0, tipped=tip > 0, limit=700_000))

        def body(tx: TemplateBuilder) -> None:
            lending.liquidate(tx, WALLET, what)
            for pool, side in hops:
                venues.swap(tx, make_legs(desk.world, [Hop(pool, side)], style)[0])
            if style.tip is not None:
                system_transfer(tx, WALLET, style.tip, Register.TIP)

        def make() -> Template:
            return build(desk.world, style, body)

        key = (what.market.name, what.obligation, what.debt, what.redeem, hops, tip > 0)
        return desk.template(("liquidation", *key), make)
