"""The parts of `verify` by themselves: windows, groups and statistics, by hand or by counting."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

import fastxavier as fx
from fastxavier import Normal
from fastxavier._moments import moments
from fastxavier._verify import judge, one_array, read, repeats, tally, verify
from fastxavier._verify.expected import Expected, Summand, as_stored
from fastxavier._verify.lattice import readings, shares

inf = math.inf


# ---- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commonest", "count", "window"),
    [
        (2.0**-20, 1 << 20, 16),  # 102 / 20 = 5.1: no less than 16
        (2.0**-6.375, 1 << 20, 16),  # 102 / 6.375 is 16
        (2.0**-6.37, 1 << 20, 18),  # 16.01 becomes 17, and even
        (2.0**-5, 1 << 20, 22),  # 20.4 becomes 21
        (2.0**-5, 1 << 24, 22),  # 110 / 5 is 22
        (2.0**-5, 1 << 10, 18),  # 82 / 5 = 16.4
        (2.0**-1.59375, 1 << 20, 64),  # 102 / 64 bits are the fewest
        (2.0**-1.59, 1 << 20, 1 << 62),
        (1.0, 1 << 20, 1 << 62),
        (1.0 + 1e-9, 2, 1 << 62),
    ],
)
def test_window(commonest, count, window):
    """2 log2(n) + 62 bits: 2 n^2 pairs, two directions, and a probability of 2^-60."""
    assert repeats.window_of(commonest, count) == window


@pytest.mark.parametrize(
    ("log_count", "certain"),
    [(20, 16), (20.1, 15 + 14 * 32), (26, 15 + 14 * 32), (27, 15 + 14 * 64), (28, 15 + 14 * 128)],
)
def test_lengths_that_are_certainly_met(log_count, certain):
    order = np.zeros(2, np.uint32)
    assert repeats._Blocks([order], math.ceil(2**log_count), 16).certain == certain


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_one_place_in_32_is_an_anchor(dtype):
    """Chosen by its middle values, in either order; of equal ones no more than four in 32."""
    count = 1 << 17
    blocks = repeats._Blocks([np.zeros(2, dtype)], 1 << 21, 16)
    g = np.random.default_rng(20100513)
    elements = g.integers(0, np.iinfo(dtype).max, count + 15, dtype)
    anchors = blocks._anchors(elements, count)
    assert len(anchors) == pytest.approx(count / 32, abs=5 * math.sqrt(count / 32))
    backward = blocks._anchors(elements[::-1].copy(), count)
    assert np.array_equal(np.sort(count - 1 - backward), anchors)
    assert len(blocks._anchors(np.zeros(count + 15, dtype), count)) <= 64 + 4 * count // 32


@pytest.mark.parametrize("most", [1, 5, 7, 12, 100, 1000])
@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[:, ::2],
        lambda a: a[::-1].transpose(1, 0, 2),
        lambda a: a[3],
        lambda a: a[..., 1],
        lambda a: a.astype(a.dtype.newbyteorder()),
    ],
    ids=range(7),
)
def test_chunks(layout, most):
    """Every element once, in C order, in contiguous pieces of this machine's byte order."""
    array = layout(np.arange(4 * 6 * 10, dtype=np.float32).reshape(4, 6, 10))
    pieces = list(read.chunks(array, most))
    assert np.array_equal(np.concatenate(pieces), array.reshape(-1))
    for piece in pieces:
        assert 0 < len(piece) <= most
        assert piece.flags.c_contiguous
        assert piece.dtype == np.float32


def test_equal_values_take_no_more_memory_than_others():
    """Every place would be an anchor: 24 bytes for each of them would be 400 MB."""
    values = np.zeros(1 << 24, np.float32)
    tracemalloc.start()
    report = verify(values, Normal(0, 0.02))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "repeats" in report.failures
    assert peak < 4 * 3 * 24 * values.size / 32 + (16 << 20)


