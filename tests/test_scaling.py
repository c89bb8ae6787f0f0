"""VarianceScaling: its formula in exact arithmetic, and the value that it is."""

import copy
import dataclasses
import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from initializer_cases import (
    ALL_MODES,
    BAD_FANS,
    BAD_GAINS,
    distribution_of,
    root_of_variance,
    said,
    same_distribution,
)

import fastxavier as fx
from fastxavier.gains import ACTIVATIONS

FAMILIES = ["uniform", "normal", "truncated_normal"]

# ---- the formula ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize(
    "scale",
    [1, 2, 0.5, 1 / 3, 2.6, 10**30, Fraction(1, 7), 1e-300, 5e-324, 1.7e308, 10**400],
    ids=repr,
)
def test_variance_scaling(family, mode, scale):
    """gain**2 * scale / n to the last bits, wherever the result is a float."""
    number = scale if isinstance(scale, int) else float(scale)
    for fan_in, fan_out in [
        (30, 7),
        (2**64 + 1, 3),
        (1, 1 + 2**-52),
        (1e300, 1e305),
        (1.1, 10**400),
        (10**600, 10**590),
    ]:
        std = root_of_variance(number, mode, fan_in, fan_out, 1.5)
        if not 1e-300 < std < 1e300:
            continue
        made = fx.variance_scaling(scale, mode, family, fan_in, fan_out, gain=1.5)
        same_distribution(made, distribution_of(family.partition("_")[0], std), rel=1e-15)


@pytest.mark.parametrize("fan_in", [3, 10**10, 10**15, 1e100, 1e280])
def test_floats_where_floats_are_enough(fan_in):
    """The quotient is rounded, then its root: the bits that the stream's version stands for."""
    for scale, gain in [(1, 1.0), (2, 0.7), (0.3, 1.0)]:
        std = gain * math.sqrt(2 * scale / (fan_in + 3))
        made = fx.variance_scaling(scale, "fan_avg", "normal", fan_in, 3, gain=gain)
        assert made.std == std
        std = gain * math.sqrt(scale / fan_in)
        assert fx.variance_scaling(scale, "fan_in", "normal", fan_in, gain=gain).std == std


@pytest.mark.parametrize("scale", [1e-305, 1e-310, 1e-320])
def test_no_digits_are_lost_in_small_quotients(scale):
    """Where the quotient would be a subnormal number, its root is still right to the last bits."""
    for mode in ("fan_avg", "fan_in", "fan_out"):
        expected = root_of_variance(scale, mode, 7000, 3e9)
        made = fx.variance_scaling(scale, mode, "normal", 7000, 3e9)
        assert made.std == pytest.approx(float(expected), rel=4e-16, abs=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_scale_of_zero(family):
    """A variance of 0, as from a gain of 0."""
    for mode in ALL_MODES:
        assert fx.variance_scaling(0, mode, family, 3, 4).std == 0
        assert fx.variance_scaling(0.0, mode, family, 3, 10**400).std == 0


def test_geometric_mean_lies_between():
    """The geometric mean of the fans is at most the arithmetic one: never less variance."""
    for fan_in, fan_out in [(1, 1), (3, 5), (10**9, 1), (10**400, 10**399)]:
        geometric = fx.variance_scaling(1, "fan_geo_avg", "normal", fan_in, fan_out).std
        arithmetic = fx.variance_scaling(1, "fan_avg", "normal", fan_in, fan_out).std
        assert geometric >= arithmetic
        assert (geometric == arithmetic) == (fan_in == fan_out)
    assert fx.variance_scaling(1, "fan_geo_avg", "normal", 2, 8).std == 0.5


BAD_SCALES = [
    *((value, ValueError) for value in (-1, -0.5, -(10**400), -(10**5000), math.nan, math.inf)),
    *((value, TypeError) for value in (True, np.True_, "3", None, 3j, (3, 4))),
    (np.array([3, 4]), TypeError),
]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        *(("scale", *each) for each in BAD_SCALES),
        *(("gain", *each) for each in (*BAD_GAINS, (None, TypeError))),
        *(("fan_in", *each) for each in BAD_FANS),
        *(("fan_out", *each) for each in BAD_FANS),
    ],
    ids=lambda x: said(x)[:20],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_bad_number(family, name, value, error):
    """Named with its value."""
    arguments = {"scale": 1.0, "fan_in": 3, "fan_out": 4, "gain": 1.0, name: value}
    with pytest.raises(error, match=rf"\b{name} is ") as raised:
        fx.variance_scaling(mode="fan_geo_avg", distribution=family, **arguments)
    assert said(value) in str(raised.value) or str(value)[:50] in str(raised.value)
    assert raised.value.argument == name


