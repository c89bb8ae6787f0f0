"""Where the local part of a DTensor lies in the whole tensor. Arithmetic of meshes and placements.

_model.py and `fill_` ask `blocks_of`; no process is asked, and no tensor gathered.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastxavier._validation import ArgumentValueError

__all__ = ["Block", "blocks_of", "is_dtensor", "local_of", "made_by_fsdp"]

Runs = list[tuple[int, int]]
"""Pieces of an axis, each where it begins in the whole axis and how long it is."""


class Block(NamedTuple):
    """A piece of the local tensor, and the place of its first element in the whole tensor."""

    tensor: Any
    offset: tuple[int, ...]


def is_dtensor(tensor: Any) -> bool:
    """Whether it is a DTensor. torch.distributed is not imported to find that out."""
    return hasattr(tensor, "_local_tensor") and hasattr(tensor, "placements")


def local_of(tensor: Any) -> Any:
    """The tensor that holds this process's values: of a DTensor its local one."""
    return tensor._local_tensor if is_dtensor(tensor) else tensor


def made_by_fsdp(module: Any) -> set[int]:
    """The ids of the parameters that fully_shard has sharded: it cuts its own mesh axis last."""
    found: set[int] = set()
    for one in module.modules():
        state = getattr(one, "_get_fsdp_state", None)
        if state is None:
            continue
        groups = getattr(state(), "_fsdp_param_groups", None)
        if groups is None:
            group = getattr(state(), "_fsdp_param_group", None)
            groups = [] if group is None else [group]
        for group in groups:
            found |= {id(each.sharded_param) for each in group.fsdp_params}
    return found


def blocks_of(tensor: Any, by_fsdp: bool | None = None) -> list[Block]:
    """The pieces of the local tensor, each of which is one block of the whole tensor.

    Parameters
    ----------
    tensor : torch.Tensor
        A DTensor; of any other tensor the whole is its one block.
    by_fsdp : bool, optional
        Whether fully_shard has made it. It cuts the axis of data parallelism last, while
        ``distribute_tensor`` cuts from left to right; where the sizes do not divide, the same
        placements mean two layouts.

    Returns
    -------
    list of Block
        None for a shard without elements; more than one where its rows have gaps.

    Raises
    ------
    ValueError
        If the tensor is a partial sum, this process is not in its mesh, or it cannot be known
        where its values lie.
    """
    if not is_dtensor(tensor):
        return [Block(tensor, (0,) * tensor.dim())] if tensor.numel() else []
    local, mesh, placements = tensor._local_tensor, tensor.device_mesh, tuple(tensor.placements)
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        raise ArgumentValueError(
            "array is a DTensor on a mesh that this process is not part of; fill it on the "
            "processes that are",
            "array",
            tensor,
        )
    if any(placement.is_partial() for placement in placements):
        raise ArgumentValueError(
            f"array is a DTensor with placements {placements}; of a partial sum there is no "
            "value to fill, redistribute it first",
            "array",
            tensor,
        )
    shape, extents = tuple(tensor.shape), tuple(local.shape)
    found = [
        axes
        for axes in _readings(tensor._spec, placements, shape, coordinate, by_fsdp)
        if tuple(sum(length for _, length in runs) for runs in axes) == extents
        or (not local.numel() and any(not runs for runs in axes))
    ]
    if not found:
        raise ArgumentValueError(
            f"array is a DTensor of shape {shape} with placements {placements} on a mesh of "
            f"shape {tuple(mesh.shape)}, whose local part of shape {extents} is not what these "
            "placements give; nothing says where it lies",
            "array",
            tensor,
        )
    if any(axes != found[0] for axes in found):
        raise ArgumentValueError(
            f"array is a DTensor of shape {shape} with placements {placements}, which has "
            "two readings where sizes do not divide: fully_shard cuts its own axis of the mesh "
            "last, distribute_tensor cuts from left to right. Give the whole module to "
            "fastxavier.torch.init_, which knows who made it, or say fsdp=True or fsdp=False",
            "array",
            tensor,
        )
    return _cut(local, found[0])


