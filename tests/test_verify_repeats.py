"""Blocks of values that an array holds twice, which `verify` finds at any offset."""

import math

import numpy as np
import pytest
from verify_cases import NORMAL, dtypes, filled

from fastxavier import Normal
from fastxavier._verify import verify

inf = math.inf


# ---- repeated blocks -----------------------------------------------------------------------------


def copy_block(values, source, target, length):
    """Copy a block; make its neighbours differ, which in few bits may be equal by chance."""
    values[target : target + length] = values[source : source + length]
    for i in (-1, length):
        if source + i >= 0 and target + i < len(values):
            size = abs(float(values[source + i]))
            if abs(float(values[target + i])) == size:
                values[target + i] = 0.03125 if size > 0.04 else 0.0625


@dtypes
@pytest.mark.parametrize(("source", "target"), [(0, 262144 - 48), (77, 131), (1001, 200_003)])
def test_repeats_at_any_offset(dtype, source, target):
    """A block of the shortest length, wherever both are; one value less is not found."""
    values = filled(NORMAL, 1 << 18, dtype)
    length = int(verify(values, NORMAL).repeats.note.split()[2])
    copy_block(values, source, target, length)
    report = verify(values, NORMAL)
    assert report.failures == ("repeats",)
    assert f"{length} equal values from ({source},) and ({target},) on" == report.repeats.note
    values = filled(NORMAL, 1 << 18, dtype)
    copy_block(values, source, target, length - 1)
    assert verify(values, NORMAL).ok


@dtypes
def test_repeats_in_larger_arrays(dtype):
    """Of more than 2^20 values some places are looked at: a repeat of the length stated is met."""
    values = filled(NORMAL, (2100, 1000), dtype)
    report = verify(values, NORMAL)
    assert report.ok
    length = int(report.repeats.note.split()[2])
    assert length <= 15 + 14 * 32 + 48
    flat = values.reshape(-1)
    flat[1_234_567 : 1_234_567 + length] = flat[89 : 89 + length]
    report = verify(values, NORMAL)
    assert report.failures == ("repeats",)
    assert f"{length} equal values from (0, 89) and (1234, 567) on" == report.repeats.note


def symmetric():
    values = filled(NORMAL, (300, 300))
    return np.triu(values) + np.triu(values, 1).T


def row_in_column():
    values = filled(NORMAL)
    values[:, 7] = values[5]
    return values


def column_again():
    values = filled(NORMAL)
    values[:, 100] = values[:, 3]
    return values


def rows_again():
    values = filled(NORMAL)
    values[300:302] = values[9:11]
    return values


def kernel_again():
    values = filled(NORMAL, (64, 32, 3, 3))
    values[11] = values[60]
    return values


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("make", "length"),
    [
        (symmetric, "90,000"),
        (row_in_column, "512"),
        (column_again, "512"),
        (rows_again, "1,024"),
        (kernel_again, "288"),
    ],
)
def test_repeats_along_either_axis(make, length, transposed):
    values = make().T if transposed else make()
    report = verify(values, NORMAL)
    assert "repeats" in report.failures
    assert report.repeats.note.startswith(f"{length} equal values")


def test_equal_values_take_neither_time_nor_memory():
    """Every place is an anchor: neither time nor memory may grow with their pairs."""
    assert "repeats" in verify(np.zeros((1500, 1000), np.float32), NORMAL).failures


@pytest.mark.parametrize(
    ("distribution", "looked_for"),
    [(Normal(1, 0.02), True), (Normal(1, 0.001), False), (Normal(0, 0.02), True)],
    ids=repr,
)
def test_chance_does_not_repeat_blocks_of_few_numbers(distribution, looked_for):
    """Of a bfloat16 near 1 there are few: windows grow, or repeats are not looked for."""
    values = filled(distribution, (700, 700), "bfloat16")
    report = verify(values, distribution)
    assert report.ok
    assert (report.repeats is not None) == looked_for
