"""Requirements files: what else they read, and whether they say exactly what is installed. Pure.

The syntax is pip's: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import re
import shlex
from dataclasses import dataclass
from typing import Final

_NESTED: Final = ("-r", "--requirement", "-c", "--constraint")
_EDITABLE: Final = ("-e", "--editable")
_LINKS: Final = ("-f", "--find-links")
_EXACT: Final = re.compile(r"^[A-Za-z0-9._-]+\s*(\[[^]]*\])?\s*===?\s*[^*,;\s]+\s*(;.*)?$")
_DIRECT: Final = re.compile(r"^[A-Za-z0-9._-]+\s*(?:\[[^]]*\])?\s*@\s*(\S+)")
_ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a requirements file refers to."""

    nested: tuple[str, ...] = ()
    """Other such files, relative to this one."""
    local: tuple[str, ...] = ()
    """Archives and source trees, relative to the working directory."""
    links: tuple[str, ...] = ()
    """Directories with archives."""
    pinned: bool = True
    """Whether every line names one version, or an archive."""


def parse_requirements(text: str) -> Requirements:
    """Return what a requirements file refers to. Lines that make no sense count as unpinned."""
    nested: list[str] = []
    local: list[str] = []
    links: list[str] = []
    pinned = True
    for line in _logical_lines(text):
        option, value = _option(line)
        if option in _NESTED:
            nested.append(value)
        elif option in _LINKS:
            links += [value] if "://" not in value else []
        elif option in _EDITABLE:
            local += [without_extras(value)] if "://" not in value else []
            pinned = pinned and "://" not in value
        elif not option:
            path = local_path(line)
            local += [path] if path else []
            pinned = pinned and (path is not None or is_pinned(line))
    return Requirements(tuple(nested), tuple(local), tuple(links), pinned)


def is_pinned(requirement: str) -> bool:
    """Say whether a requirement allows one version only: `name==1.2`, or an archive's address."""
    direct = _DIRECT.match(requirement)
    if direct:
        return "://" in direct[1] and not direct[1].startswith(("git+", "hg+", "svn+", "bzr+"))
    bare = re.split(r"\s--hash", requirement)[0].strip()
    return _EXACT.match(bare) is not None


def local_path(requirement: str) -> str | None:
    """Return the archive or source tree on this machine that a requirement names; None if none."""
    direct = _DIRECT.match(requirement)
    if direct:
        return _file_address(direct[1])
    word = requirement.split(" ", maxsplit=1)[0]
    if word.startswith("file:"):
        return _file_address(word)
    if "://" in word:
        return None
    bare = without_extras(word)
    if bare in (".", "..") or bare.startswith(("./", "../", "/")) or bare.endswith(_ARCHIVES):
        return bare
    return None


def without_extras(path: str) -> str:
    """Return `path[extra]` without what is in brackets."""
    return re.sub(r"\[[^]/]*\]$", "", path)


def _file_address(address: str) -> str | None:
    return (
        re.sub(r"^file:(//(localhost)?)?", "", address).split("#")[0] or None
        if (address.startswith("file:"))
        else None
    )


def _logical_lines(text: str) -> list[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def _option(line: str) -> tuple[str, str]:
    """Return (option, value) of a line; ("", "") of a requirement."""
    if not line.startswith("-"):
        return "", ""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    head, _, value = words[0].partition("=")
    if not head.startswith("--") and len(head) > 2:
        return head[:2], words[0][2:].lstrip("=")
    return head, value or (words[1] if len(words) > 1 else "")
