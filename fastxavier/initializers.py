"""Schemes: arithmetic from fans and a gain to a distribution. Knows no array and no stream."""

from __future__ import annotations

import numbers
from math import inf, ldexp, sqrt
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, overload

from fastxavier import _core
from fastxavier._validation import real
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = [
    "Mode",
    "fixed_normal",
    "fixed_uniform",
    "glorot_normal",
    "glorot_truncated_normal",
    "glorot_uniform",
    "he_normal",
    "he_truncated_normal",
    "he_uniform",
    "heuristic_uniform",
    "lecun_normal",
    "lecun_truncated_normal",
    "lecun_uniform",
    "variance_scaling",
]

Mode = Literal["fan_avg", "fan_in", "fan_out", "fan_geo_avg"]
_MODES = ("fan_avg", "fan_in", "fan_out", "fan_geo_avg")


# ---- the formula ---------------------------------------------------------------------------------


@overload
def variance_scaling(
    scale: float, mode: Mode, distribution: Literal["uniform"],
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0,
) -> Uniform: ...  # fmt: skip
@overload
def variance_scaling(
    scale: float, mode: Mode, distribution: Literal["normal"],
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0,
) -> Normal: ...  # fmt: skip
@overload
def variance_scaling(
    scale: float, mode: Mode, distribution: Literal["truncated_normal"],
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0,
) -> TruncatedNormal: ...  # fmt: skip
@overload
def variance_scaling(
    scale: float, mode: Mode, distribution: str,
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0,
) -> Distribution: ...  # fmt: skip
def variance_scaling(
    scale: float,
    mode: Mode,
    distribution: str,
    fan_in: float,
    fan_out: float,
    gain: SupportsFloat = 1.0,
) -> Distribution:
    """The distribution of mean 0 and variance ``gain**2 * scale / n``, n being the fan that `mode` names.

    Every scheme named after a paper is this one with some of its arguments fixed. JAX and Keras
    have the same function without a gain (Keras calls the plain normal "untruncated_normal");
    torch has none.

    Parameters
    ----------
    scale : int or float
        Factor on the variance: 1 keeps that of a linear layer, 2 that of a rectified one.
    mode : {"fan_avg", "fan_in", "fan_out", "fan_geo_avg"}
        n: (fan_in + fan_out) / 2; fan_in, which keeps the variance of activations (forward pass
        only); fan_out, which keeps that of gradients (backward pass only); or the geometric mean,
        sqrt(fan_in * fan_out).
    distribution : {"uniform", "normal", "truncated_normal"}
        U[-a, a] with a = sqrt(3 * variance); a plain normal; or a normal cut at two standard
        deviations of its parent, whose std is divided by 0.87962566..., so that the variance is
        that of what the cut leaves.
    fan_in, fan_out : int or float
        Inputs that feed one unit of the layer and outputs that one input feeds; `fans` tells them
        from a shape. Not negative; integers of any size are taken exactly.
    gain : float, default 1
        Factor on the standard deviation, for the activation that follows; see `gains.gain`.

    Returns
    -------
    Uniform, Normal or TruncatedNormal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If scale, a fan or the gain is not a real number.
    ValueError
        If one of them is negative, NaN or infinite, n is 0, the distribution reaches beyond the largest
        float, or `mode` or `distribution` is none of the above.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equations 10 to 12.

    Examples
    --------
    >>> from fastxavier.initializers import variance_scaling
    >>> variance_scaling(3, "fan_in", "normal", fan_in=12, fan_out=50)
    Normal(mean=0.0, std=0.5)
    >>> variance_scaling(1, "fan_geo_avg", "uniform", fan_in=27, fan_out=3)
    Uniform(low=-0.5773502691896257, high=0.5773502691896257)
    """
    if distribution == "uniform":
        bound = _spread(3, scale, mode, fan_in, fan_out, gain)
        return _core.make_uniform(Uniform, -bound, bound)
    if distribution == "normal":
        return _core.make_normal(Normal, 0.0, _spread(1, scale, mode, fan_in, fan_out, gain))
    if distribution == "truncated_normal":
        parent_std = _spread(1, scale, mode, fan_in, fan_out, gain, _STANDARD_CUT_STD)
        return _core.make_rescaled(TruncatedNormal, _STANDARD_CUT, 0.0, parent_std)
    raise ValueError(
        f"distribution is {distribution!r}; it must be 'uniform', 'normal' or 'truncated_normal'"
    )


_STANDARD_CUT = TruncatedNormal(0.0, 1.0)
with _core.round_to_nearest():
    _STANDARD_CUT_STD = _STANDARD_CUT.std


