"""Checks of arguments, and the errors that say what is wrong with one. Every module uses these."""

from __future__ import annotations

import math
import numbers
import operator
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "a_type",
    "choice",
    "choose_from",
    "instead_of_array",
    "integer",
    "integers",
    "keywords",
    "nearest",
    "not_negative",
    "number",
    "of_tensor",
    "real",
    "shown",
    "truth",
    "with_article",
]


class ArgumentError(Exception):
    """An argument that cannot be used.

    Raised as `ArgumentTypeError`, which is a TypeError, or as `ArgumentValueError`, which is a
    ValueError.

    Attributes
    ----------
    argument : str or None
        Name of the argument.
    value : object
        What was given.
    choices : tuple
        The values it may have, where these can be listed.
    """

    def __init__(
        self,
        message: str,
        argument: str | None = None,
        value: Any = None,
        choices: Iterable[Any] = (),
    ) -> None:
        super().__init__(message)
        self.argument = argument
        self.value = value
        self.choices = tuple(choices)

    def __reduce__(self) -> tuple[Any, ...]:
        # An error that crosses processes keeps its message, whatever the value was.
        plain = isinstance(self.value, (str, int, float, type(None)))
        value = self.value if plain else shown(self.value)
        return type(self), (*self.args, self.argument, value, self.choices)


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of the wrong type; see `ArgumentError`."""


class ArgumentValueError(ArgumentError, ValueError):
    """An argument with a value that it cannot have; see `ArgumentError`."""


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        try:
            repr(x)
        except ValueError:  # more digits than Python writes
            return f"<{'a negative' if x < 0 else 'an'} integer of {x.bit_length()} bits>"
        return super().repr_int(x, level)


_short = _Short()
_short.maxstring = _short.maxother = _short.maxlong = 120
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _short.maxdict = 12
_short.maxdeque = _short.maxarray = 12


def shown(value: Any) -> str:
    """The repr of a value, as long as a message can bear."""
    return _short.repr(value)


def with_article(word: str) -> str:
    """The word after "a" or "an"."""
    first = word.lstrip("_").casefold()
    return f"{'an' if first.startswith(('a', 'e', 'i', 'o', 'nd')) else 'a'} {word}"


def a_type(value: Any) -> str:
    """What a value is, for a message: "an int"."""
    return with_article(type(value).__name__)


def instead_of_array(value: Any, function: str) -> str:
    """What to write where one array was wanted and a whole model given; empty for anything else.

    `function` is the one that takes all arrays of a model: init_ or verify.
    """
    if hasattr(value, "named_parameters"):
        each, every = "module.weight", "dict(module.named_parameters())"
    elif isinstance(value, Mapping):
        each, every = "arrays['fc1.weight']", "arrays"
    elif isinstance(value, Iterator) or _holds_tensors(value):
        each, every = "each of its arrays alone", "dict(module.named_parameters())"
    else:
        return ""
    return f"; give {each}, or all arrays to {function}({every}, plan)"


def _holds_tensors(value: Any) -> bool:
    """Whether it is a list of torch's tensors."""
    return isinstance(value, (list, tuple)) and bool(value) and hasattr(value[0], "requires_grad")


def real(name: str, value: Any, *, finite: bool = True) -> float:
    """`value` as a float; TypeError unless it is a real number, ValueError for NaN (and inf)."""
    if type(value) is not float:
        given, value = value, _scalar(value)
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise ArgumentTypeError(
                f"{name} is {shown(given)}, {a_type(given)}; it must be a real number",
                name,
                given,
            )
        try:
            value = float(value)
        except OverflowError:
            raise ArgumentValueError(
                f"{name} is {shown(given)}, beyond the largest float", name, given
            ) from None
    if not math.isfinite(value) and (finite or math.isnan(value)):
        raise ArgumentValueError(f"{name} is {value}; it must be a finite number", name, value)
    return value  # type: ignore[no-any-return]


def not_negative(name: str, value: Any) -> float:
    """`value` as a finite float from 0 up, whose sign is that of 0."""
    number = real(name, value)
    if number < 0:
        raise ArgumentValueError(f"{name} is {number}; it must not be negative", name, number)
    return abs(number)


def number(name: str, value: Any) -> int | float:
    """`value` as an int of any size or a finite float, whichever it is."""
    if type(value) is int:
        return value
    plain = _scalar(value)
    if isinstance(plain, numbers.Integral) and not isinstance(plain, bool):
        return int(plain)
    return real(name, value)


