"""Sharded tensors: each process draws its own part of what one process would hold, alone."""

import itertools
import os
import pathlib
import subprocess
import sys
import warnings

import pytest
from test_torch_tensors import bits

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
from torch_ranks import as_rank, run  # noqa: E402

import fastxavier as fx  # noqa: E402
import fastxavier.torch as ft  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard
    from torch.distributed.tensor import (
        DTensor,
        Partial,
        Replicate,
        Shard,
        distribute_tensor,
    )
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )
    from torch.distributed.tensor.placement_types import _StridedShard

nn = torch.nn
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed"),
]
PLAN = fx.Plan([fx.Rule("*", "he_normal", ndim="2+"), fx.Rule("*", "normal", std=0.5)])
SIZES = [1, 2, 4, 6, 8]


def mesh_of(*shape, names=None):
    names = names or tuple("xyz"[: len(shape)])
    return init_device_mesh("cpu", shape, mesh_dim_names=names)


# ---- one tensor, any placement -------------------------------------------------------------------

MESHES = [(1,), (3,), (4,), (2, 2), (3, 2), (2, 3), (3, 4), (2, 2, 2), (2, 3, 2)]
SHAPES = [(27, 4), (7, 5), (12, 6), (1, 9), (5,), (3, 4, 5)]


def placements_of(ndim):
    ways = [
        Replicate(),
        Shard(0),
        _StridedShard(0, split_factor=2),
        _StridedShard(0, split_factor=3),
    ]
    return [*ways, Shard(1)] if ndim > 1 else ways


@pytest.mark.parametrize("mesh_shape", MESHES, ids=str)
def test_every_placement_of_distribute_tensor(mesh_shape):
    """The local part holds what distribute_tensor cuts from the whole tensor, on every rank."""
    size, compared = torch.Size(mesh_shape).numel(), 0
    wholes = {
        shape: torch.from_numpy(fx.draw(shape, fx.Normal(), seed=7, stream="w")) for shape in SHAPES
    }
    for rank in range(size):
        with as_rank(rank, size):
            mesh = mesh_of(*mesh_shape)
            for shape, whole in wholes.items():
                ways = placements_of(len(shape))
                for placements in itertools.product(ways, repeat=len(mesh_shape)):
                    cut = distribute_tensor(whole, mesh, placements, src_data_rank=None)
                    ours = distribute_tensor(
                        torch.full(shape, 9.0), mesh, placements, src_data_rank=None
                    )
                    version = ours._version
                    assert ft.fill_(ours, fx.Normal(), 7, "w", fsdp=False) is ours
                    assert ours._version > version
                    assert torch.equal(ours._local_tensor, cut._local_tensor), (
                        rank,
                        shape,
                        placements,
                    )
                    compared += 1
    assert compared >= size * len(SHAPES)


class Pair(nn.Module):
    """Two layers that tensor parallelism cuts, of sizes that nothing divides."""

    def __init__(self, rows, columns, vocabulary=11):
        super().__init__()
        self.emb = nn.Embedding(vocabulary, columns, padding_idx=4)
        self.up = nn.Linear(columns, rows)
        self.down = nn.Linear(rows, columns)
        self.norm = nn.LayerNorm(columns)

    def forward(self, tokens):
        x = self.emb(tokens)
        return self.norm(self.down(torch.relu(self.up(x))) + x)


PARALLEL = {"up": ColwiseParallel(), "down": RowwiseParallel()}


def sharded(model, mesh, parallel=True, **settings):
    """FSDP2, over tensor parallelism where the mesh has an axis for it."""
    if "tp" in mesh.mesh_dim_names:
        if parallel:
            parallelize_module(model, mesh["tp"], PARALLEL, src_data_rank=None)
        names = tuple(name for name in mesh.mesh_dim_names if name != "tp")
        mesh = mesh[names if len(names) > 1 else names[0]]
    fully_shard(model.up, mesh=mesh, **settings)
    fully_shard(model, mesh=mesh, **settings)
    return model


