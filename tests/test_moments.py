"""Mean, variance and shape of what a fill draws, and what a distribution says of them.

Bounds are standard errors derived from the distribution's moments. Seeds are fixed, so a test that
passes once passes always; a correct generator fails one check of 5 standard errors in two million.
"""

import functools
import math
import operator

import cases
import ml_dtypes
import numpy as np
import pytest
import reference

import fastxavier as fx
from fastxavier import Normal, TruncatedNormal, Uniform

inf = math.inf
SEED = 20100513
COUNT = 10_000_000
PIECE = 1 << 20
STANDARD_ERRORS = 5

# ---- distributions, from their densities ---------------------------------------------------------

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)


def _erfc(x):
    return np.array([math.erfc(value) for value in np.ravel(x)])


class Standard:
    """A distribution moved and scaled to a parent of mean 0 and std 1, or to U[-1, 1].

    The bounds of a uniform are first rounded to the dtype of the computation, as a fill does.
    """

    def __init__(self, distribution, dtype):
        self.uniform = isinstance(distribution, Uniform)
        if self.uniform:
            low, high = (
                float(np.dtype(cases.COMPUTED_IN[dtype]).type(x)) for x in distribution.bounds
            )
            self.center, self.scale = low / 2 + high / 2, high / 2 - low / 2
            self.low, self.high = -1.0, 1.0
        else:
            parent = (
                distribution.parent if isinstance(distribution, TruncatedNormal) else distribution
            )
            self.center, self.scale = parent.mean, parent.std
            self.low, self.high = (
                (distribution.low, distribution.high)
                if isinstance(distribution, TruncatedNormal)
                else (-inf, inf)
            )

    def moments(self):
        """Mean, and second and fourth moment about it: Gauss-Legendre quadrature, panel by panel.

        Beyond 12 standard deviations past the nearest point of the cut there is nothing to add.
        """
        nearest = min(max(0.0, self.low), self.high)
        low, high = max(self.low, nearest - 12), min(self.high, nearest + 12)
        edges = np.linspace(low, high, 201)
        half = (edges[1] - edges[0]) / 2
        x = ((edges[:-1] + half)[:, None] + half * _NODES).ravel()
        density = np.ones_like(x) if self.uniform else np.exp((nearest**2 - x**2) / 2)
        weights = density * np.tile(_WEIGHTS, 200)
        weights /= weights.sum()
        mean = weights @ x
        return mean, weights @ (x - mean) ** 2, weights @ (x - mean) ** 4

    def cdf(self, x):
        """Distribution function at x, an array in units of the values drawn."""
        x = np.clip((np.asarray(x, np.float64) - self.center) / self.scale, self.low, self.high)
        if self.uniform:
            return (x + 1) / 2
        # From the tail that is small within the cut, so that no digits cancel.
        side = -1.0 if self.low < 0 else 1.0
        ends = _erfc(side * np.array([self.low, self.high]) / math.sqrt(2))
        return (ends[0] - _erfc(side * x / math.sqrt(2))) / (ends[0] - ends[1])


@functools.cache
def _grid(dtype):
    """All finite numbers of a narrow dtype in order; ends of the intervals rounded to each."""
    kind = cases.DTYPES[dtype]
    numbers = np.arange(1 << 8 * kind.itemsize, dtype=f"u{kind.itemsize}").view(kind)
    with np.errstate(invalid="ignore"):  # signalling NaNs among them
        numbers = numbers.astype(np.float64)
    numbers = np.unique(numbers[np.isfinite(numbers)])
    return numbers, np.concatenate([[-inf], (numbers[:-1] + numbers[1:]) / 2, [inf]])


def probabilities(distribution, dtype):
    """The numbers of a narrow dtype, and the probability of each under the rounded distribution."""
    numbers, ends = _grid(dtype)
    return numbers, np.diff(Standard(distribution, dtype).cdf(ends))


