"""Presets: plans for the tensor names of well-known models."""

from __future__ import annotations

import math
from collections.abc import Callable

from fastxavier._fans import Layout
from fastxavier._validation import ArgumentTypeError, choice, choose_from, integer, shown
from fastxavier.initializers import he_normal
from fastxavier.plans._plan import Plan
from fastxavier.plans._rule import PlanError, Rule
from fastxavier.plans._text import ENDINGS

__all__ = ["PRESETS", "default_plan", "gpt2_plan", "plan_named", "resnet_plan", "vit_plan"]


def _last(*names: str) -> list[str]:
    """Globs for the last part of a tensor's name, whatever divides the parts."""
    return [glob for name in names for glob in (name, f"*[._/]{name}")]


def default_plan(layout: Layout = "torch") -> Plan:
    """A plan for the usual names of torch, Flax and Keras.

    Weights, kernels and embeddings of two or more axes are Glorot uniform [1]_, biases 0, and norms
    the identity: scales 1, running means 0, running variances 1. A tensor called an embedding has
    the fans of the layout "embedding"; torch calls its embeddings ``weight``, so they have those of
    a linear layer. The attention kernels that Flax and Keras hold in three axes (``query``, ``key``
    and ``value`` to (heads, head_dim); ``out``, in Keras ``attention_output``, from them) have the
    fans of the matrix they represent. A tensor of any other name has no rule: what it holds is not
    known.

    Parameters
    ----------
    layout : str
        As of `Plan`. Biases have one axis; outside of torch's layout they may have two, as
        those of Flax's attention do.

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
    """
    one = [Rule(_last("bias", "beta"), "zeros", ndim=1)]
    two = [] if layout == "torch" else [Rule(_last("bias"), "zeros", ndim=2)]
    return Plan(
        [
            *one,
            *two,
            Rule(_last("running_mean", "moving_mean", "mean"), "zeros", ndim=1),
            Rule(_last("running_var", "moving_variance", "var"), "ones", ndim=1),
            Rule(_last("num_batches_tracked"), "zeros", ndim=0),
            Rule(_last("weight", "scale", "gamma"), "ones", ndim=1),
            *_attention(layout),
            Rule(_last("weight", "kernel"), "glorot_uniform", ndim="2+"),
            Rule(_last("embedding", "embeddings"), "glorot_uniform", ndim=2, layout="embedding"),
        ],
        layout,
    )


def _attention(layout: str) -> list[Rule]:
    """Rules for the kernels of attention that have an axis of heads."""
    last = {"jax": "out", "keras": "attention_output"}
    if layout not in last:
        return []
    first = _last(*(f"{name}[._/]kernel" for name in ("query", "key", "value")))
    return [
        Rule(first, "glorot_uniform", ndim=3, in_axis=0, out_axis=(1, 2)),
        Rule(
            _last(f"{last[layout]}[._/]kernel"),
            "glorot_uniform",
            ndim=3,
            in_axis=(0, 1),
            out_axis=2,
        ),
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


def vit_plan() -> Plan:
    """The Vision Transformer, by timm's names, initialized as in its authors' own code [1]_.

    Attention and MLP are Glorot uniform, query, key and value each with their own fans (``qkv``
    holds the three); MLP biases N(0, 1e-6**2), other biases 0; positions N(0, 0.02**2); the class
    token and the head 0; patch embedding and representation layer LeCun's truncated normal,
    which is Flax's default.

    Returns
    -------
    Plan

    References
    ----------
    .. [1] A. Dosovitskiy et al., "An image is worth 16x16 words: transformers for image
       recognition at scale", ICLR 2021, and ``vit_jax/models_vit.py`` of
       github.com/google-research/vision_transformer.

    Examples
    --------
    >>> from fastxavier import vit_plan
    >>> vit_plan().distribution("blocks.0.attn.qkv.weight", (3 * 768, 768)).bounds
    (-0.0625, 0.0625)
    """
    return Plan(
        [
            Rule(["*norm.weight", "*norm?.weight", "norm_pre.weight"], "ones", ndim=1),
            Rule("pos_embed", "normal", std=0.02),
            Rule(["cls_token", "head.weight", "head.bias"], "zeros"),
            Rule("blocks.*.mlp.fc[12].bias", "normal", ndim=1, std=1e-6),
            Rule("*.bias", "zeros", ndim=1),
            Rule("blocks.*.attn.qkv.weight", "glorot_uniform", ndim=2, parts=3),
            Rule(
                ["blocks.*.attn.proj.weight", "blocks.*.mlp.fc[12].weight"],
                "glorot_uniform",
                ndim=2,
            ),
            Rule(
                ["patch_embed.proj.weight", "pre_logits.fc.weight"],
                "lecun_truncated_normal",
                ndim="2+",
            ),
        ]
    )


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
        ]
    )


PRESETS: dict[str, Callable[..., Plan]] = {
    "default": default_plan,
    "gpt2": gpt2_plan,
    "vit": vit_plan,
    "resnet": resnet_plan,
}


def plan_named(plan: Plan | str) -> Plan:
    """A plan: itself, a preset by its name, or what a file says.

    Parameters
    ----------
    plan : Plan or str
        A plan, a key of `PRESETS`, or the path of a .toml or .json file.

    Returns
    -------
    Plan
        Of a preset, with its default arguments.

    Raises
    ------
    PlanError
        If there is no preset of this name.
    TypeError
        If it is neither a plan nor a string.
    OSError
        If the file cannot be read.
    """
    if isinstance(plan, Plan):
        return plan
    if isinstance(plan, str):
        if plan in PRESETS:
            return PRESETS[plan]()
        if plan.endswith(ENDINGS):
            return Plan.load(plan)
    name = getattr(plan, "__name__", "")
    hint = f"; call it: {name}()" if callable(plan) and name else ""
    error = PlanError if isinstance(plan, str) else ArgumentTypeError
    raise error(
        f"plan is {shown(plan)}; {choose_from(plan, PRESETS)}, a file that ends in .toml or .json, "
        f"or a Plan{hint}",
        "plan",
        plan,
        PRESETS,
    )
