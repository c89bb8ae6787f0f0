"""What `verify` says of an array or a model: faults are found, true draws pass, numbers are right.

Expected numbers come from SciPy, mpmath or closed forms. Seeds are fixed; where true draws may fail
by chance, the bound is a quantile of the binomial distribution that a right verdict obeys.
"""

import doctest
import functools
import itertools
import json
import math
import re
import sys
import tracemalloc
import types
from dataclasses import FrozenInstanceError

import cases
import ml_dtypes
import mpmath
import numpy as np
import pytest
from scipy import stats

import fastxavier as fx
from fastxavier import Normal, TruncatedNormal, Uniform
from fastxavier import _verify as fx_verify
from fastxavier._verify import api, exact, read, verify
from fastxavier._verify.model import mismatches
from fastxavier.initializers import initializer_named
from fastxavier.plans import Plan, Rule
from fastxavier.structured import DeltaOrthogonal, Dirac, Identity, Orthogonal, Sparse

inf = math.inf
SEED = 20100513
SHAPE = 512, 512
NORMAL = fx.glorot_normal(512, 512)
UNIFORM = fx.glorot_uniform(512, 512)
TRUNCATED = fx.glorot_truncated_normal(512, 512)

dtypes = pytest.mark.parametrize("dtype", cases.DTYPES)


def filled(distribution, shape=SHAPE, dtype="float32", seed=SEED):
    return fx.fill_(np.empty(shape, cases.DTYPES[dtype]), distribution, seed=seed)


# ---- true draws ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), cases.ALL)
def test_our_draws_pass(name, dtype):
    distribution = cases.distributions(dtype)[name]
    report = verify(filled(distribution, (600, 500), dtype), distribution)
    assert report.ok, report


SMALL = [
    NORMAL,
    UNIFORM,
    TRUNCATED,
    Normal(3, 0.1),
    Uniform(0, 1),
    TruncatedNormal(0.1, 0.5, -1, 3),
    TruncatedNormal(0, 1, 0, inf),
    TruncatedNormal(0, 1, 9, 10),
    TruncatedNormal(0, 1, -1e-9, 2e-9),
]


@dtypes
@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("distribution", SMALL, ids=repr)
def test_a_handful_of_values_passes(distribution, count, dtype):
    for seed in range(3):
        report = verify(filled(distribution, count, dtype, seed), distribution)
        assert report.ok, report


def test_false_alarms_are_as_rare_as_stated():
    """No more fills fail than a binomial distribution with that probability allows."""
    false_alarm, each = 0.05, 15
    cells = list(itertools.product(SMALL, cases.DTYPES, range(each)))
    failed = 0
    for seed, (distribution, dtype, i) in enumerate(cells):
        count = (5, 50, 700, 3000, 20000)[i % 5]
        failed += not verify(
            filled(distribution, count, dtype, seed), distribution, false_alarm=false_alarm
        ).ok
    assert failed <= stats.binom.isf(1e-6, len(cells), false_alarm)


@pytest.mark.parametrize(
    ("distribution", "dtype", "count"),
    [
        (NORMAL, "float32", 1600),
        (UNIFORM, "float64", 1600),
        (TruncatedNormal(0, 1, 0, inf), "float32", 5000),
        (NORMAL, "bfloat16", 5000),
    ],
    ids=repr,
)
def test_probabilities_of_true_draws_are_uniform(distribution, dtype, count):
    """Neither too small nor too large: a p that is always near 1 would find nothing."""
    reports = [
        verify(filled(distribution, count, dtype, seed), distribution) for seed in range(250)
    ]
    names = ["mean", "variance", "minimum", "maximum"] + ["fit"] * (dtype == "bfloat16")
    names += ["serial_correlation"] * (count > 2000)
    for name in names:
        p = [getattr(report, name).p for report in reports]
        assert stats.kstest(p, "uniform").pvalue > 1e-5, name


NUMPYS = {
    "normal": (lambda g, n: g.normal(0, 0.02, n), Normal(0, 0.02)),
    "normal of 32 bits": (
        lambda g, n: g.standard_normal(n, np.float32) * np.float32(0.02),
        Normal(0, 0.02),
    ),
    "uniform": (lambda g, n: g.uniform(-0.1, 0.1, n), Uniform(-0.1, 0.1)),
    "uniform of 24 bits": (lambda g, n: g.random(n, np.float32), Uniform(0, 1)),
    "uniform of 23 bits": (
        lambda g, n: (g.integers(0, 1 << 23, n) / 2.0**22 - 1).astype(np.float32),
        Uniform(-1, 1),
    ),
    "legacy": (
        lambda g, n: np.random.RandomState(7).normal(0, 0.02, n).astype(np.float16),
        Normal(0, 0.02),
    ),
    "truncated": (
        lambda g, n: stats.truncnorm(-1, 2, 0.3, 0.05).rvs(n, random_state=7),
        TruncatedNormal(0.3, 0.05, -1, 2),
    ),
}


