"""Mean and variance of an array in float64, piece by piece: no copy beyond a cache's size."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Moments", "moments"]

_PIECE = 1 << 15  # values converted to float64 at a time


class Moments(NamedTuple):
    """What `moments` measures."""

    size: int
    mean: float
    variance: float
    """Mean squared distance from the mean."""

    @property
    def std(self) -> float:
        """The square root of the variance."""
        return math.sqrt(self.variance)


def moments(array: np.ndarray[Any, Any]) -> Moments:
    """Size, mean and variance of all values, NaN for an array without any."""
    if array.size == 0:
        return Moments(0, math.nan, math.nan)
    total = squares = shift = 0.0
    pieces = np.nditer(
        array,
        flags=["external_loop", "buffered"],
        op_dtypes=[np.float64],
        casting="same_kind" if array.dtype.kind == "f" else "unsafe",
        buffersize=_PIECE,
        order="K",
    )
    piece: Any
    for i, piece in enumerate(pieces):
        if i == 0:
            shift = float(piece[0])  # of a constant, every difference is then exactly 0
        moved = piece - shift
        total += float(moved.sum())
        squares += float(moved @ moved)
    mean = total / array.size
    return Moments(array.size, shift + mean, max(squares / array.size - mean * mean, 0.0))
