"""The preset gpt2 by its name, in Python: for as many blocks as the names show."""

import copy
import json
import math

import numpy as np
import pytest

import fastxavier as fx
from fastxavier.checkpoints import init_checkpoint, mapped, read_header
from fastxavier.plans._depth import plan_of_model


def sizes_of(blocks, prefix=""):
    """Names and shapes of some tensors of the blocks with these numbers."""
    sizes = {f"{prefix}wte.weight": (60, 80)}
    for block in blocks:
        sizes[f"{prefix}h.{block}.mlp.c_fc.weight"] = (80, 60)
        sizes[f"{prefix}h.{block}.attn.c_proj.weight"] = (60, 80)
        sizes[f"{prefix}h.{block}.mlp.c_proj.bias"] = (80,)
    return sizes


def model(sizes):
    return {name: np.full(shape, 9, np.float32) for name, shape in sizes.items()}


def drawn(sizes, layers):
    """The model by the plan for this number of blocks."""
    arrays = model(sizes)
    fx.init_(arrays, fx.gpt2_plan(layers), seed=1)
    return arrays


def equal(arrays, others):
    return arrays.keys() == others.keys() and all((arrays[n] == others[n]).all() for n in arrays)


def projections(sizes):
    return [name for name in sizes if "c_proj.weight" in name]


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("layers", [1, 4, 13])
def test_init(layers, prefix):
    sizes = sizes_of(range(layers), prefix)
    arrays = model(sizes)
    report = fx.init_(arrays, "gpt2", seed=1)
    assert report.unused_rules == ()
    assert equal(arrays, drawn(sizes, layers))
    stds = {one.name: one.expected_std for one in report.tensors}
    assert {stds[name] for name in projections(sizes)} == {0.02 / math.sqrt(2 * layers)}


# Blocks of which one before the last is missing.
PARTS = [range(4, 8), [0, 1, 3], [1], [10**8]]


@pytest.mark.parametrize("blocks", PARTS, ids=str)
def test_init_of_a_part(blocks):
    """Before anything is written; tensors that do not depend on the depth are filled."""
    sizes = sizes_of(blocks)
    arrays = model(sizes)
    missing = next(number for number in range(9) if number not in blocks)
    message = (
        rf"^the distribution of tensor '{projections(sizes)[0]}' follows from the number of blocks "
        rf"of the model, which is not known: block {missing} is missing from the tensors' names; "
        r"the plan gpt2_plan\(layers=N\) says it$"
    )
    with pytest.raises(fx.PlanError, match=message) as raised:
        fx.init_(arrays, "gpt2", seed=1)
    assert (raised.value.argument, raised.value.value) == ("plan", "gpt2")
    assert all((array == 9).all() for array in arrays.values())
    fx.init_(arrays, fx.gpt2_plan(8), seed=1)
    rest = {name: sizes[name] for name in sizes if name not in projections(sizes)}
    others = model(rest)
    fx.init_(others, "gpt2", seed=1)
    assert equal(others, {name: arrays[name] for name in rest})


def test_parts_of_tensors_are_no_parts_of_the_model():
    """A rank has all names, and a slice of each tensor."""
    sizes = sizes_of(range(3))
    whole = drawn(sizes, 3)
    arrays = {name: np.empty((5, *shape[1:]), np.float32) for name, shape in sizes.items()}
    places = {name: (shape, (7,) + (0,) * (len(shape) - 1)) for name, shape in sizes.items()}
    fx.init_(arrays, "gpt2", seed=1, places=places)
    assert equal(arrays, {name: whole[name][7:12] for name in sizes})


def test_no_block():
    sizes = {"wte.weight": (60, 80), "ln_f.bias": (80,)}
    arrays = model(sizes)
    fx.init_(arrays, "gpt2", seed=1)
    assert equal(arrays, drawn(sizes, 12))


@pytest.mark.parametrize("skip", [(), "h.0.*", "h.3.*"])
def test_checkpoint(tmp_path, skip):
    """Blocks are counted before tensors are skipped, and the file has the plan for that number."""
    like = {name: ("float32", shape) for name, shape in sizes_of(range(4)).items()}
    for file, plan in (("name", "gpt2"), ("plan", fx.gpt2_plan(4))):
        init_checkpoint(tmp_path / file, plan, like, seed=1, skip=skip)
    assert (tmp_path / "name").read_bytes() == (tmp_path / "plan").read_bytes()
    plan = fx.Plan.from_toml(read_header(tmp_path / "name").metadata["fastxavier.plan"])
    assert plan == fx.gpt2_plan(4)


@pytest.mark.parametrize("blocks", PARTS, ids=str)
def test_checkpoint_of_a_part(tmp_path, blocks):
    like = {name: ("float32", shape) for name, shape in sizes_of(blocks).items()}
    with pytest.raises(fx.PlanError, match=r"is not known: block \d is missing .*gpt2_plan"):
        init_checkpoint(tmp_path / "file", "gpt2", like, seed=1)
    assert not list(tmp_path.iterdir())
    init_checkpoint(tmp_path / "file", "gpt2", like, seed=1, skip="*.c_proj.weight")


