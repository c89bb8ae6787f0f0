"""Plans: which rule holds, which distribution comes of it, what is refused and where; text and back."""

import copy
import inspect
import json
import math
import pickle
import re
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastxavier as fx
from fastxavier import plans
from fastxavier.catalog import SCHEMES
from fastxavier.distributions import Constant, Normal, TruncatedNormal, Uniform, ones, zeros
from fastxavier.plans import Plan, PlanError, Rule
from fastxavier.plans.presets import PLANS, default_plan, gpt2_plan, resnet_plan, vit_plan
from fastxavier.structured import DeltaOrthogonal, Dirac, Identity, Orthogonal, Sparse


def refusal(call):
    with pytest.raises(PlanError) as raised:
        call()
    return raised.value


# ---- which rule, which distribution -----------------------------------------------------------------------


def test_first_rule_that_matches():
    """Rules in order; rank counts; upper and lower case differ; the whole name must match."""
    plan = Plan(
        [
            Rule("a.*.weight", "constant", value=1),
            Rule(["*.weight", "other"], "constant", rank="2+", value=2),
            Rule("*.weight", "constant", rank=1, value=3),
            Rule("*.[bB]ias", "constant", rank=0, value=4),
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
    for (name, rank), value in cases.items():
        assert plan.distribution(name, (2,) * rank) == Constant(value)
        assert plan.rule_for(name, rank).settings == {"value": value}
    for name, rank in [("b.weight", 0), ("b.bias", 1), ("A.x.weight", 0), ("others", 2)]:
        assert plan.rule_for(name, rank) is None


@pytest.mark.parametrize(
    ("rank", "matched"),
    [(None, "01234"), (0, "0"), (3, "3"), ("0+", "01234"), ("2+", "234"), ("4+", "4")],
)
def test_rank(rank, matched):
    rule = Rule("w", "zeros", rank=rank)
    assert [str(n) for n in range(5) if rule.matches("w", n)] == list(matched)


@settings(deadline=None)
@given(
    st.lists(st.text("a.*?[]!-\\\n", max_size=6), min_size=1), st.text("ab.*[]-\\\n", max_size=8)
)
def test_globs(globs, name):
    """Those of fnmatch, whatever stands in them."""
    expected = any(fnmatchcase(name, glob) for glob in globs)
    assert Rule(globs, "zeros").matches(name, 1) == expected
    assert (Plan([Rule(globs, "zeros")]).rule_for(name, 1) is not None) == expected


def test_distributions_are_not_mixed_up():
    """Rules of one scheme, shapes that are permuted, asked again and again."""
    plan = Plan([Rule("a", "lecun_normal"), Rule("b", "lecun_normal", mode="fan_out")])
    for _ in range(3):
        assert plan.distribution("a", (4, 25)).std == plan.distribution("b", (25, 4)).std == 0.2
        assert plan.distribution("a", [25, 4]).std == plan.distribution("b", (4, 25)).std == 0.5


def test_unmatched_tensor():
    """Name, shape and the rule that would catch it; or which rule missed it only by rank."""
    error = refusal(lambda: default_plan().distribution("h.12.attn[0].mask", (3, 4)))
    for part in ("'h.12.attn[0].mask'", "(3, 4)", '"h.*.attn[[]*].mask"', "rank = 2"):
        assert part in str(error)
    assert Rule("h.*.attn[[]*].mask", "zeros", rank=2).matches("h.12.attn[0].mask", 2)
    near = Rule("x", "zeros", rank=1)
    assert f"{near} has the name but not the rank" in str(
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
    """Variance 1/fan of LeCun's distribution, by hand, for either fan; the plan's layout or the rule's."""
    for mode, fan in zip(("fan_in", "fan_out"), fans, strict=True):
        rule = Rule("w", "lecun_normal", mode=mode, **given_)
        assert Plan([rule]).distribution("w", shape) == Normal(0, math.sqrt(1 / fan))
        assert Plan.from_toml(Plan([rule]).to_toml()).distribution(
            "w", shape
        ).variance == pytest.approx(1 / fan)


def test_layout_of_the_plan():
    """Where a rule says none; axes of the rule stand above it, and a rule's layout too."""
    plan = Plan(
        [
            Rule("axes", "lecun_normal", in_axis=1, out_axis=0),
            Rule("torch", "lecun_normal", layout="torch"),
            Rule("dirac", "dirac"),
            Rule("torch_dirac", Dirac()),
            Rule("*", "lecun_normal"),
        ],
        layout="jax",
    )
    stds = {name: plan.distribution(name, (25, 4)).std for name in ("axes", "torch", "other")}
    assert stds == {"axes": 0.5, "torch": 0.5, "other": 0.2}
    assert plan.distribution("dirac", (3, 2, 2)) == Dirac(layout="jax")
    assert plan.distribution("torch_dirac", (2, 2, 3)) == Dirac(layout="torch")


def test_activation_as_gain():
    """The name stays in the plan; the number is in the distribution."""
    rule = Rule("*", "glorot_normal", gain="relu")
    assert rule.settings == {"gain": "relu"}
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
        Dirac(2.0, 3, "jax"),
        Orthogonal(0.5),
        DeltaOrthogonal(0.5, "keras"),
        Sparse(0.25, 0.5),
    ],
    ids=repr,
)
def test_distribution_as_scheme(distribution):
    """Kept as name and arguments; the distribution comes back, from text as well."""
    plan = Plan([Rule("w", distribution)])
    assert isinstance(plan.rules[0].scheme, str)
    shape = {Identity: (4, 4), Dirac: (3, 6, 6), DeltaOrthogonal: (3, 6, 6)}.get(
        type(distribution), (6, 4)
    )
    assert plan.distribution("w", shape) == distribution
    assert Plan.from_toml(plan.to_toml()).distribution("w", shape) == distribution
    assert refusal(lambda: Rule("w", distribution, std=1.0, gain=1.0)).key == "gain"


def test_shape_without_distribution():
    """A structure or fans that the shape does not have: tensor, shape and rule are named."""
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


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_has_a_distribution_for_no_elements(scheme):
    needed = {"scale": 1, "mode": "fan_in", "distribution": "normal", "low": 0, "high": 1}
    needed |= {"sparsity": 0.5, "value": 1}
    empty = inspect.Parameter.empty
    parameters = inspect.signature(SCHEMES[scheme]).parameters
    given = {
        name: needed[name]
        for name, each in parameters.items()
        if name in needed and (each.default is empty or scheme == "variance_scaling")
    }
    kernel = scheme in ("dirac", "delta_orthogonal")
    for shape in [(3, 0), (0, 3)]:
        shape += (3,) * kernel
        distribution = Plan([Rule("w", scheme, **given)]).distribution("w", shape)
        assert fx.fill_(np.empty(shape), distribution, seed=1).shape == shape


# ---- values --------------------------------------------------------------------------------------


def test_values():
    """Equal by content, whatever the order of settings; hashable, immutable, copied, pickled."""
    one = Rule(["a", "b"], "normal", std=2, mean=1.0, rank=2)
    two = Rule(("a", "b"), "normal", mean=1, std=2.0, rank=2)
    assert one == two
    assert hash(one) == hash(two)
    assert one != Rule(("b", "a"), "normal", mean=1, std=2.0, rank=2)
    plan = Plan([one, Rule("*", "he_normal", batch_axis=[0, 1])], layout="jax")
    assert eval(repr(plan), vars(plans)) == plan
    distribution = plan.distribution("a", (3, 4))
    plan.distribution(
        "b.c.d", (2, 3, 4, 5)
    )  # a plan remembers distributions, which must not get in the way
    for other in (pickle.loads(pickle.dumps(plan)), copy.deepcopy(plan), copy.copy(plan)):
        assert (other, hash(other)) == (plan, hash(plan))
        assert other.distribution("a", (3, 4)) == distribution
    for value, name in [(one, "scheme"), (plan, "layout")]:
        with pytest.raises(AttributeError):
            setattr(value, name, "torch")
    one.settings["std"] = 5
    assert one.settings["std"] == 2


# ---- refusals ------------------------------------------------------------------------------------

# A rule's scheme, its other keys, the key at fault, and what the message must say.
FAULTS = [
    ("glorot_unifrom", {}, "scheme", ["'glorot_unifrom'", "did you mean 'glorot_uniform'?", "he_"]),
    ("", {}, "scheme", ["''", "glorot_uniform"]),
    ("glorot_uniform", {"gian": 2}, "gian", ["did you mean 'gain'?", "mode", "in_axis", "parts"]),
    ("zeros", {"gain": 2}, "gain", ["no setting of zeros"]),
    ("normal", {"groups": 2}, "groups", ["no setting of normal", "mean, std"]),
    ("normal", {"self": 2}, "self", ["no setting"]),
    ("uniform", {"low": 0}, "scheme", ["needs high"]),
    ("variance_scaling", {"mode": "fan_in"}, "scheme", ["needs scale and distribution"]),
    ("uniform", {"low": 1, "high": 0}, "low", ["low is 1", "above high"]),
    ("normal", {"std": -1}, "std", ["std is -1", "negative"]),
    ("normal", {"std": "wide"}, "std", ["'wide'", "real number"]),
    ("normal", {"std": True}, "std", ["True", "real number"]),
    ("normal", {"mean": [1.0]}, "mean", ["real number"]),
    ("constant", {"value": {"a": 1}}, "value", ["number, a string"]),
    ("glorot_uniform", {"gain": "rellu"}, "gain", ["gain", "'rellu'", "did you mean 'relu'?"]),
    ("glorot_uniform", {"gain": "x"}, "gain", ["gain", "'x'", "'relu'", "'tanh'"]),
    ("glorot_uniform", {"gain": -1.0}, "gain", ["gain is -1.0"]),
    ("he_normal", {"mode": "fan_inn"}, "mode", ["'fan_inn'", "did you mean 'fan_in'?", "fan_avg"]),
    ("he_normal", {"layout": "toch"}, "layout", ["'toch'", "did you mean 'torch'?", "keras"]),
    ("dirac", {"layout": "toch"}, "layout", ["'toch'", "did you mean 'torch'?", "keras"]),
    ("he_normal", {"groups": 0}, "groups", ["groups is 0"]),
    ("he_normal", {"groups": 2.0}, "groups", ["groups is 2.0", "integer"]),
    ("he_normal", {"parts": -3}, "parts", ["parts is -3"]),
    ("he_normal", {"transposed": "yes"}, "transposed", ["transposed is 'yes'"]),
    ("he_normal", {"in_axis": 0}, "in_axis", ["out_axis is None", "both"]),
    ("he_normal", {"in_axis": 0, "out_axis": 0}, "in_axis", ["named once"]),
    ("he_normal", {"batch_axis": 10**15}, "batch_axis", [str(10**15)]),
    ("he_normal", {"batch_axis": "all"}, "batch_axis", ["'all'"]),
    ("he_normal", {"batch_axis": [0, [1]]}, "batch_axis", ["batch_axis"]),
    ("he_normal", {"rank": 1}, "rank", ["rank", "two axes"]),
    ("orthogonal", {"rank": 1}, "scheme", ["two axes"]),
    ("zeros", {"rank": "two"}, "rank", ["'two'", "2+"]),
    ("zeros", {"rank": "+2"}, "rank", ["'+2'"]),
    ("zeros", {"rank": "2 +"}, "rank", ["'2 +'"]),
    ("zeros", {"rank": -1}, "rank", ["-1"]),
    ("zeros", {"rank": 2.0}, "rank", ["2.0"]),
    ("zeros", {"rank": True}, "rank", ["True"]),
    ("zeros", {"rank": [1, 2]}, "rank", ["[1, 2]"]),
    ("zeros", {"rank": 10**30}, "rank", ["rank"]),
    ("zeros", {"rank": "99+"}, "rank", ["99"]),
]


@pytest.mark.parametrize(("scheme", "keys", "key", "parts"), FAULTS, ids=repr)
def test_fault_in_a_rule(scheme, keys, key, parts, tmp_path):
    """At construction; from TOML and JSON with the file and the line of the key."""
    error = refusal(lambda: Rule("w", scheme, **keys))
    assert error.key == key
    for part in parts:
        assert part in str(error)

    before = ["# [[rule]]", 'layout = "torch"', "[[rule]]", 'names = "w"', 'scheme = "zeros"', ""]
    pairs = {"names": "w", **keys, "scheme": scheme}
    block = ["[[rule]]", *(f"{name} = {toml(value)}" for name, value in pairs.items())]
    after = ["", "[[rule]]", *(f"{name} = {toml(value)}" for name, value in pairs.items())]
    path = tmp_path / "plan.toml"
    path.write_text("\n".join([*before, *block, *after]))
    line = len(before) + 2 + list(pairs).index(key)
    expect(path, line, key, parts)

    path = tmp_path / "plan.json"
    text = json.dumps({"rule": [{"scheme": "zeros", "names": "w"}, pairs, pairs]}, indent=1)
    path.write_text(text)
    lines = enumerate(text.splitlines(), 1)
    line = next(number for number, line in lines if f'"{key}":' in line and number > 5)
    expect(path, line, key, parts)


def expect(path, line, key, parts):
    error = refusal(lambda: Plan.load(path))
    assert str(error).startswith(f"{path}, line {line}: ")
    assert error.key == key
    assert key in str(error)
    for part in parts:
        assert part in str(error)


def toml(value):
    """A value as TOML, by other means than the package's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(part)}" for name, part in value.items()) + "}"
    return json.dumps(value)


TOML_FAULTS = [
    ('layot = "torch"', 1, "layot", "did you mean 'layout'?"),
    ('layout = "torhc"', 1, "layout", "did you mean 'torch'?"),
    ("layout = 3", 1, "layout", "layout is 3"),
    ('\n[[rules]]\nnames = "w"', 2, "rules", "did you mean 'rule'?"),
    ("rule = 3", 1, "rule", "rule is 3"),
    ("[rule]\nscheme = 'zeros'", 1, "rule", "list of rules"),
    ("\nrule = [3]", 2, None, "the rule is 3"),
    ("[[rule]]\nscheme = 'zeros'", 1, None, "no names"),
    ("[[rule]]\n\nnmaes = 'w'\nscheme = 'zeros'", 3, "nmaes", "did you mean 'names'?"),
    ("\n[[rule]]\nnames = 'w'", 2, None, "no scheme"),
    ("[[rule]]\nnames = 'w'\nschema = 'zeros'", 3, "schema", "did you mean 'scheme'?"),
    ("[[rule]]\nscheme = 'zeros'\nnames = []", 3, "names", "empty"),
    ("[[rule]]\nscheme = 'zeros'\nnames = ['w', 3]", 3, "names", "['w', 3]"),
    ("[[rule]]\nscheme = 'zeros'\nnames = {a = 1}", 3, "names", "glob"),
    ("[[rule]]\nnames = 'w'\nscheme = 3", 3, "scheme", "scheme is 3"),
    ("[[rule]]\nnames = 'w'\nscheme = 1979-05-27", 3, "scheme", "1979"),
    ("[[rule]]\nnames = 'w'\nscheme = 'normal'\nstd = 1979-05-27", 4, "std", "a date"),
    ("[[rule]]\nnames = 'w'\nscheme = 'normal'\nstd.x = 1", 4, "std", "number, a string"),
    ("[[rule]]\nnames = 'w'\nscheme = 'normal'\n[rule.std]\nx = 1", 4, "std", "number, a string"),
    ("[[rule]]\nnames = 'w'\nscheme = 'normal'\nstd = nan", 4, "std", "nan"),
    ("[[rule]]\nnames = 'w'\nscheme = 'zeros'\n\nrank = 1\nrank = 2", 6, None, "overwrite"),
    ("[[rule]]\nnames = 'w'\nscheme = 'zeros\n\n", "[345]", None, ""),
    ("[[rule]]\nnames = ['w',\n'v'\n", 4, None, ""),
    ('names = """\n[[rule]]\n"""\n[["rule"]]\n"names"=3', 1, "names", "no key of a plan"),
    (
        '[["rule"]] # [[rule]]\nnames = """\n[[rule]]\nscheme = 3"""\n"scheme"=3',
        5,
        "scheme",
        "is 3",
    ),
    (
        "rule = [\n{names = 'w', scheme = 'zeros'},\n{names = 'w', scheme = 'zeros', x = 1},\n]",
        3,
        "x",
        "",
    ),
    *(
        (text, text[: text.index("!")].count("\n") + 1, key, "")
        for key, text in [
            ("scheme", "rule = [\n {names = 'w', scheme = 'ones'},\n {names='', scheme='!'},\n]"),
            (
                "scheme",
                "rule = [ # [\n{names='w', scheme='ones'}, {names = [\n'}'], scheme = '!'}]",
            ),
            ("scheme", "[[rule]]\nnames = [\n'scheme=b',\n\"scheme = 'c'\",\n]\nscheme = '!'"),
            ("scheme", "[[rule]]\nnames = [\n'[[rule]]',\n#\n]\nscheme = '!'\n[[rule]]"),
            ("scheme", '[[rule]]\nnames = """\nscheme = \\"""\nscheme = 3"""""\nscheme = "!"'),
            ("scheme", "[[rule]]\nnames = '''\nscheme = 3''''\nscheme = '!'"),
            ("scheme", '[[rule]]\nnames = "w"\n"s\\u0063heme" = "!"\n[[rule]]\nscheme = 3'),
            ("std", "[[rule]]\nscheme = 'normal'\nnames = 'w'\nmean = 1.5 # std = 1\nstd = '!'"),
            ("low", "[[rule]]\nscheme = 'uniform'\nnames = 'w'\nhigh = 1\n[rule.'low'] # !"),
        ]
    ),
]


