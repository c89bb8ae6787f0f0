"""Structures: identity, Dirac, orthogonal and sparse starts, against what makes them such."""

import copy
import doctest
import itertools
import math
import pickle
from fractions import Fraction

import cases
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import fastxavier as fx
from fastxavier import _core, catalog
from fastxavier import structured as structures
from fastxavier.structured import (
    DeltaOrthogonal,
    Dirac,
    Identity,
    Orthogonal,
    Sparse,
    Structure,
)

# Structure and a shape it can have.
EXAMPLES = [
    (Identity(), (5, 7)),
    (Identity(0.3), (6, 4)),
    (Dirac(), (4, 6, 3)),
    (Dirac(1.5, 2), (6, 4, 3, 5)),
    (Dirac(layout="jax"), (3, 2, 3, 4, 6)),
    (Dirac(layout="keras"), (3, 4, 6)),
    (Orthogonal(), (5, 7)),
    (Orthogonal(0.3), (6, 4)),
    (Orthogonal(2, "jax"), (3, 3, 4, 6)),
    (Orthogonal(layout="keras"), (4, 6)),
    (DeltaOrthogonal(), (6, 4, 3)),
    (DeltaOrthogonal(0.3), (5, 5, 3, 4)),
    (DeltaOrthogonal(2, "jax"), (3, 2, 1, 4, 6)),
    (DeltaOrthogonal(layout="keras"), (5, 4, 6)),
    (Sparse(0.5), (10, 7)),
    (Sparse(0.3, 0.5), (7, 11)),
]
every_example = pytest.mark.parametrize(("structure", "shape"), EXAMPLES, ids=repr)
every_dtype = pytest.mark.parametrize("dtype", cases.DTYPES)


def written(structure, shape, dtype="float64", key=(7, 3), threads=None):
    """A new array; it held something before."""
    array = np.full(shape, 9, cases.DTYPES.get(dtype, dtype))
    structure.write(array, key, threads)
    return array


# ---- values --------------------------------------------------------------------------------------


def test_examples_are_all_there_are():
    """Each structure of the catalog has its examples."""
    known = [
        x for x in catalog.SCHEMES.values() if isinstance(x, type) and issubclass(x, Structure)
    ]
    assert {type(structure) for structure, _ in EXAMPLES} == set(known)


