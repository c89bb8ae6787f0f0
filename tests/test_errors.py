"""Refusals: the argument and its value are named, nothing is written and no stream is taken."""

import array as stdlib_array
import ctypes
import decimal
import fractions

import cases
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import fastxavier as fx

DISTRIBUTION = fx.Normal(0, 1)


def refused(error, message, w, *bases, distribution=DISTRIBUTION, parts=(), **options):
    """fill_ raises; the bytes of `bases` stay, and so does the module default's next stream."""
    before = [bytes(memoryview(base).cast("B")) for base in bases]
    fx.manual_seed(2024)
    with pytest.raises(error, match=message) as raised:
        fx.fill_(w, distribution, **options)
    assert raised.value.argument in ("array", "distribution", *options)
    for part in parts:
        assert part in str(raised.value)
    assert [bytes(memoryview(base).cast("B")) for base in bases] == before
    taken = fx.fill_(np.empty(9), DISTRIBUTION)
    assert (taken == fx.fill_(np.empty(9), DISTRIBUTION, seed=2024, stream=0)).all()


def ones(*shape, dtype=np.float64):
    return np.ones(shape, dtype)


# ---- arrays --------------------------------------------------------------------------------------


def read_only(*shape):
    w = ones(*shape)
    w.flags.writeable = False
    return w


class Interface:
    def __init__(self, array, **changes):
        self.array = array
        self.interface = {**array.__array_interface__, **changes}

    @property
    def __array_interface__(self):
        return self.interface


READ_ONLY = {
    "array": lambda: read_only(3, 4),
    "view": lambda: read_only(3, 4).T[::2],
    "0-d": lambda: read_only(),
    "empty": lambda: read_only(0, 3),
    "memoryview": lambda: memoryview(ones(3, 4)).toreadonly(),
    "cast bytes": lambda: memoryview(bytes(24)).cast("d"),
    "array interface": lambda: Interface(read_only(3, 4)),
}


@pytest.mark.parametrize("case", READ_ONLY)
def test_read_only(case):
    """Whatever forbids writing is refused, not copied and not forced."""
    w = READ_ONLY[case]()
    refused(ValueError, "read-only", w)
    assert (np.asarray(w) == (0 if case == "cast bytes" else 1)).all()


def test_read_only_memmap(tmp_path):
    """A map opened for reading stays as it is on disk."""
    path = tmp_path / "weights.bin"
    np.ones(100).tofile(path)
    before = path.read_bytes()
    refused(ValueError, "read-only", np.memmap(path, np.float64, "r"))
    assert path.read_bytes() == before


