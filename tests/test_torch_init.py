"""fastxavier.torch.init: torch's signatures, warnings, errors and distributions."""

import copy
import inspect
import math
import warnings

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")

import fastxavier.torch  # noqa: E402
from fastxavier.torch import _tensors, info, init  # noqa: E402

NN_INIT = torch.nn.init
FILLS = [name for name in NN_INIT.__all__ if name.endswith("_")]
ARGUMENTS = {"constant_": (0.25,), "sparse_": (0.3,)}
RANDOM = [
    name for name in FILLS if "generator" in inspect.signature(getattr(init, name)).parameters
]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
every_fill = pytest.mark.parametrize("name", FILLS)


def shape_for(name):
    return (6, 4, 5) if name == "dirac_" else (12, 10)


def call(name, tensor, **settings):
    return getattr(init, name)(tensor, *ARGUMENTS.get(name, ()), **settings)


@pytest.fixture(autouse=True)
def counted():
    """Counts of this test alone."""
    info(reset=True)


# ---- the functions -------------------------------------------------------------------------------


def test_every_name_of_torch():
    assert set(NN_INIT.__all__) == set(init.__all__)
    assert set(NN_INIT.__all__) <= set(fastxavier.torch.__all__)
    for name in NN_INIT.__all__:
        assert getattr(fastxavier.torch, name) is getattr(init, name)
        assert getattr(init, name).__name__ == getattr(NN_INIT, name).__name__
        assert getattr(init, name).__doc__


@every_fill
def test_signature(name):
    """Names, order, kinds and defaults, so that each way to write a call works."""
    ours, theirs = (inspect.signature(getattr(one, name)) for one in (init, NN_INIT))
    parts = [
        [(p.name, p.kind, p.default, type(p.default)) for p in one.parameters.values()]
        for one in (ours, theirs)
    ]
    assert parts[0] == parts[1]


def test_calculate_gain():
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu", 0.2) == NN_INIT.calculate_gain("leaky_relu", 0.2)
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        init.calculate_gain("nothing")


@every_fill
def test_leaf_that_requires_grad(name):
    """Without autograd, in place, with a new version; the object given comes back."""
    w = torch.nn.Parameter(torch.zeros(shape_for(name)))
    address, version = w.data_ptr(), w._version
    assert call(name, w) is w
    assert w.is_leaf
    assert w.grad_fn is None
    assert w.requires_grad
    assert w.data_ptr() == address
    assert w._version > version
    assert info().drawn == {name: 1}
    assert not info().torch


def test_autograd_notices_the_change():
    w = torch.ones(3, requires_grad=True)
    loss = (w * w).sum()
    init.normal_(w)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# ---- randomness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RANDOM)
