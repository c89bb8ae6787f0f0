"""docs/dask.md and docs/zarr.md: their blocks run, in order, and do what the pages say."""

import importlib
import inspect
import operator
import re

import numpy as np
import pytest
from scipy import stats
from test_docs import ROOT, page

import fastxavier as fx


def blocks(name):
    return re.findall(r"^```python\n(.*?)^```", page(name), re.S | re.M)


@pytest.mark.filterwarnings("ignore")  # of a cluster's processes
def test_dask_page(tmp_path, monkeypatch):
    pytest.importorskip("dask.array")
    needs = {"distributed": "dask.distributed", "xarray": "xarray", "cubed": "cubed"}
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("dask.md"):
        if all(importlib.util.find_spec(one) for one, word in needs.items() if word in block):
            exec(block, names)
    drawn = {"seed": 7, "stream": "fc1.weight"}
    whole = fx.draw((20_000, 5_000), fx.he_normal(), **drawn)
    assert names["row"].tobytes() == whole[12_345].tobytes()
    if "mean" in names:
        assert names["mean"] == pytest.approx(whole[:4_000].mean(), abs=1e-6)
    if "spread" in names:
        np.testing.assert_allclose(names["spread"], whole[:4_000].std(axis=1), rtol=1e-3)
    if "y" in names:
        expected = fx.draw(names["shape"], fx.he_normal(), **drawn)
        assert names["y"].compute().tobytes() == expected.tobytes()
        assert (names["y"][950:1050, 7].compute() == expected[950:1050, 7]).all()


def test_zarr_page(tmp_path, monkeypatch, capsys):
    zarr = pytest.importorskip("zarr", minversion="3.1.2")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("zarr.md"):
        if "dask" not in block or importlib.util.find_spec("dask"):
            exec(block, names)
    assert "32 chunks written, 0 kept" in capsys.readouterr().out
    expected = fx.draw((8_192, 4_096), fx.he_normal(), seed=7, stream="fc1.weight")
    assert zarr.open_array("weights.zarr")[...].tobytes() == expected.tobytes()
    mapping = {
        name: np.empty(zarr.open_group("model.zarr")[name.replace(".", "/")].shape, np.float32)
        for name in ("body.0.weight", "body.0.bias")
    }
    fx.init_(mapping, names["plan"], seed=7)
    for name, values in mapping.items():
        assert (zarr.open_group("model.zarr")[name.replace(".", "/")][...] == values).all()


def test_cubed_reads_what_zarr_has(tmp_path):
    """As docs/dask.md says."""
    cubed = pytest.importorskip("cubed")
    zarr = pytest.importorskip("zarr", minversion="3.1.2")
    from fastxavier.zarr import fill

    path = str(tmp_path / "weights.zarr")
    array = zarr.create_array(path, shape=(100, 70), chunks=(20, 30), dtype="float32")
    fill(array, fx.he_normal(), 7, "fc1.weight")
    expected = fx.draw((100, 70), fx.he_normal(), seed=7, stream="fc1.weight")
    assert (cubed.from_zarr(path).compute() == expected).all()


NEEDS = [("dask", "2025.1"), ("zarr", "3.1.2")]
FUNCTION = ["Parameters", "Returns", "Raises", "Examples"]
SECTIONS = {
    "dask": {"random": FUNCTION},
    "zarr": {"fill": [*FUNCTION, "Notes"], "Report": ["Attributes"], "Report.asdict": ["Returns"]},
}


@pytest.mark.parametrize(("package", "oldest"), NEEDS)
def test_reference(package, oldest):
    """The public names are in the reference, and the other way; their docstrings have sections."""
    pytest.importorskip(package, minversion=oldest)
    module = importlib.import_module(f"fastxavier.{package}")
    text = (ROOT / "docs" / "api.rst").read_text()
    assert set(re.findall(rf"^   {package}\.(\S+)$", text, re.M)) == set(module.__all__)
    assert {name.partition(".")[0] for name in SECTIONS[package]} == set(module.__all__)
    for name, sections in SECTIONS[package].items():
        documented = inspect.getdoc(operator.attrgetter(name)(module))
        found = re.findall(r"^(\w.*)\n-+$", documented, re.M)
        assert set(sections) <= set(found), name
        assert len(found) == len(set(found))


@pytest.mark.parametrize(("package", "oldest"), NEEDS)
def test_exceptions(package, oldest):
    """What does not hold for two kinds of initializers, in the same words everywhere."""
    pytest.importorskip(package, minversion=oldest)
    module = importlib.import_module(f"fastxavier.{package}")
    for text in (page(f"{package}.md"), getattr(module, module.__all__[-1]).__doc__):
        words = " ".join(text.split())
        assert (
            "Each chunk of `Sparse` draws the numbers of its whole columns, and takes memory and "
            "time for them"
        ) in words
        assert "come from LAPACK: elsewhere, or with other threads, their last digits may" in words
        assert "hat is not guaranteed" in words
    assert "## What is not guaranteed" in page("guarantees.md")


def test_coming_from():
    """Both lines of each row of that page's table draw from one distribution."""
    da = pytest.importorskip("dask.array")
    zarr = pytest.importorskip("zarr", minversion="3.1.2")
    import fastxavier.dask
    import fastxavier.zarr

    section = page("coming_from.md").partition("## dask and zarr")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (same.*) \|$", section, re.M)
    assert len(rows) == 3
    for lines in rows:
        values = []
        for line in lines[:2]:
            names = {
                "fx": fx,
                "fd": fastxavier.dask,
                "fz": fastxavier.zarr,
                "rng": da.random.default_rng(7),
                "numpy_rng": np.random.default_rng(7),
                "z": zarr.create_array({}, shape=(300, 200), chunks=(70, 70), dtype="float32"),
                "m": 300,
                "n": 200,
                "c": 70,
            }
            if "z[" in line:
                exec(line, names)
            else:
                names["x"] = eval(line, names)
            filled = names["z"][...] if line.startswith(("z[", "fz.")) else names["x"].compute()
            values.append(np.asarray(filled, np.float32).ravel())
        assert stats.ks_2samp(*values).pvalue > 1e-6
        assert abs(values[0]).max() > 0
