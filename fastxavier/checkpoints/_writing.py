"""A file that appears complete or not at all: filled under a temporary name, then renamed.

`_init` calls `write`; nothing here knows what is in the file.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from fastxavier.checkpoints._errors import CheckpointError

Result = TypeVar("Result")

# Characters, of 4 bytes at most, that a temporary name takes from the file's: names end at 255.
_LONGEST_NAME = 56


def target_of(path: Path) -> Path:
    """The file to write for a path, links followed: a regular file, or one that does not exist."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if (path.exists() or target.is_symlink()) and not path.is_file():
        raise CheckpointError(
            f"{path} is not a regular file; a checkpoint can replace only a regular file"
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))
    return target


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let errors about a descriptor or the temporary name be about the file that was asked for."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write(path: Path, size: int, fill: Callable[[mmap.mmap], Result]) -> Result:
    """Make a file of `size` bytes, which `fill` writes through a map; returns what `fill` does."""
    temporary = path.with_name(f".{path.name[:_LONGEST_NAME]}.{secrets.token_hex(8)}.partial")
    try:
        with _errors_name(path):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with _errors_name(path):
                _reserve(descriptor, size)
                memory = mmap.mmap(descriptor, size)
            result = fill(memory)
            with _errors_name(path):
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
    return result


def _reserve(descriptor: int, size: int) -> None:
    """Allocate the whole file: if the disk filled up later, a write to the map would be SIGBUS."""
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
    """Write the folder's new entry to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
