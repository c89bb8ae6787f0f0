"""pytest-benchmark: one array by this package, beside memory and NumPy; ratios kept for compare.py.

Not a test of values, and it fails at no time: tools/compare.py does, at ratios that fell.
"""

import numpy as np
import pytest

from fastxavier.bench.benchmark import DISTRIBUTIONS, least_seconds
from fastxavier.bench.implementations import CONTESTANTS, DISTRIBUTIONS, dtype_named

NBYTES = 1 << 18  # it stays in the second-level cache: what else the machine does meets it little
SPELLS = 20
NAMES = ("memset", "fastxavier", "NumPy SFC64")
BY_NAME = {one.name: one for one in CONTESTANTS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_fill(benchmark, distribution, dtype, name):
    array = np.zeros(NBYTES, np.uint8).view(dtype_named(dtype))

    def filler(name):
        return BY_NAME[name].filler(DISTRIBUTIONS[distribution], array, 1)

    benchmark.group = f"{distribution}, {dtype}, one thread"
    benchmark(filler(name))
    if name == "fastxavier":  # taken in turn, as the figures of the table are not
        fills = [filler(one) for one in NAMES]
        memset, ours, numpy = least_seconds(fills, SPELLS)
        benchmark.extra_info["of memset"] = memset / ours
        benchmark.extra_info["times NumPy"] = numpy / ours
