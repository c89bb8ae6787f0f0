"""The kernels of GPUs, compiled by a C++ compiler and run on the CPU.

What a GPU would be given, `_core.device_call` makes; NumPy's memory takes the place of the GPU's.
"""

import ctypes
import functools
import os
import pathlib
import shutil
import subprocess

from fastxavier import _core
from fastxavier._cuda.source import kernel_text

COMPILER = shutil.which("g++") or shutil.which("c++")
FLAGS = ["-std=c++17", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-w", "-shared", "-fPIC"]


@functools.cache
def folder():
    """Where the text is and what is compiled from it: conftest.py makes it for all processes."""
    path = pathlib.Path(os.environ["CUDA_HOST_FOLDER"])
    whole(path / "kernels.inc", lambda part: part.write_text(kernel_text()))
    return path


def whole(path, make):
    """Make a file that another process may make at the same time, unless it is there."""
    if not path.exists():
        part = path.with_name(f"{path.name}.{os.getpid()}")
        make(part)
        part.replace(path)
    return path


@functools.cache
def kernels(distribution, name, launch_size):
    """The function `run` of cuda_host.cpp, for one distribution and one dtype of the C sources."""
    return compiled(folder(), distribution, name, launch_size)


def compiled(folder, distribution, name, launch_size):
    """The same, from the text in a folder."""
    macros = {
        "FX_DISTRIBUTION": distribution,
        "FX_NAME": name,
        "FX_LAUNCH_SIZE": launch_size,
    }
    source = pathlib.Path(__file__).with_suffix(".cpp")
    defined = [f"-D{key}={value}" for key, value in macros.items()]
    command = [COMPILER, *FLAGS, *defined, f"-I{folder}", source, "-o"]
    library = whole(
        folder / f"{distribution}_{name}.so", lambda part: subprocess.check_call([*command, part])
    )
    run = ctypes.CDLL(str(library)).run
    run.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32]
    run.restype = ctypes.c_int64
    return run


def launch(call):
    """Run what `_core.device_call` has made; returns the number of fused multiply-adds."""
    if call.entry is None:
        return 0
    run = kernels(call.distribution, call.name, len(call.launch))
    return run(call.entry.encode(), call.launch, call.grid)


def fill(array, distribution, seed, stream, global_shape=None, offset=None):
    """Fill a NumPy array as a GPU would fill its own."""
    target = _core.target_of(array)
    _core.place(target, global_shape, offset)
    return launch(_core.device_call(target, distribution, seed, stream))
