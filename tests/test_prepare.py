"""prepare: a model filled again and again as `init_` fills it, and never in memory that is gone."""

import array
import gc
import itertools
import pickle
import threading
import weakref

import cases
import numpy as np
import pytest

import fastxavier as fx
from fastxavier import Plan, Rule

strided = np.lib.stride_tricks.as_strided
PLAN = Plan(
    [
        Rule("o*", "orthogonal"),
        Rule("s*", "sparse", sparsity=0.5),
        Rule("i*", "identity"),
        Rule("n*", "ones"),
        Rule("t*", fx.TruncatedNormal(0.0, 0.02)),
        Rule("never", "zeros"),
        Rule("g*", "glorot_normal", ndim="2+"),
        Rule("*", "he_uniform", ndim="2+"),
    ]
)


def model(dtype=np.float32):
    """Tensors of each kind, small and large, in several layouts."""
    return {
        "o": np.full((9, 12), 99, dtype),
        "s": np.full((15, 8), 99, dtype),
        "i": np.full((5, 5), 99, dtype),
        "n": np.full(3, 99, np.int64),
        "n.flag": np.full((), True),
        "t": np.full(63, 99, dtype),
        "t.scalar": np.full((), 99, dtype),
        "g": np.full((300, 211), 99, dtype),
        "g.transposed": np.full((30, 21), 99, dtype).T,
        "u": np.full((30, 42), 99, dtype)[:, ::2],
        "empty": np.empty((0, 3), dtype),
    }


def untouched(arrays):
    return all(
        (np.asarray(one) == (99 if one.dtype != bool else True)).all() for one in arrays.values()
    )


def same(arrays, others):
    for name, one in arrays.items():
        assert one.tobytes() == others[name].tobytes(), name


# ---- the same as init_ ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("threads", [None, 1, 3])
def test_values_of_init(dtype, threads):
    """Bit for bit, whatever has been drawn before."""
    arrays, others = model(cases.DTYPES[dtype]), model(cases.DTYPES[dtype])
    prepared = fx.prepare(arrays, PLAN)
    assert untouched(arrays)
    for seed in (7, 8, 1 << 70, 7):
        prepared.init_(seed=seed, threads=threads)
        fx.init_(others, PLAN, seed=seed, threads=threads)
        same(arrays, others)


@pytest.mark.parametrize("plan", [None, "default", "gpt2", fx.resnet_plan()])
def test_plans_of_init(plan):
    names = ["h.0.mlp.c_proj.weight", "h.1.mlp.c_proj.weight"] if plan == "gpt2" else ["fc.weight"]
    arrays, others = ({name: np.empty((8, 6), np.float32) for name in names} for _ in range(2))
    fx.prepare(arrays, plan).init_(seed=3)
    fx.init_(others, plan, seed=3)
    same(arrays, others)


def test_many_small_tensors():
    """Several to a task, of two distributions in turn and of every small size."""
    arrays, others = (
        {f"{'gu'[i % 3 > 1]}{i}": np.zeros((1 + i * 37 % 411, 11), np.float32) for i in range(300)}
        for _ in range(2)
    )
    prepared = fx.prepare(arrays, PLAN)
    for seed, threads in itertools.product((1, 2), (1, 3)):
        prepared.init_(seed=seed, threads=threads)
        fx.init_(others, PLAN, seed=seed, threads=1)
        same(arrays, others)


def test_report_of_init():
    arrays, others = model(), model()
    report = fx.prepare(arrays, PLAN).init_(seed=7)
    expected = fx.init_(others, PLAN, seed=7)
    assert report.tensors == expected.tensors
    assert report.rows == expected.rows
    assert report.unused_rules == expected.unused_rules == (PLAN.rules[5],)
    assert (report.seed, report.nbytes) == (expected.seed, expected.nbytes) == (7, report.nbytes)
    assert report.seconds > 0


