"""What GPUs there are, and how kernels for them are compiled; behind `info`."""

from __future__ import annotations

from importlib.util import find_spec

from fastxavier._cuda.compile import EXTRA, cache_folder, counts, nvrtc_version
from fastxavier._cuda.driver import driver

__all__ = ["found"]


def found() -> tuple[tuple[str, ...], str]:
    """The devices, and a sentence about the compiler or about what is missing."""
    if find_spec("cuda") is None or find_spec("cuda.core") is None:
        return (), f"not used: cuda-core is not installed ({EXTRA})"
    try:
        compiler = ".".join(map(str, nvrtc_version()))
        devices = tuple(driver().devices())
    except (ImportError, RuntimeError) as error:
        return (), f"not used: {error}"
    made = counts()
    return devices, (
        f"kernels by NVRTC {compiler}, {made.compiled} compiled and {made.read} read from "
        f"{cache_folder()} so far"
    )
