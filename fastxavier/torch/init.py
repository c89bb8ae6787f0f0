"""torch.nn.init under its own names, drawn by fastxavier: ``from fastxavier.torch import init``.

Signatures, defaults, results, warnings and errors are torch's, and so is the distribution of the
values; the values themselves differ. Each call takes one 64-bit number from torch's generator, so
``torch.manual_seed``, ``generator=`` and ``torch.random.fork_rng`` govern. What `why_not` names,
and any argument that fastxavier refuses, goes to torch's own function.
"""

from __future__ import annotations

import math
import sys
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastxavier._validation import ArgumentError
from fastxavier.distributions import Constant, Normal, TruncatedNormal, Uniform
from fastxavier.fill import fill_
from fastxavier.initializers import (
    Initializer,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
)
from fastxavier.structured import Dirac, Identity, Orthogonal, Sparse
from fastxavier.torch._counts import count
from fastxavier.torch._import import torch
from fastxavier.torch._operators import call_operator, register_operator
from fastxavier.torch._tensors import Draw, is_plain, why_not

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

Function = TypeVar("Function", bound=Callable[..., Any])
NAMES = [name for name in __all__ if name.endswith("_")]
"""The functions that fill a tensor."""


def copy_of(function: types.FunctionType) -> types.FunctionType:
    """The same function, which keeps its code when that of `function` is exchanged."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


ORIGINALS: dict[str, types.FunctionType] = {name: getattr(torch.nn.init, name) for name in NAMES}
"""torch's functions, whose code `accelerate` exchanges."""

TORCH_FUNCTIONS: dict[str, types.FunctionType] = {
    name: copy_of(function) for name, function in ORIGINALS.items()
}
"""The same as they are, also while `accelerate` is on."""

in_torch = threading.local()
"""`in_torch.now` is true while torch's own function runs in this thread, with all that it calls."""


def call_torch(function: Callable[..., Any], *values: Any, **settings: Any) -> Any:
    """Call a function of torch's that may not be drawn here, nor what it calls."""
    before = getattr(in_torch, "now", False)
    in_torch.now = True
    try:
        return function(*values, **settings)
    finally:
        in_torch.now = before


def filled(
    name: str, tensor: Any, make: Callable[[], Initializer], generator: Any
) -> tuple[bool, str]:
    """Fill a tensor here, if that can be, and say whether it was done, or why not.

    `make` gives the initializer; if it fails, torch's own function has to say what is wrong. A
    `generator` of False asks for no random number.
    """
    why = why_not(tensor)
    if why is None:
        try:
            initializer = make()
        except Exception:
            why = "refused"
        else:
            seed: Any = 0 if generator is False else Draw(generator, tensor.device)
            try:
                fill_(tensor, initializer, seed=seed)
            except ArgumentError:  # nothing has been written, and no number drawn
                why = "refused"
    count(name, why)
    return why is None, why or ""


def _fill(
    name: str, make: Callable[[], Initializer], generator: Any, tensor: Any, *settings: Any
) -> Any:
    """Fill a tensor as torch's function `name` does, which takes `tensor` and `settings`."""
    if torch.compiler.is_compiling() and is_plain(tensor) and not generator:
        call_operator(name, tensor, *(settings if generator is False else settings[:-1]))
        return tensor
    done, _ = filled(name, tensor, make, generator)
    return tensor if done else call_torch(TORCH_FUNCTIONS[name], tensor, *settings)


