"""Arrays on a GPU: which memory, which stream, models, structured initializers, errors.

The driver is one without a GPU (support/fake_gpu.py): what is tested is all around a launch. The
kernels are tested by test_cuda_host.py, and everything on a real GPU by `make gpu`.
"""

import importlib.util
import itertools
import pickle

import cases
import cuda_host
import fake_gpu
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import _core, structured
from fastxavier._cuda import compile as compiling
from fastxavier._cuda import driver as driving
from fastxavier._cuda.arrays import LEGACY_STREAM, tensor_memory
from fastxavier._dtypes import FLOATS

needs_compiler = pytest.mark.skipif(cuda_host.COMPILER is None, reason="needs a C++ compiler")
pytestmark = needs_compiler
KEY = {"seed": 7, "stream": "w"}


@pytest.fixture
def gpu(monkeypatch):
    return fake_gpu.install(monkeypatch)


def like_cpu(array, initializer, **place):
    """Whether an array of NumPy holds what a fill on the CPU writes."""
    expected = np.empty(array.shape, array.dtype)
    fx.fill_(expected, initializer, **KEY, **place)
    return expected.tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("kind", [fake_gpu.Array, fake_gpu.DLPack])
def test_values_are_those_of_the_cpu(gpu, kind, dtype):
    if kind is fake_gpu.DLPack and FLOATS[dtype].module != "numpy":
        pytest.skip("NumPy exports by DLPack only what is its own")
    memory = np.zeros((33, 7), cases.DTYPES[dtype])
    given = kind(memory)
    assert fx.fill_(given, fx.Normal(0.0, 0.02), **KEY) is given
    assert like_cpu(memory, fx.Normal(0.0, 0.02))
    assert len(gpu.launches) == 1


@pytest.mark.parametrize("view", [np.s_[:, 2:5], np.s_[::-2, ::3], np.s_[4:4]], ids=repr)
def test_views_and_shards(gpu, view):
    memory = np.zeros((33, 7), np.float32)
    shape = memory[view].shape
    place = {"global_shape": (70, 9), "offset": (11, 2)}
    fx.he_normal_(fake_gpu.Array(memory[view]), **KEY, **place)
    assert like_cpu(memory[view].copy(), fx.he_normal(), **place)
    assert len(gpu.launches) == (0 not in shape)
    memory[view] = 0
    assert not memory.any()


def test_old_dlpack(gpu):
    memory = np.zeros(9, np.float32)
    fx.fill_(fake_gpu.DLPack(memory, versioned=False), fx.Uniform(-1, 1), **KEY)
    assert like_cpu(memory, fx.Uniform(-1, 1))


def test_streams_of_values_are_taken_after_the_checks(gpu):
    streams = fx.Streams(7)
    with pytest.raises(ValueError, match="beyond the largest float16"):
        fx.fill_(fake_gpu.Array(np.zeros(3, np.float16)), fx.Constant(1e9), seed=streams)
    memory = np.zeros(9, np.float32)
    fx.fill_(fake_gpu.Array(memory), fx.Uniform(-1, 1), seed=streams)
    first = fx.draw(9, fx.Uniform(-1, 1), seed=7, stream=0)
    assert (memory == first).all()


class Protocol:
    def __cuda_stream__(self):
        return 0, 77


class OfTorch:
    cuda_stream = 78


class OfCupy:
    ptr = 79


@pytest.mark.parametrize(
    ("stream", "handle"),
    [(5, 5), (0, LEGACY_STREAM), (Protocol(), 77), (OfTorch(), 78), (OfCupy(), 79)],
)
@pytest.mark.parametrize("kind", [fake_gpu.Array, fake_gpu.DLPack])
def test_the_stream_that_is_given(gpu, kind, stream, handle):
    given = kind(np.zeros(5, np.float32))
    fx.fill_(given, fx.Uniform(-1, 1), **KEY, cuda_stream=stream)
    fx.uniform_(given, 3, 4, **KEY, cuda_stream=stream)
    fx.he_uniform_(kind(np.zeros((5, 2), np.float32)), **KEY, cuda_stream=stream)
    fx.init_({"w": given}, fx.Plan([fx.Rule("*", fx.Normal(0.0, 1.0))]), seed=1, cuda_stream=stream)
    assert gpu.launches == [(0, handle)] * 4
    if kind is fake_gpu.DLPack:
        assert set(given.asked[:2]) == {handle}  # the producer orders its work before it


