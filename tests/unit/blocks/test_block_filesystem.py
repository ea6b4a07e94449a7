"""What reads of block files say of who reads."""

import os
from collections.abc import Sequence
from typing import Any, cast

import pytest

from bootseer.errors import NotFoundError
from snapshotter.blocks.filesystem import BlockFile, BlockFilesystem
from snapshotter.blocks.names import MOST_NUMBER, BlockName, LayerName, Role, Variant

NAMES = [
    BlockName(LayerName("0123456789ab")),
    BlockName(LayerName("fedcba987654"), Variant(Role.RECORD, MOST_NUMBER)),
    BlockName(LayerName("fedcba987654"), Variant(Role.HOT, 1)),
]


class Files:
    """Files of 100 bytes, all of them at hand."""

    size = 100

    def __init__(self) -> None:
        self.read_of: list[tuple[BlockName, bool]] = []

    async def open(self, name: BlockName) -> BlockFile:
        if name not in NAMES:
            raise NotFoundError(str(name))
        return cast("BlockFile", self)

    def is_known(self) -> bool:
        return True

    def read_now(
        self, name: BlockName, offset: int, length: int, *, noticed: bool = True
    ) -> bytes | None:
        self.read_of.append((name, noticed))
        return bytes(length)

    def names(self) -> Sequence[BlockName]:
        return NAMES


@pytest.mark.parametrize("name", NAMES, ids=str)
async def test_reads_of_who_opens_without_leaving_a_trace_are_not_noticed(name: BlockName) -> None:
    files = Files()
    blocks = BlockFilesystem(files, cast("Any", None), lambda: None)
    context = cast("Any", None)
    for flags, noticed in ((os.O_RDONLY, True), (os.O_RDONLY | os.O_NOATIME, False)):
        opened = await blocks.open(name.inode, flags, context)
        assert await blocks.read(opened.fh, 0, 10) == bytes(10)
        assert files.read_of[-1] == (name, noticed)
    handles = {(await blocks.open(name.inode, os.O_NOATIME, context)).fh for _ in range(2)}
    assert len(handles) == 1  # a successor must find in a handle what it says


async def test_a_bug_in_what_is_at_hand_is_told_and_ends_no_server(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Long:
        async def read(self, offset: int, length: int) -> bytes:
            return b"x" * length

    async def opened(name: BlockName) -> Any:
        return Long()

    def wrong(*_: object, **__: object) -> None:
        raise AttributeError("startswith")

    files = Files()
    monkeypatch.setattr(files, "read_now", wrong)
    monkeypatch.setattr(files, "open", opened)
    blocks = BlockFilesystem(files, cast("Any", None), lambda: None)
    assert await blocks.read(NAMES[0].inode, 0, 10) == b"x" * 10
    assert [record.message for record in caplog.records] == ["block.bug"]
