"""`verify`: whether an array holds draws of a distribution, or what a structure says."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from fastxavier._validation import real
from fastxavier._verify.expected import (
    as_stored,
    expected_in,
    rounded_bounds,
    standard_form,
    standard_shape,
)
from fastxavier._verify.judge import extremes_of, fit_of, moments_of, not_finite, outside
from fastxavier._verify.read import viewed
from fastxavier._verify.repeats import LONGEST_WINDOW, repeats_of, window_of
from fastxavier._verify.report import Finding, Structural, Verification
from fastxavier._verify.tally import Cells, tally_of
from fastxavier.distributions import Distribution

Array = NDArray[Any]


def verify(
    array: Any, distribution: Distribution | Structural, *, false_alarm: SupportsFloat = 1e-6
) -> Verification:
    """Tell whether an array holds draws of a distribution, whoever filled it.

    What is looked at, in one pass over the values and two over their order:

    - NaNs, infinities, and values outside the distribution's bounds; none may be there. Bounds and
      parameters are first rounded to the dtype, as a fill does.
    - The mean, with standard error sigma / sqrt(n), and the variance about the distribution's own mean mu,
      mean((x - mu)**2), with sqrt((mu4 - sigma**4) / n), mu4 being the distribution's fourth central moment:
      9/5 sigma**4 for a uniform distribution, 3 sigma**4 for a normal one. Their probabilities are those of
      a Pearson III distribution with the mean, variance and skewness of the sum. They are judged once the
      kurtosis of the sum is within 0.01 of a normal's, which takes some 300 values for the mean
      and 1,500 for the variance of a normal distribution.
    - The shape. Of float16 and bfloat16 every representable number is counted, its probability
      being the distribution's between the midpoints to its neighbours; neighbours are merged until each
      group expects 20 values, and a chi-square compares. Of float32 and float64 it compares about
      1,024 intervals of nearly equal probability; for less than 65,536 values, or where there would
      be less than 64 groups, the distance of Kolmogorov and Smirnov is taken instead, over 16,384
      intervals. An improbably good fit fails too.
    - The least and the greatest value, under the distribution of the extreme of n draws, 1 - (1 - F)**n and
      F**n: an outlier fails, and so does a tail cut off. A missing tail of probability 2**-22 is
      forgiven, since generators that start from 23 or 24 random bits cannot draw it.
    - Repeated blocks, at any offset, counted along the last axis (C order) or the first one
      (Fortran order): a row that stands again as a column is found too. Of at most 2**20 values
      every repeat of 16 consecutive ones is found. Of more, one place in s is looked at, chosen by
      what stands there; s is 32, and beyond 2**26 values n / 2**21 rounded up to a power of two. A
      repeat of 15 + 14 s different values is then missed with a probability of 1e-6. Of 16-bit
      dtypes the 16 become as many as chance does not repeat; where a distribution has too few different
      numbers for that, or an array less than two such blocks, nothing is told.

    The array holds draws of the distribution, `ok`, if each of the k probabilities is at least
    ``false_alarm / k`` and each count is 0. By Bonferroni's inequality true draws are then
    accused with a probability of at most `false_alarm`.

    A distribution without variance must stand in every value. A structure is asked how far the array is
    from it, and how far it may be.

    Parameters
    ----------
    array : array_like
        What is looked at: a NumPy array of any layout, what ``numpy.asarray`` makes of other
        objects, or CPU memory by DLPack; float32, float64, float16 or bfloat16. It is read in
        pieces, and no copy of the whole is made: the memory used is some MiB, and 24 bytes for each
        of the at most 2**22 places at which blocks are compared.
    distribution : Uniform, Normal, TruncatedNormal, or a structure
        What it should hold.
    false_alarm : float, default 1e-6
        The probability with which true draws may be accused, between 0 and 1.

    Returns
    -------
    Verification
        Its `ok` is the verdict, its fields the findings; it prints as a table.

    Raises
    ------
    TypeError
        If `array` has another dtype, or `distribution` is no distribution.
    ValueError
        If `array` holds no value, `distribution` reaches beyond its dtype, or `false_alarm` is not between
        0 and 1.
    ImportError
        If SciPy is missing: ``pip install "fastxavier[cli]"``.

    References
    ----------
    K. Pearson, "On the criterion that a given system of deviations ... can be reasonably supposed
    to have arisen from random sampling", Philosophical Magazine 50 (1900).
    J. B. S. Haldane, "The exact value of the moments of the distribution of chi-squared, used as a
    test of goodness of fit, when expectations are small", Biometrika 29 (1937).

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> from fastxavier._verify import verify
    >>> w = fx.normal_(np.empty((512, 256), np.float32), fan_in=256, fan_out=512, seed=7)
    >>> verify(w, fx.glorot_normal(256, 512)).ok
    True
    >>> verify(w, fx.glorot_normal(256, 512, mode="fan_in")).failures
    ('variance', 'fit')
    """
    level = real("false_alarm", false_alarm)
    if not 0 < level < 1:
        raise ValueError(f"false_alarm is {level}; it must be between 0 and 1")
    values = viewed(array)
    with np.errstate(all="ignore"):
        if isinstance(distribution, Distribution):
            findings = _compared(values, distribution)
        elif isinstance(distribution, Structural):
            findings = _measured(values, distribution)
        else:
            raise TypeError(
                f"distribution is {distribution!r}, a {type(distribution).__name__}; it must be a Uniform, Normal or "
                "TruncatedNormal, or a structure"
            )
    named = {one.name: one for one in findings}
    return Verification(distribution, values.dtype.name, values.shape, level, **named)


def _measured(values: Array, structure: Structural) -> list[Finding]:
    """A structure is one number."""
    tally = tally_of(values, (-math.inf, math.inf), 0.0, 1.0, Cells(0.0, 1.0))
    deviation, tolerance = float(structure.deviation(values)), float(structure.tolerance(values))
    note = f"may be {tolerance:.3g}"
    return [*not_finite(tally), Finding("deviation", 0.0, deviation, limit=tolerance, note=note)]


def _compared(values: Array, distribution: Distribution) -> list[Finding]:
    """All that a distribution says, in the order of the table."""
    given, distribution = distribution, as_stored(distribution, values.dtype)
    bounds = rounded_bounds(given, distribution, values.dtype)
    if distribution.std == 0:
        tally = tally_of(values, bounds, 0.0, 1.0, Cells(0.0, 1.0))
        return [*not_finite(tally), outside(tally, bounds)]
    shape = standard_shape(standard_form(distribution))
    tally = tally_of(values, bounds, distribution.mean, distribution.std, shape.cells)
    findings = [*not_finite(tally), outside(tally, bounds)]
    if not tally.count:
        return findings
    expected = expected_in(distribution, values.dtype)
    findings += moments_of(tally, distribution, expected)
    findings.append(fit_of(tally, expected))
    findings += extremes_of(tally, distribution, expected.slack, values.dtype)
    window = window_of(expected.commonest, values.size)
    if window <= min(LONGEST_WINDOW, values.size // 2):
        findings.append(repeats_of(values, window))
    return findings
