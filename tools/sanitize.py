"""The C tests under the address, undefined-behaviour and thread sanitizers and, in brief, valgrind;
Python tests with a binding built that way. Each tool must first report deliberate faults.

    python tools/sanitize.py [address threads memory python]

No report is suppressed, and each ends the run.
"""

import argparse
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "sanitize"
CORE = sorted((ROOT / "src_c").rglob("*.c"))
FLAGS = ["-O1", "-g1", "-ffp-contract=off", "-fopenmp", f"-I{ROOT / 'src_c'}"]
KNOWN = [ROOT / "tests" / "data" / "philox4x32_10.txt", ROOT / "tests" / "data" / "golden.txt"]
LLVM = "19"
CLANG = f"clang-{LLVM}"
ADDRESS = ["-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
TEAM = {"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive"}  # more than there may be cores
ARCHER = Path(f"/usr/lib/llvm-{LLVM}/lib/libarcher.so")
CLANG_RT = f"libclang-rt-{LLVM}-dev"
OMP = (ARCHER, f"libomp-{LLVM}-dev")

# What meets the binding: memory of any layout, distributions, streams, threads, refusals.
PYTHON_TESTS = [
    "golden",
    "arrays",
    "shards",
    "streams",
    "threads",
    "errors",
    "exporters",
    "init",
    "bits",
]

# Fills past the end of an array, by the same library that the tests use.
PYTHON_FAULT = """
import ctypes, numpy as np
from fastxavier import _core
core, w = ctypes.CDLL(_core.__file__), np.empty(4096, "f4")
distribution = ctypes.create_string_buffer(1024)
core.fx_constant(distribution, ctypes.c_double(1))
core.fx_fill_run(ctypes.c_void_p(w.ctypes.data), 0, ctypes.c_int64(0), ctypes.c_int64(4097),
                 distribution, ctypes.c_uint64(0), ctypes.c_uint64(0), None)
"""


def run(command, **environment):
    """Show and run a command; exit unless its status is 0."""
    words = [*(f"{key}={value}" for key, value in environment.items()), *map(str, command)]
    print(f"+ {' '.join(words)}\n", end="", flush=True)  # at one go: several may run at once
    subprocess.run([*map(str, command)], env={**os.environ, **environment}, check=True)


def must_report(report, command, **environment):
    """Run a command with a deliberate fault, which must be reported."""
    print("+", *command, "# must report", report, flush=True)
    done = subprocess.run(
        [*map(str, command)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode == 0 or report not in done.stdout:
        sys.exit(f"{done.stdout}\nthe deliberate fault was not reported: {report}")


def need(*packages):
    """A command, or a file where there is no command, and the Debian package that has it."""
    missing = [
        package for what, package in packages if not (shutil.which(what) or Path(what).exists())
    ]
    if missing:
        sys.exit(f"missing, by their names in Debian: {' '.join(missing)}")


@functools.cache
def objects(folder, compiler, *flags):
    """One build of the core, on all processors: the kernels take a while to instrument."""
    place = BUILD / folder
    place.mkdir(parents=True, exist_ok=True)
    made = [place / f"{source.stem}.o" for source in CORE]
    command = [compiler, *FLAGS, *flags, "-c"]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda source, to: run([*command, source, "-o", to]), CORE, made))
    return made


def built(folder, compiler, *flags):
    """The C tests and the planted faults, linked with such a build."""
    core = objects(folder, compiler, *flags)
    parts = ("check", "fresh", "launches", "layouts", "threads", "xla_calls")
    programs = {"check": parts, "faults": ("faults",)}
    for program, names in programs.items():
        sources = [ROOT / "tests" / "c" / f"{name}.c" for name in names]
        run([compiler, *FLAGS, *flags, *sources, *core, "-lm", "-o", BUILD / folder / program])
    return [BUILD / folder / program for program in programs]


def address():
    """Bytes out of bounds, memory lost, arithmetic without meaning. GCC, since Clang takes minutes
    over the kernels' arithmetic."""
    need(("gcc", "gcc"))
    check, faults = built("address", "gcc", *ADDRESS)
    must_report("heap-buffer-overflow", [faults, "overrun"])
    must_report("detected memory leaks", [faults, "leak"])
    must_report("signed integer overflow", [faults, "overflow"])
    run([check, *KNOWN], **TEAM)


def threads():
    """Races. Clang's runtime and Archer, which tells the sanitizer what OpenMP orders: of GCC's
    runtime, whose waiting it cannot see, every report would be false."""
    need((CLANG, CLANG), (f"/usr/lib/llvm-{LLVM}/lib/clang/{LLVM}/lib/linux", CLANG_RT), OMP)
    check, faults = built("threads", CLANG, "-fsanitize=thread")
    ordered = {
        **TEAM,
        "OMP_TOOL_LIBRARIES": str(ARCHER),
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1",
    }
    # What AVX kernels store is too wide for it to see: it watches the plain ones.
    must_report("data race", [faults, "race"], **ordered, FASTXAVIER_ISA="scalar")
    run([check, *KNOWN], **ordered)


def memory():
    """Values used before they are set, which the others do not see, by the C tests in brief.
    Valgrind has no AVX-512, and takes OpenMP's waiting threads for memory possibly lost."""
    need(("gcc", "gcc"), ("valgrind", "valgrind"))
    check, faults = built("memory", "gcc")
    lost = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
    memcheck = ["valgrind", "-q", "--error-exitcode=1", *lost]
    must_report("uninitialised value", [*memcheck, faults, "uninitialised"])
    must_report("Invalid write", [*memcheck, faults, "overrun"])
    must_report("definitely lost", [*memcheck, faults, "leak"])
    run([*memcheck, check, *KNOWN, "brief"])


def python():
    """The binding, with the compiler whose runtime the interpreter can be given beforehand."""
    import numpy as np

    need(("gcc", "gcc"))
    package = BUILD / "python" / "fastxavier"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "fastxavier", package, ignore=shutil.ignore_patterns("*.so", "_core.c"))
    binding = package / "_core.c"
    run([sys.executable, "-m", "cython", "-3", ROOT / "fastxavier" / "_core.pyx", "-o", binding])
    includes = [f"-I{np.get_include()}", f"-I{sysconfig.get_path('include')}"]
    extension = package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    defined = "-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION"
    core = objects("address", "gcc", *ADDRESS)
    shared = ["-shared", defined, *includes, binding, *core, "-lm", "-o", extension]
    run(["gcc", *FLAGS, *ADDRESS, *shared])
    runtime = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    under = {
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter leaves its own memory to the system
        "PYTHONPATH": str(package.parent),
        "PYTHONSAFEPATH": "1",
    }
    must_report("heap-buffer-overflow", [sys.executable, "-c", PYTHON_FAULT], **under)
    tests = [ROOT / "tests" / f"test_{name}.py" for name in PYTHON_TESTS]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", ""]
    run([*pytest, "-n", "auto", "--maxprocesses", "4", *tests], **under)


PARTS = {part.__name__: part for part in (address, threads, memory, python)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part: {', '.join(sorted(unknown))}")
    for name in parts:
        begun = time.monotonic()
        PARTS[name]()
        print(f"no reports: {name}, {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
