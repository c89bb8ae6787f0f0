"""The kernel of a convolution that changes nothing, as initial weights. fill_ and plans use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass

from fastxavier._validation import ArgumentValueError, integer
from fastxavier.structured._base import (
    Lattice,
    Layout,
    LayoutInitializer,
    Part,
    PatternInitializer,
    Shape,
)

__all__ = ["Dirac"]


@dataclass(frozen=True, slots=True)
class Dirac(PatternInitializer, LayoutInitializer):
    """The kernel of a convolution that passes its input channels on, times a gain.

    Output channel j is input channel j, for as many channels as both have: there is a one in the
    middle of the kernel, at ``extent // 2`` of each axis, where input and output channel are the
    same, and zeros elsewhere. The same as torch's ``dirac_``. JAX and Keras have no such
    initializer; see `DeltaOrthogonal` for one that also mixes the channels. In kernels of odd
    extents the middle is also that of "same" padding.

    Parameters
    ----------
    groups : int, default 1
        Groups of the convolution. Each passes its own channels on.
    gain : float or str, default 1
        The value in the middle; not negative, or an activation's name: see `gain`.
    layout : {"torch", "jax", "keras"}, optional
        The order of axes: (out, in / groups, \\*kernel) in torch, (\\*kernel, in / groups, out) in
        JAX and Keras, with one to three axes of the kernel. If it is not given, a plan fills in its
        own layout; otherwise it is "torch".

    Raises
    ------
    TypeError
        If the gain is not a real number or a name, or `groups` is not an integer.
    ValueError
        If the gain is negative or not finite, `groups` is less than 1, or the layout is unknown.

    References
    ----------
    S. Zagoruyko, N. Komodakis, "DiracNets: training very deep neural networks without
    skip-connections", arXiv:1706.00388 (2017).

    Examples
    --------
    >>> import numpy as np
    >>> from fastxavier.structured import Dirac
    >>> w = np.empty((2, 2, 3))
    >>> Dirac().write(w, key=(0, 0))
    >>> w
    array([[[0., 1., 0.],
            [0., 0., 0.]],
    <BLANKLINE>
           [[0., 0., 0.],
            [0., 1., 0.]]])
    """

    groups: int = 1
    _: KW_ONLY
    gain: float = 1.0
    layout: Layout | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", integer("groups", self.groups, 1))
        LayoutInitializer.__post_init__(self)

    def _check_shape(self, shape: Shape, argument: str = "array") -> None:
        self._check_kernel(shape, argument)
        outputs = shape[-1 if self._units_last else 0]
        if outputs % self.groups:
            raise ArgumentValueError(
                f"groups is {self.groups}; it must divide the {outputs} output channels",
                "groups",
                self.groups,
            )

    def lattices(self, part: Part) -> Iterable[Lattice]:
        ndim = len(part.shape)
        order = (-1, -2, *range(ndim - 2)) if self._units_last else tuple(range(ndim))
        units_first = part.transposed(order)
        units, inputs, *extents = units_first.array.shape
        first_unit, first_input, *corner = units_first.offset
        middle = [n // 2 - first for n, first in zip(units_first.shape[2:], corner, strict=True)]
        if not all(0 <= k < extent for k, extent in zip(middle, extents, strict=True)):
            return
        per_group = units_first.shape[0] // self.groups
        end = min(first_input + inputs, per_group)
        for unit, groups, count in _within(
            range(first_unit, first_unit + units), per_group, first_input, end
        ):
            first = (unit - first_unit, unit % per_group - first_input, *middle)
            to_next_group, to_next_unit = (per_group, 0), (1, 1)
            axes = [(to_next_group, groups), (to_next_unit, count)]
            yield Lattice(
                _reordered(first, order),
                tuple(
                    (_reordered((*steps, *[0] * (ndim - 2)), order), number)
                    for steps, number in axes
                ),
            )


def _within(numbers: range, period: int, low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """The numbers u with low <= u % period < high: (first, periods, how many of each)."""
    first = numbers.start
    while first < numbers.stop and low < high:
        begin = first - first % period
        if first == begin and begin + period <= numbers.stop:
            periods = (numbers.stop - begin) // period
            yield begin + low, periods, high - low
            first += periods * period
        else:  # a part of one
            lowest, highest = max(begin + low, first), min(begin + high, numbers.stop)
            if lowest < highest:
                yield lowest, 1, highest - lowest
            first = begin + period


def _reordered(numbers: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
    """What belongs to axes that were transposed to `order`, in the order before."""
    before = [0] * len(order)
    for axis, number in zip(order, numbers, strict=True):
        before[axis] = number
    return tuple(before)
