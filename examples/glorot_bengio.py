"""
Why gradients vanish before training, and how a scale cures it
==============================================================

What Glorot & Bengio measured in deep nets before the first step of learning, measured again:
figures 6 and 7 of *Understanding the difficulty of training deep feedforward neural networks*
(AISTATS 2010), the numbers of its sections 4.2 and 4.3 beside ours, and what their derivation says
of sigmoid and ReLU nets. Nothing is trained here; :doc:`numpy_mlp` does that.
"""

# %%
# The net
# -------
#
# Theirs: images of 32 x 32 pixels, five hidden layers of 1,000 tanh units, a softmax over nine
# classes, biases of 0, statistics over 300 examples. Not theirs: the images. Shapeset-3x2 is not at
# hand, so an input is 1,024 independent normal numbers and its label is arbitrary. That matters
# little while nothing has been learnt: of the inputs, the derivation asks only equal variances.
#
# Of the units it asks that tanh be nearly its tangent at 0 (equation 4). So the inputs have a
# standard deviation of 1/4; the last section says what inputs of 1 change.

from __future__ import annotations

import argparse
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import fastxavier as fx

INPUTS, WIDTH, DEPTH, CLASSES, EXAMPLES = 32 * 32, 1000, 5, 9, 300
INPUT_STD = 0.25
SEED = 2010


class Activation(NamedTuple):
    """A unit's nonlinearity, its slope as a function of its value, and its value at 0."""

    value: Callable
    slope: Callable
    centre: float


ACTIVATIONS = {
    "tanh": Activation(np.tanh, lambda z: 1 - z * z, 0.0),
    "sigmoid": Activation(lambda s: 1 / (1 + np.exp(-s)), lambda z: z * (1 - z), 0.5),
    "relu": Activation(lambda s: np.maximum(s, 0), lambda z: (z > 0).astype(z.dtype), 0.0),
}


class Net(NamedTuple):
    """Layer i computes ``s = z @ weights[i].T + biases[i]``, hidden layers then activation(s)."""

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activation: Activation


def initialized(
    initializer, activation="tanh", depth=DEPTH, width=WIDTH, inputs=INPUTS, seed=SEED
) -> Net:
    """A net with initial weights. The name of each is its stream, so no layer depends on others."""
    widths = [inputs, *[width] * depth, CLASSES]
    weights = []
    for i, (below, above) in enumerate(pairwise(widths)):
        weight = np.empty((above, below), np.float32)
        weights.append(fx.fill_(weight, initializer, seed=seed, stream=f"layers.{i}.weight"))
    return Net(weights, [np.zeros(len(w), w.dtype) for w in weights], ACTIVATIONS[activation])


def examples(std=INPUT_STD, count=EXAMPLES, inputs=INPUTS, seed=SEED) -> np.ndarray:
    """Independent normal inputs."""
    return fx.fill_(np.empty((count, inputs), np.float32), fx.Normal(0, std), seed=seed, stream="x")


# %%
# The two initializers that the paper compares: the heuristic of its time, U[-1/sqrt(n), 1/sqrt(n)],
# n being the size of the previous layer (equation 1), and the one that it proposes, the normalized
# initialization U[-a, a] with a = sqrt(6 / (n_j + n_j+1)) (equation 16).

INITIALIZERS = {"heuristic": fx.heuristic_uniform(), "Glorot": fx.glorot_uniform()}

# %%
# One pass, and what it leaves behind
# -----------------------------------
#
# Forward to the cost and back again. In the paper's letters, layer i has the argument s^i, the
# activation z^i and the back-propagated gradient dCost/ds^i; ``activations[0]`` is the input, the
# other two begin with the first hidden layer, and the last gradient is that of the softmax.


class Trace(NamedTuple):
    """What a pass leaves at every layer: one row per example, one column per unit."""

    arguments: list[np.ndarray]
    activations: list[np.ndarray]
    gradients: list[np.ndarray]


