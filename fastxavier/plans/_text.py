"""Plans as TOML and JSON: reading, with errors that name the rule, and writing. Plan calls it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastxavier._validation import choose_from, shown
from fastxavier.plans._names import named
from fastxavier.plans._rule import PlanError
from fastxavier.plans._toml import BYTE_ORDER_MARK, parse_toml

if TYPE_CHECKING:
    from fastxavier.plans._rule import Rule

KEYS = ("layout", "rule")
ENDINGS = (".toml", ".json")
OTHER_KEYS = {"names": ("name",), "initializer": ("scheme", "init", "distribution")}


# ---- reading -------------------------------------------------------------------------------------


def kind_of(path: str | os.PathLike[str]) -> str:
    """The ending of a plan's file, which says its language."""
    ending = Path(path).suffix
    if ending not in ENDINGS:
        raise PlanError(
            f"{path} ends in {ending!r}; a plan's file ends in .toml or .json", "path", path
        )
    return ending


def read(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The text of a plan's file, and its ending."""
    kind = kind_of(path)
    data = Path(path).read_bytes()
    try:
        return data.decode(), kind  # a byte-order mark is left to the parsers
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PlanError(f"{path}, line {line}: not UTF-8", "path", path) from None


def toml_document(text: str, source: str) -> Any:
    """What TOML says."""
    try:
        return parse_toml(text, source, PlanError)
    except PlanError as error:
        if re.search(r"^[ \t]*\[[ \t]*rule[ \t]*\]", text, re.M):
            raise PlanError(
                f"{source}: each rule begins with [[rule]], in two brackets. The parser says: "
                f"{error}",
                "rule",
            ) from None
        raise


def json_document(text: str, source: str) -> Any:
    """What JSON says; a key given twice is an error, as it is in TOML."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise PlanError(f"{source}: key {key!r} is given twice in one object", key, value)
            found[key] = value
        return found

    try:
        return json.loads(text.removeprefix(BYTE_ORDER_MARK), object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise PlanError(f"{source}, line {error.lineno}: {error.msg}") from None
    except PlanError:
        raise
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{source}: {error}") from None


def entries(document: Any, source: str) -> list[Any]:
    """The rules of a document as they are written; its keys are checked."""
    if not isinstance(document, Mapping):
        raise PlanError(
            f"{source}: the plan is {shown(document)}; it must have the key rule", "rule"
        )
    for key in document:
        if key not in KEYS:
            raise PlanError(
                f"{source}: key {key!r} is not one of a plan; {choose_from(key, KEYS)}",
                key,
                document[key],
                KEYS,
            )
    found = document.get("rule", [])
    if isinstance(found, Mapping):
        raise PlanError(
            f"{source}: rule is one table; it must be a list of rules: in TOML each begins with "
            "[[rule]], in two brackets",
            "rule",
        )
    if not isinstance(found, list):
        raise PlanError(f"{source}: rule is {shown(found)}; it must be a list of rules", "rule")
    return found


def rule_arguments(entry: Any) -> dict[str, Any]:
    """The arguments of `Rule` that an entry of a document says."""
    if not isinstance(entry, Mapping):
        raise PlanError(f"the rule is {shown(entry)}; it must have the keys names and initializer")
    for needed in ("names", "initializer"):
        if needed not in entry:
            near = get_close_matches(needed, [*map(str, entry)], 1, 0.75)
            given = next((key for key in (*OTHER_KEYS[needed], *near) if key in entry), None)
            hint = f"; {given!r} is not a key, write {needed!r}" if given else ""
            raise PlanError(f"the key {needed!r} is missing{hint}", needed)
    if not isinstance(entry["initializer"], str):
        raise PlanError(
            f"initializer is {shown(entry['initializer'])}; it must be the name of one",
            "initializer",
        )
    if "ndim" in entry and entry["ndim"] is None:  # JSON's null
        raise PlanError("ndim is null; leave it out, or write a number of axes", "ndim")
    return dict(entry)


def names_of(entry: Any) -> Any:
    """What an entry of a document, valid or not, has as its names."""
    return entry.get("names") if isinstance(entry, Mapping) else None


def rule_called(number: int, names: Any) -> str:
    """How an error names a rule."""
    if names is None:
        return f"rule {number}"
    several = isinstance(names, (list, tuple)) and names
    return f"rule {number} (names {', '.join(map(shown, names)) if several else shown(names)})"


# ---- writing -------------------------------------------------------------------------------------


def _entry(rule: Rule) -> dict[str, Any]:
    """A rule as the keys and values of a document."""
    names: Any = rule.names[0] if len(rule.names) == 1 else list(rule.names)
    ndim = {} if rule.ndim is None else {"ndim": rule.ndim}
    beside = {"beside": list(rule.beside)} if rule.beside else {}
    initializer, settings = named(rule.initializer)
    return {"names": names, **ndim, **beside, "initializer": initializer, **settings}


def as_toml(layout: str | None, rules: Iterable[Rule]) -> str:
    """A plan as TOML."""
    blocks = [] if layout is None else [f"layout = {_toml(layout)}\n"]
    for rule in rules:
        pairs = "".join(f"{key} = {_toml(value)}\n" for key, value in _entry(rule).items())
        blocks.append(f"[[rule]]\n{pairs}")
    return "\n".join(blocks)


def as_json(layout: str | None, rules: Iterable[Rule]) -> str:
    """A plan as JSON."""
    document: dict[str, Any] = {} if layout is None else {"layout": layout}
    document["rule"] = [_entry(rule) for rule in rules]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def quoted(text: str) -> str:
    """A string as TOML and JSON write it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
