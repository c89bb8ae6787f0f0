"""Exact comparison: an array with the bits that `fill_` draws, or with a constant.

Called by `one_array`. Needs no SciPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from fastxavier._dtypes import float_dtype
from fastxavier._verify.read import Array, chunks
from fastxavier._verify.report import Finding
from fastxavier.distributions import Distribution
from fastxavier.fill import fill_
from fastxavier.initializers import Resolved
from fastxavier.structured import DeltaOrthogonal, Orthogonal

PIECE = 1 << 18  # values at a time
LAPACK = 1e-6  # of the gain: by how much orthogonal matrices from two LAPACKs may differ

Wanted: TypeAlias = Callable[[int, int], Array]  # the elements from one index up to another
Differs: TypeAlias = Callable[[Array, Array], Any]


def drawn_bits(values: Array, initializer: Resolved, seed: int, stream: int | str) -> Finding:
    """Whether each value has the bits that ``fill_(..., seed=seed, stream=stream)`` gives it."""
    native = values.dtype.newbyteorder("=")
    if isinstance(initializer, Distribution):
        buffer = np.empty(min(PIECE, values.size), native)

        def drawn(first: int, end: int) -> Array:
            # A tensor is drawn in C order, so one axis gives the same values as all of its axes.
            return fill_(
                buffer[: end - first],
                initializer,
                seed=seed,
                stream=stream,
                global_shape=(values.size,),
                offset=(first,),
            )

        return _compared(values, drawn, _other_bits)
    whole = fill_(np.empty(values.shape, native), initializer, seed=seed, stream=stream).reshape(-1)
    if not isinstance(initializer, (Orthogonal, DeltaOrthogonal)):
        return _compared(values, lambda first, end: whole[first:end], _other_bits)
    tolerance = LAPACK * initializer.gain
    finding = _compared(values, lambda first, end: whole[first:end], _further_than(tolerance))
    notes = [finding.note, f"tolerance {tolerance:.3g}"]
    return replace(finding, note=", ".join(filter(None, notes)))


def constant_values(values: Array, constant: int) -> Finding:
    """Whether each integer, or each truth value, is the constant."""
    right = np.array(constant, values.dtype.newbyteorder("="))
    return _compared(values, lambda first, end: np.broadcast_to(right, end - first), np.not_equal)


def _compared(values: Array, wanted: Wanted, differs: Differs) -> Finding:
    count, done, note = 0, 0, ""
    for found in chunks(values, PIECE):
        right = wanted(done, done + len(found))
        wrong = differs(found, right)
        here = int(np.count_nonzero(wrong))
        if here and not count:
            at = int(np.argmax(wrong))
            index = tuple(map(int, np.unravel_index(done + at, values.shape)))
            note = f"first at {index}: {found[at]!s} instead of {right[at]!s}"
        count += here
        done += len(found)
    return Finding("differing_values", 0, count, limit=0, note=note)


def _other_bits(found: Array, right: Array) -> Any:
    bits = f"u{found.itemsize}"
    return found.view(bits) != right.view(bits)


def _further_than(tolerance: float) -> Differs:
    def differs(found: Array, right: Array) -> Any:
        row = float_dtype(found.dtype)
        found, right = found.astype(np.float64), right.astype(np.float64)
        rounding = row.epsilon * np.abs(right) + row.smallest
        return ~(np.abs(found - right) <= tolerance + rounding)  # true of a NaN

    return differs
