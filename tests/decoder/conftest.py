"""The real blocks and transactions, read once, and what the reference decoder makes of them."""

from pathlib import Path

import pytest
from reference import load


@pytest.fixture(scope="session")
def corpus(shared_data: Path) -> list[load.Decoded]:
    """Everything that the data folder holds in a readable form."""
    return list(load.everything(shared_data))
