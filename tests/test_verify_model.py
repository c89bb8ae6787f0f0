"""`verify` of a whole model against a plan."""

import json
import math
import re

import numpy as np
import pytest
from scipy import stats
from verify_cases import changed, model

import fastxavier as fx
from fastxavier import _verify as fx_verify
from fastxavier._verify import verify
from fastxavier._verify.model import mismatches

inf = math.inf


# ---- models --------------------------------------------------------------------------------------


def test_a_model():
    arrays = model()
    report = verify(arrays, fx.default_plan(), false_alarm=1e-3)
    assert isinstance(report, fx_verify.ModelVerification)
    assert report.ok
    assert report.failures == ()
    assert list(report.tensors) == list(arrays)
    for name, one in report.tensors.items():
        assert one.distribution == fx.default_plan().distribution(name, arrays[name].shape)
        assert one.false_alarm == pytest.approx(1e-3 / 6)
        assert (one.dtype, one.shape) == (arrays[name].dtype.name, arrays[name].shape)
    weight = verify(arrays["0.weight"], fx.glorot_uniform(200, 300), false_alarm=1e-3 / 6)
    assert report.tensors["0.weight"] == weight
    assert verify(arrays, "default").ok


DAMAGES = {
    "scale": ("0.weight", lambda w: w * 1.1, "variance"),
    "NaN": ("1.weight", lambda w: changed(w, (3, 5), np.nan), "nans"),
    "bias": ("0.bias", lambda w: changed(w, 3, 1e-30), "out_of_bounds"),
    "count": ("bn.num_batches_tracked", lambda w: w + 1, "differing_values"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_model_with_a_fault(case):
    name, damage, finding = DAMAGES[case]
    arrays = model()
    arrays[name] = np.asarray(damage(arrays[name]), arrays[name].dtype)
    report = verify(arrays, fx.default_plan())
    assert not report.ok
    assert report.failures == (name,)
    assert finding in report.tensors[name].failures
    assert verify(arrays, fx.default_plan(), seed=7).failures == (name,)


def test_a_model_bit_for_bit():
    """Names are streams: one more, one less or another order changes nothing."""
    arrays = model()
    report = verify(dict(reversed(arrays.items())), fx.default_plan(), seed=7)
    assert report.ok
    assert (report.seed, report.tensors["0.weight"].stream) == (7, "0.weight")
    other = verify(arrays, fx.default_plan(), seed=8)
    assert other.failures == ("0.weight", "1.weight")
    arrays["2.weight"] = arrays.pop("0.weight")
    assert verify(arrays, fx.default_plan(), seed=7).failures == ("2.weight",)


def test_false_alarms_of_a_model():
    """Shared among the tensors, they stay as rare as stated."""
    failed = 0
    for seed in range(100):
        arrays = {f"{i}.weight": np.empty((20, 30), np.float32) for i in range(6)}
        fx.init_(arrays, seed=seed)
        failed += not verify(arrays, fx.default_plan(), false_alarm=0.1).ok
    assert failed <= stats.binom.isf(1e-6, 100, 0.1)


def test_a_torch_module():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(200, 300), torch.nn.BatchNorm1d(300))
    fx.init_({name: one.data for name, one in module.state_dict().items()}, seed=7)
    assert verify(dict(module.named_parameters()), fx.default_plan(), seed=7).ok
    assert verify(module.state_dict(), fx.default_plan()).ok
    with pytest.raises(TypeError, match=r"verify\(dict\(module.named_parameters\(\)\), plan\)"):
        verify(module, fx.default_plan())


def test_a_model_prints_as_a_table():
    arrays = model()
    arrays["0.weight"] *= np.float32(1.1)
    report = verify(arrays, fx.default_plan())
    head, *rows = str(report).splitlines()
    rows, verdict, legend = rows[:6], rows[6], rows[7:]
    assert head.split("  ")[0] == "tensor"
    titles = ("expected std", "measured std", "mean: std errors off", "std: std errors off")
    assert all(f"  {title}  " in head for title in titles)
    assert [row.split()[0] for row in rows] == list(arrays)
    squares = np.square(arrays["0.weight"], dtype=float)
    assert f"  {math.sqrt(2 / 500):.6g}  " in rows[0]
    assert f"  {math.sqrt(squares.mean()):.6g}  " in rows[0]
    assert "Uniform(-0.109545, 0.109545)" in rows[0]
    assert re.search(r"  FAILED: .*variance", rows[0])
    assert all(row.endswith("  ok") for row in rows[1:])
    assert verdict == "FAILED: 1 of 6 tensors"
    assert legend[0].startswith("std errors off: ")
    exactly = str(verify(arrays, fx.default_plan(), seed=7)).splitlines()
    assert "  differing values  " in exactly[0]
    assert re.search(r"  60,000  FAILED: differing values$", exactly[1])
    assert exactly[-1].startswith("differing values: ")
    assert str(verify(model(), "default")).splitlines()[7] == "ok: 6 tensors"


def test_a_model_as_json():
    arrays = model()
    arrays["0.bias"][1] = np.nan
    read = json.loads(json.dumps(verify(arrays, "default").asdict(), allow_nan=False))
    assert (read["ok"], read["failures"], read["false_alarm"]) == (False, ["0.bias"], 1e-6)
    assert (read["seed"], read["mismatches"]) == (None, {})
    assert read["tensors"].keys() == arrays.keys()
    weight = read["tensors"]["0.weight"]
    assert weight == json.loads(json.dumps(verify(arrays, "default").tensors["0.weight"].asdict()))


def test_mismatches():
    held = {"a": ("F32", (3, 5)), "b": ("F32", (3,)), "c": ("I64", ()), "d": ("F16", (2,))}
    listed = {"e": ("F32", ()), "a": ("F32", (3, 5)), "b": ("F16", (4,)), "d": ("F16", (2, 1))}
    found = mismatches(held, listed)
    assert found == {
        "e": "missing",
        "b": "dtype F32 instead of F16, shape (3,) instead of (4,)",
        "d": "shape (2,) instead of (2, 1)",
        "c": "not in the list",
    }
    report = fx_verify.ModelVerification({}, 1e-6, mismatches=found)
    assert report.failures == tuple(found)
    assert not report.ok


def test_an_array_of_no_values_in_a_model_has_no_findings():
    report = verify({"none.weight": np.empty((0, 5))}, "default").tensors["none.weight"]
    assert report.ok
    assert report.findings == ()
