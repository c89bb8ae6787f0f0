"""What the values of a distribution are expected to be, as a dtype holds them.

Called by `judge` and `one_array`. The only module here that needs SciPy, which it imports when it
is first used.
"""

from __future__ import annotations

import importlib
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastxavier._dtypes import FLOATS
from fastxavier._validation import ArgumentValueError
from fastxavier._verify.read import Doubles
from fastxavier._verify.tally import CELLS, Cells, grid_of
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

ULPS = 4  # by which rounding, of parameters and within a fill, may move a value


def scipy_stats() -> Any:
    """`scipy.stats`, or an ImportError that says how to install it."""
    try:
        return importlib.import_module("scipy.stats")
    except ImportError:
        raise ImportError('verify needs SciPy: pip install "fastxavier[verify]"') from None


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
    bounds = bounds.astype(dtype.newbyteorder("=")).astype(np.float64)
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
        low, high = distribution.low, distribution.high
        # An interval as narrow as this has a flat density to eight digits; differences of erf would
        # keep fewer.
        if (high - low) * max(1.0, abs(low), abs(high)) < 1e-8:
            return _standardized(Uniform(-1.0, 1.0))
        return _standardized(TruncatedNormal(0.0, 1.0, low, high))
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
    mean = float((weights * values).sum())
    if abs(mean) < 1e-12:  # of symmetric distributions, and of all that are not rounded
        mean = 0.0
    x = values - mean
    variance, third, fourth = (float((weights * x**power).sum()) for power in (2, 3, 4))
    if variance == 0:
        return Summand(mean, 0.0, 0.0, math.inf)
    return Summand(mean, math.sqrt(variance), third / variance**1.5, fourth / variance**2)


class Expected(NamedTuple):
    """What is expected of values of a distribution in a dtype, all in units of (x - mean) / std."""

    value: Summand
    square: Summand  # about the expected value
    probabilities: Doubles  # of each cell; for a 16-bit dtype, of each representable number
    below: Doubles  # their running sum, without the last
    continuous: bool
    peak: float
    slack: float  # how far the rounding of parameters and of a draw may move a value
    commonest: float  # probability of the most probable number


@lru_cache(maxsize=16)
def expected_in(distribution: Distribution, dtype: np.dtype[Any]) -> Expected:
    """What is expected of values that `fill_` draws; `distribution` is as `as_stored` gives it."""
    standard = standardized(distribution)
    continuous = dtype.itemsize > 2
    computed_in = np.dtype(FLOATS[dtype.name].computed_in).type
    ulp = float(np.spacing(computed_in(abs(distribution.mean) + distribution.std)))
    slack = ULPS * ulp / distribution.std
    points, weights, below = standard.points, standard.weights, standard.below
    if not continuous:
        numbers = grid_of(dtype.newbyteorder("=")).numbers
        midpoints = numbers[:-1] / 2 + numbers[1:] / 2
        points = (numbers - distribution.mean) / distribution.std
        below = standard.distribution.cdf((midpoints - distribution.mean) / distribution.std)
    probabilities = np.clip(np.diff(below, prepend=0.0, append=1.0), 0.0, 1.0)
    commonest = min(1.0, standard.peak * slack)
    if not continuous:
        weights = probabilities
        commonest = float(probabilities.max())
    points, weights = points[weights > 0], weights[weights > 0]
    value = _summand(points, weights)
    square = _summand((points - value.mean) ** 2, weights)
    return Expected(
        value, square, probabilities, below, continuous, standard.peak, slack, commonest
    )
