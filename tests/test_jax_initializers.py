"""The names of jax.nn.initializers: their signatures, their distributions, and our bits."""

from __future__ import annotations

import inspect
import math
import pickle
from functools import partial

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import random  # noqa: E402
from jax.nn import initializers as theirs  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax_cases import FLOATS, SPECS, mesh_of, same  # noqa: E402
from scipy.stats import ks_2samp, kstest  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax as fj  # noqa: E402

KEY = random.key(7)
NAMES = [name for name in dir(theirs) if not name.startswith("_") and name != "Initializer"]
SCALED = [
    (mode, distribution)
    for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
    for distribution in ("truncated_normal", "normal", "uniform")
]
DISTRIBUTIONS = {
    **{
        name: partial(lambda name, module: getattr(module, name)(), name)
        for name in NAMES
        if name.startswith(("glorot", "xavier", "he_", "kaiming", "lecun"))
    },
    **{
        f"{mode}, {distribution}": partial(
            lambda mode, distribution, module: module.variance_scaling(1.7, mode, distribution),
            mode,
            distribution,
        )
        for mode, distribution in SCALED
    },
    "axes": lambda module: module.variance_scaling(
        2.0, "fan_in", "uniform", in_axis=0, out_axis=(1, 3), batch_axis=2
    ),
    "uniform": lambda module: module.uniform(3.0),
    "normal": lambda module: module.normal(0.3),
    "truncated_normal": lambda module: module.truncated_normal(0.3, lower=-1.0, upper=2.5),
    "truncated_normal by default": lambda module: module.truncated_normal(),
}
SHAPE = (3, 5, 40, 50)


