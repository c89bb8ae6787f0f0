"""accelerate(): what torch code draws meanwhile is drawn here, and nothing is left behind."""

import functools
import sys
import threading
import types

import pytest

torch = pytest.importorskip("torch")

from fastxavier.torch import accelerate, info, init  # noqa: E402

NN_INIT = torch.nn.init
FILLS = [name for name in NN_INIT.__all__ if name.endswith("_")]


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Every function of torch.nn.init and every attribute of Tensor is afterwards as before."""
    info(reset=True)
    codes = {name: getattr(NN_INIT, name).__code__ for name in FILLS}
    functions = {name: getattr(NN_INIT, name) for name in FILLS}
    methods = dict(vars(torch.Tensor))
    base = torch.Tensor.normal_, torch.Tensor.uniform_
    yield
    assert {name: getattr(NN_INIT, name).__code__ for name in FILLS} == codes
    assert {name: getattr(NN_INIT, name) for name in FILLS} == functions
    assert dict(vars(torch.Tensor)) == methods
    assert (torch.Tensor.normal_, torch.Tensor.uniform_) == base
    w = torch.empty(50)
    torch.manual_seed(5)
    NN_INIT.normal_(w)
    torch.manual_seed(5)
    assert torch.equal(w, torch.randn(50))
    info(reset=True)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 8, padding_idx=3)
        self.convolution = torch.nn.Conv2d(3, 8, 3)
        self.attention = torch.nn.MultiheadAttention(8, 2)
        self.recurrent = torch.nn.LSTM(8, 8)
        self.norm = torch.nn.BatchNorm2d(8)
        self.out = torch.nn.Bilinear(8, 8, 4)


def test_layers_of_torch():
    """All that is drawn, is drawn here; torch's generator governs."""
    torch.manual_seed(5)
    with accelerate():
        net = Net()
    found = info(reset=True)
    assert set(found.drawn) >= {"normal_", "kaiming_uniform_", "xavier_uniform_", "uniform_"}
    assert not found.torch
    assert (net.embedding.weight[3] == 0).all()
    torch.manual_seed(5)
    with accelerate():
        same = Net()
    torch.manual_seed(5)
    own = Net()
    for w, other, theirs in zip(net.parameters(), same.parameters(), own.parameters(), strict=True):
        assert torch.equal(w, other)
        if w.std() > 0:
            assert not torch.equal(w, theirs)


@pytest.mark.parametrize("name", FILLS)
def test_same_as_the_functions_of_this_package(name):
    shape = (6, 4, 5) if name == "dirac_" else (6, 5)
    arguments = {"constant_": (0.5,), "sparse_": (0.3,)}.get(name, ())
    w, other = torch.empty(shape), torch.empty(shape)
    torch.manual_seed(5)
    with accelerate():
        assert getattr(NN_INIT, name)(w, *arguments) is w
    torch.manual_seed(5)
    getattr(init, name)(other, *arguments)
    assert torch.equal(w, other)
    assert info().drawn == {name: 2}


def test_every_reference():
    """Names imported one by one, also meanwhile; dictionaries, partials, defaults, old names."""
    module = types.ModuleType("imported_one_by_one")
    exec("from torch.nn.init import kaiming_normal_", vars(module))
    table = {"fill": NN_INIT.xavier_normal_}
    partial = functools.partial(NN_INIT.trunc_normal_, std=0.02)

    def layer(w, fill=NN_INIT.uniform_):
        return fill(w)

    w = torch.empty(4, 5)
    with accelerate():
        late = types.ModuleType("imported_meanwhile")
        exec("from torch.nn.init import orthogonal_", vars(late))
        module.kaiming_normal_(w)
        table["fill"](w)
        partial(w)
        layer(w)
        late.orthogonal_(w)
        with pytest.warns(FutureWarning, match="deprecated"):
            NN_INIT.xavier_uniform(w)
    assert info(reset=True).drawn == {
        "kaiming_normal_": 1,
        "xavier_normal_": 1,
        "trunc_normal_": 1,
        "uniform_": 1,
        "orthogonal_": 1,
        "xavier_uniform_": 1,
    }
    late.orthogonal_(w)
    module.kaiming_normal_(w)
    assert not info().drawn
    assert late.orthogonal_ is NN_INIT.orthogonal_


