"""`verify` where a dtype holds few numbers of a distribution, and where values are few and equal.

Expected probabilities are sums of SciPy's over the intervals that round to a number, or counts of
draws made and rounded by NumPy alone.
"""

import itertools
import math

import cases
import ml_dtypes
import numpy as np
import pytest
from scipy import stats

import fastxavier as fx
from fastxavier import Normal, TruncatedNormal, Uniform
from fastxavier._verify import verify
from fastxavier._verify.expected import as_stored, expected_in

inf = math.inf
INFO = {name: ml_dtypes.finfo(dtype) for name, dtype in cases.DTYPES.items()}
EPSILON = {name: float(info.eps) for name, info in INFO.items()}
LEAST = {name: float(info.smallest_subnormal) for name, info in INFO.items()}

dtypes = pytest.mark.parametrize("dtype", cases.DTYPES)


def filled(distribution, count, dtype, seed=1):
    return fx.fill_(np.empty(count, cases.DTYPES[dtype]), distribution, seed=seed)


def answers(distribution, dtype):
    kind = cases.DTYPES[dtype]
    return expected_in(distribution, as_stored(distribution, kind), kind)


ONE_NUMBER = [
    ("float16", Normal(1, 8e-6)),
    ("bfloat16", Normal(1, 6e-5)),
    ("bfloat16", Normal(100, 7.5e-3)),
    ("bfloat16", Normal(100.1, 2e-2)),
    ("float16", Normal(0, 1e-9)),
    ("float16", Normal(-1, 8e-6)),
    ("bfloat16", Normal(0, 1e-42)),
    ("float32", Normal(1, 1e-30)),
    ("float32", Normal(1, 1e-9)),
    ("float64", Normal(1, 1e-170)),
    ("float64", Normal(1, 1e-320)),
    ("float64", Normal(-1e300, 1e-300)),
    ("float16", TruncatedNormal(1, 8e-6)),
    ("bfloat16", TruncatedNormal(100, 7.5e-3, -3, inf)),
    ("bfloat16", TruncatedNormal(100.13, 7.5e-3, -3, inf)),
    ("float16", TruncatedNormal(-0.3, 3e-6, -1, inf)),
    ("float32", TruncatedNormal(1, 1e-30, 9, 10)),
    ("float32", TruncatedNormal(1, 1e-30, -1e-5, 1e-5)),
    ("float64", TruncatedNormal(1, 1e-170, 0, inf)),
    ("float16", Uniform(1, 1 + 2.0**-13)),
    ("bfloat16", Uniform(-1e-44, 1e-44)),
    ("float8_e4m3fn", Normal(1, 4e-3)),
    ("float8_e4m3fn", Normal(0, 1e-4)),
    ("float8_e5m2", TruncatedNormal(100, 1, -3, 3)),
    ("float8_e5m2", Uniform(-7e-6, 7e-6)),
]


@pytest.mark.parametrize("count", [1, 2, 50, 3000])
@pytest.mark.parametrize(("dtype", "distribution"), ONE_NUMBER, ids=repr)
def test_all_values_round_to_one_number(dtype, distribution, count):
    """That number passes, however often; a single other one does not."""
    values = filled(distribution, count, dtype)
    assert len(np.unique(values.astype(np.float64))) == 1
    report = verify(values, distribution, false_alarm=0.1)
    assert report.ok, report
    assert report.repeats is None
    assert report.expected_std == report.measured_std == 0
    kind = cases.DTYPES[dtype].type
    values[-1] = np.nextafter(values[-1], kind(9))
    report = verify(values, distribution)
    assert not report.ok
    assert {"minimum", "maximum", "out_of_bounds"} & set(report.failures)


