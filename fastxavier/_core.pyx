# cython: language_level=3, freethreading_compatible=True, boundscheck=False, wraparound=False
"""The binding: an array is checked, the GIL dropped, one C function called, its status raised."""

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyObject_CheckBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport (
    PyCapsule_GetPointer,
    PyCapsule_IsValid,
    PyCapsule_New,
    PyCapsule_SetName,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastxavier cimport c_fastxavier as c

import os
import sys
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fastxavier._cuda.arrays import dlpack_place, interface_memory, tensor_memory
from fastxavier._dtypes import FLOATS
from fastxavier._torch import increment_version, increment_versions, is_tensor, strided_memory
from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    instead_of_array,
    integer,
    integers,
    of_tensor,
    shown,
)

cnp.import_array()


# ---- floating-point environment --------------------------------------------------------------


cdef extern from "fpenv.h" nogil:
    ctypedef struct fp_state:
        pass
    fp_state fp_enter()
    void fp_leave(fp_state)


cdef extern from *:
    """
    #include <math.h>
    /* Where it stands between fp_enter and fp_leave, whatever a compiler may move. */
    static double fma_here(double x, double y, double z)
    {
        const volatile double first = x;
        const volatile double sum = fma(first, y, z);
        return sum;
    }
    """
    double fma_here(double, double, double) nogil


cdef class round_to_nearest:
    """While it is entered, Python's floats round as the stream needs, whatever mode is set."""

    cdef fp_state callers

    def __enter__(self):
        self.callers = fp_enter()

    def __exit__(self, *exception):
        fp_leave(self.callers)


# ---- distributions ---------------------------------------------------------------------------


cdef class DistributionBase:
    """The C side of a distribution. Made by the functions below it, then never changed."""

    cdef c.fx_distribution distribution

    @property
    def _parameters(self):
        """Location and scale: mean and std of the (parent) normal, low and high of a uniform, a
        constant and 0."""
        return self.distribution.location, self.distribution.scale

    @property
    def _moments(self):
        """Mean and variance at location 0 and scale 1; of a uniform itself."""
        return self.distribution.mean, self.distribution.variance

    @property
    def _truncation(self):
        """Bounds in units of the scale."""
        return self.distribution.low, self.distribution.high

    @property
    def _bounds(self):
        """Bounds of a normal, truncated or not, rounded once as its drawn values are."""
        cdef double location = self.distribution.location, scale = self.distribution.scale
        if scale == 0:
            return location, location
        cdef fp_state callers = fp_enter()
        cdef double low = fma_here(scale, self.distribution.low, location)
        cdef double high = fma_here(scale, self.distribution.high, location)
        fp_leave(callers)
        return low, high


cdef int made(c.fx_status status) except -1:
    if status != c.FX_OK:
        raise ArgumentValueError(c.fx_message(status).decode())
    return 0


def make_constant(cls, double value):
    cdef DistributionBase self = DistributionBase.__new__(cls)
    made(c.fx_constant(&self.distribution, value))
    return self


def make_uniform(cls, double low, double high):
    cdef DistributionBase self = DistributionBase.__new__(cls)
    made(c.fx_uniform(&self.distribution, low, high))
    return self


def make_normal(cls, double mean, double std):
    cdef DistributionBase self = DistributionBase.__new__(cls)
    made(c.fx_normal(&self.distribution, mean, std))
    return self


def make_truncated_normal(cls, double mean, double std, double low, double high):
    cdef DistributionBase self = DistributionBase.__new__(cls)
    made(c.fx_truncated_normal(&self.distribution, mean, std, low, high))
    return self


def make_rescaled(cls, DistributionBase distribution, double mean, double std):
    """The same truncation of another normal: its moments need not be computed again."""
    cdef DistributionBase self = DistributionBase.__new__(cls)
    self.distribution = distribution.distribution
    made(c.fx_rescaled(&self.distribution, mean, std))
    return self


# ---- streams ---------------------------------------------------------------------------------


