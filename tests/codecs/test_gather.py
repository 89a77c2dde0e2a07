"""Columns of many messages gathered at once, beside plain numpy on the view of each message."""

from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import pytest
from fuzz.columns import PartsTarget
from numpy.typing import NDArray

from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import (
    KEY_COLUMNS,
    NAME_COLUMNS,
    SCHEMA,
    ParsedView,
    encode_parsed,
    open_parsed,
    parsed_column,
    read_parsed,
)
from mevstream.errors import InputError
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.topologies.parsed.slots import batch_statuses

TABLES = {
    "tx": "tx_index",
    "swap": "swap_tx",
    "liquidity": "liquidity_tx",
    "liquidation": "liquidation_tx",
}
COLUMNS = {
    table: [name for name in SCHEMA.columns if name.startswith(f"{table}_")] for table in TABLES
}


def valid(view: ParsedView) -> bool:
    tables = {**dict.fromkeys(KEY_COLUMNS, view.keys), **dict.fromkeys(NAME_COLUMNS, view.names)}
    return (
        all(v == NONE or v < len(t) for n, t in tables.items() for v in getattr(view, n).tolist())
        and all(
            tx < view.n_tx
            for table in ("swap", "liquidity", "liquidation")
            for tx in getattr(view, f"{table}_tx").tolist()
        )
        and {len(view.blockhash), len(view.parent_blockhash)} <= {0, 32}
        and view.partition < max(view.partitions, 1)
    )


def messages(random: Random, n: int) -> list[bytes]:
    """Valid ones, whole and in parts, among them some in several runs and with columns missing."""
    target = PartsTarget(random)
    found: list[bytes] = []
    while len(found) < n:
        data = target.generate()
        try:
            view = ParsedView(data)
        except InputError:
            with pytest.raises(InputError):
                read_parsed(data)
            continue
        if not valid(view):
            with pytest.raises(InputError):
                read_parsed(data)
            with pytest.raises(InputError):
                view.validate()
            continue
        read = read_parsed(data)
        assert (read.n_tx, read.n_swaps, read.n_liquidity, read.n_liquidations) == tuple(
            len(getattr(view, leader)) for leader in TABLES.values()
        )
        assert read.n_malformed == view.n_malformed == len(view.malformed)
        found.append(data)
        copies = ParsedBatch()
        for table, leader in TABLES.items():
            rows = [random.randrange(2) for _ in getattr(view, leader)]
            getattr(copies, f"{table}_replica").extend(rows)
        with suppress(InputError):  # there may be such columns already
            found.append(read_parsed(data + copies.SerializeToString()).data)
        if not view.partitions and random.random() < 0.6:
            with suppress(InputError):  # one that has copies is none to part
                found += target.split(data, 3)
    return found


def same(gathered: NDArray[Any], wanted: Sequence[NDArray[Any]]) -> None:
    whole = np.concatenate(wanted)
    assert gathered.dtype == whole.dtype
    assert gathered.shape == whole.shape
    assert gathered.tobytes() == whole.tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_gathered_columns_are_those_of_the_views(seed: int) -> None:
    random = Random(seed)
    views = [ParsedView(data) for data in messages(random, 80)]
    for table in TABLES:
        assert any(getattr(view, f"{table}_replica").any() for view in views)
    opened = open_parsed(views)
    masks = [np.array([random.random() < 0.5 for _ in range(v.n_tx)], dtype=bool) for v in views]
    everything = [np.ones(view.n_tx, dtype=bool) for view in views]
    for home in (True, False):
        for kept in (masks, everything):
            given = np.concatenate(kept) if kept is masks else None
            rows = opened.rows(given, home=home)
            chosen: list[dict[str, Any]] = []
            for view, mask in zip(views, kept, strict=True):
                chosen.append({"tx": mask.copy()})
                for table in list(TABLES)[1:]:
                    chosen[-1][table] = mask[getattr(view, f"{table}_tx")]
                if home:
                    for table, mine in chosen[-1].items():
                        mine &= getattr(view, f"{table}_replica") == 0
            for table in TABLES:
                assert rows.n_rows[table].tolist() == [c[table].sum() for c in chosen]
            pairs = list(zip(views, chosen, strict=True))
            for table, columns in COLUMNS.items():
                for name in columns:
                    same(rows.column(name), [getattr(v, name)[c[table]] for v, c in pairs])
            for name in COLUMNS["tx"]:
                for each in list(TABLES)[1:]:
                    mine = [getattr(v, f"{each}_tx")[c[each]] for v, c in pairs]
                    values = [getattr(v, name)[tx] for (v, _), tx in zip(pairs, mine, strict=True)]
                    same(rows.column(name, each=each), values)
            for name in KEY_COLUMNS:
                if name.startswith("link_"):
                    with pytest.raises(ValueError, match="has no such rows"):
                        rows.keys(name)
                    continue
                wanted = [
                    bytes(32) if key == NONE else view.keys[key].tobytes()
                    for view, c in pairs
                    for key in getattr(view, name)[c[name.partition("_")[0]]].tolist()
                ]
                assert rows.keys(name).tobytes() == b"".join(wanted)
            names = [name for view in views for name in view.names]
            codes = np.arange(len(names), dtype=np.int32)
            for name in NAME_COLUMNS:
                wanted = [
                    None if code == NONE else view.names[code]
                    for view, c in pairs
                    for code in getattr(view, name)[c[name.partition("_")[0]]].tolist()
                ]
                found = rows.codes(name, codes, -1).tolist()
                assert [None if code == -1 else names[code] for code in found] == wanted


