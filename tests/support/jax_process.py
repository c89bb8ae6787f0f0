"""One of the processes of a distributed program: draws its shards, and writes them to a file.

python jax_process.py ADDRESS NUMBER COUNT FILE
"""

import sys

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import fastxavier as fx
import fastxavier.jax as fj

SHAPE = (16, 24)


def main(address, number, count, path):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, int(count), int(number))
    mesh = jax.make_mesh((2, 4), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    sharding = NamedSharding(mesh, P("x", "y"))
    init, key = fj.glorot_normal(), jax.random.key(7)
    shapes = {"a": {"kernel": jax.ShapeDtypeStruct(SHAPE, "float32")}}
    made = {
        "draw": fj.draw(SHAPE, fx.he_normal(), seed=7, stream="a.kernel", sharding=sharding),
        "orthogonal": fj.draw(SHAPE, fx.Orthogonal(), seed=7, sharding=sharding),
        "eager": init(key, SHAPE, out_sharding=sharding),
        "jit": jax.jit(lambda key: init(key, SHAPE), out_shardings=sharding)(key),
        "inside": jax.jit(lambda key: init(key, SHAPE, out_sharding=sharding))(key),
        "tree": fj.init_(shapes, "default", seed=7, shardings=sharding)["a"]["kernel"],
    }
    refusal = ""
    for call in (
        lambda: fj.draw(SHAPE, fx.Normal(), seed=None, sharding=sharding),
        lambda: fj.init_(shapes, "default", seed=None, shardings=sharding),
        jax.jit(lambda: fj.init_(shapes, "default", seed=None), out_shardings=sharding),
    ):
        try:
            call()
        except ValueError as error:
            refusal += str(error)
    shards = {
        f"{name}/{shard.index[0].start}/{shard.index[1].start}": np.asarray(shard.data)
        for name, array in made.items()
        for shard in array.addressable_shards
    }
    np.savez(path, refusal=refusal, **shards)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
