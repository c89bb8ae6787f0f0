"""Whole models: a mapping from names to arrays, filled by a plan in one parallel region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsIndex

from fastxavier._streams import MODULE_DEFAULT, Seed
from fastxavier.plans._plan import Plan
from fastxavier.plans._prepared import Place, Prepared, Progress
from fastxavier.plans._report import Report

__all__ = ["init_"]


def init_(
    arrays: Mapping[str, Any],
    plan: Plan | str | None = None,
    *,
    seed: Seed = MODULE_DEFAULT,
    threads: SupportsIndex | None = None,
    progress: Progress | bool | None = None,
    places: Mapping[str, Place] | None = None,
    cuda_stream: Any = None,
) -> Report:
    """Fill all tensors of a model in place, each by the initializer that a plan gives to its name.

    A tensor's stream is its name: a tensor keeps its values when others are added, removed or
    reordered, and they are those of ``fill_(array, initializer, seed=seed, stream=name)``. The
    threads start once and share all tensors, so many tensors fill as fast as one array of the same
    bytes. `prepare` is for models that are filled more than once.

    Parameters
    ----------
    arrays : mapping of str to array_like
        Names and arrays, each as `fill_` takes it, or of integers or truth values if the plan has a
        whole constant for it, of at most 2**53 - 1, as for torch's ``num_batches_tracked``. No two
        may share memory. Of a torch module it is ``dict(module.named_parameters())``.
    plan : Plan or str, optional
        Which initializer each tensor gets: a plan, or the name of a preset; by default
        `default_plan`'s, for torch's layout of weights. "gpt2" is for as many blocks as the names
        have, from block 0 on; for the arrays of a part of a model, write ``gpt2_plan(layers=N)``.
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None, optional
        As `fill_` takes it; of `Streams`, and of the module default, only the seed is used.
    threads : int, optional
        At most this many; see `fill_`.
    progress : bool or callable, optional
        A callable is told the fraction that is done, every 20 ms or so and after each structured
        initializer, and at the end 1.0, once; True shows a bar on the terminal, False none. If it
        is not given, more than 4 GiB shows one.
    places : mapping of str to (global_shape, offset), optional
        For arrays that are parts of larger tensors: the shape of the whole tensor and where the
        array begins in it, as `fill_` takes them. Scales come from the whole shape, and the part
        gets exactly the values that a fill of the whole puts there; where they are random, `seed`
        or `manual_seed` must have given a seed. `Orthogonal` and `DeltaOrthogonal` are drawn whole
        and sliced.
    cuda_stream : int or stream, optional
        Where the fills of arrays on a GPU run, all of one GPU; as `fill_` takes it.

    Returns
    -------
    Report
        Name, shape, distribution, expected and measured std of every tensor, rules of the plan that
        initialized none, and the time; prints as a table.

    Raises
    ------
    PlanError
        If no rule of the plan matches a tensor, or its distribution follows from the number of
        blocks of the model and the names leave one out; the error names the tensor.
    TypeError, ValueError
        If an array cannot be filled, as `fill_` raises it, with the tensor's name; if two share
        memory; or if another argument is not valid. No array has been written to then.
    KeyboardInterrupt
        On Ctrl-C, within a tenth of a second, but not during an orthogonal matrix; the arrays are
        then partly filled.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> model = {
    ...     "0.weight": np.empty((256, 784), np.float32), "0.bias": np.empty(256, np.float32),
    ...     "2.weight": np.empty((10, 256), np.float32), "2.bias": np.empty(10, np.float32),
    ... }
    >>> report = fx.init_(model, seed=7)
    >>> [type(tensor.distribution).__name__ for tensor in report.tensors]
    ['Uniform', 'Constant', 'Uniform', 'Constant']
    """
    return Prepared(arrays, plan, places, for_one_fill=True).init_(
        seed=seed, threads=threads, progress=progress, cuda_stream=cuda_stream
    )
