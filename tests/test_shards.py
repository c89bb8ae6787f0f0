"""Shards: parts of a global tensor, filled apart, are the whole, whatever memory they lie in."""

import itertools

import cases
import numpy as np
import pytest
import reference
from effort import examples
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import fastxavier as fx

DTYPES = list(cases.DTYPES.values())
DISTRIBUTIONS = [
    fx.Uniform(-0.5, 1.5),
    fx.Normal(0.1, 2.0),
    fx.TruncatedNormal(0.0, 1.0, -1.0, 3.0),
]

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_distribution = pytest.mark.parametrize(
    "distribution", DISTRIBUTIONS, ids=lambda distribution: type(distribution).__name__
)


def same_bits(got, expected):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes()


def intervals(extent, cuts):
    """[0, extent) cut at the places given."""
    places = [0, *sorted(cuts), extent]
    return list(itertools.pairwise(places))


def parts_of(shape, cuts):
    """(offset, shape) of each part of a grid of cuts."""
    for box in itertools.product(*(intervals(n, c) for n, c in zip(shape, cuts, strict=True))):
        yield tuple(a for a, _ in box), tuple(b - a for a, b in box)


# Cuts of every axis: off the multiples of 4 that a counter block holds, and an empty part.
GRIDS = {
    1: ((1003,), ((1, 6, 515, 515),)),
    2: ((67, 131), ((1, 32, 33), (2, 65))),
    3: ((9, 31, 37), ((4,), (3, 30), (1, 2, 19))),
    4: ((5, 7, 11, 13), ((2,), (1, 6), (5,), (3, 4))),
}


@pytest.mark.parametrize("ndim", GRIDS)
@every_dtype
@every_distribution
def test_parts_make_the_whole(ndim, dtype, distribution, isa):
    """Each part of a grid holds what the whole tensor holds there; orders of memory mix."""
    shape, cuts = GRIDS[ndim]
    whole = fx.fill_(np.empty(shape, dtype), distribution, seed=21, stream="shards")
    assembled = np.zeros(shape, dtype)
    for number, (offset, extent) in enumerate(parts_of(shape, cuts)):
        place = tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))
        part = [
            np.empty(extent, dtype),
            np.empty(extent, dtype, order="F"),
            np.empty([2 * e for e in extent], dtype)[(slice(None, None, -2),) * ndim],
            assembled[place],
        ][number % 4]
        returned = fx.fill_(
            part, distribution, seed=21, stream="shards", global_shape=shape, offset=offset
        )
        assert returned is part
        assembled[place] = part
    same_bits(assembled, whole)


def test_parts_of_initializers():
    """The Glorot fills take the same keywords."""
    for fill in (fx.uniform_, fx.normal_, fx.truncated_normal_):
        whole = fill(np.empty((20, 30), np.float32), 30, 20, seed=1, stream=2)
        part = np.empty((7, 11), np.float32)
        fill(part, 30, 20, seed=1, stream=2, global_shape=(20, 30), offset=(13, 19))
        same_bits(part, whole[13:, 19:])


def test_default_offset_is_the_origin():
    """Without offset the array is the first corner; lists and NumPy integers are fine."""
    whole = fx.fill_(np.empty((6, 10)), fx.Normal(), seed=1)
    for kind in (tuple, list, np.array):
        part = fx.fill_(np.empty((4, 3)), fx.Normal(), seed=1, global_shape=kind((6, 10)))
        same_bits(part, whole[:4, :3])
        part = np.empty((4, 3))
        fx.fill_(part, fx.Normal(), seed=1, global_shape=kind((6, 10)), offset=kind((2, 7)))
        same_bits(part, whole[2:, 7:])


def test_shard_of_the_module_default():
    """Without a seed a shard takes the next stream of the module default, like any array."""
    fx.manual_seed(77)
    fx.fill_(np.empty(1), fx.Normal())
    part = fx.fill_(np.empty(4), fx.Normal(), global_shape=(9,), offset=(5,))
    same_bits(part, fx.fill_(np.empty(9), fx.Normal(), seed=77, stream=1)[5:])


