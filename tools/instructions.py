"""Instructions per value of the kernels that callgrind can run, beside tools/instructions.txt.

    python tools/instructions.py build/instructions            # fails if one is 2 % off the table
    python tools/instructions.py build/instructions --update   # writes the table

make builds the program. Counts depend on the compiler and on nothing else: those of another
compiler than the table's are shown and not compared.
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

TABLE = Path(__file__).parent / "instructions.txt"
ISAS = ("avx2", "sse2", "scalar")  # valgrind does not run AVX-512
TOLERANCE = 0.02
PART = re.compile(r"Client Request: (\w+ \w+ \w+) (\d+)\n.*?^summary: (\d+)$", re.DOTALL | re.M)


def compiler():
    """The name and version of the C compiler that make uses, however it is called."""
    command = [os.environ.get("CC", "cc"), "--version"]
    first_line = subprocess.check_output(command, text=True).splitlines()[0]
    return re.sub(r"^\S*cc\b", "gcc", first_line)


def counted(program):
    """Kernel to instructions per value."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
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


def write(counts):
    """Write the table."""
    rows = [f"{kernel:30} {count:8.2f}" for kernel, count in counts.items()]
    TABLE.write_text("\n".join([f"# {compiler()}", *rows]) + "\n")


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
    parser.add_argument("program", help="the compiled tools/instructions.c")
    parser.add_argument("--update", action="store_true", help="write the table")
    options = parser.parse_args()
    if platform.machine() != "x86_64" or not shutil.which("valgrind"):
        parser.error("this needs valgrind, with its headers, on an x86-64 machine")
    counts = counted(Path(options.program).absolute())
    if options.update:
        write(counts)
    made_by, table = read()
    off = strayed(counts, table)
    print(f"{'instructions per value':30} {'now':>8} {'table':>8}")
    for kernel in counts | table:
        now, then = counts.get(kernel, float("nan")), table.get(kernel, float("nan"))
        print(f"{kernel:30} {now:8.2f} {then:8.2f}{'  OFF' if kernel in off else ''}")
    if made_by != compiler():
        print(f"not compared: the table was made with {made_by}, and this is {compiler()}")
        return 0
    print(f"{len(off)} are more than {TOLERANCE:.0%} off")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
