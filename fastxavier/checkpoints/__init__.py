"""Checkpoints: safetensors files of initial weights, written from a plan, and read.

The commands `init` and `verify` are made of this. A plan says which distribution a tensor has,
and `init_` draws it; here is what they do not know, the file.
"""

from fastxavier.checkpoints._dtypes import DRAWN, dtype_name, nbytes
from fastxavier.checkpoints._errors import CheckpointError
from fastxavier.checkpoints._header import Header, Tensor, read_header
from fastxavier.checkpoints._init import check_fillable, check_skip, init_checkpoint, without
from fastxavier.checkpoints._like import names_of_model, shards, tensors_like
from fastxavier.checkpoints._mapping import mapped
from fastxavier.checkpoints._plan import plan_of_files

__all__ = [
    "DRAWN",
    "CheckpointError",
    "Header",
    "Tensor",
    "check_fillable",
    "check_skip",
    "dtype_name",
    "init_checkpoint",
    "mapped",
    "names_of_model",
    "nbytes",
    "plan_of_files",
    "read_header",
    "shards",
    "tensors_like",
    "without",
]