cdef class Streams:
    """A seed and its numbered streams, each of them handed out once, whatever the threads."""

    cdef uint64_t _seed, _next

    def __init__(self, uint64_t seed):
        self.restart(seed)

    def restart(self, uint64_t seed):
        with cython.critical_section(self):
            self._seed = seed
            self._next = 0

    def take(self):
        """The seed and its next stream."""
        with cython.critical_section(self):
            seed, stream = self._seed, self._next
            self._next += 1
        return seed, stream

    @property
    def seed(self):
        return self._seed


# ---- arrays ----------------------------------------------------------------------------------

include "_target.pxi"


# ---- filling ---------------------------------------------------------------------------------


cdef extern from "Python.h":
    # Declared to raise nothing: what a signal handler raises is left set for raise_pending.
    int run_signal_handlers "PyErr_CheckSignals"() noexcept


cdef class Watch:
    """Who is told how far a fill has come, and what came of telling."""

    cdef object progress, error

    cdef int tell(self, double done) noexcept:
        try:
            self.progress(done)
        except BaseException as error:
            self.error = error
            return 1
        return 0


cdef int poll_python(void *watch, double done) noexcept nogil:
    cdef int stop
    with gil:
        stop = run_signal_handlers()
        if not stop and watch != NULL:
            stop = (<Watch>watch).tell(done)
    return stop


cdef int raise_pending() except -1:
    """The exception that a signal handler has raised is set already."""
    return -1


cdef int refused(c.fx_status status, Target target, DistributionBase distribution) except -1:
    message, argument = c.fx_message(status).decode(), "array"
    shape, global_shape, offset = target.shape, target.global_shape, target.offset
    if status == c.FX_ERROR_ISA:
        check_isa()
    elif status == c.FX_ERROR_OVERLAP:
        strides = tuple(target.strides[i] for i in range(target.array.ndim))
        message = (
            f"array of shape {shape} has strides {strides}: elements of it share memory; each must "
            "have its own"
        )
    elif status == c.FX_ERROR_SHARD:
        argument = "global_shape" if target.array.offset == NULL else "offset"
        message = (
            f"array of shape {shape} at offset {offset} does not lie inside global_shape "
            f"{global_shape}"
        )
    elif status == c.FX_ERROR_SHAPE:
        message = (
            f"array of shape {shape} in global_shape {global_shape} has more than 2**62 elements, or "
            "spans more bytes than there can be"
        )
    elif status == c.FX_ERROR_RANGE:
        argument = "distribution"
        message = (
            f"{distribution!r} reaches values beyond the largest {DTYPE_NAMES[target.array.dtype]}; "
            "a smaller scale is needed"
        )
    elif status == c.FX_ERROR_EMPTY:
        argument = "distribution"
        message = f"{distribution!r} has no number of the array's dtype within its bounds"
    given = {"global_shape": global_shape, "offset": offset, "distribution": distribution}
    raise ArgumentValueError(message, argument, given.get(argument))


cdef int SMALL = 4096  # bytes below which dropping the GIL would cost more than the fill


cdef int thread_count(threads) except -1:
    return 0 if threads is None else min(integer("threads", threads, 1, otherwise="or None"), 1 << 16)


def check(array, DistributionBase distribution, global_shape, offset, threads):
    """What `fill` would write to; its errors for what `fill` would refuse. Nothing is written."""
    cdef Target target = target_of(array)
    cdef c.fx_options options
    place(target, global_shape, offset)
    options.threads = thread_count(threads)
    options.poll = NULL
    status = c.fx_check(&target.array, &distribution.distribution, &options)
    if status != c.FX_OK:
        refused(status, target, distribution)
    return target


