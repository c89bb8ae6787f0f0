"""Fans: how many inputs and outputs a weight of a given shape joins. Knows shapes, no array."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias, get_args

__all__ = ["Fans", "Layout", "fans"]

Layout = Literal["torch", "jax", "keras", "embedding"]
Axes: TypeAlias = SupportsIndex | Iterable[SupportsIndex]


class Fans(NamedTuple):
    """Inputs that feed one unit, and outputs that one input feeds. Schemes take both, in order."""

    fan_in: int
    fan_out: int


def fans(
    shape: Iterable[SupportsIndex],
    layout: Layout = "torch",
    *,
    in_axis: Axes | None = None,
    out_axis: Axes | None = None,
    batch_axis: Axes = (),
    groups: SupportsIndex = 1,
    transposed: bool = False,
    parts: SupportsIndex = 1,
) -> Fans:
    """Tell both fans of a layer from the shape of its weight.

    A fan is the extent of its axis (inputs, or outputs) times that of the kernel: of every axis
    that is neither input nor output nor batch.

    Parameters
    ----------
    shape : sequence of int
        The weight's shape, of two axes at least. An extent of 0 makes a fan of 0, by which no
        scheme will divide.
    layout : {"torch", "jax", "keras", "embedding"}
        Which axes are which:

        - "torch": (out, in, \\*kernel), of Linear and Conv;
        - "jax" and "keras": (\\*kernel, in, out), of Dense and Conv;
        - "embedding": (vocabulary, features). A lookup reads one row and sums nothing, so fan_in is
          1, and fan_out is `features`. (Flax starts its table with fan_in = features. A table that
          also serves as the output layer is a weight of that layer: "torch".)
    in_axis, out_axis : int or sequence of int, optional
        The axes of inputs and of outputs, instead of a layout and both together, as in JAX's
        ``variance_scaling``; negative ones count from the end, ``()`` is none.
    batch_axis : int or sequence of int, optional
        Axes along which independent layers are stacked, such as experts. They belong to no fan; a
        layout is that of the axes which remain.
    groups : int, default 1
        Groups of a convolution, between which there is no connection. Its weight holds the inputs
        of one group only, so fan_in is what the shape shows and fan_out is ``out / groups`` times
        the kernel. (torch's own initialisers ignore groups and take all outputs.)
    transposed : bool, default False
        The weight of a transposed convolution: (in, out / groups, \\*kernel) in torch, where the
        shape shows the outputs of one group and fan_in is divided; (\\*kernel, out, in) in Keras;
        (\\*kernel, in, out) in JAX, as Flax's ``ConvTranspose`` holds it. (torch's and Keras' own
        initialisers take the two fans of such a weight for each other.)
    parts : int, default 1
        Projections that lie side by side in the output axis and are independent: 3 for a packed
        query, key and value. fan_out is that of one of them.

    Returns
    -------
    Fans
        The named tuple (fan_in, fan_out).

    Raises
    ------
    TypeError
        If an extent, an axis, `groups` or `parts` is no integer, or `shape` is an array or no
        sequence.
    ValueError
        If the shape has fewer than two axes, an extent is negative, an axis is not there or named
        twice, `groups` or `parts` does not divide its extent, or arguments contradict each other.

    Notes
    -----
    A depthwise kernel of Keras, (\\*kernel, channels, multiplier), is a stack of convolutions, one
    for each channel: ``in_axis=(), out_axis=-1, batch_axis=-2``.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, section 4.2; K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into
    rectifiers", ICCV 2015, section 2.2, for convolutions.

    Examples
    --------
    >>> from fastxavier._fans import fans
    >>> fans((64, 16, 3, 3))
    Fans(fan_in=144, fan_out=576)
    >>> fans((3, 3, 16, 64), "jax")
    Fans(fan_in=144, fan_out=576)
    >>> fans((3 * 512, 512), parts=3)  # query, key and value in one
    Fans(fan_in=512, fan_out=512)
    >>> fans((512, 8, 64), in_axis=0, out_axis=(1, 2))  # to 8 heads of 64
    Fans(fan_in=512, fan_out=512)
    """
    extents = _extents(shape)
    groups, parts = whole("groups", groups, 1), whole("parts", parts, 1)
    batch = _axes("batch_axis", batch_axis, extents)
    if in_axis is not None and out_axis is not None:
        if layout != "torch" or transposed:
            raise ValueError(
                f"layout is {layout!r} and transposed is {transposed!r} beside in_axis and "
                "out_axis, which stand in their place: leave them out"
            )
        inputs = _axes("in_axis", in_axis, extents)
        outputs = _axes("out_axis", out_axis, extents)
    elif in_axis is not None or out_axis is not None:
        raise ValueError(
            f"in_axis is {in_axis!r} and out_axis is {out_axis!r}; give both, or a layout"
        )
    else:
        _check_layout(layout, groups, transposed, parts)
        rest = [axis for axis in range(len(extents)) if axis not in batch]
        inputs, outputs, stacked = _axes_of_layout(layout, transposed, rest, extents)
        batch += stacked
    _check_distinct(inputs, outputs, batch)

    def extent(axes: Iterable[int]) -> int:
        return math.prod(extents[axis] for axis in axes)

    kernel = extent(set(range(len(extents))) - {*inputs, *outputs, *batch})
    fan_in, fan_out = extent(inputs), extent(outputs)
    # One axis of a grouped weight holds all channels, the other those of one group.
    if transposed:
        fan_in = _share("groups", groups, "in", fan_in)
    else:
        fan_out = _share("groups", groups, "out", fan_out)
    return Fans(fan_in * kernel, _share("parts", parts, "out", fan_out) * kernel)


def whole(name: str, value: Any, least: int) -> int:
    """`value` as an int; TypeError unless it is an integer, ValueError below `least`."""
    try:
        if type(value).__name__ in ("bool", "bool_"):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it must be an integer from {least} up") from None
    if number < least:
        raise ValueError(f"{name} is {number}; it must be an integer from {least} up")
    return number


def _extents(shape: Any) -> tuple[int, ...]:
    if hasattr(shape, "shape") or not isinstance(shape, Iterable):
        raise TypeError(
            f"shape is {shape!r}, a {type(shape).__name__}; it must be a sequence of integers, "
            "the shape of an array rather than the array"
        )
    extents = tuple(whole(f"shape is {shape!r}: an extent", extent, 0) for extent in shape)
    if len(extents) < 2:
        raise ValueError(
            f"shape is {extents}, with fewer than two axes; only a weight between inputs and "
            "outputs has fans. Start a bias with zeros, the scale of a norm with ones, or give "
            "the scheme the fans of the layer it belongs to"
        )
    return extents


def _axes(name: str, axes: Any, extents: tuple[int, ...]) -> tuple[int, ...]:
    """Axes as a tuple of numbers from 0 up."""
    count = len(extents)
    numbers = []
    for axis in axes if isinstance(axes, Iterable) else (axes,):
        number = whole(f"{name} is {axes!r}: an axis", axis, -count)
        if number >= count:
            raise ValueError(
                f"{name} is {axes!r}; axes of shape {extents} are {-count} to {count - 1}"
            )
        numbers.append(number % count)
    return tuple(numbers)


def _check_layout(layout: str, groups: int, transposed: bool, parts: int) -> None:
    if layout not in get_args(Layout):
        raise ValueError(
            f"layout is {layout!r}; it must be {', '.join(map(repr, get_args(Layout)))}"
        )
    if layout == "embedding" and (groups > 1 or transposed or parts > 1):
        raise ValueError(
            f"groups is {groups}, transposed is {transposed!r} and parts is {parts}; with layout "
            "'embedding' they mean nothing: leave them out"
        )
    if layout != "torch" and transposed and groups > 1:
        raise ValueError(
            f"groups is {groups}; layout {layout!r} has no transposed convolution with groups"
        )


def _axes_of_layout(
    layout: str, transposed: bool, rest: list[int], extents: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Axes of inputs, of outputs and of stacked layers, `rest` being those of one layer."""
    if len(rest) < 2 or (layout == "embedding" and len(rest) > 2):
        raise ValueError(
            f"shape is {extents}, of which {len(rest)} axes are those of one layer; layout "
            f"{layout!r} needs {'two' if layout == 'embedding' else 'at least two'}"
        )
    if layout == "embedding":  # a row for each word, from the one input that chooses it
        return (), (rest[1],), (rest[0],)
    first, second = (rest[1], rest[0]) if layout == "torch" else (rest[-2], rest[-1])
    if transposed and layout != "jax":
        first, second = second, first
    return (first,), (second,), ()


def _check_distinct(
    inputs: tuple[int, ...], outputs: tuple[int, ...], batch: tuple[int, ...]
) -> None:
    named = [*inputs, *outputs, *batch]
    if len(set(named)) < len(named):
        raise ValueError(
            f"in_axis is {inputs}, out_axis is {outputs} and batch_axis is {batch}, counted from "
            "the start; each axis may be named once"
        )


def _share(name: str, count: int, of: str, channels: int) -> int:
    """The channels of one group or part."""
    if channels % count:
        raise ValueError(f"{name} is {count}; it must divide the {channels} of the {of} axis")
    return channels // count