@pytest.mark.parametrize(("text", "line", "key", "message"), TOML_FAULTS, ids=repr)
def test_fault_in_toml(text, line, key, message):
    """What is no rule's: top-level keys, missing ones, types that TOML has, syntax."""
    error = refusal(lambda: Plan.from_toml(text, source="the plan"))
    assert re.match(rf"the plan, line {line}: .*{re.escape(message)}", str(error))
    assert error.key == key


JSON_FAULTS = [
    ("3", 1, None, "the plan is 3"),
    ("\n[]", 2, None, "the plan is []"),
    ('{"layout": "torch",\n"layuot": "torch"}', 2, "layuot", "did you mean 'layout'?"),
    ('{"rule": [],\n"layout": null}', 2, "layout", "None"),
    ('{\n"rule": {"names": "w"}}', 2, "rule", "list of rules"),
    ('{"rule": [\n{"names": "w", "scheme": "zeros"},\n\n7]}', 4, None, "the rule is 7"),
    ('{"rule": [{"names": "w", "scheme": "zeros",\n"rank": null}]}', 2, "rank", "null"),
    ('{"rule": [{"names": "w", "scheme": "zeros",\n"names": "v"}]}', 2, "names", "twice"),
    ('{"rule": [],\n"rule": []}', 2, "rule", "twice"),
    ('{"rule": [{"names": "w", "scheme": "normal",\n"std": NaN}]}', 2, "std", "nan"),
    ('{"rule": [{"names": "w", "scheme": "normal",\n"std": 1e999}]}', 2, "std", "inf"),
    ('{"rule": [{"names": "\\ud800",\n"scheme": "normal"}]}', 1, "names", "UTF-8"),
    ('{"rule": [{"names": "{[,\\"}",\n"scheme": ["]", ":"]}]}', 2, "scheme", "name of a scheme"),
    ('{"rule": [\n}', 2, None, ""),
    ('{"rule": [\n\n', 3, None, ""),
    ("", 1, None, ""),
]


