"""Plans as TOML and JSON: text and back, and errors that name the file and the rule."""

import inspect
import json
import math
import re

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_cases import FAULTS, refusal

from fastxavier import plans
from fastxavier._scaling import AXES
from fastxavier.distributions import Normal
from fastxavier.initializers import INITIALIZERS
from fastxavier.plans import Plan, PlanError, Rule

# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("initializer", "keys", "argument", "parts"), FAULTS, ids=repr)
def test_fault_in_a_rule(initializer, keys, argument, parts, tmp_path):
    """From TOML and JSON, with the file and the rule."""
    before = ["# [[rule]]", "[[rule]]", 'names = "w"', 'initializer = "zeros"', ""]
    pairs = {"names": "*.w", **keys, "initializer": initializer}
    block = ["[[rule]]", *(f"{name} = {toml(value)}" for name, value in pairs.items())]
    path = tmp_path / "plan.toml"
    path.write_text("\n".join([*before, *block, "", *block]))
    expect(path, argument, parts)

    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"rule": [{"initializer": "zeros", "names": "w"}, pairs, pairs]}))
    expect(path, argument, parts)


def expect(path, argument, parts):
    error = refusal(lambda: Plan.load(path))
    assert str(error).startswith(f"{path}, rule 2 (names '*.w'): ")
    assert error.argument == argument
    for part in parts:
        assert part in str(error)


