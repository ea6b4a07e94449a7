"""The configuration that a server serves with, kept for its successor.

A server that dies is started again while containers wait for their reads: no moment to refuse
because of what somebody wrote into the file meanwhile.
"""

import logging
from pathlib import Path

from bootseer.atomic import write_atomic
from bootseer.config import Config, load
from bootseer.errors import UsageError

log = logging.getLogger(__name__)


def load_or_last(path: Path, last: Path | None) -> Config:
    """Return the configuration in the file `path`; where it is unusable, the one kept at `last`.

    Raises `UsageError`, about `path`, without either.
    """
    try:
        return load(path)
    except UsageError as error:
        if last is None:
            raise
        try:
            return load(last)
        except UsageError:
            raise error from None


def keep(path: Path, config: Config, last: Path) -> None:
    """Keep what the file `path` says at `last`, if it is `config` still. Failing is no harm now."""
    try:
        data = path.read_bytes()
        write_atomic(last, data)
        if load(last) != config:
            last.unlink()
    except (OSError, UsageError) as error:
        log.warning("config.not_kept", extra={"fields": {"path": last, "reason": error}})
