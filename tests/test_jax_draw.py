"""`fastxavier.jax.draw`: the bits of `fastxavier.draw`, in one piece and in shards."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax as fj  # noqa: E402

SPECS = [
    PartitionSpec(),
    PartitionSpec("x"),
    PartitionSpec(None, "x"),
    PartitionSpec("x", "y"),
    PartitionSpec("y", "x"),
    PartitionSpec(("y", "x")),
    PartitionSpec(None, ("x", "y")),
]
INITIALIZERS = [
    fx.he_normal(layout="jax"),
    fx.Uniform(-1, 2),
    fx.glorot_truncated_normal(layout="jax"),
    fx.Constant(0.5),
    fx.Identity(),
    fx.Sparse(0.5),
    fx.Orthogonal(layout="jax"),
]


def bits(array):
    array = np.asarray(array)
    return array.view(f"u{array.itemsize}")


def mesh_of(devices):
    across = 2 if devices > 2 else 1
    grid = np.array(jax.devices()[:devices]).reshape(devices // across, across)
    return jax.sharding.Mesh(grid, ("x", "y"))


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
)
def test_the_bits_are_those_of_numpy_without_a_copy(dtype):
    found = fj.draw((33, 65), fx.Normal(0, 0.02), dtype, seed=7, stream="a.kernel")
    expected = fx.draw((33, 65), fx.Normal(0, 0.02), dtype=dtype, seed=7, stream="a.kernel")
    assert found.dtype == expected.dtype
    assert (bits(found) == bits(expected)).all()


@pytest.mark.parametrize("initializer", INITIALIZERS, ids=repr)
@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_shards_are_those_of_the_whole(initializer, spec, devices):
    sharding = NamedSharding(mesh_of(devices), spec)
    found = fj.draw((16, 24), initializer, seed=7, stream="a", sharding=sharding)
    assert found.sharding == sharding
    assert (bits(found) == bits(fx.draw((16, 24), initializer, seed=7, stream="a"))).all()


def test_the_axes_of_inputs_and_outputs_are_those_of_jax():
    found = fj.draw((3, 3, 8, 32), fx.he_normal(), seed=7)
    expected = fx.draw((3, 3, 8, 32), fx.he_normal(layout="jax"), seed=7)
    assert (bits(found) == bits(expected)).all()


def test_one_device_of_several():
    device = jax.devices()[3]
    found = fj.draw((4, 4), fx.Normal(), seed=7, sharding=SingleDeviceSharding(device))
    assert found.devices() == {device}
    assert (bits(found) == bits(fx.draw((4, 4), fx.Normal(), seed=7))).all()


def test_streams_give_one_stream_to_an_array():
    rng = fx.Streams(7)
    sharding = NamedSharding(mesh_of(8), PartitionSpec("x"))
    for number in range(3):
        found = fj.draw((8, 8), fx.Normal(), seed=rng, sharding=sharding)
        assert (bits(found) == bits(fx.draw((8, 8), fx.Normal(), seed=7, stream=number))).all()


def test_errors_name_the_argument_and_take_no_stream():
    rng = fx.Streams(7)
    sharding = NamedSharding(mesh_of(8), PartitionSpec("x"))
    with pytest.raises(fx.ArgumentValueError, match=r"sharding is .* not one for shape \(9, 8\)"):
        fj.draw((9, 8), fx.Normal(), seed=rng, sharding=sharding)
    with pytest.raises(fx.ArgumentTypeError, match=r"sharding is PartitionSpec|sharding is P"):
        fj.draw((8, 8), fx.Normal(), seed=rng, sharding=PartitionSpec("x"))
    with pytest.raises(fx.ArgumentTypeError, match=r"dtype is dtype.'int32'"):
        fj.draw((8, 8), fx.Normal(), "int32", seed=rng)
    with pytest.raises(fx.ArgumentValueError, match="not a matrix"):
        fj.draw((8,), fx.Orthogonal(), seed=rng)
    with pytest.raises(fx.ArgumentValueError, match="beyond the largest float16"):
        fj.draw((8,), fx.Normal(0, 1e5), "float16", seed=rng)
    assert rng.take() == (7, 0)
