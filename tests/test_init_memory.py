"""init_ and memory: what shares it, what is masked, integers; all is refused before a value."""

import array
import itertools
import threading
import time
from typing import ClassVar

import cases
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import Plan, Rule, _core

strided = np.lib.stride_tricks.as_strided
ONES = Plan([Rule("*", "ones")])


def spotted(shape=(3, 3), dtype=np.float32):
    """An array that shows whether it has been written to."""
    return np.full(shape, 99, dtype)


# ---- overlap -------------------------------------------------------------------------------------

W = spotted((6, 8))
COUNTS = spotted(16, np.int64)
PLAN = Plan([Rule("o*", "orthogonal"), Rule("*", "ones")])

OVERLAPS = {
    "integers over floats": {"a": W, "b": W.view(np.int32)},
    "bytes over floats": {"a": W, "b": W.view(np.uint8)[2:3]},
    "truth values over floats": {"b": W.view(bool)[2:3], "a": W},
    "integers": {"a": COUNTS, "b": COUNTS[3:4]},
    "integers of two sizes": {"a": COUNTS, "b": COUNTS.view(np.int8)[5:6]},
    "integers by DLPack": {"a": COUNTS, "b": cases.Exporter(COUNTS[3:])},
    "structured over drawn": {"orthogonal": W, "b": W[1:]},
    "structured over structured": {"o1": W[:, :5], "o2": W[:, 4:]},
    "integers over structured": {"o": W, "b": W.view(np.int32)[5:, 7:]},
    "negative strides": {"a": W[::-1][:3], "b": W[:4]},
    "negative strides of a vector": {"a": COUNTS[::-1][:8], "b": COUNTS[:9]},
    "columns": {"a": W[:, 3:5], "b": W[:, 4:6]},
    "every other column": {"a": W[:, ::2], "b": W[1:, 2:]},
    "transposed": {"a": W.T, "b": W[3:4, 3:4]},
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_overlap(case):
    arrays = OVERLAPS[case]
    for order in (arrays, dict(reversed(arrays.items()))):
        with pytest.raises(ValueError, match="share memory") as raised:
            fx.init_(order, PLAN, seed=1)
        assert all(repr(name) in str(raised.value) for name in arrays)
        assert raised.value.argument == "arrays"
        assert (W == 99).all()
        assert (COUNTS == 99).all()


APART = {
    "bytes beside floats": lambda w: [w[:3], w[3:].view(np.int32)],
    "negative strides": lambda w: [w[::-1][:3], w[:3]],
    "halves of columns": lambda w: [w[:, :4], w[:, 4:].view(np.int32)],
    "every other column": lambda w: [w[:, ::2], w[:, 1::2]],
    "columns in other rows": lambda w: [w[:3, 2:5], w[3:, :4], w[:, 6:], w[3:, 4:6]],
    "checkers": lambda w: [w[::2, ::2], w[1::2, ::2], w[::2, 1::2], w[1::2, 1::2]],
    "transposed": lambda w: [w.T[:4], w.T[4:]],
    "columns that begin in the middle of a row": lambda w: [w[1:, :3], w[:-1, 5:], w[:, 3:5]],
}


@pytest.mark.parametrize("case", APART)
def test_no_overlap(case):
    w = spotted((6, 8))
    parts = APART[case](w)
    fx.init_({str(i): part for i, part in enumerate(parts)}, ONES, seed=1)
    ones = sum(part.size for part in parts)
    assert sum(int((part == 1).sum()) for part in parts) == ones


SELF_OVERLAPS = [
    (np.int64, (3,), (0,)),
    (np.int8, (3,), (0,)),
    (bool, (4, 2), (0, 1)),
    (np.int8, (3, 3), (1, 1)),
    (np.int16, (3,), (1,)),
    (np.uint32, (2, 3), (8, 4)),
    (np.int64, (2, 3), (-16, 8)),
]


@pytest.mark.parametrize(("dtype", "shape", "strides"), SELF_OVERLAPS, ids=repr)
def test_integers_that_share_memory_with_themselves(dtype, shape, strides):
    """As floats are refused, stride 0 included."""
    memory = np.full(64, 99, np.uint8)
    bad = strided(memory[32:].view(dtype), shape, strides, writeable=True)
    other = spotted()
    with pytest.raises(ValueError, match=r"tensor 'b': .*strides .*share memory"):
        fx.init_({"a": other, "b": bad}, ONES, seed=1)
    assert (other == 99).all()
    assert (memory == 99).all()


@pytest.mark.parametrize(
    ("dtype", "shape", "strides"),
    [(np.int8, (2, 3), (5, 2)), (np.int8, (1, 3), (0, 1)), (np.int16, (2, 3), (2, 4))],
    ids=repr,
)
def test_integers_in_each_others_gaps(dtype, shape, strides):
    """An axis of one element may have any stride; axes may interlock."""
    memory = np.full(64, 99, np.uint8)
    counts = strided(memory[32:].view(dtype), shape, strides, writeable=True)
    fx.init_({"a": counts}, ONES, seed=1)
    assert (counts == 1).all()
    assert (memory.view(dtype) == 1).sum() == counts.size


def any_view(random, buffer):
    """A part of a buffer, as slices, a transposition and steps make one."""
    shape = [(60,), (5, 12), (3, 4, 5), (6, 2, 5)][random.integers(4)]
    first = random.integers(len(buffer) - 60)
    view = buffer[first : first + np.prod(shape)].reshape(shape)
    for axis, extent in enumerate(shape):
        first, last = sorted(random.integers(0, extent + 1, 2))
        step = random.integers(1, 4) * random.choice([-1, 1])
        part = slice(first, last) if random.random() < 0.4 else slice(None, None, step)
        view = view[(slice(None),) * axis + (part,)]
    return view.transpose(random.permutation(view.ndim)) if random.random() < 0.3 else view


@pytest.mark.parametrize("count", [2, 3, 6])
def test_as_numpy_finds_overlaps(count):
    """Refused just if NumPy finds a pair that shares memory, in one to three axes."""
    random = np.random.default_rng(count)
    refused = 0
    for _ in range(400):
        buffer = spotted(64 + 150 * (count - 2))
        parts = [any_view(random, buffer) for _ in range(count)]
        arrays = {
            str(i): part.view(np.int32) if i % 2 and part.flags.c_contiguous else part
            for i, part in enumerate(parts)
        }
        if any(np.shares_memory(*pair) for pair in itertools.combinations(parts, 2)):
            with pytest.raises(ValueError, match="share memory"):
                fx.init_(arrays, ONES, seed=1)
            assert (buffer == 99).all()
            refused += 1
        else:
            fx.init_(arrays, ONES, seed=1)
    assert 40 < refused < 360


MANY = {
    "columns": lambda n: [w[:, i : i + 1] for w in [spotted((4, n))] for i in range(n)],
    "interleaved": lambda n: [w[i::n] for w in [spotted(4 * n)] for i in range(n)],
    "inner axis": lambda n: [w[:, :, i] for w in [spotted((2, 3, n, 2))] for i in range(n)],
    "columns and a block": lambda n: [
        *(w[:4, i : i + 1] for w in [spotted((8, n))] for i in range(n)),
        spotted((4, n)),
    ],
}


def processor_time(views):
    """Seconds of the processor that `init_` takes, the least of five."""
    arrays = {str(i): view for i, view in enumerate(views)}
    times = []
    for _ in range(5):
        start = time.process_time()
        fx.init_(arrays, ONES, seed=1)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("case", MANY)
def test_many_views_of_one_matrix(case):
    """Not every pair is compared: four times as many views are sixteen times as many pairs."""
    views = MANY[case](4000)
    assert processor_time(views) < 10 * processor_time(MANY[case](1000))
    assert all((view == 1).all() for view in views)
    doubled = {str(i): view for i, view in enumerate([*views, views[1777][:1]])}
    with pytest.raises(ValueError, match=r"'1777' and '400.' share memory"):
        fx.init_(doubled, ONES, seed=1)


# ---- masked arrays -------------------------------------------------------------------------------


def masked(dtype, hard):
    return np.ma.array([99, 99, 99], mask=[True, False, False], dtype=dtype, hard_mask=hard)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_masked_arrays(dtype, hard):
    """Refused, with the reason, before anything is written; their data are accepted."""
    other, bad = spotted(), masked(dtype, hard)
    before = bad.data.copy()
    with pytest.raises(
        TypeError, match=r"^tensor 'b': array is a MaskedArray, whose mask would be"
    ):
        fx.init_({"a": other, "b": bad}, ONES, seed=1)
    assert (other == 99).all()
    assert (bad.data == before).all()
    fx.init_({"a": other, "b": bad.data}, ONES, seed=1)
    assert (bad.data == 1).all()


def test_masked_array_in_a_fill():
    for fill in (fx.fill_, lambda array, initializer: fx.orthogonal_(array)):
        bad = np.ma.array(spotted(), mask=np.eye(3))
        with pytest.raises(TypeError, match=r"^array is a MaskedArray, .*give array\.data"):
            fill(bad, fx.Normal())
        assert (bad.data == 99).all()


# ---- integers ------------------------------------------------------------------------------------

WHOLE = {
    "array.array": lambda: array.array("i", [99, 99]),
    "array.array of 64 bits": lambda: array.array("Q", [99, 99]),
    "memoryview": lambda: memoryview(np.full((2, 3), 99, np.int16)),
    "bytearray": lambda: bytearray(b"cc"),
    "other byte order": lambda: np.full(2, 99, ">i4"),
    "DLPack": lambda: cases.Exporter(np.full(2, 99, np.uint8)),
    "subclass": lambda: np.full((2, 2), 99, np.int64).view(np.matrix),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_holds_integers(kind):
    """Every kind of array that `fill_` takes of floats."""
    counts = WHOLE[kind]()
    report = fx.init_({"a": counts}, ONES, seed=1)
    held = np.asarray(counts.array if kind == "DLPack" else counts)
    assert (held == 1).all()
    assert report.tensors[0].measured_std == 0


def test_integers_of_torch():
    """With the version that autograd keeps; a tensor that has lost its storage is refused."""
    torch = pytest.importorskip("torch")
    for dtype in (torch.int64, torch.uint8, torch.bool):
        counts = torch.zeros(3, dtype=dtype)
        before = counts._version
        fx.init_({"a": counts}, ONES, seed=1)
        assert (counts == 1).all()
        assert counts._version == before + 1
        assert counts.untyped_storage().resizable()
        expanded = torch.zeros(1, dtype=dtype).expand(3)
        with pytest.raises(ValueError, match=r"tensor 'a': .*share memory"):
            fx.init_({"a": expanded}, ONES, seed=1)
    for nbytes in (0, 8):
        counts = torch.zeros(3, dtype=torch.int64)
        counts.untyped_storage().resize_(nbytes)
        with pytest.raises(ValueError, match=r"tensor 'a': .*allocate it first"):
            fx.init_({"a": counts}, ONES, seed=1)


FAR = 2**53 - 1

LIMITS = [
    (np.uint8, 0, 255),
    (np.int8, -128, 127),
    (bool, 0, 1),
    (np.uint16, 0, 2**16 - 1),
    (np.int32, -(2**31), 2**31 - 1),
    (np.int64, -FAR, FAR),
    (np.uint64, 0, FAR),
]


@pytest.mark.parametrize(("dtype", "least", "most"), LIMITS, ids=repr)
def test_limits_of_whole_constants(dtype, least, most):
    """The dtype's, and those of a float64 that holds every integer; both are in, the next are not.

    2**53 + 1 is 2**53 as a float64, so a constant of 2**53 may have been another.
    """
    for value in (least, most):
        counts = np.full(3, 1, dtype)
        fx.init_({"a": counts}, Plan([Rule("a", "constant", value=value)]), seed=1)
        assert counts.tolist() == [value] * 3
    for value in (least - 1, most + 1, most + 2, 0.5, 1e300):
        counts, floats = np.full(3, 1, dtype), spotted()
        plan = Plan([Rule("a", "constant", value=value), Rule("*", "zeros")])
        with pytest.raises(TypeError, match=rf"tensor 'a': .* from {least} to {most}\b") as raised:
            fx.init_({"f": floats, "a": counts}, plan, seed=1)
        assert ("up to which a constant is exact" in str(raised.value)) == (most == FAR)
        assert (counts == 1).all()
        assert (floats == 99).all()


def test_read_only_integers():
    """Found before the floats are drawn, whoever exports them."""
    frozen = np.full(3, 99)
    frozen.flags.writeable = False
    for counts in (frozen, memoryview(b"cc"), memoryview(frozen)):
        floats = spotted()
        with pytest.raises(TypeError, match=r"^tensor 'n': array of dtype .* is read-only"):
            fx.init_({"a": floats, "n": counts}, ONES, seed=1)
        assert (floats == 99).all()
    assert (frozen == 99).all()


# ---- exporters -----------------------------------------------------------------------------------


class Failing:
    """What raises while it exports its memory."""

    def __init__(self, error):
        self.error = error

    def __dlpack__(self, **options):
        raise self.error


ERRORS = [
    BufferError("elsewhere"),
    RuntimeError("elsewhere"),
    ValueError("elsewhere"),
    NotImplementedError("elsewhere"),
    OSError(5, "elsewhere"),
    UnicodeDecodeError("utf-8", b"", 0, 1, "elsewhere"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_of_exporters_name_the_tensor(error):
    floats = spotted()
    with pytest.raises(ValueError, match=r"^tensor 'far': .*elsewhere"):
        fx.init_({"a": floats, "far": Failing(error)}, ONES, seed=1)
    assert (floats == 99).all()


# ---- threads and the GIL -------------------------------------------------------------------------


def test_gil_is_free_during_init():
    """Another thread runs again and again while the last element is not yet drawn."""
    w = np.empty(3_000_000)
    plan = Plan([Rule("*", "truncated_normal", low=-3.0, high=4.0)])
    state = {"filling": False, "stop": False}
    steps = []

    def step():
        pause = threading.Event()
        while not state["stop"]:
            if state["filling"]:
                steps.append(w[-1])
            pause.wait(0.002)

    _core.force_isa("scalar")
    other = threading.Thread(target=step)
    try:
        fx.init_({"w": w}, plan, seed=1, threads=1)  # pages touched
        w[-1] = 0
        other.start()
        state["filling"] = True
        fx.init_({"w": w}, plan, seed=2, threads=1)
    finally:
        state.update(filling=False, stop=True)
        other.join()
        _core.force_isa(None)
    assert sum(value == 0 for value in steps) >= 8


class Recorded(fx.Identity):
    """Says which threads it was written with."""

    given: ClassVar[list] = []

    def _write(self, part, key, threads):
        self.given.append(threads)
        super()._write(part, key, threads)


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_threads_of_structured_initializers(threads):
    Recorded.given.clear()
    fx.init_({"a": spotted()}, Plan([Rule("*", Recorded(1.0))]), seed=1, threads=threads)
    assert Recorded.given == [threads]


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_bad_threads_of_structured_initializers(threads):
    """Refused by init_ and by every in-place function, which write nothing."""
    w, kernel = spotted(), spotted((3, 3, 3))
    calls = [
        lambda: fx.init_({"o": w}, Plan([Rule("*", "orthogonal")]), seed=1, threads=threads),
        lambda: fx.orthogonal_(w, seed=1, threads=threads),
        lambda: fx.identity_(w, threads=threads),
        lambda: fx.sparse_(w, 0.5, seed=1, threads=threads),
        lambda: fx.dirac_(kernel, threads=threads),
        lambda: fx.delta_orthogonal_(kernel, seed=1, threads=threads),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match="threads"):
            call()
    assert (w == 99).all()
    assert (kernel == 99).all()
