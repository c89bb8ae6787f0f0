"""init_ with places: parts of larger tensors get exactly the values of the whole."""

import itertools
import math

import cases
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import Plan, Rule
from fastxavier.initializers import INITIALIZERS

# An initializer, by name or by value, and the shape of a whole tensor for it.
RULES = {
    "glorot_uniform": ("glorot_uniform", (48, 30)),
    "glorot_normal": ("glorot_normal", (12, 5, 3, 3)),
    "glorot_truncated_normal": (fx.glorot_truncated_normal(gain="relu"), (48, 30)),
    "he_uniform": (fx.he_uniform(mode="fan_out"), (48, 30)),
    "he_normal": (fx.he_normal(negative_slope=0.1, groups=4), (48, 30)),
    "he_truncated_normal": ("he_truncated_normal", (9, 4, 5)),
    "lecun_uniform": (fx.lecun_uniform(parts=3), (48, 30)),
    "lecun_normal": (fx.lecun_normal(layout="jax"), (48, 30)),
    "lecun_truncated_normal": (fx.lecun_truncated_normal(batch_axis=0), (4, 12, 10)),
    "heuristic_uniform": ("heuristic_uniform", (48, 30)),
    "variance_scaling": (fx.variance_scaling(0.7, "fan_geo_avg", "normal"), (48, 30)),
    "uniform": (fx.Uniform(-0.1, 0.3), (7, 9)),
    "normal": (fx.Normal(1.0, 0.02), (3, 5, 7)),
    "truncated_normal": (fx.TruncatedNormal(0.0, 0.02), (63,)),
    "zeros": ("zeros", (7, 9)),
    "ones": ("ones", (7,)),
    "constant": (fx.Constant(0.3), (7, 9)),
    "identity": (fx.Identity(0.7), (11, 8)),
    "dirac": (fx.Dirac(2), (8, 6, 3)),
    "orthogonal": (fx.Orthogonal(1.5), (9, 12)),
    "delta_orthogonal": (fx.DeltaOrthogonal(), (8, 6, 3, 3)),
    "sparse": (fx.Sparse(0.4, std=0.5), (15, 8)),
}
PLAN = Plan([Rule(name, initializer) for name, (initializer, _) in RULES.items()])
WHOLE = {name: shape for name, (_, shape) in RULES.items()}


def blank(shapes, dtype=np.float32):
    return {name: np.full(shape, 99, dtype) for name, shape in shapes.items()}


def whole(dtype=np.float32, plan=PLAN, shapes=WHOLE):
    """Every tensor in full."""
    arrays = blank(shapes, dtype)
    fx.init_(arrays, plan, seed=7)
    return arrays


def quarters(shape):
    """Slices that divide the first and the last axis at an odd place each."""
    cuts = [[(0, extent)] for extent in shape]
    for axis in {0, len(shape) - 1}:
        cut = shape[axis] // 3 | 1
        cuts[axis] = [(0, cut), (cut, shape[axis])]
    return [tuple(slice(*ends) for ends in part) for part in itertools.product(*cuts)]


def offset_of(part):
    return tuple(one.start for one in part)


def test_every_initializer_is_tried():
    assert RULES.keys() == INITIALIZERS.keys()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("threads", [None, 3])
def test_parts_are_slices_of_the_whole(dtype, threads):
    """Quarters of every tensor, one of each in one call, as a process of a job has them."""
    expected = whole(cases.DTYPES[dtype])
    for number in range(4):
        parts = {
            name: quarters(shape)[number % len(quarters(shape))] for name, shape in WHOLE.items()
        }
        shapes = {name: expected[name][part].shape for name, part in parts.items()}
        arrays = blank(shapes, cases.DTYPES[dtype])
        places = {name: (WHOLE[name], offset_of(part)) for name, part in parts.items()}
        report = fx.init_(arrays, PLAN, seed=7, threads=threads, places=places)
        for tensor in report.tensors:
            found = expected[tensor.name][parts[tensor.name]]
            assert (cases.patterns(arrays[tensor.name]) == cases.patterns(found)).all(), tensor.name
            assert tensor.distribution == PLAN.distribution(tensor.name, WHOLE[tensor.name])
            assert tensor.shape == found.shape


