"""Stripes whose machine is lost on the way: sent again from what is kept, as far as it is."""

import random
from collections.abc import AsyncIterable
from pathlib import Path

import pytest

from fuse_hdfs.files import again
from fuse_hdfs.files.kept import Keep, Kept
from fuse_hdfs.files.reading import reader_of
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.version import Version
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.striping.layout import Manifest, spliced

UNIT = 4096
DATA = random.Random(5).randbytes(40 * UNIT + 17)


class Machines(DirectoryStore):
    """A directory that is said to be three machines; two take so many bytes and are lost then."""

    __slots__ = ()
    loses = True
    first = 1
    """Times that a stripe may be lost."""
    calls: list[tuple[str, str]] = []  # noqa: RUF012  (cleared by each test)
    whole = 0
    """Times that what is written whole fails."""
    late = False
    """A machine that was lost makes its file after all, when another is to make it."""
    missed = False
    """None is said to be up once one is lost."""

    async def places(self) -> tuple[str, ...]:
        return () if Machines.missed and len(Machines.calls) >= 3 else ("a", "b", "c")

    async def write(
        self,
        path: str,
        content: AsyncIterable[bytes] | bytes,
        *,
        mode: int = 0o644,
        parents: bool = True,
        place: str | None = None,
    ) -> None:
        if isinstance(content, bytes):
            if Machines.whole:
                Machines.whole -= 1
                raise OSError(5, "is lost", path)
            await super().write(path, content, mode=mode, parents=parents, place=place)
            return
        second = sum(path == one for one, _ in Machines.calls) >= Machines.first
        Machines.calls.append((path, place or ""))
        if second and Machines.late:
            Machines.late = False
            await super().write(path, b"", mode=mode, parents=parents, place=place)

        async def some() -> "AsyncIterable[bytes]":
            taken = 0
            async for piece in content:
                taken += 1
                lost = Machines.first > 1 or place in ("a", "b")
                if Machines.loses and not second and lost and taken == 3:
                    raise OSError(5, f"{place} is lost", path)
                yield piece

        await super().write(path, some(), mode=mode, parents=parents, place=place)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "_PAUSE_MOST_S", 0.0)


async def written(root: Path, keep: Keep | None, again_s: float = 90.0) -> tuple[Volume, Version]:
    """Write a file through a volume with three stripes."""
    Machines.calls.clear()
    (root / "store").mkdir()
    settings = Settings(Striping(UNIT, 3), small=1000, again_s=again_s)
    volume = Volume(Machines(root / "store"), settings, keep)
    writer = volume.writer("file", UNIT)
    try:
        for start in range(0, len(DATA), UNIT):
            await writer.add((DATA[start : start + UNIT],))
        segment = await writer.finish()
    except BaseException:
        await writer.abandon()
        raise
    manifest = spliced(Manifest(UNIT, 0), segment, range(segment.units), len(DATA))
    return volume, await volume.put("file", manifest, 0o644)


async def test_a_stripe_is_sent_again_to_another_machine_as_a_whole(tmp_path: Path) -> None:
    keep = Keep(tmp_path, 1 << 20)
    volume, version = await written(tmp_path, keep)
    assert len(Machines.calls) == 5
    for path in {path for path, _ in Machines.calls}:
        places = [place for one, place in Machines.calls if one == path]
        assert len(set(places)) == len(places)
    found = await read(volume, version)
    assert found == DATA
    assert keep.take(1 << 20)  # all room is given back
    await volume.close()


async def read(volume: Volume, version: Version) -> bytes:
    return await reader_of(volume, version, lambda: "file").read(0, version.size)


@pytest.mark.usefixtures("no_pauses")
async def test_a_stripe_that_is_lost_each_time_is_sent_until_it_took_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machines, "first", 9)
    volume, version = await written(tmp_path, Keep(tmp_path, 1 << 20))
    assert await read(volume, version) == DATA
    await volume.close()
    (tmp_path / "store").rename(tmp_path / "first")
    with pytest.raises(OSError, match="is lost"):
        await written(tmp_path, Keep(tmp_path, 1 << 20), 0.0)
    paths = [path for path, _ in Machines.calls]
    assert max(map(paths.count, paths)) == 5


@pytest.mark.usefixtures("no_pauses")
async def test_a_manifest_is_sent_for_as_long_as_stripes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machines, "whole", 7)
    volume, version = await written(tmp_path, Keep(tmp_path, 1 << 20))
    assert await read(volume, version) == DATA
    assert not list((tmp_path / "store/.bootseer/new").iterdir())
    await volume.close()
    (tmp_path / "store").rename(tmp_path / "first")
    monkeypatch.setattr(Machines, "whole", 7)
    with pytest.raises(OSError, match="is lost"):
        await written(tmp_path, Keep(tmp_path, 1 << 20), 0.0)
    assert Machines.whole == 2


async def test_an_empty_file_whose_machine_is_lost_is_made_by_another(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    volume = Volume(Machines(tmp_path / "store"), Settings(Striping(UNIT, 3), small=1000))
    for name in ("file", "other"):
        Machines.whole = 1
        assert (await volume.create(name, 0o640)).entry.status.mode == 0o640
    Machines.whole = 1
    with pytest.raises(FileExistsError):
        await volume.create("file", 0o640)
    Machines.whole = 1
    with pytest.raises(FileNotFoundError):
        await volume.create("nowhere/file", 0o640)
    assert not list((tmp_path / "store/.bootseer/new").iterdir())
    await volume.close()


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("trouble", ["late", "missed"])
async def test_a_stripe_is_sent_again_also_where_a_lost_machine_makes_it_after_all_or_none_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(Machines, trouble, True)
    volume, version = await written(tmp_path, Keep(tmp_path, 1 << 20))
    assert not Machines.late
    assert await read(volume, version) == DATA
    await volume.close()


@pytest.mark.parametrize("room", [None, 0, 2 * UNIT])
async def test_a_stripe_that_was_not_kept_is_lost_with_its_machine(
    tmp_path: Path, room: int | None
) -> None:
    keep = None if room is None else Keep(tmp_path, room)
    with pytest.raises(OSError, match="is lost"):
        await written(tmp_path, keep)
    assert not list((tmp_path / "store/.bootseer/segments").glob("*/*"))
    assert keep is None or keep.take(room or 0)


async def test_a_stripe_is_stored_although_there_was_no_room_to_keep_it(tmp_path: Path) -> None:
    Machines.loses = False
    try:
        volume, version = await written(tmp_path, Keep(tmp_path, 2 * UNIT))
    finally:
        Machines.loses = True
    assert await read(volume, version) == DATA
    await volume.close()


async def test_what_is_kept_comes_back_in_order_and_a_full_disk_keeps_nothing(
    tmp_path: Path,
) -> None:
    kept = Kept(Keep(tmp_path, 1 << 20), UNIT)
    units = [DATA[:UNIT], DATA[UNIT : 2 * UNIT], b"end"]
    for unit in units:
        kept.add((unit[:2], unit[2:]))
        assert await kept.settled()
    assert [unit async for unit in kept.units()] == units
    await kept.close()
    nowhere = Kept(Keep(tmp_path / "missing", 1 << 20), UNIT)
    nowhere.add((b"x",))
    assert not await nowhere.settled()
    await nowhere.close()
