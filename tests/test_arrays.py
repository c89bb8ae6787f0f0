"""Arrays of every layout and exporter: the values are those of the contiguous array, in place."""

import array as stdlib_array
import ctypes
import subprocess
import sys
import textwrap

import cases
import ml_dtypes
import numpy as np
import pytest
import reference
from numpy.lib.stride_tricks import as_strided

import fastxavier as fx

DTYPES = list(cases.DTYPES.values())
DISTRIBUTIONS = [fx.Uniform(-0.5, 1.5), fx.Normal(0.1, 2.0), fx.TruncatedNormal(0.0, 1.0)]
SENTINEL = 0xA5

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_distribution = pytest.mark.parametrize(
    "distribution", DISTRIBUTIONS, ids=lambda distribution: type(distribution).__name__
)


def contiguous(shape, distribution, dtype, **key):
    """What a fresh array in C order holds."""
    return fx.fill_(np.empty(shape, dtype), distribution, **key)


def same_bits(got, expected):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes()


# ---- layouts -------------------------------------------------------------------------------------


def taken(buffer, dtype, *shape, start=0):
    """The first elements of a byte buffer as an array in C order, from byte `start` on."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return buffer[start : start + count].view(np.uint8).view(dtype).reshape(shape)


def unaligned(buffer, dtype, *shape):
    raw = buffer[1 : 1 + int(np.prod(shape)) * np.dtype(dtype).itemsize]
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def field(buffer, dtype, a, b):
    record = np.dtype([("tag", "u1"), ("weight", dtype), ("rest", "u1", (3,))])
    return np.frombuffer(buffer[: a * b * record.itemsize], record).reshape(a, b)["weight"]


def odd_rows(buffer, dtype, a, b):
    """Rows whose distance is no multiple of the itemsize."""
    itemsize = np.dtype(dtype).itemsize
    rows = buffer[: a * (b * itemsize + 1)].reshape(a, b * itemsize + 1)[:, : b * itemsize]
    return rows.view(dtype)


def interleaved(buffer, dtype, a, b):
    """Strides (2b - 1, 2) elements, of which the rows reach into each other without touching."""
    size = np.dtype(dtype).itemsize
    flat = taken(buffer, dtype, (2 * b - 1) * a + 2 * b)
    return as_strided(flat, (a, b), ((2 * b - 1) * size, 2 * size))


LAYOUTS = {
    "c": lambda m, d, a, b: taken(m, d, a, b),
    "fortran": lambda m, d, a, b: taken(m, d, b, a).T,
    "row steps": lambda m, d, a, b: taken(m, d, 2 * a, b)[::2],
    "column steps": lambda m, d, a, b: taken(m, d, a, 3 * b)[:, 1::3],
    "both steps": lambda m, d, a, b: taken(m, d, 3 * a, 2 * b)[2::3, ::2],
    "fortran steps": lambda m, d, a, b: taken(m, d, 2 * b, 3 * a)[1::2, ::3].T,
    "inner window": lambda m, d, a, b: taken(m, d, a + 4, b + 5)[2:-2, 3:-2],
    "rows reversed": lambda m, d, a, b: taken(m, d, a, b)[::-1],
    "columns reversed": lambda m, d, a, b: taken(m, d, a, b)[:, ::-1],
    "all reversed": lambda m, d, a, b: taken(m, d, a, b)[::-1, ::-1],
    "fortran reversed": lambda m, d, a, b: taken(m, d, b, a).T[::-1, ::-1],
    "reversed steps": lambda m, d, a, b: taken(m, d, 2 * a, 3 * b)[::-2, ::-3],
    "unaligned": unaligned,
    "unaligned fortran": lambda m, d, a, b: unaligned(m, d, b, a).T,
    "field": field,
    "field transposed": lambda m, d, a, b: field(m, d, b, a).T,
    "odd rows": odd_rows,
    "interleaved": interleaved,
    "three axes": lambda m, d, a, b: taken(m, d, 2, b, a).transpose(2, 0, 1),
    "middle axis fastest": lambda m, d, a, b: taken(m, d, a, 3, b).transpose(0, 2, 1),
    "axes of one": lambda m, d, a, b: taken(m, d, a, 1, b)[:, :, None, ::-1],
    "four axes": lambda m, d, a, b: taken(m, d, b, 3, a, 2)[:, ::2, ::-1].transpose(2, 3, 0, 1),
    "one axis": lambda m, d, a, b: taken(m, d, a * b)[::-1],
    "column": lambda m, d, a, b: taken(m, d, a, b)[:, b // 2],
}
# Within a tile; some tiles with ragged ends; and enough of them for several threads.
SHAPES = [(3, 5), (67, 131), (300, 701)]


@pytest.mark.parametrize("layout", LAYOUTS)
@every_dtype
def test_layout_holds_the_contiguous_values_and_touches_nothing_else(layout, dtype, isa):
    """Byte for byte, the memory around and between the elements included."""
    for number, (a, b) in enumerate(SHAPES):
        distribution = DISTRIBUTIONS[number % len(DISTRIBUTIONS)]
        size = 6 * a * b * (np.dtype(dtype).itemsize + 4) + 64
        got, expected = (np.full(size, SENTINEL, np.uint8) for _ in range(2))
        view, target = (LAYOUTS[layout](memory, dtype, a, b) for memory in (got, expected))
        target[...] = contiguous(
            target.shape, distribution, dtype, seed=11, stream=number, threads=1
        )
        assert fx.fill_(view, distribution, seed=11, stream=number, threads=2) is view
        assert got.tobytes() == expected.tobytes(), (layout, a, b)


@every_dtype
@every_distribution
def test_transpose_is_the_transpose_of_the_contiguous_fill(dtype, distribution):
    """Values follow the logical C index of the view that was passed."""
    w = np.zeros((37, 53), dtype)
    fx.fill_(w.T, distribution, seed=3, stream="layer.0.weight")
    same_bits(w.T, contiguous((53, 37), distribution, dtype, seed=3, stream="layer.0.weight"))
    assert (w != contiguous((37, 53), distribution, dtype, seed=3, stream="layer.0.weight")).any()


@every_dtype
def test_uniform_values_are_those_of_the_reference(dtype, isa):
    """The one anchor outside the package: through a transposed, reversed view."""
    w = np.zeros((11, 2 * 13), dtype)
    view = w[::-1, ::2].T
    fx.fill_(view, fx.Uniform(-0.25, 0.75), seed=99, stream=5)
    expected = reference.uniform(99, 5, np.arange(11 * 13), -0.25, 0.75, dtype.name)
    same_bits(view, expected.reshape(13, 11))
    assert not w[:, 1::2].any()


@every_dtype
@every_distribution
def test_zero_dimensional_array_holds_the_first_value(dtype, distribution):
    """0-d: one element, index 0; its neighbours stay."""
    w = np.zeros(3, dtype)
    scalar = w[1:2].reshape(())
    assert fx.fill_(scalar, distribution, seed=1, stream=2) is scalar
    assert w[1] == contiguous(1, distribution, dtype, seed=1, stream=2)[0] != 0
    assert w[0] == w[2] == 0


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 0, 4), (0, 0)])
@every_dtype
def test_zero_size_is_a_no_op(shape, dtype):
    """The array comes back, whatever its strides."""
    base = np.ones((5, 5), dtype)
    for w in (np.empty(shape, dtype), np.empty(shape, dtype, order="F")):
        assert fx.fill_(w, fx.Normal(), seed=1) is w
    empty = base[2:2, ::-2]
    assert fx.uniform_(empty, 3, 4, seed=1) is empty
    assert (base == 1).all()


@pytest.mark.parametrize("column", [1020, 1030])
@every_dtype
def test_columns_beyond_the_caches(column, dtype):
    """Rows of a shard of 36 MiB; of doubles, the shorter are stored and the longer streamed."""
    shape = ((36 << 20) // dtype.itemsize // column, column + 7)
    whole = contiguous(shape, fx.Uniform(-3, 5), dtype, seed=6)
    part = np.empty((shape[0], column), dtype)
    fx.fill_(part, fx.Uniform(-3, 5), seed=6, global_shape=shape, offset=(0, 4))
    same_bits(part, whole[:, 4 : 4 + column])


def test_reversed_beyond_the_caches():
    """Written from their other end."""
    w = np.empty((1200, 1003), np.float32)
    for view in (w.T[::-1], w.T[:, ::-1], w[::-1, ::-1]):
        fx.fill_(view, fx.Normal(), seed=6)
        same_bits(view, contiguous(view.shape, fx.Normal(), np.float32, seed=6))


@pytest.mark.parametrize("shift", [0, 4, 16])
@pytest.mark.parametrize("shape", [(1200, 1003), (1003, 1200), (7, 300, 601)])
@every_dtype
def test_transposed_beyond_the_caches(shape, shift, dtype):
    """Large enough to be written past the caches, at addresses that allow it and others."""
    distribution = fx.Normal()
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.full(size + 64, SENTINEL, np.uint8)
    first = -memory.ctypes.data % 16 + shift
    w = memory[first : first + size].view(dtype).reshape(shape[::-1]).T
    same_bits(fx.fill_(w, distribution, seed=6), contiguous(shape, distribution, dtype, seed=6))
    assert (memory[:first] == SENTINEL).all()
    assert (memory[first + size :] == SENTINEL).all()


def test_broadcast_stride_on_an_axis_of_one_is_fine():
    """A stride of 0 where there is nothing to step to shares no memory."""
    w = np.zeros(8)
    view = as_strided(w, (1, 8, 1), (0, 8, 0))
    fx.fill_(view, fx.Uniform(0, 1), seed=4)
    same_bits(w, contiguous(8, fx.Uniform(0, 1), np.float64, seed=4))


def test_interleaved_strides_that_do_not_meet():
    """Shape (3, 2) with strides (2, 3) elements: places 0 3 2 5 4 7, each once."""
    w = np.full(9, 7.0, np.float32)
    view = as_strided(w, (3, 2), (8, 12))
    fx.fill_(view, fx.Uniform(-1, 1), seed=4)
    same_bits(view, contiguous((3, 2), fx.Uniform(-1, 1), np.float32, seed=4))
    assert w[[1, 6, 8]].tolist() == [7, 7, 7]


def test_sixty_four_axes():
    """NumPy's largest rank."""
    w = np.zeros((1,) * 60 + (2, 3, 1, 5), np.float32)
    same_bits(
        fx.fill_(w.transpose(range(63, -1, -1)), fx.Normal(), seed=8).ravel(),
        contiguous(30, fx.Normal(), np.float32, seed=8),
    )