def locals_of(model):
    return {name: w._local_tensor for name, w in model.named_parameters()}


def check_same(model, other, place):
    ours, theirs = locals_of(model), locals_of(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].shape == theirs[name].shape, (name, place)
        assert torch.equal(ours[name], theirs[name]), (name, place)


GRIDS = [
    ((2,), ("dp",)),
    ((3,), ("dp",)),
    ((2, 2), ("replicate", "dp")),
    ((2, 2), ("dp", "tp")),
    ((3, 2), ("dp", "tp")),
    ((4, 2), ("dp", "tp")),
    ((3, 4), ("dp", "tp")),
    ((2, 2, 2), ("replicate", "dp", "tp")),
]


def whole_and_cut(rows, mesh, **settings):
    """Shards that fully_shard cuts from weights that are there."""
    whole = Pair(rows, 5)
    ft.init_(whole, PLAN, seed=7)
    cut = Pair(rows, 5)
    cut.load_state_dict(whole.state_dict())
    return sharded(cut, mesh, **settings)


def every_grid(rank, size):
    """As this rank of each grid that has it."""
    for grid, names in GRIDS:
        if rank >= torch.Size(grid).numel():
            continue
        for rows in (7, 17, 24, 27):
            with as_rank(rank, torch.Size(grid).numel()):
                compare_on(mesh_of(*grid, names=names), rows, (rank, grid, rows))


def compare_on(mesh, rows, place):
    """From memory, from meta and tensor by tensor."""
    cut = whole_and_cut(rows, mesh)
    ours = sharded(Pair(rows, 5), mesh)
    ft.init_(ours, PLAN, seed=7)
    check_same(ours, cut, place)
    with torch.device("meta"):
        ours = sharded(Pair(rows, 5), mesh)
    ids = {name: id(w) for name, w in ours.named_parameters()}
    report = ft.init_(ours, PLAN, seed=7)
    assert {name: id(w) for name, w in ours.named_parameters()} == ids
    check_same(ours, cut, (*place, "meta"))
    assert report.nbytes == sum(4 * w.numel() for w in locals_of(ours).values())
    inits = ft.param_init(PLAN, 7, module=ours)
    for one in locals_of(ours).values():
        one.zero_()
    for one in ours.modules():
        for name, w in one.named_parameters(recurse=False):
            inits[name](w)
    check_same(ours, cut, (*place, "param_init"))


def test_fully_shard_of_any_size():
    """FSDP2, HSDP and both over tensor parallelism: its own shards of the whole weights."""
    run(every_grid, 12, None)


def without_a_plan(rank, size):
    whole = Pair(7, 5)
    ft.init_(whole, seed=7)
    assert (whole.emb.weight[4] == 0).all()
    with as_rank(rank, size):
        mesh = mesh_of(3, 2, names=("dp", "tp"))
        cut = Pair(7, 5)
        cut.load_state_dict(whole.state_dict())
        with torch.device("meta"):
            ours = sharded(Pair(7, 5), mesh)
        ft.init_(ours, seed=7)
        check_same(ours, sharded(cut, mesh), rank)


def test_without_a_plan():
    """The padding row is 0 wherever it lies; scales come from whole shapes."""
    run(without_a_plan, 6, None)


def two_readings(rank, size, folder):
    with as_rank(rank, size):
        ours = sharded(Pair(27, 5), mesh_of(3, 4, names=("dp", "tp")))
        w = ours.up.weight
        before = bits(w._local_tensor)
        try:
            ft.fill_(w, fx.Normal(), 7, "w")
        except ValueError as error:
            if "two readings" in str(error) and bits(w._local_tensor) == before:
                (folder / str(rank)).touch()
        ft.fill_(w, fx.Normal(), 7, "w", fsdp=True)


