"""The stream, version 1, written to be read: docs/stream.md in NumPy, fractions and mpmath.

Slow, exact, and independent of the C code; it knows the contract and nothing else.
"""

import hashlib
import operator
from fractions import Fraction
from statistics import NormalDist

import ml_dtypes
import mpmath
import numpy as np

MAX_INDEX = 1 << 62
MASK32 = 0xFFFFFFFF

# Real numbers: the functions below return numbers of this context, 60 digits of which 40 and more
# are right, and arithmetic between them stays at 60.
real = mpmath.mp.clone()
real.dps = 60

# ---- words ---------------------------------------------------------------------------------------


def philox4x32(counter, key):
    """Philox4x32-10: counters (..., 4) and keys (..., 2), both uint32, to words (..., 4)."""
    counter, key = np.asarray(counter, np.uint64), np.asarray(key, np.uint64)
    mask, shift = np.uint64(MASK32), np.uint64(32)
    x0, x1, x2, x3 = (counter[..., word] for word in range(4))
    k0, k1 = key[..., 0], key[..., 1]
    for _ in range(10):
        p0 = x0 * np.uint64(0xD2511F53)
        p1 = x2 * np.uint64(0xCD9E8D57)
        x0, x1, x2, x3 = (p1 >> shift) ^ x1 ^ k0, p1 & mask, (p0 >> shift) ^ x3 ^ k1, p0 & mask
        k0 = (k0 + np.uint64(0x9E3779B9)) & mask
        k1 = (k1 + np.uint64(0xBB67AE85)) & mask
    return np.stack([x0, x1, x2, x3], axis=-1).astype(np.uint32)


def _digest(data):
    """Eight bytes of BLAKE2b, read little-endian."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def seed_to_u64(seed):
    """The 64-bit seed: itself below 2^64, beyond that a hash of its bytes."""
    seed = operator.index(seed)
    if seed < 0:
        raise ValueError("a seed is not negative")
    if seed < 1 << 64:
        return seed
    return _digest(seed.to_bytes((seed.bit_length() + 7) // 8, "little"))


def stream_to_u64(stream):
    """The 64-bit stream: a number below 2^63, or a name's hash with bit 63 set."""
    if isinstance(stream, str):
        return _digest(stream.encode("utf-8")) | 1 << 63
    stream = operator.index(stream)
    if not 0 <= stream < 1 << 63:
        raise ValueError("a numbered stream is at least 0 and below 2^63")
    return stream


def _words(seed, stream, indices, block_bit):
    """Word i & 3 of block i >> 2, with `block_bit` set in the block's number."""
    seed, stream = seed_to_u64(seed), stream_to_u64(stream)
    indices = np.asarray(indices)
    if indices.size and not (indices.min() >= 0 and indices.max() < MAX_INDEX):
        raise ValueError("an index is at least 0 and below 2^62")
    indices = indices.astype(np.uint64)
    block = (indices >> np.uint64(2)) | np.uint64(block_bit)
    counter = np.empty((*indices.shape, 4), np.uint32)
    counter[..., 0] = block & np.uint64(MASK32)
    counter[..., 1] = block >> np.uint64(32)
    counter[..., 2] = stream & MASK32
    counter[..., 3] = stream >> 32
    key = np.array([seed & MASK32, seed >> 32], np.uint32)
    word = (indices & np.uint64(3)).astype(np.intp)
    return np.take_along_axis(philox4x32(counter, key), word[..., None], axis=-1)[..., 0]


def words(seed, stream, indices):
    """W(i), uint32."""
    return _words(seed, stream, indices, 0)


def low_words(seed, stream, indices):
    """L(i), uint32: the 32 bits that follow W(i), drawn for float64 only."""
    return _words(seed, stream, indices, 1 << 63)


def integers(seed, stream, indices, bits):
    """X, uint64: W(i) for 32 bits, W(i) 2^32 + L(i) for 64."""
    high = words(seed, stream, indices).astype(np.uint64)
    if bits == 32:
        return high
    if bits == 64:
        return high << np.uint64(32) | low_words(seed, stream, indices)
    raise ValueError("32 or 64 bits")


def _signed(x, bits):
    """The low `bits` bits of an unsigned integer, read as two's complement."""
    x &= (1 << bits) - 1
    return x - (1 << bits) if x >> (bits - 1) else x


def _odd(seed, stream, indices, bits):
    """n = X | 1 as signed integers, int64: odd, and symmetric about 0."""
    x = integers(seed, stream, indices, bits) | np.uint64(1)
    return x.astype(np.uint32).view(np.int32).astype(np.int64) if bits == 32 else x.view(np.int64)


