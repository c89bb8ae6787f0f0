"""What tests of initializers share: distributions in exact arithmetic, and bad arguments."""

import inspect
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import fastxavier as fx
from fastxavier.initializers import INITIALIZERS

STANDARD_TRUNCATED_STD = 0.87962566103423978
MODES = ["fan_avg", "fan_in", "fan_out"]
ALL_MODES = [*MODES, "fan_geo_avg"]


def root_of_variance(scale, mode, fan_in, fan_out, gain=1):
    """gain * sqrt(scale / n) at 40 digits."""
    with mpmath.workdps(40):

        def number(x):
            x = Fraction(x)
            return mpmath.mpf(x.numerator) / x.denominator

        a, b = number(fan_in), number(fan_out)
        n = {"fan_avg": (a + b) / 2, "fan_in": a, "fan_out": b, "fan_geo_avg": mpmath.sqrt(a * b)}
        return number(gain) * mpmath.sqrt(number(scale) / n[mode])


def distribution_of(family, std):
    """The distribution of mean 0 that has this standard deviation."""
    with mpmath.workdps(40):
        if family == "uniform":
            bound = float(std * mpmath.sqrt(3))
            return fx.Uniform(-bound, bound)
        return (
            fx.Normal(0, float(std))
            if family == "normal"
            else fx.TruncatedNormal(0, float(std / mpmath.mpf(STANDARD_TRUNCATED_STD)))
        )


def same_distribution(got, expected, rel=4e-16):
    assert type(got) is type(expected)
    if isinstance(got, fx.Uniform):
        assert got.low == -got.high
        assert got.high == pytest.approx(expected.high, rel=rel, abs=0)
        return
    if isinstance(got, fx.TruncatedNormal):
        assert (got.low, got.high) == (-2, 2)
        got, expected = got.parent, expected.parent
    assert got.mean == 0
    assert got.std == pytest.approx(expected.std, rel=rel, abs=0)


BAD_FANS = [
    *((value, ValueError) for value in (0, 0.0, -0.0, -1, -0.5, 0.5, 1 - 2**-53, -(10**400))),
    *((value, ValueError) for value in (-(10**5000), math.nan, math.inf)),
    *((value, TypeError) for value in (True, np.True_, "3", 3j, (3, 4), [3, 4])),
    (np.array([3, 4]), TypeError),
]
BAD_GAINS = [
    *((value, ValueError) for value in (-1, -1e-300, math.nan, math.inf, 10**400, "rulu", "")),
    *((value, TypeError) for value in (True, 1j, (1.0,), np.ones(2))),
]


def said(value):
    """How a message shows a value that is too long for it, or the value."""
    huge = isinstance(value, int) and abs(value) > 10**4000
    return "integer of" if huge else repr(value)[:50]


WITH_FANS = sorted(
    name
    for name, row in INITIALIZERS.items()
    if "fan_in" in inspect.signature(row.make).parameters and name != "variance_scaling"
)


def make_of(name):
    return INITIALIZERS[name].make
