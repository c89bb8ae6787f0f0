"""What `verify` reports: findings, on an array or a whole model, which print as tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from fastxavier._console import columns, printable
from fastxavier.distributions import Distribution
from fastxavier.initializers import Resolved


@dataclass(frozen=True)
class Finding:
    """One line of a `Verification`.

    Attributes
    ----------
    name : str
        What was looked at.
    expected, measured : float
        What the distribution leads to expect (for minimum and maximum, the median) and what the
        array holds.
    z : float or None
        Their difference in standard errors, for a mean, a variance or a chi-square.
    p : float or None
        Probability that draws of the distribution differ as much; None where that is not judged.
    limit : float or None
        The most that `measured` may be, for counts and deviations.
    spread : float or None
        The standard deviation of `measured` if the array holds draws of the distribution, for a
        chi-square.
    statistic : str
        "chi²", "Kolmogorov-Smirnov" or "count" for a fit.
    note : str
        How it was measured, or what was found where.
    """

    name: str
    expected: float
    measured: float
    z: float | None = None
    p: float | None = None
    limit: float | None = None
    spread: float | None = None
    statistic: str = ""
    note: str = ""

    def passes(self, level: float) -> bool:
        """Whether it is consistent with the distribution, for which p must be `level` or more."""
        return (self.p is None or self.p >= level) and (
            self.limit is None or self.measured <= self.limit
        )

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.statistic or self.name.replace("_", " ")


@dataclass(frozen=True)
class Verification:
    """What `verify` found in one array. Prints as a table; `asdict` makes a dictionary of it.

    Attributes
    ----------
    ok : bool
        True if all findings are consistent with the distribution.
    failures : tuple of str
        Names of the findings that are not.
    level : float
        The smallest p that is: `false_alarm` divided by the number of p-values.
    distribution : Distribution or StructuredInitializer
        What the array was compared with; an initializer as resolved for the array's shape.
    dtype, shape, false_alarm, seed, stream
        What was asked about which array.
    expected_std, measured_std : float or None
        The distribution's standard deviation as the dtype holds it, and that of the values about
        the distribution's mean; None where they were not compared.
    nans, infinities : Finding or None
        Values that are not finite. All else is about the finite ones.
    out_of_bounds : Finding or None
        Values outside the distribution's bounds as the dtype rounds them.
    mean, variance : Finding or None
        Against the distribution as the dtype holds it; the variance is the mean squared distance
        from the distribution's own mean.
    fit : Finding or None
        Whether the values have the distribution's shape: a chi-square, whose expected value is its
        degrees of freedom, the Kolmogorov-Smirnov distance, whose expected value is its median, or
        the count of one of few numbers.
    minimum, maximum : Finding or None
        The extremes.
    repeats : Finding or None
        Blocks of values that the array holds twice, the second time perhaps reversed or negated.
    deviation : Finding or None
        Of a structured initializer: how far the array is from its property.
    differing_values : Finding or None
        Values that are not the ones that `seed` and `stream` give; of an array of integers, those
        that are not the plan's constant.
    equal_values : Finding or None
        How often the most frequent number occurs among few values.
    serial_correlation, row_correlation : Finding or None
        The correlation of values that are next to each other in C order, and of those that are next
        to each other along the first axis.
    """

    distribution: Resolved
    dtype: str
    shape: tuple[int, ...]
    false_alarm: float
    seed: int | None = None
    stream: int | str | None = None
    nans: Finding | None = None
    infinities: Finding | None = None
    out_of_bounds: Finding | None = None
    mean: Finding | None = None
    variance: Finding | None = None
    fit: Finding | None = None
    minimum: Finding | None = None
    maximum: Finding | None = None
    repeats: Finding | None = None
    deviation: Finding | None = None
    differing_values: Finding | None = None
    equal_values: Finding | None = None
    serial_correlation: Finding | None = None
    row_correlation: Finding | None = None
    expected_std: float | None = None
    measured_std: float | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the table."""
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return tuple(value for value in values if isinstance(value, Finding))

    @property
    def level(self) -> float:
        """The smallest p that is consistent with the distribution (Bonferroni)."""
        return self.false_alarm / max(1, sum(one.p is not None for one in self.findings))

    @property
    def _failed(self) -> tuple[Finding, ...]:
        """The findings that are not consistent with the distribution."""
        return tuple(one for one in self.findings if not one.passes(self.level))

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the findings that are not consistent with the distribution."""
        return tuple(one.name for one in self._failed)

    @property
    def ok(self) -> bool:
        """Whether all findings are consistent with the distribution."""
        return not self._failed

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
            "seed": self.seed,
            "stream": self.stream,
            "expected_std": plain(self.expected_std),
            "measured_std": plain(self.measured_std),
            "findings": {
                one.name: {name: plain(value) for name, value in vars(one).items()}
                for one in self.findings
            },
        }

    def __str__(self) -> str:
        values = f"{math.prod(self.shape):,} values, {self.dtype}, shape {self.shape}"
        rows: list[tuple[str, ...]] = [("", "expected", "measured", "std errors off", "p", "")]
        rows += [_cells_of(one, self.level) for one in self.findings]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{self.distribution!r}: {values}"]
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            cells[0], cells[-1] = row[0].ljust(widths[0]), row[-1]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, self.verdict, *self._legend()])

    @property
    def verdict(self) -> str:
        """One line: whether the array passes, or which findings fail."""
        if self._failed:
            return f"FAILED: {', '.join(one.title for one in self._failed)}"
        if self.seed is not None:
            return f"ok: the values of seed {self.seed}, stream {self.stream!r}"
        kind = "distribution" if isinstance(self.distribution, Distribution) else "initializer"
        return f"ok: consistent with the {kind}"

    def _legend(self) -> list[str]:
        if not any(one.p is not None for one in self.findings):
            return []
        return [
            "std errors off: (measured - expected) / standard error; p: probability that draws of "
            "the",
            f"distribution differ as much. A test fails where p is below {self.level:.2g}.",
        ]


def _cells_of(one: Finding, level: float) -> tuple[str, ...]:
    """A row of the table."""
    expected, measured = (
        f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
        for number in (one.expected, one.measured)
    )
    if one.spread is not None:
        expected += f" ± {one.spread:.0f}"
    return (
        one.title,
        expected,
        measured,
        "" if one.z is None else f"{one.z:+.2f}",
        "" if one.p is None else f"{one.p:.2g}",
        one.note if one.passes(level) else f"FAILED  {one.note}".rstrip(),
    )


# ---- a model -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelVerification:
    """What `verify` found in the tensors of a model. Prints as a table.

    Attributes
    ----------
    ok : bool
        True if every tensor is consistent with the plan.
    failures : tuple of str
        Names of the tensors that are not.
    tensors : dict of str to Verification
        The report on each tensor. Its `false_alarm` is the model's, divided by the number of
        tensors; of a tensor without elements it has no findings.
    false_alarm : float
        The probability with which a model that is right may fail.
    seed : int or None
        The seed whose bits the tensors were compared with.
    mismatches : dict of str to str
        Tensors that were not looked at, since the model should not have them, or have them in
        another shape or dtype, and tensors that it does not have; and what is wrong with each.
    not_judged : dict of str to str
        Tensors that were not looked at, since their distribution follows from the number of blocks
        of the model, and why that is not known. They do not count as failures.
    """

    tensors: dict[str, Verification]
    false_alarm: float
    seed: int | None = None
    mismatches: dict[str, str] = field(default_factory=dict)
    not_judged: dict[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the tensors that fail, those with a mismatch first."""
        return (*self.mismatches, *(name for name, one in self.tensors.items() if not one.ok))

    @property
    def ok(self) -> bool:
        """Whether every tensor is consistent with the plan."""
        return not self.failures

    def asdict(self) -> dict[str, Any]:
        """The same as a dictionary that ``json`` takes."""
        return {
            "ok": self.ok,
            "failures": list(self.failures),
            "false_alarm": self.false_alarm,
            "seed": self.seed,
            "mismatches": dict(self.mismatches),
            "not_judged": dict(self.not_judged),
            "tensors": {name: one.asdict() for name, one in self.tensors.items()},
        }

    @property
    def head(self) -> tuple[str, ...]:
        """The titles of the table's columns."""
        return ("tensor", "shape", "dtype", "distribution", *self._measures, "verdict")

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The rows of the table, one for each tensor."""
        empty = ("",) * (len(self.head) - 2)
        return [
            *((name, *empty, f"FAILED: {what}") for name, what in self.mismatches.items()),
            *((name, *self._cells(one)) for name, one in self.tensors.items()),
            *((name, *empty, "not judged") for name in self.not_judged),
        ]

    @property
    def _measures(self) -> tuple[str, ...]:
        if self.seed is not None:
            return ("differing values",)
        return ("expected std", "measured std", "mean: std errors off", "std: std errors off")

    def _cells(self, one: Verification) -> tuple[str, ...]:
        if self.seed is not None:
            count = one.differing_values
            measures: tuple[str, ...] = ("" if count is None else f"{count.measured:,}",)
        else:
            stds = (one.expected_std, one.measured_std)
            scores = (found and found.z for found in (one.mean, one.variance))
            measures = (
                *("" if std is None else f"{std:.6g}" for std in stds),
                *("" if score is None else f"{score:+.2f}" for score in scores),
            )
        return (
            "x".join(map(str, one.shape)) or "scalar",
            one.dtype,
            _short(one.distribution),
            *measures,
            "ok" if one.ok else one.verdict,
        )

    @property
    def verdict(self) -> str:
        """One line: whether the model passes, or how many tensors do not."""
        number = len(self.tensors) + len(self.mismatches)
        if self.failures:
            return f"FAILED: {len(self.failures)} of {number} tensors"
        return f"ok: {number} tensors"

    @property
    def left_out(self) -> str:
        """One line: how many tensors are not judged, and why; empty if all are."""
        if not self.not_judged:
            return ""
        why = " and ".join(dict.fromkeys(self.not_judged.values()))
        return (
            f"not judged: {len(self.not_judged)} tensors, whose distribution follows from the "
            f"number of blocks of the model; it is not known, since {printable(why)}."
        )

    @property
    def legend(self) -> str:
        """What the table's columns mean, in two lines at most."""
        if self.seed is not None:
            return (
                f"differing values: those that are not the ones that seed {self.seed} gives, with "
                "the tensor's name as stream"
            )
        return (
            "std errors off: (measured - expected) / standard error; more than 4 is improbable.\n"
            f"A model that is right fails with a probability of at most {self.false_alarm:.2g}."
        )

    def __str__(self) -> str:
        lines = [*columns(self.head, self.rows), self.verdict, self.left_out, self.legend]
        return "\n".join(filter(None, lines))


def _short(distribution: Resolved) -> str:
    """The distribution with its parameters to six digits."""
    if not isinstance(distribution, Distribution):
        return repr(distribution)
    arguments = ", ".join(f"{value:.6g}" for value in distribution._arguments().values())
    return f"{type(distribution).__name__}({arguments})"
