"""What `verify` says of an array: faults are found, true draws pass, and what it refuses.

Seeds are fixed; where true draws may fail by chance, the bound is a quantile of the binomial
distribution that a right verdict obeys.
"""

import doctest
import itertools
import json
import math
import re
import sys
from dataclasses import FrozenInstanceError

import cases
import ml_dtypes
import numpy as np
import pytest
from scipy import stats
from verify_cases import NORMAL, SEED, SHAPE, TRUNCATED, UNIFORM, changed, dtypes, filled, model

import fastxavier as fx
from fastxavier import Normal, TruncatedNormal, Uniform
from fastxavier._verify import api, verify
from fastxavier.initializers import initializer_named
from fastxavier.plans import Plan, Rule
from fastxavier.structured import Identity, Orthogonal, Sparse

inf = math.inf


# ---- true draws ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), cases.ALL)
def test_our_draws_pass(name, dtype):
    distribution = cases.distributions(dtype)[name]
    report = verify(filled(distribution, (600, 500), dtype), distribution)
    assert report.ok, report


SMALL = [
    NORMAL,
    UNIFORM,
    TRUNCATED,
    Normal(3, 0.1),
    Uniform(0, 1),
    TruncatedNormal(0.1, 0.5, -1, 3),
    TruncatedNormal(0, 1, 0, inf),
    TruncatedNormal(0, 1, 9, 10),
    TruncatedNormal(0, 1, -1e-9, 2e-9),
]


@dtypes
@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("distribution", SMALL, ids=repr)
def test_a_handful_of_values_passes(distribution, count, dtype):
    for seed in range(3):
        report = verify(filled(distribution, count, dtype, seed), distribution)
        assert report.ok, report


def test_false_alarms_are_as_rare_as_stated():
    """No more fills fail than a binomial distribution with that probability allows."""
    false_alarm, each = 0.05, 15
    cells = list(itertools.product(SMALL, cases.DTYPES, range(each)))
    failed = 0
    for seed, (distribution, dtype, i) in enumerate(cells):
        count = (5, 50, 700, 3000, 20000)[i % 5]
        failed += not verify(
            filled(distribution, count, dtype, seed), distribution, false_alarm=false_alarm
        ).ok
    assert failed <= stats.binom.isf(1e-6, len(cells), false_alarm)


@pytest.mark.parametrize(
    ("distribution", "dtype", "count"),
    [
        (NORMAL, "float32", 1600),
        (UNIFORM, "float64", 1600),
        (TruncatedNormal(0, 1, 0, inf), "float32", 5000),
        (NORMAL, "bfloat16", 5000),
    ],
    ids=repr,
)
def test_probabilities_of_true_draws_are_uniform(distribution, dtype, count):
    """Neither too small nor too large: a p that is always near 1 would find nothing."""
    reports = [
        verify(filled(distribution, count, dtype, seed), distribution) for seed in range(250)
    ]
    names = ["mean", "variance", "minimum", "maximum"] + ["fit"] * (dtype == "bfloat16")
    names += ["serial_correlation"] * (count > 2000)
    for name in names:
        p = [getattr(report, name).p for report in reports]
        assert stats.kstest(p, "uniform").pvalue > 1e-5, name


NUMPYS = {
    "normal": (lambda g, n: g.normal(0, 0.02, n), Normal(0, 0.02)),
    "normal of 32 bits": (
        lambda g, n: g.standard_normal(n, np.float32) * np.float32(0.02),
        Normal(0, 0.02),
    ),
    "uniform": (lambda g, n: g.uniform(-0.1, 0.1, n), Uniform(-0.1, 0.1)),
    "uniform of 24 bits": (lambda g, n: g.random(n, np.float32), Uniform(0, 1)),
    "uniform of 23 bits": (
        lambda g, n: (g.integers(0, 1 << 23, n) / 2.0**22 - 1).astype(np.float32),
        Uniform(-1, 1),
    ),
    "legacy": (
        lambda g, n: np.random.RandomState(7).normal(0, 0.02, n).astype(np.float16),
        Normal(0, 0.02),
    ),
    "truncated": (
        lambda g, n: stats.truncnorm(-1, 2, 0.3, 0.05).rvs(n, random_state=7),
        TruncatedNormal(0.3, 0.05, -1, 2),
    ),
}


