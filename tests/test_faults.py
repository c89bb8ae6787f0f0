"""What goes wrong around a fill: forks, refused threads, other runtimes, full disks, signals.

Each in a process of its own with a deadline, which kills whatever that process has begun."""

import ctypes.util
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from test_processes import CHILD, LONG_FILL, PRELUDE, ended, linux, posix, run, source, with_openmp

EXPECTED = "expected = digest(threads=1)\n"


# ---- forks and pools -----------------------------------------------------------------------------


@posix
def test_fork_while_another_thread_fills():
    """Sixty forks in the midst of parallel fills; parent and children come to the same bits."""
    script = """
        few = 60_000
        expected, of_child = digest(threads=1), digest(threads=1, count=few)
        stop, results = threading.Event(), []
        def fill():
            while not stop.is_set():
                results.append(digest(threads=2))
        threads = [threading.Thread(target=fill) for _ in range(2)]
        for thread in threads:
            thread.start()
        whole, expected, digest = digest, of_child, lambda threads: whole(threads, few)
        codes = [child(None, 2) for _ in range(60)]
        stop.set()
        for thread in threads:
            thread.join()
        print(len(codes), set(codes), len(set(results)), whole(2) == results[0] == whole(1))
    """
    script = script.replace("results.append(digest(", "results.append(whole(")
    assert run("whole = digest", CHILD, script, arguments=[""]) == ["60 {0} 1 True"]


POOL = """
import multiprocessing
from multiprocessing.shared_memory import SharedMemory

SHAPE = (600, 1000)
SETTING = dict(seed=5, stream="shared", global_shape=SHAPE, threads=2)

def work(name, tasks, done):
    memory = SharedMemory(name)
    whole = np.ndarray(SHAPE, np.float32, memory.buf)
    for row, begin, end in iter(tasks.get, None):
        fx.truncated_normal_(
            whole[row : row + 100, begin:end], 3, 4, offset=(row, begin), **SETTING
        )
        done.put((row, begin))
    del whole
    memory.close()

def epoch(context):
    memory = SharedMemory(create=True, size=600 * 1000 * 4)
    tasks, done = context.Queue(), context.Queue()
    workers = [context.Process(target=work, args=(memory.name, tasks, done)) for _ in range(4)]
    for worker in workers:
        worker.start()
    shards = [(row, *ends) for row in range(0, 600, 100) for ends in ((0, 300), (300, 1000))]
    for shard in shards:
        tasks.put(shard)
    for _ in workers:
        tasks.put(None)
    finished = sorted(done.get(timeout=60) for _ in shards)
    for worker in workers:
        worker.join()
    whole = np.array(np.ndarray(SHAPE, np.float32, memory.buf))
    memory.close()
    memory.unlink()
    exits = {worker.exitcode for worker in workers}
    return len(finished), exits, (whole == fx.truncated_normal_(np.empty_like(whole), 3, 4, seed=5,
                                                                stream="shared", threads=2)).all()
"""


@posix
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_fill_shards_of_one_tensor(tmp_path, method):
    """As a loader's workers do, taking tasks from a queue; before and after a parallel fill in the
    parent the shards are the whole."""
    script = f"""
if __name__ == "__main__":
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads
    for _ in range(2):
        print(*epoch(multiprocessing.get_context("{method}")))
"""
    path = tmp_path / "pool.py"
    path.write_text(source(POOL, script))
    assert ended([sys.executable, path]) == (0, "12 {0} True\n" * 2, "")


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
        distribution = fx.Normal()
        fx.manual_seed(11)
        sys.setswitchinterval(1e-5)
        fill = lambda **key: fx.fill_(np.empty(40_000, np.float32), distribution, **key).tobytes()
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


# ---- limits that are asked for -------------------------------------------------------------------


@linux
@with_openmp
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_limit_of_threadpoolctl(limit):
    """A long fill has as many threads as the limit, no more and, being long, no fewer."""
    script = """
        import threadpoolctl
        count = lambda: len(os.listdir("/proc/self/task"))
        with threadpoolctl.threadpool_limits(int(sys.argv[2]), user_api="openmp"):
            before = count()
            fx.truncated_normal_(w, 3, 4, seed=1)
            print(count() - before + 1, (w == short[: w.size]).all())
    """
    long = LONG_FILL.replace("5 * rate", "min(rate / 4, short.size)")
    drawn = run(long, script, arguments=[1, limit], OMP_NUM_THREADS="5")
    assert drawn == [f"{limit} True"]