# ---- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probabilities", "least", "starts"),
    [
        ([0.25, 0.25, 0.25, 0.25], 0.25, [0, 1, 2, 3]),
        ([0.25, 0.25, 0.25, 0.25], 0.5, [0, 2]),
        ([0.25, 0.25, 0.25, 0.25], 0.375, [0, 2]),
        ([0.5, 0.125, 0.125, 0.25], 0.25, [0, 1, 3]),
        ([0.5, 0.125, 0.25, 0.125], 0.25, [0, 1]),  # what is left over joins the last group
        ([0.125, 0.5, 0.375], 0.25, [0, 2]),
        ([0.25, 0.75], 2.0, [0]),
        ([1.0], 0.5, [0]),
    ],
)
def test_groups(probabilities, least, starts):
    assert judge._merged(np.array(probabilities), least) == starts


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (0.7, 0.2, 0.05, 0.05), (0.5, 0.5)])
def test_variance_of_a_chi_square_by_all_outcomes(shares):
    """Haldane's, of six values: the mean and variance over every outcome, weighted."""
    count, shares = 6, np.array(shares)
    mean = second = 0.0
    for outcome in itertools.product(range(count + 1), repeat=len(shares)):
        if sum(outcome) == count:
            weight = stats.multinomial.pmf(outcome, count, shares)
            statistic = (((np.array(outcome) - count * shares) ** 2) / (count * shares)).sum()
            mean += weight * statistic
            second += weight * statistic**2
    counts = np.zeros(len(shares), int)
    counts[0] = count
    starts = list(range(len(shares)))
    found = judge._chi_square(counts, shares, starts)
    assert found.expected == pytest.approx(mean, rel=1e-9)
    assert found.spread == pytest.approx(math.sqrt(second - mean**2), rel=1e-9)
    exact = (((counts - count * shares) ** 2) / (count * shares)).sum()
    assert found.measured == pytest.approx(exact)
    variance = second - mean**2
    gamma = stats.gamma(mean**2 / variance, scale=variance / mean)
    p = min(1, 2 * min(gamma.sf(exact), gamma.cdf(exact)))
    assert found.p == pytest.approx(p, rel=1e-9)


