"""What a file is to be like: the tensors of a checkpoint, of its index, or of a list."""

import json
import re

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from checkpoint_files import PLAN, made_from

from fastxavier._dtypes import FLOATS
from fastxavier.checkpoints import (
    CheckpointError,
    init_checkpoint,
    read_header,
    tensors_like,
)
from fastxavier.checkpoints._dtypes import DTYPES
from fastxavier.plans import Plan, Rule


@pytest.fixture
def sharded(tmp_path):
    """A model in two files and its index."""
    folder = tmp_path / "model"
    folder.mkdir()
    shards = {
        "model-1.safetensors": {"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)},
        "model-2.safetensors": {"c": np.ones((), np.int64)},
    }
    for name, tensors in shards.items():
        safetensors.numpy.save_file(tensors, folder / name, {"format": "pt", "shard": name})
    places = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 40}, "weight_map": places}))
    return index


KINDS = {"a": ("F32", (2, 3)), "b": ("F16", (4,)), "c": ("I64", ())}


def test_sharded(sharded, tmp_path):
    """The tensors of all shards, in one file; links to shards are followed."""
    assert tensors_like(sharded) == KINDS
    shard = sharded.parent / "model-2.safetensors"
    shard.rename(tmp_path / "blob")
    shard.symlink_to(tmp_path / "blob")
    assert tensors_like(str(sharded)) == KINDS
    plan = Plan([Rule("c", "ones"), Rule("*", "normal")])
    init_checkpoint(tmp_path / "out", plan, sharded, seed=1)
    with safetensors.safe_open(tmp_path / "out", "np") as file:
        assert sorted(file.keys()) == ["a", "b", "c"]
        assert file.metadata() == {"format": "pt", **made_from(plan, 1)}


def changed(index, **places):
    document = json.loads(index.read_text())
    for name, file in places.items():
        document["weight_map"][name] = file
        if file is None:
            del document["weight_map"][name]
    index.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"d": "model-2.safetensors"}, "model-2.safetensors: tensor 'd' is not in it"),
        ({"b": None}, "model-1.safetensors: tensor 'b' is in it, but not in the index"),
        ({"b": "model-2.safetensors"}, "model-1.safetensors: tensor 'b' is in it"),
        ({"a": "../model/model-1.safetensors"}, "in the same folder"),
        ({"a": "./model-1.safetensors"}, "in the same folder"),
        ({"a": "/etc/passwd"}, "in the same folder"),
        ({"a": ".."}, "in the same folder"),
        ({"a": "."}, "in the same folder"),
        ({"a": ""}, "in the same folder"),
        ({"a": "..\\x"}, "in the same folder"),
        ({"a": "x\0y"}, "in the same folder"),
        ({"a": 3}, "in the same folder"),
        ({"a": ["model-1.safetensors"]}, "in the same folder"),
    ],
    ids=repr,
)
def test_invalid_index(sharded, places, message):
    changed(sharded, **places)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        tensors_like(sharded)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {"a": "x", "a": "x"}}',
        '{"metadata": {"total_size": NaN}, "weight_map": {}}',
        "\xff",
    ],
)
def test_not_an_index(sharded, text):
    sharded.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=re.escape(str(sharded))):
        tensors_like(sharded)


def test_invalid_or_missing_shard(sharded):
    shard = sharded.parent / "model-1.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model-1\.safetensors: the file is truncated"):
        tensors_like(sharded)
    shard.unlink()
    with pytest.raises(FileNotFoundError):
        tensors_like(sharded)
    sharded.write_text('{"weight_map": {}}')
    assert tensors_like(sharded) == {}


@pytest.mark.parametrize("code", DTYPES)
def test_width_of_a_dtype(code):
    """It is in the code; a truth value takes a byte."""
    assert DTYPES[code].bits == (8 if code == "BOOL" else int(re.search("[0-9]+", code)[0]))


def test_list(tmp_path):
    """Dtypes by their names in NumPy, torch and safetensors, in the order of the list."""
    path = tmp_path / "like.toml"
    path.write_text(
        '[tensors]\n"a.b" = { shape = [2, 3], dtype = "float32" }\n'
        'c = { shape = [], dtype = "BF16" }\n'
        '[tensors.d]\nshape = [0]\ndtype = "bfloat16"\n'
    )
    kinds = {"a.b": ("F32", (2, 3)), "c": ("BF16", ()), "d": ("BF16", (0,))}
    assert tensors_like(path) == kinds
    for name in ("bool", "uint8", "int64", "float16", "float64", "complex64", "float8_e4m3fn"):
        path.write_text(f'[tensors]\na = {{ shape = [2], dtype = "{name}" }}')
        ((dtype, _),) = tensors_like(path).values()
        assert np.dtype(name).itemsize * 8 == DTYPES[dtype].bits
        path.write_text(f'[tensors]\na = {{ shape = [2], dtype = "torch.{name}" }}')
        assert tensors_like(path) == {"a": (dtype, (2,))}
    path.write_text("[tensors]\n")
    assert tensors_like(path) == {}


