"""Checkpoints: a plan and the names, dtypes and shapes of tensors become a safetensors file.

Knows the file and its header; which distribution a tensor has is the plan's, how it is drawn is
`init_`'s.
"""

from fastxavier.checkpoints._dtypes import DRAWN, nbytes
from fastxavier.checkpoints._errors import CheckpointError
from fastxavier.checkpoints._header import Header, Tensor, read_header
from fastxavier.checkpoints._init import check_fillable, init_checkpoint, without
from fastxavier.checkpoints._like import shards, tensors_like
from fastxavier.checkpoints._mapping import mapped

__all__ = [
    "DRAWN",
    "CheckpointError",
    "Header",
    "Tensor",
    "check_fillable",
    "init_checkpoint",
    "mapped",
    "nbytes",
    "read_header",
    "shards",
    "tensors_like",
    "without",
]
