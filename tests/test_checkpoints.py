"""Checkpoints: files as safetensors' own package has them, complete or not at all."""

import ctypes
import errno
import json
import math
import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from checkpoint_files import LIKE, PLAN, entry, file_with, left_in, made_from, metadata_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_processes import environment, posix

import fastxavier as fx
from fastxavier._dtypes import FLOATS
from fastxavier.checkpoints import (
    CheckpointError,
    _header,
    _init,
    init_checkpoint,
    mapped,
    read_header,
)
from fastxavier.checkpoints._dtypes import DTYPES
from fastxavier.distributions import Constant, Normal, Uniform
from fastxavier.plans import Plan, PlanError, Rule

# ---- what is written -----------------------------------------------------------------------------


def with_sorted_metadata(content):
    """A file as safetensors writes it, but for the order of its metadata, which there is random."""
    size = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return content[:8] + text.ljust(size - 8) + content[size:]


def drawn_alone(seed):
    """The tensors of LIKE by PLAN, each filled on its own."""
    expected = {}
    kinds = {"I64": "i8", "U8": "u1", "BOOL": "?"}
    kinds.update({row.safetensors: row.numpy for row in FLOATS.values()})
    for name, (dtype, shape) in LIKE.items():
        array = np.zeros(shape, kinds[dtype])
        if dtype in ("I64", "U8"):
            array[...] = 1
        elif dtype != "BOOL":
            fx.fill_(array, PLAN.distribution(name, shape), seed=seed, stream=name)
        expected[name] = array
    return expected


def test_values_in_the_file(tmp_path):
    """Those that fill_ draws, little-endian on any machine."""
    path = tmp_path / "model.safetensors"
    report = init_checkpoint(path, PLAN, LIKE, seed=7)
    assert {one.name for one in report.tensors} == {
        n for n in LIKE if n[:4] not in ("mask", "norm")
    }
    header = read_header(path)
    for name, array in drawn_alone(seed=7).items():
        width = array.itemsize
        begin, end = (header.start + place for place in header.tensors[name][2:])
        written = array.reshape(-1).view(f"u{width}").astype(f"<u{width}").tobytes()
        assert path.read_bytes()[begin:end] == written
        found = mapped(path)[name]
        assert found.shape == array.shape
        assert found.dtype == array.dtype or found.dtype == array.dtype.newbyteorder()
        assert (found == array).all()
    assert left_in(tmp_path) == [path.name]


@pytest.mark.skipif(
    sys.byteorder == "big",
    reason="safetensors reads, and writes BF16, as if this machine were little-endian",
)
def test_file_is_that_of_safetensors(tmp_path):
    """Its reader finds what fill_ draws; its writer writes the same bytes."""
    path = tmp_path / "model.safetensors"
    init_checkpoint(path, PLAN, LIKE, seed=7)
    expected = drawn_alone(seed=7)
    metadata = read_header(path).metadata
    assert path.read_bytes() == with_sorted_metadata(safetensors.numpy.save(expected, metadata))
    held = dict(safetensors.deserialize(path.read_bytes()))
    with safetensors.safe_open(path, "np") as file:
        for name, array in expected.items():
            assert (held[name]["dtype"], tuple(held[name]["shape"])) == LIKE[name]
            assert bytes(held[name]["data"]) == array.tobytes()
            if not LIKE[name][0].startswith("F8"):  # of which it makes no NumPy arrays
                assert file.get_tensor(name).tobytes() == array.tobytes()


