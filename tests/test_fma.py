"""The exact fma of CPUs without the instruction, in plain C and in SSE2, against libm's."""

import os
import pathlib
import shutil
import subprocess
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.skipif(
    "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""),
    reason="musl's fmaf rounds subnormal results twice, and its fma loses the sign of a zero",
)
def test_fma(tmp_path):
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = os.environ.get("CC") or shutil.which(compiler) or "cc"
    flags = ["-O2", "-ffp-contract=off", "-I", ROOT / "src_c"]
    command = [
        *compiler.split(),
        *flags,
        ROOT / "tests" / "c" / "fma.c",
        "-o",
        tmp_path / "fma",
        "-lm",
    ]
    subprocess.run(command, check=True, timeout=120)
    program = subprocess.run(
        [tmp_path / "fma"], check=True, capture_output=True, text=True, timeout=120
    )
    for line in program.stdout.splitlines():
        cases, wrong, hard = map(int, line.split())
        assert wrong == 0, program.stderr
        assert cases > 2_000_000
        assert hard > 100_000
    assert len(program.stdout.splitlines()) == 3
