"""jax.nn.initializers under its own names: each makes an `Initializer`, which draws when called.

Signatures, defaults and distributions are those of jax.nn.initializers; the values differ. The
modules of flax, equinox and haiku take them in the place of jax's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, SupportsFloat

import numpy as np

from fastxavier._dtypes import FLOATS
from fastxavier._scaling import Family, Mode
from fastxavier._streams import Seed, is_shared, model_seed_now, stream_number
from fastxavier._validation import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    real,
    shown,
)
from fastxavier.distributions import Constant, Normal, TruncatedNormal, Uniform
from fastxavier.fill import checked_shape, draw
from fastxavier.initializers import Initializer as Core
from fastxavier.initializers import VarianceScaling
from fastxavier.jax._compiled import drawn, full
from fastxavier.jax._draw import tensor_of
from fastxavier.jax._import import jax
from fastxavier.jax._keys import seed_words, words_of_key
from fastxavier.jax._shardings import named_sharding
from fastxavier.structured import DeltaOrthogonal, Orthogonal
from fastxavier.structured._base import Part

__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Axes = int | Sequence[int]


@dataclass(frozen=True)
class Initializer:
    """``init(key, shape, dtype=None, out_sharding=None)``, as the functions of jax.nn.initializers
    make it.

    Parameters
    ----------
    initializer : VarianceScaling, Distribution, StructuredInitializer or str
        What is drawn: any of fastxavier's, or its name, which is not JAX's: "he_normal" is torch's
        plain normal, and JAX's is "he_truncated_normal". Where it does not say which axes are
        inputs and outputs, they are JAX's, (\\*kernel, in, out).
    dtype : data-type, optional
        The dtype of arrays whose call gives none; by default jax's default float.
    source : tuple of int, optional
        Seed and stream, if it ignores its key: see `named`.

    Examples
    --------
    >>> import jax, fastxavier as fx, fastxavier.jax
    >>> init = fastxavier.jax.Initializer(fx.heuristic_uniform())
    >>> init(jax.random.key(7), (128, 256)).shape
    (128, 256)
    """

    initializer: Core | str | _Full
    dtype: Any = None
    source: tuple[int, int] | None = None

    def __call__(self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Any:
        """A new array.

        Parameters
        ----------
        key : jax.Array
            A key, typed or of uint32. Its bits are the seed of stream 0: ``jax.random.key(7)``
            gives what ``seed=7`` gives elsewhere.
        shape : sequence of int
            The shape of the whole array, from which the fans come.
        dtype : data-type, optional
            Any float that fastxavier draws; of a constant, any dtype.
        out_sharding : NamedSharding or PartitionSpec, optional
            Where the array lies: no device draws more than its shard. A PartitionSpec needs a mesh,
            which ``jax.set_mesh`` enters. Inside of ``jax.shard_map``, one that names the mesh's
            axes gives this device's shard of the whole.

        Returns
        -------
        jax.Array
            The same bits outside of jit and inside, under vmap, and in shards.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid.
        NotImplementedError
            If a function that calls it is compiled for a device that is not a CPU.
        """
        dtype = self.dtype if dtype is None else dtype
        if isinstance(self.initializer, (Constant, _Full)):
            kind, value = _rounded(self.initializer, dtype)
            whole = checked_shape(shape)
            return full(whole, value, kind, named_sharding(out_sharding, whole))
        seed, stream = (None, 0) if self.source is None else self.source
        tensor = tensor_of(shape, self.initializer, dtype, stream)
        words = words_of_key(key) if seed is None else seed_words(seed)
        return drawn(tensor, words, named_sharding(out_sharding, tensor.shape))

    def named(self, seed: Seed, name: str) -> Initializer:
        """The same with the bits that plans give to a tensor of this name, whatever its key.

        Parameters
        ----------
        seed : int, numpy.random.Generator, RandomState, SeedSequence or Streams
            As for `fastxavier.init_`, but not None.
        name : str
            The tensor's whole name.

        Returns
        -------
        Initializer
            It ignores the key of a call, which may be None.

        Raises
        ------
        TypeError, ValueError
            If the seed or the name is not one.

        Examples
        --------
        >>> import fastxavier.jax
        >>> init = fastxavier.jax.lecun_normal().named(7, "encoder.0.kernel")
        >>> init(None, (128, 256)).shape
        (128, 256)
        """
        if not is_shared(seed):
            raise ArgumentValueError(
                f"seed is {shown(seed)}, which no plan and no other process would draw again; give "
                "a seed, such as seed=7",
                "seed",
                seed,
            )
        return replace(self, source=(model_seed_now(seed), stream_number(name)))


@dataclass(frozen=True)
class _Full:
    """What `Constant` cannot hold: infinities and NaN, arrays, and what jax traces."""

    value: Any


def _rounded(initializer: Any, dtype: Any) -> tuple[np.dtype[Any], Any]:
    """The dtype that jax makes of one, which may be any, and the value as fastxavier rounds it.

    A number that the dtype cannot hold is left to jax, which makes an infinity of it.
    """
    kind = np.dtype(jax.dtypes.canonicalize_dtype(float if dtype is None else dtype))
    if kind.name in FLOATS and isinstance(initializer, Constant):
        try:
            return kind, draw((), initializer, dtype=kind)
        except ArgumentValueError:
            pass
    return kind, initializer.value


# ---- the names of jax.nn.initializers ------------------------------------------------------------


def variance_scaling(
    scale: SupportsFloat,
    mode: Mode,
    distribution: Family,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Mean 0 and variance ``scale / n``, n being the fan that `mode` names.

    Those named after a paper are this one with the first three arguments fixed.

    Parameters
    ----------
    scale : float
        Factor on the variance, from 0 up.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        n: fan_in, which keeps the variance of activations; fan_out, which keeps that of gradients;
        (fan_in + fan_out) / 2; or sqrt(fan_in * fan_out).
    distribution : {"truncated_normal", "normal", "uniform"}
        A normal truncated at two standard deviations, whose variance after truncation is the one
        above; a plain normal; or U[-a, a] with a = sqrt(3 * variance).
    in_axis, out_axis : int or sequence of int, default -2 and -1
        The axes of inputs and of outputs. All others but `batch_axis` are the kernel's, and count
        in both fans.
    batch_axis : int or sequence of int, default ()
        Axes along which weights of their own are stacked; in neither fan.
    dtype : data-type, optional
        The dtype of arrays whose call gives none; by default jax's default float.

    Returns
    -------
    Initializer
        Of `fastxavier.VarianceScaling`.

    Raises
    ------
    TypeError
        If an argument has the wrong type, or jax traces the scale.
    ValueError
        If the scale is negative or not finite, or a name is unknown. A call raises it where the
        axes do not fit its shape: unlike in jax, none may be in two lists.
    """
    return Initializer(
        VarianceScaling(
            _number("scale", scale),
            mode,
            distribution,
            in_axis=in_axis,
            out_axis=out_axis,
            batch_axis=batch_axis,
        ),
        dtype,
    )


