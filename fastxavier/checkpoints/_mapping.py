"""The tensors of a safetensors file as arrays over a memory map. `_init` fills such arrays."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxavier.checkpoints._dtypes import DTYPES, exchange_bytes, numpy_dtype
from fastxavier.checkpoints._header import PathLike, Tensor, read_header


def mapped(path: PathLike) -> dict[str, NDArray[Any]]:
    """Map a safetensors file into memory: its tensors as arrays, read as they are used.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict
        Names and read-only arrays. A dtype of 8 bits or fewer that is not drawn comes as
        the tensor's bytes, an array of uint8 with one axis. On a big-endian machine the arrays
        are little-endian, as the file is; those of ml_dtypes are copied.

    Raises
    ------
    CheckpointError, OSError
        As `read_header` raises them.
    ImportError
        If the file has a tensor of BF16, F8_E4M3 or F8_E5M2 and ml_dtypes is not installed.
    """
    header = read_header(path)
    memory = np.memmap(path, np.uint8, "r")
    views = {name: view_of(memory, header.start, one) for name, one in header.tensors.items()}
    if sys.byteorder == "little":
        return views
    return {name: _in_native_order(view) for name, view in views.items()}


def _in_native_order(view: NDArray[Any]) -> NDArray[Any]:
    """The values of a little-endian view, for a big-endian machine."""
    if view.dtype.isbuiltin == 1:
        return view.view(view.dtype.newbyteorder("<"))
    copy = view.copy()
    exchange_bytes(copy)
    copy.flags.writeable = False
    return copy


def view_of(memory: Any, start: int, tensor: Tensor) -> NDArray[Any]:
    """The array over a tensor's data, which begin `start` bytes into the file."""
    dtype = numpy_dtype(tensor.dtype)
    same_width = dtype.itemsize * 8 == DTYPES[tensor.dtype].bits
    shape = tensor.shape if same_width else (tensor.nbytes,)
    if not tensor.nbytes:  # it may begin at the end of the map, where no array may
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memory, start + tensor.begin)
