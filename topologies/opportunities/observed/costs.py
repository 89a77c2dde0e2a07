"""What an actor paid beside its swaps, and what is left: fees, tips and the net in lamports."""

from collections.abc import Iterable
from dataclasses import dataclass

from mevstream.codecs.opportunities import IN_PART, NET_POSITIVE, NET_TOLD, TIPPED
from mevstream.codecs.parsed import DECODED_IN_PART, LOG_TRUNCATED, ParsedView

_ODD = DECODED_IN_PART | LOG_TRUNCATED


@dataclass(frozen=True, slots=True)
class Costs:
    """Lamports of some transactions, and what they say for a label (bits of opp_reasons)."""

    fee: int
    tip: int
    reasons: int

    def net(self, profit: int, in_sol: bool) -> tuple[int | None, int]:
        """(net in lamports if the profit is in wrapped SOL, the bits that follow from it)."""
        if not in_sol:
            return None, self.reasons
        net = profit - self.fee - self.tip
        return net, self.reasons | NET_TOLD | (NET_POSITIVE if net > 0 else 0)


def costs_of(transactions: Iterable[tuple[ParsedView, int]]) -> Costs:
    """The costs of transactions, (batch, row) each."""
    fee = tip = reasons = 0
    for view, tx in transactions:
        fee += int(view.tx_fee[tx])
        tip += int(view.tx_tip[tx])
        if int(view.tx_flags[tx]) & _ODD:
            reasons |= IN_PART
    return Costs(fee, tip, reasons | (TIPPED if tip else 0))
