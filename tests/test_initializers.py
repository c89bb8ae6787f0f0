"""Initializers with fans: the distribution's parameters from fans, gain and mode."""

import inspect
import math
from fractions import Fraction

import numpy as np
import pytest
from initializer_cases import (
    ALL_MODES,
    BAD_FANS,
    BAD_GAINS,
    MODES,
    STANDARD_TRUNCATED_STD,
    WITH_FANS,
    distribution_of,
    make_of,
    root_of_variance,
    said,
    same_distribution,
)

import fastxavier as fx
from fastxavier.gains import ACTIVATIONS
from fastxavier.initializers import INITIALIZERS

GLOROT = {
    "uniform": (fx.glorot_uniform, fx.uniform_),
    "normal": (fx.glorot_normal, fx.normal_),
    "truncated": (fx.glorot_truncated_normal, fx.truncated_normal_),
}
every_family = pytest.mark.parametrize("family", GLOROT)


FANS = [(256, 128), (1, 1), (3, 1), (1, 3), (27, 4608), (1.5, 1.25), (2**63, 2**63 + 1)]


@every_family
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gain", [1.0, math.sqrt(2), 5 / 3, 1e-3, 7])
def test_formula(family, mode, gain):
    """The distribution's parameters to the last bits, and its std is the formula's."""
    make, _ = GLOROT[family]
    for fan_in, fan_out in FANS:
        std = root_of_variance(1, mode, fan_in, fan_out, gain)
        distribution = make(fan_in, fan_out, gain=gain, mode=mode)
        same_distribution(distribution, distribution_of(family, std), rel=1e-15)
        assert distribution.std == pytest.approx(float(std), rel=2e-15, abs=0)
        assert distribution.mean == 0


@every_family
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fill_is_the_initializer_filled(family, mode, dtype):
    """`uniform_` and its kin are `fill_` with the initializer's distribution."""
    make, fill = GLOROT[family]
    w, expected = np.empty((40, 30), dtype), np.empty((40, 30), dtype)
    assert fill(w, 30, 40, gain=1.5, mode=mode, seed=5, stream="w") is w
    fx.fill_(expected, make(30, 40, gain=1.5, mode=mode), seed=5, stream="w")
    assert w.tobytes() == expected.tobytes()


@every_family
def test_defaults(family):
    """gain 1 and the mean of both fans."""
    make, fill = GLOROT[family]
    assert make(30, 40) == make(30, 40, gain=1.0, mode="fan_avg") == make(40, 30)
    assert make(30, 40) == make(35, 35)
    parameters = inspect.signature(fill).parameters
    assert list(parameters)[:4] == ["array", "fan_in", "fan_out", "gain"]
    assert parameters["gain"].default == 1.0
    assert parameters["mode"].default == "fan_avg"
    for name in ("gain", "mode", "seed", "stream", "global_shape", "offset", "threads"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert name not in ("gain", "mode") or (
            inspect.signature(make).parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        )


def test_known_numbers():
    """Written out by hand."""
    assert fx.glorot_uniform(2, 4).high == 1
    assert fx.glorot_uniform(2, 4, gain=3).bounds == (-3, 3)
    assert fx.glorot_normal(4, 4).std == 0.5
    assert fx.glorot_normal(4, 100, mode="fan_in").std == 0.5
    assert fx.glorot_normal(100, 16, mode="fan_out").std == 0.25
    assert fx.glorot_truncated_normal(4, 4).std == pytest.approx(0.5, rel=1e-15, abs=0)
    assert fx.glorot_truncated_normal(4, 4).parent.std == pytest.approx(
        0.5 / STANDARD_TRUNCATED_STD, rel=1e-15, abs=0
    )


@every_family
def test_variance_of_drawn_weights(family):
    """The empirical variance is gain**2 * 2 / (fan_in + fan_out), the truncated one's too."""
    fan_in, fan_out, gain = 700, 500, 1.5
    w = GLOROT[family][1](np.empty((fan_out, fan_in)), fan_in, fan_out, gain=gain, seed=3)
    variance = gain**2 * 2 / (fan_in + fan_out)
    assert abs(w.mean()) < 5 * math.sqrt(variance / w.size)
    assert w.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / w.size), abs=0)


