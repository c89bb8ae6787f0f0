"""Compare two saved runs of pytest-benchmark ratio by ratio; exit with 1 if one fell too far.

    pytest benchmarks --benchmark-save=before
    pytest benchmarks --benchmark-save=after && python tools/compare.py before after

Ratios rather than seconds, because they stay the same on a machine that has become busier or
slower; benchmarks/test_fills.py takes them in turn on one array. Only the fraction of memset's
speed decides. NumPy's speed differs from process to process by more than a regression worth
finding, so the ratio to it is only printed. Called by maintainers; docs/benchmarks.md shows how.
"""

import argparse
import json
import sys
from pathlib import Path

DECIDES = "fraction of memset"
STORAGE = Path(".benchmarks")


def saved(name, storage=STORAGE):
    """The ratios of the last run saved under this name, by distribution, dtype and ratio."""
    runs = sorted(storage.glob(f"*/[0-9][0-9][0-9][0-9]_{name}.json"), key=lambda run: run.name)
    if not runs:
        raise SystemExit(
            f"no run {name!r} under {storage}: pytest benchmarks --benchmark-save={name}"
        )
    ratios = {
        f"{benchmark['params']['distribution']}, {benchmark['params']['dtype']}, {ratio}": value
        for benchmark in json.loads(runs[-1].read_text())["benchmarks"]
        for ratio, value in benchmark["extra_info"].items()
    }
    if not ratios:
        raise SystemExit(f"run {name!r} has no ratios; run the whole of benchmarks/")
    return ratios


def fallen(before, after, tolerance):
    """The ratios that decide and are missing in `after`, or lower by more than the tolerance."""
    return [
        name
        for name, value in before.items()
        if name.endswith(DECIDES) and after.get(name, 0.0) < (1 - tolerance) * value
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", help="name of a saved run")
    parser.add_argument("after", help="name of another saved run")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.15,
        help="fraction of a ratio that may be lost (default: 0.15)",
    )
    options = parser.parse_args()
    before, after = saved(options.before), saved(options.after)
    worse = fallen(before, after, options.tolerance)
    width = max(map(len, before))
    for name, value in before.items():
        now = after.get(name, 0.0)
        mark = "  FELL" if name in worse else ""
        print(f"{name:{width}} {value:9.4f} {now:9.4f} {now / value - 1:+7.1%}{mark}")
    print(f"{len(worse)} ratios to memset fell by more than {options.tolerance:.0%}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
