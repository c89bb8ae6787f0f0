"""Threads: any number gives the same bits, callers run at once, and the GIL is free meanwhile."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import cases
import numpy as np
import pytest
import threadpoolctl

import fastxavier as fx
from fastxavier import _core

DISTRIBUTIONS = [
    fx.Uniform(-0.5, 1.5),
    fx.Normal(0.1, 2.0),
    fx.TruncatedNormal(0.0, 1.0, -1.0, 3.0),
]
COUNTS = [None, 1, 2, 3, 7, 64]

every_distribution = pytest.mark.parametrize(
    "distribution", DISTRIBUTIONS, ids=lambda distribution: type(distribution).__name__
)
with_openmp = pytest.mark.skipif(
    _core.openmp_version() == 0, reason="built without OpenMP: there is one thread"
)


# ---- number of threads ---------------------------------------------------------------------------


@every_distribution
@pytest.mark.parametrize("dtype", cases.DTYPES.values(), ids=str)
def test_number_of_threads_changes_no_bit(distribution, dtype, isa):
    """Contiguous, Fortran and strided arrays of some 20 tasks, and one task more."""
    base = np.empty((603, 1204), dtype)
    for view in (base, base.T, base[::2, ::-1], base.reshape(-1)[: 4 * 32768 + 1]):
        results = set()
        for threads in COUNTS:
            base.view(np.uint8)[...] = 0xA5
            fx.fill_(view, distribution, seed=1, stream=2, threads=threads)
            results.add(base.tobytes())
        assert len(results) == 1


def run(script, **environment):
    """What a script prints, in a process of its own."""
    completed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.split()


@with_openmp
@pytest.mark.parametrize("number", [1, 2, 5])
def test_omp_num_threads(number):
    """OMP_NUM_THREADS is what threads=None uses, and the bits are the same."""
    script = """
        import hashlib
        import numpy as np, fastxavier as fx
        from fastxavier import _core
        w = fx.normal_(np.empty(500_000), 3, 4, seed=5)
        print(_core.default_threads(), hashlib.sha256(w).hexdigest())
    """
    threads, digest = run(script, OMP_NUM_THREADS=str(number))
    assert int(threads) == number
    assert digest == run(script, OMP_NUM_THREADS="3")[1]


@with_openmp
def test_threads_without_the_environment():
    """Otherwise one thread for each processor that the process may run on."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    script = "from fastxavier import _core; print(_core.default_threads())"
    completed = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert int(completed.stdout) == allowed


@with_openmp
def test_threadpoolctl():
    """Its limits are OpenMP's, and so ours; they end with the context."""
    before = _core.default_threads()
    expected = fx.normal_(np.empty(500_000), 3, 4, seed=5)
    with threadpoolctl.threadpool_limits(1):
        assert _core.default_threads() == 1
        assert (fx.normal_(np.empty(500_000), 3, 4, seed=5) == expected).all()
    assert _core.default_threads() == before


@with_openmp
@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads listed in /proc")
def test_one_thread_starts_none():
    """threads=1, and threads=None under a limit of 1, leave the process with the threads it had."""
    script = """
        import os
        import numpy as np, fastxavier as fx, threadpoolctl
        def count():
            return len(os.listdir("/proc/self/task"))
        w = np.empty(4_000_000)
        before = count()
        fx.normal_(w, 1, 1, seed=1, threads=1)
        with threadpoolctl.threadpool_limits(1, user_api="openmp"):
            fx.normal_(w, 1, 1, seed=1)
        print(count() - before)
        fx.normal_(w, 1, 1, seed=1, threads=3)
        print(count() - before)
    """
    assert run(script) == ["0", "2"]


# ---- callers at once -----------------------------------------------------------------------------


def at_once(workers, task):
    """task(0) .. task(workers - 1), each in a Python thread of its own, begun together."""
    barrier = threading.Barrier(workers)

    def begin(number):
        barrier.wait(timeout=60)
        return task(number)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(begin, range(workers)))


