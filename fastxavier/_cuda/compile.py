"""From the kernels' text to machine code for a GPU: by NVRTC, or from the cache on disk.

launch.py asks for each kernel once in a process.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from fastxavier._cuda.source import kernel_text

__all__ = ["EXTRA", "Counts", "cache_folder", "counts", "machine_code", "nvrtc_version"]

EXTRA = 'pip install "fastxavier[cuda]"'
OLDEST = 75  # the architecture from which on kernels have parameters as these do
_DIGEST = 16


class Counts(NamedTuple):
    """How kernels came about in this process."""

    compiled: int
    read: int


_counts = {"compiled": 0, "read": 0}


def counts() -> Counts:
    """How many kernels were compiled, and how many were read from the cache."""
    return Counts(**_counts)


def cache_folder() -> Path | None:
    """Where machine code is kept: in ``$XDG_CACHE_HOME``, or else ~/.cache; None without a home."""
    try:
        root = os.environ.get("XDG_CACHE_HOME")
        if not root and os.name == "nt":
            root = os.environ.get("LOCALAPPDATA")
        return Path(root or Path.home() / ".cache") / "fastxavier" / "cuda"
    except RuntimeError:
        return None


def nvrtc() -> Any:
    """NVIDIA's binding of NVRTC.

    Raises
    ------
    ImportError
        If the extra is not installed.
    RuntimeError
        If NVRTC is not.
    """
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise ImportError(f"arrays on a GPU need cuda-core: {EXTRA}") from None
    try:
        nvrtc.nvrtcVersion()
    except RuntimeError as error:
        raise RuntimeError(
            f"NVRTC, which compiles the kernels of GPUs, was not found: {EXTRA}"
        ) from error
    return nvrtc


def nvrtc_version() -> tuple[int, int]:
    """NVRTC's version, which is that of CUDA; errors as of `machine_code`."""
    _, major, minor = nvrtc().nvrtcVersion()
    return major, minor


def architecture(major: int, minor: int) -> str:
    """The name of a compute capability, such as "sm_90", if NVRTC compiles for it."""
    number = 10 * major + minor
    known = nvrtc().nvrtcGetSupportedArchs()[1]
    if number not in known:
        version = ".".join(map(str, nvrtc_version()))
        what_to_do = (
            "a newer nvidia-cuda-nvrtc may"
            if number > max(known)
            else f"fastxavier needs compute capability {OLDEST / 10} or higher"
            if number < OLDEST
            else 'fastxavier[cuda12] may: pip install "fastxavier[cuda12]"'
        )
        raise RuntimeError(
            f"the GPU has compute capability {major}.{minor}, for which NVRTC {version} does not "
            f"compile; {what_to_do}"
        )
    return f"sm_{number}"


def options(distribution: str, name: str, launch_size: int, arch: str) -> Any:
    """The options of NVRTC. None of them changes how the text's intrinsics round."""
    from cuda.core import ProgramOptions

    return ProgramOptions(
        name="fastxavier",
        arch=arch,
        std="c++17",
        fma=False,
        ftz=False,
        prec_div=True,
        prec_sqrt=True,
        diag_suppress=177,  # of functions that this kernel does not use
        define_macro=[
            ("FX_DISTRIBUTION", distribution),
            ("FX_NAME", name),
            ("FX_LAUNCH_SIZE", str(launch_size)),
        ],
    )


def machine_code(
    distribution: str, name: str, launch_size: int, arch: str, *, fresh: bool = False
) -> bytes:
    """The machine code of one distribution and one dtype, for an architecture.

    Parameters
    ----------
    distribution, name, launch_size
        `distribution` and `name` of a `DeviceCall`, and the size of its `launch`.
    arch : str
        As `architecture` returns it.
    fresh : bool, default False
        Compile it, and put it in the cache in place of what is there.

    Returns
    -------
    bytes
        A cubin.

    Raises
    ------
    ImportError, RuntimeError
        If cuda-core or NVRTC is not installed.
    """
    nvrtc()
    from cuda.core import Program
    from cuda.core.utils import make_program_cache_key

    text, chosen = kernel_text(), options(distribution, name, launch_size, arch)
    store = _store()
    key = make_program_cache_key(  # of NVRTC's version too
        code=text, code_type="c++", options=chosen, target_type="cubin"
    )
    code = None if store is None or fresh else _read(store, key)
    if code is not None:
        _counts["read"] += 1
        return code
    code = bytes(Program(text, "c++", chosen).compile("cubin").code)
    _counts["compiled"] += 1
    if store is not None:
        with suppress(OSError):  # a full disk, for instance
            store[key] = _digest(code) + code
    return code


def _store() -> Any:
    """cuda-core's cache on disk, which writes entries whole or not at all; None if it cannot."""
    from cuda.core.utils import FileStreamProgramCache

    folder = cache_folder()
    try:
        return None if folder is None else FileStreamProgramCache(folder)
    except OSError:
        return None


def _digest(code: bytes) -> bytes:
    return hashlib.blake2b(code, digest_size=_DIGEST).digest()


def _read(store: Any, key: bytes) -> bytes | None:
    """An entry as it was written; None if there is none, or if it has been damaged."""
    try:
        entry = store.get(key)
    except OSError:
        return None
    if entry is None or _digest(entry[_DIGEST:]) != entry[:_DIGEST]:
        return None
    return bytes(entry[_DIGEST:])