def test_scale_of_the_whole():
    """Glorot's bound comes from the fans of the whole tensor, not from the part's."""
    part = np.empty((4, 10), np.float32)
    place = {"w": ((400, 200), (8, 30))}
    plan = Plan([Rule("w", "glorot_uniform")])
    (tensor,) = fx.init_({"w": part}, plan, seed=1, places=place).tensors
    bound = math.sqrt(6 / 600)
    assert tensor.distribution.bounds == pytest.approx((-bound, bound))
    assert tensor.expected_std == pytest.approx(bound / math.sqrt(3))
    assert abs(part).max() <= np.float32(bound)


def test_random_parts_need_a_seed(unseeded):
    """Fresh entropy belongs to no other part; constants and patterns draw nothing."""
    part = np.full((4, 10), 9, np.float32)
    place = {"w": ((400, 200), (8, 30))}
    for initializer in ("glorot_uniform", "orthogonal", fx.Normal(0, 1)):
        plan = Plan([Rule("w", initializer)])
        for seed in ({}, {"seed": None}):
            with pytest.raises(
                ValueError, match=r"'w': global_shape is .* without a seed"
            ) as raised:
                fx.init_({"w": part}, plan, places=place, **seed)
            assert raised.value.argument == "seed"
            assert (part == 9).all()
    for initializer in ("ones", "eye"):
        fx.init_({"w": part}, Plan([Rule("w", initializer)]), places=place)
    fx.manual_seed(3)
    fx.init_({"w": part}, Plan([Rule("w", "he_normal")]), places=place)
    expected = np.empty((4, 10), np.float32)
    fx.init_({"w": expected}, Plan([Rule("w", "he_normal")]), places=place, seed=3)
    assert (part == expected).all()


def test_parts_beside_whole_tensors():
    """Names without a place are whole; a view, an empty part and integers go along."""
    shapes = {"a.weight": (60, 20), "b.weight": (60, 20), "d.bias": (9,)}
    plan = Plan([Rule("count", "ones"), Rule("*.bias", "zeros"), Rule("*", "glorot_normal")])
    expected = whole(plan=plan, shapes=shapes)
    base = np.full((20, 40), 99, np.float32)
    arrays = {
        "a.weight": np.full((60, 20), 99, np.float32),
        "b.weight": base.T[5:25, ::2],
        "c.weight": np.empty((0, 20), np.float32),
        "count": np.full((2, 3), 99, np.int64),
        "d.bias": memoryview(np.full(4, 99, np.float32)),
    }
    places = {
        "b.weight": [[60, 20], np.array([40, 10])],
        "c.weight": ((30, 20), (30, 0)),
        "count": ((8, 3), (2, 0)),
        "d.bias": ((9,), (5,)),
    }
    report = fx.init_(arrays, plan, seed=7, places=places)
    assert (arrays["a.weight"] == expected["a.weight"]).all()
    assert (arrays["b.weight"] == expected["b.weight"][40:, 10:]).all()
    assert (base == 99).sum() == base.size - 20 * 10
    assert (arrays["count"] == 1).all()
    assert (np.asarray(arrays["d.bias"]) == 0).all()
    assert report.tensors[2].distribution == plan.distribution("c.weight", (30, 20))


@pytest.mark.parametrize("name", WHOLE)
def test_empty_parts(name):
    """One that lies at the end of the tensor, in any axis; its neighbour is filled."""
    for axis in range(len(WHOLE[name])):
        shape, offset = list(WHOLE[name]), [0] * len(WHOLE[name])
        shape[axis], offset[axis] = 0, WHOLE[name][axis]
        arrays = {name: np.empty(shape, np.float32), "x": np.full(3, 99, np.float32)}
        plan = Plan([*PLAN.rules, Rule("x", "ones")])
        fx.init_(arrays, plan, seed=7, places={name: (WHOLE[name], tuple(offset))})
        assert (arrays["x"] == 1).all()


@pytest.mark.parametrize("place", [(WHOLE["orthogonal"], None), (None, None)], ids=repr)
def test_place_of_the_whole(place):
    """The default offset is the origin, and the default shape the array's."""
    arrays = blank({"orthogonal": WHOLE["orthogonal"]})
    fx.init_(arrays, PLAN, seed=7, places={"orthogonal": place})
    assert (arrays["orthogonal"] == whole()["orthogonal"]).all()


