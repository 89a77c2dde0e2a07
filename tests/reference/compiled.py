"""What the compiled decoder says, in the reference decoder's words.

The message is read with the ordinary protobuf class, not with the package's own column reader.
"""

from collections.abc import Iterable, Sequence

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.parsed import LINK_KINDS, LIQUIDITY_KINDS
from mevstream.schemas import confirmed_block_pb2 as cb
from mevstream.schemas import parsed_pb2, raw_pb2
from reference.changes import Change, Liquidation
from reference.decoder import Leg, Transaction
from reference.links import Link
from reference.transaction import base58

NONE = 0xFFFFFFFF
SUCCESS, VOTE = 1, 2
RESERVES_KNOWN = 16
FEE_TOLD, DELTA_TOLD = 32, 256
NO_TICK = -(2**31)


def batch(messages: Iterable[bytes], slot: int = 1) -> parsed_pb2.ParsedBatch:
    """ConfirmedTransaction bytes through the compiled decoder, as one batch."""
    raw = raw_pb2.RawBatch(slot=slot, last=True, transactions=messages)
    return parsed_pb2.ParsedBatch.FromString(BatchDecoder().decode(raw.SerializeToString()))


def transactions(messages: Sequence[cb.ConfirmedTransaction]) -> list[Transaction]:
    """One Transaction for each of `messages`, with its legs."""
    parsed = batch(message.SerializeToString() for message in messages)
    assert list(parsed.tx_index) == list(range(len(messages)))
    assert not parsed.malformed
    rows: list[list[Leg]] = [[] for _ in messages]
    for row, leg in zip(parsed.swap_tx, legs(parsed), strict=True):
        rows[row].append(leg)
    return [
        Transaction(
            signature=parsed.tx_signature[64 * i : 64 * i + 64].hex(),
            fee_payer=_key(parsed, parsed.tx_payer[i]) or "",
            version="legacy" if parsed.tx_version[i] == 0 else parsed.tx_version[i] - 1,
            success=bool(parsed.tx_flags[i] & SUCCESS),
            is_vote=bool(parsed.tx_flags[i] & VOTE),
            fee=parsed.tx_fee[i],
            compute_units=parsed.tx_compute_units[i],
            tip_lamports=parsed.tx_tip[i],
            legs=tuple(rows[i]),
            attempts=parsed.tx_swap_attempts[i],
        )
        for i in range(len(messages))
    ]


def legs(parsed: parsed_pb2.ParsedBatch) -> list[Leg]:
    """The swap columns as legs, in their order."""
    return [
        Leg(
            outer=parsed.swap_outer[i],
            inner=None if parsed.swap_inner[i] == NONE else parsed.swap_inner[i],
            leg=parsed.swap_leg[i],
            venue=parsed.names[parsed.swap_venue[i]],
            router=_name(parsed, parsed.swap_router[i]),
            program=_key(parsed, parsed.swap_program[i]) or "",
            pool=_key(parsed, parsed.swap_pool[i]),
            trader=_key(parsed, parsed.swap_trader[i]),
            mint_in=_key(parsed, parsed.swap_mint_in[i]),
            mint_out=_key(parsed, parsed.swap_mint_out[i]),
            vault_in=_key(parsed, parsed.swap_vault_in[i]),
            vault_out=_key(parsed, parsed.swap_vault_out[i]),
            amount_in=parsed.swap_amount_in[i],
            amount_out=parsed.swap_amount_out[i],
            trader_in=parsed.swap_trader_in[i],
            trader_out=parsed.swap_trader_out[i],
            reserve_in=_reserve(parsed, i, parsed.swap_reserve_in[i]),
            reserve_out=_reserve(parsed, i, parsed.swap_reserve_out[i]),
        )
        for i in range(len(parsed.swap_tx))
    ]


def _key(parsed: parsed_pb2.ParsedBatch, index: int) -> str | None:
    return None if index == NONE else base58(parsed.keys[32 * index : 32 * index + 32])


def _name(parsed: parsed_pb2.ParsedBatch, index: int) -> str | None:
    return None if index == NONE else parsed.names[index]


def _reserve(parsed: parsed_pb2.ParsedBatch, leg: int, amount: int) -> int | None:
    return amount if parsed.swap_flags[leg] & RESERVES_KNOWN else None


def changes(message: cb.ConfirmedTransaction) -> list[Change]:
    """The liquidity columns of one transaction, in their order."""
    parsed = batch([message.SerializeToString()])
    assert not any(parsed.liquidity_tx)
    return [
        Change(
            outer=parsed.liquidity_outer[i],
            inner=None if parsed.liquidity_inner[i] == NONE else parsed.liquidity_inner[i],
            kind=LIQUIDITY_KINDS[parsed.liquidity_kind[i]],
            venue=parsed.names[parsed.liquidity_venue[i]],
            pool=_key(parsed, parsed.liquidity_pool[i]),
            position=_key(parsed, parsed.liquidity_position[i]),
            owner=_key(parsed, parsed.liquidity_owner[i]),
            amount_a=parsed.liquidity_amount_a[i],
            amount_b=parsed.liquidity_amount_b[i],
            lower=_tick(parsed.liquidity_lower[i]),
            upper=_tick(parsed.liquidity_upper[i]),
            delta=parsed.liquidity_delta_high[i] << 64 | parsed.liquidity_delta_low[i]
            if parsed.liquidity_flags[i] & DELTA_TOLD
            else None,
        )
        for i in range(len(parsed.liquidity_tx))
    ]


def liquidations(message: cb.ConfirmedTransaction) -> list[Liquidation]:
    """The liquidation columns of one transaction, in their order."""
    parsed = batch([message.SerializeToString()])
    assert not any(parsed.liquidation_tx)
    return [
        Liquidation(
            outer=parsed.liquidation_outer[i],
            inner=None if parsed.liquidation_inner[i] == NONE else parsed.liquidation_inner[i],
            protocol=parsed.names[parsed.liquidation_protocol[i]],
            liquidator=_key(parsed, parsed.liquidation_liquidator[i]),
            account=_key(parsed, parsed.liquidation_account[i]),
            repay_mint=_key(parsed, parsed.liquidation_repay_mint[i]),
            collateral_mint=_key(parsed, parsed.liquidation_collateral_mint[i]),
            repay_amount=parsed.liquidation_repay_amount[i],
            collateral_amount=parsed.liquidation_collateral_amount[i],
            fee=parsed.liquidation_fee[i] if parsed.liquidation_flags[i] & FEE_TOLD else None,
        )
        for i in range(len(parsed.liquidation_tx))
    ]


def links(parsed: parsed_pb2.ParsedBatch) -> list[tuple[int, Link]]:
    """The rows of the link columns, each with the position of its transaction."""
    return [
        (
            parsed.link_index[i],
            Link(
                LINK_KINDS[parsed.link_kind[i]],
                _key(parsed, parsed.link_from[i]) or "",
                _key(parsed, parsed.link_to[i]) or "",
            ),
        )
        for i in range(len(parsed.link_index))
    ]


def _tick(value: int) -> int | None:
    return None if value == NO_TICK else value
