"""The table of a run: fault by fault, what was lost, what came twice, how long it paused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.table import Table

HEADERS = (
    "fault",
    "times",
    "lost",
    "twice in the topic",
    "twice in the tables",
    "longest pause, s",
)


@dataclass(slots=True)
class Line:
    """What one kind of fault did. `pauses`: seconds, one for each time that it was injected while
    everything else was well."""

    fault: str
    times: int = 0
    lost: int = 0
    topic_copies: int = 0
    table_copies: int = 0
    pauses: list[float] = field(default_factory=list[float])

    def cells(self) -> tuple[str, ...]:
        pause = f"{max(self.pauses):.1f}" if self.pauses else "–"
        counts = (self.times, self.lost, self.topic_copies, self.table_copies)
        return (self.fault, *(f"{count:,}" for count in counts), pause)


def total(lines: Sequence[Line]) -> Line:
    whole = Line("all")
    for line in lines:
        whole.times += line.times
        whole.lost += line.lost
        whole.topic_copies += line.topic_copies
        whole.table_copies += line.table_copies
        whole.pauses += line.pauses
    return whole


def rich_table(lines: Sequence[Line], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for i, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if i == 0 else "right")
    for line in lines:
        table.add_row(*line.cells())
    table.add_section()
    table.add_row(*total(lines).cells())
    return table


def markdown(lines: Sequence[Line], facts: Iterable[str]) -> str:
    """The same for a document, with the facts of the run above it."""
    rows = [HEADERS, ("---", *("---:" for _ in HEADERS[1:]))]
    rows += [line.cells() for line in [*lines, total(lines)]]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join((*(f"- {fact}" for fact in facts), "", table, ""))
