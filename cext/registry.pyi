NAMES: list[str]

def programs(kind: int | None = None) -> list[tuple[str, str, int]]:
    """(name, base58 address, kind) of every row, for documentation and tests."""
