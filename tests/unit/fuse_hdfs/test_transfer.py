"""Copies without a mount, on a directory and on a real HDFS."""

import asyncio
import errno
import json
import os
import pty
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lab.hdfs import Hdfs
from bootseer.cli.main import run
from bootseer.errors import CorruptError
from fuse_hdfs.files.fsck import check_volume
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.transfer.copy import PIECE, compare, copy_file
from fuse_hdfs.transfer.ends import About, Source
from fuse_hdfs.transfer.export import export_file, parts_of
from fuse_hdfs.transfer.local import LocalFiles
from fuse_hdfs.transfer.stored import StoredFiles
from fuse_hdfs.transfer.trees import End, Report, carry_out, plan

UNIT = 64 << 10
SETTINGS = Settings(Striping(UNIT, 4), small=1000, cache=32 << 20)
DATA = random.Random(6).randbytes(5 * PIECE + 12_345)
LOCAL = LocalFiles()


@pytest.fixture(params=["directory", "hdfs"])
async def volume(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Volume]:
    if request.param == "directory":
        (tmp_path / "volume").mkdir()
        address = f"file://{tmp_path / 'volume'}"
    else:
        hdfs: Hdfs = request.getfixturevalue("hdfs")
        name = "".join(c if c.isalnum() else "-" for c in request.node.name)
        async with open_store(hdfs.address("", "root")) as root:
            await root.make_directory(name, 0o777)
        address = hdfs.address(name, "root")
    async with open_store(address) as store:
        opened = Volume(store, SETTINGS)
        yield opened
        await opened.close()


def local(path: Path) -> End:
    return End(LOCAL, str(path).lstrip("/"))


async def copied(source: End, target: End, *, verify: bool = False) -> Report:
    return await carry_out(await plan(source, target), lambda _: None, verify=verify)


class Failing:
    """A file whose end cannot be read."""

    def __init__(self, source: Source, end: int) -> None:
        self.source = source
        self.end = end
        self.lowest = source.about.size

    @property
    def about(self) -> About:
        return self.source.about

    async def read(self, offset: int, length: int) -> bytes:
        self.lowest = min(self.lowest, offset)
        if offset + length > self.end:
            raise OSError(errno.EIO, "broken")
        return await self.source.read(offset, length)


