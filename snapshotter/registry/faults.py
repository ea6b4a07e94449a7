"""What goes wrong between us and a registry, turned into our errors at one place."""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator, Mapping

import aiohttp
from yarl import URL

from bootseer.errors import BootseerError, NotFoundError, RemoteError
from snapshotter.registry.retry import HttpError, SilenceError, parse_retry_after

_LONGEST_MESSAGE = 300


def shown(url: URL) -> str:
    """Return an address as it may be logged: no user, no query (presigned addresses sign there)."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


@contextlib.contextmanager
def translated(what: str, url: URL) -> Iterator[None]:
    """Turn the network's exceptions inside the block into `RemoteError`s about `what`.

    `asyncio.CancelledError` and bugs pass.
    """
    try:
        yield
    except TimeoutError as error:
        raise SilenceError(f"{what}: {shown(url)} did not answer in time") from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise RemoteError(
            f"{what}: no trusted TLS connection to {url.host}:{url.port}: {_reason(error)}",
            hint="plain HTTP registry: set plain_http; own authority: set ca, or use hosts.toml",
        ) from error
    except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
        raise RemoteError(f"{what}: {shown(url)}: {_reason(error)}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise RemoteError(f"{what}: {shown(url)}: {_reason(error)}", temporary=True) from error


def _reason(error: BaseException) -> str:
    """Return a line about an exception; aiohttp's own texts may quote a whole address."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error.strerror or error.os_error)[:_LONGEST_MESSAGE]
    if isinstance(error, aiohttp.ClientResponseError):
        return f"not HTTP as we understand it ({_printable(error.message)})"
    if isinstance(error, aiohttp.InvalidURL):
        return "not an address"
    return f"{type(error).__name__}: {_printable(str(error))}"


def _printable(text: str) -> str:
    kept = "".join(c if c.isprintable() else " " for c in text[:_LONGEST_MESSAGE])
    return " ".join(kept.split())


def status_error(
    what: str, url: URL, status: int, headers: Mapping[str, str], body: bytes
) -> BootseerError:
    """Return the error that an answer with a status of 300 or more amounts to.

    `body` is its beginning: registries put a code and a message there.
    """
    code, said = _said(body)
    words = ": ".join(filter(None, (code, said)))
    message = f"{what}: {shown(url)} answered {status}{f' ({words})' if words else ''}"
    if status in {404, 410}:
        return NotFoundError(message)
    hint = None
    if status in {401, 403}:
        hint = "log in with docker, or check the name: registries hide what one may not see"
    retry_after = parse_retry_after(headers.get("Retry-After"), dt.datetime.now(dt.UTC))
    return HttpError(message, status=status, code=code, hint=hint, retry_after=retry_after)


def _said(body: bytes) -> tuple[str, str]:
    """Return code and message of the first error in a registry's answer, made harmless."""
    try:
        first = json.loads(body)["errors"][0]
        parts = [first.get("code"), first.get("message")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""
    code, message = (_printable(part) if isinstance(part, str) else "" for part in parts)
    return code, message
