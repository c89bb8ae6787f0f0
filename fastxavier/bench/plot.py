"""The picture of a race: how fast each package fills, distribution by distribution, and how far ahead this one is.

Knows no package by name; matplotlib is imported when it is drawn.
"""

from __future__ import annotations

import itertools
import os
import statistics
from typing import Any

from fastxavier.bench.benchmark import Heat, Race

__all__ = ["plot"]

OURS = "#1b4f9c"
GREY = "#5f6368"
PEERS = (  # a colour and a shape each, in the order of the race
    ("#d9822b", "s"),
    ("#c23b3b", "D"),
    ("#7a4fa3", "^"),
    ("#b07aa1", "v"),
    ("#3c8c5a", "P"),
    ("#8a7a2c", "X"),
    ("#4f8f9d", "p"),
)
MEMORY, TOGETHER, ALONE = "memory itself", "fastxavier", "fastxavier, 1 thread"
BESIDE: dict[str, Any] = {
    "xycoords": ("axes fraction", "data"),
    "va": "center",
    "fontweight": "bold",
}
HEADING = 0.85  # height of a distribution's name, in rows


def plot(race: Race, path: str | os.PathLike[str]) -> None:
    """Draw, of each distribution and dtype of a race, the heat of the largest size, as SVG.

    A row shows gigabytes a second, on a logarithmic axis: what memory takes; this package, on all
    threads and on one; and of each peer's contestants the fastest. A line leads from the fastest
    peer to this package and says how many times as fast it is. The same race gives the same bytes.

    Parameters
    ----------
    race : Race
        A heat in which this package was not timed is left out.
    path : path-like
        Written over.

    Raises
    ------
    ValueError
        If there is no other.
    ImportError
        If matplotlib is missing: ``pip install "fastxavier[plots]"``.
    """
    mpl, figure_class = matplotlib()
    heats = _largest(race)
    if not heats:
        raise ValueError("the race has no heat in which fastxavier was timed; it must have one")
    style: dict[Any, Any] = {
        "svg.hashsalt": "fastxavier",
        "font.family": "DejaVu Sans",
        "font.size": 9,
    }
    with mpl.rc_context(style):
        figure = figure_class(figsize=(8, 1.7 + 0.36 * len(heats)))
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        _draw(axes, heats)
        figure.suptitle(_headline(heats), x=0.01, ha="left", fontsize=11.5, fontweight="bold")
        axes.set_title(_small_print(race, heats), loc="left", fontsize=8, color=GREY)
        figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8.5)
        figure.savefig(path, format="svg", metadata={"Date": None})


def matplotlib() -> tuple[Any, Any]:
    """Matplotlib and its class of figures, or an ImportError that says what to install."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('a plot needs matplotlib: pip install "fastxavier[plots]"') from None
    return matplotlib, Figure


def _largest(race: Race) -> list[Heat]:
    """Of each distribution and dtype the heat of the largest size, in the order of the race."""
    largest: dict[tuple[str, str], Heat] = {}
    for heat in race.heats:
        key = heat.distribution, heat.dtype
        if heat.ours and (key not in largest or heat.nbytes > largest[key].nbytes):
            largest[key] = heat
    return list(largest.values())


def _headline(heats: list[Heat]) -> str:
    """How far ahead, in one line."""
    times = [heat.of_fastest_peer(heat.ours[0]) for heat in heats]
    known = [value for value in times if value is not None]
    if not known:
        return "How fast fastxavier fills an array"
    return (
        f"{min(known):.2g} to {max(known):.2g} times as fast as the fastest peer, "
        f"{statistics.geometric_mean(known):.2g} times in the mean"
    )


def _small_print(race: Race, heats: list[Heat]) -> str:
    """Where, of what, and which versions."""
    raced = {entry.package for heat in heats for entry in heat.timed}
    versions = ", ".join(
        f"{name} {version.partition('+')[0]}"
        for name, version in race.versions.items()
        if version and name in raced
    )
    sizes = " and ".join(dict.fromkeys(heat.size for heat in heats))
    machine = race.machine
    return (
        f"{machine['cpu']}, {machine['isa']}, {machine['threads']} threads; one array of {sizes}; "
        f"medians of up to {race.rounds} rounds\n{versions}"
    )


def _points(heat: Heat) -> dict[str, float]:
    """What a row shows, and where: of each name the fastest."""
    points: dict[str, float] = {}
    for entry in heat.timed:
        name = {
            "limit": MEMORY,
            "ours": ALONE if entry.threads == 1 else TOGETHER,
            "peer": entry.package,
        }[entry.role]
        points.setdefault(name, heat.gigabytes_per_second(entry))
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


def _draw(axes: Any, heats: list[Heat]) -> None:
    looks = _looks([_points(heat) for heat in heats])
    y, rows = 0.0, {}
    for distribution, group in itertools.groupby(heats, key=lambda heat: heat.distribution):
        axes.annotate(distribution.replace("_", " "), (0, y), **BESIDE)
        y += HEADING
        for heat in group:
            _row(axes, heat, y, looks)
            rows[y] = heat.dtype
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


def _row(axes: Any, heat: Heat, y: float, looks: dict[str, dict[str, Any]]) -> None:
    """One heat, and how far this package is ahead."""
    points = _points(heat)
    best, peer = heat.ours[0], heat.fastest_peer
    if peer:
        ends = [heat.gigabytes_per_second(entry) for entry in (peer, best)]
        axes.plot(ends, [y, y], color=OURS, linewidth=2, alpha=0.4, zorder=1)
        times = f"{heat.of_fastest_peer(best):.2g} times"
        axes.annotate(times, (1.01, y), color=OURS, **BESIDE)
    for name, speed in points.items():
        axes.plot(speed, y, **looks[name], zorder=3 if name in (TOGETHER, ALONE) else 2)
