"""Instructions per value of the kernels that callgrind can run, beside tools/instructions.txt.

    python tools/instructions.py            # exits with 1 where one is 2 % off the table
    python tools/instructions.py --update   # writes the table

Counts hang on the compiler and on nothing else: another one than the table's is not compared.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CORE = HERE.parent / "src_c"
TABLE = HERE / "instructions.txt"
ISAS = ("avx2", "scalar")  # valgrind knows no AVX-512
TOLERANCE = 0.02
FLAGS = ["-O3", "-ffp-contract=off", "-fopenmp", f"-I{CORE}"]
PART = re.compile(r"Client Request: (\w+ \w+ \w+) (\d+)\n.*?^summary: (\d+)$", re.DOTALL | re.M)


def compiler(cc):
    """Its name and version, however it was called."""
    said = subprocess.check_output([cc, "--version"], text=True).splitlines()[0]
    return re.sub(r"^\S*cc\b", "gcc", said)


def counted(cc):
    """Kernel to instructions per value."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "instructions")
        sources = [HERE / "instructions.c", *sorted(CORE.rglob("*.c"))]
        subprocess.run([cc, *FLAGS, *map(str, sources), "-lm", "-o", program], check=True)
        for isa in ISAS:
            out = Path(folder, isa)
            callgrind = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
            subprocess.run([*callgrind, program, isa], check=True)
            parts = sorted(Path(folder).glob(f"{isa}.*"), key=lambda part: int(part.suffix[1:]))
            for part in parts:
                kernel, count, instructions = PART.search(part.read_text()).groups()
                found[kernel] = int(instructions) / int(count)
    return found


def read():
    """The table's compiler, and its counts."""
    head, *lines = TABLE.read_text().splitlines()
    rows = (line.rpartition(" ") for line in lines)
    return head.removeprefix("# "), {kernel.strip(): float(count) for kernel, _, count in rows}


def write(cc, counts):
    """Make the table anew."""
    rows = [f"{kernel:30} {count:8.2f}" for kernel, count in counts.items()]
    TABLE.write_text("\n".join([f"# {compiler(cc)}", *rows]) + "\n")


def strayed(counts, table, tolerance=TOLERANCE):
    """Kernels whose count is off the table's, or that are missing in either."""
    return [
        kernel
        for kernel in counts | table
        if kernel not in counts
        or kernel not in table
        or abs(counts[kernel] / table[kernel] - 1) > tolerance
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="write the table")
    options = parser.parse_args()
    cc = os.environ.get("CC", "cc")
    if platform.machine() != "x86_64" or not shutil.which("valgrind"):
        parser.error("this needs valgrind, with its headers, on an x86-64 machine")
    counts = counted(cc)
    if options.update:
        write(cc, counts)
    made_by, table = read()
    off = strayed(counts, table)
    print(f"{'instructions per value':30} {'now':>8} {'table':>8}")
    for kernel in counts | table:
        now, then = counts.get(kernel, float("nan")), table.get(kernel, float("nan"))
        print(f"{kernel:30} {now:8.2f} {then:8.2f}{'  OFF' if kernel in off else ''}")
    if made_by != compiler(cc):
        print(f"not compared: the table is of {made_by}, and this is {compiler(cc)}")
        return 0
    print(f"{len(off)} are more than {TOLERANCE:.0%} off")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
