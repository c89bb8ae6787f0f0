"""TestU01's batteries, test by test: what the results lack is run, and then all of them are judged.

    python tools/randomness/run.py crush                   # begins or resumes docs/randomness/
    python tools/randomness/run.py bigcrush --generators words normal32 --jobs 16
    python tools/randomness/run.py crush --judge           # runs nothing
    python tools/randomness/run.py smallcrush --planted    # the weak generators must be found

Interrupt it whenever: a test that has ended is in the results. How p-values are judged is told in
docs/randomness.md. The status is 1 after a failure, 3 if a test of the battery is still to be run.
"""

import argparse
import concurrent.futures
import datetime
import math
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "build" / "batteries"
TESTS = {"smallcrush": 10, "crush": 96, "bigcrush": 106}

SUSPICION = 1e-4  # a tail below this is repeated with another seed
CONFIRMATION = 1e-2  # and is a failure if its repetition is below this
FAILURE = 1e-10  # needs no repetition
TO_BE_REPEATED = "to be repeated"
SEEDS_APART = 1_000_000  # the seeds of a run that interleaves them are neighbours

HEAD = """\
# P-values of TestU01 1.2.3, by `make {battery}`; docs/randomness.md tells what they mean.
# generator, test, seed, date, seconds of the whole test, p-value, statistic
"""


class Test(NamedTuple):
    """What is run at once."""

    generator: str
    number: int
    seed: int


class Row(NamedTuple):
    """One p-value of a test."""

    test: Test
    date: str
    seconds: float
    p: float
    statistic: str

    @property
    def tail(self):
        """The probability of what is as far out, on the same side: both sides are suspicious."""
        return min(self.p, 1 - self.p)


# ---- results -------------------------------------------------------------------------------------


def line(row):
    """A row as the file has it. A p-value next to 1 keeps the digits of its distance from it."""
    p = f"{row.p:.6g}" if row.p < 0.999 else f"{row.p:.16g}"
    test = f"{row.test.generator:<11} {row.test.number:>3} {row.test.seed}"
    return f"{test} {row.date} {row.seconds:.1f} {p} {row.statistic}\n"


def row(line):
    """The reverse."""
    generator, number, seed, date, seconds, p, statistic = line.split(maxsplit=6)
    test = Test(generator, int(number), int(seed))
    return Row(test, date, float(seconds), float(p), statistic)


def read(results):
    """The rows of a file; none before it exists."""
    lines = results.read_text().splitlines() if results.exists() else []
    return [row(text) for text in lines if not text.startswith("#")]


def append(results, rows, battery):
    """Add a test's rows, in one write."""
    text = "".join(map(line, rows))
    if not results.exists():
        results.parent.mkdir(parents=True, exist_ok=True)
        text = HEAD.format(battery=battery) + text
    with results.open("a") as file:
        file.write(text)
    print(text, end="", flush=True)


# ---- running -------------------------------------------------------------------------------------


def generators(planted=False):
    """Those of the program that are not planted, or those that are."""
    lines = subprocess.check_output([PROGRAM], text=True).splitlines()
    return [text.split()[0] for text in lines if text.endswith(" planted") == planted]


def numbered(names):
    """With a number after the second and later of those that are the same."""
    before = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{name} ({n + 1})" if n else name for name, n in zip(names, before, strict=True)]


def run(battery, test, under=()):
    """The rows of one test."""
    command = [*under, str(PROGRAM), test.generator, battery, str(test.number), str(test.seed)]
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    began = time.monotonic()
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.monotonic() - began
    found = [text.split(" ", 2)[1:] for text in said.splitlines() if text.startswith("p ")]
    names = numbered([name for _, name in found])
    rows = [
        Row(test, date, seconds, float(p), name) for (p, _), name in zip(found, names, strict=True)
    ]
    if not rows or not all(0 <= each.p <= 1 for each in rows):
        raise RuntimeError(f"{shlex.join(command)} has no p-value, or a wrong one:\n{said}")
    return rows


def run_missing(battery, tests, results, options):
    """Run what the results lack, and add each test as it ends."""
    done = {each.test for each in read(results)}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(run, battery, t, options.under) for t in tests if t not in done]
        try:
            for ended in concurrent.futures.as_completed(runs):
                append(results, ended.result(), battery)
        finally:
            pool.shutdown(cancel_futures=True)


