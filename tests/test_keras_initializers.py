"""`fastxavier.keras`: Keras' arguments, seeds and laws, and the bits of `fastxavier.draw`.

On the backend that KERAS_BACKEND names; test_keras_backends.py runs this file on the others.
"""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from scipy import stats

keras = pytest.importorskip("keras")

from keras_cases import (  # noqa: E402
    ALL,
    BACKEND,
    DRAWN,
    DTYPES,
    FIXED,
    RANDOM,
    SCALED,
    array,
    digest,
    made,
    wide,
)

import fastxavier as fx  # noqa: E402
import fastxavier.keras as fk  # noqa: E402

SHAPE = (60, 40)
LEVEL = 1e-6  # of each statistical test; the seeds are fixed
# What Keras does to its own SeedGenerator on torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def keras_own(name):
    return getattr(keras.initializers, name)


# ---- bits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_the_bits_are_those_of_draw(name, dtype):
    with wide():
        tensor = made(name)(SHAPE, dtype=dtype)
        assert keras.ops.is_tensor(tensor)
        assert keras.backend.standardize_dtype(tensor.dtype) == dtype
        assert tuple(tensor.shape) == SHAPE
        expected = fx.draw(SHAPE, ALL[name], dtype=dtype, seed=7, stream=0)
        assert digest(tensor) == digest(expected)


@pytest.mark.parametrize("name", ["GlorotUniform", "HeNormal", "Orthogonal"])
@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (5, 8, 16), (2, 3, 4, 8, 16)])
def test_kernels_have_their_outputs_last(name, shape):
    expected = fx.draw(shape, ALL[name], seed=7, stream=0)
    np.testing.assert_array_equal(array(made(name)(shape)), expected)


@pytest.mark.parametrize("shape", [(), (7,), (0,), (0, 3), (3, 0, 2)])
def test_shapes_without_a_matrix_or_without_elements(shape):
    for name in DRAWN:
        assert array(made(name)(shape)).shape == shape
        assert array(keras_own(name)(seed=7)(shape)).shape == shape


def test_both_fans_of_a_vector_are_its_length():
    expected = fx.draw(1000, fx.glorot_uniform(1000, 1000), seed=7, stream=0)
    np.testing.assert_array_equal(array(fk.GlorotUniform(seed=7)((1000,))), expected)
    theirs = array(keras.initializers.GlorotUniform(seed=7)((1000,)))
    assert math.sqrt(3 / 1000) * 0.97 < np.abs(theirs).max() <= np.float32(math.sqrt(3 / 1000))


def test_floatx_is_the_default():
    assert array(fk.HeNormal(seed=7)(SHAPE)).dtype == np.float32
    keras.config.set_floatx("bfloat16")
    try:
        assert array(fk.HeNormal(seed=7)(SHAPE)).dtype.name == "bfloat16"
    finally:
        keras.config.set_floatx("float32")


# ---- laws ----------------------------------------------------------------------------------------


def check_alike(here, there):
    """Whether two arrays can be draws of one distribution."""
    here, there = (one.astype(np.float64).ravel() for one in (here, there))
    assert stats.ks_2samp(here, there).pvalue > LEVEL
    # Standard errors of both; the fourth moments are at most those of a normal.
    error = there.std() / math.sqrt(here.size)
    assert abs(here.mean() - there.mean()) < 5 * math.sqrt(2) * error
    error = there.var() * math.sqrt(2 / here.size)
    assert abs(here.var() - there.var()) < 5 * math.sqrt(2) * error


@pytest.mark.parametrize("shape", [(300, 400), (3, 3, 100, 133)])
@pytest.mark.parametrize("name", DRAWN)
def test_the_law_is_keras_own(name, shape):
    here, there = array(made(name)(shape)), array(keras_own(name)(seed=11)(shape))
    check_alike(here, there)
    low, high = fx.initializers.resolve(ALL[name], shape).bounds
    if math.isfinite(high):
        # On torch Keras takes the first of four normals if all four lie outside.
        for one in (here, there) if BACKEND != "torch" else (here,):
            assert np.float32(low) <= one.min()
            assert one.max() <= np.float32(high)
            assert np.abs(one).max() > 0.97 * high


