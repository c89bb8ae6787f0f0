"""The picture of a GPU's benchmark, drawn as that of the CPU's; run.py calls it."""

import sys

from fastxavier.bench.plot import plot
from fastxavier.bench.results import Benchmark, Run, Timing

ROLES = {"memset": "memory", "fastxavier": "ours"}


def timing(row):
    """One library's time, as the CPU's benchmark has it."""
    library = row["library"]
    return Timing(library, library, ROLES.get(library, "peer"), "", None, seconds=(row["seconds"],))


def draw(rows, device, architecture, repetitions, path):
    """Draw the rows of speed.py: a picture whose format is that of the path's ending."""
    memory = [timing(row) for row in rows if row["library"] == "memset"]
    runs = []
    for ours in (row for row in rows if row["library"] == "fastxavier"):
        case = ours["distribution"], ours["dtype"]
        alike = [timing(row) for row in rows if (row["distribution"], row["dtype"]) == case]
        count = ours["bytes"] // ours["itemsize"]
        runs.append(Run(*case, ours["bytes"], count, (*memory, *alike)))
    runs.sort(key=lambda run: run.distribution)
    versions = {
        name: getattr(sys.modules.get(name), "__version__", None)
        for name in {row["library"] for row in rows}
    }
    machine = {"cpu": device, "isa": architecture, "threads": 0}
    plot(Benchmark(machine, versions, repetitions, tuple(runs)), path)