def test_two_readings_are_refused_without_knowing_who_cut(tmp_path):
    """27 rows on 3 x 4: one rank has the right shape and other rows by the other reading."""
    run(two_readings, 12, None, tmp_path)
    assert list(tmp_path.iterdir())


def test_refused():
    with as_rank(0, 2):
        mesh = mesh_of(2)
        partial = DTensor.from_local(torch.ones(3), mesh, [Partial()])
        with pytest.raises(ValueError, match="partial sum"):
            ft.fill_(partial, fx.Normal(), 7, "w")
        w = distribute_tensor(torch.zeros(4, 3), mesh, [Shard(0)], src_data_rank=None)
        with pytest.raises(ValueError, match="without a seed"):
            ft.fill_(w, fx.Normal(), None, "w")
        model = nn.Linear(3, 4)
        model.weight = nn.Parameter(w)
        with pytest.raises(ValueError, match=r"'weight': seed is None"):
            ft.init_(model, PLAN, seed=None)
        odd = DTensor.from_local(
            torch.zeros(3, 3), mesh, [Shard(0)], run_check=False, shape=(9, 3), stride=(3, 1)
        )
        with pytest.raises(ValueError, match="not what these placements give"):
            ft.fill_(odd, fx.Normal(), 7, "w")
    with as_rank(3, 4):
        elsewhere = DeviceMesh("cpu", [0, 1])
        w = distribute_tensor(torch.zeros(4, 3), elsewhere, [Shard(0)], src_data_rank=None)
        with pytest.raises(ValueError, match="not part of"):
            ft.fill_(w, fx.Normal(), 7, "w")


@pytest.mark.parametrize("initializer", ["orthogonal", fx.Sparse(0.3), fx.Identity()], ids=repr)
def test_structured_initializers(initializer):
    whole = torch.from_numpy(fx.draw((7, 5), initializer, seed=7, stream="w"))
    for rank in range(3):
        with as_rank(rank, 3):
            for placement in (Shard(0), Shard(1), Replicate()):
                cut = distribute_tensor(whole, mesh_of(3), [placement], src_data_rank=None)
                ours = distribute_tensor(
                    torch.ones(7, 5), mesh_of(3), [placement], src_data_rank=None
                )
                ft.fill_(ours, initializer, 7, "w")
                assert torch.equal(ours._local_tensor, cut._local_tensor)


def test_placing_a_tensor_takes_little_time():
    """Some 40 calls of Python functions, which is less than 100 microseconds."""
    from fastxavier.torch._shards import blocks_of

    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    with as_rank(3, 8):
        mesh = mesh_of(2, 2, 2)
        w = distribute_tensor(
            torch.zeros(24, 8), mesh, [Replicate(), _StridedShard(0, split_factor=2), Shard(0)]
        )
        blocks_of(w, True)
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            blocks_of(w, True)
        finally:
            sys.setprofile(before)
    assert calls < 100


