"""The command line: what it prints and writes, and its exit status."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from cli_cases import INIT, call, initialized, left_alone, terminal
from test_processes import environment, posix

import fastxavier as fx
from fastxavier._console import progress_bar, table
from fastxavier.checkpoints import _init, init_checkpoint, tensors_like
from fastxavier.cli import init, main
from fastxavier.plans import Plan, Rule
from fastxavier.plans.presets import PRESETS, default_plan, gpt2_plan

# ---- init ----------------------------------------------------------------------------------------


def test_init(folder, capsys):
    """The file is the library's, for seed and plan; a row for each rule that was used."""
    lines = initialized(capsys, "--seed", 7, "--threads", 2)
    assert re.fullmatch(r"out.safetensors: 5 tensors, 0.3 MB, in .* s, seed 7", lines[0])
    assert [line.split() for line in lines[1:5]] == [
        ["names", "ndim", "initializer", "tensors", "values"],
        ["*[._/]bias", "1", "zeros", "1", "300"],
        ["*[._/]num_batches_tracked", "0", "zeros", "1", "1"],
        ["*[._/]weight", "2+", "glorot_uniform", "3", "63,000"],
    ]
    legend = " ".join(lines[5:])
    assert all(f"{what}:" in legend for what in ("names", "ndim", "tensors, values"))
    init_checkpoint("library", default_plan(), "like.toml", seed=7)
    made = (folder / "out.safetensors").read_bytes()
    assert made == (folder / "library").read_bytes()
    w = safetensors.numpy.load(made)["0.weight"]
    assert (w == fx.uniform_(np.empty_like(w), 200, 300, seed=7, stream="0.weight")).all()


def test_init_patterns(folder, capsys):
    """A row has all patterns of its rule that match; a rule that is not used has no row."""
    rules = [
        Rule(["bn.*", "no", "0.b*"], "zeros"),
        Rule("never", "ones"),
        Rule(["none*", "[01].weight"], "normal", mean=1 / 3, std=0.5),
        Rule(["bn.*", "no", "0.b*"], "zeros"),
    ]
    Plan(rules).save(folder / "plan.toml")
    lines = initialized(capsys, plan="plan.toml")
    assert [re.split(r"\s{2,}", line) for line in lines[2:4]] == [
        ["bn.* 0.b*", "any", "zeros", "2", "301"],
        ["none* [01].weight", "any", "normal mean=0.333333 std=0.5", "3", "63,000"],
    ]
    assert lines[-1] == f"unused: {rules[1]}, which initialized no tensor"
    assert not any("zeros" in line or "ones" in line for line in lines[4:-1])


def test_init_metadata(folder, capsys):
    """Seed and plan are in the file, by which it is made again and verified."""
    initialized(capsys, "--seed", 7, plan="plan.toml")
    with safetensors.safe_open("out.safetensors", "np") as file:
        found = file.metadata()
    assert (found["format"], found["fastxavier.seed"]) == ("pt", "7")
    (folder / "again.toml").write_text(found["fastxavier.plan"])
    seed = found["fastxavier.seed"]
    initialized(capsys, "--seed", seed, plan="again.toml", out="again.safetensors")
    assert (folder / "again.safetensors").read_bytes() == (folder / "out.safetensors").read_bytes()
    assert call(capsys, "verify", "again.toml", "out.safetensors")[0] == 0


def test_init_json(folder, capsys):
    """One object, as documented."""
    (line,) = initialized(capsys, "--seed", 2**70, "--json", plan="plan.toml")
    found = json.loads(line)
    assert found.pop("seconds") > 0
    size = (folder / "out.safetensors").stat().st_size
    plan = Plan.load("plan.toml")
    assert found == {
        "file": "out.safetensors",
        "seed": 2**70,
        "bytes": size,
        "tensors": {
            name: {
                "dtype": {"F32": "float32", "F16": "float16", "I64": "int64"}[dtype],
                "shape": list(shape),
                "distribution": repr(plan.distribution(name, shape)),
            }
            for name, (dtype, shape) in tensors_like("like.toml").items()
        },
        "unused_rules": [],
    }
    never = Rule("never", "ones")
    Plan([never, Rule("*.weight", "he_normal"), Rule("*", "zeros")]).save(folder / "plan.toml")
    (line,) = initialized(capsys, "--json", plan="plan.toml")
    assert json.loads(line)["unused_rules"] == [repr(never)]