def toml(value):
    """A value as TOML, by other means than the package's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(part)}" for name, part in value.items()) + "}"
    return json.dumps(value)


ONE, TWO = ", rule 1 (names 'w')", ", rule 2 (names '')"

# A text, where the error says that its fault is, the argument, and what the message must say.
TOML_FAULTS = [
    ('layot = "torch"', "", "layot", "did you mean 'layout'?"),
    ('layout = "torhc"', "", "layout", "did you mean 'torch'?"),
    ("layout = 3", "", "layout", "layout is 3"),
    ('layout = "x"\n[[rule]]\nnames = "w"\ninitializer = "zeros"', "", "layout", "'jax'"),
    ('\n[[rules]]\nnames = "w"', "", "rules", "did you mean 'rule'?"),
    ("rule = 3", "", "rule", "rule is 3"),
    (
        "[rule]\ninitializer = 'zeros'",
        "",
        "rule",
        "list of rules: in TOML each begins with [[rule]]",
    ),
    ("[rule]\nnames = 'w'\n\n[rule]\nnames = 'v'", "", "rule", "begins with [[rule]]"),
    ("[rule]\nnames = 'w'\n\n[rule]\nnames = 'v'", "", "rule", "line 4"),
    ("[[rule]]\nnames = 'w'\n\n [ rule ]\nnames = 'v'", "", "rule", "begins with [[rule]]"),
    ("\nrule = [3]", ", rule 1", None, "the rule is 3"),
    ("[[rule]]\ninitializer = 'zeros'", ", rule 1", "names", "the key 'names' is missing"),
    ("[[rule]]\nnmaes = 'w'\ninitializer = 'zeros'", ", rule 1", "names", "'nmaes'.* 'names'"),
    ("[[rule]]\nname = 'w'\ninitializer = 'zeros'", ", rule 1", "names", "'name'.* write 'names'"),
    ("\n[[rule]]\nnames = 'w'", ONE, "initializer", "the key 'initializer' is missing"),
    ("[[rule]]\nnames = 'w'\nscheme = 'zeros'", ONE, "initializer", "'scheme'.* 'initializer'"),
    ("[[rule]]\nnames = 'w'\ninit = 'zeros'", ONE, "initializer", "'init'.* 'initializer'"),
    ("[[rule]]\nnames = 'w'\ninitialiser = 'zeros'", ONE, "initializer", "write 'initializer'"),
    ("[[rule]]\nnames = 'w'\ninitializer = 'zeros'\nrank = 2", ONE, "rank", "axes is 'ndim'"),
    ("[[rule]]\nnames = 'w'\nscheme = 'x'\ninitializer = 'ones'", ONE, "scheme", "'scheme' is not"),
    ("[[rule]]\ninitializer = 'zeros'\nnames = []", ", rule 1 (names [])", "names", "empty"),
    (
        "[[rule]]\ninitializer = 'zeros'\nnames = ['w', 3]",
        ", rule 1 (names 'w', 3)",
        "names",
        r"\['w', 3\]",
    ),
    (
        "[[rule]]\ninitializer = 'zeros'\nnames = {a = 1}",
        ", rule 1 (names {'a': 1})",
        "names",
        "glob",
    ),
    ("[[rule]]\nnames = 'w'\ninitializer = 3", ONE, "initializer", "initializer is 3"),
    ("[[rule]]\nnames = 'w'\ninitializer = 1979-05-27", ONE, "initializer", "1979"),
    ("[[rule]]\nnames = 'w'\ninitializer = 'normal'\nstd = 1979-05-27", ONE, "std", "a date"),
    ("[[rule]]\nnames = 'w'\ninitializer = 'normal'\nstd.x = 1", ONE, "std", "real number"),
    ("[[rule]]\nnames = 'w'\ninitializer = 'normal'\n[rule.std]\nx = 1", ONE, "std", "real number"),
    ("[[rule]]\nnames = 'w'\ninitializer = 'normal'\nstd = nan", ONE, "std", "nan"),
    (
        "[[rule]]\nnames = 'w'\ninitializer = 'zeros'\n\nndim = 1\nndim = 2",
        "",
        None,
        r"overwrite.*(end of document|line \d)",
    ),
    ("[[rule]]\nnames = 'w'\ninitializer = 'zeros\n\n", "", None, r"end of document|line \d"),
    ("[[rule]]\nnames = ['w',\n'v'\n", "", None, r"end of document|line \d"),
    ('names = """\n[[rule]]\n"""\n[["rule"]]\n"names"=3', "", "names", "'names' is not one of a"),
    (
        '[["rule"]] # [[rule]]\nnames = """\n[[rule]]\nscheme = 3"""\n"initializer"=3',
        r", rule 1 (names '[[rule]]\nscheme = 3')",
        "initializer",
        "is 3",
    ),
    (
        "rule = [\n{names = 'w', initializer = 'zeros'},\n"
        "{names = '', initializer = 'zeros', x = 1},\n]",
        TWO,
        "x",
        "",
    ),
    (
        "rule = [ # [\n{names='w', initializer='ones'}, {names = [\n'}'], initializer = '!'}]",
        ", rule 2 (names '}')",
        "initializer",
        "'!'",
    ),
    (
        "[[rule]]\nnames = [\n'[[rule]]',\n#\n]\ninitializer = '!'\n[[rule]]",
        ", rule 1 (names '[[rule]]')",
        "initializer",
        "'!'",
    ),
    (
        "[[rule]]\nnames = [\n'initializer=b',\n\"initializer = 'c'\",\n]\ninitializer = '!'",
        ", rule 1 (names 'initializer=b', \"initializer = 'c'\")",
        "initializer",
        "'!'",
    ),
    (
        '[[rule]]\nnames = """\nscheme = \\"""\nscheme = 3"""""\ninitializer = "!"',
        ', rule 1 (names \'scheme = """\\nscheme = 3""\')',
        "initializer",
        "'!'",
    ),
    (
        "[[rule]]\nnames = '''\nscheme = 3''''\ninitializer = '!'",
        ', rule 1 (names "scheme = 3\'")',
        "initializer",
        "'!'",
    ),
    (
        '[[rule]]\nnames = "w"\n"i\\u006eitializer" = "!"\n[[rule]]\nscheme = 3',
        ONE,
        "initializer",
        "'!'",
    ),
    (
        "[[rule]]\ninitializer = 'normal'\nnames = 'w'\nmean = 1.5 # std = 1\nstd = '!'",
        ONE,
        "std",
        "'!'",
    ),
    (
        "[[rule]]\ninitializer = 'uniform'\nnames = 'w'\nhigh = 1\n[rule.'low'] # !",
        ONE,
        "low",
        "real number",
    ),
]


@pytest.mark.parametrize(("text", "where", "argument", "message"), TOML_FAULTS, ids=repr)
def test_fault_in_toml(text, where, argument, message):
    """What is not about settings: top-level keys, missing ones, types that TOML has, syntax."""
    error = refusal(lambda: Plan.from_toml(text, source="the plan"))
    assert str(error).startswith(f"the plan{where}: ")
    assert re.search(message.replace("[[rule]]", r"\[\[rule\]\]").replace("?", r"\?"), str(error))
    assert error.argument == argument