def _spread(
    factor: int,
    scale: Any,
    mode: str,
    fan_in: Any,
    fan_out: Any,
    gain: Any,
    kept_std: float = 1.0,
) -> float:
    """gain * sqrt(factor * scale / n) / kept_std, n being the fan that `mode` names."""
    if type(scale) is not int or scale < 0:
        scale = _not_negative("scale", scale)
    if type(fan_in) is not int or fan_in < 0:
        fan_in = _not_negative("fan_in", fan_in)
    if type(fan_out) is not int or fan_out < 0:
        fan_out = _not_negative("fan_out", fan_out)
    if type(gain) is not float or not 0 <= gain < inf:
        gain = float(_not_negative("gain", real("gain", gain)))
    with _core.round_to_nearest():
        try:
            if mode == "fan_avg":
                square = 2 * factor * scale / (fan_in + fan_out)
            elif mode == "fan_in":
                square = factor * scale / fan_in
            elif mode == "fan_out":
                square = factor * scale / fan_out
            else:
                square = 0.0
        except (ZeroDivisionError, OverflowError):
            square = 0.0
        if _LEAST_SQUARE < square < inf:
            root = sqrt(square)
        else:
            root = _exact_root(factor, scale, mode, fan_in, fan_out)
        spread: float = gain * root / kept_std
    if not spread < inf:
        raise ValueError(
            f"scale {scale}, gain {gain}, fan_in {fan_in} and fan_out {fan_out} give a distribution beyond "
            "the largest float"
        )
    return spread


_LEAST_SQUARE = 1e-290  # below it a quotient is on its way to losing digits


def _exact_root(factor: int, scale: Any, mode: str, fan_in: Any, fan_out: Any) -> float:
    """sqrt(factor * scale / n) where floats would overflow or lose digits on the way."""
    from fractions import Fraction  # milliseconds, of which most programs need none

    if mode not in _MODES:
        raise ValueError(f"mode is {mode!r}; it must be {', '.join(map(repr, _MODES))}")
    ratio, first, second = factor * Fraction(scale), Fraction(fan_in), Fraction(fan_out)
    n_or_square = {
        "fan_avg": (first + second) / 2,
        "fan_in": first,
        "fan_out": second,
        "fan_geo_avg": first * second,  # the square, since n itself may be irrational
    }[mode]
    if not n_or_square:
        raise ValueError(
            f"fan_in is {fan_in} and fan_out is {fan_out}: mode {mode!r} divides by their mean, or "
            "by the one it names, which must not be 0"
        )
    if mode == "fan_geo_avg":
        return _root(ratio**2 / n_or_square, 4)
    return _root(ratio / n_or_square, 2)


def _root(number: Fraction, degree: int) -> float:
    """The square or fourth root of a fraction of any size; infinite beyond the largest float."""
    doublings = (number.numerator.bit_length() - number.denominator.bit_length()) // degree
    root = sqrt(number / type(number)(2) ** (degree * doublings))
    try:
        return ldexp(root if degree == 2 else sqrt(root), doublings)
    except OverflowError:
        return inf


