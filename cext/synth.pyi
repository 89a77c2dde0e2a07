from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEG_RECORD: np.dtype[np.void]

class Synth:
    """Pools, balances and the generator of one simulated chain; see synth.pyx."""

    def __init__(
        self,
        accounts: tuple[
            NDArray[np.uint8],
            NDArray[np.uint64],
            NDArray[np.uint64],
            NDArray[np.uint8],
            NDArray[np.uint8],
        ],
        token_texts: Sequence[tuple[bytes, bytes]],
        users: NDArray[np.int32],
        validators: NDArray[np.int32],
        user_lists: Sequence[Sequence[int]],
        build: Callable[[int], Any],
        seed: int,
    ) -> None: ...
    def set_pools(self, pools: Sequence[Any]) -> None: ...
    def set_choices(
        self,
        choices: Sequence[Sequence[int]],
        menus: Sequence[Sequence[int]],
        n_templates: int,
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
    def random_bytes(self, n: int) -> bytes: ...
    def random_below(self, n: int) -> int: ...
    def set_key(self, account: int, key: bytes) -> None: ...
    def credit(self, account: int, lamports: int) -> int: ...
    def balance(self, account: int) -> tuple[int, int, int]: ...
    def supply(self) -> int: ...
    def block(
        self,
        header: bytes,
        n: int,
        n_votes: int,
        n_sandwiches: int,
        block_time: int,
        root: int,
    ) -> tuple[bytes, NDArray[np.int64], NDArray[np.uint8], NDArray[Any], dict[str, int]]: ...
