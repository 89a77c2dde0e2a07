"""What every account of the simulated chain holds, and how a transaction shows it."""

from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.string cimport memcpy

from mevstream.cext.fields cimport put_varint
from mevstream.cext.synth_encode cimport put_decimal, put_ui_amount
from mevstream.cext.synth_types cimport (
    EFFECT_BURN, EFFECT_LAMPORTS, EFFECT_RENT, EFFECT_SYNC, EFFECT_TOKENS, Effect, Template,
)

import numpy as np

cdef double POWERS[20]
cdef int _power
POWERS[0] = 1.0
for _power in range(1, 20):
    POWERS[_power] = POWERS[_power - 1] * 10.0


cdef class Ledger:
    """Lamports, token amounts and withheld transfer fees.

    accounts: (keys uint8 (n, 32), lamports uint64 (n,), token amounts uint64 (n,), mint decimals
        uint8 (n,) with 255 for what is no token account, native uint8 (n,))
    token_texts: per account the encoded `mint` field and the encoded `owner` and `program_id`
        fields of its TokenBalance, empty for what is no token account
    """

    def __init__(self, accounts, token_texts):
        self.keys, self.lamports, self.amounts, self.decimals, self.native = accounts
        self.withheld = np.zeros(len(self.lamports), np.uint64)
        spans = np.zeros((len(token_texts), 3), np.int64)
        joined = bytearray()
        for i, (mint, owner) in enumerate(token_texts):
            spans[i] = len(joined), len(joined) + len(mint), len(joined) + len(mint) + len(owner)
            joined += mint + owner
        self.texts = bytes(joined)
        self.text_spans = spans

    def set_key(self, int account, bytes key):
        """Replaces the 32 bytes of an account that stands for a value (blockhash, bank hash)."""
        if len(key) != 32:
            raise ValueError("a key has 32 bytes")
        memcpy(&self.keys[account, 0], <const uint8_t*>key, 32)

    def credit(self, int account, uint64_t lamports):
        """Pays a block reward; returns the balance after."""
        self.lamports[account] += lamports
        return self.lamports[account]

    def balance(self, int account):
        """(lamports, token amount, withheld transfer fees) of an account."""
        return self.lamports[account], self.amounts[account], self.withheld[account]

    def supply(self):
        """All lamports of the chain."""
        return int(np.asarray(self.lamports).sum())

    cdef void apply(self, const Template* t, const int32_t* account,
                    const uint64_t* r) noexcept nogil:
        """Moves what the template's effects say by the amounts in the registers."""
        cdef int i
        cdef const Effect* e
        cdef int32_t source, destination
        cdef uint64_t amount, fee
        for i in range(t.n_effects):
            e = &t.effects[i]
            source = account[e.source]
            destination = account[e.destination]
            amount = r[e.register] if e.register >= 0 else 0
            if e.kind == EFFECT_LAMPORTS:
                self.lamports[source] -= amount
                self.lamports[destination] += amount
            elif e.kind == EFFECT_TOKENS:
                fee = r[e.fee_register] if e.fee_register >= 0 else 0
                self.amounts[source] -= amount
                self.amounts[destination] += amount - fee
                self.withheld[destination] += fee
                if self.native[source]:
                    self.lamports[source] -= amount
                    self.lamports[destination] += amount
            elif e.kind == EFFECT_RENT:
                self.lamports[source] -= RENT
                self.lamports[destination] += RENT
            elif e.kind == EFFECT_BURN:
                self.amounts[source] -= amount
            elif e.kind == EFFECT_SYNC:
                self.amounts[source] = self.lamports[source] - RENT
            else:
                self.lamports[destination] += self.lamports[source]
                self.lamports[source] = 0
                self.amounts[source] = 0

    cdef uint8_t* put_balances(self, uint8_t* to, const Template* t,
                                const int32_t* account) noexcept nogil:
        cdef int i
        for i in range(t.n_accounts):
            to = put_varint(to, self.lamports[account[i]])
        return to

    cdef uint8_t* put_tokens(self, uint8_t* to, const Template* t,
                             const int32_t* accounts, uint8_t tag, int column) noexcept nogil:
        """TokenBalance fields with the amounts of now."""
        cdef int i, account, n, m, decimals, inner, size, first, second
        cdef uint8_t digits[24]
        cdef uint8_t text[48]
        cdef uint64_t amount
        cdef double ui
        cdef const uint8_t* source
        for i in range(t.n_tokens):
            if not t.tokens[3 * i + column]:
                continue
            account = accounts[t.tokens[3 * i]]
            amount = self.amounts[account]
            decimals = self.decimals[account]
            n = put_decimal(digits, amount)
            m = put_ui_amount(text, digits, n, decimals)
            inner = (9 if amount else 0) + 2 + 2 + n + 2 + m
            first = <int>(self.text_spans[account, 1] - self.text_spans[account, 0])
            second = <int>(self.text_spans[account, 2] - self.text_spans[account, 1])
            source = &self.texts[self.text_spans[account, 0]]
            size = 2 + first + 2 + inner + second
            to[0] = tag
            to = put_varint(to + 1, size)
            to[0] = 0x08
            to[1] = <uint8_t>t.tokens[3 * i]
            memcpy(to + 2, source, first)
            to += 2 + first
            to[0] = 0x1A
            to[1] = <uint8_t>inner
            to += 2
            if amount:
                ui = <double>amount / POWERS[decimals]
                to[0] = 0x09
                memcpy(to + 1, &ui, 8)
                to += 9
            to[0] = 0x10
            to[1] = <uint8_t>decimals
            to[2] = 0x1A
            to[3] = <uint8_t>n
            memcpy(to + 4, digits, n)
            to += 4 + n
            to[0] = 0x22
            to[1] = <uint8_t>m
            memcpy(to + 2, text, m)
            to += 2 + m
            memcpy(to, source + first, second)
            to += second
        return to
