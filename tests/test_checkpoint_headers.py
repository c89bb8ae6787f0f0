"""Headers of safetensors files: valid ones are read as safetensors reads them, others refused."""

import json
import math
import re

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from checkpoint_files import PLAN, entry, file_with, left_in
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastxavier.checkpoints import (
    CheckpointError,
    Tensor,
    init_checkpoint,
    mapped,
    read_header,
    tensors_like,
)
from fastxavier.checkpoints._dtypes import DTYPES, MOST_AXES, numpy_dtype
from fastxavier.plans import Plan, Rule

INVALID = [
    (b"", b"", None, "not JSON|begin with"),
    (b"[]", b"", None, r"the header is \[\]; it must be an object"),
    (b"3", b"", None, "the header is 3"),
    (b' {"a": 1}', b"", None, "'a' is 1"),
    (b"\xef\xbb\xbf{}", b"", None, "not JSON"),
    (b"{", b"", None, "not JSON"),
    (b'{"a"}', b"", None, "not JSON"),
    (b"{}}", b"", None, "not JSON"),
    (b"{}\0", b"", None, "not JSON"),
    (b'{"\xff": 1}', b"", None, "not JSON"),
    (b'{"a": NaN}', b"", None, "NaN"),
    (b'{"\\ud800": 1}', b"", None, "not JSON"),
    (b'{"a":' + b"[" * 100_000, b"", None, "not JSON"),
    (b'{"a": ' + b"9" * 10_000 + b"}", b"", None, "not JSON"),
    (b"{}", b"", 3, "3 bytes, but the file has only 10"),
    (b"{}", b"", 2**63 + 5, "over 100 MB"),
    (b"{}", b"", 100_000_001, "over 100 MB"),
    (b"{}", b"", 99_999_999, "99999999 bytes, but the file has only 10"),
    (b"{}", b"x", None, "too long: it has 1 bytes of data, and its tensors 0"),
    (
        b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry()).encode() + b"}",
        b"x",
        None,
        "'a' twice",
    ),
    (b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x", None, "twice"),
    ({"a": 3}, b"", None, "'a' is 3"),
    ({"a": None}, b"", None, "'a' is None"),
    ({"a": []}, b"", None, "'a' is"),
    ({"a": {}}, b"", None, "dtype, shape, data_offsets"),
    ({"a": {"dtype": "U8", "shape": [1]}}, b"x", None, "data_offsets"),
    ({"a": {"dtype": "U8", "shape": [1], "more": 1}}, b"x", None, "'more': 1.*data_offsets"),
    (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1e999}}', b"x", None, "1e999"),
    (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":-1e999}}', b"x", None, "-1e999"),
    (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":Infinity}}', b"x", None, "Infinity"),
    ({"a": entry("U7")}, b"x", None, "'U7'; it must be one of 'F32', 'F64', 'F16'"),
    ({"a": entry("uint8")}, b"x", None, "'uint8'"),
    ({"a": entry(None)}, b"x", None, "None"),
    ({"a": entry(["U8"])}, b"x", None, "U8"),
    ({"a": entry("U8", [-1])}, b"x", None, r"\[-1\]"),
    ({"a": entry("U8", [-1, -1])}, b"x", None, r"\[-1, -1\]"),
    ({"a": entry("U8", [1.0])}, b"x", None, r"\[1.0\]"),
    ({"a": entry("U8", [True])}, b"x", None, r"\[True\]"),
    ({"a": entry("U8", ["1"])}, b"x", None, "'1'"),
    ({"a": {**entry(), "shape": 1}}, b"x", None, "shape 1"),
    ({"a": entry("U8", [0, 2**63], 0, 0)}, b"", None, r"integers from 0 to 2\*\*63 - 1"),
    ({"a": {**entry(), "shape": None}}, b"x", None, "None"),
    ({"a": entry("U8", [2**64])}, b"x", None, r"2\*\*63 - 1"),
    ({"a": entry("U8", [2**62, 2**62])}, b"x", None, r"more than 2\*\*63"),
    ({"a": entry("U8", [2**62, 8, 0], 0, 0)}, b"", None, r"more than 2\*\*63"),
    ({"a": entry("U8", [0, 2**62, 2**62], 0, 0)}, b"", None, r"'a' of shape .* extents of 0"),
    ({"a": entry("F32", [2**61, 0], 0, 0)}, b"", None, r"'a' of shape .* extents of 0"),
    ({"a": entry("U8", [1] * 65)}, b"x", None, f"'a' has 65 axes.*at most {MOST_AXES}$"),
    ({"a": {**entry(), "data_offsets": [0]}}, b"x", None, "two integers"),
    ({"a": {**entry(), "data_offsets": [0, 1, 1]}}, b"x", None, "two integers"),
    ({"a": {**entry(), "data_offsets": {"0": 1}}}, b"x", None, "two integers"),
    ({"a": entry("U8", [1], -1, 0)}, b"x", None, "two integers"),
    ({"a": entry("U8", [1], 0.0, 1)}, b"x", None, "two integers"),
    ({"a": entry("U8", [1], 0, True)}, b"x", None, "two integers"),
    (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}}', b"x", None, "two integers"),
    ({"a": entry("U8", [1], 1, 0)}, b"x", None, "are 1 and 0"),
    ({"a": entry("U8", [2], 0, 1)}, b"x", None, "has 2 bytes, but its data_offsets are 0 and 1"),
    ({"a": entry("F32", [2], 0, 2)}, b"xx", None, "has 8 bytes, but its data_offsets are 0 and 2"),
    ({"a": entry("F4", [3], 0, 1)}, b"x", None, "F4"),
    ({"a": entry("U8", [], 0, 0)}, b"", None, "has 1 bytes, but its data_offsets are 0 and 0"),
    ({"a": entry(begin=1, end=2)}, b"xx", None, "'a' begins at byte 1 and leaves a gap"),
    (
        {"a": entry(), "b": entry(begin=2, end=3)},
        b"xxx",
        None,
        "'b' begins at byte 2 and leaves a gap",
    ),
    ({"a": entry(), "b": entry()}, b"x", None, "'b' begins at byte 0 and overlaps"),
    (
        {"a": entry("U8", [3], 0, 3), "b": entry("U8", [3], 2, 5)},
        b"12345",
        None,
        "'b' begins at byte 2",
    ),
    ({"a": entry("U8", [9], 0, 9), "b": entry("U8", [0], 4, 4)}, b"123456789", None, "'b' begins"),
    ({"a": entry()}, b"", None, "truncated: it has 0 bytes of data, and its tensors 1"),
    ({"a": entry()}, b"xx", None, "too long: it has 2 bytes of data, and its tensors 1"),
    ({"a": entry(begin=2**62, end=2**62 + 1)}, b"x", None, "gap"),
    ({"__metadata__": entry()}, b"x", None, "__metadata__"),
    ({"__metadata__": {"a": 1}}, b"", None, "__metadata__"),
    ({"__metadata__": []}, b"", None, r"__metadata__ is \[\]"),
    ({"__metadata__": False}, b"", None, "__metadata__ is False"),
    ({"__metadata__": {"a": None}}, b"", None, "__metadata__ is"),
    ({"__metadata__": "a"}, b"", None, "__metadata__ is 'a'"),
    ({"__metadata__": {"a": {"b": "c"}}}, b"", None, "__metadata__"),
]


