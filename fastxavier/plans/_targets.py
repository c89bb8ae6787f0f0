"""From the arrays of a model to where their values go, and whether that is still there.

_prepared.py calls it: for each tensor once, and then before each fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from fastxavier import _core
from fastxavier._torch import is_tensor, memories, numpy_view, strided_memory
from fastxavier._validation import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    of_tensor,
)
from fastxavier.distributions import Constant
from fastxavier.initializers import Resolved

__all__ = ["Memory", "check_counted", "target_of_tensor"]

Array: TypeAlias = "np.ndarray[Any, Any]"


def target_of_tensor(name: str, array: Any) -> _core.Target | Array:
    """Where the tensor's values go; an error names it, whatever its exporter raises."""
    try:
        try:
            return _core.target_of(array)
        except ArgumentTypeError as error:
            integers = _integers(array) if error.choices else None  # it is the dtype that is wrong
            if integers is None:
                raise
            return integers
    except Exception as error:
        if isinstance(error, ArgumentError) or type(error) in (TypeError, ValueError):
            raise of_tensor(name, error) from None
        raise ArgumentValueError(
            f"tensor {name!r}: array is {a_type(array)} that exports no memory: "
            f"{type(error).__name__}: {error}",
            "array",
        ) from error


def _integers(array: Any) -> Array | None:
    """The array as NumPy's, if it holds integers or truth values; an error if it cannot be written.

    None if it holds anything else. It is one of which `target_of` has refused only the dtype.
    """
    found: Array
    if is_tensor(array):
        if array.is_floating_point() or array.is_complex():
            return None
        if array.is_cuda:
            raise ArgumentTypeError(
                f"array is a torch tensor of dtype {array.dtype} on a GPU, where only floats are "
                "initialized; leave it out",
                "array",
                array.dtype,
            )
        view = numpy_view(strided_memory(array, floats=False))
        if view is None:
            return None
        found = view
    elif isinstance(array, np.ndarray) or not hasattr(array, "__dlpack__"):
        found = _core.exported(array)
    else:
        found = np.from_dlpack(array)
    if found.dtype.kind not in "biu":
        return None
    if not found.flags.writeable:
        raise ArgumentTypeError(
            f"array of dtype {found.dtype} is read-only; it must be writable", "array"
        )
    (first,), (last,) = _core.spans([found])
    if first < last and not first:
        raise ArgumentValueError(
            f"array of shape {found.shape} is {a_type(array)} without memory of its own; "
            "allocate it first",
            "array",
        )
    if _core.overlaps_itself(found):
        raise ArgumentValueError(
            f"array of shape {found.shape} has strides {found.strides}: elements of it share "
            "memory; each must have its own",
            "array",
        )
    return found


# Beyond it a float64, which a constant is, does not hold every integer.
_MOST_COUNTED = 2**53 - 1


def check_counted(name: str, array: Array, distribution: Resolved) -> None:
    """An array of integers or truth values takes a whole constant that its dtype can hold."""
    least, most = 0, 1
    if array.dtype.kind != "b":
        limits = np.iinfo(array.dtype)
        least, most = max(int(limits.min), -_MOST_COUNTED), min(int(limits.max), _MOST_COUNTED)
    if not (
        isinstance(distribution, Constant)
        and distribution.value.is_integer()
        and least <= distribution.value <= most
    ):
        exact = ", up to which a constant is exact" if most == _MOST_COUNTED else ""
        raise ArgumentTypeError(
            f"tensor {name!r}: array has dtype {array.dtype}, which takes a whole constant from "
            f"{least} to {most}{exact}; the plan has {distribution!r}",
            "array",
            array.dtype,
        )


class Memory:
    """The memory of a model's arrays, noted now and compared before each fill.

    A NumPy array can be resized in place, a torch tensor given other storage, and storage be freed
    under it. What NumPy and torch know is compared; any other array exports its memory once more.
    """

    def __init__(self, arrays: Sequence[Any], tensors: Sequence[tuple[str, Any, Any, int]]) -> None:
        self._names = [one[0] for one in tensors]
        self._targets = [one[1] for one in tensors]
        others = [
            number
            for number, (array, target) in enumerate(zip(arrays, self._targets, strict=True))
            if type(array) is not np.ndarray or not isinstance(target, _core.Target)
        ]
        self._torch = [number for number in others if is_tensor(arrays[number])]
        self._tensors = [arrays[number] for number in self._torch]
        self._memories = memories(self._tensors)
        self._exported = [
            (self._names[number], arrays[number], _described(self._targets[number]))
            for number in others
            if not is_tensor(arrays[number])
        ]

    def check(self) -> None:
        """ValueError, naming the tensor, if the memory of an array has changed."""
        number = _core.first_changed(self._targets)
        if number >= 0:
            raise _changed(self._names[number])
        now = memories(self._tensors)
        if now != self._memories:
            pairs = zip(self._torch, now, self._memories, strict=True)
            raise _changed(next(self._names[i] for i, one, other in pairs if one != other))
        for name, array, noted in self._exported:
            if _described(target_of_tensor(name, array)) != noted:
                raise _changed(name)


def _described(target: _core.Target | Array) -> tuple[Any, ...]:
    """The address, layout and dtype of memory, and whether it is read-only."""
    memory = target.__array_interface__
    return str(target.dtype), memory["data"], memory["shape"], memory["strides"]


def _changed(name: str) -> ArgumentValueError:
    return ArgumentValueError(
        f"tensor {name!r}: array has other memory, another shape, strides or dtype than when it "
        "was prepared, or is read-only now; prepare the model again",
        "array",
    )
