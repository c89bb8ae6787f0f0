"""In-place functions, made from the table: each is fill_ with its initializer, by the shape."""

import importlib
import inspect
import math
import sys

import cases
import numpy as np
import pytest
import stubs
from ids import stable
from initializer_cases import WITH_FANS, make_of

import fastxavier as fx
from fastxavier._in_place import IN_PLACE
from fastxavier.gains import ACTIVATIONS
from fastxavier.initializers import ALIASES, INITIALIZERS, resolve

FILL = ["seed", "stream", "global_shape", "offset", "threads", "cuda_stream"]
# What a function needs, and what it takes besides: by position where torch does.
ARGUMENTS = {
    "variance_scaling_": [((), {"scale": 2, "mode": "fan_out", "distribution": "uniform"})],
    "constant_": [((0.5,), {}), ((), {"value": 0.5})],
    "identity_": [((), {}), ((2.0,), {}), ((), {"gain": 2.0})],
    "eye_": [((), {}), ((2.0,), {}), ((), {"gain": 2.0})],
    "dirac_": [((), {}), ((2,), {}), ((2,), {"gain": 0.5, "layout": "keras"})],
    "orthogonal_": [((), {}), ((2.0,), {}), ((), {"gain": 2.0, "layout": "jax"})],
    "delta_orthogonal_": [((), {}), ((2.0,), {"layout": "keras"})],
    "sparse_": [((0.5,), {}), ((0.5, 0.02), {}), ((), {"sparsity": 0.5, "std": 0.02})],
}
SHAPES = {"dirac_": (8, 4, 3, 4), "delta_orthogonal_": (12, 10, 10, 12)}
CASES = [(name, *arguments) for name in IN_PLACE for arguments in ARGUMENTS.get(name, [((), {})])]
every_function = pytest.mark.parametrize("name", IN_PLACE)
every_case = pytest.mark.parametrize(("name", "values", "settings"), CASES, ids=stable)


def initializer_of(name):
    """The name of its row in the table."""
    plain = name.removesuffix("_")
    return ALIASES.get(plain, plain)


BY_SHAPE = [name for name in IN_PLACE if initializer_of(name) in (*WITH_FANS, "variance_scaling")]
by_shape = pytest.mark.parametrize("name", BY_SHAPE)


def needed(name):
    """The settings without which a function cannot be called, as keywords."""
    made = inspect.signature(make_of(initializer_of(name)))
    return (
        dict(zip(made.parameters, ARGUMENTS.get(name, [((), {})])[0][0], strict=False))
        | (ARGUMENTS.get(name, [((), {})])[0][1])
    )


def shape_of(name):
    return SHAPES.get(name, (12, 10))


# ---- what they write -----------------------------------------------------------------------------


def test_every_initializer_has_one():
    """Each row and alias but for those whose names are Glorot's with fans; all are public."""
    names = {f"{name}_" for name in (*INITIALIZERS, *ALIASES)}
    assert set(IN_PLACE) == names - {"uniform_", "normal_", "truncated_normal_", "trunc_normal_"}
    for name in IN_PLACE:
        assert getattr(fx, name) is IN_PLACE[name]
        assert name in fx.__all__
        assert name in dir(fx)


@every_case
def test_is_fill_with_the_initializer(name, values, settings):
    """The same bits, in every dtype; the array comes back."""
    initializer = make_of(initializer_of(name))(*values, **settings)
    for dtype in cases.DTYPES.values():
        w, expected = np.full(shape_of(name), 7, dtype), np.empty(shape_of(name), dtype)
        assert IN_PLACE[name](w, *values, **settings, seed=5, stream="w") is w
        fx.fill_(expected, resolve(initializer, w.shape), seed=5, stream="w")
        assert w.tobytes() == expected.tobytes()
        fx.fill_(w, fx.Constant(7))
        fx.fill_(w, initializer, seed=5, stream="w", threads=1)
        assert w.tobytes() == expected.tobytes()


@every_case
def test_any_memory_layout(name, values, settings):
    """A transposed view, a strided one and memory by DLPack alone take the same values."""
    shape = shape_of(name)
    expected = IN_PLACE[name](np.empty(shape), *values, **settings, seed=5)
    fortran = np.zeros(shape, order="F")
    strided = np.zeros((*shape[:-1], 2 * shape[-1]))[..., ::2]
    exported = np.zeros(shape)
    for w in (fortran, strided, cases.Exporter(exported)):
        assert IN_PLACE[name](w, *values, **settings, seed=5) is w
    for w in (fortran, strided, exported):
        assert (w == expected).all()


