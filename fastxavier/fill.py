"""In-place filling: a distribution, a structure, or a scheme that yields one, into an array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex, TypeAlias, TypeVar

from fastxavier import _core
from fastxavier._streams import MODULE_DEFAULT, ModuleDefault, resolve
from fastxavier.distributions import Distribution
from fastxavier.initializers import Mode, glorot_normal, glorot_truncated_normal, glorot_uniform

if TYPE_CHECKING:
    from fastxavier.structured import Layout, Structure

__all__ = ["fill_", "normal_", "orthogonal_", "sparse_", "truncated_normal_", "uniform_"]

Array = TypeVar("Array")
Seed: TypeAlias = SupportsIndex | ModuleDefault | None
Stream: TypeAlias = SupportsIndex | str | None
Place: TypeAlias = Iterable[SupportsIndex] | None


def fill_(
    array: Array,
    distribution: Distribution | Structure,
    *,
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Place = None,
    offset: Place = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Fill an array in place with draws from a distribution.

    Element j of the array, counted in C order whatever its memory layout, takes the value that
    stands at index j of the stream keyed by (`seed`, `stream`). Threads, instruction set, layout,
    shards and the order of calls change no bit of it; docs/stream.md is the contract.

    Parameters
    ----------
    array : array_like
        What is filled: a NumPy array of any layout and alignment, or any other object that exports
        writable CPU memory by the buffer protocol, ``__array_interface__`` or DLPack; float32,
        float64, float16 or ml_dtypes' bfloat16. No copy is made.
    distribution : Distribution or Structure
        The distribution: `Uniform`, `Normal`, `TruncatedNormal` or `Constant`, whose 16-bit values are the
        float32 values rounded once; or a structure of the whole tensor, `Identity`, `Dirac`,
        `Orthogonal`, `DeltaOrthogonal` or `Sparse`.
    seed : int or None, optional
        Any integer from 0 up; beyond 64 bits it is hashed. None takes fresh entropy. If it is not
        given, the module default's seed holds: see `manual_seed`.
    stream : int or str, optional
        Which tensor: an integer below 2**63, or a name, which is hashed and never meets a number.
        If it is not given, a call with `seed` draws stream 0 and a call without it takes the next
        stream of the module default.
    global_shape, offset : sequence of int, optional
        The array is the part that begins at `offset` (default: the origin) of a tensor of shape
        `global_shape`, and gets just the values that a fill of that whole tensor puts there. A
        structure has no parts.
    threads : int, optional
        At most this many threads. If it is not given, as many as OpenMP would use
        (``OMP_NUM_THREADS``, affinity and threadpoolctl's limits), fewer while other processes
        hold the cores, and one for an array too small to be worth more.

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
        If the array is read-only, its elements overlap, it does not lie inside `global_shape`, an
        argument is out of range, or the distribution reaches beyond the dtype. The array, and the module
        default, are then as they were.
    KeyboardInterrupt
        On Ctrl-C, within a tenth of a second; the array is then partly filled.
    RuntimeError
        If the environment variable ``FASTXAVIER_ISA`` names no implementation that runs here.

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
    key = resolve(seed, stream)
    if isinstance(distribution, Distribution):
        _core.fill(array, distribution, key, global_shape, offset, threads)
    else:
        _fill_structure(array, distribution, key, global_shape, offset, threads)
    return array


def _fill_structure(
    array: Any, structure: Structure, key: Any, global_shape: Place, offset: Place, threads: Any
) -> None:
    from fastxavier.structured import Structure  # which most programs need none of

    if not isinstance(structure, Structure):
        raise TypeError(f"distribution is {structure!r}; it must be a Distribution or a Structure")
    if global_shape is not None or offset is not None:
        raise ValueError(
            f"global_shape is {global_shape!r} and offset is {offset!r} for {structure!r}, which "
            "is a structure of the whole tensor: leave them out"
        )
    structure.write(_core.target_of(array).numpy(), key, threads)


def uniform_(
    array: Array,
    fan_in: float,
    fan_out: float,
    gain: SupportsFloat = 1.0,
    *,
    mode: Mode = "fan_avg",
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Place = None,
    offset: Place = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Fill an array in place with Glorot (Xavier) uniform weights.

    U[-a, a] with ``a = gain * sqrt(6 / (fan_in + fan_out))``, of variance
    ``gain**2 * 2 / (fan_in + fan_out)``. The distribution of torch's ``xavier_uniform_`` and of
    ``glorot_uniform`` in JAX and Keras.

    Parameters
    ----------
    array : array_like
        What is filled; see `fill_`.
    fan_in, fan_out : int or float
        Inputs that feed one unit of the layer and outputs that one input feeds: of a dense layer
        its two extents, of a convolution channels times kernel size. Not negative.
    gain : float, default 1
        Factor on the scale, for the activation that follows; 0 gives zeros.
    mode : {"fan_avg", "fan_in", "fan_out"}
        What the variance is divided by: (fan_in + fan_out) / 2; fan_in, which keeps the variance of
        activations (forward pass only); or fan_out, which keeps that of gradients (backward pass
        only).
    seed, stream, global_shape, offset, threads
        Which values, and where; see `fill_`.

    Returns
    -------
    array_like
        The object given as `array`.

    Raises
    ------
    TypeError
        If a fan or the gain is not a real number, or as `fill_` does.
    ValueError
        If a fan is negative or NaN, the fan that `mode` divides by is 0, the gain is negative or
        not finite, or as `fill_` does.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 16.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> w = fx.uniform_(np.empty((256, 128), np.float32), 128, 256, seed=7)
    >>> bool(abs(w).max() <= np.float32((6 / (128 + 256)) ** 0.5))
    True
    """
    distribution = glorot_uniform(fan_in, fan_out, gain, mode)
    return fill_(array, distribution, seed=seed, stream=stream, global_shape=global_shape, offset=offset, threads=threads)  # fmt: skip  # noqa: E501


