"""The claims of the scripts in examples/: each is run once as a script, then checked.

Tolerances of variances are five standard deviations of what drawing the weights does to them.
Those of learning are margins that held for 20 seeds; the script is run with two.
"""

import contextlib
import io
import math
import pathlib
import runpy
import sys
import types

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import fastxavier as fx

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
mpl.use("agg")


def run_example(name, folder, *arguments):
    """Everything a script defines, what it `printed`, and the `folder` of its pictures."""
    printed = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        threadpool_limits(1, "blas"),  # which wait for each other when cores are shared
    ):
        patch.setattr(sys, "argv", [name, "--out", str(folder), *arguments])
        names = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    plt.close("all")
    return types.SimpleNamespace(**names, printed=printed.getvalue(), folder=folder)


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """The example about variances before the first step."""
    return run_example("glorot_bengio", tmp_path_factory.mktemp("signals"))


@pytest.fixture(scope="module")
def learning(tmp_path_factory):
    """The example about learning, two nets of each initialization."""
    return run_example("numpy_mlp", tmp_path_factory.mktemp("learning"), "--seeds", "2")


def spread(arrays, width, of_squares=2):
    """Relative std of a variance's ratio between layers, for each array that is multiplied.

    A unit's argument is normal given what comes in, so its mean square over examples that point in
    d directions has a relative variance of 2 / d, and the mean over `width` units a width-th of
    that. d is the participation ratio of the examples.
    """
    directions = []
    for array in arrays:
        gram = (array @ array.T).astype(np.float64)
        directions.append(np.trace(gram) ** 2 / np.sum(gram**2))
    return np.sqrt(of_squares / (width * np.array(directions)))


def near(found, expected, tolerance):
    """Relative to what is expected."""
    return bool((np.abs(np.asarray(found) / expected - 1) <= tolerance).all())


PICTURES = {
    "signals": {"variances", "figure6", "figure7", "sigmoid", "relu"},
    "learning": {"initializations", "sigmoid_initializations"},
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name, request):
    """Each of them, as PNG and SVG, where the option says."""
    folder = request.getfixturevalue(name).folder
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(found) == {f"{p}.{kind}" for p in PICTURES[name] for kind in ("png", "svg")}
    for path, content in found.items():
        head = b"\x89PNG\r\n\x1a\n" if path.endswith("png") else b"<?xml"
        assert content.startswith(head), path


def test_one_colour_for_one_initialization(signals, learning):
    """Throughout both examples."""
    shared = set(signals.COLOURS) & set(learning.COLOURS)
    assert shared == set(signals.COLOURS)
    assert all(signals.COLOURS[name] == learning.COLOURS[name] for name in shared)
    assert len(set(learning.COLOURS.values())) == len(learning.COLOURS)
    assert signals.STYLE == learning.STYLE


# The first example: Glorot & Bengio (2010), sections 4.2 and 4.3.

N_VAR_W = {"heuristic": 1 / 3, "Glorot": 1.0}  # equations 15 and 12
AVERAGE_SINGULAR_VALUE = {"heuristic": 0.5, "Glorot": 0.8}  # section 4.2.2, to one digit
each_initializer = pytest.mark.parametrize("name", N_VAR_W)


@each_initializer
def test_variance_of_weights(signals, name):
    """The squares of uniform weights have a relative variance of 4/5."""
    for weight in signals.NETS[name].weights[1:-1]:
        found = weight.shape[1] * signals.mean_square(weight)
        assert near(found, N_VAR_W[name], 5 * math.sqrt(0.8 / weight.size))


@each_initializer
@pytest.mark.parametrize("std", [0.25, 1.0])
def test_layers_are_as_wide_ones(signals, name, std):
    """Activations and gradients change from layer to layer as in the limit of wide layers."""
    trace = signals.trace(signals.NETS[name], signals.examples(std))
    limit = signals.tanh_limits(std)[name]
    found = signals.ratios(signals.activation_variances(trace))
    tolerance = 5 * spread(trace.activations[1:-1], signals.WIDTH)
    assert tolerance.max() < 0.03
    assert near(found, signals.ratios(limit.activations), tolerance)
    found = signals.backwards(signals.gradient_variances(trace))
    tolerance = 5 * spread(trace.gradients[1:-1], signals.WIDTH)
    assert tolerance.max() < 0.1
    assert near(found, signals.backwards(limit.gradients), tolerance)


