"""Parts a ParsedBatch among the market partitions: rows of one columnar message into several.

What a column is (its width, its table, what its values refer to) comes from the `Layout` of the
message, so that a new column needs nothing here. Only the columns that decide where a row goes,
and those that are made here, are known by name.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from mevstream.cext.columnar cimport (
    MAX_COLUMNS,
    MAX_NUMBER,
    Found,
    Layout,
    check_size,
    gather,
    malformed,
)
from mevstream.cext.fields cimport DELIMITED, VARINT, Field, next_field, put_varint, varint_size
from mevstream.cext.references cimport (
    N_TABLES,
    TO_KEYS,
    TO_TRANSACTIONS,
    TRANSACTIONS_TABLE,
    References,
    reference,
)
from mevstream.cext.wire cimport mv_equal32, mv_u32, mv_u64

cdef enum:
    MAX_PARTITIONS = 1 << 20

cdef uint32_t NONE = 0xFFFFFFFF
# What stands in place of a partition number.
cdef uint32_t UNSET = 0xFFFFFFFF
cdef uint32_t HUB = 0xFFFFFFFE
cdef uint32_t NO_MARKET = 0xFFFFFFFD
cdef uint32_t ALL = 0xFFFFFFFC
# What stands in place of a transaction's row in a part, before it is known: it is there with all of
# its rows, or with those that are everywhere alone.
cdef uint32_t WHOLE = 0xFFFFFFFB
cdef uint32_t PARTLY = 0xFFFFFFFA

# The rows of one table, and of one part of it.
cdef struct TablePlan:
    uint64_t n
    uint32_t* home
    uint32_t* first       # the partitions a row goes to, or ALL; not of transactions
    uint32_t* second
    uint32_t* rows        # of the part, in the whole
    uint64_t part_n
    bint replicas         # whether there are copies in the part

# The plan for one message. The arrays lie in one allocation, which `place` is the start of.
cdef struct Plan:
    uint32_t partitions
    uint32_t seq
    uint64_t n_keys
    uint64_t n_names
    uint64_t n_links
    uint32_t* link_rows   # all of them, in order
    const uint8_t* keys
    uint32_t* place       # of a key: its partition, HUB, or UNSET as long as nobody asked
    TablePlan tables[N_TABLES]
    # Of one part: its keys in the whole, and where a row or key of the whole is in it.
    uint32_t* key_rows
    uint32_t* new_tx
    uint32_t* new_key
    uint64_t part_keys
    uint8_t* head         # the envelope, without partition and partitions
    uint64_t head_size


cdef inline uint64_t mix(uint64_t x) noexcept nogil:
    """One step of splitmix64."""
    x += <uint64_t>0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline uint32_t key_partition(const uint8_t* key, uint32_t partitions) noexcept nogil:
    cdef uint64_t hash = mix(mv_u64(key))
    hash = mix(hash ^ mv_u64(key + 8))
    hash = mix(hash ^ mv_u64(key + 16))
    hash = mix(hash ^ mv_u64(key + 24))
    return <uint32_t>(hash % partitions)


cdef int check_partitions(object partitions) except -1:
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise ValueError(f"{partitions} partitions, not 1 … {MAX_PARTITIONS}")
    return 0


def partition_of(const uint8_t[::1] key not None, partitions):
    """The market partition of a mint or pool, given as its 32 bytes.

    The four little-endian 64-bit words of the key are folded by hash = mix(hash ^ word) from
    hash = 0, where mix is one step of splitmix64; the partition is hash modulo `partitions`.
    Raises ValueError for a key of another size and fewer than one partition.
    """
    check_partitions(partitions)
    if key.shape[0] != 32:
        raise ValueError(f"a key of {key.shape[0]} bytes, not 32")
    return key_partition(&key[0], partitions)


# What tells the market of a row, for the tables after that of transactions: its mints, and what
# stands for it where they are hubs.
MARKETS = (
    ("swap_mint_in", "swap_mint_out", "swap_pool"),
    ("liquidity_mint_a", "liquidity_mint_b", "liquidity_pool"),
    ("liquidation_repay_mint", "liquidation_collateral_mint", "liquidation_account"),
)


cdef class Splitter:
    """Parts messages of one layout.

    `envelope` has the numbers of the fields that are no columns, by name; `key_columns` and
    `name_columns` name the columns that refer to `keys` and `names`; `hubs` are mints of 32 bytes.
    It keeps nothing from one message to the next: threads may share it.
    """

    cdef Layout layout
    cdef References references
    cdef uint8_t known[MAX_NUMBER]  # fields of the envelope that every part has
    cdef int keys, malformed, links
    # Of each table but that of transactions: the two mints and the pool that tell its market.
    cdef int mints[N_TABLES][2]
    cdef int pool[N_TABLES]
    cdef uint32_t seq, names, partition, partitions
    cdef bytes hubs                 # one after the other
    cdef const uint8_t* first_hub
    cdef Py_ssize_t n_hubs

    def __cinit__(self, Layout layout not None, envelope, key_columns, name_columns, hubs):
        cdef dict index = layout.index
        self.layout = layout
        self.references = References(layout, envelope, key_columns, name_columns)
        memset(self.known, 0, sizeof(self.known))
        for number in envelope.values():
            if not 0 < number < MAX_NUMBER:
                raise ValueError(f"a field number outside 1 … {MAX_NUMBER - 1}")
            self.known[<uint32_t>number] = 1
        self.seq, self.names = envelope["seq"], envelope["names"]
        self.partition, self.partitions = envelope["partition"], envelope["partitions"]
        self.known[self.partition] = self.known[self.partitions] = 0
        self.keys, self.malformed = index["keys"], index["malformed"]
        self.links = index["link_index"]
        for t, (mint, other, pool) in enumerate(MARKETS, 1):
            self.mints[t][0], self.mints[t][1] = index[mint], index[other]
            self.pool[t] = index[pool]
        hubs = list(hubs)
        if any(len(hub) != 32 for hub in hubs):
            raise ValueError("a hub mint that is not 32 bytes")
        self.hubs = b"".join(hubs)
        self.first_hub = <const uint8_t*>PyBytes_AS_STRING(self.hubs)
        self.n_hubs = len(hubs)

    def split(self, bytes data not None, partitions):
        """A message for each of `partitions`, in their order.

        Raises ValueError for what is no such message, a column whose rows or values point
        outside their table, and a message that is a part already.
        """
        cdef Found found[MAX_COLUMNS]
        cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef const uint8_t* end = begin + PyBytes_GET_SIZE(data)
        cdef Py_ssize_t rest_size
        cdef Plan plan
        cdef int i, bad
        cdef uint32_t part
        cdef uint64_t words = 0, link
        cdef uint32_t* next_free
        cdef bint replicas = False
        cdef list parts
        check_partitions(partitions)
        with nogil:
            rest_size = self.layout.find(begin, end, found, NULL)
        if rest_size < 0:
            raise malformed(-1 - rest_size)
        for i in range(self.layout.count):
            if found[i].runs > 1:
                return self.split(self.layout.in_one_run(data, found), partitions)
        self.layout.check_rows(found)
        memset(&plan, 0, sizeof(plan))
        plan.partitions = partitions
        plan.keys = found[self.keys].value
        plan.n_keys = self.layout.rows(found, self.keys)
        for i in range(N_TABLES):
            plan.tables[i].n = self.layout.rows(found, self.references.leaders[i])
            words += 4 * plan.tables[i].n
        plan.n_links = self.layout.rows(found, self.links)
        words += plan.n_links
        # At most as many words as the message has, a few times over.
        plan.place = <uint32_t*>malloc(4 * (words + 3 * plan.n_keys + 1) + rest_size)
        if plan.place == NULL:
            raise MemoryError
        try:
            plan.new_key = plan.place + plan.n_keys
            plan.key_rows = plan.new_key + plan.n_keys
            next_free = plan.key_rows + plan.n_keys
            for i in range(N_TABLES):
                plan.tables[i].home = next_free
                plan.tables[i].rows = plan.tables[i].home + plan.tables[i].n
                plan.tables[i].first = plan.tables[i].rows + plan.tables[i].n
                plan.tables[i].second = plan.tables[i].first + plan.tables[i].n
                next_free = plan.tables[i].second + plan.tables[i].n
                replicas |= found[self.references.replicas[i]].size != 0
            plan.new_tx = plan.tables[TRANSACTIONS_TABLE].first  # which they do not need
            plan.link_rows = next_free
            for link in range(plan.n_links):
                plan.link_rows[link] = <uint32_t>link
            next_free += plan.n_links
            plan.head = <uint8_t*>next_free
            with nogil:
                self.layout.find(begin, end, found, plan.head)
            if self.read_head(&plan, rest_size) or replicas:
                raise ValueError("is a part of a batch already")
            with nogil:
                bad = self.references.outside(found, plan.n_names)
            if bad >= 0:
                raise ValueError(f"{self.layout.names[bad]} points outside its table")
            if plan.partitions == 1:
                # Nothing moves: the two fields go behind the columns, which stay aligned.
                return [data + self.numbers(0, 1)]
            with nogil:
                self.assign(&plan, found)
            parts = []
            for part in range(plan.partitions):
                parts.append(self.part(&plan, found, part))
            return parts
        finally:
            free(plan.place)

    cdef bytes numbers(self, uint32_t part, uint32_t partitions):
        cdef uint8_t buffer[20]
        return PyBytes_FromStringAndSize(
            <const char*>buffer, self.put_numbers(buffer, part, partitions) - buffer
        )

    cdef uint8_t* put_numbers(self, uint8_t* p, uint32_t part, uint32_t partitions) noexcept nogil:
        """The fields partition and partitions; like all zeros the first of a 0 is left out."""
        if part:
            p = put_varint(put_varint(p, self.partition << 3 | VARINT), part)
        return put_varint(put_varint(p, self.partitions << 3 | VARINT), partitions)

    cdef bint read_head(self, Plan* plan, uint64_t size) noexcept nogil:
        """Notes what it needs of the fields that are no columns and keeps, in place, those that
        are known: of a column that only a newer version knows, the rows could not be parted.
        Returns whether they say that this is a part."""
        cdef const uint8_t* p = plan.head
        cdef const uint8_t* end = p + size
        cdef uint8_t* out = plan.head
        cdef uint64_t numbers = 0
        cdef Field field
        while p < end:
            p = next_field(p, end, &field)  # they were well formed before
            if field.wire == VARINT:
                if field.number == self.seq:
                    plan.seq = <uint32_t>field.varint
                elif field.number == self.partition or field.number == self.partitions:
                    numbers |= <uint32_t>field.varint
            elif field.wire == DELIMITED and field.number == self.names:
                plan.n_names += 1
            if field.number < MAX_NUMBER and self.known[field.number]:
                if out != field.start:
                    move(out, field.start, p - field.start)
                out += p - field.start
        plan.head_size = out - plan.head
        return numbers != 0

    # -- where each row goes ---------------------------------------------------------------------

    cdef uint32_t place_of(self, Plan* plan, uint32_t key) noexcept nogil:
        """The partition of a mint, HUB, or NO_MARKET where it is not known."""
        cdef const uint8_t* bytes_
        cdef uint32_t place
        cdef Py_ssize_t i
        if key == NONE:
            return NO_MARKET
        place = plan.place[key]
        if place == UNSET:
            bytes_ = plan.keys + 32 * <uint64_t>key
            place = key_partition(bytes_, plan.partitions)
            for i in range(self.n_hubs):
                if mv_equal32(self.first_hub + 32 * i, bytes_):
                    place = HUB
            plan.place[key] = place
        return place

    cdef void assign(self, Plan* plan, const Found* found) noexcept nogil:
        """Where each row goes. The home of a transaction is that of the first row of the first
        table that has one."""
        cdef TablePlan* transactions = &plan.tables[TRANSACTIONS_TABLE]
        cdef uint64_t row
        cdef uint32_t tx
        cdef int t
        memset(plan.place, 0xFF, 4 * plan.n_keys)
        memset(transactions.home, 0xFF, 4 * transactions.n)
        for t in range(1, N_TABLES):
            for row in range(plan.tables[t].n):
                self.assign_row(plan, found, t, row)
                tx = reference(&found[self.references.leaders[t]], row)
                if transactions.home[tx] == UNSET:
                    transactions.home[tx] = plan.tables[t].home[row]
        for row in range(transactions.n):
            if transactions.home[row] == UNSET:
                transactions.home[row] = plan.seq % plan.partitions

    cdef inline void assign_row(
        self, Plan* plan, const Found* found, int t, uint64_t row
    ) noexcept nogil:
        cdef uint32_t key_in = reference(&found[self.mints[t][0]], row)
        cdef uint32_t key_out = reference(&found[self.mints[t][1]], row)
        cdef uint32_t place_in = self.place_of(plan, key_in)
        cdef uint32_t place_out = self.place_of(plan, key_out)
        cdef uint32_t home, first, second, pool
        if place_in < plan.partitions and place_out < plan.partitions:
            first, second = place_in, place_out
            home = place_out
            if memcmp(
                plan.keys + 32 * <uint64_t>key_in, plan.keys + 32 * <uint64_t>key_out, 32
            ) < 0:
                home = place_in
        elif place_in < plan.partitions:
            first = second = home = place_in
        elif place_out < plan.partitions:
            first = second = home = place_out
        else:
            pool = reference(&found[self.pool[t]], row)
            home = plan.seq % plan.partitions
            if pool != NONE:
                home = key_partition(plan.keys + 32 * <uint64_t>pool, plan.partitions)
            # Every market's routes run through a pool of two hubs; through one of a mint
            # that is not known runs none.
            first = ALL if place_in == HUB and place_out == HUB else home
            second = home
        plan.tables[t].home[row] = home
        plan.tables[t].first[row] = first
        plan.tables[t].second[row] = second

    cdef void select(self, Plan* plan, const Found* found, uint32_t part) noexcept nogil:
        """Fills the plan's description of one part."""
        cdef TablePlan* table
        cdef TablePlan* transactions = &plan.tables[TRANSACTIONS_TABLE]
        cdef uint64_t row, n
        cdef uint32_t key, tx
        cdef const uint32_t* rows
        cdef int i, t
        plan.part_keys = 0
        memset(plan.new_tx, 0xFF, 4 * transactions.n)
        memset(plan.new_key, 0xFF, 4 * plan.n_keys)
        for t in range(1, N_TABLES):
            table = &plan.tables[t]
            for row in range(table.n):
                if table.first[row] != ALL and part in (table.first[row], table.second[row]):
                    plan.new_tx[reference(&found[self.references.leaders[t]], row)] = WHOLE
        for t in range(1, N_TABLES):
            table = &plan.tables[t]
            table.part_n = 0
            table.replicas = False
            for row in range(table.n):
                tx = reference(&found[self.references.leaders[t]], row)
                if plan.new_tx[tx] == WHOLE or table.first[row] == ALL:
                    table.rows[table.part_n] = row
                    table.part_n += 1
                    table.replicas |= table.home[row] != part
                    if plan.new_tx[tx] == UNSET:
                        plan.new_tx[tx] = PARTLY
        transactions.part_n = 0
        transactions.replicas = False
        for row in range(transactions.n):
            if transactions.home[row] == part or plan.new_tx[row] != UNSET:
                plan.new_tx[row] = transactions.part_n
                transactions.rows[transactions.part_n] = row
                transactions.part_n += 1
                transactions.replicas |= transactions.home[row] != part
        for i in range(self.layout.count):
            if self.references.kinds[i] != TO_KEYS or found[i].size == 0:
                continue
            rows, n = self.rows_of(plan, i)
            for row in range(n):
                key = reference(&found[i], rows[row])
                if key != NONE and plan.new_key[key] == UNSET:
                    plan.new_key[key] = plan.part_keys
                    plan.key_rows[plan.part_keys] = key
                    plan.part_keys += 1

    cdef inline (const uint32_t*, uint64_t) rows_of(self, const Plan* plan, int i) noexcept nogil:
        """The rows of a table's column that the part has, and their number. Links are of no market,
        and no rows of a transaction: who funded whom matters wherever one of them trades."""
        cdef int t = self.references.tables[i]
        if t < 0:
            return plan.link_rows, plan.n_links
        return plan.tables[t].rows, plan.tables[t].part_n

    cdef inline int replicas_of(self, int i) noexcept nogil:
        """The table whose copies column `i` marks, or -1."""
        cdef int t = self.references.tables[i]
        return t if t >= 0 and self.references.replicas[t] == i else -1

    # -- writing ---------------------------------------------------------------------------------

    cdef bytes part(self, Plan* plan, const Found* found, uint32_t part):
        cdef Found sizes[MAX_COLUMNS]
        cdef uint64_t head, total
        cdef uint8_t* out
        cdef bytes message
        with nogil:
            self.select(plan, found, part)
            self.measure(plan, found, part, sizes)
            head = plan.head_size + varint_size(self.partitions << 3) + varint_size(plan.partitions)
            if part:
                head += varint_size(self.partition << 3) + varint_size(part)
            total = self.layout.end_of_columns(head, sizes)
        check_size(total)
        message = PyBytes_FromStringAndSize(NULL, total)
        out = <uint8_t*>PyBytes_AS_STRING(message)
        with nogil:
            memcpy(out, plan.head, plan.head_size)
            self.put_numbers(out + plan.head_size, part, plan.partitions)
            self.put_columns(plan, found, part, sizes, out, head)
        return message

    cdef void measure(
        self, const Plan* plan, const Found* found, uint32_t part, Found* sizes
    ) noexcept nogil:
        """How many bytes each column of the part has."""
        cdef int i, t
        for i in range(self.layout.count):
            sizes[i].size = 0
            t = self.replicas_of(i)
            if i == self.keys:
                sizes[i].size = 32 * plan.part_keys
            elif t >= 0:
                sizes[i].size = 4 * plan.tables[t].part_n if plan.tables[t].replicas else 0
            elif found[i].size == 0:
                continue
            elif self.layout.specs[i].leader >= 0:
                sizes[i].size = self.rows_of(plan, i)[1] * self.layout.specs[i].width
            elif part == plan.seq % plan.partitions:
                # Columns of no table (malformed) are said once.
                sizes[i].size = found[i].size

    cdef void put_columns(
        self,
        const Plan* plan,
        const Found* found,
        uint32_t part,
        const Found* sizes,
        uint8_t* out,
        uint64_t at,
    ) noexcept nogil:
        cdef uint8_t* p = out + at
        cdef const uint32_t* rows
        cdef uint64_t n
        cdef int i, t
        for i in range(self.layout.count):
            if sizes[i].size == 0:
                continue
            t = self.replicas_of(i)
            p = self.layout.open_column(out, p, i, sizes[i].size)
            if i == self.keys:
                gather(p, plan.keys, plan.key_rows, plan.part_keys, 32)
            elif t >= 0:
                put_replicas(p, &plan.tables[t], part)
            elif self.layout.specs[i].leader < 0:
                memcpy(p, found[i].value, sizes[i].size)
            else:
                rows, n = self.rows_of(plan, i)
                if self.references.kinds[i] == TO_KEYS:
                    renumber(p, &found[i], rows, n, plan.new_key)
                elif self.references.kinds[i] == TO_TRANSACTIONS:
                    renumber(p, &found[i], rows, n, plan.new_tx)
                else:
                    gather(p, found[i].value, rows, n, self.layout.specs[i].width)
            p += sizes[i].size


cdef inline void move(uint8_t* out, const uint8_t* start, uint64_t n) noexcept nogil:
    """Copies towards the start of a buffer, onto itself."""
    cdef uint64_t i
    for i in range(n):
        out[i] = start[i]


cdef inline void renumber(
    uint8_t* out, const Found* column, const uint32_t* rows, uint64_t n, const uint32_t* new
) noexcept nogil:
    cdef uint64_t i
    cdef uint32_t value
    for i in range(n):
        value = mv_u32(column.value + 4 * <uint64_t>rows[i])
        if value != NONE:
            value = new[value]
        memcpy(out + 4 * i, &value, 4)


cdef inline void put_replicas(uint8_t* out, const TablePlan* table, uint32_t part) noexcept nogil:
    cdef uint64_t i
    cdef uint32_t value
    for i in range(table.part_n):
        value = table.home[table.rows[i]] != part
        memcpy(out + 4 * i, &value, 4)
