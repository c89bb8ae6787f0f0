"""Dtypes and shapes of tensors, as a safetensors file has them. Every module here uses these."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastxavier.checkpoints._errors import CheckpointError

Kind: TypeAlias = tuple[str, tuple[int, ...]]


class _Dtype(NamedTuple):
    bits: int
    numpy: str | None  # its name in NumPy or ml_dtypes


# In the order of safetensors' own list, which its writer sorts by; it is one of rising alignment.
DTYPES = {
    "BOOL": _Dtype(8, "bool"),
    "F4": _Dtype(4, None),
    "F6_E2M3": _Dtype(6, None),
    "F6_E3M2": _Dtype(6, None),
    "U8": _Dtype(8, "uint8"),
    "I8": _Dtype(8, "int8"),
    "F8_E5M2": _Dtype(8, "float8_e5m2"),
    "F8_E4M3": _Dtype(8, "float8_e4m3fn"),
    "F8_E8M0": _Dtype(8, "float8_e8m0fnu"),
    "F8_E4M3FNUZ": _Dtype(8, "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": _Dtype(8, "float8_e5m2fnuz"),
    "I16": _Dtype(16, "int16"),
    "U16": _Dtype(16, "uint16"),
    "F16": _Dtype(16, "float16"),
    "BF16": _Dtype(16, "bfloat16"),
    "I32": _Dtype(32, "int32"),
    "U32": _Dtype(32, "uint32"),
    "F32": _Dtype(32, "float32"),
    "C64": _Dtype(64, "complex64"),
    "F64": _Dtype(64, "float64"),
    "I64": _Dtype(64, "int64"),
    "U64": _Dtype(64, "uint64"),
}
ALIGNMENT = {name: place for place, name in enumerate(DTYPES)}
_BY_NUMPY = {dtype.numpy: name for name, dtype in DTYPES.items() if dtype.numpy}
DRAWN = ("F64", "F32", "F16", "BF16")
COUNTED = ("BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of an array that holds what `name` says; bytes for what NumPy does not know."""
    if name in (*DRAWN, *COUNTED, "C64") and name != "BF16":
        return np.dtype(DTYPES[name].numpy)
    if name != "BF16":
        return np.dtype(np.uint8)
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            'tensors of dtype BF16 need ml_dtypes: pip install "fastxavier[bfloat16]"'
        ) from None
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


def unknown_dtype(name: str, dtype: Any) -> CheckpointError:
    return CheckpointError(
        f"tensor {name!r} has dtype {dtype!r}; safetensors knows {', '.join(DTYPES)}"
    )


def _checked_dtype(name: str, dtype: Any) -> str:
    known = _BY_NUMPY.get(dtype, dtype) if isinstance(dtype, str) else None
    if known not in DTYPES:
        raise unknown_dtype(name, dtype)
    return known


def natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, (list, tuple)) or not all(map(natural, shape)):
        raise CheckpointError(f"tensor {name!r} has shape {shape!r}; extents are integers from 0")
    return tuple(shape)


def checked_kind(name: str, dtype: Any, shape: Any) -> Kind:
    return _checked_dtype(name, dtype), checked_shape(name, shape)


def nbytes(name: str, dtype: str, shape: tuple[int, ...]) -> int:
    """The bytes that a tensor takes; `name` is for the error."""
    bits = DTYPES[dtype].bits
    for extent in shape:
        bits *= extent
        if bits >= 1 << 66:
            raise CheckpointError(f"tensor {name!r} of shape {shape} is beyond 2**63 bytes")
    if bits % 8:
        raise CheckpointError(f"tensor {name!r} of shape {shape} and dtype {dtype} ends in a byte")
    return bits // 8


def exchange_bytes(array: NDArray[Any]) -> None:
    """From the machine's byte order to the file's or back, in place."""
    if sys.byteorder == "big":
        array.view(f"u{array.itemsize}").byteswap(inplace=True)
