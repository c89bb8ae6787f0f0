"""Times our Keras initializers against Keras' own, 64 MiB at a time, on each backend.

Run by hand: python benchmarks/keras_arrays.py [BACKEND ...]. Each backend has a process of its own.
Both fill in turn, so that other work on the machine meets both; the fastest and the median count.
The rows "init_" are of a layer that is there: Keras' initializer and `assign` against `init_`.
With --sharded instead, the seconds in which JAX's backend builds a layer that four devices share.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from time import perf_counter

BACKENDS = ("numpy", "torch", "jax", "tensorflow")
NAMES = ("GlorotUniform", "GlorotNormal")
SHAPE = (4096, 4096)  # the kernel of a Dense layer, 64 MiB in float32
ROUNDS = 9


def seconds(call):
    """Of one call, with all its values there."""
    start = perf_counter()
    tensor = call()
    if hasattr(tensor, "block_until_ready"):  # of JAX, which goes on while it computes
        tensor.block_until_ready()
    return perf_counter() - start


def calls(dtype):
    """For each row Keras' own way to a tensor and ours."""
    import keras

    import fastxavier.keras

    found = {}
    for name in NAMES:
        theirs, ours = (getattr(of, name)(seed=7) for of in (keras.initializers, fastxavier.keras))
        found[name] = partial(theirs, SHAPE, dtype=dtype), partial(ours, SHAPE, dtype=dtype)
    layer = keras.layers.Dense(SHAPE[1], use_bias=False, dtype=dtype)
    layer.build((None, SHAPE[0]))
    draw = found["GlorotUniform"][0]

    def assign():
        layer.kernel.assign(draw())
        return layer.kernel.value

    def init():
        fastxavier.keras.init_(layer, seed=7)
        return layer.kernel.value

    return {**found, "init_": (assign, init)}


def measure(dtype):
    """Print for each row the seconds of Keras' own way and of ours."""
    found = {}
    for name, pair in calls(dtype).items():
        for one in pair:  # what is compiled and looked up once
            seconds(one)
        rounds = [[seconds(one) for one in pair] for _ in range(ROUNDS)]
        found[name] = list(zip(*rounds, strict=True))
    print(json.dumps(found))


def main(backends):
    """The table."""
    print("| backend | initializer | dtype | Keras, ms | fastxavier, ms | times as fast |")
    print("| --- | --- | --- | --- | --- | --- |")
    for backend in backends or [one for one in BACKENDS if find_spec(one)]:
        for dtype in ("float32", "bfloat16"):
            command = [sys.executable, __file__, "--measure", dtype]
            environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            )
            for name, (theirs, ours) in json.loads(done.stdout.splitlines()[-1]).items():
                times = [(min(one), statistics.median(one)) for one in (theirs, ours)]
                cells = [f"{1e3 * least:.0f} ({1e3 * middle:.0f})" for least, middle in times]
                ratios = [a / b for a, b in zip(*times, strict=True)]
                print(
                    f"| {backend} | `{name}` | {dtype} | {cells[0]} | {cells[1]} "
                    f"| {ratios[0]:.1f} ({ratios[1]:.1f}) |",
                    flush=True,
                )


def sharded():
    """Print the seconds of one layer, its kernel cut over four devices."""
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    import keras

    import fastxavier.keras

    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((1, 4), ("batch", "model"), devices)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*kernel"] = (None, "model")
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    )

    def build(initializer):
        start = perf_counter()
        layer = keras.layers.Dense(SHAPE[1], use_bias=False, kernel_initializer=initializer)
        layer.build((None, SHAPE[0]))
        layer.kernel.value.block_until_ready()
        return perf_counter() - start

    pair = keras.initializers.GlorotUniform(seed=7), fastxavier.keras.GlorotUniform(seed=7)
    rounds = [[build(one) for one in pair] for _ in range(5)]
    for who, times in zip(("Keras", "fastxavier"), zip(*rounds, strict=True), strict=True):
        print(f"{who}: {min(times):.2f} s (median {statistics.median(times):.2f} s)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    elif sys.argv[1:] == ["--sharded"]:
        sharded()
    else:
        main(sys.argv[1:])