@pytest.mark.parametrize(("text", "line", "key", "message"), JSON_FAULTS, ids=repr)
def test_fault_in_json(text, line, key, message):
    """The same for JSON, which also has null, keys twice, and strings full of brackets."""
    error = refusal(lambda: Plan.from_json(text, source="the plan"))
    assert re.match(rf"the plan, line {line}: .*{re.escape(message)}", str(error))
    assert error.key == key


@pytest.mark.parametrize("read", [Plan.from_json, Plan.from_toml])
def test_deep_nesting(read):
    with pytest.raises(PlanError):
        read("rule = " * (read == Plan.from_toml) + "[" * 100_000)


def test_faults_of_files(tmp_path):
    """Endings, encodings; what cannot be read is the operating system's error."""
    for name in ("plan.yaml", "plan", "plan.toml.txt"):
        assert ".toml or .json" in str(refusal(lambda name=name: Plan.load(tmp_path / name)))
        assert ".toml or .json" in str(refusal(lambda name=name: Plan([]).save(tmp_path / name)))
    assert not list(tmp_path.iterdir())
    for name in ("plan.toml", "plan.json"):
        with pytest.raises(FileNotFoundError):
            Plan.load(tmp_path / name)
        (tmp_path / name).write_bytes(b"\n\n\xff")
        assert str(refusal(lambda name=name: Plan.load(tmp_path / name))).startswith(
            f"{tmp_path / name}, line 3: "
        )


