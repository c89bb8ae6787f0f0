"""Checkpoints: a plan and the names, dtypes and shapes of tensors become a safetensors file.

Knows the file and its header; which distribution a tensor has is the plan's, how it is drawn is `init_`'s.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastxavier.distributions import Constant
from fastxavier.fill import Seed, fill_
from fastxavier.plans import AnyDistribution, Plan
from fastxavier.plans._init import Report, init_
from fastxavier.plans._text import parsed_toml
from fastxavier.structured import Structure

__all__ = [
    "CheckpointError",
    "Header",
    "Tensor",
    "init_checkpoint",
    "mapped",
    "read_header",
    "shards",
    "tensors_like",
]

PathLike: TypeAlias = "str | os.PathLike[str]"
Kind: TypeAlias = tuple[str, tuple[int, ...]]
Of = TypeVar("Of")


class CheckpointError(ValueError):
    """A checkpoint file that is not what it says, or one that cannot be made."""


# ---- dtypes --------------------------------------------------------------------------------------


class _Dtype(NamedTuple):
    bits: int
    numpy: str | None  # its name in NumPy or ml_dtypes


# In the order of safetensors' own list, which its writer sorts by; it is one of rising alignment.
_DTYPES = {
    "BOOL": _Dtype(8, "bool"),
    "F4": _Dtype(4, None),
    "F6_E2M3": _Dtype(6, None),
    "F6_E3M2": _Dtype(6, None),
    "U8": _Dtype(8, "uint8"),
    "I8": _Dtype(8, "int8"),
    "F8_E5M2": _Dtype(8, "float8_e5m2"),
    "F8_E4M3": _Dtype(8, "float8_e4m3fn"),
    "F8_E8M0": _Dtype(8, "float8_e8m0fnu"),
    "F8_E4M3FNUZ": _Dtype(8, "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": _Dtype(8, "float8_e5m2fnuz"),
    "I16": _Dtype(16, "int16"),
    "U16": _Dtype(16, "uint16"),
    "F16": _Dtype(16, "float16"),
    "BF16": _Dtype(16, "bfloat16"),
    "I32": _Dtype(32, "int32"),
    "U32": _Dtype(32, "uint32"),
    "F32": _Dtype(32, "float32"),
    "C64": _Dtype(64, "complex64"),
    "F64": _Dtype(64, "float64"),
    "I64": _Dtype(64, "int64"),
    "U64": _Dtype(64, "uint64"),
}
_ALIGNMENT = {name: place for place, name in enumerate(_DTYPES)}
_BY_NUMPY = {dtype.numpy: name for name, dtype in _DTYPES.items() if dtype.numpy}
DRAWN = ("F64", "F32", "F16", "BF16")
_COUNTED = ("BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64")


def _numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of an array that holds what `name` says; bytes for what NumPy does not know."""
    if name in (*DRAWN, *_COUNTED, "C64") and name != "BF16":
        return np.dtype(_DTYPES[name].numpy)
    if name != "BF16":
        return np.dtype(np.uint8)
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            'tensors of dtype BF16 need ml_dtypes: pip install "fastxavier[bfloat16]"'
        ) from None
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


def _unknown_dtype(name: str, dtype: Any) -> CheckpointError:
    return CheckpointError(
        f"tensor {name!r} has dtype {dtype!r}; safetensors knows {', '.join(_DTYPES)}"
    )


def _checked_dtype(name: str, dtype: Any) -> str:
    known = _BY_NUMPY.get(dtype, dtype) if isinstance(dtype, str) else None
    if known not in _DTYPES:
        raise _unknown_dtype(name, dtype)
    return known


def _natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, (list, tuple)) or not all(map(_natural, shape)):
        raise CheckpointError(f"tensor {name!r} has shape {shape!r}; extents are integers from 0")
    return tuple(shape)


def _checked_kind(name: str, dtype: Any, shape: Any) -> Kind:
    return _checked_dtype(name, dtype), _checked_shape(name, shape)


def nbytes(name: str, dtype: str, shape: tuple[int, ...]) -> int:
    """The bytes that a tensor takes; `name` is for the error."""
    bits = _DTYPES[dtype].bits
    for extent in shape:
        bits *= extent
        if bits >= 1 << 66:
            raise CheckpointError(f"tensor {name!r} of shape {shape} is beyond 2**63 bytes")
    if bits % 8:
        raise CheckpointError(f"tensor {name!r} of shape {shape} and dtype {dtype} ends in a byte")
    return bits // 8