@pytest.mark.parametrize("family", ["truncated", "Uniform", "", None, 3, ["uniform"], {}], ids=repr)
def test_unknown_distribution(family):
    """The three are listed."""
    for make in (fx.variance_scaling, fx.VarianceScaling):
        with pytest.raises(ValueError, match=r"distribution is ") as raised:
            make(1, "fan_in", family)
        assert all(repr(each) in str(raised.value) for each in [family, *FAMILIES])
        assert raised.value.argument == "distribution"
        assert raised.value.choices == tuple(FAMILIES)


def test_numbers_of_the_first_and_the_last_axis():
    """Of the 64 axes that an array can have."""
    for axis in (-64, 63):
        assert fx.VarianceScaling(in_axis=axis, out_axis=(0, axis)).in_axis == axis
    for axis in (-65, 64):
        for setting in ("in_axis", "out_axis", "batch_axis"):
            for value in (axis, (0, axis)):
                with pytest.raises(ValueError, match=rf"{setting} is .*{axis}"):
                    fx.VarianceScaling(**{setting: value})


def test_beyond_the_floats():
    """Refused with every number that had a part in it."""
    for *arguments, gain in [
        (1e308, "fan_in", "normal", 1, 1, 1e300),
        (10**1000, "fan_in", "uniform", 1, 1, 1.0),
        (10**5000, "fan_out", "truncated_normal", 1, 1, 1.0),
    ]:
        with pytest.raises(ValueError, match=r"beyond the largest float") as raised:
            fx.variance_scaling(*arguments, gain=gain)
        assert said(arguments[0])[:40] in str(raised.value)
        assert f"gain {gain}" in str(raised.value)
        assert raised.value.argument == "scale"


# ---- the value -----------------------------------------------------------------------------------

VALUES = [
    fx.VarianceScaling(),
    fx.VarianceScaling(2, "fan_out", "uniform"),
    fx.VarianceScaling(Fraction(1, 3), "fan_avg", "truncated_normal", 0.5),
    fx.VarianceScaling(1, "fan_geo_avg", "normal", "gelu", "keras"),
    fx.VarianceScaling(1, "fan_in", "normal", "gelu", "torch"),
    fx.VarianceScaling(in_axis=0, out_axis=(1, 2)),
    fx.VarianceScaling(in_axis=(), out_axis=-1, batch_axis=-2),
    fx.VarianceScaling(layout="torch", groups=2, transposed=True),
    fx.VarianceScaling(parts=3),
    fx.he_normal(negative_slope=0.1),
]
every_value = pytest.mark.parametrize("value", VALUES, ids=repr)