@pytest.mark.parametrize("name", NUMPYS)
def test_other_generators_pass(name):
    draw, distribution = NUMPYS[name]
    report = verify(draw(np.random.default_rng(SEED), 1_000_000), distribution)
    assert report.ok, report


# ---- faults --------------------------------------------------------------------------------------


def of_128_values():
    """What a generator makes that draws the 7 bits of a bfloat16's fraction."""
    steps = np.random.default_rng(SEED).integers(0, 128, SHAPE)
    return ((steps / 64 - 1) * UNIFORM.high).astype(ml_dtypes.bfloat16)


def clipped():
    return np.clip(filled(NORMAL, 1 << 20), -4 * NORMAL.std, 4 * NORMAL.std)


tall = fx.glorot_normal(512, 256, mode="fan_in")
wide = fx.glorot_normal(256, 512, mode="fan_in")
one_ulp_out = np.nextafter(np.float32(UNIFORM.high), np.float32(1))

FAULTS = {
    "128 values": (of_128_values, UNIFORM, "fit"),
    "gain twice": (
        lambda: filled(fx.glorot_normal(512, 512, gain=25 / 9)),
        fx.glorot_normal(512, 512, gain=5 / 3),
        "variance",
    ),
    "fans swapped": (lambda: filled(wide, (256, 512)), tall, "variance"),
    "truncation not corrected": (
        lambda: filled(TruncatedNormal(0, NORMAL.std)),
        TRUNCATED,
        "variance",
    ),
    "mean moved": (lambda: filled(Normal(NORMAL.std / 50, NORMAL.std)), NORMAL, "mean"),
    "NaN": (lambda: changed(filled(NORMAL), (3, 5), np.nan), NORMAL, "nans"),
    "infinity": (lambda: changed(filled(NORMAL), (3, 5), -inf), NORMAL, "infinities"),
    "one ulp out of bounds": (
        lambda: changed(filled(UNIFORM), (3, 5), one_ulp_out),
        UNIFORM,
        "out_of_bounds",
    ),
    "outlier": (lambda: changed(filled(NORMAL), (3, 5), -9 * NORMAL.std), NORMAL, "minimum"),
    "uniform for normal": (lambda: filled(UNIFORM), NORMAL, "fit"),
    "normal for uniform": (lambda: filled(NORMAL), UNIFORM, "out_of_bounds"),
    "clipped": (clipped, NORMAL, "maximum"),
    "float16 in float32": (
        lambda: filled(NORMAL, dtype="float16").astype(np.float32),
        NORMAL,
        "fit",
    ),
    "stratified": (
        lambda: np.random.default_rng(SEED).permutation(
            np.linspace(-UNIFORM.high, UNIFORM.high, 1 << 18)
        ),
        UNIFORM,
        "fit",
    ),
    "zeros": (lambda: np.zeros(SHAPE, np.float32), NORMAL, "repeats"),
    "half zeros": (
        lambda: filled(NORMAL) * (np.arange(512) % 2).astype(np.float32),
        NORMAL,
        "variance",
    ),
    "few and wrong": (lambda: filled(Normal(0, 10 * NORMAL.std), 64), NORMAL, "fit"),
    "sums beyond doubles": (lambda: np.array([1e308, -1e308] * 4000), Normal(0, 1e-300), "mean"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name):
    make, distribution, finding = FAULTS[name]
    report = verify(make(), distribution)
    assert not report.ok
    assert finding in report.failures


@pytest.mark.parametrize(
    ("name", "others"),
    [("mean moved", 1), ("one ulp out of bounds", 0), ("NaN", 0), ("outlier", 0), ("clipped", 1)],
)
def test_other_findings_are_left_alone(name, others):
    """One fault, one failure, and the like: a mean moved a little may touch the distribution."""
    make, distribution, _ = FAULTS[name]
    assert len(verify(make(), distribution).failures) <= 1 + others


@dtypes
def test_not_finite_values_are_counted(dtype):
    values = filled(NORMAL, (300, 200), dtype)
    values[::50, 7], values[0, :3], values[1, 1] = np.nan, inf, -inf
    report = verify(values, NORMAL)
    if dtype == "float8_e4m3fn":  # which has no infinity
        assert (report.nans.measured, report.infinities.measured) == (10, 0)
        assert report.failures == ("nans",)
    else:
        assert (report.nans.measured, report.infinities.measured) == (6, 4)
        assert report.failures == ("nans", "infinities")
    finite = values[np.isfinite(values.astype(np.float32))].astype(np.float64)
    assert math.isclose(report.mean.measured, finite.mean(), rel_tol=1e-9)
    assert report.maximum.measured == finite.max()


@dtypes
def test_nothing_but_nan(dtype):
    report = verify(np.full(100, np.nan, cases.DTYPES[dtype]), NORMAL)
    assert report.failures == ("nans",)
    assert report.mean is None


# ---- distributions without variance, structured initializers -------------------------------------


@dtypes
@pytest.mark.parametrize(
    "distribution", [Normal(0.1, 0), Uniform(0.1, 0.1), Normal(0, 0)], ids=repr
)
def test_constants(dtype, distribution):
    values = np.full(
        (3, 5), np.float32(distribution.mean) if dtype != "float64" else distribution.mean
    )
    values = values.astype(cases.DTYPES[dtype])
    report = verify(values, distribution)
    assert report.ok
    assert report.mean is None
    assert verify(-values if distribution.mean == 0 else values, distribution).ok
    values[1, 1] = np.nextafter(values[1, 1], cases.DTYPES[dtype].type(1))
    assert verify(values, distribution).failures == ("out_of_bounds",)
    values[1, 1] = np.nan
    assert verify(values, distribution).failures == ("nans",)


def test_a_distribution_that_the_dtype_holds_as_a_constant():
    assert verify(filled(Normal(1, 1e-60), 100), Normal(1, 1e-60)).ok
    assert not verify(np.array([1, 1.5], np.float32), Normal(1, 1e-60)).ok


@pytest.mark.parametrize(
    "distribution", [Uniform(1, 1 + 7 * 2.0**-23), Normal(1e6, 1e-4), Normal(1, 1e-5)], ids=repr
)
def test_distributions_of_few_float32_numbers_are_not_blamed_for_rounding(distribution):
    report = verify(filled(distribution, (1000, 300)), distribution)
    assert report.ok, report


def test_structured_initializers():
    """They say how far an array is from their property, and how far rounding lets it be."""
    identity = Identity(0.5)
    right = np.eye(3, 5, dtype=np.float32) / 2
    assert verify(right, identity).ok
    wrong = right + np.float32(1e-3)
    report = verify(wrong, identity)
    assert report.failures == ("deviation",)
    assert report.deviation.measured == identity.deviation(wrong) == pytest.approx(1e-3, rel=1e-4)
    assert report.deviation.limit == identity.tolerance(wrong)
    assert verify(right * np.float32(1 + 2**-23), identity).ok
    right[1, 2] = np.nan
    assert verify(right, identity).failures == ("nans", "deviation")


@pytest.mark.parametrize("name", ["orthogonal", "identity", "sparse"])
def test_structured_initializers_pass(name):
    initializer = {"orthogonal": Orthogonal(2), "identity": Identity(), "sparse": Sparse(0.1)}[name]
    values = fx.fill_(np.empty((60, 40), np.float32), initializer, seed=7)
    assert verify(values, initializer).ok
    assert not verify(np.where(values == values.max(), 0, values), initializer).ok


# ---- initializers that depend on the shape -------------------------------------------------------


def test_initializers_by_name():
    """Fans come from the array's shape, in torch's layout unless another is given."""
    values = filled(fx.he_normal(256, 512), (512, 256))
    report = verify(values, "he_normal")
    assert report.ok
    assert report.distribution == fx.he_normal(256, 512)
    assert verify(values.T, "he_normal", layout="keras").ok
    assert verify(values.T, "he_normal").failures[:1] == ("variance",)
    assert verify(np.zeros(3), "zeros").ok


def test_initializers_as_values():
    initializer = initializer_named("glorot_uniform")
    assert verify(filled(UNIFORM), initializer).ok
    assert "variance" in verify(filled(UNIFORM, (1024, 256)), initializer).failures


# ---- report --------------------------------------------------------------------------------------


def test_report_is_immutable():
    report = verify(filled(NORMAL), NORMAL)
    with pytest.raises(FrozenInstanceError):
        report.distribution = UNIFORM
    with pytest.raises(FrozenInstanceError):
        report.mean.p = 1.0


def test_report_prints_as_a_table():
    report = verify(FAULTS["NaN"][0](), NORMAL)
    title, head, *rows, verdict, legend, more = str(report).splitlines()
    assert title == f"{NORMAL!r}: 262,144 values, float32, shape (512, 512)"
    assert re.split(r"  +", head) == ["", "expected", "measured", "std errors off", "p"]
    assert [row[: row.index("  ")] for row in rows] == [one.title for one in report.findings]
    ends = [head.index(name) + len(name) for name in ("expected", "measured")]
    for row in rows:
        assert all(row[end - 1] != " " and row[end] == " " for end in ends if end < len(row))
    assert verdict == "FAILED: nans"
    assert "  FAILED" in rows[0]
    assert legend.startswith("std errors off: ")
    assert more.endswith("A test fails where p is below 1.4e-07.")
    (fit,) = (row for row in rows if row.startswith("chi²"))
    spread = round(report.fit.spread)
    assert fit.split()[1:5] == [
        f"{report.fit.expected}",
        "±",
        f"{spread}",
        f"{report.fit.measured:.6g}",
    ]
    lines = str(verify(filled(NORMAL), NORMAL)).splitlines()
    assert "ok: consistent with the distribution" in lines
    lines = str(verify(np.eye(3), Identity())).splitlines()
    assert lines[-1] == "ok: consistent with the initializer"
    lines = str(verify(filled(NORMAL), NORMAL, seed=SEED)).splitlines()
    assert lines[-1] == f"ok: the values of seed {SEED}, stream 0"


def test_report_has_standard_deviations():
    values = filled(NORMAL, dtype="float64")
    report = verify(values, NORMAL)
    assert math.isclose(report.expected_std, NORMAL.std)
    assert math.isclose(report.measured_std, math.sqrt((values**2).mean()))
    assert report.asdict()["measured_std"] == report.measured_std
    assert verify(values, NORMAL, seed=SEED).measured_std is None


@pytest.mark.parametrize("name", ["NaN", "sums beyond doubles", "clipped"])
def test_report_as_json(name):
    make, distribution, finding = FAULTS[name]
    report = verify(make(), distribution)
    read = json.loads(json.dumps(report.asdict(), allow_nan=False))
    assert read["ok"] is False
    assert finding in read["failures"]
    assert read["distribution"] == repr(distribution)
    assert set(read["findings"]) == {one.name for one in report.findings}


def test_level_is_bonferronis():
    report = verify(filled(NORMAL), NORMAL, false_alarm=0.01)
    assert report.level == 0.01 / 7
    assert report.ok == all(one.p is None or one.p >= 0.01 / 7 for one in report.findings)


# ---- errors --------------------------------------------------------------------------------------


ONE = "tensor 'a.bias': array has dtype "
ONES, TWOS, HALVES, HUGE = (
    Plan([Rule("*", fx.Constant(value))]) for value in (1.0, 2.0, 0.5, 1e300)
)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (np.arange(3), NORMAL),
            {},
            TypeError,
            "array has dtype int64; it must be one of 'float32'",
        ),
        ((["a"], NORMAL), {}, TypeError, "array has dtype [<>]U1"),
        ((None, NORMAL), {}, TypeError, "array has dtype object"),
        ((np.ones(3, np.complex64), NORMAL), {}, TypeError, "array has dtype complex64"),
        ((np.empty((0, 3)), NORMAL), {}, ValueError, r"array has shape \(0, 3\); it must hold"),
        ((np.ones(3), 0.02), {}, TypeError, "distribution is 0.02; it must be an initializer"),
        ((np.ones(3), Uniform), {}, TypeError, "distribution is <class"),
        ((np.ones(3), "he_nromal"), {}, ValueError, "did you mean 'he_normal'"),
        ((np.ones(3), fx.default_plan()), {}, TypeError, "is a Plan, but array is not a mapping"),
        (({}, NORMAL), {}, TypeError, r"plan is Normal\(.*, or a Plan"),
        (({3: np.ones(3)}, "default"), {}, TypeError, "arrays has the key 3; .* a str"),
        (({"a.bias": np.ones(3, complex)}, ONES), {}, TypeError, ONE + "complex128, which"),
        (({"a.bias": np.ones(3, bool)}, TWOS), {}, TypeError, "whole constant from 0 to 1; the"),
        (({"a.bias": np.ones(3, "u1")}, HALVES), {}, TypeError, "whole constant from 0 to 255"),
        (({"a.bias": ["b"]}, ONES), {}, TypeError, ONE + "[<>]U1; it must be float32"),
        (({"a.bias": np.ones(3, "f")}, HUGE), {}, ValueError, "tensor 'a.bias': .* beyond"),
        (({"weights": np.ones(3)}, "default"), {}, fx.PlanError, "'weights'"),
        (({}, "default"), {"layout": "keras"}, ValueError, "layout is 'keras', but a plan has"),
        (({}, "default"), {"seed": 1, "stream": 0}, ValueError, "stream is 0, but the streams"),
        ((np.ones(3), NORMAL), {"stream": "a"}, ValueError, "stream is 'a', but it needs a seed"),
        ((np.ones(3), NORMAL), {"seed": -1}, ValueError, "seed is -1; it must be an integer"),
        ((np.ones(3), NORMAL), {"seed": 1.5}, TypeError, "seed is 1.5, a float"),
        ((np.ones(3), NORMAL), {"seed": 1, "stream": 1.5}, TypeError, "stream is 1.5"),
        ((np.ones(3, int), NORMAL), {"seed": 1}, TypeError, "array has dtype int64"),
        ((np.ones(3, "f"), Normal(0, 1e99)), {}, ValueError, "beyond the largest float32"),
        ((np.ones(3), NORMAL), {"false_alarm": 0}, ValueError, "false_alarm is 0.0; it must be be"),
        ((np.ones(3), NORMAL), {"false_alarm": 1}, ValueError, "false_alarm is 1.0"),
        ((np.ones(3), NORMAL), {"false_alarm": True}, TypeError, "false_alarm is True"),
        ((np.ones(3), NORMAL), {"false_alarm": math.nan}, ValueError, "false_alarm is nan"),
    ],
)
def test_errors(arguments, options, error, message):
    with pytest.raises(error, match=message):
        verify(*arguments, **options)


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(ImportError, match=r'pip install "fastxavier\[verify\]"'):
        verify(filled(Normal(0, 1)), Normal(0, 1))


def test_what_needs_no_scipy(monkeypatch):
    """Exact comparisons, constants and structured initializers."""
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert verify(filled(NORMAL), NORMAL, seed=SEED).ok
    assert verify(np.ones(3), fx.Constant(1.0)).ok
    assert verify(np.eye(3), Identity()).ok
    assert verify(model(), "default", seed=7).ok


def test_docstrings():
    failed, tried = doctest.testmod(api)
    assert tried
    assert not failed
