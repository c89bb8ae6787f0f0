"""What the tests of fastxavier.keras share: its classes, and what they stand for here.

The tests run on the backend that KERAS_BACKEND names; conftest.py makes it numpy where none is.
"""

import contextlib
import hashlib

import keras

import fastxavier as fx
import fastxavier.keras as fk

BACKEND = keras.backend.backend()
DTYPES = ("float32", "float16", "bfloat16", "float64")
KERNEL = {"layout": "keras"}
SCALED = {
    "VarianceScaling": fx.VarianceScaling(1, "fan_in", "truncated_normal", **KERNEL),
    "GlorotUniform": fx.glorot_uniform(**KERNEL),
    "GlorotNormal": fx.glorot_truncated_normal(**KERNEL),
    "HeUniform": fx.he_uniform(**KERNEL),
    "HeNormal": fx.he_truncated_normal(**KERNEL),
    "LecunUniform": fx.lecun_uniform(**KERNEL),
    "LecunNormal": fx.lecun_truncated_normal(**KERNEL),
}
DRAWN = {
    **SCALED,
    "RandomUniform": fx.Uniform(-0.05, 0.05),
    "RandomNormal": fx.Normal(0, 0.05),
    "TruncatedNormal": fx.TruncatedNormal(0, 0.05),
}
RANDOM = {**DRAWN, "Orthogonal": fx.Orthogonal(**KERNEL)}
FIXED = {
    "Constant": fx.Constant(0),
    "Zeros": fx.Constant(0),
    "Ones": fx.Constant(1),
    "Identity": fx.Identity(),
}
ALL = {**RANDOM, **FIXED}


def made(name, seed=7, **arguments):
    """One of ours, with a seed if it takes one."""
    if name in RANDOM:
        arguments["seed"] = seed
    return getattr(fk, name)(**arguments)


def array(tensor):
    """A tensor of the backend, or a variable, as NumPy's array."""
    return keras.ops.convert_to_numpy(getattr(tensor, "value", tensor))


def digest(tensor):
    return hashlib.sha256(array(tensor).tobytes()).hexdigest()


def wide():
    """Lets JAX have float64."""
    if BACKEND != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)
