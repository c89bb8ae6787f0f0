"""The command `verify`: what it prints to whom, and with what status it ends."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy
from cli_cases import LIST, call, initialized, left_alone

from fastxavier._verify import exact
from fastxavier.checkpoints import init_checkpoint, tensors_like
from fastxavier.plans import Plan, Rule
from fastxavier.plans.presets import default_plan

VERIFY = ["verify", "default", "out.safetensors"]

# ---- verify --------------------------------------------------------------------------------------


def test_verify(folder, capsys):
    """A line for each tensor and the verdict; status 0."""
    initialized(capsys, "--seed", 7)
    status, lines, errors = call(capsys, "verify", "default", "out.safetensors")
    assert (status, errors) == (0, [])
    assert lines[0] == "out.safetensors"
    head, *rows = lines[1:7]
    assert re.split(r"  +", head) == [
        "tensor",
        "shape",
        "dtype",
        "distribution",
        "expected std",
        "measured std",
        "mean: std errors off",
        "std: std errors off",
        "verdict",
    ]
    assert lines[7] == "ok: 5 tensors"
    assert lines[8].startswith("std errors off: ")
    shown = {line.split()[0]: line for line in rows}
    assert shown.keys() == tensors_like("like.toml").keys()
    assert all(line.endswith(" ok") for line in shown.values())
    assert "300x200  float32  Uniform(-0.109545, 0.109545)  " in shown["0.weight"]
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
    initialized(capsys, "--seed", 7)
    damage("out.safetensors", name, change)
    status, lines, errors = call(capsys, "verify", "default", "out.safetensors")
    assert (status, errors) == (1, [])
    assert "FAILED: 1 of 5 tensors" in lines
    assert [line.split()[0] for line in lines if "  FAILED: " in line] == [name]

    status, (line,), _ = call(capsys, "verify", "default", "out.safetensors", "--json")
    found = json.loads(line)
    assert status == 1
    assert (found["ok"], found["failures"], found["file"]) == (False, [name], "out.safetensors")
    assert found["tensors"][name]["failures"]


def test_verify_by_another_plan(folder, capsys):
    initialized(capsys, "--seed", 7)
    status, lines, _ = call(capsys, "verify", "plan.toml", "out.safetensors")
    assert status == 1
    assert "FAILED: 2 of 5 tensors" in lines


def test_verify_json(folder, capsys):
    """As documented: an entry for each tensor; the chance of a false alarm is shared among them."""
    initialized(capsys, "--seed", 7)
    status, (line,), _ = call(
        capsys, "verify", "default", "out.safetensors", "--json", "--false-alarm", 1e-3
    )
    found = json.loads(line)
    assert (status, found["ok"], found["failures"], found["false_alarm"]) == (0, True, [], 1e-3)
    for name, (dtype, shape) in tensors_like("like.toml").items():
        one = found["tensors"][name]
        named = {"F32": "float32", "F16": "float16", "I64": "int64"}[dtype]
        assert (one["dtype"], one["shape"], one["ok"]) == (named, list(shape), True)
        assert one["distribution"] == repr(default_plan().distribution(name, shape))
    weight = found["tensors"]["0.weight"]
    assert weight["false_alarm"] == pytest.approx(1e-3 / 5)
    assert {"mean", "variance"} <= weight["findings"].keys()


@pytest.fixture
def sharded(folder, capsys):
    """The index of a checkpoint in two files."""
    initialized(capsys, "--seed", 7)
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
    _, (whole,), _ = call(capsys, "verify", "default", "out.safetensors", "--json")
    _, (parts,), _ = call(capsys, "verify", "default", sharded, "--json")
    assert json.loads(parts) == {**json.loads(whole), "file": str(sharded)}
    damage(sharded.with_name("1-of-2.safetensors"), "1.weight", lambda w: w * 2)
    status, lines, _ = call(capsys, "verify", "default", sharded)
    assert (status, lines[-3]) == (1, "FAILED: 1 of 5 tensors")
    sharded.with_name("b-of-2.safetensors").unlink()
    status, _, (error,) = call(capsys, "verify", "default", sharded)
    assert (status, "b-of-2.safetensors: No such file" in error) == (2, True)


def test_skip(folder, capsys):
    """GPT-2's published files hold masks, for which its plan has no rule."""
    (folder / "like.toml").write_text(
        "[tensors]\n"
        '"h.0.mlp.c_fc.weight" = { shape = [20, 80], dtype = "F32" }\n'
        '"h.0.attn.bias" = { shape = [1, 1, 8, 8], dtype = "F32" }\n'
        '"h.0.attn.c_attn.bias" = { shape = [60], dtype = "F32" }\n'
    )
    options = ["--skip", "*.attn.bias"]
    init_checkpoint("all.safetensors", Plan([Rule("*", "zeros")]), "like.toml", seed=1)
    verify = ["verify", "gpt2", "all.safetensors"]
    status, _, (error,) = call(capsys, *verify)
    assert (status, "'h.0.attn.bias'" in error, "--skip GLOB" in error) == (2, True, True)
    status, lines, _ = call(capsys, *verify, *options)
    assert (status, lines[-3]) == (1, "FAILED: 1 of 2 tensors")
    assert call(capsys, *verify, "--skip", "*.weight", *options)[0] == 0


