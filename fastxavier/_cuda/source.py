"""The text of the kernels, as one string: src_c/cuda/kernels.cu with what it includes in place.

compile.py gives it to NVRTC; tests give it to a C++ compiler for the CPU.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path, PurePosixPath

__all__ = ["kernel_text"]

_PACKAGE = Path(__file__).parents[1]
_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)


def _folder() -> Path:
    """Where the C sources are: in an installed package, or in the repository."""
    installed = _PACKAGE / "_src_c"
    return installed if installed.is_dir() else _PACKAGE.parent / "src_c"


@cache
def kernel_text() -> str:
    """The whole text. Headers that guard against a second inclusion are included once.

    Returns
    -------
    str
        CUDA C++ without an ``#include`` of its own files.
    """
    folder, once = _folder(), set()

    def text_of(name: PurePosixPath) -> str:
        text = (folder / name).read_text(encoding="utf-8")
        if "#ifndef FASTXAVIER_" in text:
            if name in once:
                return ""
            once.add(name)
        return _INCLUDE.sub(lambda found: text_of(_joined(name.parent, found[1])), text)

    return text_of(PurePosixPath("cuda/kernels.cu"))


def _joined(folder: PurePosixPath, name: str) -> PurePosixPath:
    while name.startswith("../"):
        folder, name = folder.parent, name[3:]
    return folder / name
