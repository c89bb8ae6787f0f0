"""Blocks of values that an array holds twice, at any offset, along its first or last axis.

A block counts as the same if it is reversed, and whatever the signs of its values. Called by
`one_array`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastxavier._verify.read import Array, chunks
from fastxavier._verify.report import Finding

WINDOW = 16  # consecutive values that must repeat, at least
LONGEST_WINDOW = 64  # where a distribution has few different numbers
EXHAUSTIVE = 1 << 20  # values, up to which every window is compared with every other
SPARSE = 5  # bits: among more values, a window begins at one place in 32 or fewer,
ANCHORS = 1 << 21  # and at no more places than this


def window_of(commonest: float, count: int) -> int:
    """How many consecutive values repeat by chance with a probability of at most 2**-60; even.

    `commonest` is the probability of the most probable number, whatever its sign. There are
    2 count**2 pairs of windows in two orders, and two directions.
    """
    bits = -math.log2(min(commonest, 1.0))  # of information in each value, at least
    wanted = 2 * math.log2(count) + 62
    if bits * LONGEST_WINDOW < wanted:
        return 1 << 62
    length = math.ceil(wanted / bits)
    return max(WINDOW, length + length % 2)


def repeats_of(values: Array, window: int) -> Finding:
    """Whether a block of `window` values or more occurs twice, perhaps reversed or negated."""
    bits = values.view(f"u{values.dtype.itemsize}")
    flat = max(values.shape) == values.size
    blocks = _Blocks([bits] if flat else [bits, bits.T], values.size, window)
    pairs = blocks.equal_pairs()
    note = f"blocks of {blocks.certain:,} values or more"
    if pairs:
        note = blocks.described(*pairs[0])
    return Finding("repeats", 0, len(pairs), limit=0, note=note)


ODD_32 = np.uint32(0x9E3779B1)  # golden ratios
ODD_64 = np.uint64(0x9E3779B97F4A7C15)
MOST_PAIRS = 1 << 16  # compared element by element
REACH = 1 << 20  # how far a repeat is followed to each side,
PIECE = 1 << 12  # and how many elements at a time


class _Blocks:
    """Windows over the elements of an array in C order and, from `size` on, in Fortran order."""

    def __init__(self, orders: list[Array], size: int, window: int) -> None:
        self.orders, self.size, self.window = orders, size, window
        dtype = orders[0].dtype
        self.magnitude = dtype.type((1 << 8 * dtype.itemsize - 1) - 1)  # all bits but the sign
        self.rate = 0  # bits of a hash that must be 0 where a window begins
        if size > EXHAUSTIVE:
            self.rate = max(SPARSE, math.ceil(math.log2(size / ANCHORS)))

    @property
    def certain(self) -> int:
        """The length from which a repeat is missed with a probability of 1e-6 at most."""
        return self.window if self.rate == 0 else self.window - 1 + (14 << self.rate)

    def equal_pairs(self) -> list[tuple[int, int]]:
        """Pairs of places at which equal windows begin, in order of the first."""
        keyed = [self._keys(order) for order in self.orders]
        keys = np.concatenate([key for key, _ in keyed])
        places = np.concatenate([place + i * self.size for i, (_, place) in enumerate(keyed)])
        ordered = np.sort(keys)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not twice.size:
            return []
        found = np.flatnonzero(np.isin(keys, twice))
        found = found[np.argsort(keys[found], kind="stable")]
        again = np.flatnonzero(keys[found[1:]] == keys[found[:-1]])[:MOST_PAIRS]
        first, second = places[found[again]], places[found[again + 1]]
        forward = np.ones(len(again), bool)
        # A palindrome is its own reverse by half as many coincidences.
        backward = (first // self.size != second // self.size) | (second - first >= self.window)
        for i in range(self.window):
            here = self._at(first + i) & self.magnitude
            forward &= here == self._at(second + i) & self.magnitude
            backward &= here == self._at(second + self.window - 1 - i) & self.magnitude
        equal = forward | backward
        return sorted(zip(first[equal].tolist(), second[equal].tolist(), strict=True))

    def _keys(self, order: Array) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
        """A hash of the window at each anchor, and the places of the anchors.

        It is that of the window reversed, and of one with other signs.
        """
        keys, places = [], []
        first, rest = 0, np.empty(0, order.dtype)
        for chunk in chunks(order):
            joined = np.concatenate([rest, chunk])
            joined &= self.magnitude
            count = max(0, len(joined) - self.window + 1)
            anchors = self._anchors(joined, count)
            place = np.arange(first, first + count)[anchors]
            key = np.zeros(len(place), np.uint64)
            terms = joined + ODD_64
            for i in range(self.window // 2):
                j = self.window - 1 - i
                key *= ODD_64
                key += terms[i : i + count][anchors] * terms[j : j + count][anchors]
            keys.append(key)
            places.append(place)
            rest = joined[max(0, len(joined) - self.window + 1) :]
            first += len(joined) - len(rest)
        return np.concatenate(keys), np.concatenate(places)

    def _anchors(self, elements: Array, count: int) -> NDArray[np.intp] | slice:
        """The places, among the first `count`, where a window begins: its middle decides."""
        if self.rate == 0:
            return slice(None)
        middle = self.window // 2
        one, other = elements[middle - 1 :][:count], elements[middle:][:count]
        words = one + other
        if words.itemsize == 2:  # their sum would be too few bits to choose by
            words = _joined(one, other)
        elif words.itemsize == 1:
            before, after = elements[middle - 2 :][:count], elements[middle + 1 :][:count]
            inner, outer = _joined(one, other), _joined(before, after)
            words = inner.astype(np.uint32) << np.uint32(16) | outer
        marks = words * (ODD_32 if words.itemsize == 4 else ODD_64)
        chosen = np.flatnonzero(marks < marks.dtype.type(1 << 8 * marks.itemsize - self.rate))
        return chosen[: 64 + 4 * (count >> self.rate)]  # if all values are equal, not all places

    def _at(self, places: NDArray[np.intp]) -> Array:
        """The elements at these places, in either order."""
        elements = np.empty(len(places), self.orders[0].dtype)
        for i, order in enumerate(self.orders):
            here = places // self.size == i
            elements[here] = order[np.unravel_index(places[here] - i * self.size, order.shape)]
        return elements

    def described(self, first: int, second: int) -> str:
        """The block around a pair of places: its length, where it begins, and how it repeats."""
        steps = np.arange(self.window)
        here, there = self._at(first + steps), self._at(second + steps)
        step, how = 1, []
        if np.any((here ^ there) & self.magnitude):
            step, how, there = -1, ["reversed"], there[::-1]
            second += self.window - 1
        differing = np.unique(here ^ there)
        mask = ~differing.dtype.type(0)
        if len(differing) > 1:
            mask, how = self.magnitude, [*how, "with other signs"]
        elif differing[0]:
            how = [*how, "negated"]
        flip = differing[0] & mask
        ahead = self._reach((first, 1), (second, step), mask, flip)
        back = self._reach((first, -1), (second, -step), mask, flip)
        length = f"{ahead + back - 1:,}" if ahead + back <= REACH else f"{REACH:,} or more"
        begins = first - back + 1, second - (back if step == 1 else ahead) + 1
        where = " and ".join(map(self._named, begins))
        return ", ".join([f"{length} equal values from {where} on", *how])

    def _reach(self, one: tuple[int, int], other: tuple[int, int], mask: Any, flip: Any) -> int:
        """How many elements are equal from two places on, each with its direction."""
        limit = REACH
        for place, step in (one, other):
            inside = place % self.size
            limit = min(limit, self.size - inside if step > 0 else inside + 1)
        (first, step), (second, other_step) = one, other
        if step > 0 > other_step and first // self.size == second // self.size:
            limit = min(limit, (second - first + 1) // 2)  # until they meet
        for done in range(0, limit, PIECE):
            steps = np.arange(done, min(limit, done + PIECE))
            here, there = self._at(first + step * steps), self._at(second + other_step * steps)
            differs = np.flatnonzero((here ^ there ^ flip) & mask)
            if differs.size:
                return done + int(differs[0])
        return limit

    def _named(self, place: int) -> str:
        """The index of a place, and along which axis its block goes."""
        which, place = divmod(place, self.size)
        index = tuple(map(int, np.unravel_index(place, self.orders[which].shape)))
        return f"{index[::-1]} down the first axis" if which else f"{index}"


def _joined(one: Array, other: Array) -> Array:
    """A function of two elements in either order, of twice their bits."""
    wide = np.dtype(f"u{2 * one.itemsize}").type
    joined: Array = (one ^ other).astype(wide) << wide(8 * one.itemsize) | (one + other)
    return joined
