"""The picture of a benchmark: how fast each package fills, and how much faster this one is.

Called by ``fastxavier bench --plot``; matplotlib is imported when something is drawn.
"""

from __future__ import annotations

import itertools
import os
import statistics
from pathlib import PurePath
from typing import Any

from fastxavier._validation import ArgumentValueError
from fastxavier.bench.results import Benchmark, Run

__all__ = ["matplotlib", "picture_format", "plot"]

OURS = "#1b4f9c"
GREY = "#5f6368"
PEERS = (  # colour and marker of each peer, by name
    ("#d9822b", "s"),
    ("#c23b3b", "D"),
    ("#7a4fa3", "^"),
    ("#b07aa1", "v"),
    ("#3c8c5a", "P"),
    ("#8a7a2c", "X"),
    ("#4f8f9d", "p"),
)
MEMORY, TOGETHER, ALONE = "memory bandwidth", "fastxavier", "fastxavier, 1 thread"
BESIDE: dict[str, Any] = {
    "xycoords": ("axes fraction", "data"),
    "va": "center",
    "fontweight": "bold",
}
HEADING = 0.85  # height of a distribution's name, in rows

# Ending to metadata: without a date, the same benchmark gives the same bytes.
FORMATS: dict[str, dict[str, None]] = {
    ".svg": {"Date": None},
    ".png": {},
    ".pdf": {"CreationDate": None},
}


def picture_format(path: str | os.PathLike[str]) -> str:
    """The format that the ending of a file's name stands for.

    Raises
    ------
    ValueError
        If it is not ``.svg``, ``.png`` or ``.pdf``.
    """
    ending = PurePath(path).suffix.lower()
    if ending not in FORMATS:
        raise ArgumentValueError(
            f"{os.fspath(path)!r} is not a name for a picture; it must end in .svg, .png or .pdf",
            "path",
            path,
            FORMATS,
        )
    return ending


def plot(benchmark: Benchmark, path: str | os.PathLike[str]) -> None:
    """Draw the run of the largest size of each distribution and dtype.

    A row shows gigabytes per second on a logarithmic axis: the memory bandwidth; this package on
    all threads and on one; and the fastest implementation of each other package. A line leads
    from the fastest peer to this package and says how many times as fast it is. The same
    benchmark gives the same bytes.

    Parameters
    ----------
    benchmark : Benchmark
        A run in which this package was not timed is left out.
    path : path-like
        Overwritten; its name ends in ``.svg``, ``.png`` or ``.pdf``.

    Raises
    ------
    ValueError
        If the name ends otherwise, or this package was timed in no run.
    ImportError
        If matplotlib is missing: ``pip install "fastxavier[plots]"``.
    """
    ending = picture_format(path)
    mpl, figure_class = matplotlib()
    runs = _largest(benchmark)
    if not runs:
        raise ValueError("the benchmark has no run in which fastxavier was timed, so no picture")
    style: dict[Any, Any] = {
        "svg.hashsalt": "fastxavier",
        "font.family": "DejaVu Sans",
        "font.size": 9,
    }
    with mpl.rc_context(style):
        figure = figure_class(figsize=(8, 1.7 + 0.36 * len(runs)), dpi=150)
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        _draw(axes, runs)
        figure.suptitle(_headline(runs), x=0.01, ha="left", fontsize=11.5, fontweight="bold")
        axes.set_title(_small_print(benchmark, runs), loc="left", fontsize=8, color=GREY)
        figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8.5)
        figure.savefig(path, format=ending[1:], metadata=FORMATS[ending])


