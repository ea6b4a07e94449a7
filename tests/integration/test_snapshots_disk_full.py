"""A full disk: refused with a hint, nothing half made, and everything works once there is room."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc import aio

from tests.integration.snapshot_client import Client, refused, served

pytestmark = pytest.mark.containers


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of one megabyte."""
    target = tmp_path / "small"
    target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


def fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


async def until_refused(client: Client) -> int:
    """Prepare snapshots until the disk is full, and return how many there are."""
    for number in range(10_000):
        try:
            await client.prepare(f"s{number}", "", {"label": "x" * 3000})
        except aio.AioRpcError:
            async with refused(grpc.StatusCode.INTERNAL, "disk full"):
                await client.prepare("another", "", {"label": "x" * 3000})
            return number
    raise AssertionError("the disk is not that small")


async def test_a_full_disk_is_refused_and_recovered_from(small: Path) -> None:
    async with served(small / "r") as client:
        await client.prepare("first")
        await client.commit("base", "first")
        fill(small / "ballast")
        count = await until_refused(client)
        found = await client.list()
        assert len(found) == count + 1
        async with refused(grpc.StatusCode.ALREADY_EXISTS):
            await client.commit("base", "first")
        (small / "ballast").unlink()
        await client.prepare("after", "base")
        await client.cleanup()
        assert len(list((small / "r/snapshots").iterdir())) == count + 2
    async with served(small / "r") as client:
        assert len(await client.list()) == count + 2
        for name in ["after", *(f"s{number}" for number in range(count)), "base"]:
            await client.remove(name)
        assert await client.list() == {}
