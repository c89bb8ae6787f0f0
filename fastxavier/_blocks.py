"""Tensors that are drawn block by block because the whole is too large: dask.py and zarr.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastxavier import _core
from fastxavier._validation import ArgumentValueError
from fastxavier.distributions import Distribution
from fastxavier.fill import aligned
from fastxavier.initializers import Resolved, resolve
from fastxavier.structured import StructuredInitializer

__all__ = ["Blocks", "checked"]

Array: TypeAlias = "np.ndarray[Any, Any]"
Shape: TypeAlias = tuple[int, ...]


def checked(initializer: Any, shape: Shape, dtype: np.dtype[Any], argument: str) -> Resolved:
    """What is left to be drawn of an initializer, once a whole tensor of the shape can be.

    `argument` is what holds the shape, for the message. Errors are those of `draw`.
    """
    if math.prod(shape) > 1 << 62:
        raise ArgumentValueError(
            f"a tensor of shape {shape} has more than 2**62 elements, the indices of a stream",
            argument,
            shape,
        )
    resolved = resolve(initializer, shape)
    if isinstance(resolved, StructuredInitializer):
        resolved._check_shape(shape, argument)
        reach = resolved._reach()
    else:
        reach = resolved
    _core.check(np.empty((0,) * len(shape), dtype), reach, shape, None, None)
    return resolved


@dataclass(frozen=True)
class Blocks:
    """A whole tensor that is not in memory: each block of it can be drawn, here or elsewhere.

    Small enough to be sent with every task. What it holds has been checked.
    """

    shape: Shape
    dtype: np.dtype[Any]
    initializer: Resolved
    seed: int
    stream: int

    def draw(self, place: tuple[slice, ...], threads: Any = 1) -> Array:
        """The block at a place; by one thread, since the caller draws a block on each core."""
        block = aligned(tuple(axis.stop - axis.start for axis in place), self.dtype)
        offset = tuple(axis.start for axis in place)
        key = self.seed, self.stream
        if isinstance(self.initializer, Distribution):
            _core.fill(block, self.initializer, key, self.shape, offset, threads)
        else:
            self.initializer.write(block, key, threads, self.shape, offset)
        return block
