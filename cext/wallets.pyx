"""Which wallets are one owner's, by what they gave to each other in a leader group.

A wallet is who trades, gives, or has a token account closed to it. Who only gets something (fees,
deposits, tips) is none and links nobody; neither does a hub, which has to do with many. Keys are
numbers of the window (detect.pyx).
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort, realloc

cdef enum:
    NONE = 0xFFFFFFFF
    CLOSES_TO = 2        # schemas/parsed.proto
    HUB = 8              # who gives to, or gets from, more others serves the public


cdef int by_value(const void* one, const void* other) noexcept nogil:
    cdef uint64_t a = (<const uint64_t*>one)[0], b = (<const uint64_t*>other)[0]
    return (a > b) - (a < b)


cdef class Wallets:
    """Gifts are added; `begin`, `know` for each wallet that trades, and `join` find the owners."""

    def __dealloc__(self):
        free(self.gifts)
        free(self.parents)
        free(self.partners)
        free(self.known)

    def owner(self, uint32_t number):
        """The number of a key, the same for all wallets of one owner: of which one gave something
        to the other, or that such gifts lead to over other wallets, whatever their direction."""
        return self.root(number)

    def funders(self, uint32_t number):
        """Who gave something to this key, hubs with them: numbers of keys."""
        cdef uint32_t i
        cdef set found = set()
        for i in range(self.n_gifts):
            if self.gifts[i].receiver == number:
                found.add(self.gifts[i].giver)
        return found

    cdef void clear(self) noexcept nogil:
        self.n_gifts = self.n_keys = 0

    cdef bint add(self, uint32_t giver, uint32_t receiver, uint32_t kind) noexcept nogil:
        """0 without memory."""
        cdef Gift* gift
        cdef void* grown
        if giver == receiver or giver == NONE or receiver == NONE:
            return True
        if self.n_gifts == self.gift_room:
            grown = realloc(self.gifts, (2 * <size_t>self.gift_room + 64) * sizeof(Gift))
            if grown == NULL:
                return False
            self.gifts, self.gift_room = <Gift*>grown, 2 * self.gift_room + 64
        gift = &self.gifts[self.n_gifts]
        gift.giver, gift.receiver, gift.kind = giver, receiver, kind
        self.n_gifts += 1
        return True

    cdef bint begin(self, uint32_t n_keys) noexcept nogil:
        """Everybody is an owner of his own again; keys are below n_keys. 0 without memory."""
        cdef uint32_t i
        cdef void* grown
        self.n_keys = 0
        if self.n_gifts == 0:
            return True
        if n_keys > self.key_room:
            grown = realloc(self.parents, n_keys * sizeof(uint32_t))
            if grown == NULL:
                return False
            self.parents = <uint32_t*>grown
            grown = realloc(self.partners, n_keys * sizeof(uint32_t))
            if grown == NULL:
                return False
            self.partners = <uint32_t*>grown
            grown = realloc(self.known, n_keys * sizeof(bint))
            if grown == NULL:
                return False
            self.known, self.key_room = <bint*>grown, n_keys
        self.n_keys = n_keys
        for i in range(n_keys):
            self.parents[i] = i
            self.partners[i] = 0
            self.known[i] = False
        return True

    cdef void know(self, uint32_t key) noexcept nogil:
        if key < self.n_keys:
            self.known[key] = True

    cdef bint join(self) noexcept nogil:
        """0 without memory."""
        cdef uint32_t i, one, other, n_pairs = 0
        cdef uint64_t* pairs
        cdef const Gift* gift
        if self.n_keys == 0:
            return True
        pairs = <uint64_t*>malloc(self.n_gifts * sizeof(uint64_t))
        if pairs == NULL:
            return False
        for i in range(self.n_gifts):
            gift = &self.gifts[i]
            self.known[gift.giver] = True
            if gift.kind == CLOSES_TO:
                self.known[gift.receiver] = True
            one, other = min(gift.giver, gift.receiver), max(gift.giver, gift.receiver)
            pairs[i] = <uint64_t>one << 32 | other
        qsort(pairs, self.n_gifts, sizeof(uint64_t), by_value)
        for i in range(self.n_gifts):
            if i == 0 or pairs[i] != pairs[n_pairs - 1]:
                pairs[n_pairs] = pairs[i]
                n_pairs += 1
                self.partners[<uint32_t>(pairs[i] >> 32)] += 1
                self.partners[<uint32_t>pairs[i]] += 1
        for i in range(n_pairs):
            one, other = <uint32_t>(pairs[i] >> 32), <uint32_t>pairs[i]
            if self.known[one] and self.known[other] and (
                self.partners[one] <= HUB and self.partners[other] <= HUB
            ):
                one, other = self.root(one), self.root(other)
                self.parents[max(one, other)] = min(one, other)
        free(pairs)
        return True

    cdef uint32_t root(self, uint32_t key) noexcept nogil:
        """The owner's key; of keys that came later, and none, themselves."""
        cdef uint32_t root = key, up
        if key >= self.n_keys:
            return key
        while self.parents[root] != root:
            root = self.parents[root]
        while self.parents[key] != root:
            up = self.parents[key]
            self.parents[key] = root
            key = up
        return root
