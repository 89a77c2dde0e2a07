from typing import Any, NamedTuple

from numpy.typing import NDArray

from mevstream.cext.pool_states import Columns, PoolStates
from mevstream.codecs.parsed import ParsedView

QUOTED: tuple[str, ...]
CHECK_COLUMNS: tuple[tuple[str, ...], tuple[str, ...]]

class Hop(NamedTuple):
    pool: bytes
    venue: int
    mint_in: bytes
    mint_out: bytes
    decimals_in: int
    decimals_out: int
    amount_in: int
    amount_out: int

class Prediction(NamedTuple):
    row: int
    market: bytes
    hops: list[Hop]
    amount: int
    profit: int
    before: int | None
    value: float
    exactness: int

class Exposure(NamedTuple):
    row: int
    gain: int
    loss: int
    lamports: int
    exactness: int

class Predictor(PoolStates):
    def quoted(self) -> NDArray[Any]: ...
    def apply(
        self,
        view: ParsedView,
        models: NDArray[Any],
        venues: NDArray[Any],
        least: float = ...,
        least_exposure: float = ...,
    ) -> tuple[Columns, NDArray[Any], list[Prediction], list[Exposure]]: ...