def _readings(
    spec: Any,
    placements: tuple[Any, ...],
    shape: Sequence[int],
    coordinate: Sequence[int],
    by_fsdp: bool | None,
) -> list[list[Runs]]:
    """The runs of each axis, by each reading that is possible."""
    cuts = list(zip(map(int, spec.mesh.shape), coordinate, strict=True))
    if not any(hasattr(placement, "split_factor") for placement in placements):
        order = getattr(spec, "shard_order", None)
        return [_in_order(_by_axis(order, placements), shape, cuts)]
    found = []
    if by_fsdp is not False:
        order = _decoded(spec, placements)
        if order is not None:
            found.append(_in_order(_by_axis(order, placements), shape, cuts))
    if not (by_fsdp and found):
        found.append(_left_to_right(placements, shape, cuts))
    return found


def _decoded(spec: Any, placements: tuple[Any, ...]) -> Any:
    """The order in which a strided shard was cut, as torch decodes it; None if it does not."""
    try:
        return type(spec)._normalize_placements_into_shard_order(placements, spec.mesh)[1]
    except Exception as error:
        if type(error).__name__ != "_StridedShardNotDecodableError":
            raise
        return None


def _by_axis(order: Any, placements: tuple[Any, ...]) -> dict[int, list[int]]:
    """For each axis of the tensor those of the mesh that cut it, in the order of cutting."""
    if order:
        return {entry.tensor_dim: list(entry.mesh_dims) for entry in order}
    found: dict[int, list[int]] = {}
    for number, placement in enumerate(placements):
        if hasattr(placement, "dim"):
            found.setdefault(placement.dim, []).append(number)
    return found


def _chunk(length: int, parts: int, index: int) -> tuple[int, int]:
    """Where the chunk of this index begins and how long it is, as ``torch.chunk`` cuts."""
    size = -(-length // parts)
    first = min(size * index, length)
    return first, min(size, length - first)


def _in_order(
    by_axis: dict[int, list[int]], shape: Sequence[int], cuts: Sequence[tuple[int, int]]
) -> list[Runs]:
    """One run for each axis: a chunk of the axis, then a chunk of that, and so on.

    `cuts` has for each axis of the mesh its extent and this process's place on it.
    """
    axes = []
    for axis, extent in enumerate(shape):
        start, length = 0, extent
        for number in by_axis.get(axis, ()):
            first, length = _chunk(length, *cuts[number])
            start += first
        axes.append([(start, length)] if length else [])
    return axes


def _left_to_right(
    placements: Sequence[Any], shape: Sequence[int], cuts: Sequence[tuple[int, int]]
) -> list[Runs]:
    """The runs that are left when the mesh's axes cut one after the other."""
    axes: list[Runs] = [[(0, extent)] if extent else [] for extent in shape]
    for number, placement in enumerate(placements):
        if not hasattr(placement, "dim"):
            continue
        runs = axes[placement.dim]
        length = sum(one for _, one in runs)
        taken: Runs = []
        pieces = int(getattr(placement, "split_factor", 1))
        for piece in range(pieces):
            start, extent = _chunk(length, pieces, piece)
            first, extent = _chunk(extent, *cuts[number])
            taken += _part(runs, start + first, extent)
        axes[placement.dim] = _joined(taken)
    return axes


def _part(runs: Runs, first: int, length: int) -> Runs:
    """A piece of an axis that consists of runs."""
    found = []
    for start, extent in runs:
        skipped = min(first, extent)
        taken = min(extent - skipped, length)
        if taken > 0:
            found.append((start + skipped, taken))
        first, length = first - skipped, length - max(taken, 0)
    return found


def _joined(runs: Runs) -> Runs:
    """The same with runs that follow one another made one."""
    found: Runs = []
    for start, length in runs:
        if found and sum(found[-1]) == start:
            found[-1] = found[-1][0], found[-1][1] + length
        else:
            found.append((start, length))
    return found


def _cut(local: Any, axes: list[Runs]) -> list[Block]:
    """The local tensor in blocks: each has one run of each axis."""
    if all(len(runs) == 1 for runs in axes):
        return [Block(local, tuple(runs[0][0] for runs in axes))]
    pieces = []
    for runs in axes:
        ends = list(itertools.accumulate(length for _, length in runs))
        pieces.append(
            [(start, end - length, length) for (start, length), end in zip(runs, ends, strict=True)]
        )
    blocks = []
    for chosen in itertools.product(*pieces):
        piece = local
        for axis, (_, first, length) in enumerate(chosen):
            piece = piece.narrow(axis, first, length)
        blocks.append(Block(piece, tuple(start for start, _, _ in chosen)))
    return blocks