@pytest.mark.parametrize("family", ["truncated_normal", "untruncated_normal", "uniform", "normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_every_variance_scaling(mode, family):
    arguments = (2.5, mode, family)
    here = array(fk.VarianceScaling(*arguments, seed=7)((200, 300)))
    there = array(keras.initializers.VarianceScaling(*arguments, seed=11)((200, 300)))
    check_alike(here, there)
    cut = 2 * np.std(there) / 0.87962566103423978
    assert (np.abs(here).max() <= cut * 1.02) == (family != "untruncated_normal")


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize(
    ("inputs", "outputs"), [([0], [1, 2]), ([0, 1], [2]), ([-1], [0]), ([2], [1])]
)
def test_input_and_output_axes(inputs, outputs, mode):
    """An axis that is neither counts in no fan."""
    arguments = {"mode": mode, "input_axes": inputs, "output_axes": outputs}
    shape = (32, 24, 50)
    here = array(fk.VarianceScaling(seed=7, **arguments)(shape))
    check_alike(here, array(keras.initializers.VarianceScaling(seed=11, **arguments)(shape)))


def test_one_of_both_axes_counts_as_none():
    alone = array(fk.HeUniform(seed=7, input_axes=[0])((8, 16)))
    np.testing.assert_array_equal(alone, array(fk.HeUniform(seed=7)((8, 16))))


def test_parameters_of_plain_distributions():
    for name, arguments in [
        ("RandomUniform", (-0.1, 0.3)),
        ("RandomNormal", (0.5, 0.02)),
        ("TruncatedNormal", (-0.5, 0.2)),
    ]:
        here = array(getattr(fk, name)(*arguments, seed=7)((200, 300)))
        check_alike(here, array(keras_own(name)(*arguments, seed=11)((200, 300))))


def test_parameters_may_be_tensors():
    std = keras.ops.convert_to_tensor(0.25)
    drawn = array(fk.RandomNormal(stddev=std, seed=7)(SHAPE))
    np.testing.assert_array_equal(drawn, array(fk.RandomNormal(stddev=0.25, seed=7)(SHAPE)))


@pytest.mark.parametrize("gain", [1.0, 2.0, -0.5])
@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (3, 3, 5, 8), (2, 2, 64)])
def test_orthogonal(shape, gain):
    here = array(fk.Orthogonal(gain, seed=7)(shape)).astype(np.float64)
    there = array(keras.initializers.Orthogonal(gain, seed=11)(shape)).astype(np.float64)
    for one in (here, there):
        values = np.linalg.svd(one.reshape(-1, shape[-1]), compute_uv=False)
        np.testing.assert_allclose(values, abs(gain), rtol=1e-5)


def test_what_is_constant():
    assert (array(fk.Constant(2.5)(SHAPE)) == 2.5).all()
    np.testing.assert_array_equal(array(fk.Identity(2)((3, 5))), 2 * np.eye(3, 5))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
@pytest.mark.parametrize("name", FIXED)
def test_constants_of_other_dtypes_are_keras_own(name, dtype):
    try:
        there = array(keras_own(name)()((3, 3), dtype=dtype))
    except TypeError:  # on TensorFlow, where a gain of 1.0 is not an integer
        with pytest.raises(TypeError):
            getattr(fk, name)()((3, 3), dtype=dtype)
        return
    here = array(getattr(fk, name)()((3, 3), dtype=dtype))
    assert here.dtype == there.dtype
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, True, np.arange(6.0).reshape(2, 3)]
)
def test_constants_without_a_number_are_keras_own(value):
    np.testing.assert_array_equal(array(fk.Constant(value)((2, 3))), np.broadcast_to(value, (2, 3)))


def test_a_negative_identity_is_keras_own():
    np.testing.assert_array_equal(array(fk.Identity(-2.0)((3, 3))), -2 * np.eye(3))


