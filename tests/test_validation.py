"""Checks of arguments: what each lets through, and what its errors say and carry."""

import copy
import math
import pickle
from array import array
from collections import OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from functools import partial

import ml_dtypes
import numpy as np
import pytest
from ids import stable

import fastxavier as fx
from fastxavier._validation import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    a_type,
    choice,
    choose_from,
    integer,
    integers,
    keywords,
    not_negative,
    number,
    of_tensor,
    real,
    shown,
    truth,
)

HUGE = 10**5000  # more digits than Python writes


class Index:
    def __index__(self):
        return 7


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "base"), [(ArgumentTypeError, TypeError), (ArgumentValueError, ValueError)]
)
def test_error(kind, base):
    """Both are ArgumentErrors and the built-in error of their kind, with data, and can be sent."""
    error = kind("mode is 3", "mode", 3, ["a", "b"])
    for each in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(each) is kind
        assert isinstance(each, ArgumentError)
        assert isinstance(each, base)
        assert str(each) == "mode is 3"
        assert (each.argument, each.value, each.choices) == ("mode", 3, ("a", "b"))
    bare = kind("no")
    assert (bare.argument, bare.value, bare.choices) == (None, None, ())
    assert getattr(fx, kind.__name__) is kind
    assert fx.ArgumentError is ArgumentError


@pytest.mark.parametrize(
    "error", [ValueError("no"), TypeError("no"), MemoryError("no")], ids=stable
)
def test_of_tensor(error):
    """The same kind of error, which begins with the tensor's name."""
    named = of_tensor("0.weight", error)
    assert type(named) is type(error)
    assert str(named) == "tensor '0.weight': no"


def test_of_tensor_keeps_the_data():
    named = of_tensor("w", ArgumentTypeError("mode is 3", "mode", 3, ("a",)))
    assert str(named) == "tensor 'w': mode is 3"
    assert (named.argument, named.value, named.choices) == ("mode", 3, ("a",))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        ("relu", "'relu'"),
        (None, "None"),
        ((1, 2), "(1, 2)"),
        (HUGE, "<an integer of 16610 bits>"),
        (-HUGE, "<a negative integer of 16610 bits>"),
        ([1, HUGE], "[1, <an integer of 16610 bits>]"),
        (fx.Normal(), "Normal(mean=0.0, std=1.0)"),
    ],
    ids=lambda x: "int" if isinstance(x, (int, list)) else str(x)[:20],
)
def test_shown(value, text):
    """The repr, where it is short."""
    assert shown(value) == text


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, list(range(10**6)), 10**4000, {n: n for n in range(10**5)}, [HUGE], (HUGE, "x")],
    ids=range(6),
)
def test_shown_is_short(value):
    """As long as a message can bear."""
    assert 0 < len(shown(value)) < 300


# ---- numbers -------------------------------------------------------------------------------------

REALS = [
    (3, 3.0),
    (2.5, 2.5),
    (-0.0, 0.0),
    (Fraction(5, 2), 2.5),
    (np.float32(2.5), 2.5),
    (np.float16(2.5), 2.5),
    (np.int8(3), 3.0),
    (np.uint64(3), 3.0),
    (np.array(2.5), 2.5),
    (np.array(3, np.int8), 3.0),
    (np.array(2.5, ml_dtypes.bfloat16), 2.5),
    (10**22, 1e22),
]
NOT_REALS = [
    "3",
    b"3",
    None,
    True,
    np.True_,
    np.array(True),
    1j,
    [3],
    (3,),
    np.array([3]),
    Decimal(3),
]
NOT_FINITE = [math.inf, -math.inf, np.float32("inf"), np.array(math.inf)]
NANS = [math.nan, np.float64("nan"), np.array(math.nan)]


@pytest.mark.parametrize(("value", "result"), REALS, ids=stable)
def test_real(value, result):
    """Any real number becomes a float."""
    for check in (real, number):
        assert check("gain", value) == result
    assert type(real("gain", value)) is float
    assert not_negative("gain", value) == result


@pytest.mark.parametrize("check", [real, not_negative, number])
@pytest.mark.parametrize("value", NOT_REALS, ids=stable)
def test_not_real(check, value):
    with pytest.raises(ArgumentTypeError, match=r"^gain is .*; it must be a real number") as raised:
        check("gain", value)
    assert raised.value.argument == "gain"
    assert raised.value.value is value
    assert repr(value) in str(raised.value)
    assert type(value).__name__ in str(raised.value)


@pytest.mark.parametrize("check", [real, not_negative, number])
@pytest.mark.parametrize("value", [*NOT_FINITE, *NANS], ids=stable)
def test_not_finite(check, value):
    with pytest.raises(ArgumentValueError, match=r"^gain is .*finite number") as raised:
        check("gain", value)
    assert raised.value.argument == "gain"


