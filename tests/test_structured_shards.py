"""Parts of a tensor that a structured initializer writes apart are those of the whole."""

import itertools
import re
import tracemalloc

import cases
import numpy as np
import pytest
from effort import examples
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from structured_cases import every_dtype, every_example, refused, written

import fastxavier as fx
from fastxavier import _core
from fastxavier.structured import DeltaOrthogonal, Dirac, Identity, Orthogonal, Sparse, sparse

LAYOUTS = ("torch", "jax", "keras")


def part_of(whole, offset, extents):
    return whole[tuple(slice(o, o + n) for o, n in zip(offset, extents, strict=True))]


def parts_of(shape, cuts):
    """(offset, extents) of each part of a grid, each axis cut at `cuts(extent)`."""
    intervals = [itertools.pairwise([0, *sorted(cuts(n)), n]) for n in shape]
    for box in itertools.product(*intervals):
        yield tuple(a for a, _ in box), tuple(b - a for a, b in box)


def arrays_of(extents, dtype):
    """Arrays that lie differently in memory, over and over."""
    ndim = len(extents)
    while True:
        yield np.full(extents, 9, dtype)
        yield np.full(extents, 9, dtype, order="F")
        yield np.full([2 * n for n in extents], 9, dtype)[(slice(None, None, -2),) * ndim]
        yield np.full([n + 2 for n in extents], 9, dtype)[(slice(1, -1),) * ndim]


def same_bits(got, expected):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes()


# ---- parts make the whole ------------------------------------------------------------------------

