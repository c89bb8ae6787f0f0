"""`fastxavier.jax.draw`: the bits of `fastxavier.draw`, in one piece and in shards."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding  # noqa: E402
from jax_cases import FLOATS, SPECS, mesh_of, same  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax as fj  # noqa: E402
from fastxavier.jax import _draw  # noqa: E402

INITIALIZERS = [
    fx.he_normal(layout="jax"),
    fx.Uniform(-1, 2),
    fx.glorot_truncated_normal(layout="jax"),
    fx.Constant(0.5),
    fx.Identity(),
    fx.Sparse(0.5),
    fx.Orthogonal(layout="jax"),
]


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_bits_are_those_of_numpy(dtype):
    found = fj.draw((33, 65), fx.Normal(0, 0.02), dtype, seed=7, stream="a.kernel")
    assert same(
        found, fx.draw((33, 65), fx.Normal(0, 0.02), dtype=dtype, seed=7, stream="a.kernel")
    )


@pytest.fixture
def memories(monkeypatch):
    """The arrays that are filled, as they are taken."""
    taken = []

    def aligned(shape, dtype):
        taken.append(fx.draw(shape, "zeros", dtype=dtype))
        return taken[-1]

    monkeypatch.setattr(_draw, "aligned", aligned)
    return taken


def test_the_memory_is_not_copied(memories):
    found = fj.draw((300, 7), fx.Normal(), seed=7)
    assert found.unsafe_buffer_pointer() == memories[0].ctypes.data
    sharding = NamedSharding(mesh_of(4), PartitionSpec("x"))
    found = fj.draw((8, 7), fx.Normal(), seed=7, sharding=sharding)
    pointers = {shard.data.unsafe_buffer_pointer() for shard in found.addressable_shards}
    assert pointers == {array.ctypes.data for array in memories[1:]}


def test_a_donated_array_is_not_written_to(memories):
    """Replicas share memory that is NumPy's: a function that reused it would change the others."""
    sharding = NamedSharding(mesh_of(8), PartitionSpec())
    found = fj.draw((64, 64), fx.Normal(), seed=7, sharding=sharding)
    jax.block_until_ready(jax.jit(lambda w: w + 1, donate_argnums=0)(found))
    assert found.is_deleted()
    assert same(memories[0], fx.draw((64, 64), fx.Normal(), seed=7))


@pytest.mark.parametrize("initializer", INITIALIZERS, ids=repr)
@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_shards_are_those_of_the_whole(initializer, spec, devices):
    sharding = NamedSharding(mesh_of(devices), spec)
    found = fj.draw((16, 24), initializer, seed=7, stream="a", sharding=sharding)
    assert found.sharding == sharding
    assert same(found, fx.draw((16, 24), initializer, seed=7, stream="a"))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_each_different_shard_is_drawn_once(spec, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        _draw._core, "fill", lambda memory, *rest: drawn.append((memory.shape, rest[3]))
    )
    sharding = NamedSharding(mesh_of(8), spec)
    fj.draw((16, 24), fx.Normal(), seed=7, sharding=sharding)
    places = {str(index) for index in sharding.devices_indices_map((16, 24)).values()}
    assert len(drawn) == len(set(drawn)) == len(places)
    assert {shape for shape, _ in drawn} == {sharding.shard_shape((16, 24))}


def test_the_whole_matrix_is_decomposed_once(monkeypatch):
    calls = []
    decompose = np.linalg.qr
    monkeypatch.setattr(np.linalg, "qr", lambda matrix: calls.append(1) or decompose(matrix))
    sharding = NamedSharding(mesh_of(8), PartitionSpec("x", "y"))
    fj.draw((16, 24), fx.Orthogonal(), seed=7, sharding=sharding)
    assert len(calls) == 1


def test_the_axes_of_inputs_and_outputs_are_those_of_jax():
    found = fj.draw((3, 3, 8, 32), fx.he_normal(), seed=7)
    assert same(found, fx.draw((3, 3, 8, 32), fx.he_normal(layout="jax"), seed=7))


def test_one_device_of_several():
    device = jax.devices()[3]
    found = fj.draw((4, 4), fx.Normal(), seed=7, sharding=SingleDeviceSharding(device))
    assert found.devices() == {device}
    assert same(found, fx.draw((4, 4), fx.Normal(), seed=7))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 5), 7])
def test_any_shape(shape):
    assert same(fj.draw(shape, fx.Normal(), seed=7), fx.draw(shape, fx.Normal(), seed=7))


def test_streams_give_one_stream_to_an_array():
    rng = fx.Streams(7)
    sharding = NamedSharding(mesh_of(8), PartitionSpec("x"))
    for number in range(3):
        found = fj.draw((8, 8), fx.Normal(), seed=rng, sharding=sharding)
        assert same(found, fx.draw((8, 8), fx.Normal(), seed=7, stream=number))


def test_float64_if_jax_has_64_bits():
    with jax.enable_x64(True):
        assert same(
            fj.draw((9,), fx.Normal(), seed=7), fx.draw((9,), fx.Normal(), dtype="float64", seed=7)
        )
    assert fj.draw((9,), fx.Normal(), "float64", seed=7).dtype == np.float32


def test_errors_name_the_argument_and_take_no_stream():
    rng = fx.Streams(7)
    sharding = NamedSharding(mesh_of(8), PartitionSpec("x"))
    with pytest.raises(fx.ArgumentValueError, match=r"sharding is .* not one for shape \(9, 8\)"):
        fj.draw((9, 8), fx.Normal(), seed=rng, sharding=sharding)
    with pytest.raises(fx.ArgumentTypeError, match=r"sharding is Partition|sharding is P\("):
        fj.draw((8, 8), fx.Normal(), seed=rng, sharding=PartitionSpec("x"))
    with pytest.raises(fx.ArgumentTypeError, match=r"dtype is dtype\('int32'\)"):
        fj.draw((8, 8), fx.Normal(), "int32", seed=rng)
    with pytest.raises(fx.ArgumentValueError, match=r"shape \(8,\) is not a matrix"):
        fj.draw((8,), fx.Orthogonal(), seed=rng)
    with pytest.raises(fx.ArgumentValueError, match="beyond the largest float16"):
        fj.draw((8,), fx.Normal(0, 1e5), "float16", seed=rng)
    with pytest.raises(fx.ArgumentValueError, match="fewer than two axes"):
        fj.draw((8,), fx.he_normal(), seed=rng)
    assert rng.take() == (7, 0)
