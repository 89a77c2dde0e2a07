from typing import Any, NamedTuple

from numpy.typing import NDArray

from mevstream.cext.pool_graph import PoolGraph

class Cycle(NamedTuple):
    pools: tuple[int, ...]
    mints: tuple[int, ...]
    amount_in: float
    profit: float
    worth: float

class CycleGraph(PoolGraph):
    def search(self, pool: int, max_hops: int = 4, top: int = 1) -> list[Cycle]: ...
    def quote(self, cycle: Cycle, amount: int) -> int | None: ...
    def optimum(self, cycle: Cycle) -> tuple[int, int]: ...
    def run(
        self,
        pools: NDArray[Any],
        reserves: NDArray[Any],
        max_hops: int = 4,
        nanoseconds: NDArray[Any] | None = None,
    ) -> NDArray[Any]: ...
