"""Whole models: every tensor is what `fill_` would have drawn for its name, or none is touched."""

import itertools
import math
import re

import cases
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import Plan, Rule

SIZES = {
    "wide.weight": (300, 70),
    "wide.bias": (300,),
    "norm.weight": (7,),
    "deep.weight": (5, 3, 2),
}


def model(dtype=np.float32, sizes=SIZES):
    return {name: np.full(shape, 99, dtype) for name, shape in sizes.items()}


def untouched(arrays):
    return all((np.asarray(array) == 99).all() for array in arrays.values())


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("threads", [None, 1, 3])
def test_each_tensor_is_its_own_fill(dtype, threads):
    """The stream is the name, the distribution is the plan's, and nothing else enters."""
    plan = fx.default_plan()
    arrays = model(cases.DTYPES[dtype])
    report = fx.init_(arrays, plan, seed=7, threads=threads)
    for name, array in arrays.items():
        alone = np.empty_like(array)
        fx.fill_(alone, plan.distribution(name, array.shape), seed=7, stream=name)
        assert (cases.patterns(array) == cases.patterns(alone)).all()
    assert [tensor.name for tensor in report.tensors] == list(arrays)


def test_other_tensors_change_nothing():
    """Adding, removing or reordering tensors leaves the values of the others."""
    whole, part = model(), model(sizes=dict(reversed(SIZES.items())))
    part["new.weight"] = np.empty((40, 40), np.float32)
    del part["wide.weight"]
    fx.init_(whole, seed=3)
    fx.init_(part, seed=3)
    for name in SIZES.keys() - {"wide.weight"}:
        assert (whole[name] == part[name]).all()


def test_many_small_tensors_and_a_large_one():
    """Sizes on both sides of what a thread takes at a time, in every order of them."""
    sizes = {f"{i}.weight": (i * 37 % 411 + 1, 11) for i in range(300)}
    sizes["150.weight"] = (1 << 20, 2)
    arrays = model(sizes=sizes)
    fx.init_(arrays, seed=11, threads=3)
    plan = fx.default_plan()
    for name, array in arrays.items():
        alone = fx.fill_(
            np.empty_like(array), plan.distribution(name, array.shape), seed=11, stream=name
        )
        assert (array == alone).all(), name


def test_layouts_buffers_and_dlpack():
    """Each array may be whatever `fill_` takes."""

    base = np.full((20, 30), 99, np.float32)
    fields = np.full(50, 99, np.dtype([("a", "f4"), ("b", "f8")]))
    arrays = {
        "fortran.weight": np.full((8, 9), 99, np.float32, order="F"),
        "left.weight": base[:, ::2],
        "right.weight": base[::-1, 1::2],
        "first.bias": fields["a"],
        "second.bias": fields["b"],
        "capsule.weight": cases.Exporter(np.full((6, 5), 99, np.float32)),
        "view.bias": memoryview(np.full(4, 99, np.float64)),
        "empty.weight": np.empty((0, 4), np.float32),
        "one.bias": np.full(1, 99, np.float32),
    }
    report = fx.init_(arrays, seed=5)
    for tensor in report.tensors:
        array = arrays[tensor.name]
        got = array.array if isinstance(array, cases.Exporter) else np.asarray(array)
        alone = np.empty(got.shape, got.dtype)
        assert (got == fx.fill_(alone, tensor.distribution, seed=5, stream=tensor.name)).all(), (
            tensor.name
        )
        assert tensor.shape == got.shape
    assert "capsule.weight" in str(report)


def test_structured_initializers_with_the_rest():
    """A plan may give a matrix an initializer of the whole instead of a distribution."""
    plan = Plan([Rule("recurrent.*", "orthogonal"), Rule("*", "glorot_uniform", ndim="2+")])
    arrays = {
        "recurrent.weight": np.empty((64, 64), np.float32),
        "in.weight": np.empty((64, 9), np.float32),
    }
    report = fx.init_(arrays, plan, seed=1)
    w = arrays["recurrent.weight"].astype(np.float64)
    assert np.abs(w @ w.T - np.eye(64)).max() < 64 * np.finfo(np.float32).eps
    alone = fx.fill_(
        np.empty((64, 64), np.float32), fx.Orthogonal(), seed=1, stream="recurrent.weight"
    )
    assert (alone == arrays["recurrent.weight"]).all()
    assert report.tensors[0].expected_std is None


