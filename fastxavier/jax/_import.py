"""Imports jax, or says how to install it. Every module of this package takes jax from here."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["jax"]

_PARTS = (  # which jax does not import itself
    "jax.experimental.custom_partitioning",
    "jax.extend.core",
    "jax.extend.random",
    "jax.interpreters.batching",
    "jax.interpreters.mlir",
)

try:
    jax: Any = importlib.import_module("jax")
except ImportError as error:
    raise ImportError(
        'fastxavier.jax needs jax: pip install "fastxavier[jax]"', name="jax"
    ) from error
for _part in _PARTS:
    importlib.import_module(_part)
