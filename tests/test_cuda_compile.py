"""NVRTC compiles every kernel for every architecture, to code that rounds as the source says.

NVRTC and cuda-core come with the extra fastxavier[cuda]; no GPU is needed. `make test-cuda`
installs the extra and runs these tests.
"""

import functools
import pathlib
import re
import shutil
import subprocess
import sys

import cases
import cuda_host
import fake_gpu
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import _core
from fastxavier._cuda import compile as compiling
from fastxavier._cuda import driver as driving
from fastxavier._cuda.source import kernel_text

pytest.importorskip("cuda.core", reason="needs the extra fastxavier[cuda]")
nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra fastxavier[cuda]")

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
SIZE = len(_core.device_call(_core.target_of(np.zeros(1)), fx.Constant(0.0), 1, 2).launch)


def call_of(array, distribution):
    return _core.device_call(_core.target_of(array), distribution, 1, 2)


# For each kernel, by its distribution and its dtype in C, a case of cases.py that it draws.
KERNELS = {}
for name, dtype in cases.ALL:
    call = call_of(np.zeros(1, cases.DTYPES[dtype]), cases.distributions(dtype)[name])
    KERNELS.setdefault((call.distribution, call.name), (name, dtype))


ZEROS = ("uniform", "f64")  # whose text has the kernel for the zeros of sparse matrices


@pytest.fixture(params=ARCHITECTURES)
def arch(request):
    if int(request.param[3:]) not in nvrtc.nvrtcGetSupportedArchs()[1]:
        version = ".".join(map(str, compiling.nvrtc_version()))
        pytest.skip(f"NVRTC {version} does not compile for {request.param}")
    return request.param


@functools.cache
def ptx(kernel, arch):
    """The PTX of a kernel, with the options of its machine code."""
    options = [
        option
        for option in compiling.options(*kernel, SIZE, arch).as_bytes("nvrtc")
        if b"arch" not in option
    ]
    options.append(f"--gpu-architecture=compute_{arch[3:]}".encode())
    _, program = nvrtc.nvrtcCreateProgram(kernel_text().encode(), b"fastxavier.cu", 0, [], [])
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
    nvrtc.nvrtcGetProgramLog(program, log)
    assert int(status) == 0, log.decode()
    assert not log.strip(b"\0 \n"), log.decode()  # of warnings
    text = b" " * nvrtc.nvrtcGetPTXSize(program)[1]
    nvrtc.nvrtcGetPTX(program, text)
    nvrtc.nvrtcDestroyProgram(program)
    return text.decode()


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
def test_all_arithmetic_rounds_to_nearest(kernel, arch):
    text = ptx(kernel, arch)
    assert set(re.findall(r"\.entry (\w+)\(", text)) == {
        "fx_contiguous",
        "fx_any_layout",
        "fx_zeros",
    }
    operations = set(re.findall(r"^\s*(?:@\S+\s+)?([a-z]\w*(?:\.\w+)*\.f(?:32|64))\b", text, re.M))
    exact = {"setp", "selp", "mov", "ld", "st", "min", "max", "neg", "abs", "cvt"}  # cvt: see below
    rounded = {one for one in operations if one.split(".")[0] not in exact}
    assert kernel[0] == "constant" or rounded
    assert {one.split(".")[0] for one in rounded} <= {"add", "sub", "mul", "div", "sqrt", "fma"}
    assert all(one.split(".")[1] == "rn" for one in rounded), rounded
    conversions = set(re.findall(r"\bcvt(?:\.\w+)*\.f(?:32|64)\.\w+", text))
    # Of numbers that cannot be negative a compiler may use the unsigned ones.
    assert all(re.fullmatch(r"cvt\.rn\.f(32|64)\.[su](32|64)", one) for one in conversions), (
        conversions
    )
    assert not re.findall(r"\.(?:ftz|approx|full)\b", text)


