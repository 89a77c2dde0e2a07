from collections.abc import Iterable

class Markets:
    hubs: list[bytes]
    def __init__(self, hubs: Iterable[bytes]) -> None: ...
