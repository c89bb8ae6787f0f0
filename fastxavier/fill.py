"""Filling arrays: `fill_`, `draw`, and Glorot weights from two fans.

The in-place functions that take their fans from the shape are in _in_place.py.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias, TypeVar, cast

import numpy as np

from fastxavier import _core
from fastxavier._dtypes import dtype_named
from fastxavier._scaling import Mode
from fastxavier._streams import MODULE_DEFAULT, Seed, Stream, is_shared, resolve
from fastxavier._validation import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    integer,
    integers,
    number,
    shown,
)
from fastxavier.distributions import Constant, Distribution
from fastxavier.initializers import (
    Initializer,
    Resolved,
    scaling,
)
from fastxavier.initializers import resolve as resolve_initializer
from fastxavier.structured._base import PatternInitializer

__all__ = [
    "aligned",
    "check_part",
    "checked_shape",
    "draw",
    "fill_",
    "normal_",
    "truncated_normal_",
    "uniform_",
]

Array = TypeVar("Array")
Shape: TypeAlias = Iterable[SupportsIndex]


def fill_(
    array: Array,
    distribution: Initializer | str,
    *,
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Shape | None = None,
    offset: Shape | None = None,
    threads: SupportsIndex | None = None,
    cuda_stream: Any = None,
) -> Array:
    """Fill an array in place with random values, or with a constant.

    Element j of the array, counted in C order whatever its memory layout, takes the value at index
    j of the stream keyed by (`seed`, `stream`). Threads, instruction set, layout, shards and the
    order of calls change no bit of it; docs/stream.md is the contract.

    Parameters
    ----------
    array : array_like
        What is filled: a NumPy array of any layout and alignment, a torch tensor or Parameter
        (without autograd; its version counter is increased), or any other object that exports
        writable memory by the buffer protocol, ``__array_interface__``,
        ``__cuda_array_interface__`` or DLPack; float32, float64, float16, bfloat16,
        float8_e4m3fn or float8_e5m2. The memory is the CPU's or an NVIDIA GPU's. No copy is made.
    distribution : Distribution, VarianceScaling, StructuredInitializer or str
        A distribution: `Uniform`, `Normal`, `TruncatedNormal` or `Constant`, whose values of
        16 and 8 bits are the float32 values rounded once. Or an initializer, such as
        ``he_normal()``, which takes its fans from `global_shape` or else the array's shape. Or a
        structured initializer of the whole tensor: `Identity`, `Dirac`, `Orthogonal`,
        `DeltaOrthogonal` or `Sparse`. Or the name of one, such as "he_normal".
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None, optional
        An integer from 0 up; beyond 64 bits it is hashed. A NumPy source of randomness gives one
        64-bit draw a call. `Streams` gives its next stream. None takes fresh entropy. If it is not
        given, the module default's seed holds: see `manual_seed`.
    stream : int or str, optional
        Which tensor: an integer below 2**63, or a name. Two tensors of one shape with the same
        `seed` need different streams, or their values are the same. If it is not given, a call with
        an integer `seed` draws stream 0, and a call without `seed` takes the next stream of the
        module default.
    global_shape, offset : sequence of int, optional
        The array is the part that begins at `offset` (default: the origin) of a tensor of shape
        `global_shape`, and gets exactly the values that a fill of that whole tensor puts there. If
        they are random, a seed must be given, here or to `manual_seed`: fresh entropy would differ
        from that of the other parts.
    threads : int, optional
        At most this many threads. If it is not given, as many as OpenMP would use
        (``OMP_NUM_THREADS``, affinity and threadpoolctl's limits), fewer while other processes hold
        the cores, and one for an array too small to be worth more.
    cuda_stream : int or stream, optional
        Where the fill of an array on a GPU runs: the handle of a CUDA stream of that GPU, or a
        stream of cuda.core, torch or CuPy. If it is not given, torch's current stream, the stream
        that the array exports, or else the default stream. The call does not wait for the fill.

    Returns
    -------
    array_like
        The object given as `array`.

    Raises
    ------
    TypeError
        If the array exports no memory or has another dtype or byte order, or an argument has the
        wrong type.
    ValueError
        If the array is read-only, its elements overlap, it does not lie inside `global_shape`, a
        random part has no seed, an argument is out of range, or the distribution reaches beyond the
        dtype. The array, and the source of the seed, are then as they were.
    KeyboardInterrupt
        On Ctrl-C, within a tenth of a second; the array is then partly filled.
    RuntimeError
        If the environment variable ``FASTXAVIER_ISA`` names no implementation that runs here; for
        an array on a GPU, if the driver, the compiler or the GPU's architecture does not allow it.
    ImportError
        For an array on a GPU, if the extra ``fastxavier[cuda]`` is not installed.

    References
    ----------
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as
    1, 2, 3", SC 2011.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> w = np.empty((4, 3), np.float32)
    >>> fx.fill_(w, fx.Normal(mean=0.0, std=0.02), seed=7, stream="head.weight") is w
    True
    >>> rows = np.empty((2, 3), np.float32)
    >>> _ = fx.fill_(rows, fx.Normal(0.0, 0.02), seed=7, stream="head.weight",
    ...              global_shape=(4, 3), offset=(2, 0))
    >>> bool((rows == w[2:]).all())
    True
    """
    if isinstance(distribution, Distribution):
        check_part(global_shape, seed, distribution)
        _core.fill(
            array, distribution, resolve(seed, stream), global_shape, offset, threads, cuda_stream
        )
    else:
        target = _core.target_of(array, cuda_stream)
        _fill_whole(target, distribution, seed, stream, global_shape, offset, threads)
    return array


def _fill_whole(
    target: _core.Target,
    initializer: Any,
    seed: Any,
    stream: Any,
    global_shape: Any,
    offset: Any,
    threads: Any,
) -> None:
    """As `fill_`, with what depends on the shape of the whole tensor."""
    if global_shape is not None:
        global_shape = _core.checked_place(target, "global_shape", global_shape)
    resolved = resolve_initializer(initializer, global_shape or target.shape)
    check_part(global_shape, seed, resolved)
    key = resolve(seed, stream)
    if isinstance(resolved, Distribution):
        _core.fill(target, resolved, key, global_shape, offset, threads)
    elif target.place is not None:
        from fastxavier._cuda.launch import fill as fill_on_device

        _core.place(target, global_shape, offset)
        fill_on_device(target, resolved, key)
    else:
        try:
            resolved.write(target.numpy(), key, threads, global_shape, offset)
        except ArgumentError:  # nothing has been written
            raise
        except BaseException:
            target.written()
            raise
        target.written()


def check_part(global_shape: Any, seed: Any, resolved: Resolved) -> None:
    """Raise for a random part of a tensor whose seed is of its own: no other part has it."""
    if global_shape is None or is_shared(seed):
        return
    if isinstance(resolved, (Constant, PatternInitializer)):
        return
    raise ArgumentValueError(
        f"global_shape is {shown(global_shape)} without a seed: each part would be drawn from "
        "fresh entropy, and together they would not be one tensor; give all parts the same seed, "
        "such as seed=7, or call manual_seed(7) first",
        "seed",
        seed,
    )


def draw(
    shape: Shape | SupportsIndex,
    distribution: Initializer | str,
    *,
    dtype: Any = np.float32,
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Shape | None = None,
    offset: Shape | None = None,
    threads: SupportsIndex | None = None,
) -> np.ndarray[Any, Any]:
    """A new array, filled as `fill_` fills one.

    Parameters
    ----------
    shape : int or sequence of int
        The array's shape.
    distribution : Distribution, VarianceScaling, StructuredInitializer or str
        As for `fill_`.
    dtype : data-type, default float32
        float32, float64, float16, bfloat16, float8_e4m3fn or float8_e5m2: NumPy's, ml_dtypes' or
        torch's dtype, or the name.
    seed, stream, global_shape, offset, threads
        As for `fill_`.

    Returns
    -------
    numpy.ndarray
        In C order; its memory begins at a multiple of 64 bytes, so that JAX can use it without a
        copy.

    Raises
    ------
    TypeError, ValueError
        As `fill_` does, or if the shape or dtype is not valid.
    MemoryError
        If there is no memory for the array.

    Examples
    --------
    >>> import fastxavier as fx
    >>> w = fx.draw((256, 128), fx.glorot_normal(), seed=7, stream="fc1.weight")
    >>> w.shape, w.dtype
    ((256, 128), dtype('float32'))
    """
    array = aligned(checked_shape(shape), dtype_named(dtype))
    return fill_(
        array,
        distribution,
        seed=seed,
        stream=stream,
        global_shape=global_shape,
        offset=offset,
        threads=threads,
    )


_ALIGNMENT = 64


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape, which may be one integer, as a tuple."""
    whole = hasattr(shape, "__index__") and getattr(shape, "ndim", 0) == 0
    return (integer("shape", shape),) if whole else integers("shape", shape)


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A new array in C order that begins at a multiple of 64 bytes."""
    nbytes = math.prod(shape) * dtype.itemsize
    try:
        memory = np.empty(nbytes + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        return memory[start : start + nbytes].view(dtype).reshape(shape)
    except ValueError as error:
        raise ArgumentValueError(f"shape is {shown(shape)}: {error}", "shape", shape) from None


# ---- Glorot, with fans ---------------------------------------------------------------------------

Function = TypeVar("Function", bound=Callable[..., Any])


def _explained(distribution: str) -> Callable[[Function], Function]:
    """Say what to write where a call has the arguments of torch's function of this name."""

    def explain(function: Function) -> Function:
        signature = inspect.signature(function)

        @wraps(function)
        def explained(*values: Any, **settings: Any) -> Any:
            try:
                return function(*values, **settings)
            except TypeError:
                try:
                    signature.bind(*values, **settings)
                except TypeError as error:
                    raise ArgumentTypeError(
                        f"{function.__name__}: {error}. It takes the fans of a layer, and settings "
                        f"by name: {function.__name__}(array, fan_in, fan_out, gain=1.0). For a "
                        f"distribution with given parameters write fill_(array, {distribution}"
                        f"(...)); glorot_{function.__name__}(array) takes the fans from the shape"
                    ) from None
                raise

        return cast(Function, explained)

    return explain


@_explained("Uniform")
def uniform_(
    array: Array,
    fan_in: float,
    fan_out: float,
    *,
    gain: SupportsFloat | str = 1.0,
    mode: Mode = "fan_avg",
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Shape | None = None,
    offset: Shape | None = None,
    threads: SupportsIndex | None = None,
    cuda_stream: Any = None,
) -> Array:
    """Fill an array in place with Glorot (Xavier) uniform weights.

    U[-a, a] with ``a = gain * sqrt(6 / (fan_in + fan_out))``, of variance
    ``gain**2 * 2 / (fan_in + fan_out)``. The distribution of torch's ``xavier_uniform_`` and of
    ``glorot_uniform`` in JAX and Keras. `xavier_uniform_` takes the fans from the array's shape.

    This is not torch's ``uniform_(tensor, a, b)``: for U[low, high] write
    ``fill_(array, Uniform(low, high))``.

    Parameters
    ----------
    array : array_like
        What is filled; see `fill_`.
    fan_in, fan_out : int or float
        Inputs that feed one unit of the layer and outputs that one input feeds, each at least 1:
        the two extents of a dense layer, channels times kernel size of a convolution. Only an array
        without elements takes smaller ones.
    gain : float or str, default 1
        Factor on the standard deviation, or the name of the activation that follows: see `gain`.
    mode : {"fan_avg", "fan_in", "fan_out", "fan_geo_avg"}
        What the variance is divided by: (fan_in + fan_out) / 2; fan_in, which keeps the variance of
        activations; fan_out, which keeps that of gradients; or sqrt(fan_in * fan_out).
    seed, stream, global_shape, offset, threads, cuda_stream
        Which values, and where; see `fill_`.

    Returns
    -------
    array_like
        The object given as `array`.

    Raises
    ------
    TypeError
        If a fan or the gain has the wrong type, or as `fill_` does.
    ValueError
        If a fan is less than 1, the gain is negative or not finite, or as `fill_` does.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 16.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> w = fx.uniform_(np.empty((256, 128), np.float32), 128, 256, seed=7, stream="fc1.weight")
    >>> bool(abs(w).max() <= np.float32((6 / (128 + 256)) ** 0.5))
    True
    """
    target = _core.target_of(array, cuda_stream)
    fans = _checked_fans(target, "Uniform", fan_in, fan_out)
    glorot = scaling(1, mode, "uniform", gain).with_fans(*fans)
    check_part(global_shape, seed, glorot)
    _core.fill(target, glorot, resolve(seed, stream), global_shape, offset, threads)
    return array


@_explained("Normal")
def normal_(
    array: Array,
    fan_in: float,
    fan_out: float,
    *,
    gain: SupportsFloat | str = 1.0,
    mode: Mode = "fan_avg",
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Shape | None = None,
    offset: Shape | None = None,
    threads: SupportsIndex | None = None,
    cuda_stream: Any = None,
) -> Array:
    """Fill an array in place with Glorot (Xavier) normal weights.

    N(0, sigma**2) with ``sigma = gain * sqrt(2 / (fan_in + fan_out))``, not truncated, drawn by
    the Box-Muller method. The distribution of torch's ``xavier_normal_``; what JAX and Keras call
    ``glorot_normal`` is `truncated_normal_`. `xavier_normal_` takes the fans from the shape.

    This is not torch's ``normal_(tensor, mean, std)``: for N(mean, std**2) write
    ``fill_(array, Normal(mean, std))``.

    Parameters, result and errors are those of `uniform_`.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 12.
    """
    target = _core.target_of(array, cuda_stream)
    fans = _checked_fans(target, "Normal", fan_in, fan_out)
    glorot = scaling(1, mode, "normal", gain).with_fans(*fans)
    check_part(global_shape, seed, glorot)
    _core.fill(target, glorot, resolve(seed, stream), global_shape, offset, threads)
    return array


@_explained("TruncatedNormal")
def truncated_normal_(
    array: Array,
    fan_in: float,
    fan_out: float,
    *,
    gain: SupportsFloat | str = 1.0,
    mode: Mode = "fan_avg",
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Shape | None = None,
    offset: Shape | None = None,
    threads: SupportsIndex | None = None,
    cuda_stream: Any = None,
) -> Array:
    """Fill an array in place with Glorot (Xavier) weights from a truncated normal.

    A normal truncated at two standard deviations, whose std before truncation is
    ``gain * sqrt(2 / (fan_in + fan_out)) / 0.87962566...``, so that the variance after it is
    ``gain**2 * 2 / (fan_in + fan_out)``. The distribution that JAX and Keras call
    ``glorot_normal``; torch has none. `glorot_truncated_normal_` takes the fans from the shape.

    This is not torch's ``trunc_normal_(tensor, mean, std)``: for that write
    ``fill_(array, TruncatedNormal(mean, std))``.

    Parameters, result and errors are those of `uniform_`.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 12.
    """
    target = _core.target_of(array, cuda_stream)
    fans = _checked_fans(target, "TruncatedNormal", fan_in, fan_out)
    glorot = scaling(1, mode, "truncated_normal", gain).with_fans(*fans)
    check_part(global_shape, seed, glorot)
    _core.fill(target, glorot, resolve(seed, stream), global_shape, offset, threads)
    return array


def _checked_fans(target: _core.Target, distribution: str, *fans: Any) -> list[Any]:
    """Both fans; an error for what is written as a mean, a bound or a standard deviation."""
    checked = []
    for name, fan in zip(("fan_in", "fan_out"), fans, strict=True):
        if type(fan) is int and fan >= 1:
            checked.append(fan)
            continue
        if isinstance(fan, (tuple, list, str)) or fan is None:
            raise ArgumentTypeError(
                f"{name} is {shown(fan)}; it must be a number. To take both fans from the shape "
                f"write fill_(array, glorot_{_SNAKE[distribution]}())",
                name,
                fan,
            )
        fan = number(name, fan)
        if fan < 1 and 0 in target.shape:
            fan = 1
        if fan < 1:
            raise ArgumentValueError(
                f"{name} is {shown(fan)}; it must be at least 1: it is a number of connections of "
                "the layer, from which the scale follows. For a "
                f"{_SNAKE[distribution].replace('_', ' ')} distribution with these parameters "
                f"write fill_(array, {distribution}({', '.join(map(shown, fans))}))",
                name,
                fan,
            )
        checked.append(fan)
    return checked


_SNAKE = {"Uniform": "uniform", "Normal": "normal", "TruncatedNormal": "truncated_normal"}
