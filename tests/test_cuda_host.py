"""The kernels of GPUs give the bits of the CPU's: their text, compiled as C++ and run here.

NVRTC's compiler and a GPU are not needed; what they add is tested by test_cuda_compile.py and by
`make gpu`.
"""

import itertools
import pathlib

import cases
import cuda_host
import golden
import gpu_layouts
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import _core
from fastxavier._cuda.source import kernel_text
from fastxavier._streams import stream_number

pytestmark = pytest.mark.skipif(cuda_host.COMPILER is None, reason="needs a C++ compiler")

LINES = golden.parsed(
    (pathlib.Path(__file__).parent / "data" / "golden.txt").read_text(encoding="ascii")
)
KEY = golden.SEED, stream_number(golden.STREAM)
CUTS = [0, 1, 1, 3, 70, 4099, 32769, 70001, 131071, golden.COUNT - 1, golden.COUNT]


def expected(shape, dtype, distribution, **place):
    array = np.empty(shape, cases.DTYPES[dtype])
    return fx.fill_(array, distribution, seed=KEY[0], stream=golden.STREAM, **place)


def same_bits(one, other):
    return bool(
        (
            cases.patterns(np.ascontiguousarray(one)) == cases.patterns(np.ascontiguousarray(other))
        ).all()
    )


def unaligned(count, dtype, start):
    """A contiguous array that begins `start` items after a multiple of 64 bytes."""
    dtype = cases.DTYPES[dtype]
    memory = np.zeros((count + 128) * dtype.itemsize, np.uint8)
    first = -memory.ctypes.data % 64 + start * dtype.itemsize
    return memory[first : first + count * dtype.itemsize].view(dtype)


@pytest.mark.parametrize("case", LINES, ids="-".join)
def test_golden_hashes(case):
    distribution, digest, first = LINES[case]
    values = unaligned(golden.COUNT, case[1], 0)
    cuda_host.fill(values, distribution, *KEY)
    assert golden.first_patterns(values) == first
    assert golden.digest(values) == digest


@pytest.mark.parametrize("case", LINES, ids="-".join)
def test_golden_hashes_in_shards(case):
    distribution, digest, _ = LINES[case]
    values = unaligned(golden.COUNT, case[1], 1)
    for begin, end in itertools.pairwise(CUTS):
        cuda_host.fill(values[begin:end], distribution, *KEY, values.shape, (begin,))
    assert golden.digest(values) == digest


@pytest.mark.parametrize("case", LINES, ids="-".join)
def test_nothing_beside_the_array_is_written(case):
    """Every alignment of a few elements, at every word of a block."""
    distribution = LINES[case][0]
    whole = expected(64, case[1], distribution)
    for start, first, count in itertools.product(range(9), range(9), (1, 2, 3, 4, 5, 17)):
        around = unaligned(64, case[1], start)
        cuda_host.fill(around[8 : 8 + count], distribution, *KEY, (64,), (first,))
        assert same_bits(around[8 : 8 + count], whole[first : first + count])
        assert not around[:8].view(np.uint8).any()
        assert not around[8 + count :].view(np.uint8).any()


@pytest.mark.parametrize("case", LINES, ids="-".join)
def test_layouts_and_shards(case):
    distribution = LINES[case][0]
    for name, (array, place) in gpu_layouts.layouts(case[1]).items():
        cuda_host.fill(array, distribution, *KEY, **place)
        assert same_bits(array, expected(array.shape, case[1], distribution, **place)), name


@pytest.mark.parametrize(
    ("rows", "columns", "first"), [(10, 300, 0), (1000, 3, 2), (70, 5, 2**34 - 99)]
)
def test_equal_numbers_of_a_sparse_matrix(tmp_path, rows, columns, first):
    """Of equal numbers the first are taken: here those of a column have few values."""
    order = "return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;"
    text = kernel_text()
    assert text.count(order) == 1
    coarse = order.replace("return", "return (").replace(";", ") >> 53 << 53;")
    (tmp_path / "kernels.inc").write_text(text.replace(order, coarse))
    matrix = np.ones((rows, columns), np.float32)
    zeros = rows // 2 + 1
    call = _core.device_zeros(_core.target_of(matrix), first, zeros, *KEY)
    run = cuda_host.compiled(tmp_path, call.distribution, call.name, len(call.launch))
    run(call.entry.encode(), call.launch, call.grid)

    last = first + matrix.size
    numbers = fx.fill_(
        np.empty(matrix.size),
        fx.Uniform(-1, 1),
        seed=KEY[0],
        stream=golden.STREAM,
        global_shape=(last,),
        offset=(first,),
    )
    bits = numbers.reshape(columns, rows).view(np.uint64)
    top = np.uint64(1 << 63)
    ordered = np.where(bits >= top, ~bits, bits | top) >> np.uint64(53)
    assert any(len(np.unique(column)) < rows // 2 for column in ordered)
    least = np.argsort(ordered, axis=1, kind="stable")[:, :zeros]
    expected = np.ones_like(matrix)
    np.put_along_axis(expected, least.T, 0, axis=0)
    assert (matrix == expected).all()


def test_too_many_columns_of_a_sparse_matrix():
    """More than the threads of a grid: 2**31 - 1 groups of 256."""
    columns = 2**39
    matrix = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1, columns), (0, 0))
    with pytest.raises(ValueError, match=r"shape \(1, 549755813888\) has too many columns"):
        _core.device_zeros(_core.target_of(matrix), 0, 1, *KEY)
