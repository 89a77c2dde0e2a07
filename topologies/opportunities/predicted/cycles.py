"""Which of the cycles that are there to be taken are told, by whom, and with what costs.

docs/opportunities.md has the rule, and why it is the same with any number of partitions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mevstream.cext.predict import Exposure, Hop, Prediction
from mevstream.codecs.opportunities import Exactness, Kind
from mevstream.codecs.parsed import ParsedView
from mevstream.settings import Settings
from mevstream.topologies.opportunities.observed.model import LARGEST_PROFIT

SIGNATURE_FEE = 5_000
"""Lamports: the base fee of a transaction with one signature."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is told: net, the lamports that a cycle has to bring above its costs, exposure those
    that a front would have; slots, how many slots after its own a cycle is told for.
    tip_percentile, tip: see TipFloor."""

    net: int = 0
    exposure: int = 10_000_000
    slots: int = 4
    tip_percentile: float = 50
    tip: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        return cls(
            net=settings.predicted_net,
            exposure=settings.exposure_net,
            slots=settings.predicted_slots,
            tip_percentile=settings.tip_percentile,
            tip=settings.tip_lamports,
        )

    def least(self, tip: int) -> float:
        """Lamports that a cycle has to be worth."""
        return float(SIGNATURE_FEE + tip + self.net)

    def least_exposure(self, tip: int) -> float:
        """Lamports that somebody has to gain in front of a swap: two transactions, one bundle."""
        return float(2 * SIGNATURE_FEE + tip + self.exposure)


@dataclass(frozen=True, slots=True)
class Predicted:
    """A cycle that `view`'s transaction with the swap `row` left. market: key, empty between hubs
    alone; amount, gross, opened in base units of the mint that the first hop takes, fee, tip and
    net in lamports."""

    kind: Kind
    view: ParsedView
    row: int
    market: bytes
    hops: list[Hop]
    amount: int
    gross: int
    opened: int
    fee: int
    tip: int
    net: int
    exactness: Exactness
    expiry: int


@dataclass(frozen=True, slots=True)
class Exposed:
    """A swap that others could have taken from: gain in base units of what went in, loss of what
    came out; fee, tip and net, what is left of the gain after them, in lamports."""

    view: ParsedView
    row: int
    gain: int
    loss: int
    fee: int
    tip: int
    net: int
    exactness: Exactness


def predicted(
    view: ParsedView, found: Iterable[Prediction], rules: Rules, tip: int, sol: bytes
) -> list[Predicted]:
    """The rows that this partition tells, in the order of the chain and of their markets' keys."""
    told: list[Predicted] = []
    for one in found:
        if not one.market and view.swap_replica[one.row]:
            continue  # between hubs: every partition has found it
        gross = one.profit
        lamports = gross
        if one.hops[0].mint_in != sol:
            lamports = int(min(gross * one.value, LARGEST_PROFIT))
        net = lamports - SIGNATURE_FEE - tip
        if net <= rules.net:
            continue
        told.append(
            Predicted(
                Kind.backrun if one.before == 0 else Kind.arbitrage,
                view,
                one.row,
                one.market,
                one.hops,
                one.amount,
                gross,
                0 if one.before is None else max(0, gross - one.before),
                SIGNATURE_FEE,
                tip,
                net,
                Exactness(one.exactness),
                view.slot + rules.slots,
            )
        )
    return sorted(told, key=lambda one: (int(view.swap_tx[one.row]), one.market))


def exposed(view: ParsedView, found: Iterable[Exposure], tip: int) -> list[Exposed]:
    """In the order of the chain."""
    fee = 2 * SIGNATURE_FEE
    return [
        Exposed(
            view,
            one.row,
            one.gain,
            one.loss,
            fee,
            tip,
            one.lamports - fee - tip,
            Exactness(one.exactness),
        )
        for one in found
    ]


def tips_between_hubs(view: ParsedView, between: NDArray[np.bool_]) -> list[int]:
    """The tips of transactions with a swap between hubs, which every partition sees."""
    rows = np.unique(view.swap_tx[between])
    tips = view.tx_tip[rows]
    return tips[tips > 0].tolist()