def test_checkpoint_like_one_file_of_several(tmp_path):
    """The index beside it has all names."""
    files = {}
    for number, blocks in ((1, (0, 1)), (2, (2, 3))):
        like = {name: ("float32", shape) for name, shape in sizes_of(blocks).items()}
        if number == 2:
            del like["wte.weight"]
        file = f"model-0000{number}-of-00002.safetensors"
        init_checkpoint(tmp_path / file, fx.gpt2_plan(4), like, seed=1)
        files |= dict.fromkeys(like, file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    out = tmp_path / "out.safetensors"
    for file in sorted(set(files.values())):
        init_checkpoint(out, "gpt2", tmp_path / file, seed=1)
        assert equal(mapped(out), mapped(tmp_path / file))
    index.unlink()
    out.unlink()
    for file in sorted(set(files.values())):
        message = f"not known: {file} is a part of a model, without the index of the whole; the"
        with pytest.raises(fx.PlanError, match=message):
            init_checkpoint(out, "gpt2", tmp_path / file, seed=1)
        assert not out.exists()


@pytest.mark.parametrize("layers", [1, 4, 13])
def test_what_a_file_was_made_for(layers):
    """More blocks than there are: they are not all. A plan of something else says nothing."""
    sizes = sizes_of(range(4))
    text = fx.gpt2_plan(layers).to_toml()
    chosen = plan_of_model("gpt2", sizes, made_by=["no plan", text, "", fx.vit_plan().to_toml()])
    if layers <= 4:
        assert (chosen.unknown, chosen.plan) == ("", fx.gpt2_plan(4))
    else:
        assert chosen.unknown == f"the file has 4 blocks, and says that it was made for {layers}"
    other = text.replace("0.02\n", "0.03\n")
    assert other != text
    assert plan_of_model("gpt2", sizes, made_by=[other]).unknown == ""
    assert plan_of_model("gpt2", {"wte.weight": (2, 3)}, made_by=[text]).unknown == ""


@pytest.mark.parametrize("layers", [1, 4, 13])
def test_verify(layers):
    sizes = sizes_of(range(layers))
    report = fx.verify(drawn(sizes, layers), "gpt2")
    assert (report.ok, report.not_judged, len(report.tensors)) == (True, {}, len(sizes))
    assert "not judged" not in str(report)
    report = fx.verify(drawn(sizes, layers + 4), "gpt2")
    assert report.failures == tuple(projections(sizes))
    assert fx.verify(drawn(sizes, layers), "gpt2", seed=1).ok


@pytest.mark.parametrize("seed", [None, 1])
def test_verify_of_a_part(seed):
    """What follows from the number of blocks is not judged; the rest is, and may fail."""
    sizes = sizes_of(range(4, 8))
    arrays = drawn(sizes, 8)
    report = fx.verify(arrays, "gpt2", seed=seed)
    why = "block 0 is missing from the tensors' names"
    assert report.not_judged == dict.fromkeys(projections(sizes), why)
    assert report.tensors.keys() == sizes.keys() - report.not_judged.keys()
    assert report.ok
    assert all(one.false_alarm == 1e-6 / len(report.tensors) for one in report.tensors.values())
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines if line.endswith("  not judged")] == [
        *projections(sizes)
    ]
    assert "ok: 9 tensors" in lines
    (line,) = (line for line in lines if line.startswith("not judged: 4 tensors, "))
    assert line.endswith(f"it is not known, since {why}.")
    assert json.loads(json.dumps(report.asdict()))["not_judged"] == report.not_judged
    assert copy.deepcopy(report).not_judged == report.not_judged
    arrays["wte.weight"] *= 2
    report = fx.verify(arrays, "gpt2", seed=seed)
    assert (report.failures, len(report.not_judged)) == (("wte.weight",), 4)
    assert fx.verify(arrays, fx.gpt2_plan(8), seed=seed).not_judged == {}


def test_nothing_can_be_judged():
    """No verdict is not a good one."""
    arrays = {"h.4.mlp.c_proj.weight": np.ones((8, 9), np.float32)}
    message = r"^no tensor can be judged, since block 0 is missing .*gpt2_plan\(layers=N\) says it$"
    with pytest.raises(ValueError, match=message) as raised:
        fx.verify(arrays, "gpt2")
    assert (raised.value.argument, raised.value.value) == ("distribution", "gpt2")


def test_a_plan_keeps_its_number():
    """Only a preset that is given by name depends on the names."""
    sizes = sizes_of(range(4))
    arrays = model(sizes)
    fx.init_(arrays, fx.gpt2_plan(7), seed=1)
    assert equal(arrays, drawn(sizes, 7))
    assert plan_of_model(fx.gpt2_plan(7), sizes).plan == fx.gpt2_plan(7)
    for name in ("default", "resnet", "vit"):
        assert plan_of_model(name, sizes).plan == fx.plans.plan_named(name)


def test_layout_of_a_preset_by_name():
    assert plan_of_model("gpt2", sizes_of(range(4)), "torch").plan == fx.Plan(
        fx.gpt2_plan(4).rules, "torch"
    )


def test_names_of_models_that_are_known_stay():
    """`of_model` of the caller has more names than those that are filled."""
    rules = [fx.Rule("*.weight", "ones", beside="bias"), fx.Rule("*", "zeros")]
    plan = fx.Plan(rules).of_model(["a.weight", "a.bias"])
    arrays = {"a.weight": np.empty(3, np.float32)}
    fx.init_(arrays, plan)
    assert (arrays["a.weight"] == 1).all()
    fx.init_(arrays, fx.Plan(rules))
    assert (arrays["a.weight"] == 0).all()
    assert not plan_of_model(fx.Plan(rules), ["a.weight"], part="a shard").plan.knows_model
