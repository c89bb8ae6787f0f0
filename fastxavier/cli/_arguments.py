"""Arguments that `init` and `verify` have in common, and what is made of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable, Mapping
from typing import get_args

from fastxavier._fans import Layout
from fastxavier.checkpoints import check_skip, plan_of_files
from fastxavier.initializers import Resolved
from fastxavier.plans import PRESETS, Plan, PlanError, gpt2_plan
from fastxavier.plans._depth import ChosenPlan


def add_plan_to(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument for the plan, and the options that presets need."""
    parser.add_argument(
        "plan",
        metavar="PLAN",
        help=f"a plan's file (.toml or .json), or a preset: {', '.join(PRESETS)}",
    )
    parser.add_argument(
        "--layers",
        type=positive,
        metavar="N",
        help="blocks of the whole model, for the preset gpt2 (default: those that the names of the "
        "tensors show, also of the ones that --skip leaves out)",
    )
    parser.add_argument(
        "--layout",
        choices=get_args(Layout),
        help="where weights have inputs and outputs, if the plan does not say (default: by name, a "
        "kernel as in Flax and Keras, a weight as in torch)",
    )


def add_skip_to(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option for tensors that the plan does not cover; `what` says what becomes of them."""
    parser.add_argument(
        "--skip",
        metavar="GLOB",
        action="append",
        default=[],
        help=f"tensors whose names match are {what}; may be repeated; one must match",
    )


def seed(text: str) -> int:
    """A seed as the user types it."""
    if not re.fullmatch("[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 0 up")
    return int(text)


def positive(text: str) -> int:
    """Read an integer from 1 up."""
    if not re.fullmatch("[0-9]+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 1 up")
    return int(text)


def check_left(left: Collection[str], names: Collection[str], skip: list[str]) -> None:
    """Refuse a pattern that matches none of the names, and patterns that leave none."""
    check_skip(skip, names)
    if not left:
        raise ValueError("--skip leaves no tensor" if names else "there is no tensor in the file")


def plan_from(
    options: argparse.Namespace,
    names: Iterable[str],
    files: Iterable[str],
    metadata: Iterable[Mapping[str, str]],
) -> ChosenPlan:
    """The plan of a file or a preset, by what the user says; else as of `plan_of_files`."""
    if options.layers is None:
        return plan_of_files(options.plan, names, files, metadata, options.layout)
    if options.plan != "gpt2":
        raise ValueError(f"--layers is for the preset gpt2; the plan is {options.plan!r}")
    return ChosenPlan(gpt2_plan(options.layers))


def distributions_of(plan: Plan, tensors: Mapping[str, tuple[int, ...]]) -> dict[str, Resolved]:
    """The distribution of each tensor; if one has no rule, the error also says how to skip it."""
    distributions = {}
    for name, shape in tensors.items():
        try:
            distributions[name] = plan.distribution(name, shape)
        except PlanError as error:
            if plan.rule_for(name, len(shape)):
                raise
            raise PlanError(f"{error}; --skip GLOB would leave it out") from None
    return distributions
