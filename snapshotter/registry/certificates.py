"""TLS contexts of endpoints, made anew when their files change: certificates are rotated.

Connections that are open keep what they were made with; new ones are made with the new files. Files
that cannot be read in the middle of a change leave the context as it was.

Race-free: event loop only; two tasks that make the same context at once lose nothing but the time.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import UsageError
from snapshotter.registry.hosts import Tls

log = logging.getLogger(__name__)

_LOOK_S: Final = 10.0
"""Seconds for which files are believed to be as they were."""

_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(slots=True)
class _Known:
    context: ssl.SSLContext
    stamp: _Stamp
    looked: float


class Certificates:
    """Contexts by what endpoints want."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._known: dict[Tls, _Known] = {}

    async def context(self, tls: Tls) -> ssl.SSLContext:
        """Return the context for an endpoint.

        Raises:
            UsageError: a file cannot be used, and there is no context of before.
        """
        known, now = self._known.get(tls), self._clock()
        if known is not None and (now - known.looked < _LOOK_S or not _files(tls)):
            return known.context
        if known is not None:
            known.looked = now
        return await asyncio.to_thread(self._look, tls, now)

    def _look(self, tls: Tls, now: float) -> ssl.SSLContext:
        known, stamp = self._known.get(tls), _stamp(tls)
        if known is not None and known.stamp == stamp:
            return known.context
        try:
            made = _context(tls)
        except UsageError as error:
            if known is None:
                raise
            fields = {"reason": error.message, "do": "connections are made with those of before"}
            log.error("registry.certificates_unusable", extra={"fields": fields})
            return known.context
        if known is not None:
            log.info("registry.certificates_read_again", extra={"fields": {"files": _files(tls)}})
        self._known[tls] = _Known(made, stamp, now)
        return made


def _files(tls: Tls) -> list[str]:
    return [*tls.ca, *(name for pair in tls.client for name in pair if name)]


def _stamp(tls: Tls) -> _Stamp:
    return tuple(_stamp_of(Path(name)) for name in _files(tls))


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        for file in tls.ca:
            context.load_verify_locations(cafile=file)
        for certificate, key in tls.client:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        message = f"cannot use the certificates {_files(tls)}: {error}"
        raise UsageError(message) from error
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
