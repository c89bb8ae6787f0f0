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
from fastxavier.distributions import Distribution, Normal, Uniform
from fastxavier.fill import fill_
from fastxavier.initializers import glorot_normal, glorot_uniform

DEFAULT_GIB = 1.0
MOST_GIB = 1 << 17  # what 47 bits address
ROUNDS = 3
SLICES = 16
COLUMNS = 1 << 14

Weights = NDArray[np.float32]
Filler = Callable[[Weights, int], None]


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("demo", help="fill a gigabyte, beside memset and NumPy")
    parser.add_argument("--gib", type=gibibytes, default=DEFAULT_GIB, help="size (default: 1)")
    parser.add_argument("--threads", type=int, help="at most so many (default: what pays)")
    parser.set_defaults(run=run)


def gibibytes(text: str) -> float:
    """A size as it is typed, in GiB."""
    number = float(text)
    if not 0 < number <= MOST_GIB:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most {MOST_GIB}")
    return number


def by_slices(weights: Weights, fill: Filler, what: str) -> float:
    """Seconds that `fill` takes for all rows, a slice of them at a time."""
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


def ours(distribution: Distribution, shape: tuple[int, ...], threads: int | None) -> Filler:
    """Each slice is drawn alone, as the part it is of the whole tensor."""

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


def numpys(distribution: Distribution) -> Filler:
    """NumPy's fastest generator, in place, and the passes that bring its draws to scale."""
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
    """What the memory itself takes."""
    part.fill(0)


def moments(weights: Weights) -> tuple[float, float]:
    """Mean and mean square, accumulated in double precision."""
    total = squares = 0.0
    for row in weights.reshape(-1, COLUMNS):
        wide = row.astype(np.float64)
        total += float(wide.sum())
        squares += float(wide @ wide)
    return total / weights.size, squares / weights.size


def check(distribution: Distribution, weights: Weights) -> tuple[str, ...]:
    """Target against measured: the row of a table."""
    mean, square = moments(weights)
    n = weights.size
    kurtosis = 3.0 if isinstance(distribution, Normal) else 1.8
    mean_error = distribution.std / math.sqrt(n)
    square_error = distribution.variance * math.sqrt((kurtosis - 1) / n)
    return (
        f"{distribution.mean:.0f}",
        f"{mean:+.3e}",
        f"{(mean - distribution.mean) / mean_error:+.2f}",
        f"{distribution.std:.7f}",
        f"{math.sqrt(square - mean * mean):.7f}",
        f"{(square - distribution.variance) / square_error:+.2f}",
    )


def run(options: argparse.Namespace) -> int:
    """Fill, time and check; print two tables."""
    print(info())
    rows = max(1, round(options.gib * (1 << 30) / (4 * COLUMNS)))
    weights = np.empty((rows, COLUMNS), np.float32)
    fans = COLUMNS, rows
    distributions = {"Glorot uniform": glorot_uniform(*fans), "Glorot normal": glorot_normal(*fans)}
    by_slices(weights, memset, "first touch of the memory")

    speeds, checks = [], []
    for name, distribution in distributions.items():
        fillers = {
            "memset": memset,
            "NumPy": numpys(distribution),
            "fastxavier": ours(distribution, weights.shape, options.threads),
        }
        best = dict.fromkeys(fillers, math.inf)
        for turn in range(ROUNDS):
            for who, fill in fillers.items():
                if who == "NumPy" and turn:
                    continue  # once is long enough
                best[who] = min(best[who], by_slices(weights, fill, f"{name}, {who}"))
        speed = {who: weights.nbytes / seconds / 1e9 for who, seconds in best.items()}
        speeds.append(
            (
                name,
                *(f"{speed[who]:.2f}" for who in fillers),
                f"{speed['fastxavier'] / speed['NumPy']:.0f}",
                f"{speed['fastxavier'] / speed['memset']:.2f}",
            )
        )
        checks.append((name, *check(distribution, weights)))

    size = f"{weights.nbytes / (1 << 30):.3g} GiB of float32 weights, shape {weights.shape}"
    table(
        f"\n{size}, filled in place (best of {ROUNDS}, NumPy once)",
        ("GB/s", "memset", "NumPy", "fastxavier", "times NumPy", "times memset"),
        speeds,
    )
    table(
        "\nWhat stands in the array, and how many standard errors that is from the target",
        ("distribution", "mean", "measured", "z", "std", "measured", "z"),
        checks,
    )
    return 0
