"""Dtypes and shapes of tensors, as a safetensors file has them. Every module here uses these."""

from __future__ import annotations

import operator
import sys
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastxavier._dtypes import FLOATS
from fastxavier._validation import choose_from, shown
from fastxavier.checkpoints._errors import CheckpointError

Kind: TypeAlias = tuple[str, tuple[int, ...]]
"""Dtype, by its code in safetensors, and shape of a tensor."""


class FileDtype(NamedTuple):
    """A dtype of safetensors: its width, and its name in NumPy or ml_dtypes if it has one."""

    bits: int
    numpy: str | None


_FLOATS = {row.safetensors: row for row in FLOATS.values()}


def _drawn(code: str) -> FileDtype:
    return FileDtype(8 * _FLOATS[code].itemsize, _FLOATS[code].name)


# In the order of safetensors' own list, by which its writer sorts tensors: alignment rises.
DTYPES = {
    "BOOL": FileDtype(8, "bool"),
    "F4": FileDtype(4, None),
    "F6_E2M3": FileDtype(6, None),
    "F6_E3M2": FileDtype(6, None),
    "U8": FileDtype(8, "uint8"),
    "I8": FileDtype(8, "int8"),
    "F8_E5M2": _drawn("F8_E5M2"),
    "F8_E4M3": _drawn("F8_E4M3"),
    "F8_E8M0": FileDtype(8, "float8_e8m0fnu"),
    "F8_E4M3FNUZ": FileDtype(8, "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": FileDtype(8, "float8_e5m2fnuz"),
    "I16": FileDtype(16, "int16"),
    "U16": FileDtype(16, "uint16"),
    "F16": _drawn("F16"),
    "BF16": _drawn("BF16"),
    "I32": FileDtype(32, "int32"),
    "U32": FileDtype(32, "uint32"),
    "F32": _drawn("F32"),
    "C64": FileDtype(64, "complex64"),
    "F64": _drawn("F64"),
    "I64": FileDtype(64, "int64"),
    "U64": FileDtype(64, "uint64"),
}
ALIGNMENT = {code: place for place, code in enumerate(DTYPES)}
DRAWN = tuple(_FLOATS)
"""Codes of the dtypes that can be drawn."""
COUNTED = ("I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL")
"""Codes of integers and truth values, which can be 0 or 1."""

MOST_AXES = getattr(np, "MAXDIMS", 64)
"""Of an array; NumPy 1 says it."""

# By the names that users write: the usual ones first, those without a name in NumPy last.
_CODES = {
    DTYPES[code].numpy or code: code
    for code in (*DRAWN, *COUNTED, *sorted(DTYPES, key=lambda code: DTYPES[code].numpy is None))
}
_ALSO_CALLED = {
    "fp64": "float64",
    "double": "float64",
    "fp32": "float32",
    "float": "float32",
    "single": "float32",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "long": "int64",
    "int": "int32",
}


def dtype_name(code: str) -> str:
    """The name of a dtype in NumPy or ml_dtypes; its code where arrays hold its bytes."""
    numpy = DTYPES[code].numpy
    return numpy if numpy and (code in DRAWN or "_" not in code) else code


def numpy_dtype(code: str) -> np.dtype[Any]:
    """The dtype of an array over a tensor's data; bytes where NumPy itself has no such dtype."""
    if code in _FLOATS:
        try:
            return _FLOATS[code].numpy
        except ImportError as error:
            raise ImportError(f"a tensor has dtype {code}: {error}") from None
    return np.dtype(DTYPES[code].numpy if code in (*COUNTED, "C64") else np.uint8)


def checked_code(name: str, code: Any) -> str:
    """The dtype that a file's header has for a tensor, which must be one of safetensors' codes."""
    if not isinstance(code, str) or code not in DTYPES:
        raise CheckpointError(
            f"tensor {name!r} has dtype {shown(code)}; {choose_from(code, _CODES.values())}"
        )
    return code


def _code_of(name: str, dtype: Any) -> str:
    """The code of a dtype by its name in NumPy, torch or safetensors, or of a dtype of theirs."""
    if isinstance(dtype, str):
        word = dtype
    else:
        word = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    word = str(word).removeprefix("torch.")
    if isinstance(dtype, str) and word in DTYPES:
        return word
    if word in _CODES:
        return _CODES[word]
    usual = _ALSO_CALLED.get(word.lower(), word)
    if usual.upper() in DTYPES:
        usual = DTYPES[usual.upper()].numpy or usual.upper()
    raise CheckpointError(
        f"tensor {name!r} has dtype {shown(dtype)}; {choose_from(usual, _CODES)}, "
        "or a code of safetensors such as 'F32' or 'BF16'"
    )


def natural(value: Any) -> bool:
    """Whether a value read from a file is an integer from 0 up, of at most 63 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """The shape of a tensor, which must be a list of integers from 0 up, one for each axis."""
    if not isinstance(shape, (list, tuple)) or not all(map(natural, shape)):
        raise CheckpointError(
            f"tensor {name!r} has shape {shown(shape)}; it must be a list of integers from 0 "
            "to 2**63 - 1, such as [256, 128]"
        )
    if len(shape) > MOST_AXES:
        raise CheckpointError(
            f"tensor {name!r} has {len(shape)} axes; an array has at most {MOST_AXES}"
        )
    return tuple(shape)


def checked_kind(name: str, dtype: Any, shape: Any) -> Kind:
    """Dtype and shape that a user gave for a tensor; integers may be NumPy's."""
    if isinstance(shape, (list, tuple)):
        extents = map(_python_integer, shape)
        shape = list(extents) if isinstance(shape, list) else tuple(extents)
    kind = _code_of(name, dtype), checked_shape(name, shape)
    nbytes(name, *kind)
    return kind


def _python_integer(value: Any) -> Any:
    """An integer of any library as an int; anything else as it is, truth values included."""
    if type(value).__name__ in ("bool", "bool_") or not hasattr(value, "__index__"):
        return value
    try:
        return operator.index(value)
    except TypeError:  # of an array of floats
        return value


def nbytes(name: str, dtype: str, shape: tuple[int, ...]) -> int:
    """The number of bytes of a tensor; `name` is for the error.

    A shape that no array can have is refused, also if it has an extent of 0.
    """
    bits = DTYPES[dtype].bits
    for extent in shape:
        bits *= extent or 1
        if bits >= 1 << 66:
            aside = ", but for its extents of 0" if 0 in shape else ""
            raise CheckpointError(
                f"tensor {name!r} of shape {shape} and dtype {dtype} has more than 2**63 bytes"
                f"{aside}; no array can"
            )
    if 0 in shape:
        return 0
    if bits % 8:
        raise CheckpointError(
            f"tensor {name!r} of shape {shape} and dtype {dtype} has {bits} bits, which is not a "
            "whole number of bytes"
        )
    return bits // 8


def exchange_bytes(array: NDArray[Any]) -> None:
    """Change from the machine's byte order to the file's, little-endian, or back, in place."""
    if sys.byteorder == "big":
        array.view(f"u{array.itemsize}").byteswap(inplace=True)
