"""Liquidity changes and liquidations of one transaction, by the rule: what moved are the token
transfers nested in the instruction, into or out of the vaults that its account list names.

Account lists are written as their programs' IDLs and sources have them, a letter an account:
p pool, h the account that holds the position, o its owner, a and b the vaults, - any other. For
liquidations l liquidator, x the account liquidated, r vault of the debt, R its mint, c vault of the
collateral, C its mint, s vault of the share tokens, f account of the protocol's fee.
"""

import struct
from dataclasses import dataclass
from hashlib import sha256

from mevstream.schemas import confirmed_block_pb2 as cb
from reference.transaction import Instruction, Tx

CLMM = (
    ("raydium_clmm", "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"),
    ("pancake_swap", "HpNfyc2Saw7RKkQd8nEL4khUcuPhQ7WwY1B2qjx8jxFq"),
    ("byreal", "REALQqNEomY6cQGZJUGwywTBD2UmDT32rZcNnfxQ5N2"),
    ("stabble_clmm", "6dMXqGZ3ga2dikrYS9ovDXgHGh5RUsb2RTUj6hrQXhk6"),
)
CPMM = (
    ("raydium_cpmm", "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"),
    ("raydium_cpmm_fork", "DRaycpLY18LhpbydsBWbVJtxpNv9oXPgjRSfpF2bWpYb"),
)
WHIRLPOOL = (("orca_whirlpool", "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"),)
DLMM = (("meteora_dlmm", "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"),)
DAMM_V2 = (("meteora_damm_v2", "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG"),)
DAMM_V1 = (("meteora_damm_v1", "Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB"),)
PUMP_SWAP = (("pump_swap", "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"),)
AMM_V4 = (("raydium_amm_v4", "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"),)

