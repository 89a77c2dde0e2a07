"""Replay of constant-product pools.

A pool is one where a fee can be found with which the product gives every swap of the stretch: to
the unit, or nearly. Pump's programs are replayed by their own rules (fees on the quote, apart).
"""

from collections.abc import Callable, Sequence

from mevstream.cext import curves
from mevstream.codecs.opportunities import Exactness
from mevstream.topologies.opportunities.observed.replay import EXACT_OUT, Expected, Path, Swap

_MILLION = 1_000_000

# Swap fees in parts per million that pools are made with.
FEES = (
    *(0, 100, 200, 300, 400, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 5000, 6000, 7500),
    *(8000, 9000, 9500, 10_000, 12_500, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000, 100_000),
)

# Lamports that three rounded fees may leave of a budget.
_ROUNDED = 4

Quote = Callable[[int, int, int], int]
"""(reserve in, reserve out, amount in) → amount out."""


def replay(path: Path) -> Expected | None:
    """What the swaps that are wanted would have got; None where the pool is none of these."""
    swaps, after = path.replayed, path.swaps[path.end + 1 :]
    if any(swap.reserve_in <= 0 or swap.reserve_out <= 0 for swap in swaps):
        return None
    if swaps[0].venue in ("pump_swap", "pump_fun") and all(swap.told for swap in swaps):
        return _pump(swaps, path.fronts, path.wanted)
    quotes = _quotes(swaps)
    return None if quotes is None else _product(swaps, after, path.fronts, path.wanted, quotes)


# -- fee on the input -----------------------------------------------------------------------------


