"""Layouts and shards of every kind, for tests of the kernels of GPUs, on a CPU or on a GPU."""

import cases
import numpy as np


def layouts(dtype):
    """Name to (array, place): arrays of NumPy of every kind of layout, and parts of tensors."""
    dtype = cases.DTYPES[dtype]

    def zeros(*shape):
        return np.zeros(shape, dtype)

    return {
        "no axes": (zeros(), {}),
        "fortran": (zeros(37, 29).T, {}),
        "rows apart": (zeros(31, 80)[:, :44], {}),
        "columns apart": (zeros(31, 80)[:, ::3], {}),
        "backwards": (zeros(9, 33)[::-1, ::-1], {}),
        "three axes": (zeros(5, 7, 11).transpose(2, 0, 1), {}),
        "five axes": (zeros(3, 4, 5, 2, 7).transpose(3, 1, 4, 0, 2)[::2, ::-1], {}),
        "rows of a tensor": (zeros(5, 12), {"global_shape": (40, 12), "offset": (17, 0)}),
        "columns of a tensor": (zeros(40, 5), {"global_shape": (40, 77), "offset": (0, 13)}),
        "one column": (zeros(40, 1), {"global_shape": (40, 77), "offset": (0, 76)}),
        "a box": (zeros(4, 5, 6), {"global_shape": (9, 13, 15), "offset": (2, 3, 7)}),
        "a transposed box": (
            zeros(6, 5, 4).T,
            {"global_shape": (9, 13, 15), "offset": (2, 3, 7)},
        ),
        "across 2**32 blocks": (
            zeros(40),
            {"global_shape": (1 << 40,), "offset": ((1 << 34) - 17,)},
        ),
        "rows across 2**32 blocks": (
            zeros(5, 9),
            {"global_shape": (8, 3 << 33), "offset": (1, (1 << 33) - 3)},
        ),
        "at the end of the largest tensor": (
            zeros(33),
            {"global_shape": (1 << 62,), "offset": ((1 << 62) - 33,)},
        ),
        "64 axes": (zeros(*[1] * 50, *[2] * 10, *[1] * 4).T, {}),
        "empty": (zeros(0, 7), {}),
    }
