"""fastxavier verify: whether the tensors of a checkpoint are draws of the distributions of a plan.

Exit status 0 if all are, 1 if one is not. --json prints one object: {"file", "ok", "false_alarm",
"failures": [NAME], "tensors": {NAME: {"ok", "failures", "distribution", "dtype", "shape"}}}; a tensor that
was drawn also has the "false_alarm" it was allowed, and "level" and "findings".
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from numpy.typing import NDArray

from fastxavier._console import progress_bar, table
from fastxavier._verify import verify
from fastxavier.checkpoints import DRAWN, Tensor, check_fillable, mapped, shards, without
from fastxavier.cli._arguments import add_skip_to, distributions_of, plan_from
from fastxavier.distributions import Constant
from fastxavier.plans import AnyDistribution

CHUNK = 1 << 22  # values compared at a time


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "verify", help="check a checkpoint against a plan", description=__doc__
    )
    parser.add_argument(
        "file", metavar="FILE", help="a .safetensors file, or the .index.json of a sharded one"
    )
    parser.add_argument(
        "--plan", metavar="PLAN", required=True, help="a plan's file, or a ready-made one's name"
    )
    parser.add_argument(
        "--false-alarm",
        type=chance,
        default=1e-6,
        metavar="A",
        help="chance that a file which is right fails (default: 1e-6)",
    )
    add_skip_to(parser, "not checked")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)


def chance(text: str) -> float:
    """A probability as it is typed."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Look at every tensor; print a row for each, and say whether all are right."""
    files = shards(options.file)
    held = {name: one for header in files.values() for name, one in header.tensors.items()}
    tensors = without(held, options.skip)
    plan = plan_from(options.plan, tensors)
    distributions = distributions_of(plan, {name: tensor.shape for name, tensor in tensors.items()})
    for name, tensor in tensors.items():
        check_fillable(name, tensor.dtype, distributions[name])
    share = options.false_alarm / max(1, len(tensors))
    found: dict[str, dict[str, Any]] = {}
    done = 0
    with progress_bar("verifying", sum(tensor.nbytes for tensor in tensors.values())) as show:
        for file in files:
            for name, array in without(mapped(file), options.skip).items():
                found[name] = verdict(array, tensors[name], distributions[name], share)
                done += tensors[name].nbytes
                show(done)
    failures = [name for name, one in found.items() if not one["ok"]]
    if options.json:
        verdicts = {"ok": not failures, "false_alarm": options.false_alarm, "failures": failures}
        print(json.dumps({"file": options.file, **verdicts, "tensors": found}))
    else:
        table(options.file, HEAD, [row(name, one) for name, one in found.items()])
        count = f"{len(failures)} of {len(found)} tensors" if failures else f"{len(found)} tensors"
        print(f"FAILED: {count}" if failures else f"ok: {count}")
    return 1 if failures else 0


def verdict(
    array: NDArray[Any], tensor: Tensor, distribution: AnyDistribution, false_alarm: float
) -> dict[str, Any]:
    """What --json prints of a tensor."""
    kind = {"distribution": repr(distribution), "dtype": tensor.dtype, "shape": list(tensor.shape)}
    if array.size == 0:
        return {"ok": True, "failures": [], **kind}
    if tensor.dtype in DRAWN:
        return {**verify(array, distribution, false_alarm=false_alarm).asdict(), **kind}
    value = 1 if distribution == Constant(1.0) else 0
    flat = array.reshape(-1)
    same = all((flat[at : at + CHUNK] == value).all() for at in range(0, flat.size, CHUNK))
    return {"ok": same, "failures": [] if same else ["values"], **kind}


HEAD = ("tensor", "shape", "dtype", "distribution", "mean z", "variance z", "verdict")


def row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    """A tensor's row of the table."""
    findings = found.get("findings", {})
    scores = [findings.get(key, {}).get("z") for key in ("mean", "variance")]
    return (
        name,
        "x".join(map(str, found["shape"])) or "scalar",
        found["dtype"],
        found["distribution"],
        *("" if score is None else f"{score:+.2f}" for score in scores),
        "ok" if found["ok"] else f"FAILS: {', '.join(found['failures'])}",
    )
