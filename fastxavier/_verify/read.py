"""Any array as NumPy sees its memory, and its elements in pieces. All of `_verify` calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastxavier import _core
from fastxavier._dtypes import FLOATS
from fastxavier._torch import is_tensor, numpy_view, strided_memory
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, choose_from

Array: TypeAlias = NDArray[Any]
Doubles: TypeAlias = NDArray[np.float64]

CHUNK = 1 << 17  # elements at a time: as doubles they fill half of a second-level cache


def viewed(array: Any) -> Array:
    """The array's memory as a NumPy array of any dtype, without a copy where that is possible."""
    if is_tensor(array):
        return _torch_tensor(array)
    _core.check_unmasked(array)
    if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        return np.from_dlpack(array)
    values: Array = _core.exported(array)
    return values


def _torch_tensor(tensor: Any) -> Array:
    kind = f"{tensor.layout}, device {tensor.device}"
    if tensor.device.type != "cpu" or str(tensor.layout) != "torch.strided":
        raise ArgumentTypeError(
            f"array is a torch tensor of layout {kind}; it must be dense and on the CPU",
            "array",
            tensor,
        )
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.detach().resolve_conj().resolve_neg()
    view = numpy_view(strided_memory(tensor, floats=False))
    if view is None:
        name = str(tensor.dtype)
        raise ArgumentTypeError(
            f"array has dtype {name}; {choose_from(name, FLOATS)}", "array", tensor.dtype, FLOATS
        )
    return view


def check_drawn(values: Array) -> None:
    """Raise unless `fill_` could have filled the array, and it has values to look at."""
    if values.dtype.name not in FLOATS:
        raise ArgumentTypeError(
            f"array has dtype {values.dtype}; {choose_from(values.dtype.name, FLOATS)}",
            "array",
            values.dtype,
            FLOATS,
        )
    if values.size == 0:
        raise ArgumentValueError(
            f"array has shape {values.shape}; it must hold at least one value",
            "array",
            values.shape,
        )


def chunks(array: Array, most: int = CHUNK) -> Iterator[Array]:
    """The elements in C order, in contiguous pieces of at most `most`, in native byte order."""
    native = array.dtype.newbyteorder("=")
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        for first in range(0, flat.size, most):
            yield flat[first : first + most].astype(native, copy=False)
    elif array.size // len(array) > most:
        for part in array:
            yield from chunks(part, most)
    else:
        rows = most * len(array) // array.size
        for first in range(0, len(array), rows):
            # Copied in the order of memory, in long runs; the transposition is then within a cache.
            part = array[first : first + rows].copy("K")
            yield part.reshape(-1).astype(native, copy=False)
