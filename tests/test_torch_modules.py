"""torch modules: their parameters initialized by a plan, and what to write instead of a module."""

import pytest
from test_torch_tensors import bits, expected

import fastxavier as fx

torch = pytest.importorskip("torch")


def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.BatchNorm2d(8),
        torch.nn.Linear(8, 4, bias=False),
        torch.nn.Embedding(10, 8),
        torch.nn.LayerNorm(4),
    )


def test_named_parameters():
    """dict(model.named_parameters()) as it is: each as fill_ with its name as stream."""
    model = network()
    plan = fx.Plan(
        [
            fx.Rule("3.weight", "normal", std=0.02),
            fx.Rule("*.weight", "he_normal", ndim="2+"),
            fx.Rule("*.weight", "ones"),
            fx.Rule("*.bias", "zeros"),
        ]
    )
    parameters = dict(model.named_parameters())
    versions = {name: w._version for name, w in parameters.items()}
    report = fx.init_(parameters, plan, seed=7)
    assert [tensor.name for tensor in report.tensors] == list(parameters)
    for name, w in model.named_parameters():
        assert w is parameters[name]
        assert w._version > versions[name]
        assert w.requires_grad
        assert w.is_leaf
        distribution = plan.distribution(name, tuple(w.shape))
        assert bits(w) == expected(tuple(w.shape), w.dtype, distribution, seed=7, stream=name)


def test_buffers():
    """The buffers too, with num_batches_tracked, an integer of no axis."""
    model = network()
    model[1].num_batches_tracked.fill_(5)
    model[1].running_mean.fill_(5)
    model[1].running_var.fill_(5)
    fx.init_({**dict(model.named_parameters()), **dict(model.named_buffers())}, seed=7)
    assert model[1].num_batches_tracked == 0
    assert model[1].num_batches_tracked.dtype == torch.int64
    assert (model[1].running_mean == 0).all()
    assert (model[1].running_var == 1).all()
    assert (model[1].weight == 1).all()
    assert model[0].weight.std() > 0
    state = network().state_dict()
    fx.init_(state, seed=7)
    for name, w in model.state_dict().items():
        assert bits(state[name]) == bits(w)


def test_model_on_meta():
    """Refused with the tensor's name; after to_empty it is filled."""
    with torch.device("meta"):
        model = network()
    with pytest.raises(ValueError, match=r"tensor '0.weight': .*'meta'.*to_empty"):
        fx.init_(dict(model.named_parameters()), seed=7)
    model.to_empty(device="cpu")
    fx.init_(dict(model.named_parameters()), seed=7)
    same = network()
    fx.init_(dict(same.named_parameters()), seed=7)
    for w, other in zip(model.parameters(), same.parameters(), strict=True):
        assert bits(w) == bits(other)


def test_tied_weights():
    """named_parameters gives one name to a tensor; a state dict gives two, which is refused."""
    model = torch.nn.ModuleDict(
        {"head": torch.nn.Linear(4, 10, bias=False), "words": torch.nn.Embedding(10, 4)}
    )
    model["head"].weight = model["words"].weight
    fx.init_(dict(model.named_parameters()), seed=7)
    before = bits(model["head"].weight)
    with pytest.raises(ValueError, match="share memory"):
        fx.init_(model.state_dict(), seed=8)
    assert bits(model["head"].weight) == before


def test_module_instead_of_a_mapping():
    """The mapping to give is in the message."""
    model = network()
    for thing in (model, model.named_parameters(), model.parameters()):
        with pytest.raises(TypeError, match="arrays is") as raised:
            fx.init_(thing)
        assert str(raised.value).endswith("of a torch module give dict(model.named_parameters())")


WHOLE = r"all arrays to {}\(dict\(module\.named_parameters\(\)\), plan\)$"


@pytest.mark.parametrize(
    ("given", "each"),
    [
        (lambda: torch.nn.Linear(3, 4), "give module.weight"),
        (lambda: torch.nn.Linear, "give module.weight"),
        (lambda: torch.nn.Linear(3, 4).parameters(), "give each of its arrays alone"),
    ],
    ids=["module", "class", "parameters"],
)
def test_module_instead_of_an_array(given, each):
    """The message says what to give, and how to name all parameters."""
    for call in (
        lambda w: fx.fill_(w, fx.he_normal()),
        fx.he_normal_,
        lambda w: fx.uniform_(w, 3, 4),
    ):
        with pytest.raises(TypeError, match=rf"{each}, or {WHOLE.format('init_')}"):
            call(given())
    for distribution in (fx.he_normal(), "he_normal", fx.default_plan(), "gpt2"):
        with pytest.raises(TypeError, match=rf"{each}, or {WHOLE.format('verify')}"):
            fx.verify(given(), distribution)


def test_list_of_parameters_instead_of_an_array():
    with pytest.raises(TypeError, match=rf"give each of .*{WHOLE.format('verify')}"):
        fx.verify(list(network().parameters()), fx.he_normal())


def test_refusals_suit_reading_as_well():
    """`verify` fills nothing, so what it says does not speak of filling."""
    meta = torch.zeros(3, device="meta")
    with torch._subclasses.FakeTensorMode():
        fake = torch.zeros(3)
    for tensor in (meta, fake):
        with pytest.raises((TypeError, ValueError)) as raised:
            fx.verify(tensor, fx.Normal())
        assert "fill" not in str(raised.value)
