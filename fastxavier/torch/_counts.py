"""Counts which calls fastxavier drew and which went to torch, and why. `info` shows them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fastxavier._console import columns

__all__ = ["Info", "count", "info"]

_lock = threading.Lock()
_here: Counter[str] = Counter()
_torch: Counter[tuple[str, str]] = Counter()


@dataclass(frozen=True)
class Info:
    """How many calls of each function were drawn where since `info` last reset its counts.

    Prints as a table.
    """

    drawn: Mapping[str, int]
    """By the name of the function, the calls that fastxavier drew."""
    torch: Mapping[tuple[str, str], int]
    """By name and reason, the calls that torch's own function drew."""

    def __str__(self) -> str:
        rows = [(name, "fastxavier", "", str(number)) for name, number in self.drawn.items()]
        rows += [(name, "torch", why, str(number)) for (name, why), number in self.torch.items()]
        return "\n".join(columns(("function", "drawn by", "because", "calls"), sorted(rows)))


def count(name: str, why: str | None) -> None:
    """Count one call; `why` says why torch's own function drew it, None that fastxavier did."""
    with _lock:
        if why is None:
            _here[name] += 1
        else:
            _torch[name, why] += 1


def info(*, reset: bool = False) -> Info:
    """Say how many calls fastxavier drew, and how many went to torch's own functions, and why.

    Parameters
    ----------
    reset : bool, default False
        Whether to begin counting again from 0.

    Returns
    -------
    Info
        With `drawn` and `torch`. The reasons are "subclass" (of a tensor, DTensor among them),
        "mode" (a torch function or dispatch mode is on), "compile", "capture" (of a CUDA graph),
        "inference", "empty", a device such as "meta", or "cuda" without the extra, a dtype,
        "sparse" or another layout, and "refused": an argument or a memory layout that fastxavier
        does not take, about which torch's function decides.

    Examples
    --------
    >>> import torch, fastxavier.torch
    >>> _ = fastxavier.torch.info(reset=True)
    >>> w = fastxavier.torch.init.normal_(torch.empty(3, 5))
    >>> dict(fastxavier.torch.info().drawn)
    {'normal_': 1}
    """
    with _lock:
        found = Info(dict(_here), dict(_torch))
        if reset:
            _here.clear()
            _torch.clear()
    return found
