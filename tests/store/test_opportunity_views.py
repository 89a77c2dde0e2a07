"""Views of opportunities tell each thing once: what shares a transaction, comes twice, is of a
block that does not count or was only predicted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mevstream.topologies.sinks import migrations
from mevstream.topologies.sinks.chdb_engine import ChdbEngine

SOL = "base58Decode('So11111111111111111111111111111111111111112')"
SOL_58 = "So11111111111111111111111111111111111111112"
NET_TOLD = 0x10


def key(name: str) -> str:
    return f"toFixedString('{name}', 32)"


class Tables:
    """Rows of block "A" of slot 7 unless they are told otherwise."""

    def __init__(self, engine: ChdbEngine) -> None:
        self.engine = engine
        migrations.migrate(engine)
        self._put("slots", slot="7", blockhash=key("A"), commitment="'confirmed'")

    def _put(self, table: str, **values: object) -> None:
        values = {"chain": "'solana'", "version": "1", **values}
        texts = ", ".join(str(value) for value in values.values())
        self.engine.execute(f"INSERT INTO {table} ({', '.join(values)}) SELECT {texts}")

    def opportunity(self, name: str, **values: object) -> None:
        self._put(
            "opportunities",
            **{
                "slot": 7,
                "blockhash": key("A"),
                "id": f"toFixedString('{name}', 16)",
                "kind": "'liquidation'",
                "origin": "'observed'",
                "actor": key("actor"),
                "profit_mint": SOL,
                "decimals": 9,
                "profit": 10**9,
                "net_lamports": 10**9 - 15_000,
                "reasons": NET_TOLD,
                "fee": 5_000,
                "tip": 10_000,
                **values,
            },
        )

    def leg(self, name: str, number: int, **values: object) -> None:
        self._put(
            "opportunity_legs",
            **{
                "slot": 7,
                "blockhash": key("A"),
                "id": f"toFixedString('{name}', 16)",
                "number": number,
                "role": "'hop'",
                "origin": "'observed'",
                "tx_slot": 7,
                "signature": "toFixedString('tx', 64)",
                "fee_payer": key("actor"),
                "decimals_in": 9,
                "decimals_out": 9,
                "tx_fee": 5_000,
                "tx_tip": 10_000,
                **values,
            },
        )

    def victim(self, name: str, number: int, **values: object) -> None:
        self._put(
            "opportunity_victims",
            **{
                "slot": 7,
                "blockhash": key("A"),
                "id": f"toFixedString('{name}', 16)",
                "number": number,
                "wallet": key("victim"),
                "decimals": 9,
                **values,
            },
        )

    def transaction(self) -> None:
        self._put(
            "transactions",
            slot=7,
            blockhash=key("A"),
            signature="toFixedString('tx', 64)",
            fee=5_000,
            tip=10_000,
        )

    def row(self, sql: str) -> tuple[Any, ...]:
        [row] = self.engine.rows(sql)
        return row


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    engine = ChdbEngine(tmp_path / "warm")
    yield Tables(engine)
    engine.close()


SEARCHERS = (
    "SELECT opportunities, round(profit_sol, 9), round(fees_sol, 9), round(tips_sol, 9), "
    "round(net_sol, 9), round(tip_share, 12) FROM v_searchers"
)


def test_what_shares_a_transaction_pays_for_it_once(tables: Tables) -> None:
    for name in ("one", "two"):
        tables.opportunity(name)
        tables.leg(name, 0)
        tables.leg(name, 1)
    tables.transaction()
    assert tables.row(SEARCHERS) == (2, 2.0, 5e-6, 1e-5, 2 - 1.5e-5, 5e-6)
    assert tables.row("SELECT tips, opportunity_tips, opportunity_sum_sol FROM v_tips") == (
        *(1, 1, 1e-5),
    )
    assert tables.row("SELECT opportunities, told, kinds FROM v_opportunity_transactions") == (
        *(2, 2, ["liquidation"]),
    )


def test_tips_are_shared_out_to_the_profit_that_they_were_for(tables: Tables) -> None:
    tables.opportunity("one")
    tables.leg("one", 0)
    # Of another mint: its tip is none of the profit in SOL.
    other = {"profit_mint": key("USD"), "reasons": 0, "tip": 70_000}
    tables.opportunity("two", **other)
    tables.leg("two", 0, signature="toFixedString('other', 64)", tx_tip=70_000)
    assert tables.row(SEARCHERS) == (2, 1.0, 1e-5, 8e-5, 1 - 1.5e-5, 1e-5)


def test_copies_count_once(tables: Tables) -> None:
    for version in (1, 2, 2):
        tables.opportunity("one", version=version)
        tables.leg("one", 0, version=version)
        tables.victim("one", 0, version=version, loss=5, expected=10)
    tables.transaction()
    tables.transaction()
    assert tables.row(SEARCHERS)[0] == 1
    assert tables.row("SELECT count() FROM v_victims") == (1,)
    assert tables.row("SELECT tips, opportunity_tips FROM v_tips") == (1, 1)


@pytest.mark.parametrize("values", [{"blockhash": key("B")}, {"slot": 8}])
def test_blocks_that_do_not_count(tables: Tables, values: dict[str, object]) -> None:
    tables.opportunity("one", **values)
    tables.leg("one", 0, **values)
    tables.victim("one", 0, loss=5, expected=10, **values)
    for view in ("v_searchers", "v_victims", "v_opportunity_transactions", "v_opportunity_legs"):
        assert tables.row(f"SELECT count() FROM {view}") == (0,), view


def test_what_is_only_predicted(tables: Tables) -> None:
    tables.opportunity("one", origin="'predicted'", kind="'sandwich'")
    tables.leg("one", 0)
    tables.victim("one", 0, loss=5, expected=10)
    tables.transaction()
    views = ["v_searchers", "v_victims", "v_opportunity_transactions"]
    views += ["v_arbitrages", "v_sandwiches", "v_liquidations", "v_jit_liquidity"]
    for view in views:
        assert tables.row(f"SELECT count() FROM {view}") == (0,), view
    assert tables.row("SELECT ifNull(opportunity_tips, 0) FROM v_tips") == (0,)


def test_a_loss_in_sol(tables: Tables) -> None:
    tables.opportunity("one", kind="'sandwich'")
    lost = {"got": 75, "expected": 100, "loss": 25}
    # It got SOL; it paid 4 SOL and has a quarter less than it would; it had nothing of SOL.
    tables.leg("one", 0, role="'victim'", mint_in=key("X"), mint_out=SOL)
    tables.victim("one", 0, mint=SOL, **lost)
    tables.leg("one", 1, role="'victim'", mint_in=SOL, mint_out=key("X"), trader_in=4 * 10**9)
    tables.victim("one", 1, mint=key("X"), **lost)
    tables.leg("one", 2, role="'victim'", mint_in=key("Y"), mint_out=key("X"))
    tables.victim("one", 2, mint=key("X"), **lost)
    rows = tables.engine.rows("SELECT loss_share, loss_sol FROM v_victims ORDER BY loss_sol")
    assert rows == [(0.25, 2.5e-8), (0.25, 1.0), (0.25, None)]
    assert tables.row("SELECT count() FROM v_opportunity_transactions") == (0,)


def test_a_liquidation_of_two_mints_and_one_of_unknown_amounts(tables: Tables) -> None:
    tables.opportunity("one", tx_index=1)
    for number, (mint, amount) in enumerate([("X", 10**9), ("X", 10**9), ("Y", 7)]):
        tables.leg("one", number, role="'repay'", mint_in=key(mint), trader_in=amount)
        tables.leg("one", number + 3, role="'seize'", mint_out=SOL, trader_out=10**9)
    tables.opportunity("two", tx_index=2)
    tables.leg("two", 0, role="'repay'", mint_in=SOL, decimals_in=255, trader_in=0)
    tables.leg("two", 1, role="'seize'", mint_out=key("X"), decimals_out=255, trader_out=8)
    sql = "SELECT repaid, repaid_raw, seized_mint, seized, seized_raw FROM v_liquidations"
    one, two = tables.engine.rows(f"{sql} ORDER BY tx_index")
    plain = [
        value if not isinstance(value, bytes) else int.from_bytes(value, "little") for value in one
    ]
    assert plain == [2.0, 2 * 10**9, SOL_58, 3.0, 3 * 10**9]
    assert two[:2] == (None, None)
    assert two[3] is None


def test_liquidity_beyond_63_bits(tables: Tables) -> None:
    tables.opportunity("one", kind="'jit_liquidity'")
    most = 2**64 - 1
    tables.leg("one", 0, role="'add'", mint_in=key("X"), trader_in=most)
    tables.leg("one", 1, role="'remove'", mint_out=key("X"), trader_out=most - 5)
    told = tables.row("SELECT toString(mapValues(changes)[1]) FROM v_jit_liquidity")
    assert told == ("-5",)
