"""fastxavier.torch under torch.compile and with fake tensors."""

import inspect

import pytest
from test_torch_tensors import bits

torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.torch as ft  # noqa: E402

nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

COMPILED = {
    "uniform_": (-1.0, 2.0),
    "normal_": (0.5, 0.1),
    "trunc_normal_": (0.0, 1.0, -1.0, 1.0),
    "constant_": (3.0,),
    "ones_": (),
    "zeros_": (),
    "eye_": (),
    "dirac_": (2,),
    "xavier_uniform_": (),
    "xavier_normal_": (2.0,),
    "kaiming_uniform_": (5**0.5,),
    "kaiming_normal_": (0, "fan_out", "relu"),
    "orthogonal_": (),
    "sparse_": (0.25,),
}


def test_compiled():
    """In one graph, each function is an operator that draws as it does without torch.compile."""
    assert set(COMPILED) == set(ft.init.NAMES)

    def drawn(tensors):
        for (name, settings), w in zip(COMPILED.items(), tensors, strict=True):
            getattr(ft.init, name)(w, *settings)
        return [w * 2 for w in tensors]

    shapes = [(8, 4, 3) if name == "dirac_" else (8, 12) for name in COMPILED]
    compiled = torch.compile(drawn, backend="aot_eager", fullgraph=True)
    torch.manual_seed(3)
    expected = drawn([nn.Parameter(torch.zeros(shape)) for shape in shapes])
    later = drawn([torch.zeros(shape) for shape in shapes])
    torch.manual_seed(3)
    ft.info(reset=True)
    tensors = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    versions = [w._version for w in tensors]
    for w, other in zip(compiled(tensors), expected, strict=True):
        assert bits(w) == bits(other)
    assert ft.info(reset=True) == ft.Info(dict.fromkeys(COMPILED, 1), {})
    assert all(w._version > before for w, before in zip(tensors, versions, strict=True))
    for w, other in zip(compiled([torch.zeros(s) for s in shapes]), later, strict=True):
        assert bits(w) == bits(other)  # each run draws anew


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_draws_are_neither_merged_nor_dropped_nor_moved(backend):
    """Of equal calls each draws, also one that nobody reads, and in the order of the code."""

    def drawn(x):
        first = ft.normal_(torch.zeros_like(x))
        ft.normal_(torch.zeros_like(x))
        second = ft.normal_(torch.zeros_like(x))
        third = ft.uniform_(torch.zeros_like(x))
        return x * third, second + x, first + x

    x = torch.zeros(40, requires_grad=True)
    torch.manual_seed(3)
    expected = drawn(x)
    torch.manual_seed(3)
    ft.info(reset=True)
    compiled = torch.compile(drawn, backend=backend, fullgraph=True)(x)
    assert ft.info(reset=True).drawn == {"normal_": 3, "uniform_": 1}
    for one, other in zip(compiled, expected, strict=True):
        assert bits(one.detach()) == bits(other.detach())


class Subclass(torch.Tensor):
    pass


def test_compiled_subclass():
    """torch's own function is called, which a class such as DTensor knows."""
    w = torch.zeros(50).as_subclass(Subclass)
    ft.info(reset=True)
    torch.compile(lambda w: ft.normal_(w), backend="eager")(w)
    assert ft.info(reset=True) == ft.Info({}, {("normal_", "compile"): 1})
    assert w.std() > 0.5


@pytest.mark.parametrize("name", COMPILED)
def test_operators(name):
    """What torch itself asks of an operator: its schema, autograd, fake tensors and tracing."""
    w = torch.zeros((8, 4, 3) if name == "dirac_" else (8, 12))
    torch.manual_seed(3)
    operator, order = getattr(torch.ops.fastxavier, name), torch.zeros(())
    torch.library.opcheck(operator, (w, order, *defaults_of_operator(name)))


def defaults_of_operator(name):
    """The arguments of COMPILED, and after them the defaults."""
    _, *settings = inspect.signature(getattr(ft.init, name)).parameters.values()
    settings = [one.default for one in settings if one.name != "generator"]
    given = COMPILED[name]
    return [*given, *settings[len(given) :]]


def test_fake_tensors():
    """Nothing is drawn, no memory is written, and the shape stays."""
    with FakeTensorMode():
        w = torch.empty(1 << 40, 1 << 20)  # more than any memory
        assert ft.normal_(w) is w
        torch.ops.fastxavier.normal_(w, torch.zeros(()), 0.0, 1.0)
    assert w.shape == (1 << 40, 1 << 20)


@pytest.mark.filterwarnings("ignore")  # of tracing the library
def test_fill_breaks_the_graph():
    """fill_, whose distribution is not an argument of an operator, gives the same values."""

    def filled(w):
        ft.fill_(w, fx.Normal(), 7, "w")
        return w * 2

    doubled = torch.compile(filled, backend="eager")(torch.zeros(50))
    assert torch.equal(doubled, 2 * torch.from_numpy(fx.draw(50, fx.Normal(), seed=7, stream="w")))


def test_compiled_with_a_generator():
    """No operator takes a generator: torch's own function draws, which is counted."""
    generator = torch.Generator().manual_seed(3)
    ft.info(reset=True)
    w = torch.compile(lambda w: ft.normal_(w, generator=generator), backend="eager")(
        torch.zeros(50)
    )
    assert ft.info(reset=True) == ft.Info({}, {("normal_", "compile"): 1})
    own = nn.init.normal_(torch.zeros(50), generator=torch.Generator().manual_seed(3))
    assert bits(w) == bits(own)
