"""What init_ tells: progress while it fills, and the report afterwards."""

import contextlib
import copy
import ctypes
import dataclasses
import json
import math
import multiprocessing
import pickle
import platform
import sys

import cases
import ml_dtypes
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import Plan, Rule, _core
from fastxavier.plans import _prepared

SIZES = {"wide.weight": (300, 70), "wide.bias": (300,), "norm.weight": (7,)}


def model(sizes=SIZES):
    return {name: np.full(shape, 99, np.float32) for name, shape in sizes.items()}


# ---- progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_told(threads):
    """Parts of the work, growing, from 0 to 1, which is told once."""
    told = []
    distribution = Plan([Rule("*", "truncated_normal", low=-3.0, high=4.0)])
    big = {"a": np.empty(1 << 25), "b": np.empty(1 << 24)}
    fx.init_(big, distribution, seed=1, threads=threads, progress=told.append)
    assert len(told) > 1
    assert told == sorted(set(told))
    assert told[0] > 0
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    "shapes",
    [{}, {"a": (3, 0)}, {"o": (0, 3)}, {"a": (0, 2), "o": (0, 0)}, {"a": (2, 3)}],
    ids=repr,
)
def test_every_fill_is_told_of(shapes):
    """Also of nothing, drawn or structured, and of what is done before the first look."""
    plan = Plan([Rule("o", "orthogonal"), Rule("*", "he_normal")])
    arrays, told = model(sizes=shapes), []
    fx.init_(arrays, plan, seed=1, progress=told.append)
    assert told == [1.0]
    assert fx.init_(arrays, plan, seed=1, progress=True).nbytes == sum(
        a.nbytes for a in arrays.values()
    )


def test_nothing_is_told_after_an_error():
    told = []
    with pytest.raises(TypeError, match="threads"):
        fx.init_(model(), seed=1, threads=1.5, progress=told.append)
    assert told == []


@pytest.fixture
def slow():
    """The slowest kernels, so that a few megabytes take longer than the pauses between looks."""
    _core.force_isa("scalar")
    yield Plan([Rule("i*", "identity"), Rule("*", "truncated_normal", low=-3.0, high=4.0)])
    _core.force_isa(None)


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_of_drawn_and_structured(slow, threads):
    """A share of each by its bytes: a half is drawn, then come a quarter and two eighths."""
    told = []
    arrays = {
        "i1": np.empty((1 << 10, 1 << 10)),
        "drawn": np.empty(1 << 21),
        "i2": np.empty((1 << 9, 1 << 10)),
        "i3": np.empty((1 << 9, 1 << 10)),
    }
    fx.init_(arrays, slow, seed=1, threads=threads, progress=told.append)
    assert told == sorted(told)
    assert told[-3:] == [0.75, 0.875, 1.0]
    assert len(told) > 3
    assert all(0 < part <= 0.5 for part in told[:-3])


class Bar:
    """In place of the bar on a terminal: what it is asked to show."""

    def __init__(self):
        self.shown = []

    @contextlib.contextmanager
    def __call__(self, description, total):
        self.shown.append((description, total))
        yield self.shown.append


@pytest.mark.parametrize(
    ("progress", "nbytes", "bar"),
    [(None, 8001, True), (None, 8000, False), (True, 8, True), (False, 8008, False)],
)
def test_bar(monkeypatch, progress, nbytes, bar):
    """Shown of more than a threshold, or if it is asked for, and full at the end."""
    shown = Bar()
    monkeypatch.setattr(_prepared, "progress_bar", shown)
    monkeypatch.setattr(_prepared, "LONG_WORK", 8000)
    arrays = {"a": np.empty(nbytes, np.int8)}
    fx.init_(arrays, Plan([Rule("*", "zeros")]), seed=1, progress=progress)
    assert _prepared.LONG_WORK == 8000
    assert shown.shown == ([("initializing", nbytes), nbytes] if bar else [])


def test_threshold_of_the_bar():
    assert _prepared.LONG_WORK == 4 << 30


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="FE_UPWARD is unknown")
@pytest.mark.skipif(sys.platform != "linux", reason="takes fesetround from the C library")
def test_listener_in_its_own_rounding_mode(slow):
    """While a fill rounds to nearest, whoever is told of it has the mode that the caller had.

    As sums show it: on x86, fegetround asks the other of the two units.
    """
    library = ctypes.CDLL(None)
    nearest, upward = library.fegetround(), {"x86_64": 0x800, "aarch64": 0x400000}
    one, tiny, seen = 1.0, 1e-30, []

    def listener(done):
        seen.append((library.fegetround(), one + tiny > one))

    w, expected = np.empty(1 << 20), np.empty(1 << 20)
    fx.init_({"w": expected}, slow, seed=1)
    mode = upward[platform.machine()]
    assert library.fesetround(mode) == 0
    try:
        fx.init_({"w": w}, slow, seed=1, threads=1, progress=listener)
    finally:
        library.fesetround(nearest)
    assert len(seen) > 1
    assert set(seen) == {(mode, True)}
    assert (w == expected).all()