def test_faults_of_a_plan():
    """What is no rule, no layout, and a rule that the plan's layout forbids."""
    assert "a rule is a Rule" in str(refusal(lambda: Plan(["zeros"])))
    assert "did you mean 'torch'?" in str(refusal(lambda: Plan([], "tosch")))
    assert str(refusal(lambda: Plan([Rule("w", "dirac")], "embedding"))).startswith("rule 1: ")
    for names in ([], (), 3, None, ["a", 3], b"w", "\ud800"):
        assert refusal(lambda names=names: Rule(names, "zeros")).key == "names"
    for scheme in (3, None, zeros.__class__, ["zeros"]):
        assert refusal(lambda scheme=scheme: Rule("w", scheme)).key == "scheme"


# ---- text and back -------------------------------------------------------------------------------

numbers = st.floats(0.01, 100) | st.integers(1, 100)
modes = st.sampled_from(["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
counts = st.integers(1, 6)
layouts = st.sampled_from(["torch", "jax", "keras"])
SETTINGS = {
    "scale": numbers,
    "gain": numbers | st.sampled_from(["relu", "tanh", "gelu"]),
    "mode": modes,
    "negative_slope": numbers,
    "bound": numbers,
    "std": numbers,
    "mean": st.floats(-1e300, 1e300),
    "low": st.sampled_from([-3, -0.5, -math.inf]),
    "high": st.sampled_from([0, 0.5, 3]),
    "value": st.floats(-1e308, 1e308) | st.integers(-(2**70), 2**70),
    "distribution": st.sampled_from(["uniform", "normal", "truncated_normal"]),
    "sparsity": st.floats(0, 1),
    "groups": counts,
    "parts": counts,
    "layout": layouts,
    "batch_axis": st.integers(-2, 2) | st.lists(st.integers(0, 3), unique=True, max_size=2),
}


@st.composite
def rules(draw):
    """Any rule: every scheme, with some of its settings."""
    scheme = draw(st.sampled_from(sorted(SCHEMES)))
    own = inspect.signature(SCHEMES[scheme]).parameters
    keys = [name for name in own if name not in ("fan_in", "fan_out")]
    chosen = {
        key: draw(SETTINGS[key])
        for key in keys
        if own[key].default is inspect.Parameter.empty or draw(st.booleans())
    }
    if scheme == "uniform":
        chosen["low"] = max(chosen["low"], -1e9)
    if scheme in ("identity", "dirac", "orthogonal", "delta_orthogonal") and isinstance(
        chosen.get("gain"), str
    ):
        chosen["gain"] = 1.5
    if "fan_in" in own:
        extra = draw(st.sampled_from(["groups", "parts", "layout", "batch_axis", "axes", None]))
        if extra == "axes":
            chosen.update(in_axis=draw(st.sampled_from([0, (0, 1), ()])), out_axis=-1)
        elif extra:
            chosen[extra] = draw(SETTINGS[extra])
    rank = draw(st.none() | st.integers(4, 6) | st.sampled_from(["0+", "2+", "4+"]))
    if scheme in ("identity", "dirac", "orthogonal", "delta_orthogonal", "sparse") or chosen.get(
        "layout"
    ):
        rank = None
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3)
    )
    return Rule(names, scheme, rank=rank, **chosen)


