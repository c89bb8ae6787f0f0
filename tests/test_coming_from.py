"""Each row of the tables of docs/coming_from.md: both lines run and draw from one distribution.

What is compared are moments, bounds, zeros and singular values, and the whole distribution by
Kolmogorov and Smirnov. A row of a library that is not installed is run for its right line only, and
the comparison is reported as skipped.
"""

import math
import pathlib
import re
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

import fastxavier as fx

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "coming_from.md"
LEVEL = 1e-6  # of each statistical test; the seeds are fixed
MATRIX = (384, 512)
KERNELS = {"torch": (64, 96, 5), "jax": (5, 96, 128), "keras": (5, 96, 128), "numpy": (64, 96, 5)}


class Row(NamedTuple):
    """One line of a table: the library, its line, ours, and whether they are said to be alike."""

    library: str
    theirs: str
    ours: str
    claim: str


def rows():
    """All rows of the four tables."""
    found = []
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.M)[1:]:
        library = section.partition("\n")[0].lower()
        if library in KERNELS:
            found += [
                Row(library, *match)
                for match in re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ([^|]+) \|$", section, re.M)
            ]
    return found


ROWS = rows()
TORCH = [row for row in ROWS if row.library == "torch"]
OTHERS = [row for row in ROWS if row.library != "torch"]


@pytest.fixture(autouse=True)
def seeded():
    """The same draws in each run."""
    fx.manual_seed(7)
    yield
    fx.manual_seed(None)


def drawn_here(row):
    """What our line makes: an array, or a number."""
    w, kernel = (np.full(shape, np.nan, np.float32) for shape in (MATRIX, KERNELS[row.library]))
    return eval(row.ours, {"fx": fx, "w": w, "kernel": kernel, "rng": np.random.default_rng(7)})


def drawn_there(row):
    """What the other library's line makes; the test is skipped where it is not installed."""
    w, kernel = (np.empty(shape, np.float32) for shape in (MATRIX, KERNELS[row.library]))
    names = {"w": w, "kernel": kernel, "np": np, "rng": np.random.default_rng(8)}
    if row.library == "torch":
        torch = pytest.importorskip("torch")
        torch.manual_seed(7)
        names |= {"nn": torch.nn, "w": torch.from_numpy(w), "kernel": torch.from_numpy(kernel)}
    elif row.library == "jax":
        jax = pytest.importorskip("jax")
        names |= {"init": jax.nn.initializers, "key": jax.random.key(7)}
    elif row.library == "keras":
        keras = pytest.importorskip("keras")
        keras.utils.set_random_seed(7)
        names["init"] = keras.initializers
        return keras.ops.convert_to_numpy(eval(row.theirs, names))
    return eval(row.theirs, names)


def standard_errors_off(values, mean, variance, fourth):
    """Of the mean and of the variance, given the distribution's moments."""
    error = math.sqrt(variance / values.size)
    off = [abs(float(values.mean()) - mean) / error]
    error = math.sqrt((fourth - variance**2) / values.size)
    return [*off, abs(float(np.mean((values - mean) ** 2)) - variance) / error]


def check_alike(here, there):
    """Whether two arrays can be draws of one distribution."""
    assert here.shape == there.shape
    assert np.isfinite(here).all()
    if len(np.unique(there)) <= 2:  # a constant, or zeros and ones at given places
        np.testing.assert_array_equal(here, there.astype(here.dtype))
        return
    zeros = np.count_nonzero(there == 0, axis=0)
    if zeros.sum() > 0.01 * there.size:  # given numbers of zeros, at places that are drawn
        np.testing.assert_array_equal(np.count_nonzero(here == 0, axis=0).ravel(), zeros.ravel())
    here, there = (array[array != 0].astype(np.float64) for array in (here, there))
    mean, variance = float(there.mean()), float(there.var())
    # Both are estimates, so their difference has twice the variance of one.
    off = standard_errors_off(here, mean, variance, float(np.mean((there - mean) ** 4)))
    assert max(off) < 5 * math.sqrt(2)
    assert stats.ks_2samp(here, there).pvalue > LEVEL
    # Where the density does not vanish at a bound, both come as close to it as this many values
    # does.
    uniform = float(np.mean((there - mean) ** 4)) / variance**2 < 2
    if uniform:
        within = np.ptp(there) * -math.log(LEVEL) / there.size
        assert abs(here.max() - there.max()) < within
        assert abs(here.min() - there.min()) < within


