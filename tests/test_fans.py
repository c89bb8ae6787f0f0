"""Fans: from a shape, by counting the connections of a layer that has the shape."""

import doctest
import importlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastxavier._fans import Fans, fans

# ---- the truth, counted --------------------------------------------------------------------------


def connections(outputs, inputs, kernel, groups=1, transposed=False):
    """Fans of a (transposed) convolution of stride 1, counted on a line of places.

    Fan in is how many input values a value in the middle of the output sums; fan out is how many
    output values one in the middle of the input is part of.
    """
    places = 4 * kernel + 1
    pairs = set()
    for o, i, k, place in itertools.product(
        range(outputs), range(inputs), range(kernel), range(places)
    ):
        if o * groups // outputs == i * groups // inputs:
            there = place + k if transposed else place - k
            pairs.add(((o, there), (i, place)))
    middle = 2 * kernel
    return Fans(
        sum(to == (0, middle) for to, _ in pairs), sum(of == (0, middle) for _, of in pairs)
    )


SIZES = [(outputs, inputs, kernel) for outputs in (4, 12) for inputs in (4, 8) for kernel in (1, 3)]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("outputs", "inputs", "kernel"), SIZES)
def test_convolution(outputs, inputs, kernel, groups):
    """The shapes in which torch and Flax or Keras hold a convolution, depthwise ones included."""
    expected = connections(outputs, inputs, kernel, groups)
    assert fans((outputs, inputs // groups, kernel), groups=groups) == expected
    for layout in ("jax", "keras"):
        assert fans((kernel, inputs // groups, outputs), layout, groups=groups) == expected
    assert (
        fans((inputs // groups, kernel, outputs), in_axis=0, out_axis=2, groups=groups) == expected
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("outputs", "inputs", "kernel"), SIZES)
def test_transposed_convolution(outputs, inputs, kernel, groups):
    """torch (in, out / groups, kernel); Keras (kernel, out, in); Flax (kernel, in, out)."""
    expected = connections(outputs, inputs, kernel, groups, transposed=True)
    shape = (inputs, outputs // groups, kernel)
    assert fans(shape, groups=groups, transposed=True) == expected
    if groups == 1:
        assert fans((kernel, outputs, inputs), "keras", transposed=True) == expected
        assert fans((kernel, inputs, outputs), "jax", transposed=True) == expected


@pytest.mark.parametrize("kernel", [1, 3])
def test_depthwise_keras(kernel):
    """(kernel, channels, multiplier), as the notes say."""
    channels, multiplier = 6, 2
    expected = connections(channels * multiplier, channels, kernel, groups=channels)
    shape = (kernel, channels, multiplier)
    assert fans(shape, in_axis=(), out_axis=-1, batch_axis=-2) == expected


def test_known_numbers():
    """Written out by hand."""
    assert fans((128, 256)) == (256, 128)
    assert fans((256, 128), "jax") == fans((256, 128), "keras") == (256, 128)
    assert fans((64, 3, 7, 7)) == (147, 3136)
    assert fans((7, 7, 3, 64), "jax") == (147, 3136)
    assert fans((2, 3, 5, 7, 11)) == (3 * 385, 2 * 385)
    assert fans((32, 1, 3, 3), groups=32) == (9, 9)
    assert fans((64, 32, 4, 4), transposed=True) == (64 * 16, 32 * 16)
    assert fans((512, 2048), in_axis=1, out_axis=0) == (2048, 512)


def test_result_is_a_named_pair():
    """It unpacks into an initializer's first two parameters, and holds Python's integers."""
    result = fans(np.empty((4, 3), np.float16).shape)
    fan_in, fan_out = result
    assert (fan_in, fan_out) == (result.fan_in, result.fan_out) == (3, 4)
    assert type(fans((np.int8(100), np.int8(100), np.int8(100))).fan_in) is int
    assert fans((np.int8(100), np.int8(100), np.int8(100))) == (10_000, 10_000)
    assert fans(iter([10**30, 10**40, 2])) == (2 * 10**40, 2 * 10**30)


# ---- packed, stacked, looked up ------------------------------------------------------------------


def test_parts():
    """A packed projection has the fans of its parts alone."""
    assert fans((3 * 96, 64), parts=3) == fans((96, 64)) == (64, 96)
    assert fans((64, 3 * 96), "jax", parts=3) == (64, 96)
    assert fans((64, 3, 8, 12), in_axis=0, out_axis=(1, 2, 3), parts=3) == (64, 96)
    assert fans((2 * 96, 8, 5), parts=2, groups=4) == fans((96, 8, 5), groups=4)
    assert fans((64, 2 * 96, 5), parts=2, transposed=True) == fans((64, 96, 5), transposed=True)


def test_stacked_layers():
    """Each of the stack is a layer for itself, whatever axis they are stacked along."""
    assert fans((8, 96, 64), batch_axis=0) == fans((96, 64))
    assert fans((96, 8, 64), batch_axis=1) == fans((96, 64, 8), batch_axis=-1) == fans((96, 64))
    assert fans((8, 64, 96), "jax", batch_axis=0) == fans((64, 96), "jax")
    assert fans((8, 5, 64, 96), "keras", batch_axis=0) == fans((5, 64, 96), "keras")
    assert fans((8, 2, 96, 64), batch_axis=(0, -3)) == fans((96, 64))
    assert fans((8, 64, 96), in_axis=1, out_axis=2, batch_axis=0) == (64, 96)
    assert fans((8, 1000, 64), "embedding", batch_axis=0) == (1, 64)


def test_embedding():
    """A row is looked up: one input, and the vocabulary does not matter."""
    assert fans((50_000, 768), "embedding") == fans((7, 768), "embedding") == (1, 768)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.data())
@settings(max_examples=150, deadline=None)
def test_axes_in_any_order(shape, data):
    """Naming the axes gives what the layout gives, wherever they are put, by either sign."""
    places = data.draw(st.permutations(range(len(shape))))
    moved = [shape[place] for place in places]
    inputs, outputs = places.index(1), places.index(0)
    expected = fans(shape)
    assert fans(moved, in_axis=inputs, out_axis=outputs) == expected
    assert fans(moved, in_axis=inputs - len(shape), out_axis=[outputs]) == expected
    assert expected.fan_in * shape[0] == expected.fan_out * shape[1] == math.prod(shape)


def test_zero_extents():
    """A layer without inputs, outputs or kernel has fans of 0."""
    assert fans((0, 3)) == (3, 0)
    assert fans((3, 0)) == (0, 3)
    assert fans((4, 3, 0)) == (0, 0)
    assert fans((0, 3), groups=2, parts=3) == (3, 0)


def test_listed_axes_are_those_of_a_tensor_of_any_number():
    """As in JAX, where a bias has the fans of the axes that the caller lists for it."""
    assert fans((5,), in_axis=[0], out_axis=[]) == (5, 1)
    assert fans((5,), in_axis=(), out_axis=(0,)) == (1, 5)
    assert fans((5,), in_axis=(), out_axis=()) == (5, 5)
    assert fans((), in_axis=(), out_axis=()) == (1, 1)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,)])
@pytest.mark.parametrize(
    "options",
    [{}, {"layout": "keras"}, {"layout": "embedding"}, {"in_axis": 0, "out_axis": ()}],
    ids=repr,
)
def test_too_few_axes(shape, options):
    """ValueError that says what to give instead."""
    with pytest.raises(ValueError, match="zeros") as raised:
        fans(shape, **options)
    assert str(shape) in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((3, -1), ValueError),
        ((3, 4.0), TypeError),
        ((3, True), TypeError),
        ((np.True_, 3), TypeError),
        ((3, None), TypeError),
        ("34", TypeError),
        (34, TypeError),
        (None, TypeError),
        (np.ones((3, 4)), TypeError),
        (np.array([3, 4]), TypeError),
    ],
    ids=repr,
)
def test_bad_shape(shape, error):
    """Named with its value."""
    with pytest.raises(error, match="shape is ") as raised:
        fans(shape)
    assert repr(shape) in str(raised.value)


@pytest.mark.parametrize("layout", ["pytorch", "flax", "", None, 0])
def test_unknown_layout(layout):
    """All are listed."""
    with pytest.raises(ValueError, match="layout is ") as raised:
        fans((3, 4), layout)
    assert all(repr(each) in str(raised.value) for each in (layout, "torch", "jax", "embedding"))


@pytest.mark.parametrize("name", ["groups", "parts"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-2, ValueError), (5, ValueError), (8, ValueError)]
    + [(value, TypeError) for value in (2.0, True, None, "2", (2,))],
    ids=repr,
)
def test_bad_count(name, value, error):
    """Named with its value, also where it does not divide the output axis."""
    with pytest.raises(error, match=f"{name} is ") as raised:
        fans((12, 3, 3), **{name: value})
    assert repr(value) in str(raised.value)


