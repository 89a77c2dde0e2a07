"""Rows of a batch as growing columns, its key table, and the message writer."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

# Columns of schemas/parsed.proto, each kind a run of consecutive field numbers.
cdef enum:
    T_COLUMNS_32 = 17
    T_FIELD_32 = 20
    T_COLUMNS_64 = 6
    T_FIELD_64 = 40
    S_COLUMNS_32 = 16
    S_FIELD_32 = 60
    S_COLUMNS_64 = 8
    S_FIELD_64 = 80
    L_COLUMNS_32 = 18      # liquidity
    L_FIELD_32 = 120
    L_COLUMNS_64 = 8
    L_FIELD_64 = 138
    Q_COLUMNS_32 = 17      # liquidations
    Q_FIELD_32 = 148
    Q_COLUMNS_64 = 3
    Q_FIELD_64 = 165
    C_COLUMNS_32 = 7       # what events tell of curves
    C_FIELD_32 = 100
    C_COLUMNS_64 = 9
    C_FIELD_64 = 107
    SIGNERS_LAMPORTS = 170 # of transactions
    SIGNERS_IN = 171       # of legs
    K_COLUMNS_32 = 4       # links
    K_FIELD_32 = 172
    MAX_NAMES = 1024

# Entries are valid in the generation (batch) that wrote them, so that a new batch need not clear.
cdef struct Slot:
    uint32_t generation
    uint32_t index

cdef struct Columns:
    uint32_t generation
    bint failed                # out of memory while adding rows
    bint signers_told          # for any transaction
    uint32_t n_transactions
    uint32_t n_swaps
    uint32_t n_liquidity
    uint32_t n_liquidations
    uint32_t n_links
    uint32_t n_malformed
    uint32_t transaction_capacity
    uint32_t swap_capacity
    uint32_t liquidity_capacity
    uint32_t liquidation_capacity
    uint32_t link_capacity
    uint32_t* tx32[T_COLUMNS_32]
    uint64_t* tx64[T_COLUMNS_64]
    uint8_t* signatures
    uint32_t* malformed
    uint32_t* positions
    uint32_t* swap32[S_COLUMNS_32]
    uint64_t* swap64[S_COLUMNS_64]
    uint32_t* liquidity32[L_COLUMNS_32]
    uint64_t* liquidity64[L_COLUMNS_64]
    uint32_t* liquidation32[Q_COLUMNS_32]
    uint64_t* liquidation64[Q_COLUMNS_64]
    uint32_t* link32[K_COLUMNS_32]
    uint32_t* curve32[C_COLUMNS_32]
    uint64_t* curve64[C_COLUMNS_64]
    uint64_t* signers_lamports
    uint64_t* signers_in
    uint8_t* keys
    uint32_t n_keys
    uint32_t key_capacity      # half the slots
    Slot* slots
    uint32_t names[MAX_NAMES]  # registry name of each name of the batch
    uint32_t n_names
    Slot name_slots[MAX_NAMES]

cdef struct Writer:
    uint8_t* base              # NULL: only count
    uint64_t at

cdef bint columns_init(Columns* c) noexcept nogil
cdef void columns_free(Columns* c) noexcept nogil
cdef bint transaction_room(Columns* c, uint32_t n) noexcept nogil
cdef bint swap_room(Columns* c, uint32_t more) noexcept nogil
cdef bint liquidity_room(Columns* c, uint32_t more) noexcept nogil
cdef bint liquidation_room(Columns* c, uint32_t more) noexcept nogil
cdef bint link_room(Columns* c, uint32_t more) noexcept nogil
cdef uint32_t key_index(Columns* c, const uint8_t* key) noexcept nogil
cdef uint32_t name_column(Columns* c, uint32_t name) noexcept nogil
cdef void write_varint_field(Writer* w, uint32_t field, uint64_t value, bint always) noexcept nogil
cdef void write_bytes(Writer* w, uint32_t field, const uint8_t* data, uint32_t n) noexcept nogil
cdef void write_column(Writer* w, uint32_t field, const void* data, uint64_t n) noexcept nogil
