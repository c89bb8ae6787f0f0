"""The benchmark of a GPU: fills beside memset, torch, CuPy, cuRAND's host API and JAX.

run.py calls it. Whatever is not installed is reported as skipped, with the reason.
"""

import importlib
import time

import cases
import memory
import numpy as np

import fastxavier as fx
from fastxavier._cuda import driver as driving

LARGEST = 4 << 30
DISTRIBUTIONS = {
    "uniform": fx.Uniform(-0.1, 0.1),
    "normal": fx.Normal(0.0, 0.02),
    "truncated": fx.TruncatedNormal(0.0, 0.02),
}
DTYPES = ("float32", "bfloat16", "float16", "float64")


def row(library, distribution, dtype, nbytes, seconds):
    return {
        "library": library,
        "distribution": distribution,
        "dtype": dtype,
        "bytes": nbytes,
        "itemsize": cases.DTYPES[dtype].itemsize if dtype in cases.DTYPES else 1,
        "seconds": seconds,
        "gb_per_s": nbytes / seconds / 1e9,
    }


def ours(nbytes):
    """memset, and each distribution and dtype, in place on one stream."""
    stream = memory.new_stream()
    held = memory.Array(np.empty(nbytes // 4, np.float32))  # of the CPU's memory no page is touched
    seconds = memory.seconds(lambda: memory.set_words(held, stream), stream)
    yield row("memset", "-", "-", nbytes, seconds)
    for name, dtype in ((name, dtype) for dtype in DTYPES for name in DISTRIBUTIONS):
        view = held.seen_as(cases.DTYPES[dtype])

        def work(view=view, name=name):
            fx.fill_(view, DISTRIBUTIONS[name], seed=7, cuda_stream=stream)

        yield row("fastxavier", name, dtype, nbytes, memory.seconds(work, stream))
    held.free()


def torch(nbytes):
    """torch's own in-place functions, on its current stream."""
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise RuntimeError("torch was built without CUDA")
    stream = torch.cuda.current_stream().cuda_stream
    for dtype in DTYPES:
        kind = getattr(torch, dtype)
        tensor = torch.empty(nbytes // kind.itemsize, dtype=kind, device="cuda")
        works = {
            "fill": lambda tensor=tensor: tensor.fill_(0),
            "uniform": lambda tensor=tensor: tensor.uniform_(-0.1, 0.1),
            "normal": lambda tensor=tensor: tensor.normal_(0, 0.02),
            "truncated": lambda tensor=tensor: torch.nn.init.trunc_normal_(
                tensor, 0, 0.02, -0.04, 0.04
            ),
        }
        for name, work in works.items():
            yield row("torch", name, dtype, nbytes, memory.seconds(work, stream))
        del tensor, works, work
        torch.cuda.empty_cache()


def cupy(nbytes):
    """CuPy's Philox generator, which allocates its result, and cuRAND's host API in place."""
    cupy = importlib.import_module("cupy")
    curand = importlib.import_module("cupy_backends.cuda.libs.curand")
    generator = cupy.random.Generator(cupy.random.Philox4x3210(7))
    stream = cupy.cuda.get_current_stream().ptr
    count = nbytes // 4
    for name, work in (
        ("uniform", lambda: generator.random(count, dtype=cupy.float32)),
        ("normal", lambda: generator.standard_normal(count, dtype=cupy.float32)),
    ):
        yield row("CuPy", name, "float32", nbytes, memory.seconds(work, stream))
    cupy.get_default_memory_pool().free_all_blocks()
    array = cupy.empty(count, cupy.float32)
    handle = curand.createGenerator(curand.CURAND_RNG_PSEUDO_PHILOX4_32_10)
    curand.setStream(handle, stream)
    pointer = array.data.ptr
    for name, work in (
        ("uniform", lambda: curand.generateUniform(handle, pointer, count)),
        ("normal", lambda: curand.generateNormal(handle, pointer, count, 0.0, 1.0)),
    ):
        yield row("cuRAND", name, "float32", nbytes, memory.seconds(work, stream))
    curand.destroyGenerator(handle)


def jax(nbytes):
    """JAX's generator by Threefry, compiled; timed by the clock, with its result awaited."""
    jax = importlib.import_module("jax")
    if jax.default_backend() != "gpu":
        raise RuntimeError("jax was installed without CUDA")
    for dtype in ("float32", "bfloat16"):
        shape = (nbytes // jax.numpy.dtype(dtype).itemsize,)
        for name, draw in (
            ("uniform", lambda key, s=shape, d=dtype: jax.random.uniform(key, s, d)),
            ("normal", lambda key, s=shape, d=dtype: jax.random.normal(key, s, d)),
            (
                "truncated",
                lambda key, s=shape, d=dtype: jax.random.truncated_normal(key, -2, 2, s, d),
            ),
        ):
            compiled, times = jax.jit(draw), []
            for number in range(6):
                begin = time.perf_counter()
                compiled(jax.random.key(number)).block_until_ready()
                times.append(time.perf_counter() - begin)
            yield row("JAX", name, dtype, nbytes, min(times[1:]))


def small_tensors():
    """A GPT-2 small of 148 tensors, prepared: seconds of a fill, and of its launches alone."""
    arrays = {
        name: memory.Array(np.empty(shape, np.float32)) for name, shape in gpt2_shapes().items()
    }
    prepared = fx.prepare(arrays, "gpt2")
    nvidia, launches = driving.driver(), []
    launch = nvidia.launch
    nvidia.launch = lambda *arguments: launches.append(arguments)
    prepared.init_(seed=1)
    nvidia.launch = launch
    times = {"init_": [], "launches": []}
    for number in range(20):
        memory.synchronize()
        begin = time.perf_counter()
        prepared.init_(seed=number)
        memory.synchronize()
        times["init_"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        for arguments in launches:
            launch(*arguments)
        memory.synchronize()
        times["launches"].append(time.perf_counter() - begin)
    for array in arrays.values():
        array.free()
    return {"tensors": len(arrays), **{name: min(found) for name, found in times.items()}}


def gpt2_shapes(width=768, blocks=12, vocabulary=50257, context=1024):
    """Names and shapes of GPT-2's tensors, as its checkpoints have them."""
    shapes = {"wte.weight": (vocabulary, width), "wpe.weight": (context, width)}
    for block in range(blocks):
        for name, shape in (
            ("ln_1.weight", (width,)),
            ("ln_1.bias", (width,)),
            ("attn.c_attn.weight", (width, 3 * width)),
            ("attn.c_attn.bias", (3 * width,)),
            ("attn.c_proj.weight", (width, width)),
            ("attn.c_proj.bias", (width,)),
            ("ln_2.weight", (width,)),
            ("ln_2.bias", (width,)),
            ("mlp.c_fc.weight", (width, 4 * width)),
            ("mlp.c_fc.bias", (4 * width,)),
            ("mlp.c_proj.weight", (4 * width, width)),
            ("mlp.c_proj.bias", (width,)),
        ):
            shapes[f"h.{block}.{name}"] = shape
    return {**shapes, "ln_f.weight": (width,), "ln_f.bias": (width,)}


def measured():
    """All rows, what was skipped and why, and the small tensors."""
    memory.use(0)
    nbytes = min(LARGEST, memory.free_bytes() // 4) & -(1 << 20)
    rows, skipped = [], {}
    for library in (ours, torch, cupy, jax):
        try:
            rows += library(nbytes)
        except Exception as error:  # each library has its own kind of failure
            skipped[library.__name__] = f"{type(error).__name__}: {error}"
    return {"rows": rows, "skipped": skipped, "gpt2_small": small_tensors()}
