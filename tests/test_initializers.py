"""Schemes: a distribution's parameters from fans, gain and mode."""

import inspect
import math
import pathlib
import re
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import catalog
from fastxavier import initializers as schemes
from fastxavier import structured as structures

STANDARD_CUT = 0.87962566103423978
SCHEMES = {
    "uniform": (fx.glorot_uniform, fx.uniform_),
    "normal": (fx.glorot_normal, fx.normal_),
    "truncated": (fx.glorot_truncated_normal, fx.truncated_normal_),
}
every_scheme = pytest.mark.parametrize("scheme", SCHEMES)
MODES = ["fan_avg", "fan_in", "fan_out"]


def target_std(fan_in, fan_out, gain, mode):
    """gain * sqrt(2 / (fan_in + fan_out)), or over one fan alone; at 40 digits."""
    with mpmath.workdps(40):

        def number(x):
            x = Fraction(x)
            return mpmath.mpf(x.numerator) / x.denominator

        fan_in, fan_out = number(fan_in), number(fan_out)
        fan = {"fan_avg": (fan_in + fan_out) / 2, "fan_in": fan_in, "fan_out": fan_out}[mode]
        return number(gain) / mpmath.sqrt(fan)


def distribution_of(scheme, std):
    """The distribution whose standard deviation is the target."""
    with mpmath.workdps(40):
        if scheme == "uniform":
            bound = float(std * mpmath.sqrt(3))
            return fx.Uniform(-bound, bound)
        return (
            fx.Normal(0, float(std))
            if scheme == "normal"
            else fx.TruncatedNormal(0, float(std / mpmath.mpf(STANDARD_CUT)))
        )


def same_distribution(got, expected, rel=4e-16):
    assert type(got) is type(expected)
    if isinstance(got, fx.Uniform):
        assert got.low == -got.high
        assert got.high == pytest.approx(expected.high, rel=rel, abs=0)
        return
    if isinstance(got, fx.TruncatedNormal):
        assert (got.low, got.high) == (-2, 2)
        got, expected = got.parent, expected.parent
    assert got.mean == 0
    assert got.std == pytest.approx(expected.std, rel=rel, abs=0)


FANS = [(256, 128), (1, 1), (3, 0), (0, 3), (27, 4608), (0.5, 1.25), (2**63, 2**63 + 1)]


@every_scheme
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gain", [1.0, math.sqrt(2), 5 / 3, 1e-3, 7])
def test_formula(scheme, mode, gain):
    """The distribution's parameters to the last bits, and its std is the target."""
    make, _ = SCHEMES[scheme]
    for fan_in, fan_out in FANS:
        if {"fan_in": fan_in, "fan_out": fan_out}.get(mode) == 0:
            continue
        std = target_std(fan_in, fan_out, gain, mode)
        distribution = make(fan_in, fan_out, gain, mode)
        same_distribution(distribution, distribution_of(scheme, std), rel=1e-15)
        assert distribution.std == pytest.approx(float(std), rel=2e-15, abs=0)
        assert distribution.mean == 0


@every_scheme
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fill_is_the_scheme_filled(scheme, mode, dtype):
    """`uniform_` and its kin are `fill_` with the scheme's distribution."""
    make, fill = SCHEMES[scheme]
    w, expected = np.empty((40, 30), dtype), np.empty((40, 30), dtype)
    assert fill(w, 30, 40, 1.5, mode=mode, seed=5, stream="w") is w
    fx.fill_(expected, make(30, 40, 1.5, mode), seed=5, stream="w")
    assert w.tobytes() == expected.tobytes()


@every_scheme
def test_defaults(scheme):
    """gain 1 and the mean of both fans."""
    make, fill = SCHEMES[scheme]
    assert make(30, 40) == make(30, 40, 1.0, "fan_avg") == make(40, 30)
    assert make(30, 40) == make(35, 35)
    parameters = inspect.signature(fill).parameters
    assert list(parameters)[:4] == ["array", "fan_in", "fan_out", "gain"]
    assert parameters["gain"].default == 1.0
    assert parameters["mode"].default == "fan_avg"
    assert parameters["mode"].kind is inspect.Parameter.KEYWORD_ONLY


