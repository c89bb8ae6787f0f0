# Arrays as memory to fill: NumPy's, whatever exports a buffer or DLPack, and parts of larger tensors.
# _core.pyx includes this file.

cdef extern from *:
    """
    #include <stdint.h>
    typedef struct { int32_t device_type, device_id; } dl_device;
    typedef struct { uint8_t code, bits; uint16_t lanes; } dl_dtype;
    typedef struct {
        void *data; dl_device device; int32_t ndim; dl_dtype dtype;
        int64_t *shape, *strides; uint64_t byte_offset;
    } dl_tensor;
    typedef struct dl_managed { dl_tensor tensor; void *context; void (*deleter)(struct dl_managed *); } dl_managed;
    typedef struct dl_versioned {
        uint32_t major, minor; void *context; void (*deleter)(struct dl_versioned *);
        uint64_t flags; dl_tensor tensor;
    } dl_versioned;
    """
    ctypedef struct dl_device:
        int32_t device_type, device_id
    ctypedef struct dl_dtype:
        uint8_t code, bits
        uint16_t lanes
    ctypedef struct dl_tensor:
        void *data
        dl_device device
        int32_t ndim
        dl_dtype dtype
        int64_t *shape
        int64_t *strides
        uint64_t byte_offset
    ctypedef struct dl_managed:
        dl_tensor tensor
        void (*deleter)(dl_managed *) noexcept
    ctypedef struct dl_versioned:
        uint32_t major
        void (*deleter)(dl_versioned *) noexcept
        uint64_t flags
        dl_tensor tensor

cdef enum:
    DL_CPU = 1
    DL_CUDA = 2
    DL_CUDA_MANAGED = 13
    DL_FLOAT = 2
    DL_BFLOAT = 4
    DL_FLOAT8_E4M3FN = 10
    DL_FLOAT8_E5M2 = 12
    DL_READ_ONLY = 1
    DL_IS_COPIED = 2


cdef class Target:
    """Where a fill writes: an fx_array, and whoever keeps its memory alive."""

    cdef c.fx_array array
    cdef int64_t *extents  # owns one allocation, which the next three point into
    cdef int64_t *strides
    cdef int64_t *whole
    cdef int64_t *first
    cdef object owner
    cdef object tensor  # a torch tensor, which is told when it has been filled
    cdef readonly object place  # the GPU and the stream of memory on a GPU; None in CPU memory
    cdef dl_managed *managed
    cdef dl_versioned *versioned

    @property
    def shape(self):
        return tuple([self.extents[i] for i in range(self.array.ndim)])

    @property
    def global_shape(self):
        """The shape of the whole tensor, which is `shape` unless `place` has set another."""
        if self.array.global_shape == NULL:
            return self.shape
        return tuple([self.whole[i] for i in range(self.array.ndim)])

    @property
    def offset(self):
        """Where the array begins in the whole tensor."""
        if self.array.offset == NULL:
            return (0,) * self.array.ndim
        return tuple([self.first[i] for i in range(self.array.ndim)])

    @property
    def address(self):
        """Where the first element lies."""
        return <size_t>self.array.data

    def written(self):
        """Tell the owner of the memory that its values have changed."""
        if self.tensor is not None:
            increment_version(self.tensor)

    @property
    def dtype(self):
        return DTYPE_NAMES[self.array.dtype]

    @property
    def nbytes(self):
        cdef int64_t bytes_ = c.fx_itemsize(self.array.dtype)
        cdef int i
        for i in range(self.array.ndim):
            bytes_ *= self.extents[i]
        return bytes_

    @property
    def __array_interface__(self):
        strided = self.array.strides != NULL
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": np.dtype(f"V{c.fx_itemsize(self.array.dtype)}").str,
            "data": (<size_t>self.array.data, False),
            "strides": tuple(self.strides[i] for i in range(self.array.ndim)) if strided else None,
        }

    def numpy(self):
        """The memory as a NumPy array; of memory on a GPU, a copy."""
        if self.place is not None:
            from fastxavier._cuda.launch import read

            return read(self)
        if self.owner is not None:
            return self.owner
        if self.array.data == NULL:  # for which NumPy 2.2 would look for a scalar
            return np.empty(self.shape, FLOATS[self.dtype].numpy)
        return np.asarray(self).view(FLOATS[self.dtype].numpy)

    cdef int have_axes(self, int ndim) except -1:
        self.extents = <int64_t *>PyMem_Malloc(4 * max(ndim, 1) * sizeof(int64_t))
        if self.extents == NULL:
            raise MemoryError(f"no memory for the extents of {ndim} axes")
        self.strides = self.extents + ndim
        self.whole = self.strides + ndim
        self.first = self.whole + ndim
        self.array.ndim = ndim
        self.array.shape = self.extents
        return 0

    def __dealloc__(self):
        PyMem_Free(self.extents)
        if self.managed != NULL and self.managed.deleter != NULL:
            self.managed.deleter(self.managed)
        if self.versioned != NULL and self.versioned.deleter != NULL:
            self.versioned.deleter(self.versioned)