@every_example
def test_value(structure, shape):
    """The repr rebuilds it; copies and pickles are equal; no two examples are."""
    copies = [eval(repr(structure)), copy.copy(structure), copy.deepcopy(structure)]
    copies += [
        pickle.loads(pickle.dumps(structure, n)) for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for each in copies:
        assert type(each) is type(structure)
        assert each == structure
        assert hash(each) == hash(structure)
        assert repr(each) == repr(structure)
        assert (written(each, shape) == written(structure, shape)).all()
    assert [other for other, _ in EXAMPLES if other == structure] == [structure]


@every_example
def test_immutable(structure, shape):
    """No attribute can be set, added or deleted."""
    for name in ("gain", "groups", "layout", "sparsity", "std", "other"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(structure, name, 1)
        with pytest.raises((AttributeError, TypeError)):
            delattr(structure, name)


def test_numbers_of_any_kind():
    """Floats inside, and integers where they count."""
    assert Identity(2) == Identity(np.float32(2)) == Identity(Fraction(2))
    assert repr(Identity(2)) == "Identity(gain=2.0)"
    assert repr(Dirac(1, np.int8(2))) == "Dirac(gain=1.0, groups=2, layout='torch')"
    assert repr(Orthogonal()) == "Orthogonal(gain=1.0, layout='torch')"
    assert repr(Sparse(1)) == "Sparse(sparsity=1.0, std=0.01)"
    assert Identity() != Orthogonal()


def test_base_is_no_structure():
    """It cannot be made."""
    with pytest.raises(TypeError):
        Structure()


WITH_GAIN = (Identity, Dirac, Orthogonal, DeltaOrthogonal)
WITH_LAYOUT = (Dirac, Orthogonal, DeltaOrthogonal)


def with_std(std):
    return Sparse(0.5, std)


NO_NUMBERS = ("1", None, True, 1j)
NOT_FINITE = (math.nan, math.inf, 10**400)
BAD = [
    *((make, "gain", value, ValueError) for make in WITH_GAIN for value in (-1, *NOT_FINITE)),
    *((make, "gain", value, TypeError) for make in WITH_GAIN for value in NO_NUMBERS),
    *((Dirac, "groups", value, ValueError) for value in (0, -1)),
    *((Dirac, "groups", value, TypeError) for value in (1.0, True, None, "1")),
    *((make, "layout", value, ValueError) for make in WITH_LAYOUT for value in ("flax", "", None)),
    *((Sparse, "sparsity", value, ValueError) for value in (-0.1, 1.01, *NOT_FINITE)),
    *((Sparse, "sparsity", value, TypeError) for value in NO_NUMBERS),
    *((with_std, "std", value, ValueError) for value in (-1, *NOT_FINITE)),
    *((with_std, "std", value, TypeError) for value in NO_NUMBERS),
]


@pytest.mark.parametrize(("make", "name", "value", "error"), BAD, ids=lambda x: repr(x)[:20])
def test_bad_parameter(make, name, value, error):
    """Named with its value."""
    with pytest.raises(error, match=f"{name} is ") as raised:
        make(**{name: value})
    assert str(value)[:40] in str(raised.value)


# ---- writing -------------------------------------------------------------------------------------


def memories(shape, dtype):
    """Arrays of one shape that lie differently in memory."""
    itemsize, size = dtype.itemsize, math.prod(shape)
    yield np.full(shape, 9, dtype)
    yield np.full(shape, 9, dtype, order="F")
    yield np.full([2 * extent + 1 for extent in shape], 9, dtype)[tuple(np.s_[1::2] for _ in shape)]
    yield np.full(shape, 9, dtype)[tuple(np.s_[::-1] for _ in shape)]
    yield np.full((*shape, 3), 9, dtype)[..., 1]
    raw = bytearray(size * itemsize + 1)
    yield np.frombuffer(raw, np.uint8)[1:].view(dtype).reshape(shape)
    yield np.moveaxis(np.full((shape[-1], *shape[:-1]), 9, dtype), 0, -1)


@every_example
@every_dtype
def test_memory_layout_does_not_matter(structure, shape, dtype):
    """The same values however the array lies; neighbours in memory stay."""
    dtype = cases.DTYPES[dtype]
    expected = written(structure, shape, dtype)
    for array in memories(shape, dtype):
        structure.write(array, (7, 3))
        assert array.shape == shape
        assert (array == expected).all()
    inside = np.full([extent + 2 for extent in shape], 9, dtype)
    structure.write(inside[tuple(np.s_[1:-1] for _ in shape)], (7, 3))
    assert (inside == 9).sum() == inside.size - math.prod(shape)


@every_example
def test_memmap_and_threads(structure, shape, tmp_path):
    """A file; any number of threads."""
    expected = written(structure, shape)
    for threads in (1, 2, 7):
        assert (written(structure, shape, threads=threads) == expected).all()
    array = np.memmap(tmp_path / "weights", np.float64, "w+", shape=shape)
    structure.write(array, (7, 3))
    array.flush()
    assert (np.fromfile(tmp_path / "weights").reshape(shape) == expected).all()


@every_example
def test_seed_and_stream(structure, shape):
    """Equal keys, equal values; what is random differs with either number."""
    keys = [(7, 3), (8, 3), (7, 4), (2**64 - 1, 2**64 - 1)]
    for (a, first), (b, second) in itertools.combinations(
        [(key, written(structure, shape, key=key)) for key in [*keys, (7, 3)]], 2
    ):
        random = isinstance(structure, (Orthogonal, DeltaOrthogonal, Sparse))
        assert (first == second).all() == (a == b or not random)


@every_example
@every_dtype
def test_empty_arrays(structure, shape, dtype):
    """Nothing to do, nothing wrong."""
    for place in range(len(shape)):
        empty = list(shape)
        empty[place] = 0
        array = written(structure, empty, dtype)
        assert structure.deviation(array) == 0
        assert structure.tolerance(array) >= 0


def refused(structure, error, message, array, threads=None):
    """write raises, and so does check; the array stays, and no stream is taken."""
    before = array.tobytes() if isinstance(array, np.ndarray) else None
    streams = _core.Streams(5)
    for call in (
        lambda: structure.write(array, (7, 3), threads),
        lambda: structure.write(array, streams, threads),
        lambda: structure.check(array, threads),
    ):
        with pytest.raises(error, match=message):
            call()
    assert before is None or array.tobytes() == before
    assert streams.take() == (5, 0)


@every_example
def test_arrays_that_are_refused(structure, shape):
    """As a fill refuses them: dtype, byte order, read-only, overlap, threads; and no array."""
    refused(structure, TypeError, "array has dtype int32", np.ones(shape, np.int32))
    refused(structure, TypeError, "array has dtype complex128", np.ones(shape, complex))
    refused(structure, TypeError, "machine's order", np.ones(shape, np.dtype("f4").newbyteorder()))
    frozen = np.ones(shape)
    frozen.flags.writeable = False
    refused(structure, ValueError, "read-only", frozen)
    refused(structure, ValueError, "share memory", as_strided(np.ones(1), shape, [0] * len(shape)))
    for threads, error in [(0, ValueError), (1.5, TypeError)]:
        refused(structure, error, "threads is", np.ones(shape), threads)
    for array in (None, [[1.0]], 3.0, np.float64(3), memoryview(np.ones(shape))):
        refused(structure, TypeError, "array is a", array)


@every_example
def test_shapes_that_are_refused(structure, shape):
    """The message holds the shape and the structure; so for looking at an array."""
    wrong = {
        Identity: [(), (4,), (2, 2, 2)],
        DeltaOrthogonal: [(), (4, 4), (2,) * 6],
        Dirac: [(), (4,), (4, 4), (2,) * 6],
        Orthogonal: [(), (4,)],
        Sparse: [(), (4,), (2, 2, 2)],
    }[type(structure)]
    for each in wrong:
        array = np.ones(each)
        refused(structure, ValueError, r"array of shape \(", array)
        for look in (structure.deviation, structure.tolerance):
            with pytest.raises(ValueError, match="array of shape") as raised:
                look(array)
            assert repr(structure) in str(raised.value)


@pytest.mark.parametrize("layout", ["torch", "jax"])
def test_groups_that_do_not_divide(layout):
    """Named with the channels."""
    shape = (6, 2, 3) if layout == "torch" else (3, 2, 6)
    refused(Dirac(1, 4, layout), ValueError, "groups is 4; it must divide the 6", np.ones(shape))


@pytest.mark.parametrize(
    "make", [Identity, Dirac, Orthogonal, DeltaOrthogonal, lambda gain: Sparse(0.5, gain)]
)
def test_gain_beyond_the_dtype(make):
    """Refused before an infinity is written; just within, all is finite."""
    shape = (4, 4, 3) if make in (Dirac, DeltaOrthogonal) else (4, 4)
    for dtype, most in [("float16", 65504.0), ("bfloat16", 3.38e38), ("float32", 3.4e38)]:
        refused(make(most * 1.1), ValueError, dtype, np.ones(shape, cases.DTYPES[dtype]))
        array = written(make(most / 8), shape, dtype)
        assert np.isfinite(array.astype(float)).all()
        assert array.any()


def test_streams_are_taken():
    """From streams, the next one."""
    streams = _core.Streams(7)
    streams.take()
    for stream in (1, 2):
        array = np.empty((4, 5))
        Orthogonal().write(array, streams)
        assert (array == written(Orthogonal(), (4, 5), key=(7, stream))).all()


# ---- identity ------------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (3, 8), (8, 3), (1, 9)])
@pytest.mark.parametrize("gain", [0, 1, 0.1, 3.7])
def test_identity(dtype, shape, gain):
    """NumPy's eye times the gain as a constant of the dtype."""
    one = fx.fill_(np.empty((), cases.DTYPES[dtype]), fx.Constant(gain))
    array = written(Identity(gain), shape, dtype)
    assert (array == np.where(np.eye(*shape), one, 0)).all()
    assert not np.signbit(array.astype(float)).any()


# ---- Dirac ---------------------------------------------------------------------------------------


def convolved(signal, kernel, groups):
    """Cross-correlation over all spatial axes with padding of extent // 2: torch's convolution.

    signal: (in, *space); kernel: (out, in / groups, *extents), extents odd.
    """
    outputs, per_group, *extents = kernel.shape
    padded = np.pad(signal, [(0, 0), *((n // 2, n // 2) for n in extents)])
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, extents, axis=tuple(range(1, signal.ndim))
    )  # (in, *space, *extents)
    result = np.empty((outputs, *signal.shape[1:]))
    space = len(extents)
    for o in range(outputs):
        group = o // (outputs // groups)
        these = windows[group * per_group : (group + 1) * per_group]
        weights = kernel[o].reshape(per_group, *[1] * space, *extents)
        result[o] = (these * weights).sum(axis=(0, *range(1 + space, 1 + 2 * space)))
    return result


@pytest.mark.parametrize("layout", ["torch", "jax", "keras"])
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("extents", [(3,), (1,), (3, 5), (1, 1), (3, 1, 5)])
def test_dirac_is_the_identity(extents, groups, layout):
    """A convolution by it passes every channel on, times the gain."""
    channels = 6
    signal = np.random.default_rng(1).normal(size=(channels, 5, 6, 7)[: len(extents) + 1])
    shape = (channels, channels // groups, *extents)
    if layout != "torch":
        shape = (*extents, channels // groups, channels)
    array = written(Dirac(2.5, groups, layout), shape)
    kernel = array if layout == "torch" else np.moveaxis(array, (-1, -2), (0, 1))
    assert (convolved(signal, kernel, groups) == 2.5 * signal).all()


@pytest.mark.parametrize(("outputs", "inputs"), [(6, 4), (4, 6), (5, 1), (1, 5)])
def test_dirac_channels_in_excess(outputs, inputs):
    """Channels without a partner give, or count for, nothing."""
    signal = np.random.default_rng(2).normal(size=(inputs, 8))
    result = convolved(signal, written(Dirac(), (outputs, inputs, 3)), 1)
    both = min(outputs, inputs)
    assert (result[:both] == signal[:both]).all()
    assert not result[both:].any()


def test_dirac_places():
    """Written out by hand, as torch's dirac_ sets them: the middle of n is n // 2."""
    array = written(Dirac(groups=2), (4, 3, 2, 4))
    assert [tuple(map(int, place)) for place in np.argwhere(array)] == [
        *((0, 0, 1, 2), (1, 1, 1, 2)),
        *((2, 0, 1, 2), (3, 1, 1, 2)),
    ]
    assert set(array[array != 0].tolist()) == {1.0}


# ---- orthogonal ----------------------------------------------------------------------------------

SHAPES = [
    (1, 1),
    (4, 4),
    (30, 20),
    (20, 30),
    (1, 50),
    (50, 1),
    (64, 3, 3, 3),
    (8, 16, 3),
    (120, 120),
]


def gram(array, layout="torch"):
    """The products of the orthonormal rows, or columns, of an array as a float64 matrix."""
    matrix = array.astype(np.float64)
    matrix = (
        matrix.reshape(len(matrix), -1)
        if layout == "torch"
        else matrix.reshape(-1, matrix.shape[-1]).T
    )
    return matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix


@every_dtype
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["torch", "jax", "keras"])
def test_orthonormal(shape, dtype, layout):
    """Rows of a wide matrix, columns of a tall one: to twice half an ulp of each entry.

    An entry is within epsilon / 2 of itself, so the product of two unit vectors within epsilon, and
    a little: for float64 and the sums, 100 epsilon of float64.
    """
    epsilon = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
    products = gram(written(Orthogonal(1, layout), shape, dtype), layout)
    bound = 1.01 * epsilon[dtype] + 100 * 2.0**-52
    assert np.abs(products - np.eye(len(products))).max() < bound


@every_dtype
@pytest.mark.parametrize("gain", [0, 1e-4, 0.3, 3, 1000])
@pytest.mark.parametrize("layout", ["torch", "jax"])
def test_orthogonal_deviation(dtype, gain, layout):
    """What is written is within the tolerance, subnormal numbers of float16 included."""
    structure = Orthogonal(gain, layout)
    for shape in [(40, 30), (30, 40), (7, 5, 3), (1, 1)]:
        array = written(structure, shape, dtype)
        products = gram(array, layout) / (gain or 1) ** 2
        deviation = structure.deviation(array)
        distance = np.abs(products - (gain > 0) * np.eye(len(products))).max()
        assert deviation == pytest.approx(distance, rel=1e-6, abs=1e-12)
        assert deviation <= structure.tolerance(array)
        assert structure.tolerance(array) < (0.1 if gain > 0.01 else 1)


def test_orthogonal_by_others():
    """One computed in float32 throughout, as torch does, is within the tolerance."""
    vectors = fx.fill_(np.empty((150, 100), np.float32), fx.Normal(), seed=1)
    basis = np.eye(150, dtype=np.float32)
    for column in range(100):  # Householder's reflections
        along = basis.T @ vectors[:, column]
        along[:column] = 0
        along[column] += np.copysign(np.sqrt(along @ along), along[column])
        basis -= np.outer(basis @ along, along) * np.float32(2) / (along @ along)
    assert basis.dtype == np.float32
    structure = Orthogonal()
    assert 2.0**-23 < structure.deviation(basis) < structure.tolerance(basis) < 1e-4
    assert structure.deviation(basis[:, :100]) < structure.tolerance(basis[:, :100])
    spoilt = basis * np.float32(1.0001)
    assert structure.deviation(spoilt) > structure.tolerance(spoilt)


def test_layouts_hold_the_same_matrix():
    """A weight of JAX or Keras is that of torch, transposed."""
    for shape in [(4, 7), (7, 4), (5, 5)]:
        torch = written(Orthogonal(), shape)
        for layout in ("jax", "keras"):
            assert (written(Orthogonal(1, layout), shape[::-1]) == torch.T).all()
    kernel = written(Orthogonal(), (6, 2, 3, 4))
    other = written(Orthogonal(1, "keras"), (2, 3, 4, 6))
    assert (np.moveaxis(other, -1, 0) == kernel).all()


def test_orthogonal_is_that_of_the_drawn_normals():
    """Gram and Schmidt's own procedure over the stream's normals: R has a positive diagonal."""
    for shape in [(6, 6), (9, 4), (4, 9)]:
        tall = (max(shape), min(shape))
        normals = fx.fill_(np.empty(tall), fx.Normal(), seed=7, stream=3)
        basis = np.zeros(tall)
        for column in range(tall[1]):
            vector = normals[:, column].copy()
            for _ in range(2):  # twice is enough, for rounding
                vector -= basis @ (basis.T @ vector)
            basis[:, column] = vector / np.sqrt(vector @ vector)
        expected = basis if shape == tall else basis.T
        assert np.abs(written(Orthogonal(), shape) - expected).max() < 1e-13


def test_dtypes_agree():
    """16 bits are the float32 values rounded once; float64 has other normals, nearly the same."""
    single = written(Orthogonal(0.7), (12, 9), "float32")
    for dtype in ("float16", "bfloat16"):
        narrow = written(Orthogonal(0.7), (12, 9), dtype)
        assert (narrow == single.astype(narrow.dtype)).all()
    assert np.abs(single - written(Orthogonal(0.7), (12, 9))).max() < 1e-5


def kolmogorov(values):
    """sqrt(n) times the greatest distance from the distribution function of U[-1, 1]."""
    places = (np.sort(values, axis=0) + 1) / 2
    steps = np.arange(len(values) + 1)[:, np.newaxis] / len(values)
    distance = np.maximum(np.abs(places - steps[1:]), np.abs(places - steps[:-1]))
    return math.sqrt(len(values)) * distance.max(axis=0)


COUNT = 6000


def haar_faults(matrices):
    """What sets matrices of order 3 apart from the uniform distribution; none has one chance in 10**5.

    A row of a Haar matrix is a uniform point of the sphere, so each entry has the distribution U[-1, 1]
    (Archimedes). Of the trace the mean square is 1, and rotations and reflections are equally many.
    """
    faults = []
    if kolmogorov(matrices.reshape(len(matrices), 9)).max() > 2.6:  # P = 2 exp(-2 * 2.6**2)
        faults.append("entries")
    trace = np.trace(matrices, axis1=1, axis2=2)
    for name, values, expected in [
        ("trace", trace, 0),
        ("squared trace", trace**2, 1),
        ("determinant", np.linalg.det(matrices), 0),
    ]:
        if abs(values.mean() - expected) > 5 * values.std() / math.sqrt(len(values)):
            faults.append(name)
    return faults


def test_haar():
    """Square matrices are uniform over the orthogonal group."""
    structure, matrices = Orthogonal(), np.empty((COUNT, 3, 3))
    for stream, matrix in enumerate(matrices):
        structure.write(matrix, (11, stream))
    assert haar_faults(matrices) == []


def test_haar_test_can_fail():
    """Without the signs, as LAPACK gives it, Q is not uniform, and the test above sees it."""
    normals = fx.fill_(np.empty((COUNT, 3, 3)), fx.Normal(), seed=11)
    assert haar_faults(np.linalg.qr(normals)[0])


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (1, 3), (3, 1)])
def test_haar_rectangles(shape):
    """The vectors of three entries, rows or columns, are uniform points of the sphere."""
    matrices = np.empty((COUNT, *shape))
    for stream, matrix in enumerate(matrices):
        Orthogonal().write(matrix, (12, stream))
    entries = matrices.reshape(COUNT, -1)
    assert kolmogorov(entries).max() < 2.6


# ---- delta orthogonal ----------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("kernel", [(3,), (4,), (3, 2), (1, 5), (3, 3, 2)])
def test_delta_orthogonal_is_orthogonal_in_the_middle(kernel, dtype):
    """The very matrix that `Orthogonal` writes, where "same" padding has the middle; else zeros."""
    middle = tuple((extent - 1) // 2 for extent in kernel)
    torch = written(DeltaOrthogonal(0.7), (7, 4, *kernel), dtype)
    assert (
        torch[(slice(None), slice(None), *middle)] == written(Orthogonal(0.7), (7, 4), dtype)
    ).all()
    for layout in ("jax", "keras"):
        other = written(DeltaOrthogonal(0.7, layout), (*kernel, 4, 7), dtype)
        assert (other == np.moveaxis(torch, (0, 1), (-1, -2))).all()
    assert np.count_nonzero(torch) == 28


@pytest.mark.parametrize("extent", [1, 2, 3, 4, 5])
def test_delta_orthogonal_keeps_norms(extent):
    """A convolution with it, padded to the same length, keeps each place's vector's length."""
    kernel = written(DeltaOrthogonal(), (6, 4, extent))
    signal = fx.fill_(np.empty((4, 10)), fx.Normal(), seed=3)
    before = (extent - 1) // 2
    padded = np.pad(signal, [(0, 0), (before, extent - 1 - before)])
    output = sum(kernel[:, :, k] @ padded[:, k : k + 10] for k in range(extent))
    norms = np.linalg.norm(signal, axis=0)
    assert np.abs(np.linalg.norm(output, axis=0) - norms).max() < 100 * 2.0**-52 * norms.max()


@pytest.mark.parametrize("gain", [0, 0.3, 3])
@pytest.mark.parametrize("layout", ["torch", "jax"])
def test_delta_orthogonal_deviation(gain, layout):
    """What should be 0 counts over the gain; the middle as a matrix does."""
    structure = DeltaOrthogonal(gain, layout)
    array = written(structure, (5, 4, 3) if layout == "torch" else (3, 4, 5), "float32")
    tolerance = structure.tolerance(array)
    assert structure.deviation(array) <= tolerance
    array.flat[0] = 0.25
    assert structure.deviation(array) == pytest.approx(0.25 / (gain or 1))


def test_delta_orthogonal_has_no_fewer_outputs():
    for layout, shape in [("torch", (3, 4, 3)), ("jax", (3, 4, 3)), ("keras", (1, 2, 4, 3))]:
        structure = DeltaOrthogonal(layout=layout)
        message = "4 input channels and 3 output channels"
        refused(structure, ValueError, message, np.ones(shape))
        with pytest.raises(ValueError, match=message):
            structure.deviation(np.ones(shape))


# ---- sparse --------------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("sparsity", [0, 0.07, 0.1, 0.3, 0.5, 0.999, 1, Fraction(1, 3)])
@pytest.mark.parametrize("shape", [(100, 30), (1, 9), (9, 1), (17, 13)])
def test_sparse_counts(sparsity, dtype, shape):
    """Exactly ceil(sparsity * rows) zeros in every column; the others are what a fill draws."""
    array = written(Sparse(sparsity, 0.5), shape, dtype)
    filled = fx.fill_(np.empty_like(array), fx.Normal(0, 0.5), seed=7, stream=3)
    zeros = math.ceil(float(sparsity) * shape[0])
    assert ((array == 0).sum(axis=0) == zeros).all()
    assert (array[array != 0] == filled[array != 0]).all()
    assert Sparse(sparsity, 0.5).deviation(array) == 0


def test_sparse_places_differ():
    """Columns have zeros of their own, and so have streams."""
    places = written(Sparse(0.5), (64, 50)) == 0
    assert len({column.tobytes() for column in places.T}) == 50
    other = written(Sparse(0.5), (64, 50), key=(7, 4)) == 0
    assert 0.4 < (places == other).mean() < 0.6


def test_sparse_places_are_the_lowest_ranked():
    """As the notes say: by float64 uniforms at indices from the even number after the size on."""
    for shape in [(7, 5), (8, 5)]:
        size = math.prod(shape)
        numbers = np.empty(size)
        first = size + size % 2
        fx.fill_(
            numbers, fx.Uniform(-1, 1), seed=7, stream=3,
            global_shape=(first + size,), offset=(first,),
        )  # fmt: skip
        places = np.argsort(numbers.reshape(shape[::-1]), axis=1)[:, : math.ceil(0.4 * shape[0])]
        array = written(Sparse(0.4), shape, "float32")
        assert [set(np.flatnonzero(column == 0)) for column in array.T] == list(map(set, places))


def test_sparse_in_pieces(monkeypatch):
    """How many columns are ranked at once does not matter."""
    expected = written(Sparse(0.4), (21, 17))
    for at_once in (1, 50, 100):
        monkeypatch.setattr(structures, "_RANKED_AT_ONCE", at_once)
        assert (written(Sparse(0.4), (21, 17)) == expected).all()


@pytest.mark.parametrize("shape", [(40, 20_000), (39, 19_999)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparse_moments(shape, dtype):
    """Every row is as often zero; what is not has the normal's moments, wherever it stands."""
    rows, columns = shape
    array = written(Sparse(0.3, 0.5), shape, dtype).astype(float)
    share = math.ceil(0.3 * rows) / rows
    error = math.sqrt(share * (1 - share) / columns)
    assert np.abs((array == 0).mean(axis=1) - share).max() < 5 * error
    values = array[array != 0]
    assert abs(values.mean()) < 5 * 0.5 / math.sqrt(values.size)
    assert abs(values.var() / 0.25 - 1) < 5 * math.sqrt(2 / values.size)
    # Neighbours in a column know of one another's zeros only that their number is fixed.
    both = ((array[:-1] == 0) & (array[1:] == 0)).mean(axis=1)
    expected = share * (share * rows - 1) / (rows - 1)
    assert np.abs(both - expected).max() < 5 * math.sqrt(expected / columns)


# ---- looking at arrays ---------------------------------------------------------------------------


@every_example
@every_dtype
def test_what_is_written_is_within_the_tolerance(structure, shape, dtype):
    """In every dtype."""
    array = written(structure, shape, dtype)
    assert 0 <= structure.deviation(array) <= structure.tolerance(array)


@every_example
@every_dtype
def test_what_is_not_such_a_structure_is_seen(structure, shape, dtype):
    """Normal weights; a wrong value; one that is no number."""
    array = written(structure, shape, dtype)
    for value in (math.nan, math.inf, -math.inf):
        spoilt = array.copy()
        spoilt.flat[3] = value
        assert structure.deviation(spoilt) == math.inf
    spoilt = array.copy()
    size = np.abs(array.astype(float))
    if isinstance(structure, Sparse):
        spoilt.flat[size.argmin()] = 0.5  # where there was a zero
    else:
        spoilt.flat[size.argmax()] *= 0.9
    assert structure.deviation(spoilt) > structure.tolerance(spoilt)
    fx.fill_(spoilt, fx.Normal(0, 0.1), seed=1)
    assert structure.deviation(spoilt) > structure.tolerance(spoilt)


def test_looking_leaves_the_array_and_needs_no_right_to_write():
    """A read-only array, of either byte order, is looked at like any other."""
    array = written(Orthogonal(), (5, 4), "float32")
    deviation, tolerance = Orthogonal().deviation(array), Orthogonal().tolerance(array)
    array = array.astype(array.dtype.newbyteorder())
    array.flags.writeable = False
    assert Orthogonal().deviation(array) == deviation
    assert Orthogonal().tolerance(array) == tolerance
    for look in (Orthogonal().deviation, Orthogonal().tolerance):
        with pytest.raises(TypeError, match="array has dtype int64"):
            look(np.ones((3, 3), np.int64))
        with pytest.raises(TypeError, match="array is a list"):
            look([[1.0]])


def test_zeros_by_rounding():
    """Half-precision values that round to 0 are allowed for, as many as there can be."""
    structure = Sparse(0.5, 1e-6)
    array = written(structure, (1000, 200), "float16")
    assert 0 < structure.deviation(array) <= structure.tolerance(array) < 200
    assert Sparse(0.5).tolerance(np.empty((1000, 200), np.float32)) == 0
    empty = Sparse(0.5, 0)
    assert empty.deviation(written(empty, (10, 3))) == empty.tolerance(np.empty((10, 3))) == 5


def test_overflow_on_the_way():
    """Values at the end of the range are far from orthogonal, and that is all."""
    assert Orthogonal(1e-300).deviation(np.full((3, 3), 1e300)) == math.inf
    assert Identity().deviation(np.full((3, 3), 1e300)) == 1e300


def test_docstrings():
    """The examples print what they show."""
    for module in (structures,):
        failed, tried = doctest.testmod(module)
        assert tried
        assert not failed


# ---- through fill_ -------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", [Identity(0.5), Orthogonal(2.0), Sparse(0.25, 0.1)], ids=repr)
def test_fill_takes_a_structure(structure):
    """The same values as `write` puts there, into the object that was given, whatever it is."""
    direct = np.empty((6, 8), np.float32)
    structure.write(direct, (7, 3))
    array = np.empty((6, 8), np.float32)
    assert fx.fill_(array, structure, seed=7, stream=3) is array
    assert (array == direct).all()
    buffer = memoryview(bytearray(6 * 8 * 4)).cast("f", (6, 8))
    fx.fill_(buffer, structure, seed=7, stream=3)
    assert (np.asarray(buffer) == direct).all()
    turned = np.empty((8, 6), np.float32)
    fx.fill_(turned.T, structure, seed=7, stream=3)
    assert (direct == turned.T).all()


def test_orthogonal_and_sparse_by_name():
    array, other = np.empty((5, 9)), np.empty((5, 9))
    fx.fill_(other, Orthogonal(0.5, "keras"), seed=1, stream="w")
    assert (fx.orthogonal_(array, 0.5, layout="keras", seed=1, stream="w") == other).all()
    fx.fill_(other, Sparse(0.4, 0.2), seed=1, stream="w")
    assert (fx.sparse_(array, 0.4, 0.2, seed=1, stream="w") == other).all()


@pytest.mark.parametrize("place", [{"global_shape": (4, 4)}, {"offset": (0, 0)}])
def test_a_structure_has_no_shards(place):
    array = np.full((2, 4), 99.0)
    with pytest.raises(ValueError, match="whole tensor"):
        fx.fill_(array, Identity(), seed=1, **place)
    assert (array == 99).all()


def test_a_refused_structure_takes_no_stream():
    fx.manual_seed(5)
    with pytest.raises(ValueError, match="matrix"):
        fx.fill_(np.empty(3), Orthogonal())
    taken = fx.fill_(np.empty(9), fx.Normal())
    assert (taken == fx.fill_(np.empty(9), fx.Normal(), seed=5, stream=0)).all()


@pytest.mark.parametrize("distribution", [None, "normal", 3, fx.Normal, Orthogonal])
def test_what_is_no_distribution(distribution):
    with pytest.raises(TypeError, match="Distribution or a Structure"):
        fx.fill_(np.empty((3, 3)), distribution)
