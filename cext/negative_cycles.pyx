"""The slow check of the cycle search: Bellman-Ford on negative logarithms over the whole graph.

It knows no pool that moved and no limit of hops: if it finds nothing there is nothing, and what it
finds in four hops the other search must have found through each of the pools.
"""

from libc.math cimport log
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from mevstream.cext.pool_graph cimport NO_EDGE, Mint, PoolGraph

# Smaller gains in a logarithm of rates are the rounding of doubles.
cdef double LEAST = 1e-12

cdef struct Hop:
    uint32_t source
    uint32_t target
    uint32_t way
    double length    # negative logarithm of the marginal rate

cdef struct Work:
    Hop* hops
    uint32_t n_hops
    double* distance
    uint32_t* way_to     # by which way a mint was reached; NO_EDGE
    uint32_t* seen       # the walk that came by, in `closed`


cdef bint prepare(PoolGraph graph, Work* work) noexcept nogil:
    cdef uint32_t n = graph.n_mints, number, k
    cdef const Mint* mint
    cdef Hop* hop
    memset(work, 0, sizeof(Work))
    work.hops = <Hop*>malloc((2 * <size_t>graph.n_pools + 1) * sizeof(Hop))
    work.distance = <double*>malloc((<size_t>n + 1) * sizeof(double))
    work.way_to = <uint32_t*>malloc((<size_t>n + 1) * sizeof(uint32_t))
    work.seen = <uint32_t*>malloc((<size_t>n + 1) * sizeof(uint32_t))
    if work.hops == NULL or work.distance == NULL or work.way_to == NULL or work.seen == NULL:
        return False
    for number in range(n):
        work.distance[number] = 0.0   # as from a source that is next to every mint
        work.way_to[number] = NO_EDGE
        mint = &graph.mints[number]
        for k in range(mint.n):
            if mint.edges[k].rate > 0.0:
                hop = &work.hops[work.n_hops]
                hop.source = number
                hop.target = mint.edges[k].other
                hop.way = mint.edges[k].way
                hop.length = -log(mint.edges[k].rate)
                work.n_hops += 1
    return True


cdef void release(Work* work) noexcept nogil:
    free(work.hops)
    free(work.distance)
    free(work.way_to)
    free(work.seen)


cdef uint32_t closed(PoolGraph graph, Work* work) noexcept nogil:
    """A mint on a cycle of ways by which mints were reached (it gains), or NO_EDGE."""
    cdef uint32_t number, at
    memset(work.seen, 0, graph.n_mints * sizeof(uint32_t))
    for number in range(graph.n_mints):
        at = number
        while work.seen[at] == 0:
            work.seen[at] = number + 1
            if work.way_to[at] == NO_EDGE:
                break
            at = graph.mint_of[work.way_to[at]]
        if work.seen[at] == number + 1 and work.way_to[at] != NO_EDGE:
            return at
    return NO_EDGE


cdef uint32_t seek(PoolGraph graph, Work* work, uint32_t passes) noexcept nogil:
    cdef uint32_t i, k, mint
    cdef bint fell
    cdef const Hop* hop
    cdef double at
    for i in range(passes):
        fell = False
        for k in range(work.n_hops):
            hop = &work.hops[k]
            at = work.distance[hop.source] + hop.length
            if at < work.distance[hop.target] - LEAST:
                work.distance[hop.target] = at
                work.way_to[hop.target] = hop.way
                fell = True
        if not fell:
            return NO_EDGE
        mint = closed(graph, work)
        if mint != NO_EDGE:
            return mint
    return NO_EDGE


def negative_cycle(PoolGraph graph not None, passes=None):
    """(pools, mints) of a cycle whose marginal rates gain, of any length, or None.

    passes: how often all edges are looked at; without it until nothing changes or a cycle closes,
    which finds one wherever there is one. With a bound an answer of None proves nothing.
    """
    cdef Work work
    cdef uint32_t rounds = NO_EDGE if passes is None else passes, mint = NO_EDGE
    cdef bint ready
    cdef list ways = []
    try:
        with nogil:
            ready = prepare(graph, &work)
            if ready:
                mint = seek(graph, &work, rounds)
        if not ready:
            raise MemoryError
        if mint == NO_EDGE:
            return None
        start = mint
        while not ways or mint != start:
            ways.append(work.way_to[mint])
            mint = graph.mint_of[work.way_to[mint]]
        ways.reverse()
        return tuple([way >> 1 for way in ways]), tuple([graph.mint_of[<uint32_t>way] for way in ways])
    finally:
        release(&work)
