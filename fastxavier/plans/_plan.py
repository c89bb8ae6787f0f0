"""A plan: rules in order, from tensor names and shapes to initializers."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from fastxavier._fans import Layout
from fastxavier._validation import choice, shown
from fastxavier.initializers import Resolved
from fastxavier.plans import _text
from fastxavier.plans._layout import layout_of, layout_word
from fastxavier.plans._rule import PlanError, Rule, _data, pattern, plan_errors

__all__ = ["Plan"]

# What a tensor of one axis may be, by the last part of its name.
_SCALE = "; it may be the scale of a norm, 1 at first, or LayerScale's, a constant of the model"
_UNKNOWN = {
    "weight": "; it may be the scale of a norm, 1 at first, or the slopes of PReLU, 0.25",
    "gamma": _SCALE,
    "scale": _SCALE,
}


@dataclass(frozen=True, init=False)
class Plan:
    """Rules in order; for each tensor the first that matches holds.

    Immutable, compared by value. ``Plan([mine, *default_plan().rules])`` is a plan in which `mine`
    goes before the others.

    Parameters
    ----------
    rules : iterable of Rule
        The rules, in order.
    layout : {"torch", "jax", "keras", "embedding"}, optional
        Where shapes have their inputs and outputs, for initializers that do not say: see `fans`. If
        it is not given, names decide: a tensor whose name ends in ``kernel`` is Flax's or Keras',
        (\\*kernel, in, out), any other torch's, (out, in, \\*kernel).

    Raises
    ------
    PlanError
        If the layout is not valid, or a rule cannot hold in it.

    Examples
    --------
    >>> from fastxavier import Plan, Rule
    >>> plan = Plan([Rule("*.bias", "zeros"), Rule("*", "he_normal", ndim="2+")])
    >>> plan.distribution("encoder.weight", (64, 200))
    Normal(mean=0.0, std=0.1)
    >>> plan.distribution("encoder.kernel", (200, 64))
    Normal(mean=0.0, std=0.1)
    >>> print(plan.to_toml())
    [[rule]]
    names = "*.bias"
    initializer = "zeros"
    <BLANKLINE>
    [[rule]]
    names = "*"
    ndim = "2+"
    initializer = "he_normal"
    <BLANKLINE>
    """

    rules: tuple[Rule, ...]
    layout: Layout | None
    # Models repeat their shapes, layer after layer, and are initialized more than once.
    _of_ndim: dict[int, list[tuple[tuple[tuple[str, str], ...], Any, bool, int]]] = field(
        init=False, repr=False, compare=False
    )
    _resolved: dict[tuple[int, str, tuple[int, ...]], Resolved] = field(
        init=False, repr=False, compare=False
    )

    _names: frozenset[str] | None = field(init=False, repr=False, compare=False)

    def __init__(self, rules: Iterable[Rule], layout: Layout | None = None) -> None:
        object.__setattr__(self, "rules", tuple(rules))
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "_of_ndim", {})
        object.__setattr__(self, "_resolved", {})
        object.__setattr__(self, "_names", None)
        if layout is not None:
            with plan_errors():
                choice("layout", layout, get_args(Layout))
        for number, rule in enumerate(self.rules, 1):
            if not isinstance(rule, Rule):
                raise PlanError(
                    f"rules has {shown(rule)} as rule {number}; it must be a Rule", "rules"
                )
            with plan_errors(f"{_text.rule_called(number, rule.names)}: "):
                rule.check(layout or "torch")

    def of_model(self, names: Iterable[str]) -> Plan:
        """The same plan for one model, for rules that ask what is beside a tensor.

        Parameters
        ----------
        names : iterable of str
            The names of all tensors of the model, also of those that are not initialized.

        Returns
        -------
        Plan
            Equal to this one. `init_`, `verify` and `init_checkpoint` use it as it is; of a plan
            that knows no model they take the names that they are given.
        """
        plan = copy.copy(self)
        object.__setattr__(plan, "_names", frozenset(names))
        return plan

    @property
    def knows_model(self) -> bool:
        """Whether `of_model` has told it the names of a model."""
        return self._names is not None

    def rule_for(self, name: str, ndim: int) -> Rule | None:
        """The first rule that matches a tensor.

        Parameters
        ----------
        name : str
            The tensor's whole name.
        ndim : int
            Its number of axes.

        Returns
        -------
        Rule or None
            None if no rule matches.
        """
        number = self._number(name, ndim)
        return None if number is None else self.rules[number]

    def _number(self, name: str, ndim: int) -> int | None:
        patterns = self._of_ndim.get(ndim)
        if patterns is None:
            patterns = self._of_ndim[ndim] = [
                (_literals(rule.names), _matcher(rule.names), bool(rule.beside), number)
                for number, rule in enumerate(self.rules)
                if rule.has_ndim(ndim)
            ]
        for literals, matches, beside, number in patterns:
            for one, other in literals:
                if one in name and other in name:
                    break
            else:
                continue
            if matches is not None and not matches(name):
                continue
            if not beside or self.rules[number].has_neighbour(name, self._names):
                return number
        return None

    def distribution(self, name: str, shape: Iterable[int]) -> Resolved:
        """What a tensor is filled with.

        Parameters
        ----------
        name : str
            The tensor's whole name.
        shape : sequence of int
            The whole tensor's shape. A tensor without elements has a distribution too, as if each
            extent of 0 were 1: nothing is drawn.

        Returns
        -------
        Distribution or StructuredInitializer
            What `fill_` takes.

        Raises
        ------
        PlanError
            If no rule matches, if the initializer of the one that does is not for this shape, or if
            the plan has a layout and the tensor the name of another.
        """
        shape = tuple(shape)
        number = self._number(name, len(shape))
        if number is None:
            raise PlanError(self._unmatched(name, shape), "name", name)
        key = number, layout_word(name), shape
        resolved = self._resolved.get(key)
        if resolved is not None:
            return resolved
        rule = self.rules[number]
        try:
            layout = layout_of(name, self.layout, rule.initializer)
            resolved = self._resolved[key] = rule.distribution(shape, layout)
        except (TypeError, ValueError) as error:
            raise PlanError(
                f"tensor {name!r} of shape {shape}, by {rule}: {error}", *_data(error)
            ) from None
        return resolved

    def unused_rules(self, shapes: Mapping[str, Iterable[int]]) -> tuple[Rule, ...]:
        """The rules that initialize none of a model's tensors, because of their names or order.

        Parameters
        ----------
        shapes : mapping of str to sequence of int
            The names of all tensors of the model, and their whole shapes.

        Returns
        -------
        tuple of Rule
            In the order of the plan.
        """
        plan = self if self.knows_model else self.of_model(shapes)
        used = {plan.rule_for(name, len(tuple(shape))) for name, shape in shapes.items()}
        return tuple(rule for rule in dict.fromkeys(self.rules) if rule not in used)

    def _unmatched(self, name: str, shape: tuple[int, ...]) -> str:
        glob = re.sub(r"\d+", "*", re.sub(r"[\[?*]", r"[\g<0>]", name))
        near = [rule for rule in self.rules if rule.has_name(name)]
        alone = [rule for rule in near if rule.has_ndim(len(shape))]
        hint = ""
        if alone:
            beside = " or ".join(map(repr, alone[0].beside))
            hint = f"; {alone[0]} is for one with {beside} beside it"
        elif near:
            hint = f"; {near[0]} has the name but not this number of axes"
        if len(shape) == 1:
            hint += _UNKNOWN.get(re.split("[._/]", name)[-1], "")
        return (
            f"no rule of the plan matches tensor {name!r} of shape {shape}{hint}. "
            f"A rule with names = {_text.quoted(glob)} and ndim = {len(shape)} would match it"
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
            If something in it is not valid, with the file and the rule; or if the name has another
            ending.
        OSError
            If the file cannot be read.
        ImportError
            If it is TOML, which Python before 3.11 cannot read without tomli.
        """
        text, kind = _text.read(path)
        return (cls.from_toml if kind == ".toml" else cls.from_json)(text, source=str(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file, TOML or JSON by the ending of its name.

        Parameters
        ----------
        path : str or path-like
            A name that ends in .toml or .json; a file that exists is replaced.

        Raises
        ------
        PlanError
            If the name has another ending.
        OSError
            If the file cannot be written.
        """
        kind = _text.kind_of(path)
        text = self.to_toml() if kind == ".toml" else self.to_json()
        with open(path, "wb") as file:
            file.write(text.encode())

    @classmethod
    def from_toml(cls, text: str, *, source: str = "TOML plan") -> Plan:
        """Read a plan from TOML.

        Parameters
        ----------
        text : str
            A key `layout`, if the plan has one, and a table ``[[rule]]`` for each rule, whose keys
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
            If the text is not TOML, or something in it is not valid; the message names the rule.
        ImportError
            Before Python 3.11, if tomli is not installed.
        """
        return cls._from_document(_text.toml_document(text, source), source)

    @classmethod
    def from_json(cls, text: str, *, source: str = "JSON plan") -> Plan:
        """Read a plan from JSON.

        The text is an object with the same keys as in TOML, `rule` being an array of objects.
        Parameters, result and errors are those of `from_toml`.
        """
        return cls._from_document(_text.json_document(text, source), source)

    @classmethod
    def _from_document(cls, document: Any, source: str) -> Plan:
        rules: list[Rule] = []
        entries = _text.entries(document, source)
        if "layout" in document:
            with plan_errors(f"{source}: "):
                choice("layout", document["layout"], get_args(Layout))
        for number, entry in enumerate(entries, 1):
            rule = _text.rule_called(number, _text.names_of(entry))
            with plan_errors(f"{source}, {rule}: "):
                rules.append(Rule(**_text.rule_arguments(entry)))
        with plan_errors(f"{source}, "):
            return cls(rules, document.get("layout"))

    def to_toml(self) -> str:
        """The plan as TOML that `from_toml` reads.

        Returns
        -------
        str
            The same characters for equal plans.
        """
        return _text.as_toml(self.layout, self.rules)

    def to_json(self) -> str:
        """The plan as JSON that `from_json` reads.

        Returns
        -------
        str
            The same characters for equal plans. An infinite number is written ``Infinity``.
        """
        return _text.as_json(self.layout, self.rules)


def _literals(globs: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of texts, one of which a name that matches has: that is found faster than a pattern."""
    pieces = (re.split(r"\*|\?|\[!?\]?[^]]*\]", glob) for glob in globs)
    parts = (sorted(filter(None, found), key=len) or [""] for found in pieces)
    return tuple({(found[0], found[-1]) for found in parts})


def _matcher(globs: tuple[str, ...]) -> Callable[[str], object] | None:
    """Whether one of the globs matches a name; None if one is for all names."""
    return None if "*" in globs else pattern(globs).match
