"""Distributions: small immutable values that know their moments and bounds. `fill_` draws them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, SupportsFloat

from fastxavier import _core
from fastxavier._validation import ArgumentValueError, not_negative, real

__all__ = ["Constant", "Distribution", "Normal", "TruncatedNormal", "Uniform"]


class Distribution(_core.DistributionBase):
    """A distribution that `fill_` draws from: `Uniform`, `Normal`, `TruncatedNormal` or `Constant`.

    Immutable, hashable, compared by value. Each answers ``mean``, ``std``, ``variance`` and
    ``bounds`` for the distribution itself, truncation included.
    """

    __slots__ = ()

    def __new__(cls, *arguments: Any) -> Distribution:
        raise TypeError(
            f"{cls.__name__} is abstract; use Uniform, Normal, TruncatedNormal or Constant"
        )

    @property
    def mean(self) -> float:
        """The expected value."""
        location, scale = self._parameters
        return location + scale * self._moments[0]

    @property
    def variance(self) -> float:
        """The expected squared distance from the mean."""
        scale = self._parameters[1]
        return scale * self._moments[1] * scale

    @property
    def std(self) -> float:
        """The standard deviation, the square root of the variance."""
        return self._parameters[1] * math.sqrt(self._moments[1])

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value, infinite where there is none."""
        return self._bounds

    def _arguments(self) -> dict[str, float]:
        """What the class was called with."""
        mean, std = self._parameters
        return {"mean": mean, "std": std}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distribution):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        # With the signs: 0.0 == -0.0, but their bits differ, and equal values may share a cache.
        arguments = self._arguments().values()
        return type(self), *arguments, *[math.copysign(1.0, one) for one in arguments]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._arguments().values())


class Constant(Distribution):
    """One value throughout, whatever seed and stream: biases, the scales of norms.

    Parameters
    ----------
    value : float
        Finite. An array's dtype sees it rounded; one of 16 or 8 bits through float32.

    Attributes
    ----------
    mean : float
        The value.
    std, variance : float
        0.
    bounds : tuple of float
        The value twice.

    Raises
    ------
    TypeError
        If the value is not a real number.
    ValueError
        If the value is not finite.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> fx.fill_(np.empty(3), fx.Constant(0.5))
    array([0.5, 0.5, 0.5])
    """

    __slots__ = ()

    def __new__(cls, value: SupportsFloat) -> Constant:
        return _core.make_constant(cls, real("value", value))

    @property
    def value(self) -> float:
        """The value."""
        return self._parameters[0]

    def _arguments(self) -> dict[str, float]:
        return {"value": self.value}


class Uniform(Distribution):
    """The uniform distribution on [low, high].

    Parameters
    ----------
    low, high : float
        The bounds, both finite. Draws are symmetric about the middle and may touch either bound.

    Attributes
    ----------
    mean : float
        (low + high) / 2.
    variance : float
        (high - low)**2 / 12; `std` is its square root.
    bounds : tuple of float
        (low, high). An array's dtype sees them rounded to it.

    Raises
    ------
    TypeError
        If a bound is not a real number.
    ValueError
        If a bound is not finite, or low > high.

    Examples
    --------
    >>> import fastxavier as fx
    >>> fx.Uniform(-1.0, 1.0).variance
    0.3333333333333333
    """

    __slots__ = ()

    def __new__(cls, low: SupportsFloat, high: SupportsFloat) -> Uniform:
        low, high = real("low", low), real("high", high)
        if low > high:
            raise ArgumentValueError(f"low is {low}, above high, which is {high}", "low", low)
        return _core.make_uniform(cls, low, high)

    @property
    def low(self) -> float:
        """The lower bound."""
        return self._parameters[0]

    @property
    def high(self) -> float:
        """The upper bound."""
        return self._parameters[1]

    @property
    def mean(self) -> float:
        """The expected value, (low + high) / 2."""
        return self._moments[0]

    @property
    def variance(self) -> float:
        """The variance, (high - low)**2 / 12."""
        return self._moments[1]

    @property
    def std(self) -> float:
        """The standard deviation, (high - low) / sqrt(12)."""
        return (self.high / 2 - self.low / 2) / math.sqrt(3)

    @property
    def bounds(self) -> tuple[float, float]:
        """(low, high)."""
        return self._parameters

    def _arguments(self) -> dict[str, float]:
        return {"low": self.low, "high": self.high}