any_plan = st.builds(Plan, st.lists(rules(), max_size=5), layouts)


@settings(max_examples=150, deadline=None)
@given(any_plan)
def test_round_trip(plan):
    """TOML and JSON give the plan back, character by character the second time too."""
    for read, write in [(Plan.from_toml, Plan.to_toml), (Plan.from_json, Plan.to_json)]:
        text = write(plan)
        text.encode()
        again = read(text)
        assert again == plan
        assert write(again) == text
        assert eval(repr(again), {**vars(plans), "inf": math.inf}) == plan


@settings(max_examples=100, deadline=None)
@given(st.lists(rules(), min_size=1, max_size=5), st.data())
def test_line_of_a_fault(all_rules, data):
    """A key made wrong in a random rule, whatever stands in the strings: its line is found."""
    at = data.draw(st.integers(0, len(all_rules) - 1))
    plan = Plan(all_rules)
    lines = plan.to_toml().split("\n")
    head = [number for number, line in enumerate(lines) if line == "[[rule]]"][at]
    at_line = head + data.draw(st.integers(1, 2))
    lines.insert(at_line, 'wrong_key = "[[rule]]"')
    error = refusal(lambda: Plan.from_toml("\n".join(lines)))
    assert f"line {at_line + 1}: 'wrong_key'" in str(error)

    document = json.loads(plan.to_json())
    document["rule"][at]["wrong_key"] = "\n{[]}"
    text = json.dumps(document, indent=1)
    line = next(
        n for n, line in enumerate(text.split("\n"), 1) if line.startswith('   "wrong_key"')
    )
    assert f"line {line}: 'wrong_key'" in str(refusal(lambda: Plan.from_json(text)))