def test_the_wide_limit_of_a_tangent(signals):
    """For inputs small enough, the limit is the paper's derivation: equations 5 and 6."""
    for factor in (1 / 3, 1.0):
        limit = signals.wide_limit("tanh", factor, 1e-8)
        assert near(limit.activations, 1e-8 * factor ** np.arange(1, 6), 1e-6)
        assert near(limit.gradients, factor ** np.arange(4, -1, -1), 1e-6)
    for factor in (1.0, 2.0):
        limit = signals.wide_limit("relu", factor, 7.0, depth=30)
        assert near(limit.activations, 7 * (factor / 2) ** np.arange(1, 31), 1e-12)
        assert near(limit.gradients, (factor / 2) ** np.arange(29, -1, -1), 1e-12)


def test_gradients_fall_to_a_third_under_the_heuristic(signals):
    """The paper's finding: a third for each layer (equation 13), beside none to speak of.

    tanh's bend takes up to 4% off a third here, and drawing the weights 8%.
    """
    gradients = {s: signals.gradient_variances(trace) for s, trace in signals.TANH.items()}
    assert near(signals.backwards(gradients["heuristic"]), 1 / 3, 0.12)
    assert near(gradients["heuristic"][0] / gradients["heuristic"][-1], 1 / 81, 0.25)
    assert (signals.backwards(gradients["Glorot"]) > 0.8).all()
    assert gradients["Glorot"][0] / gradients["Glorot"][-1] > 0.5


@each_initializer
def test_weight_gradients_are_alike(signals, name):
    """Equation 14 and figure 8: the same variance in all layers, to what drawing does both ways."""
    trace = signals.TANH[name]
    forth = spread(trace.activations[1:-1], signals.WIDTH)
    back = spread(trace.gradients[1:-1], signals.WIDTH)
    found = signals.backwards(signals.weight_gradient_variances(trace))
    assert near(found, 1, 5 * np.hypot(forth, back))


@each_initializer
def test_weight_gradient_variances(signals, name):
    """By the whole array of gradients of some examples (equation 3)."""
    trace = signals.TANH[name]
    few = signals.Trace(*([array[:3] for array in arrays] for arrays in trace))
    for layer, found in enumerate(signals.weight_gradient_variances(few)):
        z, gradient = few.activations[layer], few.gradients[layer]
        whole = np.einsum("bk,bl->bkl", gradient, z, dtype=np.float64)
        assert found == pytest.approx(np.mean(whole**2), rel=1e-5)


@each_initializer
def test_average_singular_values(signals, name):
    """The paper's number to its one digit; and the distribution of the quarter circle, to 2%."""
    net, trace = signals.NETS[name], signals.TANH[name]
    found = signals.average_singular_value(net, trace, layer=1)
    assert round(found, 1) == AVERAGE_SINGULAR_VALUE[name]
    slope = 1 - trace.activations[2][0] ** 2
    circle = 8 / (3 * math.pi) * math.sqrt(N_VAR_W[name] * signals.mean_square(slope))
    assert near(found, circle, 0.02)


def test_the_table_shows_the_papers_numbers(signals):
    """Beside those measured."""
    lines = [line.split() for line in signals.printed.splitlines()]
    rows = [line[3:] for line in lines if line[:3] == ["average", "singular", "value"]]
    assert [float(row[0]) for row in rows] == [0.5, 0.8]
    for paper, *here in rows:
        assert {f"{float(value):.1f}" for value in here} == {paper}


def test_sigmoid_gradients(signals):
    """1/16 of the variance passes a layer, with the gain four tenths, centred four fifths."""
    limits = signals.sigmoid_limits()
    for name, trace in signals.SIGMOID.items():
        found = signals.backwards(signals.gradient_variances(trace))
        # Without centring, all examples point one way, and so does the error of the arguments.
        spreads = spread(trace.gradients[1:-1], signals.WIDTH)
        if name == "Glorot, gain 4":
            spreads = math.sqrt(2 / signals.WIDTH)
        assert near(found, signals.backwards(limits[name].gradients), 5 * spreads)
    bounds = {"Glorot": (0.04, 1 / 16), "Glorot, gain 4": (0.3, 0.8)}
    bounds["Glorot, gain 4, centred"] = (0.6, 0.95)
    for name, (least, greatest) in bounds.items():
        found = signals.backwards(signals.gradient_variances(signals.SIGMOID[name]))
        assert least < found.min() <= found.max() < greatest


