"""How many examples hypothesis tries: settings in tests ask it, tests/conftest.py sets it."""

FEWER = 4  # where slow tests are left out

all_tests = False  # whether slow tests run too


def examples(number):
    """`number` where all tests run, else a quarter of it."""
    return number if all_tests else number // FEWER
