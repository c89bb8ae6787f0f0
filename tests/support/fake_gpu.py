"""A driver without a GPU: CPU memory as its memory, and kernels that cuda_host.py has compiled.

For tests of what happens around a launch: arguments, streams, models, errors. Kernels run at once,
and the driver remembers on which stream.
"""

import ctypes

import cuda_host
import numpy as np

from fastxavier._cuda import compile as compiling
from fastxavier._cuda import launch


class Driver:
    """The methods of `fastxavier._cuda.driver.Driver`."""

    def __init__(self):
        self.launches, self.capturing, self.freed = [], False, False
        self.loads, self.broken = [], 0

    def check_version(self):
        pass

    def architecture(self, device):
        return "sm_90"

    def device_of(self, address):
        return None if self.freed else 0

    def load(self, device, code, entries):
        if self.broken:
            self.broken -= 1
            raise launch.CudaError("CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid")
        distribution, name, size = code.decode().split()
        self.loads.append((device, distribution, name))
        run = cuda_host.kernels(distribution, name, int(size))
        return {entry: (run, entry.encode()) for entry in entries}

    def launch(self, device, kernel, grid, threads, parameter, stream):
        run, entry = kernel
        self.launches.append((device, stream))
        run(entry, parameter, grid)

    def is_capturing(self, device, stream):
        return self.capturing

    def copy(self, device, address, values, stream):
        self.launches.append((device, stream))
        ctypes.memmove(address, values.ctypes.data, values.nbytes)

    def copy_back(self, device, values, address, stream):
        ctypes.memmove(values.ctypes.data, address, values.nbytes)


def install(monkeypatch):
    """Put a driver in the place of NVIDIA's, and a compiler in the place of NVRTC."""
    driver = Driver()
    asked = []

    def machine_code(distribution, name, launch_size, arch, *, fresh=False):
        asked.append(fresh)
        return f"{distribution} {name} {launch_size}".encode()

    driver.asked = asked
    monkeypatch.setattr(launch, "driver", lambda: driver)
    monkeypatch.setattr(launch, "machine_code", machine_code)
    monkeypatch.setattr(launch, "_kernels", {})
    assert compiling.machine_code is not machine_code
    return driver


class Array:
    """Memory with ``__cuda_array_interface__``, as CuPy's and Numba's arrays have it."""

    def __init__(self, array, **changes):
        self.array, self.changes = array, changes

    @property
    def dtype(self):
        return self.array.dtype

    @property
    def __cuda_array_interface__(self):
        interface = {
            "version": 3,
            "shape": self.array.shape,
            "typestr": self.array.dtype.str,
            "data": (self.array.ctypes.data, False),
            "strides": None if self.array.flags.c_contiguous else self.array.strides,
            "stream": None,
        }
        return {**interface, **self.changes}


class DLPack:
    """Memory with DLPack alone, on GPU number `device`."""

    def __init__(self, array, device=0, versioned=True):
        self.array, self.device, self.versioned = array, device, versioned
        self.asked = []

    def __dlpack_device__(self):
        return 2, self.device

    def __dlpack__(self, *, stream=None, max_version=None):
        if max_version is not None and not self.versioned:
            raise TypeError("max_version")
        self.asked.append(stream)
        capsule = self.array.__dlpack__(max_version=max_version)
        name = b"dltensor_versioned" if self.versioned else b"dltensor"
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.argtypes, pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
        # After version, context, deleter and flags, or at once, the tensor: its data, its device.
        at = pointer(capsule, name) + (32 if self.versioned else 0) + 8
        np.ctypeslib.as_array((ctypes.c_int32 * 2).from_address(at))[:] = 2, self.device
        return capsule
