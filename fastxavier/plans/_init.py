"""Whole models: a mapping from names to arrays, filled by a plan in one parallel region.

Knows no rule and no scheme: the plan says what distribution a tensor has, its name is its stream.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np

from fastxavier import _core
from fastxavier._console import columns, progress_bar
from fastxavier._streams import MODULE_DEFAULT, resolve, stream_number
from fastxavier.distributions import Constant, Distribution
from fastxavier.fill import Seed
from fastxavier.plans import Plan
from fastxavier.plans.presets import default_plan
from fastxavier.structured import Structure

__all__ = ["Filled", "Report", "init_"]

Progress = Callable[[float], object]

LONG_WORK = 1 << 32  # bytes from which a bar is shown without being asked for


AnyDistribution = Distribution | Structure
Array = np.ndarray[Any, Any]
Target = _core.Target | Array  # the latter of integers
Tensor = tuple[str, Any, Any, int]  # name, target, distribution, stream


@dataclass(frozen=True)
class Filled:
    """One tensor of a report: its `name`, `shape`, `dtype` and `distribution`, and what stands in it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    distribution: AnyDistribution
    _view: Array | None = field(default=None, repr=False, compare=False)

    @property
    def target_std(self) -> float | None:
        """The standard deviation of the distribution; None of a structure, which has none."""
        return self.distribution.std if isinstance(self.distribution, Distribution) else None

    @cached_property
    def measured_std(self) -> float | None:
        """That of the values, measured when it is first asked for; None in a detached report."""
        return None if self._view is None else _std(self._view)


@dataclass(frozen=True)
class Report:
    """What `init_` did: `tensors`, each a `Filled`, the `seed`, `seconds` and `nbytes`.

    Prints as a table. It keeps the arrays alive, and measures them when it is printed or a
    `measured_std` is asked for, not before: that takes far longer than filling them.
    """

    seed: int
    seconds: float
    nbytes: int
    _tensors: tuple[Tensor, ...] = field(repr=False, compare=False)

    @cached_property
    def tensors(self) -> tuple[Filled, ...]:
        """The tensors, in the order of the mapping."""
        return tuple(
            [_filled(name, target, distribution) for name, target, distribution, _ in self._tensors]
        )

    def detached(self) -> Report:
        """The same without the arrays: for memory that will not stay, such as a file's."""
        report = replace(self, _tensors=())
        report.__dict__["tensors"] = tuple([replace(one, _view=None) for one in self.tensors])
        return report

    def asdict(self) -> dict[str, Any]:
        """The same as a dictionary of plain values."""
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "nbytes": self.nbytes,
            "tensors": [
                {
                    "name": tensor.name,
                    "shape": list(tensor.shape),
                    "dtype": tensor.dtype,
                    "distribution": repr(tensor.distribution),
                    "target_std": tensor.target_std,
                    "measured_std": tensor.measured_std,
                }
                for tensor in self.tensors
            ],
        }

    @property
    def summary(self) -> str:
        """One line: how many tensors, how much, how fast, from which seed."""
        speed = f", {self.nbytes / self.seconds / 1e9:.1f} GB/s" if self.seconds > 0 else ""
        return (
            f"{len(self.tensors)} tensors, {self.nbytes / 1e6:,.1f} MB in "
            f"{self.seconds * 1e3:,.1f} ms{speed}, seed {self.seed}"
        )

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The table's rows; their columns are `HEAD`."""
        return [
            (
                tensor.name,
                "x".join(map(str, tensor.shape)) or "scalar",
                tensor.dtype,
                _shown(tensor.distribution),
                "" if tensor.target_std is None else f"{tensor.target_std:.6g}",
                "" if tensor.measured_std is None else f"{tensor.measured_std:.6g}",
            )
            for tensor in self.tensors
        ]

    def __str__(self) -> str:
        return "\n".join([*columns(HEAD, self.rows), self.summary])


HEAD = ("tensor", "shape", "dtype", "distribution", "target std", "std now")


