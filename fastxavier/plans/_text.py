"""Texts in TOML and JSON: parsed, with the line on which a key stands. Knows no plan.

The parsers of both tell where a text is not valid, but not where a valid key came from.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

# The line of a key, or with None of the head, in the rule of an index, or with None at the top.
Lines: TypeAlias = "Callable[[int | None, str | None], int]"


class Members(dict[str, Any]):
    """An object of JSON, which remembers a key that stands twice, as TOML does not allow."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs)
        self.repeated = next((key for key, count in counts.items() if count > 1), None)


def parsed_toml(text: str, source: str, error_class: type[ValueError]) -> dict[str, Any]:
    """TOML as a dictionary; `error_class` with the source and the line if it is none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise ImportError(
                'reading TOML needs Python 3.11 or tomli: pip install "fastxavier[cli]"'
            ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)| \(at end of document\)", str(error))
        line = found[1] if found and found[1] else text.count("\n") + 1
        message = str(error)[: found.start() if found else None]
        raise error_class(f"{source}, line {line}: {message}") from None
    except RecursionError:
        raise error_class(f"{source}: nested too deeply") from None


def toml_lines(text: str) -> Lines:
    """The lines of valid TOML."""

    def line(rule: int | None, key: str | None) -> int:
        places = _toml_places(text)
        path = (*(() if rule is None else ("rule", rule)), *(() if key is None else (key,)))
        while path and path not in places:
            path = path[:-1]
        return text.count("\n", 0, places.get(path, 0)) + 1

    return line


_Path: TypeAlias = "tuple[str | int, ...]"

_TOML_SPACE = re.compile(r"(?:\s|#[^\n]*)*")
_STRING = (
    r'"""(?:\\.|[^\\])*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'"(?:\\.|[^"\\])*"|'
    r"'[^']*'"
)
_TOML_KEY = re.compile(rf"({_STRING}|[\w-]+)[ \t]*(\.?)[ \t]*", re.S)
_TOML_SCALAR = re.compile(rf"{_STRING}|[^,\]}}\n#]+", re.S)


def _toml_places(text: str) -> dict[_Path, int]:
    """Where each key, element and table of valid TOML begins, by the keys and indices above it."""
    places: dict[_Path, int] = {}
    table: _Path = ()
    lengths: Counter[_Path] = Counter()  # so far, of the arrays of tables
    at = _toml_skip(text, 0)
    while at < len(text):
        if text[at] == "[":
            brackets = 2 if text.startswith("[[", at) else 1
            names, end = _toml_key(text, _toml_skip(text, at + brackets))
            table = ()
            for name in names:
                if lengths[table]:
                    table = (*table, lengths[table] - 1)
                table = (*table, name)
                places.setdefault(table, at)
            if brackets == 2:
                lengths[table] += 1
                table = (*table, lengths[table] - 1)
                places[table] = at
            at = end + brackets
        else:
            at = _toml_pair(text, at, table, places)
        at = _toml_skip(text, at)
    return places


def _toml_skip(text: str, at: int) -> int:
    """Where what follows space, comments and ends of lines begins."""
    found = _TOML_SPACE.match(text, at)
    return found.end() if found else at


def _toml_key(text: str, at: int) -> tuple[list[str], int]:
    """The parts of a key, and what follows it."""
    names, dot = [], "."
    while dot and (found := _TOML_KEY.match(text, at)):
        name, dot = found.groups()
        quoted = name[0] in "\"'"
        names.append(parsed_toml(f"key = {name}", "key", ValueError)["key"] if quoted else name)
        at = found.end()
    return names, at


def _toml_pair(text: str, at: int, path: _Path, places: dict[_Path, int]) -> int:
    """Note a key and what its value holds; the value's end."""
    names, end = _toml_key(text, at)
    for name in names:
        path = (*path, name)
        places.setdefault(path, at)
    return _toml_value(text, _toml_skip(text, end + 1), path, places)


def _toml_value(text: str, at: int, path: _Path, places: dict[_Path, int]) -> int:
    """Note what a value holds; its end."""
    if text[at] not in "[{":
        found = _TOML_SCALAR.match(text, at)
        return found.end() if found else at + 1
    closing, index = {"[": "]", "{": "}"}[text[at]], 0
    inside = _toml_skip(text, at + 1)
    while text[inside] != closing:
        if closing == "}":
            inside = _toml_pair(text, inside, path, places)
        else:
            places[(*path, index)] = inside
            inside = _toml_value(text, inside, (*path, index), places)
            index += 1
        inside = _toml_skip(text, inside)
        if text[inside] == ",":
            inside = _toml_skip(text, inside + 1)
    return inside + 1


_BETWEEN = re.compile(r"[\s,:]*")
_decode = json.JSONDecoder().raw_decode


def _json_skip(text: str, at: int) -> int:
    """Where the next value or key of valid JSON begins, or a bracket closes."""
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _json_members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Key, its place, and the place of its value, of the object that begins at a place."""
    at = _json_skip(text, at + 1)
    while text[at] != "}":
        key, end = _decode(text, at)
        value = _json_skip(text, end)
        yield key, at, value
        at = _json_skip(text, _decode(text, value)[1])


def json_lines(text: str) -> Lines:
    """The lines of valid JSON."""

    def place(rule: int | None, key: str | None) -> int:
        at = _json_skip(text, 0)
        if rule is not None:
            values = (value for name, _, value in _json_members(text, at) if name == "rule")
            at = _json_skip(text, next(values) + 1)
            for _ in range(rule):
                at = _json_skip(text, _decode(text, at)[1])
        if text[at] != "{":
            return at
        # The last of a key that stands twice: the one that is too many.
        return max((begin for name, begin, _ in _json_members(text, at) if name == key), default=at)

    return lambda rule, key: text.count("\n", 0, place(rule, key)) + 1