def _not_negative(name: str, value: Any) -> Any:
    """The value as a Python number that is not negative: an integer of any size, or a float."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = int(value)
    else:
        value = real(name, value)
    if value < 0:
        raise ValueError(f"{name} is {value}; it must not be negative")
    return value


# ---- Glorot --------------------------------------------------------------------------------------


def glorot_uniform(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_avg"
) -> Uniform:
    """Glorot's uniform distribution, U[-a, a] with a = gain * sqrt(6 / (fan_in + fan_out)).

    Its variance is gain**2 * 2 / (fan_in + fan_out): the compromise of Glorot & Bengio (2010),
    equation 16, between keeping the variance of activations (`mode` "fan_in") and of
    back-propagated gradients ("fan_out"). The same distribution as torch's ``xavier_uniform_`` and as
    ``glorot_uniform`` in JAX and Keras.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    gain : float, default 1
        Factor on the standard deviation, for the activation that follows; see `gains.gain`.
    mode : {"fan_avg", "fan_in", "fan_out", "fan_geo_avg"}
        What the formula divides by: the mean of both fans, one of them alone, or the geometric
        mean.

    Returns
    -------
    Uniform
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the gain is not a real number.
    ValueError
        If a fan or the gain is negative or not finite, the fan to divide by is 0, the distribution reaches
        beyond the largest float, or the mode is unknown.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 16.

    Examples
    --------
    >>> from fastxavier.initializers import glorot_uniform
    >>> glorot_uniform(fan_in=10, fan_out=14)
    Uniform(low=-0.5, high=0.5)
    """
    return variance_scaling(1, mode, "uniform", fan_in, fan_out, gain)


def glorot_normal(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_avg"
) -> Normal:
    """Glorot's distribution with a plain normal: std = gain * sqrt(2 / (fan_in + fan_out)).

    Glorot & Bengio (2010), equation 12. The distribution of torch's ``xavier_normal_``. What JAX and Keras
    call ``glorot_normal`` is truncated: see `glorot_truncated_normal`.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    gain : float, default 1
        Factor on the standard deviation, for the activation that follows; see `gains.gain`.
    mode : {"fan_avg", "fan_in", "fan_out", "fan_geo_avg"}
        What the formula divides by: the mean of both fans, one of them alone, or the geometric
        mean.

    Returns
    -------
    Normal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the gain is not a real number.
    ValueError
        If a fan or the gain is negative or not finite, the fan to divide by is 0, the distribution reaches
        beyond the largest float, or the mode is unknown.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 12.

    Examples
    --------
    >>> from fastxavier.initializers import glorot_normal
    >>> glorot_normal(fan_in=2, fan_out=6)
    Normal(mean=0.0, std=0.5)
    """
    return variance_scaling(1, mode, "normal", fan_in, fan_out, gain)


def glorot_truncated_normal(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_avg"
) -> TruncatedNormal:
    """Glorot's distribution with a normal cut at two standard deviations of the parent.

    The parent's std is gain * sqrt(2 / (fan_in + fan_out)) / 0.87962566..., so that what is left by
    the cut has the variance of Glorot & Bengio (2010), equation 12. The distribution of ``glorot_normal`` in
    JAX and Keras; torch has none.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    gain : float, default 1
        Factor on the standard deviation, for the activation that follows; see `gains.gain`.
    mode : {"fan_avg", "fan_in", "fan_out", "fan_geo_avg"}
        What the formula divides by: the mean of both fans, one of them alone, or the geometric
        mean.

    Returns
    -------
    TruncatedNormal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the gain is not a real number.
    ValueError
        If a fan or the gain is negative or not finite, the fan to divide by is 0, the distribution reaches
        beyond the largest float, or the mode is unknown.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 12.

    Examples
    --------
    >>> from fastxavier.initializers import glorot_truncated_normal
    >>> glorot_truncated_normal(fan_in=2, fan_out=6).parent.std
    0.5684236171692783
    """
    return variance_scaling(1, mode, "truncated_normal", fan_in, fan_out, gain)


# ---- He ------------------------------------------------------------------------------------------


def he_uniform(
    fan_in: float, fan_out: float, negative_slope: SupportsFloat = 0.0, mode: Mode = "fan_in"
) -> Uniform:
    """He's uniform distribution, U[-a, a] with a = sqrt(6 / ((1 + negative_slope**2) * fan_in)).

    Its variance is that of `he_normal`. The distribution of torch's ``kaiming_uniform_`` (whose ``a`` is the
    slope; the default of ``torch.nn.Linear``, ``a=sqrt(5)``, is no rectifier's but that of
    `heuristic_uniform`) and of ``he_uniform`` in JAX and Keras.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    negative_slope : float, default 0
        Slope of the rectifier left of zero (equation 15): 0 is ReLU, 1 a linear unit.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What the formula divides by: fan_in, which keeps the variance of activations; fan_out,
        which keeps that of gradients; or a mean of both.

    Returns
    -------
    Uniform
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the slope is not a real number.
    ValueError
        If a fan is negative or not finite, the slope is not finite, the fan to divide by is 0, or
        the mode is unknown.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: surpassing human-level
    performance on ImageNet classification", ICCV 2015, equations 10, 14 and 15.

    Examples
    --------
    >>> from fastxavier.initializers import he_uniform
    >>> he_uniform(fan_in=24, fan_out=7)
    Uniform(low=-0.5, high=0.5)
    """
    return variance_scaling(2, mode, "uniform", fan_in, fan_out, _rectified(negative_slope))


def he_normal(
    fan_in: float, fan_out: float, negative_slope: SupportsFloat = 0.0, mode: Mode = "fan_in"
) -> Normal:
    """He's distribution with a plain normal: std = sqrt(2 / ((1 + negative_slope**2) * fan_in)).

    For layers whose inputs have passed a (leaky) rectifier, which halves the second moment. The
    distribution of torch's ``kaiming_normal_``; what JAX and Keras call ``he_normal`` is truncated: see
    `he_truncated_normal`.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    negative_slope : float, default 0
        Slope of the rectifier left of zero (equation 15): 0 is ReLU, 1 a linear unit.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What the formula divides by: fan_in, which keeps the variance of activations; fan_out,
        which keeps that of gradients; or a mean of both.

    Returns
    -------
    Normal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the slope is not a real number.
    ValueError
        If a fan is negative or not finite, the slope is not finite, the fan to divide by is 0, or
        the mode is unknown.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: surpassing human-level
    performance on ImageNet classification", ICCV 2015, equations 10, 14 and 15.

    Examples
    --------
    >>> from fastxavier.initializers import he_normal
    >>> he_normal(fan_in=8, fan_out=50)
    Normal(mean=0.0, std=0.5)
    """
    return variance_scaling(2, mode, "normal", fan_in, fan_out, _rectified(negative_slope))


def he_truncated_normal(
    fan_in: float, fan_out: float, negative_slope: SupportsFloat = 0.0, mode: Mode = "fan_in"
) -> TruncatedNormal:
    """He's distribution with a normal cut at two standard deviations of the parent.

    The parent's std is sqrt(2 / ((1 + negative_slope**2) * fan_in)) / 0.87962566..., so that what
    is left by the cut has the variance of `he_normal`. The distribution of ``he_normal`` in JAX and Keras;
    torch has none.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    negative_slope : float, default 0
        Slope of the rectifier left of zero (equation 15): 0 is ReLU, 1 a linear unit.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What the formula divides by: fan_in, which keeps the variance of activations; fan_out,
        which keeps that of gradients; or a mean of both.

    Returns
    -------
    TruncatedNormal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the slope is not a real number.
    ValueError
        If a fan is negative or not finite, the slope is not finite, the fan to divide by is 0, or
        the mode is unknown.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: surpassing human-level
    performance on ImageNet classification", ICCV 2015, equations 10, 14 and 15.

    Examples
    --------
    >>> from fastxavier.initializers import he_truncated_normal
    >>> he_truncated_normal(fan_in=8, fan_out=50).parent.std
    0.5684236171692783
    """
    return variance_scaling(
        2, mode, "truncated_normal", fan_in, fan_out, _rectified(negative_slope)
    )


def _rectified(negative_slope: Any) -> float:
    """1 / sqrt(1 + negative_slope**2): a leaky rectifier's gain beside that of ReLU."""
    slope = abs(real("negative_slope", negative_slope))
    with _core.round_to_nearest():
        # Beyond 2**28 the 1 is lost in rounding, and before long the square overflows.
        return 1 / (slope if slope > 2**28 else sqrt(1 + slope * slope))


