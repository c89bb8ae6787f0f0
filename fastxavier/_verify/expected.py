"""What the values of a distribution are expected to be, as a dtype holds them.

Called by `judge` and `one_array`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastxavier._dtypes import FLOATS
from fastxavier._validation import ArgumentValueError
from fastxavier._verify.lattice import (
    is_flat,
    lattice,
    readings,
    rounded_again,
    scipy_stats,
    shares,
    support,
)
from fastxavier._verify.read import Doubles
from fastxavier._verify.tally import CELLS, Cells, Numbers, grid_of
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

ULPS = 4  # by which rounding, of parameters and within a fill, may move a value
NEVER = 2.0**-100  # a number that is less probable is not met in 2**62 draws


# ---- as a dtype holds it -------------------------------------------------------------------------


def as_stored(distribution: Distribution, dtype: np.dtype[Any]) -> Distribution:
    """The distribution with its parameters rounded to the dtype in which a fill computes."""
    computed_in = np.dtype(FLOATS[dtype.name].computed_in).type

    def rounded(value: float) -> float:
        number = float(computed_in(value))
        if math.isinf(number):
            raise ArgumentValueError(
                f"distribution is {distribution!r}, which reaches values beyond the largest "
                f"{dtype.name}",
                "distribution",
                distribution,
            )
        return number

    if isinstance(distribution, Uniform):
        return Uniform(rounded(distribution.low), rounded(distribution.high))
    if isinstance(distribution, TruncatedNormal):
        mean, std = rounded(distribution.parent.mean), rounded(distribution.parent.std)
        return TruncatedNormal(mean, std, distribution.low, distribution.high)
    return Normal(rounded(distribution.mean), rounded(distribution.std))


def rounded_bounds(
    distribution: Distribution, stored: Distribution, dtype: np.dtype[Any]
) -> tuple[float, float]:
    """The bounds as numbers of the dtype, whether they or the parameters are rounded first."""
    given = (distribution if stored.std > 0 else stored).bounds
    bounds = np.array([given, stored.bounds], FLOATS[dtype.name].computed_in)
    rounded = bounds.astype(dtype.newbyteorder("=")).astype(np.float64)
    bounds = np.where(np.isfinite(bounds), rounded, bounds)  # some dtypes have no infinity
    return float(bounds[:, 0].min()), float(bounds[:, 1].max())


# ---- standardized --------------------------------------------------------------------------------


class Standardized(NamedTuple):
    """A distribution shifted and scaled to mean 0 and variance 1."""

    distribution: Any  # of scipy.stats
    cells: Cells
    below: Doubles  # probability below each inner end of the cells
    peak: float  # largest density
    points: Doubles  # of a quadrature, and their probabilities
    weights: Doubles


def standardized(distribution: Distribution) -> Standardized:
    """What all distributions that differ only in location and scale have in common."""
    if isinstance(distribution, TruncatedNormal):
        if is_flat(distribution):
            return _standardized(Uniform(-1.0, 1.0))
        return _standardized(TruncatedNormal(0.0, 1.0, distribution.low, distribution.high))
    if isinstance(distribution, Uniform):
        return _standardized(Uniform(-1.0, 1.0))
    return _standardized(Normal(0.0, 1.0))


@lru_cache(maxsize=64)
def _standardized(distribution: Distribution) -> Standardized:
    stats = scipy_stats()
    if isinstance(distribution, Uniform):
        frozen = stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))
    elif isinstance(distribution, TruncatedNormal):
        frozen = stats.truncnorm(
            distribution.low,
            distribution.high,
            -distribution.mean / distribution.std,
            1 / distribution.std,
        )
    else:
        frozen = stats.norm()
    first = float(frozen.ppf(2.0**-12))
    step = (float(frozen.isf(2.0**-12)) - first) / (CELLS - 2)
    below = frozen.cdf(first + step * np.arange(CELLS - 1))
    # Gauss-Legendre quadrature over 200 intervals; what lies beyond them does not change the
    # moments that are used.
    edges = np.linspace(frozen.ppf(1e-30), frozen.isf(1e-30), 201)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = (edges[1] - edges[0]) / 2
    points = ((edges[:-1] + half)[:, None] + half * nodes).ravel()
    density = frozen.pdf(points)
    weights = density * np.tile(weights, 200)
    weights /= weights.sum()
    return Standardized(frozen, Cells(first, step), below, float(density.max()), points, weights)


# ---- expected ------------------------------------------------------------------------------------


class Summand(NamedTuple):
    """Moments of one term of a sum; skewness and kurtosis are standardized."""

    mean: float
    std: float
    skewness: float
    kurtosis: float


def _summand(values: Doubles, weights: Doubles) -> Summand:
    # From the most probable value, so that the mean is exactly that one where there is no other.
    likely = float(values[np.argmax(weights)])
    mean = likely + float((weights * (values - likely)).sum())
    if abs(mean) < 1e-12:  # of symmetric distributions, and of all that are not rounded
        mean = 0.0
    x = values - mean
    variance, third, fourth = (float((weights * x**power).sum()) for power in (2, 3, 4))
    if variance == 0:
        return Summand(mean, 0.0, 0.0, math.inf)
    return Summand(mean, math.sqrt(variance), third / variance**1.5, fourth / variance**2)


class Expected(NamedTuple):
    """What is expected of values of a distribution in a dtype, in units of (x - center) / scale."""

    center: float
    scale: float
    value: Summand
    square: Summand  # about the expected value
    cells: Cells | Numbers
    probabilities: Doubles  # of each cell; of a 16-bit dtype or a narrower one, of each number
    below: Doubles  # their running sum, without the last
    numbers: Doubles | None  # that the cells are; None if cells are intervals
    peak: float  # largest density
    slack: float  # how far the rounding of parameters and of a draw may move a value
    commonest: float  # probability of the most probable number, whatever its sign

    @property
    def continuous(self) -> bool:
        """Whether numbers are too many to be counted one by one."""
        return self.numbers is None


@lru_cache(maxsize=16)
def expected_in(
    given: Distribution, stored: Distribution, dtype: np.dtype[Any]
) -> tuple[Expected, ...]:
    """What is expected of draws; `stored` is as `as_stored` gives it, and not a constant.

    There is more than one answer, with the same cells, center and scale, where the dtype holds so
    few numbers of the distribution that it matters how a generator rounds.
    """
    native = dtype.newbyteorder("=")
    computed_in = np.dtype(FLOATS[dtype.name].computed_in).type
    few = lattice([support(given), support(stored)], computed_in)
    if few is None:
        largest = float(np.finfo(computed_in).max)
        reach = min(abs(stored.mean) + stored.std, largest)
        slack = ULPS * float(np.spacing(computed_in(reach))) / stored.std
        standard = standardized(stored)
        if native.itemsize > 2:
            return (_of_intervals(stored, standard, slack),)
        numbers = grid_of(native).numbers
        ends = (numbers[:-1] / 2 + numbers[1:] / 2 - stored.mean) / stored.std
        probabilities = shares(standard.distribution, ends)
        return (_of_numbers(stored, dtype, standard.cells, numbers, probabilities, slack),)
    found = readings(given, stored, computed_in)
    each = [one.probabilities(few.values) for one in found]
    numbers = few.values
    if native.itemsize <= 2:
        numbers = grid_of(native).numbers
        as_filled = rounded_again(few.values, each[0], native)
        each = [as_filled, *(one.probabilities(numbers) for one in found)]
    return tuple(_of_numbers(stored, dtype, few, numbers, one, 0.0) for one in each)


def _of_intervals(stored: Distribution, standard: Standardized, slack: float) -> Expected:
    value = _summand(standard.points, standard.weights)
    square = _summand((standard.points - value.mean) ** 2, standard.weights)
    return Expected(
        stored.mean,
        stored.std,
        value,
        square,
        standard.cells,
        np.clip(np.diff(standard.below, prepend=0.0, append=1.0), 0.0, 1.0),
        standard.below,
        None,
        standard.peak,
        slack,
        min(1.0, 2 * standard.peak * slack),
    )


def _of_numbers(
    stored: Distribution,
    dtype: np.dtype[Any],
    cells: Cells | Numbers,
    numbers: Doubles,
    probabilities: Doubles,
    slack: float,  # in units of the std
) -> Expected:
    row = FLOATS[dtype.name]
    # A number and a power of two, so that sums over equal values are exact. Not less than the
    # distance of the numbers, so that powers of a deviation can be held.
    center = float(numbers[np.argmin(np.abs(numbers - stored.mean))])
    most = max(stored.std, row.epsilon * abs(stored.mean), row.smallest)
    scale = math.ldexp(1.0, math.frexp(most)[1])
    met = probabilities > NEVER
    points, weights = (numbers[met] - center) / scale, probabilities[met]
    value = _summand(points, weights)
    square = _summand((points - value.mean) ** 2, weights)
    opposite = np.minimum(np.searchsorted(numbers, -numbers[met]), len(numbers) - 1)
    twice = (numbers[opposite] == -numbers[met]) & (numbers[met] != 0)
    commonest = float((weights + np.where(twice, probabilities[opposite], 0.0)).max())
    return Expected(
        center,
        scale,
        value,
        square,
        cells,
        probabilities,
        np.cumsum(probabilities)[:-1],
        numbers,
        0.0,
        slack * stored.std / scale,
        min(1.0, commonest),
    )
