"""torch, JAX, TensorFlow and Keras as implementations; implementations.py lists them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastxavier._dtypes import FLOATS
from fastxavier.bench.base import BLOCK, SEED, Array, Fill, Implementation
from fastxavier.distributions import Normal, TruncatedNormal, Uniform

# The dtypes that the frameworks draw themselves, and those that they can round to.
DRAWN: tuple[str, ...] = ("float32", "float64", "float16", "bfloat16")
CAST = tuple(name for name, row in FLOATS.items() if row.itemsize <= 2)


class Torch(Implementation):
    """torch.nn.init on a tensor that shares the array's memory."""

    name, package, dtypes = "torch", "torch", DRAWN
    note = "in place"

    def empty(self, count: int, dtype: DTypeLike) -> Array:
        torch = importlib.import_module("torch")
        memory = torch.empty(count * np.dtype(dtype).itemsize, dtype=torch.uint8)
        array: Array = memory.numpy().view(dtype)
        return array

    @staticmethod
    def _tensor(array: Array) -> Any:
        torch = importlib.import_module("torch")
        row = FLOATS[array.dtype.name]
        if row.module == "numpy":
            return torch.from_numpy(array)
        # from_numpy does not take the dtypes of ml_dtypes.
        integers = torch.from_numpy(array.view(f"i{row.itemsize}"))
        return integers.view(getattr(torch, row.name))

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
    """Drawn in float32 and rounded, because narrower draws are not exact enough to be verified."""

    name, dtypes = "torch, cast", CAST
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


class Jax(Implementation):
    """jax.random under jit; results are immutable, so they are copied into the array."""

    name, package, threads, dtypes = "JAX", "jax", "own", DRAWN
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
    """Drawn in float32 and rounded, because narrower draws are not exact enough to be verified."""

    name, dtypes = "JAX, cast", CAST
    note = "float32, cast under jit; result copied"

    def _drawn_in(self, array: Array) -> np.dtype[Any]:
        return np.dtype(np.float32)


class TensorFlow(Implementation):
    """tf.random's stateless functions, from which Keras draws too, in a tf.function.

    Results are copied into the array. The truncated normal is always cut at 2 std.
    """

    name, package, threads, dtypes = "TensorFlow", "tensorflow", "own", DRAWN
    note = "result copied"

    @property
    def version(self) -> str | None:
        """Version of whichever distribution has the package; None if none is installed."""
        for name in ("tensorflow", "tensorflow-cpu"):
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None

    def _drawn_in(self, array: Array) -> str:
        return array.dtype.name

    def _fill(self, array: Array, name: str, *parameters: float) -> Fill:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        tf = importlib.import_module("tensorflow")
        random, drawn_in = getattr(tf.random, name), self._drawn_in(array)
        draw = tf.function(
            lambda seed: tf.cast(
                random(array.shape, seed, *parameters, dtype=drawn_in), array.dtype.name
            )
        )
        seed = tf.constant((SEED, 0))  # as an argument, or the graph would keep the first draw
        return lambda: np.copyto(array, np.asarray(draw(seed)))

    def uniform(self, distribution: Uniform, array: Array, threads: int) -> Fill:
        return self._fill(array, "stateless_uniform", distribution.low, distribution.high)

    def normal(self, distribution: Normal, array: Array, threads: int) -> Fill:
        return self._fill(array, "stateless_normal", distribution.mean, distribution.std)

    def truncated_normal(self, distribution: TruncatedNormal, array: Array, threads: int) -> Fill:
        parent = distribution.parent
        return self._fill(array, "stateless_truncated_normal", parent.mean, parent.std)


class TensorFlowCast(TensorFlow):
    """Drawn in float32 and rounded, because narrower draws are not exact enough to be verified."""

    name, dtypes = "TensorFlow, cast", ("float16", "bfloat16")
    note = "float32, cast; result copied"

    def _drawn_in(self, array: Array) -> str:
        return "float32"


class Keras(Implementation):
    """keras.initializers on the backend of the environment, or else the first that is installed.

    Results are copied into the array. Its truncated normal is always cut at 2 std.
    """

    name, package, threads, dtypes = "Keras", "keras", "own", DRAWN
    note = "result copied"

    @staticmethod
    def _keras() -> Any:
        if "KERAS_BACKEND" not in os.environ:
            installed = [name for name in ("jax", "torch", "tensorflow") if find_spec(name)]
            if not installed:
                raise ImportError("Keras needs a backend; install jax, torch or tensorflow")
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
