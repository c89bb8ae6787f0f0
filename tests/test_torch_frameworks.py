"""transformers' and timm's own initialization through accelerate: as torch draws it, and faster."""

import copy
import importlib.abc
import importlib.machinery
import importlib.util
import math
import sys
import types

import numpy as np
import pytest
from scipy import stats
from test_torch_tensors import bits

torch = pytest.importorskip("torch")

import fastxavier as fx  # noqa: E402
import fastxavier.torch as ft  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=2, n_embd=64, n_head=2, vocab_size=300, n_positions=64)
    return transformers.GPT2LMHeadModel(config)


def llama():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    return transformers.LlamaForCausalLM(config)


def vit():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
    )
    return transformers.ViTForImageClassification(config)


def bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=300,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
    )
    return transformers.BertForMaskedLM(config)


class Anything(type):
    """An empty class, with every attribute another one."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports any module of torchvision, in which every name is a class `Anything`.

    timm's models import some and use none, and torchvision is compiled for torch with CUDA.
    """

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__file__ = None
        module.__getattr__ = lambda name: Anything(name, (), {})


def timm_vit():
    if importlib.util.find_spec("timm") is None:
        pytest.skip("could not find timm")
    absent = Absent()
    sys.meta_path.insert(0, absent)
    try:
        timm = importlib.import_module("timm.models.vision_transformer")
    finally:
        sys.meta_path.remove(absent)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    return timm.VisionTransformer(
        img_size=32, patch_size=16, embed_dim=96, depth=2, num_heads=3, num_classes=10
    )


MODELS = [gpt2, llama, vit, bert, timm_vit]


def check_alike(model, other):
    """Each tensor of one has the distribution of the same tensor of the other."""
    theirs = other.state_dict()
    assert model.state_dict().keys() == theirs.keys()
    for name, w in model.state_dict().items():
        ours = w.double().numpy().ravel()
        own = theirs[name].double().numpy().ravel()
        if np.unique(own).size <= 2:
            assert np.array_equal(ours, own), name
            continue
        assert ours.std() == pytest.approx(own.std(), rel=6 / math.sqrt(own.size)), name
        assert stats.ks_2samp(ours, own).pvalue > 1e-6, name


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_accelerate(build):
    """Nothing is left to torch; the seed governs; the distributions are the model's own."""
    build()
    ft.info(reset=True)
    torch.manual_seed(1)
    with ft.accelerate():
        model = build()
    found = ft.info(reset=True)
    assert sum(found.drawn.values()) >= 10
    assert not {why for _, why in found.torch} - {"meta", "int64"}  # the latter of position ids
    torch.manual_seed(1)
    with ft.accelerate():
        again = build()
    torch.manual_seed(1)
    own = build()
    assert all(
        bits(w) == bits(other)
        for w, other in zip(model.parameters(), again.parameters(), strict=True)
    )
    check_alike(model, own)


def test_presets_are_what_transformers_draws():
    """From meta by the presets, beside transformers' own initialization."""
    for build, plan in ((gpt2, "gpt2"), (llama, "llama")):
        own = build()
        model = copy.deepcopy(own)
        with torch.no_grad():
            for w in model.parameters():
                w.fill_(7)
        ft.init_(model, plan, seed=7)
        check_alike(model, own)
        for name, held in own.named_buffers():
            assert torch.equal(held, model.get_buffer(name))


def test_preset_is_what_timm_draws():
    """As `test_presets_are_what_transformers_draws`."""
    own, model = timm_vit(), timm_vit()
    with torch.no_grad():
        for w in model.parameters():
            w.fill_(7)
    ft.init_(model, fx.vit_plan("timm", patch=16), seed=7)
    check_alike(model, own)


def test_ties_of_transformers():
    """GPT-2's output layer is its embedding, also from meta, and by name where it is untied."""
    gpt2()
    with torch.device("meta"):
        model = gpt2()
    ft.init_(model, "gpt2", seed=7)
    assert model.lm_head.weight is model.transformer.wte.weight
    model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
    ft.init_(model, "gpt2", seed=7)
    assert bits(model.lm_head.weight) == bits(model.transformer.wte.weight)


def loss_after(model, steps=60):
    """Of a short training run on a task that can be learned: the next token is the sum of two."""
    torch.manual_seed(0)
    tokens = torch.randint(0, 300, (64, 16))
    for i in range(2, 16):
        tokens[:, i] = (tokens[:, i - 1] + tokens[:, i - 2]) % 7
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_training_reaches_the_same_loss():
    own = loss_after(gpt2().eval())
    with ft.accelerate():
        model = gpt2()
    assert loss_after(model.eval()) == pytest.approx(own, rel=0.1)
    ft.init_(model, "gpt2", seed=7)
    assert loss_after(model.eval()) == pytest.approx(own, rel=0.1)


# ---- timm ----------------------------------------------------------------------------------------


@pytest.fixture
def weight_init():
    """timm's module of initializers, also where the rest of timm lacks something."""
    name = "timm.layers.weight_init"
    spec = importlib.util.find_spec("timm")
    if spec is None:
        pytest.skip("could not find timm")
    path = f"{spec.submodule_search_locations[0]}/layers/weight_init.py"
    loader = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(loader)
    before = sys.modules.get(name)
    sys.modules[name] = module
    loader.loader.exec_module(module)
    yield module
    if before is None:
        del sys.modules[name]
    else:
        sys.modules[name] = before


def test_timm(weight_init):
    """Its truncated normals are drawn here, by torch's seed; nothing is left behind."""
    assert isinstance(weight_init, types.ModuleType)
    code = weight_init._trunc_normal_.__code__
    calls = {
        "trunc_normal_": {"std": 0.02},
        "trunc_normal_tf_": {"mean": 0.1, "std": 0.5},
        "lecun_normal_": {},
    }
    for name, settings in calls.items():
        ft.info(reset=True)
        w, again, own = (torch.nn.Parameter(torch.empty(200, 150)) for _ in range(3))
        for tensor in (w, again):
            torch.manual_seed(5)
            with ft.accelerate():
                getattr(weight_init, name)(tensor, **settings)
        getattr(weight_init, name)(own, **settings)
        assert ft.info(reset=True).drawn == {"timm trunc_normal_": 2}
        assert bits(w) == bits(again)
        ours, theirs = w.detach().numpy().ravel(), own.detach().numpy().ravel()
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-5
        assert abs(np.abs(ours).max() / np.abs(theirs).max() - 1) < 0.2
    meta = torch.empty(3, 4, device="meta")
    with ft.accelerate():
        weight_init.trunc_normal_(meta)
    assert ft.info().torch[("timm trunc_normal_", "meta")] == 1
    assert weight_init._trunc_normal_.__code__ is code
    assert fx.__version__