def _fee_on_input(fee: int, up: bool) -> Quote:
    def quote(reserve_in: int, reserve_out: int, amount_in: int) -> int:
        charged = -(-amount_in * fee // _MILLION) if up else amount_in * fee // _MILLION
        net = amount_in - charged
        return reserve_out * net // (reserve_in + net)

    return quote


def _quotes(path: Sequence[Swap]) -> tuple[Quote, Quote, Exactness] | None:
    """How the pool quotes in the direction of the front and against it; None where the swaps are
    not those of a constant product."""
    quotes: list[Quote] = []
    exactness = Exactness.exact
    for forward in (True, False):
        sample = [swap for swap in path if swap.forward == forward]
        fees = [_implied_fee(swap) for swap in sample]
        if fees and not -0.0001 < min(fees) <= max(fees) < min(0.2, min(fees) + 0.0005):
            return None
        if not sample:
            quotes.append(_fee_on_input(0, up=True))
            continue
        middle = sum(fees) / len(fees)
        near = sorted(FEES, key=lambda fee: abs(fee / _MILLION - middle))[:2]
        rate = sample[0].rates[0]
        choices = [rate // 1000, *near] if rate is not None else near
        exact = [
            quote
            for fee in choices
            for up in (True, False)
            if all(_gives(quote := _fee_on_input(fee, up), swap) for swap in sample)
        ]
        if not exact:
            exactness = Exactness.approximate
            exact = [_fee_on_input(max(0, round(middle * _MILLION)), up=True)]
        quotes.append(exact[0])
    return quotes[0], quotes[1], exactness


def _implied_fee(swap: Swap) -> float:
    """The share of the input that a constant product did not need; 2 for what is none."""
    left = swap.reserve_out - swap.amount_out
    if left <= 0 or swap.net_in <= 0:
        return 2.0
    return 1 - swap.reserve_in * swap.amount_out / left / swap.net_in


def _gives(quote: Quote, swap: Swap) -> bool:
    return quote(swap.reserve_in, swap.reserve_out, swap.net_in) == swap.amount_out


def _product(
    path: Sequence[Swap],
    after: Sequence[Swap],
    fronts: set[int],
    wanted: set[int],
    quotes: tuple[Quote, Quote, Exactness],
) -> Expected:
    forward, backward, exactness = quotes
    reserve_in, reserve_out = path[0].reserve_in, path[0].reserve_out
    expected: Expected = []
    for i, swap in enumerate(path):
        if swap.number in fronts:
            continue
        following = path[i + 1] if i + 1 < len(path) else after[0] if after else None
        if swap.forward:
            out = forward(reserve_in, reserve_out, swap.net_in)
            if swap.number in wanted:
                expected.append((max(0, swap.received(out)), exactness))
            reserve_in, reserve_out = reserve_in + _kept(swap, following), reserve_out - out
        else:
            out = backward(reserve_out, reserve_in, swap.net_in)
            reserve_in, reserve_out = reserve_in - out, reserve_out + _kept(swap, following)
    return expected


def _kept(swap: Swap, following: Swap | None) -> int:
    """What the reserve grew by: all that came in, less what of the fee is owed to somebody, which
    depends on the amount alone. The next swap shows it."""
    if following is None or not (swap.told and following.told):
        return swap.net_in
    same = following.forward == swap.forward
    return (following.reserve_in if same else following.reserve_out) - swap.reserve_in


# -- Pump -----------------------------------------------------------------------------------------


def _pump(path: Sequence[Swap], fronts: set[int], wanted: set[int]) -> Expected | None:
    """Base and quote as the programs see them; a swap with side 1 buys base."""
    first = path[0]
    base, quote = first.reserve_in, first.reserve_out
    if first.side == 1:
        base, quote = quote, base
    expected: Expected = []
    exactness = Exactness.exact
    try:
        for swap in path:
            if not _pump_gives(swap):
                exactness = Exactness.approximate
            if swap.number in fronts:
                continue
            if swap.side == 1:
                budgets = _budgets(swap)
                bought = _buy_for(swap, base, quote, budgets[0])
                if swap.mode == EXACT_OUT:
                    taken = _buy(swap, base, quote, swap.amount_out)
                else:
                    taken = bought
                    if any(_buy_for(swap, base, quote, b).base != bought.base for b in budgets):
                        exactness = max(exactness, Exactness.in_range)
                received, base, quote = bought.base, base - taken.base, quote + taken.vault
            else:
                sold = _sell(swap, base, quote)
                received, base, quote = sold.trader, base + sold.base, quote - sold.vault
            if swap.number in wanted:
                expected.append((received, exactness))
    except ValueError:
        return None
    return [(amount, exactness) for amount, _ in expected]


def _pump_gives(swap: Swap) -> bool:
    """Whether the swap is what the program gives where its event says that it was."""
    if swap.side == 1:
        bought = _buy(swap, swap.reserve_out, swap.reserve_in, swap.amount_out)
        return bought.trader == swap.trader_in
    return _sell(swap, swap.reserve_in, swap.reserve_out).trader == swap.trader_out


def _budgets(swap: Swap) -> list[int]:
    """What a purchase spent, as an exact amount to buy for. What rounding leaves of it is not paid,
    and only what was paid is told: several may be possible. Of a purchase of exact tokens, the one
    that puts as much into the curve."""
    base, quote = swap.reserve_out, swap.reserve_in
    exact = _buy(swap, base, quote, swap.amount_out)
    found: list[int] = []
    for budget in range(swap.trader_in, swap.trader_in + _ROUNDED):
        bought = _buy_for(swap, base, quote, budget)
        if swap.mode == EXACT_OUT:
            if bought.quote == exact.quote:
                return [budget]
        elif (bought.base, bought.trader) == (swap.amount_out, swap.trader_in):
            found.append(budget)
    return found or [swap.trader_in]


def _points(swap: Swap) -> tuple[int, int, int]:
    pool, protocol, creator = (0 if rate is None else rate // 100_000 for rate in swap.rates)
    return pool, protocol, creator


def _buy(swap: Swap, base: int, quote: int, amount: int) -> curves.PumpSwapped:
    pool, *others = _points(swap)
    if swap.venue == "pump_fun":
        return curves.pump_fun_buy(base, quote, amount, (others[0], others[1]))
    return curves.pump_swap_buy(base, quote, amount, (pool, others[0], others[1]))


def _buy_for(swap: Swap, base: int, quote: int, budget: int) -> curves.PumpSwapped:
    pool, *others = _points(swap)
    if swap.venue == "pump_fun":
        return curves.pump_fun_buy_for(base, quote, budget, (others[0], others[1]))
    return curves.pump_swap_buy_for(base, quote, budget, (pool, others[0], others[1]))


def _sell(swap: Swap, base: int, quote: int) -> curves.PumpSwapped:
    pool, *others = _points(swap)
    if swap.venue == "pump_fun":
        return curves.pump_fun_sell(base, quote, swap.net_in, (others[0], others[1]))
    return curves.pump_swap_sell(base, quote, swap.net_in, (pool, others[0], others[1]))
