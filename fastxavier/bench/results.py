"""What a race found, and how it is written as JSON and read again."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

DISTRIBUTIONS: dict[str, Distribution] = {
    "uniform": Uniform(-0.05, 0.05),
    "normal": Normal(0.0, 0.02),
    "truncated_normal": TruncatedNormal(0.0, 0.02),
}

UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
FORMAT = 1  # of the dictionary


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
