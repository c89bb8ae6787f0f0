"""Fixtures that every test may use, and the mark `slow` for the tests that slow.txt lists.

pytest puts tests/support on sys.path, for `import cases`.
"""

import os
import pathlib
import shutil
import subprocess
import sysconfig
import tempfile
from fnmatch import fnmatchcase

import effort
import pytest

import fastxavier
from fastxavier import _core

# Eight devices where jax has only CPUs. It counts when jax first looks for them, in a test.
if "device_count" not in os.environ.get("XLA_FLAGS", ""):
    flags = os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()

# A backend that is there wherever keras is, and that needs no time to be imported.
os.environ.setdefault("KERAS_BACKEND", "numpy")

SLOW = pathlib.Path(__file__).with_name("slow.txt")
unmatched = pytest.StashKey[list[str]]()


@pytest.fixture(params=_core.available_isas())
def isa(request):
    """Each implementation that runs here, in use for the test; the environment's choice after."""
    _core.force_isa(request.param)
    yield request.param
    _core.force_isa(None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for the commands to work in, with a list of tensors and a plan."""
    from cli_cases import LIST  # which imports much that most tests do not need

    from fastxavier.plans import Plan, Rule

    monkeypatch.chdir(tmp_path)
    (tmp_path / "like.toml").write_text(LIST)
    Plan([Rule("*.weight", "he_normal"), Rule("*", "zeros")]).save(tmp_path / "plan.toml")
    return tmp_path


@pytest.fixture
def unseeded():
    """The module default with fresh entropy, as before the first call of `manual_seed`."""
    fastxavier.manual_seed(None)


@pytest.fixture(scope="session")
def helper(tmp_path_factory):
    """The library of tests/c/helper.c."""
    library = tmp_path_factory.mktemp("helper") / "helper.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = os.environ.get("CC") or shutil.which(compiler) or "cc"
    flags = ["-fopenmp"] if _core.openmp_version() else []
    source = pathlib.Path(__file__).parent / "c" / "helper.c"
    command = [*compiler.split(), "-O1", "-shared", "-fPIC", *flags, source, "-o", library, "-lm"]
    subprocess.run(command, check=True, timeout=120)
    return library


@pytest.fixture
def unmatched_slow_lines(pytestconfig):
    """Lines of slow.txt that match none of the tests collected from their file."""
    return pytestconfig.stash[unmatched]


def pytest_configure(config):
    """Let hypothesis try all examples where slow tests run too, and workers share kernels."""
    effort.all_tests = config.option.markexpr != "not slow"
    if "CUDA_HOST_FOLDER" not in os.environ:  # which a worker inherits
        made = tempfile.TemporaryDirectory(prefix="fastxavier-cuda-")
        config.add_cleanup(made.cleanup)
        config.add_cleanup(lambda: os.environ.pop("CUDA_HOST_FOLDER"))
        os.environ["CUDA_HOST_FOLDER"] = made.name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let idle workers take tests from busy ones, as --dist worksteal does; load is the default.

    Not an option in pyproject.toml, because pytest-benchmark refuses to measure where it is set.
    """
    if config.option.dist == "load":
        from xdist.scheduler import WorkStealingScheduling

        return WorkStealingScheduling(config, log)
    return None  # as --dist says


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(config, items):
    """Mark the tests that slow.txt lists, and those of some implementations.

    A test that is run by its name is never slow.
    """
    config.stash[unmatched] = []
    if any("::" in argument for argument in config.args):
        return
    tests, files = {}, set()
    for item in items:
        tests.setdefault(f"{item.path.name}::{item.originalname}", []).append(item)
        files.add(item.path.name)
    slow = set()
    for line in SLOW.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        test, _, parameters = line.removeprefix("!").partition("[")
        pattern = parameters.removesuffix("]").replace("[", "[[]")
        found = {item for item in tests.get(test, ()) if fnmatchcase(parameters_of(item), pattern)}
        slow = slow - found if line.startswith("!") else slow | found
        file = test.partition("::")[0]
        if not found and (file in files or not SLOW.with_name(file).exists()):
            config.stash[unmatched].append(line)
    # Golden values are those of every implementation; of the rest the best and plain C run always.
    others = _core.available_isas()[1:-1]
    slow |= {
        item
        for item in items
        if hasattr(item, "callspec")
        and item.callspec.params.get("isa") in others
        and item.path.name != "test_golden.py"
    }
    for item in slow:
        item.add_marker(pytest.mark.slow)


def parameters_of(item):
    """What is in the brackets of a test's name."""
    return item.callspec.id if hasattr(item, "callspec") else ""
