"""tests/slow.txt lists tests that exist."""


def test_every_line_matches_a_test(unmatched_slow_lines):
    """Of the files that this run collects; a run of all tests checks all lines."""
    assert unmatched_slow_lines == []
