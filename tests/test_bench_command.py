"""The command `bench`: what it asks to be measured, what it writes, and what it refuses."""

import argparse
import dataclasses
import json
import xml.etree.ElementTree as ET

import pytest
from test_bench import made_up

from fastxavier._dtypes import FLOATS
from fastxavier.bench import benchmark
from fastxavier.bench import plot as bench_plot
from fastxavier.bench.base import DISTRIBUTIONS
from fastxavier.bench.implementations import PEERS
from fastxavier.cli import bench


def command(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_to(parser.add_subparsers())
    options = parser.parse_args(["bench", *map(str, arguments)])
    return options.run(options)


def test_other_endings_are_refused_before_measuring(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "measure", None)
    with pytest.raises(SystemExit):
        command("--plot", "picture.jpg")
    message = "'picture.jpg' is not a name for a picture; it must end in .svg, .png or .pdf"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "float32s"),
    [("262144", 65536), ("256KiB", 65536), ("1.5MiB", 393216), ("1e4", 10_000), ("7", 1)],
)
def test_sizes(text, float32s):
    assert bench.size(text).nbytes(4) == 4 * float32s


def test_sizes_that_hold_no_value():
    with pytest.raises(ValueError, match="size is 3 bytes; it must hold a value of each dtype"):
        command("--size", 3, "--dtype", "float16", "float32", "--threads", 1, "--repetitions", 1)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1MB", "1e", "1.5.5", "0.5"])
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is"):
        bench.size(text)


def test_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    chosen = "--distribution uniform --dtype float32 float16 --size 64KiB 1e4 --threads 1"
    figures, picture = tmp_path / "benchmark.json", tmp_path / "benchmark.svg"
    files = ("--repetitions", 2, "--json", figures, "--plot", picture)
    assert command(*chosen.split(), "--peers", "numpy", *files) == 0
    printed = capsys.readouterr().out
    assert "uniform, float32, 64 KiB (16,384 values)" in printed
    found = json.loads(figures.read_text())
    assert [run["count"] for run in found["runs"]] == [16_384, 32_768, 10_000, 10_000]
    names = {one["name"] for one in found["runs"][0]["timings"]}
    bits = {"NumPy PCG64", "NumPy SFC64", "NumPy Philox"}
    assert names == {"memset", "constant fill", "fastxavier"} | bits
    assert all(len(one["seconds"]) == 2 for run in found["runs"] for one in run["timings"])
    assert ET.parse(picture).getroot().tag.endswith("svg")

    again = tmp_path / "again.svg"
    assert command("--from", figures, "--plot", again) == 0
    assert capsys.readouterr().out.strip() in printed
    assert again.read_bytes() == picture.read_bytes()


def test_the_command_without_peers(tmp_path, capsys):
    chosen = "--distribution normal --dtype float32 --size 4KiB --threads 1 --repetitions 1"
    assert command(*chosen.split(), "--json", tmp_path / "alone.json", "--peers") == 0
    found = json.loads((tmp_path / "alone.json").read_text())
    assert {one["role"] for one in found["runs"][0]["timings"]} == {"memory", "ours"}


@pytest.fixture
def asked(monkeypatch):
    """What the command asks to be measured, which is not done."""
    calls = []

    def measured(distribution, dtype, memory, **options):
        calls.append((distribution, dtype, memory.nbytes, options))
        return dataclasses.replace(made_up().runs[0], distribution=distribution, dtype=dtype)

    monkeypatch.setattr(benchmark, "measure", measured)
    return calls