@every_case
def test_shards(name, values, settings):
    """A part takes the scale and the values of the whole tensor."""
    shape = shape_of(name)
    whole = IN_PLACE[name](np.empty(shape, np.float32), *values, **settings, seed=7, stream="w")
    for slices in [np.s_[:3], np.s_[5:], np.s_[:, 2:3], np.s_[2:9, :2], np.s_[3:3]]:
        offset = [*((each.start or 0) for each in np.atleast_1d(slices)), *[0] * len(shape)]
        part = np.full(whole[slices].shape, 9, np.float32)
        IN_PLACE[name](
            part,
            *values,
            **settings,
            seed=7,
            stream="w",
            global_shape=shape,
            offset=offset[: len(shape)],
        )
        assert part.tobytes() == whole[slices].tobytes()


@by_shape
def test_fans_of_the_whole(name):
    """Never those of the shard: its scale is that of the global shape."""
    settings = needed(name)
    initializer = make_of(initializer_of(name))(**settings)
    whole = (4096, 1024)
    part = np.empty((2, 5), np.float64)
    IN_PLACE[name](part, **settings, seed=7, stream="w", global_shape=whole, offset=(2048, 3))
    expected = fx.fill_(
        np.empty((2, 5)),
        initializer.with_fans(*fx.fans(whole)),
        seed=7,
        stream="w",
        global_shape=whole,
        offset=(2048, 3),
    )
    assert part.tobytes() == expected.tobytes()
    of_the_part = fx.fill_(np.empty((2, 5)), initializer.with_fans(5, 2), seed=7, stream="w")
    assert abs(part).max() < abs(of_the_part).max() / 10


@by_shape
@pytest.mark.parametrize("layout", ["torch", "jax", "keras", "embedding"])
def test_layout(name, layout):
    """The fans of the layout that is named; torch's where none is."""
    shape = (30, 50) if layout == "embedding" else (3, 5, 7)
    settings = {**needed(name), "mode": "fan_avg"}
    make = make_of(initializer_of(name))
    w = IN_PLACE[name](np.empty(shape), **settings, layout=layout, seed=7)
    expected = fx.fill_(np.empty(shape), make(**settings).with_fans(fx.fans(shape, layout)), seed=7)
    assert w.tobytes() == expected.tobytes()
    if layout == "torch":
        assert IN_PLACE[name](np.empty(shape), **settings, seed=7).tobytes() == w.tobytes()
    else:
        assert IN_PLACE[name](np.empty(shape), **settings, seed=7).tobytes() != w.tobytes()


@by_shape
def test_axes_groups_and_parts(name):
    """All settings of `fans` pass through."""
    for shape, axes in [
        ((512, 8, 64), {"in_axis": 0, "out_axis": (1, 2)}),
        ((64, 4, 3), {"groups": 4}),
        ((16, 64, 3), {"transposed": True}),
        ((192, 64), {"parts": 3}),
        ((8, 40, 30), {"batch_axis": 0}),
    ]:
        settings = {**needed(name), "mode": "fan_out"}
        w = IN_PLACE[name](np.empty(shape), **settings, **axes, seed=7)
        initializer = make_of(initializer_of(name))(**settings)
        distribution = initializer.with_fans(fx.fans(shape, **axes))
        assert w.tobytes() == fx.fill_(np.empty(shape), distribution, seed=7).tobytes()


@by_shape
def test_gain(name):
    """By number, and by the name of an activation."""
    w = np.empty((12, 10))
    settings = needed(name)
    if "gain" not in INITIALIZERS[initializer_of(name)].settings:
        with pytest.raises(TypeError, match="'gain' is not an argument of") as raised:
            IN_PLACE[name](w, **settings, gain=2)
        assert "did you mean" not in str(raised.value)
        return
    for activation in ACTIVATIONS:
        by_name = IN_PLACE[name](w, **settings, gain=activation, seed=7).copy()
        by_number = IN_PLACE[name](w, **settings, gain=fx.gain(activation), seed=7)
        assert by_name.tobytes() == by_number.tobytes()
    one = IN_PLACE[name](w, **settings, gain=1, seed=7).copy()
    assert (IN_PLACE[name](w, **settings, gain=2, seed=7) == 2 * one).all()


