"""The benchmark: every implementation fills what it claims; the arithmetic of times; the command.

No time is asserted.
"""

import dataclasses
import json
import math
import mmap
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from cases import DTYPES

import fastxavier as fx
from fastxavier import cli
from fastxavier._dtypes import FLOATS, dtype_named
from fastxavier.bench import benchmark, report
from fastxavier.bench import plot as bench_plot
from fastxavier.bench.base import DISTRIBUTIONS, Implementation
from fastxavier.bench.benchmark import environment, measure, mismatch
from fastxavier.bench.implementations import IMPLEMENTATIONS, PEERS
from fastxavier.bench.plot import plot
from fastxavier.bench.results import Benchmark, Run, Timing

COUNT = 40_003  # no multiple of a block, and more than one
CLAIMS = [
    pytest.param(one, distribution, dtype, id=f"{one.name}-{distribution}-{dtype}")
    for one in IMPLEMENTATIONS
    if one.version is not None and "warm" in one.memories
    for distribution in one.distributions
    for dtype in one.dtypes
]


def test_the_table_has_unique_names_known_roles_and_every_dtype():
    assert len({one.name for one in IMPLEMENTATIONS}) == len(IMPLEMENTATIONS)
    assert len({type(one) for one in DISTRIBUTIONS.values()}) == len(DISTRIBUTIONS)
    assert all(one.distributions for one in IMPLEMENTATIONS)
    assert all(set(one.dtypes) <= set(FLOATS) for one in IMPLEMENTATIONS)
    assert all(dtype_named(name) == DTYPES[name] for name in FLOATS)
    assert {one.role for one in IMPLEMENTATIONS} == {"memory", "ours", "peer"}
    assert set(PEERS) == {one.package for one in IMPLEMENTATIONS if one.role == "peer"}


@pytest.mark.parametrize(
    "statement",
    [
        "import fastxavier",
        "import fastxavier.plans",
        "import fastxavier.checkpoints",
        "import fastxavier._verify",
        "from fastxavier import cli; cli.main(['info'])",
    ],
)
def test_nothing_else_imports_the_benchmark(statement):
    loaded = "sorted(name for name in sys.modules if name.startswith('fastxavier.bench'))"
    command = [sys.executable, "-c", f"import sys; {statement}; print({loaded})"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.filterwarnings("default")  # other libraries may warn
@pytest.mark.parametrize(("one", "distribution", "dtype"), CLAIMS)
def test_an_implementation_fills_what_it_claims(one, distribution, dtype):
    array = np.full(COUNT, np.nan, DTYPES[dtype])
    one.filler(DISTRIBUTIONS[distribution], array, 2)()
    if one.role == "memory":
        assert np.isfinite(array.astype(np.float64)).all()
    else:
        assert mismatch(array, DISTRIBUTIONS[distribution]) is None


@pytest.mark.parametrize(
    "distribution", [fx.Uniform(0.5, 2.0), fx.Normal(3.0, 0.5), fx.TruncatedNormal(1.0, 0.3)]
)
@pytest.mark.parametrize(
    "one",
    [one for one in IMPLEMENTATIONS if one.role == "peer" and one.version],
    ids=lambda o: o.name,
)
@pytest.mark.filterwarnings("default")
def test_a_peer_draws_distributions_with_a_mean_too(one, distribution):
    kinds = {type(DISTRIBUTIONS[name]) for name in one.distributions}
    if type(distribution) in kinds and "float32" in one.dtypes:
        array = np.full(COUNT, np.nan, np.float32)
        one.filler(distribution, array, 1)()
        assert mismatch(array, distribution) is None


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("one", "distribution"),
    [
        pytest.param(one, distribution, id=f"{one.name}-{distribution}")
        for one in IMPLEMENTATIONS
        if one.version is not None and one.role != "memory" and one.threads == "given"
        for distribution in one.distributions
    ],
)
def test_threads_draw_different_values(one, distribution):
    """Were they all on one seed, each part of the array would be the first again."""
    array = np.empty(4 * COUNT, one.dtypes[0])
    one.filler(DISTRIBUTIONS[distribution], array, 4)()
    parts = np.array_split(array, 4)
    assert len({part[:1000].tobytes() for part in parts}) == 4
    assert array.itemsize == 2 or len(np.unique(array)) > 0.9 * array.size


