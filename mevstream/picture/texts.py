"""Numbers, keys and names as a reader wants them, the same on a terminal and on a page."""

from mevstream.picture.facts import Leg, Picture

KINDS = {
    "arbitrage": "Arbitrage",
    "backrun": "Backrun",
    "sandwich": "Sandwich",
    "jit_liquidity": "JIT liquidity",
    "liquidation": "Liquidation",
}


def kind_name(kind: str) -> str:
    """A kind that only a newer version knows is told as it is."""
    return KINDS.get(kind, kind.replace("_", " ").capitalize())


def count(value: int) -> str:
    return f"{value:,}"


def amount(value: float | None) -> str:
    """About six digits, and of small amounts all that there are (lamports: nine decimals)."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100_000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:,.2f}"
    if size >= 0.01:
        return f"{value:,.4f}"
    return f"{value:.9f}"


def share(part: float | None, whole: float = 1) -> str:
    return "–" if part is None or not whole else f"{100 * part / whole:.1f} %"


def short(key: str | None) -> str:
    """A key or signature that is told in full elsewhere."""
    if not key:
        return "–"
    return key if len(key) <= 12 else f"{key[:4]}…{key[-4:]}"


def token(mint: str, symbols: dict[str, str]) -> str:
    return symbols.get(mint) or short(mint)


def tokens(value: float | None, mint: str, symbols: dict[str, str]) -> str:
    return f"{amount(value)} {token(mint, symbols)}" if mint and value is not None else "–"


def span(picture: Picture) -> str:
    first, last = picture.totals.first_slot, picture.totals.last_slot
    return f"slot {first}" if first == last else f"slots {first} to {last}"


def times(picture: Picture) -> str:
    """When the blocks were made, UTC; '' if nobody told."""
    first, last = picture.totals.first_time, picture.totals.last_time
    if first is None or last is None:
        return ""
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def route(legs: list[Leg], symbols: dict[str, str]) -> str:
    """The mints of a cycle and the venues between them."""
    hops = [leg for leg in legs if leg.role == "hop"]
    if not hops:
        return ""
    steps = [token(hops[0].mint_in, symbols)]
    for hop in hops:
        steps += [hop.venue, token(hop.mint_out, symbols)]
    return " → ".join(steps)
