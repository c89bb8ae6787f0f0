"""Names, dtypes and shapes of tensors: of a file, of a sharded checkpoint's index, or of a list."""

from __future__ import annotations

import re
from pathlib import Path

from fastxavier.checkpoints._dtypes import Kind, checked_kind
from fastxavier.checkpoints._errors import CheckpointError
from fastxavier.checkpoints._header import Header, PathLike, parsed_json, read_header
from fastxavier.plans._toml import parse_toml


def tensors_like(path: PathLike) -> dict[str, Kind]:
    """The tensors that a file holds or lists: name to (dtype, shape).

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file; the index of a sharded one (``model.safetensors.index.json``),
        whose files lie beside it; or a list in TOML::

            [tensors]
            "encoder.weight" = { shape = [256, 128], dtype = "float32" }

        Only headers are read.

    Returns
    -------
    dict
        dtypes by their names in safetensors, such as "F32"; a list may also use NumPy's.

    Raises
    ------
    CheckpointError
        If a file is not valid, or an index and its files do not hold the same tensors.
    OSError
        If a file cannot be read.
    """
    return tensors_and_metadata(path)[0]


def tensors_and_metadata(path: PathLike) -> tuple[dict[str, Kind], dict[str, str]]:
    path = Path(path)
    if path.suffix == ".toml":
        return _from_list(path)
    if path.suffix not in _CHECKPOINTS:
        raise CheckpointError(
            f"{path} ends in {path.suffix!r}; tensors are listed by .safetensors, "
            ".safetensors.index.json or .toml"
        )
    headers = list(shards(path).values())
    kinds = {name: tensor[:2] for header in headers for name, tensor in header.tensors.items()}
    first = headers[0].metadata if headers else {}
    common = [key for key in first if all(h.metadata.get(key) == first[key] for h in headers)]
    return kinds, {key: first[key] for key in common}


_CHECKPOINTS = (".safetensors", ".json")


def shards(path: PathLike) -> dict[Path, Header]:
    """The files of a checkpoint and their headers: the file itself, or those that an index names.

    Raises
    ------
    CheckpointError
        If `path` ends in neither ``.safetensors`` nor ``.json``, a file is not valid, or an index
        and its files do not hold the same tensors.
    OSError
        If a file cannot be read.
    """
    path = Path(path)
    if path.suffix not in _CHECKPOINTS:
        raise CheckpointError(
            f"{path} ends in {path.suffix!r}; a checkpoint is a .safetensors file or the "
            ".safetensors.index.json of a sharded one"
        )
    return {path: read_header(path)} if path.suffix == ".safetensors" else _from_index(path)


def _from_index(path: Path) -> dict[Path, Header]:
    index = parsed_json(path.read_bytes(), str(path))
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict):
        raise CheckpointError(f"{path}: an index has a weight_map, from tensors to files")
    names: dict[str, set[str]] = {}
    for name, file in places.items():
        if not isinstance(file, str) or not re.fullmatch(r"[^/\\\0]+", file) or file in (".", ".."):
            raise CheckpointError(
                f"{path}: tensor {name!r} is in {file!r}, no file beside the index"
            )
        names.setdefault(file, set()).add(name)
    headers = {file: read_header(path.parent / file) for file in sorted(names)}
    for file, header in headers.items():
        for name in sorted(names[file] ^ set(header.tensors)):
            unsaid = "is in it, which the index does not say"
            fault = "is not in it" if name in names[file] else unsaid
            raise CheckpointError(f"{path}: {file}: tensor {name!r} {fault}")
    return {path.parent / file: header for file, header in headers.items()}


def _from_list(path: Path) -> tuple[dict[str, Kind], dict[str, str]]:
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: not UTF-8: {error}") from None
    document = parse_toml(text, str(path), CheckpointError)
    entries = document.get("tensors")
    if set(document) != {"tensors"} or not isinstance(entries, dict):
        raise CheckpointError(f"{path}: has {', '.join(document)}; it must have just [tensors]")
    for name, entry in entries.items():
        if not isinstance(entry, dict) or set(entry) != {"shape", "dtype"}:
            raise CheckpointError(
                f"{path}: tensor {name!r} is {entry!r}; it must have shape and dtype "
                "(quote a name that has dots)"
            )
    try:
        return {name: checked_kind(name, **entry) for name, entry in entries.items()}, {}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