cdef tuple DTYPE_NAMES = tuple(FLOATS)  # in the order of fx_dtype
cdef str dtype_names = ", ".join(DTYPE_NAMES)


cdef c.fx_dtype numpy_dtype(cnp.ndarray array) except *:
    cdef int number = cnp.PyArray_TYPE(array)
    if number == cnp.NPY_FLOAT32:
        return c.FX_FLOAT32
    if number == cnp.NPY_FLOAT64:
        return c.FX_FLOAT64
    if number == cnp.NPY_FLOAT16:
        return c.FX_FLOAT16
    row = FLOATS.get(array.dtype.type.__name__)
    if row is not None and row.module != "numpy" and row.itemsize == array.dtype.itemsize:
        return <c.fx_dtype><int>DTYPE_NAMES.index(row.name)
    raise ArgumentTypeError(
        f"array has dtype {array.dtype}; it must be one of {dtype_names}", "array", array.dtype, DTYPE_NAMES
    )


cdef object no_memory(tuple shape, what):
    """The error of an array at address 0, where no element can lie: it was freed, or not allocated."""
    return ArgumentValueError(
        f"array of shape {shape} is {a_type(what)} without memory: its data pointer is NULL; "
        "allocate it first",
        "array",
        what,
    )


cdef int check_memory(Target target, what) except -1:
    cdef int i
    if target.array.data != NULL:
        return 0
    for i in range(target.array.ndim):
        if target.extents[i] == 0:
            return 0
    raise no_memory((<object>target).shape, what)


cdef int from_numpy(Target target, cnp.ndarray array) except -1:
    target.array.dtype = numpy_dtype(array)
    if not cnp.PyArray_ISNOTSWAPPED(array):
        raise ArgumentTypeError(
            f"array has dtype {array.dtype.str}; its bytes must be in this machine's order",
            "array",
            array.dtype,
        )
    if not cnp.PyArray_ISWRITEABLE(array):
        raise ArgumentValueError("array is read-only; it must be writable", "array")
    cdef int i
    target.owner = array
    target.array.data = cnp.PyArray_DATA(array)
    target.have_axes(cnp.PyArray_NDIM(array))
    for i in range(target.array.ndim):
        target.extents[i] = cnp.PyArray_DIM(array, i)
        target.strides[i] = cnp.PyArray_STRIDE(array, i)
    target.array.strides = target.strides
    return 0


def exported(array):
    """`np.asarray`, with the checks that it leaves out.

    It does not compare the shape in `__array_interface__` with the buffer in it. Where that has an
    address instead of a buffer, nobody can say how much memory lies there, but none lies at address
    0: there NumPy 2.2 looks for a scalar, and for `__array_struct__` every NumPy allocates memory.
    """
    cdef cnp.ndarray found
    if isinstance(array, np.ndarray) or PyObject_CheckBuffer(array):
        return np.asarray(array)
    if hasattr(array, "__array_struct__"):
        found = np.asarray(array)
        # Of what has no struct but its class's descriptor of one, NumPy makes an object instead.
        if found.dtype != object and cnp.PyArray_CHKFLAGS(found, cnp.NPY_ARRAY_OWNDATA) and found.size:
            raise no_memory((<object>found).shape, array)
        return found
    interface = getattr(array, "__array_interface__", None)
    data = interface.get("data") if isinstance(interface, dict) else None
    if isinstance(data, tuple) and data[:1] == (0,):
        elsewhere = {**interface, "data": (64, *data[1:])}
        found = np.asarray(SimpleNamespace(__array_interface__=elsewhere))
        if found.size:
            raise no_memory((<object>found).shape, array)
        return found
    found = np.asarray(array)
    if data is None or isinstance(data, tuple):
        return found
    cdef int64_t start = <int64_t>cnp.PyArray_DATA(found) - <int64_t>interface.get("offset", 0)
    cdef int64_t length = memoryview(data).nbytes
    (first,), (last,) = spans([found])
    if first < last and (first < start or last > start + length):
        raise ArgumentValueError(
            f"array is {a_type(array)} whose __array_interface__ reaches from byte "
            f"{first - start} to byte {last - start} of a buffer of {length} bytes",
            "array",
            array,
        )
    return found


