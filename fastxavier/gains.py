"""Gains: the factor on the weights' std that makes up for an activation. Arithmetic alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, SupportsFloat, TypeAlias

import numpy as np

from fastxavier import _core
from fastxavier._validation import (
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    choice,
    not_negative,
    real,
    shown,
)

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["ACTIVATIONS", "gain", "gain_number"]

Activation: TypeAlias = "Callable[[npt.NDArray[np.float64]], Any]"


def gain(
    activation: str | Activation,
    *,
    negative_slope: SupportsFloat = 0.01,
    convention: Literal["derived", "torch"] = "derived",
) -> float:
    """The factor on the std of the weights that makes up for an activation.

    By the convention "derived" each name has the value of one of two arguments:

    ============  =======================================  ==========
    name          gain                                     argument
    ============  =======================================  ==========
    linear        1                                        both
    tanh          1                                        Taylor
    softsign      1                                        Taylor
    sigmoid       4 (also called logistic)                 Taylor
    relu          sqrt(2)                                  moment
    leaky_relu    sqrt(2 / (1 + negative_slope**2))        moment
    selu          1                                        moment
    gelu          1.5335... (the exact form, with erf)     moment
    silu          1.6765... (also called swish)            moment
    ============  =======================================  ==========

    - Taylor: 1 / f'(0). Small signals stay on the straight part of the curve, where the layer is
      linear with slope f'(0): the assumption of Glorot & Bengio (2010), section 4.2.1, for which
      the sigmoid's slope of 1/4 asks 16 times the variance.
    - moment: E[f(z)**2]**(-1/2) with z ~ N(0, 1), as He et al. (2015), section 2.2, argue for ReLU:
      then units of second moment 1 follow on units of second moment 1.

    A function of your own is given its moment gain. So ``gain(np.tanh)`` is 1.59, not the 1 of
    ``gain("tanh")``: another principle, not another tanh.

    Parameters
    ----------
    activation : str or callable
        A name of the table, or an elementwise NumPy function; it is called once, with a float64
        array of one axis.
    negative_slope : float, default 0.01
        Slope of "leaky_relu" left of zero; the others do not look at it.
    convention : {"derived", "torch"}
        "torch" gives what ``torch.nn.init.calculate_gain`` does: 1 for "linear", "conv1d" to
        "conv3d", "conv_transpose1d" to "conv_transpose3d" and "sigmoid", 5/3 for "tanh", 3/4 for
        "selu", and "relu" and "leaky_relu" as above.

    Returns
    -------
    float
        What initializers take as `gain`; they take the name of the activation too.

    Raises
    ------
    TypeError
        If `activation` is neither, or `negative_slope` is not a real number; or if the function
        raises a TypeError, from which this one is chained.
    ValueError
        If a name or the convention is unknown, `negative_slope` is not finite, or the function
        gives anything but one finite real number for each it is given, is 0 throughout, or grows
        so fast that its second moment is not finite; or if it raises any other exception.

    Notes
    -----
    The integral of a function is taken by Gauss and Legendre's rule of 16 nodes on each eighth of
    [-38, 38], beyond which the normal density is too small for a normal double. A kink or step at a
    multiple of 1/8 falls between two pieces and costs no accuracy; elsewhere
    a step from 0 to 1 between -1 and 1 may move the gain by 5e-3 of itself (one at 0.3 by 3.3e-4),
    and a kink, where the slope changes by 1, by 3e-6. NumPy's functions differ in their last digits
    between machines, and such a gain with them: for the same bits everywhere, write down the
    number.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, section 4.2.1.

    Y. Bengio, "Practical recommendations for gradient-based training of deep architectures", in
    Neural Networks: Tricks of the Trade, Springer 2012, for the sigmoid's 4.

    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: surpassing human-level
    performance on ImageNet classification", ICCV 2015, section 2.2.

    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks",
    NeurIPS 2017, for SELU, whose constants make its second moment 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxavier import gain
    >>> gain("relu"), gain("tanh"), gain("tanh", convention="torch")
    (1.4142135623730951, 1.0, 1.6666666666666667)
    >>> round(gain(np.tanh), 6), round(gain(lambda z: np.clip(z, 0, 6)), 6)
    (1.592537, 1.414214)
    """
    named = _NAMED[choice("convention", convention, _NAMED)]
    if isinstance(activation, str):
        if activation == "leaky_relu":
            return _leaky_gain(negative_slope)
        return named[choice("activation", activation, (*named, "leaky_relu"))]
    if not callable(activation):
        raise ArgumentTypeError(
            f"activation is {shown(activation)}, {a_type(activation)}; it must be a name "
            "or an elementwise function of a NumPy array",
            "activation",
            activation,
            (*named, "leaky_relu"),
        )
    if convention == "torch":
        raise _refused(activation, "for which torch has no gain; give a name, or the gain itself")
    return _moment_gain(activation)


def gain_number(value: SupportsFloat | str) -> float:
    """A gain that is given as a number, or by the name of an activation."""
    if isinstance(value, str):
        return gain(choice("gain", value, ACTIVATIONS))
    return not_negative("gain", value)


def _refused(activation: Any, why: str) -> ArgumentValueError:
    return ArgumentValueError(f"activation is {shown(activation)}, {why}", "activation", activation)


_NAMED: Final[dict[str, dict[str, float]]] = {
    "derived": {
        "linear": 1.0,
        "tanh": 1.0,
        "softsign": 1.0,
        "sigmoid": 4.0,
        "logistic": 4.0,
        "relu": 1.4142135623730951,
        "selu": 1.0,
        "gelu": 1.5335304411955352,  # (1/3 + 1/(2 sqrt(3) pi))**(-1/2)
        "silu": 1.676532470331091,  # no closed form
        "swish": 1.676532470331091,
    },
    "torch": {
        "linear": 1.0,
        "conv1d": 1.0,
        "conv2d": 1.0,
        "conv3d": 1.0,
        "conv_transpose1d": 1.0,
        "conv_transpose2d": 1.0,
        "conv_transpose3d": 1.0,
        "sigmoid": 1.0,
        "tanh": 1.6666666666666667,
        "relu": 1.4142135623730951,
        "selu": 0.75,
    },
}

ACTIVATIONS: Final[tuple[str, ...]] = (*_NAMED["derived"], "leaky_relu")
"""The names that `gain` and the setting of that name take."""


def _leaky_gain(negative_slope: SupportsFloat) -> float:
    slope = abs(real("negative_slope", negative_slope))
    with _core.round_to_nearest():
        if slope > 2**28:  # the 1 is lost in rounding, and before long the square overflows
            return math.sqrt(2) / slope
        return math.sqrt(2 / (1 + slope * slope))


def _moment_gain(function: Activation) -> float:
    """E[f(z)**2]**(-1/2), z ~ N(0, 1)."""
    with _core.round_to_nearest():
        nodes, weights = _normal_quadrature()
        values = _values(function, nodes)
        if values.shape != nodes.shape or values.dtype.kind not in "buif":
            raise _refused(
                function,
                f"which gives {values.dtype} of shape {values.shape} for float64 of shape "
                f"{nodes.shape}; it must give one real number for each",
            )
        finite = np.isfinite(values)
        if not finite.all():
            raise _refused(
                function,
                f"which is {values[~finite][0]} at {nodes[~finite][0]}; it must be finite from -38 "
                "to 38",
            )
        values = np.abs(values.astype(np.float64))
        largest = float(values.max())
        if largest < 1e-300:
            raise _refused(function, "which is 0 everywhere, or nearly so")
        with np.errstate(under="ignore"):
            terms = weights * (values / largest) ** 2
        moment = math.fsum(terms)
        if max(terms[0], terms[-1]) > 1e-9 * moment:
            raise _refused(
                function,
                "which grows faster than the normal density falls: its second moment is not finite",
            )
        return 1 / (largest * math.sqrt(moment))


def _values(function: Activation, nodes: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    try:
        return np.asarray(function(nodes.copy()))
    except Exception as error:
        kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentValueError
        raise kind(
            f"activation is {shown(function)}, which failed on a float64 array of one axis: "
            f"{error}; it must be elementwise, as NumPy's functions are",
            "activation",
            function,
        ) from error


_PANELS_PER_UNIT = 8
_REACH = 38  # further out the normal density is a subnormal double


@lru_cache(maxsize=1)
def _normal_quadrature() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Nodes and weights that integrate against the standard normal density."""
    places, weights = np.polynomial.legendre.leggauss(16)
    half = 0.5 / _PANELS_PER_UNIT
    middles = np.arange(-_REACH + half, _REACH, 2 * half)[:, np.newaxis]
    nodes = (middles + half * places).ravel()
    with np.errstate(under="ignore"):
        density = np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
        return nodes, density * np.tile(half * weights, len(middles))
