"""Whether arrays share memory, for as many as a model has. `init_` calls it before it writes.

Two strided arrays may lie in each other's gaps, as the columns of one matrix do, and to ask so of
every pair takes the square of their number. So arrays are compared where they are close only: the
spans from first to last byte are sorted, and arrays whose spans meet are looked at modulo the
distance of their rows, where columns are spans that no longer meet. What is left are pairs that do
share memory, or are strange, and NumPy decides about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastxavier import _core
from fastxavier._validation import ArgumentValueError

__all__ = ["check_disjoint"]


class _Area(NamedTuple):
    """The memory of one array."""

    number: int
    first: int
    """Address of its first byte; after a projection, within a row."""
    axes: tuple[tuple[int, int], ...]
    """Distance and number of its rows, of the pieces of a row and so on; the greatest first."""
    nbytes: int
    """Consecutive bytes of the smallest pieces."""

    @property
    def last(self) -> int:
        """One past its last byte."""
        return self.first + self.nbytes + sum([step * (count - 1) for step, count in self.axes])


def check_disjoint(names: Sequence[str], arrays: Sequence[Any]) -> None:
    """ValueError, naming them, if two arrays share memory.

    The arrays are of NumPy, of any dtype, or targets of a fill.
    """
    firsts, lasts = _core.spans(arrays)
    order = np.flatnonzero(firsts < lasts)  # without those that are empty
    order = order[np.argsort(firsts[order], kind="stable")]
    reached = np.maximum.accumulate(lasts[order])
    if not (reached[: max(len(order), 1) - 1] > firsts[order[1:]]).any():
        return
    views = {number: np.asarray(arrays[number]) for number in order.tolist()}
    for group in _undecided([_area(number, view) for number, view in views.items()]):
        for one, other in _meeting(group):
            if np.shares_memory(views[one.number], views[other.number]):
                raise ArgumentValueError(
                    f"tensors {names[one.number]!r} and {names[other.number]!r} share memory: give "
                    "one of them, or each its own",
                    "arrays",
                )


def _area(number: int, array: np.ndarray[Any, Any]) -> _Area:
    first, nbytes = int(array.__array_interface__["data"][0]), array.itemsize
    steps = []
    for step, count in zip(array.strides, array.shape, strict=True):
        if count > 1:
            first += min(step, 0) * (count - 1)
            steps.append((abs(step), count))
    axes: list[tuple[int, int]] = []
    for step, count in sorted(steps):
        if not axes and step == nbytes:
            nbytes *= count
        elif axes and step == axes[-1][0] * axes[-1][1]:
            axes[-1] = axes[-1][0], axes[-1][1] * count
        else:
            axes.append((step, count))
    return _Area(number, first, tuple(reversed(axes)), nbytes)


def _undecided(areas: Iterable[_Area]) -> Iterator[list[_Area]]:
    """Groups of areas in which some may share memory; areas of different groups do not."""
    for cluster in _clusters(areas):
        within_rows = _projected(cluster)
        if within_rows is None:
            yield cluster
            continue
        whole = {area.number: area for area in cluster}
        for group in _undecided(within_rows):
            left = [whole[area.number] for area in group]
            if 2 * len(left) > len(cluster):
                yield left
            else:  # which the others of the cluster may have held together
                yield from _undecided(left)


def _clusters(areas: Iterable[_Area]) -> Iterator[list[_Area]]:
    """Two or more areas whose spans form one without a gap, by rising address."""
    cluster: list[_Area] = []
    reach = 0
    for area in sorted(areas, key=lambda area: area.first):
        if cluster and area.first >= reach:
            if len(cluster) > 1:
                yield cluster
            cluster = []
        reach = max(reach, area.last) if cluster else area.last
        cluster.append(area)
    if len(cluster) > 1:
        yield cluster


def _projected(cluster: Sequence[_Area]) -> list[_Area] | None:
    """The areas as they lie in a row, all rows being one; None if they do not lie in rows.

    Areas that share memory do so in the projection as well.
    """
    row = max([area.axes[0][0] for area in cluster if area.axes], default=0)
    if row == 0:
        return None
    parts = [
        area._replace(axes=area.axes[1:]) if area.axes and area.axes[0][0] == row else area
        for area in cluster
    ]
    # Where rows begin is not known: at an address that no part goes across.
    spans = sorted((part.first % row, part.last - part.first) for part in parts)
    reach = max(begin + length for begin, length in spans) - row  # of what goes on in the next row
    for begin, length in spans:
        if reach <= begin:
            return [part._replace(first=(part.first - begin) % row) for part in parts]
        reach = max(reach, begin + length)
    return None


def _meeting(group: Iterable[_Area]) -> Iterator[tuple[_Area, _Area]]:
    """The pairs whose spans meet."""
    open_areas: list[_Area] = []
    for area in sorted(group, key=lambda area: area.first):
        open_areas = [one for one in open_areas if one.last > area.first]
        for one in open_areas:
            yield one, area
        open_areas.append(area)
