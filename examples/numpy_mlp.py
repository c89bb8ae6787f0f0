"""
A net in NumPy, and what its initialization is worth
====================================================

A small framework of one's own, which calls fastxavier for its weights, learns handwritten digits
with five initializations. In a net of ten layers the initialization decides not how well it learns
but whether it does. Why that is so, :doc:`glorot_bengio` measures before the first step; here the
steps are taken.
"""

# %%
# The framework
# -------------
#
# Dense layers, four activations, the cross-entropy of a softmax and plain gradient descent. Every
# parameter has a name, and that and its shape are all that an initialization needs to know.

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import fastxavier as fx


class Activation(NamedTuple):
    """A unit's nonlinearity, and its slope as a function of its value."""

    value: Callable
    slope: Callable


ACTIVATIONS = {
    "linear": Activation(lambda s: s, np.ones_like),
    "tanh": Activation(np.tanh, lambda z: 1 - z * z),
    "sigmoid": Activation(lambda s: 1 / (1 + np.exp(-s)), lambda z: z * (1 - z)),
    "ReLU": Activation(lambda s: np.maximum(s, 0), lambda z: (z > 0).astype(z.dtype)),
}


class Dense:
    """A layer: activation(x @ weight.T + bias)."""

    def __init__(self, fan_in: int, fan_out: int, activation: str) -> None:
        self.weight = np.zeros((fan_out, fan_in), np.float32)
        self.bias = np.zeros(fan_out, np.float32)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        self.z = self.activation.value(x @ self.weight.T + self.bias)
        return self.z

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """From the gradient at the output to that at the input; keeps those in between."""
        gradient = gradient * self.activation.slope(self.z)
        self.gradients = {"weight": gradient.T @ self.x, "bias": gradient.sum(axis=0)}
        return gradient @ self.weight