def test_torchs_generator_governs(name):
    """The same seed gives the same values, by manual_seed or a generator, and calls differ."""
    w, other = torch.zeros(shape_for(name)), torch.zeros(shape_for(name))
    torch.manual_seed(5)
    call(name, w)
    state = torch.get_rng_state()
    call(name, other)
    assert not torch.equal(w, other)
    torch.manual_seed(5)
    call(name, other)
    assert torch.equal(w, other)
    assert torch.equal(torch.get_rng_state(), state)
    call(name, other, generator=torch.Generator().manual_seed(5))
    assert torch.equal(w, other)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.random.fork_rng():
        call(name, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_draw_of_64_bits():
    """Whatever the size of the tensor, the generator goes on as after one number of 64 bits."""
    after = []
    for size in (1, 7, 10_000):
        torch.manual_seed(5)
        init.normal_(torch.empty(size))
        after.append(torch.rand(3))
    torch.manual_seed(5)
    number = int(torch.empty((), dtype=torch.int64).random_(-(2**63), None)) % 2**64
    after.append(torch.rand(3))
    assert all(torch.equal(one, after[0]) for one in after)
    w = init.normal_(torch.empty(100), generator=torch.Generator().manual_seed(5))
    expected = fastxavier.draw(100, fastxavier.Normal(), seed=number, stream=0)
    assert np.array_equal(w.numpy(), expected)


@pytest.mark.parametrize("name", [name for name in FILLS if name not in RANDOM])
def test_constants_take_no_number(name):
    state = torch.get_rng_state()
    call(name, torch.empty(shape_for(name)))
    assert torch.equal(torch.get_rng_state(), state)


def test_refused_calls_take_no_number_of_ours():
    """Where torch's function raises, its generator is as it was."""
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        init.normal_(torch.empty(3), 0.0, -1.0)
    assert torch.equal(torch.get_rng_state(), state)


# ---- what goes to torch --------------------------------------------------------------------------


class Subclass(torch.Tensor):
    pass


OTHERS = {
    "meta": lambda: torch.empty(12, 10, device="meta"),
    "subclass": lambda: torch.zeros(12, 10).as_subclass(Subclass),
    "complex64": lambda: torch.zeros(12, 10, dtype=torch.complex64),
    "empty": lambda: torch.zeros(0, 10),
}


@pytest.mark.parametrize("why", ["meta", "subclass", "complex64", "empty"])
def test_goes_to_torch(why):
    """The values are torch's own, from the same generator."""
    w, other = OTHERS[why](), OTHERS[why]()
    torch.manual_seed(5)
    assert init.normal_(w) is w
    torch.manual_seed(5)
    NN_INIT.normal_(other)
    if why != "meta":
        assert torch.equal(w, other)
    assert info().torch == {("normal_", why): 1}
    assert not info().drawn


def test_sparse_layout_and_modes():
    sparse = torch.zeros(3, 4).to_sparse()
    init.zeros_(sparse)
    assert info(reset=True).torch == {("zeros_", "sparse"): 1}

    class Mode(torch.overrides.TorchFunctionMode):
        seen = ()

        def __torch_function__(self, function, types, args=(), kwargs=None):
            self.seen = (*self.seen, getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    with Mode() as mode:
        init.normal_(torch.zeros(3))
    assert "normal_" in mode.seen
    assert info(reset=True).torch == {("normal_", "mode"): 1}
    with torch._subclasses.FakeTensorMode():
        init.normal_(torch.zeros(3))
    ((name, why),) = info(reset=True).torch
    assert name == "normal_"
    assert why in ("subclass", "mode")
    with torch.device("cpu"):
        init.normal_(torch.zeros(3))
    assert info(reset=True).drawn == {"normal_": 1}


def test_inference_tensors():
    with torch.inference_mode():
        w = init.normal_(torch.zeros(100))
        assert w.std() > 0.5
    assert info().torch == {("normal_", "inference"): 1}


@every_fill
def test_meta_is_left_alone(name):
    w = torch.empty(shape_for(name), device="meta")
    state = torch.get_rng_state()
    assert call(name, w) is w
    assert w.is_meta
    assert torch.equal(torch.get_rng_state(), state)


REFUSED = [
    ("uniform_", (torch.zeros(3), 2.0, 1.0)),
    ("normal_", (torch.zeros(3), 0.0, -1.0)),
    ("normal_", (torch.zeros(3, dtype=torch.int64),)),
    ("normal_", (torch.zeros(1).expand(3),)),
    ("xavier_uniform_", (torch.zeros(3),)),
    ("xavier_normal_", (torch.zeros(()),)),
    ("xavier_uniform_", (torch.zeros(3, 4), -1.0)),
    ("kaiming_uniform_", (torch.zeros(3),)),
    ("kaiming_normal_", (torch.zeros(3, 4), 0, "fan_avg")),
    ("kaiming_normal_", (torch.zeros(3, 4), 0, 5)),
    ("kaiming_uniform_", (torch.zeros(3, 4), 0, "fan_in", "nothing")),
    ("kaiming_uniform_", (torch.zeros(3, 4), True)),
    ("eye_", (torch.zeros(3),)),
    ("dirac_", (torch.zeros(3, 4),)),
    ("dirac_", (torch.zeros(3, 4, 5), 2)),
    ("orthogonal_", (torch.zeros(3),)),
    ("sparse_", (torch.zeros(3), 0.1)),
    ("constant_", (torch.zeros(3), "a")),
    ("uniform_", (5,)),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_errors_are_torchs(name, arguments):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        getattr(NN_INIT, name)(*copy.deepcopy(arguments))
    with pytest.raises(type(theirs.value)) as ours:
        getattr(init, name)(*arguments)
    assert str(ours.value) == str(theirs.value)
    assert not info().drawn


ALLOWED = [
    ("normal_", (math.inf,)),
    ("normal_", (0.0, 1e38)),
    ("uniform_", (-math.inf, 0.0)),
    ("orthogonal_", (-2.0,)),
    ("constant_", (math.nan,)),
    ("sparse_", (1.5,)),
]


@pytest.mark.parametrize(("name", "settings"), ALLOWED)
def test_what_only_torch_takes(name, settings):
    """Settings that a distribution here refuses end as in torch, be that an error."""
    ends = []
    for module in (NN_INIT, init):
        w = torch.zeros(4, 3)
        torch.manual_seed(5)
        try:
            ends.append(getattr(module, name)(w, *settings).tolist())
        except Exception as error:
            ends.append(str(error))
    assert str(ends[0]) == str(ends[1])


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_warning_of_tensors_without_elements(name):
    """torch's words, at the line of the call."""
    w = torch.empty(0, 3)
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op") as seen:
        assert getattr(init, name)(w) is w
    assert [one.filename for one in seen] == [__file__]


def test_warning_of_far_bounds():
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        w = init.trunc_normal_(torch.empty(1000), 0.0, 1.0, 3.0, 4.0)
    assert ((w >= 3) & (w <= 4)).all()
    assert info().drawn == {"trunc_normal_": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        init.trunc_normal_(torch.empty(1000))


@pytest.mark.parametrize("name", [one for one in NN_INIT.__all__ if f"{one}_" in FILLS])
def test_deprecated_names(name):
    w = torch.empty(shape_for(f"{name}_"))
    with pytest.warns(FutureWarning, match=rf"`nn.init.{name}` is now deprecated") as seen:
        getattr(init, name)(w, *ARGUMENTS.get(f"{name}_", ()))
    assert seen[0].filename == __file__
    assert info().drawn == {f"{name}_": 1}


# ---- distributions -------------------------------------------------------------------------------

LAYOUTS = {
    "contiguous": lambda *shape, **kind: torch.zeros(*shape, **kind),
    "transposed": lambda *shape, **kind: torch.zeros(*shape[::-1], **kind).permute(
        *reversed(range(len(shape)))
    ),
    "strided": lambda *shape, **kind: torch.zeros(*shape[:-1], 2 * shape[-1], **kind)[..., ::2],
    "channels_last": lambda *shape, **kind: torch.zeros(*shape, **kind).to(
        memory_format=torch.channels_last
    ),
}
MATRIX, KERNEL = (150, 200), (40, 15, 5, 10)
CASES = [
    ("uniform_", (-0.5, 2.0), MATRIX),
    ("normal_", (0.3, 0.02), MATRIX),
    ("trunc_normal_", (), MATRIX),
    ("trunc_normal_", (0.0, 0.02), MATRIX),
    ("trunc_normal_", (0.1, 0.5, -0.2, 0.7), MATRIX),
    ("trunc_normal_", (0.0, 1.0, 1.0, 3.0), MATRIX),
    ("xavier_uniform_", (), KERNEL),
    ("xavier_normal_", (2.0,), KERNEL),
    ("kaiming_uniform_", (5**0.5,), KERNEL),
    ("kaiming_uniform_", (0, "fan_out", "tanh"), KERNEL),
    ("kaiming_normal_", (0.2,), KERNEL),
    ("kaiming_normal_", (0, "FAN_OUT", "relu"), KERNEL),
    ("orthogonal_", (1.5,), MATRIX),
    ("sparse_", (0.3, 0.5), MATRIX),
]
EXACT = [
    ("constant_", (0.3,), MATRIX),
    ("ones_", (), MATRIX),
    ("zeros_", (), KERNEL),
    ("eye_", (), MATRIX),
    ("dirac_", (2,), KERNEL),
]


def pair(name, settings, shape, dtype, layout):
    """What both write, as float64."""
    found = []
    for module in (init, NN_INIT):
        w = LAYOUTS[layout](*shape, dtype=dtype)
        if name == "orthogonal_" and module is NN_INIT:
            w = torch.zeros(shape, dtype=torch.promote_types(dtype, torch.float32))
        torch.manual_seed(11)
        getattr(module, name)(w, *settings)
        found.append(w.double().numpy())
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("name", "settings", "shape"), CASES)
def test_distribution_of_torch(name, settings, shape, dtype, layout):
    """Mean, std, bounds, zeros and the test of Kolmogorov and Smirnov, beside torch's values."""
    if layout == "channels_last" and len(shape) != 4:
        layout = "contiguous"
    ours, theirs = pair(name, settings, shape, dtype, layout)
    assert info().drawn == {name: 1}
    size, std = ours.size, theirs.std()
    assert abs(ours.mean() - theirs.mean()) < 8 * std / math.sqrt(size)
    assert abs(ours.std() / std - 1) < 0.03
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-5
    if name in ("uniform_", "xavier_uniform_", "kaiming_uniform_"):
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.01)
    if name == "sparse_":
        assert ((ours == 0).sum(axis=0) == (theirs == 0).sum(axis=0)).all()
    if name == "orthogonal_":
        epsilon = float(torch.finfo(dtype).eps)
        gram = ours @ ours.T / settings[0] ** 2
        assert np.abs(gram - np.eye(len(gram))).max() < 2 * epsilon + 1e-5


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("name", "settings", "shape"), EXACT)
def test_values_of_torch(name, settings, shape, dtype, layout):
    if layout == "channels_last" and len(shape) != 4:
        layout = "contiguous"
    ours, theirs = pair(name, settings, shape, dtype, layout)
    assert info().drawn == {name: 1}
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.1, 0.7, 0.0999, 0.1001), (1.0, 0.3, 0.9997, 1.0002), (0.0, 0.03, -0.00001, 0.00003)],
)
def test_bounds_are_absolute_to_the_last_digit(dtype, mean, std, a, b):
    """Within bounds so near that they are reached, both as the dtype rounds them."""
    w = init.trunc_normal_(torch.empty(200_000, dtype=dtype), mean, std, a, b)
    assert info().drawn == {"trunc_normal_": 1}
    least, most = torch.tensor([a, b], dtype=dtype)
    assert w.min() >= least
    assert w.max() <= most
    assert w.min() < w.max() or least == most or dtype in (torch.float16, torch.bfloat16)


