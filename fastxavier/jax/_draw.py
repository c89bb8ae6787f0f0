"""`draw`: a jax array from memory that is filled first, and of a sharded one each shard alone.

The initializers' calls outside of jit end here too, and Keras' on its JAX backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from fastxavier import _core
from fastxavier._dtypes import float_dtype
from fastxavier._streams import Seed, Stream, resolve
from fastxavier.distributions import Distribution
from fastxavier.fill import Shape as ShapeLike
from fastxavier.fill import aligned, checked_shape
from fastxavier.initializers import Initializer, Resolved
from fastxavier.initializers import resolve as resolve_initializer
from fastxavier.jax._import import jax
from fastxavier.jax._shardings import Shape, check_sharding, check_shared
from fastxavier.structured import DeltaOrthogonal, Orthogonal

__all__ = ["Tensor", "draw", "tensor_of"]

Array = np.ndarray[Any, Any]


class Tensor(NamedTuple):
    """What is drawn, but for the seed: hashable, as what jax knows when it compiles must be."""

    shape: Shape
    dtype: np.dtype[Any]
    resolved: Resolved
    stream: int

    def write(
        self,
        memory: Array,
        seed: int,
        offset: Shape | None = None,
        threads: SupportsIndex | None = None,
    ) -> None:
        """Fill an array of NumPy: the whole tensor, or the part that begins at `offset`."""
        key, whole = (seed, self.stream), None if offset is None else self.shape
        if isinstance(self.resolved, Distribution):
            _core.fill(memory, self.resolved, key, whole, offset, threads)
        else:
            self.resolved.write(memory, key, threads, whole, offset)

    def write_each(self, memory: Array, seeds: Array) -> None:
        """Fill an array along whose first axis are as many whole tensors as there are seeds."""
        if isinstance(self.resolved, Distribution):
            _core.fill_each(memory, self.resolved, seeds, self.stream)
            return
        for one, seed in zip(memory, seeds.tolist(), strict=True):
            self.write(one, seed)

    def drawn(self, seed: int, device: Any = None, threads: SupportsIndex | None = None) -> Any:
        """The whole, on a device."""
        memory = aligned(self.shape, self.dtype)
        self.write(memory, seed, threads=threads)
        return jax.device_put(memory, device, may_alias=True)

    def drawn_in_shards(
        self, seed: int, sharding: Any, threads: SupportsIndex | None = None
    ) -> Any:
        """The whole as its sharding has it; shards that are equal are drawn once."""
        parts: dict[tuple[tuple[int, int], ...], Array] = {}
        shards = []
        for device, index in _indices(sharding, self.shape).items():
            ends = zip(index, self.shape, strict=True)
            ranges = tuple([axis.indices(extent)[:2] for axis, extent in ends])
            if ranges not in parts:
                parts[ranges] = self._part(seed, ranges, parts, threads)
            shards.append(jax.device_put(parts[ranges], device, may_alias=True))
        return jax.make_array_from_single_device_arrays(
            self.shape, sharding, shards, dtype=self.dtype
        )

    def _part(self, seed: int, ranges: Any, parts: Any, threads: Any) -> Array:
        memory = aligned(tuple([end - first for first, end in ranges]), self.dtype)
        everything = tuple([(0, extent) for extent in self.shape])
        costs_the_whole = isinstance(self.resolved, (Orthogonal, DeltaOrthogonal))
        if costs_the_whole and ranges != everything:
            if everything not in parts:
                parts[everything] = self._part(seed, everything, parts, threads)
            memory[...] = parts[everything][tuple([slice(*one) for one in ranges])]
        else:
            self.write(memory, seed, tuple([first for first, _ in ranges]), threads)
        return memory


def tensor_of(shape: Any, initializer: Any, dtype: Any, stream: int = 0) -> Tensor:
    """Check what is to be drawn. The axes are JAX's where the initializer does not say."""
    whole = checked_shape(shape)
    kind = float_dtype_of(dtype)
    resolved = resolve_initializer(initializer, whole, "jax")
    nothing = np.empty((0,) * len(whole), kind)
    if isinstance(resolved, Distribution):
        _core.check(nothing, resolved, whole, None, None)
    else:
        resolved._check_shape(whole, "shape")
        resolved.check(nothing, global_shape=whole)
    return Tensor(whole, kind, resolved, stream)