@pytest.mark.parametrize("name", NUMPYS)
def test_other_generators_pass(name):
    draw, distribution = NUMPYS[name]
    report = verify(draw(np.random.default_rng(SEED), 1_000_000), distribution)
    assert report.ok, report


# ---- faults --------------------------------------------------------------------------------------


def changed(array, where, value):
    array[where] = value
    return array


def of_128_values():
    """What a generator makes that draws the 7 bits of a bfloat16's fraction."""
    steps = np.random.default_rng(SEED).integers(0, 128, SHAPE)
    return ((steps / 64 - 1) * UNIFORM.high).astype(ml_dtypes.bfloat16)


def clipped():
    return np.clip(filled(NORMAL, 1 << 20), -4 * NORMAL.std, 4 * NORMAL.std)


tall = fx.glorot_normal(512, 256, mode="fan_in")
wide = fx.glorot_normal(256, 512, mode="fan_in")
one_ulp_out = np.nextafter(np.float32(UNIFORM.high), np.float32(1))

FAULTS = {
    "128 values": (of_128_values, UNIFORM, "fit"),
    "gain twice": (
        lambda: filled(fx.glorot_normal(512, 512, gain=25 / 9)),
        fx.glorot_normal(512, 512, gain=5 / 3),
        "variance",
    ),
    "fans swapped": (lambda: filled(wide, (256, 512)), tall, "variance"),
    "truncation not corrected": (
        lambda: filled(TruncatedNormal(0, NORMAL.std)),
        TRUNCATED,
        "variance",
    ),
    "mean moved": (lambda: filled(Normal(NORMAL.std / 50, NORMAL.std)), NORMAL, "mean"),
    "NaN": (lambda: changed(filled(NORMAL), (3, 5), np.nan), NORMAL, "nans"),
    "infinity": (lambda: changed(filled(NORMAL), (3, 5), -inf), NORMAL, "infinities"),
    "one ulp out of bounds": (
        lambda: changed(filled(UNIFORM), (3, 5), one_ulp_out),
        UNIFORM,
        "out_of_bounds",
    ),
    "outlier": (lambda: changed(filled(NORMAL), (3, 5), -9 * NORMAL.std), NORMAL, "minimum"),
    "uniform for normal": (lambda: filled(UNIFORM), NORMAL, "fit"),
    "normal for uniform": (lambda: filled(NORMAL), UNIFORM, "out_of_bounds"),
    "clipped": (clipped, NORMAL, "maximum"),
    "float16 in float32": (
        lambda: filled(NORMAL, dtype="float16").astype(np.float32),
        NORMAL,
        "fit",
    ),
    "stratified": (
        lambda: np.random.default_rng(SEED).permutation(
            np.linspace(-UNIFORM.high, UNIFORM.high, 1 << 18)
        ),
        UNIFORM,
        "fit",
    ),
    "zeros": (lambda: np.zeros(SHAPE, np.float32), NORMAL, "repeats"),
    "half zeros": (
        lambda: filled(NORMAL) * (np.arange(512) % 2).astype(np.float32),
        NORMAL,
        "variance",
    ),
    "few and wrong": (lambda: filled(Normal(0, 10 * NORMAL.std), 64), NORMAL, "fit"),
    "sums beyond doubles": (lambda: np.array([1e308, -1e308] * 4000), Normal(0, 1e-300), "mean"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name):
    make, distribution, finding = FAULTS[name]
    report = verify(make(), distribution)
    assert not report.ok
    assert finding in report.failures


@pytest.mark.parametrize(
    ("name", "others"),
    [("mean moved", 1), ("one ulp out of bounds", 0), ("NaN", 0), ("outlier", 0), ("clipped", 1)],
)
def test_other_findings_are_left_alone(name, others):
    """One fault, one failure, and the like: a mean moved a little may touch the distribution."""
    make, distribution, _ = FAULTS[name]
    assert len(verify(make(), distribution).failures) <= 1 + others


@dtypes
def test_not_finite_values_are_counted(dtype):
    values = filled(NORMAL, (300, 200), dtype)
    values[::50, 7], values[0, :3], values[1, 1] = np.nan, inf, -inf
    report = verify(values, NORMAL)
    assert (report.nans.measured, report.infinities.measured) == (6, 4)
    assert report.failures == ("nans", "infinities")
    finite = values[np.isfinite(values.astype(np.float32))].astype(np.float64)
    assert math.isclose(report.mean.measured, finite.mean(), rel_tol=1e-9)
    assert report.maximum.measured == finite.max()


@dtypes
def test_nothing_but_nan(dtype):
    report = verify(np.full(100, np.nan, cases.DTYPES[dtype]), NORMAL)
    assert report.failures == ("nans",)
    assert report.mean is None


# ---- repeated blocks -----------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize(("source", "target"), [(0, 262144 - 48), (77, 131), (1001, 200_003)])
def test_repeats_at_any_offset(dtype, source, target):
    """A block of the shortest length, wherever both are; one value less is not found."""
    values = filled(NORMAL, 1 << 18, dtype)
    length = int(verify(values, NORMAL).repeats.note.split()[2])
    values[target : target + length] = values[source : source + length]
    report = verify(values, NORMAL)
    assert report.failures == ("repeats",)
    # The blocks' neighbours may be equal by chance, in 16 bits.
    assert f"{length} equal values from ({source},) and ({target},) on" == report.repeats.note
    values = filled(NORMAL, 1 << 18, dtype)
    values[target : target + length - 1] = values[source : source + length - 1]
    assert verify(values, NORMAL).ok


@dtypes
def test_repeats_in_larger_arrays(dtype):
    """Of more than 2^20 values some places are looked at: a repeat of the length stated is met."""
    values = filled(NORMAL, (2100, 1000), dtype)
    report = verify(values, NORMAL)
    assert report.ok
    length = int(report.repeats.note.split()[2])
    assert length <= 15 + 14 * 32 + 48
    flat = values.reshape(-1)
    flat[1_234_567 : 1_234_567 + length] = flat[89 : 89 + length]
    report = verify(values, NORMAL)
    assert report.failures == ("repeats",)
    assert f"{length} equal values from (0, 89) and (1234, 567) on" == report.repeats.note


def symmetric():
    values = filled(NORMAL, (300, 300))
    return np.triu(values) + np.triu(values, 1).T


def row_in_column():
    values = filled(NORMAL)
    values[:, 7] = values[5]
    return values


def column_again():
    values = filled(NORMAL)
    values[:, 100] = values[:, 3]
    return values


def rows_again():
    values = filled(NORMAL)
    values[300:302] = values[9:11]
    return values


def kernel_again():
    values = filled(NORMAL, (64, 32, 3, 3))
    values[11] = values[60]
    return values


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("make", "length"),
    [
        (symmetric, "90,000"),
        (row_in_column, "512"),
        (column_again, "512"),
        (rows_again, "1,024"),
        (kernel_again, "288"),
    ],
)
def test_repeats_along_either_axis(make, length, transposed):
    values = make().T if transposed else make()
    report = verify(values, NORMAL)
    assert "repeats" in report.failures
    assert report.repeats.note.startswith(f"{length} equal values")


