from collections.abc import Collection, Mapping

from mevstream.cext.columnar import Layout

TABLES: tuple[str, ...]

class References:
    def __init__(
        self,
        layout: Layout,
        envelope: Mapping[str, int],
        key_columns: Collection[str],
        name_columns: Collection[str],
    ) -> None: ...
