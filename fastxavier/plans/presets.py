"""Presets: plans for the tensor names of well-known models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, get_args

from fastxavier._fans import Layout
from fastxavier._validation import ArgumentTypeError, choice, choose_from, integer, shown
from fastxavier.distributions import Distribution, TruncatedNormal, Uniform
from fastxavier.initializers import VarianceScaling, he_normal
from fastxavier.plans._llama import llama_plan
from fastxavier.plans._plan import Plan
from fastxavier.plans._rule import PlanError, Rule
from fastxavier.plans._text import ENDINGS

__all__ = [
    "PRESETS",
    "default_plan",
    "gpt2_plan",
    "llama_plan",
    "plan_named",
    "resnet_plan",
    "unused_of_user",
    "vit_plan",
]


def _last(*names: str) -> list[str]:
    """Globs for the last part of a tensor's name, whatever divides the parts."""
    return [glob for name in names for glob in (name, f"*[._/]{name}")]


def default_plan(layout: Layout | None = None) -> Plan:
    """A plan for the usual names of torch, Flax and Keras.

    Weights, kernels and embeddings of two or more axes are Glorot uniform [1]_, biases 0, and norms
    the identity: scales 1, running means 0, running variances 1. Slopes of PReLU are 0.25.

    A tensor called an embedding has the fans of the layout "embedding"; torch calls its embeddings
    ``weight``, so they have those of a linear layer. The attention kernels that Flax and Keras hold
    in three axes (``query``, ``key`` and ``value`` to (heads, head_dim); ``out``, in Keras
    ``attention_output``, from them) have the fans of the matrix they represent, a
    ``depthwise_kernel`` those of its channels one by one, and a weight of three axes that is called
    bilinear those of a sum over both inputs.

    What a name does not say is not guessed. A ``scale`` or ``gamma`` of one axis is that of a norm
    if the module is called so (``norm1``, ``LayerNorm_0``, ``bn``, ``ln_f``), and may else be
    LayerScale's. So is a ``weight``, or if there is a bias or a running mean beside it; without,
    it may be the slopes of PReLU, as ``1.weight`` of a Sequential. Such a tensor, and one of any
    other name, has no rule, and the error says which to add.

    Parameters
    ----------
    layout : str, optional
        As in `Plan`: if it is not given, a ``kernel`` is Flax's or Keras', a ``weight`` torch's.
        Biases have one axis; in JAX's and Keras' layout they may have two, as those of Flax's
        attention do.

    Returns
    -------
    Plan
        Its rules, first those for biases and norms.

    Raises
    ------
    PlanError
        If the layout is not one of `Plan`'s.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010, equation 16.

    Examples
    --------
    >>> from fastxavier import default_plan
    >>> default_plan().distribution("layers.0.weight", (256, 128)).bounds
    (-0.125, 0.125)
    >>> default_plan().distribution("params/Conv_0/kernel", (3, 3, 32, 64)).std
    0.048112522432468816
    """
    into, out_of = ("query", "key", "value"), _OUT_OF_HEADS.get(layout, ())
    two_axes = _last("bias") if layout else _last(*(f"{name}[._/]bias" for name in into))
    several_axes = [f"*[nN]orm{number}[./]" for number in ("", "[0-9]", "_?")]
    return Plan(
        [
            Rule(_last("bias", "beta"), "zeros", ndim=1),
            *([] if layout == "torch" else [Rule(two_axes, "zeros", ndim=2)]),
            Rule(_last("running_mean", "moving_mean"), "zeros", ndim=1),
            Rule(_last("running_var", "moving_variance"), "ones", ndim=1),
            Rule(["mean", "*[./]mean"], "zeros", ndim=1),
            Rule(["var", "*[./]var"], "ones", ndim=1),
            Rule(_last("num_batches_tracked"), "zeros", ndim=0),
            Rule(
                [
                    "*[pP][rR][eE][lL][uU]*[._/]weight",
                    *_last(*(f"{name}[._/]weight" for name in ("act", "act[0-9]", "activation"))),
                ],
                "constant",
                ndim=1,
                value=0.25,
            ),
            Rule(
                [
                    f"{module}[._/]{scale}"
                    for scale in ("weight", "scale", "gamma")
                    for module in ("*[nN]orm*", *_last("[blg]n", "[blg]n[0-9_]*"))
                ],
                "ones",
                ndim=1,
            ),
            Rule(_last("weight"), "ones", ndim=1, beside=("bias", "running_mean")),
            # Layer norms over several axes, as torch has them.
            Rule([f"{module}weight" for module in several_axes], "ones", ndim="2+"),
            Rule([f"{module}bias" for module in several_axes], "zeros", ndim="2+"),
            *_attention(into, out_of),
            Rule(
                _last("depthwise_kernel"),
                "glorot_uniform",
                ndim="3+",
                in_axis=(),
                out_axis=-1,
                batch_axis=-2,
            ),
            Rule(
                "*[bB]ilinear*[._/]weight",
                "glorot_uniform",
                ndim=3,
                in_axis=(1, 2),
                out_axis=0,
            ),
            Rule(_last("weight", "kernel"), "glorot_uniform", ndim="2+"),
            Rule(_last("embedding", "embeddings"), "glorot_uniform", ndim=2, layout="embedding"),
        ],
        layout,
    )


