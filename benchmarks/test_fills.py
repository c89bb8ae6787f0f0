"""pytest-benchmark: one array by this package, beside memory and NumPy; ratios kept for compare.py.

Not a test of values, and it fails at no time: tools/compare.py does, at ratios that fell.
"""

import numpy as np
import pytest

from fastxavier.bench.peers import CONTESTANTS, LAWS, dtype_named
from fastxavier.bench.race import DISTRIBUTIONS, least_seconds

NBYTES = 1 << 18  # it stays in the second-level cache: what else the machine does meets it little
SPELLS = 20
NAMES = ("memset", "fastxavier", "NumPy SFC64")
BY_NAME = {one.name: one for one in CONTESTANTS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("law", LAWS)
def test_fill(benchmark, law, dtype, name):
    array = np.zeros(NBYTES, np.uint8).view(dtype_named(dtype))

    def filler(name):
        return BY_NAME[name].filler(DISTRIBUTIONS[law], array, 1)

    benchmark.group = f"{law}, {dtype}, one thread"
    benchmark(filler(name))
    if name == "fastxavier":  # taken in turn, as the figures of the table are not
        fills = [filler(one) for one in NAMES]
        memset, ours, numpy = least_seconds(fills, SPELLS)
        benchmark.extra_info["of memset"] = memset / ours
        benchmark.extra_info["times NumPy"] = numpy / ours
