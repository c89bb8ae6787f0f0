"""Imports torch, or says how to install it. Every module of this package takes torch from here."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["torch"]

try:
    torch: Any = importlib.import_module("torch")
except ImportError as error:
    raise ImportError(
        'fastxavier.torch needs torch: pip install "fastxavier[torch]"', name="torch"
    ) from error
