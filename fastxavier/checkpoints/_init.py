"""init_checkpoint: a plan and the names, dtypes and shapes of tensors become a safetensors file."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import SupportsIndex, TypeVar

import numpy as np

from fastxavier.checkpoints._dtypes import COUNTED, DRAWN, Kind, exchange_bytes, numpy_dtype
from fastxavier.checkpoints._errors import CheckpointError
from fastxavier.checkpoints._header import PathLike, encoded, laid_out
from fastxavier.checkpoints._like import tensors_and_metadata
from fastxavier.checkpoints._mapping import view_of
from fastxavier.checkpoints._writing import target_of, write
from fastxavier.distributions import Constant
from fastxavier.fill import Seed, fill_
from fastxavier.plans import AnyDistribution, Plan
from fastxavier.plans._init import Report, init_
from fastxavier.structured import Structure

Of = TypeVar("Of")


def init_checkpoint(
    path: PathLike,
    plan: Plan,
    like: PathLike | Mapping[str, Kind],
    *,
    seed: Seed,
    skip: str | Sequence[str] = (),
    threads: SupportsIndex | None = None,
    progress: Callable[[float], object] | None = None,
) -> Report:
    """Make a safetensors file of freshly drawn tensors, larger than memory if need be.

    The file is mapped and filled in place by `init_`: each tensor's stream is its name, so
    tensors that come, go or move change no other one. It appears under its name at once and
    whole, when all of it is on the disk; whatever happens before leaves what stood there.

    Parameters
    ----------
    path : path-like
        The file to make; one that is there is replaced. Where it is a link, the file that it leads
        to is.
    plan : Plan
        Which distribution each tensor starts by.
    like : path-like or mapping
        Names, dtypes and shapes: a file as `tensors_like` reads it, whose metadata is taken over
        too, or a mapping from names to (dtype, shape).
    skip : str or sequence of str
        A glob, or several: tensors so named are left out.
    seed, threads, progress
        As of `init_`.

    Returns
    -------
    Report
        That of `init_`, detached: nothing is measured, since the file may change.

    Raises
    ------
    PlanError
        If the plan has no distribution for a tensor.
    CheckpointError
        If `like` is not valid, or a tensor's dtype cannot be drawn: F32, F64, F16 and BF16 can,
        and any other starts at 0, integers and truth values also at 1.
    ValueError, TypeError
        As `init_` does.
    ImportError
        If a tensor is BF16 and ml_dtypes is not there.
    OSError
        If the file cannot be written; room for all of it is reserved before any of it is filled.

    Notes
    -----
    Tensors lie as safetensors' own writer lays them: by falling alignment of their dtypes, then by
    name, under a header padded to 8 bytes.

    Examples
    --------
    >>> import fastxavier as fx, tempfile, pathlib
    >>> from fastxavier.checkpoints import init_checkpoint, read_header
    >>> from fastxavier.plans.presets import default_plan
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> like = {"0.weight": ("F32", (256, 128)), "0.bias": ("F32", (256,))}
    >>> _ = init_checkpoint(path, default_plan(), like, seed=7)
    >>> read_header(path).tensors["0.weight"]
    Tensor(dtype='F32', shape=(256, 128), begin=1024, end=132096)
    """
    kinds, metadata = (like, {}) if isinstance(like, Mapping) else tensors_and_metadata(like)
    tensors = laid_out(without(kinds, skip))
    distributions = {name: plan.distribution(name, tensors[name].shape) for name in tensors}
    for name, tensor in tensors.items():
        check_fillable(name, tensor.dtype, distributions[name])
    header = encoded(tensors, metadata)
    size = len(header) + max((tensor.end for tensor in tensors.values()), default=0)
    if size >= 1 << 63:
        raise CheckpointError(f"all tensors take {size} bytes, beyond 2**63")

    def fill(memory: mmap.mmap) -> Report:
        memory[: len(header)] = header
        arrays = {name: view_of(memory, len(header), tensor) for name, tensor in tensors.items()}
        drawn = {name: arrays[name] for name in tensors if tensors[name].dtype in DRAWN}
        ones = [
            arrays[n] for n in arrays.keys() - drawn.keys() if distributions[n] == Constant(1.0)
        ]
        for array in ones:
            array.fill(1)
        report = init_(drawn, plan, seed=seed, threads=threads, progress=progress).detached()
        for array in (*drawn.values(), *ones):
            exchange_bytes(array)
        return report

    return write(target_of(Path(path)), size, fill)


def without(tensors: Mapping[str, Of], skip: str | Sequence[str]) -> dict[str, Of]:
    """The tensors whose names match none of the globs."""
    globs = (skip,) if isinstance(skip, str) else skip
    return {
        name: one
        for name, one in tensors.items()
        if not any(fnmatchcase(name, glob) for glob in globs)
    }


def check_fillable(name: str, dtype: str, distribution: AnyDistribution) -> None:
    """Refuse what could not be filled, before a file is begun."""
    if dtype in DRAWN:
        reach = distribution._reach() if isinstance(distribution, Structure) else distribution
        try:
            fill_(np.empty(0, numpy_dtype(dtype)), reach, seed=0)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"tensor {name!r}: {error}") from None
    elif distribution != Constant(0.0) and not (distribution == Constant(1.0) and dtype in COUNTED):
        start = "at 0 or 1" if dtype in COUNTED else "at 0"
        raise CheckpointError(
            f"tensor {name!r} has dtype {dtype}, which can only start {start}; the plan has {distribution}"
        )
