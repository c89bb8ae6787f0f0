"""Verification: does an array hold draws of a distribution? It reads values and knows no seed or stream."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, SupportsFloat, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastxavier._validation import real
from fastxavier.distributions import Distribution, Normal, TruncatedNormal, Uniform

__all__ = ["Finding", "Verification", "verify"]

Array = NDArray[Any]
Doubles = NDArray[np.float64]

CHUNK = 1 << 17  # values at a time: their doubles fill half of a second-level cache
ULPS = 4  # by which rounding, of parameters and within a fill, may move a value
NEARLY_NORMAL = 0.01  # kurtosis beyond a normal's of a sum that is judged

CELLS = 1 << 14  # of equal width, in which float32 and float64 values are counted
GROUPS = 1 << 10  # of about equal probability, into which the cells are merged for a chi-square
FEW = 1 << 16  # float32 and float64 values below which Kolmogorov-Smirnov sees more
LEAST_EXPECTED = 20  # values in a group
LEAST_GROUPS = 64  # fewer tell little, and their chi-square is too far from its distribution
UNIFORM_BITS = 22  # a tail of 2**-22 may be missing: 23-bit uniforms on (-1, 1) leave so much

WINDOW = 16  # consecutive values that must repeat, at least
LONGEST_WINDOW = 64  # where a distribution has few different numbers
EXHAUSTIVE = 1 << 20  # values of which every window is compared with every other
SPARSE = 5  # bits: of more values one place in 32 at most is the begin of a window,
ANCHORS = 1 << 21  # and no more places than these


@runtime_checkable
class Structural(Protocol):
    """What `verify` asks of a structure: how far an array is from it, and may be."""

    def deviation(self, array: Array) -> float:
        """How far `array` is from such a structure."""
        ...

    def tolerance(self, array: Array) -> float:
        """How far rounding lets it be."""
        ...


# ---- report --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """One line of a `Verification`.

    Attributes
    ----------
    name : str
        What was looked at.
    expected, measured : float
        What the distribution lets expect (of an extreme: its median) and what the array holds.
    z : float or None
        Their difference in standard errors, for a mean or a variance.
    p : float or None
        Probability that draws of the distribution differ as much; None where that is not judged.
    limit : float or None
        What `measured` must not pass, for counts and deviations.
    note : str
        How it was measured, or what was found where.
    """

    name: str
    expected: float
    measured: float
    z: float | None = None
    p: float | None = None
    limit: float | None = None
    note: str = ""

    def passes(self, level: float) -> bool:
        """Whether it speaks for the distribution, `level` being the least probability that does."""
        return (self.p is None or self.p >= level) and (
            self.limit is None or self.measured <= self.limit
        )


@dataclass(frozen=True)
class Verification:
    """What `verify` found. Prints as a table; ``asdict`` makes a dictionary of it.

    Attributes
    ----------
    ok : bool
        True if nothing found speaks against the distribution.
    failures : tuple of str
        Names of the findings that do.
    level : float
        The least p that does not: `false_alarm` divided by the number of p-values.
    distribution, dtype, shape, false_alarm
        What was asked of which array.
    nans, infinities : Finding
        Values that are not finite. All else is about the finite ones.
    out_of_bounds : Finding or None
        Values outside the distribution's bounds, those rounded to the array's dtype.
    mean, variance : Finding or None
        Against the distribution as the dtype holds it; the variance is taken about the distribution's own mean.
    fit : Finding or None
        Chi-square, with its degrees of freedom as what is expected, or the distance of
        Kolmogorov and Smirnov, with its median.
    least, greatest : Finding or None
        The extremes.
    repeats : Finding or None
        Blocks of values that stand in the array twice.
    deviation : Finding or None
        Of a structure: its distance from the array.
    """

    distribution: Distribution | Structural
    dtype: str
    shape: tuple[int, ...]
    false_alarm: float
    nans: Finding
    infinities: Finding
    out_of_bounds: Finding | None = None
    mean: Finding | None = None
    variance: Finding | None = None
    fit: Finding | None = None
    least: Finding | None = None
    greatest: Finding | None = None
    repeats: Finding | None = None
    deviation: Finding | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the table."""
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return tuple(value for value in values if isinstance(value, Finding))

    @property
    def level(self) -> float:
        """The least p that does not speak against the distribution (Bonferroni)."""
        return self.false_alarm / max(1, sum(one.p is not None for one in self.findings))

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the findings that speak against the distribution."""
        return tuple(one.name for one in self.findings if not one.passes(self.level))

    @property
    def ok(self) -> bool:
        """Whether no finding speaks against the distribution."""
        return not self.failures

    def asdict(self) -> dict[str, Any]:
        """The same as a dictionary that ``json`` takes; numbers that are not finite are None."""

        def plain(value: Any) -> Any:
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return {
            "ok": self.ok,
            "failures": list(self.failures),
            "distribution": repr(self.distribution),
            "dtype": self.dtype,
            "shape": list(self.shape),
            "false_alarm": self.false_alarm,
            "level": self.level,
            "findings": {
                one.name: {name: plain(value) for name, value in vars(one).items()}
                for one in self.findings
            },
        }

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "expected", "measured", "z", "p", "")]
        rows += [_cells_of(one, self.level) for one in self.findings]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{self.distribution!r}: {math.prod(self.shape):,} of {self.dtype}, shape {self.shape}"
        ]
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            cells[0], cells[-1] = row[0].ljust(widths[0]), row[-1]
            lines.append("  ".join(cells).rstrip())
        against = ", ".join(map(_spoken, self.failures))
        verdict = f"NOT OK: {against}" if against else "ok: nothing speaks against the distribution"
        return "\n".join((*lines, f"{verdict} (the least p allowed is {self.level:.2g})"))


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _cells_of(one: Finding, level: float) -> tuple[str, ...]:
    """A row of the table."""
    expected, measured = (
        f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
        for number in (one.expected, one.measured)
    )
    return (
        _spoken(one.name),
        expected,
        measured,
        "" if one.z is None else f"{one.z:+.2f}",
        "" if one.p is None else f"{one.p:.2g}",
        one.note if one.passes(level) else f"FAILS  {one.note}",
    )


# ---- the question --------------------------------------------------------------------------------


def verify(
    array: Any, distribution: Distribution | Structural, *, false_alarm: SupportsFloat = 1e-6
) -> Verification:
    """Tell whether an array holds draws of a distribution, whoever filled it.

    What is looked at, in one pass over the values and two over their order:

    - NaNs, infinities, and values outside the distribution's bounds; none may be there. Bounds and
      parameters are first rounded to the dtype, as a fill does.
    - The mean, with standard error sigma / sqrt(n), and the variance about the distribution's own mean mu,
      mean((x - mu)**2), with sqrt((mu4 - sigma**4) / n), mu4 being the distribution's fourth central moment:
      9/5 sigma**4 for a uniform distribution, 3 sigma**4 for a normal one. Their probabilities are those of
      a Pearson III distribution with the mean, variance and skewness of the sum. They are judged once the
      kurtosis of the sum is within 0.01 of a normal's, which takes some 300 values for the mean
      and 1,500 for the variance of a normal distribution.
    - The shape. Of float16 and bfloat16 every representable number is counted, its probability
      being the distribution's between the midpoints to its neighbours; neighbours are merged until each
      group expects 20 values, and a chi-square compares. Of float32 and float64 it compares about
      1,024 intervals of nearly equal probability; for less than 65,536 values, or where there would
      be less than 64 groups, the distance of Kolmogorov and Smirnov is taken instead, over 16,384
      intervals. An improbably good fit fails too.
    - The least and the greatest value, under the distribution of the extreme of n draws, 1 - (1 - F)**n and
      F**n: an outlier fails, and so does a tail cut off. A missing tail of probability 2**-22 is
      forgiven, since generators that start from 23 or 24 random bits cannot draw it.
    - Repeated blocks, at any offset, counted along the last axis (C order) or the first one
      (Fortran order): a row that stands again as a column is found too. Of at most 2**20 values
      every repeat of 16 consecutive ones is found. Of more, one place in s is looked at, chosen by
      what stands there; s is 32, and beyond 2**26 values n / 2**21 rounded up to a power of two. A
      repeat of 15 + 14 s different values is then missed with a probability of 1e-6. Of 16-bit
      dtypes the 16 become as many as chance does not repeat; where a distribution has too few different
      numbers for that, or an array less than two such blocks, nothing is told.

    The array holds draws of the distribution, `ok`, if each of the k probabilities is at least
    ``false_alarm / k`` and each count is 0. By Bonferroni's inequality true draws are then
    accused with a probability of at most `false_alarm`.

    A distribution without variance must stand in every value. A structure is asked how far the array is
    from it, and how far it may be.

    Parameters
    ----------
    array : array_like
        What is looked at: a NumPy array of any layout, what ``numpy.asarray`` makes of other
        objects, or CPU memory by DLPack; float32, float64, float16 or bfloat16. It is read in
        pieces, and no copy of the whole is made: the memory used is some MiB, and 24 bytes for each
        of the at most 2**22 places at which blocks are compared.
    distribution : Uniform, Normal, TruncatedNormal, or a structure
        What it should hold.
    false_alarm : float, default 1e-6
        The probability with which true draws may be accused, between 0 and 1.

    Returns
    -------
    Verification
        Its `ok` is the verdict, its fields the findings; it prints as a table.

    Raises
    ------
    TypeError
        If `array` has another dtype, or `distribution` is no distribution.
    ValueError
        If `array` holds no value, `distribution` reaches beyond its dtype, or `false_alarm` is not between
        0 and 1.
    ImportError
        If SciPy is missing: ``pip install "fastxavier[cli]"``.

    References
    ----------
    K. Pearson, "On the criterion that a given system of deviations ... can be reasonably supposed
    to have arisen from random sampling", Philosophical Magazine 50 (1900).
    J. B. S. Haldane, "The exact value of the moments of the distribution of chi-squared, used as a
    test of goodness of fit, when expectations are small", Biometrika 29 (1937).

    Examples
    --------
    >>> import numpy as np, fastxavier as fx
    >>> from fastxavier._verify import verify
    >>> w = fx.normal_(np.empty((512, 256), np.float32), fan_in=256, fan_out=512, seed=7)
    >>> verify(w, fx.glorot_normal(256, 512)).ok
    True
    >>> verify(w, fx.glorot_normal(256, 512, mode="fan_in")).failures
    ('variance', 'fit')
    """
    level = real("false_alarm", false_alarm)
    if not 0 < level < 1:
        raise ValueError(f"false_alarm is {level}; it must be between 0 and 1")
    values = _viewed(array)
    with np.errstate(all="ignore"):
        if isinstance(distribution, Distribution):
            findings = _compared(values, distribution)
        elif isinstance(distribution, Structural):
            findings = _measured(values, distribution)
        else:
            raise TypeError(
                f"distribution is {distribution!r}, a {type(distribution).__name__}; it must be a Uniform, Normal or "
                "TruncatedNormal, or a structure"
            )
    named = {one.name: one for one in findings}
    return Verification(distribution, values.dtype.name, values.shape, level, **named)


def _measured(values: Array, structure: Structural) -> list[Finding]:
    """A structure is one number."""
    tally = _tally(values, (-math.inf, math.inf), 0.0, 1.0, _Cells(0.0, 1.0))
    deviation, tolerance = float(structure.deviation(values)), float(structure.tolerance(values))
    note = f"may be {tolerance:.3g}"
    return [*_not_finite(tally), Finding("deviation", 0.0, deviation, limit=tolerance, note=note)]


def _compared(values: Array, distribution: Distribution) -> list[Finding]:
    """All that a distribution says, in the order of the table."""
    given, distribution = distribution, _stored(distribution, values.dtype)
    bounds = _rounded_bounds(given, distribution, values.dtype)
    if distribution.std == 0:
        tally = _tally(values, bounds, 0.0, 1.0, _Cells(0.0, 1.0))
        return [*_not_finite(tally), _outside(tally, bounds)]
    shape = _shape(_standard(distribution))
    tally = _tally(values, bounds, distribution.mean, distribution.std, shape.cells)
    findings = [*_not_finite(tally), _outside(tally, bounds)]
    if not tally.count:
        return findings
    expected = _expected(distribution, values.dtype)
    findings += _moments(tally, distribution, expected)
    findings.append(_fit(tally, expected))
    findings += _extremes(tally, distribution, expected.slack, values.dtype)
    window = _window(expected.commonest, values.size)
    if window <= min(LONGEST_WINDOW, values.size // 2):
        findings.append(_repeats(values, window))
    return findings


# ---- arrays --------------------------------------------------------------------------------------


def _viewed(array: Any) -> Array:
    """The array's memory as NumPy sees it, and nothing that no fill could have made."""
    if str(getattr(array, "dtype", None)) == "torch.bfloat16":  # NumPy has no such number
        torch = importlib.import_module("torch")
        values: Array = array.view(torch.int16).numpy().view(_bfloat16())
    elif hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        values = np.from_dlpack(array)
    else:
        values = np.asarray(array)
    if values.dtype.name not in ("float32", "float64", "float16", "bfloat16"):
        raise TypeError(
            f"array has dtype {values.dtype}; it must be float32, float64, float16 or bfloat16"
        )
    if values.size == 0:
        raise ValueError(f"array has shape {values.shape}; it must hold one value or more")
    return values


