"""`draw`: a jax array from memory that is filled first, and of a sharded one each shard alone.

The initializers' calls outside of jit end in `drawn`, and so does Keras' layout hook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np

from fastxavier import _core
from fastxavier import fill as _fill
from fastxavier._dtypes import float_dtype
from fastxavier._streams import Seed, Stream, is_shared, resolve
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, shown
from fastxavier.distributions import Distribution
from fastxavier.initializers import Initializer, Resolved
from fastxavier.initializers import resolve as resolve_initializer
from fastxavier.jax._import import jax

__all__ = ["draw", "drawn", "float_dtype_of", "write"]

Shape = tuple[int, ...]
Key = tuple[int, int]


def draw(
    shape: _fill.Shape | SupportsIndex,
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
        As for `fastxavier.fill_`. Where it does not say which axes are inputs and outputs, they are
        JAX's, (\\*kernel, in, out). Fans come from the whole shape.
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
    A device that is not a CPU gets a copy of what the CPU has drawn, and so the same bits.

    Of `Orthogonal` and `DeltaOrthogonal` each shard needs the whole matrix, which is drawn and
    decomposed once for each different shard: see their notes.

    Examples
    --------
    >>> import fastxavier as fx, fastxavier.jax
    >>> w = fastxavier.jax.draw((128, 256), fx.he_normal(), seed=7, stream="fc1.kernel")
    >>> w.shape, w.dtype
    ((128, 256), dtype('float32'))
    """
    whole = _fill._checked_shape(shape)
    kind = float_dtype_of(dtype)
    resolved = resolve_initializer(initializer, whole, "jax")
    indices = None if sharding is None else _indices(sharding, whole)
    if sharding is not None and not sharding.is_fully_addressable and not is_shared(seed):
        raise ArgumentValueError(
            f"seed is {shown(seed)}, and each process would draw its own; give all processes the "
            "same seed, such as seed=7",
            "seed",
            seed,
        )
    check(whole, kind, resolved)
    key = resolve(seed, stream)
    number = key.take() if isinstance(key, _core.Streams) else key
    return drawn(whole, resolved, kind, number, sharding, indices, threads)


def drawn(
    shape: Shape,
    resolved: Resolved,
    dtype: np.dtype[Any],
    key: Key,
    sharding: Any = None,
    indices: Mapping[Any, tuple[slice, ...]] | None = None,
    threads: SupportsIndex | None = None,
) -> Any:
    """The array, of what has been checked. `key` is seed and stream, as 64-bit numbers."""
    if sharding is None:
        memory = _fill._aligned(shape, dtype)
        write(memory, resolved, key, threads=threads)
        return jax.device_put(memory, may_alias=True)
    if indices is None:
        indices = _indices(sharding, shape)
    parts: dict[tuple[Shape, Shape], np.ndarray[Any, Any]] = {}
    shards = []
    for device, index in indices.items():
        offset = tuple(axis.start or 0 for axis in index)
        ends = tuple(
            extent if axis.stop is None else axis.stop
            for axis, extent in zip(index, shape, strict=True)
        )
        if (offset, ends) not in parts:
            extents = tuple(end - start for start, end in zip(offset, ends, strict=True))
            parts[offset, ends] = part = _fill._aligned(extents, dtype)
            write(part, resolved, key, shape, offset, threads)
        shards.append(jax.device_put(parts[offset, ends], device, may_alias=True))
    return jax.make_array_from_single_device_arrays(shape, sharding, shards, dtype=dtype)


def write(
    memory: np.ndarray[Any, Any],
    resolved: Resolved,
    key: Key,
    global_shape: Shape | None = None,
    offset: Shape | None = None,
    threads: SupportsIndex | None = None,
) -> None:
    """Fill an array of NumPy, or the part of a tensor that it is."""
    if isinstance(resolved, Distribution):
        _core.fill(memory, resolved, key, global_shape, offset, threads)
    else:
        resolved.write(memory, key, threads, global_shape, offset)


def check(shape: Shape, dtype: np.dtype[Any], resolved: Resolved) -> None:
    """Raise what drawing would raise, before a seed is taken or a value drawn."""
    nothing = np.empty((0,) * len(shape), dtype)
    if isinstance(resolved, Distribution):
        _core.check(nothing, resolved, shape, None, None)
    else:
        resolved.check(nothing, global_shape=shape)


def float_dtype_of(dtype: Any) -> np.dtype[Any]:
    """The dtype that jax makes of one, by default its default float; TypeError for others."""
    given = float if dtype is None else float_dtype(jax.numpy.dtype(dtype)).numpy
    found: np.dtype[Any] = np.dtype(jax.dtypes.canonicalize_dtype(given))
    return found


def _indices(sharding: Any, shape: Shape) -> Mapping[Any, tuple[slice, ...]]:
    """For each device of this process the part of the array that it holds."""
    if not isinstance(sharding, jax.sharding.Sharding):
        raise ArgumentTypeError(
            f"sharding is {shown(sharding)}, {a_type(sharding)}; it must be a "
            "jax.sharding.Sharding, such as NamedSharding(mesh, PartitionSpec('x'))",
            "sharding",
            sharding,
        )
    try:
        sharding.shard_shape(shape)
        found: Mapping[Any, tuple[slice, ...]] = sharding.addressable_devices_indices_map(shape)
    except Exception as error:
        raise ArgumentValueError(
            f"sharding is {shown(sharding)}, not one for shape {shape}: {error}",
            "sharding",
            sharding,
        ) from None
    return found