OVERLAPS = {
    "broadcast": lambda m: as_strided(m, (3, 4), (0, 8)),
    "broadcast column": lambda m: as_strided(m, (3, 4), (8, 0)),
    "all one": lambda m: as_strided(m, (5,), (0,)),
    "windows": lambda m: sliding_window_view(m, 3, writeable=True),
    "windows stepped": lambda m: sliding_window_view(m, 3, writeable=True)[::2],
    "windows reversed": lambda m: sliding_window_view(m, 3, writeable=True)[::-1, ::-1],
    "diagonals": lambda m: as_strided(m, (3, 3), (16, 8)),
    "crossing": lambda m: as_strided(m, (4, 3), (16, 24)),
    "half an element": lambda m: as_strided(m, (6,), (4,)),
    "one byte": lambda m: as_strided(m, (6,), (7,)),
    "rows a byte short": lambda m: as_strided(m, (3, 4), (31, 8)),
    "mixed signs": lambda m: as_strided(m[40:], (3, 3, 3), (-24, 8, 48)),
    "far broadcast": lambda m: np.broadcast_to(m[:1], (1 << 30, 1 << 20)),
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_overlapping_elements(case):
    """Elements that share even one byte, whatever the strides; the strides are in the message."""
    memory = ones(100)
    w = OVERLAPS[case](memory)
    if not w.flags.writeable:
        w = as_strided(memory, w.shape, w.strides)
    refused(ValueError, "share memory", w, memory, parts=[str(w.strides)])


def test_overlap_found_as_by_counting():
    """All small shapes and strides: refused exactly where two elements meet."""
    memory = np.ones(64, np.float32)
    outcomes = {True: 0, False: 0}
    middle = memory[30:]
    for a in (1, 2, 3):
        for b in (2, 4):
            for row in range(-10, 13):
                for column in (-6, -4, -2, 0, 3, 4, 5, 8, 12):
                    w = as_strided(middle, (a, b), (row, column))
                    places = np.add.outer(np.arange(a) * row, np.arange(b) * column).ravel()
                    places.sort()
                    shared = bool((np.diff(places) < 4).any())
                    outcomes[shared] += 1
                    if shared:
                        with pytest.raises(ValueError, match="share memory"):
                            fx.fill_(w, DISTRIBUTION, seed=1)
                    else:
                        fx.fill_(w, DISTRIBUTION, seed=1)
    assert min(outcomes.values()) > 100


DTYPES = [
    np.int8,
    np.int32,
    np.uint64,
    np.bool_,
    np.complex64,
    np.complex128,
    np.longdouble,
    object,
    "S8",
    "U2",
    "M8[s]",
    "m8[us]",
    "V4",
    [("x", "f4"), ("y", "f4")],
    [("x", "f4")],
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtype(dtype):
    """TypeError with the dtype and the list of those that can be filled."""
    w = np.zeros((2, 3), dtype)
    parts = ["array", str(w.dtype), *cases.DTYPES]
    refused(TypeError, "dtype", w, *([w] if np.dtype(dtype).kind in "biuc" else []), parts=parts)
    assert (w == np.zeros_like(w)).all()
    refused(TypeError, "dtype", np.empty((0,), dtype))


@pytest.mark.parametrize("name", cases.DTYPES)
def test_byte_order(name):
    """Swapped bytes are refused, in numpy arrays and in structured fields."""
    w = np.zeros(4, cases.DTYPES[name]).view(cases.DTYPES[name].newbyteorder("S"))
    assert not w.dtype.isnative
    refused(TypeError, "order|dtype", w)
    assert not w.any()


NOT_ARRAYS = [
    None,
    3,
    2.5,
    "weights",
    [1.0, 2.0],
    (1.0,),
    [[1.0]],
    {1.0},
    range(3),
    object(),
    np.ndarray,
    decimal.Decimal(1),
    b"12345678",
    bytearray(8),
    memoryview(bytearray(8)),
    stdlib_array.array("i", [1, 2]),
    (ctypes.c_int * 3)(),
]


@pytest.mark.parametrize("w", NOT_ARRAYS, ids=lambda w: type(w).__name__)
def test_not_an_array(w):
    """TypeError that names the argument and the type or dtype."""
    content = bytes(w) if isinstance(w, (bytearray, memoryview)) else None
    refused(TypeError, "array (is|has|of)", w)
    assert content is None or bytes(w) == content


@pytest.mark.parametrize("scalar", [np.float32(0.5), np.float64(0.5), np.float16(0.5)], ids=repr)
def test_numpy_scalar(scalar):
    """A NumPy scalar is immutable: to fill a copy of it would be silence instead of an error."""
    refused((TypeError, ValueError), "array", scalar)
    assert scalar == 0.5


def test_array_interface_of_another_dtype():
    """What an exporter holds is checked as an array is."""
    w = np.zeros(4, np.int32)
    refused(TypeError, "int32", Interface(w), w)
    swapped = np.zeros(4, np.dtype(np.float32).newbyteorder("S"))
    refused(TypeError, "order|dtype", Interface(swapped), swapped)


# ---- distribution, threads -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "distribution", [None, "norml", fx.Normal, 1.0, (0, 1), DISTRIBUTION.bounds], ids=repr
)
def test_not_a_distribution(distribution):
    """Named with what was given."""
    w = ones(3)
    refused(
        (TypeError, ValueError),
        "(distribution|initializer) is",
        w,
        w,
        distribution=distribution,
        parts=[repr(distribution)],
    )


@pytest.mark.parametrize(
    ("threads", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (-(2**40), ValueError),
        (True, TypeError),
        (np.True_, TypeError),
        (1.5, TypeError),
        (2.0, TypeError),
        ("2", TypeError),
        ([2], TypeError),
    ],
    ids=repr,
)
def test_threads(threads, error):
    """An integer from 1 up, or None."""
    w = ones(3)
    refused(error, "threads is", w, w, threads=threads, parts=[str(threads)])


@pytest.mark.parametrize(
    "threads", [None, 1, 3, 10**9, 2**31, 2**80, np.int8(2), np.uint64(2)], ids=repr
)
def test_threads_that_are_fine(threads):
    """More than there is work for, and NumPy integers."""
    w = fx.fill_(ones(3), DISTRIBUTION, seed=1, threads=threads)
    assert (w == fx.fill_(ones(3), DISTRIBUTION, seed=1)).all()


# ---- shards --------------------------------------------------------------------------------------

SHARDS = [
    ({"offset": (0, 0)}, ValueError, "offset is .* without"),
    ({"offset": (0, 0), "global_shape": None}, ValueError, "offset is .* without"),
    ({"global_shape": (2, 4)}, ValueError, "global_shape"),
    ({"global_shape": (3, 3)}, ValueError, "global_shape"),
    ({"global_shape": (0, 0)}, ValueError, "global_shape"),
    ({"global_shape": (9, 9), "offset": (7, 0)}, ValueError, "offset"),
    ({"global_shape": (9, 9), "offset": (0, 6)}, ValueError, "offset"),
    ({"global_shape": (9, 9), "offset": (10, 0)}, ValueError, "offset"),
    ({"global_shape": (9, 9), "offset": (2**62, 0)}, ValueError, "offset"),
    ({"global_shape": (9, 9), "offset": (2**64, 0)}, ValueError, "offset"),
    ({"global_shape": (9, 9), "offset": (-1, 0)}, ValueError, "offset"),
    ({"global_shape": (9, -9)}, ValueError, "global_shape"),
    ({"global_shape": (9, 2**70)}, ValueError, "global_shape"),
    ({"global_shape": (2**31, 2**32)}, ValueError, "global_shape"),
    ({"global_shape": (2**62, 4)}, ValueError, "global_shape"),
    ({"global_shape": np.array([2**31, 2**32])}, ValueError, "global_shape"),
    ({"global_shape": np.array([9, 3])}, ValueError, "global_shape"),
    ({"global_shape": (9,)}, ValueError, "global_shape"),
    ({"global_shape": (9, 9, 1)}, ValueError, "global_shape"),
    ({"global_shape": ()}, ValueError, "global_shape"),
    ({"global_shape": (9, 9), "offset": ()}, ValueError, "offset"),
    ({"global_shape": (9, 9), "offset": (0,)}, ValueError, "offset"),
    ({"global_shape": (9, 9), "offset": (0, 0, 0)}, ValueError, "offset"),
    ({"global_shape": 9}, TypeError, "global_shape"),
    ({"global_shape": (9, 9), "offset": 0}, TypeError, "offset"),
    ({"global_shape": (9.0, 9)}, TypeError, "global_shape"),
    ({"global_shape": np.array([9.0, 9.0])}, TypeError, "global_shape"),
    ({"global_shape": (9, True)}, TypeError, "global_shape"),
    ({"global_shape": (9, None)}, TypeError, "global_shape"),
    ({"global_shape": "99"}, TypeError, "global_shape"),
    ({"global_shape": (9, 9), "offset": (0.0, 0)}, TypeError, "offset"),
    ({"global_shape": (9, 9), "offset": (False, 0)}, TypeError, "offset"),
    ({"global_shape": (9, 9), "offset": (np.True_, 0)}, TypeError, "offset"),
    ({"global_shape": (9, 9), "offset": "00"}, TypeError, "offset"),
    ({"global_shape": (9, 9), "offset": (fractions.Fraction(1), 0)}, TypeError, "offset"),
]


@pytest.mark.parametrize(("options", "error", "message"), SHARDS, ids=lambda x: repr(x)[:60])
def test_shard(options, error, message):
    """Outside the global tensor, of other axes, or not integers: named with what was given."""
    w = ones(3, 4)
    given = options.get(message, options.get("global_shape"))
    if isinstance(given, np.ndarray):
        parts = [str(int(given[0]))]
    else:
        parts = [repr(given)] if given is not None else []
    refused(error, message, w, w, parts=parts, **options)


def test_empty_shard_outside():
    """Where the part would lie is checked even where it holds nothing."""
    refused(ValueError, "offset|global_shape", np.empty((0, 3)), global_shape=(4, 2))
    w = np.empty((0, 3))
    refused(ValueError, "offset", w, global_shape=(4, 3), offset=(5, 0))


# ---- values beyond the dtype ---------------------------------------------------------------------

TOO_LARGE = [
    ("float16", fx.Uniform(-65520, 65520)),
    ("float16", fx.Uniform(0, 1e6)),
    ("float16", fx.Uniform(-1e6, 0)),
    ("float16", fx.Normal(0, 1e4)),
    ("float16", fx.Normal(1e5, 1)),
    ("float16", fx.Normal(65000, 100)),
    ("float16", fx.TruncatedNormal(0, 40000)),
    ("float16", fx.TruncatedNormal(-1e5, 1)),
    ("bfloat16", fx.Uniform(0, 3.4e38)),
    ("bfloat16", fx.Normal(0, 1e38)),
    ("float8_e4m3fn", fx.Uniform(-464.00003, 464)),
    ("float8_e4m3fn", fx.Constant(464.00003)),
    ("float8_e4m3fn", fx.Normal(0, 70)),
    ("float8_e4m3fn", fx.TruncatedNormal(0, 232.1)),
    ("float8_e5m2", fx.Uniform(0, 61440)),
    ("float8_e5m2", fx.Constant(-61440)),
    ("float8_e5m2", fx.Normal(0, 9225)),
    ("float8_e5m2", fx.TruncatedNormal(-61438, 1)),
    ("float32", fx.Uniform(-3.5e38, 3.5e38)),
    ("float32", fx.Uniform(-1e300, 1)),
    ("float32", fx.Normal(0, 1e38)),
    ("float32", fx.Normal(1e39, 0)),
    ("float32", fx.TruncatedNormal(0, 2e38)),
    ("float32", fx.TruncatedNormal(0, 1e38, -np.inf, np.inf)),
    ("float64", fx.Normal(0, 1e308)),
    ("float64", fx.TruncatedNormal(1e308, 1e308)),
]


@pytest.mark.parametrize(("name", "distribution"), TOO_LARGE, ids=repr)
def test_distribution_beyond_the_dtype(name, distribution):
    """Refused before a single infinity is written; the distribution and the dtype are named."""
    w = ones(3, 4, dtype=cases.DTYPES[name])
    parts = [repr(distribution), name]
    refused(
        ValueError,
        "beyond|largest|hold",
        w,
        w.view(np.uint8),
        distribution=distribution,
        parts=parts,
    )


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("float16", fx.Uniform(-65504, 65504)),
        ("float16", fx.Uniform(0, 65519)),
        ("float16", fx.Normal(0, 9600)),
        ("float16", fx.TruncatedNormal(0, 32752)),
        ("bfloat16", fx.Uniform(-3.38e38, 3.38e38)),
        ("float8_e4m3fn", fx.Uniform(-464, 464)),
        ("float8_e4m3fn", fx.Constant(-464)),
        ("float8_e4m3fn", fx.Normal(0, 69.6)),
        ("float8_e4m3fn", fx.TruncatedNormal(0, 232)),
        ("float8_e5m2", fx.Uniform(-61439.996, 61439.996)),
        ("float8_e5m2", fx.Constant(61439.996)),
        ("float8_e5m2", fx.Normal(0, 9224)),
        ("float8_e5m2", fx.TruncatedNormal(0, 30719.998)),
        ("float32", fx.Uniform(-3.4e38, 3.4e38)),
        ("float32", fx.Normal(0, 4.9e37)),
        ("float64", fx.Uniform(-1.7e308, 1.7e308)),
        ("float64", fx.Normal(0, 1.86e307)),
    ],
    ids=repr,
)
def test_largest_distributions_of_a_dtype(name, distribution, isa):
    """Just inside the range: accepted, and every value is finite."""
    w = fx.fill_(np.empty(200_000, cases.DTYPES[name]), distribution, seed=1)
    assert np.isfinite(w).all()