def _bfloat16() -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    except ImportError:
        raise ImportError('bfloat16 needs ml_dtypes: pip install "fastxavier[bfloat16]"') from None
    return dtype


def _chunks(array: Array) -> Iterator[Array]:
    """The elements in C order, a contiguous piece of at most CHUNK at a time."""
    native = array.dtype.newbyteorder("=")
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        for first in range(0, flat.size, CHUNK):
            yield flat[first : first + CHUNK].astype(native, copy=False)
    elif array.size // len(array) > CHUNK:
        for part in array:
            yield from _chunks(part)
    else:
        rows = CHUNK * len(array) // array.size
        for first in range(0, len(array), rows):
            # First as memory lies, in long runs; what is left to transpose then is in cache.
            part = array[first : first + rows].copy("K")
            yield part.reshape(-1).astype(native, copy=False)


class _Cells(NamedTuple):
    """Cell i holds what lies from ``first + (i - 1) * step`` on; the outer two have no end."""

    first: float
    step: float


@dataclass
class _Tally:
    """What stands in an array. Sums are of values less a centre, over a scale."""

    count: int = 0
    nans: int = 0
    infinities: int = 0
    outside: int = 0
    least: float = math.inf
    greatest: float = -math.inf
    total: float = 0.0
    squares: float = 0.0
    counts: Any = 0  # in each cell, or of each number of a 16-bit dtype


