"""Gains: names against 30 digits, functions against closed forms."""

import doctest
import math

import mpmath
import numpy as np
import pytest

from fastxavier import gains
from fastxavier.gains import gain

# ---- the arguments behind the names, independently -----------------------------------------------

ALPHA, LAMBDA = "1.6732632423543772848170429916717", "1.0507009873554804934193349852946"
FUNCTIONS = {  # for mpmath
    "linear": lambda z: z,
    "tanh": mpmath.tanh,
    "softsign": lambda z: z / (1 + abs(z)),
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "relu": lambda z: max(z, mpmath.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else mpmath.mpf(0.01) * z,
    "selu": lambda z: mpmath.mpf(LAMBDA) * (z if z > 0 else mpmath.mpf(ALPHA) * mpmath.expm1(z)),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
}
SAME = {"logistic": "sigmoid", "swish": "silu"}
BY_TAYLOR = {"tanh", "softsign", "sigmoid", "logistic"}
DERIVED = [*gains._NAMED["derived"], "leaky_relu"]


def moment_gain(function):
    """E[f(z)**2]**(-1/2) at 30 digits; the normal density beyond 13 is below 1e-37."""
    with mpmath.workdps(32):
        places = [mpmath.mpf(k) / 2 for k in range(-26, 27)]
        return 1 / mpmath.sqrt(mpmath.quad(lambda z: function(z) ** 2 * mpmath.npdf(z), places))


@pytest.mark.parametrize("name", DERIVED)
def test_derived(name):
    """Each name's number is what its argument yields, to the last bit."""
    function = FUNCTIONS[SAME.get(name, name)]
    with mpmath.workdps(32):
        expected = 1 / mpmath.diff(function, 0) if name in BY_TAYLOR else moment_gain(function)
        assert abs(gain(name) - expected) <= math.ulp(gain(name)) * 0.75, mpmath.nstr(expected, 30)


def test_gelu_closed_form():
    """(1/3 + 1/(2 sqrt(3) pi))**(-1/2): integration by parts, twice."""
    with mpmath.workdps(30):
        third = mpmath.mpf(1) / 3
        expected = (third + 1 / (2 * mpmath.sqrt(3) * mpmath.pi)) ** -0.5
        assert mpmath.almosteq(expected, moment_gain(FUNCTIONS["gelu"]), 1e-28)
        assert gain("gelu") == float(expected)


def test_sigmoid_takes_sixteen_times_the_variance():
    """Glorot & Bengio assume slope 1 at 0; the sigmoid has 1/4."""
    assert gain("sigmoid") ** 2 == gain("logistic") ** 2 == 16


def test_relu_is_he():
    """Its square is the 2 of He et al., equation 10."""
    assert gain("relu") ** 2 == pytest.approx(2, rel=4e-16)


@pytest.mark.parametrize(
    "slope",
    [0, 0.01, 0.2, -0.3, 1, 5**0.5, 2.0**21, 2.0**27, 2.0**28, 2.0**28 + 2, 1e160, 1e200, 1.7e308],
)
def test_leaky_slope(slope):
    """sqrt(2 / (1 + slope**2)), in both conventions, without overflow."""
    with mpmath.workdps(40):
        expected = mpmath.sqrt(2 / (1 + mpmath.mpf(slope) ** 2))
    for convention in ("derived", "torch"):
        got = gain("leaky_relu", negative_slope=slope, convention=convention)
        assert got == pytest.approx(float(expected), rel=4e-16, abs=0)
    assert gain("relu", negative_slope=slope) == math.sqrt(2)


def test_leaky_meets_its_neighbours():
    """Slope 0 is ReLU, slope 1 linear; the default is torch's 0.01."""
    assert gain("leaky_relu", negative_slope=0) == gain("relu")
    assert gain("leaky_relu", negative_slope=1) == gain("linear")
    assert gain("leaky_relu") == gain("leaky_relu", negative_slope=0.01)


TORCH = {  # torch.nn.init.calculate_gain, release 2.x
    "linear": 1,
    **{f"conv{n}d": 1 for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": 1 for n in (1, 2, 3)},
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1 + 0.01**2)),
    "selu": 3.0 / 4,
}


def test_torch_convention():
    """torch's table, to the bit, and nothing else."""
    assert set(TORCH) == {*gains._NAMED["torch"], "leaky_relu"}
    for name, expected in TORCH.items():
        assert gain(name, convention="torch") == expected


# ---- functions -----------------------------------------------------------------------------------


def step(z):
    return (z > 0).astype(float)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


