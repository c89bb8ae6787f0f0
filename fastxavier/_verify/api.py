"""`verify`: whether an array, or a whole model, holds draws of the distributions that it should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex, overload

from fastxavier._fans import Layout
from fastxavier._streams import stream_number
from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    instead_of_array,
    integer,
    real,
    shown,
)
from fastxavier._verify.one_array import verify_array
from fastxavier._verify.read import viewed
from fastxavier._verify.report import ModelVerification, Verification
from fastxavier.distributions import Distribution
from fastxavier.initializers import Initializer, resolve

if TYPE_CHECKING:
    from fastxavier.plans import Plan


@overload
def verify(
    array: Mapping[str, Any],
    distribution: Plan | str,
    *,
    false_alarm: SupportsFloat = ...,
    seed: SupportsIndex | None = ...,
) -> ModelVerification: ...
@overload
def verify(
    array: Any,
    distribution: Initializer | str,
    *,
    false_alarm: SupportsFloat = ...,
    layout: Layout = ...,
    seed: SupportsIndex | None = ...,
    stream: SupportsIndex | str | None = ...,
) -> Verification: ...
def verify(
    array: Any,
    distribution: Any,
    *,
    false_alarm: SupportsFloat = 1e-6,
    layout: Layout = "torch",
    seed: SupportsIndex | None = None,
    stream: SupportsIndex | str | None = None,
) -> Verification | ModelVerification:
    """Check whether an array, or a whole model, holds draws of the distribution that it should.

    It does not matter who filled the array. ``verify(array, distribution)`` checks one array, and
    ``verify(arrays, plan)`` each array of a mapping against the distribution that the plan has for
    its name and shape. With `seed`, the question is another one: whether the values are, bit for
    bit, those that `fill_` draws with this seed.

    Parameters
    ----------
    array : array_like, or mapping of str to array_like
        A NumPy array of any layout, a torch tensor or Parameter on the CPU, what ``numpy.asarray``
        makes of other objects, or CPU memory by DLPack; of a dtype that `fill_` fills. It is read
        in pieces and not copied: the memory used is some MiB, and 24 bytes for each of the at most
        2**22 places at which blocks are compared. The arrays of a mapping may also hold integers or
        truth values, if the plan has a constant for them.
    distribution : Distribution, VarianceScaling, StructuredInitializer, str or Plan
        What one array should hold: a distribution such as ``Normal(0, 0.02)``; an initializer such
        as ``he_normal()``, which takes its fans from the array's shape; a structured initializer
        such as ``Orthogonal()``; or a name such as "he_normal". For a mapping, a `Plan`, or the
        name of a preset. "gpt2" is for as many blocks as the names have; if they leave one out, the
        tensors that depend on it are not judged, and ``gpt2_plan(layers=N)`` has to be given.
    false_alarm : float, default 1e-6
        The probability with which right values may fail, between 0 and 1. The tensors of a mapping
        share it.
    layout : {"torch", "jax", "keras", "embedding"}, default "torch"
        Where an initializer that does not say so itself finds the inputs and outputs of one array;
        see `fans`. A plan has its own.
    seed : int, optional
        Compare with the bits of this seed.
    stream : int or str, optional
        The stream of one array, 0 if it is not given. The arrays of a mapping have their names as
        streams, as in `init_`.

    Returns
    -------
    Verification or ModelVerification
        The latter for a mapping. `ok` is the verdict; it prints as a table.

    Raises
    ------
    TypeError
        If an array has another dtype or is not in CPU memory, or `distribution` is none of the
        above.
    ValueError
        If one array holds no value, a distribution reaches beyond the dtype, `false_alarm` is not
        between 0 and 1, or `layout` or `stream` is given where it has no meaning.
    PlanError
        If the plan has no distribution for a tensor.
    ImportError
        If SciPy is missing: ``pip install "fastxavier[verify]"``. Comparing bits does not need it.

    Notes
    -----
    What is checked, in one pass over the values and two over their order:

    - NaNs, infinities, and values outside the distribution's bounds; there may be none. Bounds and
      parameters are first rounded to the dtype, as a fill does.
    - The mean, with standard error sigma / sqrt(n), and the variance, the mean squared distance
      from the distribution's own mean mu, with standard error sqrt((mu4 - sigma**4) / n), where mu4
      is the distribution's fourth central moment: 9/5 sigma**4 for a uniform distribution,
      3 sigma**4 for a normal one. Their probabilities are those of a Pearson III distribution with
      the mean, variance and skewness of the sum. They are judged if the kurtosis of the sum is
      within 0.01 of a normal distribution's, which takes some 300 values for the mean and 1,500 for
      the variance of a normal distribution.
    - The fit. In 16 or 8 bits each representable number is counted. Its probability is
      that of the interval between the midpoints to its neighbours; neighbours are merged into
      groups in which at least 20 values are expected, and a chi-square compares. For float32 and
      float64 it compares about 1,024 intervals of nearly equal probability; for fewer than 65,536
      values, or where there would be fewer than 64 groups, the Kolmogorov-Smirnov distance over
      16,384 intervals is taken instead. A fit that is improbably good fails, too.
    - The minimum and the maximum, whose distributions for n draws are 1 - (1 - F)**n and F**n: an
      outlier fails, and so does a tail that is cut off. A missing tail of probability 2**-22
      passes, since generators that begin with 23 or 24 random bits cannot draw it.
    - Equal values, among fewer than 65,536: how often the most frequent number occurs, m. p is a
      bound on the expected number of sets of m equal values: n! / m! / (n - m)! times q**(m - 2)
      times the sum of p_i**2, where p_i are the probabilities of the numbers and q is the largest.
      For float32 and float64 the sum is q, which is not taken to be less than 2**-22.
    - The correlation of values that are next to each other in C order, and of those that are next
      to each other along the first axis (if at most 131,072 values lie between them), with standard
      error 1 / sqrt(n): sorted values fail, and rows that resemble the one above. They are judged
      from some 2,100 values of a normal distribution on. Neighbours along other axes are not
      compared, nor is anything but a linear dependence seen.
    - Repeated blocks, at any offset, counted along the last axis (C order) or the first one
      (Fortran order): a row that is repeated as a column is found, too, and a block that is
      repeated in reverse or with other signs. Of at most 2**20 values, every repeat of 16
      consecutive ones is found. Of more, one place in s is looked at, chosen by the values there; s
      is 32, and beyond 2**26 values n / 2**21 rounded up to a power of two. A repeat of 15 + 14 s
      different values is then missed with a probability of 1e-6. For narrower dtypes, the 16 become
      as many as chance does not repeat; where a distribution has too few different numbers for
      that, or an array fewer values than two such blocks, repeats are not looked for. Copies that
      are scaled or rounded, or reflected about another number than 0, are not found.

    Where a distribution is so narrow that it reaches at most 16,384 numbers of the dtype in which a
    fill computes (float32 for 16 and 8 bits), each of them is counted, and all of the above follows
    from their exact probabilities. Of fewer than 64 numbers, the fit is the least probable of their
    counts, each of which has a binomial distribution, or the Kolmogorov-Smirnov distance. Since it
    then matters whether parameters are rounded before drawing, as in a fill, or values after it, an
    array passes if it does by one of the two.

    An array passes if each of the k probabilities is at least ``false_alarm / k`` and each count is
    0. By Bonferroni's inequality, draws of the distribution then fail with a probability of at most
    `false_alarm`.

    If the distribution has no variance, each value must be its mean. A structured initializer is
    asked how far the array is from its property, and how far rounding lets it be.

    With `seed`, values are drawn and compared in pieces, so that the memory used is some MiB; only
    structured initializers are drawn whole. Orthogonal matrices may differ by 1e-6 of their gain,
    since LAPACK's results depend on its build.

    References
    ----------
    K. Pearson, "On the criterion that a given system of deviations ... can be reasonably supposed
    to have arisen from random sampling", Philosophical Magazine 50 (1900).
    J. B. S. Haldane, "The exact value of the moments of the distribution of chi-squared, used as a
    test of goodness of fit, when expectations are small", Biometrika 29 (1937).

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> w = fx.normal_(np.empty((512, 256), np.float32), fan_in=256, fan_out=512, seed=7,
    ...                stream="fc1.weight")
    >>> fx.verify(w, fx.glorot_normal(256, 512)).ok
    True
    >>> fx.verify(w, fx.glorot_normal(256, 512, mode="fan_in")).failures
    ('variance', 'fit')
    >>> fx.verify(w, fx.glorot_normal(256, 512), seed=7, stream="fc1.weight").ok
    True
    """
    allowed = real("false_alarm", false_alarm)
    if not 0 < allowed < 1:
        raise ArgumentValueError(
            f"false_alarm is {allowed}; it must be between 0 and 1", "false_alarm", allowed
        )
    number = None if seed is None else integer("seed", seed)
    if stream is not None:
        stream_number(stream)
        stream = stream if isinstance(stream, str) else integer("stream", stream)
        if number is None:
            raise _useless("stream", stream, "it needs a seed")
    if isinstance(array, Mapping):
        from fastxavier._verify.model import verify_mapping

        if stream is not None:
            raise _useless("stream", stream, "the streams of a mapping are its names")
        if layout != "torch":
            raise _useless("layout", layout, "a plan has its own layout")
        return verify_mapping(array, distribution, allowed, number)
    _check_one(array, distribution)
    values = viewed(array)
    resolved = resolve(distribution, values.shape, layout)
    return verify_array(values, resolved, allowed, number, stream)


def _useless(argument: str, value: Any, why: str) -> ArgumentValueError:
    return ArgumentValueError(
        f"{argument} is {shown(value)}, but {why}; leave it out", argument, value
    )


def _check_one(array: Any, distribution: Any) -> None:
    """Refuse a module, an iterator, and a plan for one array."""
    instead = instead_of_array(array, "verify")
    if instead:
        raise ArgumentTypeError(
            f"array is {a_type(array)}; it must be an array, or a mapping from names to arrays"
            + instead,
            "array",
            array,
        )
    if isinstance(distribution, Distribution):
        return
    from fastxavier.plans import Plan

    if isinstance(distribution, Plan):
        raise ArgumentTypeError(
            "distribution is a Plan, but array is not a mapping of names to arrays; "
            "write verify(dict(module.named_parameters()), plan)",
            "distribution",
            distribution,
        )
