"""Ratios, which depend less on the clock and on other work on the machine than times do."""

import ctypes
import os
import subprocess
import tempfile
import time
from pathlib import Path

from .axes import DISTRIBUTIONS, DTYPES, FULL, fill, touched

try:
    from fastxavier.bench.benchmark import best_seconds
    from fastxavier.bench.implementations import IMPLEMENTATIONS
except ImportError:
    best_seconds = None

CYCLE = Path(__file__).parents[2] / "tools" / "cycle.inc.h"
BYTES = [1 << 18, 1 << 28] if FULL else [1 << 18]
REPETITIONS = 10


class _Ratio:
    """The speed relative to another implementation, both on one thread."""

    param_names = ("distribution", "dtype", "bytes")

    def setup(self, distribution, dtype, nbytes):
        if best_seconds is None:
            raise NotImplementedError("this commit has no fastxavier.bench")
        self.array = touched(nbytes // DTYPES[dtype].itemsize, dtype)

    def ratio(self, name, distribution):
        by_name = {one.name: one for one in IMPLEMENTATIONS}
        fills = [
            by_name[one].filler(DISTRIBUTIONS[distribution], self.array, 1)
            for one in (name, "fastxavier")
        ]
        other, ours = best_seconds(fills, REPETITIONS)
        return other / ours


class Ratio(_Ratio):
    """To memset and to NumPy's fastest generator."""

    params = (list(DISTRIBUTIONS), list(DTYPES), BYTES)

    def track_fraction_of_memset(self, distribution, dtype, nbytes):
        return self.ratio("memset", distribution)

    def track_times_numpy(self, distribution, dtype, nbytes):
        return self.ratio("NumPy SFC64", distribution)

    track_fraction_of_memset.unit = "fraction of memset"
    track_times_numpy.unit = "times NumPy SFC64"


class ConstantRatio(_Ratio):
    """To a constant fill of 32 MiB, whose stores are nontemporal."""

    params = (list(DISTRIBUTIONS), list(DTYPES), [1 << 25])

    def track_fraction_of_constant_fill(self, distribution, dtype, nbytes):
        return self.ratio("constant fill", distribution)

    track_fraction_of_constant_fill.unit = "fraction of constant fill"


class Cycles:
    """Bytes per cycle, with the array in the second-level cache."""

    params = (list(DISTRIBUTIONS), list(DTYPES))
    param_names = ("distribution", "dtype")

    def setup_cache(self):
        """The compiled library that measures a cycle; None if it cannot be compiled."""
        library = Path(tempfile.mkdtemp(), "cycle.so")
        command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-x", "c"]
        try:
            subprocess.run([*command, str(CYCLE), "-o", str(library)], check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return str(library)

    def setup(self, library, distribution, dtype):
        if library is None:
            raise NotImplementedError("no C compiler, or an architecture without a measured cycle")
        self.cycle = ctypes.CDLL(library).seconds_per_cycle
        self.cycle.restype = ctypes.c_double
        self.array = touched((1 << 18) // DTYPES[dtype].itemsize, dtype)

    def track_bytes_per_cycle(self, library, distribution, dtype):
        best = 0.0
        for _ in range(100):
            before, start = self.cycle(), time.perf_counter()
            fill(self.array, DISTRIBUTIONS[distribution])
            seconds, after = time.perf_counter() - start, self.cycle()
            best = max(best, self.array.nbytes / seconds * min(before, after))
        return best

    track_bytes_per_cycle.unit = "bytes per cycle"
