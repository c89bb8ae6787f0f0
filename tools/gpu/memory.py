"""Arrays, streams and graphs on a GPU, by NVIDIA's driver alone; checks.py and speed.py use them.

No framework is needed to test the bits.
"""

import numpy as np
from cuda.bindings import driver as cuda

from fastxavier import _core
from fastxavier._cuda.driver import driver


def call(function, *arguments):
    """The result of one of the driver's functions; RuntimeError with its status otherwise."""
    status, *results = function(*arguments)
    if int(status):
        raise RuntimeError(f"{function.__name__}: {status.name}")
    return results[0] if len(results) == 1 else tuple(results)


def use(device):
    """Make a device the current one, with the context that frameworks use too."""
    driver()
    handle = call(cuda.cuDeviceGet, device)
    call(cuda.cuCtxSetCurrent, call(cuda.cuDevicePrimaryCtxRetain, handle))


def count():
    """How many devices there are."""
    driver()
    return call(cuda.cuDeviceGetCount)


def synchronize():
    """Wait for all that the current device has begun."""
    call(cuda.cuCtxSynchronize)


class Array:
    """Memory on the current device with the shape, strides and dtype of a NumPy array.

    It has as many bytes as the array spans, from its first to its last, filled with `byte`.
    """

    def __init__(self, like, stream=None, byte=0xA5):
        (low,), (high,) = _core.spans([like])
        self.like, self.first = like, int(like.ctypes.data - low) if like.size else 0
        self.nbytes, self.stream = int(high - low), stream
        self.memory = int(call(cuda.cuMemAlloc, max(self.nbytes, 1)))
        call(cuda.cuMemsetD8, self.memory, byte, max(self.nbytes, 1))

    @property
    def dtype(self):
        return self.like.dtype

    @property
    def __cuda_array_interface__(self):
        return {
            "version": 3,
            "shape": self.like.shape,
            "typestr": self.like.dtype.str,
            "data": (self.memory + self.first, False),
            "strides": self.like.strides,
            "stream": self.stream,
        }

    def seen_as(self, dtype):
        """The same memory as an array of one axis and of another dtype."""
        view = object.__new__(Array)
        view.__dict__.update(self.__dict__, like=self.like.view(dtype))
        return view

    def bytes(self):
        """All bytes, gaps included, once the device has done what it was told."""
        synchronize()
        found = np.empty(self.nbytes, np.uint8)
        if self.nbytes:
            call(cuda.cuMemcpyDtoH, found.ctypes.data, self.memory, self.nbytes)
        return found

    def values(self):
        """The values as an array of NumPy."""
        return np.ndarray(
            self.like.shape, self.like.dtype, self.bytes(), self.first, self.like.strides
        )

    def free(self):
        """Give the memory back."""
        call(cuda.cuMemFree, self.memory)


def new_stream():
    """The handle of a stream that does not wait for the default one."""
    return int(call(cuda.cuStreamCreate, int(cuda.CUstream_flags.CU_STREAM_NON_BLOCKING)))


class Graph:
    """What `work` launches on a stream, captured."""

    def __init__(self, stream, work):
        self.stream = stream
        call(
            cuda.cuStreamBeginCapture,
            stream,
            cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
        )
        work()
        self.executable = call(cuda.cuGraphInstantiate, call(cuda.cuStreamEndCapture, stream), 0)

    def launch(self):
        """Run it on the stream."""
        call(cuda.cuGraphLaunch, self.executable, self.stream)


REPETITIONS = 7


def seconds(work, stream):
    """The least time that `work` takes on the device, by events, after one run for warmth."""
    times = []
    for _ in range(REPETITIONS + 1):
        begin, end = call(cuda.cuEventCreate, 0), call(cuda.cuEventCreate, 0)
        call(cuda.cuEventRecord, begin, stream)
        work()
        call(cuda.cuEventRecord, end, stream)
        call(cuda.cuEventSynchronize, end)
        times.append(call(cuda.cuEventElapsedTime, begin, end) / 1e3)
    return min(times[1:])


def set_words(array, stream):
    """The driver's memset of four-byte words, with whose speed fills are compared."""
    call(cuda.cuMemsetD32Async, array.memory, 0, array.nbytes // 4, stream)


def free_bytes():
    """Bytes of the current device that are free."""
    return call(cuda.cuMemGetInfo)[0]


def same_bytes(one, other):
    """Whether two arrays of NumPy hold the same bits, whatever their strides."""
    one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
    return one.nbytes == other.nbytes and one.tobytes() == other.tobytes()
