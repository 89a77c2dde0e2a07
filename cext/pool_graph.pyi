from collections.abc import Sequence

KINDS: dict[str, int]
EXACTNESS: dict[str, int]

class PoolGraph:
    def __init__(self, hub_degree: int = 32) -> None: ...
    def mint(self, value: float = 1.0) -> int: ...
    def pool(self, mint_0: int, mint_1: int) -> int: ...
    def remove(self, pool: int) -> None: ...
    def set_curve(
        self,
        pool: int,
        kind: str,
        *,
        rates: Sequence[int] = (),
        reserves: tuple[int, int] = (0, 0),
        root: int = 0,
        liquidity: int = 0,
        low: int = 0,
        high: int = 0,
        exactness: str = "exact",
    ) -> None: ...
