"""Structures: starts that look at a tensor as a whole, not value by value. Knows no plan."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastxavier import _core
from fastxavier._fans import whole
from fastxavier._validation import real
from fastxavier.distributions import Constant, Distribution, Normal, Uniform

__all__ = ["DeltaOrthogonal", "Dirac", "Identity", "Orthogonal", "Sparse", "Structure"]

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[int, int]
Layout = Literal["torch", "jax", "keras"]


class Structure(ABC):
    """A start whose values depend on one another.

    `Identity`, `Dirac`, `Orthogonal`, `DeltaOrthogonal` and `Sparse` are such. Immutable, hashable
    and compared by value, as distributions are, and given to `fill_` as they are; but it is one of
    the whole tensor, so it has no shards.
    """

    __slots__ = ()

    def check(self, array: Array, threads: SupportsIndex | None = None) -> None:
        """Raise what `write` would raise, and write nothing.

        Parameters
        ----------
        array : numpy.ndarray
            What `write` would be given.
        threads : int, optional
            As for `write`.

        Raises
        ------
        TypeError, ValueError
            As `write` does.
        """
        if not isinstance(array, np.ndarray):
            raise TypeError(f"array is a {type(array).__name__}; it must be a NumPy array")
        with suppress(_AllChecked):
            _core.fill(array, self._reach(), _CheckOnly(0), None, None, threads)
        self._check_shape(array.shape)

    def write(
        self, array: Array, key: Key | _core.Streams, threads: SupportsIndex | None = None
    ) -> None:
        """Write the structure into a NumPy array of any layout.

        Parameters
        ----------
        array : numpy.ndarray
            What is written: float32, float64, float16 or bfloat16, of a shape that the structure
            can have. An array without elements stays as it is.
        key : tuple of int, or Streams
            Seed and stream, as 64-bit numbers, of whatever is random in it; or the streams to take
            one of once all checks have passed.
        threads : int, optional
            At most this many threads for the drawing; see `fill_`.

        Raises
        ------
        TypeError
            If `array` is no NumPy array, or has another dtype or byte order.
        ValueError
            If the array has a shape that the structure cannot have, is read-only or overlaps
            itself, if its dtype cannot hold the gain, or if `threads` is less than 1. The array is
            then as it was, and no stream has been taken.
        """
        self.check(array, threads)
        if isinstance(key, _core.Streams):
            key = key.take()
        if array.size:
            self._write(np.asarray(array), key, threads)

    def deviation(self, array: Array) -> float:
        """How far the array is from being such a structure, 0 being perfect; infinite for a NaN.

        Of `Identity` and `Dirac`, the greatest difference from it. Of `Orthogonal`, that of the
        products of its vectors, over gain**2, from the identity; of `DeltaOrthogonal`, that of the
        kernel's middle, or the greatest of the other values, over gain, if that is greater. Of
        `Sparse`, the most zeros a column has in excess, infinite where one has too few; the other
        values are not looked at.

        Parameters
        ----------
        array : numpy.ndarray
            What is looked at, float32, float64, float16 or bfloat16; it may be read-only.

        Returns
        -------
        float
            Not negative; 0 for an array without elements.

        Raises
        ------
        TypeError
            If `array` is no NumPy array, or has another dtype.
        ValueError
            If it has a shape that the structure cannot have.
        """
        self._check_given(array)
        if not array.size:
            return 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            distance = float(self._distance(array.astype(np.float64)))
        return math.inf if math.isnan(distance) else distance

    def tolerance(self, array: Array) -> float:
        """The greatest `deviation` that rounding explains, also by who computes in float32.

        Parameters
        ----------
        array : numpy.ndarray
            As for `deviation`; only its shape and dtype count.

        Returns
        -------
        float
            Not negative.

        Raises
        ------
        TypeError, ValueError
            As `deviation` does.
        """
        self._check_given(array)
        return self._allowance(array.shape, *_ROUNDING[array.dtype.name])

    def _check_given(self, array: Array) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"array is a {type(array).__name__}; it must be a NumPy array")
        if array.dtype.name not in _ROUNDING:
            raise TypeError(f"array has dtype {array.dtype}; it must be {', '.join(_ROUNDING)}")
        self._check_shape(array.shape)

    @abstractmethod
    def _reach(self) -> Distribution:
        """A distribution that a dtype can hold just where it can hold the structure."""

    @abstractmethod
    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """ValueError unless the structure can have the shape."""

    @abstractmethod
    def _write(self, array: Array, key: Key, threads: SupportsIndex | None) -> None:
        """Write into an array that holds elements and has passed all checks."""

    @abstractmethod
    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        """The deviation; NaN counts as infinite."""

    @abstractmethod
    def _allowance(self, shape: tuple[int, ...], epsilon: float, least: float) -> float:
        """The tolerance, for numbers `epsilon` apart at 1 and `least` apart at 0."""


_ROUNDING = {  # distance of the dtype's numbers at 1 and at 0
    "float32": (2.0**-23, 2.0**-149),
    "float64": (2.0**-52, 2.0**-1074),
    "float16": (2.0**-10, 2.0**-24),
    "bfloat16": (2.0**-7, 2.0**-133),
}


class _AllChecked(Exception):  # noqa: N818
    pass


class _CheckOnly(_core.Streams):
    """A fill asks for its stream between the last check and the first value, and gets none here."""

    def take(self) -> NoReturn:
        raise _AllChecked


def _not_negative(name: str, value: Any) -> float:
    number = real(name, value)
    if number < 0:
        raise ValueError(f"{name} is {number}; it must not be negative")
    return number


def _check_layout(layout: str) -> None:
    if layout not in ("torch", "jax", "keras"):
        raise ValueError(f"layout is {layout!r}; it must be 'torch', 'jax' or 'keras'")


def _check_kernel(shape: tuple[int, ...], structure: Structure) -> None:
    if not 3 <= len(shape) <= 5:
        raise ValueError(
            f"array of shape {shape} is no kernel; {structure!r} has three to five axes, of which "
            "one to three are the kernel's"
        )


# ---- ones among zeros ----------------------------------------------------------------------------


class _Pattern(Structure):
    """`gain` at certain places and 0 elsewhere; nothing in it is random."""

    __slots__ = ()
    gain: float

    @abstractmethod
    def _set_ones(self, array: Array, one: Any) -> None:
        """Set the places that are not 0."""

    def _reach(self) -> Distribution:
        return Constant(self.gain)

    def _write(self, array: Array, key: Key, threads: SupportsIndex | None) -> None:
        one = np.empty((), array.dtype)
        _core.fill(one, Constant(self.gain), key, None, None, None)
        array[...] = 0
        self._set_ones(array, one)

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        expected = np.zeros(array.shape)
        self._set_ones(expected, self.gain)
        return float(np.abs(array - expected).max())

    def _allowance(self, shape: tuple[int, ...], epsilon: float, least: float) -> float:
        return epsilon * self.gain + least


@dataclass(frozen=True, slots=True)
class Identity(_Pattern):
    """The identity matrix, times a gain: a linear layer that passes its input on.

    Ones on the main diagonal and zeros elsewhere, in a matrix of any two extents. torch's
    ``eye_``, Keras' ``Identity``; Le, Jaitly & Hinton start recurrent weights from it.

    Parameters
    ----------
    gain : float, default 1
        What stands on the diagonal; not negative.

    Raises
    ------
    TypeError
        If the gain is not a real number.
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
        object.__setattr__(self, "gain", _not_negative("gain", self.gain))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ValueError(f"array of shape {shape} is no matrix; {self!r} has two axes")

    def _set_ones(self, array: Array, one: Any) -> None:
        diagonal = np.arange(min(array.shape))
        array[diagonal, diagonal] = one


