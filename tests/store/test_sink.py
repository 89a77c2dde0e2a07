"""What the tables hold after runs, second runs, forks, single transactions and failures."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mevstream.errors import InputError
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.schemas.raw_pb2 import Commitment, RawBatch
from mevstream.topologies.chain import Record
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink, Limits
from mevstream.topologies.sinks.engine import EngineError
from store.conftest import Store
from store.synthetic import blockhash, decode, raw_chain, raw_slot, stand_in

NONE = 0xFFFFFFFF


def counts(store: Store) -> dict[str, int]:
    tables = ("transactions", "swaps", "slots", "dead_letters")
    return {table: store.value(f"SELECT count() FROM {table}") for table in tables}


def expected_swaps(raw: list[bytes]) -> list[dict[str, Any]]:
    """Rows of the table `swaps`, read from the message with the ordinary protobuf class."""
    rows: list[dict[str, Any]] = []
    for message in raw:
        batch = ParsedBatch.FromString(decode(message))

        def key(index: int, keys: bytes = batch.keys) -> bytes:
            return bytes(32) if index == NONE else keys[32 * index : 32 * index + 32]

        def name(index: int, names: Any = batch.names) -> str:
            return "" if index == NONE else names[index]

        for i, tx in enumerate(batch.swap_tx):
            row = {
                "chain": "solana",
                "slot": batch.slot,
                "blockhash": batch.blockhash,
                "block_time": batch.block_time,
                "tx_index": batch.tx_index[tx],
                "ix_outer": batch.swap_outer[i],
                "ix_inner": -1 if batch.swap_inner[i] == NONE else batch.swap_inner[i],
                "leg": batch.swap_leg[i],
                "signature": batch.tx_signature[64 * tx : 64 * tx + 64],
                "venue": name(batch.swap_venue[i]),
                "router": name(batch.swap_router[i]),
                "fee_payer": key(batch.tx_payer[tx]),
                "price_after": batch.swap_price_after[i],
                "tx_fee": batch.tx_fee[tx],
                "tx_tip": batch.tx_tip[tx],
            }
            for column in ("program", "pool", "trader", "mint_in", "mint_out"):
                row[column] = key(getattr(batch, f"swap_{column}")[i])
            for column in ("vault_in", "vault_out"):
                row[column] = key(getattr(batch, f"swap_{column}")[i])
            for column in (
                "decimals_in",
                "decimals_out",
                "flags",
                "fee",
                "amount_in",
                "amount_out",
            ):
                row[column] = getattr(batch, f"swap_{column}")[i]
            for column in ("trader_in", "trader_out", "reserve_in", "reserve_out"):
                row[column] = getattr(batch, f"swap_{column}")[i]
            rows.append(row)
    return rows


def expected_transactions(raw: list[bytes], *, votes: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for message in raw:
        batch = ParsedBatch.FromString(decode(message))

        def key(index: int, keys: bytes = batch.keys) -> bytes:
            return bytes(32) if index == NONE else keys[32 * index : 32 * index + 32]

        for i, flags in enumerate(batch.tx_flags):
            if flags & 2 and not votes:
                continue
            row = {
                "chain": "solana",
                "slot": batch.slot,
                "blockhash": batch.blockhash,
                "block_time": batch.block_time,
                "signature": batch.tx_signature[64 * i : 64 * i + 64],
                "fee_payer": key(batch.tx_payer[i]),
                "tip_payer": key(batch.tx_tip_payer[i]),
                "compute_unit_limit": batch.tx_cu_limit[i],
                "compute_unit_price": batch.tx_cu_price[i],
            }
            for column, source in (
                ("message_version", "version"),
                ("error", "error"),
                ("error_instruction", "error_instruction"),
                ("error_detail", "error_detail"),
                ("error_custom", "error_custom"),
            ):
                value = getattr(batch, f"tx_{source}")[i]
                row[column] = -1 if value == NONE else value
            for column in (
                *("tx_index", "flags", "fee", "tip", "payer_pre", "payer_post", "compute_units"),
                *("instructions", "inner_instructions", "signatures", "accounts", "bytes"),
                *("swaps", "swap_attempts"),
            ):
                source = column if column == "tx_index" else f"tx_{column}"
                row[column] = getattr(batch, source)[i]
            rows.append(row)
    return rows


def stored(store: Store, table: str, like: dict[str, Any]) -> list[dict[str, Any]]:
    rows = store.rows(f"SELECT {', '.join(like)} FROM {table}")
    return [dict(zip(like, row, strict=True)) for row in rows]


def by_place(rows: list[dict[str, Any]]) -> list[str]:
    # As text: NaN equals itself there.
    return sorted(repr(sorted(row.items())) for row in rows)


@pytest.mark.parametrize("votes", [False, True])
@pytest.mark.parametrize("flush", [250, 100_000])
def test_every_column_of_every_row(store: Store, votes: bool, flush: int) -> None:
    raw = list(raw_chain(1000, 4))
    store.run(raw, votes=votes, flush=flush)
    swaps = expected_swaps(raw)
    transactions = expected_transactions(raw, votes=votes)
    assert len(swaps) > 50
    assert by_place(stored(store, "swaps", swaps[0])) == by_place(swaps)
    assert by_place(stored(store, "transactions", transactions[0])) == by_place(transactions)


def test_counts_of_slots_are_those_of_the_rows(store: Store) -> None:
    store.run(raw_chain(1000, 5), votes=True)
    assert (
        store.value(
            "SELECT sum(transactions = votes + failed + succeeded"
            " AND transactions = decoded + unknown) FROM slots"
        )
        == 5
    )
    of_rows = store.rows(
        "SELECT slot, count(), countIf(is_vote), countIf(NOT is_vote AND NOT success),"
        " countIf(decoded_in_part), sumIf(swap_attempts, NOT success), countIf(tip > 0), sum(tip),"
        " sum(fee), sum(swaps) FROM transactions GROUP BY slot ORDER BY slot"
    )
    of_slots = store.rows(
        "SELECT slot, transactions, votes, failed, unknown, failed_swap_attempts, tipped,"
        " tip_lamports, fee_lamports, swaps FROM slots ORDER BY slot"
    )
    assert of_slots == of_rows
    assert store.rows(
        "SELECT slot, count(), countIf(venue = 'unknown'), countIf(event_differs),"
        " countIf(router_event_differs) FROM swaps GROUP BY slot ORDER BY slot"
    ) == store.rows(
        "SELECT slot, swaps, unknown_venue_swaps, event_mismatches, router_event_mismatches"
        " FROM slots ORDER BY slot"
    )


def test_second_run_changes_nothing(store: Store) -> None:
    first = store.run(raw_chain(1000, 6))
    before = store.contents()
    second = store.run(raw_chain(1000, 6), flush=700)
    assert (first.slots, first.skipped_slots) == (6, 0)
    assert (second.slots, second.skipped_slots, second.transactions) == (0, 6, 0)
    assert store.contents() == before


def test_replace_writes_the_same_again(store: Store) -> None:
    store.run(raw_chain(1000, 6))
    before = store.contents()
    again = store.run(raw_chain(1000, 6), flush=700, replace=True)
    assert (again.slots, again.replaced_slots) == (6, 6)
    assert store.contents() == before


@pytest.mark.parametrize("flush", [150, 100_000])
def test_later_block_replaces_the_earlier(
    store: Store, new_store: Callable[[str], Store], flush: int
) -> None:
    one, other = raw_slot(2000, 500), raw_slot(2000, 300, fork=1)
    alone = new_store("alone")
    alone.run(other)
    store.run(one + raw_slot(2001))
    store.run(other, flush=flush)
    assert store.rows("SELECT DISTINCT blockhash FROM transactions WHERE slot = 2000") == [
        (blockhash(2000, 1),)
    ]
    within_one_run = new_store("one-run")
    within_one_run.run(one + other, flush=flush)
    assert within_one_run.contents() == alone.contents()


def test_block_that_was_replaced_may_come_back(store: Store) -> None:
    one, other = raw_slot(2000, 500), raw_slot(2000, 300, fork=1)
    store.run(one)
    before = store.contents()
    store.run(other)
    store.run(one)
    assert store.contents() == before


def test_only_confirmed_blocks_show(store: Store) -> None:
    store.run(
        raw_slot(11, commitment=Commitment.COMMITMENT_PROCESSED)
        + raw_slot(12, commitment=Commitment.COMMITMENT_CONFIRMED)
        + raw_slot(13, commitment=Commitment.COMMITMENT_FINALIZED)
        + raw_slot(14, commitment=Commitment.COMMITMENT_DEAD)
        + raw_slot(15, commitment=Commitment.COMMITMENT_UNKNOWN)
    )
    for view in ("v_swaps", "v_transactions"):
        shown = store.rows(f"SELECT DISTINCT slot FROM {view} ORDER BY slot")
        assert shown == [(12,), (13,), (15,)]
        everything = store.rows(f"SELECT DISTINCT slot FROM {view}_all ORDER BY slot")
        assert everything == [(11,), (12,), (13,), (14,), (15,)]
    trades = store.rows("SELECT DISTINCT block_slot FROM dex_solana_trades ORDER BY 1")
    assert trades == [(12,), (13,), (15,)]


def test_better_commitment_is_taken_over(store: Store) -> None:
    store.run(raw_slot(17, commitment=Commitment.COMMITMENT_PROCESSED))
    assert store.value("SELECT count() FROM v_swaps") == 0
    store.run(raw_slot(17, commitment=Commitment.COMMITMENT_CONFIRMED))
    assert (
        store.value("SELECT count() FROM v_swaps") == store.value("SELECT count() FROM swaps") > 0
    )
    assert store.run(raw_slot(17, commitment=Commitment.COMMITMENT_PROCESSED)).skipped_slots == 1


def test_missing_batch_is_told_and_mended(store: Store) -> None:
    whole = raw_slot(10, 500)
    del (broken := whole.copy())[2]
    store.run(broken)
    assert store.totals.incomplete_slots == 1
    assert store.rows("SELECT batches, batches_total FROM slots") == [(4, 5)]
    assert store.value("SELECT complete FROM v_slots") == 0
    store.run(whole)
    assert store.rows("SELECT batches, batches_total, transactions FROM slots") == [(5, 5, 500)]
    assert store.value("SELECT count() FROM transactions") == store.value(
        "SELECT failed + succeeded FROM slots"
    )


def test_single_transactions_gather(store: Store) -> None:
    first, second = (raw_slot(20, 3, fork=fork, known_block=False) for fork in (0, 1))
    store.run(first)
    store.run(second)
    store.run(first + second + first)
    assert counts(store)["transactions"] == 6
    assert store.rows("SELECT transactions, votes + failed + succeeded FROM slots") == [(6, 6)]
    assert store.value("SELECT sum(swaps) FROM slots") == counts(store)["swaps"]
    assert store.value("SELECT count() FROM v_transactions") == 6


def test_single_transactions_give_way_to_their_block(
    store: Store, new_store: Callable[[str], Store]
) -> None:
    loose, block = raw_slot(20, 3, fork=5, known_block=False), raw_slot(20)
    alone = new_store("alone")
    alone.run(block)
    store.run(loose)
    store.run(block)
    assert store.contents() == alone.contents()
    assert store.run(loose).transactions == 0
    assert store.contents() == alone.contents()
    together = new_store("together")
    together.run(loose + block + loose)
    assert together.contents() == alone.contents()


def test_dead_letters_hold_what_was_refused_once(store: Store) -> None:
    whole = b"\xff\xff not a batch"
    odd = RawBatch.FromString(raw_slot(30, 5)[0])
    odd.transactions[2] = b"no transaction"
    for _ in range(2):
        store.run([whole, odd.SerializeToString()])
        assert store.totals.dead_letters == 2
    rows = store.rows(
        "SELECT slot, seq, position, stage, topic, hex(payload) FROM dead_letters ORDER BY slot"
    )
    assert [row[:5] for row in rows] == [
        (0, -1, -1, "parsed", "mev.raw"),
        (30, 0, 2, "parsed", "mev.raw"),
    ]
    assert [bytes.fromhex(row[5]) for row in rows] == [whole, b"no transaction"]
    assert store.rows("SELECT transactions, dead_lettered FROM slots") == [(4, 1)]


def test_repeated_flush_after_a_failure_stores_everything_once(
    new_store: Callable[[str], Store],
) -> None:
    class Failing(ChdbEngine):
        """Every table's first insert fails before it is done, the second after it is done."""

        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self.tries: Counter[str] = Counter()

        def insert(self, table: str, rows: pa.RecordBatch, token: str) -> None:
            self.tries[table] += 1
            if self.tries[table] == 1:
                raise EngineError("before")
            super().insert(table, rows, token)
            if self.tries[table] == 2:
                raise EngineError("after")

    raw = raw_slot(40, 9, known_block=False) + [raw_slot(slot, 90)[0] for slot in (41, 42)]
    clean = new_store("clean")
    clean.run(raw)
    flaky = new_store("flaky")
    failures = 0
    engine = Failing(flaky.folder)
    with ClickHouseSink(engine) as sink:
        for record in (record for message in raw for record in records(message)):
            sink.write(record)
        for _ in range(20):
            try:
                sink.flush()
            except EngineError:
                failures += 1
    assert failures == 2 * len(engine.tries) > 10  # twice for each table that has rows
    assert flaky.contents() == clean.contents()


