"""Mounts as containerd would make them, and what is seen through them."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted(mounts: Iterable[tuple[str, str, tuple[str, ...]]], target: Path) -> Iterator[Path]:
    """Mount (type, source, options) triples on `target` for the length of the block."""
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    try:
        for kind, source, options in mounts:
            _mount(kind, source, options, target)
            count += 1
        yield target
    finally:
        for _ in range(count):
            subprocess.run(["umount", target], check=True, capture_output=True)


def _mount(kind: str, source: str, options: tuple[str, ...], target: Path) -> None:
    if kind == "bind":
        command = ["mount", "-o", ",".join(options), source, str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return
    # mount(2) takes a page of options: containerd too changes directory for long chains.
    directory, options = _relative(options)
    command = ["mount", "-t", kind, "-o", ",".join(options), source, str(target)]
    subprocess.run(command, check=True, capture_output=True, cwd=directory)


def _relative(options: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    lowers = next(o for o in options if o.startswith("lowerdir=")).removeprefix("lowerdir=")
    paths = lowers.split(":")
    common = os.path.commonpath(paths) if len(paths) > 1 else "/"
    short = ":".join(os.path.relpath(path, common) for path in paths)
    return common, tuple(f"lowerdir={short}" if o.startswith("lowerdir=") else o for o in options)


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `root` that a comparison of two trees looks at."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(directory) / name
            status = path.lstat()
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = path.readlink()
            found[str(path.relative_to(root))] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                content,
            )
    return found


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file with exactly this mode."""
    path.write_bytes(data)
    path.chmod(mode)


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Make a directory with exactly this mode."""
    path.mkdir()
    path.chmod(mode)


def clear(path: Path) -> None:
    """Remove a file or a tree."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