def expected_moments(distribution, dtype):
    """Mean, and second and fourth moment about it, in units of Standard, as the dtype holds them.

    A narrow dtype is coarse enough for its rounding to show: there the moments are exact sums over
    its numbers. In float32 and float64 it adds at most 2^-20 of the variance, where a standard
    error is 2^-12 of it.
    """
    standard = Standard(distribution, dtype)
    if cases.DTYPES[dtype].itemsize > 2:
        return standard.moments()
    numbers, p = probabilities(distribution, dtype)
    x = (numbers[p > 0] - standard.center) / standard.scale
    p = p[p > 0]
    mean = p @ x
    return mean, p @ (x - mean) ** 2, p @ (x - mean) ** 4


# ---- moments of draws ----------------------------------------------------------------------------


def drawn_moments(fill, distribution, dtype):
    """Mean and variance of COUNT draws in units of Standard, summed in float64 by pieces."""
    standard = Standard(distribution, dtype)
    values = np.empty(PIECE, cases.DTYPES[dtype])
    shift = expected_moments(distribution, dtype)[0]  # sums about the mean lose no digits
    total = squares = 0.0
    for first in range(0, COUNT, PIECE):
        piece = values[: min(PIECE, COUNT - first)]
        fill(piece, seed=SEED, stream=1, global_shape=(COUNT,), offset=(first,))
        x = piece.astype(np.float64)
        x -= standard.center
        x /= standard.scale
        x -= shift
        total += x.sum()
        squares += x @ x
    mean = total / COUNT
    return shift + mean, squares / COUNT - mean**2


def check_moments(fill, distribution, dtype):
    mean, variance = drawn_moments(fill, distribution, dtype)
    expected_mean, second, fourth = expected_moments(distribution, dtype)
    # Standard errors of the mean and of the variance, and the rounding of the sums.
    mean_error = math.sqrt(second / COUNT)
    variance_error = math.sqrt(max(fourth - second**2, 0.0) / COUNT)
    assert abs(mean - expected_mean) <= STANDARD_ERRORS * mean_error + 1e-13
    assert abs(variance - second) <= STANDARD_ERRORS * variance_error + 1e-13 * second


@pytest.mark.parametrize(("name", "dtype"), cases.DRAWN)
def test_moments_of_every_distribution(name, dtype):
    distribution = cases.distributions(dtype)[name]
    check_moments(functools.partial(fx.fill_, distribution=distribution), distribution, dtype)


# fan_in, fan_out, gain, mode, and the variance that Glorot's formula gives: gain^2 / fan.
FANS = [
    (784, 256, 1.0, "fan_avg", 1 / 520),
    (4096, 16384, math.sqrt(2), "fan_avg", 2 / 10240),
    (3 * 7 * 7, 64, math.sqrt(2), "fan_in", 2 / 147),
    (64, 1000, 5 / 3, "fan_out", 25 / 9 / 1000),
]
INITIALIZERS = {
    fx.uniform_: fx.glorot_uniform,
    fx.normal_: fx.glorot_normal,
    fx.truncated_normal_: fx.glorot_truncated_normal,
}


@pytest.mark.parametrize("fill", INITIALIZERS, ids=operator.attrgetter("__name__"))
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("fan_in", "fan_out", "gain", "mode", "variance"), FANS)
def test_variance_of_every_initializer(fill, dtype, fan_in, fan_out, gain, mode, variance):
    distribution = INITIALIZERS[fill](fan_in, fan_out, gain=gain, mode=mode)
    assert distribution.mean == 0
    assert math.isclose(distribution.variance, variance, rel_tol=1e-15)

    def filled(array, **placement):
        fill(array, fan_in, fan_out, gain=gain, mode=mode, **placement)

    check_moments(filled, distribution, dtype)
    # Rounding to 16 bits moves the variance itself by no more than 2^-10 of it, and to 8 bits by
    # no more than the square of half a spacing.
    _, second, _ = expected_moments(distribution, dtype)
    moved = max(2.0**-10, float(ml_dtypes.finfo(cases.DTYPES[dtype]).eps / 2) ** 2)
    assert math.isclose(second * Standard(distribution, dtype).scale ** 2, variance, rel_tol=moved)


# ---- moments that a distribution answers ---------------------------------------------------------

real = reference.real.clone()
real.dps = 100

