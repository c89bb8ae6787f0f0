"""What the extension module exports: PyInit__core and the public C functions, nothing else.

A symbol that is exported by accident could be replaced by any library that is loaded globally.
"""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from fastxavier import _core

HEADER = pathlib.Path(__file__).parent.parent / "src_c" / "fastxavier.h"

pytestmark = pytest.mark.skipif(
    sys.platform not in ("linux", "darwin"), reason="symbols are listed with nm on Linux and macOS"
)


def listed(tool, *flags):
    """What a program of binutils prints about the extension."""
    assert shutil.which(tool), f"{tool} is not installed; on Linux it is in the package binutils"
    return subprocess.check_output([tool, *flags, _core.__file__], text=True)


def public_functions():
    """The names of the functions that the public header marks FX_API."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"^FX_API [^;(]*\b(fx_\w+)\(", text, re.MULTILINE))


def test_the_header_has_public_functions():
    assert {
        "fx_fill",
        "fx_fill_all",
        "fx_fill_checked",
        "fx_uniform",
        "fx_isa",
    } <= public_functions()


def test_exactly_the_public_functions_are_exported():
    flags = ("-gU",) if sys.platform == "darwin" else ("-D", "--defined-only")
    exported = {line.split()[-1] for line in listed("nm", *flags).splitlines() if line}
    if sys.platform == "darwin":
        exported = {name.removeprefix("_") for name in exported}
    assert exported == {"PyInit__core"} | public_functions()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS binds symbols to their library")
def test_the_binding_calls_its_own_functions():
    """No relocation names one of them, so no other library's function can be called instead."""
    relocations = listed("readelf", "-rW")
    assert "Py" in relocations
    assert not re.findall(r"\bfx_\w+", relocations)
