"""`accelerate`: for a while, torch's own functions draw through fastxavier.

The code of each function is exchanged, not the name that refers to it. So every reference is
covered, wherever a module, a class, a dictionary or a default argument holds one, also those that
are made meanwhile, and putting the code back leaves nothing behind.
"""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastxavier.distributions import Normal, Uniform
from fastxavier.torch._import import torch
from fastxavier.torch.init import ORIGINALS, call_torch, copy_of, filled, in_torch, truncated

__all__ = ["accelerate"]

_lock = threading.Lock()
_depth = 0
_codes: list[tuple[types.FunctionType, types.CodeType]] = []  # as they were
_before: dict[str, Any] = {}  # methods that torch.Tensor had already


@contextmanager
def accelerate() -> Iterator[None]:
    """Within it, models that torch code builds or initializes are drawn by fastxavier.

    All of ``torch.nn.init``, and with it torch's layers, transformers' and torchtitan's; timm's
    truncated normals; and the methods ``normal_`` and ``uniform_`` of tensors, which many
    ``_init_weights`` call (``module.weight.data.normal_(0, 0.02)``). The distributions are torch's,
    the values differ. torch's generator seeds each call, as `fastxavier.torch.init` says.
    What fastxavier cannot draw is drawn by torch: `info` counts it.

    Notes
    -----
    It holds for the whole process, all threads included, until the last of those that have entered
    it leaves, whether by an exception or not. Functions that make new tensors, such as
    ``torch.randn``, do not change. timm's functions are covered if timm was imported before.

    Examples
    --------
    >>> import torch, fastxavier.torch
    >>> with fastxavier.torch.accelerate():
    ...     layer = torch.nn.Linear(128, 256)
    >>> bool(layer.weight.abs().max() <= 128**-0.5)
    True
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _depth
    with _lock:
        if _depth == 0:
            try:
                for function, code in _exchanged():
                    _codes.append((function, function.__code__))
                    function.__code__ = code
                for name, method in _METHODS.items():
                    _before[name] = vars(torch.Tensor).get(name)
                    setattr(torch.Tensor, name, method)
            except BaseException:
                _put_back()
                raise
        _depth += 1


def _leave() -> None:
    global _depth
    with _lock:
        _depth -= 1
        if _depth == 0:
            _put_back()


def _put_back() -> None:
    while _codes:
        function, code = _codes.pop()
        function.__code__ = code
    while _before:
        name, method = _before.popitem()
        if method is not None:
            setattr(torch.Tensor, name, method)
        elif name in vars(torch.Tensor):
            delattr(torch.Tensor, name)  # and TensorBase's is found again


def _exchanged() -> Iterator[tuple[types.FunctionType, types.CodeType]]:
    """The functions, each with the code that it gets."""
    for name, function in ORIGINALS.items():
        yield function, _calls(function, f"fastxavier.torch.init.{name}")
    timm = sys.modules.get("timm.layers.weight_init")
    of_timm = getattr(timm, "_trunc_normal_", None)
    if isinstance(of_timm, types.FunctionType) and not of_timm.__closure__:
        _timm["_trunc_normal_"] = copy_of(of_timm)
        yield of_timm, _calls(of_timm, f"{__name__}.timm_trunc_normal_")


def _calls(function: types.FunctionType, path: str) -> types.CodeType:
    """Code with the arguments of a function that gives them to the one at `path`.

    It runs with the globals of torch's module, and so imports what it needs.
    """
    taken = function.__code__.co_varnames[: function.__code__.co_argcount]
    module, _, name = path.rpartition(".")
    arguments = ", ".join(taken)
    text = (
        f"def {function.__name__}({arguments}):\n"
        f"    from {module} import {name} as _drawn_here\n"
        f"    return _drawn_here({arguments})\n"
    )
    made: dict[str, Any] = {}
    exec(compile(text, function.__code__.co_filename, "exec"), made)
    code: types.CodeType = made[function.__name__].__code__
    return code


# ---- what is called instead ----------------------------------------------------------------------

_timm: dict[str, types.FunctionType] = {}


def timm_trunc_normal_(tensor: Any, mean: Any, std: Any, a: Any, b: Any) -> Any:
    """As timm's function of this name, on which all its truncated normals are built."""
    done, _ = filled(
        "timm trunc_normal_", tensor, lambda: truncated(mean, std, a, b, tensor.dtype), None
    )
    return tensor if done else call_torch(_timm["_trunc_normal_"], tensor, mean, std, a, b)


def _is_recorded(tensor: Any) -> bool:
    """Whether autograd records, or refuses, a change in place; only outside of it we may fill."""
    return bool(tensor.requires_grad and torch.is_grad_enabled())


def _tensor_normal_(self: Any, *values: Any, **settings: Any) -> Any:
    """The method of tensors, with one 64-bit draw of the generator."""

    def make(mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Normal:
        return Normal(mean, std)

    return _method("normal_", make, self, values, settings)


def _tensor_uniform_(self: Any, *values: Any, **settings: Any) -> Any:
    """The method of tensors, with one 64-bit draw of the generator."""

    def make(low: float = 0.0, high: float = 1.0, *, generator: Any = None, **bounds: Any) -> Any:
        if bounds:  # from is a word of Python
            low, high = bounds.pop("from", low), bounds.pop("to", high)
        return Uniform(low, high, **bounds)

    return _method("uniform_", make, self, values, settings)


def _method(
    name: str,
    make: Callable[..., Any],
    tensor: Any,
    given: Any,
    named: Any,
) -> Any:
    if not getattr(in_torch, "now", False) and not _is_recorded(tensor):
        done, _ = filled(
            f"Tensor.{name}", tensor, lambda: make(*given, **named), named.get("generator")
        )
        if done:
            return tensor
    own = _before.get(name) or getattr(torch._C.TensorBase, name)
    return own(tensor, *given, **named)


_METHODS = {"normal_": _tensor_normal_, "uniform_": _tensor_uniform_}
