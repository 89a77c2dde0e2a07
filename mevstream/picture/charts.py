"""Charts as SVG elements for a page: drawn with its colours, described for who cannot see them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

HALF, WHOLE = 530, 1110
"""Widths, of a chart in a column of two and of one alone: about as wide as they are shown, so that
letters are equally large in all of them."""

_FONT = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a bar chart; `text` is its value as it is shown."""

    label: str
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a column chart, a value for each column."""

    name: str
    values: Sequence[float]


def bars(
    title: str, rows: Sequence[Bar], *, colour: int = 1, log: bool = False, width: int = HALF
) -> str:
    """Horizontal bars from a common zero; with `log` their lengths are of the logarithm, which
    only values above zero have."""
    row, left, right = 24, 150, 110
    height = row * len(rows) + 8
    lengths = [_logarithm(bar.value, rows) if log else bar.value for bar in rows]
    low, high = min(0.0, *lengths), max(0.0, *lengths)
    scale = (width - left - right) / (high - low or 1)
    zero = left - low * scale
    parts: list[str] = []
    for number, (bar, length) in enumerate(zip(rows, lengths, strict=True)):
        y = 4 + number * row
        size = max(abs(length) * scale, 1.0 if bar.value else 0.0)
        x = zero if length >= 0 else zero - size
        middle = y + row / 2 + _FONT / 3
        kind = f"c{colour}" if bar.value >= 0 else "loss"
        label = bar.label if len(bar.label) <= 20 else bar.label[:19] + "…"
        parts.append(
            f"<g><title>{escape(bar.label)}: {escape(bar.text)}</title>"
            f'<text x="{left - 8}" y="{middle:.1f}" class="end">{escape(label)}</text>'
            f'<rect x="{x:.1f}" y="{y + 4}" width="{size:.1f}" height="{row - 8}" rx="2" '
            f'class="{kind}"/>'
            f'<text x="{max(x + size, zero) + 6:.1f}" y="{middle:.1f}" class="value">'
            f"{escape(bar.text)}</text></g>"
        )
    axis = f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height}" class="axis"/>'
    told = "; ".join(f"{bar.label} {bar.text}" for bar in rows)
    return _svg(title, told, width, height, axis + "".join(parts))


def columns(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    unit: str = "",
    colours: Sequence[int] | None = None,
    width: int = HALF,
) -> str:
    """Stacked columns, what is below zero downwards. `labels` are those of the columns."""
    left, right, top, bottom, height = 56, 8, 10, 24, 240
    heads = [sum(max(s.values[i], 0) for s in series) for i in range(len(labels))]
    feet = [sum(min(s.values[i], 0) for s in series) for i in range(len(labels))]
    ticks = _ticks(min(0.0, *feet), max(0.0, *heads))
    low, high = ticks[0], ticks[-1]
    scale = (height - top - bottom) / (high - low or 1)
    zero = height - bottom + low * scale
    parts: list[str] = []
    for tick in ticks:
        y = zero - tick * scale
        kind = "axis" if tick == 0 else "grid"
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}"/>'
            f'<text x="{left - 6}" y="{y + _FONT / 3:.1f}" class="end tick">{_number(tick)}</text>'
        )
    step = (width - left - right) / max(len(labels), 1)
    thick = max(min(step * 0.82, 48), 1)
    for i, label in enumerate(labels):
        x = left + step * (i + 0.5) - thick / 2
        up = down = zero
        rects: list[str] = []
        for number, one in enumerate(series):
            value = one.values[i]
            size = abs(value) * scale
            if not size:
                continue
            y = up - size if value > 0 else down
            up, down = (up - size, down) if value > 0 else (up, down + size)
            colour = colours[number] if colours else number + 1
            rects.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{thick:.1f}" height="{size:.2f}" '
                f'class="c{colour} part"/>'
            )
        told = ", ".join(f"{s.name} {_number(s.values[i])}" for s in series if s.values[i])
        parts.append(
            f"<g><title>{escape(label)}: {escape(told or 'none')}{escape(unit)}</title>"
            f"{''.join(rects)}</g>"
        )
    for i, anchor in {0: "start", len(labels) - 1: "end"}.items():
        x = left if i == 0 else width - right
        if i == 0 or len(labels) > 1:
            parts.append(
                f'<text x="{x}" y="{height - 6}" class="{anchor} tick">{escape(labels[i])}</text>'
            )
    sums = "; ".join(f"{one.name} {_number(math.fsum(one.values))}" for one in series)
    told = f"{len(labels)} columns, {labels[0]} to {labels[-1]}. In all: {sums}{unit}"
    return _legend(series, colours) + _svg(title, told, width, height, "".join(parts))


def _legend(series: Sequence[Series], colours: Sequence[int] | None) -> str:
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect width="10" height="10" rx="2" class="c{colours[n] if colours else n + 1}"/></svg>'
        f"{escape(one.name)}</li>"
        for n, one in enumerate(series)
    )
    return f'<ul class="legend">{items}</ul>'


def _svg(title: str, told: str, width: int, height: float, inner: str) -> str:
    """`title` is its name, `told` what it shows, for who cannot see it."""
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}. {escape(told)}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>{inner}</svg>"
    )


def _logarithm(value: float, rows: Sequence[Bar]) -> float:
    """Above half a decade below the least."""
    least = min((bar.value for bar in rows if bar.value > 0), default=1.0)
    return math.log10(value / least) + 0.5 if value > 0 else 0.0


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose both, four or so apart."""
    span = high - low
    if span <= 0:
        return [0.0, 1.0]
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [n * step for n in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.4g}"
