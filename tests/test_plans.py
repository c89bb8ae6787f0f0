"""Plans: which rule holds, which initializer it gives a tensor, and what is refused."""

import copy
import dataclasses
import inspect
import math
import pickle
import re
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_cases import FAULTS, needed, refusal

import fastxavier as fx
from fastxavier import plans
from fastxavier.distributions import Constant, Normal, TruncatedNormal, Uniform
from fastxavier.initializers import ALIASES, INITIALIZERS, initializer_named
from fastxavier.plans import Plan, Rule, default_plan
from fastxavier.plans._names import named
from fastxavier.structured import DeltaOrthogonal, Dirac, Identity, Orthogonal, Sparse

# ---- which rule, which distribution --------------------------------------------------------------


def test_first_rule_that_matches():
    """Rules in order, by the whole name, upper and lower case, and the number of axes."""
    plan = Plan(
        [
            Rule("a.*.weight", "constant", value=1),
            Rule(["*.weight", "other"], "constant", ndim="2+", value=2),
            Rule("*.weight", "constant", ndim=1, value=3),
            Rule("*.[bB]ias", "constant", ndim=0, value=4),
        ]
    )
    cases = {
        ("a.x.y.weight", 1): 1,
        ("b.a.x.weight", 2): 2,
        ("b.weight", 5): 2,
        ("other", 2): 2,
        ("b.weight", 1): 3,
        ("b.Bias", 0): 4,
    }
    for (name, ndim), value in cases.items():
        assert plan.distribution(name, (2,) * ndim) == Constant(value)
        assert plan.rule_for(name, ndim).initializer == Constant(value)
    for name, ndim in [("b.weight", 0), ("b.bias", 1), ("A.x.weight", 0), ("others", 2)]:
        assert plan.rule_for(name, ndim) is None


@pytest.mark.parametrize(
    ("ndim", "matched"),
    [(None, "01234"), (0, "0"), (3, "3"), ("0+", "01234"), ("2+", "234"), ("4+", "4")],
)
def test_ndim(ndim, matched):
    rule = Rule("w", "zeros", ndim=ndim)
    assert [str(n) for n in range(5) if rule.matches("w", n)] == list(matched)


def test_number_of_axes_at_its_end():
    """A rule may ask for the 64 axes that an array can have, and for no more."""
    for ndim in (64, "64+"):
        assert Rule("w", "zeros", ndim=ndim).matches("w", 64)
        assert not Rule("w", "zeros", ndim=ndim).matches("w", 63)
    for ndim in (65, "65+", -1):
        with pytest.raises(ValueError, match="ndim is ") as raised:
            Rule("w", "zeros", ndim=ndim)
        assert raised.value.argument == "ndim"


@settings(deadline=None)
@given(
    st.lists(st.text("a.*?[]!-\\\n", max_size=6), min_size=1), st.text("ab.*[]-\\\n", max_size=8)
)
def test_globs(globs, name):
    """Those of fnmatch, whatever is in them."""
    expected = any(fnmatchcase(name, glob) for glob in globs)
    assert Rule(globs, "zeros").matches(name, 1) == expected
    assert (Plan([Rule(globs, "zeros")]).rule_for(name, 1) is not None) == expected


def test_distributions_are_not_mixed_up():
    """Rules of one initializer, shapes that are permuted, asked again and again."""
    plan = Plan([Rule("a", "lecun_normal"), Rule("b", "lecun_normal", mode="fan_out")])
    for _ in range(3):
        assert plan.distribution("a", (4, 25)).std == plan.distribution("b", (25, 4)).std == 0.2
        assert plan.distribution("a", [25, 4]).std == plan.distribution("b", (4, 25)).std == 0.5


def test_unmatched_tensor():
    """Name, shape and the rule that would catch it; or which rule has its name only."""
    error = refusal(lambda: default_plan().distribution("h.12.attn[0].mask", (3, 4)))
    for part in ("'h.12.attn[0].mask'", "(3, 4)", '"h.*.attn[[]*].mask"', "ndim = 2"):
        assert part in str(error)
    assert Rule("h.*.attn[[]*].mask", "zeros", ndim=2).matches("h.12.attn[0].mask", 2)
    near = Rule("x", "zeros", ndim=1)
    assert f"{near} has the name but not this number of axes" in str(
        refusal(lambda: Plan([near]).distribution("x", ()))
    )


