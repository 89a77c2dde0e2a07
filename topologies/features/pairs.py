"""Which mint of a pair is the quote: the one that prices are told in.

Hub mints quote the others. Of two hub mints the one that comes first here does: dollars before
SOL, SOL before what is staked of it. Of two mints that are no hubs the one whose 32 bytes compare
larger does (so the base is the mint whose market is the home of the pair's swaps).
"""

from solders.pubkey import Pubkey

_RANKED = (
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",  # USDC
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",  # USDT
    "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo",  # PYUSD
    "USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA",  # USDS
    "2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH",  # USDG
    "So11111111111111111111111111111111111111112",  # wrapped SOL
    "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn",  # jitoSOL
    "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So",  # mSOL
    "bSo13r4TkiE4KumL71LsHTPpL2euBYLFx6h9HP3piy1",  # bSOL
)

QUOTE_MINTS: tuple[bytes, ...] = tuple(bytes(Pubkey.from_string(mint)) for mint in _RANKED)
"""Hub mints, 32 bytes each, the best rank first."""
