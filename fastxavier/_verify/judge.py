"""Whether what was counted agrees with what is expected: moments, fit and extremes.

Called by `one_array`. Every function returns findings.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastxavier._verify.expected import Expected, Summand, scipy_stats, standardized
from fastxavier._verify.read import Array, Doubles
from fastxavier._verify.report import Finding
from fastxavier._verify.tally import Tally
from fastxavier.distributions import Distribution

NEARLY_NORMAL = 0.01  # excess kurtosis up to which the probability of a sum is judged
GROUPS = 1 << 10  # of about equal probability, into which the cells are merged for a chi-square
FEW = 1 << 16  # float32 and float64 values, below which Kolmogorov-Smirnov has more power
MIN_EXPECTED = 20  # values in a group
MIN_GROUPS = 64  # with fewer, the statistic is too far from a chi-square distribution
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


def moments_of(tally: Tally, distribution: Distribution, expected: Expected) -> list[Finding]:
    """Mean and variance; a difference that rounding to the dtype can explain does not count."""
    value, square, slack = expected.value, expected.square, expected.slack
    mean = tally.total / tally.count
    about = tally.squares / tally.count - 2 * value.mean * mean + value.mean**2
    z_mean, p_mean, note_mean = _judged(mean, value, tally.count, slack)
    z_square, p_square, note_square = _judged(about, square, tally.count, 2 * slack + slack**2)
    center, scale = distribution.mean, distribution.std
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
            square.mean * scale * scale,
            about * scale * scale,
            z_square,
            p_square,
            note=note_square,
        ),
    ]


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
    """A chi-square where there are enough groups, else the Kolmogorov-Smirnov distance."""
    count = tally.count
    # A generator that begins with 24 bits has steps of 2**-24: groups must be too wide to show
    # them, and to show how values near their ends are rounded.
    least = max(MIN_EXPECTED / count, count * 2.0**-44)
    if expected.continuous:
        least = max(least, 1 / GROUPS, math.sqrt(count) * expected.slack / 16)
    if not expected.continuous or count >= FEW:
        starts = _merged(expected.probabilities, least)
        if len(starts) >= MIN_GROUPS:
            return _chi_square(tally.counts, expected.probabilities, starts)
    return _kolmogorov_smirnov(tally, expected)


def _merged(probabilities: Doubles, least: float) -> list[int]:
    """Where groups of neighbouring cells begin, each group of probability `least` or more."""
    total = np.concatenate([[0.0], np.cumsum(probabilities)])
    starts = [0]
    while (end := int(np.searchsorted(total, total[starts[-1]] + least))) < len(probabilities):
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


def _kolmogorov_smirnov(tally: Tally, expected: Expected) -> Finding:
    """The distance over the ends of the cells, which is at most that over all values."""
    stats = scipy_stats()
    share = np.cumsum(tally.counts)[:-1] / tally.count
    distance = float(np.abs(share - expected.below).max()) - 2 * expected.slack * expected.peak
    median = float(stats.kstwobign.median()) / math.sqrt(tally.count)
    p = float(stats.kstwo.sf(max(distance, 0.0), tally.count))
    return Finding("fit", median, distance, p=p, statistic="Kolmogorov-Smirnov")


# ---- extremes ------------------------------------------------------------------------------------


def extremes_of(
    tally: Tally, distribution: Distribution, slack: float, dtype: np.dtype[Any]
) -> list[Finding]:
    """Minimum and maximum, each under its own distribution for n draws."""
    standard = standardized(distribution).distribution
    median = -math.expm1(-math.log(2) / tally.count)  # of the probability beyond an extreme
    findings = []
    for name, value, tail, inverse, outward in (
        ("minimum", tally.minimum, standard.cdf, standard.ppf, -1.0),
        ("maximum", tally.maximum, standard.sf, standard.isf, 1.0),
    ):
        near, far = (
            float(tail((end - distribution.mean) / distribution.std + side * slack))
            for end, side in zip(
                _rounded_to(value, dtype, outward), (-outward, outward), strict=True
            )
        )
        further = -np.expm1(tally.count * np.log1p(-near))
        nearer = np.exp(tally.count * np.log1p(-max(far - 2.0**-UNIFORM_BITS, 0.0)))
        p = min(1.0, 2 * float(min(further, nearer)))
        expected = distribution.mean + distribution.std * float(inverse(median))
        findings.append(Finding(name, expected, value, p=p))
    return findings


def _rounded_to(value: float, dtype: np.dtype[Any], outward: float) -> tuple[float, float]:
    """The ends of the interval of numbers that round to `value`, the outer one last."""
    number = np.array(value, dtype.newbyteorder("="))
    inner, outer = (
        float(np.nextafter(number, number.dtype.type(side * math.inf)))
        for side in (-outward, outward)
    )
    return inner / 2 + value / 2, outer / 2 + value / 2
