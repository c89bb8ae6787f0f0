"""The functions of init.py as operators of torch, which torch.compile calls without looking inside.

init.py calls them while torch compiles; an operator calls the function of init.py when the compiled
code runs. So each run draws anew, from torch's default generator.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastxavier.torch._import import torch

__all__ = ["call_operator", "register_operator"]

_order = torch.zeros(())
"""Every operator claims to change it, so that torch neither merges, drops nor moves a call."""


def register_operator(function: Callable[..., Any]) -> None:
    """Make ``torch.ops.fastxavier.<name>`` of a function that fills its first argument.

    It takes `_order` and the same arguments, by position, without `generator`; it returns nothing.
    """
    _, *settings = inspect.signature(function).parameters.values()
    # Numbered, because torch passes them by name beside its own, one of which is `mode` too.
    types = [one.annotation for one in settings if one.name != "generator"]
    arguments = ["Tensor(a!) tensor", "Tensor(b!) order"]
    arguments += [f"{kind} value{n}" for n, kind in enumerate(types)]

    def fill(tensor: Any, order: Any, *values: Any) -> None:
        function(tensor, *values)

    operator = torch.library.custom_op(
        f"fastxavier::{function.__name__}",
        fill,
        mutates_args=("tensor", "order"),
        schema=f"({', '.join(arguments)}) -> ()",
    )
    operator.register_fake(lambda *values: None)


def call_operator(name: str, tensor: Any, *values: Any) -> None:
    """Fill a tensor by the operator of a function, with its arguments but for `generator`."""
    with torch.no_grad():
        getattr(torch.ops.fastxavier, name)(tensor, _order, *values)
