"""The frozen bits: one hash for every distribution and dtype, whatever computes it."""

import itertools
import math
import pathlib
from fractions import Fraction

import cases
import golden
import numpy as np
import pytest
import reference

import fastxavier as fx

FILE = pathlib.Path(__file__).parent / "data" / "golden.txt"
LINES = golden.parsed(FILE.read_text(encoding="ascii"))

# Cuts of the tensor: pieces of 0, 1 and 2 values, and ends that meet no block, unit or task.
CUTS = [0, 1, 1, 3, 70, 4099, 32769, 70001, 131071, golden.COUNT - 1, golden.COUNT]


@pytest.mark.parametrize("case", LINES, ids="-".join)
@pytest.mark.parametrize("threads", cases.THREADS)
def test_one_fill(case, threads, isa):
    distribution, digest, first = LINES[case]
    values = np.empty(golden.COUNT, cases.DTYPES[case[1]])
    fx.fill_(values, distribution, seed=golden.SEED, stream=golden.STREAM, threads=threads)
    assert golden.first_patterns(values) == first
    assert golden.digest(values) == digest


@pytest.mark.parametrize("case", LINES, ids="-".join)
@pytest.mark.parametrize("threads", cases.THREADS)
def test_shards(case, threads, isa):
    distribution, digest, _ = LINES[case]
    values = np.empty(golden.COUNT, cases.DTYPES[case[1]])
    for begin, end in itertools.pairwise(CUTS):
        fx.fill_(
            values[begin:end],
            distribution,
            seed=golden.SEED,
            stream=golden.STREAM,
            global_shape=values.shape,
            offset=(begin,),
            threads=threads,
        )
    assert golden.digest(values) == digest


def test_every_distribution_and_dtype_has_a_line():
    registry = {
        case: golden.parameters(cases.distributions(case[1])[case[0]]) for case in cases.ALL
    }
    written = {
        case: golden.parameters(distribution) for case, (distribution, _, _) in LINES.items()
    }
    assert written == registry


def test_the_file_is_what_its_generator_prints():
    rows = [golden.line(*case) for case in cases.ALL]
    assert FILE.read_text(encoding="ascii").splitlines() == [*golden.HEAD.splitlines(), *rows]


def _exact(number):
    """A real number of the reference as a Fraction."""
    sign, mantissa, exponent, _ = number._mpf_
    return Fraction(-int(mantissa) if sign else int(mantissa)) * Fraction(2) ** exponent


def _ulp(number, dtype):
    """The spacing of float32 or float64 in the binade of a Fraction."""
    info = np.finfo(dtype)
    exponent = math.frexp(float(number))[1] - 1
    return Fraction(2) ** (max(exponent, int(info.minexp)) - info.nmant)


@pytest.mark.parametrize("case", LINES, ids="-".join)
def test_first_values_are_those_of_the_reference(case):
    """The hashes cannot be right by their own word alone: the first values stand beside them."""
    dtype = case[1]
    distribution, _, first = LINES[case]
    bits, computed_in = cases.WORD_BITS[dtype], cases.COMPUTED_IN[dtype]
    pattern = np.array([int(text, 16) for text in first], f"u{cases.DTYPES[dtype].itemsize}")
    got = pattern.view(cases.DTYPES[dtype])
    key = golden.SEED, golden.STREAM, range(len(first))
    kind, numbers = golden.parameters(distribution)
    if kind == "constant":
        assert first == golden.first_patterns(reference.constant(*key, *numbers, dtype))
        return
    if kind == "uniform":
        expected = reference.uniform(*key, *numbers, dtype)
        assert first == golden.first_patterns(expected)
        return
    if kind == "normal":
        z = reference.normal(*key, bits)
    else:
        z = reference.truncated_normal(*key, *numbers[2:], bits)
    mean, std = (
        Fraction(float(reference.round_to(Fraction(number), computed_in))) for number in numbers[:2]
    )
    # z within 4 ulp (of 1/8 at least where the cut is not symmetric), one rounding of z std + mean,
    # and for 16 bits another; rounding keeps order, so the ends of the interval are rounded alike.
    symmetric = kind == "normal" or numbers[2] == -numbers[3]
    least = 0 if symmetric else Fraction(1, 8)
    for value, exact in zip(got.tolist(), map(_exact, z), strict=True):
        miss = 4 * _ulp(max(abs(exact), least), computed_in)
        low, high = (
            reference.round_to(
                Fraction(float(reference.round_to(end * std + mean, computed_in))), dtype
            )
            for end in (exact - miss, exact + miss)
        )
        assert low <= value <= high