# (programs, kind, instruction, accounts, where the data have the range, where the liquidity). A
# range is "pair 8" (two i32), "width 8" (the first and how many), "list 8 6" (a vector of items of
# so many bytes that begin with a bin); the liquidity "u128 8" or "u64 8".
_V1, _V2 = "hp---ab----o----", "hp---ab--o----"
LAYOUTS = [
    (CLMM, "open+add", "open_position", "-o---p---h--ab-----", "pair 8", "u128 24"),
    (CLMM, "open+add", "open_position_v2", "-o---p---h--ab--------", "pair 8", "u128 24"),
    (CLMM, "open+add", "open_position_with_token22_nft", "-o--p---h--ab-------", "pair 8",
     "u128 24"),
    (CLMM, "add", "increase_liquidity", "o-p-h----ab-", "", "u128 8"),
    (CLMM, "add", "increase_liquidity_v2", "o-p-h----ab----", "", "u128 8"),
    (CLMM, "remove", "decrease_liquidity", "o-hp-ab-----", "", "u128 8"),
    (CLMM, "remove", "decrease_liquidity_v2", "o-hp-ab---------", "", "u128 8"),
    (CLMM, "close", "close_position", "o--h--", "", ""),
    (WHIRLPOOL, "open", "open_position", "-oh--p----", "pair 9", ""),
    (WHIRLPOOL, "open", "open_position_with_metadata", "-oh---p------", "pair 10", ""),
    (WHIRLPOOL, "open", "open_position_with_token_extensions", "-oh--p----", "pair 8", ""),
    (WHIRLPOOL, "open", "open_bundled_position", "h--op---", "pair 10", ""),
    (WHIRLPOOL, "add", "increase_liquidity", "p-oh---ab--", "", "u128 8"),
    (WHIRLPOOL, "add", "increase_liquidity_v2", "p---oh-----ab--", "", "u128 8"),
    (WHIRLPOOL, "add", "increase_liquidity_by_token_amounts_v2", "p---oh-----ab--", "", ""),
    (WHIRLPOOL, "remove", "decrease_liquidity", "p-oh---ab--", "", "u128 8"),
    (WHIRLPOOL, "remove", "decrease_liquidity_v2", "p---oh-----ab--", "", "u128 8"),
    (WHIRLPOOL, "collect", "collect_fees", "poh--a-b-", "", ""),
    (WHIRLPOOL, "collect", "collect_fees_v2", "poh----a-b---", "", ""),
    (WHIRLPOOL, "close", "close_position", "o-h---", "", ""),
    (WHIRLPOOL, "close", "close_position_with_token_extensions", "o-h---", "", ""),
    (WHIRLPOOL, "close", "close_bundled_position", "h--o-", "", ""),
    (DLMM, "open", "initialize_position", "-hpo----", "width 8", ""),
    (DLMM, "open", "initialize_position2", "-hpo---", "width 8", ""),
    (DLMM, "open", "initialize_position_pda", "--hpo----", "width 8", ""),
    (DLMM, "open", "initialize_position_by_operator", "--hpo------", "width 8", ""),
    (DLMM, "add", "add_liquidity", _V1, "list 24 8", ""),
    (DLMM, "add", "add_liquidity2", _V2, "list 24 8", ""),
    (DLMM, "add", "add_liquidity_by_weight", _V1, "list 32 6", ""),
    (DLMM, "add", "add_liquidity_by_weight2", _V2, "list 32 6", ""),
    (DLMM, "add", "add_liquidity_by_strategy", _V1, "pair 32", ""),
    (DLMM, "add", "add_liquidity_by_strategy2", _V2, "pair 32", ""),
    (DLMM, "add", "add_liquidity_by_strategy_one_side", "hp--a---o---", "pair 24", ""),
    (DLMM, "add", "add_liquidity_one_side", "hp--a---o---", "list 24 6", ""),
    (DLMM, "add", "add_liquidity_one_side_precise", "hp--a---o---", "list 8 8", ""),
    (DLMM, "add", "add_liquidity_one_side_precise2", "hp--a-o---", "list 8 8", ""),
    (DLMM, "remove", "remove_liquidity", _V1, "list 8 6", ""),
    (DLMM, "remove", "remove_liquidity2", _V2 + "-", "list 8 6", ""),
    (DLMM, "remove", "remove_liquidity_by_range", _V1, "pair 8", ""),
    (DLMM, "remove", "remove_liquidity_by_range2", _V2 + "-", "pair 8", ""),
    (DLMM, "remove", "remove_all_liquidity", _V1, "", ""),
    (DLMM, "collect", "claim_fee", "ph--oab-------", "", ""),
    (DLMM, "collect", "claim_fee2", "phoab---------", "pair 8", ""),
    (DLMM, "close", "close_position", "hp--o---", "", ""),
    (DLMM, "close", "close_position2", "ho---", "", ""),
    (DLMM, "close", "close_position_if_empty", "ho---", "", ""),
    (DAMM_V2, "add", "initialize_pool", "o-----ph--ab------", "", "u128 8"),
    (DAMM_V2, "add", "initialize_customizable_pool", "o----ph--ab------", "", ""),
    (DAMM_V2, "add", "initialize_pool_with_dynamic_config", "o------ph--ab------", "", ""),
    (DAMM_V2, "open", "create_position", "o--ph----", "", ""),
    (DAMM_V2, "add", "add_liquidity", "ph--ab---o--", "", "u128 8"),
    (DAMM_V2, "remove", "remove_liquidity", "-ph--ab---o--", "", "u128 8"),
    (DAMM_V2, "remove", "remove_all_liquidity", "-ph--ab---o--", "", ""),
    (DAMM_V2, "collect", "claim_position_fee", "-ph--ab---o--", "", ""),
    (DAMM_V2, "close", "close_position", "--ph--o-", "", ""),
    (DAMM_V1, "add", "add_balance_liquidity", "p--------ab--o--", "", "u64 8"),
    (DAMM_V1, "add", "add_imbalance_liquidity", "p--------ab--o--", "", ""),
    (DAMM_V1, "add", "bootstrap_liquidity", "p--------ab--o--", "", ""),
    (DAMM_V1, "remove", "remove_balance_liquidity", "p--------ab--o--", "", "u64 8"),
    (DAMM_V1, "remove", "remove_liquidity_single_side", "p--------ab-o--", "", "u64 8"),
    (DAMM_V1, "add", "initialize_permissionless_pool", "p-----ab---------o--------", "", ""),
    (DAMM_V1, "add", "initialize_permissionless_pool_with_fee_tier",
     "p-----ab---------o--------", "", ""),
    (DAMM_V1, "add", "initialize_customizable_permissionless_constant_product_pool",
     "p-----ab---------o-------", "", ""),
    (DAMM_V1, "add", "initialize_permissionless_constant_product_pool_with_config",
     "p------ab---------o-------", "", ""),
    (DAMM_V1, "add", "initialize_permissionless_constant_product_pool_with_config2",
     "p------ab---------o-------", "", ""),
    (CPMM, "add", "deposit", "o-p---ab-----", "", "u64 8"),
    (CPMM, "remove", "withdraw", "o-p---ab------", "", "u64 8"),
    (CPMM, "add", "initialize", "o--p------ab--------", "", ""),
    (CPMM, "add", "initialize_with_permission", "o---p------ab---------", "", ""),
    (PUMP_SWAP, "add", "deposit", "p-o------ab----", "", "u64 8"),
    (PUMP_SWAP, "remove", "withdraw", "p-o------ab----", "", "u64 8"),
    (PUMP_SWAP, "add", "create_pool", "p-o------ab-------", "", ""),
    (AMM_V4, "add", "#1", "----p-----ab-----o---", "", ""),
    (AMM_V4, "add", "#3", "-p---ab---o", "", ""),
    (AMM_V4, "add", "#3", "-p----ab----o-", "", ""),
    (AMM_V4, "remove", "#4", "-p---ab---o", "", "u64 1"),
    (AMM_V4, "remove", "#4", "-p----ab--------o---", "", "u64 1"),
    (AMM_V4, "remove", "#4", "-p----ab----------o---", "", "u64 1"),
]  # fmt: skip

