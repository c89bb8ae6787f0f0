"""The numbers of a dtype that a narrow distribution reaches, and the exact probability of each.

Called by `expected`. A distribution is narrow if it reaches so few numbers of the dtype in which a
fill computes that each can be counted: then rounding decides what the values are, and it matters
how they are rounded. `readings` are the ways in which a generator may do that.
"""

from __future__ import annotations

import importlib
import math
from typing import Any, NamedTuple

import numpy as np

from fastxavier._verify.read import Array, Doubles
from fastxavier._verify.tally import CELLS, Numbers, grid_of, ordered
from fastxavier.distributions import Distribution, TruncatedNormal, Uniform

FAR = 12.0  # standard deviations of a normal distribution, beyond which its probability is 4e-33
FLAT = 1e-8  # width of an interval within which a normal density is flat to eight digits


def scipy_stats() -> Any:
    """`scipy.stats`, or an ImportError that says how to install it."""
    try:
        return importlib.import_module("scipy.stats")
    except ImportError:
        raise ImportError('verify needs SciPy: pip install "fastxavier[verify]"') from None


def is_flat(distribution: TruncatedNormal) -> bool:
    """Whether it is truncated to so narrow an interval that differences of erf lose digits."""
    low, high = distribution.low, distribution.high
    return (high - low) * max(1.0, abs(low), abs(high)) < FLAT


def support(distribution: Distribution) -> tuple[float, float]:
    """The least and the greatest value that is met."""
    if isinstance(distribution, Uniform):
        return distribution.bounds
    low, high, parent = -FAR, FAR, distribution
    if isinstance(distribution, TruncatedNormal):
        nearest = min(max(0.0, distribution.low), distribution.high)
        low, high = max(distribution.low, nearest - FAR), min(distribution.high, nearest + FAR)
        parent = distribution.parent
    return parent.mean + parent.std * low, parent.mean + parent.std * high


class Reading(NamedTuple):
    """One way to draw from a distribution: ``location + scale * z``, rounded to the dtype once."""

    standard: Any  # the distribution of z, of scipy.stats
    location: float
    scale: float

    def probabilities(self, numbers: Doubles) -> Doubles:
        """That of each number, if values are rounded to the nearest; `numbers` are in order."""
        # Not from the midpoints themselves, which a double may not hold.
        z = (numbers - self.location) / max(self.scale, 5e-324)
        return shares(self.standard, z[:-1] / 2 + z[1:] / 2)


def shares(standard: Any, ends: Doubles) -> Doubles:
    """Probabilities between consecutive ends, and beyond the first and the last of them.

    Each is a difference of the smaller tails, so that neither tail loses digits.
    """
    below = np.concatenate([[0.0], standard.cdf(ends), [1.0]])
    above = np.concatenate([[1.0], standard.sf(ends), [0.0]])
    found = np.where(below[1:] <= 0.5, np.diff(below), -np.diff(above))
    middle = (below[:-1] < 0.5) & (below[1:] > 0.5)
    found[middle] = 1.0 - below[:-1][middle] - above[1:][middle]
    return np.clip(found, 0.0, 1.0)


# ---- readings ------------------------------------------------------------------------------------


def readings(given: Distribution, stored: Distribution, computed_in: Any) -> list[Reading]:
    """How `fill_` draws the distribution, and how others may; `stored` is as `as_stored` gives it.

    The first one is the fill's. Others may round only the values, or may place the ends of a
    uniform distribution otherwise.
    """
    found = [_as_filled(stored, computed_in)] if isinstance(stored, Uniform) else []
    found += [_reading(one) for one in dict.fromkeys((stored, given))]
    return found


def _reading(distribution: Distribution) -> Reading:
    stats = scipy_stats()
    if isinstance(distribution, Uniform):
        return Reading(stats.uniform(), distribution.low, distribution.high - distribution.low)
    if not isinstance(distribution, TruncatedNormal):
        return Reading(stats.norm(), distribution.mean, distribution.std)
    low, high = distribution.low, distribution.high
    standard = stats.truncnorm(low, high)
    if is_flat(distribution):
        standard = stats.uniform(low, high - low)
    return Reading(standard, distribution.parent.mean, distribution.parent.std)


def _as_filled(uniform: Uniform, computed_in: Any) -> Reading:
    """Symmetric about the middle as the dtype holds it, as docs/stream.md defines the values."""
    low, high = uniform.low, uniform.high
    middle = float(computed_in(uniform.mean if math.isinf(low + high) else (low + high) / 2))
    half = min(-low, high)
    if middle != 0:
        # The largest half-width with which no rounded value leaves the bounds, by bisection over
        # the numbers of the dtype.
        fits, fails = 0, int(ordered(np.array([np.inf], computed_in))[0])
        while fails - fits > 1:
            tried = (fits + fails) // 2
            half = float(numbers_between(tried, tried, computed_in)[0])
            inside = (
                float(computed_in(middle - half)) >= low
                and float(computed_in(middle + half)) <= high
            )
            fits, fails = (tried, fails) if inside else (fits, tried)
        half = float(numbers_between(fits, fits, computed_in)[0])
    return Reading(scipy_stats().uniform(-1.0, 2.0), middle, half)


# ---- numbers of a dtype --------------------------------------------------------------------------


def numbers_between(first: int, last: int, kind: Any) -> Array:
    """The numbers of a dtype from one to another, each given as its place in their order."""
    size = np.dtype(kind).itemsize
    keys = np.arange(first, last + 1, dtype=np.int64)
    magnitudes = np.abs(keys).astype(f"u{size}").view(kind)
    numbers: Array = np.where(keys < 0, -magnitudes, magnitudes)
    return numbers


def lattice(supports: list[tuple[float, float]], kind: Any) -> Numbers | None:
    """The numbers within all supports and two more at each end; None if they are not few."""
    last = int(ordered(np.array([np.finfo(kind).max], kind))[0])
    keys = ordered(np.array(supports, kind))
    # Python's integers, since the difference of two may exceed 64 bits.
    first, end = max(int(keys.min()) - 2, -last), min(int(keys.max()) + 2, last)
    if end - first >= CELLS:
        return None
    return Numbers(first, numbers_between(first, end, kind).astype(np.float64))


def rounded_again(numbers: Doubles, probabilities: Doubles, dtype: np.dtype[Any]) -> Doubles:
    """Probabilities of a narrow dtype's numbers, if float32 numbers of these are rounded to it."""
    grid = grid_of(dtype)
    places = np.searchsorted(grid.numbers, numbers.astype(np.float32).astype(dtype).astype(float))
    found = np.zeros(len(grid.numbers))
    np.add.at(found, np.minimum(places, len(found) - 1), probabilities)
    return found
