"""`keras.initializers` under its own names, drawn by fastxavier; and their names for Keras.

Each class derives from Keras' own, which has its arguments, seeds and configuration, and from
`Drawn`, which makes its values.
"""

from __future__ import annotations

import math
import numbers
import re
from functools import partial
from typing import Any, Final

from fastxavier import distributions, structured
from fastxavier._dtypes import FLOATS
from fastxavier._validation import integers
from fastxavier.initializers import Resolved, scaling
from fastxavier.keras import _backends
from fastxavier.keras._import import keras

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "register",
]


class Drawn:
    """What all of them share: how a call becomes a tensor of the backend."""

    @_backends.untranslated
    def __call__(self, shape: Any, dtype: Any = None, layout: Any = None) -> Any:
        """A new tensor of Keras' backend.

        Parameters
        ----------
        shape : sequence of int
            Its shape. Vectors, and scalars, are fine where the initializer does not need a matrix.
        dtype : str, optional
            float32, float64, float16, bfloat16, float8_e4m3fn or float8_e5m2; by default
            ``keras.config.floatx()``. Constants can have any dtype of Keras.
        layout : keras.distribution.TensorLayout or jax.sharding.Sharding, optional
            On the JAX backend where the tensor lies; Keras gives it. Each shard is drawn alone.

        Returns
        -------
        tensor
            With the same bits on every backend.

        Raises
        ------
        TypeError, ValueError
            If the dtype, the layout or the shape is not one for this initializer. A SeedGenerator
            is then as it was.
        """
        extents = integers("shape", shape)
        name = keras.backend.standardize_dtype(dtype)
        resolved = self._resolved(extents, name)
        if resolved is None:
            made = partial(super().__call__, extents, dtype=name)  # type: ignore[misc]
            return _backends.placed(made, extents, layout)
        return _backends.draw(extents, name, resolved, *self._seed_and_stream(), layout)

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved | None:
        """What is drawn; None for what Keras makes itself."""
        raise NotImplementedError

    def _seed_and_stream(self) -> tuple[Any, int | None]:
        """Those of a call: an integer draws stream 0, a generator its next one."""
        seed = getattr(self, "seed", 0)
        return (seed, 0) if isinstance(seed, int) else (_backends.Next(seed), None)


def _number(value: Any) -> Any:
    """A parameter as a number, which Keras allows to be a tensor without axes."""
    return float(value) if keras.ops.is_tensor(value) else value


# ---- from the fans of a shape --------------------------------------------------------------------

_FAMILIES: Final = {
    "uniform": "uniform",
    "truncated_normal": "truncated_normal",
    "untruncated_normal": "normal",
}


class _Scaled(Drawn):
    """By the fans that Keras reads from a shape."""

    scale: float
    mode: str
    distribution: str
    input_axes: Any
    output_axes: Any

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved:
        axes = {}
        if self.input_axes is not None and self.output_axes is not None:
            named, ndim = {*self.input_axes, *self.output_axes}, len(shape)
            # Keras counts the axes that are neither in no fan.
            others = tuple([axis for axis in range(ndim) if not {axis, axis - ndim} & named])
            axes = {
                "in_axis": tuple(self.input_axes),
                "out_axis": tuple(self.output_axes),
                "batch_axis": others,
            }
        elif len(shape) < 2:  # both fans of a vector are its length
            shape = (*(shape or (1,)),) * 2
        family: Any = _FAMILIES[self.distribution]
        return scaling(self.scale, self.mode, family, 1.0, **axes).for_shape(shape, "keras")


