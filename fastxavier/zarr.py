"""zarr: arrays and groups, larger than memory, filled chunk by chunk. Users call `fill`."""

from __future__ import annotations

import importlib
import itertools
import math
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np

from fastxavier import _core
from fastxavier._blocks import Blocks, checked
from fastxavier._dtypes import FLOATS
from fastxavier._streams import (
    MODULE_DEFAULT,
    Seed,
    Stream,
    model_seed_now,
    resolve,
    stream_number,
)
from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    integer,
    of_tensor,
    shown,
    truth,
)
from fastxavier.distributions import Distribution
from fastxavier.initializers import Initializer, Resolved
from fastxavier.plans import Plan
from fastxavier.plans import Report as ModelReport
from fastxavier.plans._depth import plan_of_model
from fastxavier.plans._prepared import Progress, check_progress, watched
from fastxavier.plans._report import Filled
from fastxavier.plans._rule import Rule
from fastxavier.plans._targets import check_counted
from fastxavier.plans.presets import default_plan, unused_of_user

__all__ = ["Report", "fill"]

try:
    zarr: Any = importlib.import_module("zarr")
    sync: Any = importlib.import_module("zarr.core.sync").sync
except ImportError as error:
    raise ImportError(
        'fastxavier.zarr needs zarr: pip install "fastxavier[zarr]"', name="zarr"
    ) from error
# An older one takes a chunk of negative zeros for one of its fill value 0, and leaves it out.
if tuple(map(int, re.findall("[0-9]+", zarr.__version__)[:3])) < (3, 1, 2):
    raise ImportError(
        f"fastxavier.zarr needs zarr 3.1.2 or newer, and this is zarr {zarr.__version__}: "
        'pip install "fastxavier[zarr]"',
        name="zarr",
    )

Array: TypeAlias = "np.ndarray[Any, Any]"
Place: TypeAlias = tuple[slice, ...]


@dataclass(frozen=True)
class Report(ModelReport):
    """What `fill` did: the same as the report of `fastxavier.init_`, and the numbers of chunks.

    It holds no arrays, and nothing is measured. Where an array has shards, a shard counts as one
    chunk.

    Attributes
    ----------
    seed : int
        The number that the seed stood for.
    stream : int, str or None
        The stream of one array: its name, or its number. None for a group, whose streams are the
        names of its arrays.
    written : int
        Chunks that were written.
    kept : int
        Chunks that held their values already.
    """

    written: int
    kept: int
    stream: int | str | None

    def __reduce__(self) -> tuple[Any, ...]:
        return Report, (*super().__reduce__()[1], self.written, self.kept, self.stream)

    def asdict(self) -> dict[str, Any]:
        """The same as a dictionary of plain values.

        Returns
        -------
        dict
            That of the report of `fastxavier.init_`, and `stream`, `written` and `kept`.
        """
        own = {"stream": self.stream, "written": self.written, "kept": self.kept}
        return {**super().asdict(), **own}

    @property
    def summary(self) -> str:
        """One line, which ends with the seed, the stream and the numbers of chunks."""
        stream = "" if self.stream is None else f", stream {self.stream!r}"
        return f"{super().summary}{stream}; {self.written} chunks written, {self.kept} kept"


