"""Whether what was counted agrees with what is expected: moments, fit, extremes and order.

Called by `one_array`. Every function returns findings.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from typing import Any

import numpy as np

from fastxavier._verify.expected import Expected, Summand, standardized
from fastxavier._verify.lattice import scipy_stats
from fastxavier._verify.read import Array, Doubles
from fastxavier._verify.report import Finding
from fastxavier._verify.tally import Tally
from fastxavier.distributions import Distribution

NEARLY_NORMAL = 0.01  # excess kurtosis up to which the probability of a sum is judged
GROUPS = 1 << 10  # of about equal probability, into which the cells are merged for a chi-square
FEW = 1 << 16  # float32 and float64 values, below which Kolmogorov-Smirnov has more power
MIN_EXPECTED = 20  # values in a group
MIN_GROUPS = 64  # with fewer, the statistic is too far from a chi-square distribution
MET = 1e-12  # probability of a number from which on its count is judged alone
UNIFORM_BITS = 22  # a tail of 2**-22 may be missing: 23-bit uniforms on (-1, 1) leave out that much


def not_finite(tally: Tally) -> list[Finding]:
    """Whether all values are finite."""
    return [
        Finding("nans", 0, tally.nans, limit=0),
        Finding("infinities", 0, tally.infinities, limit=0),
    ]


def out_of_bounds(tally: Tally, bounds: tuple[float, float]) -> Finding:
    """Whether all values lie within the bounds of the distribution."""
    note = "bounds [{:.6g}, {:.6g}]".format(*bounds)
    return Finding("out_of_bounds", 0, tally.outside, limit=0, note=note)


def _two_sided(family: Any, value: float, shape: float, scale: float = 1.0) -> float:
    # Not by a frozen distribution of SciPy's, which takes longer to make than to ask.
    given = {"loc": 0.0, "scale": scale}
    p = 2 * float(min(family.cdf(value, shape, **given), family.sf(value, shape, **given)))
    return 0.0 if math.isnan(p) else min(1.0, p)  # NaN where sums exceed the largest double


# ---- moments -------------------------------------------------------------------------------------


def moments_of(tally: Tally, expected: Expected) -> list[Finding]:
    """Mean and variance; a difference that rounding to the dtype can explain does not count."""
    value, square, slack = expected.value, expected.square, expected.slack
    mean, about = tally.total / tally.count, _about(tally, expected)
    z_mean, p_mean, note_mean = _judged(mean, value, tally.count, slack)
    z_square, p_square, note_square = _judged(about, square, tally.count, 2 * slack + slack**2)
    center, scale = expected.center, expected.scale
    return [
        Finding(
            "mean",
            center + scale * value.mean,
            center + scale * mean,
            z_mean,
            p_mean,
            note=note_mean,
        ),
        Finding(
            "variance",
            scale * square.mean * scale,
            scale * about * scale,
            z_square,
            p_square,
            note=note_square,
        ),
    ]


def stds_of(tally: Tally, expected: Expected) -> tuple[float, float]:
    """The expected and the measured std, also where their squares are beyond a double's range."""
    scale = expected.scale
    return scale * math.sqrt(expected.square.mean), scale * math.sqrt(_about(tally, expected))


def _about(tally: Tally, expected: Expected) -> float:
    """Mean squared distance from the expected mean, in units of the scale."""
    mean = expected.value.mean
    return max(0.0, tally.squares / tally.count - 2 * mean * tally.total / tally.count + mean**2)


def _judged(
    measured: float, summand: Summand, count: int, slack: float
) -> tuple[float | None, float | None, str]:
    """Distance from the mean in standard errors, its probability, and why one is missing."""
    if summand.std == 0:
        return None, None, "no variance after rounding"
    distance = max(abs(measured - summand.mean) - slack, 0.0)
    z = math.copysign(distance * math.sqrt(count) / summand.std, measured - summand.mean)
    if summand.kurtosis > NEARLY_NORMAL * count:
        return z, None, "too few values to judge"
    return z, _two_sided(scipy_stats().pearson3, z, summand.skewness / math.sqrt(count)), ""


# ---- fit -----------------------------------------------------------------------------------------