def find_planted(battery, seed, under):
    """Whether every planted generator fails, each at the first test that has it fail."""
    found = True
    for name in generators(planted=True):
        tests = (Test(name, number, seed) for number in range(1, TESTS[battery] + 1))
        rows = (each for test in tests for each in run(battery, test, under))
        worst = next((each for each in rows if each.tail < FAILURE), None)
        found = found and worst is not None
        print(
            f"{name}: found by test {worst.test.number}, {worst.statistic}, p = {worst.p:.3g}"
            if worst
            else f"{name}: NOT FOUND",
            flush=True,
        )
    return found


# ---- judging -------------------------------------------------------------------------------------


def repetition(test):
    """The same test with another seed."""
    return test._replace(seed=test.seed + SEEDS_APART)


def suspicious(rows, seed):
    """Tests of this seed with a p-value that is to be repeated."""
    return sorted({each.test for each in rows if each.test.seed == seed and each.tail < SUSPICION})


def verdict(row, rows):
    """Of a row in suspicion: what its repetition says."""
    if row.tail < FAILURE:
        return "FAILURE"
    for other in rows:
        if (other.test, other.statistic) == (repetition(row.test), row.statistic):
            confirmed = other.tail < CONFIRMATION
            return f"{'FAILURE' if confirmed else 'chance'}: with another seed {other.p:.6g}"
    return TO_BE_REPEATED


def ranges(numbers):
    """1, 2, 3, 7 as "1-3 7"."""
    runs = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return " ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def judge(battery, names, results, seed):
    """Print a line for each generator, those included that the results have besides, what was
    suspicious and what is not done; the status."""
    rows = read(results)
    names = list(dict.fromkeys([*names, *(each.test.generator for each in rows)]))
    failed = unfinished = False
    print(f"\n{battery}, seed {seed}")
    print("generator     tests  p-values    least   below 1 % (expected)   hours")
    for name in names:
        own = [each for each in rows if each.test.generator == name and each.test.seed == seed]
        seconds = {each.test.number: each.seconds for each in own}
        both_sides = [2 * each.tail for each in own]
        low = sum(p < 0.01 for p in both_sides)
        print(
            f"{name:<11} {len(seconds):>4}/{TESTS[battery]:<3} {len(own):>8} "
            f"{min(both_sides, default=math.nan):>8.2g} {low:>11} ({0.01 * len(own):.2f})"
            f"{sum(seconds.values()) / 3600:>16.2f}"
        )
        for each in own:
            if each.tail < SUSPICION:
                said = verdict(each, rows)
                print(f"    test {each.test.number}, {each.statistic}: p = {each.p:.16g}; {said}")
                failed = failed or said.startswith("FAILURE")
                unfinished = unfinished or said == TO_BE_REPEATED
        if missing := set(range(1, TESTS[battery] + 1)) - seconds.keys():
            print(f"    not done: {ranges(missing)}")
            unfinished = True
    return 1 if failed else 3 if unfinished else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("battery", choices=TESTS)
    parser.add_argument("--generators", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--results", type=Path, help="default: docs/randomness/<battery>.txt")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="tests at once")
    parser.add_argument("--under", type=shlex.split, default=[], help='such as "nice -n 19"')
    parser.add_argument("--judge", action="store_true", help="run nothing")
    parser.add_argument("--planted", action="store_true", help="run the planted generators instead")
    options = parser.parse_args()
    battery, seed = options.battery, options.seed
    if options.planted:
        return 0 if find_planted(battery, seed, options.under) else 1
    results = options.results or ROOT / "docs" / "randomness" / f"{battery}.txt"
    names = options.generators or generators()
    if not options.judge:
        tests = [Test(name, n + 1, seed) for name in names for n in range(TESTS[battery])]
        try:
            run_missing(battery, tests, results, options)
            again = [repetition(test) for test in suspicious(read(results), seed)]
            run_missing(battery, again, results, options)
        except KeyboardInterrupt:
            print("interrupted: the same command goes on from here")
    return judge(battery, names, results, seed)


if __name__ == "__main__":
    sys.exit(main())
