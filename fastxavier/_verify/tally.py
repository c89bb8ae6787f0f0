"""One pass over the values: sums, extremes and counts, in which the other modules look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastxavier._verify.read import CHUNK, chunks

Array = NDArray[Any]
Doubles = NDArray[np.float64]

CELLS = 1 << 14  # of equal width, in which float32 and float64 values are counted


class Cells(NamedTuple):
    """Cell i holds what lies from ``first + (i - 1) * step`` on; the outer two have no end."""

    first: float
    step: float


@dataclass
class Tally:
    """What stands in an array. Sums are of values less a centre, over a scale."""

    count: int = 0
    nans: int = 0
    infinities: int = 0
    outside: int = 0
    least: float = math.inf
    greatest: float = -math.inf
    total: float = 0.0
    squares: float = 0.0
    counts: Any = 0  # in each cell, or of each number of a 16-bit dtype


def tally_of(
    values: Array, bounds: tuple[float, float], center: float, scale: float, cells: Cells
) -> Tally:
    if values.dtype.itemsize == 2:
        return _tally_patterns(values, bounds, center, scale)
    tally = Tally()
    buffers = np.empty((2, CHUNK))
    for chunk in chunks(values):
        least, greatest = float(chunk.min()), float(chunk.max())
        if not (math.isfinite(least) and math.isfinite(greatest)):  # a NaN makes both NaN
            nans = int(np.isnan(chunk).sum())
            finite = chunk[np.isfinite(chunk)]
            tally.nans += nans
            tally.infinities += chunk.size - nans - finite.size
            if not finite.size:
                continue
            chunk, least, greatest = finite, float(finite.min()), float(finite.max())
        if least < bounds[0] or greatest > bounds[1]:
            tally.outside += int(((chunk < bounds[0]) | (chunk > bounds[1])).sum())
        tally.count += chunk.size
        tally.least, tally.greatest = min(least, tally.least), max(greatest, tally.greatest)
        x, work = buffers[:, : chunk.size]
        np.subtract(chunk, center, out=x, dtype=np.float64)
        x /= scale
        tally.total += float(x.sum())
        tally.squares += float(np.square(x, out=work).sum())
        x -= cells.first - cells.step
        x /= cells.step
        np.clip(x, 0, CELLS - 1, out=x)
        tally.counts += np.bincount(x.astype(np.intp), minlength=CELLS)
    return tally


def _tally_patterns(
    values: Array, bounds: tuple[float, float], center: float, scale: float
) -> Tally:
    """Of 16 bits every pattern is counted: the rest follows from the counts."""
    patterns = np.zeros(1 << 16, np.intp)
    for chunk in chunks(values):
        patterns += np.bincount(chunk.view(np.uint16), minlength=1 << 16)
    grid = grid_of(values.dtype.newbyteorder("="))
    counts = np.zeros(len(grid.numbers), np.intp)
    np.add.at(counts, grid.place, patterns[grid.finite])
    seen = grid.numbers[counts > 0]
    if not seen.size:
        seen = np.array([math.inf, -math.inf])
    x = (grid.numbers - center) / scale
    return Tally(
        count=int(counts.sum()),
        nans=int(patterns[grid.nan].sum()),
        infinities=int(patterns[~(grid.nan | grid.finite)].sum()),
        outside=int(counts[(grid.numbers < bounds[0]) | (grid.numbers > bounds[1])].sum()),
        least=float(seen[0]),
        greatest=float(seen[-1]),
        total=_weighted(counts, x),
        squares=_weighted(counts, x * x),
        counts=counts,
    )


def _weighted(weights: Array, values: Doubles) -> float:
    """The sum of the products; what has no weight may be infinite."""
    return float((weights * values)[weights > 0].sum())


class Grid(NamedTuple):
    """The finite numbers of a 16-bit dtype in order, and where each pattern finds its number."""

    numbers: Doubles
    place: NDArray[np.intp]
    finite: NDArray[np.bool_]
    nan: NDArray[np.bool_]


@lru_cache(maxsize=2)
def grid_of(dtype: np.dtype[Any]) -> Grid:
    values = np.arange(1 << 16, dtype=np.uint16).view(dtype).astype(np.float64)
    finite = np.isfinite(values)
    numbers, place = np.unique(values[finite], return_inverse=True)  # one zero of the two
    return Grid(numbers, place, finite, np.isnan(values))
