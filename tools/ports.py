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
FUNCTION = re.compile(r"^[0-9a-f]+ <(\w+)[\w.]*>:$", re.M)
LINE = re.compile(r"^ *([0-9a-f]+):\s+(\S+) *(.*)$", re.M)
LOAD = re.compile(r"v(mov[dua]|p?broadcast[a-z]+ .*\()")


class Function:
    """The instructions of a function and where its jumps lead."""

    def __init__(self, text):
        found = LINE.findall(text)
        place = {int(at, 16): i for i, (at, _, _) in enumerate(found)}
        self.lines = [f"{name} {operands}" for _, name, operands in found]
        self.jumps = {
            i: place[int(operands.split()[0], 16)]
            for i, (_, name, operands) in enumerate(found)
            if name.startswith("j") and int(operands.split()[0], 16) in place
        }

    def path(self, first, last):
        """The shortest path from one instruction to another, as numbers of instructions, or []."""
        came_from, queue = {}, [(0, first, None)]
        while queue and last not in came_from:
            steps, i, before = heapq.heappop(queue)
            if i in came_from:
                continue
            came_from[i] = before
            if i in self.jumps:
                heapq.heappush(queue, (steps + 1, self.jumps[i], i))
            if self.lines[i].split()[0] not in ("jmp", "ret") and i + 1 < len(self.lines):
                heapq.heappush(queue, (steps + 1, i + 1, i))
        path, at = [], last if last in came_from else None
        while at is not None:
            path.append(at)
            at = came_from[at]
        return path[::-1]

    def loops(self):
        """One iteration of each loop, by the shortest path, which is that within a row: its
        instructions, each with whether it is in an inner loop."""
        for last, first in self.jumps.items():
            path = self.path(first, last) if first < last else []
            if not path:
                continue
            inner = [
                range(self.jumps[at], at + 1)
                for at, after in itertools.pairwise(path)
                if self.jumps.get(at, at) < at
                and self.jumps[at] != after
                and self.jumps[at] in path[1:]
            ]
            yield [(self.lines[at], any(at in span for span in inner)) for at in path]

    def call(self, multiplications):
        """The shortest path through the function with this number of multiplications of Philox."""
        end = next(i for i, line in enumerate(self.lines) if line.startswith("ret"))
        for i, line in enumerate(self.lines):
            if line.startswith("vpmuludq"):
                path = [*self.path(0, i), *self.path(i, end)[1:]]
                made = [(self.lines[at], False) for at in path]
                if philox_multiplications(made) == multiplications:
                    return made
        return []


def philox_multiplications(iteration):
    return sum(one.startswith("vpmuludq") for one, _ in iteration)


def show(path):
    """Print the table of one object file, isa_<name>.o, whose constants are in vec_<name>.h."""
    isa = path.stem.removeprefix("isa_")
    vocabulary = (SIMD / f"vec_{isa}.h").read_text()
    lanes, groups, together = (
        int(re.search(rf"#define {name} (\d+)", vocabulary)[1])
        for name in ("LANES", "GROUPS", "TOGETHER")
    )
    command = ["objdump", "-d", "--no-show-raw-insn", path]
    parts = iter(FUNCTION.split(subprocess.check_output(command, text=True))[1:])
    functions = {
        name: Function(code.split("\n\n")[0]) for name, code in zip(parts, parts, strict=True)
    }
    if "uniform_f32_store" not in functions:
        sys.exit(f"{path} has no kernel; the ports of x86-64 alone are known, so compile for it")
    print(f"{isa + ', for 64 bytes':24} {'vector':>7} {'multiply':>9}  port-bound bytes per cycle")
    for distribution, shown in DISTRIBUTIONS.items():
        for dtype, (name, itemsize) in DTYPES.items():
            words = "doubles" if dtype == "f64" else "floats"
            wanted = groups * (2 * PHILOX - 1 if dtype == "f64" else PHILOX)
            take_step = functions[f"take_step_of_{words}"].call(wanted)
            for loop in functions[f"{distribution}_{dtype}_store"].loops():
                if any(f"<take_step_of_{words}" in one for one, _ in loop):
                    loop = loop + take_step
                if philox_multiplications(loop) == wanted:
                    break
            else:
                sys.exit(f"{path}, {distribution} {dtype}: no loop of it has {wanted} vpmuludq")
            vectors = multiplications = 0
            for one, is_inner in loop:
                if re.search(r"%[xyz]mm", one) and not LOAD.match(one):
                    times = groups // together if is_inner else 1
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
