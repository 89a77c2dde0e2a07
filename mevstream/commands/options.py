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