def forward(net: Net, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Arguments of every layer, and activations up to the last hidden one."""
    arguments, activations = [], [x]
    for weight, bias in zip(net.weights, net.biases, strict=True):
        arguments.append(activations[-1] @ weight.T + bias)
        activations.append(net.activation.value(arguments[-1]))
    return arguments, activations[:-1]


def cost_gradient(logits: np.ndarray) -> np.ndarray:
    """Of the negative log-likelihood under a softmax, with respect to its arguments."""
    rows = np.arange(len(logits))
    gradient = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient /= gradient.sum(axis=1, keepdims=True)
    gradient[rows, rows % CLASSES] -= 1
    return gradient


def trace(net: Net, x: np.ndarray) -> Trace:
    """One pass forward and back: equation 2 of the paper, layer after layer."""
    arguments, activations = forward(net, x)
    gradients = [cost_gradient(arguments[-1])]
    for weight, z in zip(net.weights[:0:-1], activations[:0:-1], strict=True):
        gradients.insert(0, net.activation.slope(z) * (gradients[0] @ weight))
    return Trace(arguments, activations, gradients)


# %%
# The variance, layer by layer
# ----------------------------
#
# While tanh is its tangent, a layer multiplies the variance of what goes forward by
# n_in Var[W] and of what comes back by n_out Var[W] (equations 5 and 6). Of the heuristic, in a
# layer as wide as its inputs, both are 1/3 (equation 15): two thirds of the variance are lost at
# every layer. Equation 16 makes both 1.


def mean_square(array: np.ndarray) -> float:
    """The variance of what has mean 0, summed in float64."""
    return float(np.mean(np.square(array, dtype=np.float64)))


def activation_variances(found: Trace) -> list[float]:
    """How far activations differ between examples: the variance of each unit, their mean."""
    return [float(z.var(axis=0, dtype=np.float64).mean()) for z in found.activations[1:]]


def argument_variances(found: Trace) -> list[float]:
    """Of the hidden layers' arguments, over examples and units."""
    return [mean_square(s) for s in found.arguments[:-1]]


def gradient_variances(found: Trace) -> list[float]:
    """Of the gradients at the hidden layers' arguments, over examples and units."""
    return [mean_square(gradient) for gradient in found.gradients[:-1]]


def weight_gradient_variances(found: Trace) -> list[float]:
    """Of one example's gradient at a hidden layer's weights, z_l dCost/ds_k (equation 3)."""
    return [
        float(np.mean(np.mean(z**2, axis=1) * np.mean(gradient**2, axis=1)))
        for z, gradient in zip(found.activations[:-1], found.gradients[:-1], strict=True)
    ]


def ratios(variances: Iterable[float]) -> np.ndarray:
    """From each layer to the next one up."""
    variances = np.asarray(variances)
    return variances[1:] / variances[:-1]


# %%
# tanh is not quite its tangent. In wide layers arguments are normal, and what the bend does follows
# from their variance alone, by two one-dimensional integrals for each layer:


class WideLimit(NamedTuple):
    """What infinitely wide layers would do."""

    activations: np.ndarray  # the variance at each hidden layer
    gradients: np.ndarray  # the variance at each hidden layer, in units of the last one's


NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(100)


def normal_mean(function: Callable, variance: float) -> float:
    """E[function(s)] for a normal s of mean 0, by Gauss and Hermite's rule."""
    return float(NODE_WEIGHTS @ function(NODES * math.sqrt(variance)) / math.sqrt(2 * math.pi))


def wide_limit(activation, n_var_w, input_variance, centred=True, depth=DEPTH) -> WideLimit:
    """The limit for layers of one width; if `centred`, they send on what exceeds their centre."""
    value, slope, centre = ACTIVATIONS[activation]
    sent, activations, factors = input_variance, [], []
    for _ in range(depth):
        variance = n_var_w * sent
        sent = normal_mean(lambda s: (value(s) - centre * centred) ** 2, variance)
        activations.append(sent)
        factors.append(n_var_w * normal_mean(lambda s: slope(value(s)) ** 2, variance))
    return WideLimit(np.array(activations), np.cumprod([1, *factors[-2::-1]])[::-1])


# %%
# Colours belong to initializers, here and in :doc:`numpy_mlp`; dotted lines are the wide limit.

COLOURS = {
    "heuristic": "#D55E00",
    "Glorot": "#0072B2",
    "Glorot, gain 4": "#56B4E9",
    "Glorot, gain 4, centred": "#332288",
    "He": "#009E73",
}
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.dpi": 120,
    "figure.titleweight": "bold",
    "font.size": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "svg.hashsalt": "fastxavier",
}