CUTS = [
    (-2, 2),
    (-1, 1),
    (-3, 3),
    (-8, 8),
    (-inf, inf),
    (0, inf),
    (-inf, 0),
    (-1, 2),
    (-0.1, 7),
    (-1, inf),
    (2, 5),
    (-5, -2),
    (6.99, 7.01),
    (7, 8),
    (-9, -8),
    (9, 10),
    (30, 31),
    (36.9, inf),
    (-inf, -37),
    (-inf, 36),
    (1, 1.01),
    (1, 1.0001),
    (-3.0001, -3),
    (3, 3.000001),
    (-6.5000002, -6.5),
    (6.9, 6.9000002),
    (30, 30.001),
    (-1e-3, 1e-3),
    (-1e-5, 2e-5),
    (0.5, 0.5 + 1e-6),
    (-1e-8, 1e-8),
    (1, 1 + 1e-8),
    (-1e-150, 1e-150),
]
cuts = pytest.mark.parametrize(("low", "high"), CUTS)


@functools.cache
def exact_moments(low, high):
    """Mean and variance of the standard normal within (low, high), 40 digits and more.

    The differences lose at most 60 of the 100 digits; a cut that is narrower still is expanded.
    """
    low, high = real.mpf(low), real.mpf(high)
    if high - low < real.mpf(10) ** -20:
        center, extent = (low + high) / 2, high - low
        return center - center * extent**2 / 12, extent**2 / 12
    if low > 0:
        width = (real.erfc(low / real.sqrt(2)) - real.erfc(high / real.sqrt(2))) / 2
    elif high < 0:
        width = (real.erfc(-high / real.sqrt(2)) - real.erfc(-low / real.sqrt(2))) / 2
    else:
        width = (real.erf(high / real.sqrt(2)) - real.erf(low / real.sqrt(2))) / 2
    at_low, at_high = real.npdf(low), real.npdf(high)
    mean = (at_low - at_high) / width
    edges = (0 if real.isinf(low) else low * at_low) - (0 if real.isinf(high) else high * at_high)
    return mean, 1 + edges / width - mean**2


@cuts
def test_moments_of_a_cut(low, high):
    """Mean, variance and std within 4 ulp, bounds exact, at mean 0 and std 1."""
    distribution = TruncatedNormal(0, 1, low, high)
    mean, variance = exact_moments(low, high)
    assert abs(distribution.mean - mean) <= 4 * 2.0**-52 * abs(mean)
    assert abs(distribution.variance - variance) <= 4 * 2.0**-52 * variance
    assert abs(distribution.std - real.sqrt(variance)) <= 4 * 2.0**-52 * real.sqrt(variance)
    assert distribution.bounds == (low, high)


@cuts
@pytest.mark.parametrize(("center", "scale"), [(0.3, 0.02), (-5.0, 3.0), (0.0, 1e-200)])
def test_moments_of_a_cut_moved_and_scaled(low, high, center, scale):
    """As above, and the rounding of location + scale * (mean of the cut)."""
    distribution = TruncatedNormal(center, scale, low, high)
    mean, variance = exact_moments(low, high)
    expected = real.mpf(center) + real.mpf(scale) * mean
    least = real.mpf(2) ** -1074  # of the numbers that a double can hold
    slack = 4 * 2.0**-52 * (abs(center) + scale * abs(mean)) + least
    assert abs(distribution.mean - expected) <= slack
    std = real.mpf(scale) * real.sqrt(variance)
    assert abs(distribution.std - std) <= 6 * 2.0**-52 * std + least
    assert abs(distribution.variance - std**2) <= 8 * 2.0**-52 * std**2 + least
    # Rounded once, as a drawn value is: 100 digits hold the sum exactly.
    bounds = [float(real.mpf(center) + real.mpf(scale) * real.mpf(end)) for end in (low, high)]
    assert distribution.bounds == tuple(bounds)
    assert (distribution.parent.mean, distribution.parent.std) == (center, scale)


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1, 1), (-0.1, 0.3), (0, 1e-3), (5, 5), (1, 1 + 2.0**-52), (-1e300, 1.7e308), (-3e-5, 7e7)],
)
def test_moments_of_a_uniform(low, high):
    distribution = Uniform(low, high)
    low, high = real.mpf(low), real.mpf(high)
    variance = (high - low) ** 2 / 12
    assert abs(distribution.mean - (low + high) / 2) <= 2.0**-53 * (abs(low) + abs(high))
    assert abs(distribution.std - real.sqrt(variance)) <= 4 * 2.0**-52 * real.sqrt(variance)
    if variance < np.finfo(np.float64).max:
        assert abs(distribution.variance - variance) <= 4 * 2.0**-52 * variance
    else:
        assert distribution.variance == inf
    assert distribution.bounds == (low, high)


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (0.3, 0.02), (-5, 1e-100), (2, 0)])
def test_moments_of_a_normal(mean, std):
    distribution = Normal(mean, std)
    assert (distribution.mean, distribution.std) == (mean, std)
    assert math.isclose(distribution.variance, std * std, rel_tol=2.0**-52)
    assert distribution.bounds == ((mean, mean) if std == 0 else (-inf, inf))