# ---- reading -------------------------------------------------------------------------------------

_LONGEST_HEADER = 100_000_000  # as in safetensors


class Tensor(NamedTuple):
    """What a header says of a tensor: its bytes are `begin` to `end` of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return self.end - self.begin


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file: its tensors as they lie, and where the data begins."""

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
        `metadata`, strings by name; and `start`, the place in the file from which `begin` and
        `end` are counted.

    Raises
    ------
    CheckpointError
        If the file is not what its header says, or the header not what the format asks for:
        tensors that overlap, or leave a byte to none, are refused as well.
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
                raise CheckpointError(f"{size} bytes are too few for a header")
            if length > _LONGEST_HEADER:
                raise CheckpointError(f"the header says it has {length} bytes, over 100 MB")
            if length > size - 8:
                raise CheckpointError(f"the header says it has {length} bytes of the {size} here")
            tensors, metadata = _parsed_header(file.read(length))
            return Header(_in_order(tensors, size - 8 - length), metadata, 8 + length)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None


def _parsed_header(raw: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not raw.startswith(b"{"):
        raise CheckpointError("the header does not begin with '{'")
    entries = _parsed_json(raw, "the header")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"__metadata__ is {metadata!r}; it must hold strings by name")
    return {name: _tensor(name, entry) for name, entry in entries.items()}, metadata


def _parsed_json(raw: bytes, what: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise CheckpointError(f"{what} has {key!r} twice")
            found[key] = value
        return found

    def constant(name: str) -> Any:
        raise CheckpointError(f"{what} has {name}, which is no JSON")

    def integer(digits: str) -> int | float:
        return -0.0 if digits == "-0" else int(digits)  # as safetensors' reader takes it

    try:
        document = json.loads(
            raw.decode(), object_pairs_hook=unique, parse_constant=constant, parse_int=integer
        )
        json.dumps(document, ensure_ascii=False).encode()  # no half of a surrogate pair
        return document
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} is no JSON: {error}") from None


def _tensor(name: str, entry: Any) -> Tensor:
    fields = ("dtype", "shape", "data_offsets")
    if not isinstance(entry, dict) or set(entry) != set(fields):
        raise CheckpointError(f"tensor {name!r} is {entry!r}; it must have {', '.join(fields)}")
    dtype, offsets = entry["dtype"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _unknown_dtype(name, dtype)
    shape = _checked_shape(name, entry["shape"])
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_natural, offsets)):
        raise CheckpointError(f"tensor {name!r} has data_offsets {offsets!r}; they are two places")
    begin, end = offsets
    if end - begin != nbytes(name, dtype, shape):
        raise CheckpointError(
            f"tensor {name!r} of shape {shape} and dtype {dtype} takes "
            f"{nbytes(name, dtype, shape)} bytes, not the {end - begin} from {begin} to {end}"
        )
    return Tensor(dtype, shape, begin, end)


def _in_order(tensors: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """The tensors by place, which have to cover `size` bytes, each byte once."""
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)))
    place = 0
    for name, tensor in ordered.items():
        if tensor.begin != place:
            fault = "overlaps the one before it" if tensor.begin < place else "leaves a hole"
            raise CheckpointError(
                f"tensor {name!r} begins at {tensor.begin} and {fault}, which ends at {place}"
            )
        place = tensor.end
    if place != size:
        fault = "cut short" if place > size else "too long"
        raise CheckpointError(
            f"the file is {fault}: {size} bytes of data, where tensors have {place}"
        )
    return ordered