def init_(
    arrays: Mapping[str, Any],
    plan: Plan | None = None,
    *,
    seed: Seed = MODULE_DEFAULT,
    threads: SupportsIndex | None = None,
    progress: Progress | bool | None = None,
) -> Report:
    """Fill all tensors of a model in place, each by the distribution that a plan gives to its name.

    A tensor's stream is its name: a tensor keeps its values when others are added, removed or
    reordered, and they are those of ``fill_(array, distribution, seed=seed, stream=name)``. The threads
    start once and share all tensors. Setting up a tensor takes some 1 us, its name's first use
    another, so those of 100 KiB and more fill as fast as one array of the same bytes.

    Parameters
    ----------
    arrays : mapping of str to array_like
        Names and arrays, each as `fill_` takes it, or of integers or truth values if the plan has a
        whole constant for it, as for torch's ``num_batches_tracked``. No two may share memory.
    plan : Plan, optional
        Which distribution each tensor gets; by default `default_plan`'s, for torch's layout of weights.
    seed : int or None, optional
        As `fill_` takes it; if it is not given, the module default's (of which no stream is taken).
    threads : int, optional
        At most this many; see `fill_`.
    progress : bool or callable, optional
        A callable is told the part that is done, from 0 to 1, every 20 ms or so; True shows a bar
        on the terminal, False none. If it is not given, work on more than 4 GiB shows one. Of a
        structure it is told when that is done.

    Returns
    -------
    Report
        Name, shape, distribution, target and measured std of every tensor, and the time; prints as a table.

    Raises
    ------
    PlanError
        If no rule of the plan matches a tensor; the error names it.
    TypeError, ValueError
        If an array cannot be filled, as `fill_` raises it, with the tensor's name; if two share
        memory; if `arrays`, `plan` or `progress` is none. No array has been written to then.
    KeyboardInterrupt
        On Ctrl-C, within a tenth of a second, but not in the midst of an orthogonal matrix; the
        arrays are then partly filled.

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
    plan = default_plan() if plan is None else plan
    _check_arguments(arrays, plan, progress)
    names = list(arrays)
    streams = [stream_number(_name(name)) for name in names]
    targets = [_target(name, arrays[name]) for name in names]
    distributions = [
        plan.distribution(name, target.shape) for name, target in zip(names, targets, strict=True)
    ]
    tensors: tuple[Tensor, ...] = tuple(zip(names, targets, distributions, streams, strict=True))
    drawn: list[Tensor] = []
    formed: list[Tensor] = []
    whole: list[Tensor] = []
    for one in tensors:
        drawer = drawn if isinstance(one[2], Distribution) else formed
        (drawer if isinstance(one[1], _core.Target) else whole).append(one)
    for name, array, distribution, _ in whole:
        _check_whole(name, array, distribution)
    for name, target, structure, _ in formed:
        _check_form(name, target, structure, threads)
    _core.check_disjoint([*drawn, *formed])
    key, _ = resolve(seed, 0)  # type: ignore[misc]
    nbytes = sum([target.nbytes for target in targets])

    start = time.perf_counter()
    with _watched(progress, nbytes) as tell:
        done = sum([one[1].nbytes for one in drawn])
        _core.fill_all(drawn, key, threads, tell and (lambda part: tell(part * done / nbytes)))
        for _, array, distribution, _ in whole:
            array[...] = distribution.mean
        for _, target, structure, stream in formed:
            structure.write(target.numpy(), (key, stream), threads)
            done += target.nbytes
            if tell:
                tell(done / nbytes)
    seconds = time.perf_counter() - start
    return Report(key, seconds, nbytes, tensors)


def _check_arguments(arrays: Any, plan: Any, progress: Any) -> None:
    if not isinstance(arrays, Mapping):
        raise TypeError(f"arrays is a {type(arrays).__name__}; it must map names to arrays")
    if not isinstance(plan, Plan):
        raise TypeError(f"plan is {plan!r}; it must be a Plan, such as default_plan()")
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress is {progress!r}; it must be a function, True, False or None")


def _shown(distribution: AnyDistribution) -> str:
    if isinstance(distribution, Structure):
        return repr(distribution)
    return f"{type(distribution).__name__}({', '.join(f'{v:.6g}' for v in distribution._arguments().values())})"


def _filled(name: str, target: Target, distribution: AnyDistribution) -> Filled:
    if isinstance(target, _core.Target):
        return Filled(name, target.shape, target.dtype, distribution, target.numpy())
    return Filled(name, target.shape, target.dtype.name, distribution, target)


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"arrays has the key {name!r}; each must be a tensor's name, a string")
    return name


def _target(name: str, array: Any) -> Target:
    """Where the tensor's values go; an error names it."""
    try:
        return _core.target_of(array)
    except (TypeError, ValueError, BufferError) as error:
        integers = _integers(array)
        if integers is not None:
            return integers
        raise type(error)(f"tensor {name!r}: {error}") from None


def _integers(array: Any) -> Array | None:
    """The array as NumPy's, if it holds integers or truth values and can be written to."""
    if not isinstance(array, np.ndarray):
        if not hasattr(array, "__dlpack__"):
            return None
        try:
            array = np.from_dlpack(array)
        except (TypeError, ValueError, BufferError, RuntimeError):
            return None
    return array if array.dtype.kind in "biu" and array.flags.writeable else None


def _check_whole(name: str, array: Array, distribution: AnyDistribution) -> None:
    least, most = 0, 1
    if array.dtype.kind != "b":
        least, most = np.iinfo(array.dtype).min, np.iinfo(array.dtype).max
    if not (
        isinstance(distribution, Constant)
        and distribution.value.is_integer()
        and least <= distribution.value <= most
    ):
        raise TypeError(
            f"tensor {name!r}: array has dtype {array.dtype}, which takes a whole constant from "
            f"{least} to {most}; the plan has {distribution!r}"
        )


def _check_form(name: str, target: _core.Target, structure: Structure, threads: Any) -> None:
    try:
        structure.check(target.numpy(), threads)
    except (TypeError, ValueError) as error:
        raise type(error)(f"tensor {name!r}: {error}") from None


@contextmanager
def _watched(progress: Progress | bool | None, nbytes: int) -> Iterator[Progress | None]:
    """Whom to tell the part that is done."""
    if callable(progress):
        yield progress
    elif progress or (progress is None and nbytes > LONG_WORK):
        with progress_bar("initialising", nbytes) as show:
            yield lambda done: show(round(done * nbytes))
    else:
        yield None


def _std(array: np.ndarray[Any, Any]) -> float:
    """Standard deviation, in float64 and in one pass, with no copy beyond a cache's size."""
    if array.size == 0:
        return math.nan
    total = squares = shift = 0.0
    chunks = np.nditer(
        array,
        flags=["external_loop", "buffered"],
        op_dtypes=[np.float64],
        casting="same_kind" if array.dtype.kind == "f" else "unsafe",
        buffersize=1 << 15,
        order="K",
    )
    chunk: Any
    for i, chunk in enumerate(chunks):
        if i == 0:
            shift = float(chunk[0])  # of a constant, every difference is then exactly 0
        moved = chunk - shift
        total += float(moved.sum())
        squares += float(moved @ moved)
    mean = total / array.size
    return math.sqrt(max(squares / array.size - mean * mean, 0.0))
