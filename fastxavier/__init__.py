"""fastxavier: neural-network weights, filled in place, the same bits on every machine."""

from fastxavier._core import version as __version__
from fastxavier.distributions import (
    Constant,
    Distribution,
    Normal,
    TruncatedNormal,
    Uniform,
    ones,
    zeros,
)
from fastxavier.fill import fill_, normal_, truncated_normal_, uniform_
from fastxavier.information import info
from fastxavier.schemes import glorot_normal, glorot_truncated_normal, glorot_uniform
from fastxavier.streams import manual_seed

__all__ = [
    "Constant",
    "Distribution",
    "Normal",
    "TruncatedNormal",
    "Uniform",
    "__version__",
    "fill_",
    "glorot_normal",
    "glorot_truncated_normal",
    "glorot_uniform",
    "info",
    "manual_seed",
    "normal_",
    "ones",
    "truncated_normal_",
    "uniform_",
    "zeros",
]
