"""Whole transactions: what stands around a swap, routes through Jupiter, transfers, votes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mevstream.topologies.raw.simulator import programs, venues
from mevstream.topologies.raw.simulator.blob import U64, Key, Piece
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.programs import Disc, Venue
from mevstream.topologies.raw.simulator.registers import LegField, Register, leg_register
from mevstream.topologies.raw.simulator.template import (
    Meta,
    Template,
    TooLarge,
    Version,
    WidthChanged,
    r,
    s,
    w,
    ws,
)
from mevstream.topologies.raw.simulator.venues import whirlpool
from mevstream.topologies.raw.simulator.venues.base import (
    Leg,
    anchor_error,
    system_transfer,
    token_transfer,
    u64,
)
from mevstream.topologies.raw.simulator.world import (
    COLUMN_TEMP,
    COLUMN_WALLET,
    COLUMN_WSOL,
    RENT,
    TEMP_SEED,
    Mint,
    World,
    other,
    user,
    validator,
)

WALLET = user(COLUMN_WALLET)
TOKEN_ACCOUNT_SIZE = 165

# How a transaction comes by its wrapped SOL.
KEPT, BY_SEED, BY_ATA = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Style:
    """What a transaction looks like apart from what it does."""

    version: Version
    group: int = 0
    user_class: int = 0
    cu_limit: int = 300_000
    priced: bool = True
    # A Jito tip account, and whether the tip comes before the swap.
    tip: int | None = None
    tip_first: bool = False
    wrap: int = KEPT


@dataclass(frozen=True, slots=True)
class Hop:
    """A pool passed in a direction. variant: which of the venue's instructions."""

    pool: int
    side_in: int
    variant: int = 0


def build(
    world: World, style: Style, body: Callable[[TemplateBuilder], None], *, payer: int = WALLET
) -> Template:
    """A template of style, filled by body. Falls back to v0 with lookup tables where it is too
    large, and shifts the compute limit where a log line would change its width."""
    version, limit = style.version, style.cu_limit
    for attempt in range(200):
        tx = TemplateBuilder(
            world,
            payer,
            version=version,
            group=style.group,
            user_class=style.user_class,
            cu_limit=limit,
            priced=style.priced,
            config_priority=25_000 if version.number == 1 else 0,
            extra_units=(attempt % 16) * 120,
        )
        try:
            if style.cu_limit and version.number != 1:
                _compute_budget(tx, limit, priced=style.priced)
            body(tx)
            return tx.finish()
        except WidthChanged:
            limit += 1511
        except TooLarge:
            if version.tables:
                raise
            version = Version(0, tables=True)
    raise ValueError("no compute limit suits the log")


def _compute_budget(tx: TemplateBuilder, limit: int, *, priced: bool) -> None:
    program = tx.world.fixed[programs.COMPUTE_BUDGET]
    tx.run(program, [], (b"\x02" + limit.to_bytes(4, "little"),))
    if priced:
        tx.run(program, [], (b"\x03", U64(Register.PRICE)))


def _tip(tx: TemplateBuilder, style: Style, *, now: bool) -> None:
    if style.tip is not None and now:
        system_transfer(tx, WALLET, style.tip, Register.TIP)


# -- wrapped SOL ---------------------------------------------------------------------------------


def wrapped_account(style: Style) -> int:
    """The user's wrapped SOL account in this style."""
    return user(COLUMN_TEMP if style.wrap == BY_SEED else COLUMN_WSOL)


def account_of(mint: Mint, style: Style) -> int:
    """The user's account of a mint."""
    if mint.address == programs.WSOL:
        return wrapped_account(style)
    return user(mint.column)


