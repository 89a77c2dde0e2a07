"""The venues, a module a family. Importing this package fills the registry."""

from mevstream.cext.venues import (  # noqa: F401  # imported for the rows they add
    launchpads,
    meteora,
    orca,
    order_books,
    programs,
    proprietary,
    pump,
    raydium,
    stable,
    token_swap,
)
