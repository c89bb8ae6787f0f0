"""Initializers inside of jit, vmap, shard_map and the rest: the bits that they have outside."""

from __future__ import annotations

import re

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from jax import random  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402
from jax_cases import FLOATS, SPECS, mesh_of, same  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax as fj  # noqa: E402

KEY = random.key(7)
INITS = {
    "uniform": fj.glorot_uniform(),
    "truncated": fj.glorot_normal(),
    "normal": fj.normal(),
    "any truncation": fj.truncated_normal(2.0, lower=-1.0, upper=3.0),
    "constant": fj.Initializer(fx.Constant(0.5)),
    "orthogonal": fj.orthogonal(),
    "sparse": fj.Initializer(fx.Sparse(0.5)),
}
DRAWN = {name: init for name, init in INITS.items() if name not in ("orthogonal", "sparse")}
SHAPE = (16, 24)
KINDS = [AxisType.Auto, AxisType.Explicit]


def calls_in(function, *arguments):
    """The shapes of the results of our custom calls, as XLA has compiled them for one device."""
    text = function.lower(*arguments).compile().as_text()
    found = re.findall(r"\w+\[([\d,]*)\]\S* custom-call\(.*fastxavier_fill", text)
    return [tuple(map(int, shape.split(","))) for shape in found]


# ---- one device ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", INITS)
def test_jit(name, dtype):
    init = INITS[name]
    expected = init(KEY, SHAPE, dtype)
    assert same(jax.jit(lambda key: init(key, SHAPE, dtype))(KEY), expected)
    assert same(jax.jit(lambda: init(KEY, SHAPE, dtype))(), expected)  # a key that is not traced
    raw = random.key_data(KEY)
    assert same(jax.jit(lambda key: init(key, SHAPE, dtype))(raw), expected)


def test_float64():
    with jax.enable_x64(True):
        for name in ("normal", "orthogonal"):
            init = INITS[name]
            found = jax.jit(lambda key, init=init: init(key, SHAPE))(KEY)
            assert found.dtype == np.float64
            assert same(found, init(KEY, SHAPE))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 5), (1,), (2,) * 9])
def test_any_shape(shape):
    init = fj.normal()
    assert same(jax.jit(lambda key: init(key, shape))(KEY), init(KEY, shape))


@pytest.mark.parametrize("name", INITS)
def test_vmap_draws_each_as_if_alone(name):
    init = INITS[name]
    keys = random.split(KEY, 6)
    expected = np.stack([np.asarray(init(key, (4, 5))) for key in keys])
    one = lambda key: init(key, (4, 5))  # noqa: E731
    assert same(jax.vmap(one)(keys), expected)
    assert same(jax.jit(jax.vmap(one))(keys), expected)
    twice = jax.vmap(jax.vmap(one))
    for found in (twice(keys.reshape(2, 3)), jax.jit(twice)(keys.reshape(2, 3))):
        assert same(found, expected.reshape(2, 3, 4, 5))
    assert same(jax.vmap(one, out_axes=1)(keys), np.moveaxis(expected, 0, 1))
    assert same(jax.vmap(lambda x: one(KEY) + x)(np.zeros(2, np.float32))[1], one(KEY))


