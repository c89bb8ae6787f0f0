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


KERNEL = "dense/kernel"


def dense(dtype="float32"):
    layer = keras.layers.Dense(40, dtype=dtype, name="dense")
    layer.build((None, 30))
    return layer


in_place = pytest.mark.skipif(BACKEND not in ("numpy", "torch"), reason="assigns new tensors")


@in_place
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", ["he_normal", "orthogonal"])
def test_init_fills_variables_in_place(rule, dtype, fills):
    layer = dense(dtype=dtype)
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))  # which has the dtype, on every backend
    values = [weight.value for weight in layer.weights]
    places = [(address(value), tuple(value.shape)) for value in values]
    fills.clear()
    fk.init_(layer, fx.Plan([fx.Rule("*kernel", rule), fx.Rule("*", "normal")]), seed=7)
    drawn = [one for one in fills if one in places]
    assert drawn == (places if rule == "he_normal" else places[1:])
    if rule == "he_normal":  # an orthogonal one needs a matrix beside it
        assert fills == places
    assert all(weight.value is value for weight, value in zip(layer.weights, values, strict=True))
    initializer = getattr(fx, {"orthogonal": "Orthogonal"}.get(rule, rule))(layout="keras")
    expected = fx.draw((30, 40), initializer, dtype=dtype, seed=7, stream=KERNEL)
    assert digest(layer.kernel) == digest(expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_init_of_a_layer_as_keras_makes_it(dtype):
    with wide():
        layer = dense(dtype=dtype)
        fk.init_(layer, seed=7)
        expected = fx.draw((30, 40), ALL["GlorotUniform"], dtype=dtype, seed=7, stream=KERNEL)
        assert digest(layer.kernel) == digest(expected)
        assert array(layer.kernel).dtype.name == dtype


@in_place
def test_weights_that_share_memory():
    layers = [keras.layers.Dense(40, name=name) for name in "ab"]
    model = keras.Sequential([keras.layers.Input((40,)), *layers], name="net")
    a, b = layers
    b.kernel._value = a.kernel._value
    before = [digest(weight) for weight in model.weights]
    with pytest.raises(
        fx.ArgumentValueError, match="'net/a/kernel' and 'net/b/kernel' share memory"
    ):
        fk.init_(model, seed=7)
    assert [digest(weight) for weight in model.weights] == before


def test_init_in_a_stateless_scope():
    """A variable is then as it was, and its new value in the scope."""
    layer = dense()
    before = digest(layer.kernel)
    with keras.StatelessScope() as scope:
        fk.init_(layer, seed=7)
    assert digest(layer.kernel) == before
    expected = fx.draw((30, 40), ALL["GlorotUniform"], seed=7, stream=KERNEL)
    assert digest(scope.get_current_value(layer.kernel)) == digest(expected)


@only("numpy")
def test_memory_that_cannot_be_written_is_replaced():
    layer = dense()
    layer.kernel.value.setflags(write=False)
    before = layer.kernel.value.copy()
    old = layer.kernel.value
    fk.init_(layer, seed=7)
    expected = fx.draw((30, 40), ALL["GlorotUniform"], seed=7, stream=KERNEL)
    assert digest(layer.kernel) == digest(expected)
    np.testing.assert_array_equal(old, before)


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
def test_init_keeps_parameters():
    layer = dense()
    parameter = layer.kernel.value
    version = parameter._version
    fk.init_(layer, seed=7)
    assert layer.kernel.value is parameter
    assert parameter.requires_grad
    assert parameter.grad_fn is None
    assert parameter._version > version  # so autograd knows that it has changed


@only("torch")
def test_init_of_a_parameter_whose_elements_share_memory():
    import torch

    layer = dense()
    layer.bias._value = torch.nn.Parameter(torch.zeros(1).expand(40))
    before = digest(layer.kernel)
    with pytest.raises(fx.ArgumentValueError, match=r"tensor 'dense/bias': .*share memory"):
        fk.init_(layer, seed=7)
    assert digest(layer.kernel) == before


@only("torch")
def test_init_in_inference_mode():
    import torch

    layer = dense()
    with torch.inference_mode():
        fk.init_(layer, seed=7)
    expected = fx.draw((30, 40), ALL["GlorotUniform"], seed=7, stream=KERNEL)
    assert digest(layer.kernel) == digest(expected)


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
def test_init_binds_no_weight_to_a_device():
    """So a model goes on with data of any number of devices; what is bound stays where it is."""
    import jax

    layout = keras.distribution.TensorLayout(("batch", None), mesh())
    layers = [keras.layers.Dense(8, name="a"), keras.layers.BatchNormalization(name="norm")]
    model = keras.Sequential([keras.layers.Input((32,)), *layers], name="net")
    fk.init_(model, seed=9)
    assert not any(weight.value.committed for weight in model.weights)
    x = np.random.default_rng(3).normal(size=(16, 32)).astype("float32")
    out = model(jax.device_put(x, layout.backend_layout))
    assert len(out.sharding.device_set) == 4
    np.testing.assert_allclose(array(out), array(model(x)), rtol=1e-5, atol=1e-6)
    last = jax.devices()[-1]
    layers[0].kernel.assign(jax.device_put(array(layers[0].kernel), last))
    fk.init_(model, seed=11)
    assert layers[0].kernel.value.devices() == {last}
    expected = fx.draw((32, 8), ALL["GlorotUniform"], seed=11, stream="net/a/kernel")
    np.testing.assert_array_equal(array(layers[0].kernel), expected)


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
    assert isinstance(made("HeNormal")((3, 3)).sharding, jax.sharding.SingleDeviceSharding)


@only("jax")
@pytest.mark.parametrize("kind", ["Keras", "jax"])
@pytest.mark.parametrize("name", ["HeNormal", "Orthogonal", "Identity", "Constant"])
def test_layouts_under_jit(name, kind):
    import jax

    layout = keras.distribution.TensorLayout(("model", None), mesh())
    given = layout if kind == "Keras" else layout.backend_layout
    compiled = jax.jit(lambda: made(name)((32, 64), layout=given)).lower().compile()
    tensor = compiled()
    assert tensor.sharding.is_equivalent_to(layout.backend_layout, 2)
    expected = fx.draw((32, 64), ALL[name], seed=7, stream=0)
    np.testing.assert_array_equal(array(tensor), expected)
    # Each device its shard alone, and a distribution without the host.
    text = compiled.as_text()
    assert "f32[32,64]" not in text
    if name in ("HeNormal", "Constant"):
        assert "f32[16,64]" in text
        assert "callback" not in text
    whole = jax.jit(lambda: made("Ones")((32, 64), dtype="int32", layout=given))()
    assert whole.sharding.is_equivalent_to(layout.backend_layout, 2)
    assert (array(whole) == 1).all()


@only("jax")
@pytest.mark.parametrize("under_jit", [False, True])
@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((32, 64), "x", r"layout is 'x', a str; it must be a jax\.sharding\.Sharding"),
        ((33, 64), ("model", None), r"layout is .*not one for shape \(33, 64\)"),
        ((64,), ("model", None), r"layout is .*not one for shape \(64,\)"),
        ((32, 64), "abstract", "layout is .*whose mesh has no devices.*enter one with jax"),
    ],
)
def test_layouts_that_do_not_fit(shape, layout, message, under_jit):
    """Errors name the layout, and a generator is as it was."""
    import jax

    if isinstance(layout, tuple):
        layout = keras.distribution.TensorLayout(layout, mesh())
    elif layout == "abstract":
        axes = jax.sharding.AbstractMesh((2,), ("rows",))
        layout = jax.sharding.NamedSharding(axes, jax.sharding.PartitionSpec("rows"))
    generator = keras.random.SeedGenerator(7)
    for one, dtype in [
        (made("HeNormal"), "float32"),
        (made("HeNormal", generator), "float32"),
        (made("Ones"), "float32"),
        (made("Ones"), "int32"),
    ]:

        def draw(one=one, dtype=dtype):
            return one(shape, dtype=dtype, layout=layout)

        with pytest.raises((fx.ArgumentTypeError, fx.ArgumentValueError), match=message):
            jax.jit(draw)() if under_jit else draw()
    assert array(generator.state).tolist() == [7, 0]


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
@pytest.mark.parametrize("cut", [False, True])
def test_a_generator_under_jit(cut):
    """Its state goes in and comes out, in Keras' stateless scope."""
    import jax

    layout = keras.distribution.TensorLayout((None, "model"), mesh()) if cut else None
    generator = keras.random.SeedGenerator(7)
    initializer = made("HeNormal", generator)

    def drawn(state):
        with keras.StatelessScope(state_mapping=[(generator.state, state)]) as scope:
            tensor = initializer((30, 40), layout=layout)
        return tensor, scope.get_current_value(generator.state)

    compiled, state = jax.jit(drawn), generator.state.value
    for stream in range(3):
        tensor, state = compiled(state)
        assert not cut or tensor.sharding.is_equivalent_to(layout.backend_layout, 2)
        expected = fx.draw((30, 40), ALL["HeNormal"], seed=7, stream=stream)
        np.testing.assert_array_equal(array(tensor), expected)


@only("jax")
@pytest.mark.parametrize("name", ["HeNormal", "Orthogonal"])
def test_under_jit_where_only_the_host_can_draw(name, monkeypatch):
    """As on a GPU: an integer seed is drawn by a callback, too."""
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    layout = keras.distribution.TensorLayout((None, "model"), mesh())
    compiled = jax.jit(lambda: made(name, seed=2**40)((30, 40), layout=layout)).lower().compile()
    assert "fastxavier_fill" not in compiled.as_text()
    assert compiled().sharding.is_equivalent_to(layout.backend_layout, 2)
    expected = fx.draw((30, 40), ALL[name], seed=2**40, stream=0)
    np.testing.assert_array_equal(array(compiled()), expected)


@only("jax")
def test_errors_under_jit():
    import jax

    generator = keras.random.SeedGenerator(7)
    with pytest.raises(fx.ArgumentValueError, match="is not a matrix"):
        jax.jit(lambda: made("Orthogonal", generator)((5,)))()
    assert array(generator.state).tolist() == [7, 0]
