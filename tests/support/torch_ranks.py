"""Runs a function on several processes that torch.distributed (gloo) connects, or as any one rank.

The tests of sharded tensors use it.
"""

import datetime
import multiprocessing
import os
import sys
import traceback
import warnings
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist


def _work(function, rank, size, path, results, arguments):
    try:
        warnings.simplefilter("ignore")  # those of torch.distributed about itself
        torch.set_num_threads(1)
        if path is not None:
            store = dist.FileStore(str(path), size)
            limit = datetime.timedelta(seconds=100)
            dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=limit)
        function(rank, size, *arguments)
        if path is not None:
            dist.barrier()
            dist.destroy_process_group()
        results.put((rank, None))
    except BaseException:
        results.put((rank, traceback.format_exc()))


def run(function, size, folder, *arguments):
    """Call ``function(rank, size, *arguments)`` on `size` processes, and raise what one raises.

    Without a folder they are not connected: each may play a rank of its own.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch.distributed.fsdp", "torch.distributed.tensor.parallel", function.__module__]
    )
    results = context.Queue()
    path = None if folder is None else folder / "store"
    processes = [
        context.Process(target=_work, args=(function, rank, size, path, results, arguments))
        for rank in range(size)
    ]
    with pytest.MonkeyPatch.context() as patch:  # for what the server of processes preloads
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        for process in processes:
            process.start()
    try:
        for _ in processes:
            rank, error = results.get(timeout=300)
            assert error is None, f"rank {rank} of {size}:\n{error}"
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()


@contextmanager
def as_rank(rank, size):
    """This process as one of a group that does not exist: what needs no communication works.

    torch keeps some meshes of fully_shard, with the rank that made them: one process must play the
    same rank each time.
    """
    from torch.testing._internal.distributed.fake_pg import FakeStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=size)
        try:
            yield
        finally:
            dist.destroy_process_group()