def test_known_numbers():
    """Written out by hand."""
    assert fx.glorot_uniform(2, 4).high == 1
    assert fx.glorot_uniform(2, 4, 3).bounds == (-3, 3)
    assert fx.glorot_normal(4, 4).std == 0.5
    assert fx.glorot_normal(4, 100, mode="fan_in").std == 0.5
    assert fx.glorot_normal(100, 16, mode="fan_out").std == 0.25
    assert fx.glorot_truncated_normal(4, 4).std == pytest.approx(0.5, rel=1e-15, abs=0)
    assert fx.glorot_truncated_normal(4, 4).parent.std == pytest.approx(
        0.5 / STANDARD_CUT, rel=1e-15, abs=0
    )


@every_scheme
def test_variance_of_drawn_weights(scheme):
    """The empirical variance is gain**2 * 2 / (fan_in + fan_out), the truncated one's too."""
    fan_in, fan_out, gain = 700, 500, 1.5
    w = SCHEMES[scheme][1](np.empty((fan_out, fan_in)), fan_in, fan_out, gain, seed=3)
    target = gain**2 * 2 / (fan_in + fan_out)
    assert abs(w.mean()) < 5 * math.sqrt(target / w.size)
    assert w.var() == pytest.approx(target, rel=5 * math.sqrt(2 / w.size), abs=0)


@every_scheme
@pytest.mark.parametrize(
    ("fan_in", "fan_out"),
    [
        (10**20, 1),
        (2**200, 2**199),
        (10**320, 10**320),
        (10**400, 10**400),
        (10**400, 3),
        (10**400, 2.5),
        (1e308, 1e308),
        (10**308, 1e308),
    ],
    ids=range(8),
)
def test_enormous_fans(scheme, fan_in, fan_out):
    """The scale of fans beyond 2**63, and beyond the largest float, is right to the last bits."""
    std = target_std(fan_in, fan_out, 1.25, "fan_avg")
    same_distribution(
        SCHEMES[scheme][0](fan_in, fan_out, 1.25), distribution_of(scheme, std), rel=1e-15
    )


@every_scheme
def test_gain_of_zero_gives_zeros(scheme):
    """Every dtype, every element."""
    for dtype in (np.float16, np.float32, np.float64):
        w = SCHEMES[scheme][1](np.ones((50, 3), dtype), 3, 50, 0, seed=1)
        assert not w.any()


@every_scheme
def test_numbers_of_any_kind(scheme):
    """NumPy scalars, fractions and floats are numbers, the fans' sum cannot wrap."""
    make, _ = SCHEMES[scheme]
    assert make(np.int64(30), np.uint8(40), np.float32(2)) == make(30, 40, 2)
    assert make(Fraction(61, 2), Fraction(79, 2)) == make(30.5, 39.5) == make(35, 35)
    assert make(np.uint8(200), np.uint8(200)) == make(200, 200)
    assert make(np.int64(2**63 - 1), np.int64(2**63 - 1)) == make(2**63 - 1, 2**63 - 1)


BAD = [
    ("fan_in", -1, ValueError),
    ("fan_in", -0.5, ValueError),
    ("fan_in", -(10**400), ValueError),
    ("fan_in", math.nan, ValueError),
    ("fan_in", math.inf, ValueError),
    ("fan_in", True, TypeError),
    ("fan_in", np.True_, TypeError),
    ("fan_in", "3", TypeError),
    ("fan_in", None, TypeError),
    ("fan_in", 3j, TypeError),
    ("fan_in", (3, 4), TypeError),
    ("fan_in", np.array([3, 4]), TypeError),
    ("gain", -1, ValueError),
    ("gain", -1e-300, ValueError),
    ("gain", math.nan, ValueError),
    ("gain", math.inf, ValueError),
    ("gain", 10**400, ValueError),
    ("gain", "relu", TypeError),
    ("gain", True, TypeError),
    ("gain", None, TypeError),
    ("gain", 1j, TypeError),
    ("mode", "fan", ValueError),
    ("mode", "FAN_IN", ValueError),
    ("mode", "", ValueError),
    ("mode", None, (TypeError, ValueError)),
    ("mode", 1, (TypeError, ValueError)),
]
BAD += [("fan_out", value, error) for name, value, error in BAD if name == "fan_in"]


