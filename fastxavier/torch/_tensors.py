"""Decides which tensors fastxavier draws, and takes its seeds from torch's generators.

init.py and _accelerate.py ask `why_not`: the one place that knows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastxavier import _core
from fastxavier._cuda.driver import driver
from fastxavier._dtypes import FLOATS
from fastxavier.torch._import import torch

__all__ = ["Draw", "is_plain", "why_not"]

_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))
_DTYPES = frozenset(getattr(torch, name) for name in FLOATS)


def is_plain(tensor: Any) -> bool:
    """Whether it is torch's own class of tensors or of parameters, not a subclass."""
    return type(tensor) in _PLAIN


def why_not(tensor: Any) -> str | None:
    """Why torch's own function must fill a tensor; None if fastxavier can.

    `fill_` still refuses a few that look plain, such as views whose elements share memory.
    """
    if torch.compiler.is_compiling():
        return "compile"
    if not is_plain(tensor):
        return "subclass"
    if torch._C._len_torch_dispatch_stack() or _has_function_mode():
        return "mode"
    if tensor.device.type != "cpu":
        if tensor.device.type != "cuda" or not _fills(tensor.device.index):
            return str(tensor.device.type)
        if torch.cuda.is_current_stream_capturing():  # torch draws anew at each replay
            return "capture"
    if tensor.layout is not torch.strided:
        return str(tensor.layout).removeprefix("torch.").removesuffix("_coo")
    if tensor.dtype not in _DTYPES:
        return str(tensor.dtype).removeprefix("torch.")
    if tensor.is_inference():
        return "inference"
    if not tensor.numel():
        return "empty"
    return None


@cache
def _fills(device: int) -> bool:
    """Whether fastxavier can fill memory of this GPU: with its extra, and one of NVIDIA's."""
    try:
        nvidia = driver()
        nvidia.check_version()
        nvidia.architecture(device)
    except (ImportError, RuntimeError):
        return False
    return True


def _has_function_mode() -> bool:
    """Whether a mode may want to see the call; ``with torch.device(...)`` does not."""
    if not torch._C._is_torch_function_mode_enabled():
        return False
    modes = torch.overrides._get_current_function_mode_stack()
    return any(type(mode) is not torch.utils._device.DeviceContext for mode in modes)


class Draw(_core.Streams):
    """A torch generator as a seed: a fill takes one 64-bit draw, once it is sure to be done."""

    def __init__(self, generator: Any, device: Any) -> None:
        super().__init__(0)
        self.generator = generator
        self.device = "cpu" if generator is None else device  # torch refuses a generator of another

    def take(self) -> tuple[int, int]:
        """The seed and the stream of one fill."""
        number = torch.empty((), dtype=torch.int64, device=self.device)
        number.random_(-(1 << 63), None, generator=self.generator)
        return int(number) & ((1 << 64) - 1), 0
