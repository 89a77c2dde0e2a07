"""The rules of docs/partitioning.md written out in Python, and batches to try them on."""

from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import KEY_COLUMNS, NAME_COLUMNS, SCHEMA, ParsedView, encode_parsed
from mevstream.topologies.parsed.slots import batch_status

MASK = 2**64 - 1
HUBS = [bytes([number]) * 32 for number in (1, 200)]
MINTS = [Random(number).randbytes(32) for number in range(12)]
MARKETS = {
    "swap": ("swap_mint_in", "swap_mint_out", "swap_pool"),
    "liquidity": ("liquidity_mint_a", "liquidity_mint_b", "liquidity_pool"),
    "liquidation": (
        "liquidation_repay_mint",
        "liquidation_collateral_mint",
        "liquidation_account",
    ),
}
TABLES = {
    table: [n for n in SCHEMA.columns if n.startswith(f"{table}_") and not n.endswith("_replica")]
    for table in ("tx", *MARKETS, "link")
}

Row = tuple[Any, ...]


def partition_of(key: bytes, partitions: int) -> int:
    value = 0
    for at in range(0, 32, 8):
        value ^= int.from_bytes(key[at : at + 8], "little")
        value = (value + 0x9E3779B97F4A7C15) & MASK
        value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ value >> 27) * 0x94D049BB133111EB) & MASK
        value ^= value >> 31
    return value % partitions


Places = list[tuple[int, set[int]]]
"""(home, partitions it goes to) of each row."""


def row_places(view: ParsedView, table: str, hubs: list[bytes], partitions: int) -> Places:
    """Of the rows of a table but that of transactions."""
    places: Places = []
    columns = [getattr(view, name) for name in MARKETS[table]]
    for row in range(len(columns[0])):
        *mints, pool = (_key(view, column[row]) for column in columns)
        markets = sorted(mint for mint in mints if mint is not None and mint not in hubs)
        if markets:
            placed = [partition_of(market, partitions) for market in markets]
            places.append((placed[0], set(placed)))
            continue
        home = view.seq % partitions if pool is None else partition_of(pool, partitions)
        everywhere = None not in mints
        places.append((home, set(range(partitions)) if everywhere else {home}))
    return places


def together(view: ParsedView, others: dict[str, Places], hubs: list[bytes]) -> dict[str, Places]:
    """The same with all rows of a transaction wherever one of them is for its market."""
    markets: dict[int, set[int]] = {}
    for table, placed in others.items():
        first, second, _ = (getattr(view, name) for name in MARKETS[table])
        for row, tx in enumerate(getattr(view, f"{table}_tx").tolist()):
            between_hubs = all(_key(view, m[row]) in hubs for m in (first, second))
            markets.setdefault(tx, set()).update(set() if between_hubs else placed[row][1])
    return {
        table: [
            (home, goes | markets[tx])
            for (home, goes), tx in zip(placed, getattr(view, f"{table}_tx").tolist(), strict=True)
        ]
        for table, placed in others.items()
    }


def tx_places(view: ParsedView, others: dict[str, Places], partitions: int) -> Places:
    places: Places = []
    for row in range(view.n_tx):
        mine = [
            place
            for table, placed in others.items()
            for place, tx in zip(placed, getattr(view, f"{table}_tx").tolist(), strict=True)
            if tx == row
        ]
        home = mine[0][0] if mine else view.seq % partitions
        places.append((home, {home}.union(*(goes for _, goes in mine))))
    return places


def _key(view: ParsedView, index: int) -> bytes | None:
    return None if index == NONE else view.keys[index].tobytes()


def rows(view: ParsedView, table: str) -> list[Row]:
    """The rows of a table with keys, names and transactions in place of numbers."""
    columns: list[list[Any]] = []
    for name in TABLES[table]:
        values: NDArray[Any] = getattr(view, name)
        if name in KEY_COLUMNS:
            columns.append([_key(view, value) for value in values.tolist()])
        elif name in NAME_COLUMNS:
            columns.append([None if v == NONE else view.names[v] for v in values.tolist()])
        elif name == f"{table}_tx":
            columns.append(view.tx_index[values].tolist() if len(values) else [])
        else:
            columns.append([value.tobytes() for value in values])
    return list(zip(*columns, strict=True))


