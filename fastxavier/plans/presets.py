"""Recipes: ready-made plans for the tensor names of well-known models. Knows no array, no file."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

from fastxavier.plans import Plan, PlanError, Rule, names_instead

__all__ = ["PLANS", "default_plan", "gpt2_plan", "resnet_plan", "vit_plan"]


def _last(*names: str) -> list[str]:
    """Globs for the last part of a tensor's name, whatever divides the parts."""
    return [glob for name in names for glob in (name, f"*[._/]{name}")]


def default_plan(layout: str = "torch") -> Plan:
    """A plan for the usual names of torch, Flax and Keras.

    Weights, kernels and embeddings of two or more axes start Glorot uniform [1]_, biases at 0, and
    norms as the identity: scales at 1, running means at 0, running variances at 1. What the name
    calls an embedding has the fans of the layout "embedding"; torch's are called ``weight``, and
    have those of a linear layer. The kernels of attention that Flax and Keras hold in three axes,
    ``query``, ``key`` and ``value`` to (heads, head_dim), ``out`` or Keras' ``attention_output``
    from them, have the fans of the matrix they are. A tensor of any other name has no rule, since
    what it holds is not known.

    Parameters
    ----------
    layout : str
        As of `Plan`. Biases have one axis; in other layouts than torch's they may have two, as
        those of Flax's attention do.

    Returns
    -------
    Plan
        Its rules, first those for biases and norms.

    Raises
    ------
    PlanError
        If the layout is none of `Plan`'s.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010, equation 16.

    Examples
    --------
    >>> default_plan().distribution("layers.0.weight", (256, 128)).bounds
    (-0.125, 0.125)
    """
    one = [Rule(_last("bias", "beta"), "zeros", rank=1)]
    two = [] if layout == "torch" else [Rule(_last("bias"), "zeros", rank=2)]
    return Plan(
        [
            *one,
            *two,
            Rule(_last("running_mean", "moving_mean", "mean"), "zeros", rank=1),
            Rule(_last("running_var", "moving_variance", "var"), "ones", rank=1),
            Rule(_last("num_batches_tracked"), "zeros", rank=0),
            Rule(_last("weight", "scale", "gamma"), "ones", rank=1),
            *_attention(layout),
            Rule(_last("weight", "kernel"), "glorot_uniform", rank="2+"),
            Rule(_last("embedding", "embeddings"), "glorot_uniform", rank=2, layout="embedding"),
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
        Rule(first, "glorot_uniform", rank=3, in_axis=0, out_axis=(1, 2)),
        Rule(
            _last(f"{last[layout]}[._/]kernel"),
            "glorot_uniform",
            rank=3,
            in_axis=(0, 1),
            out_axis=2,
        ),
    ]


def gpt2_plan(layers: int = 12) -> Plan:
    """GPT-2, by the names of its published checkpoints and of Hugging Face's model.

    Weights are N(0, 0.02**2), those that write into the residual stream (``*.c_proj.weight``)
    N(0, 0.02**2 / (2 * layers)) [1]_: "we scale the weights of residual layers at initialization
    by a factor of 1/sqrt(N) where N is the number of residual layers", two in each block. Biases
    are 0, and layer norms begin as the identity. The causal masks that some checkpoints hold as
    ``h.*.attn.bias``, of four axes, are no weights and have no rule.

    Parameters
    ----------
    layers : int
        Number of blocks.

    Returns
    -------
    Plan

    Raises
    ------
    PlanError
        If `layers` is no positive integer.

    References
    ----------
    .. [1] A. Radford, J. Wu, R. Child, D. Luan, D. Amodei, I. Sutskever, "Language models are
       unsupervised multitask learners", OpenAI 2019, section 2.3.

    Examples
    --------
    >>> gpt2_plan(layers=8).distribution("h.7.mlp.c_proj.weight", (3072, 768))
    Normal(mean=0.0, std=0.005)
    """
    if not isinstance(layers, numbers.Integral) or isinstance(layers, bool) or layers < 1:
        raise PlanError(f"layers is {layers!r}; it must be an integer from 1 up", "layers")

    def named(*names: str) -> list[str]:
        return [glob for name in names for glob in (name, f"transformer.{name}")]

    residual = 0.02 / math.sqrt(2 * layers)
    weights = named("wte.weight", "wpe.weight", "h.*.attn.c_attn.weight", "h.*.mlp.c_fc.weight")
    return Plan(
        [
            Rule(named("h.*.c_proj.weight"), "normal", rank=2, std=residual),
            Rule([*weights, "lm_head.weight"], "normal", rank=2, std=0.02),
            Rule(named("h.*.ln_[12].weight", "ln_f.weight"), "ones", rank=1),
            Rule(named("h.*.bias", "ln_f.bias"), "zeros", rank=1),
        ]
    )


def vit_plan() -> Plan:
    """The Vision Transformer, by timm's names and as its authors' own code starts it [1]_.

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
    >>> vit_plan().distribution("blocks.0.attn.qkv.weight", (3 * 768, 768)).bounds
    (-0.0625, 0.0625)
    """
    return Plan(
        [
            Rule(["*norm.weight", "*norm?.weight", "norm_pre.weight"], "ones", rank=1),
            Rule("pos_embed", "normal", std=0.02),
            Rule(["cls_token", "head.weight", "head.bias"], "zeros"),
            Rule("blocks.*.mlp.fc[12].bias", "normal", rank=1, std=1e-6),
            Rule("*.bias", "zeros", rank=1),
            Rule("blocks.*.attn.qkv.weight", "glorot_uniform", rank=2, parts=3),
            Rule(
                ["blocks.*.attn.proj.weight", "blocks.*.mlp.fc[12].weight"],
                "glorot_uniform",
                rank=2,
            ),
            Rule(
                ["patch_embed.proj.weight", "pre_logits.fc.weight"],
                "lecun_truncated_normal",
                rank="2+",
            ),
        ]
    )


def resnet_plan(zero_init_residual: bool = False, block: str = "bottleneck") -> Plan:
    """ResNet, by torchvision's names.

    Convolutions start He normal by fan_out [1]_, batch norms as the identity, the classifier
    uniform within 1/sqrt(fan_in) as torch's Linear does, its bias at 0.

    Parameters
    ----------
    zero_init_residual : bool
        Whether the last norm of each residual branch starts at 0, so that each block begins as
        the identity [2]_.
    block : {"bottleneck", "basic"}
        Which blocks: their last norm is ``bn3`` (ResNet-50 and deeper) or ``bn2`` (18 and 34).

    Returns
    -------
    Plan

    Raises
    ------
    PlanError
        If `block` is neither.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, equation 14.
    .. [2] P. Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1.

    Examples
    --------
    >>> resnet_plan().distribution("conv1.weight", (128, 3, 5, 5))
    Normal(mean=0.0, std=0.025)
    """
    last = {"bottleneck": "layer*.bn3.weight", "basic": "layer*.bn2.weight"}
    if block not in last:
        raise PlanError(f"block is {block!r}; {names_instead(str(block), last)}", "block")
    zeroed = [Rule(last[block], "zeros", rank=1)] if zero_init_residual else []
    return Plan(
        [
            *zeroed,
            Rule("*.weight", "he_normal", rank=4, mode="fan_out"),
            Rule("*.weight", "ones", rank=1),
            Rule(["*.bias", "*.running_mean"], "zeros", rank=1),
            Rule("*.running_var", "ones", rank=1),
            Rule("*.num_batches_tracked", "zeros", rank=0),
            Rule("fc.weight", "heuristic_uniform", rank=2),
        ]
    )


PLANS: dict[str, Callable[..., Plan]] = {
    "default": default_plan,
    "gpt2": gpt2_plan,
    "vit": vit_plan,
    "resnet": resnet_plan,
}