# ---- LeCun ---------------------------------------------------------------------------------------


def lecun_uniform(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_in"
) -> Uniform:
    """LeCun's uniform distribution, U[-a, a] with a = gain * sqrt(3 / fan_in).

    Its variance is that of `lecun_normal`. The same distribution as ``lecun_uniform`` in JAX and Keras;
    torch has none of this name.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    gain : float, default 1
        Factor on the standard deviation, for the activation that follows; see `gains.gain`.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What the formula divides by: fan_in, which keeps the variance of activations; fan_out,
        which keeps that of gradients; or a mean of both.

    Returns
    -------
    Uniform
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the gain is not a real number.
    ValueError
        If a fan or the gain is negative or not finite, the fan to divide by is 0, the distribution reaches
        beyond the largest float, or the mode is unknown.

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient BackProp", in Neural Networks: Tricks
    of the Trade, Springer 1998, section 4.6.

    Examples
    --------
    >>> from fastxavier.initializers import lecun_uniform
    >>> lecun_uniform(fan_in=12, fan_out=7)
    Uniform(low=-0.5, high=0.5)
    """
    return variance_scaling(1, mode, "uniform", fan_in, fan_out, gain)


def lecun_normal(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_in"
) -> Normal:
    """LeCun's distribution with a plain normal: std = gain * sqrt(1 / fan_in).

    Units of `fan_in` inputs of variance 1 then sum to variance 1; self-normalising networks (SELU)
    start from it. What JAX and Keras call ``lecun_normal`` is truncated: see
    `lecun_truncated_normal`. torch has none of this name.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    gain : float, default 1
        Factor on the standard deviation, for the activation that follows; see `gains.gain`.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What the formula divides by: fan_in, which keeps the variance of activations; fan_out,
        which keeps that of gradients; or a mean of both.

    Returns
    -------
    Normal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the gain is not a real number.
    ValueError
        If a fan or the gain is negative or not finite, the fan to divide by is 0, the distribution reaches
        beyond the largest float, or the mode is unknown.

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient BackProp", in Neural Networks: Tricks
    of the Trade, Springer 1998, section 4.6.

    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks",
    NeurIPS 2017.

    Examples
    --------
    >>> from fastxavier.initializers import lecun_normal
    >>> lecun_normal(fan_in=4, fan_out=50)
    Normal(mean=0.0, std=0.5)
    """
    return variance_scaling(1, mode, "normal", fan_in, fan_out, gain)


