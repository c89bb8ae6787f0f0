"""Decides which tensors fastxavier draws, and takes its seeds from torch's generators.

init.py and _accelerate.py ask `why_not`: the one place that knows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastxavier import _core
from fastxavier._cuda.found import found
from fastxavier._dtypes import FLOATS
from fastxavier.torch._import import torch

__all__ = ["Draw", "why_not"]

_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))
_DTYPES = frozenset(getattr(torch, name) for name in FLOATS)


def why_not(tensor: Any) -> str | None:
    """Why torch's own function must fill a tensor; None if fastxavier can.

    `fill_` still refuses a few that look plain, such as views whose elements share memory.
    """
    if torch.compiler.is_compiling():
        return "compile"
    if type(tensor) not in _PLAIN:
        return "subclass"
    if torch._C._len_torch_dispatch_stack() or _has_function_mode():
        return "mode"
    if tensor.device.type != "cpu" and not (tensor.device.type == "cuda" and _gpus()):
        return str(tensor.device.type)
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
def _gpus() -> bool:
    """Whether fastxavier can fill memory of GPUs: with its extra, and NVIDIA's."""
    devices, _ = found()
    return bool(devices)


def _has_function_mode() -> bool:
    """Whether a mode may want to see the call; ``with torch.device(...)`` does not."""
    if not torch._C._is_torch_function_mode_enabled():
        return False
    modes = torch.overrides._get_current_function_mode_stack()
    return any(type(mode) is not torch.utils._device.DeviceContext for mode in modes)


class Draw(_core.Streams):
    """A torch generator as a seed: a fill takes one 64-bit draw, once it is sure to be done."""

    def __init__(self, generator: Any) -> None:
        super().__init__(0)
        self.generator = generator

    def take(self) -> tuple[int, int]:
        """The seed and the stream of one fill."""
        device = "cpu" if self.generator is None else self.generator.device
        number = torch.empty((), dtype=torch.int64, device=device)
        number.random_(-(1 << 63), None, generator=self.generator)
        return int(number) & ((1 << 64) - 1), 0