FANS_OF_SETTINGS = [
    ({}, (96, 40), (40, 96)),
    ({}, (96, 40, 3, 3), (360, 864)),
    ({"layout": "jax"}, (96, 40), (96, 40)),
    ({"layout": "keras"}, (3, 3, 96, 40), (864, 360)),
    ({"parts": 3}, (96, 40), (40, 32)),
    ({"groups": 4}, (96, 10, 3, 3), (90, 216)),
    ({"transposed": True}, (40, 96), (40, 96)),
    ({"batch_axis": 0}, (8, 96, 40), (40, 96)),
    ({"in_axis": 0, "out_axis": (1, 2)}, (96, 8, 5), (96, 40)),
    ({"in_axis": 0, "out_axis": [1, 2]}, (96, 8, 5), (96, 40)),
    ({"layout": "embedding"}, (96, 40), (1, 40)),
]


@pytest.mark.parametrize(("given_", "shape", "fans"), FANS_OF_SETTINGS, ids=repr)
def test_fan_settings(given_, shape, fans):
    """Variance 1/fan of LeCun's initializer, by hand, for either fan."""
    for mode, fan in zip(("fan_in", "fan_out"), fans, strict=True):
        rule = Rule("w", "lecun_normal", mode=mode, **given_)
        assert Plan([rule]).distribution("w", shape) == Normal(0, math.sqrt(1 / fan))
        assert Plan.from_toml(Plan([rule]).to_toml()).distribution(
            "w", shape
        ).variance == pytest.approx(1 / fan)


def test_layout_of_the_plan():
    """Where a rule says none; a rule's own axes go before it, and a rule's layout too."""
    plan = Plan(
        [
            Rule("axes", "lecun_normal", in_axis=1, out_axis=0),
            Rule("torch", "lecun_normal", layout="torch"),
            Rule("dirac", "dirac"),
            Rule("torch_dirac", Dirac(layout="torch")),
            Rule("bare_dirac", Dirac()),
            Rule("*", "lecun_normal"),
        ],
        layout="jax",
    )
    stds = {name: plan.distribution(name, (25, 4)).std for name in ("axes", "torch", "other")}
    assert stds == {"axes": 0.5, "torch": 0.5, "other": 0.2}
    assert plan.distribution("dirac", (3, 2, 2)) == Dirac(layout="jax")
    assert plan.distribution("bare_dirac", (3, 2, 2)) == Dirac(layout="jax")
    assert plan.distribution("torch_dirac", (2, 2, 3)) == Dirac(layout="torch")


KERNELS = ["kernel", "Conv_0.kernel", "params/Conv_0/kernel", "conv_kernel"]


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_has_the_axes_of_jax_and_keras(name):
    """With any rule of a plan that has no layout: 3 * 3 * 64 inputs, 3 * 3 * 128 outputs."""
    plan = Plan([Rule("*", "glorot_uniform")])
    shape = (3, 3, 64, 128)
    assert plan.distribution(name, shape).bounds[1] == pytest.approx(0.0589256, rel=1e-6)
    assert plan.distribution(name, shape) == fx.glorot_uniform(9 * 64, 9 * 128)
    other = name.replace("kernel", "weight")
    assert plan.distribution(other, (128, 64, 3, 3)) == fx.glorot_uniform(9 * 64, 9 * 128)
    assert plan.distribution(name, shape) != plan.distribution(other, shape)
    assert plan.distribution(name + "_", shape) == plan.distribution(other, shape)
    for layout in ("jax", "keras"):
        assert plan.distribution(name, shape) == Plan(plan.rules, layout).distribution(name, shape)