JSON_FAULTS = [
    ("3", "", "rule", "the plan is 3"),
    ("\n[]", "", "rule", "the plan is []"),
    ('{"layout": "torch",\n"layuot": "torch"}', "", "layuot", "did you mean 'layout'?"),
    ('{"rule": [],\n"layout": null}', "", "layout", "None"),
    ('{\n"rule": {"names": "w"}}', "", "rule", "it must be a list of rules"),
    ('{"rule": [\n{"names": "w", "initializer": "zeros"},\n\n7]}', ", rule 2", None, "rule is 7"),
    ('{"rule": [{"names": "w", "initializer": "zeros",\n"ndim": null}]}', ONE, "ndim", "null"),
    ('{"rule": [{"names": "w", "initializer": "zeros",\n"names": "v"}]}', "", "names", "twice"),
    ('{"rule": [],\n"rule": []}', "", "rule", "twice"),
    ('{"rule": [{"names": "w", "initializer": "normal",\n"std": NaN}]}', ONE, "std", "nan"),
    ('{"rule": [{"names": "w", "initializer": "normal",\n"std": 1e999}]}', ONE, "std", "inf"),
    (
        '{"rule": [{"names": "\\ud800",\n"initializer": "normal"}]}',
        ", rule 1 (names '\\ud800')",
        "names",
        "UTF-8",
    ),
    (
        '{"rule": [{"names": "{[,\\"}",\n"initializer": ["]", ":"]}]}',
        ", rule 1 (names '{[,\"}')",
        "initializer",
        "must be the name of one",
    ),
    ('{"rule": [\n}', ", line 2", None, ""),
    ('{"rule": [\n\n', ", line 3", None, ""),
    ("", ", line 1", None, ""),
]


@pytest.mark.parametrize(("text", "where", "argument", "message"), JSON_FAULTS, ids=repr)
def test_fault_in_json(text, where, argument, message):
    """The same for JSON, which also has null, keys twice, and strings full of brackets."""
    error = refusal(lambda: Plan.from_json(text, source="the plan"))
    assert str(error).startswith(f"the plan{where}: ")
    assert message in str(error)
    assert error.argument == argument


def test_line_of_a_syntax_error(tmp_path):
    """That of TOML's or JSON's parser, beside the file."""
    path = tmp_path / "plan.toml"
    path.write_text("[[rule]]\nnames = 'w'\ninitializer = = 'zeros'\n")
    assert re.match(rf"{re.escape(str(path))}: .*line 3, column 15", str(refuse(path)))
    path = tmp_path / "plan.json"
    path.write_text('{"rule": [\n{"names" "w"}]}')
    assert str(refuse(path)).startswith(f"{path}, line 2: ")


def refuse(path):
    return refusal(lambda: Plan.load(path))


def test_rule_that_the_layout_forbids():
    """Found when the whole plan is known; named like any other."""
    rules = [Rule("a", "zeros"), Rule("b", "he_normal", ndim=3)]
    text = 'layout = "embedding"\n' + Plan(rules).to_toml()
    error = refusal(lambda: Plan.from_toml(text, source="the plan"))
    assert str(error).startswith("the plan, rule 2 (names 'b'): ")


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
    "transposed": st.booleans(),
    "batch_axis": st.integers(-2, 2) | st.lists(st.integers(0, 3), unique=True, max_size=2),
}


@st.composite
def rules(draw):
    """Any rule: every initializer, with some of its settings."""
    initializer = draw(st.sampled_from(sorted(INITIALIZERS)))
    row = INITIALIZERS[initializer]
    own = inspect.signature(row.make).parameters
    has_fans = "fan_in" in own
    chosen = {
        key: draw(SETTINGS[key])
        for key in row.settings
        if not (has_fans and key in AXES)
        and (own[key].default is inspect.Parameter.empty or draw(st.booleans()))
    }
    if initializer == "uniform":
        chosen["low"] = max(chosen["low"], -1e9)
    if not has_fans and isinstance(chosen.get("gain"), str):
        chosen["gain"] = 1.5
    if {"gain", "negative_slope"} <= chosen.keys():  # only one of them may be given
        del chosen[draw(st.sampled_from(["gain", "negative_slope"]))]
    if has_fans:
        extra = draw(st.sampled_from(["axes", None, *AXES]))
        if extra in SETTINGS:
            chosen[extra] = draw(SETTINGS[extra])
        elif extra:
            chosen.update(in_axis=draw(st.sampled_from([0, (0, 1), ()])), out_axis=-1)
    ndim = draw(st.none() | st.integers(4, 6) | st.sampled_from(["0+", "2+", "4+"]))
    structured = row.make.__module__.startswith("fastxavier.structured")
    if structured or chosen.get("layout"):
        ndim = None
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3)
    )
    beside = draw(st.sampled_from([(), ("bias",), ("bias", "ä[*]")]))
    rule = Rule(names, initializer, ndim=ndim, beside=beside, **chosen)
    return rule if draw(st.booleans()) else Rule(names, rule.initializer, ndim=ndim, beside=beside)


