"""One golden line through everything that fastxavier is used from: the same bytes.

The other tests of each adapter have more lines; this one has them side by side.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from importlib.util import find_spec

import golden
import numpy as np
import pytest

import fastxavier as fx
from fastxavier.plans import Plan, Rule

CASES = [("normal", "float32"), ("truncated_wide", "float16")]
LINES = golden.parsed((golden.DATA / "golden.txt").read_text(encoding="ascii"))
SHAPE = (golden.COUNT,)
KEY = {"seed": golden.SEED, "stream": golden.STREAM}
KERAS = """
import sys
import golden, keras, fastxavier as fx, fastxavier.keras as fk
name, dtype = sys.argv[1:]
distribution, _, _ = golden.parsed((golden.DATA / "golden.txt").read_text())[name, dtype]
zeros = keras.ops.zeros(golden.COUNT, dtype=dtype)
layer = keras.layers.Layer()
layer.weight = keras.Variable(zeros, dtype=dtype, name=golden.STREAM)
fk.init_(layer, fx.Plan([fx.Rule("*", distribution)]), seed=golden.SEED)
print(golden.digest(keras.ops.convert_to_numpy(layer.weight)))
"""


def with_numpy(distribution, dtype, folder):
    return fx.fill_(np.empty(SHAPE, dtype), distribution, **KEY)


def with_torch(distribution, dtype, folder):
    torch = pytest.importorskip("torch")
    return fx.fill_(torch.empty(SHAPE, dtype=getattr(torch, dtype)), distribution, **KEY).numpy()


def with_jax(distribution, dtype, folder):
    pytest.importorskip("jax")
    from fastxavier.jax import Initializer

    init = Initializer(distribution, dtype).named(golden.SEED, golden.STREAM)
    return np.asarray(init(None, SHAPE))


def with_jax_jit(distribution, dtype, folder):
    jax = pytest.importorskip("jax")
    from fastxavier.jax import Initializer

    init = Initializer(distribution, dtype).named(golden.SEED, golden.STREAM)
    return np.asarray(jax.jit(lambda: init(None, SHAPE))())


def with_dask(distribution, dtype, folder):
    pytest.importorskip("dask.array")
    from fastxavier.dask import random

    return random(distribution, SHAPE, 70001, dtype, **KEY).compute()


def with_zarr(distribution, dtype, folder):
    zarr = pytest.importorskip("zarr", minversion="3.1.2")
    from fastxavier.zarr import fill

    array = zarr.create_array(folder / "array", shape=SHAPE, chunks=(70001,), dtype=dtype)
    fill(array, distribution, **KEY)
    return array[:]


def with_the_command(distribution, dtype, folder):
    from safetensors.numpy import load_file

    Plan([Rule("*", distribution)]).save(folder / "plan.toml")
    (folder / "like.toml").write_text(
        f'[tensors]\n"{golden.STREAM}" = {{ shape = [{golden.COUNT}], dtype = "{dtype}" }}\n'
    )
    command = ["init", "plan.toml", "--like", "like.toml", "-o", "w.safetensors"]
    command += ["--seed", golden.SEED]
    subprocess.run([sys.executable, "-m", "fastxavier", *map(str, command)], cwd=folder, check=True)
    return load_file(folder / "w.safetensors")[golden.STREAM]


WAYS = [with_numpy, with_torch, with_jax, with_jax_jit, with_dask, with_zarr, with_the_command]


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_way(way, case, tmp_path):
    distribution, digest, _ = LINES[case]
    assert golden.digest(way(distribution, case[1], tmp_path)) == digest


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_with_keras(backend, case):
    pytest.importorskip("keras")
    if not find_spec(backend):
        pytest.skip(f"could not import {backend!r}: it is not installed")
    here = pathlib.Path(__file__).parent
    paths = os.pathsep.join([str(here / "support"), str(here.parent)])
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": paths,
    }
    command = [sys.executable, "-c", KERAS, *case]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [LINES[case][1]]
