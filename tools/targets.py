"""Build the C tests for many machines, or with many compilers, and run it where that can be:
python tools/targets.py emulate | compilers [--skip-missing] [--without NAME]

Prints a line for each target and exits with 1 unless all results are those of the tables here. A
target whose tools are not installed is a failure too, unless --skip-missing.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

BUILD = pathlib.Path("build/targets").absolute()
KNOWN = ["tests/data/philox4x32_10.txt", "tests/data/golden.txt"]
PARTS = ("check", "fresh", "launches", "layouts", "threads", "xla_calls")
TESTS = [f"tests/c/{name}.c" for name in PARTS]
SOURCES = [*TESTS, *map(str, sorted(pathlib.Path("src_c").rglob("*.c")))]
FLAGS = ["-Wall", "-Wextra", "-ffp-contract=off", "-Isrc_c"]
DEADLINE = 900  # seconds, for one build and for one run

SAME_BITS = "same bits"
OTHER_BITS = "other bits"
REFUSED = "refused, with reason"
NOT_RUN = "compiled, not run"


@dataclasses.dataclass(frozen=True)
class Target:
    """What is built, how it is run, and the expected result."""

    name: str
    build: list[str]
    run: list[str]
    packages: dict[str, str]  # commands and files it needs, and the Debian packages that have them
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    isa: str = ""  # which the dispatcher must choose; empty: any
    expected: str = SAME_BITS

    def missing(self):
        """The packages that are not installed."""
        return {
            package
            for path, package in self.packages.items()
            if not (shutil.which(path) or os.path.exists(path))
        }


def check(name, compiler, flags, packages, runner=(), **rest):
    """The check program, from `compiler` with `flags`, under `runner`."""
    program = str(BUILD / "".join([compiler[-1], *flags]))
    build = [*compiler, *FLAGS, *flags, *SOURCES, "-lm", "-o", program]
    run = (
        []
        if rest.get("expected") == NOT_RUN
        else [*runner, program, *KNOWN, *(["brief"] if runner else [])]
    )
    return Target(name, build, run, packages, **rest)


# ---- make emulate ------------------------------------------------------------------------------

# name, prefix of its tools, Debian's name for it, qemu's, the implementation to be chosen
ARCHITECTURES = [
    ("AArch64", "aarch64-linux-gnu", "arm64", "aarch64", "neon"),
    ("s390x (big-endian)", "s390x-linux-gnu", "s390x", "s390x", "scalar"),
    ("riscv64", "riscv64-linux-gnu", "riscv64", "riscv64", "scalar"),
    ("ppc64le", "powerpc64le-linux-gnu", "ppc64el", "ppc64le", "scalar"),
]

# SandyBridge has AVX without AVX2 and FMA; qemu has no AVX-512.
X86_CPUS = {"Haswell": "avx2", "Nehalem": "sse2", "SandyBridge": "sse2"}

STATIC = ["-O2", "-static", "-fopenmp"]


def emulated():
    """Ages of x86-64 and architectures, under qemu's user emulation; and this machine itself.

    What takes longest comes first.
    """
    emulator = "qemu-x86_64-static"
    packages = {"gcc": "gcc", emulator: "qemu-user-static"}
    for cpu, isa in X86_CPUS.items():
        yield check(f"x86-64 {cpu}", ["gcc"], STATIC, packages, [emulator, "-cpu", cpu], isa=isa)
    for name, prefix, debian, qemu, isa in ARCHITECTURES:
        emulator = f"qemu-{qemu}-static"
        packages = {
            f"{prefix}-gcc": f"gcc-{prefix}",
            f"/usr/{prefix}/include/stdio.h": f"libc6-dev-{debian}-cross",
            emulator: "qemu-user-static",
        }
        built = [f"{prefix}-gcc"], STATIC, packages, [emulator]
        yield check(name, *built, isa=isa)
        if isa != "scalar":
            forced = {"FASTXAVIER_ISA": "scalar"}
            yield check(f"{name}, FASTXAVIER_ISA=scalar", *built, isa="scalar", environment=forced)
    yield check("this machine", ["gcc"], STATIC, packages)


# ---- make compilers ----------------------------------------------------------------------------

COMPILERS = {
    "gcc": {"gcc": "gcc"},
    "clang-19": {
        "clang-19": "clang-19",
        "/usr/lib/llvm-19/lib/clang/19/include/omp.h": "libomp-19-dev",
    },
}

RIGHT = [
    "-O0 -fopenmp",
    "-O1 -fopenmp",
    "-O2 -fopenmp",
    "-O3 -fopenmp",
    "-O3",
    "-O3 -march=haswell",
]
WRONG = ["-O3 -ffast-math", "-Ofast", "-O3 -ffinite-math-only"]
GCC_WRONG = ["-O3 -funsafe-math-optimizations"]  # for which clang has no macro

# Flags that change bits, which these tests see, although no macro tells src_c/exact.h of them.
UNSEEN = {"gcc": "-fsingle-precision-constant", "clang-19": "-funsafe-math-optimizations"}

# The systems that can be compiled for from here; what is built for the last runs here too.
ZIG_TARGETS = {
    "x86_64-macos": NOT_RUN,
    "aarch64-macos": NOT_RUN,
    "x86_64-windows-gnu": NOT_RUN,
    "aarch64-windows-gnu": NOT_RUN,
    "x86_64-linux-musl": SAME_BITS,
}

CFLAGS = "-Ofast -funsafe-math-optimizations -ffinite-math-only -march=haswell"

# What an interpreter finds that has imported the package as it was built.
IMPORTED = """
import pathlib, sys
sys.path[:0] = [sys.argv[1], "tests/support"]
import cases, fastxavier, golden
if not fastxavier.__file__.startswith(sys.argv[1]):
    sys.exit("another fastxavier was imported: " + fastxavier.__file__)
