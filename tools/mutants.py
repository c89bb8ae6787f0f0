"""Change the package in one small place at a time, and print the changes that no test notices.

    python tools/mutants.py [MODULE ...] [--sample N] [--seed S]

MODULE is a file such as fastxavier/_fans.py, or src_c for the table of changes to the C core;
without any, all of them, which takes a day. `--sample 200` draws 200 of the changes to Python at
random, the same ones for the same seed; of the C core all are tried. The changes to Python are
cosmic-ray's. All happens in a copy under build/mutants. Called by `make mutants`. The exit status
is 0 whatever is found, since some changes make no difference.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "mutants"
TIME_LIMIT = 600  # seconds, for what is not changed

KINDS = re.compile(
    r"core/(Replace(Binary|Comparison)Operator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul"
    r"|Pow_Mul|Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is)"
    r"|ReplaceUnaryOperator_Delete_\w+|AddNot|Replace(True|False|And|Or|Break|Continue)With\w+"
    r"|NumberReplacer|ZeroIterationForLoop)"
)

# What tests a module, the quickest first: for the first pattern that its path matches.
TESTS = [
    (r"_fans", "fans scaling"),
    (r"_scaling|initializers|_cases", "scaling initializer* in_place gains float_modes"),
    (r"gains", "gains"),
    (r"distributions", "distributions float_modes"),
    (r"_streams", "streams processes"),
    (r"fastxavier/torch/", "torch_init torch_accelerate torch_model torch_shards"),
    (r"fastxavier/_cuda/", "cuda_arrays cuda_host cuda_compile"),
    (r"_torch", "torch_tensors verify_narrow"),
    (r"fastxavier/_dtypes|_moments", "dtypes moments init_report verify_parts"),
    (r"_validation", "validation errors streams distributions fans"),
    (r"structured/", "structured structured_shards structured_values float_modes"),
    (r"plans/", "depth plans plan_text presets init init_* prepare cli_depth"),
    (r"checkpoints/", "depth tensors_like checkpoint*"),
    (r"_verify/", "verify_parts verify_report verify_order verify*"),
    (r"bench", "bench bench_command"),
    (r"cli/|_console|_info", "demo cli_depth cli*"),
    (r"", "arrays draw in_place errors streams"),
]


class Change(NamedTuple):
    """A change to the C core that golden values do not notice."""

    file: str
    old: str
    new: str
    tests: str  # of Python, where make check-c does not notice it; may be empty


CHANGES = [
    Change("parallel.c", "return 1 + created / 2;", "return 1 + created;", "faults"),
    Change("parallel.c", "atomic_store(&forked, 1)", "atomic_store(&forked, 0)", ""),
    Change("parallel.c", "wanted < most ? wanted : most", "wanted", ""),
    Change("parallel.c", "now < w->next_poll", "1", ""),
    Change("fill.c", "f->l.count && !array->data", "0", ""),
    Change("fill.c", "options->threads < 0", "options->threads < -1", ""),
    Change("fill_all.c", "*failed = i;", "*failed = 0;", ""),
    Change("pages.c", "begin + page - 1)", "begin)", ""),
    Change("pages.c", "(state & 1) == 0", "(state & 1) != 0", ""),
    Change("fill.c", "2 * all->absent > all->pages", "0", "fresh_memory"),
    Change("layout.c", "return !all_zero;", "return 0;", ""),
    Change("layout.c", "n > FX_MAX_DIMS", "n > FX_MAX_DIMS + 1", ""),
    Change("layout.c", "extent > global[i] - start", "extent > global[i] - start + 1", ""),
    Change("layout.c", "span > MOST_BYTES", "span > 2 * MOST_BYTES", ""),
    Change("distribution.c", "low > FARTHEST_BEGIN", "low >= FARTHEST_BEGIN", "distributions"),
    Change("distribution.c", "return nearest >= x ?", "return nearest > x ?", "distributions"),
    Change("distribution.c", "65520", "65536", ""),
]


def make_copy():
    """A copy of the files that git knows, and of the built extension."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = listed.stdout.decode().split("\0")
    extensions = [str(path.relative_to(ROOT)) for path in ROOT.glob("fastxavier/_core*.so")]
    for name in filter(None, names + extensions):
        target = COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def succeeds(*command, limit=TIME_LIMIT):
    """Whether a command ends with status 0, in time: a change that makes tests hang is noticed."""
    environment = {**os.environ, "PYTHONPATH": str(COPY), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            command, cwd=COPY, env=environment, capture_output=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def passes(names, limit=TIME_LIMIT):
    """Whether the tests of these files pass."""
    found = [path for name in names.split() for path in sorted(COPY.glob(f"tests/test_{name}.py"))]
    files = dict.fromkeys(str(path.relative_to(COPY)) for path in found)
    command = (sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", *files)
    return succeeds(*command, limit=limit)


def mutants_of(code):
    """Each change of a module's code: the name of its kind, and which one of this kind it is."""
    nodes = list(ast_nodes(get_ast(code)))
    for name in filter(KINDS.fullmatch, operator_names()):
        positions = get_operator(name)().mutation_positions
        for occurrence in range(sum(len(list(positions(node))) for node in nodes)):
            yield name, occurrence


def difference(code, changed):
    """The first line that differs: its number, and how it reads."""
    pairs = zip(code.splitlines(), changed.splitlines(), strict=False)
    return next(
        (f"{number}: {new.strip()}" for number, (old, new) in enumerate(pairs, 1) if old != new),
        "the last line",
    )


def try_module(name, mutants):
    """Try changes of a module of Python: how many there were, and how many went unnoticed."""
    path, code = COPY / name, (COPY / name).read_text()
    tests = next(tests for pattern, tests in TESTS if re.search(pattern, name))
    start = time.monotonic()
    if not passes(tests):
        sys.exit(f"the tests of {name} fail without any change: {tests}")
    limit = 60 + 3 * (time.monotonic() - start)
    tried = survived = 0
    for kind, occurrence in mutants:
        changed = mutate_code(code, get_operator(kind)(), occurrence)
        if changed in (None, code):
            continue
        path.write_text(changed)
        tried += 1
        if passes(tests, limit):
            survived += 1
            kind = kind.removeprefix("core/")
            print(f"unnoticed: {name}:{difference(code, changed)}  ({kind})", flush=True)
    path.write_text(code)
    return tried, survived


def try_core():
    """Try the table of changes to the C core."""
    known = ["tests/data/philox4x32_10.txt", "tests/data/golden.txt"]
    survived = 0
    if not (succeeds("make", "-s", "build/check") and succeeds("build/check", *known)):
        sys.exit("the tests of src_c fail without any change")
    for change in CHANGES:
        path = COPY / "src_c" / change.file
        code = path.read_text()
        if code.count(change.old) != 1:
            sys.exit(f"{change.file} has {code.count(change.old)} times: {change.old}")
        path.write_text(code.replace(change.old, change.new))
        if not succeeds("make", "-s", "build/check"):
            sys.exit(f"{change.file} does not compile with {change.new}")
        unnoticed = succeeds("build/check", *known)
        if unnoticed and change.tests:
            build = (sys.executable, "setup.py", "build_ext", "--inplace", "--force")
            unnoticed = succeeds(*build) and passes(change.tests)
        if unnoticed:
            survived += 1
            print(f"unnoticed: src_c/{change.file}: {change.new}", flush=True)
        path.write_text(code)
    return len(CHANGES), survived


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    options = parser.parse_args()
    modules = options.modules or [
        *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("fastxavier/**/*.py")),
        "src_c",
    ]
    python = [name for name in modules if name != "src_c"]
    mutants = [(name, *one) for name in python for one in mutants_of((ROOT / name).read_text())]
    if options.sample is not None and options.sample < len(mutants):
        mutants = sorted(random.Random(options.seed).sample(mutants, options.sample))
    all_tried = all_survived = 0
    for name in modules:
        chosen = [one for file, *one in mutants if file == name]
        if not chosen and name != "src_c":
            continue
        make_copy()
        tried, survived = try_core() if name == "src_c" else try_module(name, chosen)
        print(f"{name}: {tried - survived} of {tried} changes noticed", flush=True)
        all_tried, all_survived = all_tried + tried, all_survived + survived
    print(f"together: {all_tried - all_survived} of {all_tried} changes noticed")


if __name__ == "__main__":
    main()
