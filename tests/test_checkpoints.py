"""Checkpoints: files as safetensors' own package has them; invalid ones are refused."""

import ctypes
import errno
import json
import math
import os
import re
import stat
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_processes import environment, posix

import fastxavier as fx
from fastxavier.checkpoints import (
    CheckpointError,
    Tensor,
    _header,
    _init,
    init_checkpoint,
    mapped,
    read_header,
    tensors_like,
)
from fastxavier.checkpoints._dtypes import DTYPES
from fastxavier.distributions import Constant, Normal, Uniform
from fastxavier.plans import Plan, PlanError, Rule

PLAN = Plan(
    [
        Rule(["*.bias", "*mask*"], "zeros"),
        Rule("*norm*", "ones"),
        Rule("*", "glorot_normal", rank="2+"),
        Rule("*", "uniform", low=-0.5, high=0.5),
    ]
)
LIKE = {
    "0.weight": ("F32", (30, 20)),
    "0.bias": ("F32", (30,)),
    "half": ("F16", (3, 5)),
    "double": ("F64", (7,)),
    "brain": ("BF16", (4, 5)),
    "scalar": ("F32", ()),
    "none": ("F32", (0, 20)),
    "mask": ("BOOL", (3, 3)),
    "norm.count": ("I64", (2,)),
    "norm.flags": ("U8", (5,)),
}


def file_with(path, header, data=b"", length=None):
    """A file of a header, as JSON or as bytes, and data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(raw) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + raw + data)
    return path


def entry(dtype="U8", shape=(1,), begin=0, end=1):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


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
    kinds = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "U8": "u1", "BOOL": "?"}
    for name, (dtype, shape) in LIKE.items():
        array = np.zeros(shape, kinds.get(dtype, ml_dtypes.bfloat16))
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
    loaded = safetensors.numpy.load_file(path)
    for name, array in expected.items():
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()


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


def metadata_of(path):
    """By safetensors' own reader."""
    with safetensors.safe_open(path, "np") as file:
        return file.metadata()


def made_from(plan, seed):
    """The metadata that a file of this plan and seed has."""
    return {
        "fastxavier.seed": str(seed),
        "fastxavier.plan": plan.to_toml(),
        "fastxavier.stream_version": str(fx.info().stream_version),
        "fastxavier.version": fx.__version__,
    }


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
    init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1, skip=["m*k", "*.flags", "no"])
    assert (tmp_path / "out").read_bytes() == (tmp_path / "kept").read_bytes()
    init_checkpoint(tmp_path / "one", PLAN, LIKE, seed=1, skip="*.weight")
    assert read_header(tmp_path / "one").tensors.keys() == LIKE.keys() - {"0.weight"}
    for skip in (3, [3], None):
        with pytest.raises(TypeError, match=re.escape(f"skip is {skip!r}; it must be a glob")):
            init_checkpoint(tmp_path / "none", PLAN, LIKE, seed=1, skip=skip)
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
    ({"w": (np.float32, (3,))}, PLAN, CheckpointError, ["'w'", "float32"]),
    ({"w": ("F32", (3, -1))}, PLAN, CheckpointError, ["'w'", "(3, -1)"]),
    ({"w": ("F32", (3, 1.0))}, PLAN, CheckpointError, ["'w'", "(3, 1.0)"]),
    ({"w": ("F32", (True,))}, PLAN, CheckpointError, ["'w'", "True"]),
    ({"w": ("F32", 3)}, PLAN, CheckpointError, ["'w'", "3"]),
    ({"w": ("F32", (2**40, 2**40))}, PLAN, CheckpointError, ["'w'", "2**63"]),
    ({"w": ("F32", (2**60,)), "v": ("F32", (2**60,))}, PLAN, CheckpointError, ["2**63"]),
    ({"w": (2,)}, PLAN, CheckpointError, ["'w'", "(2,)", "(dtype, shape)"]),
    ({"w": "F3"}, PLAN, CheckpointError, ["'w'", "a str", "(dtype, shape)"]),
    ({"w": np.ones(2)}, PLAN, CheckpointError, ["'w'", "a ndarray", "(dtype, shape)"]),
    ({"mask": ("F4", (3,))}, PLAN, CheckpointError, ["'mask'", "F4", "(3,)"]),
    ({"__metadata__": ("F32", (3,))}, PLAN, CheckpointError, ["'__metadata__'"]),
    ({3: ("F32", (3,))}, PLAN, CheckpointError, ["3"]),
    ({"\ud800": ("F32", (3,))}, PLAN, CheckpointError, ["UTF-8"]),
    ({"w": ("I64", (3, 3))}, PLAN, CheckpointError, ["'w'", "I64", "only be 0 or 1 at", "Normal"]),
    ({"norm": ("F8_E4M3", (3, 3))}, PLAN, CheckpointError, ["'norm'", "F8_E4M3", "only be 0 at"]),
    ({"norm": ("C64", (3, 3))}, PLAN, CheckpointError, ["'norm'", "C64", "only be 0 at"]),
    ({"w": ("U8", ())}, Plan([Rule("*", Constant(2))]), CheckpointError, ["'w'", "2.0"]),
    ({"w": ("F16", (3,))}, Plan([Rule("*", Normal(0, 1e5))]), CheckpointError, ["'w'", "float16"]),
    ({"w": ("F16", (3, 3))}, Plan([Rule("*", "orthogonal", gain=1e6)]), CheckpointError, ["'w'"]),
    ({"w": ("F32", (3,))}, Plan([Rule("*", "orthogonal")]), PlanError, ["'w'", "(3,)"]),
    ({"v": ("F32", (3,))}, Plan([Rule("w", "zeros")]), PlanError, ["'v'", "(3,)"]),
    ({"w": ("F32", (3,))}, "default", TypeError, ["plan is 'default'; it must be a Plan"]),
    ({"w": ("F32", (3,))}, None, TypeError, ["plan is None; it must be a Plan"]),
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
    """All can be zeros; integers and truth values also ones; four can be drawn."""
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
    floats = ("F64", "F32", "F16", "BF16")
    counts = {"BOOL", *(f"{sign}{bits}" for sign in "UI" for bits in (8, 16, 32, 64))}
    expected = 3 if dtype in floats else 2 if dtype in counts else 1
    assert made == list(starts)[:expected]


