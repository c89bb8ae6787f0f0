"""Distributions: values that cannot change, and that know the distribution they stand for."""

import copy
import math
import pickle
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import fastxavier as fx

inf, nan = math.inf, math.nan

EXAMPLES = [
    fx.Constant(0.1),
    fx.Constant(-3),
    fx.Uniform(-1.0, 1.0),
    fx.Uniform(-0.25, 3.0),
    fx.Uniform(2.0, 2.0),
    fx.Normal(),
    fx.Normal(0.5, 0.02),
    fx.Normal(1.0, 0.0),
    fx.TruncatedNormal(),
    fx.TruncatedNormal(0.5, 0.02),
    fx.TruncatedNormal(0.0, 1.0, -1.0, 3.0),
    fx.TruncatedNormal(0.0, 1.0, 0.0, inf),
    fx.TruncatedNormal(3.0, 2.0, -inf, inf),
    fx.TruncatedNormal(0.0, 1.0, 5.0, 6.0),
]
every_example = pytest.mark.parametrize("distribution", EXAMPLES, ids=repr)


# ---- values --------------------------------------------------------------------------------------


@every_example
def test_repr_rebuilds_it(distribution):
    """The repr is the call that makes it."""
    rebuilt = eval(repr(distribution), {**vars(fx), "inf": inf})
    assert rebuilt == distribution
    assert repr(rebuilt) == repr(distribution)


@every_example
def test_equality_and_hash(distribution):
    """By value and by class, never with anything else."""
    again = pickle.loads(pickle.dumps(distribution))
    assert again == distribution
    assert again == distribution
    assert hash(again) == hash(distribution)
    assert distribution not in [other for other in EXAMPLES if other is not distribution]
    assert distribution != repr(distribution)
    assert distribution != distribution.bounds
    assert {distribution: 1}[again] == 1


def test_different_parameters_differ():
    """Each parameter counts, and so does the class."""
    distributions = [
        fx.Uniform(0, 1),
        fx.Uniform(0, 2),
        fx.Uniform(-1, 1),
        fx.Normal(0, 1),
        fx.Normal(1, 1),
        fx.Normal(0, 2),
        fx.TruncatedNormal(0, 1),
        fx.TruncatedNormal(1, 1),
        fx.TruncatedNormal(0, 2),
        fx.TruncatedNormal(0, 1, -1, 2),
        fx.TruncatedNormal(0, 1, -2, 1),
        fx.TruncatedNormal(0, 1, -inf, inf),
    ]
    assert len(set(distributions)) == len(distributions)


def test_numbers_of_any_kind_are_floats_inside():
    """Integers, NumPy scalars and fractions make the same value."""
    distributions = {
        fx.Uniform(0, 2),
        fx.Uniform(0.0, 2.0),
        fx.Uniform(np.float32(0), np.int8(2)),
        fx.Uniform(low=Fraction(0), high=Fraction(4, 2)),
    }
    assert len(distributions) == 1
    assert all(type(value) is float for distribution in EXAMPLES for value in distribution.bounds)
    assert all(
        type(distribution.mean) is type(distribution.std) is type(distribution.variance) is float
        for distribution in EXAMPLES
    )


@pytest.mark.parametrize(
    "make", [fx.Constant, lambda zero: fx.Normal(zero, 1), lambda zero: fx.Uniform(-1, zero)]
)
def test_zeros_of_other_signs_are_not_equal(make):
    """Their bits may differ."""
    assert make(0.0) != make(-0.0) == make(-0.0)
    assert len({make(0.0), make(-0.0)}) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda zero: fx.Normal(1, zero),
        lambda zero: fx.TruncatedNormal(0, 1, zero, 1),
        lambda zero: fx.TruncatedNormal(0, 1, -1, zero),
        lambda zero: fx.VarianceScaling(zero),
        lambda zero: fx.he_normal(gain=zero),
        fx.Identity,
    ],
)
@pytest.mark.parametrize("first", [0.0, -0.0])
def test_where_zero_has_no_sign(make, first):
    """Whichever was made first."""
    assert make(first) == make(-first)
    assert [repr(make(one)) for one in (first, -first)] == [repr(make(0.0))] * 2
    assert "-0.0" not in repr(make(-0.0))
    bits = [fx.draw((3, 4), make(one), seed=7).view(np.uint32) for one in (first, -first)]
    assert (bits[0] == bits[1]).all()


@every_example
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(distribution, protocol):
    """Every protocol gives back an equal value that draws the same."""
    again = pickle.loads(pickle.dumps(distribution, protocol))
    assert type(again) is type(distribution)
    assert again == distribution
    drawn = [fx.fill_(np.empty(50), each, seed=1).tobytes() for each in (distribution, again)]
    assert drawn[0] == drawn[1]