class Gpu:
    """What is asked of the driver; as broken as a test wants it."""

    def check_version(self):
        pass

    def architecture(self, device):
        return f"sm_{90 + device}"


class OldDriver(Gpu):
    def check_version(self):
        raise RuntimeError("the NVIDIA driver knows CUDA up to 11.8")


class OldGpu(Gpu):
    def architecture(self, device):
        raise RuntimeError("the GPU has compute capability 6.1")


def no_extra():
    raise ImportError("arrays on a GPU need cuda-core")


@pytest.mark.parametrize(
    ("device", "driver", "capturing", "why"),
    [
        ("cuda:1", Gpu, False, None),
        ("cuda:1", Gpu, True, "capture"),
        ("cuda:0", OldDriver, False, "cuda"),
        ("cuda:0", OldGpu, False, "cuda"),
        ("cuda:0", no_extra, False, "cuda"),
        ("xpu:0", Gpu, False, "xpu"),
        ("meta", Gpu, False, "meta"),
    ],
)
def test_which_devices_are_filled(monkeypatch, device, driver, capturing, why):
    """Those of NVIDIA for which there are kernels, outside of graphs, which torch draws anew."""

    class Tensor:
        layout, dtype = torch.strided, torch.float32
        is_inference, numel = (lambda self: False), (lambda self: 3)

    Tensor.device = torch.device(device)
    monkeypatch.setattr(_tensors, "_PLAIN", {Tensor})
    monkeypatch.setattr(_tensors, "driver", driver)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    _tensors._fills.cache_clear()
    try:
        assert _tensors.why_not(Tensor()) == why
    finally:
        _tensors._fills.cache_clear()


def test_on_which_device_the_seed_is_drawn(monkeypatch):
    """On that of the tensor, if a generator is given: torch then says if it is of another."""
    asked = []
    empty = torch.empty

    def on_the_cpu(*shape, device, **settings):
        asked.append(str(device))
        return empty(*shape, device="cpu", **settings)

    generator = torch.Generator().manual_seed(3)
    monkeypatch.setattr(torch, "empty", on_the_cpu)
    first = _tensors.Draw(generator, torch.device("cuda:1")).take()
    _tensors.Draw(None, torch.device("cuda:1")).take()
    assert asked == ["cuda:1", "cpu"]
    monkeypatch.undo()
    assert _tensors.Draw(generator.manual_seed(3), torch.device("cpu")).take() == first
