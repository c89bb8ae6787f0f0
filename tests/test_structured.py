"""Structured initializers as values, their checks, what arrays they take, and fill_ with them."""

import copy
import dataclasses
import doctest
import importlib
import itertools
import math
import pickle
import pkgutil
from fractions import Fraction

import cases
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from structured_cases import EXAMPLES, every_dtype, every_example, refused, written

import fastxavier as fx
from fastxavier import _core, structured
from fastxavier.structured import (
    DeltaOrthogonal,
    Dirac,
    Identity,
    Orthogonal,
    Sparse,
    StructuredInitializer,
)

# ---- values --------------------------------------------------------------------------------------


def test_examples_are_all_there_are():
    """Each initializer that is exported has its examples."""
    known = {getattr(structured, name) for name in structured.__all__} - {StructuredInitializer}
    assert {type(initializer) for initializer, _ in EXAMPLES} == known
    assert all(issubclass(each, StructuredInitializer) for each in known)


@every_example
def test_value(initializer, shape):
    """The repr rebuilds it; copies and pickles are equal; no two examples are."""
    copies = [eval(repr(initializer)), copy.copy(initializer), copy.deepcopy(initializer)]
    copies += [
        pickle.loads(pickle.dumps(initializer, n)) for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for each in copies:
        assert type(each) is type(initializer)
        assert each == initializer
        assert hash(each) == hash(initializer)
        assert repr(each) == repr(initializer)
        assert (written(each, shape) == written(initializer, shape)).all()
    assert [other for other, _ in EXAMPLES if other == initializer] == [initializer]


@every_example
def test_immutable(initializer, shape):
    """No attribute can be set, added or deleted."""
    for name in ("gain", "groups", "layout", "sparsity", "std", "other"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(initializer, name, 1)
        with pytest.raises((AttributeError, TypeError)):
            delattr(initializer, name)


def test_numbers_of_any_kind():
    """Floats inside, and integers where they count."""
    assert Identity(2) == Identity(np.float32(2)) == Identity(Fraction(2))
    assert repr(Identity(2)) == "Identity(gain=2.0)"
    assert repr(Dirac(np.int8(2), gain=1)) == "Dirac(groups=2, gain=1.0, layout=None)"
    assert repr(Orthogonal(layout="torch")) == "Orthogonal(gain=1.0, layout='torch')"
    assert repr(Sparse(1)) == "Sparse(sparsity=1.0, std=0.01)"
    assert Identity() != Orthogonal()


def test_base_cannot_be_made():
    """It has no values of its own."""
    with pytest.raises(TypeError):
        StructuredInitializer()


WITH_GAIN = (Identity, Dirac, Orthogonal, DeltaOrthogonal)
WITH_LAYOUT = (Dirac, Orthogonal, DeltaOrthogonal)


def with_std(std):
    return Sparse(0.5, std)


NO_NUMBERS = ("1", None, True, 1j)
NOT_FINITE = (math.nan, math.inf, 10**400)
BAD = [
    *((make, "gain", value, ValueError) for make in WITH_GAIN for value in (-1, *NOT_FINITE)),
    *((make, "gain", value, TypeError) for make in WITH_GAIN for value in NO_NUMBERS[1:]),
    *((make, "gain", value, ValueError) for make in WITH_GAIN for value in ("1", "Tanhh")),
    *((Dirac, "groups", value, ValueError) for value in (0, -1)),
    *((Dirac, "groups", value, TypeError) for value in (1.0, True, None, "1")),
    *(
        (make, "layout", value, ValueError)
        for make in WITH_LAYOUT
        for value in ("flax", "", "embedding")
    ),
    *((make, "layout", value, ValueError) for make in WITH_LAYOUT for value in (0, True, ["jax"])),
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
    assert raised.value.argument == name
    assert raised.value.value == value or value != value


LAYOUTS = ("torch", "jax", "keras")


@every_example
def test_in_layout(initializer, shape):
    """A layout that is left open is filled in; one that is named stays, as does all else."""
    for layout in (*LAYOUTS, "embedding"):
        filled = initializer.in_layout(layout)
        assert type(filled) is type(initializer)
        if getattr(initializer, "layout", "none") is not None:
            assert filled is initializer
            continue
        assert filled.layout == ("torch" if layout == "embedding" else layout)
        assert dataclasses.replace(filled, layout=None) == initializer
        assert filled != initializer
        assert filled.in_layout("keras") is filled
    for layout in ("flax", None, 3):
        with pytest.raises(ValueError, match="layout is") as raised:
            initializer.in_layout(layout)
        assert raised.value.argument == "layout"
        assert set(raised.value.choices) == {*LAYOUTS, "embedding"}


@every_example
@every_dtype
def test_open_layout_is_torch(initializer, shape, dtype):
    """Writing and looking take the axes of torch where no layout is named."""
    if getattr(initializer, "layout", None) == "torch" or not hasattr(initializer, "layout"):
        return
    opened = dataclasses.replace(initializer, layout=None)
    torch = dataclasses.replace(initializer, layout="torch")
    shape = shape if initializer.layout is None else (*shape[-1:-3:-1], *shape[:-2])
    array = written(torch, shape, dtype)
    assert (written(opened, shape, dtype) == array).all()
    assert opened.deviation(array) == torch.deviation(array)
    assert opened.tolerance(array) == torch.tolerance(array)


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
def test_memory_layout_does_not_matter(initializer, shape, dtype):
    """The same values however the array lies; neighbours in memory stay."""
    dtype = cases.DTYPES[dtype]
    expected = written(initializer, shape, dtype)
    for array in memories(shape, dtype):
        initializer.write(array, (7, 3))
        assert array.shape == shape
        assert (array == expected).all()
    inside = np.full([extent + 2 for extent in shape], 9, dtype)
    initializer.write(inside[tuple(np.s_[1:-1] for _ in shape)], (7, 3))
    assert (inside == 9).sum() == inside.size - math.prod(shape)


@every_example
def test_memmap_and_threads(initializer, shape, tmp_path):
    """A file; any number of threads."""
    expected = written(initializer, shape)
    for threads in (1, 2, 7):
        assert (written(initializer, shape, threads=threads) == expected).all()
    array = np.memmap(tmp_path / "weights", np.float64, "w+", shape=shape)
    initializer.write(array, (7, 3))
    array.flush()
    assert (np.fromfile(tmp_path / "weights").reshape(shape) == expected).all()


@every_example
def test_seed_and_stream(initializer, shape):
    """Equal keys, equal values; what is random differs with either number."""
    keys = [(7, 3), (8, 3), (7, 4), (2**64 - 1, 2**64 - 1)]
    for (a, first), (b, second) in itertools.combinations(
        [(key, written(initializer, shape, key=key)) for key in [*keys, (7, 3)]], 2
    ):
        random = isinstance(initializer, (Orthogonal, DeltaOrthogonal, Sparse))
        assert (first == second).all() == (a == b or not random)


@every_example
@every_dtype
def test_empty_arrays(initializer, shape, dtype):
    """Nothing to do, nothing wrong."""
    for place in range(len(shape)):
        empty = list(shape)
        empty[place] = 0
        array = written(initializer, empty, dtype)
        assert initializer.deviation(array) == 0
        assert initializer.tolerance(array) >= 0


@every_example
def test_arrays_that_are_refused(initializer, shape):
    """As a fill refuses them: dtype, byte order, read-only, overlap, threads; and no array."""
    refused(initializer, TypeError, "array has dtype int32", np.ones(shape, np.int32))
    refused(initializer, TypeError, "array has dtype complex128", np.ones(shape, complex))
    refused(
        initializer, TypeError, "machine's order", np.ones(shape, np.dtype("f4").newbyteorder())
    )
    frozen = np.ones(shape)
    frozen.flags.writeable = False
    refused(initializer, ValueError, "read-only", frozen)
    refused(
        initializer, ValueError, "share memory", as_strided(np.ones(1), shape, [0] * len(shape))
    )
    for threads, error in [(0, ValueError), (1.5, TypeError)]:
        refused(initializer, error, "threads is", np.ones(shape), threads)
    for array in (None, [[1.0]], 3.0, np.float64(3), memoryview(np.ones(shape))):
        refused(initializer, TypeError, "array is a", array)


@every_example
def test_shapes_that_are_refused(initializer, shape):
    """The message holds the shape and the initializer; so does that of looking at an array."""
    wrong = {
        Identity: [(), (4,), (2, 2, 2)],
        DeltaOrthogonal: [(), (4, 4), (2,) * 6],
        Dirac: [(), (4,), (4, 4), (2,) * 6],
        Orthogonal: [(), (4,)],
        Sparse: [(), (4,), (2, 2, 2)],
    }[type(initializer)]
    for each in wrong:
        array = np.ones(each)
        refused(initializer, ValueError, r"array of shape \(", array)
        for look in (initializer.deviation, initializer.tolerance):
            with pytest.raises(ValueError, match="array of shape") as raised:
                look(array)
            assert repr(initializer) in str(raised.value)
            assert (raised.value.argument, raised.value.value) == ("array", each)


@pytest.mark.parametrize("layout", ["torch", "jax"])
def test_groups_that_do_not_divide(layout):
    """Named with the channels."""
    shape = (6, 2, 3) if layout == "torch" else (3, 2, 6)
    dirac = Dirac(4, layout=layout)
    refused(dirac, ValueError, "groups is 4; it must divide the 6", np.ones(shape))
    with pytest.raises(ValueError, match="groups") as raised:
        dirac.check(np.ones(shape))
    assert (raised.value.argument, raised.value.value) == ("groups", 4)


MOST = [
    ("float16", 65504.0),
    ("bfloat16", 3.38e38),
    ("float8_e4m3fn", 448.0),
    ("float8_e5m2", 57344.0),
    ("float32", 3.4e38),
]


@pytest.mark.parametrize(
    "make", [Identity, Dirac, Orthogonal, DeltaOrthogonal, lambda gain: Sparse(0.5, gain)]
)
def test_gain_beyond_the_dtype(make):
    """Refused before an infinity is written; just within, all is finite."""
    shape = (4, 4, 3) if make in (Dirac, DeltaOrthogonal) else (4, 4)
    for dtype, most in MOST:
        refused(make(gain=most * 1.1), ValueError, dtype, np.ones(shape, cases.DTYPES[dtype]))
        array = written(make(gain=most / 8), shape, dtype)
        assert np.isfinite(array.astype(float)).all()
        assert array.any()


@every_example
@pytest.mark.parametrize("key", [(-1, 0), (0, 2**64), (0,), ("a", 0), None], ids=repr)
def test_bad_key(initializer, shape, key):
    """Whatever is wrong with it is found before anything is written."""
    array = np.full(shape, 9.0)
    with pytest.raises((TypeError, ValueError, OverflowError)):
        initializer.write(array, key)
    assert (array == 9).all()


def test_streams_are_taken():
    """From streams, the next one."""
    streams = _core.Streams(7)
    streams.take()
    for stream in (1, 2):
        array = np.empty((4, 5))
        Orthogonal().write(array, streams)
        assert (array == written(Orthogonal(), (4, 5), key=(7, stream))).all()


# ---- looking at arrays ---------------------------------------------------------------------------


@every_example
@every_dtype
def test_what_is_written_is_within_the_tolerance(initializer, shape, dtype):
    """In every dtype."""
    array = written(initializer, shape, dtype)
    assert 0 <= initializer.deviation(array) <= initializer.tolerance(array)


@every_example
@every_dtype
def test_other_values_are_seen(initializer, shape, dtype):
    """Normal weights; a wrong value; one that is not a number."""
    array = written(initializer, shape, dtype)
    for value in (math.nan, math.inf, -math.inf):
        spoilt = array.copy()
        spoilt.flat[3] = value
        assert initializer.deviation(spoilt) == math.inf
    spoilt = array.copy()
    size = np.abs(array.astype(float))
    if isinstance(initializer, Sparse):
        spoilt.flat[size.argmin()] = 0.5  # where there was a zero
    else:
        spoilt.flat[size.argmax()] *= 0.9 if array.itemsize > 1 else 3.0
    assert initializer.deviation(spoilt) > initializer.tolerance(spoilt)
    fx.fill_(spoilt, fx.Normal(0, 0.1), seed=1)
    assert initializer.deviation(spoilt) > initializer.tolerance(spoilt)


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
    initializer = Sparse(0.5, 1e-6)
    array = written(initializer, (1000, 200), "float16")
    assert 0 < initializer.deviation(array) <= initializer.tolerance(array) < 200
    assert Sparse(0.5).tolerance(np.empty((1000, 200), np.float32)) == 0
    empty = Sparse(0.5, 0)
    assert empty.deviation(written(empty, (10, 3))) == empty.tolerance(np.empty((10, 3))) == 5


def test_overflow_on_the_way():
    """Values at the end of the range are far from orthogonal, and that is all."""
    assert Orthogonal(1e-300).deviation(np.full((3, 3), 1e300)) == math.inf
    assert Identity().deviation(np.full((3, 3), 1e300)) == 1e300


def test_docstrings():
    """The examples print what they show."""
    for module in pkgutil.iter_modules(structured.__path__, "fastxavier.structured."):
        if module.name != "fastxavier.structured._base":
            failed, tried = doctest.testmod(importlib.import_module(module.name))
            assert tried
            assert not failed


# ---- through fill_ -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "initializer", [Identity(0.5), Orthogonal(2.0), Sparse(0.25, 0.1)], ids=repr
)
def test_fill_takes_them(initializer):
    """The same values as `write` puts there, into the object that was given, whatever it is."""
    direct = np.empty((6, 8), np.float32)
    initializer.write(direct, (7, 3))
    array = np.empty((6, 8), np.float32)
    assert fx.fill_(array, initializer, seed=7, stream=3) is array
    assert (array == direct).all()
    buffer = memoryview(bytearray(6 * 8 * 4)).cast("f", (6, 8))
    fx.fill_(buffer, initializer, seed=7, stream=3)
    assert (np.asarray(buffer) == direct).all()
    turned = np.empty((8, 6), np.float32)
    fx.fill_(turned.T, initializer, seed=7, stream=3)
    assert (direct == turned.T).all()


def test_orthogonal_and_sparse_by_name():
    array, other = np.empty((5, 9)), np.empty((5, 9))
    fx.fill_(other, Orthogonal(0.5, layout="keras"), seed=1, stream="w")
    assert (fx.orthogonal_(array, 0.5, layout="keras", seed=1, stream="w") == other).all()
    fx.fill_(other, Sparse(0.4, 0.2), seed=1, stream="w")
    assert (fx.sparse_(array, 0.4, 0.2, seed=1, stream="w") == other).all()


@every_example
def test_fill_takes_a_shard(initializer, shape):
    """`global_shape` and `offset` reach the initializer."""
    whole = written(initializer, shape, "float32")
    offset = [extent // 2 for extent in shape]
    part = np.empty([n - first for n, first in zip(shape, offset, strict=True)], np.float32)
    place = {"global_shape": shape, "offset": offset}
    assert fx.fill_(part, initializer, seed=7, stream=3, **place) is part
    assert (part == whole[tuple(np.s_[first:] for first in offset)]).all()


def test_a_refused_one_takes_no_stream():
    fx.manual_seed(5)
    with pytest.raises(ValueError, match="matrix"):
        fx.fill_(np.empty(3), Orthogonal())
    taken = fx.fill_(np.empty(9), fx.Normal())
    assert (taken == fx.fill_(np.empty(9), fx.Normal(), seed=5, stream=0)).all()


@pytest.mark.parametrize("distribution", [None, 3, fx.Normal, Orthogonal], ids=repr)
def test_what_is_not_a_distribution(distribution):
    with pytest.raises(TypeError, match=r"distribution is .*it must be an initializer") as raised:
        fx.fill_(np.empty((3, 3)), distribution)
    assert raised.value.argument == "distribution"
    assert raised.value.value is distribution
