"""Asks the daemon over its control socket."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from bootseer.config import Config, load
from bootseer.documents import error_said
from bootseer.errors import BootseerError, HostError, NotFoundError

_TIMEOUT_S: Final = 10.0
_REFUSED: Final[Mapping[int, type[BootseerError]]] = {404: NotFoundError, 503: HostError}
"""What an answer with an `error` in it is."""
_LONG_S: Final = 300.0
"""For what the daemon has to do, such as removing many files."""
_SNAPSHOTTER: Final = "the snapshotter"


def control_socket(config_path: Path) -> Path:
    """Return where a daemon with this configuration listens; without a file, with the defaults."""
    config = load(config_path) if config_path.exists() else Config()
    return config.run_dir / "control.sock"


async def fetch_status(path: Path) -> dict[str, Any]:
    """Return the status document of the daemon behind a socket. HostError if nobody answers."""
    document: dict[str, Any] = await _get(path, "/v1/status", aiohttp.ClientResponse.json)
    return document


async def fetch_container(path: Path, namespace: str, name: str) -> dict[str, Any]:
    """Return what the daemon behind a socket knows of a container.

    NotFoundError if containerd knows none of that name, HostError if nobody answers.
    """
    where = f"/v1/containers/{quote(namespace, safe='')}/{quote(name, safe='')}"
    document: dict[str, Any] = await _get(path, where, aiohttp.ClientResponse.json)
    return document


def read_metrics(path: Path, who: str = _SNAPSHOTTER) -> str:
    """Return the metrics of the daemon behind a socket. HostError if nobody answers."""
    text: str = asyncio.run(_get(path, "/metrics", aiohttp.ClientResponse.text, who))
    return text


def fetch(path: Path, what: str, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the document that the daemon behind a socket gives, or answers what is `asked` with.

    HostError if nobody answers.
    """
    return next(_documents(path, what, asked, _LONG_S))


def fetch_lines(path: Path, what: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the documents that a daemon answers with, as they come. HostError if nobody answers."""
    return _documents(path, what, asked, None)


def _documents(
    path: Path, what: str, asked: Mapping[str, Any] | None, seconds: float | None
) -> Iterator[dict[str, Any]]:
    """Ask, and yield what comes, a line of JSON each. `seconds`: for all of it."""
    connection = http.client.HTTPConnection("localhost", timeout=seconds)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(seconds)
    try:
        connection.sock.connect(str(path))
        body = None if asked is None else json.dumps(asked)
        connection.request("GET" if asked is None else "POST", what, body)
        with connection.getresponse() as answer:
            if answer.status != http.HTTPStatus.OK:
                raise HostError(error_said(answer.read(), answer.status, _SNAPSHOTTER))
            while line := answer.readline():
                yield json.loads(line)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise HostError(
            f"{_SNAPSHOTTER} does not answer on {path}: {error}", hint="bootseer doctor"
        ) from error
    finally:
        connection.close()


async def _get(path: Path, what: str, read: Any, who: str = _SNAPSHOTTER) -> Any:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.UnixConnector(str(path))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(URL(f"http://localhost{what}", encoded=True)) as answer,
        ):
            if answer.status in _REFUSED:
                raise _REFUSED[answer.status](str((await answer.json())["error"]))
            answer.raise_for_status()
            return await read(answer)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise HostError(
            f"{who} does not answer on {path}: {error}", hint="bootseer doctor"
        ) from error
