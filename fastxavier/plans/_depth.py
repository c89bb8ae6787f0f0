"""How many blocks a model has, which the preset gpt2 needs and a part of a model does not show.

`init` and `verify` choose their plan here.
"""

from __future__ import annotations

import itertools
import re
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fastxavier.checkpoints import names_of_model
from fastxavier.distributions import Normal
from fastxavier.plans import Plan, PlanError, gpt2_plan, plan_named

__all__ = ["Chosen", "plan_from"]

BLOCK = re.compile(r"(?:transformer\.)?h\.([0-9]{1,9})\.")
SMALLEST_STD = 1e-6  # of the residual layers of 200 million blocks


@dataclass(frozen=True)
class Chosen:
    """A plan, and why the number of blocks that it needs is not known, if it is not."""

    plan: Plan
    unknown: str = ""

    def by_depth(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether the distribution of a tensor follows from the number of blocks, if unknown."""
        if not self.unknown:
            return False
        one, two = gpt2_plan(1), gpt2_plan(2)
        if one.rule_for(name, len(shape)) is None:
            return False
        return one.distribution(name, shape) != two.distribution(name, shape)


def plan_from(
    options: Namespace,
    names: Iterable[str],
    files: Iterable[str],
    metadata: Iterable[Mapping[str, str]],
) -> Chosen:
    """The plan of a file or a preset; the preset gpt2 for as many blocks as the model has.

    `options` are the command's: `plan`, `layers` and `layout`. `names` are all names of tensors
    that are known, also of those that are skipped; `files` those that they come from, beside which
    there may be an index of the whole model; `metadata` is what the checkpoints among them say.
    """
    if options.plan == "gpt2" and options.layers is not None:
        return Chosen(gpt2_plan(options.layers))
    if options.layers is not None:
        raise ValueError(f"--layers is for the preset gpt2; the plan is {options.plan!r}")
    every, part, whole = set(names), "", False
    for file in files:
        found = names_of_model(file)
        if found is None:
            part = f"{Path(file).name} is a part of a model, without the index of the whole"
        else:
            every |= found
            whole = True
    if options.plan != "gpt2":
        plan = plan_named(options.plan, options.layout)
        return Chosen(plan.of_model(every) if whole else plan)
    blocks = {int(found[1]) for found in map(BLOCK.match, every) if found}
    if not whole:
        return Chosen(gpt2_plan(), part)
    if len(blocks) <= max(blocks, default=-1):
        missing = next(number for number in itertools.count() if number not in blocks)
        return Chosen(gpt2_plan(), f"block {missing} is missing from the tensors' names")
    for one in metadata:
        recorded = _recorded(one)
        if recorded and blocks and recorded > len(blocks):
            return Chosen(
                gpt2_plan(),
                f"the file has {len(blocks)} blocks, and says that it was made for {recorded}",
            )
    return Chosen(gpt2_plan(len(blocks) or 12))


def _recorded(metadata: Mapping[str, str]) -> int | None:
    """The number of blocks for which `init` made a file by the preset gpt2."""
    try:
        plan = Plan.from_toml(metadata.get("fastxavier.plan", ""))
        residual = plan.distribution("h.0.mlp.c_proj.weight", (1, 1))
    except (PlanError, ImportError):  # not a plan, or nothing here reads TOML
        return None
    if not isinstance(residual, Normal) or residual.std < SMALLEST_STD:
        return None
    layers = round((0.02 / residual.std) ** 2 / 2)
    return layers if layers and gpt2_plan(layers) == plan else None