def test_files(tmp_path):
    """What is saved is loaded; one name or several; other line ends."""
    plan = Plan([Rule("ä.*", Normal(0, 0.02)), Rule(["a", "b"], "he_normal", rank="2+")], "keras")
    for name in ("plan.toml", "plan.json"):
        plan.save(tmp_path / name)
        assert Plan.load(str(tmp_path / name)) == plan
        text = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(text.replace(b"\n", b"\r\n"))
        assert Plan.load(tmp_path / name) == plan
    assert Plan.from_toml("") == Plan([])
    assert Plan.from_json("{}") == Plan([])


def test_every_setting_has_a_strategy():
    """A new parameter of a scheme must be tried above."""
    for scheme in SCHEMES:
        assert set(inspect.signature(SCHEMES[scheme]).parameters) <= {
            *SETTINGS,
            "fan_in",
            "fan_out",
        }


# ---- ready-made plans ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANS)
def test_ready_made(name):
    """Called without arguments, written out and read back."""
    plan = PLANS[name]()
    assert Plan.from_toml(plan.to_toml()) == plan
    assert Plan.from_json(plan.to_json()) == plan


def glorot(*fans, gain=1.0):
    bound = gain * math.sqrt(6 / sum(fans))
    return Uniform(-bound, bound)


def close(distribution, expected):
    """The same class, and parameters that differ by rounding at most."""
    return type(distribution) is type(expected) and all(
        math.isclose(mine, theirs, rel_tol=1e-14)
        for mine, theirs in zip(distribution.__reduce__()[1], expected.__reduce__()[1], strict=True)
    )


