"""fastxavier.torch.init_: whole modules, with and without a plan, from meta, with ties."""

import copy
import io
import math

import numpy as np
import pytest
from scipy import stats
from test_torch_tensors import bits, expected

torch = pytest.importorskip("torch")

import fastxavier as fx  # noqa: E402
import fastxavier.torch as ft  # noqa: E402

nn = torch.nn
PLAN = fx.Plan(
    [
        fx.Rule("*", "zeros", ndim=0),
        fx.Rule("*", "he_normal", ndim="2+"),
        fx.Rule("*", "normal", std=0.5),
    ]
)

# Every class of torch.nn that has parameters or buffers of its own.
MODULES = {
    "Linear": lambda: nn.Linear(200, 100),
    "Linear without bias": lambda: nn.Linear(200, 100, bias=False),
    "Conv1d": lambda: nn.Conv1d(16, 64, 5),
    "Conv2d": lambda: nn.Conv2d(16, 64, 3, groups=4),
    "Conv3d": lambda: nn.Conv3d(8, 32, 3),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(16, 64, 5),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(16, 64, 3, groups=4),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(8, 32, 3),
    "Bilinear": lambda: nn.Bilinear(20, 30, 40),
    "Embedding": lambda: nn.Embedding(200, 50, padding_idx=3),
    "EmbeddingBag": lambda: nn.EmbeddingBag(200, 50, padding_idx=-1),
    "RNN": lambda: nn.RNN(30, 40, num_layers=2),
    "LSTM": lambda: nn.LSTM(30, 40, proj_size=10, bidirectional=True),
    "GRU": lambda: nn.GRU(30, 40),
    "RNNCell": lambda: nn.RNNCell(30, 40),
    "LSTMCell": lambda: nn.LSTMCell(30, 40),
    "GRUCell": lambda: nn.GRUCell(30, 40),
    "MultiheadAttention": lambda: nn.MultiheadAttention(64, 4, add_bias_kv=True),
    "MultiheadAttention of other sizes": lambda: nn.MultiheadAttention(64, 4, kdim=32, vdim=48),
    "MultiheadAttention without bias": lambda: nn.MultiheadAttention(64, 4, bias=False),
    "Transformer": lambda: nn.Transformer(32, 4, 1, 1, 64),
    "TransformerEncoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64), 2),
    "BatchNorm1d": lambda: nn.BatchNorm1d(20),
    "BatchNorm2d": lambda: nn.BatchNorm2d(20, affine=False),
    "BatchNorm3d": lambda: nn.BatchNorm3d(20),
    "SyncBatchNorm": lambda: nn.SyncBatchNorm(20),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(20, affine=True, track_running_stats=True),
    "GroupNorm": lambda: nn.GroupNorm(4, 20),
    "LayerNorm": lambda: nn.LayerNorm((4, 5)),
    "RMSNorm": lambda: nn.RMSNorm(20),
    "PReLU": lambda: nn.PReLU(20, init=0.1),
    "AdaptiveLogSoftmaxWithLoss": lambda: nn.AdaptiveLogSoftmaxWithLoss(40, 200, [20, 100]),
}


def garbage(module):
    """Values that no initializer gives."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.fill_(7)
    return module


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", MODULES)
def test_as_reset_parameters(name):
    """Without a plan each tensor has the distribution that torch's own constructor draws from."""
    torch.manual_seed(5)
    own = MODULES[name]()
    ours = garbage(copy.deepcopy(own))
    report, plan = ft.init_(ours, seed=7), ft.plan_for(own)
    assert {one.name for one in report.tensors} == set(own.state_dict())
    for key, w in own.state_dict().items():
        drawn = ours.state_dict()[key]
        assert drawn.dtype == w.dtype
        if w.unique().numel() <= 2:  # a constant
            assert torch.equal(w, drawn), key
            continue
        low, high = plan.distribution(key, tuple(w.shape)).bounds
        w, drawn = w.double().numpy().ravel(), drawn.double().numpy().ravel()
        assert stats.ks_2samp(w, drawn).pvalue > 1e-5, key
        assert low - 1e-7 <= min(w.min(), drawn.min()), key
        assert high + 1e-7 >= max(w.max(), drawn.max()), key
        assert (drawn == 0).sum() == (w == 0).sum(), key
        assert drawn.std() == pytest.approx(w.std(), rel=6 / math.sqrt(w.size)), key


