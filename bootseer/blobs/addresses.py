"""Addresses of directories. Pure."""

from pathlib import Path
from urllib.parse import unquote, urlsplit


def directory_at(address: str) -> Path | None:
    """Return the directory that a `file:///...` address names; None if it names none."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    path = unquote(parts.path)
    plain = not (parts.netloc or parts.query or parts.fragment)
    absolute = path.startswith("/") and path.isprintable() and ".." not in path.split("/")
    return Path(path) if parts.scheme == "file" and plain and absolute else None
