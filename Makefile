# Every habit of this project is one command here; `make help` lists them from their own comments.
PYTHON ?= python3
CC ?= cc
VENV = .venv
BIN = $(VENV)/bin
CORE = $(filter-out src_c/%.inc.h, $(wildcard src_c/*.h)) $(wildcard src_c/*.c)
C_FLAGS = -O2 -Wall -Wextra -ffp-contract=off -Isrc_c
KNOWN = tests/data/philox4x32_10.txt tests/data/golden.txt

.PHONY: help test freethreaded lint docs smoke check-c neon exhaustive polynomials cycles instructions speed clean

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

$(VENV)/installed: pyproject.toml setup.py $(CORE) $(wildcard src_c/*.inc.h) fastxavier/_core.pyx fastxavier/c_fastxavier.pxd
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[test,lint,bench]"
	touch $@

test: $(VENV)/installed  ## install into .venv and run the tests
	$(BIN)/python -m pytest

lint: $(VENV)/installed  ## ruff, and mypy over the package and its stubs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest fastxavier._core --ignore-missing-stub --ignore-disjoint-bases

freethreaded:  ## the tests of threads and faults in a free-threaded Python, where one can be had
	$(PYTHON) tests/freethreaded.py

docs: $(VENV)/installed  ## the documentation site, its examples run and its pictures drawn: docs/_build/html
	$(BIN)/pip install --quiet -e ".[docs]"
	$(BIN)/sphinx-build -W --keep-going -q $(SPHINX_FLAGS) -b html docs docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q $(SPHINX_FLAGS) -b doctest docs docs/_build/doctest

build/check: tests/c/check.c tests/c/blake2b.h $(CORE) $(wildcard src_c/*.inc.h)
	mkdir -p build
	$(CC) $(C_FLAGS) -fopenmp tests/c/check.c src_c/*.c -lm -o $@

check-c: build/check  ## the C core without Python: known answers, golden values, refusals
	build/check $(KNOWN)

build/check-aarch64: tests/c/check.c tests/c/blake2b.h $(CORE) $(wildcard src_c/*.inc.h)
	mkdir -p build
	aarch64-linux-gnu-gcc $(C_FLAGS) -static -fopenmp tests/c/check.c src_c/*.c -lm -o $@

neon: build/check-aarch64  ## the same for AArch64 and its NEON kernels, under qemu-user
	qemu-aarch64-static build/check-aarch64 $(KNOWN)

exhaustive:  ## every radius and angle word of the float32 normal: the error bound (some minutes)
	mkdir -p build
	$(CC) -O3 -march=native -fopenmp -ffp-contract=off -Isrc_c tests/c/exhaustive.c -lm -o build/exhaustive
	build/exhaustive

polynomials: $(VENV)/installed  ## derive src_c/polynomials.h anew and compare
	$(BIN)/python src_c/polynomials.py --check

cycles:  ## bytes per cycle of every kernel that runs here
	mkdir -p build
	$(CC) -O3 -ffp-contract=off -fopenmp -Isrc_c benchmarks/cycles.c src_c/*.c -lm -o build/cycles
	build/cycles

instructions:  ## instructions per value under callgrind, beside benchmarks/instructions.txt
	$(PYTHON) benchmarks/instructions.py

speed: $(VENV)/installed  ## race memset, NumPy and whatever else is installed: the README's picture
	$(BIN)/fastxavier bench --size 256KiB 1GiB --plot docs/speed.svg

smoke: $(VENV)/installed  ## every benchmark once, of asv and of pytest-benchmark: no time is judged
	$(BIN)/python -m pytest -q -p no:cacheprovider --benchmark-disable benchmarks
	$(BIN)/asv machine --yes
	$(BIN)/asv run --quick --show-stderr HEAD^!

clean:  ## remove what was built
	rm -rf build $(VENV) fastxavier/_core.c fastxavier/*.so *.egg-info