PART_OF_A_MODEL = """
import re, sys
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch_ranks import as_rank
import fastxavier as fx, fastxavier.torch as ft

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

def built(width):
    with torch.device("meta"):
        model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(2)))
    return fully_shard(model, mesh=mesh)

size, plan = int(sys.argv[1]), fx.Plan([fx.Rule("*", "he_normal")])
with as_rank(size - 1, size):
    mesh = init_device_mesh("cpu", (size,))
    ft.init_(built(16), plan, seed=7)  # what is imported, and threads
    model = built(4096)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = peak()
    report = ft.init_(model, plan, seed=7)
    print(report.nbytes, peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/self/clear_refs")
@pytest.mark.parametrize("size", [1, 8])
def test_work_and_memory_are_in_proportion(size):
    """A rank draws the values of its part alone, and holds nothing else meanwhile."""
    command = [sys.executable, "-W", "ignore", "-c", PART_OF_A_MODEL, str(size)]
    path = os.pathsep.join([str(pathlib.Path(__file__).parent / "support"), *sys.path])
    printed = subprocess.check_output(command, env={**os.environ, "PYTHONPATH": path})
    drawn, held = map(int, printed.split())
    assert drawn == 2 * 4096 * 4096 * 4 // size
    assert held < 1.02 * drawn + (1 << 20)


# ---- real processes ------------------------------------------------------------------------------


def grid_of(size):
    return {1: (1, 1), 2: (2, 1), 4: (2, 2), 6: (3, 2), 8: (4, 2)}[size]


def processes(rank, size):
    """From meta, each process while no other does anything; then steps of training."""
    mesh = mesh_of(*grid_of(size), names=("dp", "tp"))
    for rows, settings in (
        (17, {}),
        (16, {}),
        (16, {"offload_policy": CPUOffloadPolicy(pin_memory=False)}),
    ):
        cut = whole_and_cut(rows, mesh, **settings)
        with torch.device("meta"):
            ours = sharded(Pair(rows, 5), mesh, **settings)
        for turn in range(size):
            if turn == rank:  # which would wait for ever for an answer
                ft.init_(ours, PLAN, seed=7, threads=1)
            dist.barrier()
        check_same(ours, cut, rank)
        if rows == 16:  # torch's tensor parallelism computes with even shards alone
            assert trained(ours) == trained(cut)
            check_same(ours, cut, rank)


def trained(model):
    """The losses of two steps."""
    losses = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        loss = model(torch.arange(12).reshape(3, 4) % 11).pow(2).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    return losses


@pytest.mark.parametrize("size", SIZES)
def test_processes(size, tmp_path):
    run(processes, size, tmp_path)


def normals_of_torch(rank, size):
    """Each rank fills its shard with torch's own normal_ after the same seed."""
    torch.manual_seed(7)
    w = distribute_tensor(torch.zeros(8, 4), mesh_of(size), [Shard(0)])
    w.normal_()
    shards = [torch.empty(4, 4) for _ in range(size)]
    dist.all_gather(shards, w._local_tensor)
    assert torch.equal(shards[0], shards[1])
    ft.fill_(w, fx.Normal(), 7, "w")
    dist.all_gather(shards, w._local_tensor)
    assert not torch.equal(shards[0], shards[1])
    whole = torch.from_numpy(fx.draw((8, 4), fx.Normal(), seed=7, stream="w"))
    assert torch.equal(torch.cat(shards), whole)


def test_torchs_own_shards_are_alike(tmp_path):
    """What the documentation says about normal_ on a DTensor in CPU memory."""
    run(normals_of_torch, 2, tmp_path)


def test_stages_of_a_pipeline():
    """A part of a model gets the bits that the whole model has there."""
    whole = nn.ModuleDict({f"layer{i}": nn.Linear(6, 6) for i in range(4)})
    ft.init_(whole, PLAN, seed=7)
    stage = nn.ModuleDict({f"layer{i}": nn.Linear(6, 6) for i in (2, 3)})
    ft.init_(stage, PLAN, seed=7)
    for name, w in stage.named_parameters():
        assert bits(w) == bits(whole.get_parameter(name))


def flat(rank, size):
    """FSDP1's wrapper."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    wrapped = FullyShardedDataParallel(nn.Linear(5, 7), device_id=torch.device("cpu"))
    before = bits(next(wrapped.parameters()))
    with pytest.raises(ValueError, match=r"flattened by FSDP1.*before it is wrapped"):
        ft.init_(wrapped, PLAN, seed=7)
    with pytest.raises(ValueError, match="flattened by FSDP1"):
        ft.init_(wrapped, seed=7)
    assert bits(next(wrapped.parameters())) == before


def test_flat_parameters_are_refused(tmp_path):
    run(flat, 2, tmp_path)
    model = nn.Linear(3, 4)
    model.weight.ds_id = 0  # as DeepSpeed marks what it has partitioned
    with pytest.raises(ValueError, match=r"'weight': .*DeepSpeed"):
        ft.init_(model, PLAN, seed=7)
