"""The command line: what it prints to whom, what it makes, and with what status it ends."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from test_processes import environment, posix

import fastxavier as fx
from fastxavier.checkpoints import init_checkpoint, tensors_like
from fastxavier.cli import main
from fastxavier.plans import Plan, Rule
from fastxavier.recipes import PLANS, default_plan, gpt2_plan

LIST = """
[tensors]
"0.weight" = { shape = [300, 200], dtype = "float32" }
"0.bias" = { shape = [300], dtype = "float32" }
"1.weight" = { shape = [10, 300], dtype = "F16" }
"bn.num_batches_tracked" = { shape = [], dtype = "int64" }
"none.weight" = { shape = [0, 5], dtype = "F32" }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a list of tensors and a plan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "like.toml").write_text(LIST)
    Plan([Rule("*.weight", "he_normal"), Rule("*", "zeros")]).save(tmp_path / "plan.toml")
    return tmp_path


def call(capsys, *arguments):
    """Status, lines of stdout and of stderr."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def initialised(capsys, *arguments, plan="default", out="out.safetensors"):
    status, lines, errors = call(capsys, "init", plan, "--like", "like.toml", "-o", out, *arguments)
    assert (status, errors) == (0, [])
    return lines


# ---- init ----------------------------------------------------------------------------------------


def test_init(folder, capsys):
    """The file is the library's, for seed and plan; a line for each rule that was used."""
    lines = initialised(capsys, "--seed", 7, "--threads", 2)
    assert re.fullmatch(r"out.safetensors: 5 tensors, 0.2 MB, in .* s, seed 7", lines[0])
    assert [line.split() for line in lines[1:]] == [
        ["rule", "tensors", "values"],
        ["zeros", "1", "300"],
        ["zeros", "1", "1"],
        ["glorot_uniform", "3", "63,000"],
    ]
    init_checkpoint("library", default_plan(), "like.toml", seed=7)
    made = (folder / "out.safetensors").read_bytes()
    assert made == (folder / "library").read_bytes()
    w = safetensors.numpy.load(made)["0.weight"]
    assert (w == fx.uniform_(np.empty_like(w), 200, 300, seed=7, stream="0.weight")).all()


def test_init_json(folder, capsys):
    """One object, as documented."""
    (line,) = initialised(capsys, "--seed", 2**70, "--json", plan="plan.toml")
    found = json.loads(line)
    assert found.pop("seconds") > 0
    size = (folder / "out.safetensors").stat().st_size
    plan = Plan.load("plan.toml")
    assert found == {
        "file": "out.safetensors",
        "seed": 2**70,
        "bytes": size,
        "tensors": {
            name: {"dtype": dtype, "shape": list(shape), "law": repr(plan.law(name, shape))}
            for name, (dtype, shape) in tensors_like("like.toml").items()
        },
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_fresh_seed(folder, capsys, as_json):
    """Another one each time, told, and with it the same file again."""
    option = ["--json"] if as_json else []
    seeds = []
    for name in ("a", "b"):
        lines = initialised(capsys, *option, out=name)
        seeds.append(json.loads(lines[0])["seed"] if as_json else int(lines[0].split()[-1]))
    assert seeds[0] != seeds[1]
    assert max(seeds) < 2**53
    initialised(capsys, "--seed", seeds[0], out="c")
    assert (folder / "a").read_bytes() == (folder / "c").read_bytes()
    assert (folder / "a").read_bytes() != (folder / "b").read_bytes()


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("layers", [3, 12])
def test_gpt2_is_as_deep_as_its_tensors(folder, capsys, layers, prefix):
    """The residual projections' std comes of the number of blocks in the likeness."""
    names = [f"{prefix}h.{i}.mlp.c_proj.weight" for i in range(layers)]
    lines = [f'"{name}" = {{ shape = [400, 100], dtype = "F32" }}' for name in names]
    (folder / "like.toml").write_text("\n".join(["[tensors]", *lines]))
    initialised(capsys, "--seed", 1, plan="gpt2")
    init_checkpoint("library", gpt2_plan(layers), "like.toml", seed=1)
    assert (folder / "out.safetensors").read_bytes() == (folder / "library").read_bytes()
    assert call(capsys, "verify", "out.safetensors", "--plan", "gpt2")[0] == 0


def test_other_likenesses(folder, capsys):
    """A checkpoint, and the index of one in parts."""
    initialised(capsys, "--seed", 7)
    places = dict.fromkeys(tensors_like("like.toml"), "out.safetensors")
    (folder / "i.json").write_text(json.dumps({"weight_map": places}))
    for i, like in enumerate(("out.safetensors", "i.json")):
        assert call(capsys, "init", "default", "--like", like, "-o", i, "--seed", 7)[0] == 0
        assert (folder / str(i)).read_bytes() == (folder / "out.safetensors").read_bytes()


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
        assert one["law"] == repr(default_plan().law(name, shape))
    weight = found["tensors"]["0.weight"]
    assert weight["false_alarm"] == pytest.approx(1e-3 / 5)
    assert {"mean", "variance"} <= weight["findings"].keys()


# ---- refusals ------------------------------------------------------------------------------------

INIT = ["init", "default", "--like", "like.toml", "-o", "new"]
VERIFY = ["verify", "out.safetensors", "--plan", "default"]

REFUSED = [
    (["init", "defualt", *INIT[2:]], r"'defualt'.*default, gpt2, .*did you mean 'default'\?"),
    (["init", "no.toml", *INIT[2:]], "no.toml: No such file"),
    (["init", "like.toml", *INIT[2:]], "like.toml, line 2: 'tensors' is no key"),
    (["init", "wrong.toml", *INIT[2:]], "wrong.toml, line 4: .*did you mean 'zeros'"),
    (["init", "plan.yaml", *INIT[2:]], r"plan.yaml ends in '.yaml'; .*\.toml or \.json"),
    (["init", "vit", *INIT[2:]], r"no rule of the plan matches tensor '0.weight' of shape \(300,"),
    (["init", "default", "--like", "no.safetensors", "-o", "new"], "no.safetensors: No such file"),
    (["init", "default", "--like", "lie.safetensors", "-o", "new"], "lie.safetensors: the header"),
    (["init", "default", "--like", "plan.toml", "-o", "new"], "plan.toml: has layout"),
    (["init", "default", "--like", "like.toml", "-o", "no/new"], "no: No such file"),
    (["init", "default", "--like", "like.toml", "-o", "."], "Is a directory"),
    ([*INIT, "--threads", "0"], "threads is 0"),
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
    (folder / "wrong.toml").write_text("[[rule]]\nnames = '*'\n\nscheme = 'zeroes'\n")
    Plan([Rule("*", "normal")]).save(folder / "drawn.json")
    before = sorted(folder.iterdir())
    status, lines, (error,) = call(capsys, *arguments)
    assert (status, lines) == (2, [])
    assert re.match(f"fastxavier: error: .*({message})", error)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["init"],
        ["init", "default", "-o", "new"],
        ["init", "default", "--like", "like.toml"],
        [*INIT, "--seed", "-1"],
        [*INIT, "--seed", "1.5"],
        [*INIT, "--seed", ""],
        [*INIT, "--threads", "many"],
        ["verify"],
        ["verify", "out.safetensors"],
        [*VERIFY, "--false-alarm", "often"],
        [*VERIFY, "--false-alarm", "0"],
        [*VERIFY, "--false-alarm", "1"],
        [*VERIFY, "--false-alarm", "nan"],
        ["destroy"],
    ],
    ids=" ".join,
)
def test_wrong_usage(folder, capsys, arguments):
    """argparse's status, 2, and its message."""
    status, lines, errors = call(capsys, *arguments)
    assert (status, lines) == (2, [])
    assert re.match(r"fastxavier( \w+)?: error: ", errors[-1])
    assert left_alone(folder)


