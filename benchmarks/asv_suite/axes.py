"""The parameters that the benchmarks of this folder run over, and the arrays they fill."""

import os

import ml_dtypes
import numpy as np

import fastxavier as fx
from fastxavier import _core

FULL = os.environ.get("FASTXAVIER_BENCH") == "full"

DISTRIBUTIONS = {
    "uniform": fx.Uniform(-0.05, 0.05),
    "normal": fx.Normal(0.0, 0.02),
    "truncated_normal": fx.TruncatedNormal(0.0, 0.02),
}
DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
if FULL:
    DTYPES.update(
        float64=np.dtype(np.float64),
        float16=np.dtype(np.float16),
        float8_e4m3fn=np.dtype(ml_dtypes.float8_e4m3fn),
    )
SIZES = [10**n for n in (range(3, 9) if FULL else (3, 6))]
THREADS = sorted({1, os.cpu_count()})
ISAS = list(_core.available_isas())


def touched(count, dtype):
    """An array whose memory pages exist, since it has been written."""
    return np.zeros(count, DTYPES[dtype]) + DTYPES[dtype].type(0)


def fill(array, distribution, threads=1):
    """The call that is timed."""
    fx.fill_(array, distribution, seed=7, stream=3, threads=threads)
