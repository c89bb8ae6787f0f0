"""`fastxavier.jax.init_`: trees by plan, whose leaves hold what plans give to their names."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from jax.sharding import NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402
from jax_cases import mesh_of, same  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax as fj  # noqa: E402
from fastxavier.checkpoints import init_checkpoint  # noqa: E402

SHAPES = {"enc.0.kernel": (16, 24), "enc.0.bias": (24,), "enc.1.kernel": (24, 8)}
PLAN = fx.Plan([fx.Rule("*.kernel", "he_truncated_normal"), fx.Rule("*.bias", "normal", std=0.1)])


def shape(*extents, dtype="float32", **settings):
    return jax.ShapeDtypeStruct(extents, dtype, **settings)


def tree():
    """A tree of dictionaries and a list, with the names of SHAPES."""
    return {
        "enc": [
            {"kernel": shape(16, 24), "bias": shape(24)},
            {"kernel": shape(24, 8, dtype="bfloat16")},
        ]
    }


def drawn(plan=PLAN, seed=7):
    """The same model as NumPy's arrays."""
    dtype = jax.numpy.bfloat16
    arrays = {
        name: np.empty(extents, dtype if "1" in name else np.float32)
        for name, extents in SHAPES.items()
    }
    fx.init_(arrays, plan, seed=seed)
    return arrays


def check(made, expected):
    leaves = fj.named_leaves(made)
    assert set(leaves) == set(expected)
    for name, leaf in leaves.items():
        assert isinstance(leaf, jax.Array)
        assert same(leaf, expected[name])


def test_the_bits_are_those_of_plans():
    made = fj.init_(tree(), PLAN, seed=7)
    assert jax.tree.structure(made) == jax.tree.structure(tree())
    check(made, drawn())
    check(jax.jit(lambda: fj.init_(tree(), PLAN, seed=7))(), drawn())


def test_the_default_plan():
    check(fj.init_(tree(), seed=7), drawn(fx.default_plan()))
    check(fj.init_(tree(), "default", seed=7), drawn(fx.default_plan()))


def test_the_bits_are_those_of_a_checkpoint(tmp_path):
    like = {name: ("float32", extents) for name, extents in SHAPES.items()}
    init_checkpoint(tmp_path / "model.safetensors", PLAN, like, seed=7)
    shapes = {name: shape(*extents) for name, extents in SHAPES.items()}
    check(fj.init_(shapes, PLAN, seed=7), load_file(tmp_path / "model.safetensors"))


def test_a_tree_of_arrays_gives_new_ones():
    old = fj.init_(tree(), PLAN, seed=1)
    kept = {name: np.array(leaf) for name, leaf in fj.named_leaves(old).items()}
    check(fj.init_(old, PLAN, seed=7), drawn())
    check(old, kept)


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
@pytest.mark.parametrize("inside", [False, True])
def test_shardings(devices, inside):
    mesh = mesh_of(devices)
    rows, both = NamedSharding(mesh, P("x")), NamedSharding(mesh, P("x", "y"))
    shardings = {"enc": [{"kernel": both, "bias": None}, rows]}

    def make():
        return fj.init_(tree(), PLAN, seed=7, shardings=shardings)

    made = jax.jit(make)() if inside else make()
    check(made, drawn())
    assert made["enc"][0]["kernel"].sharding.is_equivalent_to(both, 2)
    assert made["enc"][1]["kernel"].sharding.is_equivalent_to(rows, 2)
    if not inside:
        assert len(made["enc"][0]["bias"].devices()) == 1


def test_the_shardings_of_the_leaves():
    rows = NamedSharding(mesh_of(8), P("x"))
    made = fj.init_({"a": {"kernel": shape(16, 24, sharding=rows)}}, PLAN, seed=7)
    assert made["a"]["kernel"].sharding == rows
    again = fj.init_(made, PLAN, seed=8)
    assert again["a"]["kernel"].sharding == rows


def test_partition_specs_in_the_context_of_a_mesh():
    with jax.set_mesh(mesh_of(8)):
        made = fj.init_({"kernel": shape(16, 24)}, "default", seed=7, shardings=P("x"))
    assert made["kernel"].sharding.spec == P("x")


def test_what_is_no_float_keeps_its_values():
    count, function = jax.numpy.array(3), abs
    key = jax.random.key(3)
    made = fj.init_({"a": {"bias": shape(4)}, "n": count, "f": function, "k": key}, PLAN, seed=7)
    assert made["n"] is count
    assert made["f"] is function
    assert made["k"] is key


def test_integers_take_whole_constants():
    plan = fx.Plan([fx.Rule("n", fx.Constant(3.0)), fx.Rule("*", "normal")])
    made = fj.init_({"n": shape(2, dtype="int8")}, plan, seed=7)
    assert made["n"].dtype == np.int8
    assert made["n"].tolist() == [3, 3]


