"""A rule of a plan: tensors, by name and number of axes, and their initializer."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any, cast

from fastxavier._fans import Layout
from fastxavier._validation import ArgumentError, ArgumentTypeError, shown
from fastxavier.distributions import Distribution
from fastxavier.initializers import (
    Initializer,
    Resolved,
    VarianceScaling,
    initializer_named,
    resolve,
)
from fastxavier.plans._names import named
from fastxavier.structured import StructuredInitializer

__all__ = ["PlanError", "Rule"]


class PlanError(ArgumentError, ValueError):
    """A plan that is not valid, or that has no initializer for a tensor; see `ArgumentError`."""


MOST_AXES = 64  # of a NumPy array


@dataclass(frozen=True, init=False, repr=False)
class Rule:
    """Tensors, by name and number of axes, and the initializer they get.

    Immutable, compared by value. Everything that can be known without a shape is checked at once.

    Parameters
    ----------
    names : str or sequence of str
        Globs over the whole name of a tensor, one of which must match: ``*`` any characters, dots
        and slashes included, ``?`` one, ``[ab]`` either. Upper and lower case differ.
    initializer : str, VarianceScaling, Distribution or StructuredInitializer
        What `fill_` takes: a value, such as ``he_normal(mode="fan_out")`` or ``Normal(0, 0.02)``,
        or its name, such as "he_normal", "normal" or "orthogonal". Names of torch are known too.
    ndim : int, str or None
        How many axes the tensor must have: that many, or that many and more as in "2+". None
        leaves it open.
    beside : str or sequence of str, optional
        Last parts of names, one of which another tensor of the same module must have: with "bias",
        the rule is for ``bn.weight`` only if the model has ``bn.bias``. Where the names of the
        model are not known, it is for both.
    **settings
        With a name, the initializer's own parameters, such as `gain`, `mode` or `std`; with an
        initializer that takes fans also those of `fans`: `layout` (instead of the plan's),
        `in_axis`, `out_axis`, `batch_axis`, `groups`, `transposed`, `parts`.

    Attributes
    ----------
    initializer : VarianceScaling, Distribution or StructuredInitializer
        The value.

    Raises
    ------
    PlanError
        If a name or value is not valid; the message lists those that are.

    Examples
    --------
    >>> from fastxavier import Normal, Rule
    >>> Rule("*.qkv.weight", "glorot_uniform", ndim="2+", parts=3)
    Rule(('*.qkv.weight',), 'glorot_uniform', ndim='2+', parts=3)
    >>> Rule("*.bias", Normal(0.0, 1e-6), ndim=1)
    Rule(('*.bias',), 'normal', ndim=1, std=1e-06)
    """

    names: tuple[str, ...]
    initializer: Initializer
    ndim: int | str | None
    beside: tuple[str, ...]

    def __init__(
        self,
        /,  # so that a setting of this name is refused like any other
        names: str | Sequence[str],
        initializer: str | Initializer,
        *,
        ndim: int | str | None = None,
        beside: str | Sequence[str] = (),
        **settings: Any,
    ) -> None:
        object.__setattr__(self, "names", _checked_names(names))
        object.__setattr__(self, "initializer", _value(initializer, settings))
        object.__setattr__(self, "ndim", _checked_ndim(ndim))
        object.__setattr__(self, "beside", _checked_beside(beside))
        self.check("torch")

    def __repr__(self) -> str:
        ndim = [] if self.ndim is None else [f"ndim={self.ndim!r}"]
        if self.beside:
            ndim.append(f"beside={self.beside!r}")
        settings: list[str] = []
        try:
            name, given = named(self.initializer)
        except ArgumentTypeError:  # of a class of the user's
            initializer = repr(self.initializer)
        else:
            initializer = repr(name)
            settings = [f"{key}={value!r}" for key, value in given.items()]
        return f"Rule({', '.join([repr(self.names), initializer, *ndim, *settings])})"

    def matches(self, name: str, ndim: int) -> bool:
        """Whether the rule is for a tensor.

        Parameters
        ----------
        name : str
            The tensor's whole name.
        ndim : int
            Its number of axes.

        Returns
        -------
        bool
            Whether a glob matches the name, and the number of axes is the rule's.
        """
        return self.has_ndim(ndim) and self.has_name(name)

    def has_name(self, name: str) -> bool:
        """Whether a glob matches the name."""
        return pattern(self.names).match(name) is not None

    def has_ndim(self, ndim: int) -> bool:
        """Whether the rule is for this number of axes."""
        if isinstance(self.ndim, str):
            return ndim >= int(self.ndim[:-1])
        return self.ndim is None or ndim == self.ndim

    def has_neighbour(self, name: str, names: Container[str] | None) -> bool:
        """Whether the model, of whose names these are all, has what must be beside the tensor."""
        if not self.beside or names is None:
            return True
        module = re.sub(r"[^./]*$", "", name)
        return any(f"{module}{last}" in names for last in self.beside)

    def distribution(self, shape: tuple[int, ...], layout: str) -> Resolved:
        """What a tensor of this shape is filled with, in a plan of this layout."""
        resolved = resolve(self.initializer, shape, cast(Layout, layout))
        if isinstance(resolved, StructuredInitializer):
            resolved._check_shape(shape, "shape")
        return resolved

    def check(self, layout: str) -> None:
        """Raise what is wrong for tensors of any shape, in a plan of this layout."""
        initializer = self.initializer
        if isinstance(initializer, Distribution):
            return
        scaling = initializer if isinstance(initializer, VarianceScaling) else None
        if self.ndim is None and scaling is None:
            return
        numbers: Sequence[int]  # of axes, one of which must do
        if isinstance(self.ndim, int):
            numbers = [self.ndim]
        else:
            least = int(self.ndim[:-1]) if self.ndim else 0
            numbers = range(least, MOST_AXES + 1)
            if scaling is not None:
                numbers = [max(least, scaling.fewest_axes())]
        extent = getattr(initializer, "groups", 1) * getattr(initializer, "parts", 1)
        first = None
        for ndim in numbers:
            try:
                self.distribution((extent,) * ndim, layout)
                return
            except (TypeError, ValueError) as error:
                first = first or error
        argument = getattr(first, "argument", None)
        argument = "ndim" if argument in ("shape", "array") else argument
        raise PlanError(f"{first}, by {self}", argument)


def _value(initializer: Any, settings: dict[str, Any]) -> Initializer:
    if "rank" in settings:
        raise PlanError(
            "'rank' is not a parameter of a rule; the number of axes is 'ndim'",
            "rank",
            settings["rank"],
        )
    if isinstance(initializer, str):
        with plan_errors():
            return initializer_named(initializer, **settings)
    if not isinstance(initializer, (VarianceScaling, Distribution, StructuredInitializer)):
        name = getattr(initializer, "__name__", "")
        hint = f"; call it: {name}()" if callable(initializer) and name else ""
        raise PlanError(
            f"initializer is {shown(initializer)}; it must be an initializer or its name{hint}",
            "initializer",
            initializer,
        )
    if settings:
        key = min(settings)
        raise PlanError(
            f"{key} is {shown(settings[key])} beside {initializer!r}, which has its own settings; "
            "give it to the initializer, or name the initializer",
            key,
            settings[key],
        )
    return initializer


def _data(error: Exception) -> tuple[Any, ...]:
    """Argument, value and choices of an error, if it has them."""
    if isinstance(error, ArgumentError):
        return error.argument, error.value, error.choices
    return ()


@contextmanager
def plan_errors(where: str = "") -> Iterator[None]:
    """Make a PlanError of what is raised within, with a message that says first where it was."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise PlanError(f"{where}{error}", *_data(error)) from None


def _checked_names(names: Any) -> tuple[str, ...]:
    globs = (names,) if isinstance(names, str) else names
    if not isinstance(globs, (list, tuple)) or not all(isinstance(glob, str) for glob in globs):
        raise PlanError(
            f"names is {shown(names)}; it must be a glob or a list of globs", "names", names
        )
    if not globs:
        raise PlanError("names is empty: the rule would match no tensor", "names", names)
    for glob in globs:
        try:
            glob.encode()
        except UnicodeEncodeError:
            raise PlanError(
                f"names has {shown(glob)}, which UTF-8 cannot write", "names", glob
            ) from None
    return tuple(globs)


def _checked_beside(beside: Any) -> tuple[str, ...]:
    parts = (beside,) if isinstance(beside, str) else beside
    if isinstance(parts, (list, tuple)) and all(
        isinstance(part, str) and re.fullmatch(r"[^./]+", part) for part in parts
    ):
        return tuple(parts)
    raise PlanError(
        f"beside is {shown(beside)}; it must be the last part of a name, such as 'bias', or a list "
        "of them",
        "beside",
        beside,
    )


def _checked_ndim(ndim: Any) -> int | str | None:
    if ndim is None:
        return None
    if isinstance(ndim, str):
        if re.fullmatch(r"[0-9]{1,2}\+", ndim) and int(ndim[:-1]) <= MOST_AXES:
            return f"{int(ndim[:-1])}+"
    elif hasattr(ndim, "__index__") and type(ndim).__name__ not in ("bool", "bool_"):
        number = int(ndim)
        if 0 <= number <= MOST_AXES:
            return number
    raise PlanError(
        f"ndim is {shown(ndim)}; it must be a number of axes, such as 2, or '2+' for two and more",
        "ndim",
        ndim,
    )


@lru_cache(maxsize=1024)
def pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """The regular expression that matches what any of the globs does."""
    return re.compile("|".join(map(translate, names)))
