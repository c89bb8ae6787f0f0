"""fastxavier verify: whether a checkpoint holds draws of the distributions of a plan.

PLAN is a file (.toml or .json), or the name of a preset: default, gpt2, llama, vit, resnet. Exit
status 0 if all tensors are consistent with it, 1 if one is not. --json prints one object: {"file",
"ok", "failures": [NAME], "false_alarm", "seed", "mismatches": {NAME: TEXT}, "not_judged": {NAME:
TEXT}, "tensors": {NAME: {"ok", "failures", "distribution", "dtype", "shape", "false_alarm",
"level", "expected_std", "measured_std", "findings"}}}. A tensor is not judged if its distribution
follows from the number of blocks of the model and the file does not show it: --layers says it.
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
    dtype_name,
    mapped,
    shards,
    tensors_like,
    without,
)
from fastxavier.cli._arguments import (
    add_plan_to,
    add_skip_to,
    check_left,
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
    listed = {} if options.like is None else tensors_like(options.like)
    held = without(every, options.skip)
    check_left({**held, **without(listed, options.skip)}, {**every, **listed}, options.skip)
    wrong = {}
    if options.like is not None:
        wrong = mismatches(
            {name: (dtype_name(one.dtype), one.shape) for name, one in held.items()},
            {
                name: (dtype_name(dtype), shape)
                for name, (dtype, shape) in without(listed, options.skip).items()
            },
        )
    chosen = plan_from(
        options,
        {**every, **listed},
        filter(None, (options.file, options.like)),
        (header.metadata for header in files.values()),
    )
    right = {name: one for name, one in held.items() if name not in wrong}
    not_judged = {
        name: chosen.unknown for name, one in right.items() if chosen.by_depth(name, one.shape)
    }
    tensors = {name: one for name, one in right.items() if name not in not_judged}
    if not tensors and not wrong:
        raise ValueError(f"no tensor can be judged: {chosen.unknown}; --layers N says how many")
    distributions = distributions_of(
        chosen.plan, {name: one.shape for name, one in tensors.items()}
    )
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
    report = replace(report, tensors=as_held, mismatches=wrong, not_judged=not_judged)
    if options.json:
        print(json.dumps({"file": options.file, **report.asdict()}))
        return 0 if report.ok else 1
    table(options.file, report.head, report.rows)
    print(report.verdict)
    if not_judged:
        print(f"{report.left_out} --layers N says it.")
    print(report.legend)
    return 0 if report.ok else 1


def as_in_file(report: Verification, tensor: Tensor) -> Verification:
    """The report with the tensor's own dtype and shape: some are compared as bytes."""
    return replace(report, dtype=dtype_name(tensor.dtype), shape=tensor.shape)
