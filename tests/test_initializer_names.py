"""Names of initializers: the one table, aliases, settings of a name, and what the docs say."""

import doctest
import inspect
import re

import pytest
from ids import stable
from initializer_cases import WITH_FANS, make_of

import fastxavier as fx
from fastxavier import initializers
from fastxavier.initializers import ALIASES, INITIALIZERS, initializer_named, resolve

REQUIRED = {
    "uniform": (0, 1),
    "constant": (2,),
    "sparse": (0.5,),
    "variance_scaling": (1, "fan_in", "normal"),
}


def test_table_is_complete():
    """Every public initializer is a row, an alias is the same function, and each row is made."""
    functions = {
        name
        for name in initializers.__all__
        if inspect.isfunction(getattr(initializers, name))
        and name not in ("initializer_named", "resolve", "scaling")
    }
    for name in functions:
        assert getattr(initializers, name) is make_of(ALIASES.get(name, name))
        assert getattr(fx, name) is getattr(initializers, name)
    assert len(WITH_FANS) == 10
    assert set(INITIALIZERS) - functions == {
        *("uniform", "normal", "truncated_normal", "constant"),
        *("identity", "dirac", "orthogonal", "delta_orthogonal", "sparse"),
    }
    assert make_of("zeros")() == fx.zeros() == fx.Constant(0)
    assert make_of("ones")() == fx.ones() == fx.Constant(1)
    for name in INITIALIZERS:
        made = make_of(name)(*REQUIRED.get(name, ()))
        assert isinstance(made, (fx.VarianceScaling, fx.Distribution, fx.StructuredInitializer))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_settings_of_a_row(name):
    """A plan may give everything that the initializer takes, but for the fans."""
    parameters = inspect.signature(make_of(name)).parameters
    assert set(INITIALIZERS[name].settings) == set(parameters) - {"fan_in", "fan_out"}


@pytest.mark.parametrize("name", [*INITIALIZERS, *ALIASES])
def test_named(name):
    """By its name, by torch's with an underscore, and with settings."""
    row = INITIALIZERS[ALIASES.get(name, name)]
    required = inspect.signature(row.make).parameters
    values = REQUIRED.get(ALIASES.get(name, name), ())
    settings = dict(zip(required, values, strict=False))
    made = row.make(*values)
    assert initializer_named(name, **settings) == made
    if name in ("uniform", "normal", "truncated_normal"):  # of which torch's are not ours
        with pytest.raises(ValueError, match=f"'glorot_{name}' or '{name}'"):
            initializer_named(f"{name}_", **settings)
    else:
        assert initializer_named(f"{name}_", **settings) == made
    with pytest.raises(ValueError, match=r"'gian' is not a setting of") as raised:
        initializer_named(name, **settings, gian=2)
    assert raised.value.argument == "gian"
    assert raised.value.choices == row.settings
    assert ("did you mean 'gain'" in str(raised.value)) == ("gain" in row.settings)
    if values:
        with pytest.raises(ValueError, match=f"{name} needs {next(iter(settings))}"):
            initializer_named(name)
    if "fan_in" in required:
        with pytest.raises(ValueError, match="'fan_in' is not a setting"):
            initializer_named(name, **settings, fan_in=3)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("kaiming_norml", "kaiming_normal"),
        ("He_Normal", "he_normal"),
        ("xavier_unifrom", "xavier_uniform"),
        ("truncated_norml", "truncated_normal"),
        ("msra", None),
        ("selu", None),
        ("", None),
        (3, None),
        (None, None),
    ],
)
def test_unknown_name(name, meant):
    """The near name, if one is plain, and all names as data."""
    with pytest.raises(ValueError, match=r"initializer is ") as raised:
        initializer_named(name)
    assert repr(name) in str(raised.value)
    assert ("did you mean" in str(raised.value)) == (meant is not None)
    assert meant is None or f"did you mean {meant!r}" in str(raised.value)
    assert set(raised.value.choices) == {*INITIALIZERS, *ALIASES}
    assert raised.value.value == name


def test_no_name_of_torch_is_taken_for_another_variance():
    """Each resolves to what torch draws under it."""
    shape = (40, 30)
    for name, made in {
        "kaiming_normal": fx.he_normal(30),
        "kaiming_uniform_": fx.he_uniform(30),
        "xavier_normal_": fx.glorot_normal(30, 40),
        "xavier_uniform": fx.glorot_uniform(30, 40),
        "trunc_normal_": fx.TruncatedNormal(),
        "eye_": fx.Identity(),
        "zeros_": fx.Constant(0),
        "ones": fx.Constant(1),
    }.items():
        assert resolve(name, shape) == made


@pytest.mark.parametrize(
    "value", [None, 3, 1.5, [fx.Normal()], fx.he_normal, fx.Normal], ids=stable
)
def test_resolve_refuses(value):
    """What is not an initializer, and how to call one that has not been called."""
    with pytest.raises(TypeError, match="distribution is ") as raised:
        resolve(value, (3, 4))
    assert raised.value.value is value
    name = getattr(value, "__name__", None)
    assert ("call it" in str(raised.value)) == (name is not None)
    assert name is None or f"{name}()" in str(raised.value)


# ---- what the docs say ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WITH_FANS, "variance_scaling"])
def test_docstring_says_all(name):
    """Every parameter, what comes back, the errors, and an example."""
    make = make_of(name)
    text = inspect.getdoc(make)
    for title in ("Parameters", "Returns", "Raises", "References", "Examples"):
        assert f"\n{title}\n{'-' * len(title)}\n" in text
    section = text.partition("Parameters\n")[2].partition("Returns\n")[0]
    described = [
        name.strip()
        for line in re.findall(r"^(\S.*) : ", section, re.M)
        for name in line.split(",")
    ]
    assert sorted(described) == sorted(inspect.signature(make).parameters)
    if make is not fx.variance_scaling:
        assert "torch" in text.partition("Parameters")[0]


def test_docstring_examples():
    """As they are printed."""
    result = doctest.testmod(initializers)
    assert result.attempted > 20
    assert result.failed == 0