@every_example
@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_copy(distribution, copier):
    """Copies are equal."""
    assert copier(distribution) == distribution


@every_example
def test_immutable(distribution):
    """No attribute can be set, added or deleted; calling __init__ again changes nothing."""
    before = (
        repr(distribution),
        hash(distribution),
        distribution.bounds,
        distribution.mean,
        distribution.std,
    )
    names = [name for name in dir(distribution) if not name.startswith("__")]
    assert {"mean", "std", "variance", "bounds"} <= set(names)
    for name in [*names, "anything", "__dict__"]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(distribution, name, 1.0)
        with pytest.raises((AttributeError, TypeError)):
            object.__setattr__(distribution, name, 1.0)
        with pytest.raises((AttributeError, TypeError)):
            delattr(distribution, name)
    assert before == (
        repr(distribution),
        hash(distribution),
        distribution.bounds,
        distribution.mean,
        distribution.std,
    )


def test_classes():
    """The three are Distributions; the base itself cannot be drawn from."""
    assert all(isinstance(distribution, fx.Distribution) for distribution in EXAMPLES)
    w = np.ones(4)
    with pytest.raises(TypeError):
        fx.fill_(w, fx.Distribution(), seed=1)
    assert (w == 1).all()


# ---- moments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e200, 1e308, 5e-324, 1e-170])
def test_a_variance_that_no_double_holds(scale):
    """Infinite or 0, for each distribution alike, and no OverflowError; the std is right."""
    variance = inf if scale > 1 else 0.0
    uniform = fx.Uniform(-scale, scale)
    assert uniform.variance == fx.Normal(0, scale).variance == variance
    truncated = fx.TruncatedNormal(0, scale)
    assert truncated.variance == fx.TruncatedNormal(0, scale, 0, inf).variance == variance
    assert fx.Normal(0, scale).std == scale
    if scale != 5e-324:
        assert truncated.std == pytest.approx(0.8796256610342398 * scale, rel=1e-12)
    # An interval of 1e-150 scales: their product is a number again.
    assert fx.TruncatedNormal(0, 1e200, -1e-150, 1e-150).variance == pytest.approx(
        1e100 / 3, rel=1e-9
    )


TRUNCATIONS = [
    (-2.0, 2.0),
    (-1.0, 3.0),
    (-0.5, 0.5),
    (0.0, inf),
    (-inf, 1.5),
    (-inf, inf),
    (3.0, 4.0),
    (-8.0, -6.5),
    (20.0, inf),
    (-inf, -30.0),
    (1.0, 1.001),
    (0.3, 0.3 + 1e-9),
]


def exact_moments(low, high):
    """Mean and variance of the standard normal between two bounds, by quadrature at 50 digits."""
    with mpmath.workdps(50):
        near = min(abs(low), abs(high)) if low * high > 0 else 0
        # Past 40 deviations from the nearer end nothing is left that a double could hold.
        low, high = max(low, -near - 40), min(high, near + 40)
        places = mpmath.linspace(mpmath.mpf(low), mpmath.mpf(high), 41)

        def moment(of):
            return mpmath.quad(lambda x: of(x) * mpmath.exp((near**2 - x * x) / 2), places)

        mass = moment(lambda x: 1)
        mean = moment(lambda x: x) / mass
        return mean, moment(lambda x: (x - mean) ** 2) / mass


@pytest.mark.parametrize(("low", "high"), TRUNCATIONS)
def test_truncated_moments(low, high):
    """Mean, variance and std of the truncated distribution, not of its parent, far tails too."""
    mean, variance = exact_moments(low, high)
    distribution = fx.TruncatedNormal(0.0, 1.0, low, high)
    assert distribution.mean == pytest.approx(float(mean), rel=1e-13, abs=1e-15)
    assert distribution.variance == pytest.approx(float(variance), rel=1e-9, abs=0)
    assert distribution.std == pytest.approx(float(mpmath.sqrt(variance)), rel=1e-9, abs=0)
    moved = fx.TruncatedNormal(-3.0, 0.5, low, high)
    assert moved.mean == pytest.approx(float(-3 + mean / 2), rel=1e-13, abs=0)
    assert moved.variance == pytest.approx(float(variance / 4), rel=1e-9, abs=0)
    assert moved.std == pytest.approx(float(mpmath.sqrt(variance) / 2), rel=1e-9, abs=0)


def test_standard_cut():
    """The constant by which Glorot's truncated distribution is corrected."""
    assert fx.TruncatedNormal().std == pytest.approx(0.87962566103423978, rel=1e-15, abs=0)
    assert fx.TruncatedNormal().mean == 0