def test_every_class_of_torch_is_in_the_table():
    """Each class of torch.nn that draws, but lazy modules and one that only has children."""
    table = ft._modules.TABLE
    for name in dir(nn):
        kind = getattr(nn, name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            continue
        draws = hasattr(kind, "reset_parameters") or hasattr(kind, "_reset_parameters")
        if draws and not name.startswith("Lazy") and kind is not nn.AdaptiveLogSoftmaxWithLoss:
            assert any(base in table for base in kind.__mro__), name


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.emb = nn.Embedding(10, 8, padding_idx=2)
        self.head = nn.Linear(8, 10, bias=False)
        self.head.weight = self.emb.weight

    def forward(self, x):
        return x


def test_names_are_streams():
    """Each tensor as fill_ with its name, by a plan and without one."""
    model = garbage(Block())
    ft.init_(model, PLAN, seed=7)
    for name, w in model.named_parameters():
        distribution = PLAN.distribution(name, tuple(w.shape))
        assert bits(w) == expected(tuple(w.shape), w.dtype, distribution, seed=7, stream=name)
    plan = ft.plan_for(model)
    same = {name: np.full(tuple(w.shape), 7, np.float32) for name, w in model.named_parameters()}
    fx.init_(same, plan, seed=7)
    ft.init_(model, seed=7)
    assert (model.emb.weight[2] == 0).all()
    same["emb.weight"][2] = 0
    for name, w in model.named_parameters():
        assert bits(w) == same[name].tobytes(), name


def test_plan_for_is_a_plan_like_any_other(tmp_path):
    model = Block()
    plan = ft.plan_for(model)
    assert fx.Plan.from_toml(plan.to_toml()) == plan
    assert any("layers.*.weight" in rule.names for rule in plan.rules)
    plan.save(tmp_path / "plan.toml")
    by_plan, without = garbage(Block()), garbage(Block())
    ft.init_(by_plan, fx.Plan.load(tmp_path / "plan.toml"), seed=7)
    ft.init_(without, seed=7)
    with torch.no_grad():
        by_plan.emb.weight[2] = 0
    for name, w in without.state_dict().items():
        assert bits(w) == bits(by_plan.state_dict()[name]), name


def test_globs_of_a_plan_mean_no_other_tensor():
    """Names that a glob of layers would also match get rules of their own."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
            self.layers[0].sub = nn.ModuleList([nn.LayerNorm(4)])
            self.add_module("a[b]", nn.Linear(4, 4))
            self.kernel = nn.Bilinear(4, 4, 4)

    model = Odd()
    plan = ft.plan_for(model)
    shapes = {name: tuple(w.shape) for name, w in model.named_parameters()}
    assert plan.distribution("layers.0.sub.0.weight", (4,)) == fx.Constant(1.0)
    assert plan.distribution("layers.1.weight", (4, 4)) == fx.Uniform(-0.5, 0.5)
    assert plan.distribution("a[b].weight", (4, 4)) == fx.Uniform(-0.5, 0.5)
    assert not plan.unused_rules(shapes)


def test_checkpoint_of_the_same_plan_and_seed(tmp_path):
    pytest.importorskip("safetensors")
    from safetensors.torch import load_file

    model = garbage(Block())
    ft.init_(model, PLAN, seed=7)
    tensors = {name: (w.dtype, tuple(w.shape)) for name, w in model.named_parameters()}
    fx.init_checkpoint(tmp_path / "model.safetensors", PLAN, tensors, seed=7)
    for name, w in load_file(tmp_path / "model.safetensors").items():
        assert bits(w) == bits(dict(model.named_parameters())[name])


# ---- tied tensors and names ----------------------------------------------------------------------


def test_tied_tensors_are_filled_once():
    model = garbage(Block())
    report = ft.init_(model, seed=7)
    names = [one.name for one in report.tensors]
    assert "emb.weight" in names
    assert "head.weight" not in names
    assert model.head.weight is model.emb.weight


def test_alias():
    """What is meant to be equal gets equal bits where it has memory of its own, or is alone."""
    model = garbage(Block())
    ft.init_(model, PLAN, seed=7)
    untied = garbage(Block())
    untied.head.weight = nn.Parameter(torch.full((10, 8), 7.0))
    ft.init_(untied, PLAN, seed=7, alias={"head.weight": "emb.weight"})
    assert bits(untied.head.weight) == bits(untied.emb.weight) == bits(model.emb.weight)
    stage = nn.ModuleDict({"head": nn.Linear(8, 10, bias=False)})
    ft.init_(stage, PLAN, seed=7, alias={"head.weight": "emb.weight"})
    assert bits(stage["head"].weight) == bits(model.emb.weight)
    stage.all_tied_weights_keys = {"head.weight": "emb.weight"}
    garbage(stage)
    ft.init_(stage, PLAN, seed=7)
    assert bits(stage["head"].weight) == bits(model.emb.weight)


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        ("head", "alias is 'head'"),
        ({"head.weight": 3}, "alias is"),
        ({"no.weight": "none.weight"}, "the module has neither"),
        ({"head.weight": "a.weight", "a.weight": "emb.weight"}, "an alias itself"),
    ],
)
def test_alias_refused(alias, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ft.init_(Block(), PLAN, seed=7, alias=alias)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_names_without_wrappers():
    """torch.compile, checkpoint_wrapper and DataParallel do not change a value."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    model, wrapped = garbage(Block()), garbage(Block())
    ft.init_(model, PLAN, seed=7)
    wrapped.layers[1] = checkpoint_wrapper(wrapped.layers[1])
    wrapped.layers[2] = torch.compile(wrapped.layers[2])
    outer = nn.DataParallel(torch.compile(wrapped))
    ft.init_(outer, PLAN, seed=7)
    for w, other in zip(model.parameters(), wrapped.parameters(), strict=True):
        assert bits(w) == bits(other)


# ---- from meta -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_meta_to_memory(dtype):
    """The same bits as in memory; ties, dtype, requires_grad, hooks, attributes, classes kept."""

    class Marked(nn.Parameter):
        pass

    with torch.device("meta"):
        model = Block().to(dtype)
    hooked = []
    model.layers[0].weight = Marked(model.layers[0].weight.data)
    model.layers[0].weight.register_hook(lambda grad: hooked.append("grad"))
    model.layers[0].weight.register_post_accumulate_grad_hook(lambda w: hooked.append("after"))
    model.layers[1].weight.requires_grad_(False)
    model.layers[1].weight.mark = "here"
    ft.init_(model, seed=7)
    assert all(w.untyped_storage().resizable() for w in model.parameters())
    same = garbage(Block().to(dtype))
    ft.init_(same, seed=7)
    for name, w in model.state_dict().items():
        assert w.device.type == "cpu"
        assert bits(w) == bits(same.state_dict()[name]), name
        assert w.dtype == same.state_dict()[name].dtype
    assert model.head.weight is model.emb.weight
    assert type(model.layers[0].weight) is Marked
    assert not model.layers[1].weight.requires_grad
    assert model.layers[1].weight.mark == "here"
    model.layers[0].weight.sum().backward()
    assert hooked == ["grad", "after"]


def test_recurrent_modules_from_meta():
    with torch.device("meta"):
        model = nn.LSTM(4, 5)
    ft.init_(model, seed=7)
    out, _ = model(torch.ones(2, 4))
    out.sum().backward()
    assert all(w is getattr(model, name) for name, w in model.named_parameters())
    assert all(a is b for a, b in zip(model._flat_weights, model.parameters(), strict=True))


def test_large_tensors_from_meta():
    """Those whose pages several threads make."""
    with torch.device("meta"):
        model = nn.Linear(3000, 3000)
    ft.init_(model, "default", seed=7)
    w = fx.draw((3000, 3000), fx.glorot_uniform(), seed=7, stream="weight")
    assert bits(model.weight) == w.tobytes()


def test_materialize_false():
    with torch.device("meta"):
        model = Block()
    with pytest.raises(ValueError, match=r"'conv.weight': .*materialize is False.*to_empty"):
        ft.init_(model, seed=7, materialize=False)
    assert model.conv.weight.is_meta
    model.to_empty(device="cpu")
    ft.init_(model, seed=7, materialize=False)


class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("inv_freq", self.compute(), persistent=False)

    def compute(self, device=None):
        return 1 / 10000 ** (torch.arange(0, 8, 2, device=device) / 8)


def test_buffers_without_a_rule():
    """Kept where they have values; never left with what happens to be in memory."""
    model = nn.Sequential(nn.Linear(3, 4), Rotary())
    before = model[1].inv_freq.clone()
    ft.init_(model, seed=7)
    ft.init_(model, fx.Plan([fx.Rule("0.*", "zeros")]), seed=7)
    assert torch.equal(model[1].inv_freq, before)
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 4), Rotary())
    for plan in (None, fx.Plan([fx.Rule("0.*", "zeros")])):
        with pytest.raises(ValueError, match=r"'1.inv_freq': .*register\(Rotary\)"):
            ft.init_(model, plan, seed=7)
    assert model[0].weight.is_meta
    ft.register(Rotary, lambda module: {"inv_freq": module.compute("cpu")})
    try:
        ft.init_(model, seed=7)
        assert torch.equal(model[1].inv_freq, before)
        with torch.device("meta"):
            model = nn.Sequential(nn.Linear(3, 4), Rotary())
        ft.init_(model, fx.Plan([fx.Rule("0.*", "zeros")]), seed=7)
        assert torch.equal(model[1].inv_freq, before)
    finally:
        ft._modules.TABLE.pop(Rotary)


