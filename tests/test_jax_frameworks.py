"""Real layers of flax.nnx, flax.linen, equinox and haiku, initialized with fastxavier.jax."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax.sharding import NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402
from jax_cases import mesh_of, same  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax as fj  # noqa: E402

KEY = jax.random.key(7)
INPUT = np.linspace(-1, 1, 32, dtype=np.float32).reshape(2, 16)


def imported(name):
    """A framework, whose own warnings at import are not ours; skipped by name if it is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def expected(name, shape=(16, 24)):
    return fj.he_normal().named(7, name)(None, shape)


# ---- flax.nnx ------------------------------------------------------------------------------------


def test_nnx_layer():
    nnx = imported("flax.nnx")
    layer = nnx.Linear(
        16, 24, kernel_init=fj.he_normal(), bias_init=fj.normal(0.1), rngs=nnx.Rngs(7)
    )
    theirs = nnx.Rngs(7)
    assert same(layer.kernel[...], fj.he_normal()(theirs.params(), (16, 24)))
    assert same(layer.bias[...], fj.normal(0.1)(theirs.params(), (24,)))
    assert layer(INPUT).shape == (2, 24)


def test_nnx_layer_in_jit_and_vmap():
    nnx = imported("flax.nnx")

    def make(rngs):
        return nnx.Linear(16, 24, kernel_init=fj.he_normal(), rngs=rngs)

    assert same(nnx.jit(make)(nnx.Rngs(7)).kernel[...], make(nnx.Rngs(7)).kernel[...])
    split = nnx.split_rngs(splits=3)(nnx.vmap(make, in_axes=0, out_axes=0))
    stacked = split(nnx.Rngs(7)).kernel[...]
    assert stacked.shape == (3, 16, 24)
    assert len({float(layer[0, 0]) for layer in stacked}) == 3


def test_nnx_named_layers():
    nnx = imported("flax.nnx")
    layer = nnx.Conv(
        4, 8, (3, 3), kernel_init=fj.he_normal().named(7, "conv.kernel"), rngs=nnx.Rngs(1)
    )
    assert same(layer.kernel[...], expected("conv.kernel", (3, 3, 4, 8)))


