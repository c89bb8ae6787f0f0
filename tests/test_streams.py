"""Seeds and streams: which numbers key a fill, and that the module default hands each out once."""

import subprocess
import sys

import numpy as np
import pytest
import reference

import fastxavier as fx

DISTRIBUTION = fx.Uniform(-1, 1)
COUNT = 41


def drawn(**key):
    return fx.fill_(np.empty(COUNT), DISTRIBUTION, **key).tolist()


def expected(seed, stream):
    """From the reference, which hashes by its own reading of the contract."""
    return reference.uniform(seed, stream, np.arange(COUNT), -1, 1, "float64").tolist()


SEEDS = [
    0,
    1,
    2**31,
    2**32 - 1,
    2**32,
    2**63,
    2**64 - 1,
    2**64,
    2**64 + 1,
    2**71 + 5,
    2**128 - 1,
    10**400,
]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.bit_length()} bits")
def test_seed(seed):
    """64 bits as they are; more are hashed, so neither the low nor the high ones alone count."""
    assert drawn(seed=seed) == expected(seed, 0)
    fx.manual_seed(seed)
    assert drawn() == expected(seed, 0)


def test_seeds_give_different_values():
    """Seeds that a truncation would confuse stay apart."""
    assert len({tuple(drawn(seed=seed)) for seed in SEEDS}) == len(SEEDS)


STREAMS = [0, 1, 2**32 - 1, 2**32, 2**62, 2**63 - 1]
NAMES = ["", "w", "layer.0.weight", "Gewichte-ÄÖ", "重み", "0", "1", "x" * 5000]


@pytest.mark.parametrize("stream", STREAMS)
def test_numbered_stream(stream):
    """Numbers are themselves."""
    assert drawn(seed=9, stream=stream) == expected(9, stream)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_named_stream(name):
    """BLAKE2b of the name in UTF-8, with bit 63 set."""
    assert drawn(seed=9, stream=name) == expected(9, name)
    assert drawn(seed=9, stream=np.str_(name)) == expected(9, name)


def test_streams_give_different_values():
    """No two of these streams meet; the name "0" is not the number 0."""
    assert len({tuple(drawn(seed=9, stream=s)) for s in STREAMS + NAMES}) == len(STREAMS + NAMES)


class Index:
    def __index__(self):
        return 2**63 - 1


@pytest.mark.parametrize(
    "number", [np.int8(7), np.uint64(2**63 - 1), np.array(12), Index()], ids=lambda n: str(type(n))
)
def test_anything_with_an_index_is_an_integer(number):
    """NumPy integers and whatever has `__index__`."""
    value = number.__index__()
    assert drawn(seed=number, stream=number) == expected(value, value)
    fx.manual_seed(number)
    assert drawn() == expected(value, 0)


def test_stream_defaults_to_zero_where_a_seed_is_given():
    """A seed alone is stream 0, every time, and does not touch the module default."""
    fx.manual_seed(4)
    assert drawn(seed=17) == drawn(seed=17) == drawn(seed=17, stream=0) == expected(17, 0)
    assert drawn() == expected(4, 0)


def test_module_default_counts():
    """The n-th call after manual_seed(s) is stream n of s; every function shares the count."""
    fx.manual_seed(31)
    assert drawn() == expected(31, 0)
    fx.uniform_(np.empty(3), 1, 1)
    fx.normal_(np.empty(3), 1, 1)
    fx.truncated_normal_(np.empty(3), 1, 1)
    assert drawn() == expected(31, 4)
    fx.manual_seed(31)
    assert drawn() == expected(31, 0)


def test_stream_alone_uses_the_default_seed():
    """stream= with the module default's seed takes none of its streams."""
    fx.manual_seed(31)
    assert drawn(stream=5) == expected(31, 5)
    assert drawn(stream="head") == expected(31, "head")
    assert drawn() == expected(31, 0)


def test_seed_none_is_fresh_entropy():
    """Two fills differ; the module default is left as it is."""
    fx.manual_seed(31)
    assert drawn(seed=None) != drawn(seed=None)
    assert drawn(seed=None, stream=3) != drawn(seed=None, stream=3)
    assert drawn() == expected(31, 0)


def test_manual_seed_none_is_fresh_entropy():
    """Two seedings differ; each then counts its streams."""
    fx.manual_seed(None)
    first = drawn()
    fx.manual_seed(None)
    assert drawn() != first
    assert drawn() != drawn()
    assert fx.manual_seed(1) is None


def test_unseeded_processes_differ():
    """Until seeded, the module default has a seed of its own in every process."""
    script = (
        "import numpy as np, fastxavier as fx\n"
        "w = [fx.uniform_(np.empty(4), 1, 1).tobytes().hex() for _ in range(2)]\n"
        "assert w[0] != w[1]\n"
        "print(w[0])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for _ in range(2)
    }
    assert len(printed) == 2


def test_seed_and_stream_are_independent_of_the_array():
    """A longer array begins with the values of a shorter one, in every dtype of 32-bit words."""
    long = fx.fill_(np.empty(1000, np.float32), DISTRIBUTION, seed=2, stream=3)
    short = fx.fill_(np.empty(10, np.float32), DISTRIBUTION, seed=2, stream=3)
    half = fx.fill_(np.empty(10, np.float16), DISTRIBUTION, seed=2, stream=3)
    assert (long[:10] == short).all()
    assert (short.astype(np.float16) == half).all()


BAD_SEEDS = [
    (-1, ValueError),
    (-(2**70), ValueError),
    (np.int64(-1), ValueError),
    (1.5, TypeError),
    (1.0, TypeError),
    (float("nan"), TypeError),
    ("1", TypeError),
    (b"1", TypeError),
    (True, TypeError),
    (np.True_, TypeError),
    ([1], TypeError),
    (1j, TypeError),
]
BAD_STREAMS = [
    *BAD_SEEDS[:6],
    (b"name", TypeError),
    *BAD_SEEDS[8:],
    (2**63, ValueError),
    (10**30, ValueError),
    (np.uint64(2**63), ValueError),
]


@pytest.mark.parametrize(("seed", "error"), BAD_SEEDS, ids=repr)
def test_bad_seed(seed, error):
    """Named in the message with its value; nothing is written, taken or reseeded."""
    fx.manual_seed(6)
    w = np.full(3, 0.5)
    for call in (lambda: fx.fill_(w, DISTRIBUTION, seed=seed), lambda: fx.manual_seed(seed)):
        with pytest.raises(error, match="seed is") as raised:
            call()
        assert str(seed) in str(raised.value) or repr(seed) in str(raised.value)
    assert (w == 0.5).all()
    assert drawn() == expected(6, 0)


@pytest.mark.parametrize(("stream", "error"), BAD_STREAMS, ids=repr)
def test_bad_stream(stream, error):
    """Named in the message with its value; nothing is written or taken."""
    fx.manual_seed(6)
    w = np.full(3, 0.5)
    for key in ({}, {"seed": 1}):
        with pytest.raises(error, match="stream is") as raised:
            fx.fill_(w, DISTRIBUTION, stream=stream, **key)
        assert str(stream) in str(raised.value) or repr(stream) in str(raised.value)
    assert (w == 0.5).all()
    assert drawn() == expected(6, 0)


def test_name_that_is_no_text():
    """A lone surrogate has no UTF-8; the error is a ValueError."""
    with pytest.raises(ValueError, match="UTF-8 cannot write"):
        drawn(seed=1, stream="\ud800")
