"""Random orthogonal matrices as initial weights, of layers and of convolutions' middles.

fill_ and plans use them.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from fastxavier import _core
from fastxavier._dtypes import FLOATS, FloatDtype, float_dtype
from fastxavier.distributions import Constant, Normal
from fastxavier.structured._base import Array, Key, Layout, LayoutInitializer, Part, Shape

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["DeltaOrthogonal", "Orthogonal"]


@dataclass(frozen=True, slots=True)
class Orthogonal(LayoutInitializer):
    """A random matrix with orthonormal rows or columns, times a gain.

    The tensor is seen as a matrix with one row for each unit (output). If it is wide, the rows are
    orthonormal; if it is tall, the columns. It is Q of the QR decomposition of a matrix of normals,
    each column multiplied by the sign of R's diagonal, without which the distribution would not be
    uniform (Haar) over all such matrices. The same as torch's ``orthogonal_``, JAX's
    ``orthogonal`` and Keras' ``Orthogonal``.

    Parameters
    ----------
    gain : float or str, default 1
        Factor on the matrix; not negative, or an activation's name: see `gain`.
    layout : {"torch", "jax", "keras"}, optional
        Units are the first axis in torch and the last one in JAX and Keras; all other axes are
        flattened. If it is not given, a plan fills in its own layout; otherwise it is "torch".

    Raises
    ------
    TypeError
        If the gain is not a real number or a name.
    ValueError
        If the gain is negative or not finite, or the layout is unknown.

    Notes
    -----
    The normals are those that `fill_` draws, float64 for a float64 array and float32 for the
    others. The decomposition is NumPy's (LAPACK's), always in double precision; its result is
    rounded to float32, and from there to a narrower dtype. How LAPACK rounds depends on its build
    and its threads, so the promise of equal bits on every machine does not hold here: the values
    agree up to their last digits.

    The matrix needs memory for about six float64 copies of the whole tensor. So does a part of it:
    with `global_shape` the whole matrix is drawn and decomposed, and the part is copied from it.
    Each process that writes a part pays for the whole.

    References
    ----------
    A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", ICLR 2014.

    F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the
    AMS 54 (2007), section 5, for the signs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxavier.structured import Orthogonal
    >>> w = np.empty((3, 5))
    >>> Orthogonal(2.0).write(w, key=(7, 0))
    >>> bool(np.allclose(w @ w.T, 4 * np.eye(3)))
    True
    """

    by_parts = False
    gain: float = 1.0
    _: KW_ONLY
    layout: Layout | None = None

    def _check_shape(self, shape: Shape, argument: str = "array") -> None:
        if len(shape) < 2:
            raise self._bad_shape(
                shape, argument, f"is not a matrix; {self!r} needs at least two axes"
            )

    def _write(self, part: Part, key: Key, threads: SupportsIndex | None) -> None:
        whole = self._drawn(part.shape, part.array.dtype, key, threads)
        part.array[...] = whole[part.slices]

    def _drawn(
        self, shape: Shape, dtype: np.dtype[Any], key: Key, threads: SupportsIndex | None
    ) -> Array:
        """A new tensor, for an array of the dtype."""
        if self._units_last:
            shape = (shape[-1], *shape[:-1])
        units, others = shape[0], math.prod(shape[1:])
        precision = float_dtype(dtype).computed_in
        normals = np.empty((max(units, others), min(units, others)), precision)
        _core.fill(normals, Normal(), key, None, None, threads)
        q, r = np.linalg.qr(normals.astype(np.float64))
        q *= np.copysign(self.gain, np.diagonal(r))
        matrix = (q if units >= others else q.T).astype(precision).reshape(shape)
        return np.moveaxis(matrix, 0, -1) if self._units_last else matrix

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        """The largest entry of \\|A A' / gain**2 - 1\\|, or of A' A where that is the smaller."""
        if self.gain == 0:
            return float(np.abs(array).max())
        if self._units_last:
            array = np.moveaxis(array, -1, 0)
        matrix = array.reshape(len(array), -1) / self.gain
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        return float(np.abs(matrix @ matrix.T - np.eye(len(matrix))).max())

    def _allowance(self, shape: Shape, dtype: FloatDtype) -> float:
        if self.gain == 0:
            return 0.0
        units = shape[-1 if self._units_last else 0]
        size = math.prod(shape)
        larger = max(units, size // max(units, 1))
        # Rounding moves an entry by half of `epsilon` of itself or by half of `smallest`, and so a
        # unit row by at most `rounded`, and the product of two by the first two terms. The last is
        # a decomposition's in the array's own precision, as other libraries do it, or in float32:
        # its errors grow as the root of their number (N. J. Higham, T. Mary, SIAM J. Sci. Comput.
        # 41, 2019).
        absolute = math.sqrt(larger) * dtype.smallest / self.gain
        rounded = (1.01 * dtype.epsilon + absolute) / 2
        precision = min(dtype.epsilon, FLOATS["float32"].epsilon)
        decomposed = 2 * math.sqrt(size) * precision
        return 2 * rounded + rounded**2 + decomposed


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal(LayoutInitializer):
    """The kernel of a convolution that rotates its input channels, times a gain.

    A matrix as of `Orthogonal` connects the channels in the middle of the kernel, at
    ``(extent - 1) // 2`` of each axis, and there are zeros elsewhere. There must be at least as
    many output channels as input channels, so that with "same" padding and a stride of 1 the output
    has the same norm as the input. The same as JAX's ``delta_orthogonal``; torch and Keras have no
    such initializer.

    Parameters
    ----------
    gain : float or str, default 1
        Factor on the matrix; not negative, or an activation's name: see `gain`.
    layout : {"torch", "jax", "keras"}, optional
        The order of axes: (out, in, \\*kernel) in torch, (\\*kernel, in, out) in JAX and Keras,
        with one to three axes of the kernel. If it is not given, a plan fills in its own layout;
        otherwise it is "torch".

    Raises
    ------
    TypeError
        If the gain is not a real number or a name.
    ValueError
        If the gain is negative or not finite, or the layout is unknown.

    Notes
    -----
    The matrix is that of `Orthogonal` for (out, in), or (in, out), and the same seed and stream;
    its notes hold here. A part, given by `global_shape`, pays for the whole matrix only if it
    contains some of the kernel's middle.

    References
    ----------
    L. Xiao, Y. Bahri, J. Sohl-Dickstein, S. S. Schoenholz, J. Pennington, "Dynamical isometry and a
    mean field theory of CNNs: how to train 10,000-layer vanilla convolutional neural networks",
    ICML 2018, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxavier.structured import DeltaOrthogonal
    >>> w = np.empty((5, 4, 3, 3))
    >>> DeltaOrthogonal(2.0).write(w, key=(7, 0))
    >>> middle = w[:, :, 1, 1]
    >>> bool(np.allclose(middle.T @ middle, 4 * np.eye(4))), int((w != 0).sum())
    (True, 20)
    """

    by_parts = False
    gain: float = 1.0
    _: KW_ONLY
    layout: Layout | None = None

    def _check_shape(self, shape: Shape, argument: str = "array") -> None:
        self._check_kernel(shape, argument)
        outputs, inputs = self._matrix_shape(shape)
        if self._units_last:
            outputs, inputs = inputs, outputs
        if outputs < inputs and 0 not in shape:
            raise self._bad_shape(
                shape,
                argument,
                f"has {inputs} input channels and {outputs} output channels; {self!r} needs at "
                "least as many outputs as inputs",
            )

    def _write(self, part: Part, key: Key, threads: SupportsIndex | None) -> None:
        middle = self._middle(part)
        if middle is not None:
            matrix = self._matrix()._drawn(middle.shape, middle.array.dtype, key, threads)
        _core.fill(part.array, Constant(0.0), key, None, None, threads)
        if middle is not None:
            middle.array[...] = matrix[middle.slices]

    def _middle(self, part: Part) -> Part | None:
        """The part's share of the matrix in the middle of the kernel, a view, if it has one."""
        channels, kernel = slice(0, 2), slice(2, None)
        if self._units_last:
            channels, kernel = slice(-2, None), slice(0, -2)
        extents = zip(part.shape[kernel], part.offset[kernel], strict=True)
        middle = [(extent - 1) // 2 - first for extent, first in extents]
        extents = zip(middle, part.array.shape[kernel], strict=True)
        if not all(0 <= place < extent for place, extent in extents):
            return None
        index: list[Any] = [slice(None)] * part.array.ndim
        index[kernel] = middle
        return Part(part.array[tuple(index)], part.shape[channels], part.offset[channels])

    def _matrix_shape(self, shape: Shape) -> Shape:
        return shape[-2:] if self._units_last else shape[:2]

    def _matrix(self) -> Orthogonal:
        return Orthogonal(self.gain, layout=self.layout)

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        middle = self._middle(Part.whole(array))
        assert middle is not None  # a whole kernel has one
        matrix = self._matrix()._distance(middle.array)
        middle.array[...] = 0
        return float(np.maximum(matrix, np.abs(array).max() / (self.gain or 1)))

    def _allowance(self, shape: Shape, dtype: FloatDtype) -> float:
        return self._matrix()._allowance(self._matrix_shape(shape), dtype)
