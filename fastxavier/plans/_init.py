"""Whole models: a mapping from names to arrays, filled by a plan in one parallel region."""

from __future__ import annotations

import time
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from fastxavier import _core
from fastxavier._console import progress_bar
from fastxavier._streams import MODULE_DEFAULT, Seed, model_seed, stream_number
from fastxavier._torch import increment_version, is_tensor
from fastxavier._validation import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    of_tensor,
    shown,
)
from fastxavier.distributions import Constant, Distribution
from fastxavier.fill import check_part
from fastxavier.initializers import Resolved
from fastxavier.plans._depth import plan_of_model
from fastxavier.plans._overlap import check_disjoint
from fastxavier.plans._plan import Plan
from fastxavier.plans._report import Filled, Report, Tensor
from fastxavier.plans._rule import Rule
from fastxavier.plans.presets import default_plan, unused_of_user

__all__ = ["Filled", "Report", "init_"]

Progress = Callable[[float], object]
Place: TypeAlias = "tuple[Iterable[SupportsIndex], Iterable[SupportsIndex] | None]"
Array: TypeAlias = "np.ndarray[Any, Any]"

LONG_WORK = 1 << 32  # bytes from which a bar is shown without being asked for


def init_(
    arrays: Mapping[str, Any],
    plan: Plan | str | None = None,
    *,
    seed: Seed = MODULE_DEFAULT,
    threads: SupportsIndex | None = None,
    progress: Progress | bool | None = None,
    places: Mapping[str, Place] | None = None,
) -> Report:
    """Fill all tensors of a model in place, each by the initializer that a plan gives to its name.

    A tensor's stream is its name: a tensor keeps its values when others are added, removed or
    reordered, and they are those of ``fill_(array, initializer, seed=seed, stream=name)``. The
    threads start once and share all tensors, so many tensors fill as fast as one array of the same
    bytes.

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
    plan = default_plan() if plan is None else plan
    _check_arguments(arrays, progress, places)
    chosen = plan_of_model(plan, arrays)
    names = list(arrays)
    streams = [stream_number(_name(name)) for name in names]
    targets = [_target(name, arrays[name]) for name in names]
    if places:
        for name, target in zip(names, targets, strict=True):
            if name in places:
                _put(name, target, places[name])
    tensors: tuple[Tensor, ...] = tuple(
        (name, target, chosen.distribution(name, _whole_shape(target)), stream)
        for name, target, stream in zip(names, targets, streams, strict=True)
    )
    drawn: list[Tensor] = []
    structured: list[Tensor] = []
    counted: list[Tensor] = []
    for one in tensors:
        if not isinstance(one[1], _core.Target):
            counted.append(one)
        elif isinstance(one[2], Distribution):
            drawn.append(one)
        else:
            structured.append(one)
    for name, array, distribution, _ in counted:
        _check_counted(name, array, distribution)
    if places:
        for name, _, distribution, _ in tensors:
            if name in places:
                _check_part(name, places[name], seed, distribution)
    for name, target, initializer, _ in structured:
        _check_structured(name, target, initializer, threads)
    check_disjoint(names, targets)
    nbytes = sum([target.nbytes for target in targets])

    start = time.perf_counter()
    with _watched(progress, nbytes) as tell:
        done = sum([one[1].nbytes for one in drawn])
        key = _core.fill_all(
            drawn, model_seed(seed), threads, tell and (lambda part: tell(part * done))
        )
        for name, array, distribution, _ in counted:
            array[...] = int(distribution.mean)
            if is_tensor(arrays[name]):
                increment_version(arrays[name])
            done += array.nbytes
        for _, target, initializer, stream in structured:
            initializer.write(
                target.numpy(), (key, stream), threads, target.global_shape, target.offset
            )
            target.written()
            done += target.nbytes
            if tell:
                tell(done)
    seconds = time.perf_counter() - start

    def unused() -> tuple[Rule, ...]:
        return unused_of_user(chosen.plan, {name: target.shape for name, target, *_ in tensors})

    return Report(key, seconds, nbytes, tensors, unused)


def _check_arguments(arrays: Any, progress: Any, places: Any) -> None:
    if not isinstance(arrays, Mapping):
        raise ArgumentTypeError(
            f"arrays is {a_type(arrays)}; it must be a mapping from names to arrays; "
            + _mapping_of(arrays),
            "arrays",
            arrays,
        )
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ArgumentTypeError(
            f"progress is {shown(progress)}; it must be a function, True, False or None",
            "progress",
            progress,
        )
    if places is None:
        return
    if not isinstance(places, Mapping):
        raise ArgumentTypeError(
            f"places is {shown(places)}; it must map names to (global_shape, offset)",
            "places",
            places,
        )
    for name in places:
        if name not in arrays:
            raise ArgumentValueError(
                f"places has the name {name!r}, which arrays does not have", "places", name
            )


def _mapping_of(arrays: Any) -> str:
    """What to write instead of an argument that is not a mapping."""
    if hasattr(arrays, "named_parameters") or isinstance(arrays, Iterator):
        return "write init_(dict(model.named_parameters()), plan)"
    if hasattr(arrays, "__array__") or not isinstance(arrays, Iterable):
        return "for one array write fill_(array, initializer)"
    first = next(iter(arrays), None) if isinstance(arrays, (list, tuple, ItemsView)) else None
    if isinstance(first, (tuple, list)) and len(first) == 2 and isinstance(first[0], str):
        return "of pairs of names and arrays write init_(dict(pairs), plan)"
    return 'names choose the rules: write init_({"fc1.weight": array}, plan)'


def _put(name: str, target: Any, place: Any) -> None:
    """Say where the array lies in the whole tensor."""
    if not isinstance(place, (tuple, list)) or len(place) != 2:
        raise ArgumentTypeError(
            f"places[{name!r}] is {shown(place)}; it must be (global_shape, offset)",
            "places",
            place,
        )
    if not isinstance(target, _core.Target):
        return  # every part of a constant is the same
    try:
        _core.place(target, *place)
    except (TypeError, ValueError) as error:
        raise of_tensor(name, error) from None


def _whole_shape(target: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = (
        target.global_shape if isinstance(target, _core.Target) else target.shape
    )
    return shape


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ArgumentTypeError(
            f"arrays has the key {shown(name)}; each must be a tensor's name, a string",
            "arrays",
            name,
        )
    return name


def _target(name: str, array: Any) -> _core.Target | Array:
    """Where the tensor's values go; an error names it, whatever its exporter raises."""
    try:
        try:
            return _core.target_of(array)
        except ArgumentTypeError as error:
            integers = _integers(array) if error.choices else None  # it is the dtype that is wrong
            if integers is None:
                raise
            return integers
    except Exception as error:
        if isinstance(error, ArgumentError) or type(error) in (TypeError, ValueError):
            raise of_tensor(name, error) from None
        raise ArgumentValueError(
            f"tensor {name!r}: array is {a_type(array)} that exports no memory: "
            f"{type(error).__name__}: {error}",
            "array",
        ) from error


