"""fastxavier: neural-network weights, filled in place, the same bits on every machine."""

from importlib import import_module
from typing import TYPE_CHECKING

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
from fastxavier.fans import Fans, fans
from fastxavier.fill import fill_, normal_, orthogonal_, sparse_, truncated_normal_, uniform_
from fastxavier.gains import gain
from fastxavier.schemes import (
    fixed_normal,
    fixed_uniform,
    glorot_normal,
    glorot_truncated_normal,
    glorot_uniform,
    he_normal,
    he_truncated_normal,
    he_uniform,
    heuristic_uniform,
    lecun_normal,
    lecun_truncated_normal,
    lecun_uniform,
    variance_scaling,
)
from fastxavier.streams import manual_seed
from fastxavier.structures import Dirac, Identity, Orthogonal, Sparse, Structure

if TYPE_CHECKING:
    from fastxavier.information import Info, info
    from fastxavier.models import Report, init_
    from fastxavier.plans import (
        Plan,
        PlanError,
        Rule,
        default_plan,
        gpt2_plan,
        resnet_plan,
        vit_plan,
    )

# Imported when first asked for: a program that fills arrays does not pay for the rest.
_LATER = {
    "Info": "information",
    "Plan": "plans",
    "PlanError": "plans",
    "Report": "models",
    "Rule": "plans",
    "default_plan": "plans",
    "gpt2_plan": "plans",
    "info": "information",
    "init_": "models",
    "resnet_plan": "plans",
    "vit_plan": "plans",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'fastxavier' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"fastxavier.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "Constant",
    "Dirac",
    "Distribution",
    "Fans",
    "Identity",
    "Info",
    "Normal",
    "Orthogonal",
    "Plan",
    "PlanError",
    "Report",
    "Rule",
    "Sparse",
    "Structure",
    "TruncatedNormal",
    "Uniform",
    "__version__",
    "default_plan",
    "fans",
    "fill_",
    "fixed_normal",
    "fixed_uniform",
    "gain",
    "glorot_normal",
    "glorot_truncated_normal",
    "glorot_uniform",
    "gpt2_plan",
    "he_normal",
    "he_truncated_normal",
    "he_uniform",
    "heuristic_uniform",
    "info",
    "init_",
    "lecun_normal",
    "lecun_truncated_normal",
    "lecun_uniform",
    "manual_seed",
    "normal_",
    "ones",
    "orthogonal_",
    "resnet_plan",
    "sparse_",
    "truncated_normal_",
    "uniform_",
    "variance_scaling",
    "vit_plan",
    "zeros",
]
