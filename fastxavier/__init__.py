"""fastxavier: initialization of neural-network weights, the same bits on every machine.

Arrays and torch tensors on the CPU are filled in place::

    import numpy as np, fastxavier as fx

    w = np.empty((256, 128), np.float32)
    fx.kaiming_normal_(w, seed=7, stream="fc1.weight")    # fans from the shape
    fx.fill_(w, fx.Normal(0, 0.02), seed=7, stream="fc1.weight")
    w = fx.draw((256, 128), fx.glorot_uniform(), seed=7, stream="fc1.weight")    # a new array
    fx.init_({"fc1.weight": w}, "default", seed=7)    # a whole model, by a plan

The same seed and the same stream give the same values; ``fx.Streams(seed)`` hands out streams to
tensors without names. ``fx.verify`` checks what an array holds. See the help of `fill_`, `init_`,
`Plan` and `gain`; README.md and docs/ have the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from fastxavier._core import version as __version__
from fastxavier._fans import Fans, fans
from fastxavier._in_place import (
    constant_,
    delta_orthogonal_,
    dirac_,
    eye_,
    glorot_normal_,
    glorot_truncated_normal_,
    glorot_uniform_,
    he_normal_,
    he_truncated_normal_,
    he_uniform_,
    heuristic_uniform_,
    identity_,
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    lecun_truncated_normal_,
    lecun_uniform_,
    ones_,
    orthogonal_,
    sparse_,
    variance_scaling_,
    xavier_normal_,
    xavier_uniform_,
    zeros_,
)
from fastxavier._streams import Streams, manual_seed, seed_number, stream_number
from fastxavier._validation import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    nearest,
)
from fastxavier.distributions import (
    Constant,
    Distribution,
    Normal,
    TruncatedNormal,
    Uniform,
)
from fastxavier.fill import draw, fill_, normal_, truncated_normal_, uniform_
from fastxavier.gains import gain
from fastxavier.initializers import (
    VarianceScaling,
    glorot_normal,
    glorot_truncated_normal,
    glorot_uniform,
    he_normal,
    he_truncated_normal,
    he_uniform,
    heuristic_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_truncated_normal,
    lecun_uniform,
    ones,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from fastxavier.structured import (
    DeltaOrthogonal,
    Dirac,
    Identity,
    Orthogonal,
    Sparse,
    StructuredInitializer,
)

if TYPE_CHECKING:
    from fastxavier._info import Info, info
    from fastxavier._verify import ModelVerification, Verification, verify
    from fastxavier.checkpoints import CheckpointError, init_checkpoint
    from fastxavier.plans import (
        Plan,
        PlanError,
        Prepared,
        Report,
        Rule,
        default_plan,
        gpt2_plan,
        init_,
        llama_plan,
        prepare,
        resnet_plan,
        vit_plan,
    )

# Imported when first asked for: a program that fills arrays does not pay for the rest.
_LATER = {
    "CheckpointError": "checkpoints",
    "Info": "_info",
    "ModelVerification": "_verify",
    "Plan": "plans",
    "PlanError": "plans",
    "Prepared": "plans",
    "Report": "plans",
    "Rule": "plans",
    "Verification": "_verify",
    "default_plan": "plans",
    "gpt2_plan": "plans",
    "info": "_info",
    "init_": "plans",
    "init_checkpoint": "checkpoints",
    "llama_plan": "plans",
    "prepare": "plans",
    "resnet_plan": "plans",
    "verify": "_verify",
    "vit_plan": "plans",
}

# What users of other libraries look for, and what to write here.
_ELSEWHERE = {
    "calculate_gain": "gain(activation, negative_slope=..., convention='torch')",
    "fill": "fill_(array, initializer)",
    "fixed_normal": "Normal(0, std)",
    "fixed_uniform": "Uniform(-bound, bound)",
    "init": "init_(arrays, plan)",
    "trunc_normal_": "fill_(array, TruncatedNormal(mean, std))",
    "identity": "Identity()",
    "eye": "Identity()",
    "dirac": "Dirac()",
    "orthogonal": "Orthogonal()",
    "sparse": "Sparse(sparsity)",
    "constant": "Constant(value)",
    "uniform": "Uniform(low, high)",
    "normal": "Normal(mean, std)",
    "truncated_normal": "TruncatedNormal(mean, std)",
}


__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "CheckpointError",
    "Constant",
    "DeltaOrthogonal",
    "Dirac",
    "Distribution",
    "Fans",
    "Identity",
    "Info",
    "ModelVerification",
    "Normal",
    "Orthogonal",
    "Plan",
    "PlanError",
    "Prepared",
    "Report",
    "Rule",
    "Sparse",
    "Streams",
    "StructuredInitializer",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "Verification",
    "__version__",
    "constant_",
    "default_plan",
    "delta_orthogonal_",
    "dirac_",
    "draw",
    "eye_",
    "fans",
    "fill_",
    "gain",
    "glorot_normal",
    "glorot_normal_",
    "glorot_truncated_normal",
    "glorot_truncated_normal_",
    "glorot_uniform",
    "glorot_uniform_",
    "gpt2_plan",
    "he_normal",
    "he_normal_",
    "he_truncated_normal",
    "he_truncated_normal_",
    "he_uniform",
    "he_uniform_",
    "heuristic_uniform",
    "heuristic_uniform_",
    "identity_",
    "info",
    "init_",
    "init_checkpoint",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "lecun_normal",
    "lecun_normal_",
    "lecun_truncated_normal",
    "lecun_truncated_normal_",
    "lecun_uniform",
    "lecun_uniform_",
    "llama_plan",
    "manual_seed",
    "normal_",
    "ones",
    "ones_",
    "orthogonal_",
    "prepare",
    "resnet_plan",
    "seed_number",
    "sparse_",
    "stream_number",
    "truncated_normal_",
    "uniform_",
    "variance_scaling",
    "variance_scaling_",
    "verify",
    "vit_plan",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros",
    "zeros_",
]


def _attribute(name: str) -> object:
    """What is imported late, and for other names an error that says what there is."""
    if name in _LATER:
        value = globals()[name] = getattr(import_module(f"fastxavier.{_LATER[name]}"), name)
        return value
    message = f"module 'fastxavier' has no attribute {name!r}"
    if name in _ELSEWHERE:
        message += f"; write {_ELSEWHERE[name]}"
    elif not name.startswith("_"):
        near = nearest(name, __all__)
        message += f"; did you mean {near!r}?" if near else ""
    raise AttributeError(message)


if not TYPE_CHECKING:  # or a type checker would take every name for one of this module
    __getattr__ = _attribute

    def __dir__() -> list[str]:
        return __all__