GRIDS = {  # empty parts are in some of them
    "halves": lambda n: (n // 2,),
    "ends": lambda n: (1, n - 1) if n > 1 else (0, 1),
    "middle": lambda n: ((n - 1) // 2, n // 2, n // 2 + 1),
}


@every_example
@every_dtype
@pytest.mark.parametrize("grid", GRIDS)
def test_parts_make_the_whole(initializer, shape, dtype, grid):
    """Every part of a grid, whatever memory it lies in; what lies beside it stays."""
    whole = written(initializer, shape, dtype)
    assembled = np.full(shape, 9, whole.dtype)
    parts = list(parts_of(shape, GRIDS[grid]))
    for number, (offset, extents) in enumerate(parts):
        *_, part = itertools.islice(arrays_of(extents, whole.dtype), number % 4 + 1)
        threads = (None, 1, 3)[number % 3]
        initializer.write(part, (7, 3), threads, shape, offset)
        same_bits(part, part_of(whole, offset, extents))
        base = part if part.base is None else part.base
        assert np.count_nonzero(base == 9) == base.size - part.size
        part_of(assembled, offset, extents)[...] = part
    same_bits(assembled, whole)


KERNELS = [Dirac(), Dirac(2), Dirac(3, gain=0.5), DeltaOrthogonal(0.5)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", [(3,), (4, 3), (1, 2, 3)])
@pytest.mark.parametrize("initializer", KERNELS, ids=repr)
def test_every_element_of_a_kernel(initializer, kernel, layout):
    """Each as a part of its own, in any layout."""
    initializer = initializer.in_layout(layout)
    shape = (6, 4, *kernel) if layout == "torch" else (*kernel, 4, 6)
    whole = written(initializer, shape)
    assert whole.any()
    element = np.empty((1,) * len(shape))
    for place in np.ndindex(shape):
        initializer.write(element, (7, 3), None, shape, place)
        assert element == whole[place]


@st.composite
def parts(draw):
    """An initializer, a shape that it supports, and a box in it."""
    kind = draw(st.sampled_from([Identity, Dirac, Orthogonal, DeltaOrthogonal, Sparse]))
    layout = draw(st.sampled_from([None, *LAYOUTS]))
    gain = draw(st.sampled_from([0.0, 0.3, 1.0]))
    if kind in (Identity, Sparse):
        shape = [draw(st.integers(0, 40)), draw(st.integers(0, 40))]
        fraction = draw(st.floats(0, 1))
        initializer = Identity(gain) if kind is Identity else Sparse(fraction, gain)
    elif kind is Orthogonal:
        initializer = Orthogonal(gain, layout=layout)
        shape = draw(st.lists(st.integers(0, 9), min_size=2, max_size=5))
    else:
        inputs, more, groups = (draw(st.integers(1, 6)) for _ in range(3))
        kernel = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
        if kind is Dirac:
            outputs, initializer = groups * more, Dirac(groups, gain=gain, layout=layout)
        else:
            outputs, initializer = inputs + more - 1, DeltaOrthogonal(gain, layout=layout)
        units_last = layout in ("jax", "keras")
        shape = [*kernel, inputs, outputs] if units_last else [outputs, inputs, *kernel]
    offset = [draw(st.integers(0, n)) for n in shape]
    extents = [draw(st.integers(0, n - o)) for n, o in zip(shape, offset, strict=True)]
    return initializer, tuple(shape), tuple(offset), tuple(extents)


@seed(1912)
@settings(
    max_examples=examples(400),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    part=parts(),
    dtype=st.sampled_from(list(cases.DTYPES)),
    memory=st.integers(0, 3),
    key=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
)
def test_any_part_in_any_memory(part, dtype, memory, key):
    """The box of the whole, byte for byte, and nothing beside it."""
    initializer, shape, offset, extents = part
    whole = written(initializer, shape, dtype, key)
    *_, array = itertools.islice(arrays_of(extents, whole.dtype), memory + 1)
    *_, expected = itertools.islice(arrays_of(extents, whole.dtype), memory + 1)
    initializer.write(array, key, None, shape, offset)
    expected[...] = part_of(whole, offset, extents)
    bases = (each if each.base is None else each.base for each in (array, expected))
    same_bits(*bases)


@every_example
def test_the_origin_is_the_default(initializer, shape):
    """Without an offset the part is the first corner; any sequence or iterator of integers does."""
    whole = written(initializer, shape)
    extents = [n - 1 for n in shape]
    for kind in (tuple, list, np.array, iter):
        for offset in (None, kind((0,) * len(shape))):
            part = np.full(extents, 9.0)
            initializer.write(part, (7, 3), None, kind(shape), offset)
            same_bits(part, part_of(whole, (0,) * len(shape), extents))
    streams = _core.Streams(7)
    for stream in range(2):
        whole = written(initializer, shape, key=(7, stream))
        initializer.write(part, streams, None, shape)
        same_bits(part, part_of(whole, (0,) * len(shape), extents))


# ---- parts of tensors that no memory holds -------------------------------------------------------


def test_identity_far_away():
    """Of 2**31 rows and columns: on the diagonal, beside it, across it."""
    shape, far = (1 << 31, 1 << 31), (1 << 30) + 5
    for beside in (-200, -3, 0, 4, 200):
        part = np.full((50, 60), 9, np.float32)
        Identity(0.5).write(part, (0, 0), None, shape, (far, far + beside))
        same_bits(part, np.float32(0.5) * np.eye(50, 60, -beside, dtype=np.float32))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dirac_far_away(layout):
    """Of 2**24 channels in 4 groups, and of a kernel of 2**15: where the channels agree."""
    shape, offset = (1 << 24, 1 << 22, 1 << 15), ((1 << 23) + 100, 90, (1 << 14) - 2)
    part = np.full((30, 40, 5), 9.0)
    order = [0, 1, 2] if layout == "torch" else [2, 1, 0]
    Dirac(4, layout=layout).write(
        part.transpose(order),
        (0, 0),
        None,
        [shape[axis] for axis in order],
        [offset[axis] for axis in order],
    )
    expected = np.zeros(part.shape)
    expected[:, :, 2] = np.eye(30, 40, 10)
    same_bits(part, expected)


def test_sparse_far_away():
    """The last columns of as many elements as there can be, by the definition in its notes."""
    rows, columns = 8, 1 << 58
    size = rows * columns
    part = np.empty((rows, 5), np.float32)
    Sparse(0.4, 0.5).write(part, (7, 3), None, (rows, columns), (0, columns - 5))
    numbers = np.empty(5 * rows)
    indices = {"global_shape": (2 * size,), "offset": (2 * size - 5 * rows,)}
    fx.fill_(numbers, fx.Uniform(-1, 1), seed=7, stream=3, **indices)
    zeros = np.argsort(numbers.reshape(5, rows), axis=1)[:, :4].T
    expected = np.empty_like(part)
    place = {"global_shape": (rows, columns), "offset": (0, columns - 5)}
    fx.fill_(expected, fx.Normal(0, 0.5), seed=7, stream=3, **place)
    np.put_along_axis(expected, zeros, 0, axis=0)
    same_bits(part, expected)


def test_more_elements_than_sparse_can_have():
    """Each takes two indices, of which there are 2**62."""
    shape = {"global_shape": (1 << 31, (1 << 30) + 1)}
    refused(Sparse(0.5), ValueError, r"2\*\*61 elements", np.ones((3, 3)), **shape)


def test_memory_of_a_sparse_part():
    """That of a batch of columns' numbers, not of the part's columns together."""
    part = np.empty((1, 300), np.float32)
    tracemalloc.start()
    try:
        Sparse(0.5).write(part, (7, 3), 1, (100_000, 10**9), (99_999, 10**8))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * 8 * sparse._RANKED_AT_ONCE < 8 * 100_000 * 300
    assert 90 < np.count_nonzero(part) < 210


def test_parts_of_sparse_in_pieces(monkeypatch):
    """How many columns are ranked at once does not matter to a part either."""
    whole = written(Sparse(0.4), (21, 17))
    for at_once in (1, 50, 100):
        monkeypatch.setattr(sparse, "_RANKED_AT_ONCE", at_once)
        part = np.empty((9, 11))
        Sparse(0.4).write(part, (7, 3), None, (21, 17), (5, 4))
        same_bits(part, whole[5:14, 4:15])


def test_parts_beside_the_middle_draw_no_matrix():
    """A part of a delta-orthogonal kernel without its middle costs nothing and is 0."""
    shape, part = (1 << 20, 1 << 19, 3), np.full((7, 5, 1), 9.0)
    for place in (0, 2):
        DeltaOrthogonal().write(part, (7, 3), None, shape, (1000, 1000, place))
        assert not part.any()


# ---- what is refused -----------------------------------------------------------------------------


@every_example
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_empty_parts(initializer, shape, dtype):
    """They may lie anywhere up to the far corner, and all checks are made for them, too."""
    for axis in range(len(shape)):
        extents = [0 if axis == a else 1 for a in range(len(shape))]
        array = np.empty(extents, dtype)
        corner = [n - extent for n, extent in zip(shape, extents, strict=True)]
        for offset in (None, [0] * len(shape), corner):
            initializer.write(array, (7, 3), None, shape, offset)
            initializer.check(array, None, shape, offset)
        corner[axis] += 1
        refused(initializer, ValueError, "lie inside", array, global_shape=shape, offset=corner)


def places(shape):
    """Places at which an array of the shape, of two axes or more, cannot lie, with the error."""
    ndim = len(shape)
    larger = tuple(n + 1 for n in shape)
    yield ValueError, {"global_shape": (shape[0] - 1, *shape[1:])}
    yield ValueError, {"global_shape": larger, "offset": (2, *(0,) * (ndim - 1))}
    yield ValueError, {"global_shape": larger, "offset": [0] * (ndim - 1) + [2]}
    yield ValueError, {"global_shape": shape[1:]}
    yield ValueError, {"global_shape": (*shape, 1), "offset": (0,) * ndim}
    yield ValueError, {"global_shape": shape, "offset": (0,)}
    yield ValueError, {"global_shape": shape, "offset": (-1, *(0,) * (ndim - 1))}
    yield ValueError, {"global_shape": (1 << 62, 1 << 62, *shape[2:])}
    yield ValueError, {"global_shape": (1 << 70, *shape[1:])}
    yield ValueError, {"offset": (0,) * ndim}
    yield TypeError, {"global_shape": 3}
    yield TypeError, {"global_shape": shape, "offset": 0}
    yield TypeError, {"global_shape": (float(shape[0]), *shape[1:])}
    yield TypeError, {"global_shape": shape, "offset": (False, *(0,) * (ndim - 1))}


@every_example
def test_places_that_are_refused(initializer, shape):
    """In the words of a fill of the same array; nothing is written, no stream taken."""
    array = np.full(shape, 9.0)
    for error, place in places(shape):
        whole, offset = place.get("global_shape"), place.get("offset")
        with pytest.raises(error) as raised:
            _core.fill(array, fx.Constant(1.0), (7, 3), whole, offset, None)
        refused(initializer, error, f"^{re.escape(str(raised.value))}$", array, **place)


@every_example
def test_global_shapes_that_are_refused(initializer, shape):
    """The whole tensor's shape must be supported, and the error names it."""
    wrong = (4, 4) if isinstance(initializer, (Dirac, DeltaOrthogonal)) else (4,)
    message = rf"global_shape \({', '.join(map(str, wrong))},?\) is not"
    refused(initializer, ValueError, message, np.ones(wrong), global_shape=wrong)
    with pytest.raises(ValueError, match=message) as raised:
        initializer.check(np.ones(wrong), None, wrong)
    assert (raised.value.argument, raised.value.value) == ("global_shape", wrong)
    assert repr(initializer) in str(raised.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_channels_are_those_of_the_whole(layout):
    """A part may have channels that a whole kernel may not have, and the other way round."""

    def kernel(outputs, inputs):
        return (outputs, inputs, 3) if layout == "torch" else (3, inputs, outputs)

    place = {"global_shape": kernel(10, 6)}
    Dirac(5, layout=layout).write(np.ones(kernel(7, 6)), (7, 3), 1, **place)
    DeltaOrthogonal(layout=layout).write(np.ones(kernel(2, 6)), (7, 3), 1, **place)
    place = {"global_shape": kernel(11, 12)}
    message = "groups is 5; it must divide the 11 output channels"
    refused(Dirac(5, layout=layout), ValueError, message, np.ones(kernel(10, 6)), **place)
    message = r"global_shape \(.*\) has 12 input channels and 11 output channels"
    refused(DeltaOrthogonal(layout=layout), ValueError, message, np.ones(kernel(10, 6)), **place)


@pytest.mark.parametrize("initializer", [Orthogonal(), DeltaOrthogonal()], ids=repr)
def test_no_memory_for_the_whole(initializer):
    """A matrix that is too large to draw is found out before the part is written."""
    ndim = 2 if isinstance(initializer, Orthogonal) else 3
    array = np.full((3,) * ndim, 9.0)
    shape = (1 << 32, 1 << 26, 3)[:ndim]
    with pytest.raises(MemoryError):
        initializer.write(array, (7, 3), None, shape)
    assert (array == 9).all()
