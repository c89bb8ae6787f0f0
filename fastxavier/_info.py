"""What this build is and what it would use on this machine; behind `info` and the command."""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fastxavier import _core
from fastxavier._cuda.found import found

__all__ = ["Info", "info"]


@dataclass(frozen=True)
class Info:
    """What `info` found; prints as a table."""

    version: str
    stream_version: int
    cpu: str
    isa: str
    available_isas: tuple[str, ...]
    threads: int
    openmp: str | None
    gpus: tuple[str, ...]
    cuda: str

    def asdict(self) -> dict[str, object]:
        """The fields as a dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        openmp = f"OpenMP {self.openmp}" if self.openmp else "built without OpenMP: one thread"
        return "\n".join(
            (
                f"fastxavier  {self.version}, stream version {self.stream_version}",
                f"CPU         {self.cpu}",
                f"ISA         {self.isa} (available: {', '.join(self.available_isas)})",
                f"threads     {self.threads} ({openmp})",
                *(f"GPU {number:<7} {name}" for number, name in enumerate(self.gpus)),
                f"CUDA        {self.cuda}",
            )
        )


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def info() -> Info:
    """Say which version, CPU, instruction set and threads a fill would use now.

    Returns
    -------
    Info
        With `version`, `stream_version` (of the definition of all values drawn), `cpu`, `isa` (in
        use), `available_isas` (best first), `threads` (of a large fill) and `openmp` (year and
        month of its specification; None in a build without OpenMP, which fills on one thread),
        `gpus` (NVIDIA's, by number) and `cuda` (how their kernels are compiled, or why not).

    Raises
    ------
    RuntimeError
        If the environment variable ``FASTXAVIER_ISA`` names an instruction set that is not
        available here.
    """
    openmp = _core.openmp_version()
    gpus, cuda = found()
    return Info(
        version=_core.version,
        stream_version=_core.stream_version,
        cpu=_cpu_name(),
        isa=_core.check_isa(),
        available_isas=_core.available_isas(),
        threads=_core.default_threads(),
        gpus=gpus,
        cuda=cuda,
        openmp=f"{openmp // 100}-{openmp % 100:02d}" if openmp else None,
    )