def mapped(path: PathLike) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file as read-only arrays, which are read as they are used.

    A tensor of a dtype that NumPy does not know (of 8 bits or fewer) comes as its bytes. On a
    big-endian machine dtypes are little-endian, as the file is; BF16 cannot be, and is a copy.

    Raises
    ------
    CheckpointError, OSError
        As `read_header` does.
    ImportError
        If the file holds BF16 and ml_dtypes is not there.
    """
    header = read_header(path)
    memory = np.memmap(path, np.uint8, "r")
    views = {name: _view(memory, header.start, tensor) for name, tensor in header.tensors.items()}
    return views if sys.byteorder == "little" else {n: _as_read(v) for n, v in views.items()}


def _as_read(view: NDArray[Any]) -> NDArray[Any]:
    """What a file holds there, read by a big-endian machine."""
    if view.dtype.isbuiltin == 1:
        return view.view(view.dtype.newbyteorder("<"))
    copy = view.copy()
    _exchange_bytes(copy)
    copy.flags.writeable = False
    return copy


def _exchange_bytes(array: NDArray[Any]) -> None:
    """From the machine's byte order to the file's or back, in place."""
    if sys.byteorder == "big":
        array.view(f"u{array.itemsize}").byteswap(inplace=True)


def _view(memory: Any, start: int, tensor: Tensor) -> NDArray[Any]:
    dtype = _numpy_dtype(tensor.dtype)
    whole = dtype.itemsize * 8 == _DTYPES[tensor.dtype].bits
    shape = tensor.shape if whole else (tensor.nbytes,)
    if not tensor.nbytes:  # may lie at the end of the map, where no array may begin
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memory, start + tensor.begin)


# ---- what a file is to be like -------------------------------------------------------------------


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
    return _tensors_and_metadata(path)[0]


def _tensors_and_metadata(path: PathLike) -> tuple[dict[str, Kind], dict[str, str]]:
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
    index = _parsed_json(path.read_bytes(), str(path))
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
    document = parsed_toml(text, str(path), CheckpointError)
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
        return {name: _checked_kind(name, **entry) for name, entry in entries.items()}, {}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


# ---- writing -------------------------------------------------------------------------------------

_LONGEST_NAME = 56  # characters, of 4 bytes at most: a temporary name has to stay within 255


def init_checkpoint(
    path: PathLike,
    plan: Plan,
    like: PathLike | Mapping[str, Kind],
    *,
    seed: Seed,
    skip: str | Sequence[str] = (),
    threads: SupportsIndex | None = None,
    progress: Callable[[float], object] | None = None,
) -> Report:
    """Make a safetensors file of freshly drawn tensors, larger than memory if need be.

    The file is mapped and filled in place by `init_`: each tensor's stream is its name, so
    tensors that come, go or move change no other one. It appears under its name at once and
    whole, when all of it is on the disk; whatever happens before leaves what stood there.

    Parameters
    ----------
    path : path-like
        The file to make; one that is there is replaced. Where it is a link, the file that it leads
        to is.
    plan : Plan
        Which distribution each tensor starts by.
    like : path-like or mapping
        Names, dtypes and shapes: a file as `tensors_like` reads it, whose metadata is taken over
        too, or a mapping from names to (dtype, shape).
    skip : str or sequence of str
        A glob, or several: tensors so named are left out.
    seed, threads, progress
        As of `init_`.

    Returns
    -------
    Report
        That of `init_`, detached: nothing is measured, since the file may change.

    Raises
    ------
    PlanError
        If the plan has no distribution for a tensor.
    CheckpointError
        If `like` is not valid, or a tensor's dtype cannot be drawn: F32, F64, F16 and BF16 can,
        and any other starts at 0, integers and truth values also at 1.
    ValueError, TypeError
        As `init_` does.
    ImportError
        If a tensor is BF16 and ml_dtypes is not there.
    OSError
        If the file cannot be written; room for all of it is reserved before any of it is filled.

    Notes
    -----
    Tensors lie as safetensors' own writer lays them: by falling alignment of their dtypes, then by
    name, under a header padded to 8 bytes.

    Examples
    --------
    >>> import fastxavier as fx, tempfile, pathlib
    >>> from fastxavier.checkpoints import init_checkpoint, read_header
    >>> from fastxavier.plans.presets import default_plan
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> like = {"0.weight": ("F32", (256, 128)), "0.bias": ("F32", (256,))}
    >>> _ = init_checkpoint(path, default_plan(), like, seed=7)
    >>> read_header(path).tensors["0.weight"]
    Tensor(dtype='F32', shape=(256, 128), begin=1024, end=132096)
    """
    kinds, metadata = (like, {}) if isinstance(like, Mapping) else _tensors_and_metadata(like)
    tensors = _laid_out(without(kinds, skip))
    distributions = {name: plan.distribution(name, tensors[name].shape) for name in tensors}
    for name, tensor in tensors.items():
        check_fillable(name, tensor.dtype, distributions[name])
    header = _header(tensors, metadata)
    size = len(header) + max((tensor.end for tensor in tensors.values()), default=0)
    if size >= 1 << 63:
        raise CheckpointError(f"all tensors take {size} bytes, beyond 2**63")

    def fill(memory: mmap.mmap) -> Report:
        memory[: len(header)] = header
        arrays = {name: _view(memory, len(header), tensor) for name, tensor in tensors.items()}
        drawn = {name: arrays[name] for name in tensors if tensors[name].dtype in DRAWN}
        ones = [
            arrays[n] for n in arrays.keys() - drawn.keys() if distributions[n] == Constant(1.0)
        ]
        for array in ones:
            array.fill(1)
        report = init_(drawn, plan, seed=seed, threads=threads, progress=progress).detached()
        for array in (*drawn.values(), *ones):
            _exchange_bytes(array)
        return report

    return _written(_aim(Path(path)), size, fill)


def without(tensors: Mapping[str, Of], skip: str | Sequence[str]) -> dict[str, Of]:
    """The tensors whose names match none of the globs."""
    globs = (skip,) if isinstance(skip, str) else skip
    return {
        name: one
        for name, one in tensors.items()
        if not any(fnmatchcase(name, glob) for glob in globs)
    }


def _laid_out(kinds: Mapping[str, Kind]) -> dict[str, Tensor]:
    """The tensors in the order and at the places in which safetensors' writer puts them."""
    checked = []
    for name, kind in kinds.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise CheckpointError(f"a tensor has the name {name!r}, which no tensor can have")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise CheckpointError(
                f"a tensor has the name {name!r}, which UTF-8 cannot write"
            ) from None
        if not isinstance(kind, (list, tuple)) or len(kind) != 2:
            what = repr(kind) if isinstance(kind, (list, tuple)) else f"a {type(kind).__name__}"
            raise CheckpointError(
                f"tensor {name!r} is {what}; it must be (dtype, shape), such as ('F32', (256, 128))"
            )
        checked.append((name, *_checked_kind(name, *kind)))
    tensors: dict[str, Tensor] = {}
    begin = 0
    for name, dtype, shape in sorted(
        checked, key=lambda tensor: (-_ALIGNMENT[tensor[1]], tensor[0].encode())
    ):
        end = begin + nbytes(name, dtype, shape)
        tensors[name] = Tensor(dtype, shape, begin, end)
        begin = end
    return tensors