@pytest.mark.parametrize("threads", [None, 1, 2, 3])
def test_concurrent_fills(threads, isa):
    """Callers with their own arrays do not meet, large or small."""
    rounds, workers = 6, 8

    def task(number):
        digests = []
        for turn in range(rounds):
            shape = (7, 11) if turn % 2 else (257, 411)
            w = np.empty(shape[::-1], np.float32).T
            fx.fill_(
                w, DISTRIBUTIONS[(number + turn) % 3], seed=number, stream=turn, threads=threads
            )
            digests.append(w.tobytes())
        return digests

    assert at_once(workers, task) == [task(number) for number in range(workers)]


def test_parts_of_one_array_from_many_threads():
    """Shards of one tensor, written at the same time into interleaved memory."""
    distribution, workers = DISTRIBUTIONS[1], 8
    w = np.zeros((800, 403), np.float32)

    def task(number):
        rows = slice(100 * number, 100 * (number + 1))
        fx.fill_(
            w[rows], distribution, seed=3, global_shape=w.shape, offset=(100 * number, 0), threads=2
        )

    at_once(workers, task)
    assert (w == fx.fill_(np.empty_like(w), distribution, seed=3)).all()


def test_module_default_hands_out_each_stream_once():
    """N threads and M fills each take exactly the streams 0 .. N M - 1."""
    workers, each = 8, 200
    fx.manual_seed(99)

    def task(number):
        return [fx.fill_(np.empty(5), DISTRIBUTIONS[0]).tobytes() for _ in range(each)]

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        got = [w for taken in at_once(workers, task) for w in taken]
    finally:
        sys.setswitchinterval(switch)
    expected = [
        fx.fill_(np.empty(5), DISTRIBUTIONS[0], seed=99, stream=s).tobytes()
        for s in range(workers * each)
    ]
    assert sorted(got) == sorted(expected)


def test_failing_calls_among_others_take_no_stream():
    """Half of the calls fail at once with the others; what remains is without a gap."""
    workers, each = 6, 100
    fx.manual_seed(98)

    def task(number):
        got = []
        for turn in range(each):
            if (number + turn) % 2:
                got.append(fx.fill_(np.empty(5), DISTRIBUTIONS[0]).tobytes())
            else:
                with pytest.raises(TypeError):
                    fx.fill_(np.empty(5, int), DISTRIBUTIONS[0])
        return got

    got = [w for taken in at_once(workers, task) for w in taken]
    expected = [
        fx.fill_(np.empty(5), DISTRIBUTIONS[0], seed=98, stream=s).tobytes()
        for s in range(len(got))
    ]
    assert len(got) == workers * each // 2
    assert sorted(got) == sorted(expected)


def test_distributions_made_at_once():
    """Distributions measured from many threads, cached or not, draw the same."""

    def task(number):
        distributions = [fx.TruncatedNormal(0, 1, -1 - k / 64, 2 + k / 32) for k in range(40)]
        return [
            fx.fill_(np.empty(9), distribution, seed=1).tobytes() for distribution in distributions
        ]

    assert len({tuple(result) for result in at_once(6, task)}) == 1


# ---- the GIL -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_gil_is_free_during_a_fill(threads):
    """Another Python thread runs again and again between the start and the end of one fill.

    It is timed by itself: steps counted while the fill has begun and has not returned. With the GIL
    held there would be at most the few before the call and after it.
    """
    w = np.empty(12_000_000)
    _core.force_isa("scalar")
    try:
        fx.truncated_normal_(w, 1, 1, seed=1, threads=threads)  # pages touched, threads started
        state = {"filling": False, "stop": False}
        steps = []

        def step():
            pause = threading.Event()
            while not state["stop"]:
                if state["filling"]:
                    steps.append(w[-1])
                pause.wait(0.002)

        other = threading.Thread(target=step)
        other.start()
        w[-1] = 0
        state["filling"] = True
        try:
            fx.truncated_normal_(w, 1, 1, seed=2, threads=threads)
        finally:
            state.update(filling=False, stop=True)
            other.join()
    finally:
        _core.force_isa(None)
    # The last element is still 0 in every step but those after the fill has reached it.
    assert sum(value == 0 for value in steps) >= 25
