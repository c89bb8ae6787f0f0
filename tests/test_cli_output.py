"""Where the commands print: closed, full, of another encoding, narrow; and names that do harm."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import safetensors.numpy
from cli_cases import INIT, call, initialized, terminal
from test_processes import environment, linux, posix

from fastxavier import cli
from fastxavier._console import columns, printable, progress_bar, table
from fastxavier.checkpoints import mapped
from fastxavier.plans import Plan, Rule

# ---- closed and full -----------------------------------------------------------------------------


def shell(redirections, *arguments, **changes):
    """A command with its descriptors redirected, as by a shell."""
    command = " ".join(["exec", '"$@"', redirections])
    return subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-m", "fastxavier", *map(str, arguments)],
        env=environment(**changes),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )


CLOSED = [">&-", ">&- 2>&-", "<&- >&-", "<&- >&- 2>&-", "2>&-"]


@posix
@pytest.mark.parametrize("redirections", CLOSED)
def test_closed_output(folder, redirections):
    """The work is done and the status is right; what would be printed is lost."""
    assert shell(redirections, "info").returncode == 0
    made = shell(redirections, *INIT, "--seed", 7)
    assert (made.returncode, made.stderr) == (0, "")
    assert mapped("new.safetensors")["0.weight"].std() == pytest.approx(0.0632, rel=0.02)
    checked = shell(redirections, "verify", "default", "new.safetensors", "--seed", 7)
    assert (checked.returncode, checked.stderr) == (0, "")
    wrong = shell(redirections, "verify", "default", "new.safetensors", "--seed", 8)
    assert (wrong.returncode, wrong.stderr) == (1, "")


@posix
def test_errors_without_stderr(folder):
    """They do not go to stdout, where JSON is expected."""
    ended = shell("2>&-", "verify", "default", "no.safetensors", "--json")
    assert (ended.returncode, ended.stdout) == (2, "")


@posix
def test_closed_output_in_this_process(folder, monkeypatch):
    """As of a program without a console; sys.stdout is as it was after it."""
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["info"]) == 0
    assert sys.stdout is None
    with progress_bar("nothing", 10) as tell:
        tell(5)


@linux
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_behind_stdout(folder, unbuffered):
    """Neither a verdict nor a traceback."""
    ended = shell(">/dev/full", "info", PYTHONUNBUFFERED=unbuffered)
    message = "fastxavier: error: [Errno 28] No space left on device\n"
    assert (ended.returncode, ended.stderr) == (2, message)


# ---- other encodings -----------------------------------------------------------------------------

NAME = "слой.weight"


@pytest.fixture
def cyrillic(folder):
    """A list with a tensor whose name few encodings have."""
    (folder / "like.toml").write_text(
        f'[tensors]\n"{NAME}" = {{ shape = [30, 20], dtype = "F32" }}\n', encoding="utf-8"
    )
    return folder


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "koi8-r"])
def test_other_encodings(cyrillic, encoding):
    """Replacement characters; file, verdict and status are right."""
    out = "слой.safetensors"
    made = shell("", *INIT[:-1], out, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert (made.returncode, made.stderr) == (0, "")
    assert list(mapped(out)) == [NAME]
    # Read as bytes that are not decoded: shell() would read them as UTF-8.
    command = [sys.executable, "-m", "fastxavier", "verify", "default", out]
    ended = subprocess.run(
        command,
        env=environment(PYTHONIOENCODING=encoding, PYTHONUTF8="1"),
        capture_output=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode(encoding)
    assert text.splitlines()[0] == (out if encoding in ("utf-8", "koi8-r") else "????.safetensors")
    assert any(line.startswith((NAME, "????.weight ")) for line in text.splitlines())
    assert "ok: 1 tensors" in text
    tensors = {NAME: np.ones((30, 20), np.float32)}
    safetensors.numpy.save_file(tensors, out)
    assert subprocess.run(command, env=environment(), capture_output=True).returncode == 1


def on_terminal(*arguments, **changes):
    """Status of a command whose stdout is a terminal, and what is written to that."""
    leader, follower = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "fastxavier", *map(str, arguments)],
        env=environment(TERM="xterm", COLUMNS="90", LINES="40", **changes),
        stdout=follower,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(follower)
        written = b""
        with contextlib.suppress(OSError):  # Linux's end of it
            while part := os.read(leader, 1 << 16):
                written += part
        errors = process.stderr.read()
        os.close(leader)
        return process.wait(timeout=120), written, errors


@posix
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_terminals_of_other_encodings(cyrillic, encoding):
    """The same where tables and bars are rich's."""
    pytest.importorskip("rich")
    name = NAME if encoding == "utf-8" else "????.weight"
    changes = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    status, _, errors = on_terminal(*INIT[:-1], "слой.safetensors", **changes)
    assert (status, errors) == (0, b"")
    status, written, errors = on_terminal("verify", "default", "слой.safetensors", **changes)
    assert (status, errors) == (0, b"")
    text = written.decode(encoding)
    assert name in text
    assert "ok: 1 tensors" in text
    tensors = {NAME: np.ones((30, 20), np.float32)}
    safetensors.numpy.save_file(tensors, "слой.safetensors")
    status, written, errors = on_terminal("verify", "default", "слой.safetensors", **changes)
    assert (status, errors) == (1, b"")
    assert "FAILED: 1 of 1 tensors" in written.decode(encoding)


