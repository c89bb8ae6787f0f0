"""docs/torch.md: its blocks run and do what the page says."""

import importlib
import re

import pytest
from test_docs import ROOT, page

torch = pytest.importorskip("torch")

import fastxavier as fx  # noqa: E402
import fastxavier.torch  # noqa: E402


@pytest.fixture(autouse=True)
def table():
    """The table of modules as it is without the page."""
    before = dict(fastxavier.torch._modules.TABLE)
    yield
    fastxavier.torch._modules.TABLE.clear()
    fastxavier.torch._modules.TABLE.update(before)


def blocks():
    return re.findall(r"^```python\n(.*?)^```", page("torch.md"), re.S | re.M)


def block(word):
    (found,) = [one for one in blocks() if word in one]
    return found


def names(**given):
    return {"torch": torch, "fx": fx, "fastxavier": fastxavier, **given}


class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gamma = torch.nn.Parameter(torch.empty(3))


def test_one_line(capsys):
    layer = torch.nn.Linear(30, 20)
    fastxavier.torch.info(reset=True)
    exec(block("from fastxavier.torch import init"), names(layer=layer))
    assert (layer.bias == 0).all()
    assert 0 < layer.weight.abs().max() <= 0.04
    exec(block("print(fastxavier.torch.info())"), names())
    assert "trunc_normal_" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_accelerate():
    fastxavier.torch.info(reset=True)
    exec(block("accelerate():"), names())
    assert fastxavier.torch.info().drawn["xavier_uniform_"]
    assert not fastxavier.torch.info().torch


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(block("@fastxavier.torch.register(Scale)"), names(Scale=Scale))
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), Scale())
    exec(block('save("plan.toml")'), names(model=model))
    given = names(model=model, plan=fx.Plan.load("plan.toml"))
    exec(block("report ="), given)
    assert (model[1].gamma == torch.tensor(1e-5)).all()
    given = names()
    exec(block("init_(model, seed=7)"), given)
    assert all(w.device.type == "cpu" for w in given["model"].parameters())


def test_transformers():
    pytest.importorskip("transformers")
    given = names()
    exec(block("LlamaForCausalLM"), given)
    model = given["model"]
    assert model.lm_head.weight.detach().std().item() == pytest.approx(0.02, rel=0.05)
    own = type(model)(model.config).model.rotary_emb.inv_freq
    assert torch.equal(model.model.rotary_emb.inv_freq, own)
    assert model(torch.arange(5)[None]).logits.isfinite().all()


def test_reference():
    """Every public name that is not one of torch.nn.init is in the reference, and the other way."""
    text = (ROOT / "docs" / "api.rst").read_text()
    listed = set(re.findall(r"^   torch\.(\S+)$", text, re.M))
    own = set(fastxavier.torch.__all__) - set(torch.nn.init.__all__)
    assert own - {"ParamInit"} == listed
    for name in listed:
        assert getattr(importlib.import_module("fastxavier.torch"), name).__doc__
