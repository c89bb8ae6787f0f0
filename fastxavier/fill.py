"""In-place filling: a distribution, or a Glorot scheme that yields one, into an array."""

from __future__ import annotations

from typing import Any, SupportsFloat, SupportsIndex, TypeVar

from fastxavier import _core
from fastxavier.distributions import Distribution
from fastxavier.schemes import Mode, glorot_normal, glorot_truncated_normal, glorot_uniform
from fastxavier.streams import MODULE_DEFAULT, _integer, _ModuleDefault, resolve

__all__ = ["fill_", "normal_", "truncated_normal_", "uniform_"]

Array = TypeVar("Array")


def fill_(
    array: Array,
    distribution: Distribution,
    *,
    seed: SupportsIndex | _ModuleDefault | None = MODULE_DEFAULT,
    stream: SupportsIndex | str | None = None,
    global_shape: Any = None,
    offset: Any = None,
    threads: SupportsIndex | None = None,
) -> Array:
    if not isinstance(distribution, Distribution):
        raise TypeError(
            f"distribution is {distribution!r}; it must be a Uniform, Normal or TruncatedNormal"
        )
    if threads is not None:
        threads = _integer("threads", threads, "an integer from 1 up, or None")
        if not 1 <= threads < 1 << 31:
            raise ValueError(f"threads is {threads}; it must be an integer from 1 up, or None")
    _core.fill(array, distribution, resolve(seed, stream), global_shape, offset, threads)
    return array


def uniform_(
    array: Array,
    fan_in: float,
    fan_out: float,
    gain: SupportsFloat = 1.0,
    *,
    mode: Mode = "fan_avg",
    **placement: Any,
) -> Array:
    return fill_(array, glorot_uniform(fan_in, fan_out, gain, mode), **placement)


def normal_(
    array: Array,
    fan_in: float,
    fan_out: float,
    gain: SupportsFloat = 1.0,
    *,
    mode: Mode = "fan_avg",
    **placement: Any,
) -> Array:
    return fill_(array, glorot_normal(fan_in, fan_out, gain, mode), **placement)


def truncated_normal_(
    array: Array,
    fan_in: float,
    fan_out: float,
    gain: SupportsFloat = 1.0,
    *,
    mode: Mode = "fan_avg",
    **placement: Any,
) -> Array:
    return fill_(array, glorot_truncated_normal(fan_in, fan_out, gain, mode), **placement)
