"""The calls of NVIDIA's driver: devices, memory, kernels and their launch.

launch.py makes them, through the one `Driver` of a process; tests put another in its place.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from fastxavier._cuda.compile import EXTRA, architecture, nvrtc_version

__all__ = ["CudaError", "Driver", "driver"]


class CudaError(RuntimeError):
    """What the driver reports, with the name that CUDA gives to it."""


class Driver:
    """NVIDIA's driver, with its devices.

    Raises
    ------
    ImportError
        If cuda-core is not installed.
    RuntimeError
        If there is no driver or no device, or the driver is older than the compiler of the kernels.
    """

    def __init__(self) -> None:
        try:
            from cuda.bindings import driver as cuda
        except ImportError:
            raise ImportError(f"arrays on a GPU need cuda-core: {EXTRA}") from None
        self._cuda = cuda
        self._contexts: dict[int, Any] = {}
        try:
            self._call(cuda.cuInit, 0)
        except CudaError as error:
            raise RuntimeError(
                f"the NVIDIA driver finds no GPU to use: {error}; nvidia-smi should list one"
            ) from error
        except RuntimeError as error:  # of the binding: there is no libcuda
            raise RuntimeError(
                "no NVIDIA driver was found: install one, or in a container give it the GPUs "
                "(docker run --gpus all)"
            ) from error

    def _call(self, function: Any, *arguments: Any) -> Any:
        """The results of a call; CudaError if the driver reports one."""
        status, *results = function(*arguments)
        if int(status):
            text = self._cuda.cuGetErrorString(status)[1]
            explained = text.decode() if isinstance(text, bytes) else "no explanation"
            raise CudaError(f"{status.name}: {explained}")
        return results[0] if len(results) == 1 else tuple(results)

    @property
    def version(self) -> tuple[int, int]:
        """The newest CUDA that the driver knows."""
        number = self._call(self._cuda.cuDriverGetVersion)
        return number // 1000, number % 1000 // 10

    def check_version(self) -> None:
        """RuntimeError if the driver is older than NVRTC's machine code asks for."""
        compiler = nvrtc_version()
        if self.version[0] < compiler[0]:
            has, needs = (".".join(map(str, one)) for one in (self.version, compiler))
            raise RuntimeError(
                f"the NVIDIA driver knows CUDA up to {has}, and the kernels are compiled by CUDA "
                f"{needs}; update the driver"
                + (', or pip install "fastxavier[cuda12]"' if self.version[0] == 12 else "")
            )

    def devices(self) -> list[str]:
        """The name and the compute capability of each device."""
        found = []
        for number in range(self._call(self._cuda.cuDeviceGetCount)):
            handle = self._call(self._cuda.cuDeviceGet, number)
            name = self._call(self._cuda.cuDeviceGetName, 256, handle)
            text = name.split(b"\0")[0].decode()
            found.append(
                f"{text} (compute capability {'.'.join(map(str, self._capability(number)))})"
            )
        return found

    def _capability(self, device: int) -> tuple[int, int]:
        attribute = self._cuda.CUdevice_attribute
        handle = self._call(self._cuda.cuDeviceGet, device)
        return (
            self._call(
                self._cuda.cuDeviceGetAttribute,
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                handle,
            ),
            self._call(
                self._cuda.cuDeviceGetAttribute,
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                handle,
            ),
        )

    def architecture(self, device: int) -> str:
        """The device's architecture, such as "sm_90"; RuntimeError without a compiler for it."""
        return architecture(*self._capability(device))

    def device_of(self, address: int) -> int | None:
        """The device on which memory lies; None if CUDA has allocated none there."""
        attribute = self._cuda.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        try:
            number = int(self._call(self._cuda.cuPointerGetAttribute, attribute, address))
        except CudaError:
            return None
        return None if number < 0 else number

    @contextmanager
    def _current(self, device: int) -> Iterator[None]:
        """The device's primary context, which frameworks use too, as the thread's own meanwhile."""
        if device not in self._contexts:
            handle = self._call(self._cuda.cuDeviceGet, device)
            self._contexts[device] = self._call(self._cuda.cuDevicePrimaryCtxRetain, handle)
        self._call(self._cuda.cuCtxPushCurrent, self._contexts[device])
        try:
            yield
        finally:
            self._call(self._cuda.cuCtxPopCurrent)

    def load(self, device: int, code: bytes, entries: tuple[str, ...]) -> dict[str, Any]:
        """Kernels of a cubin, ready to be launched on a device. They stay loaded."""
        with self._current(device):
            library = self._call(self._cuda.cuLibraryLoadData, code, [], [], 0, [], [], 0)
            return {
                entry: self._call(
                    self._cuda.cuKernelGetFunction,  # which also loads what is loaded lazily
                    self._call(self._cuda.cuLibraryGetKernel, library, entry.encode()),
                )
                for entry in entries
            }

    def launch(
        self, device: int, kernel: Any, grid: int, threads: int, parameter: bytes, stream: int
    ) -> None:
        """Start a kernel on a stream. Its parameter is copied before this returns."""
        held = ctypes.create_string_buffer(parameter, len(parameter))
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(held))
        with self._current(device):
            self._call(
                self._cuda.cuLaunchKernel,
                *(kernel, grid, 1, 1, threads, 1, 1, 0, stream),
                *(ctypes.addressof(pointers), 0),
            )

    def is_capturing(self, device: int, stream: int) -> bool:
        """Whether what is launched on the stream becomes part of a graph."""
        with self._current(device):
            status = self._call(self._cuda.cuStreamIsCapturing, stream)
        return bool(int(status))

    def copy(self, device: int, address: int, values: Any, stream: int) -> None:
        """Copy a contiguous NumPy array to the device, on a stream."""
        with self._current(device):
            self._call(
                self._cuda.cuMemcpyHtoDAsync, address, values.ctypes.data, values.nbytes, stream
            )

    def copy_back(self, device: int, values: Any, address: int, stream: int) -> None:
        """Copy from the device to a contiguous NumPy array, after the stream's earlier work."""
        with self._current(device):
            self._call(
                self._cuda.cuMemcpyDtoHAsync, values.ctypes.data, address, values.nbytes, stream
            )
            self._call(self._cuda.cuStreamSynchronize, stream)


@cache
def driver() -> Driver:
    """The driver of this process; errors as of `Driver`."""
    return Driver()