def check_orthogonal(here, there):
    """Whether both have the same singular values, seen as a matrix with one row a unit."""
    for array in (here, there):
        assert array.ndim == 2
    found = np.linalg.svd(here.astype(np.float64), compute_uv=False)
    expected = np.linalg.svd(np.asarray(there, np.float64), compute_uv=False)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.library}: {row.theirs}")
def test_both_lines_draw_alike(row):
    """What the third column says."""
    assert re.match("same(;|$)", row.claim)
    here = drawn_here(row)
    there = drawn_there(row)
    if isinstance(here, float):
        assert here == pytest.approx(there, rel=1e-15)
        return
    there = np.asarray(there)
    if "delta_orthogonal" in row.ours:
        middle = here.shape[0] // 2
        for array in (here, there):
            assert not np.delete(array, middle, axis=0).any()
        here, there = here[middle], there[middle]
    if "orthogonal" in row.ours:
        check_orthogonal(here, there)
    check_alike(here, there)


# ---- torch's documentation, where torch may be missing -------------------------------------------

FAN_OUT, FAN_IN = MATRIX
KERNEL_FAN_OUT = KERNELS["torch"][0] * KERNELS["torch"][2]


def uniform(low, high):
    """Mean, std and bounds."""
    return (low + high) / 2, (high - low) / math.sqrt(12), low, high


def centred(std, times=None):
    """Those of a uniform (`times` is sqrt(3)), or of a normal without bounds."""
    bound = math.inf if times is None else times * std
    return 0.0, std, -bound, bound


ROOT3 = math.sqrt(3)
HE = math.sqrt(2 / FAN_IN)
GLOROT = math.sqrt(2 / (FAN_IN + FAN_OUT))
CUT_AT_TWO = math.sqrt(1 - 4 * stats.norm.pdf(2) / (2 * stats.norm.cdf(2) - 1))
DOCUMENTED = {  # by torch's documentation of each function, for the arguments in the table
    "nn.init.uniform_(w, -0.1, 0.3)": uniform(-0.1, 0.3),
    "nn.init.normal_(w, 0.0, 0.02)": centred(0.02),
    "nn.init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04)": (0, 0.02 * CUT_AT_TWO, -0.04, 0.04),
    "nn.init.trunc_normal_(w, std=0.02)": (0, 0.02, -2, 2),
    "nn.init.constant_(w, 0.5)": (0.5, 0, 0.5, 0.5),
    "nn.init.ones_(w)": (1, 0, 1, 1),
    "nn.init.zeros_(w)": (0, 0, 0, 0),
    "nn.init.xavier_uniform_(w)": centred(GLOROT, ROOT3),
    'nn.init.xavier_uniform_(w, gain=nn.init.calculate_gain("relu"))': centred(
        math.sqrt(2) * GLOROT, ROOT3
    ),
    "nn.init.xavier_normal_(w)": centred(GLOROT),
    "nn.init.kaiming_uniform_(w)": centred(HE, ROOT3),
    'nn.init.kaiming_uniform_(w, nonlinearity="tanh")': centred(5 / 3 / math.sqrt(FAN_IN), ROOT3),
    "nn.init.kaiming_uniform_(w, a=5**0.5)": uniform(-1 / math.sqrt(FAN_IN), 1 / math.sqrt(FAN_IN)),
    "nn.init.kaiming_normal_(w)": centred(HE),
    "nn.init.kaiming_normal_(w, a=0.2)": centred(HE / math.sqrt(1.04)),
    'nn.init.kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu")': centred(
        math.sqrt(2 / KERNEL_FAN_OUT)
    ),
}
WITHOUT_MOMENTS = ("eye_", "dirac_", "orthogonal_", "sparse_", "calculate_gain")


