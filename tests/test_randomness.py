"""Tensors are independent of each other: names that differ by a digit, neighbouring numbers, seeds.

The batteries of tools/randomness/ look into a stream for longer; here no two of 4,000 are alike.
"""

import functools
import math

import numpy as np
import pytest
from randomness import run as batteries
from scipy import stats

import fastxavier as fx

TENSORS, LENGTH = 4000, 2048
PAIRS = TENSORS * (TENSORS - 1) // 2
BLOCK = 500
CHANCE = 1e-6  # of a sound generator to fail one of these checks, each way
STANDARD_ERRORS = 5
PARTS = ["q", "k", "v", "out", "norm1", "norm2", "mlp.0", "mlp.1", "adapter.a", "adapter.b"]

KEYS = {
    "names": [
        {"seed": 1, "stream": f"layers.{layer}.{part}.weight"}
        for layer in range(TENSORS // len(PARTS))
        for part in PARTS
    ],
    "streams": [{"seed": 1, "stream": number} for number in range(TENSORS)],
    "seeds": [{"seed": number, "stream": "layers.0.weight"} for number in range(TENSORS)],
}
keys = pytest.mark.parametrize("keys", KEYS)


@functools.lru_cache(maxsize=1)  # 66 MB
def drawn(keys):
    """A row for each key. Not to be written to."""
    values = np.empty((TENSORS, LENGTH))
    for row, key in zip(values, KEYS[keys], strict=True):
        fx.fill_(row, fx.Normal(0, 1), **key)
    values.flags.writeable = False
    return values


# ---- correlation ---------------------------------------------------------------------------------


def correlations(values):
    """The largest |r| of all pairs of rows, and the sum of their squares.

    r is the cosine of the angle between two rows: the correlation, with the mean that is known.
    """
    rows = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    largest = squares = 0.0
    for start in range(0, TENSORS, BLOCK):
        r = rows[start : start + BLOCK] @ rows[start:].T
        r[np.tril_indices(BLOCK)] = 0  # each pair once, none with itself
        largest = max(largest, np.abs(r).max())
        squares += np.square(r, dtype=np.float64).sum()
    return largest, squares


def exceeded(probability):
    """The |r| that a pair exceeds with this probability.

    Rows of independent normal numbers point in every direction alike, so
    t = r sqrt((LENGTH - 1) / (1 - r^2)) has Student's distribution of LENGTH - 1 degrees of
    freedom.
    """
    t = stats.t.isf(probability / 2, LENGTH - 1)
    return t / math.sqrt(LENGTH - 1 + t * t)


def check_largest(largest):
    """The largest |r| of all pairs is what chance gives, neither more nor less.

    Pairs are independent two by two, so the number of those beyond c is Poisson's, its mean
    PAIRS * P(|r| > c). None is, with a probability of exp(-mean): 1 - CHANCE at the upper c,
    CHANCE at the lower.
    """
    assert largest < exceeded(-math.log1p(-CHANCE) / PAIRS)
    assert largest > exceeded(-math.log(CHANCE) / PAIRS)


def check_squares(squares):
    """The sum of r^2: what many pairs have in common, too little in each to be seen.

    r^2 has the distribution Beta(1/2, (LENGTH - 1)/2), with mean 1/LENGTH. Any two pairs are
    independent, so the variances add up.
    """
    mean, variance = stats.beta.stats(0.5, (LENGTH - 1) / 2, moments="mv")
    assert abs(squares - PAIRS * mean) < STANDARD_ERRORS * math.sqrt(PAIRS * variance)


@keys
def test_no_two_tensors_are_correlated(keys):
    largest, squares = correlations(drawn(keys))
    check_largest(largest)
    check_squares(squares)


@pytest.mark.parametrize("correlation", [1, -0.3])
def test_a_correlated_pair_is_found(correlation):
    """One of eight million: a stream drawn twice, and two that share a part of their values."""
    values = drawn("names").copy()
    values[3210] *= math.sqrt(1 - correlation**2)
    values[3210] += correlation * values[123]
    largest, squares = correlations(values)
    check_squares(squares)
    with pytest.raises(AssertionError):
        check_largest(largest)


def test_what_all_tensors_share_is_found():
    """Two thousandths of the variance: no pair stands out, the sum of all does."""
    shared = fx.fill_(np.empty(LENGTH), fx.Normal(0, 1), seed=2)
    largest, squares = correlations(drawn("names") + math.sqrt(0.002) * shared)
    check_largest(largest)
    with pytest.raises(AssertionError):
        check_squares(squares)


def test_tensors_that_avoid_each_other_are_found():
    """Correlations that are too small are not chance either."""
    with pytest.raises(AssertionError):
        check_largest(0.8 * correlations(drawn("names"))[0])


# ---- overlap -------------------------------------------------------------------------------------


def repeated(values):
    """How many values are met a second time."""
    ordered = np.sort(values, axis=None)
    return np.count_nonzero(ordered[1:] == ordered[:-1])


def most_repeated():
    """What TENSORS * LENGTH independent draws do not exceed, but for CHANCE.

    Numbers of float64 next to z stand 2^-52 |z| apart at most, so two draws are alike with a
    probability of 2^-52 * integral(|z| density(z)^2) = 2^-52 / (2 pi) at most.
    """
    draws = TENSORS * LENGTH
    return stats.poisson.isf(CHANCE, draws * (draws - 1) / 2 * 2.0**-52 / (2 * math.pi))


@keys
def test_no_two_tensors_overlap(keys):
    """Streams that were one sequence, begun at different places, would share values."""
    assert repeated(drawn(keys)) <= most_repeated()


def test_an_overlap_is_found():
    values = drawn("names").copy()
    values[3210, :10] = values[123, -10:]
    assert repeated(values) == repeated(drawn("names")) + 10 > most_repeated()


# ---- the batteries' p-values ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "repeated", "status"),
    [
        (0.3, None, 0),
        (1e-5, 0.3, 0),
        (1e-5, 0.99, 0),
        (1 - 1e-5, 0.3, 0),
        (1e-5, None, 3),
        (1e-5, 1e-3, 1),
        (1e-5, 1 - 1e-3, 1),
        (1 - 1e-5, 1e-3, 1),
        (1e-11, None, 1),
        (1 - 1e-11, 0.3, 1),
    ],
)
def test_verdicts_on_a_battery(tmp_path, p, repeated, status):
    """0: chance; 1: failed; 3: something is still to be run."""
    results = tmp_path / "smallcrush.txt"
    for number in range(1, 11):
        test = batteries.Test("words", number, 1)
        batteries.append(results, [batteries.Row(test, "2000-01-01", 1, 0.5, "Gap")], "smallcrush")
    last = batteries.Row(test, "2000-01-01", 1, p, "Gap AD")
    batteries.append(results, [last], "smallcrush")
    if repeated is not None:
        again = last._replace(test=batteries.repetition(test), p=repeated)
        batteries.append(results, [again], "smallcrush")
    assert batteries.judge("smallcrush", ["words"], results, seed=1) == status


def test_what_a_battery_lacks_is_named(tmp_path, capsys):
    results = tmp_path / "crush.txt"
    for number in [1, 2, 3, 7]:
        row = batteries.Row(batteries.Test("words", number, 1), "2000-01-01", 1, 0.5, "Gap")
        batteries.append(results, [row], "crush")
    assert batteries.judge("crush", ["words"], results, seed=1) == 3
    assert "not done: 4-6 8-96\n" in capsys.readouterr().out


def test_what_the_results_have_besides_is_judged_too(tmp_path):
    results = tmp_path / "smallcrush.txt"
    for number in range(1, 11):
        for name in ("words", "streams"):
            p = 1e-12 if (name, number) == ("streams", 10) else 0.5
            row = batteries.Row(batteries.Test(name, number, 1), "2000-01-01", 1, p, "Gap")
            batteries.append(results, [row], "smallcrush")
    assert batteries.judge("smallcrush", ["words"], results, seed=1) == 1


def test_statistics_of_one_name_are_told_apart():
    """Each is compared with its own repetition."""
    assert batteries.numbered(["Gap", "Run", "Run", "Run"]) == ["Gap", "Run", "Run (2)", "Run (3)"]