# ---- what an error leaves ------------------------------------------------------------------------


def test_first_of_several_errors_leaves_everything():
    """A good array with each bad argument in turn: untouched, and the count does not move."""
    w = ones(50, 60)
    for options in (
        {"threads": 0},
        {"stream": -1},
        {"seed": "x"},
        {"global_shape": (1, 1)},
        {"offset": (0, 0)},
    ):
        refused((TypeError, ValueError), next(iter(options)), w, w, **options)


def test_arguments_are_required():
    """No default distribution, no default fans."""
    w = ones(3)
    for call in (
        lambda: fx.fill_(w),
        lambda: fx.uniform_(w),
        lambda: fx.normal_(w, 3),
        lambda: fx.fill_(),
        lambda: fx.fill_(w, DISTRIBUTION, 1),
    ):
        with pytest.raises(TypeError):
            call()
    assert (w == 1).all()


@pytest.mark.parametrize("dtype", ["float16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize(
    "distribution",
    [
        fx.TruncatedNormal(1e5, 1e5, low=-1, high=-0.998),
        fx.TruncatedNormal(0, 1e5, low=-0.002, high=0.002),
    ],
    ids=["mean", "std"],
)
def test_only_values_must_fit(distribution, dtype):
    """A mean and a standard deviation beyond the dtype are no reason to refuse values within it."""
    array = fx.draw((1000,), distribution, dtype=dtype, seed=7).astype(np.float64)
    low, high = distribution.bounds
    assert low <= array.min() < array.max() <= high
    with pytest.raises(ValueError, match=f"beyond the largest {dtype}"):
        fx.draw((1000,), fx.TruncatedNormal(1e5, 1e5), dtype=dtype, seed=7)
