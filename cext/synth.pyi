from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mevstream.cext.synth_ledger import Ledger
from mevstream.cext.synth_pools import Pools
from mevstream.cext.synth_templates import Templates
from mevstream.cext.synth_writer import Writer

class Synth(Writer):
    """One simulated chain; see synth.pyx."""

    def __init__(
        self,
        ledger: Ledger,
        pools: Pools,
        templates: Templates,
        users: NDArray[np.int32],
        validators: NDArray[np.int32],
        seed: int,
        *,
        user_lists: Sequence[Sequence[int]],
        choices: Sequence[Sequence[int]],
        menus: Sequence[Sequence[int]],
        vote_templates: Sequence[int],
    ) -> None: ...
    def set_statistics(
        self,
        kinds: Sequence[float],
        failures: Sequence[float],
        reversion: float,
        sizes: Sequence[int],
        tips: Sequence[int],
        prices: Sequence[int],
        whales: int,
    ) -> None: ...
    def block(
        self,
        header: bytes,
        n: int,
        n_votes: int,
        n_sandwiches: int,
        block_time: int,
        root: int,
        number: int = 0,
        agenda: Sequence[tuple[int, Callable[[], object]]] = (),
    ) -> tuple[bytes, NDArray[np.int64], NDArray[np.uint8], NDArray[Any], dict[str, int]]: ...