def test_progress_counts_structured_initializers():
    """By bytes, as they are done."""
    told = []
    plan = Plan([Rule("a", "orthogonal"), Rule("*", "identity")])
    fx.init_({"a": np.empty((6, 4)), "b": np.empty((6, 12))}, plan, seed=1, progress=told.append)
    assert told == [0.25, 1.0]


def test_progress_counts_everything():
    """Whatever is last, 1 is told once, of nothing as well."""
    told = []
    plan = Plan([Rule("count", "ones"), Rule("*", "orthogonal")])
    arrays = {"a": np.empty((6, 4), np.float32), "count": np.empty(96, np.int8)}
    fx.init_(arrays, plan, seed=1, progress=told.append)
    assert told == [1.0]
    told.clear()
    fx.init_({"a": np.empty((0, 4))}, plan, seed=1, progress=told.append)
    assert told == [1.0]


def test_an_error_of_the_listener_stops_the_work():
    def listener(done):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        fx.init_({"a.weight": np.empty((1 << 13, 1 << 12))}, seed=1, threads=1, progress=listener)


# ---- the report ----------------------------------------------------------------------------------


def test_report():
    """What is expected beside what is measured; printable, and plain data for machines."""
    arrays = {"a.weight": np.empty((400, 500), ml_dtypes.bfloat16), "a.bias": np.empty(400, "f2")}
    report = fx.init_(arrays, seed=9)
    weight, bias = report.tensors
    assert weight.shape == (400, 500)
    assert weight.dtype == "bfloat16"
    assert weight.distribution == fx.glorot_uniform(500, 400)
    assert weight.expected_std == weight.distribution.std
    exact = arrays["a.weight"].astype(np.float64).std()
    assert math.isclose(weight.measured_std, exact, rel_tol=1e-9)
    # The variance of a uniform's square is 4/5 of its own, squared; 5 standard errors.
    assert (
        abs(weight.measured_std / weight.expected_std - 1) < 5 * math.sqrt(0.8 / weight_count) / 2
    )
    assert (bias.expected_std, bias.measured_std) == (0, 0)
    assert report.nbytes == 400 * 500 * 2 + 400 * 2
    assert report.seconds > 0
    data = json.loads(json.dumps(report.asdict()))
    assert [tensor["name"] for tensor in data["tensors"]] == ["a.weight", "a.bias"]
    assert data["seed"] == 9
    lines = str(report).splitlines()
    assert len(lines) == 1 + 2 + 2
    assert "expected std" in lines[0]
    assert "measured std" in lines[0]
    assert "a.weight" in lines[1]
    assert "bfloat16" in lines[1]


weight_count = 400 * 500


def test_detached_report():
    """What is said of memory that will not stay."""
    arrays = model()
    report = fx.init_(arrays, seed=9).detached()
    assert [tensor.name for tensor in report.tensors] == list(SIZES)
    assert [tensor.measured_std for tensor in report.tensors] == [None] * len(SIZES)
    assert report.head[-1] == "expected std"
    assert {len(row) for row in report.rows} == {len(report.head)}
    assert "measured" not in str(report)
    assert len(str(report).splitlines()) == len(SIZES) + 3
    assert json.dumps(report.asdict())


def test_std_of_what_hardly_varies():
    """Measured from a value of the array: sums of squares of large values would lose it."""
    plan = Plan([Rule("c*", "constant", value=0.1), Rule("*", "normal", mean=1e6, std=1e-3)])
    arrays = {"c": np.empty(1000), "c32": np.empty(1000, np.float32), "far": np.empty(100_000)}
    constant, single, far = fx.init_(arrays, plan, seed=1).tensors
    assert constant.measured_std == single.measured_std == 0
    assert far.measured_std == pytest.approx(1e-3, rel=0.02)


def test_empty_tensor_in_a_report():
    """It has no std, in the report, its table and strict JSON."""
    plan = Plan([Rule("o", "orthogonal"), Rule("*", "he_normal")])
    report = fx.init_({"a": np.empty((0, 3)), "o": np.empty((3, 0))}, plan, seed=1)
    assert [tensor.measured_std for tensor in report.tensors] == [None, None]
    found = json.loads(json.dumps(report.asdict(), allow_nan=False))
    assert [tensor["measured_std"] for tensor in found["tensors"]] == [None, None]
    assert "nan" not in str(report)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_strict_json_of_values_that_are_not_finite(value):
    """Whatever has been written into the arrays since."""
    arrays = {"a": np.empty((2, 3))}
    report = fx.init_(arrays, Plan([Rule("*", "he_normal")]), seed=1)
    arrays["a"][0, 0] = value
    with np.errstate(invalid="ignore"):
        found = json.loads(json.dumps(report.asdict(), allow_nan=False))
    assert found["tensors"][0]["measured_std"] is None


