"""The structured initializers that tests run over, and how tests write with them."""

import cases
import numpy as np
import pytest

from fastxavier import _core
from fastxavier.structured import DeltaOrthogonal, Dirac, Identity, Orthogonal, Sparse

# An initializer and a shape that it supports.
EXAMPLES = [
    (Identity(), (5, 7)),
    (Identity(0.3), (6, 4)),
    (Dirac(), (4, 6, 3)),
    (Dirac(2, gain=1.5), (6, 4, 3, 5)),
    (Dirac(layout="jax"), (3, 2, 3, 4, 6)),
    (Dirac(layout="keras"), (3, 4, 6)),
    (Orthogonal(), (5, 7)),
    (Orthogonal(0.3), (6, 4)),
    (Orthogonal(2, layout="jax"), (3, 3, 4, 6)),
    (Orthogonal(layout="keras"), (4, 6)),
    (DeltaOrthogonal(), (6, 4, 3)),
    (DeltaOrthogonal(0.3), (5, 5, 3, 4)),
    (DeltaOrthogonal(2, layout="jax"), (3, 2, 1, 4, 6)),
    (DeltaOrthogonal(layout="keras"), (5, 4, 6)),
    (Sparse(0.5), (10, 7)),
    (Sparse(0.3, 0.5), (7, 11)),
]
every_example = pytest.mark.parametrize(("initializer", "shape"), EXAMPLES, ids=repr)
every_dtype = pytest.mark.parametrize("dtype", cases.DTYPES)


def written(initializer, shape, dtype="float64", key=(7, 3), threads=None):
    """A new array of a whole tensor; it held something before."""
    array = np.full(shape, 9, cases.DTYPES.get(dtype, dtype))
    initializer.write(array, key, threads)
    return array


def refused(initializer, error, message, array, threads=None, **place):
    """write raises, and so does check; the array stays, and no stream is taken."""
    before = array.tobytes() if isinstance(array, np.ndarray) else None
    streams = _core.Streams(5)
    for call in (
        lambda: initializer.write(array, (7, 3), threads, **place),
        lambda: initializer.write(array, streams, threads, **place),
        lambda: initializer.check(array, threads, **place),
    ):
        with pytest.raises(error, match=message):
            call()
    assert before is None or array.tobytes() == before
    assert streams.take() == (5, 0)