@pytest.mark.parametrize(("exported", "handle"), [(None, 1), (1, 1), (2, 2), (4096, 4096)])
def test_the_stream_that_is_exported(gpu, exported, handle):
    fx.zeros_(fake_gpu.Array(np.ones(5, np.float32), stream=exported))
    assert gpu.launches == [(0, handle)]


def test_the_device_of_dlpack(gpu):
    given = fake_gpu.DLPack(np.ones(5, np.float32), device=3)
    fx.zeros_(given)
    assert gpu.launches == [(3, LEGACY_STREAM)]
    assert given.asked == [LEGACY_STREAM]


def test_kernels_are_loaded_once_for_each_device(gpu):
    for device in (0, 1, 0, 1):
        fx.zeros_(fake_gpu.DLPack(np.ones(5, np.float32), device=device))
        fx.fill_(fake_gpu.DLPack(np.ones(5, np.float16), device=device), fx.Normal(0, 1), seed=1)
    assert sorted(gpu.loads) == sorted(
        itertools.chain.from_iterable(
            [(device, "constant", "f32"), (device, "normal", "f16")] for device in (0, 1)
        )
    )


def test_a_cached_kernel_that_does_not_load_is_compiled_anew(gpu):
    gpu.broken = 1
    memory = np.zeros(9, np.float32)
    fx.fill_(fake_gpu.Array(memory), fx.Uniform(-1, 1), **KEY)
    assert gpu.asked == [False, True]
    assert like_cpu(memory, fx.Uniform(-1, 1))


# ---- structured initializers ---------------------------------------------------------------------

STRUCTURED = [
    (structured.Identity(0.5), (5, 8), None),
    (structured.Identity(), (3, 4), ((9, 9), (2, 4))),
    (structured.Identity(), (3, 2), ((9, 9), (0, 7))),
    (structured.Dirac(), (4, 3, 3, 5), None),
    (structured.Dirac(3, gain=2.0), (6, 2, 3), None),
    (structured.Dirac(3, gain=2.0), (5, 1, 2), ((9, 3, 4), (2, 1, 1))),
    (structured.Dirac(2, layout="keras"), (3, 3, 2, 8), None),
    (structured.Dirac(8), (64, 1, 3, 3), None),
    (structured.Sparse(0.6), (10, 7), None),
    (structured.Sparse(0.6), (10, 3), ((10, 7), (0, 2))),
    (structured.Sparse(0.6), (4, 300), ((11, 701), (3, 400))),
    (structured.Sparse(0.0), (10, 7), None),
    (structured.Sparse(1.0), (10, 7), None),
    (structured.Sparse(0.3, std=2.0), (1, 5), None),
    (structured.Orthogonal(), (6, 4), None),
    (structured.DeltaOrthogonal(), (4, 4, 3, 3), None),
]


