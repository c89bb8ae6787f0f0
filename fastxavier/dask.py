"""dask: arrays whose chunks are drawn when they are asked for, each from its place.

Users call `random`; xarray wraps what it returns.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from fastxavier import _core
from fastxavier._blocks import Blocks, checked
from fastxavier._dtypes import dtype_named
from fastxavier._streams import MODULE_DEFAULT, Seed, Stream, resolve
from fastxavier._validation import ArgumentValueError, shown
from fastxavier.fill import checked_shape
from fastxavier.initializers import Initializer
from fastxavier.structured import StructuredInitializer

__all__ = ["random"]

try:
    da: Any = importlib.import_module("dask.array")
    tokenize: Any = importlib.import_module("dask.base").tokenize
    ArraySliceDep: Any = importlib.import_module("dask.layers").ArraySliceDep
except ImportError as error:
    raise ImportError(
        'fastxavier.dask needs dask: pip install "fastxavier[dask]"', name="dask"
    ) from error


def random(
    distribution: Initializer | str,
    shape: Any,
    chunks: Any = "auto",
    dtype: Any = np.float32,
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
) -> Any:
    """A dask array of random values, the same whatever its chunks.

    It computes to ``draw(shape, distribution, dtype=dtype, seed=seed, stream=stream)``, and each of
    its chunks to that part of it: any chunks, scheduler and number of workers give the same bits.
    (Those of ``dask.array.random`` depend on the chunks.) A chunk is one task without inputs, which
    draws as many values as it has, with one thread, since dask runs a task on each core.

    Each chunk of `Sparse` draws the numbers of its whole columns, and takes memory and time for
    them. The values of `Orthogonal` and `DeltaOrthogonal` come from LAPACK: elsewhere, or with
    other threads, their last digits may differ ("What is not guaranteed", in the documentation).

    Parameters
    ----------
    distribution : Distribution, VarianceScaling, StructuredInitializer or str
        As for `fill_`. Fans are taken from the whole shape, in torch's layout unless the
        initializer says another. `Orthogonal` and `DeltaOrthogonal`, which are drawn whole, need an
        array of one chunk.
    shape : int or sequence of int
        The array's shape.
    chunks : int, tuple, dict or str, default "auto"
        The same as in ``dask.array.zeros``.
    dtype : data-type, default float32
        As for `draw`.
    seed, stream
        As for `fill_`. They are resolved here, once: with ``seed=None`` the array has a seed that
        nobody knows, and the same values each time it is computed.

    Returns
    -------
    dask.array.Array
        Of NumPy arrays. Equal arguments give an array of the same name if `seed` is a number. The
        default and `Streams` take the next stream for each array, and so another name.

    Raises
    ------
    TypeError, ValueError
        As `draw` does, or if the chunks do not fit. No stream of the seed has been taken then.

    Examples
    --------
    >>> import fastxavier as fx, fastxavier.dask
    >>> x = fastxavier.dask.random(fx.he_normal(), (1000, 500), 200, seed=7, stream="fc1.weight")
    >>> x.shape, x.dtype, x.numblocks
    ((1000, 500), dtype('float32'), (5, 3))
    >>> w = fx.draw((1000, 500), fx.he_normal(), seed=7, stream="fc1.weight")
    >>> bool((x[150:250, 3].compute() == w[150:250, 3]).all())
    True
    """
    shape, dtype = checked_shape(shape), dtype_named(dtype)
    initializer = checked(distribution, shape, dtype, "shape")
    extents = _checked_chunks(chunks, shape, dtype)
    if isinstance(initializer, StructuredInitializer) and not initializer.by_parts:
        _check_one_chunk(initializer, chunks, extents)
    key = resolve(seed, stream)
    numbers = key.take() if isinstance(key, _core.Streams) else key
    blocks = Blocks(shape, dtype, initializer, *numbers)
    axes = tuple(range(len(shape)))
    token = tokenize(repr(blocks), extents, _core.stream_version)
    return da.blockwise(
        blocks.draw,
        axes,
        ArraySliceDep(extents),
        axes,
        align_arrays=False,
        name=f"fastxavier-{token}",
        dtype=dtype,
        meta=np.empty((0,) * len(shape), dtype),
    )


def _checked_chunks(chunks: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """The extents of all chunks, axis by axis; dask's errors name the argument."""
    try:
        found = da.core.normalize_chunks(chunks, shape, dtype=dtype)
        if [sum(axis) for axis in found] == list(shape) and min(map(min, found), default=0) >= 0:
            return found
        problem = f"its extents, {found}, do not add up"
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        problem = str(error)
    raise ArgumentValueError(
        f"chunks is {shown(chunks)}, which dask does not take for the shape {shape}: {problem}",
        "chunks",
        chunks,
    )


def _check_one_chunk(initializer: StructuredInitializer, chunks: Any, extents: Any) -> None:
    if any(len(axis) > 1 for axis in extents):
        raise ArgumentValueError(
            f"chunks is {shown(chunks)} for {initializer!r}, each chunk of which needs the whole "
            "array; give chunks=-1, and rechunk the array if smaller chunks are wanted",
            "chunks",
            chunks,
        )
