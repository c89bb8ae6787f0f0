"""Initializers: the named cases of `VarianceScaling`, and the one table of all initializers.

Arithmetic alone: no array, no random stream. `fill_` and plans resolve them by a tensor's shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from typing import Any, Final, NamedTuple, SupportsFloat, TypeAlias

from fastxavier import _core, structured
from fastxavier._cases import case
from fastxavier._fans import Fans, Layout
from fastxavier._scaling import AXES, Family, Mode, Scale, VarianceScaling, for_shape
from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    choice,
    choose_from,
    real,
    shown,
)
from fastxavier.distributions import Constant, Distribution, Normal, TruncatedNormal, Uniform
from fastxavier.structured import StructuredInitializer

__all__ = [
    "ALIASES",
    "INITIALIZERS",
    "Initializer",
    "Row",
    "VarianceScaling",
    "glorot_normal",
    "glorot_truncated_normal",
    "glorot_uniform",
    "he_normal",
    "he_truncated_normal",
    "he_uniform",
    "heuristic_uniform",
    "initializer_named",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_truncated_normal",
    "lecun_uniform",
    "ones",
    "resolve",
    "scaling",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Fan: TypeAlias = "float | Fans | None"
Gain: TypeAlias = "SupportsFloat | str"


def _scaled(
    scale: Scale, mode: Any, distribution: Family, fan_in: Any, fan_out: Any, gain: Any, axes: Any
) -> Any:
    """The value, or with fans its distribution."""
    value = scaling(scale, mode, distribution, gain, **axes)
    return value if fan_in is fan_out is None else value.with_fans(fan_in, fan_out)


_PLAIN = {int, float, str, bool, type(None)}
# `typed`, or True would pass for 1.
_kept_scaling = lru_cache(maxsize=1024, typed=True)(VarianceScaling)


def scaling(
    scale: Scale, mode: Any, distribution: Family, gain: Any, **axes: Any
) -> VarianceScaling:
    """VarianceScaling, kept: checking its arguments takes longer than a small fill."""
    kinds = type(scale), type(gain), type(mode), type(distribution)
    if kinds == (int, float, str, str) and not axes:
        return _kept_scaling(scale, mode, distribution, gain)
    plain = all(type(one) in _PLAIN for one in (scale, mode, distribution, gain, *axes.values()))
    make = _kept_scaling if plain else VarianceScaling
    return make(scale, mode, distribution, gain, **axes)


def _rectified(
    distribution: Family, fan_in: Any, fan_out: Any, gain: Any, slope: Any, mode: Any, axes: Any
) -> Any:
    """He's initializers: variance 2 / ((1 + slope**2) * n), or with a gain gain**2 / n."""
    slope = abs(real("negative_slope", slope))
    if gain is not None:
        if slope:
            raise ArgumentValueError(
                f"negative_slope is {slope} beside gain={shown(gain)}, which replaces it: give one",
                "negative_slope",
                slope,
            )
        return _scaled(1, mode, distribution, fan_in, fan_out, gain, axes)
    with _core.round_to_nearest():
        # Beyond 2**28 the 1 is lost in rounding, and before long the square overflows.
        leaky = 1 / (slope if slope > 2**28 else sqrt(1 + slope * slope))
    return _scaled(2, mode, distribution, fan_in, fan_out, leaky, axes)


_GLOROT_2010 = """\
X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks", AISTATS 2010, equation """
_HE_2015 = """\
K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: surpassing human-level
performance on ImageNet classification", ICCV 2015, equations 10, 14 and 15."""
_LECUN_1998 = """\
Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient BackProp", in Neural Networks: Tricks
of the Trade, Springer 1998, section 4.6."""
_SELU_2017 = """

G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks",
NeurIPS 2017."""


# ---- the named cases -----------------------------------------------------------------------------


@case(_GLOROT_2010 + "12.")
def variance_scaling(
    scale: Scale,
    mode: Mode,
    distribution: Family,
    fan_in: Fan = None,
    fan_out: Fan = None,
    *,
    gain: Gain = 1.0,
    **axes: Any,
) -> Any:
    """Mean 0 and variance ``gain**2 * scale / n``, n being the fan that `mode` names.

    Every other initializer with fans is this one with some of its arguments fixed. JAX and Keras
    have the same function without a gain (Keras calls the plain normal "untruncated_normal"); torch
    has none.

    >>> variance_scaling(3, "fan_in", "normal", fan_in=12)
    Normal(mean=0.0, std=0.5)
    >>> variance_scaling(1, "fan_geo_avg", "uniform", fan_in=27, fan_out=3)
    Uniform(low=-0.5773502691896257, high=0.5773502691896257)
    """
    return _scaled(scale, mode, distribution, fan_in, fan_out, gain, axes)


