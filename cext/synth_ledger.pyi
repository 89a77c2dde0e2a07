from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class Ledger:
    """Lamports, token amounts and withheld transfer fees; see synth_ledger.pyx."""

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
    ) -> None: ...
    def set_key(self, account: int, key: bytes) -> None: ...
    def credit(self, account: int, lamports: int) -> int: ...
    def balance(self, account: int) -> tuple[int, int, int]: ...
    def supply(self) -> int: ...