def test_centred_biases_are_centred_units(signals):
    """The biases do at first what units of sigmoid(s) - 1/2 would."""
    net = signals.sigmoid_nets()["Glorot, gain 4, centred"]
    trace = signals.SIGMOID["Glorot, gain 4, centred"]
    z = trace.activations[0]
    for layer, (weight, s) in enumerate(zip(net.weights, trace.arguments, strict=True)):
        expected = (z - 0.5 if layer else z) @ weight.T
        np.testing.assert_allclose(s, expected, atol=1e-4)
        z = 1 / (1 + np.exp(-expected))


def test_relu_halves(signals):
    """Half the variance passes each of 30 layers with Glorot's initializer, all of it with He's.

    The mean square of a rectified normal has a relative variance of 5, which n units divide by n;
    of 29 layers the logarithms add up.
    """
    layers = signals.RELU_DEPTH - 1
    tolerance = 5 * math.sqrt(5 * layers / signals.WIDTH)
    for name, factor in {"Glorot": 0.5, "He": 1.0}.items():
        trace = signals.RELU[name]
        up, down = signals.argument_variances(trace), signals.gradient_variances(trace)
        for found in (up[-1] / up[0], down[0] / down[-1]):
            assert abs(math.log(found) - layers * math.log(factor)) < tolerance
    assert layers * math.log(2) > 10 * tolerance


# The second example: a framework, and learning.


def test_the_framework_is_short():
    """At most 100 lines, comments and docstrings among them."""
    text = (EXAMPLES / "numpy_mlp.py").read_text()
    framework = text[text.index("import numpy as np") : text.index("# %%\n# The initializations")]
    assert framework.count("\n") <= 100


@pytest.mark.parametrize("activation", ["linear", "tanh", "sigmoid", "ReLU"])
def test_gradients(learning, activation):
    """The framework's, against differences of the cost, in float64."""
    net = learning.Net([5, 6, 7, 4], activation)
    learning.initialize(net, learning.INITIALIZATIONS["He"], 1)
    for layer in net.layers:
        layer.weight, layer.bias = layer.weight.astype(float), layer.bias.astype(float)
    x = fx.fill_(np.empty((8, 5)), fx.Normal(), seed=1, stream="x")
    labels = np.arange(8) % 4
    net.backward(learning.cross_entropy(net.forward(x), labels)[1])
    for name, found in net.gradients().items():
        parameter, expected = net.parameters()[name], np.empty(found.shape)
        for place in np.ndindex(parameter.shape):
            kept, costs = parameter[place], []
            for step in (1e-5, -1e-5):
                parameter[place] = kept + step
                costs.append(learning.cross_entropy(net.forward(x), labels)[0])
            parameter[place] = kept
            expected[place] = (costs[0] - costs[1]) / 2e-5
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9, err_msg=name)


def test_both_examples_have_the_same_gradients(signals, learning):
    """Of the same weights and examples."""
    net = learning.Net([1024, *[1000] * 5, 9], "tanh")
    for layer, weight in zip(net.layers, signals.NETS["Glorot"].weights, strict=True):
        layer.weight = weight
    labels = np.arange(300) % 9
    net.backward(learning.cross_entropy(net.forward(signals.examples()), labels)[1])
    for i, gradient in enumerate(signals.TANH["Glorot"].gradients):
        found = 300 * net.gradients()[f"layers.{i}.bias"]
        np.testing.assert_allclose(found, gradient.sum(axis=0), atol=2e-4)


def test_a_name_is_a_stream(learning):
    """A weight is what `fill_` draws by its name, and biases are 0 except in the centred net."""
    for name in ("Glorot", "Glorot, gain 4, centred"):
        net = learning.Net([64, 50, 50, 10], "sigmoid")
        learning.initialize(net, learning.INITIALIZATIONS[name], seed=3)
        gain = 4 if "gain" in name else 1
        for i, layer in enumerate(net.layers):
            fan_out, fan_in = layer.weight.shape
            distribution = fx.glorot_uniform(fan_in, fan_out, gain=gain)
            expected = np.empty_like(layer.weight)
            fx.fill_(expected, distribution, seed=3, stream=f"layers.{i}.weight")
            assert layer.weight.tobytes() == expected.tobytes()
            mean_sent = 0.5 if i and "centred" in name else 0
            np.testing.assert_allclose(
                layer.bias, -mean_sent * expected.sum(axis=1, dtype=float), atol=1e-5
            )


