"""Draws dask arrays and fills zarr arrays, by fastxavier and as is usual: seconds and peak memory.

Run by hand: python benchmarks/dask_zarr.py [dask] [zarr]. The ways of a table take turns, so that
other work on the machine meets all of them; minimum and median are shown, and the ratio of the
minima to the first way. The peak is that of one run in a process of its own.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from time import perf_counter

import numpy as np

ROUNDS = 7
SIDE = 8192  # 256 MiB of float32
CHUNK = 1024


def emptied(block):
    """One value of a chunk, so that chunks are drawn and dropped."""
    return block[:1, :1].copy()


def drawn(make):
    """Draws all chunks of a dask array in dask's threads, and keeps none."""

    def run():
        array = make((SIDE, SIDE), CHUNK)
        ones = tuple((1,) * len(axis) for axis in array.chunks)
        array.map_blocks(emptied, chunks=ones, dtype=array.dtype).compute(scheduler="threads")

    return run


def dask_ways():
    import dask.array as da

    import fastxavier as fx
    import fastxavier.dask as fd
    from fastxavier._blocks import Blocks

    uniform, normal = fx.Uniform(-0.1, 0.1), fx.Normal(0, 0.02)
    rng = da.random.default_rng(7)

    def ours(distribution, dtype="float32"):
        return drawn(lambda shape, chunks: fd.random(distribution, shape, chunks, dtype, 7))

    def with_teams():
        Blocks.draw.__defaults__ = (None,)
        try:
            ours(normal)()
        finally:
            Blocks.draw.__defaults__ = (1,)

    def theirs(name, *arguments, dtype="float32"):
        return drawn(
            lambda shape, chunks: getattr(rng, name)(*arguments, size=shape, chunks=chunks).astype(
                dtype
            )
        )

    return {
        "dask, normal float32": {
            "fastxavier": ours(normal),
            "fastxavier, a team of threads in each task": with_teams,
            "dask.array.random": theirs("normal", 0, 0.02),
        },
        "dask, normal float64": {
            "fastxavier": ours(normal, "float64"),
            "dask.array.random": theirs("normal", 0, 0.02, dtype="float64"),
        },
        "dask, uniform float32": {
            "fastxavier": ours(uniform),
            "dask.array.random": theirs("uniform", -0.1, 0.1),
        },
    }


def zarr_ways():
    import zarr

    import fastxavier as fx
    import fastxavier.zarr as fz

    rng = np.random.default_rng(7)
    block = fx.draw((CHUNK, CHUNK), fx.Normal(0, 0.02), seed=7, stream="block")
    places = [
        np.s_[row : row + CHUNK, column : column + CHUNK]
        for row in range(0, SIDE, CHUNK)
        for column in range(0, SIDE, CHUNK)
    ]

    def in_folder(write, **settings):
        def run():
            folder = tempfile.mkdtemp()
            try:
                array = zarr.create_array(
                    folder,
                    shape=(SIDE, SIDE),
                    chunks=(CHUNK, CHUNK),
                    dtype="float32",
                    overwrite=True,
                    **settings,
                )
                start = perf_counter()
                write(array)
                return perf_counter() - start
            finally:
                shutil.rmtree(folder)

        return run

    def ours(array):
        fz.fill(array, fx.Normal(0, 0.02), 7, "fc1.weight")

    def by_numpy(array):
        for place in places:
            array[place] = rng.normal(0, 0.02, (CHUNK, CHUNK)).astype(np.float32)

    def the_same(array):
        for place in places:
            array[place] = block

    writes = {
        "fastxavier": ours,
        "numpy.random, chunk by chunk": by_numpy,
        "the same chunk again and again": the_same,
    }
    return {
        f"zarr, {title}": {name: in_folder(write, **settings) for name, write in writes.items()}
        for title, settings in {
            "not compressed": {"compressors": None},
            "zarr's own compression": {},
        }.items()
    }


TABLES = {"dask": dask_ways, "zarr": zarr_ways}


def seconds(run):
    """Of one run: what it says, or what it takes."""
    start = perf_counter()
    said = run()
    return perf_counter() - start if said is None else said


def peak():
    """The most memory of this process so far, in MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e6


def measure(kind, title, way):
    """Print the growth of the peak in one run; what is imported and set up once came before."""
    global SIDE, CHUNK
    sizes = SIDE, CHUNK
    SIDE, CHUNK = 128, 64
    TABLES[kind]()[title][way]()
    SIDE, CHUNK = sizes
    run, before = TABLES[kind]()[title][way], peak()
    run()
    print(peak() - before)


def table(kind, title, ways):
    """The measurements of some ways to do the same."""
    found = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            found[way].append(seconds(run))
    best = min(found["fastxavier"])
    print(f"\n{title}, {4 * SIDE**2 / 2**20:.0f} MiB as float32, chunks of {CHUNK} x {CHUNK}\n")
    print("| way | minimum | median | times the first | peak |")
    print("| --- | --- | --- | --- | --- |")
    for way, times in found.items():
        command = [sys.executable, __file__, "--measure", kind, title, way]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(
            f"| {way} | {min(times):.2f} s | {statistics.median(times):.2f} s "
            f"| {min(times) / best:.1f} | {float(done.stdout):.0f} MB |",
            flush=True,
        )


def main(kinds):
    """All tables of the kinds."""
    for kind in kinds or TABLES:
        for title, ways in TABLES[kind]().items():
            table(kind, title, ways)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main(sys.argv[1:])
