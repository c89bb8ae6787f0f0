"""The speed that the processor's execution ports allow each x86-64 kernel, from its machine code.

    python tools/ports.py build/objects/simd/isa_avx*.o    # made by make; runs on any CPU

Counts the vector instructions for 64 bytes in a kernel's loop. A Zen core starts four of them a
cycle (from Zen 2 on those of AVX2, from Zen 5 on those of AVX-512 too), two of which may be
multiplications (fused ones included), so 64 bytes take at least as many cycles as the busier of the
two needs. Kernels of eight-bit dtypes are not listed: they are those of float32, and a short loop
that rounds. Loads and stores use other ports and are not counted; nor is the latency of divisions
and square roots.
"""

import argparse
import heapq
import itertools
import re
import subprocess
import sys
from pathlib import Path

SIMD = Path(__file__).parent.parent / "src_c" / "simd"
DISTRIBUTIONS = {
    "uniform": "uniform",
    "normal": "normal",
    "truncated_2": "truncated +-2",
    "truncated_3": "truncated +-3",
    "truncated": "truncated",
}
DTYPES = {
    "f32": ("float32", 4),
    "f64": ("float64", 8),
    "f16": ("float16", 2),
    "bf16": ("bfloat16", 2),
}
BLOCK = 4  # values made from each lane of counters
PHILOX = 18  # multiplications of ten rounds; the first needs one, which two words of a double share
START = re.compile(r"^[0-9a-f]+ <(\w+)_(f32|f64|f16|bf16)_store>:$", re.M)
LINE = re.compile(r"^ *([0-9a-f]+):\s+(\S+) *(.*)$", re.M)
LOAD = re.compile(r"v(mov[dua]|p?broadcast[a-z]+ .*\()")


def loops(text):
    """One iteration of each loop, by the shortest path, which is that within a row: its
    instructions, each with whether it is in an inner loop."""
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
            path, at = [], last
            while at is not None:
                path.append(at)
                at = came_from[at]
            inner = [
                range(jumps[at], at + 1)
                for after, at in itertools.pairwise(path)
                if jumps.get(at, at) < at and jumps[at] != after and jumps[at] in path[:-1]
            ]
            yield [(" ".join(lines[at][1:]), any(at in span for span in inner)) for at in path]


def philox_multiplications(iteration):
    return sum(one.startswith("vpmuludq") for one, _ in iteration)


def show(path):
    """Print the table of one object file, isa_<name>.o, whose constants are in vec_<name>.h."""
    isa = path.stem.removeprefix("isa_")
    vocabulary = (SIMD / f"vec_{isa}.h").read_text()
    lanes, groups, together, normals_together = (
        int(re.search(rf"#define {name} (\d+)", vocabulary)[1])
        for name in ("LANES", "GROUPS", "TOGETHER", "F64_NORMALS_TOGETHER")
    )
    command = ["objdump", "-d", "--no-show-raw-insn", path]
    parts = iter(START.split(subprocess.check_output(command, text=True))[1:])
    functions = {
        (distribution, dtype): code.split("\n\n")[0]
        for distribution, dtype, code in zip(parts, parts, parts, strict=True)
    }
    if not functions:
        sys.exit(f"{path} has no kernel; the ports of x86-64 alone are known, so compile for it")
    print(f"{isa + ', for 64 bytes':24} {'vector':>7} {'multiply':>9}  port-bound bytes per cycle")
    for distribution, shown in DISTRIBUTIONS.items():
        for dtype, (name, itemsize) in DTYPES.items():
            wanted = groups * (2 * PHILOX - 1 if dtype == "f64" else PHILOX)
            found = loops(functions[distribution, dtype])
            loop = next((one for one in found if philox_multiplications(one) == wanted), None)
            if loop is None:
                sys.exit(f"{path}, {distribution} {dtype}: no loop of it has {wanted} vpmuludq")
            vectors = multiplications = 0
            for one, is_inner in loop:
                if re.search(r"%[xyz]mm", one) and not LOAD.match(one):
                    step = normals_together if distribution == "normal" else together
                    times = groups // step if is_inner else 1
                    vectors += times
                    multiplications += times * bool(re.match(r"v\w*mul|vfn?m", one))
            share = 64 / (groups * lanes * BLOCK * itemsize)
            all_ports, multipliers = vectors * share / 4, multiplications * share / 2
            print(
                f"{shown:14} {name:9} {4 * all_ports:7.1f} {2 * multipliers:9.1f} "
                f"{64 / max(all_ports, multipliers):7.2f}  bound by "
                f"{'the multipliers' if multipliers > all_ports else 'all four ports'}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "objects", nargs="+", type=Path, help="the compiled src_c/simd/isa_avx2.c or isa_avx512.c"
    )
    for path in parser.parse_args().objects:
        show(path)


if __name__ == "__main__":
    main()
