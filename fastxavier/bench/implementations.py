"""Who fills an array, and how: memory itself, this package, and its peers as they document it.

One short class each. Knows no clock and no statistics; libraries are imported when they fill.
"""

from __future__ import annotations

import numpy as np

from fastxavier.bench.base import (
    DISTRIBUTIONS,
    DTYPES,
    SEED,
    Array,
    Contestant,
    Fill,
    dtype_named,
)
from fastxavier.bench.frameworks import Jax, JaxCast, Keras, Torch, TorchCast
from fastxavier.bench.libraries import MKLRandom, MKLRandomNormals, Numba, NumPy
from fastxavier.distributions import Constant, Distribution
from fastxavier.fill import fill_

__all__ = ["CONTESTANTS", "DISTRIBUTIONS", "DTYPES", "Contestant", "dtype_named"]


class Memset(Contestant):
    """What the memory takes from one thread: NumPy's fill of bytes is memset."""

    name, package, role, threads = "memset", "numpy", "limit", "one"

    def uniform(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        data = array.view(np.uint8)
        return lambda: data.fill(0)

    normal = truncated_normal = uniform


class StreamingStores(Contestant):
    """What it takes from all, by stores past the cache and no arithmetic."""

    name, package, role = "streaming stores", "fastxavier", "limit"

    def uniform(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        constant = Constant(0.5)
        return lambda: fill_(array, constant, seed=SEED, threads=threads)

    normal = truncated_normal = uniform


class Fastxavier(Contestant):
    """This package."""

    name, package, role = "fastxavier", "fastxavier", "ours"

    def uniform(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        return lambda: fill_(array, distribution, seed=SEED, threads=threads)

    normal = truncated_normal = uniform

MKL_BITS = ("ARS5", "SFMT19937", "MCG59", "PHILOX4X32X10")

CONTESTANTS: tuple[Contestant, ...] = (
    Memset(),
    StreamingStores(),
    Fastxavier(),
    *(NumPy(bits) for bits in ("PCG64", "SFC64", "Philox")),
    Torch(),
    TorchCast(),
    Jax(),
    JaxCast(),
    Keras(),
    *(MKLRandom(bits) for bits in MKL_BITS),
    *(MKLRandomNormals(bits, method) for bits in MKL_BITS for method in ("ICDF", "BoxMuller2")),
    Numba(),
)
