"""Asks the daemon over its control socket."""

import asyncio
from pathlib import Path
from typing import Any, Final

import aiohttp

from bootseer.config import Config, load
from bootseer.errors import HostError

_TIMEOUT_S: Final = 10.0
_SNAPSHOTTER: Final = "the snapshotter"


def control_socket(config_path: Path) -> Path:
    """Return where a daemon with this configuration listens; without a file, with the defaults."""
    config = load(config_path) if config_path.exists() else Config()
    return config.run_dir / "control.sock"


async def fetch_status(path: Path) -> dict[str, Any]:
    """Return the status document of the daemon behind a socket. HostError if nobody answers."""
    document: dict[str, Any] = await _get(path, "/v1/status", aiohttp.ClientResponse.json)
    return document


def read_metrics(path: Path, who: str = _SNAPSHOTTER) -> str:
    """Return the metrics of the daemon behind a socket. HostError if nobody answers."""
    text: str = asyncio.run(_get(path, "/metrics", aiohttp.ClientResponse.text, who))
    return text


async def _get(path: Path, what: str, read: Any, who: str = _SNAPSHOTTER) -> Any:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.UnixConnector(str(path))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(f"http://localhost{what}", raise_for_status=True) as answer,
        ):
            return await read(answer)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise HostError(
            f"{who} does not answer on {path}: {error}", hint="bootseer doctor"
        ) from error