def glorot_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """U[-a, a] with a = sqrt(6 / (fan_in + fan_out)).

    Arguments, results and errors are those of `variance_scaling`; see `fastxavier.glorot_uniform`.
    """
    return variance_scaling(1, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def glorot_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Truncated normal of variance 2 / (fan_in + fan_out).

    Arguments, results and errors are those of `variance_scaling`; see
    `fastxavier.glorot_truncated_normal`.
    """
    return variance_scaling(1, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """U[-a, a] with a = sqrt(3 / fan_in).

    Arguments, results and errors are those of `variance_scaling`; see `fastxavier.lecun_uniform`.
    """
    return variance_scaling(1, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Truncated normal of variance 1 / fan_in.

    Arguments, results and errors are those of `variance_scaling`; see
    `fastxavier.lecun_truncated_normal`.
    """
    return variance_scaling(1, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """U[-a, a] with a = sqrt(6 / fan_in).

    Arguments, results and errors are those of `variance_scaling`; see `fastxavier.he_uniform`.
    """
    return variance_scaling(2, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Truncated normal of variance 2 / fan_in.

    Arguments, results and errors are those of `variance_scaling`; see
    `fastxavier.he_truncated_normal`.
    """
    return variance_scaling(2, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


xavier_uniform = glorot_uniform
xavier_normal = glorot_normal
kaiming_uniform = he_uniform
kaiming_normal = he_normal


def uniform(scale: SupportsFloat = 1e-2, dtype: Any = None) -> Initializer:
    """U[0, scale]; of a negative scale U[scale, 0].

    Parameters
    ----------
    scale : float, default 0.01
        The bound that is not 0.
    dtype : data-type, optional
        As for `variance_scaling`.

    Returns
    -------
    Initializer
        Of `fastxavier.Uniform`. Neither bound occurs except by rounding.

    Raises
    ------
    TypeError
        If the scale is not a real number, or jax traces it.
    ValueError
        If it is not finite.
    """
    bound = _real("scale", scale)
    return Initializer(Uniform(min(bound, 0.0), max(bound, 0.0)), dtype)


def normal(stddev: SupportsFloat = 1e-2, dtype: Any = None) -> Initializer:
    """N(0, stddev**2).

    Parameters
    ----------
    stddev : float, default 0.01
        The standard deviation, from 0 up.
    dtype : data-type, optional
        As for `variance_scaling`.

    Returns
    -------
    Initializer
        Of `fastxavier.Normal`.

    Raises
    ------
    TypeError
        If `stddev` is not a real number, or jax traces it.
    ValueError
        If it is negative or not finite.
    """
    return Initializer(Normal(0.0, _real("stddev", stddev)), dtype)


def truncated_normal(
    stddev: SupportsFloat = 1e-2,
    dtype: Any = None,
    lower: SupportsFloat = -2.0,
    upper: SupportsFloat = 2.0,
) -> Initializer:
    """N(0, stddev**2) cut at stddev * lower and stddev * upper.

    Parameters
    ----------
    stddev : float, default 0.01
        The standard deviation before the cut, from 0 up; that after it is less, 0.8796 times it by
        the default bounds. In this jax and this package agree with SciPy, and differ from the
        "truncated_normal" of `variance_scaling`, which corrects it.
    dtype : data-type, optional
        As for `variance_scaling`.
    lower, upper : float, default -2 and 2
        In units of `stddev`; either may be infinite.

    Returns
    -------
    Initializer
        Of `fastxavier.TruncatedNormal`.

    Raises
    ------
    TypeError
        If a number is not real, or jax traces it.
    ValueError
        As `fastxavier.TruncatedNormal` does.
    """
    bounds = _real("lower", lower, finite=False), _real("upper", upper, finite=False)
    return Initializer(TruncatedNormal(0.0, _real("stddev", stddev), *bounds), dtype)


def constant(value: Any, dtype: Any = None) -> Initializer:
    """The same value everywhere, in any dtype.

    Parameters
    ----------
    value : scalar or array
        Any number, rounded as `fastxavier.Constant` rounds it. What that does not hold is left to
        ``jax.numpy.full``, as in jax: infinities and NaN, numbers beyond the dtype, arrays, which
        are broadcast to the shape of a call, and what jax traces.
    dtype : data-type, optional
        That of arrays whose call gives none; any, complex ones too.

    Returns
    -------
    Initializer
        Its calls ignore the key, which may be None.
    """
    try:
        number = _number("value", value)
        held = Constant(number)
    except ArgumentError:
        return Initializer(_Full(value), dtype)
    return Initializer(held if held.value == number else _Full(value), dtype)


zeros = Initializer(Constant(0.0))
ones = Initializer(Constant(1.0))


def orthogonal(scale: SupportsFloat = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `scale`.

    Parameters
    ----------
    scale : float, default 1
        Factor on the matrix, from 0 up.
    column_axis : int, default -1
        The axis of the columns; the other axes, in their order, are the rows. A call needs a shape
        that has it, and at least two axes.
    dtype : data-type, optional
        As for `variance_scaling`.

    Returns
    -------
    Initializer
        Of `fastxavier.Orthogonal`.

    Raises
    ------
    TypeError
        If the scale is not a real number, or jax traces it.
    ValueError
        If it is negative or not finite.
    """
    matrix = Orthogonal(_real("scale", scale), layout="jax")
    if column_axis != -1:
        matrix = _OrthogonalAlong(matrix.gain, layout="jax", column_axis=int(column_axis))
    return Initializer(matrix, dtype)


def delta_orthogonal(
    scale: SupportsFloat = 1.0, column_axis: int = -1, dtype: Any = None
) -> Initializer:
    """The kernel of a convolution that rotates its input channels, times `scale`.

    Parameters
    ----------
    scale : float, default 1
        Factor on the kernel, from 0 up.
    column_axis : int, default -1
        An axis of the matrix in the kernel's middle, whose distribution does not depend on it: -1
        and any other are the same.
    dtype : data-type, optional
        As for `variance_scaling`.

    Returns
    -------
    Initializer
        Of `fastxavier.DeltaOrthogonal`. Shapes are (\\*kernel, in, out) with in <= out.

    Raises
    ------
    TypeError
        If the scale is not a real number, or jax traces it.
    ValueError
        If it is negative or not finite, or `column_axis` is not one of a matrix.
    """
    if column_axis not in (-2, -1, 0, 1):
        raise ArgumentValueError(
            f"column_axis is {column_axis}; it must be an axis of a matrix, -2 to 1",
            "column_axis",
            column_axis,
        )
    return Initializer(DeltaOrthogonal(_real("scale", scale), layout="jax"), dtype)


def _number(name: str, value: Any) -> Any:
    """A scalar array as its number; anything else as it is, but for what has no value yet."""
    if isinstance(value, jax.core.Tracer):
        raise ArgumentTypeError(
            f"{name} is a tracer of jax; it must be a number, which is known before a function is "
            "compiled: make the initializer outside of it",
            name,
            value,
        )
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _real(name: str, value: Any, finite: bool = True) -> float:
    return real(name, _number(name, value), finite=finite)


@dataclass(frozen=True, slots=True)
class _OrthogonalAlong(Orthogonal):
    """`Orthogonal` of which any axis may be the units'."""

    column_axis: int = -1

    def _check_shape(self, shape: tuple[int, ...], argument: str = "array") -> None:
        Orthogonal._check_shape(self, shape, argument)
        if not -len(shape) <= self.column_axis < len(shape):
            raise self._bad_shape(shape, argument, f"has no axis {self.column_axis}")

    def _axes(self, ndim: int) -> list[int]:
        axes = list(range(ndim))
        axes.append(axes.pop(self.column_axis))
        return axes

    def _write(self, part: Part, key: Any, threads: Any) -> None:
        Orthogonal._write(self, part.transposed(self._axes(part.array.ndim)), key, threads)

    def _distance(self, array: Any) -> float:
        return Orthogonal._distance(self, np.moveaxis(array, self.column_axis, -1))

    def _allowance(self, shape: tuple[int, ...], dtype: Any) -> float:
        moved = tuple([shape[axis] for axis in self._axes(len(shape))])
        return Orthogonal._allowance(self, moved, dtype)
