"""What random bytes would never hit: program ids, discriminators, boundary values, log lines."""

from hashlib import sha256
from struct import pack

from solders.pubkey import Pubkey


def _disc(name: str) -> bytes:
    """Anchor's discriminator: the first 8 bytes of sha256 of `global:…` or `event:…`."""
    return sha256(name.encode()).digest()[:8]


PROGRAMS = [
    bytes(Pubkey.from_string(address))
    for address in (
        # Venues.
        "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
        "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK",
        "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C",
        "LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj",
        "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc",
        "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo",
        "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG",
        "Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB",
        "dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN",
        "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
        "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA",
        "PhoeNiXZ8ByJGLkxNfZRnkUfjvmuYqLR89jjFHGqdXY",
        "opnb2LAfJYbRMAHHvqjCwQxanZn7ReEHp1k81EohpZb",
        "MNFSTqtC93rEfYHB6hF82sKdZpUDFWkViLByLd1k1Ms",
        "2wT8Yq49kHgDzXuPxZSaeLaH1qbmGXtEyPy64bL7aD3c",
        "SoLFiHG9TfgtdUXUjWAxi3LtvYuFyDLVhBWxdMZxyCe",
        "ZERor4xhbUycZ6gb9ntrhqscUcZmAbQDjEAtCf4hbZY",
        "9H6tua7jkLhdm3w8BvgpTn5LZNU7g4ZynDmCiNN3q6Rp",
        "TessVdML9pBGgG9yGks7o4HewRaXVAMuoVj4x83GLQH",
        "obriQD1zbpyLz95G5n7nJe6a4DPjpFwa5XYPoNm113y",
        "goonERTdGsjnkZqWuVjs73BZ3Pb9qoCUdBUL17BnS5j",
        "BiSoNHVpsVZW2F7rx2eQ59yQwKxzU5NvBcmKshCSUypi",
        "ALPHAQmeA7bjrVuccPsYPiCvsi428SNwte66Srvs4pHA",
        "SCoRcH8c2dpjvcJD6FiPbCSQyQgu3PcUAWj2Xxx3mqn",
        "HpNfyc2Saw7RKkQd8nEL4khUcuPhQ7WwY1B2qjx8jxFq",
        "REALQqNEomY6cQGZJUGwywTBD2UmDT32rZcNnfxQ5N2",
        "swapFpHZwjELNnjvThjajtiVmkz3yPQEHjLtka2fwHW",
        # Routers.
        "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4",
        "JUP4Fb2cqiRUcaTHdrPC8h2gNsA2ETXiPDD33WcGuJB",
        "DF1ow4tspfHX9JwWJsAb9epbkA8hmpSEAtxXy1V27QBH",
        # Token, Token-2022, system, compute budget, vote, a Jito tip account.
        "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
        "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
        "11111111111111111111111111111111",
        "ComputeBudget111111111111111111111111111111",
        "Vote111111111111111111111111111111111111111",
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
        "So11111111111111111111111111111111111111112",
    )
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
    )
]

# What instruction data begins with.
PREFIXES = (
    [
        _disc(f"global:{name}")
        for name in (
            "swap",
            "swap2",
            "swap_v2",
            "swap_exact_out",
            "swap_exact_out2",
            "swap_with_price_impact",
            "swap_with_price_impact2",
            "swap_base_input",
            "swap_base_output",
            "swap_router_base_in",
            "two_hop_swap",
            "two_hop_swap_v2",
            "buy",
            "sell",
            "buy_v2",
            "sell_v2",
            "buy_exact_in",
            "buy_exact_out",
            "sell_exact_in",
            "sell_exact_out",
            "buy_exact_quote_in",
            "buy_exact_sol_in",
            "route",
            "route_v2",
            "shared_accounts_route",
            "exact_out_route",
        )
    ]
    + [_SELF_CPI + event for event in EVENT_PREFIXES]
    + [bytes([tag]) for tag in (0, 1, 2, 3, 4, 6, 7, 9, 11, 12, 13, 15, 16, 17, 26)]
    + [pack("<I", tag) for tag in (0, 2, 11)]
    + [b"\x1a\x01", b"\x10\x00", b"\x02\x01"]
)

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
