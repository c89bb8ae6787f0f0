"""NumPy, mkl_random and Numba."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastxavier.bench.base import SEED, Array, Contestant, Fill, _pool, by_blocks, rejecting, scaled
from fastxavier.distributions import Normal, TruncatedNormal, Uniform


class NumPy(Contestant):
    """A bit generator of numpy.random on each thread, drawing in place: "Multithreaded generation".

    https://numpy.org/doc/stable/reference/random/multithreading.html
    """

    package = "numpy"
    note = "in place; 16-bit dtypes cast from float32"

    def __init__(self, bits: str) -> None:
        self.name, self.bits = f"NumPy {bits}", bits

    def _fill(
        self, array: Array, threads: int, drawer: Callable[[np.random.Generator, Any], Any]
    ) -> Fill:
        drawn_in = np.float64 if array.dtype == np.float64 else np.float32
        seeds = np.random.SeedSequence(SEED).spawn(threads)
        bits = getattr(np.random, self.bits)
        draws = [drawer(np.random.Generator(bits(seed)), drawn_in) for seed in seeds]
        parts = np.array_split(array, threads)
        if threads == 1:
            return lambda: by_blocks(array, drawn_in, draws[0])
        pool = _pool(threads)
        return lambda: list(pool.map(by_blocks, parts, [drawn_in] * threads, draws))

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        return self._fill(
            array,
            threads,
            lambda generator, dtype: scaled(
                lambda out: generator.random(out=out, dtype=dtype),
                distribution.low,
                distribution.high - distribution.low,
            ),
        )

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        return self._fill(
            array,
            threads,
            lambda generator, dtype: scaled(
                lambda out: generator.standard_normal(out=out, dtype=dtype),
                distribution.mean,
                distribution.std,
            ),
        )

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        def drawer(generator: np.random.Generator, dtype: Any) -> Callable[[Array], None]:
            standard = rejecting(
                lambda out: generator.standard_normal(out=out, dtype=dtype),
                distribution.low,
                distribution.high,
            )
            return scaled(standard, distribution.parent.mean, distribution.parent.std)

        return self._fill(array, threads, drawer)


class MKLRandom(Contestant):
    """A generator of Intel's library, which makes new float64 arrays: here blocks, to copy."""

    package, threads = "mkl_random", "one"
    note = "float64 blocks, copied"

    def __init__(self, bits: str) -> None:
        self.name, self.bits = f"mkl_random {bits}", bits

    def _state(self) -> Any:
        return importlib.import_module("mkl_random").MKLRandomState(SEED, brng=self.bits)

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        state = self._state()

        def draw(out: Array) -> None:
            out[:] = state.uniform(distribution.low, distribution.high, out.size)

        return lambda: by_blocks(array, array.dtype, draw)


class MKLRandomNormals(MKLRandom):
    """The same with one of its methods for normal draws."""

    uniform = None  # type: ignore[assignment]

    def __init__(self, bits: str, method: str) -> None:
        super().__init__(bits)
        self.name, self.method = f"{self.name} {method}", method

    def _drawer(self, distribution: Normal) -> Callable[[Array], None]:
        state = self._state()

        def draw(out: Array) -> None:
            out[:] = state.normal(distribution.mean, distribution.std, out.size, method=self.method)

        return draw

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        draw = self._drawer(distribution)
        return lambda: by_blocks(array, array.dtype, draw)

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        draw = rejecting(self._drawer(distribution.parent), *distribution.bounds)
        return lambda: by_blocks(array, np.float64, draw)


@cache
def _numba_kernels() -> dict[str, Any]:
    """The loops, compiled once: each thread draws from a generator of its own."""
    numba = importlib.import_module("numba")
    prange = numba.prange

    def uniform(out, low, high):  # type: ignore[no-untyped-def]
        for i in prange(out.size):
            out[i] = np.random.uniform(low, high)

    def normal(out, mean, std):  # type: ignore[no-untyped-def]
        for i in prange(out.size):
            out[i] = np.random.normal(mean, std)

    def truncated_normal(out, mean, std, low, high):  # type: ignore[no-untyped-def]
        for i in prange(out.size):
            value = np.random.normal(mean, std)
            while value < low or value > high:
                value = np.random.normal(mean, std)
            out[i] = value

    loops = (uniform, normal, truncated_normal)
    return {loop.__name__: numba.njit(parallel=True)(loop) for loop in loops}


class Numba(Contestant):
    """Loops over prange, compiled with parallel=True; its numpy.random is one for each thread.

    https://numba.readthedocs.io/en/stable/reference/numpysupported.html#random
    """

    name, package, dtypes = "Numba", "numba", ("float32", "float64")
    note = "in place"

    def _fill(self, loop: str, array: Array, threads: int, *parameters: float) -> Fill:
        compiled = _numba_kernels()[loop]
        numba = importlib.import_module("numba")

        def fill() -> None:
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            compiled(array, *parameters)

        return fill

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        return self._fill("uniform", array, threads, distribution.low, distribution.high)

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        return self._fill("normal", array, threads, distribution.mean, distribution.std)

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        parent = distribution.parent
        return self._fill(
            "truncated_normal", array, threads, parent.mean, parent.std, *distribution.bounds
        )