# ---- errors --------------------------------------------------------------------------------------


class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(3))


class OwnReset(nn.Linear):
    def reset_parameters(self):
        nn.init.zeros_(self.weight)


def test_unknown_modules_are_named():
    model = nn.Sequential(nn.Linear(3, 4), Unknown())
    before = bits(model[0].weight)
    with pytest.raises(ValueError, match=r"test_torch_model.Unknown .*'gamma', here '1.gamma'"):
        ft.init_(model, seed=7)
    with pytest.raises(ValueError, match="OwnReset"):
        ft.plan_for(nn.Sequential(OwnReset(3, 4)))
    assert bits(model[0].weight) == before
    with pytest.raises(ValueError, match=r"no rule of the plan matches tensor '1.gamma'"):
        ft.init_(model, fx.Plan([fx.Rule("0.*", "zeros")]), seed=7)
    assert bits(model[0].weight) == before
    with pytest.raises(TypeError, match=r"kind is .*subclass of torch.nn.Module"):
        ft.register(int, len)


def test_refused():
    with pytest.raises(TypeError, match="module is a dict"):
        ft.init_({}, seed=7)
    with pytest.raises(ValueError, match=r"'weight': .*lazy"):
        ft.init_(nn.LazyLinear(3), PLAN, seed=7)
    with pytest.raises(TypeError, match="seed"):
        ft.init_(nn.Linear(3, 4), seed="a")
    with pytest.raises(TypeError, match="materialize"):
        ft.init_(nn.Linear(3, 4), seed=7, materialize=1)
    with torch.device("meta"):
        model = nn.Linear(3, 4, dtype=torch.complex64)
    with pytest.raises((TypeError, ValueError), match="'weight'"):
        ft.init_(model, seed=7)