@pytest.mark.parametrize("seed", range(12))
def test_counts_are_those_of_the_rows_at_home(seed: int) -> None:
    batches = [read_parsed(data) for data in messages(Random(seed), 40)]
    for batch, status in zip(batches, batch_statuses(batches, [3] * len(batches)), strict=True):
        view = ParsedView(batch.data)
        flags = view.tx_flags.tolist()
        home = [i for i, copy in enumerate(view.tx_replica.tolist()) if not copy]
        legs = [i for i, copy in enumerate(view.swap_replica.tolist()) if not copy]
        swap_flags, venues = view.swap_flags.tolist(), view.swap_venue.tolist()
        unknown = view.names.index("unknown") if "unknown" in view.names else None

        def total(name: str, rows: list[int], view: ParsedView = view) -> int:
            return sum(getattr(view, name).tolist()[i] for i in rows) % 2**64

        wanted = {
            "transactions": len(home),
            "votes": sum(flags[i] & 2 > 0 for i in home),
            "failed": sum(flags[i] & 3 == 0 for i in home),
            "succeeded": sum(flags[i] & 3 == 1 for i in home),
            "decoded": sum(flags[i] & 4 == 0 for i in home),
            "unknown": sum(flags[i] & 4 > 0 for i in home),
            "logs_truncated": sum(flags[i] & 8 > 0 for i in home),
            "failed_swap_attempts": min(
                total("tx_swap_attempts", [i for i in home if not flags[i] & 1]), 2**32 - 1
            ),
            "tipped": sum(tip > 0 for tip in view.tx_tip[home].tolist()),
            "tip_lamports": total("tx_tip", home),
            "fee_lamports": total("tx_fee", home),
            "compute_units": total("tx_compute_units", home),
            "swaps": len(legs),
            "event_mismatches": sum(swap_flags[i] & 2 > 0 for i in legs),
            "router_event_mismatches": sum(swap_flags[i] & 8 > 0 for i in legs),
            "unknown_venue_swaps": sum(venues[i] == unknown for i in legs),
            "dead_lettered": 3,
        }
        assert {name: getattr(status, name) for name in wanted} == wanted


def test_nothing_at_all() -> None:
    rows = open_parsed([]).rows()
    assert rows.column("tx_signature").shape == (0, 64)
    assert rows.keys("swap_pool").shape == (0,)
    assert rows.total("tx_fee").tolist() == []
    assert open_parsed([read_parsed(b"")]).rows().count("tx_flags", 1, 1).tolist() == [0]


def test_what_cannot_be_gathered() -> None:
    message = read_parsed(encode_parsed({"names": ["a"]}, {"tx_index": [1, 2]}))
    opened = open_parsed([message])
    wrong: list[Any] = [np.ones(3, dtype=bool), np.ones(2, np.uint8), np.ones((2, 1), dtype=bool)]
    for kept in wrong:
        with pytest.raises(ValueError, match="not 2 bools"):
            opened.rows(kept)
    rows = opened.rows()
    for call in (
        lambda: rows.column("tx_nonce"),
        lambda: rows.column("keys"),
        lambda: rows.column("swap_fee", each="swap"),
        lambda: rows.column("tx_fee", each="nonce"),
        lambda: rows.keys("tx_fee"),
        lambda: rows.codes("tx_fee", np.zeros(1, np.int32), 0),
        lambda: rows.codes("swap_venue", np.zeros(2, np.int32), 0),
        lambda: rows.total("swap_price_after"),
        lambda: rows.total("tx_signature"),
        lambda: rows.total("tx_fee", "swap_flags", 1, 1),
        lambda: rows.count("tx_flags", 1, np.zeros(2, np.uint64)),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            call()


def test_one_bad_message_among_many() -> None:
    good = [ParsedView(encode_parsed({}, {"tx_index": [1]}))] * 3
    bad = ParsedView(ParsedBatch(tx_index=[1], swap_tx=[1]).SerializeToString())
    with pytest.raises(InputError, match="swap_tx points outside 1 transactions"):
        open_parsed([*good, bad, *good])


@pytest.mark.parametrize("seed", range(3))
def test_a_column_alone(seed: int) -> None:
    for data in messages(Random(seed), 20):
        message, view = read_parsed(data), ParsedView(data)
        for name in SCHEMA.columns:
            column = parsed_column(message, name)
            assert column.dtype == getattr(view, name).dtype
            assert column.tobytes() == getattr(view, name).tobytes()