def test_nnx_model_by_plan():
    nnx = imported("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(16, 24, rngs=rngs), nnx.Linear(24, 8, rngs=rngs)])
            self.norm = nnx.BatchNorm(24, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.layers[1](self.norm(self.layers[0](x)))

    model = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    graph, shapes, rest = nnx.split(model, (nnx.Param, nnx.BatchStat), ...)
    sharding = NamedSharding(mesh_of(8), P())
    state = fj.init_(shapes, seed=7, shardings=sharding)
    leaves = fj.named_leaves(state)
    assert sorted(leaves) == [
        "layers.0.bias", "layers.0.kernel", "layers.1.bias", "layers.1.kernel",
        "norm.bias", "norm.mean", "norm.scale", "norm.var",
    ]  # fmt: skip
    kernel = fx.draw((16, 24), fx.glorot_uniform(layout="jax"), seed=7, stream="layers.0.kernel")
    assert same(leaves["layers.0.kernel"], kernel)
    assert np.array_equal(leaves["norm.var"], np.ones(24))
    made = nnx.merge(graph, state, nnx.state(nnx.Dropout(0.5, rngs=nnx.Rngs(0))) and rest)
    made.norm.use_running_average = True
    assert made(INPUT).shape == (2, 8)


# ---- flax.linen ----------------------------------------------------------------------------------


def test_linen_layer():
    linen = imported("flax.linen")
    layer = linen.Dense(24, kernel_init=fj.he_normal(), bias_init=fj.zeros)
    params = layer.init(KEY, INPUT)
    assert same(jax.jit(layer.init)(KEY, INPUT)["params"]["kernel"], params["params"]["kernel"])
    distribution = fx.he_truncated_normal(layout="jax").for_shape((16, 24))
    assert fx.verify(np.asarray(params["params"]["kernel"]), distribution).ok
    named = linen.Dense(24, kernel_init=fj.he_normal().named(7, "head.kernel"))
    assert same(named.init(KEY, INPUT)["params"]["kernel"], expected("head.kernel"))


def test_linen_model_by_plan():
    linen = imported("flax.linen")
    model = linen.Sequential([linen.Dense(24), linen.LayerNorm(), linen.Dense(8)])
    shapes = jax.eval_shape(model.init, KEY, INPUT)
    norms = fx.Rule("*.scale", "ones")  # a name that does not say what it scales
    params = fj.init_(shapes, fx.Plan([norms, *fx.default_plan().rules]), seed=7)
    assert set(fj.named_leaves(params)) == {
        "params.layers_0.kernel", "params.layers_0.bias", "params.layers_1.scale",
        "params.layers_1.bias", "params.layers_2.kernel", "params.layers_2.bias",
    }  # fmt: skip
    assert model.apply(params, INPUT).shape == (2, 8)


def test_linen_boxes():
    linen = imported("flax.linen")
    model = linen.Dense(24, kernel_init=linen.with_partitioning(fj.he_normal(), ("x", None)))
    boxed = jax.eval_shape(model.init, KEY, INPUT)
    mesh = mesh_of(8)
    shardings = linen.get_sharding(boxed, mesh)
    params = linen.unbox(fj.init_(linen.unbox(boxed), seed=7, shardings=shardings))
    assert params["params"]["kernel"].sharding.spec == P("x", None)
    assert "params.kernel" in fj.named_leaves(boxed)


# ---- equinox -------------------------------------------------------------------------------------


def test_equinox_layer():
    eqx = imported("equinox")
    layer = eqx.nn.Linear(16, 24, key=KEY)
    init = fj.Initializer(fx.he_normal(layout="torch"))  # equinox has (out, in), as torch
    layer = eqx.tree_at(lambda layer: layer.weight, layer, init(KEY, layer.weight.shape))
    assert same(layer.weight, fx.draw((24, 16), fx.he_normal(), seed=7))
    assert layer(INPUT[0]).shape == (24,)


def test_equinox_model_by_plan():
    eqx = imported("equinox")
    shapes = eqx.filter_eval_shape(eqx.nn.MLP, 16, 8, 24, 2, key=KEY)
    model = fj.init_(shapes, seed=7)
    assert same(
        model.layers[0].weight,
        fx.draw((24, 16), fx.glorot_uniform(), seed=7, stream="layers.0.weight"),
    )
    assert model(INPUT[0]).shape == (8,)


# ---- haiku ---------------------------------------------------------------------------------------


def haiku():
    """Haiku, with what its initializers are given: a shape and a dtype, and a key by hk."""
    return imported("haiku")


def test_haiku_layer():
    hk = haiku()

    def drawn(shape, dtype):
        return fj.he_normal()(hk.next_rng_key(), shape, dtype)

    model = hk.transform(lambda x: hk.Linear(24, w_init=drawn)(x))
    params = model.init(KEY, INPUT)
    assert same(jax.jit(model.init)(KEY, INPUT)["linear"]["w"], params["linear"]["w"])
    distribution = fx.he_truncated_normal(layout="jax").for_shape((16, 24))
    assert fx.verify(np.asarray(params["linear"]["w"]), distribution).ok
    assert model.apply(params, None, INPUT).shape == (2, 24)


def test_haiku_model_by_plan():
    hk = haiku()
    model = hk.transform(lambda x: hk.nets.MLP([24, 8])(x))
    shapes = jax.eval_shape(model.init, KEY, INPUT)
    plan = fx.Plan([fx.Rule("*.w", "he_truncated_normal"), fx.Rule("*.b", "zeros")], "jax")
    params = fj.init_(shapes, plan, seed=7)
    assert same(params["mlp/~/linear_0"]["w"], expected("mlp/~/linear_0.w"))
    assert model.apply(params, None, INPUT).shape == (2, 8)


def test_an_optimizer_trains_what_was_drawn():
    """A few steps with donation: memory that is NumPy's is given to jax for good."""
    params = fj.init_(
        {"kernel": jax.ShapeDtypeStruct((16, 24), "float32"),
         "bias": jax.ShapeDtypeStruct((24,), "float32")}, seed=7,
    )  # fmt: skip
    target = jnp.ones((2, 24))

    @jax.jit
    def loss(params):
        return ((INPUT @ params["kernel"] + params["bias"] - target) ** 2).mean()

    step = jax.jit(
        lambda params: jax.tree.map(lambda w, g: w - 0.5 * g, params, jax.grad(loss)(params)),
        donate_argnums=0,
    )
    first = float(loss(params))
    for _ in range(5):
        params = step(params)
    assert float(loss(params)) < 0.5 * first
