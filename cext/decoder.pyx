"""RawBatch bytes to ParsedBatch bytes: transactions one by one into columns, columns into a message.

No Python object per transaction, and no GIL while decoding. The layout of both messages is in
schemas/raw.proto and schemas/parsed.proto.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from mevstream.cext.columns cimport (
    C_COLUMNS_32, C_COLUMNS_64, C_FIELD_32, C_FIELD_64, K_COLUMNS_32, K_FIELD_32, L_COLUMNS_32,
    L_COLUMNS_64, L_FIELD_32, L_FIELD_64, Q_COLUMNS_32, Q_COLUMNS_64, Q_FIELD_32, Q_FIELD_64,
    S_COLUMNS_32, S_COLUMNS_64,
    S_FIELD_32, S_FIELD_64, SIGNERS_IN, SIGNERS_LAMPORTS, T_COLUMNS_32, T_COLUMNS_64, T_FIELD_32,
    T_FIELD_64, Columns, Writer, columns_free, columns_init, key_index, link_room, liquidation_room,
    liquidity_room, name_column, swap_room, transaction_room, write_bytes, write_column,
    write_varint_field,
)
from mevstream.cext.model cimport (
    NONE, Change, CurveTold, Decoded, Instruction, Leg, Link, Liquidation, Transaction,
)
from mevstream.cext.links cimport settle_links
from mevstream.cext.registry cimport find_program, key_of
from mevstream.cext.swaps cimport decode_instructions, decoded_free, decoded_init
from mevstream.cext.transaction cimport transaction_free, transaction_init, transaction_parse
from mevstream.cext.wire cimport (
    mv_length, mv_mul_div, mv_skip, mv_tag, mv_u32, mv_u64, mv_utf8, mv_varint,
)

from mevstream.cext import venues  # noqa: F401  # fills the registry
from mevstream.cext.registry import NAMES

cdef uint8_t VOTE_PROGRAM[32]
key_of("Vote111111111111111111111111111111111111111", VOTE_PROGRAM)

# Bits of tx_flags.
cdef enum:
    SUCCESS = 1
    IS_VOTE = 2
    PARTIAL = 4
    LOG_TRUNCATED = 8
    DONTFRONT = 16
    UNITS_KNOWN = 32
    SIGNERS_TOLD = 64

# TransactionError, in bincode's numbering of the runtime's enum.
cdef enum:
    INSTRUCTION_ERROR = 8
    CUSTOM = 25

# Tags of RawBatch: number << 3 | wire type. tx_index may come packed or one by one.
cdef enum:
    SLOT = 8
    PARENT_SLOT = 16
    BLOCK_TIME = 24
    TRANSACTIONS = 34
    SEQ = 40
    LAST = 48
    SOURCE = 58
    RECEIVED_NS = 65
    FIRST_INDEX = 72
    TX_INDEX_PACKED = 82
    TX_INDEX = 85
    BLOCKHASH = 90
    PARENT_BLOCKHASH = 98
    BLOCK_HEIGHT = 104
    CHAIN = 114
    COMMITMENT = 120

# RawBatch, as far as it is not transactions.
cdef struct Envelope:
    uint64_t slot
    uint64_t parent_slot
    uint64_t block_time
    uint64_t seq
    uint64_t last
    uint64_t received_ns
    uint64_t first_index
    uint64_t block_height
    uint64_t commitment
    bint has_block_time
    bint has_block_height
    const uint8_t* source
    const uint8_t* blockhash
    const uint8_t* parent_blockhash
    const uint8_t* chain
    uint32_t n_source
    uint32_t n_blockhash
    uint32_t n_parent_blockhash
    uint32_t n_chain
    uint32_t n_records
    uint32_t n_index


cdef bint read_envelope(Envelope* e, const uint8_t* p, const uint8_t* end) noexcept nogil:
    """First pass: everything but the transactions, which are counted."""
    cdef uint32_t tag, length
    memset(e, 0, sizeof(Envelope))
    while p < end:
        p = mv_tag(p, end, &tag)
        if p == NULL:
            return False
        if tag & 7 == 2:
            p = mv_length(p, end, &length)
            if p == NULL:
                return False
            if tag == TRANSACTIONS:
                e.n_records += 1
            elif tag == SOURCE or tag == CHAIN:
                if not mv_utf8(p, length):
                    return False
                if tag == SOURCE:
                    e.source = p
                    e.n_source = length
                else:
                    e.chain = p
                    e.n_chain = length
            elif tag == TX_INDEX_PACKED:
                if length % 4:
                    return False
                e.n_index += length // 4
            elif tag == BLOCKHASH:
                e.blockhash = p
                e.n_blockhash = length
            elif tag == PARENT_BLOCKHASH:
                e.parent_blockhash = p
                e.n_parent_blockhash = length
            p += length
            continue
        if tag == SLOT:
            p = mv_varint(p, end, &e.slot)
        elif tag == PARENT_SLOT:
            p = mv_varint(p, end, &e.parent_slot)
        elif tag == BLOCK_TIME:
            p = mv_varint(p, end, &e.block_time)
            e.has_block_time = True
        elif tag == SEQ:
            p = mv_varint(p, end, &e.seq)
        elif tag == LAST:
            p = mv_varint(p, end, &e.last)
        elif tag == FIRST_INDEX:
            p = mv_varint(p, end, &e.first_index)
        elif tag == BLOCK_HEIGHT:
            p = mv_varint(p, end, &e.block_height)
            e.has_block_height = True
        elif tag == COMMITMENT:
            p = mv_varint(p, end, &e.commitment)
        elif tag == RECEIVED_NS and end - p >= 8:
            e.received_ns = mv_u64(p)
            p += 8
        elif tag == TX_INDEX and end - p >= 4:
            e.n_index += 1
            p += 4
        else:
            p = mv_skip(p, end, tag, 0)
        if p == NULL:
            return False
    return True


cdef inline uint32_t account_key(Columns* c, const Transaction* tx, uint32_t account) noexcept nogil:
    return key_index(c, tx.keys[account]) if account < tx.n_keys else <uint32_t>NONE


cdef inline void add_curve(Columns* c, const CurveTold* curve, uint32_t at) noexcept nogil:
    cdef uint32_t** u32 = c.curve32
    cdef uint64_t** u64 = c.curve64
    cdef uint32_t i
    u32[0][at] = curve.mode
    u32[1][at] = curve.side
    for i in range(3):
        u32[2 + i][at] = curve.rate[i]
    u32[5][at] = curve.tick_before
    u32[6][at] = curve.tick
    u64[0][at] = curve.reserve_in
    u64[1][at] = curve.reserve_out
    for i in range(2):
        u64[2 + i][at] = curve.root_before[i]
        u64[4 + i][at] = curve.root[i]
        u64[6 + i][at] = curve.liquidity[i]
    u64[8][at] = curve.withheld_in


cdef void add_swap(Columns* c, const Transaction* tx, const Leg* leg, uint32_t row) noexcept nogil:
    cdef uint32_t at = c.n_swaps
    cdef const Instruction* ix = &tx.instructions[leg.position]
    cdef uint32_t** u32 = c.swap32
    cdef uint64_t** u64 = c.swap64
    u32[0][at] = row
    u32[1][at] = ix.outer
    u32[2][at] = ix.inner
    u32[3][at] = leg.number
    u32[4][at] = name_column(c, leg.venue.name)
    u32[5][at] = NONE
    if leg.router != NONE:
        u32[5][at] = name_column(
            c, find_program(tx.keys[tx.instructions[leg.router].program]).name)
    u32[6][at] = account_key(c, tx, ix.program)
    u32[7][at] = account_key(c, tx, leg.pool)
    u32[8][at] = account_key(c, tx, leg.trader)
    u32[9][at] = key_index(c, leg.mint_in) if leg.mint_in != NULL else <uint32_t>NONE
    u32[10][at] = key_index(c, leg.mint_out) if leg.mint_out != NULL else <uint32_t>NONE
    u32[11][at] = account_key(c, tx, leg.vault_in)
    u32[12][at] = account_key(c, tx, leg.vault_out)
    u32[13][at] = leg.decimals_in
    u32[14][at] = leg.decimals_out
    u32[15][at] = leg.flags
    u64[0][at] = leg.amount_in
    u64[1][at] = leg.amount_out
    u64[2][at] = leg.trader_in
    u64[3][at] = leg.trader_out
    u64[4][at] = leg.reserve_in
    u64[5][at] = leg.reserve_out
    u64[6][at] = leg.fee
    memcpy(&u64[7][at], &leg.price_after, 8)
    add_curve(c, &leg.curve, at)
    c.signers_in[at] = <uint64_t>leg.signers_in
    c.n_swaps += 1


cdef inline uint32_t known_key(Columns* c, const uint8_t* key, bint known) noexcept nogil:
    return key_index(c, key) if known else <uint32_t>NONE


cdef void add_change(
    Columns* c, const Transaction* tx, const Change* change, uint32_t row) noexcept nogil:
    cdef uint32_t at = c.n_liquidity
    cdef const Instruction* ix = &tx.instructions[change.position]
    cdef uint32_t** u32 = c.liquidity32
    cdef uint64_t** u64 = c.liquidity64
    u32[0][at] = row
    u32[1][at] = ix.outer
    u32[2][at] = ix.inner
    u32[3][at] = change.number
    u32[4][at] = change.kind
    u32[5][at] = name_column(c, change.venue.name)
    u32[6][at] = account_key(c, tx, ix.program)
    u32[7][at] = account_key(c, tx, change.pool)
    u32[8][at] = account_key(c, tx, change.holder)
    u32[9][at] = account_key(c, tx, change.owner)
    u32[10][at] = known_key(c, change.mint_a, change.mint_a != NULL)
    u32[11][at] = known_key(c, change.mint_b, change.mint_b != NULL)
    u32[12][at] = change.decimals_a
    u32[13][at] = change.decimals_b
    u32[14][at] = change.flags
    u32[15][at] = <uint32_t>change.lower
    u32[16][at] = <uint32_t>change.upper
    u32[17][at] = <uint32_t>change.tick
    u64[0][at] = change.amount_a
    u64[1][at] = change.amount_b
    u64[2][at] = change.fee_a
    u64[3][at] = change.fee_b
    u64[4][at] = change.delta[0]
    u64[5][at] = change.delta[1]
    u64[6][at] = change.reserve_a
    u64[7][at] = change.reserve_b
    c.n_liquidity += 1


cdef void add_liquidation(
    Columns* c, const Transaction* tx, const Liquidation* one, uint32_t row) noexcept nogil:
    cdef uint32_t at = c.n_liquidations
    cdef const Instruction* ix = &tx.instructions[one.position]
    cdef uint32_t** u32 = c.liquidation32
    u32[0][at] = row
    u32[1][at] = ix.outer
    u32[2][at] = ix.inner
    u32[3][at] = one.number
    u32[4][at] = one.kind
    u32[5][at] = name_column(c, one.protocol.name)
    u32[6][at] = account_key(c, tx, ix.program)
    u32[7][at] = account_key(c, tx, one.liquidator)
    u32[8][at] = account_key(c, tx, one.account)
    u32[9][at] = known_key(c, one.owner, one.has_owner)
    u32[10][at] = known_key(c, one.repay_mint, one.has_repay_mint)
    u32[11][at] = known_key(c, one.collateral_mint, one.has_collateral_mint)
    u32[12][at] = one.repay_decimals
    u32[13][at] = one.collateral_decimals
    u32[14][at] = one.repay_market
    u32[15][at] = one.collateral_market
    u32[16][at] = one.flags
    c.liquidation64[0][at] = one.repay_amount
    c.liquidation64[1][at] = one.collateral_amount
    c.liquidation64[2][at] = one.fee
    c.n_liquidations += 1


cdef void add_link(
    Columns* c, const Transaction* tx, const Link* link, uint32_t index) noexcept nogil:
    cdef uint32_t at = c.n_links
    c.link32[0][at] = index
    c.link32[1][at] = link.kind
    c.link32[2][at] = account_key(c, tx, link.giver)
    c.link32[3][at] = key_index(c, link.receiver)
    c.n_links += 1


cdef inline void read_failure(
    const Transaction* tx, uint32_t* variant, uint32_t* instruction, uint32_t* detail,
    uint32_t* custom) noexcept nogil:
    """bincode: u32 variant; InstructionError: u8 instruction, u32 variant; Custom: u32 code."""
    variant[0] = instruction[0] = detail[0] = custom[0] = NONE
    if not tx.failed or tx.n_error < 4:
        return
    variant[0] = mv_u32(tx.error)
    if variant[0] == INSTRUCTION_ERROR and tx.n_error >= 9:
        instruction[0] = tx.error[4]
        detail[0] = mv_u32(tx.error + 5)
        if detail[0] == CUSTOM and tx.n_error >= 13:
            custom[0] = mv_u32(tx.error + 9)


cdef void add_transaction(Columns* c, Transaction* tx, Decoded* d, uint32_t index) noexcept nogil:
    """Appends the transaction's row and those of what it did."""
    cdef uint32_t at = c.n_transactions, i, flags
    cdef uint32_t** u32 = c.tx32
    cdef uint64_t** u64 = c.tx64
    cdef uint64_t price = d.cu_price
    cdef uint32_t limit = d.cu_limit
    flags = (0 if tx.failed else SUCCESS) | (IS_VOTE if tx.vote else 0)
    flags |= (PARTIAL if tx.partial else 0) | (DONTFRONT if d.dontfront else 0)
    flags |= UNITS_KNOWN if tx.has_compute_units else 0
    flags |= SIGNERS_TOLD if d.signers_told else 0
    if tx.n_last_log == 13 and tx.last_log[0] == b"L" and tx.last_log[12] == b"d":
        flags |= LOG_TRUNCATED   # "Log truncated"
    if tx.has_config:
        limit = tx.config_cu_limit
        price = mv_mul_div(tx.config_priority_fee, 1_000_000, limit) if limit else 0
    u32[0][at] = index
    u32[1][at] = account_key(c, tx, 0)
    u32[2][at] = flags
    u32[3][at] = tx.version
    read_failure(tx, &u32[4][at], &u32[5][at], &u32[6][at], &u32[7][at])
    u32[8][at] = limit
    u32[9][at] = tx.n_outer
    u32[10][at] = tx.n_instructions - tx.n_outer
    u32[11][at] = tx.n_signatures
    u32[12][at] = tx.n_keys
    u32[13][at] = tx.n_bytes
    u32[14][at] = d.n_legs
    u32[15][at] = d.attempts
    u32[16][at] = account_key(c, tx, d.tip_payer) if d.tip_payer != NONE else <uint32_t>NONE
    u64[0][at] = tx.fee
    u64[1][at] = d.tip
    u64[2][at] = tx.payer_pre
    u64[3][at] = tx.payer_post
    u64[4][at] = tx.compute_units
    u64[5][at] = price
    c.signers_lamports[at] = <uint64_t>d.signers_lamports
    c.signers_told = c.signers_told or d.signers_told
    if tx.signature != NULL:
        memcpy(c.signatures + 64 * <uint64_t>at, tx.signature, 64)
    else:
        memset(c.signatures + 64 * <uint64_t>at, 0, 64)
    c.n_transactions += 1
    for i in range(d.n_legs):
        add_swap(c, tx, &d.legs[i], at)
    for i in range(d.n_changes):
        add_change(c, tx, &d.changes[i], at)
    for i in range(d.n_liquidations):
        add_liquidation(c, tx, &d.liquidations[i], at)
    for i in range(d.n_links):
        add_link(c, tx, &d.links[i], index)


