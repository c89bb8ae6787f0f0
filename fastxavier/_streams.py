"""Seeds and streams: from what a caller writes to the two 64-bit numbers that key every value."""

from __future__ import annotations

import operator
import os
from functools import cache, lru_cache
from typing import Any, Final, SupportsIndex

from fastxavier import _core

__all__ = ["manual_seed"]

Key = tuple[int, int]


class ModuleDefault:
    """What `seed` is when it is not given; None, by contrast, asks for fresh entropy."""

    def __repr__(self) -> str:
        return "<module default>"


MODULE_DEFAULT: Final = ModuleDefault()


@lru_cache(maxsize=1 << 16)
def _named(name: str) -> int:
    return _hashed(name.encode()) | 1 << 63


@cache
def _blake2b() -> Any:
    from hashlib import blake2b  # milliseconds, of which a program without names needs none

    return blake2b


def _hashed(data: bytes) -> int:
    return int.from_bytes(_blake2b()(data, digest_size=8).digest(), "little")


def _integer(name: str, value: Any, otherwise: str) -> int:
    kind = type(value).__name__
    if isinstance(value, bool) or kind == "bool":  # NumPy's truth values are no bool
        raise TypeError(f"{name} is {value!r}, a truth value; it must be {otherwise}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, a {kind}; it must be {otherwise}") from None
    if number < 0:
        raise ValueError(f"{name} is {number}; it must be {otherwise}, not negative")
    return number


def seed_number(seed: SupportsIndex | None) -> int:
    """The 64-bit seed: itself below 2**64, hashed beyond, fresh entropy for None."""
    if type(seed) is int and 0 <= seed < 1 << 64:
        return seed
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    number = _integer("seed", seed, "an integer or None")
    if number >> 64:
        return _hashed(number.to_bytes((number.bit_length() + 7) // 8, "little"))
    return number


def stream_number(stream: SupportsIndex | str) -> int:
    """The 64-bit stream: a number below 2**63 itself; a name hashed, with bit 63 set."""
    if type(stream) is int and 0 <= stream < 1 << 63:
        return stream
    if isinstance(stream, str):
        return _named(stream)
    number = _integer("stream", stream, "an integer below 2**63 or a name")
    if number >> 63:
        raise ValueError(f"stream is {number}; it must be an integer below 2**63 or a name")
    return number


_default = _core.Streams(seed_number(None))
_seeded = False  # by manual_seed, rather than by entropy


def _after_fork_in_child() -> None:
    if not _seeded:
        _default.restart(seed_number(None))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def manual_seed(seed: SupportsIndex | None) -> None:
    """Seed the module default and start its streams again from 0.

    Every call without ``seed=`` and ``stream=`` takes the next stream of the module default: the
    first after ``manual_seed(s)`` draws what ``seed=s, stream=0`` draws, the second what
    ``seed=s, stream=1`` draws, and so on. Until it is first called, the module default is seeded
    with entropy from the operating system.

    Parameters
    ----------
    seed : int or None
        Any integer from 0 up; one of more than 64 bits is hashed, never truncated. None takes
        fresh entropy.

    Raises
    ------
    TypeError
        If `seed` is no integer (a truth value is none).
    ValueError
        If `seed` is negative.

    Notes
    -----
    Threads share the module default and no stream is handed out twice, but which of them takes
    which stream is then a matter of chance: name the streams where that matters. A forked child
    goes on with the seed set here and the same next stream as its parent; one whose seed was
    entropy takes fresh entropy.
    """
    global _seeded
    _default.restart(seed_number(seed))
    _seeded = seed is not None


def resolve(
    seed: SupportsIndex | ModuleDefault | None, stream: SupportsIndex | str | None
) -> Key | _core.Streams:
    """The key of a fill, or the streams to take one of once the fill is sure."""
    if isinstance(seed, ModuleDefault):
        return _default if stream is None else (_default.seed, stream_number(stream))
    return seed_number(seed), 0 if stream is None else stream_number(stream)
