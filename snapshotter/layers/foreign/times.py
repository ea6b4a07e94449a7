"""Times as Go writes them in JSON (RFC 3339, up to nine digits behind the point). Pure."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from bootseer.errors import CorruptError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME: Final = (0, 0)
_time = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
).fullmatch


@lru_cache(maxsize=1 << 12)
def moment(text: str) -> tuple[int, int]:
    """Return a time as (seconds, nanoseconds) since 1970, which is also what no text means.

    Raises:
        CorruptError: it is not a time.
    """
    if not text:
        return _NO_TIME
    match = _time(text)
    if match is None:
        raise CorruptError(f"{text[:40]!a} is not a time")
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        since = datetime.fromisoformat(match[1] + zone) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise CorruptError(f"{text[:40]!a} is not a time") from error
    return since // timedelta(seconds=1), int((match[2] or "").ljust(9, "0"))