@pytest.mark.parametrize(
    ("options", "nbytes", "repetitions"),
    [
        ((), {256 << 10, 1 << 30}, 7),
        (("--quick",), {4 << 20}, 3),
        (("--quick", "--size", "8KiB"), {8 << 10}, 3),
        (("--quick", "--repetitions", "5"), {4 << 20}, 5),
    ],
)
def test_quick(asked, capsys, options, nbytes, repetitions):
    """Less of what is not said."""
    assert command(*options) == 0
    assert {size for _, _, size, _ in asked} == nbytes
    assert {one["repetitions"] for *_, one in asked} == {repetitions}
    assert {name for name, *_ in asked} == set(DISTRIBUTIONS)
    assert len(asked) == 3 * 3 * len(nbytes)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ((), [(33 << 20, False), (256 << 10, False)]),
        (("warm", "fresh"), [(33 << 20, False), (33 << 20, True), (256 << 10, False)]),
        (("fresh",), [(33 << 20, True)]),
    ],
)
def test_memory(asked, capsys, memory, expected):
    """Fresh memory only of sizes beyond 32 MiB."""
    sizes = ("--size", "33MiB", "256KiB", "--dtype", "float32", "--distribution", "normal")
    assert command(*sizes, *(("--memory", *memory) if memory else ())) == 0
    assert [(nbytes, options["fresh"]) for _, _, nbytes, options in asked] == expected


def test_fresh_memory_of_small_sizes_alone_is_refused(asked):
    with pytest.raises(ValueError, match="size is 4194304 bytes; fresh memory is timed beyond 32"):
        command("--quick", "--memory", "fresh")
    assert not asked


@pytest.mark.parametrize("chosen", [None, [], ["numpy"], ["torch", "jax"]])
def test_peers(asked, capsys, chosen):
    """Only those that are named; memory and this package always, and all if none is named."""
    assert command("--quick", *([] if chosen is None else ["--peers", *chosen])) == 0
    for *_, options in asked:
        packages = {one.package for one in options["implementations"] if one.role == "peer"}
        assert packages == set(PEERS if chosen is None else chosen)
        assert {one.role for one in options["implementations"]} >= {"memory", "ours"}


@pytest.mark.parametrize("threads", [["1"], ["1", "3"]])
def test_threads(asked, capsys, threads):
    assert command("--quick", "--threads", *threads) == 0
    assert all(list(options["threads"]) == list(map(int, threads)) for *_, options in asked)


def test_the_command_when_this_package_fails(tmp_path, capsys):
    found = made_up()
    failed = tuple(
        dataclasses.replace(one, seconds=(), failure="mean off") if one.role == "ours" else one
        for one in found.runs[0].timings
    )
    found = dataclasses.replace(found, runs=(dataclasses.replace(found.runs[0], timings=failed),))
    (tmp_path / "benchmark.json").write_text(json.dumps(found.asdict()))
    assert command("--from", tmp_path / "benchmark.json") == 1
    assert "skipped: fastxavier, threads 1: mean off" in capsys.readouterr().out


def test_help_lists_the_choices(capsys):
    with pytest.raises(SystemExit):
        command("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert ", ".join(DISTRIBUTIONS) in text
    assert ", ".join(PEERS) in text
    assert all(name in text for name in FLOATS)


@pytest.mark.parametrize(
    "arguments",
    [("--distribution", "cauchy"), ("--peers", "nobody"), ("--threads", "0"), ("--size", "1MB")],
)
def test_what_the_command_refuses(arguments, capsys):
    with pytest.raises(SystemExit):
        command(*arguments)
    assert arguments[1] in capsys.readouterr().err


@pytest.mark.parametrize("file", ["--json", "--plot"])
def test_a_file_that_cannot_be_written_is_told_before_measuring(file, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "measure", None)
    monkeypatch.setattr(bench_plot, "matplotlib", lambda: None)
    with pytest.raises(FileNotFoundError):
        command(file, tmp_path / "no" / "benchmark.svg")


@pytest.mark.parametrize("before", [None, b"an earlier benchmark", "a link"])
def test_a_first_run_that_is_interrupted_leaves_no_trace(before, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "measure", interrupted)
    monkeypatch.setattr(bench_plot, "matplotlib", lambda: None)
    figures, picture = tmp_path / "benchmark.json", tmp_path / "benchmark.svg"
    if before == "a link":
        figures.symlink_to("not yet there")
    elif before:
        figures.write_bytes(before)
    with pytest.raises(KeyboardInterrupt):
        command("--size", "4KiB", "--json", figures, "--plot", picture)
    assert list(tmp_path.iterdir()) == ([figures] if before else [])
    assert figures.is_symlink() == (before == "a link")
    assert before is None or figures.is_symlink() or figures.read_bytes() == before
