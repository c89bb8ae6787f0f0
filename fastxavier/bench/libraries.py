"""NumPy, randompack, mkl_random and Numba as implementations; implementations.py lists them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastxavier.bench.base import BLOCK, SEED, Array, Fill, Implementation
from fastxavier.distributions import Normal, TruncatedNormal, Uniform


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """The pool for this number of threads, shared by all runs."""
    return ThreadPoolExecutor(threads)


def by_blocks(array: Array, drawn_in: DTypeLike, draw: Callable[[Array], object]) -> None:
    """Call `draw` on each block of the array, through a buffer where the dtypes differ."""
    direct = array.dtype == drawn_in
    block = np.empty(0 if direct else min(BLOCK, array.size), drawn_in)
    for first in range(0, array.size, BLOCK):
        part = array[first : first + BLOCK]
        out = part if direct else block[: len(part)]
        draw(out)
        if not direct:
            part[:] = out


def by_threads(
    array: Array, drawn_in: DTypeLike, draws: Sequence[Callable[[Array], object]]
) -> Fill:
    """The function that fills a part of the array with each draw, each on a thread of its own."""
    if len(draws) == 1:
        return lambda: by_blocks(array, drawn_in, draws[0])
    pool, parts = _pool(len(draws)), np.array_split(array, len(draws))
    return lambda: list(pool.map(by_blocks, parts, [drawn_in] * len(draws), draws))


def rejecting(draw: Callable[[Array], object], low: float, high: float) -> Callable[[Array], None]:
    """`draw`, but values outside [low, high] are drawn again."""

    def within(out: Array) -> None:
        draw(out)
        outside = np.flatnonzero((out < low) | (out > high))
        while outside.size:
            again = np.empty(outside.size, out.dtype)
            draw(again)
            out[outside] = again
            outside = outside[(again < low) | (again > high)]

    return within


def scaled(
    draw: Callable[[Array], object], location: float, scale: float
) -> Callable[[Array], None]:
    """`draw`, multiplied by the scale, plus the location."""

    def to_scale(out: Array) -> None:
        draw(out)
        out *= out.dtype.type(scale)
        if location:
            out += out.dtype.type(location)

    return to_scale


class NumPy(Implementation):
    """numpy.random in place, each thread with its own bit generator, as NumPy's guide shows.

    https://numpy.org/doc/stable/reference/random/multithreading.html
    """

    package = "numpy"
    note = "in place; narrower dtypes cast from float32"

    def __init__(self, bits: str) -> None:
        self.name, self.bits = f"NumPy {bits}", bits

    def _fill(
        self, array: Array, threads: int, drawer: Callable[[np.random.Generator, Any], Any]
    ) -> Fill:
        drawn_in = np.float64 if array.dtype == np.float64 else np.float32
        seeds = np.random.SeedSequence(SEED).spawn(threads)
        bits = getattr(np.random, self.bits)
        draws = [drawer(np.random.Generator(bits(seed)), drawn_in) for seed in seeds]
        return by_threads(array, drawn_in, draws)

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


class Randompack(Implementation):
    """A sequential generator of randompack in place, each thread with its own, as it documents.

    https://randompack.readthedocs.io/
    """

    package = "randompack"
    note = "in place; narrower dtypes cast from float32"

    def __init__(self, engine: str) -> None:
        self.name, self.engine = f"randompack {engine}", engine

    def _fill(
        self, array: Array, threads: int, drawer: Callable[[Any], Callable[[Array], object]]
    ) -> Fill:
        new = importlib.import_module("randompack").Rng
        generators = [new(self.engine) for _ in range(threads)]
        for i, generator in enumerate(generators):
            generator.seed(SEED, spawn_key=[i])
        drawn_in = np.float64 if array.dtype == np.float64 else np.float32
        return by_threads(array, drawn_in, [drawer(generator) for generator in generators])

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        low, high = distribution.low, distribution.high
        return self._fill(
            array, threads, lambda generator: lambda out: generator.unif(a=low, b=high, out=out)
        )

    @staticmethod
    def _drawer(normal: Normal) -> Callable[[Any], Callable[[Array], object]]:
        mean, std = normal.mean, normal.std
        return lambda generator: lambda out: generator.normal(mu=mean, sigma=std, out=out)

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        return self._fill(array, threads, self._drawer(distribution))

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        drawer, (low, high) = self._drawer(distribution.parent), distribution.bounds
        return self._fill(array, threads, lambda generator: rejecting(drawer(generator), low, high))


class MKLRandom(Implementation):
    """A generator of Intel's library. It only makes new float64 arrays: drawn in blocks, copied."""

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
    """Normal draws by one of the methods of Intel's library."""

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
    """The loops, compiled once; each thread draws from its own generator."""
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


class Numba(Implementation):
    """Loops over prange, compiled with parallel=True; numpy.random has one state per thread there.

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
