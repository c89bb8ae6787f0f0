"""The tensors of each backend: their memory, graphs, devices and shards, and a golden line.

On the backend that KERAS_BACKEND names; test_keras_backends.py runs this file on the others.
"""

from __future__ import annotations

import golden
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_cases import ALL, BACKEND, DTYPES, array, digest, made, wide  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.keras as fk  # noqa: E402
from fastxavier import _core  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


PLAIN = ("RandomNormal", "TruncatedNormal")


def only(backend):
    return pytest.mark.skipif(backend != BACKEND, reason=f"is about the backend {backend}")


def address(tensor):
    """Where a tensor's first value lies."""
    if BACKEND == "torch":
        return tensor.data_ptr()
    if BACKEND == "jax":
        return tensor.unsafe_buffer_pointer()
    return np.asarray(tensor).ctypes.data  # of TensorFlow's a view


@pytest.fixture
def fills(monkeypatch):
    """Address and shape of what each fill writes to."""
    written = []
    fill = _core.fill

    def recorded(target, *arguments):
        found = _core.target_of(target) if not isinstance(target, _core.Target) else target
        memory = found.numpy()
        written.append((memory.ctypes.data, memory.shape))
        return fill(target, *arguments)

    monkeypatch.setattr(_core, "fill", recorded)
    return written


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_copy_is_made(fills, dtype):
    """The memory that was filled is the tensor's."""
    with wide():
        tensor = made("GlorotUniform")((300, 400), dtype=dtype)
        assert fills == [(address(tensor), (300, 400))]


