"""Imports jax, or says how to install it. Every module of this package takes jax from here."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["jax"]

try:
    jax: Any = importlib.import_module("jax")
except ImportError as error:
    raise ImportError(
        'fastxavier.jax needs jax: pip install "fastxavier[jax]"', name="jax"
    ) from error
