"""What goes into a bundle, part by part: each a text, made when it is asked for.

A part that cannot be had says why in its place: a bundle is made when things are broken.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import bootseer
from bootseer.config import Config
from bootseer.errors import BootseerError
from bootseer.logs import redact

Part: TypeAlias = tuple[str, Callable[[], str]]
"""Its file's name, and what makes it."""

_LIBRARIES: Final = ("aiohttp", "grpcio", "isal", "numpy", "protobuf", "pyfuse3", "zstandard")
_PROGRAMS: Final = (("containerd", "--version"), ("ctr", "--version"), ("runc", "--version"))
_UNIT: Final = "bootseer-snapshotter"
_LINES: Final = 20_000
"""Lines of the log, the last ones."""
_MOST: Final = 32 << 20
"""Bytes of a log file that are read, from its end."""
_PATIENCE_S: Final = 20.0
_KINDS: Final = ("fuse", "erofs", "overlay")
_ENTRIES: Final = 2_000
"""Entries of a directory that are listed."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """What a daemon that runs says of itself. Each raises `HostError` if none answers."""

    status: Callable[[], dict[str, Any]]
    metrics: Callable[[], str]


def parts_of(config: Config, config_path: Path, logs: Sequence[Path], daemon: Daemon) -> list[Part]:
    """Return all parts. `logs`: files with the daemon's log; none: the journal's."""
    named = [(f"log/{number}-{path.name}", _log_of(path)) for number, path in enumerate(logs)]
    return [
        ("versions.json", _versions),
        ("config.json", lambda: _json(_plain(asdict(config)))),
        ("config.yaml", lambda: config_path.read_text(errors="replace")),
        ("status.json", lambda: _json(daemon.status())),
        ("metrics.txt", daemon.metrics),
        ("mounts.txt", _mounts),
        ("fuse.txt", lambda: "\n".join(_connections()) + "\n"),
        ("files.txt", lambda: "\n".join(_files(config.root)) + "\n"),
        ("processes.txt", lambda: "\n".join(_processes()) + "\n"),
        *(named or [("log/journal.txt", _journal)]),
    ]


def text_of(make: Callable[[], str]) -> str:
    """Return a part's text; why it is not to be had where it is not."""
    try:
        return make()
    except (BootseerError, OSError, ValueError, subprocess.SubprocessError) as error:
        return f"not to be had: {error}\n"


def _json(document: Any) -> str:
    return json.dumps(redact(document), indent=1, default=str) + "\n"


def _plain(value: Any) -> Any:
    """Return settings with paths as texts."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _versions() -> str:
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            libraries[name] = "missing"
    programs = {argv[0]: text_of(lambda argv=argv: _said(argv)).strip() for argv in _PROGRAMS}  # type: ignore[misc]
    return _json(
        {
            "bootseer": bootseer.__version__,
            "python": sys.version,
            "kernel": " ".join(platform.uname()),
            "libraries": libraries,
            "programs": programs,
        }
    )


def _said(argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=_PATIENCE_S, errors="replace"
    )
    return done.stdout


def _journal() -> str:
    return _said(["journalctl", "--no-pager", "-o", "short-iso", "-n", str(_LINES), "-u", _UNIT])


def _log_of(path: Path) -> Callable[[], str]:
    def read() -> str:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST))
            lines = deque(file.read(_MOST).splitlines(keepends=True), _LINES)
        return b"".join(lines).decode(errors="replace")

    return read


def _mounts() -> str:
    lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines(keepends=True)
    return "".join(line for line in lines if any(f" - {kind}" in line for kind in _KINDS))


def _connections() -> Iterator[str]:
    """Yield what waits at each FUSE connection."""
    for directory in sorted(Path("/sys/fs/fuse/connections").glob("*")):
        yield f"{directory.name}: {(directory / 'waiting').read_text().strip()} requests wait"


def _files(root: Path) -> Iterator[str]:
    """Yield names and sizes of what is below the root, but not of what is mounted there."""
    device = root.stat().st_dev
    for directory in (root, root / "l", root / "hot", root / "d"):
        if not directory.is_dir() or directory.stat().st_dev != device:
            continue
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda one: one.name)
        for entry in found[:_ENTRIES]:
            if entry.path == str(root / "blocks"):
                continue  # a look at a mount that nobody serves would hang
            status = entry.stat(follow_symlinks=False)
            size = f"{status.st_size:14,} {status.st_blocks * 512:14,}"
            yield f"{size} {oct(status.st_mode)[-6:]:>6} {entry.path}"


def _processes() -> Iterator[str]:
    """Yield what the kernel says of our processes."""
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
            if not any(word.startswith((b"snapshotter.", b"bootseer")) for word in words):
                continue
            status = (directory / "status").read_text()
            open_files = len(list((directory / "fd").iterdir()))
        except OSError:
            continue
        shown = [
            line for line in status.splitlines() if line.startswith(("Name", "State", "Vm", "Th"))
        ]
        yield f"{directory.name}: {b' '.join(words).decode(errors='replace')}"
        yield from (f"  {line}" for line in [*shown, f"open files:\t{open_files}"])
