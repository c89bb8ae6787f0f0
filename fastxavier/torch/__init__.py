"""torch's habits over fastxavier: its `nn.init` under its own names, and whole modules.

``from fastxavier.torch import init`` replaces ``from torch.nn import init``. torch is imported with
this package, and not by ``import fastxavier``.
"""

from fastxavier.torch._accelerate import accelerate
from fastxavier.torch._counts import Info, info
from fastxavier.torch._model import ParamInit, fill_, init_, param_init
from fastxavier.torch._modules import register
from fastxavier.torch._plan_for import plan_for
from fastxavier.torch.init import (
    calculate_gain,
    constant,
    constant_,
    dirac,
    dirac_,
    eye,
    eye_,
    kaiming_normal,
    kaiming_normal_,
    kaiming_uniform,
    kaiming_uniform_,
    normal,
    normal_,
    ones_,
    orthogonal,
    orthogonal_,
    sparse,
    sparse_,
    trunc_normal_,
    uniform,
    uniform_,
    xavier_normal,
    xavier_normal_,
    xavier_uniform,
    xavier_uniform_,
    zeros_,
)

__all__ = [
    "Info",
    "ParamInit",
    "accelerate",
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "fill_",
    "info",
    "init_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "param_init",
    "plan_for",
    "register",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]
