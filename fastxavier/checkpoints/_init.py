"""init_checkpoint: a plan and the names, dtypes and shapes of tensors become a safetensors file."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, SupportsIndex, TypeVar

import numpy as np

from fastxavier import _core
from fastxavier._streams import Seed, model_seed_now
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, shown
from fastxavier.checkpoints._dtypes import COUNTED, DRAWN, exchange_bytes, numpy_dtype
from fastxavier.checkpoints._errors import CheckpointError
from fastxavier.checkpoints._header import PathLike, encoded, laid_out
from fastxavier.checkpoints._like import tensors_and_metadata
from fastxavier.checkpoints._mapping import view_of
from fastxavier.checkpoints._plan import plan_of_files
from fastxavier.checkpoints._writing import target_of, write
from fastxavier.distributions import Constant
from fastxavier.fill import fill_
from fastxavier.initializers import Resolved
from fastxavier.plans import Plan, Report, init_
from fastxavier.plans._depth import plan_of_model
from fastxavier.plans.presets import unused_of_user
from fastxavier.structured import StructuredInitializer

Value = TypeVar("Value")


def init_checkpoint(
    path: PathLike,
    plan: Plan | str,
    like: PathLike | Mapping[str, tuple[Any, Sequence[SupportsIndex]]],
    *,
    seed: Seed,
    skip: str | Sequence[str] = (),
    threads: SupportsIndex | None = None,
    progress: Callable[[float], object] | None = None,
) -> Report:
    """Write a safetensors file of initial weights, which may be larger than memory.

    The file is mapped and `init_` fills it in place. The stream of each tensor is its name, so
    adding, removing or reordering tensors does not change the others. The file appears under its
    name when all of it is on the disk; after an error, a file of that name is as it was before.

    Parameters
    ----------
    path : path-like
        The file to write. An existing file is replaced, whose mode the new one gets; if `path` is a
        link, its target is. Pipes, devices and files with several hard links are refused.
    plan : Plan or str
        The initializer of each tensor, by name; or the name of a preset. "gpt2" is for as many
        blocks as the names of `like` have, also those that `skip` leaves out, and those in the
        index beside a file of several; where they leave a block out, `gpt2_plan` has to be told.
    like : path-like or mapping
        Names, dtypes and shapes: a file that `tensors_like` reads, or a mapping from names to
        (dtype, shape) such as ``("float32", (256, 128))``, with dtypes as in a list, or of NumPy
        or torch.
    seed : int or None
        As for `init_`. The same `plan`, `like` and `seed` give the same bytes; with None the file
        says which seed it got.
    skip : str or sequence of str
        Glob patterns, each of which must match the name of a tensor; these tensors are left out.
    threads, progress
        As for `init_`.

    Returns
    -------
    Report
        That of `init_`, detached: nothing is measured, since the file may change.

    Raises
    ------
    PlanError
        If the plan has no distribution for a tensor, or it follows from the number of blocks of a
        model of which `like` is a part.
    CheckpointError
        If `like` is not valid, or a tensor has a dtype that cannot hold its initial values: F32,
        F64, F16, BF16, F8_E4M3 and F8_E5M2 can be drawn, integers and truth values can be 0 or 1,
        and any other dtype can only be 0.
    ValueError, TypeError
        If an argument is not valid, as in `init_`.
    ImportError
        If a tensor is BF16, F8_E4M3 or F8_E5M2 and ml_dtypes is not installed.
    OSError
        If the file cannot be written. The whole file is allocated before it is filled.

    Notes
    -----
    The data are in the order of safetensors' own writer: by decreasing alignment of their dtypes,
    then by name, after a header padded to 8 bytes.

    The file's metadata, which are strings, say what it was made from:

    ============================= ===============================================================
    ``fastxavier.seed``           the seed; given as `seed`, it makes the same file again (a larger
                                  seed than 2**64 - 1 is here the 64-bit number that stands for it)
    ``fastxavier.plan``           the plan in TOML, for `Plan.from_toml`
    ``fastxavier.stream_version`` version of the values, see `info`
    ``fastxavier.version``        version of this package
    ``format``                    "pt", which loaders such as Transformers ask for
    ============================= ===============================================================

    Any other metadata of `like`, and its ``format``, are copied.

    Examples
    --------
    >>> import fastxavier as fx, tempfile, pathlib
    >>> from fastxavier.checkpoints import init_checkpoint, read_header
    >>> from fastxavier.plans.presets import default_plan
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> like = {"0.weight": ("float32", (256, 128)), "0.bias": ("float32", (256,))}
    >>> _ = init_checkpoint(path, default_plan(), like, seed=7)
    >>> header = read_header(path)
    >>> header.tensors["0.weight"]
    Tensor(dtype='F32', shape=(256, 128), begin=1024, end=132096)
    >>> header.metadata["fastxavier.seed"]
    '7'
    >>> fx.Plan.from_toml(header.metadata["fastxavier.plan"]) == default_plan()
    True
    """
    metadata: Mapping[str, str] = {}
    if isinstance(like, Mapping):
        kinds: Mapping[str, Any] = like
        chosen = plan_of_model(plan, kinds)
    else:
        kinds, metadata = tensors_and_metadata(like)
        chosen = plan_of_files(plan, kinds, [like], [metadata])
    check_skip(skip, kinds)
    tensors = laid_out(without(kinds, skip))
    plan = chosen.plan if chosen.plan.knows_model else chosen.plan.of_model(kinds)
    chosen = replace(chosen, plan=plan)
    distributions = {name: chosen.distribution(name, tensors[name].shape) for name in tensors}
    for name, tensor in tensors.items():
        check_fillable(name, tensor.dtype, tensor.shape, distributions[name])
    key = model_seed_now(seed)
    header = encoded(tensors, {"format": "pt", **metadata, **_made_from(plan, key)})
    size = len(header) + max((tensor.end for tensor in tensors.values()), default=0)
    if size >= 1 << 63:
        raise CheckpointError(f"all tensors together have {size} bytes, more than 2**63")

    def fill(memory: mmap.mmap) -> Report:
        memory[: len(header)] = header
        arrays = {name: view_of(memory, len(header), tensor) for name, tensor in tensors.items()}
        drawn = {name: arrays[name] for name in tensors if tensors[name].dtype in DRAWN}
        ones = [
            arrays[name]
            for name in tensors
            if name not in drawn and distributions[name] == Constant(1.0)
        ]
        for array in ones:  # what is not written is 0
            array.fill(1)
        report = init_(drawn, plan, seed=key, threads=threads, progress=progress).detached()
        for array in (*drawn.values(), *ones):
            exchange_bytes(array)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        return replace(report, _unused=unused_of_user(plan, shapes))

    return write(target_of(Path(path)), size, fill)


def _made_from(plan: Plan, seed: int) -> dict[str, str]:
    """The metadata that say how to make the same values again."""
    return {
        "fastxavier.seed": str(seed),
        "fastxavier.plan": plan.to_toml(),
        "fastxavier.stream_version": str(_core.stream_version),
        "fastxavier.version": _core.version,
    }


def without(tensors: Mapping[str, Value], skip: str | Sequence[str]) -> dict[str, Value]:
    """The tensors whose names match none of the glob patterns."""
    globs = _globs(skip)
    return {
        name: one
        for name, one in tensors.items()
        if not any(fnmatchcase(name, glob) for glob in globs)
    }


def check_skip(skip: str | Sequence[str], names: Collection[str]) -> None:
    """Refuse a glob pattern that matches none of the names: it is misspelled."""
    for glob in _globs(skip):
        if not any(isinstance(name, str) and fnmatchcase(name, glob) for name in names):
            raise ArgumentValueError(
                f"skip has {glob!r}, which matches the name of no tensor", "skip", glob
            )


def _globs(skip: str | Sequence[str]) -> Sequence[str]:
    globs = (skip,) if isinstance(skip, str) else skip
    if not isinstance(globs, Sequence) or not all(isinstance(glob, str) for glob in globs):
        raise ArgumentTypeError(
            f"skip is {shown(skip)}; it must be a glob pattern or a sequence of them", "skip", skip
        )
    return globs


def check_fillable(name: str, dtype: str, shape: tuple[int, ...], distribution: Resolved) -> None:
    """Refuse a dtype that cannot hold a tensor's initial values, before a file is begun."""
    if dtype in DRAWN:
        part = np.empty((0,) * len(shape), numpy_dtype(dtype))
        try:
            if isinstance(distribution, StructuredInitializer):
                distribution.check(part, global_shape=shape)
            else:
                fill_(part, distribution, seed=0)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"tensor {name!r}: {error}") from None
    elif distribution != Constant(0.0) and not (distribution == Constant(1.0) and dtype in COUNTED):
        values = "0 or 1" if dtype in COUNTED else "0"
        raise CheckpointError(
            f"tensor {name!r} has dtype {dtype}, which can only be {values} at first; "
            f"the plan has {distribution}"
        )
