"""A model made ready to be filled: everything that can be done before a seed is known.

`init_` makes a `Prepared` and fills it once; `prepare` gives it to the user.
"""

from __future__ import annotations

import time
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

from fastxavier import _core
from fastxavier._console import progress_bar
from fastxavier._streams import MODULE_DEFAULT, Seed, model_seed, stream_number
from fastxavier._torch import increment_version, is_tensor
from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    of_tensor,
    shown,
)
from fastxavier.distributions import Distribution
from fastxavier.fill import check_part
from fastxavier.initializers import Resolved
from fastxavier.plans._depth import plan_of_model
from fastxavier.plans._overlap import check_disjoint
from fastxavier.plans._plan import Plan
from fastxavier.plans._report import Report, Tensor
from fastxavier.plans._rule import Rule
from fastxavier.plans._targets import Memory, check_counted, target_of_tensor
from fastxavier.plans.presets import default_plan, unused_of_user

if TYPE_CHECKING:
    from fastxavier._cuda.launch import PreparedFill

__all__ = ["Place", "Prepared", "Progress", "check_progress", "prepare", "watched"]

Progress: TypeAlias = "Callable[[float], object]"
Place: TypeAlias = "tuple[Iterable[SupportsIndex], Iterable[SupportsIndex] | None]"

LONG_WORK = 1 << 32  # bytes from which a bar is shown without being asked for


def prepare(
    arrays: Mapping[str, Any],
    plan: Plan | str | None = None,
    *,
    places: Mapping[str, Place] | None = None,
) -> Prepared:
    """Make a model ready to be filled more than once, as for ensembles, sweeps and restarts.

    ``prepare(arrays, plan).init_(seed=7)`` is ``init_(arrays, plan, seed=7)`` in two steps, with
    the same values and the same report. The first step, which takes most of the time if the
    tensors are small and many, need not be done again for the next seed.

    Parameters
    ----------
    arrays, plan, places
        As for `init_`.

    Returns
    -------
    Prepared
        Its method `init_` fills the arrays.

    Raises
    ------
    PlanError, TypeError, ValueError
        As `init_` does. No array is written to.

    Notes
    -----
    Fixed from here on are the arrays, with their memory, shapes, strides and dtypes, and what the
    plan has for each. What is put into the mapping later is not filled. The arrays are kept alive.
    If one has been given other memory or another shape since, which can be done to an array or a
    tensor in place, a fill is refused, and the model must be prepared again. What replaces a
    module's parameters by others, such as torch's ``to_empty``, leaves these arrays as they are:
    prepare the module again after it. Of a view, NumPy does
    not say that its base was resized with ``refcheck=False``: do not do that.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> model = {"0.weight": np.empty((256, 784), np.float32), "0.bias": np.empty(256, np.float32)}
    >>> prepared = fx.prepare(model)
    >>> firsts = []
    >>> for seed in range(3):
    ...     report = prepared.init_(seed=seed)
    ...     firsts.append(float(model["0.weight"][0, 0]))
    >>> len(set(firsts))
    3
    """
    return Prepared(arrays, plan, places)


