"""Races: contestants take turns on one array, each verified before it is timed.

Knows no library by name; `peers` knows how each fills. Ratios are of medians.
"""

from __future__ import annotations

import math
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxavier._info import info
from fastxavier.bench.implementations import CONTESTANTS, Contestant, dtype_named
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

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

DISTRIBUTIONS: dict[str, Distribution] = {
    "uniform": Uniform(-0.05, 0.05),
    "normal": Normal(0.0, 0.02),
    "truncated_normal": TruncatedNormal(0.0, 0.02),
}

UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
FORMAT = 1  # of the dictionary
STANDARD_ERRORS = 6.0  # a right contestant is accused once in 10^9
SETTLE = 0.02  # seconds after which another library's idle threads no longer spin
LEAST = 0.005  # seconds that a turn lasts, or longer
PATIENCE = 10.0  # seconds after which a contestant that has two turns sits out the rest
CHUNK = 1 << 17  # values whose doubles stay in the cache


# ---- results -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """What one contestant did in a heat.

    Attributes
    ----------
    name, package, role, note : str
        The contestant's.
    threads : int or None
        At most this many; None for a pool of its own.
    seconds : tuple of float
        Of one fill, for each of its turns; none if it was not timed.
    failure : str or None
        Why it was not.
    """

    name: str
    package: str
    role: str
    note: str
    threads: int | None
    seconds: tuple[float, ...] = ()
    failure: str | None = None

    @property
    def least(self) -> float:
        """Seconds of its best turn."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Seconds of its middle turn."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Heat:
    """A distribution into an array of one dtype and size, by all who offer it.

    Attributes
    ----------
    distribution : str
        Its name in `DISTRIBUTIONS`.
    dtype : str
        The array's.
    nbytes, count : int
        Its size, in bytes and in values.
    entries : tuple of Entry
        The contestants', those that failed included.
    """

    distribution: str
    dtype: str
    nbytes: int
    count: int
    entries: tuple[Entry, ...]

    @property
    def size(self) -> str:
        """In bytes, in the unit a reader would choose."""
        unit = [unit for unit, least in UNITS.items() if self.nbytes >= least][-1]
        return f"{self.nbytes / UNITS[unit]:.4g} {unit or 'bytes'}"

    @property
    def timed(self) -> list[Entry]:
        """Those that did not fail, the fastest first."""
        return sorted((e for e in self.entries if e.seconds), key=lambda entry: entry.median)

    @property
    def failed(self) -> list[Entry]:
        """Those that did."""
        return [entry for entry in self.entries if entry.failure]

    @property
    def ours(self) -> list[Entry]:
        """This package's, the fastest first."""
        return [entry for entry in self.timed if entry.role == "ours"]

    @property
    def fastest_peer(self) -> Entry | None:
        """The fastest of the others, if one was timed."""
        return next((entry for entry in self.timed if entry.role == "peer"), None)

    def gigabytes_per_second(self, entry: Entry) -> float:
        """Of the median."""
        return self.nbytes / entry.median / 1e9

    def nanoseconds_per_value(self, entry: Entry) -> float:
        """Of the median."""
        return entry.median / self.count * 1e9

    def of_limit(self, entry: Entry) -> float:
        """Its speed, in units of what memory takes from as many threads: 1 is all of it."""
        limits = [
            other.median
            for other in self.timed
            if other.role == "limit" and (entry.threads is None or other.threads <= entry.threads)  # type: ignore[operator]
        ]
        return min(limits) / entry.median

    def of_fastest_peer(self, entry: Entry) -> float | None:
        """Its speed, in units of the fastest peer's, whatever its threads."""
        peer = self.fastest_peer
        return peer.median / entry.median if peer else None


@dataclass(frozen=True)
class Race:
    """All heats, and what they were run on. ``asdict`` gives what ``from_dict`` takes.

    Attributes
    ----------
    machine : dict
        What `fastxavier.info` says, and the Python and system it ran on.
    versions : dict
        Of each package that could take part; None for one that is not installed.
    rounds : int
        Turns of each contestant, but the slowest.
    heats : tuple of Heat
        In the order they were run.
    """

    machine: dict[str, Any]
    versions: dict[str, str | None]
    rounds: int
    heats: tuple[Heat, ...]

    def asdict(self) -> dict[str, Any]:
        """A dictionary that ``json`` takes: every time, and the figures made of them."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "versions": self.versions,
            "rounds": self.rounds,
            "distributions": {
                name: repr(distribution) for name, distribution in DISTRIBUTIONS.items()
            },
            "heats": [
                {
                    "distribution": heat.distribution,
                    "dtype": heat.dtype,
                    "nbytes": heat.nbytes,
                    "count": heat.count,
                    "entries": [asdict(entry) | _figures(heat, entry) for entry in heat.entries],
                }
                for heat in self.heats
            ],
        }

    @classmethod
    def from_dict(cls, race: dict[str, Any]) -> Race:
        """The race that a dictionary describes.

        Raises
        ------
        ValueError
            If it was written in another format.
        """
        found = race.get("format") if isinstance(race, dict) else None
        if found != FORMAT:
            raise ValueError(f"the race has format {found!r}; it must be {FORMAT}")
        try:
            return cls._read(race)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the race lacks or has otherwise: {error}") from None

    @classmethod
    def _read(cls, race: dict[str, Any]) -> Race:
        fields = [name for name in Entry.__dataclass_fields__ if name != "seconds"]
        heats = tuple(
            Heat(
                heat["distribution"],
                heat["dtype"],
                heat["nbytes"],
                heat["count"],
                tuple(
                    Entry(**{name: e[name] for name in fields}, seconds=tuple(e["seconds"]))
                    for e in heat["entries"]
                ),
            )
            for heat in race["heats"]
        )
        return cls(race["machine"], race["versions"], race["rounds"], heats)


def _figures(heat: Heat, entry: Entry) -> dict[str, float | None]:
    if not entry.seconds:
        return {}
    return {
        "least": entry.least,
        "median": entry.median,
        "gigabytes_per_second": heat.gigabytes_per_second(entry),
        "nanoseconds_per_value": heat.nanoseconds_per_value(entry),
        "of_limit": heat.of_limit(entry),
        "of_fastest_peer": heat.of_fastest_peer(entry),
    }


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
