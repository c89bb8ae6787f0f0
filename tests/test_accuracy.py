"""Normal and truncated normal values lie within 4 ulp of the real numbers that define them."""

import functools
import math
from fractions import Fraction

import cases
import numpy as np
import pytest
import reference

import fastxavier as fx
from fastxavier import Normal, TruncatedNormal

real = reference.real
inf = math.inf

SEED = 0xFEED_5EED
ULPS = 4
PRECISIONS = ["float32", "float64"]
precisions = pytest.mark.parametrize("dtype", PRECISIONS)

# ---- any word ------------------------------------------------------------------------------------


def counters_of(blocks, seed):
    """The counters that Philox turns into these blocks of four words: its rounds, backwards."""
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    m0, m1 = 0xD2511F53, 0xCD9E8D57
    inverse0, inverse1 = (np.uint64(pow(m, -1, 1 << 32)) for m in (m0, m1))
    y0, y1, y2, y3 = (np.asarray(blocks)[..., word].astype(np.uint64) for word in range(4))
    for step in range(9, -1, -1):
        k0 = np.uint64(((seed & 0xFFFFFFFF) + step * 0x9E3779B9) & 0xFFFFFFFF)
        k1 = np.uint64(((seed >> 32) + step * 0xBB67AE85) & 0xFFFFFFFF)
        x0, x2 = y3 * inverse0 & mask, y1 * inverse1 & mask
        x1 = y0 ^ (x2 * np.uint64(m1) >> shift) ^ k0
        x3 = y2 ^ (x0 * np.uint64(m0) >> shift) ^ k1
        y0, y1, y2, y3 = x0, x1, x2, x3
    return np.stack([y0, y1, y2, y3], axis=-1)


def places_with_words(pairs, position):
    """For each pair of words (w0, w1) a stream and a block's first index: W there is w0, then w1.

    The block's other two words are free. Of the candidates whose counters can occur, those with
    the least and the greatest L at a position (0 or 1) of the pair are taken: (stream, index).
    """
    rng = np.random.default_rng(1)
    key = np.array([SEED & 0xFFFFFFFF, SEED >> 32], np.uint64)
    places = []
    for w0, w1 in pairs:
        blocks = rng.integers(0, 1 << 32, (4096, 4), np.uint64)
        blocks[:, 0], blocks[:, 1] = w0, w1
        counters = counters_of(blocks, SEED)
        # A block is below 2^60, a numbered stream below 2^63: one counter in 32 is as small.
        counters = counters[(counters[:, 1] < 1 << 28) & (counters[:, 3] < 1 << 31)]
        of_low_words = counters | np.array([0, 1 << 31, 0, 0], np.uint64)
        low = reference.philox4x32(of_low_words, key)[:, position]
        for found in (low.argmin(), low.argmax()):
            c0, c1, c2, c3 = counters[found].tolist()
            places.append((c2 | c3 << 32, (c0 | c1 << 32) << 2))
    return places


def test_places_hold_the_words_asked_for():
    pairs = [(0, 0xFFFFFFFF), (0x80000000, 1), (0x12345678, 0x9ABCDEF0)]
    places = places_with_words(pairs, 0)
    for (stream, index), pair in zip(places, np.repeat(pairs, 2, axis=0), strict=True):
        assert index < 1 << 62
        assert stream < 1 << 63
        assert reference.words(SEED, stream, [index, index + 1]).tolist() == pair.tolist()
    low = [reference.low_words(SEED, stream, [index])[0] for stream, index in places]
    assert max(low[::2]) < 1 << 28  # the least and the greatest of about 128
    assert min(low[1::2]) > 15 << 28


# ---- errors --------------------------------------------------------------------------------------


def largest_error(values, exact, least):
    """The largest error in ulp of the exact value, or of `least` where it is nearer to zero."""
    info = np.finfo(values.dtype)
    lowest = int(real.frexp(least)[1]) - 1 if least else int(info.minexp)
    lowest = max(lowest, int(info.minexp))
    worst = 0.0
    assert np.isfinite(values).all()
    for value, target in zip(values.tolist(), exact, strict=True):
        exponent = int(real.frexp(target)[1]) - 1 if target else lowest
        unit = real.ldexp(1, max(exponent, lowest) - info.nmant)
        worst = max(worst, float(abs(real.mpf(value) - target) / unit))
    return worst


def values_at(distribution, dtype, places, count):
    """The first `count` values at each (stream, index), one array."""
    values = np.empty((len(places), count), dtype)
    for row, (stream, index) in zip(values, places, strict=True):
        cases.shard(row, distribution, SEED, stream, index)
    return values.ravel()


