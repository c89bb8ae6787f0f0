"""Drawing inside of compiled functions: XLA's custom call, which the C core handles.

The initializers' calls come here with the two words of a seed, and go on at once if nothing is
being traced. What is traced is a primitive that draws a part of a tensor, or many, one for each
seed; jit with shardings asks which parts its devices need.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from fastxavier import _core
from fastxavier.distributions import Distribution
from fastxavier.fill import aligned
from fastxavier.jax._draw import Tensor
from fastxavier.jax._import import jax
from fastxavier.jax._shardings import (
    Shape,
    is_local,
    local_shape,
    names_in,
    nothing_is_traced,
    padded,
    places,
)

__all__ = ["drawn", "full"]

_TARGET = "fastxavier_fill"
jax.ffi.register_ffi_target(_TARGET, _core.xla_handler(), platform="cpu")


def drawn(tensor: Tensor, words: Any, sharding: Any = None) -> Any:
    """The tensor of a seed, at once or as an operation of the function that is being traced.

    `words` are those of `words_of_key`, or several along leading axes, each of which gets its own.
    """
    if nothing_is_traced() and not isinstance(words, jax.core.Tracer):
        if sharding is None:
            return _drawn_now(tensor, words)
        return tensor.drawn_in_shards(seed_of(np.asarray(words)), sharding)
    words = jax.numpy.asarray(words)
    if sharding is None:
        return _whole(tensor)(words)
    if not isinstance(sharding, jax.sharding.NamedSharding):
        return jax.lax.with_sharding_constraint(_whole(tensor)(words), sharding)
    spec = padded(sharding.spec, len(tensor.shape))
    part = partial(_local, tensor=tensor, spec=spec, mesh=sharding.mesh)
    return part(words) if is_local(sharding) else _on_each_device(part, sharding.mesh, spec)(words)


def full(shape: Shape, value: Any, dtype: Any, sharding: Any = None) -> Any:
    """The same value everywhere, or an array that is broadcast, by jax, which has every dtype."""
    if sharding is None:
        return jax.numpy.full(shape, value, dtype)
    if nothing_is_traced():
        if np.ndim(value) > 0:
            return jax.device_put(jax.numpy.full(shape, value, dtype), sharding)
        return jax.numpy.full(shape, value, dtype, device=sharding)
    if not isinstance(sharding, jax.sharding.NamedSharding):
        return jax.lax.with_sharding_constraint(jax.numpy.full(shape, value, dtype), sharding)
    spec = padded(sharding.spec, len(shape))
    extents = local_shape(shape, spec, sharding.mesh)

    def part() -> Any:
        if np.ndim(value) == 0:
            return jax.numpy.full(extents, value, dtype)
        before = zip(_parts_before(spec), extents, strict=True)
        first = [parts * extent for parts, extent in before]
        return jax.lax.dynamic_slice(jax.numpy.full(shape, value, dtype), first, extents)

    return part() if is_local(sharding) else _on_each_device(part, sharding.mesh, spec)()


def _on_each_device(part: Any, mesh: Any, spec: tuple[Any, ...]) -> Any:
    """The whole, whose parts a function makes, each on its device."""
    specs = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(*spec)
    return jax.shard_map(part, mesh=mesh, in_specs=specs[0], out_specs=specs[1], check_vma=False)


def seed_of(words: Any) -> int:
    """The number that two words are."""
    return int(words[0]) << 32 | int(words[1])


def _drawn_now(tensor: Tensor, words: Any) -> Any:
    """Of concrete words; on the devices of these, if they have been put there."""
    device = None
    if getattr(words, "committed", False):
        (device,) = words.devices() if len(words.devices()) == 1 else (_beside(tensor, words),)
    numbers = np.asarray(words)
    if numbers.ndim == 1:
        return tensor.drawn(seed_of(numbers), device)
    seeds = (numbers[..., 0].astype(np.uint64) << np.uint64(32)) | numbers[..., 1]
    memory = aligned((*seeds.shape, *tensor.shape), tensor.dtype)
    tensor.write_each(memory.reshape(seeds.size, *tensor.shape), seeds.ravel())
    return jax.device_put(memory, device, may_alias=True)


def _beside(tensor: Tensor, words: Any) -> Any:
    """The sharding that keeps the axes before the words as they are, and cuts no other."""
    if not isinstance(words.sharding, jax.sharding.NamedSharding):
        return None
    lanes = padded(words.sharding.spec, words.ndim)[:-1]
    spec = jax.sharding.PartitionSpec(*lanes, *(None for _ in tensor.shape))
    return jax.sharding.NamedSharding(words.sharding.mesh, spec)


# ---- parts ---------------------------------------------------------------------------------------


def _parts_now(words: Any, tensor: Tensor, extents: Shape) -> np.ndarray[Any, Any]:
    """For each row of words the part of a tensor; what the primitive does where nothing is traced.

    Words are the seed's, and for each axis how many parts lie before this one.
    """
    numbers = np.asarray(words)
    lanes = numbers.shape[:-1]
    memory = aligned((*lanes, *extents), tensor.dtype)
    for lane in np.ndindex(lanes):
        row = numbers[lane]
        before = zip(row[2:], extents, strict=True)
        offset = tuple([int(parts) * extent for parts, extent in before])
        tensor.write(memory[(*lane, ...)], seed_of(row), offset)
    return memory


_part_p = jax.extend.core.Primitive("fastxavier_part")
_part_p.def_impl(lambda words, **what: jax.device_put(_parts_now(words, **what), may_alias=True))


def _part_type(words: Any, *, tensor: Tensor, extents: Shape) -> Any:
    lanes = words.shape[:-1]
    spec = [*words.sharding.spec[: len(lanes)], *(None for _ in extents)]
    return words.update(
        shape=(*lanes, *extents),
        dtype=tensor.dtype,
        weak_type=False,
        sharding=words.sharding.update(spec=jax.sharding.PartitionSpec(*spec)),
    )


_part_p.def_abstract_eval(_part_type)


def _part_of_many(arguments: Any, axes: Any, **what: Any) -> Any:
    """Under vmap: another axis of seeds."""
    words = jax.numpy.moveaxis(arguments[0], axes[0], 0)
    return _part_p.bind(words, **what), 0


jax.interpreters.batching.primitive_batchers[_part_p] = _part_of_many


def _lowered_for_cpu(context: Any, words: Any, *, tensor: Tensor, extents: Shape) -> Any:
    attributes = {
        "global_shape": np.array(tensor.shape, np.int64),
        "kind": np.array([_core.XLA_KINDS[type(tensor.resolved).__name__]], np.int64),
        "parameters": np.array(_parameters(tensor.resolved), np.float64),
        "stream": np.array([tensor.stream], np.uint64).view(np.int64),
    }
    return jax.ffi.ffi_lowering(_TARGET)(context, words, **attributes)


def _parameters(resolved: Any) -> tuple[float, ...]:
    """The numbers of a distribution, as the handler takes them."""
    return (*resolved._parameters, *resolved._truncation)


def _lowered_elsewhere(context: Any, words: Any, *, tensor: Tensor, extents: Shape) -> Any:
    raise NotImplementedError(
        "fastxavier draws inside of jax.jit on CPUs only; call the initializer outside of jit, or "
        "fastxavier.jax.draw with a sharding: what the CPU has drawn is then put on the device"
    )


jax.interpreters.mlir.register_lowering(_part_p, _lowered_elsewhere)
jax.interpreters.mlir.register_lowering(_part_p, _lowered_for_cpu, platform="cpu")


def _part(words: Any, tensor: Tensor, extents: Shape) -> Any:
    """A part for each row of words, while something is traced."""
    if isinstance(tensor.resolved, Distribution):
        return _part_p.bind(words, tensor=tensor, extents=extents)
    lanes = words.shape[:-1]
    kind = jax.ShapeDtypeStruct((*lanes, *extents), tensor.dtype)
    called = partial(_parts_now, tensor=tensor, extents=extents)
    return jax.pure_callback(called, kind, words, vmap_method="expand_dims")


def _placed(words: Any, before: list[Any]) -> Any:
    """The words of a seed followed by a place, the same for each of the seeds."""
    numbers = [jax.numpy.asarray(parts, np.uint32) for parts in before]
    shape = (*words.shape[:-1], 1)
    rows = [jax.numpy.broadcast_to(number, shape) for number in numbers]
    return jax.numpy.concatenate([words, *rows], -1)


def _parts_before(spec: tuple[Any, ...]) -> list[Any]:
    """For each axis how many parts lie before this device's, whose place the mesh's names give."""
    return [jax.lax.axis_index(names) if (names := names_in(one)) else 0 for one in spec]


def _local(words: Any, tensor: Tensor, spec: tuple[Any, ...], mesh: Any) -> Any:
    """This device's part."""
    return _part(_placed(words, _parts_before(spec)), tensor, local_shape(tensor.shape, spec, mesh))