@pytest.mark.parametrize("distribution", EXAMPLES, ids=repr)
def test_drawn_values_have_the_moments(distribution):
    """Mean and std of 400,000 draws: within 5 standard errors; bounds kept."""
    count = 400_000
    w = fx.fill_(np.empty(count), distribution, seed=1234, stream=56)
    assert distribution.bounds[0] <= w.min() <= w.max() <= distribution.bounds[1]
    if distribution.std == 0:
        assert (w == distribution.mean).all()
        return
    assert abs(w.mean() - distribution.mean) < 5 * distribution.std / math.sqrt(count)
    kurtosis = ((w - distribution.mean) ** 4).mean() / distribution.variance**2
    error = distribution.variance * math.sqrt((kurtosis - 1) / count)
    assert abs(((w - distribution.mean) ** 2).mean() - distribution.variance) < 5 * error


def test_uniform_attributes():
    """Moments and bounds of U[low, high], also where their sum would overflow."""
    distribution = fx.Uniform(-1.0, 3.0)
    assert (distribution.low, distribution.high, distribution.bounds) == (-1, 3, (-1, 3))
    assert distribution.mean == 1
    assert distribution.variance == pytest.approx(16 / 12, rel=1e-15, abs=0)
    assert distribution.std == pytest.approx(4 / math.sqrt(12), rel=1e-15, abs=0)
    wide = fx.Uniform(1e308, 1.5e308)
    assert wide.mean == pytest.approx(1.25e308, rel=1e-15, abs=0)
    assert wide.std == pytest.approx(0.5e308 / math.sqrt(12), rel=1e-15, abs=0)
    assert fx.Uniform(-1.7e308, 1.7e308).std == pytest.approx(
        1.7e308 / math.sqrt(3), rel=1e-15, abs=0
    )


def test_normal_attributes():
    """Moments and bounds of the normal."""
    distribution = fx.Normal(0.5, 0.25)
    assert (distribution.mean, distribution.std, distribution.variance, distribution.bounds) == (
        0.5,
        0.25,
        0.0625,
        (-inf, inf),
    )
    assert fx.Normal(0.5, 0).bounds == (0.5, 0.5)


def test_truncated_attributes():
    """Parent and bounds in its units; `mean` and `std` are the distribution's own."""
    distribution = fx.TruncatedNormal(1.0, 0.5, -1.0, 3.0)
    assert (distribution.low, distribution.high, distribution.bounds) == (-1, 3, (0.5, 2.5))
    assert distribution.parent == fx.Normal(1.0, 0.5)
    assert type(distribution.parent) is fx.Normal
    assert distribution.mean != 1.0
    assert distribution.std < 0.5
    assert fx.TruncatedNormal().bounds == (-2, 2)
    assert fx.TruncatedNormal(1.0, 2.0, 0.0).bounds == (1, 5)
    assert fx.TruncatedNormal(1.0, 0.0).bounds == (1, 1)
    assert fx.TruncatedNormal(0.0, 1.0, -inf, inf).std == pytest.approx(1, rel=1e-15, abs=0)


def rounded_once(mean, std, end):
    """mean + std * end in exact arithmetic, as the nearest double."""
    return mean if std == 0 else float(Fraction(mean) + Fraction(std) * Fraction(end))


def test_the_farthest_truncations():
    """An interval may begin 37 standard deviations out, and not one ulp beyond."""
    beyond = math.nextafter(37, inf)
    for far in (38.0, inf):
        for low, high in [(37.0, far), (-far, -37.0)]:
            w = fx.fill_(np.empty(100), fx.TruncatedNormal(0, 1, low, high), seed=1)
            assert low <= w.min() < w.max() <= high
            assert np.abs(w).max() < 37.5
        for low, high in [(beyond, far), (-far, -beyond)]:
            with pytest.raises(ValueError, match="within 37 std"):
                fx.TruncatedNormal(0, 1, low, high)


def test_bounds_hold_the_values():
    """Bounds are rounded once, as values are, so that no value of float64 lies beyond them."""
    random = np.random.default_rng(7)
    truncations = [
        (-1.4449160962905057e-49, 1.4800105619087195e-49, 3, 3.0000000000000004),
        (1.0, 0.0, -1.0, 1.0),
    ]
    for _ in range(3000):
        low = random.uniform(-8, 8)
        width = 2.0 ** random.integers(-52, 2)
        std = 2.0 ** random.uniform(-300, 300)
        mean = std * random.uniform(-5, 5)
        truncations.append((mean, std, low, max(low + width, math.nextafter(low, inf))))
    twice = 0
    for mean, std, low, high in truncations:
        distribution = fx.TruncatedNormal(mean, std, low, high)
        least, most = distribution.bounds
        assert (least, most) == (rounded_once(mean, std, low), rounded_once(mean, std, high))
        w = fx.fill_(np.empty(64), distribution, seed=3)
        assert least <= w.min()
        assert w.max() <= most
        twice += w.min() < mean + std * low or w.max() > mean + std * high
    assert twice  # with two roundings some would lie beyond
    assert fx.TruncatedNormal(1.0, 1e308, -inf, 2.0).bounds == (-inf, inf)
    assert fx.TruncatedNormal(1.0, 2.0, 0.0, inf).bounds == (1, inf)


