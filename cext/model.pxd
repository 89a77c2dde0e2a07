"""The structs that the decoding modules share: one transaction at a time, as plain C data.

Pointers point into the message that is being decoded; nothing is copied until a row is written.
Accounts are named by their index in the transaction's key table (static keys, loaded writable,
loaded readonly), which one byte can hold on the wire.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    NONE = 0xFFFFFFFF
    NO_ACCOUNT = 0xFFFF
    MAX_KEYS = 256
    MAX_LEGS = 1024        # of one transaction; bounds the work that a forged one can cause
    MAX_CHANGES = 512      # of liquidity, of one transaction: an instruction makes two at most
    MAX_LIQUIDATIONS = 256
    MAX_LINKS = 256        # an instruction makes one at most
    NO_TICK = -0x80000000

# What a program is, as far as decoding cares (registry.pyx).
cdef enum ProgramKind:
    OTHER = 0          # known, and its two-sided transfers are no swap (lending, vaults, …)
    VENUE = 1
    ROUTER = 2
    TOKEN = 3
    TOKEN_2022 = 4
    SYSTEM = 5
    COMPUTE_BUDGET = 6
    VOTE = 7
    LEAF = 8           # calls nobody: memo, associated token account, …

# How a venue's programs tell what they did.
cdef enum EventTransport:
    EVENT_NONE = 0
    EVENT_LOG = 1      # log line "Program data: <base64>"
    EVENT_SELF_CPI = 2 # inner instruction to the program itself
    EVENT_RAY_LOG = 3  # log line "Program log: ray_log: <base64>"

# Bits of Leg.flags: swap_flags in schemas/parsed.proto.
cdef enum LegFlag:
    EVENT_CONFIRMED = 1
    EVENT_DIFFERS = 2
    ROUTER_CONFIRMED = 4
    ROUTER_DIFFERS = 8
    RESERVES_KNOWN = 16
    FEE_TOLD = 32
    FEE_IN_OUTPUT = 64
    AMOUNTS_FROM_EVENT = 128
    CREATOR_FEE = 256

# Bits of Change.flags and Liquidation.flags: liquidity_flags and liquidation_flags in
# schemas/parsed.proto, beside those above.
cdef enum ChangeFlag:
    DELTA_TOLD = 256
    SHARE_TOKENS = 256
    AMOUNTS_UNKNOWN = 512

# liquidity_kind in schemas/parsed.proto, and what only the registry's rows have.
cdef enum ChangeKind:
    ADD = 0
    REMOVE = 1
    OPEN = 2
    CLOSE = 3
    COLLECT = 4
    OPEN_AND_ADD = 5   # an addition, or an opening if nothing is added
    MOVE = 6           # a removal and an addition by one instruction

# Defined at the end; the rows of the registry and what they decode refer to each other.
cdef struct Program
cdef struct Decoded

cdef struct Instruction:
    const uint8_t* data
    const uint8_t* accounts    # one byte an index
    uint32_t n_data
    uint32_t n_accounts
    uint32_t program           # key index; NONE where it lies outside the table
    uint32_t outer
    uint32_t inner             # NONE for a top-level instruction
    uint32_t height            # 1 for a top-level instruction
    uint32_t parent            # execution position of the caller; NONE at the top
    uint32_t end               # one past the last instruction that runs below this one

# A token account that the balances of the transaction name, or that it creates itself.
cdef struct TokenAccount:
    const uint8_t* pre         # TokenBalance message, NULL where there is none
    const uint8_t* post
    uint32_t n_pre
    uint32_t n_post
    uint16_t account
    bint decoded               # the fields below are filled on first use
    bint has_mint
    bint has_owner
    bint token_2022
    uint8_t decimals           # 255 unknown
    uint8_t mint[32]
    uint8_t owner[32]
    uint64_t pre_amount
    uint64_t post_amount

cdef struct Transfer:
    uint32_t position          # of its instruction, in execution order
    uint16_t source
    uint16_t destination
    uint16_t authority
    uint16_t mint              # account index; NO_ACCOUNT for a plain transfer
    uint64_t amount            # as sent
    uint64_t fee               # withheld on arrival, as the instruction or the balances tell
    bint silent                # may have a fee that the instruction does not tell

# What a venue's event tells of the pool's curve: swap_mode to swap_withheld_in in
# schemas/parsed.proto. The defaults are `untold`.
cdef enum:
    EXACT_IN = 0
    EXACT_OUT = 1

cdef struct CurveTold:
    uint32_t mode              # NONE
    uint32_t side              # NONE
    uint32_t rate[3]           # 1e-9: pool (or all), protocol, creator; NONE
    uint32_t tick_before       # or the bin; NO_TICK
    uint32_t tick
    uint64_t reserve_in        # what the curve prices by, before the leg; 0
    uint64_t reserve_out
    uint64_t root_before[2]    # Q64.64, low word first; 0
    uint64_t root[2]           # after the leg
    uint64_t liquidity[2]      # after the leg
    uint64_t withheld_in       # Token-2022 transfer fee, part of amount_in that does not arrive

cdef inline void curve_untold(CurveTold* curve) noexcept nogil:
    """Expects zeroed memory."""
    curve.mode = curve.side = curve.rate[0] = curve.rate[1] = curve.rate[2] = NONE
    curve.tick_before = curve.tick = <uint32_t>NO_TICK

cdef struct Leg:
    const Program* venue
    const uint8_t* mint_in     # 32 bytes, NULL unknown
    const uint8_t* mint_out
    uint32_t position          # of its instruction, in execution order
    uint32_t number            # of this leg in its instruction
    uint16_t pool
    uint16_t trader
    uint16_t vault_in
    uint16_t vault_out
    uint32_t router            # execution position of the calling router; NONE
    uint32_t flags
    uint8_t decimals_in
    uint8_t decimals_out
    uint64_t amount_in
    uint64_t amount_out
    uint64_t withheld_in       # transfer fees of the transfers into the vault
    uint64_t trader_in
    uint64_t trader_out
    uint64_t reserve_in
    uint64_t reserve_out
    uint64_t fee
    int64_t signers_in         # change of what the signers hold of mint_in (holdings.pyx)
    double price_after         # mint_out per mint_in, base units; NaN unknown
    CurveTold curve
    bint event_seen
    bint router_seen

# A change of a liquidity position.
cdef struct Change:
    const Program* venue
    const uint8_t* mint_a      # 32 bytes, NULL unknown
    const uint8_t* mint_b
    uint32_t position          # of its instruction, in execution order
    uint32_t number            # of this row in its instruction
    ChangeKind kind
    uint32_t flags
    uint16_t pool
    uint16_t holder            # the account of the liquidity position
    uint16_t owner
    uint16_t vault_a
    uint16_t vault_b
    uint8_t decimals_a
    uint8_t decimals_b
    int32_t lower              # NO_TICK unknown
    int32_t upper
    int32_t tick
    uint64_t amount_a
    uint64_t amount_b
    uint64_t fee_a
    uint64_t fee_b
    uint64_t delta[2]          # low, high
    uint64_t reserve_a
    uint64_t reserve_b
    bint event_seen

# A liquidation. Keys are copied: an event in a log is decoded into a buffer that is reused.
cdef struct Liquidation:
    const Program* protocol
    uint32_t position
    uint32_t number
    uint32_t kind
    uint32_t flags
    uint16_t liquidator
    uint16_t account
    uint16_t repay_vault       # for decimals
    uint16_t collateral_vault
    bint has_owner
    bint has_repay_mint
    bint has_collateral_mint
    uint8_t owner[32]
    uint8_t repay_mint[32]
    uint8_t collateral_mint[32]
    uint8_t repay_decimals
    uint8_t collateral_decimals
    uint32_t repay_market      # NONE
    uint32_t collateral_market
    uint64_t repay_amount
    uint64_t collateral_amount
    uint64_t fee
    bint event_seen
    bint nothing               # the event says that nothing moved

cdef struct Transaction:
    const uint8_t* begin
    uint32_t n_bytes
    const uint8_t* signature   # 64 bytes, NULL where there is none
    uint32_t n_signatures
    uint32_t n_required_signatures
    uint32_t n_readonly_signed
    uint32_t n_readonly_unsigned
    const uint8_t* keys[MAX_KEYS]
    uint32_t n_static
    uint32_t n_writable_loaded
    uint32_t n_keys
    uint32_t version           # parsed.proto: 0 legacy, 1 v0, 2 v1, NONE unknown
    bint partial               # something lies outside its table: decoded as far as it goes
    bint vote
    bint failed
    bint has_compute_units
    uint64_t fee
    uint64_t compute_units
    uint64_t payer_pre
    uint64_t payer_post
    const uint8_t* lamports_begin # position of the first lamport balance in the metadata; NULL
    const uint8_t* lamports_end
    bint has_config
    uint64_t config_priority_fee
    uint32_t config_cu_limit
    const uint8_t* error       # bincode of TransactionError
    uint32_t n_error
    const uint8_t* log_begin   # position of the first log line's field in the metadata
    const uint8_t* log_end
    const uint8_t* last_log    # text of the last line
    uint32_t n_last_log
    # In execution order, after `order_instructions`.
    Instruction* instructions
    uint32_t n_instructions
    uint32_t n_outer
    uint32_t capacity
    TokenAccount* token_accounts        # [MAX_KEYS]
    uint32_t n_token_accounts
    uint16_t token_account_of[MAX_KEYS] # index + 1 into token_accounts; 0 none
    void* key_cache            # keys by their base58 text (token_accounts.pyx)

# -- the registry's rows -------------------------------------------------------------------------

# How an instruction is recognised.
cdef struct Pattern:
    uint64_t discriminator     # as many leading bytes of the data as n_discriminator says
    uint32_t n_discriminator
    uint32_t min_accounts
    uint32_t max_accounts

# One swap instruction of a venue. Two rows with the same discriminator are two legs.
# Account positions count from the end where negative; NO_POSITION where the layout has none.
cdef enum:
    NO_POSITION = 0x7FFF

cdef struct SwapInstruction:
    Pattern call
    int16_t pool
    int16_t vault_a
    int16_t vault_b
    int16_t trader

# Finds the legs of an instruction that a table row cannot describe. Fills pool, trader and the
# two vaults (in any order) of at most `room` legs; returns how many.
ctypedef uint32_t (*LegFinder)(
    const Transaction* tx, const Instruction* ix, const Transfer* transfers, uint32_t n_transfers,
    Leg* legs, uint32_t room) noexcept nogil

# What a venue's event says of a leg. EVENT_OTHER: not a swap event, or of another pool.
cdef enum EventVerdict:
    EVENT_OTHER = 0
    EVENT_READ = 1

cdef struct SwapEvent:
    uint64_t amount_in         # as the pool saw it: comparable to Leg.amount_in
    uint64_t amount_out
    uint64_t fee
    bint amounts_not_comparable
    bint has_fee
    bint fee_in_output
    bint has_creator_fee
    double price_after         # NaN untold
    const uint8_t* mint_in     # where amounts come from the event alone
    const uint8_t* mint_out
    uint64_t trader_in
    uint64_t trader_out
    uint64_t reserve_in
    uint64_t reserve_out
    bint has_reserves
    CurveTold curve

ctypedef EventVerdict (*EventReader)(
    const Transaction* tx, const Leg* leg, const uint8_t* data, uint32_t n, SwapEvent* event) noexcept nogil

# Where the data of a liquidity instruction has the range of ticks or bins.
cdef enum RangeForm:
    RANGE_NONE = 0
    RANGE_PAIR = 1     # first and last
    RANGE_WIDTH = 2    # first and how many
    RANGE_LIST = 3     # a count (u32) of items that begin with a bin

cdef struct LiquidityInstruction:
    Pattern call
    ChangeKind kind
    int16_t pool
    int16_t holder             # the account of the liquidity position
    int16_t owner
    int16_t vault_a
    int16_t vault_b
    RangeForm range_form
    uint32_t range_at          # offset in the data
    uint32_t range_stride      # bytes an item
    uint32_t delta_at
    uint32_t delta_size        # 8 or 16 bytes; 0 where the data do not tell it

# What an event says of a liquidity change; several events may tell of one.
cdef struct ChangeEvent:
    bint has_amounts           # the last event of its instruction
    uint64_t amount_a          # as the vaults saw it: comparable to Change.amount_a
    uint64_t amount_b
    bint has_fees
    uint64_t fee_a
    uint64_t fee_b
    bint has_delta
    uint64_t delta[2]
    int32_t lower              # NO_TICK untold
    int32_t upper
    int32_t tick

ctypedef EventVerdict (*ChangeReader)(
    const Transaction* tx, const Change* change, const uint8_t* data, uint32_t n,
    ChangeEvent* event) noexcept nogil

cdef struct LiquidationInstruction:
    Pattern call
    uint32_t kind
    int16_t liquidator
    int16_t account
    int16_t repay_vault
    int16_t repay_mint
    int16_t collateral_vault
    int16_t collateral_mint
    int16_t share_vault        # where the collateral comes from if it is not redeemed
    int16_t fee_account
    bint fee_in_collateral
    bint from_event            # no token transfer shows the amounts

# Reads an event into the liquidation it tells of.
ctypedef EventVerdict (*LiquidationReader)(
    const Transaction* tx, Liquidation* liquidation, const uint8_t* data, uint32_t n) noexcept nogil

# Finds the legs of a liquidation that spans several instructions and ends with this one.
ctypedef uint32_t (*LiquidationFinder)(
    Transaction* tx, Decoded* d, uint32_t position, Liquidation* found, uint32_t room) noexcept nogil

cdef struct Program:
    uint8_t key[32]
    uint8_t text[48]           # base58, as log lines have it
    uint32_t n_text
    ProgramKind kind
    uint32_t name              # index into registry.NAMES
    const SwapInstruction* instructions
    uint32_t n_instructions
    bint amounts_from_event    # a curve that moves lamports without transfers
    EventTransport transport
    LegFinder legs
    EventReader event
    const LiquidityInstruction* changes
    uint32_t n_changes
    ChangeReader change_event
    const LiquidationInstruction* liquidations
    uint32_t n_liquidations
    LiquidationReader liquidation_event
    LiquidationFinder liquidation_legs

# link_kind in schemas/parsed.proto.
cdef enum LinkKind:
    GIVES_LAMPORTS = 0
    GIVES_TOKENS = 1
    CLOSES_TO = 2

# Something that one wallet gave to another one (links.pyx).
cdef struct Link:
    LinkKind kind
    uint16_t giver
    uint16_t account           # what it went into
    const uint8_t* receiver    # 32 bytes: whose account that is, or the account itself

# -- what swaps.pyx finds ------------------------------------------------------------------------

cdef struct Decoded:
    Leg* legs
    uint32_t n_legs
    Change* changes
    uint32_t n_changes
    Liquidation* liquidations
    uint32_t n_liquidations
    Link* links
    uint32_t n_links
    Transfer* transfers        # in execution order
    uint32_t n_transfers
    uint32_t attempts          # swap instructions, whether they moved anything or not
    const Program* program_of[MAX_KEYS]
    bint looked_up[MAX_KEYS]
    uint64_t tip               # lamports to Jito's tip accounts
    uint32_t tip_payer         # account index; NONE without a tip
    uint32_t cu_limit          # NONE unset
    uint64_t cu_price          # micro-lamports a unit
    bint dontfront
    bint signers_told          # whether the next one, and signers_in of the legs, are filled
    int64_t signers_lamports