def _open_wrapped(tx: TemplateBuilder, style: Style, *, pays: bool) -> None:
    """Makes the temporary account; pays: it is filled with what the first leg takes."""
    world, fixed, account = tx.world, tx.world.fixed, wrapped_account(style)
    if style.wrap == KEPT:
        return
    tx.temporary.add(account)
    tx.wrapped = pays
    token = fixed[programs.SPL]
    if style.wrap == BY_SEED:
        seed = TEMP_SEED.encode()
        data: tuple[Piece, ...] = (
            b"\x03\0\0\0", Key(WALLET), u64(len(seed)) + seed,
            U64(Register.WRAP) if pays else u64(RENT), u64(TOKEN_ACCOUNT_SIZE), Key(token),
        )  # fmt: skip
        tx.run(fixed[programs.SYSTEM], [ws(WALLET), w(account)], data)
        tx.pay_rent(WALLET, account)
        if pays:
            tx.move_lamports(WALLET, account, Register.AMOUNT)
        tx.run(
            token,
            [w(account), r(world.wsol.account), r(WALLET), r(fixed[programs.RENT_SYSVAR])],
            (b"\x01",),
            units=3443,
            logs=["Instruction: InitializeAccount"],
        )
        tx.sync_native(account)
        return
    create_associated(tx, account, world.wsol)
    if pays:
        system_transfer(tx, WALLET, account, Register.AMOUNT)
        _sync(tx, account)


def create_associated(tx: TemplateBuilder, account: int, mint: Mint) -> None:
    """CreateIdempotent of an associated token account that does not exist yet."""
    fixed = tx.world.fixed
    token, system = fixed[programs.SPL], fixed[programs.SYSTEM]
    metas = [ws(WALLET), w(account), r(WALLET), r(mint.account), r(system), r(token)]
    with tx.call(fixed[programs.ASSOCIATED], metas, (b"\x01",), units=5000):
        tx.log("CreateIdempotent")
        tx.run(
            token, [r(mint.account)], (b"\x15\x07\0",), units=1569,
            logs=["Instruction: GetAccountDataSize"],
        )  # fmt: skip
        data = (b"\0\0\0\0", u64(RENT), u64(TOKEN_ACCOUNT_SIZE), Key(token))
        tx.run(system, [ws(WALLET), ws(account)], data)
        tx.pay_rent(WALLET, account)
        tx.log("Initialize the associated token account")
        tx.run(
            token, [w(account)], (b"\x16",), units=1405,
            logs=["Instruction: InitializeImmutableOwner"],
        )  # fmt: skip
        tx.run(
            token, [w(account), r(mint.account)], (b"\x12", Key(WALLET)), units=3158,
            logs=["Instruction: InitializeAccount3"],
        )  # fmt: skip
        tx.burn(3000)


def _sync(tx: TemplateBuilder, account: int) -> None:
    tx.run(
        tx.world.fixed[programs.SPL], [w(account)], (b"\x11",), units=3045,
        logs=["Instruction: SyncNative"],
    )  # fmt: skip
    tx.sync_native(account)


def _close_wrapped(tx: TemplateBuilder, style: Style) -> None:
    if style.wrap == KEPT:
        return
    account = wrapped_account(style)
    tx.run(
        tx.world.fixed[programs.SPL], [w(account), w(WALLET), s(WALLET)], (b"\x09",),
        units=2915, logs=["Instruction: CloseAccount"],
    )  # fmt: skip
    tx.close_account(account, WALLET)


# -- swaps ---------------------------------------------------------------------------------------


def make_legs(world: World, hops: Sequence[Hop], style: Style) -> list[Leg]:
    """Legs between the user's own accounts."""
    legs: list[Leg] = []
    for i, hop in enumerate(hops):
        pool = world.pools[hop.pool]
        source = account_of(pool.mints[hop.side_in], style)
        target = account_of(pool.mints[1 - hop.side_in], style)
        if pool.venue is Venue.PUMP_FUN:
            if hop.side_in == 1:
                source = WALLET
            else:
                target = WALLET
        legs.append(
            Leg(
                hop.pool, hop.side_in, WALLET, source, target, chained=i > 0, variant=hop.variant
            )
        )  # fmt: skip
    return legs


