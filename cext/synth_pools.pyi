from collections.abc import Sequence
from typing import Any

from mevstream.cext.synth_ledger import Ledger

class Pools:
    """The simulated pools; see synth_pools.pyx."""

    def __init__(self, pools: Sequence[Any], ledger: Ledger) -> None: ...