def records(raw: bytes) -> list[Record]:
    """Of a slot that is one batch: then the status of the batch is that of the slot."""
    parsed, *others = (link.open_stage() for link in stand_in())
    first, *rest = parsed(raw)
    return [first, *(record for stage in others for record in stage(first.value)), *rest]


def test_rows_of_an_unfinished_slot_go_at_the_next_start(store: Store) -> None:
    class Killed(Exception):
        pass

    def dying() -> Any:
        yield from raw_slot(50)
        yield from raw_slot(51)[:2]
        raise Killed

    with (
        pytest.raises(Killed),
        ClickHouseSink(ChdbEngine(store.folder), limits=Limits(transactions=1)) as sink,
    ):
        EmbeddedRuntime(sink, stand_in()).run(dying())
    assert store.value("SELECT uniqExact(slot) FROM transactions") == 2
    assert store.value("SELECT uniqExact(slot) FROM v_transactions") == 1
    store.run([])
    for table in ("transactions", "swaps", "market_data"):
        assert store.rows(f"SELECT DISTINCT slot FROM {table}") == [(50,)]


def test_a_stopped_run_leaves_whole_slots_only(store: Store) -> None:
    taken = 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == 5

    with ClickHouseSink(ChdbEngine(store.folder), limits=Limits(transactions=1)) as sink:
        totals = EmbeddedRuntime(sink, stand_in()).run(raw_chain(60, 3), stop=stop)
    assert totals.stopped
    assert store.rows("SELECT slot, batches = batches_total FROM slots") == [(60, 1)]
    for table in ("transactions", "swaps", "market_data"):
        assert store.rows(f"SELECT DISTINCT slot FROM {table}") == [(60,)]


