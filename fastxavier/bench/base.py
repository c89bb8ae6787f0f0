"""What all implementations share: the base class, and the distributions that are compared.

libraries.py and frameworks.py derive from it; implementations.py lists them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastxavier import _core
from fastxavier._dtypes import FLOATS
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

__all__ = ["DISTRIBUTIONS", "MEMORIES", "Array", "Fill", "Implementation"]

Array = NDArray[Any]
Fill = Callable[[], object]

DISTRIBUTIONS: dict[str, Distribution] = {
    "uniform": Uniform(-0.05, 0.05),
    "normal": Normal(0.0, 0.02),
    "truncated_normal": TruncatedNormal(0.0, 0.02),
}

MEMORIES = ("warm", "fresh")  # one array, filled again and again; a new one for each fill

SEED = 7
BLOCK = 1 << 15  # values per pass where several passes are needed, so that they stay in the cache


class Implementation:
    """One way to fill an array, written as the documentation of its library recommends.

    A subclass has a method for each distribution it offers, called as the distribution is in
    `DISTRIBUTIONS`. The method takes the distribution, the array and the number of threads, does
    the work that need not be timed, and returns the function that fills the array.

    Attributes
    ----------
    name : str
        Unique.
    package : str
        The package that must be installed.
    role : {"memory", "ours", "peer"}
        Writes memory without arithmetic, is this package, or is another library.
    dtypes : tuple of str
        The dtypes it can fill.
    threads : {"one", "given", "own"}
        Whether it runs on one thread, on the number it is given, or on a pool of its own whose
        size cannot be set.
    memories : tuple of str
        Those of `MEMORIES` in which it is timed.
    note : str
        How the values get into the array, if they are not drawn in place.
    """

    name: str
    package: str
    role: Literal["memory", "ours", "peer"] = "peer"
    dtypes: tuple[str, ...] = tuple(FLOATS)
    threads: Literal["one", "given", "own"] = "given"
    memories: tuple[str, ...] = MEMORIES
    note: str = ""

    @property
    def distributions(self) -> tuple[str, ...]:
        """Names of the distributions it offers."""
        return tuple(name for name in DISTRIBUTIONS if getattr(self, name, None))

    @property
    def version(self) -> str | None:
        """Version of the package; None if it is not installed."""
        from importlib import metadata

        if self.package == "fastxavier":
            return _core.version
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def empty(self, count: int, dtype: DTypeLike) -> Array:
        """A new array, in memory as the library's users get it."""
        return np.empty(count, dtype)

    def filler(self, distribution: Distribution, array: Array, threads: int) -> Fill:
        """Prepare a fill.

        Parameters
        ----------
        distribution : Distribution
            Of one of the kinds in `distributions`.
        array : numpy.ndarray
            One-dimensional and contiguous, of one of `dtypes`.
        threads : int
            Number of threads, if it can be set.

        Returns
        -------
        callable
            Fills the whole array with draws; takes no argument.

        Raises
        ------
        ImportError
            If the package is missing.
        """
        kind = type(distribution)
        name = next(name for name, one in DISTRIBUTIONS.items() if type(one) is kind)
        filler: Fill = getattr(self, name)(distribution, array, threads)
        return filler
