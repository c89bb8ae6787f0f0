"""Presets: which initializer each tensor of well-known models gets."""

import math
import re

import pytest

import fastxavier as fx
from fastxavier.checkpoints import init_checkpoint
from fastxavier.distributions import Constant, Normal, TruncatedNormal, Uniform
from fastxavier.plans import (
    PRESETS,
    Plan,
    PlanError,
    default_plan,
    gpt2_plan,
    llama_plan,
    plan_named,
    resnet_plan,
    vit_plan,
)

ZEROS, ONES = Constant(0.0), Constant(1.0)


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name, tmp_path):
    """Called without arguments, written out and read back."""
    plan = PRESETS[name]()
    assert plan_named(name) == plan_named(plan) == plan
    for ending in ("toml", "json"):
        plan.save(tmp_path / f"plan.{ending}")
        assert plan_named(str(tmp_path / f"plan.{ending}")) == plan
    assert Plan.from_toml(plan.to_toml()) == plan
    assert Plan.from_json(plan.to_json()) == plan


def glorot(*fans, gain=1.0):
    bound = gain * math.sqrt(6 / sum(fans))
    return Uniform(-bound, bound)


def close(distribution, expected):
    """The same class, and parameters that differ by rounding at most."""
    return type(distribution) is type(expected) and all(
        math.isclose(mine, theirs, rel_tol=1e-14)
        for mine, theirs in zip(distribution.__reduce__()[1], expected.__reduce__()[1], strict=True)
    )


SLOPES = Constant(0.25)
DEFAULT = [
    (None, "0.weight", (30, 20), glorot(20, 30)),
    (None, "Conv_0.kernel", (3, 3, 64, 128), glorot(9 * 64, 9 * 128)),
    (None, "params/Conv_0/kernel", (3, 3, 4, 8), glorot(36, 72)),
    (None, "conv2d/kernel", (3, 3, 4, 8), glorot(36, 72)),
    (None, "conv.weight", (8, 4, 3, 3), glorot(36, 72)),
    (None, "lstm/recurrent_kernel", (20, 80), glorot(20, 80)),
    (None, "separable_conv2d/depthwise_kernel", (3, 3, 64, 2), glorot(9, 18)),
    (None, "separable_conv2d/pointwise_kernel", (1, 1, 128, 32), glorot(128, 32)),
    (None, "params/attention/query/kernel", (96, 8, 5), glorot(96, 40)),
    (None, "params/attention/out/kernel", (8, 5, 96), glorot(40, 96)),
    (None, "attention/attention_output/kernel", (8, 5, 96), glorot(40, 96)),
    (None, "params/attention/query/bias", (4, 8), ZEROS),
    (None, "params/Embed_0/embedding", (100, 8), glorot(1, 8)),
    *[
        (None, f"{module}{last}", (8,), ONES)
        for module in (
            "norm.",
            "blocks.3.norm1.",
            "norm_pre.",
            "post_attention_layernorm.",
            "h.11.ln_2.",
            "ln_f.",
            "bn12.",
            "layer1.0.bn1.",
            "params/LayerNorm_0/",
            "batch_normalization_12/",
            "gn_root/",
        )
        for last in ("weight", "scale", "gamma")
    ],
    (None, "norm.weight", (4, 8, 8), ONES),
    (None, "decoder.norm2.bias", (4, 8, 8), ZEROS),
    *[
        (None, name, (width,), SLOPES)
        for name in ("prelu.weight", "layer1.PReLU_2.weight", "act.weight", "net.act1.weight")
        for width in (1, 64)
    ],
    # The sum over 5 * 6 products of the inputs, and what one product feeds.
    (None, "bilinear.weight", (7, 5, 6), glorot(30, 7)),
    (None, "pair.Bilinear_0.weight", (7, 5, 6), glorot(30, 7)),
    ("torch", "0.weight", (30, 20), glorot(20, 30)),
    ("torch", "encoder.layers.0.self_attn.in_proj_weight", (60, 20), glorot(20, 60)),
    ("torch", "encoder.layers.0.self_attn.in_proj_bias", (60,), ZEROS),
    ("torch", "conv.weight", (8, 4, 3, 3), glorot(36, 72)),
    ("torch", "weight", (8,), ONES),
    ("torch", "bias", (8,), ZEROS),
    ("torch", "bn.running_mean", (8,), ZEROS),
    ("torch", "bn.running_var", (8,), ONES),
    ("torch", "bn.num_batches_tracked", (), ZEROS),
    ("jax", "params/Dense_0/kernel", (20, 30), glorot(20, 30)),
    ("jax", "params.Conv_0.kernel", (3, 3, 4, 8), glorot(36, 72)),
    ("jax", "params/attention/query/bias", (4, 8), ZEROS),
    ("jax", "params/attention/query/kernel", (96, 8, 5), glorot(96, 40)),
    ("jax", "params.attention.key.kernel", (96, 8, 5), glorot(96, 40)),
    ("jax", "value/kernel", (96, 8, 5), glorot(96, 40)),
    ("jax", "params/attention/out/kernel", (8, 5, 96), glorot(40, 96)),
    ("jax", "params/readout/kernel", (8, 5, 96), glorot(40, 8 * 96)),
    ("jax", "params/out/kernel", (40, 96), glorot(40, 96)),
    ("jax", "params/LayerNorm_0/scale", (8,), ONES),
    ("jax", "params/Embed_0/embedding", (100, 8), glorot(1, 8)),
    ("jax", "batch_stats/BatchNorm_0/mean", (8,), ZEROS),
    ("jax", "batch_stats/BatchNorm_0/var", (8,), ONES),
    ("keras", "dense/kernel", (20, 30), glorot(20, 30)),
    ("keras", "attention/query/kernel", (96, 8, 5), glorot(96, 40)),
    ("keras", "attention/key/kernel", (96, 8, 5), glorot(96, 40)),
    ("keras", "attention/value/kernel", (96, 8, 5), glorot(96, 40)),
    ("keras", "attention/attention_output/kernel", (8, 5, 96), glorot(40, 96)),
    ("keras", "attention/query/bias", (8, 5), ZEROS),
    ("keras", "attention/attention_output/bias", (96,), ZEROS),
    ("keras", "embedding/embeddings", (100, 8), glorot(1, 8)),
    ("keras", "bn/gamma", (8,), ONES),
    ("keras", "bn/beta", (8,), ZEROS),
    ("keras", "bn/moving_mean", (8,), ZEROS),
    ("keras", "bn/moving_variance", (8,), ONES),
]