async def test_a_tree_goes_in_and_comes_back_as_it_was(volume: Volume, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub/empty").mkdir(parents=True)
    for number, size in enumerate((0, 10, 1000, 1001, UNIT, len(DATA))):
        (source / f"sub/{number}").write_bytes(DATA[:size])
        (source / f"sub/{number}").chmod(0o600 + number)
        os.utime(source / f"sub/{number}", ns=(0, 1_650_000_000_123_000_000 + number * 10**9))
    there = End(StoredFiles(volume), "a/b")
    report = await copied(local(source), there, verify=True)
    assert report == Report(6, 2011 + UNIT + len(DATA), 0, 0)
    assert await copied(local(source), there) == Report(0, 0, 6, 0)
    assert (await volume.load("a/b/sub/5")).manifest is not None
    assert (await volume.load("a/b/sub/2")).manifest is None
    assert (await copied(there, local(tmp_path / "back"), verify=True)).files == 6
    for number in range(6):
        before, after = source / f"sub/{number}", tmp_path / f"back/sub/{number}"
        assert after.read_bytes() == before.read_bytes()
        assert (after.stat().st_mode, after.stat().st_mtime_ns) == (
            before.stat().st_mode,
            before.stat().st_mtime_ns,
        )
    assert sorted(path.name for path in (tmp_path / "back/sub").iterdir()) == [*"012345", "empty"]


async def test_a_copy_between_volumes_replaces_what_is_there_and_leaves_nothing(
    volume: Volume, tmp_path: Path
) -> None:
    (tmp_path / "new").write_bytes(DATA)
    (tmp_path / "old").write_bytes(DATA[::-1])
    files = StoredFiles(volume)
    for name in ("old", "new"):
        await copied(local(tmp_path / name), End(files, name))
    await volume.store.set_mode("old", 0o600)
    await copied(End(files, "new"), End(files, "old"), verify=True)
    assert (await volume.store.stat("old")).mode == 0o600
    report = await check_volume(volume, 0, contents=True)
    assert (report.files, report.damaged, report.orphans) == (2, (), ())


async def test_an_upload_that_was_cut_off_is_gone_on_with(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    source = await LOCAL.source(str(tmp_path / "file"))
    files = StoredFiles(volume, saved=2 * PIECE)
    with pytest.raises(OSError, match="broken"):
        await copy_file(Failing(source, 5 * PIECE), files.target("f", source.about), lambda _: None)
    assert await files.about("f") is None
    report = await check_volume(volume, 3600)
    assert report.orphans == ()
    assert report.kept >= 1  # HDFS may make the file of a stripe after its writer was stopped
    again = Failing(source, len(DATA))
    done = await copy_file(again, files.target("f", source.about), lambda _: None)
    assert (done, again.lowest) == (4 * PIECE, 4 * PIECE)
    await compare(source, await files.source("f"), lambda _: None)
    assert (await check_volume(volume, 0, contents=True)).damaged == ()


async def test_an_upload_of_a_file_that_changed_meanwhile_begins_anew(
    volume: Volume, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(DATA)
    source = await LOCAL.source(str(tmp_path / "file"))
    files = StoredFiles(volume, saved=2 * PIECE)
    with pytest.raises(OSError, match="broken"):
        await copy_file(Failing(source, 5 * PIECE), files.target("f", source.about), lambda _: None)
    (tmp_path / "file").write_bytes(DATA[::-1])
    source = await LOCAL.source(str(tmp_path / "file"))
    assert await copy_file(source, files.target("f", source.about), lambda _: None) == 0
    await compare(source, await files.source("f"), lambda _: None)
    report = await check_volume(volume, 0)
    assert len(report.orphans) == 3  # what was uploaded before, and the note of it


async def test_a_download_that_was_cut_off_is_gone_on_with(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    await copied(local(tmp_path / "file"), End(StoredFiles(volume), "f"))
    source = await StoredFiles(volume).source("f")
    target = LOCAL.target(str(tmp_path / "back"), source.about)
    with pytest.raises(OSError, match="broken"):
        await copy_file(Failing(source, 3 * PIECE), target, lambda _: None)
    assert not (tmp_path / "back").exists()
    again = Failing(source, len(DATA))
    target = LOCAL.target(str(tmp_path / "back"), source.about)
    done = await copy_file(again, target, lambda _: None)
    assert (done, again.lowest) == (3 * PIECE, 3 * PIECE)
    assert (tmp_path / "back").read_bytes() == DATA
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


async def test_two_copies_to_one_file_at_once_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    source = await LOCAL.source(str(tmp_path / "file"))
    first = LOCAL.target(str(tmp_path / "copy"), source.about)
    await first.begin()
    with pytest.raises(OSError, match="another copy"):
        await LOCAL.target(str(tmp_path / "copy"), source.about).begin()
    await first.abandon()


async def test_a_copy_that_is_not_the_same_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    (tmp_path / "b").write_bytes(DATA[:-1] + b"x")
    (tmp_path / "c").write_bytes(DATA[:-1])
    a, b, c = [await LOCAL.source(str(tmp_path / name)) for name in "abc"]
    await compare(a, a, lambda _: None)
    for other in (b, c):
        with pytest.raises(CorruptError):
            await compare(a, other, lambda _: None)


async def test_an_export_is_one_plain_file_written_in_parts_and_gone_on_with(
    volume: Volume, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(DATA)
    (tmp_path / "file").chmod(0o640)
    await volume.make_directory("d", 0o755)
    await copied(local(tmp_path / "file"), End(StoredFiles(volume), "d/f"))
    source = await StoredFiles(volume).source("d/f")
    parts = await volume.store.can_concat()
    with pytest.raises(OSError, match="broken"):
        await export_file(
            Failing(source, 2 * PIECE), volume.store, "d/plain", lambda _: None, least=PIECE
        )
    there = await export_file(source, volume.store, "d/plain", lambda _: None, least=PIECE)
    assert there % PIECE == 0
    assert parts or there == 0
    assert await volume.store.read("d/plain", 0, len(DATA) + 1) == DATA
    assert (await volume.store.stat("d/plain")).mode == 0o640
    assert {status.name for status in await volume.store.list("d")} == {"f", "plain"}
    assert len(await volume.store.blocks("d/plain")) == (6 if parts else 0)
    await export_file(Failing(source, 1 << 40), volume.store, "d/plain", lambda _: None)


@pytest.mark.parametrize("late", [errno.EBUSY, errno.EEXIST])
async def test_parts_that_an_export_left_at_this_very_moment_are_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "file").write_bytes(DATA)
    source = await LOCAL.source(str(tmp_path / "file"))
    moved = 0
    met: list[str] = []

    def move(size: int) -> None:
        nonlocal moved
        moved += size

    async with open_store(f"file://{tmp_path / 'volume'}") as store:
        write = store.write

        async def refusing(store: object, path: str, content: object, **options: object) -> None:
            raise OSError(late, "always")

        async def meeting(store: object, path: str, content: Any, **options: Any) -> None:
            if met.count(path) < 2:
                met.append(path)
                await write(path, b"late", **options)
                await anext(content)
                raise OSError(late, "somebody else makes it")
            await write(path, content, **options)

        monkeypatch.setattr(type(store), "write", meeting)
        assert await export_file(source, store, "plain", move, least=PIECE) == 0
        assert await store.read("plain", 0, len(DATA) + 1) == DATA
        assert moved == len(DATA)
        met.clear()
        monkeypatch.setattr(type(store), "write", refusing)
        with pytest.raises(OSError, match="always"):
            await export_file(source, store, "other", move, least=PIECE)
        assert {status.name for status in await store.list("")} == {"plain"}


def test_parts_are_all_of_a_file_in_whole_pieces() -> None:
    for size in (0, 1, PIECE, 100 * PIECE + 1, 1 << 40):
        parts = parts_of("d", size, 8, PIECE)
        assert sum(part.length for part in parts) == size
        assert 1 <= len(parts) <= 8
        assert all(part.offset % PIECE == 0 for part in parts)


async def test_a_directory_never_replaces_a_file(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_bytes(b"data")
    files = StoredFiles(volume)
    await copied(local(tmp_path / "f"), End(files, "f"))
    with pytest.raises(NotADirectoryError):
        await copied(local(tmp_path / "d"), End(files, "f"))
    with pytest.raises(FileNotFoundError):
        await copied(local(tmp_path / "none"), End(files, "none"))


async def test_the_command_line_copies_lists_and_exports(
    hdfs: Hdfs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = hdfs.address("command-line", "root")
    async with open_store(hdfs.address("", "root")) as root:
        await root.make_directory("command-line", 0o777)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_bytes(DATA)

    async def bootseer(*words: object) -> str:
        code = await asyncio.to_thread(run, ["hdfs", *map(str, words)])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    said = await bootseer("cp", "-r", tmp_path / "d", f"{store}//d", "--json", "--verify")
    assert json.loads(said) == {"files": 1, "bytes": len(DATA), "there": 0, "resumed": 0}
    assert (await bootseer("cp", "-r", tmp_path / "d", f"{store}/d")).endswith("1 were there\n")
    rows = json.loads(await bootseer("ls", "-r", store, "--json"))
    assert [(row["path"], row["kind"]) for row in rows] == [("d", "directory"), ("d/f", "striped")]
    assert "d/f\n" in await bootseer("ls", f"{store}//d/f")
    await bootseer("export", f"{store}//d/f", f"{store}//plain")
    found = json.loads(await bootseer("stat", f"{store}//plain", "--json"))
    assert (found["kind"], found["size"]) == ("plain", len(DATA))
    (place,) = {p for part in found["parts"] for b in part["blocks"] for p in b["places"]}
    assert place in await bootseer("stat", f"{store}//d/f")
    await bootseer("cp", f"{store}//plain", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == DATA
    for wrong in (("cp", tmp_path / "d", f"{store}//e"), ("export", f"{store}//d/f", tmp_path)):
        assert await asyncio.to_thread(run, ["hdfs", *map(str, wrong)]) == 2
    assert await asyncio.to_thread(run, ["hdfs", "ls", f"{store}//none"]) == 3


def test_progress_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "file").write_bytes(DATA)
    argv = [sys.executable, "-m", "bootseer", "hdfs", "cp", str(tmp_path / "file")]
    target = f"file://{tmp_path}/volume//"
    terminal, end = pty.openpty()
    try:
        subprocess.run([*argv, f"{target}a"], stdout=subprocess.DEVNULL, stderr=end, check=True)
        assert b"copying" in os.read(terminal, 100_000)
        done = subprocess.run([*argv, f"{target}b"], capture_output=True, check=True)
        assert done.stderr == b""
    finally:
        os.close(terminal)
        os.close(end)


def test_a_copy_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    size = 300 << 20
    with (tmp_path / "file").open("wb") as file:
        for number in range(size // len(DATA) + 1):
            file.write(number.to_bytes(8, "big") + DATA[8:])
    argv = [sys.executable, "-m", "bootseer", "hdfs", "cp", str(tmp_path / "file")]
    copying = subprocess.Popen([*argv, str(tmp_path / "copy")])
    part, note = (tmp_path / f".copy.bootseer-part{end}" for end in ("", ".json"))
    while not note.exists() and copying.poll() is None:
        time.sleep(0.001)
    copying.kill()
    copying.wait(20)
    assert part.exists()
    done = subprocess.run(
        [*argv, str(tmp_path / "copy"), "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["resumed"] >= 64 << 20
    subprocess.run(["cmp", tmp_path / "file", tmp_path / "copy"], check=True)