def fit_of(tally: Tally, expected: Expected) -> Finding:
    """A chi-square where there are enough groups, else the Kolmogorov-Smirnov distance.

    Of few numbers, either that distance or the count that is the least probable.
    """
    count = tally.count
    # A generator that begins with 24 bits has steps of 2**-24: groups must be too wide to show
    # them, and to show how values near their ends are rounded.
    least = max(MIN_EXPECTED / count, count * 2.0**-44)
    if expected.numbers is None:
        least = max(least, 1 / GROUPS, math.sqrt(count) * expected.slack / 16)
    if expected.numbers is not None or count >= FEW:
        starts = _merged(expected.probabilities, least)
        if len(starts) >= MIN_GROUPS:
            return _chi_square(tally.counts, expected.probabilities, starts)
    distance, p = _kolmogorov_smirnov(tally, expected)
    if expected.numbers is None or not of_few_numbers(expected):
        return distance
    counted, p_counted = _binomial(tally, expected, expected.numbers)
    return replace(counted if p_counted < p else distance, p=min(1.0, 2 * min(p, p_counted)))


def of_few_numbers(expected: Expected) -> bool:
    """Whether so few numbers are met that the count of each is judged alone."""
    if expected.numbers is None:
        return False
    return int(np.count_nonzero(expected.probabilities > MET)) < MIN_GROUPS


def _binomial(tally: Tally, expected: Expected, numbers: Doubles) -> tuple[Finding, float]:
    """The least probable count, of each number that is met and of all others together.

    Each has a binomial distribution; p is the least of theirs times their number.
    """
    binomial = scipy_stats().binom
    met = expected.probabilities > MET
    shares = np.append(expected.probabilities[met], expected.probabilities[~met].sum())
    counts = np.append(tally.counts[met], tally.counts[~met].sum())
    shares = np.minimum(shares, 1.0)
    tails = [
        binomial.cdf(counts, tally.count, shares),
        binomial.sf(counts - 1, tally.count, shares),
    ]
    p = 2 * np.minimum(*tails)
    i = int(np.argmin(p))
    which = "other numbers" if i == len(p) - 1 else f"{numbers[met][i]:.9g}"
    least = min(1.0, len(p) * float(p[i]))
    found = int(counts[i])
    finding = Finding(
        "fit",
        tally.count * float(shares[i]),
        found,
        p=least,
        statistic="count",
        note=f"of {which}",
    )
    return finding, least


def _merged(probabilities: Doubles, least: float) -> list[int]:
    """Where groups of neighbouring cells begin, each group of probability `least` or more."""
    total = [0.0, *np.cumsum(probabilities).tolist()]  # a list: NumPy would search it more slowly
    starts = [0]
    while (end := bisect_left(total, total[starts[-1]] + least)) < len(probabilities):
        starts.append(end)
    if len(starts) > 1 and total[-1] - total[starts[-1]] < least:
        starts.pop()
    return starts


def _chi_square(counts: Array, probabilities: Doubles, starts: list[int]) -> Finding:
    """Pearson's statistic; p from the gamma distribution of its exact moments (Haldane 1937)."""
    observed, shares = np.add.reduceat(counts, starts), np.add.reduceat(probabilities, starts)
    count, groups = int(observed.sum()), len(starts)
    expected = count * shares / shares.sum()
    statistic = float(((observed - expected) ** 2 / expected).sum())
    mean = groups - 1
    variance = 2 * mean + float((1 / expected).sum()) - (groups**2 + 2 * groups - 2) / count
    std = math.sqrt(variance)
    p = _two_sided(scipy_stats().gamma, statistic, mean**2 / variance, variance / mean)
    return Finding(
        "fit",
        mean,
        statistic,
        (statistic - mean) / std,
        p,
        spread=std,
        statistic="chi²",
        note=f"{groups:,} groups",
    )


def _kolmogorov_smirnov(tally: Tally, expected: Expected) -> tuple[Finding, float]:
    """The distance over the ends of the cells, which is at most that over all values."""
    stats = scipy_stats()
    share = np.cumsum(tally.counts)[:-1] / tally.count
    distance = float(np.abs(share - expected.below).max()) - 2 * expected.slack * expected.peak
    median = float(stats.kstwobign.median()) / math.sqrt(tally.count)
    p = float(stats.kstwo.sf(max(distance, 0.0), tally.count))
    return Finding("fit", median, distance, p=p, statistic="Kolmogorov-Smirnov"), p


# ---- extremes ------------------------------------------------------------------------------------


