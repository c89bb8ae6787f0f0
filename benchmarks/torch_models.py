"""Builds and initializes models of transformers in three ways: seconds, ratios and peak memory.

Run by hand: python benchmarks/torch_models.py [MODEL ...]. The ways are transformers' own, the same
within `fastxavier.torch.accelerate`, and on meta with `fastxavier.torch.init_`. Each has a process
of its own and is repeated; the fastest counts. The ways take turns, so that other work on the
machine meets all of them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from time import perf_counter

WAYS = ("own", "accelerate", "meta")
MODELS = ("gpt2-small", "gpt2-medium", "vit-base", "llama-1b")
ROUNDS = 2


def model_of(name):
    """Class, configuration, plan and dtype."""
    import torch
    import transformers as hf

    if name.startswith("gpt2"):
        size = {"gpt2-small": (12, 768, 12), "gpt2-medium": (24, 1024, 16)}[name]
        layers, width, heads = size
        config = hf.GPT2Config(n_layer=layers, n_embd=width, n_head=heads)
        return hf.GPT2LMHeadModel, config, "gpt2", torch.float32
    if name == "vit-base":
        return hf.ViTForImageClassification, hf.ViTConfig(), vit_of_transformers(), torch.float32
    config = hf.LlamaConfig(
        vocab_size=32000,
        hidden_size=2048,
        intermediate_size=5504,
        num_hidden_layers=16,
        num_attention_heads=16,
    )
    return hf.LlamaForCausalLM, config, "llama", torch.bfloat16


def vit_of_transformers():
    """What transformers draws for its ViT: normals truncated far out."""
    from fastxavier import Plan, Rule, TruncatedNormal

    cut = TruncatedNormal(0.0, 0.02, -100.0, 100.0)
    return Plan(
        [
            Rule("*.bias", "zeros"),
            Rule("*norm*.weight", "ones", ndim=1),
            Rule("*", cut, ndim="2+"),
        ]
    )


TINY = {
    "gpt2": {"n_layer": 1, "n_embd": 12, "n_head": 1, "vocab_size": 10},
    "vit": {"num_hidden_layers": 1, "hidden_size": 12, "num_attention_heads": 1},
    "llama": {
        "num_hidden_layers": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "vocab_size": 10,
    },
}


def build(name, way, tiny=False):
    """The model, or a tiny one of its kind, in one of the ways."""
    import torch

    import fastxavier.torch as ft

    kind, config, plan, dtype = model_of(name)
    if tiny:
        config = type(config)(**TINY[name.partition("-")[0]])
    torch.set_default_dtype(dtype)
    if way == "own":
        return kind(config)
    if way == "accelerate":
        with ft.accelerate():
            return kind(config)
    with torch.device("meta"):
        model = kind(config)
    for module in model.modules():
        if hasattr(module, "compute_default_rope_parameters"):
            ft.register(type(module), rotary)
    ft.init_(model, plan, seed=7)
    return model


def rotary(module):
    """The buffers of Llama that are computed."""
    values, _ = module.compute_default_rope_parameters(module.config, device="cpu")
    return {"inv_freq": values, "original_inv_freq": values}


def peak():
    """The most memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name, way):
    """Print the seconds of one build, the bytes of the model and the growth of the peak."""
    build(name, way, tiny=True)  # what is imported and looked up once
    before, start = peak(), perf_counter()
    model = build(name, way)
    seconds = perf_counter() - start
    nbytes = sum(w.numel() * w.element_size() for w in model.parameters())
    print(json.dumps({"seconds": seconds, "nbytes": nbytes, "peak": peak() - before}))


def main(names):
    """The table."""
    print("| model | size | own | accelerate | meta + init_ | peak of meta + init_ |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names or MODELS:
        found = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way in WAYS:
                command = [sys.executable, __file__, "--measure", name, way]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
        best = {way: min(one["seconds"] for one in found[way]) for way in WAYS}
        nbytes = found["meta"][0]["nbytes"]
        over = min(one["peak"] for one in found["meta"]) / nbytes
        cells = [f"{best[way]:.2f} s, {best['own'] / best[way]:.1f} times" for way in WAYS[1:]]
        print(
            f"| {name} | {nbytes / 1e6:,.0f} MB | {best['own']:.2f} s | {' | '.join(cells)} "
            f"| {over:.3f} of the model |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main(sys.argv[1:])
