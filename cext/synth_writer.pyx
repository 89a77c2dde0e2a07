"""Writes one transaction of the simulated chain: template, amounts, balances before and after.

What is of fixed size (signatures, keys, instruction data, events, logs) is copied from the
template and patched in place; what is not (varints of balances, decimal text of token amounts)
is encoded anew. The ledger and the pools move by the same amounts.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from mevstream.cext.fields cimport put_varint, varint_size
from mevstream.cext.synth_encode cimport put_base64
from mevstream.cext.synth_ledger cimport RENT, Ledger
from mevstream.cext.synth_pools cimport Pools
from mevstream.cext.synth_random cimport draw, draw_below, seed_with
from mevstream.cext.synth_templates cimport Templates
from mevstream.cext.synth_types cimport (
    EFFECT_LAMPORTS, L_DESTINATION, L_IN, L_LIMIT, L_OUT, L_QUOTE, L_RECEIVED, L_SOURCE,
    L_TOTAL_IN, LEG_SIZE, PATCH_BASE64, PATCH_DECIMAL, PATCH_KEY, PATCH_U32, PATCH_U64, PUMP_FUN,
    PUMP_SWAP, QUANTILES, R_AMOUNT, R_LEG, R_PRICE, R_QUOTED, R_RECEIVED, R_TIP, R_WRAP,
    TRANSACTION_ROOM, Counts, LegRecord, Patch, Template, TemplateLeg,
)

import numpy as np

# Units of jitter in compute units, a power of two; `template.JITTER` is the same number.
cdef uint32_t JITTER = 512

cdef extern from "synth_math.h":
    uint64_t synth_ceil_div(unsigned long long a, uint64_t d) nogil

cdef extern from *:
    """
    #define SYNTH_PRIORITY(price, limit) \\
        synth_ceil_div((synth_u128)(price) * (limit), 1000000)
    """
    uint64_t SYNTH_PRIORITY(uint64_t price, uint64_t limit) nogil

LEG_RECORD = np.dtype([
    ("tx_index", "<u4"), ("template", "<i4"), ("leg", "<i4"), ("trader", "<i4"),
    ("amount_in", "<u8"), ("amount_out", "<u8"), ("signature", "<i8"),
])


cdef class Writer:
    """The transactions of the block that is being made.

    users: int32 (n_users, columns): account numbers; column 0 is the wallet
    validators: int32 (n_validators, 3): identity, vote account, voting authority
    """

    def __cinit__(self):
        self.out = NULL
        self.records = NULL
        self.ends = NULL

    def __init__(self, Ledger ledger, Pools pools, Templates templates, users, validators,
                 uint64_t seed):
        self.ledger = ledger
        self.pools = pools
        self.templates = templates
        self.users = users
        self.validators = validators
        self.touched = np.zeros(max(pools.n, 1), np.uint32)
        seed_with(&self.rng, seed)

    def __dealloc__(self):
        free(self.out)
        free(self.records)
        free(self.ends)

    def random_bytes(self, int n):
        """n bytes of the chain's generator."""
        out = bytearray()
        while len(out) < n:
            out += int(draw(&self.rng)).to_bytes(8, "little")
        return bytes(out[:n])

    def random_below(self, uint32_t n):
        """A number in 0 … n-1."""
        return draw_below(&self.rng, n)

    cdef int begin(self, bytes header) except -1:
        """Empties the buffer and writes header."""
        memset(&self.counts, 0, sizeof(Counts))
        self.n_records = 0
        self.n_out = 0
        self.reserve_room()
        memcpy(self.out, <const uint8_t*>header, len(header))
        self.n_out = len(header)
        return 0

    cdef tuple finish(self):
        """(data, ends, votes, leg records) of what was written since `begin`."""
        ends = np.empty(self.counts.transactions, np.int64)
        cdef int64_t[::1] view = ends
        if self.counts.transactions:
            memcpy(&view[0], self.ends, self.counts.transactions * sizeof(int64_t))
        rows = <bytes>(<uint8_t*>self.records)[:self.n_records * sizeof(LegRecord)]
        return (<bytes>self.out[:self.n_out], np.abs(ends), (ends < 0).view(np.uint8),
                np.frombuffer(rows, LEG_RECORD))

    cdef inline void resolve(self, const Template* t, int user, int other) noexcept nogil:
        """Account numbers of the template's slots. A negative slot is a column of a party:
        -1 - (party * 64 + column); party 0 the user, 1 the other user, 2 a validator."""
        cdef int i, code
        for i in range(t.n_slots):
            code = t.accounts[i]
            if code < 0:
                code = -1 - code
                if code >= 128:
                    code = self.validators[user, code - 128]
                elif code >= 64:
                    code = self.users[other, code - 64]
                else:
                    code = self.users[user, code]
            self.account[i] = code

    cdef bint quote_legs(self, const Template* t, uint64_t size, uint64_t forced) noexcept nogil:
        """Fills the registers of every leg; the first takes `forced` tokens, or `size` lamports'
        worth bounded by the pool and by half of what the trader has."""
        cdef int k
        cdef const TemplateLeg* leg
        cdef uint64_t budget = forced, have, last, whole = 0, spent = 0
        cdef uint64_t* f
        for k in range(t.n_legs):
            leg = &t.legs[k]
            f = &self.r[R_LEG + LEG_SIZE * k]
            if not leg.chained:
                if t.wrapped or (self.pools.items[leg.pool].venue == PUMP_FUN and leg.side_in == 1):
                    have = self.ledger.lamports[self.account[0]]
                else:
                    have = self.ledger.amounts[self.account[leg.funds]]
                if k:
                    # Beside the legs before: a share of the whole, or what they left.
                    budget = whole * leg.share // 256 if leg.share else whole - spent
                else:
                    if budget == 0:
                        budget = self.pools.priced(&self.pools.items[leg.pool], leg.side_in, size)
                        if budget > have // 2:
                            budget = have // 2
                    elif budget > have:
                        return False
                    whole = budget
                    if leg.share:
                        budget = whole * leg.share // 256
            else:
                budget = (f - LEG_SIZE)[L_RECEIVED]
            if not self.pools.quote(leg, f, budget):
                return False
            last = f[L_TOTAL_IN]
            f[L_SOURCE] = self.ledger.amounts[self.account[leg.source]]
            if leg.chained or (k == 0 and t.wrapped):
                f[L_SOURCE] += last
            elif k and f[L_SOURCE] >= spent:
                f[L_SOURCE] -= spent
            if not leg.chained:
                spent += last
            f[L_DESTINATION] = self.ledger.amounts[self.account[leg.destination]]
            if t.failed:
                f[L_LIMIT] = f[L_RECEIVED] + f[L_RECEIVED] // 100 + 1
            else:
                f[L_LIMIT] = f[L_RECEIVED] - f[L_RECEIVED] // 100
            if self.pools.items[leg.pool].venue >= PUMP_SWAP and leg.side_in == 1:
                # Bought by exact tokens out: the limit is the most that may be paid.
                f[L_LIMIT] = last - last // 100 - 1 if t.failed else last + last // 100
        if t.n_legs:
            self.r[R_WRAP] = spent + RENT
            self.r[R_AMOUNT] = spent
            self.r[R_RECEIVED] = 0
            for k in range(t.n_legs):
                if k == t.n_legs - 1 or not t.legs[k + 1].chained:
                    self.r[R_RECEIVED] += self.r[R_LEG + LEG_SIZE * k + L_RECEIVED]
            self.r[R_QUOTED] = self.r[R_RECEIVED]
            if t.failed:
                self.r[R_QUOTED] += self.r[R_RECEIVED] // 20 + 1
        return True

    cdef void patch(self, uint8_t* at, const Patch* patches, int n, uint32_t jitter) noexcept nogil:
        cdef int i, k
        cdef const Patch* p
        cdef uint64_t word
        cdef uint32_t half
        cdef int64_t value
        for i in range(n):
            p = &patches[i]
            if p.kind == PATCH_KEY:
                memcpy(at + p.offset, &self.ledger.keys[self.account[p.a], 0], 32)
            elif p.kind == PATCH_U64:
                memcpy(at + p.offset, &self.r[p.a], 8)
            elif p.kind == PATCH_U32:
                half = <uint32_t>self.r[p.a]
                memcpy(at + p.offset, &half, 4)
            elif p.kind == PATCH_BASE64:
                put_base64(at + p.offset, self.events + p.a, p.b)
            elif p.kind == PATCH_DECIMAL:
                value = p.b + <int64_t>p.c * jitter
                for k in range(p.a):
                    at[p.offset + p.a - 1 - k] = 48 + <uint8_t>(value % 10)
                    value = value // 10
            else:
                for k in range(8):
                    word = draw(&self.rng)
                    memcpy(at + p.offset + 8 * k, &word, 8)

    cdef int reserve_room(self) except -1:
        cdef void* grown
        if self.n_out + TRANSACTION_ROOM > self.capacity:
            self.capacity = 2 * self.capacity + (<size_t>1 << 22)
            grown = realloc(self.out, self.capacity)
            if grown == NULL:
                raise MemoryError
            self.out = <uint8_t*>grown
        if self.counts.transactions + 1 >= self.ends_capacity:
            self.ends_capacity = 2 * self.ends_capacity + 4096
            grown = realloc(self.ends, self.ends_capacity * sizeof(int64_t))
            if grown == NULL:
                raise MemoryError
            self.ends = <int64_t*>grown
        if self.n_records + 8 > self.records_capacity:
            self.records_capacity = 2 * self.records_capacity + 4096
            grown = realloc(self.records, self.records_capacity * sizeof(LegRecord))
            if grown == NULL:
                raise MemoryError
            self.records = <LegRecord*>grown
        return 0

    cdef int emit(self, int number, int user, int other, uint64_t size, uint64_t forced,
                  uint64_t tip_of_profit) except -1:
        """Writes one transaction and applies it. 0 where it cannot be done (nothing written)."""
        cdef Template* t = self.templates.get(number)
        self.reserve_room()
        self.resolve(t, user, other)
        return self.write(t, number, size, forced, tip_of_profit)

    cdef int write(self, const Template* t, int number, uint64_t size, uint64_t forced,
                   uint64_t tip_of_profit) except -1 nogil:
        cdef uint64_t fee, priority, need
        cdef uint32_t jitter
        cdef uint8_t* begin
        cdef uint8_t* to
        cdef uint8_t* s = self.scratch
        cdef int n_pre, n_post, n_pre_tokens, n_post_tokens, k
        cdef size_t n_meta, n_transaction, units
        cdef LegRecord* record
        cdef const uint64_t* f
        cdef int payer = self.account[0]
        self.r[R_TIP] = self.tips[draw_below(&self.rng, QUANTILES)]
        self.r[R_PRICE] = self.prices[draw_below(&self.rng, QUANTILES)]
        if self.given:
            self.r[R_TIP] = self.given_tip
            self.r[R_PRICE] = self.given_price
        if t.n_legs and not self.quote_legs(t, size, forced):
            return 0
        if tip_of_profit and self.r[R_RECEIVED] > self.r[R_AMOUNT]:
            self.r[R_TIP] = (self.r[R_RECEIVED] - self.r[R_AMOUNT]) * tip_of_profit // 256 + 1
        priority = t.fixed_priority
        if priority == 0 and t.cu_limit:
            priority = SYNTH_PRIORITY(self.r[R_PRICE], t.cu_limit)
        fee = 5000 * <uint64_t>t.n_signatures + priority
        need = fee + self.r[R_TIP] + 4 * RENT
        if t.wrapped or (t.n_legs == 0 and not self.given):
            need += self.r[R_AMOUNT]
        elif (t.n_legs and self.pools.items[t.legs[0].pool].venue == PUMP_FUN
                and t.legs[0].side_in == 1):
            need += self.r[R_AMOUNT]
        if self.ledger.lamports[payer] < need and t.user_class >= 0:
            return 0
        jitter = <uint32_t>(draw(&self.rng) & (JITTER - 1))

        # Balances before and after, in scratch: pre, post, tokens pre, tokens post.
        to = self.ledger.put_balances(s, t, self.account)
        n_pre = <int>(to - s)
        begin = to
        to = self.ledger.put_tokens(to, t, self.account, 0x3A, 1)
        n_pre_tokens = <int>(to - begin)
        self.ledger.lamports[payer] -= fee
        if not t.failed:
            self.ledger.apply(t, self.account, self.r)
            for k in range(t.n_legs):
                self.pools.commit(&t.legs[k], &self.r[R_LEG + LEG_SIZE * k])
                self.touched[t.legs[k].pool] = self.turn
        begin = to
        to = self.ledger.put_balances(to, t, self.account)
        n_post = <int>(to - begin)
        begin = to
        to = self.ledger.put_tokens(to, t, self.account, 0x42, 2)
        n_post_tokens = <int>(to - begin)

        units = t.cu_base + t.cu_jitter * jitter
        n_meta = (t.n_error + 1 + varint_size(fee)
                  + 1 + varint_size(n_pre) + n_pre + 1 + varint_size(n_post) + n_post
                  + t.n_meta + n_pre_tokens + n_post_tokens + t.n_tail
                  + 2 + varint_size(units) + 2 + varint_size(t.cost_base + units))
        n_transaction = (1 + varint_size(t.n_message) + t.n_message
                         + 1 + varint_size(n_meta) + n_meta)
        to = self.out + self.n_out
        to[0] = 0x22
        to = put_varint(to + 1, n_transaction)
        to[0] = 0x0A
        to = put_varint(to + 1, t.n_message)
        begin = to
        memcpy(to, t.message, t.n_message)
        self.patch(to, t.message_patches, t.n_message_patches, jitter)
        to += t.n_message
        to[0] = 0x12
        to = put_varint(to + 1, n_meta)
        memcpy(to, t.error, t.n_error)
        to += t.n_error
        to[0] = 0x10
        to = put_varint(to + 1, fee)
        to[0] = 0x1A
        to = put_varint(to + 1, n_pre)
        memcpy(to, s, n_pre)
        to += n_pre
        to[0] = 0x22
        to = put_varint(to + 1, n_post)
        memcpy(to, s + n_pre + n_pre_tokens, n_post)
        to += n_post
        memcpy(self.events, t.events, t.n_events)
        self.patch(self.events, t.event_patches, t.n_event_patches, jitter)
        # The tail (loaded addresses, return data) is patched with the rest, then moved behind
        # the token balances, where its field numbers belong.
        memcpy(to, t.meta, t.n_meta + t.n_tail)
        self.patch(to, t.meta_patches, t.n_meta_patches, jitter)
        to += t.n_meta
        if t.n_tail:
            memcpy(to + n_pre_tokens + n_post_tokens + t.n_tail, to, t.n_tail)
            memcpy(to + n_pre_tokens + n_post_tokens,
                   to + n_pre_tokens + n_post_tokens + t.n_tail, t.n_tail)
        memcpy(to, s + n_pre, n_pre_tokens)
        memcpy(to + n_pre_tokens, s + n_pre + n_pre_tokens + n_post, n_post_tokens)
        to += n_pre_tokens + n_post_tokens + t.n_tail
        to[0] = 0x80
        to[1] = 0x01
        to = put_varint(to + 2, units)
        to[0] = 0x88
        to[1] = 0x01
        to = put_varint(to + 2, t.cost_base + units)

        if not t.failed:
            for k in range(t.n_legs):
                f = &self.r[R_LEG + LEG_SIZE * k]
                record = &self.records[self.n_records]
                record.tx_index = self.counts.transactions
                record.template = number
                record.leg = k
                record.trader = self.account[t.legs[k].trader]
                record.amount_in = f[L_IN]
                record.amount_out = f[L_OUT]
                if self.pools.items[t.legs[k].pool].venue == PUMP_FUN:
                    record.amount_in = f[L_QUOTE] if t.legs[k].side_in == 1 else f[L_IN]
                    record.amount_out = f[L_OUT] if t.legs[k].side_in == 1 else f[L_QUOTE]
                record.signature = begin + 2 - self.out
                self.n_records += 1
            for k in range(t.n_effects):
                if t.effects[k].kind == EFFECT_LAMPORTS and t.effects[k].register == R_TIP:
                    self.counts.tips += 1
                    self.counts.tip_lamports += self.r[R_TIP]
        self.last_fee = fee
        self.last_signature = begin + 2 - self.out
        self.n_out = to - self.out
        self.ends[self.counts.transactions] = (
            -<int64_t>self.n_out if t.user_class < 0 else <int64_t>self.n_out)
        self.counts.transactions += 1
        self.counts.failed += t.failed
        self.counts.fee_lamports += fee
        self.counts.signatures += t.n_signatures
        return 1
