"""torch tensors: Parameters filled in place, and tensors without plain CPU memory refused."""

import signal

import numpy as np
import pytest

import fastxavier as fx

torch = pytest.importorskip("torch")

DTYPES = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.float16: np.float16,
    torch.bfloat16: None,  # NumPy has none: its bits are compared as integers
    torch.float8_e4m3fn: None,
    torch.float8_e5m2: None,
}
INITIALIZERS = [
    fx.Normal(),
    fx.Uniform(-1, 2),
    fx.TruncatedNormal(),
    fx.Constant(0.5),
    fx.he_normal(),
    fx.glorot_uniform(),
    fx.Orthogonal(),
    fx.Identity(),
    fx.Sparse(0.5),
    "lecun_normal",
]
every_initializer = pytest.mark.parametrize("initializer", INITIALIZERS, ids=repr)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def expected(shape, dtype, initializer, **key):
    """The bytes that fill_ writes into a NumPy array."""
    return fx.draw(shape, initializer, dtype=dtype, **key).tobytes()


# ---- filled --------------------------------------------------------------------------------------


@every_dtype
@every_initializer
def test_same_bits_as_numpy(dtype, initializer):
    """Tensors, leaves that require grad, Parameters: in place, and the object comes back."""
    key = {"seed": 7, "stream": "w"}
    for tensor in (
        torch.empty(12, 10, dtype=dtype),
        torch.empty(12, 10, dtype=dtype, requires_grad=True),
        torch.nn.Parameter(torch.empty(12, 10, dtype=dtype)),
        torch.nn.Buffer(torch.empty(12, 10, dtype=dtype)),
    ):
        address, version = tensor.data_ptr(), tensor._version
        assert fx.fill_(tensor, initializer, **key) is tensor
        assert bits(tensor) == expected((12, 10), dtype, initializer, **key)
        assert tensor.data_ptr() == address
        assert tensor._version > version


@every_dtype
def test_memory_layouts(dtype):
    """Transposed, strided, offset and channels-last tensors take the logical order."""
    for make in (
        lambda: torch.zeros(10, 12, dtype=dtype).T,
        lambda: torch.zeros(12, 30, dtype=dtype)[:, ::3],
        lambda: torch.zeros(40, 10, dtype=dtype)[3:15],
        lambda: torch.zeros(1, 12, 10, dtype=dtype)[0].narrow(0, 0, 12),
    ):
        tensor = make()
        fx.fill_(tensor, fx.Normal(), seed=7)
        assert bits(tensor) == expected((12, 10), dtype, fx.Normal(), seed=7)
        fx.orthogonal_(tensor, seed=7)
        assert bits(tensor) == expected((12, 10), dtype, "orthogonal", seed=7)
    image = torch.zeros(4, 3, 5, 6, dtype=dtype).to(memory_format=torch.channels_last)
    fx.he_normal_(image, seed=7)
    assert bits(image) == expected((4, 3, 5, 6), dtype, fx.he_normal(), seed=7)
    whole = torch.zeros(12, 30, dtype=dtype)
    fx.fill_(whole[:, ::3], fx.Uniform(1, 2), seed=7)
    assert not whole[:, 1::3].any()
    assert not whole[:, 2::3].any()


@pytest.mark.parametrize(
    "fill",
    [
        lambda w, **key: fx.fill_(w, fx.Normal(), **key),
        lambda w, **key: fx.normal_(w, 3, 4, **key),
        lambda w, **key: fx.uniform_(w, 3, 4, **key),
        lambda w, **key: fx.truncated_normal_(w, 3, 4, **key),
        lambda w, **key: fx.kaiming_normal_(w, **key),
        lambda w, **key: fx.orthogonal_(w, **key),
        lambda w, **key: fx.sparse_(w, 0.5, **key),
        lambda w, **key: fx.eye_(w, **key),
        lambda w, **key: fx.zeros_(w, **key),
        lambda w, **key: fx.init_({"0.weight": w}, **key),
        lambda w, **key: fx.init_({"w": w}, fx.Plan([fx.Rule("*", "orthogonal")]), **key),
    ],
    ids=range(11),
)
def test_autograd(fill):
    """Not recorded, no gradient, and a graph that needs the old values says so."""
    w = torch.nn.Parameter(torch.ones(4, 3))
    loss = (w * w).sum()
    version = w._version
    fill(w, seed=1)
    assert w._version > version
    assert w.is_leaf
    assert w.requires_grad
    assert w.grad is None
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    (3 * w).sum().backward()
    assert (w.grad == 3).all()


