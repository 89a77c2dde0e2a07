"""Addresses, discriminators and tags of the programs that the simulator speaks.

Sources: the programs' own repositories and IDLs as collected in the protocol facts (sections 2,
4.1, 5.5, 5.6); layouts of log lines from mainnet blocks.
"""

from enum import IntEnum

from solders.pubkey import Pubkey


def key(text: str) -> bytes:
    """32 raw bytes of a base58 address."""
    return bytes(Pubkey.from_string(text))


class Venue(IntEnum):
    """Numbers that cext/synth.pyx uses; `VENUE_NAMES` has the names of the records."""

    RAYDIUM_V4 = 0
    RAYDIUM_CPMM = 1
    RAYDIUM_CLMM = 2
    WHIRLPOOL = 3
    DLMM = 4
    PUMP_SWAP = 5
    PUMP_FUN = 6


VENUE_NAMES = (
    "raydium_amm_v4",
    "raydium_cpmm",
    "raydium_clmm",
    "orca_whirlpool",
    "meteora_dlmm",
    "pump_swap",
    "pump_fun",
)
ROUTER_NAME = "jupiter_v6"

SYSTEM = "11111111111111111111111111111111"
COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
VOTE = "Vote111111111111111111111111111111111111111"
SPL = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
SPL_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
ASSOCIATED = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
RENT_SYSVAR = "SysvarRent111111111111111111111111111111111"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
RAYDIUM_V4 = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
RAYDIUM_CPMM = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"
RAYDIUM_CLMM = "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"
WHIRLPOOL = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"
DLMM = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
PUMP_SWAP = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"
PUMP_FUN = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
PUMP_FEES = "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ"
OPENBOOK = "srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX"

KAMINO = "KLend2g3cP87fffoy8q1mQqGKjrxjC8boSyAYavgmjD"
SAVE = "So1endDq2YkqhipRh3WViPa8hdiSpxWy6z3Z6tMCpAo"
MARGINFI = "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA"
DRIFT = "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH"
INSTRUCTIONS_SYSVAR = "Sysvar1nstructions1111111111111111111111111"

VENUE_PROGRAMS = (
    RAYDIUM_V4,
    RAYDIUM_CPMM,
    RAYDIUM_CLMM,
    WHIRLPOOL,
    DLMM,
    PUMP_SWAP,
    PUMP_FUN,
)

RAYDIUM_V4_AUTHORITY = "5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1"
RAYDIUM_CPMM_AUTHORITY = "GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL"
PUMP_EVENT_AUTHORITY = "Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1"
PUMP_SWAP_EVENT_AUTHORITY = "GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR"
DLMM_EVENT_AUTHORITY = "D1ZN9Wj1fRSUQfCjhvnu1hqDMT7hzjzBBpi12nVniYD6"
JUPITER_EVENT_AUTHORITY = "D8cy77BBepLMngZx6ZukaTff5hCt1HrWyKk3Hnd9oitf"
PUMP_GLOBAL = "4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf"
PUMP_SWAP_CONFIG = "ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw"

# Accounts that stand in many transactions and hold no state of the simulation.
FIXED = (
    SYSTEM,
    COMPUTE_BUDGET,
    VOTE,
    SPL,
    SPL_2022,
    ASSOCIATED,
    MEMO,
    RENT_SYSVAR,
    JUPITER,
    RAYDIUM_V4,
    RAYDIUM_CPMM,
    RAYDIUM_CLMM,
    WHIRLPOOL,
    DLMM,
    PUMP_SWAP,
    PUMP_FUN,
    PUMP_FEES,
    OPENBOOK,
    RAYDIUM_V4_AUTHORITY,
    RAYDIUM_CPMM_AUTHORITY,
    PUMP_EVENT_AUTHORITY,
    PUMP_SWAP_EVENT_AUTHORITY,
    DLMM_EVENT_AUTHORITY,
    JUPITER_EVENT_AUTHORITY,
    PUMP_GLOBAL,
    PUMP_SWAP_CONFIG,
)

# The same, of what only agents use.
AGENTS_FIXED = (KAMINO, SAVE, MARGINFI, DRIFT, INSTRUCTIONS_SYSVAR)

TIP_ACCOUNTS = (
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
    "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
    "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
    "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
    "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
)

WSOL = "So11111111111111111111111111111111111111112"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"

# Programs without a virtual machine: their log has no "consumed" line.
BUILTINS = frozenset({SYSTEM, COMPUTE_BUDGET, VOTE})

EVENT_TAG = bytes.fromhex("e445a52e51cb9a1d")