@case(_GLOROT_2010 + "16.", Uniform)
def glorot_uniform(
    fan_in: Fan = None,
    fan_out: Fan = None,
    *,
    gain: Gain = 1.0,
    mode: Mode = "fan_avg",
    **axes: Any,
) -> Any:
    """Glorot (Xavier) uniform: U[-a, a] with a = gain * sqrt(6 / (fan_in + fan_out)).

    The variance is gain**2 * 2 / (fan_in + fan_out), a compromise between keeping the variance of
    activations and that of gradients. What torch's ``xavier_uniform_`` and ``glorot_uniform`` in
    JAX and Keras draw.

    >>> glorot_uniform(fan_in=10, fan_out=14)
    Uniform(low=-0.5, high=0.5)
    """
    return _scaled(1, mode, "uniform", fan_in, fan_out, gain, axes)


@case(_GLOROT_2010 + "12.", Normal)
def glorot_normal(
    fan_in: Fan = None,
    fan_out: Fan = None,
    *,
    gain: Gain = 1.0,
    mode: Mode = "fan_avg",
    **axes: Any,
) -> Any:
    """Glorot (Xavier) normal, not truncated: std = gain * sqrt(2 / (fan_in + fan_out)).

    What torch's ``xavier_normal_`` draws. ``glorot_normal`` in JAX and Keras is truncated: it is
    `glorot_truncated_normal` here.

    >>> glorot_normal(fan_in=3, fan_out=5)
    Normal(mean=0.0, std=0.5)
    """
    return _scaled(1, mode, "normal", fan_in, fan_out, gain, axes)


@case(_GLOROT_2010 + "12.", TruncatedNormal)
def glorot_truncated_normal(
    fan_in: Fan = None,
    fan_out: Fan = None,
    *,
    gain: Gain = 1.0,
    mode: Mode = "fan_avg",
    **axes: Any,
) -> Any:
    """Glorot (Xavier) normal truncated at two standard deviations, its variance corrected.

    The std before truncation is gain * sqrt(2 / (fan_in + fan_out)) / 0.87962566..., so that the
    variance after it is that of `glorot_normal`. What JAX and Keras call ``glorot_normal``; torch
    has none.

    >>> round(glorot_truncated_normal(fan_in=3, fan_out=5).std, 12)
    0.5
    """
    return _scaled(1, mode, "truncated_normal", fan_in, fan_out, gain, axes)


@case(_HE_2015, Uniform)
def he_uniform(
    fan_in: Fan = None,
    fan_out: Fan = None,
    *,
    gain: Gain | None = None,
    negative_slope: SupportsFloat = 0.0,
    mode: Mode = "fan_in",
    **axes: Any,
) -> Any:
    """He (Kaiming) uniform: U[-a, a] with a = sqrt(6 / ((1 + negative_slope**2) * fan_in)).

    For layers after a (leaky) rectifier, which halves the second moment. What torch's
    ``kaiming_uniform_(a=negative_slope)`` and ``he_uniform`` in JAX and Keras draw.

    >>> he_uniform(fan_in=24)
    Uniform(low=-0.5, high=0.5)
    """
    return _rectified("uniform", fan_in, fan_out, gain, negative_slope, mode, axes)


@case(_HE_2015, Normal)
def he_normal(
    fan_in: Fan = None,
    fan_out: Fan = None,
    *,
    gain: Gain | None = None,
    negative_slope: SupportsFloat = 0.0,
    mode: Mode = "fan_in",
    **axes: Any,
) -> Any:
    """He (Kaiming) normal, not truncated: std = sqrt(2 / ((1 + negative_slope**2) * fan_in)).

    For layers after a (leaky) rectifier, which halves the second moment. What torch's
    ``kaiming_normal_(a=negative_slope)`` draws. ``he_normal`` in JAX and Keras is truncated: it is
    `he_truncated_normal` here.

    >>> he_normal(fan_in=128)
    Normal(mean=0.0, std=0.125)
    """
    return _rectified("normal", fan_in, fan_out, gain, negative_slope, mode, axes)


@case(_HE_2015, TruncatedNormal)
def he_truncated_normal(
    fan_in: Fan = None,
    fan_out: Fan = None,
    *,
    gain: Gain | None = None,
    negative_slope: SupportsFloat = 0.0,
    mode: Mode = "fan_in",
    **axes: Any,
) -> Any:
    """He (Kaiming) normal truncated at two standard deviations, its variance corrected.

    The std before truncation is sqrt(2 / ((1 + negative_slope**2) * fan_in)) / 0.87962566..., so
    that the variance after it is that of `he_normal`. What JAX and Keras call ``he_normal``; torch
    has none.

    >>> he_truncated_normal(fan_in=8).parent.std
    0.5684236171692783
    """
    return _rectified("truncated_normal", fan_in, fan_out, gain, negative_slope, mode, axes)


