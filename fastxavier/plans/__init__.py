"""Plans: which tensor, by name and rank, starts by which scheme; from and to TOML and JSON.

Knows names and shapes, no array and no stream.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import numbers
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, get_args

from fastxavier._fans import Layout, fans
from fastxavier.catalog import SCHEMES
from fastxavier.distributions import Distribution
from fastxavier.gains import gain as gain_of
from fastxavier.plans._text import Lines, Members, json_lines, parsed_toml, toml_lines
from fastxavier.structured import Structure

__all__ = ["Plan", "PlanError", "Rule"]

AnyDistribution: TypeAlias = "Distribution | Structure"


class PlanError(ValueError):
    """A plan that cannot be, or that has no distribution for a tensor.

    Attributes
    ----------
    key : str or None
        Of the rule or plan, the key at fault.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


# ---- a rule --------------------------------------------------------------------------------------

_FAN_SETTINGS = tuple(
    name
    for name, parameter in inspect.signature(fans).parameters.items()
    if name == "layout" or parameter.kind is parameter.KEYWORD_ONLY
)


@lru_cache
def _parameters(scheme: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(SCHEMES[scheme]).parameters)


def _takes_fans(scheme: str) -> bool:
    return "fan_in" in _parameters(scheme)


def _own_settings(scheme: str) -> list[str]:
    return [name for name in _parameters(scheme) if name not in ("fan_in", "fan_out")]


def _needed_settings(scheme: str) -> list[str]:
    needed = _parameters(scheme)
    return [
        name for name in _own_settings(scheme) if needed[name].default is inspect.Parameter.empty
    ]


def _settings_of(scheme: str) -> list[str]:
    """Every setting that a rule with this scheme may have."""
    shared = _FAN_SETTINGS if _takes_fans(scheme) else ()
    return list(dict.fromkeys((*_own_settings(scheme), *shared)))


def names_instead(given: str, valid: Iterable[str]) -> str:
    """What to write instead of a name that is not among the valid ones."""
    names = list(valid)
    near = difflib.get_close_matches(given, names, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"Valid are: {', '.join(names)}"


def _plain(key: str, value: Any) -> Any:
    """A setting as Python's own immutable value, one that TOML and JSON can hold."""
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, (list, tuple)):
        return tuple(_plain(key, part) for part in value)
    raise PlanError(
        f"{key} is {value!r}, a {type(value).__name__}; a setting is a number, a string, a truth "
        "value or a list of integers",
        key,
    )


def _checked_names(names: Any) -> tuple[str, ...]:
    globs = (names,) if isinstance(names, str) else names
    if not isinstance(globs, (list, tuple)) or not all(isinstance(glob, str) for glob in globs):
        raise PlanError(f"names is {names!r}; it must be a glob or a list of globs", "names")
    if not globs:
        raise PlanError("names is empty: the rule would match no tensor", "names")
    for glob in globs:
        try:
            glob.encode()
        except UnicodeEncodeError:
            raise PlanError(f"names has {glob!r}, which UTF-8 cannot write", "names") from None
    return tuple(globs)


_MOST_AXES = 64  # of a NumPy array


def _checked_rank(rank: Any) -> int | str | None:
    if rank is None:
        return None
    if isinstance(rank, str):
        if re.fullmatch(r"[0-9]{1,2}\+", rank) and int(rank[:-1]) <= _MOST_AXES:
            return f"{int(rank[:-1])}+"
    elif isinstance(rank, numbers.Integral) and not isinstance(rank, bool):
        number = int(rank)
        if 0 <= number <= _MOST_AXES:
            return number
    raise PlanError(
        f"rank is {rank!r}; it must be a number of axes, such as 2, or that many and more: '2+'",
        "rank",
    )


@lru_cache(maxsize=1024)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, names)))


