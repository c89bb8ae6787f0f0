"""Arrays of every layout: the values are those of the contiguous array, in place."""

import subprocess
import sys
import textwrap

import cases
import numpy as np
import pytest
import reference
from numpy.lib.stride_tricks import as_strided

import fastxavier as fx

DTYPES = list(cases.DTYPES.values())
DISTRIBUTIONS = [fx.Uniform(-0.5, 1.5), fx.Normal(0.1, 2.0), fx.TruncatedNormal(0.0, 1.0)]
SENTINEL = 0xA5

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_distribution = pytest.mark.parametrize(
    "distribution", DISTRIBUTIONS, ids=lambda distribution: type(distribution).__name__
)


def contiguous(shape, distribution, dtype, **key):
    """What a fresh array in C order holds."""
    return fx.fill_(np.empty(shape, dtype), distribution, **key)


def same_bits(got, expected):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes()


# ---- layouts -------------------------------------------------------------------------------------


def taken(buffer, dtype, *shape, start=0):
    """The first elements of a byte buffer as an array in C order, from byte `start` on."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return buffer[start : start + count].view(np.uint8).view(dtype).reshape(shape)


def unaligned(buffer, dtype, *shape):
    raw = buffer[1 : 1 + int(np.prod(shape)) * np.dtype(dtype).itemsize]
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def field(buffer, dtype, a, b):
    record = np.dtype([("tag", "u1"), ("weight", dtype), ("rest", "u1", (3,))])
    return np.frombuffer(buffer[: a * b * record.itemsize], record).reshape(a, b)["weight"]


def odd_rows(buffer, dtype, a, b):
    """Rows whose distance is not a multiple of the itemsize."""
    itemsize = np.dtype(dtype).itemsize
    rows = buffer[: a * (b * itemsize + 1)].reshape(a, b * itemsize + 1)[:, : b * itemsize]
    return rows.view(dtype)


def interleaved(buffer, dtype, a, b):
    """Strides (2b - 1, 2) elements, of which the rows reach into each other without touching."""
    size = np.dtype(dtype).itemsize
    # As integers, since as_strided does not take every dtype of ml_dtypes.
    flat = taken(buffer, f"u{size}", (2 * b - 1) * a + 2 * b)
    return as_strided(flat, (a, b), ((2 * b - 1) * size, 2 * size)).view(dtype)


LAYOUTS = {
    "c": lambda m, d, a, b: taken(m, d, a, b),
    "fortran": lambda m, d, a, b: taken(m, d, b, a).T,
    "row steps": lambda m, d, a, b: taken(m, d, 2 * a, b)[::2],
    "column steps": lambda m, d, a, b: taken(m, d, a, 3 * b)[:, 1::3],
    "both steps": lambda m, d, a, b: taken(m, d, 3 * a, 2 * b)[2::3, ::2],
    "fortran steps": lambda m, d, a, b: taken(m, d, 2 * b, 3 * a)[1::2, ::3].T,
    "inner window": lambda m, d, a, b: taken(m, d, a + 4, b + 5)[2:-2, 3:-2],
    "rows reversed": lambda m, d, a, b: taken(m, d, a, b)[::-1],
    "columns reversed": lambda m, d, a, b: taken(m, d, a, b)[:, ::-1],
    "all reversed": lambda m, d, a, b: taken(m, d, a, b)[::-1, ::-1],
    "fortran reversed": lambda m, d, a, b: taken(m, d, b, a).T[::-1, ::-1],
    "reversed steps": lambda m, d, a, b: taken(m, d, 2 * a, 3 * b)[::-2, ::-3],
    "unaligned": unaligned,
    "unaligned fortran": lambda m, d, a, b: unaligned(m, d, b, a).T,
    "field": field,
    "field transposed": lambda m, d, a, b: field(m, d, b, a).T,
    "odd rows": odd_rows,
    "interleaved": interleaved,
    "three axes": lambda m, d, a, b: taken(m, d, 2, b, a).transpose(2, 0, 1),
    "middle axis fastest": lambda m, d, a, b: taken(m, d, a, 3, b).transpose(0, 2, 1),
    "axes of one": lambda m, d, a, b: taken(m, d, a, 1, b)[:, :, None, ::-1],
    "four axes": lambda m, d, a, b: taken(m, d, b, 3, a, 2)[:, ::2, ::-1].transpose(2, 3, 0, 1),
    "one axis": lambda m, d, a, b: taken(m, d, a * b)[::-1],
    "column": lambda m, d, a, b: taken(m, d, a, b)[:, b // 2],
}
# Within a tile; some tiles with ragged ends; and enough of them for several threads.
SHAPES = [(3, 5), (67, 131), (300, 701)]


@pytest.mark.parametrize("layout", LAYOUTS)
@every_dtype
def test_layout_holds_the_contiguous_values_and_touches_nothing_else(layout, dtype, isa):
    """Byte for byte, the memory around and between the elements included."""
    for number, (a, b) in enumerate(SHAPES):
        distribution = DISTRIBUTIONS[number % len(DISTRIBUTIONS)]
        size = 6 * a * b * (np.dtype(dtype).itemsize + 4) + 64
        got, expected = (np.full(size, SENTINEL, np.uint8) for _ in range(2))
        view, target = (LAYOUTS[layout](memory, dtype, a, b) for memory in (got, expected))
        target[...] = contiguous(
            target.shape, distribution, dtype, seed=11, stream=number, threads=1
        )
        assert fx.fill_(view, distribution, seed=11, stream=number, threads=2) is view
        assert got.tobytes() == expected.tobytes(), (layout, a, b)


@every_dtype
@every_distribution
def test_transpose_is_the_transpose_of_the_contiguous_fill(dtype, distribution):
    """Values follow the logical C index of the view that was passed."""
    w = np.zeros((37, 53), dtype)
    fx.fill_(w.T, distribution, seed=3, stream="layer.0.weight")
    same_bits(w.T, contiguous((53, 37), distribution, dtype, seed=3, stream="layer.0.weight"))
    assert (w != contiguous((37, 53), distribution, dtype, seed=3, stream="layer.0.weight")).any()


@every_dtype
def test_uniform_values_are_those_of_the_reference(dtype, isa):
    """The one anchor outside the package: through a transposed, reversed view."""
    w = np.zeros((11, 2 * 13), dtype)
    view = w[::-1, ::2].T
    fx.fill_(view, fx.Uniform(-0.25, 0.75), seed=99, stream=5)
    expected = reference.uniform(99, 5, np.arange(11 * 13), -0.25, 0.75, dtype.name)
    same_bits(view, expected.reshape(13, 11))
    assert not w[:, 1::2].any()


@every_dtype
@every_distribution
def test_zero_dimensional_array_holds_the_first_value(dtype, distribution):
    """0-d: one element, index 0; its neighbours stay."""
    w = np.zeros(3, dtype)
    scalar = w[1:2].reshape(())
    assert fx.fill_(scalar, distribution, seed=1, stream=2) is scalar
    assert w[1] == contiguous(1, distribution, dtype, seed=1, stream=2)[0] != 0
    assert w[0] == w[2] == 0


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 0, 4), (0, 0)])
@every_dtype
def test_zero_size_is_a_no_op(shape, dtype):
    """The array comes back, whatever its strides."""
    base = np.ones((5, 5), dtype)
    for w in (np.empty(shape, dtype), np.empty(shape, dtype, order="F")):
        assert fx.fill_(w, fx.Normal(), seed=1) is w
    empty = base[2:2, ::-2]
    assert fx.uniform_(empty, 3, 4, seed=1) is empty
    assert (base == 1).all()


@pytest.mark.parametrize("column", [1020, 1030])
@every_dtype
def test_columns_beyond_the_caches(column, dtype):
    """Rows of a shard of 36 MiB; of doubles, the shorter are stored and the longer streamed."""
    shape = ((36 << 20) // dtype.itemsize // column, column + 7)
    whole = contiguous(shape, fx.Uniform(-3, 5), dtype, seed=6)
    part = np.empty((shape[0], column), dtype)
    fx.fill_(part, fx.Uniform(-3, 5), seed=6, global_shape=shape, offset=(0, 4))
    same_bits(part, whole[:, 4 : 4 + column])


def test_reversed_beyond_the_caches():
    """Written from their other end."""
    w = np.empty((1200, 1003), np.float32)
    for view in (w.T[::-1], w.T[:, ::-1], w[::-1, ::-1]):
        fx.fill_(view, fx.Normal(), seed=6)
        same_bits(view, contiguous(view.shape, fx.Normal(), np.float32, seed=6))


@pytest.mark.parametrize("shift", [0, 4, 16])
@pytest.mark.parametrize("shape", [(1200, 1003), (1003, 1200), (7, 300, 601)])
@every_dtype
def test_transposed_beyond_the_caches(shape, shift, dtype):
    """Large enough to be written by nontemporal stores, at addresses that allow it and others."""
    distribution = fx.Normal()
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.full(size + 64, SENTINEL, np.uint8)
    first = -memory.ctypes.data % 16 + shift
    w = memory[first : first + size].view(dtype).reshape(shape[::-1]).T
    same_bits(fx.fill_(w, distribution, seed=6), contiguous(shape, distribution, dtype, seed=6))
    assert (memory[:first] == SENTINEL).all()
    assert (memory[first + size :] == SENTINEL).all()


def test_broadcast_stride_on_an_axis_of_one_is_fine():
    """A stride of 0 where there is nothing to step to shares no memory."""
    w = np.zeros(8)
    view = as_strided(w, (1, 8, 1), (0, 8, 0))
    fx.fill_(view, fx.Uniform(0, 1), seed=4)
    same_bits(w, contiguous(8, fx.Uniform(0, 1), np.float64, seed=4))


def test_interleaved_strides_that_do_not_meet():
    """Shape (3, 2) with strides (2, 3) elements: places 0 3 2 5 4 7, each once."""
    w = np.full(9, 7.0, np.float32)
    view = as_strided(w, (3, 2), (8, 12))
    fx.fill_(view, fx.Uniform(-1, 1), seed=4)
    same_bits(view, contiguous((3, 2), fx.Uniform(-1, 1), np.float32, seed=4))
    assert w[[1, 6, 8]].tolist() == [7, 7, 7]


@pytest.mark.skipif(np.__version__ < "2", reason="NumPy 1 has at most 32 axes")
def test_sixty_four_axes():
    """The most axes that NumPy has."""
    w = np.zeros((1,) * 60 + (2, 3, 1, 5), np.float32)
    same_bits(
        fx.fill_(w.transpose(range(63, -1, -1)), fx.Normal(), seed=8).ravel(),
        contiguous(30, fx.Normal(), np.float32, seed=8),
    )


def test_subclass_comes_back_as_itself():
    """A subclass of ndarray is filled like its base."""

    class Weights(np.ndarray):
        pass

    w = np.zeros((4, 6)).view(Weights)
    assert fx.normal_(w, 6, 4, seed=2) is w
    same_bits(w.view(np.ndarray), fx.normal_(np.empty((4, 6)), 6, 4, seed=2))


@pytest.mark.parametrize("mode", ["r+", "w+", "c"])
def test_memmap(tmp_path, mode):
    """A writable map is filled at its offset; a copy-on-write one leaves the file."""
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes([SENTINEL]) * (17 + 4 * 600))
    w = np.memmap(path, np.float32, mode, offset=17, shape=(20, 30))
    fx.truncated_normal_(w, 20, 30, seed=6, stream="map")
    expected = fx.truncated_normal_(np.empty((20, 30), np.float32), 20, 30, seed=6, stream="map")
    same_bits(np.asarray(w), expected)
    w.flush()
    del w
    content = path.read_bytes()[17:]
    assert (content == expected.tobytes()) == (mode != "c")


@pytest.mark.parametrize("extra", [0, 4, 12, 60])
@pytest.mark.parametrize(
    "distribution", DISTRIBUTIONS, ids=lambda distribution: type(distribution).__name__
)
def test_large_array_equals_its_pieces(distribution, extra, isa):
    """Beyond cache size other stores are used; they write the same bits at any alignment."""
    count = (33 << 20) // 4
    memory = np.full(4 * count + 128, SENTINEL, np.uint8)
    start = -memory.ctypes.data % 64 + extra
    w = memory[start : start + 4 * count].view(np.float32)
    fx.fill_(w, distribution, seed=5, stream=9, threads=2)
    assert (memory[:start] == SENTINEL).all()
    assert (memory[start + 4 * count :] == SENTINEL).all()
    for first in (0, count // 3 + 1, count - 50_003):
        piece = np.empty(50_003, np.float32)
        fx.fill_(
            piece, distribution, seed=5, stream=9, global_shape=(count,), offset=(first,), threads=1
        )
        same_bits(w[first : first + 50_003], piece)


# ---- memory --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's high-water mark in /proc")
def test_no_copy_is_made():
    """The resident high-water mark grows by less than 1 MiB over arrays of 32 MiB and more."""
    script = """
        import fastxavier as fx, ml_dtypes, numpy as np

        def status(name):
            with open("/proc/self/status") as lines:
                return next(int(line.split()[1]) for line in lines if line.startswith(name))

        base = np.ones((4096, 4096), np.float32)
        fx.normal_(base, 1, 1, seed=1, threads=2)  # the threads and their stacks exist from here on
        arrays = {
            "c": base,
            "fortran": base.T,
            "strided": base[::2, ::3],
            "reversed": base[::-1, ::-1],
            "float16": base.view(np.float16),
            "float16 fortran": base.view(np.float16).T,
            "bfloat16": base.view(ml_dtypes.bfloat16)[:, ::2],
            "float64": base.view(np.float64)[:, ::-1],
            "memoryview": memoryview(base)[::-1],
        }
        fills = (fx.uniform_, fx.normal_, fx.truncated_normal_)
        for fill in fills:  # code pages and first-use tables
            for array in arrays.values():
                fill(array[:64], 1, 1, seed=1, threads=2)
        for name, array in arrays.items():
            for fill in fills:
                with open("/proc/self/clear_refs", "w") as file:
                    file.write("5")  # the mark starts again from what is resident now
                before = status("VmRSS")
                fill(array, 1, 1, seed=1, threads=2)
                print(status("VmHWM") - before, name, fill.__name__)
    """
    lines = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.splitlines()
    assert len(lines) == 27
    for line in lines:
        assert int(line.split()[0]) < 1024, line
