from collections.abc import Sequence
from typing import NamedTuple

RAYDIUM_UNIT: int
CPMM_UNIT: int
RANGE_UNIT: int
METEORA_UNIT: int

class Swapped(NamedTuple):
    amount_in: int
    amount_out: int

class PumpSwapped(NamedTuple):
    base: int
    quote: int
    vault: int
    trader: int

class Stepped(NamedTuple):
    root: int
    net_in: int
    amount_out: int
    fee: int

class RangeSwapped(NamedTuple):
    amount_in: int
    amount_out: int
    fee: int
    root: int
    liquidity: int

def raydium_v4_out(
    reserve_in: int, reserve_out: int, amount_in: int, rate: int = 25, unit: int = 10_000
) -> int: ...
def raydium_v4_in(
    reserve_in: int, reserve_out: int, amount_out: int, rate: int = 25, unit: int = 10_000
) -> int: ...
def cpmm_out(
    reserve_in: int,
    reserve_out: int,
    amount_in: int,
    trade_rate: int,
    creator_rate: int = 0,
    creator_on_input: bool = True,
) -> int: ...
def cpmm_in(
    reserve_in: int,
    reserve_out: int,
    amount_out: int,
    trade_rate: int,
    creator_rate: int = 0,
    creator_on_input: bool = True,
) -> int: ...
def token_swap_out(
    reserve_in: int,
    reserve_out: int,
    amount_in: int,
    trade_rate: int,
    owner_rate: int,
    unit: int = 10_000,
) -> Swapped: ...
def pump_swap_sell(
    base_reserve: int, quote_reserve: int, base: int, fees: tuple[int, int, int]
) -> PumpSwapped: ...
def pump_swap_buy(
    base_reserve: int, quote_reserve: int, base: int, fees: tuple[int, int, int]
) -> PumpSwapped: ...
def pump_swap_buy_for(
    base_reserve: int, quote_reserve: int, spendable: int, fees: tuple[int, int, int]
) -> PumpSwapped: ...
def pump_fun_sell(
    tokens_reserve: int, quote_reserve: int, tokens: int, fees: tuple[int, int]
) -> PumpSwapped: ...
def pump_fun_buy(
    tokens_reserve: int, quote_reserve: int, tokens: int, fees: tuple[int, int]
) -> PumpSwapped: ...
def pump_fun_buy_for(
    tokens_reserve: int, quote_reserve: int, spendable: int, fees: tuple[int, int]
) -> PumpSwapped: ...
def range_swap_step(
    root: int,
    target: int,
    liquidity: int,
    amount: int,
    rate: int,
    *,
    zero_in: bool,
    exact_in: bool = True,
    fee_on_input: bool = True,
) -> Stepped: ...
def range_swap(
    root: int,
    liquidity: int,
    amount: int,
    rate: int,
    ticks: Sequence[tuple[int, int]],
    *,
    zero_in: bool,
    exact_in: bool = True,
) -> RangeSwapped: ...
def damm_v2_out(
    root: int,
    liquidity: int,
    amount_in: int,
    rate: int,
    *,
    a_in: bool,
    fee_on_input: bool,
    root_min: int = 0,
    root_max: int = ...,
) -> RangeSwapped: ...
def tick_root(tick: int, *, orca: bool) -> int: ...
def tick_at(root: int, *, orca: bool) -> int: ...
def bin_price(bin_id: int, bin_step: int) -> int: ...
def bin_swap_out(
    price: int, amount_in: int, rate: int, *, x_in: bool, fee_on_input: bool = True
) -> int: ...
def bin_swap_in(price: int, amount_out: int, rate: int, *, x_in: bool) -> int: ...
def dlmm_fee_rate(
    base_factor: int,
    bin_step: int,
    base_fee_power: int = 0,
    variable_fee_control: int = 0,
    volatility_accumulator: int = 0,
) -> int: ...
