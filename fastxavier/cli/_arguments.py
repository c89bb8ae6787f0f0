"""Arguments that several commands take, and what they mean. Called by `init` and `verify`."""

from __future__ import annotations

import argparse

from fastxavier.cli.init import add_skip_to, distributions_of, seed
from fastxavier.cli.init import plan_named as plan_from

__all__ = ["add_plan_to", "add_skip_to", "distributions_of", "plan_from", "seed"]


def add_plan_to(parser: argparse.ArgumentParser) -> None:
    """Add the plan, the first argument of a command."""
    parser.add_argument("plan", metavar="PLAN", help="a plan's file, or a preset's name")