def _tally(
    values: Array, bounds: tuple[float, float], center: float, scale: float, cells: _Cells
) -> _Tally:
    if values.dtype.itemsize == 2:
        return _tally_patterns(values, bounds, center, scale)
    tally = _Tally()
    buffers = np.empty((2, CHUNK))
    for chunk in _chunks(values):
        least, greatest = float(chunk.min()), float(chunk.max())
        if not (math.isfinite(least) and math.isfinite(greatest)):  # a NaN makes both NaN
            nans = int(np.isnan(chunk).sum())
            finite = chunk[np.isfinite(chunk)]
            tally.nans += nans
            tally.infinities += chunk.size - nans - finite.size
            if not finite.size:
                continue
            chunk, least, greatest = finite, float(finite.min()), float(finite.max())
        if least < bounds[0] or greatest > bounds[1]:
            tally.outside += int(((chunk < bounds[0]) | (chunk > bounds[1])).sum())
        tally.count += chunk.size
        tally.least, tally.greatest = min(least, tally.least), max(greatest, tally.greatest)
        x, work = buffers[:, : chunk.size]
        np.subtract(chunk, center, out=x, dtype=np.float64)
        x /= scale
        tally.total += float(x.sum())
        tally.squares += float(np.square(x, out=work).sum())
        x -= cells.first - cells.step
        x /= cells.step
        np.clip(x, 0, CELLS - 1, out=x)
        tally.counts += np.bincount(x.astype(np.intp), minlength=CELLS)
    return tally