# ---- normal --------------------------------------------------------------------------------------

STREAM = 7
NORMALS = 8000


@functools.cache
def normal_reference(dtype):
    return reference.normal(SEED, STREAM, range(NORMALS), cases.WORD_BITS[dtype])


@precisions
def test_normal(dtype, isa, record_testsuite_property):
    values = cases.drawn(Normal(), dtype, SEED, STREAM, 0, NORMALS)
    error = largest_error(values, normal_reference(dtype), 0)
    record_testsuite_property(f"ulp, normal, {dtype}, {isa}", error)
    assert error <= ULPS


def _extreme_radius_words():
    """g = |n| 2^-32 smallest (both signs of n, so U next to 0 and to 1) and largest; and U on
    either side of every 2/3 2^-k, where the logarithm takes another exponent."""
    words = [0, 1, 2, 3, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFB]
    words += [0x7FFFFFFF, 0x7FFFFFFE, 0x7FFFFFFD, 0x80000000, 0x80000001, 0x80000002]
    third = (1 << 32) // 3
    words += [third + step for step in range(-5, 6)]  # n > 0: 1 - g next to 2/3
    for k in range(1, 31):
        words += [-((2 * third) >> k) % (1 << 32) + step for step in (-2, 0, 2)]
    return [word & 0xFFFFFFFF for word in words]


def _extreme_angle_words():
    """On either side of each multiple of an eighth of a turn: where v is least and largest."""
    return [
        (eighth * (1 << 29) + step) % (1 << 32) for eighth in range(8) for step in (-2, -1, 0, 1)
    ]


@functools.cache
def extreme_normals(dtype):
    """Places of extreme words, and the values there. The angle's L counts: v runs on in it."""
    radii, angles = _extreme_radius_words(), _extreme_angle_words()
    pairs = [(radius, angles[i % len(angles)]) for i, radius in enumerate(radii)]
    pairs += [(radii[i % len(radii)], angle) for i, angle in enumerate(2 * angles)]
    places = places_with_words(pairs, 0)
    places += places_with_words(pairs, 1)
    bits = cases.WORD_BITS[dtype]
    exact = [z for s, i in places for z in reference.normal(SEED, s, [i, i + 1], bits)]
    return places, exact


@precisions
def test_normal_at_extreme_words(dtype, isa, record_testsuite_property):
    places, exact = extreme_normals(dtype)
    values = values_at(Normal(), dtype, places, 2)
    error = largest_error(values, exact, 0)
    record_testsuite_property(f"ulp, normal at extreme words, {dtype}, {isa}", error)
    assert error <= ULPS
    reach = math.sqrt(2 * cases.WORD_BITS[dtype] * math.log(2))
    assert np.abs(values).max() <= reach * (1 + 2.0**-20)


def test_normal_reaches_the_end_of_its_tail(isa):
    """In float32 the word -1 next to a cosine of 1 comes to sqrt(2 * 32 * ln 2)."""
    places = places_with_words([(0xFFFFFFFF, 0)], 0)
    value = float(values_at(Normal(), "float32", places, 1)[0])
    assert abs(value / math.sqrt(64 * math.log(2)) - 1) <= 4 * 2.0**-23


# ---- truncated normal ----------------------------------------------------------------------------

CUTS = [
    (-2, 2),
    (-1, 1),
    (-3, 3),
    (-2.0000001, 2.0000001),
    (-8, 8),
    (-40, 40),
    (-inf, inf),
    (-1e-8, 1e-8),
    (-1e-30, 1e-30),
    (-1e-36, 1e-36),
    (-1e-40, 1e-40),
    (-1e-300, 1e-300),
    (-3e-40, 1e-40),
    (0, inf),
    (-inf, 0),
    (-1, 2),
    (-0.1, 7),
    (-1e-3, 1.5),
    (0.1, 0.2),
    (1, 1.0001),
    (-1.5, inf),
    (2, 5),
    (-5, -2),
    (6.5, 6.501),
    (6.9, 6.9000002),
    (6.99, 7.5),
    (7, 8),
    (-9, -8),
    (9, 10),
    (30, 31),
    (-31, -30),
    (36.9, inf),
    (-inf, -37),
    (-inf, 36),
]
cuts = pytest.mark.parametrize("cut", CUTS, ids=str)
DRAWS = 500


