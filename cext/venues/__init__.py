"""The venues, a module a family. Importing this package fills the registry."""

from importlib import import_module

FAMILIES = (
    "launchpads",
    "lending",
    "meteora",
    "orca",
    "order_books",
    "programs",
    "proprietary",
    "pump",
    "raydium",
    "stable",
    "token_swap",
)

for _family in FAMILIES:
    # For the rows that they add; there is nothing in them to import by name.
    import_module(f"{__name__}.{_family}")