cdef class BatchDecoder:
    """Decodes raw batches into columnar parsed batches. Not for use by two threads at once."""

    cdef Transaction tx
    cdef Decoded decoded
    cdef Columns columns
    cdef list names          # NAMES, encoded

    def __cinit__(self):
        self.names = [name.encode() for name in NAMES]
        memset(&self.columns, 0, sizeof(Columns))
        if not transaction_init(&self.tx) or not decoded_init(&self.decoded) or not columns_init(
                &self.columns):
            raise MemoryError

    def __dealloc__(self):
        transaction_free(&self.tx)
        decoded_free(&self.decoded)
        columns_free(&self.columns)

    def decode(self, const uint8_t[::1] raw not None):
        """RawBatch message (schemas/raw.proto) → ParsedBatch message (schemas/parsed.proto)."""
        cdef Envelope envelope
        cdef const uint8_t* begin = &raw[0] if raw.shape[0] else <const uint8_t*>b""
        cdef const uint8_t* end = begin + raw.shape[0]
        cdef int status
        if raw.shape[0] > 0x7FFFFFFF:
            raise ValueError("a raw batch has at most 2 GiB")
        with nogil:
            status = read_envelope(&envelope, begin, end)
        if not status:
            raise ValueError("not a RawBatch message")
        if envelope.n_index and envelope.n_index != envelope.n_records:
            raise ValueError(
                f"tx_index has {envelope.n_index} entries for {envelope.n_records} transactions")
        if (envelope.n_blockhash and envelope.n_blockhash != 32) or (
                envelope.n_parent_blockhash and envelope.n_parent_blockhash != 32):
            raise ValueError("a blockhash has 32 bytes")
        with nogil:
            status = self.decode_records(&envelope, begin, end)
        if status < 0:
            raise MemoryError
        return self.encode(&envelope)

    cdef int decode_records(
        self, const Envelope* e, const uint8_t* begin, const uint8_t* end) noexcept nogil:
        """Second pass: 0, or -1 without memory."""
        cdef Columns* c = &self.columns
        cdef Transaction* tx = &self.tx
        cdef Decoded* d = &self.decoded
        cdef const uint8_t* p = begin
        cdef uint32_t tag, length, position = 0, next_index = 0
        cdef int status
        if not transaction_room(c, e.n_records):
            return -1
        # Positions in the block first: in the message they come after the transactions.
        if e.n_index:
            while p < end:
                p = mv_tag(p, end, &tag)
                if tag == TX_INDEX_PACKED:
                    p = mv_length(p, end, &length)
                    memcpy(c.positions + next_index, p, length)
                    next_index += length // 4
                    p += length
                elif tag == TX_INDEX:
                    c.positions[next_index] = mv_u32(p)
                    next_index += 1
                    p += 4
                else:
                    p = mv_skip(p, end, tag, 0)
            p = begin
        while p < end:
            p = mv_tag(p, end, &tag)
            if tag != TRANSACTIONS:
                p = mv_skip(p, end, tag, 0)
                continue
            p = mv_length(p, end, &length)
            status = transaction_parse(tx, p, length, VOTE_PROGRAM)
            if status < 0:
                return -1
            if status == 0:
                c.malformed[c.n_malformed] = position
                c.n_malformed += 1
            else:
                if tx.vote and tx.n_instructions == 1:
                    d.n_legs = d.n_changes = d.n_liquidations = d.n_links = d.attempts = 0
                    d.tip = d.cu_price = 0
                    d.tip_payer = d.cu_limit = NONE
                    d.dontfront = d.signers_told = False
                    d.signers_lamports = 0
                else:
                    decode_instructions(tx, d)
                    if d.n_links:
                        settle_links(tx, d)
                if not swap_room(c, d.n_legs) or not liquidity_room(c, d.n_changes):
                    return -1
                if not liquidation_room(c, d.n_liquidations) or not link_room(c, d.n_links):
                    return -1
                add_transaction(
                    c, tx, d,
                    c.positions[position] if e.n_index else <uint32_t>e.first_index + position)
                if c.failed:
                    return -1
            position += 1
            p += length
        return 0

    cdef bytes encode(self, const Envelope* e):
        """The message, in two passes: the first only counts bytes."""
        cdef Writer writer
        cdef bytes out
        writer.base = NULL
        writer.at = 0
        self.write(e, &writer)
        out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>writer.at)
        writer.base = <uint8_t*>PyBytes_AS_STRING(out)
        writer.at = 0
        self.write(e, &writer)
        return out

    cdef void write(self, const Envelope* e, Writer* w):
        cdef Columns* c = &self.columns
        cdef uint32_t i
        cdef bytes name
        write_varint_field(w, 1, e.slot, False)
        write_varint_field(w, 2, e.parent_slot, False)
        write_varint_field(w, 3, e.block_time, e.has_block_time)
        write_varint_field(w, 4, e.seq & 0xFFFFFFFF, False)
        write_varint_field(w, 5, 1 if e.last else 0, False)
        write_bytes(w, 6, e.source, e.n_source)
        if e.received_ns:
            write_varint_field(w, 0, 57, True)     # 7: fixed64
            if w.base != NULL:
                memcpy(w.base + w.at, &e.received_ns, 8)
            w.at += 8
        write_bytes(w, 8, e.blockhash, e.n_blockhash)
        write_bytes(w, 9, e.parent_blockhash, e.n_parent_blockhash)
        write_varint_field(w, 10, e.block_height, e.has_block_height)
        write_bytes(w, 11, e.chain, e.n_chain)
        write_varint_field(w, 12, e.commitment, False)
        write_column(w, 16, c.keys, 32 * <uint64_t>c.n_keys)
        for i in range(c.n_names):
            name = self.names[c.names[i]]
            write_bytes(w, 17, <const uint8_t*>name, <uint32_t>len(name))
        write_column(w, 18, c.malformed, 4 * <uint64_t>c.n_malformed)
        for i in range(T_COLUMNS_32):
            write_column(w, T_FIELD_32 + i, c.tx32[i], 4 * <uint64_t>c.n_transactions)
        write_column(w, 37, c.signatures, 64 * <uint64_t>c.n_transactions)
        for i in range(T_COLUMNS_64):
            write_column(w, T_FIELD_64 + i, c.tx64[i], 8 * <uint64_t>c.n_transactions)
        for i in range(S_COLUMNS_32):
            write_column(w, S_FIELD_32 + i, c.swap32[i], 4 * <uint64_t>c.n_swaps)
        for i in range(S_COLUMNS_64):
            write_column(w, S_FIELD_64 + i, c.swap64[i], 8 * <uint64_t>c.n_swaps)
        for i in range(L_COLUMNS_32):
            write_column(w, L_FIELD_32 + i, c.liquidity32[i], 4 * <uint64_t>c.n_liquidity)
        for i in range(L_COLUMNS_64):
            write_column(w, L_FIELD_64 + i, c.liquidity64[i], 8 * <uint64_t>c.n_liquidity)
        for i in range(Q_COLUMNS_32):
            write_column(w, Q_FIELD_32 + i, c.liquidation32[i], 4 * <uint64_t>c.n_liquidations)
        for i in range(Q_COLUMNS_64):
            write_column(w, Q_FIELD_64 + i, c.liquidation64[i], 8 * <uint64_t>c.n_liquidations)
        for i in range(K_COLUMNS_32):
            write_column(w, K_FIELD_32 + i, c.link32[i], 4 * <uint64_t>c.n_links)
        for i in range(C_COLUMNS_32):
            write_column(w, C_FIELD_32 + i, c.curve32[i], 4 * <uint64_t>c.n_swaps)
        for i in range(C_COLUMNS_64):
            write_column(w, C_FIELD_64 + i, c.curve64[i], 8 * <uint64_t>c.n_swaps)
        if c.signers_told:
            write_column(w, SIGNERS_LAMPORTS, c.signers_lamports, 8 * <uint64_t>c.n_transactions)
            write_column(w, SIGNERS_IN, c.signers_in, 8 * <uint64_t>c.n_swaps)
