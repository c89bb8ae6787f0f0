"""draw: a new array, aligned, with the bits that fill_ writes."""

import cases
import ml_dtypes
import numpy as np
import pytest
from ids import stable

import fastxavier as fx

DTYPE_FORMS = {
    "float32": [np.float32, np.dtype("f4"), "float32", np.dtype(np.float32)],
    "float64": [np.float64, np.dtype("f8"), "float64", np.dtype(float)],
    "float16": [np.float16, np.dtype("f2"), "float16"],
    "bfloat16": [ml_dtypes.bfloat16, np.dtype(ml_dtypes.bfloat16), "bfloat16"],
    "float8_e4m3fn": [ml_dtypes.float8_e4m3fn, "float8_e4m3fn"],
    "float8_e5m2": [ml_dtypes.float8_e5m2, np.dtype(ml_dtypes.float8_e5m2), "float8_e5m2"],
}
SHAPES = [(), (1,), (3,), (17,), (4, 3), (0,), (3, 0, 2), (1, 1, 1), (257, 129), (2,) * 12]
every_dtype = pytest.mark.parametrize("name", cases.DTYPES)


@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name, forms in DTYPE_FORMS.items() for form in forms]
)
def test_dtype(name, form):
    """By NumPy's dtype, by its type and by name."""
    w = fx.draw((3, 4), fx.Normal(), dtype=form, seed=1)
    assert type(w) is np.ndarray
    assert w.dtype == cases.DTYPES[name]
    expected = fx.fill_(np.empty((3, 4), cases.DTYPES[name]), fx.Normal(), seed=1)
    assert w.tobytes() == expected.tobytes()


def test_dtype_of_torch():
    """torch's dtypes, as they are and as they print."""
    torch = pytest.importorskip("torch")
    for name in cases.DTYPES:
        dtype = getattr(torch, name)
        for form in (dtype, str(dtype)):
            assert fx.draw(3, fx.Normal(), dtype=form, seed=1).dtype == cases.DTYPES[name]
    with pytest.raises(TypeError, match=r"dtype is torch\.int32"):
        fx.draw(3, fx.Normal(), dtype=torch.int32)


def test_default_dtype():
    assert fx.draw(3, fx.Normal()).dtype == np.float32


@every_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_aligned(name, shape):
    """To 64 bytes, in C order, writable, and with the bits that fill_ writes."""
    held = [fx.draw(shape, fx.Normal(), dtype=name, seed=7, stream="w") for _ in range(9)]
    expected = fx.fill_(np.empty(shape, cases.DTYPES[name]), fx.Normal(), seed=7, stream="w")
    for w in held:
        assert not w.size or w.ctypes.data % 64 == 0
        assert w.shape == shape
        assert w.flags.c_contiguous
        assert w.flags.writeable
        assert w.flags.aligned
        assert w.tobytes() == expected.tobytes()
        w[...] = 1  # its memory is its own
    assert len({w.ctypes.data for w in held if w.size}) in (0, len(held))


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (3, (3,)),
        (np.int64(3), (3,)),
        (np.array(3), (3,)),
        ([2, 3], (2, 3)),
        (np.array([2, 3]), (2, 3)),
        ((np.uint8(2), np.array(3)), (2, 3)),
        (range(2, 4), (2, 3)),
        (iter([2, 3]), (2, 3)),
        ((n for n in (2, 3)), (2, 3)),
    ],
    ids=stable,
)
def test_shape_forms(given, shape):
    """An integer or any sequence of integers."""
    assert fx.draw(given, fx.Normal()).shape == shape


@pytest.mark.parametrize(
    "initializer",
    [
        fx.he_normal(),
        fx.glorot_uniform(layout="keras"),
        "kaiming_normal_",
        "orthogonal",
        fx.Orthogonal(2.0),
        fx.Identity(),
        fx.Sparse(0.5),
        fx.Constant(0.5),
        fx.zeros(),
        fx.TruncatedNormal(),
    ],
    ids=stable,
)
def test_initializers(initializer):
    """Whatever fill_ takes, and parts of it."""
    key = {"seed": 3, "stream": "w"}
    w = fx.draw((12, 8), initializer, dtype="float64", **key)
    assert w.tobytes() == fx.fill_(np.empty((12, 8)), initializer, **key).tobytes()
    part = fx.draw(
        (3, 8), initializer, dtype="float64", **key, global_shape=(12, 8), offset=(5, 0), threads=1
    )
    assert part.tobytes() == w[5:8].tobytes()


def test_takes_its_stream():
    """The module default and Streams count it as they count a fill."""
    fx.manual_seed(5)
    rng = fx.Streams(5)
    for stream in range(3):
        expected = fx.fill_(np.empty(4, np.float32), fx.Normal(), seed=5, stream=stream)
        assert (fx.draw(4, fx.Normal()) == expected).all()
        assert (fx.draw(4, fx.Normal(), seed=rng) == expected).all()


BAD = [
    ("shape", -1, ValueError),
    ("shape", (3, -1), ValueError),
    ("shape", 3.0, TypeError),
    ("shape", True, TypeError),
    ("shape", (3.0,), TypeError),
    ("shape", (3, None), TypeError),
    ("shape", None, TypeError),
    ("shape", "34", TypeError),
    ("shape", {3, 4}, TypeError),
    ("shape", {3: 4}, TypeError),
    ("shape", ((3, 4),), TypeError),
    ("shape", (1,) * 65, ValueError),
    ("shape", 2**62, ValueError),
    ("shape", 2**70, ValueError),
    ("shape", (2**40, 2**40), ValueError),
    ("shape", (0, 2**70), ValueError),
    ("dtype", "int32", TypeError),
    ("dtype", "float33", TypeError),
    ("dtype", "f4", TypeError),
    ("dtype", np.int32, TypeError),
    ("dtype", np.dtype(">f4" if np.little_endian else "<f4"), TypeError),
    ("dtype", None, TypeError),
    ("dtype", 3, TypeError),
    ("dtype", complex, TypeError),
    ("seed", -1, ValueError),
    ("seed", 1.5, TypeError),
    ("stream", -1, ValueError),
    ("threads", 0, ValueError),
    ("global_shape", (3,), ValueError),
    ("offset", (0, 0), ValueError),
    ("distribution", "norml", ValueError),
    ("distribution", fx.he_normal, TypeError),
    ("distribution", None, TypeError),
]


@pytest.mark.parametrize(("name", "value", "error"), BAD, ids=lambda x: stable(x)[:30])
def test_bad_argument(name, value, error):
    """Named with its value; no stream is taken."""
    arguments = {"shape": (4, 3), "distribution": fx.Normal(), name: value}
    fx.manual_seed(6)
    with pytest.raises(error, match=rf"\b{name} is ") as raised:
        fx.draw(**arguments)
    assert raised.value.argument == name
    assert stable(value)[:16] in str(raised.value)
    taken = fx.draw(9, fx.Normal())
    assert (taken == fx.draw(9, fx.Normal(), seed=6, stream=0)).all()


def test_dtype_choices():
    """All that can be drawn, as data; the near one is named."""
    with pytest.raises(TypeError, match="did you mean 'float32'") as raised:
        fx.draw(3, fx.Normal(), dtype="flaot32")
    assert raised.value.choices == tuple(cases.DTYPES)


def test_no_memory_for_it():
    """What the machine does not have is a MemoryError."""
    with pytest.raises(MemoryError):
        fx.draw(2**55, fx.Normal())


def test_no_fans():
    """A vector has none, and the message says what to do."""
    with pytest.raises(ValueError, match=r"shape is \(3,\).*bias"):
        fx.draw(3, fx.he_normal())