def check(data: bytes, parts: list[bytes], hubs: list[bytes]) -> None:
    """All that docs/partitioning.md says of the parts of a batch."""
    whole, count = ParsedView(data), len(parts)
    places = {table: row_places(whole, table, hubs, count) for table in MARKETS}
    places = together(whole, places, hubs)
    places["tx"] = tx_places(whole, {table: places[table] for table in MARKETS}, count)
    wanted = {table: rows(whole, table) for table in places}
    dead: list[int] = []
    sums: dict[str, int] = {}
    for number, part in enumerate(parts):
        view = ParsedView(part)
        view.validate()
        assert (view.partition, view.partitions) == (number, count)
        for name in SCHEMA.envelope:
            if name not in ("partition", "partitions"):
                assert getattr(view, name) == getattr(whole, name), name
        for table, placed in places.items():
            here = [i for i, (_, goes) in enumerate(placed) if number in goes]
            assert rows(view, table) == [wanted[table][i] for i in here]
            replica = getattr(view, f"{table}_replica").tolist()
            assert replica == [placed[i][0] != number for i in here]
        if count > 1:
            used = {i for name in KEY_COLUMNS for i in getattr(view, name).tolist()} - {NONE}
            assert used == set(range(len(view.keys)))
        assert rows(view, "link") == rows(whole, "link")
        dead += view.malformed.tolist()
        assert not len(view.malformed) or number == whole.seq % count
        status = batch_status(view, len(view.malformed))
        for field, value in status.ListFields():
            if field.name in COUNTS:
                sums[field.name] = sums.get(field.name, 0) + value
    assert dead == whole.malformed.tolist()
    status = batch_status(whole, len(whole.malformed))
    assert sums == {f.name: v for f, v in status.ListFields() if f.name in COUNTS}


COUNTS = {
    "transactions",
    "votes",
    "failed",
    "succeeded",
    "decoded",
    "unknown",
    "dead_lettered",
    "swaps",
    "unknown_venue_swaps",
    "failed_swap_attempts",
    "logs_truncated",
    "event_mismatches",
    "router_event_mismatches",
    "tipped",
    "tip_lamports",
    "fee_lamports",
    "compute_units",
}


def made_batch(random: Random, *, most: int = 12) -> bytes:
    """A batch with hubs, unknown mints and pools, rows in any order of their transactions, and
    now and then a column that an old writer did not have."""
    rng = np.random.default_rng(random.getrandbits(64))
    n_tx = random.choice((0, 1, random.randrange(most + 1)))
    counts = {"tx": n_tx, "link": random.choice((0, 0, 1, random.randrange(most + 1)))}
    for table, times in (("swap", 2), ("liquidity", 1), ("liquidation", 1)):
        counts[table] = random.choice((0, 1, random.randrange(times * most + 1))) if n_tx else 0
    keys = [*HUBS, *MINTS]
    random.shuffle(keys)
    keys = keys[: random.randrange(1, len(keys) + 1)]
    columns: dict[str, Any] = {
        "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32),
        "malformed": rng.integers(0, 256, random.choice((0, 0, 3)), np.uint32),
    }
    names = ["raydium_amm_v4", "unknown", "jupiter_v6"]
    for table, count in counts.items():
        for name in TABLES[table]:
            dtype = SCHEMA.columns[name]
            if name in KEY_COLUMNS or name in NAME_COLUMNS:
                size = len(keys) if name in KEY_COLUMNS else len(names)
                column = rng.integers(0, size, count, np.uint32)
                column[rng.random(count) < 0.15] = NONE
            elif name == "tx_signature":
                column = rng.integers(0, 256, (count, 64), np.uint8)
            elif name == "tx_index":
                column = rng.permutation(256).astype("<u4")[:count]
            elif name == f"{table}_tx":
                column = rng.integers(0, max(n_tx, 1), count, np.uint32)
            elif dtype.itemsize == 8:
                column = rng.integers(0, 2**40, count).astype("<u8").view(dtype)
            else:
                column = rng.integers(0, 256, count, np.uint32).view(dtype)
            columns[name] = column
    if random.random() < 0.3:
        names_of_columns = [name for table in TABLES.values() for name in table]
        for name in random.sample(names_of_columns, random.randrange(12)):
            if not name.endswith(("_index", "_tx")):
                del columns[name]
    envelope = {
        "slot": random.getrandbits(40),
        "parent_slot": random.getrandbits(40),
        "block_time": random.choice((None, 0, 1_700_000_000)),
        "seq": random.choice((0, random.randrange(40), 2**32 - 1)),
        "last": random.random() < 0.5,
        "source": random.choice(("", "simulator", "x" * 13)),
        "received_ns": random.getrandbits(60),
        "blockhash": random.choice((b"", bytes(range(32)))),
        "block_height": random.choice((None, 7)),
        "chain": random.choice(("", "solana")),
        "commitment": random.randrange(4),
        "names": names,
    }
    return encode_parsed(envelope, columns)
