"""Lines and branches of src_c/ that the C tests do not take: fails unless a comment says why.

    python tools/core_coverage.py

A header is examined once for each source that includes it, so the kernels once for each
instruction set. Nothing is optimised or inlined, so that each branch is counted once; and counters
are atomic, since gcov computes one of the branches as a sum less the others.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "coverage"
INCLUDE = f"-I{ROOT / 'src_c'}"
COUNTED = [
    "-O0",
    "--coverage",
    "-fprofile-update=atomic",
    "-Dalways_inline=noinline",
    "-Wno-attributes",
    "-ffp-contract=off",
    "-fopenmp",
    INCLUDE,
]
# Not counted: with counters, GCC would reset those of a forked child. It writes them itself.
TESTS = ["-O2", "-fopenmp", "-DGCOV", INCLUDE]
KNOWN = [ROOT / "tests" / "data" / "philox4x32_10.txt", ROOT / "tests" / "data" / "golden.txt"]

# One line above a line of src_c/, for its branches and for lines indented under it that never run.
# In a header it may be for some of the sources that include it. "Perhaps": the machine or chance
# decides.
ARGUMENT = re.compile(
    r"\s*/\* Untaken by tests(?P<perhaps>, perhaps)?"
    r"(?: of (?P<units>isa_\w+(?:, isa_\w+)*))?: .*\*/$"
)


class Argument(NamedTuple):
    """A comment that says why the tests cannot take some lines or branches."""

    file: str
    lines: range
    units: frozenset[str]
    perhaps: bool

    def excuses(self, unit, file, number, what):
        """Whether it is about what is missing at that line."""
        here = file == self.file and number in self.lines and (not self.units or unit in self.units)
        return here and (number == self.lines[0] or what == "line")


def build_and_run():
    """Build and run the C tests with counters, which are left in the folder: which kernels ran."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for stale in BUILD.glob("*.gc*"):
        stale.unlink()
    flags = dict.fromkeys(sorted((ROOT / "src_c").rglob("*.c")), COUNTED)
    names = ("check", "fresh", "launches", "layouts", "threads", "xla_calls")
    flags |= {ROOT / "tests" / "c" / f"{name}.c": TESTS for name in names}
    for source, how in flags.items():
        command = ["gcc", *how, "-c", source, "-o", f"{source.stem}.o"]
        subprocess.run(command, cwd=BUILD, check=True)
    objects = [f"{source.stem}.o" for source in flags]
    link = ["gcc", "--coverage", "-fopenmp", *objects, "-lm", "-o", "check"]
    subprocess.run(link, cwd=BUILD, check=True)
    environment = ["env", "-u", "FASTXAVIER_ISA", "OMP_NUM_THREADS=4", "OMP_WAIT_POLICY=passive"]
    ran = subprocess.run(
        [*environment, "./check", *KNOWN, "brief"], cwd=BUILD, stdout=subprocess.PIPE, text=True
    )
    print(ran.stdout, end="")
    if ran.returncode:
        sys.exit("the tests themselves fail")
    return ran.stdout.split("implementations:")[1].split("\n")[0].split()


def counts():
    """(unit, file, line) to its copies, each the times it ran and those its branches were taken."""
    found = defaultdict(list)
    for data in sorted(BUILD.glob("*.gcda")):
        text = subprocess.check_output(["gcov", "-b", "--json-format", "--stdout", data], cwd=BUILD)
        for file in json.loads(text)["files"]:
            path = Path(file["file"])
            if ROOT / "src_c" not in path.parents:
                continue
            for line in file["lines"]:
                taken = [branch["count"] for branch in line["branches"] if not branch["throw"]]
                found[data.stem, path.name, line["line_number"]].append((line["count"], taken))
    return found


def without_kernels_not_run(lines, ran):
    """The lines without those of kernels that do not run on this CPU, which are named."""
    for source in sorted((ROOT / "src_c").rglob("isa_*.c")):
        name = source.stem.removeprefix("isa_")
        if not any(unit == source.stem for unit, _, _ in lines):
            print(f"not measured here: vec_{name}.h, {source.name} (not compiled for this CPU)")
        elif name not in ran:
            print(f"not measured here: vec_{name}.h, {source.name} (this CPU does not run them)")
            lines = {key: value for key, value in lines.items() if key[0] != source.stem}
    return lines


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


def indentation(text):
    return len(text) - len(text.lstrip())


def arguments():
    """All that src_c/ has."""
    found = []
    for path in sorted((ROOT / "src_c").rglob("*.[ch]")):
        texts = path.read_text().splitlines()
        for number, text in enumerate(texts, start=1):
            said = ARGUMENT.match(text)
            if not said:
                continue
            first = last = number + 1
            while indentation(texts[last]) > indentation(texts[first - 1]):
                last += 1
            lines = range(first, last + 1)
            units = frozenset(said["units"].split(", ") if said["units"] else ())
            found.append(Argument(path.name, lines, units, bool(said["perhaps"])))
    return found


def main():
    for tool in ("gcc", "gcov"):
        if not shutil.which(tool):
            sys.exit(f"missing: {tool}, of Debian's package gcc")
    ran = build_and_run()
    lines = without_kernels_not_run(counts(), ran)
    argued, used, unargued = arguments(), set(), []
    for (unit, file, number), copies in sorted(lines.items()):
        what = missing(copies)
        if not what:
            continue
        reasons = [a for a in argued if a.excuses(unit, file, number, what)]
        used.update(reasons)
        if not reasons:
            text = next((ROOT / "src_c").rglob(file)).read_text().splitlines()[number - 1].strip()
            unargued.append(f"{file}:{number} ({unit}): {what}: {text}")
    stale = [
        f"argued, but taken: {a.file}:{a.lines[0]}" for a in argued if not (a in used or a.perhaps)
    ]
    for problem in unargued + stale:
        print(problem)
    print(f"{len(lines)} lines, {len(unargued)} not taken whole; {len(argued)} arguments")
    sys.exit(1 if unargued or stale else 0)


if __name__ == "__main__":
    main()