def test_groups_of_a_transposed_convolution_divide_its_inputs():
    """The axis that holds all channels is the one divided."""
    with pytest.raises(ValueError, match=r"groups is 4; it must divide the 6 of the in axis"):
        fans((6, 8, 3), groups=4, transposed=True)
    assert fans((8, 6, 3), groups=4, transposed=True) == (6, 18)


AXES = [
    ({"in_axis": 0}, ValueError, "in_axis is 0 and out_axis is None"),
    ({"out_axis": -1}, ValueError, "in_axis is None and out_axis is -1"),
    ({"in_axis": 0, "out_axis": 1, "layout": "jax"}, ValueError, "layout is 'jax'"),
    ({"in_axis": 0, "out_axis": 1, "layout": "embedding"}, ValueError, "layout is 'embedding'"),
    ({"in_axis": 0, "out_axis": 1, "transposed": True}, ValueError, "transposed is True"),
    ({"in_axis": 3, "out_axis": 1}, ValueError, "in_axis is 3"),
    ({"in_axis": 0, "out_axis": (1, -4)}, ValueError, "out_axis is (1, -4)"),
    ({"in_axis": 0, "out_axis": 1.0}, TypeError, "out_axis is 1.0"),
    ({"in_axis": False, "out_axis": 1}, TypeError, "in_axis is False"),
    ({"in_axis": "0", "out_axis": 1}, TypeError, "in_axis is '0'"),
    ({"in_axis": 0, "out_axis": -3}, ValueError, "named once"),
    ({"in_axis": 0, "out_axis": (1, 1)}, ValueError, "named once"),
    ({"in_axis": 0, "out_axis": 1, "batch_axis": 1}, ValueError, "named once"),
    ({"batch_axis": (0, 0)}, ValueError, "named once"),
    ({"batch_axis": (0, 1)}, ValueError, "needs at least two"),
    ({"batch_axis": 7}, ValueError, "batch_axis is 7"),
    ({"batch_axis": None}, TypeError, "batch_axis is None"),
    ({"layout": "embedding"}, ValueError, "needs two"),
    ({"layout": "embedding", "groups": 2}, ValueError, "groups is 2"),
    ({"layout": "embedding", "parts": 3}, ValueError, "parts is 3"),
    ({"layout": "embedding", "transposed": True}, ValueError, "transposed is True"),
    ({"layout": "jax", "groups": 2, "transposed": True}, ValueError, "groups is 2"),
    ({"layout": "keras", "groups": 2, "transposed": True}, ValueError, "groups is 2"),
]


@pytest.mark.parametrize(("options", "error", "message"), AXES, ids=lambda x: repr(x)[:60])
def test_axes_that_contradict(options, error, message):
    """Each with the values that cannot be."""
    with pytest.raises(error) as raised:
        fans((6, 4, 2), **options)
    assert message in str(raised.value)


@pytest.mark.parametrize(("given", "missing"), [("in_axis", "out_axis"), ("out_axis", "in_axis")])
def test_one_axis_without_the_other(given, missing):
    """The error is about the one that is missing."""
    with pytest.raises(ValueError, match=f"{missing} is None.*give both, or a layout") as raised:
        fans((6, 4, 2), **{given: 0})
    assert raised.value.argument == missing


def test_docstring():
    """The examples print what they show."""
    failed, tried = doctest.testmod(importlib.import_module("fastxavier._fans"))
    assert tried
    assert not failed