_ERF = np.vectorize(math.erf)
CLOSED_FORMS = {
    "identity": (lambda z: z, 1),
    "constant": (lambda z: np.full_like(z, -3), mpmath.mpf(1) / 3),
    "abs": (np.abs, 1),
    "square": (np.square, 1 / mpmath.sqrt(3)),
    "fourth power": (lambda z: z**4, 1 / mpmath.sqrt(105)),
    "relu": (lambda z: np.maximum(z, 0), mpmath.sqrt(2)),
    "leaky": (lambda z: np.where(z > 0, z, 0.25 * z), mpmath.sqrt(mpmath.mpf(32) / 17)),
    "step": (step, mpmath.sqrt(2)),
    "step of truth": (lambda z: z > 0, mpmath.sqrt(2)),
    "sign": (np.sign, 1),
    "exp": (np.exp, mpmath.exp(-1)),
    "cos": (np.cos, ((1 + mpmath.exp(-2)) / 2) ** -0.5),
    "relu6": (
        lambda z: np.clip(z, 0, 6),
        mpmath.quad(lambda z: min(z, 6) ** 2 * mpmath.npdf(z), [0, 3, 6, 13]) ** -0.5,
    ),
    "step at 1/8": (lambda z: z > 0.125, mpmath.ncdf(-0.125) ** -0.5),
    "far step": (lambda z: z > 5, mpmath.ncdf(-5) ** -0.5),
    "tiny": (lambda z: 1e-200 * z, mpmath.mpf("1e200")),
    "tinier": (lambda z: 1e-250 * z, mpmath.mpf("1e250")),
    "next to nothing": (lambda z: 1e-299 * np.sign(z), mpmath.mpf("1e299")),
    "large": (lambda z: 1e200 * z, mpmath.mpf("1e-200")),
    "gelu": (lambda z: z * 0.5 * (1 + _ERF(z / math.sqrt(2))), gain("gelu")),
    "silu": (lambda z: z * sigmoid(z), gain("silu")),
    "tanh": (np.tanh, moment_gain(mpmath.tanh)),
    "sigmoid": (sigmoid, moment_gain(FUNCTIONS["sigmoid"])),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_function(name):
    """A dozen roundings from the closed form: kinks and steps at eighths cost nothing."""
    function, expected = CLOSED_FORMS[name]
    assert gain(function) == pytest.approx(float(expected), rel=3e-15, abs=0)


def test_kink_between_the_nodes():
    """Anywhere else a kink costs little: of one panel's mass, what its nodes leave uncertain."""
    expected = mpmath.quad(lambda z: (z - 0.3) ** 2 * mpmath.npdf(z), [0.3, 2, 5, 13]) ** -0.5
    assert gain(lambda z: np.maximum(z - 0.3, 0)) == pytest.approx(float(expected), rel=1e-6, abs=0)


@pytest.mark.parametrize("place", [-0.97, -0.3, 0.001, 0.3, 0.56, 0.9])
def test_step_and_kink_off_the_eighths(place):
    """Within what the notes say; by the moments of a truncated normal."""
    density = math.exp(-(place**2) / 2) / math.sqrt(2 * math.pi)
    above = math.erfc(place / math.sqrt(2)) / 2
    first, second = density - place * above, (1 + place**2) * above - place * density
    assert gain(lambda z: z > place) == pytest.approx(above**-0.5, rel=5e-3, abs=0)
    kink = gain(lambda z: 1 + np.maximum(z - place, 0))
    assert kink == pytest.approx((1 + 2 * first + second) ** -0.5, rel=3e-6, abs=0)
    if place == 0.3:
        assert gain(lambda z: z > place) == pytest.approx(above**-0.5, rel=3.4e-4, abs=0)


def test_same_name_another_principle():
    """gain(np.tanh) keeps the second moment; gain("tanh") is the slope at 0."""
    assert round(gain(np.tanh), 2) == 1.59
    assert gain("tanh") == 1


def test_function_may_work_in_place_and_in_other_dtypes():
    """It owns what it is given, and its result may be of any real dtype."""

    def in_place(z):
        z *= 2
        return z

    assert gain(in_place) == pytest.approx(0.5, rel=3e-15)
    assert gain(in_place) == pytest.approx(0.5, rel=3e-15)
    assert gain(lambda z: z.astype(np.float32)) == pytest.approx(1, rel=1e-7)
    assert gain(lambda z: np.ones(z.shape, np.int8)) == pytest.approx(1, rel=3e-15)
    assert gain(lambda z: z.tolist()) == pytest.approx(1, rel=3e-15)


def test_callers_error_state():
    """Underflow in the tail of the density is ours, not the caller's."""
    with np.errstate(all="raise"):
        gains._normal_quadrature.cache_clear()
        assert gain(lambda z: z) == pytest.approx(1, rel=3e-15)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 3, 1.0, ["relu"], b"relu", np.ones(3)], ids=repr)
