"""Schemes: arithmetic from fans and a gain to a distribution. Knows no array and no stream."""

from __future__ import annotations

import math
import numbers
from fractions import Fraction
from typing import Any, Literal, SupportsFloat

from fastxavier import _core
from fastxavier._numbers import real
from fastxavier.distributions import Normal, TruncatedNormal, Uniform

__all__ = ["Mode", "glorot_normal", "glorot_truncated_normal", "glorot_uniform"]

Mode = Literal["fan_avg", "fan_in", "fan_out"]


def _fan(name: str, value: Any) -> Any:
    """A fan as a Python number: an integer of any size, or a float."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = int(value)
    else:
        value = real(name, value)
    if value < 0:
        raise ValueError(f"{name} is {value}; it must not be negative")
    return value


def _scale(
    ratio: int, fan_in: Any, fan_out: Any, gain: Any, mode: str, kept_std: float = 1.0
) -> float:
    """gain * sqrt(ratio / fan) / kept_std, the fan being what `mode` says."""
    if type(fan_in) is not int or fan_in < 0:
        fan_in = _fan("fan_in", fan_in)
    if type(fan_out) is not int or fan_out < 0:
        fan_out = _fan("fan_out", fan_out)
    if type(gain) is not float or not gain < math.inf:
        gain = real("gain", gain)
    if gain < 0:
        raise ValueError(f"gain is {gain}; it must not be negative")
    if mode == "fan_avg":
        ratio, fans = 2 * ratio, (fan_in, fan_out)
    elif mode == "fan_in":
        fans = (fan_in, 0)
    elif mode == "fan_out":
        fans = (0, fan_out)
    else:
        raise ValueError(f"mode is {mode!r}; it must be 'fan_avg', 'fan_in' or 'fan_out'")
    with _core.round_to_nearest():
        try:
            quotient = ratio / (fans[0] + fans[1])
        except ZeroDivisionError:
            raise ValueError(
                f"fan_in is {fan_in} and fan_out is {fan_out}: mode {mode!r} divides by their sum, "
                "or by the one it names, which must not be 0"
            ) from None
        except OverflowError:  # an integer beyond the floats beside a float
            quotient = 0.0
        root = math.sqrt(quotient) if quotient > _LEAST_QUOTIENT else _exact_root(ratio, fans)
        scale: float = gain * root / kept_std
    if scale == math.inf:
        raise ValueError(f"gain {gain} with fans of {fans} gives a scale beyond the largest float")
    return scale


_LEAST_QUOTIENT = 1e-290  # below it a quotient is on its way to losing digits


def _exact_root(ratio: int, fans: tuple[Any, Any]) -> float:
    """sqrt(ratio / sum(fans)) for fans whose sum, or its inverse, leaves the floats."""
    fan = sum(map(Fraction, fans), Fraction(0))
    halvings = max(0, fan.numerator.bit_length() - fan.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(ratio * 4**halvings / fan), -halvings)


def glorot_uniform(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_avg"
) -> Uniform:
    """Glorot's uniform law, U[-a, a] with a = gain * sqrt(6 / (fan_in + fan_out)).

    Its variance is gain**2 * 2 / (fan_in + fan_out): the compromise of Glorot & Bengio (2010),
    equation 16, between keeping the variance of activations (`mode` "fan_in") and of
    back-propagated gradients ("fan_out"). The same law as torch's ``xavier_uniform_`` and as
    ``glorot_uniform`` in JAX and Keras; see `uniform_` for parameters and errors.
    """
    bound = _scale(3, fan_in, fan_out, gain, mode)
    return _core.uniform_law(Uniform, -bound, bound)


def glorot_normal(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_avg"
) -> Normal:
    """Glorot's law with a plain normal: std = gain * sqrt(2 / (fan_in + fan_out)).

    The law of torch's ``xavier_normal_``. What JAX and Keras call ``glorot_normal`` is truncated:
    see `glorot_truncated_normal`. See `normal_` for parameters and errors.
    """
    return _core.normal_law(Normal, 0.0, _scale(1, fan_in, fan_out, gain, mode))


def glorot_truncated_normal(
    fan_in: float, fan_out: float, gain: SupportsFloat = 1.0, mode: Mode = "fan_avg"
) -> TruncatedNormal:
    """Glorot's law with a normal cut at two standard deviations of the parent.

    The parent's std is gain * sqrt(2 / (fan_in + fan_out)) / 0.87962566..., so that what is left by
    the cut has the target variance. The law of ``glorot_normal`` in JAX and Keras. See
    `truncated_normal_` for parameters and errors.
    """
    parent_std = _scale(1, fan_in, fan_out, gain, mode, _STANDARD_CUT_STD)
    return _core.rescaled_law(TruncatedNormal, _STANDARD_CUT, 0.0, parent_std)


_STANDARD_CUT = TruncatedNormal(0.0, 1.0)
with _core.round_to_nearest():
    _STANDARD_CUT_STD = _STANDARD_CUT.std
