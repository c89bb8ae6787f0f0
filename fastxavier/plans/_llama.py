"""The preset of Llama-shaped models, by the names of transformers or of torchtitan."""

from __future__ import annotations

import math
from typing import SupportsFloat, SupportsIndex

from fastxavier._validation import ArgumentTypeError, choice, integer, not_negative
from fastxavier.distributions import Normal, TruncatedNormal
from fastxavier.plans._plan import Plan
from fastxavier.plans._rule import Rule

__all__ = ["llama_plan"]


def llama_plan(
    init: str = "transformers",
    *,
    std: SupportsFloat = 0.02,
    layers: SupportsIndex | None = None,
    dim: SupportsIndex | None = None,
) -> Plan:
    """Llama and models of its shape, as transformers or torchtitan initializes them.

    Parameters
    ----------
    init : {"transformers", "torchtitan"}
        - "transformers", by its names (``model.layers.0.self_attn.q_proj.weight``), also those of
          Mistral, Qwen and others: all matrices are N(0, std**2), biases 0, norms the identity.
          The row of a padding token is not set to 0.
        - "torchtitan", by its names (``layers.0.attention.wq.weight``): embeddings are N(0, 1);
          weights of attention and the first of the feed-forward net are N(0, std**2), those that
          write into the residual stream N(0, std**2 / (2 * (block + 1))), blocks being counted from
          0, all cut at -2 and 2 as they are; the output layer is N(0, 1 / dim), truncated at three
          standard deviations.
    std : float, default 0.02
        The standard deviation; ``initializer_range`` in the configuration of transformers' models.
    layers : int, optional
        Number of blocks, which "torchtitan" needs.
    dim : int, optional
        The model's width, which "torchtitan" needs.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        If `init` is neither, `std` is negative or not finite, or `layers` or `dim` is not an
        integer from 1 up or missing.

    Examples
    --------
    >>> from fastxavier import llama_plan
    >>> llama_plan().distribution("model.layers.0.mlp.up_proj.weight", (11008, 4096))
    Normal(mean=0.0, std=0.02)
    >>> plan = llama_plan("torchtitan", layers=32, dim=4096)
    >>> plan.distribution("layers.7.attention.wo.weight", (4096, 4096)).parent
    Normal(mean=0.0, std=0.005)
    """
    choice("init", init, ("transformers", "torchtitan"))
    std = not_negative("std", std)
    norms = Rule(["*norm.weight", "norm.weight"], "ones", ndim=1)
    if init == "transformers":
        return Plan(
            [
                norms,
                Rule("*.bias", "zeros", ndim=1),
                Rule("*.weight", "normal", ndim=2, std=std),
            ]
        )
    for name, given in (("layers", layers), ("dim", dim)):
        if given is None:
            raise ArgumentTypeError(
                f"{name} is missing; the initialization of torchtitan follows from it", name
            )
    blocks, width = integer("layers", layers, 1), integer("dim", dim, 1)

    def cut(spread: float) -> TruncatedNormal:
        """Cut at -2 and 2 as they are, whatever the spread."""
        bound = 2 / spread if spread else 2.0
        return TruncatedNormal(0.0, spread, -bound, bound)

    residual = ["attention.wo", "feed_forward.w2", "feed_forward.w3"]
    return Plan(
        [
            norms,
            Rule("tok_embeddings.weight", Normal(0.0, 1.0), ndim=2),
            *(
                Rule(
                    [f"layers.{block}.{name}.weight" for name in residual],
                    cut(std / math.sqrt(2 * (block + 1))),
                    ndim=2,
                )
                for block in range(blocks)
            ),
            Rule(
                ["layers.*.attention.w[qkv].weight", "layers.*.feed_forward.w1.weight"],
                cut(std),
                ndim=2,
            ),
            Rule("output.weight", TruncatedNormal(0.0, 1 / math.sqrt(width), -3.0, 3.0), ndim=2),
            Rule("*.bias", "zeros", ndim=1),
        ]
    )
