"""The table of torch's modules: what each one's ``reset_parameters`` draws, as initializers.

_plan_for.py reads it. `register` adds modules of other packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from fastxavier._fans import fans
from fastxavier._validation import ArgumentTypeError, a_type
from fastxavier.distributions import Constant, Normal
from fastxavier.initializers import (
    Initializer,
    glorot_normal,
    glorot_uniform,
    heuristic_uniform,
    ones,
    zeros,
)
from fastxavier.torch._import import torch

__all__ = ["Padded", "Tensors", "register", "tensors_of"]

nn = torch.nn


class Padded(NamedTuple):
    """The weight of an embedding, whose row for the padding is 0."""

    initializer: Initializer
    row: int


Tensors: TypeAlias = "Mapping[str, Initializer | Padded | Any]"
"""By local name: an initializer, or a torch tensor of values that a buffer gets."""
Function = Callable[[Any], Tensors]
TABLE: dict[type, Function] = {}


def register(kind: type, function: Function | None = None) -> Any:
    """Say what the tensors of a class of modules get when no plan is given.

    Parameters
    ----------
    kind : type
        A subclass of ``torch.nn.Module``. Its subclasses are meant too, as long as they do not
        define a ``reset_parameters`` of their own.
    function : callable, optional
        It is given a module, and returns a dictionary from the local names of its parameters and
        buffers to initializers, as `fill_` takes them; of a buffer that is computed, to a torch
        tensor with its values. A name may be that of a child's tensor, as ``"out_proj.bias"``,
        which then goes before what the child's own class says. Without `function`, this is a
        decorator.

    Returns
    -------
    callable
        The function.

    Raises
    ------
    TypeError
        If `kind` is not a class of modules.

    Examples
    --------
    >>> import torch, fastxavier as fx, fastxavier.torch
    >>> class Scale(torch.nn.Module):
    ...     def __init__(self, size):
    ...         super().__init__()
    ...         self.gamma = torch.nn.Parameter(torch.empty(size))
    >>> @fastxavier.torch.register(Scale)
    ... def scale(module):
    ...     return {"gamma": fx.Constant(1e-5)}
    >>> fastxavier.torch.plan_for(Scale(4)).distribution("gamma", (4,))
    Constant(value=1e-05)
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ArgumentTypeError(
            f"kind is {a_type(kind)}; it must be a subclass of torch.nn.Module", "kind", kind
        )
    if function is None:
        return lambda decorated: register(kind, decorated)
    TABLE[kind] = function
    return function


def tensors_of(module: Any) -> Tensors | None:
    """What the module's class says about its tensors; None if nothing is known of it."""
    for kind in type(module).__mro__:
        if kind in TABLE:
            own = all(
                getattr(type(module), name, None) is getattr(kind, name, None)
                for name in ("reset_parameters", "_reset_parameters")
            )
            return TABLE[kind](module) if own else None
    return None


# ---- torch's modules -----------------------------------------------------------------------------


def _within(fan_in: int) -> Initializer:
    """Uniform within 1/sqrt(fan_in), or 0 without inputs."""
    if not fan_in:
        return Constant(0.0)
    found: Initializer = heuristic_uniform(fan_in=fan_in)
    return found


def _linear(module: Any) -> Tensors:
    """Linear and convolutions: torch writes their weights as kaiming_uniform_ with a = sqrt(5)."""
    shape = tuple(module.weight.shape)
    fan_in = 0 if 0 in shape else int(fans(shape, "torch").fan_in)
    return {"weight": heuristic_uniform(), "bias": _within(fan_in)}


def _bilinear(module: Any) -> Tensors:
    bound = _within(module.in1_features)
    return {"weight": bound, "bias": bound}


def _embedding(module: Any) -> Tensors:
    row = module.padding_idx
    return {"weight": Normal() if row is None else Padded(Normal(), row)}


def _recurrent(module: Any) -> Tensors:
    bound = _within(module.hidden_size)
    return {name: bound for name, _ in module.named_parameters(recurse=False)}


def _norm(module: Any) -> Tensors:
    return {
        "weight": ones(),
        "bias": zeros(),
        "running_mean": zeros(),
        "running_var": ones(),
        "num_batches_tracked": zeros(),
    }


def _prelu(module: Any) -> Tensors:
    return {"weight": Constant(float(module.init))}


def _attention(module: Any) -> Tensors:
    return {
        "in_proj_weight": glorot_uniform(),
        "q_proj_weight": glorot_uniform(),
        "k_proj_weight": glorot_uniform(),
        "v_proj_weight": glorot_uniform(),
        "in_proj_bias": zeros(),
        **({} if module.in_proj_bias is None else {"out_proj.bias": zeros()}),
        "bias_k": glorot_normal(),
        "bias_v": glorot_normal(),
    }


def _transformer(module: Any) -> Tensors:
    """It draws every matrix of its layers once more."""
    return {name: glorot_uniform() for name, w in module.named_parameters() if w.dim() > 1}


for _kinds, _function in (
    ((nn.Linear, nn.modules.conv._ConvNd), _linear),
    ((nn.Bilinear,), _bilinear),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    ((nn.RNNBase, nn.RNNCellBase), _recurrent),
    ((nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm), _norm),
    ((nn.PReLU,), _prelu),
    ((nn.MultiheadAttention,), _attention),
    ((nn.Transformer,), _transformer),
):
    for _kind in _kinds:
        TABLE[_kind] = _function
