"""The picture on a terminal: tables, with a bar where a column is there to be compared."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mevstream.picture import texts
from mevstream.picture.facts import Opportunity, Picture

_BAR = 18
_TOP = 10
_WIDTH = 150


def print_picture(picture: Picture) -> None:
    """Prints it on standard output."""
    console = Console()
    if not console.is_terminal:
        # Nobody's screen ends here: no cell is cut.
        console = Console(width=_WIDTH)
    tables = [
        _slots(picture),
        _venues(picture, console),
        _tips(picture),
        _kinds(picture, console),
        _gains(picture),
        _searchers(picture, console),
        _victims(picture),
        _arbitrages(picture),
        *_others(picture),
    ]
    for table in tables:
        if table.row_count:
            console.print(table)


def _table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=column == "",
        )
    return table


def _bar(value: float | None, most: float, console: Console) -> str:
    """A bar of at most _BAR cells; of a loss it is red."""
    if not value or most <= 0:
        return ""
    ascii_only = console.options.ascii_only
    eighths = round(abs(value) / most * _BAR * 8)
    whole, rest = divmod(max(eighths, 1), 8)
    cells = "#" * max(whole, 1) if ascii_only else "█" * whole + " ▏▎▍▌▋▊▉"[rest].strip()
    return f"[{'red' if value < 0 else 'cyan'}]{cells}[/]"


def _most(values: Sequence[float | None]) -> float:
    return max((abs(value) for value in values if value), default=0)


def _slots(picture: Picture) -> Table:
    of = picture.totals
    table = _table(f"MEV, {texts.span(picture)}", " ", "count", "note", right=["count"])
    table.show_header = False
    notes = [texts.times(picture)]
    if of.incomplete:
        notes.append(f"{texts.count(of.incomplete)} with missing batches")
    rows = [
        ("slots", of.slots, ", ".join(filter(None, notes))),
        ("transactions", of.transactions, f"{texts.amount(of.fees)} SOL of fees"),
        ("  votes", of.votes, texts.share(of.votes, of.transactions)),
        ("  failed", of.failed, texts.share(of.failed, of.transactions)),
        ("  succeeded", of.succeeded, texts.share(of.succeeded, of.transactions)),
        ("swaps", of.swaps, f"{texts.count(of.failed_swap_attempts)} more tried and failed"),
        ("with a Jito tip", of.tipped, f"{texts.amount(of.tips)} SOL of tips"),
        ("opportunities", picture.sums.found, _net(picture)),
    ]
    if of.decoded_in_part:
        rows.insert(5, ("  decoded only in part", of.decoded_in_part, ""))
    if of.dead_lettered:
        rows.append(("records that are none", of.dead_lettered, "left out"))
    for name, number, note in rows:
        table.add_row(name, texts.count(number), note)
    return table


def _net(picture: Picture) -> str:
    sums = picture.sums
    if not sums.told:
        return ""
    return f"{texts.amount(sums.net)} SOL net of fees and tips in {texts.count(sums.told)} of them"


def _venues(picture: Picture, console: Console) -> Table:
    right = ["swaps", "through a router", "pools", "traders", "volume, SOL"]
    table = _table("Swaps by venue", "venue", *right, "", right=right)
    most = _most([venue.volume for venue in picture.venues])
    for venue in picture.venues:
        table.add_row(
            venue.venue,
            texts.count(venue.swaps),
            texts.share(venue.routed, venue.swaps),
            texts.count(venue.pools),
            texts.count(venue.traders),
            texts.amount(venue.volume),
            _bar(venue.volume, most, console),
        )
    if picture.rate is not None:
        table.caption = f"dollars at {picture.rate:,.2f} a SOL, the median of the swaps"
        table.caption_justify = "left"
    return table


def _tips(picture: Picture) -> Table:
    names = ["tips", "sum", "p25", "median", "p75", "p95", "p99", "largest"]
    table = _table("Jito tips, SOL", *names, right=names)
    if picture.tips is not None:
        tips, *amounts = picture.tips
        table.add_row(texts.count(tips), *map(texts.amount, amounts))
    return table


def _kinds(picture: Picture, console: Console) -> Table:
    right = ["found", "actors", "in SOL", "profit", "fees", "tips", "net", "victims", "their loss"]
    table = _table("Opportunities, SOL", "kind", *right, "", right=right)
    most = _most([kind.net for kind in picture.kinds])
    for kind in picture.kinds:
        table.add_row(
            texts.kind_name(kind.kind),
            texts.count(kind.found),
            texts.count(kind.actors),
            texts.count(kind.told),
            *map(texts.amount, (kind.profit, kind.fees, kind.tips, kind.net)),
            texts.count(kind.victims),
            texts.amount(kind.loss),
            _bar(kind.net, most, console),
        )
    return table


def _gains(picture: Picture) -> Table:
    table = _table("Profit before fees and tips", "kind", "in", "found", "profit")
    for column in table.columns[2:]:
        column.justify = "right"
    for gain in picture.gains[:_TOP]:
        table.add_row(
            texts.kind_name(gain.kind),
            texts.token(gain.mint, picture.symbols),
            texts.count(gain.found),
            texts.amount(gain.profit),
        )
    return table


def _searchers(picture: Picture, console: Console) -> Table:
    counts = ["found", "arb", "back", "sand", "liq", "jit"]
    sums = ["profit", "fees", "tips", "net"]
    table = _table("Searchers, SOL", "actor", *counts, *sums, "", right=[*counts, *sums])
    most = _most([searcher.net for searcher in picture.searchers])
    for one in picture.searchers[:_TOP]:
        numbers = (one.found, one.arbitrages, one.backruns, one.sandwiches, one.liquidations)
        table.add_row(
            texts.short(one.actor),
            *map(texts.count, (*numbers, one.jit_liquidity)),
            *map(texts.amount, (one.profit, one.fees, one.tips, one.net)),
            _bar(one.net, most, console),
        )
    return table


def _victims(picture: Picture) -> Table:
    right = ["lost", "share", "in SOL"]
    table = _table("Victims", "slot", "kind", "wallet", *right, "loss", "actor", right=right)
    for victim in picture.victims[:_TOP]:
        table.add_row(
            str(victim.slot),
            texts.kind_name(victim.kind),
            texts.short(victim.wallet),
            texts.tokens(victim.loss, victim.mint, picture.symbols),
            texts.share(victim.loss_share),
            texts.amount(victim.loss_sol),
            victim.exactness or "",
            texts.short(victim.actor),
        )
    return table


def _of_kinds(picture: Picture, *kinds: str) -> list[Opportunity]:
    found = [one for one in picture.opportunities if one.kind in kinds]
    return sorted(found, key=lambda one: (one.net is None, -(one.net or 0), one.slot))[:_TOP]


def _arbitrages(picture: Picture) -> Table:
    right = ["profit", "tip, SOL", "net, SOL"]
    table = _table("Arbitrage and backruns", "slot/index", "route", *right, "actor", right=right)
    for one in _of_kinds(picture, "arbitrage", "backrun"):
        legs = picture.legs.get(one.id, [])
        table.add_row(
            f"{one.slot}/{one.tx_index}",
            escape(texts.route(legs, picture.symbols)),
            texts.tokens(one.profit, one.profit_mint, picture.symbols),
            texts.amount(one.tip),
            texts.amount(one.net),
            texts.short(one.actor),
        )
    return table


def _others(picture: Picture) -> list[Table]:
    tables: list[Table] = []
    for kind in ("sandwich", "liquidation", "jit_liquidity"):
        right = ["profit", "net, SOL"]
        table = _table(texts.kind_name(kind), "slot/index", "legs", *right, "actor", right=right)
        for one in _of_kinds(picture, kind):
            legs = picture.legs.get(one.id, [])
            roles = [f"{leg.role} {leg.tx_index}" for leg in legs]
            table.add_row(
                f"{one.slot}/{one.tx_index}",
                f"{legs[0].venue if legs else ''}: {', '.join(dict.fromkeys(roles))}",
                texts.tokens(one.profit, one.profit_mint, picture.symbols),
                texts.amount(one.net),
                texts.short(one.actor),
            )
        tables.append(table)
    return tables
