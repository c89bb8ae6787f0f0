"""Any array as NumPy sees its memory, and its elements in contiguous pieces."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CHUNK = 1 << 17  # values at a time: their doubles fill half of a second-level cache


def viewed(array: Any) -> Array:
    """The array's memory as NumPy sees it, and nothing that no fill could have made."""
    if str(getattr(array, "dtype", None)) == "torch.bfloat16":  # NumPy has no such number
        torch = importlib.import_module("torch")
        values: Array = array.view(torch.int16).numpy().view(_bfloat16())
    elif hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        values = np.from_dlpack(array)
    else:
        values = np.asarray(array)
    if values.dtype.name not in ("float32", "float64", "float16", "bfloat16"):
        raise TypeError(
            f"array has dtype {values.dtype}; it must be float32, float64, float16 or bfloat16"
        )
    if values.size == 0:
        raise ValueError(f"array has shape {values.shape}; it must hold one value or more")
    return values


def _bfloat16() -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    except ImportError:
        raise ImportError('bfloat16 needs ml_dtypes: pip install "fastxavier[bfloat16]"') from None
    return dtype


def chunks(array: Array) -> Iterator[Array]:
    """The elements in C order, a contiguous piece of at most CHUNK at a time."""
    native = array.dtype.newbyteorder("=")
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        for first in range(0, flat.size, CHUNK):
            yield flat[first : first + CHUNK].astype(native, copy=False)
    elif array.size // len(array) > CHUNK:
        for part in array:
            yield from chunks(part)
    else:
        rows = CHUNK * len(array) // array.size
        for first in range(0, len(array), rows):
            # First as memory lies, in long runs; what is left to transpose then is in cache.
            part = array[first : first + rows].copy("K")
            yield part.reshape(-1).astype(native, copy=False)