def fill(array, distribution_, key, global_shape, offset, threads, cuda_stream=None):
    """Fill `array`; `key` is (seed, stream), or Streams to take one of once all checks have passed."""
    if not isinstance(distribution_, DistributionBase):
        raise ArgumentTypeError(
            f"distribution is {shown(distribution_)}; it must be a Distribution",
            "distribution",
            distribution_,
        )
    cdef DistributionBase distribution = distribution_
    cdef Target target = target_of(array, cuda_stream)
    cdef c.fx_options options
    cdef c.fx_status status
    cdef uint64_t seed, stream
    cdef int64_t bytes_ = c.fx_itemsize(target.array.dtype)
    cdef int i
    if global_shape is not None or offset is not None:
        place(target, global_shape, offset)
    options.threads = thread_count(threads)
    if target.place is not None:
        from fastxavier._cuda.launch import fill as fill_on_device

        fill_on_device(target, distribution, key)
        return
    options.poll = poll_python
    options.poll_argument = NULL
    if isinstance(key, Streams):
        status = c.fx_check(&target.array, &distribution.distribution, &options)
        if status != c.FX_OK:
            refused(status, target, distribution)
        key = (<Streams>key).take()
    seed, stream = key
    for i in range(target.array.ndim):
        bytes_ *= target.extents[i]
        if bytes_ > SMALL:
            break
    if bytes_ <= SMALL:
        status = c.fx_fill(&target.array, &distribution.distribution, seed, stream, &options)
    else:
        with nogil:
            status = c.fx_fill(&target.array, &distribution.distribution, seed, stream, &options)
    if status == c.FX_INTERRUPTED:
        try:
            raise_pending()
        finally:
            target.written()
    if status != c.FX_OK:
        refused(status, target, distribution)
    if target.tensor is not None:
        target.written()


def fill_each(cnp.ndarray arrays, DistributionBase distribution, seeds, uint64_t stream):
    """Fill each array along the first axis, without gaps between them, as `fill` does by its seed."""
    cdef cnp.ndarray numbers = np.ascontiguousarray(seeds, np.uint64)
    cdef int64_t count = numbers.shape[0], i, step
    cdef const uint64_t *seed = <const uint64_t *>cnp.PyArray_DATA(numbers)
    cdef c.fx_options options
    cdef c.fx_status status = c.FX_OK
    cdef Target target
    if count == 0 or arrays.size == 0:
        return
    target = target_of(arrays[(0, ...)])
    options.threads = 0
    options.poll = poll_python
    options.poll_argument = NULL
    step = cnp.PyArray_STRIDE(arrays, 0)
    with nogil:
        for i in range(count):
            status = c.fx_fill(&target.array, &distribution.distribution, seed[i], stream, &options)
            if status != c.FX_OK:
                break
            target.array.data = <char *>target.array.data + step
    if status == c.FX_INTERRUPTED:
        raise_pending()
    if status != c.FX_OK:
        refused(status, target, distribution)


cdef extern from "device.h" nogil:
    enum: LAUNCH_THREADS
    ctypedef struct device_launch:
        pass
    ctypedef struct c_device_call "device_call":
        const char *distribution
        const char *name
        const char *entry
        uint32_t grid
        device_launch launch
    c.fx_status fx__device_call(const c.fx_array *, const c.fx_distribution *, uint64_t seed, uint64_t stream,
                                c_device_call *)
    c.fx_status fx__device_zeros(const c.fx_array *, int64_t first, int64_t zeros, uint64_t seed,
                                 uint64_t stream, c_device_call *)


class DeviceCall(NamedTuple):
    """The launch of a kernel on a GPU."""

    distribution: str  # with `name`, which kernel: FX_DISTRIBUTION and FX_NAME of its text
    name: str
    entry: str | None  # its name there; None if there is nothing to do
    grid: int  # groups of `threads` threads
    threads: int
    launch: bytes  # its parameter


def device_call(Target target, DistributionBase distribution, uint64_t seed, uint64_t stream):
    """The launch that fills an array on a GPU; errors as of `fill`."""
    cdef c_device_call call
    status = fx__device_call(&target.array, &distribution.distribution, seed, stream, &call)
    if status != c.FX_OK:
        refused(status, target, distribution)
    return device_call_of(&call)


def device_zeros(Target target, int64_t first, int64_t zeros, uint64_t seed, uint64_t stream):
    """The launch that writes zeros to a matrix: in each column, where its numbers are least.

    The uniform doubles of the target's first column begin at index `first`.
    """
    cdef c_device_call call
    status = fx__device_zeros(&target.array, first, zeros, seed, stream, &call)
    if status != c.FX_OK:
        raise ArgumentValueError(f"array of shape {target.shape} has too many columns", "array")
    return device_call_of(&call)


