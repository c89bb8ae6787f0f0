"""Run the tests on a big-endian machine, Debian's Python for s390x under qemu-user:
python tools/bigendian.py [arguments of pytest]

Fetches some 45 MB: Debian's packages below with what they depend on, through apt, which checks
their signatures; and the source of ml_dtypes, which Debian has not, through pip. They are unpacked
into build/s390x, nothing is installed. The package and ml_dtypes are cross-compiled.
"""

import os
import pathlib
import shutil
import subprocess
import sys

FOLDER = pathlib.Path("build/s390x").absolute()
APT = FOLDER / "apt"
ROOT = FOLDER / "root"  # what / is for the emulated
SITE = ROOT / "usr/lib/python3/dist-packages"
LIBRARIES = "/usr/lib/s390x-linux-gnu"
PYTHON = "python3.13"
EMULATED = FOLDER / "python"

SUITE = "trixie"
PACKAGES = [
    "libgomp1",
    "python3",
    "python3-hypothesis",
    "python3-mpmath",
    "python3-numpy",
    "python3-pytest",
    "python3-pytest-xdist",
    "python3-rich",
    "python3-safetensors",
    "python3-scipy",
    "python3-threadpoolctl",
]
HEADERS = "libpython3.13-dev"  # without what it depends on: the cross-compiler has its own
ML_DTYPES = "ml_dtypes-0.5.3"

# All else in tests is run.
LEFT_OUT = {
    "test_accuracy.py": "ten minutes more, of values whose hashes test_golden.py compares",
    "test_arrays.py::test_no_copy_is_made": "the memory measured would be the emulator's",
    "test_bench.py": "it measures speed",
    "test_cli.py": "ten minutes more, mostly of starting interpreters",
    "test_docs.py": "the documentation's examples tell of this machine",
    "test_examples.py": "scikit-learn and matplotlib are not fetched",
    "test_faults.py": "forks, signals and limits would be the emulator's, not the machine's",
    "test_moments.py": "nine minutes more, of values whose hashes test_golden.py compares",
    "test_processes.py": "forks, signals and limits would be the emulator's, not the machine's",
    "test_randomness.py": "its matrix products take too long to emulate",
    "test_threads.py": "threads and their limits would be the emulator's, not the machine's",
}

TOOLS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "qemu-s390x-static": "qemu-user-static",
    "s390x-linux-gnu-gcc": "gcc-s390x-linux-gnu",
    "s390x-linux-gnu-g++": "g++-s390x-linux-gnu",
    "/usr/s390x-linux-gnu/include/stdio.h": "libc6-dev-s390x-cross",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}

APT_CONF = f"""\
APT::Architecture "s390x";
APT::Architectures {{ "s390x"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "{APT}/state";
Dir::State::status "{APT}/status";
Dir::Cache "{APT}/cache";
Dir::Etc "{APT}/etc";
"""

# Programs that tests start are emulated too: what they take for the interpreter is this script.
SCRIPT = f"""\
#!/bin/sh
exec qemu-s390x-static -L {ROOT} -E PYTHONSAFEPATH=1 \\
    -E LD_LIBRARY_PATH={LIBRARIES}/blas:{LIBRARIES}/lapack {ROOT}/usr/bin/{PYTHON} "$@"
"""


def run(*command, **options):
    """A command that must succeed."""
    subprocess.run(list(map(str, command)), check=True, **options)


def mirror():
    """Where this system has its own packages from."""
    list_targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.check_output(list_targets, text=True).split()
    return next(uri for uri in listed if uri.rstrip("/").endswith("/debian"))


