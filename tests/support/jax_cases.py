"""What the tests of fastxavier.jax share: bits of arrays, meshes of devices, how to cut them."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

SPECS = [P(), P("x"), P(None, "x"), P("x", "y"), P("y", "x"), P(("y", "x")), P(None, ("x", "y"))]
FLOATS = ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]


def bits(array):
    array = np.asarray(array)
    return array.view(f"u{array.itemsize}")


def same(one, other):
    """Whether two arrays have the same dtype, shape and bits."""
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and np.array_equal(bits(one), bits(other))


def mesh_of(devices, kind=AxisType.Auto):
    """A mesh with axes x and y of this number of devices; y has two if there are four or more."""
    across = 2 if devices > 2 else 1
    grid = np.array(jax.devices()[:devices]).reshape(devices // across, across)
    return Mesh(grid, ("x", "y"), axis_types=(kind, kind))
