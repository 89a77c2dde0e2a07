from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

_Buffer = bytes | bytearray | memoryview

class Layout:
    names: tuple[str, ...]
    def __init__(
        self,
        fields: Sequence[tuple[str, int, DTypeLike, int, str | None, float]],
        padding: int = 0,
    ) -> None: ...
    def rest(self, data: bytes) -> bytes: ...
    def read(self, data: bytes) -> tuple[bytes, dict[str, NDArray[Any]]]: ...
    def column(self, data: bytes, name: str) -> NDArray[Any]: ...
    def write(self, head: bytes, columns: Mapping[str, ArrayLike]) -> bytes: ...

def join(head: bytes, number: int, payloads: Iterable[_Buffer]) -> bytes: ...
