"""Uniform values are exact: every bit of them, wherever a fill begins, ends and writes."""

import functools
import itertools

import cases
import ml_dtypes
import numpy as np
import pytest
import reference

import fastxavier as fx
from fastxavier import Constant, Normal, TruncatedNormal, Uniform, _core

SEED = 0x0123_4567_89AB_CDEF
STREAM = 42
END = 1 << 62
dtypes = pytest.mark.parametrize("dtype", cases.DTYPES)

GUARD = 64
FILLER = 0xA5


def same(values, expected):
    return np.array_equal(cases.patterns(values), cases.patterns(expected))


def expected_uniform(dtype, first, count, distribution=None, seed=SEED, stream=STREAM):
    low, high = (distribution or cases.distributions(dtype)["uniform"]).bounds
    return reference.uniform(seed, stream, first + np.arange(count), low, high, dtype)


@functools.cache
def kept_uniform(dtype, first, count):
    """The same, kept for the other threads, alignments and implementations."""
    return expected_uniform(dtype, first, count)


def guarded(dtype, count, alignment):
    """An array `alignment` bytes past a 64-byte boundary, and the bytes before and after it."""
    size = count * cases.DTYPES[dtype].itemsize
    memory = np.full(size + 2 * GUARD + 64, FILLER, np.uint8)
    begin = GUARD + (alignment - memory.ctypes.data - GUARD) % 64
    array = memory[begin : begin + size].view(cases.DTYPES[dtype])
    return array, memory[:begin], memory[begin + size :]


# ---- where a fill begins, ends and writes --------------------------------------------------------

REACH = 68


@dtypes
@pytest.mark.parametrize("base", [0, 4 * 12345, 4 * 12345 + 2])
def test_every_short_run(dtype, base, isa):
    """All starts and counts from 0 to 67; the 64 alignments take turns."""
    distribution = cases.distributions(dtype)["uniform_asymmetric"]
    expected = expected_uniform(dtype, base, 2 * REACH, distribution)
    for start, count in itertools.product(range(REACH), range(REACH)):
        array, before, after = guarded(dtype, count, (start + 5 * count) % 64)
        cases.shard(array, distribution, SEED, STREAM, base + start)
        assert same(array, expected[start : start + count]), (start, count)
        assert (before == FILLER).all(), (start, count)
        assert (after == FILLER).all(), (start, count)


@dtypes
@pytest.mark.parametrize("alignment", range(64))
def test_every_alignment(dtype, alignment, isa):
    """Long enough for whole units and for what is left at either end."""
    distribution = cases.distributions(dtype)["uniform"]
    for first, count in [(0, 1024), (1, 1000), (3, 70), (30, 33)]:
        array, before, after = guarded(dtype, count, alignment)
        cases.shard(array, distribution, SEED, STREAM, first)
        assert same(array, kept_uniform(dtype, first, count))
        assert (before == FILLER).all()
        assert (after == FILLER).all()


@dtypes
def test_every_number_of_units(dtype, isa):
    """Kernels write units of 32 values, several at a time: one more or less, and odd ends."""
    distribution = cases.distributions(dtype)["uniform"]
    most = 33 * 32
    expected = expected_uniform(dtype, 0, most + 5)
    for units, extra, first in itertools.product(range(33), (-1, 0, 1), (0, 1, 4)):
        count = max(32 * units + extra, 0)
        array, before, after = guarded(dtype, count, 0)
        cases.shard(array, distribution, SEED, STREAM, first)
        assert same(array, expected[first : first + count]), (count, first)
        assert (before == FILLER).all(), (count, first)
        assert (after == FILLER).all(), (count, first)


