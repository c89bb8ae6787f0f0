"""fastxavier init: write a safetensors file of initial weights, from a plan."""

from __future__ import annotations

import argparse
import json
import math
import secrets
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fastxavier._console import progress_bar, table
from fastxavier.checkpoints import dtype_name, init_checkpoint, nbytes, without
from fastxavier.checkpoints._like import tensors_and_metadata
from fastxavier.cli._arguments import (
    add_plan_to,
    add_skip_to,
    check_left,
    distributions_of,
    plan_from,
    seed,
)
from fastxavier.cli._signals import signals_as_exceptions
from fastxavier.plans import Plan, Rule
from fastxavier.plans._names import named
from fastxavier.plans._report import unused

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]

DESCRIPTION = """
Write a safetensors file of initial weights, with the names, dtypes and shapes of another file or a
list. The file appears when it is complete, or not at all, also after Ctrl-C or another signal. Its
metadata have the seed and the plan. --json prints one object: {"file", "seed", "bytes", "seconds",
"tensors": {NAME: {"dtype", "shape", "distribution"}}, "unused_rules"}. Unused rules are those of
the plan, presets' left out, that initialized no tensor.
"""
HEAD = ("names", "ndim", "initializer", "tensors", "values")
LEGEND = (
    "One row for each rule of the plan that was used. names: its patterns, those that match a "
    "tensor;\nndim: the number of axes that it asks for; tensors, values: how many it initialized."
)


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "init", help="write a checkpoint of initial weights", description=DESCRIPTION
    )
    add_plan_to(parser)
    parser.add_argument(
        "--like",
        metavar="FILE",
        required=True,
        help="names, dtypes and shapes: a .safetensors file, the .index.json of a sharded one, or "
        "a list in .toml",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=safetensors_file,
        required=True,
        help="the file to write; its name ends in .safetensors",
    )
    parser.add_argument("--seed", type=seed, help="an integer from 0 up (default: a random one)")
    add_skip_to(parser, "left out")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="at most N threads (default: as many as make it faster)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=run)


def safetensors_file(text: str) -> str:
    """The name of the file to write, refused if `verify` would refuse it."""
    ending = Path(text).suffix
    if ending != ".safetensors":
        found = f"ends in {ending!r}" if ending else "has no ending"
        raise argparse.ArgumentTypeError(
            f"{text!r} {found}; it must end in '.safetensors', the format of the file, by which "
            "verify and other programs know it"
        )
    return text


def run(options: argparse.Namespace) -> int:
    """Write the file, and print what is in it."""
    listed, metadata = tensors_and_metadata(options.like)
    tensors = without(listed, options.skip)
    check_left(tensors, listed, options.skip)
    chosen = plan_from(options, listed, [options.like], [metadata])
    plan = chosen.plan
    for name, (_, shape) in tensors.items():
        chosen.check(name, shape, "--layers N says it")
    distributions = distributions_of(plan, {name: shape for name, (_, shape) in tensors.items()})
    # Below 2**53, which JSON readers that have only doubles keep.
    key = secrets.randbits(53) if options.seed is None else options.seed
    output = Path(options.output)
    start = time.perf_counter()
    total = sum(nbytes(name, *kind) for name, kind in tensors.items())
    with signals_as_exceptions(), progress_bar(f"writing {output.name}", total) as show:
        report = init_checkpoint(
            output,
            plan,
            options.like,
            seed=key,
            skip=options.skip,
            threads=options.threads,
            progress=lambda done: show(round(done * total)),
        )
    seconds = time.perf_counter() - start
    size = output.stat().st_size
    if options.json:
        found = {
            "file": options.output,
            "seed": key,
            "bytes": size,
            "seconds": seconds,
            "tensors": {
                name: {
                    "dtype": dtype_name(dtype),
                    "shape": shape,
                    "distribution": repr(distributions[name]),
                }
                for name, (dtype, shape) in tensors.items()
            },
            "unused_rules": [repr(rule) for rule in report.unused_rules],
        }
        print(json.dumps(found))
        return 0
    what = f"{len(tensors)} tensors, {size / 1e6:,.1f} MB, in {seconds:.2f} s, seed {key}"
    legend = "\n".join([LEGEND, *unused(report.unused_rules)])
    table(f"{output}: {what}", HEAD, rows(plan, tensors), legend)
    return 0


def rows(plan: Plan, tensors: Tensors) -> list[tuple[str, ...]]:
    """A row for each rule that was used, in the order of the plan; its columns are `HEAD`."""
    used: dict[Rule, list[str]] = {}
    for name, (_, shape) in tensors.items():
        rule = plan.rule_for(name, len(shape))
        assert rule is not None  # or the plan had no distribution for the tensor
        used.setdefault(rule, []).append(name)
    return [
        (
            " ".join(
                glob
                for glob in dict.fromkeys(rule.names)
                if any(fnmatchcase(name, glob) for name in used[rule])
            ),
            "any" if rule.ndim is None else str(rule.ndim),
            initializer(rule),
            f"{len(used[rule])}",
            f"{sum(math.prod(tensors[name][1]) for name in used[rule]):,}",
        )
        for rule in dict.fromkeys(plan.rules)
        if rule in used
    ]


def initializer(rule: Rule) -> str:
    """The initializer of a rule and its settings, numbers to 6 digits."""
    name, settings = named(rule.initializer)
    numbers = [
        f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in settings.items()
    ]
    return " ".join([name, *numbers])
