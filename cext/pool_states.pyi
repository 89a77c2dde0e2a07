from typing import Any

from numpy.typing import NDArray

from mevstream.cext.cycles import CycleGraph
from mevstream.codecs.parsed import ParsedView

MODELS: tuple[str, ...]
CHECK_COLUMNS: tuple[tuple[str, ...], tuple[str, ...]]
STATE_COLUMNS: tuple[tuple[str, ...], tuple[str, ...]]

Columns = dict[str, NDArray[Any]]

class PoolStates:
    graph: CycleGraph
    def __init__(self, capacity: int) -> None: ...
    def __len__(self) -> int: ...
    def apply(self, view: ParsedView, models: NDArray[Any]) -> Columns: ...
    def number(self, pool: bytes, mint_0: bytes, mint_1: bytes) -> int | None: ...
    def dump(self) -> tuple[NDArray[Any], Columns]: ...
    def load(self, keys: NDArray[Any], columns: Columns) -> None: ...
