"""fastxavier: neural-network weights, filled in place, the same bits on every machine."""

from importlib import import_module
from typing import TYPE_CHECKING

from fastxavier._core import version as __version__
from fastxavier._fans import Fans, fans
from fastxavier._streams import manual_seed
from fastxavier.distributions import (
    Constant,
    Distribution,
    Normal,
    TruncatedNormal,
    Uniform,
    ones,
    zeros,
)
from fastxavier.fill import fill_, normal_, orthogonal_, sparse_, truncated_normal_, uniform_
from fastxavier.gains import gain
from fastxavier.initializers import (
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

if TYPE_CHECKING:
    from fastxavier._info import Info, info
    from fastxavier._verify import Verification, verify
    from fastxavier.checkpoints import CheckpointError, init_checkpoint
    from fastxavier.plans import Plan, PlanError, Rule
    from fastxavier.plans._init import Report, init_
    from fastxavier.plans.presets import default_plan, gpt2_plan, resnet_plan, vit_plan
    from fastxavier.structured import (
        DeltaOrthogonal,
        Dirac,
        Identity,
        Orthogonal,
        Sparse,
        Structure,
    )

# Imported when first asked for: a program that fills arrays does not pay for the rest.
_LATER = {
    "CheckpointError": "checkpoints",
    "DeltaOrthogonal": "structured",
    "Dirac": "structured",
    "Identity": "structured",
    "Info": "_info",
    "Orthogonal": "structured",
    "Plan": "plans",
    "PlanError": "plans",
    "Report": "plans._init",
    "Rule": "plans",
    "Sparse": "structured",
    "Structure": "structured",
    "Verification": "_verify",
    "default_plan": "plans.presets",
    "gpt2_plan": "plans.presets",
    "info": "_info",
    "init_": "plans._init",
    "init_checkpoint": "checkpoints",
    "resnet_plan": "plans.presets",
    "verify": "_verify",
    "vit_plan": "plans.presets",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'fastxavier' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"fastxavier.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "CheckpointError",
    "Constant",
    "DeltaOrthogonal",
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
    "Verification",
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
    "init_checkpoint",
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
    "verify",
    "vit_plan",
    "zeros",
]
