"""An in-place function for every initializer, made from the table of initializers.

Each takes its fans from the shape. Their types are in _in_place.pyi, which tools/stubs.py writes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from fastxavier._streams import MODULE_DEFAULT
from fastxavier._validation import ArgumentTypeError, keywords, shown
from fastxavier.fill import fill_
from fastxavier.initializers import ALIASES, INITIALIZERS

_FANS = ("fan_in", "fan_out")
_FILL = [
    one
    for one in inspect.signature(fill_).parameters.values()
    if one.name not in ("array", "distribution")
]

_DOC = """\
Fill an array in place. {summary}

The same as ``fill_(array, {make}(...))``{fans}; see
`{make}`. For example ``{name}(w{example}, seed=7, stream="fc1.weight")``.

Parameters
----------
array : array_like
    What is filled; see `fill_`.{settings}
seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None, optional
    If it is not given, the module default's seed: see `manual_seed`.
stream : int or str, optional
    Which tensor, by number or name; tensors with the same seed need different streams.
global_shape, offset, threads, cuda_stream
    Whole tensor and place of a part, the number of threads, and where a fill on a GPU runs; see
    `fill_`.

Returns
-------
array_like
    The object given as `array`.

Raises
------
TypeError, ValueError
    As `{make}` and `fill_` do; the array is then as it was.
"""


def _in_place(name: str, initializer: str) -> Callable[..., Any]:
    """The function `name`, which fills an array by an initializer of the table."""
    make = INITIALIZERS[initializer].make
    made = inspect.signature(make)
    by_shape = "fan_in" in made.parameters
    own = [
        one.replace(kind=one.KEYWORD_ONLY) if by_shape else one
        for key, one in made.parameters.items()
        if key not in _FANS
    ]
    positional = [one.name for one in own if one.kind is one.POSITIONAL_OR_KEYWORD]
    required = [one.name for one in own if one.default is one.empty]
    known = [one.name for one in (*own, *_FILL)]
    with_fans = f"{make.__name__}({', '.join([*required, *_FANS])})"
    fans_hint = f"; to give fans write fill_(array, {with_fans})" if by_shape else ""

    def function(
        array: Any,
        *values: Any,
        seed: Any = MODULE_DEFAULT,
        stream: Any = None,
        global_shape: Any = None,
        offset: Any = None,
        threads: Any = None,
        cuda_stream: Any = None,
        **settings: Any,
    ) -> Any:
        if len(values) > len(positional):
            extra = shown(values[len(positional)])
            # torch has the slope, or else the gain, in second place.
            second = "negative_slope" if "negative_slope" in known else "gain"
            hint = "; write the names of the others"
            one = len(values) == 1 and isinstance(values[0], (int, float))
            if by_shape and one and second in known and not required:
                hint = f"; what torch takes there is {second}={extra} here"
            raise ArgumentTypeError(
                f"{name} takes {' and '.join(['array', *positional])} by position, and was given "
                f"{extra} too{hint}{fans_hint}",
                second if second in known else "array",
                values[len(positional)],
            )
        for key in _FANS:
            if key in settings:
                raise ArgumentTypeError(
                    f"{key} is {shown(settings[key])}, but {name} {'takes' if by_shape else 'has'} "
                    f"{'the fans from the shape' if by_shape else 'no fans'}{fans_hint}",
                    key,
                    settings[key],
                )
        if settings:
            keywords(name, settings, known)
        for key in required[len(values) :]:
            if key not in settings:
                raise ArgumentTypeError(f"{name} needs {key} too", key)
        return fill_(
            array,
            make(*values, **settings),
            seed=seed,
            stream=stream,
            global_shape=global_shape,
            offset=offset,
            threads=threads,
            cuda_stream=cuda_stream,
        )

    array = inspect.Parameter("array", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    function.__signature__ = inspect.Signature([array, *own, *_FILL])  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = _DOC.format(
        summary=(inspect.getdoc(make) or "").partition("\n")[0],
        name=name,
        make=make.__name__,
        fans=", with the fans of the whole shape" if by_shape else "",
        example="".join(f", {EXAMPLES[key]}" for key in required),
        settings=_described(make),
    )
    return function


EXAMPLES = {
    "value": "0.5",
    "sparsity": "0.9",
    "scale": "scale=2",
    "mode": 'mode="fan_in"',
    "distribution": 'distribution="normal"',
}


def _described(make: Callable[..., Any]) -> str:
    """The settings, as the docstring of the initializer describes them."""
    section = (inspect.getdoc(make) or "").partition("Parameters\n----------\n")[2]
    entries = re.findall(r"^\S.*(?:\n .*)*", section.partition("\n\n")[0], re.MULTILINE)
    return "".join(f"\n{entry}" for entry in entries if not entry.startswith("fan_in"))


# `uniform_`, `normal_` and `truncated_normal_` are Glorot's, with fans, in fill.py.
IN_PLACE: dict[str, Callable[..., Any]] = {
    f"{name}_": _in_place(f"{name}_", ALIASES.get(name, name))
    for name in (*INITIALIZERS, *ALIASES)
    if ALIASES.get(name, name) not in ("uniform", "normal", "truncated_normal")
}
"""Every in-place function, by its name."""

globals().update(IN_PLACE)
__all__ = ["IN_PLACE", *IN_PLACE]