def test_places():
    whole = {name: one for name, one in model().items() if one.ndim == 2 and one.size}
    fx.init_(whole, PLAN, seed=7)
    rows = {name: np.empty_like(one[1:4]) for name, one in whole.items()}
    prepared = fx.prepare(
        rows, PLAN, places={name: (one.shape, (1, 0)) for name, one in whole.items()}
    )
    prepared.init_(seed=7)
    for name, one in rows.items():
        assert (one == whole[name][1:4]).all(), name


def test_a_random_part_needs_a_seed():
    arrays = {"g": np.full((3, 4), 99, np.float32)}
    prepared = fx.prepare(arrays, PLAN, places={"g": ((6, 4), (0, 0))})
    with pytest.raises(ValueError, match=r"tensor 'g'.*without a seed"):
        prepared.init_(seed=None)
    assert untouched(arrays)


@pytest.mark.parametrize(
    "source", [fx.Streams, np.random.default_rng, np.random.RandomState, np.random.SeedSequence]
)
def test_sources_of_seeds(source):
    """A source is asked once for each fill."""
    arrays, others = model(), model()
    prepared = fx.prepare(arrays, PLAN)
    one, other = source(5), source(5)
    for _ in range(2):
        report = prepared.init_(seed=one)
        assert report.seed == fx.init_(others, PLAN, seed=other).seed
        same(arrays, others)


def test_module_default():
    arrays = model()
    prepared = fx.prepare(arrays, PLAN)
    fx.manual_seed(11)
    assert prepared.init_().seed == 11


def test_progress():
    told = []
    fx.prepare(model(), PLAN).init_(seed=1, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert told.count(1.0) == 1


def test_nothing_to_do():
    assert fx.prepare({}).init_(seed=1).tensors == ()


# ---- what is fixed -------------------------------------------------------------------------------


def test_arrays_are_those_of_the_mapping_then():
    arrays = {"u": np.zeros((3, 4), np.float32)}
    before = arrays["u"]
    prepared = fx.prepare(arrays, PLAN)
    arrays["u"], arrays["new"] = np.zeros((3, 4), np.float32), np.zeros(3, np.float32)
    assert len(prepared.init_(seed=1).tensors) == 1
    assert before.all()
    assert not arrays["u"].any()


def test_mapping_that_makes_its_arrays():
    """Each is asked for once: what is filled is what is compared."""

    class Views(dict):
        def __getitem__(self, name):
            return super().__getitem__(name)[...]

    arrays = Views(model())
    fx.prepare(arrays, PLAN).init_(seed=1)
    assert not untouched(dict(arrays.items()))


def test_arrays_are_kept_alive():
    one = np.zeros((3, 4), np.float32)
    alive = weakref.ref(one)
    prepared = fx.prepare({"u": one}, PLAN)
    del one
    gc.collect()
    prepared.init_(seed=1)
    assert alive().all()
    del prepared
    gc.collect()
    assert alive() is None


def test_repr():
    assert repr(fx.prepare(model(), PLAN)).startswith("<Prepared: 11 tensors, ")


def test_memory_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(fx.prepare(model(), PLAN))


# ---- errors --------------------------------------------------------------------------------------

WRONG = {
    "no rule": {"x": np.full(3, 99, np.float32)},
    "shape": {"o": np.full(3, 99, np.float32)},
    "dtype": {"u": np.full((3, 4), 99, np.complex64)},
    "counted": {"u": np.full((3, 4), 99, np.int32)},
    "not a string": {1: np.full((3, 4), 99, np.float32)},
    "overlapping": {
        "u": np.lib.stride_tricks.as_strided(np.full(9, 99, np.float32), (3, 3), (4, 4))
    },
    "range": {"wide": np.full((3, 4), 99, np.float16)},
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_those_of_init(case):
    plan = Plan([Rule("wide", fx.Normal(0, 1e6)), *PLAN.rules])
    arrays = {**model(), **WRONG[case]}
    with pytest.raises((TypeError, ValueError)) as raised:
        fx.init_(arrays, plan, seed=1)
    with pytest.raises(type(raised.value)) as prepared:
        fx.prepare(arrays, plan)
    assert str(prepared.value) == str(raised.value)
    assert prepared.value.argument == raised.value.argument
    assert untouched(arrays)


SHARED = np.zeros((3, 4), np.float32)


def test_arguments_of_prepare():
    with pytest.raises(TypeError, match="arrays is"):
        fx.prepare([np.zeros(3)])
    with pytest.raises(TypeError, match="places is"):
        fx.prepare(model(), PLAN, places=3)
    with pytest.raises(ValueError, match="share memory"):
        fx.prepare({"a": SHARED, "b": SHARED[1:]}, PLAN)


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"threads": 0}, "threads"), ({"seed": -1}, "seed"), ({"seed": 1, "progress": 3}, "progress")],
)
def test_arguments_of_a_fill(options, argument):
    """Nothing is written and no seed drawn; the next fill works."""
    arrays = model()
    prepared = fx.prepare(arrays, PLAN)
    rng = np.random.default_rng(3)
    with pytest.raises((TypeError, ValueError)) as raised:
        prepared.init_(**{"seed": rng, **options})
    assert raised.value.argument == argument
    assert untouched(arrays)
    assert rng.random() == np.random.default_rng(3).random()
    prepared.init_(seed=1)
    assert not (arrays["g"] == 99).any()


