"""The tensors of a safetensors file as arrays over its map."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxavier.checkpoints._dtypes import DTYPES, exchange_bytes, numpy_dtype
from fastxavier.checkpoints._header import PathLike, Tensor, read_header


def mapped(path: PathLike) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file as read-only arrays, which are read as they are used.

    A tensor of a dtype that NumPy does not know (of 8 bits or fewer) comes as its bytes. On a
    big-endian machine dtypes are little-endian, as the file is; BF16 cannot be, and is a copy.

    Raises
    ------
    CheckpointError, OSError
        As `read_header` does.
    ImportError
        If the file holds BF16 and ml_dtypes is not there.
    """
    header = read_header(path)
    memory = np.memmap(path, np.uint8, "r")
    views = {name: view_of(memory, header.start, tensor) for name, tensor in header.tensors.items()}
    return views if sys.byteorder == "little" else {n: _as_read(v) for n, v in views.items()}


def _as_read(view: NDArray[Any]) -> NDArray[Any]:
    """What a file holds there, read by a big-endian machine."""
    if view.dtype.isbuiltin == 1:
        return view.view(view.dtype.newbyteorder("<"))
    copy = view.copy()
    exchange_bytes(copy)
    copy.flags.writeable = False
    return copy


def view_of(memory: Any, start: int, tensor: Tensor) -> NDArray[Any]:
    dtype = numpy_dtype(tensor.dtype)
    whole = dtype.itemsize * 8 == DTYPES[tensor.dtype].bits
    shape = tensor.shape if whole else (tensor.nbytes,)
    if not tensor.nbytes:  # may lie at the end of the map, where no array may begin
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memory, start + tensor.begin)
