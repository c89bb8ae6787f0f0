"""Run what concerns threads in a free-threaded Python: python tools/freethreaded.py [of pytest's]

Takes the interpreter that FREETHREADED names, python3.14t or python3.13t where there is one, or the
one that uv has or fetches where there is uv. Without any it says "skipped: ..." and why. Debian has
none; CPython's own source, configured with --disable-gil, makes one in some minutes.
"""

import os
import pathlib
import shutil
import subprocess
import sys

NAMES = ["python3.14t", "python3.13t"]
PACKAGES = ["pytest", "hypothesis", "mpmath", "ml_dtypes", "threadpoolctl"]
TESTS = ["faults", "processes", "stability", "streams", "threads"]
FOLDER = pathlib.Path("build/freethreaded")
PYTHON = FOLDER / "bin/python"
NO_LOCK = (
    "--deselect=tests/test_threads.py::test_gil_is_free_during_a_fill"  # there is none to free
)

WITHOUT_LOCK = """
import sys, warnings
warnings.simplefilter("error")
import fastxavier
sys.exit(sys._is_gil_enabled() and "importing fastxavier switched the global lock on")
"""


def found():
    """An interpreter, or None and why."""
    named = os.environ.get("FREETHREADED")
    for name in [named] if named else NAMES:
        if path := shutil.which(name):
            return path, None
    if named:
        sys.exit(f"FREETHREADED is {named!r}; it must be the path of an interpreter")
    missing = f"there is no {' nor '.join(NAMES)}"
    if not shutil.which("uv"):
        return None, missing + " and no uv to fetch one"
    version = NAMES[0].removeprefix("python")
    fetched = subprocess.run(["uv", "python", "install", version], capture_output=True, text=True)
    path = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True)
    if path.returncode == 0:
        return path.stdout.strip(), None
    why = fetched.stderr.strip().splitlines() or ["no reason given"]
    return None, f"{missing}, and uv cannot fetch one: {why[-1].strip()}"


def main(arguments):
    interpreter, why = found()
    if not interpreter:
        print(f"skipped: the free-threaded interpreter, because {why}; FREETHREADED=path names one")
        return
    subprocess.run([interpreter, "-m", "venv", "--clear", FOLDER], check=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "-e", ".", *PACKAGES]
    binary = {**os.environ, "PIP_PREFER_BINARY": "1"}  # an older NumPy rather than building one
    subprocess.run(pip, env=binary, check=True)
    subprocess.run([PYTHON, "-VV"], check=True)
    subprocess.run([PYTHON, "-c", WITHOUT_LOCK], check=True)
    tests = [f"tests/test_{name}.py" for name in TESTS]
    sys.exit(subprocess.run([PYTHON, "-m", "pytest", "-q", NO_LOCK, *tests, *arguments]).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
