"""The plan for the tensors of files, which may be a part of a model.

`init_checkpoint` and the commands `init` and `verify` call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fastxavier._fans import Layout
from fastxavier.checkpoints._header import PathLike
from fastxavier.checkpoints._like import names_of_model
from fastxavier.plans import Plan
from fastxavier.plans._depth import ChosenPlan, plan_of_model


def plan_of_files(
    plan: Plan | str,
    names: Iterable[str],
    files: Iterable[PathLike],
    metadata: Iterable[Mapping[str, str]],
    layout: Layout | None = None,
) -> ChosenPlan:
    """What `plan_of_model` gives for the model that the files belong to.

    `names` are all names of tensors in the files, beside which there may be an index of the whole
    model; `metadata` is what the checkpoints among the files say.
    """
    every, part, whole = set(names), "", False
    for file in files:
        found = names_of_model(file)
        if found is None:
            part = f"{Path(file).name} is a part of a model, without the index of the whole"
        else:
            every |= found
            whole = True
    made_by = (one["fastxavier.plan"] for one in metadata if "fastxavier.plan" in one)
    return plan_of_model(plan, every, layout, part="" if whole else part, made_by=made_by)