DEFAULT = [
    ("torch", "0.weight", (30, 20), glorot(20, 30)),
    ("torch", "encoder.layers.0.self_attn.in_proj_weight", (60, 20), glorot(20, 60)),
    ("torch", "encoder.layers.0.self_attn.in_proj_bias", (60,), zeros),
    ("torch", "conv.weight", (8, 4, 3, 3), glorot(36, 72)),
    ("torch", "weight", (8,), ones),
    ("torch", "bias", (8,), zeros),
    ("torch", "bn.running_mean", (8,), zeros),
    ("torch", "bn.running_var", (8,), ones),
    ("torch", "bn.num_batches_tracked", (), zeros),
    ("jax", "params/Dense_0/kernel", (20, 30), glorot(20, 30)),
    ("jax", "params.Conv_0.kernel", (3, 3, 4, 8), glorot(36, 72)),
    ("jax", "params/attention/query/bias", (4, 8), zeros),
    ("jax", "params/attention/query/kernel", (96, 8, 5), glorot(96, 40)),
    ("jax", "params.attention.key.kernel", (96, 8, 5), glorot(96, 40)),
    ("jax", "value/kernel", (96, 8, 5), glorot(96, 40)),
    ("jax", "params/attention/out/kernel", (8, 5, 96), glorot(40, 96)),
    ("jax", "params/readout/kernel", (8, 5, 96), glorot(40, 8 * 96)),
    ("jax", "params/out/kernel", (40, 96), glorot(40, 96)),
    ("jax", "params/LayerNorm_0/scale", (8,), ones),
    ("jax", "params/Embed_0/embedding", (100, 8), glorot(1, 8)),
    ("jax", "batch_stats/BatchNorm_0/mean", (8,), zeros),
    ("jax", "batch_stats/BatchNorm_0/var", (8,), ones),
    ("keras", "dense/kernel", (20, 30), glorot(20, 30)),
    ("keras", "attention/query/kernel", (96, 8, 5), glorot(96, 40)),
    ("keras", "attention/key/kernel", (96, 8, 5), glorot(96, 40)),
    ("keras", "attention/value/kernel", (96, 8, 5), glorot(96, 40)),
    ("keras", "attention/attention_output/kernel", (8, 5, 96), glorot(40, 96)),
    ("keras", "attention/query/bias", (8, 5), zeros),
    ("keras", "attention/attention_output/bias", (96,), zeros),
    ("keras", "embedding/embeddings", (100, 8), glorot(1, 8)),
    ("keras", "bn/gamma", (8,), ones),
    ("keras", "bn/beta", (8,), zeros),
    ("keras", "bn/moving_mean", (8,), zeros),
    ("keras", "bn/moving_variance", (8,), ones),
]


@pytest.mark.parametrize(("layout", "name", "shape", "distribution"), DEFAULT, ids=repr)
def test_default_plan(layout, name, shape, distribution):
    assert close(default_plan(layout).distribution(name, shape), distribution)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("attn.bias", (1, 1, 8, 8)),
        ("attn.bias", (8, 8)),
        ("logit_scale_", ()),
        ("position_ids", (1, 8)),
    ],
)
def test_default_plan_leaves(name, shape):
    """Masks, counters and scalars are not guessed at."""
    assert default_plan().rule_for(name, len(shape)) is None


def gpt2(layers, width=768, prefix=""):
    """Names and shapes of the published checkpoint, without its masks."""
    tensors = {"wte.weight": (50257, width), "wpe.weight": (1024, width)}
    for i in range(layers):
        for norm in ("ln_1", "ln_2"):
            tensors[f"h.{i}.{norm}.weight"] = tensors[f"h.{i}.{norm}.bias"] = (width,)
        for layer, shape in {
            "attn.c_attn": (width, 3 * width),
            "attn.c_proj": (width, width),
            "mlp.c_fc": (width, 4 * width),
            "mlp.c_proj": (4 * width, width),
        }.items():
            tensors[f"h.{i}.{layer}.weight"] = shape
            tensors[f"h.{i}.{layer}.bias"] = shape[1:]
    tensors["ln_f.weight"] = tensors["ln_f.bias"] = (width,)
    return {prefix + name: shape for name, shape in tensors.items()}


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("layers", [1, 12, 48])
def test_gpt2(prefix, layers):
    """124 million parameters at 12 layers; each tensor by the paper's words."""
    tensors = gpt2(layers, prefix=prefix)
    if layers == 12:
        assert sum(map(math.prod, tensors.values())) == 124_439_808
    plan = gpt2_plan(layers)
    for name, shape in tensors.items():
        distribution = plan.distribution(name, shape)
        if name.endswith(".bias"):
            assert distribution == zeros
        elif ".ln_" in "." + name:
            assert distribution == ones
        elif "c_proj" in name:
            assert close(distribution, Normal(0, 0.02 * (2 * layers) ** -0.5))
        else:
            assert distribution == Normal(0, 0.02)
    assert plan.distribution("lm_head.weight", (50257, 768)) == Normal(0, 0.02)
    for mask in ("h.0.attn.bias", "transformer.h.0.attn.bias"):
        assert plan.rule_for(mask, 4) is None
    assert plan.rule_for("h.0.attn.masked_bias", 0) is None


def test_gpt2_layers():
    for layers in (0, -1, 1.5, True, "12", None):
        assert "layers is" in str(refusal(lambda layers=layers: gpt2_plan(layers)))


