"""Seeds and streams: from what a caller gives to the two 64-bit numbers that key every value."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final, SupportsIndex, TypeAlias

import numpy as np

from fastxavier import _core
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, integer, shown

__all__ = [
    "Key",
    "Seed",
    "Stream",
    "Streams",
    "is_shared",
    "manual_seed",
    "model_seed",
    "model_seed_now",
    "resolve",
    "seed_number",
    "stream_number",
]

Key: TypeAlias = "tuple[int, int] | _core.Streams"


class ModuleDefault:
    """What `seed` is when it is not given; None, by contrast, asks for fresh entropy."""

    def __repr__(self) -> str:
        return "<module default>"


MODULE_DEFAULT: Final = ModuleDefault()


class Streams(_core.Streams):
    """A seed whose numbered streams are taken one after the other: a local `manual_seed`.

    Each fill with ``seed=streams`` and without ``stream=`` takes the next stream, from 0 on, once
    all its arguments are accepted. So a sequence of unnamed tensors gets different values from one
    seed. A fill with ``stream=`` uses the seed alone and takes no stream.

    Parameters
    ----------
    seed : int, numpy.random.Generator, RandomState, SeedSequence or None, default None
        As for `seed_number`.

    Raises
    ------
    TypeError, ValueError
        As `seed_number` does.

    Notes
    -----
    Threads may share one: no stream is taken twice, but which thread takes which stream is then a
    matter of chance. Name the streams where that matters.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> rng = fx.Streams(seed=7)
    >>> first = fx.draw((2, 3), fx.he_normal(), seed=rng)
    >>> second = fx.draw((2, 3), fx.he_normal(), seed=rng)
    >>> bool((second == fx.draw((2, 3), fx.he_normal(), seed=7, stream=1)).all())
    True
    """

    def __init__(self, seed: Any = None) -> None:
        super().__init__(seed_number(seed))

    def __repr__(self) -> str:
        return f"Streams(seed={self.seed})"


Seed: TypeAlias = (
    "SupportsIndex | np.random.Generator | np.random.RandomState | np.random.SeedSequence | Streams"
    " | ModuleDefault | None"
)
Stream: TypeAlias = "SupportsIndex | str | None"


# ---- numbers -------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _named(name: str) -> int:
    return _hashed(name.encode()) | 1 << 63


@cache
def _blake2b() -> Any:
    from hashlib import blake2b  # milliseconds, of which a program without names needs none

    return blake2b


def _hashed(data: bytes) -> int:
    return int.from_bytes(_blake2b()(data, digest_size=8).digest(), "little")


def _drawer(seed: Any) -> Callable[[], int] | None:
    """How a 64-bit seed is drawn from NumPy's own sources of randomness; None for anything else."""
    if isinstance(seed, np.random.Generator):
        return lambda: int(seed.integers(1 << 64, dtype=np.uint64))
    if isinstance(seed, np.random.RandomState):
        return lambda: int(seed.randint(1 << 64, dtype=np.uint64))
    if isinstance(seed, np.random.SeedSequence):
        return lambda: int(seed.spawn(1)[0].generate_state(1, np.uint64)[0])
    return None


