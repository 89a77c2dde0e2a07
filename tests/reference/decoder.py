"""Swap legs and transaction fields of one transaction, by the rule: the pool's side of the leg is
the sum of the token transfers, nested in the instruction, into one vault and out of the other."""

import struct
from collections import Counter
from dataclasses import dataclass

from mevstream.schemas import confirmed_block_pb2 as cb
from reference.programs import (
    NOT_A_VENUE,
    RAYDIUM_STABLE,
    RAYDIUM_V4,
    ROUTERS,
    VENUES,
    Curve,
    Fill,
    Pool,
    Shape,
)
from reference.transaction import TOKEN_PROGRAMS, VOTE, WSOL, Instruction, Transfer, Tx, base58

SELF_CPI = bytes.fromhex("e445a52e51cb9a1d")
# Token instructions that make or destroy tokens: receipts for a deposit, not a trade.
MINT_OR_BURN = (b"\x07", b"\x08", b"\x0e", b"\x0f")
TRADE_EVENT = SELF_CPI + bytes.fromhex("bddb7fd34ee661ee")
TIP_ACCOUNTS = frozenset(
    [
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
        "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
        "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
        "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
        "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
        "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
        "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
        "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
    ]
)


@dataclass(frozen=True)
class Leg:
    outer: int
    inner: int | None
    leg: int
    venue: str
    router: str | None
    program: str
    pool: str | None
    trader: str | None
    mint_in: str | None
    mint_out: str | None
    vault_in: str | None
    vault_out: str | None
    amount_in: int
    amount_out: int
    # What the trader's own accounts paid and received in this instruction, where tokens show it.
    trader_in: int | None = None
    trader_out: int | None = None
    # Vault balances after the leg.
    reserve_in: int | None = None
    reserve_out: int | None = None

    @property
    def path(self) -> str:
        return str(self.outer) if self.inner is None else f"{self.outer}.{self.inner}"


@dataclass(frozen=True)
class Transaction:
    signature: str
    fee_payer: str
    version: int | str
    success: bool
    is_vote: bool
    fee: int
    compute_units: int
    tip_lamports: int
    legs: tuple[Leg, ...]
    attempts: int


def decode(message: cb.ConfirmedTransaction) -> Transaction:
    """Transaction fields and, where it succeeded, its swap legs in execution order."""
    tx = Tx(message)
    body = message.transaction.message
    legs = _legs(tx) if tx.success else []
    version: int | str = "legacy"
    if body.HasField("config"):
        version = 1
    elif body.versioned:
        version = 0
    tips = [lamports for _, to, lamports in tx.sol_transfers() if to in TIP_ACCOUNTS]
    return Transaction(
        signature=tx.signatures[0].hex() if tx.signatures else "",
        fee_payer=tx.accounts[0] if tx.accounts else "",
        version=version,
        success=tx.success,
        is_vote=any(ix.program == VOTE for ix in tx.top),
        fee=tx.meta.fee,
        compute_units=tx.meta.compute_units_consumed,
        tip_lamports=sum(tips) if tx.success else 0,
        legs=tuple(legs),
        attempts=sum(bool(shapes(ix)[1]) for ix in tx.instructions)
        + sum(leg.venue == "unknown" for leg in legs),
    )


def _legs(tx: Tx) -> list[Leg]:
    """Legs of known venues, then of programs that only look like one, in execution order."""
    found: dict[int, list[Leg]] = {}
    for position, ix in enumerate(tx.instructions):
        found[position] = swap_legs(tx, ix)
    explained = {id(tx.instructions[position]) for position, legs in found.items() if legs}
    # Deepest first: of two programs around one flow the inner one is the pool's.
    for position in reversed(range(len(tx.instructions))):
        ix = tx.instructions[position]
        if not found[position] and not any(id(below) in explained for below in ix.nested()):
            leg = unknown_leg(tx, ix)
            if leg is not None:
                found[position] = [leg]
                explained.add(id(ix))
    return [leg for position in sorted(found) for leg in found[position]]


def shapes(ix: Instruction) -> tuple[str, tuple[Shape, ...]]:
    """Venue and one shape a leg; no shapes where `ix` is no swap."""
    tag = ix.data[:1]
    if ix.program == RAYDIUM_V4 and len(ix.data) >= 17:
        if tag in (b"\x10", b"\x11") and len(ix.accounts) >= 8:
            return "raydium_amm_v4", (Pool(1, (3, 4), 7),)
        if tag in (b"\x09", b"\x0b") and len(ix.accounts) >= 17:
            first = 5 if len(ix.accounts) >= 18 else 4
            return "raydium_amm_v4", (Pool(1, (first, first + 1), -1),)
    if ix.program == RAYDIUM_STABLE and tag in (b"\x09", b"\x0b"):
        return "raydium_stable", (Pool(1, (4, 5), -1),)
    venue, rules = VENUES.get(ix.program, ("", []))
    for prefixes, shape in rules:
        if any(ix.data.startswith(bytes.fromhex(prefix)) for prefix in prefixes):
            parts = shape if isinstance(shape, tuple) else (shape,)
            return (venue, parts) if all(_complete(ix, part) for part in parts) else ("", ())
    return "", ()