@every_family
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
def test_enormous_fans(family, fan_in, fan_out):
    """The scale of fans beyond 2**63, and beyond the largest float, is right to the last bits."""
    std = root_of_variance(1, "fan_avg", fan_in, fan_out, 1.25)
    same_distribution(
        GLOROT[family][0](fan_in, fan_out, gain=1.25), distribution_of(family, std), rel=1e-15
    )


@every_family
def test_gain_of_zero_gives_zeros(family):
    """Every dtype, every element."""
    for dtype in (np.float16, np.float32, np.float64):
        w = GLOROT[family][1](np.ones((50, 3), dtype), 3, 50, gain=0, seed=1)
        assert not w.any()


@every_family
def test_numbers_of_any_kind(family):
    """NumPy scalars, fractions and floats are numbers, the fans' sum cannot wrap."""
    make, _ = GLOROT[family]
    assert make(np.int64(30), np.uint8(40), gain=np.float32(2)) == make(30, 40, gain=2)
    assert make(np.array(30), np.array(40.0), gain=np.array(2)) == make(30, 40, gain=2)
    assert make(Fraction(61, 2), Fraction(79, 2)) == make(30.5, 39.5) == make(35, 35)
    assert make(np.uint8(200), np.uint8(200)) == make(200, 200)
    assert make(np.int64(2**63 - 1), np.int64(2**63 - 1)) == make(2**63 - 1, 2**63 - 1)


BAD_MODES = [(value, ValueError) for value in ("fan", "FAN_IN", "", None, 1)]
BAD = [
    *(("fan_in", *each) for each in BAD_FANS),
    *(("fan_out", *each) for each in BAD_FANS),
    *(("gain", *each) for each in (*BAD_GAINS, (None, TypeError))),
    *(("mode", *each) for each in BAD_MODES),
]


@every_family
@pytest.mark.parametrize(("name", "value", "error"), BAD, ids=lambda x: said(x)[:20])
@pytest.mark.parametrize("mode", MODES)
def test_bad_argument(family, name, value, error, mode):
    """Named with its value, in every mode, by the initializer and its fill; nothing is written."""
    make, fill = GLOROT[family]
    arguments = {"fan_in": 3, "fan_out": 4, "gain": 1.0, "mode": mode, name: value}
    w = np.full((4, 3), 0.5)
    fx.manual_seed(6)
    for call in (lambda: make(**arguments), lambda: fill(w, **arguments)):
        with pytest.raises(error, match=rf"\b{name} is ") as raised:
            call()
        assert said(value) in str(raised.value) or str(value)[:50] in str(raised.value)
        assert raised.value.argument == name
        assert raised.value.value is value or np.array_equal(raised.value.value, value, True)
    assert (w == 0.5).all()
    taken = fx.fill_(np.empty(9), fx.Normal())
    assert (taken == fx.fill_(np.empty(9), fx.Normal(), seed=6, stream=0)).all()


@every_family
@pytest.mark.parametrize(
    ("fan_in", "fan_out", "mode"),
    [
        (0, 0, "fan_avg"),
        (0.0, 0, "fan_avg"),
        (0, 5, "fan_in"),
        (5, 0, "fan_out"),
        (-0.0, 0, "fan_avg"),
        (3, 0, "fan_avg"),
        (0, 3, "fan_geo_avg"),
    ],
)
def test_nothing_to_divide_by(family, fan_in, fan_out, mode):
    """A ValueError that names the fan and says the least there is, whatever the gain."""
    for gain in (1, 0):
        with pytest.raises(ValueError, match=r"fan_(in|out) is -?0.*at least 1") as raised:
            GLOROT[family][0](fan_in, fan_out, gain=gain, mode=mode)
        assert raised.value.value == 0


