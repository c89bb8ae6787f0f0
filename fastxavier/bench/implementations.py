"""The table of all implementations: memory without arithmetic, this package, and other libraries.

To add one, write a class (see base.py) and its row here; the tests and the command find it there.
"""

from __future__ import annotations

import mmap

import numpy as np
from numpy.typing import DTypeLike

from fastxavier.bench.base import SEED, Array, Fill, Implementation
from fastxavier.bench.frameworks import (
    Jax,
    JaxCast,
    Keras,
    TensorFlow,
    TensorFlowCast,
    Torch,
    TorchCast,
)
from fastxavier.bench.libraries import (
    MKLRandom,
    MKLRandomNormals,
    Numba,
    NumPy,
    Randompack,
)
from fastxavier.distributions import Constant, Distribution
from fastxavier.fill import fill_

__all__ = ["IMPLEMENTATIONS", "PEERS", "Implementation"]


class Memset(Implementation):
    """The memory bandwidth of one thread: NumPy's fill of bytes is memset."""

    name, package, role, threads = "memset", "numpy", "memory", "one"

    def uniform(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        data = array.view(np.uint8)
        return lambda: data.fill(0)

    normal = truncated_normal = uniform


class Zeros(Implementation):
    """What the system takes to make the pages of new memory: of each, a value is written."""

    name, package, role, threads = "np.zeros, touched", "numpy", "memory", "one"
    memories = ("fresh",)

    def empty(self, count: int, dtype: DTypeLike) -> Array:
        return np.zeros(count, dtype)

    def uniform(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        data = array.view(np.uint8)[:: mmap.PAGESIZE]
        return lambda: data.fill(0)

    normal = truncated_normal = uniform


class ConstantFill(Implementation):
    """The memory bandwidth of all threads: this package's stores without arithmetic."""

    name, package, role = "constant fill", "fastxavier", "memory"

    def uniform(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        constant = Constant(0.5)
        return lambda: fill_(array, constant, seed=SEED, threads=threads)

    normal = truncated_normal = uniform


class Fastxavier(Implementation):
    """This package."""

    name, package, role = "fastxavier", "fastxavier", "ours"

    def uniform(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        return lambda: fill_(array, distribution, seed=SEED, threads=threads)

    normal = truncated_normal = uniform


MKL_BITS = ("ARS5", "SFMT19937", "MCG59", "PHILOX4X32X10")

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    Memset(),
    Zeros(),
    ConstantFill(),
    Fastxavier(),
    *(NumPy(bits) for bits in ("PCG64", "SFC64", "Philox")),
    *(Randompack(engine) for engine in ("sfc64simd", "x256++simd")),
    Torch(),
    TorchCast(),
    Jax(),
    JaxCast(),
    TensorFlow(),
    TensorFlowCast(),
    Keras(),
    *(MKLRandom(bits) for bits in MKL_BITS),
    *(MKLRandomNormals(bits, method) for bits in MKL_BITS for method in ("ICDF", "BoxMuller2")),
    Numba(),
)
PEERS = tuple(dict.fromkeys(one.package for one in IMPLEMENTATIONS if one.role == "peer"))