def left_alone(folder):
    return sorted(path.name for path in folder.iterdir()) == ["like.toml", "plan.toml"]


# ---- as a process --------------------------------------------------------------------------------


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "fastxavier", *map(str, arguments)],
        env=environment(**options),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_piped(folder):
    """Plain lines without colours; errors without a traceback; the status is the process's."""
    made = process(*INIT, "--seed", 7)
    assert (made.returncode, made.stderr) == (0, "")
    assert "\x1b" not in made.stdout
    assert made.stdout.startswith("new: 5 tensors")
    verified = process("verify", "new", "--plan", "default")
    assert (verified.returncode, verified.stdout.splitlines()[-1]) == (0, "ok: 5 tensors")
    assert process("verify", "new", "--plan", "plan.toml").returncode == 1
    refused = process("verify", "no", "--plan", "default")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "fastxavier: error: no: No such file or directory\n"


@posix
def test_reader_that_goes(folder):
    """As `| head -0` does: no traceback, and no status 0, since nothing was told."""
    assert process(*INIT, "--seed", 7).returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "fastxavier", "verify", "new", "--plan", "default"],
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@posix
def test_terminal(folder):
    """rich's table, whole."""
    pytest.importorskip("rich")
    outer, inner = os.openpty()
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "fastxavier", *INIT, "--seed", "7"],
        env=environment(TERM="xterm", COLUMNS="100"),
        stdout=inner,
        stderr=inner,
    ) as running:
        os.close(inner)
        try:
            while part := os.read(outer, 4096):
                shown += part
        except OSError:  # Linux ends a terminal so
            pass
        assert running.wait(60) == 0
    os.close(outer)
    text = shown.decode()
    assert "seed 7" in text
    assert "glorot_uniform" in text
    assert "┃" in text


def test_interrupt(folder, capsys, monkeypatch):
    """Ctrl-C ends with its status, without a traceback."""
    from fastxavier.cli import init

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(init, "init_checkpoint", stop)
    assert call(capsys, *INIT) == (130, [], [])


def test_help_and_the_other_commands(capsys):
    """Every command is listed and explains itself; demo and info are as they were."""
    status, lines, _ = call(capsys, "--help")
    assert status == 0
    for command in ("demo", "info", "init", "verify"):
        assert any(re.match(rf"\s+{command}\s+\w", line) for line in lines)
        assert call(capsys, command, "--help")[0] == 0
    _, lines, _ = call(capsys, "init", "--help")
    assert all(re.search(rf"\b{name}\b", " ".join(lines)) for name in PLANS)
    status, (line,), _ = call(capsys, "info", "--json")
    assert (status, json.loads(line)["version"]) == (0, fx.__version__)
    status, lines, _ = call(capsys, "demo", "--gib", "0.001")
    assert status == 0
    assert any("fastxavier" in line for line in lines)
