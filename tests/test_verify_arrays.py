"""Arrays of all kinds that `verify` reads, and their comparison with the bits of a seed."""

import math
import tracemalloc

import cases
import numpy as np
import pytest
from verify_cases import NORMAL, SEED, dtypes, filled

import fastxavier as fx
from fastxavier._verify import exact, read, verify
from fastxavier.structured import DeltaOrthogonal, Dirac, Identity, Orthogonal, Sparse

inf = math.inf


# ---- arrays --------------------------------------------------------------------------------------


def strided(values):
    larger = np.zeros((2 * values.shape[0], 3 * values.shape[1]), values.dtype)
    larger[::2, 1::3] = values
    return larger[::2, 1::3]


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda values: values[::-1, ::-1].copy()[::-1, ::-1],
    "other byte order": lambda values: values.astype(values.dtype.newbyteorder()),
    "one axis": lambda values: values.reshape(1, -1, 1),
    "read-only": lambda values: np.broadcast_to(values, values.shape),
    "DLPack": cases.Exporter,
    "buffer": lambda values: memoryview(values),
}


NUMPY_ALONE = ("other byte order", "DLPack", "buffer")  # what the dtypes of ml_dtypes cannot be


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [
        (layout, dtype)
        for layout in LAYOUTS
        for dtype in cases.DTYPES
        if cases.DTYPES[dtype].type.__module__ == "numpy" or layout not in NUMPY_ALONE
    ],
)
def test_layouts(layout, dtype):
    """The findings are those of the plain array, sums in another order aside."""
    values = filled(NORMAL, (700, 301), dtype)
    plain, other = verify(values, NORMAL), verify(LAYOUTS[layout](values), NORMAL)
    assert other.ok
    findings = [
        one for one in plain.findings if layout != "one axis" or one.name != "row_correlation"
    ]
    for one, two in zip(findings, other.findings, strict=True):
        assert (one.name, one.expected, one.note) == (two.name, two.expected, two.note)
        assert math.isclose(one.measured, two.measured, rel_tol=1e-9, abs_tol=1e-12)


@dtypes
@pytest.mark.parametrize("parameter", [False, True])
def test_torch_tensors(dtype, parameter):
    """Also a Parameter, which autograd watches, and a transposed view; nothing is copied."""
    torch = pytest.importorskip("torch")
    values = filled(NORMAL, (300, 200), dtype)
    tensor = torch.from_numpy(values.view(f"i{values.itemsize}").copy()).view(getattr(torch, dtype))
    if parameter:
        tensor = torch.nn.Parameter(tensor)
    assert verify(tensor, NORMAL).asdict() == verify(values, NORMAL).asdict()
    assert verify(tensor.T, NORMAL).asdict() == verify(values.T, NORMAL).asdict()
    assert verify(tensor, NORMAL, seed=SEED).ok
    owned = tensor.detach().clone()
    assert verify(owned, NORMAL).ok
    assert owned.untyped_storage().resizable()


def test_torch_tensors_elsewhere():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"array is a torch tensor of .* meta; it must be dense"):
        verify(torch.empty(3, 3, device="meta"), NORMAL)
    with pytest.raises(TypeError, match=r"array is a torch tensor of layout torch\.sparse_coo"):
        verify(torch.eye(3).to_sparse(), NORMAL)


def test_scalars_and_sequences():
    assert verify(np.float32(0.01), NORMAL).shape == ()
    assert verify([0.01, -0.02], NORMAL).dtype == "float64"


@pytest.mark.parametrize("view", [lambda values: values, np.transpose], ids=["C", "Fortran"])
def test_memory_is_bounded(view):
    """Pieces, and 24 bytes for one place in 32 of either order, thrice as much to sort them."""
    values = filled(NORMAL, (4000, 4000))
    tracemalloc.start()
    verify(view(values), NORMAL)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 24 * values.size / 32 * 2 + 64 * read.CHUNK