def seed_number(seed: Any) -> int:
    """The 64-bit number that a seed stands for.

    Parameters
    ----------
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None
        An integer from 0 up: itself below 2**64, hashed by BLAKE2b beyond. A NumPy source of
        randomness gives one 64-bit draw (a SeedSequence spawns one child), so that successive calls
        differ and the source's own seed governs. `Streams` have a seed already. None gives a
        random one.

    Returns
    -------
    int
        From 0 to 2**64 - 1.

    Raises
    ------
    TypeError
        If `seed` is anything else; True and False are not integers here.
    ValueError
        If `seed` is negative.

    Examples
    --------
    >>> from fastxavier import seed_number
    >>> seed_number(7), seed_number(2**64)
    (7, 6511609917832525668)
    """
    if type(seed) is int and 0 <= seed < 1 << 64:
        return seed
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    draw = _drawer(seed)
    if draw is not None:
        return draw()
    if isinstance(seed, _core.Streams):
        return seed.seed
    if not hasattr(seed, "__index__"):
        raise _not_a_seed(seed)
    number = integer("seed", seed, otherwise="or None")
    if number >> 64:
        return _hashed(number.to_bytes((number.bit_length() + 7) // 8, "little"))
    return number


def _not_a_seed(seed: Any) -> ArgumentTypeError:
    """The error for what is not a seed, with what to write where that is known."""
    instead = ""
    if seed is np.random:
        instead = "; write seed=int(numpy.random.randint(2**63))"
    elif isinstance(seed, np.random.BitGenerator):
        instead = "; write seed=numpy.random.Generator(seed)"
    elif hasattr(seed, "initial_seed"):  # torch's
        instead = "; make rng = Streams(generator.initial_seed()) once, and write seed=rng"
    elif hasattr(seed, "integers"):
        instead = "; write seed=int(rng.integers(2**63))"
    elif hasattr(seed, "getrandbits"):
        instead = "; write seed=rng.getrandbits(64)"
    return ArgumentTypeError(
        f"seed is {shown(seed)}, {a_type(seed)}; it must be an integer from 0 up, a NumPy "
        f"Generator, RandomState or SeedSequence, Streams or None{instead}",
        "seed",
        seed,
    )


def stream_number(stream: SupportsIndex | str) -> int:
    """The 64-bit number of a stream.

    Parameters
    ----------
    stream : int or str
        An integer below 2**63, which is its own number, or a name: the first 8 bytes of its BLAKE2b
        hash with bit 63 set, so that a name never meets a number.

    Returns
    -------
    int
        From 0 to 2**64 - 1.

    Raises
    ------
    TypeError, ValueError
        If `stream` is neither.

    Examples
    --------
    >>> from fastxavier import stream_number
    >>> stream_number(3), hex(stream_number("layers.0.weight"))
    (3, '0xbe163d53ecc2c30c')
    """
    if type(stream) is int and 0 <= stream < 1 << 63:
        return stream
    if isinstance(stream, str):
        try:
            return _named(stream)
        except UnicodeEncodeError:
            raise ArgumentValueError(
                f"stream is {shown(stream)}, which UTF-8 cannot write", "stream", stream
            ) from None
    return integer("stream", stream, most=(1 << 63) - 1, otherwise="or a name")


# ---- the module default --------------------------------------------------------------------------

_default = Streams()
_seeded = False  # by manual_seed, rather than by entropy


def _after_fork_in_child() -> None:
    if not _seeded:
        _default.restart(seed_number(None))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def manual_seed(seed: Any) -> None:
    """Seed the module default and start its streams again from 0.

    Every call without ``seed=`` and ``stream=`` takes the next stream of the module default: the
    first after ``manual_seed(s)`` draws what ``seed=s, stream=0`` draws, the second what
    ``seed=s, stream=1`` draws, and so on. Until it is first called, the module default is seeded
    with entropy from the operating system. `Streams` is the same as a local object.

    Parameters
    ----------
    seed : int, numpy.random.Generator, RandomState, SeedSequence or None
        As for `seed_number`. None takes fresh entropy.

    Raises
    ------
    TypeError, ValueError
        As `seed_number` does.

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


class _Drawn(_core.Streams):
    """A NumPy source of randomness: asked for a seed once a fill is sure, and only then."""

    draw: Callable[[], int]
    number: int

    def take(self) -> tuple[int, int]:
        return self.draw(), self.number


def resolve(seed: Any, stream: Any) -> Key:
    """The key of a fill, or the streams to take one of once all its arguments are accepted."""
    if isinstance(seed, ModuleDefault):
        seed = _default
    elif type(seed) is int:
        return seed_number(seed), 0 if stream is None else stream_number(stream)
    if isinstance(seed, _core.Streams):
        return seed if stream is None else (seed.seed, stream_number(stream))
    number = 0 if stream is None else stream_number(stream)
    draw = _drawer(seed)
    if draw is None:
        return seed_number(seed), number
    drawn = _Drawn(0)
    drawn.draw, drawn.number = draw, number
    return drawn


def is_shared(seed: Any) -> bool:
    """Whether other processes can draw from this seed too: not if it is fresh entropy."""
    return _seeded if isinstance(seed, ModuleDefault) else seed is not None


def model_seed(seed: Any) -> int | Callable[[], int]:
    """The seed of a whole model, whose streams are its tensors' names, or how it is drawn."""
    if isinstance(seed, ModuleDefault):
        return _default.seed
    if isinstance(seed, _core.Streams):
        return seed.seed
    return _drawer(seed) or seed_number(seed)


def model_seed_now(seed: Any) -> int:
    """The seed of a whole model, drawn by this call."""
    source = model_seed(seed)
    return source() if callable(source) else source