if sys.float_info.min / 2 == 0:
    sys.exit("FAILED: importing fastxavier flushes the process's subnormal numbers to zero")
rows = [*golden.HEAD.splitlines(), *(golden.line(*case) for case in cases.ALL)]
if rows != pathlib.Path("tests/data/golden.txt").read_text(encoding="ascii").splitlines():
    sys.exit("FAILED: golden values differ")
print("in use:", fastxavier._core.check_isa())
"""


def package(compiler):
    """The Python package, as setup.py builds it for a user who has such CFLAGS."""
    folder = BUILD / f"package-{compiler}"
    built = str(folder / "lib")
    return Target(
        f"setup.py with {compiler}, CFLAGS={CFLAGS}",
        [sys.executable, "setup.py", "build", f"--build-base={folder}", f"--build-lib={built}"],
        [sys.executable, "-c", IMPORTED, built],
        COMPILERS[compiler],
        environment={"CC": compiler, "CFLAGS": CFLAGS},
    )


def compiled():
    """Compilers, and flags that a user may force on."""
    for compiler, packages in COMPILERS.items():
        wrong = WRONG + (GCC_WRONG if compiler == "gcc" else [])
        for flags, expected in [*((f, SAME_BITS) for f in RIGHT), *((f, REFUSED) for f in wrong)]:
            name = f"{compiler} {flags}"
            yield check(name, [compiler], flags.split(), packages, expected=expected)
        yield package(compiler)
    for compiler, flag in UNSEEN.items():
        name = f"{compiler} -O3 {flag} (a fault, to be seen)"
        yield check(name, [compiler], ["-O3", flag], COMPILERS[compiler], expected=OTHER_BITS)
    for system, expected in ZIG_TARGETS.items():
        zig = [sys.executable, "-m", "ziglang", "cc", "-target", system]
        yield check(f"zig cc -target {system}", zig, ["-O2"], {}, expected=expected)


# ---- running -----------------------------------------------------------------------------------


def finished(command, environment):
    """A command's exit status and all it printed."""
    try:
        process = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
        )
    except subprocess.TimeoutExpired:
        return -1, f"not done after {DEADLINE} s: {' '.join(command)}"
    return process.returncode, process.stdout


def outcome(target, build_status, build_output):
    """The result, and the output that shows it."""
    if build_status != 0:
        reason = re.search(r'error: (#error )?"fastxavier', build_output)
        return REFUSED if reason else "does not compile", build_output
    if not target.run:
        return NOT_RUN, build_output
    status, output = finished(target.run, target.environment)
    if status != 0:
        return OTHER_BITS if "FAILED" in output else f"ended with status {status}", output
    return SAME_BITS, output


def print_line(target, result, output, width):
    """Print the target's line, and all its output if the result is not the expected one."""
    match = re.search(r"^in use: (\w+)", output, re.MULTILINE)
    isa = match[1] if match else "-"
    right = result == target.expected and target.isa in ("", isa)
    print(f"{target.name:{width}}  {isa:8}{result}", flush=True)
    if not right:
        print(f"FAILED: that should be: {target.isa} {target.expected}".replace("  ", " "))
        print(output)
    return right


def report(targets):
    """Build and run them all: how many had a wrong result, and how many could not be tried."""
    width = max(len(target.name) for target in targets)
    print(f"{'target':{width}}  {'chosen':8}result")
    present = [target for target in targets if not target.missing()]
    distinct = {tuple(target.build): target for target in present}
    wrong, seen = 0, ""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        built = pool.map(lambda t: finished(t.build, t.environment), distinct.values())
        built = dict(zip(distinct, built, strict=True))
        outcomes = pool.map(lambda t: outcome(t, *built[tuple(t.build)]), present)
        for target, (result, output) in zip(present, outcomes, strict=True):
            wrong += not print_line(target, result, output, width)
            seen += output
    for target in targets:
        if target.missing():
            packages = ", ".join(sorted(target.missing()))
            print(f"{target.name:{width}}  skipped: not installed: {packages}")
    if "avx512" not in seen:
        print(f"{'AVX-512 kernels':{width}}  skipped: no target ran them, qemu has none")
    return wrong, len(targets) - len(present)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("what", choices=TABLES)
    parser.add_argument(
        "--skip-missing", action="store_true", help="missing tools are not a failure"
    )
    parser.add_argument("--without", metavar="NAME", help="leave out the target of this name")
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    targets = [one for one in TABLES[arguments.what]() if one.name != arguments.without]
    wrong, skipped = report(targets)
    print(f"{len(targets)} targets, {wrong} wrong, {skipped} skipped")
    return wrong > 0 or (skipped > 0 and not arguments.skip_missing)


TABLES = {"emulate": emulated, "compilers": compiled}

if __name__ == "__main__":
    sys.exit(main())