@pytest.mark.parametrize(
    ("dtype", "suggestion"),
    [
        ("fp32", "float32"),
        ("FP32", "float32"),
        ("f32", "float32"),
        ("flaot32", "float32"),
        ("Float32", "float32"),
        ("torch.float", "float32"),
        ("single", "float32"),
        ("float-32", "float32"),
        ("fp16", "float16"),
        ("half", "float16"),
        ("torch.half", "float16"),
        ("bf16", "bfloat16"),
        ("fp64", "float64"),
        ("double", "float64"),
        ("torch.long", "int64"),
        ("i32", "int32"),
        ("e4m3", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_other_names_of_dtypes(tmp_path, dtype, suggestion):
    """The right name first; then the names that most people need, before any other."""
    path = tmp_path / "like.toml"
    path.write_text(f'[tensors]\na = {{ shape = [2], dtype = "{dtype}" }}')
    with pytest.raises(CheckpointError) as raised:
        tensors_like(path)
    hint = f"did you mean '{suggestion}'? It" if suggestion else "it"
    usual = [*FLOATS, "int8", "int16", "int32", "int64"]
    assert str(raised.value).startswith(
        f"{path}: tensor 'a' has dtype '{dtype}'; {hint} must be one of "
        + ", ".join(map(repr, usual))
    )


@pytest.mark.parametrize(
    "dtype", [np.float32, np.dtype("f4"), np.dtype(">f4"), "F32", "float32", "torch.float32"]
)
def test_dtypes_of_a_mapping(tmp_path, dtype):
    """Names as in a list, and dtypes themselves."""
    init_checkpoint(tmp_path / "out", PLAN, {"a": (dtype, (2,))}, seed=1)
    assert tensors_like_file(tmp_path / "out") == {"a": ("F32", (2,))}


@pytest.mark.parametrize("code", sorted(code for code in DTYPES if DTYPES[code].numpy))
def test_every_dtype_of_a_mapping(tmp_path, code):
    """By its name, its dtype and its class, of NumPy or ml_dtypes."""
    name = DTYPES[code].numpy
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    for given in (name, dtype, dtype.type):
        init_checkpoint(tmp_path / "out", Plan([Rule("*", "zeros")]), {"a": (given, [3])}, seed=1)
        assert tensors_like_file(tmp_path / "out") == {"a": (code, (3,))}


def test_dtypes_of_torch_in_a_mapping(tmp_path):
    torch = pytest.importorskip("torch")
    like = {"a": (torch.bfloat16, torch.Size([2, 3])), "b": (torch.float32, torch.ones(4).shape)}
    init_checkpoint(tmp_path / "out", PLAN, like, seed=1)
    assert tensors_like_file(tmp_path / "out") == {"b": ("F32", (4,)), "a": ("BF16", (2, 3))}


@pytest.mark.parametrize(
    "shape", [(np.int64(3), np.uint8(2)), [np.int32(3), 2], tuple(np.array([3, 2]))]
)
def test_integers_of_numpy_in_a_shape(tmp_path, shape):
    """The same file as with Python's."""
    init_checkpoint(tmp_path / "out", PLAN, {"a": ("float32", shape)}, seed=1)
    init_checkpoint(tmp_path / "same", PLAN, {"a": ("float32", (3, 2))}, seed=1)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "same").read_bytes()


def tensors_like_file(path):
    return {name: one[:2] for name, one in read_header(path).tensors.items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tensors]\na = {", "at end of document|line 2"),
        ("[tensors]\na = = 3\n", "at line 2, column 5"),
        ("a = " + "[" * 100_000, "nested too deeply|at end of document"),
        ("", r"\[tensors\]"),
        ("[tensor]\n", r"it has tensor; it must have one table, \[tensors\]"),
        ("tensors = 3", r"\[tensors\]"),
        ("[tensors]\n[more]\n", "more"),
        ("[tensors]\na.b = { shape = [2], dtype = 'F32' }", "quote"),
        ("[tensors]\na = { shape = [2] }", "'a'"),
        ("[tensors]\na = { shape = [2], dtype = 'F32', x = 1 }", "'a'"),
        ("[tensors]\na = [2]", "'a'"),
        ("[tensors]\na = { shape = [2], dtype = 'F31' }", "'F31'.*'float32'"),
        ("[tensors]\na = { shape = [2], dtype = 32 }", "dtype 32; it must be one of 'float32'"),
        ("[tensors]\na = { shape = [-2], dtype = 'F32' }", r"\[-2\]"),
        ("[tensors]\na = { shape = 2, dtype = 'F32' }", "shape 2"),
        (f"[tensors]\na = {{ shape = {[1] * 65}, dtype = 'F32' }}", "'a' has 65 axes"),
        (f"[tensors]\na = {{ shape = {[0, 2**62, 2**62]}, dtype = 'U8' }}", "'a' of shape .*2.*63"),
        ("[tensors]\na = { shape = [2.0], dtype = 'F32' }", r"\[2.0\]"),
        ("# \xff", "UTF-8"),
    ],
    ids=lambda x: repr(x)[:50],
)
def test_list_that_is_wrong(tmp_path, text, message):
    path = tmp_path / "like.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=message) as raised:
        tensors_like(path)
    assert str(path) in str(raised.value)


def test_file_of_another_kind(tmp_path):
    for name in ("model.bin", "model", "model.toml.gz"):
        with pytest.raises(CheckpointError, match=r"\.safetensors"):
            tensors_like(tmp_path / name)
    for name in ("a.safetensors", "a.json", "a.toml"):
        with pytest.raises(FileNotFoundError):
            tensors_like(tmp_path / name)
