"""Fuzz the readers of plans, safetensors headers, indexes and lists of tensors, with atheris.

    python tests/fuzz/texts.py FOLDER [libFuzzer's options]

Text that is not valid must raise PlanError or CheckpointError; a valid plan must be equal to the
one that is read from what it writes, and has an initializer or a PlanError for every shape. FOLDER
is the corpus; valid texts are put there first.
"""

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastxavier", "tomllib", "json"]):
    from fastxavier import checkpoints, plans
    from fastxavier.plans import Plan, Rule

PLAN = Plan(
    [
        *plans.gpt2_plan().rules,
        *plans.vit_plan().rules,
        *(Rule("w*", name) for name in ("kaiming_normal_", "dirac", "orthogonal", "eye")),
        Rule("[ab].weight", "sparse", ndim=2, sparsity=0.5),
        Rule("*", "variance_scaling", ndim="3+", scale=0.7, mode="fan_avg", distribution="uniform"),
        Rule("*", "truncated_normal", low=-3.0, high=float("inf")),
    ],
    "jax",
)

FILE = Path(tempfile.mkdtemp(), "model.safetensors")
LIST = FILE.with_name("list.toml")
INDEX = FILE.with_name("model.safetensors.index.json")
HEAD = b'{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
LISTED = b'[tensors]\n"w" = { shape = [2, 3], dtype = "float32" }\n'
INDEXED = b'{"weight_map":{"w":"shard.safetensors"}}'
FILE.with_name("shard.safetensors").write_bytes(len(HEAD).to_bytes(8, "little") + HEAD + bytes(24))


def plan_from(read, write):
    """A reader of plans in one form, which tries what comes of them."""

    def read_plan(data):
        plan = read(data.decode(errors="replace"))
        assert read(write(plan)) == plan
        for shape in ((), (0,), (3,), (4, 6), (2, 4, 3, 3)):
            with suppress(plans.PlanError):
                plan.distribution("a.weight", shape)

    return read_plan


def read_head(data):
    """A header of the length that its file says; the first two bytes are the size of the data."""
    size = int.from_bytes(data[:2], "little")
    FILE.write_bytes(len(data[2:]).to_bytes(8, "little") + data[2:] + bytes(size))
    checkpoints.read_header(FILE)


def read_file(data):
    """A whole file, the length of its header included."""
    FILE.write_bytes(data)
    checkpoints.read_header(FILE)


def read_list(data):
    """A list of tensors in TOML."""
    LIST.write_bytes(data)
    checkpoints.tensors_like(LIST)


def read_index(data):
    """The index of a sharded checkpoint, beside one shard."""
    INDEX.write_bytes(data)
    with suppress(OSError):  # a shard that does not exist
        checkpoints.tensors_like(INDEX)


TOML = plan_from(plans.Plan.from_toml, plans.Plan.to_toml)
JSON = plan_from(plans.Plan.from_json, plans.Plan.to_json)
READERS = (TOML, JSON, read_head, read_file, read_list, read_index)


def seeds():
    """A valid text for each of the readers, after the reader's number."""
    head = (24).to_bytes(2, "little") + HEAD
    file = len(HEAD).to_bytes(8, "little") + HEAD + bytes(24)
    toml, json = PLAN.to_toml().encode(), PLAN.to_json().encode()
    texts = (toml, json, head, file, LISTED, INDEXED)
    return [bytes([i]) + text for i, text in enumerate(texts)]


def try_one(data):
    """What libFuzzer calls."""
    if data:
        with suppress(plans.PlanError, checkpoints.CheckpointError):
            READERS[data[0] % len(READERS)](data[1:])


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds()):
        (folder / f"valid-{i}").write_bytes(seed)
        READERS[i](seed[1:])
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
