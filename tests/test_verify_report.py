"""Reports of `verify` as values: copied, pickled, replaced, as strict JSON, and printed."""

import copy
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest

import fastxavier as fx
from fastxavier import Normal, TruncatedNormal, Uniform
from fastxavier._verify import verify
from fastxavier.structured import Orthogonal

inf = math.inf


def model():
    arrays = {
        "0.weight": np.empty((30, 20), np.float32),
        "0.bias": np.empty(30, np.float32),
        "count": np.zeros((), np.int64),
        "none.weight": np.empty((0, 5)),
    }
    plan = fx.Plan([fx.Rule("*.weight", "he_normal"), fx.Rule("*", "zeros")])
    fx.init_(arrays, plan, seed=7)
    return arrays, plan


def broken():
    values = np.array([1e308, -1e308, np.nan, np.inf] * 4000)
    return verify(values, Normal(0, 1e-300))


def structured():
    values = fx.fill_(np.empty((6, 4)), Orthogonal(), seed=7)
    values[0, 0] = np.nan
    return verify(values, Orthogonal())


REPORTS = {
    "array": lambda: verify(fx.fill_(np.empty(3000), Normal(0, 1), seed=7), Normal(0, 1)),
    "bits": lambda: verify(np.ones(3), Normal(0, 1), seed=7, stream="a"),
    "NaN": lambda: verify(np.full(9, np.nan), Normal(0, 1)),
    "beyond doubles": broken,
    "structured": structured,
    "finding": lambda: verify(np.ones(9), Normal(0, 1)).fit,
    "model": lambda: verify(*model()),
    "model with a NaN": lambda: verify({**model()[0], "0.bias": np.full(30, np.nan)}, model()[1]),
    "model's bits": lambda: verify(*model(), seed=7),
}

each = pytest.mark.parametrize("name", REPORTS)
COPIES = {
    "pickle": lambda report: pickle.loads(pickle.dumps(report)),
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "replace": dataclasses.replace,
}


@each
@pytest.mark.parametrize("way", COPIES)
def test_copies_are_the_same(name, way):
    report = REPORTS[name]()
    again = COPIES[way](report)
    assert type(again) is type(report)
    assert repr(again) == repr(report)
    assert str(again) == str(report)
    if hasattr(report, "asdict"):
        assert again.asdict() == report.asdict()


@each
def test_strict_json(name):
    report = REPORTS[name]()
    if hasattr(report, "asdict"):
        text = json.dumps(report.asdict(), allow_nan=False)
        assert json.loads(text) == report.asdict()


def test_a_replaced_field():
    report = verify(np.ones(3), Normal(0, 1), seed=7)
    assert dataclasses.replace(report, seed=8).seed == 8
    assert dataclasses.replace(report, false_alarm=0.5).level == 0.5


LARGE = [
    Normal(0, 1e200),
    Normal(1e300, 1e305),
    TruncatedNormal(0, 1e200),
    TruncatedNormal(0, 1e300, 0, inf),
    Uniform(-1e300, 1e300),
    Uniform(0, 1.7e308),
]
SMALL = [Normal(0, 1e-200), TruncatedNormal(0, 1e-200, -1, inf), Uniform(-1e-250, 1e-250)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [20, 5000])
@pytest.mark.parametrize("distribution", LARGE + SMALL, ids=repr)
def test_variances_that_no_double_holds(distribution, count):
    """Infinite or 0, as are the distribution's own; the standard deviations are right."""
    values = fx.fill_(np.empty(count), distribution, seed=7)
    report = verify(values, distribution)
    assert report.ok, report
    variance = inf if distribution in LARGE else 0
    assert distribution.variance == report.variance.expected == report.variance.measured == variance
    assert report.expected_std == pytest.approx(distribution.std, rel=1e-9)
    scale = distribution.std
    about = ((values - distribution.mean) / scale) ** 2
    assert report.measured_std == pytest.approx(scale * math.sqrt(about.mean()), rel=1e-9)
    assert "nan" not in str(report).replace("nans", "")
    json.dumps(report.asdict(), allow_nan=False)
    weights = {"a": values}
    whole = verify(weights, fx.Plan([fx.Rule("*", distribution)]))
    assert "nan" not in str(whole)
    assert f"{distribution.std:.6g}" in str(whole)


def test_what_is_expected_of_each_finding():
    """Counts of what must not be are 0, and so is their limit; where nothing varies, no score."""
    values = fx.fill_(np.empty((60, 50)), Normal(0, 1), seed=7)
    found = {one.name: one for one in verify(values, Normal(0, 1)).findings}
    counts = ("nans", "infinities", "out_of_bounds", "repeats")
    moments = {"mean": 0, "variance": 1, "serial_correlation": 0, "row_correlation": 0}
    assert list(found) == [
        *counts[:3],
        "mean",
        "variance",
        "fit",
        "minimum",
        "maximum",
        "repeats",
        "equal_values",
        "serial_correlation",
        "row_correlation",
    ]
    for name, one in found.items():
        if name in counts:
            assert (one.expected, one.measured, one.limit, one.p) == (0, 0, 0, None)
        else:
            assert 0.01 < one.p <= 1
            assert one.limit is None
        if name in moments:
            assert one.expected == pytest.approx(moments[name], abs=1e-12)
            assert 0 < abs(one.z) < 3
    assert (found["equal_values"].expected, found["equal_values"].measured) == (1, 1)
    assert -found["minimum"].expected == found["maximum"].expected == pytest.approx(3.50, abs=0.01)
    assert found["fit"].statistic == "Kolmogorov-Smirnov"
    assert found["out_of_bounds"].note == "bounds [-inf, inf]"
    assert found["repeats"].note == "blocks of 16 values or more"


@pytest.mark.parametrize("count", [1, 50, 3000])
def test_what_does_not_vary_after_rounding(count):
    distribution = Normal(1, 8e-6)
    report = verify(fx.fill_(np.empty(count, np.float16), distribution, seed=1), distribution)
    for one in (report.mean, report.variance):
        assert (one.z, one.p, one.note) == (None, None, "no variance after rounding")
    assert (report.mean.expected, report.mean.measured) == (1, 1)
    assert (report.variance.expected, report.variance.measured) == (0, 0)


def test_a_structured_initializer_has_one_measure():
    values = fx.fill_(np.empty((6, 4)), Orthogonal(), seed=7)
    *counts, deviation = verify(values, Orthogonal()).findings
    assert [(one.name, one.expected, one.limit) for one in counts] == [
        ("nans", 0, 0),
        ("infinities", 0, 0),
    ]
    assert (deviation.name, deviation.expected, deviation.p) == ("deviation", 0, None)
    assert 0 <= deviation.measured <= deviation.limit < 1e-12
    assert deviation.note == f"at most {deviation.limit:.3g}"
