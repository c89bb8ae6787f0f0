"""The demo: its tables, and that its check sees values that are off."""

import re

import numpy as np
import pytest

import fastxavier as fx
from fastxavier import cli
from fastxavier.cli import demo


def cells(line):
    return re.split(r"  +", line.strip())


def test_the_tables_of_the_demo(capsys):
    assert cli.main(["demo", "--gib", "0.001", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("distribution")]
    speeds, checks = (
        [dict(zip(cells(lines[head]), cells(lines[head + i]), strict=False)) for i in (1, 2)]
        for head in heads
    )
    times = "\N{MULTIPLICATION SIGN} NumPy"
    for row in speeds:
        ratio = float(row["fastxavier GB/s"]) / float(row["NumPy GB/s"])
        assert float(row[times]) == pytest.approx(ratio, rel=0.1, abs=0.6)
    assert [row["distribution"] for row in checks] == ["Glorot uniform", "Glorot normal"]
    for row in checks:
        assert float(row["measured std"]) == pytest.approx(float(row["expected std"]), rel=0.01)
    for head in heads:
        assert re.search("GB/s: |std errors off: ", lines[head + 3])  # the legend


@pytest.mark.parametrize("distribution", [fx.Uniform(-1.0, 1.0), fx.Normal(0.0, 1.0)])
def test_the_demo_sees_what_is_off(distribution):
    weights = fx.fill_(np.empty((64, 1024), np.float32), distribution, seed=3)
    expected = f"{distribution.std:.7f}"
    mean, measured, off, std, measured_std, std_off = demo.check(distribution, weights)
    assert (mean, std) == ("0", expected)
    assert float(measured) == pytest.approx(weights.mean(dtype=np.float64), abs=1e-5)
    assert float(measured_std) == pytest.approx(weights.std(dtype=np.float64), abs=1e-6)
    assert abs(float(off)) < 4
    assert abs(float(std_off)) < 4
    assert float(demo.check(distribution, weights + np.float32(0.1))[2]) > 10
    assert float(demo.check(distribution, weights * np.float32(1.1))[5]) > 10


@pytest.mark.parametrize("distribution", [fx.Uniform(-3.0, 3.0), fx.Normal(0.0, 2.0)])
def test_numpy_draws_the_same_distribution(distribution):
    """What it is compared with does the same work."""
    weights = np.empty((64, 1024), np.float32)
    demo.by_numpy(distribution)(weights, 0)
    assert fx.verify(weights, distribution).ok


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_threads_of_the_demo(capsys, monkeypatch, threads):
    """Each fill is asked for this number."""
    asked, fill = [], demo.fill_

    def noted(*rest, **options):
        asked.append(options["threads"])
        return fill(*rest, **options)

    monkeypatch.setattr(demo, "fill_", noted)
    options = [] if threads is None else ["--threads", str(threads)]
    assert cli.main(["demo", "--gib", "0.001", *options]) == 0
    assert set(asked) == {threads}


def test_threads_that_the_demo_refuses(capsys):
    assert cli.main(["demo", "--gib", "0.001", "--threads", "0"]) == 2
    assert "threads is 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("distribution", "kurtosis"), [(fx.Uniform(-1.0, 1.0), 1.8), (fx.Normal(0.0, 2.0), 3.0)]
)
def test_errors_of_the_demo_by_hand(distribution, kurtosis):
    """In standard errors of the mean, and of the variance about the expected mean."""
    weights = np.array([0.5] * 75 + [-0.25] * 25, np.float32)
    mean, variance = 0.3125, (75 * 0.25 + 25 * 0.0625) / 100
    _, measured, off, _, std, std_off = demo.check(distribution, weights)
    assert (measured, std) == ("+3.125e-01", f"{(variance - mean**2) ** 0.5:.7f}")
    assert float(off) == pytest.approx(mean / (distribution.std / 10), abs=0.006)
    error = distribution.variance * ((kurtosis - 1) / 100) ** 0.5
    assert float(std_off) == pytest.approx((variance - distribution.variance) / error, abs=0.006)