def _tally_patterns(
    values: Array, bounds: tuple[float, float], center: float, scale: float
) -> _Tally:
    """Of 16 bits every pattern is counted: the rest follows from the counts."""
    patterns = np.zeros(1 << 16, np.intp)
    for chunk in _chunks(values):
        patterns += np.bincount(chunk.view(np.uint16), minlength=1 << 16)
    grid = _grid(values.dtype.newbyteorder("="))
    counts = np.zeros(len(grid.numbers), np.intp)
    np.add.at(counts, grid.place, patterns[grid.finite])
    seen = grid.numbers[counts > 0]
    if not seen.size:
        seen = np.array([math.inf, -math.inf])
    x = (grid.numbers - center) / scale
    return _Tally(
        count=int(counts.sum()),
        nans=int(patterns[grid.nan].sum()),
        infinities=int(patterns[~(grid.nan | grid.finite)].sum()),
        outside=int(counts[(grid.numbers < bounds[0]) | (grid.numbers > bounds[1])].sum()),
        least=float(seen[0]),
        greatest=float(seen[-1]),
        total=_weighted(counts, x),
        squares=_weighted(counts, x * x),
        counts=counts,
    )


def _weighted(weights: Array, values: Doubles) -> float:
    """The sum of the products; what has no weight may be infinite."""
    return float((weights * values)[weights > 0].sum())


class _Grid(NamedTuple):
    """The finite numbers of a 16-bit dtype in order, and where each pattern finds its number."""

    numbers: Doubles
    place: NDArray[np.intp]
    finite: NDArray[np.bool_]
    nan: NDArray[np.bool_]


@lru_cache(maxsize=2)
def _grid(dtype: np.dtype[Any]) -> _Grid:
    values = np.arange(1 << 16, dtype=np.uint16).view(dtype).astype(np.float64)
    finite = np.isfinite(values)
    numbers, place = np.unique(values[finite], return_inverse=True)  # one zero of the two
    return _Grid(numbers, place, finite, np.isnan(values))