def check_fillable(name: str, dtype: str, distribution: AnyDistribution) -> None:
    """Refuse what could not be filled, before a file is begun."""
    if dtype in DRAWN:
        reach = distribution._reach() if isinstance(distribution, Structure) else distribution
        try:
            fill_(np.empty(0, _numpy_dtype(dtype)), reach, seed=0)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"tensor {name!r}: {error}") from None
    elif distribution != Constant(0.0) and not (
        distribution == Constant(1.0) and dtype in _COUNTED
    ):
        start = "at 0 or 1" if dtype in _COUNTED else "at 0"
        raise CheckpointError(
            f"tensor {name!r} has dtype {dtype}, which can only start {start}; the plan has {distribution}"
        )


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    for name, (dtype, shape, begin, end) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _LONGEST_HEADER:
        raise CheckpointError(f"the header would have {len(text)} bytes, over 100 MB")
    return len(text).to_bytes(8, "little") + text


def _aim(path: Path) -> Path:
    """The file that a path leads to, which is a regular one or none yet."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    aim = Path(os.path.realpath(path)) if path.is_symlink() else path
    if (path.exists() or aim.is_symlink()) and not path.is_file():
        raise CheckpointError(f"{path} is no regular file; a checkpoint can replace nothing else")
    if not aim.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(aim.parent))
    return aim


@contextmanager
def _of_file(path: Path) -> Iterator[None]:
    """What the system says of a descriptor or of a temporary name is said of this file."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _written(path: Path, size: int, fill: Callable[[mmap.mmap], Report]) -> Report:
    """Make a file of `size` bytes, filled through a map; it is there whole or not at all."""
    temporary = path.with_name(f".{path.name[:_LONGEST_NAME]}.{secrets.token_hex(8)}.partial")
    try:
        with _of_file(path):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with _of_file(path):
                _reserve(descriptor, size)
                memory = mmap.mmap(descriptor, size)
            report = fill(memory)
            with _of_file(path):
                memory.flush()
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)
    return report


def _reserve(descriptor: int, size: int) -> None:
    """Take room for all of the file: a full disk would otherwise kill who writes to the map."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    zeros = memoryview(bytes(1 << 20))
    while size:
        size -= os.write(descriptor, zeros[: min(size, len(zeros))])


def _sync_folder(folder: Path) -> None:
    """Bring the new name itself to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
