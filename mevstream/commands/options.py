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