def test_torch_by_position():
    """The lines of torch that pass numbers by position."""
    w = np.empty((4, 6, 3))
    assert (fx.constant_(w, 0.5) == 0.5).all()
    assert (fx.zeros_(w) == 0).all()
    assert (fx.ones_(w) == 1).all()
    groups = fx.dirac_(w, 2)
    assert groups.sum() == 4
    assert groups[2, 0, 1] == groups[3, 1, 1] == 1
    m = np.empty((6, 4))
    assert (fx.eye_(m) == np.eye(6, 4)).all()
    assert np.allclose(fx.orthogonal_(m, 2.0, seed=1).T @ m, 4 * np.eye(4), atol=1e-14)
    sparse = fx.sparse_(np.empty((100, 30)), 0.5, 0.02, seed=1)
    assert ((sparse == 0).sum(axis=0) == 50).all()
    # 1500 normals: their mean square is within 5 of its own standard deviations of std**2.
    spread = (sparse[sparse != 0] ** 2).mean() / 0.02**2
    assert abs(spread - 1) < 5 * math.sqrt(2 / 1500)


# ---- signatures, docstrings, stubs ---------------------------------------------------------------


@every_function
def test_signature(name):
    """The initializer's own arguments without the fans, then those of fill_, keyword-only."""
    parameters = inspect.signature(IN_PLACE[name]).parameters
    made = inspect.signature(make_of(initializer_of(name))).parameters
    own = [key for key in made if key not in ("fan_in", "fan_out")]
    assert list(parameters) == ["array", *own, *FILL]
    assert parameters["array"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    for key in own:
        assert parameters[key].default == made[key].default
        if name in BY_SHAPE:
            assert parameters[key].kind is inspect.Parameter.KEYWORD_ONLY
    fill = inspect.signature(fx.fill_).parameters
    for key in FILL:
        assert parameters[key].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[key].default == fill[key].default
    assert IN_PLACE[name].__name__ == IN_PLACE[name].__qualname__ == name


def test_stubs_are_up_to_date(monkeypatch):
    """The types are those that tools/stubs.py writes, and it sees a difference."""
    monkeypatch.setattr(sys, "argv", ["stubs.py", "--check"])
    with pytest.raises(SystemExit) as stop:
        stubs.main()
    assert not stop.value.code
    monkeypatch.delitem(IN_PLACE, "he_normal_")
    with pytest.raises(SystemExit) as stop:
        stubs.main()
    assert stop.value.code


def described(function):
    """Its docstring has an entry for each of its parameters, once."""
    section = inspect.getdoc(function).partition("Parameters\n")[2].partition("\n\n")[0]
    entries = [line.partition(" : ")[0] for line in section.splitlines()[1:] if line[0] != " "]
    keys = sorted(key for entry in entries for key in entry.split(", "))
    assert keys == sorted(inspect.signature(function).parameters)


@every_function
def test_docstring(name):
    """It says what it is the same as, and describes every argument."""
    text = inspect.getdoc(IN_PLACE[name])
    make = make_of(initializer_of(name))
    assert f"``fill_(array, {make.__name__}(...))``" in text
    assert f"`{make.__name__}`" in text
    for title in ("Parameters", "Returns", "Raises"):
        assert f"\n{title}\n{'-' * len(title)}\n" in text
    described(IN_PLACE[name])
    described(make)
    assert ("fans of the whole shape" in text) == (name in BY_SHAPE)


# ---- refused -------------------------------------------------------------------------------------


def refused(error, message, call, w):
    """`call` raises; the array stays as it is and the module default's next stream too."""
    before = w.tobytes()
    fx.manual_seed(2024)
    with pytest.raises(error, match=message) as raised:
        call()
    assert w.tobytes() == before
    taken = fx.fill_(np.empty(9), fx.Normal())
    assert (taken == fx.fill_(np.empty(9), fx.Normal(), seed=2024, stream=0)).all()
    return raised.value


WITHOUT_SECOND = ("heuristic_uniform_", "variance_scaling_")


@by_shape
@pytest.mark.parametrize("value", [2.0, 0, "relu", (12, 10), None])
def test_positional_gain(name, value):
    """torch's xavier_normal_(w, 2.0) passes a gain, kaiming_normal_(w, 0) a slope: name it.

    What cannot be either is not written behind the name of one.
    """
    w = np.full((12, 10), 0.5)
    error = refused(TypeError, "by position", lambda: IN_PLACE[name](w, value), w)
    parameters = inspect.signature(IN_PLACE[name]).parameters
    second = "negative_slope" if "negative_slope" in parameters else "gain"
    named = isinstance(value, (int, float)) and name not in WITHOUT_SECOND
    assert (f"what torch takes there is {second}={value!r} here" in str(error)) == named
    assert named or "write the names of the others" in str(error)
    assert error.argument == (second if second in parameters else "array")
    assert error.value == value
    assert f"fill_(array, {make_of(initializer_of(name)).__name__}(" in str(error)


@every_function
def test_fans_are_refused(name):
    """In place they come from the shape; the message shows how to give them."""
    w = np.full(shape_of(name), 0.5)
    for key in ("fan_in", "fan_out"):
        settings = {**needed(name), key: 3}
        error = refused(
            TypeError,
            rf"{key} is 3, but {name} (takes the fans from the shape|has no fans)",
            lambda settings=settings: IN_PLACE[name](w, **settings),
            w,
        )
        assert error.argument == key
        assert error.value == 3
        assert ("fill_(array, " in str(error)) == (name in BY_SHAPE)
        assert ("fan_in, fan_out)" in str(error)) == (name in BY_SHAPE)


@every_function
@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        *(("sed", "seed"), ("steam", "stream"), ("global_shap", "global_shape")),
        *(("ofset", "offset"), ("thread", "threads"), ("gian", "gain"), ("moed", "mode")),
    ],
)
def test_unknown_keyword(name, typo, meant):
    """The near one is named where the function has it, and all it has are data."""
    w = np.full(shape_of(name), 0.5)
    known = list(inspect.signature(IN_PLACE[name]).parameters)[1:]
    error = refused(
        TypeError,
        f"'{typo}' is not an argument of {name}",
        lambda: IN_PLACE[name](w, **needed(name), **{typo: 3}),
        w,
    )
    assert error.argument == typo
    assert error.value == 3
    assert list(error.choices) == known
    assert (f"did you mean {meant!r}" in str(error)) == (meant in known)


