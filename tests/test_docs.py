"""What the documentation shows is what the code does: docstrings, README, docs/stream.md."""

import doctest
import importlib
import pathlib
import re
import textwrap

import cases
import numpy as np
import pytest
import reference

import fastxavier as fx
from fastxavier import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
STREAM = (ROOT / "docs" / "stream.md").read_text()


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "fastxavier").rglob("*.py")
    if ">>>" in path.read_text()
)
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if ">>>" in path.read_text())


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    """The examples of the docstrings print what they show."""
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed


@pytest.mark.parametrize("name", PAGES)
def test_pages(name):
    """So do those of the documentation's pages."""
    failed, tried = doctest.testfile(
        str(ROOT / "docs" / name), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert tried
    assert not failed


def test_readme_example():
    """The README's Python runs, block after block, and does what its comments say."""
    blocks = re.findall(r"^ *```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S | re.M)
    names = {}
    for block in blocks:
        exec(textwrap.dedent(block), names)
    assert names["w"].shape == (4096, 1024)
    whole = fx.uniform_(
        np.empty((4096, 1024), np.float32), 1024, 4096, seed=7, stream="layers.0.weight"
    )
    assert (names["part"] == whole[2048:]).all()
    assert fx.verify(names["model"]["0.weight"], fx.he_normal(784, 1024)).ok


def test_benchmark_table(capsys):
    """The table of docs/benchmarks.md is what the command prints of the benchmark that is kept."""
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    shown = re.search(r"<!-- benchmark -->\n```text\n(.*?)```", page, re.S)
    assert cli.main(["bench", "--from", str(ROOT / "docs" / "benchmark.json")]) == 0
    assert shown[1] in capsys.readouterr().out


def test_commands_are_there():
    """Each `make` command that the documents name is one of the Makefile's, with its help."""
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    documents = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]
    named = {
        (path.name, target)
        for path in documents
        for target in re.findall(r"`make ([a-z-]+)", path.read_text())
    }
    assert len([path for path, _ in named if path == "guarantees.md"]) >= 15
    assert [one for one in sorted(named) if one[1] not in targets] == []


MINUS = "\N{MINUS SIGN}"


def rows(heading):
    """The cells of the table under a row of headings."""
    lines = STREAM.splitlines()
    start = lines.index(heading) + 2
    for line in lines[start:]:
        if not line.startswith("|"):
            return
        cells = line.replace(r"\|", "!").split("|")[1:-1]
        yield [cell.strip().strip("`").replace(MINUS, "-") for cell in cells]


def test_words():
    """The table of words."""
    table = list(rows(r"| i | W(i) | L(i) | X \| 1 signed, B = 32 |"))
    assert len(table) == 8
    for i, word, low, signed in table:
        assert reference.words(7, 3, [int(i)])[0] == int(word, 16)
        assert reference.low_words(7, 3, [int(i)])[0] == int(low, 16)
        assert np.uint32(int(word, 16) | 1).view(np.int32) == int(signed)


def test_uniform_values():
    """The table of uniform values, in each dtype."""
    table = list(rows("| i | float32 | float64 | float16 | bfloat16 |"))
    for column, (name, dtype) in enumerate(
        (name, cases.DTYPES[name]) for name in ("float32", "float64", "float16", "bfloat16")
    ):
        drawn = fx.fill_(np.empty(len(table), dtype), fx.Uniform(-1, 1), seed=7, stream=3)
        assert [float(v) for v in drawn] == [float.fromhex(row[column + 1]) for row in table], name


def test_normal_values():
    """The table of normal and truncated normal values, to 4 ulp."""
    table = list(
        rows("| i | normal, B = 32 | normal, B = 64 | cut to ±2, B = 32 | cut to ±2, B = 64 |")
    )
    assert len(table) == 4
    distributions = [fx.Normal(), fx.Normal(), fx.TruncatedNormal(), fx.TruncatedNormal()]
    for column, distribution in enumerate(distributions):
        dtype = (np.float32, np.float64)[column % 2]
        drawn = fx.fill_(np.empty(len(table), dtype), distribution, seed=7, stream=3)
        shown = np.array([float(row[column + 1]) for row in table])
        assert (np.abs(drawn - shown) <= 4 * np.spacing(np.abs(drawn))).all()


def test_shard():
    """The corner of a matrix."""
    shown = [
        float.fromhex(number)
        for number in re.findall(r"(?<=[\[ ])-?0x1\.\w+p[-+]\d+(?=[,\]])", STREAM)
    ]
    part = np.empty((2, 2), np.float32)
    fx.fill_(part, fx.Uniform(-1, 1), seed=7, stream=3, global_shape=(4, 8), offset=(2, 2))
    assert shown == part.ravel().tolist()


def test_names_and_seeds():
    """Names, long seeds and the ends of the index."""
    numbers = dict(rows("| | |"))
    name = int(numbers['stream number of `"layers.0.weight"'], 16)
    assert reference.stream_to_u64("layers.0.weight") == name
    assert int(numbers["seed 2^64 (nine bytes, the last one 1)"].split("`")[1], 16) == (
        reference.seed_to_u64(2**64)
    )
    first = " ".join(f"{w:08x}" for w in reference.words(7, "layers.0.weight", range(4)))
    assert numbers["its first words with seed 7"] == first
    first = " ".join(f"{w:08x}" for w in reference.words(2**64, 0, range(4)))
    assert numbers["its first words with stream 0"] == first
    assert f"`{reference.words(7, 3, [2**34])[0]:08x}`" in STREAM
    assert f"`{reference.words(7, 3, [2**62 - 1])[0]:08x}`" in STREAM
