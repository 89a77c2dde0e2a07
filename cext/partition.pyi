from collections.abc import Collection, Iterable, Mapping

from mevstream.cext.columnar import Layout

def partition_of(key: bytes, partitions: int) -> int: ...

class Splitter:
    def __init__(
        self,
        layout: Layout,
        envelope: Mapping[str, int],
        key_columns: Collection[str],
        name_columns: Collection[str],
        hubs: Iterable[bytes],
    ) -> None: ...
    def split(self, data: bytes, partitions: int) -> list[bytes]: ...