@case(_LECUN_1998, Uniform)
def lecun_uniform(
    fan_in: Fan = None, fan_out: Fan = None, *, gain: Gain = 1.0, mode: Mode = "fan_in", **axes: Any
) -> Any:
    """LeCun uniform: U[-a, a] with a = gain * sqrt(3 / fan_in).

    The variance is that of `lecun_normal`. What ``lecun_uniform`` in JAX and Keras draws; torch has
    none.

    >>> lecun_uniform(fan_in=12)
    Uniform(low=-0.5, high=0.5)
    """
    return _scaled(1, mode, "uniform", fan_in, fan_out, gain, axes)


@case(_LECUN_1998 + _SELU_2017, Normal)
def lecun_normal(
    fan_in: Fan = None, fan_out: Fan = None, *, gain: Gain = 1.0, mode: Mode = "fan_in", **axes: Any
) -> Any:
    """LeCun normal, not truncated: std = gain * sqrt(1 / fan_in).

    A unit of `fan_in` inputs with variance 1 then has variance 1; networks with SELU use it.
    ``lecun_normal`` in JAX and Keras is truncated: it is `lecun_truncated_normal` here; torch has
    none.

    >>> lecun_normal(fan_in=4)
    Normal(mean=0.0, std=0.5)
    """
    return _scaled(1, mode, "normal", fan_in, fan_out, gain, axes)


@case(_LECUN_1998, TruncatedNormal)
def lecun_truncated_normal(
    fan_in: Fan = None, fan_out: Fan = None, *, gain: Gain = 1.0, mode: Mode = "fan_in", **axes: Any
) -> Any:
    """LeCun normal truncated at two standard deviations, its variance corrected.

    The std before truncation is gain * sqrt(1 / fan_in) / 0.87962566..., so that the variance after
    it is that of `lecun_normal`. What JAX and Keras call ``lecun_normal``; torch has none.

    >>> lecun_truncated_normal(fan_in=4).parent.std
    0.5684236171692783
    """
    return _scaled(1, mode, "truncated_normal", fan_in, fan_out, gain, axes)


@case(_GLOROT_2010 + "1.", Uniform)
def heuristic_uniform(
    fan_in: Fan = None, fan_out: Fan = None, *, mode: Mode = "fan_in", **axes: Any
) -> Any:
    """U[-1/sqrt(fan_in), 1/sqrt(fan_in)]: what torch's Linear and convolutions draw by default.

    Its variance is 1 / (3 * fan_in). torch writes it ``kaiming_uniform_`` with ``a=sqrt(5)`` for
    the weight, and draws the bias likewise. Glorot and Bengio show that activations and gradients
    fade under it. JAX and Keras have no name for it.

    >>> heuristic_uniform(fan_in=16)
    Uniform(low=-0.25, high=0.25)
    """
    return _scaled(1 / 3, mode, "uniform", fan_in, fan_out, 1.0, axes)


xavier_uniform = glorot_uniform
xavier_normal = glorot_normal
kaiming_uniform = he_uniform
kaiming_normal = he_normal


def zeros() -> Constant:
    """Zeros, as for biases: ``Constant(0.0)``."""
    return Constant(0.0)


def ones() -> Constant:
    """Ones, as for the scales of norms: ``Constant(1.0)``."""
    return Constant(1.0)


# ---- the table -----------------------------------------------------------------------------------

Resolved: TypeAlias = "Distribution | StructuredInitializer"
Initializer: TypeAlias = "VarianceScaling | Distribution | StructuredInitializer"


class Row(NamedTuple):
    """An initializer: how it is made, and the settings that a plan may give it."""

    make: Callable[..., Any]
    settings: tuple[str, ...]
    required: tuple[str, ...] = ()
    """Those that have no default."""


_FAMILY = ("gain", "mode", *AXES)
_HE = ("gain", "negative_slope", "mode", *AXES)

