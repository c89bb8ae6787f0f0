"""Plans: from names and shapes of a model's tensors to their initializers; whole models by one."""

from fastxavier.plans._init import init_
from fastxavier.plans._plan import Plan
from fastxavier.plans._prepared import Prepared, prepare
from fastxavier.plans._report import Filled, Report
from fastxavier.plans._rule import PlanError, Rule
from fastxavier.plans.presets import (
    PRESETS,
    default_plan,
    gpt2_plan,
    llama_plan,
    plan_named,
    resnet_plan,
    vit_plan,
)

__all__ = [
    "PRESETS",
    "Filled",
    "Plan",
    "PlanError",
    "Prepared",
    "Report",
    "Rule",
    "default_plan",
    "gpt2_plan",
    "init_",
    "llama_plan",
    "plan_named",
    "prepare",
    "resnet_plan",
    "vit_plan",
]
