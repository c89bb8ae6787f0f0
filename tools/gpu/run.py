"""All checks of a machine with an NVIDIA GPU, and the benchmark.

    python tools/gpu/run.py                   # everything; writes build/gpu.json and .svg
    python tools/gpu/run.py graph layouts     # only these
    python tools/gpu/run.py --list

`make gpu` calls it with what it needs installed. A check that fails ends the run with a message;
what is missing, such as compute-sanitizer, is reported as skipped.
"""

import argparse
import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]

import checks  # noqa: E402
import memory  # noqa: E402
import picture  # noqa: E402
import speed  # noqa: E402

import fastxavier as fx  # noqa: E402
from fastxavier._cuda.driver import driver  # noqa: E402

SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")


def sanitizers():
    """compute-sanitizer's four tools over the check `small`."""
    program = shutil.which("compute-sanitizer")
    if program is None:
        print(
            "skipped sanitizers: compute-sanitizer is not installed (it comes with CUDA's toolkit)"
        )
        return 0
    for tool in SANITIZERS:
        command = [program, f"--tool={tool}", "--error-exitcode=9", sys.executable, __file__]
        if subprocess.run([*command, "small"], check=False).returncode:
            raise checks.FailedError(f"compute-sanitizer's {tool} found errors")
    return len(SANITIZERS)


def benchmark(path):
    """Measure, print, and write a JSON file and a picture beside it."""
    found = speed.measured()
    for one in found["rows"]:
        case = f"{one['library']:12} {one['distribution']:10} {one['dtype']:9}"
        print(f"{case} {one['gb_per_s']:9,.0f} GB/s")
    for library, reason in found["skipped"].items():
        print(f"skipped {library}: {reason}")
    print(f"GPT-2 small: {found['gpt2_small']}")
    info = fx.info().asdict()
    when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"when": when, "machine": info, **found}, indent=1) + "\n")
    device = driver().devices()[0], driver().architecture(0)
    picture.draw(found["rows"], *device, memory.REPETITIONS, path.with_suffix(".svg"))


def main():
    parts = {check.__name__: check for check in (*checks.CHECKS, checks.small, sanitizers)}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="some of them, or benchmark; by default all")
    parser.add_argument("--list", action="store_true", help="print the names of all parts")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build" / "gpu.json")
    options = parser.parse_args()
    if options.list:
        print(*parts, "benchmark", sep="\n")
        return
    unknown = set(options.parts) - {*parts, "benchmark"}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; --list prints their names")
    memory.use(0)  # an error here says what is missing
    print(fx.info(), flush=True)
    for name in options.parts or [one for one in (*parts, "benchmark") if one != "small"]:
        begin = time.perf_counter()
        try:
            done = benchmark(options.json) if name == "benchmark" else parts[name]()
        except checks.FailedError as error:
            sys.exit(f"FAILED {name}: {error}")
        detail = "" if done is None else f": {done} cases"
        print(f"passed {name}{detail}, {time.perf_counter() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