@pytest.mark.parametrize("name", INITS)
def test_inside_of_other_transformations(name):
    init = INITS[name]
    keys = random.split(KEY, 3)
    expected = np.stack([np.asarray(init(key, (4, 5))) for key in keys])

    def step(carry, key):
        return carry, init(key, (4, 5))

    assert same(jax.lax.scan(step, 0, keys)[1], expected)
    assert same(jax.lax.map(lambda key: init(key, (4, 5)), keys), expected)
    assert same(jax.checkpoint(lambda key: init(key, (4, 5)))(keys[1]), expected[1])
    chosen = jax.lax.cond(True, lambda key: init(key, (4, 5)), lambda key: expected[0], keys[2])
    assert same(chosen, expected[2])
    gradient = jax.grad(lambda x: (x * init(KEY, (4, 5))).sum())(1.0)
    assert gradient == pytest.approx(float(np.asarray(init(KEY, (4, 5))).sum()), rel=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("first", [0.0, -0.0])
@pytest.mark.parametrize(
    "make",
    [
        fx.Constant,
        lambda zero: fx.Uniform(zero, zero),
        lambda zero: fx.Uniform(-1.0, zero),
        lambda zero: fx.Normal(zero, 1.0),
        lambda zero: fx.Normal(zero, zero),
        lambda zero: fx.TruncatedNormal(zero, 1.0, zero, 1.0),
        lambda zero: fx.he_normal(gain=zero),
        fx.VarianceScaling,
        fx.Identity,
        fx.Orthogonal,
    ],
)
def test_what_was_drawn_before_does_not_matter(make, first, dtype):
    """0.0 == -0.0, and what is equal may share a compiled function."""
    for zero in (first, -first):
        expected = fx.draw((4, 8), make(zero), dtype=dtype, seed=7)
        init = fj.Initializer(make(zero), dtype)
        assert same(jax.jit(init, static_argnums=1)(KEY, (4, 8)), expected)
        assert same(jax.jit(lambda key, init=init: init(key, (4, 8)))(KEY), expected)
        if isinstance(make(zero), fx.Constant):
            made = jax.jit(fj.constant(zero, dtype), static_argnums=(0, 1))(None, (4, 8))
            assert same(made, expected)


@pytest.mark.parametrize("shape", [(), (4, 4), (0, 3)])
def test_many_keys_at_once(shape):
    """Small tensors in one call, without a compiled function."""
    for init in (fj.normal(), fj.Initializer(fx.TruncatedNormal()), fj.Initializer(fx.Constant(2))):
        keys = random.split(KEY, 300)
        found = jax.vmap(lambda key, init=init: init(key, shape))(keys)
        assert found.shape == (300, *shape)
        for lane in (0, 1, 150, 299):
            assert same(found[lane], init(keys[lane], shape))


def test_many_keys_take_one_call(monkeypatch):
    calls = []
    monkeypatch.setattr(fj._draw.Tensor, "write", lambda *what: calls.append(what))
    jax.vmap(lambda key: fj.normal()(key, (4, 4)))(random.split(KEY, 300))
    assert not calls


def test_eval_shape_draws_nothing(monkeypatch):
    def fail(*what):
        raise AssertionError("a value was drawn")

    monkeypatch.setattr(fj._draw.Tensor, "write", fail)
    found = jax.eval_shape(lambda key: fj.he_normal()(key, (1 << 20, 1 << 20), "bfloat16"), KEY)
    assert (found.shape, found.dtype) == ((1 << 20, 1 << 20), jax.numpy.bfloat16)


def test_the_values_are_not_constants_of_the_program():
    text = jax.jit(lambda: fj.normal()(KEY, (1000, 1000))).lower().as_text()
    assert len(text) < 20_000


def test_export():
    check = jax.export.DisabledSafetyCheck.custom_call("fastxavier_fill")
    function = jax.jit(lambda key: fj.normal()(key, (3, 5)))
    exported = jax.export.export(function, disabled_checks=[check])(random.PRNGKey(7))
    assert same(exported.call(random.PRNGKey(7)), fj.normal()(KEY, (3, 5)))


def test_a_device_without_a_handler_is_named():
    function = jax.jit(lambda key: fj.normal()(key, (3,)))
    with pytest.raises(NotImplementedError, match=r"on CPUs only; .*fastxavier.jax.draw"):
        function.trace(KEY).lower(lowering_platforms=("cuda",))


def test_xla_raises_what_the_handler_refuses():
    """A call that no initializer makes: words for two axes, and a result with one."""
    call = jax.ffi.ffi_call("fastxavier_fill", jax.ShapeDtypeStruct((3,), np.float32))
    with pytest.raises(jax.errors.JaxRuntimeError, match="the words are not uint32"):
        jax.block_until_ready(jax.jit(call)(np.zeros(4, np.uint32)))
    with pytest.raises(jax.errors.JaxRuntimeError, match="an attribute is missing"):
        jax.block_until_ready(jax.jit(call)(np.zeros(3, np.uint32)))


# ---- several devices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "kind"),
    [*((count, AxisType.Auto) for count in (1, 2, 4, 8)), (8, AxisType.Explicit)],
)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_shards_are_those_of_the_whole(devices, spec, kind):
    sharding = NamedSharding(mesh_of(devices, kind), spec)
    shard = sharding.shard_shape(SHAPE)
    init = fj.glorot_normal()
    expected = init(KEY, SHAPE)

    found = init(KEY, SHAPE, out_sharding=sharding)
    assert same(found, expected)
    assert found.sharding == sharding

    inside = jax.jit(lambda key: init(key, SHAPE, out_sharding=sharding))
    assert same(inside(KEY), expected)
    assert inside(KEY).sharding.is_equivalent_to(sharding, 2)
    assert calls_in(inside, KEY) == [shard]

    outside = jax.jit(lambda key: init(key, SHAPE), out_shardings=sharding)
    assert same(outside(KEY), expected)
    assert calls_in(outside, KEY) == [shard]

    mapped = jax.shard_map(
        lambda key: init(key, SHAPE, out_sharding=spec),
        mesh=sharding.mesh,
        in_specs=P(),
        out_specs=spec,
    )
    assert same(mapped(KEY), expected)
    assert same(jax.jit(mapped)(KEY), expected)
    assert calls_in(jax.jit(mapped), KEY) == [shard]