def test_structured_initializer_of_a_kernel():
    """It has a layout, too: Dirac's ones are where the outputs are the last axis."""
    plan = Plan([Rule("*", "dirac")])
    assert plan.distribution("conv.kernel", (3, 2, 2)) == Dirac(layout="jax")
    assert plan.distribution("conv.weight", (2, 2, 3)) == Dirac(layout="torch")


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("a.kernel", "torch"),
        ("a.kernel", "embedding"),
        ("a/weight", "jax"),
        ("weight", "keras"),
    ],
)
def test_name_and_layout_contradict_each_other(name, layout):
    """An error for what reads axes, which a layout of the rule's own resolves; nothing else."""
    last = re.split("[./]", name)[-1]
    for initializer in ("he_normal", Orthogonal()):
        plan = Plan([Rule("*", initializer)], layout)
        error = refusal(lambda plan=plan: plan.distribution(name, (3, 5)))
        assert error.argument == "layout"
        message = f"the layout is {layout!r}, but a tensor named {last!r} has the axes ("
        assert f"tensor {name!r} of shape (3, 5), by Rule(" in str(error)
        assert message in str(error)
        assert "a layout of its own" in str(error)
    for rule in (
        Rule("*", "he_normal", layout=layout),
        Rule("*", "he_normal", in_axis=0, out_axis=1),
        Rule("*", "he_normal", in_axis=(), out_axis=1),
        Rule("*", "normal"),
        Rule("*", "identity"),
    ):
        assert Plan([rule], layout).distribution(name, (3, 5))


def test_transposed_kernel():
    """Flax and Keras differ there, so the name is not enough."""
    plan = Plan([Rule("*", "he_normal", transposed=True)])
    error = refusal(lambda: plan.distribution("up.kernel", (3, 4, 5)))
    assert "Flax" in str(error)
    assert "Keras" in str(error)
    stds = [Plan(plan.rules, one).distribution("up.kernel", (3, 4, 5)).std for one in JAX_KERAS]
    assert stds == [math.sqrt(2 / 12), math.sqrt(2 / 15)]
    assert plan.distribution("up.weight", (4, 5, 3)).std == math.sqrt(2 / 12)


JAX_KERAS = ("jax", "keras")


def test_beside():
    """A rule may ask what else its module has; if the names are not known, it holds."""
    plan = Plan([Rule("*.weight", "ones", beside=("bias", "mean")), Rule("1.*", "zeros")])
    for names, expected in [
        (None, 1),
        (["1.weight", "1.bias"], 1),
        (iter(["1.weight", "1.mean"]), 1),
        (["1.weight", "2.bias", "bias", "1.bias2"], 0),
    ]:
        known = plan if names is None else plan.of_model(names)
        assert known == plan
        assert known.knows_model == (names is not None)
        assert known.distribution("1.weight", (3,)) == Constant(expected)
        assert known.rule_for("1.weight", 1) == plan.rules[1 - expected]
    known = plan.of_model(["a/b.weight", "a/bias"])
    error = refusal(lambda: known.distribution("a/b.weight", (3,)))
    assert f"{plan.rules[0]} is for one with 'bias' or 'mean' beside it" in str(error)
    for again in (pickle.loads(pickle.dumps(known)), copy.deepcopy(known)):
        assert refusal(lambda again=again: again.distribution("a/b.weight", (3,)))
    assert plan.distribution("a/b.weight", (3,)) == Constant(1)
    assert plan.of_model(["a/b.bias"]).distribution("a/b.weight", (3,)) == Constant(1)
    array = np.empty(3)
    fx.init_({"1.weight": array}, plan, seed=1)
    assert (array == 0).all()
    fx.init_({"1.weight": array}, plan.of_model(["1.weight", "1.bias"]), seed=1)
    assert (array == 1).all()
    assert Rule("w", "ones", beside="bias") == Rule("w", "ones", beside=["bias"])
    assert Plan.from_toml(plan.to_toml()) == Plan.from_json(plan.to_json()) == plan
    assert eval(repr(plan), vars(plans)) == plan
    assert dataclasses.replace(plan.rules[0], ndim=2).beside == ("bias", "mean")


