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
