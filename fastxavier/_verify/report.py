"""What `verify` reports: findings, and the table that they print as."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from fastxavier.distributions import Distribution

Array = NDArray[Any]


@runtime_checkable
class Structural(Protocol):
    """What `verify` asks of a structure: how far an array is from it, and may be."""

    def deviation(self, array: Array) -> float:
        """How far `array` is from such a structure."""
        ...

    def tolerance(self, array: Array) -> float:
        """How far rounding lets it be."""
        ...


@dataclass(frozen=True)
class Finding:
    """One line of a `Verification`.

    Attributes
    ----------
    name : str
        What was looked at.
    expected, measured : float
        What the distribution lets expect (of an extreme: its median) and what the array holds.
    z : float or None
        Their difference in standard errors, for a mean or a variance.
    p : float or None
        Probability that draws of the distribution differ as much; None where that is not judged.
    limit : float or None
        What `measured` must not pass, for counts and deviations.
    note : str
        How it was measured, or what was found where.
    """

    name: str
    expected: float
    measured: float
    z: float | None = None
    p: float | None = None
    limit: float | None = None
    note: str = ""

    def passes(self, level: float) -> bool:
        """Whether it speaks for the distribution, `level` being the least probability that does."""
        return (self.p is None or self.p >= level) and (
            self.limit is None or self.measured <= self.limit
        )


@dataclass(frozen=True)
class Verification:
    """What `verify` found. Prints as a table; ``asdict`` makes a dictionary of it.

    Attributes
    ----------
    ok : bool
        True if nothing found speaks against the distribution.
    failures : tuple of str
        Names of the findings that do.
    level : float
        The least p that does not: `false_alarm` divided by the number of p-values.
    distribution, dtype, shape, false_alarm
        What was asked of which array.
    nans, infinities : Finding
        Values that are not finite. All else is about the finite ones.
    out_of_bounds : Finding or None
        Values outside the distribution's bounds, those rounded to the array's dtype.
    mean, variance : Finding or None
        Against the distribution as the dtype holds it; the variance is taken about the distribution's own mean.
    fit : Finding or None
        Chi-square, with its degrees of freedom as what is expected, or the distance of
        Kolmogorov and Smirnov, with its median.
    least, greatest : Finding or None
        The extremes.
    repeats : Finding or None
        Blocks of values that stand in the array twice.
    deviation : Finding or None
        Of a structure: its distance from the array.
    """

    distribution: Distribution | Structural
    dtype: str
    shape: tuple[int, ...]
    false_alarm: float
    nans: Finding
    infinities: Finding
    out_of_bounds: Finding | None = None
    mean: Finding | None = None
    variance: Finding | None = None
    fit: Finding | None = None
    least: Finding | None = None
    greatest: Finding | None = None
    repeats: Finding | None = None
    deviation: Finding | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the table."""
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return tuple(value for value in values if isinstance(value, Finding))

    @property
    def level(self) -> float:
        """The least p that does not speak against the distribution (Bonferroni)."""
        return self.false_alarm / max(1, sum(one.p is not None for one in self.findings))

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the findings that speak against the distribution."""
        return tuple(one.name for one in self.findings if not one.passes(self.level))

    @property
    def ok(self) -> bool:
        """Whether no finding speaks against the distribution."""
        return not self.failures

    def asdict(self) -> dict[str, Any]:
        """The same as a dictionary that ``json`` takes; numbers that are not finite are None."""

        def plain(value: Any) -> Any:
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return {
            "ok": self.ok,
            "failures": list(self.failures),
            "distribution": repr(self.distribution),
            "dtype": self.dtype,
            "shape": list(self.shape),
            "false_alarm": self.false_alarm,
            "level": self.level,
            "findings": {
                one.name: {name: plain(value) for name, value in vars(one).items()}
                for one in self.findings
            },
        }

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "expected", "measured", "z", "p", "")]
        rows += [_cells_of(one, self.level) for one in self.findings]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{self.distribution!r}: {math.prod(self.shape):,} of {self.dtype}, shape {self.shape}"
        ]
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            cells[0], cells[-1] = row[0].ljust(widths[0]), row[-1]
            lines.append("  ".join(cells).rstrip())
        against = ", ".join(map(_spoken, self.failures))
        verdict = f"NOT OK: {against}" if against else "ok: nothing speaks against the distribution"
        return "\n".join((*lines, f"{verdict} (the least p allowed is {self.level:.2g})"))


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _cells_of(one: Finding, level: float) -> tuple[str, ...]:
    """A row of the table."""
    expected, measured = (
        f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
        for number in (one.expected, one.measured)
    )
    return (
        _spoken(one.name),
        expected,
        measured,
        "" if one.z is None else f"{one.z:+.2f}",
        "" if one.p is None else f"{one.p:.2g}",
        one.note if one.passes(level) else f"FAILS  {one.note}",
    )
