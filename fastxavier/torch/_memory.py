"""Gives memory to the tensors of a module that is on meta, one by one. _model.py calls it.

The memory is torch's own, and untouched: the threads that fill have Linux make its pages in bulk.
Asking for huge pages made fills of it slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastxavier.torch._import import torch
from fastxavier.torch._shards import local_of
from fastxavier.torch._walk import Named

__all__ = ["give_memory", "is_meta"]


def is_meta(tensor: Any) -> bool:
    """Whether the tensor, or of a DTensor its local part, has no memory yet."""
    return bool(local_of(tensor).is_meta)


def give_memory(module: Any, entries: list[Named], device: Any) -> None:
    """Give every tensor on meta memory on the device, without values.

    What was one tensor stays one. Parameters keep their class, attributes, hooks and
    ``requires_grad``.
    """
    made: dict[int, Any] = {}

    def fresh(tensor: Any) -> Any:
        if not is_meta(tensor):
            return tensor
        if id(tensor) not in made:
            made[id(tensor)] = torch.empty_like(tensor, device=device)
        return made[id(tensor)]

    kept = [(entry, _traits(entry.tensor)) for entry in entries if is_meta(entry.tensor)]
    module._apply(fresh)
    for entry, give_back in kept:
        first = entry.sites[0]
        tensor = first.held[first.key]
        give_back(tensor)
        for site in entry.sites[1:]:
            if site.held[site.key] is not tensor:
                site.held[site.key] = tensor
        entry.tensor = tensor
    for one in module.modules():
        if isinstance(one, torch.nn.RNNBase):
            one._flat_weights = [getattr(one, name, None) for name in one._flat_weights_names]


def _traits(old: Any) -> Callable[[Any], None]:
    """What gives another tensor the class, attributes and hooks of this one."""
    kind, attributes = type(old), dict(vars(old))
    hooks = {name: getattr(old, name, None) for name in _HOOKS}

    def give_back(new: Any) -> None:
        if type(new) is not kind and isinstance(old, torch.nn.Parameter):
            new.__class__ = kind
        for name, value in attributes.items():
            if not hasattr(new, name):
                setattr(new, name, value)
        for name, value in hooks.items():
            if value and not getattr(new, name, None):
                setattr(new, name, value)

    return give_back


_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