def test_integers_take_whole_constants():
    """As torch's BatchNorm counts its batches; the dtype limits what they can be."""
    plan = Plan([Rule("count*", "zeros"), Rule("flag*", "ones"), Rule("*", "constant", value=200)])
    arrays = {
        "count": np.full((), 99, np.int64),
        "flag": np.full(3, False),
        "large": np.full(2, 99, np.uint8),
        "float": np.full(2, 99, np.float32),
    }
    report = fx.init_(arrays, plan, seed=1)
    assert arrays["count"] == 0
    assert arrays["flag"].all()
    assert (arrays["large"] == 200).all()
    assert (arrays["float"] == 200).all()
    assert [tensor.dtype for tensor in report.tensors] == ["int64", "bool", "uint8", "float32"]
    assert report.tensors[2].measured_std == 0
    for bad in (np.full(2, 99, np.int8), np.full(2, True)):
        with pytest.raises(TypeError, match=r"'other'.*whole constant"):
            fx.init_({**arrays, "other": bad}, plan, seed=1)
        assert (bad == (True if bad.dtype == bool else 99)).all()


def test_columns_of_one_matrix_by_dlpack():
    """Query and key side by side share no element, whatever exports them."""
    both = np.full((8, 12), 99, np.float32)
    halves = {"q.weight": cases.Exporter(both[:, :6]), "k.weight": cases.Exporter(both[:, 6:])}
    fx.init_(halves, seed=1)
    alone = np.empty((8, 6), np.float32)
    fx.fill_(alone, fx.glorot_uniform(6, 8), seed=1, stream="k.weight")
    assert (both[:, 6:] == alone).all()
    with pytest.raises(ValueError, match="share memory"):
        fx.init_(
            {"q.weight": cases.Exporter(both), "k.weight": cases.Exporter(both[:, 6:])}, seed=1
        )


def test_which_share_memory():
    """Refused just if a pair shares memory: parts of one buffer, long, short, strided, empty."""
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        buffer = np.zeros(100, np.float32)
        cuts = random.integers(0, 101, (4, 2))
        parts = [buffer[a : b : random.integers(1, 4)] for a, b in cuts]
        arrays = {f"{i}.weight": part.reshape(-1, 1) for i, part in enumerate(parts)}
        if any(np.shares_memory(a, b) for a, b in itertools.combinations(parts, 2)):
            with pytest.raises(ValueError, match="share memory"):
                fx.init_(arrays, seed=1)
            assert not buffer.any()
            refused += 1
        else:
            fx.init_(arrays, seed=1)
    assert 50 < refused < 250


# ---- seeds ---------------------------------------------------------------------------------------


def test_seeds():
    """The module default's seed without taking a stream of it; None draws one and reports it."""
    first, second, third = model(), model(), model()
    fx.manual_seed(42)
    assert fx.init_(first).seed == 42
    taken = fx.fill_(np.empty(9), fx.Normal())
    assert (taken == fx.fill_(np.empty(9), fx.Normal(), seed=42, stream=0)).all()
    report = fx.init_(second, seed=None)
    assert (second["wide.weight"] != first["wide.weight"]).any()
    fx.init_(third, seed=report.seed)
    assert all((second[name] == third[name]).all() for name in SIZES)