def _around(
    tx: TemplateBuilder, style: Style, hops: Sequence[Hop], body: Callable[[], None]
) -> None:
    """Wraps SOL if need be, runs body, unwraps, tips."""
    world = tx.world
    first = hops[0]
    mint_in = world.pools[first.pool].mints[first.side_in]
    _tip(tx, style, now=style.tip_first)
    involved = any(m is world.wsol for h in hops for m in world.pools[h.pool].mints)
    wraps = replace(style, wrap=style.wrap if involved else KEPT)
    _open_wrapped(tx, wraps, pays=mint_in is world.wsol)
    body()
    _close_wrapped(tx, wraps)
    _tip(tx, style, now=not style.tip_first)


def direct_swap(world: World, style: Style, hop: Hop, *, failing: bool) -> Template:
    """One swap by a top-level instruction."""

    def body(tx: TemplateBuilder) -> None:
        leg = replace(make_legs(world, [hop], style)[0], failing=failing)
        if world.pools[hop.pool].venue is Venue.PUMP_FUN:
            _tip(tx, style, now=style.tip_first)
            venues.swap(tx, leg)
            _tip(tx, style, now=not style.tip_first)
        else:
            _around(tx, style, [hop], lambda: venues.swap(tx, leg))

    return build(world, style, body)


def swap_and_send(world: World, style: Style, hop: Hop) -> Template:
    """A swap whose tokens go on to the other user."""

    def body(tx: TemplateBuilder) -> None:
        leg = make_legs(world, [hop], style)[0]
        mint = world.pools[hop.pool].mints[1 - hop.side_in]
        venues.swap(tx, leg)
        received = leg_register(0, LegField.RECEIVED)
        token_transfer(tx, mint, leg.destination, other(mint.column), WALLET, received)
        _tip(tx, style, now=True)

    return build(world, style, body)


def two_hop_swap(
    world: World, style: Style, hops: Sequence[Hop], *, v2: bool, failing: bool
) -> Template:
    """Whirlpool's own two-hop instruction."""

    def body(tx: TemplateBuilder) -> None:
        one, two = make_legs(world, hops, style)
        _around(tx, style, hops, lambda: whirlpool.two_hop(tx, one, two, v2=v2, failing=failing))

    return build(world, style, body)


# -- routes --------------------------------------------------------------------------------------


def _step(world: World, hop: Hop, position: int, percent: int = 100) -> bytes:
    """A legacy route step: swap enum, percent, input index, output index."""
    venue = world.pools[hop.pool].venue
    if venue is Venue.PUMP_SWAP:
        swap = bytes(
            [programs.JUPITER_PUMP_SWAP_BUY if hop.side_in else programs.JUPITER_PUMP_SWAP_SELL]
        )
    elif venue is Venue.PUMP_FUN:
        swap = bytes([programs.JUPITER_PUMP_FUN_SELL])
    elif venue is Venue.WHIRLPOOL and hop.variant:
        swap = bytes([programs.JUPITER_WHIRLPOOL_V2, hop.side_in == 0, 0])
    elif venue is Venue.WHIRLPOOL:
        swap = bytes([programs.JUPITER_SWAP[venue], hop.side_in == 0])
    else:
        swap = bytes([programs.JUPITER_SWAP[venue]])
    return swap + bytes([percent, position, position + 1])


def _run_legs(tx: TemplateBuilder, legs: Sequence[Leg], *, events: bool) -> None:
    """The hops of a route, each followed by the router's event."""
    world = tx.world
    for leg in legs:
        number = len(tx.legs)
        pool = world.pools[leg.pool]
        tx.burn(4500)
        venues.swap(tx, leg)
        if pool.venue is Venue.PUMP_FUN:
            # The curve pays lamports; the router wraps them.
            account = user(COLUMN_WSOL)
            system_transfer(tx, WALLET, account, leg_register(number, LegField.RECEIVED))
            _sync(tx, account)
        if events:
            program = world.fixed[programs.VENUE_PROGRAMS[pool.venue]]
            tx.emit_self(
                world.fixed[programs.JUPITER_EVENT_AUTHORITY],
                (
                    Disc.EVENT_SWAP, Key(program), Key(pool.mints[leg.side_in].account),
                    U64(leg_register(number, LegField.TOTAL_IN)),
                    Key(pool.mints[1 - leg.side_in].account),
                    U64(leg_register(number, LegField.RECEIVED)),
                ),
                units=184,
            )  # fmt: skip