def test_broken_source_loses_nothing_that_came_before(store: Store) -> None:
    def breaking() -> Any:
        yield from raw_slot(70)
        raise InputError("cut off")

    with pytest.raises(InputError, match="cut off"):
        store.run(breaking())
    assert store.value("SELECT transactions FROM slots") == 300


def test_records_of_other_topics_are_refused(store: Store) -> None:
    with (
        ClickHouseSink(ChdbEngine(store.folder)) as sink,
        pytest.raises(InputError, match=r"mev\.bundles"),
    ):
        sink.write(Record("mev.bundles", b""))


def test_chain_names_are_only_text(store: Store) -> None:
    messages: list[bytes] = []
    for message in raw_slot(80):
        batch = RawBatch.FromString(message)
        batch.chain = "o'hara\\ 'x') OR 1=1 --"
        messages.append(batch.SerializeToString())
    store.run(messages)
    store.run(messages)
    assert store.rows("SELECT DISTINCT chain FROM transactions") == [("o'hara\\ 'x') OR 1=1 --",)]
    assert counts(store)["slots"] == 1


def test_views_give_whole_tokens(store: Store) -> None:
    store.run(raw_slot(90))
    rows = store.rows(
        "SELECT r.amount_in, r.decimals_out, r.amount_out, v.amount_in, v.amount_out, v.price"
        " FROM swaps AS r JOIN v_swaps AS v ON base58Encode(r.signature) = v.signature"
        " AND r.leg = v.leg AND r.ix_outer = v.ix_outer AND r.ix_inner = v.ix_inner"
    )
    assert rows
    for raw_in, decimals, raw_out, amount_in, amount_out, price in rows:
        assert np.isclose(amount_in, raw_in / 1e9)
        if decimals == 255:
            assert amount_out is None
            assert price is None
        else:
            assert np.isclose(amount_out, raw_out / 1e6)
            assert np.isclose(price, amount_out / amount_in)