# ---- shape ---------------------------------------------------------------------------------------

SAMPLE = 1_000_000


@functools.cache
def sample(name, dtype):
    """The distinct values among SAMPLE draws, and how often each occurs."""
    values = cases.drawn(cases.distributions(dtype)[name], dtype, SEED, 2, 12345, SAMPLE)
    if values.dtype.itemsize <= 2:  # NumPy 2.4 missorts subnormal float16 numbers
        values = values.astype(np.float32)
    return np.unique(values, return_counts=True)


@pytest.mark.parametrize(("name", "dtype"), cases.DRAWN)
def test_kolmogorov_smirnov(name, dtype):
    """The distance sqrt(n) D passes c in 2 exp(-2 c^2) of all samples: one in a million at 2.694.

    A value stands for the interval of numbers that round to it: the distribution is
    compared at its ends, with the sample before and after the value. Of a distribution with steps D
    is smaller, never larger.
    """
    values, counts = sample(name, dtype)
    numbers = values.astype(np.float64)
    below = above = numbers
    if cases.DTYPES[dtype].itemsize <= 2:
        grid, ends = _grid(dtype)
        where = np.searchsorted(grid, numbers)
        below, above = ends[where], ends[where + 1]
    elif dtype == "float32":
        below, above = (
            (numbers + np.nextafter(values, np.float32(side)).astype(np.float64)) / 2
            for side in (-inf, inf)
        )
    distribution = Standard(cases.distributions(dtype)[name], dtype)
    share = np.cumsum(counts) / SAMPLE
    before = share - counts / SAMPLE
    distance = max(
        np.abs(share - distribution.cdf(above)).max(),
        np.abs(before - distribution.cdf(below)).max(),
    )
    assert distance * math.sqrt(SAMPLE) <= 2.694


@pytest.mark.parametrize(
    ("name", "dtype"), [case for case in cases.DRAWN if cases.DTYPES[case[1]].itemsize <= 2]
)
def test_number_of_distinct_values_in_few_bits(name, dtype):
    """As many as the rounded distribution lets expect.

    A number of probability p is missed by n draws with probability (1 - p)^n. That one is met makes
    it less likely that another is, so the variances of the single events add up to no less than
    that of their number. One number more or less is allowed for what is rare.
    """
    values, _ = sample(name, dtype)
    _, p = probabilities(cases.distributions(dtype)[name], dtype)
    missed = np.exp(SAMPLE * np.log1p(-np.clip(p, 0, 1 - 1e-16)))
    slack = 1 + STANDARD_ERRORS * math.sqrt((missed * (1 - missed)).sum())
    assert abs(len(values) - (1 - missed).sum()) <= slack


def test_bfloat16_uses_its_whole_range():
    """A bfloat16 has 128 numbers in a binade; a normal meets many binades, on both sides of 0."""
    values, _ = sample("normal", "bfloat16")
    assert len(values) > 10 * 128
    info = ml_dtypes.finfo(cases.DTYPES["bfloat16"])
    assert np.abs(values[values != 0]).min() < float(info.eps) * 0.02
