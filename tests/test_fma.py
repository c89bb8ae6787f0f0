"""The exact fma of CPUs without the instruction, in plain C and in SSE2, against libm's."""

import os
import pathlib
import shutil
import subprocess
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def compilers():
    """The compiler of this Python or of the environment, and clang where there is one."""
    found = [os.environ.get("CC"), (sysconfig.get_config_var("CC") or "cc").split()[0], "clang"]
    found += [f"clang-{version}" for version in range(14, 30)]
    return list(dict.fromkeys(one for one in found if one and shutil.which(one.split()[0])))


@pytest.mark.skipif(
    "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""),
    reason="musl's fmaf rounds subnormal results twice, and its fma loses the sign of a zero",
)
@pytest.mark.parametrize("optimization", ["-O0", "-O2"])
@pytest.mark.parametrize("compiler", compilers())
def test_fma(tmp_path, compiler, optimization):
    source, program = ROOT / "tests" / "c" / "fma.c", tmp_path / "fma"
    flags = [optimization, "-ffp-contract=off", "-I", ROOT / "src_c", "-o", program]
    subprocess.run([*compiler.split(), *flags, source, "-lm"], check=True, timeout=120)
    ended = subprocess.run([program], check=True, capture_output=True, text=True, timeout=120)
    lines = ended.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        cases, wrong, hard = map(int, line.split())
        assert wrong == 0, ended.stderr
        assert cases > 2_000_000
        assert hard > 100_000