def unpack_debian():
    """A folder with Debian's Python and all it needs, as apt would install them."""
    for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
        (APT / folder).mkdir(parents=True, exist_ok=True)
    (APT / "status").touch()
    (APT / "apt.conf").write_text(APT_CONF)
    source = f"deb [signed-by={list(TOOLS)[-1]}] {mirror()} {SUITE} main\n"
    (APT / "etc/sources.list").write_text(source)
    environment = {**os.environ, "APT_CONFIG": str(APT / "apt.conf")}
    archives = APT / "cache/archives"
    run("apt-get", "-q", "update", env=environment)
    run("apt-get", "-qy", "install", "--download-only", *PACKAGES, env=environment)
    run("apt-get", "-q", "download", HEADERS, env=environment, cwd=archives)
    for package in archives.glob("*.deb"):
        run("dpkg-deb", "-x", package, ROOT)
    (ROOT / "lib").symlink_to("usr/lib")
    EMULATED.write_text(SCRIPT)
    EMULATED.chmod(0o755)
    (SITE / "emulated.pth").write_text(f"import sys; sys.executable = {str(EMULATED)!r}\n")


def compile_extension(compiler, flags, sources, output):
    """A module for the emulated interpreter; C's own headers are the cross-compiler's."""
    output.parent.mkdir(exist_ok=True)
    includes = [
        f"-I{ROOT}/usr/include/{PYTHON}",
        f"-I{ROOT}{LIBRARIES}/python3-numpy/numpy/_core/include",
        f"-idirafter{ROOT}/usr/include",
    ]
    compiler = f"s390x-linux-gnu-{compiler}"
    run(compiler, "-shared", "-fPIC", *flags, *includes, *sources, "-lm", "-o", output)


def build_ml_dtypes():
    """Its extension, from the source that its authors publish."""
    sdist = FOLDER / f"{ML_DTYPES}.tar.gz"
    requirement = ML_DTYPES.replace("-", "==")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=ml_dtypes"]
    run(*pip, f"--dest={FOLDER}", requirement)
    shutil.unpack_archive(sdist, FOLDER)
    source = FOLDER / ML_DTYPES
    flags = ["-std=c++17", "-O1", "-DEIGEN_MPL2_ONLY", "-ftrapping-math", "-fvisibility=hidden"]
    flags += [f"-I{source}", f"-I{source}/third_party/eigen"]
    extension = SITE / "ml_dtypes/_ml_dtypes_ext.so"
    compile_extension("g++", flags, (source / "ml_dtypes/_src").glob("*.cc"), extension)
    shutil.copytree(source / "ml_dtypes", SITE / "ml_dtypes", dirs_exist_ok=True)


def build_package():
    """This package, with the flags that setup.py gives it."""
    generated = FOLDER / "_core.c"
    run(sys.executable, "-m", "cython", "-3", "fastxavier/_core.pyx", "-o", generated)
    flags = ["-O3", "-ffp-contract=off", "-fopenmp", "-Isrc_c"]
    flags += ["-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION"]
    sources = [generated, *pathlib.Path("src_c").rglob("*.c")]
    shutil.rmtree(SITE / "fastxavier", ignore_errors=True)
    ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree("fastxavier", SITE / "fastxavier", ignore=ignored)
    compile_extension("gcc", flags, sources, SITE / "fastxavier/_core.so")


def main(arguments):
    """Prepare what is not there yet, then test."""
    missing = {p for path, p in TOOLS.items() if not (shutil.which(path) or os.path.exists(path))}
    if missing:
        return f"not installed: {', '.join(sorted(missing))}"
    unpacked = FOLDER / "unpacked"
    if not unpacked.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        unpack_debian()
        build_ml_dtypes()
        unpacked.touch()
    build_package()
    order = "import sys, fastxavier; print(sys.byteorder, 'endian:', fastxavier.__file__)"
    run(EMULATED, "-c", order + "; sys.exit(sys.byteorder != 'big')")
    for name, reason in LEFT_OUT.items():
        print(f"skipped: tests/{name}, because {reason}")
    left_out = [f"--{'deselect' if '::' in n else 'ignore'}=tests/{n}" for n in LEFT_OUT]
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "auto", "-m", ""]
    return subprocess.run([str(EMULATED), *pytest, *(arguments or left_out)]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