class Net:
    """Dense layers, one after the other; the last one is linear."""

    def __init__(self, widths: list[int], activation: str) -> None:
        kinds = [activation] * (len(widths) - 2) + ["linear"]
        self.layers = [
            Dense(*fans, kind) for fans, kind in zip(pairwise(widths), kinds, strict=True)
        ]

    def parameters(self) -> dict[str, np.ndarray]:
        """Every array that is learnt, by name."""
        return {
            f"layers.{i}.{kind}": getattr(layer, kind)
            for i, layer in enumerate(self.layers)
            for kind in ("weight", "bias")
        }

    def gradients(self) -> dict[str, np.ndarray]:
        """Of the last cost, by the same names."""
        return {
            f"layers.{i}.{kind}": gradient
            for i, layer in enumerate(self.layers)
            for kind, gradient in layer.gradients.items()
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, gradient: np.ndarray) -> None:
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean negative log-likelihood under a softmax, and its gradient."""
    rows = np.arange(len(labels))
    logits = logits - logits.max(axis=1, keepdims=True)
    log_likelihood = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    gradient = np.exp(log_likelihood)
    gradient[rows, labels] -= 1
    return -float(log_likelihood[rows, labels].mean()), gradient / np.float32(len(labels))


def step(net: Net, x: np.ndarray, labels: np.ndarray, rate: float) -> float:
    """One step of gradient descent; the cost before it."""
    cost, gradient = cross_entropy(net.forward(x), labels)
    net.backward(gradient)
    gradients = net.gradients()
    for name, parameter in net.parameters().items():
        parameter -= np.float32(rate) * gradients[name]
    return cost


# %%
# The initializations
# -------------------
#
# Rules choose an initializer for every name, and ``init_`` fills each parameter by it. The name is
# also the stream: a seed gives a layer the same weights whatever else the net has, and whatever the
# number of threads or the machine. Biases are 0, except in one case, of which more below.


class Initialization(NamedTuple):
    """A rule for the weights, and what units send on at argument 0, for biases to cancel."""

    rule: fx.Rule
    centre: float = 0.0


INITIALIZATIONS = {
    "constant": Initialization(fx.Rule("*.weight", "constant", value=1 / 50)),
    "naive": Initialization(fx.Rule("*.weight", "uniform", low=-0.1, high=0.1)),
    "heuristic": Initialization(fx.Rule("*.weight", "heuristic_uniform")),
    "Glorot": Initialization(fx.Rule("*.weight", "glorot_uniform")),
    "He": Initialization(fx.Rule("*.weight", "he_normal")),
    "Glorot, gain 4": Initialization(fx.Rule("*.weight", "glorot_uniform", gain="sigmoid")),
    "Glorot, gain 4, centred": Initialization(
        fx.Rule("*.weight", "glorot_uniform", gain="sigmoid"), centre=0.5
    ),
}


def initialize(net: Net, initialization: Initialization, seed: int) -> None:
    """Draw the weights, each from its own stream, then set the biases."""
    plan = fx.Plan([initialization.rule, fx.Rule("*.bias", "zeros")])
    fx.init_(net.parameters(), plan, seed=seed)
    for layer in net.layers[1:]:
        layer.bias -= initialization.centre * layer.weight.sum(axis=1)


# %%
# The lesson
# ----------
#
# The digits that come with scikit-learn: 1,797 images of 8 x 8 pixels, a fifth of them kept for the
# test. Pixels are scaled to mean 0 and variance 1 over all of them.


class Digits(NamedTuple):
    """Images as rows, and what they show."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def digits() -> Digits:
    """The same split for every net."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = ((images - images.mean()) / images.std()).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(images))
    test, training = np.split(order, [len(images) // 5])
    return Digits(images[training], labels[training], images[test], labels[test])


class Lesson(NamedTuple):
    """What came of learning: the training loss of every epoch, and the accuracy at its end."""

    losses: list[float]
    accuracy: float


def learn(net: Net, data: Digits, rate: float, epochs: int, seed: int, batch: int = 32) -> Lesson:
    """Epochs of steps over mini-batches in random order."""
    random, losses = np.random.default_rng(seed), []
    for _ in range(epochs):
        order = random.permutation(len(data.images))
        batches = [order[i : i + batch] for i in range(0, len(order), batch)]
        costs = [step(net, data.images[b], data.labels[b], rate) for b in batches]
        losses.append(float(np.mean(costs)))
    answers = net.forward(data.test_images).argmax(axis=1)
    return Lesson(losses, float(np.mean(answers == data.test_labels)))


# %%
# Ten layers
# ----------
#
# Nets of ten hidden layers of 50 units, five of each initialization, which differ in the seed.

WIDTH, DEPTH = 50, 10


def lessons(activation, names, data, rate, epochs, seeds) -> dict[str, list[Lesson]]:
    """One lesson for every initialization and seed."""
    widths = [data.images.shape[1], *[WIDTH] * DEPTH, 10]
    learnt = {name: [] for name in names}
    for name in names:
        for seed in range(seeds):
            net = Net(widths, activation)
            initialize(net, INITIALIZATIONS[name], seed)
            learnt[name].append(learn(net, data, rate, epochs, seed))
    return learnt


def print_lessons(title: str, learnt: dict[str, list[Lesson]]) -> None:
    """The mean over the seeds, and from the least to the greatest."""
    print(f"\n{title:<26}{'loss at the end':>26}{'accuracy':>26}")
    for name, found in learnt.items():
        losses = [lesson.losses[-1] for lesson in found]
        shares = [lesson.accuracy for lesson in found]
        loss = f"{np.mean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f})"
        share = f"{np.mean(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"
        print(f"  {name:<24}{loss:>26}{share:>26}", flush=True)


# %%
# Colours belong to initializations, here and in :doc:`glorot_bengio`.

COLOURS = {
    "constant": "#999999",
    "naive": "#E69F00",
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


def plot_lessons(title: str, panels: dict[str, dict[str, list[Lesson]]]):
    """Loss against the epoch, panels side by side."""
    from matplotlib import pyplot as plt

    with plt.rc_context(STYLE):
        size = (4.2 * len(panels) + 0.4, 3.8)
        figure, row = plt.subplots(
            1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained"
        )
        for axes, (panel, learnt) in zip(row[0], panels.items(), strict=True):
            plot_curves(axes, learnt)
            axes.set(title=panel, xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        row[0][0].set_ylabel("training loss")
        row[0][0].legend(loc="lower left")
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def plot_curves(axes, learnt: dict[str, list[Lesson]]) -> None:
    """The mean over the seeds, in a band from the least to the greatest."""
    for i, (name, found) in enumerate(learnt.items()):
        losses = np.array([lesson.losses for lesson in found])
        epochs, colour = np.arange(1, losses.shape[1] + 1), COLOURS[name]
        band = losses.min(axis=0), losses.max(axis=0)
        width = max(2, 5 - 1.5 * i)  # so that equal curves are all seen
        axes.fill_between(epochs, *band, color=colour, alpha=0.2, linewidth=0)
        axes.semilogy(epochs, losses.mean(axis=0), color=colour, linewidth=width, label=name)
    axes.axhline(np.log(10), color="k", linestyle=":", linewidth=1.2, label="guessing")


def save(figure, folder: str, name: str) -> None:
    """As PNG and SVG."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    figure.savefig(pathlib.Path(folder, f"{name}.png"), dpi=160)
    figure.savefig(pathlib.Path(folder, f"{name}.svg"), metadata={"Date": None})