# ---- as listed -----------------------------------------------------------------------------------


def like(folder, old="", new=""):
    """The options for a list in which a text is another one."""
    assert old in LIST
    (folder / "other.toml").write_text(LIST.replace(old, new))
    return ["--like", folder / "other.toml"]


def test_verify_like(folder, capsys):
    """Also a checkpoint is such a list, and a sharded one's index."""
    initialized(capsys, "--seed", 7)
    for path in ("like.toml", "out.safetensors"):
        status, lines, _ = call(capsys, *VERIFY, "--like", path)
        assert (status, lines[7]) == (0, "ok: 5 tensors")


UNLIKE = {
    "extent": ("[300, 200]", "[300, 201]", "0.weight", "shape (300, 200) instead of (300, 201)", 5),
    "order": ("[10, 300]", "[300, 10]", "1.weight", "shape (10, 300) instead of (300, 10)", 5),
    "axes": ("shape = []", "shape = [1]", "bn.num_batches_tracked", "shape () instead of (1,)", 5),
    "dtype": ('"F16"', '"BF16"', "1.weight", "dtype float16 instead of bfloat16", 5),
    "missing": ('"0.bias"', '"more.bias" = { shape = [3], dtype = "F32" }\n"0.bias"',
                "more.bias", "missing", 6),
    "extra": ('"0.bias" = { shape = [300], dtype = "float32" }\n', "",
              "0.bias", "not in the list", 5),
}  # fmt: skip


@pytest.mark.parametrize("case", UNLIKE)
def test_verify_unlike(folder, capsys, case):
    """The plan alone would let these pass: it has no shapes."""
    old, new, name, message, number = UNLIKE[case]
    initialized(capsys, "--seed", 7)
    assert call(capsys, *VERIFY)[0] == 0
    status, lines, errors = call(capsys, *VERIFY, *like(folder, old, new))
    assert (status, errors) == (1, [])
    assert f"FAILED: 1 of {number} tensors" in lines
    (row,) = (line for line in lines if "  FAILED: " in line)
    assert (row.split()[0], row.split("FAILED: ")[1]) == (name, message)
    status, (line,), _ = call(capsys, *VERIFY, *like(folder, old, new), "--json")
    found = json.loads(line)
    assert (status, found["ok"], found["failures"]) == (1, False, [name])
    assert found["mismatches"] == {name: message}
    assert len(found["tensors"]) == 4 + (case == "missing")
    skipped = call(capsys, *VERIFY, *like(folder, old, new), "--skip", name)
    assert skipped[0] == 0


