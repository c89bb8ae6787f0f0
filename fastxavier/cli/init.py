"""fastxavier init: a safetensors file of freshly drawn tensors, from a plan.

PLAN is a file (.toml or .json), or one of the ready-made: default, gpt2, vit, resnet. The file
appears whole, or not at all, also after Ctrl-C or SIGTERM. --json prints one object: {"file",
"seed", "bytes", "seconds", "tensors": {NAME: {"dtype", "shape", "distribution"}}}.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastxavier._console import progress_bar, table
from fastxavier.checkpoints import init_checkpoint, nbytes, tensors_like, without
from fastxavier.plans import AnyDistribution, Plan, PlanError, Rule
from fastxavier.plans.presets import PLANS, gpt2_plan

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "init", help="make a checkpoint of fresh weights", description=__doc__
    )
    parser.add_argument("plan", metavar="PLAN", help="a plan's file, or a ready-made one's name")
    parser.add_argument(
        "--like",
        metavar="FILE",
        required=True,
        help="names, dtypes and shapes: a .safetensors file, the .index.json of a sharded one, or "
        "a list in .toml",
    )
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the file to make")
    parser.add_argument("--seed", type=seed, help="an integer from 0 up (default: a fresh one)")
    add_skip_to(parser, "left out")
    parser.add_argument("--threads", type=int, help="at most so many (default: what pays)")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)


def add_skip_to(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that says of which tensors the plan knows nothing."""
    parser.add_argument(
        "--skip",
        metavar="GLOB",
        action="append",
        default=[],
        help=f"tensors so named are {what}; may be given again",
    )


def seed(text: str) -> int:
    """A seed as it is typed."""
    if not re.fullmatch("[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no integer from 0 up")
    return int(text)


def plan_named(name: str, tensors: Iterable[str]) -> Plan:
    """The plan of a file or a ready-made one; GPT-2's is as deep as the tensors say."""
    if name == "gpt2":
        blocks = (re.match(r"(?:transformer\.)?h\.([0-9]+)\.", tensor) for tensor in tensors)
        return gpt2_plan(len({block[1] for block in blocks if block}) or 12)
    if name in PLANS:
        return PLANS[name]()
    if not Path(name).suffix and not Path(name).exists():
        near = difflib.get_close_matches(name, PLANS, 1)
        raise PlanError(
            f"plan {name!r} is no file and none of the ready-made ones, {', '.join(PLANS)}"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return Plan.load(name)


def distributions_of(
    plan: Plan, tensors: Mapping[str, tuple[int, ...]]
) -> dict[str, AnyDistribution]:
    """The distribution of each tensor, by its shape; of one that has none, what can be done."""
    distributions = {}
    for name, shape in tensors.items():
        try:
            distributions[name] = plan.distribution(name, shape)
        except PlanError as error:
            if plan.rule_for(name, len(shape)):
                raise
            raise PlanError(f"{error}, --skip GLOB would leave it out") from None
    return distributions


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the program as an exception, after which files are cleared up."""

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one would end the clearing up
        sys.exit(128 + number)

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def run(options: argparse.Namespace) -> int:
    """Make the file, and say what is in it."""
    tensors = without(tensors_like(options.like), options.skip)
    plan = plan_named(options.plan, tensors)
    distributions_of(plan, {name: shape for name, (_, shape) in tensors.items()})
    chosen = secrets.randbits(53) if options.seed is None else options.seed  # a double holds it
    output = Path(options.output)
    start = time.perf_counter()
    total = sum(nbytes(name, *kind) for name, kind in tensors.items())
    with terminable(), progress_bar(f"filling {output.name}", total) as show:
        init_checkpoint(
            output,
            plan,
            options.like,
            seed=chosen,
            skip=options.skip,
            threads=options.threads,
            progress=lambda done: show(round(done * total)),
        )
    seconds = time.perf_counter() - start
    size = output.stat().st_size
    if options.json:
        print(json.dumps(as_json(options.output, plan, tensors, chosen, size, seconds)))
        return 0
    what = f"{len(tensors)} tensors, {size / 1e6:,.1f} MB, in {seconds:.2f} s, seed {chosen}"
    table(f"{output}: {what}", ("rule", "tensors", "values"), by_rule(plan, tensors))
    return 0


def as_json(
    file: str, plan: Plan, tensors: Tensors, chosen: int, size: int, seconds: float
) -> dict[str, Any]:
    """What --json prints."""
    return {
        "file": file,
        "seed": chosen,
        "bytes": size,
        "seconds": seconds,
        "tensors": {
            name: {
                "dtype": dtype,
                "shape": shape,
                "distribution": repr(plan.distribution(name, shape)),
            }
            for name, (dtype, shape) in tensors.items()
        },
    }


def by_rule(plan: Plan, tensors: Tensors) -> list[tuple[str, ...]]:
    """A row for each rule that was used: its scheme, and how much started by it."""
    counts: dict[Rule, list[int]] = {}
    for name, (_, shape) in tensors.items():
        rule = plan.rule_for(name, len(shape))
        assert rule is not None  # or the plan had no distribution for the tensor
        counts.setdefault(rule, []).append(math.prod(shape))
    return [
        (
            " ".join([rule.scheme, *(f"{key}={value}" for key, value in rule.settings.items())]),
            f"{len(counts[rule])}",
            f"{sum(counts[rule]):,}",
        )
        for rule in plan.rules
        if rule in counts
    ]
