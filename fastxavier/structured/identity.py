"""The identity matrix as initial weights. fill_ and plans use it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastxavier.gains import gain_number
from fastxavier.structured._base import Lattice, Part, PatternInitializer, Shape

__all__ = ["Identity"]


@dataclass(frozen=True, slots=True)
class Identity(PatternInitializer):
    """The identity matrix times a gain: a linear layer that passes its input on.

    Ones on the main diagonal and zeros elsewhere, in a matrix of any height and width. The same as
    torch's ``eye_`` and Keras' ``Identity``. Le, Jaitly and Hinton initialize recurrent weights
    with it.

    Parameters
    ----------
    gain : float or str, default 1
        The value on the diagonal; not negative, or an activation's name: see `gain`.

    Raises
    ------
    TypeError
        If the gain is not a real number or a name.
    ValueError
        If it is negative or not finite.

    References
    ----------
    Q. V. Le, N. Jaitly, G. E. Hinton, "A simple way to initialize recurrent networks of rectified
    linear units", arXiv:1504.00941 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from fastxavier.structured import Identity
    >>> w = np.empty((2, 3))
    >>> Identity(0.5).write(w, key=(0, 0))
    >>> w
    array([[0.5, 0. , 0. ],
           [0. , 0.5, 0. ]])
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", gain_number(self.gain))

    def _check_shape(self, shape: Shape, argument: str = "array") -> None:
        if len(shape) != 2:
            raise self._bad_shape(shape, argument, f"is not a matrix; {self!r} needs two axes")

    def lattices(self, part: Part) -> Iterable[Lattice]:
        rows, columns = part.slices
        first = max(rows.start, columns.start)
        count = min(rows.stop, columns.stop) - first
        if count > 0:
            yield Lattice((first - rows.start, first - columns.start), (((1, 1), count),))