def test_refused_fill_leaves_the_version():
    """Nothing has changed, and a graph is still good."""
    w = torch.nn.Parameter(torch.ones(4, 3))
    loss = (w * w).sum()
    for call in (
        lambda: fx.fill_(w, fx.Normal(), threads=0),
        lambda: fx.fill_(w, fx.Normal(0, 1e38)),
        lambda: fx.normal_(w, 0, 1),
        lambda: fx.orthogonal_(w, -1),
        lambda: fx.dirac_(w),
        lambda: fx.fill_(w, fx.Orthogonal(), threads=0),
        lambda: fx.init_({"w": w}, fx.Plan([fx.Rule("*", "dirac")])),
    ):
        version = w._version
        with pytest.raises((TypeError, ValueError)):
            call()
        assert w._version == version
    assert (w == 1).all()
    loss.backward()
    assert (w.grad == 2).all()


def test_views_and_non_leaves():
    """A view of a leaf writes into it; a computed tensor keeps its place in the graph."""
    w = torch.nn.Parameter(torch.ones(4, 3))
    version = w._version
    fx.fill_(w[1], fx.Uniform(2, 3), seed=1)
    assert w._version > version
    assert (w[1] >= 2).all()
    assert (w[[0, 2, 3]] == 1).all()
    assert w.is_leaf
    computed = w * 2
    grad_fn = computed.grad_fn
    fx.fill_(computed, fx.Constant(0.25))
    assert (computed == 0.25).all()
    assert computed.grad_fn is grad_fn


def test_detached_and_shared_memory():
    """detach, .data, NumPy's memory and shared memory are the memory that they show."""
    w = torch.nn.Parameter(torch.zeros(4, 3))
    for tensor in (w.detach(), w.data):
        fx.fill_(tensor, fx.Constant(float(torch.rand(1))))
        assert (w == tensor).all()
    array = np.zeros((4, 3))
    fx.fill_(torch.from_numpy(array), fx.Normal(), seed=1)
    assert array.tobytes() == expected((4, 3), np.float64, fx.Normal(), seed=1)
    shared = torch.zeros(4, 3).share_memory_()
    fx.fill_(shared, fx.Normal(), seed=1)
    assert bits(shared) == expected((4, 3), np.float32, fx.Normal(), seed=1)
    with torch.inference_mode():
        inference = torch.zeros(4, 3)
        fx.fill_(inference, fx.Normal(), seed=1)
    assert bits(inference) == bits(shared)


def test_copy_on_write():
    """A lazy clone is made before it is written: the other tensor keeps its values."""
    w = torch.ones(4, 3)
    clone = torch._lazy_clone(w)
    fx.fill_(clone, fx.Constant(0.25))
    assert (clone == 0.25).all()
    assert (w == 1).all()


def test_scalars_and_empty_tensors():
    """No axis, and no elements."""
    scalar = torch.zeros(())
    assert fx.fill_(scalar, fx.Uniform(1, 2), seed=7) is scalar
    assert bits(scalar) == expected((), np.float32, fx.Uniform(1, 2), seed=7)
    for shape in ((0,), (3, 0), (0, 3)):
        empty = torch.nn.Parameter(torch.empty(shape))
        assert fx.fill_(empty, fx.Normal(), seed=7) is empty
        assert fx.normal_(empty, 0, 0, seed=7) is empty
    freed = torch.ones(0)
    freed.untyped_storage().resize_(0)
    assert fx.fill_(freed, fx.Normal()) is freed


def test_shards():
    """A part of a larger tensor, as of NumPy."""
    whole = fx.draw((12, 10), fx.he_normal(), seed=7, stream="w")
    part = torch.nn.Parameter(torch.empty(5, 10))
    fx.he_normal_(part, seed=7, stream="w", global_shape=(12, 10), offset=(4, 0))
    assert bits(part) == whole[4:9].tobytes()
    fx.he_normal_(
        part, seed=7, stream="w", global_shape=torch.Size((12, 10)), offset=torch.tensor([4, 0])
    )
    assert bits(part) == whole[4:9].tobytes()


class Plain(torch.Tensor):
    """A subclass that changes nothing."""


class Unreadable(torch.Tensor):
    """A subclass that lets no function of torch look at it."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), keywords=None):
        raise RuntimeError("not to be read")


@pytest.mark.parametrize("kind", [Plain, Unreadable])
def test_subclasses_with_plain_memory(kind):
    """Their values lie where a plain tensor's do."""
    plain = torch.zeros(4, 3)
    w = plain.as_subclass(kind)
    version = plain._version
    assert fx.fill_(w, fx.Normal(), seed=1) is w
    assert fx.he_normal_(w, seed=1) is w
    assert bits(plain) == expected((4, 3), np.float32, fx.he_normal(), seed=1)
    assert plain._version >= version + 2


