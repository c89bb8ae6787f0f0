"""A plan, tensors and files that the tests of checkpoints share."""

import json

import safetensors

import fastxavier as fx
from fastxavier.plans import Plan, Rule

PLAN = Plan(
    [
        Rule(["*.bias", "*mask*"], "zeros"),
        Rule("*norm*", "ones"),
        Rule("*", "glorot_normal", ndim="2+"),
        Rule("*", "uniform", low=-0.5, high=0.5),
    ]
)
LIKE = {
    "0.weight": ("F32", (30, 20)),
    "0.bias": ("F32", (30,)),
    "half": ("F16", (3, 5)),
    "double": ("F64", (7,)),
    "brain": ("BF16", (4, 5)),
    "eight": ("F8_E4M3", (5, 7)),
    "range": ("F8_E5M2", (3, 3)),
    "scalar": ("F32", ()),
    "none": ("F32", (0, 20)),
    "mask": ("BOOL", (3, 3)),
    "norm.count": ("I64", (2,)),
    "norm.flags": ("U8", (5,)),
}


def file_with(path, header, data=b"", length=None):
    """A file of a header, as JSON or as bytes, and data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(raw) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + raw + data)
    return path


def entry(dtype="U8", shape=(1,), begin=0, end=1):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def metadata_of(path):
    """By safetensors' own reader."""
    with safetensors.safe_open(path, "np") as file:
        return file.metadata()


def made_from(plan, seed):
    """The metadata that a file of this plan and seed has."""
    return {
        "fastxavier.seed": str(seed),
        "fastxavier.plan": plan.to_toml(),
        "fastxavier.stream_version": str(fx.info().stream_version),
        "fastxavier.version": fx.__version__,
    }
