"""What the documentation shows is what the code does: docstrings, README, pages of docs/."""

import doctest
import importlib
import os
import pathlib
import re
import shutil
import subprocess
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
DOCUMENTS = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
PAGES = sorted(str(path.relative_to(ROOT)) for path in DOCUMENTS if ">>>" in path.read_text())


README = (ROOT / "README.md").read_text()
BLOCKS = [
    textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)```", README, re.S | re.M)
]


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
        str(ROOT / name), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert tried
    assert not failed


def test_readme_example(capsys):
    """The README's Python runs and does what it says; torch's block is tested below."""
    names = {}
    for block in BLOCKS:
        if "import torch" not in block:
            exec(block, names)
    assert names["w"].shape == (256, 128)
    whole = fx.uniform_(np.empty((256, 128), np.float32), 128, 256, seed=7, stream="fc1.weight")
    assert (names["w"] == whole).all()
    assert (names["part"] == whole[128:]).all()
    assert fx.verify(names["model"]["fc1.weight"], fx.he_normal(784, 256)).ok
    assert not names["model"]["fc1.bias"].any()
    assert "seed 7" in capsys.readouterr().out


def test_benchmark_table(capsys):
    """The table of docs/benchmarks.md is what the command prints of the benchmark that is kept."""
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    shown = re.search(r"<!-- benchmark -->\n```text\n(.*?)```", page, re.S)
    assert cli.main(["bench", "--from", str(ROOT / "docs" / "benchmark.json")]) == 0
    assert shown[1] in capsys.readouterr().out


def test_commands_are_there():
    """Each `make` command that the documents name is one of the Makefile's, with its help."""
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    named = {
        (path.name, target)
        for path in DOCUMENTS
        for target in re.findall(r"`make ([a-z-]+)(?![\w./-])", path.read_text())
    }
    assert len([path for path, _ in named if path == "guarantees.md"]) >= 15
    assert [one for one in sorted(named) if one[1] not in targets] == []


def test_readme_torch_example():
    """The module's weight is what a NumPy array of its shape gets."""
    pytest.importorskip("torch")
    (block,) = [block for block in BLOCKS if "import torch" in block]
    names = {}
    exec(block, names)
    weight = names["layer"].weight
    assert weight.requires_grad
    expected = fx.draw(weight.shape, fx.kaiming_normal(), seed=7, stream="fc1.weight")
    assert (weight.detach().numpy() == expected).all()


def test_readme_three_lines_each():
    """NumPy, torch and a whole model: the first three blocks, of three lines."""
    assert [block.count("\n") for block in BLOCKS[:3]] == [3, 3, 3]


def test_readme_order():
    """What a newcomer needs, in the order in which he needs it."""
    marks = (
        "initialization",
        "pip install",
        "fx.xavier_uniform_(w",
        "import torch",
        "fx.init_(",
        "same bits on any machine",
        "(docs/speed.svg)",
        "<!-- run -->",
        "<!-- test -->",
        "(docs/choosing.md)",
        "(docs/plans.md)",
        "issue",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "## Limits",
    )
    places = [README.index(mark) for mark in marks]
    assert places == sorted(places)


def test_readme_commands():
    """One line each, between the marks by which they are found."""
    for mark in ("run", "test"):
        lines = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)```", README, re.S)[1].splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("python3 -m venv .venv && ")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(path):
    """Each file that a page links to is there."""
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_seeded_examples_name_their_streams():
    """So that nobody copies a line that gives two tensors the same values."""
    calls = re.compile(r"fx\.(?:fill_|draw|[a-z_]+_)\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
    unnamed = [
        (path.name, call)
        for path in DOCUMENTS
        for call in calls.findall(path.read_text())
        if re.search(r"seed=\d", call) and "stream=" not in call and "fx.init_(" not in call
    ]
    assert unnamed == []


def test_every_public_name_is_documented():
    """In the reference; and it names nothing that is not there."""
    text = (ROOT / "docs" / "api.rst").read_text()
    listed = re.findall(r"^   ([A-Za-z]\S*)$", text, re.M)
    assert len(set(listed)) == len(listed)
    assert set(fx.__all__) - {"__version__"} == {name for name in listed if "." not in name}
    for name in listed:
        module, _, attribute = f"fastxavier.{name}".rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_every_page_is_in_the_contents():
    """Of the index."""
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    contents = set(re.findall(r"^([a-z_]+)(?:/index)?$", index, re.M))
    assert pages | {"api", "auto_examples"} == contents


C_PAGE = (ROOT / "docs" / "c.md").read_text()
C_OUTPUT = re.search(r"```text\n(.*?)```", C_PAGE, re.S)[1]


def test_c_values():
    """The output that docs/c.md shows is what Python draws."""
    drawn = fx.draw(8, fx.Uniform(-1, 1), seed=7, stream=3)
    assert [f"{value:.9g}" for value in drawn] == C_OUTPUT.split()


def test_c_library():
    """The static library of docs/c.md is a target of the Makefile."""
    (target,) = re.findall(r"^make -j2 ([a-z]+)$", C_PAGE, re.M)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:.*build/libfastxavier\.a", makefile, re.M)


def test_c_program(tmp_path):
    """The program of docs/c.md, by its own compile line, prints what the page shows.

    Without optimization, which takes longer to compile and changes no bit.
    """
    line = re.search(r"^cc .*", C_PAGE, re.M)[0]
    compiler = os.environ.get("CC", "cc").split()
    if not shutil.which(compiler[0]):
        pytest.skip(f"there is no C compiler {compiler[0]}")
    (tmp_path / "src_c").symlink_to(ROOT / "src_c")
    (tmp_path / "program.c").write_text(re.search(r"```c\n(.*?)```", C_PAGE, re.S)[1])
    line = line.replace("cc ", " ".join(compiler) + " ", 1).replace("-O3", "-O0 -Wall -Werror")
    subprocess.run(line, shell=True, check=True, cwd=tmp_path)
    printed = subprocess.run(
        [tmp_path / "program"], check=True, capture_output=True, text=True
    ).stdout
    assert printed == C_OUTPUT


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
    normal = "| i | normal, B = 32 | normal, B = 64 |"
    table = list(rows(f"{normal} truncated to ±2, B = 32 | truncated to ±2, B = 64 |"))
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
