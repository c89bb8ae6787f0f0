"""Products of values at a distance, from which their correlation follows. Called by `tally`."""

from __future__ import annotations

import math

import numpy as np

from fastxavier._verify.read import Doubles


class Neighbours:
    """Sums over all pairs of values that are `lag` places apart; values come piece by piece."""

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self.count = 0  # of values
        self.products = 0.0
        self.first = 0.0  # sum of the first `lag` values
        self.last: Doubles = np.empty(0)  # the last ones, `lag` at most

    def add(self, x: Doubles) -> None:
        """Take the next values, which are standardized."""
        lag = self.lag
        self.first += float(x[: max(0, lag - self.count)].sum())
        self.count += len(x)
        if len(x) < lag or len(self.last) < lag:
            joined = np.concatenate([self.last, x])
            self.products += _dot(joined[:-lag], joined[lag:])
            self.last = joined[-lag:]
            return
        self.products += _dot(self.last, x[:lag]) + _dot(x[:-lag], x[lag:])
        self.last = x[-lag:].copy()

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return max(0, self.count - self.lag)

    def correlation(self, total: float, squares: float, count: int) -> float:
        """That of the pairs, by the mean and variance of `count` values with these sums.

        NaN where it cannot be known: without pairs or variance, or where the sums lose all digits.
        """
        if not self.pairs:
            return math.nan
        mean = total / count
        variance = squares / count - mean * mean
        if not variance > 1e-9 * mean * mean:
            return math.nan
        # The sum over the earlier and over the later value of each pair.
        sums = 2 * total - self.first - float(self.last.sum())
        product = (self.products - mean * sums) / self.pairs + mean * mean
        return product / variance


def _dot(one: Doubles, other: Doubles) -> float:
    # Not by BLAS, whose threads would take longer to meet than the product takes.
    return float(np.einsum("i,i->", one, other))
