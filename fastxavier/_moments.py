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
    std: float
    """The square root of the mean squared distance from the mean."""

    @property
    def variance(self) -> float:
        """The square of the standard deviation."""
        return self.std * self.std


def moments(array: np.ndarray[Any, Any]) -> Moments:
    """Size, mean and standard deviation of all values, NaN for an array without any.

    NaN, too, where a value is NaN or infinite; a standard deviation whose square no double holds is
    as right as any other.
    """
    if array.size == 0:
        return Moments(0, math.nan, math.nan)
    with np.errstate(all="ignore"):
        found = _measured(array, 1.0)
        if not _SMALL < found.variance < _LARGE:
            # Squares were lost: in units of the largest value, they are not.
            largest = max(float(np.abs(piece).max()) for piece in _pieces(array))
            if math.isfinite(largest) and largest > 0:
                found = _measured(array, math.ldexp(1.0, math.frexp(largest)[1] - 1))
    return found


_SMALL, _LARGE = 1e-290, 1e290  # variances, between which no square was lost


def _pieces(array: np.ndarray[Any, Any]) -> Any:
    return np.nditer(
        array,
        flags=["external_loop", "buffered"],
        op_dtypes=[np.float64],
        casting="same_kind" if array.dtype.kind == "f" else "unsafe",
        buffersize=_PIECE,
        order="K",
    )


def _measured(array: np.ndarray[Any, Any], unit: float) -> Moments:
    """The moments, by sums in units of a power of two."""
    total = squares = shift = 0.0
    piece: Any
    for i, piece in enumerate(_pieces(array)):
        if i == 0:
            shift = float(piece[0])  # of a constant, every difference is then exactly 0
        moved = (piece / unit - shift / unit) if unit != 1.0 else piece - shift
        total += float(moved.sum())
        squares += float(np.einsum("i,i->", moved, moved))  # BLAS would start its threads
    mean = total / array.size
    variance = squares / array.size - mean * mean
    # max() would take 0 for a NaN, which says that a value is not finite.
    std = unit * math.sqrt(variance) if variance > 0 else 0.0 * variance
    return Moments(array.size, shift + unit * mean, std)
