"""Compile src_c/ and its Cython binding into fastxavier._core; pyproject.toml has the rest.

FASTXAVIER_OPENMP=0 builds for one thread; otherwise OpenMP is used wherever the compiler has it.
"""

import os
import pathlib
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

# The kernels take longest to compile, so they are started first.
SOURCES = sorted(
    pathlib.Path("src_c").rglob("*.c"), key=lambda path: (path.parent.name != "simd", path)
)

# No instruction-set flag: kernels open their own target regions and are chosen at run time.
# The others come after the user's CFLAGS, because bit identity forbids what these switch off. They
# go to the linker too: under -ffast-math gcc links an object that flushes the whole process's
# subnormals to zero.
EXACT = [
    "-O3",
    "-fno-fast-math",
    "-fno-unsafe-math-optimizations",
    "-fno-associative-math",
    "-fno-finite-math-only",
    "-ffp-contract=off",
]

# Python's own flags ask for debug data, which take gcc twice as long as the kernels themselves and
# fill 20 MB. Hidden is everything that is not marked FX_API.
COMPILE = [*EXACT, "-g0", "-fvisibility=hidden"]

# So that the binding calls this library, whatever other library exports the same names.
LINK = [*EXACT, *(["-Wl,-Bsymbolic-functions"] if sys.platform.startswith("linux") else [])]


def openmp_flags(compiler):
    """The compile and link flags with which a program using OpenMP builds, or nothing."""
    if os.environ.get("FASTXAVIER_OPENMP") == "0":
        return [], []
    candidates = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])]
    folder = tempfile.mkdtemp()
    try:
        source = pathlib.Path(folder, "openmp.c")
        source.write_text(
            "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
        )
        for compile_flags, link_flags in candidates:
            try:
                objects = compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=compile_flags
                )
                compiler.link_executable(
                    objects, "openmp", output_dir=folder, extra_postargs=link_flags
                )
            except Exception:  # each compiler has its own kind of failure
                continue
            return compile_flags, link_flags
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("fastxavier: no OpenMP here; the build fills on one thread")
    return [], []


def processors():
    """How many compilers may run at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class BuildCore(build_ext):
    """build_ext with the flags above, and as many compilers at once as there are processors."""

    def build_extensions(self):
        compile_flags, link_flags = openmp_flags(self.compiler)
        for extension in self.extensions:
            extension.extra_compile_args = COMPILE + compile_flags
            extension.extra_link_args = LINK + link_flags
            extension.libraries = ["m"]
        compile_serially = self.compiler.compile

        def compile_in_parallel(sources, **options):
            with ThreadPoolExecutor(processors()) as pool:
                made = pool.map(lambda source: compile_serially([source], **options), sources)
                return [name for names in made for name in names]

        self.compiler.compile = compile_in_parallel
        super().build_extensions()


class BuildPython(build_py):
    """build_py, with the text that fastxavier/_cuda compiles at run time beside the package."""

    def run(self):
        super().run()
        if self.editable_mode:  # there it is read from src_c
            return
        for folder in ("shared", "cuda"):
            for source in sorted(pathlib.Path("src_c", folder).iterdir()):
                target = pathlib.Path(self.build_lib, "fastxavier", "_src_c", folder, source.name)
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))


def version():
    """The version of the C header, which has its only copy."""
    header = pathlib.Path("src_c/fastxavier.h").read_text()
    return re.search(r'#define FX_VERSION "(.+)"', header).group(1)


setup(
    version=version(),
    cmdclass={"build_ext": BuildCore, "build_py": BuildPython},
    ext_modules=cythonize(
        [
            Extension(
                "fastxavier._core",
                ["fastxavier/_core.pyx", *map(str, SOURCES)],
                include_dirs=["src_c", np.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
                depends=[
                    "fastxavier/_target.pxi",
                    *map(str, sorted(pathlib.Path("src_c").rglob("*.h"))),
                ],
            )
        ],
        language_level=3,
    ),
)