def vit(blocks=12, width=768, patch=16, classes=1000):
    """Names and shapes of timm's vit_base_patch16_224."""
    tensors = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, (224 // patch) ** 2 + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (classes, width),
        "head.bias": (classes,),
    }
    for i in range(blocks):
        for norm in ("norm1", "norm2"):
            for kind in ("weight", "bias"):
                tensors[f"blocks.{i}.{norm}.{kind}"] = (width,)
        for layer, (out, into) in {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }.items():
            tensors[f"blocks.{i}.{layer}.weight"] = (out, into)
            tensors[f"blocks.{i}.{layer}.bias"] = (out,)
    return tensors


def test_vit():
    """86.6 million parameters; each tensor as the published code has it."""
    tensors = vit()
    assert sum(map(math.prod, tensors.values())) == 86_567_656
    plan = vit_plan()
    expected = {
        "cls_token": zeros,
        "pos_embed": Normal(0, 0.02),
        "patch_embed.proj.bias": zeros,
        "norm.weight": ones,
        "norm.bias": zeros,
        "head.weight": zeros,
        "head.bias": zeros,
    }
    for i in range(12):
        block = f"blocks.{i}."
        expected |= {
            block + "norm1.weight": ones,
            block + "norm1.bias": zeros,
            block + "norm2.weight": ones,
            block + "norm2.bias": zeros,
            block + "attn.qkv.weight": glorot(768, 768),
            block + "attn.qkv.bias": zeros,
            block + "attn.proj.weight": glorot(768, 768),
            block + "attn.proj.bias": zeros,
            block + "mlp.fc1.weight": glorot(768, 3072),
            block + "mlp.fc1.bias": Normal(0, 1e-6),
            block + "mlp.fc2.weight": glorot(3072, 768),
            block + "mlp.fc2.bias": Normal(0, 1e-6),
        }
    for name, distribution in expected.items():
        assert close(plan.distribution(name, tensors.pop(name)), distribution), name
    (patches,) = tensors.items()
    distribution = plan.distribution(*patches)
    assert isinstance(distribution, TruncatedNormal)
    assert math.isclose(distribution.variance, 1 / (3 * 16 * 16), rel_tol=1e-12)
    assert math.isclose(
        distribution.bounds[1], 2 * distribution.std / 0.8796256610342398, rel_tol=1e-12
    )


def resnet(bottleneck):
    """Names and shapes of torchvision's resnet50 or resnet18."""
    tensors = {}

    def conv(name, *shape):
        tensors[f"{name}.weight"] = shape

    def norm(name, channels):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{kind}"] = (channels,)
        tensors[f"{name}.num_batches_tracked"] = ()

    conv("conv1", 64, 3, 7, 7)
    norm("bn1", 64)
    into = 64
    for stage, blocks in enumerate((3, 4, 6, 3) if bottleneck else (2, 2, 2, 2), 1):
        width = 32 * 2**stage
        out = 4 * width if bottleneck else width
        for block in range(blocks):
            here = f"layer{stage}.{block}"
            kernels = [(width, into, 1), (width, width, 3), (out, width, 1)]
            if not bottleneck:
                kernels = [(width, into, 3), (width, width, 3)]
            for number, (channels, inputs, size) in enumerate(kernels, 1):
                conv(f"{here}.conv{number}", channels, inputs, size, size)
                norm(f"{here}.bn{number}", channels)
            if block == 0 and (stage > 1 or bottleneck):
                conv(f"{here}.downsample.0", out, into, 1, 1)
                norm(f"{here}.downsample.1", out)
            into = out
    tensors["fc.weight"], tensors["fc.bias"] = (1000, into), (1000,)
    return tensors


@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_resnet(block, zeroed):
    """25.6 or 11.7 million parameters; the last norm of a branch at 0 if asked."""
    tensors = resnet(block == "bottleneck")
    counted = {
        name: shape for name, shape in tensors.items() if not re.search("running|num_", name)
    }
    total = 25_557_032 if block == "bottleneck" else 11_689_512
    assert sum(map(math.prod, counted.values())) == total
    plan = resnet_plan(zeroed, block)
    last = "bn3.weight" if block == "bottleneck" else "bn2.weight"
    for name, shape in tensors.items():
        distribution = plan.distribution(name, shape)
        if len(shape) == 4:
            assert close(distribution, Normal(0, math.sqrt(2 / (shape[0] * shape[2] * shape[3]))))
        elif name == "fc.weight":
            assert close(distribution, Uniform(-(shape[1] ** -0.5), shape[1] ** -0.5))
        elif name.endswith("running_var") or (
            name.endswith("weight") and not (zeroed and name.endswith(last))
        ):
            assert distribution == ones
        else:
            assert distribution == zeros


def test_resnet_block():
    assert "did you mean 'basic'?" in str(refusal(lambda: resnet_plan(True, "baisc")))