@linux
@with_openmp
@pytest.mark.parametrize(("room", "threads"), [(1, 1), (2, 2), (3, 2), (10, 6)])
def test_half_of_the_threads_that_can_be_had(room, threads):
    """Those that were tried may be counted still when the fill's own begin: it asks for half."""
    script = """
        import resource
        room, user = map(int, sys.argv[1:])
        expected = digest(threads=1)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        count = lambda: len(os.listdir("/proc/self/task"))
        before = count()
        resource.setrlimit(resource.RLIMIT_NPROC, (before + room, before + room))
        print(digest(threads=6) == expected, count() - before + 1)
    """
    assert run(script, arguments=[room, user_without_processes()]) == [f"True {threads}"]


@linux
def test_processors_taken_away():
    """The process is put on one processor before, between and during fills of many threads."""
    script = """
        processors, threads = os.sched_getaffinity(0), _core.default_threads()
        def confine(number, frame):
            os.sched_setaffinity(0, {min(processors)})
        results = {digest(3), digest()}
        signal.signal(signal.SIGALRM, confine)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        results |= {digest(3), digest()}
        confine(None, None)
        results |= {digest(3), digest(1), digest()}
        os.sched_setaffinity(0, processors)
        results |= {digest(3), digest()}
        print(len(results), _core.default_threads() == threads)
    """
    assert run(script) == ["1 True"]


@linux
def test_fewer_processors_than_there_are():
    """Where the process may run on one, a fill takes one thread, unless it is told otherwise."""
    script = "print(_core.default_threads(), digest(3) == digest(1) == digest())"
    free = ["env", "-u", "OMP_NUM_THREADS", "-u", "GOMP_CPU_AFFINITY"]
    one = ["taskset", "-c", min(os.sched_getaffinity(0))]
    assert ended([*free, *one, sys.executable, "-c", source(script)]) == (0, "1 True\n", "")


@pytest.fixture
def tenth_of_a_processor():
    """A control group whose processes get a tenth of one processor: the file that lists them."""
    name = f"fastxavier-{os.getpid()}"
    for root, quota, value in (
        ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "10000"),
        ("/sys/fs/cgroup", "cpu.max", "10000 100000"),
    ):
        group = pathlib.Path(root, name)
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / quota).exists():
                (group / quota).write_text(value)
                yield group / "cgroup.procs"
                return
        finally:
            group.rmdir()
    pytest.skip("no control group of processors can be made here")


@linux
def test_processor_quota(tenth_of_a_processor):
    """A container's share of a processor: more threads than it pays for, the same bits, no hang."""
    script = """
        expected = digest(1, 100_000)
        with open(sys.argv[1], "w") as group:
            group.write(str(os.getpid()))
        begin, used = time.monotonic(), time.process_time()
        print({digest(threads, 100_000) for threads in (1, None, 2, 4)} == {expected})
        wall, used = time.monotonic() - begin, time.process_time() - used
        print(used < 0.5 * wall)  # the quota was one
    """
    assert run(script, arguments=[tenth_of_a_processor]) == ["True", "True"]


# ---- signals and traps ---------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("threads", [1, 2, None])
def test_signals_by_the_thousand(threads):
    """One each millisecond, of which no system call is resumed: no bit and no stream is lost."""
    script = """
        calls = []
        signal.signal(signal.SIGALRM, lambda number, frame: calls.append(number))
        signal.siginterrupt(signal.SIGALRM, True)
        threads = eval(sys.argv[1])
        expected = [digest(1), digest(1, 50_000)]
        fx.manual_seed(4)
        signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
        drawn = [[digest(threads), digest(threads, 50_000)] for _ in range(4)]
        streams = [fx.fill_(np.empty(9), fx.Normal()).tobytes() for _ in range(50)]
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(drawn == [expected] * 4, len(calls) > 50)
        print(streams == [fx.fill_(np.empty(9), fx.Normal(), seed=4, stream=s).tobytes()
                          for s in range(50)])
    """
    assert run(script, arguments=[repr(threads)]) == ["True True", "True"]


