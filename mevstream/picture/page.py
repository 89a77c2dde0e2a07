"""The picture as one HTML page that needs nothing else: no script, font or image from elsewhere.

Numbers are written as <data> elements, whose value is what the store said, to the last digit.
"""

import math
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

from mevstream.errors import MevstreamError
from mevstream.picture import charts, texts
from mevstream.picture.charts import Bar, Series
from mevstream.picture.facts import LISTED, Leg, Opportunity, Picture
from mevstream.picture.style import CSS

_COLUMNS = 64
"""Columns of a chart over slots at most; of more slots several are one column."""

_ORDER = ("arbitrage", "backrun", "sandwich", "jit_liquidity", "liquidation")


def write_page(path: Path, text: str) -> None:
    """Puts the page there as a whole or not at all. Raises MevstreamError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise MevstreamError(f"{path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            draft.unlink()


def page(picture: Picture) -> str:
    """The page as HTML."""
    title = f"MEV, {texts.span(picture)}"
    sections = [
        _tiles(picture),
        _section("Slots", _slot_charts(picture)),
        _section("Swaps by venue", _venues(picture)),
        _section("Tips", _tips(picture)),
        _section("Opportunities", _kinds(picture)),
        _section("Searchers", _searchers(picture)),
        _section("Victims", _victims(picture)),
        *(
            _section(texts.kind_name(kind), _opportunities(picture, kind))
            for kind in _kind_names(picture)
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(texts.times(picture))}</p></header>\n"
        + "\n".join(filter(None, sections))
        + "\n<footer>Every number is one of the warm store's views; a number's exact value is in "
        "its &lt;data&gt; element. SOL where no unit is told. A dash is what is not known.</footer>"
        "</main></body></html>\n"
    )


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inner}</section>" if inner else ""


# -- pieces ---------------------------------------------------------------------------------------


def _data(value: float | None, text: str) -> str:
    return escape(text) if value is None else f'<data value="{value!r}">{escape(text)}</data>'


def _count(value: int) -> str:
    return _data(value, texts.count(value))


def _amount(value: float | None) -> str:
    return _data(value, texts.amount(value))


def _share(value: float | None) -> str:
    return _data(value, texts.share(value))


def _key(key: str | None, *, whole: bool = False) -> str:
    if not key:
        return "–"
    if whole:
        return f"<code>{escape(key)}</code>"
    return f'<code title="{escape(key)}">{escape(texts.short(key))}</code>'


def _card(title: str, chart: str, *, wide: bool = False) -> str:
    kind = "card wide" if wide else "card"
    return f'<figure class="{kind}"><h3>{escape(title)}</h3>{chart}</figure>'


class _Table:
    """Rows of cells, which are HTML already; columns of numbers are `right`."""

    def __init__(self, name: str, columns: Sequence[str], right: Iterable[str] = ()) -> None:
        self._name = name
        self._columns = columns
        self._right = [column in set(right) for column in columns]
        self._rows: list[str] = []

    def add(self, *cells: str, kind: str = "") -> None:
        row = "".join(
            f'<td class="n">{cell}</td>' if right else f"<td>{cell}</td>"
            for cell, right in zip(cells, self._right, strict=True)
        )
        self._rows.append(f'<tr class="{kind}">{row}</tr>' if kind else f"<tr>{row}</tr>")

    def add_below(self, inner: str) -> None:
        """A row that belongs to the one above."""
        self._rows.append(f'<tr class="legs"><td colspan="{len(self._columns)}">{inner}</td></tr>')

    def html(self, caption: str = "") -> str:
        if not self._rows:
            return ""
        head = "".join(
            f'<th scope="col"{" class=n" if right else ""}>{escape(column)}</th>'
            for column, right in zip(self._columns, self._right, strict=True)
        )
        told = f"<caption>{escape(caption)}</caption>" if caption else ""
        return (
            f'<div class="table"><table aria-label="{escape(self._name)}">{told}'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(self._rows)}</tbody></table></div>"
        )


# -- sections -------------------------------------------------------------------------------------


def _tiles(picture: Picture) -> str:
    of, sums = picture.totals, picture.sums
    incomplete = f"{of.incomplete:,} with missing batches" if of.incomplete else ""
    dead = f"{of.dead_lettered:,} records that are none left out" if of.dead_lettered else ""
    volume = math.fsum(venue.volume for venue in picture.venues if venue.volume)
    tiles = [
        ("Slots", _count(of.slots), incomplete),
        (
            "Transactions",
            _count(of.transactions),
            dead or f"{texts.share(of.votes, of.transactions)} votes",
        ),
        (
            "Failed",
            _count(of.failed),
            f"{texts.share(of.failed, of.transactions - of.votes)} of those that are no votes",
        ),
        (
            "Swaps",
            _count(of.swaps),
            f"{texts.count(of.failed_swap_attempts)} more tried and failed",
        ),
        ("Volume, SOL", _amount(volume), ""),
        ("Tips, SOL", _amount(of.tips), f"{texts.count(of.tipped)} transactions"),
        ("Opportunities", _count(sums.found), "taken on chain"),
        ("Net profit, SOL", _amount(sums.net), f"of {texts.count(sums.told)} that end in SOL"),
        ("Victims' loss, SOL", _amount(sums.loss), f"{texts.count(sums.victims)} swaps"),
    ]
    items = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{value}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{items}</dl>'


def _slot_charts(picture: Picture) -> str:
    slots = picture.slots
    size = -(-len(slots) // _COLUMNS)
    groups = [slots[i : i + size] for i in range(0, len(slots), size)]
    labels = [
        str(group[0].slot) if len(group) == 1 else f"{group[0].slot}–{group[-1].slot}"
        for group in groups
    ]
    per = "a slot" if size == 1 else f"per {size} slots"

    def series(name: str, value: Callable[[int], float]) -> Series:
        # `value` is of a row of `slots`.
        rows = range(len(slots))
        return Series(name, [math.fsum(value(i) for i in rows[n : n + size]) for n in rows[::size]])

    traffic = [
        series("votes", lambda i: slots[i].votes),
        series("failed", lambda i: slots[i].failed),
        series("succeeded", lambda i: slots[i].succeeded),
    ]
    cards = [
        _card(
            f"Transactions {per}",
            charts.columns("Transactions", labels, traffic, colours=[1, 5, 2]),
        )
    ]
    if any(slot.tips for slot in slots):
        tips = [series("tips", lambda i: slots[i].tips)]
        cards.append(
            _card(
                f"Tips {per}, SOL", charts.columns("Tips", labels, tips, unit=" SOL", colours=[4])
            )
        )
    net: dict[str, dict[int, float]] = {}
    for one in picture.profits:
        if one.net is not None:
            net.setdefault(one.kind, {})[one.slot] = one.net
    if net:
        kinds = [kind for kind in _kind_names(picture) if kind in net]
        parts = [
            series(texts.kind_name(kind), lambda i, of=net[kind]: of.get(slots[i].slot, 0.0))
            for kind in kinds
        ]
        chart = charts.columns(
            "Net profit",
            labels,
            parts,
            unit=" SOL",
            colours=[_colour(kind) for kind in kinds],
            width=charts.WHOLE,
        )
        cards.append(_card(f"Net profit {per}, SOL", chart, wide=True))
    return f'<div class="grid">{"".join(cards)}</div>'


def _venues(picture: Picture) -> str:
    if not picture.venues:
        return ""
    swaps = [Bar(v.venue, v.swaps, texts.count(v.swaps)) for v in picture.venues[:12]]
    by_volume = sorted(picture.venues, key=lambda venue: -(venue.volume or 0))[:12]
    volume = [Bar(v.venue, v.volume, texts.amount(v.volume)) for v in by_volume if v.volume]
    cards = _card("Swaps", charts.bars("Swaps by venue", swaps))
    if volume:
        cards += _card("Volume, SOL", charts.bars("Volume by venue, SOL", volume, colour=2))
    right = ["swaps", "through a router", "pools", "traders", "volume, SOL"]
    table = _Table("Swaps by venue", ["venue", *right], right)
    for v in picture.venues:
        table.add(
            escape(v.venue),
            _count(v.swaps),
            _share(v.routed / v.swaps),
            _count(v.pools),
            _count(v.traders),
            _amount(v.volume),
        )
    note = "Volume is the pool's side of the leg in SOL"
    if picture.rate is not None:
        note += f", or in dollars at {picture.rate:,.2f} a SOL, the median of the swaps between"
    return f'<div class="grid">{cards}</div>{table.html(f"{note}.")}'


def _tips(picture: Picture) -> str:
    tips = picture.tips
    if tips is None:
        return ""
    names = ["25 %", "median", "75 %", "95 %", "99 %", "largest"]
    amounts = [tips.p25, tips.p50, tips.p75, tips.p95, tips.p99, tips.max]
    rows = [Bar(n, v, f"{texts.amount(v)} SOL") for n, v in zip(names, amounts, strict=True)]
    title = f"Percentiles of {texts.count(tips.tips)} tips, on a logarithmic scale"
    right = ["tips", "sum, SOL", *names]
    table = _Table("Tips, SOL", right, right)
    table.add(_count(tips.tips), _amount(tips.sum), *map(_amount, amounts))
    chart = charts.bars("Tips, percentiles", rows, colour=4, log=True, width=charts.WHOLE)
    return f'<div class="grid">{_card(title, chart, wide=True)}</div>{table.html()}'


def _kinds(picture: Picture) -> str:
    if not picture.kinds:
        return "<p>None were found.</p>"
    counts = ["found", "actors", "in SOL"]
    sums = ["profit", "fees", "tips", "net", "victims", "their loss"]
    table = _Table("Opportunities by kind", ["kind", *counts, *sums], [*counts, *sums])
    for k in picture.kinds:
        table.add(
            escape(texts.kind_name(k.kind)),
            *map(_count, (k.found, k.actors, k.told)),
            *map(_amount, (k.profit, k.fees, k.tips, k.net)),
            _count(k.victims),
            _amount(k.loss),
        )
    of = picture.sums
    profit = math.fsum(k.profit for k in picture.kinds if k.profit is not None)
    table.add(
        "all",
        _count(of.found),
        "",
        _count(of.told),
        *map(_amount, (profit, of.fees, of.tips, of.net)),
        _count(of.victims),
        _amount(of.loss),
        kind="all",
    )
    gains = _Table("Profit by mint", ["kind", "in", "found", "profit"], ["found", "profit"])
    for gain in picture.gains:
        symbol = picture.symbols.get(gain.mint)
        gains.add(
            escape(texts.kind_name(gain.kind)),
            escape(symbol) if symbol else _key(gain.mint),
            _count(gain.found),
            _amount(gain.profit),
        )
    note = (
        "Profit and net are sums over those in SOL; fees and tips are those of all, each once. A "
        "victim's loss is told in SOL where it paid or got SOL."
    )
    return f"{table.html(note)}{gains.html('Profit before fees and tips, by what it is in.')}"


def _searchers(picture: Picture) -> str:
    if not picture.searchers:
        return ""
    rows = [
        Bar(texts.short(s.actor), s.net, texts.amount(s.net))
        for s in picture.searchers
        if s.net is not None
    ]
    chart = (
        _card(
            "Net profit, SOL", charts.bars("Net profit by searcher, SOL", rows, width=charts.WHOLE)
        )
        if rows
        else ""
    )
    counts = ["found", "arbitrage", "backrun", "sandwich", "liquidation", "JIT"]
    sums = ["profit", "fees", "tips", "net"]
    table = _Table("Searchers", ["actor", *counts, *sums], [*counts, *sums])
    for s in picture.searchers:
        numbers = (s.found, s.arbitrages, s.backruns, s.sandwiches, s.liquidations)
        table.add(
            _key(s.actor, whole=True),
            *map(_count, (*numbers, s.jit_liquidity)),
            *map(_amount, (s.profit, s.fees, s.tips, s.net)),
        )
    return f'<div class="grid">{chart}</div>{table.html("The actors with the largest net.")}'


def _victims(picture: Picture) -> str:
    right = ["got", "expected", "lost", "share", "in SOL"]
    columns = ["slot", "kind", "wallet", "mint", *right, "told", "transaction", "actor"]
    table = _Table("Victims", columns, right)
    for v in picture.victims:
        symbol = picture.symbols.get(v.mint)
        table.add(
            str(v.slot),
            escape(texts.kind_name(v.kind)),
            _key(v.wallet),
            escape(symbol) if symbol else _key(v.mint),
            *map(_amount, (v.got, v.expected, v.loss)),
            _share(v.loss_share),
            _amount(v.loss_sol),
            escape(v.exactness or ""),
            _key(v.signature),
            _key(v.actor),
        )
    return table.html(_listed(len(picture.victims), picture.sums.victims, "largest losses"))


def _opportunities(picture: Picture, kind: str) -> str:
    right = ["profit", "fee", "tip", "net", "sure"]
    columns = ["slot", "index", "", *right, "actor", "transaction"]
    cycles = kind in ("arbitrage", "backrun")
    columns[2] = "route" if cycles else "venue"
    table = _Table(texts.kind_name(kind), columns, right)
    shown = [one for one in picture.opportunities if one.kind == kind]
    for one in shown:
        legs = picture.legs.get(one.id, [])
        route = texts.route(legs, picture.symbols) if cycles else legs[0].venue if legs else ""
        table.add(
            str(one.slot),
            str(one.tx_index),
            f'<span class="route">{escape(route)}</span>',
            _data(one.profit, texts.tokens(one.profit, one.profit_mint, picture.symbols)),
            *map(_amount, (one.fee, one.tip, one.net)),
            _share(one.confidence),
            _key(one.actor),
            _key(one.signature),
        )
        if legs:
            table.add_below(_legs(one, legs, picture.symbols))
    found = next((k.found for k in picture.kinds if k.kind == kind), 0)
    return table.html(_listed(len(shown), found, "largest net in SOL, fees and tips in SOL"))


def _legs(one: Opportunity, legs: Sequence[Leg], symbols: dict[str, str]) -> str:
    right = ["in", "out"]
    columns = ["role", "slot/index", "instruction", "venue", "pool", "trader", *right]
    table = _Table(f"Legs of {one.id}", columns, right)
    for leg in legs:
        table.add(
            escape(leg.role),
            f"{leg.slot}/{leg.tx_index}",
            escape(leg.ix_path),
            escape(leg.venue),
            _key(leg.pool),
            _key(leg.trader),
            *(
                _data(value, texts.tokens(value, mint, symbols)) if mint else ""
                for value, mint in ((leg.amount_in, leg.mint_in), (leg.amount_out, leg.mint_out))
            ),
        )
    return f"<details><summary>{len(legs)} legs</summary>{table.html()}</details>"


def _listed(shown: int, found: int, what: str) -> str:
    return f"The {LISTED} with the {what}, of {found:,}." if shown < found else ""


def _kind_names(picture: Picture) -> list[str]:
    """The kinds that there are, those that are known first and in their order."""
    there = [kind.kind for kind in picture.kinds]
    return [k for k in _ORDER if k in there] + [k for k in there if k not in _ORDER]


def _colour(kind: str) -> int:
    return _ORDER.index(kind) % 5 + 1 if kind in _ORDER else 5