@every_scheme
@pytest.mark.parametrize(("name", "value", "error"), BAD, ids=lambda x: repr(x)[:20])
@pytest.mark.parametrize("mode", MODES)
def test_bad_argument(scheme, name, value, error, mode):
    """Named with its value, in every mode, by the scheme and by its fill; nothing is written."""
    make, fill = SCHEMES[scheme]
    arguments = {"fan_in": 3, "fan_out": 4, "gain": 1.0, "mode": mode, name: value}
    w = np.full((4, 3), 0.5)
    fx.manual_seed(6)
    for call in (lambda: make(**arguments), lambda: fill(w, **arguments)):
        with pytest.raises(error, match=rf"\b{name} is ") as raised:
            call()
        text = str(raised.value)
        assert str(value)[:50] in text or repr(value)[:50] in text
    assert (w == 0.5).all()
    taken = fx.fill_(np.empty(9), fx.Normal())
    assert (taken == fx.fill_(np.empty(9), fx.Normal(), seed=6, stream=0)).all()


@every_scheme
@pytest.mark.parametrize(
    ("fan_in", "fan_out", "mode"),
    [
        (0, 0, "fan_avg"),
        (0.0, 0, "fan_avg"),
        (0, 5, "fan_in"),
        (5, 0, "fan_out"),
        (-0.0, 0, "fan_avg"),
    ],
)
def test_nothing_to_divide_by(scheme, fan_in, fan_out, mode):
    """A ValueError that names both fans and the mode, whatever the gain."""
    for gain in (1, 0):
        with pytest.raises(ValueError, match=r"fan_in is .* fan_out is ") as raised:
            SCHEMES[scheme][0](fan_in, fan_out, gain, mode)
        assert mode in str(raised.value)


@every_scheme
@pytest.mark.parametrize(
    ("dtype", "gain"),
    [(np.float16, 2e5), (np.float16, 1e30), (np.float32, 1e39), (np.float64, 1e308)],
)
def test_scale_beyond_the_dtype(scheme, dtype, gain):
    """A ValueError, never an infinity; a scale that fits leaves only finite weights."""
    fan = 1e-3 if dtype is np.float64 else 1
    w = np.full(1000, 0.5, dtype)
    with pytest.raises(ValueError, match=r"beyond|gain"):
        SCHEMES[scheme][1](w, fan, fan, gain, seed=1)
    assert (w == 0.5).all()
    SCHEMES[scheme][1](w, 1, 1, float(np.finfo(dtype).max) / 16, seed=1)
    assert np.isfinite(w).all()
    assert len(set(w.tolist())) > 900


def test_unknown_keyword():
    """A misspelt keyword is an error, not a default."""
    w = np.zeros(3)
    with pytest.raises(TypeError, match="sed"):
        fx.uniform_(w, 1, 1, sed=3)
    with pytest.raises(TypeError):
        fx.uniform_(w, 1, 1, 1.0, "fan_in")
    assert not w.any()


# ---- the named schemes ---------------------------------------------------------------------------

# Name: factor on the variance, and what `mode` is if it is not given. The distribution is in the name.
PAPERS = {
    "glorot": (1, "fan_avg"),
    "he": (2, "fan_in"),
    "lecun": (1, "fan_in"),
    "heuristic": (Fraction(1, 3), "fan_in"),
}
WITH_FANS = sorted(
    name
    for name, make in catalog.SCHEMES.items()
    if "fan_in" in inspect.signature(make).parameters and name != "variance_scaling"
)
every_name = pytest.mark.parametrize("name", WITH_FANS)
ALL_MODES = [*MODES, "fan_geo_avg"]


def split(name):
    """Paper and distribution."""
    paper, _, distribution = name.partition("_")
    return paper, {"truncated_normal": "truncated"}.get(distribution, distribution)


def root_of_variance(scale, mode, fan_in, fan_out, gain=1):
    """gain * sqrt(scale / n) at 40 digits."""
    with mpmath.workdps(40):

        def number(x):
            x = Fraction(x)
            return mpmath.mpf(x.numerator) / x.denominator

        a, b = number(fan_in), number(fan_out)
        n = {"fan_avg": (a + b) / 2, "fan_in": a, "fan_out": b, "fan_geo_avg": mpmath.sqrt(a * b)}
        return number(gain) * mpmath.sqrt(number(scale) / n[mode])


def test_catalog_is_complete():
    """Every scheme of the module stands in the catalog by its name, and each name means a start."""
    for name in schemes.__all__:
        assert name == "Mode" or catalog.SCHEMES[name] is getattr(schemes, name)
    assert len(WITH_FANS) == 10
    others = set(catalog.SCHEMES) - set(schemes.__all__)
    assert others == {
        *("uniform", "normal", "truncated_normal", "constant", "zeros", "ones"),
        *("identity", "dirac", "orthogonal", "delta_orthogonal", "sparse"),
    }
    assert catalog.SCHEMES["zeros"]() == fx.Constant(0)
    assert catalog.SCHEMES["ones"]() == fx.Constant(1)
    required = {"uniform": (0, 1), "constant": (2,), "sparse": (0.5,)}
    for name in others | {"fixed_uniform", "fixed_normal"}:
        made = catalog.SCHEMES[name](*required.get(name, ()))
        assert isinstance(made, (fx.Distribution, structures.Structure))


