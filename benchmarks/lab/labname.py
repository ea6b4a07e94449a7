"""Names that say which process made a thing, so that what a killed process left can be removed."""

import itertools
import os
import re
from pathlib import Path
from typing import Final

PREFIX: Final = "bootseer-lab"
_NAME: Final = re.compile(rf"{PREFIX}-(\d+)-\d+")
_counter = itertools.count()


def fresh_name() -> str:
    """Return a name that this process has not used before: `bootseer-lab-<pid>-<count>`."""
    return f"{PREFIX}-{os.getpid()}-{next(_counter)}"


def orphaned(text: str, proc: Path = Path("/proc")) -> str | None:
    """Return the lab's name at the start of `text` where the process that made it is gone."""
    match = _NAME.match(text)
    if match is None or (proc / match[1]).exists():
        return None
    return match[0]
