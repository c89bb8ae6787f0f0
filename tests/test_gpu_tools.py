"""The checks that `make gpu` makes on a real GPU, run with a driver that has none.

So they are known to pass where the bits are right, and to fail where one bit is wrong.
"""

import importlib
import pathlib
import sys
import types

import cuda_host
import fake_gpu
import numpy as np
import pytest

from fastxavier import _core

TOOLS = pathlib.Path(__file__).parents[1] / "tools" / "gpu"

pytestmark = pytest.mark.skipif(cuda_host.COMPILER is None, reason="needs a C++ compiler")


class Array(fake_gpu.Array):
    """As tools/gpu/memory.py has it, in CPU memory."""

    def __init__(self, like, stream=None, byte=0xA5):
        (low,), (high,) = _core.spans([like])
        self.first = int(like.ctypes.data - low) if like.size else 0
        self.held = np.full(int(high - low), byte, np.uint8)
        super().__init__(
            np.ndarray(like.shape, like.dtype, self.held, self.first, like.strides), stream=stream
        )

    def bytes(self):
        return self.held.copy()

    def values(self):
        return self.array

    def free(self):
        self.held = None


class Graph:
    def __init__(self, stream, work):
        self.launch = work


def same_bytes(one, other):
    return np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


@pytest.fixture
def checks(monkeypatch):
    fake_gpu.install(monkeypatch)
    memory = types.ModuleType("memory")
    memory.Array, memory.Graph, memory.same_bytes = Array, Graph, same_bytes
    memory.use = lambda device: None
    memory.count = lambda: 1
    memory.synchronize = lambda: None
    memory.new_stream = iter((5, 6, 7)).__next__
    memory.set_words = lambda array, stream: array.held.fill(0)
    monkeypatch.setitem(sys.modules, "memory", memory)
    monkeypatch.syspath_prepend(str(TOOLS))
    found = importlib.import_module("checks")
    monkeypatch.setattr(found, "MANY", 3001)
    yield found
    sys.modules.pop("checks", None)


PARTS = (
    "golden_hashes",
    "many_values",
    "layouts",
    "alignments",
    "structured",
    "two_streams",
    "graph",
)


@pytest.mark.parametrize("name", [*PARTS, "small"])
def test_the_checks_pass_where_the_bits_are_right(checks, name):
    assert getattr(checks, name)() > 0


@pytest.mark.parametrize("name", [*PARTS, "small"])
def test_the_checks_fail_where_a_bit_is_wrong(checks, name, monkeypatch):
    def another_bit(self, device, kernel, grid, threads, parameter, stream):
        run, entry = kernel
        run(entry, parameter, grid)
        if name == "structured":  # whose second launch must not undo the change
            first_byte[0] |= 1
        else:
            first_byte[0] ^= 1

    first_byte = None
    created = Array.__init__

    def remember(self, *arguments, **options):
        nonlocal first_byte
        created(self, *arguments, **options)
        if self.array.size:
            first_byte = self.held[self.first : self.first + 1]

    monkeypatch.setattr(Array, "__init__", remember)
    monkeypatch.setattr(fake_gpu.Driver, "launch", another_bit)
    with pytest.raises(checks.FailedError, match=r"differ|another hash|other values|not there"):
        getattr(checks, name)()


def test_bytes_beside_an_array_are_looked_at(checks, monkeypatch):
    def too_far(self, device, kernel, grid, threads, parameter, stream):
        run, entry = kernel
        run(entry, parameter, grid)
        beside[0][1] = 0

    beside = []
    created = Array.__init__

    def remember(self, like, **options):
        created(self, like, **options)
        beside[:] = [self.array.base.view(like.dtype)]

    monkeypatch.setattr(Array, "__init__", remember)
    monkeypatch.setattr(fake_gpu.Driver, "launch", too_far)
    with pytest.raises(checks.FailedError, match="beside the array"):
        checks.compare(np.zeros(9, np.float32)[::2], checks.fx.Uniform(-1, 1), "every other")


def test_the_picture(tmp_path, monkeypatch):
    """A row for each distribution and dtype, with the ratio to the fastest other library."""
    monkeypatch.syspath_prepend(str(TOOLS))
    picture = importlib.import_module("picture")

    def row(library, distribution, dtype, gb_per_s):
        seconds = (4 << 30) / gb_per_s / 1e9
        return {
            "library": library,
            "distribution": distribution,
            "dtype": dtype,
            "bytes": 4 << 30,
            "itemsize": 4,
            "seconds": seconds,
        }

    rows = [
        row("memset", "-", "-", 4500),
        row("fastxavier", "uniform", "float32", 4400),
        row("fastxavier", "normal", "float32", 2300),
        row("fastxavier", "uniform", "bfloat16", 2000),
        row("torch", "uniform", "float32", 2200),
        row("torch", "normal", "float32", 1000),
        row("cupy", "normal", "float32", 1150),
    ]
    path = tmp_path / "gpu.svg"
    try:
        picture.draw(rows, "NVIDIA H200", "sm_90", 7, path)
    finally:
        sys.modules.pop("picture")
    text = path.read_text()
    assert "<!-- NVIDIA H200, sm_90; one array of 4 GiB; medians of up to 7 repetitions" in text
    assert text.count("<!-- 2 times -->") == 2  # of both peers the fastest: cupy's normals
    assert "<!-- 2 to 2 times as fast as the fastest peer, geometric mean 2 -->" in text
    assert all(f"<!-- {name} -->" in text for name in ("torch", "cupy", "memory bandwidth"))
    assert "threads" not in text
