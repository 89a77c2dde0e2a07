"""Target: RawBatch bytes → ParsedBatch bytes, the wire reader and every venue decoder."""

from random import Random
from zlib import crc32

import numpy as np
from google.protobuf.message import DecodeError

from fuzz.mutate import Mutator, flip_bytes
from fuzz.oracle import Finding, exact, parse, transaction_columns
from fuzz.seeds import made_transactions, real_transactions, shared_data
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.columns import NONE
from mevstream.codecs.parsed import KEY_COLUMNS, NAME_COLUMNS, SUCCESS, ParsedView
from mevstream.codecs.raw import encode_raw
from mevstream.errors import InputError
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.schemas.raw_pb2 import RawBatch

FIRST_INDEX = 1000
# Bit of tx_flags: something in the transaction was of no use (an index outside the key table …).
PARTIAL = 4
# Counts that then leave out what is of no use.
COUNTED_WHERE_USABLE = ("tx_accounts", "tx_instructions", "tx_inner_instructions")
# Columns that say where a row lies in its batch; all others follow from the transaction alone.
PLACE_COLUMNS = ("tx_index", "swap_tx", "liquidity_tx", "liquidation_tx", "link_index")


class DecoderTarget:
    """Batches of mutants. One execution is one transaction."""

    name = "decoder"
    inputs_a_turn = 1

    def __init__(self, random: Random) -> None:
        self.random = random
        shared = shared_data()
        seeds = made_transactions() + (real_transactions(shared) if shared else [])
        self.mutator = Mutator(seeds, random)
        self.decoder = BatchDecoder()
        self.seen: set[tuple[object, ...]] = set()
        self.columns = [
            field.name for field in ParsedBatch.DESCRIPTOR.fields
            if field.name.startswith(("tx_", "swap_", "liquidity_", "liquidation_", "link_"))
        ]  # fmt: skip

    def generate(self) -> bytes:
        random = self.random
        count = random.choice((1, 1, 2, 16, 32, 64))
        data = _batch([self.mutator.mutant() for _ in range(count)])
        return flip_bytes(data, random) if random.random() < 0.01 else data

    def check(self, data: bytes) -> int:
        try:
            batch = RawBatch.FromString(data)
        except DecodeError:
            batch = None
        try:
            parsed = self.decoder.decode(exact(data))
        except ValueError:
            if batch is None:
                return 1
            raise Finding("refuses a batch that protobuf reads", data) from None
        if batch is None:
            raise Finding("reads a batch that protobuf refuses", data)
        transactions = list(batch.transactions)
        view = ParsedView(parsed)
        malformed = set(view.malformed.tolist())
        row = 0
        self._check_indexes(view, data)
        if view.n_tx + len(malformed) != len(transactions):
            raise Finding("rows and malformed records do not add up", data)
        columns = {name: getattr(view, name) for name in self.columns}
        for position, transaction in enumerate(transactions):
            message = parse(transaction)
            if (message is None) != (position in malformed):
                what = "accepts what protobuf refuses" if message is None else "refuses too much"
                raise Finding(what, _alone(transaction))
            if message is None:
                continue
            partial = columns["tx_flags"][row] & PARTIAL
            for name, expected in transaction_columns(message, len(transaction)).items():
                if partial and name in COUNTED_WHERE_USABLE:
                    continue
                value = columns[name][row]
                value = value.tobytes() if name == "tx_signature" else int(value)
                if value != expected:
                    detail = f"{value!r}, protobuf has {expected!r}"
                    raise Finding(f"wrong {name}", _alone(transaction), detail)
            row += 1
        self._check_alone(view, transactions, malformed, data)
        self._learn(view, transactions, malformed)
        return len(transactions)

    def _check_indexes(self, view: ParsedView, data: bytes) -> None:
        try:
            view.validate()
        except InputError as error:
            raise Finding("points outside its table", data, str(error)) from None
        for name in PLACE_COLUMNS[1:]:
            if np.any(np.diff(getattr(view, name).astype(np.int64)) < 0):
                raise Finding(f"{name} is out of order", data)
        failed = np.flatnonzero(view.tx_flags & SUCCESS == 0)
        changed = [view.tx_index[view.liquidity_tx], view.tx_index[view.liquidation_tx]]
        if np.isin(np.concatenate([*changed, view.link_index]), view.tx_index[failed]).any():
            raise Finding("a failed transaction changes something", data)

    def _check_alone(
        self, view: ParsedView, transactions: list[bytes], malformed: set[int], data: bytes
    ) -> None:
        """A transaction decodes to the same rows wherever it stands, and whatever came before."""
        rows = [i for i in range(len(transactions)) if i not in malformed]
        if not rows:
            return
        row = crc32(data) % len(rows)
        alone = ParsedView(BatchDecoder().decode(exact(_alone(transactions[rows[row]]))))
        for name in self.columns:
            if name in PLACE_COLUMNS:
                continue
            if name.startswith("tx_"):
                here, there = getattr(view, name)[row : row + 1], getattr(alone, name)
            elif name.startswith("link_"):
                mine = view.link_index == view.tx_index[row]
                here, there = getattr(view, name)[mine], getattr(alone, name)
            else:
                mine = getattr(view, f"{name.partition('_')[0]}_tx") == row
                here, there = getattr(view, name)[mine], getattr(alone, name)
            if name in KEY_COLUMNS:
                same = _resolve(here, view.keys) == _resolve(there, alone.keys)
            elif name in NAME_COLUMNS:
                same = _resolve(here, view.names) == _resolve(there, alone.names)
            else:
                same = here.tobytes() == there.tobytes()
            if not same:
                raise Finding(f"{name} depends on the batch", data, f"transaction {rows[row]}")

    def _learn(self, view: ParsedView, transactions: list[bytes], malformed: set[int]) -> None:
        """Mutants that gave a combination of flags and swaps not seen before become seeds."""
        swaps: dict[int, list[object]] = {}
        for tx, venue, router, flags in zip(
            view.swap_tx.tolist(),
            view.swap_venue.tolist(),
            view.swap_router.tolist(),
            view.swap_flags.tolist(),
            strict=True,
        ):
            names = view.names[venue], router if router == NONE else view.names[router]
            swaps.setdefault(tx, []).append((*names, flags))
        for table, name in (("liquidity", "venue"), ("liquidation", "protocol")):
            columns = (
                getattr(view, f"{table}_{c}").tolist() for c in ("tx", name, "kind", "flags")
            )
            for tx, of, kind, flags in zip(*columns, strict=True):
                swaps.setdefault(tx, []).append((view.names[of], table, kind, flags))
        for index, kind in zip(view.link_index.tolist(), view.link_kind.tolist(), strict=True):
            for tx in np.flatnonzero(view.tx_index == index).tolist():
                swaps.setdefault(tx, []).append(("link", kind))
        accepted = (data for i, data in enumerate(transactions) if i not in malformed)
        for row, (data, flags, version, attempts) in enumerate(
            zip(
                accepted,
                view.tx_flags.tolist(),
                view.tx_version.tolist(),
                view.tx_swap_attempts.tolist(),
                strict=True,
            )
        ):
            key = (flags, min(version, 4), min(attempts, 3), tuple(swaps.get(row, ())[:3]))
            if key not in self.seen:
                self.seen.add(key)
                self.mutator.keep(data)


def _batch(transactions: list[bytes]) -> bytes:
    """A RawBatch that ends with its last transaction."""
    return encode_raw({"slot": 42, "first_index": FIRST_INDEX}, transactions)


def _alone(transaction: bytes) -> bytes:
    return _batch([transaction])


def _resolve(column: np.ndarray, table: np.ndarray | list[str]) -> list[object]:
    """What the indexes stand for."""
    return [None if i == NONE else bytes(table[i]) if isinstance(table, np.ndarray) else table[i]
            for i in column.tolist()]  # fmt: skip