@dtypes
@pytest.mark.parametrize("threads", cases.THREADS)
def test_threads(dtype, threads, isa):
    """Several tasks of 2^15 values for each thread, the last one short."""
    first, count = 7, 250_003
    array, before, after = guarded(dtype, count, cases.DTYPES[dtype].itemsize)
    cases.shard(array, cases.distributions(dtype)["uniform"], SEED, STREAM, first, threads)
    assert same(array, kept_uniform(dtype, first, count))
    assert (before == FILLER).all()
    assert (after == FILLER).all()


# ---- large indices -------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("boundary", [1 << 34, 3 << 34, 1 << 53, 1 << 61, END - (1 << 34)])
def test_across_a_high_counter_word(dtype, boundary, isa):
    """The low word of the block's number comes round every 2^34 indices."""
    distribution = cases.distributions(dtype)["uniform"]
    expected = expected_uniform(dtype, boundary - 100, 200)
    for before, count in itertools.product(
        (0, 1, 2, 3, 4, 5, 31, 32, 33, 67, 100), (1, 2, 37, 100)
    ):
        values = cases.drawn(distribution, dtype, SEED, STREAM, boundary - before, count)
        assert same(values, expected[100 - before : 100 - before + count]), (before, count)


@dtypes
@pytest.mark.parametrize("threads", cases.THREADS)
def test_threads_across_a_high_counter_word(dtype, threads, isa):
    first, count = (1 << 34) - 70_001, 150_000
    values = cases.drawn(
        cases.distributions(dtype)["uniform"], dtype, SEED, STREAM, first, count, threads
    )
    assert same(values, kept_uniform(dtype, first, count))


@dtypes
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 31, 32, 33, 67, 1000])
def test_up_to_the_last_index(dtype, count, isa):
    values = cases.drawn(
        cases.distributions(dtype)["uniform"], dtype, SEED, STREAM, END - count, count
    )
    assert same(values, expected_uniform(dtype, END - count, count))


@dtypes
def test_rows_on_either_side_of_a_high_counter_word(dtype, isa):
    """Columns 5 to 70 of three rows of 2^20, the middle one beginning at index 2^34."""
    rows = np.arange((1 << 14) - 1, (1 << 14) + 2)[:, None]
    columns = np.arange(5, 71)
    distribution = cases.distributions(dtype)["uniform"]
    values = np.empty((3, 66), cases.DTYPES[dtype])
    fx.fill_(
        values,
        distribution,
        seed=SEED,
        stream=STREAM,
        global_shape=(1 << 20, 1 << 20),
        offset=(int(rows[0, 0]), 5),
    )
    indices = (rows << 20) + columns
    assert same(values, reference.uniform(SEED, STREAM, indices, *distribution.bounds, dtype))


# ---- keys ----------------------------------------------------------------------------------------

SEEDS = [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 3**99]
STREAMS = [
    0,
    1,
    2**32 - 1,
    2**32,
    2**63 - 1,
    "",
    "layers.0.weight",
    "layers.0.weights",
    "Gewicht é",
]


@dtypes
def test_seeds_and_streams(dtype, isa):
    """Every key gives the reference's values, and no two of them the same ones."""
    distribution = cases.distributions(dtype)["uniform"]
    seen = set()
    for seed, stream in itertools.product(SEEDS, STREAMS):
        values = fx.fill_(np.empty(70, cases.DTYPES[dtype]), distribution, seed=seed, stream=stream)
        assert same(values, expected_uniform(dtype, 0, 70, seed=seed, stream=stream)), (
            seed,
            stream,
        )
        seen.add(values.tobytes())
    assert len(seen) == len(SEEDS) * len(STREAMS)


# ---- ranges --------------------------------------------------------------------------------------

# Smallest subnormal number, largest number, spacing of the numbers from 1 on.
INFO = {name: ml_dtypes.finfo(dtype) for name, dtype in cases.DTYPES.items()}
SMALLEST = {name: float(info.smallest_subnormal) for name, info in INFO.items()}
LARGEST = {name: float(info.max) for name, info in INFO.items()}
SPACING = {name: float(info.eps) for name, info in INFO.items()}
NARROW = [name for name in cases.DTYPES if name not in ("float32", "float64")]


