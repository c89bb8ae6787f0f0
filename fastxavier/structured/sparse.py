"""Normal weights with a fixed number of zeros in each column. fill_ and plans use them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from fastxavier import _core
from fastxavier._dtypes import FloatDtype
from fastxavier._validation import ArgumentValueError, not_negative, real
from fastxavier.distributions import Distribution, Normal, Uniform
from fastxavier.structured._base import Key, Part, Shape, StructuredInitializer

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Sparse"]


@dataclass(frozen=True, slots=True)
class Sparse(StructuredInitializer):
    """A matrix with a fixed number of zeros in each column, and normal values elsewhere.

    Each column has ``ceil(sparsity * rows)`` zeros at random places; the other values are
    N(0, std**2). The same as torch's ``sparse_``; JAX and Keras have no such initializer. torch
    stores a weight as (out, in), so each input feeds few units. For Martens' units, each of which
    listens to few inputs, fill the transposed view.

    Parameters
    ----------
    sparsity : float
        The fraction of zeros, from 0 to 1.
    std : float, default 0.01
        Standard deviation of the other values. Not negative.

    Raises
    ------
    TypeError
        If a parameter is not a real number.
    ValueError
        If `sparsity` is not from 0 to 1, or `std` is negative or not finite.

    Notes
    -----
    The values are those of `fill_` with the normal distribution. The zeros of column c are where
    its uniform numbers are smallest: float64 numbers of the same stream, from index
    ``first + c * rows`` on, where `first` is the tensor's size rounded up to an even number, so
    that no word of the stream is used twice. So the bits are the same on every machine.

    A part, given by `global_shape`, needs the uniform numbers of its whole columns. They are
    drawn and ranked a batch of columns at a time.

    References
    ----------
    J. Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxavier.structured import Sparse
    >>> w = np.empty((10, 4))
    >>> Sparse(0.7).write(w, key=(7, 0))
    >>> (w == 0).sum(axis=0)
    array([7, 7, 7, 7])
    """

    sparsity: float
    std: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "sparsity", real("sparsity", self.sparsity))
        object.__setattr__(self, "std", not_negative("std", self.std))
        if not 0 <= self.sparsity <= 1:
            raise ArgumentValueError(
                f"sparsity is {self.sparsity}; it must be from 0 to 1", "sparsity", self.sparsity
            )

    def _reach(self) -> Distribution:
        return Normal(0.0, self.std)

    def _check_shape(self, shape: Shape, argument: str = "array") -> None:
        if len(shape) != 2:
            raise self._bad_shape(shape, argument, f"is not a matrix; {self!r} needs two axes")
        if math.prod(shape) > 1 << 61:  # each element takes two indices of the 2**62
            raise self._bad_shape(
                shape, argument, f"has more than 2**61 elements, the most that {self!r} can have"
            )

    def _zeros(self, rows: int) -> int:
        with _core.round_to_nearest():
            return math.ceil(self.sparsity * rows)

    def numbers(self, part: Part) -> tuple[int, int]:
        """The index of the first uniform number of a part, and how many zeros a column has."""
        rows, size = part.shape[0], math.prod(part.shape)
        return size + size % 2 + part.offset[1] * rows, self._zeros(rows)

    def _write(self, part: Part, key: Key, threads: SupportsIndex | None) -> None:
        rows, its_rows = part.shape[0], part.slices[0]
        first, zeros = self.numbers(part)
        at_once = max(1, _RANKED_AT_ONCE // rows)
        _core.fill(part.array, self._reach(), key, part.shape, part.offset, threads)
        for start in range(0, part.array.shape[1] if zeros else 0, at_once):
            columns = part.array[:, start : start + at_once]
            numbers = np.empty((columns.shape[1], rows))
            place = first + start * rows
            run = numbers.reshape(-1)
            _core.fill(run, Uniform(-1.0, 1.0), key, (place + run.size,), (place,), threads)
            columns[_lowest(numbers, zeros)[:, its_rows].T] = 0

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        """The surplus zeros of the worst column; no rounding makes too few of them."""
        surplus = len(array) - np.count_nonzero(array, axis=0) - self._zeros(len(array))
        if surplus.min() < 0 or not np.isfinite(array).all():
            return math.inf
        return float(surplus.max())

    def _allowance(self, shape: Shape, dtype: FloatDtype) -> float:
        """How many values of a column may round to 0, exceeded by one such array in 10**9."""
        rows, columns = shape
        others = rows - self._zeros(rows)
        if self.std == 0:
            return float(others)
        expected = others * math.erf(dtype.smallest / (2 * self.std) / math.sqrt(2))
        more, chance = 0, float(columns)
        while more < others and (chance := chance * expected / (more + 1)) > 1e-9:
            more += 1
        return float(more)


_RANKED_AT_ONCE = 1 << 20


def _lowest(numbers: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.bool_]:
    """Where the `count` smallest numbers of each row are; of equal ones the first are taken."""
    last = np.partition(numbers, count - 1, axis=1)[:, count - 1 : count]
    lowest: npt.NDArray[np.bool_] = numbers <= last
    for row in np.flatnonzero(np.count_nonzero(lowest, axis=1) > count):
        equal = np.flatnonzero(numbers[row] == last[row])
        surplus = np.count_nonzero(lowest[row]) - count
        lowest[row, equal[len(equal) - surplus :]] = False
    return lowest
