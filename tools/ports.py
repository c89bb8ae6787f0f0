"""The speed that the processor's execution ports allow each AVX-512 kernel, from its machine code.

    python tools/ports.py build/objects/simd/isa_avx512.o    # made by make; runs on any CPU

Counts the vector instructions for 64 bytes in a kernel's loop. A Zen 5 core starts four of them a
cycle, two of which may be multiplications (fused ones included), so 64 bytes take at least as many
cycles as the busier of the two needs. Loads and stores use other ports and are not counted; nor is the
latency of divisions and square roots.
"""

import argparse
import heapq
import re
import subprocess
import sys
from pathlib import Path

VOCABULARY = Path(__file__).parent.parent / "src_c" / "simd" / "vec_avx512.h"
DISTRIBUTIONS = {
    "uniform": "uniform",
    "normal": "normal",
    "truncated_core": "truncated +-2",
    "truncated": "truncated +-3",
}
DTYPES = {
    "f32": ("float32", 4),
    "f64": ("float64", 8),
    "f16": ("float16", 2),
    "bf16": ("bfloat16", 2),
}
GROUP = 32  # values made from one vector of counters
PHILOX = 18  # multiplications of ten rounds; the first needs one, which two words of a double share
START = re.compile(r"^[0-9a-f]+ <(\w+)_(f32|f64|f16|bf16)_store>:$", re.M)
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", re.M)
LOAD = re.compile(r"v(mov[dua]|p?broadcast[a-z]+ .*\()")


def loops(text):
    """The instructions of one iteration of each loop, by the shortest path: within a row."""
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
            iteration, at = [], last
            while at is not None:
                iteration.append(" ".join(lines[at][1:]))
                at = came_from[at]
            yield iteration


def philox_multiplications(iteration):
    return sum(one.startswith("vpmuludq") for one in iteration)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("object", help="the compiled src_c/simd/isa_avx512.c")
    arguments = parser.parse_args()
    groups = int(re.search(r"#define GROUPS (\d+)", VOCABULARY.read_text())[1])
    command = ["objdump", "-d", "--no-show-raw-insn", arguments.object]
    parts = iter(START.split(subprocess.check_output(command, text=True))[1:])
    functions = {
        (distribution, dtype): code.split("\n\n")[0]
        for distribution, dtype, code in zip(parts, parts, parts, strict=True)
    }
    print(f"{'for 64 bytes':24} {'vector':>7} {'multiply':>9}  port-bound bytes per cycle")
    for distribution, shown in DISTRIBUTIONS.items():
        for dtype, (name, itemsize) in DTYPES.items():
            wanted = groups * (2 * PHILOX - 1 if dtype == "f64" else PHILOX)
            found = loops(functions[distribution, dtype])
            loop = next((one for one in found if philox_multiplications(one) == wanted), None)
            if loop is None:
                sys.exit(f"{distribution} {dtype}: no loop of it has {wanted} vpmuludq")
            vectors = [one for one in loop if re.search(r"%[xyz]mm", one) and not LOAD.match(one)]
            multiplications = [one for one in vectors if re.match(r"v\w*mul|vfn?m", one)]
            share = 64 / (groups * GROUP * itemsize)
            all_ports, multipliers = len(vectors) * share / 4, len(multiplications) * share / 2
            print(
                f"{shown:14} {name:9} {4 * all_ports:7.1f} {2 * multipliers:9.1f} "
                f"{64 / max(all_ports, multipliers):7.2f}  bound by "
                f"{'the multipliers' if multipliers > all_ports else 'all four ports'}"
            )


if __name__ == "__main__":
    main()
