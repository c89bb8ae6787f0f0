"""What the documentation shows is what the code does: docstrings, README, pages of docs/."""

import doctest
import importlib
import importlib.util
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
from fastxavier.checkpoints import tensors_like
from fastxavier.initializers import INITIALIZERS

ROOT = pathlib.Path(__file__).resolve().parents[1]
STREAM = (ROOT / "docs" / "stream.md").read_text()


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "fastxavier").rglob("*.py")
    if ">>>" in path.read_text()
)
ADAPTERS = ("torch", "jax", "keras", "dask", "zarr")  # named after the packages that they need
DOCUMENTS = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
PAGES = sorted(str(path.relative_to(ROOT)) for path in DOCUMENTS if ">>>" in path.read_text())


README = (ROOT / "README.md").read_text()
BLOCKS = [
    textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)```", README, re.S | re.M)
]
IMPORTS = [block for block in BLOCKS if block.startswith("from fastxavier.")]  # of the adapters


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    """The examples of the docstrings print what they show."""
    adapter = name.split(".")[1] if "." in name else ""
    if adapter in ADAPTERS:
        pytest.importorskip(adapter)
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
    """The README's Python runs and does what it says; that of frameworks is tested below."""
    names = {}
    for block in BLOCKS:
        if "torch" not in block and block not in IMPORTS:
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


@pytest.mark.parametrize("line", "".join(IMPORTS).splitlines())
def test_readme_import(line):
    pytest.importorskip(re.match(r"from fastxavier\.(\w+) import", line)[1])
    exec(line, {})


def test_readme_torch_example():
    """The module's weight is what a NumPy array of its shape gets."""
    pytest.importorskip("torch")
    others = [block for block in BLOCKS if block not in IMPORTS]
    block, accelerated = [block for block in others if "torch" in block]
    names = {}
    exec(block, names)
    weight = names["layer"].weight
    assert weight.requires_grad
    expected = fx.draw(weight.shape, fx.kaiming_normal(), seed=7, stream="fc1.weight")
    assert (weight.detach().numpy() == expected).all()
    exec(accelerated, names)
    assert names["fastxavier"].torch.info().drawn["kaiming_uniform_"]


def test_readme_three_lines_each():
    """NumPy, torch twice and a whole model: the first four blocks, of three lines."""
    assert [block.count("\n") for block in BLOCKS[:4]] == [3, 3, 3, 3]


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_have_a_text(path):
    """A plain Markdown viewer shows nothing of a link without one, nor knows Sphinx's roles."""
    text = path.read_text()
    assert re.findall(r"\[\]\([^)]*\)|\{(?:ref|doc)\}", text) == []
    assert path.name == "index.md" or "{toctree}" not in text


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
        adapter = module.removeprefix("fastxavier.")
        if adapter in ADAPTERS and not importlib.util.find_spec(adapter):
            continue  # test_torch_docs.py and the like have them all
        assert hasattr(importlib.import_module(module), attribute), name


def test_every_page_is_in_the_contents():
    """Of the index."""
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    contents = set(re.findall(r"^([a-z_]+)(?:/index)?$", index, re.M))
    assert pages | {"api", "auto_examples"} == contents


# ---- plans, models on a GPU, shards, checkpoints -------------------------------------------------


def page(name):
    """The text of a page."""
    return (ROOT / "docs" / name).read_text()


def python_blocks(name, word):
    """The Python blocks of a page, without prompts, that contain a word."""
    blocks = re.findall(r"^```python\n(.*?)^```", page(name), re.S | re.M)
    return [block for block in blocks if word in block and ">>>" not in block]


def test_plan_file():
    """The TOML file of docs/plans.md is a plan, and gives what its rules say."""
    text = re.search(r"<!-- plan -->\n```toml\n(.*?)```", page("plans.md"), re.S)[1]
    plan = fx.Plan.from_toml(text)
    assert plan.layout == "keras"
    assert plan.distribution("norm.beta", (8,)) == fx.Constant(0.1)
    assert plan.distribution("embedding.table", (50, 8)) == fx.Normal(0.0, 0.02)
    assert plan.distribution("fc.kernel", (16, 8)) == fx.lecun_normal(16, 8, gain="gelu")


def test_plan_initializers():
    """The table of docs/plans.md has every initializer, with its settings."""
    table = page("plans.md").partition("<!-- initializers -->\n")[2].partition("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        names, settings = (re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:3])
        found |= {name: set(settings) for name in names}
    (axes,) = re.findall(r"settings of `fans`: (.*?)\.", page("plans.md"), re.S)[-1:]
    axes = set(re.findall(r"`(\w+)`", axes))
    expected = {name: set(row.settings) for name, row in INITIALIZERS.items()}
    for name, settings in found.items():
        if "mode" in settings:
            settings |= axes
        assert settings == expected[name], name
    assert found.keys() == expected.keys()


def test_gpu_recipes():
    """Both ways of docs/arrays.md give what a module on the CPU gets; here without a GPU."""
    torch = pytest.importorskip("torch")

    def build_model():
        return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5))

    expected = fx.init_(reference_model := dict(build_model().named_parameters()), seed=7)
    assert len(expected.tensors) == 4
    moved, loaded = python_blocks("arrays.md", "fx.init_(")
    names = {"fx": fx, "build_model": build_model}
    exec(moved.replace('"cuda"', '"cpu"'), names)
    model = build_model()
    exec(loaded, {"fx": fx, "torch": torch, "model": model})
    for name, weight in reference_model.items():
        for filled in (names["model"], model):
            assert torch.equal(filled.get_parameter(name), weight)


def test_own_model(tmp_path, monkeypatch):
    """docs/checkpoint.md: the tensors of a module, for Python and as a list in a file."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(6, 5, device="meta", dtype=torch.bfloat16)
    names = {"model": model}
    monkeypatch.chdir(tmp_path)
    for block in python_blocks("checkpoint.md", "tensors"):
        exec(block, names)
    assert names["tensors"] == {
        "weight": ("torch.bfloat16", (5, 6)),
        "bias": ("torch.bfloat16", (5,)),
    }
    assert tensors_like("tensors.toml") == {"weight": ("BF16", (5, 6)), "bias": ("BF16", (5,))}


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 7])
def test_place_is_torch_chunk(parts):
    """`place` of docs/shards.md cuts as torch.chunk does; parts that it does not make are empty."""
    torch = pytest.importorskip("torch")
    examples = doctest.DocTestParser().get_examples(page("shards.md"))
    (source,) = [one.source for one in examples if one.source.startswith("def place(")]
    names = {}
    exec(source, names)
    for n in range(1, 30):
        chunks = [len(chunk) for chunk in torch.arange(n).chunk(parts)]
        start = 0
        for rank, length in enumerate(chunks + [0] * (parts - len(chunks))):
            assert names["place"]((n, 2), rank, parts) == ((length, 2), (start, 0))
            start += length


def dtensor_rank(rank, mesh_shape, placements, whole):
    """A module whose parameter is the DTensor that a rank holds, and the rank's part of `whole`.

    The part is cut with torch.chunk, one axis of the mesh after the other.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.debug import _clear_sharding_prop_cache

    # One process is all ranks in turn here, and torch's cache holds what is true of the last one.
    _clear_sharding_prop_cache()
    mesh = init_device_mesh("cpu", mesh_shape)
    part = whole
    for axis, placement in enumerate(placements):
        if placement.is_shard():
            chunks = part.chunk(mesh.size(axis), placement.dim)
            index = mesh.get_local_rank(axis)
            part = chunks[index] if index < len(chunks) else part.narrow(placement.dim, 0, 0)
    module = torch.nn.Module()
    tensor = DTensor.from_local(
        torch.zeros_like(part),
        mesh,
        placements,
        run_check=False,
        shape=whole.shape,
        stride=whole.stride(),
    )
    module.weight = torch.nn.Parameter(tensor)
    module.bias = torch.nn.Parameter(torch.ones(3))
    return module, part


@pytest.mark.parametrize(
    ("mesh_shape", "cut"), [((3,), (0,)), ((7,), (0,)), ((2, 2), (0, 1)), ((2, 2), (None, 1))]
)
def test_dtensors(mesh_shape, cut):
    """`init_dtensors` of docs/shards.md gives each rank its part, without any communication."""
    torch = pytest.importorskip("torch")
    distributed = pytest.importorskip("torch.distributed.tensor")
    fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")
    names = {}
    exec(*python_blocks("shards.md", "init_dtensors"), names)
    whole = torch.from_numpy(fx.draw((10, 5), "glorot_uniform", seed=7, stream="weight"))
    placements = [distributed.Replicate() if dim is None else distributed.Shard(dim) for dim in cut]
    size = int(np.prod(mesh_shape))
    for rank in range(size):
        torch.distributed.init_process_group(
            "fake", store=fake.FakeStore(), rank=rank, world_size=size
        )
        try:
            module, part = dtensor_rank(rank, mesh_shape, placements, whole)
            names["init_dtensors"](module, "default", seed=7)
            assert torch.equal(module.weight.detach().to_local(), part)
            assert not module.bias.any()
        finally:
            torch.distributed.destroy_process_group()


def test_strided_shards_are_refused():
    """By the same function, because such a part is not one block."""
    torch = pytest.importorskip("torch")
    types = pytest.importorskip("torch.distributed.tensor.placement_types")
    fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")
    names = {}
    exec(*python_blocks("shards.md", "init_dtensors"), names)
    placements = [types._StridedShard(0, split_factor=2), types.Shard(0)]
    torch.distributed.init_process_group("fake", store=fake.FakeStore(), rank=0, world_size=4)
    try:
        whole = torch.zeros(8, 5)
        module, _ = dtensor_rank(0, (2, 2), placements, whole)
        with pytest.raises(ValueError, match=r"weight: no offset for .*StridedShard"):
            names["init_dtensors"](module, "default", seed=7)
    finally:
        torch.distributed.destroy_process_group()


# ---- C -------------------------------------------------------------------------------------------

C_PAGE = page("c.md")
C_PROGRAMS = re.findall(r"```c\n(.*?)```", C_PAGE, re.S)
C_OUTPUTS = re.findall(r"```text\n(.*?)```", C_PAGE, re.S)


def test_c_values():
    """The outputs that docs/c.md shows are what Python draws."""
    drawn = fx.draw(8, fx.Uniform(-1, 1), seed=7, stream=3)
    assert [f"{value:.9g}" for value in drawn] == C_OUTPUTS[0].split()
    drawn = fx.draw((4, 3), fx.Normal(0, 0.02), seed=7, stream=3, dtype=np.float64)
    assert [f"{value:.17g}" for value in drawn[2:].ravel()] == C_OUTPUTS[1].split()
    assert len(C_PROGRAMS) == len(C_OUTPUTS) == 2


def test_c_library():
    """The static library of docs/c.md is a target of the Makefile."""
    (target,) = re.findall(r"^make -j2 ([a-z]+)$", C_PAGE, re.M)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:.*build/libfastxavier\.a", makefile, re.M)


def test_c_program(tmp_path):
    """The programs of docs/c.md, by its own compile line, print what the page shows.

    Without optimization, which takes longer to compile and changes no bit; the core is compiled
    once for both.
    """
    line = re.search(r"^cc .*", C_PAGE, re.M)[0]
    core = "src_c/*.c src_c/simd/*.c"
    assert core in line
    compiler = os.environ.get("CC", "cc").split()
    if not shutil.which(compiler[0]):
        pytest.skip(f"there is no C compiler {compiler[0]}")
    (tmp_path / "src_c").symlink_to(ROOT / "src_c")
    line = line.replace("cc ", " ".join(compiler) + " ", 1).replace("-O3", "-O0 -Wall -Werror")
    flags = line.partition(" program.c ")[0]
    subprocess.run(f"{flags} -c {core}", shell=True, check=True, cwd=tmp_path)
    for program, output in zip(C_PROGRAMS, C_OUTPUTS, strict=True):
        (tmp_path / "program.c").write_text(program)
        subprocess.run(line.replace(core, "*.o"), shell=True, check=True, cwd=tmp_path)
        printed = subprocess.run(
            [tmp_path / "program"], check=True, capture_output=True, text=True
        ).stdout
        assert printed == output


# ---- the stream ----------------------------------------------------------------------------------

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
    table = list(rows("| i | " + " | ".join(cases.DTYPES) + " |"))
    for column, (name, dtype) in enumerate(cases.DTYPES.items()):
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
