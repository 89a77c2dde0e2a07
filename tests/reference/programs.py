"""Which instruction of which program is a swap, and where its accounts stand.

From the programs' sources, public interface descriptions, and the transfers that real transactions
show.
Negative positions count from the end.
"""

from dataclasses import dataclass

# Anchor discriminators that many programs share.
SWAP = "f8c69e91e17587c8"
SWAP2 = "414b3f4ceb5b5b88"
SWAP_V2 = "2b04ed0b1ac91e62"
BUY, SELL = "66063d1201daebea", "33e685a4017f83ad"
BASE_IN, BASE_OUT = "8fbe5adac41e33de", "37d96256a34ab4ad"
LAUNCH = "faea0d7bd59c13ec", "18d3742869039938", "9527de9bd37c981a", "5fc8472208090ba6"


@dataclass(frozen=True)
class Pool:
    """Positions in the account list: the pool, its two vaults, who signs for the trader."""

    pool: int
    vaults: tuple[int, int]
    trader: int


@dataclass(frozen=True)
class Curve:
    """A bonding curve whose lamports move without a token transfer: amounts from its event."""

    pool: int
    vault: int
    trader: int
    mint: int


@dataclass(frozen=True)
class Fill:
    """Two parties and no pool (request for quote): taker, maker, what the taker pays and gets."""

    taker: int
    maker: int


Shape = Pool | Curve | Fill | tuple[Pool, ...]

_CLMM: list[tuple[tuple[str, ...], Shape]] = [((SWAP, SWAP_V2), Pool(2, (5, 6), 0))]
_CPMM = Pool(3, (6, 7), 0)
_TWO_HOP_V2 = Pool(0, (9, 10), 14), Pool(1, (11, 12), 14)
_TOKEN_SWAP = Pool(0, (4, 5), 2)
_STABBLE: list[tuple[tuple[str, ...], Shape]] = [
    ((SWAP,), Pool(6, (3, 4), 0)),
    ((SWAP_V2,), Pool(8, (5, 6), 0)),
]

