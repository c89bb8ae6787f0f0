"""fastxavier.dask.random: the bits of `draw` by any chunks, schedulers and workers."""

import pathlib
import pickle
import subprocess
import sys
from importlib.util import find_spec

import cases
import golden
import numpy as np
import pytest
from effort import examples
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from scipy import stats

import fastxavier as fx

da = pytest.importorskip("dask.array")
import dask  # noqa: E402

import fastxavier.dask as fd  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
LINES = golden.parsed((ROOT / "tests" / "data" / "golden.txt").read_text(encoding="ascii"))

SHAPE = (101, 73)
INITIALIZERS = {
    "uniform": fx.Uniform(-0.5, 1.5),
    "normal": fx.Normal(0.1, 2.0),
    "truncated": fx.TruncatedNormal(0.0, 1.0, -1.0, 3.0),
    "constant": fx.Constant(0.25),
    "scaled": fx.he_normal(),
    "fan_out": fx.glorot_uniform(mode="fan_out", layout="keras"),
    "named": "lecun_truncated_normal",
    "sparse": fx.Sparse(0.3),
    "identity": fx.Identity(2.0),
}
CHUNKS = [(101, 73), 7, (1, 73), (50, (70, 3)), ((0, 100, 1), (73,)), "auto", {1: 10}, "4 kiB"]


def same_bits(got, expected):
    assert isinstance(got, np.ndarray)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes()


def pair(initializer, shape, chunks="auto", dtype="float32", **key):
    """A dask array, and the array that it computes to."""
    key = key or {"seed": 7, "stream": "fc1.weight"}
    lazy = fd.random(initializer, shape, chunks, dtype, **key)
    return lazy, fx.draw(shape, initializer, dtype=dtype, **key)


# ---- bits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_chunks(name, chunks):
    lazy, whole = pair(INITIALIZERS[name], SHAPE, chunks)
    same_bits(lazy.compute(), whole)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_dtypes(dtype):
    lazy, whole = pair(fx.Normal(0, 0.5), SHAPE, 20, dtype)
    assert lazy.dtype == lazy._meta.dtype == cases.DTYPES[dtype]
    assert lazy._meta.shape == (0, 0)
    same_bits(lazy.compute(), whole)
    same_bits(lazy[3:90:7, ::-1].compute(), whole[3:90:7, ::-1])
    same_bits(lazy.rechunk((9, 73)).compute(), whole)


@pytest.mark.parametrize("case", LINES, ids="-".join)
def test_golden(case):
    distribution, digest, _ = LINES[case]
    lazy = fd.random(distribution, golden.COUNT, 70001, case[1], golden.SEED, stream=golden.STREAM)
    assert golden.digest(lazy.compute()) == digest


@seed(20)
@settings(max_examples=examples(80), deadline=None)
@given(st.data())
def test_any_cut(data):
    shape = tuple(data.draw(st.lists(st.integers(0, 9), min_size=0, max_size=4), "shape"))

    def cut(extent):
        places = data.draw(st.lists(st.integers(0, extent), max_size=3), "cuts")
        return tuple(np.diff([0, *sorted(places), extent]).tolist())

    lazy, whole = pair(fx.Normal(), shape, tuple(map(cut, shape)))
    same_bits(np.asarray(lazy.compute()), whole)
    index = tuple(
        slice(*sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)), "slice")))
        for n in shape
    )
    same_bits(np.asarray(lazy[index].compute()), whole[index])


def test_every_scheduler():
    lazy, whole = pair(fx.Normal(), SHAPE, 30)
    for scheduler in ("synchronous", "threads", "processes"):
        same_bits(lazy.compute(scheduler=scheduler), whole)


@pytest.mark.parametrize("initializer", [fx.Orthogonal(2.0), fx.DeltaOrthogonal()], ids=repr)
def test_drawn_whole(initializer):
    """In one chunk; in more than one each task would be as large as the whole."""
    shape = (12, 8, 3)
    lazy, whole = pair(initializer, shape, -1)
    np.testing.assert_allclose(lazy.rechunk(5).compute(), whole, atol=1e-6)
    with pytest.raises(ValueError, match="each chunk of which needs the whole") as raised:
        fd.random(initializer, shape, (6, 8, 3), seed=7)
    assert raised.value.argument == "chunks"


