"""The decoder on one block, from bytes to ParsedBatch bytes, beside protobuf's own parser."""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness import Report, interleaved
from mevstream.cext.decoder import BatchDecoder
from mevstream.cext.split import split
from mevstream.codecs.parsed import ParsedView
from mevstream.codecs.raw import BATCH_SIZE, encode_raw
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock
from mevstream.topologies.raw.simulator import Simulator

ROUNDS = 25
IN_A_ROW = 5


def largest_block() -> tuple[str, bytes]:
    """(name, ConfirmedBlock bytes) of the largest stored real block, else of a simulated one."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MEVSTREAM_DATA") or default) / "blocks"
    blocks = {path.name: gzip.decompress(path.read_bytes()) for path in folder.glob("*.pb.gz")}
    if blocks:
        return max(blocks.items(), key=lambda item: len(item[1]))
    return "simulated, no real one is present", next(Simulator().blocks(1)).data


def touch_instructions(data: bytes) -> int:
    """Parses with upb and looks at each instruction, as a Python consumer of blocks has to."""
    touched = 0
    for transaction in ConfirmedBlock.FromString(data).transactions:
        for instruction in transaction.transaction.message.instructions:
            touched += instruction.program_id_index + len(instruction.accounts)
            touched += len(instruction.data)
        for group in transaction.meta.inner_instructions:
            for inner in group.instructions:
                touched += inner.program_id_index + len(inner.accounts) + len(inner.data)
    return touched


def batches(data: bytes) -> list[bytes]:
    """The block as the RawBatch messages that a source makes of it."""
    extents = split(data, ConfirmedBlock.TRANSACTIONS_FIELD_NUMBER)
    return [
        encode_raw(
            {"slot": 1, "first_index": first, "seq": first // BATCH_SIZE},
            run=extents.run(first, min(BATCH_SIZE, len(extents) - first)),
        )
        for first in range(0, len(extents), BATCH_SIZE)
    ]


def run() -> Report:
    name, data = largest_block()
    raw = batches(data)
    decoder = BatchDecoder()
    views = [ParsedView(decoder.decode(batch)) for batch in raw]
    source = np.frombuffer(data, np.uint8)
    target = np.empty_like(source)
    decode = {"mevstream: RawBatch → ParsedBatch": lambda: [decoder.decode(b) for b in raw]}
    parse = {"upb parse": lambda: ConfirmedBlock.FromString(data)}
    rows = interleaved(
        {
            "memcpy": lambda: np.copyto(target, source),
            **parse,
            "upb parse, touching each instruction": lambda: touch_instructions(data),
            **decode,
            "mevstream: block → RawBatch → ParsedBatch": lambda: [
                decoder.decode(batch) for batch in batches(data)
            ],
        },
        ROUNDS,
        in_a_row=IN_A_ROW,
    )
    for row in interleaved({**parse, **decode}, ROUNDS * IN_A_ROW):
        rows.append(replace(row, name=f"{row.name}, caches used by the other"))
    return Report(
        title=f"One block, {name}",
        rows=rows,
        baseline="upb parse",
        facts={
            "bytes": len(data),
            "transactions": sum(view.n_tx for view in views),
            "swaps": sum(view.n_swaps for view in views),
            "calls": ROUNDS * IN_A_ROW,
        },
    )
