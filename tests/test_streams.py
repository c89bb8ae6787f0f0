"""Seeds and streams: which numbers key a fill, and that the module default hands each out once."""

import doctest
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import reference

import fastxavier as fx
from fastxavier import _streams

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


# ---- seeds as people have them -------------------------------------------------------------------


SOURCES = {
    "Generator": lambda: np.random.default_rng(3),
    "Generator of MT19937": lambda: np.random.Generator(np.random.MT19937(3)),
    "Generator of SFC64": lambda: np.random.Generator(np.random.SFC64(3)),
    "RandomState": lambda: np.random.RandomState(3),
    "SeedSequence": lambda: np.random.SeedSequence(3),
}
every_source = pytest.mark.parametrize("source", SOURCES)


def state(source):
    """All that a draw from a source of randomness changes."""
    if isinstance(source, np.random.SeedSequence):
        return source.n_children_spawned
    if isinstance(source, np.random.RandomState):
        kind, words, *rest = source.get_state()
        return kind, words.tolist(), *rest
    return repr(source.bit_generator.state)


def next_seed(source):
    """The 64-bit draw, or the spawned child's first word, that a call takes."""
    if isinstance(source, np.random.SeedSequence):
        return int(source.spawn(1)[0].generate_state(1, np.uint64)[0])
    if isinstance(source, np.random.RandomState):
        return int(source.randint(2**64, dtype=np.uint64))
    return int(source.integers(2**64, dtype=np.uint64))


@every_source
def test_source_of_numpy(source):
    """One 64-bit draw, or one child, a call: successive calls differ, its own seed governs."""
    given, same = SOURCES[source](), SOURCES[source]()
    seen = set()
    for call in (
        lambda: drawn(seed=given),
        lambda: drawn(seed=given, stream=5),
        lambda: drawn(seed=given, stream="w"),
        lambda: drawn(seed=fx.seed_number(given)),
        lambda: drawn(seed=fx.Streams(given)),
    ):
        values = call()
        stream = {1: 5, 2: "w"}.get(len(seen), 0)
        assert values == expected(next_seed(same), stream)
        assert state(given) == state(same)
        seen.add(tuple(values))
    assert len(seen) == 5
    fx.manual_seed(given)
    assert drawn() == expected(next_seed(same), 0)


@every_source
def test_source_in_every_function(source):
    """Each fills by exactly one draw."""
    given, same = SOURCES[source](), SOURCES[source]()
    for call in (
        lambda w: fx.uniform_(w, 3, 4, seed=given),
        lambda w: fx.he_normal_(w, seed=given),
        lambda w: fx.orthogonal_(w, seed=given),
        lambda w: fx.sparse_(w, 0.5, seed=given),
        lambda w: fx.eye_(w, seed=given),
        lambda w: fx.zeros_(w, seed=given),
        lambda w: fx.fill_(w, "lecun_normal", seed=given),
        lambda w: fx.draw((3, 4), fx.Normal(), seed=given),
    ):
        call(np.empty((4, 3)))
        next_seed(same)
        assert state(given) == state(same)


