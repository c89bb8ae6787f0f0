"""Write fastxavier/_in_place.pyi, the types of the functions that are made from the table.

python tools/stubs.py            # writes the file
python tools/stubs.py --check    # fails where it differs
"""

import inspect
import pathlib
import sys

from fastxavier import _in_place

FILE = pathlib.Path(__file__).parents[1] / "fastxavier" / "_in_place.pyi"

HEAD = """\
# Written by tools/stubs.py from the table of initializers.
from collections.abc import Callable, Iterable
from typing import Any, SupportsFloat, SupportsIndex, TypeVar

from fastxavier._fans import Axes, Layout
from fastxavier._scaling import Family, Mode
from fastxavier._streams import Seed, Stream

_A = TypeVar("_A")
_Shape = Iterable[SupportsIndex]

IN_PLACE: dict[str, Callable[..., Any]]

"""

TYPES = {
    "scale": "float",
    "mode": "Mode",
    "distribution": "Family",
    "gain": "SupportsFloat | str",
    "negative_slope": "SupportsFloat",
    "layout": "Layout | None",
    "in_axis": "Axes | None",
    "out_axis": "Axes | None",
    "batch_axis": "Axes",
    "groups": "SupportsIndex",
    "transposed": "bool",
    "parts": "SupportsIndex",
    "value": "SupportsFloat",
    "sparsity": "SupportsFloat",
    "std": "SupportsFloat",
    "seed": "Seed",
    "stream": "Stream",
    "global_shape": "_Shape | None",
    "offset": "_Shape | None",
    "threads": "SupportsIndex | None",
    "cuda_stream": "Any",
}


def stub(name, function):
    """The declaration of a function, a parameter a line."""
    lines, keyword_only = ["    array: _A,"], False
    for one in list(inspect.signature(function).parameters.values())[1:]:
        if one.kind is one.KEYWORD_ONLY and not keyword_only:
            lines.append("    *,")
            keyword_only = True
        kind = TYPES[one.name]
        if one.default is None and "None" not in kind:
            kind += " | None"
        default = "" if one.default is one.empty else " = ..."
        lines.append(f"    {one.name}: {kind}{default},")
    return "\n".join([f"def {name}(", *lines, ") -> _A: ..."])


def main():
    """Write or compare."""
    text = HEAD + "\n".join(stub(*one) for one in _in_place.IN_PLACE.items()) + "\n"
    if "--check" in sys.argv[1:]:
        sys.exit(FILE.read_text() != text and f"{FILE.name} is not what tools/stubs.py writes")
    FILE.write_text(text)


if __name__ == "__main__":
    main()
