"""A proxy before one HTTP server that holds every request back for a while: a program of its own.

    python -m benchmarks.lab.delaying_proxy LISTEN TO MILLISECONDS

Both addresses are `HOST:PORT`. It says `listening on HOST:PORT`, then a line in Apache's combined
format for every request that was answered whole. Each client's connection has its own to the
server, kept as long; requests on different connections wait beside each other.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import socket
import sys
from typing import Final

from benchmarks.lab.http_framing import (
    END,
    Body,
    RequestHead,
    ResponseHead,
    chunk_size,
    request_head,
    response_head,
)
from benchmarks.lab.relay import Pipe, Stream
from bootseer.errors import CorruptError

_SILENCE_S: Final = 600.0
"""Nothing takes longer: neither a client's thinking nor a message."""
_BACKLOG: Final = 1024
_LINE_END: Final = b"\r\n"

Address = tuple[str, int]


async def serve(listen: Address, server: Address, delay: float) -> None:
    """Pass on until cancelled; every request `delay` seconds after it came."""
    loop = asyncio.get_running_loop()
    with socket.create_server(listen, backlog=_BACKLOG) as listener:
        listener.setblocking(False)
        print(f"listening on {listen[0]}:{listener.getsockname()[1]}", flush=True)
        async with asyncio.TaskGroup() as tasks:
            while True:
                accepted, _ = await loop.sock_accept(listener)
                tasks.create_task(_connection(accepted, server, delay))


async def _connection(accepted: socket.socket, server: Address, delay: float) -> None:
    """Serve one client until either side hangs up, or talks what we do not understand."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        stack.enter_context(accepted)
        upstream = stack.enter_context(socket.socket())
        for one in (accepted, upstream):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up, down = Pipe(), Pipe()
        stack.callback(up.close)
        stack.callback(down.close)
        try:
            async with asyncio.timeout(_SILENCE_S):
                await loop.sock_connect(upstream, server)
            exchanges = _Exchanges(Stream(accepted), Stream(upstream), up, down, delay)
            while await exchanges.one():
                pass
        except (CorruptError, OSError, TimeoutError) as error:
            print(f"connection given up: {error}", file=sys.stderr, flush=True)


class _Exchanges:
    """Requests and answers of one connection, one after the other."""

    def __init__(self, client: Stream, server: Stream, up: Pipe, down: Pipe, delay: float) -> None:
        self._client = client
        self._server = server
        self._up = up
        self._down = down
        self._delay = delay

    async def one(self) -> bool:
        """Pass one request and its answer on; say whether another may follow."""
        async with asyncio.timeout(_SILENCE_S):
            head = await self._client.until(END)
        if not head:
            return False
        asked = request_head(head)
        await asyncio.sleep(self._delay)
        async with asyncio.timeout(_SILENCE_S):
            await self._server.send(head)
            # Beside each other: a server may say "100 Continue", or no before it was sent all.
            body = asyncio.create_task(_pass_body(self._client, self._server, asked.body, self._up))
            back = asyncio.create_task(self._answer(asked))
            try:
                await asyncio.wait((body, back), return_when=asyncio.FIRST_COMPLETED)
                if not back.done():
                    body.result()  # raises if there will be no answer because of that
                answer, size = await back
                whole = body.done()
            finally:
                body.cancel()
                back.cancel()
                await asyncio.gather(body, back, return_exceptions=True)
        _log(asked, answer, size)
        return whole and not asked.last and not answer.last

    async def _answer(self, asked: RequestHead) -> tuple[ResponseHead, int]:
        while True:
            head = await self._server.until(END)
            if not head:
                raise CorruptError("the server hung up instead of answering")
            answer = response_head(head, asked.method)
            await self._client.send(head)
            if not answer.interim:
                size = await _pass_body(self._server, self._client, answer.body, self._down)
                return answer, size


async def _pass_body(source: Stream, target: Stream, body: Body, pipe: Pipe) -> int:
    """Pass a body on; return its size, without what frames its chunks."""
    if not body.chunked:
        return await source.pass_on(target, body.length, pipe)
    total = 0
    while True:
        line = await source.until(_LINE_END)
        size = chunk_size(line)
        await target.send(line)
        if not size:
            break
        total += size
        await source.pass_on(target, size + len(_LINE_END), pipe)
    while line != _LINE_END:  # trailers
        line = await source.until(_LINE_END)
        if not line:
            raise CorruptError("a message broke off")
        await target.send(line)
    return total


def _log(asked: RequestHead, answer: ResponseHead, size: int) -> None:
    when = dt.datetime.now(dt.UTC).strftime("%d/%b/%Y:%H:%M:%S %z")
    line = f'"{asked.method} {asked.target} HTTP/1.1" {answer.status} {size} "" ""'
    print(f"- - - [{when}] {line}", flush=True)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("listen", type=_address)
    parser.add_argument("server", type=_address)
    parser.add_argument("milliseconds", type=float)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.listen, given.server, given.milliseconds / 1000))


if __name__ == "__main__":
    main()