KAMINO = ("kamino_lend", "KLend2g3cP87fffoy8q1mQqGKjrxjC8boSyAYavgmjD")
SAVE = ("save", "So1endDq2YkqhipRh3WViPa8hdiSpxWy6z3Z6tMCpAo")
JUPITER_LEND = ("jupiter_lend_vaults", "jupr81YtYssSyPt8jbnGuiWon5f6x9TcDEFxYe3Bdzi")
# (program, instruction, accounts), of those whose token transfers tell the amounts.
_KLEND = "lx---Rr-C-scf-------"
LIQUIDATIONS = [
    (KAMINO, "liquidate_obligation_and_redeem_reserve_collateral", _KLEND),
    (KAMINO, "liquidate_obligation_and_redeem_reserve_collateral_v2", _KLEND + "-----"),
    (SAVE, "#12", "---r-sx--l-"),
    (SAVE, "#17", "----r--scfx--l-"),
    *((JUPITER_LEND, name, "l----xCR-----------cr-----")
      for name in ("liquidate", "liquidate_dex", "liquidate_perfect_dex")),
]  # fmt: skip


def leading(name: str) -> bytes:
    """What the data of an instruction begin with: Anchor's rule, or a number of one byte."""
    if name.startswith("#"):
        return bytes([int(name[1:])])
    return sha256(f"global:{name}".encode()).digest()[:8]


@dataclass(frozen=True)
class Change:
    outer: int
    inner: int | None
    kind: str
    venue: str
    pool: str | None
    position: str | None
    owner: str | None
    amount_a: int
    amount_b: int
    lower: int | None
    upper: int | None
    delta: int | None


@dataclass(frozen=True)
class Liquidation:
    outer: int
    inner: int | None
    protocol: str
    liquidator: str | None
    account: str | None
    repay_mint: str | None
    collateral_mint: str | None
    repay_amount: int
    collateral_amount: int
    fee: int | None


