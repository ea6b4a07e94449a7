"""Striped files that become plain without moving a byte."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from striping_strategies import histories

import fuse_hdfs
from benchmarks.lab.hdfs import Hdfs
from bootseer.cli.main import run
from fuse_hdfs.files.names import segment_directory
from fuse_hdfs.files.runs import runs
from fuse_hdfs.files.sealing import CannotSealError, seal
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.striping.layout import Manifest, locate

UNIT = 64 << 10
DATA = random.Random(4).randbytes(3 * UNIT + 5000)
FOUR = Settings(Striping(UNIT, 4), small=1000)


def write(store: str, path: str, data: bytes, settings: Settings = FOUR, mode: str = "wb") -> None:
    with fuse_hdfs.open(store, path, mode, settings) as file:
        file.seek(0, 2)
        file.write(data)


@given(histories().map(lambda found: found[0]))
def test_stripes_that_can_be_joined_are_the_bytes_of_the_file_in_order(manifest: Manifest) -> None:
    found = runs(manifest)
    if isinstance(found, str):
        return
    assert sum(stripe.length for stripe in found) == manifest.size
    at = 0
    where = {}
    for stripe in found:
        where[stripe.path] = at
        at += stripe.length
    for piece, place in locate(manifest, 0, min(manifest.size, 64 * manifest.unit)):
        assert place is not None
        path = f"{segment_directory(place.segment.id)}/{place.stripe}"
        assert where[path] + place.offset == piece.unit * manifest.unit


@pytest.fixture
async def volume(hdfs: Hdfs, request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, Volume]]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    async with open_store(hdfs.address("", "root")) as root:
        await root.make_directory(name, 0o777)
    async with open_store(hdfs.address(name, "root")) as store:
        yield hdfs.address(name, "root"), Volume(store, FOUR)


async def in_thread(work: Callable[..., object], *arguments: object) -> None:
    await asyncio.to_thread(work, *arguments)


async def refused(work: Awaitable[bool]) -> str:
    with pytest.raises(CannotSealError) as caught:
        await work
    assert "export" in (caught.value.hint or "")
    return caught.value.message


async def test_a_file_of_no_more_units_than_stripes_is_sealed_where_it_lies(
    volume: tuple[str, Volume],
) -> None:
    address, opened = volume
    await in_thread(write, address, "file", DATA)
    await opened.store.set_mode("file", 0o640)
    await opened.store.set_xattr("file", "user.step", b"5")
    before = await opened.store.stat("file")
    assert await seal(opened, "file")
    after = await opened.store.stat("file")
    assert (after.size, after.mode, after.uid) == (len(DATA), 0o640, before.uid)
    assert after.modified_ns == before.modified_ns
    assert await opened.store.xattrs("file") == {"user.step": b"5"}
    assert await opened.store.read("file", 0, len(DATA) + 1) == DATA
    assert len(await opened.store.blocks("file")) == 4
    assert await opened.store.list(".bootseer/segments") != []
    for group in await opened.store.list(".bootseer/segments"):
        assert await opened.store.list(f".bootseer/segments/{group.name}") == []
    assert not await seal(opened, "file")
    await in_thread(write, address, "file", DATA, FOUR, "r+b")
    version = await opened.load("file")
    assert (version.size, version.manifest is None) == (2 * len(DATA), False)


async def test_a_unit_and_what_was_appended_to_it_are_sealed(volume: tuple[str, Volume]) -> None:
    address, opened = volume
    await in_thread(write, address, "file", DATA[:UNIT])
    await in_thread(write, address, "file", DATA[UNIT:], FOUR, "r+b")
    assert await seal(opened, "file")
    assert await opened.store.read("file", 0, len(DATA) + 1) == DATA


async def test_a_seal_that_was_killed_goes_on(volume: tuple[str, Volume]) -> None:
    address, opened = volume
    await in_thread(write, address, "file", DATA)
    manifest = (await opened.load("file")).manifest
    assert manifest is not None
    stripes = runs(manifest)
    assert not isinstance(stripes, str)
    first, *others = [stripe.path for stripe in stripes]
    await opened.store.concat(first, others)
    with pytest.raises(OSError, match="Errno"):
        await read(opened)
    assert await seal(opened, "file")
    assert await opened.store.read("file", 0, len(DATA) + 1) == DATA


async def read(opened: Volume) -> bytes:
    version = await opened.load("file")
    assert version.manifest is not None
    parts = locate(version.manifest, 0, version.size)
    return b"".join([await opened.contents.unit(place) for _, place in parts if place is not None])


async def test_other_layouts_are_refused_with_the_reason_and_stay_as_they_are(
    volume: tuple[str, Volume],
) -> None:
    address, opened = volume
    await in_thread(write, address, "large", DATA * 2)
    assert "take turns" in await refused(seal(opened, "large"))
    await in_thread(write, address, "grown", DATA)

    def change() -> None:
        with fuse_hdfs.open(address, "grown", "r+b", FOUR) as file:
            file.seek(10 * UNIT)
            file.write(DATA)

    await in_thread(change)
    await refused(seal(opened, "grown"))
    for name in ("large", "grown"):
        assert (await opened.load(name)).manifest is not None


def test_a_directory_cannot_join_files_and_says_what_can_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = f"file://{tmp_path}"
    write(store, "file", DATA)
    assert run(["hdfs", "seal", f"{store}//file", "--json"]) == 1
    assert json.loads(capsys.readouterr().err)["hint"] == "bootseer hdfs export copies it"
    write(store, "one", DATA[:UNIT])
    assert run(["hdfs", "seal", f"{store}/one"]) == 0
    assert (tmp_path / "one").read_bytes() == DATA[:UNIT]
    assert run(["hdfs", "seal", f"{store}/one"]) == 0
    assert capsys.readouterr().out == "one: sealed\none: is a plain file\n"