# ---- distributions ----------------------------------------------------------------------------------------


def _stats() -> Any:
    try:
        return importlib.import_module("scipy.stats")
    except ImportError:
        raise ImportError('verify needs SciPy: pip install "fastxavier[cli]"') from None


def _stored(distribution: Distribution, dtype: np.dtype[Any]) -> Distribution:
    """The distribution with its parameters rounded as a fill rounds them: 16 bits are drawn in 32."""

    def rounded(value: float) -> float:
        number = float(np.float32(value)) if dtype.itemsize < 8 else value
        if math.isinf(number):
            raise ValueError(f"{distribution!r} reaches values beyond the largest {dtype.name}")
        return number

    if isinstance(distribution, Uniform):
        return Uniform(rounded(distribution.low), rounded(distribution.high))
    if isinstance(distribution, TruncatedNormal):
        mean, std = rounded(distribution.parent.mean), rounded(distribution.parent.std)
        return TruncatedNormal(mean, std, distribution.low, distribution.high)
    return Normal(rounded(distribution.mean), rounded(distribution.std))


def _rounded_bounds(
    distribution: Distribution, stored: Distribution, dtype: np.dtype[Any]
) -> tuple[float, float]:
    """The bounds as numbers of the dtype, whether they or the parameters are rounded first."""
    computed = np.float32 if dtype.itemsize < 8 else np.float64
    bounds = np.array(
        [(distribution if stored.std > 0 else stored).bounds, stored.bounds], computed
    )
    bounds = bounds.astype(dtype.newbyteorder("=")).astype(np.float64)
    return float(bounds[:, 0].min()), float(bounds[:, 1].max())


def _standard(distribution: Distribution) -> Distribution:
    """The distribution of the same shape that all its moved and scaled ones share."""
    if isinstance(distribution, TruncatedNormal):
        # So narrow a cut is flat to eight digits, of which differences of erf would leave less.
        if (distribution.high - distribution.low) * max(
            1.0, abs(distribution.low), abs(distribution.high)
        ) < 1e-8:
            return Uniform(-1.0, 1.0)
        return TruncatedNormal(0.0, 1.0, distribution.low, distribution.high)
    return Uniform(-1.0, 1.0) if isinstance(distribution, Uniform) else Normal(0.0, 1.0)


class _Summand(NamedTuple):
    """Moments of what a sum adds up; skewness and kurtosis are standardized."""

    mean: float
    std: float
    skewness: float
    kurtosis: float


def _summand(values: Doubles, weights: Doubles) -> _Summand:
    mean = float((weights * values).sum())
    mean = (
        0.0 if abs(mean) < 1e-12 else mean
    )  # of symmetric distributions, and of all that are not rounded
    x = values - mean
    variance, third, fourth = (float((weights * x**power).sum()) for power in (2, 3, 4))
    if variance == 0:
        return _Summand(mean, 0.0, 0.0, math.inf)
    return _Summand(mean, math.sqrt(variance), third / variance**1.5, fourth / variance**2)


class _Shape(NamedTuple):
    """A distribution of mean 0 and variance 1."""

    distribution: Any  # of scipy.stats
    cells: _Cells
    below: Doubles  # probability below each inner end of the cells
    peak: float  # largest density
    points: Doubles  # of a quadrature, and their probabilities
    weights: Doubles


@lru_cache(maxsize=64)
def _shape(distribution: Distribution) -> _Shape:
    stats = _stats()
    if isinstance(distribution, Uniform):
        frozen = stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))
    elif isinstance(distribution, TruncatedNormal):
        frozen = stats.truncnorm(
            distribution.low,
            distribution.high,
            -distribution.mean / distribution.std,
            1 / distribution.std,
        )
    else:
        frozen = stats.norm()
    first = float(frozen.ppf(2.0**-12))
    step = (float(frozen.isf(2.0**-12)) - first) / (CELLS - 2)
    below = frozen.cdf(first + step * np.arange(CELLS - 1))
    # Gauss-Legendre, panel by panel; what lies beyond has no part in the moments used.
    edges = np.linspace(frozen.ppf(1e-30), frozen.isf(1e-30), 201)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = (edges[1] - edges[0]) / 2
    points = ((edges[:-1] + half)[:, None] + half * nodes).ravel()
    density = frozen.pdf(points)
    weights = density * np.tile(weights, 200)
    weights /= weights.sum()
    return _Shape(frozen, _Cells(first, step), below, float(density.max()), points, weights)


