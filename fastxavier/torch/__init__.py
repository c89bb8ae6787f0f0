"""torch's habits over fastxavier: its `nn.init` under its own names, and whole modules.

``from fastxavier.torch import init`` replaces ``from torch.nn import init``. torch is imported with
this package, and not by ``import fastxavier``.
"""

from fastxavier.torch._accelerate import accelerate
from fastxavier.torch._counts import Info, info
from fastxavier.torch._model import ParamInit, fill_, init_, param_init
from fastxavier.torch._modules import register
from fastxavier.torch._plan_for import plan_for
from fastxavier.torch.init import *  # noqa: F403
from fastxavier.torch.init import __all__ as _functions

__all__ = [
    "Info",
    "ParamInit",
    "accelerate",
    "fill_",
    "info",
    "init_",
    "param_init",
    "plan_for",
    "register",
]
__all__ += _functions
