"""docs/keras.md: its blocks run and do what the page says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_docs import ROOT, page

keras = pytest.importorskip("keras")

from keras_cases import ALL, array, digest  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.keras  # noqa: E402


@pytest.fixture(scope="module")
def names():
    """What a reader has who pastes the blocks one after the other."""
    found = {}
    layers = []
    for block in re.findall(r"^```python\n(.*?)^```", page("keras.md"), re.S | re.M):
        exec(block, found)
        if "layer =" in block:
            layers.append(found["layer"])
    return {**found, "layers": layers}


def test_layers(names):
    assert len(names["layers"]) == 2
    for layer in names["layers"]:
        assert type(layer.kernel_initializer) is fastxavier.keras.HeNormal


def test_a_seed(names):
    assert digest(names["initializer"]((128, 256))) == digest(names["drawn"])


def test_a_model(names):
    model, report = names["model"], names["report"]
    expected = fx.draw((784, 256), fx.he_normal(layout="keras"), seed=7, stream="net/hidden/kernel")
    np.testing.assert_array_equal(array(model.get_layer("hidden").kernel), expected)
    assert len(report.tensors) == 4
    assert not report.unused_rules


def test_axes_of_both_kinds():
    """Keras counts them in both fans, and here they are an error, as the page says."""
    given = re.search(r"`HeNormal\((input_axes=\S+, output_axes=.*?)\)`", page("keras.md"))[1]
    axes = eval(f"dict({given})")
    assert keras.initializers.HeNormal(**axes)((3, 4)).shape == (3, 4)
    with pytest.raises(fx.ArgumentValueError, match="each axis may be named once"):
        fastxavier.keras.HeNormal(**axes)((3, 4))


def test_every_class_is_named():
    named = set(re.findall(r"`(\w+)`", page("keras.md")))
    assert set(ALL) < named


def test_reference():
    """Every public name is in the reference, and the other way."""
    text = (ROOT / "docs" / "api.rst").read_text()
    listed = set(re.findall(r"^   keras\.(\S+)$", text, re.M))
    assert set(fastxavier.keras.__all__) == listed
    for name in listed:
        assert getattr(fastxavier.keras, name).__doc__
