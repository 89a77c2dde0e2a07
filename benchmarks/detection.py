"""Detection of observed MEV on one block: alone, as a stage, and behind the decoder."""

from benchmarks.decoder import largest_block
from benchmarks.harness import Report, interleaved
from mevstream.cext.base58 import decode_sized
from mevstream.cext.decoder import BatchDecoder
from mevstream.cext.split import split
from mevstream.codecs.opportunities import OpportunityView
from mevstream.codecs.parsed import ParsedView
from mevstream.codecs.raw import BATCH_SIZE, encode_raw
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock
from mevstream.settings import load_settings
from mevstream.topologies.opportunities.stage import OpportunityStage

ROUNDS = 25
IN_A_ROW = 5


def batches(data: bytes) -> list[bytes]:
    """The block as the RawBatch messages that a source makes of it."""
    extents = split(data, ConfirmedBlock.TRANSACTIONS_FIELD_NUMBER)
    n = len(extents)
    return [
        encode_raw(
            {
                "slot": 1,
                "first_index": first,
                "seq": first // BATCH_SIZE,
                "last": first + BATCH_SIZE >= n,
                "blockhash": b"b" * 32,
            },
            run=extents.run(first, min(BATCH_SIZE, n - first)),
        )
        for first in range(0, n, BATCH_SIZE)
    ]


def run() -> Report:
    name, data = largest_block()
    raw = batches(data)
    decoder = BatchDecoder()
    parsed = [decoder.decode(batch) for batch in raw]
    views = [ParsedView(batch) for batch in parsed]

    hubs = [decode_sized(mint, 32) for mint in load_settings().hub_mints]

    def detect() -> object:
        stage = OpportunityStage(hubs)
        return [stage.detect(view) for view in views]

    def stage() -> list[bytes]:
        take = OpportunityStage(hubs)
        return [record.value for batch in parsed for record in take(batch)]

    def whole() -> list[bytes]:
        take = OpportunityStage(hubs)
        return [record.value for batch in raw for record in take(decoder.decode(batch))]

    found = [OpportunityView(value) for value in stage()]
    rows = interleaved(
        {
            "detection of what is parsed": detect,
            "the stage: ParsedBatch → OpportunityBatch": stage,
            "RawBatch → ParsedBatch → OpportunityBatch": whole,
        },
        ROUNDS,
        in_a_row=IN_A_ROW,
    )
    return Report(
        title=f"Observed MEV of one block, {name}",
        rows=rows,
        baseline="detection of what is parsed",
        facts={
            "transactions": sum(view.n_tx for view in views),
            "swaps": sum(view.n_swaps for view in views),
            "opportunities": sum(view.n_opportunities for view in found),
            "calls": ROUNDS * IN_A_ROW,
        },
    )