def normal_(
    array: Array,
    fan_in: float,
    fan_out: float,
    gain: SupportsFloat = 1.0,
    *,
    mode: Mode = "fan_avg",
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Place = None,
    offset: Place = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Fill an array in place with Glorot (Xavier) normal weights.

    N(0, sigma**2) with ``sigma = gain * sqrt(2 / (fan_in + fan_out))``, not truncated, drawn by
    Box and Muller's method. The distribution of torch's ``xavier_normal_``; what JAX and Keras call
    ``glorot_normal`` is `truncated_normal_`.

    Parameters, result and errors are those of `uniform_`.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 12.
    """
    distribution = glorot_normal(fan_in, fan_out, gain, mode)
    return fill_(array, distribution, seed=seed, stream=stream, global_shape=global_shape, offset=offset, threads=threads)  # fmt: skip  # noqa: E501


def truncated_normal_(
    array: Array,
    fan_in: float,
    fan_out: float,
    gain: SupportsFloat = 1.0,
    *,
    mode: Mode = "fan_avg",
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    global_shape: Place = None,
    offset: Place = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Fill an array in place with Glorot (Xavier) weights from a truncated normal.

    A normal cut at two standard deviations, whose parent's std is
    ``gain * sqrt(2 / (fan_in + fan_out)) / 0.87962566...``, so that the variance of what is left is
    the target ``gain**2 * 2 / (fan_in + fan_out)``. The distribution that JAX and Keras call
    ``glorot_normal``; torch has no such scheme.

    Parameters, result and errors are those of `uniform_`.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 12.
    """
    distribution = glorot_truncated_normal(fan_in, fan_out, gain, mode)
    return fill_(array, distribution, seed=seed, stream=stream, global_shape=global_shape, offset=offset, threads=threads)  # fmt: skip  # noqa: E501


def orthogonal_(
    array: Array,
    gain: float = 1.0,
    *,
    layout: Layout = "torch",
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Fill an array in place with a random matrix of orthonormal rows or columns, times a gain.

    ``fill_(array, Orthogonal(gain, layout))``: see `Orthogonal` for the distribution, and for why its bits
    may differ between machines. torch's ``orthogonal_``.

    Parameters
    ----------
    array : array_like
        What is filled, of at least two axes; see `fill_`.
    gain : float, default 1
        Factor on the matrix.
    layout : {"torch", "jax", "keras"}
        Whether units are the first axis, as in torch, or the last.
    seed, stream, threads
        Which values; see `fill_`.

    Returns
    -------
    array_like
        The object given as `array`.

    Raises
    ------
    TypeError, ValueError
        If the array has fewer than two axes, or as `Orthogonal` and `fill_` do.

    References
    ----------
    A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", ICLR 2014.

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> w = fx.orthogonal_(np.empty((64, 128)), seed=7)
    >>> bool(np.allclose(w @ w.T, np.eye(64)))
    True
    """
    from fastxavier.structured import Orthogonal

    return fill_(array, Orthogonal(gain, layout), seed=seed, stream=stream, threads=threads)


def sparse_(
    array: Array,
    sparsity: float,
    std: float = 0.01,
    *,
    seed: Seed = MODULE_DEFAULT,
    stream: Stream = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Fill a matrix in place with so many zeros in every column, and normal values elsewhere.

    ``fill_(array, Sparse(sparsity, std))``: see `Sparse`. torch's ``sparse_``.

    Parameters
    ----------
    array : array_like
        What is filled, of two axes; see `fill_`.
    sparsity : float
        The share of zeros, from 0 to 1: ``ceil(sparsity * rows)`` in each column.
    std : float, default 0.01
        Standard deviation of the other values.
    seed, stream, threads
        Which values; see `fill_`.

    Returns
    -------
    array_like
        The object given as `array`.

    Raises
    ------
    TypeError, ValueError
        If the array has not two axes, or as `Sparse` and `fill_` do.

    References
    ----------
    J. Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 5.
    """
    from fastxavier.structured import Sparse

    return fill_(array, Sparse(sparsity, std), seed=seed, stream=stream, threads=threads)
