"""Indexes that were caught lying: remembered beyond the layer, the image and the server's life.

One small file below the root, a line an index: `digest verdict`. The newest `_MOST` are kept; one
that is forgotten after that is caught again, once its layer came in whole.

Race-free: one object a server, used by the event loop's thread only; the file is replaced in one
step.
"""

import logging
import re
from pathlib import Path
from typing import Final

from bootseer.atomic import write_atomic

log = logging.getLogger(__name__)

FILE: Final = "poisoned"
_MOST: Final = 1024
_VERDICT: Final = 200
_LINE: Final = re.compile(r"(sha256:[0-9a-f]{64}) ([^\n]+)")


class Poisoned:
    """What is known of lying indexes."""

    def __init__(self, root: Path) -> None:
        """Read the file in `root`; damaged lines are passed over."""
        self._path = root / FILE
        self._verdicts = _read(self._path)

    def verdict(self, index_digest: str) -> str:
        """Return why an index must not be used; nothing if nothing is known against it."""
        return self._verdicts.get(index_digest, "")

    def __len__(self) -> int:
        """Return how many indexes are known to lie."""
        return len(self._verdicts)

    def add(self, index_digest: str, verdict: str) -> None:
        """Remember an index. A disk that does not take it costs the memory at a restart only."""
        line = " ".join(verdict.split())[:_VERDICT] or "it lies"
        self._verdicts.pop(index_digest, None)
        self._verdicts[index_digest] = line
        for oldest in list(self._verdicts)[:-_MOST]:
            del self._verdicts[oldest]
        try:
            write_atomic(self._path, _text(self._verdicts).encode())
        except OSError as error:
            fields = {"index": index_digest, "path": str(self._path), "reason": str(error)}
            log.error("index.poison_not_kept", extra={"fields": fields})


def _text(verdicts: dict[str, str]) -> str:
    return "".join(f"{digest} {verdict}\n" for digest, verdict in verdicts.items())


def _read(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.error("index.poison_unreadable", extra={"fields": {"reason": str(error)}})
        return {}
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    known = [(str(match[1]), str(match[2])) for match in found if match]
    return dict(known[-_MOST:])
