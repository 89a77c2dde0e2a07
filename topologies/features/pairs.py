"""Which mint of a pair is the quote: the one that prices are told in.

Of two mints the one that comes first in this ranking is: dollars before SOL, SOL before what is
staked of it, and all of them before the rest. Of two that are not in it the one whose 32 bytes
compare larger is.
"""

from collections.abc import Iterable

from mevstream.cext.base58 import decode_sized

_RANKED = (
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",  # USDC
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",  # USDT
    "USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB",  # USD1
    "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo",  # PYUSD
    "USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA",  # USDS
    "2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH",  # USDG
    "So11111111111111111111111111111111111111112",  # wrapped SOL
    "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn",  # jitoSOL
    "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So",  # mSOL
    "bSo13r4TkiE4KumL71LsHTPpL2euBYLFx6h9HP3piy1",  # bSOL
)


def quote_mints(hubs: Iterable[str] = ()) -> tuple[bytes, ...]:
    """The ranking, 32 bytes each: the mints above, then the other hub mints (base58)."""
    return tuple(decode_sized(mint, 32) for mint in dict.fromkeys((*_RANKED, *hubs)))


QUOTE_MINTS = quote_mints()