def test_groups_hold_enough_values_to_hide_the_steps_of_24_bits():
    """A group has n 2^-44 of the probability or more: of 2^34 values, one in 1,024."""
    cells = 1 << 12
    flat = np.full(cells, 1 / cells)
    for log_count, groups in ((24, 4096), (33, 2048), (34, 1024), (36, 256)):
        counts = np.full(cells, (1 << log_count) // cells)
        expected = of_numbers(flat)
        held = tally.Tally(count=1 << log_count, counts=counts)
        assert judge.fit_of(held, expected).note == f"{groups:,} groups"


def of_numbers(probabilities):
    one = Summand(0.0, 1.0, 0.0, 3.0)
    below = np.cumsum(probabilities)[:-1]
    cells = tally.Cells(0.0, 1.0)
    numbers = np.arange(len(probabilities), dtype=float)
    return Expected(0.0, 1.0, one, one, cells, probabilities, below, numbers, 0.0, 0.0, 1.0)


# ---- judging -------------------------------------------------------------------------------------


def test_a_sum_is_judged_if_its_kurtosis_is_near_a_normal_ones():
    """That of n terms is the terms' divided by n, which may be 0.01."""
    summand = Summand(0.0, 2.0, 0.0, 3.0)
    z, p, note = judge._judged(0.5, summand, 300, 0.0)
    assert z == pytest.approx(0.5 * math.sqrt(300) / 2)
    assert p == pytest.approx(2 * stats.norm.sf(z))
    assert note == ""
    z, p, note = judge._judged(0.5, summand, 299, 0.0)
    assert z == pytest.approx(0.5 * math.sqrt(299) / 2)
    assert (p, note) == (None, "too few values to judge")


def test_what_rounding_may_explain_does_not_count():
    summand = Summand(1.0, 2.0, 0.0, 3.0)
    z, p, _ = judge._judged(1.25, summand, 400, 0.25)
    assert (z, p) == (0.0, 1.0)
    z, _, _ = judge._judged(0.5, summand, 400, 0.25)
    assert z == pytest.approx(-0.25 * 20 / 2)
    assert judge._judged(1.0, Summand(1.0, 0.0, 0.0, inf), 9, 0.0)[:2] == (None, None)


def test_a_skewed_sum_has_a_pearson_distribution():
    """Of exponential terms: their sum has a gamma distribution, exactly."""
    summand = Summand(1.0, 1.0, 2.0, 9.0)
    for mean in (0.9, 1.1):
        _, p, _ = judge._judged(mean, summand, 900, 0.0)
        gamma = stats.gamma(900)
        assert p == pytest.approx(2 * min(gamma.cdf(900 * mean), gamma.sf(900 * mean)), rel=1e-9)


def test_extremes_may_leave_out_what_23_bits_cannot_draw():
    """Of 2^24 values at 2^-20 from the end, all is well up to 2^-22 of the tail."""
    shares = np.array([0.5 - 2.0**-22, 0.5, 2.0**-22])
    expected = of_numbers(shares)
    held = tally.Tally(count=1 << 30, minimum=0.0, maximum=1.0)
    maximum = judge.extremes_of(held, Normal(0, 1), expected, np.dtype(np.float16))[1]
    assert maximum.p == 1.0
    expected = of_numbers(np.array([0.5 - 2.0**-21, 0.5, 2.0**-21]))
    maximum = judge.extremes_of(held, Normal(0, 1), expected, np.dtype(np.float16))[1]
    assert maximum.p == pytest.approx(2 * (1 - 2.0**-22) ** (1 << 30))


@pytest.mark.parametrize("value", [0.0, 1.0, 3.0, 4.0, -1.0, 2.5])
def test_extremes_of_numbers(value):
    """P(max >= v) and P(max <= v) of three draws, by all outcomes."""
    shares = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    held = tally.Tally(count=3, minimum=value, maximum=value)
    with np.errstate(divide="ignore"):  # of log(0), as `verify` does
        pair = judge.extremes_of(held, Normal(2, 1), of_numbers(shares), np.dtype(np.float16))
    for finding, extreme in zip(pair, (min, max), strict=True):
        further = nearer = 0.0
        for outcome in itertools.product(range(5), repeat=3):
            weight = math.prod(shares[list(outcome)])
            found = extreme(outcome)
            further += weight * (found >= value if extreme is max else found <= value)
            nearer += weight * (found <= value if extreme is max else found >= value)
        assert finding.p == pytest.approx(min(1, 2 * min(further, nearer)), rel=1e-5, abs=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_places_of_numbers(dtype):
    """Consecutive ones are 1 apart, 0 and -0 the same, and both signs in order."""
    step = np.spacing(dtype(0))
    values = np.array([-inf, -2, -1, -step, -0.0, 0.0, step, 2 * step, 1, 2, inf], dtype)
    places = tally.ordered(values).tolist()
    assert places == sorted(places)
    assert places[3:8] == [-1, 0, 0, 1, 2]
    assert int(tally.ordered(np.nextafter(dtype(1), dtype(2)).reshape(1))[0]) == places[8] + 1
    numbers = tally.Numbers(-1, np.array([-step, 0, step], np.float64))
    counts = numbers.counts(values, np.empty(len(values)))
    assert counts.tolist() == [4, 2, 5]


# ---- moments -------------------------------------------------------------------------------------


def test_std_of_a_constant_is_0():
    """Without a shift, rounding would leave 1e-9."""
    found = moments(np.full(1000, 0.1))
    assert (found.mean, found.std, found.variance) == (0.1, 0.0, 0.0)
    assert moments(np.full(100_000, 1e6 + 0.1, np.float32)).std == 0


def test_std_far_from_0():
    values = np.random.default_rng(20100513).normal(1e6, 1e-3, 100_000)
    exact = (values - 1e6).std()  # the difference is exact
    assert moments(values).std == pytest.approx(exact, rel=1e-9)
    assert moments(values).mean == pytest.approx(1e6 + (values - 1e6).mean(), rel=1e-15)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [2.0**1000, 2.0**700, 2.0**-700, 2.0**-1000, 2.0**1022])
def test_moments_whose_squares_no_double_holds(scale):
    values = np.random.default_rng(20100513).uniform(-1, 1, 100_000)
    plain, scaled = moments(values), moments(values * scale)
    assert scaled.std == pytest.approx(plain.std * scale, rel=1e-12)
    assert scaled.mean == pytest.approx(plain.mean * scale, rel=1e-9)
    assert scaled.variance == (inf if scale > 1 else 0.0)


@pytest.mark.parametrize("bound", [2.0**1023, float(np.finfo(np.float64).max), 1e-300, 5e-324])
def test_std_of_the_largest_and_the_smallest_values(bound):
    """Their squares are no doubles, and twice the largest is none."""
    found = moments(np.array([bound, -bound] * 3))
    assert (found.size, found.mean) == (6, 0)
    assert found.std == pytest.approx(bound)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, inf, -inf])
