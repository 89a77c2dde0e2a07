"""Rows of many columnar messages, gathered into one array a column.

The messages are looked at once; then every column that is asked for is written in one pass over
all of them, whatever their number: nothing is made for a single message. What a column is comes
from the `Layout`, so that a new column needs nothing here, and what a table is from `References`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from mevstream.cext.columnar cimport MAX_COLUMNS, Found, Layout, gather, malformed
from mevstream.cext.fields cimport DELIMITED, Field, next_field
from mevstream.cext.references cimport (
    N_TABLES,
    TO_KEYS,
    TO_NAMES,
    TO_TRANSACTIONS,
    TRANSACTIONS_TABLE,
    References,
)
from mevstream.cext.wire cimport mv_u32, mv_u64

import numpy as np

from mevstream.cext.references import TABLES

cdef uint32_t NONE = 0xFFFFFFFF

# What is wrong with a message; an offset of malformed bytes is negative.
cdef enum Fault:
    FINE
    SEVERAL_RUNS
    ROWS_DIFFER
    OUTSIDE

cdef struct Part:
    const uint8_t* begin
    const uint8_t* end
    uint64_t n_rows[N_TABLES]
    uint64_t n_names


cdef uint64_t times(const uint8_t* p, const uint8_t* end, uint32_t number) noexcept nogil:
    """How often a message, well formed, has the delimited field `number`."""
    cdef uint64_t n = 0
    cdef Field field
    while p < end:
        p = next_field(p, end, &field)
        n += field.number == number and field.wire == DELIMITED
    return n


cdef class Reader:
    """Reads messages of one layout, one or many.

    `envelope` has the numbers of the fields that are no columns, by name; `key_columns` and
    `name_columns` name the columns that refer to `keys` and `names`. Threads may share it.
    """

    cdef Layout layout
    cdef References references
    cdef int malformed

    def __cinit__(self, Layout layout not None, envelope, key_columns, name_columns):
        self.layout = layout
        self.references = References(layout, envelope, key_columns, name_columns)
        self.malformed = layout.index["malformed"]

    def check(self, bytes data not None):
        """(rest, rows of each table, malformed): the message without its columns, which are
        checked, and how many rows they have. The tables are those of `TABLES`.

        Raises ValueError for what is no such message, where row counts differ, and for a column
        with a value outside the table that it refers to.
        """
        cdef Found found[MAX_COLUMNS]
        cdef Part part
        cdef Py_ssize_t size
        cdef bytes whole = self.checked(data, &part, found)
        with nogil:
            size = self.layout.find(part.begin, part.end, found, NULL)
        cdef bytes rest = PyBytes_FromStringAndSize(NULL, size)
        self.layout.find(part.begin, part.end, found, <uint8_t*>PyBytes_AS_STRING(rest))
        rows = tuple([part.n_rows[t] for t in range(N_TABLES)])
        return rest, rows, self.layout.rows(found, self.malformed)

    def open(self, messages):
        """The messages (bytes) as `Messages`, in their order. Raises as `check` does."""
        return Messages(self, messages)

    cdef bytes checked(self, bytes data, Part* part, Found* found):
        """Looks at one message, and puts its columns into one piece if they are not. Returns the
        bytes that `part` and `found` point into."""
        cdef Py_ssize_t fault
        cdef int i
        set_bytes(part, data)
        with nogil:
            fault = self.look(part, found)
        if fault == FINE:
            return data
        if fault == SEVERAL_RUNS:
            return self.checked(self.layout.in_one_run(data, found), part, found)
        if fault == ROWS_DIFFER:
            self.layout.check_rows(found)
        if fault < 0:
            raise malformed(-1 - fault)
        i = self.references.outside(found, part.n_names)
        size = self.references.table_size(found, i, part.n_names)
        kind = self.references.kinds[i]
        table = {TO_KEYS: "keys", TO_NAMES: "names", TO_TRANSACTIONS: "transactions"}[kind]
        raise ValueError(f"{self.layout.names[i]} points outside {size} {table}")

    cdef Py_ssize_t look(self, Part* part, Found* found) noexcept nogil:
        """Finds the columns of a message; returns its fault."""
        cdef int i
        cdef Py_ssize_t rest = self.layout.find(part.begin, part.end, found, NULL)
        if rest < 0:
            return rest
        for i in range(self.layout.count):
            if found[i].runs > 1:
                return SEVERAL_RUNS
        if self.layout.odd_rows(found) >= 0:
            return ROWS_DIFFER
        for i in range(N_TABLES):
            part.n_rows[i] = self.layout.rows(found, self.references.leaders[i])
        part.n_names = times(part.begin, part.end, self.references.names)
        return OUTSIDE if self.references.outside(found, part.n_names) >= 0 else FINE


cdef inline uint64_t number(
    const uint8_t* values, uint64_t row, uint32_t width, uint64_t missing
) noexcept nogil:
    if values == NULL:
        return missing
    return mv_u32(values + 4 * row) if width == 4 else mv_u64(values + 8 * row)


cdef inline bint at_home(const uint8_t* copies, uint64_t row) noexcept nogil:
    return copies == NULL or mv_u32(copies + 4 * row) == 0


cdef inline void set_bytes(Part* part, bytes data):
    part.begin = <const uint8_t*>PyBytes_AS_STRING(data)
    part.end = part.begin + PyBytes_GET_SIZE(data)


cdef class Messages:
    """Messages that were checked, with the place of every column of each.

    `n_rows` has an array of int64 for each table: the rows of each message.
    """

    cdef readonly dict n_rows
    cdef Reader reader
    cdef list data               # keeps the bytes
    cdef Py_ssize_t n
    cdef Part* parts
    cdef const uint8_t** values  # of each message a pointer a column, NULL where it is missing

    def __cinit__(self, Reader reader not None, messages):
        cdef Found found[MAX_COLUMNS]
        cdef Py_ssize_t m = 0
        cdef int count = reader.layout.count, t
        cdef int64_t[::1] rows
        self.reader = reader
        self.data = list(messages)
        self.n = len(self.data)
        self.parts = <Part*>calloc(self.n + 1, sizeof(Part))
        self.values = <const uint8_t**>calloc(self.n * count + 1, sizeof(uint8_t*))
        if self.parts == NULL or self.values == NULL:
            raise MemoryError
        for m in range(self.n):
            if type(self.data[m]) is not bytes:
                raise TypeError("a message that is not bytes")
            set_bytes(&self.parts[m], self.data[m])
        m = 0
        while m < self.n:
            with nogil:
                while m < self.n and reader.look(&self.parts[m], found) == FINE:
                    self.note(m, found)
                    m += 1
            if m < self.n:  # something is the matter with this one
                self.data[m] = reader.checked(self.data[m], &self.parts[m], found)
                self.note(m, found)
                m += 1
        self.n_rows = {}
        for t, table in enumerate(TABLES):
            self.n_rows[table] = np.empty(self.n, np.int64)
            rows = self.n_rows[table]
            for m in range(self.n):
                rows[m] = self.parts[m].n_rows[t]

    def __dealloc__(self):
        free(self.parts)
        free(self.values)

    cdef void note(self, Py_ssize_t m, const Found* found) noexcept nogil:
        cdef int i, count = self.reader.layout.count
        for i in range(count):
            self.values[m * count + i] = found[i].value if found[i].size else NULL

    def rows(self, kept=None, *, bint home=True):
        """A selection of the rows, as `Rows`: transactions that `kept` (a bool for each
        transaction of all messages) tells, else all, and their rows in the other tables; of them
        those at home, or with home=False the copies, too. Raises ValueError for a `kept` of another size."""
        return Rows(self, kept, home)


cdef class Rows:
    """Some rows of all tables, in the order of the messages.

    `n_rows` has an array of int64 for each table: how many rows are of each message.
    """

    cdef readonly dict n_rows
    cdef Messages messages
    cdef Layout layout
    cdef list arrays                # keeps what the pointers below point into
    # Of each table the rows within their messages, and for each the row of its transaction.
    cdef uint32_t* rows_of[N_TABLES]
    cdef uint32_t* txs_of[N_TABLES]
    cdef int64_t* counts_of[N_TABLES]
    cdef uint64_t totals[N_TABLES]

    def __cinit__(self, Messages messages not None, kept, bint home):
        cdef uint64_t n_tx = messages.n_rows["tx"].sum()
        cdef const uint8_t[::1] mask
        cdef const uint8_t* first = NULL
        cdef uint32_t[::1] rows
        cdef int64_t[::1] counts
        cdef int t
        self.messages, self.layout = messages, messages.reader.layout
        if kept is not None:
            if kept.shape != (n_tx,) or kept.dtype != bool:
                raise ValueError(f"{kept.dtype} of shape {kept.shape}, not {n_tx} bools")
            mask = np.ascontiguousarray(kept).view(np.uint8)
            first = &mask[0] if n_tx else NULL
        self.n_rows, self.arrays = {}, []
        for t, table in enumerate(TABLES):
            n = messages.n_rows[table].sum()
            rows = np.empty(n + 1, np.uint32)
            self.arrays.append(rows)
            self.rows_of[t] = self.txs_of[t] = &rows[0]
            if t != TRANSACTIONS_TABLE:
                rows = np.empty(n + 1, np.uint32)
                self.arrays.append(rows)
                self.txs_of[t] = &rows[0]
            counts = np.empty(messages.n + 1, np.int64)
            self.counts_of[t] = &counts[0]
            self.arrays.append(counts)
            self.n_rows[table] = np.asarray(counts)[:messages.n]
        cdef Reader reader = messages.reader
        cdef References references = reader.references
        with nogil:
            self.select(first, references.leaders, references.replicas if home else NULL)

    cdef void select(
        self, const uint8_t* kept, const int* leaders, const int* replicas
    ) noexcept nogil:
        """With `replicas` NULL the copies, too."""
        cdef Py_ssize_t m
        cdef uint64_t row, before, n
        cdef uint32_t tx
        cdef int t
        cdef const uint8_t* copies
        cdef const uint8_t* txs
        for t in range(N_TABLES):
            self.totals[t] = 0
        for m in range(self.messages.n):
            for t in range(N_TABLES):
                before = n = self.totals[t]
                copies = self.column_of(m, replicas[t]) if replicas != NULL else NULL
                txs = self.column_of(m, leaders[t]) if t != TRANSACTIONS_TABLE else NULL
                for row in range(self.messages.parts[m].n_rows[t]):
                    tx = mv_u32(txs + 4 * row) if txs != NULL else <uint32_t>row
                    if (kept == NULL or kept[tx]) and at_home(copies, row):
                        self.rows_of[t][n] = row
                        self.txs_of[t][n] = tx
                        n += 1
                self.totals[t] = n
                self.counts_of[t][m] = n - before
            if kept != NULL:
                kept += self.messages.parts[m].n_rows[TRANSACTIONS_TABLE]

    cdef inline const uint8_t* column_of(self, Py_ssize_t m, int i) noexcept nogil:
        """Where a message has a column; NULL where it is missing, and for column -1."""
        return self.messages.values[m * self.layout.count + i] if i >= 0 else NULL

    cdef int find(
        self, name, each, const uint32_t** rows, const int64_t** counts, uint64_t* total
    ) except -1:
        """A column and the rows of its table; with `each` a column of the transactions, and their
        rows for each row of that table."""
        if name not in self.layout.index:
            raise ValueError(f"there is no column {name!r}")
        cdef int i = self.layout.index[name]
        cdef int t = self.messages.reader.references.tables[i]
        if t < 0 or (each is not None and (t != TRANSACTIONS_TABLE or each not in TABLES)):
            raise ValueError(f"{name} has no such rows")
        rows[0] = self.rows_of[t]
        if each is not None:
            t = TABLES.index(each)
            rows[0] = self.txs_of[t]
        counts[0], total[0] = self.counts_of[t], self.totals[t]
        return i

    def column(self, name, *, each=None):
        """A column of the rows, with the dtype and the default that it has in one message; with
        `each`, the name of a table, a column of the transactions for each row of that table."""
        cdef const uint32_t* rows
        cdef const int64_t* counts
        cdef uint64_t total
        cdef int i = self.find(name, each, &rows, &counts, &total)
        cdef uint32_t width = self.layout.specs[i].width
        dtype = self.layout.dtypes[i]
        cdef bytes default = np.full(
            width // dtype.itemsize, self.layout.defaults[i], dtype
        ).tobytes()
        shape = total if self.layout.specs[i].element else (total, width // dtype.itemsize)
        out = np.empty(shape, dtype)
        if total == 0:
            return out
        cdef uint8_t[::1] data = out.reshape(-1).view(np.uint8)
        cdef uint8_t* p = &data[0]
        cdef const uint8_t* fill = <const uint8_t*>PyBytes_AS_STRING(default)
        cdef const uint8_t* values
        cdef Py_ssize_t m
        cdef int64_t row
        with nogil:
            for m in range(self.messages.n):
                values = self.column_of(m, i)
                if values != NULL:
                    gather(p, values, rows, counts[m], width)
                else:
                    for row in range(counts[m]):
                        memcpy(p + row * width, fill, width)
                p += counts[m] * width
                rows += counts[m]
        return out

    def keys(self, name, *, each=None):
        """A column that refers to `keys`: the keys themselves as items of 32 bytes (V32), zeros
        for none."""
        cdef const uint32_t* rows
        cdef const int64_t* counts
        cdef uint64_t total
        cdef int i = self.find(name, each, &rows, &counts, &total)
        cdef References references = self.messages.reader.references
        if references.kinds[i] != TO_KEYS:
            raise ValueError(f"{name} does not hold keys")
        out = np.empty((total, 32), np.uint8)
        if total == 0:
            return out.reshape(-1).view("V32")
        cdef uint8_t[:, ::1] data = out
        cdef uint8_t* p = &data[0, 0]
        cdef const uint8_t* values
        cdef const uint8_t* table
        cdef Py_ssize_t m
        cdef int64_t row
        cdef uint32_t key
        with nogil:
            for m in range(self.messages.n):
                values = self.column_of(m, i)
                table = self.column_of(m, references.keys)
                for row in range(counts[m]):
                    key = NONE if values == NULL else mv_u32(values + 4 * <uint64_t>rows[row])
                    if key == NONE:
                        memset(p, 0, 32)
                    else:
                        memcpy(p, table + 32 * <uint64_t>key, 32)
                    p += 32
                rows += counts[m]
        return out.reshape(-1).view("V32")

    def codes(self, name, const int32_t[::1] codes not None, int32_t none):
        """A column that refers to `names`, as int32: `codes` has a code for each name of all
        messages in their order, `none` is that of no name. Raises ValueError where there are not
        as many codes as names."""
        cdef const uint32_t* rows
        cdef const int64_t* counts
        cdef uint64_t total, n_names = 0
        cdef int i = self.find(name, None, &rows, &counts, &total)
        cdef Py_ssize_t m
        for m in range(self.messages.n):
            n_names += self.messages.parts[m].n_names
        if self.messages.reader.references.kinds[i] != TO_NAMES or n_names != codes.shape[0]:
            raise ValueError(f"{name} with {codes.shape[0]} codes: it refers to {n_names} names")
        out = np.empty(total, np.int32)
        if total == 0:
            return out
        cdef int32_t[::1] data = out
        cdef int32_t* p = &data[0]
        cdef const int32_t* code = &codes[0] if n_names else NULL
        cdef const uint8_t* values
        cdef int64_t row
        cdef uint32_t index
        with nogil:
            for m in range(self.messages.n):
                values = self.column_of(m, i)
                for row in range(counts[m]):
                    index = NONE if values == NULL else mv_u32(values + 4 * <uint64_t>rows[row])
                    p[row] = none if index == NONE else code[index]
                p += counts[m]
                rows += counts[m]
                if code != NULL:
                    code += self.messages.parts[m].n_names
        return out

    def count(self, name, uint64_t mask, value):
        """Of each message the rows whose `name`, a column of integers, has `value` in the bits of
        `mask`; `value` is one for all messages or an array of uint64 with one for each."""
        cdef const uint64_t[::1] wanted
        if isinstance(value, int):
            value = np.full(self.messages.n, value, np.uint64)
        wanted = value
        return self.sums(None, name, mask, wanted)

    def total(self, name, flags=None, uint64_t mask=0, uint64_t value=0):
        """Of each message the sum of `name`, a column of integers, modulo 2^64: over all rows, or
        over those whose `flags` has `value` in the bits of `mask`."""
        return self.sums(name, flags or name, mask, np.full(self.messages.n, value, np.uint64))

    cdef sums(self, name, flags, uint64_t mask, const uint64_t[::1] wanted):
        """Sums of `name`, or of ones, over the rows whose `flags` are wanted; uint64."""
        cdef const uint32_t* rows
        cdef const int64_t* counts
        cdef uint64_t total
        cdef int flag = self.integers(flags, &rows, &counts, &total)
        cdef int summed = -1 if name is None else self.integers(name, &rows, &counts, &total)
        cdef uint64_t no_flags = self.layout.defaults[flag]
        cdef uint64_t nothing = 1 if summed < 0 else self.layout.defaults[summed]
        cdef uint32_t flag_width = self.layout.specs[flag].width
        cdef uint32_t width = self.layout.specs[summed].width if summed >= 0 else 0
        cdef const uint8_t* flag_values
        cdef const uint8_t* values
        cdef uint64_t result
        cdef Py_ssize_t m
        cdef int64_t row
        if wanted.shape[0] != self.messages.n:
            raise ValueError(f"{wanted.shape[0]} values for {self.messages.n} messages")
        if summed >= 0 and self.layout.specs[summed].leader != self.layout.specs[flag].leader:
            raise ValueError(f"{name} and {flags} have different rows")
        sums = np.empty(self.messages.n, np.uint64)
        cdef uint64_t[::1] out = sums
        with nogil:
            for m in range(self.messages.n):
                flag_values = self.column_of(m, flag)
                values = self.column_of(m, summed)
                result = 0
                for row in range(counts[m]):
                    if number(flag_values, rows[row], flag_width, no_flags) & mask == wanted[m]:
                        result += number(values, rows[row], width, nothing)
                out[m] = result
                rows += counts[m]
        return sums

    cdef int integers(
        self, name, const uint32_t** rows, const int64_t** counts, uint64_t* total
    ) except -1:
        cdef int i = self.find(name, None, rows, counts, total)
        if not self.layout.specs[i].element or self.layout.dtypes[i].kind != "u":
            raise ValueError(f"{name} does not hold unsigned integers")
        return i