class VarianceScaling(_Scaled, keras.initializers.VarianceScaling):
    """Mean 0 and variance ``scale / n``, as ``keras.initializers.VarianceScaling``.

    Parameters
    ----------
    scale : float, default 1
        Factor on the variance.
    mode : {"fan_in", "fan_out", "fan_avg"}
        What n is.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        A normal truncated at two standard deviations with its variance corrected, a plain one, or
        U[-a, a] with a = sqrt(3 * scale / n).
    seed : int, SeedGenerator, dict or None
        As in Keras. None draws one number from Python's ``random``, which
        ``keras.utils.set_random_seed`` seeds, when the object is made. Every call with an integer,
        or with None, gives the same values; a SeedGenerator gives new ones each time.
    input_axes, output_axes : sequence of int, optional
        The axes that count as inputs and as outputs, none as both; all others count in no fan.
        Without both, the shape is (\\*kernel, in, out), and both fans of a vector are its length.

    Raises
    ------
    ValueError
        If an argument is not valid: Keras checks them.

    Notes
    -----
    A call, ``initializer(shape, dtype=None, layout=None)``, returns a tensor of Keras' backend. Its
    values are those of ``fastxavier.draw(shape, initializer, seed=seed, stream=0)`` with an integer
    seed from 0 up, and of ``stream=n`` in the n-th call after the first with a SeedGenerator. The
    dtype is float32, float64, float16, bfloat16, float8_e4m3fn or float8_e5m2, by default
    ``keras.config.floatx()``. Keras gives the layout, on its JAX backend, where each shard is drawn
    alone.

    Examples
    --------
    >>> import fastxavier.keras
    >>> initializer = fastxavier.keras.VarianceScaling(2.0, "fan_in", "uniform", seed=7)
    >>> tuple(initializer((24, 8)).shape)
    (24, 8)
    """


class GlorotUniform(_Scaled, keras.initializers.GlorotUniform):
    """U[-a, a] with a = sqrt(6 / (fan_in + fan_out)): the default of Keras' layers.

    Arguments as in Keras, ``seed``, ``input_axes`` and ``output_axes``: see `VarianceScaling`.
    """


class GlorotNormal(_Scaled, keras.initializers.GlorotNormal):
    """A normal truncated at two standard deviations, of std sqrt(2 / (fan_in + fan_out)) after it.

    fastxavier's ``glorot_truncated_normal``; its ``glorot_normal`` is torch's, not truncated.
    Arguments as in Keras, ``seed``, ``input_axes`` and ``output_axes``: see `VarianceScaling`.
    """


class HeUniform(_Scaled, keras.initializers.HeUniform):
    """U[-a, a] with a = sqrt(6 / fan_in).

    Arguments as in Keras, ``seed``, ``input_axes`` and ``output_axes``: see `VarianceScaling`.
    """


class HeNormal(_Scaled, keras.initializers.HeNormal):
    """A normal truncated at two standard deviations, of std sqrt(2 / fan_in) after it.

    fastxavier's ``he_truncated_normal``; its ``he_normal`` is torch's, not truncated. Arguments as
    in Keras, ``seed``, ``input_axes`` and ``output_axes``: see `VarianceScaling`.
    """


class LecunUniform(_Scaled, keras.initializers.LecunUniform):
    """U[-a, a] with a = sqrt(3 / fan_in).

    Arguments as in Keras, ``seed``, ``input_axes`` and ``output_axes``: see `VarianceScaling`.
    """


class LecunNormal(_Scaled, keras.initializers.LecunNormal):
    """A normal truncated at two standard deviations, of std sqrt(1 / fan_in) after it.

    fastxavier's ``lecun_truncated_normal``. Arguments as in Keras, ``seed``, ``input_axes`` and
    ``output_axes``: see `VarianceScaling`.
    """


# ---- by their parameters -------------------------------------------------------------------------


class RandomUniform(Drawn, keras.initializers.RandomUniform):
    """U[minval, maxval], by default from -0.05 to 0.05.

    Both bounds may be drawn; Keras leaves out the upper one. Arguments as in Keras, ``minval``,
    ``maxval`` and ``seed``, of which see `VarianceScaling`.
    """

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved:
        return distributions.Uniform(_number(self.minval), _number(self.maxval))


class RandomNormal(Drawn, keras.initializers.RandomNormal):
    """N(mean, stddev**2), not truncated, by default of mean 0 and std 0.05.

    Arguments as in Keras, ``mean``, ``stddev`` and ``seed``, of which see `VarianceScaling`.
    """

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved:
        return distributions.Normal(_number(self.mean), _number(self.stddev))