class _Expected(NamedTuple):
    """What values of a distribution hold in a dtype. Values are less the distribution's mean, over its std."""

    value: _Summand
    square: _Summand  # about the expected value
    probabilities: Doubles  # of each cell, or of each number of a 16-bit dtype
    below: Doubles  # the same added up, without the last
    continuous: bool
    peak: float
    slack: float  # how far the rounding of parameters and of a draw may move a value
    commonest: float  # probability of the commonest number


@lru_cache(maxsize=16)
def _expected(distribution: Distribution, dtype: np.dtype[Any]) -> _Expected:
    shape = _shape(_standard(distribution))
    continuous = dtype.itemsize > 2
    computed = np.float64 if dtype.itemsize == 8 else np.float32
    slack = (
        ULPS
        * float(np.spacing(computed(abs(distribution.mean) + distribution.std)))
        / distribution.std
    )
    points, weights, below = shape.points, shape.weights, shape.below
    if not continuous:
        numbers = _grid(dtype.newbyteorder("=")).numbers
        points = (numbers - distribution.mean) / distribution.std
        below = shape.distribution.cdf(
            (numbers[:-1] / 2 + numbers[1:] / 2 - distribution.mean) / distribution.std
        )
    probabilities = np.clip(np.diff(below, prepend=0.0, append=1.0), 0.0, 1.0)
    commonest = min(1.0, shape.peak * slack)
    if not continuous:
        weights = probabilities
        commonest = float(probabilities.max())
    points, weights = points[weights > 0], weights[weights > 0]
    value = _summand(points, weights)
    square = _summand((points - value.mean) ** 2, weights)
    return _Expected(value, square, probabilities, below, continuous, shape.peak, slack, commonest)


# ---- statistics ----------------------------------------------------------------------------------


def _not_finite(tally: _Tally) -> list[Finding]:
    return [
        Finding("nans", 0, tally.nans, limit=0),
        Finding("infinities", 0, tally.infinities, limit=0),
    ]


def _outside(tally: _Tally, bounds: tuple[float, float]) -> Finding:
    note = "[{:.6g}, {:.6g}]".format(*bounds)
    return Finding("out_of_bounds", 0, tally.outside, limit=0, note=note)


def _two_sided(distribution: Any, value: float) -> float:
    p = 2 * float(min(distribution.cdf(value), distribution.sf(value)))
    return 0.0 if math.isnan(p) else min(1.0, p)  # a NaN comes of sums beyond the largest double


def _moments(tally: _Tally, distribution: Distribution, expected: _Expected) -> list[Finding]:
    """Mean and variance; where a distribution is coarse in its dtype, less what rounding may do."""
    value, square, slack = expected.value, expected.square, expected.slack
    mean = tally.total / tally.count
    about = tally.squares / tally.count - 2 * value.mean * mean + value.mean**2
    z_mean, p_mean, note_mean = _judged(mean, value, tally.count, slack)
    z_square, p_square, note_square = _judged(about, square, tally.count, 2 * slack + slack**2)
    center, scale = distribution.mean, distribution.std
    return [
        Finding(
            "mean",
            center + scale * value.mean,
            center + scale * mean,
            z_mean,
            p_mean,
            note=note_mean,
        ),
        Finding(
            "variance",
            square.mean * scale * scale,
            about * scale * scale,
            z_square,
            p_square,
            note=note_square,
        ),
    ]


def _judged(
    measured: float, summand: _Summand, count: int, slack: float
) -> tuple[float | None, float | None, str]:
    """Distance from the mean in standard errors, its probability, a note where it has none."""
    if summand.std == 0:
        return None, None, "no variance after rounding"
    distance = max(abs(measured - summand.mean) - slack, 0.0)
    z = math.copysign(distance * math.sqrt(count) / summand.std, measured - summand.mean)
    if summand.kurtosis > NEARLY_NORMAL * count:
        return z, None, "too few values to judge"
    return z, _two_sided(_stats().pearson3(summand.skewness / math.sqrt(count)), z), ""


def _fit(tally: _Tally, expected: _Expected) -> Finding:
    """A chi-square where there are groups enough, or else Kolmogorov and Smirnov's distance."""
    count = tally.count
    # A generator that starts from 24 bits has steps of 2**-24: no group may feel them, nor what
    # rounding does to values at its ends.
    least = max(LEAST_EXPECTED / count, count * 2.0**-44)
    if expected.continuous:
        least = max(least, 1 / GROUPS, math.sqrt(count) * expected.slack / 16)
    if not expected.continuous or count >= FEW:
        starts = _merged(expected.probabilities, least)
        if len(starts) >= LEAST_GROUPS:
            return _chi_square(tally.counts, expected.probabilities, starts)
    return _kolmogorov_smirnov(tally, expected)


