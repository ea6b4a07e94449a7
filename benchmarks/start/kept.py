"""What one run of the benchmark leaves to the next: what was prepared, starts, their events."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.start.results import Start, starts_document, starts_from
from bootseer.atomic import write_atomic


@dataclass(slots=True)
class Kept:
    """Starts that were measured under the same conditions, in a directory of theirs."""

    root: Path
    place: Path
    """Below `root`, of these conditions."""
    starts: list[Start] = field(default_factory=list)

    @classmethod
    def open(cls, root: Path, conditions: Mapping[str, Any]) -> Self:
        """Return what is kept of these conditions. CorruptError if that cannot be read."""
        text = json.dumps(conditions, sort_keys=True)
        place = root / f"starts-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "conditions.json").write_text(text + "\n")
        found = cls(root, place)
        if found._file.exists():
            found.starts = starts_from(json.loads(found._file.read_text()))
        return found

    @property
    def events(self) -> Path:
        """Where the starts' events are, a directory for each way."""
        return self.place / "events"

    @property
    def next_attempt(self) -> int:
        """A number that none of these starts has."""
        return max((start.attempt for start in self.starts), default=0) + 1

    def add(self, start: Start) -> None:
        """Keep one more."""
        self.starts.append(start)
        write_atomic(self._file, json.dumps(starts_document(self.starts)).encode())

    @property
    def _file(self) -> Path:
        return self.place / "starts.json"
