"""The race: every contestant that is installed fills what it claims, and the arithmetic of times.

No time is asserted.
"""

import argparse
import dataclasses
import importlib.util
import json
import math
import pathlib
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from cases import DTYPES

import fastxavier as fx
from fastxavier.bench import implementations as peers
from fastxavier.bench.benchmark import (
    DISTRIBUTIONS,
    Entry,
    Heat,
    Race,
    fault,
    run_heat,
    surroundings,
)
from fastxavier.bench.implementations import CONTESTANTS, Contestant
from fastxavier.bench.plot import plot
from fastxavier.cli import bench

COUNT = 40_003  # no multiple of a block, and more than one
CLAIMS = [
    pytest.param(one, distribution, dtype, id=f"{one.name}-{distribution}-{dtype}")
    for one in CONTESTANTS
    if one.version is not None
    for distribution in one.distributions
    for dtype in one.dtypes
]


def test_the_registry_is_one_of_names_and_distributions():
    assert len({one.name for one in CONTESTANTS}) == len(CONTESTANTS)
    assert set(DISTRIBUTIONS) == set(peers.DISTRIBUTIONS)
    assert all(
        isinstance(distribution, peers.DISTRIBUTIONS[name])
        for name, distribution in DISTRIBUTIONS.items()
    )
    assert all(peers.dtype_named(name) == DTYPES[name] for name in peers.DTYPES)
    assert {one.role for one in CONTESTANTS} == {"limit", "ours", "peer"}


@pytest.mark.filterwarnings("default")  # what a peer's own code warns of is its own affair
@pytest.mark.parametrize(("one", "distribution", "dtype"), CLAIMS)
def test_a_contestant_fills_what_it_claims(one, distribution, dtype):
    array = np.full(COUNT, np.nan, DTYPES[dtype])
    one.filler(DISTRIBUTIONS[distribution], array, 2)()
    if one.role == "limit":
        assert np.isfinite(array.astype(np.float64)).all()
    else:
        assert fault(array, DISTRIBUTIONS[distribution]) is None


@pytest.mark.parametrize(
    "distribution", [fx.Uniform(0.5, 2.0), fx.Normal(3.0, 0.5), fx.TruncatedNormal(1.0, 0.3)]
)
@pytest.mark.parametrize(
    "one", [one for one in CONTESTANTS if one.role == "peer" and one.version], ids=lambda o: o.name
)
@pytest.mark.filterwarnings("default")
def test_a_peer_draws_distributions_with_a_mean_too(one, distribution):
    if (
        any(isinstance(distribution, peers.DISTRIBUTIONS[name]) for name in one.distributions)
        and "float32" in one.dtypes
    ):
        array = np.full(COUNT, np.nan, np.float32)
        one.filler(distribution, array, 1)()
        assert fault(array, distribution) is None


# ---- verifying -----------------------------------------------------------------------------------


@pytest.mark.parametrize("errors", [-7, -5, 5, 7])
def test_fault_allows_six_standard_errors(errors):
    distribution, count = DISTRIBUTIONS["normal"], 20_000
    drawn = np.random.default_rng(5).normal(size=count)
    drawn -= drawn.mean()
    drawn *= distribution.std / drawn.std()  # both moments are now the distribution's
    shifted = drawn + errors * distribution.std / math.sqrt(count)
    shifted *= distribution.std / math.sqrt(np.mean(shifted**2))
    widened = drawn * math.sqrt(1 + errors * math.sqrt(2 / count))
    assert fault(drawn, distribution) is None
    if abs(errors) < 6:
        assert fault(shifted, distribution) is None
        assert fault(widened, distribution) is None
    else:
        assert re.fullmatch(
            r"mean [+-]4.9\d% of std off, 7 standard errors", fault(shifted, distribution)
        )
        assert re.fullmatch(
            r"variance [+-]7.00% off, 7 standard errors", fault(widened, distribution)
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.0501, 0.0501])
@pytest.mark.parametrize("place", [0, COUNT - 1])
def test_fault_sees_one_value_out_of_bounds(bad, place):
    distribution = DISTRIBUTIONS["uniform"]
    array = fx.fill_(np.empty(COUNT), distribution, seed=1)
    assert fault(array, distribution) is None
    array[place] = bad
    assert fault(array, distribution).startswith("values from")


