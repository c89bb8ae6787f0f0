"""fastxavier.zarr.fill: the bits of `draw` and `init_`, resumed, within bounded memory."""

import contextlib
import itertools
import math
import pathlib
import pickle
import signal
import subprocess
import sys
import threading

import cases
import golden
import numpy as np
import pytest
from effort import examples
from hypothesis import given, seed, settings
from hypothesis import strategies as st

import fastxavier as fx

zarr = pytest.importorskip("zarr", minversion="3.1.2")

import fastxavier.zarr as fz  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
LINES = golden.parsed((ROOT / "tests" / "data" / "golden.txt").read_text(encoding="ascii"))
DTYPES = ("float32", "float64", "float16")  # that zarr has too

SHAPE = (101, 73)
INITIALIZERS = {
    "uniform": fx.Uniform(-0.5, 1.5),
    "normal": fx.Normal(0.1, 2.0),
    "constant": fx.Constant(0.25),
    "scaled": fx.he_normal(),
    "named": "lecun_truncated_normal",
    "sparse": fx.Sparse(0.3),
    "identity": fx.Identity(2.0),
    "orthogonal": fx.Orthogonal(),
}
LAYOUTS = {
    "chunks": {"chunks": (20, 30)},
    "one chunk": {"chunks": SHAPE},
    "chunks larger than the array": {"chunks": (200, 10)},
    "shards": {"chunks": (10, 6), "shards": (40, 30)},
    "shards of one chunk": {"chunks": (20, 30), "shards": (20, 30)},
    "bare": {"chunks": (20, 30), "compressors": None},
    "bare shards": {"chunks": (10, 6), "shards": (40, 30), "compressors": None},
    "checksums": {"chunks": (20, 30), "compressors": [zarr.codecs.Crc32cCodec()]},
    # Its error for damaged bytes is an OSError.
    "gzip": {"chunks": (20, 30), "compressors": [zarr.codecs.GzipCodec()]},
    "transposed": {
        "chunks": (20, 30),
        "filters": [zarr.codecs.TransposeCodec(order=(1, 0))],
    },
    "Fortran order": {"chunks": (20, 30), "config": {"order": "F"}},
    "zarr format 2": {"chunks": (20, 30), "zarr_format": 2},
    "zarr format 2 in Fortran order": {"chunks": (20, 30), "zarr_format": 2, "order": "F"},
}


def same_bits(array, expected):
    values = np.asarray(array[...])
    assert values.shape == expected.shape
    native = np.ascontiguousarray(values.astype(expected.dtype))
    assert native.tobytes() == expected.tobytes()


def drawn(array, initializer, seed=7, stream="fc1.weight"):
    return fx.draw(array.shape, initializer, dtype=array.dtype.name, seed=seed, stream=stream)


