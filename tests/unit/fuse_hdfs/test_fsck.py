"""What fsck finds in a volume, and what it removes."""

import asyncio
import json
import os
import random
from pathlib import Path

import pytest

from bootseer.cli.main import run
from fuse_hdfs.files.fsck import Report, check_volume
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.vfs.nodes import ROOT
from fuse_hdfs.vfs.tree import Tree

DATA = random.Random(2).randbytes(50_000)


@pytest.fixture
async def volume(tmp_path: Path) -> Volume:
    """A volume with a plain file, a striped one, and one whose writer was killed."""
    (tmp_path / "v/d").mkdir(parents=True)
    volume = Volume(DirectoryStore(tmp_path / "v"), Settings(Striping(4096, 3), small=1000))
    tree = Tree(volume, tmp_path)
    owner = (os.getuid(), os.getgid())
    directory = (await tree.lookup(ROOT, "d")).inode
    for name, content in (("plain", DATA[:10]), ("striped", DATA)):
        opened, _ = await tree.create(directory, name, 0o600, owner, os.O_RDWR)
        await tree.write(opened.handle, 0, content)
        await tree.release(opened.handle)
    writer = volume.writer("file")
    await writer.add((DATA[:4096],))
    await writer.finish()
    (tmp_path / "v/.bootseer/new/unfinished").write_bytes(b"half")
    return volume


def stripes(root: Path) -> list[Path]:
    return sorted(path for path in (root / "v/.bootseer/segments").rglob("*") if path.is_file())


async def test_only_what_no_file_names_and_is_old_is_left(volume: Volume) -> None:
    report = await check_volume(volume, 0, contents=True)
    assert (report.files, report.damaged, report.kept) == (2, (), 0)
    assert [path.split("/")[1] for path in report.orphans] == ["new", "segments"]
    assert await check_volume(volume, 3600) == Report(2, (), (), 2)


async def test_a_stripe_that_is_short_gone_or_wrong_is_damage(
    volume: Volume, tmp_path: Path
) -> None:
    largest = max(stripes(tmp_path), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert (await check_volume(volume, 0)).damaged == ()
    for change in (lambda: None, lambda: largest.write_bytes(b""), largest.unlink):
        change()
        (damage,) = (await check_volume(volume, 0, contents=True)).damaged
        assert damage.path == "d/striped"


async def test_repair_removes_what_is_left_and_nothing_else(
    volume: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del volume
    before = len(stripes(tmp_path))
    store = f"file://{tmp_path / 'v'}"

    def fsck(*options: str) -> tuple[int, str]:
        capsys.readouterr()
        return run(["hdfs", "fsck", store, *options]), capsys.readouterr().out

    return_code, said = await in_thread(fsck, "--grace", "0", "--json")
    assert (return_code, len(json.loads(said)["orphans"])) == (0, 2)
    assert len(stripes(tmp_path)) == before
    assert (await in_thread(fsck, "--repair"))[0] == 0
    assert len(stripes(tmp_path)) == before
    assert "removed: " in (await in_thread(fsck, "--repair", "--grace", "0"))[1]
    assert len(stripes(tmp_path)) == before - 1
    code, said = await in_thread(fsck, "--contents", "--grace", "0")
    assert (code, said) == (0, "2 files, 0 left behind, 0 kept\n")


async def test_nothing_is_removed_beside_a_damaged_manifest(
    volume: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del volume, capsys
    manifest = tmp_path / "v/d/striped"
    manifest.write_bytes(manifest.read_bytes()[:-1])
    before = stripes(tmp_path)
    options = ["hdfs", "fsck", f"file://{tmp_path / 'v'}", "--repair", "--grace", "0"]
    assert await in_thread(run, options) == 5
    assert stripes(tmp_path) == before


async def in_thread(work, *arguments):
    """Run a command line, which has an event loop of its own."""
    return await asyncio.to_thread(work, *arguments)
