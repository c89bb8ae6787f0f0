"""The maintainers' tools: tools/compare.py, tools/instructions.py, tools/ports.py."""

import importlib.util
import json
import pathlib

import pytest

from fastxavier._dtypes import FLOATS


def script(name):
    """A program of tools/ as a module."""
    path = pathlib.Path(__file__).parents[1] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_ratio_that_fell_is_found(tmp_path):
    compare = script("compare")
    before = {
        "a, fraction of memset": 0.5,
        "b, fraction of memset": 0.5,
        "c, fraction of memset": 0.5,
        "a, times NumPy": 20.0,
    }
    after = {"a, fraction of memset": 0.43, "b, fraction of memset": 0.42, "a, times NumPy": 1.0}
    assert compare.fallen(before, before, 0.15) == []
    fallen = ["b, fraction of memset", "c, fraction of memset"]
    assert compare.fallen(before, after, 0.15) == fallen
    for number, ratio in (("0001", 0.5), ("0002", 0.6)):
        run = tmp_path / "machine" / f"{number}_before.json"
        run.parent.mkdir(exist_ok=True)
        params = {"distribution": "uniform", "dtype": "float32"}
        info = {"fraction of memset": ratio}
        run.write_text(json.dumps({"benchmarks": [{"params": params, "extra_info": info}]}))
    saved = {"uniform, float32, fraction of memset": 0.6}
    assert compare.saved("before", tmp_path) == saved
    with pytest.raises(SystemExit, match="no run 'after'"):
        compare.saved("after", tmp_path)
    (tmp_path / "machine" / "0003_empty.json").write_text(json.dumps({"benchmarks": []}))
    with pytest.raises(SystemExit, match="run 'empty' has no ratios"):
        compare.saved("empty", tmp_path)


def test_a_count_that_strayed_is_found():
    instructions = script("instructions")
    table = {"a": 10.0, "b": 10.0, "c": 10.0}
    assert instructions.strayed(table, table) == []
    assert instructions.strayed({"a": 10.19, "b": 9.79, "d": 1.0}, table) == ["b", "d", "c"]
    made_by, counts = instructions.read()
    assert made_by
    assert {kernel.split()[0] for kernel in counts} == set(instructions.ISAS)
    assert len(counts) == 5 * len(FLOATS) * len(instructions.ISAS)


LISTING = """\
  10:	vpmuludq %ymm1,%ymm2,%ymm3
  14:	jmp    20 <uniform_f32_store+0x20>
  18:	vzeroupper
  1b:	ret
  20:	vpmuludq %ymm4,%ymm2,%ymm5
  24:	vaddps %ymm5,%ymm5,%ymm6
  28:	vzeroupper
  2b:	vmulps %ymm6,%ymm6,%ymm7
  2f:	jne    24 <uniform_f32_store+0x24>
  33:	cmp    %rax,%rbx
  36:	jne    20 <uniform_f32_store+0x20>
  38:	ret
"""


def test_the_ports_of_a_loop():
    """An iteration has every instruction once, and knows which are in an inner loop."""
    ports = script("ports")
    inner, outer = sorted(ports.Function(LISTING).loops(), key=len)
    assert [one.split()[0] for one, _ in inner] == ["vaddps", "vzeroupper", "vmulps", "jne"]
    assert [one.split()[0] for one, inside in outer if inside] == [
        "vaddps",
        "vzeroupper",
        "vmulps",
        "jne",
    ]
    assert [one.split()[0] for one, inside in outer if not inside] == ["vpmuludq", "cmp", "jne"]
    assert (ports.philox_multiplications(inner), ports.philox_multiplications(outer)) == (0, 1)


CALLED = """\
  10:	cmp    $0x2,%rax
  14:	jbe    30 <take_step_of_floats+0x20>
  18:	vpmuludq %ymm1,%ymm2,%ymm3
  1c:	vpmuludq %ymm1,%ymm3,%ymm3
  20:	ret
  30:	vpmuludq %ymm1,%ymm2,%ymm3
  34:	jne    30 <take_step_of_floats+0x20>
  38:	ret
"""


def test_the_ports_of_a_call():
    """The path with as many multiplications as a step has, though a shorter one has fewer."""
    ports = script("ports")
    path = ports.Function(CALLED).call(2)
    assert [one.split()[0] for one, _ in path] == ["cmp", "jbe", "vpmuludq", "vpmuludq", "ret"]
    assert not any(inside for _, inside in path)
    assert ports.Function(CALLED).call(3) == []


def test_an_object_of_another_architecture_has_no_ports(monkeypatch):
    ports = script("ports")
    monkeypatch.setattr(ports.subprocess, "check_output", lambda *_, **__: "isa_avx2.o: elf64\n")
    with pytest.raises(SystemExit, match=r"isa_avx2\.o has no kernel; .* compile for it"):
        ports.show(pathlib.Path("isa_avx2.o"))