def units(array):
    """How many chunks the array has, or shards if it has these."""
    steps = array.shards or array.chunks
    return math.prod(-(-n // step) for n, step in zip(array.shape, steps, strict=True))


def data_files(folder):
    """The chunks or shards of an array in a folder."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "zarr.json"))
    )


# ---- bits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_layouts(name, layout):
    array = zarr.create_array({}, shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    report = fz.fill(array, INITIALIZERS[name], 7, "fc1.weight")
    expected = drawn(array, INITIALIZERS[name])
    if name == "orthogonal":  # LAPACK may round otherwise in another thread
        np.testing.assert_allclose(array[...], expected, atol=1e-6)
    else:
        same_bits(array, expected)
    assert report.written + report.kept == units(array)
    again = fz.fill(array, INITIALIZERS[name], 7, "fc1.weight")
    assert (again.written, again.kept) == (0, units(array))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", cases.THREADS)
def test_dtypes(dtype, order, threads):
    array = zarr.create_array(
        {}, shape=SHAPE, chunks=(20, 30), dtype=np.dtype(dtype).newbyteorder(order)
    )
    fz.fill(array, fx.Normal(0, 0.5), 7, "fc1.weight", threads=threads)
    same_bits(array, drawn(array, fx.Normal(0, 0.5)))
    assert fz.fill(array, fx.Normal(0, 0.5), 7, "fc1.weight").written == 0


@pytest.mark.parametrize("case", [case for case in LINES if case[1] in DTYPES], ids="-".join)
def test_golden(case):
    distribution, digest, _ = LINES[case]
    array = zarr.create_array({}, shape=golden.COUNT, chunks=70001, dtype=case[1])
    fz.fill(array, distribution, golden.SEED, golden.STREAM)
    assert golden.digest(array[...]) == digest


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5, 0, 3), (3, 2, 2, 2, 2)], ids=str)
def test_shapes(shape):
    array = zarr.create_array({}, shape=shape, dtype="float64")
    fz.fill(array, fx.Normal(), 7, "fc1.weight")
    same_bits(array, drawn(array, fx.Normal()))


@seed(21)
@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_any_chunks(data):
    shape = tuple(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=4), "shape"))
    chunks = tuple(data.draw(st.integers(1, 5), "chunk") for _ in shape)
    times = data.draw(st.none() | st.tuples(*[st.integers(1, 3)] * len(shape)), "shards")
    shards = times and tuple(n * m for n, m in zip(chunks, times, strict=True))
    array = zarr.create_array({}, shape=shape, chunks=chunks, shards=shards, dtype="float32")
    fz.fill(array, fx.Normal(), 7, "fc1.weight", threads=2)
    same_bits(array, drawn(array, fx.Normal()))


FILL_VALUES = [
    *itertools.product(["chunks", "shards", "zarr format 2"], [0.0, -0.0, 0.25, np.nan]),
    ("zarr format 2", None),
]


@pytest.mark.parametrize(("layout", "fill_value"), FILL_VALUES)
@pytest.mark.parametrize("value", [0.0, -0.0, 0.25])
def test_fill_value(value, layout, fill_value):
    """zarr leaves out chunks of the fill value: these too read as what was drawn, sign and all."""
    store = {}
    array = zarr.create_array(
        store, shape=SHAPE, dtype="float32", fill_value=fill_value, **LAYOUTS[layout]
    )
    fz.fill(array, fx.Normal(), 7)
    fz.fill(array, fx.Constant(value), 7)
    same_bits(array, np.full(SHAPE, value, np.float32))
    report = fz.fill(array, fx.Constant(value), 7)
    assert report.written == 0


@pytest.mark.parametrize("resume", [True, False])
def test_no_fill_value(resume):
    """A chunk that is missing where there is no fill value holds nothing: each is written."""
    store = {}
    array = zarr.create_array(
        store, shape=SHAPE, chunks=(20, 30), dtype="float32", zarr_format=2, fill_value=None
    )
    for written in (units(array), 0 if resume else units(array)):
        assert fz.fill(array, "zeros", 7, resume=resume).written == written
        assert len([key for key in store if not key.startswith(".")]) == units(array)
    same_bits(array, np.zeros(SHAPE, np.float32))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("empty", [True, False])
def test_chunks_of_the_fill_value(tmp_path, empty, resume):
    """Those that are missing are right already; `resume=False` does what the array's config says.

    cubed, once imported, has zarr write them by default.
    """
    path = tmp_path / "a"
    array = zarr.create_array(
        path,
        shape=SHAPE,
        chunks=(20, 30),
        dtype="float32",
        config={"write_empty_chunks": empty},
    )
    report = fz.fill(array, "zeros", 7, resume=resume)
    assert report.written == (0 if resume else 18)
    assert len(data_files(path)) == (18 if empty and not resume else 0)
    fz.fill(array, "ones", 7)
    assert len(data_files(path)) == 18
    fz.fill(array, "zeros", 7, resume=resume)
    assert len(data_files(path)) == (18 if empty else 0)


@pytest.mark.parametrize("layout", ["chunks", "shards"])
def test_zip(tmp_path, layout):
    path = tmp_path / "a.zip"
    with contextlib.closing(zarr.storage.ZipStore(path, mode="w")) as store:
        array = zarr.create_array(store, shape=SHAPE, dtype="float32", **LAYOUTS[layout])
        fz.fill(array, fx.Normal(), 7, "fc1.weight")
    with contextlib.closing(zarr.storage.ZipStore(path, mode="a")) as store:
        array = zarr.open_array(store, mode="r+")
        same_bits(array, drawn(array, fx.Normal()))
        assert fz.fill(array, fx.Normal(), 7, "fc1.weight").written == 0


@pytest.mark.parametrize("change", [{"seed": 8}, {"resume": False}, {"distribution": "zeros"}])
@pytest.mark.parametrize("layout", ["chunks", "shards"])
def test_zip_cannot_overwrite(tmp_path, layout, change):
    """It is refused before anything is written, wherever the chunk is, and what is missing stays.

    What is there and right is kept, and the rest is written.
    """
    path = tmp_path / "a.zip"
    arguments = {"distribution": fx.Normal(), "seed": 7, "stream": "b.weight"}
    with contextlib.closing(zarr.storage.ZipStore(path, mode="w")) as store:
        group = zarr.create_group(store)
        array = group.create_array("b/weight", shape=SHAPE, dtype="float32", **LAYOUTS[layout])
        step = (array.shards or array.chunks)[0]
        array[step : 2 * step] = drawn(array, fx.Normal(), 7, "b.weight")[step : 2 * step]
        before = [key for key in store._zf.namelist() if key.startswith("b/weight/c/")]
        assert 0 < len(before) < units(array)
        with pytest.raises(ValueError, match=r"b/weight/c/1/0.* ZipStore, cannot over") as raised:
            fz.fill(array, threads=1, **{**arguments, **change})
        assert raised.value.argument == "array"
        after = [key for key in store._zf.namelist() if key.startswith("b/weight/c/")]
        assert after == before
        told = []
        report = fz.fill(array, progress=told.append, **arguments)
        assert (report.written, report.kept) == (units(array) - len(before), len(before))
        assert told == sorted(set(told))
        assert told[-1] == 1
    with contextlib.closing(zarr.storage.ZipStore(path)) as store:
        array = zarr.open_array(store, path="b/weight", mode="r")
        same_bits(array, drawn(array, fx.Normal(), 7, "b.weight"))


def test_dask_reads_the_same():
    """dask over a filled array, and dask's own chunks, are one tensor."""
    da = pytest.importorskip("dask.array")
    from fastxavier.dask import random

    array = zarr.create_array({}, shape=SHAPE, chunks=(20, 30), dtype="float32")
    fz.fill(array, fx.he_normal(), 7, "fc1.weight")
    lazy = random(fx.he_normal(), SHAPE, (33, 50), seed=7, stream="fc1.weight")
    assert (da.from_zarr(array) == lazy).all().compute()


# ---- groups --------------------------------------------------------------------------------------

PLAN = fx.Plan(
    [
        fx.Rule("*.bias", "constant", value=0.5),
        fx.Rule("steps", "constant", value=3),
        fx.Rule("head.weight", "orthogonal"),
        fx.Rule("unused.*", "ones"),
        fx.Rule("*", "he_normal"),
    ]
)
MODEL = {
    "body/0/weight": ((64, 50), "float32"),
    "body/0/bias": ((64,), "float32"),
    "body/1/weight": ((30, 64), "float16"),
    "head/weight": ((10, 30), "float64"),
    "steps": ((), "int64"),
}


def group_of(store, model=MODEL):
    group = zarr.create_group(store)
    for path, (shape, dtype) in model.items():
        group.create_array(path, shape=shape, chunks=tuple(min(n, 17) for n in shape), dtype=dtype)
    return group


def test_group():
    """The bits of init_ for a mapping with these names; the report is its report."""
    group = group_of({})
    report = fz.fill(group, PLAN, 7)
    arrays = {path.replace("/", "."): np.empty(*kind) for path, kind in MODEL.items()}
    expected = fx.init_(arrays, PLAN, seed=7)
    for path in MODEL:
        if path == "head/weight":
            np.testing.assert_allclose(group[path][...], arrays["head.weight"], atol=1e-12)
        else:
            same_bits(group[path], arrays[path.replace("/", ".")])
    rows = {one.name: (one.shape, one.dtype, one.distribution) for one in expected.tensors}
    found = {one.name: (one.shape, one.dtype, one.distribution) for one in report.tensors}
    assert found == rows
    assert report.unused_rules == expected.unused_rules == (PLAN.rules[3],)
    assert (report.seed, report.nbytes) == (7, expected.nbytes)
    assert fz.fill(group, PLAN, 7).written == 0


def test_part_of_a_group():
    """Names are paths in the group that is given."""
    group = group_of({})
    fz.fill(group["body"], fx.Plan([fx.Rule("0.*", "zeros"), fx.Rule("1.weight", "he_normal")]), 7)
    same_bits(group["body/1/weight"], drawn(group["body/1/weight"], fx.he_normal(), 7, "1.weight"))
    assert not group["head/weight"][...].any()


def test_plan_by_name():
    model = {
        "h/0/attn/c_proj/weight": ((8, 8), "float32"),
        "h/1/attn/c_proj/weight": ((8, 8), "float32"),
    }
    group = group_of({}, model)
    report = fz.fill(group, "gpt2", 7)
    assert report.tensors[0].distribution == fx.Normal(0.0, 0.02 / 4**0.5)


def test_report():
    group = group_of({})
    report = fz.fill(group, PLAN, 7)
    assert f"seed 7; {report.written} chunks written, 0 kept" in str(report)
    assert "measured" not in str(report)
    again = pickle.loads(pickle.dumps(report))
    assert again == report
    assert again.asdict() == report.asdict()
    assert report.asdict()["written"] == report.written == 12 + 4 + 8 + 2 + 1
    assert report.asdict()["stream"] is report.stream is None


@pytest.mark.parametrize("stream", ["fc1.weight", 3, np.int64(3), None])
def test_report_of_an_array(stream):
    """It names the seed and the stream as they can be given again."""
    array = zarr.create_array({}, shape=SHAPE, dtype="float32")
    report = fz.fill(array, fx.Normal(), 2**70, stream)
    shown = {None: 0, "fc1.weight": "fc1.weight"}.get(stream, 3)
    assert report.asdict()["stream"] == report.stream == shown
    assert type(report.stream) is type(shown)
    assert f"seed {fx.seed_number(2**70)}, stream {shown!r}; " in str(report)
    assert pickle.loads(pickle.dumps(report)) == report
    assert fz.fill(array, fx.Normal(), report.seed, report.stream).written == 0


def test_progress():
    told = []
    group = group_of({})
    report = fz.fill(group, PLAN, 7, progress=told.append)
    assert told == sorted(told)
    assert told.count(1.0) == 1
    assert len(told) == report.written
    told = []
    fz.fill(zarr.create_group({}), PLAN, 7, progress=told.append)
    assert told == [1.0]


# ---- resuming ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "same"),
    [
        (lambda: 7, True),
        (lambda: 2**70, True),
        (lambda: fx.manual_seed(7), False),
        (lambda: fx.Streams(7), False),
        (lambda: np.random.default_rng(7), False),
        (lambda: np.random.RandomState(7), False),
        (lambda: np.random.SeedSequence(7), False),
    ],
    ids=["number", "large number", "default", "Streams", "Generator", "RandomState", "sequence"],
)
@pytest.mark.parametrize("what", ["array", "group"])
def test_which_seeds_resume(what, make, same):
    """The same number; of all others a second call draws anew, and the report has the number."""
    if what == "array":
        target, distribution = zarr.create_array({}, shape=SHAPE, dtype="float32"), fx.Normal()
    else:
        target, distribution = group_of({}), fx.Plan([fx.Rule("*.weight", fx.Normal())])
        del target["body/0/bias"], target["steps"]
        same = same or isinstance(make(), fx.Streams) or make() is None
    seed = make()
    given = {} if seed is None else {"seed": seed}
    first = fz.fill(target, distribution, **given)
    second = fz.fill(target, distribution, **given)
    assert (second.kept if same else second.written) == first.written > 0
    again = fz.fill(target, distribution, second.seed, second.stream)
    assert (again.written, again.kept) == (0, first.written)


def test_entropy_does_not_resume():
    array = zarr.create_array({}, shape=SHAPE, dtype="float32")
    reports = [fz.fill(array, fx.Normal(), None) for _ in range(2)]
    assert [report.kept for report in reports] == [0, 0]
    assert reports[0].seed != reports[1].seed
    assert fz.fill(array, fx.Normal(), reports[1].seed).written == 0


ROWS = 40  # chunks of the array that is filled in another process

FILLING = """if True:
    import os, signal, sys
    import zarr
    import fastxavier as fx, fastxavier.zarr as fz

    signal.signal(signal.SIGINT, signal.default_int_handler)

    def tell(done):
        if done > 0.3:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))

    fz.fill(zarr.open_array(sys.argv[1]), fx.Normal(), 7, "fc1.weight", threads=2, progress=tell)
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
@pytest.mark.parametrize("layout", ["chunks", "shards"])
def test_resumed(tmp_path, name, layout):
    """After a kill what is there is whole: it is verified and kept, and the rest is written."""
    path = tmp_path / "a"
    cuts = {"chunks": {"chunks": (16, 50)}, "shards": {"chunks": (8, 25), "shards": (16, 50)}}
    array = zarr.create_array(path, shape=(16 * ROWS, 50), dtype="float32", **cuts[layout])
    command = [sys.executable, "-c", FILLING, str(path), name]
    status = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if name == "SIGKILL":
        assert status.returncode == -signal.SIGKILL
    else:
        assert "KeyboardInterrupt" in status.stderr
        assert not list(path.rglob("*.partial"))  # which zarr writes before it renames
    before = {one: one.stat().st_mtime_ns for one in data_files(path) if one.suffix != ".partial"}
    assert 0.3 * ROWS < len(before) < 0.6 * ROWS
    report = fz.fill(array, fx.Normal(), 7, "fc1.weight")
    assert (report.written, report.kept) == (ROWS - len(before), len(before))
    same_bits(array, drawn(array, fx.Normal()))
    assert all(one.stat().st_mtime_ns == then for one, then in before.items())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damage(tmp_path, layout):
    """Chunks that are cut off, lost or changed by a bit are written anew, and no others."""
    path = tmp_path / "a"
    array = zarr.create_array(path, shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    fz.fill(array, fx.Normal(), 7, "fc1.weight")
    files = data_files(path)
    damaged = files[:: max(len(files) // 3, 1)][:3]
    for number, file in enumerate(damaged):
        held = bytearray(file.read_bytes())
        if number == 0:
            held[len(held) // 2] ^= 1
            file.write_bytes(held)
        elif number == 1:
            file.write_bytes(held[:-5])
        else:
            file.unlink()
    report = fz.fill(array, fx.Normal(), 7, "fc1.weight")
    same_bits(array, drawn(array, fx.Normal()))
    assert (report.written, report.kept) == (len(damaged), len(files) - len(damaged))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("layout", ["chunks", "shards", "one chunk"])
def test_other_values(layout, resume):
    array = zarr.create_array({}, shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    fz.fill(array, fx.Normal(), 7, "fc1.weight")
    for number in (7, 8):
        report = fz.fill(array, fx.Normal(), number, "fc1.weight", resume=resume)
        kept = units(array) if resume and number == 7 else 0
        assert (report.written, report.kept) == (units(array) - kept, kept)
        same_bits(array, drawn(array, fx.Normal(), number))


def test_a_bit(tmp_path):
    """A single sign of zero tells two chunks apart, though numbers compare equal."""
    array = zarr.create_array({}, shape=300, chunks=100, dtype="float32", fill_value=1)
    fz.fill(array, "zeros", 7)
    array[150] = -0.0
    assert fz.fill(array, "zeros", 7).written == 1
    assert not np.signbit(array[...]).any()


class Faulty(zarr.storage.MemoryStore):
    """Its reads of chunks raise an error, or its writes once there is no more room."""

    fault = None
    room = 1000

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.deleted = []

    def chunks(self):
        return {key: value.to_bytes() for key, value in self._store_dict.items() if key[:2] == "c/"}

    async def get(self, key, prototype=None, byte_range=None):
        if key.startswith("c/") and self.fault:
            raise self.fault
        return await super().get(key, prototype, byte_range)

    async def set(self, key, value, byte_range=None):
        if key.startswith("c/"):
            if self.room == 0:
                raise OSError("no space left")
            self.room -= 1
        await super().set(key, value)

    async def delete(self, key):
        self.deleted.append(key)
        await super().delete(key)


STORED = ["chunks", "shards", "bare", "bare shards", "one chunk"]


@pytest.mark.parametrize("layout", STORED)
def test_error_of_a_write(layout):
    """It is raised, after the chunks that are being written; what is there is kept."""
    array = zarr.create_array(store := Faulty(), shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    store.room = units(array) // 2
    with pytest.raises(OSError, match="no space left") as raised:
        fz.fill(array, fx.Normal(), 7, "fc1.weight", threads=2)
    assert len(store.chunks()) == units(array) // 2
    (note,) = raised.value.__notes__
    assert f"{store}/c/" in note
    store.room = 1000
    assert fz.fill(array, fx.Normal(), 7, "fc1.weight").kept == units(array) // 2
    same_bits(array, drawn(array, fx.Normal()))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("layout", STORED)
def test_error_of_a_write_over_values(layout, resume):
    """Each chunk is as it was, or as it should be: none is missing, and none was deleted."""
    array = zarr.create_array(store := Faulty(), shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    fz.fill(array, fx.Normal(), 7, "fc1.weight")
    old = store.chunks()
    store.room = units(array) // 2
    with pytest.raises(OSError, match="no space left"):
        fz.fill(array, fx.Normal(), 8, "fc1.weight", resume=resume, threads=2)
    found = store.chunks()
    store.room = 1000
    report = fz.fill(array, fx.Normal(), 8, "fc1.weight")
    new = store.chunks()
    assert found.keys() == old.keys() == new.keys()
    changed = [key for key in old if found[key] != old[key]]
    assert len(changed) == report.kept == units(array) // 2
    assert all(found[key] == new[key] for key in changed)
    assert store.deleted == []
    same_bits(array, drawn(array, fx.Normal(), 8))


@pytest.mark.parametrize("error", [OSError, PermissionError, MemoryError, RuntimeError])
@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize("layout", STORED)
def test_error_of_a_read(layout, seed, error):
    """It is raised and says where; it is not taken for damage, and nothing is written."""
    array = zarr.create_array(store := Faulty(), shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    fz.fill(array, fx.Normal(), 7, "fc1.weight")
    before, room = store.chunks(), store.room
    store.fault = error("the line is dead")
    with pytest.raises(error, match="the line is dead") as raised:
        fz.fill(array, fx.Normal(), seed, "fc1.weight", threads=1)
    assert f"{store}/c/" in raised.value.__notes__[0]
    assert (store.chunks(), store.room, store.deleted) == (before, room, [])


def test_no_memory_to_decode(monkeypatch):
    """It is not the chunk's fault."""
    array = zarr.create_array(store := Faulty(), shape=SHAPE, dtype="float32")
    fz.fill(array, fx.Normal(), 7, "fc1.weight")
    before = store.chunks()

    async def decode(*_):
        raise MemoryError("no memory left")

    monkeypatch.setattr(zarr.codecs.BytesCodec, "_decode_single", decode)
    with pytest.raises(MemoryError, match="no memory left"):
        fz.fill(array, fx.Normal(), 8, "fc1.weight")
    assert store.chunks() == before


@pytest.mark.parametrize("layout", STORED)
def test_two_writers(layout):
    """What another has written since a chunk was found to be missing is not deleted."""
    array = zarr.create_array(store := Faulty(), shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    filled = zarr.create_array(other := Faulty(), shape=SHAPE, dtype="float32", **LAYOUTS[layout])
    fz.fill(filled, fx.Normal(), 7, "fc1.weight")
    get = store.get

    async def get_then_meet(key, *arguments, **named):
        found = await get(key, *arguments, **named)
        if key in other.chunks():
            store._store_dict[key] = other._store_dict[key]
        return found

    store.get = get_then_meet
    assert fz.fill(array, fx.Normal(), 7, "fc1.weight").written == units(array)
    assert store.chunks() == other.chunks()
    assert store.deleted == []


def test_error_of_progress():
    def tell(done):
        raise RuntimeError("enough")

    array = zarr.create_array({}, shape=100_000, chunks=10, dtype="float32")
    with pytest.raises(RuntimeError, match="enough"):
        fz.fill(array, fx.Normal(), 7, threads=2, progress=tell)
    assert 0 < array.nchunks_initialized < 20
    assert not [one for one in threading.enumerate() if one.name.startswith("fastxavier")]


# ---- memory --------------------------------------------------------------------------------------

MEASURED = """if True:
    import sys, tracemalloc
    import zarr
    import fastxavier as fx, fastxavier.zarr as fz

    def peak():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) << 10

    fz.fill(zarr.create_array({}, shape=100, dtype="float32"), fx.Normal(), 7, threads=2)
    if sys.argv[2] == "traced":
        tracemalloc.start()
        peak = lambda: tracemalloc.get_traced_memory()[1]
    before = peak()
    for _ in range(2):
        fz.fill(zarr.open_array(sys.argv[1]), fx.Normal(), 7, threads=2)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("layout", ["chunks", "shards"])
@pytest.mark.parametrize("how", ["traced", "resident"])
def test_memory(tmp_path, how, layout):
    """A thread holds a chunk as it is drawn, stored, decoded and read, a shard as its parts too.

    What is resident is more, by what the C library keeps for each thread, but far less than the
    array, which is filled and verified.
    """
    side, unit, threads = 8192, 512, 2
    cuts = {"chunks": (unit, unit)}
    if layout == "shards":
        cuts = {"chunks": (unit // 4, unit // 4), "shards": (unit, unit)}
    zarr.create_array(tmp_path / "a", shape=(side, side), dtype="float32", **cuts)
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "a"), how]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    most = threads * 7 * 4 * unit**2 if how == "traced" else 4 * side**2 / 8
    assert 0 < int(done.stdout) < most


# ---- errors --------------------------------------------------------------------------------------


def array_of(dtype="float32", shape=(10, 7), **other):
    return zarr.create_array({}, shape=shape, dtype=dtype, **other)


REFUSED = {
    "integers": (array_of("int32"), {}, "array", "int32; it must be one of float32"),
    "complex numbers": (array_of("complex64"), {}, "array", "complex64"),
    "text": (array_of("str"), {}, "array", "it must be one of"),
    "NumPy's": (np.zeros((10, 7), np.float32), {}, "array", "write fill_"),
    "a path": ("a.zarr", {}, "array", "it must be a zarr.Array"),
    "a narrow dtype": (
        array_of("float16"),
        {"distribution": fx.Normal(0, 1e6)},
        "distribution",
        "beyond",
    ),
    "no distribution": (array_of(), {"distribution": None}, "distribution", "None"),
    "a plan": (array_of(), {"distribution": PLAN}, "distribution", "give the group"),
    "a shape without fans": (
        array_of(shape=7),
        {"distribution": "he_normal"},
        "shape",
        "fewer than two",
    ),
    "a shape of no matrix": (
        array_of(shape=7),
        {"distribution": "orthogonal"},
        "array",
        "not a matrix",
    ),
    "a negative seed": (array_of(), {"seed": -1}, "seed", "seed is -1"),
    "no stream": (array_of(), {"stream": 1.5}, "stream", "stream is 1.5"),
    "no threads": (array_of(), {"threads": 0}, "threads", "threads is 0"),
    "no progress": (array_of(), {"progress": 3}, "progress", "progress is 3"),
    "resume": (array_of(), {"resume": 1}, "resume", "True or False"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    array, changed, argument, message = REFUSED[case]
    streams = fx.Streams(7)
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        fz.fill(**{"array": array, "distribution": fx.Normal(), "seed": streams, **changed})
    assert isinstance(raised.value, fx.ArgumentError)
    assert raised.value.argument == argument
    if isinstance(array, zarr.Array):
        assert array.nchunks_initialized == 0
    assert streams.take() == (7, 0)


def test_read_only(tmp_path):
    zarr.create_group(tmp_path).create_array("a", shape=(10, 7), dtype="float32")
    array, group = zarr.open_array(tmp_path / "a", mode="r"), zarr.open_group(tmp_path, mode="r")
    for opened, what in ((array, fx.Normal()), (group, PLAN)):
        with pytest.raises(ValueError, match=r"read-only.*mode='r\+'") as raised:
            fz.fill(opened, what, 7)
        assert raised.value.argument == "array"
    assert data_files(tmp_path) == []


def test_store_without_writes():
    class Library(zarr.storage.MemoryStore):
        supports_writes = False

    array = zarr.create_array(Library(), shape=(10, 7), dtype="float32")
    with pytest.raises(ValueError, match="array is read-only"):
        fz.fill(array, fx.Normal(), 7)
    assert array.nchunks_initialized == 0


REFUSED_GROUPS = {
    "a stream": ({}, {"stream": "a"}, "the streams of whose arrays are their names"),
    "an initializer": ({}, {"distribution": fx.Normal()}, "distribution is Normal.*must be a Plan"),
    "no rule": (
        {"y": ((3,), "float32")},
        {"distribution": fx.Plan([])},
        "no rule .* 'body.0.bias'",
    ),
    "a dtype": ({"y": ((3, 3), "complex64")}, {}, "tensor 'y': array has dtype complex64"),
    "drawn integers": ({"y": ((3, 3), "int32")}, {}, "tensor 'y': array has dtype int32"),
    "no matrix": ({"head/weight": ((3,), "float32")}, {}, "tensor 'head.weight'.*not a matrix"),
    "equal names": (
        {"y/weight": ((3, 3), "float32"), "y.weight": ((3, 3), "float32")},
        {},
        "both named 'y.weight'",
    ),
}


@pytest.mark.parametrize("case", REFUSED_GROUPS)
def test_refused_groups(case):
    """All is checked before the first chunk is written."""
    changed, arguments, message = REFUSED_GROUPS[case]
    group = group_of({}, {**MODEL, **changed})
    with pytest.raises((TypeError, ValueError), match=message):
        fz.fill(**{"array": group, "distribution": PLAN, "seed": 7, **arguments})
    for _, member in group.members(max_depth=None):
        if isinstance(member, zarr.Array):
            assert member.nchunks_initialized == 0


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("None", "fastxavier[zarr]"),
        ("types.SimpleNamespace(__version__='2.18.7')", "this is zarr 2.18.7"),
        ("types.SimpleNamespace(__version__='3.1.1')", "3.1.2 or newer"),
    ],
)
def test_missing_package(module, words):
    """Without zarr the import says how to install it, and fastxavier itself does not need it."""
    code = f"""if True:
        import sys, types
        import zarr.core.sync
        sys.modules["zarr"] = {module}
        import fastxavier
        try:
            import fastxavier.zarr
        except ImportError as error:
            assert {words!r} in str(error) and error.name == "zarr", error
        else:
            raise AssertionError
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