class Panel(NamedTuple):
    """What one pair of axes shows: a value per layer for each initializer, and the wide limits."""

    title: str
    curves: Mapping[str, Iterable[float]]
    limits: Iterable[Iterable[float]] = ()


def plot_panels(title: str, panels: list[Panel]):
    """Side by side, on one logarithmic axis."""
    from matplotlib import pyplot as plt

    with plt.rc_context(STYLE):
        size = (3.3 * len(panels), 3.6)
        figure, row = plt.subplots(1, len(panels), figsize=size, sharey=True, layout="constrained")
        for axes, panel in zip(row, panels, strict=True):
            plot_curves(axes, panel)
            axes.set(title=panel.title, xlabel="hidden layer")
            axes.xaxis.get_major_locator().set_params(integer=True)
        row[0].plot([], [], "k:", linewidth=1.2, label="infinitely wide layers")
        row[0].set_ylabel("variance")
        row[0].legend()
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def plot_curves(axes, panel: Panel) -> None:
    """Markers shrink from curve to curve, so that equal curves are both seen."""
    for i, (name, values) in enumerate(panel.curves.items()):
        line = {"color": COLOURS[name], "label": name, "markersize": 9 - 2 * i}
        marker = "o" if len(values) <= DEPTH else ""
        axes.semilogy(range(1, len(values) + 1), values, marker=marker, **line)
    for values in panel.limits:
        axes.semilogy(range(1, len(values) + 1), values, "k:", linewidth=1.2)


def save(figure, folder: str, name: str) -> None:
    """As PNG and SVG."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    figure.savefig(pathlib.Path(folder, f"{name}.png"), dpi=160)
    figure.savefig(pathlib.Path(folder, f"{name}.svg"), metadata={"Date": None})


# %%
# The heuristic's gradients fall to a third with every layer that they pass, as equation 15 says.
# The normalized initialization loses a tenth, and that is tanh's bend: the dotted lines know it.
# The third panel is what was "initially really surprising" to the authors: the gradients of the
# weights are the same in all layers under both initializers. What one factor of equation 3 loses on
# the way back, the other had lost on the way forth (equation 14).


def relative(values: Iterable[float], layer: int) -> np.ndarray:
    """In units of one layer's value."""
    values = np.asarray(values)
    return values / values[layer]


def upward(what: str, variances: Callable, traces: dict, limits: dict) -> Panel:
    """What goes up, in units of what the first hidden layer has."""
    return Panel(
        f"{what} (layer 1 = 1)",
        {name: relative(variances(found), 0) for name, found in traces.items()},
        [relative(limit.activations, 0) for limit in limits.values()],
    )


def downward(what: str, variances: Callable, traces: dict, limits: dict) -> Panel:
    """What comes back, in units of what the last hidden layer has."""
    curves = {name: relative(variances(found), -1) for name, found in traces.items()}
    (depth,) = {len(values) for values in curves.values()}
    return Panel(
        f"{what} (layer {depth} = 1)", curves, [limit.gradients for limit in limits.values()]
    )


