"""Objects that export memory: filled as a NumPy array is, and what exports none is refused."""

import array as stdlib_array
import ctypes
import sys

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import fastxavier as fx


def contiguous(shape, distribution, dtype, **key):
    """What a fresh array in C order holds."""
    return fx.fill_(np.empty(shape, dtype), distribution, **key)


def same_bits(got, expected):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes()


# ---- buffers -------------------------------------------------------------------------------------

NAMES = {np.float32: "f", np.float64: "d"}


@pytest.mark.parametrize("dtype", NAMES, ids=NAMES.get)
def test_buffer_exporters(dtype):
    """memoryview, array.array, bytearray and ctypes arrays are filled, and come back themselves."""
    distribution = fx.Normal(0, 3)
    expected = contiguous(24, distribution, dtype, seed=7, stream=1)
    ctype = {np.float32: ctypes.c_float, np.float64: ctypes.c_double}[dtype]

    plain = stdlib_array.array(NAMES[dtype], [0] * 24)
    assert fx.fill_(plain, distribution, seed=7, stream=1) is plain
    same_bits(np.frombuffer(plain, dtype), expected)

    raw = bytearray(24 * np.dtype(dtype).itemsize)
    view = memoryview(raw).cast(NAMES[dtype], (4, 6))
    assert fx.fill_(view, distribution, seed=7, stream=1) is view
    assert bytes(raw) == expected.tobytes()

    flat = (ctype * 24)()
    assert fx.fill_(flat, distribution, seed=7, stream=1) is flat
    assert bytes(flat) == expected.tobytes()

    nested = ((ctype * 6) * 4)()
    fx.fill_(nested, distribution, seed=7, stream=1)
    assert bytes(nested) == expected.tobytes()


def test_strided_memoryview():
    """A memoryview with negative strides follows its own logical order."""
    w = np.zeros((6, 8), np.float16)
    fx.fill_(memoryview(w[::-1, ::2]), fx.Uniform(1, 2), seed=7)
    same_bits(w[::-1, ::2], contiguous((6, 4), fx.Uniform(1, 2), np.float16, seed=7))
    assert not w[:, 1::2].any()


class ArrayInterface:
    """Exports `__array_interface__` as a property of its class."""

    def __init__(self, array):
        self.array = array

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