# ---- memory that has changed ---------------------------------------------------------------------


def refused(prepared, *arrays):
    before = [one.tobytes() for one in arrays]
    with pytest.raises(
        (TypeError, ValueError), match=r"tensor 'changed': array.*read-only"
    ) as raised:
        prepared.init_(seed=1)
    assert raised.value.argument == "array"
    assert [one.tobytes() for one in arrays] == before


CHANGES = {
    "resized": lambda a: a.resize((400, 500), refcheck=False),
    "shrunk": lambda a: a.resize((1, 1), refcheck=False),
    "shape": lambda a: setattr(a, "shape", (8, 6)),
    "axes": lambda a: setattr(a, "shape", (48,)),
    "dtype": lambda a: setattr(a, "dtype", {4: np.int32, 8: np.float64}[a.itemsize]),
    "byte order": lambda a: setattr(a, "dtype", a.dtype.newbyteorder()),
    "read-only": lambda a: a.setflags(write=False),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_numpy_arrays(change, dtype):
    first = np.full((6, 8), 99, np.float32)
    one = np.full((6, 8), 99, dtype)
    plan = Plan([Rule("*", "ones")])
    prepared = fx.prepare({"first": first, "changed": one}, plan)
    prepared.init_(seed=1)
    first[:] = 99
    CHANGES[change](one)
    refused(prepared, first)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_strides_of_a_numpy_array():
    one = np.zeros((6, 6), np.float32)
    prepared = fx.prepare({"changed": one}, PLAN)
    try:
        one.strides = (4, 24)
    except AttributeError:
        pytest.skip("this NumPy does not let strides be set")
    refused(prepared, one.T)


def test_exporter_of_other_memory():
    first, second = np.full((6, 8), 99, np.float32), np.full((6, 8), 99, np.float32)
    for kind in (cases.Exporter, lambda memory: Interface(memory)):
        exporter = kind(first)
        prepared = fx.prepare({"changed": exporter}, PLAN)
        prepared.init_(seed=1)
        assert not (first == 99).any()
        exporter.array = second
        refused(prepared, first, second)
        exporter.array = first
        prepared.init_(seed=2)


class Interface:
    def __init__(self, memory):
        self.array = memory

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


def test_buffers_cannot_be_resized():
    one = array.array("f", [99] * 8)
    prepared = fx.prepare({"t": one}, PLAN)
    with pytest.raises(BufferError):
        one.append(1)
    prepared.init_(seed=1)
    assert 99 not in one
    del prepared
    gc.collect()
    one.append(1)


# ---- torch ---------------------------------------------------------------------------------------


def freed(torch, tensor):
    tensor.untyped_storage().resize_(0)


def moved(torch, tensor):
    tensor.untyped_storage().resize_(1 << 20)


def other_data(torch, tensor):
    tensor.data = torch.full((6, 8), 99, dtype=tensor.dtype)


def other_storage(torch, tensor):
    tensor.data.set_(torch.full((6, 8), 99, dtype=tensor.dtype))
    tensor.data = torch.full((6, 8), 99, dtype=tensor.dtype)


def transposed(torch, tensor):
    tensor.data = tensor.data.T


def shorter(torch, tensor):
    tensor.data = tensor.data[:3]


def negated(torch, tensor):
    tensor.data = torch._neg_view(tensor.data)


TORCH_CHANGES = [freed, moved, other_data, other_storage, transposed, shorter, negated]


@pytest.mark.parametrize("change", TORCH_CHANGES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64"])
def test_torch_tensors(change, dtype):
    torch = pytest.importorskip("torch")
    if dtype == "int64" and change in (freed, moved):
        return  # torch refuses: NumPy holds the storage
    first = np.full((6, 8), 99, np.float32)
    tensor = torch.full((6, 8), 99, dtype=getattr(torch, dtype))
    one = torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor
    plan = Plan([Rule("*", "ones")])
    prepared = fx.prepare({"first": first, "changed": one}, plan)
    prepared.init_(seed=1)
    assert (one == 1).all()
    first[:] = 99
    change(torch, one)
    refused(prepared, first)


def test_torch_module():
    torch = pytest.importorskip("torch")
    one, other = torch.nn.Linear(30, 20), torch.nn.Linear(30, 20)
    prepared = fx.prepare(dict(one.named_parameters()))
    for seed in (1, 2):
        versions = [parameter._version for parameter in one.parameters()]
        prepared.init_(seed=seed)
        assert all(p._version > v for p, v in zip(one.parameters(), versions, strict=True))
        fx.init_(dict(other.named_parameters()), seed=seed)
        assert torch.equal(one.weight, other.weight)


def test_under_a_dispatch_mode():
    torch = pytest.importorskip("torch")
    from torch._subclasses.fake_tensor import FakeTensorMode

    one = torch.full((6, 8), 99.0)
    prepared = fx.prepare({"u": one}, PLAN)
    with FakeTensorMode(), pytest.raises(TypeError, match="dispatch mode"):
        prepared.init_(seed=1)
    assert (one == 99).all()


def test_versions_with_an_older_torch(monkeypatch):
    """Which takes one tensor at a time."""
    torch = pytest.importorskip("torch")
    from fastxavier import _torch

    whole = _torch.increment_version

    def older(tensor):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError("_increment_version(): argument must be a Tensor")
        whole(tensor)

    monkeypatch.setattr(_torch, "increment_version", older)
    one = torch.zeros(6, 8)
    fx.prepare({"u": one}, PLAN).init_(seed=1)
    assert one._version == 1


# ---- threads -------------------------------------------------------------------------------------


def together(*calls):
    errors = []

    def run(call):
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_two_prepared_models_at_once():
    models = [model(), model()]
    prepared = [fx.prepare(one, PLAN) for one in models]

    def fill(number):
        for seed in (*range(20), number):
            prepared[number].init_(seed=seed)

    together(lambda: fill(0), lambda: fill(1))
    for number in range(2):
        others = model()
        fx.init_(others, PLAN, seed=number)
        same(models[number], others)


def test_one_prepared_model_in_many_threads():
    """Each call has its own seed, though all write to the same arrays."""
    arrays, others = model(), model()
    prepared = fx.prepare(arrays, PLAN)
    seeds = []

    def fill(seed):
        for _ in range(10):
            seeds.append(prepared.init_(seed=seed).seed == seed)

    together(*[lambda seed=seed: fill(seed) for seed in range(4)])
    assert all(seeds)
    assert len(seeds) == 40
    prepared.init_(seed=9)
    fx.init_(others, PLAN, seed=9)
    same(arrays, others)