@every_value
def test_value(value):
    """The repr rebuilds it; copies and pickles are equal; no two examples are."""
    names = {"VarianceScaling": fx.VarianceScaling, "Fraction": Fraction}
    copies = [eval(repr(value), names), copy.copy(value), copy.deepcopy(value)]
    copies += [pickle.loads(pickle.dumps(value, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]
    copies += [dataclasses.replace(value)]
    for each in copies:
        assert each == value
        assert hash(each) == hash(value)
        assert repr(each) == repr(value)
    assert [other for other in VALUES if other == value] == [value]


def test_defaults():
    """LeCun's normal: one over the inputs."""
    assert fx.VarianceScaling() == fx.VarianceScaling(1, "fan_in", "normal", gain=1)
    assert fx.VarianceScaling().with_fans(4, 100) == fx.Normal(0.0, 0.5)
    assert fx.VarianceScaling().for_shape((100, 4)) == fx.Normal(0.0, 0.5)


@every_value
def test_immutable(value):
    """No attribute can be set or deleted."""
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(value, field.name)


def test_values_of_any_kind():
    """NumPy numbers and 0-d arrays are numbers; axes may be any sequence; all can be hashed."""
    plain = fx.VarianceScaling(2, "fan_in", "normal", 1.5, None, 0, (1, 2), (3,), 2, False, 3)
    same = fx.VarianceScaling(
        np.int8(2),
        "fan_in",
        "normal",
        np.array(1.5, np.float32),
        None,
        np.int64(0),
        np.array([1, 2]),
        [np.array(3)],
        np.uint8(2),
        np.False_,
        np.array(3),
    )
    assert same == plain
    assert hash(same) == hash(plain)
    assert repr(same) == repr(plain)
    assert fx.VarianceScaling(in_axis=iter([0]), out_axis=1).in_axis == (0,)
    assert fx.VarianceScaling(10**5000).with_fans(10**5000).std == 1


BAD_SETTINGS = [
    *(("layout", value, ValueError) for value in ("flax", "", 3, ("jax",), True)),
    *((axis, 1.5, TypeError) for axis in ("in_axis", "out_axis", "batch_axis")),
    *((axis, "0", TypeError) for axis in ("in_axis", "out_axis", "batch_axis")),
    *((axis, (0, 1.5), TypeError) for axis in ("in_axis", "out_axis", "batch_axis")),
    *((axis, {0, 1}, TypeError) for axis in ("in_axis", "out_axis", "batch_axis")),
    *((axis, 64, ValueError) for axis in ("in_axis", "out_axis", "batch_axis")),
    *((axis, (0, -65), ValueError) for axis in ("in_axis", "out_axis", "batch_axis")),
    ("batch_axis", True, TypeError),
    *(("groups", value, ValueError) for value in (0, -1)),
    *(("groups", value, TypeError) for value in (1.0, True, None, "1")),
    *(("parts", value, ValueError) for value in (0, -1)),
    *(("parts", value, TypeError) for value in (1.0, True, None, "1")),
    *(("transposed", value, TypeError) for value in (1, None, "yes", 0.0)),
    *(("mode", value, ValueError) for value in ("fan", None)),
]


@pytest.mark.parametrize(("name", "value", "error"), BAD_SETTINGS, ids=repr)
def test_bad_setting(name, value, error):
    """Named with its value when the initializer is made, not when it is used."""
    for make in (fx.VarianceScaling, fx.he_normal, fx.glorot_uniform):
        with pytest.raises(error, match=rf"^{name} is ") as raised:
            make(**{name: value})
        assert raised.value.argument == name
        assert repr(value) in str(raised.value)


SHAPES = {
    "linear": ((40, 30), {}),
    "convolution": ((64, 16, 3, 3), {}),
    "keras": ((3, 3, 16, 64), {"layout": "keras"}),
    "jax": ((5, 16, 64), {"layout": "jax"}),
    "embedding": ((1000, 64), {"layout": "embedding"}),
    "groups": ((64, 4, 3), {"groups": 4}),
    "transposed": ((16, 64, 3), {"transposed": True}),
    "parts": ((192, 64), {"parts": 3}),
    "experts": ((8, 40, 30), {"batch_axis": 0}),
    "heads": ((512, 8, 64), {"in_axis": 0, "out_axis": (1, 2)}),
    "depthwise": ((3, 3, 16, 2), {"in_axis": (), "out_axis": -1, "batch_axis": -2}),
}


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("mode", ALL_MODES)
def test_for_shape(case, mode):
    """The distribution with the fans that `fans` reads by the same settings."""
    shape, settings = SHAPES[case]
    value = fx.VarianceScaling(2, mode, "uniform", "tanh", **settings)
    expected = fx.variance_scaling(2, mode, "uniform", fx.fans(shape, **settings), gain=1)
    assert value.for_shape(shape) == value.for_shape(list(shape)) == expected
    assert value.for_shape(np.array(shape)) == expected


def test_layout_of_the_caller():
    """It holds where the initializer says neither a layout nor axes."""
    shape = (3, 3, 16, 64)
    value = fx.VarianceScaling(1, "fan_avg")
    for layout in ("torch", "jax", "keras"):
        named = dataclasses.replace(value, layout=layout)
        assert value.for_shape(shape, layout) == named.for_shape(shape, "torch")
        assert named.for_shape(shape, "keras") == named.for_shape(shape, "torch")
    axes = dataclasses.replace(value, in_axis=0, out_axis=1)
    assert axes.for_shape(shape, "jax") == axes.for_shape(shape, "embedding")
    with pytest.raises(ValueError, match="layout is 'flax'"):
        value.for_shape(shape, "flax")


def test_shape_without_elements():
    """As if each extent of 0 were 1, or one channel of each group and part; nothing is drawn."""
    for zeros in itertools.product((0, 3), repeat=2):
        ones = [extent or 1 for extent in zeros]
        for mode in ALL_MODES:
            value = fx.VarianceScaling(1, mode)
            assert value.for_shape(zeros) == value.for_shape(ones)
    assert fx.VarianceScaling(groups=4, mode="fan_out").for_shape((0, 3, 5)).std > 0
    assert fx.VarianceScaling(parts=3, mode="fan_out").for_shape((0, 3)).std > 0


@pytest.mark.parametrize("shape", [(), (3,), (-1, 3), (3.0, 2), "33", 3, None], ids=repr)
def test_shape_without_fans(shape):
    """Refused as `fans` refuses it."""
    with pytest.raises((TypeError, ValueError)):
        fx.VarianceScaling().for_shape(shape)


@pytest.mark.parametrize("case", SHAPES)
def test_fewest_axes(case):
    """A shape of this number of axes has fans; with a layout, one of fewer axes has none."""
    _, settings = SHAPES[case]
    value = fx.VarianceScaling(**settings)
    fewest = value.fewest_axes()
    extent = settings.get("groups", 1) * settings.get("parts", 1)
    assert value.for_shape((extent,) * fewest).std > 0
    if "in_axis" not in settings:
        with pytest.raises(ValueError, match="shape is"):
            value.for_shape((extent,) * (fewest - 1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gain_by_name(activation):
    """The value keeps the name, and its distribution has the number."""
    value = fx.VarianceScaling(1, "fan_in", "normal", activation)
    assert value.gain == activation
    assert value.with_fans(16).std == fx.gain(activation) / 4