# ---- uniform -------------------------------------------------------------------------------------

FLOATS = {32: np.float32, 64: np.float64}
_BITS = {
    "float32": 32,
    "float64": 64,
    "float16": 32,
    "bfloat16": 32,
    "float8_e4m3fn": 32,
    "float8_e5m2": 32,
}


def round_to(x, dtype):
    """A dyadic Fraction rounded once to the dtype, to nearest, ties to even; beyond it, inf."""
    info = ml_dtypes.finfo(dtype)
    if x == 0:
        return info.dtype.type(0)
    exponent = abs(x.numerator).bit_length() - x.denominator.bit_length()  # floor(log2 |x|)
    unit = max(exponent, info.minexp) - info.nmant
    multiple = round(x / Fraction(2) ** unit)  # of a Fraction: to nearest, ties to even
    if abs(multiple) * Fraction(2) ** unit > Fraction(float(info.max)):
        return info.dtype.type(np.copysign(np.inf, multiple))
    value = float(abs(multiple) * Fraction(2) ** unit)  # exact
    return info.dtype.type(np.copysign(value, -1 if x < 0 else 1))


def constant(seed, stream, indices, value, dtype):
    """The value, rounded as every other is: to float64, or to float32 and what is narrower."""
    computed = FLOATS[_BITS[dtype]](value)
    return np.full(len(indices), round_to(Fraction(float(computed)), dtype))


def uniform_parameters(low, high, bits):
    """mid and h of U[low, high], scalars of float32 (32 bits) or float64."""
    dtype = FLOATS[bits]
    low, high = (round_to(Fraction(float(bound)), dtype) for bound in (low, high))
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError("low and high are finite in the dtype, low at most high")
    mid = round_to((Fraction(float(low)) + Fraction(float(high))) / 2, dtype)
    mid = abs(mid) if mid == 0 else mid  # a zero is +0

    def candidate(pattern):
        return np.array(pattern, f"uint{bits}").view(dtype)[()]

    def stays(h):  # the results furthest out have n = -+2^(B-1) after conversion: mid -+ h
        center, reach = Fraction(float(mid)), Fraction(float(h))
        return low <= round_to(center - reach, dtype) and round_to(center + reach, dtype) <= high

    # Values of one sign are ordered as their bit patterns, and stays() turns false once.
    inside, outside = 0, int(np.array(np.inf, dtype).view(f"uint{bits}"))
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if stays(candidate(middle)) else (inside, middle)
    return mid, candidate(inside)


def uniform(seed, stream, indices, low, high, dtype):
    """The uniform values, bit for bit; the dtype by name."""
    dtype = str(np.dtype(dtype))
    bits = _BITS[dtype]
    mid, h = uniform_parameters(low, high, bits)
    n = _odd(seed, stream, indices, bits).astype(FLOATS[bits])  # to nearest, ties to even
    values = _fused(n, mid, h, bits)
    return values if dtype == FLOATS[bits].__name__ else values.astype(dtype)


def _fused(n, mid, h, bits):
    """mid + n * (h * 2^(1-B)) rounded once, h * 2^(1-B) being the real number."""
    dtype = FLOATS[bits]
    exact = np.zeros(n.shape, bool)
    scaled = np.ldexp(n.astype(np.float64), 1 - bits)
    with np.errstate(all="ignore"):
        if bits == 32:
            # The product has 48 bits: exact in float64. Where the sum is exact too (Knuth's
            # two-sum leaves no remainder) the conversion to float32 is the one rounding.
            product, center = scaled * float(h), float(mid)
            total = product + center
            back = total - center
            remainder = (product - back) + (center - (total - back))
            exact = remainder == 0
            values = total.astype(dtype)
        else:
            # Without mid the product is the one rounding.
            values = scaled * h
            exact = np.full(n.shape, mid == 0)
        # Subnormals are left to the slow way, so that a flushing processor cannot spoil them.
        exact &= (np.abs(values) >= np.finfo(dtype).tiny) & np.isfinite(values)
    center, step = Fraction(float(mid)), Fraction(float(h)) / 2 ** (bits - 1)
    values = np.array(values, dtype)
    for where in zip(*np.nonzero(~exact), strict=True):
        values[where] = round_to(center + int(n[where]) * step, dtype)
    return values


# ---- normal --------------------------------------------------------------------------------------


def normal(seed, stream, indices, bits):
    """Standard normal values as real numbers, a list: Box-Muller over the pair of each index."""
    indices = np.asarray(indices).ravel().astype(np.uint64)
    one = np.uint64(1)
    first = integers(seed, stream, indices & ~one, bits).tolist()
    second = integers(seed, stream, indices | one, bits).tolist()
    odd = (indices & one).tolist()
    triples = zip(first, second, odd, strict=True)
    return [_box_muller(x0, x1, bits)[which] for x0, x1, which in triples]