@pytest.mark.parametrize("name", INITS)
def test_every_initializer_in_shards(name):
    init = INITS[name]
    spec = P("x", "y")
    sharding = NamedSharding(mesh_of(8), spec)
    expected = init(KEY, SHAPE, "bfloat16")
    for found in (
        init(KEY, SHAPE, "bfloat16", sharding),
        jax.jit(lambda key: init(key, SHAPE, "bfloat16", sharding))(KEY),
        jax.jit(lambda key: init(key, SHAPE, "bfloat16"), out_shardings=sharding)(KEY),
        jax.shard_map(
            lambda key: init(key, SHAPE, "bfloat16", spec),
            mesh=sharding.mesh,
            in_specs=P(),
            out_specs=spec,
        )(KEY),
    ):
        assert same(found, expected)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_in_the_context_of_a_mesh(spec, kind):
    init = fj.glorot_normal()
    expected = init(KEY, SHAPE)
    place = jax.lax.with_sharding_constraint if kind == AxisType.Auto else jax.sharding.reshard
    with jax.set_mesh(mesh_of(8, kind)):
        assert same(init(KEY, SHAPE, out_sharding=spec), expected)
        assert same(jax.jit(lambda key: init(key, SHAPE, out_sharding=spec))(KEY), expected)
        assert same(jax.jit(lambda key: init(key, SHAPE))(KEY), expected)
        assert same(jax.jit(lambda key: place(init(key, SHAPE), spec))(KEY), expected)


def test_where_a_shard_has_less_than_the_others():
    init = fj.normal()
    for axes, shape in ((P("x"), (10, 3)), (P(None, ("x", "y")), (3, 11)), (P("x"), (1,))):
        sharding = NamedSharding(mesh_of(8), axes)

        def placed(key, shape=shape, sharding=sharding):
            return jax.lax.with_sharding_constraint(init(key, shape), sharding) * 1

        assert same(jax.jit(placed)(KEY), init(KEY, shape))


@pytest.mark.parametrize("name", DRAWN)
def test_keys_in_shards(name):
    """Each device draws for its own keys; and a part for each of many keys."""
    init = DRAWN[name]
    mesh = mesh_of(8)
    keys = random.split(KEY, 8)
    expected = np.stack([np.asarray(init(key, SHAPE)) for key in keys])
    many = jax.vmap(lambda key: init(key, SHAPE))
    placed = jax.device_put(keys, NamedSharding(mesh, P("x")))
    assert same(many(placed), expected)
    assert same(jax.jit(many)(placed), expected)
    if name != "constant":
        assert calls_in(jax.jit(many), placed) == [(2, *SHAPE)]
    both = NamedSharding(mesh, P("x", None, "y"))
    assert same(jax.jit(many, out_shardings=both)(placed), expected)
    inner = jax.vmap(lambda key: init(key, SHAPE, out_sharding=NamedSharding(mesh, P(None, "y"))))
    assert same(jax.jit(inner)(keys), expected)
    mapped = jax.shard_map(many, mesh=mesh, in_specs=P("x"), out_specs=P("x"))
    assert same(jax.jit(mapped)(keys), expected)


