from collections.abc import Callable
from typing import Any

class Templates:
    """Transaction templates in C memory; see synth_templates.pyx."""

    def __init__(self, build: Callable[[int], Any], n: int) -> None: ...
