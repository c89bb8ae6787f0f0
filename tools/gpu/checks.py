"""The checks of real GPUs: run.py calls each of `CHECKS`, and the sanitizer runs `small`.

Expected values come from the CPU, whose bits the tests have.
"""

import itertools
import multiprocessing
import pathlib

import cases
import golden
import gpu_layouts
import memory
import numpy as np

import fastxavier as fx

LINES = golden.parsed(
    (pathlib.Path(__file__).parents[2] / "tests" / "data" / "golden.txt").read_text("ascii")
)
KEY = {"seed": golden.SEED, "stream": golden.STREAM}
MANY = (1 << 24) + 5


class FailedError(Exception):
    """A check found other bits than the CPU's."""


UNTOUCHED = {size: int.from_bytes(b"\xa5" * size, "little") for size in (1, 2, 4, 8)}


def bits_of(array):
    """The dtype of unsigned integers of the same size."""
    return np.dtype(f"u{array.dtype.itemsize}")


def compare(like, distribution, what, **place):
    """Fill an array on the GPU and one on the CPU; FailedError unless all bits are the same.

    The bytes between the elements must be as they were.
    """
    there = memory.Array(like)
    fx.fill_(there, distribution, **KEY, **place)
    found = there.values()
    expected = fx.fill_(np.empty(like.shape, like.dtype), distribution, **KEY, **place)
    if not memory.same_bytes(found, expected):
        bits = bits_of(like)
        differ = np.ascontiguousarray(found).view(bits) != np.ascontiguousarray(expected).view(bits)
        raise FailedError(f"{what}: {np.count_nonzero(differ)} of {differ.size} values differ")
    bytes_ = there.bytes()
    np.ndarray(like.shape, bits_of(like), bytes_, there.first, like.strides)[...] = UNTOUCHED[
        like.dtype.itemsize
    ]
    if (bytes_ != 0xA5).any():
        raise FailedError(f"{what}: bytes beside the array were written")
    there.free()


def devices():
    """Each device, made the current one."""
    for device in range(memory.count()):
        memory.use(device)
        yield device


def golden_hashes():
    """The hashes of tests/data/golden.txt."""
    for device, (case, (distribution, digest, _)) in itertools.product(devices(), LINES.items()):
        there = memory.Array(np.empty(golden.COUNT, cases.DTYPES[case[1]]))
        fx.fill_(there, distribution, **KEY)
        if golden.digest(there.values()) != digest:
            raise FailedError(f"device {device}: {'-'.join(case)} has another hash than golden.txt")
        there.free()
    return len(LINES)


def many_values():
    """2**24 values of every distribution and dtype, from index 0 on and from about 2**33 on."""
    far = {"global_shape": (1 << 40,), "offset": ((1 << 33) - MANY // 2,)}
    across = {"global_shape": (1 << 40,), "offset": ((1 << 34) - MANY // 2,)}
    done = 0
    for device, case, place in itertools.product(devices(), LINES, ({}, far, across)):
        compare(
            np.empty(MANY, cases.DTYPES[case[1]]),
            LINES[case][0],
            f"device {device}: {'-'.join(case)} at {place.get('offset', (0,))[0]}",
            **place,
        )
        done += 1
    return done


def layouts():
    """Every kind of layout and shard, of every distribution and dtype."""
    done = 0
    for device, case in itertools.product(devices(), LINES):
        kinds = gpu_layouts.layouts(case[1])
        whole = np.zeros((700, 300), cases.DTYPES[case[1]])
        kinds["a large transposed matrix"] = whole.T, {}
        kinds["rows of a large matrix"] = whole[:, 3:-2], {}
        for name, (array, place) in kinds.items():
            compare(array, LINES[case][0], f"device {device}: {'-'.join(case)}, {name}", **place)
            done += 1
    return done


def alignments():
    """A few elements at every address and at every word of a block."""
    done = 0
    for case in LINES:
        dtype = cases.DTYPES[case[1]]
        for start, first in itertools.product(range(9), range(5)):
            around = np.zeros(80, dtype)
            compare(
                around[start : start + 37],
                LINES[case][0],
                f"{'-'.join(case)}, element {start}, index {first}",
                global_shape=(64,),
                offset=(first,),
            )
            done += 1
    return done


def two_streams():
    """Fills on two streams at once, and one after another on the same memory."""
    memory.use(0)
    streams = [memory.new_stream(), memory.new_stream()]
    arrays = [memory.Array(np.empty(MANY, np.float32)) for _ in streams]
    for number in range(20):
        for array, stream in zip(arrays, streams, strict=True):
            fx.fill_(array, fx.Normal(), seed=number, stream=stream, cuda_stream=stream)
    for array, stream in zip(arrays, streams, strict=True):
        if not memory.same_bytes(
            array.values(), fx.draw(MANY, fx.Normal(), seed=19, stream=stream)
        ):
            raise FailedError("two streams: the last fill's values are not there")
        array.free()
    return 2


def graph():
    """A captured fill, replayed after its memory was changed."""
    memory.use(0)
    stream, array = memory.new_stream(), memory.Array(np.empty(MANY, np.float32))
    fx.fill_(array, fx.Normal(), seed=1, cuda_stream=stream)  # which loads the kernel
    memory.synchronize()
    captured = memory.Graph(
        stream, lambda: fx.fill_(array, fx.Normal(), seed=2, stream=3, cuda_stream=stream)
    )
    expected = fx.draw(MANY, fx.Normal(), seed=2, stream=3)
    for _ in range(3):
        memory.set_words(array, stream)
        captured.launch()
        if not memory.same_bytes(array.values(), expected):
            raise FailedError("graph: the replayed fill has other values")
    array.free()
    return 3


def _one_process(seed):
    memory.use(0)
    array = memory.Array(np.empty(MANY, np.float32))
    for _ in range(20):
        fx.fill_(array, fx.Normal(), seed=seed)
    return memory.same_bytes(array.values(), fx.draw(MANY, fx.Normal(), seed=seed))


def two_processes():
    """Two processes that fill on one device at once."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        if not all(pool.map(_one_process, [1, 2])):
            raise FailedError("two processes: values differ")
    return 2


def structured():
    """Initializers of whole tensors."""
    memory.use(0)
    done = 0
    for initializer, shape in (
        (fx.Identity(0.5), (300, 200)),
        (fx.Dirac(4), (64, 16, 3, 3)),
        (fx.Sparse(0.7), (100, 60)),
        (fx.Sparse(0.1), (3000, 2000)),
        (fx.Sparse(0.5), (1_000_000, 3)),
    ):
        compare(np.empty(shape, np.float32), initializer, repr(initializer))
        done += 1
    return done


def small():
    """A little of everything, for compute-sanitizer, which takes long."""
    memory.use(0)
    for case in LINES:
        dtype = cases.DTYPES[case[1]]
        compare(np.empty(1000, dtype), LINES[case][0], "-".join(case))
        compare(np.empty((9, 20), dtype).T[1:, ::2], LINES[case][0], "-".join(case))
    return 2 * len(LINES)


CHECKS = (
    golden_hashes,
    many_values,
    layouts,
    alignments,
    structured,
    two_streams,
    graph,
    two_processes,
)