REFUSED = [
    lambda seed: fx.fill_(np.empty(3, np.int32), DISTRIBUTION, seed=seed),
    lambda seed: fx.fill_(np.broadcast_to(np.ones(1), 3), DISTRIBUTION, seed=seed),
    lambda seed: fx.fill_(np.empty(3), None, seed=seed),
    lambda seed: fx.fill_(np.empty(3), "norml", seed=seed),
    lambda seed: fx.fill_(np.empty(3), fx.he_normal(), seed=seed),
    lambda seed: fx.fill_(np.empty(3), fx.Orthogonal(), seed=seed),
    lambda seed: fx.fill_(np.empty((3, 4)), fx.Orthogonal(), seed=seed, threads=0),
    lambda seed: fx.fill_(np.empty((3, 4), np.float16), fx.Orthogonal(1e9), seed=seed),
    lambda seed: fx.fill_(np.empty(3, np.float16), fx.Normal(0, 1e9), seed=seed),
    lambda seed: fx.fill_(np.empty(3), DISTRIBUTION, seed=seed, stream=-1),
    lambda seed: fx.fill_(np.empty(3), DISTRIBUTION, seed=seed, threads=0),
    lambda seed: fx.fill_(np.empty(3), DISTRIBUTION, seed=seed, global_shape=(2,)),
    lambda seed: fx.normal_(np.empty(3), 0, 1, seed=seed),
    lambda seed: fx.he_normal_(np.empty(3), seed=seed),
    lambda seed: fx.he_normal_(np.empty((3, 4)), gain=-1, seed=seed),
    lambda seed: fx.sparse_(np.empty((3, 4)), 2, seed=seed),
    lambda seed: fx.draw((3, 4), DISTRIBUTION, dtype="int8", seed=seed),
    lambda seed: fx.draw((3, -4), DISTRIBUTION, seed=seed),
]


@every_source
@pytest.mark.parametrize("call", REFUSED, ids=range(len(REFUSED)))
def test_refused_fill_leaves_the_source(source, call):
    """The state, or the number of children, is as it was."""
    given = SOURCES[source]()
    before = state(given)
    with pytest.raises((TypeError, ValueError)):
        call(given)
    assert state(given) == before


@pytest.mark.parametrize("call", REFUSED, ids=range(len(REFUSED)))
def test_refused_fill_leaves_the_streams(call):
    """No stream is taken, of an object or of the module default."""
    rng = fx.Streams(8)
    with pytest.raises((TypeError, ValueError)):
        call(rng)
    assert drawn(seed=rng) == expected(8, 0)


NOT_SEEDS = [
    (random, "seed=rng.getrandbits(64)"),
    (random.Random(1), "seed=rng.getrandbits(64)"),
    (np.random, "seed=int(numpy.random.randint(2**63))"),
]


@pytest.mark.parametrize(("seed", "instead"), NOT_SEEDS, ids=["random", "Random", "numpy.random"])
def test_other_sources_of_randomness(seed, instead):
    """A TypeError that says what to write, which works; the source is left alone."""
    before = random.getstate(), np.random.get_state()[1].tolist()
    for call in (
        lambda: drawn(seed=seed),
        lambda: fx.manual_seed(seed),
        lambda: fx.seed_number(seed),
        lambda: fx.Streams(seed),
    ):
        with pytest.raises(TypeError, match="seed is ") as raised:
            call()
        assert f"; write {instead}" in str(raised.value)
        assert raised.value.argument == "seed"
        assert raised.value.value is seed
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert (
        len(eval(f"drawn({instead})", {"drawn": drawn, "rng": random.Random(1), "numpy": np}))
        == COUNT
    )


