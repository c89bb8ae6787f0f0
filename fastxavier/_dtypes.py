"""The one table of the floating-point dtypes that are drawn. Every module reads its facts here."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np

from fastxavier._validation import ArgumentTypeError, choose_from, shown

__all__ = ["FLOATS", "FloatDtype", "dtype_named", "float_dtype"]


class FloatDtype(NamedTuple):
    """What is known of a dtype; one row of `FLOATS`."""

    name: str
    itemsize: int
    epsilon: float
    """Distance of the numbers next to 1."""
    smallest: float
    """The least positive number, a subnormal one."""
    computed_in: str
    """The dtype in which its values are computed, before they are rounded to it."""
    safetensors: str
    """Its code in a safetensors file."""
    module: str = "numpy"
    """The package that defines it."""

    @property
    def extra(self) -> str:
        """The extra of this package that installs `module`."""
        return self.name.partition("_")[0]

    @property
    def numpy(self) -> np.dtype[Any]:
        """The dtype as NumPy holds it; ImportError where its package is missing."""
        try:
            kind = getattr(importlib.import_module(self.module), self.name)
        except ImportError:
            raise ImportError(
                f'{self.name} needs {self.module}: pip install "fastxavier[{self.extra}]"'
            ) from None
        dtype: np.dtype[Any] = np.dtype(kind)
        return dtype


# In the order of fx_dtype.
FLOATS: dict[str, FloatDtype] = {
    row.name: row
    for row in (
        FloatDtype("float32", 4, 2.0**-23, 2.0**-149, "float32", "F32"),
        FloatDtype("float64", 8, 2.0**-52, 2.0**-1074, "float64", "F64"),
        FloatDtype("float16", 2, 2.0**-10, 2.0**-24, "float32", "F16"),
        FloatDtype("bfloat16", 2, 2.0**-7, 2.0**-133, "float32", "BF16", "ml_dtypes"),
        FloatDtype("float8_e4m3fn", 1, 2.0**-3, 2.0**-9, "float32", "F8_E4M3", "ml_dtypes"),
        FloatDtype("float8_e5m2", 1, 2.0**-2, 2.0**-16, "float32", "F8_E5M2", "ml_dtypes"),
    )
}


def float_dtype(dtype: Any) -> FloatDtype:
    """The row of a dtype given as NumPy's, torch's or JAX's, or by its name.

    Raises
    ------
    TypeError
        If it is not one of `FLOATS`.
    """
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
    if not isinstance(name, str):
        name = str(dtype)
    row = FLOATS.get(name.removeprefix("torch."))
    if row is None:
        raise ArgumentTypeError(
            f"dtype is {shown(dtype)}; {choose_from(name, FLOATS)}", "dtype", dtype, FLOATS
        )
    return row


def dtype_named(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype of one of `FLOATS`, given as `float_dtype` takes it.

    Raises
    ------
    TypeError
        As `float_dtype` does, or if its bytes are not in this machine's order.
    """
    row = float_dtype(dtype)
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        raise ArgumentTypeError(
            f"dtype is {shown(dtype)}; its bytes must be in this machine's order", "dtype", dtype
        )
    return row.numpy
