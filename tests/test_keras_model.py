"""`fastxavier.keras.init_`, and models that train from our initializers.

On the backend that KERAS_BACKEND names; test_keras_backends.py runs this file on the others.
"""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_cases import BACKEND, array, digest, made  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.keras as fk  # noqa: E402
from fastxavier.plans import PlanError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def functional():
    """Two layers and what stands between them; the names of layers are the paths."""
    inputs = keras.Input((12,))
    hidden = keras.layers.Dense(16, kernel_initializer=made("HeNormal", seed=1), name="first")
    out = keras.layers.Dense(1, kernel_initializer=made("GlorotUniform", seed=2), name="last")
    middle = keras.layers.BatchNormalization(name="norm")(hidden(inputs))
    return keras.Model(inputs, out(keras.ops.relu(middle)), name="functional")


class Subclassed(keras.Model):
    """The same, and an embedding, as a class."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.first = keras.layers.Dense(
            16, activation="relu", kernel_initializer="fastxavier>lecun_normal", name="first"
        )
        self.last = keras.layers.Dense(
            1,
            kernel_initializer=made("TruncatedNormal", keras.random.SeedGenerator(3)),
            bias_initializer=fk.Constant(0.25),
            name="last",
        )

    def call(self, inputs):
        return self.last(self.first(inputs))


def built(make):
    keras.utils.set_random_seed(5)
    model = make()
    model(keras.ops.zeros((1, 12)))
    return model


def unbuilt():
    """fit makes its weights, of which it first asks the shapes alone."""
    keras.utils.set_random_seed(5)
    return Subclassed()


@pytest.mark.parametrize("make", [functional, Subclassed, unbuilt])
def test_a_model_trains(make):
    if BACKEND == "numpy":
        pytest.skip("Keras' NumPy backend does not train")
    x = np.random.default_rng(3).normal(size=(64, 12)).astype("float32")
    y = x[:, :3].sum(axis=1, keepdims=True)
    model = unbuilt() if make is unbuilt else built(make)
    model.compile(keras.optimizers.SGD(0.02), "mse")
    losses = model.fit(x, y, batch_size=16, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    if make is unbuilt:
        assert array(model.last.kernel_initializer.seed.state).tolist() == [3, 1]
    else:
        assert digest(model.get_layer("first").kernel) != digest(
            built(make).get_layer("first").kernel
        )


def test_the_first_weights_are_those_of_draw():
    """So the same on every backend, seeded by Keras' utility or by a generator."""
    model = built(functional)
    expected = fx.draw((12, 16), fx.he_truncated_normal(layout="keras"), seed=1, stream=0)
    np.testing.assert_array_equal(array(model.get_layer("first").kernel), expected)
    model = built(Subclassed)
    expected = fx.draw((16, 1), fx.TruncatedNormal(0, 0.05), seed=3, stream=0)
    np.testing.assert_array_equal(array(model.last.kernel), expected)
    assert (array(model.last.bias) == 0.25).all()
    keras.utils.set_random_seed(5)
    seed = keras.initializers.LecunNormal().seed  # the one that Keras draws
    expected = fx.draw((12, 16), fx.lecun_truncated_normal(layout="keras"), seed=seed, stream=0)
    np.testing.assert_array_equal(array(model.first.kernel), expected)


# ---- init_ ---------------------------------------------------------------------------------------

PATHS = {
    "first/kernel": (12, 16),
    "first/bias": (16,),
    "norm/gamma": (16,),
    "norm/beta": (16,),
    "norm/moving_mean": (16,),
    "norm/moving_variance": (16,),
    "last/kernel": (16, 1),
    "last/bias": (1,),
}


@pytest.mark.parametrize("plan", [None, "default", fx.default_plan(), fx.default_plan("keras")])
def test_init_gives_what_plans_give(plan):
    model = functional()
    report = fk.init_(model, plan, seed=7)
    arrays = {name: np.empty(shape, np.float32) for name, shape in PATHS.items()}
    expected = fx.init_(arrays, fx.default_plan("keras"), seed=7)
    assert {weight.path: weight.shape for weight in model.weights} == PATHS
    for weight in model.weights:
        np.testing.assert_array_equal(array(weight), arrays[weight.path])
    found = {one.name: one for one in report.tensors}
    for one in expected.tensors:
        assert found[one.name].distribution == one.distribution
        assert (found[one.name].shape, found[one.name].dtype) == (one.shape, one.dtype)
    assert report.seed == 7
    assert report.nbytes == expected.nbytes
    assert not report.unused_rules
    assert "first/kernel" in str(report)


