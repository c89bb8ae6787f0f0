"""Vector instructions for 64 bytes in the loop of each AVX-512 kernel, and the speed they allow.

    python tools/slots.py       # needs a C compiler for x86-64 and objdump; runs on any CPU

A Zen 5 core starts four vector instructions a cycle, two of them multiplications (fused ones
included): 64 bytes can take no fewer cycles than the fuller of the two needs. Loads and stores go
by other ports and are not counted, nor is what divisions and square roots wait for.
"""

import heapq
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CORE = Path(__file__).parent.parent / "src_c"
FLAGS = ["-O3", "-ffp-contract=off", f"-I{CORE}"]
DISTRIBUTIONS = {
    "uniform": "uniform",
    "normal": "normal",
    "truncated_core": "truncated +-2",
    "truncated": "truncated +-3",
}
DTYPES = {"f32": ("float32", 4), "f64": ("float64", 8), "f16": ("float16", 2), "bf16": ("bfloat16", 2)}  # fmt: skip  # noqa: E501
GROUP = 32  # values that one vector of counters becomes
PHILOX = 18  # multiplications of ten rounds; the first needs one, which two words of a double share
START = re.compile(r"^[0-9a-f]+ <(\w+)_(f32|f64|f16|bf16)_store>:$", re.M)
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", re.M)
LOAD = re.compile(r"v(mov[dua]|p?broadcast[a-z]+ .*\()")


def loops(text):
    """One turn of each loop of a function, by the shortest way: within a row, that is."""
    lines = [(int(at, 16), name, operands) for at, name, operands in LINE.findall(text)]
    place = {at: i for i, (at, _, _) in enumerate(lines)}
    jumps = {
        i: place[int(operands.split()[0], 16)]
        for i, (_, name, operands) in enumerate(lines)
        if name.startswith("j") and int(operands.split()[0], 16) in place
    }
    for last, first in jumps.items():
        came_from, queue = {}, [(0, first, None)] if first < last else []
        while queue and last not in came_from:
            steps, i, before = heapq.heappop(queue)
            if i in came_from:
                continue
            came_from[i] = before
            if i in jumps:
                heapq.heappush(queue, (steps + 1, jumps[i], i))
            if lines[i][1] not in ("jmp", "ret"):
                heapq.heappush(queue, (steps + 1, i + 1, i))
        if last in came_from:
            turn, at = [], last
            while at is not None:
                turn.append(" ".join(lines[at][1:]))
                at = came_from[at]
            yield turn


def rounds(turn):
    """Philox's multiplications in it."""
    return sum(one.startswith("vpmuludq") for one in turn)


def main():
    groups = int(re.search(r"#define GROUPS (\d+)", (CORE / "vec_avx512.h").read_text())[1])
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "isa.o")
        source = CORE / "isa_avx512.c"
        subprocess.run([os.environ.get("CC", "cc"), *FLAGS, "-c", source, "-o", made], check=True)
        text = subprocess.check_output(["objdump", "-d", "--no-show-raw-insn", made], text=True)
    parts = iter(START.split(text)[1:])
    functions = {(distribution, dtype): code.split("\n\n")[0] for distribution, dtype, code in zip(parts, parts, parts, strict=True)}  # fmt: skip  # noqa: E501
    print(f"{'for 64 bytes':24} {'vector':>7} {'multiply':>9} {'bytes a cycle at most':>22}  full")
    for distribution, shown in DISTRIBUTIONS.items():
        for dtype, (name, itemsize) in DTYPES.items():
            philox = groups * (2 * PHILOX - 1 if dtype == "f64" else PHILOX)
            turn = next(
                (t for t in loops(functions[distribution, dtype]) if rounds(t) == philox), None
            )
            if turn is None:
                sys.exit(f"{distribution} {dtype}: no loop of it has {philox} vpmuludq")
            found = [one for one in turn if re.search(r"%[xyz]mm", one)]
            vectors = [one for one in found if not LOAD.match(one)]
            multiplications = [one for one in vectors if re.match(r"v\w*mul|vfn?m", one)]
            share = 64 / (groups * GROUP * itemsize)
            slots, multipliers = len(vectors) * share / 4, len(multiplications) * share / 2
            print(
                f"{shown:14} {name:9} {4 * slots:7.1f} {2 * multipliers:9.1f} "
                f"{64 / max(slots, multipliers):22.2f}  "
                f"{'multipliers' if multipliers > slots else 'all four'}"
            )


if __name__ == "__main__":
    main()