def check_range(dtype, low, high, count=500):
    distribution = Uniform(low, high)
    values = cases.drawn(distribution, dtype, SEED, STREAM, 3, count)
    assert same(values, expected_uniform(dtype, 3, count, distribution))
    computed = np.dtype(cases.COMPUTED_IN[dtype]).type
    ends = np.array([computed(low), computed(high)]).astype(cases.DTYPES[dtype])
    assert ends[0] <= values.min()
    assert values.max() <= ends[1]
    return values


@dtypes
@pytest.mark.parametrize("pair", [(0, 1), (-1, 0), (-3, 4), (-4, 3), (-1, 1), (3, 4), (-2, 2)])
def test_ranges_of_the_smallest_subnormals(dtype, pair, isa):
    low, high = (bound * SMALLEST[dtype] for bound in pair)
    check_range(dtype, low, high)


@dtypes
def test_subnormal_values_are_not_flushed(dtype, isa):
    low, high = cases.distributions(dtype)["uniform_subnormal"].bounds
    values = check_range(dtype, low, high)
    to_zero = SMALLEST[dtype] / (high - low)  # the share that rounds to zero
    assert np.count_nonzero(values) > 500 * (1 - to_zero) - 25


@dtypes
@pytest.mark.parametrize("low_share", [-1.0, -0.75, 0.0, 0.5])
def test_ranges_that_end_at_the_largest_number(dtype, low_share, isa):
    values = check_range(dtype, low_share * LARGEST[dtype], LARGEST[dtype])
    assert np.isfinite(values).all()
    check_range(dtype, -LARGEST[dtype], -low_share * LARGEST[dtype])


@dtypes
def test_low_equal_to_high(dtype, isa):
    bounds = (0.0, -0.0, 1.5, -0.1, SMALLEST[dtype], -SMALLEST[dtype], LARGEST[dtype])
    for bound in (*bounds, -LARGEST[dtype]):
        values = check_range(dtype, bound, bound)
        computed = np.dtype(cases.COMPUTED_IN[dtype]).type(bound)
        assert (values == np.array(computed).astype(cases.DTYPES[dtype])).all(), bound


@dtypes
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_ranges_of_a_few_neighbours(dtype, steps, isa):
    """From 1 up by some spacings, from 1 down, and across 1, where the spacing changes."""
    spacing = SPACING[dtype]
    check_range(dtype, 1.0, 1.0 + steps * spacing)
    check_range(dtype, 1.0 - steps * spacing / 2, 1.0)
    check_range(dtype, 1.0 - steps * spacing / 2, 1.0 + steps * spacing)
    check_range(dtype, -1.0 - steps * spacing, -1.0 + steps * spacing / 2)


@dtypes
@pytest.mark.parametrize("exponent", [0, -20, -94, -95, -96, -125, -126, -127, -140])
def test_half_widths_near_the_subnormal_numbers(dtype, exponent, isa):
    """In float32 h 2^-31 is a subnormal number from h < 2^-95 on; in float64 from h < 2^-959."""
    if cases.WORD_BITS[dtype] == 64 and exponent < -20:
        exponent += -959 + 95
    h = 1.9 * 2.0**exponent
    check_range(dtype, -h, h)
    check_range(dtype, -h / 3, h)
    check_range(dtype, 0.0, h)


def test_signed_zeros(isa):
    """Where the middle is zero, a result too small to be held keeps its sign; h = 0 gives +0."""
    for zero in (0.0, -0.0):
        values = cases.drawn(Uniform(zero, -zero), "float32", SEED, STREAM, 0, 100)
        assert not cases.patterns(values).any()
    values = cases.drawn(Uniform(-(2.0**-149), 2.0**-149), "float32", SEED, STREAM, 0, 1000)
    assert set(cases.patterns(values).tolist()) == {0, 1, 1 << 31, (1 << 31) + 1}