# ---- headers that are not valid ------------------------------------------------------------------

INVALID = [
    (b"", b"", None, "not JSON|begin with"),
    (b"[]", b"", None, "begin with"),
    (b' {"a": 1}', b"", None, "begin with"),
    (b"{", b"", None, "not JSON"),
    (b'{"a"}', b"", None, "not JSON"),
    (b"{}}", b"", None, "not JSON"),
    (b"{}\0", b"", None, "not JSON"),
    (b'{"\xff": 1}', b"", None, "not JSON"),
    (b'{"a": NaN}', b"", None, "NaN"),
    (b'{"\\ud800": 1}', b"", None, "not JSON"),
    (b'{"a":' + b"[" * 100_000, b"", None, "not JSON"),
    (b'{"a": ' + b"9" * 10_000 + b"}", b"", None, "not JSON"),
    (b"{}", b"", 3, "3 bytes, but the file has only 10"),
    (b"{}", b"", 2**63 + 5, "over 100 MB"),
    (b"{}", b"", 100_000_001, "over 100 MB"),
    (b"{}", b"", 99_999_999, "99999999 bytes, but the file has only 10"),
    (b"{}", b"x", None, "too long: it has 1 bytes of data, and its tensors 0"),
    (
        b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry()).encode() + b"}",
        b"x",
        None,
        "'a' twice",
    ),
    (b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x", None, "twice"),
    ({"a": 3}, b"", None, "'a' is 3"),
    ({"a": None}, b"", None, "'a' is None"),
    ({"a": []}, b"", None, "'a' is"),
    ({"a": {}}, b"", None, "dtype, shape, data_offsets"),
    ({"a": {"dtype": "U8", "shape": [1]}}, b"x", None, "data_offsets"),
    ({"a": {**entry(), "more": 1}}, b"x", None, "more"),
    ({"a": entry("U7")}, b"x", None, "'U7'; It must be one of 'F32', 'F64', 'F16'"),
    ({"a": entry("uint8")}, b"x", None, "'uint8'"),
    ({"a": entry(None)}, b"x", None, "None"),
    ({"a": entry(["U8"])}, b"x", None, "U8"),
    ({"a": entry("U8", [-1])}, b"x", None, r"\[-1\]"),
    ({"a": entry("U8", [-1, -1])}, b"x", None, r"\[-1, -1\]"),
    ({"a": entry("U8", [1.0])}, b"x", None, r"\[1.0\]"),
    ({"a": entry("U8", [True])}, b"x", None, r"\[True\]"),
    ({"a": entry("U8", ["1"])}, b"x", None, "'1'"),
    ({"a": {**entry(), "shape": 1}}, b"x", None, "shape 1"),
    ({"a": {**entry(), "shape": None}}, b"x", None, "None"),
    ({"a": entry("U8", [2**64])}, b"x", None, r"2\*\*63 - 1"),
    ({"a": entry("U8", [2**62, 2**62])}, b"x", None, r"more than 2\*\*63"),
    ({"a": entry("U8", [2**62, 8, 0], 0, 0)}, b"", None, r"more than 2\*\*63"),
    ({"a": {**entry(), "data_offsets": [0]}}, b"x", None, "two integers"),
    ({"a": {**entry(), "data_offsets": [0, 1, 1]}}, b"x", None, "two integers"),
    ({"a": {**entry(), "data_offsets": {"0": 1}}}, b"x", None, "two integers"),
    ({"a": entry("U8", [1], -1, 0)}, b"x", None, "two integers"),
    ({"a": entry("U8", [1], 0.0, 1)}, b"x", None, "two integers"),
    ({"a": entry("U8", [1], 0, True)}, b"x", None, "two integers"),
    (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}}', b"x", None, "two integers"),
    ({"a": entry("U8", [1], 1, 0)}, b"x", None, "are 1 and 0"),
    ({"a": entry("U8", [2], 0, 1)}, b"x", None, "has 2 bytes, but its data_offsets are 0 and 1"),
    ({"a": entry("F32", [2], 0, 2)}, b"xx", None, "has 8 bytes, but its data_offsets are 0 and 2"),
    ({"a": entry("F4", [3], 0, 1)}, b"x", None, "F4"),
    ({"a": entry("U8", [], 0, 0)}, b"", None, "has 1 bytes, but its data_offsets are 0 and 0"),
    ({"a": entry(begin=1, end=2)}, b"xx", None, "'a' begins at byte 1 and leaves a gap"),
    (
        {"a": entry(), "b": entry(begin=2, end=3)},
        b"xxx",
        None,
        "'b' begins at byte 2 and leaves a gap",
    ),
    ({"a": entry(), "b": entry()}, b"x", None, "'b' begins at byte 0 and overlaps"),
    (
        {"a": entry("U8", [3], 0, 3), "b": entry("U8", [3], 2, 5)},
        b"12345",
        None,
        "'b' begins at byte 2",
    ),
    ({"a": entry("U8", [9], 0, 9), "b": entry("U8", [0], 4, 4)}, b"123456789", None, "'b' begins"),
    ({"a": entry()}, b"", None, "truncated: it has 0 bytes of data, and its tensors 1"),
    ({"a": entry()}, b"xx", None, "too long: it has 2 bytes of data, and its tensors 1"),
    ({"a": entry(begin=2**62, end=2**62 + 1)}, b"x", None, "gap"),
    ({"__metadata__": entry()}, b"x", None, "__metadata__"),
    ({"__metadata__": {"a": 1}}, b"", None, "__metadata__"),
    ({"__metadata__": None}, b"", None, "__metadata__ is None"),
    ({"__metadata__": "a"}, b"", None, "__metadata__ is 'a'"),
    ({"__metadata__": {"a": {"b": "c"}}}, b"", None, "__metadata__"),
]


