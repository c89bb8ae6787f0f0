"""How many blocks a model has: what some presets follow from, and the names of its tensors show.

`init_`, `verify`, `init_checkpoint` and the commands choose their plan here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from fastxavier._fans import Layout
from fastxavier.distributions import Normal
from fastxavier.initializers import Resolved
from fastxavier.plans._plan import Plan
from fastxavier.plans._rule import PlanError
from fastxavier.plans.presets import PRESETS, gpt2_plan, plan_named

__all__ = ["ChosenPlan", "plan_of_model"]

# Presets that take a number of blocks, and where the names of their tensors have that of a block.
BLOCKS = {"gpt2": re.compile(r"(?:transformer\.)?h\.([0-9]{1,9})\.")}
SMALLEST_STD = 1e-6  # of the residual layers of 200 million blocks


@dataclass(frozen=True)
class ChosenPlan:
    """A plan, and why the number of blocks that its preset follows from is not known, if so."""

    plan: Plan
    preset: str = ""
    unknown: str = ""

    def by_depth(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether the distribution of a tensor follows from a number of blocks that is unknown."""
        if not self.unknown:
            return False
        one, two = PRESETS[self.preset](1), PRESETS[self.preset](2)
        if one.rule_for(name, len(shape)) is None:
            return False
        return one.distribution(name, shape) != two.distribution(name, shape)

    def distribution(self, name: str, shape: tuple[int, ...]) -> Resolved:
        """What the plan has for a tensor; an error if that is not known."""
        if self.unknown:
            self.check(name, shape)
        return self.plan.distribution(name, shape)

    def check(self, name: str, shape: tuple[int, ...], hint: str = "") -> None:
        """Refuse a tensor whose distribution is not known.

        `hint` is how the user says the number of blocks, if not by the preset's function.
        """
        if self.by_depth(name, shape):
            raise PlanError(
                f"the distribution of tensor {name!r} follows from the number of blocks of the "
                f"model, which is not known: {self.unknown}; {hint or self.hint}",
                "plan",
                self.preset,
            )

    @property
    def hint(self) -> str:
        """How to say the number of blocks in Python."""
        return f"the plan {PRESETS[self.preset].__name__}(layers=N) says it"


def plan_of_model(
    plan: Plan | str,
    names: Iterable[str],
    layout: Layout | None = None,
    *,
    part: str = "",
    made_by: Iterable[str] = (),
) -> ChosenPlan:
    """The plan for a model; of a preset that is given by name, for as many blocks as it has.

    `plan` and `layout` are those of `plan_named`. `names` are all names of tensors that are known,
    also of those that are not initialized or judged; `part` says why they are not those of the
    whole model, if they are not. `made_by` are the plans, in TOML, that drew what is judged.
    """
    names = [name for name in names if isinstance(name, str)]
    found = plan_named(plan, layout)
    unknown, preset = "", plan if isinstance(plan, str) and plan in BLOCKS else ""
    if preset:
        match = BLOCKS[preset].match
        blocks = {int(block[1]) for block in map(match, names) if block}
        unknown = part or _incomplete(blocks) or _fewer(blocks, made_by)
        if blocks and not unknown:
            found = plan_named(PRESETS[preset](len(blocks)), layout)
    if not part and not found.knows_model:
        found = found.of_model(names)
    return ChosenPlan(found, preset, unknown)


def _incomplete(blocks: set[int]) -> str:
    """Which block is missing between those that there are."""
    if len(blocks) > max(blocks, default=-1):
        return ""
    missing = next(number for number in itertools.count() if number not in blocks)
    return f"block {missing} is missing from the tensors' names"


def _fewer(blocks: set[int], made_by: Iterable[str]) -> str:
    """Whether a plan was made for more blocks than there are."""
    most = max(map(_recorded, made_by), default=0) if blocks else 0
    if most <= len(blocks):
        return ""
    return f"the file has {len(blocks)} blocks, and says that it was made for {most}"


def _recorded(text: str) -> int:
    """The number of blocks of the preset gpt2 that a text is; 0 if it is another plan, or none."""
    try:
        plan = Plan.from_toml(text)
        residual = plan.distribution("h.0.mlp.c_proj.weight", (1, 1))
    except (PlanError, ImportError):  # not a plan, or nothing here reads TOML
        return 0
    if not isinstance(residual, Normal) or residual.std < SMALLEST_STD:
        return 0
    layers = round((0.02 / residual.std) ** 2 / 2)
    return layers if layers and gpt2_plan(layers) == plan else 0
