from mevstream.cext.pool_graph import PoolGraph

def negative_cycle(
    graph: PoolGraph, passes: int | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]] | None: ...