def _complete(ix: Instruction, shape: Shape) -> bool:
    """Whether `ix` has every account that `shape` names."""
    if isinstance(shape, Pool):
        positions = (shape.pool, *shape.vaults, shape.trader)
    elif isinstance(shape, Curve):
        positions = (shape.pool, shape.vault, shape.trader, shape.mint)
    elif isinstance(shape, Fill):
        positions = (shape.taker, shape.maker)
    else:
        return False
    return all(ix.account(position) is not None for position in positions)


def swap_legs(tx: Tx, ix: Instruction) -> list[Leg]:
    """The legs of `ix`; a leg with nothing in or nothing out moved no trade and is left out."""
    venue, parts = shapes(ix)
    legs: list[Leg] = []
    for number, shape in enumerate(parts):
        if isinstance(shape, Pool):
            leg = _pool_leg(tx, ix, venue, number, shape)
        elif isinstance(shape, Curve):
            leg = _curve_leg(tx, ix, venue, shape)
        elif isinstance(shape, Fill):
            leg = _fill_leg(tx, ix, venue, shape)
        else:
            leg = None
        if leg is not None:
            legs.append(leg)
    return legs


def router(ix: Instruction) -> str | None:
    """The nearest router above `ix`."""
    above = ix.parent
    while above is not None:
        if above.program in ROUTERS:
            return ROUTERS[above.program]
        above = above.parent
    return None


def _leg(ix: Instruction, venue: str, number: int, **fields: object) -> Leg:
    return Leg(ix.outer, ix.inner, number, venue, router(ix), ix.program, **fields)  # type: ignore[arg-type]


def _pool_leg(tx: Tx, ix: Instruction, venue: str, number: int, shape: Pool) -> Leg | None:
    vaults = [ix.account(position) for position in shape.vaults]
    one, other = vaults
    if one is None or other is None or one == other:
        return None
    transfers = tx.transfers(ix)
    received, sent = _flows(transfers)
    if not (received[one] and sent[other]):
        one, other = other, one
    if not (received[one] and sent[other]):
        return None
    return _leg(
        ix,
        venue,
        number,
        pool=ix.account(shape.pool),
        trader=ix.account(shape.trader),
        mint_in=tx.mints.get(one),
        mint_out=tx.mints.get(other),
        vault_in=one,
        vault_out=other,
        amount_in=received[one],
        amount_out=sent[other],
        **_sides(tx, ix, transfers, one, other),
    )


def _flows(transfers: list[Transfer]) -> tuple[Counter[str], Counter[str]]:
    """Tokens received and sent by account."""
    received: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    for transfer in transfers:
        received[transfer.destination] += transfer.amount
        sent[transfer.source] += transfer.amount
    return received, sent


def _sides(
    tx: Tx, ix: Instruction, transfers: list[Transfer], vault_in: str, vault_out: str
) -> dict[str, int | None]:
    """What the trader's accounts moved, and what the vaults held afterwards.

    The trader pays from the account that fed the vault and is paid into the account that got the
    largest part of what left the other vault.
    """
    payer = max((t for t in transfers if t.destination == vault_in), key=lambda t: t.amount).source
    payee = max((t for t in transfers if t.source == vault_out), key=lambda t: t.amount).destination
    return {
        "trader_in": sum(t.amount for t in transfers if t.source == payer),
        "trader_out": sum(t.amount - t.fee for t in transfers if t.destination == payee),
        "reserve_in": tx.balance_after(ix, vault_in),
        "reserve_out": tx.balance_after(ix, vault_out),
    }