cdef int from_dl_tensor(Target target, dl_tensor *tensor) except -1:
    cdef int i
    if target.place is None and tensor.device.device_type != DL_CPU:
        raise ArgumentValueError(
            f"array lies on DLPack device type {tensor.device.device_type}; it must lie "
            "in CPU memory or on an NVIDIA GPU",
            "array",
        )
    code, bits = tensor.dtype.code, tensor.dtype.bits
    known = {
        (DL_FLOAT, 32): c.FX_FLOAT32,
        (DL_FLOAT, 64): c.FX_FLOAT64,
        (DL_FLOAT, 16): c.FX_FLOAT16,
        (DL_BFLOAT, 16): c.FX_BFLOAT16,
        (DL_FLOAT8_E4M3FN, 8): c.FX_FLOAT8_E4M3FN,
        (DL_FLOAT8_E5M2, 8): c.FX_FLOAT8_E5M2,
    }
    if (code, bits) not in known or tensor.dtype.lanes != 1:
        kinds = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex"}
        found = f"{kinds[code]}{bits}" if code in kinds else f"of DLPack's code {code}, {bits} bits"
        raise ArgumentTypeError(
            f"array has dtype {found}; it must be one of {dtype_names}", "array", found, DTYPE_NAMES
        )
    if tensor.ndim > c.FX_MAX_DIMS:
        raise ArgumentValueError(
            f"array has {tensor.ndim} axes; it must have at most {c.FX_MAX_DIMS}", "array"
        )
    target.array.dtype = known[code, bits]
    target.array.data = <char *>tensor.data + tensor.byte_offset if tensor.data != NULL else NULL
    target.have_axes(tensor.ndim)
    cdef int64_t itemsize = c.fx_itemsize(target.array.dtype)
    for i in range(tensor.ndim):
        target.extents[i] = tensor.shape[i]
        if tensor.strides != NULL:
            target.strides[i] = tensor.strides[i] * itemsize
    target.array.strides = target.strides if tensor.strides != NULL else NULL
    return 0


cdef int from_dlpack(Target target, array) except -1:
    options = {} if target.place is None else {"stream": target.place.stream}
    try:
        try:
            capsule = array.__dlpack__(max_version=(1, 0), **options)
        except TypeError:  # a producer older than DLPack 1.0
            capsule = array.__dlpack__(**options)
    except (BufferError, RuntimeError, NotImplementedError) as error:
        raise ArgumentValueError(
            f"array is {a_type(array)} that exports no memory: {error}", "array", array
        ) from error
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        target.versioned = <dl_versioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        PyCapsule_SetName(capsule, "used_dltensor_versioned")
        if target.versioned.major != 1:
            raise ArgumentValueError(
                f"array exports DLPack version {target.versioned.major}; it must be 1", "array", array
            )
        if target.versioned.flags & DL_READ_ONLY:
            raise ArgumentValueError("array is read-only; it must be writable", "array", array)
        if target.versioned.flags & DL_IS_COPIED:
            raise ArgumentValueError(
                "array exports a copy of its memory; it must export the memory itself", "array", array
            )
        return from_dl_tensor(target, &target.versioned.tensor)
    if not PyCapsule_IsValid(capsule, "dltensor"):
        raise ArgumentTypeError(
            f"array is {a_type(array)} whose __dlpack__ gave {shown(capsule)}; it must give a "
            "fresh DLPack capsule",
            "array",
            array,
        )
    target.managed = <dl_managed *>PyCapsule_GetPointer(capsule, "dltensor")
    PyCapsule_SetName(capsule, "used_dltensor")
    return from_dl_tensor(target, &target.managed.tensor)


cdef int from_device(Target target, memory) except -1:
    """Memory on a GPU, as _cuda/arrays.py describes it."""
    cdef int i
    if len(memory.shape) > c.FX_MAX_DIMS:
        raise ArgumentValueError(
            f"array has {len(memory.shape)} axes; it must have at most {c.FX_MAX_DIMS}", "array"
        )
    target.array.dtype = <c.fx_dtype><int>DTYPE_NAMES.index(memory.dtype)
    target.array.data = <void *><size_t>memory.address
    target.place = memory.place
    target.have_axes(len(memory.shape))
    for i in range(target.array.ndim):
        target.extents[i] = memory.shape[i]
        if memory.strides is not None:
            target.strides[i] = memory.strides[i]
    target.array.strides = target.strides if memory.strides is not None else NULL
    return 0


