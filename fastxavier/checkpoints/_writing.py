"""A file that appears complete or not at all: filled under a temporary name, then renamed.

`_init` calls `write`; nothing here knows what is in the file.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from fastxavier.checkpoints._errors import CheckpointError

Result = TypeVar("Result")

# Characters, of 4 bytes at most, that a temporary name takes from the file's: names end at 255.
_LONGEST_NAME = 56
_MOST_LINKS = 40  # that the system follows
_DESCRIPTORS = re.compile(r"/proc/[^/]+/(task/[^/]+/)?fd|/dev/fd")


def target_of(path: Path) -> Path:
    """The file to write for a path, links followed: a regular file, or one that does not exist."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if _is_descriptor(path):
        raise CheckpointError(
            f"{path} is something that this process has open, not a file's name; a checkpoint can "
            "replace only a regular file"
        )
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if (path.exists() or target.is_symlink()) and not path.is_file():
        raise CheckpointError(
            f"{path} is not a regular file; a checkpoint can replace only a regular file"
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))
    if target.exists() and target.stat().st_nlink > 1:
        raise CheckpointError(
            f"{path} has other names (hard links), which would keep what is in it now; remove it, "
            "or write a file of another name"
        )
    return target


def _is_descriptor(path: Path) -> bool:
    """Whether it is, or a link leads through, an open descriptor such as /dev/stdout."""
    for _ in range(_MOST_LINKS):
        if _DESCRIPTORS.fullmatch(os.path.realpath(path.parent)):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / os.readlink(path)
    return False


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let errors about a descriptor or the temporary name be about the file that was asked for."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def write(path: Path, size: int, fill: Callable[[mmap.mmap], Result]) -> Result:
    """Make a file of `size` bytes, which `fill` writes through a map; returns what `fill` does."""
    temporary = path.with_name(f".{path.name[:_LONGEST_NAME]}.{secrets.token_hex(8)}.partial")
    try:
        with _errors_name(path):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with _errors_name(path):
                _keep_access(descriptor, path)
                _reserve(descriptor, size)
                memory = mmap.mmap(descriptor, size)
            result = fill(memory)
            with _errors_name(path):
                memory.flush()
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with _errors_name(path):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # there may be no such file; the first error is the one to tell
            temporary.unlink()
        raise
    _sync_folder(path.parent)
    return result


def _keep_access(descriptor: int, path: Path) -> None:
    """Give the new file the mode of the one that it replaces, and its owner if that is allowed."""
    try:
        before = path.stat()
    except FileNotFoundError:
        return
    with suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


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
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may be allowed to write to it and not to read it
        return
    try:
        with _errors_name(folder):
            os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems that cannot do this
            raise
    finally:
        os.close(descriptor)