def integer(
    name: str, value: Any, least: int = 0, most: int | None = None, otherwise: str = ""
) -> int:
    """`value` as an int; TypeError unless it is an integer, ValueError outside least to most.

    `otherwise` is what else the argument may be, for the message: "or None".
    """
    if type(value) is int and value >= least and (most is None or value <= most):
        return value
    wanted = f"an integer from {least} " + ("up" if most is None else f"to {_power(most)}")
    if otherwise:
        wanted += f" {otherwise}"
    given, value = value, _scalar(value)
    try:
        if type(value).__name__ in ("bool", "bool_"):  # NumPy's truth values are not bool
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise ArgumentTypeError(
            f"{name} is {shown(given)}, {a_type(given)}; it must be {wanted}", name, given
        ) from None
    if found < least or (most is not None and found > most):
        raise ArgumentValueError(f"{name} is {shown(found)}; it must be {wanted}", name, found)
    return found


def integers(
    name: str, values: Any, least: int = 0, most: int | None = None, each: str = "an extent"
) -> tuple[int, ...]:
    """A sequence of integers as a tuple; errors as of `integer`, and for what has no order."""
    if not isinstance(values, Iterable) or isinstance(values, (Set, Mapping, str, bytes)):
        raise ArgumentTypeError(
            f"{name} is {shown(values)}, {a_type(values)}; it must be a sequence of integers",
            name,
            values,
        )
    given = tuple(values)
    try:
        return tuple([integer(each, one, least, most) for one in given])
    except ArgumentError as error:
        listed = shown(given if iter(values) is values else values)
        raise type(error)(f"{name} is {listed}: {error}", name, values) from None


_OF_TORCH = {
    "a": "negative_slope",
    "generator": "seed",
    "nonlinearity": "gain",
    "tensor": "array",
    "val": "value",
}


def keywords(function: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """ArgumentTypeError if a function is given a keyword that it does not know."""
    names = tuple(known)
    for key in given:
        if key not in names:
            here = _OF_TORCH.get(key)
            instead = choose_from(key, names)
            if here in names:
                instead = f"torch's {key} is {here} here"
            raise ArgumentTypeError(
                f"{key!r} is not an argument of {function}; {instead}",
                key,
                given[key],
                names,
            )


def truth(name: str, value: Any) -> bool:
    """`value` as a bool; TypeError for anything else, numbers included."""
    plain = _scalar(value)
    if type(plain).__name__ not in ("bool", "bool_"):
        raise ArgumentTypeError(
            f"{name} is {shown(value)}; it must be True or False", name, value, (True, False)
        )
    return bool(plain)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """`value`, if it is one of the names in `choices`; ValueError for anything else."""
    valid = tuple(choices)
    if isinstance(value, str) and value in valid:
        return value
    raise ArgumentValueError(
        f"{name} is {shown(value)}; {choose_from(value, valid)}", name, value, valid
    )


def choose_from(value: Any, choices: Iterable[str]) -> str:
    """What to write instead of a name that is not among `choices`."""
    names = list(choices)
    if not names:
        return "there are none"
    near = nearest(value, names) if isinstance(value, str) else None
    if near is None:
        return f"it must be one of {', '.join(map(repr, names))}"
    listed = ", ".join(map(repr, names[:_LISTED]))
    rest = f", ... ({len(names)} names)" if len(names) > _LISTED else ""
    return f"did you mean {near!r}? It must be one of {listed}{rest}"


_LISTED = 12  # names after the one that was probably meant


def nearest(value: str, names: list[str]) -> str | None:
    """The name that was meant, if that is plain: another case, swapped letters, a slip in a word.

    Short names of other things are near too ("gelu" and "selu"), so the bound is high.
    """
    for name in names:
        if name.casefold() == value.casefold() or sorted(name) == sorted(value):
            return name
    import difflib  # milliseconds, of which a program without errors needs none

    alike = [name for name in names if name[:1] == value[:1]]
    return next(iter(difflib.get_close_matches(value, alike, 1, 0.8)), None)


def _scalar(value: Any) -> Any:
    """A NumPy scalar or an array of no axes as the number it holds; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def of_tensor(name: str, error: Exception) -> Exception:
    """The same error, which says first which tensor of a model it is about."""
    message = f"tensor {name!r}: {error}"
    if isinstance(error, ArgumentError):
        return type(error)(message, error.argument, error.value, error.choices)
    return type(error)(message)


def _power(most: int) -> str:
    exponent = most.bit_length() - 1
    if most > 1 << 20 and most == 1 << exponent:
        return f"2**{exponent}"
    if most > 1 << 20 and most + 1 == 1 << exponent + 1:
        return f"2**{exponent + 1} - 1"
    return str(most)