@pytest.mark.parametrize("place", [0, 3])
def test_moments_of_values_that_are_not_finite(value, place):
    values = np.ones(5)
    values[place] = value
    assert math.isnan(moments(values).std)


@pytest.mark.parametrize("ends", [[-37.0, -36.0, -5.0, -0.1], [-1.0, 1.0], [0.0], [-9.0, 9.0]])
def test_neither_tail_loses_digits(ends):
    """The shares of a symmetric distribution are the same from both sides, to the last digits."""
    ends = np.array(ends)
    found = shares(stats.norm, ends)
    assert found == pytest.approx(shares(stats.norm, -ends[::-1])[::-1], rel=1e-12, abs=0)
    assert found[0] == pytest.approx(stats.norm.cdf(ends[0]), rel=1e-12, abs=0)
    assert found.sum() == pytest.approx(1, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "uniform", [fx.Uniform(0.1, 0.1000001), fx.Uniform(-1, 2), fx.Uniform(3, 5), fx.Uniform(1, 1e9)]
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_half_width_of_a_fill(uniform, kind):
    """The largest with which no rounded value leaves the bounds."""
    stored = as_stored(uniform, np.dtype(kind))
    reading = readings(uniform, stored, kind)[0]
    middle, half = reading.location, reading.scale

    def inside(width):
        least, most = kind(middle - width), kind(middle + width)
        return stored.low <= least and most <= stored.high

    assert half == kind(half)
    assert inside(half)
    assert not inside(float(np.nextafter(kind(half), kind(np.inf))))


@pytest.mark.parametrize("sign", [-1, 1])
def test_numbers_next_to_what_rounds_to_infinity(sign):
    """From 65,520 on, float32 numbers become infinite in float16; none of these is met."""
    least, most = sorted((sign * 65510.0, sign * 65519.99609375))
    values = fx.fill_(np.empty(300, np.float16), fx.Uniform(least, most), seed=1)
    assert (values == sign * 65504).all()
    report = verify(values, fx.Uniform(least, most))
    assert report.ok
    assert report.mean.expected == report.mean.measured == sign * 65504


@pytest.mark.parametrize(
    ("shape", "lags"),
    [
        ((1,), []),
        ((2,), [1]),
        ((3,), [1]),
        ((2, 3), [1, 3]),
        ((1, 5), [1]),
        ((3, 1), [1]),
        ((2, 1, 1), [1]),
    ],
)
def test_lags(shape, lags):
    """Along the last axis and the first, where an array has a pair of values that far apart."""
    assert one_array._lags(shape) == lags
