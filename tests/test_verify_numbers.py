"""The numbers that `verify` gives, against SciPy, mpmath, closed forms and counting."""

import functools
import math

import cases
import mpmath
import numpy as np
import pytest
from scipy import stats
from verify_cases import NORMAL, SEED, dtypes, filled

from fastxavier import Normal, TruncatedNormal, Uniform
from fastxavier._verify import verify

inf = math.inf


# ---- numbers -------------------------------------------------------------------------------------

DISTRIBUTIONS = [
    (Normal(0.3, 0.02), 3),
    (Uniform(-0.1, 0.3), 9 / 5),
    (TruncatedNormal(0, 1), None),
    (TruncatedNormal(0.1, 0.5, -1, 3), None),
    (TruncatedNormal(0, 1, 0, inf), None),
    (TruncatedNormal(0, 1, 9, 10), None),
]


@functools.cache
def exact_kurtosis(low, high):
    """Of the standard normal within (low, high), by mpmath's quadrature."""
    with mpmath.workdps(30):
        ends = [mpmath.mpf(low), mpmath.mpf(min(high, low + 12))]

        def expectation(function):
            return mpmath.quad(lambda z: function(z) * mpmath.npdf(z), ends)

        mass = expectation(lambda z: 1)
        mean = expectation(lambda z: z) / mass
        second = expectation(lambda z: (z - mean) ** 2) / mass
        fourth = expectation(lambda z: (z - mean) ** 4) / mass
        return float(fourth / second**2)


@pytest.mark.parametrize(("distribution", "kurtosis"), DISTRIBUTIONS, ids=repr)
def test_moments_in_standard_errors(distribution, kurtosis):
    """z of mean and variance from the distribution's fourth moment, in plain NumPy."""
    if kurtosis is None:
        kurtosis = exact_kurtosis(distribution.low, distribution.high)
    values = filled(distribution, 100_000, "float64")
    report = verify(values, distribution)
    root = math.sqrt(values.size)
    z = (values.mean() - distribution.mean) / distribution.std * root
    assert math.isclose(report.mean.z, z, rel_tol=1e-6)
    assert math.isclose(report.mean.measured, values.mean(), rel_tol=1e-9)
    assert report.mean.expected == distribution.mean
    about = ((values - distribution.mean) ** 2).mean()
    z = (about / distribution.variance - 1) / math.sqrt(kurtosis - 1) * root
    assert math.isclose(report.variance.z, z, rel_tol=1e-6)
    assert math.isclose(report.variance.measured, about, rel_tol=1e-9)
    assert math.isclose(report.variance.expected, distribution.variance, rel_tol=1e-12)


def test_probability_of_a_variance_is_that_of_a_chi_square():
    """Of n normal values, exactly."""
    values = filled(NORMAL, 2000, "float64")
    report = verify(values, NORMAL)
    sums = (values**2).sum() / NORMAL.variance
    p = 2 * min(stats.chi2.sf(sums, 2000), stats.chi2.cdf(sums, 2000))
    assert math.isclose(report.variance.p, p, rel_tol=1e-6)
    p = 2 * stats.norm.sf(abs(values.mean()) / NORMAL.std * math.sqrt(2000))
    assert math.isclose(report.mean.p, p, rel_tol=1e-6)


def test_a_few_values_have_moments_that_are_not_judged():
    report = verify(filled(NORMAL, 100), NORMAL)
    assert report.mean.p is None
    assert report.variance.p is None
    assert report.serial_correlation.p is None
    assert report.level == 1e-6 / 4  # fit, minimum, maximum and equal values


