"""The functions of init.py as operators of torch, which torch.compile calls without looking inside.

init.py calls them while torch compiles; an operator calls the function of init.py when the compiled
code runs. So each run draws anew, from torch's default generator.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastxavier.torch._import import torch

__all__ = ["register_operator"]


def register_operator(function: Callable[..., Any]) -> None:
    """Make ``torch.ops.fastxavier.<name>`` of a function that fills its first argument.

    It takes the same arguments, by position, without `generator`, and returns nothing.
    """
    _, *settings = inspect.signature(function).parameters.values()
    # Numbered, because torch passes them by name beside its own, one of which is `mode` too.
    types = [one.annotation for one in settings if one.name != "generator"]
    arguments = ["Tensor(a!) tensor", *(f"{kind} value{n}" for n, kind in enumerate(types))]

    def fill(*values: Any) -> None:
        function(*values)

    operator = torch.library.custom_op(
        f"fastxavier::{function.__name__}",
        fill,
        mutates_args=("tensor",),
        schema=f"({', '.join(arguments)}) -> ()",
    )
    operator.register_fake(lambda *values: None)
