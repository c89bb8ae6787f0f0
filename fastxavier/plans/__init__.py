"""Plans: from names and shapes of a model's tensors to their initializers; `init_` by one."""

from fastxavier.plans._init import Filled, Report, init_
from fastxavier.plans._plan import Plan
from fastxavier.plans._rule import PlanError, Rule
from fastxavier.plans.presets import (
    PRESETS,
    default_plan,
    gpt2_plan,
    plan_named,
    resnet_plan,
    vit_plan,
)

__all__ = [
    "PRESETS",
    "Filled",
    "Plan",
    "PlanError",
    "Report",
    "Rule",
    "default_plan",
    "gpt2_plan",
    "init_",
    "plan_named",
    "resnet_plan",
    "vit_plan",
]
