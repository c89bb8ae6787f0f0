"""Whole trees: `init_`, which makes the arrays of a tree of shapes, each by its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastxavier._dtypes import FLOATS
from fastxavier._streams import Seed, model_seed_now, stream_number
from fastxavier._validation import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    of_tensor,
    shown,
)
from fastxavier.distributions import Constant
from fastxavier.jax._compiled import drawn, full
from fastxavier.jax._draw import tensor_of
from fastxavier.jax._import import jax
from fastxavier.jax._keys import seed_words
from fastxavier.jax._shardings import check_sharding, check_shared, named_sharding
from fastxavier.plans import Plan, default_plan
from fastxavier.plans._depth import ChosenPlan, plan_of_model
from fastxavier.plans._targets import check_counted

__all__ = ["init_", "named_leaves"]


def init_(tree: Any, plan: Plan | str | None = None, *, seed: Seed, shardings: Any = None) -> Any:
    """The arrays of a model, each drawn by the initializer that a plan gives to its name.

    A leaf gets the values that `fastxavier.init_` and `init_checkpoint` give to this name with the
    same plan and seed. JAX's arrays do not change, so the result is a new tree.

    Parameters
    ----------
    tree : pytree
        Shapes and dtypes: the tree that ``jax.eval_shape`` makes of a model's own initialization,
        which costs nothing; or a tree of arrays, whose values are not looked at. A leaf's name is
        its path, joined by dots: "params.Dense_0.kernel", "layers.0.weight". The attribute
        ``value`` at the end, as nnx's variables have it, is not part of it.
    plan : Plan or str, optional
        As for `fastxavier.init_`. Every float needs a rule, and every shape without values. Arrays
        of other dtypes without a rule, and leaves that are not arrays, stay as they are.
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None
        As for `fastxavier.init_`. All processes of a distributed model need the same.
    shardings : pytree of Sharding or PartitionSpec, optional
        Where the arrays lie; one may stand for a whole branch. No device draws more than its
        shards. Where there is none, the leaf's own holds, if it has one.

    Returns
    -------
    pytree
        Of the same structure.

    Raises
    ------
    PlanError
        If the plan has no rule for a leaf.
    TypeError, ValueError
        If two leaves have one name, if a dtype or a sharding does not fit, or as `fastxavier.init_`
        does. The error names the leaf, and nothing has been drawn.

    Notes
    -----
    Inside of ``jax.jit`` it becomes operations of the compiled function.

    Examples
    --------
    >>> import jax, fastxavier.jax
    >>> shapes = {"fc1": {"kernel": jax.ShapeDtypeStruct((784, 256), "float32"),
    ...                   "bias": jax.ShapeDtypeStruct((256,), "float32")}}
    >>> params = fastxavier.jax.init_(shapes, seed=7)
    >>> params["fc1"]["kernel"].shape
    (784, 256)
    """
    named, structure = _named(tree)
    placed = _broadcast(shardings, tree)
    chosen = plan_of_model(default_plan() if plan is None else plan, [name for name, _ in named])
    made = [
        _maker(chosen, name, leaf, sharding, seed)
        for (name, leaf), sharding in zip(named, placed, strict=True)
    ]
    words = seed_words(model_seed_now(seed))
    return jax.tree_util.tree_unflatten(structure, [make(words) for make in made])


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their names, as `init_` has them; for `verify` and `Plan`.

    Parameters
    ----------
    tree : pytree
        Of arrays or shapes.

    Returns
    -------
    dict of str to leaf
        Without the leaves that are not arrays.

    Raises
    ------
    ValueError
        If two leaves have one name.

    Examples
    --------
    >>> import jax, fastxavier as fx, fastxavier.jax
    >>> tree = {"fc1": {"bias": jax.ShapeDtypeStruct((8,), "float32")}}
    >>> list(fastxavier.jax.named_leaves(tree))
    ['fc1.bias']
    """
    return {name: leaf for name, leaf in _named(tree)[0] if _is_array(leaf)}


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _named(tree: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Names and leaves, and the structure."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    paths: dict[str, Any] = {}
    for path, leaf in leaves:
        name = _name(path)
        if name in paths and _is_array(leaf):
            first, second = map(jax.tree_util.keystr, (paths[name], path))
            raise ArgumentValueError(
                f"tree has two leaves named {name!r}, at {first} and {second}, which would get "
                "equal values; rename one",
                "tree",
                name,
            )
        if _is_array(leaf):
            paths[name] = path
    return [(_name(path), leaf) for path, leaf in leaves], structure


def _name(path: tuple[Any, ...]) -> str:
    """The path of a leaf, without the attribute under which a box holds its value."""
    value = jax.tree_util.GetAttrKey("value")
    if len(path) > 1 and path[-1] == value:
        path = path[:-1]
    name: str = jax.tree_util.keystr(path, simple=True, separator=".")
    return name


def _broadcast(shardings: Any, tree: Any) -> list[Any]:
    """A sharding or None for each leaf."""
    kinds = (jax.sharding.Sharding, jax.sharding.PartitionSpec, type(None))

    def is_one(node: Any) -> bool:
        return isinstance(node, kinds)

    try:
        full_tree = jax.tree.broadcast(shardings, tree, is_leaf=is_one)
    except ValueError as error:
        raise ArgumentValueError(
            f"shardings do not have the structure of the tree: {error}", "shardings", shardings
        ) from None
    found = jax.tree_util.tree_leaves(full_tree, is_leaf=is_one)
    for one in found:
        if not is_one(one):
            raise ArgumentTypeError(
                f"shardings has {shown(one)}; each must be a Sharding, a PartitionSpec or None",
                "shardings",
                one,
            )
    return list(found)


def _maker(
    chosen: ChosenPlan, name: str, leaf: Any, sharding: Any, seed: Seed
) -> Callable[[Any], Any]:
    """The function of a seed's words that makes the array, or keeps the leaf."""
    if not _is_array(leaf):
        return lambda words: leaf
    is_shape = isinstance(leaf, jax.ShapeDtypeStruct)
    kind = str(leaf.dtype)
    if not is_shape and kind not in FLOATS and chosen.plan.rule_for(name, leaf.ndim) is None:
        return lambda words: leaf
    resolved = chosen.distribution(name, tuple(leaf.shape))
    try:
        placed = _sharding_of(leaf, sharding)
        if kind not in FLOATS:
            dtype = _number_dtype(leaf.dtype)
            check_counted(name, np.empty(0, dtype), resolved)
            value = int(resolved.mean)  # type: ignore[union-attr]
            return lambda words: full(tuple(leaf.shape), value, dtype, placed)
        tensor = tensor_of(leaf.shape, resolved, leaf.dtype, stream_number(name))
        if not isinstance(resolved, Constant):
            check_shared(seed, placed)
    except ArgumentError as error:
        if str(error).startswith(f"tensor {name!r}"):
            raise
        raise of_tensor(name, error) from None
    return partial(drawn, tensor, sharding=placed)


def _number_dtype(dtype: Any) -> np.dtype[Any]:
    if isinstance(dtype, np.dtype):
        return dtype
    raise ArgumentTypeError(
        f"dtype is {dtype}, which no initializer draws; leave it out of the tree", "dtype", dtype
    )


def _sharding_of(leaf: Any, given: Any) -> Any:
    """The sharding of an array that is made, checked; None for the default device."""
    shape = tuple(leaf.shape)
    if isinstance(given, jax.sharding.PartitionSpec):
        return named_sharding(given, shape, "shardings")
    if given is None and not isinstance(leaf, jax.core.Tracer):
        given = getattr(leaf, "sharding", None)
        if isinstance(leaf, jax.Array) and not leaf.committed:
            given = None
    if given is not None:
        check_sharding(given, shape, "shardings")
    return given