def fill(
    array: Any,
    distribution: Initializer | Plan | str | None = None,
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    *,
    resume: bool = True,
    threads: SupportsIndex | None = None,
    progress: Progress | bool | None = None,
) -> Report:
    """Fill a zarr array, or all arrays of a group, chunk by chunk.

    An array holds then what ``draw(shape, distribution, dtype=dtype, seed=seed, stream=stream)``
    gives, whatever its chunks and shards, codecs and store. Each thread draws, encodes and writes
    one chunk at a time, so the array may be larger than memory.

    What has been written need not be written again: a chunk that holds its values already, bit for
    bit, is kept. So a call with the same seed number and stream, after a kill, an error or a full
    disk, goes on where it stopped, and a further one verifies the whole array. A chunk is encoded
    whole before the store is asked to replace it, and nothing is deleted to make room.

    Parameters
    ----------
    array : zarr.Array or zarr.Group
        Of a group, each array below it is filled by the plan. Its name is its path in the group,
        with "." for each "/", and is its stream: the values are those of `init_` for a mapping with
        these names.
    distribution : initializer, or for a group a Plan or its name
        As for `fill_`, fans being taken from the whole shape; for a group as for `init_`, whose
        default plan it has.
    seed, stream
        As for `fill_`; for a group `seed` is as for `init_`, and a `stream` is an error. A seed
        number, with the same stream if any, gives the same values in each call. A NumPy generator
        and None give another seed, and for an array without `stream` the default and `Streams` give
        their next stream: then a second call overwrites. To resume or verify after these, give the
        report's `seed` and `stream`.
    resume : bool, default True
        Whether the chunks that there are are read, and those kept that hold the values of this
        call's seed and stream. If not, each is written without being read: faster where the array
        is full of other values.
    threads : int, optional
        At most this many chunks at a time, each drawn, encoded and written by one thread. The
        default is that of `fill_`.
    progress : bool or callable, optional
        As for `init_`, told after each chunk.

    Returns
    -------
    Report
        Of the tensors, the chunks written and those kept.

    Raises
    ------
    PlanError
        The same as from `init_`.
    TypeError, ValueError
        If an array cannot be filled, as `fill_` raises it, with its name if it is in a group; if
        two names are equal, the store is read-only or another argument is not valid; if a chunk
        with other values is in a store that cannot overwrite, which a zip file cannot. Nothing has
        been written then.
    OSError, MemoryError or another
        What the store raises while a chunk is read or written, and what is raised for lack of
        memory, with a note of the chunk. That chunk is as it was, if the store's writes are atomic;
        other chunks may have been written. Only what a codec raises for a chunk's bytes is taken
        for damage, and the chunk is written anew.
    KeyboardInterrupt
        On Ctrl-C, once the chunks that are being written are whole.

    Notes
    -----
    Each thread holds a chunk as it is drawn, stored, decoded and read: about four chunks in memory
    for each thread. With the sharding codec a shard is the least that can be written, and counts as
    the chunk here; it takes about six. `Orthogonal` and `DeltaOrthogonal` are drawn whole, in
    memory. Each chunk of `Sparse` draws the numbers of its whole columns, and takes memory and time
    for them.

    The values of `Orthogonal` and `DeltaOrthogonal` come from LAPACK: elsewhere, or with other
    threads, their last digits may differ ("What is not guaranteed", in the documentation), and
    such an array is then written anew.

    A chunk is drawn before it is compared, which takes less time than reading it. There is no other
    record of what is done: not a marker, which could be wrong. A chunk that is missing reads as the
    array's ``fill_value``; if that is what it should hold, it is right, and stays missing. Where
    ``fill_value`` is None, as it can be in zarr format 2, it holds nothing: each chunk is written.

    The dtypes are those that both zarr and `fill_` know: float32, float64 and float16, of either
    byte order; in a group also integers and truth values, as for `init_`.

    Examples
    --------
    >>> import fastxavier as fx, fastxavier.zarr, zarr
    >>> z = zarr.create_array({}, shape=(1000, 500), chunks=(200, 200), dtype="float32")
    >>> report = fastxavier.zarr.fill(z, fx.he_normal(), seed=7, stream="fc1.weight")
    >>> report.written, report.kept
    (15, 0)
    >>> bool((z[:] == fx.draw((1000, 500), fx.he_normal(), seed=7, stream="fc1.weight")).all())
    True
    >>> fastxavier.zarr.fill(z, fx.he_normal(), seed=7, stream="fc1.weight").kept
    15
    """
    truth("resume", resume)
    check_progress(progress)
    workers = _core.default_threads()
    if threads is not None:
        workers = integer("threads", threads, 1, otherwise="or None")
    if isinstance(array, zarr.Group):
        job = _of_group(array, distribution, seed, stream)
    elif isinstance(array, zarr.Array):
        job = _of_array(array, distribution, seed, stream)
    else:
        raise ArgumentTypeError(
            f"array is {a_type(array)}; it must be a zarr.Array or a zarr.Group; for an array in "
            "memory write fill_(array, distribution)",
            "array",
            array,
        )
    start = time.perf_counter()
    nbytes = sum(one.nbytes for one in job.targets)
    written = kept = done = 0
    with watched(progress, nbytes) as tell:
        for work, units in _passes(array.store_path.store, job.targets, resume, workers):
            with closing(_in_threads(work, units, workers)) as stored:
                for unit, new in stored:
                    written, kept, done = written + new, kept + (not new), done + unit.nbytes
                    if tell:
                        tell(done)
    seconds = time.perf_counter() - start
    tensors = tuple(one.filled for one in job.targets)
    return Report(job.seed, seconds, nbytes, tensors, job.unused, written, kept, job.stream)