def test_subclass_comes_back_as_itself():
    """A subclass of ndarray is filled like its base."""

    class Weights(np.ndarray):
        pass

    w = np.zeros((4, 6)).view(Weights)
    assert fx.normal_(w, 6, 4, seed=2) is w
    same_bits(w.view(np.ndarray), fx.normal_(np.empty((4, 6)), 6, 4, seed=2))


@pytest.mark.parametrize("mode", ["r+", "w+", "c"])
def test_memmap(tmp_path, mode):
    """A writable map is filled at its offset; a copy-on-write one leaves the file."""
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes([SENTINEL]) * (17 + 4 * 600))
    w = np.memmap(path, np.float32, mode, offset=17, shape=(20, 30))
    fx.truncated_normal_(w, 20, 30, seed=6, stream="map")
    expected = fx.truncated_normal_(np.empty((20, 30), np.float32), 20, 30, seed=6, stream="map")
    same_bits(np.asarray(w), expected)
    w.flush()
    del w
    content = path.read_bytes()[17:]
    assert (content == expected.tobytes()) == (mode != "c")


@pytest.mark.parametrize("extra", [0, 4, 12, 60])
@pytest.mark.parametrize(
    "distribution", DISTRIBUTIONS, ids=lambda distribution: type(distribution).__name__
)
def test_large_array_equals_its_pieces(distribution, extra, isa):
    """Beyond cache size other stores are used; they write the same bits at any alignment."""
    count = (33 << 20) // 4
    memory = np.full(4 * count + 128, SENTINEL, np.uint8)
    start = -memory.ctypes.data % 64 + extra
    w = memory[start : start + 4 * count].view(np.float32)
    fx.fill_(w, distribution, seed=5, stream=9, threads=2)
    assert (memory[:start] == SENTINEL).all()
    assert (memory[start + 4 * count :] == SENTINEL).all()
    for first in (0, count // 3 + 1, count - 50_003):
        piece = np.empty(50_003, np.float32)
        fx.fill_(
            piece, distribution, seed=5, stream=9, global_shape=(count,), offset=(first,), threads=1
        )
        same_bits(w[first : first + 50_003], piece)


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

CPU, CUDA = 1, 2
FLOAT, BFLOAT = 2, 4
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
    ):
        self.deleted = 0
        self.memory = memory
        self.capsule = None
        self.takes_max_version = takes_max_version
        self.shape = (ctypes.c_int64 * max(1, len(shape)))(*shape)
        self.strides = None if strides is None else (ctypes.c_int64 * len(strides))(*strides)
        tensor = Tensor(
            data=memory.ctypes.data,
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
    ],
)
def test_dlpack_made_by_hand(versioned, dtype, code, bits):
    """bfloat16 included; with a byte offset, strides and none; the deleter is called once."""
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
    fx.fill_(tensor, fx.Normal(), seed=7)
    assert tensor.deleted == 1
    same_bits(as_strided(memory, (4, 5), (2 * itemsize, 9 * itemsize)), expected)
    assert np.count_nonzero(memory) == 20