def test_equal_values_take_neither_time_nor_memory():
    """Every place is an anchor: neither time nor memory may grow with their pairs."""
    assert "repeats" in verify(np.zeros((1500, 1000), np.float32), NORMAL).failures


@pytest.mark.parametrize(
    ("distribution", "looked_for"),
    [(Normal(1, 0.02), True), (Normal(1, 0.001), False), (Normal(0, 0.02), True)],
    ids=repr,
)
def test_chance_does_not_repeat_blocks_of_few_numbers(distribution, looked_for):
    """Of a bfloat16 near 1 there are few: windows grow, or repeats are not looked for."""
    values = filled(distribution, (700, 700), "bfloat16")
    report = verify(values, distribution)
    assert report.ok
    assert (report.repeats is not None) == looked_for


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


# ---- arrays --------------------------------------------------------------------------------------


def strided(values):
    larger = np.zeros((2 * values.shape[0], 3 * values.shape[1]), values.dtype)
    larger[::2, 1::3] = values
    return larger[::2, 1::3]


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda values: values[::-1, ::-1].copy()[::-1, ::-1],
    "other byte order": lambda values: values.astype(values.dtype.newbyteorder()),
    "one axis": lambda values: values.reshape(1, -1, 1),
    "read-only": lambda values: np.broadcast_to(values, values.shape),
    "DLPack": cases.Exporter,
    "buffer": lambda values: memoryview(values),
}


NUMPY_ALONE = ("other byte order", "DLPack", "buffer")  # what ml_dtypes' bfloat16 cannot be


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [
        (layout, dtype)
        for layout in LAYOUTS
        for dtype in cases.DTYPES
        if dtype != "bfloat16" or layout not in NUMPY_ALONE
    ],
)
def test_layouts(layout, dtype):
    """The findings are those of the plain array, sums in another order aside."""
    values = filled(NORMAL, (700, 301), dtype)
    plain, other = verify(values, NORMAL), verify(LAYOUTS[layout](values), NORMAL)
    assert other.ok
    findings = [
        one for one in plain.findings if layout != "one axis" or one.name != "row_correlation"
    ]
    for one, two in zip(findings, other.findings, strict=True):
        assert (one.name, one.expected, one.note) == (two.name, two.expected, two.note)
        assert math.isclose(one.measured, two.measured, rel_tol=1e-9, abs_tol=1e-12)