@pytest.mark.parametrize(("layout", "name", "shape", "distribution"), DEFAULT, ids=repr)
def test_default_plan(layout, name, shape, distribution):
    assert close(default_plan(layout).distribution(name, shape), distribution)


@pytest.mark.parametrize(
    ("layout", "name", "shape"),
    [
        ("torch", "Conv_0.kernel", (3, 3, 4, 8)),
        ("torch", "attention/query/kernel", (96, 8, 5)),
        ("jax", "conv.weight", (8, 4, 3, 3)),
        ("keras", "0.weight", (8, 4)),
    ],
)
def test_default_plan_of_another_layout(layout, name, shape):
    """An error, rather than the wrong fans."""
    plan = default_plan(layout)
    with pytest.raises(PlanError, match=f"layout is {layout!r}, but a tensor named") as raised:
        plan.distribution(name, shape)
    assert raised.value.argument == "layout"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blocks.0.ls1.gamma", (8,)),
        ("stages.0.blocks.1.gamma", (8,)),
        ("block_0_layer_scale/gamma", (8,)),
        ("features.1.0.layer_scale", (8, 1, 1)),
        ("x.scale", (8,)),
        ("pixel_mean", (3,)),
        ("params/PReLU_0/negative_slope", ()),
        ("attn.bias", (1, 1, 8, 8)),
        ("attn.bias", (8, 8)),
        ("logit_scale_", ()),
        ("position_ids", (1, 8)),
    ],
)
def test_default_plan_leaves(name, shape):
    """Masks, counters, scalars and what may be LayerScale's are not guessed at."""
    assert default_plan().rule_for(name, len(shape)) is None
    with pytest.raises(PlanError, match=re.escape(f"tensor {name!r} of shape {shape}")) as raised:
        default_plan().distribution(name, shape)
    assert re.search(rf'A rule with names = ".*" and ndim = {len(shape)} ', str(raised.value))
    assert ("LayerScale" in str(raised.value)) == name.endswith(("gamma", "x.scale"))