@pytest.mark.parametrize(
    ("header", "data", "length", "message"), INVALID, ids=lambda x: repr(x)[:50]
)
def test_invalid_header(tmp_path, header, data, length, message):
    """CheckpointError that names the file and the tensor, from every function that reads it."""
    path = file_with(tmp_path / "bad.safetensors", header, data, length)
    content = path.read_bytes()
    for call in (
        lambda: read_header(path),
        lambda: mapped(path),
        lambda: tensors_like(path),
        lambda: init_checkpoint(tmp_path / "out", PLAN, path, seed=1),
    ):
        with pytest.raises(CheckpointError, match=message) as raised:
            call()
        assert str(raised.value).startswith(f"{path}: ")
    assert left_in(tmp_path) == ["bad.safetensors"]
    assert path.read_bytes() == content


@pytest.mark.parametrize("size", range(8))
def test_file_shorter_than_a_length(tmp_path, size):
    (tmp_path / "short").write_bytes(bytes(size))
    with pytest.raises(CheckpointError, match=f"{size} bytes are too few"):
        read_header(tmp_path / "short")


def test_largest_header_is_not_read(tmp_path):
    """One that is too long is refused by its length."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)
    with pytest.raises(CheckpointError, match="over 100 MB"):
        read_header(path)


VALID = {
    "__metadata__": {"format": "pt"},
    "a": entry("F32", (2, 3), 0, 24),
    "b": entry("F32", (), 24, 28),
    "c": entry("F16", (0, 7), 28, 28),
    "d": entry("U8", (5,), 28, 33),
}
VALID_BYTES = json.dumps(VALID).encode()

mutations = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "copy", "number"]),
        st.integers(0, len(VALID_BYTES) - 1),
        st.sampled_from(list(b'0123456789-+.eE"\\{}[],: aFU_\0\xff\n')),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=3,
)


def mutated(raw, changes):
    for kind, at, byte, length in changes:
        at = min(at, len(raw) - 1)
        if kind == "replace":
            raw = raw[:at] + bytes([byte]) + raw[at + 1 :]
        elif kind == "insert":
            raw = raw[:at] + bytes([byte]) + raw[at:]
        elif kind == "delete":
            raw = raw[:at] + raw[at + length :]
        elif kind == "copy":
            raw = raw[: at + length] + raw[at:]
        else:
            numbers = list(re.finditer(rb"\d+", raw))
            found = numbers[at % len(numbers)] if numbers else None
            if found:
                raw = raw[: found.start()] + str(length * 4).encode() + raw[found.end() :]
        raw = raw or b"{"
    return raw


def by_safetensors(content):
    try:
        return {
            name: (one["dtype"], tuple(one["shape"]), bytes(one["data"]))
            for name, one in safetensors.deserialize(content)
        }
    except Exception:  # of a class that its versions do not agree on
        return None


# What we refuse and safetensors 0.8 accepts: the meaning of such a file is not clear.
STRICTER = re.compile(r"twice|begin with '{'|it must have dtype|__metadata__ is None|NaN|2\*\*63")


@pytest.mark.skipif(not hasattr(safetensors, "TensorSpec"), reason="needs safetensors 0.8")
@settings(max_examples=500, deadline=None)
@given(mutations, st.integers(-2, 2))
def test_mutated_headers(tmp_path_factory, changes, more):
    """Accepted only if safetensors reads the same tensors; refused only if it does, or STRICTER."""
    raw = mutated(VALID_BYTES, changes)
    data = bytes(range(33 + more))
    path = file_with(tmp_path_factory.getbasetemp() / "mutated", raw, data)
    theirs = by_safetensors(path.read_bytes())
    try:
        header = read_header(path)
    except CheckpointError as error:
        refusal = str(error)
        assert theirs is None or STRICTER.search(refusal)
        return
    ours = {
        name: (tensor.dtype, tensor.shape, path.read_bytes()[header.start :][slice(*tensor[2:])])
        for name, tensor in header.tensors.items()
    }
    assert ours == theirs


def test_valid_header(tmp_path):
    """In the order of the data, not that of the header; with its metadata."""
    backwards = dict(reversed(VALID.items()))
    header = read_header(file_with(tmp_path / "valid", backwards, bytes(33)))
    assert header.metadata == {"format": "pt"}
    assert list(header.tensors.items()) == [
        ("a", Tensor("F32", (2, 3), 0, 24)),
        ("b", Tensor("F32", (), 24, 28)),
        ("c", Tensor("F16", (0, 7), 28, 28)),
        ("d", Tensor("U8", (5,), 28, 33)),
    ]
    assert header.start == 8 + len(json.dumps(backwards))


# ---- what a file is like -------------------------------------------------------------------------


@pytest.fixture
def sharded(tmp_path):
    """A model in two files and its index."""
    folder = tmp_path / "model"
    folder.mkdir()
    shards = {
        "model-1.safetensors": {"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)},
        "model-2.safetensors": {"c": np.ones((), np.int64)},
    }
    for name, tensors in shards.items():
        safetensors.numpy.save_file(tensors, folder / name, {"format": "pt", "shard": name})
    places = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 40}, "weight_map": places}))
    return index


KINDS = {"a": ("F32", (2, 3)), "b": ("F16", (4,)), "c": ("I64", ())}


def test_sharded(sharded, tmp_path):
    """The tensors of all shards, in one file; links to shards are followed."""
    assert tensors_like(sharded) == KINDS
    shard = sharded.parent / "model-2.safetensors"
    shard.rename(tmp_path / "blob")
    shard.symlink_to(tmp_path / "blob")
    assert tensors_like(str(sharded)) == KINDS
    plan = Plan([Rule("c", "ones"), Rule("*", "normal")])
    init_checkpoint(tmp_path / "out", plan, sharded, seed=1)
    with safetensors.safe_open(tmp_path / "out", "np") as file:
        assert sorted(file.keys()) == ["a", "b", "c"]
        assert file.metadata() == {"format": "pt", **made_from(plan, 1)}


def changed(index, **places):
    document = json.loads(index.read_text())
    for name, file in places.items():
        document["weight_map"][name] = file
        if file is None:
            del document["weight_map"][name]
    index.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"d": "model-2.safetensors"}, "model-2.safetensors: tensor 'd' is not in it"),
        ({"b": None}, "model-1.safetensors: tensor 'b' is in it, but not in the index"),
        ({"b": "model-2.safetensors"}, "model-1.safetensors: tensor 'b' is in it"),
        ({"a": "../model/model-1.safetensors"}, "in the same folder"),
        ({"a": "./model-1.safetensors"}, "in the same folder"),
        ({"a": "/etc/passwd"}, "in the same folder"),
        ({"a": ".."}, "in the same folder"),
        ({"a": "."}, "in the same folder"),
        ({"a": ""}, "in the same folder"),
        ({"a": "..\\x"}, "in the same folder"),
        ({"a": "x\0y"}, "in the same folder"),
        ({"a": 3}, "in the same folder"),
        ({"a": ["model-1.safetensors"]}, "in the same folder"),
    ],
    ids=repr,
)
def test_invalid_index(sharded, places, message):
    changed(sharded, **places)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        tensors_like(sharded)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "{}", '{"weight_map": []}', '{"weight_map": {"a": "x", "a": "x"}}', "\xff"],
)
def test_not_an_index(sharded, text):
    sharded.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=re.escape(str(sharded))):
        tensors_like(sharded)


def test_invalid_or_missing_shard(sharded):
    shard = sharded.parent / "model-1.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model-1\.safetensors: the file is truncated"):
        tensors_like(sharded)
    shard.unlink()
    with pytest.raises(FileNotFoundError):
        tensors_like(sharded)
    sharded.write_text('{"weight_map": {}}')
    assert tensors_like(sharded) == {}


def test_list(tmp_path):
    """Dtypes by their names in NumPy, torch and safetensors, in the order of the list."""
    path = tmp_path / "like.toml"
    path.write_text(
        '[tensors]\n"a.b" = { shape = [2, 3], dtype = "float32" }\n'
        'c = { shape = [], dtype = "BF16" }\n'
        '[tensors.d]\nshape = [0]\ndtype = "bfloat16"\n'
    )
    kinds = {"a.b": ("F32", (2, 3)), "c": ("BF16", ()), "d": ("BF16", (0,))}
    assert tensors_like(path) == kinds
    for name in ("bool", "uint8", "int64", "float16", "float64", "complex64", "float8_e4m3fn"):
        path.write_text(f'[tensors]\na = {{ shape = [2], dtype = "{name}" }}')
        ((dtype, _),) = tensors_like(path).values()
        assert np.dtype(name).itemsize * 8 == DTYPES[dtype].bits
        path.write_text(f'[tensors]\na = {{ shape = [2], dtype = "torch.{name}" }}')
        assert tensors_like(path) == {"a": (dtype, (2,))}
    path.write_text("[tensors]\n")
    assert tensors_like(path) == {}


@pytest.mark.parametrize(
    ("dtype", "suggestion"),
    [
        ("fp32", "float32"),
        ("FP32", "float32"),
        ("f32", "float32"),
        ("flaot32", "float32"),
        ("Float32", "float32"),
        ("torch.float", "float32"),
        ("single", "float32"),
        ("float-32", "float32"),
        ("fp16", "float16"),
        ("half", "float16"),
        ("torch.half", "float16"),
        ("bf16", "bfloat16"),
        ("fp64", "float64"),
        ("double", "float64"),
        ("torch.long", "int64"),
        ("i32", "int32"),
        ("e4m3", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_other_names_of_dtypes(tmp_path, dtype, suggestion):
    """The right name first; then the names that most people need, before any other."""
    path = tmp_path / "like.toml"
    path.write_text(f'[tensors]\na = {{ shape = [2], dtype = "{dtype}" }}')
    with pytest.raises(CheckpointError) as raised:
        tensors_like(path)
    hint = f"did you mean '{suggestion}'? " if suggestion else ""
    usual = ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64"]
    assert str(raised.value).startswith(
        f"{path}: tensor 'a' has dtype '{dtype}'; {hint}It must be one of "
        + ", ".join(map(repr, usual))
    )


@pytest.mark.parametrize("dtype", [np.float32, np.dtype("f4"), "F32", "float32", "torch.float32"])
def test_dtypes_of_a_mapping(tmp_path, dtype):
    """Names as in a list; for anything else the error has the name."""
    if isinstance(dtype, str):
        init_checkpoint(tmp_path / "out", PLAN, {"a": (dtype, (2,))}, seed=1)
        assert tensors_like_file(tmp_path / "out") == {"a": ("F32", (2,))}
    else:
        with pytest.raises(CheckpointError, match=r"'a' has dtype .*; did you mean 'float32'\?"):
            init_checkpoint(tmp_path / "out", PLAN, {"a": (dtype, (2,))}, seed=1)


def tensors_like_file(path):
    return {name: one[:2] for name, one in read_header(path).tensors.items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tensors]\na = {", "at end of document|line 2"),
        ("[tensors]\na = = 3\n", "at line 2, column 5"),
        ("a = " + "[" * 100_000, "nested too deeply|at end of document"),
        ("", r"\[tensors\]"),
        ("[tensor]\n", r"it has tensor; it must have one table, \[tensors\]"),
        ("tensors = 3", r"\[tensors\]"),
        ("[tensors]\n[more]\n", "more"),
        ("[tensors]\na.b = { shape = [2], dtype = 'F32' }", "quote"),
        ("[tensors]\na = { shape = [2] }", "'a'"),
        ("[tensors]\na = { shape = [2], dtype = 'F32', x = 1 }", "'a'"),
        ("[tensors]\na = [2]", "'a'"),
        ("[tensors]\na = { shape = [2], dtype = 'F31' }", "'F31'.*'float32'"),
        ("[tensors]\na = { shape = [2], dtype = 32 }", "dtype 32; It must be one of 'float32'"),
        ("[tensors]\na = { shape = [-2], dtype = 'F32' }", r"\[-2\]"),
        ("[tensors]\na = { shape = 2, dtype = 'F32' }", "shape 2"),
        ("[tensors]\na = { shape = [2.0], dtype = 'F32' }", r"\[2.0\]"),
        ("# \xff", "UTF-8"),
    ],
    ids=lambda x: repr(x)[:50],
)
def test_list_that_is_wrong(tmp_path, text, message):
    path = tmp_path / "like.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=message) as raised:
        tensors_like(path)
    assert str(path) in str(raised.value)


def test_file_of_another_kind(tmp_path):
    for name in ("model.bin", "model", "model.toml.gz"):
        with pytest.raises(CheckpointError, match=r"\.safetensors"):
            tensors_like(tmp_path / name)
    for name in ("a.safetensors", "a.json", "a.toml"):
        with pytest.raises(FileNotFoundError):
            tensors_like(tmp_path / name)