def _warn(message: str) -> None:
    """Warn at the line of the caller, outside of this file and torch's."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename in _FILES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


_FILES = {__file__, torch.nn.init.__file__, TORCH_FUNCTIONS["normal_"].__code__.co_filename}


# ---- the functions, in torch's order -------------------------------------------------------------

calculate_gain = torch.nn.init.calculate_gain


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """As ``torch.nn.init.uniform_``: U[a, b]. See `Uniform`."""
    return _fill("uniform_", lambda: Uniform(a, b), generator, tensor, a, b, generator)


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """As ``torch.nn.init.normal_``: N(mean, std**2). See `Normal`."""
    return _fill("normal_", lambda: Normal(mean, std), generator, tensor, mean, std, generator)


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Any:
    """As ``torch.nn.init.trunc_normal_``: N(mean, std**2) within [a, b], which are absolute.

    `TruncatedNormal` has its bounds in units of `std`.
    """

    def make() -> Initializer:
        if (mean < a - 2 * std) or (mean > b + 2 * std):
            _warn(
                "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
                "The distribution of values may be incorrect."
            )
        return truncated(mean, std, a, b, tensor.dtype)

    return _fill("trunc_normal_", make, generator, tensor, mean, std, a, b, generator)


def constant_(tensor: Any, val: float) -> Any:
    """As ``torch.nn.init.constant_``. See `Constant`."""
    return _fill("constant_", lambda: Constant(val), False, tensor, val)


def ones_(tensor: Any) -> Any:
    """As ``torch.nn.init.ones_``."""
    return _fill("ones_", lambda: Constant(1.0), False, tensor)


def zeros_(tensor: Any) -> Any:
    """As ``torch.nn.init.zeros_``."""
    return _fill("zeros_", lambda: Constant(0.0), False, tensor)


def eye_(tensor: Any) -> Any:
    """As ``torch.nn.init.eye_``. See `Identity`."""
    return _fill("eye_", Identity, False, tensor)


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """As ``torch.nn.init.dirac_``. See `Dirac`."""
    return _fill("dirac_", lambda: Dirac(groups), False, tensor, groups)


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """As ``torch.nn.init.xavier_uniform_``. See `glorot_uniform`."""
    return _fill(
        "xavier_uniform_", lambda: glorot_uniform(gain=gain), generator, tensor, gain, generator
    )


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """As ``torch.nn.init.xavier_normal_``. See `glorot_normal`."""
    return _fill(
        "xavier_normal_", lambda: glorot_normal(gain=gain), generator, tensor, gain, generator
    )


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """As ``torch.nn.init.kaiming_uniform_``. See `he_uniform`."""
    return _kaiming("kaiming_uniform_", he_uniform, tensor, a, mode, nonlinearity, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """As ``torch.nn.init.kaiming_normal_``. See `he_normal`."""
    return _kaiming("kaiming_normal_", he_normal, tensor, a, mode, nonlinearity, generator)


def _kaiming(
    name: str, he: Callable[..., Any], tensor: Any, a: Any, mode: Any, nonlinearity: Any, rng: Any
) -> Any:
    if why_not(tensor) == "empty":
        _warn("Initializing zero-element tensors is a no-op")
        count(name, "empty")
        return tensor

    def make() -> Initializer:
        fan = mode.lower()
        if fan not in ("fan_in", "fan_out"):  # torch has no other
            raise ValueError(mode)
        made: Initializer = he(gain=calculate_gain(nonlinearity, a), mode=fan)
        return made

    return _fill(name, make, rng, tensor, a, mode, nonlinearity, rng)


def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """As ``torch.nn.init.orthogonal_``. See `Orthogonal`.

    float16 and bfloat16, of which torch has no decomposition, are filled too.
    """
    return _fill("orthogonal_", lambda: Orthogonal(gain), generator, tensor, gain, generator)


def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """As ``torch.nn.init.sparse_``. See `Sparse`."""
    return _fill(
        "sparse_", lambda: Sparse(sparsity, std), generator, tensor, sparsity, std, generator
    )


for _name in NAMES:
    register_operator(globals()[_name])


def _deprecated(function: Function) -> Function:
    """torch's old name of a function, without the underscore; it warns as torch's does."""
    name = function.__name__

    def deprecated_init(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{name[:-1]}` is now deprecated in favor of `nn.init.{name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    deprecated_init.__name__ = deprecated_init.__qualname__ = name[:-1]
    deprecated_init.__doc__ = f"The old name of `{name}`."
    return deprecated_init  # type: ignore[return-value]


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)


# ---- absolute bounds -----------------------------------------------------------------------------

_BINDING = 9.5  # in units of std: no value is drawn beyond it


def truncated(mean: float, std: float, a: float, b: float, dtype: Any) -> TruncatedNormal:
    """N(mean, std**2) cut at a and b, so that no value of the dtype lies outside of them.

    The bounds of `TruncatedNormal` are in units of std, and rounding could lead from there over
    the absolute ones by a last digit.
    """
    kind = np.float64 if dtype is torch.float64 else np.float32
    low, high = (a - mean) / std, (b - mean) / std
    if high < _BINDING:
        high = min(high, _inside(kind, mean, std, b, -math.inf))
    if low > -_BINDING:
        low = max(low, _inside(kind, mean, std, a, math.inf))
    return TruncatedNormal(mean, std, low, high)


def _inside(kind: Any, mean: float, std: float, bound: float, inwards: float) -> float:
    """The last number of the dtype that times std plus mean is within the bound, as rounded."""
    mean, std, bound = float(kind(mean)), float(kind(std)), float(kind(bound))
    units = kind((bound - mean) / std)
    while (float(units) * std + mean - bound) * inwards < 0:
        units = np.nextafter(units, kind(inwards))
    return float(units)