def test_weight_of_one_axis():
    """That of a norm has a bias or a running mean beside it, that of PReLU is alone."""
    plan = default_plan()
    assert plan.distribution("1.weight", (8,)) == ONES
    for names in (["1.weight", "1.bias"], {"1.weight": 0, "1.running_mean": 0}):
        assert plan.of_model(names).distribution("1.weight", (8,)) == ONES
    for names in (["1.weight"], ["1.weight", "bias", "0.bias", "1.x.bias"]):
        with pytest.raises(PlanError, match=r"tensor '1.weight' of shape \(8,\).* PReLU") as raised:
            plan.of_model(names).distribution("1.weight", (8,))
        assert 'names = "*.weight" and ndim = 1 would match' in str(raised.value)


def test_weight_of_one_axis_in_a_checkpoint(tmp_path):
    """What is beside it counts although it is left out, and nothing is written without it."""
    path = tmp_path / "m.safetensors"
    norm = {"1.weight": ("F32", (8,)), "1.bias": ("F32", (8,))}
    (tensor,) = init_checkpoint(path, "default", norm, seed=1, skip="*.bias").tensors
    assert tensor.distribution == ONES
    path.unlink()
    with pytest.raises(PlanError, match=r"tensor '1.weight' of shape \(8,\).* PReLU"):
        init_checkpoint(path, "default", {"1.weight": ("F32", (8,))}, seed=1)
    assert not list(tmp_path.iterdir())


def test_torch_modules():
    """Norms, PReLU and Bilinear as torch names them in a Sequential, or by attributes."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    def parameters(module):
        fx.init_(dict(module.named_parameters()), seed=1)
        return dict(module.named_parameters())

    for norm in (nn.BatchNorm1d(6), nn.LayerNorm(6), nn.GroupNorm(2, 6)):
        found = parameters(nn.Sequential(nn.Linear(4, 6), norm))
        assert (found["1.weight"] == 1).all()
        assert (found["1.bias"] == 0).all()
    for slopes in (1, 6):
        with pytest.raises(PlanError, match=r"'1.weight' of shape .*PReLU"):
            parameters(nn.Sequential(nn.Linear(4, 6), nn.PReLU(slopes)))
        named = nn.ModuleDict({"act": nn.PReLU(slopes)})
        nn.init.constant_(named["act"].weight, 9)
        assert (parameters(named)["act.weight"] == 0.25).all()
    found = parameters(nn.ModuleDict({"bilinear": nn.Bilinear(50, 60, 70)}))["bilinear.weight"]
    assert float(found.detach().std()) == pytest.approx(math.sqrt(2 / (50 * 60 + 70)), rel=0.02)


def gpt2(layers, width=768, prefix=""):
    """Names and shapes of the published checkpoint, without its masks."""
    tensors = {"wte.weight": (50257, width), "wpe.weight": (1024, width)}
    for i in range(layers):
        for norm in ("ln_1", "ln_2"):
            tensors[f"h.{i}.{norm}.weight"] = tensors[f"h.{i}.{norm}.bias"] = (width,)
        for layer, shape in {
            "attn.c_attn": (width, 3 * width),
            "attn.c_proj": (width, width),
            "mlp.c_fc": (width, 4 * width),
            "mlp.c_proj": (4 * width, width),
        }.items():
            tensors[f"h.{i}.{layer}.weight"] = shape
            tensors[f"h.{i}.{layer}.bias"] = shape[1:]
    tensors["ln_f.weight"] = tensors["ln_f.bias"] = (width,)
    return {prefix + name: shape for name, shape in tensors.items()}


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("layers", [1, 12, 48])
def test_gpt2(prefix, layers):
    """124 million parameters at 12 layers; each tensor by the paper's words."""
    tensors = gpt2(layers, prefix=prefix)
    if layers == 12:
        assert sum(map(math.prod, tensors.values())) == 124_439_808
    plan = gpt2_plan(layers)
    for name, shape in tensors.items():
        distribution = plan.distribution(name, shape)
        if name.endswith(".bias"):
            assert distribution == ZEROS
        elif ".ln_" in "." + name:
            assert distribution == ONES
        elif "c_proj" in name:
            assert close(distribution, Normal(0, 0.02 * (2 * layers) ** -0.5))
        else:
            assert distribution == Normal(0, 0.02)
    assert plan.distribution("lm_head.weight", (50257, 768)) == Normal(0, 0.02)
    for mask in ("h.0.attn.bias", "transformer.h.0.attn.bias"):
        assert plan.rule_for(mask, 4) is None
    assert plan.rule_for("h.0.attn.masked_bias", 0) is None


