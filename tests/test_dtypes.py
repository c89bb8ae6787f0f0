"""The one table of dtypes: its facts against NumPy's and ml_dtypes', and all ways to name one."""

import cases
import ml_dtypes
import numpy as np
import pytest
from ids import stable

import fastxavier as fx
from fastxavier import _core
from fastxavier._dtypes import FLOATS, dtype_named, float_dtype

every_row = pytest.mark.parametrize("name", FLOATS)


def test_table():
    """In the order of the C enumeration, each under its name, none without a test."""
    assert list(FLOATS) == list(cases.DTYPES)
    assert all(row.name == name for name, row in FLOATS.items())
    for name, dtype in cases.DTYPES.items():
        assert _core.target_of(np.empty(3, dtype)).dtype == name


@every_row
def test_facts(name):
    """As finfo has them."""
    row, dtype = FLOATS[name], cases.DTYPES[name]
    facts = ml_dtypes.finfo(dtype)
    assert row.numpy == dtype
    assert row.itemsize == dtype.itemsize
    assert row.epsilon == float(facts.eps)
    assert row.smallest == float(facts.smallest_subnormal)
    assert row.computed_in == cases.COMPUTED_IN[name]


@every_row
def test_nothing_is_smaller(name):
    """Half of the smallest number is 0 in the dtype, and 1 + epsilon is the next after 1."""
    row = FLOATS[name]
    assert np.array(row.smallest, np.float64).astype(row.numpy) > 0
    assert np.array([row.smallest / 2]).astype(row.numpy)[0] == 0
    one = np.ones(1, row.numpy)
    after = (one.view(f"u{row.itemsize}") + 1).view(row.numpy)
    assert float(after[0]) == 1 + row.epsilon


@every_row
def test_safetensors_code(name):
    """The code that its own library writes."""
    safetensors = pytest.importorskip("safetensors.numpy")
    data = safetensors.save({"w": np.zeros(3, FLOATS[name].numpy)})
    assert f'"dtype":"{FLOATS[name].safetensors}"'.encode() in data.replace(b" ", b"")


@every_row
def test_named(name):
    """By NumPy's dtype or type, ml_dtypes' type, the name, and torch's way to print it."""
    row, dtype = FLOATS[name], cases.DTYPES[name]
    for form in (dtype, dtype.type, name, f"torch.{name}", np.empty(3, dtype).dtype):
        assert float_dtype(form) is row
        assert dtype_named(form) == dtype


@every_row
def test_named_by_frameworks(name):
    """torch's dtype objects, and JAX's where it is installed."""
    torch = pytest.importorskip("torch")
    assert float_dtype(getattr(torch, name)) is FLOATS[name]


def test_named_by_jax():
    """Its scalar types and dtypes."""
    jax = pytest.importorskip("jax.numpy")
    for name, row in FLOATS.items():
        assert float_dtype(getattr(jax, name)) is row
        assert float_dtype(jax.dtype(name)) is row


class Named:
    """Something with a name that is not text."""

    name = 3


@pytest.mark.parametrize(
    "dtype",
    [
        *("int32", "float8", "float", "f4", "fp32", "F32", "", "torch.int8", "Float32"),
        *(np.int32, np.complex64, np.longdouble, np.dtype("V4"), int, float, object),
        *(None, 3, ["float32"], Named(), Named),
    ],
    ids=stable,
)
def test_unknown(dtype):
    """The value, and all that there are."""
    for look in (float_dtype, dtype_named):
        with pytest.raises(fx.ArgumentTypeError, match=r"^dtype is ") as raised:
            look(dtype)
        assert raised.value.argument == "dtype"
        assert raised.value.value is dtype
        assert raised.value.choices == tuple(FLOATS)
        assert all(repr(name) in str(raised.value) for name in FLOATS)


def test_near_names():
    """Another case and a slip are recognized."""
    for given, meant in [("Float32", "float32"), ("flaot16", "float16"), ("bfloat", "bfloat16")]:
        with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
            float_dtype(given)


@every_row
def test_byte_order(name):
    """Swapped bytes have the facts of the dtype, but cannot be drawn."""
    swapped = cases.DTYPES[name].newbyteorder("S")
    if swapped.isnative:
        pytest.skip("the dtype has no byte order")
    assert float_dtype(swapped) is FLOATS[name]
    with pytest.raises(fx.ArgumentTypeError, match=r"^dtype is .*this machine's order"):
        dtype_named(swapped)


def test_missing_package(monkeypatch):
    """What to install, where the package of a dtype is missing."""
    row = FLOATS["bfloat16"]._replace(module="no_such_package")
    with pytest.raises(ImportError, match=r"bfloat16 needs no_such_package: pip install"):
        _ = row.numpy