def test_streams_and_generators_give_one_seed():
    rng = np.random.default_rng(3)
    first = int(np.random.default_rng(3).integers(1 << 64, dtype=np.uint64))
    check(fj.init_(tree(), PLAN, seed=rng), drawn(seed=first))
    check(fj.init_(tree(), PLAN, seed=fx.Streams(7)), drawn())


def test_a_value_in_a_box_has_the_name_of_the_box():
    @jax.tree_util.register_dataclass
    @__import__("dataclasses").dataclass
    class Box:
        value: object

    made = fj.init_({"kernel": Box(shape(16, 24))}, seed=7)
    expected = fj.init_({"kernel": shape(16, 24)}, seed=7)
    assert same(made["kernel"].value, expected["kernel"])
    assert list(fj.named_leaves({"value": {"value": shape(3)}})) == ["value.value"]


@pytest.mark.parametrize(
    ("wrong", "settings", "match"),
    [
        ({"other": shape(3)}, {}, "no rule of the plan matches tensor 'other'"),
        ({"a": {"kernel": shape(3)}}, {}, r"tensor 'a.kernel' of shape \(3,\), .* two axes"),
        (
            {"a": {"bias": shape(3, dtype="int32")}},
            {},
            "tensor 'a.bias': array has dtype int32, which takes a whole constant",
        ),
        (
            {"bias": {"bias": shape(3, dtype="float16")}},
            {"plan": fx.Plan([fx.Rule("*", "normal", std=1e9)])},
            "tensor 'bias.bias': .*beyond the largest float16",
        ),
        (
            {"a": {"bias": shape(3)}},
            {"shardings": lambda: NamedSharding(mesh_of(8), P("x"))},
            "tensor 'a.bias': shardings is .*not one for shape",
        ),
        ({"bias": shape(3)}, {"shardings": lambda: {"b": None}}, "structure of the tree"),
        ({"bias": shape(3)}, {"shardings": lambda: 3}, "shardings has 3; each must be a Sharding"),
    ],
)
def test_errors_name_the_leaf_and_draw_nothing(wrong, settings, match, monkeypatch):
    def fail(*what, **more):
        raise AssertionError("a value was drawn")

    monkeypatch.setattr(fj._draw._core, "fill", fail)
    settings = {key: value() if callable(value) else value for key, value in settings.items()}
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    with pytest.raises(fx.ArgumentError, match=match):
        fj.init_({"bias0": {"bias": shape(5)}, **wrong}, **{"plan": PLAN, **settings}, seed=rng)
    assert rng.bit_generator.state == before


def test_a_key_has_no_initializer():
    tree = {"bias": jax.eval_shape(lambda: jax.random.key(3))}
    with pytest.raises(fx.ArgumentTypeError, match="tensor 'bias': dtype is key<fry>"):
        fj.init_(tree, fx.Plan([fx.Rule("*", "zeros")]), seed=7)


def test_two_leaves_of_one_name():
    """They would have equal values."""
    for tree in (
        {"a": {"bias": shape(3)}, "a.bias": shape(3)},
        {"bias": [shape(3)], "bias.0": shape(4)},
    ):
        for call in (fj.named_leaves, lambda tree: fj.init_(tree, seed=7)):
            with pytest.raises(fx.ArgumentValueError, match=r"leaves named '.*', at \['.* and \['"):
                call(tree)
    kept = fj.named_leaves({"a": {"bias": shape(3)}, "a.bias": "no array"})
    assert list(kept) == ["a.bias"]


def test_zeros_keep_their_signs():
    """Also where 0.0 was compiled before."""
    for zero in (0.0, -0.0):
        plan = fx.Plan([fx.Rule("*", fx.Constant(zero))])
        made = jax.jit(lambda plan=plan: fj.init_({"bias": shape(2)}, plan, seed=7))()["bias"]
        assert same(made, np.array([zero, zero], np.float32))


def test_partition_specs_of_another_mesh():
    match = r"'bias': shardings is P\('z',\), not one"
    with jax.set_mesh(mesh_of(8)), pytest.raises(fx.ArgumentValueError, match=match):
        fj.init_({"bias": shape(8)}, seed=7, shardings=P("z"))


def test_a_sharding_without_a_mesh():
    """Inside of jit too, where all devices draw the whole."""
    one = jax.sharding.SingleDeviceSharding(jax.devices()[3])
    found = fj.init_({"kernel": shape(16, 24)}, seed=7, shardings=one)["kernel"]
    assert found.sharding == one
    make = jax.jit(lambda: fj.init_({"kernel": shape(16, 24)}, seed=7, shardings=one))
    assert same(make()["kernel"], found)

    plan = fx.Plan([fx.Rule("n", fx.Constant(3.0))])
    whole = {"n": shape(3, dtype="int32")}
    counted = jax.jit(lambda: fj.init_(whole, plan, seed=7, shardings=one))()["n"]
    assert counted.tolist() == [3, 3, 3]
