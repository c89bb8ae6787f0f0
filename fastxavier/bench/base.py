"""The base class of the contestants, and the steps that several of them share."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import metadata
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastxavier import _core
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

Array = NDArray[Any]
Fill = Callable[[], object]

DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
}
DTYPES = ("float32", "float64", "float16", "bfloat16")

SEED = 7
BLOCK = 1 << 15  # values at a time, where a peer needs several passes: they stay in the cache


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of this name.

    Parameters
    ----------
    name : str
        One of `DTYPES`.

    Returns
    -------
    numpy.dtype
        Of bfloat16, ml_dtypes'.

    Raises
    ------
    ImportError
        If it is bfloat16 and ml_dtypes is missing.
    """
    dtype: np.dtype[Any] = np.dtype(
        importlib.import_module("ml_dtypes").bfloat16 if name == "bfloat16" else name
    )
    return dtype


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """One for each number of threads, however many heats there are."""
    return ThreadPoolExecutor(threads)


class Contestant:
    """One way to fill an array, as its own documentation knows it best.

    A subclass offers a distribution by a method of the distribution's name in `DISTRIBUTIONS`, which takes the distribution, the array
    and the number of threads, prepares what can be prepared, and returns the function that fills.

    Attributes
    ----------
    name : str
        Unlike any other's.
    package : str
        What must be installed for it.
    role : {"limit", "ours", "peer"}
        Memory without arithmetic, this package, or another one.
    dtypes : tuple of str
        Those it fills, out of `DTYPES`.
    threads : {"one", "given", "own"}
        Whether it runs on one thread, on as many as it is told, or on a pool of its own that
        nobody can size.
    note : str
        How the values come into the array, where they are not drawn there.
    """

    name: str
    package: str
    role: Literal["limit", "ours", "peer"] = "peer"
    dtypes: tuple[str, ...] = DTYPES
    threads: Literal["one", "given", "own"] = "given"
    note: str = ""

    @property
    def distributions(self) -> tuple[str, ...]:
        """The distributions it offers, out of `DISTRIBUTIONS`."""
        return tuple(name for name in DISTRIBUTIONS if getattr(self, name, None))

    @property
    def version(self) -> str | None:
        """Of its package; None if that is not installed."""
        if self.package == "fastxavier":
            return _core.version
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def filler(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        """The function that fills all of the array with draws of the distribution when it is called.

        Parameters
        ----------
        distribution : Distribution
            One of its `distributions`.
        array : numpy.ndarray
            Contiguous, of one axis and one of its `dtypes`.
        threads : int
            At most this many, where it can be told.

        Returns
        -------
        callable
            Takes nothing.

        Raises
        ------
        ImportError
            If its package is missing.
        """
        name = next(name for name, kind in DISTRIBUTIONS.items() if isinstance(distribution, kind))
        filler: Fill = getattr(self, name)(distribution, array, threads)
        return filler


def by_blocks(array: Array, drawn_in: DTypeLike, draw: Callable[[Array], object]) -> None:
    """Have `draw` fill the array's blocks, or where its dtype is another one, a block to cast."""
    direct = array.dtype == drawn_in
    block = np.empty(0 if direct else min(BLOCK, array.size), drawn_in)
    for first in range(0, array.size, BLOCK):
        part = array[first : first + BLOCK]
        out = part if direct else block[: len(part)]
        draw(out)
        if not direct:
            part[:] = out


def rejecting(draw: Callable[[Array], object], low: float, high: float) -> Callable[[Array], None]:
    """`draw`, where what falls outside [low, high] is drawn again."""

    def within(out: Array) -> None:
        draw(out)
        outside = np.flatnonzero((out < low) | (out > high))
        while outside.size:
            again = np.empty(outside.size, out.dtype)
            draw(again)
            out[outside] = again
            outside = outside[(again < low) | (again > high)]

    return within


def scaled(
    draw: Callable[[Array], object], location: float, scale: float
) -> Callable[[Array], None]:
    """`draw`, times the scale plus the location."""

    def to_scale(out: Array) -> None:
        draw(out)
        out *= out.dtype.type(scale)
        if location:
            out += out.dtype.type(location)

    return to_scale
