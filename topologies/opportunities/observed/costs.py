"""What an actor paid beside its swaps, and what is left: fees, tips and the net in lamports."""

from collections.abc import Iterable
from dataclasses import dataclass

from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import FROM_BALANCES, IN_PART, NET_POSITIVE, NET_TOLD, TIPPED
from mevstream.codecs.parsed import DECODED_IN_PART, LOG_TRUNCATED, SIGNERS_TOLD, ParsedView

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
        return self.with_net(profit - self.fee - self.tip)

    def with_net(self, net: int) -> tuple[int, int]:
        """(net, the bits that follow from it)."""
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


def settle_cycle(
    view: ParsedView, tx: int, rows: range, mint: int, gain: int, in_sol: bool
) -> tuple[int, int | None, int]:
    """(profit, net in lamports, reasons) of a cycle of these legs, which brought `gain` of `mint`
    (row of `keys`).

    The signers' balances tell it where their token accounts have more of the mint: routers and
    others may have got some. Wrapped SOL and lamports count as one, and what was unwrapped to pay
    fee and tip belongs to the profit. Where they have neither that nor most of the gain in
    lamports, the beneficiary is somebody else (a program's own accounts), and the legs tell.
    """
    costs = costs_of([(view, tx)])
    by_legs = (gain, *costs.net(gain, in_sol))
    row = next((row for row in rows if int(view.swap_mint_in[row]) == mint), None)
    if row is None or not int(view.tx_flags[tx]) & SIGNERS_TOLD:
        return by_legs
    kept = tokens = int(view.swap_signers_in[row])
    net: int | None = None
    if in_sol:
        net = int(view.tx_signers_lamports[tx])
        payer, tipper = int(view.tx_payer[tx]), int(view.tx_tip_payer[tx])
        paid = costs.fee + (costs.tip if tipper in (payer, NONE) else 0)
        kept += max(0, net - tokens + paid)
    if not 0 < kept <= gain or (tokens <= 0 and 2 * kept < gain):
        return by_legs
    if net is None:
        return kept, None, costs.reasons | FROM_BALANCES
    net, reasons = costs.with_net(net)
    return kept, net, reasons | FROM_BALANCES
