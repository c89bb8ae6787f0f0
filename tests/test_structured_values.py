"""The values of structured initializers, against what defines each of them."""

import itertools
import math
from fractions import Fraction

import cases
import golden
import ml_dtypes
import numpy as np
import pytest
from structured_cases import every_dtype, refused, written

import fastxavier as fx
from fastxavier.structured import DeltaOrthogonal, Dirac, Identity, Orthogonal, Sparse, sparse

# ---- the bits ------------------------------------------------------------------------------------

# Digests, as tests/support/golden.py makes them, of what does not depend on LAPACK. They belong to
# version 1 of the stream and never change.
GOLDEN = [
    (Identity(0.3), (60, 41), "float32", "f3af36aa4ca9d709eca54d4c33efb997"),
    (Identity(0.3), (60, 41), "float64", "a61b4ece37fd7f96c88b9d6c0793594f"),
    (Identity(0.3), (60, 41), "float16", "7320e5a79c4ab61b63eef4c696f48f52"),
    (Identity(0.3), (60, 41), "bfloat16", "e22ca98e2713da3d81bf6a49cfa93fd2"),
    (Identity(0.3), (60, 41), "float8_e4m3fn", "5c36c220a3581a00b2b780d3db5c09c1"),
    (Identity(0.3), (60, 41), "float8_e5m2", "9cc9257444c805710dabc3c2ad6b6941"),
    (Dirac(2, gain=1.5), (16, 12, 3, 5), "float32", "15a41f3af6b3eccf3d9fdd20dc802598"),
    (Dirac(2, gain=1.5), (16, 12, 3, 5), "float64", "448f223f77efd079cf7c2bf64bd34344"),
    (Dirac(2, gain=1.5), (16, 12, 3, 5), "float16", "147b30fec68ace5f8e32d76bb4d3e7fc"),
    (Dirac(2, gain=1.5), (16, 12, 3, 5), "bfloat16", "b84273622cc026666efa9e34df89220a"),
    (Dirac(2, gain=1.5), (16, 12, 3, 5), "float8_e4m3fn", "78c43d2dc3cfb9f4a279f3456aea20a8"),
    (Dirac(2, gain=1.5), (16, 12, 3, 5), "float8_e5m2", "97e93cc5222f7af55ceea962bd8aefc7"),
    (Dirac(layout="keras"), (4, 3, 20, 30), "float32", "e7ab8a6906dcbd5803b61b6ef01e646e"),
    (Dirac(layout="keras"), (4, 3, 20, 30), "float64", "89ee37e1bca09cd7039d2d66ddda2e23"),
    (Dirac(layout="keras"), (4, 3, 20, 30), "float16", "7637e235e9ec026d759104cacce4ce22"),
    (Dirac(layout="keras"), (4, 3, 20, 30), "bfloat16", "d030b879596da3fc06b0b542ff8ae7ee"),
    (Dirac(layout="keras"), (4, 3, 20, 30), "float8_e4m3fn", "bc4f09bb068b66662ec957c88138276a"),
    (Dirac(layout="keras"), (4, 3, 20, 30), "float8_e5m2", "b2e2c23ebbe3b8503145ebcd75e6aa38"),
    (Sparse(0.4, 0.5), (301, 75), "float32", "6f8c1e4974f44215d2c5012c5f24ae79"),
    (Sparse(0.4, 0.5), (301, 75), "float64", "3be2697517b43080a708299a651262fd"),
    (Sparse(0.4, 0.5), (301, 75), "float16", "c7a3c3f12b2cf3e281be53cf93ad40c8"),
    (Sparse(0.4, 0.5), (301, 75), "bfloat16", "75e3397003dc5d1a77b4288570ac6816"),
    (Sparse(0.4, 0.5), (301, 75), "float8_e4m3fn", "f3ff7dc0ea037e6bc0318e6fdbe885af"),
    (Sparse(0.4, 0.5), (301, 75), "float8_e5m2", "b0c8545b6234a5e87ab1d33de8635b0b"),
    (Sparse(0.9), (24, 1001), "float32", "839ebd3428ac07464c03493abd07d750"),
    (Sparse(0.9), (24, 1001), "float64", "ce7341f57a84232b66544c18e1cdd4bd"),
    (Sparse(0.9), (24, 1001), "float16", "6c3230b8f1cb64ebd58943805a7ef776"),
    (Sparse(0.9), (24, 1001), "bfloat16", "c510977ce24a93e404e366ea294ddb0e"),
    (Sparse(0.9), (24, 1001), "float8_e4m3fn", "171142a52aa118d8c8b546c20cbb29ed"),
    (Sparse(0.9), (24, 1001), "float8_e5m2", "70ceff5ecfd0c0a436dcd8f02b94507b"),
]


