"""A file that is there whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import mmap
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastxavier.checkpoints._errors import CheckpointError
from fastxavier.plans._init import Report

_LONGEST_NAME = 56  # characters, of 4 bytes at most: a temporary name has to stay within 255


def target_of(path: Path) -> Path:
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


def write(path: Path, size: int, fill: Callable[[mmap.mmap], Report]) -> Report:
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