def _merged(probabilities: Doubles, least: float) -> list[int]:
    """Where groups of neighbours begin, each group of probability `least` or more."""
    total = np.concatenate([[0.0], np.cumsum(probabilities)])
    starts = [0]
    while (end := int(np.searchsorted(total, total[starts[-1]] + least))) < len(probabilities):
        starts.append(end)
    if len(starts) > 1 and total[-1] - total[starts[-1]] < least:
        starts.pop()
    return starts


def _chi_square(counts: Array, probabilities: Doubles, starts: list[int]) -> Finding:
    """Pearson's statistic, under the gamma distribution of its exact mean and variance (Haldane 1937)."""
    observed, shares = np.add.reduceat(counts, starts), np.add.reduceat(probabilities, starts)
    count, groups = int(observed.sum()), len(starts)
    expected = count * shares / shares.sum()
    statistic = float(((observed - expected) ** 2 / expected).sum())
    mean = groups - 1
    variance = 2 * mean + float((1 / expected).sum()) - (groups**2 + 2 * groups - 2) / count
    p = _two_sided(_stats().gamma(mean**2 / variance, scale=variance / mean), statistic)
    z = (statistic - mean) / math.sqrt(variance)
    return Finding("fit", mean, statistic, z, p, note=f"chi-square, {groups:,} groups")


def _kolmogorov_smirnov(tally: _Tally, expected: _Expected) -> Finding:
    """Over the ends of cells only, the distance is no larger than over all values."""
    stats = _stats()
    share = np.cumsum(tally.counts)[:-1] / tally.count
    distance = float(np.abs(share - expected.below).max()) - 2 * expected.slack * expected.peak
    median = float(stats.kstwobign.median()) / math.sqrt(tally.count)
    p = float(stats.kstwo.sf(max(distance, 0.0), tally.count))
    return Finding("fit", median, distance, p=p, note="Kolmogorov-Smirnov")


def _extremes(
    tally: _Tally, distribution: Distribution, slack: float, dtype: np.dtype[Any]
) -> list[Finding]:
    shape = _shape(_standard(distribution)).distribution
    median = -math.expm1(-math.log(2) / tally.count)  # of the probability beyond an extreme
    findings = []
    for name, value, tail, inverse, outward in (
        ("least", tally.least, shape.cdf, shape.ppf, -1.0),
        ("greatest", tally.greatest, shape.sf, shape.isf, 1.0),
    ):
        near, far = (
            float(tail((end - distribution.mean) / distribution.std + side * slack))
            for end, side in zip(
                _rounded_to(value, dtype, outward), (-outward, outward), strict=True
            )
        )
        further = -np.expm1(tally.count * np.log1p(-near))
        nearer = np.exp(tally.count * np.log1p(-max(far - 2.0**-UNIFORM_BITS, 0.0)))
        p = min(1.0, 2 * float(min(further, nearer)))
        expected = distribution.mean + distribution.std * float(inverse(median))
        findings.append(Finding(name, expected, value, p=p))
    return findings


def _rounded_to(value: float, dtype: np.dtype[Any], outward: float) -> tuple[float, float]:
    """The ends of the interval of numbers that round to `value`, the outer one last."""
    number = np.array(value, dtype.newbyteorder("="))
    inner, outer = (
        float(np.nextafter(number, number.dtype.type(side * math.inf)))
        for side in (-outward, outward)
    )
    return inner / 2 + value / 2, outer / 2 + value / 2


# ---- repeated blocks -----------------------------------------------------------------------------


def _window(commonest: float, count: int) -> int:
    """So many consecutive values that no two places hold the same, but with chance 2**-60."""
    bits = -math.log2(commonest)  # each value holds as many or more
    wanted = 2 * math.log2(count) + 61
    return max(WINDOW, math.ceil(wanted / bits)) if bits * LONGEST_WINDOW >= wanted else 1 << 62


def _repeats(values: Array, window: int) -> Finding:
    """Windows with equal hashes, confirmed element by element."""
    bits = values.view(f"u{values.dtype.itemsize}")
    flat = max(values.shape) == values.size
    blocks = _Blocks([bits] if flat else [bits, bits.T], values.size, window)
    pairs = blocks.equal_pairs()
    again = len(pairs)
    note = f"blocks of {blocks.certain:,} values or more"
    if again:
        note = blocks.described(*pairs[0])
    return Finding("repeats", 0, again, limit=0, note=note)


ODD_32 = np.uint32(0x9E3779B1)  # golden ratios
ODD_64 = np.uint64(0x9E3779B97F4A7C15)
MOST_PAIRS = 1 << 16  # confirmed; more would tell no more
REACH = 1 << 20  # how far a repeat is followed to each side, and by how many at a time
PIECE = 1 << 12


