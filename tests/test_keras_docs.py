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


def run(word, **given):
    """Run the one block with a word; the names that it has then."""
    blocks = re.findall(r"^```python\n(.*?)^```", page("keras.md"), re.S | re.M)
    (block,) = [one for one in blocks if word in one]
    names = {"keras": keras, "fx": fx, "fastxavier": fastxavier, **given}
    exec(block, names)
    return names


def test_layers():
    for word in ("import fastxavier.keras", '"fastxavier>he_normal"'):
        initializer = run(word)["layer"].kernel_initializer
        assert type(initializer) is fastxavier.keras.HeNormal


def test_a_seed():
    names = run("drawn = fx.draw")
    assert digest(names["initializer"]((128, 256))) == digest(names["drawn"])


def test_a_model():
    names = run("init_(model, plan, seed=7)")
    model, report = names["model"], names["report"]
    expected = fx.draw((784, 256), fx.he_normal(layout="keras"), seed=7, stream="net/hidden/kernel")
    np.testing.assert_array_equal(array(model.get_layer("hidden").kernel), expected)
    assert len(report.tensors) == 4
    assert not report.unused_rules


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
