"""Vector instructions for 64 bytes in the loop of each AVX-512 kernel, and the speed they allow.

    python benchmarks/slots.py       # needs a C compiler for x86-64 and objdump; runs on any CPU

A Zen 5 core starts four vector instructions a cycle, two of them multiplications (fused ones
included): 64 bytes can take no fewer cycles than the fuller of the two needs. Moves between
registers and memory go by other ports and are not counted.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

CORE = Path(__file__).parent.parent / "src_c"
FLAGS = ["-O3", "-ffp-contract=off", f"-I{CORE}"]
LAWS = {
    "uniform": "uniform",
    "normal": "normal",
    "truncated_core": "truncated +-2",
    "truncated": "truncated +-3",
}
DTYPES = {"f32": ("float32", 4), "f64": ("float64", 8), "f16": ("float16", 2), "bf16": ("bfloat16", 2)}  # fmt: skip  # noqa: E501
GROUP = 32  # values that one vector of counters becomes
START = re.compile(r"^[0-9a-f]+ <(\w+)_(f32|f64|f16|bf16)_store>:$", re.M)
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", re.M)


def loop(text):
    """The (name, operands) of a function's longest loop."""
    lines = [(int(at, 16), name, operands) for at, name, operands in LINE.findall(text)]
    spans = [
        (int(operands.split()[0], 16), at)
        for at, name, operands in lines
        if name.startswith("j") and int(operands.split()[0], 16) < at
    ]
    first, last = max(spans, key=lambda span: span[1] - span[0])
    return [(name, operands) for at, name, operands in lines if first <= at <= last]


def main():
    groups = int(re.search(r"#define GROUPS (\d+)", (CORE / "vec_avx512.h").read_text())[1])
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "isa.o")
        source = CORE / "isa_avx512.c"
        subprocess.run([os.environ.get("CC", "cc"), *FLAGS, "-c", source, "-o", made], check=True)
        text = subprocess.check_output(["objdump", "-d", "--no-show-raw-insn", made], text=True)
    parts = START.split(text)[1:]
    functions = {(law, dtype): code.split("\n\n")[0] for law, dtype, code in zip(*[iter(parts)] * 3, strict=True)}  # fmt: skip  # noqa: E501
    print(f"{'for 64 bytes':24} {'vector':>7} {'multiply':>9} {'bytes a cycle at most':>22}  full")
    for law, shown in LAWS.items():
        for dtype, (name, itemsize) in DTYPES.items():
            vectors = [
                instruction
                for instruction, operands in loop(functions[law, dtype])
                if re.search(r"%[xyz]mm", operands) and not re.match(r"vmov[dua]", instruction)
            ]
            share = 64 / (groups * GROUP * itemsize)
            slots = len(vectors) * share / 4
            multipliers = sum("mul" in v or re.match(r"vfn?m", v) is not None for v in vectors)
            multipliers *= share / 2
            print(
                f"{shown:14} {name:9} {4 * slots:7.1f} {2 * multipliers:9.1f} "
                f"{64 / max(slots, multipliers):22.2f}  "
                f"{'multipliers' if multipliers > slots else 'all four'}"
            )


if __name__ == "__main__":
    main()
