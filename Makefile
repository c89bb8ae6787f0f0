# What a maintainer does, one command each; `make help` lists them from their own comments.
PYTHON ?= python3
CC ?= cc
VENV = .venv
BIN = $(VENV)/bin
HEADERS = $(wildcard src_c/*.h src_c/shared/*.h src_c/simd/*.h src_c/cuda/*.h)
SOURCES = $(wildcard src_c/simd/*.c src_c/*.c)
OBJECTS = $(SOURCES:src_c/%.c=build/objects/%.o)
LIBRARY = build/libfastxavier.a
CORE = $(HEADERS) $(SOURCES)
C_FLAGS = -O3 -Wall -Wextra -ffp-contract=off -fvisibility=hidden -fopenmp -Isrc_c
KNOWN = tests/data/philox4x32_10.txt tests/data/golden.txt

.PHONY: library help test test-all test-torch test-jax test-keras test-dask test-dask-oldest test-cuda gpu test-oldest pythons lint docs smoke check-c emulate compilers bigendian freethreaded sanitize coverage mutants fuzz exhaustive smallcrush crush bigcrush polynomials cycles ports instructions speed clean

library: $(LIBRARY)  ## the C core as build/libfastxavier.a; make -j2 compiles two files at once

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

$(VENV)/installed: pyproject.toml setup.py $(CORE) fastxavier/_core.pyx fastxavier/_target.pxi fastxavier/c_fastxavier.pxd
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[test,lint,bench]"
	touch $@

test: $(VENV)/installed  ## install into .venv and run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(VENV)/installed  ## ruff, and mypy over the package and its stubs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest fastxavier._core --ignore-missing-stub --ignore-disjoint-bases \
	    --mypy-config-file pyproject.toml

test-all: $(VENV)/installed  ## all tests, those of tests/slow.txt too; MARKED=slow: those alone
	$(BIN)/python -m pytest -n auto --maxprocesses 4 -m "$(MARKED)"

test-torch: $(VENV)/installed  ## the tests that need torch, with its version that they were written for
	$(BIN)/pip install --quiet torch==2.13.0 transformers
	$(BIN)/pip install --quiet --no-deps timm  # with its torchvision, torch would be that for CUDA
	$(BIN)/python -m pytest -q -m "" tests/test_torch_*.py tests/test_coming_from.py tests/test_verify*.py tests/test_docs.py tests/test_every_way.py -k "torch"

test-jax: $(VENV)/installed  ## the tests that need jax, with its version that they were written for, and its frameworks
	$(BIN)/pip install --quiet jax==0.10.2 flax==0.12.8 equinox==0.13.8 dm-haiku==0.0.17
	$(BIN)/python -m pytest -q -n auto --maxprocesses 2 -m "" tests/test_jax_*.py tests/test_coming_from.py tests/test_docs.py tests/test_every_way.py -k "jax"

KERAS_PACKAGES = keras==3.15.0 tensorflow-cpu==2.21.0 torch==2.13.0 jax==0.10.2
KERAS_TESTS = tests/test_keras_*.py tests/test_bench.py tests/test_coming_from.py tests/test_docs.py tests/test_every_way.py

test-keras: $(VENV)/installed  ## the tests that need Keras, on its NumPy, torch, JAX and TensorFlow backends
	$(BIN)/pip install --quiet $(KERAS_PACKAGES)
	$(BIN)/python -m pytest -q -n auto --maxprocesses 2 -m "$(MARKED)" $(KERAS_TESTS) -k "keras or Keras or TensorFlow"

DASK_TESTS = tests/test_dask*.py tests/test_zarr.py tests/test_docs.py tests/test_every_way.py
DASK_OLDEST = $(shell sed -nE 's/^(dask|zarr) = \["(.*)>=(.*)"\]/"\2==\3.*"/p' pyproject.toml)

test-dask: $(VENV)/installed  ## the tests that need dask, zarr, xarray and cubed, with the versions that they were written for; FLOORS=1: then the oldest dask and zarr
	$(BIN)/pip install --quiet "dask[array]==2026.8.0" distributed==2026.8.0 zarr==3.1.6 xarray==2026.9.0 cubed==0.27.0
	$(BIN)/python -m pytest -q -m "" $(DASK_TESTS) -k "dask or zarr"
	$(if $(FLOORS),$(MAKE) test-dask-oldest)

# It takes what was built for .venv, which is in fastxavier/.
test-dask-oldest: $(VENV)/installed
	$(BIN)/python -m venv build/floors
	build/floors/bin/pip install --quiet $(DASK_OLDEST) "ml_dtypes>=0.4" scipy mpmath pytest hypothesis
	build/floors/bin/python -m pytest -q -m "" $(DASK_TESTS) -k "dask or zarr"

CUDA_PACKAGES = $(shell sed -n 's/^cuda = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ,)
CUDA_TESTS = tests/test_cuda_compile.py tests/test_cuda_arrays.py

# NVIDIA's packages have a folder of their own, because other tests expect that they are missing.
test-cuda: $(VENV)/installed  ## the tests that need NVRTC: kernels compiled for every architecture; no GPU is needed
	$(BIN)/pip install --quiet --target build/nvrtc $(CUDA_PACKAGES) "nvidia-cuda-nvcc==13.*"
	PYTHONPATH=build/nvrtc $(BIN)/python -m pytest -q -m "" -n auto --maxprocesses 4 $(CUDA_TESTS)

# Frameworks of the benchmark, such as "torch cupy-cuda13x jax[cuda13]".
GPU_WITH ?= torch

gpu:  ## on a machine with an NVIDIA GPU: the bits of the CPU, sanitizers, streams, graphs, then the benchmark: GPU_WITH="torch"
	$(PYTHON) -m venv build/cuda
	build/cuda/bin/pip install --quiet -e ".[cuda,plots]" "ml_dtypes>=0.4" scipy $(GPU_WITH)
	build/cuda/bin/python tools/gpu/run.py $(PARTS)

OLDEST_NUMPY = $(shell sed -n 's/^dependencies = \["numpy>=\(.*\)"\]/\1/p' pyproject.toml)
OLDEST_TESTS = $(patsubst %,tests/test_%.py,streams arrays exporters validation init errors)

test-oldest:  ## some tests with the oldest NumPy that pyproject.toml allows; PYTHON must have wheels of it
	$(PYTHON) -m venv build/oldest
	build/oldest/bin/pip install --quiet -e . "numpy==$(OLDEST_NUMPY).*" "scipy==1.10.*" "ml_dtypes==0.4.*" pytest hypothesis mpmath
	build/oldest/bin/python -m pytest -q $(OLDEST_TESTS)

pythons:  ## the tests in each supported version of Python found here: VERSIONS="3.10 3.14t"
	$(PYTHON) tools/pythons.py $(VERSIONS)

freethreaded:  ## the tests of threads and faults in a free-threaded Python
	$(PYTHON) tools/pythons.py 3.13t 3.14t

docs: $(VENV)/installed  ## the documentation, with its examples run and its pictures drawn: docs/_build/html
	$(BIN)/pip install --quiet -e ".[docs]"
	$(BIN)/sphinx-build -W --keep-going -q $(SPHINX_FLAGS) -b html docs docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q $(SPHINX_FLAGS) -b doctest docs docs/_build/doctest

build/objects/%.o: src_c/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) -c $< -o $@

$(LIBRARY): $(OBJECTS)
	rm -f $@
	ar rcs $@ $^

CHECK = tests/c/check.c tests/c/fresh.c tests/c/launches.c tests/c/layouts.c tests/c/threads.c tests/c/xla_calls.c

build/check: $(CHECK) tests/c/check.h tests/c/blake2b.h $(LIBRARY)
	$(CC) $(C_FLAGS) $(CHECK) $(LIBRARY) -lm -o $@

check-c: build/check  ## the C core without Python: known answers, golden values, refusals, symbols
	build/check $(KNOWN)
	@nm -g --defined-only $(LIBRARY) | sed -n 's/.* [A-Z] _*\(.*\)/\1/p' | grep -v '^fx__' | sort > build/exported
	@sed -n 's/^FX_API.*[ *]\(fx_[a-z_]*\)(.*/\1/p' src_c/fastxavier.h | sort | diff - build/exported && \
	    echo "$$(wc -l < build/exported) functions of fastxavier.h, and no other symbol without the prefix fx__"

emulate:  ## the same as AArch64, s390x, riscv64, ppc64le and older x86-64, under qemu-user
	$(PYTHON) tools/targets.py emulate $(SKIP)

compilers: $(VENV)/installed  ## the same from gcc and clang at each -O, -ffast-math refused; macOS and Windows compiled
	$(BIN)/pip install --quiet "ziglang>=0.13" "setuptools>=77" "cython>=3.1"
	$(BIN)/python tools/targets.py compilers $(SKIP)

bigendian: $(VENV)/installed  ## most tests in s390x Python under qemu-user; fetches Debian's, some 45 MB
	$(BIN)/pip install --quiet "cython>=3.1"
	$(BIN)/python tools/bigendian.py

exhaustive: $(LIBRARY)  ## every word of the float32 normals, truncated at 2 and 3 too: the error bounds (some minutes)
	$(CC) $(C_FLAGS) -Wno-unused-function -march=native tests/c/exhaustive.c $(LIBRARY) -lm -o build/exhaustive
	build/exhaustive

sanitize: $(VENV)/installed  ## sanitizers and valgrind over C and Python tests: PARTS="address threads memory python"
	$(BIN)/pip install --quiet "cython>=3.1"
	$(BIN)/python tools/sanitize.py $(PARTS)

coverage:  ## lines and branches of the C core that its tests do not take; each needs a comment that says why
	$(PYTHON) tools/core_coverage.py

mutants: $(VENV)/installed  ## small changes that no test notices, in a day; SAMPLE=200 in an hour: MODULES="fastxavier/_fans.py src_c"
	$(BIN)/pip install --quiet "cosmic-ray>=8"
	$(BIN)/python tools/mutants.py $(MODULES) $(if $(SAMPLE),--sample $(SAMPLE))

# Seconds for each fuzzer; build/fuzz keeps the inputs that they have found.
FUZZ_SECONDS ?= 60
FUZZ_CC = clang-19
FUZZ_FLAGS = -O1 -g -ffp-contract=off -Isrc_c -fno-sanitize-recover=all
FUZZ_OBJECTS = $(SOURCES:src_c/%.c=build/fuzz/%.o)
FUZZ_CHECKS = fuzzer-no-link,address,undefined
build/fuzz/simd/isa_avx%.o: FUZZ_CHECKS = fuzzer-no-link,address

build/fuzz/%.o: src_c/%.c $(CORE)
	mkdir -p build/fuzz/fills $(@D)
	@ls "$$($(FUZZ_CC) -print-resource-dir)"/lib/*/libclang_rt.fuzzer* >/dev/null 2>&1 || \
	    { echo "missing, by their names in Debian: clang-19 libclang-rt-19-dev"; exit 1; }
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=$(FUZZ_CHECKS) -c $< -o $@

build/fuzz/fill: tests/fuzz/fill.c $(FUZZ_OBJECTS)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined $^ -lm -o $@

fuzz: build/fuzz/fill $(VENV)/installed  ## arbitrary bytes as arguments, shards, plans and headers: FUZZ_SECONDS=60 each
	build/fuzz/fill -max_total_time=$(FUZZ_SECONDS) -max_len=400 -timeout=60 -verbosity=0 -print_funcs=0 -print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/fills
	$(BIN)/python tests/fuzz/shards.py $(FUZZ_SECONDS)
	$(BIN)/pip install --quiet "atheris>=3"
	$(BIN)/python tests/fuzz/texts.py build/fuzz/texts -max_total_time=$(FUZZ_SECONDS) -max_len=4000 -timeout=60 -verbosity=0 -print_funcs=0 -print_final_stats=1 -artifact_prefix=build/fuzz/

polynomials: $(VENV)/installed  ## derive src_c/shared/polynomials.h again and compare
	$(BIN)/python tools/polynomials.py --check

build/batteries: tools/randomness/batteries.c tests/c/blake2b.h $(LIBRARY)
	@echo '#include <testu01.h>' | $(CC) -E - >/dev/null 2>&1 || \
	    { echo "needs Debian's libtestu01-0-dev, of its component non-free: see docs/randomness.md"; exit 1; }
	$(CC) -O3 -march=native -ffast-math -Wall -Wextra -Isrc_c -c tools/randomness/batteries.c -o build/batteries.o
	$(CC) -fopenmp build/batteries.o $(LIBRARY) -ltestu01 -ltestu01probdist -ltestu01mylib -lm -o $@

smallcrush: build/batteries  ## TestU01's SmallCrush over all generators, after weak ones that it must find (a minute)
	rm -f build/smallcrush.txt
	$(PYTHON) tools/randomness/run.py smallcrush --planted
	$(PYTHON) tools/randomness/run.py smallcrush --results build/smallcrush.txt

crush: build/batteries  ## TestU01's Crush, started or resumed: docs/randomness/crush.txt (about four core-hours)
	$(PYTHON) tools/randomness/run.py crush $(CRUSH_FLAGS)

bigcrush: build/batteries  ## the same with BigCrush, over the words and the normals (about seven core-hours)
	$(PYTHON) tools/randomness/run.py bigcrush --generators words normal32 normal64 $(CRUSH_FLAGS)

build/cycles: tools/cycles.c tools/cycle.inc.h $(LIBRARY)
	$(CC) $(C_FLAGS) tools/cycles.c $(LIBRARY) -lm -o $@

cycles: build/cycles  ## bytes per cycle of every kernel that runs here
	build/cycles

ports: build/objects/simd/isa_avx512.o build/objects/simd/isa_avx2.o  ## port-bound bytes per cycle of the AVX-512 and AVX2 kernels, from their code
	$(PYTHON) tools/ports.py $^

build/instructions: tools/instructions.c $(LIBRARY)
	$(CC) $(C_FLAGS) tools/instructions.c $(LIBRARY) -lm -o $@

instructions: build/instructions  ## instructions per value under callgrind, compared with tools/instructions.txt
	$(PYTHON) tools/instructions.py $<

speed: $(VENV)/installed  ## compare whatever is installed: docs/speed.svg, and the table of docs/benchmarks.md
	$(BIN)/fastxavier bench --size 64MiB --repetitions 5 --json docs/benchmark.json --plot docs/speed.svg

smoke: $(VENV)/installed  ## every benchmark once, of asv and of pytest-benchmark, without judging times
	$(BIN)/python -m pytest -q -p no:cacheprovider --benchmark-disable benchmarks
	$(BIN)/asv machine --yes
	$(BIN)/asv run --quick --show-stderr HEAD^!

clean:  ## remove what was built
	rm -rf build $(VENV) fastxavier/_core.c fastxavier/*.so *.egg-info