# ---- 16 and 8 bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("distribution", cases.distributions("float16"))
def test_narrow_dtypes_hold_the_float32_values_rounded(dtype, distribution, isa):
    distribution = cases.distributions(dtype)[distribution]
    values = cases.drawn(distribution, dtype, SEED, STREAM, 1, 100_001)
    wide = cases.drawn(distribution, "float32", SEED, STREAM, 1, 100_001)
    assert same(values, wide.astype(cases.DTYPES[dtype]))


@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_dtypes_over_all_magnitudes(dtype, isa):
    """Ties, subnormal results and those that round to zero, to the largest number, or between."""
    for exponent in range(-30, 16):
        bound = min(1.999 * 2.0**exponent, LARGEST[dtype])
        for distribution in (
            Uniform(-bound, bound),
            Normal(0, bound / 6.7),
            TruncatedNormal(0, bound / 2),
        ):
            values = cases.drawn(distribution, dtype, SEED, STREAM, 0, 4096)
            wide = cases.drawn(distribution, "float32", SEED, STREAM, 0, 4096)
            assert same(values, wide.astype(cases.DTYPES[dtype])), distribution


@pytest.mark.parametrize("dtype", [name for name in NARROW if cases.DTYPES[name].itemsize == 1])
def test_every_tie_of_eight_bits(dtype, isa):
    """Each number, each middle between two, and the floats next to either, as ml_dtypes rounds."""
    kind = cases.DTYPES[dtype]
    numbers = np.arange(256, dtype=np.uint8).view(kind).astype(np.float32)
    numbers = np.unique(numbers[np.isfinite(numbers)])
    points = np.concatenate([numbers, (numbers[:-1] + numbers[1:]) / 2, [np.float32(-0.0)]])
    points = np.concatenate([points, *(np.nextafter(points, np.float32(s)) for s in (-1e9, 1e9))])
    for point in points.tolist():
        values = fx.fill_(np.empty(3, kind), Constant(point))
        assert same(values, np.full(3, point, np.float32).astype(kind)), point


# ---- large arrays --------------------------------------------------------------------------------

# One distribution for each kernel.
KERNEL_LAWS = [
    "uniform",
    "uniform_tiny",
    "normal",
    "truncated_2",
    "truncated_3",
    "truncated_wide",
    "truncated_asymmetric",
]


def check_large(isa, distribution, dtype, size, alignments, first):
    """`size` bytes at each alignment, enough that stores bypass the cache, against small shards.

    The shards are left to the first implementation, which is the fastest.
    """
    _core.force_isa(_core.available_isas()[0])
    itemsize = cases.DTYPES[dtype].itemsize
    count, piece = size // itemsize, (1 << 20) // itemsize - 3
    expected = np.empty(count, cases.DTYPES[dtype])
    for begin in range(0, count, piece):
        cases.shard(expected[begin : begin + piece], distribution, SEED, STREAM, first + begin)
    _core.force_isa(isa)
    for alignment in alignments:
        array, before, after = guarded(dtype, count, alignment)
        cases.shard(array, distribution, SEED, STREAM, first, threads=2)
        assert same(array, expected), alignment
        assert (before == FILLER).all()
        assert (after == FILLER).all()


@pytest.mark.parametrize("first", [0, 5])
def test_large_array(first, isa):
    check_large(
        isa, cases.distributions("float32")["uniform"], "float32", 40 << 20, (0, 16, 4, 1), first
    )


@dtypes
@pytest.mark.parametrize("distribution", KERNEL_LAWS)
def test_large_array_of_every_kernel(dtype, distribution, isa):
    check_large(
        isa,
        cases.distributions(dtype)[distribution],
        dtype,
        (33 << 20) + 88,
        (cases.DTYPES[dtype].itemsize,),
        2,
    )