@dataclass(frozen=True, init=False, repr=False)
class Rule:
    """Tensors, by name and rank, and the scheme that they start by.

    Immutable, compared by value. Everything that can be known without a shape is checked at once.

    Parameters
    ----------
    names : str or sequence of str
        Globs over the whole name of a tensor, one of which must match: ``*`` any characters, dots
        and slashes included, ``?`` one, ``[ab]`` either. Upper and lower case differ.
    scheme : str, Distribution or Structure
        A name of ``catalog.SCHEMES``, as "he_normal", "normal" or "orthogonal"; or the distribution itself,
        which is kept as its name and its arguments.
    rank : int, str or None
        How many axes the tensor must have: that many, or that many and more as in "2+". None
        leaves it open.
    **settings
        The scheme's own parameters, such as `gain`, `mode` or `std`; a `gain` may be the name of
        an activation, for ``gains.gain``. Where the scheme takes fans, also what ``fans.fans``
        takes: `layout` (instead of the plan's), `in_axis`, `out_axis`, `batch_axis`, `groups`,
        `transposed`, `parts`.

    Raises
    ------
    PlanError
        If a name or value is not valid; the message lists the ones that are.

    Examples
    --------
    >>> Rule("*.qkv.weight", "glorot_uniform", rank="2+", parts=3)
    Rule(('*.qkv.weight',), 'glorot_uniform', rank='2+', parts=3)
    >>> from fastxavier import Normal
    >>> Rule("*.bias", Normal(0.0, 1e-6), rank=1)
    Rule(('*.bias',), 'normal', rank=1, std=1e-06)
    """

    names: tuple[str, ...]
    scheme: str
    rank: int | str | None
    _settings: tuple[tuple[str, Any], ...]

    def __init__(
        self,
        /,
        names: str | Sequence[str],
        scheme: str | AnyDistribution,
        *,
        rank: int | str | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(scheme, (Distribution, Structure)):
            scheme, settings = _written_out(scheme, settings)
        if not isinstance(scheme, str):
            raise PlanError(
                f"scheme is {scheme!r}; it must be the name of a scheme, or a distribution",
                "scheme",
            )
        if scheme not in SCHEMES:
            raise PlanError(f"scheme is {scheme!r}; {names_instead(scheme, SCHEMES)}", "scheme")
        valid = _settings_of(scheme)
        for key in settings:
            if key not in valid:
                instead = names_instead(key, valid) if valid else "it has none"
                raise PlanError(f"{key!r} is no setting of {scheme}; {instead}", key)
        missing = [key for key in _needed_settings(scheme) if key not in settings]
        if missing:
            raise PlanError(f"scheme is {scheme!r}, which needs {' and '.join(missing)}", "scheme")
        plain = {key: _plain(key, settings[key]) for key in sorted(settings)}
        if not isinstance(plain.get("transposed", False), bool):
            raise PlanError(
                f"transposed is {plain['transposed']!r}; it must be a truth value", "transposed"
            )
        object.__setattr__(self, "names", _checked_names(names))
        object.__setattr__(self, "scheme", scheme)
        object.__setattr__(self, "rank", _checked_rank(rank))
        object.__setattr__(self, "_settings", tuple(plain.items()))
        self._try(plain.get("layout", "torch"))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, by name."""
        return dict(self._settings)

    def __repr__(self) -> str:
        rank = [] if self.rank is None else [f"rank={self.rank!r}"]
        settings = [f"{key}={value!r}" for key, value in self._settings]
        return f"Rule({', '.join([repr(self.names), repr(self.scheme), *rank, *settings])})"

    def matches(self, name: str, rank: int) -> bool:
        """Whether the rule is for a tensor.

        Parameters
        ----------
        name : str
            The tensor's whole name.
        rank : int
            Its number of axes.

        Returns
        -------
        bool
            Whether a glob matches the name, and the number of axes is the rule's.
        """
        return self._has_rank(rank) and self._has_name(name)

    def _has_name(self, name: str) -> bool:
        return _pattern(self.names).match(name) is not None

    def _has_rank(self, rank: int) -> bool:
        if isinstance(self.rank, str):
            return rank >= int(self.rank[:-1])
        return self.rank is None or rank == self.rank

    def _distribution(self, shape: tuple[int, ...], layout: str) -> AnyDistribution:
        """The distribution for a shape; `layout` holds where the rule says no axes of its own."""
        settings = self.settings
        if "in_axis" not in settings and "out_axis" not in settings:
            settings.setdefault("layout", layout)
        own = {key: settings[key] for key in _own_settings(self.scheme) if key in settings}
        if isinstance(own.get("gain"), str):
            own["gain"] = gain_of(own["gain"])
        if _takes_fans(self.scheme):
            shared = {key: settings[key] for key in _FAN_SETTINGS if key in settings}
            both = fans(shape, **shared)
            if 0 in shape:  # no fans to divide by, and nothing to draw
                both = fans([extent or self._channels() for extent in shape], **shared)
            own.update(both._asdict())
        return SCHEMES[self.scheme](**own)

    def _try(self, layout: str) -> None:
        """Ask for the distribution of a small tensor, so that what cannot be right fails early."""
        shape = self._small_shape()
        try:
            distribution = self._distribution(shape, layout)
            if isinstance(distribution, Structure) and self.rank == len(shape):
                distribution._check_shape(shape)
        except (TypeError, ValueError) as error:
            message = str(error)
            key = self._at_fault(message)
            named = "" if key in message else f"{key}: "
            raise PlanError(
                f"{named}{message}{self._meant(message)} (scheme {self.scheme})", key
            ) from None

    def _at_fault(self, message: str) -> str:
        """The key that a message is about, which names what it was told of."""
        first = message.partition(" ")[0]
        first = {"activation": "gain", "shape": "rank"}.get(first, first)
        return first if first in ("layout", "rank", *self.settings) else "scheme"

    def _meant(self, message: str) -> str:
        """A name of those that the message lists, if it is near to the one that was given."""
        given, *valid = re.findall("'([^']*)'", message) or [""]
        near = difflib.get_close_matches(given, valid, 1)
        return f"; did you mean {near[0]!r}?" if near and given in self.settings.values() else ""

    def _small_shape(self) -> tuple[int, ...]:
        """A shape that the fan settings, if they are right, can be used on."""
        settings = self.settings
        axes = {key: settings.get(key, ()) for key in ("in_axis", "out_axis", "batch_axis")}
        listed = {key: axis if isinstance(axis, tuple) else (axis,) for key, axis in axes.items()}
        whole = [axis for part in listed.values() for axis in part if isinstance(axis, int)]
        from_start = max((axis + 1 for axis in whole if axis >= 0), default=0)
        from_end = max((-axis for axis in whole if axis < 0), default=0)
        rank = self.rank
        if not isinstance(rank, int):
            axes_needed = max(2 + len(listed["batch_axis"]), from_start + from_end)
            rank = max(int(rank[:-1]) if rank else 0, min(axes_needed, _MOST_AXES))
        return (self._channels(),) * rank

    def _channels(self) -> int:
        """The fewest that groups and parts divide: 1 if there is one of each."""
        counts = [value for key, value in self._settings if key in ("groups", "parts")]
        return math.prod(count for count in counts if isinstance(count, int) and count > 0)


def _written_out(
    distribution: AnyDistribution, settings: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A distribution as the name of its class and the arguments of its call, those by default left out."""
    if settings:
        key = min(settings)
        raise PlanError(f"{key!r} is no setting of {distribution!r}, which has its own", key)
    scheme = next((name for name, make in SCHEMES.items() if make is type(distribution)), None)
    if scheme is None:
        raise PlanError(
            f"scheme is {distribution!r}, a distribution that no plan can name", "scheme"
        )
    defaults = {name: parameter.default for name, parameter in _parameters(scheme).items()}
    if isinstance(distribution, Distribution):
        arguments = distribution._arguments()
    else:
        arguments = {name: getattr(distribution, name) for name in defaults}
    return scheme, {
        name: value
        for name, value in arguments.items()
        if name == "layout" or value != defaults[name]  # a layout left out would be the plan's
    }


# ---- a plan --------------------------------------------------------------------------------------


@dataclass(frozen=True, init=False)
class Plan:
    """Rules in order; for each tensor the first that matches holds.

    Immutable, compared by value. ``Plan((mine, *default_plan().rules))`` is a plan in which `mine`
    goes before the others.

    Parameters
    ----------
    rules : iterable of Rule
        The rules, first things first.
    layout : str
        Where shapes have their inputs and outputs; see ``fans.fans``.

    Raises
    ------
    PlanError
        If the layout is not valid, or a rule cannot hold in it.

    Examples
    --------
    >>> plan = Plan([Rule("*.bias", "zeros"), Rule("*", "he_normal", rank="2+")])
    >>> plan.distribution("encoder.weight", (64, 200))
    Normal(mean=0.0, std=0.1)
    >>> print(plan.to_toml())
    layout = "torch"
    <BLANKLINE>
    [[rule]]
    names = "*.bias"
    scheme = "zeros"
    <BLANKLINE>
    [[rule]]
    names = "*"
    rank = "2+"
    scheme = "he_normal"
    <BLANKLINE>
    """

    rules: tuple[Rule, ...]
    layout: str
    # Found before: models repeat their shapes, layer after layer, and are started more than once.
    _of_rank: dict[int, list[tuple[Any, int]]] = field(init=False, repr=False, compare=False)
    _distributions: dict[tuple[int, tuple[int, ...]], AnyDistribution] = field(
        init=False, repr=False, compare=False
    )

    def __init__(self, rules: Iterable[Rule], layout: str = "torch") -> None:
        object.__setattr__(self, "rules", tuple(rules))
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "_of_rank", {})
        object.__setattr__(self, "_distributions", {})
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise PlanError(f"rules has {rule!r}; a rule is a Rule")
        _check_layout(layout)
        for number, rule in enumerate(self.rules, 1):
            try:
                rule._try(rule.settings.get("layout", layout))
            except PlanError as error:
                raise PlanError(f"rule {number}: {error}", error.key) from None

    def rule_for(self, name: str, rank: int) -> Rule | None:
        """The first rule that matches a tensor.

        Parameters
        ----------
        name : str
            The tensor's whole name.
        rank : int
            Its number of axes.

        Returns
        -------
        Rule or None
            None if no rule matches.
        """
        number = self._number(name, rank)
        return None if number is None else self.rules[number]

    def _number(self, name: str, rank: int) -> int | None:
        patterns = self._of_rank.get(rank)
        if patterns is None:
            patterns = self._of_rank[rank] = [
                (_pattern(rule.names).match, number)
                for number, rule in enumerate(self.rules)
                if rule._has_rank(rank)
            ]
        for matches, number in patterns:
            if matches(name):
                return number
        return None

    def distribution(self, name: str, shape: Iterable[int]) -> AnyDistribution:
        """The distribution that a tensor starts by.

        Parameters
        ----------
        name : str
            The tensor's whole name.
        shape : sequence of int
            Its extents. A tensor without elements has a distribution, too: a scheme takes each extent of 0
            for 1 (or for as many as `groups` and `parts` divide), as nothing is drawn.

        Returns
        -------
        Distribution or Structure
            What `fill_` takes.

        Raises
        ------
        PlanError
            If no rule matches, or the scheme of the one that does has no distribution for the shape.
        """
        shape = tuple(shape)
        number = self._number(name, len(shape))
        if number is None:
            raise PlanError(self._unmatched(name, shape))
        distribution = self._distributions.get((number, shape))
        if distribution is not None:
            return distribution
        rule = self.rules[number]
        try:
            distribution = rule._distribution(shape, self.layout)
            if isinstance(distribution, Structure):
                distribution._check_shape(shape)
            self._distributions[number, shape] = distribution
            return distribution
        except (TypeError, ValueError) as error:
            raise PlanError(f"tensor {name!r} of shape {shape}, by {rule}: {error}") from None

    def _unmatched(self, name: str, shape: tuple[int, ...]) -> str:
        glob = re.sub(r"\d+", "*", re.sub(r"[\[?*]", r"[\g<0>]", name))
        near = [rule for rule in self.rules if rule._has_name(name)]
        hint = f"; {near[0]} has the name but not the rank" if near else ""
        return (
            f"no rule of the plan matches tensor {name!r} of shape {shape}{hint}. "
            f"A rule with names = {_quoted(glob)} and rank = {len(shape)} would match it"
        )

    # ---- text ----

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a plan from a file, TOML or JSON by the ending of its name.

        Parameters
        ----------
        path : str or path-like
            A file in UTF-8 whose name ends in .toml or .json.

        Returns
        -------
        Plan
            What the file says.

        Raises
        ------
        PlanError
            If something in it is not valid, and the message begins with file and line; or if the
            name has another ending.
        OSError
            If the file cannot be read.
        ImportError
            If it is TOML, which Python before 3.11 cannot read without tomli.
        """
        path = Path(path)
        read: Callable[..., Plan] = _by_suffix(
            path, {".toml": cls.from_toml, ".json": cls.from_json}
        )
        data = path.read_bytes()
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise PlanError(f"{path}, line {line}: not UTF-8") from None
        return read(text, source=str(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file, TOML or JSON by the ending of its name.

        Parameters
        ----------
        path : str or path-like
            A name that ends in .toml or .json; a file that is there is replaced.

        Raises
        ------
        PlanError
            If the name has another ending.
        OSError
            If the file cannot be written.
        """
        path = Path(path)
        write = _by_suffix(path, {".toml": self.to_toml, ".json": self.to_json})
        path.write_bytes(write().encode())

    @classmethod
    def from_toml(cls, text: str, *, source: str = "TOML plan") -> Plan:
        """Read a plan from TOML.

        Parameters
        ----------
        text : str
            A key `layout`, if it is not "torch", and a table ``[[rule]]`` for each rule, whose keys
            are the parameters of `Rule`.
        source : str
            What errors call the text.

        Returns
        -------
        Plan
            What the text says.

        Raises
        ------
        PlanError
            If the text is no TOML, or something in it is not valid; the message has the line.
        ImportError
            Before Python 3.11, if tomli is not installed.
        """
        return _plan(parsed_toml(text, source, PlanError), source, toml_lines(text))

    @classmethod
    def from_json(cls, text: str, *, source: str = "JSON plan") -> Plan:
        """Read a plan from JSON.

        Parameters
        ----------
        text : str
            An object of the same keys as in TOML, `rule` being an array of objects.
        source : str
            What errors call the text.

        Returns
        -------
        Plan
            What the text says.

        Raises
        ------
        PlanError
            If the text is no JSON, or something in it is not valid; the message has the line.
        """
        try:
            document = json.loads(text, object_pairs_hook=Members)
        except json.JSONDecodeError as error:
            raise PlanError(f"{source}, line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise PlanError(f"{source}: {error}") from None
        return _plan(document, source, json_lines(text))

    def _document(self) -> dict[str, Any]:
        return {"layout": self.layout, "rule": [_entry(rule) for rule in self.rules]}

    def to_toml(self) -> str:
        """The plan as TOML that `from_toml` reads.

        Returns
        -------
        str
            The same characters for equal plans.
        """
        blocks = [f"layout = {_as_toml(self.layout)}\n"]
        for entry in self._document()["rule"]:
            pairs = "".join(f"{key} = {_as_toml(value)}\n" for key, value in entry.items())
            blocks.append(f"[[rule]]\n{pairs}")
        return "\n".join(blocks)

    def to_json(self) -> str:
        """The plan as JSON that `from_json` reads.

        Returns
        -------
        str
            The same characters for equal plans. An infinite number is written ``Infinity``.
        """
        return json.dumps(self._document(), indent=2, ensure_ascii=False) + "\n"


def _check_layout(layout: Any) -> None:
    if layout not in get_args(Layout):
        raise PlanError(
            f"layout is {layout!r}; {names_instead(str(layout), get_args(Layout))}", "layout"
        )


def _entry(rule: Rule) -> dict[str, Any]:
    """A rule as the keys and values of a file."""
    names: Any = rule.names[0] if len(rule.names) == 1 else list(rule.names)
    rank = {} if rule.rank is None else {"rank": rule.rank}
    return {"names": names, **rank, "scheme": rule.scheme, **rule.settings}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _as_toml(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_toml, value))}]"
    return repr(value)


