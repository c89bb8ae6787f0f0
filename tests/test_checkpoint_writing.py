"""What becomes of the file that is there, and of descriptors, whatever goes wrong."""

import errno
import os
import pathlib
import re
import stat
import subprocess
import sys

import pytest
from checkpoint_files import LIKE, PLAN, left_in
from test_processes import environment, linux, posix

from fastxavier.checkpoints import (
    CheckpointError,
    _init,
    init_checkpoint,
    mapped,
    read_header,
    tensors_like,
)
from fastxavier.cli import main

# ---- the first error is the one that is told -----------------------------------------------------


def failing(number):
    def fail(*rest, **options):
        raise OSError(number, os.strerror(number), *rest[:1])

    return fail


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_folder_that_takes_no_files(tmp_path, monkeypatch, number):
    """Neither making the temporary file nor removing it is allowed."""
    monkeypatch.setattr(os, "open", failing(number))
    monkeypatch.setattr(os, "unlink", failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
    assert (raised.value.errno, raised.value.filename) == (number, str(tmp_path / "out"))


def test_an_error_beside_which_nothing_can_be_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(_init, "init_", failing(errno.EIO))
    monkeypatch.setattr(os, "unlink", failing(errno.EROFS))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)


def test_a_file_that_cannot_be_replaced(tmp_path, monkeypatch, capsys):
    """The message has the name that was asked for, and the temporary file is removed."""

    def fail(source, target):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))

    monkeypatch.setattr(os, "replace", fail)
    path = tmp_path / "out.safetensors"
    with pytest.raises(PermissionError) as raised:
        init_checkpoint(path, PLAN, LIKE, seed=1)
    assert (raised.value.filename, raised.value.filename2) == (str(path), None)
    (tmp_path / "like.toml").write_text('[tensors]\n"0.bias" = { shape = [3], dtype = "F32" }')
    assert main(["init", "default", "--like", f"{tmp_path}/like.toml", "-o", str(path)]) == 2
    message = f"fastxavier: error: {path}: {os.strerror(errno.EPERM)}\n"
    assert capsys.readouterr().err == message
    assert left_in(tmp_path) == ["like.toml"]


@linux
def test_read_only_file_system(tmp_path):
    """As a command sees it."""
    (tmp_path / "like.toml").write_text('[tensors]\n"0.bias" = { shape = [3], dtype = "F32" }')
    (tmp_path / "disk").mkdir()
    mount = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    script = f'mount -t tmpfs -o ro none "{tmp_path}/disk" && exec "$@"'
    tried = subprocess.run([*mount, script, "sh", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no disk can be mounted here: {tried.stderr.strip()}")
    out = f"{tmp_path}/disk/out.safetensors"
    arguments = ["init", "default", "--like", f"{tmp_path}/like.toml", "-o", out]
    ended = subprocess.run(
        [*mount, script, "sh", sys.executable, "-m", "fastxavier", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"fastxavier: error: {out}: {os.strerror(errno.EROFS)}\n"


@posix
@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.EIO])
def test_folder_that_cannot_be_synchronized(tmp_path, monkeypatch, number):
    """The file is complete: what the system cannot do is not an error, a failing disk is."""
    opened, fsync = os.open, os.fsync

    def open_folder(path, flags, *rest):
        if number == errno.EACCES and os.fspath(path) == os.fspath(tmp_path):
            raise PermissionError(number, os.strerror(number), str(path))
        return opened(path, flags, *rest)

    def sync(descriptor):
        if number != errno.EACCES and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "open", open_folder)
    monkeypatch.setattr(os, "fsync", sync)
    if number == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(number)) as raised:
            init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
        assert raised.value.filename == str(tmp_path)
    else:
        init_checkpoint(tmp_path / "out", PLAN, LIKE, seed=1)
    assert read_header(tmp_path / "out").tensors.keys() == LIKE.keys()
    assert left_in(tmp_path) == ["out"]


# ---- the file that is replaced -------------------------------------------------------------------


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_mode_is_kept(tmp_path, mode):
    """Also through a link; what is written meanwhile has it too."""
    path = tmp_path / "out"
    path.write_text("before")
    path.chmod(mode)
    (tmp_path / "link").symlink_to("out")
    for name in ("out", "link"):
        init_checkpoint(tmp_path / name, PLAN, LIKE, seed=1)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert (tmp_path / "link").is_symlink()
    assert read_header(path).tensors.keys() == LIKE.keys()


