"""Lines and branches of src_c/ that the C tests do not take: fails unless each is argued in ARGUED.

    python tests/coverage.py

A header is looked at once for each source that includes it, so the kernels once for each
instruction set. Nothing is inlined, so that a branch is counted as one, whoever takes it.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "coverage"
FLAGS = [
    "-O0",
    "--coverage",
    "-Dalways_inline=noinline",
    "-ffp-contract=off",
    "-fopenmp",
    f"-I{ROOT / 'src_c'}",
]
KNOWN = [HERE / "data" / "philox4x32_10.txt", HERE / "data" / "golden.txt"]

# File, beginning of a line, and why the C tests cannot take all of it.
ARGUED = []


def build_and_run(compiler):
    """The C tests, with counters; the folder has their counts afterwards."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for stale in BUILD.glob("*.gcda"):
        stale.unlink()
    objects = []
    for source in [*sorted((ROOT / "src_c").glob("*.c")), HERE / "c" / "check.c"]:
        objects.append(f"{source.stem}.o")
        subprocess.run([compiler, *FLAGS, "-c", source, "-o", objects[-1]], cwd=BUILD, check=True)
    subprocess.run([compiler, *FLAGS, *objects, "-lm", "-o", "check"], cwd=BUILD, check=True)
    subprocess.run(
        ["env", "OMP_NUM_THREADS=4", "OMP_WAIT_POLICY=passive", "./check", *KNOWN],
        cwd=BUILD,
        check=True,
    )


def counts(gcov):
    """(unit, file, line) to its copies, each the times it ran and those its branches were taken."""
    found = defaultdict(list)
    for data in sorted(BUILD.glob("*.gcda")):
        text = subprocess.check_output([gcov, "-b", "--json-format", "--stdout", data], cwd=BUILD)
        for file in json.loads(text)["files"]:
            path = Path(file["file"])
            if path.parent != ROOT / "src_c":
                continue
            for line in file["lines"]:
                taken = [branch["count"] for branch in line["branches"] if not branch["throw"]]
                found[data.stem, path.name, line["line_number"]].append((line["count"], taken))
    return found


def missing(copies):
    """What no copy takes, or "". A line's branches stand there as often as it has been inlined."""
    if not any(count for count, _ in copies):
        return "line"
    lists = [taken for _, taken in copies if taken]
    base = min(map(len, lists), default=0)
    taken = [False] * base
    for branches in lists:
        for i, count in enumerate(branches):
            taken[i % base] |= count > 0
    return f"{taken.count(False)} of {base} branches" if False in taken else ""


def main():
    build_and_run("gcc")
    unused, unargued, lines = list(ARGUED), [], counts("gcov")
    for (unit, file, number), copies in sorted(lines.items()):
        what = missing(copies)
        if not what:
            continue
        text = (ROOT / "src_c" / file).read_text().splitlines()[number - 1].strip()
        reasons = [row for row in ARGUED if row[0] == file and text.startswith(row[1])]
        unused = [row for row in unused if row not in reasons]
        if not reasons:
            unargued.append(f"{file}:{number} ({unit}): {what}: {text}")
    print(f"{len(lines)} lines, {len(ARGUED)} arguments")
    stale = [f"argued, but taken: {file}: {text}" for file, text, _ in unused]
    print(*unargued, *stale, sep="\n")
    sys.exit(1 if unargued or stale else 0)


if __name__ == "__main__":
    main()