def lattice(Target target, first, axes):
    """A part of a target that is on a GPU, as an array of its own.

    `first` is the position of its first element, and each of `axes` the steps along the target's axes
    from one element to the next, with their number.
    """
    cdef Target part = Target.__new__(Target)
    cdef int64_t step = c.fx_itemsize(target.array.dtype)
    strides = [0] * target.array.ndim
    for i in reversed(range(target.array.ndim)):
        strides[i] = step if target.array.strides == NULL else target.strides[i]
        step *= target.extents[i]
    address = target.address + sum([j * stride for j, stride in zip(first, strides)])
    part.array.dtype = target.array.dtype
    part.array.data = <void *><size_t>address
    part.place = target.place
    part.owner = target
    part.have_axes(len(axes))
    for i, (steps, count) in enumerate(axes):
        part.extents[i] = count
        part.strides[i] = sum([j * stride for j, stride in zip(steps, strides)])
    part.array.strides = part.strides
    return part


cpdef Target target_of(array, cuda_stream=None):
    """Where a fill of `array` writes; TypeError or ValueError if it cannot be written to.

    `cuda_stream` is for an array on a GPU, in place of the stream that its library gives.
    """
    if isinstance(array, Target):
        return array
    cdef Target target = located(array, cuda_stream)
    if cuda_stream is not None and target.place is None:
        raise ArgumentValueError(
            f"cuda_stream is {shown(cuda_stream)} for an array in CPU memory; it is for arrays on a GPU",
            "cuda_stream",
            cuda_stream,
        )
    return target


cdef Target located(array, cuda_stream):
    cdef Target target = Target.__new__(Target)
    if isinstance(array, cnp.ndarray):
        if type(array) is not np.ndarray:
            check_unmasked(array)
        from_numpy(target, array)
    elif isinstance(array, np.generic):
        raise ArgumentTypeError(
            f"array is the scalar {array!r}, which cannot be written to", "array", array
        )
    elif is_tensor(array):
        memory = strided_memory(array)
        if memory.is_cuda:
            from_device(target, tensor_memory(memory, cuda_stream))
        else:
            from_dlpack(target, memory)
        target.tensor = array
    elif (interface := getattr(array, "__cuda_array_interface__", None)) is not None:
        from_device(target, interface_memory(array, interface, cuda_stream))
    elif PyObject_CheckBuffer(array) or hasattr(array, "__array_interface__"):
        from_numpy(target, exported(array))
    elif hasattr(array, "__dlpack__"):
        target.place = dlpack_place(array, cuda_stream)
        from_dlpack(target, array)
    else:
        raise ArgumentTypeError(
            f"array is {a_type(array)}; it must be a NumPy array or export a writable "
            "buffer, __array_interface__, __cuda_array_interface__ or DLPack" + instead_of_array(array, "init_"),
            "array",
            array,
        )
    check_memory(target, array)
    return target


cdef bint is_as_it_was(Target target) except -1:
    """Whether the array of NumPy that a target was made of still has this memory and layout."""
    cdef cnp.ndarray array = target.owner
    cdef int i
    if (
        target.array.data != cnp.PyArray_DATA(array)
        or target.array.ndim != cnp.PyArray_NDIM(array)
        or not cnp.PyArray_ISWRITEABLE(array)
        or not cnp.PyArray_ISNOTSWAPPED(array)
    ):
        return False
    try:
        if target.array.dtype != numpy_dtype(array):
            return False
    except ArgumentTypeError:
        return False
    for i in range(target.array.ndim):
        if (
            target.extents[i] != cnp.PyArray_DIM(array, i)
            or target.strides[i] != cnp.PyArray_STRIDE(array, i)
        ):
            return False
    return True


def first_changed(targets):
    """The number of the first target whose array of NumPy has changed since; -1 if none has.

    An array can be resized in place, for instance. Arrays that are not of NumPy are left out.
    """
    cdef int64_t number
    cdef Target target
    for number, one in enumerate(targets):
        if isinstance(one, Target):
            target = one
            if target.owner is not None and not is_as_it_was(target):
                return number
    return -1


cpdef tuple checked_place(Target target, str name, value):
    """A global shape or an offset as a tuple of as many integers as the array has axes."""
    numbers = integers(name, value, 0, 1 << 62)
    if len(numbers) != target.array.ndim:
        raise ArgumentValueError(
            f"{name} is {shown(numbers)} for an array of {target.array.ndim} axes; it must have as many "
            "numbers",
            name,
            value,
        )
    return numbers


def place(Target target, global_shape, offset):
    """Say which part of a whole tensor the array is; None and None: it is the whole."""
    cdef int i
    if global_shape is not None:
        for i, extent in enumerate(checked_place(target, "global_shape", global_shape)):
            target.whole[i] = extent
        target.array.global_shape = target.whole
    if offset is not None:
        if global_shape is None:
            raise ArgumentValueError(
                f"offset is {shown(offset)} without a global_shape to lie in", "offset", offset
            )
        for i, extent in enumerate(checked_place(target, "offset", offset)):
            target.first[i] = extent
        target.array.offset = target.first
