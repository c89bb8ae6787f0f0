"""What the named cases of `VarianceScaling` share: docstrings, signatures and types.

initializers.py makes each case with it, and _in_place.py takes the words for the parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Protocol,
    SupportsFloat,
    SupportsIndex,
    TypedDict,
    TypeVar,
    overload,
)

from fastxavier._fans import Axes, Fans, Layout
from fastxavier._scaling import AXES, Family, Mode, VarianceScaling
from fastxavier._validation import keywords
from fastxavier.distributions import Distribution

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["PARAMETERS", "Constructor", "Settings", "case"]

D = TypeVar("D", bound=Distribution)
D_co = TypeVar("D_co", bound=Distribution, covariant=True)


class Settings(TypedDict, total=False):
    """The settings of the named cases, for type checkers."""

    gain: SupportsFloat | str | None
    negative_slope: SupportsFloat
    mode: Mode
    layout: Layout | None
    in_axis: Axes | None
    out_axis: Axes | None
    batch_axis: Axes
    groups: SupportsIndex
    transposed: bool
    parts: SupportsIndex


class Constructor(Protocol[D_co]):
    """What `glorot_uniform` and its kin are: with fans a distribution, without them a value."""

    __name__: str

    @overload
    def __call__(
        self,
        fan_in: SupportsFloat | Fans,
        fan_out: SupportsFloat | None = None,
        **settings: Unpack[Settings],
    ) -> D_co: ...
    @overload
    def __call__(self, *, fan_out: SupportsFloat, **settings: Unpack[Settings]) -> D_co: ...
    @overload
    def __call__(self, **settings: Unpack[Settings]) -> VarianceScaling: ...


class GeneralConstructor(Protocol):
    """What `variance_scaling` is: the same with the scale, the mode and the distribution."""

    __name__: str

    def __call__(
        self,
        scale: SupportsFloat,
        mode: Mode,
        distribution: Family,
        fan_in: SupportsFloat | Fans | None = None,
        fan_out: SupportsFloat | None = None,
        *,
        gain: SupportsFloat | str = 1.0,
        **axes: Any,
    ) -> Any: ...


PARAMETERS = {
    "scale": """\
scale : float
    Factor on the variance: 1 keeps that of a linear layer, 2 that of a rectified one.""",
    "distribution": """\
distribution : {"uniform", "normal", "truncated_normal"}
    U[-a, a] with a = sqrt(3 * variance); a plain normal; or a normal truncated at two standard
    deviations and widened by 1 / 0.87962566..., so that truncation leaves the variance right.""",
    "fan_in": """\
fan_in, fan_out : float or Fans, optional
    Inputs that feed one unit and outputs that one input feeds, each at least 1; only those that
    `mode` uses are needed, and `fan_in` may be what `fans` returns. Without them, what is filled
    gives the fans by its shape.""",
    "gain": """\
gain : float or str, default 1
    Factor on the standard deviation, or the name of the activation that follows: see `gain`.""",
    "negative_slope": """\
negative_slope : float, default 0
    Slope of the rectifier left of zero: 0 is ReLU, 1 a linear unit.
gain : float or str, optional
    Instead of the rectifier's gain, sqrt(2 / (1 + negative_slope**2)), another one, or the name of
    the activation: see `gain`. As ``nonlinearity`` of torch's ``kaiming_normal_``.""",
    "mode": """\
mode : {"fan_avg", "fan_in", "fan_out", "fan_geo_avg"}
    What the formula divides by: the mean of both fans; fan_in, which keeps the variance of
    activations; fan_out, which keeps that of gradients; or sqrt(fan_in * fan_out).""",
    "layout": """\
layout, in_axis, out_axis, batch_axis, groups, transposed, parts : optional
    How fans are read from a shape: see `fans`. The layout is "torch", (out, in, \\*kernel), unless
    it is given here or in a plan.""",
}

_DOC = """\
{text}

Parameters
----------
{parameters}

Returns
-------
VarianceScaling, or with fans a distribution
    What `fill_`, `draw` and plans take.

Raises
------
TypeError
    If an argument has the wrong type.
ValueError
    If a fan is missing or less than 1, a number is negative or not finite, a name is unknown, or
    the distribution reaches beyond the largest float.

References
----------
{source}

Examples
--------
{examples}
"""


PROMPT = ">" * 3 + " "


@overload
def case(source: str) -> Callable[[Callable[..., Any]], GeneralConstructor]: ...
@overload
def case(source: str, drawn: type[D]) -> Callable[[Callable[..., Any]], Constructor[D]]: ...
def case(source: str, drawn: Any = None) -> Any:
    """Complete a named case: the shared parts of its docstring, the axes in its signature."""

    def complete(function: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(function)
        named_here = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
        axes = [
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default)
            for one in fields(VarianceScaling)
            if one.name in AXES
        ]
        signature = own.replace(parameters=[*named_here, *axes])

        @wraps(function)
        def make(*values: Any, **settings: Any) -> Any:
            if settings:
                keywords(function.__name__, settings, signature.parameters)
            return function(*values, **settings)

        make.__signature__ = signature  # type: ignore[attr-defined]
        text, _, examples = (inspect.getdoc(function) or "").partition(f"\n\n{PROMPT}")
        skipped = {"gain"} if "negative_slope" in signature.parameters else set()
        parameters = [
            PARAMETERS[key] for key in signature.parameters if key in PARAMETERS.keys() - skipped
        ]
        make.__doc__ = _DOC.format(
            text=text,
            parameters="\n".join(parameters),
            source=source,
            examples=f"{PROMPT}from fastxavier import {function.__name__}\n{PROMPT}{examples}",
        )
        return make

    return complete
