"""Lines and branches of src_c/ that the C tests do not take: fails unless each is argued below.

    python tests/coverage.py

A header is looked at once for each source that includes it, so the kernels once for each
instruction set. Nothing is optimised or inlined, so that a branch is counted as one, whoever takes
it; and counters are atomic, since gcov reckons one branch as what the others leave of a sum.
"""

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
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
# Not counted: with counters, GCC would have a fork's child forget what led to it.
TESTS = ["-O2", "-fopenmp", "-DCOUNTED", INCLUDE]
KNOWN = [HERE / "data" / "philox4x32_10.txt", HERE / "data" / "golden.txt"]

# Of a file, or of it as one source includes it: the beginning of a line, and why the tests cannot
# take all of it. One that they do take is an error.
ARGUED = [
    (
        "dispatch.c",
        "if (atomic_compare_exchange_strong(",
        "Another thread must choose between two neighbouring instructions.",
    ),
    (
        "kernels.inc.h (isa_scalar)",
        "if (--at->left == 0)",
        "One group at a time comes here only as the last of its row.",
    ),
    (
        "kernels.inc.h (isa_scalar)",
        "if (streaming && splicing->begun)",
        "Plain C has no streams.",
    ),
    ("kernels.inc.h (isa_scalar)", "f64_stream(splicing, to[g], v);", "Plain C has no streams."),
    (
        "kernels.inc.h (isa_scalar)",
        "for (; groups; groups--)",
        "Of steps of one group each, none leaves a group over.",
    ),
    (
        "kernels.inc.h (isa_scalar)",
        "write_groups(law, dtype, size, streaming, &splicing, job, &at, 1);",
        "Of steps of one group each, none leaves a group over.",
    ),
    (
        "vec_scalar.h (isa_scalar)",
        "if (size >= 0x477FF000u)",
        "Laws that reach 65520 are refused; the verb does as the other CPUs' instructions do.",
    ),
    (
        "vec_scalar.h (isa_scalar)",
        "return (uint16_t)(sign | 0x7C00u);",
        "Laws that reach 65520 are refused; the verb does as the other CPUs' instructions do.",
    ),
]

# The same of what the machine or chance decides: taken or not, neither is an error.
AS_IT_COMES = [
    ("cpu.c", "if ((c & leaf1_ecx)", "Taken on a CPU without FMA."),
    ("cpu.c", "if (!__get_cpuid_count(", "Taken on a CPU without AVX2 or AVX-512."),
    ("cpu.c", "return 0;", "Taken on a CPU without AVX2 or AVX-512."),
    ("dispatch.c", "if ((!name || strcmp(", "Taken on a CPU without AVX2 or AVX-512."),
    ("dispatch.c", "if (ALL[k]->runs_here()", "Taken on a CPU without AVX2 or AVX-512."),
    ("load.c", 'if (!read_file("/proc/loadavg"', "Taken where /proc is not mounted."),
    ("load.c", "return most;", "Taken where /proc is not mounted."),
    ("load.c", "const int mine = sched_getaffinity(", "Fails on more than 1024 processors."),
    ("parallel.c", "if (task < s->end)", "Two threads must meet at the last task of a share."),
]


def build_and_run():
    """The C tests, with counters, the folder having their counts afterwards: which kernels ran."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for stale in BUILD.glob("*.gc*"):
        stale.unlink()
    flags = dict.fromkeys(sorted((ROOT / "src_c").glob("*.c")), COUNTED)
    flags[HERE / "c" / "check.c"] = TESTS
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
            if path.parent != ROOT / "src_c":
                continue
            for line in file["lines"]:
                taken = [branch["count"] for branch in line["branches"] if not branch["throw"]]
                found[data.stem, path.name, line["line_number"]].append((line["count"], taken))
    return found


def without_kernels_not_run(lines, ran):
    """The lines without those of kernels that do not run on this CPU, which are named."""
    for source in sorted((ROOT / "src_c").glob("isa_*.c")):
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


def main():
    for tool in ("gcc", "gcov"):
        if not shutil.which(tool):
            sys.exit(f"missing: {tool}, of Debian's package gcc")
    ran = build_and_run()
    lines = without_kernels_not_run(counts(), ran)
    unused, unargued = list(ARGUED), []
    for (unit, file, number), copies in sorted(lines.items()):
        what = missing(copies)
        if not what:
            continue
        text = (ROOT / "src_c" / file).read_text().splitlines()[number - 1].strip()
        reasons = [
            row
            for row in ARGUED + AS_IT_COMES
            if row[0] in (file, f"{file} ({unit})") and text.startswith(row[1])
        ]
        unused = [row for row in unused if row not in reasons]
        if not reasons:
            unargued.append(f"{file}:{number} ({unit}): {what}: {text}")
    stale = [f"argued, but taken: {file}: {text}" for file, text, _ in unused]
    for problem in unargued + stale:
        print(problem)
    print(
        f"{len(lines)} lines, {len(unargued)} not taken whole; "
        f"{len(ARGUED)} argued, {len(AS_IT_COMES)} left to machine and chance"
    )
    sys.exit(1 if unargued or stale else 0)


if __name__ == "__main__":
    main()