@every_function
def test_missing_and_too_many(name):
    """What is needed is named; one argument more than there are is refused."""
    w = np.full(shape_of(name), 0.5)
    for key in needed(name):
        rest = {other: value for other, value in needed(name).items() if other != key}
        error = refused(
            TypeError, f"{name} needs {key}", lambda rest=rest: IN_PLACE[name](w, **rest), w
        )
        assert error.argument == key
    refused(TypeError, "by position", lambda: IN_PLACE[name](w, *[1] * 9), w)
    with pytest.raises(TypeError):
        IN_PLACE[name]()


@every_function
def test_bad_settings(name):
    """Of fill_ and of the initializer, named with their values."""
    w = np.full(shape_of(name), 0.5)
    for key, value, kind in [
        ("seed", -1, ValueError),
        ("seed", "1", TypeError),
        ("stream", -1, ValueError),
        ("threads", 0, ValueError),
        ("global_shape", 3, TypeError),
        ("global_shape", (1,) * w.ndim, ValueError),
        ("offset", (0,) * w.ndim, ValueError),
        ("gain", -1, ValueError),
        ("layout", "flax", ValueError),
        ("mode", "fan", ValueError),
        ("groups", 0, ValueError),
    ]:
        if key not in inspect.signature(IN_PLACE[name]).parameters:
            continue
        settings = {**needed(name), key: value}
        error = refused(kind, key, lambda settings=settings: IN_PLACE[name](w, **settings), w)
        assert error.argument == key


@every_function
def test_shapes_without_fans(name):
    """No axis or one: only constants fill those."""
    for shape in ((), (3,)):
        w = np.full(shape, 0.5)
        if name in ("zeros_", "ones_", "constant_"):
            assert (
                IN_PLACE[name](w, **needed(name)) == needed(name).get("value", name == "ones_")
            ).all()
            continue
        error = refused(
            ValueError, "axes|matrix|convolution", lambda w=w: IN_PLACE[name](w, **needed(name)), w
        )
        assert error.argument in ("shape", "array")
    with pytest.raises(TypeError, match="array is"):
        IN_PLACE[name]([[1.0, 2.0]], **needed(name))


