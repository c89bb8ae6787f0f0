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


def test_the_page_runs_from_top_to_bottom(capsys):
    """As pasted, block by block."""
    imported("flax.nnx")
    blocks = re.findall(r"^```python\n(.*?)^```", page("jax.md"), re.S | re.M)
    given = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for one in blocks:
            exec(one, given)
    expected = fx.draw((784, 256), fx.he_normal(layout="jax"), seed=7, stream="fc1.kernel")
    assert same(given["w"], expected)
    assert given["model"].fc1.kernel[...].shape == (784, 256)
    assert capsys.readouterr().out


def test_one_line():
    given = names()
    exec(block("instead of: from jax.nn"), given)
    distribution = fx.glorot_truncated_normal(layout="jax")
    assert same(given["w"], fx.draw((784, 256), distribution, seed=7))


def test_layers():
    nnx, linen = imported("flax.nnx"), imported("flax.linen")
    first, second = block("nn.Dense").splitlines()[-2:]
    assert eval(first, names(nnx=nnx)).kernel[...].shape == (784, 256)
    params = eval(second, names(nn=linen)).init(KEY, np.ones((1, 784), np.float32))
    assert params["params"]["kernel"].shape == (784, 256)
    named = eval(block(".named(7,"), names(nnx=nnx)).kernel[...]
    distribution = fx.he_truncated_normal(layout="jax")
    assert same(named, fx.draw((784, 256), distribution, seed=7, stream="fc1.kernel"))


def test_vmap():
    given = names()
    exec(block("many ="), given)
    assert same(given["many"][1], given["init"](jax.random.split(KEY, 3)[1], (784, 256)))


def test_shards():
    given = names()
    made = []
    for line in block("# compiled").splitlines():
        exec(line, given)
        if line.startswith("w = "):
            made.append(given["w"])
    expected = given["init"](KEY, (784, 256))
    assert same(made[0], expected)
    assert same(made[1], expected)
    distribution = fx.he_normal(layout="jax")
    assert same(made[2], fx.draw((784, 256), distribution, seed=7, stream="fc1.kernel"))
    assert all(w.sharding.spec == PartitionSpec("x", "y") for w in made)
    exec(block("part ="), given)
    assert same(given["part"](KEY), expected)


def test_export():
    exported = jax.export.export(
        jax.jit(lambda key: fastxavier.jax.normal()(key, (3,))),
        disabled_checks=[jax.export.DisabledSafetyCheck.custom_call("fastxavier_fill")],
    )
    assert exported(jax.random.PRNGKey(7)).call(jax.random.PRNGKey(7)).shape == (3,)


def test_axes():
    """What the page says of weights of one axis, and of an axis in both fans."""
    found = fastxavier.jax.he_normal(in_axis=[0], out_axis=[])(KEY, (5,))
    distribution = fx.he_truncated_normal().with_fans(5)
    assert same(found, fx.draw((5,), distribution, seed=7))
    for settings in ({"in_axis": [0]}, {"in_axis": [0], "out_axis": [0]}):
        assert jax.nn.initializers.he_normal(**settings)(KEY, (5,)).shape == (5,)
        with pytest.raises(fx.ArgumentError, match="axis"):
            fastxavier.jax.he_normal(**settings)(KEY, (5,))


def test_names_in_strings_are_not_those_of_jax():
    by_name = fastxavier.jax.Initializer("he_normal")(KEY, (8, 6))
    assert same(by_name, fx.draw((8, 6), fx.he_normal(layout="jax"), seed=7))
    truncated = fastxavier.jax.Initializer("he_truncated_normal")(KEY, (8, 6))
    assert same(truncated, fastxavier.jax.he_normal()(KEY, (8, 6)))


def test_reference():
    """Every public name is in the reference."""
    text = (ROOT / "docs" / "api.rst").read_text()
    listed = re.findall(r"^   jax\.(\S+)$", text, re.M)
    assert sorted(fastxavier.jax.__all__) == sorted(listed)
    for name in listed:
        assert getattr(importlib.import_module("fastxavier.jax"), name).__doc__