def test_gpt2_layers():
    for layers in (0, -1):
        with pytest.raises(ValueError, match=f"layers is {layers}; it must be an integer from 1"):
            gpt2_plan(layers)
    for layers in (1.5, True, "12", None):
        with pytest.raises(TypeError, match=f"layers is {layers!r}, a .*an integer from 1 up"):
            gpt2_plan(layers)


def vit(blocks=12, width=768, patch=16, classes=1000):
    """Names and shapes of timm's vit_base_patch16_224."""
    tensors = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, (224 // patch) ** 2 + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (classes, width),
        "head.bias": (classes,),
    }
    for i in range(blocks):
        for norm in ("norm1", "norm2"):
            for kind in ("weight", "bias"):
                tensors[f"blocks.{i}.{norm}.{kind}"] = (width,)
        for layer, (out, into) in {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }.items():
            tensors[f"blocks.{i}.{layer}.weight"] = (out, into)
            tensors[f"blocks.{i}.{layer}.bias"] = (out,)
    return tensors


def test_vit():
    """86.6 million parameters; each tensor as the published code has it."""
    tensors = vit()
    assert sum(map(math.prod, tensors.values())) == 86_567_656
    plan = vit_plan()
    expected = {
        "cls_token": ZEROS,
        "pos_embed": Normal(0, 0.02),
        "patch_embed.proj.bias": ZEROS,
        "norm.weight": ONES,
        "norm.bias": ZEROS,
        "head.weight": ZEROS,
        "head.bias": ZEROS,
    }
    for i in range(12):
        block = f"blocks.{i}."
        expected |= {
            block + "norm1.weight": ONES,
            block + "norm1.bias": ZEROS,
            block + "norm2.weight": ONES,
            block + "norm2.bias": ZEROS,
            block + "attn.qkv.weight": glorot(768, 768),
            block + "attn.qkv.bias": ZEROS,
            block + "attn.proj.weight": glorot(768, 768),
            block + "attn.proj.bias": ZEROS,
            block + "mlp.fc1.weight": glorot(768, 3072),
            block + "mlp.fc1.bias": Normal(0, 1e-6),
            block + "mlp.fc2.weight": glorot(3072, 768),
            block + "mlp.fc2.bias": Normal(0, 1e-6),
        }
    for name, distribution in expected.items():
        assert close(plan.distribution(name, tensors.pop(name)), distribution), name
    (patches,) = tensors.items()
    distribution = plan.distribution(*patches)
    assert isinstance(distribution, TruncatedNormal)
    assert math.isclose(distribution.variance, 1 / (3 * 16 * 16), rel_tol=1e-12)
    assert math.isclose(
        distribution.bounds[1], 2 * distribution.std / 0.8796256610342398, rel_tol=1e-12
    )


TRUNCATED = TruncatedNormal(0, 0.02, -100, 100)
TINY = Normal(0, 1e-6)


def timm_vit(jax):
    """What timm's init_weights leaves in each tensor, with weight_init="jax" or ""."""
    linear = None if jax else TRUNCATED
    patch = 1 / math.sqrt(3 * 16 * 16)
    expected = {
        "cls_token": TINY,
        "reg_token": TINY,
        "pos_embed": TRUNCATED,
        "patch_embed.proj.bias": ZEROS if jax else Uniform(-patch, patch),
        "norm.weight": ONES,
        "norm.bias": ZEROS,
        "fc_norm.weight": ONES,
        "fc_norm.bias": ZEROS,
        "norm_pre.weight": ONES,
        "norm_pre.bias": ZEROS,
        "head.weight": ZEROS if jax else TRUNCATED,
        "head.bias": ZEROS,
    }
    for i in range(12):
        block = f"blocks.{i}."
        mlp_bias = TINY if jax else ZEROS
        expected |= {
            **{f"{block}norm{n}.{kind}": one for n in "12" for kind, one in NORM.items()},
            **{f"{block}attn.{n}_norm.{kind}": one for n in "qk" for kind, one in NORM.items()},
            block + "attn.qkv.weight": linear or glorot(768, 3 * 768),
            block + "attn.qkv.bias": ZEROS,
            block + "attn.proj.weight": linear or glorot(768, 768),
            block + "attn.proj.bias": ZEROS,
            block + "mlp.fc1.weight": linear or glorot(768, 3072),
            block + "mlp.fc1.bias": mlp_bias,
            block + "mlp.fc2.weight": linear or glorot(3072, 768),
            block + "mlp.fc2.bias": mlp_bias,
        }
    return expected


