"""What training programs do with checkpoints, run by a Debian's Python with PyTorch.

`python3 torch_programs.py NAME DIRECTORY`: ends with an error if anything is not as it was.
"""

import multiprocessing
import os
import sys

import fsspec
import pandas as pd
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint._fsspec_filesystem import FsspecReader, FsspecWriter
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from fuse_hdfs.filesystem import BootseerFileSystem

RANKS = 3


def state() -> dict[str, torch.Tensor]:
    """Return tensors of all sizes, always the same."""
    made = torch.Generator().manual_seed(1)
    sizes = {"large": (700, 1000), "row": (1, 30_000), "small": (3,), "none": (0, 4)}
    found = {name: torch.randn(size, generator=made) for name, size in sizes.items()}
    return found | {"half": torch.randn(300, 300, generator=made).bfloat16()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Compare."""
    assert set(one) == set(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def save_and_load(directory: str) -> None:
    """torch.save over itself, torch.load, and mapped into memory."""
    for _ in range(2):
        torch.save(state(), f"{directory}/model.pt")
    for mapped in (False, True):
        same(torch.load(f"{directory}/model.pt", mmap=mapped, weights_only=True), state())
    torch.save(state(), f"{directory}/legacy.pt", _use_new_zipfile_serialization=False)
    same(torch.load(f"{directory}/legacy.pt", weights_only=True), state())


def many_tensors(directory: str) -> None:
    """torch.load of a file whose tensors are read in another order than they are stored in."""
    saved = {f"layer{number}": torch.full((150_000,), float(number)) for number in range(40)}
    torch.save(saved, f"{directory}/many.pt")
    same(torch.load(f"{directory}/many.pt", weights_only=True), saved)


def safetensors(directory: str) -> None:
    """safetensors, which makes its file as long as it will be first."""
    for _ in range(2):
        save_file(state(), f"{directory}/model.safetensors")
    same(load_file(f"{directory}/model.safetensors"), state())


def by_fsspec(address: str) -> None:
    """The same without a mount, by an address of fsspec."""
    distributed(address)


def tables(address: str) -> None:
    """Tables of pandas, which leaves addresses to fsspec."""
    fsspec.register_implementation("bootseer-hdfs", BootseerFileSystem)
    steps = range(20_000)
    table = pd.DataFrame({"step": steps, "loss": [1 / (step + 1) for step in steps]})
    for _ in range(2):
        table.to_csv(f"{address}/table.csv", index=False)
        table.to_pickle(f"{address}/table.pickle.gz")
    read = pd.read_csv(f"{address}/table.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(read, table)
    pd.testing.assert_frame_equal(pd.read_pickle(f"{address}/table.pickle.gz"), table)
    parts = pd.read_csv(f"{address}/table.csv", chunksize=7_000)
    assert [len(part) for part in parts] == [7_000, 7_000, 6_000]


def distributed(directory: str) -> None:
    """Each rank saves its part, and loads another part of what all have saved."""
    spawned = multiprocessing.get_context("spawn")
    ranks = [spawned.Process(target=_rank, args=(rank, directory)) for rank in range(RANKS)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [0] * RANKS


def _rank(rank: int, directory: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "RANK": str(rank), "WORLD_SIZE": str(RANKS)}
    store = dist.FileStore(f"/tmp/store-{os.getppid()}", RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,))
    whole = state()
    writer, reader = None, None
    if "://" in directory:
        fsspec.register_implementation("bootseer-hdfs", BootseerFileSystem)
        writer, reader = FsspecWriter(f"{directory}/dcp"), FsspecReader(f"{directory}/dcp")
    by_rows = {name: distribute_tensor(whole[name], mesh, [Shard(0)]) for name in ("large", "half")}
    for _ in range(2):
        saved = {"model": by_rows, "step": 7}
        dcp.save(saved, checkpoint_id=f"{directory}/dcp", storage_writer=writer)
    columns = {
        name: distribute_tensor(torch.zeros_like(whole[name]), mesh, [Shard(1)])
        for name in ("large", "half")
    }
    loaded = {"model": columns, "step": 0}
    dcp.load(loaded, checkpoint_id=f"{directory}/dcp", storage_reader=reader)
    assert loaded["step"] == 7
    same(
        {name: tensor.full_tensor() for name, tensor in columns.items()},
        {name: whole[name] for name in columns},
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    globals()[sys.argv[1]](sys.argv[2])
