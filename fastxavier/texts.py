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


_TOML_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|\#[^\n]*', re.S
)


def toml_lines(text: str) -> Lines:
    def blank(found: re.Match[str]) -> str:
        return "\n" * found[0].count("\n") if found[0].startswith(('"""', "'''", "#")) else found[0]

    lines = _TOML_STRING.sub(blank, text).split("\n")
    head = re.compile(r"\s*\[\[\s*[\"']?rule[\"']?\s*\]\]")
    heads = [number for number, line in enumerate(lines) if head.match(line)]

    def line(rule: int | None, key: str | None) -> int:
        first, last = 0, len(lines)
        if rule is not None and rule < len(heads):
            first, last = heads[rule], [*heads, last][rule + 1]
        if key is not None:
            begins = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[]=.]")
            for number in range(first, last):
                if begins.match(lines[number]):
                    return number + 1
        return first + 1

    return line


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