# What attention calls the layer that heads go into, by layout.
_OUT_OF_HEADS: dict[str | None, tuple[str, ...]] = {
    None: ("out", "attention_output"),
    "jax": ("out",),
    "keras": ("attention_output",),
}


def _attention(into: Iterable[str], out_of: Iterable[str]) -> list[Rule]:
    """Rules for the kernels of attention that have an axis of heads."""
    if not out_of:
        return []
    first, last = (_last(*(f"{name}[._/]kernel" for name in names)) for names in (into, out_of))
    return [
        Rule(first, "glorot_uniform", ndim=3, in_axis=0, out_axis=(1, 2)),
        Rule(last, "glorot_uniform", ndim=3, in_axis=(0, 1), out_axis=2),
    ]


def gpt2_plan(layers: int = 12) -> Plan:
    """GPT-2, by the names of its published checkpoints and of Hugging Face's model.

    Weights are N(0, 0.02**2), those that write into the residual stream (``*.c_proj.weight``)
    N(0, 0.02**2 / (2 * layers)) [1]_: "we scale the weights of residual layers at initialization
    by a factor of 1/sqrt(N) where N is the number of residual layers", two in each block. Biases
    are 0, and layer norms are the identity. The causal masks that some checkpoints hold as
    ``h.*.attn.bias``, with four axes, are not weights and have no rule.

    Parameters
    ----------
    layers : int
        Number of blocks.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        If `layers` is not an integer from 1 up.

    References
    ----------
    .. [1] A. Radford, J. Wu, R. Child, D. Luan, D. Amodei, I. Sutskever, "Language models are
       unsupervised multitask learners", OpenAI 2019, section 2.3.

    Examples
    --------
    >>> from fastxavier import gpt2_plan
    >>> gpt2_plan(layers=8).distribution("h.7.mlp.c_proj.weight", (3072, 768))
    Normal(mean=0.0, std=0.005)
    """
    layers = integer("layers", layers, 1)

    def named(*names: str) -> list[str]:
        return [glob for name in names for glob in (name, f"transformer.{name}")]

    residual = 0.02 / math.sqrt(2 * layers)
    weights = named("wte.weight", "wpe.weight", "h.*.attn.c_attn.weight", "h.*.mlp.c_fc.weight")
    return Plan(
        [
            Rule(named("h.*.c_proj.weight"), "normal", ndim=2, std=residual),
            Rule([*weights, "lm_head.weight"], "normal", ndim=2, std=0.02),
            Rule(named("h.*.ln_[12].weight", "ln_f.weight"), "ones", ndim=1),
            Rule(named("h.*.bias", "ln_f.bias"), "zeros", ndim=1),
        ]
    )