@dataclass(frozen=True, slots=True)
class Dirac(_Pattern):
    """The kernel of a convolution that passes its input channels on, times a gain.

    Channel j of the output is channel j of the input, for as many channels as both have: a one in
    the middle of the kernel, at ``extent // 2`` of each axis, where input and output channel are
    the same, and zeros elsewhere. torch's ``dirac_``; JAX and Keras have none (`DeltaOrthogonal`
    turns the channels, too). In kernels of odd extents the middle is also that of "same" padding.

    Parameters
    ----------
    gain : float, default 1
        What stands in the middle; not negative.
    groups : int, default 1
        Groups of the convolution, each of which passes its own channels on.
    layout : {"torch", "jax", "keras"}
        (out, in / groups, \\*kernel) of three to five axes; or, in JAX and Keras, (\\*kernel, in /
        groups, out).

    Raises
    ------
    TypeError
        If the gain is not a real number or `groups` no integer.
    ValueError
        If the gain is negative or not finite, `groups` less than 1, or the layout unknown.

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

    gain: float = 1.0
    groups: int = 1
    layout: Layout = "torch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", _not_negative("gain", self.gain))
        object.__setattr__(self, "groups", whole("groups", self.groups, 1))
        _check_layout(self.layout)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        _check_kernel(shape, self)
        out = shape[0 if self.layout == "torch" else -1]
        if out % self.groups:
            raise ValueError(f"groups is {self.groups}; it must divide the {out} output channels")

    def _set_ones(self, array: Array, one: Any) -> None:
        if self.layout != "torch":
            array = np.moveaxis(array, (-1, -2), (0, 1))
        outputs, inputs, *kernel = array.shape
        per_group = outputs // self.groups
        channels = np.arange(min(per_group, inputs))
        first = per_group * np.arange(self.groups)[:, np.newaxis]
        middle = (extent // 2 for extent in kernel)
        array[(first + channels, channels, *middle)] = one


# ---- orthogonal ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Orthogonal(Structure):
    """A random matrix with orthonormal rows or columns, times a gain.

    The tensor counts as a matrix with one row for each unit (output). Of a wide matrix the rows are
    orthonormal, of a tall one the columns: Q of the QR decomposition of a matrix of normals, each
    column times the sign of R's diagonal, without which the distribution would not be uniform (Haar) over
    all such matrices. torch's ``orthogonal_``, JAX's ``orthogonal``, Keras' ``Orthogonal``.

    Parameters
    ----------
    gain : float, default 1
        Factor on the matrix, not negative; see `gains.gain`.
    layout : {"torch", "jax", "keras"}
        Units are the first axis in torch, the last one in JAX and Keras; all others are flattened.

    Raises
    ------
    TypeError
        If the gain is not a real number.
    ValueError
        If the gain is negative or not finite, or the layout unknown.

    Notes
    -----
    The normals are those that `fill_` draws, float64 for a float64 array and float32 for the
    others. The decomposition is NumPy's (LAPACK's), always in double precision; its result is
    rounded to float32, and from there to a 16-bit dtype. LAPACK rounds as its build and its threads
    have it, so the promise of equal bits on every machine does not cover this structure: its values
    agree to some last digits only. It needs memory for some six float64 copies of the array.

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

    gain: float = 1.0
    layout: Layout = "torch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", _not_negative("gain", self.gain))
        _check_layout(self.layout)

    def _reach(self) -> Distribution:
        return Constant(self.gain)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise ValueError(f"array of shape {shape} is no matrix; {self!r} has at least two axes")

    def _units_first(self, array: Array) -> Array:
        return array if self.layout == "torch" else np.moveaxis(array, -1, 0)

    def _write(self, array: Array, key: Key, threads: SupportsIndex | None) -> None:
        array = self._units_first(array)
        units, others = len(array), array.size // len(array)
        precision = np.float64 if array.dtype == np.float64 else np.float32
        normals = np.empty((max(units, others), min(units, others)), precision)
        _core.fill(normals, Normal(), key, None, None, threads)
        q, r = np.linalg.qr(normals.astype(np.float64))
        q *= np.copysign(self.gain, np.diagonal(r))
        matrix = (q if units >= others else q.T).astype(precision)
        array[...] = matrix.reshape(array.shape)

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        """The largest entry of \\|A A' / gain**2 - 1\\|, or of A' A where that is the smaller."""
        if self.gain == 0:
            return float(np.abs(array).max())
        array = self._units_first(array)
        matrix = array.reshape(len(array), -1) / self.gain
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        return float(np.abs(matrix @ matrix.T - np.eye(len(matrix))).max())

    def _allowance(self, shape: tuple[int, ...], epsilon: float, least: float) -> float:
        if self.gain == 0:
            return 0.0
        units = shape[0 if self.layout == "torch" else -1]
        size = math.prod(shape)
        larger = max(units, size // max(units, 1))
        # Rounding moves an entry by half of `epsilon` of itself or by half of `least`: the product
        # of two unit rows by the first two terms. The last is a decomposition's in the array's own
        # precision, as other libraries do it, or in float32: its errors grow as the root of their
        # number (N. J. Higham, T. Mary, SIAM J. Sci. Comput. 41, 2019).
        absolute = math.sqrt(larger) * least / self.gain
        decomposed = 2 * math.sqrt(size) * min(epsilon, 2.0**-23)
        return 1.01 * epsilon + absolute * (1 + absolute / 4) + decomposed


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal(Structure):
    """The kernel of a convolution that turns its input channels, times a gain.

    A matrix as of `Orthogonal` joins the channels in the middle of the kernel, at
    ``(extent - 1) // 2`` of each axis, and there are zeros elsewhere. There are at least as many
    output channels as input channels, so with "same" padding and a stride of 1 the output is as
    long a vector as the input. JAX's ``delta_orthogonal``; torch and Keras have none.

    Parameters
    ----------
    gain : float, default 1
        Factor on the matrix, not negative; see `gains.gain`.
    layout : {"torch", "jax", "keras"}
        (out, in, \\*kernel) of three to five axes; or, in JAX and Keras, (\\*kernel, in, out).

    Raises
    ------
    TypeError
        If the gain is not a real number.
    ValueError
        If the gain is negative or not finite, or the layout unknown.

    Notes
    -----
    The matrix is that of `Orthogonal` for (out, in), or (in, out), and the same seed and stream;
    its notes hold here.

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

    gain: float = 1.0
    layout: Layout = "torch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", _not_negative("gain", self.gain))
        _check_layout(self.layout)

    def _reach(self) -> Distribution:
        return Constant(self.gain)

    def _matrix_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[:2] if self.layout == "torch" else shape[-2:]

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        _check_kernel(shape, self)
        first, second = self._matrix_shape(shape)
        out, inputs = (first, second) if self.layout == "torch" else (second, first)
        if out < inputs and 0 not in shape:
            raise ValueError(
                f"array of shape {shape} has {inputs} input channels and {out} output channels; "
                f"{self!r} has at least as many outputs as inputs"
            )

    def _middle(self, array: Array) -> Array:
        """The matrix in the middle, a view."""
        every = (slice(None), slice(None))
        if self.layout == "torch":
            return array[every + tuple((extent - 1) // 2 for extent in array.shape[2:])]
        return array[tuple((extent - 1) // 2 for extent in array.shape[:-2]) + every]

    def _matrix(self) -> Orthogonal:
        return Orthogonal(self.gain, self.layout)

    def _write(self, array: Array, key: Key, threads: SupportsIndex | None) -> None:
        array[...] = 0
        self._matrix()._write(self._middle(array), key, threads)

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        matrix = self._matrix()._distance(self._middle(array))
        self._middle(array)[...] = 0  # the array is a copy
        return float(np.maximum(matrix, np.abs(array).max() / (self.gain or 1)))

    def _allowance(self, shape: tuple[int, ...], epsilon: float, least: float) -> float:
        return self._matrix()._allowance(self._matrix_shape(shape), epsilon, least)


# ---- sparse --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sparse(Structure):
    """A matrix with so many zeros in every column, at random places, and normal values elsewhere.

    ``ceil(sparsity * rows)`` zeros a column; N(0, std**2) elsewhere. torch's ``sparse_``; JAX and
    Keras have none. torch holds a weight as (out, in), so that each input feeds few units; Martens'
    units that listen to few inputs are those of the transposed view.

    Parameters
    ----------
    sparsity : float
        The share of zeros, from 0 to 1.
    std : float, default 0.01
        Standard deviation of the other values, not negative.

    Raises
    ------
    TypeError
        If a parameter is not a real number.
    ValueError
        If `sparsity` is not from 0 to 1, or `std` is negative or not finite.

    Notes
    -----
    The values are those of `fill_` with the normal distribution. The zeros of column c stand where the
    smallest of its uniform numbers are: float64 numbers at the indices ``first + c * rows`` and on
    of the same stream, `first` being the array's size rounded up to an even number, so that no word
    of the stream serves twice. So these, too, are the same bits on every machine.

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
        object.__setattr__(self, "sparsity", _not_negative("sparsity", self.sparsity))
        object.__setattr__(self, "std", _not_negative("std", self.std))
        if self.sparsity > 1:
            raise ValueError(f"sparsity is {self.sparsity}; it must be from 0 to 1")

    def _reach(self) -> Distribution:
        return Normal(0.0, self.std)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ValueError(f"array of shape {shape} is no matrix; {self!r} has two axes")

    def _zeros(self, rows: int) -> int:
        with _core.round_to_nearest():
            return math.ceil(self.sparsity * rows)

    def _write(self, array: Array, key: Key, threads: SupportsIndex | None) -> None:
        rows, columns = array.shape
        _core.fill(array, self._reach(), key, None, None, threads)
        first = array.size + array.size % 2
        at_once = max(1, _RANKED_AT_ONCE // rows)
        for start in range(0, columns, at_once):
            chosen = np.arange(start, min(start + at_once, columns))
            numbers = np.empty(len(chosen) * rows)
            place = (first + start * rows,)
            _core.fill(numbers, Uniform(-1.0, 1.0), key, (first + array.size,), place, threads)
            ranked = np.argsort(numbers.reshape(-1, rows), axis=1, kind="stable")
            array[ranked[:, : self._zeros(rows)], chosen[:, np.newaxis]] = 0

    def _distance(self, array: npt.NDArray[np.float64]) -> float:
        """The zeros in excess in the worst column; no rounding makes too few of them."""
        excess = len(array) - np.count_nonzero(array, axis=0) - self._zeros(len(array))
        if excess.min() < 0 or not np.isfinite(array).all():
            return math.inf
        return float(excess.max())

    def _allowance(self, shape: tuple[int, ...], epsilon: float, least: float) -> float:
        """So many values of a column may round to 0 but once in 10**9 such arrays."""
        rows, columns = shape
        others = rows - self._zeros(rows)
        if self.std == 0:
            return float(others)
        expected = others * math.erf(least / (2 * self.std) / math.sqrt(2))
        more, chance = 0, float(columns)
        while more < others and (chance := chance * expected / (more + 1)) > 1e-9:
            more += 1
        return float(more)


_RANKED_AT_ONCE = 1 << 20