class TorchTensor:
    """As much of a torch tensor as `verify` uses: layout, device, and NumPy's view of it."""

    dtype, layout, device = "torch.bfloat16", "torch.strided", types.SimpleNamespace(type="cpu")

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    resolve_conj = resolve_neg = detach

    def view(self, dtype):
        return TorchTensor(self.values.view(dtype))

    def numpy(self):
        assert self.values.dtype == np.int16
        return self.values


def test_a_torch_bfloat16_tensor(monkeypatch):
    """NumPy cannot take such a tensor; its bits as integers it can."""
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(int16=np.int16))
    values = filled(NORMAL, (300, 200), "bfloat16")
    report = verify(TorchTensor(values), NORMAL)
    assert report.ok
    assert report.shape == (300, 200)
    assert report.asdict() == verify(values, NORMAL).asdict()


@dtypes
@pytest.mark.parametrize("parameter", [False, True])
def test_torch_tensors(dtype, parameter):
    """Also a Parameter, which autograd watches, and a transposed view; nothing is copied."""
    torch = pytest.importorskip("torch")
    values = filled(NORMAL, (300, 200), dtype)
    tensor = torch.from_numpy(values.view(f"i{values.itemsize}").copy()).view(getattr(torch, dtype))
    if parameter:
        tensor = torch.nn.Parameter(tensor)
    assert verify(tensor, NORMAL).asdict() == verify(values, NORMAL).asdict()
    assert verify(tensor.T, NORMAL).asdict() == verify(values.T, NORMAL).asdict()
    assert verify(tensor, NORMAL, seed=SEED).ok


def test_torch_tensors_elsewhere():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"array is a torch tensor of .* meta; it must be dense"):
        verify(torch.empty(3, 3, device="meta"), NORMAL)
    with pytest.raises(TypeError, match=r"array is a torch tensor of layout torch\.sparse_coo"):
        verify(torch.eye(3).to_sparse(), NORMAL)


def test_scalars_and_sequences():
    assert verify(np.float32(0.01), NORMAL).shape == ()
    assert verify([0.01, -0.02], NORMAL).dtype == "float64"


@pytest.mark.parametrize("view", [lambda values: values, np.transpose], ids=["C", "Fortran"])
def test_memory_is_bounded(view):
    """Pieces, and 24 bytes for one place in 32 of either order, thrice as much to sort them."""
    values = filled(NORMAL, (4000, 4000))
    tracemalloc.start()
    verify(view(values), NORMAL)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 24 * values.size / 32 * 2 + 64 * read.CHUNK


# ---- distributions without variance, structured initializers -------------------------------------


@dtypes
@pytest.mark.parametrize(
    "distribution", [Normal(0.1, 0), Uniform(0.1, 0.1), Normal(0, 0)], ids=repr
)
def test_constants(dtype, distribution):
    values = np.full(
        (3, 5), np.float32(distribution.mean) if dtype != "float64" else distribution.mean
    )
    values = values.astype(cases.DTYPES[dtype])
    report = verify(values, distribution)
    assert report.ok
    assert report.mean is None
    assert verify(-values if distribution.mean == 0 else values, distribution).ok
    values[1, 1] = np.nextafter(values[1, 1], cases.DTYPES[dtype].type(1))
    assert verify(values, distribution).failures == ("out_of_bounds",)
    values[1, 1] = np.nan
    assert verify(values, distribution).failures == ("nans",)


def test_a_distribution_that_the_dtype_holds_as_a_constant():
    assert verify(filled(Normal(1, 1e-60), 100), Normal(1, 1e-60)).ok
    assert not verify(np.array([1, 1.5], np.float32), Normal(1, 1e-60)).ok


@pytest.mark.parametrize(
    "distribution", [Uniform(1, 1 + 7 * 2.0**-23), Normal(1e6, 1e-4), Normal(1, 1e-5)], ids=repr
)
def test_distributions_of_few_float32_numbers_are_not_blamed_for_rounding(distribution):
    report = verify(filled(distribution, (1000, 300)), distribution)
    assert report.ok, report


def test_structured_initializers():
    """They say how far an array is from their property, and how far rounding lets it be."""
    identity = Identity(0.5)
    right = np.eye(3, 5, dtype=np.float32) / 2
    assert verify(right, identity).ok
    wrong = right + np.float32(1e-3)
    report = verify(wrong, identity)
    assert report.failures == ("deviation",)
    assert report.deviation.measured == identity.deviation(wrong) == pytest.approx(1e-3, rel=1e-4)
    assert report.deviation.limit == identity.tolerance(wrong)
    assert verify(right * np.float32(1 + 2**-23), identity).ok
    right[1, 2] = np.nan
    assert verify(right, identity).failures == ("nans", "deviation")


