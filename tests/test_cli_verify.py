"""The command `verify`: what it prints to whom, and with what status it ends."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy
from test_cli import LIST, call, initialised, left_alone

from fastxavier.checkpoints import init_checkpoint, tensors_like
from fastxavier.plans import Plan, Rule
from fastxavier.plans.presets import default_plan


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a list of tensors and a plan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "like.toml").write_text(LIST)
    Plan([Rule("*.weight", "he_normal"), Rule("*", "zeros")]).save(tmp_path / "plan.toml")
    return tmp_path


# ---- verify --------------------------------------------------------------------------------------


def test_verify(folder, capsys):
    """A line for each tensor and the verdict; status 0."""
    initialised(capsys, "--seed", 7)
    status, lines, errors = call(capsys, "verify", "out.safetensors", "--plan", "default")
    assert (status, errors) == (0, [])
    assert lines[0] == "out.safetensors"
    assert lines[1].split()[:3] == ["tensor", "shape", "dtype"]
    assert lines[-1] == "ok: 5 tensors"
    shown = {line.split()[0]: line for line in lines[2:-1]}
    assert shown.keys() == tensors_like("like.toml").keys()
    assert all(line.endswith(" ok") for line in shown.values())
    assert "300x200" in shown["0.weight"]
    assert "scalar" in shown["bn.num_batches_tracked"]


def damage(path, name, change):
    """Change one tensor of a file."""
    tensors = safetensors.numpy.load_file(path)
    tensors[name] = np.array(change(tensors[name]), tensors[name].dtype)
    safetensors.numpy.save_file(tensors, path)


DAMAGES = {
    "a NaN": ("0.weight", lambda w: np.where(np.arange(w.size).reshape(w.shape) == 5, np.nan, w)),
    "another scale": ("0.weight", lambda w: w * 1.1),
    "shifted": ("0.weight", lambda w: abs(w)),
    "float16": ("1.weight", lambda w: w * 2),
    "bias": ("0.bias", lambda w: w + (np.arange(w.size) == 3) * 1e-30),
    "count": ("bn.num_batches_tracked", lambda w: w + 1),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_verify_fails(folder, capsys, case):
    """One tensor is not what the plan says: it is named, and the status is 1."""
    name, change = DAMAGES[case]
    initialised(capsys, "--seed", 7)
    damage("out.safetensors", name, change)
    status, lines, errors = call(capsys, "verify", "out.safetensors", "--plan", "default")
    assert (status, errors) == (1, [])
    assert lines[-1] == "FAILED: 1 of 5 tensors"
    assert [line.split()[0] for line in lines if "FAILS: " in line] == [name]

    status, (line,), _ = call(capsys, "verify", "out.safetensors", "--plan", "default", "--json")
    found = json.loads(line)
    assert status == 1
    assert (found["ok"], found["failures"], found["file"]) == (False, [name], "out.safetensors")
    assert found["tensors"][name]["failures"]


def test_verify_by_another_plan(folder, capsys):
    initialised(capsys, "--seed", 7)
    status, lines, _ = call(capsys, "verify", "out.safetensors", "--plan", "plan.toml")
    assert status == 1
    assert lines[-1] == "FAILED: 2 of 5 tensors"


def test_verify_json(folder, capsys):
    """As documented: an entry for each tensor; the chance of a false alarm is shared among them."""
    initialised(capsys, "--seed", 7)
    status, (line,), _ = call(
        capsys, "verify", "out.safetensors", "--plan", "default", "--json", "--false-alarm", 1e-3
    )
    found = json.loads(line)
    assert (status, found["ok"], found["failures"], found["false_alarm"]) == (0, True, [], 1e-3)
    for name, (dtype, shape) in tensors_like("like.toml").items():
        one = found["tensors"][name]
        assert (one["dtype"], one["shape"], one["ok"]) == (dtype, list(shape), True)
        assert one["distribution"] == repr(default_plan().distribution(name, shape))
    weight = found["tensors"]["0.weight"]
    assert weight["false_alarm"] == pytest.approx(1e-3 / 5)
    assert {"mean", "variance"} <= weight["findings"].keys()


@pytest.fixture
def sharded(folder, capsys):
    """The index of a checkpoint in two files."""
    initialised(capsys, "--seed", 7)
    tensors = safetensors.numpy.load_file("out.safetensors")
    places = {name: f"{name[0]}-of-2.safetensors" for name in tensors}
    for file in set(places.values()):
        held = {name: one for name, one in tensors.items() if places[name] == file}
        safetensors.numpy.save_file(held, file)
    index = folder / "out.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    return index


def test_verify_sharded(sharded, capsys):
    """All of an index's files are looked at, by one plan, with one share of the false alarms."""
    _, (whole,), _ = call(capsys, "verify", "out.safetensors", "--plan", "default", "--json")
    _, (parts,), _ = call(capsys, "verify", sharded, "--plan", "default", "--json")
    assert json.loads(parts) == {**json.loads(whole), "file": str(sharded)}
    damage(sharded.with_name("1-of-2.safetensors"), "1.weight", lambda w: w * 2)
    status, lines, _ = call(capsys, "verify", sharded, "--plan", "default")
    assert (status, lines[-1]) == (1, "FAILED: 1 of 5 tensors")
    sharded.with_name("b-of-2.safetensors").unlink()
    status, _, (error,) = call(capsys, "verify", sharded, "--plan", "default")
    assert (status, "b-of-2.safetensors: No such file" in error) == (2, True)


