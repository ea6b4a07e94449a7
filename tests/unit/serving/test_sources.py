"""Blobs that several places have."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from bootseer.errors import HostError, NotFoundError, RemoteError
from snapshotter.ports import Early
from snapshotter.serving.sources import FirstOf
from tests.one_blob import OneBlob

BLOB = bytes(range(200))


@dataclass
class Breaking(OneBlob):
    """A registry that gives so many bytes and no more."""

    gives: int = 0
    error: Exception = field(default_factory=lambda: RemoteError("gone"))
    ended: list[bool] = field(default_factory=list)

    async def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        end = len(self.blob) if length is None else offset + length
        try:
            for at in range(offset, min(end, offset + self.gives), 10):
                yield self.blob[at : at + 10]
        finally:
            self.ended.append(True)
        raise self.error

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        raise self.error


@pytest.mark.parametrize(("offset", "length"), [(0, None), (0, 200), (20, 100), (20, None)])
async def test_where_one_source_fails_the_next_goes_on_to_the_end_of_what_was_wanted(
    offset: int, length: int | None
) -> None:
    sources = FirstOf([Breaking(BLOB), Breaking(BLOB, gives=30), OneBlob(BLOB)])
    found = b"".join([piece async for piece in sources.stream("x", offset, length)])
    assert found == BLOB[offset:][:length]


@pytest.mark.parametrize("error", [RemoteError("gone"), NotFoundError("no"), HostError("hangs")])
async def test_whatever_is_wrong_with_a_source_the_next_is_asked(error: Exception) -> None:
    sources = FirstOf([Breaking(BLOB, gives=10, error=error), OneBlob(BLOB)])
    assert b"".join([piece async for piece in sources.stream("x")]) == BLOB
    assert await sources.read("x", 20, 30) == BLOB[20:50]


async def test_what_no_source_gives_whole_is_an_error() -> None:
    sources = FirstOf([Breaking(BLOB, gives=30), Breaking(BLOB, gives=50)])
    pieces = sources.stream("x", 0, 100)
    assert b"".join([await anext(pieces) for _ in range(8)]) == BLOB[:80]
    with pytest.raises(RemoteError):
        await anext(pieces)


async def test_who_has_enough_of_a_stream_gives_its_connection_back_at_once() -> None:
    source = Breaking(BLOB, gives=100)
    pieces = FirstOf([source]).stream("x")
    await anext(pieces)
    assert source.ended == []
    await pieces.aclose()
    assert source.ended == [True]