def test_memory_stays_while_a_tensor_does():
    """Though nothing in Python holds the array any more."""
    tensors = [made("HeNormal", seed=seed)((1000, 100)) for seed in range(5)]
    for _ in range(5):
        np.full((1000, 100), np.nan, np.float32)
    for seed, tensor in enumerate(tensors):
        assert digest(tensor) == digest(fx.draw((1000, 100), ALL["HeNormal"], seed=seed, stream=0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_golden_line(dtype):
    """A weight whose path is the name of the golden stream."""
    lines = golden.parsed((golden.DATA / "golden.txt").read_text())
    distribution, expected, _ = lines["uniform", dtype]

    class Layer(keras.Layer):
        def __init__(self):
            super().__init__()
            self.weight = keras.Variable(
                keras.ops.zeros(golden.COUNT, dtype=dtype), dtype=dtype, name=golden.STREAM
            )

    with wide():
        layer = Layer()
        fk.init_(layer, fx.Plan([fx.Rule("*", distribution)]), seed=golden.SEED)
        values = array(layer.weight)
    assert values.dtype.name == dtype
    assert golden.digest(values) == expected


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_eight_bits(dtype):
    expected = fx.draw((30, 40), ALL["GlorotNormal"], dtype=dtype, seed=7, stream=0)
    tensor = made("GlorotNormal")((30, 40), dtype=dtype)
    if BACKEND == "torch":  # NumPy has not its dtype
        import torch

        tensor = tensor.view(torch.uint8)
    assert array(tensor).tobytes() == expected.tobytes()


# ---- torch ---------------------------------------------------------------------------------------


@only("torch")
def test_shapes_are_inferred_on_meta():
    generator = keras.random.SeedGenerator(7)
    with keras.device("meta"):
        tensor = made("HeNormal", seed=generator)((10**6, 10**6))
    assert (tensor.device.type, tuple(tensor.shape)) == ("meta", (10**6, 10**6))
    assert array(generator.state).tolist() == [7, 0]


@only("torch")
def test_parameters_need_gradients():
    layer = keras.layers.Dense(3, kernel_initializer=made("HeNormal"))
    layer.build((None, 4))
    assert layer.kernel.value.requires_grad
    assert not made("HeNormal")((3, 4)).requires_grad


@only("torch")
def test_in_inference_mode():
    import torch

    with torch.inference_mode():
        tensor = made("HeNormal")((3, 4))
        assert digest(tensor) == digest(made("HeNormal")((3, 4)))


# ---- TensorFlow ----------------------------------------------------------------------------------


@only("tensorflow")
@pytest.mark.parametrize("dtype", DTYPES)
def test_in_a_graph(dtype, capfd):
    import tensorflow as tf

    fixed, going_on = made("HeNormal"), made("HeNormal", keras.random.SeedGenerator(7))
    draw = tf.function(lambda: (fixed((5, 3), dtype=dtype), going_on((5, 3), dtype=dtype)))
    expected = [
        digest(fx.draw((5, 3), ALL["HeNormal"], dtype=dtype, seed=7, stream=stream))
        for stream in range(3)
    ]
    drawn = [tuple(map(digest, draw())) for _ in range(3)]
    assert drawn == [(expected[0], one) for one in expected]
    assert "AutoGraph" not in capfd.readouterr().err


@only("tensorflow")
def test_errors_in_a_graph():
    import tensorflow as tf

    wide = made("RandomNormal", stddev=1e6)
    with pytest.raises(Exception, match="beyond the largest float16"):  # which TensorFlow wraps
        tf.function(lambda: wide((5, 3), dtype="float16"))()


@only("tensorflow")
@pytest.mark.parametrize("name", ALL)
def test_every_class_in_a_graph(name, capfd):
    """As it is written: AutoGraph would translate ``float`` and take seconds."""
    import tensorflow as tf

    arguments = {"stddev": tf.constant(0.25)} if name in PLAIN else {}
    drawn = tf.function(lambda one: one((6, 4)))(made(name, **arguments))
    assert digest(drawn) == digest(made(name, **arguments)((6, 4)))
    assert "WARNING" not in capfd.readouterr().err


@only("tensorflow")
def test_a_function_makes_its_variables_once():
    import tensorflow as tf

    layer = keras.layers.Dense(3, kernel_initializer=made("HeNormal"))
    out = tf.function(lambda x: layer(x))(tf.ones((2, 4)))
    assert out.shape == (2, 3)
    expected = fx.draw((4, 3), ALL["HeNormal"], seed=7, stream=0)
    np.testing.assert_array_equal(array(layer.kernel), expected)


@only("tensorflow")
def test_variables_may_be_changed():
    """TensorFlow's variable and the tensor that it was made from are two."""
    import tensorflow as tf

    tensor = made("HeNormal")((30, 40))
    before = digest(tensor)
    variable = tf.Variable(tensor)
    variable.assign_add(tf.ones((30, 40)))
    assert digest(tensor) == before
    assert digest(variable - 1.0) != digest(variable)


# ---- JAX -----------------------------------------------------------------------------------------


def mesh():
    import jax

    if len(jax.devices()) < 4:
        pytest.skip("there are fewer than four devices")
    devices = np.array(keras.distribution.list_devices()[:4])
    return keras.distribution.DeviceMesh((2, 2), ("batch", "model"), devices)


@pytest.fixture
def distribution():
    """Keras' model parallelism over four devices."""
    layouts = keras.distribution.LayoutMap(mesh())
    layouts["net/a/kernel"] = (None, "model")
    layouts["net/a/bias"] = ("model",)
    layouts["net/b/kernel"] = ("model", "batch")
    layouts["net/c/kernel"] = ("batch", None)
    one = keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(one)
    yield one
    keras.distribution.set_distribution(before)


def net():
    layers = [
        keras.layers.Dense(64, kernel_initializer=made("GlorotUniform", seed=3), name="a"),
        keras.layers.Dense(16, kernel_initializer=made("HeNormal", seed=4), name="b"),
        keras.layers.Dense(8, kernel_initializer=made("Orthogonal", seed=5), name="c"),
        keras.layers.Dense(8, bias_initializer=fk.Constant(float("inf")), name="d"),
    ]
    return keras.Sequential([keras.layers.Input((32,)), *layers], name="net")


SHARDS = {"net/a/kernel": (32, 32), "net/b/kernel": (32, 8), "net/c/kernel": (8, 8)}
WHOLE = {"net/a/kernel": (32, 64), "net/b/kernel": (64, 16), "net/c/kernel": (16, 8)}


def check_shards(model):
    for weight in model.weights:
        if weight.path in SHARDS:
            shapes = {shard.data.shape for shard in weight.value.addressable_shards}
            assert shapes == {SHARDS[weight.path]}


@only("jax")
def test_each_shard_is_drawn_alone(distribution, fills):
    model = net()
    shapes = {shape for _, shape in fills}
    assert SHARDS["net/a/kernel"] in shapes
    assert SHARDS["net/b/kernel"] in shapes
    assert not shapes & {WHOLE["net/a/kernel"], WHOLE["net/b/kernel"]}
    check_shards(model)
    for path, name, seed in [
        ("a", "GlorotUniform", 3),
        ("b", "HeNormal", 4),
        ("c", "Orthogonal", 5),
    ]:
        expected = fx.draw(WHOLE[f"net/{path}/kernel"], ALL[name], seed=seed, stream=0)
        np.testing.assert_array_equal(array(model.get_layer(path).kernel), expected)
    assert (array(model.get_layer("d").bias) == np.inf).all()


@only("jax")
def test_init_keeps_the_shards(distribution, fills):
    model = net()
    fills.clear()
    fk.init_(model, seed=9)
    assert not {shape for _, shape in fills} & {WHOLE["net/a/kernel"], WHOLE["net/b/kernel"]}
    check_shards(model)
    for path, shape in WHOLE.items():
        expected = fx.draw(shape, ALL["GlorotUniform"], seed=9, stream=path)
        np.testing.assert_array_equal(array(model.get_layer(path[4]).kernel), expected)
    model.compile("sgd", "mse")
    model.get_layer("d").bias.assign(np.zeros(8, np.float32))
    model.fit(np.ones((8, 32)), np.ones((8, 8)), epochs=1, verbose=0)


@only("jax")
def test_layouts_of_keras_and_of_jax():
    import jax

    layout = keras.distribution.TensorLayout(("model", None), mesh())
    expected = fx.draw((32, 64), ALL["HeNormal"], seed=7, stream=0)
    for given in (layout, layout.backend_layout):
        for name in ("HeNormal", "Ones"):
            tensor = made(name)((32, 64), layout=given)
            assert tensor.sharding.is_equivalent_to(layout.backend_layout, 2)
        np.testing.assert_array_equal(array(made("HeNormal")((32, 64), layout=given)), expected)
    whole = made("Ones")((32, 64), dtype="int32", layout=layout)
    assert whole.sharding.is_equivalent_to(layout.backend_layout, 2)
    with pytest.raises(fx.ArgumentTypeError, match="sharding is 'x'"):
        made("HeNormal")((32, 64), layout="x")
    with pytest.raises(fx.ArgumentValueError, match="not one for shape"):
        made("HeNormal")((33, 64), layout=layout)
    assert isinstance(made("HeNormal")((3, 3)).sharding, jax.sharding.SingleDeviceSharding)


@only("jax")
@pytest.mark.parametrize("name", ["HeNormal", "Orthogonal", "Identity"])
def test_under_jit(name, fills):
    """A compiled function draws when it runs; a shape costs nothing."""
    import jax

    initializer = made(name)
    assert jax.eval_shape(lambda: initializer((30, 40), dtype="bfloat16")).shape == (30, 40)
    compiled = jax.jit(lambda: initializer((30, 40), dtype="bfloat16")).lower().compile()
    assert all(0 in shape for _, shape in fills)
    expected = fx.draw((30, 40), ALL[name], dtype="bfloat16", seed=7, stream=0)
    assert digest(compiled()) == digest(compiled()) == digest(expected)


@only("jax")
def test_a_generator_under_jit():
    """Its state goes in and comes out, in Keras' stateless scope."""
    import jax

    generator = keras.random.SeedGenerator(7)
    initializer = made("HeNormal", generator)

    def drawn(state):
        with keras.StatelessScope(state_mapping=[(generator.state, state)]) as scope:
            tensor = initializer((30, 40))
        return tensor, scope.get_current_value(generator.state)

    compiled, state = jax.jit(drawn), generator.state.value
    for stream in range(3):
        tensor, state = compiled(state)
        expected = fx.draw((30, 40), ALL["HeNormal"], seed=7, stream=stream)
        np.testing.assert_array_equal(array(tensor), expected)


@only("jax")
def test_errors_under_jit():
    import jax

    generator = keras.random.SeedGenerator(7)
    with pytest.raises(fx.ArgumentValueError, match="is not a matrix"):
        jax.jit(lambda: made("Orthogonal", generator)((5,)))()
    assert array(generator.state).tolist() == [7, 0]