def tanh_limits(input_std: float = INPUT_STD) -> dict[str, WideLimit]:
    """Equation 15's 1/3, and 1."""
    return {
        "heuristic": wide_limit("tanh", 1 / 3, input_std**2),
        "Glorot": wide_limit("tanh", 1, input_std**2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Glorot & Bengio (2010), measured again.")
    parser.add_argument("--out", default="build/examples", help="folder for the pictures")
    OUT = parser.parse_args().out

    NETS = {name: initialized(initializer) for name, initializer in INITIALIZERS.items()}
    TANH = {name: trace(net, examples()) for name, net in NETS.items()}
    figure = plot_panels(
        "The heuristic loses two thirds of the variance at every layer, Glorot's keeps it",
        [
            upward("activations", activation_variances, TANH, tanh_limits()),
            downward("back-propagated gradients", gradient_variances, TANH, tanh_limits()),
            downward("weight gradients", weight_gradient_variances, TANH, {}),
        ],
    )
    save(figure, OUT, "variances")

# %%
# Figures 6 and 7
# ---------------
#
# The same as histograms, one above the other as layers are, each scaled to one height. The paper
# overlays them and says of the heuristic's activations that the "0-peak increases for higher
# layers" (figure 6, top), and of its gradients that it "decreases for higher layers" (figure 7,
# top): a narrow histogram is a high one. The flat top of layer 5's gradients is right: they are
# but for little the output weights themselves, which are uniform.


def plot_ridge(axes, array: np.ndarray, base: float, colour: str) -> None:
    """A histogram of one height, on a base line, with its standard deviation."""
    std = float(array.std())
    heights, edges = np.histogram(array, np.linspace(-4 * std, 4 * std, 61))
    ridge = base + 0.85 * heights / heights.max()
    middles = (edges[1:] + edges[:-1]) / 2
    axes.axhline(base, color=colour, linewidth=0.6)
    axes.fill_between(middles, base, ridge, color=colour, alpha=0.3, linewidth=0)
    axes.plot(middles, ridge, color=colour, linewidth=1.4)
    label_at = (1, base + 0.22)
    axes.text(*label_at, f"std {std:#.2g}", ha="right", transform=axes.get_yaxis_transform())


def plot_histograms(title: str, values: dict[str, list[np.ndarray]], label: str):
    """One column for each initializer, one ridge for each layer, the same axis for all."""
    from matplotlib import pyplot as plt

    reach = 3.2 * max(float(array.std()) for arrays in values.values() for array in arrays)
    with plt.rc_context(STYLE):
        size = (4.1 * len(values), 4.2)
        figure, row = plt.subplots(1, len(values), figsize=size, sharey=True, layout="constrained")
        for axes, (name, arrays) in zip(row, values.items(), strict=True):
            for layer, array in enumerate(arrays, 1):
                plot_ridge(axes, array, layer, COLOURS[name])
            axes.set(title=name, xlabel=label, xlim=(-reach, reach))
            axes.set_yticks(range(1, len(arrays) + 1))
            axes.yaxis.set_major_formatter("layer {x:.0f}")
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        figure.suptitle(title, x=0.01, ha="left")
    return figure


if __name__ == "__main__":
    figure = plot_histograms(
        "Figure 6: under the heuristic, activations close in on 0 towards the top",
        {name: found.activations[1:] for name, found in TANH.items()},
        "activation",
    )
    save(figure, OUT, "figure6")
    figure = plot_histograms(
        "Figure 7: under the heuristic, gradients close in on 0 towards the bottom",
        {
            name: [gradient / found.gradients[-2].std() for gradient in found.gradients[:-1]]
            for name, found in TANH.items()
        },
        "back-propagated gradient, in units of layer 5's std",
    )
    save(figure, OUT, "figure7")

# %%
# The average singular value
# --------------------------
#
# Of the Jacobian of one layer, J^i = d z^i+1 / d z^i (equation 17), the paper gives the average
# singular value: "around 0.8" after its own initialization, and with the standard one "it drops
# down to 0.5". Both follow from the quarter circle distribution: the singular values of a square
# matrix of independent entries of variance v / n average 8 / (3 pi) sqrt(v). That is 0.849 for
# v = 1 and 0.490 for v = 1/3, and tanh's bend takes a little more. (The paper takes the average
# also for the ratio of the variances. That ratio is the average of the squares, which is v.)


def average_singular_value(net: Net, found: Trace, layer: int) -> float:
    """Of the Jacobian from one hidden layer's activations to the next one's, at one example."""
    slope = net.activation.slope(found.activations[layer + 1][0])
    jacobian = slope[:, np.newaxis] * net.weights[layer]
    return float(np.linalg.svd(jacobian, compute_uv=False).mean())


# %%
# Sigmoid units
# -------------
#
# The derivation wants a slope of 1 at 0 and a mean of 0. The logistic sigmoid has a slope of 1/4,
# which a gain of 4 makes up for, and a mean of 1/2, which it does not: n units that send 1/2 each
# add to the next argument a number of variance n Var[W] / 4, which is 4 when the gain is 4. It is
# another number for each unit and the same for all examples, so it drives units into saturation
# and tells nothing.
#
# Centred, the unit is sigmoid(s) - 1/2. It is the same to leave the unit as it is and to begin
# with biases that take the constant off again, minus half the sum of each row of weights. So the
# cure is a matter of initialization, not of another activation.


def centred(net: Net) -> Net:
    """The net with biases that cancel what its units send on at argument 0."""
    take_off = [w.sum(axis=1) * w.dtype.type(-net.activation.centre) for w in net.weights]
    return net._replace(biases=[net.biases[0], *take_off[1:]])


def sigmoid_nets() -> dict[str, Net]:
    """Glorot's initializer as it is, with the gain, and with the gain and centred."""
    with_gain = initialized(fx.glorot_uniform(gain="sigmoid"), "sigmoid")
    return {
        "Glorot": initialized(fx.glorot_uniform(), "sigmoid"),
        "Glorot, gain 4": with_gain,
        "Glorot, gain 4, centred": centred(with_gain),
    }


# %%
# Without a gain, more than 15 parts in 16 are lost at every layer, both ways. With it six in ten
# are, because of the constants. Centred, a layer loses a fifth, which is the bend of the curve.


def sigmoid_limits() -> dict[str, WideLimit]:
    """n Var[W] is the square of the gain."""
    return {
        "Glorot": wide_limit("sigmoid", 1, INPUT_STD**2, centred=False),
        "Glorot, gain 4": wide_limit("sigmoid", 16, INPUT_STD**2, centred=False),
        "Glorot, gain 4, centred": wide_limit("sigmoid", 16, INPUT_STD**2),
    }


if __name__ == "__main__":
    SIGMOID = {name: trace(net, examples()) for name, net in sigmoid_nets().items()}
    figure = plot_panels(
        "Sigmoid units need a gain of 4, and their mean taken off",
        [
            upward("activations", activation_variances, SIGMOID, {}),
            downward("back-propagated gradients", gradient_variances, SIGMOID, sigmoid_limits()),
        ],
    )
    save(figure, OUT, "sigmoid")

# %%
# ReLU
# ----
#
# A rectifier of an argument that is as often negative as positive halves the second moment and,
# on the way back, the gradient's. It has no tangent at 0 to hold on to, and needs none: halving is
# exact at any scale. He et al. (2015) double Var[W], a gain of sqrt(2). The paper's initializer,
# without it, is left with a factor of 2^-29, two billionths, from the first of 30 layers to the
# last. What is shown is the arguments' second moment, which is what their derivation keeps.

RELU_DEPTH, RELU_EXAMPLES = 30, 100


def relu_nets() -> dict[str, Net]:
    """Glorot's initializer, and He's, which has the gain and divides by the inputs alone."""
    initializers = {"Glorot": fx.glorot_uniform(), "He": fx.he_normal()}
    return {
        name: initialized(initializer, "relu", RELU_DEPTH)
        for name, initializer in initializers.items()
    }


def relu_limits() -> dict[str, WideLimit]:
    """Halved at every layer, or kept; of second moments, not of what differs between examples."""
    return {
        "Glorot": wide_limit("relu", 1, INPUT_STD**2, depth=RELU_DEPTH),
        "He": wide_limit("relu", 2, INPUT_STD**2, depth=RELU_DEPTH),
    }


if __name__ == "__main__":
    INPUTS_OF_RELU = examples(count=RELU_EXAMPLES)
    RELU = {name: trace(net, INPUTS_OF_RELU) for name, net in relu_nets().items()}
    figure = plot_panels(
        "ReLU halves the variance at every layer, He's gain makes up for it",
        [
            upward("arguments", argument_variances, RELU, relu_limits()),
            downward("back-propagated gradients", gradient_variances, RELU, relu_limits()),
        ],
    )
    save(figure, OUT, "relu")

# %%
# The numbers
# -----------
#
# Where the paper gives none, the number beside ours is that of its derivation, in parentheses. From
# layer to layer means along the way: of activations the upper one over the lower one, of gradients
# the lower over the upper.


def in_a_row(values) -> str:
    """As the table shows them."""
    return " ".join(f"{value:.2f}" for value in values)


def backwards(variances: list[float]) -> np.ndarray:
    """From each layer to the one below, beginning at the lowest."""
    return 1 / ratios(variances)


def tanh_rows(name: str, net: Net, found: Trace) -> list[tuple[str, str, str]]:
    """An initializer of the paper's: what was measured, there and here."""
    factor, singular = {"heuristic": ("1/3", "0.5"), "Glorot": ("1", "0.8")}[name]
    drawn = WIDTH * mean_square(net.weights[1])
    jacobians = [average_singular_value(net, found, layer) for layer in range(1, DEPTH)]
    return [
        ("n Var[W]", factor, f"{drawn:.3f}"),
        ("activations", f"({factor})", in_a_row(ratios(activation_variances(found)))),
        ("gradients", f"({factor})", in_a_row(backwards(gradient_variances(found)))),
        ("weight gradients", "(1)", in_a_row(backwards(weight_gradient_variances(found)))),
        ("average singular value", singular, in_a_row(jacobians)),
    ]


def gradient_row(factor: str, found: Trace) -> tuple[str, str, str]:
    """The gradients of any net; of a deep net the mean factor."""
    factors = backwards(gradient_variances(found))
    if len(factors) > DEPTH:
        factors = [np.exp(np.mean(np.log(factors)))]
    return ("gradients", f"({factor})", in_a_row(factors))


def print_rows(title: str, rows: list[tuple[str, str, str]]) -> None:
    """One part of the table."""
    print(f"\n{title}")
    for what, there, here in rows:
        print(f"  {what:<24}{there:>7}   {here}")


if __name__ == "__main__":
    print(f"{'variance, layer to layer':<26}{'paper':>7}   here")
    for name, found in TANH.items():
        print_rows(f"tanh, {name}", tanh_rows(name, NETS[name], found))
    for name, factor in {"heuristic": "1/3", "Glorot": "1"}.items():
        unit = trace(NETS[name], examples(std=1.0))
        print_rows(f"tanh, {name}, unit inputs", [gradient_row(factor, unit)])
    for (name, found), factor in zip(SIGMOID.items(), ("1/16", "1", "1"), strict=True):
        print_rows(f"sigmoid, {name}", [gradient_row(factor, found)])
    for (name, found), factor in zip(RELU.items(), ("1/2", "1"), strict=True):
        print_rows(f"ReLU, {name}, {RELU_DEPTH} layers", [gradient_row(factor, found)])

# %%
# Unit inputs bend tanh in the lowest layer, and there the normalized initialization loses half as
# well: it keeps what is small. :doc:`numpy_mlp` shows what all of this is worth to learning.