# ---- verifying -----------------------------------------------------------------------------------


@pytest.mark.parametrize("errors", [-7, -5, 5, 7])
def test_mismatch_allows_six_standard_errors(errors):
    distribution, count = DISTRIBUTIONS["normal"], 20_000
    drawn = np.random.default_rng(5).normal(size=count)
    drawn -= drawn.mean()
    drawn *= distribution.std / drawn.std()  # both moments are now the distribution's
    shifted = drawn + errors * distribution.std / math.sqrt(count)
    shifted *= distribution.std / math.sqrt(np.mean(shifted**2))
    widened = drawn * math.sqrt(1 + errors * math.sqrt(2 / count))
    assert mismatch(drawn, distribution) is None
    if abs(errors) < 6:
        assert mismatch(shifted, distribution) is None
        assert mismatch(widened, distribution) is None
    else:
        assert re.fullmatch(
            r"mean [+-]4.9\d% of std off, 7 standard errors", mismatch(shifted, distribution)
        )
        assert re.fullmatch(
            r"variance [+-]7.00% off, 7 standard errors", mismatch(widened, distribution)
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.0501, 0.0501])
@pytest.mark.parametrize("place", [0, COUNT - 1])
def test_mismatch_sees_one_value_out_of_bounds(bad, place):
    distribution = DISTRIBUTIONS["uniform"]
    array = fx.fill_(np.empty(COUNT), distribution, seed=1)
    assert mismatch(array, distribution) is None
    array[place] = bad
    assert mismatch(array, distribution).startswith("values from")


class Homemade(Implementation):
    """An implementation that is always installed and offers the uniform distribution in float32."""

    package, dtypes, threads = "numpy", ("float32",), "one"

    def __init__(self, name, draw):
        self.name, self.draw = name, draw

    def uniform(self, distribution, array, threads):
        return lambda: self.draw(array)


class Absent(Homemade):
    package = "a-package-that-does-not-exist"