class _Blocks:
    """Windows over the elements of an array in C order and, from `size` on, in Fortran order."""

    def __init__(self, orders: list[Array], size: int, window: int) -> None:
        self.orders, self.size, self.window = orders, size, window
        self.rate = 0  # bits of a hash that must be 0
        if size > EXHAUSTIVE:
            self.rate = max(SPARSE, math.ceil(math.log2(size / ANCHORS)))

    @property
    def certain(self) -> int:
        """The length from which a repeat is missed with a probability of 1e-6 at most."""
        return self.window if self.rate == 0 else self.window - 1 + (14 << self.rate)

    def equal_pairs(self) -> list[tuple[int, int]]:
        """Pairs of places that begin equal windows, the first place ahead."""
        keyed = [self._keys(order) for order in self.orders]
        keys = np.concatenate([key for key, _ in keyed])
        places = np.concatenate([place + i * self.size for i, (_, place) in enumerate(keyed)])
        ordered = np.sort(keys)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not twice.size:
            return []
        found = np.flatnonzero(np.isin(keys, twice))
        found = found[np.argsort(keys[found], kind="stable")]
        alike = np.flatnonzero(keys[found[1:]] == keys[found[:-1]])[:MOST_PAIRS]
        first, second = places[found[alike]], places[found[alike + 1]]
        equal = np.ones(len(alike), bool)
        for i in range(self.window):
            equal &= self._at(first + i) == self._at(second + i)
        return sorted(zip(first[equal].tolist(), second[equal].tolist(), strict=True))

    def _keys(self, order: Array) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
        """A hash of the window at each anchor, and the anchors' places."""
        keys, places = [], []
        first, rest = 0, np.empty(0, order.dtype)
        for chunk in _chunks(order):
            joined = np.concatenate([rest, chunk])
            count = max(0, len(joined) - self.window + 1)
            anchors = self._anchors(joined, count)
            place = np.arange(first, first + count)[anchors]
            key = np.zeros(len(place), np.uint64)
            for i in range(self.window):
                key *= ODD_64
                key += joined[i : i + count][anchors]
            keys.append(key)
            places.append(place)
            rest = joined[max(0, len(joined) - self.window + 1) :]
            first += len(joined) - len(rest)
        return np.concatenate(keys), np.concatenate(places)

    def _anchors(self, elements: Array, count: int) -> NDArray[np.intp] | slice:
        """Places, among the first `count`, that the elements there choose."""
        if self.rate == 0:
            return slice(None)
        words = elements[:count]
        if words.itemsize == 2:  # too few numbers to choose by one
            words = words.astype(np.uint32) << np.uint32(16) | elements[1 : count + 1]
        marks = words * (ODD_32 if words.itemsize == 4 else ODD_64)
        chosen = np.flatnonzero(marks < marks.dtype.type(1 << 8 * marks.itemsize - self.rate))
        return chosen[: 64 + 4 * (count >> self.rate)]  # of values all alike not all

    def _at(self, places: NDArray[np.intp]) -> Array:
        """The elements at places of either order."""
        elements = np.empty(len(places), self.orders[0].dtype)
        for i, order in enumerate(self.orders):
            here = places // self.size == i
            elements[here] = order[np.unravel_index(places[here] - i * self.size, order.shape)]
        return elements

    def described(self, first: int, second: int) -> str:
        """The block around a pair: how long it is and where it stands."""
        ahead = self._reach(first, second, ahead=True)
        back = self._reach(first, second, ahead=False)
        length = f"{ahead + back:,}" if ahead + back < REACH else f"{REACH:,} or more"
        where = " and ".join(self._named(place - back) for place in (first, second))
        return f"{length} values alike from {where} on"

    def _reach(self, first: int, second: int, *, ahead: bool) -> int:
        """How many elements are equal from the two places on, or before them."""
        inside = sorted((first % self.size, second % self.size))
        room = min(REACH, self.size - inside[1] if ahead else inside[0])
        for done in range(0, room, PIECE):
            steps = np.arange(done, min(room, done + PIECE))
            steps = steps if ahead else -1 - steps
            differs = np.flatnonzero(self._at(first + steps) != self._at(second + steps))
            if differs.size:
                return done + int(differs[0])
        return room

    def _named(self, place: int) -> str:
        """The index of a place, and where its block goes."""
        which, place = divmod(place, self.size)
        index = tuple(map(int, np.unravel_index(place, self.orders[which].shape)))
        return f"{index[::-1]} down the first axis" if which else f"{index}"