class InstanceArrayInterface:
    """Exports `__array_interface__` as an attribute that only the instance has."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


@pytest.mark.parametrize("exporter", [ArrayInterface, InstanceArrayInterface])
def test_array_interface(exporter):
    """`__array_interface__`, wherever NumPy itself would find it."""
    w = np.zeros((5, 9))
    held = exporter(w[:, ::3])
    assert fx.fill_(held, fx.Normal(), seed=7) is held
    same_bits(w[:, ::3], contiguous((5, 3), fx.Normal(), np.float64, seed=7))
    assert not w[:, 1::3].any()


class BufferInterface:
    """Exports `__array_interface__` whose data is a buffer."""

    def __init__(self, data, shape, typestr="<f4", **others):
        self.__array_interface__ = {
            "version": 3,
            "typestr": np.dtype(typestr).newbyteorder("=").str,
            "shape": shape,
            "data": data,
            **others,
        }


def test_array_interface_of_a_buffer():
    """Any part of the buffer, to its last byte."""
    value = fx.Constant(1.0)
    for shape, others, expected in [
        ((4,), {}, [1, 1, 1, 1]),
        ((), {"offset": 12}, [0, 0, 0, 1]),
        ((2,), {"strides": (8,), "offset": 4}, [0, 1, 0, 1]),
        ((2,), {"strides": (-12,), "offset": 12}, [1, 0, 0, 1]),
        ((0, 2**40), {}, [0, 0, 0, 0]),
    ]:
        data = bytearray(16)
        fx.fill_(BufferInterface(data, shape, **others), value)
        assert np.frombuffer(data, np.float32).tolist() == expected


@pytest.mark.parametrize(
    ("shape", "others", "reach"),
    [
        ((5,), {}, "from byte 0 to byte 20"),
        ((2**40,), {}, "from byte 0"),
        ((4,), {"offset": 4}, "from byte 4 to byte 20"),
        ((2,), {"offset": -4}, "from byte -4 to byte 4"),
        ((2,), {"strides": (-4,)}, "from byte -4 to byte 4"),
        ((3,), {"strides": (8,)}, "from byte 0 to byte 20"),
        ((), {"offset": 13}, "from byte 13 to byte 17"),
    ],
)
def test_array_interface_beyond_its_buffer(shape, others, reach):
    """NumPy takes it; a fill would write beyond the buffer, or before it."""
    for make in (bytearray, lambda size: memoryview(bytearray(48))[16 : 16 + size]):
        data = make(16)
        held = BufferInterface(data, shape, **others)
        for call in (
            lambda held=held: fx.fill_(held, fx.Normal(), seed=1),
            lambda held=held: fx.init_({"a": held}, fx.Plan([fx.Rule("*", "ones")]), seed=1),
            lambda held=held: fx.verify(held, fx.Normal()),
        ):
            with pytest.raises(ValueError, match=f"{reach}.* of a buffer of 16 bytes") as raised:
                call()
            assert raised.value.argument == "array"
        assert not any(data)
    whole = BufferInterface(bytearray(16), shape, "<i4", **others)
    with pytest.raises(ValueError, match="of a buffer of 16 bytes"):
        fx.init_({"a": whole}, fx.Plan([fx.Rule("*", "ones")]), seed=1)


# ---- DLPack --------------------------------------------------------------------------------------


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("dtype", DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
capsule_name = ctypes.pythonapi.PyCapsule_GetName
capsule_name.restype = ctypes.c_char_p
capsule_name.argtypes = [ctypes.py_object]

CPU, ROCM = 1, 10
FLOAT, BFLOAT, FLOAT8_E4M3FN, FLOAT8_E5M2 = 2, 4, 10, 12
READ_ONLY, IS_COPIED = 1, 2


class HandMade:
    """A DLPack producer made by hand; `deleted` counts the calls of its deleter."""

    def __init__(
        self,
        memory,
        shape,
        code,
        bits,
        *,
        versioned=True,
        strides=None,
        device=CPU,
        lanes=1,
        byte_offset=0,
        flags=0,
        major=1,
        takes_max_version=True,
        null=False,
    ):
        self.deleted = 0
        self.memory = memory
        self.capsule = None
        self.takes_max_version = takes_max_version
        self.shape = (ctypes.c_int64 * max(1, len(shape)))(*shape)
        self.strides = None if strides is None else (ctypes.c_int64 * len(strides))(*strides)
        tensor = Tensor(
            data=None if null else memory.ctypes.data,
            device=Device(device, 0),
            ndim=len(shape),
            dtype=DataType(code, bits, lanes),
            shape=ctypes.cast(self.shape, ctypes.POINTER(ctypes.c_int64)),
            strides=ctypes.cast(self.strides, ctypes.POINTER(ctypes.c_int64)),
            byte_offset=byte_offset,
        )
        self.deleter = DELETER(self.delete)
        if versioned:
            self.managed = Versioned(
                major=major, minor=0, deleter=self.deleter, flags=flags, tensor=tensor
            )
        else:
            self.managed = Managed(tensor=tensor, deleter=self.deleter)
        self.name = b"dltensor_versioned" if versioned else b"dltensor"

    def delete(self, pointer):
        assert pointer == ctypes.addressof(self.managed)
        self.deleted += 1

    def __dlpack__(self, **options):
        if not self.takes_max_version and "max_version" in options:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        self.capsule = new_capsule(ctypes.addressof(self.managed), self.name, None)
        return self.capsule

    def __dlpack_device__(self):
        return self.managed.tensor.device.type, 0


class NumpyProducer:
    """NumPy's own capsules without its buffer; an old one knows no `max_version`."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class VersionedProducer(NumpyProducer):
    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        options = (
            {"max_version": max_version} if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else {}
        )
        return self.array.__dlpack__(**options)


class UnversionedProducer(NumpyProducer):
    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return self.array.__dlpack__()


class OldProducer(NumpyProducer):
    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()


