"""The catalog: every start by its name. Knows all the rooms that have one, and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastxavier import initializers as schemes
from fastxavier.distributions import (
    Constant,
    Distribution,
    Normal,
    TruncatedNormal,
    Uniform,
    ones,
    zeros,
)
from fastxavier.structured import (
    DeltaOrthogonal,
    Dirac,
    Identity,
    Orthogonal,
    Sparse,
    Structure,
)

__all__ = ["SCHEMES"]


def _zeros() -> Constant:
    """Zeros throughout: biases."""
    return zeros


def _ones() -> Constant:
    """Ones throughout: the scales of norms."""
    return ones


SCHEMES: Final[dict[str, Callable[..., Distribution | Structure]]] = {
    **{name: getattr(schemes, name) for name in schemes.__all__ if name != "Mode"},
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "constant": Constant,
    "zeros": _zeros,
    "ones": _ones,
    "identity": Identity,
    "dirac": Dirac,
    "orthogonal": Orthogonal,
    "delta_orthogonal": DeltaOrthogonal,
    "sparse": Sparse,
}
"""Name to what makes the start. One whose parameters include fan_in and fan_out takes the fans."""
