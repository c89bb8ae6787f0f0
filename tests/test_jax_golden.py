"""The golden values of the stream, drawn by jax: at once, in compiled functions, and in shards."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import golden  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402
from jax_cases import mesh_of  # noqa: E402
from test_golden import LINES  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.jax as fj  # noqa: E402

NAME = "layers.0.weight"


@pytest.mark.parametrize("case", LINES, ids="-".join)
def test_golden_values(case):
    distribution, digest, first = LINES[case]
    dtype = case[1]
    with jax.enable_x64(dtype == "float64"):
        init = fj.Initializer(distribution, dtype).named(golden.SEED, NAME)
        shape = (golden.COUNT,)
        found = {
            "eager": init(None, shape),
            "jit": jax.jit(lambda: init(None, shape))(),
            "draw": fj.draw(shape, distribution, dtype, seed=golden.SEED, stream=NAME),
            "init_": fj.init_(
                {NAME: jax.ShapeDtypeStruct(shape, dtype)},
                fx.Plan([fx.Rule("*", distribution)]),
                seed=golden.SEED,
            )[NAME],
        }
    for how, array in found.items():
        values = np.asarray(array)
        assert golden.first_patterns(values) == first, how
        assert golden.digest(values) == digest, how


@pytest.mark.parametrize("case", [case for case in LINES if case[1] == "bfloat16"], ids="-".join)
def test_golden_values_in_shards(case):
    """A tensor that eight devices share evenly begins with the golden values."""
    distribution, digest, _ = LINES[case]
    init = fj.Initializer(distribution, case[1]).named(golden.SEED, NAME)
    extent = -(-golden.COUNT // 8) * 8
    sharding = NamedSharding(mesh_of(8), PartitionSpec(("x", "y")))
    for array in (
        init(None, (extent,), out_sharding=sharding),
        jax.jit(lambda: init(None, (extent,)), out_shardings=sharding)(),
    ):
        assert golden.digest(np.asarray(array)[: golden.COUNT].copy()) == digest