@pytest.mark.parametrize("convention", ["derived", "torch"])
def test_no_activation(value, convention):
    """TypeError with the value."""
    with pytest.raises(TypeError, match="activation is ") as raised:
        gain(value, convention=convention)
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize("convention", ["derived", "torch"])
@pytest.mark.parametrize("name", ["Relu", "", "mish", "conv4d"])
def test_unknown_name(name, convention):
    """All names of the convention are listed."""
    with pytest.raises(ValueError, match="activation is ") as raised:
        gain(name, convention=convention)
    known = {"derived": DERIVED, "torch": TORCH}[convention]
    assert raised.value.argument == "activation"
    assert raised.value.value == name
    assert set(raised.value.choices) >= set(known)
    assert all(repr(each) in str(raised.value) for each in [name, *known])


@pytest.mark.parametrize(
    ("name", "convention", "other"),
    [("conv2d", "derived", "torch"), ("gelu", "torch", "derived"), ("silu", "torch", "derived")],
)
def test_name_of_the_other_convention(name, convention, other):
    """A name counts in its own table only."""
    gain(name, convention=other)
    with pytest.raises(ValueError, match=f"activation is '{name}'; it must be one of") as raised:
        gain(name, convention=convention)
    assert name not in raised.value.choices


def test_unknown_convention():
    """Both are listed."""
    for convention in ("keras", "", None):
        with pytest.raises(ValueError, match=r"convention is .*'derived', 'torch'"):
            gain("relu", convention=convention)


def test_function_by_torch():
    """torch has no rule for functions."""
    with pytest.raises(ValueError, match="torch has no gain"):
        gain(np.tanh, convention="torch")


@pytest.mark.parametrize(
    ("slope", "error"),
    [("0.1", TypeError), (True, TypeError), (None, TypeError)]
    + [(value, ValueError) for value in (math.nan, math.inf, 10**400)],
    ids=lambda x: repr(x)[:20],
)
def test_bad_slope(slope, error):
    """Named with its value."""
    with pytest.raises(error, match="negative_slope is "):
        gain("leaky_relu", negative_slope=slope)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z[:-1], "one real number for each"),
        (lambda z: z[:, np.newaxis], "one real number for each"),
        (lambda z: 1.0, "one real number for each"),
        (lambda z: None, "one real number for each"),
        (lambda z: z + 0j, "one real number for each"),
        (lambda z: z.astype(str), "one real number for each"),
        (lambda z: np.where(z > 3, np.nan, z), "nan at 3.0"),
        (lambda z: np.where(z < -30, np.inf, z), "inf at -37.99"),
        (lambda z: 0 * z, "0 everywhere"),
        (lambda z: 0 * z + 5e-324, "0 everywhere"),
        (lambda z: 0 * z + 1e-301, "0 everywhere"),
        (lambda z: np.exp(z * z / 3), "grows faster"),
        (lambda z: np.exp(0.3 * np.minimum(z, 0) ** 2), "grows faster"),
        (lambda z: np.exp(0.3 * np.maximum(z, 0) ** 2), "grows faster"),
    ],
)
def test_function_that_has_no_gain(function, message):
    """ValueError with the function and what is wrong with it."""
    with pytest.raises(ValueError, match=message) as raised:
        gain(function)
    assert repr(function) in str(raised.value)


def test_what_a_function_raises():
    """The error names the function and what it must be, and is chained from the function's own."""
    failed = "failed on a float64 array of one axis: .*; it must be elementwise"
    for function, kind, cause in [
        (math.tanh, TypeError, TypeError),
        (lambda z: z if z > 0 else 0, ValueError, ValueError),
        (lambda z: 1 / 0, ValueError, ZeroDivisionError),
        (lambda z: [z, z[1:]], ValueError, ValueError),
    ]:
        with pytest.raises(kind, match=failed) as raised:
            gain(function)
        assert repr(function) in str(raised.value)
        assert type(raised.value.__cause__) is cause
    with pytest.raises(KeyboardInterrupt):
        gain(interrupted)


def interrupted(z):
    raise KeyboardInterrupt


def test_docstring():
    """The examples print what they show."""
    failed, tried = doctest.testmod(gains)
    assert tried
    assert not failed