def test_activation_as_gain():
    """The name stays in the plan; the number is in the distribution."""
    rule = Rule("*", "glorot_normal", gain="relu")
    assert rule.initializer.gain == "relu"
    assert Plan([rule]).distribution("w", (30, 20)) == Normal(0, math.sqrt(2) * math.sqrt(2 / 50))


@pytest.mark.parametrize(
    "distribution",
    [
        Uniform(-1, 2),
        Normal(0.5, 2),
        Normal(),
        TruncatedNormal(0.1, 2, -1, math.inf),
        Constant(-3),
        Identity(2.0),
        Dirac(2, gain=2.0, layout="jax"),
        Orthogonal(0.5),
        DeltaOrthogonal(0.5, layout="keras"),
        Sparse(0.25, std=0.5),
    ],
    ids=repr,
)
def test_values_without_fans(distribution):
    """Kept as it is; it comes back, from text as well."""
    plan = Plan([Rule("w", distribution)])
    assert plan.rules[0].initializer is distribution
    shape = {Identity: (4, 4), Dirac: (3, 6, 6), DeltaOrthogonal: (3, 6, 6)}.get(
        type(distribution), (6, 4)
    )
    expected = distribution
    if getattr(distribution, "layout", "") is None:
        expected = dataclasses.replace(distribution, layout="torch")
    assert plan.distribution("w", shape) == expected
    assert Plan.from_toml(plan.to_toml()) == plan
    assert Plan.from_toml(plan.to_toml()).distribution("w", shape) == expected
    assert refusal(lambda: Rule("w", distribution, std=1.0, gain=1.0)).argument == "gain"


def test_shape_without_distribution():
    """One that its initializer cannot take: tensor, shape and rule are named."""
    plan = Plan([Rule("o", "orthogonal"), Rule("z", "he_normal"), Rule("g", "he_normal", groups=3)])
    for name, shape in [
        ("o", (5,)),
        ("z", (5,)),
        ("z", (0,)),
        ("z", (4, -1)),
        ("g", (4, 4)),
        ("g", (4, 0)),
    ]:
        message = str(refusal(lambda name=name, shape=shape: plan.distribution(name, shape)))
        assert f"tensor {name!r} of shape {shape}, by Rule(('{name}',)" in message


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "settings", "fans"),
    [
        ((5, 0), {}, (1, 5)),
        ((0, 5), {}, (5, 1)),
        ((0, 0), {}, (1, 1)),
        ((8, 4, 0, 3), {}, (12, 24)),
        ((0, 4), {"parts": 3}, (4, 1)),
        ((0, 4, 3), {"groups": 2, "mode": "fan_out"}, (12, 3)),
        ((0, 96, 40), {"batch_axis": 0}, (40, 96)),
        ((0, 5), {"layout": "embedding", "mode": "fan_out"}, (1, 5)),
    ],
    ids=repr,
)
def test_tensor_without_elements(shape, settings, fans, dtype):
    """Fans as if an extent of 0 were 1, or one channel of each group and part; nothing to fill."""
    plan = Plan([Rule("w", "lecun_normal", **settings)])
    fan = fans[settings.get("mode") == "fan_out"]
    assert plan.distribution("w", shape) == Normal(0, math.sqrt(1 / fan))
    array = np.empty(shape, dtype)
    assert fx.init_({"w": array}, plan, seed=1).tensors[0].distribution == plan.distribution(
        "w", shape
    )
    assert fx.fill_(array, plan.distribution("w", shape), seed=1) is array


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_for_no_elements(name):
    kernel = name in ("dirac", "delta_orthogonal")
    for shape in [(3, 0), (0, 3)]:
        shape += (3,) * kernel
        distribution = Plan([Rule("w", name, **needed(name))]).distribution("w", shape)
        assert fx.fill_(np.empty(shape), distribution, seed=1).shape == shape


# ---- values --------------------------------------------------------------------------------------


