"""Liquidity changes of real transactions, each followed by hand in its token transfers."""

from collections.abc import Iterator
from typing import Any

from reference import compiled
from reference.load import Decoded
from reference.transaction import base58

from mevstream.codecs.parsed import LIQUIDITY_KINDS
from mevstream.schemas.parsed_pb2 import ParsedBatch

NONE = 0xFFFFFFFF
NO_TICK = -(2**31)


def rows(parsed: ParsedBatch) -> Iterator[dict[str, Any]]:
    """The rows of the liquidity columns, with keys and names in place of numbers."""
    names = [f.name for f in ParsedBatch.DESCRIPTOR.fields if f.name.startswith("liquidity_")]
    keys = [base58(parsed.keys[at : at + 32]) for at in range(0, len(parsed.keys), 32)]
    for i in range(len(parsed.liquidity_tx)):
        row = {n.removeprefix("liquidity_"): getattr(parsed, n)[i] for n in names if "rep" not in n}
        for name in ("program", "pool", "position", "owner", "mint_a", "mint_b"):
            row[name] = None if row[name] == NONE else keys[row[name]]
        row["venue"] = parsed.names[row["venue"]]
        row["kind"] = LIQUIDITY_KINDS[row["kind"]]
        yield row


EXPECTED = {
    "316719544.json.gz[1587]": ["meteora_dlmm collect 3143893468 157821559"],
    "316719544.json.gz[1768]": ["meteora_dlmm open 0 0", "meteora_dlmm add 56654366462 0"],
    "jowency_remove_liquidity_meteora_dlmm_1.json.gz[0]": [
        "meteora_dlmm remove 0 1500001496",
        "meteora_dlmm collect 0 0",
        "meteora_dlmm close 0 0",
    ],
    "jowency_swap_byreal_2.json.gz[0]": ["byreal remove 0 38127825", "byreal close 0 0"],
    "jowency_swap_sugar_1.json.gz[0]": ["raydium_cpmm remove 3126 144416299"],
    "jowency_migrate_pumpfun_1.json.gz[0]": ["pump_swap add 206900000000000 84990359151"],
    "yugure_increaseLiquidityV2_TransferHook.json.gz[1]": ["orca_whirlpool add 446481 1000000"],
}


def test_real_changes(corpus: list[Decoded]) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, message, decoded in corpus:
        changes = list(rows(compiled.batch([message.SerializeToString()])))
        assert decoded.success or not changes
        if changes and "collectFees" not in name:
            found[name] = changes
    told = {
        name: [f"{c['venue']} {c['kind']} {c['amount_a']} {c['amount_b']}" for c in changes]
        for name, changes in found.items()
    }
    assert told == EXPECTED
    remove, close = found["jowency_swap_byreal_2.json.gz[0]"]
    assert (remove["lower"], remove["upper"], remove["tick"]) == (7190, 7690, 7691)
    assert (remove["fee_a"], remove["fee_b"], remove["delta_low"]) == (0, 9299, 1051131454)
    assert remove["flags"] == 1 | 16 | 32 | 256
    # What closes it names neither pool nor range.
    same = ("position", "owner", "pool", "mint_a", "mint_b", "lower", "upper")
    assert [close[name] for name in same] == [remove[name] for name in same]
    opened, added = found["316719544.json.gz[1768]"]
    assert (opened["lower"], opened["upper"], opened["tick"]) == (-162, -94, NO_TICK)
    assert (added["lower"], added["upper"], added["tick"]) == (-162, -94, -162)
    assert opened["position"] == added["position"]
    shares = found["jowency_swap_sugar_1.json.gz[0]"][0]
    assert (shares["position"], shares["delta_low"], shares["lower"]) == (None, 669321, NO_TICK)
