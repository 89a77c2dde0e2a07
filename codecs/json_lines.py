"""Rows of ParsedBatch and OpportunityBatch as JSON lines: the records of `mevstream inspect`.

Integers stay integers, keys and signatures become base58, and the order is that of the chain: each
transaction is followed by its swaps, its liquidity changes and its liquidations. The fields and
their order are part of the interface.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from solders.pubkey import Pubkey
from solders.signature import Signature

from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import EXCHANGED, Exactness, Kind, OpportunityView, Origin
from mevstream.codecs.parsed import (
    AMOUNTS_UNKNOWN,
    COMPUTE_UNITS_KNOWN,
    DELTA_TOLD,
    FEE_TOLD,
    LIQUIDATION_KINDS,
    LIQUIDITY_KINDS,
    NO_TICK,
    SUCCESS,
    VOTE,
    ParsedView,
)

# Wallets, pools and mints come back batch after batch, and base58 costs more than all the rest.
_CACHED_KEYS = 1 << 16


def json_lines(view: ParsedView, records: Collection[str]) -> bytes:
    """The lines of one batch, each ended by a newline.

    `records` names what is wanted: "transaction", "swap", "liquidity", "liquidation"; others have
    no rows in a ParsedBatch.
    """
    signatures = _signatures(view)
    keys = _keys(view)
    tables: list[tuple[NDArray[Any], list[bytes]]] = []
    if "transaction" in records:
        tables.append((np.arange(view.n_tx), _transactions(view, signatures, keys)))
    if "swap" in records and view.n_swaps:
        tables.append((view.swap_tx, _swaps(view, signatures, keys)))
    if "liquidity" in records and view.n_liquidity:
        tables.append((view.liquidity_tx, _liquidity(view, signatures, keys)))
    if "liquidation" in records and view.n_liquidations:
        tables.append((view.liquidation_tx, _liquidations(view, signatures, keys)))
    if len(tables) < 2:
        return b"".join(lines for _, table in tables for lines in table)
    lines = [line for _, table in tables for line in table]
    # Stable: of one transaction the tables stay in this order.
    rows: list[NDArray[Any]] = [tx for tx, _ in tables]
    order: list[int] = np.argsort(np.concatenate(rows), kind="stable").tolist()
    return b"".join([lines[i] for i in order])


def opportunity_lines(view: OpportunityView, origins: Collection[Origin] = tuple(Origin)) -> bytes:
    """The opportunities of one batch that are of these origins, each ended by a newline. The id is
    in hexadecimal; `signatures` are the transactions of all legs, those of victims and targets too,
    in the order of the chain; `victims` are wallets; `profit` is null where the actor gave one mint
    for another. A predicted one has its input, net and expiry, too, and no actor."""
    if not np.isin(view.opp_origin, np.array(list(origins), np.uint32)).any():
        return b""
    keys = _keys(view)
    signatures = _signatures(view)
    legs: list[list[int]] = [[] for _ in range(view.n_opportunities)]
    owners: list[int] = view.leg_opp.tolist()
    for leg, opportunity in enumerate(owners):
        legs[opportunity].append(leg)
    victims: list[list[str | None]] = [[] for _ in range(view.n_opportunities)]
    victims_of: list[int] = view.victim_opp.tolist()
    wallets: list[int] = view.victim_wallet.tolist()
    for opportunity, wallet in zip(victims_of, wallets, strict=True):
        victims[opportunity].append(keys[wallet])
    leg_tx: list[int] = view.leg_tx.tolist()
    leg_pool: list[int] = view.leg_pool.tolist()
    slots: list[int] = view.tx_slot.tolist()
    return b"".join(
        orjson.dumps(
            {
                "record": "opportunity",
                "id": view.opp_id[i].tobytes().hex(),
                "kind": _name(Kind, kind),
                "origin": _name(Origin, origin),
                "slot": slots[first],
                "signatures": list(dict.fromkeys(signatures[leg_tx[leg]] for leg in legs[i])),
                "actor": keys[actor],
                "victims": list(dict.fromkeys(victims[i])),
                "pools": list(dict.fromkeys(keys[leg_pool[leg]] for leg in legs[i])),
                "profit_mint": keys[mint],
                "profit": None if reasons & EXCHANGED else profit,
                "victim_loss": loss,
                "tip_lamports": tip,
                **(_foreseen(view, i) if origin == Origin.predicted else {}),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for i, (kind, origin, first, actor, mint, profit, loss, tip, reasons) in enumerate(
            zip(
                view.opp_kind.tolist(),
                view.opp_origin.tolist(),
                view.opp_first_tx.tolist(),
                view.opp_actor.tolist(),
                view.opp_profit_mint.tolist(),
                view.opp_profit.tolist(),
                view.opp_victim_loss.tolist(),
                view.opp_tip.tolist(),
                view.opp_reasons.tolist(),
                strict=True,
            )
        )
        if origin in origins
    )


def _foreseen(view: OpportunityView, row: int) -> dict[str, Any]:
    exactness = int(view.opp_exactness[row])
    return {
        "input": int(view.opp_input[row]),
        "net_lamports": int(view.opp_net_lamports[row]),
        "exactness": _name(Exactness, exactness),
        "expiry_slot": int(view.opp_expiry[row]),
    }


def _name(names: type[Kind] | type[Origin] | type[Exactness], number: int) -> str:
    """A number that only a newer version knows is told as it is."""
    return names(number).name if number in names._value2member_map_ else str(number)


@lru_cache(_CACHED_KEYS)
def _base58(key: bytes) -> str:
    return str(Pubkey.from_bytes(key))


def _keys(view: ParsedView | OpportunityView) -> dict[int, str | None]:
    keys: dict[int, str | None] = {NONE: None}
    keys.update(enumerate(_base58(key.tobytes()) for key in view.keys))
    return keys


def _signatures(view: ParsedView | OpportunityView) -> list[str]:
    return [str(Signature.from_bytes(row.tobytes())) for row in view.tx_signature]


def _transactions(
    view: ParsedView, signatures: list[str], keys: dict[int, str | None]
) -> list[bytes]:
    slot = view.slot
    return [
        orjson.dumps(
            {
                "record": "transaction",
                "slot": slot,
                "tx_index": tx_index,
                "signature": signature,
                "fee_payer": keys[payer],
                "version": _version(version),
                "success": bool(flags & SUCCESS),
                "is_vote": bool(flags & VOTE),
                "fee": fee,
                "compute_units": units if flags & COMPUTE_UNITS_KNOWN else None,
                "tip_lamports": tip,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for tx_index, signature, payer, version, flags, fee, units, tip in zip(
            view.tx_index.tolist(),
            signatures,
            view.tx_payer.tolist(),
            view.tx_version.tolist(),
            view.tx_flags.tolist(),
            view.tx_fee.tolist(),
            view.tx_compute_units.tolist(),
            view.tx_tip.tolist(),
            strict=True,
        )
    ]


def _version(column: int) -> str | int | None:
    if column == NONE:
        return None
    return "legacy" if column == 0 else column - 1


def _swaps(view: ParsedView, signatures: list[str], keys: dict[int, str | None]) -> list[bytes]:
    tx_index = view.tx_index.tolist()
    names: dict[int, str | None] = {NONE: None}
    names.update(enumerate(view.names))
    slot = view.slot
    return [
        orjson.dumps(
            {
                "record": "swap",
                "slot": slot,
                "tx_index": tx_index[tx],
                "signature": signatures[tx],
                "ix_path": _path(outer, inner),
                "program": keys[program],
                "venue": names[venue],
                "router": names[router],
                "pool": keys[pool],
                "trader": keys[trader],
                "mint_in": keys[mint_in],
                "mint_out": keys[mint_out],
                "amount_in": amount_in,
                "amount_out": amount_out,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for (
            tx,
            outer,
            inner,
            program,
            venue,
            router,
            pool,
            trader,
            mint_in,
            mint_out,
            amount_in,
            amount_out,
        ) in zip(
            view.swap_tx.tolist(),
            view.swap_outer.tolist(),
            view.swap_inner.tolist(),
            view.swap_program.tolist(),
            view.swap_venue.tolist(),
            view.swap_router.tolist(),
            view.swap_pool.tolist(),
            view.swap_trader.tolist(),
            view.swap_mint_in.tolist(),
            view.swap_mint_out.tolist(),
            view.swap_amount_in.tolist(),
            view.swap_amount_out.tolist(),
            strict=True,
        )
    ]


def _path(outer: int, inner: int) -> str:
    return str(outer) if inner == NONE else f"{outer}.{inner}"


def _tick(value: int) -> int | None:
    return None if value == NO_TICK else value


def _rows(view: ParsedView, table: str) -> list[dict[str, Any]]:
    """The rows of a table as they are, by the columns' names without that of the table. For tables
    that have few rows."""
    names = [name for name in view.schema.columns if name.startswith(f"{table}_")]
    columns = [getattr(view, name).tolist() for name in names]
    short = [name.removeprefix(f"{table}_") for name in names]
    return [dict(zip(short, row, strict=True)) for row in zip(*columns, strict=True)]


def _place(view: ParsedView, row: dict[str, Any], signatures: list[str]) -> dict[str, Any]:
    return {
        "slot": view.slot,
        "tx_index": int(view.tx_index[row["tx"]]),
        "signature": signatures[row["tx"]],
        "ix_path": _path(row["outer"], row["inner"]),
    }


def _liquidity(view: ParsedView, signatures: list[str], keys: dict[int, str | None]) -> list[bytes]:
    return [
        orjson.dumps(
            {
                "record": "liquidity",
                **_place(view, row, signatures),
                "kind": LIQUIDITY_KINDS[row["kind"]],
                "program": keys[row["program"]],
                "venue": view.names[row["venue"]],
                **{name: keys[row[name]] for name in ("pool", "position", "owner")},
                **{name: keys[row[name]] for name in ("mint_a", "mint_b")},
                "amount_a": row["amount_a"],
                "amount_b": row["amount_b"],
                "fee_a": row["fee_a"] if row["flags"] & FEE_TOLD else None,
                "fee_b": row["fee_b"] if row["flags"] & FEE_TOLD else None,
                # A JSON number would lose bits in most readers.
                "delta": str(row["delta_high"] << 64 | row["delta_low"])
                if row["flags"] & DELTA_TOLD
                else None,
                "lower": _tick(row["lower"]),
                "upper": _tick(row["upper"]),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for row in _rows(view, "liquidity")
    ]


def _liquidations(
    view: ParsedView, signatures: list[str], keys: dict[int, str | None]
) -> list[bytes]:
    return [
        orjson.dumps(
            {
                "record": "liquidation",
                **_place(view, row, signatures),
                "kind": LIQUIDATION_KINDS[row["kind"]],
                "program": keys[row["program"]],
                "protocol": view.names[row["protocol"]],
                **{name: keys[row[name]] for name in ("liquidator", "account", "owner")},
                "repay_mint": keys[row["repay_mint"]],
                "collateral_mint": keys[row["collateral_mint"]],
                **{
                    name: None if row["flags"] & AMOUNTS_UNKNOWN else row[name]
                    for name in ("repay_amount", "collateral_amount")
                },
                "fee": row["fee"] if row["flags"] & FEE_TOLD else None,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for row in _rows(view, "liquidation")
    ]