class Homemade(Contestant):
    """A contestant that is always installed and offers the uniform distribution in float32."""

    package, dtypes, threads = "numpy", ("float32",), "one"

    def __init__(self, name, draw):
        self.name, self.draw = name, draw

    def uniform(self, distribution, array, threads):
        return lambda: self.draw(array)


class Absent(Homemade):
    package = "a-package-that-does-not-exist"


def test_who_fails_is_not_timed_and_says_why():
    def right(array):
        array[:] = np.random.default_rng(3).uniform(-0.05, 0.05, array.size)

    def raising(array):
        raise ZeroDivisionError("by what\nelse")

    contestants = [
        Homemade("right", right),
        Homemade("idle", lambda array: None),
        Homemade("constant", lambda array: array.fill(0)),
        Homemade("narrow", lambda array: (right(array), np.multiply(array, 0.5, out=array))),
        Homemade("raising", raising),
        Absent("absent", right),
    ]
    memory = np.zeros(4 * COUNT, np.uint8)
    arguments = {"threads": (1, 2), "rounds": 2, "contestants": contestants}
    heat = run_heat("uniform", "float32", memory, **arguments)
    assert [entry.name for entry in heat.timed] == ["right"]
    assert [len(entry.seconds) for entry in heat.timed] == [2]
    failures = {entry.name: entry.failure for entry in heat.failed}
    assert list(failures) == ["idle", "constant", "narrow", "raising"]
    assert failures["idle"] == "values from nan to nan"
    assert failures["constant"].startswith("variance -100.00% off")
    assert failures["narrow"].startswith("variance -7")
    assert failures["raising"] == "ZeroDivisionError: by what"
    assert not run_heat("normal", "float32", memory, **arguments).entries
    assert not run_heat("uniform", "float64", memory[: 8 * (COUNT // 2)], **arguments).entries


# ---- arithmetic ----------------------------------------------------------------------------------


def made_up_race():
    """Round numbers: 1,000 float32 values, medians in microseconds."""

    def entry(name, role, threads, microseconds, failure=None):
        seconds = tuple(1e-6 * value for value in microseconds)
        package = name.split()[0]
        return Entry(name, package, role, "copied", threads, seconds, failure)

    entries = (
        entry("memset", "limit", 1, (2, 2, 3)),
        entry("streaming stores", "limit", 1, (4, 4, 4)),
        entry("streaming stores", "limit", 2, (1, 1, 9)),
        entry("fastxavier", "ours", 1, (4, 5, 3)),
        entry("fastxavier", "ours", 2, (2, 2, 2)),
        entry("numpy", "peer", 1, (40, 40, 40)),
        entry("jax", "peer", None, (20, 10, 30)),
        entry("torch", "peer", 2, (), "mean off"),
    )
    heats = tuple(
        Heat(distribution, dtype, 4000, 1000, entries)
        for distribution in DISTRIBUTIONS
        for dtype in ("float32", "bfloat16")
    )
    machine, versions = surroundings()
    return Race(machine, versions | {"jax": "1.2"}, 3, heats)


def test_ratios_of_made_up_times():
    heat = made_up_race().heats[0]
    by_name = {(entry.name, entry.threads): entry for entry in heat.entries}
    ours, alone = by_name["fastxavier", 2], by_name["fastxavier", 1]
    assert heat.fastest_peer.name == "jax"
    assert heat.ours == [ours, alone]
    assert alone.least == 3e-6
    assert alone.median == 4e-6
    assert heat.gigabytes_per_second(ours) == pytest.approx(2.0)
    assert heat.nanoseconds_per_value(ours) == pytest.approx(2.0)
    assert heat.of_limit(alone) == pytest.approx(0.5)  # of memset, not of two threads' stores
    assert heat.of_limit(ours) == pytest.approx(0.5)  # of two threads' stores
    assert heat.of_limit(by_name["jax", None]) == pytest.approx(0.05)
    assert heat.of_fastest_peer(ours) == pytest.approx(10)
    assert heat.of_fastest_peer(by_name["numpy", 1]) == pytest.approx(0.5)
    assert [entry.name for entry in heat.failed] == ["torch"]
    assert by_name["torch", 2] not in heat.timed


def test_a_race_survives_json():
    race = made_up_race()
    written = json.loads(json.dumps(race.asdict()))
    assert Race.from_dict(written) == race
    assert set(written) == {"format", "machine", "versions", "rounds", "distributions", "heats"}
    assert {"cpu", "isa", "threads", "cores", "system", "python"} <= set(written["machine"])
    assert written["distributions"]["uniform"] == "Uniform(low=-0.05, high=0.05)"
    heat = written["heats"][0]
    assert set(heat) == {"distribution", "dtype", "nbytes", "count", "entries"}
    assert heat["entries"][4]["of_fastest_peer"] == pytest.approx(10)
    assert heat["entries"][-1]["failure"] == "mean off"
    for wrong in (written | {"format": 0}, [], {"format": 1}, written | {"heats": [{}]}):
        with pytest.raises(ValueError, match=r"it must be 1|lacks or has otherwise"):
            Race.from_dict(wrong)


# ---- what is shown -------------------------------------------------------------------------------


def test_the_plot_is_svg_and_the_same_bytes_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        plot(made_up_race(), tmp_path / name)
    root = ET.parse(tmp_path / "one.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 50
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_race_without_peers_is_drawn_as_well(tmp_path):
    pytest.importorskip("matplotlib")
    race = made_up_race()
    alone = tuple(
        dataclasses.replace(heat, entries=tuple(e for e in heat.entries if e.role != "peer"))
        for heat in race.heats
    )
    plot(dataclasses.replace(race, heats=alone), tmp_path / "alone.svg")
    assert ET.parse(tmp_path / "alone.svg").getroot().tag.endswith("svg")


def test_a_race_in_which_this_package_failed_is_not_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    race = made_up_race()
    with pytest.raises(ValueError, match="no heat in which fastxavier was timed"):
        plot(dataclasses.replace(race, heats=()), tmp_path / "never.svg")


def test_without_matplotlib_the_plot_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "fastxavier\[plots\]"'):
        plot(made_up_race(), tmp_path / "never.svg")
    assert not (tmp_path / "never.svg").exists()


@pytest.mark.parametrize(
    ("text", "float32s"),
    [("262144", 65536), ("256KiB", 65536), ("1.5MiB", 393216), ("1e4", 10_000), ("7", 1)],
)
def test_sizes(text, float32s):
    assert bench.size(text).nbytes(4) == 4 * float32s


def test_sizes_that_hold_no_value():
    with pytest.raises(ValueError, match="size is 3 bytes; it must hold a value of each dtype"):
        command("--size", 3, "--dtype", "float16", "float32", "--threads", 1, "--rounds", 1)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1MB", "1e", "1.5.5", "0.5"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is"):
        bench.size(text)


def command(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_to(parser.add_subparsers())
    options = parser.parse_args(["bench", *map(str, arguments)])
    return options.run(options)


def test_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    chosen = (
        "--distribution uniform --dtype float32 float16 --size 64KiB 1e4 --threads 1 --rounds 2"
    )
    figures, picture = tmp_path / "benchmark.json", tmp_path / "race.svg"
    files = ("--json", figures, "--plot", picture)
    assert command(*chosen.split(), "--peers", "numpy", *files) == 0
    raced = capsys.readouterr().out
    assert "uniform, float32, 64 KiB (16,384 values)" in raced
    race = json.loads(figures.read_text())
    assert [heat["count"] for heat in race["heats"]] == [16_384, 32_768, 10_000, 10_000]
    names = {entry["name"] for entry in race["heats"][0]["entries"]}
    bits = {"NumPy PCG64", "NumPy SFC64", "NumPy Philox"}
    assert names == {"memset", "streaming stores", "fastxavier"} | bits
    assert all(len(e["seconds"]) == 2 for heat in race["heats"] for e in heat["entries"])
    assert ET.parse(picture).getroot().tag.endswith("svg")

    again = tmp_path / "again.svg"
    assert command("--from", figures, "--plot", again) == 0
    assert capsys.readouterr().out.strip() in raced
    assert again.read_bytes() == picture.read_bytes()


def test_the_command_when_this_package_fails(tmp_path, capsys):
    race = made_up_race()
    failed = tuple(
        dataclasses.replace(e, seconds=(), failure="mean off") if e.role == "ours" else e
        for e in race.heats[0].entries
    )
    heats = (dataclasses.replace(race.heats[0], entries=failed),)
    (tmp_path / "benchmark.json").write_text(json.dumps(dataclasses.replace(race, heats=heats).asdict()))
    assert command("--from", tmp_path / "benchmark.json") == 1
    assert "not timed: fastxavier, threads 1: mean off" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [("--distribution", "cauchy"), ("--peers", "nobody"), ("--threads", "0"), ("--size", "1MB")],
)
def test_what_the_command_refuses(arguments, capsys):
    with pytest.raises(SystemExit):
        command(*arguments)
    assert arguments[1] in capsys.readouterr().err


@pytest.mark.parametrize("file", ["--json", "--plot"])
def test_a_file_that_cannot_be_written_is_told_before_the_race(file, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "run_heat", None)
    monkeypatch.setattr(bench.race_plot, "matplotlib", lambda: None)
    with pytest.raises(FileNotFoundError):
        command(file, tmp_path / "no" / "race")


@pytest.mark.parametrize("before", [None, b"an earlier race", "a link"])
def test_a_first_heat_that_is_interrupted_leaves_no_trace(before, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "run_heat", interrupted)
    monkeypatch.setattr(bench.race_plot, "matplotlib", lambda: None)
    figures, picture = tmp_path / "benchmark.json", tmp_path / "race.svg"
    if before == "a link":
        figures.symlink_to("not yet there")
    elif before:
        figures.write_bytes(before)
    with pytest.raises(KeyboardInterrupt):
        command("--size", "4KiB", "--json", figures, "--plot", picture)
    assert list(tmp_path.iterdir()) == ([figures] if before else [])
    assert figures.is_symlink() == (before == "a link")
    assert before is None or figures.is_symlink() or figures.read_bytes() == before


# ---- the guards of benchmarks/ -------------------------------------------------------------------


def script(name):
    """A program of benchmarks/ as a module."""
    path = pathlib.Path(__file__).parents[1] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_ratio_that_fell_is_found(tmp_path):
    compare = script("compare")
    before = {"a, of memset": 0.5, "b, of memset": 0.5, "c, of memset": 0.5, "a, times NumPy": 20.0}
    after = {"a, of memset": 0.43, "b, of memset": 0.42, "a, times NumPy": 1.0}
    assert compare.fallen(before, before, 0.15) == []
    assert compare.fallen(before, after, 0.15) == ["b, of memset", "c, of memset"]
    for number, ratio in (("0001", 0.5), ("0002", 0.6)):
        run = tmp_path / "machine" / f"{number}_before.json"
        run.parent.mkdir(exist_ok=True)
        params = {"distribution": "uniform", "dtype": "float32"}
        info = {"of memset": ratio}
        run.write_text(json.dumps({"benchmarks": [{"params": params, "extra_info": info}]}))
    assert compare.saved("before", tmp_path) == {"uniform, float32, of memset": 0.6}
    with pytest.raises(SystemExit, match="no run 'after'"):
        compare.saved("after", tmp_path)


def test_a_count_that_strayed_is_found():
    instructions = script("instructions")
    table = {"a": 10.0, "b": 10.0, "c": 10.0}
    assert instructions.strayed(table, table) == []
    assert instructions.strayed({"a": 10.19, "b": 9.79, "d": 1.0}, table) == ["b", "d", "c"]
    made_by, counts = instructions.read()
    assert made_by
    assert {kernel.split()[0] for kernel in counts} == set(instructions.ISAS)
    assert len(counts) == 4 * 4 * len(instructions.ISAS)
