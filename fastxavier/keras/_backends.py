"""From what is to be drawn to a tensor of Keras' backend, without a copy where there is a way.

The initializers and `init_` call `draw`. A backend is one function and a row of the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np

from fastxavier import _core, fill
from fastxavier._dtypes import FLOATS
from fastxavier._streams import Seed, Stream
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, choose_from, shown
from fastxavier.distributions import Distribution
from fastxavier.initializers import Resolved
from fastxavier.keras._import import keras

__all__ = ["Next", "check", "draw", "layout_of", "placed", "untranslated"]

Shape = tuple[int, ...]
Function = TypeVar("Function", bound=Callable[..., Any])

BACKEND: Final[str] = keras.backend.backend()
framework: Any = importlib.import_module(BACKEND)  # which keras has imported, under this name


class Next(_core.Streams):
    """A SeedGenerator as a seed: a draw takes its next state, once it is sure to be done."""

    def __init__(self, generator: Any) -> None:
        super().__init__(0)
        self.generator = generator

    def take(self) -> tuple[int, int]:
        """The generator's seed, and how often it was asked before."""
        return self.key_of(self.generator.next())

    @staticmethod
    def key_of(state: Any) -> tuple[int, int]:
        """The same of a state, a tensor of two integers."""
        numbers = keras.ops.convert_to_numpy(state)
        if numbers.dtype == np.int32:  # torch's, which has no uint32
            numbers = numbers.view(np.uint32)
        return int(numbers[0]), int(numbers[1])


def untranslated(function: Function) -> Function:
    """The function, of which TensorFlow's AutoGraph makes no operations of a graph."""
    if BACKEND != "tensorflow":
        return function
    unchanged: Function = framework.autograph.experimental.do_not_convert(function)
    return unchanged


def draw(
    shape: Shape, dtype: str, resolved: Resolved, seed: Seed, stream: Stream, layout: Any = None
) -> Any:
    """A new tensor of the backend, with the bits that `fastxavier.draw` gives.

    Parameters
    ----------
    shape : tuple of int
        The shape of the whole tensor.
    dtype : str
        Keras' name of the dtype.
    resolved : Distribution or StructuredInitializer
        What is drawn.
    seed, stream
        As for `fastxavier.fill_`. The seed is taken once all else is accepted.
    layout : TensorLayout, jax.sharding.Sharding or None
        On the JAX backend where the tensor lies. Each shard is drawn alone.

    Returns
    -------
    tensor
        What Keras' own initializers return: of NumPy, torch, TensorFlow or JAX.

    Raises
    ------
    TypeError, ValueError
        If the backend or the dtype is not one that can be drawn, a layout is given to a backend
        that has none, or as `fastxavier.fill_` does.
    """
    if dtype not in FLOATS:
        raise ArgumentTypeError(
            f"dtype is {shown(dtype)}; {choose_from(dtype, FLOATS)}", "dtype", dtype, FLOATS
        )
    _check_layout(layout)
    if BACKEND not in BACKENDS:
        raise ArgumentValueError(
            f"the backend of keras is {BACKEND!r}; {choose_from(BACKEND, BACKENDS)}",
            "backend",
            BACKEND,
        )
    return BACKENDS[BACKEND](shape, dtype, resolved, seed, stream, layout)


def check(shape: Shape, dtype: str, resolved: Resolved) -> None:
    """Raise what drawing would raise, before anything is done that stays."""
    nothing = np.empty((0,) * len(shape), FLOATS[dtype].numpy)
    if isinstance(resolved, Distribution):
        fill.fill_(nothing, resolved, seed=0)
    else:
        resolved.check(nothing, global_shape=shape)


def placed(tensor: Any, layout: Any) -> Any:
    """A tensor that Keras has made, where the layout says."""
    _check_layout(layout)
    return tensor if layout is None else framework.device_put(tensor, _sharding(layout))


def layout_of(variable: Any) -> Any:
    """The layout in which a variable's value lies; None where the backend has none."""
    return variable.value.sharding if BACKEND == "jax" else None