def test_methods_of_tensors():
    w, other = torch.nn.Parameter(torch.empty(1000)), torch.empty(1000)
    torch.manual_seed(5)
    with accelerate():
        assert w.data.normal_(mean=2.0, std=0.02).mean() > 1
        state = torch.get_rng_state()
        w.data.uniform_(-1, 0)
        w.detach().uniform_(**{"from": 3, "to": 4})
        with torch.no_grad():
            assert w.uniform_(3, 4, generator=torch.Generator().manual_seed(1)) is w
        other.normal_(generator=torch.Generator().manual_seed(1))
    assert info(reset=True).drawn == {"Tensor.normal_": 2, "Tensor.uniform_": 3}
    assert 3 <= w.min() <= w.max() <= 4
    torch.manual_seed(5)
    init.normal_(torch.empty(10))
    assert torch.equal(torch.get_rng_state(), state)
    with accelerate():
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            w.normal_()
        with pytest.raises(RuntimeError, match="std >= 0"):
            other.normal_(0, -1)
        with pytest.raises(TypeError):
            other.normal_(wrong=1)
        recorded = (w * 2).normal_()
        assert recorded.grad_fn is not None
        torch.zeros(3, dtype=torch.complex64).normal_()
    assert set(info().torch) == {("Tensor.normal_", "refused"), ("Tensor.normal_", "complex64")}


def test_torchs_own_draws_go_on_as_its_own():
    """What torch fills instead is not drawn here by halves."""
    w = torch.zeros(6, 5, dtype=torch.complex64)
    torch.manual_seed(5)
    with accelerate():
        NN_INIT.xavier_normal_(w)
    torch.manual_seed(5)
    other = NN_INIT.xavier_normal_(torch.zeros(6, 5, dtype=torch.complex64))
    assert torch.equal(w, other)
    assert info().torch == {("xavier_normal_", "complex64"): 1}


def drawn_here():
    """Whether torch's function draws through this package now."""
    before = info().drawn.get("normal_", 0)
    NN_INIT.normal_(torch.empty(3))
    return info().drawn.get("normal_", 0) > before


def test_nested_and_after_exceptions():
    with accelerate():
        with accelerate():
            assert drawn_here()
        assert drawn_here()
        with pytest.raises(ZeroDivisionError), accelerate():
            _ = 1 / 0
        assert drawn_here()
    assert not drawn_here()
    with pytest.raises(KeyboardInterrupt), accelerate():
        raise KeyboardInterrupt
    assert not drawn_here()


def test_threads():
    """It is on until the last thread has left."""
    inside, leave = threading.Barrier(9), [threading.Event() for _ in range(8)]

    def work(event):
        with accelerate():
            inside.wait(60)
            event.wait(60)

    threads = [threading.Thread(target=work, args=(event,)) for event in leave]
    for thread in threads:
        thread.start()
    inside.wait(60)
    for thread, event in zip(threads, leave, strict=True):
        assert drawn_here()
        event.set()
        thread.join(60)
    assert not drawn_here()


def test_many_threads_at_random():
    errors = []

    def work():
        try:
            for _ in range(50):
                with accelerate():
                    assert drawn_here()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors


def test_decorator():
    @accelerate()
    def build():
        return torch.nn.Linear(3, 4)

    build()
    assert "kaiming_uniform_" in info().drawn


def test_modules_that_replaced_a_function(monkeypatch):
    """transformers' guard puts its own functions in torch's place, which call torch's."""
    own = NN_INIT.normal_

    def guarded(tensor, mean=0.0, std=1.0, generator=None):
        return own(tensor, mean=mean, std=std, generator=generator)

    monkeypatch.setattr(NN_INIT, "normal_", guarded)
    with accelerate():
        NN_INIT.normal_(torch.empty(3))
    assert info().drawn == {"normal_": 1}
    monkeypatch.undo()


def test_methods_that_were_replaced_before(monkeypatch):
    """They are called where nothing is drawn here, and are there again afterwards."""
    seen = []

    def own(self, *values, **settings):
        seen.append(self.dtype)
        return torch._C.TensorBase.normal_(self, *values, **settings)

    monkeypatch.setattr(torch.Tensor, "normal_", own, raising=False)
    with accelerate():
        torch.empty(3).normal_()
        torch.empty(3, dtype=torch.complex64).normal_()
    assert seen == [torch.complex64]
    assert vars(torch.Tensor)["normal_"] is own
    monkeypatch.undo()


def test_import_of_fastxavier_does_not_import_torch():
    import subprocess

    code = "import sys, fastxavier; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
