"""Bodies of answers: all bytes in order, however they come; an end that comes too early is told."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from fuse_hdfs.stores.webhdfs_receiving import AnswerBody

DATA = random.Random(41).randbytes(1_500_007)
WHOLE = f"HTTP/1.1 200 OK\r\nContent-Length: {len(DATA)}\r\nConnection: close\r\n\r\n".encode()
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + f"{len(DATA):x}\r\n".encode()
    + DATA
    + b"\r\n0\r\n\r\n"
)


def cut(data: bytes, *at: int) -> list[bytes]:
    """Return data in pieces that end at these places."""
    places = [0, *at, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@contextlib.asynccontextmanager
async def answered(pieces: Sequence[bytes]) -> AsyncIterator[AnswerBody]:
    """Ask a server that answers in these pieces, with a breath between, and closes then."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/") as response,
    ):
        yield AnswerBody(response)


@pytest.mark.parametrize(
    "pieces",
    [
        cut(WHOLE + DATA),
        cut(WHOLE + DATA, len(WHOLE)),
        cut(WHOLE + DATA, len(WHOLE) - 1, len(WHOLE) + 1, 700_000),
        cut(CHUNKED, 100, 500_000),
    ],
)
@pytest.mark.parametrize("length", [100_003, 400_000, 2_000_000])
async def test_a_body_comes_in_the_stretches_that_are_wanted(
    pieces: list[bytes], length: int
) -> None:
    found = []
    async with answered(pieces) as body:
        while part := await body.read(length):
            found.append(part)
            await asyncio.sleep(0)
    assert b"".join(found) == DATA
    assert all(len(part) == length for part in found[:-1])


async def test_a_body_that_breaks_off_is_an_error_whenever_it_is_read() -> None:
    async with answered(cut((WHOLE + DATA)[:600_000])) as body:
        assert await body.read(400_000) == DATA[:400_000]
        with pytest.raises(aiohttp.ClientError):
            await body.read(400_000)
        with pytest.raises(aiohttp.ClientError):
            await body.read(1)


async def test_nobody_waits_for_a_body_whose_reader_was_cancelled() -> None:
    async with answered([WHOLE + DATA[:300_000], b"", b""]) as body:
        reading = asyncio.create_task(body.read(1_000_000))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
