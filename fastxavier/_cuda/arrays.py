"""What arrays on a GPU export: their memory, and the stream on which a fill has to run.

_core asks for it in `target_of`. Nothing here calls the driver.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from fastxavier._dtypes import FLOATS
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, integer, shown

__all__ = [
    "LEGACY_STREAM",
    "Memory",
    "Place",
    "dlpack_place",
    "interface_memory",
    "stream_handle",
    "tensor_memory",
]

LEGACY_STREAM = 1  # the default stream, as CUDA, DLPack and the array interface all number it
_DLPACK_CUDA = (2, 13)  # memory of a GPU, and memory that CUDA moves between CPU and GPUs


class Place(NamedTuple):
    """Where a fill runs."""

    device: int | None
    """Number of the GPU; None: the driver is asked where the memory lies."""
    stream: int
    """The stream's handle."""
    torch_device: Any = None
    """A torch device whose current stream it was, which another call may find changed."""

    def stream_now(self) -> int:
        """The stream of a fill that starts now."""
        if self.torch_device is None:
            return self.stream
        return stream_handle(sys.modules["torch"].cuda.current_stream(self.torch_device))


class Memory(NamedTuple):
    """Memory on a GPU."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    """In bytes; None in C order."""
    dtype: str
    place: Place


def stream_handle(stream: Any) -> int:
    """The handle of a stream, given as a number or as an object of CUDA's, torch's or CuPy's.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        stream = (protocol() if callable(protocol) else protocol)[1]
    else:
        for attribute in ("cuda_stream", "ptr"):  # of torch and of CuPy
            if isinstance(getattr(stream, attribute, None), int):
                stream = getattr(stream, attribute)
                break
    otherwise = "(a stream's handle), or a stream of cuda.core, torch or CuPy"
    handle = integer("cuda_stream", stream, 0, (1 << 64) - 1, otherwise)
    return handle or LEGACY_STREAM


def tensor_memory(tensor: Any, stream: Any = None) -> Memory:
    """The memory of a torch tensor on a GPU, and torch's current stream there."""
    torch = sys.modules["torch"]
    if torch.version.hip is not None:
        raise ArgumentValueError(
            "array is a torch tensor on an AMD GPU; it must be on 'cpu' or on an NVIDIA GPU",
            "array",
            tensor,
        )
    follows = tensor.device if stream is None else None
    if stream is None:
        stream = torch.cuda.current_stream(tensor.device)
    itemsize = tensor.element_size()
    return Memory(
        tensor.data_ptr(),
        tuple(tensor.shape),
        tuple(stride * itemsize for stride in tensor.stride()),
        str(tensor.dtype).removeprefix("torch."),
        Place(tensor.device.index, stream_handle(stream), follows),
    )


def interface_memory(array: Any, interface: Any, stream: Any = None) -> Memory:
    """The memory that an array exports by its ``__cuda_array_interface__``."""
    try:
        address, read_only = interface["data"]
        shape = tuple(map(int, interface["shape"]))
        strides = interface.get("strides")
        strides = None if strides is None else tuple(map(int, strides))
        dtype = _dtype_of(interface["typestr"], array)
        own_stream = interface.get("stream")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ArgumentTypeError):
            raise
        raise ArgumentTypeError(
            f"array is {a_type(array)} whose __cuda_array_interface__ is {shown(interface)}; it "
            "must be as version 3 of that interface defines it",
            "array",
            array,
        ) from error
    if strides is not None and len(strides) != len(shape):
        raise ArgumentValueError(
            f"array of shape {shape} exports the strides {strides}; they must be as many",
            "array",
            array,
        )
    if read_only or type(array).__module__.partition(".")[0] in ("jax", "jaxlib"):
        raise ArgumentValueError("array is read-only; it must be writable", "array", array)
    if interface.get("mask") is not None:
        raise ArgumentTypeError(
            f"array is {a_type(array)} with a mask, which would be ignored; give it without",
            "array",
            array,
        )
    if stream is None:
        stream = LEGACY_STREAM if own_stream is None else own_stream
    return Memory(int(address or 0), shape, strides, dtype, Place(None, stream_handle(stream)))


def _dtype_of(typestr: str, array: Any) -> str:
    """The name of a dtype in `FLOATS`. Those that NumPy lacks have no kind."""
    kind, size = typestr[1:2], int(typestr[2:])
    if kind == "f" and size > 1:
        name = f"float{8 * size}"
    else:
        name = str(getattr(array, "dtype", "")) if kind in ("V", "u", "f") else ""
    if name not in FLOATS or FLOATS[name].itemsize != size:
        found = name or typestr
        raise ArgumentTypeError(
            f"array has dtype {found}; it must be one of {', '.join(FLOATS)}",
            "array",
            found,
            FLOATS,
        )
    if typestr[:1] not in "<|=":
        raise ArgumentTypeError(
            f"array has dtype {typestr}; its bytes must be in this machine's order",
            "array",
            typestr,
        )
    return name


def dlpack_place(array: Any, stream: Any = None) -> Place | None:
    """Where a fill of an array runs that exports DLPack; None if it is not on an NVIDIA GPU.

    The producer orders what it has done before the stream, which it is told.
    """
    device = getattr(array, "__dlpack_device__", None)
    if device is None:
        return None
    kind, number = device()
    if int(kind) not in _DLPACK_CUDA:
        return None
    return Place(int(number), stream_handle(LEGACY_STREAM if stream is None else stream))
