"""The maintainers' tools that compare two measurements: tools/compare.py, tools/instructions.py."""

import importlib.util
import json
import pathlib

import pytest


def script(name):
    """A program of tools/ as a module."""
    path = pathlib.Path(__file__).parents[1] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_ratio_that_fell_is_found(tmp_path):
    compare = script("compare")
    before = {
        "a, fraction of memset": 0.5,
        "b, fraction of memset": 0.5,
        "c, fraction of memset": 0.5,
        "a, times NumPy": 20.0,
    }
    after = {"a, fraction of memset": 0.43, "b, fraction of memset": 0.42, "a, times NumPy": 1.0}
    assert compare.fallen(before, before, 0.15) == []
    fallen = ["b, fraction of memset", "c, fraction of memset"]
    assert compare.fallen(before, after, 0.15) == fallen
    for number, ratio in (("0001", 0.5), ("0002", 0.6)):
        run = tmp_path / "machine" / f"{number}_before.json"
        run.parent.mkdir(exist_ok=True)
        params = {"distribution": "uniform", "dtype": "float32"}
        info = {"fraction of memset": ratio}
        run.write_text(json.dumps({"benchmarks": [{"params": params, "extra_info": info}]}))
    saved = {"uniform, float32, fraction of memset": 0.6}
    assert compare.saved("before", tmp_path) == saved
    with pytest.raises(SystemExit, match="no run 'after'"):
        compare.saved("after", tmp_path)
    (tmp_path / "machine" / "0003_empty.json").write_text(json.dumps({"benchmarks": []}))
    with pytest.raises(SystemExit, match="run 'empty' has no ratios"):
        compare.saved("empty", tmp_path)


def test_a_count_that_strayed_is_found():
    instructions = script("instructions")
    table = {"a": 10.0, "b": 10.0, "c": 10.0}
    assert instructions.strayed(table, table) == []
    assert instructions.strayed({"a": 10.19, "b": 9.79, "d": 1.0}, table) == ["b", "d", "c"]
    made_by, counts = instructions.read()
    assert made_by
    assert {kernel.split()[0] for kernel in counts} == set(instructions.ISAS)
    assert len(counts) == 4 * 4 * len(instructions.ISAS)
