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
from fastxavier._streams import Seed, Stream, resolve
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, choose_from, shown
from fastxavier.distributions import Distribution
from fastxavier.initializers import Resolved
from fastxavier.keras._import import keras

__all__ = ["Next", "check", "draw", "layout_of", "memory_of", "placed", "untranslated"]

Shape = tuple[int, ...]
Function = TypeVar("Function", bound=Callable[..., Any])

BACKEND: Final[str] = keras.backend.backend()
in_stateless_scope: Final[Callable[[], bool]] = keras.src.backend.in_stateless_scope
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
    sharding = _sharding(layout, shape)
    if BACKEND not in BACKENDS:
        raise ArgumentValueError(
            f"the backend of keras is {BACKEND!r}; {choose_from(BACKEND, BACKENDS)}",
            "backend",
            BACKEND,
        )
    return BACKENDS[BACKEND](shape, dtype, resolved, seed, stream, sharding)


def check(shape: Shape, dtype: str, resolved: Resolved, memory: Any = None) -> None:
    """Raise what drawing, or filling the memory, would raise, before anything is done that stays.

    Of memory on a GPU only the shape and the dtype are looked at.
    """
    where: Any = np.empty((0,) * len(shape), FLOATS[dtype].numpy)
    if memory is not None and (target := _core.target_of(memory)).place is None:
        where = target.numpy()
    if isinstance(resolved, Distribution):
        _core.check(where, resolved, None, None, None)
    else:
        resolved.check(where, global_shape=shape)


def memory_of(variable: Any) -> Any:
    """The memory of a variable, as what `fill_` fills in place; None where a tensor is assigned.

    In a StatelessScope the scope gets its new value, and under autocast its value is another
    tensor. Keras' NumPy backend makes float64 variables of float32 arrays.
    """
    if BACKEND not in IN_PLACE or in_stateless_scope():
        return None
    value = variable.value
    dtype = keras.backend.standardize_dtype(value.dtype)
    is_own = value is variable._value and dtype == variable.dtype and dtype in FLOATS
    return value if is_own and IN_PLACE[BACKEND](value) else None


def placed(made: Callable[[], Any], shape: Shape, layout: Any) -> Any:
    """A tensor that Keras makes, where the layout says."""
    sharding = _sharding(layout, shape)
    return made() if sharding is None else _put(made(), sharding)


def layout_of(variable: Any) -> Any:
    """The layout to which a variable's value is bound; None where it may go to other devices."""
    value = variable.value
    return value.sharding if BACKEND == "jax" and getattr(value, "committed", False) else None


def _sharding(layout: Any, shape: Shape) -> Any:
    """A layout as jax knows it, once it is sure that it is one for the shape."""
    if layout is None:
        return None
    if BACKEND != "jax":
        raise ArgumentValueError(
            f"layout is {shown(layout)} on the backend {BACKEND!r}; only that of JAX has layouts: "
            "leave it out",
            "layout",
            layout,
        )
    from fastxavier.jax._shardings import check_sharding, nothing_is_traced

    known = framework.sharding
    found = getattr(layout, "backend_layout", layout)
    if isinstance(getattr(found, "mesh", None), known.AbstractMesh):
        # Keras gives initializers such a mesh, without devices, and enters the one that has them.
        mesh = known.get_mesh() if nothing_is_traced() else known.get_abstract_mesh()
        if not set(found.mesh.axis_names) <= set(mesh.axis_names):
            raise ArgumentValueError(
                f"layout is {shown(layout)}, whose mesh has no devices, and that in use has the "
                f"axes {mesh.axis_names}; enter one with jax.set_mesh, or give a layout with "
                "devices",
                "layout",
                layout,
            )
        found = known.NamedSharding(mesh, found.spec)
    check_sharding(found, shape, "layout")
    if len(getattr(found, "spec", ())) > len(shape):
        raise ArgumentValueError(
            f"layout is {shown(layout)}, not one for shape {shape}: it has more axes",
            "layout",
            layout,
        )
    return found


def _put(tensor: Any, sharding: Any) -> Any:
    """A tensor of jax as its sharding has it."""
    from fastxavier.jax._shardings import nothing_is_traced

    if nothing_is_traced():
        return framework.device_put(tensor, sharding)
    return framework.lax.with_sharding_constraint(tensor, sharding)


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


def _jax(
    shape: Shape, dtype: str, resolved: Resolved, seed: Any, stream: Any, sharding: Any
) -> Any:
    from fastxavier.jax._compiled import drawn
    from fastxavier.jax._draw import tensor_of
    from fastxavier.jax._keys import seed_words
    from fastxavier.jax._shardings import nothing_is_traced

    tensor = tensor_of(shape, resolved, dtype)
    key: Any = resolve(seed, stream)
    if not nothing_is_traced():
        if isinstance(key, Next):  # whose state has a value when the compiled function runs
            return _called_back(tensor, Next.key_of, key.generator.next(), sharding=sharding)
        if framework.default_backend() != "cpu":  # for which nothing can be compiled
            return _called_back(tensor, lambda: key, sharding=sharding)
    number, stream = key.take() if isinstance(key, Next) else key
    return drawn(tensor._replace(stream=stream), seed_words(number), sharding)


def _called_back(tensor: Any, key_of: Callable[..., Any], *states: Any, sharding: Any) -> Any:
    """The whole of a tensor of jax, drawn by the host each time that a compiled function runs."""

    def drawn(*states: Any) -> Any:
        number, stream = key_of(*states)
        memory = fill.aligned(tensor.shape, tensor.dtype)
        tensor._replace(stream=stream).write(memory, number)
        return memory

    kind = framework.ShapeDtypeStruct(tensor.shape, tensor.dtype)
    whole = framework.pure_callback(drawn, kind, *states)
    return whole if sharding is None else _put(whole, sharding)


BACKENDS: Final[dict[str, Callable[..., Any]]] = {
    "numpy": _numpy,
    "torch": _torch,
    "jax": _jax,
    "tensorflow": _tensorflow,
}
"""By Keras' name of a backend how it gets its tensors."""


# ---- variables in place --------------------------------------------------------------------------


def _numpy_can_be_filled(value: Any) -> bool:
    return type(value) is np.ndarray and value.flags.writeable


def _torch_can_be_filled(value: Any) -> bool:
    from fastxavier.torch._tensors import why_not

    return why_not(value) is None


IN_PLACE: Final[dict[str, Callable[[Any], bool]]] = {
    "numpy": _numpy_can_be_filled,
    "torch": _torch_can_be_filled,
}
"""By Keras' name of a backend, if its tensors can change, whether `fill_` fills a given one."""
