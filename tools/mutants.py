"""Change the package in one small place at a time, and print the changes that no test notices.

    python tools/mutants.py [MODULE ...] [--every N]

MODULE is a file such as fastxavier/_fans.py, or src_c for the table of changes to the C core;
without any, all of them, which takes hours. `--every 10` tries every tenth change of a module. The
changes to Python are cosmic-ray's. All happens in a copy under build/mutants. Called by
`make mutants`. The exit status is 0 whatever is found, since some changes make no difference.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "mutants"
TIME_LIMIT = 600  # seconds; a change that makes the tests hang is noticed

KINDS = re.compile(
    r"core/(Replace(Binary|Comparison)Operator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul"
    r"|Pow_Mul|Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is)"
    r"|ReplaceUnaryOperator_Delete_\w+|AddNot|Replace(True|False|And|Or|Break|Continue)With\w+"
    r"|NumberReplacer|ZeroIterationForLoop)"
)

# What tests a module: the first pattern that its path matches.
TESTS = [
    (r"_fans", "fans scaling"),
    (r"_scaling|initializers", "scaling initializers initializer_names gains float_modes"),
    (r"gains", "gains"),
    (r"distributions", "distributions float_modes"),
    (r"_streams", "streams processes"),
    (r"_torch", "torch_tensors verify_narrow"),
    (r"_dtypes|_moments", "dtypes moments init_report"),
    (r"_validation", "validation errors streams distributions fans"),
    (r"structured/", "structured structured_shards structured_values float_modes"),
    (r"plans/", "plans plan_text presets init init_memory init_parts init_report"),
    (r"checkpoints/", "checkpoints checkpoint_headers checkpoint_writing tensors_like"),
    (r"_verify/", "verify verify_narrow verify_order verify_parts verify_report"),
    (r"bench/", "bench bench_command"),
    (r"cli/|_console|_info", "cli cli_depth cli_output cli_signals cli_verify demo"),
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
    Change("fill.c", "*failed = i;", "*failed = 0;", ""),
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


def succeeds(*command):
    """Whether a command ends with status 0, in time."""
    environment = {**os.environ, "PYTHONPATH": str(COPY), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            command, cwd=COPY, env=environment, capture_output=True, timeout=TIME_LIMIT
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def tests_pass(names):
    """Whether the tests of these files pass."""
    files = [f"tests/test_{name}.py" for name in names.split()]
    return succeeds(sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", *files)


def mutants_of(code):
    """Each change of a module's code, as the code that it gives."""
    for name in filter(KINDS.fullmatch, operator_names()):
        occurrence = 0
        while (changed := mutate_code(code, get_operator(name)(), occurrence)) is not None:
            if changed != code:
                yield name.removeprefix("core/"), changed
            occurrence += 1


def difference(code, changed):
    """The first line that differs: its number, and how it reads."""
    pairs = zip(code.splitlines(), changed.splitlines(), strict=False)
    return next(
        (f"{number}: {new.strip()}" for number, (old, new) in enumerate(pairs, 1) if old != new),
        "the last line",
    )


def try_module(name, every):
    """Try the changes of a module of Python: how many there were, and how many went unnoticed."""
    path, code = COPY / name, (COPY / name).read_text()
    tests = next(tests for pattern, tests in TESTS if re.search(pattern, name))
    if not tests_pass(tests):
        sys.exit(f"the tests of {name} fail without any change: {tests}")
    tried = survived = 0
    for kind, changed in list(mutants_of(code))[::every]:
        path.write_text(changed)
        tried += 1
        if tests_pass(tests):
            survived += 1
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
            unnoticed = succeeds(*build) and tests_pass(change.tests)
        if unnoticed:
            survived += 1
            print(f"unnoticed: src_c/{change.file}: {change.new}", flush=True)
        path.write_text(code)
    return len(CHANGES), survived


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    modules = options.modules or [
        *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("fastxavier/**/*.py")),
        "src_c",
    ]
    for name in modules:
        make_copy()
        tried, survived = try_core() if name == "src_c" else try_module(name, options.every)
        print(f"{name}: {tried - survived} of {tried} changes noticed", flush=True)


if __name__ == "__main__":
    main()
