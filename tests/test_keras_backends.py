"""The tests of fastxavier.keras on each backend that is installed, in a process of its own.

Keras has one backend for the life of a process.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

keras = pytest.importorskip("keras")

import fastxavier.keras  # noqa: E402
from fastxavier.keras._backends import BACKENDS  # noqa: E402

HERE = pathlib.Path(__file__).parent
FILES = ("initializers", "model", "tensors")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def run(backend, *arguments):
    command = [sys.executable, *arguments]
    environment = {**os.environ, **QUIET, "KERAS_BACKEND": backend}
    done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("part", ["bits", "all"])
def test_on_backend(part, backend):
    """All classes in all dtypes have the bits of `draw`, and so the same on all backends.

    "all" runs every test of the other files. Those of this process's backend are run as they are.
    """
    if not find_spec(backend):  # which takes no seconds, as importing it does
        pytest.skip(f"could not import {backend!r}: it is not installed")
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the backend of this process")
    files = [str(HERE / f"test_keras_{name}.py") for name in FILES]
    chosen = ["-k", "bits or golden or law and default"] if part == "bits" else ["-m", ""]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    printed = run(backend, "-m", "pytest", *options, *chosen, *files)
    assert " passed" in printed


def test_import_is_lazy():
    """fastxavier imports no keras, and fastxavier.keras no other framework than its backend."""
    lines = "import sys, fastxavier; print('keras' in sys.modules)"
    assert run("numpy", "-c", lines) == "False\n"
    lines = "import sys, fastxavier.keras; print({'tensorflow', 'torch'} & set(sys.modules))"
    assert run("numpy", "-c", lines) == "set()\n"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # by Keras
def test_a_file_where_fastxavier_is_not_imported(tmp_path):
    """Keras takes its own class of the name, as the help of `register` says."""
    path = str(tmp_path / "model.keras")
    layer = keras.layers.Dense(3, kernel_initializer="fastxavier>he_normal")
    keras.Sequential([keras.layers.Input((4,)), layer]).save(path)
    lines = f"""
import keras
loaded = keras.models.load_model({path!r})
print(type(loaded.layers[0].kernel_initializer).__module__.partition(".")[0])
print(keras.ops.convert_to_numpy(loaded.layers[0].kernel.value).tobytes().hex())
"""
    weights = keras.ops.convert_to_numpy(layer.kernel.value).tobytes().hex()
    assert run("numpy", "-c", lines) == f"keras\n{weights}\n"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("keras", 'fastxavier.keras needs keras: pip install "fastxavier[keras]"'),
        ("torch", "fastxavier.keras needs a backend of keras, and torch is not installed"),
    ],
)
def test_what_is_missing_is_named(missing, message):
    lines = f"""
import sys
sys.modules[{missing!r}] = None
try:
    import fastxavier.keras
except ImportError as error:
    print(error.name, error)
"""
    printed = run("torch", "-c", lines)
    assert printed.startswith(f"{missing} {message}")


def test_a_backend_that_is_not_known(monkeypatch):
    monkeypatch.setattr(fastxavier.keras._backends, "BACKEND", "openvino")
    with pytest.raises(ValueError, match="the backend of keras is 'openvino'; it must be one of"):
        fastxavier.keras.HeNormal(seed=7)((3, 4))
