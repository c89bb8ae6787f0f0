"""fastxavier demo: a gigabyte of Glorot weights, beside memset and NumPy on the same array."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxavier._console import progress_bar, table
from fastxavier._info import info
from fastxavier._moments import moments
from fastxavier.distributions import Distribution, Normal, Uniform
from fastxavier.fill import fill_
from fastxavier.initializers import glorot_normal, glorot_uniform

DEFAULT_GIB = 1.0
MAX_GIB = 1 << 17  # 47 bits of address
REPETITIONS = 3
SLICES = 16
COLUMNS = 1 << 14
TIMES = "\N{MULTIPLICATION SIGN}"

Weights = NDArray[np.float32]
Filler = Callable[[Weights, int], None]


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("demo", help="fill a gigabyte, beside memset and NumPy")
    parser.add_argument("--gib", type=gibibytes, default=DEFAULT_GIB, help="size (default: 1)")
    parser.add_argument(
        "--threads", type=int, help="at most this many (default: as many as make it faster)"
    )
    parser.set_defaults(run=run)


def gibibytes(text: str) -> float:
    """Read a size in GiB."""
    number = float(text)
    if not 0 < number <= MAX_GIB:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most {MAX_GIB}")
    return number


def by_slices(weights: Weights, fill: Filler, what: str) -> float:
    """Seconds that `fill` takes for all rows, one slice of them at a time."""
    rows = math.ceil(len(weights) / SLICES)
    seconds, done = 0.0, 0
    with progress_bar(what, weights.nbytes) as report:
        for first in range(0, len(weights), rows):
            part = weights[first : first + rows]
            start = time.perf_counter()
            fill(part, first)
            seconds += time.perf_counter() - start
            done += part.nbytes
            report(done)
    return seconds


def by_fastxavier(
    distribution: Distribution, shape: tuple[int, ...], threads: int | None
) -> Filler:
    """Draw each slice alone, as a shard of the whole tensor."""

    def fill(part: Weights, first: int) -> None:
        fill_(
            part,
            distribution,
            seed=7,
            stream="demo",
            global_shape=shape,
            offset=(first, 0),
            threads=threads,
        )

    return fill


def by_numpy(distribution: Distribution) -> Filler:
    """NumPy's fastest generator, in place, and the passes that scale what it draws."""
    generator = np.random.Generator(np.random.SFC64(7))

    def uniform(part: Weights, first: int) -> None:
        generator.random(out=part, dtype=np.float32)
        part -= np.float32(0.5)
        part *= np.float32(distribution.bounds[1] - distribution.bounds[0])

    def normal(part: Weights, first: int) -> None:
        generator.standard_normal(out=part, dtype=np.float32)
        part *= np.float32(distribution.std)

    return uniform if isinstance(distribution, Uniform) else normal


def memset(part: Weights, first: int) -> None:
    """The memory bandwidth of one thread."""
    part.fill(0)


def check(distribution: Distribution, weights: Weights) -> tuple[str, ...]:
    """Expected and measured mean and std, as cells of a table."""
    found = moments(weights)
    shift = found.mean - distribution.mean
    kurtosis = 3.0 if isinstance(distribution, Normal) else 1.8
    mean_error = distribution.std / math.sqrt(found.size)
    variance_error = distribution.variance * math.sqrt((kurtosis - 1) / found.size)
    variance = found.variance + shift * shift  # about the expected mean
    return (
        f"{distribution.mean:.0f}",
        f"{found.mean:+.3e}",
        f"{shift / mean_error:+.2f}",
        f"{distribution.std:.7f}",
        f"{found.std:.7f}",
        f"{(variance - distribution.variance) / variance_error:+.2f}",
    )


def run(options: argparse.Namespace) -> int:
    """Fill, time and check; print two tables."""
    print(info())
    rows = max(1, round(options.gib * (1 << 30) / (4 * COLUMNS)))
    weights = np.empty((rows, COLUMNS), np.float32)
    fans = {"fan_in": COLUMNS, "fan_out": rows}
    distributions = {
        "Glorot uniform": glorot_uniform(**fans),
        "Glorot normal": glorot_normal(**fans),
    }
    by_slices(weights, memset, "first touch of the memory")

    speeds, checks = [], []
    for name, distribution in distributions.items():
        fillers = {
            "memset": memset,
            "NumPy": by_numpy(distribution),
            "fastxavier": by_fastxavier(distribution, weights.shape, options.threads),
        }
        best = dict.fromkeys(fillers, math.inf)
        for repetition in range(REPETITIONS):
            for library, fill in fillers.items():
                if library == "NumPy" and repetition:
                    continue  # it takes seconds
                best[library] = min(best[library], by_slices(weights, fill, f"{name}, {library}"))
        speed = {library: weights.nbytes / seconds / 1e9 for library, seconds in best.items()}
        speeds.append(
            (
                name,
                *(f"{speed[library]:.2f}" for library in fillers),
                f"{speed['fastxavier'] / speed['NumPy']:.0f}",
                f"{speed['fastxavier'] / speed['memset']:.2f}",
            )
        )
        checks.append((name, *check(distribution, weights)))

    size = f"{weights.nbytes / (1 << 30):.3g} GiB of float32 weights, shape {weights.shape}"
    print()
    table(
        f"{size}, filled in place",
        (
            "distribution",
            "memset GB/s",
            "NumPy GB/s",
            "fastxavier GB/s",
            f"{TIMES} NumPy",
            f"{TIMES} memset",
        ),
        speeds,
        f"GB/s: gigabytes written per second, best of {REPETITIONS} repetitions (NumPy: one).\n"
        f"{TIMES} NumPy: how many times as fast as NumPy on one thread; {TIMES} memset: likewise.",
    )
    print()
    table(
        "The values in the array",
        (
            "distribution",
            "expected mean",
            "measured mean",
            "std errors off",
            "expected std",
            "measured std",
            "std errors off",
        ),
        checks,
        "std errors off: measured minus expected, in standard errors of the measurement.\n"
        "Correct draws are within 3 of them 99.7% of the time.",
    )
    return 0