class Prepared:
    """A model that is ready to be filled, any number of times. `prepare` makes it.

    Threads may share one, if they do not mind who writes last.
    """

    def __init__(self, arrays: Any, plan: Any, places: Any, *, for_one_fill: bool = False) -> None:
        _check_arrays(arrays)
        _check_places(places, arrays)
        chosen = plan_of_model(default_plan() if plan is None else plan, arrays)
        names = list(arrays)
        streams = [stream_number(_name(name)) for name in names]
        given = [arrays[name] for name in names]
        targets = list(map(target_of_tensor, names, given))
        if places:
            for name, target in zip(names, targets, strict=True):
                if name in places:
                    _put(name, target, places[name])
        tensors: tuple[Tensor, ...] = tuple(
            [
                (name, target, chosen.distribution(name, _whole_shape(target)), stream)
                for name, target, stream in zip(names, targets, streams, strict=True)
            ]
        )
        drawn: list[Tensor] = []
        structured: list[Tensor] = []
        counted: list[tuple[Tensor, Any]] = []  # and the array as it was given
        on_device: list[PreparedFill] = []
        streams_on_device: list[int] = []
        for one, array in zip(tensors, given, strict=True):
            if not isinstance(one[1], _core.Target):
                check_counted(*one[:3])
                counted.append((one, array))
            elif one[1].place is not None:
                on_device.append(_prepared_on_device(*one[:3]))
                streams_on_device.append(one[3])
            elif isinstance(one[2], Distribution):
                drawn.append(one)
            else:
                structured.append(one)
        for name, target, initializer, _ in structured:
            _check_structured(name, target, initializer)
        check_disjoint(names, targets)
        self._plan = chosen.plan
        self._arrays = given
        self._tensors = tensors
        self._parts = [
            (name, places[name], distribution)
            for name, _, distribution, _ in (tensors if places else ())
            if name in places
        ]
        self._requests = _core.Requests(drawn)
        self._structured = structured
        self._counted = counted
        self._on_device = list(zip(on_device, streams_on_device, strict=True))
        self._nbytes = sum([target.nbytes for target in targets])
        self._drawn_nbytes = sum([one[1].nbytes for one in drawn])
        # What can happen to the memory before a later fill cannot happen before the first.
        self._memory = None if for_one_fill else Memory(given, tensors)

    def __repr__(self) -> str:
        return f"<Prepared: {len(self._tensors)} tensors, {self._nbytes / 1e6:,.1f} MB>"

    def init_(
        self,
        *,
        seed: Seed = MODULE_DEFAULT,
        threads: SupportsIndex | None = None,
        progress: Progress | bool | None = None,
        cuda_stream: Any = None,
    ) -> Report:
        """Fill all tensors in place, exactly as `fastxavier.init_` does.

        Parameters
        ----------
        seed, threads, progress, cuda_stream
            As for `fastxavier.init_`.

        Returns
        -------
        Report
            As for `fastxavier.init_`. It measures the arrays when it is first asked to: print it
            before the next fill.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, a random part has no seed, or an array has other memory,
            another shape, strides or dtype than when it was prepared, or is read-only now; the
            error names the tensor. No array has been written to then.
        KeyboardInterrupt
            As for `fastxavier.init_`.
        """
        check_progress(progress)
        if self._memory is not None:
            self._memory.check()
        for name, place, distribution in self._parts:
            _check_part(name, place, seed, distribution)
        start = time.perf_counter()
        with watched(progress, self._nbytes) as tell:
            done = self._drawn_nbytes
            key = self._requests.fill(
                model_seed(seed), threads, tell and (lambda part: tell(part * done))
            )
            for (_, memory, distribution, _), array in self._counted:
                memory[...] = int(distribution.mean)
                if is_tensor(array):
                    increment_version(array)
                done += memory.nbytes
            for fill, stream in self._on_device:
                fill.start((key, stream), cuda_stream)
                done += fill.nbytes
            for _, target, initializer, stream in self._structured:
                initializer.write(
                    target.numpy(), (key, stream), threads, target.global_shape, target.offset
                )
                target.written()
                done += target.nbytes
                if tell:
                    tell(done)
        seconds = time.perf_counter() - start
        unused = partial(_unused_rules, self._plan, self._tensors)
        return Report(key, seconds, self._nbytes, self._tensors, unused)


def _unused_rules(plan: Plan, tensors: tuple[Tensor, ...]) -> tuple[Rule, ...]:
    return unused_of_user(plan, {name: target.shape for name, target, *_ in tensors})


def _check_arrays(arrays: Any) -> None:
    if not isinstance(arrays, Mapping):
        raise ArgumentTypeError(
            f"arrays is {a_type(arrays)}; it must be a mapping from names to arrays; "
            + _mapping_of(arrays),
            "arrays",
            arrays,
        )


def check_progress(progress: Any) -> None:
    """TypeError unless it is a function, a truth value or None."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ArgumentTypeError(
            f"progress is {shown(progress)}; it must be a function, True, False or None",
            "progress",
            progress,
        )


def _check_places(places: Any, arrays: Mapping[str, Any]) -> None:
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
        return "of a torch module give dict(model.named_parameters())"
    if hasattr(arrays, "__array__") or not isinstance(arrays, Iterable):
        return "for one array write fill_(array, initializer)"
    first = next(iter(arrays), None) if isinstance(arrays, (list, tuple, ItemsView)) else None
    if isinstance(first, (tuple, list)) and len(first) == 2 and isinstance(first[0], str):
        return "of pairs of names and arrays give dict(pairs)"
    return 'names choose the rules: give {"fc1.weight": array}'


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


def _check_part(name: str, place: Place, seed: Any, distribution: Resolved) -> None:
    try:
        check_part(place[0], seed, distribution)
    except ArgumentValueError as error:
        raise of_tensor(name, error) from None


def _prepared_on_device(name: str, target: _core.Target, initializer: Resolved) -> PreparedFill:
    from fastxavier._cuda.launch import PreparedFill

    try:
        return PreparedFill(target, initializer)
    except (ArgumentValueError, ArgumentTypeError) as error:
        raise of_tensor(name, error) from None


def _check_structured(name: str, target: _core.Target, initializer: Any) -> None:
    try:
        initializer.check(target.numpy(), None, target.global_shape, target.offset)
    except (TypeError, ValueError) as error:
        raise of_tensor(name, error) from None


@contextmanager
def watched(progress: Progress | bool | None, nbytes: int) -> Iterator[Progress | None]:
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