class TruncatedNormal(Drawn, keras.initializers.TruncatedNormal):
    """N(mean, stddev**2) truncated at two stddev from the mean; its std is then 0.88 stddev.

    Arguments as in Keras, ``mean``, ``stddev`` (0.05) and ``seed``, of which see `VarianceScaling`.
    """

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved:
        return distributions.TruncatedNormal(_number(self.mean), _number(self.stddev))


class Orthogonal(Drawn, keras.initializers.Orthogonal):
    """A matrix with orthogonal rows or columns of length `gain`, uniformly distributed.

    The last axis is that of the units, all others are flattened. float16 and bfloat16, of which
    Keras has no decomposition on most backends, are drawn too. Of all these classes it is the one
    whose last digits may differ between machines: see `fastxavier.Orthogonal`. Arguments as in
    Keras, ``gain`` and ``seed``, of which see `VarianceScaling`.
    """

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved:
        # Of a uniformly distributed matrix the negative one is distributed as it is.
        return structured.Orthogonal(abs(_number(self.gain)), layout="keras")


# ---- without random values -----------------------------------------------------------------------


def _is_finite(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


class Constant(Drawn, keras.initializers.Constant):
    """One value throughout: ``value``, by default 0.

    Tensors of other dtypes than fastxavier's, infinite values and arrays of values are Keras' own.
    """

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved | None:
        if dtype not in FLOATS or not _is_finite(self.value):
            return None
        return distributions.Constant(self.value)


class Zeros(Drawn, keras.initializers.Zeros):
    """Zeros."""

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved | None:
        return distributions.Constant(0.0) if dtype in FLOATS else None


class Ones(Drawn, keras.initializers.Ones):
    """Ones."""

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved | None:
        return distributions.Constant(1.0) if dtype in FLOATS else None


class Identity(Drawn, keras.initializers.Identity):
    """The identity matrix times ``gain``, by default 1, of any height and width.

    Tensors of other dtypes than fastxavier's, and of a negative gain, are Keras' own.
    """

    def _resolved(self, shape: tuple[int, ...], dtype: str) -> Resolved | None:
        if dtype not in FLOATS or not _is_finite(self.gain) or self.gain < 0:
            return None
        return structured.Identity(self.gain)


# ---- names for Keras -----------------------------------------------------------------------------

CLASSES: Final[tuple[Any, ...]] = (
    VarianceScaling,
    GlorotUniform,
    GlorotNormal,
    HeUniform,
    HeNormal,
    LecunUniform,
    LecunNormal,
    RandomUniform,
    RandomNormal,
    TruncatedNormal,
    Orthogonal,
    Constant,
    Zeros,
    Ones,
    Identity,
)


def register() -> None:
    """Tell Keras the names of these initializers: "fastxavier>GlorotUniform" and so on.

    A layer takes them as strings then, ``kernel_initializer="fastxavier>GlorotUniform"`` or
    "fastxavier>glorot_uniform", and finds them when it is cloned, or loaded from a file. Keras' own
    names, such as "glorot_uniform", stay Keras'. Importing ``fastxavier.keras`` does it; call it
    after ``keras.saving.get_custom_objects().clear()``.

    Notes
    -----
    Where a file is loaded and ``fastxavier.keras`` was not imported, Keras takes its own
    initializer of the same name, without a warning. The weights are those of the file all the same.

    Examples
    --------
    >>> import keras, fastxavier.keras
    >>> fastxavier.keras.register()
    >>> type(keras.initializers.get("fastxavier>glorot_uniform"))
    <class 'fastxavier.keras._initializers.GlorotUniform'>
    """
    for one in CLASSES:
        keras.saving.register_keras_serializable("fastxavier")(one)
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", one.__name__).lower()
        keras.saving.get_custom_objects()[f"fastxavier>{snake}"] = one
