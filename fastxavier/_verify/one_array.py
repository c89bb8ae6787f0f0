"""One array against a distribution or a structured initializer. Called by `verify` and `model`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastxavier._verify.exact import constant_values, drawn_bits
from fastxavier._verify.expected import Expected, as_stored, expected_in, rounded_bounds
from fastxavier._verify.judge import (
    FEW,
    correlations_of,
    equal_values_of,
    extremes_of,
    fit_of,
    moments_of,
    not_finite,
    of_few_numbers,
    out_of_bounds,
    stds_of,
)
from fastxavier._verify.read import CHUNK, Array, check_drawn, chunks
from fastxavier._verify.repeats import LONGEST_WINDOW, repeats_of, window_of
from fastxavier._verify.report import Finding, Verification
from fastxavier._verify.tally import Cells, Tally, tally_of
from fastxavier.distributions import Distribution
from fastxavier.initializers import Resolved
from fastxavier.structured import StructuredInitializer

LONGEST_LAG = CHUNK  # up to which neighbours along the first axis are kept


def verify_array(
    values: Array,
    distribution: Resolved,
    false_alarm: float,
    seed: int | None = None,
    stream: int | str | None = None,
) -> Verification:
    """The report on an array of a dtype that `fill_` fills."""
    check_drawn(values)
    with np.errstate(all="ignore"):
        if seed is not None:
            stream = 0 if stream is None else stream
            named = _named([drawn_bits(values, distribution, seed, stream)])
        elif isinstance(distribution, Distribution):
            named = _compared(values, distribution)
        else:
            named = _named(_measured(values, distribution))
    return Verification(
        distribution, values.dtype.name, values.shape, false_alarm, seed, stream, **named
    )


def verify_constant(
    values: Array, distribution: Resolved, constant: int, false_alarm: float
) -> Verification:
    """The report on an array of integers or truth values, each of which must be the constant."""
    found = constant_values(values, constant)
    return Verification(
        distribution, values.dtype.name, values.shape, false_alarm, differing_values=found
    )


def _measured(values: Array, initializer: StructuredInitializer) -> list[Finding]:
    """What a structured initializer promises is one number."""
    tally = tally_of(values, (-math.inf, math.inf), 0.0, 1.0, Cells(0.0, 1.0))
    deviation, tolerance = initializer.deviation(values), initializer.tolerance(values)
    note = f"at most {tolerance:.3g}"
    return [*not_finite(tally), Finding("deviation", 0.0, deviation, limit=tolerance, note=note)]


def _compared(values: Array, given: Distribution) -> dict[str, Any]:
    """All that a distribution leads to expect, in the order of the table."""
    distribution = as_stored(given, values.dtype)
    bounds = rounded_bounds(given, distribution, values.dtype)
    if distribution.std == 0:
        tally = tally_of(values, bounds, 0.0, 1.0, Cells(0.0, 1.0))
        return _named([*not_finite(tally), out_of_bounds(tally, bounds)])
    answers = expected_in(given, distribution, values.dtype)
    one = answers[0]  # all have the same cells
    tally = tally_of(values, bounds, one.center, one.scale, one.cells, _lags(values.shape))
    counts = [*not_finite(tally), out_of_bounds(tally, bounds)]
    if not tally.count:
        return _named(counts)
    most = _most_equal(values, tally, one)
    judged = [_judged(values, distribution, tally, expected, most) for expected in answers]
    # Right values have a fair p by one of the answers, and one no smaller by the best of them.
    findings, expected = max(zip(judged, answers, strict=True), key=lambda pair: _least(pair[0]))
    window = window_of(max(one.commonest for one in answers), values.size)
    if window <= min(LONGEST_WINDOW, values.size // 2):
        findings.append(repeats_of(values, window))
    expected_std, measured_std = stds_of(tally, expected)
    return {
        **_named(counts + findings),
        "expected_std": expected_std,
        "measured_std": measured_std,
    }


def _judged(
    values: Array, distribution: Distribution, tally: Tally, expected: Expected, most: int
) -> list[Finding]:
    findings = moments_of(tally, expected)
    findings.append(fit_of(tally, expected))
    findings += extremes_of(tally, distribution, expected, values.dtype)
    if most:
        findings.append(equal_values_of(most, tally.count, expected))
    findings += correlations_of(tally, expected)
    return findings


def _least(findings: list[Finding]) -> float:
    return min((one.p for one in findings if one.p is not None), default=1.0)


def _named(findings: list[Finding]) -> dict[str, Any]:
    return {one.name: one for one in findings}


def _lags(shape: tuple[int, ...]) -> list[int]:
    """Distances at which neighbours are compared: along the last axis, and along the first one."""
    size = math.prod(shape)
    first = next((length for length in shape if length > 1), size)
    row = size // first
    return [lag for lag in dict.fromkeys((1, row)) if lag <= min(LONGEST_LAG, size - 1)]


def _most_equal(values: Array, tally: Tally, expected: Expected) -> int:
    """How often the most frequent number occurs, among few values; 0 if that is not judged."""
    if not 2 <= tally.count < FEW or of_few_numbers(expected):
        return 0
    if expected.numbers is not None:
        return int(tally.counts.max())
    whole = np.sort(np.concatenate(list(chunks(values))))
    whole = whole[np.isfinite(whole)]
    starts = np.flatnonzero(np.concatenate([[True], whole[1:] != whole[:-1], [True]]))
    return int(np.diff(starts).max())
