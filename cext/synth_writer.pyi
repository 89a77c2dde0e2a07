import numpy as np
from numpy.typing import NDArray

from mevstream.cext.synth_ledger import Ledger
from mevstream.cext.synth_pools import Pools
from mevstream.cext.synth_templates import Templates

LEG_RECORD: np.dtype[np.void]

class Writer:
    """The transactions of the block that is being made; see synth_writer.pyx."""

    def __init__(
        self,
        ledger: Ledger,
        pools: Pools,
        templates: Templates,
        users: NDArray[np.int32],
        validators: NDArray[np.int32],
        seed: int,
    ) -> None: ...
    def random_bytes(self, n: int) -> bytes: ...
    def random_below(self, n: int) -> int: ...
