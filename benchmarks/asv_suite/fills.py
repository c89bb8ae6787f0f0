"""Filling one array, by distribution, dtype, size, threads, layout and instruction set."""

import numpy as np

import fastxavier as fx
from fastxavier import _core

from .axes import DISTRIBUTIONS, DTYPES, FULL, ISAS, SIZES, THREADS, fill, touched


class Fill:
    params = (list(DISTRIBUTIONS), list(DTYPES), SIZES, THREADS)
    param_names = ("distribution", "dtype", "values", "threads")

    def setup(self, distribution, dtype, values, threads):
        self.distribution, self.array = DISTRIBUTIONS[distribution], touched(values, dtype)

    def time_fill(self, distribution, dtype, values, threads):
        fill(self.array, self.distribution, threads)


LAYOUTS = {
    "C": lambda values: touched(values, "float32").reshape(-1, 1000),
    "Fortran": lambda values: touched(values, "float32").reshape(1000, -1).T,
    "every other": lambda values: touched(2 * values, "float32")[::2],
    "block of columns": lambda values: touched(2 * values, "float32").reshape(-1, 2000)[:, :1000],
}


class Layout:
    params = (list(DISTRIBUTIONS) if FULL else ["uniform"], list(LAYOUTS))
    param_names = ("distribution", "layout")

    def setup(self, distribution, layout):
        self.distribution, self.array = DISTRIBUTIONS[distribution], LAYOUTS[layout](10**6)

    def time_fill(self, distribution, layout):
        fill(self.array, self.distribution)


class InstructionSet:
    params = (ISAS, list(DISTRIBUTIONS), list(DTYPES))
    param_names = ("ISA", "distribution", "dtype")

    def setup(self, isa, distribution, dtype):
        self.distribution, self.array = DISTRIBUTIONS[distribution], touched(1 << 16, dtype)
        _core.force_isa(isa)

    def teardown(self, isa, distribution, dtype):
        _core.force_isa(None)

    def time_fill(self, isa, distribution, dtype):
        fill(self.array, self.distribution)


class FreshPages:
    """Memory that has not been touched, so that the operating system maps it during the fill."""

    params = (THREADS,)
    param_names = ("threads",)
    number = 1
    warmup_time = 0

    def setup(self, threads):
        self.array = np.empty(1 << 24, np.float32)

    def time_fill(self, threads):
        fill(self.array, DISTRIBUTIONS["uniform"], threads)

    def peakmem_fill(self, threads):
        fill(self.array, DISTRIBUTIONS["uniform"], threads)

    def peakmem_array_alone(self, threads):
        self.array.fill(0)


class Call:
    """What a call costs, whatever the size: it fills one value."""

    def setup(self):
        self.array, self.distribution = np.zeros(1, np.float32), DISTRIBUTIONS["uniform"]

    def time_fill(self):
        fx.fill_(self.array, self.distribution, seed=7, stream=3)

    def time_fill_next_stream(self):
        fx.fill_(self.array, self.distribution)

    def time_fill_named_stream(self):
        fx.fill_(self.array, self.distribution, seed=7, stream="layers.0.weight")

    def time_uniform(self):
        fx.uniform_(self.array, 256, 512, seed=7, stream=3)

    def time_truncated_normal(self):
        fx.truncated_normal_(self.array, 256, 512, seed=7, stream=3)