def test_dlpack_without_max_version_by_hand():
    """A producer that refuses the keyword is asked again without it."""
    memory = np.zeros(6, np.float32)
    tensor = HandMade(memory, (6,), FLOAT, 32, versioned=False, takes_max_version=False)
    fx.fill_(tensor, fx.Uniform(1, 2), seed=7)
    assert tensor.deleted == 1
    same_bits(memory, contiguous(6, fx.Uniform(1, 2), np.float32, seed=7))


def test_dlpack_scalar_and_empty():
    """Rank 0 and size 0."""
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
    "cuda": ({"device": CUDA}, (ValueError, BufferError), "device type 2|CPU"),
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
        with pytest.raises(ValueError, match=r"array is a Broken .*no memory on this planet") as raised:
            fx.fill_(Broken(broken), fx.Normal(), seed=1)
        assert type(raised.value.__cause__) is broken
        assert raised.value.argument == "array"
    with pytest.raises(KeyError, match="planet"):  # not an error of exporting: it is seen as it is
        fx.fill_(Broken(KeyError), fx.Normal(), seed=1)
    with pytest.raises(TypeError, match="__dlpack__ gave 3"):
        fx.fill_(NoCapsule(RuntimeError), fx.Normal(), seed=1)


# ---- memory --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's high-water mark in /proc")
def test_no_copy_is_made():
    """The resident high-water mark grows by less than 1 MiB over arrays of 32 MiB and more."""
    script = """
        import fastxavier as fx, ml_dtypes, numpy as np

        def status(name):
            with open("/proc/self/status") as lines:
                return next(int(line.split()[1]) for line in lines if line.startswith(name))

        base = np.ones((4096, 4096), np.float32)
        fx.normal_(base, 1, 1, seed=1, threads=2)  # the threads and their stacks exist from here on
        arrays = {
            "c": base,
            "fortran": base.T,
            "strided": base[::2, ::3],
            "reversed": base[::-1, ::-1],
            "float16": base.view(np.float16),
            "float16 fortran": base.view(np.float16).T,
            "bfloat16": base.view(ml_dtypes.bfloat16)[:, ::2],
            "float64": base.view(np.float64)[:, ::-1],
            "memoryview": memoryview(base)[::-1],
        }
        fills = (fx.uniform_, fx.normal_, fx.truncated_normal_)
        for fill in fills:  # code pages and first-use tables
            for array in arrays.values():
                fill(array[:64], 1, 1, seed=1, threads=2)
        for name, array in arrays.items():
            for fill in fills:
                with open("/proc/self/clear_refs", "w") as file:
                    file.write("5")  # the mark starts again from what is resident now
                before = status("VmRSS")
                fill(array, 1, 1, seed=1, threads=2)
                print(status("VmHWM") - before, name, fill.__name__)
    """
    lines = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.splitlines()
    assert len(lines) == 27
    for line in lines:
        assert int(line.split()[0]) < 1024, line
