"""Imports keras, or says how to install it. Every module of this package takes keras from here."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["keras"]

try:
    keras: Any = importlib.import_module("keras")
except ImportError as error:
    missing = (error.name or "").partition(".")[0]
    if missing == "keras":
        message = 'fastxavier.keras needs keras: pip install "fastxavier[keras]"'
    else:
        message = (
            f"fastxavier.keras needs a backend of keras, and {missing} is not installed: "
            "install tensorflow, jax or torch, and name it in the environment variable "
            "KERAS_BACKEND before keras is imported; numpy needs nothing else"
        )
    raise ImportError(message, name=missing) from error