def extremes_of(
    tally: Tally, distribution: Distribution, expected: Expected, dtype: np.dtype[Any]
) -> list[Finding]:
    """Minimum and maximum, each under its own distribution for n draws."""
    standard = standardized(distribution).distribution
    median = -math.expm1(-math.log(2) / tally.count)  # of the probability beyond an extreme
    findings = []
    for name, value, inverse, outward in (
        ("minimum", tally.minimum, standard.ppf, -1.0),
        ("maximum", tally.maximum, standard.isf, 1.0),
    ):
        if expected.numbers is None:
            near, far = _tails(value, outward, distribution, expected.slack, dtype)
        else:
            near, far = _tails_of_numbers(value, outward, expected)
        further = -np.expm1(tally.count * np.log1p(-near))
        nearer = np.exp(tally.count * np.log1p(-max(far - 2.0**-UNIFORM_BITS, 0.0)))
        p = min(1.0, 2 * float(min(further, nearer)))
        middle = distribution.mean + distribution.std * float(inverse(median))
        findings.append(Finding(name, middle, value, p=p))
    return findings


def _tails(
    value: float, outward: float, distribution: Distribution, slack: float, dtype: np.dtype[Any]
) -> tuple[float, float]:
    """Probabilities of a value as far out or further, and of one that is further out."""
    standard = standardized(distribution).distribution
    tail = standard.cdf if outward < 0 else standard.sf
    near, far = (
        float(tail((end - distribution.mean) / distribution.std + side * slack))
        for end, side in zip(_rounded_to(value, dtype, outward), (-outward, outward), strict=True)
    )
    return near, far


def _tails_of_numbers(value: float, outward: float, expected: Expected) -> tuple[float, float]:
    """The same, from the probabilities of numbers."""
    assert expected.numbers is not None
    probabilities = expected.probabilities
    left, right = (
        int(np.searchsorted(expected.numbers, value, side)) for side in ("left", "right")
    )
    near, far = (
        (probabilities[:right], probabilities[:left])
        if outward < 0
        else (probabilities[left:], probabilities[right:])
    )
    return min(1.0, float(near.sum())), min(1.0, float(far.sum()))


def _rounded_to(value: float, dtype: np.dtype[Any], outward: float) -> tuple[float, float]:
    """The ends of the interval of numbers that round to `value`, the outer one last."""
    number = np.array(value, dtype.newbyteorder("="))
    inner, outer = (
        float(np.nextafter(number, number.dtype.type(side * math.inf)))
        for side in (-outward, outward)
    )
    return inner / 2 + value / 2, outer / 2 + value / 2


# ---- equal values, and order ---------------------------------------------------------------------


def equal_values_of(most: int, count: int, expected: Expected) -> Finding:
    """Whether `most` of the values, all of which are equal, are too many.

    p is a bound: the expected number of sets of `most` values that are equal is no larger.
    """
    if most < 2:
        log_share = 0.0
    elif expected.numbers is None:
        # A generator that begins with 23 bits may repeat a value as often as that.
        log_share = (most - 1) * math.log(max(expected.commonest, 2.0**-UNIFORM_BITS))
    else:
        largest = float(expected.probabilities.max())
        pairs = float(np.square(expected.probabilities).sum())
        log_share = (most - 2) * math.log(largest) + math.log(pairs)
    log_sets = math.lgamma(count + 1) - math.lgamma(most + 1) - math.lgamma(count - most + 1)
    p = math.exp(min(0.0, log_sets + log_share))
    return Finding("equal_values", 1, most, p=p, note="of one number")


def correlations_of(tally: Tally, expected: Expected) -> list[Finding]:
    """Of neighbours, whose products have a kurtosis and a skewness that follow from the values'."""
    value = expected.value
    kurtosis = value.kurtosis**2 + 6 * value.kurtosis - 6
    product = Summand(0.0, 1.0, value.skewness**2, kurtosis)
    findings = []
    names = ("serial_correlation", "row_correlation")
    for name, one in zip(names, tally.neighbours, strict=False):
        found = one.correlation(tally.total, tally.squares, tally.count)
        if math.isnan(found):
            continue
        # The mean is taken from the values themselves, which moves a correlation by -1 / n.
        z, p, note = _judged(found + 1 / tally.count, product, one.pairs, expected.slack**2)
        findings.append(Finding(name, 0.0, found, z, p, note=note))
    return findings
