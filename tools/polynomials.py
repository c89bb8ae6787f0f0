"""Derive the polynomials of the kernels and write them to src_c/shared/polynomials.h.

    python tools/polynomials.py            # needs mpmath; about two minutes
    python tools/polynomials.py --check    # also fails where the header in the tree differs

Each row below has a function, the interval on which the kernels evaluate it, and the weight that
turns the error of the fit into the relative error of the final result. The fit is
minimax (Remez exchange, in 60-digit arithmetic, on a fine grid of the interval); coefficients are
then rounded to the precision of the kernel. A quotient may be multiplied above and below by any
number: of some, the one is taken with which the rounded coefficients are best. The largest weighted
error of the rounded coefficients, found on a second grid, is in the comment above them in the
header, in units of u = 2^-24 or 2^-53.
"""

import argparse
import pathlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp

mp.mp.dps = 60
HEADER = pathlib.Path(__file__).parents[1] / "src_c" / "shared" / "polynomials.h"
# With 1.5, z / y - 1 lies between -0.17 and 1.01, so that its error is at most half as large in z.
QUOTIENT_SCALE = mp.mpf("1.5")
REALS = {"f32": ("float", 24), "f64": ("double", 53)}


def rounded(x, real):
    """The nearest value of the precision, as an mpf."""
    if real == "f64":
        return mp.mpf(float(x))
    return mp.mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def literal(x, real):
    return float(x).hex() + ("f" if real == "f32" else "")


def angle_sine(s):
    """sin(pi/4 t)/t less its leading coefficient, as a function of s = t^2."""
    t = mp.sqrt(s)
    return mp.sin(mp.pi / 4 * t) / t


def angle_cosine(s):
    return (mp.cos(mp.pi / 4 * mp.sqrt(s)) - 1) / s


def log_remainder(f):
    """-2 ln(1 - f/2) = f + f^2 q(f)."""
    return (-2 * mp.log1p(-f / 2) - f) / f**2


def artanh_remainder(f):
    """-2 ln(1 - f/2) = f + q f + q^3 p(q^2), q = f/(4 - f)."""
    q = f / (4 - f)
    return q * q, (-2 * mp.log1p(-f / 2) - f - q * f) / q**3


def upper_tail(z):
    return mp.erfc(z / mp.sqrt(2)) / 2


def near_mean(z):
    """Symmetric intervals: v = -4 q (1 - q), and z / y - 1, where y = QUOTIENT_SCALE (1 - 2 q)."""
    q = upper_tail(z)
    return -4 * q * (1 - q), z / (QUOTIENT_SCALE * mp.erf(z / mp.sqrt(2))) - 1


def near_mean_weight(z):
    return QUOTIENT_SCALE * mp.erf(z / mp.sqrt(2)) / z


def tail(z):
    """Away from it: s = sqrt(-2 ln(2 q)) and z = s - d(s)."""
    s = mp.sqrt(-2 * mp.log(2 * upper_tail(z)))
    return s, s - z


@dataclass
class Fit:
    name: str
    what: str
    points: Callable  # grid parameter -> (x, f(x), weight)
    span: tuple
    degrees: dict  # real -> (numerator, denominator)
    leading: Callable | None = None  # subtracted after rounding: carried in two parts by the kernel
    halves: bool = False  # the even and the odd coefficients in a table each


FITS = [
    Fit(
        "log",
        "q in -2 ln(1 - f/2) = f + f^2 q(f), 1 - f/2 from 2/3 to 4/3; weight 1/ln",
        lambda f: (f, log_remainder(f), f**2 / abs(2 * mp.log1p(-f / 2))),
        (-mp.mpf(2) / 3 - mp.mpf("1e-6"), mp.mpf(2) / 3 + mp.mpf("1e-6")),
        {"f32": (8, 0)},
        halves=True,
    ),
    Fit(
        "artanh",
        "p in -2 ln(1 - f/2) = f + q f + q^3 p(q^2), q = f/(4 - f), f to 2/3; weight 1/ln",
        lambda f: (*artanh_remainder(f), (f / (4 - f)) ** 3 / abs(2 * mp.log1p(-f / 2))),
        (mp.mpf("1e-3"), mp.mpf(2) / 3 + mp.mpf("1e-6")),
        {"f64": (6, 0)},
    ),
    Fit(
        "sine",
        "q in sin(pi/4 t) = t (pi/4 rounded + q(t^2)), |t| <= 1; weight 1/sin",
        lambda s: (s, angle_sine(s), 1 / angle_sine(s)),
        (mp.mpf("1e-12"), mp.mpf(1)),
        {"f32": (3, 0), "f64": (6, 0)},
        leading=lambda: mp.pi / 4,
    ),
    Fit(
        "cosine",
        "q in cos(pi/4 t) = 1 + t^2 q(t^2), |t| <= 1; weight 1/cos",
        lambda s: (s, angle_cosine(s), s / (1 + s * angle_cosine(s))),
        (mp.mpf("1e-12"), mp.mpf(1)),
        {"f32": (3, 0), "f64": (6, 0)},
    ),
    Fit(
        "within_2",
        "z / y - 1, y = scale (1 - 2 q), of v = -4 q (1 - q), |z| <= 2; weight y/z",
        lambda z: (*near_mean(z), near_mean_weight(z)),
        (mp.mpf("1e-4"), mp.mpf("2.0001")),
        {"f32": (5, 4), "f64": (10, 9)},
    ),
    Fit(
        "within_3",
        "the same, |z| <= 3",
        lambda z: (*near_mean(z), near_mean_weight(z)),
        (mp.mpf("1e-4"), mp.mpf("3.0001")),
        {"f32": (7, 7), "f64": (15, 15)},
    ),
    Fit(
        "tail",
        "d in z = s - d(s), s = sqrt(-2 ln(2 q)), 2 <= z <= 38.5; weight 1/z",
        lambda logz: (*tail(mp.exp(logz)), mp.exp(-logz)),
        (mp.log(mp.mpf("1.999")), mp.log(mp.mpf("38.5"))),
        {"f32": (5, 5), "f64": (12, 12)},
    ),
]