def test_law():
    """A chunk in the middle has the distribution of the whole shape's fans."""
    lazy = fd.random(fx.glorot_uniform(), (1000, 5000), 500, seed=3)
    bound = (6 / 6000) ** 0.5
    block = lazy.blocks[1, 7].compute().ravel()
    assert stats.kstest(block, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-4
    assert abs(block).max() <= np.float32(bound)


def test_peer_depends_on_chunks():
    """What dask's own random arrays do, for which this module is the answer."""
    own = [da.random.default_rng(7).normal(size=100, chunks=n).compute() for n in (10, 20)]
    assert (own[0] != own[1]).any()


# ---- seeds ---------------------------------------------------------------------------------------


def test_entropy_is_resolved_once():
    lazy = fd.random(fx.Normal(), 100, 10, seed=None)
    same_bits(lazy.compute(), lazy.rechunk(7).compute())
    assert (lazy.compute() != fd.random(fx.Normal(), 100, 10, seed=None).compute()).any()


def test_streams():
    """Each array takes the next stream; one that is refused takes none."""
    streams = fx.Streams(7)
    with pytest.raises(ValueError, match="chunks is"):
        fd.random(fx.Normal(), 100, (3, 3), seed=streams)
    for number in range(2):
        lazy = fd.random(fx.Normal(), 100, 10, seed=streams)
        same_bits(lazy.compute(), fx.draw(100, fx.Normal(), seed=7, stream=number))


def test_module_default():
    fx.manual_seed(5)
    lazy = [fd.random(fx.Normal(), 100, 10) for _ in range(2)]
    fx.manual_seed(6)
    for number in (1, 0):  # whatever is computed first, and whatever the default is then
        expected = fx.draw(100, fx.Normal(), seed=5, stream=number)
        same_bits(lazy[number].compute(), expected)


def test_numpy_generator():
    lazy = fd.random(fx.Normal(), 100, 10, seed=np.random.default_rng(1))
    same_bits(lazy.compute(), fx.draw(100, fx.Normal(), seed=np.random.default_rng(1)))


# ---- graphs --------------------------------------------------------------------------------------


def test_names():
    """Equal arguments, equal names; any other argument, another name."""
    given = {
        "distribution": fx.Normal(),
        "shape": (20, 20),
        "chunks": 10,
        "dtype": "float32",
        "seed": 7,
        "stream": 0,
    }
    other = {
        "distribution": fx.Normal(0, 2),
        "shape": (20, 21),
        "chunks": 20,
        "dtype": "float64",
        "seed": 8,
        "stream": "a",
    }
    name = fd.random(**given).name
    assert fd.random(**given).name == name
    names = {name} | {fd.random(**{**given, key: value}).name for key, value in other.items()}
    assert len(names) == 1 + len(other)


def test_names_of_other_seeds():
    """A seed that goes on gives another array, and so another name, each time."""
    fx.manual_seed(7)
    for key in ({}, {"seed": fx.Streams(7)}, {"seed": np.random.default_rng(7)}, {"seed": None}):
        assert len({fd.random(fx.Normal(), 20, 10, **key).name for _ in range(3)}) == 3
    named = {fd.random(fx.Normal(), 20, 10, seed=fx.Streams(7), stream="a").name for _ in range(3)}
    assert named == {fd.random(fx.Normal(), 20, 10, seed=7, stream="a").name}


def test_graph_is_small():
    """One function and places: not an object for each chunk, nor for each value."""
    lazy = fd.random(fx.Normal(), (10**6, 10**6), 1000, seed=7)
    assert lazy.npartitions == 10**6
    assert len(pickle.dumps(lazy)) < 20_000
    place = np.s_[500_998:501_002, 7:9]
    with dask.config.set(scheduler="synchronous"):
        part = lazy[place].compute()
    out = np.empty((4, 2), np.float32)
    fx.fill_(out, fx.Normal(), seed=7, global_shape=lazy.shape, offset=(500_998, 7))
    same_bits(part, out)


def test_no_task_is_larger_than_its_chunk(monkeypatch):
    """Each draws one block of its chunk's shape, with one thread."""
    drawn = []
    fill = fx._core.fill

    def watched(array, distribution, key, shape, offset, threads):
        drawn.append((offset, array.shape, threads))
        fill(array, distribution, key, shape, offset, threads)

    monkeypatch.setattr(fx._core, "fill", watched)
    fd.random(fx.Normal(), (5, 6), ((2, 3), (4, 2)), seed=7).compute(scheduler="synchronous")
    places = {(0, 0): (2, 4), (0, 4): (2, 2), (2, 0): (3, 4), (2, 4): (3, 2)}
    assert sorted(drawn) == [(at, shape, 1) for at, shape in sorted(places.items())]


def test_reductions():
    lazy, whole = pair(fx.Normal(), SHAPE, 30)
    np.testing.assert_allclose((lazy * 2).sum(axis=0).compute(), 2 * whole.sum(axis=0), rtol=1e-3)
    same_bits(da.concatenate([lazy, lazy.T.T]).compute(), np.concatenate([whole, whole]))


@pytest.mark.skipif(
    find_spec("dask.array._array_expr") is None,
    reason="an older dask has no array expressions",
)
def test_array_expressions():
    """With dask's other implementation of arrays, which a process chooses before the first one."""
    code = """if True:
        import dask
        dask.config.set({"array.query-planning": True})
        import fastxavier as fx, fastxavier.dask as fd
        lazy = fd.random(fx.Normal(), (9, 7), 4, seed=7)
        assert type(lazy).__module__.startswith("dask.array._array_expr"), type(lazy)
        assert (lazy.rechunk(3)[2:].compute() == fx.draw((9, 7), fx.Normal(), seed=7)[2:]).all()
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.filterwarnings("ignore")
def test_distributed():
    """Two processes, neither of which draws everything."""
    distributed = pytest.importorskip("distributed")
    lazy, whole = pair(fx.he_normal(), SHAPE, 20)
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        same_bits(client.compute(lazy).result(), whole)
        same_bits(lazy.rechunk((50, 10))[5:60].compute(), whole[5:60])
        kept = client.persist(lazy)
        distributed.wait(kept)
        holders = {who for place in client.who_has(kept).values() for who in place}
        assert len(holders) == 2


def test_xarray():
    xr = pytest.importorskip("xarray")
    lazy, whole = pair(fx.Normal(), SHAPE, 20)
    wrapped = xr.DataArray(lazy, dims=("unit", "input"))
    assert wrapped.chunks == lazy.chunks
    same_bits(wrapped.compute().values, whole)
    same_bits(wrapped.isel(input=slice(3, 60, 4)).chunk(unit=7).values, whole[:, 3:60:4])


# ---- errors --------------------------------------------------------------------------------------

REFUSED = {
    "chunks that do not add up": ({"chunks": ((5, 4), (7,))}, "chunks", "do not add up"),
    "chunks of a negative extent": ({"chunks": ((12, -2), (7,))}, "chunks", "do not add up"),
    "chunks of a fraction": ({"chunks": ((5.5, 4.5), (7,))}, "chunks", "do not add up"),
    "chunks of 0": ({"chunks": 0}, "chunks", "chunks is 0"),
    "chunks of unknown extent": ({"chunks": (float("nan"), 7)}, "chunks", "unknown"),
    "chunks of no size": ({"chunks": "large"}, "chunks", "'large'"),
    "no chunks": ({"chunks": None}, "chunks", "chunks is None"),
    "too few chunks": ({"chunks": (5,)}, "chunks", "same length"),
    "a dtype that is not drawn": ({"dtype": "int32"}, "dtype", "int32"),
    "a dtype in the other order": ({"dtype": np.dtype(">f4")}, "dtype", "order"),
    "a narrow dtype": (
        {"dtype": "float16", "distribution": fx.Normal(0, 1e6)},
        "distribution",
        "beyond",
    ),
    "no distribution": ({"distribution": 3}, "distribution", r"write Constant\(3\)"),
    "a function": ({"distribution": fx.he_normal}, "distribution", "call it"),
    "a shape without fans": ({"shape": 10, "distribution": "he_normal"}, "shape", "fewer than two"),
    "a shape of no matrix": ({"shape": 10, "distribution": "orthogonal"}, "shape", "not a matrix"),
    "a negative shape": ({"shape": (3, -1)}, "shape", "shape is"),
    "a shape of too many": ({"shape": (2**40, 2**40)}, "shape", "more than"),
    "a negative seed": ({"seed": -1}, "seed", "seed is -1"),
    "no stream": ({"stream": 1.5}, "stream", "stream is 1.5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    changed, argument, message = REFUSED[case]
    given = {"distribution": fx.Normal(), "shape": (10, 7), "seed": 7, **changed}
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        fd.random(**given)
    assert isinstance(raised.value, fx.ArgumentError)
    assert raised.value.argument == argument


def test_missing_package():
    """Without dask the import says how to install it, and fastxavier itself does not need it."""
    code = """if True:
        import sys
        sys.modules["dask.array"] = None
        import fastxavier
        try:
            import fastxavier.dask
        except ImportError as error:
            assert "fastxavier[dask]" in str(error) and error.name == "dask"
        else:
            raise AssertionError
        del sys.modules["dask.array"]
        assert "dask" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