class Normal(Distribution):
    """The normal distribution, drawn by the method of Box and Muller.

    Parameters
    ----------
    mean : float
        Expected value, finite.
    std : float
        Standard deviation, finite and not negative; 0 gives the mean throughout.

    Attributes
    ----------
    variance : float
        std**2.
    bounds : tuple of float
        (-inf, inf); for std 0 the mean twice. Draws of 32-bit words stay within 6.66 std of the
        mean, those of 64-bit words (float64) within 9.42.

    Raises
    ------
    TypeError
        If a parameter is not a real number.
    ValueError
        If a parameter is not finite, or std is negative.

    References
    ----------
    G. E. P. Box, M. E. Muller, "A note on the generation of random normal deviates", Annals of
    Mathematical Statistics 29 (1958).

    Examples
    --------
    >>> import fastxavier as fx
    >>> fx.Normal(mean=0.0, std=0.02).variance
    0.0004
    """

    __slots__ = ()

    def __new__(cls, mean: SupportsFloat = 0.0, std: SupportsFloat = 1.0) -> Normal:
        return _core.make_normal(cls, real("mean", mean), not_negative("std", std))


class TruncatedNormal(Distribution):
    """A normal distribution conditioned to lie between two bounds.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation of the *parent*, the normal before truncation, as in JAX and
        SciPy. The truncated distribution's own are the attributes of these names; they differ.
    low, high : float, default -2 and 2
        Where it is truncated, in units of the parent's std from its mean; either may be infinite.

    Attributes
    ----------
    mean, std, variance : float
        Of the truncated distribution: with the default bounds, std is 0.8796 times the parent's.
    bounds : tuple of float
        (mean + std * low, mean + std * high) of the parent, each rounded once.
    parent : Normal
        The normal before truncation.
    low, high : float
        Where it is truncated, in units of the parent's std; `bounds` is in units of the values.

    Raises
    ------
    TypeError
        If a parameter is not a real number.
    ValueError
        If mean or std is not finite, std is negative, no value lies between the bounds (low >= high
        or a NaN), or they begin more than 37 std from the mean, where no probability is left in a
        double.

    Examples
    --------
    >>> import fastxavier as fx
    >>> distribution = fx.TruncatedNormal(0.0, 1.0)
    >>> distribution.parent.std, round(distribution.std, 6), distribution.bounds
    (1.0, 0.879626, (-2.0, 2.0))
    """

    __slots__ = ()

    def __new__(
        cls,
        mean: SupportsFloat = 0.0,
        std: SupportsFloat = 1.0,
        low: SupportsFloat = -2.0,
        high: SupportsFloat = 2.0,
    ) -> TruncatedNormal:
        low, high = real("low", low, finite=False), real("high", high, finite=False)
        # Without the sign of a zero, of which `_standard_truncated` keeps the one it sees first.
        low, high = low or 0.0, high or 0.0
        return _core.make_rescaled(
            cls, _standard_truncated(low, high), real("mean", mean), not_negative("std", std)
        )

    @property
    def parent(self) -> Normal:
        """The normal distribution before truncation."""
        return Normal(*self._parameters)

    @property
    def low(self) -> float:
        """Lower bound, in units of the parent's std."""
        return self._truncation[0]

    @property
    def high(self) -> float:
        """Upper bound, in units of the parent's std."""
        return self._truncation[1]

    def _arguments(self) -> dict[str, float]:
        return {**super()._arguments(), "low": self.low, "high": self.high}


@lru_cache(maxsize=256)
def _standard_truncated(low: float, high: float) -> _core.DistributionBase:
    """The standard normal within (low, high); its moments take longer than a small fill."""
    try:
        return _core.make_truncated_normal(_core.DistributionBase, 0.0, 1.0, low, high)
    except ValueError:
        raise ArgumentValueError(
            f"low is {low} and high is {high}; low must be less than high, and the interval "
            "between them must begin within 37 std of the mean",
            "low",
            low,
        ) from None
