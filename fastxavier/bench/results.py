"""What a benchmark measured, the ratios made of it, and its JSON form.

Written by benchmark.py; read by report.py, plot.py and ``fastxavier bench --from``. Ratios are of
medians.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from fastxavier._validation import ArgumentError, choice, integer, real, shown
from fastxavier.bench.base import DISTRIBUTIONS, MEMORIES

__all__ = ["Benchmark", "Run", "Timing"]

UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
FORMAT = 1  # of the JSON form
ROLES = ("memory", "ours", "peer")


@dataclass(frozen=True)
class Timing:
    """The times of one implementation in a run.

    Attributes
    ----------
    name, package, role, note : str
        Those of the implementation.
    threads : int or None
        Number of threads; None for the library's own pool.
    seconds : tuple of float
        Seconds of one fill, for each repetition; empty if it was skipped.
    failure : str or None
        Why it was skipped.
    """

    name: str
    package: str
    role: str
    note: str
    threads: int | None
    seconds: tuple[float, ...] = ()
    failure: str | None = None

    @property
    def best(self) -> float:
        """Seconds of the fastest repetition."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Seconds of the median repetition."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Run:
    """One distribution, dtype and size, filled by every implementation that offers it.

    Attributes
    ----------
    distribution : str
        Its name in `DISTRIBUTIONS`.
    dtype : str
        Of the array.
    nbytes, count : int
        Bytes and values of the array.
    timings : tuple of Timing
        One for each implementation and number of threads, skipped ones included.
    memory : {"warm", "fresh"}
        One array for all fills, or a new one for each.
    """

    distribution: str
    dtype: str
    nbytes: int
    count: int
    timings: tuple[Timing, ...]
    memory: str = "warm"

    @property
    def size(self) -> str:
        """The bytes of the array, in KiB, MiB or GiB."""
        unit = [unit for unit, nbytes in UNITS.items() if self.nbytes >= nbytes][-1]
        return f"{self.nbytes / UNITS[unit]:.4g} {unit or 'bytes'}"

    @property
    def timed(self) -> list[Timing]:
        """The timings of those that were not skipped, the fastest first."""
        return sorted((one for one in self.timings if one.seconds), key=lambda one: one.median)

    @property
    def skipped(self) -> list[Timing]:
        """Those that failed and were skipped."""
        return [one for one in self.timings if one.failure]

    @property
    def ours(self) -> list[Timing]:
        """The timings of this package, the fastest first."""
        return [one for one in self.timed if one.role == "ours"]

    @property
    def fastest_peer(self) -> Timing | None:
        """The fastest other library, if one was timed."""
        return next((one for one in self.timed if one.role == "peer"), None)

    def gigabytes_per_second(self, timing: Timing) -> float:
        """Speed of the median repetition."""
        return self.nbytes / timing.median / 1e9

    def nanoseconds(self, seconds: float) -> float:
        """Nanoseconds per value of a fill that took this many seconds."""
        return seconds / self.count * 1e9

    def bandwidth_fraction(self, timing: Timing) -> float | None:
        """Speed relative to the fastest store without arithmetic on as many threads or fewer."""
        memory = [
            one.median
            for one in self.timed
            if one.role == "memory" and _at_most(one.threads, timing.threads)
        ]
        return min(memory) / timing.median if memory else None

    def times_fastest_peer(self, timing: Timing) -> float | None:
        """Speed relative to the fastest other library on any number of threads."""
        peer = self.fastest_peer
        return peer.median / timing.median if peer else None


def _at_most(threads: int | None, most: int | None) -> bool:
    return most is None or (threads is not None and threads <= most)