@pytest.mark.parametrize(("distribution", "_"), DISTRIBUTIONS, ids=repr)
@pytest.mark.parametrize("count", [1, 10, 5000])
def test_kolmogorov_smirnov(distribution, count, _):
    """SciPy's distance, but for what lies within one of the cells."""
    values = filled(distribution, count, "float64")
    if isinstance(distribution, Uniform):
        frozen = stats.uniform(distribution.low, distribution.high - distribution.low)
    else:
        low, high = (
            (distribution.low, distribution.high)
            if isinstance(distribution, TruncatedNormal)
            else (-inf, inf)
        )
        parent = distribution.parent if isinstance(distribution, TruncatedNormal) else distribution
        frozen = stats.truncnorm(low, high, parent.mean, parent.std)
    exact = stats.kstest(values, frozen.cdf)
    found = verify(values, distribution).fit
    assert (found.statistic, found.note) == ("Kolmogorov-Smirnov", "")
    # The densest distribution's cell holds 1 / 1,500; the outer two 2**-12 each.
    assert 0 <= exact.statistic - found.measured <= 7e-4 + 1e-12
    assert found.p >= exact.pvalue * (1 - 1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_number_of_16_bits_has_its_share(dtype):
    """The chi-square over groups of representable numbers, by dictionary, fraction and SciPy."""
    distribution, kind, count = NORMAL, cases.DTYPES[dtype], 50_000
    values = filled(distribution, count, dtype)
    seen = dict(zip(*np.unique(values.astype(np.float64), return_counts=True), strict=True))
    with np.errstate(invalid="ignore"):
        every = np.arange(1 << 16, dtype=np.uint16).view(kind).astype(np.float64)
    numbers = np.unique(every[np.isfinite(every)])
    ends = [-inf, *((numbers[1:] + numbers[:-1]) / 2), inf]
    shares = np.diff(stats.norm(0, float(np.float32(distribution.std))).cdf(ends))
    groups = [[0, 0.0]]
    for number, share in zip(numbers.tolist(), shares.tolist(), strict=True):
        if groups[-1][1] * count >= 20:
            groups.append([0, 0.0])
        groups[-1][0] += seen.get(number, 0)
        groups[-1][1] += share
    if groups[-1][1] * count < 20:
        rest = groups.pop()
        groups[-1] = [groups[-1][0] + rest[0], groups[-1][1] + rest[1]]
    observed, expected = np.array(groups).T
    exact = stats.chisquare(observed, expected * count)
    found = verify(values, distribution).fit
    assert (found.statistic, found.note) == ("chi²", f"{len(groups):,} groups")
    assert math.isclose(found.measured, exact.statistic, rel_tol=1e-6)
    assert math.isclose(found.p, 2 * min(exact.pvalue, 1 - exact.pvalue), rel_tol=0.05)


@pytest.mark.parametrize(("distribution", "_"), DISTRIBUTIONS, ids=repr)
def test_chi_square_of_cells(distribution, _):
    """Of many doubles: the same statistic within what other groups of them may give."""
    values = filled(distribution, 200_000, "float64")
    found = verify(values, distribution).fit
    assert found.statistic == "chi²"
    assert found.note == f"{found.expected + 1:,} groups"
    assert math.isclose(found.spread, math.sqrt(2 * found.expected), rel_tol=0.05)
    assert 900 < found.expected + 1 <= 1024
    assert abs(found.measured - found.expected) < 5 * math.sqrt(2 * found.expected)
    assert math.isclose(
        found.p,
        2
        * min(
            stats.chi2.sf(found.measured, found.expected),
            stats.chi2.cdf(found.measured, found.expected),
        ),
        rel_tol=0.05,
    )


def test_power_of_the_chi_square():
    """Four groups in eight with 2% more and four with as much less: n 0.02^2 is what that adds."""
    count, shift, period = 1 << 21, 0.02, 8 / 964
    uniforms = np.random.default_rng(SEED).random(count)
    place = uniforms / period
    phase = place % 1
    moved = np.where(phase < (1 + shift) / 2, phase / (1 + shift), 1 - (1 - phase) / (1 - shift))
    found = verify((np.floor(place) + moved) * period, Uniform(0, 1)).fit
    assert found.measured - found.expected > count * shift**2 / 2
    assert found.p < 1e-7


@dtypes
@pytest.mark.parametrize("count", [1, 30, 10_000])
def test_extremes_of_a_uniform(dtype, count):
    """F^n in closed form; values count as the middle of what rounds to them."""
    values = filled(Uniform(0, 1), count, dtype)
    report = verify(values, Uniform(0, 1))
    top, bottom = float(values.max()), float(values.min())
    assert (report.minimum.measured, report.maximum.measured) == (bottom, top)
    median = 0.5 ** (1 / count)
    assert math.isclose(report.maximum.expected, median, rel_tol=1e-6)
    assert math.isclose(report.minimum.expected, 1 - median, rel_tol=1e-5)
    if dtype == "float64":
        for p, share in ((report.maximum.p, top), (report.minimum.p, 1 - bottom)):
            further, nearer = 1 - share**count, (share + 2**-22) ** count
            assert math.isclose(p, min(1, 2 * min(further, nearer)), rel_tol=1e-6)
    else:
        assert report.ok


def test_extremes_of_a_normal():
    values = filled(NORMAL, 40_000, "float64")
    report = verify(values, NORMAL)
    share = stats.norm.cdf(values.max() / NORMAL.std)
    further, nearer = 1 - share**40_000, (share + 2**-22) ** 40_000
    assert math.isclose(report.maximum.p, 2 * min(further, nearer), rel_tol=1e-6)
    median = stats.norm.isf(1 - 0.5 ** (1 / 40_000)) * NORMAL.std
    assert math.isclose(report.maximum.expected, median, rel_tol=1e-9)
    assert math.isclose(report.minimum.expected, -median, rel_tol=1e-9)


@dtypes
def test_bounds_are_those_of_the_dtype(dtype):
    """0.1 rounds up in float32 and bfloat16, down in float16: the rounded bound is inside."""
    kind = cases.DTYPES[dtype].type
    distribution = Uniform(-0.1, 0.1)
    bound = kind(np.float32(0.1)) if dtype != "float64" else 0.1
    values = filled(distribution, (100, 100), dtype)
    values[0, 0], values[5, 5] = bound, -bound
    assert verify(values, distribution).out_of_bounds.measured == 0
    values[0, 0], values[5, 5] = np.nextafter(bound, kind(1)), -np.nextafter(bound, kind(1))
    report = verify(values, distribution)
    assert report.out_of_bounds.measured == 2
    assert "out_of_bounds" in report.failures


def test_bounds_from_rounded_parameters_are_bounds():
    """3 sigma rounded, and 3 times sigma rounded, differ by an ulp; either may be the bound."""
    differing = 0
    for std in np.linspace(0.5, 0.9, 20).tolist():
        distribution = TruncatedNormal(0, std, -3, 3)
        bounds = {np.float32(3 * std), np.float32(3 * float(np.float32(std)))}
        differing += len(bounds) - 1
        for bound in bounds:
            assert (
                verify(np.array([0.1, bound], np.float32), distribution).out_of_bounds.measured == 0
            )
        above = np.nextafter(max(bounds), np.float32(9))
        assert verify(np.array([0.1, above], np.float32), distribution).out_of_bounds.measured == 1
    assert differing > 0