@pytest.mark.parametrize(("initializer", "shape", "dtype", "digest"), GOLDEN, ids=repr)
def test_golden(initializer, shape, dtype, digest, isa):
    """The same bits on every machine, by every instruction set."""
    assert golden.digest(written(initializer, shape, dtype, (golden.SEED, 3))) == digest


def test_golden_are_all_there_are():
    """Each initializer without a decomposition, in each dtype."""
    known = itertools.product((Identity, Dirac, Sparse), cases.DTYPES)
    assert {(type(initializer), dtype) for initializer, _, dtype, _ in GOLDEN} == set(known)


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
    array = written(Dirac(groups, gain=2.5, layout=layout), shape)
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

    An entry is within epsilon / 2 of itself, or half of the smallest number, so a unit vector
    within `error`, the product of two within twice that and its square, and a little: for float64
    and the sums, 100 epsilon of float64.
    """
    info = ml_dtypes.finfo(cases.DTYPES[dtype])
    products = gram(written(Orthogonal(1, layout=layout), shape, dtype), layout)
    smallest = float(info.smallest_subnormal)
    error = (1.01 * float(info.eps) + math.sqrt(math.prod(shape)) * smallest) / 2
    bound = 2 * error + error**2 + 100 * 2.0**-52
    assert np.abs(products - np.eye(len(products))).max() < bound


@every_dtype
@pytest.mark.parametrize("gain", [0, 1e-4, 0.3, 3, 1000])
@pytest.mark.parametrize("layout", ["torch", "jax"])
def test_orthogonal_deviation(dtype, gain, layout):
    """What is written is within the tolerance, subnormal numbers of narrow dtypes included."""
    initializer = Orthogonal(gain, layout=layout)
    info = ml_dtypes.finfo(cases.DTYPES[dtype])
    if gain > float(info.max):
        with pytest.raises(ValueError, match="beyond the largest"):
            written(initializer, (3, 3), dtype)
        return
    least = float(info.smallest_subnormal) / (gain or 1)
    for shape in [(40, 30), (30, 40), (7, 5, 3), (1, 1)]:
        array = written(initializer, shape, dtype)
        products = gram(array, layout) / (gain or 1) ** 2
        deviation = initializer.deviation(array)
        distance = np.abs(products - (gain > 0) * np.eye(len(products))).max()
        assert deviation == pytest.approx(distance, rel=1e-6, abs=1e-12)
        assert deviation <= initializer.tolerance(array)
        # Less than the 1 by which a matrix of zeros is off, unless rounding makes it one.
        limit = max(0.1, 1.5 * float(info.eps)) if gain > 0.01 else 1
        assert initializer.tolerance(array) < limit or least > 0.1


@pytest.mark.parametrize(("shape", "larger"), [((100, 4), 100), ((4, 100), 100), ((9, 9), 9)])
def test_orthogonal_tolerance_by_hand(shape, larger):
    """Rounding of normal numbers, of subnormal ones, and the errors of a decomposition."""
    gain = 2.0**-20
    # Twice the length of a row of errors, half of the smallest number and of an ulp in each entry.
    row = larger**0.5 * 2.0**-24 / gain + 1.01 * 2.0**-10
    expected = row + (row / 2) ** 2 + 2 * math.prod(shape) ** 0.5 * 2.0**-23
    found = Orthogonal(gain).tolerance(np.empty(shape, np.float16))
    assert found == pytest.approx(expected, rel=1e-12)


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
    initializer = Orthogonal()
    assert 2.0**-23 < initializer.deviation(basis) < initializer.tolerance(basis) < 1e-4
    assert initializer.deviation(basis[:, :100]) < initializer.tolerance(basis[:, :100])
    spoilt = basis * np.float32(1.0001)
    assert initializer.deviation(spoilt) > initializer.tolerance(spoilt)


def test_layouts_hold_the_same_matrix():
    """A weight of JAX or Keras is that of torch, transposed."""
    for shape in [(4, 7), (7, 4), (5, 5)]:
        torch = written(Orthogonal(), shape)
        for layout in ("jax", "keras"):
            assert (written(Orthogonal(1, layout=layout), shape[::-1]) == torch.T).all()
    kernel = written(Orthogonal(), (6, 2, 3, 4))
    other = written(Orthogonal(1, layout="keras"), (2, 3, 4, 6))
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
    """16 and 8 bits are the float32 values rounded once; float64 has other normals, close by."""
    single = written(Orthogonal(0.7), (12, 9), "float32")
    for dtype in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
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
    """What tells matrices of order 3 from Haar ones; by chance, anything in one of 10**5 runs.

    A row of a Haar matrix is a uniform point of the sphere, so each entry is distributed as
    U[-1, 1] (Archimedes). The trace has a mean square of 1, and rotations and reflections are
    equally frequent.
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
    initializer, matrices = Orthogonal(), np.empty((COUNT, 3, 3))
    for stream, matrix in enumerate(matrices):
        initializer.write(matrix, (11, stream))
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
        other = written(DeltaOrthogonal(0.7, layout=layout), (*kernel, 4, 7), dtype)
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
    initializer = DeltaOrthogonal(gain, layout=layout)
    array = written(initializer, (5, 4, 3) if layout == "torch" else (3, 4, 5), "float32")
    tolerance = initializer.tolerance(array)
    assert initializer.deviation(array) <= tolerance
    array.flat[0] = 0.25
    assert initializer.deviation(array) == pytest.approx(0.25 / (gain or 1))