NORM = {"weight": ONES, "bias": ZEROS}


@pytest.mark.parametrize("jax", [False, True])
def test_vit_of_timm(jax):
    """timm's default and its weight_init="jax", as its source has them."""
    plan = vit_plan("timm_jax") if jax else vit_plan("timm", patch=16)
    assert plan == plan_named("vit_timm_jax" if jax else "vit_timm_patch16")
    shapes = {**vit(), "reg_token": (1, 4, 768)}
    for name, distribution in timm_vit(jax).items():
        assert close(plan.distribution(name, shapes.get(name, (768,))), distribution), name
    found = plan.distribution("patch_embed.proj.weight", (768, 3, 16, 16))
    if jax:
        assert isinstance(found, TruncatedNormal)
        assert math.isclose(found.std, 1 / math.sqrt(3 * 16 * 16), rel_tol=1e-12)
    else:
        assert close(found, Uniform(-1 / math.sqrt(768), 1 / math.sqrt(768)))
    assert TRUNCATED.std == 0.02
    assert plan.rule_for("blocks.0.ls1.gamma", 1) is None


def test_vit_timm_without_patch():
    """The bias of the patches does not show its fan: no rule, rather than a wrong one."""
    with pytest.raises(PlanError, match=r"'patch_embed.proj.bias'"):
        vit_plan("timm").distribution("patch_embed.proj.bias", (768,))
    small = vit_plan("timm", 14).distribution("patch_embed.proj.bias", (768,))
    assert small.bounds[1] == 1 / math.sqrt(3 * 14 * 14)


@pytest.mark.parametrize("init", ["vit_jax", "timm", "timm_jax"])
def test_norms_of_vit(init):
    """Just what is a norm by name: one character more or less is not."""
    plan = vit_plan(init)
    for name in ("norm_pre.weight", "norm.weight", "norm1.weight", "fc_norm.weight"):
        assert plan.distribution(name, (8,)) == ONES
    for name in ("norm_pre", "norm_pre_.weight", "norm_post.weight", "norm12.weight", "x.weight"):
        assert plan.rule_for(name, 1) is None
    assert plan.rule_for("norm_pre.weight", 2) is None


def test_vit_arguments():
    with pytest.raises(ValueError, match=r"init is 'tim'; did you mean 'timm'\?") as raised:
        vit_plan("tim")
    assert raised.value.choices == ("vit_jax", "timm", "timm_jax")
    with pytest.raises(ValueError, match="patch is 0; it must be an integer from 1 up"):
        vit_plan("timm", 0)


def resnet(bottleneck):
    """Names and shapes of torchvision's resnet50 or resnet18."""
    tensors = {}

    def conv(name, *shape):
        tensors[f"{name}.weight"] = shape

    def norm(name, channels):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{kind}"] = (channels,)
        tensors[f"{name}.num_batches_tracked"] = ()

    conv("conv1", 64, 3, 7, 7)
    norm("bn1", 64)
    into = 64
    for stage, blocks in enumerate((3, 4, 6, 3) if bottleneck else (2, 2, 2, 2), 1):
        width = 32 * 2**stage
        out = 4 * width if bottleneck else width
        for block in range(blocks):
            here = f"layer{stage}.{block}"
            kernels = [(width, into, 1), (width, width, 3), (out, width, 1)]
            if not bottleneck:
                kernels = [(width, into, 3), (width, width, 3)]
            for number, (channels, inputs, size) in enumerate(kernels, 1):
                conv(f"{here}.conv{number}", channels, inputs, size, size)
                norm(f"{here}.bn{number}", channels)
            if block == 0 and (stage > 1 or bottleneck):
                conv(f"{here}.downsample.0", out, into, 1, 1)
                norm(f"{here}.downsample.1", out)
            into = out
    tensors["fc.weight"], tensors["fc.bias"] = (1000, into), (1000,)
    return tensors