@dtypes
def test_probabilities_of_a_normal_on_few_numbers(dtype):
    """Of 1 and its neighbours, which are half as far apart below 1, in closed form."""
    step = EPSILON[dtype]
    std = 0.4 * step
    (expected, *_) = answers(Normal(1, std), dtype)
    held = dict(zip(expected.numbers.tolist(), expected.probabilities.tolist(), strict=True))
    stored = float(np.float32(std)) if dtype != "float64" else std
    above, below = (stats.norm.cdf(x * step / stored) for x in (0.5, -0.25))
    assert held[1.0] == pytest.approx(above - below, rel=1e-4)
    top = stats.norm.sf(0.5 * step / stored) - stats.norm.sf(1.5 * step / stored)
    assert held[1.0 + step] == pytest.approx(top, rel=1e-3)
    low = stats.norm.cdf(-0.25 * step / stored) - stats.norm.cdf(-0.75 * step / stored)
    assert held[1.0 - step / 2] == pytest.approx(low, rel=1e-3)
    assert sum(held.values()) == pytest.approx(1, abs=1e-12)


@dtypes
def test_probabilities_of_subnormal_numbers(dtype):
    """They are evenly spaced: 0, and its neighbours on either side."""
    least = LEAST[dtype]
    (expected, *_) = answers(Uniform(-3.25 * least, 3.25 * least), dtype)
    half = 3.0 if dtype in ("float32", "float64") else 3.25  # those round the bounds
    held = dict(zip(expected.numbers.tolist(), expected.probabilities.tolist(), strict=True))
    for i in range(-2, 3):
        assert held[i * least] == pytest.approx(1 / (2 * half), rel=1e-3)
    assert held[3 * least] == pytest.approx((half - 2.5) / (2 * half), rel=1e-3)
    assert held[4 * least] == 0