def test_values():
    """Equal by content, whatever the order of settings; hashable, immutable, copied, pickled."""
    one = Rule(["a", "b"], "normal", std=2, mean=1.0, ndim=2)
    two = Rule(("a", "b"), "normal", mean=1, std=2.0, ndim=2)
    assert one == two
    assert hash(one) == hash(two)
    assert one != Rule(("b", "a"), "normal", mean=1, std=2.0, ndim=2)
    plan = Plan([one, Rule("*", "he_normal", batch_axis=[0, 1])], layout="jax")
    assert eval(repr(plan), vars(plans)) == plan
    distribution = plan.distribution("a", (3, 4))
    plan.distribution(
        "b.c.d", (2, 3, 4, 5)
    )  # a plan remembers distributions, which must not get in the way
    for other in (pickle.loads(pickle.dumps(plan)), copy.deepcopy(plan), copy.copy(plan)):
        assert (other, hash(other)) == (plan, hash(plan))
        assert other.distribution("a", (3, 4)) == distribution
    for value, name in [(one, "initializer"), (plan, "layout")]:
        with pytest.raises(AttributeError):
            setattr(value, name, "torch")
    assert one.initializer == Normal(1, 2)


# ---- names and values of initializers ------------------------------------------------------------


@pytest.mark.parametrize("name", INITIALIZERS)
def test_settings_are_those_of_the_call(name):
    """The row of the table lists every parameter but the fans."""
    row = INITIALIZERS[name]
    parameters = [one for one in inspect.signature(row.make).parameters if one[:4] != "fan_"]
    assert sorted(row.settings) == sorted(parameters)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_by_name_and_by_value(name):
    """The same rule, which `named` writes by this name again, in TOML and in JSON."""
    settings = needed(name)
    value = INITIALIZERS[name].make(**settings)
    rule = Rule("w", name, **settings)
    assert rule == Rule("w", value)
    assert rule.initializer == value
    assert named(value) == (name, settings)
    assert initializer_named(name, **settings) == value
    for plan in (Plan([rule]), Plan([Rule("w", value)], "keras")):
        assert Plan.from_toml(plan.to_toml()) == Plan.from_json(plan.to_json()) == plan
        assert f'initializer = "{name}"' in plan.to_toml()
        assert f'"initializer": "{name}"' in plan.to_json()


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases(alias):
    """Other libraries' names, also with torch's underscore; the plan writes ours."""
    name = ALIASES[alias]
    rule = Rule("w", name)
    assert Rule("w", alias) == Rule("w", f"{alias}_") == rule
    assert f"'{name}'" in repr(Rule("w", alias))
    text = f'[[rule]]\nnames = "w"\ninitializer = "{alias}_"\n'
    assert Plan.from_toml(text).to_toml() == Plan([rule]).to_toml()


def test_settings_of_an_alias():
    assert Rule("w", "kaiming_normal", mode="fan_out") == Rule("w", fx.he_normal(mode="fan_out"))
    assert Rule("w", "trunc_normal_", std=0.02) == Rule("w", TruncatedNormal(0, 0.02))
    assert Rule("w", "eye", gain=2) == Rule("w", Identity(2.0))
    error = refusal(lambda: Rule("w", "kaimign_normal"))
    assert "did you mean 'kaiming_normal'?" in str(error)
    assert "'normal'" in str(refusal(lambda: Rule("w", "__")))