def reports():
    """With NumPy arrays, other exporters, structured initializers and integers; and detached."""
    plan = Plan([Rule("o", "orthogonal"), Rule("n", "ones"), Rule("*", "he_normal")])
    arrays = {
        "w": np.empty((20, 30), np.float32),
        "half": np.empty((20, 30), ml_dtypes.bfloat16),
        "view": memoryview(np.empty((4, 4))),
        "capsule": cases.Exporter(np.empty((4, 4))),
        "n": np.empty(3, np.int64),
        "o": np.empty((3, 3)),
        "empty": np.empty((0, 3)),
    }
    report = fx.init_(arrays, plan, seed=7)
    return [report, report.detached()]


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize(
    "copied",
    [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy, dataclasses.replace],
    ids=["pickle", "deepcopy", "copy", "replace"],
)
def test_copies_of_a_report(copied, detached):
    """They say the same, measured values included, of the whole and of each tensor."""
    report = reports()[detached]
    again = copied(report)
    assert again == report
    assert hash(again) == hash(report)
    assert again.tensors == report.tensors
    assert again.asdict() == report.asdict()
    assert str(again) == str(report)
    assert [one.measured_std for one in again.tensors] == [
        one.measured_std for one in reports()[detached].tensors
    ]
    for tensor in report.tensors:
        assert copied(tensor) == tensor
        assert copied(tensor).measured_std == tensor.measured_std
    assert copied(again).detached().tensors == report.tensors
    assert {one.measured_std for one in copied(again).detached().tensors} == {None}


def test_replaced_fields_of_a_report():
    for report in reports():
        other = dataclasses.replace(report, seconds=2.0)
        assert (other.seconds, other.seed, other.tensors) == (2.0, 7, report.tensors)
        renamed = dataclasses.replace(report.tensors[0], name="v")
        assert (renamed.name, renamed.shape) == ("v", (20, 30))
        assert renamed.measured_std == report.tensors[0].measured_std


def test_pickled_report_has_no_arrays():
    """Its size does not grow with theirs, and it can be read where they are gone."""
    sizes = [
        len(pickle.dumps(fx.init_({"w": np.empty((n, 100))}, Plan([Rule("*", "ones")]), seed=1)))
        for n in (1, 10_000)
    ]
    assert abs(sizes[1] - sizes[0]) < 40


def report_of_a_process(seed):
    return fx.init_({"w": np.empty((20, 30))}, Plan([Rule("*", "he_normal")]), seed=seed)


def test_report_of_another_process():
    """As a worker returns it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(report_of_a_process, (3,))
    here = report_of_a_process(3)
    assert found.tensors == here.tensors
    assert found.tensors[0].measured_std == here.tensors[0].measured_std


# ---- rules that are not used ---------------------------------------------------------------------


def test_unused_rules():
    """A misspelled name, a rule that comes too late and one for other axes; in each form."""
    unused = [Rule("*.wieght", "ones"), Rule("wide.bias", "ones"), Rule("*.bias", "ones", ndim=2)]
    plan = Plan([unused[0], Rule("*.bias", "zeros"), *unused[1:], Rule("*", "normal", std=1)])
    report = fx.init_(model(), plan, seed=1)
    for one in (report, report.detached(), copy.deepcopy(report)):
        assert one.unused_rules == tuple(unused)
        lines = [f"unused: {rule}, which initialized no tensor" for rule in unused]
        assert str(one).splitlines()[-4:-1] == lines
        assert json.loads(json.dumps(one.asdict()))["unused_rules"] == [repr(r) for r in unused]
    assert plan.unused_rules(SIZES) == tuple(unused)
    assert plan.unused_rules({}) == plan.rules


def test_rules_that_are_used():
    """By what is beside a tensor, too; and those of presets need not be."""
    for rule in (Rule("wide.weight", "ones", beside="bias"), Rule("wide.*", "ones")):
        plan = Plan([rule, *fx.default_plan().rules])
        report = fx.init_(model(), plan, seed=1)
        assert report.unused_rules == ()
        assert "unused" not in str(report)
        assert len(plan.unused_rules(SIZES)) > 3
        assert fx.init_({"a.bias": np.empty(2)}, plan, seed=1).unused_rules == (rule,)


def test_nothing_to_do():
    report = fx.init_({}, seed=1)
    assert report.tensors == ()
    assert "0 tensors" in str(report)