class _Unit(NamedTuple):
    """What is drawn, compared and written at once: a chunk, or a shard."""

    array: Any
    key: str
    place: Place
    draw: Callable[[Place], Array]

    @property
    def nbytes(self) -> int:
        values = math.prod(axis.stop - axis.start for axis in self.place)
        return int(values * self.array.dtype.itemsize)

    @property
    def path(self) -> Any:
        """Where its bytes are in the store."""
        return self.array.store_path / self.key

    def store(self, resume: bool) -> bool:
        """Write the unit, unless it is to be kept; whether it was written."""
        with _named(self.path):
            values = self.draw(self.place)
            if resume and self._holds(values):
                return False
            encoded = self._encoded(values)
            sync(self.path.delete() if encoded is None else self.path.set(encoded))
            return True

    def keep(self, resume: bool) -> bool:
        """Nothing is written: an error if the unit would have to be."""
        with _named(self.path):
            if resume and self._holds(self.draw(self.place)):
                return False
        raise ArgumentValueError(
            f"array has {self.path} already{', with other values' if resume else ''}; its store, "
            f"{type(self.path.store).__name__}, cannot overwrite. Fill a new array",
            "array",
            self.array,
        )

    def _holds(self, values: Array) -> bool:
        encoded = sync(self.path.get())
        if encoded is None and self.array.metadata.fill_value is None:
            return False
        stored = self._decoded(encoded)
        return stored is not None and _same_bits(values, stored)

    def _encoded(self, values: Array) -> Any:
        """Its bytes, or None where zarr leaves out a chunk of the fill value."""
        memory: dict[str, Any] = {}
        _in_memory(self.array, memory)[self.place or ...] = values
        return memory.get(self.key)

    def _decoded(self, encoded: Any) -> Array | None:
        """What zarr reads from its bytes, or from none; None if they are damaged."""
        memory = {} if encoded is None else {self.key: encoded}
        try:
            return np.asarray(_in_memory(self.array, memory)[self.place or ...])
        except MemoryError:
            raise
        except Exception:  # whatever a codec raises; no store but the memory has been asked
            return None


def _in_memory(array: Any, memory: dict[str, Any]) -> Any:
    """An array like another, with its codecs, whose chunks are in memory: these alone."""
    # zarr 3.1.2 has no public name for it.
    config = array.config if hasattr(array, "config") else array._async_array._config
    if array.metadata.fill_value is None:  # zarr would leave out zeros, which nothing says then
        config = replace(config, write_empty_chunks=True)
    store = zarr.storage.StorePath(zarr.storage.MemoryStore(memory))
    return zarr.Array(zarr.AsyncArray(array.metadata, store, config))


@contextmanager
def _named(path: Any) -> Iterator[None]:
    """Have an error say at which chunk it was raised."""
    try:
        yield
    except Exception as error:
        noted: Any = error
        noted.add_note(f"fastxavier.zarr.fill was at {path}")
        raise