cdef device_call_of(c_device_call *call):
    return DeviceCall(
        call.distribution.decode(),
        call.name.decode(),
        None if call.entry == NULL else call.entry.decode(),
        call.grid,
        LAUNCH_THREADS,
        (<char *>&call.launch)[: sizeof(device_launch)],
    )


cdef extern from "xla.h" nogil:
    ctypedef struct xla_error:
        pass
    ctypedef struct xla_call_frame:
        pass
    enum: XLA_CONSTANT
    enum: XLA_UNIFORM
    enum: XLA_NORMAL
    enum: XLA_TRUNCATED_NORMAL
    xla_error *fx__xla_fill(xla_call_frame *)


# The attribute `kind` of XLA's custom call.
XLA_KINDS = {
    "Constant": XLA_CONSTANT,
    "Uniform": XLA_UNIFORM,
    "Normal": XLA_NORMAL,
    "TruncatedNormal": XLA_TRUNCATED_NORMAL,
}


def xla_handler():
    """The address of the handler of XLA's custom call, as jax takes it."""
    return PyCapsule_New(<void *>fx__xla_fill, NULL, NULL)


def check_unmasked(array):
    """TypeError for a masked array of NumPy: its memory has values that the mask hides."""
    masked = sys.modules.get("numpy.ma")  # which most programs never import
    if masked is not None and isinstance(array, masked.MaskedArray):
        raise ArgumentTypeError(
            f"array is {a_type(array)}, whose mask would be ignored: every value in its memory "
            "counts, masked or not; give array.data",
            "array",
        )


def spans(arrays):
    """The addresses of the first byte of each array, and of the one past its last; equal if empty.

    The arrays are of NumPy, of any dtype, or Targets.
    """
    cdef int64_t number, count = len(arrays), itemsize, low, high, extent, step, reach
    cdef int64_t *first
    cdef int64_t *last
    cdef Target target
    cdef cnp.ndarray array
    cdef int i, ndim
    firsts, lasts = np.empty(count, np.int64), np.empty(count, np.int64)
    first, last = <int64_t *>cnp.PyArray_DATA(firsts), <int64_t *>cnp.PyArray_DATA(lasts)
    for number in range(count):
        one = arrays[number]
        if isinstance(one, Target):
            target, array = one, None
            low, ndim = <int64_t>target.array.data, target.array.ndim
            itemsize = c.fx_itemsize(target.array.dtype)
        else:
            target, array = None, one
            low, ndim = <int64_t>cnp.PyArray_DATA(array), cnp.PyArray_NDIM(array)
            itemsize = cnp.PyArray_ITEMSIZE(array)
        first[number], last[number] = low, low + itemsize
        step = itemsize  # that of C order
        for i in reversed(range(ndim)):
            extent = target.extents[i] if target is not None else cnp.PyArray_DIM(array, i)
            if extent == 0:
                first[number] = last[number] = low
                break
            if target is None:
                reach = (extent - 1) * cnp.PyArray_STRIDE(array, i)
            elif target.array.strides != NULL:
                reach = (extent - 1) * target.strides[i]
            else:
                reach = (extent - 1) * step
            step *= extent
            if reach < 0:
                first[number] += reach
            else:
                last[number] += reach
    return firsts, lasts


def overlaps_itself(cnp.ndarray array):
    """Whether two elements of an array of integers or truth values share memory."""
    cdef Target target = Target.__new__(Target)
    cdef DistributionBase zero = make_constant(DistributionBase, 0.0)
    cdef c.fx_options options
    cdef int i
    # As for a float of this size.
    target.array.dtype = {
        1: c.FX_FLOAT8_E5M2, 2: c.FX_FLOAT16, 4: c.FX_FLOAT32, 8: c.FX_FLOAT64
    }[cnp.PyArray_ITEMSIZE(array)]
    target.array.data = cnp.PyArray_DATA(array)
    target.have_axes(cnp.PyArray_NDIM(array))
    for i in range(target.array.ndim):
        target.extents[i] = cnp.PyArray_DIM(array, i)
        target.strides[i] = cnp.PyArray_STRIDE(array, i)
    target.array.strides = target.strides
    options.threads = 0
    options.poll = NULL
    return c.fx_check(&target.array, &zero.distribution, &options) == c.FX_ERROR_OVERLAP