@pytest.mark.skipif(not hasattr(safetensors, "TensorSpec"), reason="needs safetensors 0.8")
@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(
            lambda name: name != "__metadata__"
        ),
        st.tuples(
            st.sampled_from(sorted({name for name in DTYPES if "F6" not in name})),
            st.lists(st.integers(0, 3).map(lambda n: 2 * n), min_size=1, max_size=3),
        ),
        max_size=12,
    ),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text('ab"\n'), max_size=1
    ),
)
def test_layout_is_that_of_safetensors(tmp_path_factory, like, metadata):
    """All dtypes, any names: byte for byte what its writer writes for zeros."""
    folder = tmp_path_factory.mktemp("layout")
    names = {numpy or name: name for name, (_, numpy) in DTYPES.items()}
    names["float4_e2m1fn_x2"] = names.pop("F4")
    names = {name: numpy for numpy, name in names.items()}
    buffer = ctypes.create_string_buffer(8 * 6**3)
    specs = {}
    for name, (dtype, shape) in like.items():
        stored = [*shape[:-1], shape[-1] // 2] if dtype == "F4" else shape
        specs[name] = safetensors.TensorSpec(
            dtype=names[dtype],
            shape=stored,
            data_ptr=ctypes.addressof(buffer),
            data_len=math.prod(shape) * DTYPES[dtype].bits // 8,
        )
    source, out = folder / "like.safetensors", folder / "out.safetensors"
    source.write_bytes(safetensors.serialize(specs, metadata or None))
    init_checkpoint(out, Plan([Rule("*", "zeros")]), source, seed=1)
    found = read_header(out).metadata
    assert found.items() >= metadata.items()
    theirs = bytes(safetensors.serialize(specs, found))
    assert out.read_bytes() == with_sorted_metadata(theirs)


def test_streams_are_names(tmp_path):
    """Adding, removing or reordering tensors changes no other; values as fill_ with that stream."""
    many = {f"layer.{i}": ("F32", (40, 30)) for i in range(9)}
    fewer = {name: many[name] for name in reversed(many) if name[-1] not in "37"}
    other = {**fewer, "a": ("F64", (11,)), "layer.3.extra": ("F16", (999,))}
    files = []
    for i, like in enumerate((many, fewer, other)):
        init_checkpoint(tmp_path / f"{i}", PLAN, like, seed=5, threads=1 + i)
        files.append(safetensors.numpy.load_file(tmp_path / f"{i}"))
    assert files[0].keys() > files[1].keys() < files[2].keys()
    for name in fewer:
        drawn = fx.fill_(
            np.empty((40, 30), np.float32), PLAN.distribution(name, (40, 30)), seed=5, stream=name
        )
        assert all((file[name] == drawn).all() for file in files)


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_metadata(tmp_path, seed):
    """Seed, plan and versions, from which the same file can be made again; "pt" for loaders."""
    out = tmp_path / "out"
    init_checkpoint(out, PLAN, LIKE, seed=seed)
    found = metadata_of(out)
    assert found == {"format": "pt", **made_from(PLAN, seed)} == read_header(out).metadata
    plan = Plan.from_toml(found["fastxavier.plan"])
    assert plan == PLAN
    init_checkpoint(tmp_path / "again", plan, LIKE, seed=int(found["fastxavier.seed"]))
    assert (tmp_path / "again").read_bytes() == out.read_bytes()


@pytest.mark.parametrize("seed", [None, 2**64, 2**70 + 5])
def test_seed_in_the_metadata(tmp_path, seed):
    """Fresh entropy and seeds of more than 64 bits: the number that makes the file again."""
    report = init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=seed)
    found = metadata_of(tmp_path / "out")["fastxavier.seed"]
    assert found == str(report.seed)
    init_checkpoint(tmp_path / "again", PLAN, LIKE, seed=int(found))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out").read_bytes()
    init_checkpoint(tmp_path / "other", PLAN, LIKE, seed=seed)
    same = (tmp_path / "other").read_bytes() == (tmp_path / "out").read_bytes()
    assert same == (seed is not None)


@pytest.mark.parametrize("taken", [{}, {"format": "tf", "b": "1", "a": "2"}, {"a": '\n"\u20ac'}])
def test_metadata_is_copied(tmp_path, taken):
    """From the file that this one is like; what says how that was made is replaced."""
    source = tmp_path / "source.safetensors"
    theirs = {**taken, "fastxavier.seed": "12", "fastxavier.plan": "", "fastxavier.version": "0"}
    safetensors.numpy.save_file({"w": np.ones((3, 4), np.float32)}, source, theirs)
    init_checkpoint(tmp_path / "out", PLAN, source, seed=1)
    expected = {"format": "pt", **taken, **made_from(PLAN, 1)}
    assert metadata_of(tmp_path / "out") == read_header(tmp_path / "out").metadata == expected
    assert list(read_header(tmp_path / "out").metadata) == sorted(expected)


def test_plan_by_name(tmp_path):
    """A preset, or a plan's file; the metadata have the rules, whatever they were called."""
    like = {"h.0.mlp.c_proj.bias": ("F32", (4,))}
    like |= {f"h.{block}.mlp.c_proj.weight": ("F32", (8, 4)) for block in range(12)}
    fx.gpt2_plan().save(tmp_path / "plan.toml")
    files = []
    for i, plan in enumerate(("gpt2", fx.gpt2_plan(), str(tmp_path / "plan.toml"))):
        init_checkpoint(tmp_path / f"{i}", plan, like, seed=1)
        files.append((tmp_path / f"{i}").read_bytes())
    assert files[0] == files[1] == files[2]
    assert Plan.from_toml(metadata_of(tmp_path / "0")["fastxavier.plan"]) == fx.gpt2_plan()


