"""Decoded, parted, mixed, put in order: what is stored is what one process alone would store."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.parsed import SCHEMA, ParsedView
from mevstream.codecs.raw import encode_raw
from mevstream.topologies.chain import PARSED
from mevstream.topologies.order import Arrival, Duplicate, Released, SlotOrder
from mevstream.topologies.parsed.market import open_split
from mevstream.topologies.parsed.stage import parse
from mevstream.topologies.raw.simulator import Simulator
from partitioning.chains import log
from partitioning.rules import Row, rows

TABLES = ("tx", "swap")


def raw_batches() -> list[bytes]:
    """Simulated blocks cut small, with a record here and there that is no transaction."""
    result: list[bytes] = []
    for block in Simulator().blocks(4):
        payloads = [bytes(transaction) for transaction in block.transactions()]
        payloads[5] = b"\xff"
        for seq, first in enumerate(range(0, len(payloads), 96)):
            envelope = {
                "slot": block.slot,
                "parent_slot": block.slot - 1,
                "seq": seq,
                "last": first + 96 >= len(payloads),
                "blockhash": block.slot.to_bytes(32, "big"),
                "first_index": first,
            }
            result.append(encode_raw(envelope, payloads[first : first + 96]))
    return result


RAW = raw_batches()


def parsed() -> list[bytes]:
    decode = BatchDecoder().decode
    return [r.value for raw in RAW for r in parse(raw, decode) if r.topic == PARSED]


def batch_of(message: bytes) -> tuple[int, int]:
    envelope = SCHEMA.read_envelope(message)
    return envelope.slot, envelope.seq


WHOLE = parsed()


def home_rows(messages: list[bytes]) -> dict[str, list[tuple[int, int, Row]]]:
    """Of each table its rows at home, with the slot and seq that they came with, sorted."""
    found: dict[str, list[tuple[int, int, Row]]] = {"malformed": []}
    for table in TABLES:
        found[table] = []
        for message in messages:
            view = ParsedView(message)
            replica = getattr(view, f"{table}_replica").tolist()
            found[table] += [
                (view.slot, view.seq, row)
                for row, copy in zip(rows(view, table), replica, strict=True)
                if not copy
            ]
    for view in map(ParsedView, messages):
        found["malformed"] += [(view.slot, view.seq, (at,)) for at in view.malformed.tolist()]
    return {table: sorted(values, key=repr) for table, values in found.items()}


EXPECTED = home_rows(WHOLE)


def test_there_is_something_to_lose() -> None:
    assert len(EXPECTED["swap"]) > 100
    assert len(EXPECTED["malformed"]) == 4
    assert len(WHOLE) > 12


@given(st.integers(0, 2**64), st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=25)
def test_rows_at_home_are_those_of_the_unparted_stream(
    seed: int, origins: int, partitions: int
) -> None:
    random, split = Random(seed), open_split()
    parts = {batch_of(message): split(message, partitions) for message in WHOLE}
    envelopes = [SCHEMA.read_envelope(message) for message in WHOLE]
    batches = [
        {name: getattr(e, name) for name in ("slot", "seq", "last", "parent_slot", "blockhash")}
        for e in envelopes
    ]
    stored: list[bytes] = []
    for partition in range(partitions):
        order = SlotOrder[bytes](origins)
        released: list[bytes] = []
        # Every market partition has a log of its own: mixed and repeated in its own way.
        for offset, (batch, origin) in enumerate(log(random, batches, origins)):
            message = parts[batch["slot"], batch["seq"]][partition]
            arrival = Arrival(
                **batch, origin=origin, offset=offset, size=len(message), payload=message
            )
            for event in order.add(arrival, 0.0):
                assert isinstance(event, Released | Duplicate)
                if isinstance(event, Released):
                    released.append(event.arrival.payload)
        assert not order.held
        assert [batch_of(message) for message in released] == [batch_of(m) for m in WHOLE]
        stored += released
    assert home_rows(stored) == EXPECTED


def test_an_envelope_is_read_without_the_columns() -> None:
    view, envelope = ParsedView(WHOLE[3]), SCHEMA.read_envelope(WHOLE[3])
    assert (envelope.slot, envelope.seq, envelope.last) == (view.slot, view.seq, view.last)
    assert envelope.blockhash == view.blockhash
    assert envelope.parent_slot == view.parent_slot
    assert list(envelope.names) == view.names
    assert not envelope.tx_index
