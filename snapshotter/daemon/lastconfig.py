"""The configuration that a server serves with, kept for its successor.

A server that dies is started again while containers wait for their reads: no moment to refuse
because of what somebody wrote into the file meanwhile.
"""

import logging
from pathlib import Path

from bootseer.atomic import write_atomic
from bootseer.config import Config, load
from bootseer.errors import UsageError
from bootseer.records_from_yaml import parse

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
    """Keep what the file `path` says at `last`, if it is `config` still. Failing is no harm now.

    What is not `config` leaves what was kept as it is: it may be what we serve with.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if parse(Config, text, str(path)) == config:
            write_atomic(last, text.encode())
    except (OSError, UnicodeDecodeError, UsageError) as error:
        log.warning("config.not_kept", extra={"fields": {"path": last, "reason": error}})