# ---- the whole, of which jit may want shards -----------------------------------------------------


@lru_cache(maxsize=1024)
def _whole(tensor: Tensor) -> Any:
    """The function of words that is traced."""

    def whole(words: Any) -> Any:
        def all_of_it(words: Any) -> Any:
            return _part(_placed(words, [0] * len(tensor.shape)), tensor, tensor.shape)

        if not isinstance(tensor.resolved, Distribution):
            return all_of_it(words)
        return _partitioned(tensor, all_of_it, words.ndim - 1)(words)

    def whole_of_many(size: int, batched: list[bool], words: Any) -> Any:
        return drawn(tensor, words), True

    traced = jax.custom_batching.custom_vmap(whole)
    traced.def_vmap(whole_of_many)
    return traced


def _partitioned(tensor: Tensor, all_of_it: Any, lanes: int) -> Any:
    """The function for XLA's partitioner, which chooses the shards: each device draws its own."""
    partitioned = jax.experimental.custom_partitioning.custom_partitioning(all_of_it)
    lane_names = [f"l{number}" for number in range(lanes)]
    axis_names = [f"a{number}" for number in range(len(tensor.shape))]

    def partition(mesh: Any, arguments: Any, result: Any) -> Any:
        extents, before = places(result.sharding, result.shape)
        devices = jax.sharding.Mesh(np.array(list(before)), ("device",))
        table = np.array(list(before.values()), np.uint32)[:, lanes:]

        def part(words: Any) -> Any:
            row = jax.numpy.asarray(table)[jax.lax.axis_index("device")]
            return _part(_placed(words, list(row)), tensor, extents[lanes:])

        return devices, part, result.sharding, (arguments[0].sharding,)

    def infer_sharding_from_operands(mesh: Any, arguments: Any, result: Any) -> Any:
        spec = padded(arguments[0].sharding.spec, lanes + 1)[:-1]
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))

    partitioned.def_partition(
        partition,
        infer_sharding_from_operands=infer_sharding_from_operands,
        sharding_rule=f"{' '.join([*lane_names, 'w'])} -> {' '.join([*lane_names, *axis_names])}",
        need_replication_factors=("w",),
    )
    return partitioned