SOURCES = {
    "Generator": (np.random.default_rng, lambda rng: rng.integers(1 << 64, dtype=np.uint64)),
    "RandomState": (np.random.RandomState, lambda rng: rng.randint(1 << 64, dtype=np.uint64)),
    "SeedSequence": (
        np.random.SeedSequence,
        lambda root: root.spawn(1)[0].generate_state(1, np.uint64)[0],
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_sources_of_randomness(kind):
    """One draw a call, whatever the number of tensors; an equal source gives equal values."""
    make, draw = SOURCES[kind]
    source, equal, mirror = make(5), make(5), make(5)
    for _ in range(2):
        first, second = model(), model()
        report = fx.init_(first, seed=source)
        fx.init_(second, seed=equal)
        assert all((first[name] == second[name]).all() for name in SIZES)
        assert report.seed == int(draw(mirror))
        fx.init_(second, seed=report.seed)
        assert all((first[name] == second[name]).all() for name in SIZES)
    assert draw(source) == draw(mirror)


def test_streams_as_a_seed():
    """Only the seed is used: names are the streams, and none of the numbered ones is taken."""
    streams, first, second = fx.Streams(5), model(), model()
    assert fx.init_(first, seed=streams).seed == 5
    fx.init_(second, seed=5)
    assert all((first[name] == second[name]).all() for name in SIZES)
    taken = fx.draw(9, fx.Normal(), seed=streams)
    assert (taken == fx.draw(9, fx.Normal(), seed=5, stream=0)).all()


@pytest.mark.parametrize("seed", [-1, 1.5, True, "5", np.random], ids=repr)
def test_no_seed(seed):
    arrays = model()
    with pytest.raises((TypeError, ValueError), match=r"^seed is"):
        fx.init_(arrays, seed=seed)
    assert untouched(arrays)


# ---- refusals: all of it or nothing --------------------------------------------------------------


def read_only():
    array = np.full((3, 3), 99, np.float32)
    array.flags.writeable = False
    return array


REFUSED = {
    "integers": (TypeError, lambda: np.full((3, 3), 99), "int64"),
    "read-only": (ValueError, read_only, "read-only"),
    "a list": (TypeError, lambda: [[99.0]], "list"),
    "overlapping": (
        ValueError,
        lambda: np.lib.stride_tricks.sliding_window_view(
            np.full(9, 99, np.float32), 3, writeable=True
        ),
        "share memory",
    ),
    "no rule": (fx.PlanError, lambda: np.full((), 99, np.float32), "bad.weight"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_bad_tensor_leaves_all_untouched(case):
    error, bad, part = REFUSED[case]
    arrays = {**model(), "bad.weight": bad()}
    with pytest.raises(error, match=r"bad\.weight") as raised:
        fx.init_(arrays, seed=1)
    assert part in str(raised.value)
    assert untouched(arrays)


def test_a_distribution_beyond_the_dtype_is_found_before_writing():
    plan = Plan([Rule("wide.weight", "normal", std=1e5), Rule("*", "zeros")])
    arrays = model(np.float16)
    with pytest.raises(ValueError, match=r"'wide.weight'.*float16"):
        fx.init_(arrays, plan, seed=1)
    assert untouched(arrays)


def test_a_shape_without_its_initializer_is_found_before_writing():
    plan = Plan([Rule("deep.weight", "identity"), Rule("*", "zeros")])
    arrays = model()
    with pytest.raises(ValueError, match=r"deep.weight"):
        fx.init_(arrays, plan, seed=1)
    assert untouched(arrays)


def test_shared_memory():
    """Tied weights, and any other overlap, would be drawn twice: which wins would be chance."""
    w = np.full((6, 6), 99, np.float32)
    for other in (w, w.T, w[2:4], w[::-1, 5:]):
        with pytest.raises(ValueError, match=r"'head.weight' and 'in.weight'|'in.weight' and"):
            fx.init_({"in.weight": w, "head.weight": other}, seed=1)
        assert (w == 99).all()


@pytest.mark.parametrize("names", [{1: np.ones(3)}, {b"w": np.ones(3)}, {None: np.ones(3)}])
def test_names_are_strings(names):
    with pytest.raises(TypeError, match="string"):
        fx.init_(names, seed=1)


@pytest.mark.parametrize(
    ("arguments", "options", "name"),
    [
        ((np.ones(3),), {}, "arrays"),
        (([np.ones(3)],), {}, "arrays"),
        (({}, fx.gpt2_plan), {}, "plan"),
        (({}, 3), {}, "plan"),
        (({},), {"progress": "bar"}, "progress"),
        (({},), {"places": [("a", (3,), (0,))]}, "places"),
    ],
)
def test_wrong_arguments(arguments, options, name):
    with pytest.raises(TypeError, match=f"^{name} is"):
        fx.init_(*arguments, seed=1, **options)


class Module:
    """What has names and parameters as torch's modules have."""

    def named_parameters(self):
        return iter(model().items())


def test_a_module_is_not_a_mapping():
    """The message has the mapping to give."""
    with pytest.raises(TypeError, match=r"^arrays is a Module; ") as raised:
        fx.init_(Module(), "default", seed=1)
    (given,) = re.findall(r"give (dict\(.*\))$", str(raised.value))
    report = fx.init_(eval(given, {"model": Module()}), "default", seed=1)
    assert [tensor.name for tensor in report.tensors] == list(SIZES)


@pytest.mark.parametrize(
    ("pairs", "line"),
    [
        (lambda: Module().named_parameters(), "dict(model.named_parameters())"),
        (lambda: list(model().items()), "dict(pairs)"),
        (lambda: model().items(), "dict(pairs)"),
    ],
    ids=["iterator", "list", "view"],
)
def test_pairs_are_not_a_mapping(pairs, line):
    """An iterator, which can be read only once, is not read."""
    given = pairs()
    with pytest.raises(TypeError, match=r"^arrays is an? ") as raised:
        fx.init_(given, seed=1)
    assert str(raised.value).endswith(f"give {line}")
    assert raised.value.argument == "arrays"
    assert len(fx.init_(dict(given), seed=1).tensors) == len(SIZES)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (np.ones(3), "for one array write fill_(array, initializer)"),
        (3, "for one array write fill_(array, initializer)"),
        ([np.ones(3)], 'give {"fc1.weight": array}'),
        (model().values(), 'give {"fc1.weight": array}'),
        ([], 'give {"fc1.weight": array}'),
    ],
    ids=["array", "number", "list", "values", "empty"],
)
def test_arrays_without_names(given, line):
    with pytest.raises(TypeError, match=r"it must be a mapping from names to arrays; ") as raised:
        fx.init_(given, "default", seed=1)
    assert str(raised.value).endswith(line)


# ---- presets by name -----------------------------------------------------------------------------


def test_preset_by_name():
    """A preset's name is the preset, for as many blocks as there are; a file is its plan."""
    sizes = {"h.0.attn.c_attn.weight": (40, 120)}
    sizes |= {f"h.{block}.mlp.c_proj.weight": (80, 40) for block in range(12)}
    by_name, by_plan = model(sizes=sizes), model(sizes=sizes)
    fx.init_(by_name, "gpt2", seed=1)
    report = fx.init_(by_plan, fx.gpt2_plan(), seed=1)
    assert all((by_name[name] == by_plan[name]).all() for name in sizes)
    expected = [0.02, *[0.02 / math.sqrt(24)] * 12]
    assert [tensor.expected_std for tensor in report.tensors] == expected


def test_plan_of_a_file(tmp_path):
    plan = Plan([Rule("*", "ones")])
    plan.save(tmp_path / "plan.toml")
    arrays = model()
    fx.init_(arrays, str(tmp_path / "plan.toml"), seed=1)
    assert all((array == 1).all() for array in arrays.values())


def test_unknown_preset():
    arrays = model()
    with pytest.raises(fx.PlanError, match=r"plan is 'gpt-2'; did you mean 'gpt2'\?") as raised:
        fx.init_(arrays, "gpt-2", seed=1)
    assert raised.value.argument == "plan"
    assert untouched(arrays)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_threads(threads):
    arrays = model()
    with pytest.raises((TypeError, ValueError), match="threads"):
        fx.init_(arrays, seed=1, threads=threads)
    assert untouched(arrays)
