"""Names, dtypes and shapes of tensors, from a file, an index or a list, for a file like it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastxavier._validation import shown
from fastxavier.checkpoints._dtypes import Kind, checked_kind
from fastxavier.checkpoints._errors import CheckpointError
from fastxavier.checkpoints._header import Header, PathLike, parsed_json, read_header
from fastxavier.plans._toml import parse_toml

_CHECKPOINTS = (".safetensors", ".json")


def tensors_like(path: PathLike) -> dict[str, Kind]:
    """Read the names, dtypes and shapes of tensors from a checkpoint or a list.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file; the index of a sharded one (``model.safetensors.index.json``),
        whose files are in the same folder; or a list in TOML::

            [tensors]
            "encoder.weight" = { shape = [256, 128], dtype = "float32" }

        In a list, a dtype is a name of NumPy's or torch's, such as "float32" or "torch.float32",
        or a code of safetensors, such as "F32". Only headers are read.

    Returns
    -------
    dict
        Names and pairs (dtype, shape); dtypes are codes of safetensors.

    Raises
    ------
    CheckpointError
        If a file is not valid, or if an index and its files have different tensors.
    OSError
        If a file cannot be read.
    ImportError
        If the list is in TOML, before Python 3.11, and tomli is not installed.
    """
    return tensors_and_metadata(path)[0]


def tensors_and_metadata(path: PathLike) -> tuple[dict[str, Kind], dict[str, str]]:
    """What `tensors_like` returns, and the metadata that all files have in common."""
    path = Path(path)
    if path.suffix == ".toml":
        return _from_list(path), {}
    if path.suffix not in _CHECKPOINTS:
        raise CheckpointError(
            f"{path} ends in {path.suffix!r}; tensors are read from a .safetensors file, the "
            ".safetensors.index.json of a sharded one, or a list in .toml"
        )
    headers = list(shards(path).values())
    kinds = {name: tensor[:2] for header in headers for name, tensor in header.tensors.items()}
    first = headers[0].metadata if headers else {}
    common = [key for key in first if all(h.metadata.get(key) == first[key] for h in headers)]
    return kinds, {key: first[key] for key in common}


def names_of_model(path: PathLike) -> set[str] | None:
    """Names of all tensors of the model that a file belongs to, as far as it shows them.

    Parameters
    ----------
    path : path-like
        What `tensors_like` reads.

    Returns
    -------
    set of str or None
        The names in the indexes beside the file that list it, besides its own. None if it is one
        file of several, as its name says, and no index lists it.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        return set()
    found: set[str] = set()
    for beside in sorted(path.parent.glob("*.index.json")):
        try:
            files = _weight_map(beside)
        except (CheckpointError, OSError):
            continue  # it was not asked for
        if path.name in files.values():
            found |= files.keys()
    part = re.search(r"-0*([0-9]+)-of-0*([0-9]+)\.safetensors$", path.name)
    return None if part and part[2] != "1" and not found else found


def shards(path: PathLike) -> dict[Path, Header]:
    """Read the headers of a checkpoint, whether it is one file or several.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file, or the index of a sharded one.

    Returns
    -------
    dict
        Files and their headers: `path` itself, or the files that the index names.

    Raises
    ------
    CheckpointError
        If `path` ends in neither ``.safetensors`` nor ``.json``, if a file is not valid, or if an
        index and its files have different tensors.
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
    names: dict[str, set[str]] = {}
    for name, file in _weight_map(path).items():
        if not isinstance(file, str) or not re.fullmatch(r"[^/\\\0]+", file) or file in (".", ".."):
            raise CheckpointError(
                f"{path}: tensor {name!r} is in {shown(file)}; it must be in a file in the same "
                "folder as the index"
            )
        names.setdefault(file, set()).add(name)
    headers = {file: read_header(path.parent / file) for file in sorted(names)}
    for file, header in headers.items():
        for name in sorted(names[file] ^ set(header.tensors)):
            missing = name in names[file]
            fault = "is not in it" if missing else "is in it, but not in the index"
            raise CheckpointError(f"{path}: {file}: tensor {name!r} {fault}")
    return {path.parent / file: header for file, header in headers.items()}


def _weight_map(path: Path) -> dict[str, Any]:
    """What an index says: the tensors and their files, not yet checked."""
    index = parsed_json(path.read_bytes(), str(path))
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict):
        raise CheckpointError(f"{path}: it must have a weight_map, from tensors to files")
    return files


def _from_list(path: Path) -> dict[str, Kind]:
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: not UTF-8: {error}") from None
    document = parse_toml(text, str(path), CheckpointError)
    entries = document.get("tensors")
    if set(document) != {"tensors"} or not isinstance(entries, dict):
        found = f"has {', '.join(document)}" if document else "is empty"
        raise CheckpointError(f"{path}: it {found}; it must have one table, [tensors]")
    for name, entry in entries.items():
        if not isinstance(entry, dict) or set(entry) != {"shape", "dtype"}:
            raise CheckpointError(
                f"{path}: tensor {name!r} is {shown(entry)}; it must have shape and dtype, as in "
                '"a.weight" = { shape = [256, 128], dtype = "float32" } (a name with dots needs '
                "quotes)"
            )
    try:
        return {name: checked_kind(name, **entry) for name, entry in entries.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
