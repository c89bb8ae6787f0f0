"""What `init_` did, tensor by tensor: a value that prints as a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from fastxavier import _core
from fastxavier._console import columns
from fastxavier._moments import moments
from fastxavier.distributions import Distribution
from fastxavier.initializers import Resolved
from fastxavier.plans._rule import Rule

__all__ = ["Filled", "Report", "Tensor", "unused"]

Array: TypeAlias = "np.ndarray[Any, Any]"
Tensor = tuple[str, Any, Any, int]  # name, target, distribution, stream


@dataclass(frozen=True)
class Filled:
    """One tensor of a `Report`: `name`, `shape`, `dtype`, `distribution`, and its values' std.

    A deep copy, and what pickle restores, has the measured std instead of the array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    distribution: Resolved
    _values: Array | float | None = field(default=None, repr=False, compare=False)
    """The array that is to be measured, or the std that has been, or None for neither."""

    @property
    def expected_std(self) -> float | None:
        """The standard deviation of the distribution; None for a structured initializer."""
        return self.distribution.std if isinstance(self.distribution, Distribution) else None

    @cached_property
    def measured_std(self) -> float | None:
        """That of the values, measured when it is first asked for.

        None for a tensor without elements, and in a detached report.
        """
        if not isinstance(self._values, np.ndarray):
            return self._values
        return moments(self._values).std if self._values.size else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Filled, (self.name, self.shape, self.dtype, self.distribution, self.measured_std)


@dataclass(frozen=True)
class Report:
    """What `init_` did: `tensors`, each a `Filled`, `unused_rules`, `seed`, `seconds` and `nbytes`.

    Prints as a table. It keeps the arrays alive, and measures them when it is printed, pickled or
    deeply copied, or a `measured_std` is asked for, not before: that takes far longer than filling
    them. A deep copy, and what pickle restores, has what was measured and no arrays.
    """

    seed: int
    seconds: float
    nbytes: int
    _tensors: tuple[Tensor | Filled, ...] = field(repr=False, compare=False)
    """What the tensors are made of when they are asked for, or the tensors."""
    _unused: Callable[[], tuple[Rule, ...]] | tuple[Rule, ...] = field(repr=False, compare=False)
    """How the unused rules are found, or the rules."""

    @cached_property
    def tensors(self) -> tuple[Filled, ...]:
        """The tensors, in the order of the mapping."""
        return tuple(
            [one if isinstance(one, Filled) else _filled(*one[:3]) for one in self._tensors]
        )

    @cached_property
    def unused_rules(self) -> tuple[Rule, ...]:
        """The plan's rules that initialized no tensor, as a misspelled name does not.

        Those of presets, which are for more models than one, are left out.
        """
        return self._unused() if callable(self._unused) else self._unused

    def detached(self) -> Report:
        """The same without the arrays: for memory that will not stay, such as a file's."""
        tensors = tuple([replace(one, _values=None) for one in self.tensors])
        return replace(self, _tensors=tensors, _unused=self.unused_rules)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = self.seed, self.seconds, self.nbytes, self.tensors, self.unused_rules
        return Report, fields

    def asdict(self) -> dict[str, Any]:
        """The same as a dictionary of plain values; what is not a finite number is None."""
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "nbytes": self.nbytes,
            "tensors": [
                {
                    "name": tensor.name,
                    "shape": list(tensor.shape),
                    "dtype": tensor.dtype,
                    "distribution": repr(tensor.distribution),
                    "expected_std": _finite(tensor.expected_std),
                    "measured_std": _finite(tensor.measured_std),
                }
                for tensor in self.tensors
            ],
            "unused_rules": [repr(rule) for rule in self.unused_rules],
        }

    @property
    def summary(self) -> str:
        """One line: how many tensors, how much, how fast, from which seed."""
        speed = f", {self.nbytes / self.seconds / 1e9:.1f} GB/s" if self.seconds > 0 else ""
        return (
            f"{len(self.tensors)} tensors, {self.nbytes / 1e6:,.1f} MB in "
            f"{self.seconds * 1e3:,.1f} ms{speed}, seed {self.seed}"
        )

    @property
    def head(self) -> tuple[str, ...]:
        """The titles of the table's columns: the measured std is one if anything was measured."""
        head = ("tensor", "shape", "dtype", "distribution", "expected std")
        return (*head, "measured std") if self._is_measured else head

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The table's rows; their columns are `head`."""
        titles = len(self.head)
        return [
            (
                tensor.name,
                "x".join(map(str, tensor.shape)) or "scalar",
                tensor.dtype,
                _shown(tensor.distribution),
                "" if tensor.expected_std is None else f"{tensor.expected_std:.6g}",
                "" if tensor.measured_std is None else f"{tensor.measured_std:.6g}",
            )[:titles]
            for tensor in self.tensors
        ]

    @property
    def legend(self) -> str:
        """What the table's numbers are."""
        measured = "; measured std: of the values in the array" if self._is_measured else ""
        return f"expected std: of the distribution{measured}"

    @property
    def _is_measured(self) -> bool:
        return any(tensor.measured_std is not None for tensor in self.tensors)

    def __str__(self) -> str:
        return "\n".join(
            [*columns(self.head, self.rows), self.legend, *unused(self.unused_rules), self.summary]
        )


def unused(rules: tuple[Rule, ...]) -> list[str]:
    """Lines that name the rules which initialized no tensor."""
    return [f"unused: {rule}, which initialized no tensor" for rule in rules]


def _shown(distribution: Resolved) -> str:
    if not isinstance(distribution, Distribution):
        return repr(distribution)
    arguments = ", ".join(f"{value:.6g}" for value in distribution._arguments().values())
    return f"{type(distribution).__name__}({arguments})"


def _finite(std: float | None) -> float | None:
    """A std as JSON can hold it."""
    return std if std is not None and math.isfinite(std) else None


def _filled(name: str, target: Any, distribution: Resolved) -> Filled:
    if isinstance(target, _core.Target):
        return Filled(name, target.shape, target.dtype, distribution, target.numpy())
    return Filled(name, target.shape, target.dtype.name, distribution, target)