def matplotlib() -> tuple[Any, Any]:
    """Matplotlib and its class of figures, or an ImportError that says what to install."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('a plot needs matplotlib: pip install "fastxavier[plots]"') from None
    return matplotlib, Figure


def _largest(benchmark: Benchmark) -> list[Run]:
    """The run of the largest size of each distribution and dtype, in the order of the runs.

    Of runs in fresh memory, if there are no others.
    """
    largest: dict[tuple[str, str], Run] = {}
    warm = [run for run in benchmark.runs if run.memory == "warm"]
    for run in warm or benchmark.runs:
        key = run.distribution, run.dtype
        if run.ours and (key not in largest or run.nbytes > largest[key].nbytes):
            largest[key] = run
    return list(largest.values())


def _headline(runs: list[Run]) -> str:
    """How much faster, in one line."""
    times = [run.times_fastest_peer(run.ours[0]) for run in runs]
    known = [value for value in times if value is not None]
    if not known:
        return "How fast fastxavier fills an array"
    return (
        f"{min(known):.2g} to {max(known):.2g} times as fast as the fastest peer, "
        f"geometric mean {statistics.geometric_mean(known):.2g}"
    )


def _small_print(benchmark: Benchmark, runs: list[Run]) -> str:
    """The machine, the size and the versions."""
    timed = {one.package for run in runs for one in run.timed}
    versions = ", ".join(
        f"{name} {version.partition('+')[0]}"
        for name, version in benchmark.versions.items()
        if version and name in timed
    )
    sizes = " and ".join(dict.fromkeys(run.size for run in runs))
    sizes += " of fresh memory" * (runs[0].memory == "fresh")
    machine = benchmark.machine
    threads = f", {machine['threads']} threads" if machine["threads"] else ""  # of a GPU: 0
    return (
        f"{machine['cpu']}, {machine['isa']}{threads}; one array of {sizes}; "
        f"medians of up to {benchmark.repetitions} repetitions\n{versions}"
    )


def _points(run: Run) -> dict[str, float]:
    """What a row shows, and where: the fastest of each name."""
    points: dict[str, float] = {}
    for one in run.timed:
        name = {
            "memory": MEMORY,
            "ours": ALONE if one.threads == 1 else TOGETHER,
            "peer": one.package,
        }[one.role]
        points.setdefault(name, run.gigabytes_per_second(one))
    return points


def _looks(rows: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """How each name is drawn."""
    looks: dict[str, dict[str, Any]] = {
        MEMORY: {"marker": "|", "color": "#9aa0a6", "markersize": 15, "markeredgewidth": 4},
        TOGETHER: {"marker": "o", "color": OURS, "markersize": 10},
        ALONE: {"marker": "o", "color": "white", "markeredgecolor": OURS, "markersize": 7},
    }
    peers = sorted({name for points in rows for name in points} - set(looks))
    for name, (color, marker) in zip(peers, itertools.cycle(PEERS), strict=False):
        looks[name] = {"marker": marker, "color": color, "markersize": 6}
    return {name: look | {"linestyle": "none"} for name, look in looks.items()}


def _draw(axes: Any, runs: list[Run]) -> None:
    looks = _looks([_points(run) for run in runs])
    y, rows = 0.0, {}
    for distribution, group in itertools.groupby(runs, key=lambda run: run.distribution):
        axes.annotate(distribution.replace("_", " "), (0, y), **BESIDE)
        y += HEADING
        for run in group:
            _row(axes, run, y, looks)
            rows[y] = run.dtype
            y += 1
    for name, look in looks.items():
        axes.plot([], [], **look, label=name)
    axes.set_xscale("log")
    axes.margins(x=0.09)
    axes.set_xlabel("GB/s written, logarithmic (further right is better)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(list(rows), list(rows.values()))
    axes.set_ylim(y - 0.3, -0.6)
    axes.grid(axis="x", color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _row(axes: Any, run: Run, y: float, looks: dict[str, dict[str, Any]]) -> None:
    """One run, and how much faster this package is."""
    points = _points(run)
    best, peer = run.ours[0], run.fastest_peer
    if peer:
        ends = [run.gigabytes_per_second(one) for one in (peer, best)]
        axes.plot(ends, [y, y], color=OURS, linewidth=2, alpha=0.4, zorder=1)
        times = f"{run.times_fastest_peer(best):.2g} times"
        axes.annotate(times, (1.01, y), color=OURS, **BESIDE)
    for name, speed in points.items():
        axes.plot(speed, y, **looks[name], zorder=3 if name in (TOGETHER, ALONE) else 2)