@pytest.mark.parametrize("producer", [VersionedProducer, UnversionedProducer, OldProducer])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_dlpack_of_numpy(producer, dtype):
    """Strided and reversed tensors through capsules of both kinds; no reference is left over."""
    w = np.zeros((6, 15), dtype)
    view = w[::-1, ::3]
    references = sys.getrefcount(view)
    held = producer(view)
    assert fx.fill_(held, fx.Normal(), seed=7, stream=3) is held
    same_bits(view, contiguous((6, 5), fx.Normal(), dtype, seed=7, stream=3))
    assert not w[:, 1::3].any()
    assert not w[:, 2::3].any()
    del held
    assert sys.getrefcount(view) == references


KINDS = pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "unversioned"])


@KINDS
@pytest.mark.parametrize(
    ("dtype", "code", "bits"),
    [
        (np.float32, FLOAT, 32),
        (np.float64, FLOAT, 64),
        (np.float16, FLOAT, 16),
        (ml_dtypes.bfloat16, BFLOAT, 16),
        (ml_dtypes.float8_e4m3fn, FLOAT8_E4M3FN, 8),
        (ml_dtypes.float8_e5m2, FLOAT8_E5M2, 8),
    ],
)
def test_dlpack_made_by_hand(versioned, dtype, code, bits):
    """ml_dtypes' included; with a byte offset, strides and none; the deleter is called once."""
    itemsize = bits // 8
    memory = np.zeros(50, dtype)
    tensor = HandMade(memory, (4, 5), code, bits, versioned=versioned, byte_offset=3 * itemsize)
    assert fx.fill_(tensor, fx.Normal(), seed=7) is tensor
    assert tensor.deleted == 1
    assert capsule_name(tensor.capsule) == b"used_" + tensor.name
    expected = contiguous((4, 5), fx.Normal(), dtype, seed=7)
    same_bits(memory[3:23].reshape(4, 5), expected)
    assert not memory[:3].any()
    assert not memory[23:].any()

    memory[...] = 0
    tensor = HandMade(memory, (4, 5), code, bits, versioned=versioned, strides=(2, 9))
    fx.fill_(tensor, fx.Uniform(1, 2), seed=7)
    assert tensor.deleted == 1
    expected = contiguous((4, 5), fx.Uniform(1, 2), dtype, seed=7)
    integers = as_strided(memory.view(f"u{itemsize}"), (4, 5), (2 * itemsize, 9 * itemsize))
    same_bits(integers.view(dtype), expected)
    assert np.count_nonzero(memory) == 20


def test_dlpack_without_max_version_by_hand():
    """A producer that refuses the keyword is asked again without it."""
    memory = np.zeros(6, np.float32)
    tensor = HandMade(memory, (6,), FLOAT, 32, versioned=False, takes_max_version=False)
    fx.fill_(tensor, fx.Uniform(1, 2), seed=7)
    assert tensor.deleted == 1
    same_bits(memory, contiguous(6, fx.Uniform(1, 2), np.float32, seed=7))


def test_dlpack_scalar_and_empty():
    """No axes, and no elements."""
    memory = np.zeros(2)
    scalar = HandMade(memory, (), FLOAT, 64)
    fx.fill_(scalar, fx.Uniform(1, 2), seed=7)
    assert memory[0] == contiguous(1, fx.Uniform(1, 2), np.float64, seed=7)[0]
    assert memory[1] == 0
    empty = HandMade(memory, (3, 0), FLOAT, 64)
    assert fx.fill_(empty, fx.Uniform(1, 2), seed=7) is empty
    assert memory[1] == 0
    assert (scalar.deleted, empty.deleted) == (1, 1)


REFUSED = {
    "read-only": ({"flags": READ_ONLY}, ValueError, "read-only"),
    "a copy": ({"flags": IS_COPIED}, (ValueError, BufferError), "cop(y|ied)"),
    "an AMD GPU": ({"device": ROCM}, (ValueError, BufferError), "device type 10|CPU"),
    "int32": ({"code": 0}, TypeError, "dtype int32"),
    "float8": ({"bits": 8}, TypeError, "dtype float8"),
    "bfloat32": ({"code": BFLOAT}, TypeError, "dtype bfloat32"),
    "two lanes": ({"lanes": 2}, TypeError, "dtype|lanes"),
    "overlap": ({"strides": (1, 1)}, ValueError, "share memory"),
    "version 2": ({"major": 2}, ValueError, "version 2"),
}


ONLY_VERSIONED = {"flags", "major"}