@every_name
@pytest.mark.parametrize("mode", ALL_MODES)
def test_named_formula(name, mode):
    """The paper's variance, to the last bits, in the distribution of the name."""
    paper, distribution = split(name)
    for fan_in, fan_out in [(256, 128), (1, 1), (27, 4608), (0.5, 1.25), (2**63, 2**63 + 1)]:
        made = catalog.SCHEMES[name](fan_in, fan_out, mode=mode)
        std = root_of_variance(PAPERS[paper][0], mode, fan_in, fan_out)
        same_distribution(made, distribution_of(distribution, std), rel=1e-15)
        assert made.variance == pytest.approx(float(std**2), rel=4e-15, abs=0)


@every_name
def test_named_defaults(name):
    """The default mode is the paper's."""
    make = catalog.SCHEMES[name]
    assert make(30, 40) == make(30, 40, mode=PAPERS[split(name)[0]][1])
    assert list(inspect.signature(make).parameters)[:2] == ["fan_in", "fan_out"]


@every_name
def test_named_is_variance_scaling(name):
    """One formula: the same bits from `variance_scaling`."""
    paper, distribution = split(name)
    scale, mode = PAPERS[paper]
    distribution = {"truncated": "truncated_normal"}.get(distribution, distribution)
    made = catalog.SCHEMES[name](784, 1000)
    assert made == schemes.variance_scaling(
        scale if type(scale) is int else 1 / 3, mode, distribution, 784, 1000
    )


@every_name
@pytest.mark.parametrize("mode", ["fan", "FAN_IN", "", None, 1, "geo"], ids=repr)
def test_named_unknown_mode(name, mode):
    """All modes are listed."""
    with pytest.raises(ValueError, match=r"mode is ") as raised:
        catalog.SCHEMES[name](3, 4, mode=mode)
    assert all(repr(each) in str(raised.value) for each in [mode, *ALL_MODES])


# float.hex of the bound or std, as the first release gave them: bound, std, std of the parent.
GLOROT_BITS = {
    (1024, 4096): ("0x1.186f174f88472p-5", "0x1.43d136248490fp-6", "0x1.70217733035c2p-6"),
    (784, 1000, math.sqrt(2)): (
        *("0x1.4feef14c9bd9ap-4", "0x1.83e7067983473p-5", "0x1.b8fc5ea250fb3p-5"),
    ),
    (27, 4608, 5 / 3, "fan_in"): (
        *("0x1.1c71c71c71c72p-1", "0x1.4872ba2a038cbp-2", "0x1.75653743b7a12p-2"),
    ),
    (27, 4608, 1.0, "fan_out"): (
        *("0x1.a20bd700c2c3ep-6", "0x1.e2b7dddfefa66p-7", "0x1.126370eec6db1p-6"),
    ),
    (2**63, 2**63 + 1): ("0x1.3988e1409212ep-31", "0x1.6a09e667f3bcdp-32", "0x1.9b9529662a48ap-32"),
    (10**400, 3, 1.25): (
        *("0x1.2bfe7e06d0d42p-663", "0x1.5a6742a94b114p-664", "0x1.89cec59cd08b3p-664"),
    ),
    (0.5, 1.25, 7): ("0x1.9ec474a261264p+3", "0x1.deeea11683f4ap+2", "0x1.103c80f1a36bbp+3"),
}


@pytest.mark.parametrize("arguments", GLOROT_BITS, ids=range(len(GLOROT_BITS)))
def test_glorot_bits(arguments):
    """Part of every weight: they never change."""
    got = (
        fx.glorot_uniform(*arguments).high,
        fx.glorot_normal(*arguments).std,
        fx.glorot_truncated_normal(*arguments).parent.std,
    )
    assert got == tuple(map(float.fromhex, GLOROT_BITS[arguments]))


