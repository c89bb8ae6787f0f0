"""The promise about time: golden.txt only grows, and all that names the stream's version agrees."""

import pathlib
import re

import golden
import pytest

from fastxavier import _core

ROOT = pathlib.Path(__file__).resolve().parents[1]
GOLDEN = golden.rows((golden.DATA / "golden.txt").read_text())
FROZEN = golden.rows((golden.DATA / "frozen.txt").read_text())


def broken(lines, frozen, version=_core.stream_version):
    """The frozen rows of this version of the stream that no line stands behind any more."""
    now = set(map(golden.frozen_row, lines))
    return [row for row in frozen if row.split()[0] == str(version) and row not in now]


def test_no_line_has_changed():
    """Each that was ever there, is there: to change one is to raise the stream's version."""
    assert broken(GOLDEN, FROZEN) == []


def test_every_line_is_frozen():
    """A new line is added to frozen.txt with it: python tests/support/golden.py --freeze."""
    assert [row for row in map(golden.frozen_row, GOLDEN) if row not in FROZEN] == []
    assert len({tuple(row.split()[:3]) for row in FROZEN}) == len(FROZEN) >= 44


@pytest.mark.parametrize("number", [0, 20, -1])
def test_a_changed_line_is_found(number):
    """One digit, a parameter, a line that is gone; not the order, a new line or a new version."""
    line = GOLDEN[number]
    edited = {
        "digit": line[:-1] + ("0" if line[-1] != "0" else "1"),
        "parameter": line.replace("0x1.", "0x1.0", 1),
        "gone": GOLDEN[number - 1],
    }
    for changed in edited.values():
        lines = [changed if one == line else one for one in GOLDEN]
        assert broken(lines, FROZEN) == [golden.frozen_row(line)]
        assert broken(lines, FROZEN, _core.stream_version + 1) == []
    assert broken([line.replace("32", "128"), *reversed(GOLDEN)], FROZEN) == []


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("src_c/fastxavier.h", r"#define FX_STREAM_VERSION (\d+)"),
        ("docs/stream.md", r"# The stream, version (\d+)"),
        ("docs/stream.md", r"\*\*Version (\d+) of the stream does not change"),
        ("README.md", r"The values are those of version (\d+) of \[the stream\]"),
        ("CHANGELOG.md", r"Stream version (\d+)\."),
        ("tests/data/golden.txt", r"# Golden values of stream version (\d+)"),
    ],
)
def test_one_version(path, pattern):
    """The header's, and what the documents and the golden file say of it."""
    assert int(re.search(pattern, (ROOT / path).read_text())[1]) == _core.stream_version