class _Target(NamedTuple):
    """An array and what it is filled with."""

    name: str
    array: Any
    steps: tuple[int, ...]
    """The extents of its shards, or of its chunks where it has none."""
    blocks: Blocks | None
    """None for integers and truth values."""
    initializer: Resolved

    @property
    def nbytes(self) -> int:
        return int(self.array.size * self.array.dtype.itemsize)

    @property
    def filled(self) -> Filled:
        """Its row of the report."""
        return Filled(self.name, self.array.shape, self.array.dtype.name, self.initializer)

    def units(self, threads: int, there: bool | None = None) -> Iterator[_Unit]:
        """The array in zarr's pieces: all, or those that are there, or those that are not."""
        draw = None
        axes = [
            [slice(first, min(first + step, extent)) for first in range(0, extent, step)]
            for extent, step in zip(self.array.shape, self.steps, strict=True)
        ]
        for place in itertools.product(*axes):
            number = tuple(axis.start // n for axis, n in zip(place, self.steps, strict=True))
            key = self.array.metadata.encode_chunk_key(number)
            if there is None or sync((self.array.store_path / key).exists()) == there:
                draw = draw or self._drawer(threads)
                yield _Unit(self.array, key, place, draw)

    def _drawer(self, threads: int) -> Callable[[Place], Array]:
        if self.blocks is None:
            assert isinstance(self.initializer, Distribution)
            dtype, value = self.array.dtype.newbyteorder("="), int(self.initializer.mean)
            return lambda place: np.full([axis.stop - axis.start for axis in place], value, dtype)
        if getattr(self.initializer, "by_parts", True):
            return self.blocks.draw
        whole = self.blocks.draw(tuple(slice(0, extent) for extent in self.array.shape), threads)
        return lambda place: whole[place]


def _passes(
    store: Any, targets: tuple[_Target, ...], resume: bool, threads: int
) -> Iterator[tuple[Callable[[_Unit], bool], Iterator[_Unit]]]:
    """What is done with which units, one after the other.

    Where nothing can be overwritten, what is there is compared before the first chunk is written.
    """

    def units(there: bool | None) -> Iterator[_Unit]:
        return itertools.chain.from_iterable(one.units(threads, there) for one in targets)

    if store.supports_deletes:
        yield lambda unit: unit.store(resume), units(None)
    else:
        yield lambda unit: unit.keep(resume), units(True)
        yield lambda unit: unit.store(resume), units(False)


class _Job(NamedTuple):
    """Everything that is to be filled, once all of it has been checked."""

    seed: int
    stream: int | str | None
    targets: tuple[_Target, ...]
    unused: tuple[Rule, ...]


def _of_array(array: Any, initializer: Any, seed: Any, stream: Any) -> _Job:
    if isinstance(initializer, Plan):
        raise ArgumentTypeError(
            f"distribution is a Plan for one array, {array.path!r}; give the group that it is in, "
            "or an initializer",
            "distribution",
            initializer,
        )
    _check_writable(array)
    resolved = checked(initializer, array.shape, _dtype(array), "array")
    key = resolve(seed, stream)
    numbers = key.take() if isinstance(key, _core.Streams) else key
    shown_stream = stream if isinstance(stream, str) else numbers[1]
    target = _target(_name(array.path), array, resolved, *numbers)
    return _Job(numbers[0], shown_stream, (target,), ())


def _of_group(group: Any, plan: Any, seed: Any, stream: Any) -> _Job:
    if stream is not None:
        raise ArgumentValueError(
            f"stream is {shown(stream)} for a group, the streams of whose arrays are their names; "
            "leave it out",
            "stream",
            stream,
        )
    if not (plan is None or isinstance(plan, (Plan, str))):
        raise ArgumentTypeError(
            f"distribution is {shown(plan)}; for a group it must be a Plan, or the name of one. "
            "For all arrays write Plan([Rule('*', distribution)])",
            "distribution",
            plan,
        )
    _check_writable(group)
    arrays = _arrays_of(group)
    shapes = {name: array.shape for name, array in arrays.items()}
    chosen = plan_of_model(default_plan() if plan is None else plan, arrays)
    resolved = {name: chosen.distribution(name, shape) for name, shape in shapes.items()}
    for name, array in arrays.items():
        if _is_counted(array):
            check_counted(name, array, resolved[name])
            continue
        try:
            checked(resolved[name], array.shape, _dtype(array), "array")
        except (ArgumentTypeError, ArgumentValueError) as error:
            raise of_tensor(name, error) from None
    number = model_seed_now(seed)
    targets = [
        _target(name, array, resolved[name], number, stream_number(name))
        for name, array in arrays.items()
    ]
    return _Job(number, None, tuple(targets), unused_of_user(chosen.plan, shapes))


def _target(name: str, array: Any, resolved: Resolved, seed: int, stream: int) -> _Target:
    blocks = None
    if not _is_counted(array):
        blocks = Blocks(array.shape, _dtype(array), resolved, seed, stream)
    return _Target(name, array, array.shards or array.chunks, blocks, resolved)


def _is_counted(array: Any) -> bool:
    """Whether it holds integers or truth values, which are constants and not drawn."""
    return array.dtype.kind in "biu"


def _arrays_of(group: Any) -> dict[str, Any]:
    """The arrays below a group by their names, in the order of these."""
    found: dict[str, tuple[str, Any]] = {}
    for path, member in sorted(group.members(max_depth=None)):
        if not isinstance(member, zarr.Array):
            continue
        name = _name(path)
        if name in found:
            raise ArgumentValueError(
                f"array has {found[name][0]!r} and {path!r}, which are both named {name!r}: they "
                "would get the same values; rename one",
                "array",
                group,
            )
        found[name] = path, member
    return {name: array for name, (_, array) in found.items()}


def _name(path: str) -> str:
    return path.replace("/", ".")


def _dtype(array: Any) -> np.dtype[Any]:
    """The array's dtype in this machine's byte order, if it is one that is drawn."""
    dtype: np.dtype[Any] = array.dtype
    if getattr(dtype, "name", None) not in FLOATS:
        raise ArgumentTypeError(
            f"array has dtype {dtype}; it must be one of {', '.join(FLOATS)}",
            "array",
            dtype,
            FLOATS,
        )
    return dtype.newbyteorder("=")


def _check_writable(array: Any) -> None:
    """Refuse an array or a group that is read-only."""
    if array.read_only or not array.store_path.store.supports_writes:
        raise ArgumentValueError(
            f"array is read-only, as is its store, {array.store_path}; open it with mode='r+'",
            "array",
            array,
        )


_AT_ONCE = 1 << 18  # values that are compared before it is known whether they differ


def _same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays of one shape have the same bits, whatever their byte orders."""
    other = np.ascontiguousarray(other.astype(one.dtype, copy=False))
    bits = np.dtype(f"u{one.dtype.itemsize}")
    flat, stored = np.ascontiguousarray(one).view(bits).ravel(), other.view(bits).ravel()
    return all(
        np.array_equal(flat[first : first + _AT_ONCE], stored[first : first + _AT_ONCE])
        for first in range(0, flat.size, _AT_ONCE)
    )


def _in_threads(
    work: Callable[[_Unit], bool], units: Iterable[_Unit], threads: int
) -> Generator[tuple[_Unit, bool], None, None]:
    """The units as they are done, with what came of each; no more are begun after an error."""
    begun: dict[Future[bool], _Unit] = {}
    with ThreadPoolExecutor(threads, "fastxavier.zarr") as pool:
        try:
            for unit in units:
                begun[pool.submit(work, unit)] = unit
                if len(begun) > threads:  # one waits, so that no thread does
                    yield from _done(begun)
            while begun:
                yield from _done(begun)
        finally:
            pool.shutdown(cancel_futures=True)


def _done(begun: dict[Future[bool], _Unit]) -> Iterator[tuple[_Unit, bool]]:
    """Wait for one or more, and take them out."""
    for future in wait(begun, return_when=FIRST_COMPLETED).done:
        yield begun.pop(future), future.result()