@every_family
@pytest.mark.parametrize(
    ("dtype", "gain"),
    [(np.float16, 2e5), (np.float16, 1e30), (np.float32, 1e39), (np.float64, 1.5e308)],
)
def test_scale_beyond_the_dtype(family, dtype, gain):
    """A ValueError, never an infinity; a scale that fits leaves only finite weights."""
    w = np.full(1000, 0.5, dtype)
    with pytest.raises(ValueError, match=r"beyond|gain"):
        GLOROT[family][1](w, 1, 1, gain=gain, seed=1)
    assert (w == 0.5).all()
    GLOROT[family][1](w, 1, 1, gain=float(np.finfo(dtype).max) / 16, seed=1)
    assert np.isfinite(w).all()
    assert len(set(w.tolist())) > 900


def test_unknown_keyword():
    """A misspelt keyword is an error, not a default, and so is a third positional number."""
    w = np.zeros(3)
    with pytest.raises(TypeError, match="sed"):
        fx.uniform_(w, 1, 1, sed=3)
    with pytest.raises(TypeError):
        fx.uniform_(w, 1, 1, 1.0)
    for make, _ in GLOROT.values():
        with pytest.raises(TypeError):
            make(1, 1, 1.0)
        with pytest.raises(fx.ArgumentTypeError, match="did you mean 'gain'") as raised:
            make(1, 1, gian=2)
        assert raised.value.argument == "gian"
        assert "mode" in raised.value.choices
    assert not w.any()


# ---- the named initializers ----------------------------------------------------------------------

# Name: factor on the variance, and what `mode` is if it is not given. The family is in the name.
PAPERS = {
    "glorot": (1, "fan_avg"),
    "he": (2, "fan_in"),
    "lecun": (1, "fan_in"),
    "heuristic": (Fraction(1, 3), "fan_in"),
}
every_name = pytest.mark.parametrize("name", WITH_FANS)


def split(name):
    """Paper and family."""
    paper, _, family = name.partition("_")
    return paper, {"truncated_normal": "truncated"}.get(family, family)


@every_name
@pytest.mark.parametrize("mode", ALL_MODES)
def test_named_formula(name, mode):
    """The paper's variance, to the last bits, in the distribution of the name."""
    paper, family = split(name)
    for fan_in, fan_out in [(256, 128), (1, 1), (27, 4608), (1.5, 1.25), (2**63, 2**63 + 1)]:
        made = make_of(name)(fan_in, fan_out, mode=mode)
        std = root_of_variance(PAPERS[paper][0], mode, fan_in, fan_out)
        same_distribution(made, distribution_of(family, std), rel=1e-15)
        assert made.variance == pytest.approx(float(std**2), rel=4e-15, abs=0)


@every_name
def test_named_defaults(name):
    """The default mode is the paper's; after the fans everything is keyword-only."""
    make = make_of(name)
    assert make(30, 40) == make(30, 40, mode=PAPERS[split(name)[0]][1])
    parameters = inspect.signature(make).parameters
    assert list(parameters)[:2] == ["fan_in", "fan_out"]
    assert all(one.kind is one.KEYWORD_ONLY for key, one in parameters.items() if "fan" not in key)
    with pytest.raises(TypeError):
        make(30, 40, 1.0)


@every_name
def test_named_is_variance_scaling(name):
    """One formula: the same bits from `variance_scaling`, and the same value without fans."""
    paper, family = split(name)
    scale, mode = PAPERS[paper]
    settings = (
        scale if type(scale) is int else 1 / 3,
        mode,
        {"truncated": "truncated_normal"}.get(family, family),
    )
    make = make_of(name)
    assert make(784, 1000) == fx.variance_scaling(*settings, 784, 1000)
    assert make() == fx.variance_scaling(*settings) == fx.VarianceScaling(*settings)
    axes = {"in_axis": [0], "out_axis": -1, "batch_axis": (1, 2)}
    assert make(**axes) == fx.VarianceScaling(*settings, 1.0, None, (0,), -1, (1, 2))


