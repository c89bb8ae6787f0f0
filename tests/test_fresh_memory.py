"""Memory that was never touched: the bits of a fill, which pages it makes, and how.

That pages are made in bulk is seen in the system calls, which tests/c/advice.c notes: Linux counts
a page that is populated as a page fault, so ru_minflt stays as it is.
"""

import ctypes
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import cases
import numpy as np
import pytest
from test_processes import CHILD, ended, linux, posix, run, source

import fastxavier as fx

PAGE = mmap.PAGESIZE
KEY = {"seed": 3, "stream": "w"}
every_dtype = pytest.mark.parametrize("name", cases.DTYPES)


def touched(shape, dtype, distribution=fx.Normal(), **place):  # noqa: B008
    """The values in memory whose pages are there."""
    array = np.empty(shape, dtype)
    array.view(np.uint8).fill(0xFF)
    return fx.fill_(array, distribution, **KEY, **place)


def fresh(nbytes, flags=None):
    """Private memory of small pages, of which none is there."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS if flags is None else flags
    memory = mmap.mmap(-1, nbytes, flags=flags)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def present(memory):
    """Which pages are there, as the system says."""
    libc = ctypes.CDLL(None, use_errno=True)
    data = np.frombuffer(memory, np.uint8)
    states = np.empty(len(data) // PAGE, np.uint8)
    address = ctypes.c_void_p(data.ctypes.data)
    if libc.mincore(address, ctypes.c_size_t(data.size), ctypes.c_void_p(states.ctypes.data)):
        raise OSError(ctypes.get_errno(), "mincore")
    return states & 1 == 1


# ---- draw ----------------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("nbytes", [1 << 20, (5 << 20) + 24, (40 << 20) + 8])
@pytest.mark.parametrize("threads", [1, 2])
def test_large_arrays_drawn(name, nbytes, threads):
    """Aligned, and with the bits of a fill of memory that was there."""
    count = nbytes // cases.DTYPES[name].itemsize
    w = fx.draw(count, fx.Normal(), dtype=name, threads=threads, **KEY)
    assert w.ctypes.data % 64 == 0
    assert w.tobytes() == touched(count, cases.DTYPES[name]).tobytes()


@pytest.mark.parametrize("shape", [(1 << 11, 1 << 11), (3, 1 << 21), (1 << 20, 4)], ids=str)
def test_shards_drawn(shape):
    """Parts by rows and by columns, where a row is longer than a tile and where it is short."""
    distribution = fx.TruncatedNormal()
    whole = fx.draw(shape, distribution, **KEY)
    half = shape[0], shape[1] // 2
    columns = fx.draw(half, distribution, **KEY, global_shape=shape, offset=(0, half[1]))
    assert (columns == whole[:, half[1] :]).all()
    rows = fx.draw((1, shape[1]), distribution, **KEY, global_shape=shape, offset=(2, 0))
    assert (rows == whole[2:3]).all()


# ---- pages ---------------------------------------------------------------------------------------

LAYOUTS = {
    "contiguous": lambda w: w[5 * PAGE + 4 : -5 * PAGE],
    "whole pages": lambda w: w[5 * PAGE : -5 * PAGE],
    "less than a page": lambda w: w[5 * PAGE + 64 : 6 * PAGE - 64],
    "every other page": lambda w: w.reshape(-1, 2 * PAGE)[3:-3, :PAGE],
    "parts of pages, with gaps": lambda w: w.reshape(-1, 4 * PAGE)[2:-2, 64 : 2 * PAGE + 64],
    "backwards": lambda w: w.reshape(-1, 2 * PAGE)[-4:3:-1, :PAGE],
    "Fortran order": lambda w: w[8 * PAGE : 8 * PAGE + (6 << 20)].reshape(512, -1),
}


@linux
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_pages_that_hold_values_are_made(layout, threads, shared):
    """And all bytes elsewhere are as they were; MAP_SHARED or private."""
    flags = mmap.MAP_ANONYMOUS | (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE)
    memory = fresh(8 << 20, flags)
    if present(memory).any():
        pytest.skip("this system says of pages that were never touched that they are there")
    whole = np.frombuffer(memory, np.uint8)
    array = LAYOUTS[layout](whole).view(np.float32)
    array = array.T if layout == "Fortran order" else array
    marks = LAYOUTS[layout](np.arange(whole.size, dtype=np.int64))
    expected = np.zeros(whole.size // PAGE, bool)
    expected[np.unique(marks // PAGE)] = True
    fx.fill_(array, fx.Normal(), threads=threads, **KEY)
    assert (present(memory) == expected).all()
    assert array.tobytes() == touched(array.shape, np.float32).tobytes()
    outside = np.ones(whole.size, bool)
    outside[marks.ravel()] = False
    assert not whole[outside].any()


@linux
def test_memory_of_which_a_part_is_there():
    """By halves and by every other page: the same bits, and no page beside them."""
    for written in (slice(0, 4 << 20), slice(4 << 20, None), slice(None, None, 2 * PAGE)):
        memory = fresh(9 << 20)
        whole = np.frombuffer(memory, np.uint8)
        whole[PAGE : (8 << 20) + PAGE][written] = 1
        array = whole[PAGE : (8 << 20) + PAGE].view(np.float32)
        fx.fill_(array, fx.Normal(), **KEY)
        assert (array == touched(array.shape, np.float32)).all()
        assert present(memory).sum() == (8 << 20) // PAGE


# ---- files ---------------------------------------------------------------------------------------


@posix
def test_a_file_with_a_hole_around_the_array(tmp_path):
    """Shared: the values are in the file, and what was not written is a hole still."""
    path, nbytes = tmp_path / "sparse", 16 << 20
    with open(path, "wb") as file:
        file.truncate(nbytes)
    array = np.memmap(path, np.float32, "r+", offset=4 << 20, shape=(1 << 20,))
    fx.fill_(array, fx.Normal(), **KEY)
    array.flush()
    content = np.fromfile(path, np.uint8)
    expected = touched(1 << 20, np.float32)
    assert content.size == nbytes
    assert content[4 << 20 : 8 << 20].tobytes() == expected.tobytes()
    assert not content[: 4 << 20].any()
    assert not content[8 << 20 :].any()
    if hasattr(os, "SEEK_DATA"):
        with open(path, "rb") as file:
            if os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0:
                pytest.skip("this file system knows no holes")
            assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 4 << 20
            assert os.lseek(file.fileno(), 4 << 20, os.SEEK_HOLE) == 8 << 20


@pytest.mark.parametrize("mode", ["r", "c"])
def test_files_that_must_not_change(mode, tmp_path):
    """Read-only memory is refused; private memory takes the values and its file does not."""
    path = tmp_path / "file"
    np.full(1 << 20, 7, np.float32).tofile(path)
    array = np.memmap(path, np.float32, mode)
    if mode == "r":
        with pytest.raises(ValueError, match="read-only"):
            fx.fill_(array, fx.Normal(), **KEY)
    else:
        fx.fill_(array, fx.Normal(), **KEY)
        assert (array == touched(array.shape, np.float32)).all()
    assert (np.fromfile(path, np.float32) == 7).all()


# ---- processes -----------------------------------------------------------------------------------


@posix
def test_fresh_memory_in_a_forked_child():
    """Made by the child, and inherited from a parent that never touched it."""
    script = """
        inherited = np.zeros(3_000_000, np.float32)
        def digest(threads):
            h = hashlib.sha256()
            h.update(fx.draw(3_000_000, fx.Normal(), seed=1, threads=threads).tobytes())
            h.update(fx.fill_(inherited, fx.Normal(), seed=2, threads=threads).tobytes())
            return h.hexdigest()
        before = inherited[0]
        expected = hashlib.sha256()
        for seed in (1, 2):
            there = np.full(3_000_000, 9, np.float32)
            expected.update(fx.fill_(there, fx.Normal(), seed=seed).tobytes())
        expected = expected.hexdigest()
        print([child(None, 2), child(None, 1)], inherited[-1] == 0, digest(2) == expected)
    """
    assert run(CHILD, script, arguments=[""]) == ["[0, 0] True True"]


@pytest.fixture(scope="module")
def advice(tmp_path_factory):
    """The library of tests/c/advice.c."""
    library = tmp_path_factory.mktemp("advice") / "advice.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = os.environ.get("CC") or shutil.which(compiler) or "cc"
    code = pathlib.Path(__file__).parent / "c" / "advice.c"
    command = [*compiler.split(), "-O1", "-shared", "-fPIC", code, "-o", library]
    subprocess.run(command, check=True, timeout=120)
    return library


NOTES = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
POPULATE_WRITE, MINCORE, PAGE = 23, -1, mmap.PAGESIZE

class Note(ctypes.Structure):
    _fields_ = [("begin", ctypes.c_ulong), ("bytes", ctypes.c_ulong), ("advice", ctypes.c_int)]

libc.note_of.restype = ctypes.POINTER(Note)

def fresh(nbytes):
    memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32)

def noted(call):
    libc.forget()
    call()
    assert libc.noted() < 1 << 16
    return [(n.advice, n.begin, n.begin + n.bytes)
            for n in (libc.note_of(i).contents for i in range(libc.noted()))]

def bytes_populated(notes, arrays):
    "Those of the arrays; an error unless notes are of them alone, of whole pages and disjoint."
    spans = [(a.ctypes.data, a.ctypes.data + a.nbytes) for a in arrays]
    ranges = sorted((b, e) for advice, b, e in notes if advice == POPULATE_WRITE and e > b)
    assert {advice for advice, _, _ in notes} <= {POPULATE_WRITE, MINCORE}
    for begin, end in ranges:
        assert begin % PAGE == end % PAGE == 0
        assert any(first <= begin and end <= last for first, last in spans)
    assert all(one[1] <= next[0] for one, next in zip(ranges, ranges[1:]))
    return sum(end - begin for begin, end in ranges)

def bits(array):
    return hashlib.sha256(array.tobytes()).hexdigest()
"""