WHOLE_4_3 = {"global_shape": (9, 3), "offset": (5, 0)}
RANDOM = {
    "fill": lambda w, **key: fx.fill_(w, fx.Normal(), **key),
    "fill by fans": lambda w, **key: fx.fill_(w, fx.he_normal(), **key),
    "fill by name": lambda w, **key: fx.fill_(w, "lecun_normal", **key),
    "orthogonal": fx.orthogonal_,
    "sparse": lambda w, **key: fx.sparse_(w, 0.5, **key),
    "he": fx.he_uniform_,
    "uniform": lambda w, **key: fx.uniform_(w, 3, 9, **key),
    "normal": lambda w, **key: fx.normal_(w, 3, 9, **key),
    "truncated": lambda w, **key: fx.truncated_normal_(w, 3, 9, **key),
    "draw": lambda w, **key: fx.draw(w.shape, fx.Normal(), **key),
}


@pytest.mark.parametrize("seed", [{}, {"seed": None}, {"stream": "w"}], ids=str)
@pytest.mark.parametrize("call", RANDOM.values(), ids=RANDOM)
def test_random_shard_needs_a_seed(call, seed, unseeded):
    """Parts of fresh entropy are no tensor together; nothing is written and no stream taken."""
    w = np.full((4, 3), 9.0)
    with pytest.raises(ValueError, match=r"global_shape is \(9, 3\) without a seed") as raised:
        call(w, **WHOLE_4_3, **seed)
    assert raised.value.argument == "seed"
    assert (w == 9).all()
    call(w, **WHOLE_4_3, seed=np.random.default_rng(1))
    call(w, **WHOLE_4_3, seed=fx.Streams(7))


def test_shard_without_a_seed_where_nothing_is_drawn(unseeded):
    """Constants and patterns need none."""
    w = np.full((4, 3), 9.0)
    fx.zeros_(w, **WHOLE_4_3)
    assert not w.any()
    fx.eye_(w, global_shape=(9, 3), offset=(1, 0))
    assert (w == np.eye(9, 3)[1:5]).all()
    fx.fill_(w, fx.Constant(2), **WHOLE_4_3, seed=None)
    assert (w == 2).all()


def test_shard_without_axes():
    """A 0-d array is a shard of a 0-d tensor."""
    part = fx.fill_(np.empty(()), fx.Normal(), seed=3, global_shape=(), offset=())
    assert part == fx.fill_(np.empty(()), fx.Normal(), seed=3)


@pytest.mark.parametrize("offset", [(0, 0), (2, 3), (4, 3), (2, 6), (4, 6)])
def test_empty_shard(offset):
    """An empty part may lie anywhere up to the far corner."""
    part = np.empty((0, 0))
    assert fx.fill_(part, fx.Normal(), seed=3, global_shape=(4, 6), offset=offset) is part


@pytest.mark.parametrize(
    "start",
    [0, 1, (1 << 32) - 5, (1 << 34) - 70, (1 << 34) - 3, (1 << 61) + 6, (1 << 62) - 203],
)
@every_dtype
def test_far_indices_match_the_reference(start, dtype, isa):
    """Across the carry of the counter's low word, and up to the last index, 2**62 - 1."""
    got = np.empty(203, dtype)
    fx.fill_(got, fx.Uniform(-3, 5), seed=8, stream=4, global_shape=(1 << 62,), offset=(start,))
    indices = np.arange(start, start + 203, dtype=np.uint64)
    same_bits(got, reference.uniform(8, 4, indices, -3, 5, dtype.name))


@every_distribution
def test_far_box_in_two_axes(distribution, isa):
    """Rows of a tensor of 2**62 elements, each beginning deep inside it."""
    shape, offset = (1 << 30, 1 << 32), ((1 << 30) - 5, (1 << 31) - 7)
    box = np.zeros((40, 5), np.float32).T
    fx.fill_(box, distribution, seed=8, global_shape=shape, offset=offset)
    for row in range(5):
        run = np.empty(40, np.float32)
        start = (offset[0] + row) * shape[1] + offset[1]
        fx.fill_(run, distribution, seed=8, global_shape=(1 << 62,), offset=(start,))
        same_bits(box[row], run)


@pytest.mark.parametrize("width", [3, 31, 32, 100, 127, 128, 131, 256, 257, 512, 700])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_columns_of_a_wide_tensor(width, dtype, isa):
    """Rows that begin at every word of a counter block, the same in each row or another."""
    distribution = fx.Uniform(-3, 5)
    for start, over in itertools.product((0, 1, 2, 3, 5), (0, 4, 1, 2, 3)):
        shape = (37, 720 + over)
        whole = fx.fill_(np.empty(shape, dtype), distribution, seed=5)
        part = np.full((37, width + 2), 7, dtype)[:, 1:-1]  # what is between the rows must stay
        fx.fill_(part, distribution, seed=5, global_shape=shape, offset=(0, start))
        same_bits(part, whole[:, start : start + width])
        assert (part.base[:, [0, -1]] == 7).all()