def test_infinite_where_it_is_allowed():
    """Then only NaN is refused."""
    for value in NOT_FINITE:
        assert abs(real("low", value, finite=False)) == math.inf
    for value in NANS:
        with pytest.raises(ArgumentValueError, match="low is nan"):
            real("low", value, finite=False)


@pytest.mark.parametrize("value", [10**400, -(10**400), HUGE, Fraction(10**400)], ids=range(4))
def test_beyond_the_floats(value):
    """An integer of any size is a number, but not a float."""
    with pytest.raises(ArgumentValueError, match=r"^gain is .*beyond the largest float"):
        real("gain", value)
    if isinstance(value, int):
        assert number("fan_in", value) == value


def test_number_keeps_integers():
    """As they are, however large; what NumPy gives becomes Python's."""
    for value in (3, np.int64(3), np.array(3), 10**400):
        assert type(number("fan_in", value)) is int
    assert number("fan_in", np.uint64(2**64 - 1)) + 1 == 2**64
    assert type(number("fan_in", np.float32(3))) is float


@pytest.mark.parametrize("value", [-1, -1e-300, np.float32(-2), Fraction(-1, 3)], ids=stable)
def test_negative(value):
    with pytest.raises(ArgumentValueError, match=r"^gain is -.*must not be negative"):
        not_negative("gain", value)
    assert real("mean", value) < 0


# ---- integers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [7, np.int8(7), np.uint64(7), np.array(7), Index()], ids=stable)
def test_integer(value):
    """Whatever has an index, as an int."""
    assert integer("seed", value) == 7
    assert type(integer("seed", value, 7, 7)) is int


@pytest.mark.parametrize(
    "value",
    [
        7.0,
        "7",
        None,
        True,
        np.True_,
        np.array(True),
        np.float32(7),
        np.array(7.0),
        [7],
        np.array([7]),
    ],
    ids=stable,
)
def test_not_an_integer(value):
    with pytest.raises(
        ArgumentTypeError, match=r"^seed is .*; it must be an integer from 0 up or None$"
    ) as raised:
        integer("seed", value, otherwise="or None")
    assert raised.value.argument == "seed"
    assert raised.value.value is value


@pytest.mark.parametrize(
    ("value", "least", "most", "wanted"),
    [
        (-1, 0, None, "from 0 up"),
        (0, 1, None, "from 1 up"),
        (np.int8(-1), 0, 9, "from 0 to 9"),
        (10, 0, 9, "from 0 to 9"),
        (2**63, 0, 2**63 - 1, "from 0 to 2**63 - 1"),
        (2**62 + 1, 0, 2**62, "from 0 to 2**62"),
        (HUGE, 0, 2**62, "from 0 to 2**62"),
        (-HUGE, 0, None, "from 0 up"),
        (2**20 + 1, 0, 2**20, "from 0 to 1048576"),
        (2**21 + 1, 0, 2**21, "from 0 to 2**21"),
        (2**21, 0, 2**21 - 1, "from 0 to 2**21 - 1"),
        (2**20, 0, 2**20 - 1, "from 0 to 1048575"),
    ],
    ids=range(12),
)
def test_integer_out_of_range(value, least, most, wanted):
    with pytest.raises(ArgumentValueError, match=r"^stream is ") as raised:
        integer("stream", value, least, most)
    assert str(raised.value).endswith(f"it must be an integer {wanted}")
    assert raised.value.argument == "stream"
    assert raised.value.value == value


@pytest.mark.parametrize(
    "values",
    [[3, 4], (3, 4), iter([3, 4]), range(3, 5), np.array([3, 4]), (np.int8(3), Index())],
    ids=range(6),
)
def test_integers(values):
    """Any sequence of them, as a tuple."""
    found = integers("shape", values)
    assert found in ((3, 4), (3, 7))
    assert all(type(each) is int for each in found)


@pytest.mark.parametrize("values", [3, None, "34", b"34", {3, 4}, {3: 4}, 3.5, Index()], ids=stable)
def test_not_a_sequence(values):
    """What has no order is not a shape."""
    with pytest.raises(ArgumentTypeError, match=r"^shape is .*sequence of integers$") as raised:
        integers("shape", values)
    assert raised.value.argument == "shape"
    assert raised.value.value is values


@pytest.mark.parametrize(
    ("values", "error", "culprit"),
    [
        ((3, -1), ArgumentValueError, "-1"),
        ([3, 4.0], ArgumentTypeError, "4.0"),
        ((True, 4), ArgumentTypeError, "True"),
        ((3, None), ArgumentTypeError, "None"),
        ((3, 65), ArgumentValueError, "65"),
        ((3, (4,)), ArgumentTypeError, "(4,)"),
    ],
    ids=stable,
)
def test_bad_integers(values, error, culprit):
    """The argument is the sequence; the text has it and the element."""
    with pytest.raises(error, match=r"^axes is ") as raised:
        integers("axes", values, 0, 64, "an axis")
    assert raised.value.argument == "axes"
    assert raised.value.value is values
    assert f"axes is {values!r}: an axis is {culprit}" in str(raised.value)
    with pytest.raises(error) as raised:
        integers("axes", iter(values), 0, 64, "an axis")
    assert f"axes is {tuple(values)!r}: an axis is {culprit}" in str(raised.value)