def truncated_words(low, high):
    """Words of the values that are hardest, or where a kernel goes another way.

    Ends and centre of the word; words at every power of two from them; and those of the z at which
    the quotient hands over to the tail, of 0, of +-1/8 and of 7.
    """
    words = [0, 1, 2, 3, 0xFFFFFFFF, 0xFFFFFFFD, 0x7FFFFFFF, 0x7FFFFFFD, 0x80000000, 0x80000002]
    for k in range(2, 31):
        words += [1 << k, -(1 << k), (1 << 31) - (1 << k), -(1 << 31) + (1 << k)]
    low, high = real.mpf(low), real.mpf(high)
    marks = (0, 0.125, 1, 2, 2.99997, 2.99998, 2.99999, 3, 3.0001, 7)
    for z in (sign * real.mpf(mark) for mark in marks for sign in (1, -1)):
        if low < z < high:
            p, p_low, p_high = (real.erf(x / real.sqrt(2)) for x in (z, low, high))
            u = 2 * (p - p_low) / (p_high - p_low) - 1
            n = int(real.nint(real.ldexp(u, 31)))
            words += [n + step for step in (-4, -2, 0, 2, 4) if abs(n + step) < 1 << 31]
    return [word % (1 << 32) for word in words]


@functools.cache
def truncated_reference(cut, dtype):
    """Places and the values there: some draws in a row, then extreme words."""
    bits = cases.WORD_BITS[dtype]
    words = truncated_words(*cut)
    places = _places_of_words(tuple(words))
    exact = reference.truncated_normal(SEED, STREAM, range(DRAWS), *cut, bits)
    for stream, index in places:
        exact += reference.truncated_normal(SEED, stream, [index], *cut, bits)
    return places, exact


@functools.cache
def _place_of_word(word):
    return places_with_words([(word, 0x2545F491)], 0)


def _places_of_words(words):
    return [place for word in dict.fromkeys(words) for place in _place_of_word(word)]


@precisions
@cuts
def test_truncated_normal(cut, dtype, isa, record_testsuite_property):
    places, exact = truncated_reference(cut, dtype)
    distribution = TruncatedNormal(0, 1, *cut)
    values = np.concatenate(
        [
            cases.drawn(distribution, dtype, SEED, STREAM, 0, DRAWS),
            values_at(distribution, dtype, places, 1),
        ]
    )
    # Nearer to zero than 1/8, a cut that is not symmetric is held to 4 ulp of 1/8.
    error = largest_error(values, exact, 0 if cut[0] == -cut[1] else 0.125)
    record_testsuite_property(f"ulp, cut {cut}, {dtype}, {isa}", error)
    assert error <= ULPS
    assert all(cut[0] <= value <= cut[1] for value in values.tolist())


@cuts
def test_truncated_normal_stays_within_its_cut(cut, isa):
    """Many draws, and the cut's ends in both precisions as numbers that are compared exactly."""
    distribution = TruncatedNormal(0, 1, *cut)
    for dtype in PRECISIONS:
        values = cases.drawn(distribution, dtype, SEED, STREAM, 0, 1 << 17).astype(np.float64)
        assert values.min() >= cut[0]
        assert values.max() <= cut[1]


# ---- mean and std --------------------------------------------------------------------------------

SCALES = [
    (0.0, 0.02),
    (0.01, 0.02),
    (-1.0, 1e-3),
    (1e6, 1e-4),
    (0.0, 0.0),
    (0.3, 0.0),
    (-0.0, 3.0),
    (-1e-37, 1e-38),
    (0.0, 1e-44),
    (0.0, 5e-324),
    (1e-310, 1e-310),
]


@precisions
@pytest.mark.parametrize(("mean", "std"), SCALES)
@pytest.mark.parametrize("cut", [None, (-2, 2), (-1, 2), (9, 10)], ids=str)
def test_value_is_one_fused_multiply_add(cut, mean, std, dtype, isa):
    """z std + mean rounded once, with mean and std rounded to the dtype: exact."""
    kind = Normal if cut is None else functools.partial(TruncatedNormal, low=cut[0], high=cut[1])
    z = cases.drawn(kind(0, 1), dtype, SEED, STREAM, 0, 300)
    values = cases.drawn(kind(mean, std), dtype, SEED, STREAM, 0, 300)
    center, scale = (
        Fraction(float(reference.round_to(Fraction(number), dtype))) for number in (mean, std)
    )
    expected = np.array(
        [reference.round_to(Fraction(x) * scale + center, dtype) for x in z.tolist()], dtype
    )
    assert np.array_equal(cases.patterns(values), cases.patterns(expected))


def test_a_mean_of_zero_and_std_of_one_change_nothing():
    """What the tests above take for z: a second way to the same numbers."""
    plain = fx.fill_(np.empty(100), Normal(), seed=SEED, stream=STREAM)
    doubled = fx.fill_(np.empty(100), Normal(0, 2), seed=SEED, stream=STREAM)
    assert np.array_equal(2 * plain, doubled)