@pytest.mark.parametrize("as_json", [False, True])
def test_fresh_seed(folder, capsys, as_json):
    """Another one each time, which is printed and makes the same file again."""
    option = ["--json"] if as_json else []
    seeds = []
    for name in ("a", "b"):
        lines = initialized(capsys, *option, out=f"{name}.safetensors")
        seeds.append(json.loads(lines[0])["seed"] if as_json else int(lines[0].split()[-1]))
    assert seeds[0] != seeds[1]
    assert max(seeds) < 2**53
    initialized(capsys, "--seed", seeds[0], out="c.safetensors")
    a, b, c = ((folder / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == c
    assert a != b


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("layers", [3, 12])
def test_gpt2_is_as_deep_as_its_tensors(folder, capsys, layers, prefix):
    """The residual projections' std follows from the number of blocks in the list."""
    names = [f"{prefix}h.{i}.mlp.c_proj.weight" for i in range(layers)]
    lines = [f'"{name}" = {{ shape = [400, 100], dtype = "F32" }}' for name in names]
    (folder / "like.toml").write_text("\n".join(["[tensors]", *lines]))
    initialized(capsys, "--seed", 1, plan="gpt2")
    init_checkpoint("library", gpt2_plan(layers), "like.toml", seed=1)
    assert (folder / "out.safetensors").read_bytes() == (folder / "library").read_bytes()
    assert call(capsys, "verify", "gpt2", "out.safetensors")[0] == 0


def test_empty_tensors(folder, capsys):
    """One of them structured, and nothing to write: no progress is divided by no bytes."""
    (folder / "like.toml").write_text(
        '[tensors]\n"a.weight" = { shape = [0, 3], dtype = "F32" }\n'
        '"b.weight" = { shape = [0, 3], dtype = "F32" }\n"c" = { shape = [0], dtype = "I64" }\n'
    )
    rules = [Rule("a*", "orthogonal"), Rule("b*", "normal"), Rule("c", "zeros")]
    Plan(rules).save(folder / "plan.toml")
    lines = initialized(capsys, plan="plan.toml")
    assert lines[0].startswith("out.safetensors: 3 tensors, 0.0 MB")
    assert call(capsys, "verify", "plan.toml", "out.safetensors")[0] == 0


def test_like_a_checkpoint(folder, capsys):
    """A file, and the index of a sharded one."""
    initialized(capsys, "--seed", 7)
    places = dict.fromkeys(tensors_like("like.toml"), "out.safetensors")
    (folder / "i.json").write_text(json.dumps({"weight_map": places}))
    for i, like in enumerate(("out.safetensors", "i.json")):
        out = f"{i}.safetensors"
        assert call(capsys, "init", "default", "--like", like, "-o", out, "--seed", 7)[0] == 0
        assert (folder / out).read_bytes() == (folder / "out.safetensors").read_bytes()


def test_skip(folder, capsys):
    """GPT-2's published files hold masks, for which its plan has no rule."""
    (folder / "like.toml").write_text(
        "[tensors]\n"
        '"h.0.mlp.c_fc.weight" = { shape = [20, 80], dtype = "F32" }\n'
        '"h.0.attn.bias" = { shape = [1, 1, 8, 8], dtype = "F32" }\n'
        '"h.0.attn.c_attn.bias" = { shape = [60], dtype = "F32" }\n'
    )
    options = ["--skip", "*.attn.bias", "--skip", "h.?.attn.bias"]
    (line,) = initialized(capsys, *options, "--json", plan="gpt2")
    assert json.loads(line)["tensors"].keys() == {"h.0.mlp.c_fc.weight", "h.0.attn.c_attn.bias"}
    assert tensors_like("out.safetensors").keys() == json.loads(line)["tensors"].keys()


# ---- refusals ------------------------------------------------------------------------------------

REFUSED = [
    (
        ["init", "defualt", *INIT[2:]],
        r"'defualt'.*did you mean 'default'\? .*'gpt2', .*\.toml or \.json",
    ),
    (["init", "no.toml", *INIT[2:]], "no.toml: No such file"),
    (["init", "like.toml", *INIT[2:]], "like.toml: key 'tensors' is not one of a plan"),
    (["init", "wrong.toml", *INIT[2:]], r"wrong.toml, rule 1 \(names '\*'\): .*mean 'zeros'"),
    (["init", "plan.yaml", *INIT[2:]], r"plan is 'plan.yaml'; .*'gpt2', .*\.toml or \.json"),
    (["init", "vit", *INIT[2:]], r"no rule of the plan matches tensor '0.weight' of shape \(300,"),
    (
        ["init", "default", "--like", "no.safetensors", "-o", "new.safetensors"],
        "no.safetensors: No such file",
    ),
    (
        ["init", "default", "--like", "bad.safetensors", "-o", "new.safetensors"],
        "bad.safetensors: its header",
    ),
    (
        ["init", "default", "--like", "plan.toml", "-o", "new.safetensors"],
        "plan.toml: it has rule; it must have",
    ),
    (["init", "default", "--like", "like.toml", "-o", "no/new.safetensors"], "no: No such file"),
    (["init", "default", "--like", "like.toml", "-o", "folder.safetensors"], "Is a directory"),
    (
        ["init", "default", "--like", "large.toml", "-o", "new.safetensors"],
        r"all tensors .* more than 2\*\*63",
    ),
    (["init", "vit", "--skip", "1.*", *INIT[2:]], "'0.weight' .*; --skip GLOB would leave it out"),
    (["bench", "--size", "9" * 400 + "e9"], "infinity"),
    ([*INIT, "--skip", "*"], "--skip leaves no tensor"),
    ([*INIT, "--skip", "0.b*", "--skip", "0.wieght"], "skip has '0.wieght', which matches the"),
    (["init", "default", "--like", "empty.toml", "-o", "new.safetensors"], "there is no tensor"),
    ([*INIT, "--layers", "3"], "--layers is for the preset gpt2; the plan is 'default'"),
    ([*INIT, "--threads", "0"], "threads is 0"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=repr)
def test_refused(folder, capsys, arguments, message):
    """Status 2, one line on stderr, nothing on stdout and no file."""
    initialized(capsys, "--seed", 7)
    (folder / "folder.safetensors").mkdir()
    (folder / "bad.safetensors").write_bytes(b"\x09" + bytes(7) + b"{}")
    large = '{ shape = [4611686018427387904], dtype = "U8" }'
    (folder / "large.toml").write_text(f'[tensors]\n"0.bias" = {large}\n"1.bias" = {large}\n')
    (folder / "empty.toml").write_text("[tensors]\n")
    (folder / "wrong.toml").write_text("[[rule]]\nnames = '*'\n\ninitializer = 'zeroes'\n")
    before = sorted(folder.iterdir())
    status, lines, (error,) = call(capsys, *arguments)
    assert (status, lines) == (2, [])
    assert re.match(f"fastxavier: error: .*({message})", error)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["init"],
        ["init", "default", "-o", "new.safetensors"],
        ["init", "default", "--like", "like.toml"],
        [*INIT, "--seed", "-1"],
        [*INIT, "--seed", "1.5"],
        [*INIT, "--seed", ""],
        [*INIT, "--threads", "many"],
        [*INIT, "--layers", "0"],
        [*INIT, "--layers", "many"],
        *(["demo", "--gib", size] for size in ("inf", "nan", "1e7", "0", "-1", "many")),
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


@pytest.mark.parametrize(
    "name",
    ["x.pt", "x", "x.json", "x.safetensors.index.json", ".", "a/x.bin", ".safetensors", "x."],
)
def test_output_that_nobody_could_read(folder, capsys, monkeypatch, name):
    """`init` refuses what `verify` would refuse, before anything is drawn."""
    monkeypatch.setattr(init, "init_checkpoint", None)
    status, lines, errors = call(capsys, *INIT[:-1], name)
    assert (status, lines) == (2, [])
    assert f"argument -o/--output: {name!r}" in errors[-1]
    assert "it must end in '.safetensors'" in errors[-1]
    assert left_alone(folder)


# ---- as documented -------------------------------------------------------------------------------


def test_page(folder, capsys):
    """The commands of docs/checkpoint.md, one after the other, with the files they write first."""
    root = pathlib.Path(__file__).resolve().parents[1]
    text = (root / "docs" / "checkpoint.md").read_text()
    block = "".join(re.findall(r"```sh\n(.*?)```", text, re.S))
    files = re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", block, re.S | re.M)
    for name, content in files:
        (folder / name).write_text(content)
    commands = re.findall(r"^fastxavier (.*)$", block, re.M)
    assert [len(files), len(commands)] == [2, 4]
    for command in commands:
        assert call(capsys, *shlex.split(command))[::2] == (0, [])


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
    """Plain lines without colours; the status is the process's."""
    made = process(*INIT, "--seed", 7)
    assert (made.returncode, made.stderr) == (0, "")
    assert "\x1b" not in made.stdout
    assert made.stdout.startswith("new.safetensors: 5 tensors")
    refused = process("verify", "default", "no.safetensors")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "fastxavier: error: no.safetensors: No such file or directory\n"


@posix
@pytest.mark.parametrize(("command", "unbuffered"), [("info", ""), ("info", "1"), ("--help", "")])
def test_reader_that_goes(command, unbuffered):
    """As `| head -0` does: no traceback, and a status that is not 0, since nothing was printed.

    What is not buffered is refused at once, and not only when it is flushed at the end.
    """
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "fastxavier", command],
            env=environment(PYTHONUNBUFFERED=unbuffered),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


# ---- on a terminal -------------------------------------------------------------------------------


def test_terminal(folder, monkeypatch):
    """rich's table, whole."""
    shown = terminal(monkeypatch)
    assert main([*INIT, "--seed", "7"]) == 0
    text = shown.getvalue()
    assert "seed 7" in text
    assert "glorot_uniform" in text
    assert "┃" in text


def test_names_are_no_markup(monkeypatch):
    """Tensors and files may be called what rich would take for colours, links or smileys."""
    shown = terminal(monkeypatch)
    names = ["a[/b].weight", "[red]c", ":smile:", "[/]"]
    with progress_bar(names[0], 10) as tell:
        tell(5)
    table(names[1], [names[2]], [[name] for name in names])
    text = shown.getvalue()
    assert text.count(names[0]) >= 2  # the bar and a cell
    assert [text.count(name) for name in names[1:]] == [2, 2, 1]


def test_interrupt(folder, capsys, monkeypatch):
    """Ctrl-C ends with its status, without a traceback."""

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(init, "init_checkpoint", stop)
    assert call(capsys, *INIT) == (130, [], [])


@posix
def test_terminated(folder, capsys, monkeypatch):
    """SIGTERM: what was begun is removed, an existing file is as it was; the handler is reset."""

    def end(arrays, plan, **options):
        assert any(path.name.startswith(".new.safetensors.") for path in folder.iterdir())
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(_init, "init_", end)
    (folder / "new.safetensors").write_text("before")
    before = sorted(folder.iterdir())
    assert call(capsys, *INIT) == (143, [], [])
    assert sorted(folder.iterdir()) == before
    assert (folder / "new.safetensors").read_text() == "before"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "out of memory"),
        (MemoryError("no 9 bytes"), "no 9 bytes"),
        (OverflowError("too large"), "too large"),
    ],
    ids=repr,
)
def test_no_traceback(folder, capsys, monkeypatch, error, message):
    """Too large a size ends in one line."""

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(init, "init_checkpoint", fail)
    assert call(capsys, *INIT) == (2, [], [f"fastxavier: error: {message}"])


def test_help_and_the_other_commands(capsys):
    """Every command is listed and explains itself; demo and info are as they were."""
    status, lines, _ = call(capsys, "--help")
    assert status == 0
    for command in ("demo", "info", "init", "verify"):
        assert any(re.match(rf"\s+{command}\s+\w", line) for line in lines)
        assert call(capsys, command, "--help")[0] == 0
    _, lines, _ = call(capsys, "init", "--help")
    assert all(re.search(rf"\b{name}\b", " ".join(lines)) for name in PRESETS)
    status, (line,), _ = call(capsys, "info", "--json")
    assert (status, json.loads(line)["version"]) == (0, fx.__version__)
    status, lines, _ = call(capsys, "demo", "--gib", "0.001")
    assert status == 0
    assert any("fastxavier" in line for line in lines)
