"""Structured logs: one event a line, no secrets in them.

A record's message is the name of an event (`layer.provided`); what belongs to it is in
`extra={"fields": {...}}`. Rendered as JSON for machines or as text for people.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

_SECRET_KEY: Final = re.compile(r"(?i)password|passwd|secret|token|authorization|credential|cookie")
_URL_SECRET: Final = re.compile(
    r"(?i)(://)[^/@\s:]+:[^/@\s]+@|([?&](?:sig|signature|token|[\w-]*"
    r"(?:signature|credential|security-token))=)[^&\s]+"
)
_REMOVED: Final = "***"
_TALKATIVE: Final = ("asyncio", "grpc", "grpc._cython.cygrpc", "pyfuse3")
"""Libraries whose debug lines are about themselves."""


def redact(value: object, key: str = "") -> Any:
    """Return `value` without secrets: by the name of its field, and inside URLs in texts."""
    if key and _SECRET_KEY.search(key):
        return _REMOVED
    if isinstance(value, str):
        return _URL_SECRET.sub(lambda m: (m[1] or m[2]) + _REMOVED + ("@" if m[1] else ""), value)
    if isinstance(value, Mapping):
        return {str(k): redact(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(v) for v in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def event_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return a log record as a flat document: time, level, event, logger, its own fields."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    event = {
        "time": f"{stamp}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "event": redact(record.getMessage()),
        "logger": record.name,
    }
    event |= redact(getattr(record, "fields", {}))
    if record.exc_info:
        event["traceback"] = redact(logging.Formatter().formatException(record.exc_info))
    return event


class JsonFormatter(logging.Formatter):
    """One JSON document a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(event_of(record), ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """`time level event key=value ...`, and a traceback below where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event = event_of(record)
        head = f"{event.pop('time')} {event.pop('level'):<8} {event.pop('event')}"
        event.pop("logger")
        traceback = event.pop("traceback", "")
        line = " ".join([head, *(f"{key}={_quoted(value)}" for key, value in event.items())])
        return f"{line}\n{traceback}" if traceback else line


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text) if re.search(r'[\s"=]', text) or not text else text


def set_up(level: str, style: Literal["json", "text"]) -> None:
    """Send the whole process' logs to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
