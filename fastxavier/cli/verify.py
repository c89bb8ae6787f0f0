"""fastxavier verify: whether a checkpoint holds draws of the distributions of a plan.

PLAN is a file (.toml or .json), or the name of a preset: default, gpt2, vit, resnet. Exit status 0
if all tensors are consistent with it, 1 if one is not. --json prints one object: {"file", "ok",
"failures": [NAME], "false_alarm", "seed", "mismatches": {NAME: TEXT}, "tensors": {NAME: {"ok",
"failures", "distribution", "dtype", "shape", "false_alarm", "level", "expected_std",
"measured_std", "findings"}}}.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from fastxavier._console import progress_bar, table
from fastxavier._verify.model import mismatches, verify_tensors
from fastxavier._verify.report import Verification
from fastxavier.checkpoints import (
    Tensor,
    check_fillable,
    mapped,
    shards,
    tensors_like,
    without,
)
from fastxavier.cli._arguments import (
    add_plan_to,
    add_skip_to,
    distributions_of,
    plan_from,
    seed,
)


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "verify", help="check a checkpoint against a plan", description=__doc__
    )
    add_plan_to(parser)
    parser.add_argument(
        "file", metavar="FILE", help="a .safetensors file, or the .index.json of a sharded one"
    )
    parser.add_argument(
        "--like",
        metavar="FILE",
        help="names, dtypes and shapes that the tensors must have: a .safetensors file, the "
        ".index.json of a sharded one, or a list in .toml",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        help="compare with the exact values that init draws with this seed",
    )
    parser.add_argument(
        "--false-alarm",
        type=probability,
        default=1e-6,
        metavar="A",
        help="probability with which a file that is right may fail (default: 1e-6)",
    )
    add_skip_to(parser, "not checked")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def probability(text: str) -> float:
    """A probability as it is typed."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Check every tensor; print a row for each, and say whether all are right."""
    files = shards(options.file)
    every = {name: one for header in files.values() for name, one in header.tensors.items()}
    held = without(every, options.skip)
    wrong = {}
    if options.like is not None:
        listed = without(tensors_like(options.like), options.skip)
        wrong = mismatches({name: one[:2] for name, one in held.items()}, listed)
    tensors = {name: one for name, one in held.items() if name not in wrong}
    plan = plan_from(options.plan, held, options.layout)
    distributions = distributions_of(plan, {name: one.shape for name, one in tensors.items()})
    for name, tensor in tensors.items():
        check_fillable(name, tensor.dtype, tensor.shape, distributions[name])

    with progress_bar("verifying", sum(one.nbytes for one in tensors.values())) as show:
        checked = 0

        def done(name: str) -> None:
            nonlocal checked
            checked += tensors[name].nbytes
            show(checked)

        arrays = (
            (name, array)
            for file in files
            for name, array in mapped(file).items()
            if name in tensors
        )
        report = verify_tensors(arrays, distributions, options.false_alarm, options.seed, done)
    as_held = {name: as_in_file(one, tensors[name]) for name, one in report.tensors.items()}
    report = replace(report, tensors=as_held, mismatches=wrong)
    if options.json:
        print(json.dumps({"file": options.file, **report.asdict()}))
    else:
        table(options.file, report.head, report.rows)
        print(report.verdict, report.legend, sep="\n")
    return 0 if report.ok else 1


def as_in_file(report: Verification, tensor: Tensor) -> Verification:
    """The report with the dtype and shape of a tensor that was compared as bytes."""
    if tensor.dtype == "F4" or "_" in tensor.dtype:
        return replace(report, dtype=tensor.dtype, shape=tensor.shape)
    return report