@pytest.mark.parametrize(
    "source", [fx.Streams, np.random.default_rng, np.random.RandomState, np.random.SeedSequence]
)
def test_sources_of_randomness(tmp_path, source):
    """The metadata have the number that was drawn; an equal source gives an equal file."""
    report = init_checkpoint(tmp_path / "a", PLAN, LIKE, seed=source(5))
    init_checkpoint(tmp_path / "b", PLAN, LIKE, seed=source(5))
    init_checkpoint(tmp_path / "c", PLAN, LIKE, seed=report.seed)
    files = {(tmp_path / name).read_bytes() for name in "abc"}
    assert len(files) == 1
    assert metadata_of(tmp_path / "a")["fastxavier.seed"] == str(report.seed)


def test_file_without_tensors(tmp_path):
    init_checkpoint(tmp_path / "out", PLAN, {}, seed=1)
    expected = safetensors.numpy.save({}, metadata_of(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == with_sorted_metadata(expected)
    assert read_header(tmp_path / "out").tensors == mapped(tmp_path / "out") == {}


def test_progress_and_report(tmp_path):
    """Both are init_'s."""
    told = []
    like = {"a": ("F32", (4000, 6000)), "b": ("F32", (500,))}
    report = init_checkpoint(tmp_path / "out", PLAN, like, seed=3, threads=1, progress=told.append)
    assert told == sorted(told)
    assert all(0 <= done <= 1 for done in told)
    assert report.seed == 3
    assert report.nbytes == 4 * 24_000_500


def test_report_outlives_the_file(tmp_path):
    """Reading the map of a file that was truncated would end in SIGBUS."""
    report = init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
    os.truncate(tmp_path / "out", 0)
    assert all(tensor.measured_std is None for tensor in report.tensors)
    assert report.asdict()["tensors"]
    assert "0.weight" in str(report)


def test_unaligned_tensors_are_read(tmp_path):
    """The format does not require alignment; its own writer keeps it."""
    values = fx.fill_(np.empty(1000, np.float32), Normal(), seed=1)
    header = {"a": entry("U8", (3,), 0, 3), "b": entry("F32", (1000,), 3, 4003)}
    path = file_with(tmp_path / "odd", header, b"abc" + values.astype("<f4").tobytes())
    found = mapped(path)
    assert bytes(found["a"]) == b"abc"
    assert (found["b"] == values).all()
    assert not found["b"].flags.writeable


# ---- complete or not at all ----------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
@pytest.mark.parametrize("there", [False, True])
def test_interrupted(tmp_path, monkeypatch, error, there):
    """An existing file is as it was; nothing else is left."""
    path = tmp_path / "out"
    if there:
        path.write_text("before")

    def stop(arrays, plan, **options):
        assert len(left_in(tmp_path)) == 1 + there
        arrays["w"][:100] = 1
        raise error

    monkeypatch.setattr(_init, "init_", stop)
    with pytest.raises(error):
        init_checkpoint(path, PLAN, {"w": ("F32", (300, 400))}, seed=1)
    assert left_in(tmp_path) == (["out"] if there else [])
    assert not there or path.read_text() == "before"


SCRIPT = """
import os, resource, signal, sys
from fastxavier.checkpoints import _init
from fastxavier.checkpoints import init_checkpoint
from fastxavier.plans.presets import default_plan

like = {f"{i}.weight": ("F32", (1000, 1000)) for i in range(12)}
fill = _init.init_

def half(arrays, plan, **options):
    fill({name: arrays[name] for name in list(arrays)[:6]}, plan, **options)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def script(text, *arguments):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + text, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


@posix
@pytest.mark.parametrize("there", [False, True])
def test_killed(tmp_path, there):
    """SIGKILL half-way: the name has no file, or the one it had."""
    path = tmp_path / "out"
    if there:
        path.write_text("before")
    ended = script(
        """
_init.init_ = half
init_checkpoint(sys.argv[1], default_plan(), like, seed=1)
""",
        path,
    )
    assert ended.returncode == -9
    assert path.exists() == there
    assert not there or path.read_text() == "before"
    (partial,) = (tmp_path / name for name in left_in(tmp_path) if name != "out")
    assert re.fullmatch(r"\.out\.[0-9a-f]{16}\.partial", partial.name)
    assert partial.stat().st_size > 48_000_000


@posix
def test_no_space(tmp_path):
    """Found before anything is filled; nothing is left, and an existing file is as it was."""
    path = tmp_path / "out"
    path.write_text("before")
    ended = script(
        """
_init.init_ = half
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    init_checkpoint(sys.argv[1], default_plan(), like, seed=1)
except OSError as error:
    print(error.errno, error.filename)
""",
        path,
    )
    told = f"{errno.EFBIG} {path}\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, told, "")
    assert left_in(tmp_path) == ["out"]
    assert path.read_text() == "before"


@pytest.mark.parametrize("failing", [None, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSPC])
def test_reserving(tmp_path, monkeypatch, failing):
    """Where the system cannot allocate, zeros are written; any other error of it is raised."""
    if failing is None:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:

        def fail(*arguments):
            raise OSError(failing, os.strerror(failing))

        monkeypatch.setattr(os, "posix_fallocate", fail, raising=False)
    like = {"w": ("F32", (1000, 700)), "mask": ("U8", (100,))}
    if failing == errno.ENOSPC:
        with pytest.raises(OSError, match=os.strerror(failing)) as raised:
            init_checkpoint(tmp_path / "a", PLAN, like, seed=1)
        assert raised.value.filename == str(tmp_path / "a")
        assert left_in(tmp_path) == []
        return
    init_checkpoint(tmp_path / "a", PLAN, like, seed=1)
    monkeypatch.undo()
    init_checkpoint(tmp_path / "b", PLAN, like, seed=1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_order_of_writing(tmp_path, monkeypatch):
    """Allocate, fill, data to the disk, rename, folder to the disk: in this order."""
    done = []

    def noting(name):
        real = getattr(os, name)

        def noted(first, *rest):
            is_folder = isinstance(first, int) and stat.S_ISDIR(os.fstat(first).st_mode)
            done.append(name + " folder" * is_folder)
            return real(first, *rest)

        monkeypatch.setattr(os, name, noted)

    for name in ("posix_fallocate", "fsync", "replace"):
        if hasattr(os, name):
            noting(name)
    fill = _init.init_
    monkeypatch.setattr(
        _init, "init_", lambda *rest, **options: done.append("fill") or fill(*rest, **options)
    )
    init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
    steps = list(dict.fromkeys(done))
    assert [step for step in steps if step != "posix_fallocate"] == [
        "fill",
        "fsync",
        "replace",
        "fsync folder",
    ]
    assert steps[0] in ("posix_fallocate", "fill")


@posix
def test_permissions_and_links(tmp_path):
    """Permissions of any new file; a link's target is replaced, whether it exists or not."""
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "target"
    (tmp_path / "out").symlink_to("there/target")
    before = os.umask(0o027)
    try:
        for _ in range(2):
            init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
            assert stat.S_IMODE(target.stat().st_mode) == 0o640
            assert read_header(target).tensors.keys() == LIKE.keys()
            target.write_text("before")
    finally:
        os.umask(before)
    assert (tmp_path / "out").is_symlink()
    assert left_in(tmp_path) == ["out", "there"]
    assert left_in(tmp_path / "there") == ["target"]


@posix
def test_only_files_are_replaced(tmp_path):
    """A pipe or a device is refused and stays what it is."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to("pipe")
    (tmp_path / "to_null").symlink_to(os.devnull)
    (tmp_path / "round").symlink_to("round")
    before = left_in(tmp_path)
    for name in before:
        with pytest.raises(CheckpointError, match=re.escape(f"{tmp_path / name} is not a regular")):
            init_checkpoint(tmp_path / name, PLAN, LIKE, seed=1)
    assert left_in(tmp_path) == before
    assert (tmp_path / "pipe").is_fifo()
    assert all((tmp_path / name).is_symlink() for name in before if name != "pipe")


def test_long_name(tmp_path):
    """The temporary name fits where the file's does."""
    name = "\N{GRINNING FACE}" * 60 + "x" * 15
    init_checkpoint(tmp_path / name, PLAN, LIKE, seed=1)
    assert left_in(tmp_path) == [name]


def test_skip(tmp_path):
    """As if they were not in the source; one pattern may be a string."""
    kept = {name: kind for name, kind in LIKE.items() if name not in ("mask", "norm.flags")}
    init_checkpoint(tmp_path / "kept", PLAN, kept, seed=1)
    init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1, skip=["m*k", "*.flags", "nor[m].f*"])
    assert (tmp_path / "out").read_bytes() == (tmp_path / "kept").read_bytes()
    init_checkpoint(tmp_path / "one", PLAN, LIKE, seed=1, skip="*.weight")
    assert read_header(tmp_path / "one").tensors.keys() == LIKE.keys() - {"0.weight"}
    for skip in (3, [3], None):
        with pytest.raises(TypeError, match=re.escape(f"skip is {skip!r}; it must be a glob")):
            init_checkpoint(tmp_path / "none", PLAN, LIKE, seed=1, skip=skip)
    with pytest.raises(ValueError, match="skip has 'no', which matches the name of no") as raised:
        init_checkpoint(tmp_path / "none", PLAN, LIKE, seed=1, skip=["m*k", "no"])
    assert (raised.value.argument, raised.value.value) == ("skip", "no")
    assert left_in(tmp_path) == ["kept", "one", "out"]


def test_header_too_long_to_read(tmp_path, monkeypatch):
    """A header that could not be read again is not written."""
    init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
    monkeypatch.setattr(_header, "LONGEST_HEADER", read_header(tmp_path / "out").start - 8)
    init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
    with pytest.raises(CheckpointError, match="the header would have"):
        init_checkpoint(tmp_path / "more", PLAN, {**LIKE, "x" * 100: ("F32", ())}, seed=1)
    assert left_in(tmp_path) == ["out"]


def test_onto_itself(tmp_path):
    """A file that is written again from itself."""
    path = tmp_path / "w.safetensors"
    init_checkpoint(path, PLAN, LIKE, seed=1)
    first = path.read_bytes()
    init_checkpoint(path, PLAN, path, seed=2)
    assert read_header(path) == read_header(path)
    assert path.read_bytes() != first
    init_checkpoint(path, PLAN, path, seed=1)
    assert path.read_bytes() == first


# ---- refused before a file is begun --------------------------------------------------------------

UNMADE = [
    ({"w": ("F33", (3,))}, PLAN, CheckpointError, ["'w'", "'F33'", "BF16"]),
    ({"w": (np.str_, (3,))}, PLAN, CheckpointError, ["'w'", "str_", "'float32'"]),
    ({"w": (np.dtype([("a", "f4")]), (3,))}, PLAN, CheckpointError, ["'w'", "'float32'"]),
    ({"w": (None, (3,))}, PLAN, CheckpointError, ["'w'", "None", "'float32'"]),
    ({"w": ("F32", (3, -1))}, PLAN, CheckpointError, ["'w'", "(3, -1)"]),
    ({"w": ("F32", (3, 1.0))}, PLAN, CheckpointError, ["'w'", "(3, 1.0)"]),
    ({"w": ("F32", (True,))}, PLAN, CheckpointError, ["'w'", "True"]),
    ({"w": ("F32", (np.bool_(True),))}, PLAN, CheckpointError, ["'w'", "True"]),
    ({"w": ("F32", (np.float32(3),))}, PLAN, CheckpointError, ["'w'", "3.0"]),
    ({"w": ("F32", (np.ones(1),))}, PLAN, CheckpointError, ["'w'", "1."]),
    ({"w": ("F32", (0, 2**62, 2**62))}, PLAN, CheckpointError, ["'w'", "but for its extents of"]),
    ({"w": ("F32", (1,) * 65)}, PLAN, CheckpointError, ["'w'", "65 axes", "at most"]),
    ({"w": ("F32", 3)}, PLAN, CheckpointError, ["'w'", "3"]),
    ({"w": ("F32", (2**40, 2**40))}, PLAN, CheckpointError, ["'w'", "2**63"]),
    ({"w": ("F32", (2**60,)), "v": ("F32", (2**60,))}, PLAN, CheckpointError, ["2**63"]),
    ({"w": (2,)}, PLAN, CheckpointError, ["'w'", "(2,)", "(dtype, shape)"]),
    ({"w": "F3"}, PLAN, CheckpointError, ["'w'", "a str", "(dtype, shape)"]),
    ({"w": np.ones(2)}, PLAN, CheckpointError, ["'w'", "an ndarray", "(dtype, shape)"]),
    ({"mask": ("F4", (3,))}, PLAN, CheckpointError, ["'mask'", "F4", "(3,)"]),
    ({"__metadata__": ("F32", (3,))}, PLAN, CheckpointError, ["'__metadata__'"]),
    ({3: ("F32", (3,))}, PLAN, CheckpointError, ["3"]),
    ({"\ud800": ("F32", (3,))}, PLAN, CheckpointError, ["UTF-8"]),
    ({"w": ("I64", (3, 3))}, PLAN, CheckpointError, ["'w'", "I64", "only be 0 or 1 at", "Normal"]),
    ({"norm": ("F8_E8M0", (3, 3))}, PLAN, CheckpointError, ["'norm'", "F8_E8M0", "only be 0 at"]),
    ({"norm": ("C64", (3, 3))}, PLAN, CheckpointError, ["'norm'", "C64", "only be 0 at"]),
    ({"w": ("U8", ())}, Plan([Rule("*", Constant(2))]), CheckpointError, ["'w'", "2.0"]),
    ({"w": ("F16", (3,))}, Plan([Rule("*", Normal(0, 1e5))]), CheckpointError, ["'w'", "float16"]),
    ({"w": ("F16", (3, 3))}, Plan([Rule("*", "orthogonal", gain=1e6)]), CheckpointError, ["'w'"]),
    ({"w": ("F32", (3,))}, Plan([Rule("*", "orthogonal")]), PlanError, ["'w'", "(3,)"]),
    ({"v": ("F32", (3,))}, Plan([Rule("w", "zeros")]), PlanError, ["'v'", "(3,)"]),
    ({"w": ("F32", (3,))}, "defualt", PlanError, ["plan is 'defualt'", "'default'?"]),
    ({"w": ("F32", (3,))}, "default", PlanError, ["no rule of the plan matches tensor 'w'"]),
    ({"w": ("F32", (3,))}, None, TypeError, ["plan is None; it must be one of", "or a Plan"]),
    ({"w": ("fp32", (3,))}, PLAN, CheckpointError, ["'w'", "did you mean 'float32'?"]),
]


@pytest.mark.parametrize(("like", "plan", "error", "parts"), UNMADE, ids=repr)
def test_refused(tmp_path, monkeypatch, like, plan, error, parts):
    """The tensor is named, and no file is touched."""
    monkeypatch.setattr(os, "open", None)
    with pytest.raises(error) as raised:
        init_checkpoint(tmp_path / "out", plan, like, seed=1)
    for part in parts:
        assert part in str(raised.value)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"seed": -1}, ValueError),
        ({"seed": 1, "threads": 0}, ValueError),
        ({"seed": "x"}, TypeError),
    ],
)
def test_refused_by_init(tmp_path, options, error):
    with pytest.raises(error):
        init_checkpoint(tmp_path / "out", PLAN, LIKE, **options)
    assert left_in(tmp_path) == []