def with_notes(advice, *parts, **changes):
    """The lines that a script prints."""
    command = [sys.executable, "-c", source(NOTES, *parts)]
    status, out, err = ended(command, LD_PRELOAD=str(advice), **changes)
    assert status == 0, err
    return out.splitlines()


@pytest.fixture
def populating(advice):
    """The library of `advice`, on a kernel that populates pages."""
    asked = "print(libc.madvise(None, ctypes.c_size_t(0), POPULATE_WRITE))"
    if with_notes(advice, asked) != ["0"]:
        pytest.skip("this kernel has no MADV_POPULATE_WRITE, which Linux has since 5.14")
    return advice


@linux
@pytest.mark.parametrize("threads", [1, 2])
def test_fresh_pages_are_populated(threads, populating):
    """Nearly all of them, none twice, none elsewhere; and no other advice is given."""
    script = f"""
        whole = fresh(40 << 20)
        array = whole[1000:-1000]
        fill = lambda: fx.fill_(array, fx.Normal(), seed=1, threads={threads})
        share = bytes_populated(noted(fill), [array]) / array.nbytes
        print(0.9 < share < 1, bytes_populated(noted(fill), [array]))
        # A shard of columns is contiguous in memory.
        shard = fresh(8 << 20).reshape(-1, 256)
        place = dict(global_shape=(len(shard), 1000), offset=(0, 333))
        fill = lambda: fx.fill_(shard, fx.Normal(), seed=1, threads={threads}, **place)
        print(0.9 < bytes_populated(noted(fill), [shard]) / shard.nbytes <= 1)
        # Where there are gaps, and where a page holds values of many tiles, none is.
        gaps, square = (fresh(8 << 20).reshape(-1, 2048) for _ in range(2))
        for other in (gaps[:, :1024], square.T):
            fill = lambda: fx.fill_(other, fx.Normal(), seed=1, threads={threads})
            print(bytes_populated(noted(fill), [other]))
    """
    assert with_notes(populating, script) == ["True 0", "True", "0", "0"]