# %%
# With tanh, Glorot's initialization and He's both learn at once. He's has twice the variance, which
# makes up for the bend of tanh that the derivation leaves out, and is a little ahead. The naive
# one, U[-0.1, 0.1], sends back a gradient with a sixth of its variance at each of ten layers and
# learns nothing; the heuristic sends a third, and waits for ten epochs. With ReLU, which halves
# what passes, the heuristic has a sixth too, Glorot's a half, and only He's loses nothing.
#
# The constant one, 1/50 in layers of 50, passes signals on as they are, and fails for another
# reason: all units of a layer are equal, get the same gradient and stay equal. A layer of 50 units
# is one unit, and learns as much as one can.

FIVE = ["constant", "naive", "heuristic", "Glorot", "He"]
RATES = {"tanh": 0.05, "ReLU": 0.02, "sigmoid": 0.1}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the initialization of a net is worth.")
    parser.add_argument("--out", default="build/examples", help="folder for the pictures")
    parser.add_argument(
        "--seeds", type=int, default=5, help="nets of each initialization (default: 5)"
    )
    OPTIONS = parser.parse_args()

    DIGITS = digits()
    panels = {}
    for activation in ("tanh", "ReLU"):
        learnt = lessons(activation, FIVE, DIGITS, RATES[activation], 20, OPTIONS.seeds)
        panels[f"{activation}, steps of {RATES[activation]}"] = learnt
        print_lessons(f"{activation}, 20 epochs", learnt)
    figure = plot_lessons("In ten layers the initialization decides whether a net learns", panels)
    save(figure, OPTIONS.out, "initializations")

# %%
# Ten sigmoid layers
# ------------------
#
# A sigmoid unit has a slope of 1/4 and passes on 1/16 of the variance. Under Glorot's
# initialization as it is, a trillionth of the gradient's variance is left after ten layers, under
# the naive one less, and no rate helps: 0.03, 0.1, 0.3, 1 and 3 all left them at the loss of
# guessing for 60 epochs.
#
# A gain of 4 makes up for the slope of 1/4, and the plain sigmoid net learns, though it idles
# first: units send a mean of 1/2, which the gain enlarges with the rest, and it drives the layers
# above into saturation. Biases that begin at minus half the sum of their weights take the mean off,
# and nothing is left to wait for. The units are still sigmoids; both cures are a matter of
# initialization.

SIGMOID = ["naive", "Glorot", "Glorot, gain 4", "Glorot, gain 4, centred"]

if __name__ == "__main__":
    learnt = lessons("sigmoid", SIGMOID, DIGITS, RATES["sigmoid"], 40, OPTIONS.seeds)
    print_lessons("sigmoid, 40 epochs", learnt)
    figure = plot_lessons(
        "Ten sigmoid layers learn, given the gain,\nand at once if their mean is taken off",
        {f"sigmoid, steps of {RATES['sigmoid']}": learnt},
    )
    save(figure, OPTIONS.out, "sigmoid_initializations")
