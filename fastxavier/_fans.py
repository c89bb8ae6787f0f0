"""Fans: how many inputs and outputs a weight of a given shape connects. Arithmetic of shapes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias, get_args

from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    choice,
    integer,
    integers,
    shown,
    truth,
)

__all__ = ["Fans", "Layout", "fans"]

Layout = Literal["torch", "jax", "keras", "embedding"]
Axes: TypeAlias = SupportsIndex | Iterable[SupportsIndex]


class Fans(NamedTuple):
    """Inputs that feed one unit, outputs that one input feeds. Initializers take it as it is."""

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
    """Both fans of a layer, from the shape of its weight.

    A fan is the extent of its axis (inputs, or outputs) times the size of the kernel: the extents
    of all axes that are neither input nor output nor batch.

    Parameters
    ----------
    shape : sequence of int
        The weight's shape, of at least two axes, or of any number where `in_axis` and `out_axis`
        list them. An extent of 0 makes a fan of 0.
    layout : {"torch", "jax", "keras", "embedding"}
        Which axes are which:

        - "torch": (out, in, \\*kernel), of Linear and Conv;
        - "jax" and "keras": (\\*kernel, in, out), of Dense and Conv;
        - "embedding": (vocabulary, features). A lookup reads one row and sums nothing, so fan_in is
          1, and fan_out is `features`. (Flax initializes its table with fan_in = features. A table
          that also serves as the output layer is a weight of that layer: "torch".)
    in_axis, out_axis : int or sequence of int, optional
        The axes of inputs and of outputs, as in JAX's ``variance_scaling``: give both, instead of a
        layout. Negative ones count from the end; ``()`` means no axis, and a fan of the kernel.
    batch_axis : int or sequence of int, optional
        Axes along which independent layers are stacked, such as experts. They count in neither fan;
        a layout describes the axes that remain.
    groups : int, default 1
        Groups of a convolution, between which there is no connection. Its weight holds the inputs
        of one group only, so fan_in is what the shape shows and fan_out is ``out / groups`` times
        the kernel. (torch's own initializers ignore groups and take all outputs.)
    transposed : bool, default False
        The weight of a transposed convolution: (in, out / groups, \\*kernel) in torch, where the
        shape shows the outputs of one group and fan_in is divided; (\\*kernel, out, in) in Keras;
        (\\*kernel, in, out) in JAX, as Flax's ``ConvTranspose`` holds it. (torch's and Keras' own
        initializers swap the two fans of such a weight.)
    parts : int, default 1
        Independent projections packed into the output axis: 3 for query, key and value. fan_out is
        that of one of them.

    Returns
    -------
    Fans
        The named tuple (fan_in, fan_out).

    Raises
    ------
    TypeError
        If an extent, an axis, `groups` or `parts` is not an integer, `transposed` is not True or
        False, or `shape` is an array or not a sequence.
    ValueError
        If the shape has fewer than two axes, an extent is negative, an axis does not exist or is
        named twice, `groups` or `parts` does not divide its extent, or arguments contradict each
        other.

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
    >>> from fastxavier import fans
    >>> fans((64, 16, 3, 3))
    Fans(fan_in=144, fan_out=576)
    >>> fans((3, 3, 16, 64), "jax")
    Fans(fan_in=144, fan_out=576)
    >>> fans((3 * 512, 512), parts=3)  # query, key and value in one
    Fans(fan_in=512, fan_out=512)
    >>> fans((512, 8, 64), in_axis=0, out_axis=(1, 2))  # to 8 heads of 64
    Fans(fan_in=512, fan_out=512)
    """
    extents = _extents(shape, isinstance(in_axis, Iterable) and out_axis is not None)
    groups, parts = integer("groups", groups, 1), integer("parts", parts, 1)
    transposed = truth("transposed", transposed)
    batch = _axes("batch_axis", batch_axis, extents)
    if in_axis is not None and out_axis is not None:
        if layout != "torch" or transposed:
            raise ArgumentValueError(
                f"layout is {layout!r} and transposed is {transposed!r} beside in_axis and "
                "out_axis, which replace them: leave them out",
                "layout",
                layout,
            )
        inputs = _axes("in_axis", in_axis, extents)
        outputs = _axes("out_axis", out_axis, extents)
    elif in_axis is not None or out_axis is not None:
        raise ArgumentValueError(
            f"in_axis is {in_axis!r} and out_axis is {out_axis!r}; give both, or a layout",
            "out_axis" if out_axis is None else "in_axis",
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
        fan_in = _divided("groups", groups, "in", fan_in)
    else:
        fan_out = _divided("groups", groups, "out", fan_out)
    return Fans(fan_in * kernel, _divided("parts", parts, "out", fan_out) * kernel)


def _extents(shape: Any, axes_are_listed: bool) -> tuple[int, ...]:
    if hasattr(shape, "shape"):
        raise ArgumentTypeError(
            f"shape is {shown(shape)}, {a_type(shape)}; it must be a sequence of "
            "integers, the shape of an array rather than the array",
            "shape",
            shape,
        )
    extents = integers("shape", shape)
    if len(extents) < 2 and not axes_are_listed:
        raise ArgumentValueError(
            f"shape is {extents}, with fewer than two axes; only a weight between inputs and "
            "outputs has fans. Initialize a bias with zeros and the scale of a norm with ones, or "
            "give the initializer the fans of the layer it belongs to",
            "shape",
            extents,
        )
    return extents


def _axes(name: str, axes: Any, extents: tuple[int, ...]) -> tuple[int, ...]:
    """Axes as a tuple of numbers from 0 up."""
    count = len(extents)
    listed = (
        integers(name, axes, -count, each="an axis")
        if isinstance(axes, Iterable)
        else (integer(name, axes, -count),)
    )
    numbers = []
    for number in listed:
        if number >= count:
            raise ArgumentValueError(
                f"{name} is {shown(axes)}; axes of shape {extents} are {-count} to {count - 1}",
                name,
                axes,
            )
        numbers.append(number % count)
    return tuple(numbers)


def _check_layout(layout: str, groups: int, transposed: bool, parts: int) -> None:
    choice("layout", layout, get_args(Layout))
    if layout == "embedding" and (groups > 1 or transposed or parts > 1):
        raise ArgumentValueError(
            f"groups is {groups}, transposed is {transposed!r} and parts is {parts}; an embedding "
            "has none of them: leave them out",
            "layout",
            layout,
        )
    if layout != "torch" and transposed and groups > 1:
        raise ArgumentValueError(
            f"groups is {groups}; layout {layout!r} has no transposed convolution with groups",
            "groups",
            groups,
        )


def _axes_of_layout(
    layout: str, transposed: bool, rest: list[int], extents: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Axes of inputs, of outputs and of stacked layers, `rest` being those of one layer."""
    if len(rest) < 2 or (layout == "embedding" and len(rest) > 2):
        raise ArgumentValueError(
            f"shape is {extents}, of which {len(rest)} axes are those of one layer; layout "
            f"{layout!r} needs {'two' if layout == 'embedding' else 'at least two'}",
            "shape",
            extents,
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
        raise ArgumentValueError(
            f"in_axis is {inputs}, out_axis is {outputs} and batch_axis is {batch}, counted from "
            "the front; each axis may be named once",
            "in_axis",
            inputs,
        )


def _divided(name: str, count: int, of: str, channels: int) -> int:
    """The channels of one group or part."""
    if channels % count:
        raise ArgumentValueError(
            f"{name} is {count}; it must divide the {channels} of the {of} axis", name, count
        )
    return channels // count