@pytest.mark.parametrize(
    ("header", "data", "length", "message"), INVALID, ids=lambda x: repr(x)[:50]
)
def test_invalid_header(tmp_path, header, data, length, message):
    """CheckpointError that names the file and the tensor, from every function that reads it."""
    path = file_with(tmp_path / "bad.safetensors", header, data, length)
    content = path.read_bytes()
    for call in (
        lambda: read_header(path),
        lambda: mapped(path),
        lambda: tensors_like(path),
        lambda: init_checkpoint(tmp_path / "out", PLAN, path, seed=1),
    ):
        with pytest.raises(CheckpointError, match=message) as raised:
            call()
        assert str(raised.value).startswith(f"{path}: ")
    assert left_in(tmp_path) == ["bad.safetensors"]
    assert path.read_bytes() == content


@pytest.mark.parametrize("size", range(8))
def test_file_shorter_than_a_length(tmp_path, size):
    (tmp_path / "short").write_bytes(bytes(size))
    with pytest.raises(CheckpointError, match=f"{size} bytes are too few"):
        read_header(tmp_path / "short")


def test_largest_header_is_not_read(tmp_path):
    """One that is too long is refused by its length."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)
    with pytest.raises(CheckpointError, match="over 100 MB"):
        read_header(path)


VALID = {
    "__metadata__": {"format": "pt"},
    "a": entry("F32", (2, 3), 0, 24),
    "b": entry("F32", (), 24, 28),
    "c": entry("F16", (0, 7), 28, 28),
    "d": entry("U8", (5,), 28, 33),
}
VALID_BYTES = json.dumps(VALID).encode()

mutations = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "copy", "number"]),
        st.integers(0, len(VALID_BYTES) - 1),
        st.sampled_from(list(b'0123456789-+.eE"\\{}[],: aFU_\0\xff\n')),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=3,
)


def mutated(raw, changes):
    for kind, at, byte, length in changes:
        at = min(at, len(raw) - 1)
        if kind == "replace":
            raw = raw[:at] + bytes([byte]) + raw[at + 1 :]
        elif kind == "insert":
            raw = raw[:at] + bytes([byte]) + raw[at:]
        elif kind == "delete":
            raw = raw[:at] + raw[at + length :]
        elif kind == "copy":
            raw = raw[: at + length] + raw[at:]
        else:
            numbers = list(re.finditer(rb"\d+", raw))
            found = numbers[at % len(numbers)] if numbers else None
            if found:
                raw = raw[: found.start()] + str(length * 4).encode() + raw[found.end() :]
        raw = raw or b"{"
    return raw


def by_safetensors(content):
    try:
        return {
            name: (one["dtype"], tuple(one["shape"]), bytes(one["data"]))
            for name, one in safetensors.deserialize(content)
        }
    except Exception:  # of a class that its versions do not agree on
        return None


# What we refuse and safetensors 0.8 accepts: of two entries it takes the last; arrays have limits.
STRICTER = re.compile(r"twice|2\*\*63")


@pytest.mark.skipif(not hasattr(safetensors, "TensorSpec"), reason="needs safetensors 0.8")
@settings(max_examples=examples(500), deadline=None)
@given(mutations, st.integers(-2, 2))
def test_mutated_headers(tmp_path_factory, changes, more):
    """Accepted only if safetensors reads the same tensors; refused only if it does, or STRICTER."""
    raw = mutated(VALID_BYTES, changes)
    data = bytes(range(33 + more))
    path = file_with(tmp_path_factory.getbasetemp() / "mutated", raw, data)
    theirs = by_safetensors(path.read_bytes())
    try:
        header = read_header(path)
    except CheckpointError as error:
        refusal = str(error)
        assert theirs is None or STRICTER.search(refusal)
        return
    ours = {
        name: (tensor.dtype, tensor.shape, path.read_bytes()[header.start :][slice(*tensor[2:])])
        for name, tensor in header.tensors.items()
    }
    assert ours == theirs


UNUSUAL = {
    "no metadata": {"__metadata__": None, "a": entry()},
    "another field": {"a": {**entry(), "more": [1, {"x": None}], "x": "\n"}},
    "white space before": b" \n\t\r" + json.dumps({"a": entry()}).encode(),
    "white space after": json.dumps({"a": entry()}).encode() + b" \n\t\r",
    "fields in another order": b'{"a":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}}',
    "an escaped name": b'{"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_header(tmp_path, case):
    """What safetensors' own reader takes."""
    path = file_with(tmp_path / "a.safetensors", UNUSUAL[case], b"x")
    assert by_safetensors(path.read_bytes()) == {"a": ("U8", (1,), b"x")}
    header = read_header(path)
    assert (header.tensors, header.metadata) == ({"a": Tensor("U8", (1,), 0, 1)}, {})
    assert bytes(mapped(path)["a"]) == b"x"
    init_checkpoint(tmp_path / "out", Plan([Rule("*", "ones")]), path, seed=1)
    assert bytes(mapped(tmp_path / "out")["a"]) == b"\1"


