"""pytest-benchmark: this package beside memset and NumPy, on an array in the cache.

Fails at no time, however long; tools/compare.py fails if the ratios kept here fall.
"""

import numpy as np
import pytest

from fastxavier._dtypes import dtype_named
from fastxavier.bench.base import DISTRIBUTIONS
from fastxavier.bench.benchmark import best_seconds
from fastxavier.bench.implementations import IMPLEMENTATIONS

NBYTES = 1 << 18  # fits the second-level cache, where other work on the machine disturbs little
REPETITIONS = 20
NAMES = ("memset", "fastxavier", "NumPy SFC64")
BY_NAME = {one.name: one for one in IMPLEMENTATIONS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_fill(benchmark, distribution, dtype, name):
    array = np.zeros(NBYTES, np.uint8).view(dtype_named(dtype))

    def filler(name):
        return BY_NAME[name].filler(DISTRIBUTIONS[distribution], array, 1)

    benchmark.group = f"{distribution}, {dtype}, one thread"
    benchmark(filler(name))
    if name == "fastxavier":  # the times of the table are not taken in turn, these are
        fills = [filler(one) for one in NAMES]
        memset, ours, numpy = best_seconds(fills, REPETITIONS)
        benchmark.extra_info["fraction of memset"] = memset / ours
        benchmark.extra_info["times NumPy"] = numpy / ours