@every_name
def test_fans_as_they_come(name):
    """Both from `fans`, by keyword, or only the one that the mode uses."""
    make = make_of(name)
    both = fx.fans((40, 30))
    assert make(both) == make(fan_in=both) == make(30, 40) == make(fan_in=30, fan_out=40)
    assert make(30, mode="fan_in") == make(30, 999, mode="fan_in")
    assert make(fan_out=40, mode="fan_out") == make(999, 40, mode="fan_out")
    for mode, missing, given in [
        ("fan_in", "fan_in", {"fan_out": 3}),
        ("fan_out", "fan_out", {"fan_in": 3}),
        ("fan_avg", "fan_out", {"fan_in": 3}),
        ("fan_geo_avg", "fan_in", {"fan_out": 3}),
    ]:
        with pytest.raises(ValueError, match=f"{missing} is missing") as raised:
            make(**given, mode=mode)
        assert raised.value.argument == missing
        assert repr(mode) in str(raised.value)
    with pytest.raises(ValueError, match=r"fan_out is 3 beside .*leave it out") as raised:
        make(both, 3)
    assert raised.value.argument == "fan_out"
    for shape in ((40, 30), [40, 30]):
        with pytest.raises(TypeError, match=r"fan_in is .*fans\(shape\)") as raised:
            make(shape)
        assert raised.value.value is shape
    with pytest.raises(ValueError, match="fan_in is 0"):
        make(fx.fans((3, 0)))


@every_name
@pytest.mark.parametrize("mode", ["fan", "FAN_IN", "", None, 1, "geo"], ids=repr)
def test_named_unknown_mode(name, mode):
    """All modes are listed."""
    with pytest.raises(ValueError, match=r"mode is ") as raised:
        make_of(name)(3, 4, mode=mode)
    assert all(repr(each) in str(raised.value) for each in [mode, *ALL_MODES])
    assert set(raised.value.choices) == set(ALL_MODES)


# float.hex of the bound or std, as the first release gave them: bound, std, std of the parent.
GLOROT_BITS = {
    (1024, 4096, 1.0, "fan_avg"): (
        "0x1.186f174f88472p-5",
        "0x1.43d136248490fp-6",
        "0x1.70217733035c2p-6",
    ),
    (784, 1000, math.sqrt(2), "fan_avg"): (
        *("0x1.4feef14c9bd9ap-4", "0x1.83e7067983473p-5", "0x1.b8fc5ea250fb3p-5"),
    ),
    (27, 4608, 5 / 3, "fan_in"): (
        *("0x1.1c71c71c71c72p-1", "0x1.4872ba2a038cbp-2", "0x1.75653743b7a12p-2"),
    ),
    (27, 4608, 1.0, "fan_out"): (
        *("0x1.a20bd700c2c3ep-6", "0x1.e2b7dddfefa66p-7", "0x1.126370eec6db1p-6"),
    ),
    (2**63, 2**63 + 1, 1.0, "fan_avg"): (
        "0x1.3988e1409212ep-31",
        "0x1.6a09e667f3bcdp-32",
        "0x1.9b9529662a48ap-32",
    ),
    (10**400, 3, 1.25, "fan_avg"): (
        *("0x1.2bfe7e06d0d42p-663", "0x1.5a6742a94b114p-664", "0x1.89cec59cd08b3p-664"),
    ),
    (2.0, 5.0, 14, "fan_avg"): (
        *("0x1.9ec474a261264p+3", "0x1.deeea11683f4ap+2", "0x1.103c80f1a36bbp+3"),
    ),
}