def vit_plan(init: str = "vit_jax", patch: int | None = None) -> Plan:
    """The Vision Transformer, by timm's names, in one of three initializations.

    "vit_jax" is that of its authors' own code [1]_. Attention and MLP are Glorot uniform, query,
    key and value each with their own fans (``qkv`` holds the three); patch embedding and
    representation layer are LeCun's truncated normal, which is Flax's default. MLP biases are
    N(0, 1e-6**2), positions N(0, 0.02**2), the class token and the head 0.

    "timm_jax" is timm's ``weight_init="jax"`` [2]_, which differs from it in three things: ``qkv``
    is one matrix with the fans of all three, the class and register tokens are N(0, 1e-6**2), and
    positions are truncated at -2 and 2, which are 100 standard deviations.

    "timm" is timm's default [2]_. All linear layers, the head included, are normal with a standard
    deviation of 0.02, truncated at -2 and 2, and their biases 0; tokens and positions are as in
    "timm_jax". The patch embedding and its bias are uniform within 1/sqrt(fan_in), as torch's
    convolutions are by default.

    In all of them norms are the identity, and the biases not named here 0. The scales of LayerScale
    (``blocks.*.ls1.gamma``), which are the model's own, have no rule.

    Parameters
    ----------
    init : {"vit_jax", "timm", "timm_jax"}
        Which initialization. "vit", "vit_timm_jax" and "vit_timm_patch16" are presets of them.
    patch : int, optional
        Height of a square patch of three channels, for "timm": the bias of the patch embedding does
        not show its fan, and has no rule without it.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        If `init` is none of them, or `patch` is not an integer from 1 up.

    References
    ----------
    .. [1] A. Dosovitskiy et al., "An image is worth 16x16 words: transformers for image
       recognition at scale", ICLR 2021, and ``vit_jax/models_vit.py`` of
       github.com/google-research/vision_transformer.
    .. [2] ``timm/models/vision_transformer.py`` of github.com/huggingface/pytorch-image-models:
       ``init_weights``, ``init_weights_vit_jax`` and ``init_weights_vit_timm``.

    Examples
    --------
    >>> from fastxavier import vit_plan
    >>> vit_plan().distribution("blocks.0.attn.qkv.weight", (3 * 768, 768)).bounds
    (-0.0625, 0.0625)
    >>> vit_plan("timm").distribution("blocks.0.attn.qkv.weight", (3 * 768, 768)).std
    0.02
    """
    choice("init", init, ("vit_jax", "timm", "timm_jax"))
    qkv, dense = (
        "blocks.*.attn.qkv.weight",
        ["blocks.*.attn.proj.weight", "blocks.*.mlp.fc[12].weight"],
    )
    patches = "patch_embed.proj.weight"
    norms = Rule(["*norm.weight", "*norm?.weight", "norm_pre.weight"], "ones", ndim=1)
    biases = Rule("*.bias", "zeros", ndim=1)
    mlp_biases = Rule("blocks.*.mlp.fc[12].bias", "normal", ndim=1, std=1e-6)
    head = Rule(["head.weight", "head.bias"], "zeros")
    cut = TruncatedNormal(0.0, 0.02, -100.0, 100.0)
    tokens = [Rule(["cls_token", "reg_token"], "normal", std=1e-6), Rule("pos_embed", cut)]
    if init == "timm":
        bound = None if patch is None else 1 / math.sqrt(3 * integer("patch", patch, 1) ** 2)
        rules = [
            norms,
            *tokens,
            *([] if bound is None else [Rule("patch_embed.proj.bias", Uniform(-bound, bound))]),
            Rule(
                ["blocks.*.bias", "*norm.bias", "*norm?.bias", "norm_pre.bias", "head.bias"],
                "zeros",
                ndim=1,
            ),
            Rule([qkv, *dense, "head.weight"], cut, ndim=2),
            Rule(patches, "heuristic_uniform", ndim=4),
        ]
    elif init == "timm_jax":
        rules = [
            norms,
            *tokens,
            head,
            mlp_biases,
            biases,
            Rule([qkv, *dense], "glorot_uniform", ndim=2),
            Rule(patches, "lecun_truncated_normal", ndim=4),
        ]
    else:
        rules = [
            norms,
            Rule("pos_embed", "normal", std=0.02),
            Rule("cls_token", "zeros"),
            head,
            mlp_biases,
            biases,
            Rule(qkv, "glorot_uniform", ndim=2, parts=3),
            Rule(dense, "glorot_uniform", ndim=2),
            Rule([patches, "pre_logits.fc.weight"], "lecun_truncated_normal", ndim="2+"),
        ]
    return Plan(rules, "torch")