@pytest.mark.parametrize("column", [8, 9])
def test_columns_across_the_upper_counter_word(column, isa):
    """Of rows side by side, some lie below index 2**34, one across it and some beyond."""
    distribution, shape = fx.Normal(), (1 << 25, 1000)
    first = (1 << 34) // shape[1] - 3
    got = np.empty((6, 256), np.float32)
    fx.fill_(got, distribution, seed=2, global_shape=shape, offset=(first, column))
    for row in range(6):
        start = ((first + row) * shape[1] + column,)
        run = np.empty(256, np.float32)
        fx.fill_(run, distribution, seed=2, global_shape=(shape[0] * shape[1],), offset=start)
        same_bits(got[row], run)


# ---- any shape, any strides ----------------------------------------------------------------------


@st.composite
def shards(draw):
    """A global shape, a box in it, and steps, gaps and an order of axes for the box's memory."""
    ndim = draw(st.integers(0, 4))
    extent = [st.integers(0, 4000), st.integers(0, 90), st.integers(0, 25), st.integers(0, 9)]
    shape = [draw(extent[ndim - 1]) for _ in range(ndim)]
    offset = [draw(st.integers(0, n)) for n in shape]
    box = [draw(st.integers(0, n - o)) for n, o in zip(shape, offset, strict=True)]
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -1, -2])) for _ in range(ndim)]
    margins = [draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in range(ndim)]
    order = draw(st.permutations(range(ndim)))
    return shape, offset, box, steps, margins, order, draw(st.integers(0, 7))


def view_of(memory, dtype, box, steps, margins, order, shift):
    """The box in a byte buffer: a window with margins, stepped, its axes permuted."""
    extents = [
        before + after + abs(step) * n
        for n, step, (before, after) in zip(box, steps, margins, strict=True)
    ]
    stored = [extents[axis] for axis in order]
    size = int(np.prod(stored, dtype=int)) * dtype.itemsize
    base = np.frombuffer(memory, np.uint8)[shift : shift + size].view(dtype).reshape(stored)
    w = base.transpose(np.argsort(order)) if order else base
    for axis, (n, step, (before, _)) in enumerate(zip(box, steps, margins, strict=True)):
        window = np.arange(before, before + abs(step) * n)[:: abs(step)]
        first = int(window[0]) if n else 0
        piece = slice(first, first + abs(step) * n, abs(step))
        w = w[(slice(None),) * axis + (piece,)]
        if step < 0:
            w = np.flip(w, axis)
    return w


@seed(20100)
@settings(
    max_examples=examples(400),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    shard=shards(),
    dtype=st.sampled_from(DTYPES),
    distribution=st.sampled_from(DISTRIBUTIONS),
    threads=st.sampled_from([None, 1, 2, 3]),
    key=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1)),
)
def test_any_shard_in_any_memory(shard, dtype, distribution, threads, key):
    """The box of the contiguous whole, byte for byte, and the memory around it as it was."""
    shape, offset, box, steps, margins, order, shift = shard
    place = {"seed": key[0], "stream": key[1]}
    whole = fx.fill_(np.empty(shape, dtype), distribution, **place, threads=1)
    stored = np.prod([6 + 3 * n for n in box], dtype=int)
    got, expected = (bytearray(b"\xa5" * (8 * int(stored) + 8)) for _ in range(2))
    view, target = (
        view_of(memory, dtype, box, steps, margins, order, shift) for memory in (got, expected)
    )
    assert view.shape == tuple(box)
    target[...] = whole[tuple(slice(o, o + n) for o, n in zip(offset, box, strict=True))]
    fx.fill_(view, distribution, **place, global_shape=shape, offset=offset, threads=threads)
    assert got == expected


@seed(20101)
@settings(max_examples=100, deadline=None, database=None)
@given(
    count=st.integers(0, 5000),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
    dtype=st.sampled_from(DTYPES),
    distribution=st.sampled_from(DISTRIBUTIONS),
)
def test_any_split_of_a_run(count, cuts, dtype, distribution):
    """However a run is cut, its pieces join to it."""
    whole = fx.fill_(np.empty(count, dtype), distribution, seed=5, stream=6)
    joined = np.zeros(count, dtype)
    for start, end in intervals(count, [c for c in cuts if c <= count]):
        piece = joined[start:end]
        fx.fill_(piece, distribution, seed=5, stream=6, global_shape=(count,), offset=(start,))
    same_bits(joined, whole)