@posix
def test_mode_while_it_is_filled(tmp_path, monkeypatch):
    """Nobody else may read the values of a private file before it is complete either."""
    path = tmp_path / "out"
    path.write_text("before")
    path.chmod(0o600)
    seen = []
    fill = _init.init_

    def noted(*rest, **options):
        seen.extend(stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob(".*"))
        return fill(*rest, **options)

    monkeypatch.setattr(_init, "init_", noted)
    init_checkpoint(path, PLAN, LIKE, seed=1)
    assert seen == [0o600]


@posix
def test_owner_is_kept_where_that_is_allowed(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_text("before")
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
        init_checkpoint(path, PLAN, LIKE, seed=1)
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 5678)
    monkeypatch.setattr(os, "fchown", failing(errno.EPERM))
    path.chmod(0o600)
    init_checkpoint(path, PLAN, LIKE, seed=1)
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (os.geteuid(), 0o600)


@posix
def test_hard_links_are_not_cut(tmp_path):
    """Refused, since the other name would keep the values of before; and it is left as it is."""
    path, other = tmp_path / "out", tmp_path / "other"
    path.write_text("before")
    os.link(path, other)
    (tmp_path / "link").symlink_to("out")
    for name in ("out", "other", "link"):
        message = f"{tmp_path / name} has other names (hard links)"
        with pytest.raises(CheckpointError, match=re.escape(message)):
            init_checkpoint(tmp_path / name, PLAN, LIKE, seed=1)
    assert path.samefile(other)
    assert path.read_text() == "before"
    assert left_in(tmp_path) == ["link", "other", "out"]
    other.unlink()
    init_checkpoint(path, PLAN, LIKE, seed=1)


@linux
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("to", ["file", "pipe"])
def test_open_descriptors_are_refused(tmp_path, name, to):
    """The file behind a redirection is not replaced: the program that opened it would lose it."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    behind = tmp_path / "behind"
    script = """
import sys
from fastxavier.checkpoints import CheckpointError, init_checkpoint
try:
    init_checkpoint(sys.argv[1], "default", {"0.bias": ("F32", (3,))}, seed=1)
except CheckpointError as error:
    print(error)
"""
    with behind.open("w") as file:
        inode = os.fstat(file.fileno()).st_ino
        ended = subprocess.run(
            [sys.executable, "-c", script, name],
            cwd=tmp_path,
            env=environment(),
            stdout=file if to == "file" else subprocess.PIPE,
            timeout=120,
        )
    told = behind.read_text() if to == "file" else ended.stdout.decode()
    assert told.startswith(f"{name} is something that this process has open, not a file's name")
    assert behind.stat().st_ino == inode
    assert left_in(tmp_path) == ["behind", "link"]


# ---- descriptors ---------------------------------------------------------------------------------


@linux
def test_no_descriptor_stays_open(tmp_path, monkeypatch):
    """After a file is written, read, or refused at any point."""

    def count():
        """Those of files of this test; others come and go with what is collected."""
        links = pathlib.Path("/proc/self/fd").iterdir()
        return sum(str(tmp_path) in os.readlink(link) for link in links if link.is_symlink())

    path = tmp_path / "out.safetensors"
    init_checkpoint(path, PLAN, LIKE, seed=1)
    (tmp_path / "bad.safetensors").write_bytes(b"\t" + bytes(7) + b"{}")
    (tmp_path / "bad.json").write_text("[]")
    before = count()
    init_checkpoint(path, PLAN, path, seed=2)
    assert count() == before
    for name in ("bad.safetensors", "bad.json"):
        with pytest.raises(CheckpointError):
            tensors_like(tmp_path / name)
    assert set(mapped(path)) == set(LIKE)
    assert count() == before
    for owner, name in [
        (_init, "init_"),
        (os, "posix_fallocate"),
        (os, "fsync"),
        (os, "fchmod"),
        (os, "replace"),
    ]:
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing(errno.EIO))
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                init_checkpoint(path, PLAN, LIKE, seed=1)
        assert count() == before, name
    with pytest.raises(ValueError, match="threads is 0"):
        init_checkpoint(path, PLAN, LIKE, seed=1, threads=0)
    assert count() == before