def route(
    world: World, style: Style, hops: Sequence[Hop], *, shared: bool, failing_leg: int | None,
    failing: bool, split: Sequence[int] = (),
) -> Template:  # fmt: skip
    """A Jupiter v6 route over the user's accounts, or over the router's own (shared).

    failing: it ends with the router's slippage error after the last hop, or within the hop
    `failing_leg` where that is given. split: the hops stand beside each other, and each but the
    last takes so many 256ths of the whole."""
    fixed = world.fixed
    own = make_legs(world, hops, style)
    shares = [*split, 0] if split else []
    if split:
        own = [replace(g, chained=False, share=s) for g, s in zip(own, shares, strict=True)]
    source, target = own[0].source, own[-1].destination
    if target == WALLET:
        target = user(COLUMN_WSOL)
    mint_in = world.pools[hops[0].pool].mints[hops[0].side_in]
    mint_out = world.pools[hops[-1].pool].mints[1 - hops[-1].side_in]
    program = fixed[programs.JUPITER]
    legs = own
    if shared:
        legs = [
            replace(
                leg,
                trader=world.jupiter_authority,
                source=world.program_account(world.pools[leg.pool].mints[leg.side_in]),
                destination=world.program_account(world.pools[leg.pool].mints[1 - leg.side_in]),
                funds=source if i == 0 else None,
            )
            for i, leg in enumerate(own)
        ]
    legs = [replace(leg, failing=failing and failing_leg == i) for i, leg in enumerate(legs)]
    token = r(fixed[programs.SPL])
    event = [r(fixed[programs.JUPITER_EVENT_AUTHORITY]), r(program)]
    if shared:
        head = [
            token, r(world.jupiter_authority), s(WALLET), w(source),
            w(world.program_account(mint_in)), w(world.program_account(mint_out)), w(target),
            r(mint_in.account), r(mint_out.account), r(program), r(program), *event,
        ]  # fmt: skip
        disc = Disc.SHARED_ROUTE + b"\x01"
    else:
        head = [
            token, s(WALLET), w(source), w(target), r(program), r(mint_out.account), r(program),
            *event,
        ]  # fmt: skip
        disc = Disc.ROUTE
    plan = b"".join(_step(world, hop, i) for i, hop in enumerate(hops))
    if split:
        percents = [100 * share // 256 for share in split]
        percents.append(100 - sum(percents))
        plan = b"".join(_step(world, h, 0, p) for h, p in zip(hops, percents, strict=True))
    data: tuple[Piece, ...] = (
        disc + len(hops).to_bytes(4, "little") + plan,
        U64(Register.AMOUNT), U64(Register.QUOTED), (50).to_bytes(2, "little") + b"\0",
    )  # fmt: skip

    def run(tx: TemplateBuilder) -> None:
        metas: list[Meta] = list(head)
        for leg in legs:
            venue_program = fixed[programs.VENUE_PROGRAMS[world.pools[leg.pool].venue]]
            metas += [r(venue_program), *venues.accounts(tx, leg)]
        with tx.call(program, metas, data, units=2400, router=programs.ROUTER_NAME):
            tx.log(f"Instruction: {'SharedAccountsRoute' if shared else 'Route'}")
            if shared:
                token_transfer(
                    tx, mint_in, source, world.program_account(mint_in), WALLET, Register.AMOUNT
                )
            _run_legs(tx, legs, events=True)
            if failing:
                code, name = programs.JUPITER_SLIPPAGE
                tx.fail(code, anchor_error(code, name))
            if shared:
                token_transfer(
                    tx, mint_out, world.program_account(mint_out), target,
                    world.jupiter_authority, Register.RECEIVED,
                )  # fmt: skip
            tx.burn(3100)
            tx.set_return((U64(Register.RECEIVED),))

    def body(tx: TemplateBuilder) -> None:
        _around(tx, style, hops, lambda: run(tx))

    return build(world, style, body)


def bot_arbitrage(
    world: World, style: Style, hops: Sequence[Hop], *, bot: int, failing: bool, early: bool
) -> Template:
    """A cycle through an arbitrageur's own program. failing: it gains nothing and gives up,
    before its first swap (early) or after its last."""
    program = world.bots[bot]
    legs = make_legs(world, hops, style)
    not_profitable = (0x1, "No profit")

    def run(tx: TemplateBuilder) -> None:
        metas: list[Meta] = [s(WALLET), w(legs[0].source)]
        for leg in legs:
            venue_program = world.fixed[programs.VENUE_PROGRAMS[world.pools[leg.pool].venue]]
            metas += [r(venue_program), *venues.accounts(tx, leg)]
        data = (bytes([7, len(legs)]), U64(Register.AMOUNT))
        with tx.call(program, metas, data, units=8000):
            if failing and early:
                for leg in legs:
                    _declare_only(tx, leg)
                tx.fail(*not_profitable)
            else:
                _run_legs(tx, legs, events=False)
                if failing:
                    tx.fail(*not_profitable)

    def body(tx: TemplateBuilder) -> None:
        _around(tx, style, hops, lambda: run(tx))

    return build(world, style, body)


def _declare_only(tx: TemplateBuilder, leg: Leg) -> None:
    """A leg that is priced and never run."""
    pool = tx.world.pools[leg.pool]
    tx.leg(
        pool=leg.pool, side_in=leg.side_in, trader=leg.trader, source=leg.source,
        destination=leg.destination, funds=leg.source, chained=leg.chained, account=pool.account,
        mints=(pool.mints[leg.side_in].address, pool.mints[1 - leg.side_in].address),
    )  # fmt: skip


# -- the rest ------------------------------------------------------------------------------------


def sol_transfer(world: World, style: Style) -> Template:
    """Lamports from the user to the other user."""
    return build(
        world,
        style,
        lambda tx: system_transfer(tx, WALLET, other(COLUMN_WALLET), Register.AMOUNT),
    )


def plain_token_transfer(world: World, style: Style, mint: Mint, *, failing: bool) -> Template:
    """Tokens from the user to the other user, by TransferChecked."""

    def body(tx: TemplateBuilder) -> None:
        source, target = user(mint.column), other(mint.column)
        if not failing:
            token_transfer(tx, mint, source, target, WALLET, Register.AMOUNT)
            return
        metas = [w(source), r(mint.account), w(target), s(WALLET)]
        data = (b"\x0c", U64(Register.AMOUNT), bytes([mint.decimals]))
        with tx.call(tx.world.fixed[mint.program], metas, data, units=4300):
            tx.log("Instruction: TransferChecked")
            tx.fail(1, "Error: insufficient funds")

    return build(world, style, body)


def vote(world: World, *, separate_authority: bool) -> Template:
    """TowerSync of one validator: 31 votes, one a slot, each a confirmation older."""
    identity = validator(0)
    authority = validator(2) if separate_authority else identity
    lockouts = b"".join(bytes([1, 31 - i]) for i in range(31))
    data: tuple[Piece, ...] = (
        b"\x0e\0\0\0", U64(Register.ROOT), b"\x1f" + lockouts, Key(world.bank_hash), b"\x01",
        U64(Register.TIME), Key(world.block_id),
    )  # fmt: skip
    style = Style(Version(-1), cu_limit=0, priced=False, user_class=-1)
    metas = [w(validator(1)), s(authority)]
    return build(
        world,
        style,
        lambda tx: tx.run(world.fixed[programs.VOTE], metas, data, units=2100),
        payer=identity,
    )