def test_delta_orthogonal_has_no_fewer_outputs():
    for layout, shape in [("torch", (3, 4, 3)), ("jax", (3, 4, 3)), ("keras", (1, 2, 4, 3))]:
        initializer = DeltaOrthogonal(layout=layout)
        message = "4 input channels and 3 output channels"
        refused(initializer, ValueError, message, np.ones(shape))
        with pytest.raises(ValueError, match=message):
            initializer.deviation(np.ones(shape))


# ---- sparse --------------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("sparsity", [0, 0.07, 0.1, 0.3, 0.5, 0.999, 1, Fraction(1, 3)])
@pytest.mark.parametrize("shape", [(100, 30), (1, 9), (9, 1), (17, 13)])
def test_sparse_counts(sparsity, dtype, shape):
    """Exactly ceil(sparsity * rows) zeros in every column; the others are what a fill draws.

    Of which some, too, are zeros in eight bits.
    """
    array = written(Sparse(sparsity, 0.5), shape, dtype)
    filled = fx.fill_(np.empty_like(array), fx.Normal(0, 0.5), seed=7, stream=3)
    zeros = math.ceil(float(sparsity) * shape[0])
    surplus = (array == 0).sum(axis=0) - zeros
    assert (surplus >= 0).all()
    assert (surplus <= (filled == 0).sum(axis=0)).all()
    assert (array[array != 0] == filled[array != 0]).all()
    assert Sparse(sparsity, 0.5).deviation(array) == surplus.max()
    assert surplus.max() <= Sparse(sparsity, 0.5).tolerance(array)


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
        monkeypatch.setattr(sparse, "_RANKED_AT_ONCE", at_once)
        assert (written(Sparse(0.4), (21, 17)) == expected).all()


@pytest.mark.parametrize("count", [1, 3, 8, 19, 20])
def test_lowest_of_equal_numbers(count):
    """As a stable sort ranks them, the first one first."""
    numbers = np.random.default_rng(4).integers(0, 4, (200, 20)).astype(float)
    expected = np.zeros(numbers.shape, bool)
    ranked = np.argsort(numbers, axis=1, kind="stable")
    np.put_along_axis(expected, ranked[:, :count], True, axis=1)
    assert (sparse._lowest(numbers, count) == expected).all()


@pytest.mark.parametrize("shape", [(40, 20_000), (39, 19_999)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparse_moments(shape, dtype):
    """Every row is as often zero; the other values have the moments of the normal."""
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