def float_dtype_of(dtype: Any) -> np.dtype[Any]:
    """The dtype that jax makes of one, by default its default float; TypeError for others."""
    given = float if dtype is None else float_dtype(jax.numpy.dtype(dtype)).numpy
    found: np.dtype[Any] = np.dtype(jax.dtypes.canonicalize_dtype(given))
    return found


def draw(
    shape: ShapeLike | SupportsIndex,
    initializer: Initializer | str,
    dtype: Any = None,
    *,
    seed: Seed,
    stream: Stream = None,
    sharding: Any = None,
    threads: SupportsIndex | None = None,
) -> Any:
    """A new jax array, with the bits that `fastxavier.fill_` gives to one of NumPy.

    On the CPU the memory that was filled becomes the array's, without a copy. With a sharding each
    shard is drawn where it is needed: no device and no process draws, holds or sends the whole.

    Parameters
    ----------
    shape : int or sequence of int
        The shape of the whole array.
    initializer : Distribution, VarianceScaling, StructuredInitializer or str
        As for `fastxavier.fill_`. A name is not JAX's: "he_normal" is torch's plain normal, and
        JAX's is "he_truncated_normal". Where it does not say which axes are inputs and outputs,
        they are JAX's, (\\*kernel, in, out). Fans come from the whole shape.
    dtype : data-type, optional
        float32, float64 (if jax has 64 bits switched on), float16, bfloat16, float8_e4m3fn or
        float8_e5m2; by default jax's default float.
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None
        As for `fastxavier.fill_`. All processes that hold a part of the array need the same.
    stream : int or str, optional
        Which tensor: a number below 2**63, or a name; see `fastxavier.fill_`.
    sharding : jax.sharding.Sharding, optional
        Where the array lies, such as a NamedSharding. By default it is on jax's default device.
    threads : int, optional
        As for `fastxavier.fill_`.

    Returns
    -------
    jax.Array
        Of the shape, dtype and sharding.

    Raises
    ------
    TypeError
        If the dtype is not one of those above, the sharding is not one, or as `fastxavier.fill_`
        does.
    ValueError
        If the sharding is not one for this shape, if it reaches other processes and the seed is
        fresh entropy, or as `fastxavier.fill_` does.

    Notes
    -----
    It draws when it is called: inside of ``jax.jit`` use the initializers of this package, whose
    values are not constants of the compiled function.

    A device that is not a CPU gets a copy of what the CPU has drawn, and so the same bits.

    Of `Orthogonal` and `DeltaOrthogonal` every part needs the whole matrix: each process draws it
    once, and takes its shards from it.

    Examples
    --------
    >>> import fastxavier as fx, fastxavier.jax
    >>> w = fastxavier.jax.draw((128, 256), fx.he_normal(), seed=7, stream="fc1.kernel")
    >>> w.shape, w.dtype
    ((128, 256), dtype('float32'))
    """
    tensor = tensor_of(shape, initializer, dtype)
    if sharding is not None:
        check_sharding(sharding, tensor.shape, at_once=True)
    check_shared(seed, sharding)
    key = resolve(seed, stream)
    number, stream_number = key.take() if isinstance(key, _core.Streams) else key
    tensor = tensor._replace(stream=stream_number)
    if sharding is None:
        return tensor.drawn(number, threads=threads)
    return tensor.drawn_in_shards(number, sharding, threads)


def _indices(sharding: Any, shape: Shape) -> Mapping[Any, tuple[slice, ...]]:
    """For each device of this process the part of the array that it holds."""
    found: Mapping[Any, tuple[slice, ...]] = sharding.addressable_devices_indices_map(shape)
    return found