@pytest.mark.parametrize("row", TORCH, ids=lambda row: row.theirs)
def test_our_line_is_what_torch_documents(row):
    """Mean, standard deviation and bounds, without torch."""
    here = drawn_here(row)
    if any(name in row.theirs.partition("(")[0] for name in WITHOUT_MOMENTS):
        check_special(row, here)
        return
    mean, std, low, high = DOCUMENTED[row.theirs]
    assert np.float32(low) <= here.min() <= here.max() <= np.float32(high)
    if std == 0:
        assert (here == mean).all()
        return
    fourth = (1.8 if math.isfinite(high) and "trunc" not in row.theirs else 3) * std**4
    assert max(standard_errors_off(here.astype(np.float64), mean, std**2, fourth)) < 5


def check_special(row, here):
    """The rows that are not described by moments."""
    if "calculate_gain" in row.theirs.partition("(")[0]:
        leaky = "leaky" in row.theirs
        assert here == pytest.approx(math.sqrt(2 / 1.04) if leaky else 5 / 3, rel=1e-15)
    elif "eye_" in row.theirs:
        np.testing.assert_array_equal(here, np.eye(*MATRIX))
    elif "dirac_" in row.theirs:
        groups = 2 if "groups" in row.theirs else 1
        expected = np.zeros(KERNELS["torch"])
        each = KERNELS["torch"][0] // groups
        for unit in range(KERNELS["torch"][0]):
            expected[unit, unit % each, KERNELS["torch"][2] // 2] = 1
        np.testing.assert_array_equal(here, expected)
    elif "orthogonal_" in row.theirs:
        np.testing.assert_allclose(here @ here.T, 4 * np.eye(FAN_OUT), atol=1e-5)
    else:
        assert (np.count_nonzero(here == 0, axis=0) == math.ceil(0.1 * FAN_OUT)).all()
        others = here[here != 0].astype(np.float64)
        assert max(standard_errors_off(others, 0, 0.05**2, 3 * 0.05**4)) < 5


# ---- nothing is missing --------------------------------------------------------------------------

TORCH_INIT = {
    "uniform_",
    "normal_",
    "trunc_normal_",
    "constant_",
    "ones_",
    "zeros_",
    "eye_",
    "dirac_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
    "sparse_",
    "calculate_gain",
}


def called(library):
    """The names of the other library's functions in its table."""
    return {
        re.match(r"(?:nn\.)?init\.(\w+)", row.theirs)[1] for row in ROWS if row.library == library
    }


def test_every_function_of_torch():
    """Has a row."""
    assert called("torch") == TORCH_INIT


def test_torch_has_no_other_functions():
    """So the list above is complete for the torch that is installed."""
    init = pytest.importorskip("torch").nn.init
    public = {name for name in vars(init) if re.fullmatch("[a-z_]+_", name) and name[0] != "_"}
    assert public | {"calculate_gain"} == TORCH_INIT


def test_every_function_of_jax():
    """Has a row."""
    init = pytest.importorskip("jax").nn.initializers
    public = {name for name in dir(init) if re.fullmatch("[a-z][a-z_]*", name)}
    assert public - {"initializers"} == called("jax")


def test_every_initializer_of_keras():
    """Has a row; STFT is said to have none."""
    keras = pytest.importorskip("keras")
    base = keras.initializers.Initializer
    classes = {
        one.__name__
        for one in vars(keras.initializers).values()
        if isinstance(one, type) and issubclass(one, base) and one is not base
    }
    assert classes - {"STFT"} == called("keras")
    assert "`STFT`" in PAGE.read_text()


@pytest.mark.parametrize("library", KERNELS)
def test_tables_are_read(library):
    """A row that the pattern does not know would not be tested."""
    section = re.search(rf"^## {library}\n(.*?)^## ", PAGE.read_text(), re.S | re.M | re.I)[1]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(lines) == len([row for row in ROWS if row.library == library]) >= 8


@pytest.mark.parametrize("library", ["jax", "keras", "numpy"])
def test_our_lines_run(library):
    """Of the other libraries, installed or not: each fills all of its array with finite values."""
    for row in OTHERS:
        if row.library == library:
            assert np.isfinite(drawn_here(row)).all(), row.ours