# ---- exact bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), cases.ALL)
def test_bits(name, dtype):
    """Those of `fill_`, with the same seed and stream, and no others."""
    distribution = cases.distributions(dtype)[name]
    values = fx.fill_(np.empty((70, 50), cases.DTYPES[dtype]), distribution, seed=2**70, stream="a")
    report = verify(values, distribution, seed=2**70, stream="a")
    assert report.ok
    assert (report.seed, report.stream) == (2**70, "a")
    assert [one.name for one in report.findings] == ["differing_values"]
    bits = cases.patterns(values)
    bits[3, 5] ^= 1
    report = verify(values, distribution, seed=2**70, stream="a")
    assert (report.failures, report.differing_values.measured) == (("differing_values",), 1)
    assert report.differing_values.note.startswith("first at (3, 5): ")
    if name != "constant":
        assert not verify(values, distribution, seed=2**70, stream="b").ok
        assert not verify(values, distribution, seed=2**70).ok


def test_bits_of_the_default_stream():
    assert verify(filled(NORMAL), NORMAL, seed=SEED).ok
    assert verify(filled(NORMAL), NORMAL, seed=SEED, stream=0).ok
    assert not verify(filled(NORMAL), NORMAL, seed=SEED, stream=1).ok


def test_bits_are_not_values():
    """-0 equals 0, but has other bits."""
    assert verify(np.zeros(5), fx.Constant(0.0), seed=1).ok
    assert verify(-np.zeros(5), fx.Constant(0.0), seed=1).differing_values.measured == 5
    assert verify(np.full(5, np.nan), NORMAL, seed=1).differing_values.measured == 5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bits_in_any_layout(layout):
    """Of more values than are compared at a time."""
    values = filled(NORMAL, (1200, 801))
    assert values.size > 3 * exact.PIECE
    assert verify(LAYOUTS[layout](values), NORMAL, seed=SEED).ok
    values[1199, 7] = 0
    report = verify(LAYOUTS[layout](values), NORMAL, seed=SEED)
    place = (0, 1199 * 801 + 7, 0) if layout == "one axis" else (1199, 7)
    assert f"first at {place}: 0.0 instead of " in report.differing_values.note


@pytest.mark.parametrize("view", [lambda values: values, np.transpose], ids=["C", "Fortran"])
def test_memory_is_bounded_when_bits_are_compared(view):
    values = filled(NORMAL, (4000, 4000))
    tracemalloc.start()
    verify(view(values), NORMAL, seed=SEED)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 * exact.PIECE < values.nbytes / 10


@pytest.mark.parametrize(
    ("initializer", "shape"),
    [
        (Identity(0.5), (60, 40)),
        (Dirac(), (6, 4, 3)),
        (Sparse(0.1), (60, 40)),
        (Orthogonal(2.0), (60, 40)),
        (DeltaOrthogonal(2.0), (60, 40, 3)),
    ],
    ids=repr,
)
@dtypes
def test_bits_of_structured_initializers(initializer, shape, dtype):
    """An orthogonal matrix may differ by what LAPACKs do, and by a rounding."""
    values = fx.fill_(np.empty(shape, cases.DTYPES[dtype]), initializer, seed=7, stream="a")
    assert verify(values, initializer, seed=7, stream="a").ok
    if not isinstance(initializer, (Identity, Dirac)):
        assert not verify(values, initializer, seed=7, stream="b").ok
    place = np.unravel_index(np.argmax(values), shape)
    values[place] = np.nextafter(values[place], values.dtype.type(9))
    exactly = not isinstance(initializer, (Orthogonal, DeltaOrthogonal))
    assert verify(values, initializer, seed=7, stream="a").ok != exactly
    values[place] *= values.dtype.type(1.5)
    report = verify(values, initializer, seed=7, stream="a")
    assert report.differing_values.measured == 1
    if not exactly:
        assert report.differing_values.note.endswith(", tolerance 2e-06")
