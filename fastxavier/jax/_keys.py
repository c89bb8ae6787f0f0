"""From a key of jax to a seed: two 32-bit words, the same outside of jit and inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, shown
from fastxavier.jax._import import jax

__all__ = ["seed_words", "words_of_key"]


def words_of_key(key: Any) -> Any:
    """The high and the low half of the seed that a key stands for.

    The two words of a Threefry key are the seed as they are, so ``jax.random.key(7)`` is seed 7.
    Of a longer key, each following pair of words is hashed with Threefry, with what there is so
    far as the key: keys that differ in one pair have different seeds.
    """
    data = _data_of(key)
    if data.shape == (2,):
        return data
    if data.shape[0] % 2:
        data = jax.numpy.concatenate([np.zeros(1, np.uint32), data])
    words = data[:2]
    for first in range(2, data.shape[0], 2):
        words = jax.extend.random.threefry_2x32((words[0], words[1]), data[first : first + 2])
    return words


def seed_words(seed: int) -> np.ndarray[Any, Any]:
    """The same of a seed, a 64-bit number."""
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


def _data_of(key: Any) -> Any:
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        one, data = key.shape == (), jax.random.key_data(key) if key.shape == () else None
    elif dtype == np.uint32:
        one, data = key.ndim == 1 and key.size > 0, key
    else:
        raise ArgumentTypeError(
            f"key is {shown(key)}, {a_type(key)}; it must be a key of jax.random, such as "
            "jax.random.key(7)",
            "key",
            key,
        )
    if not one:
        raise ArgumentValueError(
            f"key has shape {key.shape}; it must be one key. For several, jax.vmap the call",
            "key",
            key,
        )
    return data