def fmas_called(name, dtype):
    """How many one thread of each entry calls, counted while it runs on the CPU."""
    distribution = cases.distributions(dtype)[name]
    numpy_dtype = cases.DTYPES[dtype]
    one_store = np.zeros(max(4, 16 // numpy_dtype.itemsize), numpy_dtype)
    one_block = np.zeros(8, numpy_dtype)[::2]
    calls = [call_of(array, distribution) for array in (one_store, one_block)]
    assert [call.entry for call in calls] == ["fx_contiguous", "fx_any_layout"]
    return sum(map(cuda_host.launch, calls))


@pytest.mark.skipif(cuda_host.COMPILER is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
def test_each_fma_is_one_that_the_source_wrote(kernel, arch):
    """fx_zeros draws blocks of uniform doubles in two loops, and does nothing in other kernels.

    Where an interval may have tails, their branch is in the code too, and no value drawn here took
    it; of truncated_far, which the same kernel draws as truncated_asymmetric, each does.
    """
    name, dtype = KERNELS[kernel]
    written = fmas_called(name, dtype)
    if kernel[0] in ("truncated", "truncated_wide"):
        in_tails, in_none = (
            fmas_called(f"truncated_{one}", dtype) for one in ("far", "asymmetric")
        )
        assert in_tails > in_none
        written += in_tails - in_none
    if kernel == ZEROS:
        written += 8
    assert len(re.findall(r"\bfma\.rn\.f(?:32|64)\b", ptx(kernel, arch))) == written


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
def test_tables_are_literals_and_nothing_is_spilled(kernel, arch):
    """No array of a thread lies in memory, and no coefficient is loaded from there.

    But for the counters of fx_zeros, which are chosen by a digit.
    """
    text = ptx(kernel, arch)
    if kernel == ZEROS:
        text = "".join(re.split(r"(?=\.visible \.entry fx_)", text)[:3])
        assert ".entry fx_zeros" not in text
    assert ".local" not in text
    assert not re.findall(r"\bld\.(?!param)\w+", text)


def ptxas():
    """NVIDIA's assembler: of the package that knows this NVRTC's PTX, or any other."""
    packaged = (
        str(found)
        for folder in sys.path
        for found in pathlib.Path(folder, "nvidia").glob("*/bin/ptxas")
    )
    return next(packaged, None) or shutil.which("ptxas")


@pytest.mark.skipif(ptxas() is None, reason="needs ptxas")
@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
def test_registers(kernel, arch, tmp_path):
    """None is spilled, and four groups of threads fit a multiprocessor, which has 65,536."""
    source = tmp_path / "kernel.ptx"
    source.write_text(ptx(kernel, arch).rstrip("\0"))
    command = [ptxas(), "-v", f"-arch={arch}", source, "-o", tmp_path / "kernel.cubin"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    frames = re.findall(
        r"Function properties for (\w+)\n\s+(\d+) bytes stack frame, "
        r"(\d+) bytes spill stores, (\d+) bytes spill loads",
        found,
    )
    expected = {"fx_contiguous": 0, "fx_any_layout": 0, "fx_zeros": 128 if kernel == ZEROS else 0}
    assert {name: int(stack) for name, stack, _, _ in frames} == expected
    assert all(stores == loads == "0" for _, _, stores, loads in frames)
    used = list(map(int, re.findall(r"Used (\d+) registers", found)))
    assert len(used) == 3
    assert max(used) <= 64


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fastxavier" / "cuda"


def made(**options):
    """Machine code of one kernel, and how it came about: (compiled, read)."""
    before = compiling.counts()
    code = compiling.machine_code("uniform", "f32", SIZE, "sm_90", **options)
    after = compiling.counts()
    return code, (after.compiled - before.compiled, after.read - before.read)


def files(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


def test_the_cache_has_what_was_compiled(cache):
    first, how = made()
    assert first[:4] == b"\x7fELF"
    assert how == (1, 0)
    assert len(files(cache)) == 1
    assert made() == (first, (0, 1))
    assert made(fresh=True) == (first, (1, 0))
    assert compiling.machine_code("uniform", "f32", SIZE, "sm_80") != first
    assert len(files(cache)) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
        lambda data: data + b"\0",
    ],
    ids=["empty", "cut short", "one bit", "longer"],
)
def test_a_damaged_cache_is_no_error(cache, damage):
    first, _ = made()
    (path,) = files(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert made() == (first, (1, 0))
    assert made() == (first, (0, 1))  # it has been replaced


def test_a_cache_that_cannot_be_written_is_no_error(cache, monkeypatch):
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert made()[1] == made()[1] == (1, 0)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(compiling.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert made()[1] == (1, 0)


def test_a_full_disk_is_no_error(cache, monkeypatch):
    from cuda.core.utils import FileStreamProgramCache

    def full(self, key, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileStreamProgramCache, "__setitem__", full)
    assert made()[1] == (1, 0)


def test_architectures():
    assert compiling.architecture(9, 0) == "sm_90"
    with pytest.raises(RuntimeError, match=r"capability 99\.9.* a newer nvidia-cuda-nvrtc may"):
        compiling.architecture(99, 9)
    with pytest.raises(RuntimeError, match=r"capability 5\.2, .*7\.5 or higher"):
        compiling.architecture(5, 2)


def test_without_a_driver():
    """The errors of a machine like this one; where there is a driver, `make gpu` runs."""
    try:
        driving.driver()
    except RuntimeError as error:
        message = str(error)
    else:
        pytest.skip("there is an NVIDIA driver here")
    assert re.search("no NVIDIA driver was found: install one|finds no GPU to use", message)
    memory = np.ones(3, np.float32)
    with pytest.raises(RuntimeError, match="NVIDIA driver"):
        fx.zeros_(fake_gpu.Array(memory))
    assert (memory == 1).all()
    assert "NVIDIA driver" in fx.info().cuda