# program: (venue, [(prefixes, shape), …])
VENUES: dict[str, tuple[str, list[tuple[tuple[str, ...], Shape]]]] = {
    "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK": ("raydium_clmm", _CLMM),
    "HpNfyc2Saw7RKkQd8nEL4khUcuPhQ7WwY1B2qjx8jxFq": ("pancake_swap", _CLMM),
    "REALQqNEomY6cQGZJUGwywTBD2UmDT32rZcNnfxQ5N2": ("byreal", _CLMM),
    "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C": (
        "raydium_cpmm",
        [((BASE_IN, BASE_OUT), _CPMM)],
    ),
    "GAMMA7meSFWaBXF25oSUgmGRwaW6sCMFLmBNiMSdbHVT": (
        "goosefx_gamma",
        [((BASE_IN, BASE_OUT, "ef52c0bba01adfdf"), _CPMM)],
    ),
    "LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj": (
        "raydium_launchlab",
        [(LAUNCH, Pool(4, (7, 8), 0))],
    ),
    "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc": (
        "orca_whirlpool",
        [
            ((SWAP,), Pool(2, (4, 6), 1)),
            ((SWAP_V2,), Pool(4, (8, 10), 3)),
            (("c360ed6c44a2dbe6",), (Pool(2, (5, 7), 1), Pool(3, (9, 11), 1))),
            (("ba8fd11dfe02c275",), _TWO_HOP_V2),
        ],
    ),
    "fUSioN9YKKSa3CUC2YUc4tPkHJ5Y6XW1yz8y6F7qWz9": (
        "fusion_amm",
        [((SWAP,), Pool(4, (9, 10), 3)), (("c360ed6c44a2dbe6",), _TWO_HOP_V2)],
    ),
    "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo": (
        "meteora_dlmm",
        [
            (
                (
                    SWAP,
                    SWAP2,
                    "fa49652126cf4bb8",
                    "2bd7f784893cf351",
                    "38ade6d0ade49ccd",
                    "4a62c0d6b1334b33",
                ),
                Pool(0, (2, 3), 10),
            )
        ],
    ),
    "Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB": (
        "meteora_damm_v1",
        [((SWAP,), Pool(0, (5, 6), 12))],
    ),
    "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG": (
        "meteora_damm_v2",
        [((SWAP, SWAP2), Pool(1, (4, 5), 8))],
    ),
    "dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN": (
        "meteora_dbc",
        [((SWAP, SWAP2), Pool(2, (5, 6), 9))],
    ),
    "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P": (
        "pump_fun",
        [
            ((BUY, "38fc74089edfcd5f", SELL), Curve(3, 4, 6, 2)),
            (("b817ee6167c5d33d", "c2ab1c46684d5b2f", "5df6823ce7e940b2"), Curve(10, 11, 13, 1)),
        ],
    ),
    "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA": (
        "pump_swap",
        [((BUY, SELL, "c62e1552b4d9e870"), Pool(0, (7, 8), 1))],
    ),
    "PhoeNiXZ8ByJGLkxNfZRnkUfjvmuYqLR89jjFHGqdXY": ("phoenix", [(("00",), Pool(2, (6, 7), 3))]),
    "opnb2LAfJYbRMAHHvqjCwQxanZn7ReEHp1k81EohpZb": (
        "openbook_v2",
        [(("032c47031ac7cb55",), Pool(2, (6, 7), 0))],
    ),
    "MNFSTqtC93rEfYHB6hF82sKdZpUDFWkViLByLd1k1Ms": (
        "manifest",
        [(("04",), Pool(1, (5, 6), 0)), (("0d",), Pool(2, (6, 7), 1))],
    ),
    "2wT8Yq49kHgDzXuPxZSaeLaH1qbmGXtEyPy64bL7aD3c": (
        "lifinity_v2",
        [((SWAP,), Pool(1, (5, 6), 2))],
    ),
    "SSwpkEEcbUqx4vtoEByFjSkhKdCT862DNVb52nZg1UZ": ("saber", [(("01",), Pool(0, (4, 5), 2))]),
    "swapNyd8XiQwJ6ianp9snpu4brUqFxadzvHebnAXjJZ": ("stabble_stable", _STABBLE),
    "swapFpHZwjELNnjvThjajtiVmkz3yPQEHjLtka2fwHW": ("stabble_weighted", _STABBLE),
    "DjVE6JNiYqPL2QXyCUUh8rNjHrbz9hXHNYt99MQ59qw1": ("orca_v1", [(("01",), _TOKEN_SWAP)]),
    "9W959DqEETiGZocYWCQPaJ6sBmUzgfxXfqGeTEdp3aQP": ("orca_v2", [(("01",), _TOKEN_SWAP)]),
    "SSwapUtytfBdBn1b9NUGG6foMVPtcWgpRU32HToDUZr": ("saros", [(("01",), _TOKEN_SWAP)]),
    "FLUXubRmkEi2q6K3Y9kBPg9248ggaZVsoSFhtJHSrm1X": ("fluxbeam", [(("01",), _TOKEN_SWAP)]),
    "MERLuDFBMmsHnsBPZw2sDQZHvXFMwp8EdjudcU2HKky": ("mercurial", [(("04",), Pool(0, (4, 5), 3))]),
    "HyaB3W9q6XdA5xwpU4XnSZV94htfmbmqJXZcEbRaJutt": ("invariant", [((SWAP,), Pool(1, (5, 6), 7))]),
    "DEXYosS6oEGvk8uCDayvwEZz4qEyDJRf9nFgYCaqPMTm": (
        "one_dex",
        [(("0897f54caccb9027",), Pool(1, (3, 4), 5))],
    ),
    "6dMXqGZ3ga2dikrYS9ovDXgHGh5RUsb2RTUj6hrQXhk6": ("stabble_clmm", _CLMM),
    "HEAVENoP2qxoeuF8Dj2oT1GHEnu49U5mJYkdeC8BAX2o": (
        "heaven",
        [((BUY, SELL), Pool(4, (10, 11), 5))],
    ),
    "5U3EU2ubXtK84QcRjWVmYt9RaDyA8gKxdUrPFXmZyaki": (
        "virtuals",
        [((BUY, SELL), Pool(1, (5, 8), 0))],
    ),
    "vrTGoBuy5rYSxAfV3jaRJWHH6nN9WK4NRExGxsk1bCJ": (
        "vertigo",
        [((BUY, SELL), Pool(0, (7, 8), 1))],
    ),
    "H8W3ctz92svYg6mkn1UtGfu2aQr2fnUFHM1RhScEtQDt": ("cropper", [((SWAP,), Pool(2, (4, 6), 1))]),
    "C1ear1po7kcLBZiiArGMXPhGnjRZ8KxkqQ8EEskzHWmc": (
        "dflow_clearpool",
        [((SWAP,), Pool(2, (4, 6), 1))],
    ),
    "EewxydAPCCVuNEyrVN68PuSYdQ7wKn27V9Gjeoi8dy3S": (
        "lifinity_v1",
        [((SWAP,), Pool(1, (5, 6), 2))],
    ),
    "NUMERUNsFCP3kuNmWZuXtm1AaQCPj9uw6Guv2Ekoi5P": (
        "perena",
        [
            (
                (
                    "68688356a1bdb4d8",
                    "62eff4e910ec2831",
                    "44d1b1aab9641dbf",
                    "fa49652126cf4bb8",
                    "99d0ce463eea62b6",
                ),
                Pool(0, (5, 6), 8),
            )
        ],
    ),
    "WooFif76YGRNjk1pA8wCsN67aQsD9f9iLsz4NcJ1AVb": ("woofi", [((SWAP,), Pool(4, (6, 11), 2))]),
    "BSwp6bEBihVLdqJRKGgzjcGLHkcTuzmSo1TQkHepzH8p": ("bonkswap", [((SWAP,), Pool(1, (4, 5), 8))]),
    "Gswppe6ERWKpUTXvRPfXdzHhiCyJvLadVvXGfdpBqcE1": ("guacswap", [((SWAP,), Pool(1, (4, 5), 8))]),
    "FUTARELBfJfQ8RDGhg1wdhddq1odMAJUePHFuBYfUxKq": (
        "metadao",
        [(("a7610ce7ed4ea6fb",), Pool(0, (3, 4), 5))],
    ),
    "PERPHjGBqRHArX4DySjwM6UJHiR3sWAatqfdBS2qQJu": (
        "jupiter_perps",
        [
            ((SWAP2,), Pool(5, (9, 13), 0)),
            (("8b8deec529d3ac13", "c52656a5c71726ea"), Pool(5, (8, 11), 0)),
        ],
    ),
    "AMM55ShdkoGRB5jVYPjWziwk8m5MpwyDgsMWHaMSQWH6": (
        "aldrin_v1",
        [((SWAP,), Pool(0, (3, 4), 6))],
    ),
    "CURVGoZn8zycx6FXwwevgBTB2gVvdbGTEpvMJDbgs2t4": (
        "aldrin_v2",
        [((SWAP,), Pool(0, (3, 4), 6))],
    ),
    "Dooar9JkhdZ7J3LHN3A7YCuoGRUggXhQaG4kijfLGU2j": ("stepn", [(("01",), _TOKEN_SWAP)]),
    "SwaPpA9LAaLfeLi3a68M4DjnLqgtticKg6CnyNwgAC8": ("token_swap", [(("01",), _TOKEN_SWAP)]),
    # Proprietary market makers.
    "9H6tua7jkLhdm3w8BvgpTn5LZNU7g4ZynDmCiNN3q6Rp": ("humidifi", [(("",), Pool(1, (2, 3), 0))]),
    "ZERor4xhbUycZ6gb9ntrhqscUcZmAbQDjEAtCf4hbZY": ("zerofi", [(("06",), Pool(0, (2, 4), 7))]),
    "SoLFiHG9TfgtdUXUjWAxi3LtvYuFyDLVhBWxdMZxyCe": ("solfi", [(("07",), Pool(1, (2, 3), 0))]),
    "SV2EYYJyRz2YhfXwXnhNAevDEui5Q6yrfyo13WtupPF": ("solfi_v2", [(("07",), Pool(1, (4, 5), 0))]),
    "TessVdML9pBGgG9yGks7o4HewRaXVAMuoVj4x83GLQH": (
        "tessera",
        [(("10", "11"), Pool(1, (3, 4), 2))],
    ),
    "obriQD1zbpyLz95G5n7nJe6a4DPjpFwa5XYPoNm113y": (
        "obric_v2",
        [((SWAP, SWAP2), Pool(0, (3, 4), 10))],
    ),
    "goonERTdGsjnkZqWuVjs73BZ3Pb9qoCUdBUL17BnS5j": ("goonfi", [(("02",), Pool(1, (4, 5), 0))]),
    "goonuddtQRrWqqn5nFyczVKaie28f3kDkHWkHtURSLE": ("goonfi_v2", [(("01",), Pool(1, (4, 5), 0))]),
    "BiSoNHVpsVZW2F7rx2eQ59yQwKxzU5NvBcmKshCSUypi": (
        "bisonfi",
        [(("02", "07"), Pool(1, (2, 3), 0))],
    ),
    "ALPHAQmeA7bjrVuccPsYPiCvsi428SNwte66Srvs4pHA": ("alphaq", [(("0c",), Pool(1, (5, 6), 0))]),
    "SCoRcH8c2dpjvcJD6FiPbCSQyQgu3PcUAWj2Xxx3mqn": ("scorch", [(("02",), Pool(0, (4, 5), 1))]),
    "61DFfeTKM7trxYcPQCM78bJ794ddZprZpAwAnLiwTpYH": (
        "jupiter_order_engine",
        [(("a860b7a35c0a28a0",), Fill(0, 1))],
    ),
}
# Raydium AMM v4 and its stable-curve sibling have positions that depend on the account count.
RAYDIUM_V4 = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
RAYDIUM_STABLE = "5quBtoiQqxF9Jv6KYKctB59NT3gtJD2Y65kdnB1Uev3h"