@dataclass(frozen=True)
class Benchmark:
    """All runs, and where they were made. `from_dict` reads what `asdict` returns.

    Attributes
    ----------
    machine : dict
        What `fastxavier.info` finds, and the system and Python version.
    versions : dict
        Version of each package that can be compared; None if it is not installed.
    repetitions : int
        How often each implementation was timed in a run; slow ones less often.
    runs : tuple of Run
        In the order in which they were made.
    """

    machine: dict[str, Any]
    versions: dict[str, str | None]
    repetitions: int
    runs: tuple[Run, ...]

    def asdict(self) -> dict[str, Any]:
        """Every time and the ratios made of them, as a dictionary that ``json`` can write."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "versions": self.versions,
            "repetitions": self.repetitions,
            "distributions": {name: repr(one) for name, one in DISTRIBUTIONS.items()},
            "runs": [
                {
                    "distribution": run.distribution,
                    "dtype": run.dtype,
                    "nbytes": run.nbytes,
                    "count": run.count,
                    "memory": run.memory,
                    "timings": [asdict(one) | _figures(run, one) for one in run.timings],
                }
                for run in self.runs
            ],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Benchmark:
        """Read what `asdict` returned, and check it.

        Raises
        ------
        ValueError
            If a part is missing or cannot be right; the message says which.
        """
        found = _value(data, "format", object, "the benchmark")
        if found != FORMAT:
            raise ValueError(f"the benchmark has format {shown(found)}; it must be {FORMAT}")
        machine = _value(data, "machine", dict, "the benchmark")
        for key in ("cpu", "isa", "threads"):
            _value(machine, key, object, "machine")
        versions = _value(data, "versions", dict, "the benchmark")
        for package in versions:
            _value(versions, package, str | None, "versions")
        try:
            return cls(
                machine,
                versions,
                _count(data, "repetitions", "the benchmark"),
                tuple(
                    _read_run(one, f"runs[{i}]")
                    for i, one in enumerate(_items(data, "runs", "the benchmark"))
                ),
            )
        except ArgumentError as error:
            raise ValueError(str(error)) from None


def _figures(run: Run, timing: Timing) -> dict[str, float | None]:
    if not timing.seconds:
        return {}
    return {
        "best": timing.best,
        "median": timing.median,
        "gigabytes_per_second": run.gigabytes_per_second(timing),
        "nanoseconds_per_value": run.nanoseconds(timing.median),
        "bandwidth_fraction": run.bandwidth_fraction(timing),
        "times_fastest_peer": run.times_fastest_peer(timing),
    }


# ---- reading -------------------------------------------------------------------------------------

_JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    str | None: "a string or null",
    int | None: "an integer or null",
}


def _value(data: Any, key: str, kind: Any, where: str) -> Any:
    """The value of a key that must be there and be of this type."""
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {shown(data)}; it must be {_JSON_NAMES[dict]}")
    if key not in data:
        raise ValueError(f"{where} has no {key!r}")
    value = data[key]
    if not isinstance(value, kind):
        raise ValueError(f"{where}: {key!r} is {shown(value)}; it must be {_JSON_NAMES[kind]}")
    return value


def _items(data: Any, key: str, where: str) -> list[Any]:
    """The list of a key, which must not be empty."""
    items: list[Any] = _value(data, key, list, where)
    if not items:
        raise ValueError(f"{where}: {key!r} is empty; it must hold at least one result")
    return items


def _count(data: Any, key: str, where: str) -> int:
    return integer(f"{where}: {key!r}", _value(data, key, object, where), 1)


def _read_run(data: Any, where: str) -> Run:
    distribution = _value(data, "distribution", str, where)
    memory = _value({"memory": "warm"} | data, "memory", str, where)  # older files do not say
    return Run(
        distribution,
        _value(data, "dtype", str, where),
        _count(data, "nbytes", where),
        _count(data, "count", where),
        tuple(
            _read_timing(one, f"{where}.timings[{i}]")
            for i, one in enumerate(_items(data, "timings", where))
        ),
        choice(f"{where}: 'memory'", memory, MEMORIES),
    )


def _read_timing(data: Any, where: str) -> Timing:
    threads = _value(data, "threads", int | None, where)
    seconds = [real(f"{where}: 'seconds'", one) for one in _value(data, "seconds", list, where)]
    if seconds and min(seconds) <= 0:
        raise ValueError(f"{where}: 'seconds' has {min(seconds)}; times must be above 0")
    return Timing(
        _value(data, "name", str, where),
        _value(data, "package", str, where),
        choice(f"{where}: 'role'", _value(data, "role", str, where), ROLES),
        _value(data, "note", str, where),
        None if threads is None else _count(data, "threads", where),
        tuple(seconds),
        _value(data, "failure", str | None, where),
    )