class Disc:
    """First eight bytes of instruction data and events."""

    SWAP = bytes.fromhex("f8c69e91e17587c8")
    SWAP_V2 = bytes.fromhex("2b04ed0b1ac91e62")
    SWAP_2 = bytes.fromhex("414b3f4ceb5b5b88")
    TWO_HOP_SWAP = bytes.fromhex("c360ed6c44a2dbe6")
    TWO_HOP_SWAP_V2 = bytes.fromhex("ba8fd11dfe02c275")
    CPMM_SWAP_BASE_INPUT = bytes.fromhex("8fbe5adac41e33de")
    BUY = bytes.fromhex("66063d1201daebea")
    SELL = bytes.fromhex("33e685a4017f83ad")
    ROUTE = bytes.fromhex("e517cb977ae3ad2a")
    SHARED_ROUTE = bytes.fromhex("c1209b3341d69c81")
    EVENT_SWAP = bytes.fromhex("40c6cde8260871e2")
    EVENT_TRADED = bytes.fromhex("e1ca49af932ba096")
    EVENT_DLMM_SWAP = bytes.fromhex("516ce3becdd00ac4")
    EVENT_BUY = bytes.fromhex("67f4521f2cf57777")
    EVENT_SELL = bytes.fromhex("3e2f370aa503dc2a")
    EVENT_TRADE = bytes.fromhex("bddb7fd34ee661ee")
    # Positions.
    OPEN_POSITION_EXTENSIONS = bytes.fromhex("d42f5f5c726683fa")
    OPEN_POSITION_22 = bytes.fromhex("4dffae527d1dc92e")
    INCREASE_LIQUIDITY = bytes.fromhex("2e9cf3760dcdfbb2")
    DECREASE_LIQUIDITY = bytes.fromhex("a026d06f685b2c01")
    DECREASE_LIQUIDITY_V2 = bytes.fromhex("3a7fbc3e4f52c460")
    COLLECT_FEES = bytes.fromhex("a498cf631eba13b6")
    CLOSE_POSITION = bytes.fromhex("7b86510031446262")
    CLOSE_POSITION_EXTENSIONS = bytes.fromhex("01b6873b9b1963df")
    EVENT_INCREASED = bytes.fromhex("1e0790b566fe9ba1")
    EVENT_DECREASED = bytes.fromhex("a601244770cab5ab")
    EVENT_LIQUIDITY_CHANGE = bytes.fromhex("7ef0afce9e58996b")
    EVENT_POSITION_MADE = bytes.fromhex("641e57f9c4df9ace")
    EVENT_DECREASE = bytes.fromhex("3ade563a44325538")
    # Liquidations.
    KAMINO_LIQUIDATE = bytes.fromhex("b1479abce2854a37")
    MARGINFI_LIQUIDATE = bytes.fromhex("d6a997d5fba756db")
    DRIFT_LIQUIDATE_SPOT = bytes.fromhex("6b00802923e5fb12")
    EVENT_MARGINFI_LIQUIDATE = bytes.fromhex("a6a0f99ab72717f2")
    EVENT_DRIFT_LIQUIDATION = bytes.fromhex("7f11006cb60de735")


# Jupiter's `Swap` enum in a legacy route step, as seen in mainnet blocks (CPMM's was not: a
# stand-in); direction-dependent payloads follow the number.
JUPITER_SWAP = {
    Venue.RAYDIUM_V4: 0x07,
    Venue.RAYDIUM_CPMM: 0x34,
    Venue.RAYDIUM_CLMM: 0x1A,
    Venue.WHIRLPOOL: 0x11,
    Venue.DLMM: 0x26,
}
JUPITER_WHIRLPOOL_V2 = 0x2F
JUPITER_PUMP_FUN_SELL = 0x32
JUPITER_PUMP_SWAP_BUY = 0x48
JUPITER_PUMP_SWAP_SELL = 0x49

# The program's own code for "slippage exceeded", which most failed swaps end with.
SLIPPAGE_ERROR = {
    Venue.RAYDIUM_V4: (0x1E, "exceeds desired slippage limit"),
    Venue.RAYDIUM_CPMM: (0x1775, "ExceededSlippage"),
    Venue.RAYDIUM_CLMM: (0x1786, "TooLittleOutputReceived"),
    Venue.WHIRLPOOL: (0x1794, "AmountOutBelowMinimum"),
    Venue.DLMM: (0x1773, "ExceededAmountSlippageTolerance"),
    Venue.PUMP_SWAP: (0x1774, "ExceededSlippage"),
    Venue.PUMP_FUN: (0x1772, "TooMuchSolRequired"),
}
JUPITER_SLIPPAGE = (0x1771, "SlippageToleranceExceeded")