ROUTERS: dict[str, str] = {
    "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4": "jupiter_v6",
    "JUP4Fb2cqiRUcaTHdrPC8h2gNsA2ETXiPDD33WcGuJB": "jupiter_v4",
    "JUP2jxvXaqu7NQY1GmNF4m1vodw12LVXYxbFL2uJvfo": "jupiter_v2",
    "6m2CDdhRgxpH4WjvdzxAYbGxwdGUz5MziiL5jek2kBma": "okx_dex",
    "proVF4pMXVaYqmy4NjniPh4pqKNfMmsihgd4wdkCX3u": "okx_dex_v2",
    "DF1ow4tspfHX9JwWJsAb9epbkA8hmpSEAtxXy1V27QBH": "dflow",
    "T1TANpTeScyeqVzzgNViGDNrkQ6qHz9KrSBS4aNXvGT": "titan",
    "routeUGWgWzqBWFcrCfv8tritsqukccJPu3q5GPP3xS": "raydium_router",
    "HuTkmnrv4zPnArMqpbMbFhfwzTR7xfWQZHH1aQKzDKFZ": "liquid_mesh",
    "NinafKYvKDCH26v6uEpfDjyuDjjpbdfhiPjrJV6FTFs": "nina",
    "BSfD6SHZigAfDWSjzD5Q41jw8LmKwtmjskPH9XW1mrRW": "photon",
    "FLASHX8DrLbgeR8FcfNV1F5krxYcYMUdBkrP1EPBtxB9": "axiom",
    "b1oomGGqPKGD6errbyfbVMBuzSC8WtAAYo8MwNafWW1": "bloom",
    "NoVA1TmDUqksaj2hB1nayFkPysjJbFiU76dT4qPw2wm": "nova",
    "minTcHYRLVPubRK8nt6sqe2ZpWrGDLQoNLipDJCGocY": "mintech",
    "BANANAjs7FJiPQqJTGFzkZJndT9o7UmKiYYGaJz6frGu": "banana_gun",
    "MAyhSmzXzV1pTf7LsNkrNwkWKTo4ougAJ1PPg47MD4e": "pump_mayhem",
}

