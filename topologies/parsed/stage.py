"""mev.raw → mev.parsed: one RawBatch becomes one ParsedBatch, its counts, and its dead letters."""

from collections.abc import Callable

from mevstream.codecs.parsed import view_parsed
from mevstream.codecs.raw import RawView
from mevstream.topologies.chain import PARSED, RAW, SLOTS, Record, Stage
from mevstream.topologies.giving_up import give_up
from mevstream.topologies.parsed.slots import batch_status

NAME = "parsed"

Decode = Callable[[bytes], bytes]


def open_stage() -> Stage:
    """The stage with a decoder of its own (a decoder reuses its buffers: one per thread)."""
    from mevstream.cext.decoder import BatchDecoder

    decode = BatchDecoder().decode
    return lambda raw, /: parse(raw, decode)


def parse(raw: bytes, decode: Decode) -> list[Record]:
    """The records that follow from one RawBatch message: ParsedBatch and SlotStatus of the batch,
    and a DeadLetter for every transaction that is none. A batch that cannot be read as a whole
    gives one DeadLetter with all its bytes; nothing is raised for bad input."""
    try:
        parsed = decode(raw)
    except ValueError as error:
        return [give_up(NAME, RAW, raw, error)]
    view = view_parsed(parsed)
    malformed: list[int] = view.malformed.tolist()
    records = [
        Record(PARSED, parsed),
        Record(SLOTS, batch_status(view, len(malformed)).SerializeToString()),
    ]
    if malformed:
        transactions = RawView(raw).transactions
        records += [
            give_up(
                NAME,
                RAW,
                bytes(transactions[position]),
                "not a ConfirmedTransaction message",
                chain=view.chain,
                slot=view.slot,
                seq=view.seq,
                position=position,
            )
            for position in malformed
        ]
    return records
