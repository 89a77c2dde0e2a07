"""mev.raw → mev.parsed: one RawBatch becomes one ParsedBatch, its counts, and its dead letters."""

import time
from collections.abc import Callable

from mevstream.codecs.parsed import view_parsed
from mevstream.codecs.raw import RawView
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.topologies.chain import DEAD_LETTER, PARSED, RAW, SLOTS, Record, Stage
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
        return [_dead_letter(DeadLetter(error=_one_line(error), payload=raw))]
    view = view_parsed(parsed)
    malformed: list[int] = view.malformed.tolist()
    records = [
        Record(PARSED, parsed),
        Record(SLOTS, batch_status(view, len(malformed)).SerializeToString()),
    ]
    if malformed:
        transactions = RawView(raw).transactions
        records += [
            _dead_letter(
                DeadLetter(
                    error="not a ConfirmedTransaction message",
                    payload=bytes(transactions[position]),
                    chain=view.chain,
                    slot=view.slot,
                    seq=view.seq,
                    position=position,
                )
            )
            for position in malformed
        ]
    return records


def _dead_letter(letter: DeadLetter) -> Record:
    letter.topic = RAW
    letter.stage = NAME
    letter.partition = letter.offset = -1
    letter.seen_ns = time.time_ns()
    return Record(DEAD_LETTER, letter.SerializeToString())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
