"""Rules that are refused, and settings that are needed: what the tests of plans share."""

import inspect

import pytest

from fastxavier.initializers import INITIALIZERS
from fastxavier.plans import PlanError


def refusal(call):
    with pytest.raises(PlanError) as raised:
        call()
    return raised.value


NEEDED = {"low": 0, "high": 1, "sparsity": 0.5, "value": 2}
NEEDED |= {"scale": 0.5, "mode": "fan_in", "distribution": "normal"}


def needed(name):
    """The settings that an initializer has to have, with values that have no shorter name."""
    parameters = inspect.signature(INITIALIZERS[name].make).parameters
    return {
        key: NEEDED[key]
        for key in INITIALIZERS[name].settings
        if parameters[key].default is inspect.Parameter.empty
    }


# A rule's initializer, its other keys, the argument at fault, and what the message must say.
FAULTS = [
    (
        "glorot_unifrom",
        {},
        "initializer",
        ["'glorot_unifrom'", "did you mean 'glorot_uniform'?", "he_"],
    ),
    ("", {}, "initializer", ["''", "glorot_uniform"]),
    ("glorot_uniform", {"gian": 2}, "gian", ["did you mean 'gain'?", "mode", "in_axis", "parts"]),
    ("zeros", {"gain": 2}, "gain", ["is not a setting of zeros", "none"]),
    ("normal", {"groups": 2}, "groups", ["is not a setting of normal", "'mean', 'std'"]),
    ("normal", {"self": 2}, "self", ["is not a setting"]),
    ("normal", {"name": 2}, "name", ["is not a setting"]),
    ("normal", {"scheme": "zeros"}, "scheme", ["is not a setting"]),
    ("normal", {"rank": 2}, "rank", ["the number of axes is 'ndim'"]),
    ("uniform", {"low": 0}, "high", ["uniform needs high"]),
    (
        "variance_scaling",
        {"mode": "fan_in"},
        "scale",
        ["variance_scaling needs scale and distribution"],
    ),
    ("uniform", {"low": 1, "high": 0}, "low", ["low is 1", "above high"]),
    ("normal", {"std": -1}, "std", ["std is -1", "negative"]),
    ("normal", {"std": "wide"}, "std", ["'wide'", "real number"]),
    ("normal", {"std": True}, "std", ["True", "real number"]),
    ("normal", {"mean": [1.0]}, "mean", ["real number"]),
    ("constant", {"value": {"a": 1}}, "value", ["real number"]),
    ("glorot_uniform", {"gain": "rellu"}, "gain", ["gain", "'rellu'", "did you mean 'relu'?"]),
    ("glorot_uniform", {"gain": "x"}, "gain", ["gain", "'x'", "'relu'", "'tanh'"]),
    ("glorot_uniform", {"gain": -1.0}, "gain", ["gain is -1.0"]),
    ("he_normal", {"mode": "fan_inn"}, "mode", ["'fan_inn'", "did you mean 'fan_in'?", "fan_avg"]),
    ("he_normal", {"layout": "toch"}, "layout", ["'toch'", "did you mean 'torch'?", "keras"]),
    ("dirac", {"layout": "toch"}, "layout", ["'toch'", "did you mean 'torch'?", "keras"]),
    ("he_normal", {"groups": 0}, "groups", ["groups is 0"]),
    ("he_normal", {"groups": 2.0}, "groups", ["groups is 2.0", "integer"]),
    ("he_normal", {"parts": -3}, "parts", ["parts is -3"]),
    ("he_normal", {"transposed": "yes"}, "transposed", ["transposed is 'yes'"]),
    ("he_normal", {"in_axis": 0}, "out_axis", ["out_axis is None", "both"]),
    ("he_normal", {"in_axis": 0, "out_axis": 0}, "in_axis", ["named once"]),
    ("he_normal", {"batch_axis": 10**15}, "batch_axis", [str(10**15)]),
    ("he_normal", {"batch_axis": "all"}, "batch_axis", ["'all'"]),
    ("he_normal", {"batch_axis": [0, [1]]}, "batch_axis", ["batch_axis"]),
    ("he_normal", {"ndim": 1}, "ndim", ["ndim", "two axes"]),
    ("orthogonal", {"ndim": 1}, "ndim", ["two axes"]),
    ("identity", {"ndim": 3}, "ndim", ["two axes"]),
    ("sparse", {"ndim": 1, "sparsity": 0.5}, "ndim", ["two axes"]),
    ("dirac", {"ndim": 2}, "ndim", ["three to five axes"]),
    ("delta_orthogonal", {"ndim": 6}, "ndim", ["three to five axes"]),
    ("zeros", {"beside": 3}, "beside", ["3", "'bias'"]),
    ("zeros", {"beside": ["bias", 3]}, "beside", ["['bias', 3]", "last part"]),
    ("zeros", {"beside": "bn.bias"}, "beside", ["'bn.bias'", "last part"]),
    ("zeros", {"beside": ""}, "beside", ["''", "last part"]),
    ("zeros", {"ndim": "two"}, "ndim", ["'two'", "2+"]),
    ("zeros", {"ndim": "+2"}, "ndim", ["'+2'"]),
    ("zeros", {"ndim": "2 +"}, "ndim", ["'2 +'"]),
    ("zeros", {"ndim": -1}, "ndim", ["-1"]),
    ("zeros", {"ndim": 2.0}, "ndim", ["2.0"]),
    ("zeros", {"ndim": True}, "ndim", ["True"]),
    ("zeros", {"ndim": [1, 2]}, "ndim", ["[1, 2]"]),
    ("zeros", {"ndim": 10**30}, "ndim", ["ndim"]),
    ("zeros", {"ndim": "99+"}, "ndim", ["99"]),
]