@pytest.mark.parametrize("arguments", GLOROT_BITS, ids=range(len(GLOROT_BITS)))
def test_glorot_bits(arguments):
    """Part of every weight: they never change."""
    *fans, gain, mode = arguments
    got = (
        fx.glorot_uniform(*fans, gain=gain, mode=mode).high,
        fx.glorot_normal(*fans, gain=gain, mode=mode).std,
        fx.glorot_truncated_normal(*fans, gain=gain, mode=mode).parent.std,
    )
    assert got == tuple(map(float.fromhex, GLOROT_BITS[arguments]))


def test_named_known_numbers():
    """Written out by hand, as the papers print them."""
    assert fx.he_normal(8, 999).std == 0.5
    assert fx.he_normal(999, 8, mode="fan_out").std == 0.5
    assert fx.he_normal(fan_in=128).std == 0.125
    assert fx.he_uniform(24, 1).high == 0.5
    assert fx.lecun_normal(16, 1).std == 0.25
    assert fx.lecun_normal(16, 1, gain=3).std == 0.75
    assert fx.lecun_uniform(12, 1).high == 0.5
    for n in (1, 3, 16, 784, 4096):
        assert fx.heuristic_uniform(n, 1).bounds == (-math.sqrt(1 / n), math.sqrt(1 / n))


@every_name
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gain_by_name(name, activation):
    """The number of `gain`; He's own gain is the rectifier's, which a name replaces."""
    make = make_of(name)
    if "gain" not in INITIALIZERS[name].settings:
        with pytest.raises(TypeError, match="'gain' is not an argument"):
            make(30, 40, gain=activation)
        return
    assert make(30, 40, gain=activation) == make(30, 40, gain=fx.gain(activation))
    assert make(gain=activation).gain == activation
    assert make(gain=activation).with_fans(30, 40) == make(30, 40, gain=activation)
    if name.startswith("he_"):
        lecun = make_of(name.replace("he_", "lecun_"))
        assert make(30, gain=activation) == lecun(30, gain=activation)


@pytest.mark.parametrize(
    "slope",
    [0, 0.01, -0.2, 1, 5**0.5, 1e5, 2.0**21, 2.0**27, 2.0**28, 2.0**29, 1e160, 1e200],
    ids=repr,
)
@pytest.mark.parametrize("family", ["uniform", "normal", "truncated_normal"])
def test_he_slope(family, slope):
    """Variance 2 / ((1 + slope**2) * n), equation 15, and no overflow on the way."""
    made = make_of(f"he_{family}")(100, 50, negative_slope=slope)
    variance = Fraction(2) / (1 + Fraction(slope) ** 2)
    std = root_of_variance(variance, "fan_in", 100, 50)
    same_distribution(made, distribution_of(family.partition("_")[0], std), rel=1e-15)


def test_he_meets_its_neighbours():
    """A slope of 1 is linear, LeCun's; torch's slope of sqrt(5) is the old heuristic."""
    linear = fx.he_normal(100, 5, negative_slope=1)
    assert linear.std == pytest.approx(0.1, rel=1e-15, abs=0)
    torch_linear = fx.he_uniform(100, 5, negative_slope=math.sqrt(5))
    same_distribution(torch_linear, fx.heuristic_uniform(100, 5), rel=1e-15)


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
    for family in ("uniform", "normal", "truncated_normal"):
        with pytest.raises(error, match="negative_slope is ") as raised:
            make_of(f"he_{family}")(3, 4, negative_slope=value)
        assert raised.value.argument == "negative_slope"


def test_he_slope_beside_a_gain():
    """A gain replaces the slope: both are a contradiction, whatever they are."""
    for gain in (1.0, 0, "relu", "leaky_relu"):
        with pytest.raises(ValueError, match=r"negative_slope is 0.1 beside gain=") as raised:
            fx.he_normal(3, gain=gain, negative_slope=0.1)
        assert raised.value.argument == "negative_slope"
        assert fx.he_normal(3, gain=gain, negative_slope=0) == fx.lecun_normal(3, gain=gain)