def test_a_model_that_trains_after_init():
    if BACKEND == "numpy":
        pytest.skip("Keras' NumPy backend does not train")
    x = np.random.default_rng(3).normal(size=(64, 12)).astype("float32")
    model = functional()
    model.compile(keras.optimizers.SGD(0.02), "mse")
    fk.init_(model, seed=7)
    losses = model.fit(x, x[:, :1], batch_size=16, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_another_layer_changes_no_other():
    plan = fx.Plan([fx.Rule("*/kernel", "he_normal"), fx.Rule("*/bias", "normal", std=0.1)])
    drawn = []
    for units in ([8], [8, 3]):
        layers = [keras.layers.Dense(n, name=f"d{n}") for n in units]
        model = keras.Sequential([keras.layers.Input((5,)), *layers], name="net")
        fk.init_(model, plan, seed=7)
        drawn.append(digest(layers[0].kernel) + digest(layers[0].bias))
    assert drawn[0] == drawn[1]


def test_dtypes_structured_initializers_and_one_layer():
    plan = fx.Plan([fx.Rule("*kernel", "orthogonal"), fx.Rule("*bias", "uniform", low=0, high=1)])
    layer = keras.layers.Dense(6, dtype="bfloat16", name="dense")
    layer.build((None, 4))
    fk.init_(layer, plan, seed=7)
    orthogonal = fx.Orthogonal(layout="keras")
    expected = fx.draw((4, 6), orthogonal, dtype="bfloat16", seed=7, stream="dense/kernel")
    assert digest(layer.kernel) == digest(expected)
    assert array(layer.bias).dtype.name == "bfloat16"


def test_weights_without_a_rule():
    plan = fx.Plan([fx.Rule("*kernel", "he_normal"), fx.Rule(["*bias", "*beta"], "zeros")])
    model = functional()
    with pytest.raises(PlanError, match="norm/gamma"):
        fk.init_(model, plan, seed=7)
    model.get_layer("norm").trainable = False
    before = {weight.path: digest(weight) for weight in model.get_layer("norm").weights}
    report = fk.init_(model, plan, seed=7)
    after = {weight.path: digest(weight) for weight in model.get_layer("norm").weights}
    assert {name for name in before if before[name] == after[name]} == set(before)
    names = [one.name for one in report.tensors]
    assert names == ["first/kernel", "first/bias", "norm/beta", "last/kernel", "last/bias"]


class Counting(keras.Layer):
    """With a weight of integers."""

    def build(self, shape):
        self.shift = self.add_weight(name="shift", shape=(3,))
        self.count = self.add_weight(
            name="count", shape=(), dtype="int32", trainable=False, initializer="ones"
        )


def test_integers_take_a_whole_constant():
    layer = Counting(name="counting")
    layer.build(None)
    others = fx.Rule("*shift", "zeros")
    plan = fx.Plan([fx.Rule("counting/count", "constant", value=3), others])
    report = fk.init_(layer, plan, seed=7)
    assert int(array(layer.count)) == 3
    assert report.nbytes == 16
    plan = fx.Plan([fx.Rule("*count", "normal"), others])
    with pytest.raises(fx.ArgumentTypeError, match=r"counting/count.*whole constant"):
        fk.init_(layer, plan, seed=7)


@pytest.mark.parametrize("seed", [np.random.default_rng(7), fx.Streams(7), None])
def test_other_seeds(seed):
    model = functional()
    report = fk.init_(model, seed=seed)
    expected = fx.draw(
        (12, 16), fx.glorot_uniform(layout="keras"), seed=report.seed, stream="first/kernel"
    )
    np.testing.assert_array_equal(array(model.get_layer("first").kernel), expected)


NOT_LAST = fx.Plan([fx.Rule("last/bias", fx.Dirac()), fx.Rule("*", "normal")])


@pytest.mark.parametrize(
    ("plan", "seed", "error", "message"),
    [
        ("defualt", 7, PlanError, "plan is 'defualt'; did you mean 'default'"),
        ("resnet", 7, PlanError, "layout is 'keras', but that of plan 'resnet' is 'torch'"),
        (fx.default_plan("torch"), 7, PlanError, r"first/kernel.*layout is 'torch'"),
        (fx.Plan([fx.Rule("*", "normal", std=1e39)]), 7, ValueError, "tensor 'first/kernel': "),
        (fx.Plan([fx.Rule("*", "orthogonal")]), 7, PlanError, "first/bias"),
        (NOT_LAST, 7, ValueError, "tensor 'last/bias'"),
        (None, -1, ValueError, "seed is -1"),
    ],
)  # fmt: skip
def test_errors_assign_nothing(plan, seed, error, message):
    model = functional()
    before = [digest(weight) for weight in model.weights]
    with pytest.raises(error, match=message):
        fk.init_(model, plan, seed=seed)
    assert [digest(weight) for weight in model.weights] == before


def test_what_is_not_a_model():
    with pytest.raises(fx.ArgumentTypeError, match=r"model is a dict; it must be a keras\.Model"):
        fk.init_({}, seed=7)
    with pytest.raises(fx.ArgumentValueError, match="model 'late' has no weights yet; build it"):
        fk.init_(keras.Sequential([keras.layers.Dense(3)], name="late"), seed=7)


def test_equal_paths_are_refused():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__(name="twins")
            self.one = keras.layers.Dense(4, name="dense")
            self.other = keras.layers.Dense(4, name="dense")

        def call(self, inputs):
            return self.other(self.one(inputs))

    model = Twins()
    model(keras.ops.zeros((1, 4)))
    with pytest.raises(
        fx.ArgumentValueError, match="two weights with the path 'twins/dense/kernel'"
    ):
        fk.init_(model, seed=7)