@pytest.mark.parametrize("name", ["glorot_uniform", "lecun_normal"])
def test_attention_has_the_fans_that_keras_gives_it(name):
    """Keras asks for its own class before it tells an initializer the axes of its kernel."""
    ours = f"fastxavier>{name}"
    stds = {}
    for one in (name, ours):
        keras.utils.set_random_seed(7)
        layer = keras.layers.MultiHeadAttention(8, 32, kernel_initializer=one)
        layer.build((None, 10, 64), (None, 10, 64))
        kernels = (layer.query_dense.kernel, layer.key_dense.kernel, layer._output_dense.kernel)
        stds[one] = [array(kernel).std() for kernel in kernels]
    # 16,384 values each, twice
    np.testing.assert_allclose(stds[ours], stds[name], rtol=5 * math.sqrt(2 / 16384))


def test_a_dense_layer_without_an_initializer_draws_the_same_law():
    """Keras' default, on its TensorFlow backend TensorFlow's own, beside ours."""
    keras.utils.set_random_seed(7)
    default, ours = (
        keras.layers.Dense(400),
        keras.layers.Dense(400, kernel_initializer=made("GlorotUniform")),
    )
    for layer in (default, ours):
        layer.build((None, 300))
    here, there = array(ours.kernel), array(default.kernel)
    check_alike(here, there)
    bound = math.sqrt(6 / 700)
    for one in (here, there):
        assert 0.999 * bound < np.abs(one).max() <= np.float32(bound)


# ---- arguments and seeds -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_arguments_and_defaults_are_keras_own(name):
    ours, theirs = getattr(fk, name), keras_own(name)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert issubclass(ours, theirs)
    assert issubclass(ours, keras.initializers.Initializer)
    assert list(inspect.signature(ours()).parameters) == ["shape", "dtype", "layout"]
    assert ours().get_config() == theirs().get_config()


def test_every_class_of_keras_is_here():
    base = keras.initializers.Initializer
    theirs = {
        one.__name__
        for one in vars(keras.initializers).values()
        if isinstance(one, type) and issubclass(one, base) and one is not base
    }
    assert theirs - {"STFT"} == set(ALL) == set(fk.__all__) - {"init_", "register"}


@pytest.mark.parametrize("name", RANDOM)
def test_integers_give_the_same_values_each_time(name):
    initializer = made(name)
    assert digest(initializer(SHAPE)) == digest(initializer(SHAPE)) == digest(made(name)(SHAPE))
    assert digest(initializer(SHAPE)) != digest(made(name, seed=8)(SHAPE))


def test_large_seeds_are_whole():
    for seed in (2**32 + 7, 2**63, 2**64 + 1):
        expected = fx.draw(SHAPE, ALL["HeNormal"], seed=seed, stream=0)
        np.testing.assert_array_equal(array(fk.HeNormal(seed=seed)(SHAPE)), expected)


@pytest.mark.parametrize("name", RANDOM)
def test_a_generator_goes_on(name):
    initializer = made(name, seed=keras.random.SeedGenerator(7))
    for stream in range(3):
        expected = fx.draw(SHAPE, ALL[name], seed=7, stream=stream)
        np.testing.assert_array_equal(array(initializer(SHAPE)), expected)


def test_two_share_a_generator():
    generator = keras.random.SeedGenerator(7)
    first, second = made("HeNormal", seed=generator), made("HeUniform", seed=generator)
    first(SHAPE)
    expected = fx.draw(SHAPE, ALL["HeUniform"], seed=7, stream=1)
    np.testing.assert_array_equal(array(second(SHAPE)), expected)


def test_a_generator_may_be_a_configuration():
    generator = keras.random.SeedGenerator(7)
    given = keras.saving.serialize_keras_object(generator)
    expected = fx.draw(SHAPE, ALL["HeNormal"], seed=7, stream=0)
    np.testing.assert_array_equal(array(fk.HeNormal(seed=given)(SHAPE)), expected)