def _by_suffix(path: Path, choices: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if path.suffix not in choices:
        raise PlanError(f"{path} ends in {path.suffix!r}; a plan's file ends in .toml or .json")
    return choices[path.suffix]


# ---- from text, with lines -----------------------------------------------------------------------


def _check_not_repeated(entry: dict[str, Any]) -> None:
    repeated = getattr(entry, "repeated", None)
    if repeated is not None:
        raise PlanError(f"{repeated!r} stands twice", repeated)


def _plan(document: Any, source: str, line: Lines) -> Plan:
    """The plan that a document says."""
    rules: list[Rule] = []
    at = None
    try:
        layout, entries = _layout_and_entries(document)
        for at, entry in enumerate(entries):  # noqa: B007
            rule = _rule(entry)
            rule._try(rule.settings.get("layout", layout))
            rules.append(rule)
    except PlanError as error:
        raise PlanError(f"{source}, line {line(at, error.key)}: {error}", error.key) from None
    return Plan(rules, layout)


def _layout_and_entries(document: Any) -> tuple[str, list[Any]]:
    if not isinstance(document, dict):
        raise PlanError(f"the plan is {document!r}; it must have the key rule")
    _check_not_repeated(document)
    for key in document:
        if key not in ("layout", "rule"):
            raise PlanError(
                f"{key!r} is no key of a plan; {names_instead(key, ('layout', 'rule'))}", key
            )
    layout, entries = document.get("layout", "torch"), document.get("rule", [])
    if not isinstance(entries, list):
        raise PlanError(f"rule is {entries!r}; it must be a list of rules", "rule")
    _check_layout(layout)
    return layout, entries


def _rule(entry: Any) -> Rule:
    """The rule that an entry of a file says."""
    if not isinstance(entry, dict):
        raise PlanError(f"the rule is {entry!r}; it must have names and a scheme")
    _check_not_repeated(entry)
    for needed in ("names", "scheme"):
        if needed not in entry:
            near = difflib.get_close_matches(needed, entry, 1)
            instead = f" {near[0]!r} is no key; did you mean {needed!r}?" if near else ""
            raise PlanError(f"the rule has no {needed}.{instead}", near[0] if near else None)
    if not isinstance(entry["scheme"], str):
        raise PlanError(f"scheme is {entry['scheme']!r}; it must be the name of a scheme", "scheme")
    if entry.get("rank", 0) is None:  # JSON's null, where None is the default
        raise PlanError("rank is null; leave it out, or write a number of axes", "rank")
    return Rule(**entry)
