"""One array against a distribution or a structured initializer. Called by `verify` and `model`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastxavier._verify.exact import constant_values, drawn_bits
from fastxavier._verify.expected import as_stored, expected_in, rounded_bounds, standardized
from fastxavier._verify.judge import (
    extremes_of,
    fit_of,
    moments_of,
    not_finite,
    out_of_bounds,
)
from fastxavier._verify.read import Array, check_drawn
from fastxavier._verify.repeats import LONGEST_WINDOW, repeats_of, window_of
from fastxavier._verify.report import Finding, Verification
from fastxavier._verify.tally import Cells, tally_of
from fastxavier.distributions import Distribution
from fastxavier.initializers import Resolved
from fastxavier.structured import StructuredInitializer


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
            findings = [drawn_bits(values, distribution, seed, stream)]
        elif isinstance(distribution, Distribution):
            findings = _compared(values, distribution)
        else:
            findings = _measured(values, distribution)
    named: dict[str, Any] = {one.name: one for one in findings}
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


def _compared(values: Array, given: Distribution) -> list[Finding]:
    """All that a distribution leads to expect, in the order of the table."""
    distribution = as_stored(given, values.dtype)
    bounds = rounded_bounds(given, distribution, values.dtype)
    if distribution.std == 0:
        tally = tally_of(values, bounds, 0.0, 1.0, Cells(0.0, 1.0))
        return [*not_finite(tally), out_of_bounds(tally, bounds)]
    cells = standardized(distribution).cells
    tally = tally_of(values, bounds, distribution.mean, distribution.std, cells)
    findings = [*not_finite(tally), out_of_bounds(tally, bounds)]
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
