"""The search by market, in the loop that the benchmark times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mevstream.cext.markets import Markets

SOL, TOKEN = bytes(32), bytes([1]) * 32
ARGUMENTS: dict[str, Any] = {
    "keys": np.frombuffer(
        b"".join(bytes([9, pool]) * 16 + SOL + TOKEN for pool in range(2)), np.uint8
    ).reshape(2, 96),
    "fees": np.full(2, 2500, np.uint32),
    "first": np.full((2, 2), 10**9, np.uint64),
    "pools": np.array([0, 0], np.uint32),
    "reserves": np.array([[2 * 10**9, 10**9], [10**9, 10**9]], np.uint64),
}


def test_the_best_cycle_of_each_update() -> None:
    took = np.full(2, -1)
    worth = Markets([SOL]).run(**ARGUMENTS, nanoseconds=took)
    # Bought where it costs one, sold where it costs two: the closed form of both products.
    keep = 1 - 0.0025
    i = 10**9 / keep * (10**9 / keep) / (10**9 / keep + 10**9)
    o = 10**9 * 2 * 10**9 / (10**9 / keep + 10**9)
    assert worth.tolist() == [pytest.approx((o**0.5 - i**0.5) ** 2), 0.0]
    assert (took >= 0).all()


@pytest.mark.parametrize(
    "changed",
    [
        {"pools": np.array([0, 2], np.uint32)},
        {"fees": np.zeros(1, np.uint32)},
        {"keys": np.zeros((2, 95), np.uint8)},
        {"reserves": np.ones((2, 1), np.uint64)},
    ],
)
def test_arrays_of_another_shape(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pool"):
        Markets([SOL]).run(**{**ARGUMENTS, **changed})
