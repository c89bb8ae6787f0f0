"""The header of a safetensors file: read and checked, or planned and encoded.

`read_header` is public; `_init` writes what `laid_out` and `encoded` return.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from fastxavier._validation import a_type, shown
from fastxavier.checkpoints._dtypes import (
    ALIGNMENT,
    Kind,
    checked_code,
    checked_kind,
    checked_shape,
    natural,
    nbytes,
)
from fastxavier.checkpoints._errors import CheckpointError

PathLike: TypeAlias = "str | os.PathLike[str]"

LONGEST_HEADER = 100_000_000
"""Bytes; safetensors' own reader refuses a longer one."""


class Tensor(NamedTuple):
    """An entry of a header: dtype, shape, and that its bytes are `begin` to `end` of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """The number of bytes of its data."""
        return self.end - self.begin


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file: tensors in the order of their data, and where that begins.

    See `read_header`.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    start: int


def read_header(path: PathLike) -> Header:
    """Read the header of a safetensors file, and check it against the file.

    Parameters
    ----------
    path : path-like
        The file; only its header is read.

    Returns
    -------
    Header
        With `tensors` (name to `Tensor`: dtype, shape, begin, end), in the order of their data;
        `metadata`, a dictionary of strings; and `start`, the offset in the file from which
        `begin` and `end` are counted.

    Raises
    ------
    CheckpointError
        If the header is not valid or does not fit the file. Tensors that overlap, and bytes that
        belong to no tensor, are refused as well.
    OSError
        If the file cannot be read.

    References
    ----------
    The format: https://github.com/huggingface/safetensors#format.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        try:
            if size < 8:
                raise CheckpointError(f"{size} bytes are too few for a safetensors header")
            if length > LONGEST_HEADER:
                raise CheckpointError(f"its header says it has {length} bytes, over 100 MB")
            if length > size - 8:
                raise CheckpointError(
                    f"its header says it has {length} bytes, but the file has only {size}"
                )
            tensors, metadata = _parsed_header(file.read(length))
            return Header(_in_order(tensors, size - 8 - length), metadata, 8 + length)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None


def _parsed_header(raw: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    entries = parsed_json(raw, "the header")
    if not isinstance(entries, dict):
        raise CheckpointError(f"the header is {shown(entries)}; it must be an object, in {{}}")
    metadata = entries.pop("__metadata__", None)
    if metadata is None:  # as safetensors' own reader has it
        metadata = {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"__metadata__ is {shown(metadata)}; it must map strings to strings")
    return {name: _tensor(name, entry) for name, entry in entries.items()}, metadata


def parsed_json(raw: bytes, what: str) -> Any:
    """JSON as Python's values, stricter than `json`; `what` is for the error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise CheckpointError(f"{what} has {key!r} twice")
            found[key] = value
        return found

    def constant(name: str) -> Any:
        raise CheckpointError(f"{what} has {name}, which is not JSON")

    def real(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise CheckpointError(f"{what} has {digits}, which is beyond the largest float")
        return value

    def integer(digits: str) -> int | float:
        return -0.0 if digits == "-0" else int(digits)  # a float to safetensors

    try:
        document = json.loads(
            raw.decode(),
            object_pairs_hook=unique,
            parse_constant=constant,
            parse_float=real,
            parse_int=integer,
        )
        json.dumps(document, ensure_ascii=False).encode()  # fails for a lone surrogate
        return document
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} is not JSON: {error}") from None


def _tensor(name: str, entry: Any) -> Tensor:
    fields = ("dtype", "shape", "data_offsets")
    if not isinstance(entry, dict) or not entry.keys() >= set(fields):  # others may be there too
        raise CheckpointError(
            f"tensor {name!r} is {shown(entry)}; it must have {', '.join(fields)}"
        )
    offsets = entry["data_offsets"]
    dtype, shape = checked_code(name, entry["dtype"]), checked_shape(name, entry["shape"])
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(natural, offsets)):
        raise CheckpointError(
            f"tensor {name!r} has data_offsets {shown(offsets)}; they must be two integers from 0 "
            "up, where its data begin and end"
        )
    begin, end = offsets
    if end - begin != nbytes(name, dtype, shape):
        raise CheckpointError(
            f"tensor {name!r} of shape {shape} and dtype {dtype} has "
            f"{nbytes(name, dtype, shape)} bytes, but its data_offsets are {begin} and {end}"
        )
    return Tensor(dtype, shape, begin, end)


def _in_order(tensors: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """The tensors in the order of their data, which must cover `size` bytes, each byte once."""
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)))
    covered = 0
    for name, tensor in ordered.items():
        if tensor.begin != covered:
            fault = "overlaps" if tensor.begin < covered else "leaves a gap after"
            raise CheckpointError(
                f"tensor {name!r} begins at byte {tensor.begin} and {fault} the data before it, "
                f"which end at {covered}"
            )
        covered = tensor.end
    if covered != size:
        fault = "truncated" if covered > size else "too long"
        raise CheckpointError(
            f"the file is {fault}: it has {size} bytes of data, and its tensors {covered}"
        )
    return ordered


def laid_out(kinds: Mapping[str, Kind]) -> dict[str, Tensor]:
    """The tensors in the order and at the offsets that safetensors' own writer gives them."""
    checked = []
    for name, kind in kinds.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise CheckpointError(
                f"a tensor has the name {name!r}; it must be a string other than '__metadata__'"
            )
        try:
            name.encode()
        except UnicodeEncodeError:
            raise CheckpointError(
                f"a tensor has the name {name!r}, which cannot be encoded in UTF-8"
            ) from None
        if not isinstance(kind, (list, tuple)) or len(kind) != 2:
            raise CheckpointError(
                f"tensor {name!r} is {shown(kind)}, {a_type(kind)}; it must be "
                "(dtype, shape), such as ('float32', (256, 128))"
            )
        checked.append((name, *checked_kind(name, *kind)))
    tensors: dict[str, Tensor] = {}
    begin = 0
    for name, dtype, shape in sorted(
        checked, key=lambda tensor: (-ALIGNMENT[tensor[1]], tensor[0].encode())
    ):
        end = begin + nbytes(name, dtype, shape)
        tensors[name] = Tensor(dtype, shape, begin, end)
        begin = end
    return tensors


def encoded(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes that a file begins with: the header's length, and the header."""
    # Sorted, since safetensors' own writer leaves metadata in any order.
    entries: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    for name, (dtype, shape, begin, end) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST_HEADER:
        raise CheckpointError(f"the header would have {len(text)} bytes, over 100 MB")
    return len(text).to_bytes(8, "little") + text