def _box_muller(x0, x1, bits):
    """The two values of the pair whose integers are x0 and x1."""
    n = _signed(x0 | 1, bits)
    g = real.ldexp(abs(n), -bits)
    r = real.sqrt(-2 * (real.log(g) if n < 0 else real.log1p(-g)))
    k = x1 >> (bits - 2)
    v = _signed(x1 << 2 | 2, bits)
    angle = real.pi / 4 * real.ldexp(v, 1 - bits)
    c, s = real.cos(angle), real.sin(angle)
    c, s = [(c, s), (-s, c), (-c, -s), (s, -c)][k]  # the angle, k quarter turns on
    return r * c, r * s


# ---- truncated normal ----------------------------------------------------------------------------


def truncated_normal(seed, stream, indices, low, high, bits):
    """Standard normal values cut to (low, high), as real numbers, a list; the cut may be infinite.

    The definition is Phi(z) = Phi(low) + (Phi(high) - Phi(low)) (1 + u) / 2, a weighted mean of
    Phi(low) and Phi(high). It holds as well for Phi - 1/2 and for 1 - Phi, so each z is solved from
    the one that is small at z: no digit is lost, in the tails or next to zero.
    """
    low, high = real.mpf(low), real.mpf(high)
    if not low < high:
        raise ValueError("low is below high")
    n = _odd(seed, stream, np.asarray(indices).ravel(), bits).tolist()
    tails = {side: (_upper(side * low), _upper(side * high)) for side in (1, -1)}
    center = _center(low), _center(high)
    result = []
    for u in (real.ldexp(value, 1 - bits) for value in n):
        weights = (1 - u) / 2, (1 + u) / 2
        offset = center[0] * weights[0] + center[1] * weights[1]  # Phi(z) - 1/2
        if abs(offset) < 0.25:
            result.append(_center_inverse(offset))
        else:
            side = 1 if offset > 0 else -1
            tail = tails[side][0] * weights[0] + tails[side][1] * weights[1]
            result.append(side * _upper_inverse(tail))
    return result


def _upper(x):
    """1 - Phi(x)."""
    return real.erfc(x / real.sqrt(2)) / 2


def _center(x):
    """Phi(x) - 1/2."""
    return real.erf(x / real.sqrt(2)) / 2


def _solve(z, miss):
    """Halley's iteration for Phi(z) = p, from a start that is close; miss(z) = Phi(z) - p."""
    for _ in range(50):
        newton = miss(z) / real.npdf(z)
        step = newton / (1 + z * newton / 2)
        z -= step
        if abs(step) <= abs(z) * real.mpf(10) ** -25:  # cubic: the next step is 10^-50 or less
            return z
    raise ArithmeticError("no convergence")


def _center_inverse(offset):
    """The z with Phi(z) - 1/2 = offset, |offset| below 1/4."""
    if offset == 0:
        return real.zero
    if abs(offset) < 1e-4:
        start = real.sqrt(2 * real.pi) * offset
    else:
        start = real.mpf(NormalDist().inv_cdf(0.5 + float(offset)))
    return _solve(start, lambda z: _center(z) - offset)


def _upper_inverse(tail):
    """The z with 1 - Phi(z) = tail, tail at most 1/4."""
    if tail > 1e-300:
        start = real.mpf(-NormalDist().inv_cdf(float(tail)))
    else:
        start = real.sqrt(-2 * real.log(tail))
        for _ in range(3):  # tail ~ npdf(z) / z
            start = real.sqrt(-2 * real.log(tail * start * real.sqrt(2 * real.pi)))
    return _solve(start, lambda z: tail - _upper(z))


# ---- accuracy ------------------------------------------------------------------------------------


def ulp_errors(got, exact):
    """The largest |got - exact| and where it stands.

    In ulp of the binade of the exact value, in the dtype of `got` (float32 or float64); below the
    smallest normal number an ulp is the smallest subnormal one.
    """
    got = np.asarray(got).ravel()
    info = np.finfo(got.dtype)
    worst, place = 0.0, 0
    for where, (value, target) in enumerate(zip(got.tolist(), exact, strict=True)):
        if not np.isfinite(value):
            return np.inf, where
        exponent = int(real.frexp(target)[1]) - 1 if target else info.minexp
        unit = real.ldexp(1, max(exponent, int(info.minexp)) - info.nmant)
        error = float(abs(real.mpf(value) - target) / unit)
        if error > worst:
            worst, place = error, where
    return worst, place
