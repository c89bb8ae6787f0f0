"""Plans by name: presets, files and layouts, in `plan_named` and on the command line."""

import argparse
import json

import pytest
from test_presets import glorot

import fastxavier as fx
from fastxavier.cli import main
from fastxavier.cli._arguments import add_plan_to, plan_from
from fastxavier.plans import (
    PRESETS,
    Plan,
    PlanError,
    default_plan,
    plan_named,
    resnet_plan,
    vit_plan,
)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("gtp2", "gpt2"), ("GPT2", "gpt2"), ("defualt", "default"), ("resnet50", "resnet")],
)
def test_unknown_preset(name, suggestion):
    """The name that was meant, all presets, and the other things that a plan can be."""
    with pytest.raises(PlanError) as raised:
        plan_named(name)
    message = str(raised.value)
    assert message.startswith(f"plan is {name!r}; did you mean {suggestion!r}? ")
    assert all(repr(preset) in message for preset in PRESETS)
    assert ".toml or .json" in message
    error = raised.value
    assert (error.argument, error.value, error.choices) == ("plan", name, tuple(PRESETS))


@pytest.mark.parametrize("name", ["", "plan", "plan.yaml", "plan.toml.txt"])
def test_no_preset_and_no_file_of_a_plan(name):
    with pytest.raises(PlanError, match=r"it must be one of 'default', .*\.toml or \.json"):
        plan_named(name)


def test_layout_of_a_named_plan(tmp_path):
    """For a plan that says none; another one is an error."""
    assert plan_named("default", "keras") == default_plan("keras")
    assert plan_named("resnet", "torch") == resnet_plan()
    with pytest.raises(PlanError, match="layout is 'jax', but that of plan 'vit' is 'torch'"):
        plan_named("vit", "jax")
    rules = [fx.Rule("*", "he_normal")]
    Plan(rules).save(tmp_path / "open.toml")
    Plan(rules, "keras").save(tmp_path / "keras.toml")
    for layout in ("torch", "jax", None):
        assert plan_named(str(tmp_path / "open.toml"), layout) == Plan(rules, layout)
    assert plan_named(str(tmp_path / "keras.toml"), "keras") == Plan(rules, "keras")
    for plan in (Plan(rules, "keras"), str(tmp_path / "keras.toml")):
        with pytest.raises(PlanError, match=r"'jax', but that of .*plan.* is 'keras'") as raised:
            plan_named(plan, "jax")
        assert (raised.value.argument, raised.value.value) == ("layout", "jax")
    with pytest.raises(PlanError, match="layout is 'x'"):
        plan_named(Plan(rules), "x")


def test_layout_on_the_command_line():
    """--layout is of both commands that take a plan."""
    parser = argparse.ArgumentParser()
    add_plan_to(parser)
    for arguments, expected in [
        (["default"], default_plan()),
        (["default", "--layout", "jax"], default_plan("jax")),
        (["resnet", "--layout", "torch"], resnet_plan()),
    ]:
        options = parser.parse_args(arguments)
        assert plan_from(options, [], [], []).plan == expected
    with pytest.raises(SystemExit):
        parser.parse_args(["default", "--layout", "x"])


def test_layout_of_a_checkpoint(tmp_path, capsys, monkeypatch):
    """The case of a user: a kernel of Flax or Keras, initialized and verified by the commands."""
    monkeypatch.chdir(tmp_path)
    like = '[tensors]\n"conv.kernel" = { shape = [3, 3, 64, 128], dtype = "F32" }\n'
    (tmp_path / "like.toml").write_text(like)

    def run(*arguments):
        status = main([*arguments])
        return status, capsys.readouterr()

    for layout in ([], ["--layout", "jax"]):
        init = ["init", "default", *layout, "--like", "like.toml", "-o", "m.safetensors"]
        assert run(*init)[0] == 0
        status, printed = run("verify", "default", *layout, "m.safetensors", "--json")
        assert status == 0
        found = json.loads(printed.out)["tensors"]["conv.kernel"]["distribution"]
        assert found == repr(glorot(9 * 64, 9 * 128))
    for command in (
        [*init[:2], "--layout", "torch", *init[4:]],
        ["verify", "default", "--layout", "torch", "m.safetensors"],
    ):
        status, printed = run(*command)
        assert status == 2
        assert "layout is 'torch', but a tensor named 'kernel'" in printed.err


def test_missing_file():
    with pytest.raises(FileNotFoundError):
        plan_named("no.toml")


@pytest.mark.parametrize("plan", [None, 3, ["gpt2"], {"rule": []}, fx.Rule("*", "zeros")], ids=repr)
def test_neither_plan_nor_name(plan):
    with pytest.raises(TypeError, match=r"^plan is .*'gpt2', .*or a Plan"):
        plan_named(plan)


def test_preset_that_was_not_called():
    with pytest.raises(TypeError, match=r"^plan is <function .*; call it: vit_plan\(\)$"):
        plan_named(vit_plan)