VALUES = [
    (fx.he_normal(mode="fan_out"), "he_normal", {"mode": "fan_out"}),
    (fx.he_uniform(layout="jax", parts=3), "he_uniform", {"layout": "jax", "parts": 3}),
    (fx.glorot_uniform(gain="relu"), "glorot_uniform", {"gain": "relu"}),
    (fx.glorot_normal(mode="fan_out"), "glorot_normal", {"mode": "fan_out"}),
    (fx.he_normal(gain=2), "lecun_normal", {"gain": 2.0}),
    (fx.heuristic_uniform(groups=2), "heuristic_uniform", {"groups": 2}),
    (fx.variance_scaling(2, "fan_in", "normal"), "he_normal", {}),
    (
        fx.variance_scaling(1, "fan_geo_avg", "uniform", transposed=True),
        "glorot_uniform",
        {"mode": "fan_geo_avg", "transposed": True},
    ),
    (
        fx.he_normal(negative_slope=0.1),
        "variance_scaling",
        {"scale": 2, "mode": "fan_in", "distribution": "normal", "gain": 1 / math.sqrt(1.01)},
    ),
    (
        fx.he_normal(negative_slope=1, mode="fan_out", batch_axis=[0]),
        "variance_scaling",
        {
            "scale": 2,
            "mode": "fan_out",
            "distribution": "normal",
            "gain": 1 / math.sqrt(2),
            "batch_axis": (0,),
        },
    ),
    (
        fx.variance_scaling(0.7, "fan_avg", "truncated_normal"),
        "variance_scaling",
        {"scale": 0.7, "mode": "fan_avg", "distribution": "truncated_normal"},
    ),
    (Constant(0), "zeros", {}),
    (Constant(1.0), "ones", {}),
    (Normal(0.0, 0.02), "normal", {"std": 0.02}),
    (TruncatedNormal(0, 1, -3, math.inf), "truncated_normal", {"low": -3.0, "high": math.inf}),
    (Dirac(2, layout="jax"), "dirac", {"groups": 2, "layout": "jax"}),
    (Orthogonal(2), "orthogonal", {"gain": 2.0}),
]


@pytest.mark.parametrize(("value", "name", "settings"), VALUES, ids=repr)
def test_values_as_names_and_settings(value, name, settings):
    """A value with settings, whether or not it has a name of its own: written, and read back."""
    assert named(value) == (name, settings)
    assert initializer_named(name, **settings) == value
    plan = Plan([Rule(["a", "b"], value, ndim=4)], "jax")
    assert plan.rules[0].initializer is value
    assert Plan.from_toml(plan.to_toml()) == Plan.from_json(plan.to_json()) == plan
    assert eval(repr(plan), {**vars(plans), "inf": math.inf}) == plan
    assert plan == Plan([Rule(["a", "b"], name, ndim=4, **settings)], "jax")


def test_replaced():
    """dataclasses.replace gives a rule like another, and checks it."""
    rule = Rule("w", fx.he_normal(mode="fan_out"), ndim="2+")
    assert dataclasses.replace(rule, ndim=2) == Rule("w", "he_normal", ndim=2, mode="fan_out")
    assert dataclasses.replace(rule, names=["v"], initializer="zeros") == Rule(
        "v", "zeros", ndim="2+"
    )
    assert refusal(lambda: dataclasses.replace(rule, ndim=1)).argument == "ndim"
    plan = Plan([rule])
    assert dataclasses.replace(plan, layout="jax") == Plan([rule], "jax")
    plan.distribution("w", (25, 4))
    assert dataclasses.replace(plan, layout="jax").distribution("w", (25, 8)).std == 0.5


def test_initializer_of_the_users_own():
    """A subclass goes into a plan; only as text it has no name."""

    class Shifted(Identity):
        def _set_ones(self, part, one):
            part.array[...] = 3

    plan = Plan([Rule("w", Shifted(2.0), ndim=2)])
    assert repr(plan.rules[0]) == f"Rule(('w',), {Shifted(2.0)!r}, ndim=2)"
    array = np.empty((2, 3))
    fx.init_({"w": array}, plan, seed=1)
    assert (array == 3).all()
    for write in (plan.to_toml, plan.to_json):
        with pytest.raises(TypeError, match=r"^initializer is .*, which has no name in a plan"):
            write()