@pytest.mark.parametrize(("initializer", "shape", "place"), STRUCTURED, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_structured_initializers(gpu, initializer, shape, place, dtype):
    memory = np.ones(shape, cases.DTYPES[dtype])
    at = {} if place is None else {"global_shape": place[0], "offset": place[1]}
    fx.fill_(fake_gpu.Array(memory), initializer, **KEY, **at)
    assert like_cpu(memory, initializer, **at)
    most = {structured.Identity: 4, structured.Dirac: 4, structured.Sparse: 2}
    assert len(gpu.launches) <= most.get(type(initializer), 1)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_sparse_in_views(gpu, dtype):
    """In columns first, in steps and backwards, also in a graph; nothing beside them is written."""
    memory = np.ones((9, 14), cases.DTYPES[dtype])
    fx.fill_(fake_gpu.Array(np.ones((2, 2), cases.DTYPES[dtype])), structured.Sparse(0.5), **KEY)
    gpu.capturing = True
    fx.fill_(fake_gpu.Array(memory.T[::-2, 1:]), structured.Sparse(0.4), **KEY)
    assert like_cpu(memory.T[::-2, 1:], structured.Sparse(0.4))
    assert (memory.T[::2].astype(float) == 1).all()
    assert (memory.T[:, :1].astype(float) == 1).all()


def test_patterns_in_views(gpu):
    memory = np.ones((9, 14), np.float32)
    fx.eye_(fake_gpu.Array(memory.T[::2, 1:]))
    assert (memory.T[::2, 1:] == np.eye(7, 8, dtype=np.float32)).all()
    assert (memory.T[1::2] == 1).all()


def test_what_is_computed_on_the_cpu_goes_into_contiguous_arrays(gpu):
    with pytest.raises(ValueError, match="not contiguous"):
        fx.fill_(fake_gpu.Array(np.ones((9, 8), np.float32)[:, 1:]), structured.Orthogonal(), **KEY)
    gpu.capturing = True
    with pytest.raises(ValueError, match="a CUDA graph cannot capture"):
        fx.fill_(fake_gpu.Array(np.ones((9, 8), np.float32)), structured.Orthogonal(), **KEY)


# ---- models --------------------------------------------------------------------------------------


def model():
    return {
        "on.cpu": np.zeros((6, 5), np.float32),
        "on.gpu": np.zeros((8, 5), np.float32),
        "half.gpu": np.zeros((7, 3), np.float16),
        "eye.gpu": np.zeros((4, 4), np.float32),
        "bias.cpu": np.zeros(4),
    }


RULES = [
    fx.Rule("eye.*", structured.Identity()),
    fx.Rule("bias.*", "zeros"),
    fx.Rule("*", "he_normal"),
]
PLAN = fx.Plan(RULES)


def mixed(arrays):
    return {k: fake_gpu.Array(v) if k.endswith("gpu") else v for k, v in arrays.items()}


def test_a_model_on_both(gpu):
    here, there = model(), model()
    fx.init_(here, PLAN, seed=7)
    report = fx.init_(mixed(there), PLAN, seed=7)
    assert all(here[name].tobytes() == there[name].tobytes() for name in here)
    assert [one.name for one in report.tensors] == list(here)
    for one in report.tensors:
        assert one.measured_std == pytest.approx(float(here[one.name].std()), rel=1e-2)


def test_a_model_filled_with_many_seeds(gpu):
    there = model()
    prepared = fx.prepare(mixed(there), PLAN)
    for seed in (1, 2):
        here = model()
        fx.init_(here, PLAN, seed=seed)
        prepared.init_(seed=seed)
        assert all(here[name].tobytes() == there[name].tobytes() for name in here)


def test_an_error_names_the_tensor_and_nothing_is_written(gpu):
    there = model()
    there["late.gpu"] = np.zeros(3, np.float16)
    late = fx.Plan([fx.Rule("late.*", fx.Constant(1e9)), *RULES])
    with pytest.raises(ValueError, match=r"tensor 'late\.gpu'.*float16"):
        fx.init_(mixed(there), late, seed=7)
    assert not any(array.any() for array in there.values())
    assert not gpu.launches


def test_arrays_on_a_gpu_that_share_memory(gpu):
    memory = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="share memory"):
        fx.init_(
            {"a": fake_gpu.Array(memory), "b": fake_gpu.Array(memory[1:])},
            PLAN,
            seed=1,
        )


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": (64, True)}, ValueError, "read-only"),
        ({"data": (0, False)}, ValueError, "NULL"),
        ({"mask": 1}, TypeError, "mask"),
        ({"typestr": "<i4"}, TypeError, "dtype .* must be one of float32"),
        ({"typestr": ">f4"}, TypeError, "machine's order"),
        ({"typestr": 3}, TypeError, "version 3 of that interface"),
        ({"shape": None}, TypeError, "version 3 of that interface"),
        ({"strides": (4, 4, 4)}, ValueError, "must be as many"),
        ({"strides": (0,)}, ValueError, "share memory"),
        ({"shape": (1,) * 65, "strides": None}, ValueError, "at most 64"),
    ],
)
def test_what_is_exported_is_checked(gpu, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        fx.zeros_(fake_gpu.Array(np.ones(3, np.float32), **changes))
    assert caught.value.argument == "array"
    assert pickle.loads(pickle.dumps(caught.value)).args[0] == str(caught.value)
    assert not gpu.launches


def test_memory_that_has_been_freed(gpu):
    gpu.freed = True
    with pytest.raises(ValueError, match=r"no memory on a GPU at 0x.*freed"):
        fx.zeros_(fake_gpu.Array(np.ones(3, np.float32)))


def test_arrays_of_jax_are_read_only(gpu):
    kind = type("ArrayImpl", (fake_gpu.Array,), {"__module__": "jaxlib._jax"})
    with pytest.raises(ValueError, match="read-only"):
        fx.zeros_(kind(np.ones(3, np.float32)))


@pytest.mark.parametrize("stream", ["x", 1.5, -1, object(), True])
def test_streams_that_are_none(gpu, stream):
    with pytest.raises((TypeError, ValueError), match=r"cuda_stream is .* must be") as caught:
        fx.zeros_(fake_gpu.Array(np.ones(3, np.float32)), cuda_stream=stream)
    assert caught.value.argument == "cuda_stream"


@pytest.mark.parametrize("initializer", [fx.Normal(0, 1), fx.he_normal(), structured.Identity()])
def test_a_cuda_stream_for_an_array_in_cpu_memory(initializer):
    array = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError, match="for an array in CPU memory") as caught:
        fx.fill_(array, initializer, seed=1, cuda_stream=1)
    assert caught.value.argument == "cuda_stream"
    assert not array.any()


