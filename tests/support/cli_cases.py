"""What the tests of the commands have in common: how they are called, on what, and a terminal."""

import io
import sys

import pytest

from fastxavier.cli import main

LIST = """
[tensors]
"0.weight" = { shape = [300, 200], dtype = "float32" }
"0.bias" = { shape = [300], dtype = "float32" }
"1.weight" = { shape = [10, 300], dtype = "F16" }
"bn.num_batches_tracked" = { shape = [], dtype = "int64" }
"none.weight" = { shape = [0, 5], dtype = "F32" }
"""

INIT = ["init", "default", "--like", "like.toml", "-o", "new.safetensors"]


def call(capsys, *arguments):
    """Status, lines of stdout and of stderr."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def initialized(capsys, *arguments, plan="default", out="out.safetensors"):
    status, lines, errors = call(capsys, "init", plan, "--like", "like.toml", "-o", out, *arguments)
    assert (status, errors) == (0, [])
    return lines


def left_alone(folder):
    return sorted(path.name for path in folder.iterdir()) == ["like.toml", "plan.toml"]


class Terminal(io.StringIO):
    """One that is written to."""

    def isatty(self):
        return True


def terminal(monkeypatch):
    """Set one up for this test; not a fixture, after which pytest would take stdout for itself."""
    pytest.importorskip("rich")
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    return sys.stdout
