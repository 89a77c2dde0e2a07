from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mevstream.cext.columnar import Layout

class Reader:
    def __init__(
        self,
        layout: Layout,
        envelope: Mapping[str, int],
        key_columns: Collection[str],
        name_columns: Collection[str],
    ) -> None: ...
    def check(self, data: bytes) -> tuple[bytes, tuple[int, int, int, int], int]: ...
    def open(self, messages: Iterable[bytes]) -> Messages: ...

class Messages:
    n_rows: Mapping[str, NDArray[np.int64]]
    def rows(self, kept: NDArray[np.bool_] | None = None, *, home: bool = True) -> Rows: ...

class Rows:
    n_rows: Mapping[str, NDArray[np.int64]]
    def column(self, name: str, *, each: str | None = None) -> NDArray[Any]: ...
    def keys(self, name: str, *, each: str | None = None) -> NDArray[np.void]: ...
    def codes(self, name: str, codes: NDArray[np.int32], none: int) -> NDArray[np.int32]: ...
    def count(
        self, name: str, mask: int, value: int | NDArray[np.uint64]
    ) -> NDArray[np.uint64]: ...
    def total(
        self, name: str, flags: str | None = None, mask: int = 0, value: int = 0
    ) -> NDArray[np.uint64]: ...