def test_named_known_numbers():
    """Written out by hand, as the papers print them."""
    assert schemes.he_normal(8, 999).std == 0.5
    assert schemes.he_normal(999, 8, mode="fan_out").std == 0.5
    assert schemes.he_uniform(24, 1).high == 0.5
    assert schemes.lecun_normal(16, 1).std == 0.25
    assert schemes.lecun_normal(16, 1, 3).std == 0.75
    assert schemes.lecun_uniform(12, 1).high == 0.5
    for n in (1, 3, 16, 784, 4096):
        assert schemes.heuristic_uniform(n, 1).bounds == (-math.sqrt(1 / n), math.sqrt(1 / n))
    assert schemes.variance_scaling(1, "fan_geo_avg", "normal", 2, 8).std == 0.5


@pytest.mark.parametrize("slope", [0, 0.01, -0.2, 1, math.sqrt(5), 1e5, 2.0**29, 1e200], ids=repr)
@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal"])
def test_he_slope(distribution, slope):
    """Variance 2 / ((1 + slope**2) * n), equation 15, and no overflow on the way."""
    made = catalog.SCHEMES[f"he_{distribution}"](100, 50, slope)
    variance = Fraction(2) / (1 + Fraction(slope) ** 2)
    std = root_of_variance(variance, "fan_in", 100, 50)
    same_distribution(made, distribution_of(distribution.partition("_")[0], std), rel=1e-15)


def test_he_meets_its_neighbours():
    """A slope of 1 is linear, LeCun's; torch's slope of sqrt(5) is the old heuristic."""
    assert schemes.he_normal(100, 5, 1).std == pytest.approx(0.1, rel=1e-15, abs=0)
    torch_linear = schemes.he_uniform(100, 5, math.sqrt(5))
    same_distribution(torch_linear, schemes.heuristic_uniform(100, 5), rel=1e-15)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        *((value, TypeError) for value in ("relu", True, None)),
        *((value, ValueError) for value in (math.nan, math.inf, 10**400)),
    ],
    ids=lambda x: repr(x)[:20],
)
def test_he_bad_slope(value, error):
    """Named with its value."""
    for distribution in ("uniform", "normal", "truncated_normal"):
        with pytest.raises(error, match="negative_slope is "):
            catalog.SCHEMES[f"he_{distribution}"](3, 4, value)


# ---- variance scaling ----------------------------------------------------------------------------

DISTRIBUTIONS = ["uniform", "normal", "truncated_normal"]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize(
    "scale",
    [1, 2, 0.5, 1 / 3, 2.6, 10**30, Fraction(1, 7), 1e-300, 5e-324, 1.7e308, 10**400],
    ids=repr,
)
def test_variance_scaling(distribution, mode, scale):
    """gain**2 * scale / n to the last bits, wherever the result is a float."""
    number = scale if isinstance(scale, int) else float(scale)
    for fan_in, fan_out in [
        (30, 7),
        (2**64 + 1, 3),
        (1e-300, 1e-310),
        (1e300, 1e305),
        (0.1, 10**400),
    ]:
        std = root_of_variance(number, mode, fan_in, fan_out, 1.5)
        if not 1e-300 < std < 1e300:
            continue
        made = schemes.variance_scaling(scale, mode, distribution, fan_in, fan_out, 1.5)
        same_distribution(made, distribution_of(distribution.partition("_")[0], std), rel=1e-15)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_scale_of_zero(distribution):
    """A variance of 0, as from a gain of 0."""
    for mode in ALL_MODES:
        assert schemes.variance_scaling(0, mode, distribution, 3, 4).std == 0
        assert schemes.variance_scaling(0.0, mode, distribution, 3, 10**400).std == 0


def test_geometric_mean_lies_between():
    """The geometric mean of the fans is at most the arithmetic one: never less variance."""
    for fan_in, fan_out in [(1, 1), (3, 5), (10**9, 1), (10**400, 10**399)]:
        geometric = schemes.variance_scaling(1, "fan_geo_avg", "normal", fan_in, fan_out).std
        arithmetic = schemes.variance_scaling(1, "fan_avg", "normal", fan_in, fan_out).std
        assert geometric >= arithmetic
        assert (geometric == arithmetic) == (fan_in == fan_out)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("scale", value, error) for n, value, error in BAD if n == "fan_in"]
    + [("gain", value, error) for n, value, error in BAD if n == "gain"]
    + [("fan_out", 0, ValueError), ("fan_in", 0.0, ValueError)],
    ids=lambda x: repr(x)[:20],
)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_variance_scaling_bad_number(distribution, name, value, error):
    """Named with its value."""
    arguments = {"scale": 1.0, "fan_in": 3, "fan_out": 4, "gain": 1.0, name: value}
    with pytest.raises(error, match=rf"\b{name} is ") as raised:
        schemes.variance_scaling(mode="fan_geo_avg", distribution=distribution, **arguments)
    assert str(value)[:50] in str(raised.value) or repr(value)[:50] in str(raised.value)