any_plan = st.builds(Plan, st.lists(rules(), max_size=5), st.none() | layouts)


@settings(max_examples=examples(150), deadline=None)
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


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(rules(), min_size=1, max_size=5), st.data())
def test_rule_of_a_fault(all_rules, data):
    """A key made wrong in a random rule, whatever is in the strings: the rule is named."""
    at = data.draw(st.integers(0, len(all_rules) - 1))
    plan = Plan(all_rules)
    lines = plan.to_toml().split("\n")
    head = [number for number, line in enumerate(lines) if line == "[[rule]]"][at]
    at_line = head + data.draw(st.integers(1, 2))
    lines.insert(at_line, 'wrong_key = "[[rule]]"')
    error = refusal(lambda: Plan.from_toml("\n".join(lines)))
    assert str(error).startswith(f"TOML plan, rule {at + 1} (names ")
    assert (error.argument, error.value) == ("wrong_key", "[[rule]]")

    document = json.loads(plan.to_json())
    document["rule"][at]["wrong_key"] = "\n{[]}"
    error = refusal(lambda: Plan.from_json(json.dumps(document)))
    assert str(error).startswith(f"JSON plan, rule {at + 1} (names ")
    assert (error.argument, error.value) == ("wrong_key", "\n{[]}")


MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_byte_order_mark(ending, tmp_path):
    """Editors of Windows put one before UTF-8; in the middle of a text it is a fault like any."""
    plan = Plan([Rule("w", Normal(0, 0.02))], "keras")
    path = tmp_path / f"plan.{ending}"
    plan.save(path)
    text = path.read_text(encoding="utf-8")
    path.write_text(MARK + text, encoding="utf-8")
    assert Plan.load(path) == plan
    read = Plan.from_toml if ending == "toml" else Plan.from_json
    assert read(MARK + text) == plan
    for wrong in (MARK + MARK + text, text + MARK):
        assert refusal(lambda wrong=wrong: read(wrong))


@pytest.mark.parametrize("layout", [None, "torch", "jax"])
def test_layout_in_a_text(layout):
    """A plan that has no layout writes none, and a text without one gives such a plan."""
    plan = Plan([Rule("*", "he_normal", ndim=2)], layout)
    for text in (plan.to_toml(), plan.to_json()):
        assert ("layout" in text) == (layout is not None)
    assert Plan.from_toml(plan.to_toml()).layout == layout
    assert Plan.from_json(plan.to_json()).layout == layout


def test_files(tmp_path):
    """What is saved is loaded; one name or several; other line ends."""
    plan = Plan([Rule("ä.*", Normal(0, 0.02)), Rule(["a", "b"], "he_normal", ndim="2+")], "keras")
    for name in ("plan.toml", "plan.json"):
        plan.save(tmp_path / name)
        assert Plan.load(str(tmp_path / name)) == plan
        text = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(text.replace(b"\n", b"\r\n"))
        assert Plan.load(tmp_path / name) == plan
    assert Plan.from_toml("") == Plan([])
    assert Plan.from_json("{}") == Plan([])


def test_every_setting_has_a_strategy():
    """A new parameter of an initializer must be tried above."""
    for row in INITIALIZERS.values():
        assert set(inspect.signature(row.make).parameters) <= {
            *SETTINGS,
            "fan_in",
            "fan_out",
            "in_axis",
            "out_axis",
        }


@pytest.mark.parametrize("read", [Plan.from_toml, Plan.from_json])
def test_source_of_a_text(read):
    """A keyword, and what an error names."""
    with pytest.raises(TypeError, match="positional"):
        read("", "mine")
    with pytest.raises(PlanError, match=r"^mine"):
        read("]", source="mine")
