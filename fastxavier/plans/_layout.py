"""The layout of a tensor: where its shape has the inputs and outputs. `Plan` asks for each tensor.

Flax and Keras call a weight ``kernel`` and put the outputs last; torch calls it ``weight`` and puts
them first. So a name can say what a plan leaves open, and contradict what a plan says.
"""

from __future__ import annotations

from typing import Any, cast

from fastxavier._fans import Layout
from fastxavier._validation import ArgumentValueError

__all__ = ["layout_of", "layout_word"]

_AXES = {
    "kernel": ("(*kernel, in, out), as Flax and Keras have them", ("jax", "keras")),
    "weight": ("(out, in, *kernel), as torch has them", ("torch", "embedding")),
}


def layout_word(name: str) -> str:
    """The last part of a name if it says a layout, or else nothing."""
    last = name[-6:]  # both words have six letters
    return last if last in _AXES and name[-7:-6] in ("", ".", "_", "/") else ""


def layout_of(name: str, layout: Layout | None, initializer: Any) -> Layout:
    """The layout in which an initializer reads the shape of a tensor.

    Parameters
    ----------
    name : str
        The tensor's name.
    layout : str or None
        The plan's layout.
    initializer : VarianceScaling, Distribution or StructuredInitializer
        One with a layout or axes of its own does not ask for another.

    Returns
    -------
    str
        `layout`, or that of the name if `layout` is None: "jax" for a kernel, else "torch".

    Raises
    ------
    ValueError
        If name and `layout` contradict each other, or the name leaves open what matters.
    """
    asks = getattr(initializer, "layout", "") is None
    if not asks or getattr(initializer, "in_axis", None) is not None:
        return layout or "torch"
    last = layout_word(name)
    if not last:
        return layout or "torch"
    axes, layouts = _AXES[last]
    if layout is None:
        if last == "kernel" and getattr(initializer, "transposed", False):
            raise ArgumentValueError(
                "a transposed kernel is (*kernel, in, out) in Flax and (*kernel, out, in) in "
                "Keras, and the name does not say which: give the plan or the rule a layout",
                "layout",
                layout,
                layouts,
            )
        return cast(Layout, layouts[0])
    if layout not in layouts:
        raise ArgumentValueError(
            f"the layout is {layout!r}, but a tensor named {last!r} has the axes {axes}. Leave "
            "out the plan's layout, and names decide; or add a rule for this tensor that has a "
            "layout of its own",
            "layout",
            layout,
            layouts,
        )
    return layout