@example("F4", [2, 2**62])
@example("F4", [4, 2**62])
@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(sorted(DTYPES)),
    st.lists(
        st.one_of(st.integers(0, 3), st.integers(0, 63).map(lambda n: 2**n - n % 2)), max_size=66
    ),
)
def test_empty_shapes_are_those_of_numpy(tmp_path_factory, dtype, shape):
    """A tensor without elements is accepted if NumPy has an array of this shape.

    Of a dtype with several values in a byte it has one of bytes.
    """
    shape = [*shape, 0]
    held = shape
    same_width = DTYPES[dtype].bits == 8 * numpy_dtype(dtype).itemsize
    if not same_width and len(shape) <= MOST_AXES:
        held = [math.prod(n or 1 for n in shape) * DTYPES[dtype].bits // 8, 0]
    path = tmp_path_factory.getbasetemp() / "empty.safetensors"
    file_with(path, {"a": entry(dtype, shape, 0, 0)}, b"")
    try:
        np.empty(held, numpy_dtype(dtype))
    except (OverflowError, ValueError):
        with pytest.raises(CheckpointError, match=f"{re.escape(str(path))}: tensor 'a' "):
            mapped(path)
    else:
        assert mapped(path)["a"].shape == (tuple(shape) if same_width else (0,))


def test_valid_header(tmp_path):
    """In the order of the data, not that of the header; with its metadata."""
    backwards = dict(reversed(VALID.items()))
    header = read_header(file_with(tmp_path / "valid", backwards, bytes(33)))
    assert header.metadata == {"format": "pt"}
    assert list(header.tensors.items()) == [
        ("a", Tensor("F32", (2, 3), 0, 24)),
        ("b", Tensor("F32", (), 24, 28)),
        ("c", Tensor("F16", (0, 7), 28, 28)),
        ("d", Tensor("U8", (5,), 28, 33)),
    ]
    assert header.start == 8 + len(json.dumps(backwards))
