"""What goes wrong around a fill. Each in a process of its own with a deadline."""

import os
import sys

import pytest
from test_processes import ended, linux, run, source, with_openmp


# ---- many callers --------------------------------------------------------------------------------

CALLERS = """
def at_once(count, task):
    barrier, results = threading.Barrier(count), []
    def begin(number):
        barrier.wait()
        results.extend(task(number))
    callers = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return results
"""


def test_a_hundred_callers():
    """Each comes to the bits it would come to alone, on teams of OpenMP's or on one thread."""
    script = """
        def fills(number, threads=(1, 2, None)):
            for team in threads:
                w = np.empty((300, 500), np.float32)[:, : 400 + number]
                yield number, fx.normal_(w, 3, 4, seed=1, stream=number, threads=team).tobytes()
        drawn = at_once(100, fills)
        print(len(drawn), set(drawn) == {one for n in range(100) for one in fills(n, [1])})
    """
    assert run(CALLERS, script) == ["300 True"]


def test_a_hundred_callers_of_the_module_default():
    """They take 500 streams; each is handed out once and none is left out."""
    script = """
        law = fx.Normal()
        fx.manual_seed(11)
        sys.setswitchinterval(1e-5)
        fill = lambda **key: fx.fill_(np.empty(40_000, np.float32), law, **key).tobytes()
        drawn = at_once(100, lambda number: [fill() for _ in range(5)])
        streams = [fill(seed=11, stream=s) for s in range(500)]
        print(len(drawn), sorted(drawn) == sorted(streams))
    """
    assert run(CALLERS, script) == ["500 True"]


def user_without_processes():
    """A user id of which no process runs: a limit on processes then counts this test's alone."""
    if os.geteuid() != 0:
        pytest.skip("only root may take a user id of which no process runs")
    return 61_000 + os.getpid() % 4000


@linux
@with_openmp
@pytest.mark.parametrize("room", [0, 1, 30, 150])
def test_many_callers_and_too_few_threads(room):
    """Fifty callers want teams of four where the system has `room` threads for all of them: OpenMP,
    which ends the process when it is refused a thread, never comes to be refused one."""
    script = """
        import resource
        room, user = map(int, sys.argv[1:])
        def fill(number, threads=4):
            for _ in range(3):
                w = fx.normal_(np.empty(200_000), 3, 4, seed=1, threads=threads)
            yield w.tobytes()
        (expected,) = fill(0, 1)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        limit = len(os.listdir("/proc/self/task")) + 50 + room
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
        drawn = at_once(50, fill)
        print(len(drawn), set(drawn) == {expected})
        barrier, refused = threading.Barrier(52 + room), False
        try:
            for _ in range(51 + room):
                threading.Thread(target=barrier.wait, daemon=True).start()
        except RuntimeError:
            refused = True
        barrier.abort()
        print(refused)  # the limit was one
    """
    arguments = [room, user_without_processes()]
    status, out, err = ended([sys.executable, "-c", source(CALLERS, script), *arguments])
    assert (status, out.split("\n")[:2]) == (0, ["50 True", "True"]), err
    assert "libgomp" not in err


@linux
@pytest.mark.parametrize("room", [0, 2, 20])
def test_many_callers_and_too_little_memory(room):
    """The same where address space lacks for the stacks of more than `room` threads."""
    script = """
        import resource
        room = int(sys.argv[1])
        arrays = [np.empty(200_000) for _ in range(20)]
        ready = threading.Event()
        def fill(number, threads=4):
            ready.wait()
            for _ in range(3):
                fx.normal_(arrays[number], 3, 4, seed=1, threads=threads)
            return [number]
        def limit():
            with open("/proc/self/status") as lines:
                size = next(int(line.split()[1]) for line in lines if line.startswith("VmSize"))
            stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
            stack = 8 << 20 if stack in (resource.RLIM_INFINITY, -1) else stack
            room_in_bytes = (1 << 20) + room * (stack + (64 << 10))
            resource.setrlimit(resource.RLIMIT_AS, (size * 1024 + room_in_bytes, -1))
            ready.set()
        threading.Timer(0.3, limit).start()
        done = at_once(20, fill)
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        expected = fx.normal_(np.empty(200_000), 3, 4, seed=1, threads=1)
        print(len(done), all((w == expected).all() for w in arrays))
    """
    assert run(CALLERS, script, arguments=[room]) == ["20 True"]