@every_function
def test_empty_arrays(name):
    """Nothing is written, and nothing is wrong: also where a fan is 0."""
    shape = shape_of(name)
    for axis in (0, 1):
        empty = tuple(0 if k == axis else extent for k, extent in enumerate(shape))
        w = np.empty(empty, np.float32)
        assert IN_PLACE[name](w, **needed(name)) is w


# ---- the traps of torch's names ------------------------------------------------------------------

TRAPS = [
    (fx.normal_, (0, 0.02), "fan_in", 0, "fill_(array, Normal(0, 0.02))"),
    (fx.normal_, (0, 1), "fan_in", 0, "fill_(array, Normal(0, 1))"),
    (fx.normal_, (0.0, 1.0), "fan_in", 0.0, "fill_(array, Normal(0.0, 1.0))"),
    (fx.normal_, (1, 0.02), "fan_out", 0.02, "fill_(array, Normal(1, 0.02))"),
    (fx.normal_, (-1, 2), "fan_in", -1, "fill_(array, Normal(-1, 2))"),
    (fx.uniform_, (0, 1), "fan_in", 0, "fill_(array, Uniform(0, 1))"),
    (fx.uniform_, (-0.1, 0.1), "fan_in", -0.1, "fill_(array, Uniform(-0.1, 0.1))"),
    (fx.uniform_, (-1, 1), "fan_in", -1, "fill_(array, Uniform(-1, 1))"),
    (fx.truncated_normal_, (0, 0.02), "fan_in", 0, "fill_(array, TruncatedNormal(0, 0.02))"),
    (fx.truncated_normal_, (0.0, 1), "fan_in", 0.0, "fill_(array, TruncatedNormal(0.0, 1))"),
]


@pytest.mark.parametrize(("fill", "values", "argument", "value", "hint"), TRAPS, ids=stable)
def test_parameters_where_fans_are_meant(fill, values, argument, value, hint):
    """torch's line is an error that shows ours; nothing is written and no stream taken."""
    w = np.full((4, 3), 0.5)
    error = refused(ValueError, f"{argument} is .*at least 1", lambda: fill(w, *values), w)
    assert hint in str(error)
    assert error.argument == argument
    assert error.value == value
    names = {"fill_": fx.fill_, "array": w}
    eval(
        hint,
        {
            **names,
            **{name: getattr(fx, name) for name in ("Normal", "Uniform")},
            "TruncatedNormal": fx.TruncatedNormal,
        },
    )
    assert (w != 0.5).any()


@pytest.mark.parametrize("fill", [fx.normal_, fx.uniform_, fx.truncated_normal_])
def test_fans_of_an_empty_array(fill):
    """An array without elements takes fans of 0, as its shape has them; still no others."""
    for shape in ((0,), (0, 3), (3, 0), (0, 0)):
        w = np.empty(shape, np.float32)
        assert fill(w, 0, 0, seed=1) is w
        assert fill(w, 3, 0, seed=1) is w
        assert fill(w, 0.0, 3, seed=1, global_shape=shape) is w
        for bad in ("3", None, True, math.nan, math.inf):
            with pytest.raises((TypeError, ValueError), match="fan_in is"):
                fill(w, bad, 3)
    with pytest.raises(ValueError, match="at least 1"):
        fill(np.empty(()), 0, 1)


@pytest.mark.parametrize("fill", [fx.normal_, fx.uniform_, fx.truncated_normal_])
def test_fans_of_any_number(fill):
    """Real numbers from 1 up, NumPy's and 0-d arrays too, and integers of any size."""
    for one, other in [
        (1, 1.0),
        (3, np.array(3)),
        (3.5, np.float64(3.5)),
        (2**70, float(2**70)),
        (7, np.uint8(7)),
    ]:
        a, b = np.empty((3, 4)), np.empty((3, 4))
        assert fill(a, one, one, seed=1).tobytes() == fill(b, other, other, seed=1).tobytes()
    assert abs(fill(np.empty((3, 4)), 10**400, 10**5000, seed=1)).max() == 0
    w = np.full((3, 4), 0.5)
    error = refused(TypeError, r"fan_in is \(3, 4\)", lambda: fill(w, w.shape, 1), w)
    assert "fill_(array, glorot_" in str(error)