def test_another_kind_of_device():
    class Elsewhere:
        def __dlpack_device__(self):
            return 10, 0  # an AMD GPU

        def __dlpack__(self, **options):
            raise BufferError("on a ROCm device")

    with pytest.raises(ValueError, match="exports no memory: on a ROCm device"):
        fx.zeros_(Elsewhere())


def test_a_kernel_that_is_not_loaded_cannot_be_captured(gpu):
    given = fake_gpu.Array(np.ones(3, np.float32))
    gpu.capturing = True
    with pytest.raises(RuntimeError, match="once before the capture"):
        fx.zeros_(given)
    gpu.capturing = False
    fx.zeros_(given)
    gpu.capturing = True
    fx.zeros_(given)
    assert len(gpu.launches) == 2


def test_a_driver_that_is_too_old(monkeypatch):
    old = driving.Driver.__new__(driving.Driver)
    monkeypatch.setattr(driving, "nvrtc_version", lambda: (13, 5))
    monkeypatch.setattr(driving.Driver, "version", property(lambda self: (12, 4)))
    with pytest.raises(RuntimeError, match=r"up to 12\.4, .* 13\.5; .*fastxavier\[cuda12\]"):
        old.check_version()
    monkeypatch.setattr(driving.Driver, "version", property(lambda self: (13, 0)))
    old.check_version()


@pytest.mark.skipif(
    importlib.util.find_spec("cuda") is not None, reason="the extra fastxavier[cuda] is installed"
)
def test_without_the_extra():
    memory = np.ones(3, np.float32)
    with pytest.raises(ImportError, match=r"pip install \"fastxavier\[cuda\]\""):
        fx.zeros_(fake_gpu.Array(memory))
    assert (memory == 1).all()
    found = fx.info()
    assert found.gpus == ()
    assert "fastxavier[cuda]" in str(found)


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiling.cache_folder() == tmp_path / "fastxavier" / "cuda"


def test_nothing_of_cuda_is_imported_with_the_package(gpu):
    assert _core.target_of(np.zeros(3)).place is None
    import subprocess
    import sys

    code = "import sys, fastxavier; print([m for m in sys.modules if m.split('.')[0] == 'cuda'])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_memory_of_a_torch_tensor(monkeypatch):
    """As much of it as torch without CUDA shows: a tensor's layout, and torch's current stream."""
    torch = pytest.importorskip("torch")
    asked = []

    def current_stream(device):
        asked.append(device)
        return OfTorch()

    monkeypatch.setattr(torch.cuda, "current_stream", current_stream)
    tensor = torch.empty(4, 6, dtype=torch.bfloat16).t()[1:]
    memory = tensor_memory(tensor)
    assert memory[:4] == (tensor.data_ptr(), (5, 4), (2, 12), "bfloat16")
    assert memory.place.stream == 78
    assert asked == [tensor.device]
    assert memory.place.stream_now() == 78
    assert len(asked) == 2
    monkeypatch.setattr(OfTorch, "cuda_stream", 80)
    assert memory.place.stream_now() == 80  # for models that are filled with many seeds
    assert tensor_memory(tensor, 5).place.stream_now() == 5
    monkeypatch.setattr(torch.version, "hip", "6.0")
    with pytest.raises(ValueError, match="AMD GPU"):
        tensor_memory(tensor)
