"""Token accounts of a transaction: where their balances lie, and what those say, on demand."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from mevstream.cext.model cimport MAX_KEYS, TokenAccount, Transaction
from mevstream.cext.parsing cimport BYTES_2, BYTES_3, BYTES_4, BYTES_5, VARINT_2
from mevstream.cext.wire cimport (
    mv_base58_key, mv_decimal, mv_length, mv_skip, mv_tag, mv_u64, mv_varint,
)

# Mints and owners come as base58 text, and the same few again and again: decoded ones are kept by
# their text. A cell is simply overwritten by the next text that falls on it.
cdef enum:
    CACHE_CELLS = 512

cdef struct CachedKey:
    uint8_t text[44]
    uint32_t n_text
    uint8_t key[32]


cdef bint token_accounts_init(Transaction* tx) noexcept nogil:
    """0 without memory."""
    tx.token_accounts = <TokenAccount*>calloc(MAX_KEYS, sizeof(TokenAccount))
    tx.key_cache = calloc(CACHE_CELLS, sizeof(CachedKey))
    return tx.token_accounts != NULL and tx.key_cache != NULL


cdef void token_accounts_free(Transaction* tx) noexcept nogil:
    free(tx.token_accounts)
    free(tx.key_cache)
    tx.token_accounts = NULL
    tx.key_cache = NULL


cdef TokenAccount* new_token_account(Transaction* tx, uint32_t account) noexcept nogil:
    """The token account's entry, made empty if there is none. `account` < MAX_KEYS."""
    cdef TokenAccount* entry
    if tx.token_account_of[account]:
        return &tx.token_accounts[tx.token_account_of[account] - 1]
    entry = &tx.token_accounts[tx.n_token_accounts]
    tx.n_token_accounts += 1
    tx.token_account_of[account] = <uint16_t>tx.n_token_accounts
    entry.pre = entry.post = NULL
    entry.n_pre = entry.n_post = 0
    entry.account = <uint16_t>account
    entry.decoded = entry.has_mint = entry.has_owner = entry.token_2022 = False
    entry.decimals = 255
    entry.pre_amount = entry.post_amount = 0
    return entry


cdef bint text_key(Transaction* tx, const uint8_t* text, uint32_t n, uint8_t* out) noexcept nogil:
    """mv_base58_key through the cache."""
    cdef CachedKey* cell
    if n < 32 or n > 44:
        return False
    cell = &(<CachedKey*>tx.key_cache)[
        ((mv_u64(text) ^ mv_u64(text + n - 8)) * <uint64_t>0x9E3779B97F4A7C15) >> 55]
    if cell.n_text != n or memcmp(cell.text, text, n) != 0:
        if not mv_base58_key(text, n, cell.key):
            cell.n_text = 0
            return False
        cell.n_text = n
        memcpy(cell.text, text, n)
    memcpy(out, cell.key, 32)
    return True


cdef void decode_balance(
    Transaction* tx, TokenAccount* entry, const uint8_t* p, const uint8_t* end, uint64_t* amount) noexcept nogil:
    """Fields of a TokenBalance that check_balance has accepted."""
    cdef uint32_t tag, length
    cdef uint64_t value
    cdef const uint8_t* q
    cdef const uint8_t* stop
    while p < end:
        p = mv_tag(p, end, &tag)
        if tag & 7 != 2:
            p = mv_skip(p, end, tag, 2)
            continue
        p = mv_length(p, end, &length)
        if tag == BYTES_2:
            entry.has_mint = text_key(tx, p, length, entry.mint)
        elif tag == BYTES_4:
            entry.has_owner = text_key(tx, p, length, entry.owner)
        elif tag == BYTES_5:
            # "TokenkegQ…" or "TokenzQd…"
            entry.token_2022 = length > 5 and p[5] == 122
        elif tag == BYTES_3:
            q = p
            stop = p + length
            while q < stop:
                q = mv_tag(q, stop, &tag)
                if tag == VARINT_2:
                    q = mv_varint(q, stop, &value)
                    # A mint's decimals are one byte; 255 stands for unknown.
                    entry.decimals = <uint8_t>value if value < 255 else 255
                elif tag == BYTES_3:
                    q = mv_length(q, stop, &length)
                    mv_decimal(q, length, amount)
                    q += length
                else:
                    q = mv_skip(q, stop, tag, 3)
            p = stop
            continue
        p += length


cdef TokenAccount* token_account(Transaction* tx, uint32_t account) noexcept nogil:
    """The token account at that index, decoded, or NULL where none is known."""
    cdef TokenAccount* entry
    cdef const uint8_t* first
    if account >= tx.n_keys or tx.token_account_of[account] == 0:
        return NULL
    entry = &tx.token_accounts[tx.token_account_of[account] - 1]
    if not entry.decoded:
        entry.decoded = True
        if entry.pre != NULL or entry.post != NULL:
            entry.decimals = 0   # proto3: an absent number is 0
        if entry.pre != NULL:
            decode_balance(tx, entry, entry.pre, entry.pre + entry.n_pre, &entry.pre_amount)
        if entry.post != NULL:
            decode_balance(tx, entry, entry.post, entry.post + entry.n_post, &entry.post_amount)
    return entry
