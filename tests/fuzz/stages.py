"""Targets: the stages that keep pools and slots, over chains of ParsedBatch messages."""

from random import Random
from typing import Any

import numpy as np

from fuzz.chains import SLOT_NUMBERS, StageTarget, change_columns
from fuzz.dictionary import INTEGERS
from fuzz.mutate import flip_bytes, mutate_wire
from fuzz.oracle import Finding
from mevstream.cext.base58 import decode_sized
from mevstream.cext.negative_cycles import negative_cycle
from mevstream.codecs.features import FeatureView
from mevstream.codecs.opportunities import Kind, OpportunityView, Origin, Role
from mevstream.schemas.features_pb2 import FeatureState
from mevstream.schemas.opportunities_pb2 import OpportunityState
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.schemas.pools_pb2 import PoolSnapshot
from mevstream.settings import HUB_MINTS
from mevstream.topologies.features.stage import FeatureStage
from mevstream.topologies.opportunities.predicted.cycles import Rules
from mevstream.topologies.opportunities.stage import OpportunityStage

HUBS = [decode_sized(mint, 32) for mint in HUB_MINTS]
# All that brings anything is told, and of so few pools some are forgotten.
RULES = Rules(exposure=0, tip=0)
POOLS = 20


def _any_message(snapshot: bytes, descriptor: Any, random: Random) -> bytes:
    changed: Any = mutate_wire(snapshot, descriptor, random)
    return flip_bytes(changed, random) if random.random() < 0.2 else changed


class OpportunitiesTarget(StageTarget[OpportunityStage]):
    name = "opportunities"

    def new_stage(self) -> OpportunityStage:
        return OpportunityStage(HUBS, pools=POOLS, rules=RULES)

    def changed_snapshot(self, snapshot: bytes, random: Random) -> bytes:
        """Values of the pools and of the batches in it, other fields, or bytes."""
        state = OpportunityState.FromString(snapshot)
        match random.randrange(5):
            case 0 | 1:
                pools = PoolSnapshot.FromString(state.pools)
                change_columns(pools, random)
                state.pools = pools.SerializeToString()
            case 2 if state.batches:
                at = random.randrange(len(state.batches))
                batch = ParsedBatch.FromString(state.batches[at])
                change_columns(batch, random)
                state.batches[at] = batch.SerializeToString()
            case 3:
                state.since = random.choice((0, 1, 5, state.since + 1, 2**32 - 1))
                state.slot = random.choice((*SLOT_NUMBERS, state.slot))
                marks = bytearray(state.marks)
                for at in range(0, len(marks), 8):
                    if random.random() < 0.2:
                        marks[at : at + 8] = random.choice(INTEGERS).to_bytes(8, "little")
                state.marks = bytes(marks)
            case _:
                return _any_message(snapshot, OpportunityState.DESCRIPTOR, random)
        return state.SerializeToString()

    def look(self, stage: OpportunityStage) -> None:
        negative_cycle(stage.pools.graph()[0], passes=4)

    def judge(self, message: bytes, data: bytes) -> None:
        """What is told adds up."""
        view = OpportunityView(message)
        view.validate()
        wrong = (view.opp_confidence < 0) | ~(view.opp_confidence <= 1)
        if wrong.any():
            raise Finding("a confidence that is none", data)
        lost = np.maximum(view.victim_expected, view.victim_got) - view.victim_got
        if (view.victim_loss != lost).any():
            raise Finding("a loss that is not what is missing", data)
        for row in np.flatnonzero(view.opp_origin == Origin.predicted).tolist():
            profit, legs = int(view.opp_profit[row]), np.flatnonzero(view.leg_opp == row)
            if view.opp_kind[row] == Kind.exposure:
                if profit < 0 or view.opp_victim_loss[row] > view.leg_amount_out[legs[0]]:
                    raise Finding("an exposure of more than there is", data)
                continue
            hops = legs[view.leg_role[legs] == Role.hop]
            taken, given = view.leg_amount_in[hops], view.leg_amount_out[hops]
            if (taken[1:] != given[:-1]).any() or taken[0] != view.opp_input[row]:
                raise Finding("hops that do not follow one another", data)
            if profit <= 0 or int(given[-1]) - int(taken[0]) != profit:
                raise Finding("a profit that the hops do not make", data)
            if (view.leg_mint_in[hops][1:] != view.leg_mint_out[hops][:-1]).any():
                raise Finding("a cycle that is none", data)


class FeaturesTarget(StageTarget[FeatureStage]):
    name = "features"

    def new_stage(self) -> FeatureStage:
        return FeatureStage(pools=POOLS, quotes=HUBS)

    def changed_snapshot(self, snapshot: bytes, random: Random) -> bytes:
        """Values of the pools and candles, the open slot, other fields, or bytes."""
        state = FeatureState.FromString(snapshot)
        match random.randrange(4):
            case 0 | 1:
                change_columns(state, random)
            case 2:
                state.open.batches = random.choice((0, 2**32 - 2, 2**32 - 1))
                state.open.slot = random.choice(SLOT_NUMBERS)
                state.names.append(random.choice(("", "a", *state.names)))
            case _:
                return _any_message(snapshot, FeatureState.DESCRIPTOR, random)
        return state.SerializeToString()

    def judge(self, message: bytes, data: bytes) -> None:
        view = FeatureView(message)
        view.validate()
        for name in ("swap_price", "candle_open", "candle_low", "candle_close"):
            prices = getattr(view, name)
            if not (np.isnan(prices) | (prices > 0)).all():
                raise Finding(f"{name} is no price", data)
        if (view.candle_low > view.candle_high).any():
            raise Finding("a candle upside down", data)
        if (view.candle_buys > view.candle_swaps).any():
            raise Finding("more buys than swaps", data)
