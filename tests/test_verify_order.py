"""What `verify` sees of the order of values: correlated neighbours, and copies in any direction.

Every array here holds right values, or values whose moments and fit are right; only their order,
or what was copied where, is wrong.
"""

import math

import cases
import numpy as np
import pytest
from scipy import stats

import fastxavier as fx
from fastxavier import Normal, TruncatedNormal, Uniform
from fastxavier._verify import verify
from fastxavier._verify.neighbours import Neighbours
from fastxavier._verify.read import CHUNK

NORMAL = Normal(0, 0.02)
SEED = 20100513

dtypes = pytest.mark.parametrize("dtype", cases.DTYPES)


def filled(shape, dtype="float32", distribution=NORMAL, seed=SEED):
    return fx.fill_(np.empty(shape, cases.DTYPES[dtype]), distribution, seed=seed)


# ---- correlation ---------------------------------------------------------------------------------

ORDERS = {
    "sorted": lambda w: np.sort(w, axis=None).reshape(w.shape),
    "sorted downwards": lambda w: np.sort(w, axis=None)[::-1].reshape(w.shape),
    "rows sorted": lambda w: np.sort(w, axis=1),
    "columns sorted": lambda w: np.sort(w, axis=0),
    "each beside its negative": lambda w: np.stack([w.ravel(), -w.ravel()], 1)[: w.size // 2],
}


@dtypes
@pytest.mark.parametrize("order", ORDERS)
def test_an_order_is_found(order, dtype):
    # NumPy 2.4 missorts subnormal float16 numbers.
    values = filled((128, 100), dtype)
    values = ORDERS[order](values.astype(np.float64)).astype(values.dtype)
    assert "serial_correlation" in verify(values, NORMAL).failures


@pytest.mark.parametrize("view", [lambda w: w, np.asfortranarray, lambda w: w.copy()[::-1]])
def test_rows_that_resemble_the_one_above(view):
    """A walk down each column that keeps the variance: only the first axis shows it."""
    steps = filled((300, 200), "float64")
    for i in range(1, 300):
        steps[i] = 0.2 * steps[i - 1] + math.sqrt(1 - 0.2**2) * steps[i]
    report = verify(view(steps), NORMAL)
    assert report.failures == ("row_correlation",)
    assert report.row_correlation.measured == pytest.approx(0.2, abs=0.02)


@dtypes
@pytest.mark.parametrize("shape", [(5000,), (90, 70), (1, 90, 70), (8, 9, 10, 11)])
def test_correlations_in_plain_numpy(dtype, shape):
    """Of all pairs, by their definition; the standard error is 1 / sqrt(n)."""
    values = filled(shape, dtype)
    x = values.astype(np.float64).ravel()
    report = verify(values, NORMAL)
    first = next(length for length in shape if length > 1)
    for finding, lag in (
        (report.serial_correlation, 1),
        (report.row_correlation, x.size // first),
    ):
        if lag == 1 and finding is report.row_correlation:
            assert finding is None
            continue
        moved = x - x.mean()
        r = (moved[lag:] * moved[:-lag]).mean() / x.var()
        assert finding.measured == pytest.approx(r, rel=1e-6)
        assert finding.z == pytest.approx((r + 1 / x.size) * math.sqrt(x.size - lag), rel=1e-3)
        assert finding.p == pytest.approx(2 * stats.norm.sf(abs(finding.z)), rel=1e-3)


def test_pieces_do_not_matter():
    """Products over the ends of pieces count, whatever their lengths."""
    x = np.random.default_rng(SEED).standard_normal(10_000)
    for lag in (1, 7, 300):
        for lengths in ([10_000], [1] * 500 + [9_500], [299, 301, 5000, 4400], [3000, 100] * 4):
            one, done = Neighbours(lag), 0
            for length in lengths:
                one.add(x[done : done + length].copy())
                done += length
            y = x[:done]
            expected = np.corrcoef(y[lag:], y[:-lag])[0, 1]
            assert one.pairs == len(y) - lag
            found = one.correlation(y.sum(), (y * y).sum(), len(y))
            # np.corrcoef takes the mean and the variance of each end's values.
            assert found == pytest.approx(expected, abs=4 * lag / len(y))
            moved = y - y.mean()
            exact = (moved[lag:] * moved[:-lag]).mean() / y.var()
            assert found == pytest.approx(exact, rel=1e-9)


def test_correlation_that_cannot_be_known():
    for values in ([], [0.5], [0.5, 0.5], [1e9, 1e9 + 1e-3]):
        one = Neighbours(1)
        one.add(np.array(values))
        total, squares = math.fsum(values), math.fsum(x * x for x in values)
        assert math.isnan(one.correlation(total, squares, max(1, len(values))))


@dtypes
def test_values_that_are_not_finite_leave_the_rest_in_place(dtype):
    """They count as the mean: what is beside them is still compared."""
    values = np.sort(filled(5000, dtype).astype(np.float64)).astype(cases.DTYPES[dtype])
    values[::7] = np.nan
    report = verify(values, NORMAL)
    assert report.failures[0] == "nans"
    assert report.serial_correlation.measured == pytest.approx(6 / 7 * 6 / 7, abs=0.2)


def test_rows_longer_than_a_piece_are_not_compared():
    values = filled((3, CHUNK + 1))
    report = verify(values, NORMAL)
    assert report.row_correlation is None
    assert report.serial_correlation is not None


@pytest.mark.parametrize(
    ("distribution", "dtype"),
    [
        (NORMAL, "float64"),
        (Uniform(0, 1), "float32"),
        (TruncatedNormal(0, 1, 0, math.inf), "float32"),
        (Normal(1, 2.0**-7), "bfloat16"),
    ],
    ids=repr,
)
def test_probabilities_of_correlations_are_uniform(distribution, dtype):
    reports = [verify(filled((80, 75), dtype, distribution, i), distribution) for i in range(300)]
    for name in ("serial_correlation", "row_correlation"):
        p = [getattr(report, name).p for report in reports]
        assert stats.kstest(p, "uniform").pvalue > 1e-5, name


def test_few_values_are_not_judged():
    """2,100 of a normal distribution: the kurtosis of a product is 3 * 3 + 6 * 3 - 6 = 21."""
    assert verify(filled(2095), NORMAL).serial_correlation.p is None
    assert verify(filled(2105), NORMAL).serial_correlation.p is not None
    # Of a uniform one 1.8 * 1.8 + 6 * 1.8 - 6 = 8.04.
    uniform = Uniform(0, 1)
    assert verify(filled(800, distribution=uniform), uniform).serial_correlation.p is None
    assert verify(filled(810, distribution=uniform), uniform).serial_correlation.p is not None


# ---- copies --------------------------------------------------------------------------------------

COPIES = {
    "": lambda a: a,
    ", negated": lambda a: -a,
    ", reversed": lambda a: a[::-1],
    ", reversed, negated": lambda a: -a[::-1],
    ", with other signs": lambda a: a * np.where(np.arange(a.size) % 3, 1, -1).astype(a.dtype),
}


@dtypes
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("count", [300, 1 << 16])
def test_copies_of_the_first_half(how, count, dtype):
    half = filled(count // 2, dtype)
    report = verify(np.concatenate([half, COPIES[how](half)]), NORMAL)
    assert "repeats" in report.failures
    note = f"{count // 2:,} equal values from (0,) and ({count // 2},) on{how}"
    if how == ", with other signs":  # beside it, a value may have the same size by chance
        assert report.repeats.note.endswith(how)
    else:
        assert report.repeats.note == note


@dtypes
@pytest.mark.parametrize("how", [*COPIES][:4])
@pytest.mark.parametrize(("source", "target"), [(0, 9000), (77, 131), (20_001, 5)])
def test_copies_at_any_offset(how, source, target, dtype):
    """Of a block of the shortest length, the ends of which are met."""
    values = filled(30_000, dtype)
    length = int(verify(values, NORMAL).repeats.note.split()[2])
    values[target : target + length] = COPIES[how](values[source : source + length].copy())
    first, second = sorted((source, target))
    report = verify(values, NORMAL)
    assert report.failures == ("repeats",)
    assert report.repeats.note == f"{length} equal values from ({first},) and ({second},) on{how}"


@pytest.mark.parametrize("before", [1, 8, 15, 16])
def test_copies_where_a_piece_ends(before):
    """Values are read in pieces; a block may begin in one and end in the next."""
    values = filled(2 * CHUNK + 1000)
    target = CHUNK - before
    values[target : target + 16] = values[77:93]
    report = verify(values, NORMAL)
    assert report.repeats.note == f"16 equal values from (77,) and ({target},) on"


@pytest.mark.parametrize("how", [*COPIES][:4])
def test_copies_in_larger_arrays(how):
    values = filled((2100, 1000))
    flat = values.reshape(-1)
    length = int(verify(values, NORMAL).repeats.note.split()[2])
    flat[1_234_567 : 1_234_567 + length] = COPIES[how](flat[89 : 89 + length].copy())
    report = verify(values, NORMAL)
    assert report.failures == ("repeats",)
    note = f"{length} equal values from (0, 89) and (1234, 567) on{how}"
    assert report.repeats.note == note


@pytest.mark.parametrize(
    "copied",
    [
        lambda w: np.concatenate([w[:, :60], w[:, 59::-1]], 1),
        lambda w: np.concatenate([w[:60], -w[59::-1]]),
        lambda w: np.concatenate([w[:60, :60], -w[:60, :60].T]),
    ],
    ids=["mirrored", "mirrored downwards", "antisymmetric"],
)
def test_copies_along_either_axis(copied):
    assert "repeats" in verify(copied(filled((120, 120))), NORMAL).failures


def test_a_palindrome_is_a_copy():
    """Also one whose halves meet in the middle, of an odd length."""
    values = filled(4000)
    values[1001:1101] = values[1000:900:-1]
    values[2050:2100] = values[2048:1998:-1]
    report = verify(values, NORMAL)
    assert report.failures == ("repeats",)
    assert report.repeats.note == "100 equal values from (901,) and (1001,) on, reversed"


@dtypes
def test_short_palindromes_may_be_chance(dtype):
    """One of 2 n values is n coincidences: windows count that do not overlap, so 2 windows do."""
    for excess, failures in ((-1, ()), (0, ("repeats",))):
        values = filled(4000, dtype)
        length = int(verify(values, NORMAL).repeats.note.split()[2])
        values[1000 : 1000 + length + excess] = values[1000 - length - excess : 1000][::-1]
        assert verify(values, NORMAL).failures == failures


@dtypes
def test_right_values_are_no_copies(dtype):
    for seed in range(5):
        assert verify(filled((500, 400), dtype, seed=seed), NORMAL).repeats.measured == 0
