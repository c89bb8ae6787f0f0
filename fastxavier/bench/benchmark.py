"""Races: contestants take turns on one array, each verified before it is timed.

Knows no library by name; `peers` knows how each fills. Ratios are of medians.
"""

from __future__ import annotations

import math
import os
import platform
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxavier._info import info
from fastxavier.bench.implementations import CONTESTANTS, Contestant, dtype_named
from fastxavier.bench.results import DISTRIBUTIONS, UNITS, Entry, Heat, Race
from fastxavier.distributions import Distribution

__all__ = [
    "DISTRIBUTIONS",
    "Entry",
    "Heat",
    "Race",
    "fault",
    "least_seconds",
    "run_heat",
    "surroundings",
]

STANDARD_ERRORS = 6.0  # a right contestant is accused once in 10^9
SETTLE = 0.02  # seconds after which another library's idle threads no longer spin
LEAST = 0.005  # seconds that a turn lasts, or longer
PATIENCE = 10.0  # seconds after which a contestant that has two turns sits out the rest
CHUNK = 1 << 17  # values whose doubles stay in the cache


def surroundings() -> tuple[dict[str, Any], dict[str, str | None]]:
    """The machine, and the versions of the packages that could take part."""
    found = info()
    machine = found.asdict() | {
        "available_isas": list(found.available_isas),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    return machine, {one.package: one.version for one in CONTESTANTS}


# ---- verifying -----------------------------------------------------------------------------------


def fault(array: NDArray[Any], distribution: Distribution) -> str | None:
    """What shows that an array does not hold draws of a distribution, if it shows.

    Bounds, mean and variance: the last two to six standard errors, sigma / sqrt(n) and at most
    ``sigma**2 * sqrt(2 / n)``, which a normal distribution has. `fastxavier._verify.verify` sees more,
    and takes longer; this is for whoever wants to be timed.

    Parameters
    ----------
    array : numpy.ndarray
        Of one axis.
    distribution : Distribution
        Of positive variance.

    Returns
    -------
    str or None
        One line, or None if nothing is wrong.
    """
    low, high = np.array(distribution.bounds).astype(array.dtype).astype(np.float64)
    total = squares = 0.0
    for first in range(0, array.size, CHUNK):
        values = array[first : first + CHUNK].astype(np.float64)
        if not (low <= values.min() and values.max() <= high):
            return f"values from {values.min():.6g} to {values.max():.6g}"
        values -= distribution.mean
        total += float(values.sum())
        squares += float(values @ values)
    mean, variance = total / array.size, squares / array.size
    mean_error, variance_error = 1 / math.sqrt(array.size), math.sqrt(2 / array.size)
    off = mean / distribution.std
    if abs(off) > STANDARD_ERRORS * mean_error:
        return f"mean {off:+.2%} of std off, {abs(off) / mean_error:.0f} standard errors"
    off = variance / distribution.variance - 1
    # Rounding to 16 bits widens a distribution by the square of its precision, which many values show.
    if abs(off) > STANDARD_ERRORS * variance_error + (2.0**-16 if array.itemsize == 2 else 0.0):
        return f"variance {off:+.2%} off, {abs(off) / variance_error:.0f} standard errors"
    return None


# ---- timing --------------------------------------------------------------------------------------


def _turn(fill: Callable[[], object]) -> float:
    """Seconds of one call: of so many, doubled until they last long enough, the last ones."""
    time.sleep(SETTLE)
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            fill()
        taken = time.perf_counter() - start
        if taken >= LEAST:
            return taken / calls
        calls *= 2


def least_seconds(fills: Sequence[Callable[[], object]], spells: int) -> list[float]:
    """Seconds of the best single call of each.

    For ratios to be compared over months: `run_heat` tells what a user gets, this what the code
    can do. They are called in turn, a few dozen times in each of some spells a pause apart, since
    a neighbour that is busy, above all on the same core, slows each by another factor; in one of
    the spells it may rest.

    Parameters
    ----------
    fills : sequence of callable
        Each takes some microseconds or more.
    spells : int
        Of 25 calls of each.

    Returns
    -------
    list of float
        In the order of `fills`.
    """
    least = [math.inf] * len(fills)
    for _ in range(spells):
        time.sleep(SETTLE)
        for _ in range(25):
            for i, fill in enumerate(fills):
                start = time.perf_counter()
                fill()
                least[i] = min(least[i], time.perf_counter() - start)
    return least


def _prepared(
    contestant: Contestant, distribution: Distribution, array: NDArray[Any], threads: int
) -> tuple[Callable[[], object] | None, str | None]:
    """The function that fills, or why there is none."""
    try:
        fill = contestant.filler(distribution, array, threads)
        if contestant.role == "limit":
            return fill, None
        array.view(np.uint8).fill(0xFF)  # NaN: what another has drawn must not be taken for its own
        fill()
        failure = fault(array, distribution)
    except Exception as error:  # whatever ails a peer must not end the race
        first_line = str(error).partition("\n")[0]
        return None, f"{type(error).__name__}: {first_line}"
    return (fill, None) if failure is None else (None, failure)


def run_heat(
    distribution: str,
    dtype: str,
    memory: NDArray[np.uint8],
    *,
    threads: Sequence[int],
    rounds: int,
    contestants: Iterable[Contestant] = CONTESTANTS,
) -> Heat:
    """Verify and time all contestants that offer a distribution, in turn, on the same memory.

    Each round takes them in another order, so that what else the machine does meets all alike and
    none always follows the same other. Within a turn a fill is repeated until 5 ms have gone by.

    Parameters
    ----------
    distribution : str
        A name in `DISTRIBUTIONS`.
    dtype : str
        A name in ``fastxavier.bench.implementations.DTYPES``.
    memory : numpy.ndarray
        Contiguous bytes; they are written over.
    threads : sequence of int
        A contestant that can be told takes part with each of these.
    rounds : int
        Turns of each. One that has used ten seconds and has two turns sits out the rest.
    contestants : iterable of Contestant
        Those to choose from; whose package is not installed takes no part.

    Returns
    -------
    Heat
        With an `Entry` for each contestant and number of threads.
    """
    distribution = DISTRIBUTIONS[distribution]
    array = memory.view(dtype_named(dtype))
    most = max(threads)
    entries: list[Entry] = []
    fills: dict[int, Callable[[], object]] = {}
    for one in contestants:
        if distribution not in one.distributions or dtype not in one.dtypes or one.version is None:
            continue
        counts: dict[str, Sequence[int | None]] = {"one": [1], "given": threads, "own": [None]}
        for count in counts[one.threads]:
            fill, failure = _prepared(one, distribution, array, count or most)
            if fill is not None:
                fills[len(entries)] = fill
            entries.append(Entry(one.name, one.package, one.role, one.note, count, failure=failure))
    seconds: dict[int, list[float]] = {i: [] for i in fills}
    spent = dict.fromkeys(fills, 0.0)
    for turn in range(rounds):
        order = [i for i in fills if turn < 2 or spent[i] < PATIENCE]
        random.Random(turn).shuffle(order)
        for i in order:
            start = time.perf_counter()
            seconds[i].append(_turn(fills[i]))
            spent[i] += time.perf_counter() - start
    timed = (replace(one, seconds=tuple(seconds.get(i, ()))) for i, one in enumerate(entries))
    return Heat(distribution, dtype, array.nbytes, array.size, tuple(timed))
