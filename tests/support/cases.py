"""The distributions and dtypes that tests of values run over, how they draw, and memory that
only DLPack exports. Knows no expected value.
"""

import ml_dtypes
import numpy as np

import fastxavier as fx
from fastxavier import Constant, Normal, TruncatedNormal, Uniform

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}

# Bits of the integer drawn at an index, and the dtype in which the value is computed.
WORD_BITS = {name: 64 if name == "float64" else 32 for name in DTYPES}
COMPUTED_IN = {name: "float64" if bits == 64 else "float32" for name, bits in WORD_BITS.items()}

THREADS = (1, 2, 3, 7)

# Half-widths h for which h * 2^(1-B) is a subnormal number of the dtype of the computation, and
# for which every value is a subnormal number of the dtype.
_TINY = {32: 1.7 * 2.0**-120, 64: 1.7 * 2.0**-1000}
_SUBNORMAL = {
    "float32": 1.3 * 2.0**-140,
    "float64": 1.3 * 2.0**-1060,
    "float16": 1.3 * 2.0**-16,
    "bfloat16": 1.3 * 2.0**-128,
    "float8_e4m3fn": 1.3 * 2.0**-8,
    "float8_e5m2": 1.3 * 2.0**-16,
}


def distributions(dtype):
    """Name to distribution, for a dtype by name. A new one needs lines in data/golden.txt."""
    tiny = _TINY[WORD_BITS[dtype]]
    return {
        "constant": Constant(0.1),
        "uniform": Uniform(-0.1, 0.1),
        "uniform_asymmetric": Uniform(-0.1, 0.3),
        "uniform_tiny": Uniform(-tiny, tiny),
        "uniform_subnormal": Uniform(-_SUBNORMAL[dtype], _SUBNORMAL[dtype]),
        "normal": Normal(0.01, 0.02),
        "truncated_2": TruncatedNormal(-0.01, 0.02),
        "truncated_3": TruncatedNormal(0.003, 0.7, -3, 3),
        "truncated_wide": TruncatedNormal(0.0, 0.02, -100, 100),
        "truncated_asymmetric": TruncatedNormal(0.3, 0.05, -1, 2),
        "truncated_half_open": TruncatedNormal(0.0, 0.02, 0, np.inf),
        "truncated_far": TruncatedNormal(-0.1, 0.02, 9, 10),
    }


ALL = [(distribution, dtype) for dtype in DTYPES for distribution in distributions(dtype)]
DRAWN = [
    (distribution, dtype)
    for distribution, dtype in ALL
    if distributions(dtype)[distribution].variance > 0
]

WHOLE = (1 << 62,)


def shard(out, distribution, seed, stream, first, threads=1):
    """Fill `out` with the elements from `first` on of the largest tensor there is."""
    return fx.fill_(
        out,
        distribution,
        seed=seed,
        stream=stream,
        global_shape=WHOLE,
        offset=(first,),
        threads=threads,
    )


def drawn(distribution, dtype, seed, stream, first, count, threads=1):
    """A new array, dtype by name, of `count` elements from `first` on."""
    return shard(np.empty(count, DTYPES[dtype]), distribution, seed, stream, first, threads)


def patterns(values):
    """The bits of each value, as unsigned integers: 0 and -0 differ, a NaN equals itself."""
    return values.view(f"u{values.dtype.itemsize}")


class Exporter:
    """Memory by DLPack, and by nothing else, as torch's tensors give theirs."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()
