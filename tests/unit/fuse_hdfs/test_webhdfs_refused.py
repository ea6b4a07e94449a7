"""A DataNode that breaks a file off has said why, and that is lost: it is asked again."""

import asyncio
import contextlib
import errno
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from store_conformance import number_of, pieces

from bootseer.webhdfs.address import parse_address
from bootseer.webhdfs.calls import Patience
from fuse_hdfs.stores.webhdfs import open_webhdfs

DIRECTORY = {
    "FileStatus": {
        "accessTime": 0,
        "fileId": 16386,
        "group": "g",
        "length": 0,
        "modificationTime": 1,
        "owner": "o",
        "pathSuffix": "",
        "permission": "755",
        "type": "DIRECTORY",
    }
}
QUOTA = {"RemoteException": {"exception": "DSQuotaExceededException", "message": "full"}}


def answer(status: str, document: object = None, *headers: str) -> bytes:
    """Return an answer after which the connection is closed."""
    body = b"" if document is None else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Cluster:
    """A NameNode and a DataNode at one address; the latter loses what it says of large files."""

    says: bytes
    """What it answers to a file of one byte."""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Operation and name, in order."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            found = re.match(r"\w+ /webhdfs/v1/(\S*?)\?(?:\S*&)?op=(\w+)", head)
            assert found, head
            name, operation = found.groups()
            self.asked.append(f"{operation} {name}")
            if operation != "CREATE":
                writer.write(answer("200 OK", DIRECTORY | {"boolean": True}))
            elif "data-node" not in head:
                where = f"http://127.0.0.1:{self.port}/webhdfs/v1/{name}?op=CREATE&data-node=1"
                writer.write(answer("307 Temporary Redirect", None, f"Location: {where}"))
            elif name == "file":
                await reader.readexactly(1)
                writer.transport.abort()
            else:
                await reader.readuntil(b"0\r\n\r\n")
                writer.write(self.says)
            await writer.drain()


@contextlib.asynccontextmanager
async def cluster(says: bytes) -> AsyncIterator[Cluster]:
    made = Cluster(says)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


@pytest.mark.parametrize(
    ("says", "number"),
    [
        (answer("403 Forbidden", QUOTA), errno.EDQUOT),
        (answer("201 Created"), errno.EIO),
        (b"", errno.EIO),
    ],
    ids=["says why", "takes it", "says nothing"],
)
async def test_why_a_file_was_broken_off_is_asked_with_one_byte_and_nothing_is_left(
    says: bytes, number: int
) -> None:
    async with cluster(says) as running:
        address = parse_address(f"webhdfs://127.0.0.1:{running.port}/", "x")
        async with open_webhdfs(address, Patience(pause=0.01)) as store:
            content = pieces(bytes(2_000_000))
            assert await number_of(store.write("file", content)) == number
    assert running.asked[-2:] == ["CREATE file.refused", "DELETE file.refused"]