@posix
def test_interrupt_while_a_checkpoint_is_written(tmp_path):
    """Ctrl-C in the midst of it: KeyboardInterrupt; what stood there stands and nothing is left."""
    (tmp_path / "out").write_text("before")
    script = """
        from fastxavier.checkpoints import init_checkpoint
        _core.force_isa("scalar")
        like = {f"{i}": ("F32", (1500, 1000)) for i in range(200)}
        plan = fx.Plan([fx.Rule("*", "glorot_truncated_normal")])
        told = []
        def progress(done):
            if not told:
                threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGINT)).start()
            told.append(done)
        try:
            init_checkpoint(sys.argv[1], plan, like, seed=1, threads=2, progress=progress)
            print("completed")
        except KeyboardInterrupt:
            print(0 < max(told) < 0.9)
    """
    assert run(script, arguments=[tmp_path / "out"]) == ["True"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "before"


@linux
def test_traps_of_the_caller():
    """Floating-point exceptions that kill the caller do not during a fill, and are set after it."""
    script = """
        import ctypes
        libm = ctypes.CDLL("libm.so.6")
        every = 0x3D if os.uname().machine == "x86_64" else 0x1F
        tiny = fx.Uniform(-1e-310, 1e-310)
        distributions = [tiny, fx.Normal(), fx.TruncatedNormal(0, 1, -3, np.inf)]
        arrays = [np.empty(300_000, dtype) for dtype in (np.float64, np.float32, np.float16)]
        fills = lambda threads: [fx.fill_(w, distribution, seed=1, threads=threads).tobytes()
                                 for w, distribution in zip(arrays, distributions)]
        expected = {threads: fills(threads) for threads in (1, 2)}
        libm.feclearexcept(every)
        if libm.feenableexcept(every) == -1:
            print("skipped: this processor does not trap")
            sys.exit()
        for isa in _core.available_isas():
            _core.force_isa(isa)
            for threads in (1, 2):
                drawn = fills(threads)
                set_after, raised = libm.fegetexcept(), libm.fetestexcept(every)
                print(drawn == expected[threads], set_after == every, raised == 0)
        libm.fedisableexcept(every)
    """
    lines = run(script)
    if lines[0].startswith("skipped"):
        pytest.skip(lines[0])
    assert set(lines) == {"True True True"}


# ---- other runtimes ------------------------------------------------------------------------------


def library(*names):
    """The shared library of one of these names, of this environment or of the system."""
    folders = [pathlib.Path(sys.prefix, "lib"), *pathlib.Path("/usr/lib").glob("llvm-*/lib")]
    files = [str(f) for name in names for folder in folders for f in folder.glob(f"lib{name}.so*")]
    return next((name for name in [*files, *map(ctypes.util.find_library, names)] if name), None)


# Another OpenMP runtime runs a region of two threads through the entry that GCC's code calls.
REGION = """
import ctypes, os, sys
body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: ran.append(1))
ran = []
other = ctypes.CDLL(sys.argv[1], mode=ctypes.{mode})
def work():
    ran.clear()
    other.GOMP_parallel(body, None, 2, 0)
    assert len(ran) == 2, ran
"""
MKL = """
import ctypes, sys
import numpy
other = ctypes.CDLL(sys.argv[1], mode=ctypes.{mode})
a, room = numpy.ones((500, 500)), numpy.zeros((500, 500))
def work():
    matrix = [ctypes.c_void_p(x.ctypes.data) for x in (a, a, room)]
    one, n = ctypes.c_double(1), 500
    other.MKL_Set_Num_Threads(2)
    other.cblas_dgemm(101, 111, 111, n, n, n, one, matrix[0], n, matrix[1], n, one, matrix[2], n)
    assert room[0, 0] >= 500
"""
TORCH = """
import torch
torch.set_num_threads(2)
def work():
    assert torch.ones(2_000_000).exp().sum() > 0
    assert (torch.ones(300, 300) @ torch.ones(300, 300))[0, 0] == 300
"""
RUNTIMES = {
    "LLVM's OpenMP": (REGION, lambda: library("omp", "omp5")),
    "Intel's OpenMP": (REGION, lambda: library("iomp5")),
    "MKL": (MKL, lambda: library("mkl_rt")),
    "torch": (TORCH, lambda: importlib.util.find_spec("torch") and "torch"),
}
LOADED = [(name, mode) for name in RUNTIMES for mode in ("RTLD_LOCAL", "RTLD_GLOBAL")]
LOADED.remove(("torch", "RTLD_GLOBAL"))  # it chooses by itself how its libraries are loaded


@linux
@with_openmp
@pytest.mark.parametrize(("runtime", "mode"), LOADED)
@pytest.mark.parametrize("order", ["before", "after"])
def test_another_runtime(runtime, order, mode):
    """Loaded before us, in the latter mode so that it serves our regions, or after; it works, we
    fill, in turn and in a child process."""
    load, find = RUNTIMES[runtime]
    if not (path := find()):
        pytest.skip(f"{runtime} is not installed")
    load = load.format(mode=mode)
    script = """
        for _ in range(2):
            assert digest(2) == expected
            work()
            assert digest() == digest(3) == expected
        print(child(2, None), child(3))
        work()
        print(digest(2) == expected)
    """
    here = [PRELUDE, EXPECTED, "sys.argv[1:2] = [expected]"]
    parts = [load, *here] if order == "before" else [*here[:2], load, here[2]]
    text = "\n".join([*parts, source(CHILD, script)])
    status, out, err = ended([sys.executable, "-W", "ignore", "-c", text, path])
    assert (status, out) == (0, "0 0\nTrue\n"), err


@linux
@with_openmp
def test_refused_threads_under_another_runtime():
    """LLVM's OpenMP, put in the place of GCC's, ends the process as well when it is refused one."""
    if not (path := library("omp", "omp5")):
        pytest.skip("LLVM's OpenMP is not installed")
    script = """
        import resource
        user = int(sys.argv[1])
        expected = digest(threads=1)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        print(digest(threads=6) == digest(threads=2) == digest() == expected)
    """
    assert run(script, arguments=[user_without_processes()], LD_PRELOAD=path) == ["True"]


# ---- files ---------------------------------------------------------------------------------------


def on_a_small_disk(folder, *command):
    """What `ended` gives for a command that runs while `folder` is a disk of 2 MiB."""
    mount = f'mount -t tmpfs -o size=2m none "{folder}" && '
    own_mounts = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    trial = [*own_mounts, mount + "true"]
    tried = subprocess.run(trial, capture_output=True, text=True, timeout=60)
    if tried.returncode:
        pytest.skip(f"no small disk can be mounted here: {tried.stderr.strip()}")
    return ended([*own_mounts, mount + 'exec "$@"', "sh", *command])


@linux
def test_full_disk(tmp_path):
    """A checkpoint takes its room first: an error before anything is drawn, and nothing is left."""
    script = """
        import errno
        from fastxavier.checkpoints import _init
        from fastxavier.checkpoints import init_checkpoint, read_header
        plan, path = fx.Plan([fx.Rule("*", "glorot_normal")]), sys.argv[1] + "/out"
        init_checkpoint(path, plan, {"w": ("F32", (400, 500))}, seed=1)
        before = open(path, "rb").read()
        _init.init_ = None  # to call it would be another error
        try:
            init_checkpoint(path, plan, {"w": ("F32", (2000, 1000))}, seed=1)
        except OSError as error:
            print(error.errno == errno.ENOSPC, error.filename == path)
        print(os.listdir(sys.argv[1]), open(path, "rb").read() == before)
    """
    command = [sys.executable, "-c", source(script), tmp_path]
    assert on_a_small_disk(tmp_path, *command) == (0, "True True\n['out'] True\n", "")


SIGBUS = """
import fcntl, mmap, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
path = sys.argv[1] + "/map"
"""


@linux
def test_map_on_a_full_disk(tmp_path):
    """A map of a file with holes is the caller's promise of room: kept by os.posix_fallocate, which
    raises; broken, the system kills who writes."""
    script = """
        w = np.memmap(path, np.float32, "w+", shape=(2_000_000,))
        try:
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, w.nbytes)
        except OSError as error:
            print(error.strerror, flush=True)
        fx.normal_(w, 3, 4, seed=1)
    """
    command = [sys.executable, "-c", source(SIGBUS, script), tmp_path]
    status, out, err = on_a_small_disk(tmp_path, *command)
    assert (out, err) == ("No space left on device\n", "")
    assert status == -signal.SIGBUS


@linux
def test_map_of_a_truncated_file(tmp_path):
    """Cut short after it was mapped: the system kills who writes. A look at the size finds it; a
    checkpoint's is looked at."""
    script = """
        from fastxavier.checkpoints import CheckpointError, init_checkpoint, mapped
        plan = fx.Plan([fx.Rule("*", "glorot_normal")])
        init_checkpoint(path, plan, {"w": ("F32", (400, 500))}, seed=1)
        whole = np.memmap(path, np.uint8, "r+")
        os.truncate(path, 5000)
        try:
            mapped(path)
        except CheckpointError as error:
            print("truncated" in str(error), os.stat(path).st_size < whole.nbytes, flush=True)
        fx.normal_(whole[: 4 * 100_000].view(np.float32), 3, 4, seed=1)
    """
    command = [sys.executable, "-c", source(SIGBUS, script), tmp_path]
    assert ended(command) == (-signal.SIGBUS, "True True\n", "")