def test_without_places():
    """No places, and none for any tensor, are the same."""
    for places in (None, {}):
        arrays = blank(WHOLE)
        fx.init_(arrays, PLAN, seed=7, places=places)
        assert all((arrays[name] == array).all() for name, array in whole().items())


def test_progress_of_parts():
    """By the bytes of the parts."""
    told = []
    arrays = blank({"orthogonal": (3, 12), "identity": (9, 8)})
    places = {"orthogonal": ((9, 12), (3, 0)), "identity": ((11, 8), (2, 0))}
    fx.init_(arrays, PLAN, seed=7, places=places, progress=told.append)
    assert told == [1 / 3, 1]


# ---- refusals ------------------------------------------------------------------------------------

BAD = {
    "wrong length": (((48, 30, 1), (0, 0, 0)), "global_shape"),
    "wrong length of the offset": (((48, 30), (0,)), "offset"),
    "outside": (((48, 30), (45, 0)), "(45, 0)"),
    "behind the end": (((3, 30), (0, 0)), "(3, 30)"),
    "before the origin": (((48, 30), (-1, 0)), "-1"),
    "an offset alone": ((None, (0, 0)), "without a global_shape"),
    "three": (((48, 30), (0, 0), 1), "must be (global_shape, offset)"),
    "a shape": ((48, 30, 1), "must be (global_shape, offset)"),
    "a number": (3, "must be (global_shape, offset)"),
    "None": (None, "must be (global_shape, offset)"),
    "text": ("ab", "must be (global_shape, offset)"),
    "numbers": ((48, 30), "global_shape is 48"),
    "fractions": (((48.0, 30), (0, 0)), "48.0"),
    "truth values": (((48, 30), (True, 0)), "True"),
    "beyond 62 bits": (((1 << 62, 30), (0, 0)), str(1 << 62)),
}


@pytest.mark.parametrize("tensor", ["glorot_uniform", "sparse", "orthogonal"])
@pytest.mark.parametrize("case", BAD)
def test_bad_place(case, tensor):
    """The tensor is named, and nothing is written, whichever kind of initializer it has."""
    place, message = BAD[case]
    plan = Plan([Rule("w", RULES[tensor][0]), Rule("*", "ones")])
    arrays = blank({"first": (3,), "w": (6, 30), "last": (3,)})
    with pytest.raises((TypeError, ValueError), match=r"tensor 'w'|places\['w'\]") as raised:
        fx.init_(arrays, plan, seed=7, places={"w": place})
    assert message in str(raised.value)
    assert all((array == 99).all() for array in arrays.values())


def test_bad_place_of_integers():
    plan = Plan([Rule("*", "ones")])
    arrays = {"count": np.full((2, 3), 99, np.int64), "w": np.full(3, 99, np.float32)}
    with pytest.raises(TypeError, match=r"places\['count'\]"):
        fx.init_(arrays, plan, seed=7, places={"count": 3})
    assert all((array == 99).all() for array in arrays.values())


def test_place_of_an_unknown_tensor():
    arrays = blank(WHOLE)
    with pytest.raises(ValueError, match="places has the name 'w', which arrays") as raised:
        fx.init_(arrays, PLAN, seed=7, places={"w": ((3,), (0,))})
    assert (raised.value.argument, raised.value.value) == ("places", "w")
    assert all((array == 99).all() for array in arrays.values())


def test_initializer_that_the_whole_cannot_have():
    """The shape of the whole counts, not the part's: Dirac's groups must divide it."""
    arrays = blank({"w": (4, 6, 3), "x": (3,)})
    plan = Plan([Rule("w", fx.Dirac(2)), Rule("*", "ones")])
    with pytest.raises(fx.PlanError, match=r"tensor 'w' of shape \(9, 6, 3\).*groups is 2"):
        fx.init_(arrays, plan, seed=7, places={"w": ((9, 6, 3), (0, 0, 0))})
    assert all((array == 99).all() for array in arrays.values())
    fx.init_({"w": np.empty((3, 6, 3))}, plan, seed=7, places={"w": ((8, 6, 3), (5, 0, 0))})
