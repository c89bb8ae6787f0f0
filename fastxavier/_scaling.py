"""VarianceScaling: the formula behind every initializer that is named after a paper.

Arithmetic from fans to a distribution. initializers.py has the named cases and resolves them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from math import inf, ldexp, sqrt
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from fastxavier import _core
from fastxavier._fans import Axes, Fans, Layout, fans
from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    choice,
    integer,
    integers,
    number,
    shown,
    truth,
)
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform
from fastxavier.gains import gain_number

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["AXES", "Family", "Mode", "Scale", "VarianceScaling", "for_shape"]

Mode = Literal["fan_avg", "fan_in", "fan_out", "fan_geo_avg"]
Family = Literal["uniform", "normal", "truncated_normal"]
Scale: TypeAlias = "float | Fraction"


@dataclass(frozen=True)
class VarianceScaling:
    """Mean 0 and variance ``gain**2 * scale / n``, n being the fan that `mode` names.

    A frozen value, hashable and compared by value, that every initializer named after a paper is a
    case of. It becomes a distribution by `with_fans` or `for_shape`; `fill_` and plans do that.

    Parameters
    ----------
    scale : float
        Factor on the variance: 1 keeps that of a linear layer, 2 that of a rectified one.
    mode : {"fan_avg", "fan_in", "fan_out", "fan_geo_avg"}
        n: (fan_in + fan_out) / 2; fan_in, which keeps the variance of activations (forward pass);
        fan_out, which keeps that of gradients (backward pass); or sqrt(fan_in * fan_out).
    distribution : {"uniform", "normal", "truncated_normal"}
        U[-a, a] with a = sqrt(3 * variance); a plain normal; or a normal truncated at two standard
        deviations, whose std before truncation is divided by 0.87962566..., so that the variance
        after truncation is the one above.
    gain : float or str, default 1
        Factor on the standard deviation, or the name of an activation: see `gain`.
    layout, in_axis, out_axis, batch_axis, groups, transposed, parts : optional
        How fans are read from a shape: see `fans`. A layout of None is the plan's, or "torch".

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If scale or gain is negative or not finite, or a name is unknown.

    Examples
    --------
    >>> from fastxavier import VarianceScaling
    >>> scaling = VarianceScaling(2, "fan_in", "normal")
    >>> scaling.with_fans(fan_in=128)
    Normal(mean=0.0, std=0.125)
    >>> scaling.for_shape((64, 8, 4, 4))
    Normal(mean=0.0, std=0.125)
    """

    scale: Scale = 1
    mode: Mode = "fan_in"
    distribution: Family = "normal"
    gain: float | str = 1.0
    layout: Layout | None = None
    in_axis: Axes | None = None
    out_axis: Axes | None = None
    batch_axis: Axes = ()
    groups: int = 1
    transposed: bool = False
    parts: int = 1

    def __post_init__(self) -> None:
        scale = number("scale", self.scale)
        if scale < 0:
            raise ArgumentValueError(
                f"scale is {shown(scale)}; it must not be negative", "scale", scale
            )
        gain, layout = gain_number(self.gain), self.layout
        checked = {
            "scale": abs(scale),
            "mode": choice("mode", self.mode, get_args(Mode)),
            "distribution": choice("distribution", self.distribution, get_args(Family)),
            "gain": self.gain if isinstance(self.gain, str) else gain,
            "layout": layout if layout is None else choice("layout", layout, get_args(Layout)),
            "in_axis": _frozen("in_axis", self.in_axis),
            "out_axis": _frozen("out_axis", self.out_axis),
            "batch_axis": _frozen("batch_axis", self.batch_axis),
            "groups": integer("groups", self.groups, 1),
            "transposed": truth("transposed", self.transposed),
            "parts": integer("parts", self.parts, 1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        settings = [
            f"{field.name}={getattr(self, field.name)!r}"
            for i, field in enumerate(fields(self))
            if i < 3 or getattr(self, field.name) != field.default
        ]
        return f"VarianceScaling({', '.join(settings)})"

    def with_fans(
        self, fan_in: float | Fans | None = None, fan_out: float | None = None
    ) -> Distribution:
        """The distribution for a layer with these fans.

        Parameters
        ----------
        fan_in, fan_out : float, optional
            Inputs that feed one unit and outputs that one input feeds, each at least 1; only those
            that `mode` uses are needed. `fan_in` may be the `Fans` that `fans` returns.

        Returns
        -------
        Uniform, Normal or TruncatedNormal
            Of mean 0 and the variance of the formula.

        Raises
        ------
        TypeError
            If a fan is not a real number.
        ValueError
            If a fan that `mode` uses is missing, one is less than 1 or not finite, or the
            distribution reaches beyond the largest float.
        """
        if isinstance(fan_in, Fans):
            if fan_out is not None:
                raise ArgumentValueError(
                    f"fan_out is {shown(fan_out)} beside fan_in={fan_in}, which has both fans: "
                    "leave it out",
                    "fan_out",
                    fan_out,
                )
            fan_in, fan_out = fan_in
        fan_in, fan_out = _checked_fan("fan_in", fan_in), _checked_fan("fan_out", fan_out)
        if fan_in is None and self.mode != "fan_out":
            raise ArgumentValueError(f"fan_in is missing; mode {self.mode!r} uses it", "fan_in")
        if fan_out is None and self.mode != "fan_in":
            raise ArgumentValueError(f"fan_out is missing; mode {self.mode!r} uses it", "fan_out")
        return self._from(fan_in, fan_out)

    def for_shape(self, shape: Iterable[int], layout: Layout = "torch") -> Distribution:
        """The distribution for a weight of this shape.

        Parameters
        ----------
        shape : sequence of int
            The weight's whole shape, of at least two axes. A shape without elements has a
            distribution too, as if each extent of 0 were 1: nothing is drawn from it.
        layout : str
            Which axes are inputs and outputs where the initializer says neither `layout` nor
            `in_axis` and `out_axis`: see `fans`.

        Returns
        -------
        Uniform, Normal or TruncatedNormal
            Of mean 0 and the variance of the formula.

        Raises
        ------
        TypeError, ValueError
            As `fans` and `with_fans` do.
        """
        return for_shape(self, tuple(shape), layout)

    def fewest_axes(self) -> int:
        """A number of axes that is enough for these settings: with a layout, the fewest."""
        listed = [
            axes if isinstance(axes, tuple) else (axes,)
            for axes in (self.in_axis, self.out_axis, self.batch_axis)
            if axes is not None
        ]
        numbers = [axis for axes in listed for axis in axes]
        stacked = len(self.batch_axis) if isinstance(self.batch_axis, tuple) else 1
        from_front = max((axis + 1 for axis in numbers if axis >= 0), default=0)
        from_back = max((-axis for axis in numbers if axis < 0), default=0)
        return min(max(2 + stacked, from_front + from_back), 64)

    def _from(self, fan_in: Any, fan_out: Any) -> Distribution:
        gain = gain_number(self.gain) if isinstance(self.gain, str) else self.gain

        def spread(factor: int, kept: float = 1.0) -> float:
            return _spread(factor, self.scale, self.mode, fan_in, fan_out, gain, kept)

        if self.distribution == "uniform":
            bound = spread(3)
            return _core.make_uniform(Uniform, -bound, bound)
        if self.distribution == "normal":
            return _core.make_normal(Normal, 0.0, spread(1))
        std = spread(1, _STANDARD_TRUNCATED_STD)
        return _core.make_rescaled(TruncatedNormal, _STANDARD_TRUNCATED, 0.0, std)


@lru_cache(maxsize=4096)
def for_shape(scaling: VarianceScaling, shape: tuple[int, ...], layout: Layout) -> Distribution:
    """As the method; models repeat their shapes, so the last ones are kept."""
    by_axes = scaling.in_axis is not None or scaling.out_axis is not None
    if 0 in shape:
        shape = tuple(extent or scaling.groups * scaling.parts for extent in shape)
    found = fans(
        shape,
        scaling.layout or ("torch" if by_axes else layout),
        in_axis=scaling.in_axis,
        out_axis=scaling.out_axis,
        batch_axis=scaling.batch_axis,
        groups=scaling.groups,
        transposed=scaling.transposed,
        parts=scaling.parts,
    )
    return scaling._from(*found)


def _frozen(name: str, axes: Any) -> Any:
    """Axes as an int or a tuple of ints, so that the value can be hashed."""
    if axes is None:
        return None
    if isinstance(axes, Iterable):
        return integers(name, axes, -64, 63, "an axis")
    return integer(name, axes, -64, 63)


def _checked_fan(name: str, value: Any) -> int | float | None:
    if value is None or (type(value) is int and value >= 1):
        return value
    if getattr(value, "shape", ()) != ():
        raise ArgumentTypeError(
            f"{name} is {shown(value)}; it must be a number. To fill an array use fill_, or "
            "the function whose name ends in an underscore",
            name,
            value,
        )
    if isinstance(value, (tuple, list)):
        raise ArgumentTypeError(
            f"{name} is {shown(value)}; it must be a number, or fans(shape) for both fans",
            name,
            value,
        )
    fan = number(name, value)
    if fan < 1:
        raise ArgumentValueError(
            f"{name} is {shown(fan)}; it must be at least 1, as a number of connections is",
            name,
            fan,
        )
    return fan


_STANDARD_TRUNCATED = TruncatedNormal(0.0, 1.0)
with _core.round_to_nearest():
    _STANDARD_TRUNCATED_STD = _STANDARD_TRUNCATED.std


def _spread(
    factor: int,
    scale: Any,
    mode: str,
    fan_in: Any,
    fan_out: Any,
    gain: float,
    kept_std: float,
) -> float:
    """gain * sqrt(factor * scale / n) / kept_std, n being the fan that `mode` names."""
    with _core.round_to_nearest():
        try:
            if mode == "fan_avg":
                square = 2 * factor * scale / (fan_in + fan_out)
            elif mode == "fan_in":
                square = factor * scale / fan_in
            elif mode == "fan_out":
                square = factor * scale / fan_out
            else:
                square = 0.0
        except OverflowError:
            square = 0.0
        if _LEAST_SQUARE < square < inf:
            root = sqrt(square)
        else:
            root = _exact_root(factor, scale, mode, fan_in, fan_out)
        spread: float = gain * root / kept_std
    if not spread < inf:
        raise ArgumentValueError(
            f"scale {shown(scale)}, gain {gain}, fan_in {shown(fan_in)} and fan_out "
            f"{shown(fan_out)} give a distribution beyond the largest float",
            "scale",
            scale,
        )
    return spread


_LEAST_SQUARE = 1e-290  # below it a quotient is on its way to losing digits


def _exact_root(factor: int, scale: Any, mode: str, fan_in: Any, fan_out: Any) -> float:
    """sqrt(factor * scale / n) where floats would overflow or lose digits on the way."""
    from fractions import Fraction  # milliseconds, of which most programs need none

    ratio = factor * Fraction(scale)
    if mode == "fan_geo_avg":  # n itself may be irrational, its square is not
        return _root(ratio**2 / (Fraction(fan_in) * Fraction(fan_out)), 4)
    if mode == "fan_avg":
        return _root(2 * ratio / (Fraction(fan_in) + Fraction(fan_out)), 2)
    return _root(ratio / Fraction(fan_in if mode == "fan_in" else fan_out), 2)


def _root(value: Fraction, degree: int) -> float:
    """The square or fourth root of a fraction of any size; infinite beyond the largest float."""
    doublings = (value.numerator.bit_length() - value.denominator.bit_length()) // degree
    root = sqrt(value / type(value)(2) ** (degree * doublings))
    try:
        return ldexp(root if degree == 2 else sqrt(root), doublings)
    except OverflowError:
        return inf


AXES: Final[tuple[str, ...]] = tuple(one.name for one in fields(VarianceScaling))[4:]
"""The settings that say how fans are read from a shape."""
