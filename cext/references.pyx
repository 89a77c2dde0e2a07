"""What the index columns of a message refer to: rows of `keys`, of `names`, or transactions."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from mevstream.cext.columnar cimport Found, Layout
from mevstream.cext.wire cimport mv_u32

TABLES = ("tx", "swap", "liquidity", "liquidation")


cdef class References:
    """`envelope` has the numbers of the fields that are no columns, by name; `key_columns` and
    `name_columns` name the columns that refer to `keys` and `names`."""

    def __cinit__(self, Layout layout not None, envelope, key_columns, name_columns):
        cdef dict index = layout.index
        self.layout = layout
        memset(self.kinds, NOTHING, sizeof(self.kinds))
        for name in key_columns:
            self.kinds[<int>index[name]] = TO_KEYS
        for name in name_columns:
            self.kinds[<int>index[name]] = TO_NAMES
        self.keys, self.names = index["keys"], envelope["names"]
        for t, table in enumerate(TABLES):
            self.leaders[t] = index["tx_index" if t == TRANSACTIONS_TABLE else f"{table}_tx"]
            self.replicas[t] = index[f"{table}_replica"]
            if t != TRANSACTIONS_TABLE:
                self.kinds[self.leaders[t]] = TO_TRANSACTIONS
        for i in range(layout.count):
            self.tables[i] = -1
            for t in range(N_TABLES):
                if layout.specs[i].leader == self.leaders[t]:
                    self.tables[i] = t
        for i in range(layout.count):
            if self.kinds[i] and layout.specs[i].element != 4:
                raise ValueError(f"{layout.names[i]} does not hold 32-bit indexes")

    cdef uint64_t table_size(self, const Found* found, int i, uint64_t n_names) noexcept nogil:
        """How many rows the table has that column `i` refers to."""
        if self.kinds[i] == TO_NAMES:
            return n_names
        return self.layout.rows(
            found, self.keys if self.kinds[i] == TO_KEYS else self.leaders[TRANSACTIONS_TABLE])

    cdef int outside(self, const Found* found, uint64_t n_names) noexcept nogil:
        """The first column with a value outside the table that it refers to, or -1. Keys and names
        may be none; a row of another table is of some transaction."""
        cdef int i
        cdef uint64_t row, size
        cdef uint32_t value, none, most
        cdef const uint8_t* values
        for i in range(self.layout.count):
            if self.kinds[i] == NOTHING or found[i].size == 0:
                continue
            none = 1  # NONE + 1 wraps to 0
            size = self.table_size(found, i, n_names)
            if self.kinds[i] == TO_TRANSACTIONS:
                if size == 0:
                    return i
                size -= 1
                none = 0
            values = found[i].value
            most = 0
            for row in range(found[i].size // 4):
                value = mv_u32(values + 4 * row) + none
                most = value if value > most else most
            if most > size:
                return i
        return -1
