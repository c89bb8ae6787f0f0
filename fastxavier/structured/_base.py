"""What the structured initializers share: checks, shards and layouts. Their modules build on it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    get_args,
)

import numpy as np

from fastxavier import _core, _fans
from fastxavier._dtypes import FLOATS, FloatDtype
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, choice
from fastxavier.distributions import Constant, Distribution
from fastxavier.gains import gain_number

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Lattice", "LayoutInitializer", "Part", "PatternInitializer", "StructuredInitializer"]

Array: TypeAlias = "npt.NDArray[Any]"
Key: TypeAlias = tuple[int, int]
Layout = Literal["torch", "jax", "keras"]
Place: TypeAlias = Iterable[SupportsIndex] | None
Shape: TypeAlias = tuple[int, ...]
Self = TypeVar("Self", bound="StructuredInitializer")


class Part(NamedTuple):
    """An array as the part of a tensor of shape `shape` that begins at `offset`."""

    array: Array
    shape: Shape
    offset: Shape

    @classmethod
    def whole(cls, array: Array) -> Part:
        """An array that is the whole tensor."""
        return cls(array, array.shape, (0,) * array.ndim)

    @property
    def slices(self) -> tuple[slice, ...]:
        """The place of the part in the whole tensor, to index it with."""
        ends = zip(self.offset, self.array.shape, strict=True)
        return tuple(slice(first, first + extent) for first, extent in ends)

    def transposed(self, axes: Iterable[int]) -> Part:
        """The same part with its axes in another order; the array is a view."""
        axes = tuple(axes)
        return Part(
            self.array.transpose(axes),
            tuple(self.shape[axis] for axis in axes),
            tuple(self.offset[axis] for axis in axes),
        )


class Lattice(NamedTuple):
    """Places of an array: from one on, in equal steps along some directions."""

    first: tuple[int, ...]
    axes: tuple[tuple[tuple[int, ...], int], ...]
    """The steps along the array's axes, and how many places there are."""


class StructuredInitializer(ABC):
    """An initializer whose values depend on one another.

    Base class of `Identity`, `Dirac`, `Orthogonal`, `DeltaOrthogonal` and `Sparse`. Like a
    distribution it is immutable, hashable and compared by value, and `fill_` takes it.
    """

    __slots__ = ()
    by_parts: ClassVar[bool] = True
    """Whether a part of a tensor is drawn without the whole."""

    def check(
        self,
        array: Array,
        threads: SupportsIndex | None = None,
        global_shape: Place = None,
        offset: Place = None,
    ) -> None:
        """Raise what `write` would raise, and write nothing.

        Parameters
        ----------
        array, threads, global_shape, offset
            As for `write`.

        Raises
        ------
        TypeError, ValueError
            As `write` does.
        """
        self._checked(array, threads, global_shape, offset)

    def write(
        self,
        array: Array,
        key: Key | _core.Streams,
        threads: SupportsIndex | None = None,
        global_shape: Place = None,
        offset: Place = None,
    ) -> None:
        """Write the initial weights into a NumPy array of any memory layout.

        Parameters
        ----------
        array : numpy.ndarray
            The array to write, of a dtype that `fill_` fills and a shape that the initializer
            supports. An array without elements is left as it is.
        key : tuple of int, or Streams
            Seed and stream, as 64-bit numbers, of the random values; or the streams from which the
            next one is taken once all checks have passed.
        threads : int, optional
            Use at most this many threads for drawing; see `fill_`.
        global_shape, offset : sequence of int, optional
            The array is the part that begins at `offset` (default: the origin) of a tensor of shape
            `global_shape`. It gets exactly the values that writing the whole tensor would put
            there.

        Raises
        ------
        TypeError
            If `array` is not a NumPy array, or has another dtype or byte order.
        ValueError
            If the initializer does not support the shape, if the array is read-only, overlaps
            itself or does not lie inside `global_shape`, if its dtype cannot hold the values, or if
            `threads` is less than 1. Then nothing has been written and no stream taken.
        """
        part = self._checked(array, threads, global_shape, offset)
        if isinstance(key, _core.Streams):
            key = key.take()
        if array.size:
            self._write(part, key, threads)

    def in_layout(self: Self, layout: _fans.Layout) -> Self:
        """The same initializer for tensors of a layout, if it does not name one itself.

        Parameters
        ----------
        layout : {"torch", "jax", "keras", "embedding"}
            The order of axes, as in `fans`. "embedding" is the same as "torch" here.

        Returns
        -------
        StructuredInitializer
            A copy with the layout filled in where it was None; otherwise the initializer itself, as
            for those that have no layout.

        Raises
        ------
        TypeError, ValueError
            If the layout is unknown.
        """
        choice("layout", layout, get_args(_fans.Layout))
        return self

    def deviation(self, array: Array) -> float:
        """How far a whole tensor is from what the initializer writes: 0 is a perfect match.

        For `Identity` and `Dirac`, the greatest difference from the expected values. For
        `Orthogonal`, the greatest difference between the products of its vectors, divided by
        gain**2, and the identity. For `DeltaOrthogonal`, that of the matrix in the middle of the
        kernel, or the greatest of the other values divided by gain, if that is greater. For
        `Sparse`, the greatest number of surplus zeros in a column, infinite if a column has too
        few; the other values are not looked at.

        Parameters
        ----------
        array : numpy.ndarray
            The tensor, of a dtype that `fill_` fills. It may be read-only.

        Returns
        -------
        float
            Not negative; 0 for an array without elements, infinite if a value is NaN.

        Raises
        ------
        TypeError
            If `array` is not a NumPy array, or has another dtype.
        ValueError
            If the initializer does not support the shape.
        """
        self._looked_at(array)
        if not array.size:
            return 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            distance = float(self._distance(array.astype(np.float64)))
        return math.inf if math.isnan(distance) else distance

    def tolerance(self, array: Array) -> float:
        """The greatest `deviation` that rounding explains, float32 computations included.

        Parameters
        ----------
        array : numpy.ndarray
            As for `deviation`; only its shape and dtype matter.

        Returns
        -------
        float
            Not negative.

        Raises
        ------
        TypeError, ValueError
            As `deviation` does.
        """
        dtype = self._looked_at(array)
        return self._allowance(array.shape, dtype)

    def _checked(self, array: Array, threads: Any, global_shape: Place, offset: Place) -> Part:
        """All checks of `write`, and the part that it writes."""
        _check_numpy(array)
        target = _core.check(array, self._reach(), global_shape, offset, threads)
        part = Part(np.asarray(array), target.global_shape, target.offset)
        self._check_shape(part.shape, "array" if global_shape is None else "global_shape")
        return part

    def _looked_at(self, array: Array) -> FloatDtype:
        """The facts of the array's dtype, once `deviation` and `tolerance` can look at it."""
        _check_numpy(array)
        dtype = FLOATS.get(array.dtype.name)  # the byte order does not matter
        if dtype is None:
            raise ArgumentTypeError(
                f"array has dtype {array.dtype}; it must be {', '.join(FLOATS)}",
                "array",
                array,
                FLOATS,
            )
        self._check_shape(array.shape)
        return dtype

    def _bad_shape(self, shape: Shape, argument: str, problem: str) -> ArgumentValueError:
        """The error for a shape that the initializer does not support."""
        subject = "array of shape" if argument == "array" else argument
        return ArgumentValueError(f"{subject} {shape} {problem}", argument, shape)

    @abstractmethod
    def _reach(self) -> Distribution:
        """A distribution that a dtype can hold exactly if it can hold the initializer's values."""

    @abstractmethod
    def _check_shape(self, shape: Shape, argument: str = "array") -> None:
        """ValueError unless the initializer supports the shape of a whole tensor."""

    @abstractmethod
    def _write(self, part: Part, key: Key, threads: SupportsIndex | None) -> None:
        """Write a part that has elements and has passed all checks."""

    @abstractmethod
    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        """The deviation of a copy, which may be changed; NaN counts as infinite."""

    @abstractmethod
    def _allowance(self, shape: Shape, dtype: FloatDtype) -> float:
        """The tolerance."""