def test_a_uniform_as_it_is_filled_and_as_others_round_it():
    """Eight numbers: a fill is symmetric about its middle, others reach both ends half as often."""
    step = 2.0**-23
    found = answers(Uniform(1, 1 + 7 * step), "float32")
    numbers = found[0].numbers
    inside = (numbers >= 1) & (numbers <= 1 + 7 * step)
    rounded = np.array([0.5, 1, 1, 1, 1, 1, 1, 0.5]) / 7
    assert any(np.allclose(one.probabilities[inside], rounded, rtol=1e-6) for one in found)
    drawn = filled(Uniform(1, 1 + 7 * step), 1 << 20, "float32").astype(np.float64)
    shares = [np.mean(drawn == number) for number in numbers[inside]]
    assert found[0].probabilities[inside] == pytest.approx(shares, abs=5 / 2**10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draw", ["filled", "NumPy"])
@pytest.mark.parametrize(
    "distribution",
    [
        Uniform(0.1, 0.1 + 1e-7),
        Uniform(1, 1 + 7 * 2.0**-23),
        Normal(0.1, 1e-8),
        Normal(1e6, 0.11),
        TruncatedNormal(-0.3, 5e-8, -1, 3),
        TruncatedNormal(3e-45, 7e-45),
    ],
    ids=repr,
)
def test_it_does_not_matter_how_a_generator_rounds(distribution, draw, seed):
    """Parameters before drawing, as a fill does, or values after it, from doubles."""
    count = 200_000
    if draw == "filled":
        values = filled(distribution, count, "float32", seed)
    else:
        g = np.random.default_rng(seed)
        if isinstance(distribution, Uniform):
            values = g.uniform(distribution.low, distribution.high, count)
        elif isinstance(distribution, TruncatedNormal):
            parent = distribution.parent
            ends = distribution.low, distribution.high
            values = parent.mean + parent.std * stats.truncnorm(*ends).rvs(count, random_state=seed)
        else:
            values = g.normal(distribution.mean, distribution.std, count)
        values = values.astype(np.float32)
    report = verify(values, distribution, false_alarm=1e-3)
    assert report.ok, report


def narrow(dtype):
    step, least = EPSILON[dtype], LEAST[dtype]
    return [
        Normal(1, 0.2 * step),
        Normal(-3, 0.7 * step),
        Normal(1, 9 * step),
        Normal(0, 0.6 * least),
        Normal(5 * least, 40 * least),
        TruncatedNormal(2, 0.5 * step),
        TruncatedNormal(1, 3 * step, 0, inf),
        TruncatedNormal(1, 3 * step, -1, 3),
        Uniform(1 - 2 * step, 1 + 3 * step),
        Uniform(0, 7 * least),
        Uniform(-20 * least, 20 * least),
    ]


@dtypes
@pytest.mark.parametrize("which", range(11))
def test_narrow_draws_pass(dtype, which):
    distribution = narrow(dtype)[which]
    for count in (1, 2, 10, 300, 5000, 100_000):
        report = verify(filled(distribution, count, dtype), distribution, false_alarm=1e-4)
        assert report.ok, report


def test_false_alarms_are_as_rare_as_stated():
    """Of narrow distributions, too: no more than a binomial distribution allows."""
    false_alarm, failed = 0.05, 0
    cells = list(itertools.product(cases.DTYPES, range(11), range(8)))
    for seed, (dtype, which, i) in enumerate(cells):
        distribution, count = narrow(dtype)[which], (4, 40, 700, 6000)[i % 4]
        values = filled(distribution, count, dtype, seed)
        failed += not verify(values, distribution, false_alarm=false_alarm).ok
    assert failed <= stats.binom.isf(1e-6, len(cells), false_alarm)


@dtypes
def test_faults_on_few_numbers_are_found(dtype):
    """Another std, a moved mean, one number too often: each shows in the counts."""
    step, kind = EPSILON[dtype], cases.DTYPES[dtype]
    distribution, count = Normal(1, 0.3 * step), 5000
    assert verify(filled(distribution, count, dtype), distribution).ok
    for wrong in (Normal(1, 0.4 * step), Normal(1 - step / 2, 0.3 * step), Normal(1, 0.2 * step)):
        assert not verify(filled(wrong, count, dtype), distribution).ok
    assert verify(np.ones(count, kind), distribution).failures
    assert "fit" in verify(np.full(40, 1 + step, kind), distribution).failures
    # With a probability of 0.05, the numbers beside 1 are met: 3,000 values have some.
    seldom = Normal(1, 0.25 * step / stats.norm.isf(0.025))
    assert verify(filled(seldom, 3000, dtype), seldom).ok
    assert "fit" in verify(np.ones(3000, kind), seldom).failures


def test_a_count_is_binomial():
    """The fit of 60 values on three numbers: the count whose tail is least, by SciPy."""
    step = EPSILON["float32"]
    distribution = Normal(1, 0.15 * step)
    values = np.ones(60, np.float32)
    values[:20] = 1 - step / 2
    report = verify(values, distribution)
    (expected, *_) = answers(distribution, "float32")
    share = float(expected.probabilities[expected.numbers == 1 - step / 2][0])
    met = int(np.sum(expected.probabilities > 1e-12)) + 1
    p = 2 * stats.binom.sf(19, 60, share) * met * 2
    assert (report.fit.statistic, report.fit.measured) == ("count", 20)
    assert report.fit.note == f"of {1 - step / 2:.9g}"
    assert report.fit.expected == pytest.approx(60 * share)
    assert report.fit.p == pytest.approx(p, rel=1e-4)


@pytest.mark.parametrize("far", [100.0, -100.0, 3e38, -3e38])
def test_values_far_from_few_numbers(far):
    """They are counted beside the last number, and are extremes."""
    values = np.full(100, 1.0, np.float32)
    values[3] = far
    failures = verify(values, Normal(1, 1e-9)).failures
    assert ("maximum" if far > 0 else "minimum") in failures


# ---- few values, all equal -----------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("value", [0.0, 0.01, -0.01])
@pytest.mark.parametrize("distribution", [Normal(0, 0.02), Uniform(-0.1, 0.1)], ids=repr)
def test_ten_equal_values(distribution, value, dtype):
    """No value of a continuous distribution is met ten times; that its numbers are few may be."""
    if cases.DTYPES[dtype].itemsize == 1:  # of few numbers, each may be met some times
        values = filled(distribution, 60, dtype)
        values[::2] = value
        assert not verify(np.full(20, value, values.dtype), distribution).ok
        assert {"equal_values", "fit"} & set(verify(values, distribution).failures)
        return
    report = verify(np.full(10, value, cases.DTYPES[dtype]), distribution)
    assert report.failures == ("equal_values",)
    assert report.equal_values.measured == 10
    values = filled(distribution, 20, dtype)
    values[::2] = value
    assert "equal_values" in verify(values, distribution).failures


@dtypes
def test_values_are_equal_whatever_the_sign_of_zero(dtype):
    values = np.zeros(10, cases.DTYPES[dtype])
    values[::2] = -values[::2]
    assert not verify(values, Normal(0, 0.02)).ok


def test_ten_equal_values_of_a_distribution_of_few_numbers_pass():
    assert verify(np.ones(10, np.float16), Normal(1, 1e-4)).ok
    assert not verify(np.ones(10, np.float32), Normal(1, 1e-4)).ok


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bound_of_equal_values(dtype):
    """Three of five: ten sets of three, and a share of 2**-22 for each further value."""
    values = np.array([1, 0.5, 0.5, 0.5, -1], dtype)
    report = verify(values, Normal(0, 1))
    assert report.equal_values.measured == 3
    assert report.equal_values.p >= 10 * 2.0**-44
    if dtype == "float64":
        assert report.equal_values.p == pytest.approx(10 * 2.0**-44)


def test_bound_of_equal_values_in_16_bits():
    """Sets of three, times the sum of all squared probabilities and the largest one."""
    values = np.array([0.5, 1, 0.5, 0.5, -1], np.float16)
    (expected,) = answers(Normal(0, 1), "float16")
    p = 10 * float((expected.probabilities**2).sum() * expected.probabilities.max())
    assert verify(values, Normal(0, 1)).equal_values.p == pytest.approx(p, rel=1e-9)


def test_many_zeros_among_tens_of_thousands_of_values():
    """A spike that neither the moments nor the Kolmogorov-Smirnov distance show."""
    values = filled(Normal(0, 0.02), 60_000, "float32")
    values[::2000] = 0
    assert verify(values, Normal(0, 0.02)).failures == ("equal_values",)


# ---- torch ---------------------------------------------------------------------------------------


@dtypes
def test_parameters_of_few_values(dtype):
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(10, dtype=getattr(torch, dtype)))
    assert verify(parameter, Normal(0, 0.02)).failures == ("equal_values",)
    assert verify(parameter, fx.Constant(0.0)).ok


