"""Detection on one block: of MEV that happened and of what could be taken, alone, as a stage, and
behind the decoder."""

from collections import Counter

from benchmarks.decoder import largest_block
from benchmarks.harness import Report, interleaved
from mevstream.cext.base58 import decode_sized
from mevstream.cext.decoder import BatchDecoder
from mevstream.cext.split import split
from mevstream.codecs.opportunities import OpportunityView, Origin
from mevstream.codecs.parsed import ParsedView
from mevstream.codecs.raw import BATCH_SIZE, encode_raw
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock
from mevstream.settings import load_settings
from mevstream.topologies.opportunities.pools import Pools
from mevstream.topologies.opportunities.predicted.cycles import Rules
from mevstream.topologies.opportunities.predicted.tips import LEAST_TIP
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

    def pools() -> object:
        rules, known = Rules(), Pools(hubs=sorted(hubs, key=lambda mint: mint != hubs[0]))
        least = rules.least(LEAST_TIP), rules.least_exposure(LEAST_TIP)
        return [known.apply(view, *least) for view in views]

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
            "of that: pools, cycles, exposures": pools,
            "the stage: ParsedBatch → OpportunityBatch": stage,
            "RawBatch → ParsedBatch → OpportunityBatch": whole,
        },
        ROUNDS,
        in_a_row=IN_A_ROW,
    )
    return Report(
        title=f"Observed and predicted MEV of one block, {name}",
        rows=rows,
        baseline="detection of what is parsed",
        facts={
            "transactions": sum(view.n_tx for view in views),
            "swaps": sum(view.n_swaps for view in views),
            **{
                Origin(origin).name: n
                for origin, n in Counter(
                    int(origin) for view in found for origin in view.opp_origin
                ).items()
            },
            "calls": ROUNDS * IN_A_ROW,
        },
    )