class LayoutInitializer(StructuredInitializer):
    """Base of those that have a gain, and a layout that may be left to the caller."""

    __slots__ = ()
    gain: float
    layout: Layout | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", gain_number(self.gain))
        if self.layout is not None:
            choice("layout", self.layout, get_args(Layout))

    def in_layout(self: Self, layout: _fans.Layout) -> Self:
        """See `StructuredInitializer.in_layout`."""
        choice("layout", layout, get_args(_fans.Layout))
        if self.layout is not None:  # type: ignore[attr-defined]
            return self
        return replace(self, layout="torch" if layout == "embedding" else layout)  # type: ignore[type-var]

    @property
    def _units_last(self) -> bool:
        """Whether the output axis is the last one, not the first."""
        return self.layout in ("jax", "keras")

    def _reach(self) -> Distribution:
        return Constant(self.gain)

    def _check_kernel(self, shape: Shape, argument: str) -> None:
        """ValueError unless the shape has two axes of channels and one to three of a kernel."""
        if not 3 <= len(shape) <= 5:
            raise self._bad_shape(
                shape,
                argument,
                f"is not that of a convolution; {self!r} needs three to five axes, one to three of "
                "them the kernel's",
            )


class PatternInitializer(StructuredInitializer):
    """Base of those that write `gain` at certain places and 0 elsewhere, without random values."""

    __slots__ = ()
    gain: float

    @abstractmethod
    def lattices(self, part: Part) -> Iterable[Lattice]:
        """The places of the part that are not 0."""

    def _set_ones(self, part: Part, one: Any) -> None:
        for first, axes in self.lattices(part):
            index = []
            for axis, start in enumerate(first):
                place: Any = start
                for number, (steps, count) in enumerate(axes):
                    if steps[axis]:
                        along = (-1, *[1] * (len(axes) - 1 - number))
                        place = place + steps[axis] * np.arange(count).reshape(along)
                index.append(place)
            part.array[tuple(index)] = one

    def _reach(self) -> Distribution:
        return Constant(self.gain)

    def _write(self, part: Part, key: Key, threads: SupportsIndex | None) -> None:
        one = np.empty((), part.array.dtype)
        _core.fill(one, Constant(self.gain), key, None, None, None)
        _core.fill(part.array, Constant(0.0), key, None, None, threads)
        self._set_ones(part, one)

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        expected = np.zeros(array.shape)
        self._set_ones(Part.whole(expected), self.gain)
        return float(np.abs(array - expected).max())

    def _allowance(self, shape: Shape, dtype: FloatDtype) -> float:
        return dtype.epsilon * self.gain + dtype.smallest


def _check_numpy(array: Any) -> None:
    if not isinstance(array, np.ndarray):
        raise ArgumentTypeError(
            f"array is {a_type(array)}; it must be a NumPy array", "array", array
        )