cdef class Requests:
    """Tensors, each (name, target, distribution, stream), that can be filled: in one parallel region,
    any number of times.

    All checks are made here; errors name the tensor.
    """

    cdef tuple tensors
    cdef c.fx_request *requests
    cdef int64_t count
    cdef list of_torch  # the tensors of torch among them, which are told that they have been filled

    def __cinit__(self, tensors):
        cdef c.fx_status status
        cdef int64_t failed = 0, i
        cdef Target target
        cdef DistributionBase distribution
        self.tensors = tuple(tensors)
        self.count = len(self.tensors)
        self.of_torch = []
        self.requests = requests_for(self.count)
        for i, (_, target, distribution, stream) in enumerate(self.tensors):
            self.requests[i].array = &target.array
            self.requests[i].distribution = &distribution.distribution
            self.requests[i].stream = stream
            if target.tensor is not None:
                self.of_torch.append(target.tensor)
        status = c.fx_check_all(self.requests, self.count, NULL, &failed)
        if status == c.FX_OK:
            return
        name, target, distribution, _ = self.tensors[failed]
        try:
            refused(status, target, distribution)
        except ArgumentValueError as error:
            raise of_tensor(name, error) from None

    def __dealloc__(self):
        PyMem_Free(self.requests)

    def fill(self, seed, threads, progress):
        """Fill the tensors. The memory of their targets must still be as it was when they were checked.

        `seed` is a number, or a function that draws one once `threads` is accepted; the number is
        returned.
        """
        cdef c.fx_options options
        cdef c.fx_status status
        cdef Watch watch = Watch.__new__(Watch)
        cdef c.fx_request *requests
        cdef uint64_t number
        cdef int64_t i
        watch.progress = progress
        options.threads = thread_count(threads)
        options.poll = poll_python
        options.poll_argument = NULL if progress is None else <void *>watch
        check_isa()  # before a seed is drawn
        seed = seed() if callable(seed) else seed
        number = seed
        requests = requests_for(self.count)  # of this call, since others may run in other threads
        memcpy(requests, self.requests, self.count * sizeof(c.fx_request))
        for i in range(self.count):
            requests[i].seed = number
        with nogil:
            status = c.fx_fill_checked(requests, self.count, &options)
        PyMem_Free(requests)
        if status != c.FX_OK and status != c.FX_INTERRUPTED:
            check_isa()
            made(status)
        try:
            if status == c.FX_INTERRUPTED:
                if watch.error is not None:
                    raise watch.error
                raise_pending()
        finally:
            if self.of_torch:
                increment_versions(self.of_torch)
        return seed


cdef c.fx_request *requests_for(int64_t count) except NULL:
    requests = <c.fx_request *>PyMem_Malloc(max(count, 1) * sizeof(c.fx_request))
    if requests == NULL:
        raise MemoryError(f"no memory for the addresses of {count} tensors")
    return requests


# ---- what runs -------------------------------------------------------------------------------


def available_isas():
    names = []
    while c.fx_isa_available(len(names)) != NULL:
        names.append(c.fx_isa_available(len(names)).decode())
    return tuple(names)


def check_isa():
    """The implementation in use; RuntimeError where FASTXAVIER_ISA names none that runs here."""
    name = c.fx_isa()
    if name == NULL:
        raise RuntimeError(
            f"FASTXAVIER_ISA is {os.environ.get('FASTXAVIER_ISA')!r}; this machine runs "
            + ", ".join(available_isas())
        )
    return name.decode()


def force_isa(name):
    """Use this implementation from now on; None: choose anew from the environment."""
    encoded = None if name is None else name.encode()
    cdef const char *text = NULL
    if encoded is not None:
        text = encoded
    if c.fx_force_isa(text) != c.FX_OK:
        raise ArgumentValueError(
            f"isa is {name!r}; this machine runs {', '.join(available_isas())}",
            "isa",
            name,
            available_isas(),
        )


def default_threads():
    return c.fx_threads()


def openmp_version():
    return c.fx_openmp()


version = c.FX_VERSION.decode()
stream_version = c.FX_STREAM_VERSION
