"""docs/jax.md: its blocks run and do what the page says."""

import importlib
import re
import warnings

import numpy as np
import pytest
from test_docs import ROOT, page

jax = pytest.importorskip("jax")

from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402
from jax_cases import mesh_of, same  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax  # noqa: E402

KEY = jax.random.key(7)


def block(word):
    blocks = re.findall(r"^```python\n(.*?)^```", page("jax.md"), re.S | re.M)
    (found,) = [one for one in blocks if word in one]
    return found


def names(**given):
    init = fastxavier.jax.glorot_normal()
    basic = {"jax": jax, "fx": fx, "fastxavier": fastxavier, "np": np, "init": init, "key": KEY}
    shardings = {"NamedSharding": NamedSharding, "PartitionSpec": PartitionSpec}
    return {**basic, **shardings, "mesh": mesh_of(8), **given}


def imported(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def test_one_line():
    given = names()
    exec(block("instead of: from jax.nn"), given)
    law = fx.glorot_truncated_normal(layout="jax")
    assert same(given["w"], fx.draw((784, 256), law, seed=7))


def test_layers():
    nnx, linen = imported("flax.nnx"), imported("flax.linen")
    first, second = block("nn.Dense").splitlines()
    assert eval(first, names(nnx=nnx)).kernel[...].shape == (784, 256)
    params = eval(second, names(nn=linen)).init(KEY, np.ones((1, 784), np.float32))
    assert params["params"]["kernel"].shape == (784, 256)
    named = eval(block(".named(7,"), names(nnx=nnx)).kernel[...]
    law = fx.he_truncated_normal(layout="jax")
    assert same(named, fx.draw((784, 256), law, seed=7, stream="fc1.kernel"))


def test_vmap():
    given = names()
    exec(block("many ="), given)
    assert same(given["many"][1], given["init"](jax.random.split(KEY, 3)[1], (784, 256)))


def test_shards():
    given = names()
    made = []
    for line in block("# compiled").splitlines():
        exec(line, given)
        made.append(given.get("w"))
    expected = given["init"](KEY, (784, 256))
    assert same(made[1], expected)
    assert same(made[2], expected)
    law = fx.he_normal(layout="jax")
    assert same(made[3], fx.draw((784, 256), law, seed=7, stream="fc1.kernel"))
    assert all(w.sharding.spec == PartitionSpec("x", "y") for w in made[1:])
    exec(block("part ="), given)
    assert same(given["part"](KEY), expected)


def test_models():
    nnx = imported("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.fc = nnx.Linear(16, 8, rngs=rngs)

    plan = fx.default_plan()
    given = names(nnx=nnx, Model=Model, plan=plan)
    exec(block("nnx.eval_shape"), {**given, "sharding": NamedSharding(mesh_of(8), PartitionSpec())})
    shapes = {"fc": {"kernel": jax.ShapeDtypeStruct((64, 64), "float32")}}
    given["params"] = fastxavier.jax.init_(shapes, plan, seed=7)
    exec(block("fx.verify"), given)


def test_export():
    exported = jax.export.export(
        jax.jit(lambda key: fastxavier.jax.normal()(key, (3,))),
        disabled_checks=[jax.export.DisabledSafetyCheck.custom_call("fastxavier_fill")],
    )
    assert exported(jax.random.PRNGKey(7)).call(jax.random.PRNGKey(7)).shape == (3,)


def test_reference():
    """Every public name that is not one of jax.nn.initializers is in the reference."""
    text = (ROOT / "docs" / "api.rst").read_text()
    listed = set(re.findall(r"^   jax\.(\S+)$", text, re.M))
    own = set(fastxavier.jax.__all__) - (set(dir(jax.nn.initializers)) - {"Initializer"})
    assert own == listed
    for name in listed:
        assert getattr(importlib.import_module("fastxavier.jax"), name).__doc__