INITIALIZERS: Final[dict[str, Row]] = {
    "glorot_uniform": Row(glorot_uniform, _FAMILY),
    "glorot_normal": Row(glorot_normal, _FAMILY),
    "glorot_truncated_normal": Row(glorot_truncated_normal, _FAMILY),
    "he_uniform": Row(he_uniform, _HE),
    "he_normal": Row(he_normal, _HE),
    "he_truncated_normal": Row(he_truncated_normal, _HE),
    "lecun_uniform": Row(lecun_uniform, _FAMILY),
    "lecun_normal": Row(lecun_normal, _FAMILY),
    "lecun_truncated_normal": Row(lecun_truncated_normal, _FAMILY),
    "heuristic_uniform": Row(heuristic_uniform, ("mode", *AXES)),
    "variance_scaling": Row(
        variance_scaling,
        ("scale", "mode", "distribution", "gain", *AXES),
        ("scale", "mode", "distribution"),
    ),
    "uniform": Row(Uniform, ("low", "high"), ("low", "high")),
    "normal": Row(Normal, ("mean", "std")),
    "truncated_normal": Row(TruncatedNormal, ("mean", "std", "low", "high")),
    "zeros": Row(zeros, ()),
    "ones": Row(ones, ()),
    "constant": Row(Constant, ("value",), ("value",)),
    "identity": Row(structured.Identity, ("gain",)),
    "dirac": Row(structured.Dirac, ("groups", "gain", "layout")),
    "orthogonal": Row(structured.Orthogonal, ("gain", "layout")),
    "delta_orthogonal": Row(structured.DeltaOrthogonal, ("gain", "layout")),
    "sparse": Row(structured.Sparse, ("sparsity", "std"), ("sparsity",)),
}
"""Every initializer by its name: what plans, in-place functions, docs and tests are made from."""

ALIASES: Final[dict[str, str]] = {
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming_uniform": "he_uniform",
    "kaiming_normal": "he_normal",
    "trunc_normal": "truncated_normal",
    "eye": "identity",
}
"""Names that other libraries use, torch's above all."""


_CLASSES = {row.make.__name__ for row in INITIALIZERS.values()}


def initializer_named(name: str, /, **settings: Any) -> Initializer:
    """The initializer that a plan or a string names.

    Parameters
    ----------
    name : str
        A key of `INITIALIZERS` or `ALIASES`; torch's trailing underscore is allowed.
    **settings
        What the initializer takes.

    Returns
    -------
    VarianceScaling, Distribution or StructuredInitializer
        What `fill_` takes.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown, or as the initializer does.
    """
    row = _row("initializer", name)
    for key in settings:
        if key not in row.settings:
            raise ArgumentValueError(
                f"{key!r} is not a setting of {name}; {choose_from(key, row.settings)}",
                key,
                settings[key],
                row.settings,
            )
    missing = [key for key in row.required if key not in settings]
    if missing:
        raise ArgumentValueError(
            f"{name} needs {' and '.join(missing)} too, as a setting or in a value: "
            f"{row.make.__name__}({', '.join(missing)})",
            missing[0],
            None,
            row.settings,
        )
    made: Initializer = row.make(**settings)
    return made


def _row(argument: str, name: Any) -> Row:
    """The row of a name; the error names the argument that holds it."""
    plain = name
    if isinstance(name, str) and name.endswith("_"):
        plain = name[:-1]
        if plain in ("uniform", "normal", "truncated_normal"):
            raise ArgumentValueError(
                f"{argument} is {name!r}, which takes fans here and parameters in torch; write "
                f"'glorot_{plain}' or {plain!r}",
                argument,
                name,
            )
    choice(argument, plain, (*INITIALIZERS, *ALIASES))
    return INITIALIZERS[ALIASES.get(plain, plain)]


def resolve(initializer: Any, shape: tuple[int, ...], layout: Layout = "torch") -> Resolved:
    """The distribution, or the structured initializer, for a tensor of this shape.

    Parameters
    ----------
    initializer : VarianceScaling, Distribution, StructuredInitializer or str
        What `fill_` was given.
    shape : tuple of int
        The whole tensor's.
    layout : str
        Which axes are inputs and outputs where the initializer does not say.

    Returns
    -------
    Distribution or StructuredInitializer
        What is left to be drawn.

    Raises
    ------
    TypeError, ValueError
        If it is not an initializer, or not one for this shape.
    """
    if isinstance(initializer, str):
        _row("distribution", initializer)
        initializer = initializer_named(initializer)
    if isinstance(initializer, VarianceScaling):
        return for_shape(initializer, shape, layout)
    if isinstance(initializer, Distribution):
        return initializer
    if isinstance(initializer, StructuredInitializer):
        return initializer.in_layout(layout)
    name = getattr(initializer, "__name__", "")
    hint = ""
    if callable(initializer) and name.removesuffix("_") in (*INITIALIZERS, *ALIASES, *_CLASSES):
        hint = f"; call it: {name}()" if name[-1] != "_" else f"; write {name[:-1]}()"
    if isinstance(initializer, (int, float)):
        hint = f"; write Constant({initializer})"
    raise ArgumentTypeError(
        f"distribution is {shown(initializer)}; it must be an initializer such as he_normal(), a "
        f"distribution such as Normal(0, 0.02), or the name of one{hint}",
        "distribution",
        initializer,
    )