@linux
def test_fresh_pages_of_models_are_populated(populating):
    """Of large and of small tensors, by `init_`; and of what `draw` allocates."""
    script = """
        model = {f"{i}": fresh(n * 4096)[5:] for i, n in enumerate([1, 3, 50, 700, 1, 2000] * 3)}
        plan = fx.Plan([fx.Rule("*", fx.Normal())])
        notes = noted(lambda: fx.init_(model, plan, seed=1))
        nbytes = sum(array.nbytes for array in model.values())
        print(0.9 < bytes_populated(notes, model.values()) / nbytes < 1)
        print(bytes_populated(noted(lambda: fx.init_(model, plan, seed=1)), model.values()))
        drawn = []
        notes = noted(lambda: drawn.append(fx.draw(10_000_000, fx.Normal(), seed=1)))
        notes = [note for note in notes if note[0] in (POPULATE_WRITE, MINCORE)]  # not NumPy's own
        print(0.9 < bytes_populated(notes, drawn) / drawn[0].nbytes < 1)
    """
    assert with_notes(populating, script) == ["True", "0", "True"]


@linux
def test_small_arrays_cost_no_system_call(advice):
    script = """
        array = fresh(1 << 20)[:-1]
        print(noted(lambda: fx.fill_(array, fx.Normal(), seed=1)))
    """
    assert with_notes(advice, script) == ["[]"]


@linux
@pytest.mark.parametrize("refused", ["madvise EINVAL", "madvise ENOSYS", "mincore ENOSYS"])
def test_systems_that_refuse(refused, advice):
    """An old kernel, or a sandbox: it is asked once, and the bits are the same."""
    script = """
        arrays = [fresh(8 << 20) for _ in range(3)]
        fill = lambda array: fx.fill_(array, fx.Normal(), seed=1, threads=1)
        notes = noted(lambda: list(map(fill, arrays)))
        there = np.full(2 << 20, 9, np.float32)
        print({bits(array) for array in arrays} == {bits(fill(there))})
        print(sum(advice == POPULATE_WRITE for advice, _, _ in notes))
    """
    asked = "0" if "mincore" in refused else "1"
    assert with_notes(advice, script, REFUSE=refused) == ["True", asked]
