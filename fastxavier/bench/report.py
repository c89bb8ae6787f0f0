"""The tables of a benchmark, printed by ``fastxavier bench``."""

from __future__ import annotations

from fastxavier._console import printable, table
from fastxavier.bench.results import Benchmark, Run, Timing

__all__ = ["show_run", "show_summary"]

TIMES = "\N{MULTIPLICATION SIGN}"
FIGURES = ("best ns", "median ns", "% of memory bandwidth", f"{TIMES} fastest peer")
LEGEND = (
    "best ns, median ns: per value, in the best and the median repetition; ratios use medians.\n"
    "% of memory bandwidth: 100 is the speed of memset or a constant fill. "
    f"{TIMES} fastest peer: 2 is twice as fast."
)


def show_run(run: Run) -> None:
    """Print the table of a run, and what was skipped."""
    rows = [
        (one.name, _threads(one), f"{run.gigabytes_per_second(one):.2f}", *_figures(run, one))
        for one in run.timed
    ]
    title = f"{_words(run.distribution)}, {run.dtype}, {_size(run)} ({run.count:,} values)"
    print()
    table(title, ("implementation", "threads", "GB/s", *FIGURES), rows, LEGEND)
    for one in run.skipped:
        print(printable(f"skipped: {one.name}, threads {_threads(one)}: {one.failure}"))


def show_summary(benchmark: Benchmark) -> None:
    """Print how this package compares, and how other libraries get values into the array."""
    rows = [
        (
            _words(run.distribution),
            run.dtype,
            _size(run),
            _threads(one),
            *_figures(run, one),
            run.fastest_peer.name if run.fastest_peer else "",
        )
        for run in benchmark.runs
        for one in run.ours
    ]
    head = ("distribution", "dtype", "size", "threads", *FIGURES, "fastest peer")
    print()
    table("fastxavier beside the fastest other library", head, rows, LEGEND)
    notes = dict.fromkeys(
        printable(f"  {one.package}: {one.note}")
        for run in benchmark.runs
        for one in run.timings
        if one.note
    )
    if notes:
        print("\nHow the values get into the array:", *notes, sep="\n")
    absent = [package for package, version in benchmark.versions.items() if version is None]
    if absent:
        print()
        print(printable(f"skipped, because not installed: {', '.join(absent)}"))


def _figures(run: Run, timing: Timing) -> tuple[str, ...]:
    fraction, times = run.bandwidth_fraction(timing), run.times_fastest_peer(timing)
    return (
        f"{run.nanoseconds(timing.best):.3f}",
        f"{run.nanoseconds(timing.median):.3f}",
        "" if fraction is None else f"{fraction:.1%}".removesuffix("%"),
        "" if times is None else f"{times:.3g}",
    )


def _threads(timing: Timing) -> str:
    return "own pool" if timing.threads is None else str(timing.threads)


def _size(run: Run) -> str:
    return run.size if run.memory == "warm" else f"{run.size} {run.memory}"


def _words(name: str) -> str:
    return name.replace("_", " ")
