"""Shardings: which part of an array a device holds, and what `out_sharding` means.

The other modules ask.
"""

from __future__ import annotations

import math
from typing import Any

from fastxavier._streams import is_shared
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, shown
from fastxavier.jax._import import jax

__all__ = [
    "Shape",
    "check_sharding",
    "check_shared",
    "is_local",
    "local_shape",
    "named_sharding",
    "names_in",
    "nothing_is_traced",
    "padded",
    "places",
]

Shape = tuple[int, ...]

with jax.core.eval_context():
    _AT_ONCE = jax.extend.core.get_opaque_trace_state()  # while nothing is traced


def nothing_is_traced() -> bool:
    """Whether operations of jax are run where they stand."""
    return bool(jax.extend.core.get_opaque_trace_state() == _AT_ONCE)


def check_sharding(
    sharding: Any, shape: Shape, argument: str = "sharding", at_once: bool = False
) -> None:
    """Raise unless it is a sharding for the shape; of devices, for what is drawn at once."""
    if not isinstance(sharding, jax.sharding.Sharding):
        raise ArgumentTypeError(
            f"{argument} is {shown(sharding)}, {a_type(sharding)}; it must be a "
            "jax.sharding.Sharding, such as NamedSharding(mesh, PartitionSpec('x'))",
            argument,
            sharding,
        )
    mesh = getattr(sharding, "mesh", None)
    if isinstance(mesh, jax.sharding.AbstractMesh) and (at_once or nothing_is_traced()):
        raise ArgumentValueError(
            f"{argument} is {shown(sharding)}, whose mesh has no devices; outside of jax.jit it "
            "must have a Mesh, such as jax.make_mesh makes",
            argument,
            sharding,
        )
    try:
        sharding.shard_shape(shape)
    except Exception as error:
        raise ArgumentValueError(
            f"{argument} is {shown(sharding)}, not one for shape {shape}: {error}",
            argument,
            sharding,
        ) from None


def check_shared(seed: Any, sharding: Any) -> None:
    """Raise if the array reaches other processes, and each of them would draw its own seed."""
    if is_shared(seed):
        return
    if nothing_is_traced():
        reaches = sharding is not None and not sharding.is_fully_addressable
    else:
        reaches = jax.process_count() > 1  # for jit may place it anywhere
    if reaches:
        raise ArgumentValueError(
            f"seed is {shown(seed)}, and each process would draw its own; give all processes the "
            "same seed, such as seed=7",
            "seed",
            seed,
        )


def named_sharding(out_sharding: Any, shape: Shape, argument: str = "out_sharding") -> Any:
    """What a call's `out_sharding` means, as a NamedSharding that is one for the shape; or None."""
    if out_sharding is None:
        return None
    found = out_sharding
    if isinstance(out_sharding, jax.sharding.PartitionSpec):
        mesh = jax.sharding.get_mesh() if nothing_is_traced() else jax.sharding.get_abstract_mesh()
        if mesh.empty:
            raise ArgumentValueError(
                f"{argument} is {shown(out_sharding)} without a mesh; enter one with "
                "jax.set_mesh, or give a NamedSharding",
                argument,
                out_sharding,
            )
        try:
            found = jax.sharding.NamedSharding(mesh, out_sharding)
        except Exception as error:
            raise ArgumentValueError(
                f"{argument} is {shown(out_sharding)}, not one for {mesh}: {error}",
                argument,
                out_sharding,
            ) from None
    elif not isinstance(out_sharding, jax.sharding.NamedSharding):
        raise ArgumentTypeError(
            f"{argument} is {shown(out_sharding)}; it must be a NamedSharding or a PartitionSpec",
            argument,
            out_sharding,
        )
    if is_local(found):
        _check_cuts(out_sharding, shape, found, argument)
    else:
        check_sharding(found, shape, argument)
    return found


def _check_cuts(out_sharding: Any, shape: Shape, found: Any, argument: str) -> None:
    """As `check_sharding`, inside of shard_map, where jax does not say it."""
    axes = len(shape)
    spec = padded(found.spec, axes)
    parts = [_parts(one, found.mesh) for one in spec]
    if len(spec) > axes or any(extent % count for extent, count in zip(shape, parts, strict=False)):
        raise ArgumentValueError(
            f"{argument} is {shown(out_sharding)}, which does not cut shape {shape} into equal "
            f"parts: it asks for {parts} along its axes",
            argument,
            out_sharding,
        )


def is_local(sharding: Any) -> bool:
    """Whether this is the code of one device, inside of shard_map over the axes that cut."""
    manual = set(jax.sharding.get_abstract_mesh().manual_axes)
    return bool(manual) and manual >= {name for one in sharding.spec for name in names_in(one)}


def local_shape(shape: Shape, spec: tuple[Any, ...], mesh: Any) -> Shape:
    """The shape of a shard."""
    ends = zip(shape, spec, strict=True)
    return tuple([extent // _parts(one, mesh) for extent, one in ends])


def _parts(entry: Any, mesh: Any) -> int:
    """How many parts one entry of a PartitionSpec makes."""
    return math.prod([mesh.shape[name] for name in names_in(entry)])


def names_in(entry: Any) -> tuple[str, ...]:
    """The axes of the mesh in one entry of a PartitionSpec."""
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


def padded(spec: Any, axes: int) -> tuple[Any, ...]:
    """A PartitionSpec with an entry for each axis."""
    return (*spec, *[None] * (axes - len(spec)))


def places(sharding: Any, shape: Shape) -> tuple[Shape, dict[Any, list[int]]]:
    """The shape of a shard, and for each device how many shards lie before its own on each axis.

    It is asked for a shape that it divides, since here it need not divide the one that is drawn.
    """
    even = (len(sharding.device_set),) * len(shape)
    shard = sharding.shard_shape(even)
    cuts = [extent // part for extent, part in zip(even, shard, strict=True)]
    extents = tuple([-(-extent // parts) for extent, parts in zip(shape, cuts, strict=True)])
    return extents, {
        device: [(axis.start or 0) // part for axis, part in zip(index, shard, strict=True)]
        for device, index in sharding.devices_indices_map(even).items()
    }
