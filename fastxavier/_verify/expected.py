"""What values of a distribution are expected to hold, as a dtype holds them."""

from __future__ import annotations

import importlib
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastxavier._verify.tally import CELLS, Cells, grid_of
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

Doubles = NDArray[np.float64]

ULPS = 4  # by which rounding, of parameters and within a fill, may move a value


def scipy_stats() -> Any:
    try:
        return importlib.import_module("scipy.stats")
    except ImportError:
        raise ImportError('verify needs SciPy: pip install "fastxavier[cli]"') from None


def as_stored(distribution: Distribution, dtype: np.dtype[Any]) -> Distribution:
    """The distribution with its parameters rounded as a fill rounds them: 16 bits are drawn in 32."""

    def rounded(value: float) -> float:
        number = float(np.float32(value)) if dtype.itemsize < 8 else value
        if math.isinf(number):
            raise ValueError(f"{distribution!r} reaches values beyond the largest {dtype.name}")
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
    computed = np.float32 if dtype.itemsize < 8 else np.float64
    bounds = np.array(
        [(distribution if stored.std > 0 else stored).bounds, stored.bounds], computed
    )
    bounds = bounds.astype(dtype.newbyteorder("=")).astype(np.float64)
    return float(bounds[:, 0].min()), float(bounds[:, 1].max())


def standard_form(distribution: Distribution) -> Distribution:
    """The distribution of the same shape that all its moved and scaled ones share."""
    if isinstance(distribution, TruncatedNormal):
        # So narrow a cut is flat to eight digits, of which differences of erf would leave less.
        if (distribution.high - distribution.low) * max(
            1.0, abs(distribution.low), abs(distribution.high)
        ) < 1e-8:
            return Uniform(-1.0, 1.0)
        return TruncatedNormal(0.0, 1.0, distribution.low, distribution.high)
    return Uniform(-1.0, 1.0) if isinstance(distribution, Uniform) else Normal(0.0, 1.0)


class Summand(NamedTuple):
    """Moments of what a sum adds up; skewness and kurtosis are standardized."""

    mean: float
    std: float
    skewness: float
    kurtosis: float


def summand_of(values: Doubles, weights: Doubles) -> Summand:
    mean = float((weights * values).sum())
    mean = (
        0.0 if abs(mean) < 1e-12 else mean
    )  # of symmetric distributions, and of all that are not rounded
    x = values - mean
    variance, third, fourth = (float((weights * x**power).sum()) for power in (2, 3, 4))
    if variance == 0:
        return Summand(mean, 0.0, 0.0, math.inf)
    return Summand(mean, math.sqrt(variance), third / variance**1.5, fourth / variance**2)


class Shape(NamedTuple):
    """A distribution of mean 0 and variance 1."""

    distribution: Any  # of scipy.stats
    cells: Cells
    below: Doubles  # probability below each inner end of the cells
    peak: float  # largest density
    points: Doubles  # of a quadrature, and their probabilities
    weights: Doubles


@lru_cache(maxsize=64)
def standard_shape(distribution: Distribution) -> Shape:
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
    # Gauss-Legendre, panel by panel; what lies beyond has no part in the moments used.
    edges = np.linspace(frozen.ppf(1e-30), frozen.isf(1e-30), 201)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = (edges[1] - edges[0]) / 2
    points = ((edges[:-1] + half)[:, None] + half * nodes).ravel()
    density = frozen.pdf(points)
    weights = density * np.tile(weights, 200)
    weights /= weights.sum()
    return Shape(frozen, Cells(first, step), below, float(density.max()), points, weights)


class Expected(NamedTuple):
    """What values of a distribution hold in a dtype. Values are less the distribution's mean, over its std."""

    value: Summand
    square: Summand  # about the expected value
    probabilities: Doubles  # of each cell, or of each number of a 16-bit dtype
    below: Doubles  # the same added up, without the last
    continuous: bool
    peak: float
    slack: float  # how far the rounding of parameters and of a draw may move a value
    commonest: float  # probability of the commonest number


@lru_cache(maxsize=16)
def expected_in(distribution: Distribution, dtype: np.dtype[Any]) -> Expected:
    shape = standard_shape(standard_form(distribution))
    continuous = dtype.itemsize > 2
    computed = np.float64 if dtype.itemsize == 8 else np.float32
    slack = (
        ULPS
        * float(np.spacing(computed(abs(distribution.mean) + distribution.std)))
        / distribution.std
    )
    points, weights, below = shape.points, shape.weights, shape.below
    if not continuous:
        numbers = grid_of(dtype.newbyteorder("=")).numbers
        points = (numbers - distribution.mean) / distribution.std
        below = shape.distribution.cdf(
            (numbers[:-1] / 2 + numbers[1:] / 2 - distribution.mean) / distribution.std
        )
    probabilities = np.clip(np.diff(below, prepend=0.0, append=1.0), 0.0, 1.0)
    commonest = min(1.0, shape.peak * slack)
    if not continuous:
        weights = probabilities
        commonest = float(probabilities.max())
    points, weights = points[weights > 0], weights[weights > 0]
    value = summand_of(points, weights)
    square = summand_of((points - value.mean) ** 2, weights)
    return Expected(value, square, probabilities, below, continuous, shape.peak, slack, commonest)
