"""fastxavier bench: a race of whatever is installed, on one array, each verified first."""

from __future__ import annotations

import argparse
import itertools
import json
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastxavier._console import table
from fastxavier._info import info
from fastxavier.bench import plot as race_plot
from fastxavier.bench.benchmark import UNITS, Entry, Heat, Race, run_heat, surroundings
from fastxavier.bench.implementations import CONTESTANTS, DISTRIBUTIONS, DTYPES, dtype_named

PEERS = list(dict.fromkeys(one.package for one in CONTESTANTS if one.role == "peer"))


class Size(NamedTuple):
    """Of an array: bytes, or a number of values."""

    number: int
    of_values: bool

    def nbytes(self, itemsize: int) -> int:
        """In bytes, of whole values."""
        return self.number * itemsize if self.of_values else self.number // itemsize * itemsize


def size(text: str) -> Size:
    """What a command line says: 262144, 256KiB and 1GiB are bytes, 1e8 is a number of values."""
    read = re.fullmatch(r"(\d+(?:\.\d+)?)(e\d+|KiB|MiB|GiB|)", text)
    if read is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; write bytes as 262144, 256KiB or 1GiB, or values as 1e8"
        )
    number, unit = read.groups()
    of_values = unit.startswith("e")
    found = int(float(number + unit) if of_values else float(number) * UNITS[unit])
    return Size(positive(str(found)), of_values)


def positive(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "bench",
        help="race NumPy, torch, JAX and others, whatever is installed",
        description="Race whatever is installed, on one array; each contestant is verified first.",
    )
    sixteen = "bfloat16" if find_spec("ml_dtypes") else "float16"
    parser.add_argument(
        "--distribution", nargs="+", choices=DISTRIBUTIONS, default=list(DISTRIBUTIONS)
    )
    parser.add_argument(
        "--dtype", nargs="+", choices=DTYPES, default=["float32", "float64", sixteen]
    )
    parser.add_argument(
        "--size",
        nargs="+",
        type=size,
        help="bytes (262144, 256KiB, 1GiB) or values (1e8); default: 256KiB 1GiB",
    )
    parser.add_argument("--threads", nargs="+", type=positive, help="default: 1 and all")
    parser.add_argument("--rounds", type=positive, help="turns of each contestant; default: 7")
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, default=PEERS, metavar="PEER", help=", ".join(PEERS)
    )
    parser.add_argument("--quick", action="store_true", help="4 MiB and 3 rounds, if not given")
    parser.add_argument("--json", metavar="FILE", help="write every figure")
    parser.add_argument("--plot", metavar="FILE", help="draw the heats of the largest size, as SVG")
    parser.add_argument("--from", dest="source", metavar="FILE", help="show what --json wrote")
    parser.set_defaults(run=run)


def title(heat: Heat) -> str:
    """What was raced for."""
    distribution = heat.distribution.replace("_", " ")
    return f"{distribution}, {heat.dtype}, {heat.size} ({heat.count:,} values)"


def threads(entry: Entry) -> str:
    """How many, or that nobody knows."""
    return "own" if entry.threads is None else str(entry.threads)


def ratio(value: float | None) -> str:
    """To two digits or so."""
    return "" if value is None else f"{value:.3g}"


def show_heat(heat: Heat) -> None:
    """Print the table of a heat, and who failed."""
    rows = [
        (
            entry.name,
            threads(entry),
            f"{heat.gigabytes_per_second(entry):.2f}",
            f"{heat.nanoseconds_per_value(entry):.3f}",
            f"{entry.least / heat.count * 1e9:.3f}",
            f"{heat.of_limit(entry):.1%}",
            ratio(heat.of_fastest_peer(entry)),
        )
        for entry in heat.timed
    ]
    head = ("", "threads", "GB/s", "ns a value", "least", "of limit", "of fastest peer")
    table(f"\n{title(heat)}", head, rows)
    for entry in heat.failed:
        print(f"not timed: {entry.name}, threads {threads(entry)}: {entry.failure}")


def show_summary(race: Race) -> None:
    """Print how far ahead this package is, and how the values of others came into the array."""
    rows = [
        (
            heat.distribution.replace("_", " "),
            heat.dtype,
            heat.size,
            threads(entry),
            f"{heat.nanoseconds_per_value(entry):.3f}",
            f"{heat.of_limit(entry):.1%}",
            ratio(heat.of_fastest_peer(entry)),
            heat.fastest_peer.name if heat.fastest_peer else "",
        )
        for heat in race.heats
        for entry in heat.ours
    ]
    head = ("fastxavier", "dtype", "size", "threads", "ns a value", "of limit", "times", "the fastest peer")  # fmt: skip  # noqa: E501
    table(
        "\nMedians; the limit is memset or streaming stores, on as many threads or fewer",
        head,
        rows,
    )
    notes = dict.fromkeys(
        f"{e.package}: {e.note}" for heat in race.heats for e in heat.entries if e.note
    )
    print(*notes, sep="\n")
    absent = [package for package, version in race.versions.items() if version is None]
    if absent:
        print(f"not installed: {', '.join(absent)}")


def raced(options: argparse.Namespace) -> Race:
    """Run the heats; each is shown, and written, when it is done."""
    sizes = options.size or ([size("4MiB")] if options.quick else [size("256KiB"), size("1GiB")])
    counts = options.threads or sorted({1, info().threads})
    rounds = options.rounds or (3 if options.quick else 7)
    itemsizes = {dtype: dtype_named(dtype).itemsize for dtype in options.dtype}
    most = max(one.nbytes(itemsize) for one in sizes for itemsize in itemsizes.values())
    if min(one.nbytes(itemsize) for one in sizes for itemsize in itemsizes.values()) == 0:
        raise ValueError(f"size is {min(sizes)[0]} bytes; it must hold a value of each dtype")
    for path in filter(None, (options.json, options.plot)):
        try_to_write(Path(path).resolve())  # the race is long
    memory = np.empty(most, np.uint8)
    chosen = [one for one in CONTESTANTS if one.role != "peer" or one.package in options.peers]
    race = Race(*surroundings(), rounds, ())
    for one, distribution, dtype in itertools.product(sizes, options.distribution, options.dtype):
        part = memory[: one.nbytes(itemsizes[dtype])]
        heat = run_heat(
            distribution, dtype, part, threads=counts, rounds=rounds, contestants=chosen
        )
        show_heat(heat)
        race = replace(race, heats=(*race.heats, heat))
        if options.json:
            write(race, options.json)
    return race


def try_to_write(path: Path) -> None:
    """Raise what writing there would raise, and leave no trace."""
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()


def write(race: Race, path: str) -> None:
    """All figures, for machines."""
    Path(path).write_text(json.dumps(race.asdict(), indent=1) + "\n")


def run(options: argparse.Namespace) -> int:
    """Race, or read a race; print it; write what is asked for."""
    if options.plot:
        race_plot.matplotlib()  # before the race, which is long
    if options.source:
        race = Race.from_dict(json.loads(Path(options.source).read_text()))
        for heat in race.heats:
            show_heat(heat)
    else:
        print(info())
        race = raced(options)
    show_summary(race)
    if options.json:
        write(race, options.json)
    if options.plot:
        race_plot.plot(race, options.plot)
    return 1 if any(entry.role == "ours" for heat in race.heats for entry in heat.failed) else 0
