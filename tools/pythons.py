"""Run the tests in every supported version of Python: python tools/pythons.py [VERSION ...]

A version is 3.12, 3.14t (free-threaded) or the path of an interpreter; without any, all that are
supported. Interpreters come from PATH, pyenv or uv; those that none of them has are reported as
skipped. Each version has a virtual environment under build/pythons. Called by `make pythons` and
`make freethreaded`.
"""

import os
import pathlib
import shutil
import subprocess
import sys

VERSIONS = ["3.10", "3.11", "3.12", "3.13", "3.14", "3.13t", "3.14t"]
FOLDER = pathlib.Path("build/pythons")

ASK = """
import sys, sysconfig
print("%d.%d" % sys.version_info[:2] + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
"""

# Of a free-threaded Python the tests of threads and faults are run, since not every package that
# the others need is there for it.
THREADED_PACKAGES = ["pytest", "pytest-xdist", "hypothesis", "mpmath", "ml_dtypes", "threadpoolctl"]
THREADED_TESTS = ["test_faults", "test_processes", "test_stability", "test_streams", "test_threads"]
NO_LOCK = "--deselect=tests/test_threads.py::test_gil_is_free_during_a_fill"  # there is none
LOCK_IS_OFF = """
import sys, warnings
warnings.simplefilter("error")
import fastxavier
sys.exit(sys._is_gil_enabled() and "importing fastxavier switched the global lock on")
"""


def version_of(interpreter):
    """What version an interpreter is, or None where it does not run."""
    try:
        found = subprocess.run([interpreter, "-c", ASK], capture_output=True, text=True)
    except OSError:
        return None
    return found.stdout.strip() or None


def candidates(version):
    """Paths at which an interpreter of a version may be."""
    name = f"python{version}"
    for folder in os.get_exec_path():
        yield pathlib.Path(folder, name)
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/*/bin/{name}"))
    if shutil.which("uv"):
        subprocess.run(["uv", "python", "install", "--quiet", version], capture_output=True)
        found = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True)
        yield pathlib.Path(found.stdout.strip())


def interpreter_of(version):
    """The path of an interpreter that runs, or None."""
    runs = (path for path in candidates(version) if path.is_file() and version_of(path) == version)
    return next(runs, None)


def passes(interpreter, version):
    """Install into an environment of the version's own, run the tests: whether all passed."""
    threaded = version.endswith("t")
    folder = FOLDER / version
    python = folder / "bin/python"
    packages = ["-e", ".", *THREADED_PACKAGES] if threaded else ["-e", ".[test]"]
    tests = ["-n", "auto", "--maxprocesses", "4"]
    if threaded:
        tests = [NO_LOCK, *(f"tests/{name}.py" for name in THREADED_TESTS)]
    commands = [
        [interpreter, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "--quiet", "--prefer-binary", *packages],
        [python, "-VV"],
        *([[python, "-c", LOCK_IS_OFF]] if threaded else []),
        [python, "-m", "pytest", "-q", *tests],
    ]
    return all(subprocess.run(command).returncode == 0 for command in commands)


def main(arguments):
    failed = []
    for argument in arguments or VERSIONS:
        interpreter = argument if "/" in argument else interpreter_of(argument)
        version = version_of(interpreter) if interpreter else None
        if version:
            print(f"==== Python {version}: {interpreter}", flush=True)
            failed += [] if passes(interpreter, version) else [version]
        else:
            print(f"skipped: Python {argument}, because no interpreter of that version was found")
    return f"failed: Python {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
