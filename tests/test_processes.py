"""What needs a process of its own: signals, forks, limits, floating-point modes, environment."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from fastxavier import _core

PACKAGE = str(pathlib.Path(_core.__file__).resolve().parents[1])
TIMEOUT = 120  # seconds after which a script is taken to hang

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork, signals or resource limits")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
with_openmp = pytest.mark.skipif(
    _core.openmp_version() == 0, reason="built without OpenMP: there is one thread"
)

# What every script begins with. `digest` names the bits of some fills, small and large.
PRELUDE = """
import hashlib, os, signal, sys, threading, time
import numpy as np
import fastxavier as fx
from fastxavier import _core

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's job has not, behind a &

def digest(threads=None, count=400_000):
    h = hashlib.sha256()
    for n in (10, count):
        for fill in (fx.uniform_, fx.normal_, fx.truncated_normal_):
            for dtype in (np.float32, np.float64, np.float16):
                w = np.empty((n // 10, 10), dtype).T
                h.update(fill(w, 30, 40, seed=1, stream="process", threads=threads).tobytes())
    return h.hexdigest()

def wait_for(pid, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"
"""


def source(*parts):
    return "\n".join(textwrap.dedent(part) for part in (PRELUDE, *parts))


def environment(**changes):
    """This one, in which a script finds the package that is under test."""
    path = os.pathsep.join([PACKAGE, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **changes}


def ended(command, **changes):
    """Status and output of a process; past the deadline it is killed with all that it has begun."""
    with subprocess.Popen(
        list(map(str, command)),
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise
    return process.returncode, out, err


def run(*parts, arguments=(), **changes):
    """The lines a script prints; it ends with status 0 and nothing on stderr."""
    status, out, err = ended([sys.executable, "-c", source(*parts), *arguments], **changes)
    assert (status, err) == (0, ""), out
    return out.splitlines()


@pytest.fixture(scope="module")
def digest():
    """The bits that every process has to come to."""
    return run("print(digest(threads=1))")[0]


# ---- signals -------------------------------------------------------------------------------------

LONG_FILL = """
    _core.force_isa("scalar")
    threads = int(sys.argv[1])
    short = np.empty(2_000_000)
    fx.truncated_normal_(short, 3, 4, seed=1, threads=threads)
    begin = time.monotonic()
    fx.truncated_normal_(short, 3, 4, seed=1, threads=threads)
    rate = short.size / (time.monotonic() - begin)
    w = np.empty(int(5 * rate))  # five seconds of work; its pages are not touched before
"""


def interrupted(threads):
    """Seconds from Ctrl-C, in the midst of a fill of five, to KeyboardInterrupt."""
    script = """
        print("ready", flush=True)
        try:
            fx.truncated_normal_(w, 3, 4, seed=1, threads=threads)
            print("completed", flush=True)
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
        again = fx.truncated_normal_(w[:2_000_000], 3, 4, seed=1, threads=threads)
        print((again == short).all())
    """
    process = subprocess.Popen(
        [sys.executable, "-c", source(LONG_FILL, script), str(threads)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(TIMEOUT, process.kill)
    with process:
        killer.start()
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.5)
            sent = time.monotonic()  # one clock for all processes
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
        finally:
            killer.cancel()
            process.kill()
    assert (process.returncode, err) == (0, "")
    raised, again = out.split()
    assert raised != "completed"
    assert again == "True"
    return float(raised) - sent


@posix
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt(threads):
    """Ctrl-C ends a long fill within about a tenth of a second, with KeyboardInterrupt and nothing
    else. A busy machine may hold one try up, hence as many as four."""
    assert any(interrupted(threads) < 0.1 for _ in range(4))


@posix
@pytest.mark.parametrize("threads", [1, 2])
def test_handlers_run_during_a_fill(threads):
    """Python's handlers run while a fill does; one that raises stops it, one that does not
    changes no bit."""
    script = """
        w = w[: w.size // 4]
        class Stop(Exception):
            pass
        calls = []
        def handler(number, frame):
            calls.append(time.monotonic())
            if stop:
                raise Stop
        signal.signal(signal.SIGALRM, handler)
        stop = False
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        begin = time.monotonic()
        fx.truncated_normal_(w, 3, 4, seed=1, threads=threads)
        end = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(sum(begin < call < end - 0.02 for call in calls) >= 3)
        print((w[: short.size] == short).all())
        stop = True
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            fx.truncated_normal_(w, 3, 4, seed=1, threads=threads)
        except Stop:
            print("stopped")
    """
    assert run(LONG_FILL, script, arguments=[threads]) == ["True", "True", "stopped"]


@posix
def test_interrupt_takes_one_stream():
    """A fill that was begun and then stopped has taken its stream; the next takes the next."""
    script = """
        fx.manual_seed(3)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            fx.truncated_normal_(w, 3, 4, threads=1)
        except KeyboardInterrupt:
            next_one = fx.normal_(np.empty(9), 1, 1)
            print((next_one == fx.normal_(np.empty(9), 1, 1, seed=3, stream=1)).all())
    """
    assert run(LONG_FILL, script, arguments=[1]) == ["True"]


def test_exit_while_a_daemon_thread_fills():
    """The interpreter ends at once and cleanly, wherever the fill is."""
    script = """
        fill = lambda: fx.truncated_normal_(w, 3, 4, seed=1, threads=threads)
        threading.Thread(target=fill, daemon=True).start()
        time.sleep(0.3)
        print("leaving")
    """
    for threads in (1, 2):
        assert run(LONG_FILL, script, arguments=[threads]) == ["leaving"]


# ---- forks ---------------------------------------------------------------------------------------

CHILD = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads
    def child(*all_threads):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if all(digest(threads) == expected for threads in all_threads) else 3
            finally:
                os._exit(code)
        return wait_for(pid)
    expected = sys.argv[1]
"""


@posix
def test_fork_after_a_parallel_fill(digest):
    """The child has none of OpenMP's threads; it fills all the same, and so does its own child."""
    script = """
        assert digest(threads=2) == expected
        print(child(None, 2, 1, 7))
        print(child(2, None))
        assert digest(threads=3) == expected
        pid = os.fork()
        if pid == 0:
            os._exit(0 if child(2, None) == 0 == child(3) else 1)
        print(wait_for(pid))
        print(digest(threads=2) == expected)
    """
    assert run(CHILD, script, arguments=[digest]) == ["0", "0", "0", "True"]


@posix
def test_fork_whose_child_ends_as_programs_do(digest):
    """Through the interpreter's end, OpenMP's and ours, and not only by os._exit."""
    script = """
        assert digest(threads=2) == expected
        for threads in (1, 2):
            pid = os.fork()
            if pid == 0:
                sys.exit(0 if digest(threads) == expected else 1)
            print(wait_for(pid))
    """
    assert run(CHILD, script, arguments=[digest]) == ["0", "0"]


@posix
def test_fork_before_any_fill(digest):
    """Only imported in the parent: the child may use threads."""
    script = """
        print(child(None, 2))
        print(child(3, 1))
        print(digest(threads=2) == expected)
    """
    assert run(CHILD, script, arguments=[digest]) == ["0", "0", "True"]


@posix
def test_fork_after_a_fill_on_one_thread(digest):
    """A fill that started no thread leaves the child as free as none."""
    script = """
        assert digest(threads=1) == expected
        print(child(2, None))
    """
    assert run(CHILD, script, arguments=[digest]) == ["0"]


@posix
@with_openmp
@pytest.mark.parametrize("fills_first", [False, True])
def test_fork_after_the_openmp_region_of_another_library(digest, helper, fills_first):
    """All libraries of a process share OpenMP's threads: it need not be us who started them."""
    script = """
        import ctypes
        region = ctypes.CDLL(sys.argv[2]).region
        if sys.argv[3] == "True":
            assert digest(threads=1) == expected
        region(2)
        print(child(2, None))
        print(child(3))
    """
    assert run(CHILD, script, arguments=[digest, helper, fills_first]) == ["0", "0"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path, digest, method):
    """Pools of either start method, before and after a parallel fill in the parent."""
    if os.name != "posix" and method != "spawn":
        pytest.skip("this system only spawns")
    script = f"""
        import multiprocessing, warnings
        if __name__ == "__main__":
            warnings.simplefilter("ignore", DeprecationWarning)
            context = multiprocessing.get_context("{method}")
            results = set()
            for _ in range(2):
                with context.Pool(2) as pool:
                    results.update(pool.map_async(digest, [None, 2, 1, 3]).get(90))
                results.add(digest(threads=2))
            print(*results)
    """
    path = tmp_path / "pool.py"
    path.write_text(source(script))
    status, out, err = ended([sys.executable, path])
    assert (status, err) == (0, "")
    assert out.split() == [digest]


# ---- limits --------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("room", [0, 1, 3, 8])
@pytest.mark.parametrize("grown", [False, True], ids=["no pool yet", "pool of two"])
def test_no_memory_for_threads(digest, room, grown):
    """Address space for the stacks of `room` threads: the fill uses what it can get."""
    script = """
        import resource
        expected, room, grown = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
        assert digest(threads=2 if grown else 1) == expected
        arrays = [np.empty(2_000_000) for _ in range(3)]
        with open("/proc/self/status") as lines:
            size = next(int(line.split()[1]) for line in lines if line.startswith("VmSize"))
        stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
        stack = 8 << 20 if stack in (resource.RLIM_INFINITY, -1) else stack
        limit = size * 1024 + (256 << 10) + room * (stack + (64 << 10))
        usual = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit, usual[1]))
        for w, threads in zip(arrays, (6, None, 9)):
            fx.normal_(w, 3, 4, seed=1, threads=threads)
        started = 0
        try:
            while started < 9:
                threading.Thread(target=time.sleep, args=(0.2,)).start()
                started += 1
        except RuntimeError:
            pass
        resource.setrlimit(resource.RLIMIT_AS, usual)
        print(started < 9)  # the limit was one
        expected = fx.normal_(np.empty(2_000_000), 3, 4, seed=1, threads=1)
        print(all((w == expected).all() for w in arrays))
    """
    assert run(script, arguments=[digest, room, grown], OMP_NUM_THREADS="5") == ["True", "True"]


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not count threads as processes")
@pytest.mark.parametrize("grown", [False, True], ids=["no pool yet", "pool of two"])
def test_no_more_threads(digest, grown):
    """A limit on processes refuses every thread; the script sees that it does."""
    script = """
        import resource
        expected, grown = sys.argv[1], sys.argv[2] == "True"
        assert digest(threads=2 if grown else 1) == expected
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        thread = threading.Thread(target=int)
        try:
            thread.start()
            print("a thread could be started")
        except RuntimeError:
            print("refused")
        print(digest(threads=6) == digest(threads=2) == digest() == expected)
    """
    assert run(script, arguments=[digest, grown], OMP_NUM_THREADS="5") == ["refused", "True"]


# ---- the module default --------------------------------------------------------------------------


@posix
def test_fork_of_the_module_default():
    """A child draws entropy of its own, or goes on from the seed that was set."""
    script = """
        def child_draws():
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(writing, fx.fill_(np.empty(1), fx.Normal()).tobytes())
                os._exit(0)
            print(wait_for(pid), end=" ")
            return np.frombuffer(os.read(reading, 8))[0]
        print(child_draws() != fx.fill_(np.empty(1), fx.Normal())[0])
        fx.manual_seed(3)
        print(child_draws() == fx.fill_(np.empty(1), fx.Normal())[0])
        fx.manual_seed(None)
        print(child_draws() != fx.fill_(np.empty(1), fx.Normal())[0])
    """
    assert run(script) == ["0 True", "0 True", "0 True"]


# ---- environment ---------------------------------------------------------------------------------


@linux
@with_openmp
@pytest.mark.parametrize(
    ("variable", "limit", "threads"),
    [("OMP_THREAD_LIMIT", 1, 1), ("OMP_THREAD_LIMIT", 3, 3), ("OMP_MAX_ACTIVE_LEVELS", 0, 1)],
)
def test_limit_of_the_environment(variable, limit, threads):
    """What `info` reports is what a fill would have, and a fill that asks for more has no more."""
    script = """
        count = lambda: len(os.listdir("/proc/self/task"))
        print(fx.info().threads)
        before = count()
        values = digest(threads=5)
        print(count() - before + 1, values == digest(threads=1))
    """
    shown = run(script, OMP_NUM_THREADS="5", **{variable: str(limit)})
    assert shown == [str(threads), f"{threads} True"]


@pytest.mark.parametrize("isa", _core.available_isas())
def test_forced_by_the_environment(digest, isa):
    """FASTXAVIER_ISA names what runs, and the bits are the same."""
    script = "print(_core.check_isa(), digest())"
    assert run(script, FASTXAVIER_ISA=isa) == [f"{isa} {digest}"]


def test_empty_environment_is_the_best(digest):
    """An empty value asks for nothing."""
    script = "print(_core.check_isa(), digest())"
    best = _core.available_isas()[0]
    assert run(script, FASTXAVIER_ISA="") == [f"{best} {digest}"]


FOREIGN = next(name for name in ("neon", "avx2") if name not in _core.available_isas())


@pytest.mark.parametrize("name", ["sse9", FOREIGN, "SCALAR", "scalar ", "avx", "None", "0", "ä"])
def test_unknown_in_the_environment(name):
    """RuntimeError at every fill, with the value and what there is; never another one instead."""
    script = """
        fx.manual_seed(5)
        for fill in (lambda w: fx.fill_(w, fx.Normal()), lambda w: fx.uniform_(w, 1, 1, threads=2)):
            for shape in ((3,), (300_000,)):
                w = np.ones(shape, np.float32)
                try:
                    fill(w)
                    print("filled")
                except RuntimeError as error:
                    print(ascii(str(error)), (w == 1).all())
        _core.force_isa("scalar")
        w = fx.fill_(np.empty(9), fx.Normal())
        print((w == fx.fill_(np.empty(9), fx.Normal(), seed=5, stream=0)).all())
    """
    *refusals, first_stream = run(script, FASTXAVIER_ISA=name)
    assert len(refusals) == 4
    for line in refusals:
        assert "RuntimeError" not in line
        assert "FASTXAVIER_ISA" in line
        assert ascii(name).strip("'") in line
        assert all(available in line for available in _core.available_isas())
        assert line.endswith("True")
    assert first_stream == "True"
