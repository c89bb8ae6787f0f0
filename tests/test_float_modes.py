"""The floating-point mode of the caller: rounding and flushed subnormals change no bit."""

import platform
import re

import pytest
from test_processes import posix, run

MODES = {
    "nearest": (0, 0),
    "up": (1, 0),
    "down": (2, 0),
    "towards zero": (3, 0),
}
if platform.machine().lower() in ("x86_64", "amd64", "aarch64", "arm64"):
    MODES |= {"flush results": (0, 1), "flush operands": (0, 2), "flush all, up": (1, 3)}

MODE_SCRIPT = """
    import ctypes
    library, rounding, flush = ctypes.CDLL(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    library.control.restype = ctypes.c_ulong
    fans = [(3, 7), (1.1, 1.2), (1.7, 2.1), (1e15 + 0.3, 1.001), (10**30 + 1, 3)]
    dtypes = [np.float64, np.float32, np.float16]
    arrays = [np.empty((301, 223), dtype) for dtype in dtypes]
    fills = (fx.uniform_, fx.normal_, fx.truncated_normal_)
    initializers = (fx.glorot_uniform, fx.glorot_normal, fx.glorot_truncated_normal)
    h, lines = hashlib.sha256(), []

    def note(key):
        global h
        lines.append((key, h.hexdigest()))
        h = hashlib.sha256()

    def all_fills(isa):
        before = library.control()
        for threads in (1, 2, None):
            for number, w in enumerate(arrays):
                for fill in fills:
                    for fan_in, fan_out in fans[number:]:
                        fill(w.T, fan_in, fan_out, gain=1.1, seed=1, threads=threads)
                        h.update(w)
                    tiny = (1e-310, 1e-40, 1e-6)[number]  # subnormal weights
                    fill(w, 3, 4, gain=tiny, seed=1, threads=threads)
                    h.update(w.tobytes())
                note((isa, "initializers", threads, number))
                fx.fill_(w, fx.TruncatedNormal(0.1, 0.3, -1.3, 2.7), seed=2, threads=threads)
                h.update(w)
                fx.fill_(w, fx.TruncatedNormal(0.1, 0.3, 8.1, 9.7), seed=2, threads=threads)
                h.update(w)
                fx.fill_(w, fx.Uniform(0.1, 0.7), seed=2, threads=threads)
                h.update(w)
                note((isa, "distributions", threads, number))
        lines.append(("mode as it was", isa, before == library.control()))

    library.rounding(rounding)
    library.flush(flush)
    set_mode = library.control()
    all_fills(_core.check_isa())
    for isa in _core.available_isas():
        _core.force_isa(isa)
        all_fills(isa)
    distributions = [make(a, b, gain=1.1, mode=mode) for make in initializers for a, b in fans
            for mode in ("fan_avg", "fan_in", "fan_out")]
    still_set = library.control() == set_mode
    # OpenMP's threads were born in that mode; the caller leaves it.
    library.flush(0)
    library.rounding(0)
    all_fills("after")
    print(still_set)
    print(*lines, sep="\\n")
    print(hashlib.sha256(repr(distributions).encode()).hexdigest())
    print(set_mode)
"""


@posix
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "nearest"])
def test_floating_point_mode_of_the_caller(helper, mode, nearest):
    """Whatever the caller has set changes no bit of a value, and is left as it was."""
    *lines, set_mode = run(MODE_SCRIPT, arguments=[helper, *MODES[mode]])
    *expected, usual_mode = nearest
    assert set_mode != usual_mode
    assert lines[0] == "True"
    assert lines == expected


@pytest.mark.parametrize("mode", MODES)
def test_python_arithmetic_in_the_mode_of_the_caller(helper, mode):
    """Slopes, gains, counts and bounds are worked out outside of C; none follows the mode."""
    script = """
        import ctypes
        library, rounding, flush = ctypes.CDLL(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
        tenths = [number / 10 for number in range(1, 10)]
        def worked_out():
            yield from (fx.he_normal(8, negative_slope=slope).std for slope in tenths)
            yield from (fx.gain("leaky_relu", negative_slope=slope) for slope in tenths)
            yield from (fx.gain(lambda z: np.maximum(z, slope * z)) for slope in tenths[:3])
            yield from (fx.TruncatedNormal(0.1, end, -end, 0.7).bounds for end in tenths)
            for sparsity in tenths:
                for rows in (10, 20, 30, 70):
                    w = fx.sparse_(np.empty((rows, 3)), sparsity=sparsity, seed=1)
                    yield np.count_nonzero(w, axis=0).tolist()
        expected = list(worked_out())
        library.rounding(rounding)
        library.flush(flush)
        found = list(worked_out())
        library.flush(0)
        library.rounding(0)
        assert len(found) == 66
        print([n for n in range(66) if found[n] != expected[n]])
    """
    assert run(script, arguments=[helper, *MODES[mode]]) == ["[]"]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "nearest"])
def test_imported_in_the_mode_of_the_caller(helper, mode):
    """What the modules work out on import does not depend on the mode either."""
    script = """
        import ctypes
        for name in [name for name in sys.modules if name.partition(".")[0] == "fastxavier"]:
            del sys.modules[name]
        library, rounding, flush = ctypes.CDLL(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
        library.rounding(rounding)
        library.flush(flush)
        import fastxavier as fx
        print(digest())
    """
    usual = run(script, arguments=[helper, *MODES["nearest"]])
    assert run(script, arguments=[helper, *MODES[mode]]) == usual


@pytest.fixture(scope="module")
def nearest(helper):
    """What the script prints in the usual mode."""
    lines = run(MODE_SCRIPT, arguments=[helper, *MODES["nearest"]])
    assert not [line for line in lines if "False" in line]
    digests = {re.search("[0-9a-f]{64}", line).group() for line in lines if "initializers" in line}
    assert len(digests) == 3  # one for each dtype
    return lines