# ---- torch around it -----------------------------------------------------------------------------


def test_autograd_notices():
    model = nn.Linear(3, 4)
    loss = (model.weight * model.weight).sum()
    ft.init_(model, seed=7)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_copies_and_files():
    with torch.device("meta"):
        model = Block()
    ft.init_(model, seed=7)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(model)
    garbage(other)
    other.load_state_dict(torch.load(file))
    for w, copied in zip(model.parameters(), other.parameters(), strict=True):
        assert bits(w) == bits(copied)


def test_seeds():
    one, other = nn.Linear(3, 4), nn.Linear(3, 4)
    report = ft.init_(one, seed=np.random.default_rng(1))
    ft.init_(other, seed=report.seed)
    assert bits(one.weight) == bits(other.weight)
    ft.init_(one, seed=None)
    assert bits(one.weight) != bits(other.weight)


# ---- tensor by tensor ----------------------------------------------------------------------------


def test_fill_():
    w = nn.Parameter(torch.empty(4, 3))
    assert ft.fill_(w, fx.he_normal(), 7, "w") is w
    assert bits(w) == expected((4, 3), w.dtype, fx.he_normal(), seed=7, stream="w")


def test_param_init():
    """As init_ does, from local names and the module or its path."""
    model, other, third = garbage(Block()), garbage(Block()), garbage(Block())
    ft.init_(model, PLAN, seed=7)
    inits = ft.param_init(PLAN, 7, module=other)
    for one in other.modules():
        for name, w in one.named_parameters(recurse=False):
            assert inits[name](w) is w
    for path, one in third.named_modules():
        for name, w in one.named_parameters(recurse=False):
            if path != "head":
                ft.param_init(PLAN, 7).at(path)[name](w)
    for w, *others in zip(model.parameters(), other.parameters(), third.parameters(), strict=True):
        assert all(bits(w) == bits(one) for one in others)
    with pytest.raises(ValueError, match="not one of the module"):
        inits["weight"](nn.Parameter(torch.empty(3, 4)))
    with pytest.raises(ValueError, match="no rule"):
        ft.param_init(fx.Plan([]), 7)["weight"](torch.empty(3, 4))
    assert "anything" in inits


def test_storage_of_buffers_can_be_resized():
    """As FSDP frees it and allocates it again; torch's own view for NumPy would forbid that."""
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    plan = fx.Plan([fx.Rule("*num_batches_tracked", "zeros"), *fx.default_plan().rules])
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    tensors = {name: one for name, one in tensors.items() if "running" not in name}
    assert "1.num_batches_tracked" in tensors
    fx.init_(tensors, plan, seed=7)
    for one in tensors.values():
        nbytes = one.untyped_storage().nbytes()
        one.untyped_storage().resize_(0)
        one.untyped_storage().resize_(nbytes)
    prepared = fx.prepare(tensors, plan)
    module[1].num_batches_tracked.fill_(5)
    prepared.init_(seed=7)
    assert module[1].num_batches_tracked == 0
