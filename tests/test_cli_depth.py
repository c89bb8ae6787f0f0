"""How deep a GPT-2 is: a number that belongs to the whole model, whatever part of it is there."""

import json

import numpy as np
import pytest
import safetensors.numpy
from cli_cases import call

import fastxavier as fx
from fastxavier.checkpoints import init_checkpoint, mapped, tensors_like

BLOCKS = 4
KINDS = {
    "wte.weight": (50, 8),
    **{f"h.{i}.mlp.c_proj.weight": (32, 400) for i in range(BLOCKS)},
    **{f"h.{i}.mlp.c_fc.weight": (8, 32) for i in range(BLOCKS)},
    "ln_f.weight": (8,),
}
PROJECTIONS = [name for name in KINDS if "c_proj" in name]
LAST = PROJECTIONS[-1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a list of the tensors of a GPT-2 of four blocks."""
    monkeypatch.chdir(tmp_path)
    lines = [
        f'"{name}" = {{ shape = {list(shape)}, dtype = "F32" }}' for name, shape in KINDS.items()
    ]
    (tmp_path / "mini.toml").write_text("\n".join(["[tensors]", *lines]))
    return tmp_path


@pytest.fixture
def shards(folder):
    """A model of four blocks in two files and their index."""
    init_checkpoint("whole.safetensors", fx.gpt2_plan(BLOCKS), "mini.toml", seed=1)
    tensors = {name: np.array(one) for name, one in mapped("whole.safetensors").items()}
    places = {}
    for name in tensors:
        first = name[:3] in ("wte", "h.0", "h.1")
        places[name] = f"model-0000{1 if first else 2}-of-00002.safetensors"
    for file in set(places.values()):
        held = {name: one for name, one in tensors.items() if places[name] == file}
        safetensors.numpy.save_file(held, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    return [folder / file for file in sorted(set(places.values()))]


def init(capsys, *options, like="mini.toml", out="out.safetensors"):
    return call(capsys, "init", "gpt2", "--like", like, "-o", out, "--seed", 1, *options)


def verified(capsys, *arguments):
    """Status and JSON of `verify`; the status of the table is the same."""
    status, (line,), errors = call(capsys, "verify", "gpt2", *arguments, "--json")
    assert errors == []
    assert call(capsys, "verify", "gpt2", *arguments)[0] == status
    return status, json.loads(line)


def bounds_of(path):
    return {name: float(abs(one).max()) for name, one in mapped(path).items()}


SKIPPED = ["h.0.*", "h.3.*", "h.[12].*", "h.*.c_fc.*"]


@pytest.mark.parametrize("skip", SKIPPED)
def test_verify_counts_before_it_skips(folder, capsys, skip):
    assert init(capsys)[0] == 0
    status, found = verified(capsys, "out.safetensors", "--skip", skip)
    assert (status, found["ok"], found["not_judged"]) == (0, True, {})
    assert 0 < len(found["tensors"]) < len(KINDS)


@pytest.mark.parametrize("skip", SKIPPED)
def test_init_counts_before_it_skips(folder, capsys, skip):
    """What is left has the values that it has in the whole."""
    assert init(capsys, out="whole.safetensors")[0] == 0
    assert init(capsys, "--skip", skip)[0] == 0
    whole, part = mapped("whole.safetensors"), mapped("out.safetensors")
    assert part
    assert all((part[name] == whole[name]).all() for name in part)
    status, found = verified(capsys, "out.safetensors", "--like", "mini.toml", "--skip", skip)
    assert (status, found["ok"], found["not_judged"]) == (0, True, {})


@pytest.mark.parametrize("skip", ["h.0.*", "h.3.*"])
def test_a_part_is_not_taken_for_the_whole(folder, capsys, skip):
    """A block is missing, or the file says that there were more: only the rest is judged."""
    assert init(capsys, "--skip", skip)[0] == 0
    status, found = verified(capsys, "out.safetensors")
    left = {name for name in PROJECTIONS if name[:3] != skip[:3]}
    assert (status, found["not_judged"].keys()) == (0, left)
    assert found["tensors"].keys() == tensors_like("out.safetensors").keys() - left
    why = "block 0 is missing" if skip == "h.0.*" else "3 blocks, and says that it was made for 4"
    assert all(why in reason for reason in found["not_judged"].values())
    lines = call(capsys, "verify", "gpt2", "out.safetensors")[1]
    assert sum(line.endswith(" not judged") for line in lines) == 3
    (told,) = (line for line in lines if line.startswith("not judged: 3 tensors"))
    assert why in told
    assert "--layers N" in told
    assert "ok: 5 tensors" in lines
    status, found = verified(capsys, "out.safetensors", "--layers", 4)
    assert (status, found["not_judged"], len(found["tensors"])) == (0, {}, 8)
    assert verified(capsys, "out.safetensors", "--layers", 3)[0] == 1


def test_what_is_judged_may_fail_beside_what_is_not(folder, capsys):
    init(capsys, "--skip", "h.0.*")
    tensors = safetensors.numpy.load_file("out.safetensors")
    tensors["wte.weight"] *= 2
    safetensors.numpy.save_file(tensors, "out.safetensors")
    status, found = verified(capsys, "out.safetensors")
    assert (status, found["failures"], len(found["not_judged"])) == (1, ["wte.weight"], 3)


def test_nothing_can_be_judged(folder, capsys):
    """No verdict is not a good one."""
    init(capsys, "--skip", "h.0.*")
    keep = ["--skip", "wte*", "--skip", "ln_f*", "--skip", "*c_fc*"]
    status, lines, (error,) = call(capsys, "verify", "gpt2", "out.safetensors", *keep)
    assert (status, lines) == (2, [])
    assert "no tensor can be judged: block 0 is missing" in error


def test_a_model_drawn_for_too_few_blocks_fails(folder, capsys):
    """That it says so does not excuse it: it has more."""
    init_checkpoint("out.safetensors", fx.gpt2_plan(2), "mini.toml", seed=1)
    status, found = verified(capsys, "out.safetensors")
    assert (status, found["failures"]) == (1, sorted(PROJECTIONS))


def test_a_shard_beside_its_index(shards, capsys):
    for shard in shards:
        status, found = verified(capsys, shard)
        assert (status, found["not_judged"]) == (0, {})
        assert any("c_proj" in name for name in found["tensors"])
    index = shards[0].parent / "model.safetensors.index.json"
    status, found = verified(capsys, index, "--skip", "h.0.*")
    assert (status, found["not_judged"]) == (0, {})


def test_a_shard_by_itself(shards, capsys):
    """Neither the first one, whose blocks count from 0, nor the second."""
    index = shards[0].parent / "model.safetensors.index.json"
    for text in (None, "no JSON", '{"weight_map": 3}', '{"weight_map": {"a": "other"}}'):
        index.write_text(text) if text else index.rename("i.json")
        for shard in shards:
            status, found = verified(capsys, shard)
            assert status == 0
            assert {"c_proj" in name for name in found["not_judged"]} == {True}
            assert not any("c_proj" in name for name in found["tensors"])
            assert all("without the index" in why for why in found["not_judged"].values())
    assert verified(capsys, shards[0], "--layers", 4)[1]["not_judged"] == {}
    status, found = verified(capsys, shards[0], "--like", "mini.toml")
    assert (status, found["not_judged"]) == (1, {})
    assert set(found["mismatches"].values()) == {"missing"}  # and nothing else is wrong
    assert found["failures"] == list(found["mismatches"])


def test_one_of_one_is_whole(folder, capsys):
    name = "model-00001-of-00001.safetensors"
    assert init(capsys, out=name)[0] == 0
    assert verified(capsys, name)[1]["not_judged"] == {}


def test_init_like_a_shard(shards, capsys):
    """By the index beside it; without one the user has to say the number."""
    first, second = shards
    expected = bounds_of("whole.safetensors")
    assert init(capsys, like=second)[0] == 0
    assert bounds_of("out.safetensors").items() <= expected.items()
    (first.parent / "model.safetensors.index.json").unlink()
    for shard in shards:
        status, lines, (error,) = init(capsys, like=shard, out="no.safetensors")
        assert (status, lines) == (2, [])
        assert "c_proj.weight' follows from the number of blocks" in error
        assert f"{shard.name} is a part of a model, without the index" in error
        assert "--layers N says it" in error
        assert not (first.parent / "no.safetensors").exists()
        assert init(capsys, "--layers", 4, like=shard)[0] == 0
        assert bounds_of("out.safetensors").items() <= expected.items()
        assert init(capsys, "--skip", "*c_proj*", like=shard)[0] == 0


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_layers_of_a_list(folder, capsys, prefix):
    """The option holds whatever the names show; a list without the first block needs it."""
    name = f"{prefix}h.5.mlp.c_proj.weight"
    (folder / "like.toml").write_text(f'[tensors]\n"{name}" = {{shape=[9, 8], dtype="F32"}}')
    assert "block 0 is missing" in init(capsys, like="like.toml")[2][0]
    for layers in (1, 6, 48):
        assert init(capsys, "--layers", layers, like="like.toml")[0] == 0
        init_checkpoint("library.safetensors", fx.gpt2_plan(layers), "like.toml", seed=1)
        assert (folder / "out.safetensors").read_bytes() == (
            folder / "library.safetensors"
        ).read_bytes()


@pytest.mark.parametrize("number", ["999999999", "9" * 30, "9" * 5000])
def test_a_block_of_any_number(folder, capsys, number):
    """No list as long as a number in a file."""
    tensors = {f"h.{number}.ln_1.weight": np.ones(3, np.float32)}
    safetensors.numpy.save_file(tensors, "a.safetensors")
    assert verified(capsys, "a.safetensors")[0] == 0


PLAN = '[[rule]]\nnames = "*"\ninitializer = "normal"\nstd = {}\n'


@pytest.mark.parametrize("text", ["", "no plan", "[[rule]]", *map(PLAN.format, ("1e-300", 0, 5))])
def test_metadata_that_say_nothing(folder, capsys, text):
    """Of other programs, or of a plan that is not the preset's: the names count."""
    assert init(capsys)[0] == 0
    tensors = safetensors.numpy.load_file("out.safetensors")
    safetensors.numpy.save_file(tensors, "out.safetensors", {"fastxavier.plan": text})
    status, found = verified(capsys, "out.safetensors")
    assert (status, found["not_judged"]) == (0, {})


@pytest.mark.parametrize("layers", ["0", "-1", "1.5", "many", ""])
def test_no_number_of_layers(folder, capsys, layers):
    for command in (["init", "gpt2", "--like", "mini.toml", "-o", "a.safetensors"], ["verify"]):
        status, lines, errors = call(capsys, *command, f"--layers={layers}")
        assert (status, lines) == (2, [])
        assert errors[-1].endswith(f"{layers!r} is not an integer from 1 up")
