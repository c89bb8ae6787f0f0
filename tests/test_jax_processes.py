"""Arrays that two processes hold, the memory that drawing takes, and what imports jax."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from jax_cases import same  # noqa: E402

import fastxavier as fx  # noqa: E402

SUPPORT = pathlib.Path(__file__).parent / "support"


def run(program, *arguments, **environment):
    """Python, with one device unless the environment says otherwise."""
    flags = {"XLA_FLAGS": "", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        env={**os.environ, **flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(program, *arguments):
    """What a program that ends well has printed."""
    process = run(program, *arguments)
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-3000:]
    return printed


def test_two_processes(tmp_path):
    """Each draws its own shards, and together they are the whole."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    paths = [tmp_path / f"{number}.npz" for number in range(2)]
    four = "--xla_force_host_platform_device_count=4"
    processes = [
        run([SUPPORT / "jax_process.py"], address, str(number), "2", paths[number], XLA_FLAGS=four)
        for number in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-3000:]
    truncated = fx.draw((16, 24), fx.glorot_truncated_normal(layout="jax"), seed=7)
    whole = {
        "draw": fx.draw((16, 24), fx.he_normal(layout="jax"), seed=7, stream="a.kernel"),
        "orthogonal": fx.draw((16, 24), fx.Orthogonal(layout="jax"), seed=7),
        "tree": fx.draw((16, 24), fx.glorot_uniform(layout="jax"), seed=7, stream="a.kernel"),
        "eager": truncated,
        "jit": truncated,
        "inside": truncated,
    }
    seen = {name: np.zeros((2, 4), int) for name in whole}
    for path in paths:
        with np.load(path) as shards:
            assert str(shards["refusal"]).count("give all processes the same seed") == 3
            for name in shards.files:
                if name == "refusal":
                    continue
                what, *starts = name.split("/")
                row, column = (int(start) for start in starts)
                assert same(shards[name], whole[what][row : row + 8, column : column + 6])
                seen[what][row // 8, column // 6] += 1
    assert all((count == 1).all() for count in seen.values())


MEMORY = """
import sys
import jax, fastxavier.jax as fj

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

def draw(*shape):
    init, key = fj.glorot_normal(), jax.random.key(7)
    call = lambda key: init(key, shape)
    return jax.block_until_ready((jax.jit(call) if sys.argv[1] == "jit" else call)(key))

draw(256, 64)
before = peak()
array = draw(64 << 8, 1024)
print((peak() - before) / array.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("where", ["eager", "jit"])
def test_drawing_takes_the_memory_of_the_array(where):
    """64 MiB; what jax takes to compile is some more."""
    taken = finished(["-c", MEMORY], where)
    assert 0.9 < float(taken) < 1.5


def test_importing_fastxavier_does_not_import_jax():
    code = "import sys, fastxavier; assert 'jax' not in sys.modules"
    finished(["-c", code])


def test_imported_first_inside_of_jit():
    code = (
        "import jax, numpy as np\n"
        "@jax.jit\n"
        "def first(key):\n"
        "    import fastxavier.jax as fj\n"
        "    return fj.normal()(key, (5,))\n"
        "import fastxavier as fx\n"
        "found = np.asarray(first(jax.random.key(7)))\n"
        "import fastxavier.jax as fj\n"
        "assert (found == np.asarray(fj.normal()(jax.random.key(7), (5,)))).all()\n"
        "assert (found == fx.draw((5,), fx.Normal(0, 0.01), seed=7)).all()\n"
    )
    finished(["-c", code])


def test_without_jax_the_error_says_how_to_install_it():
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "try:\n    import fastxavier.jax\n"
        "except ImportError as error:\n    assert 'fastxavier[jax]' in str(error), error\n"
        "else:\n    raise SystemExit(1)\n"
    )
    finished(["-c", code])
