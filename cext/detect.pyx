"""Where in the swaps of a leader group opportunities may be: cycles within a transaction, and pools
in which somebody went in and out around somebody else.

`Window` keeps the legs of the group's slots as C structs, chained by pool. It only points at what
is worth a look, in time linear in the legs (quadratic in those of one pool, of which the newest
POOL_LEGS count); what it is, is decided in topologies/opportunities/observed.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from mevstream.cext.arrays cimport at32, at64, memory
from mevstream.cext.columns cimport (
    Columns,
    columns_free,
    columns_init,
    key_index,
    transaction_room,
)
from mevstream.cext.wallets cimport Wallets

cdef extern from *:
    ctypedef signed long long int128 "__int128"

cdef enum:
    NONE = 0xFFFFFFFF
    # schemas/parsed.proto
    SUCCESS = 1
    RESERVES_TOLD = 16
    CYCLE_LEGS = 64      # of one transaction; more are no cycle that anybody trades
    POOL_LEGS = 1024
    LEAST_AMOUNT = 1000  # smaller amounts are equal by chance
    LOOK_BACK = 32       # legs in which to look for two that were sold together

cdef struct Leg:
    uint64_t slot
    uint64_t trader_in
    uint64_t trader_out
    uint32_t tx_index
    uint32_t batch       # which of the group's batches, and the row in it
    uint32_t row
    uint32_t tx
    # Window keys
    uint32_t pool
    uint32_t mint_in
    uint32_t mint_out
    uint32_t trader
    uint32_t payer
    uint32_t before      # the leg before in this pool; NONE
    bint routed

# The columns of a batch that are read.
cdef struct Batch:
    Py_ssize_t n_swaps
    uint32_t n_tx
    uint32_t n_keys
    const uint8_t* keys
    const uint8_t* tx
    const uint8_t* pool
    const uint8_t* mint_in
    const uint8_t* mint_out
    const uint8_t* trader
    const uint8_t* router
    const uint8_t* trader_in
    const uint8_t* trader_out
    const uint8_t* tx_index
    const uint8_t* tx_payer
    const uint8_t* tx_flags
    const uint8_t* tx_swaps
    Py_ssize_t n_links
    const uint8_t* link_kind
    const uint8_t* link_from
    const uint8_t* link_to

cdef struct Cycle:
    uint32_t tx
    uint32_t first       # row of its first leg
    uint32_t n
    uint32_t mint        # key of the batch
    int64_t gain
    bint even            # no other mint is left over


cdef int read_batch(view, Batch* b) except -1:
    """Raises ValueError for columns that point outside their tables, or legs out of order."""
    cdef Py_ssize_t n = view.n_swaps, i
    cdef uint32_t tx, before = 0
    cdef bint bad = False
    b.n_swaps, b.n_tx, b.n_keys = n, view.n_tx, len(view.keys)
    b.keys = memory(view.keys, 32 * <Py_ssize_t>b.n_keys)
    b.tx = memory(view.swap_tx, 4 * <Py_ssize_t>n)
    b.pool = memory(view.swap_pool, 4 * <Py_ssize_t>n)
    b.mint_in = memory(view.swap_mint_in, 4 * <Py_ssize_t>n)
    b.mint_out = memory(view.swap_mint_out, 4 * <Py_ssize_t>n)
    b.trader = memory(view.swap_trader, 4 * <Py_ssize_t>n)
    b.router = memory(view.swap_router, 4 * <Py_ssize_t>n)
    b.trader_in = memory(view.swap_trader_in, 8 * <Py_ssize_t>n)
    b.trader_out = memory(view.swap_trader_out, 8 * <Py_ssize_t>n)
    b.tx_index = memory(view.tx_index, 4 * <Py_ssize_t>b.n_tx)
    b.tx_payer = memory(view.tx_payer, 4 * <Py_ssize_t>b.n_tx)
    b.tx_flags = memory(view.tx_flags, 4 * <Py_ssize_t>b.n_tx)
    b.tx_swaps = memory(view.tx_swaps, 4 * <Py_ssize_t>b.n_tx)
    b.n_links = view.n_links
    b.link_kind = memory(view.link_kind, 4 * b.n_links)
    b.link_from = memory(view.link_from, 4 * b.n_links)
    b.link_to = memory(view.link_to, 4 * b.n_links)
    for i in range(n):
        tx = at32(b.tx, i)
        if tx >= b.n_tx or tx < before:
            raise ValueError(f"swap_tx points outside {b.n_tx} transactions, or back")
        before = tx
        # NONE + 1 is 0.
        bad |= at32(b.pool, i) + 1 > b.n_keys
        bad |= at32(b.mint_in, i) + 1 > b.n_keys
        bad |= at32(b.mint_out, i) + 1 > b.n_keys
        bad |= at32(b.trader, i) + 1 > b.n_keys
        bad |= at32(b.tx_payer, tx) + 1 > b.n_keys
    for i in range(b.n_links):
        bad |= at32(b.link_from, i) + 1 > b.n_keys
        bad |= at32(b.link_to, i) + 1 > b.n_keys
    if bad:
        raise ValueError(f"a key column points outside {b.n_keys} keys")
    return 0


cdef bint is_cycle(const Batch* b, uint32_t first, uint32_t n, Cycle* cycle) noexcept nogil:
    """Whether the legs first … first + n - 1, all of one transaction, give back at least what they
    took of every mint, more of one, and are on two pools or more."""
    cdef uint32_t mints[2 * CYCLE_LEGS]
    cdef int128 nets[2 * CYCLE_LEGS]
    cdef uint32_t n_mints = 0, i, k, side, mint, pool = at32(b.pool, first)
    cdef bint pools = False
    cdef int128 change
    if n < 2 or n > CYCLE_LEGS:
        return False
    for i in range(first, first + n):
        # A pool that is not known is another one each time.
        pools |= i > first and (at32(b.pool, i) != pool or pool == NONE)
        for side in range(2):
            mint = at32(b.mint_out if side else b.mint_in, i)
            if mint == NONE:
                return False
            if side:
                change = at64(b.trader_out, i)
            else:
                change = -<int128>at64(b.trader_in, i)
            for k in range(n_mints):
                if mints[k] == mint:
                    nets[k] += change
                    break
            else:
                mints[n_mints] = mint
                nets[n_mints] = change
                n_mints += 1
    if not pools:
        return False
    cycle.mint = NONE
    cycle.even = True
    for k in range(n_mints):
        if nets[k] < 0:
            return False
        if nets[k] > 0:
            # The mint that it began with comes first.
            if cycle.mint == NONE:
                if nets[k] > INT64_MAX:
                    return False
                cycle.mint, cycle.gain = mints[k], <int64_t>nets[k]
            else:
                cycle.even = False
    cycle.first, cycle.n = first, n
    return cycle.mint != NONE


cdef class Window:
    """The legs of the slots of a leader group, in order; see `take` and `suspects`. `wallets` tells
    whose the wallets are, as `suspects` saw them last."""

    cdef Leg* legs
    cdef uint32_t n_legs, room
    cdef uint32_t n_batches
    cdef uint32_t* newest      # by key: the newest leg of that pool
    cdef uint32_t newest_room
    cdef uint32_t* ids         # of the keys of the batch at hand; NONE as long as nobody asked
    cdef uint32_t ids_room
    cdef Columns columns
    cdef readonly Wallets wallets

    def __cinit__(self):
        if not columns_init(&self.columns):
            raise MemoryError
        self.wallets = Wallets()
        self.clear()

    def __dealloc__(self):
        free(self.legs)
        free(self.newest)
        free(self.ids)
        columns_free(&self.columns)

    def __len__(self):
        """How many legs there are."""
        return self.n_legs

    def clear(self):
        """Forgets all there is."""
        if not transaction_room(&self.columns, 0):
            raise MemoryError
        self.n_legs = self.n_batches = 0
        self.wallets.clear()

    def key(self, uint32_t number):
        """The 32 bytes of a key that `legs` told."""
        if number >= self.columns.n_keys:
            raise IndexError(number)
        return (<char*>self.columns.keys)[32 * <size_t>number: 32 * <size_t>number + 32]

    def take(self, view, bint keep):
        """Looks at a batch, the next one in order. Returns the transactions whose legs are a cycle
        with a gain: (row of the transaction, row of its first leg, legs, row of the mint in
        `keys`, gain in its base units, whether all other mints come out even). With `keep` the
        batch's legs and links are added. Raises ValueError where it points outside its tables; then
        nothing has changed."""
        cdef Batch b
        cdef Cycle cycle
        cdef uint64_t slot = view.slot
        cdef Py_ssize_t i = 0, first
        cdef uint32_t tx, told
        cdef list found = []
        cdef bint ok = True
        if view.n_swaps == 0 and view.n_links == 0:
            self.n_batches += keep
            return found
        read_batch(view, &b)
        while i < b.n_swaps:
            first, tx = i, at32(b.tx, i)
            while i < b.n_swaps and at32(b.tx, i) == tx:
                i += 1
            # A part of a batch may have only some of the legs. 0: nobody told how many there are.
            told = at32(b.tx_swaps, tx)
            if i - first < 2 or not at32(b.tx_flags, tx) & SUCCESS or (told and told != i - first):
                continue
            if is_cycle(&b, first, i - first, &cycle):
                found.append((tx, first, i - first, cycle.mint, cycle.gain, bool(cycle.even)))
        if keep:
            with nogil:
                ok = self.append(&b, slot)
            self.n_batches += 1
        if not ok or self.columns.failed:
            raise MemoryError
        return found

    cdef bint append(self, const Batch* b, uint64_t slot) noexcept nogil:
        """0 without memory."""
        cdef Py_ssize_t i
        cdef uint32_t tx, room
        cdef Leg* leg
        cdef void* grown
        if self.n_legs + b.n_swaps > self.room:
            room = 2 * self.room + <uint32_t>b.n_swaps + 64
            grown = realloc(self.legs, room * sizeof(Leg))
            if grown == NULL:
                return False
            self.legs, self.room = <Leg*>grown, room
        if b.n_keys + 1 > self.ids_room:
            grown = realloc(self.ids, 4 * (<size_t>b.n_keys + 1))
            if grown == NULL:
                return False
            self.ids, self.ids_room = <uint32_t*>grown, b.n_keys + 1
        memset(self.ids, 0xFF, 4 * <size_t>b.n_keys)
        for i in range(b.n_links):
            if not self.wallets.add(
                self.id_of(b, at32(b.link_from, i)),
                self.id_of(b, at32(b.link_to, i)),
                at32(b.link_kind, i),
            ):
                return False
        for i in range(b.n_swaps):
            tx = at32(b.tx, i)
            if not at32(b.tx_flags, tx) & SUCCESS:
                continue
            leg = &self.legs[self.n_legs]
            leg.slot, leg.tx_index = slot, at32(b.tx_index, tx)
            leg.batch, leg.row, leg.tx = self.n_batches, <uint32_t>i, tx
            leg.trader_in, leg.trader_out = at64(b.trader_in, i), at64(b.trader_out, i)
            leg.pool = self.id_of(b, at32(b.pool, i))
            leg.mint_in = self.id_of(b, at32(b.mint_in, i))
            leg.mint_out = self.id_of(b, at32(b.mint_out, i))
            leg.trader = self.id_of(b, at32(b.trader, i))
            leg.payer = self.id_of(b, at32(b.tx_payer, tx))
            leg.routed = at32(b.router, i) != NONE
            leg.before = NONE
            if leg.pool != NONE:
                if leg.pool >= self.newest_room and not self.widen():
                    return False
                # Entries are as old as the group before; they are believed if that leg agrees.
                leg.before = self.newest[leg.pool]
                if leg.before >= self.n_legs or self.legs[leg.before].pool != leg.pool:
                    leg.before = NONE
                self.newest[leg.pool] = self.n_legs
            self.n_legs += 1
        return True

    cdef bint widen(self) noexcept nogil:
        cdef uint32_t room = self.columns.key_capacity
        cdef void* grown = realloc(self.newest, 4 * <size_t>room)
        if grown == NULL:
            return False
        self.newest = <uint32_t*>grown
        memset(self.newest + self.newest_room, 0xFF, 4 * <size_t>(room - self.newest_room))
        self.newest_room = room
        return True

    cdef inline uint32_t id_of(self, const Batch* b, uint32_t key) noexcept nogil:
        if key == NONE:
            return NONE
        if self.ids[key] == NONE:
            self.ids[key] = key_index(&self.columns, b.keys + 32 * <size_t>key)
        return self.ids[key]

    def before(self, uint32_t number, uint32_t most):
        """The legs of the same pool and slot before leg `number` and of other transactions, the
        newest first, at most so many; each as `leg_at` has it."""
        cdef uint32_t i = self.legs[number].before if number < self.n_legs else <uint32_t>NONE
        cdef list found = []
        while i != NONE and self.legs[i].slot == self.legs[number].slot and len(found) < most:
            if self.legs[i].tx_index != self.legs[number].tx_index:
                found.append(self.leg(i))
            i = self.legs[i].before
        return found

    def leg_at(self, uint32_t batch, uint32_t row):
        """A leg by its place: (number, slot, tx_index, batch, row, row of the transaction, pool,
        mint_in, mint_out, trader, payer, whether a router called, trader_in, trader_out), keys by
        their numbers here. Raises KeyError."""
        cdef uint32_t i = self.find(batch, row)
        if i == NONE:
            raise KeyError((batch, row))
        return self.leg(i)

    cdef uint32_t find(self, uint32_t batch, uint32_t row) noexcept nogil:
        """A leg by its place; NONE. They are in order."""
        cdef uint32_t low = 0, high = self.n_legs, middle
        while low < high:
            middle = low + (high - low) // 2
            if self.legs[middle].batch < batch or (
                self.legs[middle].batch == batch and self.legs[middle].row < row
            ):
                low = middle + 1
            else:
                high = middle
        if low < self.n_legs and self.legs[low].batch == batch and self.legs[low].row == row:
            return low
        return NONE

    # -- in and out -------------------------------------------------------------------------------

    def suspects(self, uint32_t since):
        """The pools where, from leg number `since` on, somebody reversed what the same wallet,
        another one of its owner, or wallets that got exactly those tokens, had done before, with
        somebody else's leg in the first direction between: for each of them all of its legs, in
        order (the newest POOL_LEGS), as `leg_at` has them."""
        cdef uint32_t i
        cdef list found = []
        cdef uint32_t* chain = <uint32_t*>malloc(4 * POOL_LEGS)
        cdef uint32_t n
        cdef bint ok
        if chain == NULL:
            raise MemoryError
        try:
            with nogil:
                ok = self.find_owners()
            if not ok:
                raise MemoryError
            for i in range(since, self.n_legs):
                # Each pool once: at its newest leg.
                if self.legs[i].pool == NONE or self.newest[self.legs[i].pool] != i:
                    continue
                with nogil:
                    n = self.collect(i, chain)
                    if n >= 3 and not self.has_in_and_out(chain, n, since):
                        n = 0
                if n >= 3:
                    found.append([self.leg(chain[n - 1 - k]) for k in range(n)])
        finally:
            free(chain)
        return found

    cdef uint32_t collect(self, uint32_t newest, uint32_t* out) noexcept nogil:
        cdef uint32_t n = 0
        while newest != NONE and n < POOL_LEGS:
            out[n] = newest
            n += 1
            newest = self.legs[newest].before
        return n

    cdef bint has_in_and_out(self, const uint32_t* chain, uint32_t n, uint32_t since) noexcept nogil:
        cdef uint32_t i, k, m, between, first
        cdef const Leg* back
        cdef const Leg* leg
        cdef const Leg* other
        for i in range(n):
            if chain[i] < since:
                break
            back = &self.legs[chain[i]]
            between = 0
            for k in range(i + 1, n):
                leg = &self.legs[chain[k]]
                if not reverses(leg, back):
                    continue
                if between and (linked(leg, back) or self.one_owner(leg, back)):
                    return True
                between += leg.payer != back.payer
            # What two of the newest legs brought is sold together.
            first = min(n, i + 1 + LOOK_BACK)
            for k in range(i + 1, first if between > 2 else i + 1):
                leg = &self.legs[chain[k]]
                if not reverses(leg, back) or leg.trader_out >= back.trader_in:
                    continue
                for m in range(k + 1, first):
                    other = &self.legs[chain[m]]
                    if reverses(other, back) and (
                        leg.trader_out == back.trader_in - other.trader_out
                    ) and back.trader_in >= LEAST_AMOUNT:
                        return True
        return False

    cdef bint find_owners(self) noexcept nogil:
        cdef uint32_t i
        if not self.wallets.begin(self.columns.n_keys):
            return False
        if self.wallets.n_keys:
            for i in range(self.n_legs):
                self.wallets.know(self.legs[i].payer)
                if not self.legs[i].routed:
                    self.wallets.know(self.legs[i].trader)
        return self.wallets.join()

    cdef bint one_owner(self, const Leg* front, const Leg* back) noexcept nogil:
        cdef uint32_t own, payer, trader = NONE
        if self.wallets.n_keys == 0:
            return False
        payer = self.wallets.root(back.payer)
        if not back.routed:
            trader = self.wallets.root(back.trader)
        own = self.wallets.root(front.payer)
        if own != NONE and (own == payer or own == trader):
            return True
        own = NONE if front.routed else self.wallets.root(front.trader)
        return own != NONE and (own == payer or own == trader)

    cdef tuple leg(self, uint32_t i):
        cdef const Leg* leg = &self.legs[i]
        return (
            i,
            leg.slot,
            leg.tx_index,
            leg.batch,
            leg.row,
            leg.tx,
            leg.pool,
            leg.mint_in,
            leg.mint_out,
            leg.trader,
            leg.payer,
            bool(leg.routed),
            leg.trader_in,
            leg.trader_out,
        )


cdef inline bint reverses(const Leg* leg, const Leg* back) noexcept nogil:
    return leg.mint_in == back.mint_out and leg.mint_out == back.mint_in


cdef inline bint linked(const Leg* front, const Leg* back) noexcept nogil:
    """Whether the two may be one actor's; whoever decides looks closer."""
    if front.payer == back.payer and front.payer != NONE:
        return True
    # A router's accounts are everybody's.
    if front.trader == back.trader and front.trader != NONE and not (front.routed or back.routed):
        return True
    return front.trader_out == back.trader_in and back.trader_in >= LEAST_AMOUNT