def test_generator_of_torch():
    """As those above."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(7)
    instead = r"rng = Streams\(generator.initial_seed\(\)\) once, and write seed=rng"
    with pytest.raises(TypeError, match=f"seed is .*{instead}"):
        drawn(seed=generator)
    rng = fx.Streams(generator.initial_seed())
    assert [drawn(seed=rng), drawn(seed=rng)] == [expected(7, 0), expected(7, 1)]


def test_generator_of_another_library():
    """What draws integers as NumPy's Generator does is shown how."""

    class Generator:
        def integers(self, high):
            return high // 3

    rng = Generator()
    with pytest.raises(TypeError, match=r"; write seed=int\(rng.integers\(2\*\*63\)\)"):
        drawn(seed=rng)
    assert drawn(seed=int(rng.integers(2**63))) == expected(2**63 // 3, 0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64, object])
def test_zero_dimensional_arrays(dtype):
    """They are the number that they hold, wherever a number is."""
    nine = np.array(9, dtype)
    assert drawn(seed=nine, stream=nine) == expected(9, 9)
    assert fx.seed_number(nine) == fx.stream_number(nine) == 9
    w = fx.fill_(np.empty(COUNT), DISTRIBUTION, seed=9, threads=nine)
    assert w.tolist() == expected(9, 0)
    with pytest.raises(TypeError, match="seed is"):
        drawn(seed=np.array([9], dtype))


def test_zero_dimensional_tensors():
    """torch's too."""
    torch = pytest.importorskip("torch")
    assert drawn(seed=torch.tensor(9), stream=torch.tensor(4)) == expected(9, 4)
    with pytest.raises(TypeError, match="seed is"):
        drawn(seed=torch.tensor(9.5))
    with pytest.raises(TypeError, match="seed is"):
        drawn(seed=torch.tensor(True))


# ---- Streams, seed_number, stream_number ---------------------------------------------------------


def test_streams_count():
    """Each call takes the next; a named or numbered one takes none; the module default rests."""
    fx.manual_seed(4)
    rng = fx.Streams(31)
    assert repr(rng) == "Streams(seed=31)"
    assert rng.seed == 31
    assert drawn(seed=rng) == expected(31, 0)
    fx.he_normal_(np.empty((4, 3)), seed=rng)
    fx.orthogonal_(np.empty((4, 3)), seed=rng)
    fx.zeros_(np.empty(3), seed=rng)
    assert drawn(seed=rng, stream=7) == expected(31, 7)
    assert drawn(seed=rng, stream="w") == expected(31, "w")
    assert drawn(seed=rng) == expected(31, 4)
    assert drawn() == expected(4, 0)


def test_streams_of_any_seed():
    """As seed_number reads it; entropy if none is given."""
    for seed in SEEDS:
        assert drawn(seed=fx.Streams(seed)) == expected(seed, 0)
    assert fx.Streams().seed != fx.Streams(None).seed
    for seed, error in BAD_SEEDS:
        with pytest.raises(error, match="seed is"):
            fx.Streams(seed)


def test_threads_share_streams():
    """No stream is taken twice, and none is left out."""
    rng = fx.Streams(6)
    count, workers = 50, 4
    taken = [[] for _ in range(workers)]
    ready = threading.Barrier(workers)

    def work(values):
        ready.wait()
        for _ in range(count):
            values.append(tuple(fx.fill_(np.empty(3), DISTRIBUTION, seed=rng).tolist()))

    threads = [threading.Thread(target=work, args=(values,)) for values in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [value for values in taken for value in values]
    all_of_them = {
        tuple(fx.fill_(np.empty(3), DISTRIBUTION, seed=6, stream=stream).tolist())
        for stream in range(count * workers)
    }
    assert len(everything) == len(set(everything)) == count * workers
    assert set(everything) == all_of_them


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.bit_length()} bits")
def test_seed_number(seed):
    """The number below 2**64 that gives the same values."""
    number = fx.seed_number(seed)
    assert type(number) is int
    assert 0 <= number < 2**64
    assert number == seed or seed >= 2**64
    assert drawn(seed=number) == drawn(seed=seed)


def test_seed_number_refuses():
    """What a fill refuses."""
    for seed, error in BAD_SEEDS:
        with pytest.raises(error, match="seed is") as raised:
            fx.seed_number(seed)
        assert raised.value.argument == "seed"
    assert fx.seed_number(None) != fx.seed_number(None)
    assert fx.seed_number(fx.Streams(3)) == 3


@pytest.mark.parametrize("stream", [*STREAMS, *NAMES], ids=lambda stream: repr(stream)[:20])
def test_stream_number(stream):
    """Numbers below 2**63 are themselves, names have bit 63 set."""
    number = fx.stream_number(stream)
    assert type(number) is int
    assert number == stream if isinstance(stream, int) else 2**63 <= number < 2**64
    for bad, error in BAD_STREAMS:
        with pytest.raises(error, match="stream is") as raised:
            fx.stream_number(bad)
        assert raised.value.argument == "stream"


def test_docstring_examples():
    """As they are printed."""
    result = doctest.testmod(_streams)
    assert result.attempted > 5
    assert result.failed == 0