def changes(message: cb.ConfirmedTransaction) -> list[Change]:
    """As instructions, data and transfers tell them, without events, and without what other rows
    of the same position would tell."""
    tx = Tx(message)
    found = [change(tx, ix) for ix in tx.instructions] if tx.success else []
    return [one for one in found if one is not None]


def liquidations(message: cb.ConfirmedTransaction) -> list[Liquidation]:
    tx = Tx(message)
    found = [liquidation(tx, ix) for ix in tx.instructions] if tx.success else []
    return [one for one in found if one is not None]


def _moved(tx: Tx, ix: Instruction, account: str | None, into: bool) -> int:
    return sum(
        t.amount
        for t in tx.transfers(ix)
        if account is not None and account == (t.destination if into else t.source)
    )


def _at(ix: Instruction, accounts: str, letter: str) -> str | None:
    place = accounts.find(letter)
    return ix.account(place) if place >= 0 else None


def change(tx: Tx, ix: Instruction) -> Change | None:
    for programs, kind, name, accounts, where, liquidity in LAYOUTS:
        venue = next((venue for venue, address in programs if address == ix.program), None)
        if venue is None or not ix.data.startswith(leading(name)):
            continue
        # The same number stands for several lists; elsewhere some accounts may follow.
        if name.startswith("#") and len(ix.accounts) != len(accounts):
            continue
        pool, holder, owner, a, b = (_at(ix, accounts, letter) for letter in "phoab")
        delta = _number(ix.data, liquidity)
        into = kind in ("add", "open+add")
        amounts = [0, 0] if kind in ("open", "close") else [_moved(tx, ix, v, into) for v in (a, b)]
        if kind == "open+add":
            kind = "add" if any(amounts) or delta else "open"
        if kind == "remove" and delta == 0:
            kind = "collect"
        elif delta == 0:
            delta = None
        lower, upper = _range(ix.data, where)
        names = (kind, venue, pool, holder, owner)
        return Change(ix.outer, ix.inner, *names, amounts[0], amounts[1], lower, upper, delta)
    return None


def _number(data: bytes, where: str) -> int | None:
    if not where:
        return None
    kind, at = where.split()
    size = {"u64": 8, "u128": 16}[kind]
    part = data[int(at) : int(at) + size]
    return int.from_bytes(part, "little") if len(part) == size else None


def _range(data: bytes, where: str) -> tuple[int | None, int | None]:
    if not where:
        return None, None
    form, at, *stride = where.split()
    data = data[int(at) :]
    if form == "list":
        count = int.from_bytes(data[:4], "little")
        items = [data[4 + i * int(stride[0]) :][:4] for i in range(count)]
        bins = [struct.unpack("<i", item)[0] for item in items]
        return (min(bins), max(bins)) if bins else (None, None)
    first, second = struct.unpack_from("<ii", data)
    return first, first + second - 1 if form == "width" else second


def liquidation(tx: Tx, ix: Instruction) -> Liquidation | None:
    for (protocol, address), name, accounts in LIQUIDATIONS:
        if ix.program != address or not ix.data.startswith(leading(name)):
            continue
        places = {letter: _at(ix, accounts, letter) for letter in "lxrRcCsf"}
        repaid = _moved(tx, ix, places["r"], True)
        taken, vault, mint = _moved(tx, ix, places["c"], False), places["c"], places["C"]
        if not taken and "s" in accounts:
            taken, vault, mint = _moved(tx, ix, places["s"], False), places["s"], None
        if not repaid and not taken:
            return None
        return Liquidation(
            ix.outer,
            ix.inner,
            protocol,
            places["l"],
            places["x"],
            places["R"] or tx.mints.get(places["r"] or ""),
            mint or tx.mints.get(vault or ""),
            repaid,
            taken,
            _moved(tx, ix, places["f"], True) if "f" in accounts else None,
        )
    return None
