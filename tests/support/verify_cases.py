"""What the tests of `verify` have in common: distributions, draws of them and a model."""

import cases
import numpy as np
import pytest

import fastxavier as fx

SEED = 20100513
SHAPE = 512, 512
NORMAL = fx.glorot_normal(512, 512)
UNIFORM = fx.glorot_uniform(512, 512)
TRUNCATED = fx.glorot_truncated_normal(512, 512)

dtypes = pytest.mark.parametrize("dtype", cases.DTYPES)


def filled(distribution, shape=SHAPE, dtype="float32", seed=SEED):
    return fx.fill_(np.empty(shape, cases.DTYPES[dtype]), distribution, seed=seed)


def changed(array, where, value):
    array[where] = value
    return array


def model():
    arrays = {
        "0.weight": np.empty((300, 200), np.float32),
        "0.bias": np.empty(300, np.float32),
        "1.weight": np.empty((10, 300), np.float16),
        "bn.weight": np.empty(10),
        "bn.num_batches_tracked": np.empty((), np.int64),
        "none.weight": np.empty((0, 5)),
    }
    fx.init_(arrays, seed=7)
    return arrays
