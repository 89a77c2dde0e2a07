import numpy as np
from numpy.typing import NDArray

def block_entries(
    data: bytes, start: int, ends: NDArray[np.int64], votes: NDArray[np.uint8]
) -> bytes:
    """`transactions` fields (6) of SubscribeUpdateBlock, of a block that the simulator made."""
