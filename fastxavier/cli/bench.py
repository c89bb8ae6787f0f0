"""fastxavier bench: this package beside NumPy, torch, JAX and others, whichever are installed.

Each fills the same array and is verified before it is timed. The benchmark is imported when the
command runs, so that no other command pays for it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastxavier._dtypes import FLOATS, dtype_named
from fastxavier._info import info
from fastxavier.cli._arguments import positive

if TYPE_CHECKING:
    from fastxavier.bench.results import Benchmark


class Names:
    """Choices of an option that are looked up when it is used."""

    def __init__(self, find: Callable[[], Iterable[str]]) -> None:
        self.find = find

    def __iter__(self) -> Iterator[str]:
        return iter(self.find())


def distributions() -> tuple[str, ...]:
    """Names of the distributions that are compared."""
    from fastxavier.bench.base import DISTRIBUTIONS

    return tuple(DISTRIBUTIONS)


def peers() -> tuple[str, ...]:
    """Names of the packages that are compared with this one."""
    from fastxavier.bench.implementations import PEERS

    return PEERS


class Size(NamedTuple):
    """The size of an array, as bytes or as a number of values."""

    number: int
    of_values: bool

    def nbytes(self, itemsize: int) -> int:
        """The bytes of whole values."""
        return self.number * itemsize if self.of_values else self.number // itemsize * itemsize


def size(text: str) -> Size:
    """Read a size: 262144, 256KiB and 1GiB are bytes, 1e8 is a number of values."""
    from fastxavier.bench.results import UNITS

    read = re.fullmatch(r"(\d+(?:\.\d+)?)(e\d+|KiB|MiB|GiB|)", text)
    if read is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size; write bytes as 262144, 256KiB or 1GiB, or values as 1e8"
        )
    number, unit = read.groups()
    of_values = unit.startswith("e")
    exact = float(number + unit) if of_values else float(number) * UNITS[unit]
    if exact == float("inf"):
        raise OverflowError("--size is beyond the largest float (infinity); write a smaller one")
    return Size(positive(str(int(exact))), of_values)


def picture(text: str) -> str:
    """Read the name of a picture, which must have the ending of a format that can be written."""
    from fastxavier.bench.plot import picture_format

    try:
        picture_format(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "bench",
        help="compare with NumPy, torch, JAX and others that are installed",
        description="Time this package and every other one that is installed, on the same array. "
        "Each is verified before it is timed.",
    )
    distribution = parser.add_argument(
        "--distribution", nargs="+", choices=Names(distributions), metavar="NAME"
    )
    # Not as an argument, since Python 3.14 looks the names up to check it.
    distribution.help = "%(choices)s; default: all"
    parser.add_argument(
        "--dtype",
        nargs="+",
        choices=FLOATS,
        help="default: float32 float64 bfloat16 (float16 without ml_dtypes)",
    )
    parser.add_argument(
        "--size",
        nargs="+",
        type=size,
        help="bytes (262144, 256KiB, 1GiB) or values (1e8); default: 256KiB 1GiB",
    )
    parser.add_argument(
        "--memory",
        nargs="+",
        choices=("warm", "fresh"),
        default=["warm"],
        help="warm: one array, filled again and again; fresh: a new one for each fill, of sizes "
        "beyond 32 MiB; default: warm",
    )
    parser.add_argument("--threads", nargs="+", type=positive, help="default: 1 and all")
    parser.add_argument(
        "--repetitions", type=positive, help="timings of each implementation; default: 7"
    )
    peer = parser.add_argument("--peers", nargs="*", choices=Names(peers), metavar="PACKAGE")
    peer.help = "%(choices)s; default: all that are installed"
    parser.add_argument(
        "--quick", action="store_true", help="4 MiB and 3 repetitions, unless given"
    )
    parser.add_argument("--json", metavar="FILE", help="write every time and ratio")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=picture,
        help="draw the runs of the largest size, as .svg, .png or .pdf",
    )
    parser.add_argument("--from", dest="source", metavar="FILE", help="show what --json wrote")
    parser.set_defaults(run=run)


def measured(options: argparse.Namespace) -> Benchmark:
    """Make the runs; each is shown and written when it is done."""
    from fastxavier.bench import benchmark, report
    from fastxavier.bench.implementations import IMPLEMENTATIONS
    from fastxavier.bench.results import Benchmark

    sixteen = "bfloat16" if find_spec("ml_dtypes") else "float16"
    dtypes = options.dtype or ["float32", "float64", sixteen]
    sizes = options.size or ([size("4MiB")] if options.quick else [size("256KiB"), size("1GiB")])
    threads = options.threads or sorted({1, info().threads})
    repetitions = options.repetitions or (3 if options.quick else 7)
    for dtype, one in itertools.product(dtypes, sizes):
        if one.nbytes(FLOATS[dtype].itemsize) == 0:
            raise ValueError(f"size is {one.number} bytes; it must hold a value of each dtype")
    largest = max(one.nbytes(FLOATS[dtype].itemsize) for dtype in dtypes for one in sizes)
    if "fresh" in options.memory and largest < benchmark.LEAST_FRESH:
        raise ValueError(
            f"size is {largest} bytes; fresh memory is timed beyond 32 MiB: write --size 1GiB"
        )
    for path in filter(None, (options.json, options.plot)):
        check_writable(Path(path).resolve())  # measuring takes long
    arrays = {dtype: dtype_named(dtype) for dtype in dtypes}
    memory = np.empty(largest, np.uint8)
    packages = peers() if options.peers is None else options.peers
    chosen = [one for one in IMPLEMENTATIONS if one.role != "peer" or one.package in packages]
    found = Benchmark(*benchmark.environment(), repetitions, ())
    names = options.distribution or distributions()
    for one, distribution, dtype, where in itertools.product(sizes, names, dtypes, options.memory):
        nbytes = one.nbytes(arrays[dtype].itemsize)
        if where == "fresh" and nbytes < benchmark.LEAST_FRESH:
            continue
        run = benchmark.measure(
            distribution,
            dtype,
            memory[:nbytes],
            threads=threads,
            repetitions=repetitions,
            fresh=where == "fresh",
            implementations=chosen,
        )
        report.show_run(run)
        found = replace(found, runs=(*found.runs, run))
        if options.json:
            write(found, options.json)
    return found


def check_writable(path: Path) -> None:
    """Raise what writing there would raise, and leave the folder as it was."""
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()


def write(found: Benchmark, path: str) -> None:
    """Write every time and ratio as JSON."""
    Path(path).write_text(json.dumps(found.asdict(), indent=1) + "\n")


def read(path: str) -> Benchmark:
    """Read what `write` wrote; a ValueError names the file."""
    from fastxavier.bench.results import Benchmark

    text = Path(path).read_bytes()
    try:
        return Benchmark.from_dict(json.loads(text))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def run(options: argparse.Namespace) -> int:
    """Measure, or read what was measured; print it; write what is asked for."""
    from fastxavier.bench import plot, report

    if options.plot:
        plot.matplotlib()  # a missing package is told before measuring, which takes long
    if options.source:
        found = read(options.source)
        for one in found.runs:
            report.show_run(one)
    else:
        print(info())
        found = measured(options)
    report.show_summary(found)
    if options.json:
        write(found, options.json)
    if options.plot:
        plot.plot(found, options.plot)
    return 1 if any(one.role == "ours" for run in found.runs for one in run.skipped) else 0