# ---- truth values, names, keywords ---------------------------------------------------------------


@pytest.mark.parametrize("value", [True, False, np.True_, np.array(False)], ids=stable)
def test_truth(value):
    assert truth("transposed", value) is bool(value)


@pytest.mark.parametrize(
    "value", [1, 0, "yes", None, 1.0, np.array([True]), np.int8(1)], ids=stable
)
def test_not_a_truth_value(value):
    with pytest.raises(ArgumentTypeError, match=r"^transposed is .*True or False$") as raised:
        truth("transposed", value)
    assert raised.value.choices == (True, False)


MODES = ("fan_avg", "fan_in", "fan_out")


def test_choice():
    """The name itself, however the choices come."""
    for choices in (MODES, list(MODES), iter(MODES), dict.fromkeys(MODES), set(MODES)):
        assert choice("mode", "fan_in", choices) == "fan_in"


@pytest.mark.parametrize(
    "value", ["fan", "", None, 3, ["fan_in"], True, np.array("fan_in")], ids=stable
)
def test_not_a_choice(value):
    with pytest.raises(ArgumentValueError, match=r"^mode is ") as raised:
        choice("mode", value, MODES)
    assert raised.value.argument == "mode"
    assert raised.value.value is value
    assert raised.value.choices == MODES
    assert all(repr(each) in str(raised.value) for each in (value, *MODES))


@pytest.mark.parametrize(
    ("value", "near"),
    [
        ("FAN_IN", "fan_in"),
        ("fan_ni", "fan_in"),
        ("fan_ou", "fan_out"),
        ("fan_avgg", "fan_avg"),
        ("selu", None),
        ("in", None),
        (3, None),
        (None, None),
    ],
)
def test_near_name(value, near):
    """Only a slip of the same name; a name of another thing is not suggested."""
    text = choose_from(value, MODES)
    assert ("did you mean" in text) == (near is not None)
    assert near is None or f"did you mean {near!r}?" in text
    assert all(repr(each) in text for each in MODES)
    assert choose_from(value, ()) == "there are none"


def test_short_names_of_other_things():
    """gelu is not a slip of selu, nor tanh of an unknown name."""
    assert "did you mean" not in choose_from("celu", ("selu", "gelu"))
    assert "did you mean" not in choose_from("kaiming", ("lecun_normal", "he_normal"))


def test_long_lists_after_a_suggestion():
    """A dozen names are enough where one is suggested; the error has them all."""
    names = [f"name_{i}" for i in range(40)]
    text = choose_from("nmae_7", names)
    assert text.startswith("did you mean 'name_7'? It must be one of 'name_0', ")
    assert text.endswith(", 'name_11', ... (40 names)")
    assert text.count("'name_") == 13
    assert choose_from("other", names).count("'name_") == 40
    assert "..." not in choose_from("nmae_7", names[:12])
    with pytest.raises(ArgumentValueError) as raised:
        choice("what", "nmae_7", names)
    assert raised.value.choices == tuple(names)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, "an int"),
        ("3", "a str"),
        ([], "a list"),
        (None, "a NoneType"),
        (np.zeros(2), "an ndarray"),
        (np.uint8(2), "a uint8"),
        (type("_Exporter", (), {})(), "an _Exporter"),
        (OrderedDict(), "an OrderedDict"),
        (type("Net", (), {})(), "a Net"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_article(value, expected):
    assert a_type(value) == expected


def test_keywords():
    """The first unknown one is named, with its value and the near name."""
    keywords("f", {"gain": 1, "mode": 2}, ("gain", "mode"))
    keywords("f", {}, ())
    with pytest.raises(ArgumentTypeError, match=r"^'gian' is not an argument of f") as raised:
        keywords("f", {"mode": 2, "gian": 1}, iter(("gain", "mode")))
    assert "did you mean 'gain'?" in str(raised.value)
    assert (raised.value.argument, raised.value.value) == ("gian", 1)
    assert raised.value.choices == ("gain", "mode")


KINDS = [list, tuple, set, frozenset, dict.fromkeys, deque, partial(array, "i")]


@pytest.mark.parametrize("kind", KINDS, ids=range(len(KINDS)))
def test_shown_items(kind):
    """Twelve items and no more."""
    twelve, thirteen = shown(kind(range(12))), shown(kind(range(13)))
    assert "11" in twelve
    assert "..." not in twelve
    assert "11, ..." in thirteen.replace(": None", "")


@pytest.mark.parametrize("value", ["x" * 118, 10**119], ids=["str", "int"])
def test_shown_characters(value):
    """120 characters and no more."""
    assert shown(value) == repr(value)
    assert len(shown(value)) == 120 == len(shown(value * 10))