@pytest.mark.parametrize("name", RANDOM)
def test_set_random_seed_governs_none(name):
    found = []
    for seed in (7, 7, 8):
        keras.utils.set_random_seed(seed)
        initializer = made(name, seed=None)
        assert digest(initializer(SHAPE)) == digest(initializer(SHAPE))
        found += [digest(initializer(SHAPE)), digest(made(name, seed=None)(SHAPE))]
    assert found[:2] == found[2:4]
    assert len(set(found)) == 4


def test_equal_seeds_make_equal_layers():
    """An initializer learns no name."""
    initializer = made("GlorotUniform")
    layers = [keras.layers.Dense(5, kernel_initializer=initializer, name=name) for name in "ab"]
    for layer in layers:
        layer.build((None, 4))
    assert digest(layers[0].kernel) == digest(layers[1].kernel)


# ---- configurations, names, files ----------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_configurations(name):
    initializer = made(name)
    for copy in (
        type(initializer).from_config(initializer.get_config()),
        initializer.clone(),
        keras.initializers.deserialize(keras.initializers.serialize(initializer)),
        keras.initializers.get(keras.saving.serialize_keras_object(initializer)),
    ):
        assert type(copy) is type(initializer)
        assert copy.get_config() == initializer.get_config()
        assert digest(copy(SHAPE)) == digest(initializer(SHAPE))


def test_a_generator_is_in_the_configuration():
    initializer = made("HeNormal", seed=keras.random.SeedGenerator(7, name="draws"))
    copy = initializer.clone()
    assert copy.seed is not initializer.seed
    assert digest(copy(SHAPE)) == digest(initializer(SHAPE))


def snake(name):
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name).lstrip("_")


@pytest.mark.parametrize("name", ALL)
def test_names(name):
    config = {"value": 0.0} if name == "Constant" else {}  # which Keras' own needs, too
    for text in (name, snake(name)):
        named = {"class_name": f"fastxavier>{text}", "config": config}
        assert type(keras.initializers.get(named)) is getattr(fk, name)
        if name != "Constant":
            assert type(keras.initializers.get(f"fastxavier>{text}")) is getattr(fk, name)
            assert type(keras.initializers.get(text)) is keras_own(name)
    assert keras.saving.get_registered_name(getattr(fk, name)) == f"fastxavier>{name}"


def test_register_after_a_clear():
    before = dict(keras.saving.get_custom_objects())
    keras.saving.get_custom_objects().clear()
    try:
        fk.register()
        assert type(keras.initializers.get("fastxavier>he_normal")) is fk.HeNormal
    finally:
        keras.saving.get_custom_objects().update(before)


def small_model():
    return keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(5, kernel_initializer=made("HeNormal", seed=3), name="a"),
            keras.layers.Dense(
                4,
                kernel_initializer="fastxavier>orthogonal",
                bias_initializer=fk.Constant(0.5),
                name="b",
            ),
        ],
        name="small",
    )


def test_a_file_of_keras(tmp_path):
    model = small_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(model.layers, loaded.layers, strict=True):
        assert type(one.kernel_initializer) is type(other.kernel_initializer)
        assert one.kernel_initializer.get_config() == other.kernel_initializer.get_config()
        assert digest(one.kernel) == digest(other.kernel)
    assert type(loaded.layers[0].kernel_initializer) is fk.HeNormal
    assert type(loaded.layers[1].bias_initializer) is fk.Constant


def test_clones_keep_the_classes():
    cloned = keras.models.clone_model(small_model())
    assert type(cloned.layers[0].kernel_initializer) is fk.HeNormal
    expected = fx.draw((6, 5), ALL["HeNormal"], seed=3, stream=0)
    np.testing.assert_array_equal(array(cloned.layers[0].kernel), expected)


# ---- errors --------------------------------------------------------------------------------------


def state(generator):
    return array(generator.state).tolist()