def _integers(array: Any) -> Array | None:
    """The array as NumPy's, if it holds integers or truth values; an error if it cannot be written.

    None if it holds anything else. It is one of which `target_of` has refused only the dtype.
    """
    found: Array
    if is_tensor(array):
        if array.is_floating_point() or array.is_complex():
            return None
        found = array.detach().numpy()
    elif isinstance(array, np.ndarray) or not hasattr(array, "__dlpack__"):
        found = _core.exported(array)
    else:
        found = np.from_dlpack(array)
    if found.dtype.kind not in "biu":
        return None
    if not found.flags.writeable:
        raise ArgumentTypeError(
            f"array of dtype {found.dtype} is read-only; it must be writable", "array"
        )
    if not _has_memory(found, array):
        raise ArgumentValueError(
            f"array of shape {found.shape} is {a_type(array)} without memory of its own; "
            "allocate it first",
            "array",
        )
    if _core.overlaps_itself(found):
        raise ArgumentValueError(
            f"array of shape {found.shape} has strides {found.strides}: elements of it share "
            "memory; each must have its own",
            "array",
        )
    return found


def _has_memory(found: Array, array: Any) -> bool:
    """Whether there is memory at the addresses of a view."""
    (first,), (last,) = _core.spans([found])
    if first == last:
        return True
    if not is_tensor(array):
        return bool(first)
    storage = array.untyped_storage()
    return bool(0 < storage.data_ptr() <= first and last <= storage.data_ptr() + storage.nbytes())


# Beyond it a float64, which a constant is, does not hold every integer.
_MOST_COUNTED = 2**53 - 1


def _check_counted(name: str, array: Array, distribution: Resolved) -> None:
    """An array of integers or truth values takes a whole constant that its dtype can hold."""
    least, most = 0, 1
    if array.dtype.kind != "b":
        limits = np.iinfo(array.dtype)
        least, most = max(int(limits.min), -_MOST_COUNTED), min(int(limits.max), _MOST_COUNTED)
    if not (
        isinstance(distribution, Constant)
        and distribution.value.is_integer()
        and least <= distribution.value <= most
    ):
        exact = ", up to which a constant is exact" if most == _MOST_COUNTED else ""
        raise ArgumentTypeError(
            f"tensor {name!r}: array has dtype {array.dtype}, which takes a whole constant from "
            f"{least} to {most}{exact}; the plan has {distribution!r}",
            "array",
            array.dtype,
        )


def _check_part(name: str, place: Place, seed: Any, distribution: Resolved) -> None:
    try:
        check_part(place[0], seed, distribution)
    except ArgumentValueError as error:
        raise of_tensor(name, error) from None


def _check_structured(name: str, target: _core.Target, initializer: Any, threads: Any) -> None:
    try:
        initializer.check(target.numpy(), threads, target.global_shape, target.offset)
    except (TypeError, ValueError) as error:
        raise of_tensor(name, error) from None


@contextmanager
def _watched(progress: Progress | bool | None, nbytes: int) -> Iterator[Progress | None]:
    """Whom to tell the bytes that are done. That all are is told at the end, once."""
    if callable(progress):
        told = progress
    elif progress or (progress is None and nbytes > LONG_WORK):
        with progress_bar("initializing", nbytes) as show:
            yield lambda done: show(round(done))
            show(nbytes)
        return
    else:
        yield None
        return

    def tell(done: float) -> None:
        if done < nbytes:
            told(done / nbytes)

    yield tell
    told(1.0)
