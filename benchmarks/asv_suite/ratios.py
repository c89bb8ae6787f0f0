"""Figures that do not hang on the machine's clock or what else it does: ratios, taken in turn."""

import ctypes
import os
import subprocess
import tempfile
import time
from pathlib import Path

from .axes import DISTRIBUTIONS, DTYPES, FULL, fill, touched

try:
    from fastxavier.bench.benchmark import least_seconds
    from fastxavier.bench.implementations import CONTESTANTS
except ImportError:
    least_seconds = None

CYCLE = Path(__file__).parents[2] / "tools" / "cycle.inc.h"
BYTES = [1 << 18, 1 << 28] if FULL else [1 << 18]
SPELLS = 10


class _Ratio:
    """To another contestant, on one thread."""

    param_names = ("distribution", "dtype", "bytes")

    def setup(self, distribution, dtype, nbytes):
        if least_seconds is None:
            raise NotImplementedError("this commit has no peers")
        self.array = touched(nbytes // DTYPES[dtype].itemsize, dtype)

    def ratio(self, name, distribution):
        by_name = {one.name: one for one in CONTESTANTS}
        fills = [
            by_name[one].filler(DISTRIBUTIONS[distribution], self.array, 1)
            for one in (name, "fastxavier")
        ]
        other, ours = least_seconds(fills, SPELLS)
        return other / ours


class Ratio(_Ratio):
    """To memory, and to NumPy's fastest generator."""

    params = (list(DISTRIBUTIONS), list(DTYPES), BYTES)

    def track_of_memset(self, distribution, dtype, nbytes):
        return self.ratio("memset", distribution)

    def track_times_numpy(self, distribution, dtype, nbytes):
        return self.ratio("NumPy SFC64", distribution)

    track_of_memset.unit = "of memset"
    track_times_numpy.unit = "times NumPy SFC64"


class StreamRatio(_Ratio):
    """To stores past the caches, which a fill of 32 MiB and more makes."""

    params = (list(DISTRIBUTIONS), list(DTYPES), [1 << 25])

    def track_of_streaming_stores(self, distribution, dtype, nbytes):
        return self.ratio("streaming stores", distribution)

    track_of_streaming_stores.unit = "of streaming stores"


class Cycles:
    """Bytes per cycle, the array in the second-level cache."""

    params = (list(DISTRIBUTIONS), list(DTYPES))
    param_names = ("distribution", "dtype")

    def setup_cache(self):
        """What tells how long a cycle is, compiled; None if it cannot be."""
        library = Path(tempfile.mkdtemp(), "cycle.so")
        command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-x", "c"]
        try:
            subprocess.run([*command, str(CYCLE), "-o", str(library)], check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return str(library)

    def setup(self, library, distribution, dtype):
        if library is None:
            raise NotImplementedError("no compiler here, or no cycle for this machine")
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