@pytest.mark.parametrize(
    ("case", "versioned"),
    [(case, True) for case in REFUSED]
    + [(case, False) for case in REFUSED if not ONLY_VERSIONED & REFUSED[case][0].keys()],
)
def test_dlpack_refused(case, versioned):
    """The memory is left alone, the deleter called exactly once and no stream taken."""
    options, error, message = REFUSED[case]
    memory = np.full(16, 0.5, np.float32)
    options = {"code": FLOAT, "bits": 32, **options}
    tensor = HandMade(memory, (2, 3), versioned=versioned, **options)
    fx.manual_seed(12)
    with pytest.raises(error, match=message):
        fx.fill_(tensor, fx.Normal())
    assert tensor.deleted == 1
    assert (memory == 0.5).all()
    same_bits(fx.fill_(np.zeros(4), fx.Normal()), contiguous(4, fx.Normal(), np.float64, seed=12))


@KINDS
def test_dlpack_of_many_axes(versioned):
    """As many as NumPy 2 can have."""
    memory = np.zeros(6, np.float32)
    shape = (*(1,) * 62, 2, 3)
    fx.fill_(HandMade(memory, shape, FLOAT, 32, versioned=versioned), fx.Normal(), seed=3)
    same_bits(memory, contiguous(6, fx.Normal(), np.float32, seed=3))
    held = HandMade(memory, (1, *shape), FLOAT, 32, versioned=versioned)
    with pytest.raises(ValueError, match="array has 65 axes; it must have at most 64"):
        fx.fill_(held, fx.Normal(), seed=4)
    assert held.deleted == 1
    same_bits(memory, contiguous(6, fx.Normal(), np.float32, seed=3))


def test_dlpack_refused_later():
    """An error in another argument gives the capsule back as well."""
    memory = np.full(16, 0.5, np.float32)
    for options in ({"offset": (1, 1)}, {"global_shape": (1, 1)}, {"global_shape": (2.5, 3)}):
        tensor = HandMade(memory, (2, 3), FLOAT, 32)
        with pytest.raises((TypeError, ValueError)):
            fx.fill_(tensor, fx.Normal(), seed=1, **options)
        assert tensor.deleted == 1
    assert (memory == 0.5).all()


def test_dlpack_producer_that_fails():
    """A ValueError that repeats the producer's own error, which is its cause."""

    class Broken:
        def __init__(self, error):
            self.error = error

        def __dlpack__(self, **options):
            raise self.error("no memory on this planet")

        def __dlpack_device__(self):
            return CPU, 0

    class NoCapsule(Broken):
        def __dlpack__(self, **options):
            return 3

    for broken in (RuntimeError, BufferError, NotImplementedError):
        with pytest.raises(
            ValueError, match=r"array is a Broken .*no memory on this planet"
        ) as raised:
            fx.fill_(Broken(broken), fx.Normal(), seed=1)
        assert type(raised.value.__cause__) is broken
        assert raised.value.argument == "array"
    with pytest.raises(KeyError, match="planet"):  # not an error of exporting: it is seen as it is
        fx.fill_(Broken(KeyError), fx.Normal(), seed=1)
    with pytest.raises(TypeError, match="__dlpack__ gave 3"):
        fx.fill_(NoCapsule(RuntimeError), fx.Normal(), seed=1)


# ---- no memory -----------------------------------------------------------------------------------


class NullInterface:
    """An `__array_interface__` of memory at address 0."""

    def __init__(self, shape, typestr="<f4", read_only=False):
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": np.dtype(typestr).newbyteorder("=").str,
            "data": (0, read_only),
        }