@pytest.mark.parametrize("layout", ["torch", "jax", "keras", "embedding"])
@pytest.mark.parametrize("make", [Dirac, Orthogonal, DeltaOrthogonal])
def test_structured_in_the_layout_of_the_plan(layout, make):
    """One that names no layout has the plan's; its values are those of that layout."""
    own = "torch" if layout == "embedding" else layout
    shape = (4, 4, 4)  # of a convolution in every layout
    plan = Plan([Rule("w", make(), ndim=3)], layout)
    assert plan.distribution("w", shape) == make(layout=own)
    array, right, wrong = np.empty(shape), np.empty(shape), np.empty(shape)
    fx.init_({"w": array}, plan, seed=5)
    fx.fill_(right, make(layout=own), seed=5, stream="w")
    fx.fill_(wrong, make(layout="jax" if own == "torch" else "torch"), seed=5, stream="w")
    assert (array == right).all()
    assert (array != wrong).any()


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("initializer", "keys", "argument", "parts"), FAULTS, ids=repr)
def test_fault_in_a_rule(initializer, keys, argument, parts):
    """At construction; the error has the argument, its value and what would be valid."""
    error = refusal(lambda: Rule("w", initializer, **keys))
    assert error.argument == argument
    for part in parts:
        assert part in str(error)


def test_data_of_an_error():
    """What a program needs to say it in its own words."""
    error = refusal(lambda: Rule("w", "he_normal", mode="fan_inn"))
    valid = ("fan_avg", "fan_in", "fan_out", "fan_geo_avg")
    assert (error.argument, error.value, error.choices) == ("mode", "fan_inn", valid)
    error = refusal(lambda: Rule("w", "glorot_unifrom"))
    assert (error.argument, error.value) == ("initializer", "glorot_unifrom")
    assert set(error.choices) == INITIALIZERS.keys() | ALIASES.keys()
    error = refusal(lambda: Rule("w", "normal", sdt=1))
    assert (error.argument, error.value, error.choices) == ("sdt", 1, ("mean", "std"))
    error = refusal(lambda: Rule("w", "zeros", ndim="x"))
    assert (error.argument, error.value, error.choices) == ("ndim", "x", ())
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.argument, again.value) == (str(error), "ndim", "x")
    assert isinstance(error, ValueError)


AXES_TAKEN = {
    **dict.fromkeys((Identity, Sparse), (2, 2)),
    **dict.fromkeys((Dirac, DeltaOrthogonal), (3, 5)),
    Orthogonal: (2, 64),
}


@pytest.mark.parametrize(
    "name", [name for name, row in INITIALIZERS.items() if hasattr(row.make, "write")]
)
def test_number_of_axes_that_no_tensor_can_have(name):
    """Known when the rule is made; a range needs one number that the initializer takes."""
    settings = needed(name)
    least, most = AXES_TAKEN[INITIALIZERS[name].make]
    for ndim in range(65):
        possible = [ndim] if least <= ndim <= most else []
        possible += [f"{ndim}+"] if ndim <= most else []
        for one in (ndim, f"{ndim}+"):
            if one in possible:
                assert Rule("w", name, ndim=one, **settings).ndim == one
                continue
            error = refusal(lambda one=one: Rule("w", name, ndim=one, **settings))
            assert error.argument == "ndim"
            assert " needs " in str(error)
            assert f"by Rule(('w',), {name!r}, ndim={one!r}" in str(error)
    assert Rule("w", name, **settings).ndim is None


def test_faults_of_a_plan():
    """What is not a rule or a layout, and a rule that the plan's layout forbids."""
    assert "it must be a Rule" in str(refusal(lambda: Plan(["zeros"])))
    for layout in ("tosch", "", 3):
        error = refusal(lambda layout=layout: Plan([], layout))
        assert (error.argument, error.value) == ("layout", layout)
        assert "'keras'" in str(error)
    assert "did you mean 'torch'?" in str(refusal(lambda: Plan([], "tosch")))
    stacked = [Rule("a", "zeros"), Rule(["w", "*.v"], "he_normal", ndim=3)]
    message = str(refusal(lambda: Plan(stacked, "embedding")))
    assert message.startswith("rule 2 (names 'w', '*.v'): ")
    for names in ([], (), 3, None, ["a", 3], b"w", "\ud800"):
        assert refusal(lambda names=names: Rule(names, "zeros")).argument == "names"
    for initializer in (3, None, Constant, ["zeros"], fx.he_normal):
        error = refusal(lambda initializer=initializer: Rule("w", initializer))
        assert error.argument == "initializer"
    assert "call it: he_normal()" in str(error)
