"""Measuring: every implementation fills the same array; each is verified before it is timed.

Called by ``fastxavier bench`` and by benchmarks/.
"""

from __future__ import annotations

import math
import os
import platform
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxavier._dtypes import FLOATS, dtype_named
from fastxavier._info import info
from fastxavier._moments import moments
from fastxavier._validation import ArgumentValueError
from fastxavier.bench.base import DISTRIBUTIONS, Array, Fill, Implementation
from fastxavier.bench.implementations import IMPLEMENTATIONS
from fastxavier.bench.results import Run, Timing
from fastxavier.distributions import Distribution

__all__ = ["DISTRIBUTIONS", "best_seconds", "environment", "measure", "mismatch"]

STANDARD_ERRORS = 6.0  # a correct implementation exceeds them once in 10^9 checks
PAUSE = 0.02  # seconds after which idle threads of the library before no longer spin
MIN_SECONDS = 0.005  # that a repetition lasts
MAX_SECONDS = 10.0  # after which an implementation with two repetitions skips the others
LEAST_FRESH = (32 << 20) + 1  # bytes; of fewer, glibc gives out again what was freed
CALLS = 25  # of each function in turn, between two pauses of `best_seconds`


def environment() -> tuple[dict[str, Any], dict[str, str | None]]:
    """The machine, and the version of each package that can be compared."""
    found = info()
    machine = found.asdict() | {
        "available_isas": list(found.available_isas),
        "gpus": list(found.gpus),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    return machine, {one.package: one.version for one in IMPLEMENTATIONS}


# ---- verifying -----------------------------------------------------------------------------------


def mismatch(array: Array, distribution: Distribution) -> str | None:
    """What shows that an array does not hold draws of a distribution.

    Checks the bounds, the mean and the variance. The mean may be off by six standard errors,
    sigma / sqrt(n), and the variance by six of ``sigma**2 * sqrt(2 / n)``, which is that of a
    normal distribution and more than that of the others. `fastxavier.verify` checks more and
    takes longer.

    Parameters
    ----------
    array : numpy.ndarray
        Not empty.
    distribution : Distribution
        Of positive variance.

    Returns
    -------
    str or None
        One line, or None if nothing is wrong.
    """
    bounds = np.array(distribution.bounds)
    rounded = bounds.astype(array.dtype).astype(np.float64)
    low, high = np.where(np.isfinite(bounds), rounded, bounds)  # some dtypes have no infinity
    with np.errstate(invalid="ignore"):  # NaN among narrow values warns
        smallest, largest = float(array.min()), float(array.max())
    if not (low <= smallest and largest <= high):
        return f"values from {smallest:.6g} to {largest:.6g}, not within [{low:.6g}, {high:.6g}]"
    found = moments(array)
    shift = found.mean - distribution.mean
    off = shift / distribution.std
    error = 1 / math.sqrt(array.size)
    if abs(off) > STANDARD_ERRORS * error:
        return f"mean {off:+.2%} of std off, {abs(off) / error:.0f} standard errors"
    off = (found.variance + shift * shift) / distribution.variance - 1
    error = math.sqrt(2 / array.size)
    # Rounding to few bits widens a distribution by its precision squared, visible in many values.
    widened = max(2.0**-16, (FLOATS[array.dtype.name].epsilon / 2) ** 2)
    if abs(off) > STANDARD_ERRORS * error + (widened if array.itemsize <= 2 else 0.0):
        return f"variance {off:+.2%} off, {abs(off) / error:.0f} standard errors"
    return None


# ---- timing --------------------------------------------------------------------------------------


def _repetition(fill: Fill) -> float:
    """Seconds of one call, from as many calls as last long enough to be timed."""
    time.sleep(PAUSE)
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            fill()
        taken = time.perf_counter() - start
        if taken >= MIN_SECONDS:
            return taken / calls
        calls *= 2


def _fresh_repetition(
    implementation: Implementation, distribution: Distribution, like: Array, threads: int
) -> float:
    """Seconds of one call that fills a new array."""
    array = implementation.empty(like.size, like.dtype)
    fill = implementation.filler(distribution, array, threads)
    time.sleep(PAUSE)
    start = time.perf_counter()
    fill()
    return time.perf_counter() - start


def best_seconds(fills: Sequence[Fill], repetitions: int) -> list[float]:
    """Seconds of the best single call of each function.

    For ratios that are compared over months: `measure` says what a user gets, this what the code
    can do. Other work on the machine slows each function by another factor. So they are called in
    turn, 25 times in each repetition, with a pause between repetitions, and the best call counts.

    Parameters
    ----------
    fills : sequence of callable
        Each takes some microseconds or more.
    repetitions : int
        Of 25 calls of each.

    Returns
    -------
    list of float
        In the order of `fills`.
    """
    best = [math.inf] * len(fills)
    for _ in range(repetitions):
        time.sleep(PAUSE)
        for _ in range(CALLS):
            for i, fill in enumerate(fills):
                start = time.perf_counter()
                fill()
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def _prepared(
    implementation: Implementation, distribution: Distribution, array: Array, threads: int
) -> tuple[Fill | None, str | None]:
    """The function that fills and None, or None and why it is skipped."""
    try:
        fill = implementation.filler(distribution, array, threads)
        if implementation.role == "memory":
            return fill, None
        array.view(np.uint8).fill(0xFF)  # NaN, lest values of the one before pass for its own
        fill()
        failure = mismatch(array, distribution)
    except Exception as error:  # whatever fails in another library must not end the benchmark
        first_line = str(error).partition("\n")[0]
        return None, f"{type(error).__name__}: {first_line}"
    return (fill, None) if failure is None else (None, failure)


def measure(
    distribution: str,
    dtype: str,
    memory: NDArray[np.uint8],
    *,
    threads: Sequence[int],
    repetitions: int,
    fresh: bool = False,
    implementations: Iterable[Implementation] = IMPLEMENTATIONS,
) -> Run:
    """Verify and time all implementations of a distribution on the same memory.

    Each repetition takes them in another order, so that other work on the machine affects all
    alike and none always follows the same other. A repetition calls the fill until 5 ms have
    passed.

    Parameters
    ----------
    distribution : str
        A name in `DISTRIBUTIONS`.
    dtype : str
        A name in ``fastxavier._dtypes.FLOATS``.
    memory : numpy.ndarray
        Contiguous bytes; they are overwritten.
    threads : sequence of int
        Numbers of threads; an implementation that takes one is timed with each.
    repetitions : int
        How often each is timed. One that has taken ten seconds and has two repetitions skips the
        others.
    fresh : bool, default False
        Time one fill of a new array in each repetition, whose pages the system has yet to make;
        `memory` serves to verify. It must be larger than 32 MiB.
    implementations : iterable of Implementation
        The ones to choose from; those whose package is not installed are left out.

    Returns
    -------
    Run
        With a `Timing` for each implementation and number of threads.

    Raises
    ------
    ValueError
        If `memory` is too small for `fresh`.
    """
    if fresh and memory.nbytes < LEAST_FRESH:
        raise ArgumentValueError(
            f"memory is {memory.nbytes} bytes; fresh memory is timed beyond 32 MiB, since of less "
            "an allocator gives out again what was freed",
            "memory",
        )
    where = "fresh" if fresh else "warm"
    drawn = DISTRIBUTIONS[distribution]
    array = memory.view(dtype_named(dtype))
    timings: list[Timing] = []
    fills: dict[int, Callable[[], float]] = {}
    for one in implementations:
        if distribution not in one.distributions or dtype not in one.dtypes or one.version is None:
            continue
        if where not in one.memories:
            continue
        counts: dict[str, Sequence[int | None]] = {"one": [1], "given": threads, "own": [None]}
        for count in counts[one.threads]:
            used = count or max(threads)
            fill, failure = _prepared(one, drawn, array, used)
            if fill is not None:
                fills[len(timings)] = (
                    partial(_fresh_repetition, one, drawn, array, used)
                    if fresh
                    else partial(_repetition, fill)
                )
            timings.append(
                Timing(one.name, one.package, one.role, one.note, count, failure=failure)
            )
    seconds: dict[int, list[float]] = {i: [] for i in fills}
    spent = dict.fromkeys(fills, 0.0)
    for repetition in range(repetitions):
        order = [i for i in fills if repetition < 2 or spent[i] < MAX_SECONDS]
        random.Random(repetition).shuffle(order)
        for i in order:
            start = time.perf_counter()
            seconds[i].append(fills[i]())
            spent[i] += time.perf_counter() - start
    timed = (replace(one, seconds=tuple(seconds.get(i, ()))) for i, one in enumerate(timings))
    return Run(distribution, dtype, array.nbytes, array.size, tuple(timed), where)