def test_skip(folder, capsys):
    """GPT-2's published files hold masks, for which its plan has no rule."""
    (folder / "like.toml").write_text(
        "[tensors]\n"
        '"h.0.mlp.c_fc.weight" = { shape = [20, 80], dtype = "F32" }\n'
        '"h.0.attn.bias" = { shape = [1, 1, 8, 8], dtype = "F32" }\n'
        '"h.0.attn.c_attn.bias" = { shape = [60], dtype = "F32" }\n'
    )
    options = ["--skip", "*.attn.bias", "--skip", "other"]
    init_checkpoint("all.safetensors", Plan([Rule("*", "zeros")]), "like.toml", seed=1)
    verify = ["verify", "all.safetensors", "--plan", "gpt2"]
    status, _, (error,) = call(capsys, *verify)
    assert (status, "'h.0.attn.bias'" in error, "--skip GLOB" in error) == (2, True, True)
    status, lines, _ = call(capsys, *verify, *options)
    assert (status, lines[-1]) == (1, "FAILED: 1 of 2 tensors")
    assert call(capsys, *verify, "--skip", "*.weight", *options)[0] == 0


# ---- refusals ------------------------------------------------------------------------------------

VERIFY = ["verify", "out.safetensors", "--plan", "default"]

REFUSED = [
    (
        ["verify", "plan.toml", "--plan", "default"],
        r"'.toml'; .*\.safetensors\.index\.json",
    ),
    (["verify", "new", "--plan", "default"], r"new ends in ''; a checkpoint is a \.safetensors"),
    (["verify", "no.safetensors", "--plan", "default"], "no.safetensors: No such file"),
    (["verify", "lie.safetensors", "--plan", "default"], "lie.safetensors: the header says"),
    (["verify", "out.safetensors", "--plan", "defualt"], "did you mean 'default'"),
    (["verify", "out.safetensors", "--plan", "vit"], "no rule of the plan matches"),
    (
        ["verify", "out.safetensors", "--plan", "drawn.json"],
        "'bn.num_.*' has dtype I64",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=repr)
def test_refused(folder, capsys, arguments, message):
    """Status 2, one line on stderr, nothing on stdout and no file."""
    initialised(capsys, "--seed", 7)
    (folder / "lie.safetensors").write_bytes(b"\x09" + bytes(7) + b"{}")
    Plan([Rule("*", "normal")]).save(folder / "drawn.json")
    before = sorted(folder.iterdir())
    status, lines, (error,) = call(capsys, *arguments)
    assert (status, lines) == (2, [])
    assert re.match(f"fastxavier: error: .*({message})", error)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "out.safetensors"],
        [*VERIFY, "--false-alarm", "often"],
        [*VERIFY, "--false-alarm", "0"],
        [*VERIFY, "--false-alarm", "1"],
        [*VERIFY, "--false-alarm", "nan"],
    ],
    ids=" ".join,
)
def test_wrong_usage(folder, capsys, arguments):
    """argparse's status, 2, and its message."""
    status, lines, errors = call(capsys, *arguments)
    assert (status, lines) == (2, [])
    assert re.match(r"fastxavier( \w+)?: error: ", errors[-1])
    assert left_alone(folder)
