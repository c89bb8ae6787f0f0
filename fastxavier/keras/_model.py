"""`init_`: all weights of a Keras model by a plan, each by the path of its variable."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any

import numpy as np

from fastxavier import _core
from fastxavier._dtypes import FLOATS
from fastxavier._fans import Layout
from fastxavier._streams import Seed, model_seed_now
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, of_tensor
from fastxavier.fill import fill_
from fastxavier.initializers import Resolved
from fastxavier.keras import _backends
from fastxavier.keras._import import keras
from fastxavier.plans import Plan, Report
from fastxavier.plans._depth import plan_of_model
from fastxavier.plans._overlap import check_disjoint
from fastxavier.plans._report import Filled
from fastxavier.plans._targets import check_counted
from fastxavier.plans.presets import unused_of_user

__all__ = ["init_"]


def init_(model: Any, plan: Plan | str | None = None, *, seed: Seed) -> Report:
    """Initialize all weights of a model or a layer: each by the path of its variable.

    A weight gets the values that `fastxavier.init_` and `init_checkpoint` give to this name with
    the same plan and seed, on every backend. On NumPy and torch it is filled in place, without a
    second copy. On the JAX backend a sharded one is drawn shard by shard, each where it lies.

    Parameters
    ----------
    model : keras.Model or keras.Layer
        Built. Names are the paths of its variables, such as "encoder/dense/kernel". Keras counts
        the layers that were given no name (``dense_1``) over the whole process, and a Sequential
        and a subclassed model put their own name first: name what should keep its values.
    plan : Plan or str, optional
        As for `fastxavier.init_`, in Keras' layout where it says none. Every trainable weight needs
        a rule; another without one keeps its values. By default `default_plan`'s.
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None
        As for `fastxavier.init_`.

    Returns
    -------
    Report
        Of the weights that got values, detached: unlike in `fastxavier.init_`, their std is not
        measured.

    Raises
    ------
    PlanError
        If the plan has no rule for a trainable weight, or another layout than Keras'.
    TypeError, ValueError
        If the model is not built, two weights have one path or share memory, or as
        `fastxavier.init_` does. Errors name the weight, and none has changed then.

    Notes
    -----
    What the layers' own initializers draw is not known here: a recurrent kernel, which Keras makes
    orthogonal, is Glorot uniform by `default_plan`.

    Examples
    --------
    >>> import keras, fastxavier.keras
    >>> model = keras.Sequential(
    ...     [keras.layers.Input((784,)), keras.layers.Dense(10, name="head")], name="net")
    >>> report = fastxavier.keras.init_(model, seed=7)
    >>> [tensor.name for tensor in report.tensors]
    ['net/head/kernel', 'net/head/bias']
    """
    weights = _weights_of(model)
    layout: Layout | None = "keras" if getattr(plan, "layout", None) is None else None
    chosen = plan_of_model("default" if plan is None else plan, weights, layout)
    filled: dict[str, Resolved] = {}
    memories: dict[str, Any] = {}
    for name, weight in weights.items():
        shape = tuple(weight.shape)
        if weight.trainable or chosen.plan.rule_for(name, len(shape)) is not None:
            filled[name] = chosen.distribution(name, shape)
            memory = _backends.memory_of(weight)
            _check(name, weight, filled[name], memory)
            if memory is not None:
                memories[name] = memory
    check_disjoint(list(memories), [_core.target_of(memory) for memory in memories.values()])
    number = model_seed_now(seed)
    start = time.perf_counter()
    for name, resolved in filled.items():
        if name in memories:
            fill_(memories[name], resolved, seed=number, stream=name)
        else:
            weights[name].assign(_value(weights[name], resolved, number, name))
    seconds = time.perf_counter() - start
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    tensors = [
        Filled(name, shapes[name], weights[name].dtype, resolved)
        for name, resolved in filled.items()
    ]
    nbytes = sum(math.prod(shapes[name]) * _kind(weights[name]).itemsize for name in filled)
    unused = partial(unused_of_user, chosen.plan, shapes)
    return Report(number, seconds, nbytes, tuple(tensors), unused)


def _weights_of(model: Any) -> dict[str, Any]:
    """The variables of the model by their paths, without metrics and states of generators."""
    if not isinstance(model, keras.Layer):
        raise ArgumentTypeError(
            f"model is {a_type(model)}; it must be a keras.Model or a keras.Layer", "model", model
        )
    found: dict[str, Any] = {}
    for weight in model.weights:
        if weight.path in found:
            raise ArgumentValueError(
                f"model has two weights with the path {weight.path!r}, which would get the same "
                "values: give their layers different names",
                "model",
                model,
            )
        found[weight.path] = weight
    if not found and not model.built:
        raise ArgumentValueError(
            f"model {model.name!r} has no weights yet; build it with an input shape, or call it "
            "on a batch first",
            "model",
            model,
        )
    return found


def _check(name: str, weight: Any, resolved: Resolved, memory: Any) -> None:
    """Raise for what cannot be drawn, with its name, before any weight changes."""
    shape = tuple(weight.shape)
    if weight.dtype not in FLOATS:
        check_counted(name, np.empty((0,) * len(shape), _kind(weight)), resolved)
        return
    try:
        _backends.check(shape, weight.dtype, resolved, memory)
    except (ArgumentTypeError, ArgumentValueError) as error:
        raise of_tensor(name, error) from None


def _value(weight: Any, resolved: Any, seed: int, name: str) -> Any:
    shape, dtype = tuple(weight.shape), weight.dtype
    if dtype not in FLOATS:  # a whole constant
        return keras.ops.full(shape, int(resolved.mean), dtype=dtype)
    return _backends.draw(shape, dtype, resolved, seed, name, _backends.layout_of(weight))


def _kind(weight: Any) -> np.dtype[Any]:
    """A weight's dtype as NumPy's."""
    return FLOATS[weight.dtype].numpy if weight.dtype in FLOATS else np.dtype(weight.dtype)
