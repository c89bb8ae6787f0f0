"""Print data/golden.txt: python tests/support/golden.py > tests/data/golden.txt.

The file belongs to the stream: lines may be added to it, for a new distribution or dtype. None
that is there may change without a new version of the stream, so data/frozen.txt remembers each:
python tests/support/golden.py --freeze >> tests/data/frozen.txt prints new rows.
"""

import hashlib
import math
import pathlib
import sys

import cases
import numpy as np

import fastxavier as fx
from fastxavier import _core

DATA = pathlib.Path(__file__).parents[1] / "data"

SEED = 0x5EED_0123_4567_89AB
STREAM = "layers.0.weight"
COUNT = (3 << 16) + 5
FIRST_VALUES = 4

_KINDS = {
    "constant": fx.Constant,
    "uniform": fx.Uniform,
    "normal": fx.Normal,
    "truncated_normal": fx.TruncatedNormal,
}

HEAD = f"""\
# Golden values of stream version 1. Lines may only be added; one that is here never changes.
# Seed {SEED:#x}, the stream named "{STREAM}", indices 0 to {COUNT - 1}.
# Columns: name; dtype; kind; parameters, as C's %a writes numbers (constant: value; uniform: low,
# high; normal: mean, std; truncated_normal: mean and std of the parent, low, high);
# BLAKE2b of the bytes of all values, each value little-endian, digest of 16 bytes; the bit patterns
# of the first {FIRST_VALUES} values, as hexadecimal numbers.
# Written by tests/support/golden.py."""


def parameters(distribution):
    """Kind and parameters of a distribution, as the file has them."""
    if isinstance(distribution, fx.Constant):
        return "constant", (distribution.value,)
    if isinstance(distribution, fx.Uniform):
        return "uniform", distribution.bounds
    if isinstance(distribution, fx.Normal):
        return "normal", (distribution.mean, distribution.std)
    return "truncated_normal", (
        distribution.parent.mean,
        distribution.parent.std,
        distribution.low,
        distribution.high,
    )


def digest(values):
    """BLAKE2b of the bytes in little-endian order."""
    data = cases.patterns(values).astype(f"<u{values.dtype.itemsize}").tobytes()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def first_patterns(values):
    """The bit patterns of the first values, in hexadecimal."""
    digits = 2 * values.dtype.itemsize
    return [f"{pattern:0{digits}x}" for pattern in cases.patterns(values)[:FIRST_VALUES].tolist()]


def line(name, dtype):
    """The line of one distribution and dtype."""
    distribution = cases.distributions(dtype)[name]
    kind, numbers = parameters(distribution)
    values = fx.fill_(np.empty(COUNT, cases.DTYPES[dtype]), distribution, seed=SEED, stream=STREAM)
    written = ",".join(
        number.hex() if math.isfinite(number) else repr(number) for number in numbers
    )
    return " ".join([name, dtype, kind, written, digest(values), *first_patterns(values)])


def parsed(text):
    """The lines of the file: (name, dtype) to (distribution, digest, patterns)."""
    lines = {}
    for row in text.splitlines():
        if row.startswith("#"):
            continue
        name, dtype, kind, numbers, expected, *first = row.split()
        if (name, dtype) in lines:
            raise ValueError(f"two lines for {name} {dtype}")
        distribution = _KINDS[kind](*map(float.fromhex, numbers.split(",")))
        lines[name, dtype] = distribution, expected, first
    return lines


def frozen_row(golden_line):
    """What frozen.txt keeps of a line: the version of the stream, name and dtype, a hash of it."""
    name, dtype, *_ = golden_line.split()
    fingerprint = hashlib.blake2b(golden_line.encode(), digest_size=8).hexdigest()
    return f"{_core.stream_version} {name} {dtype} {fingerprint}"


def rows(text):
    """A file's lines without its comments."""
    return [row for row in text.splitlines() if not row.startswith("#")]


if __name__ == "__main__":
    if "--freeze" in sys.argv:
        frozen = rows((DATA / "frozen.txt").read_text())
        for row in map(frozen_row, rows((DATA / "golden.txt").read_text())):
            if row not in frozen:
                print(row)
    else:
        print(HEAD, *(line(*case) for case in cases.ALL), sep="\n")
