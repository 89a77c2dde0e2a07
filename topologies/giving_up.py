"""What a stage says of an input that it cannot take."""

import time

from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.topologies.chain import DEAD_LETTER, Record


def give_up(
    stage: str,
    topic: str,
    payload: bytes,
    error: Exception | str,
    *,
    chain: str | None = None,
    slot: int | None = None,
    seq: int | None = None,
    position: int | None = None,
) -> Record:
    """The dead letter of `payload`, which came from `topic`; where its record was the runtime adds.

    position: of a single transaction, its place in the batch of that chain, slot and seq.
    """
    letter = DeadLetter(
        topic=topic,
        partition=-1,
        offset=-1,
        stage=stage,
        error=" ".join(str(error).split()) or type(error).__name__,
        payload=payload,
        chain=chain,
        slot=slot,
        seq=seq,
        position=position,
        seen_ns=time.time_ns(),
    )
    return Record(DEAD_LETTER, letter.SerializeToString())