class ArrayStruct(ctypes.Structure):
    _fields_ = [
        ("two", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("kind", ctypes.c_char),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
        ("data", ctypes.c_void_p),
        ("descr", ctypes.py_object),
    ]


class StructInterface(NullInterface):
    """Beside it an `__array_struct__`, which NumPy prefers; without `memory`, at address 0 too."""

    def __init__(self, shape, memory=None):
        super().__init__(shape)
        self.memory = memory
        strides = np.empty(shape, np.float32).strides
        extents = ctypes.c_ssize_t * max(1, len(shape))
        aligned_native_writable = 0x100 | 0x200 | 0x400
        self.struct = ArrayStruct(
            2, len(shape), b"f", 4, aligned_native_writable, extents(*shape), extents(*strides)
        )
        self.struct.data = None if memory is None else memory.ctypes.data

    @property
    def __array_struct__(self):
        return new_capsule(ctypes.addressof(self.struct), None, None)


@pytest.mark.parametrize("shape", [(2, 3), (), (1,)])
@pytest.mark.parametrize("byte_offset", [0, 4])
@KINDS
def test_null_capsule(versioned, byte_offset, shape):
    """A tensor that lost its memory is refused, the deleter called and no stream taken."""
    memory = np.full(16, 0.5, np.float32)
    fx.manual_seed(12)
    for value in (fx.Normal(), fx.Constant(1)):
        tensor = HandMade(
            memory, shape, FLOAT, 32, versioned=versioned, null=True, byte_offset=byte_offset
        )
        with pytest.raises(ValueError, match="data pointer is NULL") as raised:
            fx.fill_(tensor, value)
        assert tensor.deleted == 1
        assert raised.value.argument == "array"
        assert raised.value.value is tensor
    same_bits(fx.fill_(np.zeros(4), fx.Normal()), contiguous(4, fx.Normal(), np.float64, seed=12))


@KINDS
def test_null_capsule_without_elements(versioned):
    """Nothing is written, so there is nothing to refuse."""
    tensor = HandMade(np.zeros(1, np.float32), (3, 0), FLOAT, 32, versioned=versioned, null=True)
    assert fx.fill_(tensor, fx.Normal(), seed=1) is tensor
    assert fx.he_normal_(tensor, seed=1) is tensor
    assert fx.eye_(tensor) is tensor
    assert tensor.deleted == 3


@pytest.mark.parametrize("shape", [(2, 3), (), (1,)])
@pytest.mark.parametrize("exporter", [NullInterface, StructInterface])
def test_null_array_interface(exporter, shape):
    """As a capsule without memory."""
    null = exporter(shape)
    for fill in (
        fx.zeros_,
        lambda w, seed: fx.fill_(w, fx.Normal(), seed=seed),
        lambda w, seed: fx.init_({"a": w}, fx.Plan([fx.Rule("*", "ones")]), seed=seed),
        lambda w, seed: fx.verify(w, fx.Normal()),
    ):
        with pytest.raises(ValueError, match="data pointer is NULL") as raised:
            fill(null, seed=1)
        assert raised.value.argument == "array"
        assert raised.value.value is null
    if len(shape) == 2:
        for fill in (fx.he_normal_, fx.orthogonal_, fx.eye_):
            with pytest.raises(ValueError, match="data pointer is NULL"):
                fill(exporter(shape), seed=1)


def test_null_array_interface_of_other_dtypes():
    """A plan that fills integers with constants finds no memory either."""
    plan = fx.Plan([fx.Rule("*", "ones")])
    for typestr in ("<i8", "|b1"):
        with pytest.raises(ValueError, match="data pointer is NULL"):
            fx.init_({"a": NullInterface((3,), typestr)}, plan, seed=1)
        fx.init_({"a": NullInterface((0,), typestr)}, plan, seed=1)


@pytest.mark.parametrize("exporter", [NullInterface, StructInterface])
def test_null_array_interface_without_elements(exporter):
    """Nothing is written, so there is nothing to refuse."""
    for fill in (fx.zeros_, fx.he_normal_, fx.orthogonal_, fx.eye_):
        w = exporter((0, 3))
        assert fill(w, seed=1) is w


def test_null_array_interface_that_is_refused():
    """Without elements, too, as any other array."""
    for shape in ((0, 3), (3,)):
        with pytest.raises(ValueError, match=r"read-only|NULL"):
            fx.zeros_(NullInterface(shape, read_only=True))
        with pytest.raises((TypeError, ValueError), match=r"dtype int32|NULL"):
            fx.zeros_(NullInterface(shape, "<i4"))


def test_array_struct():
    """The memory itself is filled."""
    memory = np.zeros(6, np.float32)
    held = StructInterface((2, 3), memory)
    assert fx.fill_(held, fx.Normal(), seed=7) is held
    same_bits(memory, contiguous(6, fx.Normal(), np.float32, seed=7))
