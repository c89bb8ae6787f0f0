"""Who fills an array, and how: memory itself, this package, and its peers as they document it.

One short class each. Knows no clock and no statistics; libraries are imported when they fill.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastxavier import _core
from fastxavier.distributions import Constant, Distribution, Normal, TruncatedNormal, Uniform
from fastxavier.fill import fill_

__all__ = ["CONTESTANTS", "DISTRIBUTIONS", "DTYPES", "Contestant", "dtype_named"]

Array = NDArray[Any]
Fill = Callable[[], object]

DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
}
DTYPES = ("float32", "float64", "float16", "bfloat16")

SEED = 7
BLOCK = 1 << 15  # values at a time, where a peer needs several passes: they stay in the cache


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of this name.

    Parameters
    ----------
    name : str
        One of `DTYPES`.

    Returns
    -------
    numpy.dtype
        Of bfloat16, ml_dtypes'.

    Raises
    ------
    ImportError
        If it is bfloat16 and ml_dtypes is missing.
    """
    dtype: np.dtype[Any] = np.dtype(
        importlib.import_module("ml_dtypes").bfloat16 if name == "bfloat16" else name
    )
    return dtype


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """One for each number of threads, however many heats there are."""
    return ThreadPoolExecutor(threads)


class Contestant:
    """One way to fill an array, as its own documentation knows it best.

    A subclass offers a distribution by a method of the distribution's name in `DISTRIBUTIONS`, which takes the distribution, the array
    and the number of threads, prepares what can be prepared, and returns the function that fills.

    Attributes
    ----------
    name : str
        Unlike any other's.
    package : str
        What must be installed for it.
    role : {"limit", "ours", "peer"}
        Memory without arithmetic, this package, or another one.
    dtypes : tuple of str
        Those it fills, out of `DTYPES`.
    threads : {"one", "given", "own"}
        Whether it runs on one thread, on as many as it is told, or on a pool of its own that
        nobody can size.
    note : str
        How the values come into the array, where they are not drawn there.
    """

    name: str
    package: str
    role: Literal["limit", "ours", "peer"] = "peer"
    dtypes: tuple[str, ...] = DTYPES
    threads: Literal["one", "given", "own"] = "given"
    note: str = ""

    @property
    def distributions(self) -> tuple[str, ...]:
        """The distributions it offers, out of `DISTRIBUTIONS`."""
        return tuple(name for name in DISTRIBUTIONS if getattr(self, name, None))

    @property
    def version(self) -> str | None:
        """Of its package; None if that is not installed."""
        if self.package == "fastxavier":
            return _core.version
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def filler(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        """The function that fills all of the array with draws of the distribution when it is called.

        Parameters
        ----------
        distribution : Distribution
            One of its `distributions`.
        array : numpy.ndarray
            Contiguous, of one axis and one of its `dtypes`.
        threads : int
            At most this many, where it can be told.

        Returns
        -------
        callable
            Takes nothing.

        Raises
        ------
        ImportError
            If its package is missing.
        """
        name = next(name for name, kind in DISTRIBUTIONS.items() if isinstance(distribution, kind))
        filler: Fill = getattr(self, name)(distribution, array, threads)
        return filler


# ---- memory, and this package --------------------------------------------------------------------


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


# ---- NumPy, and what draws as it does ------------------------------------------------------------


def by_blocks(array: Array, drawn_in: DTypeLike, draw: Callable[[Array], object]) -> None:
    """Have `draw` fill the array's blocks, or where its dtype is another one, a block to cast."""
    direct = array.dtype == drawn_in
    block = np.empty(0 if direct else min(BLOCK, array.size), drawn_in)
    for first in range(0, array.size, BLOCK):
        part = array[first : first + BLOCK]
        out = part if direct else block[: len(part)]
        draw(out)
        if not direct:
            part[:] = out


def rejecting(draw: Callable[[Array], object], low: float, high: float) -> Callable[[Array], None]:
    """`draw`, where what falls outside [low, high] is drawn again."""

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
    """`draw`, times the scale plus the location."""

    def to_scale(out: Array) -> None:
        draw(out)
        out *= out.dtype.type(scale)
        if location:
            out += out.dtype.type(location)

    return to_scale


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


# ---- frameworks and compilers --------------------------------------------------------------------


class Torch(Contestant):
    """torch.nn.init, on a tensor that is the array's memory."""

    name, package = "torch", "torch"
    note = "in place"

    @staticmethod
    def _tensor(array: Array) -> Any:
        torch = importlib.import_module("torch")
        if array.dtype.name == "bfloat16":  # torch does not know NumPy's
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    def _fill(self, array: Array, threads: int, draw: Callable[[Any], object]) -> Fill:
        set_threads = importlib.import_module("torch").set_num_threads
        tensor = self._tensor(array)

        def fill() -> None:
            set_threads(threads)
            draw(tensor)

        return fill

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        init = importlib.import_module("torch.nn.init")
        return self._fill(
            array, threads, lambda t: init.uniform_(t, distribution.low, distribution.high)
        )

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        init = importlib.import_module("torch.nn.init")
        return self._fill(
            array, threads, lambda t: init.normal_(t, distribution.mean, distribution.std)
        )

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        init = importlib.import_module("torch.nn.init")
        parent = distribution.parent
        return self._fill(
            array,
            threads,
            lambda t: init.trunc_normal_(t, parent.mean, parent.std, *distribution.bounds),
        )


class TorchCast(Torch):
    """The same in float32, for where its 16-bit draws are not the distribution's."""

    name, dtypes = "torch, cast", ("float16", "bfloat16")
    note = "float32 blocks, cast into place"

    def _fill(self, array: Array, threads: int, draw: Callable[[Any], object]) -> Fill:
        torch = importlib.import_module("torch")
        block = torch.empty(min(BLOCK, array.size))
        parts = self._tensor(array).split(BLOCK)

        def fill() -> None:
            torch.set_num_threads(threads)
            for part in parts:
                drawn = block[: len(part)]
                draw(drawn)
                part.copy_(drawn)

        return fill


class Jax(Contestant):
    """jax.random under jit; its results are immutable, so they are copied into the array."""

    name, package, threads = "JAX", "jax", "own"
    note = "result copied"

    def _drawn_in(self, array: Array) -> np.dtype[Any]:
        return array.dtype

    def _fill(self, array: Array, draw: Callable[..., Any]) -> Fill:
        jax = importlib.import_module("jax")
        jitted = jax.jit(
            lambda key: draw(key, array.shape, self._drawn_in(array)).astype(array.dtype)
        )
        wide = array.dtype == np.float64
        key = jax.random.key(SEED)

        def fill() -> None:
            with jax.enable_x64(wide):
                np.copyto(array, np.asarray(jitted(key)))

        return fill

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        random = importlib.import_module("jax.random")
        return self._fill(
            array,
            lambda key, shape, dtype: random.uniform(
                key, shape, dtype, minval=distribution.low, maxval=distribution.high
            ),
        )

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        random = importlib.import_module("jax.random")
        return self._fill(
            array,
            lambda key, shape, dtype: (
                distribution.mean + distribution.std * random.normal(key, shape, dtype)
            ),
        )

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        random, parent = importlib.import_module("jax.random"), distribution.parent
        return self._fill(
            array,
            lambda key, shape, dtype: (
                parent.mean
                + parent.std
                * random.truncated_normal(key, distribution.low, distribution.high, shape, dtype)
            ),
        )


class JaxCast(Jax):
    """The same in float32, for where its 16-bit draws are not the distribution's."""

    name, dtypes = "JAX, cast", ("float16", "bfloat16")
    note = "float32, cast under jit; result copied"

    def _drawn_in(self, array: Array) -> np.dtype[Any]:
        return np.dtype(np.float32)


class Keras(Contestant):
    """keras.initializers, on the backend its user chose or else the first that is installed.

    Results are copied into the array. Its truncated normal is cut at 2 and nowhere else.
    """

    name, package, threads = "Keras", "keras", "own"
    note = "result copied"

    @staticmethod
    def _keras() -> Any:
        if "KERAS_BACKEND" not in os.environ:
            installed = [name for name in ("jax", "torch", "tensorflow") if find_spec(name)]
            if not installed:
                raise ImportError("Keras has no backend here: jax, torch or tensorflow")
            os.environ["KERAS_BACKEND"] = installed[0]
        return importlib.import_module("keras")

    def _fill(self, array: Array, threads: int, initializer: Callable[..., Any]) -> Fill:
        keras = self._keras()
        backend = keras.backend.backend()

        def fill() -> None:
            drawn = initializer(array.shape, dtype=array.dtype.name)
            np.copyto(array, keras.ops.convert_to_numpy(drawn), casting="same_kind")

        def with_jax() -> None:
            with importlib.import_module("jax").enable_x64(array.dtype == np.float64):
                fill()

        def with_torch() -> None:
            importlib.import_module("torch").set_num_threads(threads)
            fill()

        return {"jax": with_jax, "torch": with_torch}.get(backend, fill)

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        initializers = self._keras().initializers
        return self._fill(
            array,
            threads,
            initializers.RandomUniform(distribution.low, distribution.high, seed=SEED),
        )

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        initializers = self._keras().initializers
        return self._fill(
            array,
            threads,
            initializers.RandomNormal(distribution.mean, distribution.std, seed=SEED),
        )

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        initializers, parent = self._keras().initializers, distribution.parent
        return self._fill(
            array, threads, initializers.TruncatedNormal(parent.mean, parent.std, seed=SEED)
        )


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