def test_an_extra_tensor_needs_no_rule(folder, capsys):
    """It fails because it should not be there, not because the plan does not know it."""
    initialized(capsys, "--seed", 7)
    tensors = safetensors.numpy.load_file("out.safetensors")
    safetensors.numpy.save_file(
        {**tensors, "mask": np.ones((3, 3), np.float32)}, "more.safetensors"
    )
    verify = ["verify", "default", "more.safetensors"]
    assert call(capsys, *verify)[0] == 2
    status, lines, _ = call(capsys, *verify, "--like", "like.toml")
    assert status == 1
    assert any(re.match("mask .* FAILED: not in the list$", line) for line in lines)


# ---- exact values --------------------------------------------------------------------------------


def test_verify_seed(folder, capsys):
    """Whether they are the values that init draws with this seed."""
    initialized(capsys, "--seed", 2**70)
    status, lines, _ = call(capsys, *VERIFY, "--seed", 2**70)
    assert (status, lines[7]) == (0, "ok: 5 tensors")
    assert lines[1].endswith("  differing values  verdict")
    assert lines[-1].startswith(f"differing values: those that are not the ones that seed {2**70}")
    status, lines, _ = call(capsys, *VERIFY, "--seed", 8)
    assert status == 1
    failed = {line.split()[0]: line for line in lines if "  FAILED: " in line}
    assert failed.keys() == {"0.weight", "1.weight"}
    assert re.search(r"  (60,000|59,999)  FAILED: differing values$", failed["0.weight"])


@pytest.mark.parametrize("case", DAMAGES)
def test_verify_seed_fails(folder, capsys, case):
    name, change = DAMAGES[case]
    initialized(capsys, "--seed", 7)
    damage("out.safetensors", name, change)
    status, (line,), _ = call(capsys, *VERIFY, "--seed", 7, "--json")
    found = json.loads(line)
    assert (status, found["failures"], found["seed"]) == (1, [name], 7)
    assert found["tensors"][name]["failures"] == ["differing_values"]


def test_verify_seed_of_one_bit(folder, capsys):
    """What no statistic can see."""
    initialized(capsys, "--seed", 7)
    damage("out.safetensors", "0.weight", lambda w: np.nextafter(w, np.where(w == w[3, 5], 0, w)))
    assert call(capsys, *VERIFY)[0] == 0
    assert call(capsys, *VERIFY, "--seed", 7)[0] == 1


@pytest.mark.parametrize("code", ["F8_E4M3", "F8_E5M2"])
def test_eight_bits(folder, capsys, code):
    """Written, judged, and compared with exactly the values of a seed."""
    (folder / "like.toml").write_text(
        f'[tensors]\n"0.weight" = {{ shape = [60, 80], dtype = "{code}" }}\n'
    )
    initialized(capsys, "--seed", 7)
    assert call(capsys, *VERIFY)[0] == 0
    assert call(capsys, *VERIFY, "--seed", 7)[0] == 0
    assert call(capsys, *VERIFY, "--seed", 8)[0] == 1
    Plan([Rule("*", "normal", std=3.0)]).save(folder / "other.toml")
    assert call(capsys, "verify", "other.toml", "out.safetensors")[0] == 1


def test_verify_of_bytes(folder, capsys):
    """Tensors of dtypes that NumPy does not have are zeros, byte by byte."""
    (folder / "like.toml").write_text(
        '[tensors]\n"0.bias" = { shape = [4, 6], dtype = "F8_E4M3FNUZ" }\n'
        '"1.bias" = { shape = [4], dtype = "F4" }\n'
    )
    initialized(capsys, plan="plan.toml")
    status, (line,), _ = call(capsys, "verify", "plan.toml", "out.safetensors", "--json")
    found = json.loads(line)["tensors"]
    assert status == 0
    assert [(one["dtype"], one["shape"]) for one in (found["0.bias"], found["1.bias"])] == [
        ("F8_E4M3FNUZ", [4, 6]),
        ("F4", [4]),
    ]