# Programs with two-sided token flows that are no trade with a pool: lending, perpetuals, vaults,
# escrows and orders, order books' settlement, markets for NFTs, stake pools.
NOT_A_VENUE = frozenset(
    [
        "KLend2g3cP87fffoy8q1mQqGKjrxjC8boSyAYavgmjD",
        "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA",
        "So1endDq2YkqhipRh3WViPa8hdiSpxWy6z3Z6tMCpAo",
        "jupr81YtYssSyPt8jbnGuiWon5f6x9TcDEFxYe3Bdzi",
        "jupeiUmn818Jg1ekPURTpr4mFo29p46vygyykFJ3wZC",
        "jup3YeL8QhtSx1e253b2FDvsMNC87fDrgQZivbrndc9",
        "jupgfSgfuAXv4B6R2Uxu85Z1qdzgju79s6MfZekN6XS",
        "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH",
        "PERPHjGBqRHArX4DySjwM6UJHiR3sWAatqfdBS2qQJu",
        "4MangoMjqJ2firMokCjjGgoK8d4MXcrgL7XJaL3w6fVg",
        "ZETAxsqBRek56DhiGXrn75yj2NHU3aYUnxvHXpkf3aD",
        "FarmsPZpWu9i7Kky8tPN37rs2TpmMrAZrC7S7vJa91Hr",
        "vVoLTRjQmtFpiYoegx285Ze4gsLJ8ZxgFKVcuvmG1a8",
        "to6Eti9CsC5FGkAtqiPphvKD2hiQiLsS8zWiDBqBPKR",
        "24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi",
        "vo1tWgqZMjG61Z2T9qUaMYKqZ75CYzMuaZ2LZP1n7HV",
        "LockrWmn6K5twhz3y9w1dQERbmgSaRkfnTeTKbpofwE",
        "deus4Bvftd5QKcEkE5muQaWGWDoma8GrySvPFrBPjhS",
        "T8HsGYv7sMk3kTnyaRqZrbRPuntYzdh12evXBkprint",
        "strmRqUCoQUgGUan5YhzUZa6KqdzwX5L6FpUxfmKg5m",
        "DCA265Vj8a9CEuX1eb1LWRnDT7uK6q1xMipnNyatn23M",
        "VALaaymxQh2mNy2trH9jUqHT1mTow76wpTcGmSWSwJe",
        "j1o2qRpjcyUwEvwtcfhEQefh773ZgjxcVRry7LDqg5X",
        "jupoNjAxXgZ4rjzxzPMP4oxduvQsQtZzyknqvzYNrNu",
        "LiMoM9rMhrdYrfzUCxQppvxCSG1FcrUK9G8uLq4A1GF",
        "srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX",
        "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin",
        "mmm3XBJg5gk8XJxEKBvdgptZz6SgK4tXvn36sodowMc",
        "SPoo1Ku8WFXoNDMHPsrGSTSG1Y47rzgn41SLUNakuHy",
        "treaf4wWBBty3fHdyBpo35Mz84M8k3heKXmjmi9vFt5",
    ]
)
