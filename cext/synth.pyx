"""Makes the blocks of the simulated chain: who does what, in which order, how often.

All randomness comes from one generator, so a seed gives the same bytes everywhere.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from mevstream.cext.synth_random cimport draw, draw_below, draw_chance
from mevstream.cext.synth_types cimport (
    EFFECT_TOKENS, KIND_ARBITRAGE, KIND_SWAP, KIND_TOKEN_TRANSFER, KIND_TRANSFER,
    N_KINDS, QUANTILES, R_AMOUNT, R_RECEIVED, R_ROOT, R_TIME, Choice, Template,
)
from mevstream.cext.synth_writer cimport Writer

import numpy as np

# Lamports below which a user does not trade, and what a whale then sends.
cdef uint64_t POOR = 50_000_000
cdef uint64_t TOP_UP = 20_000_000_000
cdef uint32_t LEADER_SLOTS = 4


def spans_of(lists):
    """Lists of integers end to end, int32, and where each begins and ends, int32 (n, 2)."""
    bounds = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    joined = np.concatenate([np.asarray(x, np.int32) for x in lists])
    return np.ascontiguousarray(joined), np.stack([bounds[:len(lists)], bounds[1:]], axis=1)


cdef class Synth(Writer):
    """One simulated chain. After the arguments of Writer:

    user_lists: per (2 * group + class) the rows of `users`
    choices: rows of four template numbers (success and failure of direction 0, of direction 1)
        and a pool or -1
    menus: per kind the choices to draw from, each entry equally likely
    vote_templates: template numbers, each equally likely
    """

    def __init__(self, ledger, pools, templates, users, validators, uint64_t seed, *, user_lists,
                 choices, menus, vote_templates):
        super().__init__(ledger, pools, templates, users, validators, seed)
        self.members, self.class_spans = spans_of(user_lists)
        self.menu, self.menu_spans = spans_of(menus)
        self.choices = np.array(choices, np.int32).reshape(-1, 5)
        self.vote_templates = np.array(vote_templates, np.int32)
        self.locked = np.zeros(max(self.pools.n, 1), np.uint32)

    def set_statistics(self, kinds, failures, double reversion, sizes, tips, prices, int whales):
        """kinds: shares (sum 1) and failures: failing shares, per kind; sizes, tips, prices:
        QUANTILES quantiles each (lamports, lamports, micro-lamports a unit)."""
        cdef double total = 0
        for kind in range(N_KINDS):
            total += kinds[kind]
            self.kind_thresholds[kind] = min(int(total * 4294967296.0), 4294967295)
            self.failure_thresholds[kind] = min(int(failures[kind] * 4294967296.0), 4294967295)
        self.kind_thresholds[N_KINDS - 1] = 4294967295
        self.reversion_threshold = min(int(reversion * 4294967296.0), 4294967295)
        for i in range(QUANTILES):
            self.sizes[i] = sizes[i]
            self.tips[i] = tips[i]
            self.prices[i] = prices[i]
        self.n_whales = whales

    # -- who does what ---------------------------------------------------------------------------

    cdef int pick_user(self, const Template* t) noexcept nogil:
        cdef int which = 2 * t.group + t.user_class
        cdef int first = self.class_spans[which, 0]
        return self.members[first + <int>draw_below(&self.rng, self.class_spans[which, 1] - first)]

    cdef int transfer(self, int user, uint64_t amount) except -1:
        """A plain SOL transfer from `user` to another, or from a whale to a poor `user`."""
        cdef int n = <int>self.users.shape[0], other
        cdef uint64_t have = self.ledger.lamports[self.users[user, 0]]
        other = draw_below(&self.rng, n)
        if other == user:
            other = (user + 1) % n
        if have < 10 * POOR:
            other = user
            user = draw_below(&self.rng, self.n_whales)
            if user == other:
                user = (user + 1) % self.n_whales
            amount = TOP_UP
        elif amount > have // 4:
            amount = have // 4
        self.r[R_AMOUNT] = amount
        cdef const Choice* choice = self.choose(KIND_TRANSFER)
        return self.emit(choice.templates[0], user, other, 0, 0, 0)

    cdef const Choice* choose(self, int kind) noexcept nogil:
        cdef int first = self.menu_spans[kind, 0]
        cdef int at = first + <int>draw_below(&self.rng, self.menu_spans[kind, 1] - first)
        return <const Choice*>&self.choices[self.menu[at], 0]

    cdef int token_transfer(self) except -1:
        cdef const Choice* choice = self.choose(KIND_TOKEN_TRANSFER)
        cdef Template* t = self.templates.get(choice.templates[0])
        cdef int which = 2 * t.group + t.user_class, i
        cdef int user = self.pick_user(t)
        cdef int other = self.pick_user(t)
        cdef uint64_t have = 0
        if user == other:
            return 0
        self.resolve(t, user, other)
        for i in range(t.n_effects):
            if t.effects[i].kind == EFFECT_TOKENS:
                have = self.ledger.amounts[self.account[t.effects[i].source]]
        self.r[R_AMOUNT] = have // (8 + draw_below(&self.rng, 1024))
        if self.r[R_AMOUNT] == 0:
            return 0
        if draw_chance(&self.rng, self.failure_thresholds[KIND_TOKEN_TRANSFER]):
            return self.emit(choice.templates[1], user, other, 0, 0, 0)
        return self.emit(choice.templates[0], user, other, 0, 0, 0)

    cdef int swap(self, int kind) except -1:
        """A swap or a route in the direction that brings the price back, more often than not."""
        cdef const Choice* choice = self.choose(kind)
        cdef int direction = 0, turn, user
        cdef bint failing = draw_chance(&self.rng, self.failure_thresholds[kind])
        cdef Template* t = self.templates.get(choice.templates[0])
        cdef uint64_t size = self.sizes[draw_below(&self.rng, QUANTILES)]
        # Direction 0 puts side 0's counterpart in (buys side 0) where the pool says so.
        if choice.pool >= 0:
            direction = self.pools.above_anchor(&self.pools.items[choice.pool])
            if t.legs[0].side_in == 0:
                direction = 1 - direction
            if not draw_chance(&self.rng, self.reversion_threshold):
                direction = 1 - direction
        for turn in range(2):
            t = self.templates.get(choice.templates[2 * direction])
            user = self.pick_user(t)
            if self.agents and not self.harmless(t, &user):
                direction = 1 - direction
                continue
            if self.ledger.lamports[self.users[user, 0]] < POOR:
                return self.transfer(user, 0)
            if self.emit(choice.templates[2 * direction + failing], user, user, size, 0, 0):
                return 1
            direction = 1 - direction
        return 0

    cdef bint harmless(self, const Template* t, int* user) noexcept nogil:
        """Whether a template's pools are nobody's, and a user (another than the given one, if need
        be) who trades each of them in this direction only, as long as one leader has the slots:
        who never reverses sandwiches nobody."""
        cdef int k, attempt
        cdef uint64_t mixed
        cdef bint fits
        for k in range(t.n_legs):
            if self.locked[t.legs[k].pool]:
                return False
        for attempt in range(12):
            fits = True
            for k in range(t.n_legs):
                mixed = (<uint64_t>user[0] << 40) ^ (<uint64_t>t.legs[k].pool << 20)
                mixed = (mixed ^ (self.turn // LEADER_SLOTS)) * <uint64_t>0x9E3779B97F4A7C15
                mixed = (mixed ^ (mixed >> 32)) * <uint64_t>0xBF58476D1CE4E5B9
                if <int>(mixed >> 63) != t.legs[k].side_in:
                    fits = False
                    break
            if fits:
                return True
            user[0] = self.pick_user(t)
        return False

    cdef int arbitrage(self) except -1:
        """A bot's cycle through two pools: lands where it gains, else fails on its own check."""
        cdef const Choice* choice = self.choose(KIND_ARBITRAGE)
        cdef Template* t
        cdef int direction, best = 0, user
        cdef uint64_t size = self.sizes[draw_below(&self.rng, QUANTILES)]
        cdef int64_t gain, best_gain = -((<int64_t>1) << 62)
        t = self.templates.get(choice.templates[0])
        user = self.pick_user(t)
        if self.ledger.lamports[self.users[user, 0]] < POOR:
            return self.transfer(user, 0)
        if self.agents:
            # Agents land the cycles that gain; these are the attempts that fail.
            best = draw_below(&self.rng, 2)
            return self.emit(choice.templates[2 * best + 1], user, user, size, 0, 0)
        for direction in range(2):
            t = self.templates.get(choice.templates[2 * direction])
            self.resolve(t, user, user)
            if self.quote_legs(t, size, 0):
                gain = <int64_t>self.r[R_RECEIVED] - <int64_t>self.r[R_AMOUNT]
                if gain > best_gain:
                    best = direction
                    best_gain = gain
        if best_gain > 0 and not draw_chance(&self.rng, self.failure_thresholds[KIND_ARBITRAGE]):
            return self.emit(choice.templates[2 * best], user, user, size, 0,
                             96 + draw_below(&self.rng, 64))
        return self.emit(choice.templates[2 * best + 1], user, user, size, 0, 0)

    cdef int sandwich(self) except -1:
        """Front, victim, back on one pool; the back sells what the front bought."""
        cdef const Choice* choice = self.choose(KIND_SWAP)
        cdef Template* front = self.templates.get(choice.templates[0])
        cdef Template* back = self.templates.get(choice.templates[2])
        cdef int actor = self.pick_user(front), victim = self.pick_user(front)
        cdef uint64_t size = self.sizes[QUANTILES // 2 + draw_below(&self.rng, QUANTILES // 2)], got
        if actor == victim or front.user_class != back.user_class:
            return 0
        if not self.emit(choice.templates[0], actor, actor, size, 0, 0):
            return 0
        got = self.r[R_RECEIVED]
        self.emit(choice.templates[0], victim, victim, size, 0, 0)
        self.emit(choice.templates[2], actor, actor, 0, got, 0)
        return 1

    # -- a block ---------------------------------------------------------------------------------

    def block(self, bytes header, uint32_t n, uint32_t n_votes, uint32_t n_sandwiches,
              int64_t block_time, uint64_t root, uint32_t number=0, agenda=()):
        """Makes one block's transactions: (data, ends, votes, leg records, counts).

        number: of the slot, LEADER_SLOTS of which in a row have one leader; agenda: pairs of a
        number of transactions and what is called as soon as there are as many, in this order.

        data: `header` and the transactions as field 4 of ConfirmedBlock; ends: int64 (n,), where
        each ends in data; votes: uint8 (n,), 1 for a vote; records: structured array LEG_RECORD;
        counts: dict."""
        cdef uint32_t left = n, votes_left = n_votes, done, turn, stuck = 0
        cdef uint32_t n_validators = <uint32_t>self.validators.shape[0]
        cdef uint32_t validator = draw_below(&self.rng, n_validators)
        cdef uint32_t threshold
        cdef int kind, n_users = <int>self.users.shape[0]
        cdef size_t due = 0
        self.turn = number
        self.begin(header)
        self.r[R_TIME] = <uint64_t>block_time
        self.r[R_ROOT] = root
        while self.counts.transactions < n or due < len(agenda):
            if due < len(agenda) and (self.counts.transactions >= n
                                      or self.counts.transactions >= agenda[due][0]):
                due += 1
                agenda[due - 1][1]()
                continue
            left = n - self.counts.transactions
            if draw_below(&self.rng, left) < votes_left:
                validator = (validator + 1) % n_validators
                kind = draw_below(&self.rng, <uint32_t>self.vote_templates.shape[0])
                self.emit(self.vote_templates[kind], validator, validator, 0, 0, 0)
                self.counts.votes += 1
                votes_left -= 1
                continue
            if n_sandwiches and left > votes_left + 3 and draw_below(&self.rng, left) < 8:
                n_sandwiches -= 1
                self.sandwich()
                continue
            threshold = <uint32_t>(draw(&self.rng) >> 32)
            kind = 0
            while threshold > self.kind_thresholds[kind]:
                kind += 1
            done = 0
            for turn in range(4):
                if kind == KIND_TRANSFER:
                    break
                if kind == KIND_TOKEN_TRANSFER:
                    done = self.token_transfer()
                elif kind == KIND_ARBITRAGE:
                    done = self.arbitrage()
                else:
                    done = self.swap(kind)
                if done:
                    break
            if not done:
                done = self.transfer(draw_below(&self.rng, n_users),
                                     self.sizes[draw_below(&self.rng, QUANTILES)])
            stuck = 0 if done else stuck + 1
            if stuck > 10_000:
                raise RuntimeError("nobody can pay for a transaction any more")
        return (*self.finish(), {
            "transactions": self.counts.transactions, "votes": self.counts.votes,
            "failed": self.counts.failed,
            "succeeded":
                self.counts.transactions - self.counts.votes - self.counts.failed,
            "tips": self.counts.tips, "tip_lamports": self.counts.tip_lamports,
            "fee_lamports": self.counts.fee_lamports, "signatures": self.counts.signatures,
        })