@pytest.mark.parametrize(
    "dtype", ["float8_e4m3fnuz", "float8_e5m2fnuz", "int32", "bool", "complex64"]
)
def test_torch_dtypes_that_are_not_drawn(dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(4, dtype=getattr(torch, dtype))
    with pytest.raises(TypeError, match=rf"array has dtype (torch\.)?{dtype}; it must be one of"):
        verify(torch.nn.Parameter(tensor, requires_grad=False), Normal(0, 1))


def test_torch_tensors_without_memory():
    """Freed storage is not read, and a tensor whose values lie elsewhere is named."""
    torch = pytest.importorskip("torch")
    freed = torch.nn.Parameter(torch.zeros(40))
    freed.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="storage of 0 bytes is too small or has been freed"):
        verify(freed, Normal(0, 1))
    with torch._subclasses.FakeTensorMode():
        fake = torch.zeros(40)
    with pytest.raises(TypeError, match="FakeTensor, whose values lie elsewhere"):
        verify(fake, Normal(0, 1))


def test_negated_and_conjugated_torch_views():
    """Their memory holds other values than they show; those shown are looked at."""
    torch = pytest.importorskip("torch")
    values = torch.from_numpy(filled(Uniform(1, 2), 2000, "float32"))
    negated = torch.complex(torch.zeros(2000), values).conj().imag
    assert negated.is_neg()
    assert verify(negated, Uniform(-2, -1)).ok
