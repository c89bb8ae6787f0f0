"""`glorot_normal` of 64 MiB by jax.nn.initializers and by fastxavier.jax: times, ratios, memory.

Run by hand: python benchmarks/jax_arrays.py. Times are those of calls that take turns in one
process, so that other work on the machine meets both: the least and the median. The peak is that
of a fresh process for each, above what it had after a small draw. In the last lines eight devices
of the host draw a shard each, in normals, within ``jax.shard_map``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from time import perf_counter

NBYTES = 64 << 20
ROUNDS = 15
WHERE = ("eager", "jit")
DTYPES = ("float32", "bfloat16")
MAKERS = ("jax", "fastxavier")


def library(name):
    """jax.nn.initializers, or the same names of fastxavier."""
    if name == "jax":
        from jax.nn import initializers

        return initializers
    import fastxavier.jax

    return fastxavier.jax


def call(maker, where, dtype, rows=None):
    """A function of a key that makes the array."""
    import jax

    init = library(maker).glorot_normal()
    shape = (rows or NBYTES // 1024 // jax.numpy.dtype(dtype).itemsize, 1024)

    def draw(key):
        return init(key, shape, dtype)

    return jax.jit(draw) if where == "jit" else draw


def times(calls):
    """For each call the seconds of its runs."""
    import jax

    key = jax.random.key(7)
    found = {name: [] for name in calls}
    for draw in calls.values():
        jax.block_until_ready(draw(key))
    for _ in range(ROUNDS):
        for name, draw in calls.items():
            start = perf_counter()
            array = jax.block_until_ready(draw(key))
            found[name].append(perf_counter() - start)
            del array
    return found


def peak():
    """The most memory of this process so far, in bytes."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def print_growth(maker, where, dtype):
    """Of this process: how much its peak grows by one array, in arrays."""
    import jax

    key = jax.random.key(7)
    jax.block_until_ready(call(maker, where, dtype, rows=8)(key))
    before = peak()
    array = jax.block_until_ready(call(maker, where, dtype)(key))
    print(json.dumps((peak() - before) / array.nbytes))


def print_sharded():
    """Of this process, which has eight devices: milliseconds of a draw in shard_map."""
    import jax
    from jax.sharding import PartitionSpec as Spec

    import fastxavier.jax

    mesh = jax.make_mesh((8,), ("x",))
    rows = NBYTES // 4 // 1024

    def by_jax(key):
        key = jax.random.fold_in(key, jax.lax.axis_index("x"))
        return jax.random.normal(key, (rows // 8, 1024))

    def by_fastxavier(key):
        return fastxavier.jax.normal(1.0)(key, (rows, 1024), out_sharding=Spec("x"))

    found = times(
        {
            name: jax.jit(jax.shard_map(part, mesh=mesh, in_specs=Spec(), out_specs=Spec("x")))
            for name, part in (("jax", by_jax), ("fastxavier", by_fastxavier))
        }
    )
    print(json.dumps(found))


def other_process(*arguments, **environment):
    """What this script prints when it is run with these arguments."""
    command = [sys.executable, __file__, *arguments]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def row(what, found, peaks):
    """A line of the table."""
    cells = [
        f"{min(seconds) * 1e3:.0f} ms ({statistics.median(seconds) * 1e3:.0f})"
        for seconds in (found["jax"], found["fastxavier"])
    ]
    least = min(found["jax"]) / min(found["fastxavier"])
    median = statistics.median(found["jax"]) / statistics.median(found["fastxavier"])
    memory = " | ".join(f"{one:.1f}" for one in peaks) if peaks else "|"
    print(f"| {what} | {' | '.join(cells)} | {least:.1f} ({median:.1f}) | {memory} |", flush=True)


def main():
    """The table."""
    print("| 64 MiB | jax | fastxavier | ratio | peak of jax | peak of fastxavier |")
    print("| --- | --- | --- | --- | --- | --- |")
    for dtype in DTYPES:
        for where in WHERE:
            found = times({maker: call(maker, where, dtype) for maker in MAKERS})
            peaks = [other_process("--peak", maker, where, dtype) for maker in MAKERS]
            row(f"{dtype}, {where}", found, peaks)
    eight = other_process("--sharded", XLA_FLAGS="--xla_force_host_platform_device_count=8")
    row("normals in shard_map on 8 devices", eight, None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_growth(*sys.argv[2:])
    elif sys.argv[1:2] == ["--sharded"]:
        print_sharded()
    else:
        main()
