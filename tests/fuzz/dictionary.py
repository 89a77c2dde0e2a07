"""What random bytes would never hit: program ids, discriminators, boundary values, log lines."""

from hashlib import sha256
from struct import pack

from reference.changes import LAYOUTS, LIQUIDATIONS, leading
from reference.programs import RAYDIUM_STABLE, RAYDIUM_V4, ROUTERS, VENUES
from solders.pubkey import Pubkey


def _disc(name: str) -> bytes:
    """Anchor's discriminator: the first 8 bytes of sha256 of `global:…` or `event:…`."""
    return sha256(name.encode()).digest()[:8]


OTHER_PROGRAMS = (
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
    "11111111111111111111111111111111",
    "ComputeBudget111111111111111111111111111111",
    "Vote111111111111111111111111111111111111111",
    # A Jito tip account and wrapped SOL: no programs, but told by their key as well.
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
    "So11111111111111111111111111111111111111112",
)
LENDERS = (
    *{address: None for (_, address), _, _ in LIQUIDATIONS},
    "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA",
    "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH",
)
PROGRAMS = [
    bytes(Pubkey.from_string(address))
    for address in (RAYDIUM_V4, RAYDIUM_STABLE, *VENUES, *ROUTERS, *LENDERS, *OTHER_PROGRAMS)
]

_SELF_CPI = bytes.fromhex("e445a52e51cb9a1d")
EVENT_PREFIXES = [
    _disc(f"event:{name}")
    for name in (
        "SwapEvent",
        "Swap",
        "TradeEvent",
        "BuyEvent",
        "SellEvent",
        "EvtSwap",
        "EvtSwap2",
        "Traded",
        "SwapsEvent",
        "FillLog",
        "LiquidityIncreased",
        "LiquidityDecreased",
        "LiquidityRepositioned",
        "LiquidityChangeEvent",
        "CreatePersonalPositionEvent",
        "IncreaseLiquidityEvent",
        "DecreaseLiquidityEvent",
        "LpChangeEvent",
        "AddLiquidity",
        "RemoveLiquidity",
        "Rebalancing",
        "ClaimFee",
        "EvtLiquidityChange",
        "EvtAddLiquidity",
        "EvtRemoveLiquidity",
        "EvtClaimPositionFee",
        "BootstrapLiquidity",
        "DepositEvent",
        "WithdrawEvent",
        "CreatePoolEvent",
        "LendingAccountLiquidateEvent",
        "LiquidationRecord",
        "LogLiquidate",
    )
]

# What instruction data begins with: swaps, events told by a call to oneself, routes, token and
# system instructions.
PREFIXES = [
    *{
        bytes.fromhex(text): None
        for _, shapes in VENUES.values()
        for texts, _ in shapes
        for text in texts
    },
    *{leading(name): None for _, _, name, *_ in LAYOUTS},
    *{leading(name): None for _, name, _ in LIQUIDATIONS},
    *(_SELF_CPI + event for event in EVENT_PREFIXES),
    *(
        _disc(f"global:{name}")
        for name in ("route", "route_v2", "shared_accounts_route", "exact_out_route")
    ),
    *(bytes([tag]) for tag in (0, 1, 2, 3, 4, 6, 7, 9, 11, 12, 13, 15, 16, 17, 26)),
    *(pack("<I", tag) for tag in (0, 2, 11)),
    *(b"\x1a\x01", b"\x10\x00", b"\x02\x01"),
]

INTEGERS = [
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    0xFFFF,
    0x10000,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
]


AMOUNTS = [
    "",
    "0",
    "1",
    "00",
    "+1",
    "-1",
    " 1",
    "1 ",
    "1.5",
    "1e9",
    "0x10",
    "٣",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999",
    "0" * 40,
    "1" * 7,
    "12345678",
    "123456789",
    "1234567890123456",
]


KEY_TEXTS = [
    "",
    "1",
    "1" * 32,
    "1" * 33,
    "z" * 44,
    "z" * 43,
    "0OIl" * 11,
    "1" * 31 + "2",
    "é" * 20,
    "So11111111111111111111111111111111111111112",
    "x" * 400,
]


LOGS = [
    "",
    "Log truncated",
    "Program log: ",
    "Program log: ray_log: ",
    "Program data: ",
    "Program data: =",
    "Program data: ====",
    "Program data: QMbN6CYIceI=",
    "Program log: ray_log: A",
    "Program log: ray_log: A/////////////////////w==",
    "Program return: ",
    "Program 11111111111111111111111111111111 invoke [1]",
    "Program  invoke [1]",
    "Program JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4 invoke [99999999999999999999]",
    "Program JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4 invoke []",
    "Program 675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8 success",
    "Program 675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8 failed: custom program error: 0x1",
]