def _check_layout(layout: Any) -> None:
    if layout is not None and BACKEND != "jax":
        raise ArgumentValueError(
            f"layout is {shown(layout)} on the backend {BACKEND!r}; only that of JAX has layouts: "
            "leave it out",
            "layout",
            layout,
        )


# ---- the backends --------------------------------------------------------------------------------


def _numpy(
    shape: Shape, dtype: str, resolved: Resolved, seed: Any, stream: Any, layout: None
) -> Any:
    return fill.draw(shape, resolved, dtype=dtype, seed=seed, stream=stream)


def _torch(
    shape: Shape, dtype: str, resolved: Resolved, seed: Any, stream: Any, layout: None
) -> Any:
    from fastxavier.torch._tensors import why_not

    tensor = keras.ops.empty(shape, dtype=dtype)  # on Keras' device
    if tensor.is_meta:  # where Keras only asks for a shape
        return tensor
    if tensor.is_cpu or why_not(tensor) is None:
        return fill.fill_(tensor, resolved, seed=seed, stream=stream)
    here = framework.empty_like(tensor, device="cpu")
    return tensor.copy_(fill.fill_(here, resolved, seed=seed, stream=stream))


def _tensorflow(
    shape: Shape, dtype: str, resolved: Resolved, seed: Any, stream: Any, layout: None
) -> Any:
    def drawn() -> Any:
        return fill.draw(shape, resolved, dtype=dtype, seed=seed, stream=stream)

    if not framework.executing_eagerly():  # drawn when the graph runs, each time
        check(shape, dtype, resolved)
        tensor = framework.numpy_function(drawn, (), dtype, stateful=True)
        tensor.set_shape(shape)
        return tensor
    array = drawn()
    # DLPack hands over the memory, which tf.constant copies. Neither NumPy's DLPack has the dtypes
    # of ml_dtypes, nor TensorFlow's bitcast those of 8 bits.
    share = framework.experimental.dlpack.from_dlpack
    if FLOATS[dtype].module == "numpy":
        return share(array.__dlpack__())
    if dtype == "bfloat16":
        return framework.bitcast(share(array.view("u2").__dlpack__()), dtype)
    return framework.constant(array)


def _jax(shape: Shape, dtype: str, resolved: Resolved, seed: Any, stream: Any, layout: Any) -> Any:
    from fastxavier.jax import draw
    from fastxavier.jax._shardings import nothing_is_traced

    if nothing_is_traced():
        sharding = None if layout is None else _sharding(layout)
        return draw(shape, resolved, dtype, seed=seed, stream=stream, sharding=sharding)
    # Drawn when the compiled function runs, each time: here a generator's state has no value yet.
    check(shape, dtype, resolved)
    states = (seed.generator.next(),) if isinstance(seed, Next) else ()
    kind = framework.ShapeDtypeStruct(shape, framework.dtypes.canonicalize_dtype(dtype))

    def drawn(*states: Any) -> Any:
        key = Next.key_of(*states) if states else (seed, stream)
        return fill.draw(shape, resolved, dtype=kind.dtype, seed=key[0], stream=key[1])

    tensor = framework.pure_callback(drawn, kind, *states)
    return tensor if layout is None else framework.lax.with_sharding_constraint(tensor, layout)


def _sharding(layout: Any) -> Any:
    """A layout as jax knows it. Keras gives initializers one whose mesh has no devices."""
    sharding = getattr(layout, "backend_layout", layout)
    if isinstance(getattr(sharding, "mesh", None), framework.sharding.AbstractMesh):
        return framework.sharding.NamedSharding(framework.sharding.get_mesh(), sharding.spec)
    return sharding


BACKENDS: Final[dict[str, Callable[..., Any]]] = {
    "numpy": _numpy,
    "torch": _torch,
    "jax": _jax,
    "tensorflow": _tensorflow,
}
"""By Keras' name of a backend how it gets its tensors."""