def test_no_place_for_the_file(tmp_path):
    """A folder of that name, no folder at all: the error names what was asked for."""
    for path, error, named in [
        (tmp_path, IsADirectoryError, tmp_path),
        (tmp_path / "no" / "out", FileNotFoundError, tmp_path / "no"),
    ]:
        with pytest.raises(error) as raised:
            init_checkpoint(path, PLAN, LIKE, seed=1)
        assert raised.value.filename == str(named)
    assert left_in(tmp_path) == []


def test_without_ml_dtypes(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match=r"BF16.*pip install \"fastxavier\[bfloat16\]\""):
        init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
    assert left_in(tmp_path) == []
    init_checkpoint(tmp_path / "out", PLAN, {"w": ("F16", (3,))}, seed=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(tmp_path, dtype):
    """All can be zeros; integers and truth values also ones; six can be drawn."""
    like = {"w": (dtype, (4, 2))}
    starts = {"zeros": Constant(0.0), "ones": Constant(1.0), "drawn": Uniform(-1, 1)}
    made = []
    for name, distribution in starts.items():
        try:
            init_checkpoint(tmp_path / name, Plan([Rule("w", distribution)]), like, seed=1)
        except CheckpointError:
            continue
        made.append(name)
        values = mapped(tmp_path / name)["w"]
        assert name == "drawn" or (values == (name == "ones")).all()
        assert read_header(tmp_path / name).tensors["w"].dtype == dtype
    floats = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
    counts = {"BOOL", *(f"{sign}{bits}" for sign in "UI" for bits in (8, 16, 32, 64))}
    expected = 3 if dtype in floats else 2 if dtype in counts else 1
    assert made == list(starts)[:expected]
