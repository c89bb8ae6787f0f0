"""The fill of an array on a GPU: checks, the kernel for its distribution and dtype, the launch.

fill.py calls `fill`, and plans `PreparedFill`, for targets that lie on a GPU.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from fastxavier import _core
from fastxavier._cuda.arrays import Place, stream_handle
from fastxavier._cuda.compile import machine_code
from fastxavier._cuda.driver import CudaError, driver
from fastxavier._dtypes import FLOATS
from fastxavier._validation import ArgumentValueError
from fastxavier.distributions import Constant, Distribution, Normal
from fastxavier.structured._base import Part, PatternInitializer, StructuredInitializer
from fastxavier.structured.sparse import Sparse

__all__ = ["PreparedFill", "fill", "read"]

_ENTRIES = ("fx_contiguous", "fx_any_layout", "fx_zeros")
_kernels: dict[tuple[int, str, str], dict[str, Any]] = {}
_lock = threading.Lock()


def fill(target: _core.Target, initializer: Any, key: Any) -> None:
    """Start the fill of a target on a GPU.

    Parameters
    ----------
    target : Target
        Where it writes, and on which stream; `_core.place` has said which part of a tensor it is.
    initializer : Distribution or StructuredInitializer
        What it writes.
    key : tuple of int, or Streams
        Seed and stream of the values; or the streams from which the next is taken after all checks.

    Raises
    ------
    ImportError, RuntimeError
        If there is no driver, no compiler, or no kernel for the device.
    ValueError
        As for `fill_`, or if the memory is not on a GPU any more.
    """
    prepared = PreparedFill(target, initializer)
    prepared.start(key.take() if isinstance(key, _core.Streams) else key)


class PreparedFill:
    """A fill whose checks are made and whose kernel is loaded, to be started any number of times.

    Raises
    ------
    ImportError, RuntimeError, ValueError
        As `fill` does.
    """

    def __init__(self, target: _core.Target, initializer: Any) -> None:
        self._target, self._initializer = target, initializer
        self._place: Place = target.place
        self._device: int | None = None
        if not isinstance(initializer, Distribution):
            initializer.check(_layout(target), None, target.global_shape, target.offset)
        calls = self._calls((0, 0))  # with its checks of the arguments
        if not target.nbytes:
            return
        self._device = _device_of(target)
        if not calls and not _is_contiguous(target):
            raise ArgumentValueError(
                f"array of shape {target.shape} is not contiguous; the values of {initializer!r} "
                "are computed on the CPU and copied to a GPU, into a contiguous array only",
                "array",
            )
        for call in calls:
            _kernel(self._device, call, self._place.stream)

    def start(self, key: tuple[int, int], cuda_stream: Any = None) -> None:
        """Start it, with a seed and a stream of values; on another CUDA stream if one is given."""
        if self._device is None:
            return
        now = self._place.stream_now
        stream = now() if cuda_stream is None else stream_handle(cuda_stream)
        calls = self._calls(key)
        for call in calls:
            if call.entry is not None:
                kernel = _kernel(self._device, call, stream)[call.entry]
                driver().launch(self._device, kernel, call.grid, call.threads, call.launch, stream)
        if not calls:
            self._copy(self._initializer, key, stream)
        self._target.written()

    @property
    def nbytes(self) -> int:
        """The bytes that it writes."""
        return self._target.nbytes

    def _calls(self, key: tuple[int, int]) -> list[_core.DeviceCall]:
        """The launches, in order; none if the values are computed on the CPU."""
        target, initializer = self._target, self._initializer
        if isinstance(initializer, Distribution):
            return [_core.device_call(target, initializer, *key)]
        if not target.nbytes:
            return []
        part = Part(_layout(target), target.global_shape, target.offset)
        if isinstance(initializer, PatternInitializer):  # zeros, and places of equal steps
            gain = Constant(initializer.gain)
            ones = [_core.lattice(target, *lattice) for lattice in initializer.lattices(part)]
            cleared = _core.device_call(target, Constant(0.0), *key)
            return [cleared, *(_core.device_call(one, gain, *key) for one in ones)]
        if isinstance(initializer, Sparse):
            values = _core.device_call(target, Normal(0.0, initializer.std), *key)
            first, zeros = initializer.numbers(part)
            return [values, *([_core.device_zeros(target, first, zeros, *key)] if zeros else [])]
        return []

    def _copy(self, initializer: StructuredInitializer, key: tuple[int, int], stream: int) -> None:
        """What is computed on the CPU."""
        target = self._target
        assert self._device is not None
        if driver().is_capturing(self._device, stream):
            raise ArgumentValueError(
                f"{initializer!r} is computed on the CPU, which a CUDA graph cannot capture; fill "
                "the array outside of the capture",
                "distribution",
                initializer,
            )
        values = np.empty(target.shape, FLOATS[target.dtype].numpy)
        initializer.write(values, key, None, target.global_shape, target.offset)
        driver().copy(self._device, target.address, values, stream)


def _layout(target: _core.Target) -> Any:
    """A NumPy array with the target's shape, strides and dtype, whose values must not be read."""
    dtype = FLOATS[target.dtype].numpy
    return np.asarray(target).view(dtype) if target.nbytes else np.empty(target.shape, dtype)


def _is_contiguous(target: _core.Target) -> bool:
    return bool(_layout(target).flags.c_contiguous)


def _device_of(target: _core.Target) -> int:
    """The GPU on which the target's memory lies; ValueError if it lies on none."""
    place: Place = target.place
    nvidia = driver()
    device = nvidia.device_of(target.address) if place.device is None else place.device
    if device is None:
        raise ArgumentValueError(
            f"array of shape {target.shape} has no memory on a GPU at {target.address:#x}: it has "
            "been freed, or belongs to another kind of device",
            "array",
        )
    return device


def _kernel(device: int, call: _core.DeviceCall, stream: int) -> dict[str, Any]:
    """The kernels of a distribution and a dtype, by entry; loaded when first asked for."""
    wanted = device, call.distribution, call.name
    found = _kernels.get(wanted)
    if found is not None:
        return found
    with _lock:
        found = _kernels.get(wanted)
        if found is None:
            found = _kernels[wanted] = _loaded(device, call, stream)
    return found


def _loaded(device: int, call: _core.DeviceCall, stream: int) -> dict[str, Any]:
    nvidia = driver()
    if nvidia.is_capturing(device, stream):
        raise RuntimeError(
            f"the kernel for {call.distribution} {call.name} is not loaded yet, which it cannot be "
            "while a CUDA graph is captured; fill an array with it once before the capture"
        )
    nvidia.check_version()
    what = call.distribution, call.name, len(call.launch), nvidia.architecture(device)
    try:
        return nvidia.load(device, machine_code(*what), _ENTRIES)
    except CudaError:  # of an entry of the cache, perhaps
        return nvidia.load(device, machine_code(*what, fresh=True), _ENTRIES)


def read(target: _core.Target) -> Any:
    """The values of a target on a GPU, as an array of NumPy in CPU memory."""
    if not target.nbytes:
        return np.empty(target.shape, FLOATS[target.dtype].numpy)
    view = _layout(target)
    (low,), (high,) = _core.spans([target])
    memory = np.empty(high - low, np.uint8)
    place: Place = target.place
    driver().copy_back(_device_of(target), memory, int(low), place.stream)
    first = target.address - int(low)
    return np.ndarray(view.shape, view.dtype, memory, first, view.strides)