# ---- refused -------------------------------------------------------------------------------------


class Wrapper(torch.Tensor):
    """A tensor without memory of its own, as DTensor is: it holds another one."""

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), keywords=None):
        raise AssertionError("nothing may be asked of it")


def fake(**options):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(**options):
        return torch.empty(4, 3)


def freed(share):
    """A tensor whose storage has been given back, wholly or in part."""
    tensor = torch.ones(4, 3)
    storage = tensor.untyped_storage()
    storage.resize_(int(storage.nbytes() * share))
    return tensor


def conjugate():
    return torch.ones(4, 3, dtype=torch.complex64).conj()


@pytest.fixture
def group():
    """A process group of two, of which this is the first."""
    fake_group = pytest.importorskip("torch.testing._internal.distributed.fake_pg")
    torch.distributed.init_process_group("fake", store=fake_group.FakeStore(), rank=0, world_size=2)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_dtensor():
    """Refused by name, whole or as a Parameter; its local tensor is filled."""
    distributed = pytest.importorskip("torch.distributed.tensor")
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (2,))
    local = torch.zeros(4, 3)
    tensor = distributed.DTensor.from_local(local, mesh, [distributed.Shard(0)], run_check=False)
    for held in (tensor, torch.nn.Parameter(tensor)):
        for call in (
            lambda held=held: fx.fill_(held, fx.Normal(), seed=1),
            lambda held=held: fx.orthogonal_(held, seed=1),
            lambda held=held: fx.init_({"a.weight": held}, "default", seed=1),
            lambda held=held: fx.verify(held, fx.Normal()),
        ):
            with pytest.raises(TypeError, match="DTensor, whose values lie elsewhere"):
                call()
    assert not local.any()
    fx.fill_(tensor.to_local(), fx.Normal(), seed=1, global_shape=(8, 3), offset=(0, 0))
    assert local.all()


REFUSED = {
    "meta": (lambda: torch.empty(4, 3, device="meta"), ValueError, "'meta'.*to_empty"),
    "meta Parameter": (
        lambda: torch.nn.Linear(3, 4, device="meta").weight,
        ValueError,
        "'meta'.*to_empty",
    ),
    "sparse COO": (lambda: torch.eye(4).to_sparse(), TypeError, "sparse_coo"),
    "sparse CSR": (lambda: torch.eye(4).to_sparse_csr(), TypeError, "sparse_csr"),
    "mkldnn": (lambda: torch.ones(4, 3).to_mkldnn(), TypeError, "_mkldnn"),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.ones(4, 3), 0.1, 0, torch.qint8),
        TypeError,
        "quantized",
    ),
    "nested": (
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        TypeError,
        "nested",
    ),
    "jagged": (
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        TypeError,
        "NestedTensor",
    ),
    "negative": (lambda: torch._neg_view(torch.ones(4, 3)), ValueError, "negative bit"),
    "imaginary": (lambda: conjugate().imag, ValueError, "negative bit"),
    "conjugate": (conjugate, ValueError, "conjugate bit"),
    "complex": (lambda: torch.ones(4, 3, dtype=torch.complex64), TypeError, "complex64"),
    "int": (lambda: torch.ones(4, 3, dtype=torch.int32), TypeError, r"torch\.int32"),
    "bool": (lambda: torch.ones(4, 3, dtype=torch.bool), TypeError, r"torch\.bool"),
    "float8": (
        lambda: torch.ones(4, 3).to(torch.float8_e4m3fnuz),
        TypeError,
        r"torch\.float8_e4m3fnuz",
    ),
    "fake": (fake, TypeError, "FakeTensor, whose values lie elsewhere"),
    "wrapper": (
        lambda: Wrapper(torch.ones(4, 3)),
        TypeError,
        "Wrapper, whose values lie elsewhere",
    ),
    "freed": (lambda: freed(0), ValueError, "storage of 0 bytes is too small or has been freed"),
    "one element freed": (lambda: freed(11 / 12), ValueError, "storage of 44 bytes is too small"),
    "half freed": (lambda: freed(0.5), ValueError, "storage of 24 bytes"),
    "expanded": (lambda: torch.ones(4, 1).expand(4, 3), ValueError, "share memory"),
    "expanded Parameter": (
        lambda: torch.nn.Parameter(torch.ones(1, 3).expand(4, 3)),
        ValueError,
        "share memory",
    ),
    "uninitialized": (
        lambda: torch.nn.LazyLinear(3).weight,
        ValueError,
        "UninitializedParameter of a lazy module",
    ),
    "zero tensor": (lambda: torch._efficientzerotensor(4, 3), ValueError, "data pointer is NULL"),
    "too many axes": (lambda: torch.ones([1] * 65), ValueError, "65 axes"),
}