# ---- refusals ------------------------------------------------------------------------------------

REFUSED = [
    (
        ["verify", "default", "plan.toml"],
        r"'.toml'; .*\.safetensors\.index\.json",
    ),
    (["verify", "default", "new"], r"new ends in ''; a checkpoint is a \.safetensors"),
    (["verify", "default", "no.safetensors"], "no.safetensors: No such file"),
    (["verify", "default", "bad.safetensors"], "bad.safetensors: its header says"),
    (["verify", "defualt", "out.safetensors"], "did you mean 'default'"),
    (["verify", "vit", "out.safetensors"], "no rule of the plan matches"),
    (["verify", "default", "out.safetensors", "--like", "no.toml"], "no.toml: No such file"),
    (["verify", "default", "out.safetensors", "--like", "plan.toml"], "plan.toml: it has rule"),
    ([*VERIFY, "--skip", "*"], "--skip leaves no tensor"),
    ([*VERIFY, "--skip", "0.wieght"], "skip has '0.wieght', which matches the name of no tensor"),
    (["verify", "default", "none.safetensors"], "there is no tensor in the file"),
    ([*VERIFY, "--layers", "3"], "--layers is for the preset gpt2; the plan is 'default'"),
    (
        ["verify", "drawn.json", "out.safetensors"],
        "'bn.num_.*' has dtype I64",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=repr)
def test_refused(folder, capsys, arguments, message):
    """Status 2, one line on stderr, nothing on stdout and no file."""
    initialized(capsys, "--seed", 7)
    (folder / "bad.safetensors").write_bytes(b"\x09" + bytes(7) + b"{}")
    Plan([Rule("*", "normal")]).save(folder / "drawn.json")
    safetensors.numpy.save_file({}, "none.safetensors")
    before = sorted(folder.iterdir())
    status, lines, (error,) = call(capsys, *arguments)
    assert (status, lines) == (2, [])
    assert re.match(f"fastxavier: error: .*({message})", error)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "default"],
        [*VERIFY, "--seed", "-1"],
        [*VERIFY, "--seed", "seven"],
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


# ---- integers and truth values -------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, 0, 3, 4, 5, 9])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_constants_of_several_chunks(folder, capsys, monkeypatch, dtype, place):
    """One wrong value anywhere is seen, also in a chunk after one that is right."""
    monkeypatch.setattr(exact, "PIECE", 4)
    Plan([Rule("*", "ones")]).save("plan.toml")
    values = np.ones(10, dtype)
    if place is not None:
        values[place] = 0
    safetensors.numpy.save_file({"flags": values}, "out.safetensors")
    status, (line,), _ = call(capsys, "verify", "plan.toml", "out.safetensors", "--json")
    found = json.loads(line)["tensors"]["flags"]["findings"]["differing_values"]
    assert (status, found["measured"]) == ((0, 0) if place is None else (1, 1))


def test_booleans_of_ones(folder, capsys):
    """`init` writes them, and `verify` wants each to be true."""
    (folder / "like.toml").write_text('[tensors]\nmask = { shape = [3, 5], dtype = "bool" }')
    Plan([Rule("mask", "ones")]).save("plan.toml")
    initialized(capsys, plan="plan.toml")
    assert safetensors.numpy.load_file("out.safetensors")["mask"].all()
    assert call(capsys, "verify", "plan.toml", "out.safetensors")[0] == 0
    assert call(capsys, "verify", "default", "out.safetensors")[0] == 2  # without a rule
    damage("out.safetensors", "mask", lambda mask: mask & (np.arange(15).reshape(3, 5) != 7))
    assert call(capsys, "verify", "plan.toml", "out.safetensors")[0] == 1
    Plan([Rule("mask", "zeros")]).save("plan.toml")
    assert call(capsys, "verify", "plan.toml", "out.safetensors")[0] == 1