def test_initializer_that_was_not_called():
    """The message shows the call; a class that is a distribution too."""
    w = np.full((4, 3), 0.5)
    for value in (fx.he_normal, fx.glorot_uniform, fx.Normal, fx.Orthogonal, fx.zeros):
        error = refused(TypeError, "distribution is", lambda value=value: fx.fill_(w, value), w)
        assert f"call it: {value.__name__}()" in str(error)


@pytest.mark.parametrize("name", [*INITIALIZERS, *ALIASES])
def test_initializer_by_name(name):
    """A name alone, with torch's underscore or without it, where nothing else is needed."""
    needs = any(
        one.default is one.empty
        for one in inspect.signature(make_of(ALIASES.get(name, name))).parameters.values()
    )
    w = np.full(SHAPES.get(f"{name}_", (4, 3)), 0.5)
    for spelled in (name, f"{name}_"):
        if spelled in ("uniform_", "normal_", "truncated_normal_"):
            refused(ValueError, f"'glorot_{spelled[:-1]}'", lambda n=spelled: fx.fill_(w, n), w)
        elif needs:
            refused(ValueError, f"{spelled} needs", lambda n=spelled: fx.fill_(w, n), w)
        else:
            made = fx.fill_(np.empty(w.shape), make_of(ALIASES.get(name, name))(), seed=3)
            assert fx.fill_(np.empty(w.shape), spelled, seed=3).tobytes() == made.tobytes()


def test_unknown_initializer():
    """Named with its value and the choices; a name that is near is shown."""
    w = np.full((4, 3), 0.5)
    for name, near in [("kaiming_norml", "kaiming_normal"), ("msra", None), ("", None)]:
        error = refused(ValueError, "distribution is", lambda n=name: fx.fill_(w, n), w)
        assert error.argument == "distribution"
        assert error.value == name
        assert set(error.choices) == {*INITIALIZERS, *ALIASES}
        assert ("did you mean" in str(error)) == (near is not None)
        assert near is None or repr(near) in str(error)


# ---- names of the package ------------------------------------------------------------------------

ELSEWHERE = {
    "trunc_normal_": "fill_(array, TruncatedNormal(mean, std))",
    "identity": "Identity()",
    "calculate_gain": "gain(activation, negative_slope=..., convention='torch')",
    "eye": "Identity()",
    "dirac": "Dirac()",
    "orthogonal": "Orthogonal()",
    "sparse": "Sparse(sparsity)",
    "constant": "Constant(value)",
    "normal": "Normal(mean, std)",
    "uniform": "Uniform(low, high)",
    "truncated_normal": "TruncatedNormal(mean, std)",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_of_other_libraries(name):
    """An AttributeError that says what to write here."""
    with pytest.raises(AttributeError, match=f"no attribute '{name}'") as raised:
        getattr(fx, name)
    assert f"write {ELSEWHERE[name]}" in str(raised.value)
    called = ELSEWHERE[name].partition("(")[0]
    assert hasattr(fx, called)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("kaiming_norml_", "kaiming_normal_"),
        ("he_normal__", "he_normal_"),
        ("manual_seeds", "manual_seed"),
    ],
)
def test_misspelt_attribute(name, near):
    """The near name is shown."""
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; did you mean '{near}'"):
        getattr(fx, name)
    with pytest.raises(AttributeError) as raised:
        getattr(fx, "_" + name)
    assert "did you mean" not in str(raised.value)


def test_no_module_hides_a_function():
    """Whatever is imported, the public names stay what they are."""
    for module in ("_fans", "fill", "gains", "initializers", "plans", "_verify", "structured"):
        importlib.import_module(f"fastxavier.{module}")
    for name in fx.__all__:
        assert not inspect.ismodule(getattr(fx, name)), name
    for name in ("verify", "gain", "fans", "init_", "info", "draw", "fill_", "init_checkpoint"):
        assert inspect.isfunction(getattr(fx, name))
    assert fx.fans((4, 3)) == (3, 4)
    assert set(fx.__all__) <= set(dir(fx))