@pytest.mark.filterwarnings("ignore:.*(prototype|Sparse|deprecated|quantiz).*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    """TypeError or ValueError by every way in; no stream is taken, nothing written."""
    make, error, message = REFUSED[case]
    for call in (
        lambda w: fx.fill_(w, fx.Normal()),
        lambda w: fx.fill_(w, fx.Constant(3)),
        lambda w: fx.fill_(w, "he_normal"),
        lambda w: fx.normal_(w, 3, 4),
        lambda w: fx.he_normal_(w),
        lambda w: fx.orthogonal_(w),
        lambda w: fx.eye_(w),
    ):
        tensor = make()
        fx.manual_seed(6)
        with pytest.raises(error, match=message) as raised:
            call(tensor)
        assert raised.value.argument == "array"
        taken = fx.draw(9, fx.Normal())
        assert (taken == fx.draw(9, fx.Normal(), seed=6, stream=0)).all()
        if isinstance(tensor, Wrapper):
            assert (tensor.held == 1).all()
        elif case in ("negative", "expanded", "expanded Parameter"):
            assert (tensor.abs() == 1).all()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("transform", ["vmap", "grad", "jvp", "functionalize"])
def test_inside_a_transform(transform):
    """A tensor that torch.func made has no memory of its own; the one outside is left alone."""
    outside = torch.ones(4, 3)

    def fill(w):
        return fx.fill_(w, fx.Normal()).sum()

    calls = {
        "vmap": lambda: torch.func.vmap(fill)(outside),
        "grad": lambda: torch.func.grad(fill)(outside),
        "jvp": lambda: torch.func.jvp(fill, (outside,), (outside,)),
        "functionalize": lambda: torch.func.functionalize(fill)(outside),
    }
    with pytest.raises(TypeError, match=r"inside a torch\.func transform"):
        calls[transform]()
    assert (outside == 1).all()


def test_inside_a_fake_mode():
    """A real tensor of which torch would show a fake one."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    outside = torch.ones(4, 3)
    for mode in (FakeTensorMode(), FakeTensorMode(allow_non_fake_inputs=True)):
        with mode, pytest.raises(TypeError, match="under a dispatch mode"):
            fx.fill_(outside, fx.Normal())
    assert (outside == 1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_on_a_gpu():
    """The bits of the CPU; `make gpu` has the other tests of real GPUs."""
    there = fx.fill_(torch.empty(33, device="cuda"), fx.Normal(), seed=7)
    assert torch.equal(there.cpu(), fx.fill_(torch.empty(33), fx.Normal(), seed=7))


def test_what_is_not_a_tensor():
    """A module, its list of parameters, a storage, a dtype."""
    module = torch.nn.Linear(3, 4)
    for thing in (
        module,
        list(module.parameters()),
        module.weight.untyped_storage(),
        torch.float32,
    ):
        with pytest.raises(TypeError, match="array is"):
            fx.fill_(thing, fx.Normal())


# ---- interrupted ---------------------------------------------------------------------------------


class InterruptedFill(Exception):  # noqa: N818
    """What a handler or the caller's function raises."""


@pytest.fixture
def interrupt():
    """A signal handler that raises, soon after it is asked to."""

    def handler(number, frame):
        raise InterruptedFill

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


LONG = fx.TruncatedNormal(0, 1, -3, 5)  # some 100 ms for what is drawn of it here on one thread


def raising(done):
    """A progress function that does not let a fill end."""
    if done > 0:
        raise InterruptedFill


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
@pytest.mark.parametrize("call", ["fill_", "init_", "progress"])
def test_interrupted_fill_counts_as_a_change(interrupt, call):
    """Some values have been written: the version goes up though the fill has failed."""
    w = torch.zeros(1 << 26)
    version = w._version
    plan = fx.Plan([fx.Rule("*", LONG)])
    calls = {
        "fill_": lambda: fx.fill_(w, LONG, seed=1, threads=1),
        "init_": lambda: fx.init_({"w": w}, plan, seed=1, threads=1),
        "progress": lambda: fx.init_({"w": w}, plan, seed=1, threads=1, progress=raising),
    }
    if call != "progress":
        interrupt(0.02)
    with pytest.raises(InterruptedFill):
        calls[call]()
    assert w._version > version
    assert w[0] != 0
    assert w[-1] == 0