def test_what_fails_is_skipped_and_says_why():
    def right(array):
        array[:] = np.random.default_rng(3).uniform(-0.05, 0.05, array.size)

    def raising(array):
        raise ZeroDivisionError("first line\nsecond")

    implementations = [
        Homemade("right", right),
        Homemade("idle", lambda array: None),
        Homemade("constant", lambda array: array.fill(0)),
        Homemade("narrow", lambda array: (right(array), np.multiply(array, 0.5, out=array))),
        Homemade("raising", raising),
        Absent("absent", right),
    ]
    memory = np.zeros(4 * COUNT, np.uint8)
    arguments = {"threads": (1, 2), "repetitions": 2, "implementations": implementations}
    run = measure("uniform", "float32", memory, **arguments)
    assert [one.name for one in run.timed] == ["right"]
    assert [len(one.seconds) for one in run.timed] == [2]
    failures = {one.name: one.failure for one in run.skipped}
    assert list(failures) == ["idle", "constant", "narrow", "raising"]
    assert failures["idle"] == "values from nan to nan, not within [-0.05, 0.05]"
    assert failures["constant"].startswith("variance -100.00% off")
    assert failures["narrow"].startswith("variance -7")
    assert failures["raising"] == "ZeroDivisionError: first line"
    assert not measure("normal", "float32", memory, **arguments).timings
    assert not measure("uniform", "float64", memory[: 8 * (COUNT // 2)], **arguments).timings


@pytest.mark.parametrize(("patience", "expected"), [(0.0, 2), (1e9, 5)])
def test_a_slow_implementation_skips_repetitions(monkeypatch, patience, expected):
    """One that has taken its ten seconds is timed twice; the others as often as is asked."""
    monkeypatch.setattr(benchmark, "MAX_SECONDS", patience)
    monkeypatch.setattr(benchmark, "PAUSE", 0.0)
    monkeypatch.setattr(benchmark, "MIN_SECONDS", 0.0)
    memory = np.empty(4096, np.uint8)
    chosen = [one for one in IMPLEMENTATIONS if one.name in ("memset", "fastxavier")]
    run = measure("uniform", "float32", memory, threads=(1,), repetitions=5, implementations=chosen)
    assert [len(one.seconds) for one in run.timings] == [expected] * 2


def test_patience_is_of_each_implementation(monkeypatch):
    """The time of one is not the time of another."""
    clock = [0.0]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(benchmark, "PAUSE", 0.0)

    def taking(seconds):
        def draw(array):
            clock[0] += seconds
            array[:] = np.random.default_rng(3).uniform(-0.05, 0.05, array.size)

        return draw

    chosen = [Homemade("quick", taking(0.01)), Homemade("slow", taking(3.0))]
    memory = np.empty(4 * COUNT, np.uint8)
    run = measure("uniform", "float32", memory, threads=(1,), repetitions=9, implementations=chosen)
    assert [len(one.seconds) for one in run.timings] == [9, 4]  # after 12 seconds


# ---- fresh memory --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one", [one for one in IMPLEMENTATIONS if one.version], ids=lambda o: o.name
)
def test_a_new_array_has_the_size_and_dtype(one):
    for dtype in one.dtypes:
        array = one.empty(1000, DTYPES[dtype])
        assert (array.shape, array.dtype) == ((1000,), DTYPES[dtype])
        assert array.flags.writeable
        assert array.flags.c_contiguous


def test_fresh_memory_is_a_new_array_for_each_fill(monkeypatch):
    """None of them has been written to, and each is filled once."""
    monkeypatch.setattr(benchmark, "PAUSE", 0.0)
    monkeypatch.setattr(benchmark, "LEAST_FRESH", 4 * COUNT)
    made, filled = [], []

    class Recording(Homemade):
        def empty(self, count, dtype):
            made.append(np.full(count, np.nan, dtype))
            return made[-1]

    def draw(array):
        filled.append((array, np.isnan(array).all()))
        array[:] = np.random.default_rng(3).uniform(-0.05, 0.05, array.size)

    memory, chosen = np.zeros(4 * COUNT, np.uint8), [Recording("one", draw)]
    arguments = {"threads": (1,), "repetitions": 3, "implementations": chosen}
    run = measure("uniform", "float32", memory, fresh=True, **arguments)
    assert run.memory == "fresh"
    assert [len(one.seconds) for one in run.timed] == [3]
    assert len(made) == 3
    assert all(fresh for _, fresh in filled)
    assert np.shares_memory(filled[0][0], memory)  # to verify
    assert [array is one for (array, _), one in zip(filled[1:], made, strict=True)] == [True] * 3


def test_fresh_memory_must_be_large():
    memory = np.empty(32 << 20, np.uint8)
    with pytest.raises(ValueError, match=r"memory is 33554432 bytes; .* beyond 32 MiB") as raised:
        measure("normal", "float32", memory, threads=(1,), repetitions=1, fresh=True)
    assert raised.value.argument == "memory"


def test_np_zeros_is_timed_in_fresh_memory_alone(monkeypatch):
    """Of each page it writes one byte."""
    monkeypatch.setattr(benchmark, "LEAST_FRESH", 1)
    (zeros,) = [one for one in IMPLEMENTATIONS if one.name.startswith("np.zeros")]
    array = np.full(1 << 16, 0xFF, np.uint8)
    zeros.filler(DISTRIBUTIONS["normal"], array, 1)()
    assert list(np.flatnonzero(array == 0)) == list(range(0, array.size, mmap.PAGESIZE))
    assert not zeros.empty(9, np.float64).any()
    arguments = {"threads": (1,), "repetitions": 1, "implementations": [zeros]}
    for fresh in (False, True):
        run = measure("normal", "float32", np.zeros(4096, np.uint8), fresh=fresh, **arguments)
        assert [one.name for one in run.timed] == [zeros.name] * fresh


def test_a_run_in_fresh_memory_survives_json_and_says_so(capsys):
    found = made_up()
    found = dataclasses.replace(
        found, runs=(found.runs[0], dataclasses.replace(found.runs[0], memory="fresh"))
    )
    written = json.loads(json.dumps(found.asdict()))
    assert Benchmark.from_dict(written) == found
    assert [one["memory"] for one in written["runs"]] == ["warm", "fresh"]
    report.show_run(found.runs[1])
    assert "uniform, float32, 3.906 KiB fresh (1,000 values)" in capsys.readouterr().out
    report.show_summary(found)
    assert "3.906 KiB fresh" in capsys.readouterr().out
    del written["runs"][0]["memory"]  # as files without fresh memory were written
    assert Benchmark.from_dict(written) == found
    written["runs"][1]["memory"] = "cold"
    with pytest.raises(ValueError, match=r"runs\[1\]: 'memory' is 'cold'"):
        Benchmark.from_dict(written)


# ---- arithmetic ----------------------------------------------------------------------------------


def made_up():
    """Round numbers: 1,000 float32 values, medians in microseconds."""

    def timing(name, role, threads, microseconds, failure=None):
        seconds = tuple(1e-6 * value for value in microseconds)
        package = name.split()[0]
        return Timing(name, package, role, "copied", threads, seconds, failure)

    timings = (
        timing("memset", "memory", 1, (2, 2, 3)),
        timing("constant fill", "memory", 1, (4, 4, 4)),
        timing("constant fill", "memory", 2, (1, 1, 9)),
        timing("fastxavier", "ours", 1, (4, 5, 3)),
        timing("fastxavier", "ours", 2, (2, 2, 2)),
        timing("numpy", "peer", 1, (40, 40, 40)),
        timing("jax", "peer", None, (20, 10, 30)),
        timing("torch", "peer", 2, (), "mean off"),
    )
    runs = tuple(
        Run(distribution, dtype, 4000, 1000, timings)
        for distribution in DISTRIBUTIONS
        for dtype in ("float32", "bfloat16")
    )
    machine, versions = environment()
    return Benchmark(machine, versions | {"jax": "1.2"}, 3, runs)


def test_ratios_of_made_up_times():
    run = made_up().runs[0]
    by_name = {(one.name, one.threads): one for one in run.timings}
    ours, alone = by_name["fastxavier", 2], by_name["fastxavier", 1]
    assert run.fastest_peer.name == "jax"
    assert run.ours == [ours, alone]
    assert alone.best == 3e-6
    assert alone.median == 4e-6
    assert run.gigabytes_per_second(ours) == pytest.approx(2.0)
    assert run.nanoseconds(ours.median) == pytest.approx(2.0)
    assert run.nanoseconds(alone.best) == pytest.approx(3.0)
    # Of memset, not of a constant fill on two threads.
    assert run.bandwidth_fraction(alone) == pytest.approx(0.5)
    assert run.bandwidth_fraction(ours) == pytest.approx(0.5)  # of a constant fill on two threads
    assert run.bandwidth_fraction(by_name["jax", None]) == pytest.approx(0.05)
    assert run.times_fastest_peer(ours) == pytest.approx(10)
    assert run.times_fastest_peer(by_name["numpy", 1]) == pytest.approx(0.5)
    assert [one.name for one in run.skipped] == ["torch"]
    assert by_name["torch", 2] not in run.timed


def test_ratios_to_what_was_not_timed():
    run = made_up().runs[0]
    alone = dataclasses.replace(run, timings=tuple(run.ours))
    assert alone.fastest_peer is None
    assert alone.times_fastest_peer(alone.ours[0]) is None
    assert alone.bandwidth_fraction(alone.ours[0]) is None


def test_a_benchmark_survives_json():
    found = made_up()
    written = json.loads(json.dumps(found.asdict()))
    assert Benchmark.from_dict(written) == found
    assert set(written) == {
        "format",
        "machine",
        "versions",
        "repetitions",
        "distributions",
        "runs",
    }
    assert {"cpu", "isa", "threads", "cores", "system", "python"} <= set(written["machine"])
    assert written["distributions"]["uniform"] == "Uniform(low=-0.05, high=0.05)"
    run = written["runs"][0]
    assert set(run) == {"distribution", "dtype", "nbytes", "count", "memory", "timings"}
    assert run["timings"][4]["times_fastest_peer"] == pytest.approx(10)
    assert run["timings"][-1]["failure"] == "mean off"


def changed(path, value):
    """The made-up benchmark as JSON, but for the value at a path; None removes it."""
    written = json.loads(json.dumps(made_up().asdict()))
    place = written
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return written


TIMING = ("runs", 1, "timings", 2)
WRONG = [
    ([], "the benchmark is \\[\\]; it must be an object"),
    ({}, "the benchmark has no 'format'"),
    ({"format": 1}, "the benchmark has no 'machine'"),
    (changed(("format",), 0), "the benchmark has format 0; it must be 1"),
    (changed(("machine", "cpu"), None), "machine has no 'cpu'"),
    (changed(("machine",), "this"), "'machine' is 'this'; it must be an object"),
    (changed(("versions", "jax"), 5), "versions: 'jax' is 5; it must be a string or null"),
    (
        changed(("repetitions",), 0),
        "the benchmark: 'repetitions' is 0; it must be an integer from 1",
    ),
    (changed(("runs",), {}), "'runs' is {}; it must be a list"),
    (changed(("runs",), []), "'runs' is empty; it must hold at least one result"),
    (changed(("runs",), [{}]), r"runs\[0\] has no 'distribution'"),
    (changed(("runs", 1, "count"), 0), r"runs\[1\]: 'count' is 0; it must be an integer from 1"),
    (changed(("runs", 1, "nbytes"), -4), r"runs\[1\]: 'nbytes' is -4; it must be an integer from"),
    (changed(("runs", 1, "count"), 1.5), r"runs\[1\]: 'count' is 1.5, a float; it must be"),
    (changed(("runs", 1, "timings"), []), r"runs\[1\]: 'timings' is empty"),
    (changed((*TIMING, "role"), "limit"), r"timings\[2\]: 'role' is 'limit'; it must be one of"),
    (changed((*TIMING, "threads"), 0), r"timings\[2\]: 'threads' is 0; it must be an integer"),
    (changed((*TIMING, "threads"), "2"), r"'threads' is '2'; it must be an integer or null"),
    (changed((*TIMING, "seconds"), [1.0, 0.0]), r"'seconds' has 0.0; times must be above 0"),
    (changed((*TIMING, "seconds"), ["1"]), r"'seconds' is '1', a str; it must be a real number"),
    (changed((*TIMING, "failure"), None), r"runs\[1\].timings\[2\] has no 'failure'"),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_file_that_is_wrong_says_where(data, message, tmp_path, capsys):
    with pytest.raises(ValueError, match=message):
        Benchmark.from_dict(data)
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(data))
    assert cli.main(["bench", "--from", str(file)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(rf"fastxavier: error: .*wrong\.json: .*{message}.*\n", printed.err)


@pytest.mark.parametrize("content", [b"", b"no JSON", b"\xff\xfe\x00"])
def test_a_file_that_is_not_json_says_so(content, tmp_path, capsys):
    (tmp_path / "wrong.json").write_bytes(content)
    assert cli.main(["bench", "--from", str(tmp_path / "wrong.json")]) == 2
    assert "wrong.json is not a JSON file: " in capsys.readouterr().err


def places(value, path=()):
    """All paths into a document."""
    yield path
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            if not (isinstance(key, int) and key > 2):  # the others are like these
                yield from places(inner, (*path, key))


@pytest.mark.parametrize(
    "value",
    [None, 0, -1, "", "x\x1b", [], {}, [[]], True, 1e999, 10**400, 5e-324],
    ids=lambda value: repr(value)[:9],
)
def test_no_file_ends_in_a_traceback(value, tmp_path, capsys, monkeypatch):
    """Whatever is in the place of a part: it is shown, or one line says what is wrong."""
    made = made_up()
    small = dataclasses.replace(made, runs=made.runs[:1])
    document = json.loads(json.dumps(small.asdict()))
    file = tmp_path / "changed.json"
    monkeypatch.setattr(
        bench_plot,
        "plot",
        lambda found, path: bench_plot._small_print(found, bench_plot._largest(found)),
    )
    for path in list(places(document))[1:]:
        copy = json.loads(json.dumps(document))
        place = copy
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        file.write_text(json.dumps(copy))
        status = cli.main(["bench", "--from", str(file), "--plot", str(tmp_path / "a.svg")])
        printed = capsys.readouterr()
        assert status in (0, 1, 2), path
        assert "\x1b" not in printed.out + printed.err
        assert len(printed.err.splitlines()) == (status == 2)


def test_a_file_nested_too_deeply(tmp_path, capsys):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert cli.main(["bench", "--from", str(tmp_path / "deep.json")]) == 2
    assert "deep.json is not a JSON file: " in capsys.readouterr().err


# ---- what is shown -------------------------------------------------------------------------------


STARTS = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF", ".PNG": b"\x89PNG"}


@pytest.mark.parametrize("ending", STARTS)
def test_a_plot_has_the_format_of_its_ending_and_the_same_bytes_each_time(ending, tmp_path):
    pytest.importorskip("matplotlib")
    one, two = tmp_path / f"one{ending}", tmp_path / f"two{ending}"
    for path in (one, two):
        plot(made_up(), path)
    assert one.read_bytes().startswith(STARTS[ending])
    assert one.read_bytes() == two.read_bytes()


def test_the_plot_is_svg(tmp_path):
    pytest.importorskip("matplotlib")
    plot(made_up(), tmp_path / "one.svg")
    root = ET.parse(tmp_path / "one.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 50


@pytest.mark.parametrize("name", ["never.jpg", "never", "never.svgz", ".svg"])
def test_other_endings_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.svg, \.png or \.pdf") as raised:
        plot(made_up(), tmp_path / name)
    assert raised.value.argument == "path"
    assert set(raised.value.choices) == set(bench_plot.FORMATS)
    assert not list(tmp_path.iterdir())


def test_a_benchmark_without_peers_is_drawn_as_well(tmp_path):
    pytest.importorskip("matplotlib")
    found = made_up()
    alone = tuple(
        dataclasses.replace(run, timings=tuple(one for one in run.timings if one.role != "peer"))
        for run in found.runs
    )
    plot(dataclasses.replace(found, runs=alone), tmp_path / "alone.svg")
    assert ET.parse(tmp_path / "alone.svg").getroot().tag.endswith("svg")


def test_a_benchmark_in_which_this_package_failed_is_not_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="no run in which fastxavier was timed"):
        plot(dataclasses.replace(made_up(), runs=()), tmp_path / "never.svg")


def test_without_matplotlib_the_plot_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "fastxavier\[plots\]"'):
        plot(made_up(), tmp_path / "never.svg")
    assert not (tmp_path / "never.svg").exists()


def cells(line):
    return re.split(r"  +", line.strip())


def test_the_table_of_a_run(capsys):
    report.show_run(made_up().runs[0])
    title, head, *rows = capsys.readouterr().out.strip().splitlines()
    assert title == "uniform, float32, 3.906 KiB (1,000 values)"
    assert cells(head) == [
        "implementation",
        "threads",
        "GB/s",
        "best ns",
        "median ns",
        "% of memory bandwidth",
        "\N{MULTIPLICATION SIGN} fastest peer",
    ]
    assert [cells(row) for row in rows[:7]] == [
        ["constant fill", "2", "4.00", "1.000", "1.000", "100.0", "20"],
        ["memset", "1", "2.00", "2.000", "2.000", "100.0", "10"],
        ["fastxavier", "2", "2.00", "2.000", "2.000", "50.0", "10"],
        ["constant fill", "1", "1.00", "4.000", "4.000", "50.0", "5"],
        ["fastxavier", "1", "1.00", "3.000", "4.000", "50.0", "5"],
        ["jax", "own pool", "0.20", "10.000", "20.000", "5.0", "1"],
        ["numpy", "1", "0.10", "40.000", "40.000", "5.0", "0.5"],
    ]
    assert rows[7:9] == report.LEGEND.splitlines()
    assert rows[9:] == ["skipped: torch, threads 2: mean off"]


def test_the_table_of_the_summary(capsys):
    report.show_summary(made_up())
    lines = capsys.readouterr().out.strip().splitlines()
    assert cells(lines[1]) == [
        "distribution",
        "dtype",
        "size",
        "threads",
        "best ns",
        "median ns",
        "% of memory bandwidth",
        "\N{MULTIPLICATION SIGN} fastest peer",
        "fastest peer",
    ]
    figures = ["1", "3.000", "4.000", "50.0", "5", "jax"]
    assert cells(lines[3]) == ["uniform", "float32", "3.906 KiB", *figures]
    assert lines[14:16] == report.LEGEND.splitlines()
