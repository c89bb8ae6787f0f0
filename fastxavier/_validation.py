"""Numbers a caller gives: checked, named in the error, turned into Python's own."""

from __future__ import annotations

import math
import numbers
from typing import Any


def real(name: str, value: Any, *, finite: bool = True) -> float:
    """`value` as a float; TypeError unless it is a real number, ValueError for NaN (and inf)."""
    if type(value) is not float:
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise TypeError(
                f"{name} is {value!r}, a {type(value).__name__}; it must be a real number"
            )
        try:
            value = float(value)
        except OverflowError:
            raise ValueError(f"{name} is {value}, beyond the largest float") from None
    if math.isfinite(value):
        return value  # type: ignore[no-any-return]
    if finite or math.isnan(value):
        raise ValueError(f"{name} is {value}; it must be a finite number")
    return value  # type: ignore[no-any-return]
