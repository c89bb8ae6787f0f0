"""How fast arrays fill, beside memset and NumPy in the same run: a table, and the README's picture.

    python benchmarks/speed.py                      # a table: GB/s, median and best
    python benchmarks/speed.py --plot docs/speed.svg

Every row is one array; its contestants take turns on it, so that what else the machine does meets
all of them alike. NumPy draws by its fastest generator, SFC64, in the best way its documentation
knows for the law and dtype.
"""

import argparse
import json
import statistics
import time

import ml_dtypes
import numpy as np

import fastxavier as fx

LAWS = {
    "uniform": fx.Uniform(-0.05, 0.05),
    "normal": fx.Normal(0.0, 0.02),
    "truncated": fx.TruncatedNormal(0.0, 0.02),
}
DTYPES = {"float32": np.float32, "float64": np.float64, "bfloat16": ml_dtypes.bfloat16}
SIZES = {"256 KiB": 1 << 18, "1 GiB": 1 << 30}


def numpy_filler(law, array):
    """NumPy's way: into the array where it can, through a temporary where it must."""
    generator = np.random.Generator(np.random.SFC64(7))
    drawn_in = np.float64 if array.dtype == np.float64 else np.float32
    direct = array.dtype == drawn_in

    def uniform():
        out = array if direct else np.empty(array.shape, drawn_in)
        generator.random(out=out, dtype=drawn_in)
        out -= drawn_in(0.5)
        out *= drawn_in(law.bounds[1] - law.bounds[0])
        if not direct:
            array[:] = out

    def normal():
        out = array if direct else np.empty(array.shape, drawn_in)
        generator.standard_normal(out=out, dtype=drawn_in)
        out *= drawn_in(law.std)
        if not direct:
            array[:] = out

    def truncated():
        out = array if direct else np.empty(array.shape, drawn_in)
        generator.standard_normal(out=out, dtype=drawn_in)
        while (outside := np.flatnonzero(np.abs(out) > law.high)).size:
            out[outside] = generator.standard_normal(outside.size, dtype=drawn_in)
        out *= drawn_in(law.parent.std)
        if not direct:
            array[:] = out

    return {fx.Uniform: uniform, fx.Normal: normal, fx.TruncatedNormal: truncated}[type(law)]


def seconds_per_call(call, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def race(law, dtype, size, threads, rounds):
    """GB/s of each contestant: (best, median)."""
    array = np.zeros(size // np.dtype(dtype).itemsize, dtype)
    contestants = {"memset": lambda: array.view(np.uint8).fill(0)}
    for count in threads:
        contestants[f"fastxavier, {count}"] = lambda count=count: fx.fill_(
            array, law, seed=7, stream=3, threads=count
        )
    contestants["NumPy"] = numpy_filler(law, array)
    repeats = max(1, (1 << 21) // size)
    taken = {name: [] for name in contestants}
    for turn in range(rounds):
        for name, call in contestants.items():
            if name == "NumPy" and size > 1 << 24 and turn >= 2:
                continue  # seconds each: two are enough
            taken[name].append(seconds_per_call(call, repeats))
    gigabytes = array.nbytes / 1e9
    return {
        name: (gigabytes / min(t), gigabytes / statistics.median(t)) for name, t in taken.items()
    }


def plot(results, path, machine):
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "fastxavier"
    from matplotlib import pyplot as plt

    rows = [(law, dtype) for law, dtype, size in results if size == "1 GiB"]
    figure, axes = plt.subplots(figsize=(8, 0.55 * len(rows) + 1.2), layout="constrained")
    blues = mpl.colormaps["Blues"]
    for y, (law, dtype) in enumerate(rows):
        result = results[law, dtype, "1 GiB"]
        ours = [name for name in result if name.startswith("fastxavier")]
        for i, name in enumerate(["NumPy", *ours]):
            speed = result[name][1]
            axes.barh(
                y + 0.27 * (i - 1),
                speed,
                0.25,
                color=blues(0.4 + 0.5 * i / len(ours)) if i else "#e8a33d",
                label=None if y else name + (" thread(s)" if i else ""),
            )
            axes.text(speed, y + 0.27 * (i - 1), f" {speed:.1f}", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [f"{law}, {dtype}" for law, dtype in rows])
    axes.invert_yaxis()
    axes.set_xlabel("GB/s written, array of 1 GiB (median; more is better)")
    axes.set_title(machine, fontsize=9)
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="write the figures as well")
    parser.add_argument("--plot", metavar="FILE", help="draw the rows of 1 GiB")
    options = parser.parse_args()
    found = fx.info()
    print(found)
    results = {}
    for size in options.sizes:
        for law in LAWS:
            for dtype in DTYPES:
                result = race(
                    LAWS[law], DTYPES[dtype], SIZES[size], options.threads, options.rounds
                )
                if not results:
                    print("\nGB/s, best (median)" + "".join(f"{name:>20}" for name in result))
                results[law, dtype, size] = result
                cells = "".join(f"{best:>11.2f} ({mid:6.2f})" for best, mid in result.values())
                print(f"{law:9} {dtype:8} {size:>7}{cells}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump([[*key, value] for key, value in results.items()], file, indent=1)
    if options.plot:
        plot(results, options.plot, f"{found.cpu}, {found.isa}, fastxavier {found.version}")
    ratios = [r[f"fastxavier, {options.threads[0]}"][1] / r["NumPy"][1] for r in results.values()]
    print(f"one thread over NumPy, geometric mean: {statistics.geometric_mean(ratios):.1f}")


if __name__ == "__main__":
    main()