@pytest.mark.parametrize(
    "distribution", ["truncated", "Uniform", "", None, 3, ["uniform"], {}], ids=repr
)
def test_variance_scaling_unknown_distribution(distribution):
    """The three are listed."""
    with pytest.raises(ValueError, match=r"distribution is ") as raised:
        schemes.variance_scaling(1, "fan_in", distribution, 3, 4)
    assert all(repr(each) in str(raised.value) for each in [distribution, *DISTRIBUTIONS])


def test_variance_scaling_beyond_the_floats():
    """Refused with every number that had a part in it."""
    for arguments in [
        (1e308, "fan_in", "normal", 1e-320, 1),
        (10**1000, "fan_in", "uniform", 1, 1),
    ]:
        with pytest.raises(ValueError, match=r"beyond the largest float") as raised:
            schemes.variance_scaling(*arguments, 1e300)
        assert str(arguments[0]) in str(raised.value)


# ---- without fans --------------------------------------------------------------------------------


def test_fixed():
    """The bounds and the std as they are given, and the defaults."""
    assert schemes.fixed_uniform(0.25) == fx.Uniform(-0.25, 0.25)
    assert schemes.fixed_uniform() == fx.Uniform(-0.1, 0.1)
    assert schemes.fixed_normal(0.25) == fx.Normal(0, 0.25)
    assert schemes.fixed_normal() == fx.Normal(0, 0.02)
    assert schemes.fixed_uniform(np.float32(0.5)) == schemes.fixed_uniform(Fraction(1, 2))
    assert schemes.fixed_uniform(0).std == schemes.fixed_normal(0).std == 0


@pytest.mark.parametrize(
    ("value", "error"),
    [
        *((value, TypeError) for value in ("1", True, None)),
        *((value, ValueError) for value in (-1, math.nan, math.inf)),
    ],
    ids=repr,
)
def test_fixed_bad_number(value, error):
    """Named with its value."""
    with pytest.raises(error, match="bound is "):
        schemes.fixed_uniform(value)
    with pytest.raises(error, match="std is "):
        schemes.fixed_normal(value)


@pytest.mark.parametrize("name", [name for name in schemes.__all__ if name != "Mode"])
def test_docstring_says_all(name):
    """Every parameter, the class that comes back, the errors, and an example."""
    make = getattr(schemes, name)
    text = inspect.getdoc(make)
    for title in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"\n{title}\n{'-' * len(title)}\n" in text
    section = text.partition("Parameters\n")[2].partition("Returns\n")[0]
    described = {
        name.strip()
        for line in re.findall(r"^(\S.*) : ", section, re.M)
        for name in line.split(",")
    }
    assert described == set(inspect.signature(make).parameters)


PEERS = {  # public names of torch 2.x, jax 0.x and Keras 3, without aliases
    "torch": "zeros_ ones_ constant_ uniform_ normal_ trunc_normal_ xavier_uniform_ xavier_normal_ "
    "kaiming_uniform_ kaiming_normal_ orthogonal_ eye_ dirac_ sparse_ calculate_gain",
    "jax": "zeros ones constant uniform normal truncated_normal variance_scaling glorot_uniform "
    "xavier_uniform glorot_normal xavier_normal he_uniform kaiming_uniform he_normal "
    "kaiming_normal lecun_uniform lecun_normal orthogonal delta_orthogonal",
    "keras": "Zeros Ones Constant RandomUniform RandomNormal TruncatedNormal VarianceScaling "
    "GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal Orthogonal Identity "
    "STFT",
}


def test_every_initialiser_of_the_peers_is_in_the_table():
    """Each once, and each name of ours there is one that can be imported."""
    page = pathlib.Path(__file__).resolve().parents[1] / "docs" / "choosing.md"
    table = page.read_text().partition("| torch.nn.init |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    for column, names in enumerate(PEERS.values()):
        shown = [name for row in cells for name in re.findall(r"`(\w+)", row[column])]
        assert sorted(shown) == sorted(names.split())
    for row in cells:
        for name in re.findall(r"`(\w+)", row[3]):
            assert any(hasattr(room, name) for room in (fx, structures))