def test_the_result_is_where_its_key_is():
    device = jax.devices()[3]
    init = fj.normal()
    assert init(jax.device_put(KEY, device), (4, 4)).devices() == {device}
    replicated = NamedSharding(mesh_of(8), P())
    found = init(jax.device_put(KEY, replicated), (4, 4))
    assert found.sharding == NamedSharding(mesh_of(8), P(None, None))
    assert same(found, init(KEY, (4, 4)))


def test_constants_in_shards():
    sharding = NamedSharding(mesh_of(8), P("x"))
    for found in (
        fj.ones(KEY, (8, 3), "int32", sharding),
        jax.jit(lambda: fj.ones(None, (8, 3), "int32", sharding))(),
    ):
        assert found.sharding.is_equivalent_to(sharding, 2)
        assert np.array_equal(found, np.ones((8, 3), np.int32))
    mapped = jax.shard_map(
        lambda key: fj.ones(key, (8, 3), out_sharding=P("x")),
        mesh=sharding.mesh,
        in_specs=P(),
        out_specs=P("x"),
    )
    assert np.array_equal(mapped(KEY), np.ones((8, 3)))


@pytest.mark.parametrize(
    ("out_sharding", "match"),
    [
        (lambda: P("x"), "without a mesh; enter one with jax.set_mesh"),
        (lambda: 3, "out_sharding is 3; it must be a NamedSharding or a PartitionSpec"),
        (lambda: NamedSharding(mesh_of(8), P("x", "y")), r"not one for shape \(9,\)"),
        (lambda: NamedSharding(mesh_of(8), P("x")), r"not one for shape \(9,\)"),
    ],
)
@pytest.mark.parametrize("init", [fj.normal(), fj.zeros], ids=repr)
def test_errors(init, out_sharding, match):
    for call in (init, jax.jit(init, static_argnums=(1, 2, 3))):
        with pytest.raises(fx.ArgumentError, match=match):
            call(KEY, (9,), "float32", out_sharding())


@pytest.mark.parametrize("init", [fj.normal(), fj.zeros], ids=repr)
def test_meshes_that_do_not_fit(init):
    mesh = mesh_of(8)
    abstract = NamedSharding(mesh.abstract_mesh, P("x"))
    for call in (
        lambda: init(KEY, (8,), out_sharding=abstract),
        lambda: fj.draw((8,), "zeros", seed=7, sharding=abstract),
        lambda: fj.init_(
            {"bias": jax.ShapeDtypeStruct((8,), "float32")}, seed=7, shardings=abstract
        ),
    ):
        with pytest.raises(fx.ArgumentValueError, match=r"shardings? is .*mesh has no devices"):
            call()
    with jax.set_mesh(mesh):
        assert same(jax.jit(lambda: init(KEY, (8,), out_sharding=abstract))(), init(KEY, (8,)))
        for call in (init, jax.jit(init, static_argnums=(1, 2, 3))):
            with pytest.raises(fx.ArgumentValueError, match=r"out_sharding is P\('z',\), not one"):
                call(KEY, (8,), "float32", P("z"))


def test_what_shard_map_cannot_cut():
    def mapped(spec):
        return jax.shard_map(
            lambda key: fj.normal()(key, (9, 8), out_sharding=spec),
            mesh=mesh_of(8),
            in_specs=P(),
            out_specs=spec,
        )

    for spec in (P("x"), P(None, None, "y")):
        with pytest.raises(fx.ArgumentValueError, match=r"does not cut shape \(9, 8\)"):
            mapped(spec)(KEY)
