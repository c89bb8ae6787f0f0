"""Schemes: a law's parameters from fans, gain and mode."""

import inspect
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import fastxavier as fx

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


def law_of(scheme, std):
    """The law whose standard deviation is the target."""
    with mpmath.workdps(40):
        if scheme == "uniform":
            bound = float(std * mpmath.sqrt(3))
            return fx.Uniform(-bound, bound)
        return (
            fx.Normal(0, float(std))
            if scheme == "normal"
            else fx.TruncatedNormal(0, float(std / mpmath.mpf(STANDARD_CUT)))
        )


def same_law(got, expected, rel=4e-16):
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
    """The law's parameters to the last bits, and its std is the target."""
    make, _ = SCHEMES[scheme]
    for fan_in, fan_out in FANS:
        if {"fan_in": fan_in, "fan_out": fan_out}.get(mode) == 0:
            continue
        std = target_std(fan_in, fan_out, gain, mode)
        law = make(fan_in, fan_out, gain, mode)
        same_law(law, law_of(scheme, std), rel=1e-15)
        assert law.std == pytest.approx(float(std), rel=2e-15, abs=0)
        assert law.mean == 0


@every_scheme
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fill_is_the_scheme_filled(scheme, mode, dtype):
    """`uniform_` and its kin are `fill_` with the scheme's law."""
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
    same_law(SCHEMES[scheme][0](fan_in, fan_out, 1.25), law_of(scheme, std), rel=1e-15)


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