def test_encoding_of_this_process(cyrillic, monkeypatch):
    """stdout is as it was after it."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert cli.main([*INIT, "--seed", "1"]) == 0
    assert cli.main(["verify", "default", "new.safetensors"]) == 0
    assert b"????.weight" in raw.getvalue()
    assert sys.stdout.errors == "strict"


@posix
def test_file_names_that_are_not_text(folder):
    """Bytes that UTF-8 does not have."""
    out = os.fsdecode(b"\xff.safetensors")
    for changes in ({"PYTHONUTF8": "1"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}):
        made = shell("", *INIT[:-1], out, **changes)
        assert (made.returncode, made.stderr) == (0, "")
        assert made.stdout.startswith(r"\udcff.safetensors: 5 tensors")


# ---- characters that are not printed -------------------------------------------------------------

# Clears a screen, ends a line, turns the direction of writing, is one byte of control, is deleted.
HARMFUL = "a\x1b[2J\n\r\t\u202e\x9b\x7f\u2028.weight"
ESCAPED = r"a\x1b[2J\n\r\t\u202e\x9b\x7f\u2028.weight"


def test_printable():
    assert printable(HARMFUL) == ESCAPED
    assert printable("слой 層 é ✓ a\\b") == "слой 層 é ✓ a\\b"
    assert printable("\udcff") == r"\udcff"
    every = list(map(chr, range(0x110000)))
    assert printable("".join(every)).isprintable()
    shown = "".join(one for one in every if unicodedata.category(one)[0] not in "CZ")
    assert printable(shown) == shown


@pytest.fixture
def harmful(folder):
    """A checkpoint whose tensors, and an index whose files, have harmful names."""
    tensors = {
        HARMFUL: np.zeros((3, 4), np.float32),
        f"h.0.{HARMFUL}": np.zeros((3, 4), np.float32),
        "b\x1b]0;x\x07.bias": np.zeros(4, np.float32),
    }
    safetensors.numpy.save_file(tensors, "harm.safetensors")
    places = dict.fromkeys(tensors, "no\x1b[2J.safetensors")
    (folder / "harm.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "harm.json").write_text(json.dumps({"weight_map": {"\x1b": 3}}))
    (folder / "harm.toml").write_text('"\\u001b[2J" = 3\n')
    rules = [Rule(["b\x1b]*", "*.bias"], "zeros"), Rule("*\x1b*", "normal")]
    Plan(rules).save(folder / "plan.toml")
    return folder


LIKE = ["--like", "harm.safetensors", "-o", "o.safetensors"]
PRINTING = [
    ["verify", "plan.toml", "harm.safetensors"],
    ["verify", "plan.toml", "harm.safetensors", "--json"],
    ["verify", "plan.toml", "harm.safetensors", "--like", "like.toml"],
    ["verify", "default", "harm.safetensors"],
    ["verify", "gpt2", "harm.safetensors"],
    ["verify", "plan.toml", "harm.index.json"],
    ["verify", "plan.toml", "harm.json"],
    ["init", "plan.toml", *LIKE],
    ["init", "plan.toml", *LIKE, "--json"],
    ["init", "vit", *LIKE],
    ["init", "gpt2", *LIKE],
    ["init", "plan.toml", "--like", "harm.toml", "-o", "o.safetensors"],
    ["init", "plan.toml", *LIKE[:-1], "out\x1b[2J.safetensors"],
    ["init", "plan.toml", *LIKE[:-1], "no\x1b[2J/o.safetensors"],
    ["init", "plan.toml", *LIKE, "--skip", "\x1b*"],
    ["init", "harm.toml", *LIKE],
    ["bench", "--from", "harm.json"],
]


@pytest.mark.parametrize("arguments", PRINTING, ids=repr)
@pytest.mark.parametrize("on_terminal", [False, True])
def test_names_do_no_harm(harmful, capsys, monkeypatch, arguments, on_terminal):
    """From a file, or of one: wherever it is printed."""
    shown = terminal(monkeypatch) if on_terminal else None
    if on_terminal:
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")
    status, lines, errors = call(capsys, *arguments)
    if shown:
        lines = shown.getvalue().split("\n")
    assert status in (0, 1, 2)
    text = "\n".join([*lines, *errors])
    assert text
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(errors) == (status == 2)
    escapes = r"\x1b" in text or r"\u001b" in text
    assert escapes or (arguments[0] == "init" and "--json" in arguments) or "bench" in arguments


# ---- widths --------------------------------------------------------------------------------------


def test_columns_of_wide_characters():
    """Each line is as wide as the others: characters of East Asia take two columns, marks none."""
    rows = [["層.weight", "1"], ["e\u0301.weight", "12"], ["ab.weight", "123"], ["\uff57", "x"]]
    lines = columns(["name", "層"], rows)
    assert lines == [
        "name        層",
        "層.weight    1",
        "e\u0301.weight    12",
        "ab.weight  123",
        "\uff57           x",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_no_number_is_lost_on_a_narrow_terminal(folder, capsys, monkeypatch, width):
    """Every cell is there, and no word of it is cut in two."""
    initialized(capsys, "--seed", 7)
    _, lines, _ = call(capsys, "verify", "default", "out.safetensors")
    plain = " ".join(lines[1:]).split()[1:]  # but for the title of the names
    shown = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["verify", "default", "out.safetensors"]) == 0
    text = shown.getvalue().partition("\x1b[?25h")[2]  # after the bar
    assert "ok: 5 tensors" in text
    assert "…" not in text
    shown_words = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", " ", text)
    shown_words = re.sub(r"[┏━┳┓┃┡╇┩│└┴┘─]", " ", shown_words).replace(";", " ").replace(":", " ")
    found = shown_words.split()
    for word in plain:
        assert word.strip(":;") in found
    assert found.count("0.109545)") == 1


@pytest.mark.parametrize("width", [50, 100])
def test_narrow_and_wide(monkeypatch, width):
    """A table where it fits, wide characters in their columns; else a paragraph for each row."""
    shown = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    cells = ["層" * 8, "Uniform(-0.123456, 0.123456)", "1000000000000000"]
    table("title", ["tensor", "distribution", "values"], [cells, ["b", "", "2"]], "legend")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()
    if width == 50:
        assert lines == [
            "title",
            "層" * 8,
            "    distribution: Uniform(-0.123456, 0.123456);",
            "    values: 1000000000000000",
            "b",
            "    values: 2",
            "legend",
        ]
    else:
        assert {len(line) + line.count("層") for line in lines[1:-1]} == {len(lines[1])}
        assert cells[1] in " ".join(lines)


def test_a_pattern_written_twice(folder, capsys):
    """Or a rule: each counts once."""
    twice = Rule(["*.bias", "*.bias"], "zeros")
    Plan([twice, twice, Rule("*", "zeros")]).save(folder / "plan.toml")
    lines = initialized(capsys, plan="plan.toml")
    assert [line.split() for line in lines[2:4]] == [
        ["*.bias", "any", "zeros", "1", "300"],
        ["*", "any", "zeros", "4", "63,001"],
    ]
