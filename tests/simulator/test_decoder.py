"""The compiled decoder and the simulator were written apart: they have to tell the same story."""

from typing import Any

from solders.pubkey import Pubkey

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.parsed import ParsedView
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.simulator import Block, Simulator, SimulatorConfig

NONE = 0xFFFFFFFF
# swap_flags: amounts differ from the program's event, or from the router's.
DIFFERS = 2 | 8
EVENT_SEEN = 1


def decode(decoder: BatchDecoder, block: Block) -> ParsedView:
    raw = RawBatch(slot=block.slot, transactions=[bytes(t) for t in block.transactions()])
    return ParsedView(decoder.decode(raw.SerializeToString()))


def swap_rows(view: ParsedView, block: Block) -> list[dict[str, Any]]:
    def key(row: int) -> str:
        return str(Pubkey.from_bytes(view.keys[row].tobytes()))

    def path(i: int) -> str:
        outer, inner = int(view.swap_outer[i]), int(view.swap_inner[i])
        return str(outer) if inner == NONE else f"{outer}.{inner}"

    return [
        {
            "slot": block.slot,
            "tx_index": int(view.tx_index[view.swap_tx[i]]),
            "ix_path": path(i),
            "program": key(view.swap_program[i]),
            "venue": view.names[view.swap_venue[i]],
            "router": None if view.swap_router[i] == NONE else view.names[view.swap_router[i]],
            "pool": key(view.swap_pool[i]),
            "trader": key(view.swap_trader[i]),
            "mint_in": key(view.swap_mint_in[i]),
            "mint_out": key(view.swap_mint_out[i]),
            "amount_in": int(view.swap_amount_in[i]),
            "amount_out": int(view.swap_amount_out[i]),
        }
        for i in range(view.n_swaps)
    ]


def test_decoder_finds_the_truth():
    decoder = BatchDecoder()
    legs = 0
    for block in Simulator(SimulatorConfig(seed=21)).blocks(12):
        view = decode(decoder, block)
        rows = swap_rows(view, block)
        truth = [
            {name: value for name, value in record.items() if name not in ("record", "signature")}
            for record in block.truth
        ]
        assert rows == truth
        assert not (view.swap_flags & DIFFERS).any()
        assert (view.swap_flags & EVENT_SEEN).all()
        legs += len(rows)
        counts = block.counts
        assert view.n_tx == counts["transactions"]
        assert int((view.tx_flags & 2 != 0).sum()) == counts["votes"]
        assert int((view.tx_flags & 3 == 1).sum()) == counts["succeeded"]
        assert int((view.tx_tip > 0).sum()) == counts["tips"]
        assert int(view.tx_tip.sum()) == counts["tip_lamports"]
        assert int(view.tx_fee.sum()) == counts["fee_lamports"]
    assert legs > 2000
