"""`plan_for`: what a module's own classes draw, written as a plan. _model.py initializes by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import translate
from glob import escape
from typing import Any

from fastxavier._validation import ArgumentValueError
from fastxavier.initializers import Initializer
from fastxavier.plans import Plan, Rule
from fastxavier.plans._layout import layout_word
from fastxavier.torch._import import torch
from fastxavier.torch._modules import Padded, tensors_of
from fastxavier.torch._walk import Named, modules_of, walk

__all__ = ["default_of", "defaults_of", "plan_for", "plan_of"]


def plan_for(module: Any, *, alias: Mapping[str, str] | None = None) -> Plan:
    """What each module's ``reset_parameters`` draws, as a plan for the names of the whole module.

    Such a plan can be saved, changed, and used without torch, for arrays or a checkpoint.

    Parameters
    ----------
    module : torch.nn.Module
        On any device, also on meta.
    alias : mapping of str to str, optional
        As for `init_`.

    Returns
    -------
    Plan
        Its rules name the tensors, with ``*`` for the numbers of layers where all have the same
        initializer. Tied tensors have the first of their names. Buffers that are no weights, and
        that their class says nothing about, have no rule. That the row of an embedding's padding is
        0 is not in the plan: `init_` without a plan sees to it.

    Raises
    ------
    ValueError
        If nothing is known of a module's class that has parameters of its own; it names both.

    Notes
    -----
    It looks at the classes of modules, not at what a constructor or a function such as
    ``_init_weights`` drew afterwards.

    Examples
    --------
    >>> import torch, fastxavier.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(16, 4), torch.nn.LayerNorm(4))
    >>> for rule in fastxavier.torch.plan_for(model).rules:
    ...     print(rule)
    Rule(('0.weight',), 'heuristic_uniform', ndim=2)
    Rule(('0.bias',), 'uniform', ndim=1, low=-0.25, high=0.25)
    Rule(('1.weight',), 'ones', ndim=1)
    Rule(('1.bias',), 'zeros', ndim=1)
    """
    return plan_of(walk(module, alias), defaults_of(module))


def defaults_of(module: Any) -> dict[str, Any]:
    """By name of a tensor what the class of its module, or of a parent, draws."""
    defaults: dict[str, Any] = {}
    for prefix, one in modules_of(module):
        for key, value in (tensors_of(one) or {}).items():
            defaults.setdefault(f"{prefix}{key}", value)  # parents come first
    return defaults


def _unknown(entry: Named) -> ArgumentValueError:
    owner, key, _ = entry.sites[0]
    kind = type(owner)
    return ArgumentValueError(
        f"nothing is known of how {kind.__module__}.{kind.__qualname__} initializes its parameter "
        f"{key!r}, here {entry.name!r}; give a plan, or say it once with "
        f"fastxavier.torch.register({kind.__name__})",
        "module",
        owner,
    )


def default_of(entry: Named, defaults: Mapping[str, Any]) -> Any:
    """What `defaults` has for a tensor under any of its names; None if nothing."""
    return next((defaults[name] for name in entry.names if name in defaults), None)


def plan_of(entries: Iterable[Named], defaults: Mapping[str, Any]) -> Plan:
    """The plan for these tensors; an error for a parameter of which nothing is defaults."""
    chosen: dict[str, tuple[Initializer, int]] = {}
    names: list[str] = []
    for entry in entries:
        names.append(entry.stream)
        value = default_of(entry, defaults)
        if isinstance(value, Padded):
            value = value.initializer
        if value is None and not entry.is_buffer:
            raise _unknown(entry)
        if value is None or isinstance(value, torch.Tensor) or entry.stream in chosen:
            continue
        if layout_word(entry.stream) == "kernel" and getattr(value, "layout", "") is None:
            value = replace(value, layout="torch")  # which the name would contradict
        chosen[entry.stream] = value, entry.tensor.dim()
    return Plan(_rules(chosen, names))


def _rules(chosen: Mapping[str, tuple[Any, int]], names: Iterable[str]) -> list[Rule]:
    """One rule for all tensors of one initializer and number of axes; of layers one glob."""
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(_of_any_layer(name), []).append(name)
    globs = {
        name: wide if _means_only(wide, members, chosen, alike) else escape(name)
        for wide, members in alike.items()
        for name in members
    }
    grouped: dict[Any, dict[str, None]] = {}
    for name, value in chosen.items():
        grouped.setdefault(value, {})[globs[name]] = None
    return [
        Rule(list(names), initializer, ndim=ndim) for (initializer, ndim), names in grouped.items()
    ]


def _of_any_layer(name: str) -> str:
    """A glob for the name with any numbers between its dots."""
    return re.sub(r"(?<![^.])\d+(?=\.)", "*", escape(name))


def _means_only(
    wide: str, members: list[str], chosen: Mapping[str, Any], alike: Mapping[str, list[str]]
) -> bool:
    """Whether a glob is for tensors of one initializer and for no others of the model."""
    if any(chosen.get(name) != chosen.get(members[0]) for name in members):
        return False
    matches = re.compile(translate(wide)).match
    others = (name for glob, names in alike.items() if glob != wide for name in names)
    return not any(map(matches, others))