def chebyshev(span, count):
    low, high = span
    return [low + (high - low) * (1 - mp.cos(mp.pi * i / (count - 1))) / 2 for i in range(count)]


def ratio(p, q, x):
    return mp.polyval(p[::-1], x) / mp.polyval(q[::-1], x)


def alternating_extrema(errors, count):
    """Indices of the largest error of each run of one sign, thinned to `count` of them."""
    peaks, best = [], 0
    for i in range(1, len(errors)):
        if (errors[i] > 0) != (errors[i - 1] > 0):
            peaks.append(best)
            best = i
        elif abs(errors[i]) > abs(errors[best]):
            best = i
    peaks.append(best)
    size = [abs(errors[i]) for i in peaks]
    while len(peaks) > count:
        if len(peaks) - count >= 2:
            j = min(range(len(peaks) - 1), key=lambda j: max(size[j], size[j + 1]))
            del peaks[j : j + 2], size[j : j + 2]
        else:
            j = 0 if size[0] < size[-1] else -1
            del peaks[j], size[j]
    return peaks


def remez(grid, degrees):
    """Minimax p/q on the grid with q(0) = 1; each step solves the equations made linear in E q."""
    top, bottom = degrees
    n = top + bottom + 2
    picks = [
        round(float((1 - mp.cos(mp.pi * i / (n - 1))) / 2 * (len(grid) - 1))) for i in range(n)
    ]
    best = None
    q = [mp.mpf(1)]
    for _ in range(30):
        for _ in range(6 if bottom else 1):
            a, b = mp.matrix(n, n), mp.matrix(n, 1)
            for row, pick in enumerate(picks):
                x, f, weight = grid[pick]
                for k in range(top + 1):
                    a[row, k] = x**k
                for k in range(1, bottom + 1):
                    a[row, top + k] = -f * x**k
                a[row, n - 1] = (-1) ** row / weight * mp.polyval(q[::-1], x)
                b[row] = f
            solution = list(mp.lu_solve(a, b))
            p, q = solution[: top + 1], [mp.mpf(1), *solution[top + 1 : n - 1]]
        errors = [w * (f - ratio(p, q, x)) for x, f, w in grid]
        largest = max(map(abs, errors))
        if best is None or largest < best[2]:
            best = (p, q, largest)
        picks = alternating_extrema(errors, n)
        if len(picks) < n or largest < abs(solution[-1]) * mp.mpf("1.005"):
            break
    return best[0], best[1]


def largest_error(p, q, shift, check):
    return max(abs(w * (f - shift - ratio(p, q, x))) for x, f, w in check)


def best_rounded(p, q, real, check, tries=50):
    """The coefficients of a quotient, scaled so that they lose least when they are rounded."""

    def scaled(i):
        factor = mp.mpf(2) ** (mp.mpf(-i) / tries)
        return [[rounded(c * factor, real) for c in part] for part in (p, q)]

    return min(map(scaled, range(tries)), key=lambda pq: largest_error(*pq, 0, check[::4]))


def lines(fit, real, grid, check):
    ctype, digits = REALS[real]
    p, q = remez(grid, fit.degrees[real])
    out = []
    shift = mp.mpf(0)
    if fit.leading:
        shift = rounded(fit.leading(), real)
        p[0] -= shift
    if len(q) > 1:
        p, q = best_rounded(p, q, real, check)
    else:
        p = [rounded(c, real) for c in p]
    error = largest_error(p, q, shift, check)
    out.append(f"/* {fit.what}: {float(error * 2**digits):.3f} u */")

    def table(name, values):
        body = ",\n    ".join(literal(v, real) for v in values)
        out.append(f"FX_TABLE({ctype}, {real}_{name}) = {{\n    {body}}};")

    if fit.leading:
        out.append(f"#define {real}_{fit.name}_leading {literal(shift, real)}")
    if fit.halves:
        table(fit.name + "_even", p[::2])
        table(fit.name + "_odd", p[1::2])
    else:
        table(fit.name, p)
    if len(q) > 1:
        table(fit.name + "_denominator", q)
    return out


def header():
    out = [
        "/* The coefficients of math.inc.h, constant term first, and the error of each polynomial",
        "   in u = 2^-24 (f32) or 2^-53 (f64). Generated by tools/polynomials.py. */",
        "#ifndef FASTXAVIER_POLYNOMIALS_H",
        "#define FASTXAVIER_POLYNOMIALS_H",
        "",
        '#include "portable.h"',
        "",
        "/* y / (2 cdf - 1) in the quotients near the mean */",
        f"#define QUOTIENT_SCALE {float(QUOTIENT_SCALE)}",
    ]
    for fit in FITS:
        grid = [fit.points(x) for x in chebyshev(fit.span, 500) if x != 0]
        check = [fit.points(x) for x in chebyshev(fit.span, 1201) if x != 0]
        for real in fit.degrees:
            out += ["", *lines(fit, real, grid, check)]
            print(fit.name, real, out[-1].count(","), flush=True)
    return "\n".join([*out, "", "#endif", ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    text = header()
    if arguments.check:
        if text != HEADER.read_text():
            raise SystemExit(f"{HEADER.name} is not what this script derives")
    else:
        HEADER.write_text(text)