def test_the_lesson(learning):
    """All digits, each once; a fifth for the test."""
    data = learning.digits()
    images, labels = load_digits(return_X_y=True)
    assert len(data.test_labels) == len(labels) // 5
    assert len(data.images) + len(data.test_images) == len(images)
    taken = np.concatenate([data.labels, data.test_labels])
    assert (np.bincount(taken) == np.bincount(labels)).all()
    pixels = np.concatenate([data.images, data.test_images])
    assert abs(pixels.mean()) < 1e-4
    assert pixels.std() == pytest.approx(1, abs=1e-4)


GUESSING = math.log(10)


def losses_after(learnt, epochs):
    """The training losses of all nets of each initialization."""
    return {
        name: np.array([lesson.losses[epochs - 1] for lesson in found])
        for name, found in learnt.items()
    }


def test_initializations_of_tanh(learning):
    """Glorot's and He's learn at once, the heuristic late, the constant a little, naive nothing.

    Of 20 seeds: after 8 epochs Glorot at most 0.11, He 0.06, the heuristic at least 2.297; after 20
    Glorot 0.025, He 0.009, the heuristic from 1.0 to 2.2, the constant from 1.57 to 1.60. Least
    accuracies: Glorot 0.96, He 0.95.
    """
    (learnt,) = (found for panel, found in learning.panels.items() if panel.startswith("tanh"))
    early, late = losses_after(learnt, 8), losses_after(learnt, 20)
    assert np.abs(late["naive"] - GUESSING).max() < 0.01
    assert (early["heuristic"] > 2.2).all()
    assert (late["heuristic"] > 0.7).all()
    assert (np.abs(late["constant"] - 1.58) < 0.2).all()
    for name in ("Glorot", "He"):
        assert (early[name] < 0.25).all()
        assert (late[name] < 0.1).all()
        assert min(lesson.accuracy for lesson in learnt[name]) > 0.92


def test_initializations_of_relu(learning):
    """He's learns at once, Glorot's late, heuristic and naive nothing.

    Of 20 seeds: after 8 epochs He from 0.07 to 0.29, Glorot from 1.0 to 2.0; after 20 Glorot at
    most 0.43, He 0.22 (where a step went astray; else 0.02), the constant from 1.91 to 1.92.
    """
    (learnt,) = (found for panel, found in learning.panels.items() if panel.startswith("ReLU"))
    early, late = losses_after(learnt, 8), losses_after(learnt, 20)
    for name in ("naive", "heuristic"):
        assert np.abs(late[name] - GUESSING).max() < 0.01
    assert (np.abs(late["constant"] - 1.9) < 0.2).all()
    assert (early["Glorot"] > 0.8).all()
    assert (early["He"] < 0.5).all()
    assert (late["Glorot"] < 0.8).all()
    assert (late["He"] < 0.5).all()


def test_initializations_of_sigmoid_units(learning):
    """Ten layers learn nothing without the gain, late with it, and at once if they are centred.

    Of 20 seeds: after 8 epochs the gain alone at least 1.86, centred at most 0.51; after 40 the
    gain alone at most 0.35, centred 0.041, and those without at least 2.308.
    """
    early, late = losses_after(learning.learnt, 8), losses_after(learning.learnt, 40)
    for name in ("naive", "Glorot"):
        assert (late[name] > GUESSING - 0.01).all()
        assert max(lesson.accuracy for lesson in learning.learnt[name]) < 0.2
    assert (early["Glorot, gain 4"] > 1.6).all()
    assert (late["Glorot, gain 4"] < 0.7).all()
    centred = "Glorot, gain 4, centred"
    assert (early[centred] < 0.9).all()
    assert (late[centred] < 0.1).all()
    assert min(lesson.accuracy for lesson in learning.learnt[centred]) > 0.9


def test_equal_units_stay_equal(learning):
    """What a layer of equal weights learns, all of its units learn alike.

    Rounding may differ between the rows of a product; what the units have in common is thousands of
    times as large.
    """
    net = learning.Net([64, 50, 50, 50, 10], "tanh")
    learning.initialize(net, learning.INITIALIZATIONS["constant"], seed=1)
    learning.learn(net, learning.digits(), rate=0.05, epochs=2, seed=1)
    for layer in net.layers[:-1]:
        learnt = layer.weight - 1 / 50
        assert learnt.std(axis=0).max() < 1e-3 * np.abs(learnt).max()


def test_the_table_shows_every_initialization(learning):
    """With its loss and accuracy."""
    for name, found in {**learning.learnt, **learning.panels["tanh, steps of 0.05"]}.items():
        assert name in learning.printed
        assert f"{np.mean([lesson.losses[-1] for lesson in found]):.3f} (" in learning.printed