def lecun_truncated_normal(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_in"
) -> TruncatedNormal:
    """LeCun's distribution with a normal cut at two standard deviations of the parent.

    The parent's std is gain * sqrt(1 / fan_in) / 0.87962566..., so that what is left by the cut has
    the variance of `lecun_normal`. The distribution of ``lecun_normal`` in JAX and Keras; torch has none.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    gain : float, default 1
        Factor on the standard deviation, for the activation that follows; see `gains.gain`.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What the formula divides by: fan_in, which keeps the variance of activations; fan_out,
        which keeps that of gradients; or a mean of both.

    Returns
    -------
    TruncatedNormal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan or the gain is not a real number.
    ValueError
        If a fan or the gain is negative or not finite, the fan to divide by is 0, the distribution reaches
        beyond the largest float, or the mode is unknown.

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient BackProp", in Neural Networks: Tricks
    of the Trade, Springer 1998, section 4.6.

    Examples
    --------
    >>> from fastxavier.initializers import lecun_truncated_normal
    >>> lecun_truncated_normal(fan_in=4, fan_out=50).parent.std
    0.5684236171692783
    """
    return variance_scaling(1, mode, "truncated_normal", fan_in, fan_out, gain)


# ---- before them, and without fans ---------------------------------------------------------------


def heuristic_uniform(fan_in: float, fan_out: float, mode: Mode = "fan_in") -> Uniform:
    """The older habit, U[-1/sqrt(n), 1/sqrt(n)], whose variance is 1 / (3 * n).

    The "standard initialization" that Glorot & Bengio (2010), equation 1, show to let activations
    and gradients fade from layer to layer. Still what ``torch.nn.Linear`` and torch's convolutions
    begin with, weight and bias (as ``kaiming_uniform_`` with ``a=sqrt(5)``); JAX and Keras have no
    name for it.

    Parameters
    ----------
    fan_in, fan_out : int or float
        Inputs that feed one unit and outputs that one input feeds, as `fans` tells them; not
        negative.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What the formula divides by: fan_in, which keeps the variance of activations; fan_out,
        which keeps that of gradients; or a mean of both.

    Returns
    -------
    Uniform
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If a fan is not a real number.
    ValueError
        If a fan is negative or not finite, the fan to divide by is 0, or the mode is unknown.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 1.

    Examples
    --------
    >>> from fastxavier.initializers import heuristic_uniform
    >>> heuristic_uniform(fan_in=16, fan_out=3)
    Uniform(low=-0.25, high=0.25)
    """
    return variance_scaling(1 / 3, mode, "uniform", fan_in, fan_out)


def fixed_uniform(bound: SupportsFloat = 0.1) -> Uniform:
    """U[-bound, bound], whatever the fans.

    torch's ``uniform_(-bound, bound)`` and Keras' ``RandomUniform(-bound, bound)``; JAX's
    ``uniform(scale)`` is [0, scale) instead.

    Parameters
    ----------
    bound : float, default 0.1
        Not negative.

    Returns
    -------
    Uniform
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If `bound` is not a real number.
    ValueError
        If `bound` is negative or not finite.

    Examples
    --------
    >>> from fastxavier.initializers import fixed_uniform
    >>> fixed_uniform(0.5)
    Uniform(low=-0.5, high=0.5)
    """
    high: float = _not_negative("bound", real("bound", bound))
    return Uniform(-high, high)


def fixed_normal(std: SupportsFloat = 0.02) -> Normal:
    """N(0, std**2), whatever the fans; not truncated.

    The start of GPT-2's weights. torch's ``normal_(0, std)``, ``normal(std)`` in JAX and
    ``RandomNormal(0, std)`` in Keras.

    Parameters
    ----------
    std : float, default 0.02
        Standard deviation, not negative.

    Returns
    -------
    Normal
        The distribution, to be given to `fill_`.

    Raises
    ------
    TypeError
        If `std` is not a real number.
    ValueError
        If `std` is negative or not finite.

    Examples
    --------
    >>> from fastxavier.initializers import fixed_normal
    >>> fixed_normal()
    Normal(mean=0.0, std=0.02)
    """
    return Normal(0.0, std)
