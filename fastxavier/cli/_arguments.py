"""Arguments that `init` and `verify` have in common, and what is made of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from typing import get_args

from fastxavier._fans import Layout
from fastxavier.initializers import Resolved
from fastxavier.plans import PRESETS, Plan, PlanError, gpt2_plan, plan_named


def add_plan_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the plan and its layout, of which `plan_from` makes a Plan."""
    parser.add_argument(
        "plan",
        metavar="PLAN",
        help=f"a plan's file (.toml or .json), or a preset: {', '.join(PRESETS)}",
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
        help=f"tensors whose names match are {what}; may be repeated",
    )


def seed(text: str) -> int:
    """A seed as the user types it."""
    if not re.fullmatch("[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 0 up")
    return int(text)


def plan_from(name: str, tensor_names: Iterable[str], layout: Layout | None = None) -> Plan:
    """The plan of a file or a preset; the preset gpt2 for as many blocks as the names have."""
    if name == "gpt2":
        blocks = (re.match(r"(?:transformer\.)?h\.([0-9]+)\.", tensor) for tensor in tensor_names)
        return gpt2_plan(len({block[1] for block in blocks if block}) or 12)
    return plan_named(name, layout).of_model(tensor_names)


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
