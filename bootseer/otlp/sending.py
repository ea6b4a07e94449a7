"""Requests with spans to a collector (OTLP/HTTP)."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

import aiohttp

from bootseer.errors import RemoteError

TRIES: Final = 5
"""How often a request is sent that a collector may still take."""
_TIMEOUT_S: Final = 30.0
_ANSWER: Final = 64 << 10
"""Bytes of an answer that are looked at."""
_AGAIN: Final = {429, 502, 503, 504}
"""Answers after which the same may be sent again (OTLP/HTTP, "Retryable Response Codes")."""


def traces_url(endpoint: str) -> str:
    """Return where a collector takes spans."""
    return f"{endpoint.rstrip('/')}/v1/traces"


async def send(endpoint: str, bodies: Iterable[dict[str, Any]], tries: int = TRIES) -> None:
    """Send requests one after another, each again where that may help.

    Raises:
        RemoteError: the collector does not take one, or not all that is in it.
    """
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for body in bodies:
            await _post(session, traces_url(endpoint), json.dumps(body).encode(), tries)


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, tries: int) -> None:
    """Send one request, again where that may help. RemoteError if it is not taken."""
    headers = {"Content-Type": "application/json"}
    for left in reversed(range(tries)):
        try:
            async with session.post(url, data=body, headers=headers) as response:
                said = await response.content.read(_ANSWER)
                if response.status < 300:
                    _check_whole(url, said)
                    return
                problem = (
                    f"{response.status} {response.reason}: {said[:500].decode(errors='replace')}"
                )
                hopeless = response.status not in _AGAIN
        except (aiohttp.ClientError, TimeoutError) as error:
            problem, hopeless = str(error) or "no answer in time", False
        if hopeless or not left:
            raise RemoteError(f"{url}: {problem}", hint="is it an OTLP/HTTP endpoint?")
        await asyncio.sleep(2.0 ** (tries - left - 3))


def _check_whole(url: str, said: bytes) -> None:
    """Raise RemoteError if some spans were refused."""
    try:
        partial = json.loads(said or b"{}").get("partialSuccess", {})
        refused = int(partial.get("rejectedSpans", 0))
    except (ValueError, AttributeError, TypeError):
        return
    if refused:
        reason = partial.get("errorMessage", "")
        raise RemoteError(f"{url}: {refused} spans were refused: {reason}")