@pytest.mark.parametrize("name", ["orthogonal", "identity", "sparse"])
def test_structured_initializers_pass(name):
    initializer = {"orthogonal": Orthogonal(2), "identity": Identity(), "sparse": Sparse(0.1)}[name]
    values = fx.fill_(np.empty((60, 40), np.float32), initializer, seed=7)
    assert verify(values, initializer).ok
    assert not verify(np.where(values == values.max(), 0, values), initializer).ok


# ---- initializers that depend on the shape -------------------------------------------------------


def test_initializers_by_name():
    """Fans come from the array's shape, in torch's layout unless another is given."""
    values = filled(fx.he_normal(256, 512), (512, 256))
    report = verify(values, "he_normal")
    assert report.ok
    assert report.distribution == fx.he_normal(256, 512)
    assert verify(values.T, "he_normal", layout="keras").ok
    assert verify(values.T, "he_normal").failures[:1] == ("variance",)
    assert verify(np.zeros(3), "zeros").ok


def test_initializers_as_values():
    initializer = initializer_named("glorot_uniform")
    assert verify(filled(UNIFORM), initializer).ok
    assert "variance" in verify(filled(UNIFORM, (1024, 256)), initializer).failures


# ---- exact bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), cases.ALL)
def test_bits(name, dtype):
    """Those of `fill_`, with the same seed and stream, and no others."""
    distribution = cases.distributions(dtype)[name]
    values = fx.fill_(np.empty((70, 50), cases.DTYPES[dtype]), distribution, seed=2**70, stream="a")
    report = verify(values, distribution, seed=2**70, stream="a")
    assert report.ok
    assert (report.seed, report.stream) == (2**70, "a")
    assert [one.name for one in report.findings] == ["differing_values"]
    bits = cases.patterns(values)
    bits[3, 5] ^= 1
    report = verify(values, distribution, seed=2**70, stream="a")
    assert (report.failures, report.differing_values.measured) == (("differing_values",), 1)
    assert report.differing_values.note.startswith("first at (3, 5): ")
    if name != "constant":
        assert not verify(values, distribution, seed=2**70, stream="b").ok
        assert not verify(values, distribution, seed=2**70).ok


def test_bits_of_the_default_stream():
    assert verify(filled(NORMAL), NORMAL, seed=SEED).ok
    assert verify(filled(NORMAL), NORMAL, seed=SEED, stream=0).ok
    assert not verify(filled(NORMAL), NORMAL, seed=SEED, stream=1).ok


def test_bits_are_not_values():
    """-0 equals 0, but has other bits."""
    assert verify(np.zeros(5), fx.Constant(0.0), seed=1).ok
    assert verify(-np.zeros(5), fx.Constant(0.0), seed=1).differing_values.measured == 5
    assert verify(np.full(5, np.nan), NORMAL, seed=1).differing_values.measured == 5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bits_in_any_layout(layout):
    """Of more values than are compared at a time."""
    values = filled(NORMAL, (1200, 801))
    assert values.size > 3 * exact.PIECE
    assert verify(LAYOUTS[layout](values), NORMAL, seed=SEED).ok
    values[1199, 7] = 0
    report = verify(LAYOUTS[layout](values), NORMAL, seed=SEED)
    place = (0, 1199 * 801 + 7, 0) if layout == "one axis" else (1199, 7)
    assert f"first at {place}: 0.0 instead of " in report.differing_values.note


@pytest.mark.parametrize("view", [lambda values: values, np.transpose], ids=["C", "Fortran"])
def test_memory_is_bounded_when_bits_are_compared(view):
    values = filled(NORMAL, (4000, 4000))
    tracemalloc.start()
    verify(view(values), NORMAL, seed=SEED)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 * exact.PIECE < values.nbytes / 10


@pytest.mark.parametrize(
    ("initializer", "shape"),
    [
        (Identity(0.5), (60, 40)),
        (Dirac(), (6, 4, 3)),
        (Sparse(0.1), (60, 40)),
        (Orthogonal(2.0), (60, 40)),
        (DeltaOrthogonal(2.0), (60, 40, 3)),
    ],
    ids=repr,
)
@dtypes
def test_bits_of_structured_initializers(initializer, shape, dtype):
    """An orthogonal matrix may differ by what LAPACKs do, and by a rounding."""
    values = fx.fill_(np.empty(shape, cases.DTYPES[dtype]), initializer, seed=7, stream="a")
    assert verify(values, initializer, seed=7, stream="a").ok
    if not isinstance(initializer, (Identity, Dirac)):
        assert not verify(values, initializer, seed=7, stream="b").ok
    place = np.unravel_index(np.argmax(values), shape)
    values[place] = np.nextafter(values[place], values.dtype.type(9))
    exactly = not isinstance(initializer, (Orthogonal, DeltaOrthogonal))
    assert verify(values, initializer, seed=7, stream="a").ok != exactly
    values[place] *= values.dtype.type(1.5)
    report = verify(values, initializer, seed=7, stream="a")
    assert report.differing_values.measured == 1
    if not exactly:
        assert report.differing_values.note.endswith(", tolerance 2e-06")


