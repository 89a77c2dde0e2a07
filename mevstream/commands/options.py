"""Options that several commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

Slot = Annotated[
    int | None, typer.Option(min=0, help="Slot of a block that does not carry its own.")
]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of the warm store; else $MEVSTREAM_STORE, else data/mevstream."),
]
Kafka = Annotated[str | None, typer.Option(help="Bootstrap servers (default: the local stack).")]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Serve /metrics, /healthz and /readyz on this port of 127.0.0.1 "
        "(else $MEVSTREAM_METRICS_HOST); 0: any free one.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


def parse_since(text: str) -> int:
    """Milliseconds since the epoch of an age (`30m`) or an ISO time. Raises InputError."""
    import re
    import time
    from datetime import UTC, datetime

    from mevstream.errors import InputError

    if age := re.fullmatch(r"(\d{1,9})([smhd])", text):
        seconds = int(age[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[age[2]]
        return max(int((time.time() - seconds) * 1000), 0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--since {text}: give an age like 30m, 12h, 7d or an ISO time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(int(moment.timestamp() * 1000), 0)