@pytest.mark.parametrize(
    ("initializer", "shape", "dtype", "message"),
    [
        ("HeNormal", (3, 4), "int32", "dtype is 'int32'; it must be one of 'float32'"),
        ("HeNormal", (3, 4), "complex64", "dtype is 'complex64'"),
        ("HeNormal", (3, -4), "float32", "shape is .*-4.*an integer from 0 up"),
        ("HeNormal", (3, None), "float32", "shape is .*None"),
        ("HeNormal", 3, "float32", "shape is 3, an int; it must be a sequence"),
        ("Orthogonal", (3,), "float32", "is not a matrix"),
        ("Identity", (3, 3, 3), "float32", "is not a matrix"),
    ],
)
def test_errors_leave_the_generator(initializer, shape, dtype, message):
    generator = keras.random.SeedGenerator(7)
    one = made(initializer, seed=generator)
    with pytest.raises((fx.ArgumentTypeError, fx.ArgumentValueError), match=message):
        one(shape, dtype=dtype)
    assert state(generator) == [7, 0]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("RandomUniform", {"minval": 1.0, "maxval": 0.0}, "low is 1.0, above high"),
        ("RandomNormal", {"stddev": -1.0}, "std is -1.0; it must not be negative"),
        ("RandomNormal", {"stddev": 1e6}, "float16"),
        ("HeNormal", {"input_axes": [5], "output_axes": [0]}, "axes of shape"),
        ("HeNormal", {"input_axes": [-3], "output_axes": [0]}, "an axis is -3"),
        ("HeNormal", {"input_axes": [0], "output_axes": [0, 1]}, "each axis may be named once"),
    ],
)
def test_parameters_that_cannot_be_drawn(name, arguments, message):
    generator = keras.random.SeedGenerator(7)
    with pytest.raises(fx.ArgumentValueError, match=message):
        made(name, seed=generator, **arguments)(SHAPE, dtype="float16")
    assert state(generator) == [7, 0]


@pytest.mark.parametrize("shape", [(), (5,)])
def test_axes_that_a_shape_does_not_have(shape):
    generator = keras.random.SeedGenerator(7)
    initializer = made("HeNormal", generator, input_axes=[0], output_axes=[1])
    with pytest.raises(fx.ArgumentValueError, match="axes of shape"):
        initializer(shape)
    assert state(generator) == [7, 0]


def test_a_shape_without_axes_of_either_kind():
    """Both fans are 1, as in Keras."""
    arguments = {"input_axes": [], "output_axes": []}
    for shape in ((), (1000,)):
        here = array(fk.HeNormal(seed=7, **arguments)(shape))
        expected = fx.draw(shape, fx.he_truncated_normal(1, 1), seed=7, stream=0)
        np.testing.assert_array_equal(here, expected)


def test_shapes_of_other_kinds():
    """NumPy's integers, lists, and TensorFlow's shapes."""
    expected = digest(made("HeNormal")((3, 4)))
    shapes = [[3, 4], np.array([3, 4]), (np.int64(3), np.int32(4))]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        shapes.append(tf.TensorShape((3, 4)))
    for shape in shapes:
        assert digest(made("HeNormal")(shape)) == expected


def test_negative_seeds():
    with pytest.raises(fx.ArgumentValueError, match="seed is -1; it must be an integer from 0 up"):
        fk.HeNormal(seed=-1)(SHAPE)


def test_keras_own_errors():
    for arguments in ({"scale": -1.0}, {"mode": "fan"}, {"distribution": "cauchy"}):
        with pytest.raises(ValueError, match=r"scale|mode|distribution"):
            fk.VarianceScaling(**arguments)
    with pytest.raises(ValueError, match="seed"):
        fk.HeNormal(seed="seven")


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has layouts")
def test_a_layout_without_jax():
    for name in ("HeNormal", "Ones"):
        with pytest.raises(fx.ArgumentValueError, match=r"layout is .* on the backend"):
            made(name)((4, 4), layout="x")


@pytest.mark.parametrize("name", SCALED)
def test_classes_are_documented(name):
    assert getattr(fk, name).__doc__ != keras_own(name).__doc__
