from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

class Markets:
    hubs: list[bytes]
    def __init__(self, hubs: Iterable[bytes]) -> None: ...
    def run(
        self,
        keys: NDArray[np.uint8],
        fees: NDArray[np.uint32],
        first: NDArray[np.uint64],
        pools: NDArray[np.uint32],
        reserves: NDArray[np.uint64],
        nanoseconds: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]: ...