# ---- refusals ------------------------------------------------------------------------------------

NOT_NUMBERS = ["1", None, 1j, [1.0], True, np.True_, b"1", np.array([1.0, 2.0])]
SLOTS = [
    (lambda x: fx.Uniform(x, 1), "low"),
    (lambda x: fx.Uniform(0, x), "high"),
    (lambda x: fx.Normal(x, 1), "mean"),
    (lambda x: fx.Normal(0, x), "std"),
    (lambda x: fx.TruncatedNormal(x, 1), "mean"),
    (lambda x: fx.TruncatedNormal(0, x), "std"),
    (lambda x: fx.TruncatedNormal(0, 1, x, 2), "low"),
    (lambda x: fx.TruncatedNormal(0, 1, -2, x), "high"),
]


@pytest.mark.parametrize("slot", range(len(SLOTS)))
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_parameter_that_is_no_number(slot, value):
    """TypeError, naming the parameter and the value."""
    make, name = SLOTS[slot]
    with pytest.raises(TypeError, match=rf"\b{name} is ") as raised:
        make(value)
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize("slot", range(len(SLOTS)))
@pytest.mark.parametrize(
    "value", [nan, -nan, inf, -inf, 10**400], ids=["nan", "-nan", "inf", "-inf", "huge"]
)
def test_parameter_that_is_not_finite(slot, value):
    """ValueError, naming the parameter; only a truncation point may be infinite."""
    make, name = SLOTS[slot]
    if slot >= 6 and value in (-inf, inf) and (value < 0) == (name == "low"):
        make(value)
        return
    with pytest.raises(ValueError, match=rf"\b{name}\b") as raised:
        make(value)
    assert str(value)[:50] in str(raised.value)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: fx.Uniform(1, 0), ["low", "1.0", "high", "0.0"]),
        (lambda: fx.Uniform(1 + 2**-52, 1), ["low", "high"]),
        (lambda: fx.Normal(0, -1), ["std", "-1.0"]),
        (lambda: fx.Normal(0, -5e-324), ["std", "-5e-324"]),
        (lambda: fx.TruncatedNormal(0, -0.5), ["std", "-0.5"]),
        (lambda: fx.TruncatedNormal(0, 1, 2, 2), ["low", "high", "2.0", "less than"]),
        (lambda: fx.TruncatedNormal(0, 1, 2, -2), ["low", "high", "2.0", "-2.0"]),
        (lambda: fx.TruncatedNormal(0, 1, inf, inf), ["low", "high", "inf"]),
        (lambda: fx.TruncatedNormal(0, 1, -inf, -inf), ["low", "high", "-inf"]),
        (lambda: fx.TruncatedNormal(0, 1, 38, 40), ["low", "high", "38"]),
        (lambda: fx.TruncatedNormal(0, 1, -inf, -37.5), ["low", "high", "-37.5"]),
    ],
)
def test_parameters_that_contradict(make, parts):
    """ValueError with both names and values."""
    with pytest.raises(ValueError, match=r"low|std") as raised:
        make()
    for part in parts:
        assert part in str(raised.value)


def test_std_of_zero_and_equal_bounds_are_fine():
    """Degenerate distributions hold their one value."""
    for distribution in (fx.Uniform(0.75, 0.75), fx.Normal(0.75, 0), fx.TruncatedNormal(0.75, 0)):
        w = fx.fill_(np.empty(100, np.float32), distribution, seed=1)
        assert (w == 0.75).all()
        assert (
            distribution.mean,
            distribution.std,
            distribution.variance,
            distribution.bounds,
        ) == (0.75, 0, 0, (0.75, 0.75))


def test_distribution_beyond_the_cut_of_a_dtype():
    """An interval within which the dtype has no number is refused at the fill."""
    distribution = fx.TruncatedNormal(0, 1, 1 + 1e-12, 1 + 2e-12)
    w = fx.fill_(np.empty(100), distribution, seed=1)
    assert (w >= distribution.low).all()
    assert (w <= distribution.high).all()
    w = np.full(3, 0.5, np.float32)
    with pytest.raises(ValueError, match="TruncatedNormal") as raised:
        fx.fill_(w, distribution, seed=1)
    assert "dtype" in str(raised.value) or "float32" in str(raised.value)
    assert (w == 0.5).all()