@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_resnet(block, zeroed):
    """25.6 or 11.7 million parameters; the last norm of a branch at 0 if asked."""
    tensors = resnet(block == "bottleneck")
    counted = {
        name: shape for name, shape in tensors.items() if not re.search("running|num_", name)
    }
    total = 25_557_032 if block == "bottleneck" else 11_689_512
    assert sum(map(math.prod, counted.values())) == total
    plan = resnet_plan(zeroed, block)
    last = "bn3.weight" if block == "bottleneck" else "bn2.weight"
    for name, shape in tensors.items():
        distribution = plan.distribution(name, shape)
        if len(shape) == 4:
            assert close(distribution, Normal(0, math.sqrt(2 / (shape[0] * shape[2] * shape[3]))))
        elif name == "fc.weight":
            assert close(distribution, Uniform(-(shape[1] ** -0.5), shape[1] ** -0.5))
        elif name.endswith("running_var") or (
            name.endswith("weight") and not (zeroed and name.endswith(last))
        ):
            assert distribution == ONES
        else:
            assert distribution == ZEROS


def test_resnet_block():
    with pytest.raises(ValueError, match=r"block is 'baisc'; did you mean 'basic'\?") as raised:
        resnet_plan(True, "baisc")
    assert raised.value.choices == ("bottleneck", "basic")


@pytest.mark.parametrize("layout", ["torhc", "", 3])
def test_default_plan_layout(layout):
    with pytest.raises(PlanError, match=rf"layout is {layout!r}; .*'torch', 'jax', 'keras'"):
        default_plan(layout)


# ---- Llama ---------------------------------------------------------------------------------------

LLAMA = [
    ("model.embed_tokens.weight", (320, 64), Normal(0.0, 0.02)),
    ("model.layers.1.self_attn.q_proj.weight", (64, 64), Normal(0.0, 0.02)),
    ("model.layers.1.self_attn.q_proj.bias", (64,), ZEROS),
    ("model.layers.1.mlp.down_proj.weight", (64, 128), Normal(0.0, 0.02)),
    ("model.layers.1.post_attention_layernorm.weight", (64,), ONES),
    ("model.norm.weight", (64,), ONES),
    ("lm_head.weight", (320, 64), Normal(0.0, 0.02)),
]


@pytest.mark.parametrize(("name", "shape", "expected"), LLAMA)
def test_llama(name, shape, expected):
    assert llama_plan().distribution(name, shape) == expected
    if isinstance(expected, Normal):
        assert llama_plan(std=0.1).distribution(name, shape) == Normal(0.0, 0.1)


def absolute(std):
    return TruncatedNormal(0.0, std, -2 / std, 2 / std)


TITAN = [
    ("tok_embeddings.weight", (320, 64), Normal(0.0, 1.0)),
    ("layers.0.attention.wq.weight", (64, 64), absolute(0.02)),
    ("layers.11.attention.wv.weight", (16, 64), absolute(0.02)),
    ("layers.1.attention.wo.weight", (64, 64), absolute(0.01)),
    ("layers.7.feed_forward.w1.weight", (128, 64), absolute(0.02)),
    ("layers.7.feed_forward.w2.weight", (64, 128), absolute(0.005)),
    ("layers.7.feed_forward.w3.weight", (128, 64), absolute(0.005)),
    ("layers.7.ffn_norm.weight", (64,), ONES),
    ("norm.weight", (64,), ONES),
    ("output.weight", (320, 64), TruncatedNormal(0.0, 0.125, -3.0, 3.0)),
]


@pytest.mark.parametrize(("name", "shape", "expected"), TITAN)
def test_llama_of_torchtitan(name, shape, expected):
    """Scaled by the block; block 11 does not take the scale of block 1."""
    assert close(llama_plan("torchtitan", layers=12, dim=64).distribution(name, shape), expected)


def test_llama_refused():
    with pytest.raises(ValueError, match="init is 'titan'"):
        llama_plan("titan")
    with pytest.raises(TypeError, match="layers is missing"):
        llama_plan("torchtitan", dim=64)
    with pytest.raises(TypeError, match="dim is missing"):
        llama_plan("torchtitan", layers=2)
    with pytest.raises(ValueError, match="std is -1"):
        llama_plan(std=-1)
    with pytest.raises(PlanError, match="no rule"):
        llama_plan("torchtitan", layers=2, dim=64).distribution(
            "layers.2.attention.wo.weight", (64, 64)
        )