def test_all_names_are_there():
    assert set(NAMES) <= set(fj.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_those_of_jax(name):
    ours, other = getattr(fj, name), getattr(theirs, name)
    if name in ("zeros", "ones"):  # which are called with a key
        ours = ours.__call__
    found = [(p.name, p.default) for p in inspect.signature(ours).parameters.values()]
    expected = [(p.name, p.default) for p in inspect.signature(other).parameters.values()]
    assert found == expected


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distributions_are_those_of_jax(distribution):
    """The two samples have one distribution, and ours has its moments and bounds."""
    ours = np.asarray(DISTRIBUTIONS[distribution](fj)(KEY, SHAPE), np.float64).ravel()
    other = np.asarray(DISTRIBUTIONS[distribution](theirs)(KEY, SHAPE), np.float64).ravel()
    assert ks_2samp(ours, other).pvalue > 1e-4
    # Five standard errors of a mean, and of a std of at most that of a normal.
    deviation = other.std()
    assert abs(ours.mean() - other.mean()) < 5 * deviation * math.sqrt(2 / ours.size)
    assert abs(ours.std() - deviation) < 5 * deviation / math.sqrt(ours.size)
    if (
        "normal" not in distribution
        or "truncated" in distribution
        or "_normal" in distribution.split(",")[0]
    ):
        # Bounded: of so many values the extreme ones are within a hundredth of each other.
        width = other.max() - other.min()
        assert abs(ours.max() - other.max()) < 0.01 * width
        assert abs(ours.min() - other.min()) < 0.01 * width


EQUAL = {
    "glorot_uniform": fx.glorot_uniform(layout="jax"),
    "glorot_normal": fx.glorot_truncated_normal(layout="jax"),
    "he_uniform": fx.he_uniform(layout="jax"),
    "he_normal": fx.he_truncated_normal(layout="jax"),
    "lecun_uniform": fx.lecun_uniform(layout="jax"),
    "lecun_normal": fx.lecun_truncated_normal(layout="jax"),
    "uniform": fx.Uniform(0, 0.01),
    "normal": fx.Normal(0, 0.01),
    "truncated_normal": fx.TruncatedNormal(0, 0.01, -2, 2),
    "orthogonal": fx.Orthogonal(layout="jax"),
    "delta_orthogonal": fx.DeltaOrthogonal(layout="jax"),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", EQUAL)
def test_the_bits_are_those_of_fill(name, dtype):
    init = getattr(fj, name)()
    expected = fx.draw((3, 8, 16), EQUAL[name], dtype=dtype, seed=7)
    assert same(init(KEY, (3, 8, 16), dtype), expected)
    assert same(init(random.PRNGKey(7), (3, 8, 16), jnp.dtype(dtype)), expected)
    assert same(getattr(fj, name)(dtype=dtype)(KEY, (3, 8, 16)), expected)


def test_aliases():
    assert fj.xavier_normal is fj.glorot_normal
    assert fj.xavier_uniform is fj.glorot_uniform
    assert fj.kaiming_normal is fj.he_normal
    assert fj.kaiming_uniform is fj.he_uniform


def test_named_is_what_plans_give():
    arrays = {"enc.0.kernel": np.empty((8, 16), np.float32), "enc.0.bias": np.empty(16, np.float32)}
    plan = fx.Plan(
        [fx.Rule("*.kernel", "he_truncated_normal"), fx.Rule("*.bias", "uniform", low=0, high=1)]
    )
    fx.init_(arrays, plan, seed=7)
    assert same(fj.he_normal().named(7, "enc.0.kernel")(None, (8, 16)), arrays["enc.0.kernel"])
    assert same(fj.uniform(1.0).named(7, "enc.0.bias")(KEY, (16,)), arrays["enc.0.bias"])
    compiled = jax.jit(lambda: fj.he_normal().named(7, "enc.0.kernel")(None, (8, 16)))
    assert same(compiled(), arrays["enc.0.kernel"])


@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("init", [fj.zeros, fj.ones, fj.constant(0.1)], ids=repr)
def test_constants_have_any_dtype(init, dtype):
    value = init.initializer.value
    expected = theirs.constant(value)(KEY, (2, 3), jnp.dtype(dtype))
    for found in (init(None, (2, 3), dtype), jax.jit(lambda: init(None, (2, 3), dtype))()):
        assert found.dtype == expected.dtype
        assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("dtype", [None, *FLOATS, "complex64"])
@pytest.mark.parametrize(
    "value",
    [np.inf, -np.inf, np.nan, 1e9, -1e30, np.arange(3.0), jnp.arange(6.0).reshape(2, 3)],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_constants_that_no_distribution_holds(value, dtype):
    """As in jax."""
    expected = theirs.constant(value)(KEY, (2, 3), dtype or jnp.float32)
    init = fj.constant(value)
    for found in (init(None, (2, 3), dtype), jax.jit(lambda: init(None, (2, 3), dtype))()):
        assert same(found, expected)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_arrays_as_constants_in_shards(spec, kind):
    init = fj.constant(jnp.arange(16.0))
    expected = np.broadcast_to(np.arange(16, dtype=np.float32), (8, 16))
    sharding = NamedSharding(mesh_of(8, kind), spec)
    mapped = jax.shard_map(
        lambda: init(None, (8, 16), out_sharding=spec),
        mesh=sharding.mesh,
        in_specs=(),
        out_specs=spec,
    )
    for call in (
        lambda: init(None, (8, 16), out_sharding=sharding),
        jax.jit(lambda: init(None, (8, 16), out_sharding=sharding)),
        mapped,
    ):
        assert same(call(), expected)
        assert call().sharding.is_equivalent_to(sharding, 2)


def test_complex_constants():
    expected = theirs.constant(1j)(KEY, (2, 3), jnp.complex64)
    assert np.array_equal(fj.constant(1j)(None, (2, 3), "complex64"), expected)


def test_constants_may_be_traced():
    assert jax.jit(lambda value: fj.constant(value)(None, (2,)))(3.0).tolist() == [3.0, 3.0]
    assert jax.grad(lambda value: fj.constant(value)(None, (2,)).sum())(3.0) == 2.0


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("stddev", fj.normal),
        ("stddev", fj.truncated_normal),
        ("lower", lambda bound: fj.truncated_normal(lower=bound)),
        ("scale", fj.uniform),
        ("scale", fj.orthogonal),
        ("scale", fj.delta_orthogonal),
        ("scale", lambda scale: fj.variance_scaling(scale, "fan_in", "normal")),
    ],
)
def test_what_is_not_a_number(name, make):
    with pytest.raises(fx.ArgumentTypeError, match=f"{name} is a tracer of jax; it must be a num"):
        jax.jit(lambda value: make(value)(KEY, (3, 3)))(1.0)
    for value in ("a", jnp.arange(3.0)):
        with pytest.raises(fx.ArgumentTypeError, match=f"{name} is "):
            make(value)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 5, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
def test_orthogonal_along_any_axis(shape, axis):
    found = np.asarray(fj.orthogonal(2.0, column_axis=axis)(KEY, shape), np.float64)
    matrix = np.moveaxis(found, axis, -1).reshape(-1, shape[axis]) / 2
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    # The decomposition is of double precision; each entry is rounded once to float32.
    assert np.abs(matrix.T @ matrix - np.eye(matrix.shape[1])).max() < 4e-7
    initializer = fj.orthogonal(2.0, column_axis=axis).initializer
    assert initializer.deviation(found.astype(np.float32)) <= initializer.tolerance(
        found.astype(np.float32)
    )


def test_delta_orthogonal():
    found = np.asarray(fj.delta_orthogonal(column_axis=0)(KEY, (3, 3, 4, 6)), np.float64)
    middle = found[1, 1]
    assert np.abs(middle @ middle.T - np.eye(4)).max() < 4e-7
    assert np.count_nonzero(found) == 24


# ---- keys ----------------------------------------------------------------------------------------


def test_a_threefry_key_is_a_seed():
    init = fj.normal()
    wide = random.wrap_key_data(np.array([3, 5], np.uint32))
    assert same(init(wide, (9,)), fx.draw((9,), fx.Normal(0, 0.01), seed=3 << 32 | 5))


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_that_differ_have_different_values(impl):
    keys = random.split(random.key(1, impl=impl), 50)
    firsts = {float(fj.normal()(key, (1,))[0]) for key in keys}
    assert len(firsts) == 50
    assert same(fj.normal()(keys[3], (5,)), jax.jit(fj.normal(), static_argnums=1)(keys[3], (5,)))


@pytest.mark.parametrize("words", [1, 3, 4, 5])
def test_raw_keys_of_any_length(words):
    init = fj.normal()
    data = np.arange(words, dtype=np.uint32)
    found = init(data, (9,))
    assert same(found, jax.jit(lambda key: init(key, (9,)))(data))
    for place in range(words):
        other = data.copy()
        other[place] ^= 1
        assert not same(found, init(other, (9,)))


def test_what_is_not_one_key():
    with pytest.raises(fx.ArgumentTypeError, match=r"key is 7, an int; .*jax.random.key\(7\)"):
        fj.normal()(7, (3,))
    with pytest.raises(fx.ArgumentTypeError, match="key is"):
        fj.normal()(jnp.zeros(2), (3,))
    with pytest.raises(fx.ArgumentValueError, match=r"key has shape \(4,\); .*jax.vmap"):
        fj.normal()(random.split(KEY, 4), (3,))
    with pytest.raises(fx.ArgumentValueError, match=r"key has shape \(4, 2\)"):
        fj.normal()(random.key_data(random.split(KEY, 4)), (3,))


# ---- values --------------------------------------------------------------------------------------


def test_an_initializer_is_a_value():
    assert fj.he_normal() == fj.he_normal() != fj.he_normal(dtype="bfloat16")
    assert len({fj.he_normal(), fj.he_normal(), fj.lecun_normal()}) == 2
    init = pickle.loads(pickle.dumps(fj.orthogonal(2.0, column_axis=0, dtype="float16")))
    assert init == fj.orthogonal(2.0, column_axis=0, dtype="float16")


def test_any_initializer_of_fastxavier():
    init = fj.Initializer(fx.Sparse(0.5), "float16")
    assert same(init(KEY, (8, 6)), fx.draw((8, 6), fx.Sparse(0.5), dtype="float16", seed=7))
    assert same(
        fj.Initializer("he_uniform")(KEY, (8, 6)),
        fx.draw((8, 6), fx.he_uniform(layout="jax"), seed=7),
    )


def test_scalar_arrays_are_numbers():
    """jax's tests call it an accidental upcasting if the dtype follows from them."""
    one = jnp.array(1.0, jnp.float32)
    for make in (fj.uniform, fj.normal, fj.truncated_normal):
        assert make(one, jnp.bfloat16)(KEY, (4, 4)).dtype == jnp.bfloat16
    assert fj.uniform(-2.0)(KEY, (50,)).max() < 0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fj.normal()(KEY, (3,), "int32"), "dtype is dtype.'int32'"),
        (lambda: fj.normal()(KEY, (3,), "complex64"), "dtype is dtype.'complex64'"),
        (lambda: fj.glorot_normal()(KEY, (3,)), "fewer than two axes"),
        (lambda: fj.orthogonal()(KEY, (3,)), "shape .3,. is not a matrix"),
        (lambda: fj.orthogonal(column_axis=5)(KEY, (3, 3)), "no axis 5"),
        (lambda: fj.delta_orthogonal(column_axis=5), "column_axis is 5"),
        (lambda: fj.delta_orthogonal()(KEY, (3, 3)), "not that of a convolution"),
        (lambda: fj.normal(-1.0), "std is -1.0"),
        (lambda: fj.normal().named(None, "a"), "seed is None, which no plan"),
        (lambda: fj.variance_scaling(1, "fan", "normal"), "mode is 'fan'"),
        (lambda: fj.normal(1e9)(KEY, (3,), "float16"), "beyond the largest float16"),
        (lambda: jax.jit(lambda: fj.normal(1e9)(KEY, (3,), "float16"))(), "largest float16"),
    ],
)
def test_errors(call, match):
    with pytest.raises(fx.ArgumentError, match=match):
        call()


def test_uniform_is_uniform():
    found = np.asarray(fj.uniform(2.0)(KEY, (10_000,)), np.float64)
    assert kstest(found / 2, "uniform").pvalue > 1e-4
