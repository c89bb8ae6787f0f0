"""One pass over the values of an array: sums, extremes, and how many fall where."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastxavier._verify.neighbours import Neighbours
from fastxavier._verify.read import CHUNK, Array, Doubles, chunks

CELLS = 1 << 14  # cells of equal width, in which float32 and float64 values are counted


class Cells(NamedTuple):
    """Cell i begins at ``first + (i - 1) * step``; the first and the last one are unbounded."""

    first: float
    step: float

    def counts(self, chunk: Array, x: Doubles) -> NDArray[np.intp]:
        """How many values are in each cell; `x` is the chunk standardized, and is overwritten."""
        x -= self.first - self.step
        x /= self.step
        np.clip(x, 0, CELLS - 1, out=x)
        return np.bincount(x.astype(np.intp), minlength=CELLS)


class Numbers(NamedTuple):
    """Consecutive numbers of a dtype, each a cell; the first and the last one are unbounded."""

    first: int  # place of the first one among all numbers, as `ordered` counts
    values: Doubles

    def counts(self, chunk: Array, x: Doubles) -> NDArray[np.intp]:
        """How many values are in each cell."""
        last = self.first + len(self.values) - 1
        places = np.clip(ordered(chunk), self.first, last).astype(np.intp) - self.first
        return np.bincount(places, minlength=len(self.values))


def ordered(values: Array) -> NDArray[Any]:
    """Integers in the order of the values; those of consecutive numbers differ by 1, 0 is at 0."""
    bits = values.view(f"i{values.itemsize}")
    return np.where(bits < 0, np.iinfo(bits.dtype).min - bits, bits)


@dataclass
class Tally:
    """What was counted. Sums are of (value - center) / scale."""

    count: int = 0
    nans: int = 0
    infinities: int = 0
    outside: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    total: float = 0.0
    squares: float = 0.0
    counts: Any = 0  # in each cell; of a 16-bit dtype or a narrower one, of each number
    neighbours: tuple[Neighbours, ...] = ()


def tally_of(
    values: Array,
    bounds: tuple[float, float],
    center: float,
    scale: float,
    cells: Cells | Numbers,
    lags: Iterable[int] = (),
) -> Tally:
    """Count the values of a floating-point array; `bounds` are those of the distribution.

    `lags` are the distances at which neighbours are multiplied; a value that is not finite counts
    there as `center`.
    """
    if values.dtype.itemsize <= 2:
        return _tally_patterns(values, bounds, center, scale, lags)
    tally = Tally(neighbours=tuple(map(Neighbours, lags)))
    buffers = np.empty((2, CHUNK))
    for chunk in chunks(values):
        minimum, maximum = float(chunk.min()), float(chunk.max())
        whole = True
        if not (math.isfinite(minimum) and math.isfinite(maximum)):  # a NaN makes both NaN
            nans = int(np.isnan(chunk).sum())
            finite = chunk[np.isfinite(chunk)]
            tally.nans += nans
            tally.infinities += chunk.size - nans - finite.size
            centered = np.where(np.isfinite(chunk), chunk, center)
            _multiply(tally.neighbours, (centered - center) / scale)
            if not finite.size:
                continue
            chunk, minimum, maximum = finite, float(finite.min()), float(finite.max())
            whole = False
        if minimum < bounds[0] or maximum > bounds[1]:
            tally.outside += int(((chunk < bounds[0]) | (chunk > bounds[1])).sum())
        tally.count += chunk.size
        tally.minimum, tally.maximum = min(minimum, tally.minimum), max(maximum, tally.maximum)
        x, work = buffers[:, : chunk.size]
        np.subtract(chunk, center, out=x, dtype=np.float64)
        x /= scale
        tally.total += float(x.sum())
        tally.squares += float(np.square(x, out=work).sum())
        if whole:
            _multiply(tally.neighbours, x)
        tally.counts += cells.counts(chunk, x)
    return tally


def _multiply(neighbours: tuple[Neighbours, ...], x: Doubles) -> None:
    for one in neighbours:
        one.add(x)


def _tally_patterns(
    values: Array,
    bounds: tuple[float, float],
    center: float,
    scale: float,
    lags: Iterable[int],
) -> Tally:
    """Count how often each of 65,536 or 256 bit patterns occurs: the rest follows from that."""
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    patterns = np.zeros(1 << 8 * unsigned.itemsize, np.intp)
    grid = grid_of(values.dtype.newbyteorder("="))
    x = (grid.numbers - center) / scale
    neighbours = tuple(map(Neighbours, lags))
    standardized = np.zeros(len(patterns))
    standardized[grid.finite] = x[grid.place]
    buffer = np.empty(CHUNK)
    for chunk in chunks(values):
        bits = chunk.view(unsigned)
        patterns += np.bincount(bits, minlength=len(patterns))
        if neighbours:
            here = np.take(standardized, bits, out=buffer[: bits.size], mode="clip")
            _multiply(neighbours, here)
    counts = np.zeros(len(grid.numbers), np.intp)
    np.add.at(counts, grid.place, patterns[grid.finite])
    seen = grid.numbers[counts > 0]
    if not seen.size:
        seen = np.array([math.inf, -math.inf])
    return Tally(
        count=int(counts.sum()),
        nans=int(patterns[grid.nan].sum()),
        infinities=int(patterns[~(grid.nan | grid.finite)].sum()),
        outside=int(counts[(grid.numbers < bounds[0]) | (grid.numbers > bounds[1])].sum()),
        minimum=float(seen[0]),
        maximum=float(seen[-1]),
        total=_weighted(counts, x),
        squares=_weighted(counts, x * x),
        counts=counts,
        neighbours=neighbours,
    )


def _weighted(weights: Array, values: Doubles) -> float:
    """The sum of the products; a value of weight 0 may be infinite."""
    return float((weights * values)[weights > 0].sum())


class Grid(NamedTuple):
    """The finite numbers of such a dtype in order, and each bit pattern's place among them."""

    numbers: Doubles
    place: NDArray[np.intp]
    finite: NDArray[np.bool_]
    nan: NDArray[np.bool_]


@lru_cache(maxsize=4)
def grid_of(dtype: np.dtype[Any]) -> Grid:
    """The numbers of a dtype of at most 16 bits, in native byte order."""
    patterns = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}")
    values = patterns.view(dtype).astype(np.float64)
    finite = np.isfinite(values)
    numbers, place = np.unique(values[finite], return_inverse=True)  # 0 and -0 count as one
    return Grid(numbers, place, finite, np.isnan(values))