def _curve_leg(tx: Tx, ix: Instruction, venue: str, shape: Curve) -> Leg | None:
    """Pump.fun: amounts of the trade event that the instruction emitted itself.

    Reserves are the event's real ones: the curve's account also holds rent, its vault also what is
    kept for the migration.
    """
    for child in ix.children:
        if child.program == ix.program and child.data.startswith(TRADE_EVENT):
            break
    else:
        return None
    event = child.data[8:]
    sol, tokens, buy = struct.unpack_from("<QQ?", event, 40)
    trader, vault = base58(event[57:89]), ix.account(shape.vault)
    reserve_sol, reserve_tokens = struct.unpack_from("<QQ", event, 113)
    moved = [t for t in tx.transfers(ix) if vault in (t.source, t.destination)]
    fields: dict[str, object] = {"pool": ix.account(shape.pool), "trader": trader}
    if len(event) >= 225:
        fees = sum(struct.unpack_from("<Q", event, at)[0] for at in (169, 217))
    else:  # early events tell no fee; a buyer pays it by a transfer of his own
        fees = sum(n for _, to, n in tx.sol_transfers(ix.children) if to == ix.account(1))
    if buy:
        fields |= {"mint_in": WSOL, "mint_out": base58(event[8:40]), "vault_out": vault}
        fields |= {"vault_in": None, "amount_in": sol, "amount_out": tokens}
        fields |= {"trader_in": sol + fees, "trader_out": sum(t.amount for t in moved)}
        fields |= {"reserve_in": reserve_sol, "reserve_out": reserve_tokens}
    else:
        fields |= {"mint_in": base58(event[8:40]), "mint_out": WSOL, "vault_in": vault}
        fields |= {"vault_out": None, "amount_in": tokens, "amount_out": sol}
        fields |= {"trader_in": sum(t.amount for t in moved), "trader_out": sol - fees}
        fields |= {"reserve_in": reserve_tokens, "reserve_out": reserve_sol}
    return _leg(ix, venue, 0, **fields)


def unknown_leg(tx: Tx, ix: Instruction) -> Leg | None:
    """An unknown program below which one owner gives one mint and gets one other mint."""
    if ix.program in NOT_A_VENUE or ix.program in ROUTERS or ix.program in TOKEN_PROGRAMS:
        return None
    if ix.program in VENUES or ix.program in (RAYDIUM_V4, RAYDIUM_STABLE):
        return None  # of a known program only its swap instructions count
    transfers = [t for t in tx.transfers(ix) if t.amount and t.mint]
    # Who signs trades; a pool's authority never does. Below a router's own authority nobody signs.
    movers = list(dict.fromkeys(t.authority for t in transfers))
    for trader in [key for key in movers if tx.signs(key)] or movers:
        net: Counter[str] = Counter()
        for t in transfers:
            mint = t.mint or ""
            net[mint] -= t.amount * (trader in (t.authority, tx.owners.get(t.source)))
            net[mint] += t.amount * (trader == tx.owners.get(t.destination))
        given = [mint for mint, amount in net.items() if amount < 0]
        gotten = [mint for mint, amount in net.items() if amount > 0]
        if len(given) == 1 and len(gotten) == 1 and not _receipts(tx, ix, trader):
            break
    else:
        return None
    paid = [t for t in transfers if t.mint == given[0] and tx.owners.get(t.destination) != trader]
    back = [t for t in transfers if t.mint == gotten[0] and tx.owners.get(t.source) != trader]
    vault_in = max(paid, key=lambda t: t.amount).destination
    vault_out = max(back, key=lambda t: t.amount).source
    received, sent = _flows(transfers)
    return _leg(
        ix,
        "unknown",
        0,
        pool=None,
        trader=trader,
        mint_in=given[0],
        mint_out=gotten[0],
        vault_in=vault_in,
        vault_out=vault_out,
        amount_in=received[vault_in],
        amount_out=sent[vault_out],
        **_sides(tx, ix, transfers, vault_in, vault_out),
    )


def _receipts(tx: Tx, ix: Instruction, trader: str) -> bool:
    """Whether tokens are made for `trader` or taken out of being: a deposit, not a trade."""
    for below in ix.nested():
        if below.program in TOKEN_PROGRAMS and below.data[:1] in MINT_OR_BURN:
            account = below.account(1 if below.data[0] in (7, 14) else 0)
            if account is not None and tx.owners.get(account) == trader:
                return True
    return False


def _fill_leg(tx: Tx, ix: Instruction, venue: str, shape: Fill) -> Leg | None:
    """A maker's quote: the taker's payment is the leg's input, the maker's its output."""
    taker, maker = ix.account(shape.taker), ix.account(shape.maker)
    direct: list[Transfer] = [
        transfer for transfer in map(tx.transfer, ix.children) if transfer is not None
    ]
    paid = [t for t in direct if t.authority == taker]
    given = [t for t in direct if t.authority == maker]
    if not paid or not given:
        return None
    return _leg(
        ix,
        venue,
        0,
        pool=maker,  # the closest thing to one
        trader=taker,
        mint_in=paid[0].mint,
        mint_out=given[0].mint,
        vault_in=paid[0].destination,
        vault_out=given[0].source,
        amount_in=sum(t.amount for t in paid),
        amount_out=sum(t.amount for t in given),
        **_sides(tx, ix, direct, paid[0].destination, given[0].source),
    )