# ---- models --------------------------------------------------------------------------------------


def model():
    arrays = {
        "0.weight": np.empty((300, 200), np.float32),
        "0.bias": np.empty(300, np.float32),
        "1.weight": np.empty((10, 300), np.float16),
        "bn.weight": np.empty(10),
        "bn.num_batches_tracked": np.empty((), np.int64),
        "none.weight": np.empty((0, 5)),
    }
    fx.init_(arrays, seed=7)
    return arrays


def test_a_model():
    arrays = model()
    report = verify(arrays, fx.default_plan(), false_alarm=1e-3)
    assert isinstance(report, fx_verify.ModelVerification)
    assert report.ok
    assert report.failures == ()
    assert list(report.tensors) == list(arrays)
    for name, one in report.tensors.items():
        assert one.distribution == fx.default_plan().distribution(name, arrays[name].shape)
        assert one.false_alarm == pytest.approx(1e-3 / 6)
        assert (one.dtype, one.shape) == (arrays[name].dtype.name, arrays[name].shape)
    weight = verify(arrays["0.weight"], fx.glorot_uniform(200, 300), false_alarm=1e-3 / 6)
    assert report.tensors["0.weight"] == weight
    assert verify(arrays, "default").ok


DAMAGES = {
    "scale": ("0.weight", lambda w: w * 1.1, "variance"),
    "NaN": ("1.weight", lambda w: changed(w, (3, 5), np.nan), "nans"),
    "bias": ("0.bias", lambda w: changed(w, 3, 1e-30), "out_of_bounds"),
    "count": ("bn.num_batches_tracked", lambda w: w + 1, "differing_values"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_model_with_a_fault(case):
    name, damage, finding = DAMAGES[case]
    arrays = model()
    arrays[name] = np.asarray(damage(arrays[name]), arrays[name].dtype)
    report = verify(arrays, fx.default_plan())
    assert not report.ok
    assert report.failures == (name,)
    assert finding in report.tensors[name].failures
    assert verify(arrays, fx.default_plan(), seed=7).failures == (name,)


def test_a_model_bit_for_bit():
    """Names are streams: one more, one less or another order changes nothing."""
    arrays = model()
    report = verify(dict(reversed(arrays.items())), fx.default_plan(), seed=7)
    assert report.ok
    assert (report.seed, report.tensors["0.weight"].stream) == (7, "0.weight")
    other = verify(arrays, fx.default_plan(), seed=8)
    assert other.failures == ("0.weight", "1.weight")
    arrays["2.weight"] = arrays.pop("0.weight")
    assert verify(arrays, fx.default_plan(), seed=7).failures == ("2.weight",)


def test_false_alarms_of_a_model():
    """Shared among the tensors, they stay as rare as stated."""
    failed = 0
    for seed in range(100):
        arrays = {f"{i}.weight": np.empty((20, 30), np.float32) for i in range(6)}
        fx.init_(arrays, seed=seed)
        failed += not verify(arrays, fx.default_plan(), false_alarm=0.1).ok
    assert failed <= stats.binom.isf(1e-6, 100, 0.1)


def test_a_torch_module():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(200, 300), torch.nn.BatchNorm1d(300))
    fx.init_({name: one.data for name, one in module.state_dict().items()}, seed=7)
    assert verify(dict(module.named_parameters()), fx.default_plan(), seed=7).ok
    assert verify(module.state_dict(), fx.default_plan()).ok
    with pytest.raises(TypeError, match=r"verify\(dict\(module.named_parameters\(\)\), plan\)"):
        verify(module, fx.default_plan())


def test_a_model_prints_as_a_table():
    arrays = model()
    arrays["0.weight"] *= np.float32(1.1)
    report = verify(arrays, fx.default_plan())
    head, *rows = str(report).splitlines()
    rows, verdict, legend = rows[:6], rows[6], rows[7:]
    assert head.split("  ")[0] == "tensor"
    titles = ("expected std", "measured std", "mean: std errors off", "std: std errors off")
    assert all(f"  {title}  " in head for title in titles)
    assert [row.split()[0] for row in rows] == list(arrays)
    squares = np.square(arrays["0.weight"], dtype=float)
    assert f"  {math.sqrt(2 / 500):.6g}  " in rows[0]
    assert f"  {math.sqrt(squares.mean()):.6g}  " in rows[0]
    assert "Uniform(-0.109545, 0.109545)" in rows[0]
    assert re.search(r"  FAILED: .*variance", rows[0])
    assert all(row.endswith("  ok") for row in rows[1:])
    assert verdict == "FAILED: 1 of 6 tensors"
    assert legend[0].startswith("std errors off: ")
    exactly = str(verify(arrays, fx.default_plan(), seed=7)).splitlines()
    assert "  differing values  " in exactly[0]
    assert re.search(r"  60,000  FAILED: differing values$", exactly[1])
    assert exactly[-1].startswith("differing values: ")
    assert str(verify(model(), "default")).splitlines()[7] == "ok: 6 tensors"


def test_a_model_as_json():
    arrays = model()
    arrays["0.bias"][1] = np.nan
    read = json.loads(json.dumps(verify(arrays, "default").asdict(), allow_nan=False))
    assert (read["ok"], read["failures"], read["false_alarm"]) == (False, ["0.bias"], 1e-6)
    assert (read["seed"], read["mismatches"]) == (None, {})
    assert read["tensors"].keys() == arrays.keys()
    weight = read["tensors"]["0.weight"]
    assert weight == json.loads(json.dumps(verify(arrays, "default").tensors["0.weight"].asdict()))


def test_mismatches():
    held = {"a": ("F32", (3, 5)), "b": ("F32", (3,)), "c": ("I64", ()), "d": ("F16", (2,))}
    listed = {"e": ("F32", ()), "a": ("F32", (3, 5)), "b": ("F16", (4,)), "d": ("F16", (2, 1))}
    found = mismatches(held, listed)
    assert found == {
        "e": "missing",
        "b": "dtype F32 instead of F16, shape (3,) instead of (4,)",
        "d": "shape (2,) instead of (2, 1)",
        "c": "not in the list",
    }
    report = fx_verify.ModelVerification({}, 1e-6, mismatches=found)
    assert report.failures == tuple(found)
    assert not report.ok


def test_an_array_of_no_values_in_a_model_has_no_findings():
    report = verify({"none.weight": np.empty((0, 5))}, "default").tensors["none.weight"]
    assert report.ok
    assert report.findings == ()


# ---- report --------------------------------------------------------------------------------------


def test_report_is_immutable():
    report = verify(filled(NORMAL), NORMAL)
    with pytest.raises(FrozenInstanceError):
        report.distribution = UNIFORM
    with pytest.raises(FrozenInstanceError):
        report.mean.p = 1.0


def test_report_prints_as_a_table():
    report = verify(FAULTS["NaN"][0](), NORMAL)
    title, head, *rows, verdict, legend, more = str(report).splitlines()
    assert title == f"{NORMAL!r}: 262,144 values, float32, shape (512, 512)"
    assert re.split(r"  +", head) == ["", "expected", "measured", "std errors off", "p"]
    assert [row[: row.index("  ")] for row in rows] == [one.title for one in report.findings]
    ends = [head.index(name) + len(name) for name in ("expected", "measured")]
    for row in rows:
        assert all(row[end - 1] != " " and row[end] == " " for end in ends if end < len(row))
    assert verdict == "FAILED: nans"
    assert "  FAILED" in rows[0]
    assert legend.startswith("std errors off: ")
    assert more.endswith("A test fails where p is below 1.4e-07.")
    (fit,) = (row for row in rows if row.startswith("chi²"))
    spread = round(report.fit.spread)
    assert fit.split()[1:5] == [
        f"{report.fit.expected}",
        "±",
        f"{spread}",
        f"{report.fit.measured:.6g}",
    ]
    lines = str(verify(filled(NORMAL), NORMAL)).splitlines()
    assert "ok: consistent with the distribution" in lines
    lines = str(verify(np.eye(3), Identity())).splitlines()
    assert lines[-1] == "ok: consistent with the initializer"
    lines = str(verify(filled(NORMAL), NORMAL, seed=SEED)).splitlines()
    assert lines[-1] == f"ok: the values of seed {SEED}, stream 0"


def test_report_has_standard_deviations():
    values = filled(NORMAL, dtype="float64")
    report = verify(values, NORMAL)
    assert math.isclose(report.expected_std, NORMAL.std)
    assert math.isclose(report.measured_std, math.sqrt((values**2).mean()))
    assert report.asdict()["measured_std"] == report.measured_std
    assert verify(values, NORMAL, seed=SEED).measured_std is None


@pytest.mark.parametrize("name", ["NaN", "sums beyond doubles", "clipped"])
def test_report_as_json(name):
    make, distribution, finding = FAULTS[name]
    report = verify(make(), distribution)
    read = json.loads(json.dumps(report.asdict(), allow_nan=False))
    assert read["ok"] is False
    assert finding in read["failures"]
    assert read["distribution"] == repr(distribution)
    assert set(read["findings"]) == {one.name for one in report.findings}


def test_level_is_bonferronis():
    report = verify(filled(NORMAL), NORMAL, false_alarm=0.01)
    assert report.level == 0.01 / 7
    assert report.ok == all(one.p is None or one.p >= 0.01 / 7 for one in report.findings)


# ---- errors --------------------------------------------------------------------------------------


ONE = "tensor 'a.bias': array has dtype "
ONES, TWOS, HALVES, HUGE = (
    Plan([Rule("*", fx.Constant(value))]) for value in (1.0, 2.0, 0.5, 1e300)
)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (np.arange(3), NORMAL),
            {},
            TypeError,
            "array has dtype int64; it must be one of 'float32'",
        ),
        ((["a"], NORMAL), {}, TypeError, "array has dtype [<>]U1"),
        ((None, NORMAL), {}, TypeError, "array has dtype object"),
        ((np.ones(3, np.complex64), NORMAL), {}, TypeError, "array has dtype complex64"),
        ((np.empty((0, 3)), NORMAL), {}, ValueError, r"array has shape \(0, 3\); it must hold"),
        ((np.ones(3), 0.02), {}, TypeError, "distribution is 0.02; it must be an initializer"),
        ((np.ones(3), Uniform), {}, TypeError, "distribution is <class"),
        ((np.ones(3), "he_nromal"), {}, ValueError, "did you mean 'he_normal'"),
        ((np.ones(3), fx.default_plan()), {}, TypeError, "is a Plan, but array is not a mapping"),
        (({}, NORMAL), {}, TypeError, r"plan is Normal\(.*, or a Plan"),
        (({3: np.ones(3)}, "default"), {}, TypeError, "arrays has the key 3; .* a str"),
        (({"a.bias": np.ones(3, complex)}, ONES), {}, TypeError, ONE + "complex128, which"),
        (({"a.bias": np.ones(3, bool)}, TWOS), {}, TypeError, "whole constant from 0 to 1; the"),
        (({"a.bias": np.ones(3, "u1")}, HALVES), {}, TypeError, "whole constant from 0 to 255"),
        (({"a.bias": ["b"]}, ONES), {}, TypeError, ONE + "[<>]U1; it must be float32"),
        (({"a.bias": np.ones(3, "f")}, HUGE), {}, ValueError, "tensor 'a.bias': .* beyond"),
        (({"weights": np.ones(3)}, "default"), {}, fx.PlanError, "'weights'"),
        (({}, "default"), {"layout": "keras"}, ValueError, "layout is 'keras', but a plan has"),
        (({}, "default"), {"seed": 1, "stream": 0}, ValueError, "stream is 0, but the streams"),
        ((np.ones(3), NORMAL), {"stream": "a"}, ValueError, "stream is 'a', but it needs a seed"),
        ((np.ones(3), NORMAL), {"seed": -1}, ValueError, "seed is -1; it must be an integer"),
        ((np.ones(3), NORMAL), {"seed": 1.5}, TypeError, "seed is 1.5, a float"),
        ((np.ones(3), NORMAL), {"seed": 1, "stream": 1.5}, TypeError, "stream is 1.5"),
        ((np.ones(3, int), NORMAL), {"seed": 1}, TypeError, "array has dtype int64"),
        ((np.ones(3, "f"), Normal(0, 1e99)), {}, ValueError, "beyond the largest float32"),
        ((np.ones(3), NORMAL), {"false_alarm": 0}, ValueError, "false_alarm is 0.0; it must be be"),
        ((np.ones(3), NORMAL), {"false_alarm": 1}, ValueError, "false_alarm is 1.0"),
        ((np.ones(3), NORMAL), {"false_alarm": True}, TypeError, "false_alarm is True"),
        ((np.ones(3), NORMAL), {"false_alarm": math.nan}, ValueError, "false_alarm is nan"),
    ],
)
def test_errors(arguments, options, error, message):
    with pytest.raises(error, match=message):
        verify(*arguments, **options)


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(ImportError, match=r'pip install "fastxavier\[verify\]"'):
        verify(filled(Normal(0, 1)), Normal(0, 1))


def test_what_needs_no_scipy(monkeypatch):
    """Exact comparisons, constants and structured initializers."""
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert verify(filled(NORMAL), NORMAL, seed=SEED).ok
    assert verify(np.ones(3), fx.Constant(1.0)).ok
    assert verify(np.eye(3), Identity()).ok
    assert verify(model(), "default", seed=7).ok


def test_docstrings():
    failed, tried = doctest.testmod(api)
    assert tried
    assert not failed