def resnet_plan(zero_init_residual: bool = False, block: str = "bottleneck") -> Plan:
    """ResNet, by torchvision's names.

    Convolutions are He normal by fan_out [1]_, batch norms the identity, the classifier uniform
    within 1/sqrt(fan_in) as in torch's Linear, its bias 0.

    Parameters
    ----------
    zero_init_residual : bool
        Whether the last norm of each residual branch is 0, so that each block is the identity at
        first [2]_.
    block : {"bottleneck", "basic"}
        Which blocks: their last norm is ``bn3`` (ResNet-50 and deeper) or ``bn2`` (18 and 34).

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If `block` is neither.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, equation 14.
    .. [2] P. Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1.

    Examples
    --------
    >>> from fastxavier import resnet_plan
    >>> resnet_plan().distribution("conv1.weight", (128, 3, 5, 5))
    Normal(mean=0.0, std=0.025)
    """
    last = {"bottleneck": "layer*.bn3.weight", "basic": "layer*.bn2.weight"}
    choice("block", block, last)
    zeroed = [Rule(last[block], "zeros", ndim=1)] if zero_init_residual else []
    return Plan(
        [
            *zeroed,
            Rule("*.weight", he_normal(mode="fan_out"), ndim=4),
            Rule("*.weight", "ones", ndim=1),
            Rule(["*.bias", "*.running_mean"], "zeros", ndim=1),
            Rule("*.running_var", "ones", ndim=1),
            Rule("*.num_batches_tracked", "zeros", ndim=0),
            Rule("fc.weight", "heuristic_uniform", ndim=2),
        ],
        "torch",
    )


PRESETS: dict[str, Callable[..., Plan]] = {
    "default": default_plan,
    "gpt2": gpt2_plan,
    "llama": llama_plan,
    "vit": vit_plan,
    "vit_timm_jax": partial(vit_plan, "timm_jax"),
    "vit_timm_patch16": partial(vit_plan, "timm", 16),
    "resnet": resnet_plan,
}


@cache
def _in_presets() -> frozenset[tuple[Any, ...]]:
    plans = [make() for make in PRESETS.values()] + [default_plan(one) for one in get_args(Layout)]
    return frozenset((rule.names, rule.ndim) for plan in plans for rule in plan.rules)


def unused_of_user(plan: Plan, shapes: Mapping[str, Iterable[int]]) -> tuple[Rule, ...]:
    """`Plan.unused_rules` without those of presets, which are for more models than one."""
    known = _in_presets()
    return tuple(one for one in plan.unused_rules(shapes) if (one.names, one.ndim) not in known)


def plan_named(plan: Plan | str, layout: Layout | None = None) -> Plan:
    """A plan: itself, a preset by its name, or what a file says.

    Parameters
    ----------
    plan : Plan or str
        A plan, a key of `PRESETS`, or the path of a .toml or .json file.
    layout : str, optional
        The layout of a plan that says none, as in `Plan`.

    Returns
    -------
    Plan
        Of a preset, with its default arguments.

    Raises
    ------
    PlanError
        If there is no preset of this name, or the plan has another layout.
    TypeError
        If it is neither a plan nor a string.
    OSError
        If the file cannot be read.
    """
    found = plan
    if isinstance(plan, str):
        if plan == "default":
            return default_plan(layout)
        if plan in PRESETS:
            found = PRESETS[plan]()
        elif plan.endswith(ENDINGS):
            found = Plan.load(plan)
    if not isinstance(found, Plan):
        name = getattr(plan, "__name__", "")
        hint = f"; call it: {name}()" if callable(plan) and name else ""
        if isinstance(plan, (list, tuple)):
            hint = "; of rules make one with Plan([...])"
        elif isinstance(plan, (VarianceScaling, Distribution)):
            hint = f"; for all tensors write Plan([Rule('*', {plan!r})])"
        error = PlanError if isinstance(plan, str) else ArgumentTypeError
        raise error(
            f"plan is {shown(plan)}; {choose_from(plan, PRESETS)}, a file that ends in .toml or "
            f".json, or a Plan{hint}",
            "plan",
            plan,
            PRESETS,
        )
    if layout is None or layout == found.layout:
        return found
    if found.layout is not None:
        source = f"plan {plan!r}" if isinstance(plan, str) else "the plan"
        raise PlanError(
            f"layout is {shown(layout)}, but that of {source} is {found.layout!r}; leave it out",
            "layout",
            layout,
        )
    return replace(found, layout=layout)
